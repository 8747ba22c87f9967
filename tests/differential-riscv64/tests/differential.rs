//! The tests of this package: see README.md.

use emu_test_differential_riscv64::encoding::{drawn, row};
use emu_test_differential_riscv64::generate::{cases, pool};
use emu_test_differential_riscv64::run::compare;
use emu_test_kit::Rng;
use std::collections::BTreeMap;
use std::time::Instant;

fn run(test: &str, count: usize, engine: &[(&str, &str)]) {
    let scale: usize = std::env::var("EMU_DIFF_SCALE").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    for round in 0..scale {
        let mut rng = Rng::announced(test).fork(round as u64);
        let pool = pool(&mut rng);
        let cases = cases(&mut rng, count);
        let start = Instant::now();
        let differences = compare(&cases, &pool, engine, 40).unwrap();
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

/// The same, fewer, in code that is made as if it was run a lot.
#[test]
fn hot_code() {
    run("riscv64::hot_code", 20_000, &[("EMU_JIT", "hot")]);
}

/// The same, fewer, in code that uses nothing beyond x86-64-v2 and is not optimised.
#[test]
fn plain_code() {
    run("riscv64::plain_code", 20_000, &[("EMU_JIT", "noopt"), ("EMU_HOST", "x86-64-v2")]);
}
