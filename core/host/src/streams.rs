//! The byte streams of a machine: `serial0`, `serial1`, ..., each with what it leads to, and the script that watches the first.

use crate::escape::{Escape, HELP, Key};
use crate::script::{Script, Wish};
use crate::semihosting::Claim;
use crate::{StreamSpec, terminal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What streams want of the machine.
pub trait Guest: Send + Sync {
    /// Queues input for a stream. It must not call back into the streams.
    fn input(&self, stream: &str, data: &[u8]);
    /// Bytes of a stream's input that the guest has not taken yet.
    fn pending(&self, stream: &str) -> usize;
    /// Ends the run.
    fn quit(&self, code: i32);
    /// Takes back a stream's input that the guest has not taken yet.
    fn take(&self, stream: &str) -> Vec<u8> {
        let _ = stream;
        Vec::new()
    }
}

/// Input is not read from the host while so many bytes wait for the guest.
const PENDING_MAX: usize = 1 << 16;

/// Most of a line that is kept for messages.
const LAST_LINE_MAX: usize = 400;

#[derive(Default)]
pub(crate) struct State {
    /// Where output goes; `None` drops it.
    sink: Option<File>,
    pub script: Option<Script>,
    /// The line being written, and the last one before it that was not blank.
    line: Vec<u8>,
    last_line: Vec<u8>,
    /// The script has ended the run: what the guest still says is dropped, so that runs end alike.
    closed: bool,
}

pub(crate) struct Port {
    pub name: String,
    pub spec: StreamSpec,
    /// Where input comes from, until a thread takes it.
    source: Mutex<Option<File>>,
    /// The same where the thread starts only when semihosting asks for input.
    pub asleep: Mutex<Option<File>>,
    pub state: Mutex<State>,
    /// Semihosting's part of the input.
    pub claim: Claim,
}

impl Port {
    pub fn new(name: String, spec: StreamSpec, sink: Option<File>, source: Option<File>) -> Port {
        let state = Mutex::new(State { sink, ..State::default() });
        Port { name, spec, source: Mutex::new(source), asleep: Mutex::default(), state, claim: Claim::default() }
    }
}

/// All streams of a machine.
pub struct Streams {
    pub(crate) ports: Vec<Port>,
    pub(crate) guest: OnceLock<Arc<dyn Guest>>,
    /// Input that was wanted before there was a machine.
    early: Mutex<Vec<(String, Vec<u8>)>>,
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn duplicate(fd: impl AsFd) -> Result<File, String> {
    let owned: OwnedFd = fd.as_fd().try_clone_to_owned().map_err(|e| format!("standard input or output cannot be used: {e}"))?;
    Ok(owned.into())
}

impl Streams {
    /// Opens `serial0`, `serial1`, ... in order. `script` talks to `serial0`.
    pub fn open(specs: &[StreamSpec], script: Option<Script>) -> Result<Streams, String> {
        if specs.iter().filter(|s| s.is_stdio()).count() > 1 {
            return Err("two serial lines cannot both use stdio; send one of them to file:PATH, pty or null".to_owned());
        }
        let mut ports = Vec::new();
        for (n, spec) in specs.iter().enumerate() {
            let name = format!("serial{n}");
            let (sink, source) = match spec {
                StreamSpec::Stdio { .. } => (Some(duplicate(std::io::stdout())?), Some(duplicate(std::io::stdin())?)),
                StreamSpec::Null => (None, None),
                StreamSpec::File(path) => {
                    let file = File::create(path).map_err(|e| format!("-serial file:{}: {e}", path.display()))?;
                    (Some(file), None)
                }
                StreamSpec::Pty => {
                    let (file, path) = open_pty().map_err(|e| format!("-serial pty: {e}"))?;
                    eprintln!("{name}: {path}");
                    (Some(duplicate(&file)?), Some(file))
                }
            };
            let port = Port::new(name, spec.clone(), sink, source);
            if n == 0 {
                lock(&port.state).script = script.clone();
            }
            ports.push(port);
        }
        if let Some(StreamSpec::Stdio { mux }) = specs.iter().find(|s| s.is_stdio())
            && terminal::is_terminal()
        {
            eprintln!("(Ctrl-A x quits emu, Ctrl-A h shows other keys)");
            terminal::enter_raw(!mux);
        }
        Ok(Streams { ports, guest: OnceLock::new(), early: Mutex::new(Vec::new()) })
    }

    /// Connects the machine: what was typed before arrives, and threads begin to read input.
    pub fn attach(self: &Arc<Self>, guest: Arc<dyn Guest>) {
        if self.guest.set(guest).is_err() {
            return;
        }
        for (stream, data) in std::mem::take(&mut *lock(&self.early)) {
            self.input(&stream, data);
        }
        for port in &self.ports {
            let wishes = lock(&port.state).script.as_mut().map(Script::start).unwrap_or_default();
            self.fulfil(port, wishes);
        }
        for (n, port) in self.ports.iter().enumerate() {
            if let Some(source) = lock(&port.source).take() {
                let streams = Arc::clone(self);
                std::thread::spawn(move || streams.read(n, source));
            } else if lock(&port.asleep).is_none() {
                port.claim.end();
            }
        }
    }

    /// True if there is a stream of that name.
    pub fn has(&self, name: &str) -> bool {
        self.port(name).is_some()
    }

    fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|p| p.name == name)
    }

    /// Output of the guest. The script's answers are queued before this returns.
    pub fn write(&self, name: &str, data: &[u8]) {
        let Some(port) = self.port(name) else { return };
        let mut state = lock(&port.state);
        if state.closed {
            return;
        }
        let wishes = state.script.as_mut().map(|s| s.output(data)).unwrap_or_default();
        let mut data = data;
        if let Some(Wish::Finished(at)) = wishes.last() {
            data = &data[..*at];
            state.closed = true;
        }
        for &byte in data {
            if byte == b'\n' {
                if state.line.iter().any(|b| !b.is_ascii_whitespace()) {
                    state.last_line = std::mem::take(&mut state.line);
                }
                state.line.clear();
            } else if byte != b'\r' && state.line.len() < LAST_LINE_MAX {
                state.line.push(byte);
            }
        }
        let mut broken = false;
        if let Some(sink) = state.sink.as_mut()
            && let Err(e) = sink.write_all(data)
        {
            state.sink = None;
            broken = port.spec.is_stdio();
            if !broken {
                log::warn!("{name}: {e}; its output is dropped from here on");
            }
        }
        drop(state);
        self.fulfil(port, wishes);
        if broken && let Some(guest) = self.guest.get() {
            // As if SIGPIPE had ended the process: nobody reads what the guest says.
            guest.quit(128 + libc::SIGPIPE);
        }
    }

    fn fulfil(&self, port: &Port, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Send(text) => self.input(&port.name, text),
                Wish::Finished(_) => {
                    if let Some(guest) = self.guest.get() {
                        guest.quit(0);
                    }
                }
            }
        }
    }

    fn input(&self, stream: &str, data: Vec<u8>) {
        let port = self.port(stream);
        if port.is_some_and(|p| p.claim.offer(&data)) {
            return;
        }
        match self.guest.get() {
            Some(guest) => {
                guest.input(stream, &data);
                // Semihosting may have taken over in between.
                if let Some(port) = port.filter(|p| p.claim.offer(&[])) {
                    self.collect_claimed(port);
                }
            }
            None => lock(&self.early).push((stream.to_owned(), data)),
        }
    }

    /// Body of the thread that reads a stream's input.
    pub(crate) fn read(&self, port: usize, source: File) {
        let port = &self.ports[port];
        self.read_all(port, source);
        port.claim.end();
    }

    fn read_all(&self, port: &Port, mut source: File) {
        let mut escape = Escape::default();
        // With `stdio` rather than `mon:stdio`, what comes from a pipe is not for emu.
        let escapes = match port.spec {
            StreamSpec::Stdio { mux } => mux || terminal::is_terminal(),
            _ => false,
        };
        let person = port.spec.is_stdio() && terminal::is_terminal();
        let too_much = || self.guest.get().is_some_and(|g| g.pending(&port.name) > PENDING_MAX) || port.claim.pending() > PENDING_MAX;
        let mut chunk = [0; 4096];
        loop {
            // The writer waits, as it would for a slow line, rather than that the queue grows without bound.
            while !person && too_much() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let read = match source.read(&mut chunk) {
                Ok(0) => return,
                Ok(n) => &chunk[..n],
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                // A pseudo-terminal that nobody has opened.
                Err(e) if port.spec == StreamSpec::Pty && e.raw_os_error() == Some(libc::EIO) => {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    continue;
                }
                Err(_) => return,
            };
            if !escapes {
                self.input(&port.name, read.to_vec());
                continue;
            }
            for key in escape.keys(read) {
                match key {
                    // Somebody at a terminal must be heard when the guest is not listening: Ctrl-A x may follow.
                    Key::Data(_) if person && too_much() => {}
                    Key::Data(data) => self.input(&port.name, data),
                    Key::Quit => {
                        if let Some(guest) = self.guest.get() {
                            guest.quit(0);
                        }
                    }
                    Key::Help => eprint!("{HELP}"),
                    Key::Monitor => eprint!("\r\nemu has no monitor yet\r\n"),
                }
            }
        }
    }

    /// What the script still waits for.
    pub fn waits_for(&self) -> Option<String> {
        self.ports.iter().find_map(|p| lock(&p.state).script.as_ref().and_then(Script::waits_for))
    }

    /// True if a script ended the run.
    pub fn script_finished(&self) -> bool {
        self.ports.iter().any(|p| lock(&p.state).closed)
    }

    /// The last line of `serial0` with something in it.
    pub fn last_line(&self) -> Option<String> {
        let state = lock(&self.ports.first()?.state);
        let line = if state.line.iter().any(|b| !b.is_ascii_whitespace()) { &state.line } else { &state.last_line };
        let text: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect();
        (!text.trim().is_empty()).then(|| text.trim_end().to_owned())
    }
}

fn open_pty() -> std::io::Result<(File, String)> {
    let fd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&fd)?;
    unlockpt(&fd)?;
    let mut modes = rustix::termios::tcgetattr(&fd)?;
    modes.make_raw();
    rustix::termios::tcsetattr(&fd, rustix::termios::OptionalActions::Now, &modes)?;
    let path = ptsname(&fd, Vec::new())?.to_string_lossy().into_owned();
    Ok((fd.into(), path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Step;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Guest for Recorder {
        fn input(&self, stream: &str, data: &[u8]) {
            lock(&self.0).push(format!("{stream}<{}", String::from_utf8_lossy(data)));
        }
        fn pending(&self, _: &str) -> usize {
            0
        }
        fn quit(&self, code: i32) {
            lock(&self.0).push(format!("quit {code}"));
        }
    }

    fn file(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("emu-streams-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_script_answers_at_once_and_the_output_ends_where_it_ends() {
        let path = file("script");
        let steps = vec![Step::Expect(b"login: ".into()), Step::Send(b"root\n".into()), Step::Expect(b"# ".into())];
        let streams = Arc::new(Streams::open(&[StreamSpec::File(path.clone()), StreamSpec::Null], Some(Script::new(steps))).unwrap());
        let guest = Arc::new(Recorder::default());
        streams.attach(guest.clone());
        assert!(streams.has("serial1") && !streams.has("serial2"));
        streams.write("serial1", b"login: # ");
        streams.write("serial0", b"hello\r\nlogin");
        assert_eq!(streams.waits_for().as_deref(), Some("login: "));
        streams.write("serial0", b": ");
        assert_eq!(*lock(&guest.0), ["serial0<root\n"]);
        assert_eq!(streams.last_line().as_deref(), Some("login:"));
        streams.write("serial0", b"root\r\n# and more");
        streams.write("serial0", b"and more");
        assert_eq!(*lock(&guest.0), ["serial0<root\n", "quit 0"]);
        assert!(streams.script_finished());
        assert_eq!(std::fs::read(&path).unwrap(), b"hello\r\nlogin: root\r\n# ");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn input_before_the_machine_is_kept() {
        let streams =
            Arc::new(Streams::open(&[StreamSpec::Null], Some(Script::new(vec![Step::Expect(b"a".into()), Step::Send(b"b".into())]))).unwrap());
        streams.write("serial0", b"a");
        let guest = Arc::new(Recorder::default());
        streams.attach(guest.clone());
        assert_eq!(*lock(&guest.0), ["serial0<b"]);
    }

    #[test]
    fn a_pty_carries_both_ways() {
        let (mut near, path) = open_pty().unwrap();
        let mut far = File::options().read(true).write(true).open(path).unwrap();
        near.write_all(b"out\n").unwrap();
        let mut got = [0; 4];
        far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"out\n");
        far.write_all(b"in\r").unwrap();
        near.read_exact(&mut got[..3]).unwrap();
        assert_eq!(&got[..3], b"in\r");
    }

    #[test]
    fn one_stdio_only() {
        let specs = [StreamSpec::Stdio { mux: true }, StreamSpec::Stdio { mux: false }];
        assert!(Streams::open(&specs, None).err().unwrap().contains("cannot both use stdio"));
    }
}
