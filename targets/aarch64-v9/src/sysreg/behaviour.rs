//! What reading and writing a register does where it is more than storage. The performance monitors and timers are in files of their own.

pub use super::pmu::*;
pub use super::timer::*;
use super::{Row, word};
use crate::Aarch64;
use crate::feature::Feature;
use crate::mmu;
use crate::mode::{sctlr, view};
use crate::state::State;
use emu_plugins_api::{FP_FLAG_SATURATED, FlushKind, TlbFlush};
use std::sync::atomic::Ordering;

/// The views of most address spaces.
const VIEWS: u32 = (1 << view::OTHER) - 1;
/// The views of odd ASIDs, where those are the second of a pair.
const OTHER_VIEWS: u32 = VIEWS << view::OTHER;

/// Every translation of this CPU is forgotten: the meaning of the tables has changed.
fn flush_local(cpu: &mut State) {
    cpu.header.tlb_flush(&TlbFlush { kind: FlushKind::ALL, asid: 0, va: 0, last: u64::MAX, views: u32::MAX, broadcast: 0 });
}

fn store(cpu: &mut State, row: &Row, value: u64) -> bool {
    let word = &mut cpu.sysreg[usize::from(row.word)];
    let new = row.stored(value);
    let changed = *word != new;
    *word = new;
    changed
}

pub(super) fn ignore(_: &mut State, _: &Row, _: u64) {}

// -- control -----------------------------------------------------------------------------------------------------------------------------

pub(super) fn sctlr_el1(cpu: &mut State, row: &Row, value: u64) {
    let arch = Aarch64::of(cpu);
    let mut writable = u64::MAX;
    let gates = [
        (Feature::PAuth, sctlr::EN_IA | sctlr::EN_IB | sctlr::EN_DA | sctlr::EN_DB),
        (Feature::BTI, sctlr::BT0 | sctlr::BT1),
        (Feature::SSBS, sctlr::DSSBS),
        (Feature::PAN, sctlr::SPAN),
        (Feature::PAN3, sctlr::EPAN),
        (Feature::NMI, sctlr::NMI | sctlr::SPINTMASK),
        (Feature::MOPS, sctlr::MSCEN),
        (Feature::CMOW, sctlr::CMOW),
        (Feature::LSE2, sctlr::NAA),
        (Feature::SPECRES, sctlr::EN_RCTX),
        (Feature::CSV2_2, sctlr::TSCXT),
        // Not implemented: MTE (TCF, ATA and so on), LS64, TME, TWED, SME, PAuth_LR, FEAT_LSMAOC's two.
    ];
    for (feature, bits) in gates {
        if !arch.has(feature) {
            writable &= !bits;
        }
    }
    writable &= !(0xf_u64 << 37 | 3 << 42 | 0xf << 45 | 0x3f << 49 | 7 << 54 | 3 << 58 | 1 << 60);
    // SPAN and TSCXT are RES1 without their features.
    let mut ones = 0;
    if !arch.has(Feature::PAN) {
        ones |= sctlr::SPAN;
    }
    if !arch.has(Feature::CSV2_2) {
        ones |= sctlr::TSCXT;
    }
    let old = cpu.sysreg[usize::from(row.word)];
    let new = value & writable | ones;
    cpu.sysreg[usize::from(row.word)] = new;
    // Bits that walks use and that need no TLB maintenance of the guest when translation is being turned on or off.
    if (old ^ new) & (sctlr::M | sctlr::WXN | sctlr::EPAN | sctlr::EE) != 0 {
        flush_local(cpu);
    }
    cpu.refresh_mode();
}

pub(super) fn cpacr_el1(cpu: &mut State, row: &Row, value: u64) {
    store(cpu, row, value);
    cpu.refresh_mode();
}

pub(super) fn ttbr(cpu: &mut State, row: &Row, value: u64) {
    store(cpu, row, value);
    announce_asid(cpu);
}

pub(super) fn tcr_el1(cpu: &mut State, row: &Row, value: u64) {
    if store(cpu, row, value) {
        flush_local(cpu);
        announce_asid(cpu);
        cpu.refresh_mode();
    }
}

pub(super) fn tcr2_el1(cpu: &mut State, row: &Row, value: u64) {
    if store(cpu, row, value) {
        flush_local(cpu);
    }
}

pub(super) fn mair_el1(cpu: &mut State, row: &Row, value: u64) {
    if store(cpu, row, value) {
        flush_local(cpu);
    }
}

/// So many changes between the ASIDs of a pair are waited for before the pairs have views of their own.
pub const PAIRED: u32 = 8;

/// Tells the host the ASID in use, and which views it is used through: see [`view::OTHER`].
pub fn announce_asid(cpu: &mut State) {
    let asid = mmu::current_asid(cpu);
    let tables = cpu.sysreg[word::TTBR1_EL1] & ((1 << 48) - 1);
    let before = std::mem::replace(&mut cpu.announced, (tables, asid));
    if before.0 != tables && before.1 ^ asid == 1 && cpu.pairs < PAIRED {
        cpu.pairs += 1;
    }
    let other = cpu.pairs == PAIRED && asid & 1 != 0;
    cpu.header.address_space_in(asid, if other { OTHER_VIEWS } else { VIEWS });
    if cpu.other_views != u8::from(other) {
        cpu.other_views = other.into();
        cpu.refresh_mode();
    }
}

pub(super) fn rvbar(_: &mut State, _: &Row) -> u64 {
    0
}

/// RMR_EL1: AA64 is 1 and fixed.
pub(super) fn rmr(_: &mut State, _: &Row) -> u64 {
    1
}

pub(super) fn isr_el1(cpu: &mut State, _: &Row) -> u64 {
    let lines = u64::from(cpu.header.lines.load(Ordering::SeqCst));
    (lines & 1) << 7 | (lines >> 1 & 1) << 6
}

// -- identification ------------------------------------------------------------------------------------------------------------------------

/// ID_AA64PFR0_EL1: GIC says whether the machine has an interrupt controller's CPU interface in system registers.
pub(super) fn id_aa64pfr0(cpu: &mut State, row: &Row) -> u64 {
    const ICC_SRE_EL1: u16 = super::key(3, 0, 12, 12, 5);
    let gic = cpu.header.bank_read(u32::from(ICC_SRE_EL1)).is_some();
    Aarch64::of(cpu).id_value(row) | u64::from(gic) << 24
}

pub(super) fn ccsidr(cpu: &mut State, _: &Row) -> u64 {
    let select = cpu.sysreg[word::CSSELR_EL1] as usize;
    Aarch64::of(cpu).ccsidr(select)
}

pub(super) fn dczid(cpu: &mut State, _: &Row) -> u64 {
    let prohibited = cpu.el == 0 && cpu.sctlr() & sctlr::DZE == 0;
    Aarch64::of(cpu).dczid() | u64::from(prohibited) << 4
}

// -- PSTATE ----------------------------------------------------------------------------------------------------------------------------------

pub(super) fn sp_el0_read(cpu: &mut State, _: &Row) -> u64 {
    cpu.sp_el[0]
}
pub(super) fn sp_el0_write(cpu: &mut State, _: &Row, value: u64) {
    cpu.sp_el[0] = value;
}
pub(super) fn spsel_read(cpu: &mut State, _: &Row) -> u64 {
    u64::from(cpu.spsel)
}
pub(super) fn spsel_write(cpu: &mut State, _: &Row, value: u64) {
    let el = cpu.el;
    cpu.set_el_and_sp(el, value as u8 & 1);
    cpu.refresh_mode();
}
pub(super) fn current_el(cpu: &mut State, _: &Row) -> u64 {
    u64::from(cpu.el) << 2
}
pub(super) fn nzcv_read(cpu: &mut State, _: &Row) -> u64 {
    u64::from(cpu.nzcv()) << 28
}
pub(super) fn nzcv_write(cpu: &mut State, _: &Row, value: u64) {
    cpu.set_nzcv((value >> 28) as u32);
}
pub(super) fn daif_read(cpu: &mut State, _: &Row) -> u64 {
    u64::from(cpu.daif) << 6
}
pub(super) fn daif_write(cpu: &mut State, _: &Row, value: u64) {
    cpu.daif = (value >> 6) as u8 & 0xf;
    cpu.refresh_mode();
}

macro_rules! pstate_bit {
    ($($field:ident $lsb:literal $read:ident $write:ident;)*) => { $(
        pub(super) fn $read(cpu: &mut State, _: &Row) -> u64 {
            u64::from(cpu.$field) << $lsb
        }
        pub(super) fn $write(cpu: &mut State, _: &Row, value: u64) {
            cpu.$field = (value >> $lsb) as u8 & 1;
            cpu.refresh_mode();
        }
    )* };
}
pstate_bit! {
    pan 22 pan_read pan_write;
    uao 23 uao_read uao_write;
    dit 24 dit_read dit_write;
    ssbs 12 ssbs_read ssbs_write;
}

// -- floating point --------------------------------------------------------------------------------------------------------------------------

/// FPSR.{IOC, DZC, OFC, UFC, IXC} are the first five sticky flags in the same order.
const FPSR_LOW: u64 = 0x1f;
/// FPSR.IDC, and the sticky flag that it is.
const FPSR_IDC: u64 = 1 << 7;
const FLAG_INPUT_DENORMAL: u32 = 1 << 5;
/// FPSR.QC.
const FPSR_QC: u64 = 1 << 27;

/// FPSR from its two places.
pub fn fpsr(cpu: &State) -> u64 {
    let flags = cpu.header.fp_flags;
    let mut v = cpu.fpsr | u64::from(flags) & FPSR_LOW;
    if flags & FLAG_INPUT_DENORMAL != 0 {
        v |= FPSR_IDC;
    }
    if flags & FP_FLAG_SATURATED != 0 {
        v |= FPSR_QC;
    }
    v
}

/// Writes FPSR to its two places. NZCV (AArch32's) is RES0 where AArch32 does not exist.
pub fn set_fpsr(cpu: &mut State, value: u64) {
    let mut flags = (value & FPSR_LOW) as u32;
    if value & FPSR_IDC != 0 {
        flags |= FLAG_INPUT_DENORMAL;
    }
    if value & FPSR_QC != 0 {
        flags |= FP_FLAG_SATURATED;
    }
    cpu.fpsr = 0;
    cpu.header.fp_flags = flags;
}

pub(super) fn fpsr_read(cpu: &mut State, _: &Row) -> u64 {
    fpsr(cpu)
}
pub(super) fn fpsr_write(cpu: &mut State, _: &Row, value: u64) {
    set_fpsr(cpu, value);
}
pub(super) fn fpcr_read(cpu: &mut State, _: &Row) -> u64 {
    cpu.fpcr
}

/// FPCR's bits that can be written: AHP, DN, FZ, RMode, and those of the model's features. Trapped floating-point exceptions (IDE and so
/// on) are not supported, Stride and Len are AArch32's.
pub fn fpcr_writable(arch: &Aarch64) -> u64 {
    let mut mask = 1 << 26 | 1 << 25 | 1 << 24 | 3 << 22;
    if arch.has(Feature::FP16) {
        mask |= 1 << 19;
    }
    if arch.has(Feature::AFP) {
        mask |= 7;
    }
    if arch.has(Feature::EBF16) {
        mask |= 1 << 13;
    }
    mask
}

pub(super) fn fpcr_write(cpu: &mut State, _: &Row, value: u64) {
    cpu.fpcr = value & fpcr_writable(Aarch64::of(cpu));
    cpu.refresh_mode();
}

// -- random numbers ------------------------------------------------------------------------------------------------------------------------

/// RNDR, RNDRRS: a number is always ready, which NZCV 0000 says.
pub(super) fn rndr(cpu: &mut State, _: &Row) -> u64 {
    cpu.set_nzcv(0);
    cpu.header.random()
}

// -- debug -----------------------------------------------------------------------------------------------------------------------------------

pub(super) fn mdscr_el1(cpu: &mut State, row: &Row, value: u64) {
    store(cpu, row, value);
    cpu.refresh_mode();
}
pub(super) fn oslar_el1(cpu: &mut State, _: &Row, value: u64) {
    let lock = &mut cpu.sysreg[word::OSLSR_EL1];
    *lock = *lock & !2 | (value & 1) << 1;
    cpu.refresh_mode();
}
pub(super) fn dbgclaimset_read(_: &mut State, _: &Row) -> u64 {
    0xff
}
pub(super) fn dbgclaimset_write(cpu: &mut State, row: &Row, value: u64) {
    cpu.sysreg[usize::from(row.word)] |= value & 0xff;
}
pub(super) fn dbgclaimclr_write(cpu: &mut State, row: &Row, value: u64) {
    cpu.sysreg[usize::from(row.word)] &= !value;
}
/// DBGAUTHSTATUS_EL1: Non-secure debug is implemented and, invasive or not, enabled.
pub(super) fn dbgauthstatus(_: &mut State, _: &Row) -> u64 {
    0xf
}

// -- traps of EL0 -------------------------------------------------------------------------------------------------------------------------

pub(super) fn scxtnum(cpu: &State, _: bool) -> bool {
    cpu.sctlr() & sctlr::TSCXT != 0
}
/// MDSCR_EL1.TDCC traps the debug communication channel.
pub(super) fn tdcc(cpu: &State, _: bool) -> bool {
    cpu.sysreg[word::MDSCR_EL1] & 1 << 12 != 0
}
