//! The mode key: everything besides the address that a translation depends on, packed into 64 bits.
//!
//! One list of fields; `refresh_mode` computes the key from the state, the translator reads it. BTYPE lives only here.

use crate::state::State;
use crate::sysreg::word;

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
    /// SCTLR_ELx.EnIA. Kernels change the other three with each task, and code that asks for their keys is rare: it looks at the register, so
    /// that all other code serves all tasks.
    pauth_ia with_pauth_ia: 18, 1;
    /// TCR_ELx.TBI for instruction addresses: bit 0 lower half, bit 1 upper half (that is, TBI and not TBID).
    tbi_insn with_tbi_insn: 22, 2;
    /// SCTLR_ELx.BT: PACIxSP does not count as a landing pad for BTYPE 3.
    bt with_bt: 24, 1;
    /// Software step is active (MDSCR_EL1.SS and not masked): bit 0; PSTATE.SS: bit 1.
    step with_step: 25, 2;
    /// PSTATE.IL is set: every instruction is an illegal execution state exception.
    illegal with_illegal: 27, 1;
    /// SCTLR_ELx.nAA: an ordered access may cross a 16-byte boundary (FEAT_LSE2).
    naa with_naa: 28, 1;
    /// The memory copy and memory set instructions may execute (SCTLR_EL1.MSCEn at EL0).
    mops with_mops: 29, 1;
    /// PSTATE.SP.
    spsel with_spsel: 30, 1;
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
    /// TCR_ELx.TBI for data addresses: bit 0 lower half, bit 1 upper half. This and the next two are zero while no key is enabled.
    tbi_data with_tbi_data: 48, 2;
    /// CalculateBottomPACBit of the lower half.
    pac_lower with_pac_lower: 50, 6;
    /// CalculateBottomPACBit of the upper half.
    pac_upper with_pac_upper: 56, 6;
}

/// Bits of SCTLR_EL1.
#[allow(missing_docs)] // The names say all.
pub mod sctlr {
    pub const M: u64 = 1 << 0;
    pub const A: u64 = 1 << 1;
    pub const C: u64 = 1 << 2;
    pub const SA: u64 = 1 << 3;
    pub const SA0: u64 = 1 << 4;
    pub const NAA: u64 = 1 << 6;
    pub const UMA: u64 = 1 << 9;
    pub const EN_RCTX: u64 = 1 << 10;
    pub const I: u64 = 1 << 12;
    pub const EN_DB: u64 = 1 << 13;
    pub const DZE: u64 = 1 << 14;
    pub const UCT: u64 = 1 << 15;
    pub const NTWI: u64 = 1 << 16;
    pub const NTWE: u64 = 1 << 18;
    pub const WXN: u64 = 1 << 19;
    pub const TSCXT: u64 = 1 << 20;
    pub const SPAN: u64 = 1 << 23;
    pub const E0E: u64 = 1 << 24;
    pub const EE: u64 = 1 << 25;
    pub const UCI: u64 = 1 << 26;
    pub const EN_DA: u64 = 1 << 27;
    pub const EN_IB: u64 = 1 << 30;
    pub const EN_IA: u64 = 1 << 31;
    pub const CMOW: u64 = 1 << 32;
    pub const MSCEN: u64 = 1 << 33;
    pub const BT0: u64 = 1 << 35;
    pub const BT1: u64 = 1 << 36;
    pub const DSSBS: u64 = 1 << 44;
    pub const EPAN: u64 = 1 << 57;
    pub const NMI: u64 = 1 << 61;
    pub const SPINTMASK: u64 = 1 << 62;
}

/// Privilege views of data accesses.
pub mod view {
    /// EL0, and unprivileged accesses of EL1.
    pub const EL0: u32 = 0;
    /// EL1 without PAN.
    pub const EL1: u32 = 1;
    /// EL1 with PAN: what EL0 can access is out of reach.
    pub const EL1_PAN: u32 = 2;
    /// Added to these in odd ASIDs, once a kernel is seen to give each program a pair of ASIDs: the even one for itself, the odd one, with tables of
    /// TTBR1_EL1 that have next to nothing, for EL0 (kernels do so for cores without FEAT_CSV3). The host keeps what belongs to one while the
    /// other is in use, where each exception and each return would else be a change of address spaces.
    pub const OTHER: u32 = 4;
    /// Number of views.
    pub const COUNT: u32 = 8;
}

impl ModeKey {
    /// True if a key of pointer authentication is enabled: only then does the mode key say where the code of a pointer lies, which is never at
    /// bit 0.
    pub const fn pauth(self) -> bool {
        self.pac_lower() != 0
    }
    /// The key that a state asks for. What registers say of it is worked out anew only if one of them is not what it was.
    pub fn of(cpu: &mut State) -> ModeKey {
        let registers = Registers::of(cpu);
        let n = usize::from(cpu.el == 0);
        if cpu.modes[n].registers != registers {
            cpu.modes[n] = Known { key: ModeKey::of_registers(cpu), registers };
        }
        cpu.modes[n].key.with_pstate(cpu)
    }
    /// The same, worked out.
    pub fn compute(cpu: &State) -> ModeKey {
        ModeKey::of_registers(cpu).with_pstate(cpu)
    }
    /// The key of the registers in it alone, as they are for EL0 or for the others.
    fn of_registers(cpu: &State) -> ModeKey {
        let sctlr = cpu.sctlr();
        let bit = |value: u64, i: u32| (value >> i) as u32 & 1;
        let flag = |mask: u64| u32::from(sctlr & mask != 0);
        let el0 = cpu.el == 0;
        let at = |for_el0: u64, for_el1: u64| flag(if el0 { for_el0 } else { for_el1 });
        let fpen = (cpu.sysreg[word::CPACR_EL1] >> 20) as u32 & 3;
        let fp_trap = match fpen {
            3 => 0,
            1 if !el0 => 0,
            _ => 1 | 1 << 1,
        };
        let tcr = cpu.sysreg[word::TCR_EL1];
        let tbi_insn = (bit(tcr, 37) & !bit(tcr, 51)) | (bit(tcr, 38) & !bit(tcr, 52)) << 1;
        let el0_access = if el0 { flag(sctlr::DZE) | flag(sctlr::UCT) << 1 | flag(sctlr::UCI) << 2 | flag(sctlr::UMA) << 3 } else { 0xf };
        let fpcr = cpu.fpcr;
        let key = if sctlr & (sctlr::EN_IA | sctlr::EN_IB | sctlr::EN_DA | sctlr::EN_DB) == 0 {
            ModeKey::default()
        } else {
            let (lower, upper) = (crate::mmu::input_bits(cpu, false), crate::mmu::input_bits(cpu, true));
            ModeKey::default().with_pauth_ia(flag(sctlr::EN_IA)).with_tbi_data((tcr >> 37) as u32 & 3).with_pac_lower(lower).with_pac_upper(upper)
        };
        key.with_fp_trap(fp_trap)
            .with_align_check(flag(sctlr::A))
            .with_sp_check(at(sctlr::SA0, sctlr::SA))
            .with_big_endian(at(sctlr::E0E, sctlr::EE))
            .with_tbi_insn(tbi_insn)
            .with_bt(at(sctlr::BT0, sctlr::BT1))
            .with_naa(flag(sctlr::NAA))
            .with_mops(if el0 { flag(sctlr::MSCEN) } else { 1 })
            .with_rmode((fpcr >> 22) as u32 & 3)
            .with_fz(bit(fpcr, 24))
            .with_dn(bit(fpcr, 25))
            .with_fz16(bit(fpcr, 19))
            .with_ahp(bit(fpcr, 26))
            .with_ah(bit(fpcr, 1))
            .with_fiz(bit(fpcr, 0))
            .with_nep(bit(fpcr, 2))
            .with_ebf(bit(fpcr, 13))
            .with_el0_access(el0_access)
            .with_wfx_trap(if el0 { (flag(sctlr::NTWI) | flag(sctlr::NTWE) << 1) ^ 3 } else { 0 })
    }
    /// A key of registers with what PSTATE adds; BTYPE stays what the state's key says.
    fn with_pstate(self, cpu: &State) -> ModeKey {
        let el0 = cpu.el == 0;
        let view = match (el0, cpu.pan) {
            (true, _) => view::EL0,
            (_, 0) => view::EL1,
            _ => view::EL1_PAN,
        };
        let other = u32::from(cpu.other_views & 1) * view::OTHER;
        let step = if crate::exception::step::enabled(cpu) { 1 | u32::from(cpu.ss & 1) << 1 } else { 0 };
        ModeKey(self.0 | cpu.header.mode_key & 3)
            .with_el(u32::from(cpu.el))
            .with_view(view | other)
            .with_unpriv_view(if !el0 && cpu.uao != 0 { view } else { view::EL0 } | other)
            .with_step(step)
            .with_illegal(u32::from(cpu.il & 1))
            .with_spsel(u32::from(cpu.spsel))
    }
}

/// The registers that are in the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Registers {
    sctlr: u64,
    tcr: u64,
    cpacr: u64,
    fpcr: u64,
    /// What this is of exists: all zeroes is none.
    known: bool,
}

impl Registers {
    fn of(cpu: &State) -> Registers {
        let word = |n| cpu.sysreg[n];
        Registers { sctlr: cpu.sctlr(), tcr: word(word::TCR_EL1), cpacr: word(word::CPACR_EL1), fpcr: cpu.fpcr, known: true }
    }
}

/// A key of registers, and theirs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    key: ModeKey,
    registers: Registers,
}
