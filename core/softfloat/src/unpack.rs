//! From bits to sign, exponent and significand (FPUnpackBase), with input flushing.

use crate::format::Format;
use crate::mode::{Flags, Mode};

/// What kind of number an operand is (FPType).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Class {
    Normal,
    Denormal,
    Zero,
    Infinity,
    QuietNan,
    SignalingNan,
}

/// An operand in the common form. For a finite non-zero number the value is
/// `sig / 2^63 * 2^exp` with the top bit of `sig` set; otherwise `exp` and `sig` are zero.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Unpacked {
    pub class: Class,
    pub sign: bool,
    pub exp: i32,
    pub sig: u64,
}

impl Unpacked {
    /// Finite and not zero.
    #[inline(always)]
    pub fn is_finite(self) -> bool {
        self.class as u8 <= Class::Denormal as u8
    }

    #[inline(always)]
    pub fn is_zero(self) -> bool {
        self.class == Class::Zero
    }

    #[inline(always)]
    pub fn is_inf(self) -> bool {
        self.class == Class::Infinity
    }

    #[inline(always)]
    pub fn is_nan(self) -> bool {
        self.class as u8 >= Class::QuietNan as u8
    }

    /// This operand with its sign flipped if `flip`.
    #[inline(always)]
    pub fn flipped(self, flip: bool) -> Unpacked {
        Unpacked { sign: self.sign ^ flip, ..self }
    }
}

/// FPUnpack. Flushes denormals as the mode says; FPCR.FZ raises InputDenormal when it does, FIZ and
/// FZ16 do not.
#[inline(always)]
pub(crate) fn unpack<F: Format>(bits: u64, mode: Mode, flags: &mut Flags) -> Unpacked {
    let sign = bits & F::SIGN_BIT != 0;
    let exp = bits >> F::FRAC_BITS & F::EXP_MAX;
    let frac = bits & F::FRAC_MASK;
    let aligned = frac << (63 - F::FRAC_BITS);
    if exp.wrapping_sub(1) < F::EXP_MAX - 1 {
        return Unpacked { class: Class::Normal, sign, exp: exp as i32 - F::BIAS, sig: 1 << 63 | aligned };
    }
    unpack_special::<F>(sign, exp, frac, mode, flags)
}

fn unpack_special<F: Format>(sign: bool, exp: u64, frac: u64, mode: Mode, flags: &mut Flags) -> Unpacked {
    let class = if exp != 0 {
        if frac == 0 {
            Class::Infinity
        } else if frac & F::QUIET_BIT != 0 {
            Class::QuietNan
        } else {
            Class::SignalingNan
        }
    } else if frac == 0 {
        Class::Zero
    } else if F::HALF {
        if mode.contains(Mode::FZ16) { Class::Zero } else { Class::Denormal }
    } else if mode.contains(Mode::FZ) && !mode.ah() {
        *flags |= Flags::INPUT_DENORMAL;
        Class::Zero
    } else if mode.contains(Mode::FIZ) {
        Class::Zero
    } else {
        Class::Denormal
    };
    if class == Class::Denormal { normalised::<F>(sign, frac) } else { Unpacked { class, sign, exp: 0, sig: 0 } }
}

/// A denormal's fraction, shifted up until its top bit is the significand's.
fn normalised<F: Format>(sign: bool, frac: u64) -> Unpacked {
    let shift = frac.leading_zeros();
    let exp = F::MIN_EXP + (63 - shift as i32) - F::FRAC_BITS as i32;
    Unpacked { class: Class::Denormal, sign, exp, sig: frac << shift }
}

/// The alternative half-precision format: exponent 31 is an ordinary one.
pub(crate) fn unpack_alternative_half<F: Format>(bits: u64) -> Unpacked {
    let sign = bits & F::SIGN_BIT != 0;
    let exp = bits >> F::FRAC_BITS & F::EXP_MAX;
    let frac = bits & F::FRAC_MASK;
    if exp != 0 {
        let sig = 1 << 63 | frac << (63 - F::FRAC_BITS);
        Unpacked { class: Class::Normal, sign, exp: exp as i32 - F::BIAS, sig }
    } else if frac != 0 {
        normalised::<F>(sign, frac)
    } else {
        Unpacked { class: Class::Zero, sign, exp: 0, sig: 0 }
    }
}

/// FPProcessDenorms: under AH a denormal operand that was used raises InputDenormal, except in half
/// precision.
#[inline(always)]
pub(crate) fn note_denormal<F: Format>(used: bool, mode: Mode, flags: &mut Flags) {
    if used && mode.ah() && !F::HALF {
        *flags |= Flags::INPUT_DENORMAL;
    }
}

/// Whether the operand is a denormal that was not flushed.
#[inline(always)]
pub(crate) fn is_denormal(op: Unpacked) -> bool {
    op.class == Class::Denormal
}
