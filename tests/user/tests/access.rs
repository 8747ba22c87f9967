//! Direct accesses to memory: each kind at each kind of address, on generated code, in the interpreter, and under qemu-aarch64.
//!
//! `programs/access.c` prints a line for each: a hash of the registers and of the memory around, and what a handler saw of a fault (its
//! signal, code, address, a hash of the precise registers).

use emu_test_kit::qemu;
use emu_test_user::{ENGINES, Ran, command, compiled, run_for};

/// What QEMU does otherwise, and may: DC ZVA's size is the CPU's to choose (the lines of code pages are a sum that goes on from it), faults
/// outside of the address space have other codes, and a store-exclusive whose monitor is closed or elsewhere need not look at its address.
fn is_free(line: &str) -> bool {
    let op = line.split(' ').nth(1).unwrap_or("");
    let exclusive = op.starts_with("ldx") || op.starts_with("ldax") || op.starts_with("stxr");
    line.starts_with("code ") || line.starts_with("outside ") || op == "zva" || (line.contains("faults") && exclusive)
}

#[test]
fn every_access_at_every_kind_of_address() {
    let _ran = Ran::begin("accesses on both engines and qemu-aarch64");
    let (program, _) = compiled("access", &["-static"]).unwrap();
    let [generated, interpreted] = ENGINES.map(|e| {
        let done = run_for(300, e, None, &program, &[] as &[&str]).unwrap();
        assert_eq!(done.code, Some(0), "{e:?}: {}", done.errors());
        done.text()
    });
    assert!(generated.lines().count() > 1400, "{generated}");
    // Where the host has no room for the guest's memory at the bottom of its address space, accesses have a segment.
    let mut elsewhere = command(&[], None, &program, &[] as &[&str]).unwrap();
    let done = emu_test_kit::process::run(elsewhere.env("EMU_WINDOW", "elsewhere"), std::time::Duration::from_secs(300)).unwrap();
    assert_eq!((done.text(), done.code), (generated.clone(), Some(0)), "EMU_WINDOW=elsewhere: {}", done.errors());
    for (g, i) in generated.lines().zip(interpreted.lines()) {
        assert_eq!(g, i, "generated code, interpreter");
    }
    assert_eq!(generated.lines().count(), interpreted.lines().count());
    // (casp's row writes to the registers itself, before the access.)
    assert!(
        !generated.lines().any(|l| l.contains("changed") && !l.contains(" casp ")),
        "a fault's handler sees registers that the access has no business with changed"
    );
    // A page's code runs as it was written last, whatever was stored beside it.
    let code = generated.lines().filter(|l| l.starts_with("code "));
    for (n, line) in code.enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[2], words[3], words[4]), (n.to_string().as_str(), n.to_string().as_str(), "0"), "{line}");
    }
    let oracle = qemu::user_aarch64().unwrap();
    let mut command = oracle.command();
    command.arg(&program);
    let done = emu_test_kit::process::run(&mut command, std::time::Duration::from_secs(300)).unwrap();
    let mut compared = 0;
    for (g, q) in generated.lines().zip(done.text().lines()).filter(|(g, _)| !is_free(g)) {
        assert_eq!(g, q, "emu, qemu-aarch64");
        compared += 1;
    }
    assert!(compared > 1000, "{compared} lines compared");
}

/// A negative address is one of the host's kernel (the last row of them: of its old page of system calls), one beyond the end leads above the guest's memory. (Of the first access a process does not know yet whether addresses have tags.)
#[test]
fn addresses_outside_reach_nothing() {
    let _ran = Ran::begin("accesses at addresses outside");
    for (program, _) in [compiled("wild", &["-static"]).unwrap(), emu_test_user::riscv64_compiled("wild", &["-static"]).unwrap()] {
        for engine in ENGINES {
            let run = |arguments: &[&str]| {
                let done = run_for(300, engine, None, &program, arguments).unwrap();
                assert_eq!(done.code, Some(0), "{} {engine:?} {arguments:?}: {}", program.display(), done.errors());
                done.text()
            };
            assert_eq!(run(&[]), "loads 0 stores 0 far 0 farther 0 beyond 0\n", "{} {engine:?}", program.display());
            for first in [
                "-0x1000",
                "-0x80000000",
                "-0x100000000",
                "-0x300000000",
                "-0x1000000000",
                "-0x200000000000",
                "-0x3fff00000000",
                "-0xa00000",
                "0x400040050000",
                "0x400080000000",
            ] {
                assert_eq!(run(&["first", first]), "0\n", "{} {engine:?} {first}", program.display());
            }
        }
    }
}

/// Hot code tests an address once: what is not aligned after all is carried out, or faults with all as it is to be, as in the interpreter and
/// under QEMU, which does not look at the address of a store-exclusive whose monitor is closed.
#[test]
fn aligned_in_nearly_all_rounds() {
    let _ran = Ran::begin("loops of accesses that must be aligned");
    let (program, _) = compiled("aligned", &["-static"]).unwrap();
    let run = |engine, mode: &str| {
        let mut command = command(engine, None, &program, &[] as &[&str]).unwrap();
        if !mode.is_empty() {
            command.env("EMU_JIT", mode);
        }
        let done = emu_test_kit::process::run(&mut command, std::time::Duration::from_secs(300)).unwrap();
        assert_eq!(done.code, Some(0), "{engine:?} {mode}: {}", done.errors());
        done.text()
    };
    let interpreted = run(ENGINES[1], "");
    for mode in ["", "hot", "cold"] {
        let generated = run(ENGINES[0], mode);
        for (g, i) in generated.lines().zip(interpreted.lines()) {
            assert_eq!(g, i, "generated code {mode}, interpreter");
        }
        assert_eq!(generated.lines().count(), interpreted.lines().count(), "{mode}");
    }
    let oracle = qemu::user_aarch64().unwrap();
    let done = emu_test_kit::process::run(oracle.command().arg(&program), std::time::Duration::from_secs(300)).unwrap();
    let mut compared = 0;
    for (i, q) in interpreted.lines().zip(done.text().lines()).filter(|(i, _)| !i.starts_with("exclusive ")) {
        assert_eq!(i, q, "emu, qemu-aarch64");
        let faults = i.split(' ').rev().nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
        assert!(faults > 100, "{i}");
        compared += 1;
    }
    assert_eq!(compared, 22);
}
