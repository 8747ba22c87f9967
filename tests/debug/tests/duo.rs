//! gdb on a board with two architectures: it sees the CPUs of the one that it is told, which have registers and breakpoints; the others stop and go
//! on with them.

use emu_test_debug::{LIMIT, gdb, listening, show, values};
use emu_test_kit::{emu, process};
use std::process::Command;

/// Where both sides' programs of the demo begin.
const ARM: u64 = 0x8000_0000;
const HART: u64 = 0x8010_0000;

/// What gdb prints, and what the guest says that it leaves running.
fn debug(target: &str, architecture: &str, commands: &[String]) -> (String, String) {
    let socket = std::env::temp_dir().join(format!("emu-debug-duo-{target}-{}", std::process::id()));
    let mut command = Command::new(emu::binary().unwrap_or_else(|e| panic!("{e}")));
    command.args(["-M", "duo", "-smp", "2", "-m", "4", "-nographic", "--timeout", "120s", "-S", "-gdb"]);
    let console = listening(command.arg(format!("unix:{},target={target}", socket.display())));
    let mut gdb = gdb();
    gdb.arg("-batch");
    let first = [
        "set pagination off".to_owned(),
        "set confirm off".into(),
        format!("set architecture {architecture}"),
        format!("target remote {}", socket.display()),
    ];
    for c in first.iter().chain(commands).map(String::as_str).chain(["info threads", "delete", "detach"]) {
        gdb.args(["-ex", c]);
    }
    let done = process::run(&mut gdb, LIMIT).unwrap();
    let text = format!("{}\n{}", done.text(), done.errors());
    println!("{text}");
    assert!(!done.timed_out, "gdb does not come to an end");
    let finished = console.wait_while_talking(LIMIT, LIMIT);
    let _ = std::fs::remove_file(socket);
    assert_eq!(finished.code, Some(0), "{}", finished.errors());
    (text, finished.text())
}

fn value(text: &str, name: &str) -> String {
    values(text, name).pop().unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn the_arm_cpus() {
    // A breakpoint where the harts' program begins, too, which no Arm CPU comes to.
    let commands = [
        format!("hbreak *{HART:#x}"),
        format!("hbreak *{:#x}", ARM + 8),
        show("start", "$pc"),
        "continue".into(),
        show("here", "$pc"),
        show("x1", "$x1"),
        "stepi".into(),
        show("stepped", "$pc"),
        show("w2", "$w2"),
    ];
    let (text, said) = debug("aarch64", "aarch64", &commands);
    assert_eq!((value(&text, "start"), value(&text, "here"), value(&text, "x1")), ("0x80000000".into(), "0x80000008".into(), "0x9000000".into()));
    assert_eq!((value(&text, "stepped"), value(&text, "w2")), ("0x8000000c".into(), "0x65".into()), "the text's first letter");
    assert!(text.contains("CPU 0: running") && text.contains("CPU 1: off") && !text.contains("CPU 2:"), "{text}");
    assert!(said.contains("AArch64 CPU here") && said.contains("RISC-V hart here"), "{said}");
}

#[test]
fn the_harts() {
    let commands = [
        format!("hbreak *{ARM:#x}"),
        format!("hbreak *{:#x}", HART + 0x10),
        show("start", "$pc"),
        "continue".into(),
        show("here", "$pc"),
        show("t1", "$t1"),
        show("hart", "$mhartid"),
        "monitor info cpus".into(),
    ];
    let (text, said) = debug("riscv64", "riscv:rv64", &commands);
    assert_eq!((value(&text, "start"), value(&text, "here"), value(&text, "t1")), ("0x80100000".into(), "0x80100010".into(), "0xa001000".into()));
    assert_eq!(value(&text, "hart"), "0x0");
    assert!(text.contains("CPU 0 (of another target): running") && text.contains("CPU 2 (thread 3): running"), "{text}");
    assert!(text.contains("CPU 2:") && text.contains("CPU 3:") && !text.contains("CPU 0:"), "{text}");
    assert!(said.contains("AArch64 CPU here") && said.contains("RISC-V hart here"), "{said}");
}
