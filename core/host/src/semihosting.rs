//! The console of semihosting: standard input, output and error, or one of the machine's streams.
//!
//! Input belongs to the serial line that is connected to it until the guest first asks for some by semihosting; from then on it comes here,
//! first of all what the line has not taken yet (which is all of it as long as the guest has not touched the line's device).

use crate::streams::{Port, Streams, duplicate, lock};
use crate::{Script, StreamSpec};
use emu_semihosting::{Channel, Console};
use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often a wait for input looks whether the run ends.
const LOOK: Duration = Duration::from_millis(20);

/// Name of the stream that only semihosting has.
const OWN: &str = "semihosting";

#[derive(Default)]
struct State {
    is_taken: bool,
    has_ended: bool,
    queue: VecDeque<u8>,
}

/// Whether a stream's input has gone over to semihosting, and what of it waits there.
#[derive(Default)]
pub(crate) struct Claim {
    state: Mutex<State>,
    changed: Condvar,
}

impl Claim {
    /// Queues input if it comes here.
    pub fn offer(&self, data: &[u8]) -> bool {
        let mut s = lock(&self.state);
        if s.is_taken {
            s.queue.extend(data);
            self.changed.notify_all();
        }
        s.is_taken
    }
    /// There is no more input.
    pub fn end(&self) {
        lock(&self.state).has_ended = true;
        self.changed.notify_all();
    }
    /// Bytes that wait here.
    pub fn pending(&self) -> usize {
        lock(&self.state).queue.len()
    }
    /// True from the first call on; false for that one.
    fn take_over(&self) -> bool {
        std::mem::replace(&mut lock(&self.state).is_taken, true)
    }
}

/// The console; made by [`SemihostingConsole::new`].
pub struct SemihostingConsole {
    streams: Arc<Streams>,
    port: String,
    /// Output goes to the stream too.
    is_stream: bool,
}

impl Streams {
    /// Gives semihosting a stream of its own, on standard input, if no serial line is there and none is asked for. Nothing is read before the
    /// guest asks for input.
    pub fn add_semihosting(&mut self, stream: Option<&str>) -> Result<(), String> {
        match stream {
            Some(name) if self.has(name) => Ok(()),
            Some(name) => {
                Err(format!("-semihosting-config chardev={name}: there is no such stream; serial0 is the first -serial, serial1 the second"))
            }
            None if self.ports.iter().any(|p| p.spec.is_stdio()) => Ok(()),
            None => {
                let mut port = Port::new(OWN.to_owned(), StreamSpec::Stdio { mux: false }, None, None);
                port.asleep = Mutex::new(Some(duplicate(std::io::stdin())?));
                self.ports.push(port);
                Ok(())
            }
        }
    }

    /// Input of a port comes to semihosting from now on.
    fn claim(self: &Arc<Self>, n: usize) -> &Port {
        let port = &self.ports[n];
        if !port.claim.take_over() {
            self.collect_claimed(port);
            if let Some(source) = lock(&port.asleep).take() {
                let streams = Arc::clone(self);
                std::thread::spawn(move || streams.read(n, source));
            }
        }
        port
    }

    /// Input that was already given to the machine and that no device has taken.
    pub(crate) fn collect_claimed(&self, port: &Port) {
        if let Some(guest) = self.guest.get() {
            port.claim.offer(&guest.take(&port.name));
        }
    }

    /// Waits for input of a port as [`Console::read`] does.
    fn read_claimed(self: &Arc<Self>, n: usize, data: &mut [u8], stop: &dyn Fn() -> bool) -> Option<usize> {
        let port = self.claim(n);
        let mut s = lock(&port.claim.state);
        loop {
            let n = data.len().min(s.queue.len());
            if n > 0 || data.is_empty() {
                data.iter_mut().zip(s.queue.drain(..n)).for_each(|(d, byte)| *d = byte);
                return Some(n);
            }
            // A script may type more.
            if s.has_ended && !lock(&port.state).script.as_ref().is_some_and(Script::will_type) {
                return Some(0);
            }
            if stop() {
                return None;
            }
            s = port.claim.changed.wait_timeout(s, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl SemihostingConsole {
    /// The console on the stream of that name, or on standard input, output and error. `add_semihosting` was called with the same name.
    pub fn new(streams: Arc<Streams>, stream: Option<&str>) -> SemihostingConsole {
        let on_stdio = streams.ports.iter().find(|p| p.spec.is_stdio()).map_or(OWN, |p| &p.name);
        let port = stream.unwrap_or(on_stdio).to_owned();
        SemihostingConsole { streams, port, is_stream: stream.is_some() }
    }
}

impl Console for SemihostingConsole {
    fn write(&self, channel: Channel, data: &[u8]) {
        if self.is_stream {
            return self.streams.write(&self.port, data);
        }
        // Output that nobody reads has nowhere to say so.
        let _ = match channel {
            Channel::Output => {
                let mut out = std::io::stdout().lock();
                out.write_all(data).and_then(|()| out.flush())
            }
            Channel::Debug | Channel::Error => std::io::stderr().write_all(data),
        };
    }
    fn read(&self, data: &mut [u8], stop: &dyn Fn() -> bool) -> Option<usize> {
        match self.streams.ports.iter().position(|p| p.name == self.port) {
            Some(n) => self.streams.read_claimed(n, data, stop),
            None => Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Guest, Step};

    #[derive(Default)]
    struct Line(Mutex<Vec<u8>>);

    impl Guest for Line {
        fn input(&self, _: &str, data: &[u8]) {
            lock(&self.0).extend(data);
        }
        fn pending(&self, _: &str) -> usize {
            0
        }
        fn quit(&self, _: i32) {}
        fn take(&self, _: &str) -> Vec<u8> {
            std::mem::take(&mut *lock(&self.0))
        }
    }

    #[test]
    fn input_goes_over_with_what_the_line_left() {
        let steps = ["a", "b"].map(|t| [Step::Expect(t.into()), Step::Send(t.to_uppercase().into())]).concat();
        let mut streams = Streams::open(&[StreamSpec::Null], Some(Script::new(steps))).unwrap();
        assert!(streams.add_semihosting(Some("serial9")).unwrap_err().contains("chardev=serial9"));
        streams.add_semihosting(Some("serial0")).unwrap();
        let streams = Arc::new(streams);
        let console = SemihostingConsole::new(Arc::clone(&streams), Some("serial0"));
        let guest = Arc::new(Line::default());
        streams.attach(guest.clone());
        console.write(Channel::Debug, b"a");
        assert_eq!(*lock(&guest.0), b"A", "the line's until somebody asks");
        let mut got = [0; 4];
        assert_eq!(console.read(&mut got, &|| false), Some(1));
        assert_eq!(got[0], b'A');
        assert_eq!(console.read(&mut got, &|| true), None, "the script may still type");
        console.write(Channel::Output, b"b");
        assert_eq!(console.read(&mut got, &|| false), Some(1));
        assert_eq!((got[0], &lock(&guest.0)[..]), (b'B', &b""[..]));
        assert_eq!(console.read(&mut got, &|| false), Some(0), "nothing more can come");
    }
}
