//! Look-ups that loops keep, in code that is run a lot.
//!
//! A loop that loads and stores off a register which it does not write looks up the same page each time round. Here the first one leaves the distance
//! from guest to host addresses in a room of the CPU's memory ([`Exchange::kept`]), and the others only look whether it is there. For how long a
//! distance is valid is said in `groups`. Everywhere in the region a room has nothing, or what is right for the field that it belongs to as the
//! field is now: so no unit need know where control comes from. It is emptied where control comes in from outside or comes back from a call, behind
//! slow accesses and helpers, where the field is written, and where the mode changes. It is filled out of the way. Should a page not serve (it ends in
//! the bytes that the loop touches, or is slow), the group looks up its own bytes as it would without.
//!
//! A room also knows that the field is aligned as its accesses demand.

use crate::asm::{Cc, Gpr, Label, Mem, Size};
use crate::cold::Cold;
use crate::control::CALL;
use crate::frame::{Exchange, KEPT};
use crate::groups::{Group, Groups, NOTHING};
use crate::lower::{Lowering, Region};
use crate::memory::{Look, moved};
use emu_ir::{Code, MemFlags, NONE, Op, Shape, Ty};
use std::mem::offset_of;

/// Bytes that a room is for at most. The more, the more often the end of a page lies in them.
const SPAN: i64 = 256;

/// Look-ups of a loop that are worth it, or accesses behind them: many loops are gone round in a few times only, or not at all.
const USES: u32 = 2;
const ACCESSES: u32 = 4;

/// What a loop keeps.
#[derive(Clone)]
struct Room {
    /// Offset of the field that the accesses are off, and their view of memory.
    field: u32,
    view: usize,
    /// From the field's value to the first byte, and to the one behind the last.
    low: i64,
    high: i64,
    /// Stores are among the accesses.
    writes: bool,
    /// What the address this far from the value is a multiple of, where there is a distance.
    multiple: (u32, i64),
    /// Units that use it, and the number of look-ups there.
    units: Vec<usize>,
    uses: u32,
    /// Accesses behind those.
    accesses: u32,
    /// The value of the current unit that the field has now.
    base: u32,
}

/// What is gone round in: the first and the last unit, and of that the ops before the way round.
pub(crate) struct Loop {
    first: usize,
    last: usize,
    end: usize,
}

impl Loop {
    /// True if a unit is one of its own.
    pub(crate) fn has(&self, unit: usize) -> bool {
        (self.first..=self.last).contains(&unit)
    }
    /// How many it has.
    pub(crate) fn units(&self) -> usize {
        self.last - self.first + 1
    }
    /// The ops of one of its units that belong to it.
    pub(crate) fn ops<'a>(&self, unit: usize, region: &Region<'a>) -> &'a [Op] {
        let ops = region.units[unit].ops;
        if unit == self.last { &ops[..self.end] } else { ops }
    }
}

/// What the loops of the region keep.
#[derive(Default)]
pub(crate) struct Kept {
    rooms: Vec<Room>,
}

/// True if an op is a `set` of bytes of a field.
fn writes(op: &Op, field: u32, vl: u32) -> bool {
    let from = op.imm as u32;
    op.code == Code::Set as u16 && from < field + 8 && field < from + moved(op, vl)
}
fn whole(op: &Op) -> bool {
    op.ty == Ty::I64 && op.shape == Shape::SCALAR
}

impl Room {
    /// Takes the accesses of a group in, if the room is not too large for them.
    fn take(&mut self, unit: usize, group: &Group, accesses: impl Iterator<Item = (i64, u32)>) -> bool {
        let (mut low, mut high) = (self.low.min(group.low), self.high.max(group.high));
        let (mut align, mut at) = self.multiple;
        let mut count = 0;
        for (access, demanded) in accesses {
            count += 1;
            if demanded <= 1 {
                continue;
            }
            let apart = access.wrapping_sub(at) & (i64::from(demanded.min(align)) - 1) != 0;
            if apart {
                return false;
            }
            if demanded > align {
                (align, at) = (demanded, access);
            }
        }
        // The first byte's address is such a multiple as well, and so is the number of bytes.
        let below = |to: i64| to.wrapping_sub(at) & (i64::from(align) - 1);
        low = low.saturating_sub(below(low));
        high = high.saturating_add((i64::from(align) - below(high)) & (i64::from(align) - 1));
        if high.checked_sub(low).is_none_or(|span| span > SPAN) {
            return false;
        }
        (self.low, self.high, self.multiple) = (low, high, (align, at));
        self.writes |= group.writes;
        self.uses += 1;
        self.accesses += count;
        if !self.units.contains(&unit) {
            self.units.push(unit);
        }
        true
    }
}

impl Lowering<'_> {
    /// Before a region: finds what its loops keep.
    pub(crate) fn begin_kept(&mut self, region: &Region<'_>) {
        self.kept.rooms.clear();
        self.walks.clear();
        if !self.careful || !self.options.native || self.f.direct.is_some() || !region.units.iter().any(|u| u.loops) {
            return;
        }
        let loops = self.loops_of(region);
        self.begin_stretches(region, &loops);
        if self.f.count || self.f.unlinked {
            return;
        }
        let mut groups = std::mem::take(&mut self.groups);
        let mut rooms: Vec<Room> = Vec::new();
        for l in &loops {
            if (l.first..=l.last).any(|n| self.calls_out(l.ops(n, region))) {
                continue;
            }
            let before = rooms.clone();
            for (n, u) in region.units.iter().enumerate() {
                // Its innermost one.
                let inner = loops.iter().filter(|l| l.has(n)).min_by_key(|l| l.units());
                if inner.is_some_and(|i| i.first == l.first) {
                    self.find_groups(&mut groups, u.ops, u.slots);
                    self.rooms_of(n, region, l, &groups, &mut rooms);
                }
            }
            let sum = |of: fn(&Room) -> u32| rooms.iter().map(of).sum::<u32>() - before.iter().map(of).sum::<u32>();
            if sum(|r| r.uses) < USES && sum(|r| r.accesses) < ACCESSES {
                rooms = before;
            }
        }
        self.groups = groups;
        rooms.sort_by_key(|r| std::cmp::Reverse(r.uses));
        rooms.truncate(KEPT);
        self.kept.rooms = rooms;
    }

    /// What units of the region go round in, from wherever to a unit that is not further down.
    fn loops_of(&self, region: &Region<'_>) -> Vec<Loop> {
        let mut loops: Vec<Loop> = Vec::new();
        for (last, u) in region.units.iter().enumerate() {
            let jumps = |op: &Op| matches!(op.opcode(), Some(Code::Goto | Code::Branch)) && op.aux != CALL;
            for (at, op) in u.ops.iter().enumerate().filter(|o| jumps(o.1)) {
                let Some(first) = self.unit_labels.iter().position(|l| l.0 == op.imm).filter(|first| *first <= last) else { continue };
                match loops.iter_mut().find(|l| l.first == first) {
                    Some(l) => (l.last, l.end) = (last, at + 1),
                    None => loops.push(Loop { first, last, end: at + 1 }),
                }
            }
        }
        loops
    }
    /// True if ops call functions, of the guest or of the host: nothing is kept over that.
    fn calls_out(&self, ops: &[Op]) -> bool {
        ops.iter().enumerate().any(|(at, op)| match op.opcode() {
            Some(Code::Call) => at == 0 || self.call_beside(at - 1, ops).is_none(),
            Some(Code::Goto | Code::Jump) => op.aux == CALL,
            _ => false,
        })
    }
    /// The rooms for what a unit of a loop looks up.
    fn rooms_of(&self, n: usize, region: &Region<'_>, l: &Loop, groups: &Groups, rooms: &mut Vec<Room>) {
        let (u, inside) = (&region.units[n], l.ops(n, region).len());
        for (number, g) in groups.all().iter().enumerate() {
            let get = |op: &&Op| op.code == Code::Get as u16 && op.dst == g.base && whole(op);
            let Some(field) = u.ops.iter().find(get).map(|op| op.imm as u32) else { continue };
            let register = self.f.pins.contains(&field) || self.f.more.contains(&field);
            let begins = (0..inside).any(|at| groups.access_of(at).is_some_and(|a| a.0 == number));
            let changes = |n: usize| l.ops(n, region).iter().any(|op| writes(op, field, self.vl));
            if !register || !begins || (l.first..=l.last).any(changes) {
                continue;
            }
            let accesses = u.ops.iter().enumerate().filter_map(|(at, op)| {
                let (_, low) = groups.access_of(at).filter(|a| a.0 == number)?;
                Some((low, Self::alignment(MemFlags(op.aux), moved(op, self.vl))))
            });
            let known = rooms.iter_mut().find(|r| r.field == field && r.view == g.view);
            match known {
                Some(room) => {
                    room.take(n, g, accesses);
                }
                None => {
                    let (field, view, low, high) = (field, g.view, g.low, g.high);
                    let mut room =
                        Room { field, view, low, high, writes: false, multiple: (1, 0), units: Vec::new(), uses: 0, accesses: 0, base: NONE };
                    if room.take(n, g, accesses) {
                        rooms.push(room);
                    }
                }
            }
        }
    }

    /// True if there are rooms.
    pub(crate) fn keeps(&self) -> bool {
        !self.kept.rooms.is_empty()
    }
    fn kept_room(&self, n: usize) -> Mem {
        self.exchange(offset_of!(Exchange, kept) + 8 * n)
    }
    /// No room has a distance any more. The host's flags stay.
    pub(crate) fn empty_rooms(&mut self) {
        for n in 0..self.kept.rooms.len() {
            self.asm.mov_mi(Size::Q, self.kept_room(n), NOTHING as i32);
        }
    }

    /// Before a unit, and where ways meet: no value is known to be what a field has.
    pub(crate) fn forget_bases(&mut self) {
        self.kept.rooms.iter_mut().for_each(|r| r.base = NONE);
    }
    /// Behind an op: a field may be another.
    pub(crate) fn follow_bases(&mut self, op: &Op, c: Code) {
        match c {
            Code::Label => self.forget_bases(),
            Code::Get if whole(op) => {
                self.kept.rooms.iter_mut().filter(|r| r.field == op.imm as u32).for_each(|r| r.base = op.dst);
            }
            Code::Set => {
                // The zero above may have been stored with it.
                let above = Op { imm: op.imm + 8, ..*op };
                for n in 0..self.kept.rooms.len() {
                    let written = |op: &Op| writes(op, self.kept.rooms[n].field, self.vl);
                    if written(op) || self.skip > self.at && written(&above) {
                        self.kept.rooms[n].base = NONE;
                        self.asm.mov_mi(Size::Q, self.kept_room(n), NOTHING as i32);
                    }
                }
            }
            Code::Call => self.forget_bases(),
            _ => {}
        }
    }

    /// The room that a group of the current unit has its distance from.
    pub(crate) fn room_of(&self, g: &Group) -> Option<usize> {
        self.kept.rooms.iter().position(|r| {
            let covers = r.low <= g.low && g.high <= r.high && (r.writes || !g.writes);
            r.base != NONE && r.base == g.base && r.view == g.view && covers && r.units.contains(&self.unit_index)
        })
    }
    /// True if the current access is a multiple of `align` where its room has a distance.
    pub(crate) fn room_aligns(&self, room: usize, align: u32) -> bool {
        let (multiple, at) = self.kept.rooms[room].multiple;
        let low = self.groups.access_of(self.at as usize).map_or(0, |a| a.1);
        align <= multiple && low.wrapping_sub(at) & (i64::from(align) - 1) == 0
    }
    /// The distance of a group from its room. `group`: the address of its first byte, and what to look up where the room's bytes do not serve.
    pub(crate) fn from_room(&mut self, n: usize, address: Mem, view: usize, scratch: [Gpr; 2], group: Option<(Mem, Look)>, alone: Label) {
        let (at, back, room) = (self.asm.label(), self.asm.label(), self.kept_room(n));
        self.asm.mov_rm(Size::Q, scratch[1], room);
        self.asm.test_ri(Size::B, scratch[1], NOTHING as i32);
        self.asm.jcc(Cc::NE, at);
        self.asm.bind(back);
        let r = &self.kept.rooms[n];
        let low = self.groups.access_of(self.at as usize).map_or(0, |a| a.1);
        let look = Look { size: (r.high - r.low) as u32, write: r.writes, align: r.multiple.0 };
        let address = address.plus((r.low - low) as i32);
        self.cold.push(Cold::Room { at, back, room, address, look, view, scratch, group, alone });
    }
}
