//! Control and status registers: who may touch one, and what reading and writing does.

mod table;

pub use table::{Kind, MEDELEG_MASK, MIDELEG_MASK, MIE_MASK, ROWS, Row, Special, find, word};

use crate::Riscv64;
use crate::feature::Feature;
use crate::mmu::pmp;
use crate::state::{State, mstatus, privilege};
use crate::timer;
use crate::trap::{self, irq};
use emu_plugins_api::{FlushKind, TlbFlush};

/// Bits of mstatus that software writes.
pub const MSTATUS_MASK: u64 = mstatus::SIE
    | mstatus::MIE
    | mstatus::SPIE
    | mstatus::MPIE
    | mstatus::SPP
    | mstatus::MPP
    | mstatus::FS
    | mstatus::MPRV
    | mstatus::SUM
    | mstatus::MXR
    | mstatus::TVM
    | mstatus::TW
    | mstatus::TSR;
/// Bits of mstatus that sstatus shows.
pub const SSTATUS_MASK: u64 = mstatus::SIE | mstatus::SPIE | mstatus::SPP | mstatus::FS | mstatus::SUM | mstatus::MXR;
/// What sstatus shows besides: UXL and SD.
pub const SSTATUS_FIXED: u64 = 3 << 32 | mstatus::SD;

/// Bits of menvcfg and senvcfg.
#[allow(missing_docs)] // The names say all.
pub mod envcfg {
    pub const FIOM: u64 = 1;
    pub const CBIE_LSB: u32 = 4;
    pub const CBIE: u64 = 3 << CBIE_LSB;
    pub const CBCFE: u64 = 1 << 6;
    pub const CBZE: u64 = 1 << 7;
    pub const ADUE: u64 = 1 << 61;
    pub const PBMTE: u64 = 1 << 62;
    pub const STCE: u64 = 1 << 63;
}

/// The privilege level that a number asks for.
pub const fn lowest_privilege(number: u16) -> u8 {
    (number >> 8 & 3) as u8
}
/// True if a number is that of a read-only register.
pub const fn is_read_only(number: u16) -> bool {
    number >> 10 == 3
}

/// Whether a word of storage is nobody's business but software's (and a trap's).
pub fn is_inert(word: usize) -> bool {
    !matches!(word, word::MIE | word::MIDELEG)
}

/// Whether the current privilege level and the state let an instruction touch a register.
fn permitted(cpu: &State, row: &Row, number: u16, write: bool) -> bool {
    if cpu.privilege < lowest_privilege(number) || write && is_read_only(number) || !Riscv64::of(cpu).has(row.feature) {
        return false;
    }
    let status = cpu.csr[word::MSTATUS];
    let supervisor = cpu.privilege == privilege::S;
    match row.kind {
        Kind::Missing(_) => false,
        Kind::Special(Special::Fflags | Special::Frm | Special::Fcsr) => status & mstatus::FS != 0,
        Kind::Special(Special::Satp) => !(supervisor && status & mstatus::TVM != 0),
        Kind::Special(Special::Stimecmp) => {
            cpu.privilege == privilege::M
                || cpu.csr[word::MCOUNTEREN] & cpu.csr[word::MENVCFG] >> 62 & 2 != 0 && cpu.csr[word::MENVCFG] & envcfg::STCE != 0
        }
        // The counters for users: by mcounteren for S, by scounteren too for U.
        _ if number & 0xfe0 == 0xc00 => {
            let bit = 1 << (number & 31);
            match cpu.privilege {
                privilege::M => true,
                privilege::S => cpu.csr[word::MCOUNTEREN] & bit != 0,
                _ => cpu.csr[word::MCOUNTEREN] & bit != 0 && cpu.csr[word::SCOUNTEREN] & bit != 0,
            }
        }
        _ => true,
    }
}

/// fflags from the host's order of exceptions, which is the reverse.
pub fn fflags(cpu: &State) -> u64 {
    u64::from((cpu.header.fp_flags as u8 & 0x1f).reverse_bits() >> 3)
}
/// Writes fflags.
pub fn set_fflags(cpu: &mut State, value: u64) {
    cpu.header.fp_flags = u32::from((value as u8 & 0x1f).reverse_bits() >> 3);
}

/// Everything that is pending.
pub fn mip(cpu: &State) -> u64 {
    trap::pending(cpu, cpu.header.lines.load(std::sync::atomic::Ordering::Relaxed))
}

/// A register as an instruction reads it, permission aside.
pub fn read(cpu: &mut State, number: u16, row: &Row) -> u64 {
    let special = match row.kind {
        Kind::Plain(word, _) => return cpu.csr[word],
        Kind::Constant(value) => return value,
        Kind::Missing(_) => return 0,
        Kind::Special(s) => s,
    };
    match special {
        Special::Fflags => fflags(cpu),
        Special::Frm => cpu.csr[word::FRM],
        Special::Fcsr => fflags(cpu) | cpu.csr[word::FRM] << 5,
        Special::Cycle | Special::Mcycle => cpu.header.insns.wrapping_add(cpu.csr[word::MCYCLE_OFFSET]),
        Special::Instret | Special::Minstret => cpu.header.insns.wrapping_add(cpu.csr[word::MINSTRET_OFFSET]),
        Special::Time => timer::now(cpu),
        Special::Sstatus => cpu.csr[word::MSTATUS] & (SSTATUS_MASK | SSTATUS_FIXED),
        Special::Sie => cpu.csr[word::MIE] & cpu.csr[word::MIDELEG],
        Special::Sip => mip(cpu) & cpu.csr[word::MIDELEG],
        Special::Satp => cpu.csr[word::SATP],
        Special::Stimecmp => cpu.csr[word::STIMECMP],
        Special::Mstatus => cpu.csr[word::MSTATUS],
        Special::Misa => Riscv64::of(cpu).misa(),
        Special::Mip => mip(cpu),
        Special::Mhartid => cpu.header.number().into(),
        Special::Menvcfg => cpu.csr[word::MENVCFG],
        Special::Senvcfg => cpu.csr[word::SENVCFG],
        Special::Tvec(word) => cpu.csr[word],
        Special::PmpCfg => pmp::read_cfg(cpu, number - row.number),
        Special::PmpAddr => pmp::read_addr(cpu, number - row.number),
    }
}

/// Writes a register, permission aside. Bits that cannot be written stay; mode key and lines are right again afterwards.
pub fn write(cpu: &mut State, number: u16, row: &Row, value: u64) {
    let put = |old: u64, mask: u64| old & !mask | value & mask;
    match row.kind {
        Kind::Plain(word, mask) => {
            cpu.csr[word] = put(cpu.csr[word], mask);
            if matches!(word, word::MIE | word::MIDELEG) {
                trap::update_line(cpu);
            }
        }
        Kind::Constant(_) | Kind::Missing(_) => {}
        Kind::Special(special) => write_special(cpu, number, row, special, value),
    }
}

fn write_special(cpu: &mut State, number: u16, row: &Row, special: Special, value: u64) {
    let put = |old: u64, mask: u64| old & !mask | value & mask;
    match special {
        Special::Fflags | Special::Frm | Special::Fcsr => {
            if special != Special::Frm {
                set_fflags(cpu, value);
            }
            match special {
                Special::Frm => cpu.csr[word::FRM] = value & 7,
                Special::Fcsr => cpu.csr[word::FRM] = value >> 5 & 7,
                _ => {}
            }
            cpu.set_mstatus(cpu.csr[word::MSTATUS] | mstatus::FS);
            cpu.refresh_mode();
        }
        Special::Mcycle => cpu.csr[word::MCYCLE_OFFSET] = value.wrapping_sub(cpu.header.insns).wrapping_sub(1),
        Special::Minstret => cpu.csr[word::MINSTRET_OFFSET] = value.wrapping_sub(cpu.header.insns).wrapping_sub(1),
        Special::Sstatus => set_status(cpu, put(cpu.csr[word::MSTATUS], SSTATUS_MASK)),
        Special::Mstatus => set_status(cpu, put(cpu.csr[word::MSTATUS], MSTATUS_MASK)),
        Special::Sie => {
            cpu.csr[word::MIE] = put(cpu.csr[word::MIE], cpu.csr[word::MIDELEG]);
            trap::update_line(cpu);
        }
        Special::Mip => {
            // With the supervisor's timer its pending bit is the comparison's.
            let own = if cpu.csr[word::MENVCFG] & envcfg::STCE != 0 { irq::SSI | irq::SEI } else { irq::SSI | irq::STI | irq::SEI };
            cpu.csr[word::MIP] = put(cpu.csr[word::MIP], own);
            trap::update_line(cpu);
        }
        Special::Sip => {
            cpu.csr[word::MIP] = put(cpu.csr[word::MIP], irq::SSI & cpu.csr[word::MIDELEG]);
            trap::update_line(cpu);
        }
        Special::Satp => set_satp(cpu, value),
        Special::Stimecmp => {
            cpu.csr[word::STIMECMP] = value;
            timer::update(cpu);
        }
        Special::Menvcfg => {
            let arch = Riscv64::of(cpu);
            let mask = envcfg_mask(arch)
                | if arch.has(Feature::Sstc) { envcfg::STCE } else { 0 }
                | if arch.has(Feature::Svpbmt) { envcfg::PBMTE } else { 0 }
                | if arch.has(Feature::Svadu) { envcfg::ADUE } else { 0 };
            let old = cpu.csr[word::MENVCFG];
            let new = legal_cbie(put(old, mask));
            cpu.csr[word::MENVCFG] = new;
            if (old ^ new) & (envcfg::PBMTE | envcfg::ADUE) != 0 {
                flush_all(cpu);
            }
            timer::update(cpu);
        }
        Special::Senvcfg => {
            let mask = envcfg_mask(Riscv64::of(cpu));
            cpu.csr[word::SENVCFG] = legal_cbie(put(cpu.csr[word::SENVCFG], mask));
        }
        Special::Tvec(word) => cpu.csr[word] = value & !2,
        Special::PmpCfg => pmp::write_cfg(cpu, number - row.number, value),
        Special::PmpAddr => pmp::write_addr(cpu, number - row.number, value),
        // misa has one value only; the rest is read-only by its number.
        Special::Misa | Special::Mhartid | Special::Cycle | Special::Time | Special::Instret => {}
    }
}

fn envcfg_mask(arch: &Riscv64) -> u64 {
    envcfg::FIOM | if arch.has(Feature::Zicbom) { envcfg::CBIE | envcfg::CBCFE } else { 0 } | if arch.has(Feature::Zicboz) { envcfg::CBZE } else { 0 }
}
/// CBIE 2 is reserved: it reads as 0.
fn legal_cbie(value: u64) -> u64 {
    if value >> envcfg::CBIE_LSB & 3 == 2 { value & !envcfg::CBIE } else { value }
}

fn set_status(cpu: &mut State, value: u64) {
    let old = cpu.csr[word::MSTATUS];
    // MPP 2 is reserved: it stays as it is.
    let value = if value >> mstatus::MPP_LSB & 3 == 2 { value & !mstatus::MPP | old & mstatus::MPP } else { value };
    cpu.set_mstatus(value);
    if (old ^ value) & mstatus::MXR != 0 {
        // Entries hold what was readable.
        flush_all(cpu);
    }
    cpu.refresh_mode();
}

/// satp.MODE.
pub mod satp {
    /// No translation.
    pub const BARE: u64 = 0;
    /// Lowest bit of MODE.
    pub const MODE_LSB: u32 = 60;
    /// Lowest bit of ASID.
    pub const ASID_LSB: u32 = 44;
    /// Bits of PPN.
    pub const PPN: u64 = (1 << 44) - 1;
}

/// The address space that satp names.
pub fn asid(cpu: &State) -> u32 {
    (cpu.csr[word::SATP] >> satp::ASID_LSB) as u32 & 0xffff
}

fn set_satp(cpu: &mut State, value: u64) {
    let mode = value >> satp::MODE_LSB;
    if mode != satp::BARE && !(8..=Riscv64::of(cpu).satp_mode()).contains(&mode) {
        // A MODE that there is not makes the whole write have no effect.
        return;
    }
    let (old, before) = (cpu.csr[word::SATP], asid(cpu));
    cpu.csr[word::SATP] = value;
    let now = asid(cpu);
    if (old ^ value) >> satp::MODE_LSB != 0 || before == now && old != value {
        // Software that changes the table and not the ASID has to fence; that it is done here as well is allowed, and what other
        // implementations do.
        flush_all(cpu);
    }
    if before != now {
        cpu.header.address_space(now);
    }
}

/// Forgets all translations of this hart.
pub fn flush_all(cpu: &mut State) {
    cpu.header.tlb_flush(&TlbFlush { kind: FlushKind::ALL, asid: 0, va: 0, last: u64::MAX, views: u32::MAX, broadcast: 0 });
}

/// A CSR instruction: reads, then writes what `new` makes of the old value. `None`: it is illegal.
pub fn access(cpu: &mut State, number: u16, write_back: bool, new: impl FnOnce(u64) -> u64) -> Option<u64> {
    let row = find(number)?;
    if !permitted(cpu, row, number, write_back) {
        return None;
    }
    let old = read(cpu, number, row);
    if write_back {
        // CSRRS and CSRRC on mip change what software wrote, not what the controller's line adds to it.
        let base = if row.kind == Kind::Special(Special::Mip) { old & !irq::SEI | cpu.csr[word::MIP] & irq::SEI } else { old };
        write(cpu, number, row, new(base));
    }
    Some(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_apart() {
        for pair in ROWS.windows(2) {
            assert!(pair[0].number + pair[0].count <= pair[1].number, "{} and {}", pair[0].name, pair[1].name);
        }
        assert_eq!(find(0x343).map(|r| r.name), Some("mtval"));
        assert_eq!(find(0xc1f).map(|r| r.name), Some("hpmcounter"));
        assert!(find(0x345).is_none() && find(0).is_none());
        const { assert!(word::COUNT <= crate::state::CSR_WORDS) };
    }
}
