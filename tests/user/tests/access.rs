//! Direct accesses to memory: each kind at each kind of address, on generated code, in the interpreter, and under qemu-aarch64.
//!
//! `programs/access.c` prints a line for each: a hash of the registers and of the memory around, and what a handler saw of a fault (its
//! signal, code, address, a hash of the precise registers).

use emu_test_kit::qemu;
use emu_test_user::{ENGINES, Ran, compiled, run_for};

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
    for (g, i) in generated.lines().zip(interpreted.lines()) {
        assert_eq!(g, i, "generated code, interpreter");
    }
    assert_eq!(generated.lines().count(), interpreted.lines().count());
    // (casp's row writes to the registers itself, before the access.)
    assert!(!generated.lines().any(|l| l.contains("changed") && !l.contains(" casp ")), "a fault's handler sees registers that the access has no business with changed");
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
