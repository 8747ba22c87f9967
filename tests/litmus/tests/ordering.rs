//! The memory model.

use emu_test_litmus::race::{INSTANCES, assemble_race, seen};
use emu_test_litmus::shape::{FLAVOURS, Flavour, RELEASE_ACQUIRE, Shape};
use emu_test_litmus::{count, run};

/// Runs a shape and prints what came out; how often the outcome in question was seen, by flavour. None that is forbidden may be.
fn race(name: &str, flavours: &[Flavour], runs: u64) -> Vec<(String, u64)> {
    let shape = Shape::named(name);
    let report = run(&format!("litmus-{name}"), &assemble_race(&shape, flavours, runs.div_ceil(INSTANCES)), shape.threads.len() as u64);
    let all = seen(&report);
    assert_eq!(all.len(), flavours.len(), "{:?}", report.lines);
    println!("{:14} {:>9} {:>9}  outcomes (values of the loads, then of the variables)", format!("{name}, weak is"), "runs", "weak");
    let mut weak = Vec::new();
    let mut wrong = Vec::new();
    for ((text, outcomes), flavour) in all.iter().zip(flavours) {
        assert_eq!(text, flavour.name);
        let total: u64 = outcomes.values().sum();
        assert_eq!(total, runs.div_ceil(INSTANCES) * INSTANCES, "outcomes are missing");
        let times = outcomes.get(&shape.code()).copied().unwrap_or(0);
        let forbidden = shape.forbidden(flavour);
        let width = shape.loads.len() + shape.finals.len();
        let values = |code: &u64| -> String { (0..width).map(|i| char::from(b'0' + (code >> (2 * i) & 3) as u8)).collect() };
        let list: Vec<String> = outcomes.iter().map(|(code, n)| format!("{}:{n}", values(code))).collect();
        let verdict = if forbidden { "forbidden" } else { "allowed" };
        println!("{text:14} {total:>9} {times:>9}  {verdict:9} {} of {}", values(&shape.code()), list.join(" "));
        if forbidden && times > 0 {
            wrong.push(format!("{name} {text}: {times} of {total}"));
        }
        weak.push((text.clone(), times));
    }
    assert!(wrong.is_empty(), "forbidden outcomes: {wrong:?}");
    weak
}

fn all_flavours(name: &str) {
    race(name, FLAVOURS, count());
}

#[test]
fn message_passing() {
    all_flavours("MP");
}

#[test]
fn store_buffering() {
    let weak = race("SB", FLAVOURS, count());
    // Every host reorders a store and a later load: a race that never shows it is none. A busy host may leave the two CPUs no time
    // beside each other, hence more tries.
    let plain = weak.iter().find(|w| w.0 == "plain").map_or(0, |w| w.1);
    let again = || race("SB", &FLAVOURS[..1], 4 * count())[0].1 > 0;
    assert!(plain > 0 || (0..40).any(|_| again()), "SB with plain accesses never showed the store buffer: the CPUs do not race");
}

#[test]
fn store_release_before_load_acquire() {
    race("SB", RELEASE_ACQUIRE, count());
}

#[test]
fn load_buffering() {
    all_flavours("LB");
}

#[test]
fn r() {
    all_flavours("R");
}

#[test]
fn s() {
    all_flavours("S");
}

#[test]
fn two_plus_two_writes() {
    all_flavours("2+2W");
}

#[test]
fn coherence_of_reads() {
    all_flavours("CoRR");
}

#[test]
fn write_to_read_causality() {
    all_flavours("WRC");
}

#[test]
fn isa2() {
    all_flavours("ISA2");
}

#[test]
fn independent_reads_of_independent_writes() {
    all_flavours("IRIW");
}
