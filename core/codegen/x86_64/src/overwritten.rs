//! Fields that are written again before anybody is likely to look, in hot code: written only where somebody does.
//!
//! [`find`] looks for a `set` of a field that is not pinned and that another `set` covers later, with nothing but loads, stores and computing
//! between. Who may look are only the ways beside those accesses: they store what waits before anything else. The value stays in its register
//! until the field is written again; when the register is wanted for something else, the field is written after all, late.
//!
//! (`core/opt` takes out what nobody can see; here somebody can, who hardly ever comes.)

use crate::analyse::{Facts, code};
use crate::asm::{Gpr, Size};
use crate::frame::{HOMES, PinMap};
use crate::lower::{Loc, Lowering};
use emu_ir::{Code, EFFECT, EXITS, FAULTS, MemFlags, NONE, Op, Shape};

/// Fields that may wait at a time.
const MAX: usize = 3;
/// Ops that a field may wait for.
const FAR: u32 = 96;

/// A field that waits to be written again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    offset: u32,
    /// What it has, if somebody looks.
    value: u32,
    /// The last op that uses the value besides.
    used: u32,
}

/// Fields to be written, and the registers that have what is to be written, where ways part.
pub(crate) type Late = [Option<(u32, Gpr)>; MAX];

/// By `set` that is covered: its op, and the last op that uses the value; in order. The values last until the fields are covered from now on.
pub(crate) fn find(ops: &[Op], facts: &mut [Facts], pins: &PinMap, found: &mut Vec<(u32, u32)>) {
    found.clear();
    // Fields that are written further on: offset and op.
    let mut next: Vec<(u32, u32)> = Vec::with_capacity(16);
    for (i, op) in ops.iter().enumerate().rev() {
        let (i, c) = (i as u32, code(op));
        match c {
            Code::InsnStart => {}
            Code::Get | Code::Set => {
                let bytes = crate::memory::moved(op, 256);
                let (at, whole) = (op.imm as u32, c == Code::Set && op.shape == Shape::SCALAR && bytes == 8);
                if whole && pins.pin(at).is_some() {
                    continue;
                }
                let by = next.iter().find(|n| whole && n.0 == at && n.1 - i <= FAR).map(|n| n.1);
                if let Some(by) = by
                    && !found.iter().any(|n| ops[n.0 as usize].a == op.a)
                {
                    let fact = &mut facts[op.a as usize];
                    found.push((i, fact.last));
                    fact.last = fact.last.max(by);
                }
                next.retain(|n| n.0 >= at + bytes || n.0 + 8 <= at);
                if whole {
                    next.push((at, i));
                }
            }
            Code::Load | Code::Store => {
                let flags = MemFlags(op.aux);
                if !matches!(op.shape, Shape::SCALAR | Shape::V128) || flags.has(MemFlags::BIG_ENDIAN) || flags.has(MemFlags::TAG_CHECK) {
                    next.clear();
                }
            }
            Code::Label | Code::Br | Code::BrIf => next.clear(),
            _ if op.flags() & (FAULTS | EFFECT | EXITS) != 0 => next.clear(),
            _ => {}
        }
    }
    found.reverse();
}

impl Lowering<'_> {
    /// A `set`: true if it can wait.
    pub(crate) fn wait(&mut self, op: &Op) -> bool {
        let (offset, value) = (op.imm as u32, op.a);
        self.cover(offset, value);
        let Ok(n) = self.an.covered.binary_search_by_key(&self.at, |c| c.0) else { return false };
        let used = self.an.covered[n].1;
        if self.waiting.len() < MAX && self.fact(value).bits == 64 && !self.is_sticky(offset, 8) && matches!(self.loc(value), Loc::Gpr(_)) {
            self.displace_state(offset, 8);
            if matches!(self.loc(value), Loc::Gpr(_)) {
                self.waiting.push(Waiting { offset, value, used });
                return true;
            }
        }
        self.an.facts[value as usize].last = used;
        false
    }
    /// A field is written, with `value`: if it waits nobody has looked, and what was to be written goes.
    pub(crate) fn cover(&mut self, offset: u32, value: u32) {
        if let Some(n) = self.waiting.iter().position(|w| w.offset == offset) {
            let before = self.waiting.remove(n).value;
            if before != value && self.dies(before) {
                self.release(before);
            }
        }
    }
    /// The value waits, and is there for nothing else any more.
    pub(crate) fn only_waits(&self, value: u32) -> bool {
        self.waiting.iter().any(|w| w.value == value && w.used < self.at)
    }
    /// A value is about to leave its register: the field that waits for it is written. True if that was all the value was there for.
    pub(crate) fn write_waiting(&mut self, value: u32) -> bool {
        let Some(n) = self.waiting.iter().position(|w| w.value == value) else { return false };
        let Waiting { offset, used, .. } = self.waiting.remove(n);
        let m = self.state(offset);
        match self.loc(value) {
            Loc::Gpr(r) => self.asm.mov_mr(Size::Q, m, r),
            Loc::Pin(p) => self.asm.mov_mr(Size::Q, m, HOMES[p as usize]),
            _ => self.fail("a field waited for a value that is not in a register"),
        }
        self.an.facts[value as usize].last = used;
        if used < self.at {
            self.release(value);
            return true;
        }
        if self.vals[value as usize].backing == NONE && matches!(self.loc(value), Loc::Gpr(_)) {
            self.vals[value as usize].backing = offset;
            self.aliases.push(value);
        }
        false
    }
    /// Somebody is about to look.
    pub(crate) fn write_all_waiting(&mut self) {
        while let Some(w) = self.waiting.last() {
            self.write_waiting(w.value);
        }
    }
    /// What waits, for code out of the way.
    pub(crate) fn late(&self) -> Late {
        let mut late = Late::default();
        for (w, to) in self.waiting.iter().zip(&mut late) {
            *to = match self.loc(w.value) {
                Loc::Gpr(r) => Some((w.offset, r)),
                Loc::Pin(p) => Some((w.offset, HOMES[p as usize])),
                _ => None,
            };
        }
        late
    }
    pub(crate) fn write_late(&mut self, late: &Late) {
        for (offset, r) in late.iter().flatten() {
            let m = self.state(*offset);
            self.asm.mov_mr(Size::Q, m, *r);
        }
    }
}
