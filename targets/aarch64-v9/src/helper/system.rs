//! Helpers of the system instructions and exceptions.

use crate::exception::{self, syndrome, syndrome::ec};
use crate::mmu;
use crate::state::State;
use crate::sysreg;
use emu_plugins_api::{HelperReturn, effect};
use std::sync::atomic::Ordering;

crate::helper::helpers! { super::base::COUNT + super::simd::COUNT;
    /// Raises the exception of an UNDEFINED instruction.
    UNDEFINED: undefined, effect::ANY | effect::ALWAYS_EXITS;
    /// Raises the trap of SIMD and floating-point instructions; the constant is the EL that takes it.
    FP_TRAP: fp_trap, effect::ANY | effect::ALWAYS_EXITS;
    /// Raises the SP alignment fault.
    SP_ALIGNMENT: sp_alignment, effect::ANY | effect::ALWAYS_EXITS;
    /// Raises the PC alignment fault of the current program counter.
    PC_ALIGNMENT: pc_alignment, effect::ANY | effect::ALWAYS_EXITS;
    /// Raises the PAC Fail exception; the constant is its ISS.
    PAC_FAIL: pac_fail, effect::ANY | effect::ALWAYS_EXITS;
    /// WFI and WFIT: raises the trap if there is one; else 1 if the CPU has to wait (`exit::WAIT`), 0 if an interrupt is pending or, for WFIT,
    /// the time has come. The constant is ESR.ISS.TI: 0 WFI, 2 WFIT; `a` is WFIT's register and `b` its number.
    WFI_CHECK: wfi_check, effect::ANY;
    /// WFE and WFET: as `WFI_CHECK` for `exit::WAIT_EVENT`; consumes the event register. The constant is 1 for WFE, 3 for WFET.
    WFE_CHECK: wfe_check, effect::ANY;
    /// SEV.
    SEV: sev, effect::IO;
    /// SEVL.
    SEVL: sevl, effect::IO;
    /// SVC, the constant being its immediate.
    SVC: svc, effect::ANY;
    /// HVC, the constant being its immediate.
    HVC: firmware_call, effect::ANY;
    /// SMC, the constant being its immediate.
    SMC: firmware_call, effect::ANY;
    /// BRK, the constant being its immediate.
    BRK: brk, effect::ANY;
    /// Exception return to `a`.
    ERET: eret, effect::ANY;
    /// Raises the exception of an instruction in illegal execution state.
    ILLEGAL_STATE: illegal_state, effect::ANY;
    /// Raises the branch target exception; the constant is BTYPE.
    BTI_FAULT: bti_fault, effect::ANY;
    /// Raises the software step exception.
    SOFTWARE_STEP: software_step, effect::ANY;
    /// Raises the trap of MRS, MSR or a system instruction; the constant is its ISS.
    SYSREG_TRAP: sysreg_trap, effect::ANY;
    /// MRS: the constant is the number of the register's row, Rt in bits 16 to 20, the current EL in bits 24 and 25.
    SYSREG_READ: sysreg_read, effect::ANY;
    /// MSR of `a`: the constant as for `SYSREG_READ`.
    SYSREG_WRITE: sysreg_write, effect::ANY;
    /// AT: `a` the address, the constant its encoding.
    AT: address_translate, effect::ANY;
    /// DC by address, CFP and family: `a` the address, the constant its encoding, Rt in bits 16 to 20.
    DC: data_cache, effect::ANY;
    /// IC IVAU: `a` the address.
    IC: insn_cache, effect::ANY;
    /// IC IALLU, IALLUIS.
    IC_ALL: insn_cache_all, effect::ANY;
    /// TLBI: `a` the register, the constant its encoding.
    TLBI: tlb_invalidate, effect::ANY;
    /// MSR SPSel with an immediate.
    SET_SPSEL: set_spsel, effect::ANY;
    /// Computes the mode key again.
    REFRESH_MODE: refresh_mode, effect::ANY;
    /// HLT with the immediate of semihosting.
    SEMIHOSTING: semihosting, effect::ANY;
}

fn undefined(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    exception::undefined(cpu);
    HelperReturn::exit()
}

fn fp_trap(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::FP_ACCESS, syndrome::CONDITION_ALWAYS, None);
    HelperReturn::exit()
}

fn pac_fail(cpu: &mut State, _: u64, _: u64, _: u64, iss: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::PAC_FAIL, iss as u32, None);
    HelperReturn::exit()
}

fn sp_alignment(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::SP_ALIGNMENT, 0, None);
    HelperReturn::exit()
}

fn pc_alignment(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    let pc = cpu.header.pc;
    exception::take_sync(cpu, ec::PC_ALIGNMENT, 0, Some(pc));
    HelperReturn::exit()
}

/// Raises the trap of WFI and WFE at EL0.
fn wfx_trap(cpu: &mut State, register: u64, ti: u64) -> Option<HelperReturn> {
    let key = crate::mode::ModeKey(cpu.header.mode_key);
    if key.wfx_trap() >> (ti & 1) & 1 == 0 {
        return None;
    }
    let register = (ti & 2 != 0).then_some(register as u32 & 31);
    exception::take_sync(cpu, ec::WFX, syndrome::wfx(ti as u32, register), None);
    Some(HelperReturn::exit())
}

fn wfi_check(cpu: &mut State, a: u64, b: u64, _: u64, ti: u64) -> HelperReturn {
    if cpu.header.lines.load(Ordering::SeqCst) != 0 {
        return HelperReturn::value(0);
    }
    if let Some(trap) = wfx_trap(cpu, b, ti) {
        return trap;
    }
    HelperReturn::value(u64::from(ti & 2 == 0 || sysreg::timer::wait_until(cpu, a)))
}

fn wfe_check(cpu: &mut State, a: u64, b: u64, _: u64, ti: u64) -> HelperReturn {
    if cpu.header.event.swap(0, Ordering::SeqCst) != 0 {
        return HelperReturn::value(0);
    }
    if let Some(trap) = wfx_trap(cpu, b, ti) {
        return trap;
    }
    HelperReturn::value(u64::from(ti & 2 == 0 || sysreg::timer::wait_until(cpu, a)))
}

fn sev(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    cpu.header.send_event();
    HelperReturn::value(0)
}

fn sevl(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    cpu.header.event.store(1, Ordering::SeqCst);
    HelperReturn::value(0)
}

fn svc(cpu: &mut State, _: u64, _: u64, _: u64, imm: u64) -> HelperReturn {
    exception::call_supervisor(cpu, imm as u32);
    HelperReturn::exit()
}

fn firmware_call(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    if exception::call_firmware(cpu) { HelperReturn::value(0) } else { HelperReturn::exit() }
}

fn brk(cpu: &mut State, _: u64, _: u64, _: u64, imm: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::BRK, imm as u32, None);
    HelperReturn::exit()
}

fn eret(cpu: &mut State, a: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    exception::return_from(cpu, a);
    HelperReturn::exit()
}

fn illegal_state(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::ILLEGAL, 0, None);
    HelperReturn::exit()
}

fn bti_fault(cpu: &mut State, _: u64, _: u64, _: u64, btype: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::BTI, btype as u32, None);
    HelperReturn::exit()
}

fn software_step(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::SOFTWARE_STEP, syndrome::SOFTWARE_STEP, None);
    HelperReturn::exit()
}

fn sysreg_trap(cpu: &mut State, _: u64, _: u64, _: u64, iss: u64) -> HelperReturn {
    exception::take_sync(cpu, ec::SYSTEM_REGISTER, iss as u32, None);
    HelperReturn::exit()
}

fn sysreg_read(cpu: &mut State, _: u64, _: u64, _: u64, imm: u64) -> HelperReturn {
    let Some(row) = sysreg::ROWS.get(imm as usize & 0xffff) else { return undefined(cpu, 0, 0, 0, 0) };
    if sysreg::is_trapped(cpu, row, false) {
        return sysreg_trap(cpu, 0, 0, 0, u64::from(syndrome::system_register(row.key, (imm >> 16) as u32 & 31, true)));
    }
    match sysreg::read(cpu, row) {
        Some(value) => HelperReturn::value(value),
        None => undefined(cpu, 0, 0, 0, 0),
    }
}

fn sysreg_write(cpu: &mut State, a: u64, _: u64, _: u64, imm: u64) -> HelperReturn {
    let Some(row) = sysreg::ROWS.get(imm as usize & 0xffff) else { return undefined(cpu, 0, 0, 0, 0) };
    if sysreg::is_trapped(cpu, row, true) {
        return sysreg_trap(cpu, 0, 0, 0, u64::from(syndrome::system_register(row.key, (imm >> 16) as u32 & 31, false)));
    }
    if sysreg::write(cpu, row, a) { HelperReturn::value(0) } else { undefined(cpu, 0, 0, 0, 0) }
}

fn address_translate(cpu: &mut State, a: u64, _: u64, _: u64, key: u64) -> HelperReturn {
    match mmu::address_translate(cpu, a, key as u16) {
        true => HelperReturn::value(0),
        false => HelperReturn::exit(),
    }
}

fn data_cache(cpu: &mut State, a: u64, _: u64, _: u64, key: u64) -> HelperReturn {
    match sysreg::maintenance::data_cache(cpu, a, key as u16, (key >> 16) as u32 & 31) {
        true => HelperReturn::value(0),
        false => HelperReturn::exit(),
    }
}

fn insn_cache(cpu: &mut State, a: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    match sysreg::maintenance::insn_cache(cpu, a) {
        true => HelperReturn::value(0),
        false => HelperReturn::exit(),
    }
}

fn insn_cache_all(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    cpu.header.code_changed(0, 0, false);
    HelperReturn::value(0)
}

fn tlb_invalidate(cpu: &mut State, a: u64, _: u64, _: u64, key: u64) -> HelperReturn {
    sysreg::maintenance::tlb_invalidate(cpu, a, key as u16);
    HelperReturn::value(0)
}

fn set_spsel(cpu: &mut State, _: u64, _: u64, _: u64, imm: u64) -> HelperReturn {
    let el = cpu.el;
    cpu.set_el_and_sp(el, imm as u8 & 1);
    cpu.refresh_mode();
    HelperReturn::value(0)
}

fn refresh_mode(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    cpu.refresh_mode();
    HelperReturn::value(0)
}

fn semihosting(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    if exception::call_host(cpu) { HelperReturn::value(0) } else { undefined(cpu, 0, 0, 0, 0) }
}
