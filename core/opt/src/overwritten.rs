//! Overwritten fields: what is written to a state field again, before anything can look at it, is not written the first time.
//!
//! One walk over a unit from its end. The written fields are a table by byte offset; one generation number empties it where somebody may look:
//! at ops that may fault, have an effect or leave, and where instructions are counted and may be too many. Fields that code has in registers
//! ([`StateInfo::kept`]) are left alone as long as somebody else uses the value: writing them costs nothing, and tells in which register a value
//! is wanted. Condition flags are
//! [`crate::Dead`]'s, which knows what comes behind a unit.

use crate::{StateInfo, UnitOps, remove};
use emu_ir::{Code, EFFECT, EXITS, FAULTS, Op, Width};

/// Fields at offsets below this are tracked.
const TRACKED: usize = 2048;
/// Size in bytes of the largest field that is.
const FIELD_MAX: usize = 16;

#[derive(Clone, Copy, Default)]
struct Written {
    generation: u32,
    bytes: u32,
}

/// The pass, with a table that is used again.
pub struct Overwritten {
    written: Vec<Written>,
    generation: u32,
    /// There is something in the table.
    any: bool,
    /// By value: how many operands it is, counted when that is first asked in a unit.
    uses: Vec<u32>,
}

impl Default for Overwritten {
    fn default() -> Self {
        Overwritten { written: vec![Written::default(); TRACKED], generation: 1, any: false, uses: Vec::new() }
    }
}

/// Where the field of a `get` or `set` is, and its size in bytes, if that does not depend on a vector length.
fn field(op: &Op) -> Option<(usize, usize)> {
    match Width::of(op.ty, op.shape) {
        Width::Bits(bits) => Some((op.imm as usize, (bits as usize).div_ceil(8))),
        _ => None,
    }
}

impl Overwritten {
    /// Runs over one unit. `looks`: see [`crate::Dead::run`].
    pub fn run(&mut self, ops: &mut [Op], unit: &UnitOps, looks: &[usize], info: &StateInfo) {
        self.forget();
        self.uses.clear();
        for i in (unit.first..unit.last).rev() {
            let op = &ops[i];
            match op.opcode() {
                Some(Code::Set) => {
                    if let Some((at, bytes)) = field(op)
                        && at >= info.own as usize
                        && at < TRACKED
                        && self.set(at, bytes)
                        && (!info.kept.contains(&(at as u32)) || self.only_use(&ops[unit.first..unit.last], unit, op.a))
                    {
                        remove(&mut ops[i]);
                    }
                }
                Some(Code::Get) => match field(op) {
                    Some((at, bytes)) => self.get(at, bytes),
                    None => self.forget(),
                },
                Some(Code::InsnStart) if looks.is_empty() || looks.binary_search(&i).is_err() => {}
                Some(Code::InsnStart) => self.forget(),
                Some(_) if op.flags() & (FAULTS | EFFECT | EXITS) != 0 => self.forget(),
                _ => {}
            }
        }
    }

    /// Whether a value of the unit is no more than one operand.
    fn only_use(&mut self, ops: &[Op], unit: &UnitOps, value: u32) -> bool {
        if self.uses.is_empty() {
            self.uses.resize(unit.slots as usize, 0);
            for op in ops.iter().filter(|op| op.code != Code::Const128 as u16) {
                for v in [op.a, op.b, op.c] {
                    if let Some(n) = self.uses.get_mut(v as usize) {
                        *n += 1;
                    }
                }
            }
        }
        self.uses.get(value as usize).is_some_and(|n| *n <= 1)
    }

    fn forget(&mut self) {
        if !std::mem::take(&mut self.any) {
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.written.fill(Written::default());
            self.generation = 1;
        }
    }

    /// Notes a field as written; true if it is written again behind this before somebody looks.
    fn set(&mut self, at: usize, bytes: usize) -> bool {
        let covers = |o: usize| {
            let w = self.written[o];
            w.generation == self.generation && o + w.bytes as usize >= at + bytes
        };
        if covers(at) || covers(at & !(FIELD_MAX - 1)) {
            return true;
        }
        self.any = true;
        self.written[at] = Written { generation: self.generation, bytes: bytes as u32 };
        false
    }

    /// Notes bytes as looked at.
    fn get(&mut self, at: usize, bytes: usize) {
        if !self.any {
            return;
        }
        for o in at.saturating_sub(FIELD_MAX - 1)..(at + bytes).min(TRACKED) {
            let w = &mut self.written[o];
            if w.generation == self.generation && o + w.bytes as usize > at {
                w.generation = 0;
            }
        }
    }
}
