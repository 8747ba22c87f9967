//! Integers: rounding to an integral value (FPRoundInt, FPRoundIntN), conversion to and from fixed
//! point (FPToFixed, FixedToFP, FPToFixedJS), and the exponent as an integer (FPScale, FLOGB).

use crate::format::{F64, Format, infinity, signed, zero};
use crate::mode::{Flags, Mode, Rounding};
use crate::nan::process_nan;
use crate::round::{round_pack, rounds_up};
use crate::unpack::{Class, Unpacked, is_denormal, note_denormal, unpack};

/// The width of a converted integer, in bits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum IntSize {
    /// 16 bits.
    Int16 = 16,
    /// 32 bits.
    Int32 = 32,
    /// 64 bits.
    Int64 = 64,
}

impl IntSize {
    #[inline]
    fn mask(self) -> u64 {
        u64::MAX >> (64 - self as u32)
    }
}

/// A finite number's magnitude times `2^fbits`, rounded to an integer, and whether that was exact;
/// `None` if it has more than 64 bits before rounding. ToOdd does not occur here and truncates.
#[inline]
fn integer(x: Unpacked, fbits: u32, rounding: Rounding) -> Option<(u128, bool)> {
    let exp = x.exp.saturating_add(fbits as i32);
    if exp > 63 {
        return None;
    }
    // `sig` split at the binary point: the integer, and the fraction as 64 bits with a sticky end.
    let (whole, fraction) = match exp {
        63 => (x.sig, 0),
        0..63 => (x.sig >> (63 - exp), x.sig << (exp + 1)),
        -1 => (0, x.sig),
        _ => (0, 1),
    };
    let up = rounds_up(rounding, x.sign, whole & 1 != 0, fraction, 1 << 63);
    Some((whole as u128 + up as u128, fraction == 0))
}

/// An integer magnitude, which the format holds exactly, as a number.
fn pack_integer<F: Format>(sign: bool, magnitude: u64, mode: Mode) -> u64 {
    if magnitude == 0 {
        return zero::<F>(sign);
    }
    let shift = magnitude.leading_zeros();
    let exp = 63 - shift as i32;
    let mut none = Flags::NONE; // exact, so it stays empty
    round_pack::<F>(sign, exp, magnitude << shift, mode, Rounding::TowardZero, &mut none)
}

/// FPRoundInt: rounds to an integral value in the same format. Raises Inexact only if `exact`
/// (FRINTX and FRINTI differ in this alone).
pub fn round_to_int<F: Format>(op: F::Bits, mode: Mode, rounding: Rounding, exact: bool) -> (F::Bits, Flags) {
    let op = F::widen(op);
    let mut flags = Flags::NONE;
    let x = unpack::<F>(op, mode, &mut flags);
    let bits = match x.class {
        Class::QuietNan | Class::SignalingNan => process_nan::<F>(x, op, mode, &mut flags),
        Class::Infinity => infinity::<F>(x.sign),
        Class::Zero => zero::<F>(x.sign),
        Class::Normal | Class::Denormal if x.exp >= F::FRAC_BITS as i32 => op,
        Class::Normal | Class::Denormal => {
            let (magnitude, is_exact) = integer(x, 0, rounding).unwrap_or((0, true));
            if exact && !is_exact {
                flags |= Flags::INEXACT;
            }
            pack_integer::<F>(x.sign, magnitude as u64, mode)
        }
    };
    (F::narrow(bits), flags)
}

/// FPRoundIntN (FRINT32Z and kin): rounds to an integral value that fits a signed integer of 32 or
/// 64 bits; anything else gives the most negative such integer and Invalid.
pub fn round_int_n<F: Format>(op: F::Bits, mode: Mode, rounding: Rounding, size: IntSize) -> (F::Bits, Flags) {
    let op = F::widen(op);
    let mut flags = Flags::NONE;
    let x = unpack::<F>(op, mode, &mut flags);
    let limit = 1u128 << (size as u32 - 1);
    let rounded = match x.class {
        Class::Zero => return (F::narrow(zero::<F>(x.sign)), flags),
        Class::Normal | Class::Denormal => integer(x, 0, rounding),
        _ => None,
    };
    let bits = match rounded {
        Some((magnitude, exact)) if magnitude < limit + x.sign as u128 => {
            if !exact {
                flags |= Flags::INEXACT;
            }
            pack_integer::<F>(x.sign, magnitude as u64, mode)
        }
        _ => {
            flags |= Flags::INVALID;
            let exp = (F::BIAS + size as i32 - 1) as u64;
            signed::<F>(true, exp << F::FRAC_BITS)
        }
    };
    (F::narrow(bits), flags)
}

/// FPToFixed: `op * 2^fbits` as a saturated integer of `size`, zero-extended to 64 bits.
///
/// Out of range raises Invalid alone. A NaN is Invalid and gives zero or, under
/// [`Mode::NAN_TO_MAX`], the largest integer.
pub fn to_int<F: Format>(op: F::Bits, is_signed: bool, size: IntSize, fbits: u32, mode: Mode, rounding: Rounding) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(F::widen(op), mode, &mut flags);
    let top = 1u128 << (size as u32 - is_signed as u32);
    let max = (top - 1) as u64;
    // The magnitude of the most negative integer.
    let min = if is_signed { top } else { 0 };
    let rounded = match x.class {
        Class::Zero => return (0, flags),
        Class::Normal | Class::Denormal => integer(x, fbits, rounding),
        Class::Infinity => None,
        Class::QuietNan | Class::SignalingNan => {
            flags |= Flags::INVALID;
            return (if mode.contains(Mode::NAN_TO_MAX) { max } else { 0 }, flags);
        }
    };
    if let Some((magnitude, exact)) = rounded {
        let fits = if x.sign { magnitude <= min } else { magnitude < top };
        if fits {
            if !exact {
                flags |= Flags::INEXACT;
            }
            let magnitude = magnitude as u64;
            let value = if x.sign { magnitude.wrapping_neg() } else { magnitude };
            return (value & size.mask(), flags);
        }
    }
    flags |= Flags::INVALID;
    (if x.sign { (min as u64).wrapping_neg() & size.mask() } else { max }, flags)
}

/// FPToFixedJS (FJCVTZS): a double truncated to 32 bits modulo 2^32, and the Z flag, which says
/// that the result is the operand's value exactly (so not for -0).
pub fn to_fixed_js(op: u64, mode: Mode) -> (u32, bool, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F64>(op, mode, &mut flags);
    match x.class {
        Class::QuietNan | Class::SignalingNan | Class::Infinity => {
            return (0, false, flags | Flags::INVALID);
        }
        // A denormal that was flushed has a fraction, so it was not exact either.
        Class::Zero => return (0, op == 0, flags),
        Class::Normal | Class::Denormal => {}
    }
    let (low, in_range, exact) = match integer(x, 0, Rounding::TowardZero) {
        Some((magnitude, exact)) => {
            let limit = (1 << 31) - !x.sign as u128;
            (magnitude as u32, magnitude <= limit, exact)
        }
        None => {
            let shift = (x.exp - 63) as u32;
            (x.sig.checked_shl(shift).unwrap_or(0) as u32, false, true)
        }
    };
    if !in_range {
        flags |= Flags::INVALID;
    } else if !exact {
        flags |= Flags::INEXACT;
    }
    // -0.5 truncates to -0, inexactly; an exact -0 was a Zero above.
    let result = if x.sign { low.wrapping_neg() } else { low };
    (result, in_range && exact, flags)
}

/// FixedToFP of a signed integer (narrower ones sign-extended): `value / 2^fbits`.
pub fn from_i64<F: Format>(value: i64, fbits: u32, mode: Mode, rounding: Rounding) -> (F::Bits, Flags) {
    from_magnitude::<F>(value < 0, value.unsigned_abs(), fbits, mode, rounding)
}

/// FixedToFP of an unsigned integer (narrower ones zero-extended): `value / 2^fbits`.
pub fn from_u64<F: Format>(value: u64, fbits: u32, mode: Mode, rounding: Rounding) -> (F::Bits, Flags) {
    from_magnitude::<F>(false, value, fbits, mode, rounding)
}

fn from_magnitude<F: Format>(sign: bool, magnitude: u64, fbits: u32, mode: Mode, rounding: Rounding) -> (F::Bits, Flags) {
    let mut flags = Flags::NONE;
    if magnitude == 0 {
        return (F::narrow(0), flags);
    }
    let shift = magnitude.leading_zeros();
    let exp = 63 - shift as i32 - fbits.min(1 << 20) as i32;
    // All 64 bits may be significant, so the lowest is not sticky: it is exact.
    let bits = round_pack::<F>(sign, exp, magnitude << shift, mode, rounding, &mut flags);
    (F::narrow(bits), flags)
}

/// FPScale: `op * 2^scale`.
pub fn scale<F: Format>(op: F::Bits, scale: i64, mode: Mode) -> (F::Bits, Flags) {
    let op = F::widen(op);
    let mut flags = Flags::NONE;
    let x = unpack::<F>(op, mode, &mut flags);
    let bits = match x.class {
        Class::QuietNan | Class::SignalingNan => process_nan::<F>(x, op, mode, &mut flags),
        Class::Infinity => infinity::<F>(x.sign),
        Class::Zero => zero::<F>(x.sign),
        Class::Normal | Class::Denormal => {
            note_denormal::<F>(is_denormal(x), mode, &mut flags);
            let exp = x.exp + scale.clamp(-8192, 8192) as i32;
            round_pack::<F>(x.sign, exp, x.sig, mode, mode.rounding(), &mut flags)
        }
    };
    (F::narrow(bits), flags)
}

/// FLOGB: the exponent of the number as if normalised. Zero and NaN are Invalid and give the most
/// negative integer of the format's width, infinity the most positive one.
pub fn logb<F: Format>(op: F::Bits, mode: Mode) -> (i64, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(F::widen(op), mode, &mut flags);
    let most_negative = (F::SIGN_BIT as i64).wrapping_neg();
    let result = match x.class {
        Class::Normal | Class::Denormal => {
            note_denormal::<F>(is_denormal(x), mode, &mut flags);
            x.exp as i64
        }
        Class::Infinity => (F::SIGN_BIT - 1) as i64,
        _ => {
            flags |= Flags::INVALID;
            most_negative
        }
    };
    (result, flags)
}
