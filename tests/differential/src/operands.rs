//! Operand values, biased to where implementations go wrong.

use crate::layout;
use emu_test_kit::Rng;

/// What a vector register's lanes are filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// Half precision.
    F16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Integers of 8, 16, 32 or 64 bits.
    Integers(u32),
}

/// All kinds of lanes.
pub const LANES: [Lanes; 7] = [Lanes::F16, Lanes::F32, Lanes::F64, Lanes::Integers(8), Lanes::Integers(16), Lanes::Integers(32), Lanes::Integers(64)];

/// A biased integer of `bits` bits: small, extreme, near a power of two, or random.
pub fn integer(rng: &mut Rng, bits: u32) -> u64 {
    let mask = u64::MAX >> (64 - bits);
    let near = |rng: &mut Rng| {
        let power = 1u64 << rng.below(u64::from(bits));
        power.wrapping_add(rng.below(3)).wrapping_sub(1)
    };
    let value = match rng.below(16) {
        0 | 1 => 0,
        2 => 1,
        3 => u64::MAX,
        4 => 1u64 << (bits - 1),
        5 => (1u64 << (bits - 1)) - 1,
        6 => near(rng),
        7 => near(rng).wrapping_neg(),
        8 => rng.below(256),
        9 => rng.below(256).wrapping_neg(),
        10 => u64::from(rng.u32()),
        11 => u64::MAX << rng.below(u64::from(bits)) >> rng.below(8),
        _ => rng.u64(),
    };
    value & mask
}

/// A biased floating-point value with that many exponent and fraction bits.
pub fn float(rng: &mut Rng, exponent_bits: u32, fraction_bits: u32) -> u64 {
    let exponent_max = (1u64 << exponent_bits) - 1;
    let fraction_max = (1u64 << fraction_bits) - 1;
    let bias = exponent_max >> 1;
    let quiet = 1u64 << (fraction_bits - 1);
    let random = rng.u64();
    let (exponent, fraction) = match rng.below(20) {
        0 | 1 => (0, 0),
        2 => (exponent_max, 0),
        3 | 4 => (exponent_max, quiet | (random & (quiet - 1))),
        5 => (exponent_max, (random & (quiet - 1)).max(1)),
        6 => (0, (random & fraction_max).max(1)),
        7 => (0, *rng.pick(&[1, fraction_max, quiet])),
        8 => (exponent_max - 1, fraction_max),
        9 => (1, 0),
        10 => (bias, 0),
        // Near the bounds of the integers, where conversions saturate.
        11 => (bias + *rng.pick(&[7, 8, 15, 16, 30, 31, 32, 62, 63, 64]), *rng.pick(&[0, fraction_max, 1])),
        12 => (bias + rng.below(8), (random & fraction_max) & (u64::MAX << (fraction_bits - 4))),
        13 => (bias - 1, *rng.pick(&[0, fraction_max, 1, quiet])),
        // Small exponent differences, where sums cancel and ties occur.
        14 | 15 => (bias + rng.below(4), random & fraction_max),
        // Products and quotients that overflow or become denormal.
        16 => (exponent_max - 1 - rng.below(4), random & fraction_max),
        17 => (1 + rng.below(u64::from(fraction_bits) + 2), random & fraction_max),
        _ => (random >> 20 & exponent_max, random & fraction_max),
    };
    let sign = rng.below(2);
    let exponent = exponent.min(exponent_max);
    sign << (exponent_bits + fraction_bits) | exponent << fraction_bits | fraction & fraction_max
}

/// A vector register.
pub fn vector(rng: &mut Rng, lanes: Lanes) -> u128 {
    let (bits, value): (u32, fn(&mut Rng, u32) -> u64) = match lanes {
        Lanes::F16 => (16, |rng, _| float(rng, 5, 10)),
        Lanes::F32 => (32, |rng, _| float(rng, 8, 23)),
        Lanes::F64 => (64, |rng, _| float(rng, 11, 52)),
        Lanes::Integers(bits) => (bits, integer),
    };
    (0..128 / bits).fold(0, |v, i| v | u128::from(value(rng, bits)) << (i * bits))
}

/// FPCR: rounding mode, FZ, DN, FZ16 and AHP, and the bits of `more`. AH, FIZ, NEP (FEAT_AFP) and EBF
/// (FEAT_EBF16) are RES0 where the feature is absent, so they are not drawn unless asked for. Trap
/// enables stay 0: they are RAZ/WI on both sides.
pub fn fpcr(rng: &mut Rng, more: u64) -> u64 {
    let bit = |rng: &mut Rng, n: u32, one_in: u64| u64::from(rng.one_in(one_in)) << n;
    let mode = rng.below(4) << 22;
    let extra = rng.u64() & more;
    extra | mode | bit(rng, 24, 4) | bit(rng, 25, 4) | bit(rng, 19, 6) | bit(rng, 26, 8)
}

/// The writable bits of FPCR that every core has.
pub const FPCR_MASK: u64 = 0x07c8_0000;

/// The cumulative flags and QC.
pub const FPSR_MASK: u64 = 1 << 27 | 0x9f;

/// FPSR: mostly clear, so that the flags that an instruction raises show.
pub fn fpsr(rng: &mut Rng) -> u64 {
    if rng.one_in(3) { rng.u64() & FPSR_MASK } else { 0 }
}

/// An address for a load or store, which `effective` bytes away from it are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// Anywhere: crossings, read-only, unmapped, Device and Non-cacheable memory too.
    Any,
    /// Inside the writable pages, aligned to 64 bytes.
    Aligned,
    /// Inside the writable pages, any alignment.
    Inside,
}

/// An address biased to page crossings, misalignment and the window's special pages.
pub fn address(rng: &mut Rng, spot: Spot) -> u64 {
    let inside = |rng: &mut Rng| layout::MIDDLE - 192 + rng.below(384);
    match spot {
        Spot::Aligned => inside(rng) & !63,
        Spot::Inside => align(rng, layout::MIDDLE - 192) + rng.below(128),
        Spot::Any => match rng.below(64) {
            0..6 => layout::MIDDLE - 1 - rng.below(32),
            6..9 => layout::WRITABLE - rng.below(32),
            9..12 => layout::READ_ONLY - rng.below(32),
            12..15 => {
                let at = layout::READ_ONLY + rng.below(128);
                align(rng, at)
            }
            15..17 => layout::UNMAPPED - rng.below(32),
            17..18 => layout::UNMAPPED + rng.below(64),
            18..21 => {
                let at = layout::DEVICE + rng.below(32);
                align(rng, at)
            }
            21..23 => {
                let at = layout::NON_CACHEABLE + rng.below(32);
                align(rng, at)
            }
            23 => layout::SAVE + rng.below(64),
            24 => layout::MIDDLE | rng.u64() << 48 & !(0xff << 56),
            25 => inside(rng) | rng.u64() << 56, // a tag, which TBI0 ignores
            26 => rng.u64(),
            27..32 => layout::MIDDLE - 16 * rng.below(3) - rng.below(2) * 8,
            _ => {
                let at = inside(rng);
                align(rng, at)
            }
        },
    }
}

/// Aligns to a random power of two up to 64, mostly an access size.
fn align(rng: &mut Rng, address: u64) -> u64 {
    address & !(*rng.pick(&[1u64, 1, 2, 4, 8, 8, 16, 16, 16, 64]) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_hit_all_classes() {
        let mut rng = Rng::new(1);
        let values: Vec<f64> = (0..2000).map(|_| f64::from_bits(float(&mut rng, 11, 52))).collect();
        let count = |f: fn(&f64) -> bool| values.iter().filter(|v| f(v)).count();
        let signalling = |v: &f64| v.is_nan() && v.to_bits() >> 51 & 1 == 0;
        assert!(count(signalling) > 30);
        assert!(count(|v| v.is_nan()) > 200);
        assert!(count(|v| v.is_infinite()) > 30);
        assert!(count(|v| v.is_subnormal()) > 100);
        assert!(count(|v| *v == 0.0 && v.is_sign_negative()) > 30);
        assert!(count(|v| *v == 0.0 && v.is_sign_positive()) > 30);
        assert!(count(|v| v.is_normal()) > 600);
    }

    #[test]
    fn integers_stay_in_range() {
        let mut rng = Rng::new(2);
        for bits in [8, 16, 32, 64] {
            let values: Vec<u64> = (0..4000).map(|_| integer(&mut rng, bits)).collect();
            assert!(values.iter().all(|v| bits == 64 || v >> bits == 0));
            for wanted in [0, 1, u64::MAX >> (64 - bits), 1 << (bits - 1), (1 << (bits - 1)) - 1] {
                assert!(values.contains(&wanted), "{bits}: {wanted:#x}");
            }
        }
    }

    #[test]
    fn inside_addresses_stay_in_the_compared_region() {
        let mut rng = Rng::new(3);
        for _ in 0..4000 {
            for spot in [Spot::Aligned, Spot::Inside] {
                let at = address(&mut rng, spot);
                assert!((layout::MIDDLE - 256..layout::MIDDLE + 256).contains(&at));
            }
        }
    }
}
