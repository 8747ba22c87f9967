//! Pointer authentication: ComputePAC, AddPAC, Auth, Strip (Arm ARM, shared/functions/pac).
//!
//! Three algorithms: QARMA5 and QARMA3 (Avanzi, "The QARMA Block Cipher Family", 64-bit blocks) and an IMPLEMENTATION DEFINED one, a
//! hash that is fast rather than cryptographic.

use crate::PauthAlgorithm;
use crate::sysreg::PauthKey;

/// Key A or B for instructions or data.
pub const fn key(data: bool, b: bool) -> PauthKey {
    match (data, b) {
        (false, false) => PauthKey::IA,
        (false, true) => PauthKey::IB,
        (true, false) => PauthKey::DA,
        (true, true) => PauthKey::DB,
    }
}
/// True for the keys of data pointers.
pub const fn is_data(key: PauthKey) -> bool {
    matches!(key, PauthKey::DA | PauthKey::DB)
}
/// The bit of SCTLR_ELx that enables the key.
pub const fn enable_bit(key: PauthKey) -> u64 {
    use crate::mode::sctlr;
    match key {
        PauthKey::IA => sctlr::EN_IA,
        PauthKey::IB => sctlr::EN_IB,
        PauthKey::DA => sctlr::EN_DA,
        PauthKey::DB => sctlr::EN_DB,
        // Nothing disables the generic key.
        PauthKey::GA => u64::MAX,
    }
}
/// True for the B keys.
pub const fn is_b(key: PauthKey) -> bool {
    matches!(key, PauthKey::IB | PauthKey::DB)
}

// -- QARMA ---------------------------------------------------------------------------------------------------------------------------

const ALPHA: u64 = 0xc0ac_29b7_c97c_50dd;
const RC: [u64; 8] = [
    0,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
    0x3f84_d5b5_b547_0917,
    0x9216_d5d9_8979_fb1b,
];
/// The S-boxes sigma0 (for the tests of the published vectors), sigma1 (PACSub1, QARMA3) and sigma2 (PACSub, QARMA5).
const SUB: [[u8; 16]; 3] = [
    [0, 14, 2, 10, 9, 15, 8, 11, 6, 4, 3, 7, 13, 12, 1, 5],
    [10, 13, 14, 6, 15, 7, 3, 5, 9, 8, 0, 12, 11, 1, 2, 4],
    [11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10],
];
/// PACCellShuffle: nibble i of the result (0 the least significant) is nibble SHUFFLE[i].
const SHUFFLE: [u8; 16] = lsb_first([0, 11, 6, 13, 10, 1, 12, 7, 5, 14, 3, 8, 15, 4, 9, 2]);
/// TweakShuffle's permutation, before TweakCellRot.
const TWEAK: [u8; 16] = lsb_first([6, 5, 14, 15, 0, 1, 2, 3, 7, 12, 13, 4, 8, 9, 10, 11]);
/// The nibbles (0 the least significant) that TweakCellRot changes.
const ROTATED: [u32; 7] = [15, 14, 12, 11, 7, 4, 2];

/// The paper numbers cells from the most significant one.
const fn lsb_first(p: [u8; 16]) -> [u8; 16] {
    let mut out = [0; 16];
    let mut i = 0;
    while i < 16 {
        out[i] = 15 - p[15 - i];
        i += 1;
    }
    out
}

const fn inverse(p: [u8; 16]) -> [u8; 16] {
    let mut out = [0; 16];
    let mut i = 0;
    while i < 16 {
        out[p[i] as usize] = i as u8;
        i += 1;
    }
    out
}

fn permute(v: u64, p: &[u8; 16]) -> u64 {
    p.iter().enumerate().fold(0, |out, (i, from)| out | (v >> (4 * from) & 15) << (4 * i))
}

fn substitute(v: u64, s: &[u8; 16]) -> u64 {
    (0..16).fold(0, |out, i| out | u64::from(s[(v >> (4 * i) & 15) as usize]) << (4 * i))
}

/// Every nibble rotated left by `n`.
fn rotate_cells(v: u64, n: u32) -> u64 {
    let low = 0x1111_1111_1111_1111 * ((1 << n) - 1);
    (v << n & !low) | (v >> (4 - n) & low)
}

/// PACMult: each column of the 4x4 nibble matrix times circ(0, rho, rho^2, rho). Rows are 16 bits, so a rotation moves between rows.
fn mult(v: u64) -> u64 {
    rotate_cells(v.rotate_left(16) ^ v.rotate_left(48), 1) ^ rotate_cells(v.rotate_left(32), 2)
}

fn tweak_shuffle(v: u64) -> u64 {
    let mut v = permute(v, &TWEAK);
    for cell in ROTATED {
        let c = v >> (4 * cell) & 15;
        let rotated = c >> 1 | (c ^ c >> 1) << 3 & 8;
        v = v & !(15 << (4 * cell)) | rotated << (4 * cell);
    }
    v
}

fn tweak_unshuffle(mut v: u64) -> u64 {
    const INVERSE: [u8; 16] = inverse(TWEAK);
    for cell in ROTATED {
        let c = v >> (4 * cell) & 15;
        let rotated = c << 1 & 14 | (c ^ c >> 3) & 1;
        v = v & !(15 << (4 * cell)) | rotated << (4 * cell);
    }
    permute(v, &INVERSE)
}

/// ComputePACQARMA: `rounds` is 5 or 3, `sub` an index of [`SUB`]. `key0` is the high half of the key register pair.
fn qarma(rounds: usize, sub: usize, data: u64, modifier: u64, key0: u64, key1: u64) -> u64 {
    const UNSHUFFLE: [u8; 16] = inverse(SHUFFLE);
    let (sub, unsub) = (SUB[sub], inverse(SUB[sub]));
    let modk0 = key0.rotate_right(1) ^ key0 >> 63;
    let mut tweak = modifier;
    let mut v = data ^ key0;
    for (i, rc) in RC[..rounds].iter().enumerate() {
        v ^= key1 ^ tweak ^ rc;
        if i > 0 {
            v = mult(permute(v, &SHUFFLE));
        }
        v = substitute(v, &sub);
        tweak = tweak_shuffle(tweak);
    }
    v = mult(permute(v ^ modk0 ^ tweak, &SHUFFLE));
    v = substitute(v, &sub);
    v = mult(permute(v, &SHUFFLE)) ^ key1;
    v = substitute(permute(v, &UNSHUFFLE), &unsub);
    v = permute(mult(v), &UNSHUFFLE) ^ key0 ^ tweak;
    for (i, rc) in RC[..rounds].iter().enumerate().rev() {
        v = substitute(v, &unsub);
        if i > 0 {
            v = permute(mult(v), &UNSHUFFLE);
        }
        tweak = tweak_unshuffle(tweak);
        v ^= rc ^ key1 ^ tweak ^ ALPHA;
    }
    v ^ modk0
}

/// What keeps a modifier of zero from making all PACs equal while the keys are zero.
pub(crate) const HASH_MODIFIER: u64 = 0xbf58_476d_1ce4_e5b9;
/// The factor of the second round.
pub(crate) const HASH_FACTOR: u64 = 0x94d0_49bb_1331_11eb;

/// The IMPLEMENTATION DEFINED algorithm: two rounds of multiplication and folding (`mul_fold`), as the translator makes them too. `key0` is
/// the high half of the key register pair.
fn hash(data: u64, modifier: u64, key0: u64, key1: u64) -> u64 {
    let fold = |a: u64, b: u64| {
        let p = u128::from(a) * u128::from(b);
        p as u64 ^ (p >> 64) as u64
    };
    fold(fold(data ^ key0, modifier ^ key1 ^ HASH_MODIFIER) ^ key1, HASH_FACTOR)
}

/// ComputePAC(): `key` is (low, high) as in the registers' names.
pub fn compute_pac(algorithm: PauthAlgorithm, data: u64, modifier: u64, key: (u64, u64)) -> u64 {
    match algorithm {
        PauthAlgorithm::ImpDef => hash(data, modifier, key.1, key.0),
        PauthAlgorithm::Qarma3 => qarma(3, 1, data, modifier, key.1, key.0),
        PauthAlgorithm::Qarma5 => qarma(5, 2, data, modifier, key.1, key.0),
    }
}

// -- Pointers ------------------------------------------------------------------------------------------------------------------------

/// Where the PAC of a pointer lies, and which of the features that change its use are implemented.
#[derive(Clone, Copy, Debug)]
pub struct PacLayout {
    /// EffectiveTBI: bits 63 to 56 are a tag.
    pub tbi: bool,
    /// CalculateBottomPACBit.
    pub bottom: u32,
    /// FEAT_PAuth2: the PAC is exclusive-ored in.
    pub pauth2: bool,
    /// FEAT_EPAC: a pointer with bad extension bits gets a PAC of zero.
    pub epac: bool,
}

impl PacLayout {
    /// The bits that hold the PAC; bit 55 never does.
    pub(crate) fn field(self) -> u64 {
        let low = 1u64.checked_shl(self.bottom).unwrap_or(0).wrapping_sub(1);
        let top = if self.tbi { u64::MAX >> 8 } else { u64::MAX };
        top & !low & !(1 << 55)
    }
    /// The pointer with all bits that can hold a PAC, and bit 55, equal to `select`.
    fn extend(self, pointer: u64, select: bool) -> u64 {
        let field = self.field() | 1 << 55;
        if select { pointer | field } else { pointer & !field }
    }
}

/// AddPAC() after the choice of `select` (bit 55 of the result) and layout; `pac` computes the PAC of a canonical pointer.
pub fn add_pac(layout: PacLayout, select: bool, pointer: u64, pac: impl FnOnce(u64) -> u64) -> u64 {
    let canonical = layout.extend(pointer, select);
    let mut pac = pac(canonical);
    let field = layout.field();
    let with = if layout.pauth2 {
        pointer & field ^ pac & field
    } else {
        let extension = field | 1 << 55;
        if pointer & extension != 0 && pointer & extension != extension {
            let top = if layout.tbi { 55 } else { 63 };
            pac = if layout.epac { 0 } else { pac ^ 1 << (top - 1) };
        }
        pac & field
    };
    canonical & !field | with
}

/// Auth(): the result, and whether it failed.
pub fn auth_pac(layout: PacLayout, pointer: u64, b: bool, pac: impl FnOnce(u64) -> u64) -> (u64, bool) {
    let select = pointer >> 55 & 1 == 1;
    let canonical = layout.extend(pointer, select);
    let pac = pac(canonical);
    let field = layout.field();
    if layout.pauth2 {
        let result = pointer ^ pac & field;
        return (result, result != canonical);
    }
    if (pointer ^ pac) & field == 0 {
        return (canonical, false);
    }
    let code = if b { 2 } else { 1 };
    let lsb = if layout.tbi { 53 } else { 61 };
    (canonical & !(3 << lsb) | code << lsb, true)
}

/// Strip().
pub fn strip_pac(layout: PacLayout, pointer: u64) -> u64 {
    layout.extend(pointer, pointer >> 55 & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the paper's appendix: (rounds, S-box, ciphertext).
    #[test]
    fn qarma_published_vectors() {
        let (w0, k0, tweak, plain) = (0x84be_85ce_9804_e94b, 0xec28_02d4_e0a4_88e9, 0x477d_469d_ec0b_8762, 0xfb62_3599_da6e_8127);
        let vectors = [
            (5, 0, 0x3ee9_9a6c_82af_0c38),
            (6, 0, 0x9f5c_41ec_5256_03c9),
            (7, 0, 0xbcaf_6c89_de93_0765),
            (5, 1, 0x544b_0ab9_5bda_7c3a),
            (6, 1, 0xa512_dd1e_4e3e_c582),
            (7, 1, 0xedf6_7ff3_70a4_83f2),
            (5, 2, 0xc003_b939_99b3_3765),
            (6, 2, 0x270a_7872_75c4_8d10),
            (7, 2, 0x5c06_a750_1b63_b2fd),
        ];
        for (rounds, sub, cipher) in vectors {
            assert_eq!(qarma(rounds, sub, plain, tweak, w0, k0), cipher, "{rounds} rounds, sigma{sub}");
        }
        assert_eq!(compute_pac(PauthAlgorithm::Qarma5, plain, tweak, (k0, w0)), 0xc003_b939_99b3_3765);
    }

    #[test]
    fn signed_pointers_authenticate_and_forged_ones_do_not() {
        let seed = std::env::var("EMU_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed_u64);
        println!("EMU_SEED={seed}");
        let mut x = seed | 1;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        for algorithm in [PauthAlgorithm::ImpDef, PauthAlgorithm::Qarma3, PauthAlgorithm::Qarma5] {
            for i in 0..200 {
                let layout = PacLayout { tbi: i & 1 == 1, bottom: 36 + (i % 17), pauth2: i & 2 == 2, epac: i & 4 == 4 };
                let (key, modifier) = ((next(), next()), next());
                let pac = |p| compute_pac(algorithm, p, modifier, key);
                let raw = next();
                let select = raw >> 55 & 1 == 1;
                let pointer = layout.extend(raw, select);
                let signed = add_pac(layout, select, pointer, pac);
                assert_eq!(signed >> 55 & 1 == 1, select);
                assert_eq!(auth_pac(layout, signed, false, pac), (pointer, false), "{layout:?}");
                assert_eq!(strip_pac(layout, signed), pointer);
                let forged = signed ^ 1 << layout.bottom;
                let (result, failed) = auth_pac(layout, forged, true, pac);
                assert!(failed && result != pointer);
                if !layout.pauth2 {
                    let lsb = if layout.tbi { 53 } else { 61 };
                    assert_eq!(result >> lsb & 3, 2);
                }
            }
        }
    }

    #[test]
    fn a_noncanonical_pointer_is_corrupted_or_gets_no_pac() {
        let pointer = 1 << 50 | 0x1234;
        let layout = PacLayout { tbi: false, bottom: 48, pauth2: false, epac: false };
        assert_eq!(add_pac(layout, false, pointer, |_| 0), 1 << 62 | 0x1234);
        let layout = PacLayout { epac: true, ..layout };
        assert_eq!(add_pac(layout, false, pointer, |_| u64::MAX), 0x1234);
    }
}
