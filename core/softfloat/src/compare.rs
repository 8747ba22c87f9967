//! Comparison (FPCompare, FPCompareEQ, FPCompareGE, FPCompareGT).

use crate::format::Format;
use crate::mode::{Flags, Mode};
use crate::unpack::{Class, Unpacked, is_denormal, note_denormal, unpack};

/// How two numbers stand to each other.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Relation {
    /// The first is less than the second.
    Less,
    /// They are equal; zeros of either sign are.
    Equal,
    /// The first is greater than the second.
    Greater,
    /// At least one is a NaN.
    Unordered,
}

/// FPCompare, quiet: Invalid for signaling NaNs only.
#[inline]
pub fn compare<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (Relation, Flags) {
    relation::<F>(F::widen(a), F::widen(b), mode, false)
}

/// FPCompare, signaling: Invalid for any NaN.
#[inline]
pub fn compare_signaling<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (Relation, Flags) {
    relation::<F>(F::widen(a), F::widen(b), mode, true)
}

/// FPCompareEQ: quiet.
#[inline]
pub fn eq<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (bool, Flags) {
    let (relation, flags) = compare::<F>(a, b, mode);
    (relation == Relation::Equal, flags)
}

/// FPCompareGE: signaling.
#[inline]
pub fn ge<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (bool, Flags) {
    let (relation, flags) = compare_signaling::<F>(a, b, mode);
    (matches!(relation, Relation::Greater | Relation::Equal), flags)
}

/// FPCompareGT: signaling.
#[inline]
pub fn gt<F: Format>(a: F::Bits, b: F::Bits, mode: Mode) -> (bool, Flags) {
    let (relation, flags) = compare_signaling::<F>(a, b, mode);
    (relation == Relation::Greater, flags)
}

/// An integer that orders numbers as their values do, for operands that are not NaNs. Both zeros,
/// and denormals that were flushed, are 0.
#[inline(always)]
pub(crate) fn ordered_key<F: Format>(op: Unpacked, bits: u64) -> i64 {
    if op.is_zero() {
        return 0;
    }
    let magnitude = (bits & (F::SIGN_BIT - 1)) as i64;
    if op.sign { -magnitude } else { magnitude }
}

fn relation<F: Format>(a: u64, b: u64, mode: Mode, signal_nans: bool) -> (Relation, Flags) {
    let mut flags = Flags::NONE;
    let x = unpack::<F>(a, mode, &mut flags);
    let y = unpack::<F>(b, mode, &mut flags);
    if x.is_nan() || y.is_nan() {
        let signaling = x.class == Class::SignalingNan || y.class == Class::SignalingNan;
        if signaling || signal_nans {
            flags |= Flags::INVALID;
        }
        return (Relation::Unordered, flags);
    }
    note_denormal::<F>(is_denormal(x) || is_denormal(y), mode, &mut flags);
    let relation = match ordered_key::<F>(x, a).cmp(&ordered_key::<F>(y, b)) {
        core::cmp::Ordering::Less => Relation::Less,
        core::cmp::Ordering::Equal => Relation::Equal,
        core::cmp::Ordering::Greater => Relation::Greater,
    };
    (relation, flags)
}
