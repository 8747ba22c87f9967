//! Guest memory where guest addresses are host addresses, or those less one constant: an access is one instruction, in the latter case by a
//! segment whose base is that constant. (On Golden Cove such a base costs a load two cycles and halves the stores per cycle; a base of zero, or
//! an index register, costs nothing.)
//!
//! What would be a look-up is the host's: an access that faults is an entry of [`Lowering::faults`], by which the embedder's signal handler
//! finds the way beside it, the same as a missed look-up takes. So no instruction may change anything that that way needs before the access
//! that can fault: registers with operands, pinned registers, the monitor.
//!
//! Addresses with a tag in their top byte are no addresses of the host. Code is made without regard to tags until the first one is seen
//! ([`Direct::tagged`]); from then on it takes them off.

use crate::analyse::{NO_KEY, NO_PIN};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Shift, Size, reg::*};
use crate::cold::Cold;
use crate::frame::{Exchange, Site};
use crate::lower::{AccessResult, Loc, Lowering};
use crate::memory::StoreValue;
use emu_ir::{Code, MemFlags, Op, Shape, rmw};
use std::mem::offset_of;
use std::sync::atomic::AtomicBool;

/// What code with direct accesses knows besides.
#[derive(Debug, Default)]
pub struct Direct {
    /// Guest addresses are offsets in the segment, whose base is not 0.
    pub segment: bool,
    /// The guest uses addresses with tags.
    pub tagged: AtomicBool,
    /// The program has one thread, and no other process sees its memory: nobody can tell plain accesses from atomic and ordered ones. Code
    /// that was made while this is set must be gone before another thread or process can come.
    pub alone: AtomicBool,
}

impl Lowering<'_> {
    /// Accesses that the guest may not see in halves are in one piece. Code that is made again when it is run more does not rely on being
    /// alone for what costs so little: it can be kept when that ends.
    pub(crate) fn whole(&mut self, flags: emu_ir::MemFlags) -> bool {
        flags.has(emu_ir::MemFlags::ATOMIC16) && (self.counter.is_some() && self.f.direct.is_some() || !self.alone())
    }
    /// Nobody else sees the guest's memory now. Code that asks is made for that.
    pub(crate) fn alone(&mut self) -> bool {
        self.relied |= self.alone;
        self.alone
    }
    /// The region is right only as long as nobody else sees the guest's memory.
    pub fn relies_on_being_alone(&self) -> bool {
        self.relied
    }

    /// Any memory op with code of its own; false if the embedder carries it out.
    pub(crate) fn direct(&mut self, op: &Op, c: Code, size: u32, flags: MemFlags, ops: &[Op]) -> bool {
        match c {
            Code::Load => self.direct_load(op, size, flags, ops),
            Code::Store => self.direct_store(op, size, flags, ops),
            Code::LoadEx if size <= 8 => self.direct_load_exclusive(op, size, ops),
            Code::StoreEx if size <= 8 => self.direct_store_exclusive(op, size),
            Code::Rmw | Code::Cas if size <= 8 => self.direct_atomic(op, c, size, ops),
            _ => return false,
        }
        true
    }

    /// Where each access that may fault begins, and the way beside it: offsets in the code, in order.
    pub fn fault_table(&self) -> Vec<(u32, u32)> {
        let mut table: Vec<_> = self.faults.iter().filter_map(|(at, way)| Some((*at, self.asm.offset(*way)?))).collect();
        table.sort_unstable();
        table
    }

    /// Address operand without a tag.
    fn direct_address(&mut self, op: &Op, imm: u64) -> Mem {
        let address = self.address(op, imm);
        if !self.tagged {
            return address;
        }
        let t = self.temp();
        if self.flags_live() {
            let by = self.temp();
            self.asm.mov_ri(by, 8);
            self.asm.lea(Size::Q, t, address);
            self.asm.shiftx(Shift::Shl, Size::Q, t, t, by);
            self.asm.shiftx(Shift::Shr, Size::Q, t, t, by);
            self.locked &= !(1 << by);
        } else {
            self.asm.lea(Size::Q, t, address);
            self.asm.shift_ri(Shift::Shl, Size::Q, t, 8);
            self.asm.shift_ri(Shift::Shr, Size::Q, t, 8);
        }
        if address.base != t && !crate::frame::HOMES.contains(&address.base) {
            self.locked &= !(1 << address.base);
        }
        Mem::at(t, 0)
    }

    /// The next instruction accesses guest memory; `slow` is the way beside it.
    fn touch(&mut self, slow: Label) {
        self.faults.push((self.asm.here(), slow));
        if self.f.direct.is_some_and(|d| d.segment) {
            self.asm.guest_segment();
        }
    }

    /// Leaves the way if the address of the op, `address` by now, is not aligned to `align` bytes. With registers chosen: behind it ways have parted.
    fn direct_align(&mut self, op: &Op, imm: u64, address: Mem, align: u32, scratch: Gpr, slow: Label, ops: &[Op]) {
        if align <= 1 {
            return;
        }
        let Some(other) = self.test_aligned(op, imm, align, slow, ops) else { return };
        if address.disp & (align as i32 - 1) == 0 && address.index.is_none() {
            self.asm.test_ri(if address.base < 4 { Size::B } else { Size::D }, address.base, align as i32 - 1);
        } else {
            self.asm.lea(Size::D, scratch, address);
            self.asm.test_ri(Size::D, scratch, align as i32 - 1);
        }
        self.asm.jcc(Cc::NE, other);
        self.flags = NO_KEY;
    }

    fn direct_load(&mut self, op: &Op, size: u32, flags: MemFlags, ops: &[Op]) {
        let address = self.direct_address(op, op.imm);
        let t = self.temp();
        let (slow, back) = (self.asm.label(), self.asm.label());
        let site = self.site(op, Site::LOAD, size);
        let align = Self::alignment(flags, size);
        if let Some((low, high)) = self.halves_follow(op, ops).filter(|_| size == 16) {
            let (wl, wh) = (self.fact(low).want, self.fact(high).want);
            let a = self.load_dst(wl).unwrap_or_else(|| self.temp());
            let b = self.load_dst(if wh == wl { NO_PIN } else { wh }).unwrap_or(t);
            self.direct_align(op, op.imm, address, align, t, slow, ops);
            if self.whole(flags) {
                self.touch(slow);
                self.asm.movups_rm(15, address);
                self.asm.mov_rx(Size::Q, a, 15);
                self.asm.high_half(b, 15);
            } else if a == address.base {
                // The half whose register has the address comes last.
                self.touch(slow);
                self.asm.mov_rm(Size::Q, b, address.plus(8));
                self.touch(slow);
                self.asm.mov_rm(Size::Q, a, address);
            } else {
                self.touch(slow);
                self.asm.mov_rm(Size::Q, a, address);
                self.touch(slow);
                self.asm.mov_rm(Size::Q, b, address.plus(8));
            }
            self.beside((slow, back), address, site, AccessResult::Two(a, b), t);
            self.asm.bind(back);
            for (v, r) in [(low, a), (high, b)] {
                if self.fact(v).uses != 0 {
                    self.done(v, r, true);
                } else {
                    self.vals[v as usize].loc = Loc::Const(0);
                }
            }
            return;
        }
        if size == 16 || op.shape != Shape::SCALAR || (op.ty.is_float() && size >= 4) {
            let x = self.xtemp();
            self.direct_align(op, op.imm, address, align, t, slow, ops);
            self.touch(slow);
            match size {
                16 => self.asm.movups_rm(x, address),
                8 => self.asm.movq_rm(x, address),
                _ => self.asm.movd_rm(x, address),
            }
            self.beside((slow, back), address, site, AccessResult::Xmm(x), t);
            self.asm.bind(back);
            self.xown(op.dst, x);
            return;
        }
        let (dst, signed) = self.extended(op, ops);
        let want = self.fact(dst).want;
        let d = self.load_dst(want).unwrap_or(t);
        self.direct_align(op, op.imm, address, align, t, slow, ops);
        self.touch(slow);
        let result = match signed {
            Some(wide) => {
                self.asm.movsx_rm(Size::bits(size * 8), wide, d, address);
                AccessResult::Signed { r: d, size, wide }
            }
            None => {
                self.asm.movzx_rm(Size::bits(size * 8), d, address);
                AccessResult::Gpr(d)
            }
        };
        self.beside((slow, back), address, site, result, t);
        self.asm.bind(back);
        self.done(dst, d, true);
    }

    fn direct_store(&mut self, op: &Op, size: u32, flags: MemFlags, ops: &[Op]) {
        let value = self.stored_value(op, size, flags);
        let address = self.direct_address(op, op.imm);
        let t = self.temp();
        let (slow, back) = (self.asm.label(), self.asm.label());
        self.direct_align(op, op.imm, address, Self::alignment(flags, size), t, slow, ops);
        let width = Size::bits(size * 8);
        self.touch(slow);
        match value {
            StoreValue::Gpr(r) => self.asm.mov_mr(width, address, r),
            StoreValue::Imm(i) => self.asm.mov_mi(width, address, i),
            StoreValue::Two(a, b) => {
                self.asm.mov_mr(Size::Q, address, a);
                self.touch(slow);
                self.asm.mov_mr(Size::Q, address.plus(8), b);
            }
            StoreValue::Xmm(x) => match size {
                16 => self.asm.movups_mr(address, x),
                8 => self.asm.movq_mr(address, x),
                _ => self.asm.movd_mr(address, x),
            },
        }
        let site = self.site(op, Site::STORE, size);
        let value_at = self.asm.label();
        self.asm.bind(back);
        let to = self.exchange(offset_of!(Exchange, value));
        self.cold.push(Cold::StoreValue { at: slow, value, to, next: value_at });
        self.beside((value_at, back), address, site, AccessResult::Nothing, t);
    }

    /// See `load_exclusive`.
    fn direct_load_exclusive(&mut self, op: &Op, size: u32, ops: &[Op]) {
        let address = self.direct_address(op, 0);
        let [t1, t2] = [self.temp(), self.temp()];
        let (slow, back) = (self.asm.label(), self.asm.label());
        self.direct_align(op, 0, address, size, t1, slow, ops);
        self.touch(slow);
        self.asm.movzx_rm(Size::bits(size * 8), t2, address);
        let h = self.f.header;
        let (at, value, bytes) = (self.header(h.monitor_addr), self.header(h.monitor_value), self.header(h.monitor_size));
        self.asm.lea(Size::Q, t1, address);
        self.asm.mov_mr(Size::Q, at, t1);
        self.asm.mov_mr(Size::Q, value, t2);
        self.asm.mov_mi(Size::Q, value.plus(8), 0);
        self.asm.mov_mi(Size::D, bytes, size as i32);
        let site = self.site(op, Site::LOAD_EX, size);
        self.beside((slow, back), address, site, AccessResult::Gpr(t2), t1);
        self.asm.bind(back);
        self.done(op.dst, t2, true);
    }

    /// See `store_exclusive`. The monitor closes behind the access, which may fault.
    fn direct_store_exclusive(&mut self, op: &Op, size: u32) {
        let width = Size::bits(size * 8);
        self.take(RAX);
        let v = self.gpr(op.b);
        let address = self.direct_address(op, 0);
        let t = self.temp();
        let (slow, back, cold) = (self.asm.label(), self.asm.label(), self.asm.label());
        let h = self.f.header;
        let (at, expected, bytes) = (self.header(h.monitor_addr), self.header(h.monitor_value), self.header(h.monitor_size));
        self.asm.alu_mi(Alu::Cmp, Size::D, bytes, size as i32);
        self.asm.jcc(Cc::NE, slow);
        self.asm.lea(Size::Q, t, address);
        self.asm.alu_rm(Alu::Cmp, Size::Q, t, at);
        self.asm.jcc(Cc::NE, slow);
        self.asm.mov_rm(Size::Q, RAX, expected);
        if self.alone() {
            // What it may not do if memory has changed it does not even try.
            let differs = self.asm.label();
            self.touch(slow);
            self.asm.alu_mr(Alu::Cmp, width, address, RAX);
            self.asm.jcc(Cc::NE, differs);
            self.touch(slow);
            self.asm.mov_mr(width, address, v);
            self.asm.bind(differs);
        } else {
            self.touch(slow);
            self.asm.lock();
            self.asm.cmpxchg(width, address, v);
        }
        self.asm.mov_mi(Size::D, bytes, 0);
        self.asm.setcc(Cc::NE, RAX);
        self.asm.movzx_rr(Size::B, RAX, RAX);
        let site = self.site(op, Site::STORE_EX, size);
        let to = self.exchange(offset_of!(Exchange, value));
        self.cold.push(Cold::StoreValue { at: slow, value: StoreValue::Gpr(v), to, next: cold });
        self.beside((cold, back), address, site, AccessResult::Gpr(RAX), t);
        self.asm.bind(back);
        self.done(op.dst, RAX, true);
    }

    /// See `inline_atomic`.
    fn direct_atomic(&mut self, op: &Op, c: Code, size: u32, ops: &[Op]) {
        let width = Size::bits(size * 8);
        // rax is the instruction's own.
        self.take(RAX);
        let value = if c == Code::Cas { op.c } else { op.b };
        if c == Code::Cas {
            let e = self.gpr(op.b);
            self.asm.movzx_rr(width, RAX, e);
            self.locked = 1 << RAX;
        }
        let v = self.gpr(value);
        let address = self.direct_address(op, 0);
        let t = self.temp();
        let (slow, back, cold) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.direct_align(op, 0, address, size, t, slow, ops);
        match (c, op.imm) {
            (Code::Cas, _) if self.alone() => {
                // What is written if it differs is what was there; rax is wanted until nothing can fault any more.
                let new = self.temp();
                self.touch(slow);
                self.asm.movzx_rm(width, t, address);
                self.asm.alu_rr(Alu::Cmp, width, t, RAX);
                self.asm.mov_rr(Size::Q, new, t);
                self.asm.cmov_rr(Cc::E, Size::Q, new, v);
                self.touch(slow);
                self.asm.mov_mr(width, address, new);
                self.asm.mov_rr(Size::Q, RAX, t);
            }
            (Code::Cas, _) => {
                self.touch(slow);
                self.asm.lock();
                self.asm.cmpxchg(width, address, v);
            }
            (_, rmw::SWAP) if self.alone() => {
                self.touch(slow);
                self.asm.movzx_rm(width, RAX, address);
                self.touch(slow);
                self.asm.mov_mr(width, address, v);
            }
            (_, rmw::SWAP) => {
                self.asm.movzx_rr(width, RAX, v);
                self.touch(slow);
                self.asm.xchg_mr(width, address, RAX);
            }
            (_, rmw::ADD) if !self.alone() => {
                self.asm.movzx_rr(width, RAX, v);
                self.touch(slow);
                self.asm.lock();
                self.asm.xadd(width, address, RAX);
            }
            (_, kind) => {
                self.touch(slow);
                self.asm.movzx_rm(width, RAX, address);
                let again = self.asm.label();
                self.asm.bind(again);
                self.combine(kind, width, t, v);
                self.touch(slow);
                if self.alone() {
                    self.asm.mov_mr(width, address, t);
                } else {
                    self.asm.lock();
                    self.asm.cmpxchg(width, address, t);
                    self.asm.jcc(Cc::NE, again);
                }
            }
        }
        let kind = if c == Code::Cas { Site::CAS } else { Site::RMW };
        let site = self.site(op, kind, size);
        let to = self.exchange(offset_of!(Exchange, value));
        let next = if c == Code::Cas {
            let after = self.asm.label();
            let to = self.exchange(offset_of!(Exchange, expected));
            self.cold.push(Cold::StoreValue { at: after, value: StoreValue::Gpr(RAX), to, next: cold });
            after
        } else {
            cold
        };
        self.cold.push(Cold::StoreValue { at: slow, value: StoreValue::Gpr(v), to, next });
        self.beside((cold, back), address, site, AccessResult::Gpr(RAX), t);
        self.asm.bind(back);
        self.done(op.dst, RAX, true);
    }
}
