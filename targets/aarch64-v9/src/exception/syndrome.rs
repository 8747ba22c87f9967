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
