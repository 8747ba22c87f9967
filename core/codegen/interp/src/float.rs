//! The executable meaning of the floating-point ops, on scalars and vectors.
//!
//! The idea: `emu_softfloat` knows what an op does to one number; here is which bits the numbers are. As in `vector`, a vector is a run of words
//! and nothing is copied; but a scalar's word has exactly one number in it, since an op on the zeroes above could raise exceptions.

use crate::vector::Extent;
use emu_ir::{Code, Op, Shape, Ty};
use emu_softfloat::{self as sf, BF16, F16, F32, F64, Flags, Format, IntSize, Mode, Relation, Rounding};

/// Runs `$body` with `$F` as the format that `$ty` names; `$else` for other types.
macro_rules! by_format {
    ($ty:expr, $F:ident => $body:expr, _ => $else:expr) => {
        match $ty {
            Ty::F16 => {
                type $F = F16;
                $body
            }
            Ty::BF16 => {
                type $F = BF16;
                $body
            }
            Ty::F32 => {
                type $F = F32;
                $body
            }
            Ty::F64 => {
                type $F = F64;
                $body
            }
            _ => $else,
        }
    };
    ($ty:expr, $F:ident => $body:expr) => {
        by_format!($ty, $F => $body, _ => false)
    };
}

// After the macro, which the tests use.
#[cfg(test)]
mod tests;

const fn width<F: Format>() -> u32 {
    F::EXP_BITS + F::FRAC_BITS + 1
}

/// Puts the numbers of a word together: `f` makes number `i` from the shift of its place.
#[inline(always)]
fn numbers(scalar: bool, bits: u32, mut f: impl FnMut(u32) -> u64) -> u64 {
    if scalar {
        return f(0);
    }
    let mut word = 0;
    for shift in (0..64).step_by(bits as usize) {
        word |= f(shift) << shift;
    }
    word
}

/// Adds an op's exceptions to the sticky ones.
#[inline(always)]
fn noted<T>(fp_flags: &mut u32, (result, flags): (T, Flags)) -> T {
    *fp_flags |= u32::from(flags.bits());
    result
}

#[inline(always)]
fn map1<F: Format>(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, f: impl Fn(F::Bits) -> (F::Bits, Flags)) -> bool {
    let (dst, a) = (op.dst as usize, op.a as usize);
    for i in 0..e.words {
        let x = slots[a + i];
        slots[dst + i] = numbers(e.scalar, width::<F>(), |at| F::widen(noted(fp_flags, f(F::narrow(x >> at)))));
    }
    true
}

#[inline(always)]
fn map2<F: Format>(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, f: impl Fn(F::Bits, F::Bits) -> (F::Bits, Flags)) -> bool {
    let (dst, a, b) = (op.dst as usize, op.a as usize, op.b as usize);
    for i in 0..e.words {
        let (x, y) = (slots[a + i], slots[b + i]);
        slots[dst + i] = numbers(e.scalar, width::<F>(), |at| F::widen(noted(fp_flags, f(F::narrow(x >> at), F::narrow(y >> at)))));
    }
    true
}

#[inline(always)]
fn map3<F: Format>(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, f: impl Fn(F::Bits, F::Bits, F::Bits) -> (F::Bits, Flags)) -> bool {
    let (dst, a, b, c) = (op.dst as usize, op.a as usize, op.b as usize, op.c as usize);
    for i in 0..e.words {
        let (x, y, z) = (slots[a + i], slots[b + i], slots[c + i]);
        slots[dst + i] =
            numbers(e.scalar, width::<F>(), |at| F::widen(noted(fp_flags, f(F::narrow(x >> at), F::narrow(y >> at), F::narrow(z >> at)))));
    }
    true
}

/// A comparison: all ones in the element, or zero.
#[inline(always)]
fn compare<F: Format>(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, f: impl Fn(F::Bits, F::Bits) -> (bool, Flags)) -> bool {
    map2::<F>(op, slots, e, fp_flags, |a, b| {
        let (holds, flags) = f(a, b);
        (F::narrow((holds as u64).wrapping_neg()), flags)
    })
}

#[inline(always)]
fn mul_add<F: Format>(a: F::Bits, b: F::Bits, c: F::Bits, negate: u64, mode: Mode) -> (F::Bits, Flags) {
    let a = if negate & 1 != 0 { sf::neg::<F>(a, mode) } else { a };
    let c = if negate & 2 != 0 { sf::neg::<F>(c, mode) } else { c };
    sf::mul_add::<F>(c, a, b, mode)
}

/// The fast way to a scalar op in binary32 or binary64; anything else goes the general way. `false` as for `vector::exec`.
#[inline]
pub fn exec_scalar_fp(op: &Op, slots: &mut [u64], fp_flags: &mut u32) -> bool {
    let Some(code) = op.opcode() else { return false };
    match op.ty {
        Ty::F32 => scalar::<F32>(code, op, slots, fp_flags),
        Ty::F64 => scalar::<F64>(code, op, slots, fp_flags),
        _ => exec(code, op, slots, Extent::of(op.ty, Shape::SCALAR, 0), fp_flags),
    }
}

#[inline(always)]
fn scalar<F: Format>(code: Code, op: &Op, slots: &mut [u64], fp_flags: &mut u32) -> bool {
    let e = Extent { words: 1, tail: u64::MAX >> (64 - width::<F>()), scalar: true };
    let mode = Mode::from_bits(op.aux);
    match code {
        Code::FAdd => map2::<F>(op, slots, e, fp_flags, |a, b| sf::add::<F>(a, b, mode)),
        Code::FSub => map2::<F>(op, slots, e, fp_flags, |a, b| sf::sub::<F>(a, b, mode)),
        Code::FMul => map2::<F>(op, slots, e, fp_flags, |a, b| sf::mul::<F>(a, b, mode)),
        Code::FDiv => map2::<F>(op, slots, e, fp_flags, |a, b| sf::div::<F>(a, b, mode)),
        Code::FMulAdd => map3::<F>(op, slots, e, fp_flags, |a, b, c| mul_add::<F>(a, b, c, op.imm, mode)),
        _ => exec(code, op, slots, e, fp_flags),
    }
}

/// Conversion between any two formats (BFCVT from binary32 to bfloat16); `None` if one is not a format.
#[inline]
fn convert(from: Ty, to: Ty, bits: u64, mode: Mode) -> Option<(u64, Flags)> {
    if (from, to) == (Ty::F32, Ty::BF16) {
        let (bits, flags) = sf::bf_convert(bits as u32, mode);
        return Some((u64::from(bits), flags));
    }
    by_format!(from, Src => by_format!(to, Dst => {
        let (bits, flags) = sf::convert::<Src, Dst>(Src::narrow(bits), mode);
        Some((Dst::widen(bits), flags))
    }, _ => None), _ => None)
}

fn int_size(bits: u32) -> Option<IntSize> {
    match bits {
        16 => Some(IntSize::Int16),
        32 => Some(IntSize::Int32),
        64 => Some(IntSize::Int64),
        _ => None,
    }
}

/// The members of `ftoint`'s and `inttof`'s `imm`.
struct Fixed {
    /// The other type.
    ty: Ty,
    rounding: Rounding,
    unsigned: bool,
    fraction_bits: u32,
}

impl Fixed {
    fn of(imm: u64) -> Fixed {
        Fixed {
            ty: Ty((imm >> 16) as u8),
            rounding: Rounding::from_index(imm as u32 & 7),
            unsigned: imm & 8 != 0,
            fraction_bits: (imm >> 8) as u32 & 0xff,
        }
    }
}

fn to_int(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, mode: Mode) -> bool {
    let Fixed { ty, rounding, unsigned, fraction_bits } = Fixed::of(op.imm);
    let Some(size) = int_size(op.ty.bits()) else { return false };
    if !ty.is_float() || op.ty.is_float() || (!e.scalar && ty.bits() != op.ty.bits()) {
        return false;
    }
    by_format!(ty, F => {
        for i in 0..e.words {
            let x = slots[op.a as usize + i];
            slots[op.dst as usize + i] = numbers(e.scalar, width::<F>(), |at| {
                noted(fp_flags, sf::to_int::<F>(F::narrow(x >> at), !unsigned, size, fraction_bits, mode, rounding))
            });
        }
        true
    })
}

fn from_int(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, mode: Mode) -> bool {
    let Fixed { ty, unsigned, fraction_bits, .. } = Fixed::of(op.imm);
    let bits = ty.bits();
    if !(8..=64).contains(&bits) || (!e.scalar && bits != op.ty.bits()) {
        return false;
    }
    let unused = 64 - bits;
    by_format!(op.ty, F => {
        for i in 0..e.words {
            let x = slots[op.a as usize + i];
            slots[op.dst as usize + i] = numbers(e.scalar, width::<F>(), |at| {
                let top = x >> at << unused;
                F::widen(noted(fp_flags, if unsigned {
                    sf::from_u64::<F>(top >> unused, fraction_bits, mode, mode.rounding())
                } else {
                    sf::from_i64::<F>(top as i64 >> unused, fraction_bits, mode, mode.rounding())
                }))
            });
        }
        true
    })
}

fn widen(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, mode: Mode) -> bool {
    let (Some(half), true) = (op.ty.half(), op.ty.is_float()) else { return false };
    for i in 0..e.words {
        let source = e.half_word(slots, op.a, i, op.imm & 1 != 0);
        slots[op.dst as usize + i] = numbers(e.scalar, op.ty.bits(), |at| {
            // Both are floating-point types.
            convert(half, op.ty, source >> (at / 2), mode).map_or(0, |result| noted(fp_flags, result))
        });
    }
    true
}

fn narrow(op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, mode: Mode) -> bool {
    let half = match op.ty {
        Ty::F64 => Ty::F32,
        Ty::F32 if op.imm & 1 != 0 => Ty::BF16,
        Ty::F32 => Ty::F16,
        _ => return false,
    };
    let bits = op.ty.bits();
    for i in 0..e.words {
        let source = slots[op.a as usize + i];
        let mut packed = 0;
        for at in (0..64).step_by(bits as usize) {
            packed |= convert(op.ty, half, source >> at, mode).map_or(0, |result| noted(fp_flags, result)) << (at / 2);
        }
        Extent::put_half_word(slots, op.dst, i, packed);
    }
    e.clear_upper_half(slots, op);
    true
}

/// The ops that add products of 16-bit numbers to binary32 elements.
fn half_products(code: Code, op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32, mode: Mode) -> bool {
    if op.ty != Ty::F32 {
        return false;
    }
    let (a, b, c) = (op.a as usize, op.b as usize, op.c as usize);
    for i in 0..e.words {
        let (x, y, z) = match code {
            Code::FMulAddH => {
                let high = op.imm & 2 != 0;
                (e.half_word(slots, op.a, i, high), e.half_word(slots, op.b, i, high), slots[c + i])
            }
            _ => (slots[a + i], slots[b + i], slots[c + i]),
        };
        slots[op.dst as usize + i] = numbers(e.scalar, 32, |at| {
            let addend = (z >> at) as u32;
            u64::from(match code {
                Code::FMulAddH => {
                    let (x, y) = ((x >> (at / 2)) as u16, (y >> (at / 2)) as u16);
                    let x = if op.imm & 1 != 0 { sf::neg::<F16>(x, mode) } else { x };
                    noted(fp_flags, sf::mul_add_h(addend, x, y, mode))
                }
                Code::BfMlal => {
                    let at = at + 16 * (op.imm as u32 & 1);
                    noted(fp_flags, sf::bf_mul_add(addend, (x >> at) as u16, (y >> at) as u16, mode))
                }
                _ => sf::bf_dot_add(addend, pair(x, at), pair(y, at), mode),
            })
        });
    }
    true
}

/// The two bfloat16 numbers of the 32 bits at `at`.
#[inline(always)]
fn pair(word: u64, at: u32) -> [u16; 2] {
    [(word >> at) as u16, (word >> (at + 16)) as u16]
}

/// BFMMLA on each 128 bits: row r of a times row s of b is added to element (r, s); a row of a or b is a word, as is one of c.
fn bf_matmul(op: &Op, slots: &mut [u64], e: Extent, mode: Mode) -> bool {
    if op.ty != Ty::F32 || !e.words.is_multiple_of(2) {
        return false;
    }
    for i in 0..e.words {
        let row = slots[op.a as usize + i];
        let sums = slots[op.c as usize + i];
        let columns = op.b as usize + (i & !1);
        slots[op.dst as usize + i] = numbers(false, 32, |at| {
            let column = slots[columns + (at / 32) as usize];
            let first = sf::bf_dot_add((sums >> at) as u32, pair(row, 0), pair(column, 0), mode);
            u64::from(sf::bf_dot_add(first, pair(row, 32), pair(column, 32), mode))
        });
    }
    true
}

fn unsigned_estimate(op: &Op, slots: &mut [u64], e: Extent, f: impl Fn(u32) -> u32) -> bool {
    if op.ty.bits() != 32 {
        return false;
    }
    for i in 0..e.words {
        let x = slots[op.a as usize + i];
        slots[op.dst as usize + i] = numbers(e.scalar, 32, |at| u64::from(f((x >> at) as u32)));
    }
    true
}

/// Executes a floating-point op on a scalar or a vector (not a predicate).
pub(crate) fn exec(code: Code, op: &Op, slots: &mut [u64], e: Extent, fp_flags: &mut u32) -> bool {
    let mode = Mode::from_bits(op.aux);
    let imm_set = op.imm & 1 != 0;
    let rounding = Rounding::from_index(op.imm as u32 & 7);
    match code {
        Code::FAdd => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::add::<F>(a, b, mode))),
        Code::FSub => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::sub::<F>(a, b, mode))),
        Code::FMul => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::mul::<F>(a, b, mode))),
        Code::FDiv => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::div::<F>(a, b, mode))),
        Code::FSqrt => by_format!(op.ty, F => map1::<F>(op, slots, e, fp_flags, |a| sf::sqrt::<F>(a, mode))),
        Code::FMulAdd => by_format!(op.ty, F => map3::<F>(op, slots, e, fp_flags, |a, b, c| mul_add::<F>(a, b, c, op.imm, mode))),
        Code::FMulX => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::mulx::<F>(a, b, mode))),
        Code::FMax => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::max::<F>(a, b, mode))),
        Code::FMin => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::min::<F>(a, b, mode))),
        Code::FMaxNm => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::maxnum::<F>(a, b, mode))),
        Code::FMinNm => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::minnum::<F>(a, b, mode))),
        Code::FAbd => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| {
            let (difference, flags) = sf::sub::<F>(a, b, mode);
            (sf::abs::<F>(difference, mode), flags)
        })),
        Code::FRelation => by_format!(op.ty, F => {
            let (a, b) = (F::narrow(slots[op.a as usize]), F::narrow(slots[op.b as usize]));
            let relation = if imm_set { sf::compare_signaling::<F>(a, b, mode) } else { sf::compare::<F>(a, b, mode) };
            slots[op.dst as usize] = match noted(fp_flags, relation) {
                Relation::Equal => 0,
                Relation::Less => 1,
                Relation::Greater => 2,
                Relation::Unordered => 3,
            };
            true
        }),
        Code::FCmEq => by_format!(op.ty, F => compare::<F>(op, slots, e, fp_flags, |a, b| sf::eq::<F>(a, b, mode))),
        Code::FCmGe if imm_set => by_format!(op.ty, F => compare::<F>(op, slots, e, fp_flags, |a, b| {
            sf::ge::<F>(sf::abs::<F>(a, mode), sf::abs::<F>(b, mode), mode)
        })),
        Code::FCmGe => by_format!(op.ty, F => compare::<F>(op, slots, e, fp_flags, |a, b| sf::ge::<F>(a, b, mode))),
        Code::FCmGt if imm_set => by_format!(op.ty, F => compare::<F>(op, slots, e, fp_flags, |a, b| {
            sf::gt::<F>(sf::abs::<F>(a, mode), sf::abs::<F>(b, mode), mode)
        })),
        Code::FCmGt => by_format!(op.ty, F => compare::<F>(op, slots, e, fp_flags, |a, b| sf::gt::<F>(a, b, mode))),
        Code::FRoundInt => {
            let exact = op.imm & 8 != 0;
            by_format!(op.ty, F => map1::<F>(op, slots, e, fp_flags, |a| sf::round_to_int::<F>(a, mode, rounding, exact)))
        }
        Code::FRoundIntN => {
            let Some(size) = int_size((op.imm >> 8) as u32 & 0xff) else { return false };
            by_format!(op.ty, F => map1::<F>(op, slots, e, fp_flags, |a| sf::round_int_n::<F>(a, mode, rounding, size)))
        }
        Code::FToInt => to_int(op, slots, e, fp_flags, mode),
        Code::IntToF => from_int(op, slots, e, fp_flags, mode),
        Code::FConvert => match convert(Ty((op.imm >> 16) as u8), op.ty, slots[op.a as usize], mode) {
            Some(result) => {
                slots[op.dst as usize] = noted(fp_flags, result);
                true
            }
            None => false,
        },
        Code::FWiden => widen(op, slots, e, fp_flags, mode),
        Code::FNarrow => narrow(op, slots, e, fp_flags, mode),
        Code::FRecpE => by_format!(op.ty, F => map1::<F>(op, slots, e, fp_flags, |a| sf::recip_estimate::<F>(a, mode))),
        Code::FRsqrtE => by_format!(op.ty, F => map1::<F>(op, slots, e, fp_flags, |a| sf::rsqrt_estimate::<F>(a, mode))),
        Code::FRecpX => by_format!(op.ty, F => map1::<F>(op, slots, e, fp_flags, |a| sf::recpx::<F>(a, mode))),
        Code::FRecpS => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::recip_step::<F>(a, b, mode))),
        Code::FRsqrtS => by_format!(op.ty, F => map2::<F>(op, slots, e, fp_flags, |a, b| sf::rsqrt_step::<F>(a, b, mode))),
        Code::URecpE => unsigned_estimate(op, slots, e, sf::unsigned_recip_estimate),
        Code::URsqrtE => unsigned_estimate(op, slots, e, sf::unsigned_rsqrt_estimate),
        Code::FToJs if op.ty == Ty::F64 => {
            let (result, exact, flags) = sf::to_fixed_js(slots[op.a as usize], mode);
            slots[op.dst as usize] = u64::from(noted(fp_flags, (result, flags))) | u64::from(exact) << 32;
            true
        }
        Code::FMulAddH | Code::BfDot | Code::BfMlal => half_products(code, op, slots, e, fp_flags, mode),
        Code::BfMmla => bf_matmul(op, slots, e, mode),
        _ => false,
    }
}
