//! The system instructions (SYS): cache maintenance, TLB maintenance, address translation, prediction restriction.

use super::key;
use crate::Aarch64;
use crate::decode;
use crate::exception::{self, syndrome};
use crate::feature::Feature;
use crate::helper::system;
use crate::mmu;
use crate::mode::sctlr;
use crate::state::State;
use crate::translate::Translator;
use emu_plugins_api::ir::{Ty, Val};
use emu_plugins_api::{Access, AccessKind, FlushKind, TlbFlush};

/// Kinds of system instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// IC IALLU, IC IALLUIS.
    IcAll,
    /// IC IVAU.
    IcVa,
    /// DC by set and way: nothing to do without caches.
    DcSetWay,
    /// DC by address.
    DcVa,
    /// DC ZVA.
    DcZva,
    /// CFP, DVP, CPP, COSP RCTX: nothing to do without speculation.
    Predict,
    /// AT.
    At,
    /// TLBI.
    Tlbi,
}

/// A system instruction: what it is, whether EL0 may execute it, and the feature it needs.
struct Instruction {
    kind: Kind,
    el0: bool,
    feature: Option<Feature>,
}

fn classify(i: &decode::Sys) -> Option<Instruction> {
    let of = |kind, el0, feature| Some(Instruction { kind, el0, feature });
    match (i.op1, i.crn, i.crm, i.op2) {
        (0, 7, 1, 0) | (0, 7, 5, 0) => of(Kind::IcAll, false, None),
        (3, 7, 5, 1) => of(Kind::IcVa, true, None),
        (0, 7, 6, 1) => of(Kind::DcVa, false, None),
        (0, 7, 6, 2) | (0, 7, 10, 2) | (0, 7, 14, 2) => of(Kind::DcSetWay, false, None),
        (3, 7, 4, 1) => of(Kind::DcZva, true, None),
        (3, 7, 10 | 11 | 14, 1) => of(Kind::DcVa, true, None),
        (3, 7, 12, 1) => of(Kind::DcVa, true, Some(Feature::DPB)),
        (3, 7, 13, 1) => of(Kind::DcVa, true, Some(Feature::DPB2)),
        (3, 7, 3, 4 | 5 | 7) => of(Kind::Predict, true, Some(Feature::SPECRES)),
        (3, 7, 3, 6) => of(Kind::Predict, true, Some(Feature::SPECRES2)),
        (0, 7, 8, 0..=3) => of(Kind::At, false, None),
        (0, 7, 9, 0 | 1) => of(Kind::At, false, Some(Feature::PAN2)),
        (0, 7, 9, 2) => of(Kind::At, false, Some(Feature::ATS1A)),
        (0, 8 | 9, crm, op2) => {
            let feature = match (crm, op2) {
                (3 | 7, 0..=3 | 5 | 7) => None,
                (1, 0..=3 | 5 | 7) => Some(Feature::TLBIOS),
                (2 | 5 | 6, 1 | 3 | 5 | 7) => Some(Feature::TLBIRANGE),
                _ => return None,
            };
            // CRn 9: the nXS forms.
            of(Kind::Tlbi, false, if i.crn == 9 { Some(Feature::XS) } else { feature })
        }
        _ => None,
    }
}

/// Translates SYS.
pub(super) fn translate(t: &mut Translator<'_>, i: &decode::Sys) {
    let k = key(1, i.op1, i.crn, i.crm, i.op2);
    let Some(insn) = classify(i) else {
        if t.key.el() != 0 && i.op1 != 4 && i.op1 != 6 {
            t.arch.log_unknown_register(t.pc, k, false);
        }
        return t.undefined();
    };
    let el0 = t.key.el() == 0;
    if (el0 && !insn.el0) || insn.feature.is_some_and(|f| !t.feature(f)) {
        return t.undefined();
    }
    let access = t.key.el0_access();
    let trapped = el0
        && match insn.kind {
            Kind::IcVa | Kind::DcVa => access & 4 == 0,
            Kind::DcZva => access & 1 == 0,
            _ => false,
        };
    if trapped {
        return t.call_and_end(system::SYSREG_TRAP, &[], u64::from(syndrome::system_register(k, i.rt, false)));
    }
    let x = t.x(i.rt);
    match insn.kind {
        Kind::IcAll => {
            t.call(system::IC_ALL, &[], 0);
            t.end_and_look();
        }
        Kind::IcVa => {
            t.call(system::IC, &[x], 0);
            t.end_and_look();
        }
        Kind::DcSetWay => {}
        Kind::DcVa => {
            t.call(system::DC, &[x], u64::from(k) | u64::from(i.rt) << 16);
        }
        Kind::DcZva => zero_block(t, x),
        Kind::Predict => {
            if el0 {
                t.call(system::DC, &[x], u64::from(k) | u64::from(i.rt) << 16);
            }
        }
        Kind::At => {
            t.call(system::AT, &[x], u64::from(k));
        }
        Kind::Tlbi => {
            t.call(system::TLBI, &[x], u64::from(k));
            if i.op2 & 1 != 0 {
                // By address: if that may concern code the host has forgotten where all code is, so that what comes next is looked for; else
                // there is nothing to look at.
                t.end_and_find();
            } else {
                t.end_and_look();
            }
        }
    }
}

/// DC ZVA: stores of zeroes to the aligned block. (The alignment fault of a ZVA of Device memory is not raised.)
fn zero_block(t: &mut Translator<'_>, x: Val) {
    let bytes = 4i64 << (t.arch.dczid() & 15);
    let mask = t.ir.c64(!(bytes as u64 - 1));
    let base = t.ir.and(Ty::I64, x, mask);
    let zero = t.ir.const128(0);
    let flags = t.mem();
    // The block lies in one page. FAR_ELx of a fault is the register's value, so the first store is there.
    let byte = t.ir.iconst(Ty::I8, 0);
    t.ir.store(Ty::I8, x, 0, byte, flags);
    for at in (0..bytes).step_by(16) {
        t.ir.store(Ty::I128, base, at, zero, flags);
    }
}

/// DC by address, and CFP and family at EL0: only their faults and traps are seen. False if an exception was taken.
pub fn data_cache(cpu: &mut State, va: u64, k: u16, rt: u32) -> bool {
    if k >> 3 & 15 == 3 {
        if cpu.el == 0 && cpu.sctlr() & sctlr::EN_RCTX == 0 {
            let iss = syndrome::system_register(k, rt, false);
            exception::take_sync(cpu, syndrome::ec::SYSTEM_REGISTER, iss, None);
            return false;
        }
        return true;
    }
    // IVAC needs write permission; at EL0, all others read permission (with CMOW, clean and invalidate needs both); at EL1, a translation.
    let invalidate = k == key(1, 0, 7, 6, 1);
    let clean_invalidate = k == key(1, 3, 7, 14, 1);
    let write = invalidate || (clean_invalidate && cpu.el == 0 && cpu.sctlr() & sctlr::CMOW != 0);
    match probe(cpu, va, write) {
        Ok(()) => true,
        Err(fault) => {
            exception::raise_cache_maintenance(cpu, va, fault);
            false
        }
    }
}

fn probe(cpu: &mut State, va: u64, write: bool) -> Result<(), u64> {
    let el0 = cpu.el == 0;
    let kind = if write { AccessKind::WRITE } else { AccessKind::READ };
    let view = crate::mode::ModeKey(cpu.header.mode_key).view() as u8;
    let mut access = Access { va, size: 1, kind, view, reserved: 0, mem_flags: 0, insn_info: 0 };
    if Aarch64::of(cpu).runs_linux_programs() {
        // There are no tables to walk, and addresses may be longer than the model's physical ones. Who may write may read.
        return cpu.header.virtual_read(&mut access, &mut [0]);
    }
    let mut out = emu_plugins_api::Translation::default();
    match mmu::walk(cpu, &access, &mut out) {
        0 => Ok(()),
        // Permission faults of cleaning are EL0's only.
        fault if !write && !el0 && mmu::fsc::is_permission(fault as u32 & 0x3f) => Ok(()),
        fault => Err(fault),
    }
}

/// IC IVAU. False if an exception was taken.
pub fn insn_cache(cpu: &mut State, va: u64) -> bool {
    if let Err(fault) = probe(cpu, va, false) {
        exception::raise_cache_maintenance(cpu, va, fault);
        return false;
    }
    let va = mmu::branch_address(cpu, va);
    // CTR_EL0.IminLine: 16 words.
    cpu.header.code_changed(va & !63, 64, false);
    true
}

/// TLBI. The TTL hints are not used; the nXS forms do what the others do.
pub fn tlb_invalidate(cpu: &mut State, x: u64, k: u16) {
    let (crm, op2) = (u32::from(k) >> 3 & 15, u32::from(k) & 7);
    let broadcast = u32::from(matches!(crm, 1 | 2 | 3 | 5));
    let asid_bits = mmu::asid_mask(cpu);
    let asid = (x >> 48) as u32 & asid_bits;
    let (kind, va, last) = match op2 {
        0 => (FlushKind::ALL, 0, u64::MAX),
        2 => (FlushKind::ASID, 0, u64::MAX),
        _ => {
            let (va, last) = if matches!(crm, 2 | 5 | 6) { range(x) } else { page(cpu, x) };
            (if op2 & 3 == 3 { FlushKind::VA_ALL_ASIDS } else { FlushKind::VA }, va, last)
        }
    };
    // The host keeps translations by whole addresses. Once pages have been accessed through tagged addresses, an address does not name all
    // translations of its page.
    let kind = match kind {
        FlushKind::VA if mmu::has_tagged(cpu, va) => FlushKind::ALL,
        FlushKind::VA_ALL_ASIDS if mmu::has_tagged(cpu, va) => FlushKind::ALL,
        kind => kind,
    };
    cpu.header.tlb_flush(&TlbFlush { kind, asid, va, last, views: u32::MAX, broadcast });
}

/// VA<55:12> of a TLBI by address, and the last byte of the largest granule's page.
fn page(cpu: &State, x: u64) -> (u64, u64) {
    let va = ((x << 20) as i64 >> 8) as u64;
    let granule = mmu::granule_bits(cpu, va);
    let va = va & !((1u64 << granule) - 1);
    (va, va + ((1u64 << granule) - 1))
}

/// The range of a TLBI by range: BaseADDR in units of the granule TG, (NUM + 1) << (5 * SCALE + 1) of them.
fn range(x: u64) -> (u64, u64) {
    let granule = match x >> 46 & 3 {
        1 => 12,
        2 => 14,
        3 => 16,
        // Reserved: CONSTRAINED UNPREDICTABLE, here everything.
        _ => return (0, u64::MAX),
    };
    let (scale, num) = (x >> 44 & 3, x >> 39 & 31);
    // BaseADDR<36:0> is sign-extended: it is VA<48:12> for 4 KB and reaches up to bit 52 for 64 KB.
    let base = (((x << 27) as i64 >> 27) as u64) << granule;
    let length = (num + 1) << (5 * scale + 1 + granule);
    (base, base.saturating_add(length - 1))
}
