//! ESR_ELx: exception classes and instruction specific syndromes.

/// Exception classes (ESR_ELx.EC).
pub mod ec {
    /// Unknown reason: UNDEFINED instructions.
    pub const UNKNOWN: u32 = 0x00;
    /// Trapped WFI, WFE, WFIT, WFET.
    pub const WFX: u32 = 0x01;
    /// Trapped access to SIMD and floating-point registers.
    pub const FP_ACCESS: u32 = 0x07;
    /// Trapped LD64B, ST64B and family.
    pub const LS64: u32 = 0x0a;
    /// Branch target exception.
    pub const BTI: u32 = 0x0d;
    /// Illegal execution state.
    pub const ILLEGAL: u32 = 0x0e;
    /// SVC in AArch64 state.
    pub const SVC64: u32 = 0x15;
    /// HVC in AArch64 state.
    pub const HVC64: u32 = 0x16;
    /// SMC in AArch64 state.
    pub const SMC64: u32 = 0x17;
    /// Trapped MSR, MRS or system instruction.
    pub const SYSTEM_REGISTER: u32 = 0x18;
    /// Pointer authentication failure (FEAT_FPAC).
    pub const PAC_FAIL: u32 = 0x1c;
    /// Instruction abort from a lower EL; one more from the same EL.
    pub const INSN_ABORT: u32 = 0x20;
    /// PC alignment fault.
    pub const PC_ALIGNMENT: u32 = 0x22;
    /// Data abort from a lower EL; one more from the same EL.
    pub const DATA_ABORT: u32 = 0x24;
    /// SP alignment fault.
    pub const SP_ALIGNMENT: u32 = 0x26;
    /// Memory copy and memory set instructions (FEAT_MOPS).
    pub const MOPS: u32 = 0x27;
    /// Trapped floating-point exception.
    pub const FP_EXCEPTION: u32 = 0x2c;
    /// SError interrupt.
    pub const SERROR: u32 = 0x2f;
    /// Breakpoint from a lower EL; one more from the same EL.
    pub const BREAKPOINT: u32 = 0x30;
    /// Software step from a lower EL; one more from the same EL.
    pub const SOFTWARE_STEP: u32 = 0x32;
    /// Watchpoint from a lower EL; one more from the same EL.
    pub const WATCHPOINT: u32 = 0x34;
    /// BRK in AArch64 state.
    pub const BRK: u32 = 0x3c;
}

/// ISS of a trapped access to SIMD and floating-point registers, and the part of trapped WFx that they share: CV 1, COND 0b1110.
pub const CONDITION_ALWAYS: u32 = 1 << 24 | 0xe << 20;

/// ISS of a trapped MSR, MRS or system instruction; `key` is the encoding as in [`crate::sysreg::key`].
pub fn system_register(key: u16, rt: u32, is_read: bool) -> u32 {
    let key = u32::from(key);
    let (op0, op1, crn, crm, op2) = (key >> 14, key >> 11 & 7, key >> 7 & 15, key >> 3 & 15, key & 7);
    op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | u32::from(is_read)
}

/// ISS of a trapped WFI (`ti` 0), WFE (1), WFIT (2) or WFET (3); the latter two with their register.
pub fn wfx(ti: u32, register: Option<u32>) -> u32 {
    CONDITION_ALWAYS | ti | register.map_or(0, |r| r << 5 | 1 << 2)
}

/// ISS of a software step exception: ISV, and that the stepped instruction was no load-exclusive (EX is not tracked).
pub const SOFTWARE_STEP: u32 = 1 << 24 | 0x22;
