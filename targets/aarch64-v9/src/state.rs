//! The CPU state: what translated code addresses by offset and what helpers use as a struct.
//!
//! Hot state lies in front: general-purpose registers (X31 is the current stack pointer, swapped when EL or SPSel changes), the four condition
//! flags a byte each, the vector registers. Everything that decides how code is translated is also in `header.mode_key`, which
//! [`crate::mode::ModeKey`] computes; whoever changes such state calls [`State::refresh_mode`].

use crate::mmu::Regime;
use crate::mode::{Known, ModeKey};
use crate::sysreg::word;
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
    /// The group of privilege views in use: see [`crate::mode::view::OTHER`].
    pub other_views: u8,
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
    /// TTBR1_EL1's tables and the ASID that were last announced to the host.
    pub announced: (u64, u32),
    /// How often a kernel changed to the other ASID of a pair together with its own tables, up to [`crate::sysreg::behaviour::PAIRED`].
    pub pairs: u32,
    /// The walk parameters of both halves of the address space, as last worked out: see [`Regime::of`].
    pub regimes: [Regime; 2],
    /// What registers say of the mode key, as last worked out: for ELs other than 0, and for 0.
    pub modes: [Known; 2],
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
    /// PSTATE.{D,A,I,F}, a byte.
    pub const DAIF: u32 = offset_of!(State, daif) as u32;
    /// PSTATE.PAN, a byte.
    pub const PAN: u32 = offset_of!(State, pan) as u32;
    /// PSTATE.SS, a byte.
    pub const SS: u32 = offset_of!(State, ss) as u32;
    /// SP_EL0 while it is not the current stack pointer.
    pub const SP_EL0: u32 = offset_of!(State, sp_el) as u32;
    /// FPCR.
    pub const FPCR: u32 = offset_of!(State, fpcr) as u32;
    /// Word n of the system register storage.
    pub const fn sysreg(n: u32) -> u32 {
        offset_of!(State, sysreg) as u32 + n * 8
    }
    /// The mode key.
    pub const MODE_KEY: u32 = offset_of!(emu_plugins_api::CpuHeader, mode_key) as u32;
    /// The sticky floating-point flags.
    pub const FP_FLAGS: u32 = offset_of!(emu_plugins_api::CpuHeader, fp_flags) as u32;
}

/// Registers that are worth a host register, the most used by compiled code first.
pub const PINS: [u32; 32] = [
    offset::x(0),
    offset::x(1),
    offset::x(31),
    offset::x(19),
    offset::x(2),
    offset::x(20),
    offset::x(3),
    offset::x(29),
    offset::x(8),
    offset::x(21),
    offset::x(4),
    offset::x(30),
    offset::x(22),
    offset::x(5),
    offset::x(23),
    offset::x(6),
    offset::x(24),
    offset::x(7),
    offset::x(25),
    offset::x(9),
    offset::x(26),
    offset::x(10),
    offset::x(27),
    offset::x(11),
    offset::x(28),
    offset::x(12),
    offset::x(13),
    offset::x(14),
    offset::x(15),
    offset::x(16),
    offset::x(17),
    offset::x(18),
];

/// Bits of SPSR_ELx and PSTATE as SPSR_ELx holds it.
pub mod spsr {
    /// Condition flags.
    pub const NZCV: u64 = 0xf << 28;
    /// TCO.
    pub const TCO: u64 = 1 << 25;
    /// DIT.
    pub const DIT: u64 = 1 << 24;
    /// UAO.
    pub const UAO: u64 = 1 << 23;
    /// PAN.
    pub const PAN: u64 = 1 << 22;
    /// Software step.
    pub const SS: u64 = 1 << 21;
    /// Illegal execution state.
    pub const IL: u64 = 1 << 20;
    /// All interrupts masked (FEAT_NMI).
    pub const ALLINT: u64 = 1 << 13;
    /// Speculative store bypass safe.
    pub const SSBS: u64 = 1 << 12;
    /// Lowest bit of BTYPE.
    pub const BTYPE_LSB: u32 = 10;
    /// Lowest bit of DAIF.
    pub const DAIF_LSB: u32 = 6;
    /// M[4]: AArch32.
    pub const AARCH32: u64 = 1 << 4;
}

impl State {
    /// The condition flags, N being bit 3.
    pub fn nzcv(&self) -> u32 {
        u32::from(self.nf) << 3 | u32::from(self.zf) << 2 | u32::from(self.cf) << 1 | u32::from(self.vf)
    }
    /// Writes the condition flags, N being bit 3.
    pub fn set_nzcv(&mut self, nzcv: u32) {
        let bit = |i: u32| (nzcv >> i & 1) as u8;
        (self.nf, self.zf, self.cf, self.vf) = (bit(3), bit(2), bit(1), bit(0));
    }
    /// The stack pointer in use: an index of `sp_el`.
    pub fn sp_index(&self) -> usize {
        if self.spsel & 1 == 0 { 0 } else { usize::from(self.el & 3) }
    }
    /// Changes EL and SPSel, and with them the stack pointer in `x[31]`.
    pub fn set_el_and_sp(&mut self, el: u8, spsel: u8) {
        let old = self.sp_index();
        self.sp_el[old] = self.x[31];
        (self.el, self.spsel) = (el & 3, spsel & 1);
        self.x[31] = self.sp_el[self.sp_index()];
    }
    /// PSTATE as SPSR_ELx would hold it (GetPSRFromPSTATE).
    pub fn pstate(&self) -> u64 {
        let bit = |v: u8, mask: u64| if v != 0 { mask } else { 0 };
        u64::from(self.nzcv()) << 28
            | bit(self.tco, spsr::TCO)
            | bit(self.dit, spsr::DIT)
            | bit(self.uao, spsr::UAO)
            | bit(self.pan, spsr::PAN)
            | bit(self.ss, spsr::SS)
            | bit(self.il, spsr::IL)
            | bit(self.allint, spsr::ALLINT)
            | bit(self.ssbs, spsr::SSBS)
            | u64::from(ModeKey(self.header.mode_key).btype()) << spsr::BTYPE_LSB
            | u64::from(self.daif & 0xf) << spsr::DAIF_LSB
            | u64::from(self.el & 3) << 2
            | u64::from(self.spsel & 1)
    }
    /// Sets BTYPE, which lives in the mode key.
    pub fn set_btype(&mut self, btype: u32) {
        self.header.mode_key = ModeKey(self.header.mode_key).with_btype(btype).0;
    }
    /// SCTLR_ELx of the translation regime in use.
    pub fn sctlr(&self) -> u64 {
        self.sysreg[word::SCTLR_EL1]
    }
    /// Computes the mode key again from everything that it depends on; BTYPE, which lives only there, stays.
    pub fn refresh_mode(&mut self) {
        self.header.mode_key = ModeKey::of(self).0;
        debug_assert_eq!(self.header.mode_key, ModeKey::compute(self).0);
    }
}
