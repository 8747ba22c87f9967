//! Minimum and maximum (FPMax, FPMin, FPMaxNum, FPMinNum).

use crate::compare::ordered_key;
use crate::format::{Format, infinity, zero};
use crate::mode::{Flags, Mode};
use crate::nan::{default_nan_bits, process_nans};
use crate::round::round_pack;
use crate::unpack::{Class, Unpacked, is_denormal, note_denormal, unpack};

/// FPMax: the larger; +0 is larger than -0; a NaN operand gives a NaN. Under AH, two zeros of
/// different sign, or any NaN (with Invalid), give the second operand.
pub fn max<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    narrow::<F>(extremum::<F, true>(F::widen(a), F::widen(b), mode, mode.ah()))
}

/// FPMin: the smaller, with the rules of [`max`].
pub fn min<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    narrow::<F>(extremum::<F, false>(F::widen(a), F::widen(b), mode, mode.ah()))
}

/// FPMaxNum (IEEE 754-2008 maxNum): as [`max`], but a number beats a quiet NaN.
pub fn maxnum<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    narrow::<F>(number::<F, true>(F::widen(a), F::widen(b), mode))
}

/// FPMinNum (IEEE 754-2008 minNum): as [`min`], but a number beats a quiet NaN.
pub fn minnum<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    narrow::<F>(number::<F, false>(F::widen(a), F::widen(b), mode))
}

#[inline(always)]
fn narrow<F: Format>((bits, flags): (u64, Flags)) -> (F::Bits, Flags) {
    (F::narrow(bits), flags)
}

/// `alternate` is AH for FPMax and FPMin, but never for the number forms.
fn extremum<F: Format, const MAX: bool>(a: u64, b: u64, mode: Mode, alternate: bool) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(a, mode, &mut flags);
    let y = unpack::<F>(b, mode, &mut flags);
    if alternate {
        if x.is_zero() && y.is_zero() && x.sign != y.sign {
            return (zero::<F>(y.sign), flags);
        }
        if x.is_nan() || y.is_nan() {
            flags |= Flags::INVALID;
            return (if y.is_zero() { zero::<F>(y.sign) } else { b }, flags);
        }
    }
    if x.is_nan() || y.is_nan() {
        return (process_nans::<F>([x, y], [a, b], mode, &mut flags), flags);
    }
    let (key_x, key_y) = (ordered_key::<F>(x, a), ordered_key::<F>(y, b));
    let first = if MAX { key_x > key_y } else { key_x < key_y };
    let chosen = if first { x } else { y };
    let bits = match chosen.class {
        Class::Infinity => infinity::<F>(chosen.sign),
        Class::Zero => zero::<F>(if MAX { x.sign && y.sign } else { x.sign || y.sign }),
        _ => {
            let mode = if alternate { mode.without(Mode::FZ | Mode::FZ16) } else { mode };
            let Unpacked { sign, exp, sig, .. } = chosen;
            round_pack::<F>(sign, exp, sig, mode, mode.rounding(), &mut flags)
        }
    };
    note_denormal::<F>(is_denormal(x) || is_denormal(y), mode, &mut flags);
    (bits, flags)
}

fn number<F: Format, const MAX: bool>(a: u64, b: u64, mode: Mode) -> (u64, Flags) {
    // The classes alone: flushing flags are raised by the extremum itself.
    let mut ignored = Flags::NONE;
    let x = unpack::<F>(a, mode, &mut ignored);
    let y = unpack::<F>(b, mode, &mut ignored);
    if !x.is_nan() && !y.is_nan() {
        return extremum::<F, MAX>(a, b, mode, false);
    }
    if mode.contains(Mode::NUMBER_MINMAX) {
        let signaling = x.class == Class::SignalingNan || y.class == Class::SignalingNan;
        let flags = if signaling { Flags::INVALID } else { Flags::NONE };
        let bits = if !x.is_nan() {
            a
        } else if !y.is_nan() {
            b
        } else {
            default_nan_bits::<F>(mode)
        };
        return (bits, flags);
    }
    // A lone quiet NaN stands for the infinity that loses against everything.
    let loser = infinity::<F>(MAX);
    let (mut a, mut b) = (a, b);
    if !(mode.ah() && x.is_nan() && y.is_nan()) {
        let (x_quiet, y_quiet) = (x.class == Class::QuietNan, y.class == Class::QuietNan);
        if x_quiet && !y_quiet {
            a = loser;
        } else if y_quiet && !x_quiet {
            b = loser;
        }
    }
    extremum::<F, MAX>(a, b, mode, false)
}
