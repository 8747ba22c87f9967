//! Registers over exceptions.

use emu_test_litmus::registers::{assemble_registers, expected_calls};
use emu_test_litmus::{run, scaled};

fn nothing_is_lost(cpus: u64, rounds: u64) {
    let report = run(&format!("registers-{cpus}"), &assemble_registers(cpus, rounds), cpus);
    assert_eq!(report.numbers("calls"), [expected_calls(rounds)]);
    let interrupts = report.numbers("interrupts")[0];
    println!("{} calls, {interrupts} interrupts", expected_calls(rounds) / 3);
    assert!(interrupts > 50, "the timer interrupted {interrupts} times only");
}

#[test]
fn no_register_is_lost() {
    nothing_is_lost(1, scaled(2_000_000, 2000));
}

#[test]
fn no_register_is_lost_beside_another_cpu() {
    nothing_is_lost(2, scaled(2_000_000, 2000));
}
