//! Code that is tied together and taken apart.

use emu_test_litmus::links::{assemble_remapped, assemble_rewritten, assemble_ring, ring_sum};
use emu_test_litmus::{run, run_with, scaled};

fn ring(name: &str, cpus: u64, cache: &str) {
    let (depth, rounds) = (50_000, scaled(10, 2));
    let report = run_with(name, &assemble_ring(cpus, depth, rounds), cpus, &[("EMU_CODE_CACHE", cache)]);
    for cpu in 0..cpus {
        assert_eq!(report.numbers(&format!("sum {cpu}")), [ring_sum(depth, rounds)], "CPU {cpu}, {depth} frames, {rounds} rounds");
    }
}

#[test]
fn a_deep_ring() {
    ring("ring", 1, "192");
}

/// Code is thrown away under thousands of frames that return to it and calls that are tied to it.
#[test]
fn a_deep_ring_in_little_memory() {
    ring("ring-small", 1, "4");
}

/// CPUs that throw away each other's code while the host has taken their turn from them.
#[test]
fn a_deep_ring_in_little_memory_for_four() {
    ring("ring-small-4", 4, "4");
}

#[test]
fn another_page_at_the_same_address() {
    let rounds = scaled(100_000, 1000);
    assert_eq!(run("remapped", &assemble_remapped(rounds, false), 1).numbers("remapped"), [rounds]);
    // What goes in one half of the addresses leaves the other's code where it is, and what goes in the other finds it.
    assert_eq!(run("remapped-both", &assemble_remapped(rounds, true), 1).numbers("remapped"), [rounds]);
}

#[test]
fn a_callee_in_the_same_page_is_rewritten() {
    let rounds = scaled(10_000, 200);
    assert_eq!(run("links-rewritten", &assemble_rewritten(rounds), 2).numbers("rewritten"), [rounds]);
}
