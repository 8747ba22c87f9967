//! From an exact (or sticky) result to bits: FPRoundBase.

use crate::format::{Format, infinity, max_normal, signed, zero};
use crate::mode::{Flags, Mode, Rounding};

/// Shift right; if a one is lost, the lowest bit of the result is set.
#[inline(always)]
pub(crate) fn shift_right_sticky(value: u64, distance: u32) -> u64 {
    if distance < 64 {
        // Masking keeps the left shift defined at distance 0, where nothing is lost.
        let lost = if distance == 0 { 0 } else { value << (64 - distance) };
        value >> distance | (lost != 0) as u64
    } else {
        (value != 0) as u64
    }
}

/// The same for 128 bits.
#[inline(always)]
pub(crate) fn shift_right_sticky_u128(value: u128, distance: u32) -> u128 {
    if distance < 128 {
        let lost = if distance == 0 { 0 } else { value << (128 - distance) };
        value >> distance | (lost != 0) as u128
    } else {
        (value != 0) as u128
    }
}

/// The upper half, its lowest bit set if the lower half is not zero.
#[inline(always)]
pub(crate) fn high_sticky(value: u128) -> u64 {
    (value >> 64) as u64 | (value as u64 != 0) as u64
}

/// Whether a magnitude with `remainder` (out of `2 * half`) below its lowest bit goes up.
#[inline(always)]
pub(crate) fn rounds_up(rounding: Rounding, sign: bool, odd: bool, remainder: u64, half: u64) -> bool {
    match rounding {
        Rounding::TiesEven => remainder > half || (remainder == half && odd),
        Rounding::TiesAway => remainder >= half,
        Rounding::TowardPlus => remainder != 0 && !sign,
        Rounding::TowardMinus => remainder != 0 && sign,
        Rounding::TowardZero | Rounding::ToOdd => false,
    }
}

/// Whether denormal results of this format are flushed.
#[inline(always)]
fn flushes<F: Format>(mode: Mode) -> bool {
    mode.contains(if F::HALF { Mode::FZ16 } else { Mode::FZ })
}

/// FPRound: the number `sig / 2^63 * 2^exp`, whose top bit is set and whose lowest bit may be
/// sticky, as bits of `F`. Uses the given rounding, everything else from the mode.
#[inline(always)]
pub(crate) fn round_pack<F: Format>(sign: bool, exp: i32, sig: u64, mode: Mode, rounding: Rounding, flags: &mut Flags) -> u64 {
    debug_assert!(sig >> 63 == 1);
    if exp < F::MIN_EXP {
        return round_pack_tiny::<F>(sign, exp, sig, mode, rounding, flags);
    }
    let (magnitude, inexact) = round_normal::<F>(sign, exp, sig, rounding);
    if magnitude >= F::INFINITY {
        return overflow::<F>(sign, rounding, flags);
    }
    if inexact {
        *flags |= Flags::INEXACT;
    }
    signed::<F>(sign, magnitude)
}

/// Rounds as if the exponent had no upper bound; the field simply runs over.
#[inline(always)]
fn round_normal<F: Format>(sign: bool, exp: i32, sig: u64, rounding: Rounding) -> (u64, bool) {
    let below = 63 - F::FRAC_BITS;
    let remainder = sig & ((1 << below) - 1);
    let kept = sig >> below;
    let up = rounds_up(rounding, sign, kept & 1 != 0, remainder, 1 << (below - 1));
    let inexact = remainder != 0;
    let odd = (rounding == Rounding::ToOdd && inexact) as u64;
    // The kept bits include the implied one, which carries into the exponent, as does rounding
    // up; clamping keeps an absurd exponent in the field (it is an overflow anyway).
    let field = (exp + F::BIAS).min(2 * F::EXP_MAX as i32) as u64 - 1;
    ((field << F::FRAC_BITS) + (kept | odd) + up as u64, inexact)
}

#[cold]
fn overflow<F: Format>(sign: bool, rounding: Rounding, flags: &mut Flags) -> u64 {
    *flags |= Flags::OVERFLOW | Flags::INEXACT;
    let to_infinity = match rounding {
        Rounding::TiesEven | Rounding::TiesAway => true,
        Rounding::TowardPlus => !sign,
        Rounding::TowardMinus => sign,
        Rounding::TowardZero | Rounding::ToOdd => false,
    };
    if to_infinity { infinity::<F>(sign) } else { max_normal::<F>(sign) }
}

/// The result is below the smallest normal number before rounding.
#[cold]
fn round_pack_tiny<F: Format>(sign: bool, exp: i32, sig: u64, mode: Mode, rounding: Rounding, flags: &mut Flags) -> u64 {
    if flushes::<F>(mode) && !mode.ah() {
        // Flushing before rounding raises Underflow alone, not Inexact.
        *flags |= Flags::UNDERFLOW;
        return zero::<F>(sign);
    }
    let below = 63 - F::FRAC_BITS;
    let half = 1 << (below - 1);
    let low_mask = (1 << below) - 1;

    let mut tiny = true;
    if mode.ah() || mode.contains(Mode::TININESS_AFTER) {
        // After rounding to the format's precision with an unbounded exponent, the number is no
        // longer tiny only if it was all ones just below the smallest normal and went up.
        let kept = sig >> below;
        let all_ones = kept == (1 << (F::FRAC_BITS + 1)) - 1;
        let up = rounds_up(rounding, sign, kept & 1 != 0, sig & low_mask, half);
        tiny = !(exp == F::MIN_EXP - 1 && all_ones && up);
    }
    if tiny && mode.ah() && flushes::<F>(mode) {
        *flags |= Flags::UNDERFLOW | Flags::INEXACT;
        return zero::<F>(sign);
    }

    let shifted = shift_right_sticky(sig, (F::MIN_EXP - exp) as u32);
    let remainder = shifted & low_mask;
    let kept = shifted >> below;
    let up = rounds_up(rounding, sign, kept & 1 != 0, remainder, half);
    let mut magnitude = kept + up as u64;
    if remainder != 0 {
        *flags |= Flags::INEXACT;
        if tiny {
            *flags |= Flags::UNDERFLOW;
        }
        if rounding == Rounding::ToOdd {
            magnitude |= 1;
        }
    }
    signed::<F>(sign, magnitude)
}

/// FPRoundCV to the alternative half-precision format: no infinities, so too large a number is
/// Invalid and gives the largest one. The mode must not flush half precision.
pub(crate) fn round_pack_alternative_half<F: Format>(sign: bool, exp: i32, sig: u64, mode: Mode, rounding: Rounding, flags: &mut Flags) -> u64 {
    if exp < F::MIN_EXP {
        return round_pack_tiny::<F>(sign, exp, sig, mode, rounding, flags);
    }
    let (magnitude, inexact) = round_normal::<F>(sign, exp, sig, rounding);
    if magnitude >= F::SIGN_BIT {
        *flags |= Flags::INVALID;
        return signed::<F>(sign, F::SIGN_BIT - 1);
    }
    if inexact {
        *flags |= Flags::INEXACT;
    }
    signed::<F>(sign, magnitude)
}
