//! Moves and permutations: elements travel, their values do not matter. They work on i128 elements too.

use super::Extent;
use emu_ir::{Code, Op, Shape, Ty};

/// Makes each result element from the element that `source` names: of a (`false`) or b (`true`), at an index; zero for `None`.
#[inline(always)]
fn permute_lanes<const BITS: usize>(op: &Op, slots: &mut [u64], words: usize, source: impl Fn(usize) -> Option<(bool, usize)>) {
    let (dst, bases) = (op.dst as usize, [op.a as usize, op.b as usize]);
    if BITS == 128 {
        for i in 0..words / 2 {
            let pair = source(i).map_or([0, 0], |(b, lane)| {
                let at = bases[usize::from(b)] + 2 * lane;
                [slots[at], slots[at + 1]]
            });
            slots[dst + 2 * i] = pair[0];
            slots[dst + 2 * i + 1] = pair[1];
        }
        return;
    }
    let per_word = 64 / BITS;
    let mask = u64::MAX >> (64 - BITS);
    for w in 0..words {
        let mut word = 0;
        for i in 0..per_word {
            if let Some((b, lane)) = source(w * per_word + i) {
                let from = slots[bases[usize::from(b)] + lane / per_word];
                word |= (from >> (lane % per_word * BITS) & mask) << (i * BITS);
            }
        }
        slots[dst + w] = word;
    }
}

fn permute(op: &Op, slots: &mut [u64], words: usize, source: impl Fn(usize) -> Option<(bool, usize)>) -> bool {
    match op.ty.bits() {
        8 => permute_lanes::<8>(op, slots, words, source),
        16 => permute_lanes::<16>(op, slots, words, source),
        32 => permute_lanes::<32>(op, slots, words, source),
        64 => permute_lanes::<64>(op, slots, words, source),
        128 => permute_lanes::<128>(op, slots, words, source),
        _ => return false,
    }
    true
}

/// Repeats an element through a word.
#[inline(always)]
fn spread(value: u64, bits: u32) -> u64 {
    match bits {
        8 => (value & 0xff) * 0x0101_0101_0101_0101,
        16 => (value & 0xffff) * 0x0001_0001_0001_0001,
        32 => (value & 0xffff_ffff) * 0x0000_0001_0000_0001,
        _ => value,
    }
}

/// Zeroes the bits of the `words` result words from byte `len` on.
fn clear_from(slots: &mut [u64], dst: usize, words: usize, len: usize) {
    for i in len / 8..words {
        let kept = if i == len / 8 { (1u64 << (len % 8 * 8)) - 1 } else { 0 };
        slots[dst + i] &= kept;
    }
}

fn resize(op: &Op, slots: &mut [u64], words: usize, vl: u32) {
    let (ty, shape) = (Ty(op.aux as u8), Shape((op.aux >> 8) as u8));
    let bytes = match shape {
        Shape::SCALAR => ty.bytes(),
        shape => shape.bytes(vl),
    } as usize;
    let (dst, a) = (op.dst as usize, op.a as usize);
    for i in 0..words {
        slots[dst + i] = if i < bytes.div_ceil(8) { slots[a + i] } else { 0 };
    }
    clear_from(slots, dst, words, bytes);
}

fn ext(op: &Op, slots: &mut [u64], words: usize) {
    let (dst, a, b) = (op.dst as usize, op.a as usize, op.b as usize);
    let (skip, shift) = (op.imm as usize / 8, op.imm as u32 % 8 * 8);
    let word = |slots: &[u64], i: usize| match i {
        i if i < words => slots[a + i],
        i if i < 2 * words => slots[b + i - words],
        _ => 0,
    };
    for i in 0..words {
        let low = word(slots, i + skip);
        slots[dst + i] = if shift == 0 { low } else { low >> shift | word(slots, i + skip + 1) << (64 - shift) };
    }
}

fn tbl(op: &Op, slots: &mut [u64], words: usize) {
    let (dst, a, b) = (op.dst as usize, op.a as usize, op.b as usize);
    for w in 0..words {
        let indices = slots[b + w].to_le_bytes();
        let bytes = indices.map(|index| {
            let index = usize::from(index);
            if index < 8 * words { (slots[a + index / 8] >> (index % 8 * 8)) as u8 } else { 0 }
        });
        slots[dst + w] = u64::from_le_bytes(bytes);
    }
}

/// Bits of the element that `get_lane` and `set_lane` mean, as (word, shift).
#[inline(always)]
fn lane_place(op: &Op) -> (usize, u32) {
    let bit = op.imm as usize * op.ty.bits() as usize;
    (bit / 64, bit as u32 % 64)
}

pub(super) fn exec(code: Code, op: &Op, slots: &mut [u64], e: Extent, vl: u32) -> bool {
    let (dst, a, b) = (op.dst as usize, op.a as usize, op.b as usize);
    let (words, bits) = (e.words, op.ty.bits());
    if bits < 8 {
        return false;
    }
    let lanes = words * 64 / bits as usize;
    // An i128 element in 64 bits.
    if lanes == 0 && !matches!(code, Code::VResize | Code::Ext | Code::Tbl) {
        return false;
    }
    // An odd element at the end of the quadword permutations of a vector length that is not a multiple of 256 bits is zero.
    let pairs = lanes / 2;
    let paired = |i: usize| i < 2 * pairs;
    match code {
        Code::Dup => {
            let step = if bits == 128 { 2 } else { 1 };
            for i in 0..words {
                slots[dst + i] = spread(slots[a + i % step], bits);
            }
        }
        Code::GetLane => {
            let (word, shift) = lane_place(op);
            slots[dst] = slots[a + word] >> shift & u64::MAX >> (64 - bits.min(64));
            if bits == 128 {
                slots[dst + 1] = slots[a + word + 1];
            }
        }
        Code::SetLane => {
            for i in 0..words {
                slots[dst + i] = slots[a + i];
            }
            let (word, shift) = lane_place(op);
            let mask = u64::MAX >> (64 - bits.min(64)) << shift;
            slots[dst + word] = slots[dst + word] & !mask | slots[b] << shift & mask;
            if bits == 128 {
                slots[dst + word + 1] = slots[b + 1];
            }
        }
        Code::VResize => resize(op, slots, words, vl),
        Code::Zip1 => return permute(op, slots, words, |i| paired(i).then_some((i % 2 == 1, i / 2))),
        Code::Zip2 => return permute(op, slots, words, |i| paired(i).then_some((i % 2 == 1, pairs + i / 2))),
        Code::Uzp1 | Code::Uzp2 => {
            let part = usize::from(code == Code::Uzp2);
            let source = |i: usize| if i < pairs { (false, 2 * i + part) } else { (true, 2 * (i - pairs) + part) };
            return permute(op, slots, words, |i| paired(i).then(|| source(i)));
        }
        Code::Trn1 => return permute(op, slots, words, |i| paired(i).then_some((i % 2 == 1, i & !1))),
        Code::Trn2 => return permute(op, slots, words, |i| paired(i).then_some((i % 2 == 1, i | 1))),
        Code::Ext => ext(op, slots, words),
        Code::Rev => {
            // The number of elements in a container is a power of two, so reversal inverts the low bits of the index.
            let per = ((op.aux / bits).max(1) as usize).min(lanes);
            return permute(op, slots, words, |i| Some((false, i ^ (per - 1))).filter(|(_, from)| *from < lanes));
        }
        Code::Tbl => tbl(op, slots, words),
        _ => return false,
    }
    true
}
