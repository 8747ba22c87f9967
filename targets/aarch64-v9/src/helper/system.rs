//! Helpers of the system instructions and exceptions.

use crate::exception;
use crate::state::State;
use emu_plugins_api::{HelperReturn, effect};

crate::helper::helpers! { super::base::COUNT + super::simd::COUNT;
    /// Raises the exception of an UNDEFINED instruction.
    UNDEFINED: undefined, effect::ANY;
    /// Raises the trap of SIMD and floating-point instructions; the constant is the EL that takes it.
    FP_TRAP: undefined, effect::ANY;
    /// Raises the SP alignment fault.
    SP_ALIGNMENT: undefined, effect::ANY;
    /// Raises the PC alignment fault for the address `a`.
    PC_ALIGNMENT: undefined, effect::ANY;
    /// WFI and WFIT: raises the trap if there is one; else 1 if the CPU has to wait (`exit::WAIT`), 0 if an interrupt is pending or, for WFIT,
    /// the time has come. The constant is ESR.ISS.TI: 0 WFI, 2 WFIT; `a` is WFIT's register and `b` its number.
    WFI_CHECK: undefined, effect::ANY;
    /// WFE and WFET: as `WFI_CHECK` for `exit::WAIT_EVENT`; consumes the event register. The constant is 1 for WFE, 3 for WFET.
    WFE_CHECK: undefined, effect::ANY;
    /// SEV.
    SEV: undefined, effect::ANY;
    /// SEVL.
    SEVL: undefined, effect::ANY;
    /// SVC, the constant being its immediate.
    SVC: undefined, effect::ANY;
    /// HVC, the constant being its immediate.
    HVC: undefined, effect::ANY;
    /// SMC, the constant being its immediate.
    SMC: undefined, effect::ANY;
    /// BRK, the constant being its immediate.
    BRK: undefined, effect::ANY;
    /// Exception return to `a`.
    ERET: undefined, effect::ANY;
}

fn undefined(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    exception::undefined(cpu);
    HelperReturn::exit()
}
