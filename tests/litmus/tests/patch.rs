//! Code that changes.

use emu_test_litmus::patch::{
    WRITERS, assemble_called_again, assemble_called_elsewhere, assemble_device, assemble_same_cpu, assemble_two_cpus, assemble_while_waiting,
    expected_same_cpu,
};
use emu_test_litmus::{run, run_with, scaled};

/// Code that changes again and again is interpreted, or made at once; or nothing is ever made.
const ENGINES: [&[(&str, &str)]; 3] = [&[], &[("EMU_JIT", "at-once")], &[("EMU_JIT", "off")]];

#[test]
fn a_cpu_rewrites_its_own_code() {
    let rounds = scaled(10_000, 200);
    let report = run("patch", &assemble_same_cpu(rounds), 1);
    let (each, next) = expected_same_cpu(rounds);
    for writer in WRITERS {
        assert_eq!(report.numbers(&format!("{writer:?}")), [each], "{writer:?}");
    }
    assert_eq!(report.numbers("next instruction"), [next]);
}

#[test]
fn what_is_rewritten_is_called_again_and_again() {
    for engine in ENGINES {
        let rounds = scaled(20_000, 2000);
        assert_eq!(run_with("patch-again", &assemble_called_again(rounds), 1, engine).numbers("called again"), [rounds], "{engine:?}");
        let rounds = scaled(5000, 500);
        assert_eq!(run_with("patch-elsewhere", &assemble_called_elsewhere(rounds), 2, engine).numbers("called elsewhere"), [rounds], "{engine:?}");
    }
}

#[test]
fn a_cpu_rewrites_what_another_runs() {
    let rounds = scaled(10_000, 200);
    let report = run("patch-two", &assemble_two_cpus(rounds), 2);
    assert_eq!(report.numbers("handed over"), [rounds]);
    assert!(report.numbers("while called")[0] > 0);
    assert_eq!(report.numbers("data beside code"), [4 * rounds, 4 * rounds]);
}

#[test]
fn a_cpu_rewrites_what_another_waits_in() {
    let rounds = scaled(10_000, 200);
    assert_eq!(run("patch-waits", &assemble_while_waiting(rounds), 3).numbers("while waiting"), [rounds]);
}

#[test]
fn a_device_rewrites_code() {
    let rounds = scaled(5000, 100);
    assert_eq!(run("patch-device", &assemble_device(rounds), 1).numbers("undefined"), [rounds]);
}
