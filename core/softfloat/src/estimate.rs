//! Reciprocal estimates and Newton steps (FPRecipEstimate, FPRSqrtEstimate, FPRecpX,
//! FPRecipStepFused, FPRSqrtStepFused, and the unsigned integer estimates).
//!
//! Under AH these flush denormals at both ends, round to nearest and raise nothing.

use crate::format::{F16, F32, Format, infinity, max_normal, signed, zero};
use crate::mode::{Flags, Mode, Rounding};
use crate::mul::two;
use crate::muladd::fused;
use crate::nan::{default_nan_bits, neg_bits, process_nan, process_nans};
use crate::unpack::{Class, Unpacked, unpack};

/// RecipEstimate: about `2^17 / a` for `a` in 256..512, a result in 256..512; with `precise`,
/// about `2^24 / a` for `a` in 2048..4096, a result in 4096..8192.
fn reciprocal_of(a: u32, precise: bool) -> u32 {
    let numerator: u32 = if precise { 1 << 26 } else { 1 << 19 };
    // The midpoint of the input's interval, as an odd number; then rounded to nearest.
    (numerator / (2 * a + 1)).div_ceil(2)
}

/// RecipSqrtEstimate: for `a` in 128..512 a result in 256..512; with `precise`, for `a` in
/// 1024..4096 a result in 4096..8192.
fn reciprocal_root_of(a: u32, precise: bool) -> u32 {
    let middle = if precise { 2048 } else { 256 };
    // Numbers of the upper octave come in pairs: the precision halves with the even exponent.
    let a = if a < middle { 2 * a + 1 } else { (a & !1) * 2 + 2 };
    let limit: u64 = if precise { 1 << 39 } else { 1 << 28 };
    // The largest b with a * b * b below the limit.
    let b = ((limit - 1) / a as u64).isqrt() as u32;
    b.div_ceil(2)
}

/// Whether single-precision estimates have 12 bits.
fn is_precise<F: Format>(mode: Mode) -> bool {
    F::FRAC_BITS == F32::FRAC_BITS && mode.contains(Mode::AH | Mode::RPRES)
}

/// FPRecipEstimate (FRECPE): about `1 / op`, to 8 bits, or to 12 under AH with RPRES.
pub fn recip_estimate<F: Format>(op: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let (bits, flags) = recip_estimate_bits::<F>(F::widen(op), mode.estimate_mode());
    (F::narrow(bits), mode.estimate_flags(flags))
}

fn recip_estimate_bits<F: Format>(op: u64, mode: Mode) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(op, mode, &mut flags);
    let bits = match x.class {
        Class::QuietNan | Class::SignalingNan => process_nan::<F>(x, op, mode, &mut flags),
        Class::Infinity => zero::<F>(x.sign),
        Class::Zero => {
            flags |= Flags::DIVZERO;
            infinity::<F>(x.sign)
        }
        // The reciprocal of less than 2^-(bias + 1) overflows.
        _ if x.exp < -F::BIAS - 1 => {
            flags |= Flags::OVERFLOW | Flags::INEXACT;
            let to_infinity = match mode.rounding() {
                Rounding::TowardPlus => !x.sign,
                Rounding::TowardMinus => x.sign,
                Rounding::TowardZero | Rounding::ToOdd => false,
                Rounding::TiesEven | Rounding::TiesAway => true,
            };
            if to_infinity { infinity::<F>(x.sign) } else { max_normal::<F>(x.sign) }
        }
        // The reciprocal of 2^(bias - 1) or more is a denormal.
        _ if x.exp >= F::BIAS - 1 && mode.contains(if F::HALF { Mode::FZ16 } else { Mode::FZ }) => {
            flags |= Flags::UNDERFLOW;
            zero::<F>(x.sign)
        }
        Class::Normal | Class::Denormal => {
            let precise = is_precise::<F>(mode);
            let bits = if precise { 12 } else { 9 };
            let estimate = reciprocal_of((x.sig >> (64 - bits)) as u32, precise);
            // The estimate is in [1, 2) with 8 or 12 fraction bits; its exponent is one less than
            // the negated operand's. Align to the format's fraction, the implied bit on top.
            let fraction_bits = if precise { 12 } else { 8 };
            let exp = F::BIAS - 1 - x.exp;
            place::<F>(x.sign, exp, estimate, fraction_bits)
        }
    };
    (bits, flags)
}

/// An estimate with its implied bit, at a biased exponent that may be down to -1: a denormal then.
fn place<F: Format>(sign: bool, biased: i32, estimate: u32, fraction_bits: u32) -> u64 {
    let aligned = (estimate as u64) << (52 - fraction_bits);
    let below = 52 - F::FRAC_BITS;
    let magnitude = if biased > 0 { (((biased - 1) as u64) << F::FRAC_BITS) + (aligned >> below) } else { aligned >> (1 - biased) as u32 >> below };
    signed::<F>(sign, magnitude)
}

/// FPRSqrtEstimate (FRSQRTE): about `1 / sqrt(op)`, to 8 bits, or to 12 under AH with RPRES.
pub fn rsqrt_estimate<F: Format>(op: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let (bits, flags) = rsqrt_estimate_bits::<F>(F::widen(op), mode.estimate_mode());
    (F::narrow(bits), mode.estimate_flags(flags))
}

fn rsqrt_estimate_bits<F: Format>(op: u64, mode: Mode) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(op, mode, &mut flags);
    let bits = match x.class {
        Class::QuietNan | Class::SignalingNan => process_nan::<F>(x, op, mode, &mut flags),
        Class::Zero => {
            flags |= Flags::DIVZERO;
            infinity::<F>(x.sign)
        }
        _ if x.sign => {
            flags |= Flags::INVALID;
            default_nan_bits::<F>(mode)
        }
        Class::Infinity => zero::<F>(false),
        Class::Normal | Class::Denormal => {
            let precise = is_precise::<F>(mode);
            let biased = x.exp + F::BIAS;
            // An odd biased exponent (an even true one) takes the lower octave of the table.
            let bits = if precise { 12 } else { 9 } - (biased & 1) as u32;
            let estimate = reciprocal_root_of((x.sig >> (64 - bits)) as u32, precise);
            let exp = (3 * F::BIAS - 1 - biased).div_euclid(2);
            place::<F>(false, exp, estimate, if precise { 12 } else { 8 })
        }
    };
    (bits, flags)
}

/// FPRecpX (FRECPX): the power of two with the complemented exponent field, for scaling a division.
pub fn recpx<F: Format>(op: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let op = F::widen(op);
    let estimate_mode = mode.estimate_mode();
    let mut flags = Flags::NONE;
    let x = unpack::<F>(op, estimate_mode, &mut flags);
    let bits = if x.is_nan() {
        process_nan::<F>(x, op, estimate_mode, &mut flags)
    } else {
        let exp = op >> F::FRAC_BITS & F::EXP_MAX;
        let flipped = if exp == 0 { F::EXP_MAX - 1 } else { exp ^ F::EXP_MAX };
        signed::<F>(x.sign, flipped << F::FRAC_BITS)
    };
    (F::narrow(bits), mode.estimate_flags(flags))
}

/// FPRecipStepFused (FRECPS): `2 - a * b`, rounded once.
pub fn recip_step<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    step::<F, false>(a, b, mode)
}

/// FPRSqrtStepFused (FRSQRTS): `(3 - a * b) / 2`, rounded once.
pub fn rsqrt_step<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    step::<F, true>(a, b, mode)
}

fn step<F: Format, const SQRT: bool>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let estimate_mode = mode.estimate_mode();
    let bits = [neg_bits::<F>(F::widen(a), mode), F::widen(b)];
    let mut flags = Flags::NONE;
    let x = unpack::<F>(bits[0], estimate_mode, &mut flags);
    let y = unpack::<F>(bits[1], estimate_mode, &mut flags);
    let result = if x.is_nan() || y.is_nan() {
        process_nans::<F>([x, y], bits, estimate_mode, &mut flags)
    } else if (x.is_inf() && y.is_zero()) || (x.is_zero() && y.is_inf()) {
        if SQRT { one_point_five::<F>() } else { two::<F>(false) }
    } else {
        // Halving is exact in the common form, so it is done to the operands: 1.5 + (a / 2) * b.
        let constant = if SQRT {
            Unpacked { class: Class::Normal, sign: false, exp: 0, sig: 3 << 62 }
        } else {
            Unpacked { class: Class::Normal, sign: false, exp: 1, sig: 1 << 63 }
        };
        let x = if SQRT && x.is_finite() { Unpacked { exp: x.exp - 1, ..x } } else { x };
        let rounding = estimate_mode.rounding();
        fused::<F>(constant, x, y, estimate_mode, rounding, &mut flags).0
    };
    (F::narrow(result), mode.estimate_flags(flags))
}

/// FPOnePointFive.
fn one_point_five<F: Format>() -> u64 {
    (F::BIAS as u64) << F::FRAC_BITS | F::QUIET_BIT
}

/// UnsignedRecipEstimate (URECPE): the operand is a fixed-point number in [0, 1).
pub fn unsigned_recip_estimate(op: u32) -> u32 {
    if op >> 31 == 0 { u32::MAX } else { reciprocal_of(op >> 23, false) << 23 }
}

/// UnsignedRSqrtEstimate (URSQRTE): the operand is a fixed-point number in [0, 1).
pub fn unsigned_rsqrt_estimate(op: u32) -> u32 {
    if op >> 30 == 0 { u32::MAX } else { reciprocal_root_of(op >> 23, false) << 23 }
}

const _: () = assert!(F16::FRAC_BITS >= 8, "an 8-bit estimate must fit the narrowest fraction");
