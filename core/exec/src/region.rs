//! Region forming: from one entry, the control flow inside its guest page, as units for the code generator.
//!
//! The target translates straight pieces; this file asks for one wherever control can go by constants within the page, cuts pieces where
//! somebody jumps into their middle, and strings those together that only follow each other. What code was made of before is not translated
//! again: a piece ends where a unit of another region begins.
//!
//! Everything is looked up by tables over the page's instructions, so that forming takes time in proportion to the ops.

use crate::code::Tier;
use crate::machine::Machine;
use crate::once::Notes;
use crate::vcpu::Vcpu;
use emu_ir::{Code, InsnMark, NONE, Op, OwnedIrBuf, Shape, Ty, Verifier};
use emu_mem::PAGE_SIZE;
use emu_plugins_api::{ArchitectureHandle, BlockRequest, Slice};

/// Pieces that are translated for a region, for a hot one twice as many; cuts may make more of them.
const PIECES_MAX: usize = 32;
/// Instructions in a region, in a hot one twice as many.
const INSNS_MAX: u32 = 128;
/// Instructions that a unit may have beside those of another that have them too: see [`Former::copied`].
const COPIED_MAX: u32 = 32;
/// Instructions in a piece.
pub const PIECE_INSNS_MAX: u32 = 64;

const PAGE_MASK: u64 = PAGE_SIZE - 1;
/// No instruction.
const NOWHERE: u16 = u16::MAX;

/// A set of places in a page, by byte.
#[derive(Clone)]
pub struct Places([u64; PAGE_SIZE as usize / 64]);

impl Default for Places {
    fn default() -> Self {
        Places([0; PAGE_SIZE as usize / 64])
    }
}

impl Places {
    /// Empties it.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
    /// Adds the place that an address is at.
    pub fn add(&mut self, address: u64) {
        let at = (address & PAGE_MASK) as usize;
        self.0[at / 64] |= 1 << (at % 64);
    }
    /// Adds what is in another set.
    pub fn add_all(&mut self, other: &Places) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }
    /// The bits of a range that lie in word `i`.
    fn bits(i: usize, first: usize, end: usize) -> u64 {
        let (low, high) = (first.max(i * 64) - i * 64, end.min(i * 64 + 64) - i * 64);
        if high - low == 64 { u64::MAX } else { ((1 << (high - low)) - 1) << low }
    }
    /// Adds `len` bytes (some) from an address on, as far as they are in the page.
    pub fn add_range(&mut self, address: u64, len: u64) {
        let first = (address & PAGE_MASK) as usize;
        let end = (first + len as usize).min(PAGE_SIZE as usize);
        for i in first / 64..end.div_ceil(64) {
            self.0[i] |= Places::bits(i, first, end);
        }
    }
    /// True if any of `len` bytes (some) from an address on, as far as they are in the page, is in it.
    pub fn meets(&self, address: u64, len: u64) -> bool {
        let first = (address & PAGE_MASK) as usize;
        let end = (first + len as usize).min(PAGE_SIZE as usize);
        (first / 64..end.div_ceil(64)).any(|i| self.0[i] & Places::bits(i, first, end) != 0)
    }
    /// Those that lie side by side: the first, and how many.
    pub fn runs(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = self.next(at, 0);
            at = self.next(first, u64::MAX);
            (at > first).then_some((first as u32, (at - first) as u32))
        })
    }
    /// The first place from `from` on that is one of them (`flip` 0) or none (all ones), or the page's size.
    fn next(&self, from: usize, flip: u64) -> usize {
        let mut mask = u64::MAX << (from % 64);
        for (i, word) in self.0.iter().enumerate().skip(from / 64) {
            let here = (word ^ flip) & mask;
            if here != 0 {
                return i * 64 + here.trailing_zeros() as usize;
            }
            mask = u64::MAX;
        }
        PAGE_SIZE as usize
    }
    /// True if an address is at one of them.
    pub fn has(&self, address: u64) -> bool {
        let at = (address & PAGE_MASK) as usize;
        self.0[at / 64] >> (at % 64) & 1 != 0
    }
    /// The first one behind `offset`, or the page's size.
    fn after(&self, offset: usize) -> usize {
        self.next(offset + 1, 0)
    }
}

/// A straight piece of guest code.
struct Piece {
    pc: u64,
    /// Its ops in `Former::raw`.
    ops: (usize, usize),
    /// Its instructions in `Former::marks`.
    marks: (usize, usize),
    /// Its ways out in `Former::ways`.
    ways: (usize, usize),
    bytes: u64,
    insns: u32,
    /// Value slots up to here.
    slots: u32,
    /// It may be cut: no value crosses from one instruction to another, and it has as many as the target says.
    divisible: bool,
    /// It was cut: what comes next.
    cut: Option<u64>,
    /// Number of ways into it from inside.
    preds: u32,
    /// It can be entered from elsewhere: the entry, or what a call comes back to.
    outside: bool,
    used: bool,
    /// The unit that begins with it.
    unit: usize,
}

/// An op by which control goes to a constant address, or comes back to what follows it.
struct Way {
    op: usize,
    to: Option<u64>,
    /// Control comes back behind the piece.
    returns: bool,
}

/// A unit in the former's vectors.
#[derive(Clone, Copy)]
pub struct UnitRange {
    /// Address of the first instruction.
    pub pc: u64,
    /// Its ops.
    pub ops: (usize, usize),
    /// Its counts.
    pub counts: (usize, usize),
    /// Address behind the last instruction.
    pub end: u64,
    /// Value slots.
    pub slots: u32,
    /// Somebody jumps to it from below.
    pub loops: bool,
}

/// What a region is made from.
pub struct Source<'a> {
    /// The target.
    pub arch: &'a ArchitectureHandle,
    /// Address of the first instruction.
    pub pc: u64,
    /// Mode key.
    pub mode: u64,
    /// `attr::` bits of the page.
    pub attrs: u32,
    /// Physical address of the page.
    pub pa: u64,
    /// The page's bytes.
    pub page: &'a [u8],
    /// What the next page probably begins with, if an instruction can lie across pages.
    pub next_page: &'a [u8],
    /// Where code that there is already begins.
    pub known: &'a Places,
    /// Only the entry's piece.
    pub single: bool,
    /// Number of value slots that a unit may have.
    pub slots_max: u32,
    /// The code shall run wherever its page is mapped.
    pub moves: bool,
    /// How large it may be.
    pub tier: Tier,
    /// Only what has been run, as far as that is known, belongs into it.
    pub ran: Option<&'a Notes>,
}

/// Bytes of the next page that an instruction across pages can have.
pub const NEXT_PAGE_BYTES: usize = 14;

impl Machine {
    /// What probably follows a page of code: for a program what does, if it may be executed, else the next physical page.
    pub(crate) fn guess_next_page<'a>(&self, cpu: &Vcpu, page: u64, bytes: &'a mut [u8; NEXT_PAGE_BYTES]) -> &'a [u8] {
        // Instructions of one size, at multiples of it, lie in one page.
        let next = page.wrapping_add(PAGE_SIZE);
        let known = cpu.arch.layout().insn_bytes < 4
            && match &self.user {
                Some(user) => user.fetch(next).is_ok() && user.read_page(next, bytes),
                None => self.space.find(next).is_some_and(|h| h.window.readable().is_some()) && self.space.read(next, bytes) == 0,
            };
        if known { bytes } else { &[] }
    }
}

/// The former, with vectors that are used again.
pub struct Former {
    buf: OwnedIrBuf,
    verifier: Verifier,
    raw: Vec<Op>,
    marks: Vec<InsnMark>,
    ways: Vec<Way>,
    pieces: Vec<Piece>,
    todo: Vec<u64>,
    /// By place: the piece that has an instruction there, and the instruction.
    places: Vec<(u16, u16)>,
    /// Where pieces and known code begin.
    starts: Places,
    /// The bytes that the region was made from.
    pub from: Places,
    order: Vec<usize>,
    follows: Vec<bool>,
    unit_ways: Vec<(usize, u64)>,
    insn_bytes: u64,
    /// log2 of that.
    insn_shift: u32,
    page: u64,
    /// Ops of the units, one behind the other.
    pub ops: Vec<Op>,
    /// Where instructions are counted, relative to the unit's ops.
    pub counts: Vec<(u32, u32)>,
    /// The units, the entry first.
    pub units: Vec<UnitRange>,
    /// Instructions in all of them.
    pub insns: u32,
    /// Pieces translated.
    translated: usize,
    /// Offsets of the condition flags.
    flags: Vec<u32>,
}

impl Former {
    /// An empty one.
    pub fn new() -> Former {
        Former {
            buf: OwnedIrBuf::new(0),
            verifier: Verifier::default(),
            raw: Vec::new(),
            marks: Vec::new(),
            ways: Vec::new(),
            pieces: Vec::new(),
            todo: Vec::new(),
            places: Vec::new(),
            starts: Places::default(),
            from: Places::default(),
            order: Vec::new(),
            follows: Vec::new(),
            unit_ways: Vec::new(),
            insn_bytes: 1,
            insn_shift: 0,
            page: 0,
            ops: Vec::new(),
            counts: Vec::new(),
            units: Vec::new(),
            insns: 0,
            translated: 0,
            flags: Vec::new(),
        }
    }

    /// Forms a region; the error is what the verifier says.
    pub fn form(&mut self, s: &Source<'_>) -> Result<(), String> {
        self.raw.clear();
        self.marks.clear();
        self.ways.clear();
        self.pieces.clear();
        self.todo.clear();
        (self.insns, self.translated) = (0, 0);
        self.insn_bytes = u64::from(s.arch.layout().insn_bytes.max(1));
        self.insn_shift = self.insn_bytes.trailing_zeros();
        self.page = s.pc & !PAGE_MASK;
        self.places.clear();
        self.places.resize((PAGE_SIZE >> self.insn_shift) as usize, (NOWHERE, NOWHERE));
        self.starts.clone_from(s.known);
        self.from.clear();
        self.todo.push(s.pc);
        let twice = u32::from(s.tier == Tier::Hot);
        if twice != 0 && self.flags.is_empty() {
            self.flags = crate::native::flags(s.arch.layout());
        }
        while let Some(pc) = self.todo.pop() {
            if pc % self.insn_bytes != 0 && pc != s.pc {
                continue;
            }
            match self.find(pc) {
                Some((i, mark)) => self.cut(i, mark),
                None if pc != s.pc && (s.known.has(pc) || s.ran.is_some_and(|ran| !ran.has(s.pa | pc & PAGE_MASK, s.mode))) => {}
                // What there is may still have to be cut.
                None if self.translated >= PIECES_MAX << twice || self.insns >= INSNS_MAX << twice => {}
                None => self.piece(s, pc)?,
            }
            if s.single {
                break;
            }
        }
        self.connect();
        self.string_up(s);
        Ok(())
    }

    /// The piece that has an instruction at `pc`, and the instruction.
    fn find(&self, pc: u64) -> Option<(usize, usize)> {
        if pc & !PAGE_MASK != self.page {
            return None;
        }
        let (piece, mark) = self.places[((pc & PAGE_MASK) >> self.insn_shift) as usize];
        (piece != NOWHERE).then_some((piece.into(), mark.into()))
    }
    /// The piece that begins at `pc`.
    fn beginning(&self, pc: u64) -> Option<usize> {
        self.find(pc).map(|f| f.0).filter(|i| self.pieces[*i].pc == pc)
    }

    /// Translates a piece that begins at `pc`.
    fn piece(&mut self, s: &Source<'_>, pc: u64) -> Result<(), String> {
        let offset = (pc & PAGE_MASK) as usize;
        // Not beyond the next piece.
        let end = self.starts.after(offset).max(offset + self.insn_bytes as usize).min(s.page.len());
        let mut max_insns = PIECE_INSNS_MAX;
        let layout = s.arch.layout();
        let vl = s.arch.vector_bytes(s.mode);
        let info = loop {
            self.buf.clear();
            self.buf.vl = vl;
            let request = BlockRequest {
                pc,
                mode_key: s.mode,
                code: Slice::new(&s.page[offset..end]),
                next_page: Slice::new(s.next_page),
                max_insns,
                page_attrs: s.attrs,
            };
            let info = s.arch.translate(&request, &mut self.buf);
            if self.buf.next_slot + 2 <= s.slots_max || max_insns == 1 {
                break info;
            }
            max_insns /= 2;
        };
        if self.buf.next_slot + 2 > s.slots_max {
            return Err(format!("one instruction needs {} value slots", self.buf.next_slot));
        }
        let ops = self.buf.ops();
        let marks = self.marks.len();
        let separate = self
            .verifier
            .run(ops, self.buf.next_slot, vl, layout.size.into(), layout.helpers.get().len() as u32, &mut self.marks)
            .map_err(|e| format!("{e}\n{}", emu_ir::print(ops)))?;
        let (first, ways) = (self.raw.len(), self.ways.len());
        self.raw.extend_from_slice(ops);
        let (bytes, insns) = (u64::from(info.bytes).max(1), info.insns.max(1));
        self.insns += insns;
        self.translated += 1;
        let number = self.pieces.len();
        let mut before = pc;
        for (n, mark) in self.marks.iter_mut().enumerate().skip(marks) {
            mark.op += first;
            let at = mark.pc.wrapping_sub(pc);
            // An instruction in two steps is entered at its first.
            let second = n > marks && before == mark.pc;
            before = mark.pc;
            if (mark.pc ^ s.pc) & !PAGE_MASK == 0 && at < bytes && n < usize::from(NOWHERE) && !second {
                self.places[((mark.pc & PAGE_MASK) >> self.insn_shift) as usize] = (number as u16, n as u16);
            }
        }
        self.starts.add(pc);
        self.from.add_range(pc, bytes);
        let end = pc.wrapping_add(bytes);
        let in_page = |to: u64| (to ^ s.pc) & !PAGE_MASK == 0;
        for i in &self.verifier.ways {
            let op = &ops[*i];
            let (to, returns) = match op.code {
                GOTO => (Some(op.imm), op.aux != 0),
                BRANCH => (Some(op.imm), false),
                JUMP if op.aux == 1 => (None, true),
                _ => continue,
            };
            self.ways.push(Way { op: first + i, to, returns });
            // The way that goes on is the last of them, and the first to be followed.
            let follow = |to: &u64| in_page(*to) && (s.tier != Tier::Brief || is_sure(s.pc, pc, end, op, *to));
            self.todo.extend(to.into_iter().chain(returns.then_some(end)).filter(follow));
        }
        self.pieces.push(Piece {
            pc,
            ops: (first, self.raw.len()),
            marks: (marks, self.marks.len()),
            ways: (ways, self.ways.len()),
            bytes,
            insns,
            slots: self.buf.next_slot,
            divisible: separate && (self.marks.len() - marks) as u32 == insns,
            cut: None,
            preds: 0,
            outside: pc == s.pc,
            used: false,
            unit: usize::MAX,
        });
        Ok(())
    }

    /// Cuts a piece before one of its instructions, unless it begins there or is in one piece for a reason.
    fn cut(&mut self, i: usize, mark: usize) {
        let InsnMark { pc, op, slot } = self.marks[mark];
        let number = self.pieces.len();
        let p = &mut self.pieces[i];
        if mark == p.marks.0 || !p.divisible || number >= usize::from(NOWHERE) {
            return;
        }
        let before = (mark - p.marks.0) as u32;
        let ways = self.ways[p.ways.0..p.ways.1].partition_point(|w| w.op < op) + p.ways.0;
        let tail = Piece {
            pc,
            ops: (op, p.ops.1),
            marks: (mark, p.marks.1),
            ways: (ways, p.ways.1),
            bytes: p.bytes - pc.wrapping_sub(p.pc),
            insns: p.insns - before,
            slots: p.slots,
            cut: p.cut,
            outside: false,
            ..*p
        };
        (p.ops.1, p.marks.1, p.ways.1, p.slots) = (op, mark, ways, slot);
        (p.bytes, p.insns, p.cut) = (pc.wrapping_sub(p.pc), before, Some(pc));
        for n in tail.marks.0..tail.marks.1 {
            let place = ((self.marks[n].pc & PAGE_MASK) >> self.insn_shift) as usize;
            if self.places[place] == (i as u16, n as u16) {
                self.places[place].0 = number as u16;
            }
        }
        self.starts.add(pc);
        self.pieces.push(tail);
    }

    /// Counts the ways into each piece.
    fn connect(&mut self) {
        for i in 0..self.pieces.len() {
            let p = &self.pieces[i];
            let (ways, end) = (p.ways, p.pc.wrapping_add(p.bytes));
            if let Some(next) = p.cut {
                self.way(next, false);
            }
            for w in ways.0..ways.1 {
                let Way { to, returns, .. } = self.ways[w];
                if let Some(to) = to {
                    self.way(to, false);
                }
                if returns {
                    self.way(end, true);
                }
            }
        }
    }
    fn way(&mut self, pc: u64, outside: bool) {
        if let Some(i) = self.beginning(pc) {
            let p = &mut self.pieces[i];
            p.preds += 1;
            p.outside |= outside;
        }
    }
    /// The piece that this one goes on to, if it goes on to one only.
    fn next(&self, i: usize) -> Option<usize> {
        let p = &self.pieces[i];
        let to = match p.cut {
            Some(to) => to,
            None => match self.raw[p.ops.0..p.ops.1].last() {
                Some(op) if op.code == GOTO && op.aux == 0 => op.imm,
                _ => return None,
            },
        };
        self.beginning(to)
    }
    /// The same, if only this one goes on to that.
    fn only_next(&self, i: usize) -> Option<usize> {
        self.next(i).filter(|q| self.pieces[*q].preds == 1 && !self.pieces[*q].outside)
    }
    /// The same, if that is not part of a unit yet.
    fn successor(&self, i: usize) -> Option<usize> {
        self.only_next(i).filter(|q| !self.pieces[*q].used)
    }
    /// The piece that a hot unit of which piece `i` is the last goes on to, if it is worth having it once more: it begins with a look at condition
    /// flags, which then are those of a comparison in the same unit.
    fn copied(&self, s: &Source<'_>, start: usize, i: usize) -> Option<usize> {
        let q = self.next(i).filter(|q| s.tier == Tier::Hot && *q != start && self.looks_at_flags(*q))?;
        let mut insns = 0;
        let mut last = Some(q);
        while let Some(p) = last {
            insns += self.pieces[p].insns;
            if insns > COPIED_MAX {
                return None;
            }
            last = self.only_next(p);
        }
        Some(q)
    }
    /// True if the first instruction of a piece looks at condition flags.
    fn looks_at_flags(&self, i: usize) -> bool {
        let p = &self.pieces[i];
        let second = self.marks[p.marks.0..p.marks.1].get(1).map_or(p.ops.1, |m| m.op);
        self.raw[p.ops.0..second].iter().any(|op| op.code == GET && self.flags.contains(&(op.imm as u32)))
    }

    /// Makes units of pieces: a piece that only one other goes on to is part of that one's unit.
    fn string_up(&mut self, s: &Source<'_>) {
        self.ops.clear();
        self.counts.clear();
        self.units.clear();
        self.unit_ways.clear();
        // In the order of their addresses, whichever is the entry: a loop that is entered in its middle is as good as one that is entered at its
        // top. What is run a few times only begins with its entry.
        if let Some(entry) = self.beginning(s.pc) {
            self.pieces[entry].outside = true;
        }
        let first = |pc: u64| s.tier == Tier::Brief && pc == s.pc;
        self.order.clear();
        self.order.extend(0..self.pieces.len());
        let mut order = std::mem::take(&mut self.order);
        order.sort_unstable_by_key(|i| (!first(self.pieces[*i].pc), self.pieces[*i].pc));
        self.follows.clear();
        self.follows.resize(self.pieces.len(), false);
        for i in 0..self.pieces.len() {
            if let Some(n) = self.successor(i) {
                self.follows[n] = n != i;
            }
        }
        for pass in 0..2 {
            for &start in &order {
                // In the second pass what only a circle of followers leads to.
                if !self.pieces[start].used && (pass == 1 || !self.follows[start]) {
                    self.string(s, start);
                }
            }
        }
        self.order = order;
        // Ways back.
        for i in 0..self.unit_ways.len() {
            let (from, to) = self.unit_ways[i];
            let unit = self.beginning(to).map_or(usize::MAX, |p| self.pieces[p].unit);
            if unit <= from {
                self.units[unit].loops = true;
            }
        }
    }

    /// Makes the unit that begins with the piece `start`.
    fn string(&mut self, s: &Source<'_>, start: usize) {
        let (ops, counts, number) = (self.ops.len(), self.counts.len(), self.units.len());
        let (mut slots, mut labels) = (0u32, 0u64);
        self.pieces[start].unit = number;
        let (mut at, mut copies) = (start, false);
        loop {
            let going_on = if copies {
                self.only_next(at)
            } else {
                self.pieces[at].used = true;
                self.successor(at).or_else(|| {
                    let copied = self.copied(s, start, at);
                    copies = copied.is_some();
                    copied
                })
            };
            let p = &self.pieces[at];
            self.counts.push(((self.ops.len() - ops) as u32, p.insns));
            let mut end = p.ops.1;
            if going_on.is_some() && p.cut.is_none() {
                end -= 1;
            }
            for w in &self.ways[p.ways.0..p.ways.1] {
                if let Some(to) = w.to.filter(|_| w.op < end) {
                    self.unit_ways.push((number, to));
                }
            }
            // Values are numbered from the unit's first on.
            let lowest = self.marks.get(p.marks.0).filter(|_| p.divisible).map_or(0, |m| m.slot);
            let by = slots.wrapping_sub(lowest);
            let shift = |v: u32| v.wrapping_add(if v == NONE { 0 } else { by });
            // So are labels, which every piece numbers from 0 on.
            labels += 1 << 32;
            let from = self.ops.len();
            self.ops.extend_from_slice(&self.raw[p.ops.0..end]);
            for op in &mut self.ops[from..] {
                op.dst = shift(op.dst);
                match op.code {
                    CONST128 => continue,
                    LABEL | BRIF | BR => op.imm += labels,
                    // Code for one virtual address: what moves with it is as constant as all else.
                    ADDRESS if !s.moves => op.code = Code::Const as u16,
                    _ => {}
                }
                (op.a, op.b, op.c) = (shift(op.a), shift(op.b), shift(op.c));
            }
            slots += p.slots - lowest;
            match going_on {
                Some(n) if slots + s.slots_max / 2 < s.slots_max || slots < s.slots_max / 4 => at = n,
                going_on => {
                    let to = match going_on {
                        Some(n) => Some(self.pieces[n].pc),
                        None => p.cut,
                    };
                    if let Some(to) = to {
                        self.ops.push(goto(to));
                        self.unit_ways.push((number, to));
                    }
                    break;
                }
            }
        }
        self.units.push(UnitRange {
            pc: self.pieces[start].pc,
            end: self.pieces[at].pc.wrapping_add(self.pieces[at].bytes),
            ops: (ops, self.ops.len()),
            counts: (counts, self.counts.len()),
            slots,
            loops: false,
        });
    }
}

/// True if a way out of the piece from `pc` to `end` belongs into a region that may be run a few times only: what always comes next, and rounds
/// through what there is of it.
fn is_sure(entry: u64, pc: u64, end: u64, op: &Op, to: u64) -> bool {
    (entry..=pc).contains(&to) || op.code == GOTO && op.aux == 0 && to != end
}

const GET: u16 = Code::Get as u16;
const GOTO: u16 = Code::Goto as u16;
const BRANCH: u16 = Code::Branch as u16;
const JUMP: u16 = Code::Jump as u16;
const CONST128: u16 = Code::Const128 as u16;
const ADDRESS: u16 = Code::Address as u16;
const LABEL: u16 = Code::Label as u16;
const BRIF: u16 = Code::BrIf as u16;
const BR: u16 = Code::Br as u16;

fn goto(pc: u64) -> Op {
    Op { code: GOTO, ty: Ty::I64, shape: Shape::SCALAR, dst: NONE, a: NONE, b: NONE, c: NONE, aux: 0, imm: pc }
}
