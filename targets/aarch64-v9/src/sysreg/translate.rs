//! Translation of MRS, MSR, SYS and SYSL.
//!
//! Which EL may access what is known from the mode key, so UNDEFINED and plain storage need no call. What changes the mode key ends the block,
//! and what changes the interrupt masks if there is an interrupt.

use super::{Check, NO_WORD, ROWS, Read, Row, Write, find, key, word_offset};
use crate::decode;
use crate::exception::syndrome;
use crate::feature::Feature;
use crate::helper::system;
use crate::state::offset;
use crate::translate::Translator;
use emu_plugins_api::CpuHeader;
use emu_plugins_api::ir::{Shape, Ty, Val, exit};

/// The encodings whose reads at EL0 trap with FEAT_IDST instead of being UNDEFINED: the feature ID space.
fn is_id_space(k: u16) -> bool {
    let (op0, op1, crn, crm) = (k >> 14, k >> 11 & 7, k >> 7 & 15, k >> 3 & 15);
    op0 == 3 && matches!(op1, 0 | 1 | 3) && crn == 0 && crm <= 7
}

/// Op0 3, op1 0, CRn 0, CRm 1 to 7: what has no row there reads as zero.
fn is_reserved_id(k: u16) -> bool {
    is_id_space(k) && k >> 11 & 7 == 0 && k >> 3 & 15 != 0
}

fn trap(t: &mut Translator<'_>, k: u16, rt: u32, is_read: bool) {
    t.call_and_end(system::SYSREG_TRAP, &[], u64::from(syndrome::system_register(k, rt, is_read)));
}

/// An access that the table does not have or that this EL does not have.
fn refuse(t: &mut Translator<'_>, k: u16, rt: u32, is_read: bool, row: Option<&Row>) {
    let el0 = t.key.el() == 0;
    if is_read && is_id_space(k) && t.arch.runs_linux_programs() {
        // The kernel answers for these ("cpuid" in AT_HWCAP).
        let value = t.ir.c64(crate::linux::id_register(t.arch, k));
        return t.set_x(rt, value);
    }
    if el0 && is_read && is_id_space(k) && t.feature(Feature::IDST) {
        return trap(t, k, rt, is_read);
    }
    // Registers of EL2 and EL3 (op1 4 to 6, and 7's secure timer) are UNDEFINED on purpose where those do not exist.
    if row.is_none() && !el0 && k >> 11 & 7 < 4 {
        t.arch.log_unknown_register(t.pc, k, is_read);
    }
    t.undefined();
}

/// The row that an access may use at this EL, traps that are known when translating having been dealt with.
fn lookup(t: &mut Translator<'_>, k: u16, rt: u32, is_read: bool) -> Option<(usize, &'static Row)> {
    let Some(number) = find(k) else {
        refuse(t, k, rt, is_read, None);
        return None;
    };
    let row = &ROWS[number];
    let right = if is_read { 1 } else { 2 };
    let rights = if t.key.el() == 0 { row.el0 } else { row.el1 };
    if rights & right == 0 || row.feature.is_some_and(|f| !t.feature(f)) {
        refuse(t, k, rt, is_read, Some(row));
        return None;
    }
    if t.key.el() == 0 {
        let access = t.key.el0_access();
        let trapped = match row.check {
            Check::Uct => access & 2 == 0,
            Check::Uma => access & 8 == 0,
            _ => false,
        };
        if trapped {
            trap(t, k, rt, is_read);
            return None;
        }
    }
    Some((number, row))
}

/// True if an access from this EL can still trap when it executes.
fn has_dynamic_check(t: &Translator<'_>, row: &Row) -> bool {
    t.key.el() == 0 && matches!(row.check, Check::Function(_))
}

const NZCV: u16 = key(3, 3, 4, 2, 0);
const FPCR: u16 = key(3, 3, 4, 4, 0);
const FPSR: u16 = key(3, 3, 4, 4, 1);
const DAIF: u16 = key(3, 3, 4, 2, 1);
const CURRENT_EL: u16 = key(3, 0, 4, 2, 2);
const SP_EL0: u16 = key(3, 0, 4, 1, 0);

fn get_byte(t: &mut Translator<'_>, at: u32) -> Val {
    let b = t.ir.get(Ty::I8, Shape::SCALAR, at);
    t.ir.zext(Ty::I64, Ty::I8, b)
}

fn shifted(t: &mut Translator<'_>, v: Val, by: u64) -> Val {
    let by = t.ir.c64(by);
    t.ir.shl(Ty::I64, v, by)
}

/// MRS.
pub fn mrs(t: &mut Translator<'_>, i: &decode::MrsReg) {
    let k = key(2 | i.o0, i.op1, i.crn, i.crm, i.op2);
    if t.key.el() != 0 && is_reserved_id(k) && find(k).is_none() {
        let zero = t.ir.c64(0);
        return t.set_x(i.rt, zero);
    }
    let Some((number, row)) = lookup(t, k, i.rt, true) else { return };
    if matches!(k, FPCR | FPSR) && !t.fp_access() {
        return;
    }
    let value = match (k, row.read) {
        (NZCV, _) => {
            let mut v = t.ir.c64(0);
            for (flag, lsb) in [(offset::NF, 31), (offset::ZF, 30), (offset::CF, 29), (offset::VF, 28)] {
                let f = t.flag(flag);
                let f = t.ir.zext(Ty::I64, Ty::I1, f);
                v = t.ir.deposit(Ty::I64, v, f, lsb, 1);
            }
            v
        }
        (FPCR, _) => t.ir.get(Ty::I64, Shape::SCALAR, offset::FPCR),
        (DAIF, _) => {
            let v = get_byte(t, offset::DAIF);
            shifted(t, v, 6)
        }
        (SP_EL0, _) if t.key.spsel() == 0 => return t.undefined(),
        (SP_EL0, _) => t.ir.get(Ty::I64, Shape::SCALAR, offset::SP_EL0),
        (CURRENT_EL, _) => t.ir.c64(u64::from(t.key.el()) << 2),
        (_, Read::Word) if !has_dynamic_check(t, row) => t.ir.get(Ty::I64, Shape::SCALAR, word_offset(usize::from(row.word))),
        (_, Read::Id) => t.ir.c64(t.arch.id_value(row)),
        (_, Read::Zero) if !has_dynamic_check(t, row) => t.ir.c64(0),
        (_, Read::None) => return t.undefined(),
        _ => t.call(system::SYSREG_READ, &[], number as u64 | u64::from(i.rt) << 16),
    };
    t.set_x(i.rt, value);
}

/// MSR (register).
pub fn msr(t: &mut Translator<'_>, i: &decode::MsrReg) {
    let k = key(2 | i.o0, i.op1, i.crn, i.crm, i.op2);
    let Some((number, row)) = lookup(t, k, i.rt, false) else { return };
    if matches!(k, FPCR | FPSR) && !t.fp_access() {
        return;
    }
    let value = t.x(i.rt);
    match (k, row.write) {
        (NZCV, _) => {
            for (flag, lsb) in [(offset::NF, 31), (offset::ZF, 30), (offset::CF, 29), (offset::VF, 28)] {
                let f = t.ir.extract(Ty::I64, value, lsb, 1);
                let f = t.ir.trunc(Ty::I1, Ty::I64, f);
                t.set_flag(flag, f);
            }
        }
        (DAIF, _) => {
            let value = t.ir.trunc(Ty::I32, Ty::I64, value);
            let new = t.ir.extract(Ty::I32, value, 6, 4);
            write_daif(t, new, true);
        }
        (SP_EL0, _) if t.key.spsel() == 0 => t.undefined(),
        (SP_EL0, _) => t.ir.set(Ty::I64, Shape::SCALAR, offset::SP_EL0, value),
        (_, Write::Word) if row.word != NO_WORD && !has_dynamic_check(t, row) => {
            let mut v = value;
            if row.writable != u64::MAX {
                let mask = t.ir.c64(row.writable);
                v = t.ir.and(Ty::I64, v, mask);
            }
            if row.ones != 0 {
                let ones = t.ir.c64(row.ones);
                v = t.ir.or(Ty::I64, v, ones);
            }
            t.ir.set(Ty::I64, Shape::SCALAR, word_offset(usize::from(row.word)), v);
        }
        (_, Write::Ignore) if !has_dynamic_check(t, row) => {}
        (_, Write::None) => t.undefined(),
        _ => {
            t.call(system::SYSREG_WRITE, &[value], number as u64 | u64::from(i.rt) << 16);
            // FPSR decides nothing about translation; all others may.
            if k != FPSR {
                t.end_and_look();
            }
        }
    }
}

/// MSR (immediate).
pub fn msr_imm(t: &mut Translator<'_>, i: &decode::MsrImm) {
    let el0 = t.key.el() == 0;
    let imm = i.crm;
    let privileged = |t: &mut Translator<'_>, feature: Option<Feature>| {
        if el0 || feature.is_some_and(|f| !t.feature(f)) {
            t.undefined();
            return false;
        }
        true
    };
    match (i.op1, i.op2) {
        (0, 3) if privileged(t, Some(Feature::UAO)) => write_pstate(t, key(3, 0, 4, 2, 4), u64::from(imm & 1) << 23),
        (0, 4) if privileged(t, Some(Feature::PAN)) => write_pan(t, imm & 1),
        (0, 5) if privileged(t, None) => {
            t.call(system::SET_SPSEL, &[], u64::from(imm & 1));
            t.end_and_look();
        }
        (0, 3..=5) => {}
        (3, 1) if t.feature(Feature::SSBS2) => write_pstate(t, key(3, 3, 4, 2, 6), u64::from(imm & 1) << 12),
        (3, 2) if t.feature(Feature::DIT) => write_pstate(t, key(3, 3, 4, 2, 5), u64::from(imm & 1) << 24),
        (3, 6 | 7) => {
            let clear = i.op2 == 7;
            if el0 && t.key.el0_access() & 8 == 0 {
                // The trap's ISS describes the encoding in the MSR (immediate) space, Rt being 31.
                return trap(t, key(0, i.op1, 4, imm, i.op2), 31, false);
            }
            let old = daif(t);
            let bits = t.ir.iconst(Ty::I32, u64::from(if clear { imm ^ 15 } else { imm }));
            let new = if clear { t.ir.and(Ty::I32, old, bits) } else { t.ir.or(Ty::I32, old, bits) };
            if clear || imm & 8 != 0 {
                write_daif(t, new, imm & 8 != 0);
            } else {
                set_daif(t, new);
            }
        }
        _ => t.undefined(),
    }
}

/// PSTATE.DAIF in 32 bits.
fn daif(t: &mut Translator<'_>) -> Val {
    let old = t.ir.get(Ty::I8, Shape::SCALAR, offset::DAIF);
    t.ir.zext(Ty::I32, Ty::I8, old)
}
fn set_daif(t: &mut Translator<'_>, new: Val) {
    let new = t.ir.trunc(Ty::I8, Ty::I32, new);
    t.ir.set(Ty::I8, Shape::SCALAR, offset::DAIF, new);
}
/// Writes PSTATE.DAIF. Kernels do so around every lock, with nothing pending most times: then there is nothing to look at. `debug`: PSTATE.D
/// may change, which takes part in whether software step is active.
fn write_daif(t: &mut Translator<'_>, new: Val, debug: bool) {
    let changed = debug.then(|| {
        let old = daif(t);
        let (changed, d) = (t.ir.xor(Ty::I32, old, new), t.ir.iconst(Ty::I32, 8));
        t.ir.and(Ty::I32, changed, d)
    });
    set_daif(t, new);
    // A line that changes from here on comes with a request.
    let lines = t.ir.get(Ty::I32, Shape::SCALAR, core::mem::offset_of!(CpuHeader, lines) as u32);
    let reasons = changed.map_or(lines, |changed| t.ir.or(Ty::I32, lines, changed));
    let zero = t.ir.iconst(Ty::I32, 0);
    let nothing = t.ir.eq(Ty::I32, reasons, zero);
    let label = t.ir.new_label();
    t.ir.brif(nothing, label);
    if debug {
        t.call(system::REFRESH_MODE, &[], 0);
    }
    let next = t.next_pc();
    t.ir.exit(next, exit::LOOKUP);
    // Instructions are counted by straight runs, so that one ends here.
    t.ir.label(label);
    t.ir.goto(next, false);
    t.end();
}

/// Writes a PSTATE field through its register's row.
fn write_pstate(t: &mut Translator<'_>, k: u16, value: u64) {
    let Some(number) = find(k) else { return t.undefined() };
    let v = t.ir.c64(value);
    t.call(system::SYSREG_WRITE, &[v], number as u64);
    t.end_and_look();
}

/// PSTATE.PAN changes around every user access of a kernel: the new mode key is known.
fn write_pan(t: &mut Translator<'_>, pan: u32) {
    use crate::mode::view;
    let v = t.ir.iconst(Ty::I8, u64::from(pan));
    t.ir.set(Ty::I8, Shape::SCALAR, offset::PAN, v);
    let new_view = if pan == 0 { view::EL1 } else { view::EL1_PAN } | t.key.view() & view::OTHER;
    let unprivileged_follows = t.key.unpriv_view() & !view::OTHER != view::EL0;
    let mut new = t.key.with_view(new_view);
    if unprivileged_follows {
        new = new.with_unpriv_view(new_view);
    }
    if new == t.key {
        return;
    }
    let k = t.ir.c64(new.0);
    t.ir.set(Ty::I64, Shape::SCALAR, offset::MODE_KEY, k);
    t.end_and_find();
}

/// SYS.
pub fn sys(t: &mut Translator<'_>, i: &decode::Sys) {
    super::maintenance::translate(t, i);
}

/// SYSL: no instruction with a result exists without FEAT_GCS and the like.
pub fn sysl(t: &mut Translator<'_>, _: &decode::Sysl) {
    t.undefined();
}
