//! Scalar cryptography: AES64 and SM4 (volume I, "Cryptography Extensions: Scalar"; FIPS 197; GB/T 32907).

use crate::state::State;
use emu_plugins_api::HelperReturn;
use std::sync::OnceLock;

/// Product in the field of AES.
const fn times(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        b >>= 1;
    }
    product
}

/// The S-box of AES (FIPS 197, 5.1.1: the inverse in the field, then an affine map), and its inverse.
fn boxes() -> &'static ([u8; 256], [u8; 256]) {
    static BOXES: OnceLock<([u8; 256], [u8; 256])> = OnceLock::new();
    BOXES.get_or_init(|| {
        let (mut forward, mut backward) = ([0; 256], [0; 256]);
        for x in 0..=255u8 {
            let inverse = (0..=255).find(|y| times(x, *y) == 1).unwrap_or(0);
            let s = (0..5).fold(0x63, |s, n| s ^ inverse.rotate_left(n));
            forward[usize::from(x)] = s;
            backward[usize::from(s)] = x;
        }
        (forward, backward)
    })
}

/// A column of MixColumns or its inverse, by the factors of the first row.
fn mix(column: [u8; 4], factors: [u8; 4]) -> [u8; 4] {
    std::array::from_fn(|i| (0..4).fold(0, |v, k| v ^ times(column[k], factors[(k + 4 - i) % 4])))
}
const MIX: [u8; 4] = [2, 3, 1, 1];
const UNMIX: [u8; 4] = [14, 11, 13, 9];

fn mix_both(v: u64, factors: [u8; 4]) -> u64 {
    let b = v.to_le_bytes();
    let (low, high) = (mix([b[0], b[1], b[2], b[3]], factors), mix([b[4], b[5], b[6], b[7]], factors));
    u64::from(u32::from_le_bytes(low)) | u64::from(u32::from_le_bytes(high)) << 32
}

/// AES64ES, AES64ESM, AES64DS, AES64DSM, AES64KS2.
pub fn aes(_: &mut State, a: u64, b: u64, _: u64, op: u64) -> HelperReturn {
    if op == 4 {
        let low = (a >> 32) as u32 ^ b as u32;
        let high = low ^ (b >> 32) as u32;
        return HelperReturn::value(u64::from(low) | u64::from(high) << 32);
    }
    let mut state = [0u8; 16];
    state[..8].copy_from_slice(&a.to_le_bytes());
    state[8..].copy_from_slice(&b.to_le_bytes());
    let (decrypts, mixes) = (op & 2 != 0, op & 1 != 0);
    let table = if decrypts { &boxes().1 } else { &boxes().0 };
    // ShiftRows moves row r by r columns, to the left, or to the right when decrypting; the result is the first two columns.
    let bytes: [u8; 8] = std::array::from_fn(|i| {
        let (row, column) = (i % 4, i / 4);
        let from = if decrypts { (column + 4 - row) % 4 } else { (column + row) % 4 };
        table[usize::from(state[from * 4 + row])]
    });
    let value = u64::from_le_bytes(bytes);
    HelperReturn::value(match (mixes, decrypts) {
        (false, _) => value,
        (true, false) => mix_both(value, MIX),
        (true, true) => mix_both(value, UNMIX),
    })
}

/// AES64IM.
pub fn aes_im(_: &mut State, a: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    HelperReturn::value(mix_both(a, UNMIX))
}

/// AES64KS1I.
pub fn aes_ks1i(_: &mut State, a: u64, _: u64, _: u64, round: u64) -> HelperReturn {
    const CONSTANTS: [u8; 10] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];
    let word = (a >> 32) as u32;
    let word = if round == 10 { word } else { word.rotate_right(8) };
    let substituted = u32::from_le_bytes(word.to_le_bytes().map(|b| boxes().0[usize::from(b)]));
    let constant = CONSTANTS.get(round as usize).copied().unwrap_or(0);
    let result = u64::from(substituted ^ u32::from(constant));
    HelperReturn::value(result | result << 32)
}

/// The S-box of SM4.
#[rustfmt::skip]
const SM4_BOX: [u8; 256] = [
    0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7, 0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05,
    0x2b, 0x67, 0x9a, 0x76, 0x2a, 0xbe, 0x04, 0xc3, 0xaa, 0x44, 0x13, 0x26, 0x49, 0x86, 0x06, 0x99,
    0x9c, 0x42, 0x50, 0xf4, 0x91, 0xef, 0x98, 0x7a, 0x33, 0x54, 0x0b, 0x43, 0xed, 0xcf, 0xac, 0x62,
    0xe4, 0xb3, 0x1c, 0xa9, 0xc9, 0x08, 0xe8, 0x95, 0x80, 0xdf, 0x94, 0xfa, 0x75, 0x8f, 0x3f, 0xa6,
    0x47, 0x07, 0xa7, 0xfc, 0xf3, 0x73, 0x17, 0xba, 0x83, 0x59, 0x3c, 0x19, 0xe6, 0x85, 0x4f, 0xa8,
    0x68, 0x6b, 0x81, 0xb2, 0x71, 0x64, 0xda, 0x8b, 0xf8, 0xeb, 0x0f, 0x4b, 0x70, 0x56, 0x9d, 0x35,
    0x1e, 0x24, 0x0e, 0x5e, 0x63, 0x58, 0xd1, 0xa2, 0x25, 0x22, 0x7c, 0x3b, 0x01, 0x21, 0x78, 0x87,
    0xd4, 0x00, 0x46, 0x57, 0x9f, 0xd3, 0x27, 0x52, 0x4c, 0x36, 0x02, 0xe7, 0xa0, 0xc4, 0xc8, 0x9e,
    0xea, 0xbf, 0x8a, 0xd2, 0x40, 0xc7, 0x38, 0xb5, 0xa3, 0xf7, 0xf2, 0xce, 0xf9, 0x61, 0x15, 0xa1,
    0xe0, 0xae, 0x5d, 0xa4, 0x9b, 0x34, 0x1a, 0x55, 0xad, 0x93, 0x32, 0x30, 0xf5, 0x8c, 0xb1, 0xe3,
    0x1d, 0xf6, 0xe2, 0x2e, 0x82, 0x66, 0xca, 0x60, 0xc0, 0x29, 0x23, 0xab, 0x0d, 0x53, 0x4e, 0x6f,
    0xd5, 0xdb, 0x37, 0x45, 0xde, 0xfd, 0x8e, 0x2f, 0x03, 0xff, 0x6a, 0x72, 0x6d, 0x6c, 0x5b, 0x51,
    0x8d, 0x1b, 0xaf, 0x92, 0xbb, 0xdd, 0xbc, 0x7f, 0x11, 0xd9, 0x5c, 0x41, 0x1f, 0x10, 0x5a, 0xd8,
    0x0a, 0xc1, 0x31, 0x88, 0xa5, 0xcd, 0x7b, 0xbd, 0x2d, 0x74, 0xd0, 0x12, 0xb8, 0xe5, 0xb4, 0xb0,
    0x89, 0x69, 0x97, 0x4a, 0x0c, 0x96, 0x77, 0x7e, 0x65, 0xb9, 0xf1, 0x09, 0xc5, 0x6e, 0xc6, 0x84,
    0x18, 0xf0, 0x7d, 0xec, 0x3a, 0xdc, 0x4d, 0x20, 0x79, 0xee, 0x5f, 0x3e, 0xd7, 0xcb, 0x39, 0x48,
];

/// SM4ED, SM4KS.
pub fn sm4(_: &mut State, a: u64, b: u64, _: u64, imm: u64) -> HelperReturn {
    let shift = 8 * (imm & 3) as u32;
    let x = u32::from(SM4_BOX[usize::from((b >> shift) as u8)]);
    // The linear maps L and L' of one byte, in words whose bytes lie in the order of memory (volume I, "sm4ed", "sm4ks").
    let y = if imm & 4 == 0 {
        x ^ x << 8 ^ x << 2 ^ x << 18 ^ (x & 0x3f) << 26 ^ (x & 0xc0) << 10
    } else {
        x ^ (x & 0x07) << 29 ^ (x & 0xfe) << 7 ^ (x & 1) << 23 ^ (x & 0xf8) << 13
    };
    HelperReturn::value((y.rotate_left(shift) ^ a as u32) as i32 as i64 as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::state;

    #[test]
    fn boxes_are_those_of_the_standards() {
        assert_eq!((boxes().0[0], boxes().0[0x53], boxes().1[0xed]), (0x63, 0xed, 0x53));
        let mut seen = SM4_BOX;
        seen.sort_unstable();
        assert!(seen.iter().enumerate().all(|(i, b)| usize::from(*b) == i));
    }

    /// FIPS 197, appendix B: the first round of the example.
    #[test]
    fn a_round_of_aes() {
        let mut cpu = state();
        let state: [u8; 16] = [0x19, 0x3d, 0xe3, 0xbe, 0xa0, 0xf4, 0xe2, 0x2b, 0x9a, 0xc6, 0x8d, 0x2a, 0xe9, 0xf8, 0x48, 0x08];
        let after: [u8; 16] = [0x04, 0x66, 0x81, 0xe5, 0xe0, 0xcb, 0x19, 0x9a, 0x48, 0xf8, 0xd3, 0x7a, 0x28, 0x06, 0x26, 0x4c];
        let half = |s: &[u8; 16], n: usize| u64::from_le_bytes(s[8 * n..8 * n + 8].try_into().unwrap());
        assert_eq!(aes(&mut cpu, half(&state, 0), half(&state, 1), 0, 1).value, half(&after, 0));
        assert_eq!(aes(&mut cpu, half(&state, 1), half(&state, 0), 0, 1).value, half(&after, 1));
        // What MixColumns does, its inverse undoes.
        assert_eq!(aes_im(&mut cpu, mix_both(0x0123_4567_89ab_cdef, MIX), 0, 0, 0).value, 0x0123_4567_89ab_cdef);
    }
}
