//! The executable meaning of the vector and integer saturation ops, and the way to the floating-point and cryptographic ones.
//!
//! The idea: a vector is a run of slots, so a per-element op is a loop over words and, inside a word, over its elements; nothing is copied or
//! allocated, and the code is the same for 64 bits and for 256 bytes. A scalar is a vector of one word whose bits above its width are cleared
//! afterwards: the zeroes there never saturate.
//!
//! Invariant: for an op that the verifier let through, on at least as many slots as it was told, nothing here panics. A type that an op has no
//! meaning for gives `false` and changes nothing.

mod element;
mod permute;
#[cfg(test)]
pub(crate) mod tests;

use crate::{crypto, float, hash};
use element::{Cut, Element};
use emu_ir::{Code, Op, Shape, Ty};

/// Bit of the sticky flags that integer saturation sets; the bits below are `emu_softfloat::Flags`.
pub const SATURATED: u32 = 1 << 8;

/// How many words an op works on.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Words of a `T`.
    pub(crate) words: usize,
    /// Bits of the last word that belong to the value.
    pub(crate) tail: u64,
    /// One element only.
    pub(crate) scalar: bool,
}

impl Extent {
    pub(crate) fn of(ty: Ty, shape: Shape, vl: u32) -> Extent {
        let (bits, scalar) = match shape {
            Shape::SCALAR => (ty.bits(), true),
            Shape::V64 => (64, false),
            Shape::V128 => (128, false),
            Shape::VL => (vl * 8, false),
            _ => (vl, false),
        };
        let unused = bits.wrapping_neg() % 64;
        Extent { words: bits.div_ceil(64) as usize, tail: u64::MAX >> unused, scalar }
    }

    /// Clears what lies above the value.
    #[inline(always)]
    fn trim(self, slots: &mut [u64], dst: usize) {
        if self.words > 0 {
            slots[dst + self.words - 1] &= self.tail;
        }
    }

    /// 32-bit half `i` of the source of a widening op; `high`: counted from the middle of the vector.
    #[inline(always)]
    pub(crate) fn half_word(self, slots: &[u64], base: u32, i: usize, high: bool) -> u64 {
        let half = if high && !self.scalar { self.words + i } else { i };
        slots[base as usize + half / 2] >> (half % 2 * 32) & 0xffff_ffff
    }

    /// Puts 32-bit half `i` of a narrowing op's result; in order, from 0.
    #[inline(always)]
    pub(crate) fn put_half_word(slots: &mut [u64], dst: u32, i: usize, half: u64) {
        let at = dst as usize + i / 2;
        slots[at] = if i.is_multiple_of(2) { half } else { slots[at] | half << 32 };
    }

    /// Clears the upper half of a narrowing op's result, which only a `vl` vector has.
    pub(crate) fn clear_upper_half(self, slots: &mut [u64], op: &Op) {
        if op.shape == Shape::VL {
            slots[op.dst as usize..][self.words.div_ceil(2)..self.words].fill(0);
        }
    }
}

/// Executes one op that works on vectors or floating-point numbers, or that is an integer saturation, CRC or carry-less product. Bits are added
/// to `fp_flags` as exceptions and saturation occur. `false`: not such an op, or a type that it has no meaning for; then nothing has changed.
pub fn exec(op: &Op, slots: &mut [u64], vl: u32, fp_flags: &mut u32) -> bool {
    let Some(code) = op.opcode() else { return false };
    let e = Extent::of(op.ty, op.shape, vl);
    let (dst, a, b, c) = (op.dst as usize, op.a as usize, op.b as usize, op.c as usize);
    match code {
        Code::And => words2(op, slots, e, |a, b| a & b),
        Code::Or => words2(op, slots, e, |a, b| a | b),
        Code::Xor => words2(op, slots, e, |a, b| a ^ b),
        Code::AndNot => words2(op, slots, e, |a, b| a & !b),
        Code::OrNot => words2(op, slots, e, |a, b| a | !b),
        Code::Not => {
            for i in 0..e.words {
                slots[dst + i] = !slots[a + i];
            }
            e.trim(slots, dst);
        }
        Code::Select => {
            let from = if slots[c] & 1 != 0 { a } else { b };
            for i in 0..e.words {
                slots[dst + i] = slots[from + i];
            }
        }
        Code::BitSel => {
            for i in 0..e.words {
                slots[dst + i] = (slots[a + i] & slots[c + i]) | (slots[b + i] & !slots[c + i]);
            }
        }
        Code::Crc32 | Code::ClMul => return crypto::exec(code, op, slots, e),
        _ if code as u16 >= Code::FAdd as u16 && code as u16 <= Code::BfMlal as u16 => {
            return match op.shape {
                Shape::SCALAR => float::exec_scalar_fp(op, slots, fp_flags),
                Shape::PL => false,
                _ => float::exec(code, op, slots, e, fp_flags),
            };
        }
        // Only the ops above work on predicates.
        _ if op.shape == Shape::PL => return false,
        Code::AesEnc | Code::AesDec | Code::AesMc | Code::AesImc => return crypto::exec(code, op, slots, e),
        _ if code as u16 >= Code::Sha1Hash as u16 && code as u16 <= Code::Sm4 as u16 => return hash::exec(code, op, slots),
        _ if code as u16 >= Code::Dup as u16 && code as u16 <= Code::Tbl as u16 => {
            return !e.scalar && permute::exec(code, op, slots, e, vl);
        }
        _ => {
            return match op.ty.bits() {
                8 => lanewise::<u8>(code, op, slots, e, fp_flags),
                16 => lanewise::<u16>(code, op, slots, e, fp_flags) || widening::<u16>(code, op, slots, e, fp_flags),
                32 => lanewise::<u32>(code, op, slots, e, fp_flags) || widening::<u32>(code, op, slots, e, fp_flags),
                64 => lanewise::<u64>(code, op, slots, e, fp_flags) || widening::<u64>(code, op, slots, e, fp_flags),
                128 if !e.scalar => widening128(code, op, slots, e),
                _ => false,
            };
        }
    }
    true
}

#[inline(always)]
fn words2(op: &Op, slots: &mut [u64], e: Extent, f: impl Fn(u64, u64) -> u64) {
    let (dst, a, b) = (op.dst as usize, op.a as usize, op.b as usize);
    for i in 0..e.words {
        slots[dst + i] = f(slots[a + i], slots[b + i]);
    }
    e.trim(slots, dst);
}

/// The elements of a word, each made by `f` from its index.
#[inline(always)]
fn word_of<L: Element>(mut f: impl FnMut(u32) -> L) -> u64 {
    let mut word = 0;
    for i in 0..64 / L::BITS {
        word |= f(i).bits() << (i * L::BITS);
    }
    word
}

#[inline(always)]
fn lane<L: Element>(word: u64, i: u32) -> L {
    L::truncate(word >> (i * L::BITS))
}

#[inline(always)]
fn map1<L: Element>(op: &Op, slots: &mut [u64], e: Extent, mut f: impl FnMut(L) -> L) -> bool {
    let (dst, a) = (op.dst as usize, op.a as usize);
    for i in 0..e.words {
        let x = slots[a + i];
        slots[dst + i] = word_of(|i| f(lane(x, i)));
    }
    e.trim(slots, dst);
    true
}

#[inline(always)]
fn map2<L: Element>(op: &Op, slots: &mut [u64], e: Extent, mut f: impl FnMut(L, L) -> L) -> bool {
    let (dst, a, b) = (op.dst as usize, op.a as usize, op.b as usize);
    for i in 0..e.words {
        let (x, y) = (slots[a + i], slots[b + i]);
        slots[dst + i] = word_of(|i| f(lane(x, i), lane(y, i)));
    }
    e.trim(slots, dst);
    true
}

#[inline(always)]
fn map3<L: Element>(op: &Op, slots: &mut [u64], e: Extent, mut f: impl FnMut(L, L, L) -> L) -> bool {
    let (dst, a, b, c) = (op.dst as usize, op.a as usize, op.b as usize, op.c as usize);
    for i in 0..e.words {
        let (x, y, z) = (slots[a + i], slots[b + i], slots[c + i]);
        slots[dst + i] = word_of(|i| f(lane(x, i), lane(y, i), lane(z, i)));
    }
    e.trim(slots, dst);
    true
}

/// Where saturation is noted.
struct Sticky<'a>(&'a mut u32);

impl Sticky<'_> {
    /// The result; the flag is set if it is a saturated one.
    #[inline(always)]
    fn note<L>(&mut self, (result, saturated): (L, bool)) -> L {
        *self.0 |= if saturated { SATURATED } else { 0 };
        result
    }
}

/// Per-element ops between vectors or scalars of one type.
fn lanewise<L: Element>(code: Code, op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32) -> bool {
    use element::*;
    let mut q = Sticky(fp_flags);
    let (imm_set, aux_set) = (op.imm & 1 != 0, op.aux & 1 != 0);
    // The verifier keeps shift amounts below 256.
    let n = op.imm as u32;
    match code {
        Code::Add => map2(op, slots, e, |a: L, b| L::truncate(a.bits().wrapping_add(b.bits()))),
        Code::Sub => map2(op, slots, e, |a: L, b| L::truncate(a.bits().wrapping_sub(b.bits()))),
        Code::Mul => map2(op, slots, e, |a: L, b| L::truncate(a.bits().wrapping_mul(b.bits()))),
        Code::Neg => map1(op, slots, e, |a: L| L::truncate(a.bits().wrapping_neg())),
        Code::Abs => map1(op, slots, e, abs::<L>),
        Code::SMax => map2(op, slots, e, |a: L, b| if a.signed() > b.signed() { a } else { b }),
        Code::SMin => map2(op, slots, e, |a: L, b| if a.signed() < b.signed() { a } else { b }),
        Code::UMax => map2(op, slots, e, |a: L, b| a.max(b)),
        Code::UMin => map2(op, slots, e, |a: L, b| a.min(b)),
        Code::Clz => map1(op, slots, e, clz::<L>),
        Code::Cls => map1(op, slots, e, cls::<L>),
        Code::Ctz => map1(op, slots, e, ctz::<L>),
        Code::Cnt => map1(op, slots, e, |a: L| L::truncate(u64::from(a.bits().count_ones()))),
        Code::RBit => map1(op, slots, e, rbit::<L>),
        Code::VEq => map2(op, slots, e, |a: L, b| all_ones(a == b)),
        Code::VGtS => map2(op, slots, e, |a: L, b| all_ones(a.signed() > b.signed())),
        Code::VGeS => map2(op, slots, e, |a: L, b| all_ones(a.signed() >= b.signed())),
        Code::VGtU => map2(op, slots, e, |a: L, b| all_ones(a > b)),
        Code::VGeU => map2(op, slots, e, |a: L, b| all_ones(a >= b)),
        Code::VTst => map2(op, slots, e, |a: L, b| all_ones(a.bits() & b.bits() != 0)),
        Code::SAbd => map2(op, slots, e, sabd::<L>),
        Code::UAbd => map2(op, slots, e, uabd::<L>),
        Code::SHAdd => map2(op, slots, e, |a: L, b| shadd(a, b, imm_set)),
        Code::UHAdd => map2(op, slots, e, |a: L, b| uhadd(a, b, imm_set)),
        Code::SHSub => map2(op, slots, e, shsub::<L>),
        Code::UHSub => map2(op, slots, e, uhsub::<L>),
        Code::SQAdd => map2(op, slots, e, |a: L, b| q.note(sqadd(a, b))),
        Code::UQAdd => map2(op, slots, e, |a: L, b| q.note(uqadd(a, b))),
        Code::SQSub => map2(op, slots, e, |a: L, b| q.note(sqsub(a, b))),
        Code::UQSub => map2(op, slots, e, |a: L, b| q.note(uqsub(a, b))),
        Code::SUQAdd => map2(op, slots, e, |a: L, b| q.note(suqadd(a, b))),
        Code::USQAdd => map2(op, slots, e, |a: L, b| q.note(usqadd(a, b))),
        Code::SQAbs => map1(op, slots, e, |a: L| q.note(sqabs(a))),
        Code::SQNeg => map1(op, slots, e, |a: L| q.note(sqneg(a))),
        Code::SQDMulH => map2(op, slots, e, |a: L, b| q.note(sqdmulh(a, b, imm_set))),
        Code::SQRDMlaH => map3(op, slots, e, |a: L, b, c| q.note(sqrdmlah(a, b, c, imm_set))),
        Code::ShlImm => map1(op, slots, e, |a: L| shl(a, n)),
        Code::RotRImm => map1(op, slots, e, |a: L| L::truncate(a.bits() >> n | a.bits() << ((L::BITS - n) % 64))),
        Code::UShrImm => map1(op, slots, e, |a: L| ushr(a, n, aux_set)),
        Code::SShrImm => map1(op, slots, e, |a: L| sshr(a, n, aux_set)),
        Code::SliImm => map2(op, slots, e, |a: L, b| sli(a, b, n)),
        Code::SriImm => map2(op, slots, e, |a: L, b| sri(a, b, n)),
        Code::SQShlImm => match op.aux & 3 {
            0 => map1(op, slots, e, |a: L| q.note(sqshl(a, n))),
            1 => map1(op, slots, e, |a: L| q.note(uqshl(a, n))),
            _ => map1(op, slots, e, |a: L| q.note(sqshlu(a, n))),
        },
        Code::SShlV => map2(op, slots, e, |a: L, b| sshlv(a, b, aux_set)),
        Code::UShlV => map2(op, slots, e, |a: L, b| ushlv(a, b, aux_set)),
        Code::SQShlV => map2(op, slots, e, |a: L, b| q.note(sqshlv(a, b, aux_set))),
        Code::UQShlV => map2(op, slots, e, |a: L, b| q.note(uqshlv(a, b, aux_set))),
        Code::PMul => map2(op, slots, e, |a: u8, b| carryless(a.bits(), b.bits(), 8) as u8),
        Code::ReduceAdd => reduce(op, slots, e, |a: L, b| L::truncate(a.bits().wrapping_add(b.bits()))),
        Code::ReduceSMax => reduce(op, slots, e, |a: L, b| if a.signed() > b.signed() { a } else { b }),
        Code::ReduceSMin => reduce(op, slots, e, |a: L, b| if a.signed() < b.signed() { a } else { b }),
        Code::ReduceUMax => reduce(op, slots, e, |a: L, b| a.max(b)),
        Code::ReduceUMin => reduce(op, slots, e, |a: L, b| a.min(b)),
        Code::Dot4 if L::BITS >= 32 => map3(op, slots, e, |a: L, b, c| dot4(a, b, c, op.aux)),
        Code::MatMul8 if L::BITS == 32 && e.words.is_multiple_of(2) => {
            for i in (0..e.words).step_by(2) {
                matmul8(op, slots, i);
            }
            true
        }
        _ => false,
    }
}

#[inline(always)]
fn reduce<L: Element>(op: &Op, slots: &mut [u64], e: Extent, f: impl Fn(L, L) -> L) -> bool {
    let words = &slots[op.a as usize..][..e.words];
    let elements = words.iter().flat_map(|word| (0..64 / L::BITS).map(|i| lane::<L>(*word, i)));
    slots[op.dst as usize] = elements.reduce(f).map_or(0, L::bits);
    true
}

/// Low `bits` bits of `word`, extended.
#[inline(always)]
fn extend(word: u64, bits: u32, signed: bool) -> i64 {
    let unused = 64 - bits;
    if signed { (word << unused) as i64 >> unused } else { (word << unused >> unused) as i64 }
}

/// c plus the products of the four quarters of a and b.
#[inline(always)]
fn dot4<L: Element>(a: L, b: L, c: L, aux: u32) -> L {
    let quarter = L::BITS / 4;
    let sum = (0..4).map(|i| i * quarter).fold(c.bits(), |sum, at| {
        let x = extend(a.bits() >> at, quarter, aux & 1 != 0);
        let y = extend(b.bits() >> at, quarter, aux & 2 != 0);
        sum.wrapping_add((x * y) as u64)
    });
    L::truncate(sum)
}

/// SMMLA and kin on the 128 bits at word `i`: row r of a times row s of b is element (r, s), and a row of c a word.
fn matmul8(op: &Op, slots: &mut [u64], i: usize) {
    let at = |slot: u32| slot as usize + i;
    let (a, b) = ([slots[at(op.a)], slots[at(op.a) + 1]], [slots[at(op.b)], slots[at(op.b) + 1]]);
    for (r, row) in a.into_iter().enumerate() {
        let sums = slots[at(op.c) + r];
        slots[at(op.dst) + r] = word_of(|s| {
            let column = b[s as usize];
            let first = dot4(row as u32, column as u32, lane(sums, s), op.aux);
            dot4((row >> 32) as u32, (column >> 32) as u32, first, op.aux)
        });
    }
}

/// Each element of the result from the half-width elements at its place in the chosen halves of a and b.
#[inline(always)]
fn widen2<L: Element>(op: &Op, slots: &mut [u64], e: Extent, mut f: impl FnMut(u64, u64) -> L) -> bool {
    for i in 0..e.words {
        let high = op.aux & 2 != 0;
        let (x, y) = (e.half_word(slots, op.a, i, high), e.half_word(slots, op.b, i, high));
        slots[op.dst as usize + i] = word_of(|i| f(x >> (i * L::BITS / 2), y >> (i * L::BITS / 2)));
    }
    e.trim(slots, op.dst as usize);
    true
}

/// Ops between elements of a width and of half of it; `L` is the wide one.
fn widening<L: Element>(code: Code, op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32) -> bool {
    use element::{carryless, extend_half, narrow, sqdmull};
    let mut q = Sticky(fp_flags);
    let signed = op.aux & 1 != 0;
    let half = L::BITS / 2;
    match code {
        Code::Widen => {
            let one_operand = Op { b: op.a, ..*op };
            widen2(&one_operand, slots, e, |x, _| extend_half::<L>(x, signed))
        }
        Code::MulL => widen2(op, slots, e, |x, y| {
            let (x, y) = (extend_half::<L>(x, signed), extend_half::<L>(y, signed));
            L::truncate(x.bits().wrapping_mul(y.bits()))
        }),
        Code::SQDMulL => widen2(op, slots, e, |x, y| q.note(sqdmull(extend_half::<L>(x, true), extend_half::<L>(y, true)))),
        Code::PMulL => widen2(op, slots, e, |x, y| {
            let (x, y) = (extend_half::<L>(x, false), extend_half::<L>(y, false));
            L::truncate(carryless(x.bits(), y.bits(), half))
        }),
        Code::AddLP => map1(op, slots, e, |a: L| {
            let (even, odd) = (extend_half::<L>(a.bits(), signed), extend_half::<L>(a.bits() >> half, signed));
            L::truncate(even.bits().wrapping_add(odd.bits()))
        }),
        Code::Narrow => {
            let (n, round, cut) = (op.imm as u32, op.aux & 4 != 0, Cut::of(op.aux));
            for i in 0..e.words {
                let word = slots[op.a as usize + i];
                let mut packed = 0;
                for lane_index in 0..64 / L::BITS {
                    packed |= q.note(narrow(lane::<L>(word, lane_index), n, round, cut)).bits() << (lane_index * half);
                }
                Extent::put_half_word(slots, op.dst, i, packed);
            }
            e.clear_upper_half(slots, op);
            true
        }
        _ => false,
    }
}

/// The ops whose result has 128-bit elements.
fn widening128(code: Code, op: &Op, slots: &mut [u64], e: Extent) -> bool {
    let signed = op.aux & 1 != 0;
    let wide = |x: u64| if signed { x as i64 as u128 } else { u128::from(x) };
    let pairs = e.words / 2;
    if pairs == 0 || !matches!(code, Code::Widen | Code::MulL | Code::PMulL) {
        return false;
    }
    let first = if op.aux & 2 != 0 { pairs } else { 0 };
    for i in 0..pairs {
        let x = slots[op.a as usize + first + i];
        let result = match code {
            Code::Widen => wide(x),
            Code::MulL => wide(x).wrapping_mul(wide(slots[op.b as usize + first + i])),
            _ => crypto::carryless64(x, slots[op.b as usize + first + i]),
        };
        slots[op.dst as usize + 2 * i] = result as u64;
        slots[op.dst as usize + 2 * i + 1] = (result >> 64) as u64;
    }
    true
}
