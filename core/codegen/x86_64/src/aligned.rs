//! What pinned fields are known to be multiples of, in hot code: a target that tests a stack pointer's alignment before each access by it
//! (`brif` around a call that never comes back) has it tested once, and a loop of accesses that must be aligned (`direct`) tests each address once.
//!
//! The fact comes from such a test, and lasts while the field is written with sums of itself and multiples only. It goes into a
//! [`Version`](crate::deferred::Version) with the jump there, which then is for those who know as much. Behind a call that comes back it is
//! tested again; if it does not hold any more, the code for everybody goes on. An access that is not aligned does not come back either: it leaves
//! the region before its instruction, which the interpreter carries out.

use crate::analyse::{KeyKind, NO_KEY, NO_PIN};
use crate::asm::{Cc, Label, Size};
use crate::cold::Cold;
use crate::frame::HOMES;
use crate::lower::{Loc, Lowering};
use emu_ir::{Code, Op, PURE, Shape, Ty};

/// log2 of what a stack pointer must be a multiple of, the most that is asked for.
const STACK: u32 = 4;
/// What such a multiple has no bits of.
const MASK: u64 = (1 << STACK) - 1;

/// log2 of what pinned fields are multiples of, four bits each by field.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Multiples(u64);

impl Multiples {
    fn of(self, pin: u8) -> u32 {
        (self.0 >> (4 * u32::from(pin)) & 15) as u32
    }
    fn with(self, pin: u8, log2: u32) -> Multiples {
        let at = 4 * u32::from(pin);
        Multiples(self.0 & !(15 << at) | u64::from(log2) << at)
    }
    /// At least as much is known of each field.
    pub(crate) fn covers(self, other: Multiples) -> bool {
        (0..16).all(|p| self.of(p) >= other.of(p))
    }
    /// The lesser of each two.
    fn both(self, other: Multiples) -> Multiples {
        (0..16).fold(Multiples(0), |m, p| m.with(p, self.of(p).min(other.of(p))))
    }
    /// The more is known, the more.
    pub(crate) fn weight(self) -> u32 {
        (0..16).map(|p| self.of(p)).sum()
    }
}

/// What is known of pinned fields and of values of the unit.
#[derive(Default)]
pub(crate) struct Aligned {
    pub pins: Multiples,
    /// What somebody has tested fields for: what is known besides interests nobody.
    tested: Multiples,
    /// log2 by value.
    values: Vec<(u32, u32)>,
}

impl Lowering<'_> {
    /// Before a region.
    pub(crate) fn begin_aligned(&mut self) {
        (self.aligned.pins, self.aligned.tested) = Default::default();
    }
    /// Before a unit.
    pub(crate) fn forget_aligned_values(&mut self) {
        self.aligned.values.clear();
    }
    /// Anything may have been written.
    pub(crate) fn forget_aligned(&mut self) {
        self.aligned.pins = Multiples::default();
        self.aligned.values.clear();
    }
    /// What is known and somebody wants to.
    pub(crate) fn known_aligned(&self) -> Multiples {
        self.aligned.pins.both(self.aligned.tested)
    }
    /// log2 of what a value is a multiple of.
    fn multiple(&self, v: u32) -> u32 {
        let pin = if let Loc::Pin(p) = self.loc(v) { self.aligned.pins.of(p) } else { 0 };
        self.aligned.values.iter().find(|known| known.0 == v).map_or(pin, |known| known.1.max(pin))
    }
    fn note_value(&mut self, v: u32, log2: u32) {
        match self.aligned.values.iter_mut().find(|known| known.0 == v) {
            Some(known) => known.1 = known.1.max(log2),
            None => self.aligned.values.push((v, log2)),
        }
    }
    /// The value is in a pinned field's register now.
    pub(crate) fn aligned_in(&mut self, v: u32, pin: u8) {
        if let Some((_, log2)) = self.aligned.values.iter().find(|known| known.0 == v).copied() {
            self.aligned.pins = self.aligned.pins.with(pin, log2);
        }
    }
    /// A pinned field is about to be written.
    pub(crate) fn unaligned(&mut self, pin: u8) {
        let log2 = self.aligned.pins.of(pin);
        if log2 != 0 {
            // Values that are copies of it stay what they are.
            for i in 0..self.aliases.len() {
                let v = self.aliases[i];
                if self.loc(v) == Loc::Pin(pin) {
                    self.note_value(v, log2);
                }
            }
            self.aligned.pins = self.aligned.pins.with(pin, 0);
        }
    }

    /// Before an op: log2 of what its result is a multiple of because its operand is.
    pub(crate) fn stays_aligned(&self, op: &Op, c: Code, ops: &[Op]) -> u32 {
        if self.aligned.pins == Multiples::default() && self.aligned.values.is_empty() || !matches!(c, Code::Add | Code::Sub) {
            return 0;
        }
        let by = &ops[self.fact(op.b).def as usize];
        let word = op.ty == Ty::I64 && op.shape == Shape::SCALAR && by.code == Code::Const as u16;
        if word { self.multiple(op.a).min(by.imm.trailing_zeros()) } else { 0 }
    }
    /// A value is known to be a multiple of `1 << log2`: behind such an op, or because it has been tested.
    pub(crate) fn note_aligned(&mut self, v: u32, log2: u32) {
        self.note_value(v, log2);
        if let Loc::Pin(p) = self.loc(v)
            && self.aligned.pins.of(p) < log2
        {
            self.aligned.pins = self.aligned.pins.with(p, log2);
        }
    }

    /// The value that a condition finds to be a multiple of 16, if that is what it asks.
    pub(crate) fn asks_aligned(&self, condition: u32, ops: &[Op]) -> Option<u32> {
        let fact = self.fact(condition);
        if !self.careful || fact.key == NO_KEY || fact.cc != Cc::E {
            return None;
        }
        let key = self.an.keys[fact.key as usize];
        let constant = |v: u32| ops.get(self.fact(v).def as usize).is_some_and(|o| o.code == Code::Const as u16 && o.imm == MASK);
        (key.kind == KeyKind::And && key.bits == 64 && key.a != key.b && constant(key.b)).then_some(key.a)
    }
    /// True if a value is known to be a multiple of 16.
    pub(crate) fn knows_aligned(&mut self, v: u32) -> bool {
        self.note_tested(v, STACK);
        self.multiple(v) >= STACK
    }
    /// It has been tested, and is.
    pub(crate) fn found_aligned(&mut self, v: u32) {
        self.note_aligned(v, STACK);
    }
    fn note_tested(&mut self, v: u32, log2: u32) {
        let want = self.fact(v).want;
        let pin = if let Loc::Pin(p) = self.loc(v) { Some(p) } else { None };
        for p in pin.into_iter().chain((want != NO_PIN).then_some(want)) {
            self.aligned.tested = self.aligned.tested.with(p, self.aligned.tested.of(p).max(log2));
        }
    }

    /// Whether the address of the current op, `op.a` and `imm`, is to be tested for being a multiple of `align`: `None` if it is known to be one.
    /// Or else where to go if it is not: `slow`, which comes back, or a way that does not, and from here on it is known.
    pub(crate) fn test_aligned(&mut self, op: &Op, imm: u64, align: u32, slow: Label, ops: &[Op]) -> Option<Label> {
        let log2 = align.trailing_zeros();
        if !self.careful || self.f.count || log2 > STACK || imm & u64::from(align - 1) != 0 {
            return Some(slow);
        }
        self.note_tested(op.a, log2);
        if self.multiple(op.a) >= log2 {
            return None;
        }
        // The interpreter begins the instruction anew.
        let before = ops[..self.at as usize].iter().rev().take_while(|o| o.code != Code::InsnStart as u16);
        let harmless = |o: &Op| [Code::Get as u16, Code::Fence as u16].contains(&o.code) || o.flags() == PURE;
        if !before.into_iter().all(harmless) {
            return Some(slow);
        }
        let at = self.asm.label();
        let (flags, late) = (self.snapshot(), self.late());
        self.cold.push(Cold::Whole { at, pc: self.pc, flags, late });
        self.note_aligned(op.a, log2);
        Some(at)
    }

    /// Behind a call that has come back to `pc`, before which so much was known: tests it again, or goes on in the code for everybody.
    pub(crate) fn aligned_again(&mut self, before: Multiples, pc: u64) {
        self.forget_aligned();
        for (p, home) in (0..).zip(HOMES).filter(|(p, _)| before.of(*p) != 0) {
            let at = self.asm.label();
            self.asm.test_ri(Size::B, home, (1 << before.of(p)) - 1);
            self.asm.jcc(Cc::NE, at);
            self.cold.push(Cold::Miss { at, pc });
            self.aligned.pins = self.aligned.pins.with(p, before.of(p));
            self.flags = NO_KEY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Multiples;

    #[test]
    fn what_is_known_of_each_field() {
        let none = Multiples::default();
        let some = none.with(0, 4).with(11, 2);
        assert_eq!([some.of(0), some.of(1), some.of(11), some.with(0, 1).of(0)], [4, 0, 2, 1]);
        assert!(some.covers(none) && some.covers(some) && !none.covers(some));
        // More of one field is no more of another.
        let other = none.with(0, 3).with(11, 3);
        assert!(!some.covers(other) && !other.covers(some));
        assert_eq!(some.both(other), none.with(0, 3).with(11, 2));
        assert!(some.both(other).weight() < some.weight() && some.both(none) == none);
    }
}
