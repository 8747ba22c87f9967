//! Atomic accesses: read-modify-write, compare and swap, exclusive pairs of accesses; and the order of releases and acquires.
//!
//! The host orders everything but a store before a later load. Of what the guest's ordered accesses ask for that leaves one order, that of a
//! store-release before a later load-acquire. The store-release says that it was made ([`Exchange::released`]), and the load-acquire pays
//! for the fence, if there is something to wait for; what is a fence anyway takes the mark back. A locked instruction is a fence.
//!
//! Where nothing else touches the guest's memory ([`Lowering::alone`]: one CPU, or a program of one thread that shares nothing) none of that
//! can be seen: atomics are plain instructions, which an interrupt or a signal cannot divide since none is taken inside an instruction.

use crate::asm::{Alu, Cc, Gpr, Mem, Size, reg::*};
use crate::cold::Cold;
use crate::frame::{Exchange, Site};
use crate::lower::{AccessResult, Lowering};
use crate::memory::StoreValue;
use emu_ir::{Code, MemFlags, Op, rmw};
use std::mem::offset_of;

/// The instruction of a read-modify-write that is one of arithmetic.
fn alu(kind: u64) -> Option<Alu> {
    match kind {
        rmw::ADD => Some(Alu::Add),
        rmw::SET => Some(Alu::Or),
        rmw::XOR => Some(Alu::Xor),
        rmw::AND | rmw::CLR => Some(Alu::And),
        _ => None,
    }
}

impl Lowering<'_> {
    fn released(&self) -> Mem {
        self.exchange(offset_of!(Exchange, released))
    }
    /// Before a load-acquire: what store-releases have written is visible.
    pub(crate) fn wait_for_releases(&mut self) {
        if self.fenced || self.alone() {
            return;
        }
        let released = self.released();
        self.asm.alu_mi(Alu::Cmp, Size::B, released, 0);
        let (at, back) = (self.asm.label(), self.asm.label());
        self.asm.jcc(Cc::NE, at);
        self.cold.push(Cold::Fence { at, back });
        self.asm.bind(back);
    }
    /// Behind a store-release.
    pub(crate) fn note_release(&mut self) {
        if !self.alone() {
            let released = self.released();
            self.asm.mov_mi(Size::B, released, 1);
        }
    }
    /// Behind a fence.
    pub(crate) fn releases_done(&mut self) {
        if !self.alone() {
            let released = self.released();
            self.asm.mov_mi(Size::B, released, 0);
        }
        self.fenced = true;
    }
    pub(crate) fn lock_prefix(&mut self) {
        if !self.alone() {
            self.asm.lock();
        }
    }

    /// Atomics on RAM. False if there is no code for this one.
    pub(crate) fn inline_atomic(&mut self, op: &Op, c: Code, size: u32, flags: MemFlags) -> bool {
        match c {
            Code::Rmw if size == 16 => return false,
            Code::LoadEx => self.load_exclusive(op, size, flags),
            _ if size == 16 => self.exchange16(op, c, flags),
            Code::StoreEx => self.store_exclusive(op, size, flags),
            Code::Cas => self.compare_and_swap(op, size, flags),
            _ => self.read_modify_write(op, size, flags),
        }
        true
    }

    /// The host's address behind a look-up, in the register that has the distance. Stores are forwarded to loads without delay only where
    /// neither has an index (Golden Cove and later: 0 in place of 5 cycles), and what an atomic reads was often written just before.
    fn host_address(&mut self, address: Mem, distance: Gpr) -> Mem {
        self.asm.alu_rr(Alu::Add, Size::Q, distance, address.base);
        Mem { base: distance, ..address }
    }

    /// A load that opens the monitor: address, size and value are noted in the header.
    fn load_exclusive(&mut self, op: &Op, size: u32, flags: MemFlags) {
        let address = self.address(op, 0);
        let x = (size == 16).then(|| self.xtemp());
        let scratch @ [t1, t2] = [self.temp(), self.temp()];
        let (slow, back) = (self.asm.label(), self.asm.label());
        self.look_up(address, size, flags.view_index(), false, size, scratch, slow);
        let host = self.host_address(address, t2);
        let h = self.f.header;
        let (at, value, bytes) = (self.header(h.monitor_addr), self.header(h.monitor_value), self.header(h.monitor_size));
        match x {
            Some(x) => {
                self.asm.movups_rm(x, host);
                self.asm.movups_mr(value, x);
            }
            None => {
                self.asm.movzx_rm(Size::bits(size * 8), t2, host);
                self.asm.mov_mr(Size::Q, value, t2);
            }
        }
        if address.disp == 0 && address.index.is_none() {
            self.asm.mov_mr(Size::Q, at, address.base);
        } else {
            self.asm.lea(Size::Q, t1, address);
            self.asm.mov_mr(Size::Q, at, t1);
        }
        self.asm.mov_mi(Size::D, bytes, size as i32);
        let site = self.site(op, Site::LOAD_EX, size);
        let result = x.map_or(AccessResult::Gpr(t2), AccessResult::Xmm);
        self.beside((slow, back), address, site, result, t1);
        self.asm.bind(back);
        match x {
            Some(x) => self.xown(op.dst, x),
            None => self.done(op.dst, t2, true),
        }
    }

    /// Leaves for `slow` unless the monitor is open for this address and size.
    fn check_monitor(&mut self, address: Mem, size: u32, scratch: Gpr, slow: crate::asm::Label) {
        let h = self.f.header;
        let (at, bytes) = (self.header(h.monitor_addr), self.header(h.monitor_size));
        self.asm.alu_mi(Alu::Cmp, Size::D, bytes, size as i32);
        self.asm.jcc(Cc::NE, slow);
        if address.disp == 0 && address.index.is_none() {
            self.asm.alu_mr(Alu::Cmp, Size::Q, at, address.base);
        } else {
            self.asm.lea(Size::Q, scratch, address);
            self.asm.alu_mr(Alu::Cmp, Size::Q, at, scratch);
        }
        self.asm.jcc(Cc::NE, slow);
    }

    /// A store that wants the monitor open for its address and size, and memory to be as it was: what is not so takes the slow way, which
    /// knows in what order things fail.
    fn store_exclusive(&mut self, op: &Op, size: u32, flags: MemFlags) {
        let width = Size::bits(size * 8);
        self.take(RAX);
        let v = self.gpr(op.b);
        let address = self.address(op, 0);
        let scratch @ [t1, t2] = [self.temp(), self.temp()];
        let (slow, back, cold) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.check_monitor(address, size, t1, slow);
        self.look_up(address, size, flags.view_index(), true, size, scratch, slow);
        let host = self.host_address(address, t2);
        let (expected, bytes) = (self.header(self.f.header.monitor_value), self.header(self.f.header.monitor_size));
        self.asm.mov_rm(Size::Q, RAX, expected);
        self.asm.mov_mi(Size::D, bytes, 0);
        if self.alone() {
            let differs = self.asm.label();
            self.asm.alu_mr(Alu::Cmp, width, host, RAX);
            self.asm.jcc(Cc::NE, differs);
            self.asm.mov_mr(width, host, v);
            self.asm.bind(differs);
        } else {
            self.asm.lock();
            self.asm.cmpxchg(width, host, v);
        }
        self.asm.setcc(Cc::NE, RAX);
        self.asm.movzx_rr(Size::B, RAX, RAX);
        let site = self.site(op, Site::STORE_EX, size);
        let to = self.exchange(offset_of!(Exchange, value));
        self.cold.push(Cold::StoreValue { at: slow, value: StoreValue::Gpr(v), to, next: cold });
        self.beside((cold, back), address, site, AccessResult::Gpr(RAX), t1);
        self.asm.bind(back);
        self.done(op.dst, RAX, true);
    }

    /// The value where the embedder finds it, and the way there.
    fn atomic_beside(&mut self, op: &Op, kind: u8, size: u32, at: crate::asm::Label, back: crate::asm::Label, address: Mem, v: Gpr, scratch: Gpr) {
        let cold = self.asm.label();
        let site = self.site(op, kind, size);
        let to = self.exchange(offset_of!(Exchange, value));
        let next = if kind == Site::CAS {
            let after = self.asm.label();
            let to = self.exchange(offset_of!(Exchange, expected));
            self.cold.push(Cold::StoreValue { at: after, value: StoreValue::Gpr(RAX), to, next: cold });
            after
        } else {
            cold
        };
        self.cold.push(Cold::StoreValue { at, value: StoreValue::Gpr(v), to, next });
        // rax is written last on both ways.
        self.beside((cold, back), address, site, AccessResult::Gpr(RAX), scratch);
        self.asm.bind(back);
        self.done(op.dst, RAX, true);
    }

    fn compare_and_swap(&mut self, op: &Op, size: u32, flags: MemFlags) {
        let width = Size::bits(size * 8);
        self.take(RAX);
        let e = self.gpr(op.b);
        self.asm.movzx_rr(width, RAX, e);
        self.locked = 1 << RAX;
        let v = self.gpr(op.c);
        let address = self.address(op, 0);
        let [t1, t2] = [self.temp(), self.temp()];
        let (slow, back) = (self.asm.label(), self.asm.label());
        self.look_up(address, size, flags.view_index(), true, size, [t1, t2], slow);
        let host = self.host_address(address, t2);
        if self.alone() {
            // `cmpxchg` takes three times as long even without a lock. Like that, this stores what was there if it differs.
            self.asm.movzx_rm(width, t1, host);
            self.asm.alu_rr(Alu::Cmp, width, t1, RAX);
            self.asm.mov_rr(Size::Q, RAX, t1);
            self.asm.cmov_rr(Cc::E, Size::Q, t1, v);
            self.asm.mov_mr(width, host, t1);
        } else {
            self.asm.lock();
            self.asm.cmpxchg(width, host, v);
        }
        self.atomic_beside(op, Site::CAS, size, slow, back, address, v, t1);
    }

    fn read_modify_write(&mut self, op: &Op, size: u32, flags: MemFlags) {
        let width = Size::bits(size * 8);
        let alone = self.alone();
        self.take(RAX);
        let v = self.gpr(op.b);
        let address = self.address(op, 0);
        let [t1, t2] = [self.temp(), self.temp()];
        let (slow, back) = (self.asm.label(), self.asm.label());
        self.look_up(address, size, flags.view_index(), true, size, [t1, t2], slow);
        let host = self.host_address(address, t2);
        let alu = alu(op.imm);
        let dead = self.fact(op.dst).uses == 0;
        match (op.imm, alu) {
            (kind, Some(alu)) if dead => {
                let operand = if kind == rmw::CLR {
                    self.asm.mov_rr(Size::Q, t1, v);
                    self.asm.not(Size::Q, t1);
                    t1
                } else {
                    v
                };
                self.lock_prefix();
                self.asm.alu_mr(alu, width, host, operand);
            }
            (rmw::ADD, _) if !alone => {
                self.asm.movzx_rr(width, RAX, v);
                self.asm.lock();
                self.asm.xadd(width, host, RAX);
            }
            (rmw::SWAP, _) if !alone => {
                self.asm.movzx_rr(width, RAX, v);
                self.asm.xchg_mr(width, host, RAX);
            }
            (rmw::SWAP, _) => {
                self.asm.movzx_rm(width, RAX, host);
                self.asm.mov_mr(width, host, v);
            }
            (kind, _) => {
                self.asm.movzx_rm(width, RAX, host);
                let again = self.asm.label();
                self.asm.bind(again);
                self.combine(kind, width, t1, v);
                if alone {
                    self.asm.mov_mr(width, host, t1);
                } else {
                    self.asm.lock();
                    self.asm.cmpxchg(width, host, t1);
                    self.asm.jcc(Cc::NE, again);
                }
            }
        }
        self.atomic_beside(op, Site::RMW, size, slow, back, address, v, t1);
    }

    /// The new value of a read-modify-write, of the old one in rax.
    pub(crate) fn combine(&mut self, kind: u64, width: Size, to: Gpr, v: Gpr) {
        let compared = match kind {
            rmw::SMAX => Cc::L,
            rmw::SMIN => Cc::G,
            rmw::UMAX => Cc::B,
            _ => Cc::A,
        };
        match alu(kind) {
            Some(alu) => {
                self.asm.mov_rr(Size::Q, to, v);
                if kind == rmw::CLR {
                    self.asm.not(Size::Q, to);
                }
                self.asm.alu_rr(alu, Size::Q, to, RAX);
            }
            None => {
                self.asm.mov_rr(Size::Q, to, RAX);
                self.asm.alu_rr(Alu::Cmp, width, RAX, v);
                self.asm.cmov_rr(compared, Size::Q, to, v);
            }
        }
    }

    /// Compare and swap, or a store-exclusive, of 16 bytes. Operands go through memory, for the instruction wants four registers of its own,
    /// one of them a pinned one.
    fn exchange16(&mut self, op: &Op, c: Code, flags: MemFlags) {
        let store = c == Code::StoreEx;
        let (value, expected) = (self.exchange(offset_of!(Exchange, value)), self.exchange(offset_of!(Exchange, expected)));
        let operands = if store { [(op.b, value); 2] } else { [(op.c, value), (op.b, expected)] };
        for (v, to) in &operands[usize::from(store)..] {
            let x = self.xmm(*v);
            self.asm.movups_mr(*to, x);
            (self.locked, self.xlocked) = (0, 0);
        }
        [RAX, RCX, RDX, RDI].iter().for_each(|r| self.take(*r));
        let address = self.address(op, 0);
        let x = self.xtemp();
        let (slow, back) = (self.asm.label(), self.asm.label());
        if store {
            self.check_monitor(address, 16, RDX, slow);
        }
        self.look_up(address, 16, flags.view_index(), true, 16, [RDX, RDI], slow);
        self.asm.lea(Size::Q, RDI, Mem { index: Some((RDI, 0)), ..address });
        let saved = self.exchange(offset_of!(Exchange, saved) + 56);
        self.asm.mov_mr(Size::Q, saved, RBX);
        let expected = if store { self.header(self.f.header.monitor_value) } else { expected };
        self.asm.mov_rm(Size::Q, RAX, expected);
        self.asm.mov_rm(Size::Q, RDX, expected.plus(8));
        self.asm.mov_rm(Size::Q, RBX, value);
        self.asm.mov_rm(Size::Q, RCX, value.plus(8));
        if store {
            let bytes = self.header(self.f.header.monitor_size);
            self.asm.mov_mi(Size::D, bytes, 0);
        }
        self.lock_prefix();
        self.asm.cmpxchg16b(Mem::at(RDI, 0));
        self.asm.mov_rm(Size::Q, RBX, saved);
        let (kind, result) = if store {
            self.asm.setcc(Cc::NE, RAX);
            self.asm.movzx_rr(Size::B, RAX, RAX);
            (Site::STORE_EX, AccessResult::Gpr(RAX))
        } else {
            self.asm.mov_xr(Size::Q, x, RAX);
            self.asm.set_high_half(x, RDX);
            (Site::CAS, AccessResult::Xmm(x))
        };
        let site = self.site(op, kind, 16);
        self.beside((slow, back), address, site, result, RCX);
        self.asm.bind(back);
        if store {
            self.done(op.dst, RAX, true);
        } else {
            self.xown(op.dst, x);
        }
    }
}
