//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl BaseBranchSys for Translator<'_> {
    fn b_cond(&mut self, _: &BCond) {
        self.undefined();
    }
    fn cb_reg(&mut self, _: &CbReg) {
        self.undefined();
    }
    fn cb_reg_narrow(&mut self, _: &CbRegNarrow) {
        self.undefined();
    }
    fn cb_imm(&mut self, _: &CbImm) {
        self.undefined();
    }
    fn svc(&mut self, _: &Svc) {
        self.undefined();
    }
    fn hvc(&mut self, _: &Hvc) {
        self.undefined();
    }
    fn smc(&mut self, _: &Smc) {
        self.undefined();
    }
    fn brk(&mut self, _: &Brk) {
        self.undefined();
    }
    fn hlt(&mut self, _: &Hlt) {
        self.undefined();
    }
    fn dcps(&mut self, _: &Dcps) {
        self.undefined();
    }
    fn wfet(&mut self, _: &Wfet) {
        self.undefined();
    }
    fn wfit(&mut self, _: &Wfit) {
        self.undefined();
    }
    fn nop(&mut self, _: &Nop) {
        self.undefined();
    }
    fn yield_hint(&mut self, _: &YieldHint) {
        self.undefined();
    }
    fn wfe(&mut self, _: &Wfe) {
        self.undefined();
    }
    fn wfi(&mut self, _: &Wfi) {
        self.undefined();
    }
    fn sev(&mut self, _: &Sev) {
        self.undefined();
    }
    fn sevl(&mut self, _: &Sevl) {
        self.undefined();
    }
    fn dgh(&mut self, _: &Dgh) {
        self.undefined();
    }
    fn xpaclri(&mut self, _: &Xpaclri) {
        self.undefined();
    }
    fn pauth_hint(&mut self, _: &PauthHint) {
        self.undefined();
    }
    fn esb(&mut self, _: &Esb) {
        self.undefined();
    }
    fn psb_csync(&mut self, _: &PsbCsync) {
        self.undefined();
    }
    fn tsb_csync(&mut self, _: &TsbCsync) {
        self.undefined();
    }
    fn csdb(&mut self, _: &Csdb) {
        self.undefined();
    }
    fn clrbhb(&mut self, _: &Clrbhb) {
        self.undefined();
    }
    fn bti(&mut self, _: &Bti) {
        self.undefined();
    }
    fn chkfeat(&mut self, _: &Chkfeat) {
        self.undefined();
    }
    fn hint_nop(&mut self, _: &HintNop) {
        self.undefined();
    }
    fn clrex(&mut self, _: &Clrex) {
        self.undefined();
    }
    fn dsb(&mut self, _: &Dsb) {
        self.undefined();
    }
    fn dmb(&mut self, _: &Dmb) {
        self.undefined();
    }
    fn isb(&mut self, _: &Isb) {
        self.undefined();
    }
    fn sb(&mut self, _: &Sb) {
        self.undefined();
    }
    fn dsb_nxs(&mut self, _: &DsbNxs) {
        self.undefined();
    }
    fn msr_imm(&mut self, _: &MsrImm) {
        self.undefined();
    }
    fn cfinv(&mut self, _: &Cfinv) {
        self.undefined();
    }
    fn xaflag(&mut self, _: &Xaflag) {
        self.undefined();
    }
    fn axflag(&mut self, _: &Axflag) {
        self.undefined();
    }
    fn sys(&mut self, _: &Sys) {
        self.undefined();
    }
    fn sysl(&mut self, _: &Sysl) {
        self.undefined();
    }
    fn msr_reg(&mut self, _: &MsrReg) {
        self.undefined();
    }
    fn mrs_reg(&mut self, _: &MrsReg) {
        self.undefined();
    }
    fn br(&mut self, _: &Br) {
        self.undefined();
    }
    fn br_auth(&mut self, _: &BrAuth) {
        self.undefined();
    }
    fn blr(&mut self, _: &Blr) {
        self.undefined();
    }
    fn ret(&mut self, _: &Ret) {
        self.undefined();
    }
    fn ret_auth(&mut self, _: &RetAuth) {
        self.undefined();
    }
    fn eret(&mut self, _: &Eret) {
        self.undefined();
    }
    fn eret_auth(&mut self, _: &EretAuth) {
        self.undefined();
    }
    fn drps(&mut self, _: &Drps) {
        self.undefined();
    }
    fn b(&mut self, _: &B) {
        self.undefined();
    }
    fn cbz(&mut self, _: &Cbz) {
        self.undefined();
    }
    fn tbz(&mut self, _: &Tbz) {
        self.undefined();
    }
}
