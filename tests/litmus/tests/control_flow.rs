//! Calls and returns that go elsewhere than a predictor thinks.

use emu_test_kit::Rng;
use emu_test_litmus::returns::{self, Depths, assemble_callees, assemble_modes, assemble_recursion};
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

#[test]
fn a_caller_is_replaced_before_the_return() {
    let rounds = scaled(100_000, 1000);
    let report = run("replaced-callers", &spaces::assemble_replaced_callers(rounds), 1);
    assert_eq!(report.numbers("sum"), [spaces::expected_of_replaced_callers(rounds)], "{rounds} rounds");
}

#[test]
fn a_callee_changes_the_floating_point_mode() {
    let seed = Rng::announced("modes").seed();
    run("modes", &assemble_modes(scaled(500_000, 1000), seed), 1);
}

#[test]
fn returns_from_a_million_frames() {
    let depths = Depths { deep: 1_000_000, jumps: scaled(100_000, 1000), rewritten: (scaled(100_000, 10_000), 10) };
    let report = run("recursion", &assemble_recursion(depths), 1);
    let found: Vec<u64> = ["deep", "jumps", "rewritten"].iter().map(|n| report.numbers(n)[0]).collect();
    assert_eq!(found, returns::sums(depths), "{depths:?}");
}

#[test]
fn callees_come_back_as_they_please() {
    let rounds = scaled(500_000, 1000);
    let report = run("callees", &assemble_callees(rounds), 1);
    assert_eq!(report.numbers("callees"), returns::sum_and_faults(rounds));
}

#[test]
fn callees_misalign_the_stack_pointer() {
    let rounds = scaled(300_000, 1000);
    let report = run("misaligned", &returns::assemble_misaligned(rounds), 1);
    assert_eq!(report.numbers("misaligned"), returns::misaligned(rounds));
}

#[test]
fn tags_are_no_part_of_where_a_jump_goes() {
    let rounds = scaled(500_000, 1000);
    let report = run("tagged-jumps", &returns::assemble_tagged_jumps(rounds), 1);
    let found = report.numbers("jumps");
    assert_eq!(found[0], returns::sum_of_tagged_jumps(rounds, found[1]));
}
