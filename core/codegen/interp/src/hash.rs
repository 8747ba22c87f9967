//! The hashes' and SM4's steps on 128-bit vectors (FIPS 180-4, GB/T 32907).
//!
//! A vector is a `u128`; `w` and `d` split it into 32-bit and 64-bit elements, the lowest first.

use emu_ir::{Code, Op, Shape, Ty};

/// Carries one of these ops out; all work on 128 bits. False if it is not one.
pub(crate) fn exec(code: Code, op: &Op, slots: &mut [u64]) -> bool {
    if op.shape != Shape::V128 {
        return false;
    }
    // Operands that an op does not have are not looked at.
    let v = |slot: u32| u128::from(slots[slot as usize]) | u128::from(slots[slot as usize + 1]) << 64;
    let (a, b, c) = (|| v(op.a), || v(op.b), || v(op.c));
    let result = match (code, op.ty) {
        (Code::Sha1Hash, Ty::I32) => sha1_hash(a(), b(), c(), op.imm),
        (Code::Sha256H, Ty::I32) => sha256_hash(a(), b(), c()).0,
        (Code::Sha256H2, Ty::I32) => sha256_hash(a(), b(), c()).1,
        (Code::Sha256Su0, Ty::I32) => sha256su0(a(), b()),
        (Code::Sha256Su1, Ty::I32) => sha256su1(a(), b(), c()),
        (Code::Sha512H, Ty::I64) => sha512h(a(), b(), c()),
        (Code::Sha512H2, Ty::I64) => sha512h2(a(), b(), c()),
        (Code::Sm4, Ty::I32) => sm4(a(), b(), op.imm == 1),
        _ => return false,
    };
    slots[op.dst as usize] = result as u64;
    slots[op.dst as usize + 1] = (result >> 64) as u64;
    true
}

/// The 32-bit elements of a vector, lowest first.
fn w(v: u128) -> [u32; 4] {
    [v as u32, (v >> 32) as u32, (v >> 64) as u32, (v >> 96) as u32]
}

/// A vector from 32-bit elements.
fn of_w(e: [u32; 4]) -> u128 {
    e.iter().rev().fold(0, |v, e| v << 32 | u128::from(*e))
}

/// The 64-bit elements of a vector, lowest first.
fn d(v: u128) -> [u64; 2] {
    [v as u64, (v >> 64) as u64]
}

/// A vector from 64-bit elements.
fn of_d(e: [u64; 2]) -> u128 {
    u128::from(e[1]) << 64 | u128::from(e[0])
}

/// SHAchoose.
fn choose(x: u32, y: u32, z: u32) -> u32 {
    ((y ^ z) & x) ^ z
}

/// SHAparity.
fn parity(x: u32, y: u32, z: u32) -> u32 {
    x ^ y ^ z
}

/// SHAmajority.
fn majority(x: u32, y: u32, z: u32) -> u32 {
    (x & y) | ((x | y) & z)
}

/// Four rounds of SHA-1.
fn sha1_hash(x: u128, y: u128, work: u128, function: u64) -> u128 {
    match function {
        0 => sha1_rounds(x, y, work, choose),
        1 => sha1_rounds(x, y, work, parity),
        _ => sha1_rounds(x, y, work, majority),
    }
}

#[inline(always)]
fn sha1_rounds(x: u128, y: u128, work: u128, f: impl Fn(u32, u32, u32) -> u32) -> u128 {
    let mut x = w(x);
    let mut y = y as u32;
    for k in w(work) {
        let t = f(x[1], x[2], x[3]);
        y = y.wrapping_add(x[0].rotate_left(5)).wrapping_add(t).wrapping_add(k);
        // <Y, X> = ROL(Y:X, 32), after the rotation of the second element.
        (x, y) = ([y, x[0], x[1].rotate_left(30), x[2]], x[3]);
    }
    of_w(x)
}

/// Four rounds of SHA-256; both halves of the state.
fn sha256_hash(x: u128, y: u128, work: u128) -> (u128, u128) {
    let (mut x, mut y) = (w(x), w(y));
    for k in w(work) {
        let sigma1 = y[0].rotate_right(6) ^ y[0].rotate_right(11) ^ y[0].rotate_right(25);
        let t = y[3].wrapping_add(sigma1).wrapping_add(choose(y[0], y[1], y[2])).wrapping_add(k);
        let sigma0 = x[0].rotate_right(2) ^ x[0].rotate_right(13) ^ x[0].rotate_right(22);
        let new_e = t.wrapping_add(x[3]);
        let new_a = t.wrapping_add(sigma0).wrapping_add(majority(x[0], x[1], x[2]));
        x = [new_a, x[0], x[1], x[2]];
        y = [new_e, y[0], y[1], y[2]];
    }
    (of_w(x), of_w(y))
}

/// `sha256_su0`.
fn sha256su0(vd: u128, vn: u128) -> u128 {
    let (t, d) = (w(vn << 96 | vd >> 32), w(vd));
    of_w([0, 1, 2, 3].map(|i| (t[i].rotate_right(7) ^ t[i].rotate_right(18) ^ t[i] >> 3).wrapping_add(d[i])))
}

/// `sha256_su1`.
fn sha256su1(vd: u128, vn: u128, vm: u128) -> u128 {
    let (t0, d) = (w(vm << 96 | vn >> 32), w(vd));
    let sigma = |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ x >> 10;
    let mut r = [0; 4];
    for i in 0..4 {
        let x = if i < 2 { w(vm)[i + 2] } else { r[i - 2] };
        r[i] = sigma(x).wrapping_add(d[i]).wrapping_add(t0[i]);
    }
    of_w(r)
}

/// `sha512_h`.
fn sha512h(vd: u128, vn: u128, vm: u128) -> u128 {
    let (x, y, wk) = (d(vn), d(vm), d(vd));
    let sigma = |v: u64| v.rotate_right(14) ^ v.rotate_right(18) ^ v.rotate_right(41);
    let choose = |x: u64, y: u64, z: u64| (x & y) ^ (!x & z);
    let high = choose(y[1], x[0], x[1]).wrapping_add(sigma(y[1])).wrapping_add(wk[1]);
    let tmp = high.wrapping_add(y[0]);
    let low = choose(tmp, y[1], x[0]).wrapping_add(sigma(tmp)).wrapping_add(wk[0]);
    of_d([low, high])
}

/// `sha512_h2`.
fn sha512h2(vd: u128, vn: u128, vm: u128) -> u128 {
    let (x, y, wk) = (d(vn), d(vm), d(vd));
    let sigma = |v: u64| v.rotate_right(28) ^ v.rotate_right(34) ^ v.rotate_right(39);
    let majority = |x: u64, y: u64, z: u64| (x & y) ^ (x & z) ^ (y & z);
    let high = majority(x[0], y[1], y[0]).wrapping_add(sigma(y[0])).wrapping_add(wk[1]);
    let low = majority(high, y[0], y[1]).wrapping_add(sigma(high)).wrapping_add(wk[0]);
    of_d([low, high])
}

/// Product in GF(2^8) modulo SM4's polynomial.
const fn sm4_mul(mut a: u32, mut b: u32) -> u32 {
    let mut r = 0;
    while b != 0 {
        if b & 1 == 1 {
            r ^= a;
        }
        a <<= 1;
        if a & 0x100 != 0 {
            a ^= 0x1f5;
        }
        b >>= 1;
    }
    r
}

/// SM4's affine map over GF(2): a circulant matrix and a constant.
const fn sm4_affine(x: u8) -> u8 {
    let mut r = 0;
    let mut bit = 0;
    while bit < 8 {
        r |= (((0xa7u8.rotate_left(bit) & x).count_ones() & 1) as u8) << bit;
        bit += 1;
    }
    r ^ 0xd3
}

/// SM4's S-box: the inverse in GF(2^8) between two affine maps.
const SM4_SBOX: [u8; 256] = {
    let mut sbox = [0; 256];
    let mut i = 0;
    while i < 256 {
        let x = sm4_affine(i as u8) as u32;
        // The inverse is the 254th power; 0 stays 0.
        let mut inverse = 1;
        let mut n = 0;
        while n < 254 {
            inverse = sm4_mul(inverse, x);
            n += 1;
        }
        sbox[i] = sm4_affine(inverse as u8);
        i += 1;
    }
    sbox
};

/// Four rounds of SM4: of the cipher, or of its key schedule.
fn sm4(state: u128, keys: u128, schedule: bool) -> u128 {
    let mut x = w(state);
    for key in w(keys) {
        let t = (x[3] ^ x[2] ^ x[1] ^ key).to_le_bytes().map(|b| SM4_SBOX[usize::from(b)]);
        let t = u32::from_le_bytes(t);
        let linear = if schedule {
            t ^ t.rotate_left(13) ^ t.rotate_left(23)
        } else {
            t ^ t.rotate_left(2) ^ t.rotate_left(10) ^ t.rotate_left(18) ^ t.rotate_left(24)
        };
        x = [x[1], x[2], x[3], x[0] ^ linear];
    }
    of_w(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA1SU0.
    fn sha1su0(vd: u128, vn: u128, vm: u128) -> u128 {
        (vn << 64 | vd >> 64) ^ vd ^ vm
    }

    /// SHA1SU1.
    fn sha1su1(vd: u128, vn: u128) -> u128 {
        let t = w(vd ^ vn >> 32);
        let mut r = t.map(|e| e.rotate_left(1));
        r[3] ^= t[0].rotate_left(2);
        of_w(r)
    }

    /// SHA512SU0.
    fn sha512su0(vd: u128, vn: u128) -> u128 {
        let (work, x) = (d(vd), d(vn));
        let sigma = |v: u64| v.rotate_right(1) ^ v.rotate_right(8) ^ v >> 7;
        of_d([work[0].wrapping_add(sigma(work[1])), work[1].wrapping_add(sigma(x[0]))])
    }

    /// SHA512SU1.
    fn sha512su1(vd: u128, vn: u128, vm: u128) -> u128 {
        let (work, x, y) = (d(vd), d(vn), d(vm));
        let sigma = |v: u64| v.rotate_right(19) ^ v.rotate_right(61) ^ v >> 6;
        of_d([0, 1].map(|i| work[i].wrapping_add(sigma(x[i])).wrapping_add(y[i])))
    }

    /// The padded block of "abc" for hashes of 512-bit blocks, as big-endian words.
    fn abc_words() -> Vec<u32> {
        let mut words = vec![0x6162_6380u32];
        words.resize(15, 0);
        words.push(24);
        words
    }

    fn vectors(words: &[u32]) -> Vec<u128> {
        words.chunks_exact(4).map(|c| of_w([c[0], c[1], c[2], c[3]])).collect()
    }

    fn add_w(a: u128, b: u128) -> u128 {
        let (a, b) = (w(a), w(b));
        of_w([0, 1, 2, 3].map(|i| a[i].wrapping_add(b[i])))
    }

    fn add_d(a: u128, b: u128) -> u128 {
        let (a, b) = (d(a), d(b));
        of_d([0, 1].map(|i| a[i].wrapping_add(b[i])))
    }

    /// The first bits of the fractional part of the cube root of the n-th prime: the constants of the SHA-2 hashes.
    fn cube_root_fraction(prime: u128) -> u64 {
        // x = floor(cbrt(prime) * 2^64), bit by bit; x^3 <= prime * 2^192 compared without overflow by halves of x.
        let mut x: u128 = 0;
        for bit in (0..68).rev() {
            let y = x | 1 << bit;
            if cube_at_most(y, prime) {
                x = y;
            }
        }
        x as u64
    }

    /// y^3 <= prime * 2^192, for y below 2^68.
    fn cube_at_most(y: u128, prime: u128) -> bool {
        let limbs = |v: u128| [v as u64 & 0xffff_ffff, (v >> 32) as u64 & 0xffff_ffff, (v >> 64) as u64];
        let multiply = |a: &[u64], b: &[u64]| {
            let mut r = vec![0u64; a.len() + b.len()];
            for (i, x) in a.iter().enumerate() {
                let mut carry = 0u128;
                for (j, y) in b.iter().enumerate() {
                    let t = u128::from(*x) * u128::from(*y) + u128::from(r[i + j]) + carry;
                    r[i + j] = t as u64 & 0xffff_ffff;
                    carry = t >> 32;
                }
                r[i + b.len()] += carry as u64;
            }
            r
        };
        let y = limbs(y);
        let cube = multiply(&multiply(&y, &y), &y);
        let mut bound = vec![0u64; cube.len()];
        bound[6] = prime as u64;
        cube.iter().rev().le(bound.iter().rev())
    }

    fn primes(count: usize) -> Vec<u128> {
        (2u128..).filter(|n| (2..*n).take_while(|k| k * k <= *n).all(|k| n % k != 0)).take(count).collect()
    }

    #[test]
    fn sha1_of_abc() {
        let k = [0x5a82_7999u32, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];
        let start = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        let e0 = 0xc3d2_e1f0u32;
        let mut m = vectors(&abc_words());
        let (mut abcd, mut e) = (of_w(start), e0);
        for group in 0..20 {
            let wk = add_w(m[0], of_w([k[group / 5]; 4]));
            let next_e = w(abcd)[0].rotate_left(30);
            abcd = sha1_hash(abcd, u128::from(e), wk, [0, 1, 2, 1][group / 5]);
            e = next_e;
            let new = sha1su1(sha1su0(m[0], m[1], m[2]), m[3]);
            m = vec![m[1], m[2], m[3], new];
        }
        assert_eq!(w(add_w(abcd, of_w(start))), [0xa999_3e36, 0x4706_816a, 0xba3e_2571, 0x7850_c26c]);
        assert_eq!(e.wrapping_add(e0), 0x9cd0_d89d);
    }

    #[test]
    fn sha256_of_abc() {
        let k: Vec<u32> = primes(64).into_iter().map(|p| (cube_root_fraction(p) >> 32) as u32).collect();
        assert_eq!((k[0], k[63]), (0x428a_2f98, 0xc671_78f2));
        let k = vectors(&k);
        let abcd0 = of_w([0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a]);
        let efgh0 = of_w([0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19]);
        let mut m = vectors(&abc_words());
        let (mut abcd, mut efgh) = (abcd0, efgh0);
        for k in k {
            let wk = add_w(m[0], k);
            (abcd, efgh) = sha256_hash(abcd, efgh, wk);
            let new = sha256su1(sha256su0(m[0], m[1]), m[2], m[3]);
            m = vec![m[1], m[2], m[3], new];
        }
        assert_eq!(w(add_w(abcd, abcd0)), [0xba78_16bf, 0x8f01_cfea, 0x4141_40de, 0x5dae_2223]);
        assert_eq!(w(add_w(efgh, efgh0)), [0xb003_61a3, 0x9617_7a9c, 0xb410_ff61, 0xf200_15ad]);
    }

    #[test]
    fn sha512_of_abc() {
        let k: Vec<u64> = primes(80).into_iter().map(cube_root_fraction).collect();
        assert_eq!(k[0], 0x428a_2f98_d728_ae22);
        let start = [
            [0x6a09_e667_f3bc_c908u64, 0xbb67_ae85_84ca_a73b],
            [0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1],
            [0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f],
            [0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179],
        ]
        .map(of_d);
        let mut m = vec![of_d([0x6162_6380_0000_0000, 0])];
        m.resize(7, 0);
        m.push(of_d([0, 24]));
        let [mut ab, mut cd, mut ef, mut gh] = start;
        let middle = |low: u128, high: u128| low >> 64 | high << 64;
        for k in k.chunks_exact(2) {
            let wk = d(add_d(m[0], of_d([k[0], k[1]])));
            let t = sha512h(add_d(gh, of_d([wk[1], wk[0]])), middle(ef, gh), middle(cd, ef));
            let new_ef = add_d(cd, t);
            let new_ab = sha512h2(t, cd, ab);
            (ab, cd, ef, gh) = (new_ab, ab, new_ef, ef);
            let new = sha512su1(sha512su0(m[0], m[1]), m[7], middle(m[4], m[5]));
            m.remove(0);
            m.push(new);
        }
        let digest: Vec<u64> = [ab, cd, ef, gh].into_iter().zip(start).flat_map(|(a, b)| d(add_d(a, b))).collect();
        let want = [
            0xddaf_35a1_9361_7abau64,
            0xcc41_7349_ae20_4131,
            0x12e6_fa4e_89a9_7ea2,
            0x0a9e_eee6_4b55_d39a,
            0x2192_992a_274f_c1a8,
            0x36ba_3c23_a3fe_ebbd,
            0x454d_4423_643c_e80e,
            0x2a9a_c94f_a54c_a49f,
        ];
        assert_eq!(digest, want);
    }

    #[test]
    fn sm4_known_answer() {
        // GB/T 32907-2016, example 1.
        let text = [0x0123_4567u32, 0x89ab_cdef, 0xfedc_ba98, 0x7654_3210];
        let fk = [0xa3b1_bac6u32, 0x56aa_3350, 0x677d_9197, 0xb270_22dc];
        let ck: Vec<u32> = (0..32u32).map(|i| u32::from_be_bytes([0, 1, 2, 3].map(|j| ((4 * i + j) * 7) as u8))).collect();
        let mut key = of_w(text) ^ of_w(fk);
        let mut state = of_w(text);
        for constants in vectors(&ck) {
            key = sm4(key, constants, true);
            state = sm4(state, key, false);
        }
        let [d, c, b, a] = w(state);
        assert_eq!([a, b, c, d], [0x681e_df34, 0xd206_965e, 0x86b3_e94f, 0x536e_4246]);
    }

    #[test]
    fn sbox_is_a_permutation() {
        let mut seen = SM4_SBOX;
        seen.sort_unstable();
        assert!((0..=255u8).eq(seen));
        assert_eq!((SM4_SBOX[0], SM4_SBOX[255]), (0xd6, 0x48));
    }
}
