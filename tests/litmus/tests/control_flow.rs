//! Calls and returns that go elsewhere than a predictor thinks.

use emu_test_litmus::spaces::{self, SWITCHES, assemble_spaces};
use emu_test_litmus::{run, scaled};

#[test]
fn the_right_program_runs_after_a_return() {
    let rounds = scaled(500_000, 1000);
    for how in SWITCHES {
        // Each replaced entry costs a TLBI that all CPUs see.
        let rounds = if how == spaces::Switch::Remap { rounds.div_ceil(10) } else { rounds };
        let report = run(&format!("spaces-{how:?}"), &assemble_spaces(how, rounds), 1);
        assert_eq!(report.numbers("sums"), spaces::expected(rounds), "{how:?}, {rounds} rounds");
    }
}
