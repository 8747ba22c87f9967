//! The tests of this package: see README.md.

use emu_test_differential_riscv64::encoding::{drawn, row};
use emu_test_differential_riscv64::generate::{cases, pool, supervisor};
use emu_test_differential_riscv64::program::is_for_programs;
use emu_test_differential_riscv64::run::{Place, compare};
use emu_test_kit::Rng;
use std::collections::BTreeMap;
use std::time::Instant;

/// C.NOP.
const C_NOP: u16 = 0x0001;

fn run(test: &str, count: usize, engine: &[(&str, &str)]) {
    run_in(Place::Machine, test, count, engine);
}

/// A supervisor that writes sstatus between accesses to users' memory: what masks interrupts, opens that memory, and the rest of it.
#[test]
fn supervisor_status() {
    for engine in [("EMU_JIT", "at-once"), ("EMU_JIT", ""), ("EMU_JIT", "hot"), ("EMU_JIT", "noopt"), ("EMU_INTERP", "plain")] {
        let mut rng = Rng::announced("riscv64::supervisor_status");
        let pool = pool(&mut rng);
        let cases: Vec<_> = (0..4000).map(|_| supervisor(&mut rng)).collect();
        let differences = compare(&cases, &pool, &[engine], 10, Place::Machine).unwrap();
        differences.iter().for_each(|d| println!("{}", d.text));
        assert!(differences.is_empty(), "{engine:?}");
    }
}

fn run_in(place: Place, test: &str, count: usize, engine: &[(&str, &str)]) {
    let scale: usize = std::env::var("EMU_DIFF_SCALE").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    for round in 0..scale {
        let mut rng = Rng::announced(test).fork(round as u64);
        let pool = pool(&mut rng);
        let mut cases = cases(&mut rng, count);
        if place == Place::Program {
            // The others keep their places, for code may know where it is.
            cases.iter_mut().filter(|c| !is_for_programs(c)).for_each(|c| c.code = vec![C_NOP]);
        }
        let start = Instant::now();
        let differences = compare(&cases, &pool, engine, 40, place).unwrap();
        println!("{} cases of {} encodings, {} differences, {:.1} s", cases.len(), drawn().len(), differences.len(), start.elapsed().as_secs_f64());
        let mut by_row: BTreeMap<&str, usize> = BTreeMap::new();
        for d in &differences {
            *by_row.entry(row(cases[d.case].row).name).or_default() += 1;
            println!("{}", d.text);
        }
        assert!(differences.is_empty(), "{by_row:?}");
    }
}

/// Every implemented encoding, and sequences, in generated code.
#[test]
fn encodings_and_sequences() {
    run("riscv64::encodings_and_sequences", 200_000, &[]);
}

/// The same, fewer, in the interpreter.
#[test]
fn interpreter() {
    run("riscv64::interpreter", 20_000, &[("EMU_INTERP", "plain")]);
}

/// The same, fewer, as `emu` chooses: what is run for the first time is interpreted.
#[test]
fn first_runs() {
    run("riscv64::first_runs", 20_000, &[("EMU_JIT", "")]);
}

/// The same, fewer, in code that is made as if it was run a lot.
#[test]
fn hot_code() {
    run("riscv64::hot_code", 20_000, &[("EMU_JIT", "hot")]);
}

/// The same, fewer, in code that is made in a hurry.
#[test]
fn brief_code() {
    run("riscv64::brief_code", 20_000, &[("EMU_JIT", "brief")]);
}

/// The same, fewer, in code that uses nothing beyond x86-64-v2 and is not optimised.
#[test]
fn plain_code() {
    run("riscv64::plain_code", 20_000, &[("EMU_JIT", "noopt"), ("EMU_HOST", "x86-64-v2")]);
}

/// As programs of Linux, in generated code and in the interpreter.
#[test]
fn programs() {
    run_in(Place::Program, "riscv64::programs", 60_000, &[]);
    run_in(Place::Program, "riscv64::programs for the first time", 10_000, &[("EMU_JIT", "")]);
    run_in(Place::Program, "riscv64::programs interpreted", 10_000, &[("EMU_INTERP", "plain")]);
}
