//! What the command line says of the board, and takes.

use emu_test_kit::{emu, process};
use std::process::Command;
use std::time::Duration;

fn run(args: &[&str]) -> (Option<i32>, String) {
    let done = process::run(Command::new(emu::binary().unwrap()).args(args), Duration::from_secs(60)).unwrap();
    (done.code, done.text() + &done.errors())
}

#[test]
fn the_demo() {
    for more in [&[][..], &["--target", "aarch64+riscv64", "-smp", "4", "-cpu", "max,pmu=on+rv64"], &["-icount", "shift=1", "-cpu", "cortex-a72+max"]]
    {
        let (code, text) = run(&[&["-M", "duo", "--timeout", "50s"], more].concat());
        assert_eq!(code, Some(0), "{more:?}: {text}");
        let lines: Vec<&str> = text.lines().map(|l| l.split([',', '.']).nth(1).unwrap_or("").trim()).collect();
        assert_eq!(lines, ["an AArch64 CPU here", "a RISC-V hart here"], "{text}");
    }
}

#[test]
fn lists_say_what_it_takes() {
    let line = |args: &[&str]| run(args).1.lines().find(|l| l.starts_with("duo ")).map(str::to_owned);
    assert!(line(&["--list-machines"]).unwrap().ends_with("(target aarch64+riscv64, CPUs of each)"));
    assert_eq!(
        line(&["--list-machines", "--target", "riscv64"]),
        line(&["--list-machines", "--target", "aarch64+riscv64"]).map(|l| l.replacen("duo  ", "duo         ", 1))
    );
    assert!(run(&["-M", "duo,help"]).1.contains("at most 4 CPUs of each target"));
    let (code, text) = run(&["-M", "duo", "-cpu", "help"]);
    assert!(code == Some(0) && text.contains("cortex-a72") && text.contains("rva22s64"), "{text}");
}

#[test]
fn mistakes_are_sentences() {
    let cases: &[(&[&str], &str)] = &[
        (&["--target", "aarch64"], "has CPUs of 'aarch64+riscv64' at the same time; write --target aarch64+riscv64, or leave it out"),
        (&["--target", "aarch64+sparc"], "no plugin offers the target 'sparc'"),
        (&["--target", "riscv64+aarch64"], "takes no CPU of the target 'riscv64+aarch64'; it takes: aarch64+riscv64"),
        (
            &["-cpu", "max"],
            "-cpu max: the machine 'duo' needs a model for each of its targets, first of aarch64, then of riscv64; write -cpu max+rv64",
        ),
        (&["-cpu", "max+rv63"], "the target 'riscv64' has no CPU model 'rv63'; did you mean 'rv64'?"),
        (&["-cpu", "max,nonsense=1+rv64"], "nonsense"),
        (&["-smp", "5"], "takes at most 4 CPUs of each target"),
        (&["-kernel", "/dev/null"], "machine duo cannot start from 'kernel'"),
        (&["-s"], "a debugger sees the CPUs of one target, and the machine 'duo' has those of aarch64, riscv64; write -gdb tcp::1234,target=NAME"),
        (&["-gdb", "tcp::0,target=sparc"], "the machine has no CPUs of the target 'sparc'; it has those of: aarch64, riscv64"),
    ];
    for (args, want) in cases {
        let (code, text) = run(&[&["-M", "duo"], *args].concat());
        assert!(code == Some(2) && text.contains(want) && text.lines().count() == 1, "{args:?}: {code:?} {text}");
    }
}
