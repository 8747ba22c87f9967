//! Address translation: Sv39, Sv48, Sv57 with Svnapot, Svpbmt, Svadu; physical memory protection behind it ([`pmp`]).

pub mod pmp;
#[cfg(test)]
mod tests;

use crate::Riscv64;
use crate::csr::{envcfg, satp, word};
use crate::feature::Feature;
use crate::mode::view;
use crate::state::{State, mstatus, privilege};
use crate::trap::PAGE_FAULT;
use emu_plugins_api::{Access, AccessKind, Translation, fault, perm};

/// Bits of a page table entry.
#[allow(missing_docs)] // The names say all.
pub mod pte {
    pub const V: u64 = 1 << 0;
    pub const R: u64 = 1 << 1;
    pub const W: u64 = 1 << 2;
    pub const X: u64 = 1 << 3;
    pub const U: u64 = 1 << 4;
    pub const G: u64 = 1 << 5;
    pub const A: u64 = 1 << 6;
    pub const D: u64 = 1 << 7;
    pub const PPN_LSB: u32 = 10;
    pub const PPN: u64 = (1 << 44) - 1;
    pub const RESERVED: u64 = 0x7f << 54;
    pub const PBMT: u64 = 3 << 61;
    pub const N: u64 = 1 << 63;
}

const PAGE_BITS: u32 = 12;
const LEVEL_BITS: u32 = 9;
/// Attempts at an update of an entry that others change at the same time.
const UPDATES_MAX: u32 = 64;

/// Privilege level and mstatus.SUM of an access.
fn level_of(cpu: &State, access: &Access) -> (u8, bool) {
    if access.kind == AccessKind::FETCH {
        return (cpu.privilege, false);
    }
    match u32::from(access.view) {
        view::U => (privilege::U, false),
        view::S => (privilege::S, false),
        view::S_SUM => (privilege::S, true),
        _ => (privilege::M, false),
    }
}

/// Permissions (`perm::`) that physical memory protection leaves.
fn protected(cpu: &mut State, pa: u64, level: u8, perms: u8) -> u8 {
    let allowed = pmp::permissions(cpu, pa, level);
    let bit = |from: u8, to: u8| if allowed & from != 0 { to } else { 0 };
    perms & (bit(pmp::cfg::R, perm::READ) | bit(pmp::cfg::W, perm::WRITE) | bit(pmp::cfg::X, perm::EXEC))
}

fn needed(kind: AccessKind) -> u8 {
    match kind {
        AccessKind::READ => perm::READ,
        AccessKind::WRITE => perm::WRITE,
        AccessKind::FETCH => perm::EXEC,
        _ => perm::READ | perm::WRITE,
    }
}

/// Translates an address; the fault (0: none).
pub fn walk(cpu: &mut State, access: &Access, out: &mut Translation) -> u64 {
    let (level, sum) = level_of(cpu, access);
    let mode = cpu.csr[word::SATP] >> satp::MODE_LSB;
    let needed = needed(access.kind);
    let perms = if level == privilege::M || mode == satp::BARE {
        if access.va >> 56 != 0 {
            return fault::BUS;
        }
        *out = Translation { pa: access.va, page_bits: PAGE_BITS as u8, perms: 0, attrs: 0, global: 1, reserved: 0 };
        perm::READ | perm::WRITE | perm::EXEC
    } else {
        match tables(cpu, access, level, sum, mode as u32 - 5, out) {
            Ok(perms) if perms & needed == needed => perms,
            Ok(_) => return PAGE_FAULT,
            Err(fault) => return fault,
        }
    };
    out.perms = protected(cpu, out.pa, level, perms);
    if out.perms & needed == needed { fault::NONE } else { fault::BUS }
}

/// Walks `levels` tables; the permissions that the page's entry gives.
fn tables(cpu: &mut State, access: &Access, level: u8, sum: bool, levels: u32, out: &mut Translation) -> Result<u8, u64> {
    let va = access.va;
    let bits = PAGE_BITS + LEVEL_BITS * levels;
    let extended = ((va << (64 - bits)) as i64 >> (64 - bits)) as u64;
    if extended != va {
        return Err(PAGE_FAULT);
    }
    let arch = Riscv64::of(cpu);
    let (napot, pbmt) = (arch.has(Feature::Svnapot), cpu.csr[word::MENVCFG] & envcfg::PBMTE != 0);
    let update = cpu.csr[word::MENVCFG] & envcfg::ADUE != 0;
    for _ in 0..UPDATES_MAX {
        let mut table = (cpu.csr[word::SATP] & satp::PPN) << PAGE_BITS;
        let mut global = false;
        let mut found = None;
        for n in (0..levels).rev() {
            let shift = PAGE_BITS + LEVEL_BITS * n;
            let at = table + (va >> shift & ((1 << LEVEL_BITS) - 1)) * 8;
            if pmp::permissions(cpu, at, privilege::S) & pmp::cfg::R == 0 {
                return Err(fault::BUS);
            }
            let Some(entry) = cpu.header.physical_word(at) else { return Err(fault::BUS) };
            let leaf = entry & (pte::R | pte::X) != 0;
            let foreign = entry & pte::RESERVED != 0 || !pbmt && entry & pte::PBMT != 0 || !napot && entry & pte::N != 0;
            if entry & pte::V == 0 || entry & (pte::R | pte::W) == pte::W || foreign {
                return Err(PAGE_FAULT);
            }
            global |= entry & pte::G != 0;
            if leaf {
                found = Some((at, entry, n));
                break;
            }
            if entry & (pte::A | pte::D | pte::U | pte::PBMT | pte::N) != 0 {
                return Err(PAGE_FAULT);
            }
            table = (entry >> pte::PPN_LSB & pte::PPN) << PAGE_BITS;
        }
        let Some((at, entry, n)) = found else { return Err(PAGE_FAULT) };
        let mut shift = PAGE_BITS + LEVEL_BITS * n;
        let mut ppn = entry >> pte::PPN_LSB & pte::PPN;
        if entry & pte::PBMT == pte::PBMT || ppn & ((1 << (LEVEL_BITS * n)) - 1) != 0 {
            return Err(PAGE_FAULT);
        }
        if entry & pte::N != 0 {
            // 64 KiB, the one size that there is.
            if n != 0 || ppn & 15 != 8 {
                return Err(PAGE_FAULT);
            }
            (ppn, shift) = (ppn & !15, PAGE_BITS + 4);
        }
        let executable_reads = cpu.csr[word::MSTATUS] & mstatus::MXR != 0;
        let mut perms = 0;
        if entry & pte::R != 0 || executable_reads && entry & pte::X != 0 {
            perms |= perm::READ;
        }
        if entry & pte::W != 0 {
            perms |= perm::WRITE;
        }
        if entry & pte::X != 0 {
            perms |= perm::EXEC;
        }
        let user = entry & pte::U != 0;
        if level == privilege::U && !user {
            perms = 0;
        }
        if level == privilege::S && user {
            // The supervisor never executes from user pages, and touches them with SUM only.
            perms &= if sum { perm::READ | perm::WRITE } else { 0 };
        }
        let needed = needed(access.kind);
        if perms & needed != needed {
            return Err(PAGE_FAULT);
        }
        let marks = pte::A | if needed & perm::WRITE != 0 { pte::D } else { 0 };
        let mut entry = entry;
        if entry & marks != marks {
            if !update {
                return Err(PAGE_FAULT);
            }
            if pmp::permissions(cpu, at, privilege::S) & pmp::cfg::W == 0 {
                return Err(fault::BUS);
            }
            match cpu.header.physical_cas(at, entry, entry | marks) {
                Some(true) => entry |= marks,
                // Somebody else changed it: look again.
                Some(false) => continue,
                None => return Err(fault::BUS),
            }
        }
        if entry & pte::D == 0 {
            // The first store walks again, to mark the page.
            perms &= !perm::WRITE;
        }
        let low = (1u64 << shift) - 1;
        let pa = (ppn << PAGE_BITS) & !low | va & low;
        *out = Translation { pa, page_bits: shift as u8, perms: 0, attrs: 0, global: u8::from(global), reserved: 0 };
        return Ok(perms);
    }
    Err(PAGE_FAULT)
}
