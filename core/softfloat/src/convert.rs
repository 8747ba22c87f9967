//! Conversion between formats (FPConvert).

use crate::format::{Format, infinity, signed, zero};
use crate::mode::{Flags, Mode, Rounding};
use crate::nan::{convert_payload, default_nan_bits};
use crate::round::{round_pack, round_pack_alternative_half};
use crate::unpack::{Class, is_denormal, note_denormal, unpack, unpack_alternative_half};

/// FPConvert from `Src` to `Dst` with the mode's rounding.
///
/// Half precision is never flushed here (FZ16 does not apply to conversions), and under
/// [`Mode::AHP`] it is the alternative format.
#[inline]
pub fn convert<Src: Format, Dst: Format>(op: Src::Bits, mode: Mode) -> (Dst::Bits, Flags) {
    convert_with::<Src, Dst>(op, mode, mode.rounding())
}

/// FPConvert with a rounding of its own, such as [`Rounding::ToOdd`] for FCVTXN.
pub fn convert_with<Src: Format, Dst: Format>(op: Src::Bits, mode: Mode, rounding: Rounding) -> (Dst::Bits, Flags) {
    let op = Src::widen(op);
    let mode = mode.without(Mode::FZ16);
    let mut flags = Flags::NONE;
    let alternative = mode.contains(Mode::AHP);
    let x = if Src::HALF && alternative { unpack_alternative_half::<Src>(op) } else { unpack::<Src>(op, mode, &mut flags) };
    let to_alternative = Dst::HALF && alternative;
    let bits = match x.class {
        Class::Zero => zero::<Dst>(x.sign),
        Class::Infinity if to_alternative => {
            flags |= Flags::INVALID;
            signed::<Dst>(x.sign, Dst::SIGN_BIT - 1)
        }
        Class::Infinity => infinity::<Dst>(x.sign),
        Class::QuietNan | Class::SignalingNan => {
            if x.class == Class::SignalingNan || to_alternative {
                flags |= Flags::INVALID;
            }
            if to_alternative {
                zero::<Dst>(x.sign)
            } else if mode.contains(Mode::DN) {
                default_nan_bits::<Dst>(mode)
            } else {
                convert_payload::<Src, Dst>(op) | Dst::QUIET_BIT
            }
        }
        Class::Normal | Class::Denormal => {
            note_denormal::<Src>(is_denormal(x), mode, &mut flags);
            if to_alternative {
                round_pack_alternative_half::<Dst>(x.sign, x.exp, x.sig, mode, rounding, &mut flags)
            } else {
                round_pack::<Dst>(x.sign, x.exp, x.sig, mode, rounding, &mut flags)
            }
        }
    };
    (Dst::narrow(bits), flags)
}
