//! Region forming: from one entry, the control flow inside its guest page, as units for the code generator.
//!
//! The target translates straight pieces; this file asks for one wherever control can go by constants within the page, cuts pieces where
//! somebody jumps into their middle, and strings those together that only follow each other.

use emu_ir::{Code, NONE, Op, OwnedIrBuf, Shape, Ty, verify};
use emu_mem::PAGE_SIZE;
use emu_plugins_api::{ArchitectureHandle, BlockRequest, Slice};

/// Pieces in a region.
const PIECES_MAX: usize = 32;
/// Instructions in a region.
const INSNS_MAX: u32 = 128;
/// Instructions in a piece.
pub const PIECE_INSNS_MAX: u32 = 64;

/// A straight piece of guest code.
struct Piece {
    pc: u64,
    /// Its ops in `Former::ops`.
    first: usize,
    last: usize,
    bytes: u64,
    insns: u32,
    /// It was cut: what comes next.
    cut: Option<u64>,
    /// Number of ways into it from inside.
    preds: u32,
    /// It can be entered from elsewhere: the entry, or what a call comes back to.
    outside: bool,
    used: bool,
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
    /// The page's bytes.
    pub page: &'a [u8],
    /// Whether there is code for an address of the page already.
    pub known: &'a dyn Fn(u64) -> bool,
    /// Only the entry's piece.
    pub single: bool,
    /// Number of value slots that a unit may have.
    pub slots_max: u32,
    /// The code shall run wherever its page is mapped.
    pub moves: bool,
}

/// The former, with vectors that are used again.
pub struct Former {
    buf: OwnedIrBuf,
    raw: Vec<Op>,
    pieces: Vec<Piece>,
    todo: Vec<u64>,
    /// Ops of the units, one behind the other.
    pub ops: Vec<Op>,
    /// Where instructions are counted, relative to the unit's ops.
    pub counts: Vec<(u32, u32)>,
    /// The units, the entry first.
    pub units: Vec<UnitRange>,
    /// Instructions in all of them.
    pub insns: u32,
}

impl Former {
    /// An empty one.
    pub fn new() -> Former {
        Former {
            buf: OwnedIrBuf::new(0),
            raw: Vec::new(),
            pieces: Vec::new(),
            todo: Vec::new(),
            ops: Vec::new(),
            counts: Vec::new(),
            units: Vec::new(),
            insns: 0,
        }
    }

    /// Forms a region; the error is what the verifier says.
    pub fn form(&mut self, s: &Source<'_>) -> Result<(), String> {
        self.raw.clear();
        self.pieces.clear();
        self.todo.clear();
        self.insns = 0;
        self.todo.push(s.pc);
        let align = u64::from(s.arch.layout().insn_bytes.max(1)) - 1;
        while let Some(pc) = self.todo.pop() {
            if self.pieces.len() >= PIECES_MAX || self.insns >= INSNS_MAX {
                break;
            }
            if pc & align != 0 && pc != s.pc {
                continue;
            }
            match self.find(pc) {
                Some(i) if self.pieces[i].pc == pc => {}
                Some(i) => self.cut(i, pc),
                None if pc != s.pc && (s.known)(pc) => {}
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

    /// The piece that has an instruction at `pc`.
    fn find(&self, pc: u64) -> Option<usize> {
        self.pieces.iter().position(|p| p.pc <= pc && pc - p.pc < p.bytes)
    }

    /// Translates a piece that begins at `pc`.
    fn piece(&mut self, s: &Source<'_>, pc: u64) -> Result<(), String> {
        let offset = (pc & (PAGE_SIZE - 1)) as usize;
        // Not beyond the next piece.
        let end = self.pieces.iter().filter(|p| p.pc > pc).map(|p| (p.pc & (PAGE_SIZE - 1)) as usize).min().unwrap_or(s.page.len());
        let end = end.max(offset + s.arch.layout().insn_bytes as usize).min(s.page.len());
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
                next_page: Slice::new(&[]),
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
        verify(self.buf.ops(), self.buf.next_slot, vl, layout.size.into(), layout.helpers.get().len() as u32)
            .map_err(|e| format!("{e}\n{}", emu_ir::print(self.buf.ops())))?;
        let first = self.raw.len();
        self.raw.extend_from_slice(self.buf.ops());
        let (bytes, insns) = (u64::from(info.bytes).max(1), info.insns.max(1));
        self.insns += insns;
        let from = self.todo.len();
        for op in &self.raw[first..] {
            for target in targets(op, pc.wrapping_add(bytes)) {
                if (target ^ s.pc) & !(PAGE_SIZE - 1) == 0 {
                    self.todo.push(target);
                }
            }
        }
        // The way that goes on comes first.
        self.todo[from..].reverse();
        let last = self.raw.len();
        self.pieces.push(Piece { pc, first, last, bytes, insns, cut: None, preds: 0, outside: pc == s.pc, used: false });
        Ok(())
    }

    /// Cuts a piece before its instruction at `pc`, unless values cross there.
    fn cut(&mut self, i: usize, pc: u64) {
        let p = &self.pieces[i];
        let ops = &self.raw[p.first..p.last];
        let is_start = |o: &Op| o.code == Code::InsnStart as u16;
        let Some(at) = ops.iter().position(|o| is_start(o) && o.imm == pc) else { return };
        let mut own = vec![false; self.buf.next_slot.max(1 << 10) as usize];
        for o in ops[at..].iter().filter(|o| o.dst != NONE) {
            if own.len() <= o.dst as usize {
                own.resize(o.dst as usize + 1, false);
            }
            own[o.dst as usize] = true;
        }
        let crosses = |o: &Op| {
            o.code != Code::Const128 as u16 && [o.a, o.b, o.c].iter().any(|s| *s != NONE && !own.get(*s as usize).copied().unwrap_or(false))
        };
        if ops[at..].iter().any(crosses) {
            return;
        }
        let before = ops[..at].iter().filter(|o| is_start(o)).count() as u32;
        let (first, last) = (p.first, p.last);
        let tail = Piece {
            pc,
            first: first + at,
            last,
            bytes: p.bytes - (pc - p.pc),
            insns: p.insns - before,
            cut: p.cut,
            preds: 0,
            outside: false,
            used: false,
        };
        let p = &mut self.pieces[i];
        (p.last, p.bytes, p.insns, p.cut) = (first + at, pc - p.pc, before, Some(pc));
        self.pieces.push(tail);
    }

    /// Counts the ways into each piece.
    fn connect(&mut self) {
        for i in 0..self.pieces.len() {
            let (first, last, end) = (self.pieces[i].first, self.pieces[i].last, self.pieces[i].pc.wrapping_add(self.pieces[i].bytes));
            if let Some(next) = self.pieces[i].cut {
                self.way(next, false);
            }
            for k in first..last {
                let op = self.raw[k];
                match op.opcode() {
                    Some(Code::Goto) if op.aux == 0 => self.way(op.imm, false),
                    Some(Code::Goto) => {
                        self.way(op.imm, false);
                        self.way(end, true);
                    }
                    Some(Code::Branch) => self.way(op.imm, false),
                    Some(Code::Jump) if op.aux == 1 => self.way(end, true),
                    _ => {}
                }
            }
        }
    }
    fn way(&mut self, pc: u64, outside: bool) {
        if let Some(p) = self.pieces.iter_mut().find(|p| p.pc == pc) {
            p.preds += 1;
            p.outside |= outside;
        }
    }

    /// Makes units of pieces: a piece that only one other goes on to is part of that one's unit.
    fn string_up(&mut self, s: &Source<'_>) {
        self.ops.clear();
        self.counts.clear();
        self.units.clear();
        // The entry first, the rest in the order of their addresses.
        let mut order: Vec<usize> = (0..self.pieces.len()).collect();
        order.sort_unstable_by_key(|i| (self.pieces[*i].pc != s.pc, self.pieces[*i].pc));
        // Pieces that go on in one place claim it, if it is theirs alone.
        let next = |f: &Former, i: usize| -> Option<usize> {
            let p = &f.pieces[i];
            let to = match p.cut {
                Some(to) => to,
                None => match f.raw[p.first..p.last].last() {
                    Some(op) if op.code == Code::Goto as u16 && op.aux == 0 => op.imm,
                    _ => return None,
                },
            };
            f.pieces.iter().position(|q| q.pc == to && q.preds == 1 && !q.outside && !q.used)
        };
        let follows: Vec<bool> = {
            let mut follows = vec![false; self.pieces.len()];
            for i in 0..self.pieces.len() {
                if let Some(n) = next(self, i) {
                    follows[n] = n != i;
                }
            }
            follows
        };
        for pass in 0..2 {
            for &start in &order {
                // In the second pass what only a circle of followers leads to.
                if self.pieces[start].used || (pass == 0 && follows[start]) {
                    continue;
                }
                let (ops, counts) = (self.ops.len(), self.counts.len());
                let (mut slots, mut labels) = (0, 0u64);
                let mut at = start;
                loop {
                    self.pieces[at].used = true;
                    let going_on = next(self, at);
                    let p = &self.pieces[at];
                    self.counts.push(((self.ops.len() - ops) as u32, p.insns));
                    let mut piece = &self.raw[p.first..p.last];
                    if going_on.is_some() && p.cut.is_none() {
                        piece = &piece[..piece.len() - 1];
                    }
                    // Values are numbered from the unit's first on.
                    let lowest = piece.iter().map(|o| o.dst).min().unwrap_or(0);
                    let shift = |v: u32| if v == NONE { NONE } else { v.wrapping_sub(lowest).wrapping_add(slots) };
                    let mut top = slots;
                    // So are labels, which every piece numbers from 0 on.
                    labels += 1 << 32;
                    for op in piece {
                        let mut op = *op;
                        if matches!(op.opcode(), Some(Code::Label | Code::BrIf | Code::Br)) {
                            op.imm += labels;
                        }
                        // Code for one virtual address: what moves with it is as constant as all else.
                        if op.code == Code::Address as u16 && !s.moves {
                            op.code = Code::Const as u16;
                        }
                        op.dst = shift(op.dst);
                        if op.code != Code::Const128 as u16 {
                            (op.a, op.b, op.c) = (shift(op.a), shift(op.b), shift(op.c));
                        }
                        if op.dst != NONE {
                            let width = emu_ir::result_width(&op).map_or(1, |w| w.slots(self.buf.vl).max(1));
                            top = top.max(op.dst + width);
                        }
                        self.ops.push(op);
                    }
                    slots = top;
                    match going_on {
                        Some(n) if slots + s.slots_max / 2 < s.slots_max || slots < s.slots_max / 4 => at = n,
                        going_on => {
                            let to = match going_on {
                                Some(n) => Some(self.pieces[n].pc),
                                None => self.pieces[at].cut,
                            };
                            if let Some(to) = to {
                                self.ops.push(goto(to));
                            }
                            break;
                        }
                    }
                }
                self.units.push(UnitRange {
                    pc: self.pieces[start].pc,
                    ops: (ops, self.ops.len()),
                    counts: (counts, self.counts.len()),
                    slots,
                    loops: false,
                });
            }
        }
        // Ways back.
        for i in 0..self.units.len() {
            let (a, b) = self.units[i].ops;
            for k in a..b {
                let op = &self.ops[k];
                if matches!(op.opcode(), Some(Code::Goto | Code::Branch)) {
                    let to = op.imm;
                    if let Some(t) = self.units[..=i].iter().position(|u| u.pc == to) {
                        self.units[t].loops = true;
                    }
                }
            }
        }
    }
}

fn goto(pc: u64) -> Op {
    Op { code: Code::Goto as u16, ty: Ty::I64, shape: Shape::SCALAR, dst: NONE, a: NONE, b: NONE, c: NONE, aux: 0, imm: pc }
}

/// Constant addresses that an op may go to, and what a call comes back to; `end` is behind the piece.
fn targets(op: &Op, end: u64) -> impl Iterator<Item = u64> {
    let (a, b) = match op.opcode() {
        Some(Code::Goto) if op.aux == 0 => (Some(op.imm), None),
        Some(Code::Goto) => (Some(op.imm), Some(end)),
        Some(Code::Branch) => (Some(op.imm), None),
        Some(Code::Jump) if op.aux == 1 => (None, Some(end)),
        _ => (None, None),
    };
    a.into_iter().chain(b)
}
