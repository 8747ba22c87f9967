//! Translations that go away under a running CPU.

use emu_test_litmus::unmap::{TAKINGS, assemble_unmap, times};
use emu_test_litmus::{frames, loops, run, run_with, scaled};

/// Code is made as ever, and all of it as if it was run a lot: what is tested here is in such code.
const MODES: [&str; 2] = ["", "hot"];

#[test]
fn nothing_comes_behind_the_barrier() {
    let rounds = scaled(10_000, 200);
    let report = run("unmap", &assemble_unmap(rounds), 2);
    let mut raced = 0;
    for how in TAKINGS {
        let missed = report.numbers(&format!("{how:?}"))[0];
        println!("{how:?}: {} times taken away, {missed} times missed", times(how, rounds));
        raced += missed;
    }
    assert!(raced > rounds / 10, "the CPUs did not race");
}

/// A guest whose pages are taken away while it adds up.
fn moves(name: &str, image: &[u8], expected: u64) {
    for mode in MODES {
        let report = run_with(name, image, 2, &[("EMU_JIT", mode)]);
        let [sum, missed] = report.numbers("sum")[..] else { panic!("the guest prints two numbers") };
        let taken = report.numbers("taken")[0];
        println!("pages taken away {taken} times, missed {missed} times");
        assert_eq!(sum, expected, "EMU_JIT={mode}");
        assert!(taken > 50 && missed > 10, "the CPUs did not race");
    }
}

#[test]
fn frames_move_under_their_functions() {
    let rounds = scaled(200_000, 2000);
    moves("frames", &frames::assemble_frames(rounds), frames::sum(rounds));
}

#[test]
fn pages_move_under_their_loops() {
    let rounds = scaled(200_000, 2000);
    moves("loops", &loops::assemble_loops(rounds), loops::sum(rounds));
}

#[test]
fn loops_begin_anywhere() {
    let rounds = scaled(20_000, 500);
    for (apart, mode) in [16, 20].into_iter().flat_map(|apart| MODES.map(|mode| (apart, mode))) {
        let report = run_with("loops-misaligned", &loops::assemble_misaligned(rounds, apart), 1, &[("EMU_JIT", mode)]);
        assert_eq!(report.numbers("misaligned"), loops::misaligned(rounds, apart), "{apart} bytes, EMU_JIT={mode}");
    }
}

#[test]
fn pages_change_between_loops() {
    let rounds = scaled(200_000, 2000);
    for mode in MODES {
        let report = run_with("loops-between", &loops::assemble_between(rounds), 1, &[("EMU_JIT", mode)]);
        assert_eq!(report.numbers("between"), loops::between(rounds), "EMU_JIT={mode}");
    }
}
