//! AES rounds (FIPS 197), CRC-32 and carry-less multiplication.
//!
//! The state of AES is a column-major 4 x 4 matrix of bytes, so a column is a 32-bit word. All tables are computed at compile time.

use crate::vector::Extent;
use emu_ir::{Code, Op, Ty};

/// Product by x in AES's field, of the bytes of a word.
const fn times_x(word: u32) -> u32 {
    (word & 0x7f7f_7f7f) << 1 ^ (word >> 7 & 0x0101_0101) * 0x1b
}

const fn field_product(a: u8, b: u8) -> u8 {
    let (mut product, mut shifted, mut i) = (0, a as u32, 0);
    while i < 8 {
        if b >> i & 1 != 0 {
            product ^= shifted;
        }
        shifted = times_x(shifted);
        i += 1;
    }
    product as u8
}

/// The S-box: the inverse (the 254th power) followed by an affine map.
const fn s_box() -> [u8; 256] {
    let mut table = [0; 256];
    let mut x = 0;
    while x < 256 {
        let (mut inverse, mut square, mut i) = (1, x as u8, 1);
        while i < 8 {
            square = field_product(square, square);
            inverse = field_product(inverse, square);
            i += 1;
        }
        let r = inverse;
        table[x] = r ^ r.rotate_left(1) ^ r.rotate_left(2) ^ r.rotate_left(3) ^ r.rotate_left(4) ^ 0x63;
        x += 1;
    }
    table
}

const fn inverted(table: &[u8; 256]) -> [u8; 256] {
    let mut inverse = [0; 256];
    let mut x = 0;
    while x < 256 {
        inverse[table[x] as usize] = x as u8;
        x += 1;
    }
    inverse
}

static S_BOX: [u8; 256] = s_box();
static INVERSE_S_BOX: [u8; 256] = inverted(&s_box());

/// ShiftRows (row r moves left by r columns) or, with `back`, its inverse; and the S-box on each byte.
fn shift_rows_and_substitute(state: u128, s_box: &[u8; 256], back: bool) -> u128 {
    let bytes = state.to_le_bytes();
    let shifted: [u8; 16] = core::array::from_fn(|i| {
        let distance = if back { 16 - 4 * (i % 4) } else { 4 * (i % 4) };
        s_box[usize::from(bytes[(i + distance) % 16])]
    });
    u128::from_le_bytes(shifted)
}

/// MixColumns on one column: byte r becomes 2 a[r] + 3 a[r+1] + a[r+2] + a[r+3].
fn mix_column(a: u32) -> u32 {
    let next = a.rotate_right(8);
    times_x(a ^ next) ^ next ^ a.rotate_right(16) ^ a.rotate_right(24)
}

/// The inverse: that matrix times the one of byte r becoming 5 a[r] + 4 a[r+2].
fn inverse_mix_column(a: u32) -> u32 {
    mix_column(a ^ times_x(times_x(a ^ a.rotate_right(16))))
}

fn map_columns(state: u128, f: impl Fn(u32) -> u32) -> u128 {
    (0..128).step_by(32).fold(0, |mixed, at| mixed | u128::from(f((state >> at) as u32)) << at)
}

const fn crc_table(reversed_polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut i) = (byte as u32, 0);
        while i < 8 {
            crc = crc >> 1 ^ (crc & 1).wrapping_neg() & reversed_polynomial;
            i += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

static CRC32: [u32; 256] = crc_table(0x04C1_1DB7_u32.reverse_bits());
static CRC32C: [u32; 256] = crc_table(0x1EDC_6F41_u32.reverse_bits());

/// The checksum `crc` carried on over the low `bytes` bytes of `data`, the lowest first.
fn crc32(table: &[u32; 256], crc: u32, data: u64, bytes: u32) -> u32 {
    data.to_le_bytes().into_iter().take(bytes as usize).fold(crc, |crc, byte| table[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// The carry-less product of two words, four bits of `b` at a time.
pub(crate) fn carryless64(a: u64, b: u64) -> u128 {
    let mut multiples = [0u128; 16];
    for i in 1..16 {
        multiples[i] = multiples[i / 2] << 1 ^ if i % 2 == 1 { u128::from(a) } else { 0 };
    }
    (0..16).rev().fold(0, |product, i| product << 4 ^ multiples[(b >> (4 * i) & 15) as usize])
}

pub(crate) fn exec(code: Code, op: &Op, slots: &mut [u64], e: Extent) -> bool {
    let (dst, a, b) = (op.dst as usize, op.a as usize, op.b as usize);
    match code {
        Code::Crc32 => {
            let table = if op.imm == 0 { &CRC32 } else { &CRC32C };
            slots[dst] = u64::from(crc32(table, slots[a] as u32, slots[b], Ty(op.aux as u8).bytes()));
            return true;
        }
        Code::ClMul => {
            let product = carryless64(slots[a], slots[b]);
            slots[dst] = product as u64;
            slots[dst + 1] = (product >> 64) as u64;
            return true;
        }
        _ => {}
    }
    if e.scalar || e.words % 2 != 0 {
        return false;
    }
    let block = |slots: &[u64], at: usize| u128::from(slots[at]) | u128::from(slots[at + 1]) << 64;
    for i in (0..e.words).step_by(2) {
        let x = block(slots, a + i);
        let result = match code {
            Code::AesEnc => shift_rows_and_substitute(x ^ block(slots, b + i), &S_BOX, false),
            Code::AesDec => shift_rows_and_substitute(x ^ block(slots, b + i), &INVERSE_S_BOX, true),
            Code::AesMc => map_columns(x, mix_column),
            Code::AesImc => map_columns(x, inverse_mix_column),
            _ => return false,
        };
        slots[dst + i] = result as u64;
        slots[dst + i + 1] = (result >> 64) as u64;
    }
    true
}
