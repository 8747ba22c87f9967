//! Stock gdb debugs programs (`-g`): breakpoints, steps, registers, memory, threads, signals, the end.

use emu_test_debug::{LIMIT, gdb, show, values};
use emu_test_kit::process::{self, Console};
use emu_test_user::{ENGINES, command, compiled, riscv64_compiled};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

/// emu with the program that waits for gdb, and gdb about to connect.
struct Debugged {
    emu: Console,
    gdb: Command,
    socket: PathBuf,
}

fn debugged(name: &str, engine: &[&str], program: &Path, root: Option<&Path>, arguments: &[&str]) -> Debugged {
    let socket = std::env::temp_dir().join(format!("emu-user-gdb-{}-{name}", std::process::id()));
    let place = socket.display().to_string();
    let mut command = command(&[engine, &["-g", &place]].concat(), root, program, arguments).unwrap();
    let emu = Console::start(&mut command).unwrap();
    let started = Instant::now();
    while !emu.errors().contains("waiting for a debugger") {
        assert!(started.elapsed() < LIMIT, "emu does not listen: {}", emu.errors());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut gdb = gdb();
    let sysroot = format!("set sysroot {}", root.map_or("/nowhere".into(), |r| r.display().to_string()));
    for c in [
        "set pagination off",
        "set confirm off",
        "set remotetimeout 60",
        &sysroot,
        &format!("file {}", program.display()),
        &format!("target remote {place}"),
    ] {
        gdb.args(["-ex", c]);
    }
    Debugged { emu, gdb, socket }
}

impl Debugged {
    /// gdb's text, emu's text and code.
    fn run(mut self, commands: &[&str]) -> (String, String, Option<i32>) {
        self.gdb.arg("-batch");
        for c in commands {
            self.gdb.args(["-ex", c]);
        }
        let done = process::run(&mut self.gdb, LIMIT).unwrap();
        let text = format!("{}\n{}", done.text(), done.errors());
        println!("{text}");
        assert!(!done.timed_out, "gdb does not come to an end: {}", self.emu.errors());
        let emu = self.emu.wait(LIMIT);
        println!("emu: {:?} {}\n{}", emu.code, emu.text(), emu.errors());
        assert!(!self.socket.exists());
        (text, emu.text(), emu.code)
    }
}

/// The program, of each kind made once: tests run beside each other.
fn program(kind: &'static str) -> PathBuf {
    static MADE: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    let make = || {
        let options = ["-g", "-O0", "-static"];
        let (from, _) = match kind {
            "riscv64" => riscv64_compiled("debugged", &options),
            "dynamic" => compiled("debugged", &options[..2]),
            _ => compiled("debugged", &options),
        }
        .unwrap();
        let to = from.with_file_name(format!("debugged-{kind}"));
        std::fs::rename(from, &to).unwrap();
        to
    };
    made.entry(kind).or_insert_with(make).clone()
}

fn static_of(architecture: &'static str) -> PathBuf {
    program(architecture)
}

#[test]
fn breakpoints_steps_registers_memory_and_the_exit_code() {
    for (architecture, argument) in [("arm64", "$x0"), ("riscv64", "$a0")] {
        let program = static_of(architecture);
        for (n, engine) in ENGINES.into_iter().enumerate() {
            let name = format!("steps-{architecture}-{n}");
            let (a, pc) = (show("a", argument), show("pc", "$pc == (unsigned long)&add"));
            let commands = [
                "break *add",
                "continue",
                &pc,
                &a,
                "stepi",
                &show("pc", "$pc > (unsigned long)&add && $pc < (unsigned long)&add + 16"),
                "delete",
                "break *add",
                "continue",
                &a,
                // Another argument, and what follows from it.
                &format!("set {argument} = 100"),
                "finish",
                &show("result", "result"),
                "set var result = 5",
                &show("result", "result"),
                "delete",
                "watch watched",
                "continue",
                "continue",
            ];
            let (text, _, code) = debugged(&name, engine, &program, None, &["exit"]).run(&commands);
            assert_eq!(values(&text, "pc"), ["0x1", "0x1"], "{name}");
            assert_eq!(values(&text, "a"), ["0x0", "0xe"], "{name}");
            assert_eq!(values(&text, "result"), ["0x72", "0x5"], "{name}");
            assert!(text.contains("Old value = 0") && text.contains("New value = 128"), "{name}");
            assert!(text.contains("exited with code 01]"), "{name}");
            assert_eq!(code, Some(1), "{name}");
        }
    }
}

/// The C library's memset and memcpy, by the CPU's own instructions for them where there are such (arm64).
#[test]
fn watchpoints_in_the_middle_of_blocks() {
    for architecture in ["arm64", "riscv64"] {
        let program = static_of(architecture);
        for (n, engine) in ENGINES.into_iter().enumerate() {
            let name = format!("blocks-{architecture}-{n}");
            let commands = ["watch block[100]", "continue", "delete", "watch copy[100]", "continue", "delete", "continue"];
            let (text, _, code) = debugged(&name, engine, &program, None, &["memory"]).run(&commands);
            let news = text.matches("New value = 7 '\\a'").count();
            assert_eq!((news, code), (2, Some(7)), "{name}\n{text}");
        }
    }
}

#[test]
fn symbols_of_a_position_independent_program_and_its_libraries() {
    let (program, root) = (program("dynamic"), emu_test_user::root("user-compilers").unwrap());
    let commands = ["break add", "continue", "backtrace", "info sharedlibrary", "info auxv", "delete", "continue"];
    let (text, _, code) = debugged("dynamic", &[], &program, Some(&root), &["exit"]).run(&commands);
    assert!(text.contains("Breakpoint 1, add (a=0, b=14)") && text.contains("#1 ") && text.contains("in main (argc=2"), "no symbols");
    assert!(text.contains("libc.so.6") && text.contains("AT_ENTRY"));
    assert!(text.contains("exited with code 07]"));
    assert_eq!(code, Some(7));
}

#[test]
fn signals_are_stops_and_go_on_or_not() {
    for (n, engine) in ENGINES.into_iter().enumerate() {
        // Goes on to the handler; does not; ends the program, but is not let; a fault ends it.
        let commands = ["continue", "continue", "signal 0", "signal 0", "continue"];
        let (text, emu, code) = debugged(&format!("signals-{n}"), engine, &static_of("arm64"), None, &["signals"]).run(&commands);
        let stops: Vec<&str> = text.lines().filter_map(|l| l.split("signal ").nth(1)?.split(',').next()).filter(|l| l.starts_with("SIG")).collect();
        assert_eq!(stops, ["SIGUSR1", "SIGUSR1", "SIGTERM", "SIGSEGV", "SIGSEGV"]);
        assert_eq!(emu, "first 10\nsecond 10\nthird\n");
        assert!(text.contains("Program terminated with signal SIGSEGV"));
        assert_eq!(code, None);
    }
    let (text, ..) = debugged("abort", &[], &static_of("riscv64"), None, &["abort"]).run(&["continue", "continue"]);
    assert!(text.contains("Program received signal SIGABRT") && text.contains("Program terminated with signal SIGABRT"));
}

#[test]
fn ctrl_c_stops_threads_that_run_and_that_wait() {
    for (n, engine) in ENGINES.into_iter().enumerate() {
        let mut d = debugged(&format!("threads-{n}"), engine, &static_of("arm64"), None, &["threads"]);
        let mut debugger = Console::start(&mut d.gdb).unwrap();
        debugger.send("continue\n").unwrap();
        d.emu.expect("ready\n", LIMIT).unwrap_or_else(|e| panic!("{e}"));
        debugger.expect("Continuing.", LIMIT).unwrap();
        for round in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(200));
            assert!(Command::new("kill").args(["-INT", &debugger.id().to_string()]).status().is_ok_and(|s| s.success()));
            debugger.expect("received signal SIGINT", LIMIT).unwrap_or_else(|e| panic!("{e}"));
            let spins = show("spins", "spins");
            debugger
                .send(&format!("info threads\n{spins}\nshell sleep 0.1\n{spins}\nthread apply all backtrace 2\nprintf \"round=%d\\n\", {round}\n"))
                .unwrap();
            let told = debugger.expect(&format!("round={round}"), LIMIT).unwrap_or_else(|e| panic!("{e}"));
            println!("{told}");
            let spins: Vec<&str> = told.lines().filter_map(|l| l.split("spins=").nth(1)).collect();
            assert!(spins.len() == 2 && spins[0] == spins[1] && spins[0] != "0x0", "{spins:?}");
            assert_eq!(told.lines().filter(|l| l.contains("Thread 1.") && l.contains("(thread ")).count(), 10, "{told}");
            debugger.send("continue\n").unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(Command::new("kill").args(["-INT", &debugger.id().to_string()]).status().is_ok_and(|s| s.success()));
        debugger.expect("received signal SIGINT", LIMIT).unwrap_or_else(|e| panic!("{e}"));
        debugger.send("set var go = 1\ncontinue\n").unwrap();
        debugger.expect("exited with code 03]", LIMIT).unwrap_or_else(|e| panic!("{e}"));
        let done = d.emu.wait(LIMIT);
        // None of the calls that waited has heard of it.
        let mut lines: Vec<String> = done.text().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!((lines.join(" ").as_str(), done.code), ("done reader 1 0 ready sleeper 0", Some(3)), "{}", done.errors());
    }
}

#[test]
fn children_run_without_the_debugger() {
    let commands = ["break add", "continue", "continue"];
    let (text, emu, code) = debugged("children", &[], &static_of("arm64"), None, &["children"]).run(&commands);
    assert_eq!((emu.as_str(), code), ("children 28\n", Some(0)));
    assert!(text.contains("exited normally]"));
}

#[test]
fn kill_ends_it_and_detaching_lets_it_go_on() {
    let (_, emu, code) = debugged("kill", &[], &static_of("arm64"), None, &["exit"]).run(&["break add", "continue", "kill"]);
    assert_eq!((emu.as_str(), code), ("", Some(0)));
    for command in ["detach", "disconnect"] {
        let (_, _, code) = debugged(command, &[], &static_of("arm64"), None, &["exit"]).run(&["break add", "continue", "delete", command]);
        assert_eq!(code, Some(7), "{command}");
    }
}
