//! Loads between loads: whose address comes from one, and whose value goes into the address of another. The next node of a list, the entry of a
//! table that the last entry leads to.
//!
//! There the time is not in the number of instructions but in how long one waits for the next, and a look-up's own load of the distance from guest to
//! host addresses is one more link of the chain. In code that is run a lot such a load has a room in the CPU's memory ([`Exchange::distances`]) for the
//! distance that it found last. It takes that for granted and compares it with the look-up's: the host goes on meanwhile. Where what is loaded lies in one piece
//! of the guest's memory, as most of a kernel's does, the distance is always the same. Elsewhere loads cost two instructions more, which is why
//! others do without.

use crate::analyse::operands;
use crate::asm::{Alu, Cc, Gpr, Mem, Size};
use crate::cold::Cold;
use crate::frame::{DISTANCES, DISTANCES_ROW, Exchange};
use crate::lower::{Lowering, Region};
use emu_ir::{Code, NONE, Op};
use std::mem::offset_of;

/// What depends on loads, and what loads depend on.
#[derive(Default)]
pub(crate) struct Chains {
    /// Fields that are written with what comes from loads, and those whose values addresses of loads are made of, somewhere in the region.
    from: Vec<u32>,
    into: Vec<u32>,
    /// By value of the unit: [`FROM`] and [`INTO`].
    values: Vec<u8>,
    /// By op: it is a load between loads, or of the group of one.
    links: Vec<bool>,
    /// The room of the next access.
    room: usize,
}

impl Chains {
    /// Goes over a unit's ops; true if fields have been found that were not known.
    fn follow(&mut self, ops: &[Op], slots: u32) -> bool {
        let Chains { from, into, values, .. } = self;
        let known = (from.len(), into.len());
        values.clear();
        values.resize(slots as usize, 0);
        for op in ops {
            let comes = match op.opcode() {
                Some(Code::Load) => true,
                Some(Code::Get) => from.contains(&(op.imm as u32)),
                Some(Code::Set) => {
                    note(from, op.imm, has(values, op.a, FROM));
                    false
                }
                _ => operands(op).iter().any(|v| has(values, *v, FROM)),
            };
            if op.dst != NONE && comes {
                values[op.dst as usize] |= FROM;
            }
        }
        for op in ops.iter().rev() {
            let goes = op.dst != NONE && has(values, op.dst, INTO);
            match op.opcode() {
                // What is loaded is a link of its own.
                Some(Code::Load) => goes_into(values, op.a),
                Some(Code::Get) => note(into, op.imm, goes),
                Some(Code::Set) if into.contains(&(op.imm as u32)) => goes_into(values, op.a),
                _ if goes => operands(op).iter().for_each(|v| goes_into(values, *v)),
                _ => {}
            }
        }
        (from.len(), into.len()) != known
    }
}

/// True if a value is one.
fn has(values: &[u8], v: u32, what: u8) -> bool {
    values.get(v as usize).is_some_and(|f| f & what != 0)
}
/// Of a value: it comes from a load, or goes into the address of one.
const FROM: u8 = 1;
const INTO: u8 = 2;

fn goes_into(values: &mut [u8], v: u32) {
    if let Some(flags) = values.get_mut(v as usize) {
        *flags |= INTO;
    }
}
fn note(fields: &mut Vec<u32>, at: u64, is: bool) {
    if is && !fields.contains(&(at as u32)) {
        fields.push(at as u32);
    }
}

impl Lowering<'_> {
    /// Before a region.
    pub(crate) fn begin_chains(&mut self, region: &Region<'_>) {
        self.chains.from.clear();
        self.chains.into.clear();
        if self.follows_chains() {
            let mut found = true;
            while std::mem::take(&mut found) {
                for u in region.units {
                    found |= self.chains.follow(u.ops, u.slots);
                }
            }
        }
    }
    /// Before a unit, whose groups are known.
    pub(crate) fn begin_chains_of(&mut self, ops: &[Op], slots: u32) {
        self.chains.links.clear();
        if !self.follows_chains() {
            return;
        }
        self.chains.follow(ops, slots);
        let values = &self.chains.values;
        let between = |op: &Op| op.code == Code::Load as u16 && has(values, op.a, FROM) && has(values, op.dst, INTO);
        self.chains.links.extend(ops.iter().map(between));
        // Whoever looks up for a group does it for all of them.
        for i in (0..ops.len()).rev().filter(|i| self.chains.links[*i]).collect::<Vec<_>>() {
            let links = &mut self.chains.links;
            self.groups.same(i).for_each(|n| links[n] = true);
        }
    }
    fn follows_chains(&self) -> bool {
        self.careful && self.options.native && self.f.direct.is_none()
    }
    /// True if the current access is a load between loads, or looks up for one.
    pub(crate) fn is_link(&self) -> bool {
        self.chains.links.get(self.at as usize) == Some(&true)
    }

    /// Behind a look-up of such a load that has found the entry whose distance is at `entry`: has it in `to`, which `entry` may use; `scratch` is free.
    pub(crate) fn expect_distance(&mut self, entry: Mem, to: Gpr, scratch: Gpr) {
        let n = self.chains.room % DISTANCES;
        self.chains.room += 1;
        let room = self.exchange(offset_of!(Exchange, distances) + 8 * n);
        let (at, back) = (self.asm.label(), self.asm.label());
        self.asm.mov_rm(Size::Q, scratch, room);
        self.asm.alu_rm(Alu::Cmp, Size::Q, scratch, entry);
        self.asm.jcc(Cc::NE, at);
        self.asm.mov_rr(Size::Q, to, scratch);
        self.asm.bind(back);
        self.cold.push(Cold::Distance { at, back, entry, room, to });
    }
}

const _: () = assert!(DISTANCES.is_multiple_of(DISTANCES_ROW));
