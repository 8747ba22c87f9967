//! Translation of MRS, MSR, SYS and SYSL.

use crate::decode;
use crate::translate::Translator;

/// MRS.
pub fn mrs(t: &mut Translator<'_>, i: &decode::MrsReg) {
    let _ = i;
    t.undefined();
}

/// MSR (register).
pub fn msr(t: &mut Translator<'_>, i: &decode::MsrReg) {
    let _ = i;
    t.undefined();
}

/// MSR (immediate).
pub fn msr_imm(t: &mut Translator<'_>, i: &decode::MsrImm) {
    let _ = i;
    t.undefined();
}

/// SYS.
pub fn sys(t: &mut Translator<'_>, i: &decode::Sys) {
    let _ = i;
    t.undefined();
}

/// SYSL.
pub fn sysl(t: &mut Translator<'_>, i: &decode::Sysl) {
    let _ = i;
    t.undefined();
}
