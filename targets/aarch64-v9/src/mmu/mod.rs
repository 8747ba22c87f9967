//! Address translation: which tables a virtual address is looked up in, stage 1 walks (`walk.rs`), and what else asks about addresses.
//!
//! Only the EL1&0 regime exists so far. A walk answers for one privilege view and fills in the permissions for loads, stores and fetches, so
//! that the host's TLB entry serves all of them. Faults are [`FAULT`] plus the fault status code of the manual (DFSC, IFSC).

mod walk;

pub use walk::Regime;
pub(crate) use walk::address_bits;

#[cfg(test)]
mod tests;

use crate::Aarch64;
use crate::feature::Feature;
use crate::mode::{sctlr, view};
use crate::state::State;
use crate::sysreg::{key, word};
use emu_plugins_api::{Access, AccessKind, Translation, attr, perm};
use std::sync::atomic::Ordering;
use walk::Leaf;

/// Added to a fault status code.
pub const FAULT: u64 = 0x100;
/// In a fault: a read of the same address would have been permitted.
pub const READ_ALLOWED: u64 = 0x400;
/// The fault of a fetch from an address that is no multiple of four.
pub const PC_MISALIGNED: u64 = 0x200;

/// Fault status codes, to which the level is added where there is one.
pub mod fsc {
    /// Address size fault.
    pub const ADDRESS_SIZE: u32 = 0x00;
    /// Translation fault.
    pub const TRANSLATION: u32 = 0x04;
    /// Access flag fault.
    pub const ACCESS_FLAG: u32 = 0x08;
    /// Permission fault.
    pub const PERMISSION: u32 = 0x0c;
    /// Synchronous external abort, not on a walk.
    pub const EXTERNAL: u32 = 0x10;
    /// Synchronous external abort on a walk.
    pub const EXTERNAL_ON_WALK: u32 = 0x14;
    /// Alignment fault.
    pub const ALIGNMENT: u32 = 0x21;
    /// Unsupported exclusive or atomic access.
    pub const UNSUPPORTED: u32 = 0x35;

    /// A code with its level; level -1 (52-bit addresses of FEAT_LPA2) has codes of its own.
    pub const fn at(code: u32, level: i32) -> u32 {
        match (code, level) {
            (ADDRESS_SIZE, -1) => 0x29,
            (TRANSLATION, -1) => 0x2b,
            (EXTERNAL_ON_WALK, -1) => 0x13,
            _ => code + level as u32,
        }
    }
    /// True for permission faults.
    pub const fn is_permission(code: u32) -> bool {
        code & !3 == PERMISSION
    }
}

/// Bits of TCR_EL1.
pub(crate) mod tcr {
    pub const EPD0: u64 = 1 << 7;
    pub const EPD1: u64 = 1 << 23;
    pub const A1: u64 = 1 << 22;
    pub const AS: u64 = 1 << 36;
    pub const HA: u64 = 1 << 39;
    pub const HD: u64 = 1 << 40;
    pub const HPD0: u64 = 1 << 41;
    pub const HPD1: u64 = 1 << 42;
    pub const E0PD0: u64 = 1 << 55;
    pub const E0PD1: u64 = 1 << 56;
    pub const DS: u64 = 1 << 59;
}

/// What the translation regime says of a virtual address before any walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VaProps {
    /// The top byte is ignored (for instruction addresses: TBI and not TBID).
    pub tbi: bool,
    /// Bit 55: the upper half of the address space.
    pub upper: bool,
    /// CalculateBottomPACBit: the lowest bit of a pointer authentication code.
    pub bottom_bit: u32,
}

/// 64 - TxSZ of a half of the address space, limited to what exists: CalculateBottomPACBit.
pub fn input_bits(cpu: &State, upper: bool) -> u32 {
    let size = (cpu.sysreg[word::TCR_EL1] >> if upper { 16 } else { 0 }) as u32 & 63;
    // These sizes exist in every format.
    if (16..=39).contains(&size) { 64 - size } else { Regime::compute(cpu, upper).input_bits }
}

/// Properties of the half of the address space that `va` (its bit 55) lies in, in the current regime.
pub fn va_properties(cpu: &State, va: u64, is_insn: bool) -> VaProps {
    let upper = va >> 55 & 1 == 1;
    VaProps { tbi: ignores_top_byte(cpu, upper, is_insn), upper, bottom_bit: input_bits(cpu, upper) }
}

/// EffectiveTBI.
fn ignores_top_byte(cpu: &State, upper: bool, is_insn: bool) -> bool {
    let t = cpu.sysreg[word::TCR_EL1];
    let half = u32::from(upper);
    t >> (37 + half) & 1 != 0 && !(is_insn && t >> (51 + half) & 1 != 0)
}

/// AArch64.BranchAddr: the address with an ignored tag replaced by its sign.
pub fn branch_address(cpu: &State, va: u64) -> u64 {
    if ignores_top_byte(cpu, va >> 55 & 1 == 1, true) { sign_from_55(va) } else { va }
}

fn sign_from_55(va: u64) -> u64 {
    ((va << 8) as i64 >> 8) as u64
}

/// The bits that ASIDs have: 16 with TCR_EL1.AS, else 8.
pub fn asid_mask(cpu: &State) -> u32 {
    if cpu.sysreg[word::TCR_EL1] & tcr::AS != 0 && Aarch64::of(cpu).has(Feature::ASID16) { 0xffff } else { 0xff }
}

/// The ASID in use.
pub fn current_asid(cpu: &State) -> u32 {
    let ttbr = if cpu.sysreg[word::TCR_EL1] & tcr::A1 != 0 { word::TTBR1_EL1 } else { word::TTBR0_EL1 };
    (cpu.sysreg[ttbr] >> 48) as u32 & asid_mask(cpu)
}

/// log2 of the granule of the half that `va` lies in.
pub fn granule_bits(cpu: &State, va: u64) -> u32 {
    Regime::granule(cpu.sysreg[word::TCR_EL1], va >> 55 & 1 == 1)
}

/// True if pages may have been accessed through tagged addresses in the half that `va` lies in.
pub fn has_tagged(cpu: &State, va: u64) -> bool {
    Aarch64::of(cpu).tagged_addresses().load(Ordering::Relaxed) && ignores_top_byte(cpu, va >> 55 & 1 == 1, false)
}

/// What an access asks of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Want {
    read: bool,
    write: bool,
    fetch: bool,
    el0: bool,
    pan: bool,
}

impl Want {
    fn of(cpu: &State, access: &Access) -> Want {
        let fetch = access.kind == AccessKind::FETCH;
        let data = u32::from(access.view) & !view::OTHER;
        Want {
            read: matches!(access.kind, AccessKind::READ | AccessKind::READ_WRITE),
            write: matches!(access.kind, AccessKind::WRITE | AccessKind::READ_WRITE),
            fetch,
            // Fetches have the privilege of the EL whatever view data accesses have.
            el0: if fetch { cpu.el == 0 } else { data == view::EL0 },
            pan: data == view::EL1_PAN,
        }
    }
    fn allowed_by(self, perms: u8) -> bool {
        (!self.read || perms & perm::READ != 0) && (!self.write || perms & perm::WRITE != 0) && (!self.fetch || perms & perm::EXEC != 0)
    }
}

/// Translates an address for the host; 0, or the fault.
pub fn walk(cpu: &mut State, access: &Access, out: &mut Translation) -> u64 {
    let want = Want::of(cpu, access);
    if want.fetch && access.va & 3 != 0 {
        return PC_MISALIGNED;
    }
    match translate(cpu, access.va, want) {
        Ok(leaf) => {
            *out = Translation {
                pa: leaf.pa,
                page_bits: leaf.page_bits,
                perms: leaf.perms,
                attrs: leaf.host_attrs(),
                global: u8::from(leaf.global),
                reserved: 0,
            };
            0
        }
        Err(fault) => fault,
    }
}

/// AArch64.S1Translate.
fn translate(cpu: &mut State, va: u64, want: Want) -> Result<Leaf, u64> {
    let upper = va >> 55 & 1 == 1;
    let tbi = ignores_top_byte(cpu, upper, want.fetch);
    let address = if tbi { sign_from_55(va) } else { va };
    if tbi && address != va {
        Aarch64::of(cpu).tagged_addresses().store(true, Ordering::Relaxed);
    }
    if cpu.sctlr() & sctlr::M == 0 {
        return flat(cpu, address, tbi, want);
    }
    walk::stage1(cpu, upper, address, want)
}

/// AArch64.S1DisabledOutput: the physical address is the virtual one; data is Device-nGnRnE.
fn flat(cpu: &State, address: u64, tbi: bool, want: Want) -> Result<Leaf, u64> {
    let pa_bits = Aarch64::of(cpu).pa_bits();
    let top = if tbi { 55 } else { 63 };
    let field = address << (63 - top) >> (63 - top);
    if field >> pa_bits != 0 {
        return Err(FAULT | u64::from(fsc::ADDRESS_SIZE));
    }
    // An entry of the host's TLB serves loads and fetches alike. Device memory executes (only a hint for speculation), so Device is what
    // makes misaligned data accesses fault.
    let memory = if want.fetch && cpu.sctlr() & sctlr::I != 0 { 0xaa } else { 0x00 };
    Ok(Leaf {
        pa: field,
        page_bits: 12,
        perms: perm::READ | perm::WRITE | perm::EXEC,
        memory: if want.fetch { memory } else { 0 },
        shareability: 2,
        device: true,
        guarded: false,
        global: true,
    })
}

impl Leaf {
    fn host_attrs(&self) -> u8 {
        (if self.device { attr::DEVICE } else { 0 }) | if self.guarded { attr::GUARDED } else { 0 }
    }
}

/// AT: the result goes to PAR_EL1. False if an exception was taken (an external abort on the walk).
pub fn address_translate(cpu: &mut State, va: u64, k: u16) -> bool {
    const S1E1R: u16 = key(1, 0, 7, 8, 0);
    const S1E1W: u16 = key(1, 0, 7, 8, 1);
    const S1E0R: u16 = key(1, 0, 7, 8, 2);
    const S1E0W: u16 = key(1, 0, 7, 8, 3);
    const S1E1RP: u16 = key(1, 0, 7, 9, 0);
    const S1E1WP: u16 = key(1, 0, 7, 9, 1);
    let want = Want {
        read: matches!(k, S1E1R | S1E0R | S1E1RP),
        write: matches!(k, S1E1W | S1E0W | S1E1WP),
        fetch: false,
        el0: matches!(k, S1E0R | S1E0W),
        pan: matches!(k, S1E1RP | S1E1WP) && cpu.pan != 0,
    };
    const RES1: u64 = 1 << 11;
    cpu.sysreg[word::PAR_EL1] = match translate(cpu, va, want) {
        Ok(leaf) => {
            let memory = u64::from(leaf.memory);
            let shareability = if leaf.device || memory == 0x44 { 2 } else { u64::from(leaf.shareability) };
            memory << 56 | leaf.pa & 0x000f_ffff_ffff_f000 | RES1 | shareability << 7 | 1 << 9
        }
        Err(fault) => {
            let code = fault as u32 & 0x3f;
            if matches!(code, 0x13..=0x17) {
                crate::exception::raise_cache_maintenance(cpu, va, fault);
                return false;
            }
            u64::from(code) << 1 | RES1 | 1
        }
    };
    true
}
