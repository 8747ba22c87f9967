//! SM3's instructions: the manual's operations on 128-bit vectors, as pure functions.
//!
//! A vector is a `u128`; `w` splits it into 32-bit elements, the lowest first.

/// The 32-bit elements of a vector, lowest first.
fn w(v: u128) -> [u32; 4] {
    [v as u32, (v >> 32) as u32, (v >> 64) as u32, (v >> 96) as u32]
}

/// A vector from 32-bit elements.
fn of_w(e: [u32; 4]) -> u128 {
    e.iter().rev().fold(0, |v, e| v << 32 | u128::from(*e))
}

/// SM3PARTW1.
pub fn sm3partw1(vd: u128, vn: u128, vm: u128) -> u128 {
    let (x, m) = (w(vd ^ vn), w(vm));
    let mut r = [0u32; 4];
    for i in 0..4 {
        // The last element depends on the first, which is done by then.
        let e = x[i] ^ if i < 3 { m[i + 1].rotate_left(15) } else { r[0].rotate_left(15) };
        r[i] = e ^ e.rotate_left(15) ^ e.rotate_left(23);
    }
    of_w(r)
}

/// SM3PARTW2.
pub fn sm3partw2(vd: u128, vn: u128, vm: u128) -> u128 {
    let tmp = vn ^ of_w(w(vm).map(|e| e.rotate_left(7)));
    let t = w(tmp)[0].rotate_left(15);
    let fix = t ^ t.rotate_left(15) ^ t.rotate_left(23);
    vd ^ tmp ^ u128::from(fix) << 96
}

/// SM3SS1.
pub fn sm3ss1(vn: u128, vm: u128, va: u128) -> u128 {
    let r = w(vn)[3].rotate_left(12).wrapping_add(w(vm)[3]).wrapping_add(w(va)[3]).rotate_left(7);
    u128::from(r) << 96
}

/// SM3TT1A (majority false) and SM3TT1B; `word` is the selected element of V[m].
pub fn sm3tt1(vd: u128, vn: u128, word: u32, with_majority: bool) -> u128 {
    let [d, c, b, a] = w(vd);
    let ss2 = w(vn)[3] ^ a.rotate_left(12);
    let f = if with_majority { (a & c) | (a & b) | (c & b) } else { a ^ b ^ c };
    let tt1 = f.wrapping_add(d).wrapping_add(ss2).wrapping_add(word);
    of_w([c, b.rotate_left(9), a, tt1])
}

/// SM3TT2A (choice false) and SM3TT2B; `word` is the selected element of V[m].
pub fn sm3tt2(vd: u128, vn: u128, word: u32, with_choice: bool) -> u128 {
    let [h, g, f, e] = w(vd);
    let gg = if with_choice { (e & f) | (!e & g) } else { e ^ f ^ g };
    let tt2 = gg.wrapping_add(h).wrapping_add(w(vn)[3]).wrapping_add(word);
    of_w([g, f.rotate_left(19), e, tt2 ^ tt2.rotate_left(9) ^ tt2.rotate_left(17)])
}

/// The selected 32-bit element of a vector.
pub fn word(v: u128, index: usize) -> u32 {
    w(v)[index & 3]
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn sm3_of_abc() {
        let start = [0x7380_166fu32, 0x4914_b2b9, 0x1724_42d7, 0xda8a_0600, 0xa96f_30bc, 0x1631_38aa, 0xe38d_ee4d, 0xb0fb_0e4e];
        // The instructions keep the state with A in the highest element.
        let high_first = |s: &[u32]| of_w([s[3], s[2], s[1], s[0]]);
        let (mut abcd, mut efgh) = (high_first(&start[..4]), high_first(&start[4..]));
        let mut m = vectors(&abc_words());
        let ext = |low: u128, high: u128, elements: u32| low >> (32 * elements) | high << (128 - 32 * elements);
        for j in 0..64 {
            let constant = if j < 16 { 0x79cc_4519u32 } else { 0x7a87_9d8a };
            let ss1 = sm3ss1(abcd, efgh, u128::from(constant.rotate_left(j % 32)) << 96);
            let index = j as usize & 3;
            let wj = word(m[0], index);
            let wj_prime = word(m[0] ^ m[1], index);
            abcd = sm3tt1(abcd, ss1, wj_prime, j >= 16);
            efgh = sm3tt2(efgh, ss1, wj, j >= 16);
            if index == 3 {
                let part = sm3partw1(m[0], ext(m[1], m[2], 3), m[3]);
                let new = sm3partw2(part, ext(m[2], m[3], 2), ext(m[0], m[1], 3));
                m = vec![m[1], m[2], m[3], new];
            }
        }
        let [d, c, b, a] = w(abcd);
        let [h, g, f, e] = w(efgh);
        let digest: Vec<u32> = [a, b, c, d, e, f, g, h].into_iter().zip(start).map(|(x, y)| x ^ y).collect();
        let want = [0x66c7_f0f4u32, 0x62ee_edd9, 0xd1f2_d46b, 0xdc10_e4e2, 0x4167_c487, 0x5cf2_f7a2, 0x297d_a02b, 0x8f4b_a8e0];
        assert_eq!(digest, want);
    }
}
