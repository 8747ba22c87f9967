//! Condition flags in memory as what they are made from.
//!
//! To store the four conditions of a comparison takes the host eight operations, and hardly anybody looks before the next comparison. So code
//! stores an [`Unsettled`] and the operands instead, two or three stores; the fields mean nothing until somebody settles them ([`settle`]). Code
//! that the host's compiler made finds them settled: thunks see to that on the way out, and a slow access that faults does it itself. Generated
//! code that reads a field, or writes some of them, asks first (`Lowering::settle`); code that writes all has nothing to ask. The same holds
//! between regions, whose jumps to each other change nothing.
//!
//! It is for targets with [`COUNT`] condition flags.

#![allow(unsafe_code)] // The layout of a CPU.

use crate::analyse::NO_KEY;
use crate::asm::{Alu, Asm, Cc, Mem, Size};
use crate::cold::Cold;
use crate::deferred::{Deferred, How, Operand, What};
use crate::frame::{CPU, Exchange, Frame, HOMES};
use crate::lower::{Loc, Lowering};
use crate::memory::moved;
use emu_ir::{Code, EFFECT, EXITS, FAULTS, Op, Shape, Ty};
use std::mem::offset_of;

/// Condition flags of a target whose flags can be unsettled.
pub const COUNT: usize = 4;
/// All of them, a bit each.
const ALL: u8 = (1 << COUNT) - 1;
/// Ops that the `set`s of all of them may lie apart.
const FAR: usize = 24;

/// What unsettled flags are made from: an operation on the two operands, its size, for each field the host's condition code that it is to have, or
/// a constant, and the second operand if it is one of the smallest numbers. 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unsettled(u32);

/// Operations, in the lowest bits.
const SUB: u32 = 1;
/// The first operand is the difference.
const SUB_FROM: u32 = 2;
/// The first operand is the sum.
const SUM_TO: u32 = 3;
const AND: u32 = 4;
const CONSTANT: u32 = 5;
/// Operands of 64 bits.
const WIDE: u32 = 8;
/// Where the fields' codes begin, and bits of each.
const FIELDS: u32 = 8;
const BITS: u32 = 5;
/// Behind the sixteen condition codes: false, true.
const FALSE: u32 = 16;
/// Where the second operand and one is, or 0 if it lies in memory.
const SMALL: u32 = FIELDS + BITS * COUNT as u32;

impl Exchange {
    /// The flags, 0 or 1, in the order of [`Frame::flags`], if they are unsettled; from here on they are not.
    #[inline]
    pub fn settled(&mut self) -> Option<[u8; COUNT]> {
        let kind = std::mem::take(&mut self.unsettled) as u32;
        let [a, b] = self.operands;
        let b = u64::from(kind >> SMALL).checked_sub(1).unwrap_or(b);
        // The operands' bits at the top: what is below is zero and changes nothing.
        let shift = if kind & WIDE != 0 { 0 } else { 32 };
        let (a, b) = (a << shift, b << shift);
        let (result, carry, overflow) = match kind & 7 {
            0 => return None,
            SUM_TO => {
                let first = a.wrapping_sub(b);
                (a, a < b, (first as i64).overflowing_add(b as i64).1)
            }
            AND => (a & b, false, false),
            CONSTANT => (0, false, false),
            op => {
                let first = if op == SUB_FROM { a.wrapping_add(b) } else { a };
                (first.wrapping_sub(b), first < b, (first as i64).overflowing_sub(b as i64).1)
            }
        };
        let [zero, sign, carry, overflow] = [result == 0, result >> 63 != 0, carry, overflow].map(u32::from);
        let less = sign ^ overflow;
        // By condition code without its lowest bit, which says that it is the opposite. Nobody asks for parity, and constants are opposites of false.
        let holds = overflow | carry << 1 | zero << 2 | (carry | zero) << 3 | sign << 4 | less << 6 | (less | zero) << 7;
        Some(std::array::from_fn(|i| {
            let what = kind >> (FIELDS + BITS * i as u32) & ((1 << BITS) - 1);
            ((holds >> (what >> 1) ^ what) & 1) as u8
        }))
    }
}

/// Writes a CPU's flags if they are unsettled. It does no floating-point arithmetic.
///
/// # Safety
/// `cpu` is a CPU of that layout, of the calling thread.
pub unsafe extern "C" fn settle(cpu: *mut u8, f: &'static Frame) {
    // SAFETY: the caller's promise; fields and exchange area lie in the CPU.
    unsafe {
        let Some(flags) = (*cpu.add(f.exchange as usize).cast::<Exchange>()).settled() else { return };
        for (offset, flag) in f.flags.iter().zip(flags) {
            cpu.add(*offset as usize).write(flag);
        }
    }
}

/// True if the target's flags can be unsettled.
pub(crate) fn possible(f: &Frame) -> bool {
    f.flags.len() == COUNT
}

/// Where it says what they are made from.
pub(crate) fn kind(f: &Frame) -> Mem {
    Mem::at(CPU, f.disp(f.exchange + offset_of!(Exchange, unsettled) as i32))
}

/// Asks whether they are settled: the host's flags say equal if so.
pub(crate) fn ask(a: &mut Asm, f: &Frame) {
    a.alu_mi(Alu::Cmp, Size::D, kind(f), 0);
}

/// What is to be stored.
pub(crate) struct Form {
    kind: Unsettled,
    operands: [Option<Operand>; 2],
}

/// The form for flags that are put off; `None` if they are not all there are, or there is none.
fn form(f: &Frame, list: &[Deferred]) -> Option<Form> {
    let (mut kind, mut made): (u32, Option<&Deferred>) = (0, None);
    for (i, field) in f.flags.iter().enumerate() {
        let (d, what) = list.iter().find_map(|d| d.fields().iter().find(|x| x.0 == *field).map(|x| (d, x.1)))?;
        let what = match what {
            What::Const(c) => FALSE + u32::from(c),
            What::Cc(Cc::P | Cc::NP) => return None,
            What::Cc(_) if made.is_some_and(|other| !std::ptr::eq(other, d)) => return None,
            What::Cc(cc) => {
                made = Some(d);
                cc.0.into()
            }
        };
        kind |= what << (FIELDS + BITS * i as u32);
    }
    let Some(d) = made else { return Some(Form { kind: Unsettled(kind | CONSTANT), operands: [None; 2] }) };
    let wide = match d.size {
        Size::D => 0,
        Size::Q => WIDE,
        _ => return None,
    };
    let (op, a, b) = match d.how {
        How::Nothing => return None,
        How::Sub(a, b) => (SUB, a, b),
        How::SubFrom(a, b) => (SUB_FROM, a, b),
        How::SumTo(a, b) => (SUM_TO, a, b),
        How::And(a, b) => (AND, a, b),
    };
    let small = match b {
        Operand::Imm(i @ 0..=14) => i as u32 + 1,
        _ => 0,
    };
    Some(Form { kind: Unsettled(kind | wide | op | small << SMALL), operands: [Some(a), Some(b).filter(|_| small == 0)] })
}

impl Lowering<'_> {
    /// The flag that a `set` is of, by number.
    fn flag_set(&self, op: &Op) -> Option<usize> {
        let is = op.code == Code::Set as u16 && op.ty == Ty::I1 && op.shape == Shape::SCALAR;
        self.f.flags.iter().position(|f| is && u64::from(*f) == op.imm)
    }
    /// A field's bytes are among the flags.
    fn is_among_flags(&self, offset: u32, bytes: u32) -> bool {
        self.f.flags.iter().any(|f| (offset..offset + bytes).contains(f))
    }
    /// Before a unit.
    pub(crate) fn begin_unsettled(&mut self) {
        self.may_be_unsettled();
        (self.flags_until, self.left_until) = (0, 0);
    }
    /// Where ways meet.
    pub(crate) fn may_be_unsettled(&mut self) {
        self.settled = !possible(self.f);
    }

    /// At a `set`: true if nothing is left to do, for it is of a flag and all are unsettled now.
    pub(crate) fn leaves_flags(&mut self, op: &Op, ops: &[Op]) -> bool {
        if !possible(self.f) {
            return false;
        }
        if self.flag_set(op).is_none() {
            if self.is_among_flags(op.imm as u32, moved(op, self.vl)) {
                self.settle();
            }
            return false;
        }
        if self.at < self.left_until {
            return true;
        }
        if self.at < self.flags_until {
            return false;
        }
        // The first of some.
        let (all, next, end) = self.flags_that_follow(ops);
        self.flags_until = end;
        if !all {
            // The others stay what they are.
            self.settle();
        } else if next && !self.defers && self.options.fuse && self.options.native && self.leave_at_once(ops, end) {
            self.left_until = end;
            return true;
        }
        false
    }
    /// If all flags are set from here on before anybody looks, if by nothing but `set`s, and where that ends.
    fn flags_that_follow(&self, ops: &[Op]) -> (bool, bool, u32) {
        let (mut set, mut next, mut end) = (0, true, self.at);
        for (op, i) in ops[self.at as usize..].iter().zip(self.at..).take(FAR) {
            if let Some(n) = self.flag_set(op) {
                next &= set >> n & 1 == 0;
                set |= 1 << n;
                end = i + 1;
                if set == ALL {
                    return (true, next, end);
                }
                continue;
            }
            let looks = match op.opcode() {
                Some(Code::Label | Code::Br | Code::BrIf | Code::InsnStart | Code::Call) | None => true,
                Some(Code::Get | Code::Set) => self.is_among_flags(op.imm as u32, moved(op, self.vl)),
                Some(_) => op.flags() & (FAULTS | EFFECT | EXITS) != 0,
            };
            if looks {
                break;
            }
            next &= !self.needs_code(op);
        }
        (false, false, end)
    }
    /// All flags are set up to an op, and nothing else happens: leaves them unsettled if that can be said.
    fn leave_at_once(&mut self, ops: &[Op], end: u32) -> bool {
        for field in 0..COUNT {
            self.displace_state(self.f.flags[field], 1);
        }
        let mut key = NO_KEY;
        for op in &ops[self.at as usize..end as usize] {
            if self.flag_set(op).is_none() || matches!(self.loc(op.a), Loc::Const(_)) {
                continue;
            }
            let other = std::mem::replace(&mut key, self.fact(op.a).key);
            if self.loc(op.a) != Loc::None || key == NO_KEY || other != NO_KEY && other != key {
                return false;
            }
        }
        if self.an.keys.get(usize::from(key)).is_some_and(|k| k.last >= end) {
            // Who asks later finds the comparison made, while its operands are there.
            self.make_flags(key);
        }
        let comparison = if key == NO_KEY {
            Deferred::of(How::Nothing, Size::B, NO_KEY)
        } else {
            let Some(how) = self.how(key) else { return false };
            Deferred::of(how, Size::bits(self.an.keys[usize::from(key)].bits.into()), key)
        };
        let mut list = [comparison, Deferred::of(How::Nothing, Size::B, NO_KEY)];
        for op in &ops[self.at as usize..end as usize] {
            let (place, what) = match self.loc(op.a) {
                _ if self.flag_set(op).is_none() => continue,
                Loc::Const(c) => (1, What::Const(c & 1 != 0)),
                _ => (0, What::Cc(self.fact(op.a).cc)),
            };
            if !list[place].add(op.imm as u32, what) {
                return false;
            }
        }
        match form(self.f, &list) {
            Some(form) => self.leave(&form),
            None => return false,
        }
        true
    }
    /// Leaves what is put off unsettled, if it is all flags and can be said. The host's flags stay.
    pub(crate) fn leave_deferred(&mut self) -> bool {
        if !possible(self.f) || self.deferred.is_empty() {
            return false;
        }
        let Some(form) = form(self.f, &self.deferred) else { return false };
        self.leave(&form);
        self.deferred.clear();
        true
    }
    /// The same for code out of the way.
    pub(crate) fn leave_snapshot(&mut self, from: usize, n: usize) -> bool {
        let form = if possible(self.f) { form(self.f, &self.snapshots[from..from + n]) } else { None };
        if let Some(form) = &form {
            self.store_form(form);
        }
        form.is_some()
    }
    fn leave(&mut self, form: &Form) {
        self.store_form(form);
        self.settled = false;
    }
    fn store_form(&mut self, form: &Form) {
        self.asm.mov_mi(Size::D, kind(self.f), form.kind.0 as i32);
        for (i, operand) in form.operands.iter().enumerate() {
            let to = self.exchange(offset_of!(Exchange, operands) + 8 * i);
            match operand {
                None => {}
                Some(Operand::Pin(p)) => self.asm.mov_mr(Size::Q, to, HOMES[usize::from(*p)]),
                Some(Operand::Reg(r)) => self.asm.mov_mr(Size::Q, to, *r),
                Some(Operand::Imm(i)) => self.asm.mov_mi(Size::Q, to, *i),
                Some(Operand::State(off)) => {
                    let from = self.state(*off);
                    self.asm.movq_rm(15, from);
                    self.asm.movq_mr(to, 15);
                }
            }
        }
    }

    /// All flags have been written, or are about to be with nobody looking: what was unsettled is void. The host's flags stay.
    pub(crate) fn all_written(&mut self) {
        if !self.settled {
            self.void_unsettled();
            self.settled = true;
        }
    }
    /// The same in code out of the way.
    pub(crate) fn void_unsettled(&mut self) {
        if possible(self.f) {
            self.asm.mov_mi(Size::D, kind(self.f), 0);
        }
    }
    /// The fields have what the flags are from here on, but for what is put off. The host's flags stay if anybody needs them.
    pub(crate) fn settle(&mut self) {
        if self.settled {
            return;
        }
        self.settled = true;
        if self.flags_wanted() {
            return self.asm.call_outside(self.thunks.settle);
        }
        ask(&mut self.asm, self.f);
        let (at, back) = (self.asm.label(), self.asm.label());
        self.asm.jcc(Cc::NE, at);
        self.asm.bind(back);
        self.cold.push(Cold::Settle { at, back });
        self.flags = NO_KEY;
    }
    /// Before a `get`.
    pub(crate) fn look_at_field(&mut self, offset: u32, bytes: u32) {
        if !self.settled && self.is_among_flags(offset, bytes) {
            self.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation and condition against what the arithmetic of the host's language says.
    #[test]
    fn flags_are_settled_as_the_operation_says() {
        let edges = [0u64, 1, 2, 14, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];
        let mut tried = 0;
        for (x, y, wide, op) in edges
            .iter()
            .flat_map(|x| edges.iter().map(move |y| (*x, *y)))
            .flat_map(|(x, y)| [false, true].map(|wide| (x, y, wide)))
            .flat_map(|(x, y, wide)| [SUB, SUB_FROM, SUM_TO, AND].map(|op| (x, y, wide, op)))
        {
            // In 128 bits nothing overflows.
            let bits = if wide { 64 } else { 32 };
            let mask = u64::MAX >> (64 - bits);
            let unsigned = |v: u64| i128::from(v & mask);
            let signed = |v: u64| i128::from((v << (64 - bits)) as i64 >> (64 - bits));
            let (exact_u, exact_s, result) = match op {
                SUM_TO => (unsigned(x) + unsigned(y), signed(x) + signed(y), x.wrapping_add(y)),
                AND => (unsigned(x & y), signed(x & y), x & y),
                _ => (unsigned(x) - unsigned(y), signed(x) - signed(y), x.wrapping_sub(y)),
            };
            let (carry, overflow) = (exact_u != unsigned(result), exact_s != signed(result));
            let (zero, sign) = (unsigned(result) == 0, signed(result) < 0);
            let expected = [
                (Cc::O, overflow),
                (Cc::B, carry),
                (Cc::E, zero),
                (Cc::BE, carry || zero),
                (Cc::S, sign),
                (Cc::L, sign != overflow),
                (Cc::LE, zero || sign != overflow),
            ];
            let first = if matches!(op, SUB_FROM | SUM_TO) { result } else { x };
            for (cc, holds) in expected.into_iter().flat_map(|(cc, holds)| [(cc, holds), (cc.not(), !holds)]) {
                let codes = [u32::from(cc.0), FALSE, FALSE + 1, u32::from(cc.0)];
                let kind = codes.iter().enumerate().fold(op | if wide { WIDE } else { 0 }, |k, (i, c)| k | c << (FIELDS + BITS * i as u32));
                let small = if y < 15 { (y as u32 + 1) << SMALL } else { 0 };
                for (kind, operands) in [(kind, [first, y]), (kind | small, [first, if small == 0 { y } else { !y }])] {
                    let mut exchange = Exchange { unsettled: kind.into(), operands, ..Exchange::default() };
                    assert_eq!(exchange.settled(), Some([holds, false, true, holds].map(u8::from)), "{x:#x} {y:#x} {bits} {op} {}", cc.0);
                    assert_eq!(exchange.settled(), None, "once");
                    tried += 1;
                }
            }
        }
        assert_eq!(tried, 12 * 12 * 2 * 4 * 14 * 2);
    }
}
