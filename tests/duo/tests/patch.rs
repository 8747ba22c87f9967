//! Code that the other architecture's CPU writes.

use emu_test_duo::patch::{ROUNDS, pair};
use std::time::Duration;

fn patched(name: &str, more: &[&str]) {
    let done = pair().run(name, more, Duration::from_secs(300));
    assert_eq!((done.code, done.text()), (Some(0), format!("{:016x}\n", ROUNDS + 1)), "{}", done.errors());
}

#[test]
fn by_two_threads() {
    patched("patch", &[]);
}

#[test]
fn in_turn() {
    patched("patch-turn", &["-icount", "shift=0,seed=3"]);
}

#[test]
fn by_the_interpreter() {
    patched("patch-interpreter", &["-accel", "interp"]);
}
