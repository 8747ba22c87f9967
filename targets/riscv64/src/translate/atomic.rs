//! A, Zacas, Zabha, Zawrs.

use super::{D, Translator};
use crate::decode::*;
use crate::helper::system as helper;
use emu_plugins_api::ir::{MemFlags, Ty, Val, exit};

impl Translator<'_> {
    /// Flags of an atomic access: aligned, ordered as `aq` and `rl` say.
    fn ordered(&self, aq: u32, rl: u32) -> MemFlags {
        let mut flags = self.mem().with(MemFlags::ALIGNED);
        if aq == 1 {
            flags = flags.with(MemFlags::ACQUIRE);
        }
        if rl == 1 {
            flags = flags.with(MemFlags::RELEASE);
        }
        flags
    }
    fn narrow(&mut self, ty: Ty, n: u32) -> Val {
        let v = self.x(n);
        self.ir.trunc(ty, D, v)
    }
    fn set_narrow(&mut self, ty: Ty, n: u32, v: Val) {
        let v = self.ir.sext(D, ty, v);
        self.set_x(n, v);
    }
}

impl Rv64a for Translator<'_> {
    fn load_reserved(&mut self, i: &LoadReserved) {
        let ty = Self::size_ty(i.size);
        let address = self.x(i.rs1);
        // The host's order of loads needs nothing for `rl`.
        let flags = self.ordered(i.aq, 0);
        let v = self.ir.load_ex(ty, address, flags);
        self.set_narrow(ty, i.rd, v);
    }
    fn store_conditional(&mut self, i: &StoreConditional) {
        let ty = Self::size_ty(i.size);
        let address = self.x(i.rs1);
        let v = self.narrow(ty, i.rs2);
        let flags = self.ordered(0, i.rl);
        let failed = self.ir.store_ex(ty, address, v, flags);
        let failed = self.ir.zext(D, Ty::I1, failed);
        self.set_x(i.rd, failed);
    }
    fn amo(&mut self, i: &Amo) {
        let ty = Self::size_ty(i.size);
        let address = self.x(i.rs1);
        let v = self.narrow(ty, i.rs2);
        let flags = self.ordered(i.aq, i.rl);
        let old = self.ir.rmw(i.kind.into(), ty, address, v, flags);
        self.set_narrow(ty, i.rd, old);
    }
    fn amocas(&mut self, i: &Amocas) {
        let ty = Self::size_ty(i.size);
        let address = self.x(i.rs1);
        let flags = self.ordered(i.aq, i.rl);
        if ty != Ty::I128 {
            let (expected, new) = (self.narrow(ty, i.rd), self.narrow(ty, i.rs2));
            let old = self.ir.cas(ty, address, expected, new, flags);
            return self.set_narrow(ty, i.rd, old);
        }
        // Pairs of registers, the lower one even; the pair of x0 is zero.
        if i.rd & 1 != 0 || i.rs2 & 1 != 0 {
            return self.illegal();
        }
        let pair = |t: &mut Self, n: u32| {
            let (low, high) = (t.x(n), if n == 0 { t.x(0) } else { t.x(n + 1) });
            t.ir.pair(low, high)
        };
        let (expected, new) = (pair(self, i.rd), pair(self, i.rs2));
        let old = self.ir.cas(ty, address, expected, new, flags);
        if i.rd != 0 {
            let (low, high) = (self.ir.lo64(old), self.ir.hi64(old));
            self.set_x(i.rd, low);
            self.set_x(i.rd + 1, high);
        }
    }
    fn wait_reservation(&mut self, i: &WaitReservation) {
        // It may end at any time; others' stores are not watched, so it lets other CPUs go first.
        let short = self.ir.c64(i.sto.into());
        self.call(helper::WRS, &[short], self.insn.into());
        let next = self.next_pc();
        self.ir.exit(next, exit::YIELD);
        self.end();
    }
}
