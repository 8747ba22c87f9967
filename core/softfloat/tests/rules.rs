//! The rules that set one instruction set apart from another, case by case: each row is an outcome
//! that DDI 0487's pseudocode gives, written down by hand.

mod support;

use emu_softfloat::*;
use support::Random;

const NONE: Flags = Flags::NONE;
const IOC: Flags = Flags::INVALID;
const DZC: Flags = Flags::DIVZERO;
const OFC: Flags = Flags::OVERFLOW;
const UFC: Flags = Flags::UNDERFLOW;
const IXC: Flags = Flags::INEXACT;
const IDC: Flags = Flags::INPUT_DENORMAL;

const FZ: Mode = Mode::FZ;
const AH: Mode = Mode::AH;
const FIZ: Mode = Mode::FIZ;
const DN: Mode = Mode::DN;

fn f(x: f32) -> u32 {
    x.to_bits()
}

/// The smallest single-precision denormal and normal, and the largest normal.
const TINY: u32 = 1;
const MIN_NORMAL: u32 = 0x0080_0000;
const MAX_NORMAL: u32 = 0x7f7f_ffff;
const INF: u32 = 0x7f80_0000;
const QNAN: u32 = 0x7fc0_0001;
const QNAN2: u32 = 0xffc0_0002;
const SNAN: u32 = 0x7f80_0003;
const SNAN2: u32 = 0xff80_0004;
const DEFAULT: u32 = 0x7fc0_0000;
const NEG_DEFAULT: u32 = 0xffc0_0000;

#[test]
fn mode_packs_and_masks_like_an_fpcr() {
    for rounding in Rounding::ALL {
        let mode = Mode::IEEE.with_rounding(rounding) | FZ | Mode::AHP;
        assert_eq!(mode.rounding(), rounding);
        assert_eq!(Mode::from_bits(mode.bits()), mode);
        assert!(mode.contains(FZ | Mode::AHP) && !mode.contains(DN));
    }
    // FPCR with RMode = 3 (toward zero), FZ, DN and AHP, and everything else that could be set.
    let fpcr = 0x07c0_0000u32;
    let mode = Mode::from_bits(fpcr & Mode::FPCR_MASK);
    assert_eq!(mode.rounding(), Rounding::TowardZero);
    assert!(mode.contains(FZ | DN | Mode::AHP));
    assert_eq!(Mode::from_bits(Mode::FPCR_MASK).rounding(), Rounding::TowardZero);
    assert_eq!(Mode::FPCR_MASK, 0x07c8_2003);
}

#[test]
fn nan_selection_of_two() {
    let rows = [
        // a, b, mode, result, flags
        (QNAN, f(1.0), Mode::IEEE, QNAN, NONE),
        (f(1.0), QNAN2, Mode::IEEE, QNAN2, NONE),
        (QNAN, QNAN2, Mode::IEEE, QNAN, NONE),
        (QNAN, SNAN2, Mode::IEEE, SNAN2 | 0x40_0000, IOC),
        (SNAN, SNAN2, Mode::IEEE, SNAN | 0x40_0000, IOC),
        (QNAN, SNAN2, AH, QNAN, IOC),
        (SNAN, QNAN2, AH, SNAN | 0x40_0000, IOC),
        (f(1.0), SNAN2, AH, SNAN2 | 0x40_0000, IOC),
        (QNAN, SNAN2, DN, DEFAULT, IOC),
        (QNAN, f(1.0), DN, DEFAULT, NONE),
        (QNAN2, f(1.0), DN | AH, NEG_DEFAULT, NONE),
    ];
    for (a, b, mode, bits, flags) in rows {
        assert_eq!(add::<F32>(a, b, mode), (bits, flags), "{a:x} + {b:x} {mode:?}");
        assert_eq!(sub::<F32>(a, b, mode), (bits, flags), "{a:x} - {b:x} {mode:?}");
        assert_eq!(mul::<F32>(a, b, mode), (bits, flags), "{a:x} * {b:x} {mode:?}");
        assert_eq!(div::<F32>(a, b, mode), (bits, flags), "{a:x} / {b:x} {mode:?}");
        assert_eq!(mulx::<F32>(a, b, mode), (bits, flags), "{a:x} mulx {b:x} {mode:?}");
    }
}

#[test]
fn default_nans_of_invalid_operations() {
    let neg_inf = INF | 1 << 31;
    for (mode, nan) in [(Mode::IEEE, DEFAULT), (AH, NEG_DEFAULT)] {
        assert_eq!(add::<F32>(INF, neg_inf, mode), (nan, IOC));
        assert_eq!(sub::<F32>(INF, INF, mode), (nan, IOC));
        assert_eq!(mul::<F32>(INF, 0, mode), (nan, IOC));
        assert_eq!(div::<F32>(0, 0, mode), (nan, IOC));
        assert_eq!(div::<F32>(INF, INF, mode), (nan, IOC));
        assert_eq!(sqrt::<F32>(f(-1.0), mode), (nan, IOC));
        assert_eq!(mul_add::<F32>(f(1.0), INF, 0, mode), (nan, IOC));
        assert_eq!(mul_add::<F32>(neg_inf, INF, f(1.0), mode), (nan, IOC));
        assert_eq!(default_nan::<F32>(mode), nan);
    }
    assert_eq!(mulx::<F32>(INF, 0x8000_0000, Mode::IEEE), (f(-2.0), NONE));
    assert_eq!(div::<F32>(f(-1.0), 0, Mode::IEEE), (neg_inf, DZC));
    assert_eq!(div::<F32>(neg_inf, 0, Mode::IEEE), (neg_inf, NONE));
}

#[test]
fn nan_selection_of_three() {
    let one = f(1.0);
    let rows = [
        // addend, a, b, mode, result, flags
        (QNAN, QNAN2, one, Mode::IEEE, QNAN, NONE),
        (one, QNAN2, QNAN, Mode::IEEE, QNAN2, NONE),
        (QNAN, one, SNAN2, Mode::IEEE, SNAN2 | 0x40_0000, IOC),
        (SNAN, SNAN2, one, Mode::IEEE, SNAN | 0x40_0000, IOC),
        (QNAN, QNAN2, one, AH, QNAN2, NONE),
        (QNAN, one, QNAN2, AH, QNAN2, NONE),
        (QNAN, QNAN2, SNAN, AH, QNAN2, IOC),
        (SNAN, one, one, AH, SNAN | 0x40_0000, IOC),
        // Infinity times zero plus a NaN.
        (QNAN, INF, 0, Mode::IEEE, DEFAULT, IOC),
        (QNAN, 0, INF, Mode::IEEE, DEFAULT, IOC),
        (SNAN, INF, 0, Mode::IEEE, SNAN | 0x40_0000, IOC),
        (QNAN, INF, 0, AH, QNAN, NONE),
        (QNAN, INF, 0, AH | DN, NEG_DEFAULT, NONE),
        // A flushed denormal is a zero here too.
        (QNAN, INF, TINY, FZ, DEFAULT, IOC | IDC),
        (QNAN, INF, TINY, Mode::IEEE, QNAN, NONE),
    ];
    for (c, a, b, mode, bits, flags) in rows {
        assert_eq!(mul_add::<F32>(c, a, b, mode), (bits, flags), "{c:x} + {a:x} * {b:x} {mode:?}");
    }
}

#[test]
fn flushing() {
    let half = f(0.5);
    let rows = [
        // a * b: mode, result, flags
        (TINY, f(1.0), Mode::IEEE, TINY, NONE),
        (TINY, f(1.0), FZ, 0, IDC),
        (TINY | 1 << 31, f(1.0), FZ, 1 << 31, IDC),
        (TINY, f(1.0), FIZ, 0, NONE),
        (TINY, f(1.0), FZ | FIZ, 0, IDC),
        (TINY, f(1.0), AH, TINY, IDC),
        (TINY, f(1.0), AH | FIZ, 0, NONE),
        // Under AH, FZ flushes outputs only: the denormal goes in and its image is flushed.
        (TINY, f(1.0), AH | FZ, 0, UFC | IXC | IDC),
        (TINY, f(1.0), AH | FZ | FIZ, 0, NONE),
        (TINY, f(2.0f32.powi(60)), AH | FZ, f(2.0f32.powi(-89)), IDC),
        // Outputs: exact denormals raise nothing unless they are flushed.
        (MIN_NORMAL, half, Mode::IEEE, 0x0040_0000, NONE),
        (MIN_NORMAL, half, FZ, 0, UFC),
        (MIN_NORMAL | 1 << 31, half, FZ, 1 << 31, UFC),
        (MIN_NORMAL, half, FIZ, 0x0040_0000, NONE),
        (MIN_NORMAL, half, AH, 0x0040_0000, NONE),
        (MIN_NORMAL, half, AH | FZ, 0, UFC | IXC),
        // FZ16 is for half precision alone.
        (MIN_NORMAL, half, Mode::FZ16, 0x0040_0000, NONE),
        (TINY, f(1.0), Mode::FZ16, TINY, NONE),
    ];
    for (a, b, mode, bits, flags) in rows {
        assert_eq!(mul::<F32>(a, b, mode), (bits, flags), "{a:x} * {b:x} {mode:?}");
    }
    // Half precision: FZ16 flushes silently at the input, with Underflow at the output.
    assert_eq!(mul::<F16>(1, 0x3c00, Mode::FZ16), (0, NONE));
    assert_eq!(mul::<F16>(1, 0x3c00, FZ | FIZ), (1, NONE));
    assert_eq!(mul::<F16>(0x400, 0x3800, Mode::FZ16), (0, UFC));
    assert_eq!(mul::<F16>(0x400, 0x3800, Mode::FZ16 | AH), (0, UFC | IXC));
    assert_eq!(mul::<F16>(1, 0x3c00, AH), (1, NONE));
    // bfloat16 follows FZ like single precision.
    assert_eq!(mul::<BF16>(1, 0x3f80, FZ), (0, IDC));
    assert_eq!(mul::<BF16>(0x80, 0x3f00, FZ), (0, UFC));
}

#[test]
fn input_denormal_under_ah_needs_the_operand_to_be_used() {
    assert_eq!(div::<F32>(TINY, 0, AH), (INF, DZC));
    assert_eq!(div::<F32>(0, TINY, AH), (0, IDC));
    assert_eq!(add::<F32>(TINY, QNAN, AH), (QNAN, NONE));
    assert_eq!(mul_add::<F32>(TINY, INF, 0, AH), (NEG_DEFAULT, IOC));
    assert_eq!(mul_add::<F32>(TINY, 0, 0, AH), (TINY, IDC));
    assert_eq!(sqrt::<F32>(TINY | 1 << 31, AH), (NEG_DEFAULT, IOC));
    assert_eq!(compare::<F32>(TINY, 0, AH), (Relation::Greater, IDC));
    assert_eq!(compare::<F32>(TINY, 0, FZ), (Relation::Equal, IDC));
    assert_eq!(compare::<F32>(TINY, 0, FIZ), (Relation::Equal, NONE));
    assert_eq!(convert::<F32, F64>(TINY, AH).1, IDC);
    assert_eq!(to_int::<F32>(TINY, true, IntSize::Int32, 0, AH, Rounding::TowardZero), (0, IXC));
    assert_eq!(to_int::<F32>(TINY, true, IntSize::Int32, 0, FZ, Rounding::TowardZero), (0, IDC));
}

#[test]
fn tininess_before_and_after_rounding() {
    // (1 - 2^-24) * 2^-126 exactly, as 0x0.ffffff p-126: rounds up to the smallest normal.
    let (a, b) = (0x3f7f_ffff, MIN_NORMAL);
    assert_eq!(mul::<F32>(a, b, Mode::IEEE), (MIN_NORMAL, UFC | IXC));
    // With an unbounded exponent it is representable, so it is tiny after rounding as well.
    assert_eq!(mul::<F32>(a, b, Mode::TININESS_AFTER), (MIN_NORMAL, UFC | IXC));
    assert_eq!(mul::<F32>(a, b, AH), (MIN_NORMAL, UFC | IXC));
    assert_eq!(mul::<F32>(a, b, FZ), (0, UFC));
    // (1 + 2^-23)(1 - 2^-24) 2^-126 rounds to 2^-126 even with an unbounded exponent.
    let (a, b) = (0x3f7f_fffe, 0x0080_0001);
    let exact = (f32::from_bits(a) as f64) * (f32::from_bits(b) as f64);
    assert!(exact < f32::MIN_POSITIVE as f64);
    assert_eq!(mul::<F32>(a, b, Mode::IEEE), (MIN_NORMAL, UFC | IXC));
    assert_eq!(mul::<F32>(a, b, Mode::TININESS_AFTER), (MIN_NORMAL, IXC));
    assert_eq!(mul::<F32>(a, b, AH), (MIN_NORMAL, IXC));
    // Flushing goes by the same test: before rounding it is tiny, after rounding it is not.
    assert_eq!(mul::<F32>(a, b, FZ), (0, UFC));
    assert_eq!(mul::<F32>(a, b, AH | FZ), (MIN_NORMAL, IXC));
}

#[test]
fn overflow_by_rounding() {
    let rows = [
        (Rounding::TiesEven, INF, INF | 1 << 31),
        (Rounding::TowardPlus, INF, MAX_NORMAL | 1 << 31),
        (Rounding::TowardMinus, MAX_NORMAL, INF | 1 << 31),
        (Rounding::TowardZero, MAX_NORMAL, MAX_NORMAL | 1 << 31),
        (Rounding::TiesAway, INF, INF | 1 << 31),
        (Rounding::ToOdd, MAX_NORMAL, MAX_NORMAL | 1 << 31),
    ];
    for (rounding, positive, negative) in rows {
        let mode = Mode::IEEE.with_rounding(rounding);
        assert_eq!(mul::<F32>(MAX_NORMAL, f(2.0), mode), (positive, OFC | IXC));
        assert_eq!(mul::<F32>(MAX_NORMAL, f(-2.0), mode), (negative, OFC | IXC));
    }
}

#[test]
fn exact_zero_sums() {
    let minus = Mode::IEEE.with_rounding(Rounding::TowardMinus);
    let neg_zero = 1 << 31;
    assert_eq!(sub::<F32>(f(1.0), f(1.0), Mode::IEEE), (0, NONE));
    assert_eq!(sub::<F32>(f(1.0), f(1.0), minus), (neg_zero, NONE));
    assert_eq!(add::<F32>(0, neg_zero, minus), (neg_zero, NONE));
    assert_eq!(add::<F32>(neg_zero, neg_zero, Mode::IEEE), (neg_zero, NONE));
    assert_eq!(mul_add::<F32>(0, neg_zero, f(1.0), minus), (neg_zero, NONE));
    assert_eq!(mul_add::<F32>(f(-6.0), f(2.0), f(3.0), Mode::IEEE), (0, NONE));
}

#[test]
fn minimum_and_maximum() {
    let (zero, neg_zero) = (0u32, 1u32 << 31);
    assert_eq!(max::<F32>(zero, neg_zero, Mode::IEEE), (zero, NONE));
    assert_eq!(min::<F32>(zero, neg_zero, Mode::IEEE), (neg_zero, NONE));
    assert_eq!(max::<F32>(zero, neg_zero, AH), (neg_zero, NONE));
    assert_eq!(min::<F32>(neg_zero, zero, AH), (zero, NONE));
    assert_eq!(max::<F32>(f(1.0), QNAN, Mode::IEEE), (QNAN, NONE));
    assert_eq!(max::<F32>(f(1.0), QNAN, AH), (QNAN, IOC));
    assert_eq!(max::<F32>(SNAN, f(1.0), AH), (f(1.0), IOC));
    assert_eq!(max::<F32>(QNAN, SNAN, AH), (SNAN, IOC));
    assert_eq!(max::<F32>(TINY, 0, FZ), (0, IDC));
    // Under AH, FZ does not flush what max returns, but does flush what maxnum returns.
    assert_eq!(max::<F32>(TINY, 0, AH | FZ), (TINY, IDC));
    assert_eq!(maxnum::<F32>(TINY, 0, AH | FZ), (0, UFC | IXC | IDC));
    assert_eq!(maxnum::<F32>(f(1.0), QNAN, Mode::IEEE), (f(1.0), NONE));
    assert_eq!(maxnum::<F32>(QNAN, f(-1.0), Mode::IEEE), (f(-1.0), NONE));
    assert_eq!(minnum::<F32>(QNAN, QNAN2, Mode::IEEE), (QNAN, NONE));
    assert_eq!(minnum::<F32>(f(1.0), SNAN, Mode::IEEE), (SNAN | 0x40_0000, IOC));
    assert_eq!(minnum::<F32>(QNAN, SNAN, Mode::IEEE), (SNAN | 0x40_0000, IOC));
    // The profile with one canonical NaN.
    assert_eq!(minnum::<F32>(f(1.0), SNAN, Mode::CANONICAL), (f(1.0), IOC));
    assert_eq!(minnum::<F32>(SNAN, QNAN, Mode::CANONICAL), (DEFAULT, IOC));
    assert_eq!(maxnum::<F32>(QNAN2, QNAN, Mode::CANONICAL), (DEFAULT, NONE));
    assert_eq!(minnum::<F32>(zero, neg_zero, Mode::CANONICAL), (neg_zero, NONE));
}

#[test]
fn sign_operations() {
    assert_eq!(neg::<F32>(QNAN, Mode::IEEE), QNAN | 1 << 31);
    assert_eq!(neg::<F32>(QNAN, AH), QNAN);
    assert_eq!(neg::<F32>(f(1.0), AH), f(-1.0));
    assert_eq!(abs::<F32>(QNAN2, Mode::IEEE), QNAN2 & !(1 << 31));
    assert_eq!(abs::<F32>(SNAN2, AH), SNAN2);
    assert_eq!(abs::<F32>(f(-1.0), AH), f(1.0));
    assert!(is_signaling_nan::<F32>(SNAN) && !is_signaling_nan::<F32>(QNAN) && is_nan::<F32>(QNAN));
    assert!(!is_nan::<F32>(INF));
}

#[test]
fn conversions() {
    // NaN payloads are aligned at the top; the sign is kept.
    assert_eq!(convert::<F64, F32>(0xfff8_0000_2000_0001, Mode::IEEE), (0xffc0_0001, NONE));
    assert_eq!(convert::<F32, F64>(SNAN, Mode::IEEE), (0x7ff8_0000_6000_0000, IOC));
    assert_eq!(convert::<F32, F16>(0x7fa0_0000, Mode::IEEE), (0x7f00, IOC));
    assert_eq!(convert::<F32, F64>(QNAN2, DN | AH), (0xfff8_0000_0000_0000, NONE));
    // Half precision is not flushed in conversions, whatever FZ16 says; single is, by FZ.
    assert_eq!(convert::<F16, F32>(1, Mode::FZ16), (0x3380_0000, NONE));
    assert_eq!(convert::<F32, F16>(0x3380_0000, Mode::FZ16 | FZ), (1, NONE));
    assert_eq!(convert::<F32, F64>(TINY, FZ), (0, IDC));
    assert_eq!(convert::<F64, F32>(0x3800_0000_0000_0000, FZ), (0, UFC));
    assert_eq!(convert::<F64, F32>(0x3800_0000_0000_0000, FZ | AH), (0, UFC | IXC));
    // FCVTXN: to odd, and never to infinity.
    let odd = |op: u64| convert_with::<F64, F32>(op, Mode::IEEE, Rounding::ToOdd);
    assert_eq!(odd(0x3ff0_0000_0000_0001), (0x3f80_0001, IXC));
    assert_eq!(odd(0x3ff0_0000_1fff_ffff), (0x3f80_0001, IXC));
    assert_eq!(odd(0x3ff0_0000_2000_0001), (0x3f80_0001, IXC));
    assert_eq!(odd(0x7fef_ffff_ffff_ffff), (MAX_NORMAL, OFC | IXC));
    assert_eq!(odd(1), (1, UFC | IXC));
    // The alternative half precision: no infinities, no NaNs.
    let alternative = Mode::AHP;
    assert_eq!(convert::<F32, F16>(f(65536.0), alternative), (0x7c00, NONE));
    assert_eq!(convert::<F32, F16>(f(131008.0), alternative), (0x7fff, NONE));
    assert_eq!(convert::<F32, F16>(f(131072.0), alternative), (0x7fff, IOC));
    assert_eq!(convert::<F32, F16>(f(131040.0), alternative), (0x7fff, IOC));
    assert_eq!(convert::<F32, F16>(INF | 1 << 31, alternative), (0xffff, IOC));
    assert_eq!(convert::<F32, F16>(QNAN2, alternative), (0x8000, IOC));
    assert_eq!(convert::<F16, F32>(0x7c00, alternative), (f(65536.0), NONE));
    assert_eq!(convert::<F16, F64>(0xffff, alternative).0, (-131008.0f64).to_bits());
    // AHP is for conversions: arithmetic stays IEEE.
    assert_eq!(add::<F16>(0x7c00, 0x3c00, alternative), (0x7c00, NONE));
}

#[test]
fn saturating_conversions() {
    use IntSize::*;
    let rows: &[(f64, bool, IntSize, u32, u64, Flags)] = &[
        (f64::NAN, true, Int32, 0, 0, IOC),
        (f64::INFINITY, true, Int32, 0, 0x7fff_ffff, IOC),
        (f64::NEG_INFINITY, true, Int32, 0, 0x8000_0000, IOC),
        (f64::NEG_INFINITY, false, Int64, 0, 0, IOC),
        (2147483648.0, true, Int32, 0, 0x7fff_ffff, IOC),
        (2147483647.5, true, Int32, 0, 0x7fff_ffff, IXC),
        (-2147483648.5, true, Int32, 0, 0x8000_0000, IXC),
        (-2147483649.0, true, Int32, 0, 0x8000_0000, IOC),
        (-0.5, false, Int32, 0, 0, IXC),
        (-1.0, false, Int32, 0, 0, IOC),
        (-1.0, true, Int64, 0, u64::MAX, NONE),
        (-1.0, true, Int16, 0, 0xffff, NONE),
        (40000.0, true, Int16, 0, 0x7fff, IOC),
        (40000.0, false, Int16, 0, 40000, NONE),
        (9223372036854775808.0, true, Int64, 0, i64::MAX as u64, IOC),
        (-9223372036854775808.0, true, Int64, 0, 1 << 63, NONE),
        (18446744073709551616.0, false, Int64, 0, u64::MAX, IOC),
        (9223372036854775808.0, false, Int64, 0, 1 << 63, NONE),
        (0.5, false, Int64, 64, 1 << 63, NONE),
        (1.0, false, Int64, 64, u64::MAX, IOC),
        (1.75, true, Int32, 1, 3, IXC),
        (1e300, true, Int64, 64, i64::MAX as u64, IOC),
        (1e-300, true, Int64, 64, 0, IXC),
    ];
    for &(value, is_signed, size, fbits, bits, flags) in rows {
        let ours = to_int::<F64>(value.to_bits(), is_signed, size, fbits, Mode::IEEE, Rounding::TowardZero);
        assert_eq!(ours, (bits, flags), "{value} {is_signed} {size:?} {fbits}");
    }
    let nan = f64::NAN.to_bits();
    let canonical = |is_signed, size| to_int::<F64>(nan, is_signed, size, 0, Mode::CANONICAL, Rounding::TowardZero);
    assert_eq!(canonical(true, Int32), (0x7fff_ffff, IOC));
    assert_eq!(canonical(false, Int64), (u64::MAX, IOC));
}

#[test]
fn rounding_to_a_bounded_integer() {
    use IntSize::*;
    let z = |op: u32, size| round_int_n::<F32>(op, Mode::IEEE, Rounding::TowardZero, size);
    assert_eq!(z(f(1.5), Int32), (f(1.0), IXC));
    assert_eq!(z(f(-0.5), Int32), (f(-0.0), IXC));
    assert_eq!(z(f(-0.0), Int32), (f(-0.0), NONE));
    assert_eq!(z(f(2147483648.0), Int32), (f(-2147483648.0), IOC));
    assert_eq!(z(f(-2147483648.0), Int32), (f(-2147483648.0), NONE));
    assert_eq!(z(QNAN, Int64), (f(-9223372036854775808.0), IOC));
    assert_eq!(z(INF, Int32), (f(-2147483648.0), IOC));
    assert_eq!(z(f(-9223372036854775808.0), Int64), (f(-9223372036854775808.0), NONE));
    let d = |op: f64, r| round_int_n::<F64>(op.to_bits(), Mode::IEEE, r, Int32);
    assert_eq!(d(2147483647.5, Rounding::TowardZero), (2147483647.0f64.to_bits(), IXC));
    assert_eq!(d(2147483647.5, Rounding::TiesEven), ((-2147483648.0f64).to_bits(), IOC));
}

#[test]
fn javascript_conversion() {
    let rows: &[(f64, u32, bool, Flags)] = &[
        (0.0, 0, true, NONE),
        (-0.0, 0, false, NONE),
        (1.0, 1, true, NONE),
        (-1.0, u32::MAX, true, NONE),
        (-0.5, 0, false, IXC),
        (1.5, 1, false, IXC),
        (2147483647.0, 0x7fff_ffff, true, NONE),
        (2147483648.0, 0x8000_0000, false, IOC),
        (-2147483648.0, 0x8000_0000, true, NONE),
        (-2147483648.5, 0x8000_0000, false, IXC),
        (-2147483649.0, 0x7fff_ffff, false, IOC),
        (4294967296.0, 0, false, IOC),
        (4294967301.5, 5, false, IOC),
        (-4294967301.5, -5i32 as u32, false, IOC),
        (9007199254740993.0 * 4.0, 0, false, IOC),
        (18446744073709555712.0, 4096, false, IOC),
        (1e300, 0, false, IOC),
        (f64::INFINITY, 0, false, IOC),
        (f64::NAN, 0, false, IOC),
        (f64::MIN_POSITIVE / 2.0, 0, false, IXC),
    ];
    for &(value, bits, z, flags) in rows {
        assert_eq!(to_fixed_js(value.to_bits(), Mode::IEEE), (bits, z, flags), "{value}");
    }
    assert_eq!(to_fixed_js(1, FZ), (0, false, IDC));
    // ECMAScript's ToInt32, in integers.
    let mut random = Random::new("javascript_conversion", 7);
    for _ in 0..200_000 {
        let bits = random.operand::<F64>();
        let value = f64::from_bits(bits);
        let expected = if value.abs() < 2f64.powi(120) { value as i128 as u32 } else { 0 };
        let (result, z, _) = to_fixed_js(bits, Mode::IEEE);
        assert_eq!(result, expected, "{value:e}");
        assert_eq!(z, (result as i32 as f64).to_bits() == bits, "{value:e}");
    }
}

#[test]
fn scaling_and_exponents() {
    assert_eq!(scale::<F32>(f(1.5), 3, Mode::IEEE), (f(12.0), NONE));
    assert_eq!(scale::<F32>(f(1.0), i64::MAX, Mode::IEEE), (INF, OFC | IXC));
    assert_eq!(scale::<F64>(1, i64::MIN, Mode::IEEE), (0, UFC | IXC));
    assert_eq!(scale::<F32>(SNAN, 1, Mode::IEEE), (SNAN | 0x40_0000, IOC));
    assert_eq!(scale::<F32>(TINY, 149, Mode::IEEE), (f(1.0), NONE));
    assert_eq!(logb::<F32>(f(0.75), Mode::IEEE), (-1, NONE));
    assert_eq!(logb::<F32>(TINY, Mode::IEEE), (-149, NONE));
    assert_eq!(logb::<F32>(TINY, FZ), (i32::MIN as i64, IOC | IDC));
    assert_eq!(logb::<F32>(INF | 1 << 31, Mode::IEEE), (i32::MAX as i64, NONE));
    assert_eq!(logb::<F16>(0x7e00, Mode::IEEE), (i16::MIN as i64, IOC));
    assert_eq!(logb::<F64>(0, Mode::IEEE), (i64::MIN, IOC));
}

#[test]
fn widening_multiply_add() {
    let mut random = Random::new("widening_multiply_add", 8);
    for i in 0..500_000u32 {
        let rounding = Rounding::ALL[i as usize % 6];
        let mode = Mode::IEEE.with_rounding(rounding);
        let (a, b) = (random.operand::<F16>() as u16, random.operand::<F16>() as u16);
        let wide = |x| convert::<F16, F32>(x, Mode::IEEE).0;
        let product = mul::<F32>(wide(a), wide(b), Mode::IEEE).0;
        let c = random.near::<F32>(product as u64) as u32;
        let (bits, flags) = mul_add_h(c, a, b, mode);
        // Half precision widens exactly, so the single-precision operation must agree; but a
        // widened signaling NaN has become quiet.
        if !is_nan::<F16>(a) && !is_nan::<F16>(b) {
            let expected = mul_add::<F32>(c, wide(a), wide(b), mode);
            assert_eq!((bits, flags), expected, "{c:x} + {a:x} * {b:x} {mode:?}");
        } else {
            assert!(is_nan::<F32>(bits));
        }
    }
    assert_eq!(mul_add_h(f(1.0), 0x7d01, 0x7e02, Mode::IEEE), (0x7fe0_2000, IOC));
    assert_eq!(mul_add_h(QNAN, 0x7e02, 0x3c00, AH), (0x7fc0_4000, NONE));
    assert_eq!(mul_add_h(QNAN, 0x7c00, 0, Mode::IEEE), (DEFAULT, IOC));
    // FZ16 flushes the halves silently, FZ the addend with InputDenormal.
    assert_eq!(mul_add_h(f(1.0), 1, 0x3c00, Mode::FZ16), (f(1.0), NONE));
    assert_eq!(mul_add_h(TINY, 0, 0, FZ), (0, IDC));
    assert_eq!(mul_add_h(TINY, 0, 1, AH), (TINY, IDC));
    assert_eq!(mul_add_h(TINY, 0x7c00, 0, AH), (NEG_DEFAULT, IOC));
    assert_eq!(mul_add_h(f(1.0), 1, 1, AH), (f(1.0), IXC));
}

#[test]
fn bfloat16_conversion() {
    let mut random = Random::new("bfloat16_conversion", 9);
    for _ in 0..500_000 {
        let op = random.operand::<F32>() as u32;
        let exp = op >> 23 & 0xff;
        let (bits, flags) = bf_convert(op, Mode::IEEE);
        if exp == 0xff && op & 0x7f_ffff != 0 {
            assert_eq!(bits, (op >> 16) as u16 | 0x40);
            assert_eq!(flags, if op & 0x40_0000 == 0 { IOC } else { NONE });
        } else {
            let rounded = (op + 0x7fff + (op >> 16 & 1)) >> 16;
            assert_eq!(bits as u32, rounded, "{op:x}");
            assert_eq!(flags.contains(IXC), op & 0xffff != 0);
        }
        // Under AH it is always to nearest, flushed, and silent.
        let (alternate, flags) = bf_convert(op, AH.with_rounding(Rounding::TowardZero));
        assert_eq!(flags, NONE);
        let expected = if exp == 0 { bits & 0x8000 } else { bits };
        assert_eq!(alternate, expected, "{op:x}");
    }
    assert_eq!(bf_convert(TINY, FZ), (0, IDC));
    assert_eq!(bf_convert(QNAN, DN | AH), (0xffc0, NONE));
    assert_eq!(bf_convert(0x3f80_ffff, Mode::IEEE.with_rounding(Rounding::TowardZero)), (0x3f80, IXC));
}

#[test]
fn bfloat16_multiply_add() {
    assert_eq!(bf_mul_add(f(1.0), 0x4000, 0x4040, Mode::IEEE), (f(7.0), NONE));
    assert_eq!(bf_mul_add(f(1.0), 0x4000, 0x4040, AH), (f(7.0), NONE));
    assert_eq!(bf_mul_add(TINY, 0, 0, AH), (0, NONE));
    assert_eq!(bf_mul_add(SNAN, 0, 0, AH), (SNAN | 0x40_0000, NONE));
    assert_eq!(bf_mul_add(SNAN, 0, 0, Mode::IEEE), (SNAN | 0x40_0000, IOC));
}

/// One bfloat16 or single-precision sum the long way: to odd in double, then to odd in single.
fn odd_sum(a: u32, b: u32) -> u32 {
    let flush = |x: u32| {
        if x & 0x7f80_0000 == 0 { x & 0x8000_0000 } else { x }
    };
    let odd = Mode::IEEE.with_rounding(Rounding::ToOdd);
    let wide = |x| convert::<F32, F64>(flush(x), Mode::IEEE).0;
    let sum = add::<F64>(wide(a), wide(b), odd).0;
    odd_single(sum)
}

/// BFRound of a double: to odd, small flushed, large infinite, a NaN the default one.
fn odd_single(value: u64) -> u32 {
    let sign = (value >> 32) as u32 & 0x8000_0000;
    let magnitude = f64::from_bits(value).abs();
    if magnitude.is_nan() {
        DEFAULT
    } else if magnitude < f32::MIN_POSITIVE as f64 {
        sign
    } else if magnitude >= 2f64.powi(128) {
        sign | INF
    } else {
        convert_with::<F64, F32>(value, Mode::IEEE, Rounding::ToOdd).0
    }
}

#[test]
fn bfloat16_dot_products() {
    let mut random = Random::new("bfloat16_dot_products", 10);
    let flush = |x: u16| if x & 0x7f80 == 0 { x & 0x8000 } else { x };
    let wide = |x: u16| f32::from_bits((flush(x) as u32) << 16) as f64;
    for _ in 0..500_000 {
        let mut any = || random.operand::<BF16>() as u16;
        let (a, b) = ([any(), any()], [any(), any()]);
        // 16-bit products are exact in double precision.
        let product = |i: usize| odd_single((wide(a[i]) * wide(b[i])).to_bits());
        let c = random.near::<F32>(product(0) as u64) as u32;
        let expected = odd_sum(c, odd_sum(product(0), product(1)));
        for mode in [Mode::IEEE, FZ.with_rounding(Rounding::TowardPlus), DN] {
            assert_eq!(bf_dot_add(c, a, b, mode), expected, "{c:x} + {a:x?} . {b:x?}");
        }
    }
    // EBF: one rounding of both products together. 2^8 * 2^8 + 2^-8 * 2^-8 needs 33 bits, so it
    // rounds to 2^16, and the addend takes it away.
    let (big, small) = (0x4380, 0x3b80);
    let minus = f(-65536.0);
    assert_eq!(bf_dot_add(minus, [big, small], [big, small], Mode::EBF), 0);
    // To odd, the first sum keeps a trace, here one unit at 2^-7.
    assert_eq!(bf_dot_add(minus, [big, small], [big, small], Mode::IEEE), f(0.0078125));
    let up = Mode::EBF.with_rounding(Rounding::TowardPlus);
    assert_eq!(bf_dot_add(minus, [big, small], [big, small], up), f(0.0078125));
    assert_eq!(bf_dot_add(SNAN2, [0, 0], [0, 0], Mode::EBF), DEFAULT);
    assert_eq!(bf_dot_add(0, [0x7f80, 0], [0, 0], Mode::EBF | AH), NEG_DEFAULT);
    assert_eq!(bf_dot_add(0, [0x7f80, 0], [0, 0], AH), NEG_DEFAULT);
}

#[test]
fn half_dot_products() {
    let mut random = Random::new("half_dot_products", 11);
    for _ in 0..500_000 {
        let mut finite = || {
            let x = random.operand::<F16>() as u16;
            if x & 0x7c00 == 0x7c00 { x ^ 0x4000 } else { x }
        };
        let (a, b) = ([finite(), finite()], [finite(), finite()]);
        // Exact in units of 2^-48; Rust's own integer conversion rounds it to nearest.
        let units = |x: u16| {
            let exp = (x >> 10 & 31) as i128;
            let frac = (x & 0x3ff) as i128;
            let magnitude = if exp == 0 { frac } else { (1024 + frac) << (exp - 1) };
            if x >> 15 == 1 { -magnitude } else { magnitude }
        };
        let exact = units(a[0]) * units(b[0]) + units(a[1]) * units(b[1]);
        let dot = exact as f32 * 2f32.powi(-48);
        let c = (random.operand::<F32>() & 0xbfff_ffff) as u32;
        let (bits, _) = half_dot_add(c, a, b, Mode::IEEE);
        assert_eq!(f32::from_bits(bits), f32::from_bits(c) + dot, "{c:x} + {a:x?} . {b:x?}");
    }
    assert_eq!(half_dot_add(0, [0x7e01, 0x7d02], [0, 0], Mode::IEEE), (0x7fe0_4000, IOC));
    assert_eq!(half_dot_add(0, [0x7c00, 0xfc00], [0x3c00, 0x3c00], Mode::IEEE), (DEFAULT, IOC));
}
