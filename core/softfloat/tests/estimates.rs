//! Reciprocal estimates: the published values, the manual's loops, and the promised precision.

mod support;

use emu_softfloat::*;
use support::{Random, is_nan as nan_bits};

const NONE: Flags = Flags::NONE;

fn f(x: f32) -> u32 {
    x.to_bits()
}

/// RecipEstimate, as the manual writes it.
fn manual_reciprocal(a: u64, precise: bool) -> u64 {
    let a = a * 2 + 1;
    let b = if precise { (1 << 26) / a } else { (1 << 19) / a };
    let r = b.div_ceil(2);
    assert!(if precise { (4096..8192).contains(&r) } else { (256..512).contains(&r) });
    r
}

/// RecipSqrtEstimate, as the manual writes it.
fn manual_reciprocal_root(a: u64, precise: bool) -> u64 {
    let limit = if precise { 1u64 << 39 } else { 1 << 28 };
    let a = if a < if precise { 2048 } else { 256 } { a * 2 + 1 } else { ((a >> 1 << 1) + 1) * 2 };
    let mut b = if precise { 8192u64 } else { 512 };
    while a * (b + 1) * (b + 1) < limit {
        b += 1;
    }
    let r = b.div_ceil(2);
    assert!(if precise { (4096..8192).contains(&r) } else { (256..512).contains(&r) });
    r
}

/// The finite, in-range part of FPRecipEstimate and FPRSqrtEstimate, on 52-bit fractions.
fn manual_estimate<F: Format>(op: u64, root: bool, precise: bool) -> u64 {
    let mut fraction = (op & F::FRAC_MASK) << (52 - F::FRAC_BITS);
    let mut exp = (op >> F::FRAC_BITS & F::EXP_MAX) as i64;
    let mask = (1u64 << 52) - 1;
    if exp == 0 {
        if root {
            while fraction >> 51 == 0 {
                fraction = fraction << 1 & mask;
                exp -= 1;
            }
            fraction = fraction << 1 & mask;
        } else if fraction >> 51 == 0 {
            exp = -1;
            fraction = fraction << 2 & mask;
        } else {
            fraction = fraction << 1 & mask;
        }
    }
    let width = if precise { 11 } else { 8 };
    let drop = 52 - width;
    let estimate_width = if precise { 12 } else { 8 };
    let result_exp;
    let mut out;
    let bias = F::BIAS as i64;
    if root {
        let scaled = if exp & 1 == 0 { 1 << width | fraction >> drop } else { 1 << (width - 1) | fraction >> (drop + 1) };
        result_exp = (3 * bias - 1 - exp).div_euclid(2);
        let estimate = manual_reciprocal_root(scaled, precise);
        out = (estimate & ((1 << estimate_width) - 1)) << (52 - estimate_width);
    } else {
        let scaled = 1 << width | fraction >> drop;
        let estimate = manual_reciprocal(scaled, precise);
        out = (estimate & ((1 << estimate_width) - 1)) << (52 - estimate_width);
        result_exp = match 2 * bias - 1 - exp {
            0 => {
                out = 1 << 51 | out >> 1;
                0
            }
            -1 => {
                out = 1 << 50 | out >> 2;
                0
            }
            exp => exp,
        };
    }
    (op & F::SIGN_BIT) | (result_exp as u64) << F::FRAC_BITS | out >> (52 - F::FRAC_BITS)
}

fn against_the_manual<F: Format>(op: u64, mode: Mode, precise: bool) {
    let magnitude = op & (F::SIGN_BIT - 1);
    // Below a quarter of the smallest normal the reciprocal overflows.
    if magnitude == 0 || magnitude >= F::INFINITY {
        return;
    }
    if magnitude > F::FRAC_MASK >> 2 {
        let (bits, flags) = recip_estimate::<F>(F::narrow(op), mode);
        let expected = manual_estimate::<F>(op, false, precise);
        assert_eq!((F::widen(bits), flags), (expected, NONE), "recip {op:x} {mode:?}");
    }
    let (bits, flags) = rsqrt_estimate::<F>(F::narrow(magnitude), mode);
    let expected = manual_estimate::<F>(magnitude, true, precise);
    assert_eq!((F::widen(bits), flags), (expected, NONE), "rsqrt {op:x} {mode:?}");
}

#[test]
fn estimates_follow_the_manual() {
    for op in 0..=u16::MAX {
        against_the_manual::<F16>(op as u64, Mode::IEEE, false);
        against_the_manual::<F16>(op as u64, Mode::AH | Mode::RPRES, false);
    }
    let mut random = Random::new("estimates_follow_the_manual", 12);
    for _ in 0..100_000 {
        against_the_manual::<F32>(random.operand::<F32>(), Mode::IEEE, false);
        against_the_manual::<F64>(random.operand::<F64>(), Mode::IEEE, false);
        // Twelve bits, for single precision under AH with RPRES; denormals are flushed there.
        let op = random.operand::<F32>();
        let exp = op >> 23 & 0xff;
        if (1..253).contains(&exp) {
            against_the_manual::<F32>(op, Mode::AH | Mode::RPRES, true);
            against_the_manual::<F32>(op, Mode::AH, false);
        }
    }
}

#[test]
fn estimates_are_close() {
    for prefix in 0..4096u32 {
        let op = 0x3f80_0000 | prefix << 11 | 0x3ff;
        let x = f32::from_bits(op) as f64;
        for (mode, bits) in [(Mode::IEEE, 8), (Mode::AH | Mode::RPRES, 12)] {
            let bound = 2f64.powi(-bits);
            let recip = f32::from_bits(recip_estimate::<F32>(op, mode).0) as f64;
            assert!((recip * x - 1.0).abs() <= bound, "{x} {mode:?}");
            let root = f32::from_bits(rsqrt_estimate::<F32>(op, mode).0) as f64;
            assert!((root * x.sqrt() - 1.0).abs() <= bound, "{x} {mode:?}");
        }
    }
}

#[test]
fn known_values_and_specials() {
    let recip = |op: u32, mode| recip_estimate::<F32>(op, mode);
    let inf = f(f32::INFINITY);
    let max = f(f32::MAX);
    assert_eq!(recip(f(1.0), Mode::IEEE), (0x3f7f_8000, NONE));
    assert_eq!(recip(f(2.0), Mode::IEEE), (0x3eff_8000, NONE));
    assert_eq!(recip(f(3.0), Mode::IEEE), (0x3eaa_8000, NONE));
    assert_eq!(recip(f(-0.0), Mode::IEEE), (f(f32::NEG_INFINITY), Flags::DIVZERO));
    assert_eq!(recip(f(f32::NEG_INFINITY), Mode::IEEE), (f(-0.0), NONE));
    assert_eq!(recip(0x7f80_0001, Mode::IEEE), (0x7fc0_0001, Flags::INVALID));
    assert_eq!(recip(0x7f80_0001, Mode::AH), (0x7fc0_0001, NONE));
    // Too small to invert: overflow, as the rounding says.
    let over = Flags::OVERFLOW | Flags::INEXACT;
    let to = |r| Mode::IEEE.with_rounding(r);
    assert_eq!(recip(1, Mode::IEEE), (inf, over));
    assert_eq!(recip(0x1f_ffff, to(Rounding::TowardZero)), (max, over));
    assert_eq!(recip(1 | 1 << 31, to(Rounding::TowardPlus)), (max | 1 << 31, over));
    assert_eq!(recip(1, to(Rounding::TowardMinus)), (max, over));
    assert_eq!(recip(1, Mode::FZ), (inf, Flags::DIVZERO | Flags::INPUT_DENORMAL));
    assert_eq!(recip(1, Mode::AH | to(Rounding::TowardZero)), (inf, NONE));
    // So large that the reciprocal is a denormal: kept, or flushed.
    assert_eq!(recip(0x7e80_0000, Mode::IEEE), (0x007f_c000, NONE));
    assert_eq!(recip(0x7e80_0000, Mode::FZ), (0, Flags::UNDERFLOW));
    assert_eq!(recip(0x7e80_0000, Mode::AH), (0, NONE));
    assert_eq!(recip_estimate::<F16>(0x7400, Mode::FZ16), (0, Flags::UNDERFLOW));

    let rsqrt = |op: u32, mode| rsqrt_estimate::<F32>(op, mode);
    assert_eq!(rsqrt(f(1.0), Mode::IEEE), (0x3f7f_8000, NONE));
    assert_eq!(rsqrt(f(4.0), Mode::IEEE), (0x3eff_8000, NONE));
    assert_eq!(rsqrt(f(2.0), Mode::IEEE), (0x3f34_8000, NONE));
    assert_eq!(rsqrt(f(3.0), Mode::IEEE), (0x3f13_8000, NONE));
    assert_eq!(rsqrt(f(-0.0), Mode::IEEE), (f(f32::NEG_INFINITY), Flags::DIVZERO));
    assert_eq!(rsqrt(f(-1.0), Mode::IEEE), (0x7fc0_0000, Flags::INVALID));
    assert_eq!(rsqrt(f(-1.0), Mode::AH), (0xffc0_0000, NONE));
    assert_eq!(rsqrt(inf, Mode::IEEE), (0, NONE));

    assert_eq!(unsigned_recip_estimate(0x7fff_ffff), u32::MAX);
    assert_eq!(unsigned_recip_estimate(0x8000_0000), 0xff80_0000);
    assert_eq!(unsigned_recip_estimate(u32::MAX), 0x8000_0000);
    assert_eq!(unsigned_rsqrt_estimate(0x3fff_ffff), u32::MAX);
    assert_eq!(unsigned_rsqrt_estimate(0x4000_0000), 0xff80_0000);
    assert_eq!(unsigned_rsqrt_estimate(u32::MAX), 0x8000_0000);

    assert_eq!(recpx::<F32>(f(1.0), Mode::IEEE), (f(2.0), NONE));
    assert_eq!(recpx::<F32>(f(-3.0), Mode::IEEE), (f(-1.0), NONE));
    assert_eq!(recpx::<F32>(0, Mode::IEEE), (0x7f00_0000, NONE));
    assert_eq!(recpx::<F32>(inf, Mode::IEEE), (0, NONE));
    assert_eq!(recpx::<F64>(1, Mode::FZ), (0x7fe0_0000_0000_0000, Flags::INPUT_DENORMAL));
    assert_eq!(recpx::<F64>(1, Mode::FZ | Mode::AH), (0x7fe0_0000_0000_0000, NONE));
}

#[test]
fn unsigned_estimates_follow_the_manual() {
    for top in 0..512u32 {
        let op = top << 23 | 0x1234;
        if top >= 256 {
            assert_eq!(unsigned_recip_estimate(op) as u64, manual_reciprocal(top as u64, false) << 23);
        }
        if top >= 128 {
            let expected = manual_reciprocal_root(top as u64, false) << 23;
            assert_eq!(unsigned_rsqrt_estimate(op) as u64, expected);
        }
    }
}

#[test]
fn steps() {
    assert_eq!(recip_step::<F32>(f(0.5), f(3.0), Mode::IEEE), (f(0.5), NONE));
    assert_eq!(rsqrt_step::<F32>(f(0.5), f(3.0), Mode::IEEE), (f(0.75), NONE));
    assert_eq!(recip_step::<F32>(f(f32::INFINITY), 0, Mode::IEEE), (f(2.0), NONE));
    assert_eq!(rsqrt_step::<F32>(f(-0.0), f(f32::INFINITY), Mode::IEEE), (f(1.5), NONE));
    assert_eq!(recip_step::<F32>(f(f32::INFINITY), f(1.0), Mode::IEEE).0, f(f32::NEG_INFINITY));
    assert_eq!(recip_step::<F32>(f(2.0), f(1.0), Mode::IEEE), (0, NONE));
    // The first operand is negated, NaN or not; under AH a NaN is left alone.
    assert_eq!(recip_step::<F32>(0x7fc0_0005, f(1.0), Mode::IEEE), (0xffc0_0005, NONE));
    assert_eq!(recip_step::<F32>(0x7fc0_0005, f(1.0), Mode::AH), (0x7fc0_0005, NONE));
    assert_eq!(recip_step::<F32>(0x7f80_0005, f(1.0), Mode::AH), (0x7fc0_0005, NONE));
    // Against exact arithmetic: the step is `c - a * b` fused, the root's halved before rounding.
    let mut random = Random::new("steps", 13);
    for i in 0..500_000u32 {
        let mode = Mode::IEEE.with_rounding(Rounding::ALL[i as usize % 4]);
        let a = random.operand::<F64>();
        let b = random.near::<F64>(div::<F64>(2f64.to_bits(), a, Mode::IEEE).0);
        let minus_a = a ^ 1 << 63;
        let expected = mul_add::<F64>(2f64.to_bits(), minus_a, b, mode);
        let invalid = expected.1.contains(Flags::INVALID);
        if !invalid && !nan_bits::<F64>(expected.0) {
            assert_eq!(recip_step::<F64>(a, b, mode), expected, "{a:x} {b:x} {mode:?}");
        }
        // Halving is exact while the sum is well inside the exponent range.
        let sum = mul_add::<F64>(3f64.to_bits(), minus_a, b, mode);
        let value = f64::from_bits(sum.0);
        if value.is_normal() && value.abs() > 1e-300 && !sum.1.contains(Flags::OVERFLOW) {
            let half = (value / 2.0).to_bits();
            assert_eq!(rsqrt_step::<F64>(a, b, mode), (half, sum.1), "{a:x} {b:x} {mode:?}");
        }
    }
}
