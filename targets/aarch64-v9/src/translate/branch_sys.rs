//! Branches, hints, barriers; what exceptions and system registers mean is in `crate::exception` and `crate::sysreg`
//! (`decode/base_branch_sys.decode`).

use crate::decode::*;
use crate::exception;
use crate::feature::Feature;
use crate::helper::{pauth, system};
use crate::mode::BTYPE_LSB;
use crate::state::offset;
use crate::sysreg;
use crate::translate::Translator;
use emu_plugins_api::attr;
use emu_plugins_api::ir::{Shape, Ty, Val, exit, fence};

/// Kinds of `jump`.
const PLAIN: u32 = 0;
const CALL: u32 = 1;
const RETURN: u32 = 2;

impl Translator<'_> {
    /// Address `words` instructions from this one.
    fn target(&self, words: i32) -> u64 {
        self.pc.wrapping_add_signed(i64::from(words) * 4)
    }

    /// Ends the block with a branch to a constant address if `cond`.
    fn branch_if(&mut self, cond: Val, words: i32) {
        let (target, next) = (self.target(words), self.next_pc());
        self.ir.branch(cond, target);
        self.ir.goto(next, false);
        self.end();
    }

    /// Writes BTypeNext, which the target of an indirect branch is checked against.
    fn set_btype(&mut self, btype: u32) {
        if !self.feature(Feature::BTI) {
            return;
        }
        let key = if self.key.step() & 1 == 0 {
            self.ir.c64(self.key.with_btype(btype).0)
        } else {
            // Software step changes PSTATE.SS, another part of the key, in the block.
            let key = self.ir.get(Ty::I64, Shape::SCALAR, offset::MODE_KEY);
            let btype = self.ir.c64(u64::from(btype));
            self.ir.deposit(Ty::I64, key, btype, BTYPE_LSB, 2)
        };
        self.ir.set(Ty::I64, Shape::SCALAR, offset::MODE_KEY, key);
    }

    /// AArch64.BranchAddr(): a tag that is ignored does not reach the program counter.
    fn branch_addr(&mut self, target: Val) -> Val {
        let tbi = self.key.tbi_insn();
        if tbi == 0 {
            return target;
        }
        let extended = self.ir.sextract(Ty::I64, target, 0, 56);
        if tbi == 3 {
            return extended;
        }
        // Bit 55, as the sign of what it was copied into: a comparison that hosts have.
        let zero = self.ir.c64(0);
        let upper = self.ir.slt(Ty::I64, extended, zero);
        if tbi == 2 { self.ir.select(Ty::I64, upper, extended, target) } else { self.ir.select(Ty::I64, upper, target, extended) }
    }

    /// BR and BRAA: BTypeNext is 3 from a guarded page unless the register is X16 or X17, else 1.
    fn jump_to(&mut self, n: u32, target: Val) {
        let target = self.branch_addr(target);
        let guarded = self.page_attrs & u32::from(attr::GUARDED) != 0;
        self.set_btype(if guarded && n != 16 && n != 17 { 3 } else { 1 });
        self.ir.jump(target, PLAIN);
        self.end();
    }

    /// RET and RETAA.
    fn return_to(&mut self, target: Val) {
        let target = self.branch_addr(target);
        self.ir.jump(target, RETURN);
        self.end();
    }

    /// BLR and BLRAA.
    fn call_to(&mut self, target: Val) {
        let target = self.branch_addr(target);
        let link = self.ir.address(self.next_pc());
        self.set_x(30, link);
        self.set_btype(2);
        self.ir.jump(target, CALL);
        self.end();
    }

    fn compare_cc(&mut self, ty: Ty, cc: u32, a: Val, b: Val) -> Val {
        match cc {
            0 => self.ir.slt(ty, b, a),
            1 => self.ir.sle(ty, b, a),
            2 => self.ir.ult(ty, b, a),
            3 => self.ir.ule(ty, b, a),
            6 => self.ir.eq(ty, a, b),
            _ => self.ir.ne(ty, a, b),
        }
    }

    /// WFI, WFE and their timed forms: a helper says whether the CPU waits.
    fn wait(&mut self, helper: crate::helper::HelperId, ti: u64, timeout: Option<u32>, reason: u32) {
        let args = match timeout {
            Some(d) => vec![self.x(d), self.ir.c64(u64::from(d))],
            None => vec![],
        };
        let waits = self.call(helper, &args, ti);
        let zero = self.ir.c64(0);
        let goes_on = self.ir.eq(Ty::I64, waits, zero);
        let next = self.next_pc();
        self.ir.branch(goes_on, next);
        self.ir.exit(next, reason);
        self.end();
    }

    fn barrier(&mut self, crm: u32, more: u32) {
        // CRm<1:0>: 1 loads, 2 stores, 3 all; 0 is SSBB and PSSBB (and, with other domains, reserved), all.
        let bits = match crm & 3 {
            1 => fence::LD_LD | fence::LD_ST,
            2 => fence::ST_ST,
            _ => fence::ALL,
        };
        self.ir.fence(bits | more);
    }
}

impl BaseBranchSys for Translator<'_> {
    fn b_cond(&mut self, i: &BCond) {
        if i.cond >= 14 {
            let target = self.target(i.imm19);
            self.ir.goto(target, false);
            return self.end();
        }
        let cond = self.cond(i.cond);
        self.branch_if(cond, i.imm19);
    }
    fn cb_reg(&mut self, i: &CbReg) {
        let (a, b) = (self.r(i.sf, i.rt), self.r(i.sf, i.rm));
        let cond = self.compare_cc(Self::ty(i.sf), i.cc, a, b);
        self.branch_if(cond, i.imm9);
    }
    fn cb_reg_narrow(&mut self, i: &CbRegNarrow) {
        let ty = if i.h == 1 { Ty::I16 } else { Ty::I8 };
        let (a, b) = (self.w(i.rt), self.w(i.rm));
        let (a, b) = (self.ir.trunc(ty, Ty::I32, a), self.ir.trunc(ty, Ty::I32, b));
        let cond = self.compare_cc(ty, i.cc, a, b);
        self.branch_if(cond, i.imm9);
    }
    fn cb_imm(&mut self, i: &CbImm) {
        let ty = Self::ty(i.sf);
        let a = self.r(i.sf, i.rt);
        let b = self.ir.iconst(ty, u64::from(i.imm6));
        let cond = match i.cc {
            1 => self.ir.slt(ty, a, b),
            3 => self.ir.ult(ty, a, b),
            cc => self.compare_cc(ty, cc, a, b),
        };
        self.branch_if(cond, i.imm9);
    }

    fn svc(&mut self, i: &Svc) {
        exception::translate::svc(self, i);
    }
    fn hvc(&mut self, i: &Hvc) {
        exception::translate::hvc(self, i);
    }
    fn smc(&mut self, i: &Smc) {
        exception::translate::smc(self, i);
    }
    fn brk(&mut self, i: &Brk) {
        exception::translate::brk(self, i);
    }
    fn hlt(&mut self, i: &Hlt) {
        exception::translate::hlt(self, i);
    }
    fn dcps(&mut self, i: &Dcps) {
        exception::translate::dcps(self, i);
    }

    fn wfet(&mut self, i: &Wfet) {
        self.wait(system::WFE_CHECK, 3, Some(i.rd), exit::WAIT_EVENT);
    }
    fn wfit(&mut self, i: &Wfit) {
        self.wait(system::WFI_CHECK, 2, Some(i.rd), exit::WAIT);
    }
    fn nop(&mut self, _: &Nop) {}
    fn yield_hint(&mut self, _: &YieldHint) {
        let next = self.next_pc();
        self.ir.exit(next, exit::YIELD);
        self.end();
    }
    fn wfe(&mut self, _: &Wfe) {
        self.wait(system::WFE_CHECK, 1, None, exit::WAIT_EVENT);
    }
    fn wfi(&mut self, _: &Wfi) {
        self.wait(system::WFI_CHECK, 0, None, exit::WAIT);
    }
    fn sev(&mut self, _: &Sev) {
        self.call(system::SEV, &[], 0);
    }
    fn sevl(&mut self, _: &Sevl) {
        self.call(system::SEVL, &[], 0);
    }
    fn dgh(&mut self, _: &Dgh) {}
    fn xpaclri(&mut self, _: &Xpaclri) {
        let pointer = self.x(30);
        let result = self.strip(false, pointer);
        self.set_x(30, result);
    }
    fn pauth_hint(&mut self, i: &PauthHint) {
        let (register, modifier) = match (i.crm, i.sp) {
            (1, _) => (17, self.x(16)),
            (_, 1) => (30, self.x_sp(31)),
            _ => (30, self.ir.c64(0)),
        };
        let pointer = self.x(register);
        let result = self.pointer_auth(pauth::key(false, i.b == 1), i.a == 1, false, pointer, modifier);
        self.set_x(register, result);
    }
    // Errors are reported synchronously or not at all: there is nothing to synchronise.
    fn esb(&mut self, _: &Esb) {}
    fn psb_csync(&mut self, _: &PsbCsync) {}
    fn tsb_csync(&mut self, _: &TsbCsync) {}
    fn csdb(&mut self, _: &Csdb) {}
    fn clrbhb(&mut self, _: &Clrbhb) {}
    // The check is made when a block begins with BTYPE set.
    fn bti(&mut self, _: &Bti) {}
    // No feature that CHKFEAT asks for (GCS) can be enabled: X16 keeps its bits.
    fn chkfeat(&mut self, _: &Chkfeat) {}
    fn hint_nop(&mut self, _: &HintNop) {}

    fn clrex(&mut self, _: &Clrex) {
        self.ir.clrex();
    }
    fn dsb(&mut self, i: &Dsb) {
        // A DSB also orders what comes after it, whatever it is.
        let after = match i.crm & 3 {
            2 => fence::ST_LD,
            _ => 0,
        };
        self.barrier(i.crm, after | fence::COMPLETION);
    }
    fn dmb(&mut self, i: &Dmb) {
        self.barrier(i.crm, 0);
    }
    fn isb(&mut self, _: &Isb) {
        // What an instruction changes holds from it on here, and what another CPU does to code comes with a request, which a jump looks for.
        self.end_and_find();
    }
    fn sb(&mut self, _: &Sb) {}
    fn dsb_nxs(&mut self, _: &DsbNxs) {
        self.barrier(3, fence::COMPLETION);
    }

    fn msr_imm(&mut self, i: &MsrImm) {
        sysreg::translate::msr_imm(self, i);
    }
    fn cfinv(&mut self, _: &Cfinv) {
        let c = self.flag(offset::CF);
        let inverted = self.ir.not(Ty::I1, c);
        self.set_flag(offset::CF, inverted);
    }
    fn xaflag(&mut self, _: &Xaflag) {
        let (c, z) = (self.flag(offset::CF), self.flag(offset::ZF));
        let either = self.ir.or(Ty::I1, c, z);
        let neither = self.ir.not(Ty::I1, either);
        let both = self.ir.and(Ty::I1, z, c);
        let z_only = self.ir.andn(Ty::I1, z, c);
        self.set_nzcv(neither, both, either, z_only);
    }
    fn axflag(&mut self, _: &Axflag) {
        let (z, c, v) = (self.flag(offset::ZF), self.flag(offset::CF), self.flag(offset::VF));
        let zero = self.ir.iconst(Ty::I1, 0);
        let z = self.ir.or(Ty::I1, z, v);
        let c = self.ir.andn(Ty::I1, c, v);
        self.set_nzcv(zero, z, c, zero);
    }

    fn sys(&mut self, i: &Sys) {
        sysreg::translate::sys(self, i);
    }
    fn sysl(&mut self, i: &Sysl) {
        sysreg::translate::sysl(self, i);
    }
    fn msr_reg(&mut self, i: &MsrReg) {
        sysreg::translate::msr(self, i);
    }
    fn mrs_reg(&mut self, i: &MrsReg) {
        sysreg::translate::mrs(self, i);
    }

    fn br(&mut self, i: &Br) {
        let target = self.x(i.rn);
        self.jump_to(i.rn, target);
    }
    fn br_auth(&mut self, i: &BrAuth) {
        let pointer = self.x(i.rn);
        let modifier = if i.z == 0 { self.ir.c64(0) } else { self.x_sp(i.rm) };
        let target = self.pointer_auth(pauth::key(false, i.m == 1), true, true, pointer, modifier);
        if i.l == 1 { self.call_to(target) } else { self.jump_to(i.rn, target) }
    }
    fn blr(&mut self, i: &Blr) {
        let target = self.x(i.rn);
        self.call_to(target);
    }
    fn ret(&mut self, i: &Ret) {
        let target = self.x(i.rn);
        self.return_to(target);
    }
    fn ret_auth(&mut self, i: &RetAuth) {
        let (pointer, modifier) = (self.x(30), self.x_sp(31));
        let target = self.pointer_auth(pauth::key(false, i.m == 1), true, true, pointer, modifier);
        self.return_to(target);
    }
    fn eret(&mut self, i: &Eret) {
        exception::translate::eret(self, i);
    }
    fn eret_auth(&mut self, i: &EretAuth) {
        if self.key.el() == 0 {
            return self.undefined();
        }
        let pointer = self.ir.get(Ty::I64, Shape::SCALAR, sysreg::offset_of("ELR_EL1"));
        let modifier = self.x_sp(31);
        let target = self.pointer_auth(pauth::key(false, i.m == 1), true, true, pointer, modifier);
        exception::translate::eret_to(self, target);
    }
    fn drps(&mut self, i: &Drps) {
        exception::translate::drps(self, i);
    }

    fn b(&mut self, i: &B) {
        if i.op == 1 {
            let link = self.ir.address(self.next_pc());
            self.set_x(30, link);
        }
        let target = self.target(i.imm26);
        self.ir.goto(target, i.op == 1);
        self.end();
    }
    fn cbz(&mut self, i: &Cbz) {
        let ty = Self::ty(i.sf);
        let value = self.r(i.sf, i.rt);
        let zero = self.ir.iconst(ty, 0);
        let cond = if i.op == 1 { self.ir.ne(ty, value, zero) } else { self.ir.eq(ty, value, zero) };
        self.branch_if(cond, i.imm19);
    }
    fn tbz(&mut self, i: &Tbz) {
        // As a comparison with zero, which the generator makes one of the host's conditions of.
        let (ty, value) = if i.bit < 32 { (Ty::I32, self.w(i.rt)) } else { (Ty::I64, self.x(i.rt)) };
        let zero = self.ir.iconst(ty, 0);
        let cond = if i.bit == ty.bits() - 1 {
            let set = self.ir.slt(ty, value, zero);
            if i.op == 1 { set } else { self.ir.not(Ty::I1, set) }
        } else {
            let mask = self.ir.iconst(ty, 1 << i.bit);
            let bit = self.ir.and(ty, value, mask);
            if i.op == 1 { self.ir.ne(ty, bit, zero) } else { self.ir.eq(ty, bit, zero) }
        };
        self.branch_if(cond, i.imm14);
    }
}
