//! The floating-point formats, as types: what differs between them is constants.

/// A binary interchange format.
///
/// Implemented by the empty types [`F16`], [`BF16`], [`F32`] and [`F64`], which only name a format:
/// numbers travel as their bits.
pub trait Format: Copy + 'static {
    /// The unsigned integer that holds a number's bits.
    type Bits: Copy + Eq + core::fmt::Debug + core::fmt::LowerHex;
    /// Width of the exponent field.
    const EXP_BITS: u32;
    /// Width of the fraction field, without the implied bit.
    const FRAC_BITS: u32;
    /// Whether this is IEEE half precision, which has flushing rules of its own (FPCR.FZ16).
    const HALF: bool = false;

    /// The bits, zero-extended.
    fn widen(bits: Self::Bits) -> u64;
    /// The low bits of `bits`.
    fn narrow(bits: u64) -> Self::Bits;

    /// All ones in the exponent field, unshifted.
    const EXP_MAX: u64 = (1 << Self::EXP_BITS) - 1;
    /// The exponent bias.
    const BIAS: i32 = (1 << (Self::EXP_BITS - 1)) - 1;
    /// The exponent of the smallest normal number.
    const MIN_EXP: i32 = 1 - Self::BIAS;
    /// All ones in the fraction field.
    const FRAC_MASK: u64 = (1 << Self::FRAC_BITS) - 1;
    /// The fraction bit that tells a quiet NaN from a signaling one.
    const QUIET_BIT: u64 = 1 << (Self::FRAC_BITS - 1);
    /// The sign bit.
    const SIGN_BIT: u64 = 1 << (Self::EXP_BITS + Self::FRAC_BITS);
    /// Positive infinity.
    const INFINITY: u64 = Self::EXP_MAX << Self::FRAC_BITS;
}

/// IEEE binary16, half precision.
#[derive(Copy, Clone, Debug)]
pub struct F16;
/// bfloat16: the upper half of a binary32.
#[derive(Copy, Clone, Debug)]
pub struct BF16;
/// IEEE binary32, single precision.
#[derive(Copy, Clone, Debug)]
pub struct F32;
/// IEEE binary64, double precision.
#[derive(Copy, Clone, Debug)]
pub struct F64;

macro_rules! format {
    ($name:ident, $bits:ty, $exp:expr, $frac:expr, $half:expr) => {
        impl Format for $name {
            type Bits = $bits;
            const EXP_BITS: u32 = $exp;
            const FRAC_BITS: u32 = $frac;
            const HALF: bool = $half;
            #[inline(always)]
            fn widen(bits: $bits) -> u64 {
                bits as u64
            }
            #[inline(always)]
            fn narrow(bits: u64) -> $bits {
                bits as $bits
            }
        }
    };
}
format!(F16, u16, 5, 10, true);
format!(BF16, u16, 8, 7, false);
format!(F32, u32, 8, 23, false);
format!(F64, u64, 11, 52, false);

/// The sign bit, set or not.
#[inline(always)]
pub(crate) fn signed<F: Format>(sign: bool, magnitude: u64) -> u64 {
    if sign { F::SIGN_BIT | magnitude } else { magnitude }
}

/// FPZero.
#[inline(always)]
pub(crate) fn zero<F: Format>(sign: bool) -> u64 {
    signed::<F>(sign, 0)
}

/// FPInfinity.
#[inline(always)]
pub(crate) fn infinity<F: Format>(sign: bool) -> u64 {
    signed::<F>(sign, F::INFINITY)
}

/// FPMaxNormal.
#[inline(always)]
pub(crate) fn max_normal<F: Format>(sign: bool) -> u64 {
    signed::<F>(sign, F::INFINITY - 1)
}
