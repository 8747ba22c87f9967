//! System registers, exception generation and return, barriers, cache, TLB and address translation
//! instructions.

use crate::{Asm, Label, Reg, X0, X1, X2, X3};

/// A system register by its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysReg(u16);

impl SysReg {
    /// From the five numbers as in `S<op0>_<op1>_C<crn>_C<crm>_<op2>`; op0 is 2 or 3.
    pub const fn new(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> Self {
        Self(((op0 & 3) << 14 | (op1 & 7) << 11 | (crn & 15) << 7 | (crm & 15) << 3 | op2 & 7) as u16)
    }

    /// The field o0:op1:CRn:CRm:op2 at its place in MRS and MSR.
    const fn field(self) -> u32 {
        (self.0 as u32) << 5
    }
}

macro_rules! sysregs {
    ($($name:ident $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal;)*) => {
        #[allow(non_upper_case_globals)] // the manual writes them so
        impl SysReg {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub const $name: Self = Self::new($op0, $op1, $crn, $crm, $op2);
            )*

            /// The register of that name, among those that have a constant here.
            pub fn by_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

sysregs! {
    MDSCR_EL1 2 0 0 2 2;
    OSLAR_EL1 2 0 1 0 4;
    MIDR_EL1 3 0 0 0 0;
    MPIDR_EL1 3 0 0 0 5;
    REVIDR_EL1 3 0 0 0 6;
    ID_AA64PFR0_EL1 3 0 0 4 0;
    ID_AA64PFR1_EL1 3 0 0 4 1;
    ID_AA64ZFR0_EL1 3 0 0 4 4;
    ID_AA64SMFR0_EL1 3 0 0 4 5;
    ID_AA64DFR0_EL1 3 0 0 5 0;
    ID_AA64ISAR0_EL1 3 0 0 6 0;
    ID_AA64ISAR1_EL1 3 0 0 6 1;
    ID_AA64ISAR2_EL1 3 0 0 6 2;
    ID_AA64MMFR0_EL1 3 0 0 7 0;
    ID_AA64MMFR1_EL1 3 0 0 7 1;
    ID_AA64MMFR2_EL1 3 0 0 7 2;
    ID_AA64MMFR3_EL1 3 0 0 7 3;
    SCTLR_EL1 3 0 1 0 0;
    ACTLR_EL1 3 0 1 0 1;
    CPACR_EL1 3 0 1 0 2;
    SCTLR2_EL1 3 0 1 0 3;
    TTBR0_EL1 3 0 2 0 0;
    TTBR1_EL1 3 0 2 0 1;
    TCR_EL1 3 0 2 0 2;
    APIAKeyLo_EL1 3 0 2 1 0;
    APIAKeyHi_EL1 3 0 2 1 1;
    APIBKeyLo_EL1 3 0 2 1 2;
    APIBKeyHi_EL1 3 0 2 1 3;
    APDAKeyLo_EL1 3 0 2 2 0;
    APDAKeyHi_EL1 3 0 2 2 1;
    APDBKeyLo_EL1 3 0 2 2 2;
    APDBKeyHi_EL1 3 0 2 2 3;
    APGAKeyLo_EL1 3 0 2 3 0;
    APGAKeyHi_EL1 3 0 2 3 1;
    SPSR_EL1 3 0 4 0 0;
    ELR_EL1 3 0 4 0 1;
    SP_EL0 3 0 4 1 0;
    SPSel 3 0 4 2 0;
    CurrentEL 3 0 4 2 2;
    PAN 3 0 4 2 3;
    ICC_PMR_EL1 3 0 4 6 0;
    ESR_EL1 3 0 5 2 0;
    FAR_EL1 3 0 6 0 0;
    PAR_EL1 3 0 7 4 0;
    MAIR_EL1 3 0 10 2 0;
    VBAR_EL1 3 0 12 0 0;
    ISR_EL1 3 0 12 1 0;
    ICC_IAR1_EL1 3 0 12 12 0;
    ICC_EOIR1_EL1 3 0 12 12 1;
    ICC_BPR1_EL1 3 0 12 12 3;
    ICC_SGI1R_EL1 3 0 12 11 5;
    ICC_CTLR_EL1 3 0 12 12 4;
    ICC_SRE_EL1 3 0 12 12 5;
    ICC_IGRPEN1_EL1 3 0 12 12 7;
    CONTEXTIDR_EL1 3 0 13 0 1;
    TPIDR_EL1 3 0 13 0 4;
    CNTKCTL_EL1 3 0 14 1 0;
    CLIDR_EL1 3 1 0 0 1;
    CTR_EL0 3 3 0 0 1;
    DCZID_EL0 3 3 0 0 7;
    NZCV 3 3 4 2 0;
    DAIF 3 3 4 2 1;
    DIT 3 3 4 2 5;
    SSBS 3 3 4 2 6;
    FPCR 3 3 4 4 0;
    FPSR 3 3 4 4 1;
    PMCR_EL0 3 3 9 12 0;
    PMCNTENSET_EL0 3 3 9 12 1;
    PMCCNTR_EL0 3 3 9 13 0;
    PMUSERENR_EL0 3 3 9 14 0;
    TPIDR_EL0 3 3 13 0 2;
    TPIDRRO_EL0 3 3 13 0 3;
    CNTFRQ_EL0 3 3 14 0 0;
    CNTPCT_EL0 3 3 14 0 1;
    CNTVCT_EL0 3 3 14 0 2;
    CNTP_TVAL_EL0 3 3 14 2 0;
    CNTP_CTL_EL0 3 3 14 2 1;
    CNTP_CVAL_EL0 3 3 14 2 2;
    CNTV_TVAL_EL0 3 3 14 3 0;
    CNTV_CTL_EL0 3 3 14 3 1;
    CNTV_CVAL_EL0 3 3 14 3 2;
    HCR_EL2 3 4 1 1 0;
    SPSR_EL2 3 4 4 0 0;
    ELR_EL2 3 4 4 0 1;
}

/// The domain and access types of DMB and DSB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Barrier {
    /// Inner shareable, loads.
    Ishld = 9,
    /// Inner shareable, stores.
    Ishst = 10,
    /// Inner shareable.
    Ish = 11,
    /// Non-shareable.
    Nsh = 7,
    /// Full system, loads.
    Ld = 13,
    /// Full system, stores.
    St = 14,
    /// Full system.
    Sy = 15,
}

/// A PSTATE field that MSR (immediate) writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PState {
    /// SPSel.
    SpSel,
    /// Sets bits of DAIF.
    DaifSet,
    /// Clears bits of DAIF.
    DaifClr,
    /// PAN.
    Pan,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self) {
            self.word($word);
        }
    )*};
}

macro_rules! exception {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, imm: u16) {
            self.word($word | u32::from(imm) << 5);
        }
    )*};
}

/// One method a SYS alias with a register operand: op1, CRn, CRm, op2.
macro_rules! sys_reg {
    ($($(#[$doc:meta])* $name:ident $op1:literal $crn:literal $crm:literal $op2:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rt: Reg) {
            self.sys($op1, $crn, $crm, $op2, rt);
        }
    )*};
}

impl Asm {
    /// MRS.
    pub fn mrs(&mut self, rt: Reg, reg: SysReg) {
        self.word(0xd520_0000 | reg.field() | rt.num());
    }

    /// MSR (register).
    pub fn msr(&mut self, reg: SysReg, rt: Reg) {
        self.word(0xd500_0000 | reg.field() | rt.num());
    }

    /// MSR (immediate).
    pub fn msr_imm(&mut self, field: PState, imm: u32) {
        let (op1, op2) = match field {
            PState::SpSel => (0, 5),
            PState::DaifSet => (3, 6),
            PState::DaifClr => (3, 7),
            PState::Pan => (0, 4),
        };
        self.check(imm < 16, || format!("PSTATE immediate {imm}"));
        self.word(0xd500_401f | op1 << 16 | (imm & 15) << 8 | op2 << 5);
    }

    /// SYS: any IC, DC, TLBI or AT by its numbers; without an operand `rt` is XZR.
    pub fn sys(&mut self, op1: u32, crn: u32, crm: u32, op2: u32, rt: Reg) {
        let field = (op1 & 7) << 16 | (crn & 15) << 12 | (crm & 15) << 8 | (op2 & 7) << 5;
        self.word(0xd508_0000 | field | rt.num());
    }

    exception! {
        /// SVC.
        svc 0xd400_0001;
        /// HVC.
        hvc 0xd400_0002;
        /// SMC.
        smc 0xd400_0003;
        /// BRK.
        brk 0xd420_0000;
        /// HLT.
        hlt 0xd440_0000;
    }

    fixed! {
        /// ERET.
        eret 0xd69f_03e0;
        /// YIELD.
        yield_ 0xd503_203f;
        /// WFE.
        wfe 0xd503_205f;
        /// WFI.
        wfi 0xd503_207f;
        /// SEV.
        sev 0xd503_209f;
        /// ISB.
        isb 0xd503_3fdf;
        /// CLREX.
        clrex 0xd503_3f5f;
        /// PACIASP (FEAT_PAuth; else nothing).
        paciasp 0xd503_233f;
        /// AUTIASP (FEAT_PAuth; else nothing).
        autiasp 0xd503_23bf;
        /// TLBI VMALLE1.
        tlbi_vmalle1 0xd508_871f;
        /// TLBI VMALLE1IS.
        tlbi_vmalle1is 0xd508_831f;
        /// IC IALLU.
        ic_iallu 0xd508_751f;
        /// IC IALLUIS.
        ic_ialluis 0xd508_711f;
    }

    sys_reg! {
        /// IC IVAU.
        ic_ivau 3 7 5 1;
        /// DC ZVA.
        dc_zva 3 7 4 1;
        /// DC CVAC.
        dc_cvac 3 7 10 1;
        /// DC CVAU.
        dc_cvau 3 7 11 1;
        /// DC CIVAC.
        dc_civac 3 7 14 1;
        /// DC IVAC.
        dc_ivac 0 7 6 1;
        /// TLBI VAE1IS.
        tlbi_vae1is 0 8 3 1;
        /// TLBI ASIDE1.
        tlbi_aside1 0 8 7 2;
        /// TLBI VAAE1IS.
        tlbi_vaae1is 0 8 3 3;
        /// AT S1E1R.
        at_s1e1r 0 7 8 0;
        /// AT S1E1W.
        at_s1e1w 0 7 8 1;
        /// AT S1E0R.
        at_s1e0r 0 7 8 2;
        /// AT S1E0W.
        at_s1e0w 0 7 8 3;
    }

    /// DMB.
    pub fn dmb(&mut self, what: Barrier) {
        self.word(0xd503_30bf | (what as u32) << 8);
    }

    /// DSB.
    pub fn dsb(&mut self, what: Barrier) {
        self.word(0xd503_309f | (what as u32) << 8);
    }

    /// Starts CPU `n` (affinity 0.0.0.n) at a label with `n` in X0: PSCI's CPU_ON in its 64-bit form, by HVC. Changes X0 to X3.
    pub fn cpu_on(&mut self, n: u64, entry: Label) {
        self.mov_imm(X1, n);
        self.load_address(X2, entry);
        self.mov_imm(X3, n);
        self.mov_imm(X0, 0xc400_0003);
        self.hvc(0);
    }

    /// Turns the MMU on at EL1 by one table of 1 GiB entries at X0. Attribute 0 is Device-nGnRnE, 1 Normal write-back. Changes X1.
    pub fn mmu_on(&mut self) {
        self.msr(SysReg::TTBR0_EL1, X0);
        self.mov_imm(X1, 0xff00);
        self.msr(SysReg::MAIR_EL1, X1);
        // T0SZ 25 (one such table), EPD1, IPS 40 bits.
        self.mov_imm(X1, 25 | 1 << 23 | 2 << 32);
        self.msr(SysReg::TCR_EL1, X1);
        self.isb();
        self.tlbi_vmalle1();
        self.dsb(Barrier::Sy);
        self.mov_imm(X1, 0x30d0_0800 | 0x1005);
        self.msr(SysReg::SCTLR_EL1, X1);
        self.isb();
    }
}
