//! Condition flags that are not stored yet.
//!
//! A guest's compare sets four fields, which the next compare sets again; in between hardly anybody looks. So a `set` of a condition is put
//! off: [`Deferred`] says how the flags are made again from operands that are still where they were, and who looks makes them. What may look
//! without being likely to (an access that faults, a way out of the region, a request) has them made in its code out of the way. What is
//! about to change an operand has them made before, unless they are dead by then ([`Analysis::live_after`](crate::analyse::Analysis)).
//!
//! A jump to a unit that was emitted already is a loop. What is put off there must not be made each time round, so the unit is emitted once
//! more as a [`Version`] that begins with it put off, and the loop goes on in that.

use crate::aligned::Multiples;
use crate::analyse::{KeyKind, NO_KEY, NO_PIN};
use crate::asm::{Alu, Cc, Gpr, Label, Size, reg::RAX};
use crate::cold::Cold;
use crate::frame::{DEFERRED_ROOMS, Exchange, HOMES};
use crate::lower::{Loc, Lowering};
use crate::memory::moved;
use crate::shared::Reach;
use emu_ir::{Code, FAULTS, NONE, Op, Shape, Ty};
use std::mem::offset_of;

/// Ops of all versions of a region together.
const VERSION_OPS: usize = 2000;
/// Versions of a unit besides the one that is entered from outside.
const VERSIONS: usize = 2;
/// Of each, versions for different distances.
const REACHES: usize = 2;

/// An operand that stays where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operand {
    /// A pinned field, by index.
    Pin(u8),
    /// Another field, by offset.
    State(u32),
    Imm(i32),
    /// A register, for now.
    Reg(Gpr),
}

/// How the host's flags are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// Not at all: constants.
    Nothing,
    /// Those of a - b.
    Sub(Operand, Operand),
    /// Those of a & b.
    And(Operand, Operand),
    /// Those of a - b, where a is the sum of the two operands: what it was before the result came in its place.
    SubFrom(Operand, Operand),
    /// Those of a + b, where the first operand is the sum.
    SumTo(Operand, Operand),
}

/// What a field is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Cc(Cc),
    Const(bool),
}

/// Fields of one comparison that are not stored yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deferred {
    pub(crate) how: How,
    pub(crate) size: Size,
    /// The comparison in the unit that is being emitted, if it was made there.
    key: u16,
    fields: [(u32, What); 4],
    count: u8,
    /// An operand goes with the current op, behind which nobody looks.
    lost: bool,
}

impl Deferred {
    pub(crate) fn of(how: How, size: Size, key: u16) -> Deferred {
        Deferred { how, size, key, fields: [(0, What::Const(false)); 4], count: 0, lost: false }
    }
    /// True for fields of the same comparison.
    fn is_made_as(&self, other: &Deferred) -> bool {
        (self.how, self.key, self.size, self.lost) == (other.how, other.key, other.size, other.lost)
    }
    /// Adds a field. False if there is no room.
    pub(crate) fn add(&mut self, field: u32, what: What) -> bool {
        let room = self.fields.get_mut(usize::from(self.count));
        let found = room.is_some();
        room.into_iter().for_each(|f| *f = (field, what));
        self.count += u8::from(found);
        found
    }
    pub(crate) fn fields(&self) -> &[(u32, What)] {
        &self.fields[..usize::from(self.count)]
    }
    fn remove(&mut self, offset: u32, bytes: u32) {
        let mut kept = 0;
        for i in 0..usize::from(self.count) {
            if self.fields[i].0 < offset || self.fields[i].0 >= offset + bytes {
                self.fields[kept] = self.fields[i];
                kept += 1;
            }
        }
        self.count = kept as u8;
    }
    fn uses(&self, hit: impl Fn(Operand) -> bool) -> bool {
        match self.how {
            How::Nothing => false,
            How::Sub(a, b) | How::And(a, b) | How::SubFrom(a, b) | How::SumTo(a, b) => hit(a) || hit(b),
        }
    }
}

/// Some of [`Lowering::snapshots`], for code out of the way.
pub(crate) type Snapshot = (u32, u32);

/// Where the operands and the result are of an operation that made flags on the way.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    key: u16,
    /// Value number of its result.
    result: u32,
    a: Option<Operand>,
    b: Option<Operand>,
    at: Option<Operand>,
}

/// A unit of the region, as jumps to it know it.
#[derive(Clone, Copy)]
pub(crate) struct Unit {
    /// Number of ops.
    pub ops: usize,
    /// See [`flags`](crate::lower::Unit::flags).
    flags: u8,
}

/// A unit that begins with flags put off.
#[derive(Clone, Copy)]
pub(crate) struct Version {
    pub unit: usize,
    pub entry: Snapshot,
    pub label: Label,
    /// Behind the look at requests that it begins with.
    pub inner: Label,
    /// The call that it is part of.
    pub inline: Option<u16>,
    /// It is entered at `inner` by what calls it: the look is elsewhere.
    pub called: bool,
    pub emitted: bool,
    /// What pinned fields are multiples of, see `aligned`.
    pub aligned: Multiples,
    /// It begins with that distance, or none: see `shared`.
    pub reach: Option<Reach>,
    /// Units of the loop.
    loops: (usize, usize),
}

impl Lowering<'_> {
    /// Bit of a field.
    fn bit(&self, field: u32) -> u8 {
        self.f.flags.iter().position(|f| *f == field).map_or(u8::MAX, |n| 1 << n)
    }
    fn bits_of(&self, d: &Deferred) -> u8 {
        d.fields().iter().fold(0, |bits, f| bits | self.bit(f.0))
    }
    /// Fields that somebody may look at behind the current op.
    fn live_now(&self) -> u8 {
        self.an.live_after.get(self.at as usize).copied().unwrap_or(u8::MAX)
    }

    /// Before a region.
    pub(crate) fn begin_flags(&mut self, region: &crate::Region<'_>) {
        self.defers = region.hot && self.options.fuse && self.options.native && !self.f.flags.is_empty();
        self.units.clear();
        self.units.extend(region.units.iter().map(|u| Unit { ops: u.ops.len(), flags: u.flags }));
        self.versions.clear();
        self.version_ops = 0;
        self.snapshots.clear();
        self.deferred.clear();
        self.loops = None;
    }

    // -- putting off -----------------------------------------------------------------------------------------------------------------
    /// A `set` of a condition that need not be stored now. False if it must be.
    pub(crate) fn defer(&mut self, op: &Op) -> bool {
        let (offset, v) = (op.imm as u32, op.a);
        if op.ty != Ty::I1 || op.shape != Shape::SCALAR || !self.f.flags.contains(&offset) {
            return false;
        }
        self.displace_state(offset, 1);
        let fact = self.fact(v);
        // One that has a register is asked for later; its flags may be there all the same.
        let key = if fact.early != NO_KEY && fact.early == self.flags { fact.early } else { fact.key };
        let (key, what, how, size) = match self.loc(v) {
            Loc::Const(c) => (NO_KEY, What::Const(c & 1 != 0), Some(How::Nothing), Size::B),
            Loc::None | Loc::Gpr(_) if key != NO_KEY => {
                let bits = u32::from(self.an.keys[key as usize].bits);
                let known = self.deferred.iter().find(|d| d.key == key).map(|d| d.how);
                (key, What::Cc(fact.cc), known.or_else(|| self.how(key)), Size::bits(bits))
            }
            _ => return false,
        };
        let Some(how) = how else { return false };
        let new = Deferred::of(how, size, key);
        let known = self.deferred.iter().position(|d| d.is_made_as(&new) && d.count < 4);
        if known.is_none() && self.deferred.len() >= 3 {
            return false;
        }
        if key != NO_KEY {
            // What else asks for this comparison finds it made, while its operands are there.
            self.make_flags(key);
        }
        let at = known.unwrap_or_else(|| {
            self.deferred.push(new);
            self.deferred.len() - 1
        });
        self.deferred[at].add(offset, what)
    }

    /// Fields are written otherwise: what was put off for them is void.
    pub(crate) fn overwritten(&mut self, offset: u32, bytes: u32) {
        if !self.deferred.is_empty() {
            self.deferred.iter_mut().for_each(|d| d.remove(offset, bytes));
            self.deferred.retain(|d| d.count != 0);
        }
    }

    fn place_of(&self, v: u32) -> Option<Operand> {
        let value = self.vals[v as usize];
        match value.loc {
            Loc::Pin(p) => Some(Operand::Pin(p)),
            Loc::State(off) => Some(Operand::State(off)),
            // What has been used for the last time is nowhere, whatever it was in before.
            Loc::None => None,
            _ if value.backing != NONE => Some(Operand::State(value.backing)),
            Loc::Const(c) if self.fact(v).bits == 32 => Some(Operand::Imm(c as i32)),
            Loc::Const(c) => i32::try_from(c as i64).ok().map(Operand::Imm),
            _ => None,
        }
    }

    /// The same; what is in a register of its own is copied to where it stays.
    fn kept_place_of(&mut self, v: u32, not: Option<Operand>) -> Option<Operand> {
        if let (None, Loc::Gpr(r)) = (self.place_of(v), self.loc(v)) {
            if !self.defers {
                return Some(Operand::Reg(r));
            }
            let to = self.room(|o| Some(o) == not)?;
            if let Operand::State(off) = to {
                let m = self.state(off);
                self.asm.mov_mr(Size::Q, m, r);
            }
            return Some(to);
        }
        self.place_of(v)
    }
    /// A place for an operand in memory that nobody uses.
    fn room(&self, taken: impl Fn(Operand) -> bool) -> Option<Operand> {
        let base = (self.f.exchange + offset_of!(Exchange, deferred) as i32) as u32 + 8;
        let rooms = (0..DEFERRED_ROOMS as u32).map(|n| Operand::State(base + 8 * n));
        rooms.into_iter().find(|r| !taken(*r) && !self.deferred.iter().any(|d| d.uses(|o| o == *r)))
    }

    /// How the flags of a key are made again later.
    pub(crate) fn how(&mut self, key: u16) -> Option<How> {
        let k = self.an.keys[key as usize];
        if k.producer == NONE {
            if k.kind == KeyKind::Add || self.defers && k.kind == KeyKind::And && k.a != k.b && !matches!(self.place_of(k.a), Some(Operand::Pin(_))) {
                return None;
            }
            let a = self.kept_place_of(k.a, None)?;
            let b = if k.b == k.a { a } else { self.kept_place_of(k.b, Some(a))? };
            return match (k.kind, a, b) {
                (_, Operand::Imm(_), _) => None,
                (KeyKind::Sub, ..) => Some(How::Sub(a, b)),
                (KeyKind::And, ..) if a == b => Some(How::Sub(a, Operand::Imm(0))),
                (KeyKind::And, Operand::Pin(_), Operand::Pin(_) | Operand::Imm(_)) => Some(How::And(a, b)),
                (KeyKind::And, ..) if !self.defers => Some(How::And(a, b)),
                _ => None,
            };
        }
        let made = self.made_flags.filter(|m| m.key == key)?;
        match (k.kind, made.a, made.b, made.at) {
            (KeyKind::And, _, _, Some(r)) => Some(How::Sub(r, Operand::Imm(0))),
            (KeyKind::Sub, Some(a @ (Operand::Pin(_) | Operand::State(_))), Some(b), _) => Some(How::Sub(a, b)),
            (KeyKind::Sub, _, Some(b), Some(r)) if r != b && (k.bits == 64 || matches!(r, Operand::Pin(_))) => Some(How::SubFrom(r, b)),
            (KeyKind::Add, _, Some(b), Some(r)) if r != b && (k.bits == 64 || matches!(r, Operand::Pin(_))) => Some(How::SumTo(r, b)),
            _ => None,
        }
    }

    /// Before an op that makes flags on the way: where its operands are.
    pub(crate) fn note_operands(&mut self, op: &Op) {
        let makes = if op.dst == NONE { NO_KEY } else { self.fact(op.dst).makes };
        if makes == NO_KEY {
            return;
        }
        let k = self.an.keys[makes as usize];
        if matches!(k.kind, KeyKind::Sub | KeyKind::Add | KeyKind::And) {
            let (a, b) = (self.place_of(op.a), self.place_of(op.b));
            self.made_flags = Some(Made { key: makes, result: op.dst, a, b, at: None });
        }
    }
    /// Behind it: where its result is.
    pub(crate) fn note_result(&mut self, op: &Op) {
        if let Some(made) = self.made_flags
            && op.dst != NONE
            && made.result == op.dst
        {
            let at = self.place_of(op.dst).filter(|at| !matches!(at, Operand::Imm(_)));
            self.made_flags = Some(Made { at, ..made });
        }
    }
    /// A value was written to a field.
    pub(crate) fn note_written(&mut self, v: u32, to: Operand) {
        if let Some(made) = self.made_flags.as_mut().filter(|m| m.result == v) {
            made.at = Some(to);
        }
    }

    // -- making ----------------------------------------------------------------------------------------------------------------------
    /// `op to, by`.
    fn operate(&mut self, op: Alu, size: Size, to: Operand, by: Operand) {
        match (to, by) {
            (Operand::Pin(p), Operand::Pin(q)) => self.asm.alu_rr(op, size, HOMES[p as usize], HOMES[q as usize]),
            (Operand::Pin(p), Operand::Imm(i)) => self.asm.alu_ri(op, size, HOMES[p as usize], i),
            (Operand::State(off), Operand::Pin(q)) => {
                let m = self.state(off);
                self.asm.alu_mr(op, size, m, HOMES[q as usize]);
            }
            (Operand::State(off), Operand::Imm(i)) => {
                let m = self.state(off);
                self.asm.alu_mi(op, size, m, i);
            }
            (Operand::Pin(p), Operand::State(off)) => {
                let m = self.state(off);
                self.asm.alu_rm(op, size, HOMES[p as usize], m);
            }
            (Operand::State(off), Operand::State(other)) => {
                let (m, n, room) = (self.state(off), self.state(other), self.exchange(offset_of!(Exchange, deferred)));
                self.asm.mov_mr(Size::Q, room, RAX);
                self.asm.mov_rm(size, RAX, n);
                self.asm.alu_mr(op, size, m, RAX);
                self.asm.mov_rm(Size::Q, RAX, room);
            }
            _ => self.fail("flags of a constant or a register were put off"),
        }
    }
    fn store_fields(&mut self, d: &Deferred) {
        for (field, what) in d.fields() {
            let m = self.state(*field);
            match what {
                What::Cc(cc) => self.asm.setcc_m(*cc, m),
                What::Const(value) => self.asm.mov_mi(Size::B, m, i32::from(*value)),
            }
        }
    }
    /// Stores fields; the host's flags change.
    fn make(&mut self, d: &Deferred) {
        match d.how {
            How::Nothing => {}
            How::Sub(a, b) => self.operate(Alu::Cmp, d.size, a, b),
            How::And(Operand::Pin(p), Operand::Pin(q)) => self.asm.test_rr(d.size, HOMES[p as usize], HOMES[q as usize]),
            How::And(Operand::Pin(p), Operand::Imm(i)) => self.asm.test_ri(d.size, HOMES[p as usize], i),
            How::And(..) => self.fail("flags of a conjunction were put off"),
            How::SubFrom(r, b) => {
                self.operate(Alu::Add, Size::Q, r, b);
                self.operate(Alu::Cmp, d.size, r, b);
                self.store_fields(d);
                return self.operate(Alu::Sub, Size::Q, r, b);
            }
            // A field has nothing above a sum of 32 bits (`how`).
            How::SumTo(r, b) => {
                self.operate(Alu::Sub, d.size, r, b);
                self.operate(Alu::Add, d.size, r, b);
            }
        }
        self.store_fields(d);
    }
    /// Stores fields in the middle of code; the host's flags stay if anybody needs them. `between`: the current op has not begun, so that
    /// it is known what they are.
    fn make_now(&mut self, d: &Deferred, between: bool) {
        let made = between && d.key != NO_KEY && self.flags == d.key;
        if d.how == How::Nothing || made {
            return self.store_fields(d);
        }
        let needed = !between || self.flags_wanted();
        if needed {
            self.asm.pushf();
        }
        self.make(d);
        if needed {
            self.asm.popf();
        } else {
            self.flags = NO_KEY;
        }
    }
    /// The current op lets others look: all is stored.
    pub(crate) fn make_all(&mut self) {
        if !self.leave_deferred() {
            self.write_all();
        }
    }
    /// The same, in the fields.
    pub(crate) fn write_all(&mut self) {
        if self.deferred.is_empty() {
            return;
        }
        while let Some(d) = self.deferred.pop() {
            self.make_now(&d, true);
        }
        // What is not among them is in its field already, or nobody's.
        self.all_written();
    }
    /// The same for what overlaps some bytes.
    pub(crate) fn make_fields(&mut self, offset: u32, bytes: u32) {
        let hit = |d: &Deferred| d.fields().iter().any(|f| f.0 >= offset && f.0 < offset + bytes);
        if self.deferred.iter().any(hit) {
            self.write_all();
        }
    }

    /// Before an op: what it writes may be an operand of what was put off.
    pub(crate) fn before_op(&mut self, op: &Op, c: Code, ops: &[Op]) {
        self.keep_what_changes(op, c, ops);
        self.note_operands(op);
    }
    fn keep_what_changes(&mut self, op: &Op, c: Code, ops: &[Op]) {
        if self.deferred.is_empty() && self.made_flags.is_none() {
            return;
        }
        let mut pins = 0u32;
        // A load of two halves by two accesses: the second may fault when the first has changed its register.
        let mut in_halves = false;
        if op.dst != NONE {
            let mut wants = [self.fact(op.dst).want, NO_PIN];
            if c == Code::Load
                && let Some((low, high)) = self.halves_follow(op, ops)
            {
                wants = [self.fact(low).want, self.fact(high).want];
                in_halves = self.f.direct.is_some();
            }
            for want in wants.into_iter().filter(|w| *w != NO_PIN) {
                pins |= 1 << want;
            }
        }
        let (mut from, mut to) = (0, 0);
        if c == Code::Set {
            let bytes = moved(op, self.vl);
            (from, to) = (op.imm as u32, op.imm as u32 + bytes);
            pins = self.pins.over(from, bytes).into();
            if matches!(self.loc(op.a), Loc::Pin(p) if pins == 1 << p) || self.loc(op.a) == Loc::State(from) {
                return;
            }
        }
        if pins == 0 && from == to {
            return;
        }
        let hit = |o: Operand| match o {
            Operand::Pin(p) => pins >> p & 1 != 0,
            // A field's width is not known here; none is wider than this.
            Operand::State(off) => off < to && from < off + 8,
            Operand::Imm(_) | Operand::Reg(_) => false,
        };
        let live = self.live_now();
        let mut i = 0;
        while i < self.deferred.len() {
            let d = self.deferred[i];
            if d.lost || !d.uses(hit) {
                i += 1;
            } else if live & self.bits_of(&d) != 0 || in_halves {
                if !self.keep_operands(i, hit) {
                    self.store_put_off(i, true);
                }
            } else if op.flags() & FAULTS != 0 {
                self.deferred[i].lost = true;
                i += 1;
            } else {
                self.deferred.remove(i);
            }
        }
    }
    /// Behind an op.
    pub(crate) fn behind_op(&mut self, op: &Op) {
        self.note_result(op);
        if self.deferred.iter().any(|d| d.lost) {
            self.deferred.retain(|d| !d.lost);
        }
    }
    /// A pinned register is about to be written.
    pub(crate) fn pin_changes(&mut self, pin: u8) {
        self.operands_change(|o| o == Operand::Pin(pin));
    }
    /// Bytes of state are about to be written.
    pub(crate) fn state_changes(&mut self, offset: u32, bytes: u32) {
        self.operands_change(|o| matches!(o, Operand::State(off) if off < offset + bytes && offset < off + 8));
    }
    fn operands_change(&mut self, hit: impl Fn(Operand) -> bool) {
        if let Some(made) = &mut self.made_flags {
            for o in [&mut made.a, &mut made.b, &mut made.at] {
                *o = o.filter(|o| !hit(*o));
            }
        }
        while let Some(i) = self.deferred.iter().position(|d| !d.lost && d.uses(&hit)) {
            if !self.keep_operands(i, &hit) {
                self.store_put_off(i, false);
            }
        }
    }
    /// Stores one of those that are put off, or all if they can be left unsettled; `between`: see `make_now`.
    fn store_put_off(&mut self, i: usize, between: bool) {
        if !self.leave_deferred() {
            let d = self.deferred.remove(i);
            self.make_now(&d, between);
            self.all_written();
        }
    }
    /// Copies operands that are about to change to where they stay; the host's flags do too. False if there is no room, or no way to make
    /// flags from there.
    fn keep_operands(&mut self, i: usize, hit: impl Fn(Operand) -> bool) -> bool {
        let mut how = self.deferred[i].how;
        let (first, second) = match &mut how {
            How::Sub(a, b) => (a, b),
            // The second operand must stay in reach of an instruction that changes the first in memory.
            How::SubFrom(a, b) | How::SumTo(a, b) if !hit(*b) => (a, b),
            _ => return false,
        };
        let mut first_room = None;
        for o in [first, second] {
            if !hit(*o) {
                continue;
            }
            let Some(to @ Operand::State(off)) = self.room(|r| Some(r) == first_room) else { return false };
            first_room = Some(to);
            let room = self.state(off);
            match *o {
                Operand::Pin(p) => self.asm.mov_mr(Size::Q, room, HOMES[p as usize]),
                Operand::State(off) => {
                    let from = self.state(off);
                    self.asm.movq_rm(15, from);
                    self.asm.movq_mr(room, 15);
                }
                Operand::Imm(_) | Operand::Reg(_) => {}
            }
            *o = to;
        }
        self.deferred[i].how = how;
        // The flags are still those of its key, if they were.
        true
    }

    // -- out of the way ----------------------------------------------------------------------------------------------------------------
    /// What is put off now, for code out of the way.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let (from, n) = (self.snapshots.len(), self.deferred.len());
        if n == 0 {
            return (0, 0);
        }
        // Mostly it is the same as the last time.
        if from >= n && self.snapshots[from - n..] == self.deferred[..] {
            return ((from - n) as u32, n as u32);
        }
        self.snapshots.extend_from_slice(&self.deferred);
        (from as u32, n as u32)
    }
    /// Stores what a snapshot has.
    pub(crate) fn make_snapshot(&mut self, (from, n): Snapshot) {
        if n == 0 {
            return;
        }
        // What is the same for several ways is a routine.
        let known = self.routines.iter().find(|r| r.0 == (from, n)).map(|r| r.1);
        let label = known.unwrap_or_else(|| {
            let label = self.asm.label();
            self.routines.push(((from, n), label));
            label
        });
        self.asm.call(label);
    }
    /// Emits the routines behind [`make_snapshot`](Self::make_snapshot).
    pub(crate) fn flag_routines(&mut self) {
        for ((from, n), label) in std::mem::take(&mut self.routines) {
            self.asm.bind(label);
            if !self.leave_snapshot(from as usize, n as usize) {
                for i in from..from + n {
                    let d = self.snapshots[i as usize];
                    self.make(&d);
                }
                self.void_unsettled();
            }
            self.asm.ret();
        }
    }

    // -- ways to other units -------------------------------------------------------------------------------------------------------------
    /// What is put off and may be looked at in a unit.
    pub(crate) fn wanted_by(&mut self, unit: usize) -> Snapshot {
        let live = self.units[unit].flags;
        let wanted = self.deferred.iter().filter(|d| self.bits_of(d) & live != 0).count();
        if wanted == self.deferred.len() {
            return self.snapshot();
        }
        let from = self.snapshots.len();
        for i in 0..self.deferred.len() {
            if self.bits_of(&self.deferred[i]) & live != 0 {
                self.snapshots.push(self.deferred[i]);
            }
        }
        (from as u32, wanted as u32)
    }
    /// A version of a unit that begins with what a snapshot has, if it is worth one: the way there closes a loop, or stays in one. `always`: it is
    /// worth one in any case.
    pub(crate) fn version(&mut self, unit: usize, entry: Snapshot, always: bool) -> Option<Label> {
        let inside = self.loops.is_some_and(|(first, last)| (first..=last).contains(&unit));
        let loops = if inside { self.loops? } else { (unit, self.unit_index) };
        if !always && !inside && unit > self.unit_index {
            return None;
        }
        let same = |a: &Deferred, b: &Deferred| Deferred { key: NO_KEY, ..*a } == Deferred { key: NO_KEY, ..*b };
        let have = |s: &Self, e: Snapshot| {
            let list = |(from, n): Snapshot| &s.snapshots[from as usize..(from + n) as usize];
            e.1 == entry.1 && list(e).iter().zip(list(entry)).all(|(a, b)| same(a, b))
        };
        let here = |v: &&Version| v.unit == unit && v.inline == self.inline;
        let aligned = self.known_aligned();
        let reach = self.shared.reach.filter(|_| self.inline.is_some());
        let fits = |v: &&Version| have(self, v.entry) && aligned.covers(v.aligned);
        let reached = |v: &&Version| v.reach.is_none_or(|wanted| reach.is_some_and(|r| r.covers(&wanted)));
        let known = self.versions.iter().filter(here).filter(fits);
        if let Some(v) = known.clone().filter(reached).max_by_key(|v| (v.reach.is_some(), v.aligned.weight())) {
            return Some(v.label);
        }
        let (nearly, label) = (known.clone().count(), known.clone().map(|v| v.label).next());
        // Those that go there already know as much, and more.
        let meets = |v: &Version| v.reach.zip(reach).and_then(|(a, b)| a.meet(&b)).filter(|_| !v.emitted).map(|r| (v.label, r));
        if let Some((label, both)) = known.clone().find_map(meets) {
            self.versions.iter_mut().filter(|v| v.label == label).for_each(|v| v.reach = Some(both));
            return Some(label);
        }
        if let Some(label) = label.filter(|_| nearly >= REACHES) {
            return Some(self.without_distance(label));
        }
        // There is room for all of a call that is part of the code, with nothing put off.
        if self.inline.is_none() || entry.1 != 0 || self.versions.iter().filter(here).any(|v| v.entry.1 == 0) {
            let ops = self.units[unit].ops;
            if self.versions.iter().filter(here).filter(|v| v.entry.1 != 0).count() >= VERSIONS || !self.has_room_for(ops) {
                return label.map(|to| self.without_distance(to));
            }
            self.version_ops += ops;
        }
        let (label, inner) = (self.asm.label(), self.asm.label());
        let inline = self.inline;
        self.versions.push(Version { unit, entry, label, inner, inline, called: false, emitted: false, aligned, reach, loops });
        Some(label)
    }
    /// True if so many ops may be emitted once more.
    pub(crate) fn has_room_for(&self, ops: usize) -> bool {
        self.version_ops + ops <= VERSION_OPS
    }
    /// The version with a label is entered behind its look at requests.
    pub(crate) fn enter_version(&mut self, label: Label) -> Label {
        match self.versions.iter_mut().find(|v| v.label == label) {
            Some(v) => {
                v.called |= v.inline.is_some();
                v.inner
            }
            None => label,
        }
    }
    /// The label for a conditional jump to a unit of the region.
    pub(crate) fn way_inside(&mut self, unit: usize) -> Label {
        if self.deferred.is_empty() {
            return self.own_label(unit);
        }
        let flags = self.wanted_by(unit);
        self.way_with(unit, flags, self.inline.is_some())
    }
    /// The same for the return from a call that is part of the code.
    pub(crate) fn way_back(&mut self, unit: usize, flags: Snapshot) -> Label {
        self.way_with(unit, flags, true)
    }
    fn way_with(&mut self, unit: usize, flags: Snapshot, always: bool) -> Label {
        if flags.1 == 0 {
            return self.own_label(unit);
        }
        if let Some(label) = self.version(unit, flags, always) {
            return label;
        }
        let (at, to) = (self.asm.label(), self.own_label(unit));
        self.cold.push(Cold::Edge { at, to, flags });
        at
    }
    /// At a jump to a unit of the region: the label of its version for what is put off; or else that is stored, and `None` if the unit's own
    /// code goes on.
    pub(crate) fn goes_inside(&mut self, unit: usize) -> Option<Label> {
        let own = |s: &mut Self| s.inline.is_some().then(|| s.own_label(unit));
        if self.deferred.is_empty() {
            return own(self);
        }
        let flags = self.wanted_by(unit);
        if flags.1 == 0 {
            return own(self);
        }
        let label = self.version(unit, flags, self.inline.is_some());
        if label.is_some() {
            return label;
        }
        if !self.leave_deferred() {
            for i in flags.0..flags.0 + flags.1 {
                let d = self.snapshots[i as usize];
                self.make_now(&d, true);
            }
            self.all_written();
        }
        own(self)
    }
    /// Begins a version.
    pub(crate) fn begin_version(&mut self, v: Version) {
        self.deferred.clear();
        let (from, n) = v.entry;
        for i in from..from + n {
            self.deferred.push(Deferred { key: NO_KEY, lost: false, ..self.snapshots[i as usize] });
        }
        self.loops = Some(v.loops);
        self.inline = v.inline;
        self.forget_aligned();
        self.aligned.pins = v.aligned;
        self.shared.reach = v.reach;
    }
}
