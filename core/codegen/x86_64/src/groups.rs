//! Accesses that share one look-up.
//!
//! What a unit loads and stores off one base at constant distances lies in one page nearly always. The first access of such a group looks up
//! the whole range from the lowest byte to the highest that the group will touch, and the distance from guest to host addresses stays in a
//! temporary. The others look only whether it is there: a distance is a multiple of the page, so [`NOTHING`] is none. Where it is not there
//! an access looks for itself, out of the way, as it does where the range leaves the page or a page of it is slow.
//!
//! A distance stays valid for as long as nobody can be answered that a translation, a permission or the tracking of a page has changed: until
//! the CPU looks for requests, calls a helper or waits for others. None of that lies within a group: units have no such look inside, and
//! whatever calls out gives registers up. A slow access is the one thing that may come in between. It can do anything, so behind it no group
//! has a distance any more. A group with
//! a store in it looks up as for a store, whoever begins it, unless that comes much later: a page whose stores are fast is one whose loads are, and most of what is written
//! was read before. On a page that may only be read its loads look for themselves.
//!
//! An access right behind another of its group, with nothing but moves and sums between, does not even look: where the other one had no distance,
//! or was slow, what lies between is emitted once more, and it looks for itself.
//!
//! Addresses are numbered by how they are made, so that an element of an array that is loaded, and stored by the same base and index, is one.
//!
//! Code that is not hot has no look-ups out of the way: where the one in the way does not serve an access is slow, and who carries it out says
//! what distance there is behind it ([`Exchange::distance`](crate::frame::Exchange::distance)). Its groups reach less far and number no addresses.
//! A range in two pages is nothing special to who is asked then, so the thunk on the way there looks for the access by itself first.

use crate::asm::{Gpr, Label, Size};
use crate::cold::Cold;
use crate::frame::TEMPS;
use crate::lower::Lowering;
use crate::memory::moved;
use crate::shared::STACK;
use emu_ir::{Code, MemFlags, NONE, Op, Shape, Ty};

/// In place of a distance: there is none.
pub const NOTHING: u64 = 1;
/// As the owner of a temporary: a group.
pub(crate) const GROUP: u32 = NONE - 1;
/// Bytes that a group reaches over at most. The more, the more often the end of a page lies in them.
const SPAN: i64 = 512;
/// The same in code that is not hot.
const WARM_SPAN: i64 = 64;
/// Groups that have a register at the same time.
const LIVE: usize = 2;
/// Bases that are looked out for at the same time.
const OPEN: usize = 6;
/// Ops that may lie between the accesses of a group and a store that makes it look up as for one: to keep a register for longer costs more
/// than another look-up.
const NEAR: usize = 24;
/// No group.
const ALONE: u16 = u16::MAX;
/// In place of a base: none, a constant address; and the address of the page of code that moves.
const CONSTANT: u32 = NONE;
const PAGE: u32 = NONE - 1;

/// Accesses that share a look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// The base, and the view of memory.
    pub base: u32,
    pub view: usize,
    /// From the base to the lowest byte, and to the one behind the highest.
    pub low: i64,
    pub high: i64,
    /// It has a store in it: pages must be such that stores are fast.
    pub writes: bool,
    /// Accesses that are still to come.
    pub left: u32,
    /// Behind an access that was a multiple of that, this far from the base: where there is a distance, no slow one came between.
    multiple: (u32, i64),
    /// The last op so far.
    last: usize,
}

impl Group {
    /// True if its base is a value, and not a constant or the page of code that moves.
    pub(crate) fn is_based(&self) -> bool {
        self.base < PAGE
    }
}

/// A base whose accesses come together.
#[derive(Clone, Copy)]
struct Open {
    base: u32,
    view: usize,
    group: u16,
}

/// How a value was made, and the value.
#[derive(Clone, Copy, PartialEq)]
struct Made {
    code: u16,
    ty: Ty,
    aux: u32,
    imm: u64,
    operands: [(u32, i64); 2],
    value: u32,
}
/// How many are remembered.
const MADE: usize = 8;

/// The groups of a unit, in vectors that are used again.
#[derive(Default)]
pub(crate) struct Groups {
    list: Vec<Group>,
    /// By op: its group, and how far from the base it is. Empty if there are none.
    of: Vec<(u16, i64)>,
    /// By value: the base that it is a constant distance from, and the distance.
    from: Vec<(u32, i64)>,
    open: Vec<Open>,
    /// What values were made of that are no constant distance from others, the last few: to find one that is made again.
    made: Vec<Made>,
    /// Those that have a register.
    live: Vec<(u16, Gpr)>,
    /// The code is hot.
    careful: bool,
    /// The last access.
    before: Option<Before>,
}

/// An access that the next one of its group may follow without a look.
#[derive(Clone, Copy)]
struct Before {
    group: u16,
    distance: Gpr,
    /// Where its code ends, and the mark there.
    end: u32,
    mark: (u32, usize, usize),
    /// Its ways in `Lowering::cold`.
    ways: (usize, usize),
}
/// Bytes of code between two such accesses.
const BETWEEN: u32 = 48;

/// An access as one of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// It is the one that looks up.
    pub leads: bool,
    /// Then as for a store.
    pub writes: bool,
    /// From the lowest byte of the group to its own, and the size of the whole.
    pub before: i32,
    pub span: u32,
    /// It goes by the distance that calls share (`shared`), and the group's own `before`, `span` and `writes` if it has more accesses.
    pub shared: bool,
    pub narrow: Option<(i32, u32, bool)>,
}

/// Size in bytes of a load or store that may be one of a group.
fn grouped(op: &Op, vl: u32) -> Option<u32> {
    let flags = MemFlags(op.aux);
    let size = moved(op, vl);
    let fits = op.shape != Shape::VL && size <= 16 && !flags.has(MemFlags::BIG_ENDIAN) && !flags.has(MemFlags::TAG_CHECK);
    fits.then_some(size)
}

impl Groups {
    /// Forgets the last unit.
    pub(crate) fn clear(&mut self) {
        self.of.clear();
        self.live.clear();
        self.before = None;
    }

    /// Finds the groups of a unit. `stays`: with the two ops behind, the `brif` does nothing to what goes on behind them.
    pub(crate) fn find(&mut self, ops: &[Op], slots: u32, vl: u32, stays: impl Fn(usize) -> bool) {
        self.clear();
        self.list.clear();
        self.open.clear();
        self.made.clear();
        self.from.clear();
        self.from.resize(slots as usize, (CONSTANT, 0));
        let mut after = 0;
        for (i, op) in ops.iter().enumerate() {
            let Some(c) = op.opcode() else { continue };
            match c {
                Code::Load | Code::Store => self.access(ops.len(), i, op, c == Code::Store, vl),
                Code::BrIf if i >= after && stays(i) => after = i + 3,
                Code::Label | Code::Br | Code::BrIf | Code::Call if i >= after => self.open.clear(),
                _ => {}
            }
            if op.dst != NONE {
                let (base, distance) = self.distance(op, c);
                self.from[op.dst as usize] = if base == op.dst && self.careful { (self.number(op, c), 0) } else { (base, distance) };
            }
        }
    }

    /// The other accesses of the group of an access.
    pub(crate) fn same(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let group = self.of.get(at).map_or(ALONE, |o| o.0);
        self.of.iter().enumerate().filter(move |(i, o)| group != ALONE && o.0 == group && *i != at).map(|(i, _)| i)
    }

    /// Those that have a base.
    pub(crate) fn all(&self) -> &[Group] {
        &self.list
    }
    /// How far the access by an op is from the base of its group, and the group.
    pub(crate) fn access_of(&self, at: usize) -> Option<(usize, i64)> {
        self.of.get(at).filter(|o| o.0 != ALONE).map(|o| (o.0.into(), o.1))
    }
    pub(crate) fn group(&self, n: u16) -> Group {
        self.list[usize::from(n)]
    }
    /// The base that a value is a constant distance from, and the distance.
    pub(crate) fn distance_of(&self, v: u32) -> (u32, i64) {
        self.from[v as usize]
    }

    fn distance(&self, op: &Op, c: Code) -> (u32, i64) {
        let own = (op.dst, 0);
        if op.ty != Ty::I64 || op.shape != Shape::SCALAR {
            return own;
        }
        let from = |v: u32| self.from[v as usize];
        match c {
            Code::Const => (CONSTANT, op.imm as i64),
            Code::Address => (PAGE, op.imm as i64),
            Code::Add => match (from(op.a), from(op.b)) {
                ((base, x), (CONSTANT, y)) | ((CONSTANT, x), (base, y)) => (base, x.wrapping_add(y)),
                _ => own,
            },
            Code::Sub => match (from(op.a), from(op.b)) {
                ((base, x), (CONSTANT, y)) => (base, x.wrapping_sub(y)),
                _ => own,
            },
            _ => own,
        }
    }

    /// The number of a value: its own, or that of another that was made in the same way.
    fn number(&mut self, op: &Op, c: Code) -> u32 {
        let pure = matches!(c, Code::Add | Code::Sub | Code::Shl | Code::LShr | Code::And | Code::ZExt | Code::SExt | Code::Trunc | Code::Extract);
        if !pure || op.shape != Shape::SCALAR {
            return op.dst;
        }
        let from = |v: u32| if v == NONE { (NONE, 0) } else { self.from[v as usize] };
        let made = Made { code: op.code, ty: op.ty, aux: op.aux, imm: op.imm, operands: [from(op.a), from(op.b)], value: op.dst };
        if let Some(m) = self.made.iter().find(|m| Made { value: op.dst, ..**m } == made) {
            return m.value;
        }
        if self.made.len() == MADE {
            self.made.remove(0);
        }
        self.made.push(made);
        op.dst
    }

    fn access(&mut self, ops: usize, i: usize, op: &Op, writes: bool, vl: u32) {
        let Some(size) = grouped(op, vl) else {
            // It is always slow.
            return self.open.clear();
        };
        let (base, distance) = self.from[op.a as usize];
        let (view, low) = (MemFlags(op.aux).view_index(), distance.wrapping_add(op.imm as i64));
        let Some(high) = low.checked_add(size.into()) else { return };
        // Every place of the group is a displacement from here.
        if i32::try_from(op.imm as i64).is_ok_and(|d| d.checked_abs().is_none_or(|d| d > i32::MAX - 2 * SPAN as i32)) {
            return;
        }
        let known = self.open.iter().position(|o| o.base == base && o.view == view);
        let near = |g: &Group| !writes || g.writes || i - g.last <= NEAR;
        if let Some(n) = known.filter(|n| near(&self.list[usize::from(self.open[*n].group)])) {
            let g = &mut self.list[usize::from(self.open[n].group)];
            let (l, h) = (g.low.min(low), g.high.max(high));
            if h.checked_sub(l).is_some_and(|span| span <= if self.careful { SPAN } else { WARM_SPAN }) {
                (g.low, g.high, g.left) = (l, h, g.left + 1);
                (g.writes, g.last) = (g.writes || writes, i);
                self.of[i] = (self.open[n].group, low);
                return;
            }
        }
        if let Some(n) = known {
            self.open.remove(n);
        } else if self.open.len() == OPEN {
            self.open.remove(0);
        }
        let group = self.list.len() as u16;
        if group == ALONE {
            return;
        }
        self.of.resize(ops, (ALONE, 0));
        self.list.push(Group { base, view, low, high, writes, left: 1, multiple: (1, 0), last: i });
        self.of[i] = (group, low);
        self.open.push(Open { base, view, group });
    }
}

impl Lowering<'_> {
    /// Before a unit.
    pub(crate) fn begin_groups(&mut self, ops: &[Op], slots: u32) {
        let mut groups = std::mem::take(&mut self.groups);
        groups.clear();
        let several = || ops.iter().filter(|o| matches!(o.opcode(), Some(Code::Load | Code::Store))).nth(1).is_some();
        if self.options.native && self.f.direct.is_none() && (self.careful || several()) {
            self.find_groups(&mut groups, ops, slots);
        }
        self.groups = groups;
    }
    /// Finds the groups of a unit of the region.
    pub(crate) fn find_groups(&self, groups: &mut Groups, ops: &[Op], slots: u32) {
        groups.careful = self.careful;
        groups.find(ops, slots, self.vl, |at| self.call_beside(at, ops).is_some());
    }

    /// The register that the current access has the distance to the host in, or will, locked; and what it is of a group, if that has more
    /// than it.
    pub(crate) fn reach(&mut self) -> (Gpr, Option<Member>) {
        let (g, low) = self.groups.of.get(self.at as usize).copied().unwrap_or((ALONE, 0));
        if g == ALONE {
            return (self.temp(), None);
        }
        if let Some(member) = self.reach_shared(g, low) {
            return (STACK, Some(member));
        }
        let group = self.groups.list[usize::from(g)];
        let (before, span) = ((low - group.low) as i32, (group.high - group.low) as u32);
        let mut member = Member { leads: false, writes: group.writes, before, span, shared: false, narrow: None };
        if let Some((_, r)) = self.groups.live.iter().find(|l| l.0 == g).copied() {
            self.lock(r);
            return (r, Some(member));
        }
        if group.left < 2 {
            return (self.temp(), None);
        }
        if self.groups.live.len() == LIVE {
            let nearest = |l: &(u16, Gpr)| self.groups.list[usize::from(l.0)].left;
            if let Some((_, r)) = self.groups.live.iter().min_by_key(|l| nearest(l)).copied() {
                self.drop_group(r);
            }
        }
        let free = self.temps.iter().rev().copied().find(|r| self.locked >> *r & 1 == 0 && self.owner[*r as usize] == NONE);
        let r = free.unwrap_or_else(|| self.temp());
        self.lock(r);
        self.owner[r as usize] = GROUP;
        self.groups.live.push((g, r));
        member.leads = true;
        (r, Some(member))
    }

    /// True if the current access of a group need not look whether there is a distance: the last one, of the same group, has used it just now, and
    /// where that was done otherwise goes to `alone` instead, through a copy of what lies between.
    pub(crate) fn follows(&mut self, distance: Gpr, alone: Label) -> bool {
        let (group, _) = self.groups.of.get(self.at as usize).copied().unwrap_or((ALONE, 0));
        let here = self.asm.here();
        let near = |b: &Before| b.group == group && b.distance == distance && b.mark == self.asm.mark() && here - b.end <= BETWEEN;
        let Some(b) = self.groups.before.filter(near) else { return false };
        let at = self.asm.label();
        for way in &mut self.cold[b.ways.0..b.ways.1] {
            if let Cold::Alone { back, .. } | Cold::Behind { back, .. } | Cold::Access { back, .. } = way {
                *back = at;
            }
        }
        self.cold.push(Cold::Between { at, code: (b.end, here), next: alone });
        true
    }
    /// The current access of a group must be a multiple of `align`: true if that is known of it where the group has a distance. From here on it is.
    /// `leads`: it is the one that looks up.
    pub(crate) fn found_multiple(&mut self, align: u32, leads: bool) -> bool {
        let Some(&(g, low)) = self.groups.of.get(self.at as usize).filter(|o| o.0 != ALONE) else { return false };
        let known = &mut self.groups.list[usize::from(g)].multiple;
        if leads {
            *known = (1, 0);
        }
        let is = align <= known.0 && low.wrapping_sub(known.1) & (i64::from(align) - 1) == 0;
        if !is && align > known.0 {
            *known = (align, low);
        }
        is
    }
    /// Behind an access, the ways beside which begin at `first`.
    pub(crate) fn accessed(&mut self, member: bool, distance: Gpr, first: usize) {
        let group = self.groups.of.get(self.at as usize).map_or(ALONE, |o| o.0);
        let (end, mark, ways) = (self.asm.here(), self.asm.mark(), (first, self.cold.len()));
        self.groups.before = (member && group != ALONE).then_some(Before { group, distance, end, mark, ways });
    }

    /// Behind an access: a group that has no more of them gives its register back.
    pub(crate) fn was_accessed(&mut self) {
        let Some((g, _)) = self.groups.of.get(self.at as usize).copied().filter(|o| o.0 != ALONE) else { return };
        let group = &mut self.groups.list[usize::from(g)];
        group.left -= 1;
        if group.left == 0
            && let Some((_, r)) = self.groups.live.iter().find(|l| l.0 == g).copied()
        {
            self.drop_group(r);
        }
    }

    /// The group in a register gives it up.
    pub(crate) fn drop_group(&mut self, r: Gpr) {
        self.groups.live.retain(|l| l.1 != r);
        self.owner[r as usize] = NONE;
    }
    /// All do.
    pub(crate) fn drop_groups(&mut self) {
        self.forget_reach();
        while let Some((_, r)) = self.groups.live.last().copied() {
            self.drop_group(r);
        }
    }
    /// A group's register is another now.
    pub(crate) fn move_group(&mut self, from: Gpr, to: Gpr) {
        self.asm.mov_rr(Size::Q, to, from);
        self.groups.live.iter_mut().filter(|l| l.1 == from).for_each(|l| l.1 = to);
        (self.owner[from as usize], self.owner[to as usize]) = (NONE, GROUP);
    }

    /// The registers of groups, a bit each.
    pub(crate) fn distances(&self) -> u32 {
        self.groups.live.iter().fold(self.shared_distance(), |set, l| set | 1 << l.1)
    }
    /// Behind a slow access, out of the way: these registers have no distance.
    pub(crate) fn forget_distances(&mut self, set: u32) {
        for r in TEMPS.into_iter().filter(|r| set >> r & 1 == 1) {
            self.asm.mov_ri(r, NOTHING);
        }
    }
}
