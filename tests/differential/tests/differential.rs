//! The differential tests that CI runs. `EMU_SEED` replays a run; `EMU_DIFF_SCALE` multiplies the number
//! of cases; `EMU_DIFF_TESTED` replaces `emu`: `qemu` checks the harness alone, else it is a command line in which
//! `{image}` stands for the guest.

use emu_test_differential::case::Settings;
use emu_test_differential::compare::Report;
use emu_test_differential::encoding::{self, Encoding, Options};
use emu_test_differential::engine::Engine;
use emu_test_differential::{candidates, sequences, singles, singles_exactly, vocabulary};
use emu_test_kit::{Result, Rng};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Cases an encoding that are not UNDEFINED in the oracle.
const CASES: u64 = 24;
/// What an encoding must have had at least.
const LEAST: usize = 20;
const SEQUENCES: u64 = 50_000;

/// The tests use both cores each, so they take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn scale() -> u64 {
    let text = std::env::var("EMU_DIFF_SCALE").unwrap_or_else(|_| "1".into());
    text.parse().unwrap_or_else(|_| panic!("EMU_DIFF_SCALE={text} is no number"))
}

fn tested(cpu: &str) -> Result<Engine> {
    tested_without(cpu, "")
}

/// With features off that the oracle does not know: options of `emu` alone.
fn tested_without(cpu: &str, off: &str) -> Result<Engine> {
    match std::env::var("EMU_DIFF_TESTED") {
        Ok(text) if text == "qemu" => Engine::qemu(cpu),
        Ok(text) => Ok(Engine::custom(&text)),
        Err(_) => Engine::emu(&format!("{cpu}{off}")),
    }
}

fn must_agree(report: &Report) {
    println!("{}", report.table());
    println!("{}", report.allowed());
    if report.mismatches() > 0 {
        for text in report.shown.iter().take(20) {
            println!("{text}");
        }
        let failing = report.failing();
        panic!("{} cases of {} encodings differ: {}", report.mismatches(), failing.len(), failing.join(" "));
    }
}

/// Every encoding that the decode tables implement.
#[test]
fn single_instructions() {
    let _turn = turn();
    let seed = Rng::announced("single_instructions").seed();
    let chosen = candidates(Options::default());
    let (oracle, tested) = (Engine::qemu("max").unwrap(), tested("max").unwrap());
    println!("oracle: {}", oracle.name);
    let report = singles(&oracle, &tested, &chosen, CASES * scale(), seed).unwrap();
    must_agree(&report);
    for (name, count) in &report.names {
        let defined = count.cases - count.undefined;
        assert!(count.undefined == count.cases || defined >= LEAST, "{name} has only {defined} cases");
    }
    let unknown = &report.unknown;
    println!("{} of {} encodings are not known to the oracle: {}", unknown.len(), chosen.len(), unknown.join(" "));
    assert!(report.names.len() > 1000, "the oracle knows too few of the encodings");
}

/// The same with a second CPU that is off: atomics are locked then, and ordered accesses are ordered by more than program order.
#[test]
fn single_instructions_beside_another_cpu() {
    let _turn = turn();
    let seed = Rng::announced("single_instructions_beside_another_cpu").seed();
    let binary = emu_test_kit::emu::binary().unwrap();
    let tested = Engine::custom(&format!("{} --target aarch64 -M virt -cpu max -smp 2 -m 512M -nographic -kernel {{image}}", binary.display()));
    let report = singles(&Engine::qemu("max").unwrap(), &tested, &candidates(Options::default()), CASES * scale(), seed).unwrap();
    must_agree(&report);
}

/// Pointer authentication with the architected algorithms, keys fixed by the runner.
#[test]
fn pointer_authentication() {
    let _turn = turn();
    let seed = Rng::announced("pointer_authentication").seed();
    let options = Options { pauth: true };
    let without = candidates(Options::default());
    let mut chosen = candidates(options);
    chosen.retain(|e| without.iter().all(|w| w.name != e.name));
    // AddPAC chooses the half by bit 55 if either half has tags, else by bit 63, and the PAC's lowest bit by that half. The
    // oracle looks at the tags of the pointer's own half, and takes the lowest bit from the half that bit 55 says. So
    // both halves have tags; or neither, and they are of one size.
    const TAGS: u64 = 1 << 38; // TBI1
    const NO_TAGS: u64 = 1 << 37 | 25 << 16; // TBI0, T1SZ
    let cpus = ["max,pauth-qarma5=on", "max,pauth-qarma3=on"];
    for (cpu, tcr_flip) in cpus.into_iter().flat_map(|cpu| [(cpu, TAGS), (cpu, NO_TAGS)]) {
        // FEAT_CONSTPACFIELD, which the oracle lacks, always chooses by bit 55.
        let (oracle, tested) = (Engine::qemu(cpu).unwrap(), tested_without(cpu, ",constpacfield=off").unwrap());
        println!("-cpu {cpu}, tags {}", if tcr_flip == TAGS { "ignored" } else { "not ignored" });
        let settings = Settings { tcr_flip, ..Settings::from(seed) };
        let report = singles(&oracle, &tested, &chosen, 100 * scale(), settings).unwrap();
        must_agree(&report);
        assert!(report.names.len() >= 40, "{cpu}: only {} encodings", report.names.len());
        let completed: usize = report.names.values().map(|c| c.completed).sum();
        let cases: usize = report.names.values().map(|c| c.cases).sum();
        assert!(completed * 2 > cases, "most pointers should authenticate: {completed} of {cases}");
    }
}

/// Advanced SIMD and floating-point with FEAT_AFP's bits of FPCR (FIZ, AH, NEP) and FEAT_EBF16's (EBF) drawn too.
#[test]
fn alternate_floating_point() {
    let _turn = turn();
    let seed = Rng::announced("alternate_floating_point").seed();
    let settings = Settings { more_fpcr: 0x2007, ..Settings::from(seed) };
    // FPAbs and FPNeg leave the sign of a NaN alone when AH is 1; the oracle does so for scalars only.
    let vector_sign = |e: &Encoding| e.class.starts_with("simd_dp/asimdmisc") && (e.name.starts_with("FABS") || e.name.starts_with("FNEG"));
    let mut chosen = candidates(Options::default());
    chosen.retain(|e| e.group() == "simd_dp" && !vector_sign(e));
    let (oracle, tested) = (Engine::qemu("max").unwrap(), tested("max").unwrap());
    let report = singles(&oracle, &tested, &chosen, CASES * scale(), settings).unwrap();
    must_agree(&report);
    assert!(report.names.len() > 700);
}

/// All testable encodings, and the scalable vectors, on a core whose features both emulators implement
/// wholly: what the core lacks must be UNDEFINED.
#[test]
fn cortex_a72_exactly() {
    let _turn = turn();
    let seed = Rng::announced("cortex_a72_exactly").seed();
    let scalable = |e: &&Encoding| e.class.starts_with("sve") || e.class.starts_with("sme");
    let encodings: Vec<_> = encoding::testable(Options::default()).chain(encoding::ALL.iter().filter(scalable)).collect();
    let oracle = Engine::qemu("cortex-a72").unwrap();
    let tested = tested("cortex-a72").unwrap();
    let report = singles_exactly(&oracle, &tested, &encodings, 6 * scale(), seed).unwrap();
    must_agree(&report);
    assert!(report.names.len() > 4000);
}

/// Sequences of 5 to 30 instructions.
#[test]
fn random_sequences() {
    let _turn = turn();
    let seed = Rng::announced("random_sequences").seed();
    let oracle = Engine::qemu("max").unwrap();
    let tested = tested("max").unwrap();
    let words = vocabulary(&oracle, &candidates(Options::default()), seed).unwrap();
    println!("{} encodings in sequences; oracle: {}", words.len(), oracle.name);
    let report = sequences(&oracle, &tested, &words, 0..SEQUENCES * scale(), seed).unwrap();
    must_agree(&report);
    let count = &report.names["sequence"];
    assert!(count.completed * 2 > count.cases, "most sequences should run to their end");
}

/// The ways to run guest code that are not what the other tests have `emu` do.
const ENGINES: [(&str, &str); 8] = [
    // Most is run for the first time, and so interpreted.
    ("EMU_JIT", ""),
    ("EMU_JIT", "hot"),
    ("EMU_JIT", "brief"),
    ("EMU_JIT", "noopt"),
    ("EMU_JIT", "plain"),
    ("EMU_JIT", "interpret"),
    ("EMU_HOST", "x86-64-v2"),
    ("EMU_JIT", "off"),
];

/// Every engine computes what the one computes that the other tests compare with the oracle.
#[test]
fn engines() {
    let _turn = turn();
    let seed = Rng::announced("engines").seed();
    let chosen = candidates(Options::default());
    let usual = Engine::emu("max").unwrap();
    let words = vocabulary(&usual, &chosen, seed).unwrap();
    for (variable, value) in ENGINES {
        let other = Engine::emu_by("max", variable, value).unwrap();
        println!("{}", other.name);
        let report = singles(&usual, &other, &chosen, CASES / 3 * scale(), seed).unwrap();
        must_agree(&report);
        assert!(report.names.len() > 1000, "the usual engine knows too few of the encodings");
        let report = sequences(&usual, &other, &words, 0..SEQUENCES / 8 * scale(), seed).unwrap();
        must_agree(&report);
    }
}

/// The harness sees differences: two cores of one emulator differ where their features do, and only
/// there.
#[test]
fn the_harness_sees_what_a_core_lacks() {
    let _turn = turn();
    let (max, a72) = (Engine::qemu("max").unwrap(), Engine::qemu("cortex-a72").unwrap());
    let classes = ["dpreg/addsub_shift", "ldst/memop", "dpreg/setf", "ldst/ldst_pos"];
    let chosen: Vec<_> = encoding::testable(Options::default()).filter(|e| classes.contains(&e.class)).collect();
    let seed = 0x5eed;
    let report = singles(&max, &a72, &chosen, 30, seed).unwrap();
    for (name, count) in &report.names {
        let class = chosen.iter().find(|e| e.name == *name).map_or("", |e| e.class);
        // FPCR.FZ16 is RES0 on Cortex-A72, which the state shows in one case of six.
        if class == "ldst/memop" || class == "dpreg/setf" {
            assert_eq!(count.mismatches, count.cases - count.undefined, "{name} is absent from Cortex-A72");
        } else {
            assert!(count.mismatches < count.cases / 2, "{name} is on both");
        }
    }
    assert!(report.failing().contains(&"SETF8_only_setf"));
    assert!(report.shown.iter().any(|text| text.contains("ESR")), "{:?}", report.shown);
    let same = singles(&a72, &a72, &chosen, 30, seed).unwrap();
    assert_eq!(same.mismatches(), 0, "{:?}", same.shown);
}
