//! Overwritten fields: what is written to a state field again, before anything can look at it, is not written the first time.
//!
//! One walk over a unit from its end. The written fields are a table by byte offset, which is emptied where somebody may look:
//! at ops that may fault, have an effect or leave, and where instructions are counted and may be too many. Fields that code has in registers
//! ([`StateInfo::kept`]) are left alone as long as somebody else uses the value: writing them costs nothing, and tells in which register a value
//! is wanted. Condition flags are
//! [`crate::Dead`]'s, which knows what comes behind a unit.

use crate::fields::{FIELD_MAX, Offsets, TRACKED};
use crate::{StateInfo, UnitOps, remove};
use emu_ir::{Code, EFFECT, EXITS, FAULTS, Op, field_bytes};

/// The pass, with a table that is used again.
pub struct Overwritten {
    /// By offset, if it is one of `entered`: how many bytes.
    written: Vec<u8>,
    /// There is something in the table.
    any: bool,
    entered: Offsets,
    /// By value: how many operands it is, counted when that is first asked in a unit.
    uses: Vec<u32>,
}

impl Default for Overwritten {
    fn default() -> Self {
        Overwritten { written: vec![0; TRACKED], any: false, entered: Offsets::default(), uses: Vec::new() }
    }
}

impl Overwritten {
    /// Runs over one unit. `looks`: see [`crate::Dead::run`].
    pub fn run(&mut self, ops: &mut [Op], unit: &UnitOps, looks: &[usize], info: &StateInfo) {
        self.forget();
        self.uses.clear();
        for i in (unit.first..unit.last).rev() {
            let op = &ops[i];
            let (at, bytes) = (op.imm as usize, field_bytes(op) as usize);
            match op.code {
                SET => {
                    if at >= info.own as usize
                        && at < TRACKED
                        && bytes != 0
                        && self.set(at, bytes)
                        && (!info.kept.contains(&(at as u32)) || self.only_use(&ops[unit.first..unit.last], unit, op.a))
                    {
                        remove(&mut ops[i]);
                    }
                }
                // A vector of run-time length: who knows how long.
                GET if bytes == 0 => self.forget(),
                GET => self.get(at, bytes),
                INSN_START => {
                    if !looks.is_empty() && looks.binary_search(&i).is_ok() {
                        self.forget();
                    }
                }
                _ if op.flags() & (FAULTS | EFFECT | EXITS) != 0 => self.forget(),
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
        if std::mem::take(&mut self.any) {
            self.entered.clear();
        }
    }

    /// Notes a field as written; true if it is written again behind this before somebody looks.
    fn set(&mut self, at: usize, bytes: usize) -> bool {
        let covers = |o: usize| self.entered.has(o) && o + usize::from(self.written[o]) >= at + bytes;
        if self.any && (covers(at) || covers(at & !(FIELD_MAX - 1))) {
            return true;
        }
        self.any = true;
        self.written[at] = bytes as u8;
        self.entered.insert(at);
        false
    }

    /// Notes bytes as looked at.
    fn get(&mut self, at: usize, bytes: usize) {
        if !self.any {
            return;
        }
        for o in self.entered.near(at, bytes) {
            if o + usize::from(self.written[o]) > at {
                self.entered.remove(o);
            }
        }
    }
}

const GET: u16 = Code::Get as u16;
const SET: u16 = Code::Set as u16;
const INSN_START: u16 = Code::InsnStart as u16;
