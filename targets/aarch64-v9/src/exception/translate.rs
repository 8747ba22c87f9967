//! Translation of the instructions that make exceptions or return from them.

use crate::decode;
use crate::helper::system;
use crate::translate::Translator;
use emu_plugins_api::ir::exit;

/// SVC.
pub fn svc(t: &mut Translator<'_>, i: &decode::Svc) {
    if t.arch.runs_linux_programs() {
        let next = t.next_pc();
        t.ir.exit(next, exit::KERNEL);
        return t.end();
    }
    t.call_and_end(system::SVC, &[], u64::from(i.imm16));
}

/// HVC.
pub fn hvc(t: &mut Translator<'_>, i: &decode::Hvc) {
    t.call_and_end(system::HVC, &[], u64::from(i.imm16));
}

/// SMC.
pub fn smc(t: &mut Translator<'_>, i: &decode::Smc) {
    t.call_and_end(system::SMC, &[], u64::from(i.imm16));
}

/// BRK.
pub fn brk(t: &mut Translator<'_>, i: &decode::Brk) {
    t.call_and_end(system::BRK, &[], u64::from(i.imm16));
}

/// The immediate of HLT that makes a semihosting call in AArch64 state ("Semihosting for AArch32 and AArch64", 3.1).
const SEMIHOSTING: u32 = 0xf000;

/// HLT: a semihosting call where the host answers such calls. Else it is UNDEFINED, for halting debug is off.
pub fn hlt(t: &mut Translator<'_>, i: &decode::Hlt) {
    match i.imm16 {
        SEMIHOSTING => t.call_and_end(system::SEMIHOSTING, &[], 0),
        _ => t.undefined(),
    }
}

/// DCPS1, DCPS2, DCPS3: UNDEFINED outside of Debug state.
pub fn dcps(t: &mut Translator<'_>, _: &decode::Dcps) {
    t.undefined();
}

/// ERET.
pub fn eret(t: &mut Translator<'_>, _: &decode::Eret) {
    if t.key.el() == 0 {
        return t.undefined();
    }
    let pc = t.ir.get(emu_plugins_api::ir::Ty::I64, emu_plugins_api::ir::Shape::SCALAR, crate::sysreg::word_offset(crate::sysreg::word::ELR_EL1));
    eret_to(t, pc);
}

/// The exception return to an address: what ERETAA and ERETAB do once they have authenticated ELR_ELx.
pub fn eret_to(t: &mut Translator<'_>, target: emu_plugins_api::ir::Val) {
    t.call_and_end(system::ERET, &[target], 0);
}

/// DRPS: UNDEFINED outside of Debug state.
pub fn drps(t: &mut Translator<'_>, _: &decode::Drps) {
    t.undefined();
}
