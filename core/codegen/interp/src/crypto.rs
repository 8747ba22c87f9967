//! AES rounds (FIPS 197), CRC-32 and carry-less multiplication.
//!
//! The state of AES is a column-major 4 x 4 matrix of bytes, so a column is a 32-bit word. All tables are computed at compile time.

use crate::vector::Extent;
use emu_ir::{Code, Op, Ty};

/// Product by x in AES's field, of the bytes of a word.
const fn times_x(word: u32) -> u32 {
    ((word & 0x7f7f_7f7f) << 1) ^ ((word >> 7 & 0x0101_0101) * 0x1b)
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
        Code::Crc32 if op.ty == Ty::I32 => {
            let table = if op.imm == 0 { &CRC32 } else { &CRC32C };
            slots[dst] = u64::from(crc32(table, slots[a] as u32, slots[b], Ty(op.aux as u8).bytes()));
            return true;
        }
        Code::ClMul if op.ty == Ty::I128 => {
            let product = carryless64(slots[a], slots[b]);
            slots[dst] = product as u64;
            slots[dst + 1] = (product >> 64) as u64;
            return true;
        }
        _ => {}
    }
    if e.scalar || !e.words.is_multiple_of(2) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector;
    use emu_ir::Shape;

    fn run(code: Code, aux: u32, imm: u64, a: u64, b: u64) -> [u64; 2] {
        let mut slots = [a, b, 0, 0];
        let ty = if code == Code::ClMul { Ty::I128 } else { Ty::I32 };
        let op = Op { code: code as u16, ty, shape: Shape::SCALAR, dst: 2, a: 0, b: 1, c: emu_ir::NONE, aux, imm };
        assert!(vector::exec(&op, &mut slots, 0, &mut 0));
        [slots[2], slots[3]]
    }

    /// An AES op on every 16 bytes of a vector.
    fn aes(code: Code, shape: Shape, a: &[u8], b: &[u8]) -> Vec<u8> {
        let words = |bytes: &[u8]| bytes.chunks(8).map(|c| u64::from_le_bytes(c.try_into().expect("words"))).collect::<Vec<u64>>();
        let n = a.len() / 8;
        let mut slots = [words(a), words(b), vec![0; n]].concat();
        let op = Op { code: code as u16, ty: Ty::I8, shape, dst: 2 * n as u32, a: 0, b: n as u32, c: emu_ir::NONE, aux: 0, imm: 0 };
        assert!(vector::exec(&op, &mut slots, a.len() as u32, &mut 0));
        slots[2 * n..].iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal")).collect()
    }

    /// FIPS 197, 5.2, with SubWord from AESE of a state whose rows are constant, where ShiftRows does nothing.
    fn expand_key(key: &[u8]) -> Vec<Vec<u8>> {
        let nk = key.len() / 4;
        let mut words: Vec<[u8; 4]> = key.chunks(4).map(|w| w.try_into().expect("words")).collect();
        let sub_word = |w: [u8; 4]| -> [u8; 4] { aes(Code::AesEnc, Shape::V128, &w.repeat(4), &[0; 16])[..4].try_into().expect("a word") };
        let mut round_constant = 1u8;
        for i in nk..4 * (nk + 7) {
            let mut t = words[i - 1];
            if i % nk == 0 {
                t.rotate_left(1);
                t = sub_word(t);
                t[0] ^= round_constant;
                round_constant = (round_constant << 1) ^ if round_constant & 0x80 != 0 { 0x1b } else { 0 };
            } else if nk > 6 && i % nk == 4 {
                t = sub_word(t);
            }
            words.push(std::array::from_fn(|k| words[i - nk][k] ^ t[k]));
        }
        words.chunks(4).map(|round| round.concat()).collect()
    }

    /// FIPS 197, appendices B and C.
    #[test]
    fn fips_197_examples() {
        let examples = [
            ("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"),
            ("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"),
            ("000102030405060708090a0b0c0d0e0f1011121314151617", "00112233445566778899aabbccddeeff", "dda97ca4864cdfe06eaf70a0ec0d7191"),
            (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "00112233445566778899aabbccddeeff",
                "8ea2b7ca516745bfeafc49904b496089",
            ),
        ];
        for (key, plain, cipher) in examples {
            let (keys, plain, cipher) = (expand_key(&hex(key)), hex(plain), hex(cipher));
            let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect::<Vec<u8>>();
            let (last, rest) = keys.split_last().expect("keys");
            for (shape, copies) in [(Shape::V128, 1), (Shape::VL, 3)] {
                let mut state = plain.repeat(copies);
                for (i, key) in rest.iter().enumerate() {
                    state = aes(Code::AesEnc, shape, &state, &key.repeat(copies));
                    if i + 1 < rest.len() {
                        state = aes(Code::AesMc, shape, &state, &state);
                    }
                }
                state = xor(&state, &last.repeat(copies));
                assert_eq!(state, cipher.repeat(copies));
                // The equivalent inverse cipher, 5.3.5.
                for (i, key) in keys.iter().enumerate().skip(1).rev() {
                    let key = if i == rest.len() { key.clone() } else { aes(Code::AesImc, Shape::V128, key, key) };
                    state = aes(Code::AesDec, shape, &state, &key.repeat(copies));
                    if i > 1 {
                        state = aes(Code::AesImc, shape, &state, &state);
                    }
                }
                assert_eq!(xor(&state, &keys[0].repeat(copies)), plain.repeat(copies));
            }
        }
    }

    #[test]
    fn aes_needs_whole_blocks() {
        let op = Op { code: Code::AesMc as u16, ty: Ty::I8, shape: Shape::V64, dst: 1, a: 0, b: 0, c: 0, aux: 0, imm: 0 };
        let mut slots = [1, 2];
        assert!(!vector::exec(&op, &mut slots, 0, &mut 0));
        assert_eq!(slots, [1, 2]);
    }

    #[test]
    fn check_values_of_the_crcs() {
        for (imm, want) in [(0, 0xcbf4_3926), (1, 0xe306_9283)] {
            let types = [(Ty::I8, 1), (Ty::I16, 2), (Ty::I32, 4), (Ty::I64, 8)];
            for (ty, len) in types {
                let mut crc = u64::from(u32::MAX);
                let text = b"123456789";
                let (whole, rest) = text.split_at(text.len() / len * len);
                for chunk in whole.chunks(len) {
                    let data = chunk.iter().rev().fold(0, |data, byte| data << 8 | u64::from(*byte));
                    crc = run(Code::Crc32, u32::from(ty.0), imm, crc, data)[0];
                }
                for byte in rest {
                    crc = run(Code::Crc32, u32::from(Ty::I8.0), imm, crc, u64::from(*byte))[0];
                }
                assert_eq!(crc ^ u64::from(u32::MAX), want, "{ty:?}");
            }
        }
    }

    #[test]
    fn carry_less_products() {
        let mut rng = vector::tests::Rng::new("carry_less_products");
        for _ in 0..2000 {
            let (a, b) = (rng.ints(64), rng.ints(64));
            let want = (0..64).filter(|i| b >> i & 1 == 1).fold(0, |product, i| product ^ u128::from(a) << i);
            assert_eq!(run(Code::ClMul, 0, 0, a, b), [want as u64, (want >> 64) as u64], "{a:#x} {b:#x}");
        }
    }
}
