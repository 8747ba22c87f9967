//! What the standard leaves to the machine: [`Mode`], [`Rounding`], and the exception [`Flags`].

use core::ops::{BitOr, BitOrAssign};

/// A set of floating-point exceptions.
///
/// The first five are the standard's and stand in the order of most status registers. A caller
/// whose guest keeps the input-denormal flag elsewhere (FPSR.IDC is bit 7) moves that one bit.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
#[repr(transparent)]
pub struct Flags(u8);

impl Flags {
    /// No exception.
    pub const NONE: Flags = Flags(0);
    /// The operation has no defined result: a signaling NaN, inf - inf, 0 * inf, sqrt(-1), ...
    pub const INVALID: Flags = Flags(1 << 0);
    /// An exact infinity from finite operands.
    pub const DIVZERO: Flags = Flags(1 << 1);
    /// The rounded result exceeds the format's largest finite number.
    pub const OVERFLOW: Flags = Flags(1 << 2);
    /// The result is tiny and was rounded, or was flushed to zero.
    pub const UNDERFLOW: Flags = Flags(1 << 3);
    /// The result is not the exact one.
    pub const INEXACT: Flags = Flags(1 << 4);
    /// An input denormal was flushed to zero or, under [`Mode::AH`], used as it is.
    pub const INPUT_DENORMAL: Flags = Flags(1 << 5);

    /// The set as bits, in the positions of the constants above.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// A set from bits; unknown bits are dropped.
    #[inline]
    pub const fn from_bits(bits: u8) -> Flags {
        Flags(bits & 0x3f)
    }

    /// Whether every member of `other` is in this set.
    #[inline]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without the members of `other`.
    #[inline]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Flags;
    #[inline]
    fn bitor(self, rhs: Flags) -> Flags {
        Flags(self.0 | rhs.0)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, rhs: Flags) {
        self.0 |= rhs.0;
    }
}

/// The direction a result is rounded in. The first four stand in the order of FPCR.RMode.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Rounding {
    /// To the nearest, ties to the even neighbour.
    TiesEven = 0,
    /// Toward positive infinity.
    TowardPlus = 1,
    /// Toward negative infinity.
    TowardMinus = 2,
    /// Toward zero.
    TowardZero = 3,
    /// To the nearest, ties away from zero.
    TiesAway = 4,
    /// Truncated, then the low bit set if anything was lost (von Neumann rounding): a later
    /// rounding to a narrower format then gives the singly rounded result.
    ToOdd = 5,
}

impl Rounding {
    /// Every rounding, in the order of its number.
    pub const ALL: [Rounding; 6] =
        [Rounding::TiesEven, Rounding::TowardPlus, Rounding::TowardMinus, Rounding::TowardZero, Rounding::TiesAway, Rounding::ToOdd];

    /// The rounding with this number (its low three bits; 6 and 7, unused, read as `ToOdd`).
    #[inline]
    pub const fn from_index(index: u32) -> Rounding {
        match index & 7 {
            0 => Rounding::TiesEven,
            1 => Rounding::TowardPlus,
            2 => Rounding::TowardMinus,
            3 => Rounding::TowardZero,
            4 => Rounding::TiesAway,
            _ => Rounding::ToOdd,
        }
    }
}

/// How to round, flush, detect tininess and choose NaNs: a set of switches and a [`Rounding`].
///
/// The bits with an FPCR name stand where the FPCR has them; the others use positions that
/// [`Mode::FPCR_MASK`] leaves out, so `Mode::from_bits(fpcr & Mode::FPCR_MASK)` is a valid mode.
/// FPCR.NEP only matters to the caller (which vector lanes are kept), so it is not here. Trapped
/// exceptions are not modelled: an exact denormal result never raises Underflow.
#[derive(Copy, Clone, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Mode(u32);

const ROUNDING_SHIFT: u32 = 22;
const ROUNDING_HIGH: u32 = 1 << 21;

impl Mode {
    /// Round to nearest even, full denormals, NaNs propagate, tininess before rounding.
    pub const IEEE: Mode = Mode(0);
    /// FPCR.FIZ: denormal inputs read as zero, silently. Not for half precision.
    pub const FIZ: Mode = Mode(1 << 0);
    /// FPCR.AH, FEAT_AFP's alternate handling: tininess after rounding, flushing after rounding,
    /// the default NaN is negative, the first NaN operand wins whether signaling or not, min and max return their
    /// second operand on a NaN, denormal operands raise [`Flags::INPUT_DENORMAL`] when used.
    pub const AH: Mode = Mode(1 << 1);
    /// FPCR.EBF: the bfloat16 dot products honour this mode and fuse (FEAT_EBF16).
    pub const EBF: Mode = Mode(1 << 13);
    /// Underflow is detected after rounding; implied by `AH`.
    pub const TININESS_AFTER: Mode = Mode(1 << 16);
    /// A NaN converts to the largest integer instead of to zero.
    pub const NAN_TO_MAX: Mode = Mode(1 << 17);
    /// `minnum` and `maxnum` are IEEE 754-2019's minimumNumber and maximumNumber: a signaling NaN
    /// raises Invalid but the other operand, if a number, is still the result.
    pub const NUMBER_MINMAX: Mode = Mode(1 << 18);
    /// FPCR.FZ16: half-precision denormals are flushed, at input (silently) and at output.
    pub const FZ16: Mode = Mode(1 << 19);
    /// FPCR.FZ: denormals other than half-precision are flushed. With `AH` it is outputs only.
    pub const FZ: Mode = Mode(1 << 24);
    /// FPCR.DN: every NaN result is the default NaN.
    pub const DN: Mode = Mode(1 << 25);
    /// FPCR.AHP: conversions to and from half precision use the alternative half-precision format,
    /// which has neither infinities nor NaNs.
    pub const AHP: Mode = Mode(1 << 26);
    /// FEAT_RPRES is present: with `AH`, single-precision estimates have 12 bits instead of 8.
    pub const RPRES: Mode = Mode(1 << 27);

    /// A profile for instruction sets with one canonical NaN and tininess after rounding.
    pub const CANONICAL: Mode = Mode(Mode::DN.0 | Mode::TININESS_AFTER.0 | Mode::NAN_TO_MAX.0 | Mode::NUMBER_MINMAX.0);

    /// The bits of an FPCR that mean the same here.
    pub const FPCR_MASK: u32 = Mode::FIZ.0 | Mode::AH.0 | Mode::EBF.0 | Mode::FZ16.0 | 3 << ROUNDING_SHIFT | Mode::FZ.0 | Mode::DN.0 | Mode::AHP.0;

    const ALL: u32 = Mode::FPCR_MASK | Mode::CANONICAL.0 | Mode::RPRES.0 | ROUNDING_HIGH;

    /// The mode as a number, for [`Mode::from_bits`].
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// A mode from a number; unknown bits are dropped.
    #[inline]
    pub const fn from_bits(bits: u32) -> Mode {
        Mode(bits & Mode::ALL)
    }

    /// The rounding in force.
    #[inline]
    pub const fn rounding(self) -> Rounding {
        Rounding::from_index(self.0 >> ROUNDING_SHIFT & 3 | self.0 >> 19 & 4)
    }

    /// This mode with another rounding.
    #[inline]
    pub const fn with_rounding(self, rounding: Rounding) -> Mode {
        let index = rounding as u32;
        let cleared = self.0 & !(3 << ROUNDING_SHIFT | ROUNDING_HIGH);
        Mode(cleared | (index & 3) << ROUNDING_SHIFT | (index & 4) << 19)
    }

    /// Whether every switch of `other` is on here.
    #[inline]
    pub const fn contains(self, other: Mode) -> bool {
        self.0 & other.0 == other.0
    }

    /// This mode with the switches of `other` on.
    #[inline]
    pub const fn with(self, other: Mode) -> Mode {
        Mode(self.0 | other.0)
    }

    /// This mode with the switches of `other` off.
    #[inline]
    pub const fn without(self, other: Mode) -> Mode {
        Mode(self.0 & !other.0)
    }

    #[inline]
    pub(crate) const fn ah(self) -> bool {
        self.contains(Mode::AH)
    }

    /// The mode FEAT_AFP prescribes, under `AH`, for estimates, steps and bfloat16 conversions:
    /// denormals flushed at both ends, round to nearest even. Their exceptions are dropped too.
    #[inline]
    pub(crate) const fn estimate_mode(self) -> Mode {
        if self.ah() { self.with(Mode::FIZ).with(Mode::FZ).with_rounding(Rounding::TiesEven) } else { self }
    }

    /// What becomes of the flags of an operation run under [`Mode::estimate_mode`].
    #[inline]
    pub(crate) const fn estimate_flags(self, flags: Flags) -> Flags {
        if self.ah() { Flags::NONE } else { flags }
    }
}

impl BitOr for Mode {
    type Output = Mode;
    #[inline]
    fn bitor(self, rhs: Mode) -> Mode {
        self.with(rhs)
    }
}

impl core::fmt::Debug for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Mode({:?}", self.rounding())?;
        let names = [
            (Mode::FIZ, "FIZ"),
            (Mode::AH, "AH"),
            (Mode::EBF, "EBF"),
            (Mode::TININESS_AFTER, "TININESS_AFTER"),
            (Mode::NAN_TO_MAX, "NAN_TO_MAX"),
            (Mode::NUMBER_MINMAX, "NUMBER_MINMAX"),
            (Mode::FZ16, "FZ16"),
            (Mode::FZ, "FZ"),
            (Mode::DN, "DN"),
            (Mode::AHP, "AHP"),
            (Mode::RPRES, "RPRES"),
        ];
        for (bit, name) in names {
            if self.contains(bit) {
                write!(f, "|{name}")?;
            }
        }
        f.write_str(")")
    }
}
