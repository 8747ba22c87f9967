//! Every call, made by a guest; QEMU makes the same answers where the specification leaves no choice.

use emu_a64_asm::*;
use emu_test_kit::Console;
use emu_test_semihosting::*;
use std::time::Duration;

/// What a guest printed on the debug channel (standard error): names and values.
fn values(text: &str) -> Vec<(String, u64)> {
    let pair = |l: &str| l.split_once('=').and_then(|(k, v)| u64::from_str_radix(v, 16).ok().map(|v| (k.to_owned(), v)));
    text.lines().filter_map(pair).collect()
}

fn value(text: &str, name: &str) -> u64 {
    let found = values(text).into_iter().find(|(k, _)| k == name);
    found.unwrap_or_else(|| panic!("no '{name}' in:\n{text}")).1
}

/// Calls whose answers leave no choice, on files in the current folder.
fn portable() -> Vec<u8> {
    const MINUS_1: u64 = u64::MAX;
    let mut p = Program::new();
    p.say("begin\n");
    p.text(X1, "c");
    p.trap(op::WRITEC);
    p.say("\n");
    // A new file: written, measured, read back.
    p.open(0, "one", 6);
    let text = "0123456789abcdef";
    p.show("write", op::WRITE, &[Handle(0), Text(text), Is(16)]);
    p.show("flen", op::FLEN, &[Handle(0)]);
    p.show("istty", op::ISTTY, &[Handle(0)]);
    p.show("seek", op::SEEK, &[Handle(0), Is(4)]);
    p.show("read", op::READ, &[Handle(0), Is(BUFFER), Is(8)]);
    p.show_memory("data", BUFFER);
    p.show("read the rest", op::READ, &[Handle(0), Is(BUFFER), Is(100)]);
    p.show("read at the end", op::READ, &[Handle(0), Is(BUFFER), Is(100)]);
    p.show("close", op::CLOSE, &[Handle(0)]);
    // Renamed, missing, removed.
    p.show("rename", op::RENAME, &[Text("one"), Len("one"), Text("two"), Len("two")]);
    p.call(op::OPEN, &[Text("one"), Is(0), Len("one")]);
    p.report("open what is not there");
    p.call_with(op::ERRNO, 0);
    p.report("errno");
    p.show("remove", op::REMOVE, &[Text("two"), Len("two")]);
    p.call(op::OPEN, &[Text("two"), Is(0), Len("two")]);
    p.report("open what is removed");
    p.call(op::OPEN, &[Text("three"), Is(12), Len("three")]);
    p.report("open in a mode that is none");
    for (name, status) in [("zero", 0), ("plus", 5), ("minus", MINUS_1)] {
        p.call(op::ISERROR, &[Is(status)]);
        p.report(&format!("iserror {name}"));
    }
    p.call_with(op::TICKFREQ, 0);
    p.report("tickfreq");
    p.show("cmdline", op::GET_CMDLINE, &[Is(BUFFER), Is(100)]);
    p.show_memory("its length", BLOCK + 8);
    p.a.mov_imm(X1, BUFFER);
    p.trap(op::WRITE0);
    p.say("\n");
    p.call(op::GET_CMDLINE, &[Is(BUFFER), Is(3)]);
    p.report("cmdline without room");
    p.call(op::OPEN, &[Text(":semihosting-features"), Is(4), Len(":semihosting-features")]);
    p.report("features written");
    p.open(1, ":semihosting-features", 0);
    p.show("read", op::READ, &[Handle(1), Is(BUFFER), Is(5)]);
    p.a.mov_imm(X2, BUFFER);
    p.a.ldr(W0, Addr::Off(X2, 0));
    p.report("magic");
    p.a.mov_imm(X2, BUFFER);
    p.a.ldrb(W0, Addr::Off(X2, 4));
    p.report("features");
    p.show("system", op::SYSTEM, &[Text("exit 0"), Len("exit 0")]);
    p.open(2, ":tt", 4);
    p.show("write out", op::WRITE, &[Handle(2), Text("to the output\n"), Len("to the output\n")]);
    p.open(3, ":tt", 8);
    p.show("write err", op::WRITE, &[Handle(3), Text("to the error\n"), Len("to the error\n")]);
    // What no honest program would say.
    for (name, operation, words) in [
        ("close no handle", op::CLOSE, &[Is(77)][..]),
        ("flen no handle", op::FLEN, &[Is(77)]),
        ("seek no handle", op::SEEK, &[Is(77), Is(0)]),
        ("read no handle", op::READ, &[Is(77), Is(BUFFER), Is(8)]),
        ("write no handle", op::WRITE, &[Is(77), Is(BUFFER), Is(8)]),
        ("write from nowhere", op::WRITE, &[Handle(2), Is(1 << 40), Is(8)]),
        ("read to nowhere", op::READ, &[Handle(1), Is(1 << 40), Is(8)]),
        ("remove what is not there", op::REMOVE, &[Text("nothing"), Len("nothing")]),
        ("open a name nowhere", op::OPEN, &[Is(1 << 40), Is(0), Is(4)]),
        ("tmpnam without room", op::TMPNAM, &[Is(BUFFER), Is(0), Is(2)]),
    ] {
        p.show(name, operation, words);
    }
    p.call_with(op::WRITE, 1 << 40);
    p.report("a block nowhere");
    p.exit(42);
    p.finish()
}

#[test]
fn the_same_bytes_as_qemu() {
    let guest = portable();
    let options = ["-semihosting-config", "enable=on,target=native,arg=hello,arg=big world"];
    let ours = Scratch::new("ours");
    let emu = run(&mut emu(&ours, &guest, &options));
    println!("{}", emu.errors());
    assert_eq!(emu.code, Some(42), "{}", emu.errors());
    let theirs = Scratch::new("theirs");
    let qemu = run(&mut qemu(&theirs, &guest, &options));
    assert_eq!(qemu.code, Some(42), "{}", qemu.errors());
    assert_eq!(emu.text(), qemu.text(), "standard output");
    assert_eq!(emu.errors(), qemu.errors(), "standard error");
    assert!(emu.errors().contains("hello big world\n") && emu.text() == "to the output\n");
    println!("{} results are QEMU's", values(&emu.errors()).len());
}

#[test]
fn files_are_appended_to() {
    // QEMU 10 writes at the beginning of a file that was opened in mode "a"; the specification and fopen say the end.
    let s = Scratch::new("append");
    s.file("log", b"first");
    let mut p = Program::new();
    p.open(0, "log", 8);
    p.show("write", op::WRITE, &[Handle(0), Text(" second"), Is(7)]);
    p.show("close", op::CLOSE, &[Handle(0)]);
    p.open(0, "log", 10);
    p.show("read", op::READ, &[Handle(0), Is(BUFFER), Is(8)]);
    p.show_memory("data", BUFFER);
    p.show("seek", op::SEEK, &[Handle(0), Is(0)]);
    p.show("write", op::WRITE, &[Handle(0), Text("!"), Is(1)]);
    p.exit(0);
    let done = run(&mut emu(&s, &p.finish(), &["-semihosting"]));
    assert_eq!(done.code, Some(0), "{}", done.errors());
    assert_eq!(std::fs::read(s.dir().join("log")).unwrap(), b"first second!");
    assert_eq!(value(&done.errors(), "data"), u64::from_le_bytes(*b"first se"));
}

#[test]
fn time_memory_and_names() {
    let s = Scratch::new("time");
    let mut p = Program::new();
    p.call_with(op::TIME, 0);
    p.report("time");
    p.call_with(op::CLOCK, 0);
    p.report("clock");
    p.call_with(op::ELAPSED, BUFFER);
    p.report("elapsed");
    p.show_memory("t0", BUFFER);
    p.call_with(op::ELAPSED, BUFFER);
    p.show_memory("t1", BUFFER);
    p.show("heapinfo", op::HEAPINFO, &[Is(BUFFER)]);
    for n in 0..4 {
        p.show_memory(&format!("heap{n}"), BUFFER + 8 * n);
    }
    p.show("tmpnam", op::TMPNAM, &[Is(BUFFER), Is(3), Is(100)]);
    p.a.mov_imm(X1, BUFFER);
    p.trap(op::WRITE0);
    p.exit(0);
    let guest = p.finish();
    let done = run(&mut emu(&s, &guest, &["-semihosting"]));
    let text = done.errors();
    println!("{text}");
    assert_eq!(done.code, Some(0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(value(&text, "time")) < 120);
    assert!(value(&text, "clock") < 6000);
    assert_eq!(value(&text, "elapsed"), 0);
    assert!(value(&text, "t0") < value(&text, "t1") && value(&text, "t1") < 60_000_000_000);
    let heap: Vec<u64> = (0..4).map(|n| value(&text, &format!("heap{n}"))).collect();
    // 64 MiB of RAM at 1 GiB, of it what the program does not take; the stack at the other end.
    assert!(heap[0] >= 0x4000_0000 && heap[1] <= 0x4400_0000 && heap[1] - heap[0] > 32 << 20, "{heap:x?}");
    assert!(heap[0] >= BASE + guest.len() as u64 - 0x2000 || heap[1] <= BASE, "not over the program");
    assert_eq!((heap[2], heap[3]), (heap[1], heap[0]));
    assert!(text.trim_end().rsplit('\n').next().unwrap().ends_with("-03"), "the name is for its number");
    // A run that repeats itself, time and all.
    let repeat = |seed: &str| run(&mut emu(&s, &guest, &["-semihosting", "-icount", &format!("shift=3,seed={seed}")])).errors();
    let without_name = |t: String| t.lines().filter(|l| !l.contains("emu-")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_name(repeat("1")), without_name(repeat("1")));
}

#[test]
fn exit_codes() {
    for (operation, reason, code, want) in [
        (op::EXIT, APPLICATION_EXIT, 0, 0),
        (op::EXIT, APPLICATION_EXIT, 1, 1),
        (op::EXIT, APPLICATION_EXIT, 42, 42),
        (op::EXIT_EXTENDED, APPLICATION_EXIT, 0, 0),
        (op::EXIT_EXTENDED, APPLICATION_EXIT, 7, 7),
        // ADP_Stopped_RunTimeErrorUnknown.
        (op::EXIT, 0x2_0023, 0, 1),
    ] {
        let mut p = Program::new();
        p.call(operation, &[Is(reason), Is(code)]);
        let guest = p.finish();
        let (ours, theirs) = (Scratch::new("exit"), Scratch::new("exit-qemu"));
        for options in [&["-semihosting"][..], &["-semihosting", "-smp", "4", "-icount", "shift=2"]] {
            assert_eq!(run(&mut emu(&ours, &guest, options)).code, Some(want), "{operation:#x} {reason:#x} {code}");
        }
        assert_eq!(run(&mut qemu(&theirs, &guest, &["-semihosting"])).code, Some(want), "QEMU: {operation:#x} {reason:#x} {code}");
    }
}

/// A guest that makes a call at EL0 (or at EL1) and powers off by PSCI with what came of it on the way: it loops for ever if the call was
/// answered with `answered` false, or the other way round.
fn trap_guest(el0: bool, answered: bool) -> Vec<u8> {
    let mut a = Asm::new(BASE);
    let (vectors, at, forever, off) = (a.label(), a.label(), a.label(), a.label());
    a.load_address(X0, vectors);
    a.msr(SysReg::VBAR_EL1, X0);
    if el0 {
        let there = a.label();
        a.load_address(X0, there);
        a.msr(SysReg::ELR_EL1, X0);
        a.mov_imm(X0, 0x3c0);
        a.msr(SysReg::SPSR_EL1, X0);
        a.eret();
        a.bind(there);
    }
    a.movz(W0, op::TICKFREQ as u16, 0);
    a.bind(at);
    a.hlt(HLT);
    // Answered: X0 has the frequency, and SVC (or falling through) leads on.
    a.mov(X9, X0);
    a.svc(1);
    a.bind(forever);
    a.b(forever);
    // Every exception comes here.
    let handler = a.here();
    a.mrs(X10, SysReg::ESR_EL1);
    a.mrs(X11, SysReg::ELR_EL1);
    if answered {
        a.mov_imm(X12, 0x5600_0001);
        a.cmp(X10, X12);
        a.b_cond(Cond::Ne, forever);
        a.mov_imm(X12, 1_000_000_000);
        a.cmp(X9, X12);
    } else {
        // EC 0 with IL: an UNDEFINED instruction, at its own address.
        a.mov_imm(X12, 0x0200_0000);
        a.cmp(X10, X12);
        a.b_cond(Cond::Ne, forever);
        a.load_address(X12, at);
        a.cmp(X11, X12);
    }
    a.b_cond(Cond::Ne, forever);
    a.bind(off);
    a.mov_imm(X0, 0x8400_0008);
    a.hvc(0);
    a.align(0x800);
    a.bind(vectors);
    for _ in 0..16 {
        a.b(handler);
        a.align(0x80);
    }
    let bytes = a.finish().expect("the guest assembles");
    let mem_size = bytes.len() as u64;
    elf::executable(BASE, &[elf::Segment { address: BASE, bytes, mem_size, flags: 7 }])
}

#[test]
fn only_who_may_is_answered() {
    let config = |c| ["-semihosting-config", c];
    for (el0, options, answered) in [
        (false, &[][..], false),
        (true, &[], false),
        (false, &["-semihosting"], true),
        (true, &["-semihosting"], false),
        (false, &config("enable=on,userspace=on"), true),
        (true, &config("enable=on,userspace=on"), true),
        (true, &config("enable=off,userspace=on"), false),
        (false, &["-semihosting", "-semihosting-config", "enable=off"], false),
    ] {
        let guest = trap_guest(el0, answered);
        let (ours, theirs) = (Scratch::new("who"), Scratch::new("who-qemu"));
        let done = run(emu(&ours, &guest, options).args(["--timeout", "10s"]));
        assert_eq!(done.code, Some(0), "EL0 {el0}, {options:?}, {answered}: {}", done.errors());
        assert_eq!(run(&mut qemu(&theirs, &guest, options)).code, Some(0), "QEMU: EL0 {el0}, {options:?}");
    }
}

/// Reads a character and then up to 8 bytes from `:tt`, and prints both.
fn reader() -> Vec<u8> {
    let mut p = Program::new();
    p.say("ready\n");
    p.call_with(op::READC, 0);
    p.report("character");
    p.open(0, ":tt", 0);
    p.show("left", op::READ, &[Handle(0), Is(BUFFER), Is(8)]);
    p.show_memory("data", BUFFER);
    p.show("tty", op::ISTTY, &[Handle(0)]);
    p.call_with(op::READC, 0);
    p.report("end");
    p.exit(0);
    p.finish()
}

#[test]
fn input_from_a_script_and_from_standard_input() {
    let s = Scratch::new("input");
    let guest = reader();
    // Everything on the first serial line, where a script types.
    let script = ["-semihosting-config", "chardev=serial0", "-serial", "stdio", "--expect", "ready", "--send", "xhello", "--expect", "end="];
    let mut command = emu(&s, &guest, &script);
    let done = run(&mut command);
    assert_eq!(done.code, Some(0), "{}", done.errors());
    let text = done.text();
    assert!(text.contains("character=0000000000000078") && text.contains("left=0000000000000003"), "{text}");
    // Piped, beside a serial line on standard input that nobody has switched on, and without one.
    for options in [&["-semihosting"][..], &["-semihosting", "-serial", "stdio"]] {
        let mut console = Console::start(&mut emu(&s, &guest, options)).unwrap();
        console.send("xhello").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        console.close();
        let done = console.wait(Duration::from_secs(60));
        let text = done.errors();
        assert_eq!(done.code, Some(0), "{text}");
        assert_eq!([value(&text, "character"), value(&text, "left"), value(&text, "tty")], [0x78, 3, 1]);
        assert_eq!(value(&text, "data") & 0xff_ffff_ffff, 0x6f_6c6c_6568);
        assert_eq!(value(&text, "end"), u64::MAX);
    }
}

#[test]
fn what_waits_for_the_host_ends_with_the_run() {
    let s = Scratch::new("wait");
    let mut p = Program::new();
    p.call(op::SYSTEM, &[Text("exec sleep 100"), Len("exec sleep 100")]);
    for (guest, options) in [(reader(), &["-semihosting"][..]), (reader(), &["-semihosting", "-icount", "shift=1"]), (p.finish(), &["-semihosting"])]
    {
        let console = Console::start(emu(&s, &guest, options).args(["--timeout", "1s"])).unwrap();
        // Its input stays open and empty.
        let done = console.wait(Duration::from_secs(30));
        assert_eq!(done.code, Some(124), "{}", done.errors());
        assert!(!done.errors().contains("does not stop"), "{}", done.errors());
    }
}

#[test]
fn mistakes_are_sentences() {
    let s = Scratch::new("mistakes");
    let mut p = Program::new();
    p.exit(0);
    let guest = p.finish();
    for (config, want) in [
        ("target=gdb", "debugger"),
        ("chardev=serial7", "there is no such stream"),
        ("enable=perhaps", "'on' or 'off'"),
        ("enabel=on", "there is no 'enabel'"),
    ] {
        let done = run(&mut emu(&s, &guest, &["-semihosting-config", config]));
        assert_eq!(done.code, Some(2), "{config}: {}", done.errors());
        assert!(done.errors().starts_with("error: -semihosting-config") && done.errors().contains(want), "{}", done.errors());
    }
}

#[test]
fn chance_parameters_harm_nobody() {
    chance_parameters(emu_test_kit::Rng::announced("chance_parameters_harm_nobody"));
    // A read over the text behind "scratch".
    chance_parameters(emu_test_kit::Rng::new(0x05a3_2628_ac97_6ac0));
    // A character written before the report.
    chance_parameters(emu_test_kit::Rng::new(0x577a_2679_b678_9d44));
}

fn chance_parameters(mut rng: emu_test_kit::Rng) {
    let s = Scratch::new("chance");
    // Not these: they end the run, or do to the host what the block says.
    let harmless: Vec<u32> =
        (0..0x40).filter(|o| ![op::EXIT, op::EXIT_EXTENDED, op::SYSTEM, op::REMOVE, op::RENAME, op::WRITE0, op::READC].contains(o)).collect();
    let mut p = Program::new();
    p.open(0, ":semihosting-features", 0);
    p.open(1, ":tt", 8);
    p.open(2, "scratch", 6);
    for _ in 0..1500 {
        let words: Vec<Word<'_>> = (0..4)
            .map(|_| match rng.below(8) {
                0 => Is(rng.u64()),
                1 => Is(BUFFER + rng.below(0x1000)),
                2 => Is(rng.below(16)),
                3 => Is(1 << rng.below(64)),
                4 => Is((rng.u64() as i64 >> rng.below(64)) as u64),
                5 => Handle(rng.below(3)),
                6 => Text("scratch"),
                _ => Is(0x4100_0000 + rng.below(49 << 20)),
            })
            .collect();
        let operation = harmless[rng.below(harmless.len() as u64) as usize];
        p.call(operation, &words);
    }
    // The report is a line of its own, whatever chance has written.
    p.say("\n");
    p.call(op::READ, &[Handle(0), Is(BUFFER), Is(1 << 60)]);
    p.report("a huge read");
    p.exit(3);
    let done = run(&mut emu(&s, &p.finish(), &["-semihosting", "-d", "guest_errors,unimp"]));
    assert_eq!(done.code, Some(3), "{}", &done.errors()[done.errors().len().saturating_sub(2000)..]);
    assert_eq!(value(&done.errors(), "a huge read"), 1 << 60);
}
