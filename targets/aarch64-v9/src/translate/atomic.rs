//! Atomic memory operations (`decode/base_atomic.decode`).

use crate::decode::*;
use crate::translate::Translator;
use crate::translate::ldst::access_ty;
use emu_plugins_api::ir::{MemFlags, Ty, rmw};

/// `rmw::` kinds in the order of the `opc` field.
const KINDS: [u64; 8] = [rmw::ADD, rmw::CLR, rmw::XOR, rmw::SET, rmw::SMAX, rmw::SMIN, rmw::UMAX, rmw::UMIN];

impl Translator<'_> {
    fn read_modify_write(&mut self, kind: u64, size: u32, order: (u32, u32), s: u32, n: u32, t: u32) {
        let ty = access_ty(size);
        let address = self.base_address(n);
        let value = self.x_narrow(ty, s);
        // ST<op>, with Rt 31, does not acquire.
        let flags = self.atomic_flags(ty, order.0 == 1 && t != 31, order.1 == 1);
        let old = self.ir.rmw(kind, ty, address, value, flags);
        self.set_wide(ty, t, old);
    }
    /// The 128-bit forms: Rt and Rt2 hold the operand and get the old value. UNDEFINED for register 31; one register twice is
    /// CONSTRAINED UNPREDICTABLE: it gets the second half.
    fn read_modify_write_128(&mut self, kind: u64, order: (u32, u32), n: u32, t: u32, t2: u32) {
        if t == 31 || t2 == 31 {
            return self.undefined();
        }
        let address = self.base_address(n);
        let (first, second) = (self.x(t), self.x(t2));
        let value = self.join_pair(Ty::I64, first, second);
        let flags = self.atomic_flags(Ty::I128, order.0 == 1, order.1 == 1);
        let old = self.ir.rmw(kind, Ty::I128, address, value, flags);
        let (first, second) = self.split_pair(Ty::I64, old);
        self.set_x(t, first);
        self.set_x(t2, second);
    }
}

impl BaseAtomic for Translator<'_> {
    fn atomic_memop(&mut self, i: &AtomicMemop) {
        self.read_modify_write(KINDS[(i.opc & 7) as usize], i.size, (i.a, i.r), i.rs, i.rn, i.rt);
    }
    fn swp(&mut self, i: &Swp) {
        self.read_modify_write(rmw::SWAP, i.size, (i.a, i.r), i.rs, i.rn, i.rt);
    }
    fn ldapr(&mut self, i: &Ldapr) {
        let ty = access_ty(i.size);
        let address = self.base_address(i.rn);
        let flags = self.ordered_flags(ty, MemFlags::ACQUIRE_PC);
        let value = self.ir.load(ty, address, 0, flags);
        self.set_wide(ty, i.rt, value);
    }
    fn atomic_memop_128(&mut self, i: &AtomicMemop128) {
        self.read_modify_write_128(KINDS[(i.opc & 7) as usize], (i.a, i.r), i.rn, i.rt, i.rt2);
    }
    fn swpp(&mut self, i: &Swpp) {
        self.read_modify_write_128(rmw::SWAP, (i.a, i.r), i.rn, i.rt, i.rt2);
    }
}
