//! Single-instruction cases: a random word of an encoding and a state that suits it.

use crate::case::{Case, EXIT, Pools};
use crate::encoding::{self, EXTRA, Encoding};
use crate::layout::{CODE, CODE_LEN};
use crate::memory;
use crate::operands::{self, Lanes, Spot};
use emu_test_kit::Rng;

/// The generator of case `index` of an encoding: it depends on nothing else, so that one case can be
/// replayed alone.
pub fn case_rng(seed: u64, name: &str, index: u64) -> Rng {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    Rng::new(seed).fork(hash ^ index.rotate_left(40))
}

/// A random word of the encoding that is not CONSTRAINED UNPREDICTABLE.
pub fn word(e: &Encoding, rng: &mut Rng) -> u32 {
    for _ in 0..1000 {
        let word = draw(e, rng);
        if !memory::is_unpredictable(e, word) {
            return word;
        }
    }
    unreachable!("{} has no predictable word", e.name)
}

fn draw(e: &Encoding, rng: &mut Rng) -> u32 {
    let mut word = e.value;
    let mut earlier = Vec::new();
    for field in e.fields {
        let value = if field.is_register() {
            let value = match rng.below(16) {
                0 => 31,
                1 if !earlier.is_empty() => *rng.pick(&earlier),
                _ => rng.u32() & 31,
            };
            earlier.push(value);
            value
        } else if field.name.starts_with("imm") {
            match rng.below(8) {
                0 => 0,
                1 => u32::MAX,
                2 => rng.u32() & 3,
                _ => rng.u32(),
            }
        } else {
            rng.u32()
        };
        word = field.set(word, value);
    }
    if e.class == EXTRA && e.field("Rn").is_some() && e.name != "DC_ZVA" && word & 31 == 31 {
        word ^= 1; // XZR is an address without a translation
    }
    if e.class == "ldst/comswappr" && !rng.one_in(8) {
        word &= !(1 << 16 | 1); // odd registers are UNDEFINED
    }
    if e.class == "ldst/ldst_regoff" {
        // The other values of `option` are UNDEFINED; one in sixteen is enough.
        if !rng.one_in(16) {
            word |= 1 << 14;
        }
        // A base that is its own offset leaves the window; keep a few.
        if word >> 16 & 31 == word >> 5 & 31 && !rng.one_in(8) {
            word ^= 1 << 16;
        }
    }
    word
}

/// A state with biased registers and no relation to any code.
pub fn random_state(name: &'static str, index: u64, rng: &mut Rng, pools: &Pools, lanes: Option<Lanes>) -> Case {
    Case {
        name,
        index,
        x: std::array::from_fn(|_| operands::integer(rng, 64)),
        sp: operands::integer(rng, 64),
        nzcv: rng.below(16),
        fpcr: operands::fpcr(rng, pools.settings.more_fpcr),
        fpsr: operands::fpsr(rng),
        vectors: pools.pick_vectors(rng, lanes),
        memory: rng.below(pools.memory.len() as u64) as usize,
        code: Vec::new(),
        entry: 0,
        code_address: None,
    }
}

/// Sets the base (and offset) registers so that the word reaches `target`.
pub fn aim(case: &mut Case, e: &Encoding, word: u32, target: u64, rng: &mut Rng) {
    let Some(rn) = e.get("Rn", word) else { return };
    let mut base = target.wrapping_sub(memory::displacement(e, word) as u64);
    if let (Some((narrow, signed, shift)), Some(rm)) = (memory::register_offset(e, word), e.get("Rm", word)) {
        let mut offset = (rng.below(256) as i64 - 128) as u64;
        if rm == 31 {
            offset = 0;
        } else if narrow {
            let junk = rng.u64() << 32;
            let low = offset & 0xffff_ffff;
            offset = if signed { low as u32 as i32 as i64 as u64 } else { low };
            case.x[rm as usize] = low | junk;
        } else {
            case.x[rm as usize] = offset;
        }
        base = base.wrapping_sub(offset << shift);
    }
    match rn {
        31 => case.sp = base,
        n => case.x[n as usize] = base,
    }
}

/// The kind of lanes that the encoding's name hints at, for some of its cases.
fn lanes_of(e: &Encoding, rng: &mut Rng) -> Option<Lanes> {
    if rng.one_in(4) {
        return None;
    }
    let n = e.name;
    let kind = |half: bool| {
        if half || n.contains("16") || n.contains("_H_") || n.contains("_H") && n.contains("float") {
            Lanes::F16
        } else if n.contains("_D_") || n.contains("64") || n.contains("_D") && n.contains("float") {
            Lanes::F64
        } else {
            Lanes::F32
        }
    };
    if e.class.contains("float") || e.class.contains("fp16") {
        let half = e.class.contains("fp16");
        return Some(kind(half));
    }
    if n.starts_with('F') || n.contains("CVT") || n.starts_with("BF") {
        return Some(*rng.pick(&[Lanes::F32, Lanes::F64, Lanes::F16]));
    }
    None
}

/// FEAT_MOPS: prologue, main and epilogue in a row, since what the registers hold between them is
/// IMPLEMENTATION DEFINED. Both sides are assumed to choose the algorithm of option A.
fn memory_operation(case: &mut Case, parts: [&Encoding; 3], rng: &mut Rng) {
    let is_set = parts[0].name.starts_with("SET");
    let mut registers: Vec<u32> = (0..31).collect();
    rng.shuffle(&mut registers);
    let (rd, rs, rn) = (registers[0], registers[1], registers[2]);
    let size = match rng.below(8) {
        0 => 0,
        1..4 => rng.below(20),
        _ => rng.below(200),
    };
    case.x[rd as usize] = operands::address(rng, Spot::Inside);
    case.x[rn as usize] = size;
    if !is_set {
        case.x[rs as usize] = operands::address(rng, Spot::Inside);
    }
    case.code = parts
        .iter()
        .map(|e| {
            let set = |word, name, value| e.field(name).map_or(word, |f| f.set(word, value));
            let word = draw(e, rng);
            // The other values of sz are UNDEFINED.
            let sz = u32::from(e.name == parts[0].name && rng.one_in(32));
            set(set(set(set(word, "sz", sz), "Rd", rd), "Rs", rs), "Rn", rn)
        })
        .collect();
    case.code.push(EXIT);
}

/// Landing places before and behind a branch.
const SLOTS: usize = 8;

/// SVC that tells which landing place was reached.
fn landing(slot: usize) -> u32 {
    0xd400_0001 | (0x7f00 + slot as u32) << 5
}

/// Case `index` of an encoding.
pub fn single(e: &'static Encoding, index: u64, pools: &Pools) -> Case {
    let rng = &mut case_rng(pools.settings.seed, e.name, index);
    let mut word = word(e, rng);
    let lanes = lanes_of(e, rng);
    let mut case = random_state(e.name, index, rng, pools, lanes);
    if e.is_branch() {
        branch(&mut case, e, word, rng);
        return case;
    }
    if let Some(parts) = (e.class == "ldst/memcms").then(|| encoding::memory_operation(e)).flatten() {
        memory_operation(&mut case, parts, rng);
        return case;
    }
    if e.is_memory() {
        let spot = match e.class {
            // Whether a store-exclusive without a reservation checks its address is IMPLEMENTATION
            // DEFINED, so let it be a good one.
            "ldst/ldstexclr" | "ldst/ldstexclp" | "ldst/ldstexclr_unpriv" if word >> 22 & 1 == 0 => Spot::Aligned,
            // Cache maintenance by address needs a translation, and at EL0 read permission (its MMU faults and
            // Permission faults); the oracle checks neither.
            EXTRA if e.name != "DC_ZVA" => Spot::Inside,
            _ => Spot::Any,
        };
        let target = operands::address(rng, spot);
        aim(&mut case, e, word, target, rng);
    }
    if e.class == EXTRA && e.name.starts_with("MSR_FP") {
        let rt = (word & 31) as usize;
        let mask = if e.name == "MSR_FPCR" { operands::FPCR_MASK | pools.settings.more_fpcr } else { operands::FPSR_MASK };
        if rt < 31 {
            case.x[rt] &= mask;
        }
    }
    // PRFM and the like: nothing to see but that nothing happens. A literal load reads the image.
    if e.class == "ldst/loadlit"
        && let Some(field) = e.field("imm19")
    {
        word = field.set(word, (rng.below(64) as u32).wrapping_sub(32));
    }
    case.code = vec![word, EXIT];
    if let Some(signing) = signing_prefix(e, word)
        && !rng.one_in(4)
    {
        case.code.insert(0, signing);
    }
    case
}

/// For an instruction that authenticates a pointer, the one that signs it with the same key and
/// modifier; without it (as some cases are) authentication fails.
fn signing_prefix(e: &Encoding, word: u32) -> Option<u32> {
    let (low, rn) = (word & 31, word >> 5 & 31);
    let pac = |key: u32, zero: bool, d: u32, n: u32| {
        if zero { 0xdac1_23e0 | key << 10 | d } else { 0xdac1_0000 | key << 10 | n << 5 | d }
    };
    let n = e.name;
    match e.class {
        "dpreg/dp_1src" if n.starts_with("AUT") && word & 0xffff_0000 == 0xdac1_0000 => Some(word & !(1 << 12)),
        // AUTIASP, AUTIB1716 and the like.
        "control/hints" if n.starts_with("AUT") => Some(word & !(1 << 7)),
        // LDRAA and LDRAB: key DA or DB, modifier zero.
        "ldst/ldst_pac" => Some(pac(2 | word >> 23 & 1, true, rn, 0)),
        "control/branch_reg" if n.starts_with("RETAA") || n.starts_with("RETAB") => Some(pac(word >> 10 & 1, false, 30, 31)),
        "control/branch_reg" if n.starts_with("BRA") || n.starts_with("BLRA") => {
            let zero = word >> 24 & 1 == 0;
            Some(pac(word >> 10 & 1, zero, rn, low))
        }
        _ => None,
    }
}

/// A branch among landing places. Its displacement, or the register that it takes, is made to lead to
/// one of them; never to itself.
fn branch(case: &mut Case, e: &Encoding, mut word: u32, rng: &mut Rng) {
    let mut delta = rng.below(2 * SLOTS as u64) as i32 - SLOTS as i32;
    if delta >= 0 {
        delta += 1;
    }
    for name in ["imm26", "imm19", "imm14", "imm9"] {
        if let Some(field) = e.field(name) {
            word = field.set(word, delta as u32);
        }
    }
    let mut code: Vec<u32> = (0..2 * SLOTS + 1).map(landing).collect();
    code[SLOTS] = word;
    if e.class == "control/branch_reg" {
        let rn = e.get("Rn", word).unwrap_or(30) as usize;
        if rn < 31 && !rng.one_in(16) {
            case.code_address = Some((rn, (SLOTS as i32 + delta) as usize));
        } else if rn < 31 && (CODE..CODE + CODE_LEN).contains(&(case.x[rn] & (1 << 48) - 1)) {
            // By chance into the runner, which would be carried out.
            case.x[rn] ^= 1 << 40;
        }
    }
    if e.class.contains("compbranch") || e.class.contains("testbranch") {
        // Equal registers, zero and single bits, so that both ways are taken.
        for name in ["Rt", "Rm", "Rn"] {
            if let Some(r @ 0..31) = e.get(name, word) {
                case.x[r as usize] = *rng.pick(&[0, 1, u64::MAX, 1 << 32, 1 << 63, 0xffff_ffff, 0x8000_0000]);
            }
        }
    }
    case.entry = SLOTS;
    if let Some(signing) = signing_prefix(e, word)
        && !rng.one_in(4)
    {
        code[SLOTS - 1] = signing;
        case.entry -= 1;
    }
    case.code = code;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{self, Options};
    use crate::layout;

    #[test]
    fn every_testable_encoding_has_cases_that_match_it() {
        let pools = Pools::new(5);
        let mut count = 0;
        for e in encoding::testable(Options { pauth: true }) {
            for index in 0..3 {
                let case = single(e, index, &pools);
                let signed = signing_prefix(e, case.code[case.entry + 1]) == Some(case.code[case.entry]);
                let word = case.code[case.entry + usize::from(signed)];
                let first = if e.class == "ldst/memcms" { encoding::memory_operation(e).unwrap()[0] } else { e };
                assert_eq!(word & first.mask, first.value, "{}", e.name);
                let again = single(e, index, &pools);
                assert_eq!((case.code, case.x, case.sp), (again.code, again.x, again.sp));
            }
            count += 1;
        }
        assert!(count > 2000, "{count}");
    }

    #[test]
    fn loads_and_stores_reach_their_target() {
        let pools = Pools::new(6);
        let e = encoding::ALL.iter().find(|e| e.name == "LDR_64_ldst_pos").unwrap();
        for index in 0..200 {
            let mut rng = case_rng(6, e.name, index);
            let word = word(e, &mut rng);
            let mut case = random_state(e.name, index, &mut rng, &pools, None);
            aim(&mut case, e, word, layout::MIDDLE, &mut rng);
            let rn = (word >> 5 & 31) as usize;
            let base = if rn == 31 { case.sp } else { case.x[rn] };
            assert_eq!(base.wrapping_add(u64::from(word >> 10 & 0xfff) * 8), layout::MIDDLE);
        }
    }

    #[test]
    fn branches_never_lead_to_themselves() {
        let pools = Pools::new(7);
        for e in encoding::testable(Options::default()).filter(|e| e.is_branch()) {
            for index in 0..100 {
                let case = single(e, index, &pools);
                assert_eq!(case.code.len(), 17);
                for name in ["imm26", "imm19", "imm14", "imm9"] {
                    if let Some(f) = e.field(name) {
                        assert_ne!(f.get(case.code[case.entry]), 0, "{}", e.name);
                    }
                }
            }
        }
    }
}
