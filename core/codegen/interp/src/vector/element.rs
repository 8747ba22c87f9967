//! What each per-element integer op means for one element.
//!
//! The idea: an element is an unsigned integer; `Wide`, twice as wide and signed, holds every intermediate result exactly, so each function is
//! the manual's formula followed by truncation or saturation. Functions that saturate also say whether they did.

use std::ops::{Add, Mul, Shl, Shr, Sub};

/// A signed integer of twice an element's width.
pub(crate) trait Wide:
    Copy + Ord + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Shl<u32, Output = Self> + Shr<u32, Output = Self> + From<i8>
{
}
impl Wide for i16 {}
impl Wide for i32 {}
impl Wide for i64 {}
impl Wide for i128 {}

/// An integer element of 8 to 64 bits.
pub(crate) trait Element: Copy + Ord {
    /// Holds any sum, difference or product of two elements.
    type Wide: Wide;
    /// Width.
    const BITS: u32;
    /// Zero-extended.
    fn bits(self) -> u64;
    /// Sign-extended.
    fn signed(self) -> i64;
    /// The low bits of a word.
    fn truncate(word: u64) -> Self;
    /// Sign-extended to the wide type.
    fn wide_s(self) -> Self::Wide;
    /// Zero-extended to the wide type.
    fn wide_u(self) -> Self::Wide;
    /// The low bits of a wide value.
    fn low(wide: Self::Wide) -> Self;
}

macro_rules! element {
    ($unsigned:ty, $signed:ty, $wide:ty) => {
        impl Element for $unsigned {
            type Wide = $wide;
            const BITS: u32 = <$unsigned>::BITS;
            #[inline(always)]
            fn bits(self) -> u64 {
                self as u64
            }
            #[inline(always)]
            fn signed(self) -> i64 {
                self as $signed as i64
            }
            #[inline(always)]
            fn truncate(word: u64) -> Self {
                word as $unsigned
            }
            #[inline(always)]
            fn wide_s(self) -> $wide {
                self as $signed as $wide
            }
            #[inline(always)]
            fn wide_u(self) -> $wide {
                self as $wide
            }
            #[inline(always)]
            fn low(wide: $wide) -> Self {
                wide as $unsigned
            }
        }
    };
}
element!(u8, i8, i16);
element!(u16, i16, i32);
element!(u32, i32, i64);
element!(u64, i64, i128);

#[inline(always)]
fn one<L: Element>() -> L::Wide {
    L::Wide::from(1)
}

/// What rounding adds before a right shift by `n`, which is at least 1.
#[inline(always)]
fn half_unit<L: Element>(n: u32, round: bool) -> L::Wide {
    if round { one::<L>() << (n - 1) } else { L::Wide::from(0) }
}

/// SignedSatQ to `bits` bits, as an element of the source's type.
#[inline(always)]
pub(super) fn sat_s<L: Element>(wide: L::Wide, bits: u32) -> (L, bool) {
    let max = (one::<L>() << (bits - 1)) - one::<L>();
    let min = L::Wide::from(-1) - max;
    let clamped = wide.clamp(min, max);
    (L::low(clamped), clamped != wide)
}

/// UnsignedSatQ to `bits` bits, as an element of the source's type.
#[inline(always)]
pub(super) fn sat_u<L: Element>(wide: L::Wide, bits: u32) -> (L, bool) {
    let max = (one::<L>() << bits) - one::<L>();
    let clamped = wide.clamp(L::Wide::from(0), max);
    (L::low(clamped), clamped != wide)
}

/// All ones or zero.
#[inline(always)]
pub(super) fn all_ones<L: Element>(condition: bool) -> L {
    L::truncate((condition as u64).wrapping_neg())
}

/// The low half of `h`'s element, extended to the element's width.
#[inline(always)]
pub(super) fn extend_half<L: Element>(h: u64, signed: bool) -> L {
    let unused = 64 - L::BITS / 2;
    let top = h << unused;
    L::truncate(if signed { (top as i64 >> unused) as u64 } else { top >> unused })
}

#[inline(always)]
pub(super) fn abs<L: Element>(a: L) -> L {
    L::truncate(a.signed().unsigned_abs())
}

#[inline(always)]
pub(super) fn clz<L: Element>(a: L) -> L {
    L::truncate(u64::from(a.bits().leading_zeros() - (64 - L::BITS)))
}

#[inline(always)]
pub(super) fn cls<L: Element>(a: L) -> L {
    let s = a.signed();
    L::truncate(u64::from((s ^ (s >> 1)).leading_zeros() - 1 - (64 - L::BITS)))
}

#[inline(always)]
pub(super) fn ctz<L: Element>(a: L) -> L {
    L::truncate(u64::from(a.bits().trailing_zeros().min(L::BITS)))
}

#[inline(always)]
pub(super) fn rbit<L: Element>(a: L) -> L {
    L::truncate(a.bits().reverse_bits() >> (64 - L::BITS))
}

#[inline(always)]
pub(super) fn sabd<L: Element>(a: L, b: L) -> L {
    let (hi, lo) = if a.signed() > b.signed() { (a, b) } else { (b, a) };
    L::truncate(hi.bits().wrapping_sub(lo.bits()))
}

#[inline(always)]
pub(super) fn uabd<L: Element>(a: L, b: L) -> L {
    L::truncate(a.bits().abs_diff(b.bits()))
}

#[inline(always)]
pub(super) fn shadd<L: Element>(a: L, b: L, round: bool) -> L {
    L::low((a.wide_s() + b.wide_s() + half_unit::<L>(1, round)) >> 1)
}

#[inline(always)]
pub(super) fn uhadd<L: Element>(a: L, b: L, round: bool) -> L {
    L::low((a.wide_u() + b.wide_u() + half_unit::<L>(1, round)) >> 1)
}

#[inline(always)]
pub(super) fn shsub<L: Element>(a: L, b: L) -> L {
    L::low((a.wide_s() - b.wide_s()) >> 1)
}

#[inline(always)]
pub(super) fn uhsub<L: Element>(a: L, b: L) -> L {
    L::low((a.wide_u() - b.wide_u()) >> 1)
}

#[inline(always)]
pub(super) fn sqadd<L: Element>(a: L, b: L) -> (L, bool) {
    sat_s(a.wide_s() + b.wide_s(), L::BITS)
}

#[inline(always)]
pub(super) fn uqadd<L: Element>(a: L, b: L) -> (L, bool) {
    sat_u(a.wide_u() + b.wide_u(), L::BITS)
}

#[inline(always)]
pub(super) fn sqsub<L: Element>(a: L, b: L) -> (L, bool) {
    sat_s(a.wide_s() - b.wide_s(), L::BITS)
}

#[inline(always)]
pub(super) fn uqsub<L: Element>(a: L, b: L) -> (L, bool) {
    sat_u(a.wide_u() - b.wide_u(), L::BITS)
}

#[inline(always)]
pub(super) fn suqadd<L: Element>(a: L, b: L) -> (L, bool) {
    sat_s(a.wide_s() + b.wide_u(), L::BITS)
}

#[inline(always)]
pub(super) fn usqadd<L: Element>(a: L, b: L) -> (L, bool) {
    sat_u(a.wide_u() + b.wide_s(), L::BITS)
}

#[inline(always)]
pub(super) fn sqabs<L: Element>(a: L) -> (L, bool) {
    let wide = a.wide_s();
    sat_s(wide.max(L::Wide::from(0) - wide), L::BITS)
}

#[inline(always)]
pub(super) fn sqneg<L: Element>(a: L) -> (L, bool) {
    sat_s(L::Wide::from(0) - a.wide_s(), L::BITS)
}

/// SQDMULH, SQRDMULH. Everything is halved, so that 2 * minimum * minimum fits the wide type.
#[inline(always)]
pub(super) fn sqdmulh<L: Element>(a: L, b: L, round: bool) -> (L, bool) {
    let n = L::BITS - 1;
    sat_s((a.wide_s() * b.wide_s() + half_unit::<L>(n, round)) >> n, L::BITS)
}

/// SQRDMLAH, SQRDMLSH: the accumulator takes part before the rounding and the only saturation. Halved like [`sqdmulh`].
#[inline(always)]
pub(super) fn sqrdmlah<L: Element>(a: L, b: L, c: L, subtract: bool) -> (L, bool) {
    let n = L::BITS - 1;
    let (product, accumulator) = (a.wide_s() * b.wide_s(), c.wide_s() << n);
    let sum = if subtract { accumulator - product } else { accumulator + product };
    // The sum's largest value is half a unit and more below the wide type's, so rounding cannot overflow.
    sat_s((sum + half_unit::<L>(n, true)) >> n, L::BITS)
}

#[inline(always)]
pub(super) fn shl<L: Element>(a: L, n: u32) -> L {
    L::truncate(if n < L::BITS { a.bits() << n } else { 0 })
}

/// Logical right shift by any amount; from width + 1 on, even the rounding bit is gone.
#[inline(always)]
pub(super) fn ushr<L: Element>(a: L, n: u32, round: bool) -> L {
    match n {
        0 => a,
        n if n > L::BITS => L::truncate(0),
        n => L::low((a.wide_u() + half_unit::<L>(n, round)) >> n),
    }
}

/// Arithmetic right shift by any amount; with rounding, the width and more give 0.
#[inline(always)]
pub(super) fn sshr<L: Element>(a: L, n: u32, round: bool) -> L {
    match n {
        0 => a,
        n if n >= L::BITS && round => L::truncate(0),
        n => {
            let n = n.min(L::BITS);
            L::low((a.wide_s() + half_unit::<L>(n, round)) >> n)
        }
    }
}

#[inline(always)]
pub(super) fn sli<L: Element>(a: L, b: L, n: u32) -> L {
    let mask = shl(all_ones::<L>(true), n);
    L::truncate((a.bits() & !mask.bits()) | shl(b, n).bits())
}

#[inline(always)]
pub(super) fn sri<L: Element>(a: L, b: L, n: u32) -> L {
    let mask = ushr(all_ones::<L>(true), n, false);
    L::truncate((a.bits() & !mask.bits()) | ushr(b, n, false).bits())
}

/// Left shift by any amount with signed saturation.
#[inline(always)]
pub(super) fn sqshl<L: Element>(a: L, n: u32) -> (L, bool) {
    let shifted = shl(a, n);
    if n < L::BITS && shifted.signed() >> n == a.signed() || a.bits() == 0 {
        return (shifted, false);
    }
    let max = u64::MAX >> (65 - L::BITS);
    (L::truncate(if a.signed() < 0 { !max } else { max }), true)
}

/// Left shift of an unsigned element by any amount with unsigned saturation.
#[inline(always)]
pub(super) fn uqshl<L: Element>(a: L, n: u32) -> (L, bool) {
    let shifted = shl(a, n);
    if n < L::BITS && shifted.bits() >> n == a.bits() || a.bits() == 0 { (shifted, false) } else { (all_ones(true), true) }
}

/// Left shift of a signed element by any amount with unsigned saturation (SQSHLU).
#[inline(always)]
pub(super) fn sqshlu<L: Element>(a: L, n: u32) -> (L, bool) {
    if a.signed() < 0 { (L::truncate(0), true) } else { uqshl(a, n) }
}

/// The shift amount of the register shifts: the signed low byte, as (left, amount).
#[inline(always)]
fn amount<L: Element>(b: L) -> (bool, u32) {
    let n = b.bits() as u8 as i8;
    (n >= 0, u32::from(n.unsigned_abs()))
}

#[inline(always)]
pub(super) fn sshlv<L: Element>(a: L, b: L, round: bool) -> L {
    let (left, n) = amount(b);
    if left { shl(a, n) } else { sshr(a, n, round) }
}

#[inline(always)]
pub(super) fn ushlv<L: Element>(a: L, b: L, round: bool) -> L {
    let (left, n) = amount(b);
    if left { shl(a, n) } else { ushr(a, n, round) }
}

#[inline(always)]
pub(super) fn sqshlv<L: Element>(a: L, b: L, round: bool) -> (L, bool) {
    let (left, n) = amount(b);
    if left { sqshl(a, n) } else { (sshr(a, n, round), false) }
}

#[inline(always)]
pub(super) fn uqshlv<L: Element>(a: L, b: L, round: bool) -> (L, bool) {
    let (left, n) = amount(b);
    if left { uqshl(a, n) } else { (ushr(a, n, round), false) }
}

/// How `narrow` reads and cuts an element: its `aux`.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    Truncate { arithmetic: bool },
    SignedToSigned,
    UnsignedToUnsigned,
    SignedToUnsigned,
}

impl Cut {
    pub(super) fn of(aux: u32) -> Cut {
        match aux & 3 {
            0 => Cut::Truncate { arithmetic: aux & 8 != 0 },
            1 => Cut::SignedToSigned,
            2 => Cut::UnsignedToUnsigned,
            _ => Cut::SignedToUnsigned,
        }
    }
}

/// Right shift by `n`, at most the width, in full precision, then to half the width, with what does not fit cut off or saturated.
#[inline(always)]
pub(super) fn narrow<L: Element>(a: L, n: u32, round: bool, cut: Cut) -> (L, bool) {
    let half = L::BITS / 2;
    let wide = match cut {
        Cut::UnsignedToUnsigned | Cut::Truncate { arithmetic: false } => a.wide_u(),
        _ => a.wide_s(),
    };
    let n = n.min(L::BITS);
    let shifted = if n == 0 { wide } else { (wide + half_unit::<L>(n, round)) >> n };
    let (result, saturated) = match cut {
        Cut::Truncate { .. } => (L::low(shifted), false),
        Cut::SignedToSigned => sat_s(shifted, half),
        Cut::UnsignedToUnsigned | Cut::SignedToUnsigned => sat_u(shifted, half),
    };
    (extend_half(result.bits(), false), saturated)
}

/// 2 * a * b of two elements of half the width (sign-extended to the full one), saturated.
#[inline(always)]
pub(super) fn sqdmull<L: Element>(a: L, b: L) -> (L, bool) {
    sat_s((a.wide_s() * b.wide_s()) << 1, L::BITS)
}

/// Carry-less product of the low `bits` bits, at most 32 of them.
#[inline(always)]
pub(super) fn carryless(a: u64, b: u64, bits: u32) -> u64 {
    (0..bits).fold(0, |product, i| product ^ ((a << i) & (b >> i & 1).wrapping_neg()))
}
