//! Addition and subtraction (FPAdd, FPSub).

use crate::format::{Format, infinity, zero};
use crate::mode::{Flags, Mode, Rounding};
use crate::nan::{invalid, process_nans};
use crate::round::{round_pack, shift_right_sticky};
use crate::unpack::{Unpacked, is_denormal, note_denormal, unpack};

/// FPAdd: `a + b`.
#[inline]
pub fn add<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let (bits, flags) = add_sub::<F, false>(F::widen(a), F::widen(b), mode);
    (F::narrow(bits), flags)
}

/// FPSub: `a - b`. A NaN operand keeps its sign.
#[inline]
pub fn sub<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let (bits, flags) = add_sub::<F, true>(F::widen(a), F::widen(b), mode);
    (F::narrow(bits), flags)
}

fn add_sub<F: Format, const SUB: bool>(a: u64, b: u64, mode: Mode) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(a, mode, &mut flags);
    let y = unpack::<F>(b, mode, &mut flags);
    if x.is_nan() || y.is_nan() {
        return (process_nans::<F>([x, y], [a, b], mode, &mut flags), flags);
    }
    let y = y.flipped(SUB);
    let bits = sum::<F>(x, y, mode, mode.rounding(), &mut flags);
    note_denormal::<F>(is_denormal(x) || is_denormal(y), mode, &mut flags);
    (bits, flags)
}

/// The sum of two operands that are not NaNs, rounded.
#[inline(always)]
pub(crate) fn sum<F: Format>(x: Unpacked, y: Unpacked, mode: Mode, rounding: Rounding, flags: &mut Flags) -> u64 {
    if x.is_finite() && y.is_finite() {
        return match exact_sum(x.sign, x.exp, x.sig, y.sign, y.exp, y.sig) {
            Some((sign, exp, sig)) => round_pack::<F>(sign, exp, sig, mode, rounding, flags),
            None => zero::<F>(zero_sum_sign(rounding)),
        };
    }
    if x.is_inf() || y.is_inf() {
        return if x.is_inf() && y.is_inf() && x.sign != y.sign {
            invalid::<F>(mode, flags)
        } else {
            infinity::<F>(if x.is_inf() { x.sign } else { y.sign })
        };
    }
    if x.is_zero() && y.is_zero() {
        let sign = if x.sign == y.sign { x.sign } else { zero_sum_sign(rounding) };
        return zero::<F>(sign);
    }
    // A lone operand is rounded again: under AH a denormal may come in and still be flushed here.
    let lone = if x.is_zero() { y } else { x };
    round_pack::<F>(lone.sign, lone.exp, lone.sig, mode, rounding, flags)
}

/// The sign of an exact zero sum of numbers of opposite signs.
#[inline(always)]
pub(crate) fn zero_sum_sign(rounding: Rounding) -> bool {
    rounding == Rounding::TowardMinus
}

/// Sign, exponent and sticky significand of the sum of two non-zero numbers; `None` if it is zero.
/// The significands must have at least three zero bits at the bottom.
#[inline(always)]
pub(crate) fn exact_sum(x_sign: bool, x_exp: i32, x_sig: u64, y_sign: bool, y_exp: i32, y_sig: u64) -> Option<(bool, i32, u64)> {
    let swap = x_exp < y_exp || (x_exp == y_exp && x_sig < y_sig);
    let (sign, exp, big) = if swap { (y_sign, y_exp, y_sig) } else { (x_sign, x_exp, x_sig) };
    let small = if swap { x_sig } else { y_sig };
    let distance = x_exp.abs_diff(y_exp);
    // One bit of headroom for the carry; the zero bits below become guard bits, so that a sticky
    // bit is far enough down to survive the one-place normalisation it can meet.
    let big = big >> 1;
    let small = shift_right_sticky(small >> 1, distance);
    let total = if x_sign == y_sign { big + small } else { big - small };
    if total == 0 {
        return None;
    }
    let shift = total.leading_zeros();
    Some((sign, exp + 1 - shift as i32, total << shift))
}
