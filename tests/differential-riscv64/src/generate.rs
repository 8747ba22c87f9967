//! Cases: an instruction or a sequence, the state that it begins in.

use crate::asm::{branch_bits, jump_bits};
use crate::encoding::{decode, drawn, method, operand, row};
use crate::guest::{ALIAS, CENTRE, POOL_WORDS, REGISTER_FILE, SLOT_BYTES, slot};
use emu_test_kit::Rng;

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Row of the (first) instruction.
    pub row: usize,
    /// The code, in halfwords.
    pub code: Vec<u16>,
    /// Byte offset of the code in its slot.
    pub at: u64,
    /// Byte offsets into the pool: of x and of f.
    pub windows: (u64, u64),
    /// Registers that get a value of their own: offset in the register file, value.
    pub patches: [(u64, u64); 2],
    /// fcsr.
    pub fcsr: u64,
    /// Where it runs.
    pub level: Level,
}

/// Privilege levels, as mstatus.MPP has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// U-mode.
    User = 0,
    /// S-mode, with translation.
    Supervisor = 1,
    /// M-mode.
    Machine = 3,
}

fn user_if(user: bool) -> Level {
    if user { Level::User } else { Level::Machine }
}

/// CSRs that are drawn: those that both sides have to agree on, and some that do not exist.
const CSRS: &[u32] = &[0x001, 0x002, 0x003, 0x140, 0x142, 0x143, 0x343, 0xf14, 0x5c0, 0x7c0, 0xcc0];

fn random_word(rng: &mut Rng, n: usize) -> u32 {
    let r = row(n);
    for _ in 0..10_000 {
        let mut random = rng.u32();
        // Registers close together, so that sources and destinations meet.
        if rng.one_in(3) {
            random = random & !(0x1f << 15) | (random >> 7 & 31) << 15;
        }
        let word = random & !r.mask | r.bits;
        if decode::find(word) == Some(n) {
            return word;
        }
    }
    r.bits
}

fn halves(word: u32) -> Vec<u16> {
    if word & 3 == 3 { vec![word as u16, (word >> 16) as u16] } else { vec![word as u16] }
}

/// Whether instructions of a row can stand in a sequence: those that only compute.
fn computes(n: usize) -> bool {
    #[rustfmt::skip]
    const OTHERS: &[&str] = &[
        "jal", "jalr", "branch", "load", "store", "fload", "fstore", "amo", "amocas", "load_reserved", "store_conditional", "cbo", "cbo_zero", "csr_reg",
        "csr_imm", "ebreak", "fence_i", "pause", "sfence_vma", "sfence_inval", "reserved", "reserved_for",
    ];
    method(row(n)).is_some_and(|m| !OTHERS.contains(&m))
}

/// A case of one instruction of a row; `number` is where its slot is.
pub fn single(rng: &mut Rng, n: usize, number: usize) -> Case {
    let mut word = random_word(rng, n);
    let m = method(row(n)).unwrap_or("");
    let at = SLOT_BYTES / 2;
    let mut patches = [(0, 0); 2];
    // Not to itself and not into its own middle.
    let near = Some(2 * (rng.below(31) as i32 - 15)).filter(|o| !(-2..4).contains(o)).unwrap_or(4);
    let here = slot(number) + at;
    match (m, word & 3) {
        ("jal", 3) => word = word & 0xfff | jump_bits(near),
        ("branch", 3) => word = word & !(0xfe00_0f80) | branch_bits(near),
        ("jal", _) => {
            let o = near as u32;
            let bits = (o >> 11 & 1) << 12
                | (o >> 4 & 1) << 11
                | (o >> 8 & 3) << 9
                | (o >> 10 & 1) << 8
                | (o >> 6 & 1) << 7
                | (o >> 7 & 1) << 6
                | (o >> 1 & 7) << 3
                | (o >> 5 & 1) << 2;
            word = word & 0xe003 | bits;
        }
        ("branch", _) => {
            let o = near as u32;
            let bits = (o >> 8 & 1) << 12 | (o >> 3 & 3) << 10 | (o >> 6 & 3) << 5 | (o >> 1 & 3) << 3 | (o >> 5 & 1) << 2;
            word = word & 0xe383 | bits;
        }
        ("csr_reg" | "csr_imm", _) => word = word & 0x000f_ffff | *rng.pick(CSRS) << 20,
        _ => {}
    }
    let register = |name: &str| operand(word, name).unwrap_or(0) as u64;
    match m {
        "jalr" => {
            let target = here.wrapping_add_signed(near.into()) + rng.below(2);
            patches[0] = (register("rs1") * 8, target.wrapping_sub(operand(word, "imm").unwrap_or(0) as u64));
        }
        "load" | "store" | "fload" | "fstore" | "amo" | "amocas" | "load_reserved" | "store_conditional" | "cbo" | "cbo_zero" => {
            let size = operand(word, "size").map(|s| 1u64 << s);
            let mut delta = rng.below(96) as i64 - 48;
            // Where the oracle's misaligned accesses are something else (README.md): aligned ones only.
            let wrong = matches!(m, "amocas" | "store_conditional");
            if let Some(size) = size
                && (wrong || !rng.one_in(8))
            {
                delta &= -(size as i64);
            }
            let target = CENTRE.wrapping_add_signed(delta);
            patches[0] = (register("rs1") * 8, target.wrapping_sub(operand(word, "imm").unwrap_or(0) as u64));
            if m == "amocas" && rng.one_in(2) {
                // What memory holds there, as the runner fills it, is not known here: zero compares equal at times.
                patches[1] = (register("rd") * 8, 0);
            }
        }
        _ => {}
    }
    // x0 has no place in the register file.
    patches.iter_mut().filter(|p| p.0 == 0).for_each(|p| *p = (0, 0));
    Case { row: n, code: halves(word), at, windows: windows(rng), patches, fcsr: fcsr(rng), level: user_if(m != "sfence_inval" && rng.one_in(4)) }
}

fn windows(rng: &mut Rng) -> (u64, u64) {
    let mut one = || 8 * rng.below(POOL_WORDS - 96);
    (one(), one())
}

fn fcsr(rng: &mut Rng) -> u64 {
    // All exceptions clear mostly, so that those of the case show; reserved roundings at times.
    let flags = if rng.one_in(8) { rng.below(32) } else { 0 };
    let rounding = if rng.one_in(16) { rng.below(8) } else { rng.below(5) };
    rounding << 5 | flags
}

/// A case of several instructions that only compute.
pub fn sequence(rng: &mut Rng, rows: &[usize]) -> Case {
    let mut code = Vec::new();
    let mut first = None;
    let count = 3 + rng.below(9);
    for _ in 0..count {
        let n = *rng.pick(rows);
        let mut word = random_word(rng, n);
        // A few registers only, so that values flow; compressed ones choose from those too.
        if word & 3 == 3 {
            let few = |rng: &mut Rng, low: u32, word: u32, mask: u32| {
                let field = 0x1f << low;
                if mask & field == 0 { word & !field | (8 + rng.below(6) as u32) << low } else { word }
            };
            let mask = row(n).mask;
            let narrow = [7, 15, 20].into_iter().fold(word, |w, low| few(rng, low, w, mask));
            if decode::find(narrow) == Some(n) {
                word = narrow;
            }
        }
        if code.len() + 2 > SLOT_BYTES as usize / 2 - 1 {
            break;
        }
        first.get_or_insert(n);
        code.extend(halves(word));
    }
    Case { row: first.unwrap_or(0), code, at: 0, windows: windows(rng), patches: [(0, 0); 2], fcsr: fcsr(rng), level: user_if(rng.one_in(8)) }
}

/// A case of a supervisor that writes sstatus, and between that loads and stores where users do, and looks at f1.
pub fn supervisor(rng: &mut Rng) -> Case {
    /// Registers with the address, the operand, and those for results.
    const ADDRESS: u32 = 8;
    const OPERAND: u32 = 9;
    const RESULTS: [u32; 4] = [0, 10, 11, 12];
    /// SIE, SPIE, SPP, FS, SUM, MXR; and what cannot be written.
    const BITS: [u64; 7] = [1 << 1, 1 << 5, 1 << 8, 3 << 13, 1 << 18, 1 << 19, 0x5a5a_0000_0000_0a80];
    let operand = match rng.below(4) {
        0 => 1 << 18,
        1 => BITS[rng.below(2) as usize * 4] | 1 << 1,
        2 => rng.u64(),
        _ => BITS.iter().filter(|_| rng.one_in(2)).fold(0, |all, b| all | b),
    };
    // The oracle's UXL can be written; ours is 64 bits always, as may be.
    let operand = operand & !(3 << 32);
    let mut code = Vec::new();
    let mut first = None;
    for _ in 0..3 + rng.below(6) {
        let rd = *rng.pick(&RESULTS);
        let word = match rng.below(8) {
            0 => ADDRESS << 15 | 3 << 12 | rd << 7 | 0x03,                                                      // ld
            1 => rd << 20 | ADDRESS << 15 | 3 << 12 | 8 << 7 | 0x23,                                            // sd, 8 bytes on
            2 => 0x100 << 20 | 2 << 12 | rd << 7 | 0x73,                                                        // csrr
            3 => 0x100 << 20 | (rng.below(16) as u32) << 15 | (5 + rng.below(3) as u32) << 12 | rd << 7 | 0x73, // csrrwi, csrrsi, csrrci
            4 => 0xe200_0053 | 1 << 15 | rd << 7,                                                               // fmv.x.d
            _ => 0x100 << 20 | OPERAND << 15 | (1 + rng.below(3) as u32) << 12 | rd << 7 | 0x73,                // csrrw, csrrs, csrrc
        };
        first = first.or(decode::find(word));
        code.extend(halves(word));
    }
    let patches = [(u64::from(ADDRESS) * 8, CENTRE + ALIAS), (u64::from(OPERAND) * 8, operand)];
    Case { row: first.unwrap_or(0), code, at: 2 * rng.below(8), windows: windows(rng), patches, fcsr: fcsr(rng), level: Level::Supervisor }
}

/// `count` cases: each row equally often, and a quarter sequences.
pub fn cases(rng: &mut Rng, count: usize) -> Vec<Case> {
    let rows = drawn();
    let compute: Vec<usize> = rows.iter().copied().filter(|n| computes(*n)).collect();
    (0..count).map(|i| if i % 4 == 3 { sequence(rng, &compute) } else { single(rng, rows[(i - i / 4) % rows.len()], i) }).collect()
}

/// Values that registers begin with: corners of all widths and formats among random ones.
pub fn pool(rng: &mut Rng) -> Vec<u64> {
    #[rustfmt::skip]
    const SINGLES: &[u32] = &[
        0, 0x8000_0000, 1, 0x007f_ffff, 0x0080_0000, 0x3f80_0000, 0xbf80_0000, 0x7f7f_ffff, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 0xffc0_1234,
        0x4f00_0000, 0x4f7f_ffff, 0xcf00_0000, 0x5f00_0000, 0x3f00_0000, 0x3fc0_0000, 0x4020_0000, 0x0040_0000, 0x3f80_0001, 0x4b80_0001,
    ];
    #[rustfmt::skip]
    const DOUBLES: &[u64] = &[
        0, 1 << 63, 1, 0x000f_ffff_ffff_ffff, 0x0010_0000_0000_0000, 0x3ff0_0000_0000_0000, 0xbff0_0000_0000_0000, 0x7fef_ffff_ffff_ffff,
        0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000, 0x7ff8_0000_0000_0000, 0x7ff0_0000_0000_0001, 0xfff8_0000_dead_beef, 0x41df_ffff_ffc0_0000,
        0x41e0_0000_0000_0000, 0xc1e0_0000_0020_0000, 0x43e0_0000_0000_0000, 0x43f0_0000_0000_0000, 0x3fe0_0000_0000_0000, 0x3ff8_0000_0000_0000,
        0x3810_0000_0000_0000, 0x36a0_0000_0000_0000, 0x47ef_ffff_f000_0000, 0x3f10_0000_0000_0000, 0x40ef_fc00_0000_0000, 0x0008_0000_0000_0000,
    ];
    const HALVES: &[u16] = &[0, 0x8000, 1, 0x03ff, 0x0400, 0x3c00, 0xbc00, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xfe12, 0x3800, 0x3e00, 0x7800];
    #[rustfmt::skip]
    const INTS: &[u64] = &[0, 1, u64::MAX, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, i64::MAX as u64, 1 << 63, 0xffff_ffff_8000_0000, 63, 64, 32, 31, 0x80, 0xff, 0x7fff];
    (0..POOL_WORDS)
        .map(|_| match rng.below(12) {
            0 | 1 => *rng.pick(INTS),
            2 => rng.u64() >> rng.below(64),
            3 => (rng.u64() as i64 >> rng.below(64)) as u64,
            4 => u64::from(*rng.pick(SINGLES)) | 0xffff_ffff_0000_0000,
            5 => u64::from(rng.u32() & 0x807f_ffff | (96 + rng.below(64) as u32) << 23) | 0xffff_ffff_0000_0000,
            6 => *rng.pick(DOUBLES),
            7 => rng.u64() & 0x800f_ffff_ffff_ffff | (990 + rng.below(70)) << 52,
            8 => u64::from(*rng.pick(HALVES)) | 0xffff_ffff_ffff_0000,
            9 => u64::from(rng.u32() as u16) | 0xffff_ffff_ffff_0000,
            10 => *rng.pick(DOUBLES) ^ rng.below(4),
            _ => rng.u64(),
        })
        .collect()
}

/// Offset of a register in the guest's state.
pub fn register_offset(patch: u64) -> u64 {
    REGISTER_FILE + patch
}
