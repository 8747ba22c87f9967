//! Traps: exceptions and interrupts, their delegation, and the way back.
//!
//! A trap changes the state and leaves it complete, program counter and mode key included, so that whoever calls may leave translated code
//! at once. Bit 4 of the input lines is the hart's own: it is set while something is pending that no other line shows, for the host asks
//! about interrupts only while a line is high.

use crate::csr::word;
use crate::state::{State, mstatus, privilege};
use crate::{Riscv64, linux};
use emu_plugins_api::{Access, AccessKind, fault};
use std::sync::atomic::Ordering;

/// Values of mcause and scause.
#[allow(missing_docs)] // The names say all.
pub mod cause {
    pub const FETCH_MISALIGNED: u64 = 0;
    pub const FETCH_ACCESS: u64 = 1;
    pub const ILLEGAL: u64 = 2;
    pub const BREAKPOINT: u64 = 3;
    pub const LOAD_MISALIGNED: u64 = 4;
    pub const LOAD_ACCESS: u64 = 5;
    pub const STORE_MISALIGNED: u64 = 6;
    pub const STORE_ACCESS: u64 = 7;
    pub const ECALL_U: u64 = 8;
    pub const FETCH_PAGE: u64 = 12;
    pub const LOAD_PAGE: u64 = 13;
    pub const STORE_PAGE: u64 = 15;
    pub const INTERRUPT: u64 = 1 << 63;
}

/// Bits of mip and mie.
#[allow(missing_docs)] // The names say all.
pub mod irq {
    pub const SSI: u64 = 1 << 1;
    pub const MSI: u64 = 1 << 3;
    pub const STI: u64 = 1 << 5;
    pub const MTI: u64 = 1 << 7;
    pub const SEI: u64 = 1 << 9;
    pub const MEI: u64 = 1 << 11;
    /// In the order in which they are taken.
    pub const PRIORITY: [u64; 6] = [MEI, MSI, MTI, SEI, SSI, STI];
}

/// Bits of mip by input line: `msi`, `mti`, `mei`, `sei`.
const LINES: [u64; 4] = [irq::MSI, irq::MTI, irq::MEI, irq::SEI];
/// The hart's own line.
const OWN_LINE: u32 = 1 << LINES.len();

/// Fault of a page walk: the page does not permit the access.
pub const PAGE_FAULT: u64 = 0x100;

/// What is pending, of software, timer and lines.
pub fn pending(cpu: &State, lines: u32) -> u64 {
    let soft = cpu.csr[word::MIP] | if cpu.stimer != 0 { irq::STI } else { 0 };
    LINES.iter().enumerate().fold(soft, |all, (n, bit)| if lines >> n & 1 != 0 { all | bit } else { all })
}

/// Sets the hart's own line as software's and the timer's bits say.
pub fn update_line(cpu: &mut State) {
    if cpu.csr[word::MIP] != 0 || cpu.stimer != 0 {
        cpu.header.lines.fetch_or(OWN_LINE, Ordering::SeqCst);
    } else {
        cpu.header.lines.fetch_and(!OWN_LINE, Ordering::SeqCst);
    }
}

/// Enters a trap handler; `header.pc` is the instruction.
fn enter(cpu: &mut State, cause: u64, value: u64, to_supervisor: bool) {
    let status = cpu.csr[word::MSTATUS];
    let bit = |mask: u64, to: u64| if status & mask != 0 { to } else { 0 };
    let pc = cpu.header.pc;
    let from = cpu.privilege;
    let vector = if to_supervisor {
        (cpu.csr[word::SEPC], cpu.csr[word::SCAUSE], cpu.csr[word::STVAL]) = (pc, cause, value);
        let kept = status & !(mstatus::SPIE | mstatus::SIE | mstatus::SPP);
        cpu.set_mstatus(kept | bit(mstatus::SIE, mstatus::SPIE) | if from == privilege::S { mstatus::SPP } else { 0 });
        cpu.privilege = privilege::S;
        cpu.csr[word::STVEC]
    } else {
        (cpu.csr[word::MEPC], cpu.csr[word::MCAUSE], cpu.csr[word::MTVAL]) = (pc, cause, value);
        let kept = status & !(mstatus::MPIE | mstatus::MIE | mstatus::MPP);
        cpu.set_mstatus(kept | bit(mstatus::MIE, mstatus::MPIE) | u64::from(from) << mstatus::MPP_LSB);
        cpu.privilege = privilege::M;
        cpu.csr[word::MTVEC]
    };
    let offset = if vector & 1 != 0 && cause & cause::INTERRUPT != 0 { 4 * (cause & 63) } else { 0 };
    cpu.header.pc = (vector & !3).wrapping_add(offset);
    cpu.refresh_mode();
}

/// Takes an exception of the current instruction.
pub fn take(cpu: &mut State, cause: u64, value: u64) {
    if Riscv64::of(cpu).runs_linux_programs() {
        return linux::exception(cpu, cause);
    }
    let delegated = cpu.privilege <= privilege::S && cpu.csr[word::MEDELEG] >> cause & 1 != 0;
    enter(cpu, cause, value, delegated);
}

/// Delivers a fault of an access.
pub fn raise_access(cpu: &mut State, access: &Access, fault: u64) {
    if Riscv64::of(cpu).runs_linux_programs() {
        return linux::access_fault(cpu, access, fault);
    }
    let (misaligned, denied, page) = match access.kind {
        AccessKind::FETCH => (cause::FETCH_MISALIGNED, cause::FETCH_ACCESS, cause::FETCH_PAGE),
        AccessKind::READ => (cause::LOAD_MISALIGNED, cause::LOAD_ACCESS, cause::LOAD_PAGE),
        _ => (cause::STORE_MISALIGNED, cause::STORE_ACCESS, cause::STORE_PAGE),
    };
    let cause = match fault {
        fault::ALIGNMENT => misaligned,
        PAGE_FAULT => page,
        _ => denied,
    };
    take(cpu, cause, access.va);
}

/// Takes a pending interrupt if one is enabled.
pub fn interrupt(cpu: &mut State, lines: u32) -> u32 {
    use emu_plugins_api::irq as answer;
    let ready = pending(cpu, lines) & cpu.csr[word::MIE];
    if ready == 0 {
        return 0;
    }
    let status = cpu.csr[word::MSTATUS];
    let delegated = cpu.csr[word::MIDELEG];
    let machine = cpu.privilege < privilege::M || status & mstatus::MIE != 0;
    let supervisor = cpu.privilege < privilege::S || cpu.privilege == privilege::S && status & mstatus::SIE != 0;
    let (for_machine, for_supervisor) = (ready & !delegated, ready & delegated);
    let (set, to_supervisor) = match (machine && for_machine != 0, supervisor && for_supervisor != 0) {
        (true, _) => (for_machine, false),
        (_, true) => (for_supervisor, true),
        // WFI ends by what is enabled in mie, also while it is masked.
        _ => return answer::WAKE,
    };
    let Some(bit) = irq::PRIORITY.into_iter().find(|b| set & b != 0) else { return answer::WAKE };
    enter(cpu, cause::INTERRUPT | u64::from(bit.trailing_zeros()), 0, to_supervisor);
    answer::TAKEN | answer::WAKE
}

/// MRET.
pub fn return_from_machine(cpu: &mut State) {
    let status = cpu.csr[word::MSTATUS];
    let to = cpu.mpp();
    let mut new = status & !(mstatus::MIE | mstatus::MPP) | mstatus::MPIE;
    if status & mstatus::MPIE != 0 {
        new |= mstatus::MIE;
    }
    if to != privilege::M {
        new &= !mstatus::MPRV;
    }
    cpu.set_mstatus(new);
    cpu.privilege = to;
    cpu.header.pc = cpu.csr[word::MEPC];
    cpu.refresh_mode();
}

/// SRET.
pub fn return_from_supervisor(cpu: &mut State) {
    let status = cpu.csr[word::MSTATUS];
    let mut new = status & !(mstatus::SIE | mstatus::SPP | mstatus::MPRV) | mstatus::SPIE;
    if status & mstatus::SPIE != 0 {
        new |= mstatus::SIE;
    }
    cpu.set_mstatus(new);
    cpu.privilege = if status & mstatus::SPP != 0 { privilege::S } else { privilege::U };
    cpu.header.pc = cpu.csr[word::SEPC];
    cpu.refresh_mode();
}
