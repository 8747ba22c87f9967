//! Multiplication (FPMul, FPMulX).

use crate::format::{Format, infinity, signed, zero};
use crate::mode::{Flags, Mode};
use crate::nan::{invalid, process_nans};
use crate::round::{high_sticky, round_pack};
use crate::unpack::{Unpacked, is_denormal, note_denormal, unpack};

/// FPMul: `a * b`.
#[inline]
pub fn mul<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let (bits, flags) = product::<F, false>(F::widen(a), F::widen(b), mode);
    (F::narrow(bits), flags)
}

/// FPMulX: as [`mul`], but zero times infinity is two, with the product's sign.
#[inline]
pub fn mulx<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let (bits, flags) = product::<F, true>(F::widen(a), F::widen(b), mode);
    (F::narrow(bits), flags)
}

fn product<F: Format, const EXTENDED: bool>(a: u64, b: u64, mode: Mode) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(a, mode, &mut flags);
    let y = unpack::<F>(b, mode, &mut flags);
    let sign = x.sign ^ y.sign;
    let bits = if x.is_finite() && y.is_finite() {
        let (exp, sig) = exact_product(x, y);
        round_pack::<F>(sign, exp, high_sticky(sig), mode, mode.rounding(), &mut flags)
    } else if x.is_nan() || y.is_nan() {
        return (process_nans::<F>([x, y], [a, b], mode, &mut flags), flags);
    } else if x.is_inf() || y.is_inf() {
        if !x.is_zero() && !y.is_zero() {
            infinity::<F>(sign)
        } else if EXTENDED {
            two::<F>(sign)
        } else {
            invalid::<F>(mode, &mut flags)
        }
    } else {
        zero::<F>(sign)
    };
    note_denormal::<F>(is_denormal(x) || is_denormal(y), mode, &mut flags);
    (bits, flags)
}

/// FPTwo.
pub(crate) fn two<F: Format>(sign: bool) -> u64 {
    signed::<F>(sign, (F::BIAS as u64 + 1) << F::FRAC_BITS)
}

/// Exponent and significand (top bit of 128 set) of the product of two finite non-zero numbers.
#[inline(always)]
pub(crate) fn exact_product(x: Unpacked, y: Unpacked) -> (i32, u128) {
    let product = x.sig as u128 * y.sig as u128;
    let shift = product.leading_zeros();
    (x.exp + y.exp + 1 - shift as i32, product << shift)
}
