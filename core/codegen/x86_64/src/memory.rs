//! Guest memory: the inline look-up in the CPU's translation cache, and the slow way beside it.
//!
//! An entry's tag is compared with the page of the access's *last* byte while the entry is chosen by its first, so that one comparison
//! finds a missing translation, a missing permission, a slow page and an access that leaves its page.

use crate::analyse::{NO_KEY, NO_PIN, code};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Shift, Size, reg::*};
use crate::cold::Cold;
use crate::frame::{CPU, Exchange, HOMES, Site, TLB_ENTRY, TLB_ENTRY_BITS};
use crate::groups::Member;
use crate::lower::{AccessResult, Arg, Loc, Lowering, Position, Value};
use emu_ir::{Code, MemFlags, NONE, Op, Shape, Ty};
use std::mem::offset_of;

/// Offsets in a translation cache entry.
pub(crate) const READ_TAG: i32 = 0;
pub(crate) const WRITE_TAG: i32 = 8;
pub(crate) const ADDEND: i32 = 16;

/// Size in bytes of what an op moves.
pub(crate) fn moved(op: &Op, vl: u32) -> u32 {
    if op.shape == Shape::SCALAR { op.ty.bytes() } else { op.shape.bytes(vl) }
}

impl Lowering<'_> {
    /// Any memory op.
    pub(crate) fn memory(&mut self, op: &Op, c: Code, ops: &[Op]) {
        let size = moved(op, self.vl);
        let flags = MemFlags(op.aux);
        let inline = self.options.native && !flags.has(MemFlags::BIG_ENDIAN) && !flags.has(MemFlags::TAG_CHECK) && size <= 16;
        if op.shape == Shape::VL {
            return self.long_vector(op, c);
        }
        if flags.has(MemFlags::ACQUIRE) && matches!(c, Code::Load | Code::LoadEx) {
            self.wait_for_releases();
        }
        let keeps = self.f.direct.is_some() && self.flags_live();
        match c {
            _ if inline && self.f.direct.is_some() => {
                if !self.direct(op, c, size, flags, ops) {
                    self.slow_only(op, c, size);
                }
            }
            Code::Load if inline => self.load(op, size, flags, ops),
            Code::Store if inline => self.store(op, size, flags),
            Code::Rmw | Code::Cas | Code::LoadEx | Code::StoreEx if inline && self.inline_atomic(op, c, size, flags) => {}
            _ => self.slow_only(op, c, size),
        }
        match c {
            Code::Load | Code::LoadEx => {}
            // Locked, and slow ones are too.
            Code::Rmw | Code::Cas => self.fenced = !self.alone(),
            _ => self.fenced = false,
        }
        if flags.has(MemFlags::RELEASE) && c == Code::Store {
            self.note_release();
        }
        self.was_accessed();
        if !keeps {
            self.flags = NO_KEY;
        }
    }

    pub(crate) fn site(&self, op: &Op, kind: u8, size: u32) -> Site {
        let pc = if self.position == Position::Independent { self.pc.wrapping_sub(self.page) } else { self.pc };
        let bits = u8::from(self.position == Position::Independent) * Site::MOVES;
        Site { pc, info: self.info, flags: op.aux, size: size as u8, span: 0, kind, rmw: op.imm as u8, left: self.left as u16, unit: 0, bits }
    }

    /// Emits the look-up of `address`, which must not use the two scratch registers. On a hit, the second has the distance to the host's
    /// address. `align`: what the address must be a multiple of, a power of two.
    pub(crate) fn look_up(&mut self, address: Mem, size: u32, view: usize, write: bool, align: u32, scratch: [Gpr; 2], slow: Label) {
        self.look_up_as(false, address, size, view, write, align, scratch, slow);
    }
    /// The same; `chained`: for a load between loads (`chains`).
    fn look_up_as(&mut self, chained: bool, address: Mem, size: u32, view: usize, write: bool, align: u32, scratch: [Gpr; 2], slow: Label) {
        let [t1, t2] = scratch;
        let tlb = self.f.tlb;
        let base = self.f.disp(tlb.offset) + (view as u32 * tlb.entries * TLB_ENTRY) as i32;
        // The last byte's address has ones where the first has zeros, if it is a multiple: the comparison sees that too, for no tag lacks any of the
        // lowest four bits.
        let seen = align <= 16 && size.is_multiple_of(align);
        if !seen {
            self.check_alignment(address, align, t1, slow);
        }
        // Only one byte is in the page of the first for certain.
        let inside = size <= 1;
        let plain = address.disp == 0 && address.index.is_none();
        let by = tlb.page_bits - TLB_ENTRY_BITS;
        // The way to the entry comes first: it is the longer one.
        let from = match (inside, plain) {
            (_, true) => address.base,
            (true, false) => {
                self.asm.lea(Size::Q, t1, address);
                t1
            }
            (false, false) => {
                self.asm.lea(Size::D, t2, address);
                t2
            }
        };
        if from != t2 {
            self.asm.mov_rr(Size::D, t2, from);
        }
        if from != t1 {
            self.asm.lea(Size::Q, t1, if inside { address } else { address.plus(size as i32 - 1) });
        }
        self.asm.shift_ri(Shift::Shr, Size::D, t2, by);
        self.asm.alu_ri(Alu::And, Size::D, t2, ((tlb.entries - 1) << TLB_ENTRY_BITS) as i32);
        let offset = (1i32 << tlb.page_bits) - 1;
        self.asm.alu_ri(Alu::Or, Size::Q, t1, if seen { offset & !(align as i32 - 1) } else { offset });
        let tag = if write { WRITE_TAG } else { READ_TAG };
        self.asm.alu_rm(Alu::Cmp, Size::Q, t1, Mem::indexed(CPU, t2, 0, base + tag));
        self.asm.jcc(Cc::NE, slow);
        let entry = Mem::indexed(CPU, t2, 0, base + ADDEND);
        if chained {
            self.expect_distance(entry, t2, t1);
        } else {
            self.asm.mov_rm(Size::Q, t2, entry);
        }
    }

    pub(crate) fn check_alignment(&mut self, address: Mem, align: u32, scratch: Gpr, slow: Label) {
        if align > 1 {
            if address.disp & (align as i32 - 1) == 0 && address.index.is_none() {
                self.asm.test_ri(if address.base < 4 { Size::B } else { Size::D }, address.base, align as i32 - 1);
            } else {
                self.asm.lea(Size::D, scratch, address);
                self.asm.test_ri(Size::D, scratch, align as i32 - 1);
            }
            self.asm.jcc(Cc::NE, slow);
        }
    }

    /// The look-up of an access that is alone or looks up for its group: by a stretch, if it has one.
    fn look_up_here(&mut self, chained: bool, address: Mem, size: u32, view: usize, write: bool, align: u32, scratch: [Gpr; 2], slow: Label) {
        match self.stretch_here(write) {
            Some(n) => self.look_along(n, address, size, view, write, align, scratch, slow),
            None => self.look_up_as(chained, address, size, view, write, align, scratch, slow),
        }
    }

    /// The look-up of a load or store, or what an access of a group has in its place: then true, and the label of what is to be done without, if there
    /// is anything but the slow way.
    fn find(
        &mut self,
        member: Option<Member>,
        chained: bool,
        address: Mem,
        size: u32,
        flags: MemFlags,
        write: bool,
        scratch: [Gpr; 2],
        slow: Label,
    ) -> (bool, Option<Label>) {
        let (align, view) = (Self::alignment(flags, size), flags.view_index());
        let Some(m) = member else {
            self.look_up_here(chained, address, size, view, write, align, scratch, slow);
            return (false, None);
        };
        let alone = if self.careful { self.asm.label() } else { slow };
        // The look-up for all of them sees the alignment of this one.
        let seen = m.leads && !m.shared && (m.before as u32).is_multiple_of(align) && m.span.is_multiple_of(align);
        // Where a slow one may have a distance for others behind it, what comes through may be no multiple: it lay within 16 bytes all the same.
        let shows = if m.leads && !self.careful && flags.has(MemFlags::WITHIN16) { 1 } else { align };
        let known = !m.shared && self.found_multiple(shows, m.leads) && shows == align;
        if !seen && !known {
            self.check_alignment(address, align, scratch[0], slow);
        }
        if m.shared {
            if m.leads || !self.follows(scratch[1], alone) {
                let at = self.narrowly(m, address, view, scratch, alone);
                if m.leads {
                    self.look_up_as(false, address.plus(-m.before), m.span, view, true, 1, scratch, at);
                } else {
                    self.asm.test_ri(Size::B, scratch[1], 1);
                    self.asm.jcc(Cc::NE, at);
                }
                self.narrow_from();
            }
        } else if m.leads {
            let align = if seen { align } else { 1 };
            self.look_up_here(chained, address.plus(-m.before), m.span, view, m.writes, align, scratch, alone);
        } else {
            let without = if self.careful { alone } else { self.asm.label() };
            if self.follows(scratch[1], without) {
                return (true, Some(without));
            }
            self.asm.test_ri(Size::B, scratch[1], 1);
            self.asm.jcc(Cc::NE, alone);
        }
        (true, Some(alone).filter(|_| self.careful))
    }

    /// What a load or store does with the host's memory.
    pub(crate) fn carry_out(&mut self, host: Mem, size: u32, what: Move) {
        let width = Size::bits(size * 8);
        match what {
            Move::Halves { a, b, whole: true } => {
                self.asm.movups_rm(15, host);
                self.asm.mov_rx(Size::Q, a, 15);
                self.asm.high_half(b, 15);
            }
            // The half whose register has the address comes last.
            Move::Halves { a, b, .. } if a == host.base => {
                self.asm.mov_rm(Size::Q, b, host.plus(8));
                self.asm.mov_rm(Size::Q, a, host);
            }
            Move::Halves { a, b, .. } => {
                self.asm.mov_rm(Size::Q, a, host);
                self.asm.mov_rm(Size::Q, b, host.plus(8));
            }
            Move::Vector(x) => match size {
                16 => self.asm.movups_rm(x, host),
                8 => self.asm.movq_rm(x, host),
                _ => self.asm.movd_rm(x, host),
            },
            Move::Scalar(d) => self.asm.movzx_rm(width, d, host),
            Move::Signed(d, wide) => self.asm.movsx_rm(width, wide, d, host),
            Move::Store(StoreValue::Gpr(r)) => self.asm.mov_mr(width, host, r),
            Move::Store(StoreValue::Imm(i)) => self.asm.mov_mi(width, host, i),
            Move::Store(StoreValue::Two(a, b)) => {
                self.asm.mov_mr(Size::Q, host, a);
                self.asm.mov_mr(Size::Q, host.plus(8), b);
            }
            Move::Store(StoreValue::Xmm(x)) => match size {
                16 => self.asm.movups_mr(host, x),
                8 => self.asm.movq_mr(host, x),
                _ => self.asm.movd_mr(host, x),
            },
        }
    }

    /// Bits of the address that the fast way demands to be zero: what needs a closer look takes the slow way.
    pub(crate) fn alignment(flags: MemFlags, size: u32) -> u32 {
        if flags.has(MemFlags::ALIGNED) {
            flags.aligned_unit(size)
        } else if flags.has(MemFlags::WITHIN16) {
            size.min(16)
        } else {
            1
        }
    }

    /// A shift by at most 3 and the sum behind it that it is for, as of a base and an index: one instruction that adds and shifts.
    pub(crate) fn scaled(&mut self, op: &Op, c: Code, ops: &[Op]) -> bool {
        let Some(add) = ops.get(self.at as usize + 1).filter(|_| c == Code::Shl) else { return false };
        let (by, one) = (self.loc(op.b), add.a == op.dst && add.b != op.dst);
        let Loc::Const(by @ 1..=3) = by else { return false };
        let other = if one { add.b } else { add.a };
        let fits = add.code == Code::Add as u16
            && (one || add.b == op.dst && add.a != op.dst)
            && add.ty == op.ty
            && matches!(op.ty, Ty::I32 | Ty::I64)
            && self.fact(op.dst).uses == 1
            && self.fact(add.dst).uses != 0
            && self.fact(add.dst).makes == NO_KEY
            && !matches!(self.loc(other), Loc::Const(_));
        if !fits {
            return false;
        }
        // From here on it is the sum that is carried out.
        self.at += 1;
        if self.defers {
            self.before_op(add, Code::Add, ops);
        }
        let (index, base) = (self.gpr(op.a), self.gpr(other));
        let d = self.dst_or_reuse(add.dst, op.a, Arg::Reg(index));
        self.asm.lea(Size::bits(op.ty.bits()), d, Mem::indexed(base, index, by as u8, 0));
        self.done(add.dst, d, true);
        if self.defers {
            self.behind_op(add);
        }
        self.at -= 1;
        true
    }

    /// Address operand of a memory op.
    pub(crate) fn address(&mut self, op: &Op, imm: u64) -> Mem {
        let offset = i32::try_from(imm as i64).ok().filter(|d| d.checked_add(32).is_some());
        let base = match self.loc(op.a) {
            Loc::Const(c) => {
                let t = self.temp();
                self.asm.mov_ri(t, c.wrapping_add(imm));
                return Mem::at(t, 0);
            }
            _ => self.gpr(op.a),
        };
        match offset {
            Some(d) => Mem::at(base, d),
            None => {
                let t = self.temp();
                self.asm.mov_ri(t, imm);
                self.asm.lea(Size::Q, t, Mem::indexed(t, base, 0, 0));
                self.locked &= !(1 << base);
                Mem::at(t, 0)
            }
        }
    }

    /// The rest of an inline access: the slow way beside it.
    pub(crate) fn beside(&mut self, labels: (Label, Label), address: Mem, site: Site, result: AccessResult, scratch: Gpr) {
        self.beside_others(labels, address, site, result, scratch, None);
    }
    /// The same; `found`: the register that the distance for other accesses goes into.
    fn beside_others(&mut self, labels: (Label, Label), address: Mem, site: Site, result: AccessResult, scratch: Gpr, found: Option<Gpr>) {
        let vectors = self.xowner.iter().any(|v| *v != NONE) || self.xlocked != 0;
        let rax = self.owner[RAX as usize] != NONE || self.locked & 1 != 0;
        let (flags, distances, keeps, late) = (self.snapshot(), self.distances(), self.flags_live(), self.late());
        self.cold.push(Cold::Access {
            at: labels.0,
            back: labels.1,
            address,
            site,
            result,
            scratch,
            found,
            rax,
            vectors,
            flags,
            distances,
            keeps,
            late,
        });
    }

    /// A load. All registers are chosen, and values moved out of the way, before the look-up: behind it the ways have parted.
    fn load(&mut self, op: &Op, size: u32, flags: MemFlags, ops: &[Op]) {
        let address = self.address(op, op.imm);
        let t1 = self.temp();
        let (t2, member) = self.reach();
        // A distance that others will use stays.
        let spare = if member.is_some() { t1 } else { t2 };
        let both = self.halves_follow(op, ops).filter(|_| size == 16);
        let vector = size == 16 || op.shape != Shape::SCALAR || (op.ty.is_float() && size >= 4);
        let (dst, signed) = self.extended(op, ops);
        let (what, result) = if let Some((low, high)) = both {
            let (wl, wh) = (self.fact(low).want, self.fact(high).want);
            let a = self.load_dst(wl).unwrap_or_else(|| self.temp());
            let b = self.load_dst(if wh == wl { NO_PIN } else { wh }).unwrap_or(t1);
            (Move::Halves { a, b, whole: self.whole(flags) }, AccessResult::Two(a, b))
        } else if vector {
            let x = self.xtemp();
            (Move::Vector(x), AccessResult::Xmm(x))
        } else {
            let want = self.fact(dst).want;
            let d = self.load_dst(want).unwrap_or(spare);
            match signed {
                Some(wide) => (Move::Signed(d, wide), AccessResult::Signed { r: d, size, wide }),
                None => (Move::Scalar(d), AccessResult::Gpr(d)),
            }
        };
        self.access(op, size, flags, address, member, [t1, t2], what, result);
        match (result, both) {
            (AccessResult::Two(a, b), Some((low, high))) => {
                for (v, r) in [(low, a), (high, b)] {
                    if self.fact(v).uses != 0 {
                        self.done(v, r, true);
                    } else {
                        self.vals[v as usize].loc = Loc::Const(0);
                    }
                }
            }
            (AccessResult::Xmm(x), _) => self.xown(op.dst, x),
            (AccessResult::Gpr(d) | AccessResult::Signed { r: d, .. }, _) => self.done(dst, d, true),
            _ => {}
        }
    }

    /// The value that a load of a scalar makes: what is loaded, or the extension behind it that is all it is for. If that has the sign: whether
    /// it is one to 64 bits.
    pub(crate) fn extended(&self, op: &Op, ops: &[Op]) -> (u32, Option<bool>) {
        let fact = self.fact(op.dst);
        let next = ops.get(self.at as usize + 1).filter(|next| {
            matches!(code(next), Code::SExt | Code::ZExt)
                && (next.a, next.aux) == (op.dst, u32::from(op.ty.0))
                && matches!(op.ty, Ty::I8 | Ty::I16 | Ty::I32)
                && matches!(next.ty, Ty::I32 | Ty::I64)
                && (op.shape, next.shape) == (Shape::SCALAR, Shape::SCALAR)
                && (fact.uses, fact.last) == (1, self.at + 1)
                && self.fact(next.dst).uses != 0
        });
        match next.filter(|_| self.options.native) {
            Some(next) => (next.dst, (code(next) == Code::SExt).then_some(next.ty == Ty::I64)),
            None => (op.dst, None),
        }
    }

    /// The look-up, the move, and what is beside them.
    fn access(
        &mut self,
        op: &Op,
        size: u32,
        flags: MemFlags,
        address: Mem,
        member: Option<Member>,
        scratch: [Gpr; 2],
        what: Move,
        result: AccessResult,
    ) {
        let (slow, back) = (self.asm.label(), self.asm.label());
        let value = if let Move::Store(value) = what { Some(value) } else { None };
        let (grouped, alone) = self.find(member, self.is_link(), address, size, flags, value.is_some(), scratch, slow);
        let host = Mem { index: Some((scratch[1], 0)), ..address };
        self.carry_out(host, size, what);
        if member.is_some_and(|m| m.shared) {
            self.narrow_to();
        }
        self.asm.bind(back);
        let first = self.cold.len();
        match alone {
            Some(at) if self.careful => {
                let (view, write, align) = (flags.view_index(), value.is_some(), Self::alignment(flags, size));
                self.cold.push(Cold::Alone { at, back, slow, address, size, align, view, write, scratch, what });
            }
            Some(at) => self.cold.push(Cold::Behind { at, back, slow, host, size, distance: scratch[1], what }),
            None => {}
        }
        let mut at = slow;
        if let Some(value) = value {
            // The slow way stores the value where the embedder finds it.
            let to = self.exchange(offset_of!(Exchange, value));
            at = self.asm.label();
            self.cold.push(Cold::StoreValue { at: slow, value, to, next: at });
        }
        let mut site = self.site(op, if value.is_some() { Site::STORE } else { Site::LOAD }, size);
        let leads = member.filter(|m| m.leads && grouped && !self.careful);
        if let Some(m) = leads {
            (site.span, site.rmw) = (m.span as u8, m.before as u8);
            site.bits |= u8::from(m.writes) * Site::WRITES;
        }
        // What needs no closer look at its address, and is one piece or may be two. Hot code has looked already.
        if grouped && !self.careful && Self::alignment(flags, size) == 1 && !(size == 16 && flags.has(MemFlags::ATOMIC16)) {
            site.bits |= Site::GROUPED;
        }
        self.beside_others((at, back), address, site, result, scratch[0], leads.map(|_| scratch[1]));
        self.accessed(grouped, scratch[1], first);
    }

    /// The pinned register that wants a loaded value, what was in it being elsewhere.
    pub(crate) fn load_dst(&mut self, want: u8) -> Option<Gpr> {
        if want == NO_PIN {
            return None;
        }
        self.displace_pin(want);
        Some(HOMES[want as usize])
    }

    /// The `lo64` and `hi64` that are all there is to the 128-bit value loaded here.
    pub(crate) fn halves_follow(&self, op: &Op, ops: &[Op]) -> Option<(u32, u32)> {
        if op.ty != Ty::I128 || self.fact(op.dst).uses != 2 {
            return None;
        }
        let at = self.at as usize;
        let find = |c: Code| ops[at + 1..ops.len().min(at + 8)].iter().find(|o| o.code == c as u16 && o.a == op.dst).map(|o| o.dst);
        Some((find(Code::Lo64)?, find(Code::Hi64)?))
    }

    /// Where the value of a store is. Its register is chosen first, so that the scratch registers are not wanted for it.
    pub(crate) fn stored_value(&mut self, op: &Op, size: u32, flags: MemFlags) -> StoreValue {
        let atomic = self.whole(flags);
        match self.loc(op.b) {
            Loc::Pair(..) if !atomic => {
                let (a, b) = self.halves(op.b);
                StoreValue::Two(a, b)
            }
            Loc::Xmm(x) if size >= 4 => {
                self.xlock(x);
                StoreValue::Xmm(x)
            }
            Loc::Const(c) if size <= 4 => StoreValue::Imm(c as i32),
            Loc::Const(c) if size == 8 && i32::try_from(c as i64).is_ok() => StoreValue::Imm(c as i32),
            _ if size == 16 => StoreValue::Xmm(self.xmm(op.b)),
            Loc::State(_) | Loc::Slot if size >= 4 && (op.shape != Shape::SCALAR || op.ty.is_float()) => StoreValue::Xmm(self.xmm(op.b)),
            _ => StoreValue::Gpr(self.gpr(op.b)),
        }
    }

    fn store(&mut self, op: &Op, size: u32, flags: MemFlags) {
        let value = self.stored_value(op, size, flags);
        let address = self.address(op, op.imm);
        // With a pair of temporaries and an address in a third, two are left.
        let t1 = self.temp();
        let (t2, member) = self.reach();
        self.access(op, size, flags, address, member, [t1, t2], Move::Store(value), AccessResult::Nothing);
    }

    /// An access that is always carried out by the embedder. The address and operands go through memory.
    fn slow_only(&mut self, op: &Op, c: Code, size: u32) {
        self.write_all_waiting();
        let kind = match c {
            Code::Load => Site::LOAD,
            Code::Store => Site::STORE,
            Code::Cas => Site::CAS,
            Code::Rmw => Site::RMW,
            Code::LoadEx => Site::LOAD_EX,
            _ => Site::STORE_EX,
        };
        let (value, expected) = match c {
            Code::Cas => (op.c, op.b),
            Code::Load | Code::LoadEx => (NONE, NONE),
            _ => (op.b, NONE),
        };
        for (v, at) in [(value, offset_of!(Exchange, value)), (expected, offset_of!(Exchange, expected))] {
            if v != NONE {
                let to = self.exchange(at);
                if self.fact(v).bits == 128 {
                    let x = self.xmm(v);
                    self.asm.movups_mr(to, x);
                } else {
                    let r = self.gpr_clean(v);
                    self.asm.mov_mr(Size::Q, to, r);
                }
                (self.locked, self.xlocked) = (0, 0);
            }
        }
        let imm = if matches!(c, Code::Load | Code::Store) { op.imm } else { 0 };
        let address = self.address(op, imm);
        let scratch = self.temp();
        let result = match (op.dst, size) {
            (NONE, _) => AccessResult::Nothing,
            (_, 16) => AccessResult::Xmm(self.xtemp()),
            _ => AccessResult::Gpr(scratch),
        };
        let (slow, back) = (self.asm.label(), self.asm.label());
        self.asm.jmp(slow);
        let mut site = self.site(op, kind, size);
        site.flags = op.aux;
        // The element's size, for the byte order.
        site.unit = if op.shape == Shape::SCALAR { 0 } else { op.ty.bytes() as u8 };
        self.beside((slow, back), address, site, result, scratch);
        self.asm.bind(back);
        match result {
            AccessResult::Gpr(r) => self.done(op.dst, r, true),
            AccessResult::Xmm(x) => self.xown(op.dst, x),
            _ => {}
        }
    }

    /// Vectors of run-time length, in pieces of 8 bytes as the interpreter moves them, through their slots.
    fn long_vector(&mut self, op: &Op, c: Code) {
        self.write_all_waiting();
        let (v, load) = if c == Code::Load { (op.dst, true) } else { (op.b, false) };
        let pieces = self.vl.div_ceil(8);
        for i in 0..pieces {
            let slot = self.slot(v).plus(i as i32 * 8);
            let to = self.exchange(offset_of!(Exchange, value));
            if !load {
                let t = self.temp();
                self.asm.mov_rm(Size::Q, t, slot);
                self.asm.mov_mr(Size::Q, to, t);
                self.locked = 0;
            }
            let address = self.address(op, op.imm.wrapping_add(u64::from(i) * 8));
            let scratch = self.temp();
            let (slow, back) = (self.asm.label(), self.asm.label());
            self.asm.jmp(slow);
            let mut site = self.site(op, if load { Site::LOAD } else { Site::STORE }, 8);
            site.unit = op.ty.bytes() as u8;
            let result = if load { AccessResult::Gpr(scratch) } else { AccessResult::Nothing };
            self.beside((slow, back), address, site, result, scratch);
            self.asm.bind(back);
            if load {
                self.asm.mov_mr(Size::Q, slot, scratch);
            }
            (self.locked, self.xlocked) = (0, 0);
        }
        if load {
            self.vals[v as usize] = Value { loc: Loc::Slot, backing: NONE, clean: true, slotted: true };
        }
        self.flags = NO_KEY;
    }
}

/// What the slow way of a store keeps for the embedder.
#[derive(Clone, Copy)]
pub(crate) enum StoreValue {
    Gpr(Gpr),
    Imm(i32),
    Two(Gpr, Gpr),
    Xmm(u8),
}

/// What a load or store moves between registers and the host's memory.
#[derive(Clone, Copy)]
pub(crate) enum Move {
    /// Eight bytes each; in one piece if `whole`.
    Halves {
        a: Gpr,
        b: Gpr,
        whole: bool,
    },
    Vector(u8),
    Scalar(Gpr),
    /// With the sign, to 64 bits if that is set, else to 32.
    Signed(Gpr, bool),
    Store(StoreValue),
}
