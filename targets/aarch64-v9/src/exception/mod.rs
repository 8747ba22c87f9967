//! Exceptions: entry, return, and the checks before the first instruction of a block.
//!
//! Everything is taken to EL1 as long as no higher level exists; the functions take the target EL so that routing can come in one place
//! ([`route_sync`]). An exception's syndrome is a value ([`syndrome`]); entry changes the state and leaves it complete, program counter
//! and mode key included, so that whoever calls may leave translated code at once.

pub mod step;
pub mod syndrome;
pub mod translate;

#[cfg(test)]
mod tests;

use crate::Aarch64;
use crate::feature::Feature;
use crate::helper::{HelperId, system};
use crate::linux;
use crate::mmu;
use crate::mode::{ModeKey, sctlr};
use crate::state::{State, offset, spsr};
use crate::sysreg;
use crate::translate::Translator;
use emu_plugins_api::ir::{MemFlags, Shape, Ty};
use emu_plugins_api::{Access, AccessKind, SemihostingCall, attr, fault};
use std::sync::atomic::Ordering;
use syndrome::ec;

/// Helper: the trap of SIMD and floating-point instructions (constant: the EL that it is taken to).
pub const FP_TRAP: HelperId = system::FP_TRAP;
/// Helper: the SP alignment fault.
pub const SP_ALIGNMENT: HelperId = system::SP_ALIGNMENT;

/// Offsets of the vectors inside their group of four.
pub mod vector {
    /// Synchronous exceptions.
    pub const SYNC: u64 = 0;
    /// IRQ.
    pub const IRQ: u64 = 0x80;
    /// FIQ.
    pub const FIQ: u64 = 0x100;
    /// SError.
    pub const SERROR: u64 = 0x180;
}

/// The EL that takes a synchronous exception of the current EL.
pub fn route_sync(cpu: &State) -> u8 {
    cpu.el.max(1)
}

/// AArch64.TakeException: enters `target_el` by a vector, to return to `return_pc`.
pub fn enter(cpu: &mut State, target_el: u8, vector: u64, return_pc: u64) {
    sysreg::pmu::before_el_change(cpu);
    let group = match (cpu.el < target_el, cpu.spsel) {
        (true, _) => 0x400,
        (_, 0) => 0,
        _ => 0x200,
    };
    let saved = cpu.pstate();
    let regs = sysreg::exception_registers(target_el);
    cpu.sysreg[regs.spsr] = saved;
    cpu.sysreg[regs.elr] = return_pc;
    let control = cpu.sysreg[regs.sctlr];
    let (has_pan, has_ssbs, has_nmi) = {
        let arch = Aarch64::of(cpu);
        (arch.has(Feature::PAN), arch.has(Feature::SSBS), arch.has(Feature::NMI))
    };
    cpu.set_el_and_sp(target_el, 1);
    cpu.daif = 0xf;
    cpu.ss = 0;
    cpu.il = 0;
    cpu.uao = 0;
    if has_pan && control & sctlr::SPAN == 0 {
        cpu.pan = 1;
    }
    if has_ssbs {
        cpu.ssbs = u8::from(control & sctlr::DSSBS != 0);
    }
    cpu.allint = u8::from(has_nmi && control & sctlr::SPINTMASK == 0);
    cpu.set_btype(0);
    cpu.header.pc = (cpu.sysreg[regs.vbar] & !0x7ff) + group + vector;
    cpu.header.monitor_size = 0;
    cpu.refresh_mode();
}

/// Takes a synchronous exception to return to `return_pc`.
pub fn take_sync_at(cpu: &mut State, ec: u32, iss: u32, far: Option<u64>, return_pc: u64) {
    if Aarch64::of(cpu).runs_linux_programs() {
        return linux::exception(cpu, ec, iss, far, return_pc);
    }
    let target = route_sync(cpu);
    let regs = sysreg::exception_registers(target);
    // Aborts, breakpoints, software step and watchpoints have a class of their own when they come from the EL that takes them.
    let same_el = matches!(ec, ec::INSN_ABORT | ec::DATA_ABORT | ec::BREAKPOINT | ec::SOFTWARE_STEP | ec::WATCHPOINT) && cpu.el == target;
    cpu.sysreg[regs.esr] = u64::from((ec + u32::from(same_el)) << 26 | 1 << 25 | iss);
    if let Some(far) = far {
        cpu.sysreg[regs.far] = far;
    }
    enter(cpu, target, vector::SYNC, return_pc);
}

/// Takes a synchronous exception whose preferred return address is the current instruction (`header.pc`). `ec` is the class for a lower
/// EL, the one for the same EL is derived.
pub fn take_sync(cpu: &mut State, ec: u32, iss: u32, far: Option<u64>) {
    take_sync_at(cpu, ec, iss, far, cpu.header.pc);
}

/// Takes the exception of an UNDEFINED instruction.
pub fn undefined(cpu: &mut State) {
    take_sync(cpu, ec::UNKNOWN, 0, None);
}

/// Delivers a fault of an access (from a walk or one of `fault::`) of the current instruction.
pub fn raise_access(cpu: &mut State, access: &Access, fault: u64) {
    if fault == mmu::PC_MISALIGNED {
        return take_sync(cpu, ec::PC_ALIGNMENT, 0, Some(access.va));
    }
    let fsc = match fault {
        fault::ALIGNMENT => mmu::fsc::ALIGNMENT,
        fault::BUS => mmu::fsc::EXTERNAL,
        fault::UNSUPPORTED => mmu::fsc::UNSUPPORTED,
        fault::UNMAPPED => mmu::fsc::at(mmu::fsc::TRANSLATION, 3),
        fault::PROTECTED => mmu::fsc::at(mmu::fsc::PERMISSION, 3),
        _ => fault as u32 & 0x3f,
    };
    if access.kind == AccessKind::FETCH && fault == fault::ALIGNMENT {
        return take_sync(cpu, ec::PC_ALIGNMENT, 0, Some(access.va));
    }
    if access.kind == AccessKind::FETCH {
        return take_sync(cpu, ec::INSN_ABORT, fsc, Some(access.va));
    }
    // WnR of an atomic operation: 0 if a read alone would have made this fault too.
    let write = match access.kind {
        AccessKind::WRITE => true,
        AccessKind::READ_WRITE => fault & mmu::READ_ALLOWED != 0 || matches!(fault, fault::UNSUPPORTED | fault::PROTECTED),
        _ => false,
    };
    take_sync(cpu, ec::DATA_ABORT, fsc | u32::from(write) << 6, Some(access.va));
}

/// Raises the data abort of a cache maintenance or address translation instruction (ESR_ELx.ISS.CM and WnR are 1).
pub fn raise_cache_maintenance(cpu: &mut State, va: u64, fault: u64) {
    take_sync(cpu, ec::DATA_ABORT, fault as u32 & 0x3f | 1 << 8 | 1 << 6, Some(va));
}

/// Takes a pending interrupt if one is not masked.
pub fn interrupt(cpu: &mut State, lines: u32) -> u32 {
    use emu_plugins_api::irq;
    const MASK_I: u8 = 2;
    const MASK_F: u8 = 1;
    if lines & 3 == 0 {
        return 0;
    }
    // Without EL2 and EL3 both go to EL1, and only PSTATE masks them. FIQ first, an IMPLEMENTATION DEFINED choice.
    let vector = if lines & 2 != 0 && cpu.daif & MASK_F == 0 && cpu.allint == 0 {
        vector::FIQ
    } else if lines & 1 != 0 && cpu.daif & MASK_I == 0 && cpu.allint == 0 {
        vector::IRQ
    } else {
        return irq::WAKE;
    };
    let pc = cpu.header.pc;
    enter(cpu, 1, vector, pc);
    irq::TAKEN | irq::WAKE
}

/// AArch64.ExceptionReturn to `new_pc` with SPSR_ELx of the current EL.
pub fn return_from(cpu: &mut State, new_pc: u64) {
    sysreg::pmu::before_el_change(cpu);
    let saved = cpu.sysreg[sysreg::exception_registers(cpu.el).spsr];
    let (el, sp) = ((saved >> 2) as u8 & 3, saved as u8 & 1);
    let daif = (saved >> spsr::DAIF_LSB) as u8 & 0xf;
    // IllegalExceptionReturn.
    let illegal = saved & spsr::AARCH32 != 0 || saved & 2 != 0 || el > cpu.el || (el == 0 && sp == 1) || !Aarch64::of(cpu).has_el(el);
    let bit = |mask: u64| u8::from(saved & mask != 0);
    let has = |f| Aarch64::of(cpu).has(f);
    let (pan, uao, dit, ssbs, allint, bti) =
        (has(Feature::PAN), has(Feature::UAO), has(Feature::DIT), has(Feature::SSBS), has(Feature::NMI), has(Feature::BTI));
    if illegal {
        cpu.ss = 0;
        cpu.il = 1;
    } else {
        cpu.ss = u8::from(step::after_return(cpu, el, daif, saved & spsr::SS != 0));
        cpu.il = bit(spsr::IL);
        cpu.set_el_and_sp(el, sp);
    }
    cpu.set_nzcv((saved >> 28) as u32);
    cpu.daif = daif;
    cpu.pan = if pan { bit(spsr::PAN) } else { 0 };
    cpu.uao = if uao { bit(spsr::UAO) } else { 0 };
    cpu.dit = if dit { bit(spsr::DIT) } else { 0 };
    cpu.ssbs = if ssbs { bit(spsr::SSBS) } else { 0 };
    cpu.allint = if allint { bit(spsr::ALLINT) } else { 0 };
    cpu.set_btype(if bti { (saved >> spsr::BTYPE_LSB) as u32 & 3 } else { 0 });
    cpu.header.monitor_size = 0;
    // Only this CPU takes the event away, so that one which is there need not be set.
    if cpu.header.event.load(Ordering::Relaxed) == 0 {
        cpu.header.event.store(1, Ordering::SeqCst);
    }
    cpu.refresh_mode();
    // BranchToAddr goes through AArch64.BranchAddr: a tag that is ignored does not reach the program counter.
    cpu.header.pc = mmu::branch_address(cpu, new_pc);
}

/// SVC.
pub fn call_supervisor(cpu: &mut State, imm16: u32) {
    step::advance(cpu);
    let next = cpu.header.pc.wrapping_add(4);
    take_sync_at(cpu, ec::SVC64, imm16, None, next);
}

/// HVC and SMC where no EL2 or EL3 takes them: a call to the machine's firmware, or UNDEFINED if it has none. True if the call was answered.
pub fn call_firmware(cpu: &mut State) -> bool {
    if cpu.el == 0 {
        undefined(cpu);
        return false;
    }
    let mut args = [0; 8];
    args.copy_from_slice(&cpu.x[..8]);
    if !cpu.header.firmware_call(&mut args) {
        undefined(cpu);
        return false;
    }
    // The Arm SMC Calling Convention returns results in X0 to X3.
    cpu.x[..4].copy_from_slice(&args[..4]);
    step::advance(cpu);
    true
}

/// A semihosting call: operation in W0, parameter in X1, result in X0. False if the host answers none of such a caller.
pub fn call_host(cpu: &mut State) -> bool {
    let key = ModeKey(cpu.header.mode_key);
    let mut flags = MemFlags::view(key.view());
    if key.big_endian() != 0 {
        flags = flags.with(MemFlags::BIG_ENDIAN);
    }
    let mut call = SemihostingCall {
        operation: cpu.x[0] as u32,
        word_bytes: 8,
        argument: cpu.x[1],
        result: 0,
        view: key.view(),
        mem_flags: flags.0,
        unprivileged: u32::from(cpu.el == 0),
        reserved: 0,
    };
    if !cpu.header.semihosting(&mut call) {
        return false;
    }
    cpu.x[0] = call.result;
    step::advance(cpu);
    true
}

/// Appends the checks before the first instruction of a block under BTYPE, illegal state or software step. False if nothing of it executes.
pub fn begin_block(t: &mut Translator<'_>) -> bool {
    if t.key.step() & 1 != 0 && t.key.step() & 2 == 0 {
        t.call_and_end(system::SOFTWARE_STEP, &[], 0);
        return false;
    }
    if t.key.illegal() != 0 {
        t.call_and_end(system::ILLEGAL_STATE, &[], 0);
        return false;
    }
    let btype = t.key.btype();
    if btype != 0 {
        if t.page_attrs & u32::from(attr::GUARDED) != 0 && !is_landing_pad(t.insn, btype, t.key.bt() != 0) {
            t.call_and_end(system::BTI_FAULT, &[], u64::from(btype));
            return false;
        }
        // AArch64.TakeException: BRK saves the BTYPE that it was reached with.
        const BRK: u32 = 0xd420_0000;
        if t.insn & 0xffe0_001f == BRK {
            return true;
        }
        t.key = t.key.with_btype(0);
        let key = t.ir.c64(t.key.0);
        t.ir.set(Ty::I64, Shape::SCALAR, offset::MODE_KEY, key);
    }
    true
}

/// BTypeCompatible: whether an instruction in a guarded page may be the target of a branch that set BTYPE to `btype`.
fn is_landing_pad(insn: u32, btype: u32, bt: bool) -> bool {
    match insn {
        // BTI, its targets in op2<1:0>: bit 0 c, bit 1 j.
        _ if insn & 0xffff_ff3f == 0xd503_241f => {
            let (c, j) = (insn >> 6 & 1 != 0, insn >> 7 & 1 != 0);
            match btype {
                1 => c || j,
                2 => c,
                _ => j,
            }
        }
        // PACIASP, PACIBSP.
        0xd503_233f | 0xd503_237f => btype != 3 || !bt,
        // BRK and HLT make their own exceptions first.
        _ => matches!(insn & 0xffe0_001f, 0xd420_0000 | 0xd440_0000),
    }
}
