//! Accesses that are whole, and counters that lose nothing.

use emu_test_litmus::counter::{self, HOWS, assemble_counters};
use emu_test_litmus::tear::{self, CASES, RACED, assemble_tear};
use emu_test_litmus::{run, scaled};

#[test]
fn nothing_is_torn() {
    let loads = scaled(1_000_000, 1000);
    let guest = assemble_tear(loads);
    let mut raced = [false; CASES.len()];
    let enough = |raced: &[bool]| raced.iter().filter(|r| **r).count() > CASES.len() / 2;
    // A busy host lets the CPUs run one after the other: that shows nothing, so the guest runs again.
    for _ in 0..5 {
        let report = run("tear", &guest, 2);
        let mut wrong = Vec::new();
        for (case, raced) in CASES.iter().zip(&mut raced) {
            let name = tear::name(*case);
            let [torn, fresh] = *report.numbers(&name) else { panic!("{:?}", report.lines) };
            println!("{name:32} torn {torn:>7}, new values {fresh:>7}");
            if torn > 0 {
                wrong.push(format!("{name}: {torn}"));
            }
            *raced |= fresh >= RACED;
        }
        assert!(wrong.is_empty(), "torn accesses: {wrong:?}");
        if enough(&raced) {
            break;
        }
    }
    assert!(enough(&raced), "the reader saw new values in {raced:?} only");
}

fn counters(cpus: u64) {
    let each = scaled(500_000, 1000);
    let report = run(&format!("counters-{cpus}"), &assemble_counters(cpus, each), cpus);
    let wrong: Vec<String> = HOWS
        .iter()
        .filter(|how| report.numbers(&counter::name(**how)) != counter::expected(**how, cpus, each))
        .map(|how| (counter::name(*how), counter::expected(*how, cpus, each)))
        .map(|(name, expected)| format!("{name}: {:x?}, not {expected:x?}", report.numbers(&name)))
        .collect();
    assert!(wrong.is_empty(), "{cpus} CPUs, {each} times each: {wrong:#?}");
}

#[test]
fn counters_of_two() {
    counters(2);
}

#[test]
fn counters_of_four() {
    counters(4);
}
