//! Pinned fields that are known to be multiples of 16, in hot code: a target that tests a stack pointer's alignment before each access by it
//! (`brif` around a call that never comes back) has it tested once.
//!
//! The fact comes from such a test, and lasts while the field is written with sums of itself and multiples of 16 only. It goes into a
//! [`Version`](crate::deferred::Version) with the jump there, which then is for those who know as much. Behind a call that comes back it is
//! tested again; if it does not hold any more, the code for everybody goes on.

use crate::analyse::{KeyKind, NO_KEY, NO_PIN};
use crate::asm::{Cc, Size};
use crate::cold::Cold;
use crate::frame::HOMES;
use crate::lower::{Loc, Lowering};
use emu_ir::{Code, Op, Shape, Ty};

/// What a multiple has no bits of.
const MASK: u64 = 15;

/// What is known, a bit each by pinned field, and of values of the unit.
#[derive(Default)]
pub(crate) struct Aligned {
    pub pins: u16,
    /// Fields that somebody has tested: what is known of others interests nobody.
    tested: u16,
    values: Vec<u32>,
}

impl Lowering<'_> {
    /// Before a region.
    pub(crate) fn begin_aligned(&mut self) {
        (self.aligned.pins, self.aligned.tested) = (0, 0);
    }
    /// Before a unit.
    pub(crate) fn forget_aligned_values(&mut self) {
        self.aligned.values.clear();
    }
    /// Anything may have been written.
    pub(crate) fn forget_aligned(&mut self) {
        self.aligned.pins = 0;
        self.aligned.values.clear();
    }
    /// What is known and somebody wants to.
    pub(crate) fn known_aligned(&self) -> u16 {
        self.aligned.pins & self.aligned.tested
    }
    fn is_aligned(&self, v: u32) -> bool {
        matches!(self.loc(v), Loc::Pin(p) if self.aligned.pins >> p & 1 != 0) || self.aligned.values.contains(&v)
    }
    /// The value is in a pinned field's register now.
    pub(crate) fn aligned_in(&mut self, v: u32, pin: u8) {
        if self.aligned.values.contains(&v) {
            self.aligned.pins |= 1 << pin;
        }
    }
    /// A pinned field is about to be written.
    pub(crate) fn unaligned(&mut self, pin: u8) {
        if self.aligned.pins >> pin & 1 != 0 {
            // Values that are copies of it stay what they are.
            for v in &self.aliases {
                if self.vals[*v as usize].loc == Loc::Pin(pin) && !self.aligned.values.contains(v) {
                    self.aligned.values.push(*v);
                }
            }
            self.aligned.pins &= !(1 << pin);
        }
    }

    /// Before an op: true if its result is a multiple because its operand is.
    pub(crate) fn stays_aligned(&self, op: &Op, c: Code, ops: &[Op]) -> bool {
        if self.aligned.pins == 0 && self.aligned.values.is_empty() || !matches!(c, Code::Add | Code::Sub) {
            return false;
        }
        let by = &ops[self.fact(op.b).def as usize];
        let word = op.ty == Ty::I64 && op.shape == Shape::SCALAR;
        word && by.code == Code::Const as u16 && by.imm & MASK == 0 && self.is_aligned(op.a)
    }
    /// Behind such an op.
    pub(crate) fn note_aligned(&mut self, v: u32) {
        if !self.aligned.values.contains(&v) {
            self.aligned.values.push(v);
        }
        if let Loc::Pin(p) = self.loc(v) {
            self.aligned.pins |= 1 << p;
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
    /// True if a value is known to be one.
    pub(crate) fn knows_aligned(&mut self, v: u32) -> bool {
        self.note_tested(v);
        self.is_aligned(v)
    }
    /// It has been tested, and is.
    pub(crate) fn found_aligned(&mut self, v: u32) {
        if let Loc::Pin(p) = self.loc(v) {
            self.aligned.pins |= 1 << p;
        }
        if !self.aligned.values.contains(&v) {
            self.aligned.values.push(v);
        }
    }
    fn note_tested(&mut self, v: u32) {
        if let Loc::Pin(p) = self.loc(v) {
            self.aligned.tested |= 1 << p;
        }
        let want = self.fact(v).want;
        if want != NO_PIN {
            self.aligned.tested |= 1 << want;
        }
    }

    /// Behind a call that has come back to `pc`, before which so much was known: tests it again, or goes on in the code for everybody.
    pub(crate) fn aligned_again(&mut self, before: u16, pc: u64) {
        self.forget_aligned();
        for (p, home) in HOMES.iter().enumerate().filter(|(p, _)| before >> p & 1 != 0) {
            let at = self.asm.label();
            self.asm.test_ri(Size::B, *home, MASK as i32);
            self.asm.jcc(Cc::NE, at);
            self.cold.push(Cold::Miss { at, pc });
            self.aligned.pins |= 1 << p;
            self.flags = NO_KEY;
        }
    }
}
