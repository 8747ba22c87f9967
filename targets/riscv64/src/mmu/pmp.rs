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
    flush_all(cpu);
}

/// Whether an entry that is on has a physical address, whose bits from 2 on are `address`.
fn matches(cpu: &State, n: usize, address: u64) -> bool {
    let of_entry = cpu.pmpaddr[n];
    if cpu.pmpcfg[n] & cfg::A == cfg::TOR {
        let from = if n == 0 { 0 } else { cpu.pmpaddr[n - 1] & !GRAIN };
        return (from..of_entry & !GRAIN).contains(&address);
    }
    // The ones at the end and the zero before them are no part of the base.
    let napot = of_entry | GRAIN >> 1;
    (napot ^ address) & !(napot ^ (napot + 1)) == 0
}

/// What an access at a privilege level may do with the page of a physical address: `cfg::R`, `W`, `X`.
pub fn permissions(cpu: &State, pa: u64, level: u8) -> u8 {
    const EVERYTHING: u8 = cfg::R | cfg::W | cfg::X;
    let found = (0..PMP_ENTRIES).find(|n| cpu.pmpcfg[*n] & cfg::A != 0 && matches(cpu, *n, pa >> 2));
    match found.map(|n| cpu.pmpcfg[n]) {
        Some(entry) if level != privilege::M || entry & cfg::L != 0 => entry & EVERYTHING,
        None if level != privilege::M => 0,
        _ => EVERYTHING,
    }
}
