//! One debugger at a time: from connection to detachment, kill, or the end of the machine.
//!
//! A visit is a loop over one queue of events: bytes of the debugger, stops of the machine, its end.

use crate::address::{Listener, Stream};
use crate::description::Description;
use crate::signals;
use crate::target::{Debuggee, tid, watch_kind};
use emu_exec::{Machine, ProgramEnd, Stop};
use gdbstub::common::Signal;
use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine as Protocol;
use gdbstub::stub::{DisconnectReason, GdbStub, MultiThreadStopReason};
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Size of the largest packet.
const PACKET_BYTES: usize = 1 << 14;

/// How long the end of the machine waits for a debugger to be told of it.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a visit waits for.
enum Event {
    Data(Vec<u8>),
    Gone,
    Stopped(Stop),
    Ended(ProgramEnd),
}

#[derive(Default)]
struct Shared {
    /// Where the visit that there is takes its events from.
    visit: Mutex<Option<Sender<Event>>>,
    over: Condvar,
}

/// A server for debuggers of a machine.
pub struct Server {
    shared: Arc<Shared>,
    path: Option<PathBuf>,
}

struct Wire(BufWriter<Stream>);

/// How long a program's debugger waits before it looks again for threads that do not stop.
const HURRY: Duration = Duration::from_millis(20);

impl Connection for Wire {
    type Error = io::Error;
    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.0.write_all(&[byte])
    }
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.write_all(data)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How a visit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// The debugger went, or is not there any more.
    Detached { lost: bool },
    /// It wants the run to end.
    Quit,
    /// The machine has ended.
    Ended,
}

impl Server {
    /// Takes debuggers at a socket. The error is a sentence.
    pub fn start(listener: Listener, machine: &Arc<Machine>) -> Result<Server, String> {
        let Some(layout) = machine.debug_layout() else {
            return Err("-gdb: this target has no description of its registers for debuggers".to_owned());
        };
        let description = Arc::new(Description::new(&layout));
        let server = Server { shared: Arc::default(), path: listener.path().map(PathBuf::from) };
        let (shared, machine) = (Arc::clone(&server.shared), Arc::clone(machine));
        let body = move || {
            loop {
                match listener.accept() {
                    Ok(stream) => visit(stream, &machine, &description, &shared, None),
                    Err(e) => {
                        log::warn!("gdb: {e}");
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            }
        };
        match std::thread::Builder::new().name("gdb".into()).spawn(body) {
            Ok(_) => Ok(server),
            Err(e) => Err(format!("-gdb: {e}")),
        }
    }

    /// Serves the one debugger of a program, who has connected; the machine is made to start stopped, and the program runs when the debugger
    /// says so. The name is that of the program's file. The error is a sentence.
    pub fn attend(stream: Stream, machine: &Arc<Machine>, file: &str) -> Result<(), String> {
        let Some(layout) = machine.debug_layout() else {
            return Err("-g: this target has no description of its registers for debuggers".to_owned());
        };
        let description = Arc::new(Description::new(&layout));
        let shared: Arc<Shared> = Arc::default();
        let told = Arc::clone(&shared);
        machine.debug_start_stopped();
        machine.debug_follow_program(Arc::new(move |end| goodbye(&told, end)), stream.descriptor());
        let (machine, file) = (Arc::clone(machine), file.to_owned());
        let body = move || visit(stream, &machine, &description, &shared, Some(file));
        // Signals for the process are for the program's threads.
        let made = emu_exec::without_signals(|| std::thread::Builder::new().name("gdb".into()).spawn(body));
        made.map(|_| ()).map_err(|e| format!("-g: {e}"))
    }

    /// The machine has ended with a code: a debugger that is there is told.
    pub fn ended(&self, code: u8) {
        goodbye(&self.shared, ProgramEnd::Code(code.into()));
    }
}

/// Tells a debugger that is there of the end, and waits a little for it to hear that.
fn goodbye(shared: &Shared, end: ProgramEnd) {
    let mut visit = shared.visit.lock().unwrap_or_else(PoisonError::into_inner);
    let until = Instant::now() + GOODBYE;
    if let Some(events) = visit.as_ref() {
        let _ = events.send(Event::Ended(end));
    }
    while visit.is_some() && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        visit = shared.over.wait_timeout(visit, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Serves a debugger until one of the two goes.
fn visit(stream: Stream, machine: &Arc<Machine>, description: &Arc<Description>, shared: &Shared, file: Option<String>) {
    let (events, queue) = channel();
    let (reader, writer) = (stream.clone(), stream.clone());
    *shared.visit.lock().unwrap_or_else(PoisonError::into_inner) = Some(events.clone());
    let was_stopped = machine.debug_is_stopping();
    let sink = events.clone();
    // A machine that ends meanwhile says so itself.
    let attached = machine.debug_attach(Arc::new(move |stop| _ = sink.send(Event::Stopped(stop))));
    log::info!("gdb: a debugger is there");
    let reading = std::thread::Builder::new().name("gdb-input".into()).spawn(move || read(reader, &events));
    let mut debuggee = Debuggee::new(Arc::clone(machine), Arc::clone(description), file);
    let outcome = if attached && reading.is_ok() { talk(writer, &mut debuggee, machine, &queue) } else { Outcome::Ended };
    log::info!("gdb: {outcome:?}");
    stream.shut();
    machine.debug_detach();
    match outcome {
        Outcome::Quit if machine.runs_program() => std::process::exit(0),
        Outcome::Quit => machine.quit(0),
        // A program whose debugger is lost goes on.
        Outcome::Detached { .. } if machine.runs_program() => machine.debug_leave(),
        // Who looks in for a moment at a machine that was never started does not start it.
        Outcome::Detached { lost: true } if was_stopped => {}
        Outcome::Detached { .. } => machine.debug_leave(),
        Outcome::Ended => {}
    }
    *shared.visit.lock().unwrap_or_else(PoisonError::into_inner) = None;
    shared.over.notify_all();
}

/// Body of the thread that reads from the debugger.
fn read(mut stream: Stream, events: &Sender<Event>) {
    let mut chunk = [0; 4096];
    loop {
        let event = match stream.read(&mut chunk) {
            Ok(n) if n > 0 => Event::Data(chunk[..n].to_vec()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            _ => Event::Gone,
        };
        let gone = matches!(event, Event::Gone);
        if events.send(event).is_err() || gone {
            return;
        }
    }
}

fn reason(stop: Stop) -> MultiThreadStopReason<u64> {
    match stop {
        Stop::Asked => MultiThreadStopReason::Signal(Signal::SIGINT),
        Stop::Breakpoint { cpu, hardware: false } => MultiThreadStopReason::SwBreak(tid(cpu)),
        Stop::Breakpoint { cpu, hardware: true } => MultiThreadStopReason::HwBreak(tid(cpu)),
        Stop::Watchpoint { cpu, addr, kind } => MultiThreadStopReason::Watch { tid: tid(cpu), kind: watch_kind(kind), addr },
        Stop::Step { cpu } => MultiThreadStopReason::SignalWithThread { tid: tid(cpu), signal: Signal::SIGTRAP },
        Stop::Signal { cpu, signal } => MultiThreadStopReason::SignalWithThread { tid: tid(cpu), signal: signals::shown(signal) },
    }
}

fn cpu_of(stop: Stop) -> Option<u32> {
    match stop {
        Stop::Asked => None,
        Stop::Breakpoint { cpu, .. } | Stop::Watchpoint { cpu, .. } | Stop::Step { cpu } | Stop::Signal { cpu, .. } => Some(cpu),
    }
}

/// Speaks the protocol until its end.
fn talk(stream: Stream, debuggee: &mut Debuggee, machine: &Machine, queue: &Receiver<Event>) -> Outcome {
    let stub = match GdbStub::<Debuggee, Wire>::builder(Wire(BufWriter::new(stream))).packet_buffer_size(PACKET_BYTES).build() {
        Ok(stub) => stub,
        Err(e) => {
            log::error!("gdb: {e}");
            return Outcome::Detached { lost: true };
        }
    };
    let mut protocol = match stub.run_state_machine(debuggee) {
        Ok(p) => p,
        Err(e) => return broken(&e),
    };
    loop {
        let event = if machine.runs_program() {
            match queue.recv_timeout(HURRY) {
                Err(RecvTimeoutError::Timeout) => {
                    machine.debug_hurry();
                    continue;
                }
                other => other.ok(),
            }
        } else {
            queue.recv().ok()
        };
        let Some(event) = event else { break };
        let next = match event {
            Event::Gone => return Outcome::Detached { lost: true },
            Event::Ended(end) => {
                if let Protocol::Running(running) = protocol {
                    let reason = match end {
                        ProgramEnd::Code(code) => MultiThreadStopReason::Exited(code as u8),
                        ProgramEnd::Signal(signal) => MultiThreadStopReason::Terminated(signals::shown(signal)),
                    };
                    let _ = running.report_stop(debuggee, reason);
                }
                return Outcome::Ended;
            }
            Event::Stopped(stop) => match protocol {
                Protocol::Running(running) => {
                    // With the program counter the debugger need not ask for all registers after each step.
                    let pc = cpu_of(stop).and_then(|cpu| debuggee.pc(cpu));
                    let mut expedited = pc.iter().map(|(number, value)| (*number, &value[..]));
                    running.report_stop_with_regs(debuggee, reason(stop), &mut expedited)
                }
                // Told already, or about to be asked.
                other => Ok(other),
            },
            Event::Data(bytes) => feed(protocol, debuggee, machine, &bytes),
        };
        protocol = match next {
            Ok(Protocol::Disconnected(gone)) => {
                return match gone.get_reason() {
                    DisconnectReason::Kill => Outcome::Quit,
                    DisconnectReason::Disconnect => Outcome::Detached { lost: false },
                    DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_) => Outcome::Ended,
                };
            }
            Ok(p) => p,
            Err(e) => return broken(&e),
        };
        if debuggee.quit {
            return Outcome::Quit;
        }
    }
    Outcome::Detached { lost: true }
}

fn broken(e: &impl std::fmt::Display) -> Outcome {
    log::warn!("gdb: {e}");
    Outcome::Detached { lost: true }
}

type Step<'a> = Result<Protocol<'a, Debuggee, Wire>, gdbstub::stub::GdbStubError<std::convert::Infallible, io::Error>>;

/// Gives bytes of the debugger to the protocol.
fn feed<'a>(mut protocol: Protocol<'a, Debuggee, Wire>, debuggee: &mut Debuggee, machine: &Machine, bytes: &[u8]) -> Step<'a> {
    for byte in bytes {
        protocol = match protocol {
            Protocol::Idle(p) => p.incoming_data(debuggee, *byte)?,
            Protocol::Running(p) => p.incoming_data(debuggee, *byte)?,
            other => other,
        };
        if let Protocol::CtrlCInterrupt(p) = protocol {
            // The stop is reported when it has happened.
            machine.debug_stop();
            protocol = p.interrupt_handled(debuggee, None::<MultiThreadStopReason<u64>>)?;
        }
        if matches!(protocol, Protocol::Disconnected(_)) || debuggee.quit {
            break;
        }
    }
    Ok(protocol)
}
