//! Holds the A64 decode tables against Arm's encodings.
//!
//! The oracle is a matcher over the masks of `aarchmrs-instructions` that knows nothing of the
//! tables or the decision tree. Where the specification says a row's limits in words (`immh != 0000`)
//! the crate's masks are wider than the encoding; there the oracle's other matches have to explain the word.

use std::collections::{BTreeMap, HashMap};

use emu_test_decode_coverage::decode::{self, Feature, ROWS, Row, Status};
use emu_test_decode_coverage::{ENCODINGS, TABLES};

/// SplitMix64, so that a failing seed can be replayed with `SEED=`.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let time = || std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(time);
        println!("SEED={seed}");
        Random(seed)
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }
}

/// Encodings by their top eleven bits, for a linear search of a few dozen instead of thousands.
struct Oracle {
    buckets: Vec<Vec<u16>>,
}

impl Oracle {
    fn new() -> Self {
        let bucket = |top: u32| {
            let word = top << 21;
            let near = |e: &&(usize, &emu_test_decode_coverage::Encoding)| (word ^ e.1.bits) & e.1.mask >> 21 << 21 == 0;
            ENCODINGS.iter().enumerate().filter(|e| near(&e)).map(|(i, _)| i as u16).collect()
        };
        Oracle { buckets: (0..1 << 11).map(bucket).collect() }
    }

    /// Every encoding whose mask matches the word, the most specific first.
    fn matches(&self, word: u32) -> Vec<usize> {
        let near = self.buckets[(word >> 21) as usize].iter().map(|&i| usize::from(i));
        let mut hits: Vec<usize> = near.filter(|&i| word & ENCODINGS[i].mask == ENCODINGS[i].bits).collect();
        hits.sort_by_key(|&i| std::cmp::Reverse(ENCODINGS[i].mask.count_ones()));
        hits
    }
}

fn row_of(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.name == name)
}

fn excludes(row: &Row, word: u32) -> bool {
    row.excluded.iter().any(|&(m, b)| word & m == b)
}

#[test]
fn every_encoding_has_its_row() {
    let rows: HashMap<&str, &Row> = ROWS.iter().map(|r| (r.name, r)).collect();
    assert_eq!(rows.len(), ROWS.len(), "row names are unique");
    for e in ENCODINGS {
        let row = rows.get(e.name).unwrap_or_else(|| panic!("{} ({}) has no row", e.name, e.class));
        assert_eq!((row.mask, row.bits), (e.mask, e.bits), "{} at {} differs from the specification", e.name, row.source);
    }
    let known: HashMap<&str, ()> = ENCODINGS.iter().map(|e| (e.name, ())).collect();
    for row in &ROWS {
        assert!(known.contains_key(row.name), "{} at {} is not in the specification", row.name, row.source);
    }
    assert!(ENCODINGS.len() > 4000, "only {} encodings were found in the crate", ENCODINGS.len());
}

/// The variable fields of a row's text: name, lowest bit, width.
fn fields(pattern: &str) -> Vec<(&str, u32, u32)> {
    let mut low = 32;
    let mut out = Vec::new();
    for item in pattern.split_whitespace() {
        let field = match (item.split_once("!="), item.split_once('='), item.split_once(':')) {
            (Some((name, bits)), _, _) => Some((name, bits.len() as u32)),
            (_, Some((_, bits)), _) => {
                low -= bits.len() as u32;
                None
            }
            (_, _, Some((name, width))) => Some((name, width.parse().expect("a width"))),
            _ => {
                low -= item.trim_matches(['(', ')']).len() as u32;
                None
            }
        };
        if let Some((name, width)) = field {
            low -= width;
            out.push((name, low, width));
        }
    }
    out
}

#[test]
fn fields_are_those_of_the_specification() {
    let mut texts: HashMap<String, String> = HashMap::new();
    for path in TABLES {
        let text = std::fs::read_to_string(path).expect("a table");
        for line in text.lines() {
            let Some((head, pattern)) = line.split_once(' ') else {
                continue;
            };
            let end = pattern.find(" : ").or_else(|| pattern.find(" ! ")).unwrap_or(0);
            texts.insert(head.into(), pattern[..end].into());
        }
    }
    let mut checked = 0;
    for e in ENCODINGS {
        let mut have = fields(&texts[e.name]);
        let mut want = e.fields.to_vec();
        have.sort_unstable();
        want.sort_unstable();
        assert_eq!(have, want, "fields of {}", e.name);
        checked += want.len();
    }
    assert!(checked > 10_000, "only {checked} fields were compared");
}

#[test]
fn random_words_of_each_encoding_decode_to_it() {
    let mut random = Random::new();
    let oracle = Oracle::new();
    let mut exact = 0u32;
    for e in ENCODINGS {
        let own = row_of(e.name).expect("tested above");
        for _ in 0..500 {
            let word = e.bits | random.next() & !e.mask;
            if excludes(own, word) {
                continue;
            }
            let row = decode::lookup(word).unwrap_or_else(|| panic!("{word:08x} of {} decodes to nothing", e.name));
            let best = oracle.matches(word).into_iter().map(|i| ENCODINGS[i].name).find(|n| !excludes(row_of(n).unwrap(), word));
            assert_eq!(Some(row.name), best, "{word:08x}, a word of {}", e.name);
            exact += u32::from(row.name == e.name);
        }
    }
    assert!(exact > ENCODINGS.len() as u32 * 450, "only {exact} words decoded to the encoding they were made for");
}

#[test]
fn unallocated_words_match_nothing() {
    let mut random = Random::new();
    let oracle = Oracle::new();
    let by_name: HashMap<&str, &Row> = ROWS.iter().map(|r| (r.name, r)).collect();
    let rows: Vec<&Row> = ENCODINGS.iter().map(|e| by_name[e.name]).collect();
    let (mut allocated, mut unallocated, mut excluded) = (0u32, 0u32, 0u32);
    for _ in 0..10_000_000 {
        let word = random.next();
        let hits = oracle.matches(word);
        let best = hits.iter().map(|&i| rows[i]).find(|r| !excludes(r, word));
        match (decode::lookup(word), best) {
            (Some(row), Some(best)) => {
                assert_eq!(row.name, best.name, "{word:08x}");
                allocated += 1;
            }
            (None, None) if hits.is_empty() => unallocated += 1,
            (None, None) => excluded += 1,
            (row, best) => panic!("{word:08x}: the tables say {:?}, the specification {:?}", row.map(|r| r.name), best.map(|r| r.name)),
        }
    }
    println!("{allocated} allocated, {unallocated} unallocated, {excluded} only inside what a row excludes");
    assert!(allocated > 1_000_000 && unallocated > 1_000_000);
}

#[test]
fn tree_is_linear_search() {
    let table = emu_decodetree::load(TABLES).unwrap_or_else(|e| panic!("{e}"));
    let mut random = Random::new();
    for i in 0..40_000 {
        let word = if i % 2 == 0 {
            random.next()
        } else {
            let e = &ENCODINGS[random.next() as usize % ENCODINGS.len()];
            e.bits | random.next() & !e.mask
        };
        assert_eq!(decode::find(word), table.find_linear(word), "{word:08x}");
        assert_eq!(decode::find(word), table.find(word), "{word:08x}");
    }
}

/// The class of a row's file and its title, for the printed counts.
fn file(row: &Row) -> &'static str {
    row.source.split(".decode:").next().unwrap_or_default()
}

#[test]
fn counts_by_file_and_class() {
    let mut files: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut classes: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for row in &ROWS {
        let implemented = matches!(row.status, Status::Implemented(_));
        for count in [files.entry(file(row)).or_default(), classes.entry((file(row), row.class)).or_default()] {
            count.0 += u32::from(implemented);
            count.1 += u32::from(!implemented);
        }
        if let Status::Unimplemented(why) = row.status {
            assert!(!why.is_empty(), "{} gives no reason", row.name);
            *reasons.entry(why).or_default() += 1;
        }
    }
    println!("{:24} {:>11} {:>13}", "file", "implemented", "unimplemented");
    files.iter().for_each(|(f, (a, b))| println!("{f:24} {a:11} {b:13}"));
    println!();
    classes.iter().filter(|(_, c)| c.0 > 0).for_each(|((f, c), (a, b))| println!("{f:24} {c:60} {a:5} {b:5}"));
    println!();
    reasons.iter().for_each(|(why, n)| println!("{n:5} {why}"));
    let (a, b) = files.values().fold((0, 0), |t, c| (t.0 + c.0, t.1 + c.1));
    println!("{a} of {} encodings have a method, {b} are named unimplemented", a + b);
    assert_eq!((a + b) as usize, ENCODINGS.len());
}

#[test]
fn gates_of_some_rows() {
    let gate = |name: &str| row_of(name).unwrap().gate.map(|g| g.text);
    assert_eq!(gate("ADD_64_addsub_imm"), None);
    assert_eq!(gate("CAS_C64_comswap"), Some("FEAT_LSE"));
    assert_eq!(gate("FADD_asimdsamefp16_only"), Some("FEAT_AdvSIMD & FEAT_FP16"));
    let sqadd = row_of("FADD_asimdsamefp16_only").unwrap();
    assert!(sqadd.allowed(&|f| f == Feature::AdvSIMD || f == Feature::FP16));
    assert!(!sqadd.allowed(&|f| f == Feature::AdvSIMD));
}

/// Aliases and well-known words, by the encoding that an assembler makes of them.
#[test]
fn well_known_words() {
    for (word, name) in [
        (0xd503_201f, "NOP_HI_hints"),
        (0xd503_233f, "PACIASP_HI_hints"),
        (0xd503_2fff, "HINT_HM_hints"),
        (0xd65f_03c0, "RET_64R_branch_reg"),
        (0xd65f_0bff, "RETAA_64E_branch_reg"),
        (0xd400_0001, "SVC_EX_exception"),
        (0x9100_03fd, "ADD_64_addsub_imm"),
        (0xaa01_03e0, "ORR_64_log_shift"),
        (0xa9bf_7bfd, "STP_64_ldstpair_pre"),
        (0xf940_0000, "LDR_64_ldst_pos"),
        (0x4f00_0400, "MOVI_asimdimm_L_sl"),
        (0x4f08_0400, "SSHR_asimdshf_R"),
        (0x1e60_2020, "FCMP_D_floatcmp"),
        (0x4cdf_7000, "LD1_asisdlsep_I1_i1"),
        (0x4cc1_7000, "LD1_asisdlsep_R1_r1"),
        (0x3860_6820, "LDRB_32BL_ldst_regoff"),
        (0x3860_4820, "LDRB_32B_ldst_regoff"),
        (0x0000_0000, "UDF_only_perm_undef"),
    ] {
        assert_eq!(decode::lookup(word).map(|r| r.name), Some(name), "{word:08x}");
    }
    assert!(decode::lookup(0xffff_ffff).is_none());
}
