//! What `emu` advertises executes, and what it does not is UNDEFINED: no oracle takes part.
//!
//! The features come from the identification registers that the guest reads; from them the gates of the decode tables say
//! which encodings there are.

use emu_target_aarch64_v9::decode::{self, ROWS, Row, Status};
use emu_target_aarch64_v9::feature::{Feature, FeatureSet};
use emu_target_aarch64_v9::model;
use emu_test_differential::case::{Case, Pools};
use emu_test_differential::encoding::{ALL, Encoding};
use emu_test_differential::engine::{Engine, ec};
use emu_test_differential::generate;
use emu_test_kit::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Words of each encoding.
const WORDS: u64 = 6;

/// CRm and op2 of the registers that announce features (op0 3, op1 0, CRn 0).
const ID_REGISTERS: [(&str, (u32, u32)); 18] = [
    ("ID_AA64PFR0_EL1", (4, 0)),
    ("ID_AA64PFR1_EL1", (4, 1)),
    ("ID_AA64PFR2_EL1", (4, 2)),
    ("ID_AA64ZFR0_EL1", (4, 4)),
    ("ID_AA64SMFR0_EL1", (4, 5)),
    ("ID_AA64FPFR0_EL1", (4, 7)),
    ("ID_AA64DFR0_EL1", (5, 0)),
    ("ID_AA64DFR1_EL1", (5, 1)),
    ("ID_AA64DFR2_EL1", (5, 2)),
    ("ID_AA64ISAR0_EL1", (6, 0)),
    ("ID_AA64ISAR1_EL1", (6, 1)),
    ("ID_AA64ISAR2_EL1", (6, 2)),
    ("ID_AA64ISAR3_EL1", (6, 3)),
    ("ID_AA64MMFR0_EL1", (7, 0)),
    ("ID_AA64MMFR1_EL1", (7, 1)),
    ("ID_AA64MMFR2_EL1", (7, 2)),
    ("ID_AA64MMFR3_EL1", (7, 3)),
    ("ID_AA64MMFR4_EL1", (7, 4)),
];

/// What the registers announce.
fn advertised(values: &BTreeMap<(u32, u32), u64>) -> FeatureSet {
    model::features_of(&|name| {
        let (_, place) = ID_REGISTERS.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name} is not read"));
        values.get(place).copied().unwrap_or(0)
    })
}

/// Encodings that wait for something that does not come.
fn waits(e: &Encoding) -> bool {
    e.name.starts_with("WF")
}

/// WFE and WFI, which are also words of the encoding HINT.
fn is_wait(word: u32) -> bool {
    word & !0x20 == 0xd503_205f
}

/// The word of the encoding in its case (which may have others before it).
fn word_of(e: &Encoding, case: &Case) -> u32 {
    case.code.iter().copied().find(|w| w & e.mask == e.value).unwrap_or(case.code[case.entry])
}

fn matches(row: &Row, word: u32) -> bool {
    word & row.mask == row.bits && !row.excluded.iter().any(|(mask, bits)| word & mask == *bits)
}

/// Whether the word must be UNDEFINED: its row is closed or not implemented, and no other row has the word then.
fn must_be_undefined(word: u32, has: &dyn Fn(Feature) -> bool) -> bool {
    match decode::lookup(word) {
        None => true,
        Some(row) if row.allowed(has) => matches!(row.status, Status::Unimplemented(_)),
        Some(row) => !ROWS.iter().any(|r| r.name != row.name && matches(r, word) && r.allowed(has)),
    }
}

fn exactly(cpu: &str) {
    let seed = Rng::announced(&format!("features of {cpu}")).seed();
    let pools = Pools::new(seed);
    let emu = Engine::emu(cpu).unwrap();
    let set = advertised(&emu.id_registers().unwrap());
    let has = |f: Feature| set.has(f);
    let encodings: Vec<&Encoding> = ALL.iter().filter(|e| !waits(e)).collect();
    let cases: Vec<Case> = encodings
        .iter()
        .flat_map(|e| (0..).map(|i| generate::single(e, i, &pools)).filter(|c| !is_wait(word_of(e, c))).take(WORDS as usize))
        .collect();
    let lines = emu.run(&cases, &pools).unwrap();

    let mut wrong = BTreeSet::new();
    let mut executed: BTreeSet<&str> = BTreeSet::new();
    let mut closed = 0;
    let each = encodings.iter().flat_map(|e| std::iter::repeat_n(e, WORDS as usize));
    for ((e, case), line) in each.zip(&cases).zip(&lines) {
        let line = line.unwrap_or_else(|| panic!("{} case {} has no end", e.name, case.index));
        let word = word_of(e, case);
        if must_be_undefined(word, &has) {
            closed += 1;
            if line.class != ec::UNKNOWN {
                wrong.insert(format!("{} {word:#010x} (class {:#x})", e.name, line.class));
            }
        } else if line.class != ec::UNKNOWN
            && let Some(row) = decode::lookup(word)
        {
            executed.insert(row.name);
        }
    }
    assert!(wrong.is_empty(), "{cpu}: {} words are not advertised and not UNDEFINED: {wrong:?}", wrong.len());

    // A feature has instructions if there is a row that only it opens.
    let mut with_instructions = 0;
    let mut silent = BTreeSet::new();
    for f in set.iter() {
        let opened = |r: &&Row| {
            let implemented = matches!(r.status, Status::Implemented(_)) && !r.name.starts_with("WF");
            implemented && r.allowed(&has) && !r.allowed(&|g| g != f && set.has(g))
        };
        let rows: Vec<&Row> = ROWS.iter().filter(opened).collect();
        if rows.is_empty() {
            continue;
        }
        with_instructions += 1;
        if !rows.iter().any(|r| executed.contains(r.name)) {
            silent.insert(f.name());
        }
    }
    println!(
        "{cpu}: {} features, {with_instructions} of them with instructions; {} encodings executed, {closed} words UNDEFINED",
        set.iter().count(),
        executed.len()
    );
    assert!(silent.is_empty(), "{cpu}: no word of these features executes: {silent:?}");
    assert!(with_instructions > 3 && closed > 10_000, "the tables and the registers say more");
}

#[test]
fn max_exactly() {
    exactly("max");
}

#[test]
fn cortex_a72_is_what_it_says() {
    exactly("cortex-a72");
}
