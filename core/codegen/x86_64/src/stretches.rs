//! Stretches of guest memory that loops go along, in code that is run a lot.
//!
//! What an instruction of a loop loads or stores mostly lies where it did the last time round, or right behind. So it has a room in the CPU's memory
//! ([`Stretch`](crate::frame::Stretch)) for the addresses around what it found last, whole pages at one distance from the host's, and looks only whether
//! its bytes are among them: one subtraction and one comparison, in place of the way to an entry of the translation cache. And the distance
//! does not wait for the address. Where they are not among them the look-up is made out of the way, and the stretch becomes longer by the page
//! that it has found, or begins anew with that.
//!
//! A stretch says nothing that entries of the cache did not say, and whoever takes an entry away empties the stretches of the view. So nothing need be
//! known of what happens between two rounds.
//!
//! Not for pointers that are loaded from memory: the next node of a list may be anywhere. An index may be, for tables are seldom large.

use crate::asm::{Alu, Cc, Gpr, Label, Mem, Size};
use crate::cold::Cold;
use crate::control::goes_on;
use crate::frame::{CPU, STRETCH_SPANS, STRETCHES, Stretch, Stretches};
use crate::groups::Group;
use crate::lower::{Lowering, Region};
use emu_ir::{Code, Op, Shape, Ty};
use std::mem::offset_of;

/// The group of a unit whose first access uses a stretch.
#[derive(Clone, Copy)]
struct Site {
    unit: usize,
    group: usize,
    extent: (u32, i64, i64),
    writes: bool,
    /// Number of the stretch among those of its kind.
    number: usize,
}

/// What accesses may share a stretch by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    /// They are off the same field, at constant distances.
    Field(u32),
    /// At others: an index may lead to another page than that of the first element.
    Elements(u32),
    /// They are this group of that unit.
    Group(usize, usize),
}

/// Units that control goes round in: of each unit the ops up to the last that stays there, 0 if it is none of them.
struct Loop {
    ends: Vec<usize>,
}

impl Loop {
    /// True if a unit is one of its own.
    fn has(&self, unit: usize) -> bool {
        self.ends[unit] != 0
    }
    /// How many it has.
    fn units(&self) -> usize {
        self.ends.iter().filter(|end| **end != 0).count()
    }
    /// The ops of a unit that belong to it.
    fn ops<'a>(&self, unit: usize, region: &Region<'a>) -> &'a [Op] {
        &region.units[unit].ops[..self.ends[unit]]
    }
}

/// Units that control can come to from one, by ways from one unit to another, in order; with that itself only if it comes back.
fn reached(from: usize, ways: &[(usize, usize, usize)], units: usize) -> Vec<bool> {
    let (mut reached, mut next) = (vec![false; units], vec![from]);
    while let Some(n) = next.pop() {
        for (_, to, _) in ways[ways.partition_point(|w| w.0 < n)..].iter().take_while(|w| w.0 == n) {
            if !std::mem::replace(&mut reached[*to], true) {
                next.push(*to);
            }
        }
    }
    reached
}

/// The stretches of a region.
#[derive(Default)]
pub(crate) struct Walks {
    sites: Vec<Site>,
    /// Of each kind, loads and stores: what they are for.
    roots: [Vec<(Root, usize)>; 2],
    /// Where the region begins to count: regions that run by turns should not have the same.
    begin: [usize; 2],
}

impl Walks {
    /// Forgets the last region.
    fn clear(&mut self) {
        self.sites.clear();
        for (begin, roots) in self.begin.iter_mut().zip(&mut self.roots) {
            *begin = (*begin + roots.len()) % STRETCHES;
            roots.clear();
        }
    }
}

/// The number of the first of [`STRETCH_SPANS`] that bytes fit into.
fn class(span: i64) -> Option<usize> {
    STRETCH_SPANS.iter().position(|s| span <= i64::from(*s))
}

impl Lowering<'_> {
    /// Before a region: finds what its loops go along. The inner ones come first.
    pub(crate) fn begin_stretches(&mut self, region: &Region<'_>) {
        self.walks.clear();
        if !self.careful || !self.options.native || self.f.direct.is_some() || !region.units.iter().any(|u| u.loops) {
            return;
        }
        let loops = self.loops_of(region);
        let mut order: Vec<(usize, &Loop)> = Vec::new();
        for n in 0..region.units.len() {
            let inner = loops.iter().filter(|l| l.has(n)).min_by_key(|l| l.units());
            order.extend(inner.map(|l| (n, l)));
        }
        order.sort_by_key(|(_, l)| l.units());
        let mut groups = std::mem::take(&mut self.groups);
        for (n, l) in order {
            let u = &region.units[n];
            let inside = l.ops(n, region).len();
            self.find_groups(&mut groups, u.ops, u.slots);
            for (number, g) in groups.all().iter().enumerate() {
                let begins = (0..inside).any(|at| groups.access_of(at).is_some_and(|a| a.0 == number));
                if begins && class(g.high - g.low).is_some() {
                    self.note_site(n, number, g, region, l);
                }
            }
        }
        self.groups = groups;
    }
    /// What control goes round in: for each unit that is jumped to from further down, or from itself, the units on ways from there to there.
    fn loops_of(&self, region: &Region<'_>) -> Vec<Loop> {
        let units = region.units.len();
        let unit = |pc: u64| self.unit_labels.iter().position(|l| l.0 == pc);
        // From a unit to a unit, and the number of ops up to the way.
        let mut ways: Vec<(usize, usize, usize)> = Vec::new();
        for (n, u) in region.units.iter().enumerate() {
            for (at, op) in u.ops.iter().enumerate() {
                ways.extend(goes_on(op, u.end).and_then(unit).map(|to| (n, to, at + 1)));
            }
        }
        let mut back: Vec<_> = ways.iter().map(|(from, to, at)| (*to, *from, *at)).collect();
        back.sort_unstable();
        let mut heads: Vec<usize> = ways.iter().filter(|w| w.1 <= w.0).map(|w| w.1).collect();
        heads.sort_unstable();
        heads.dedup();
        let of = |head: usize| {
            let (there, here) = (reached(head, &ways, units), reached(head, &back, units));
            let mut ends = vec![0; units];
            for (from, to, at) in &ways {
                if there[*from] && here[*from] && there[*to] && here[*to] {
                    ends[*from] = ends[*from].max(*at);
                }
            }
            Loop { ends }
        };
        heads.into_iter().map(of).collect()
    }
    fn note_site(&mut self, unit: usize, group: usize, g: &Group, region: &Region<'_>, l: &Loop) {
        let root = if g.is_based() {
            match walked(region.units[unit].ops, g.base, region, l, 0) {
                Some((field, 0)) => Root::Field(field),
                Some((field, _)) => Root::Elements(field),
                None => return,
            }
        } else {
            Root::Group(unit, group)
        };
        let roots = &mut self.walks.roots[usize::from(g.writes)];
        let number = match roots.iter().position(|r| *r == (root, g.view)) {
            Some(n) => n,
            None if roots.len() < STRETCHES => {
                roots.push((root, g.view));
                roots.len() - 1
            }
            None => return,
        };
        let number = (number + self.walks.begin[usize::from(g.writes)]) % STRETCHES;
        self.walks.sites.push(Site { unit, group, extent: (g.base, g.low, g.high), writes: g.writes, number });
    }

    /// The number of the stretch that the current access, which looks up as for a store or for a load, has.
    pub(crate) fn stretch_here(&self, writes: bool) -> Option<usize> {
        if self.walks.sites.is_empty() {
            return None;
        }
        let (group, _) = self.groups.access_of(self.at as usize)?;
        let g = &self.groups.all()[group];
        let is = |s: &&Site| (s.unit, s.group, s.extent, s.writes) == (self.unit_index, group, (g.base, g.low, g.high), writes);
        self.walks.sites.iter().find(is).map(|s| s.number)
    }

    /// A look-up by a stretch, as [`Lowering::look_up`] is one.
    pub(crate) fn look_along(
        &mut self,
        number: usize,
        address: Mem,
        size: u32,
        view: usize,
        write: bool,
        align: u32,
        scratch: [Gpr; 2],
        slow: Label,
    ) {
        let [t1, t2] = scratch;
        let Some(class) = class(size.into()) else { return self.fail("no stretch is for so many bytes") };
        self.check_alignment(address, align, t1, slow);
        let of = self.f.disp(self.f.tlb.stretches) + (view * size_of::<Stretches>()) as i32;
        let n = usize::from(write) * STRETCHES + number;
        let stretch = Mem::at(CPU, of + (offset_of!(Stretches, of) + n * size_of::<Stretch>()) as i32);
        let used = (Mem::at(CPU, of + (offset_of!(Stretches, used) + n / 8) as i32), 1 << (n % 8));
        let (at, back) = (self.asm.label(), self.asm.label());
        if address.disp == 0 && address.index.is_none() {
            self.asm.mov_rr(Size::Q, t1, address.base);
        } else {
            self.asm.lea(Size::Q, t1, address);
        }
        self.asm.alu_rm(Alu::Sub, Size::Q, t1, stretch.plus(offset_of!(Stretch, first) as i32));
        self.asm.alu_rm(Alu::Cmp, Size::Q, t1, stretch.plus((offset_of!(Stretch, sizes) + 8 * class) as i32));
        self.asm.jcc(Cc::AE, at);
        self.asm.mov_rm(Size::Q, t2, stretch.plus(offset_of!(Stretch, distance) as i32));
        self.asm.bind(back);
        self.cold.push(Cold::Stretch { at, back, stretch, used, address, size, view, write, scratch, slow });
    }
    /// Behind a look-up, out of the way, that has found a page: its last byte's address is in the first register, which is free, and the distance in the
    /// second.
    pub(crate) fn stretch_to(&mut self, stretch: Mem, used: (Mem, i32), scratch: [Gpr; 2], back: Label) {
        let page = 1i32 << self.f.tlb.page_bits;
        let [t1, t2] = scratch;
        let [first, distance] = [offset_of!(Stretch, first), offset_of!(Stretch, distance)].map(|at| stretch.plus(at as i32));
        let size = |n: usize| stretch.plus((offset_of!(Stretch, sizes) + 8 * n) as i32);
        let [anew, before, longer] = [(); 3].map(|()| self.asm.label());
        self.asm.alu_ri(Alu::Sub, Size::Q, t1, page - 1);
        // A stretch of zeroes is as far from the host's as nothing is: a guest's address is the host's own there, which no page at 0, nor the last, has.
        self.asm.alu_rm(Alu::Cmp, Size::Q, t2, distance);
        self.asm.jcc(Cc::NE, anew);
        // How far the page is from the first.
        self.asm.alu_rm(Alu::Sub, Size::Q, t1, first);
        self.asm.alu_rm(Alu::Cmp, Size::Q, t1, size(0));
        self.asm.jcc(Cc::E, longer);
        self.asm.alu_ri(Alu::Cmp, Size::Q, t1, -page);
        self.asm.jcc(Cc::E, before);
        self.asm.alu_rm(Alu::Add, Size::Q, t1, first);
        self.asm.bind(anew);
        self.asm.alu_mi(Alu::Or, Size::B, used.0, used.1);
        self.asm.mov_mr(Size::Q, first, t1);
        self.asm.mov_mr(Size::Q, distance, t2);
        for (n, span) in STRETCH_SPANS.iter().enumerate() {
            self.asm.mov_mi(Size::Q, size(n), page + 1 - *span as i32);
        }
        self.asm.jmp(back);
        self.asm.bind(before);
        self.asm.alu_mi(Alu::Sub, Size::Q, first, page);
        self.asm.bind(longer);
        for n in 0..STRETCH_SPANS.len() {
            self.asm.alu_mi(Alu::Add, Size::Q, size(n), page);
        }
        self.asm.jmp(back);
    }
}

/// The field that a value of a unit is a sum with, of so many sums, if the loop does not load it from memory.
fn walked(ops: &[Op], v: u32, region: &Region<'_>, l: &Loop, depth: u32) -> Option<(u32, u32)> {
    let op = ops.iter().find(|op| op.dst == v).filter(|op| op.ty == Ty::I64 && op.shape == Shape::SCALAR && depth < 4)?;
    match op.opcode()? {
        Code::Get => Some((op.imm as u32, depth)).filter(|(field, _)| !loads(*field, region, l)),
        Code::Add => walked(ops, op.a, region, l, depth + 1).or_else(|| walked(ops, op.b, region, l, depth + 1)),
        Code::Sub => walked(ops, op.a, region, l, depth + 1),
        _ => None,
    }
}

/// True if a loop sets a field to what it has loaded, or to something else than a number of 64 bits.
fn loads(field: u32, region: &Region<'_>, l: &Loop) -> bool {
    let sets = |op: &&Op| op.code == Code::Set as u16 && op.imm as u32 == field;
    (0..region.units.len()).filter(|n| l.has(*n)).any(|n| {
        let ops = l.ops(n, region);
        ops.iter().filter(sets).any(|set| {
            let made = ops.iter().find(|op| op.dst == set.a);
            set.ty != Ty::I64
                || made.is_none_or(|op| matches!(op.opcode(), Some(Code::Load | Code::LoadEx | Code::Lo64 | Code::Hi64 | Code::ZExt | Code::SExt)))
        })
    })
}
