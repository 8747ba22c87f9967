//! Code that the other architecture's CPU writes.

use emu_test_duo::patch::pair;
use std::time::Duration;

fn patched(name: &str, rounds: u32, more: &[&str], variables: &[(&str, &str)]) -> String {
    let done = pair(rounds).run_with(name, more, variables, Duration::from_secs(300));
    assert_eq!((done.code, done.text()), (Some(0), format!("{:016x}\n", rounds + 1)), "{}", done.errors());
    done.errors()
}

#[test]
fn by_two_threads() {
    patched("patch", 1000, &[], &[]);
}

/// Old code is thrown away, by the chunk, while both CPUs are in new code. It is made at once, as there would be too little of it else.
#[test]
fn with_little_memory_for_code() {
    let errors = patched("patch-little", 1000, &["--stats"], &[("EMU_CODE_CACHE", "4"), ("EMU_JIT", "at-once")]);
    assert!(errors.contains("chunks of code evicted: ") && !errors.contains("chunks of code evicted: 0\n"), "{errors}");
}

#[test]
fn in_turn() {
    patched("patch-turn", 2000, &["-icount", "shift=0,seed=3"], &[]);
}

#[test]
fn by_the_interpreter() {
    patched("patch-interpreter", 300, &["-accel", "interp"], &[]);
}
