//! emu on a terminal: raw while the guest has it, as before afterwards, whatever ends the run; the escape key; the hint.

use emu_test_plugins::rv64i::*;
use emu_test_plugins::{Scratch, emu, path_list, rv64i_plugin, tiny_plugin};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// emu with the echo program on a pseudo-terminal.
struct Terminal {
    near: File,
    far: File,
    output: Arc<Mutex<Vec<u8>>>,
    child: Child,
    _scratch: Scratch,
}

fn echo() -> Program {
    let mut p = Program::default();
    p.print("> ").add(&[lui(5, CONSOLE_HI), i(0x03, 4, 6, 5, 4), b(0, 6, 0, -4), i(0x03, 4, 6, 5, 0), s(0, 5, 6, 0), jal(0, -16)]);
    p
}

impl Terminal {
    fn start(name: &str, more: &[&str]) -> Terminal {
        let fd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&fd).unwrap();
        unlockpt(&fd).unwrap();
        let path = ptsname(&fd, Vec::new()).unwrap().into_string().unwrap();
        let far = File::options().read(true).write(true).open(path).unwrap();
        let scratch = Scratch::new(name);
        let image = scratch.file("echo.bin", &echo().bytes());
        let stdio = || Stdio::from(far.try_clone().unwrap());
        let child = Command::new(emu())
            .args(["--plugin-path", &path_list(&[rv64i_plugin(), tiny_plugin()]), "-M", "tiny", "-kernel", image.to_str().unwrap()])
            .args(more)
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let near = File::from(fd);
        let output = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, sink) = (near.try_clone().unwrap(), Arc::clone(&output));
        std::thread::spawn(move || {
            let mut chunk = [0; 1024];
            while let Ok(n) = reader.read(&mut chunk) {
                sink.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        });
        Terminal { near, far, output, child, _scratch: scratch }
    }
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }
    fn expect(&self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.text().contains(text) {
            assert!(Instant::now() < until, "{text:?} does not appear in {:?}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    fn send(&mut self, keys: &[u8]) {
        self.near.write_all(keys).unwrap();
    }
    fn modes(&self) -> LocalModes {
        tcgetattr(&self.far).unwrap().local_modes
    }
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
    fn end(mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                let _ = self.child.kill();
                panic!("emu does not end; output: {:?}", self.text());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(self.modes().contains(LocalModes::ICANON | LocalModes::ECHO), "the terminal is still raw");
        status
    }
}

#[test]
fn escape_key() {
    let mut t = Terminal::start("escape", &[]);
    t.expect("> ");
    t.expect("(Ctrl-A x quits emu");
    assert!(!t.modes().intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    // Ctrl-C is the guest's.
    t.send(b"ab\x03");
    t.expect("ab\x03");
    t.send(b"\x01h");
    t.expect("Ctrl-A x  quit emu");
    t.send(b"\x01\x01z");
    t.expect("\x01z");
    assert_eq!(t.text().matches("quits emu").count(), 1);
    t.send(b"\x01x");
    assert_eq!(t.end().code(), Some(0));
}

#[test]
fn plain_stdio_leaves_control_c_to_emu() {
    let t = Terminal::start("plain", &["-serial", "stdio"]);
    t.expect("> ");
    let modes = t.modes();
    assert!(modes.contains(LocalModes::ISIG) && !modes.contains(LocalModes::ICANON));
    // What the key sends when the terminal is the process's own.
    t.signal(Signal::INT);
    assert_eq!(t.end().signal(), Some(Signal::INT.as_raw()));
}

/// As under `nohup`.
#[test]
fn a_signal_that_is_to_be_ignored_is() {
    let scratch = Scratch::new("ignored");
    let image = scratch.file("echo.bin", &echo().bytes());
    let mut child = Command::new("/bin/sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", emu().to_str().unwrap()])
        .args(["--plugin-path", &path_list(&[rv64i_plugin(), tiny_plugin()]), "-M", "tiny", "-kernel", image.to_str().unwrap(), "--stats"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut expect = |text: &[u8]| {
        let mut got = vec![0; text.len()];
        output.read_exact(&mut got).unwrap();
        assert_eq!(got, text);
    };
    expect(b"> ");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    input.write_all(b"a").unwrap();
    expect(b"a");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn signals_and_limits_give_the_terminal_back() {
    // All but SIGQUIT let the machine end as it does by itself.
    for (signal, in_order) in [(Signal::TERM, true), (Signal::HUP, true), (Signal::INT, true), (Signal::QUIT, false)] {
        let t = Terminal::start(&format!("signal{}", signal.as_raw()), &["--stats"]);
        t.expect("> ");
        t.signal(signal);
        if in_order {
            t.expect("dispatches: ");
        }
        let output = Arc::clone(&t.output);
        assert_eq!(t.end().signal(), Some(signal.as_raw()));
        assert_eq!(String::from_utf8_lossy(&output.lock().unwrap()).contains("dispatches: "), in_order);
    }
    let t = Terminal::start("limit", &["--timeout", "300ms"]);
    t.expect("> ");
    assert_eq!(t.end().code(), Some(124));
    // A mistake found after the terminal is open.
    let t = Terminal::start("mistake", &["-M", "tiny,greeting=x"]);
    assert_eq!(t.end().code(), Some(2));
}
