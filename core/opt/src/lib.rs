//! The optimiser: passes over the units of a region, IR to IR.
//!
//! * [`forward`]: what was written to a state field, or read from it, is used instead of reading it again; constants are folded.
//! * [`dead`]: condition flags that are written again before anything can see them are not written.
//! * [`overwritten`]: nor are other fields, within a unit.
//!
//! A pass keeps the invariant that state is precise: whatever may fault, leave or look at state sees exactly what the ops before it made. Ops
//! are removed by [`compact`], which also moves what refers to ops by their position. What nobody uses is left to the code generator, which
//! makes no code for it.

mod dead;
mod fields;
mod forward;
mod overwritten;

pub use dead::Dead;
pub use forward::Forward;
pub use overwritten::Overwritten;

use emu_ir::{NONE, Op};
use std::cell::Cell;

/// A unit of a region: where its ops are in the region's, and what the passes must know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitOps {
    /// Address of the first instruction.
    pub pc: u64,
    /// First op.
    pub first: usize,
    /// One behind the last op.
    pub last: usize,
    /// Number of value slots.
    pub slots: u32,
    /// The unit begins with a look at requests, which sees state.
    pub observed: bool,
}

/// What the passes know of the target.
#[derive(Clone, Debug, Default)]
pub struct StateInfo {
    /// Offsets of the condition flags, one byte each: the first 64.
    pub flags: Vec<u32>,
    /// Fields below this offset may change behind the ops' back: what comes before the target's own state.
    pub own: u32,
    /// Offsets of the fields that code has in registers.
    pub kept: Vec<u32>,
    /// By helper: it writes state.
    pub helper_writes: Vec<bool>,
}

/// Opcode of an op that a pass has removed.
pub const REMOVED: u16 = u16::MAX;

/// Marks an op as removed.
pub(crate) fn remove(op: &mut Op) {
    (op.code, op.dst, op.a, op.b, op.c) = (REMOVED, NONE, NONE, NONE, NONE);
}

/// Removes what passes have marked. The units lie one behind the other; `marks` are positions relative to the units' first ops, ascending, given
/// with the number of the unit.
pub fn compact<'a>(ops: &mut Vec<Op>, units: &mut [UnitOps], marks: impl Iterator<Item = (usize, &'a mut u32)>) {
    let mut marks = marks.peekable();
    let mut to = 0;
    for (n, u) in units.iter_mut().enumerate() {
        let (first, begin) = (u.first, to);
        let mut at = first;
        loop {
            let next = match marks.peek() {
                Some((unit, mark)) if *unit == n => (first + **mark as usize).min(u.last),
                _ => u.last,
            };
            // What comes before the first op that is removed stays where it is.
            if to == at {
                let stay = ops[at..next].iter().position(|op| op.code == REMOVED).unwrap_or(next - at);
                (at, to) = (at + stay, to + stay);
            }
            let cells = Cell::from_mut(&mut ops[..next]).as_slice_of_cells();
            for from in &cells[at..] {
                let op = from.get();
                // `to` is never beyond the op that is looked at.
                if let Some(place) = cells.get(to) {
                    place.set(op);
                }
                to += usize::from(op.code != REMOVED);
            }
            at = next;
            match marks.next_if(|(unit, _)| *unit == n) {
                Some((_, mark)) => *mark = (to - begin) as u32,
                None => break,
            }
        }
        (u.first, u.last) = (begin, to);
    }
    ops.truncate(to);
}
