//! Register and condition operands.

/// A general-purpose register in its 32- or 64-bit view. Number 31 is ZR or SP as the instruction
/// decides, exactly as in the encoding; [`SP`] and [`XZR`] differ in name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg {
    num: u8,
    is64: bool,
}

impl Reg {
    /// The 64-bit register `Xn`; only the low five bits of `n` count.
    pub const fn x(n: u8) -> Self {
        Self { num: n & 31, is64: true }
    }

    /// The 32-bit register `Wn`.
    pub const fn w(n: u8) -> Self {
        Self { num: n & 31, is64: false }
    }

    /// The number as it is encoded.
    pub const fn num(self) -> u32 {
        self.num as u32
    }

    /// Whether this is the 64-bit view.
    pub const fn is64(self) -> bool {
        self.is64
    }

    /// The same register as `Wn`.
    pub const fn as_w(self) -> Self {
        Self::w(self.num)
    }

    /// The `sf` bit at its usual place, bit 31.
    pub(crate) const fn sf(self) -> u32 {
        (self.is64 as u32) << 31
    }

    /// Width in bits.
    pub(crate) const fn bits(self) -> u32 {
        if self.is64 { 64 } else { 32 }
    }
}

/// A SIMD&FP register; the size is the instruction's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VReg(pub u8);

impl VReg {
    /// The number as it is encoded.
    pub const fn num(self) -> u32 {
        (self.0 & 31) as u32
    }
}

macro_rules! regs {
    ($($x:ident $w:ident $n:literal),* $(,)?) => {$(
        #[doc = concat!("General register X", stringify!($n), ".")]
        pub const $x: Reg = Reg::x($n);
        #[doc = concat!("General register W", stringify!($n), ".")]
        pub const $w: Reg = Reg::w($n);
    )*};
}

regs!(
    X0 W0 0, X1 W1 1, X2 W2 2, X3 W3 3, X4 W4 4, X5 W5 5, X6 W6 6, X7 W7 7, X8 W8 8, X9 W9 9,
    X10 W10 10, X11 W11 11, X12 W12 12, X13 W13 13, X14 W14 14, X15 W15 15, X16 W16 16,
    X17 W17 17, X18 W18 18, X19 W19 19, X20 W20 20, X21 W21 21, X22 W22 22, X23 W23 23,
    X24 W24 24, X25 W25 25, X26 W26 26, X27 W27 27, X28 W28 28, X29 W29 29, X30 W30 30,
);

/// The zero register, 64-bit view.
pub const XZR: Reg = Reg::x(31);
/// The zero register, 32-bit view.
pub const WZR: Reg = Reg::w(31);
/// The stack pointer.
pub const SP: Reg = Reg::x(31);

/// A condition code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cond {
    /// Z set.
    Eq = 0,
    /// Z clear.
    Ne,
    /// C set (unsigned higher or same).
    Hs,
    /// C clear (unsigned lower).
    Lo,
    /// N set.
    Mi,
    /// N clear.
    Pl,
    /// V set.
    Vs,
    /// V clear.
    Vc,
    /// Unsigned higher.
    Hi,
    /// Unsigned lower or same.
    Ls,
    /// Signed greater or equal.
    Ge,
    /// Signed less.
    Lt,
    /// Signed greater.
    Gt,
    /// Signed less or equal.
    Le,
    /// Always.
    Al,
}

impl Cond {
    /// The four-bit code.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The code of the opposite condition, for the aliases (CSET and the like).
    pub const fn inverted(self) -> u32 {
        self as u32 ^ 1
    }
}
