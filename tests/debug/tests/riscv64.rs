//! gdb on RISC-V: registers of all classes, stepping, breakpoints, CSRs; the guest is the board's demo.

use emu_test_debug::{LIMIT, gdb, listening, show, values};
use emu_test_kit::{emu, process};

#[test]
fn registers_steps_and_breakpoints() {
    let socket = std::env::temp_dir().join(format!("emu-debug-riscv64-{}", std::process::id()));
    let mut command = emu::command_for("riscv64").unwrap_or_else(|e| panic!("{e}"));
    command.args(["-M", "virt", "-cpu", "max", "-smp", "2", "-m", "64", "-serial", "stdio", "--timeout", "120s", "-S", "-gdb"]);
    let console = listening(command.arg(format!("unix:{}", socket.display())));
    let mut gdb = gdb();
    gdb.arg("-batch");
    let remote = format!("target remote {}", socket.display());
    let commands = [
        "set pagination off".to_owned(),
        "set confirm off".into(),
        "set architecture riscv:rv64".into(),
        remote,
        show("reset", "$pc"),
        "stepi".into(),
        "stepi".into(),
        show("stepped", "$pc"),
        show("a2", "$a2"),
        // The demo's first instruction, then where it is done with its text.
        "hbreak *0x80000000".into(),
        "continue".into(),
        show("entry", "$pc"),
        show("dtb", "$a1"),
        show("misa", "$misa"),
        show("mhartid", "$mhartid"),
        show("priv", "$priv"),
        "set $s1 = 0x123456789abcdef0".into(),
        show("s1", "$s1"),
        "set $mscratch = 0x55".into(),
        show("mscratch", "$mscratch"),
        "x/2i $pc".into(),
        show("word", "*(unsigned int *) 0x80000000"),
        "info threads".into(),
        "delete".into(),
        "detach".into(),
    ];
    for c in &commands {
        gdb.args(["-ex", c]);
    }
    let done = process::run(&mut gdb, LIMIT).unwrap();
    let text = format!("{}\n{}", done.text(), done.errors());
    println!("{text}");
    assert!(!done.timed_out, "gdb does not come to an end");
    let value = |name: &str| values(&text, name).pop().unwrap_or_else(|| panic!("no {name} in {text}"));
    assert_eq!((value("reset"), value("stepped"), value("a2")), ("0x1000".into(), "0x1008".into(), "0x1028".into()));
    assert_eq!(
        (value("entry"), value("s1"), value("mscratch"), value("priv")),
        ("0x80000000".into(), "0x123456789abcdef0".into(), "0x55".into(), "0x3".into())
    );
    assert_eq!(u64::from_str_radix(&value("misa")[2..], 16).unwrap() >> 62, 2);
    assert_eq!(u64::from_str_radix(&value("word")[2..], 16).unwrap() as u32, 0xf140_2573);
    assert!(text.contains("csrr") && text.contains("mhartid"), "{text}");
    let finished = console.wait_while_talking(LIMIT, LIMIT);
    assert!(finished.text().contains("RISC-V virt with 2 harts"), "{}", finished.text());
    let _ = std::fs::remove_file(socket);
}
