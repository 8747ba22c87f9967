//! Physical memory protection: 16 entries with a grain of a page (volume II, "Physical Memory Protection"), so that a page never lies in two
//! regions. The grain shows as the manual says: low bits of pmpaddr read as zero, or as ones in a NAPOT entry.

use crate::csr::flush_all;
use crate::state::{PMP_ENTRIES, State, privilege};

/// Low bits of pmpaddr that a grain of 4 KiB leaves out.
const GRAIN_BITS: u32 = 10;
const GRAIN: u64 = (1 << GRAIN_BITS) - 1;
/// Bits that pmpaddr has (of a 56-bit physical address).
const ADDRESS: u64 = (1 << 54) - 1;

/// Bits of a pmpcfg byte.
#[allow(missing_docs)] // The names say all.
pub mod cfg {
    pub const R: u8 = 1;
    pub const W: u8 = 2;
    pub const X: u8 = 4;
    pub const A: u8 = 3 << 3;
    pub const TOR: u8 = 1 << 3;
    pub const NA4: u8 = 2 << 3;
    pub const NAPOT: u8 = 3 << 3;
    pub const L: u8 = 1 << 7;
}

/// pmpcfg`n` with an even n: eight entries.
pub fn read_cfg(cpu: &State, n: u16) -> u64 {
    let first = usize::from(n) * 4;
    (0..8).fold(0, |v, i| v | u64::from(cpu.pmpcfg.get(first + i).copied().unwrap_or(0)) << (8 * i))
}

/// Writes pmpcfg`n`; locked entries stay.
pub fn write_cfg(cpu: &mut State, n: u16, value: u64) {
    let first = usize::from(n) * 4;
    for i in 0..8 {
        let Some(entry) = cpu.pmpcfg.get_mut(first + i) else { break };
        if *entry & cfg::L != 0 {
            continue;
        }
        let mut new = (value >> (8 * i)) as u8 & (cfg::R | cfg::W | cfg::X | cfg::A | cfg::L);
        // W without R is reserved; a region of four bytes is smaller than the grain.
        if new & (cfg::R | cfg::W) == cfg::W {
            new &= !cfg::W;
        }
        if new & cfg::A == cfg::NA4 {
            new = new & !cfg::A | *entry & cfg::A;
        }
        *entry = new;
    }
    cpu.pmp_between = [0; 2];
    flush_all(cpu);
}

/// pmpaddr`n`.
pub fn read_addr(cpu: &State, n: u16) -> u64 {
    let n = usize::from(n);
    let Some(value) = cpu.pmpaddr.get(n) else { return 0 };
    // Bit G-1 on of a NAPOT entry, bits below G of the others (volume II, "Address Matching").
    if cpu.pmpcfg[n] & cfg::A >= cfg::NA4 { value | GRAIN >> 1 } else { value & !GRAIN }
}

/// Writes pmpaddr`n`, unless it or the region that it begins is locked.
pub fn write_addr(cpu: &mut State, n: u16, value: u64) {
    let n = usize::from(n);
    if n >= PMP_ENTRIES || cpu.pmpcfg[n] & cfg::L != 0 {
        return;
    }
    if cpu.pmpcfg.get(n + 1).is_some_and(|next| next & (cfg::L | cfg::A) == cfg::L | cfg::TOR) {
        return;
    }
    cpu.pmpaddr[n] = value & ADDRESS;
    cpu.pmp_between = [0; 2];
    flush_all(cpu);
}

/// First address and the one behind the last of an entry that is on; nothing of one that is off.
fn region(cpu: &State, n: usize) -> (u64, u64) {
    match cpu.pmpcfg[n] & cfg::A {
        0 => (0, 0),
        cfg::TOR => {
            let from = if n == 0 { 0 } else { cpu.pmpaddr[n - 1] & !GRAIN };
            (from << 2, (cpu.pmpaddr[n] & !GRAIN) << 2)
        }
        _ => {
            let address = cpu.pmpaddr[n] | GRAIN >> 1;
            // The ones at the end and the zero before them are the size.
            let size = (address ^ (address + 1)) + 1;
            let base = address & !(size - 1);
            (base << 2, (base + size) << 2)
        }
    }
}

/// Finds the first entry that has a physical address, and between which addresses it is the one. A walk asks for one of a few such stretches of memory
/// each time.
#[cold]
fn find(cpu: &mut State, pa: u64) {
    let (mut from, mut to) = (0, u64::MAX);
    let mut found = PMP_ENTRIES;
    for n in 0..PMP_ENTRIES {
        let region = region(cpu, n);
        if region.0 >= region.1 {
            continue;
        }
        for edge in [region.0, region.1] {
            if edge <= pa {
                from = from.max(edge);
            } else {
                to = to.min(edge);
            }
        }
        if (region.0..region.1).contains(&pa) {
            found = n;
            break;
        }
    }
    (cpu.pmp_between, cpu.pmp_matches) = ([from, to], found as u8);
}

/// What an access at a privilege level may do with the page of a physical address: `cfg::R`, `W`, `X`.
pub fn permissions(cpu: &mut State, pa: u64, level: u8) -> u8 {
    const EVERYTHING: u8 = cfg::R | cfg::W | cfg::X;
    if !(cpu.pmp_between[0]..cpu.pmp_between[1]).contains(&pa) {
        find(cpu, pa);
    }
    match cpu.pmpcfg.get(usize::from(cpu.pmp_matches)) {
        Some(entry) if level != privilege::M || entry & cfg::L != 0 => entry & EVERYTHING,
        None if level != privilege::M => 0,
        _ => EVERYTHING,
    }
}
