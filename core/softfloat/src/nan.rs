//! Which NaN comes out (FPDefaultNaN, FPProcessNaN, FPProcessNaNs, FPProcessNaNs3), and the two
//! sign operations, whose treatment of NaNs depends on the mode.

use crate::format::{Format, signed};
use crate::mode::{Flags, Mode};
use crate::unpack::{Class, Unpacked};

/// FPDefaultNaN: quiet, no payload, negative under AH.
#[inline]
pub fn default_nan<F: Format>(mode: Mode) -> F::Bits {
    F::narrow(default_nan_bits::<F>(mode))
}

#[inline(always)]
pub(crate) fn default_nan_bits<F: Format>(mode: Mode) -> u64 {
    signed::<F>(mode.ah(), F::INFINITY | F::QUIET_BIT)
}

/// The default NaN of an operation that has no result, with Invalid raised.
#[cold]
pub(crate) fn invalid<F: Format>(mode: Mode, flags: &mut Flags) -> u64 {
    *flags |= Flags::INVALID;
    default_nan_bits::<F>(mode)
}

/// Whether the bits are a NaN of either kind.
#[inline]
pub fn is_nan<F: Format>(bits: F::Bits) -> bool {
    F::widen(bits) & !F::SIGN_BIT > F::INFINITY
}

/// Whether the bits are a signaling NaN.
#[inline]
pub fn is_signaling_nan<F: Format>(bits: F::Bits) -> bool {
    is_nan::<F>(bits) && F::widen(bits) & F::QUIET_BIT == 0
}

/// FPNeg: flips the sign; under AH it leaves NaNs alone. Raises nothing.
#[inline]
pub fn neg<F: Format>(bits: F::Bits, mode: Mode) -> F::Bits {
    F::narrow(neg_bits::<F>(F::widen(bits), mode))
}

#[inline(always)]
pub(crate) fn neg_bits<F: Format>(bits: u64, mode: Mode) -> u64 {
    if mode.ah() && bits & !F::SIGN_BIT > F::INFINITY { bits } else { bits ^ F::SIGN_BIT }
}

/// FPAbs: clears the sign; under AH it leaves NaNs alone. Raises nothing.
#[inline]
pub fn abs<F: Format>(bits: F::Bits, mode: Mode) -> F::Bits {
    if mode.ah() && is_nan::<F>(bits) { bits } else { F::narrow(F::widen(bits) & !F::SIGN_BIT) }
}

/// FPProcessNaN, with the kind given apart because under AH another operand may be the signaling one.
#[inline]
fn process(signaling: bool, bits: u64, quiet_bit: u64, default: u64, mode: Mode, flags: &mut Flags) -> u64 {
    if signaling {
        *flags |= Flags::INVALID;
    }
    if mode.contains(Mode::DN) { default } else { bits | quiet_bit }
}

/// FPProcessNaN: quiets a NaN operand, or replaces it under DN.
#[cold]
pub(crate) fn process_nan<F: Format>(op: Unpacked, bits: u64, mode: Mode, flags: &mut Flags) -> u64 {
    let signaling = op.class == Class::SignalingNan;
    process(signaling, bits, F::QUIET_BIT, default_nan_bits::<F>(mode), mode, flags)
}

/// FPProcessNaNs, when at least one operand is a NaN: a signaling one first, else the first; under
/// AH, of two, the first in any case.
#[cold]
pub(crate) fn process_nans<F: Format>(ops: [Unpacked; 2], bits: [u64; 2], mode: Mode, flags: &mut Flags) -> u64 {
    let chosen = if mode.ah() { first_nan(&ops) } else { preferred_nan(&ops) };
    let any_signaling = ops.iter().any(|op| op.class == Class::SignalingNan);
    process(any_signaling, bits[chosen], F::QUIET_BIT, default_nan_bits::<F>(mode), mode, flags)
}

/// FPProcessNaNs3 and FPProcessNaNs3H, when at least one operand is a NaN. The operands are those of
/// FPMulAdd: addend, multiplicand, multiplier; their bits are already in the result's format.
/// Under AH the multiplicand goes before the multiplier and that before the addend.
#[cold]
pub(crate) fn process_nans3<F: Format>(ops: [Unpacked; 3], bits: [u64; 3], mode: Mode, flags: &mut Flags) -> u64 {
    let chosen = if mode.ah() { [1, 2, 0][first_nan(&[ops[1], ops[2], ops[0]]).min(2)] } else { preferred_nan(&ops) };
    let any_signaling = ops.iter().any(|op| op.class == Class::SignalingNan);
    process(any_signaling, bits[chosen], F::QUIET_BIT, default_nan_bits::<F>(mode), mode, flags)
}

/// FPProcessNaNs4, when at least one operand is a NaN: AH makes no difference to its order.
#[cold]
pub(crate) fn process_nans4<F: Format>(ops: [Unpacked; 4], bits: [u64; 4], mode: Mode, flags: &mut Flags) -> u64 {
    let chosen = preferred_nan(&ops);
    let signaling = ops[chosen].class == Class::SignalingNan;
    process(signaling, bits[chosen], F::QUIET_BIT, default_nan_bits::<F>(mode), mode, flags)
}

fn first_nan(ops: &[Unpacked]) -> usize {
    ops.iter().position(|op| op.is_nan()).unwrap_or(0)
}

fn preferred_nan(ops: &[Unpacked]) -> usize {
    let signaling = ops.iter().position(|op| op.class == Class::SignalingNan);
    signaling.unwrap_or_else(|| first_nan(ops))
}

/// FPConvertNaN without the quieting: the sign and the payload, aligned at the top.
pub(crate) fn convert_payload<Src: Format, Dst: Format>(bits: u64) -> u64 {
    let aligned = (bits & Src::FRAC_MASK) << (63 - Src::FRAC_BITS);
    let sign = bits & Src::SIGN_BIT != 0;
    signed::<Dst>(sign, Dst::INFINITY | aligned >> (63 - Dst::FRAC_BITS))
}
