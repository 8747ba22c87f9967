//! Random instruction words.

use emu_test_kit::Rng;

/// A random word. Most are spread evenly over the 32 bits; some are put into the loads and stores, SIMD and system instructions, where most
/// of the architecture is. Branches by an immediate are shortened to a few words forwards, or nearly every one would leave the program.
pub fn random_word(rng: &mut Rng) -> u32 {
    let w = rng.u32();
    let w = match rng.below(8) {
        // Loads and stores.
        0 => w & !0x0a00_0000 | 0x0800_0000,
        // Scalar FP and AdvSIMD.
        1 => w & !0x0e00_0000 | 0x0e00_0000,
        // System instructions.
        2 if rng.one_in(4) => w & 0x003f_ffff | 0xd500_0000,
        // Data processing (register and immediate).
        3 => w & !0x0e00_0000 | 0x0a00_0000,
        _ => w,
    };
    // Memory copies and sets with sizes of chance fill all of RAM, the program first: only a few.
    if w & 0x3b20_0c00 == 0x1900_0400 && !rng.one_in(100) {
        return 0;
    }
    let near = rng.below(4) as u32 + 1;
    match w >> 24 {
        // B, BL.
        op if op >> 2 & 0x1f == 0b00101 => w & 0xfc00_0000 | near,
        // B.cond, CBZ, CBNZ.
        op if op == 0x54 || op & 0x7e == 0x34 => w & 0xff00_001f | near << 5,
        // CB and its relatives.
        op if op & 0x7e == 0x74 => w & !(0x1ff << 5) | near << 5,
        // TBZ, TBNZ.
        op if op & 0x7e == 0x36 => w & 0xfff8_001f | near << 5,
        _ => w,
    }
}
