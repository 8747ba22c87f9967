//! Division and square root (FPDiv, FPSqrt).

use crate::format::{Format, infinity, zero};
use crate::mode::{Flags, Mode};
use crate::nan::{invalid, process_nan, process_nans};
use crate::round::round_pack;
use crate::unpack::{is_denormal, note_denormal, unpack};

/// FPDiv: `a / b`.
pub fn div<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let (a, b) = (F::widen(a), F::widen(b));
    let mut flags = Flags::NONE;
    let x = unpack::<F>(a, mode, &mut flags);
    let y = unpack::<F>(b, mode, &mut flags);
    let sign = x.sign ^ y.sign;
    let bits = if x.is_finite() && y.is_finite() {
        let below = x.sig < y.sig;
        let exp = x.exp - y.exp - below as i32;
        let dividend = (x.sig as u128) << (63 + below as u32);
        // The divisor has its top bit set and the quotient lies in [2^63, 2^64).
        let divisor = y.sig as u128;
        let quotient = dividend / divisor;
        let exact = quotient * divisor == dividend;
        let sig = quotient as u64 | !exact as u64;
        round_pack::<F>(sign, exp, sig, mode, mode.rounding(), &mut flags)
    } else if x.is_nan() || y.is_nan() {
        let bits = process_nans::<F>([x, y], [a, b], mode, &mut flags);
        return (F::narrow(bits), flags);
    } else if (x.is_inf() && y.is_inf()) || (x.is_zero() && y.is_zero()) {
        invalid::<F>(mode, &mut flags)
    } else if x.is_inf() || y.is_zero() {
        if !x.is_inf() {
            flags |= Flags::DIVZERO;
        }
        infinity::<F>(sign)
    } else {
        zero::<F>(sign)
    };
    let used = !y.is_zero() && (is_denormal(x) || is_denormal(y));
    note_denormal::<F>(used, mode, &mut flags);
    (F::narrow(bits), flags)
}

/// FPSqrt: the square root; of -0 it is -0.
pub fn sqrt<F: Format>(op: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let op = F::widen(op);
    let mut flags = Flags::NONE;
    let x = unpack::<F>(op, mode, &mut flags);
    let bits = if x.is_nan() {
        process_nan::<F>(x, op, mode, &mut flags)
    } else if x.is_zero() {
        zero::<F>(x.sign)
    } else if x.sign {
        invalid::<F>(mode, &mut flags)
    } else if x.is_inf() {
        infinity::<F>(false)
    } else {
        // An even exponent halves exactly; the radicand has its top or second bit set, so that
        // the root has 64 bits.
        let radicand = (x.sig as u128) << (63 + (x.exp & 1) as u32);
        let root = radicand.isqrt();
        let exact = root * root == radicand;
        let sig = root as u64 | !exact as u64;
        note_denormal::<F>(is_denormal(x), mode, &mut flags);
        round_pack::<F>(false, x.exp >> 1, sig, mode, mode.rounding(), &mut flags)
    };
    (F::narrow(bits), flags)
}
