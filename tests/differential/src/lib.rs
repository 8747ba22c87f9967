//! Differential tests of A64 against an independent emulator (QEMU from Debian's packages).
//!
//! One bare-metal guest, assembled here, runs under both. It executes thousands of cases at EL0, each
//! from a full set of registers, and prints a hash of the final state of each; where the two outputs
//! differ, the case is run again alone with its whole state printed. A hash covers X0 to X30, SP,
//! PSTATE, FPCR, FPSR, V0 to V31, ELR, ESR and FAR of the exception that ended the case, and the
//! memory around the addresses that the cases use.
//!
//! - [`encoding`]: all encodings, from Arm's machine-readable specification, and which are left out.
//! - [`generate`], [`sequence`]: cases of one instruction, and of 5 to 30.
//! - [`operands`], [`memory`]: biased values; addresses and what is CONSTRAINED UNPREDICTABLE.
//! - [`case`], [`layout`], [`runner`]: the image, where things lie in it, and the guest program.
//! - [`program`]: the same as a program of Linux, for user mode.
//! - [`engine`], [`compare`], [`deviation`]: running it, judging, and what two emulators may do differently.
//!
//! The example `diff` is the developer's tool: `cargo run --release -p emu-test-differential --example
//! diff -- --filter ADD_ --cases 100`.

pub mod case;
pub mod compare;
pub mod deviation;
pub mod encoding;
pub mod engine;
pub mod generate;
pub mod layout;
pub mod memory;
pub mod operands;
pub mod program;
pub mod runner;
pub mod sequence;

use case::{Case, Pools, Settings};
use compare::Report;
use emu_test_kit::Result;
use encoding::{Encoding, Options};
use engine::{Engine, Line, ec};
use std::collections::BTreeSet;
use std::path::Path;

/// The encodings to test: the testable ones that the target's decode tables give to a method.
///
/// # Panics
/// When the tables are not where they belong.
pub fn candidates(options: Options) -> Vec<&'static Encoding> {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../targets/aarch64-v9/decode");
    let rows: BTreeSet<String> = encoding::implemented_rows(&tables).unwrap_or_else(|| panic!("no decode tables in {}", tables.display()));
    encoding::testable(options).filter(|e| e.class == encoding::EXTRA || rows.contains(e.name)).collect()
}

/// Cases of one encoding with the oracle's lines.
type Tried = Vec<(Case, Option<Line>)>;

/// The cases of these numbers of each encoding with the oracle's lines.
fn try_all(oracle: &Engine, encodings: &[&'static Encoding], numbers: std::ops::Range<u64>, pools: &Pools) -> Result<Vec<Tried>> {
    let of = |e: &&'static Encoding| -> Vec<Case> { numbers.clone().map(|i| generate::single(e, i, pools)).collect() };
    let list: Vec<Case> = encodings.iter().flat_map(of).collect();
    let lines = compare::run_oracle(oracle, &list, pools)?;
    let mut pairs = list.into_iter().zip(lines);
    let count = (numbers.end - numbers.start) as usize;
    Ok(encodings.iter().map(|_| pairs.by_ref().take(count).collect()).collect())
}

/// How many cases of an encoding that are UNDEFINED in the oracle are kept beside the others.
const UNDEFINED_KEPT: u64 = 4;

/// Tests `cases` cases of each encoding that are not UNDEFINED in the oracle, and a few that are.
///
/// The oracle alone chooses first, among more: reserved field values would otherwise crowd out the rest. Encodings of which it knows no case are named in [`Report::unknown`].
pub fn singles(oracle: &Engine, tested: &Engine, encodings: &[&'static Encoding], cases: u64, settings: impl Into<Settings>) -> Result<Report> {
    let pools = Pools::new(settings);
    let is_undefined = |l: &Option<Line>| l.is_some_and(|l| l.class == ec::UNKNOWN);
    let mut chosen = Vec::with_capacity(encodings.len() * (cases + UNDEFINED_KEPT) as usize);
    let mut unknown = Vec::new();
    let mut again = Vec::new();
    for (e, tried) in encodings.iter().zip(try_all(oracle, encodings, 0..2 * cases, &pools)?) {
        let defined = tried.iter().filter(|(_, l)| !is_undefined(l)).count() as u64;
        if defined == 0 && !ALWAYS_UNDEFINED.iter().any(|p| e.name.starts_with(p)) {
            unknown.push(e.name);
            continue;
        }
        let kept = if defined == 0 { cases } else { UNDEFINED_KEPT };
        if (1..cases).contains(&defined) {
            again.push(*e);
        }
        for (wanted, undefined) in [(cases, false), (kept, true)] {
            let some = tried.iter().filter(|(_, l)| is_undefined(l) == undefined);
            chosen.extend(some.take(wanted as usize).map(|(c, _)| c.clone()));
        }
    }
    // Few words of some encodings are defined: draw on.
    for tried in try_all(oracle, &again, 2 * cases..20 * cases, &pools)? {
        let some = tried.iter().filter(|(_, l)| !is_undefined(l));
        chosen.extend(some.take(cases as usize).map(|(c, _)| c.clone()));
    }
    chosen.sort_by_key(|c| (c.name, c.index));
    let outcomes = compare::run_both(oracle, tested, &chosen, &pools)?;
    let mut report = compare::judge(oracle, tested, &chosen, &outcomes, &pools)?;
    report.unknown = unknown;
    Ok(report)
}

/// Instructions that are UNDEFINED at EL0 by definition, known or not.
const ALWAYS_UNDEFINED: [&str; 6] = ["UDF_", "MRS_DAIF", "MRS_SCTLR_EL1", "MSR_ELR_EL1", "DC_IVAC", "MSR_DAIF"];

/// Tests `cases` cases of each encoding, UNDEFINED ones too: both emulators must know the same. For
/// models whose features both implement exactly.
pub fn singles_exactly(
    oracle: &Engine,
    tested: &Engine,
    encodings: &[&'static Encoding],
    cases: u64,
    settings: impl Into<Settings>,
) -> Result<Report> {
    let pools = Pools::new(settings);
    let list: Vec<Case> = encodings.iter().flat_map(|e| (0..cases).map(|i| generate::single(e, i, &pools))).collect();
    let outcomes = compare::run_both(oracle, tested, &list, &pools)?;
    compare::judge(oracle, tested, &list, &outcomes, &pools)
}

/// The words for sequences: those that complete alone under the oracle.
pub fn vocabulary(oracle: &Engine, encodings: &[&'static Encoding], settings: impl Into<Settings>) -> Result<sequence::Vocabulary> {
    const WORDS: u64 = 8;
    let pools = Pools::new(settings);
    let list: Vec<Case> = encodings.iter().flat_map(|e| (0..WORDS).map(|i| generate::single(e, u64::MAX - i, &pools))).collect();
    let lines = oracle.run(&list, &pools)?;
    let mut vocabulary = sequence::Vocabulary::default();
    for (i, encoding) in encodings.iter().enumerate() {
        let range = i * WORDS as usize..(i + 1) * WORDS as usize;
        let words = range.filter(|&k| lines[k].is_some_and(|l| l.class == ec::SVC)).map(|k| list[k].code[list[k].entry]).collect();
        vocabulary.add(encoding, words);
    }
    Ok(vocabulary)
}

/// Tests the sequences with these numbers.
pub fn sequences(
    oracle: &Engine,
    tested: &Engine,
    vocabulary: &sequence::Vocabulary,
    numbers: std::ops::Range<u64>,
    settings: impl Into<Settings>,
) -> Result<Report> {
    let pools = Pools::new(settings);
    let list: Vec<Case> = numbers.map(|i| sequence::sequence(i, vocabulary, &pools)).collect();
    let outcomes = compare::run_both(oracle, tested, &list, &pools)?;
    compare::judge(oracle, tested, &list, &outcomes, &pools)
}
