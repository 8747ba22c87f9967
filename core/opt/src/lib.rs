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
mod forward;
mod overwritten;

pub use dead::Dead;
pub use forward::Forward;
pub use overwritten::Overwritten;

use emu_ir::{NONE, Op};

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

/// Removes what passes have marked; `marks` are positions relative to the units' first ops, given with the number of the unit.
pub fn compact<'a>(ops: &mut Vec<Op>, units: &mut [UnitOps], marks: impl Iterator<Item = (usize, &'a mut u32)>) {
    let mut kept = Vec::with_capacity(ops.len() + 1);
    let mut n = 0u32;
    for op in ops.iter() {
        kept.push(n);
        n += u32::from(op.code != REMOVED);
    }
    kept.push(n);
    for (unit, mark) in marks {
        let first = units[unit].first;
        *mark = kept[first + *mark as usize] - kept[first];
    }
    for u in units.iter_mut() {
        (u.first, u.last) = (kept[u.first] as usize, kept[u.last] as usize);
    }
    ops.retain(|op| op.code != REMOVED);
}
