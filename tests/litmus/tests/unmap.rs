//! Translations that go away under a running CPU.

use emu_test_litmus::frames;
use emu_test_litmus::unmap::{TAKINGS, assemble_unmap, times};
use emu_test_litmus::{run, scaled};

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

#[test]
fn frames_move_under_their_functions() {
    let rounds = scaled(200_000, 2000);
    let report = run("frames", &frames::assemble_frames(rounds), 2);
    let [sum, missed] = report.numbers("sum")[..] else { panic!("the guest prints two numbers") };
    let taken = report.numbers("taken")[0];
    println!("pages taken away {taken} times, missed {missed} times");
    assert_eq!(sum, frames::sum(rounds), "{rounds} rounds");
    assert!(taken > 50 && missed > 10, "the CPUs did not race");
}
