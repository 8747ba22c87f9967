//! One piece of code at many virtual addresses.

use emu_test_litmus::aliases::assemble_aliases;
use emu_test_litmus::{run, scaled};

fn aliases(name: &str, cpus: u64, rewrite: bool) {
    let rounds = scaled(1_000_000, 2000);
    let report = run(name, &assemble_aliases(cpus, rounds, rewrite), cpus);
    assert_eq!(report.numbers("calls"), [rounds]);
}

#[test]
fn code_knows_where_it_is() {
    aliases("aliases-1", 1, false);
}

#[test]
fn code_knows_where_it_is_on_two_cpus() {
    aliases("aliases-2", 2, false);
}

#[test]
fn rewritten_code_is_new_everywhere() {
    aliases("aliases-rewritten", 1, true);
}
