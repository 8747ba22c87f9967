//! The mode key: everything besides the address that a translation depends on, packed into 64 bits.
//!
//! One list of fields; `refresh_mode` computes the key from the state, the translator reads it. BTYPE lives only here.

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident $set:ident: $lsb:literal, $width:literal;)*) => {
        impl ModeKey {
            $(
                $(#[$doc])*
                pub const fn $name(self) -> u32 { (self.0 >> $lsb) as u32 & ((1 << $width) - 1) }
                /// The key with that field replaced.
                #[must_use]
                pub const fn $set(self, v: u32) -> ModeKey {
                    let mask = ((1u64 << $width) - 1) << $lsb;
                    ModeKey(self.0 & !mask | ((v as u64) << $lsb & mask))
                }
            )*
        }
    };
}

/// A mode key.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ModeKey(pub u64);

/// Lowest bit of BTYPE in the key.
pub const BTYPE_LSB: u32 = 0;

fields! {
    /// PSTATE.BTYPE at the first instruction of the block.
    btype with_btype: 0, 2;
    /// Current exception level.
    el with_el: 2, 2;
    /// Privilege view of ordinary data accesses.
    view with_view: 4, 4;
    /// Privilege view of LDTR, STTR and the like.
    unpriv_view with_unpriv_view: 8, 4;
    /// SIMD and floating-point instructions trap (1), and to which EL (bits 1-2).
    fp_trap with_fp_trap: 12, 3;
    /// SCTLR_ELx.A: every access is checked for alignment.
    align_check with_align_check: 15, 1;
    /// SCTLR_ELx.SA or SA0: the stack pointer is checked for alignment.
    sp_check with_sp_check: 16, 1;
    /// Data accesses are big-endian.
    big_endian with_big_endian: 17, 1;
    /// SCTLR_ELx.{EnIA, EnIB, EnDA, EnDB} as bits 0 to 3.
    pauth with_pauth: 18, 4;
    /// TCR_ELx.TBI for instruction addresses: bit 0 lower half, bit 1 upper half (that is, TBI and not TBID).
    tbi_insn with_tbi_insn: 22, 2;
    /// SCTLR_ELx.BT: PACIxSP does not count as a landing pad for BTYPE 3.
    bt with_bt: 24, 1;
    /// Software step is active (MDSCR_EL1.SS and not masked): bit 0; PSTATE.SS: bit 1.
    step with_step: 25, 2;
    /// PSTATE.IL is set: every instruction is an illegal execution state exception.
    illegal with_illegal: 27, 1;
    /// FPCR.RMode.
    rmode with_rmode: 32, 2;
    /// FPCR.FZ.
    fz with_fz: 34, 1;
    /// FPCR.DN.
    dn with_dn: 35, 1;
    /// FPCR.FZ16.
    fz16 with_fz16: 36, 1;
    /// FPCR.AHP.
    ahp with_ahp: 37, 1;
    /// FPCR.AH.
    ah with_ah: 38, 1;
    /// FPCR.FIZ.
    fiz with_fiz: 39, 1;
    /// FPCR.NEP.
    nep with_nep: 40, 1;
    /// FPCR.EBF.
    ebf with_ebf: 41, 1;
    /// The unprivileged cache and timer instructions that SCTLR_EL1 lets EL0 use: bit 0 DZE, bit 1 UCT, bit 2 UCI, bit 3 UMA.
    el0_access with_el0_access: 42, 4;
    /// SCTLR_EL1.{nTWI, nTWE} at EL0: bit 0 WFI traps, bit 1 WFE traps.
    wfx_trap with_wfx_trap: 46, 2;
}
