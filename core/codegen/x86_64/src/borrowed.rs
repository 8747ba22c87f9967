//! Fields that live in registers in one region, besides those that do in all code.
//!
//! A hot region in which calls become part of the code (`inline`) borrows registers of the temporaries for the fields that it uses most, of those
//! that the target would have pinned as well ([`Frame::more`](crate::frame::Frame::more)). Inside they are pins like the others. Whoever comes in
//! from outside, or comes back from a call, loads them; every way out stores those that the region writes, and so does what is about to be seen by a
//! function: a slow access, a helper. So nobody outside can tell. Where calls stay calls that costs more than it saves.

use crate::asm::{Label, Size};
use crate::frame::{BORROWED, HOMES, PINS, PinMap, TEMPS};
use crate::lower::{Lowering, Region};
use crate::memory::moved;
use emu_ir::{Code, Shape, Ty};

/// Uses of a field in a region that are worth a register.
const USES: u32 = 3;
/// Registers where accesses have look-ups, which want temporaries.
const WITH_LOOK_UPS: usize = 1;

impl Lowering<'_> {
    /// Before a region: decides which fields get registers, at most so many.
    pub(crate) fn borrow(&mut self, region: &Region<'_>, most: usize) {
        if self.borrowed != 0 {
            self.borrowed = 0;
            self.pins = self.f.pin_map.clone();
        }
        self.temps = &TEMPS;
        let most = if self.f.direct.is_some() { most } else { most.min(WITH_LOOK_UPS) };
        if most == 0 || self.f.pins.len() < PINS.len() || !self.will_inline(region) || self.f.count || region.counter.is_some() {
            return;
        }
        let mut uses: Vec<(u32, u32)> = Vec::new();
        for op in region.units.iter().flat_map(|u| u.ops) {
            match op.opcode() {
                // Those have registers of their own.
                Some(Code::Cas | Code::Rmw | Code::LoadEx | Code::StoreEx) => return,
                Some(Code::Get | Code::Set) if op.shape == Shape::SCALAR && op.ty == Ty::I64 => {
                    let at = op.imm as u32;
                    match uses.iter_mut().find(|u| u.0 == at) {
                        Some(u) => u.1 += 1,
                        None if self.f.more.contains(&at) => uses.push((at, 1)),
                        None => {}
                    }
                }
                _ => {}
            }
        }
        uses.retain(|u| u.1 >= USES);
        uses.sort_by_key(|u| std::cmp::Reverse(u.1));
        uses.truncate(most.min(BORROWED));
        if uses.is_empty() {
            return;
        }
        self.borrowed = uses.len();
        self.pins = PinMap::new(&self.f.pins.iter().copied().chain(uses.iter().map(|u| u.0)).collect::<Vec<_>>());
        self.temps = &TEMPS[..TEMPS.len() - self.borrowed];
        self.borrowed_written = 0;
        for op in region.units.iter().flat_map(|u| u.ops).filter(|o| o.code == Code::Set as u16) {
            let bytes = moved(op, self.vl);
            self.borrowed_written |= (self.pins.over(op.imm as u32, bytes) >> PINS.len()) as u8;
        }
    }

    /// Stores the fields in borrowed registers: somebody is about to see them. The host's flags stay.
    pub(crate) fn store_borrowed(&mut self) {
        for i in (0..self.borrowed).filter(|i| self.borrowed_written >> i & 1 != 0) {
            let m = self.state(self.pins.at(PINS.len() + i));
            self.asm.mov_mr(Size::Q, m, HOMES[PINS.len() + i]);
        }
    }
    /// Loads them: control comes from elsewhere. The host's flags stay.
    pub(crate) fn load_borrowed(&mut self) {
        for i in 0..self.borrowed {
            let m = self.state(self.pins.at(PINS.len() + i));
            self.asm.mov_rm(Size::Q, HOMES[PINS.len() + i], m);
        }
    }
    /// True if the pinned field has a borrowed register, which called functions do not keep.
    pub(crate) fn is_borrowed(&self, pin: u8) -> bool {
        usize::from(pin) >= PINS.len()
    }

    /// True if units are entered from outside by ways of their own.
    pub(crate) fn has_entries(&self) -> bool {
        self.borrowed != 0
    }
    /// The ways into units from outside, behind the code.
    pub(crate) fn entries(&mut self) {
        if !self.has_entries() {
            return;
        }
        for i in 1..self.unit_labels.len() {
            self.asm.bind(self.entry_labels[i]);
            self.load_borrowed();
            self.asm.jmp(self.unit_labels[i].1);
        }
    }
    /// Where a unit is entered from outside.
    pub(crate) fn entry_label(&self, unit: usize) -> Label {
        if self.has_entries() { self.entry_labels[unit] } else { self.unit_labels[unit].1 }
    }
}
