//! Sequences of 5 to 30 instructions with flag chains, forward branches, loads and stores through
//! shared base registers, exclusive pairs, and now and then a fault in the middle.
//!
//! The instructions are words that the oracle has executed alone without an exception; their
//! registers are drawn anew. So that a sequence stays in the window, some registers keep their
//! meaning: X20 to X23 are small offsets, X24 to X28 and SP are bases that only writeback changes.

use crate::case::{Case, EXIT, Pools};
use crate::encoding::Encoding;
use crate::generate::{case_rng, random_state};
use crate::operands::{self, Spot};
use emu_test_kit::Rng;

/// The words that sequences are made of.
#[derive(Default)]
pub struct Vocabulary {
    flags: Vec<Entry>,
    integer: Vec<Entry>,
    vector: Vec<Entry>,
    memory: Vec<Entry>,
    other: Vec<Entry>,
}

/// An encoding and words of it that are known to execute.
struct Entry {
    encoding: &'static Encoding,
    words: Vec<u32>,
}

/// Instructions that set or read the flags.
const FLAG_NAMES: [&str; 20] = [
    "ADDS_", "SUBS_", "ADCS_", "SBCS_", "ANDS_", "BICS_", "CCMP_", "CCMN_", "CSEL_", "CSINC_", "CSINV_", "CSNEG_", "ADC_", "SBC_", "SETF", "RMIF",
    "CFINV", "FCMP_", "FCCMP_", "FCSEL_",
];

impl Vocabulary {
    /// Adds the words of an encoding; those that sequences cannot use are left out.
    pub fn add(&mut self, encoding: &'static Encoding, words: Vec<u32>) {
        let class = encoding.class;
        let unfit = encoding.is_branch()
            || encoding.name.contains("_SYS")
            || matches!(class, "control/exception" | "ldst/ldstexclr" | "ldst/ldstexclp" | "ldst/ldst_pac" | "ldst/memcms")
            || class == crate::encoding::EXTRA && !encoding.name.starts_with("MRS_");
        if unfit || words.is_empty() {
            return;
        }
        let entry = Entry { encoding, words };
        let list = match encoding.group() {
            _ if FLAG_NAMES.iter().any(|f| encoding.name.starts_with(f)) => &mut self.flags,
            "dpreg" | "dpimm" => &mut self.integer,
            "simd_dp" => &mut self.vector,
            "ldst" => &mut self.memory,
            _ => &mut self.other,
        };
        list.push(entry);
    }

    /// How many encodings there are.
    pub fn len(&self) -> usize {
        [&self.flags, &self.integer, &self.vector, &self.memory, &self.other].iter().map(|l| l.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn draw(&self, rng: &mut Rng) -> Option<(&'static Encoding, u32)> {
        let list = match rng.below(100) {
            0..25 => &self.flags,
            25..48 => &self.integer,
            48..75 => &self.vector,
            75..97 => &self.memory,
            _ => &self.other,
        };
        if list.is_empty() {
            return None;
        }
        let entry = rng.pick(list);
        Some((entry.encoding, *rng.pick(&entry.words)))
    }
}

/// Registers that hold data, by parity: CASP and its like need even ones.
const DATA: [u32; 22] = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 30, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 29];
const OFFSETS: std::ops::Range<u32> = 20..24;
/// The base that stays aligned, for exclusives: no writeback.
const ALIGNED_BASE: u32 = 27;
/// The base that may point anywhere.
const WILD_BASE: u32 = 28;
const BASES: [u32; 5] = [24, 25, 26, 31, WILD_BASE];

/// The word with its registers and displacement drawn anew.
fn rename(e: &Encoding, mut word: u32, rng: &mut Rng) -> u32 {
    for field in e.fields {
        if field.is_register() {
            let value = match field.name {
                "Rn" if e.is_memory() => match rng.below(12) {
                    0 => WILD_BASE,
                    _ => BASES[rng.below(4) as usize],
                },
                "Rm" if e.is_memory() => OFFSETS.start + rng.below(4) as u32,
                name => {
                    let odd = field.get(word) & 1;
                    // ZR, but never SP as a destination.
                    if name != "Rd" && odd == 1 && rng.one_in(12) { 31 } else { DATA[11 * odd as usize + rng.below(11) as usize] }
                }
            };
            word = field.set(word, value);
        } else if e.group() == "ldst" {
            let small = |rng: &mut Rng, range: u64| (rng.below(range) as u32).wrapping_sub(range as u32 / 2);
            let value = match field.name {
                "imm12" => rng.below(8) as u32,
                "imm9" => small(rng, 64),
                "imm7" => small(rng, 8),
                "imm19" => small(rng, 16),
                _ => continue,
            };
            word = field.set(word, value);
        }
    }
    word
}

/// A branch forward over `skip` words, none of which is the branch itself.
fn forward_branch(rng: &mut Rng, skip: u32) -> u32 {
    let distance = skip + 1;
    let register = *rng.pick(&DATA);
    match rng.below(8) {
        0..4 => 0x5400_0000 | distance << 5 | rng.below(16) as u32,
        4 | 5 => 0x3400_0000 | (rng.below(2) as u32) << 31 | (rng.below(2) as u32) << 24 | distance << 5 | register,
        6 => {
            let bit = rng.below(64) as u32;
            let op = 0x3600_0000 | (rng.below(2) as u32) << 24;
            op | (bit >> 5) << 31 | (bit & 31) << 19 | distance << 5 | register
        }
        _ => 0x1400_0000 | distance,
    }
}

/// LDXR or LDAXR, one data instruction, STXR or STLXR, on the aligned base.
fn exclusive_pair(rng: &mut Rng, code: &mut Vec<u32>) {
    let size = (rng.below(4) as u32) << 30;
    let order = |rng: &mut Rng| (rng.below(2) as u32) << 15;
    let (value, status) = (rng.below(8) as u32, 8 + rng.below(8) as u32);
    let base = ALIGNED_BASE << 5;
    code.push(0x085f_7c00 | size | order(rng) | base | value);
    code.push(0x8b00_0000 | value << 16 | 16 << 5 | value); // ADD Xvalue, X16, Xvalue
    code.push(0x0800_7c00 | size | order(rng) | status << 16 | base | value);
}

/// Sequence `index` of the pools' seed.
pub fn sequence(index: u64, vocabulary: &Vocabulary, pools: &Pools) -> Case {
    let rng = &mut case_rng(pools.settings.seed, "sequence", index);
    let mut case = random_state("sequence", index, rng, pools, None);
    for base in BASES.iter().filter(|b| **b < 31) {
        case.x[*base as usize] = operands::address(rng, Spot::Inside);
    }
    case.sp = operands::address(rng, Spot::Inside);
    case.x[ALIGNED_BASE as usize] = operands::address(rng, Spot::Aligned);
    if rng.one_in(8) {
        case.x[WILD_BASE as usize] = operands::address(rng, Spot::Any);
    }
    for offset in OFFSETS {
        case.x[offset as usize] = (rng.below(64) as i64 - 32) as u64;
    }
    let len = 5 + rng.below(26) as usize;
    let mut code = Vec::with_capacity(len + 3);
    while code.len() < len {
        let left = (len - code.len()) as u64;
        if left >= 3 && rng.one_in(40) {
            exclusive_pair(rng, &mut code);
        } else if left >= 2 && rng.one_in(8) {
            let skip = 1 + rng.below((left - 1).min(5)) as u32;
            code.push(forward_branch(rng, skip));
        } else if let Some((encoding, word)) = vocabulary.draw(rng) {
            let renamed = rename(encoding, word, rng);
            if !crate::memory::is_unpredictable(encoding, renamed) {
                code.push(renamed);
            }
        } else {
            code.push(0xd503_201f);
        }
    }
    code.push(EXIT);
    case.code = code;
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{self, Options};
    use crate::generate;

    #[test]
    fn lengths_and_branches_stay_inside() {
        let mut vocabulary = Vocabulary::default();
        for e in encoding::testable(Options::default()) {
            let words = (0..2).map(|i| generate::word(e, &mut case_rng(1, e.name, i))).collect();
            vocabulary.add(e, words);
        }
        assert!(vocabulary.len() > 1500);
        let pools = Pools::new(1);
        for index in 0..500 {
            let case = sequence(index, &vocabulary, &pools);
            let len = case.code.len() - 1;
            assert!((5..=30).contains(&len));
            assert_eq!(case.code[len], EXIT);
            for (at, word) in case.code.iter().enumerate() {
                if word >> 24 == 0x54 {
                    let to = at + (word >> 5 & 0x7_ffff) as usize;
                    assert!(to > at && to <= len, "a branch at {at} leads to {to} of {len}");
                }
            }
        }
    }
}
