//! The same cases as programs of Linux, under the user modes of both emulators: bounded numbers of them; `EMU_DIFF_SCALE` multiplies.

use emu_test_differential::case::Settings;
use emu_test_differential::compare::Report;
use emu_test_differential::encoding::{Encoding, Options};
use emu_test_differential::engine::Engine;
use emu_test_differential::{candidates, sequences, singles, vocabulary};
use emu_test_kit::Rng;

const CASES: u64 = 12;
const SEQUENCES: u64 = 20_000;
const QEMU_CPU: &str = "max,sve=off,sme=off";

fn scale() -> u64 {
    std::env::var("EMU_DIFF_SCALE").ok().and_then(|t| t.parse().ok()).unwrap_or(1)
}

/// What means something else to a program than to bare metal, and depends on more than the state.
fn for_programs() -> Vec<&'static Encoding> {
    let other = |e: &Encoding| ["SVC_", "HVC_", "SMC_", "BRK_", "HLT_", "MRS_", "MSR_", "DC_", "IC_"].iter().any(|p| e.name.starts_with(p));
    let mut chosen = candidates(Options::default());
    chosen.retain(|e| !other(e));
    chosen
}

/// Atomic and ordered accesses, and pairs.
fn with_order(chosen: &[&'static Encoding]) -> Vec<&'static Encoding> {
    const NAMES: [&str; 12] = ["LDX", "STX", "LDAX", "STLX", "LDAR", "STLR", "LDAPR", "CAS", "SWP", "LDP", "STP", "DMB"];
    let atomic = |e: &Encoding| ["LDADD", "LDCLR", "LDEOR", "LDSET", "LDSMAX", "LDSMIN", "LDUMAX", "LDUMIN"].iter().any(|n| e.name.starts_with(n));
    let some: Vec<_> = chosen.iter().copied().filter(|e| atomic(e) || NAMES.iter().any(|n| e.name.starts_with(n))).collect();
    assert!(some.len() > 100, "their names have changed");
    some
}

fn must_agree(report: &Report) {
    println!("{}\n{}", report.table(), report.allowed());
    report.shown.iter().take(20).for_each(|text| println!("{text}"));
    assert_eq!(report.mismatches(), 0, "cases of these encodings differ: {}", report.failing().join(" "));
}

#[test]
fn instructions_and_sequences() {
    let seed = Rng::announced("programs").seed();
    let settings = Settings { program: true, ..Settings::from(seed) };
    let (oracle, tested) = (Engine::qemu_program(QEMU_CPU).unwrap(), Engine::emu_program("max").unwrap());
    let chosen = for_programs();
    let report = singles(&oracle, &tested, &chosen, CASES * scale(), settings).unwrap();
    println!("{} encodings are not known to the oracle", report.unknown.len());
    must_agree(&report);
    assert!(report.names.len() > 1000, "the oracle knows too few of the encodings");
    let words = vocabulary(&oracle, &chosen, settings).unwrap();
    // In parts, for only so many cases that end in an abort are looked at.
    for part in 0..scale() {
        let report = sequences(&oracle, &tested, &words, part * SEQUENCES..(part + 1) * SEQUENCES, settings).unwrap();
        must_agree(&report);
        let count = &report.names["sequence"];
        assert!(count.completed * 2 > count.cases, "most sequences should run to their end");
    }
    // The runner has one thread and shares nothing, so atomic and ordered accesses were plain ones.
    let locked = Engine::emu_program_by("max", "EMU_ATOMICS", "locked").unwrap();
    must_agree(&singles(&oracle, &locked, &with_order(&chosen), CASES * scale(), settings).unwrap());
    // What is run for the first time is interpreted.
    let first = Engine::emu_program_by("max", "EMU_JIT", "").unwrap();
    must_agree(&singles(&oracle, &first, &chosen, CASES / 3 * scale(), settings).unwrap());
}
