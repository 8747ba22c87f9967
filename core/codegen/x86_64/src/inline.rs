//! Calls that become part of the code they are made from, in code that is run a lot.
//!
//! What is called inside the region, and goes out of itself by returning only, is emitted once more for the place that calls it: the call is
//! a jump, or nothing, and the return a comparison with a constant, behind which the caller goes on. Nothing is pushed and no room on the
//! stack looked for, and what is put off of the flags goes in and out. A return to anywhere else is one that was not expected, as ever. So is the
//! first one behind a fault or a request in there, which go on in the code for everybody.

use crate::analyse::NO_KEY;
use crate::asm::{Alu, Cc, Label, Size};
use crate::control::{CALL, RETURN, goes_on};
use crate::deferred::Snapshot;
use crate::lower::{Lowering, Position, Region};
use emu_ir::{Code, Op};

/// Ops of what is emitted once more for one place, without what it calls.
const OPS: usize = 240;
/// Such places in a region.
const PLACES: usize = 24;
/// Calls inside of each other.
pub(crate) const DEPTH: u8 = 3;

/// A place that calls, and what it calls.
#[derive(Clone, Copy)]
pub(crate) struct Inline {
    /// Unit that is called.
    called: usize,
    /// Address and unit that it comes back to.
    behind: u64,
    back: usize,
    /// The unit that calls, and the loop that is a version for.
    from: usize,
    loops: Option<(usize, usize)>,
    /// The same, of the code that the place is in.
    outer: Option<u16>,
    depth: u8,
}

/// Where a unit goes to inside the region, and whether it goes anywhere else but by a return.
#[derive(Clone, Default)]
pub(crate) struct Shape {
    to: Vec<u16>,
    closed: bool,
}

impl Lowering<'_> {
    /// Before a region.
    pub(crate) fn begin_inlines(&mut self, region: &Region<'_>) {
        self.inlines.clear();
        self.shapes.clear();
        self.inline = None;
        self.falls = None;
        if !(region.hot && self.options.fuse && self.options.native) || self.f.unlinked || !self.expects {
            return;
        }
        let call = |op: &Op| op.code == Code::Goto as u16 && op.aux == CALL;
        if !region.units.iter().any(|u| u.ops.last().is_some_and(|op| call(op) && region.units.iter().any(|to| to.pc == op.imm))) {
            return;
        }
        for u in region.units {
            let mut shape = Shape { to: Vec::new(), closed: true };
            for op in u.ops {
                let Some(to) = goes_on(op, u.end) else {
                    let returns = op.code == Code::Jump as u16 && op.aux == RETURN;
                    shape.closed &= returns || !matches!(op.opcode(), Some(Code::Jump | Code::Exit | Code::ExitJump));
                    continue;
                };
                match region.units.iter().position(|u| u.pc == to) {
                    Some(n) => shape.to.push(n as u16),
                    None => shape.closed = false,
                }
            }
            self.shapes.push(shape);
        }
    }

    /// True if some call becomes part of the code.
    pub(crate) fn will_inline(&self, region: &Region<'_>) -> bool {
        let index = |pc: u64| region.units.iter().position(|u| u.pc == pc);
        !self.shapes.is_empty()
            && region.units.iter().enumerate().any(|(i, u)| {
                let called = u.ops.last().filter(|op| op.code == Code::Goto as u16 && op.aux == CALL).and_then(|op| index(op.imm));
                called.is_some_and(|n| index(u.end).is_some_and(|back| back > i) && self.size_of_called(n).is_some())
            })
    }

    /// Number of ops of what is called at a unit, if it goes out by returns only.
    fn size_of_called(&self, unit: usize) -> Option<usize> {
        let (mut seen, mut ops) = (vec![unit as u16], 0);
        let mut n = 0;
        while let Some(at) = seen.get(n).copied() {
            n += 1;
            let shape = &self.shapes[usize::from(at)];
            ops += self.units[usize::from(at)].ops;
            if !shape.closed || ops > OPS {
                return None;
            }
            for to in &shape.to {
                if !seen.contains(to) {
                    seen.push(*to);
                }
            }
        }
        Some(ops)
    }

    /// A call of a unit of the region that is to become part of the code: goes there. False if it is not.
    pub(crate) fn call_inline(&mut self, unit: usize, behind: u64) -> bool {
        if self.shapes.is_empty() {
            return false;
        }
        let Some(back) = self.unit_labels.iter().position(|u| u.0 == behind) else { return false };
        let depth = self.inline.map_or(0, |n| self.inlines[usize::from(n)].depth) + 1;
        // What comes back to a unit further up would have to look for requests.
        if depth > DEPTH || back <= self.unit_index {
            return false;
        }
        let known = self.inlines.iter().position(|i| (i.called, i.behind, i.outer) == (unit, behind, self.inline));
        let place = match known {
            Some(place) => place,
            None => {
                let Some(ops) = self.size_of_called(unit) else { return false };
                if self.inlines.len() == PLACES || !self.has_room_for(ops) {
                    return false;
                }
                self.version_ops += ops;
                let (from, loops, outer) = (self.unit_index, self.loops, self.inline);
                self.inlines.push(Inline { called: unit, behind, back, from, loops, outer, depth });
                self.inlines.len() - 1
            }
        };
        let outer = self.inline.replace(place as u16);
        let to = self.goes_inside(unit);
        let to = to.unwrap_or_else(|| self.own_label(unit));
        self.inline = outer;
        self.deferred.clear();
        let inner = self.enter_version(to);
        self.go_on(inner);
        true
    }

    /// How many calls that are part of the code a place is in, its own included.
    pub(crate) fn depth_of(&self, place: u16) -> u8 {
        self.inlines[usize::from(place)].depth
    }

    /// Ends a unit by going to a label: by a jump, unless what is there can be emitted next.
    pub(crate) fn go_on(&mut self, to: Label) {
        if self.falls.is_some() {
            self.asm.jmp(to);
        } else {
            self.falls = Some(to);
        }
    }

    /// Before a return to an address in a register, in a call that is part of the code: goes on behind that if it comes back to there.
    pub(crate) fn return_inside(&mut self, r: crate::asm::Gpr) {
        let Some(place) = self.inline else { return };
        let i = self.inlines[usize::from(place)];
        self.write_all_waiting();
        let inside = (self.inline, self.loops, self.unit_index);
        (self.inline, self.loops, self.unit_index) = (i.outer, i.loops, i.from);
        let flags = self.wanted_by(i.back);
        let to = self.way_back(i.back, flags);
        (self.inline, self.loops, self.unit_index) = inside;
        self.lock(r);
        let skip = (self.mode_now != Some(self.mode)).then(|| {
            let (t, skip) = (self.temp(), self.asm.label());
            self.compare_mode_key(self.mode, t);
            self.asm.jcc(Cc::NE, skip);
            skip
        });
        match i32::try_from(i.behind as i64) {
            Ok(behind) if self.position == Position::Fixed => self.asm.alu_ri(Alu::Cmp, Size::Q, r, behind),
            _ => {
                let t = self.temp();
                self.place(t, i.behind);
                self.asm.alu_rr(Alu::Cmp, Size::Q, r, t);
            }
        }
        self.asm.jcc(Cc::E, to);
        if let Some(skip) = skip {
            self.asm.bind(skip);
        }
        self.flags = NO_KEY;
    }

    /// The code of a unit that is entered with nothing put off.
    pub(crate) fn own_label(&mut self, unit: usize) -> Label {
        if self.inline.is_none() {
            return self.unit_labels[unit].1;
        }
        let none: Snapshot = (0, 0);
        self.version(unit, none, true).unwrap_or(self.unit_labels[unit].1)
    }
}
