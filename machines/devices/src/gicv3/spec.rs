//! Registers of the Generic Interrupt Controller, version 3 (Arm IHI 0069, GICv3 and GICv4 architecture specification).

/// Size of the distributor's window.
pub const GICD_WINDOW: u64 = 0x1_0000;
/// Size of one redistributor: RD_base and SGI_base frames.
pub const GICR_STRIDE: u64 = 0x2_0000;
/// First interrupt number that is no shared peripheral interrupt any more.
pub const SPI_END: usize = 1020;
/// Special interrupt number: nothing to acknowledge.
pub const SPURIOUS: u32 = 1023;

/// Distributor, offsets. Those of the per-interrupt registers (IGROUPR to NSACR) are the redistributors' too, in the SGI_base frame.
pub mod gicd {
    /// GICD_CTLR.
    pub const CTLR: u64 = 0x0000;
    /// GICD_TYPER.
    pub const TYPER: u64 = 0x0004;
    /// GICD_IIDR.
    pub const IIDR: u64 = 0x0008;
    /// GICD_IGROUPR: a bit an interrupt; 1 is Group 1.
    pub const IGROUPR: u64 = 0x0080;
    /// GICD_ISENABLER.
    pub const ISENABLER: u64 = 0x0100;
    /// GICD_ICENABLER.
    pub const ICENABLER: u64 = 0x0180;
    /// GICD_ISPENDR.
    pub const ISPENDR: u64 = 0x0200;
    /// GICD_ICPENDR.
    pub const ICPENDR: u64 = 0x0280;
    /// GICD_ISACTIVER.
    pub const ISACTIVER: u64 = 0x0300;
    /// GICD_ICACTIVER.
    pub const ICACTIVER: u64 = 0x0380;
    /// GICD_IPRIORITYR: a byte an interrupt.
    pub const IPRIORITYR: u64 = 0x0400;
    /// GICD_ITARGETSR: res0 with affinity routing.
    pub const ITARGETSR: u64 = 0x0800;
    /// GICD_ICFGR: two bits an interrupt.
    pub const ICFGR: u64 = 0x0c00;
    /// GICD_IGRPMODR: res0 with one Security state.
    pub const IGRPMODR: u64 = 0x0d00;
    /// GICD_IROUTER: 64 bits a shared interrupt.
    pub const IROUTER: u64 = 0x6000;
    /// GICD_IROUTER of interrupt 1019 ends here.
    pub const IROUTER_END: u64 = 0x7fe0;
    /// Identification registers, to the end of the 64 KiB frame.
    pub const IDREGS: u64 = 0xffd0;

    /// GICD_CTLR.EnableGrp0.
    pub const ENABLE_GRP0: u32 = 1 << 0;
    /// GICD_CTLR.EnableGrp1.
    pub const ENABLE_GRP1: u32 = 1 << 1;
    /// GICD_CTLR.ARE: affinity routing, always on here.
    pub const ARE: u32 = 1 << 4;
    /// GICD_CTLR.DS: one Security state, always here.
    pub const DS: u32 = 1 << 6;
    /// GICD_TYPER.IDbits: 16 bits.
    pub const TYPER_IDBITS: u32 = 15 << 19;
    /// GICD_TYPER.A3V.
    pub const TYPER_A3V: u32 = 1 << 24;
    /// GICD_IROUTER.Interrupt_Routing_Mode: any participating CPU.
    pub const IRM: u64 = 1 << 31;
    /// The affinity fields of GICD_IROUTER.
    pub const AFFINITY: u64 = 0xff_00ff_ffff;
}

/// Redistributor, RD_base frame, offsets.
pub mod gicr {
    /// GICR_CTLR.
    pub const CTLR: u64 = 0x0000;
    /// GICR_IIDR.
    pub const IIDR: u64 = 0x0004;
    /// GICR_TYPER, 64 bits.
    pub const TYPER: u64 = 0x0008;
    /// GICR_WAKER.
    pub const WAKER: u64 = 0x0014;
    /// The SGI_base frame.
    pub const SGI_BASE: u64 = 0x1_0000;
    /// GICR_TYPER.Last.
    pub const TYPER_LAST: u64 = 1 << 4;
    /// GICR_WAKER.ProcessorSleep; ChildrenAsleep is the next bit.
    pub const PROCESSOR_SLEEP: u32 = 1 << 1;
    /// GICR_WAKER.ChildrenAsleep.
    pub const CHILDREN_ASLEEP: u32 = 1 << 2;
}

/// IIDR of distributor and redistributors: JEP106 code of Arm.
pub const IIDR: u32 = 0x43b;

/// A word of the identification registers at `offset` from [`gicd::IDREGS`]: CoreSight PIDR4-7, PIDR0-3, CIDR0-3. PIDR2 bits 7 to 4 say
/// GICv3.
pub fn id(offset: u64, pidr0: u8) -> u32 {
    const IDS: [u8; 12] = [0x44, 0, 0, 0, 0, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1];
    match (offset / 4) as usize {
        4 => pidr0.into(),
        i => IDS.get(i).copied().unwrap_or(0).into(),
    }
}
/// PIDR0 of the distributor.
pub const GICD_PIDR0: u8 = 0x92;
/// PIDR0 of a redistributor.
pub const GICR_PIDR0: u8 = 0x93;

/// Number of priority bits, and so of preemption bits.
pub const PRIORITY_BITS: u32 = 5;
/// Priority bits that exist.
pub const PRIORITY_MASK: u8 = 0xff << (8 - PRIORITY_BITS);
/// Smallest ICC_BPR0_EL1; ICC_BPR1_EL1's is one more.
pub const MIN_BPR: u8 = (7 - PRIORITY_BITS) as u8;

/// CPU interface registers by the number `op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2`.
pub mod icc {
    const fn reg(crn: u32, crm: u32, op2: u32) -> u32 {
        3 << 14 | crn << 7 | crm << 3 | op2
    }
    /// ICC_PMR_EL1.
    pub const PMR: u32 = reg(4, 6, 0);
    /// ICC_IAR0_EL1.
    pub const IAR0: u32 = reg(12, 8, 0);
    /// ICC_EOIR0_EL1.
    pub const EOIR0: u32 = reg(12, 8, 1);
    /// ICC_HPPIR0_EL1.
    pub const HPPIR0: u32 = reg(12, 8, 2);
    /// ICC_BPR0_EL1.
    pub const BPR0: u32 = reg(12, 8, 3);
    /// ICC_AP0R0_EL1; the other three exist only with more preemption bits.
    pub const AP0R0: u32 = reg(12, 8, 4);
    /// ICC_AP1R0_EL1; the other three exist only with more preemption bits.
    pub const AP1R0: u32 = reg(12, 9, 0);
    /// ICC_DIR_EL1.
    pub const DIR: u32 = reg(12, 11, 1);
    /// ICC_RPR_EL1.
    pub const RPR: u32 = reg(12, 11, 3);
    /// ICC_SGI1R_EL1.
    pub const SGI1R: u32 = reg(12, 11, 5);
    /// ICC_ASGI1R_EL1.
    pub const ASGI1R: u32 = reg(12, 11, 6);
    /// ICC_SGI0R_EL1.
    pub const SGI0R: u32 = reg(12, 11, 7);
    /// ICC_IAR1_EL1.
    pub const IAR1: u32 = reg(12, 12, 0);
    /// ICC_EOIR1_EL1.
    pub const EOIR1: u32 = reg(12, 12, 1);
    /// ICC_HPPIR1_EL1.
    pub const HPPIR1: u32 = reg(12, 12, 2);
    /// ICC_BPR1_EL1.
    pub const BPR1: u32 = reg(12, 12, 3);
    /// ICC_CTLR_EL1.
    pub const CTLR: u32 = reg(12, 12, 4);
    /// ICC_SRE_EL1.
    pub const SRE: u32 = reg(12, 12, 5);
    /// ICC_IGRPEN0_EL1.
    pub const IGRPEN0: u32 = reg(12, 12, 6);
    /// ICC_IGRPEN1_EL1.
    pub const IGRPEN1: u32 = reg(12, 12, 7);

    /// ICC_CTLR_EL1.CBPR: Group 1 uses ICC_BPR0_EL1.
    pub const CTLR_CBPR: u32 = 1 << 0;
    /// ICC_CTLR_EL1.EOImode: end of interrupt only drops the priority.
    pub const CTLR_EOIMODE: u32 = 1 << 1;
    /// ICC_CTLR_EL1.PMHE.
    pub const CTLR_PMHE: u32 = 1 << 6;
    /// ICC_CTLR_EL1, bits that are constant: PRIbits and A3V.
    pub const CTLR_FIXED: u32 = (super::PRIORITY_BITS - 1) << 8 | 1 << 15;
    /// ICC_SRE_EL1: SRE, DFB, DIB; there is no memory-mapped CPU interface.
    pub const SRE_FIXED: u32 = 7;
}

/// The affinity value (Aff3.Aff2.Aff1.Aff0 packed in 32 bits) of a CPU: 16 CPUs in a cluster, as ICC_SGI1R_EL1's target list counts.
pub const fn affinity(cpu: u32) -> u32 {
    (cpu / 16) << 8 | cpu % 16
}
