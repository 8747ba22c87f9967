//! Stock gdb against guests with one CPU, except where it is about several.

use emu_test_debug::guest::{ALIAS, COUNTERS, DATA, GO_ON, Guest, SET, WATCHED, WENT_ON, ZEROED, guest};
use emu_test_debug::{Debuggee, LIMIT, gdb, show, values};
use emu_test_kit::process::{self, Console};
use std::process::Command;

fn hex(n: u64) -> String {
    format!("{n:#x}")
}

fn all(list: &[u64]) -> Vec<String> {
    list.iter().map(|n| hex(*n)).collect()
}

/// gdb's commands with the guest, from the beginning of its first CPU; what gdb printed, and the emu.
fn debugged(name: &str, cpus: u64, more: &[&str], commands: impl FnOnce(&Guest) -> Vec<String>) -> (String, Debuggee) {
    let guest = guest(cpus);
    let smp = cpus.to_string();
    let more: Vec<&str> = ["-S", "-smp", &smp].iter().chain(more).copied().collect();
    let emu = Debuggee::start(name, &guest.image, &more);
    let commands = commands(&guest);
    let output = emu.debug(&commands.iter().map(String::as_str).collect::<Vec<_>>());
    (output, emu)
}

fn s(text: &str) -> String {
    text.to_owned()
}

/// Both schedulers of the CPUs.
const CLOCKS: [(&str, &[&str]); 2] = [("threads", &[]), ("icount", &["-icount", "shift=0,seed=3"])];

#[test]
fn starts_stopped_and_steps() {
    for (clock, more) in CLOCKS {
        let g = guest(1);
        let (out, _emu) = debugged(&format!("steps-{clock}"), 1, more, |g| {
            let mut c = vec![show("first", "$pc"), g.to("hbreak", "steps"), s("continue"), show("at", "$pc")];
            for _ in 0..6 {
                c.extend([s("stepi"), show("pc", "$pc")]);
            }
            // Three at once, then over a call to where it returns to.
            c.extend([format!("set $pc={:#x}", g.at("steps")), s("stepi 3"), show("third", "$pc")]);
            c.extend([format!("advance *{:#x}", g.at("returned")), show("next", "$pc")]);
            c
        });
        assert_eq!(values(&out, "first"), all(&[emu_test_robustness::guest::BASE]), "{clock}");
        assert_eq!(values(&out, "at"), all(&[g.at("steps")]));
        let over = g.at("over");
        assert_eq!(values(&out, "pc"), all(&[g.at("steps") + 4, over, over + 4, g.at("function"), g.at("returned"), g.at("returned") + 4]));
        assert_eq!(values(&out, "third"), all(&[over + 4]));
        assert_eq!(values(&out, "next"), all(&[g.at("returned")]));
    }
}

#[test]
fn breakpoints_of_both_kinds() {
    let (out, _emu) = debugged("breakpoints", 1, &[], |g| {
        vec![
            g.to("break", "over"),
            g.to("hbreak", "returned"),
            g.to("tbreak", "registers"),
            s("continue"),
            show("pc", "$pc"),
            s("continue"),
            show("pc", "$pc"),
            s("continue"),
            show("pc", "$pc"),
            s("delete"),
            // With a condition, in a loop: gdb steps over it each time.
            format!("{} if $x1 == 3", g.to("break", "count")),
            g.to("break", "stored"),
            s("continue"),
            show("pc", "$pc"),
            s("info breakpoints"),
        ]
    });
    let g = guest(1);
    assert_eq!(values(&out, "pc"), all(&[g.at("over"), g.at("returned"), g.at("registers"), g.at("stored")]));
    assert!(out.contains("Breakpoint 1, ") && out.contains("Breakpoint 2, ") && out.contains("Temporary breakpoint 3, "));
}

#[test]
fn the_guest_sees_registers_that_were_written() {
    let (out, mut emu) = debugged("registers", 1, &[], |g| {
        vec![
            g.to("break", "registers"),
            g.to("break", "stored"),
            g.to("break", "spin"),
            s("continue"),
            s("set $x5 = 0x1122334455667788"),
            s("set $v3.d.u[1] = 0xa1b2c3d4e5f60718"),
            s("set $TPIDR_EL1 = 0x7654321012345678"),
            s("set $cpsr = $cpsr | 0x40000000"),
            s("set $sp = 0x40700000"),
            show("x5", "$x5"),
            show("v3", "$v3.d.u[1]"),
            show("tpidr", "$TPIDR_EL1"),
            s("continue"),
            show("word", &format!("*(unsigned long*){:#x}", DATA + 0x40)),
            show("word", &format!("*(unsigned long*){:#x}", DATA + 0x48)),
            show("word", &format!("*(unsigned long*){:#x}", DATA + 0x50)),
            show("word", &format!("*(unsigned long*){:#x}", DATA + 0x58)),
            show("word", &format!("*(unsigned long*){:#x}", DATA + 0x60)),
            // System registers: as the guest has set them, constants, and what cannot be written.
            show("vbar", "$VBAR_EL1"),
            show("el", "$CurrentEL >> 2"),
            show("midr", "$MIDR_EL1"),
            s("set $MIDR_EL1 = 1"),
            s("info registers system"),
            s("continue"),
            show("sctlr", "$SCTLR_EL1 & 1"),
            format!("set *(int*){GO_ON:#x} = 1"),
            s("detach"),
        ]
    });
    let written = [0x1122334455667788, 0xa1b2c3d4e5f60718, 0x7654321012345678];
    assert_eq!(["x5", "v3", "tpidr"].map(|n| values(&out, n)[0].clone()).to_vec(), all(&written));
    assert_eq!(values(&out, "word"), all(&[written[0], written[1], written[2], 1, 0x40700000]));
    let g = guest(1);
    assert_eq!(values(&out, "vbar"), all(&[g.at("vectors")]));
    assert_eq!((values(&out, "el"), values(&out, "sctlr")), (all(&[1]), all(&[1])));
    assert!(values(&out, "midr")[0] != "0x0" && out.contains("Could not write register \"MIDR_EL1\""));
    for name in ["TTBR0_EL1", "ESR_EL1", "CNTVCT_EL0", "ICC_PMR_EL1"] {
        assert!(out.lines().any(|l| l.starts_with(name) && l.contains("0x")), "{name}");
    }
    emu.console.expect(WENT_ON, LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(emu.console.wait(LIMIT).code, Some(0));
}

#[test]
fn an_exception_shows_in_its_registers() {
    let (out, _emu) = debugged("svc", 1, &[], |g| {
        vec![g.to("break", "svc"), s("continue"), s("stepi"), show("pc", "$pc"), show("esr", "$ESR_EL1"), show("elr", "$ELR_EL1")]
    });
    let g = guest(1);
    // EC 0x15, IL, the immediate; from EL1 with its own stack pointer.
    assert_eq!(values(&out, "esr"), all(&[0x15 << 26 | 1 << 25 | 7]));
    assert_eq!(values(&out, "pc"), all(&[g.at("vectors") + 0x200]));
    assert_eq!(values(&out, "elr"), all(&[g.at("svc") + 4]));
}

#[test]
fn watchpoints() {
    for (clock, more) in CLOCKS {
        let watch = format!("*(unsigned long*){WATCHED:#x}");
        let zeroed = format!("*(unsigned long*){:#x}", ZEROED + 0x10);
        let (out, _emu) = debugged(&format!("watch-{clock}"), 1, more, |g| {
            vec![
                g.to("break", "registers"),
                s("continue"),
                format!("watch {watch}"),
                s("continue"),
                show("write", "$pc"),
                show("value", &watch),
                // LDXR and STXR make one update.
                s("continue"),
                show("exclusive", "$pc"),
                show("value", &watch),
                s("delete"),
                format!("set $pc = {:#x}", g.at("registers")),
                format!("set {watch} = 0"),
                format!("rwatch {watch}"),
                s("continue"),
                show("read", "$pc"),
                s("delete"),
                format!("set $pc = {:#x}", g.at("registers")),
                format!("awatch {watch}"),
                s("continue"),
                show("access", "$pc"),
                s("continue"),
                show("access", "$pc"),
                s("delete"),
                format!("set {zeroed} = 0x77"),
                format!("watch {zeroed}"),
                s("continue"),
                show("zeroed", "$pc"),
                show("left", &zeroed),
                s("delete"),
                s("set output-radix 16"),
                format!("watch *(unsigned short*){:#x}", SET + 0x12),
                s("continue"),
                show("set", "$pc"),
                s("delete"),
                g.to("break", "spin"),
                s("continue"),
                show("end", "$pc"),
            ]
        });
        let g = guest(1);
        assert_eq!(values(&out, "write"), all(&[g.at("after writer")]), "{clock}");
        assert_eq!(values(&out, "exclusive"), all(&[g.at("after exclusive")]));
        assert_eq!(values(&out, "value"), all(&[0x55, 0x56]));
        assert!(out.contains("Old value = 0\nNew value = 85") && out.contains("Old value = 85\nNew value = 86"));
        assert_eq!(values(&out, "read"), all(&[g.at("after reader")]));
        assert_eq!(values(&out, "access"), all(&[g.at("after reader"), g.at("after writer")]));
        assert_eq!((values(&out, "zeroed"), values(&out, "left")), (all(&[g.at("after zva")]), all(&[0])));
        // A helper's access is reported behind its instruction, one of three, and gdb steps once more.
        let pc = u64::from_str_radix(&values(&out, "set")[0][2..], 16).unwrap();
        assert!(pc > g.at("set") + 4 && pc <= g.at("after set") + 4, "{pc:#x}");
        assert!(out.contains("New value = 0x5555"));
        assert_eq!(values(&out, "end"), all(&[g.at("spin")]));
    }
}

#[test]
fn memory_by_virtual_address() {
    let alias = ALIAS + DATA;
    let (out, _emu) = debugged("memory", 1, &[], |g| {
        vec![
            // The MMU is off: there is nothing at the alias.
            g.to("break", "mapped"),
            show("early", &format!("*(unsigned long*){alias:#x}")),
            s("continue"),
            format!("set *(unsigned long*){alias:#x} = 0x1234567890"),
            show("alias", &format!("*(unsigned long*){alias:#x}")),
            show("same", &format!("*(unsigned long*){DATA:#x}")),
            s("x/x 0xffff000000000000"),
            s("set *(int*)0x3000000000 = 1"),
            // Over the end of what is mapped: what is there is read.
            s("x/2xb 0x43ffffff"),
            // Code that is written is the code that runs: NOP becomes MOV x3, #9.
            format!("set *(unsigned int*){:#x} = 0xd2800123", g.at("mapped")),
            s("stepi"),
            show("x3", "$x3"),
        ]
    });
    assert!(values(&out, "early") == ["0x"] && out.contains(&format!("Cannot access memory at address {alias:#x}")));
    assert_eq!((values(&out, "alias"), values(&out, "same")), (all(&[0x1234567890]), all(&[0x1234567890])));
    for missing in ["0xffff000000000000", "0x3000000000", "0x44000000"] {
        assert!(out.contains(&format!("Cannot access memory at address {missing}")), "{missing}");
    }
    assert!(out.contains("0x43ffffff:"));
    assert_eq!(values(&out, "x3"), all(&[9]));
}

#[test]
fn four_cpus_are_four_threads() {
    for (clock, more) in CLOCKS {
        let counter = |n: u64| format!("*(unsigned long*){:#x}", COUNTERS + 64 * n);
        let (out, _emu) = debugged(&format!("smp-{clock}"), 4, more, |g| {
            let mut c = vec![s("info threads"), g.to("break", "spin"), s("continue"), s("info threads"), s("delete")];
            // A breakpoint for one of them, in code that three of them run.
            c.extend([format!("{} thread 3", g.to("break", "count")), s("continue"), s("thread"), show("mpidr", "$MPIDR_EL1 & 0xff"), s("delete")]);
            // Alone, it counts once around the loop; the others stand still.
            c.extend([s("set scheduler-locking on"), show("other", &counter(1)), show("own", &counter(2))]);
            c.extend(vec![s("stepi"); 4]);
            c.extend([show("pc", "$pc"), show("other", &counter(1)), show("own", &counter(2)), s("set scheduler-locking off")]);
            // With them, they count on.
            c.extend([format!("{} thread 4", g.to("break", "counted")), s("continue"), show("mpidr", "$MPIDR_EL1 & 0xff")]);
            c.extend([s("thread apply all -q printf \"thread=0x%lx\\n\", $MPIDR_EL1 & 0xff")]);
            c
        });
        let lists: Vec<&str> = out.lines().filter(|l| l.contains("Thread 1.")).collect();
        assert!(lists.len() >= 8, "{clock}: {lists:?}");
        assert!(lists[0].contains("CPU 0: running") && lists[3].contains("CPU 3: off"), "{lists:?}");
        assert!(lists[4..8].iter().all(|l| l.contains(": running")), "{lists:?}");
        assert!(out.contains("[Current thread is 3 (Thread 1.3)]"), "{clock}");
        assert_eq!(values(&out, "mpidr"), all(&[2, 3]));
        let (own, other) = (values(&out, "own"), values(&out, "other"));
        let number = |t: &str| u64::from_str_radix(&t[2..], 16).unwrap();
        assert_eq!(number(&own[1]), number(&own[0]) + 1);
        assert_eq!(other[0], other[1]);
        assert_eq!(values(&out, "pc"), all(&[guest(4).at("count")]));
        let mut threads = values(&out, "thread");
        threads.sort();
        assert_eq!(threads, all(&[0, 1, 2, 3]));
    }
}

#[test]
fn watchpoints_see_all_cpus() {
    let watch = format!("*(unsigned long*){:#x}", COUNTERS + 64 * 2);
    let (out, _emu) = debugged("smp-watch", 4, &[], |g| {
        vec![g.to("break", "spin"), s("continue"), s("delete"), format!("watch {watch}"), s("continue"), show("pc", "$pc"), s("thread")]
    });
    assert_eq!(values(&out, "pc"), all(&[guest(4).at("counted")]));
    assert!(out.contains("[Current thread is 3 (Thread 1.3)]"));
}

/// gdb with a terminal's manners: Ctrl-C while the guest runs.
#[test]
fn ctrl_c_stops_a_running_guest() {
    for (clock, more) in CLOCKS {
        let g = guest(2);
        let args: Vec<&str> = ["-smp", "2"].iter().chain(more).copied().collect();
        let mut emu = Debuggee::start(&format!("ctrl-c-{clock}"), &g.image, &args);
        emu.console.expect("ready\n", LIMIT).unwrap_or_else(|e| panic!("{e}"));
        let mut command = gdb();
        for c in emu.connect() {
            command.args(["-ex", &c]);
        }
        let mut debugger = Console::start(&mut command).unwrap_or_else(|e| panic!("{e}"));
        debugger.send("printf \"attached=%d\\n\", 1\ncontinue\n").unwrap();
        let mut expect = |text: &str| debugger.expect(text, LIMIT).unwrap_or_else(|e| panic!("{clock}: {e}\n{}", emu.console.errors()));
        expect("attached=1");
        expect("Continuing.");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let id = debugger.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().is_ok_and(|s| s.success()));
        let mut expect = |text: &str| debugger.expect(text, LIMIT).unwrap_or_else(|e| panic!("{clock}: {e}\n{}", emu.console.errors()));
        expect("received signal SIGINT");
        // It stands still.
        let count = show("count", &format!("*(unsigned long*){DATA:#x}"));
        debugger.send(&format!("{count}\nshell sleep 0.3\n{count}\nset *(int*){GO_ON:#x} = 1\ncontinue\n")).unwrap();
        let told = debugger.expect("[Inferior 1 (process 1) exited normally]", LIMIT).unwrap_or_else(|e| panic!("{clock}: {e}"));
        let counts: Vec<&str> = told.lines().filter_map(|l| l.split("count=").nth(1)).collect();
        assert!(counts.len() == 2 && counts[0] == counts[1] && counts[0] != "0x0", "{clock}: {told}");
        let done = emu.console.wait(LIMIT);
        assert!(done.code == Some(0) && done.text().contains(WENT_ON), "{clock}: {}", done.errors());
    }
}

#[test]
fn time_stands_still_while_stopped() {
    let (out, _emu) = debugged("time", 1, &[], |g| {
        let count = show("count", "$CNTVCT_EL0");
        vec![g.to("break", "over"), s("continue"), count.clone(), s("shell sleep 0.5"), count, s("stepi 10"), show("later", "$CNTVCT_EL0")]
    });
    let number = |t: &str| u64::from_str_radix(&t[2..], 16).unwrap();
    let counts = values(&out, "count");
    assert_eq!(counts[0], counts[1]);
    // 0.4 s at 62.5 MHz: far less than that has passed in ten steps.
    let passed = number(&values(&out, "later")[0]) - number(&counts[0]);
    assert!(passed < 25_000_000, "{passed}");
}

#[test]
fn detach_and_attach_again() {
    let g = guest(1);
    let mut emu = Debuggee::start("detach", &g.image, &["-S"]);
    // A debugger that does not come to say goodbye leaves a machine that was never started as it is.
    drop(std::os::unix::net::UnixStream::connect(emu.socket()).unwrap());
    let out = emu.debug(&[&g.to("break", "steps"), "continue", "detach"]);
    assert!(out.contains("detached"));
    emu.console.expect("ready\n", LIMIT).unwrap_or_else(|e| panic!("{e}"));
    // Looking in for a moment does not stop a machine that runs.
    drop(std::os::unix::net::UnixStream::connect(emu.socket()).unwrap());
    // gdb's own end detaches too.
    let out = emu.debug(&[&show("pc", "$pc"), &g.to("break", "spin"), "continue", &format!("set *(int*){GO_ON:#x} = 1")]);
    // It has just said so, or is in its loop.
    let pc = u64::from_str_radix(&values(&out, "pc")[0][2..], 16).unwrap();
    assert!((g.at("mapped")..g.at("spin") + 20).contains(&pc), "{pc:#x}");
    emu.console.expect(WENT_ON, LIMIT).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(emu.console.wait(LIMIT).code, Some(0));
}

#[test]
fn code_that_runs_can_be_changed() {
    for (clock, more) in CLOCKS {
        let g = guest(2);
        let args: Vec<&str> = ["-smp", "2"].iter().chain(more).copied().collect();
        let mut emu = Debuggee::start(&format!("patch-{clock}"), &g.image, &args);
        emu.console.expect("ready\n", LIMIT).unwrap_or_else(|e| panic!("{e}"));
        // No breakpoint was ever there. The branch that keeps the guest in its loop becomes a NOP.
        emu.debug(&[&format!("set *(unsigned int*){:#x} = 0xd503201f", g.at("spin") + 16), "detach"]);
        emu.console.expect(WENT_ON, LIMIT).unwrap_or_else(|e| panic!("{clock}: {e}"));
        assert_eq!(emu.console.wait(LIMIT).code, Some(0));
    }
}

#[test]
fn kill_and_quit_end_emu() {
    for command in ["kill", "monitor quit"] {
        let g = guest(1);
        let emu = Debuggee::start(&format!("end-{}", &command[..4]), &g.image, &["-S"]);
        emu.debug(&["stepi", command]);
        let done = emu.console.wait(LIMIT);
        assert_eq!(done.code, Some(0), "{command}: {}", done.errors());
        assert!(!done.errors().contains("error"), "{}", done.errors());
    }
}

#[test]
fn monitor_commands() {
    for (clock, more) in CLOCKS {
        let (out, _emu) = debugged(&format!("monitor-{clock}"), 4, more, |g| {
            let mut c = vec![s("monitor help"), s("monitor info cpus"), s("monitor frobnicate"), s("monitor info mtree")];
            c.extend([g.to("break", "spin"), s("continue"), s("monitor reset"), s("maintenance flush register-cache"), show("pc", "$pc")]);
            c.extend([s("info threads"), s("continue"), show("again", "$pc")]);
            c
        });
        assert!(out.contains("reset the machine"), "{clock}");
        assert!(out.contains("CPU 0 (thread 1): running") && out.contains("CPU 3 (thread 4): off"));
        assert!(out.contains("there is no command 'frobnicate'"));
        assert!(out.contains("RAM ram"));
        assert!(out.contains("the machine has been reset"));
        assert_eq!(values(&out, "pc"), all(&[emu_test_robustness::guest::BASE]), "{clock}");
        assert_eq!(values(&out, "again"), all(&[guest(4).at("spin")]), "{clock}");
    }
}

#[test]
fn tcp() {
    let mut command = emu_test_kit::emu::command().unwrap_or_else(|e| panic!("{e}"));
    let console = Console::start(command.args(["-M", "virt", "-serial", "null", "--timeout", "60s", "-S", "-gdb", "tcp:localhost:0"])).unwrap();
    let started = std::time::Instant::now();
    let place = loop {
        let errors = console.errors();
        if let Some((_, place)) = errors.split_once("target remote ").filter(|(_, p)| p.ends_with('\n')) {
            break place.trim().to_owned();
        }
        assert!(started.elapsed() < LIMIT, "{errors}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let mut command = gdb();
    command.args([
        "-batch",
        "-ex",
        "set architecture aarch64",
        "-ex",
        &format!("target remote {place}"),
        "-ex",
        "stepi",
        "-ex",
        &show("pc", "$pc"),
        "-ex",
        "kill",
    ]);
    let done = process::run(&mut command, LIMIT).unwrap();
    assert_eq!(values(&done.text(), "pc").len(), 1, "{}\n{}", done.text(), done.errors());
    assert_eq!(console.wait(LIMIT).code, Some(0));
}

#[test]
fn mistakes_are_sentences() {
    let refuse = |args: &[&str], texts: &[&str]| {
        let mut command = emu_test_kit::emu::command().unwrap_or_else(|e| panic!("{e}"));
        let done = process::run(command.args(["-M", "virt"]).args(args), LIMIT).unwrap_or_else(|e| panic!("{e}"));
        let errors = done.errors();
        assert_eq!(done.code, Some(2), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
        assert!(errors.starts_with("error: ") && texts.iter().all(|t| errors.contains(t)), "{args:?}: {errors}");
    };
    refuse(&["-gdb", "1234"], &["-gdb 1234", "tcp::1234"]);
    refuse(&["-gdb", "tcp::port"], &["'port' is no port"]);
    refuse(&["-gdb", "stdio"], &["not implemented"]);
    refuse(&["-gdb", "unix:/nonexistent/folder/gdb"], &["/nonexistent/folder/gdb"]);
    refuse(&["-S"], &["-S: ", "-gdb"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    refuse(&["-gdb", &format!("tcp::{port}")], &["in use", &port.to_string()]);
}
