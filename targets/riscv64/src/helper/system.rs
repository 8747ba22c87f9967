//! Helpers of exceptions, CSRs and privileged instructions.

use crate::Riscv64;
use crate::csr::{self, asid, envcfg, flush_all, word};
use crate::mmu;
use crate::mode::ModeKey;
use crate::state::{State, mstatus, privilege};
use crate::trap::{self, cause};
use emu_plugins_api::{Access, AccessKind, FlushKind, HelperReturn, TlbFlush, Translation, effect, fault};

/// No half of an instruction.
pub const NO_HALF: u64 = u64::MAX;
const TRAPS: u32 = effect::READS_STATE | effect::WRITES_STATE | effect::MAY_EXIT | effect::NEEDS_PC;
const LEAVES: u32 = TRAPS | effect::ALWAYS_EXITS;
/// Bytes of a cache block.
pub const CACHE_BLOCK: u64 = 64;

crate::helper::helpers! { 0;
    /// Exception `a` with value `b`.
    EXCEPTION: exception, LEAVES;
    /// Environment call.
    ECALL: ecall, LEAVES;
    /// A CSR instruction: operand `a`; the constant is the instruction, bit 32 set if it does not write.
    CSR: csr_insn, effect::ANY;
    /// MRET; the constant is the instruction.
    MRET: mret, LEAVES;
    /// SRET; the constant is the instruction.
    SRET: sret, LEAVES;
    /// WFI may not execute here perhaps; the constant is the instruction.
    WFI: wfi, TRAPS;
    /// SFENCE.VMA of address `a` and address space `b`; the constant is the instruction.
    SFENCE: sfence, TRAPS | effect::IO;
    /// SFENCE.W.INVAL, SFENCE.INVAL.IR: permission only.
    SFENCE_INVAL: sfence_inval, TRAPS;
    /// The first floating-point instruction since mstatus.FS was not Dirty: marks it; the instruction begins anew.
    MARK_DIRTY: mark_dirty, LEAVES;
    /// Fetches the second half of an instruction at the end of a page, into the mode key; the constant is [`NO_HALF`].
    STRADDLE: straddle, LEAVES | effect::IO;
    /// Fetches the second half of an instruction at the end of a page. If it is not the constant, it goes into the mode key.
    STRADDLE_IF_NOT: straddle, TRAPS | effect::IO;
    /// Cache block operation at address `a`; the constant is the instruction.
    CBO: cbo, effect::ANY;
    /// CBO.ZERO at address `a`; the constant is the instruction.
    CBO_ZERO: cbo_zero, effect::ANY;
    /// WRS: permission, and the time until which to wait (`a` is 1 for STO); the constant is the instruction.
    WRS: wrs, TRAPS | effect::IO;
}

fn illegal(cpu: &mut State, insn: u64) -> HelperReturn {
    trap::take(cpu, cause::ILLEGAL, insn);
    HelperReturn::exit()
}

fn exception(cpu: &mut State, cause: u64, value: u64, _: u64, _: u64) -> HelperReturn {
    trap::take(cpu, cause, value);
    HelperReturn::exit()
}

fn ecall(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    let level = u64::from(cpu.privilege);
    trap::take(cpu, cause::ECALL_U + level, 0);
    HelperReturn::exit()
}

fn csr_insn(cpu: &mut State, operand: u64, _: u64, _: u64, imm: u64) -> HelperReturn {
    let insn = imm & 0xffff_ffff;
    let (number, write) = ((insn >> 20) as u16, imm >> 32 == 0);
    let done = csr::access(cpu, number, write, |old| match insn >> 12 & 3 {
        1 => operand,
        2 => old | operand,
        _ => old & !operand,
    });
    match done {
        Some(old) => HelperReturn::value(old),
        None => {
            if let Some(row) = csr::find(number)
                && let csr::Kind::Missing(why) = row.kind
            {
                Riscv64::of(cpu).log_missing_csr(cpu.header.pc, number, row.name, why);
            }
            illegal(cpu, insn)
        }
    }
}

fn mret(cpu: &mut State, _: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    if cpu.privilege != privilege::M {
        return illegal(cpu, insn);
    }
    trap::return_from_machine(cpu);
    HelperReturn::exit()
}

fn sret(cpu: &mut State, _: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    let trapped = cpu.privilege == privilege::S && cpu.csr[word::MSTATUS] & mstatus::TSR != 0;
    if cpu.privilege < privilege::S || trapped {
        return illegal(cpu, insn);
    }
    trap::return_from_supervisor(cpu);
    HelperReturn::exit()
}

fn wfi(cpu: &mut State, _: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    // In U-mode it may not be bounded, so it is illegal where there is a supervisor.
    let trapped = cpu.privilege < privilege::M && cpu.csr[word::MSTATUS] & mstatus::TW != 0;
    if cpu.privilege == privilege::U || trapped { illegal(cpu, insn) } else { HelperReturn::value(0) }
}

/// Whether a translation cache instruction may execute.
fn may_fence(cpu: &State) -> bool {
    match cpu.privilege {
        privilege::M => true,
        privilege::S => cpu.csr[word::MSTATUS] & mstatus::TVM == 0,
        _ => false,
    }
}

fn sfence(cpu: &mut State, va: u64, space: u64, _: u64, insn: u64) -> HelperReturn {
    if !may_fence(cpu) {
        return illegal(cpu, insn);
    }
    let (by_address, by_space) = (insn >> 15 & 31 != 0, insn >> 20 & 31 != 0);
    let space = space as u32 & 0xffff;
    let request = |kind, asid, va, last| TlbFlush { kind, asid, va, last, views: u32::MAX, broadcast: 0 };
    let page = va & !0xfff;
    match (by_address, by_space) {
        (false, false) => flush_all(cpu),
        (false, true) => cpu.header.tlb_flush(&request(FlushKind::ASID, space, 0, u64::MAX)),
        (true, false) => cpu.header.tlb_flush(&request(FlushKind::VA_ALL_ASIDS, asid(cpu), page, page | 0xfff)),
        (true, true) => cpu.header.tlb_flush(&request(FlushKind::VA, space, page, page | 0xfff)),
    }
    HelperReturn::value(0)
}

fn sfence_inval(cpu: &mut State, _: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    if cpu.privilege == privilege::U { illegal(cpu, insn) } else { HelperReturn::value(0) }
}

fn mark_dirty(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    let key = ModeKey(cpu.header.mode_key);
    cpu.set_mstatus(cpu.csr[word::MSTATUS] | mstatus::FS);
    cpu.refresh_mode();
    // The instruction may be one across pages, whose second half has been fetched.
    cpu.header.mode_key = ModeKey(cpu.header.mode_key).with_straddle(key.straddle()).with_upper_half(key.upper_half()).0;
    HelperReturn::exit()
}

fn straddle(cpu: &mut State, _: u64, _: u64, _: u64, expected: u64) -> HelperReturn {
    let va = cpu.header.pc.wrapping_add(2);
    let mut access = Access { va, size: 2, kind: AccessKind::FETCH, view: 0, reserved: 0, mem_flags: 0, insn_info: 0 };
    let mut bytes = [0; 2];
    let failed = if Riscv64::of(cpu).runs_linux_programs() {
        cpu.header.virtual_fetch(&mut access, &mut bytes).err().unwrap_or(fault::NONE)
    } else {
        let mut out = Translation::default();
        match mmu::walk(cpu, &access, &mut out) {
            fault::NONE if !cpu.header.physical_read(out.pa, &mut bytes) => fault::BUS,
            failed => failed,
        }
    };
    let half = u16::from_le_bytes(bytes);
    if failed != fault::NONE {
        trap::raise_access(cpu, &access, failed);
    } else if u64::from(half) == expected {
        return HelperReturn::value(0);
    } else {
        cpu.header.mode_key = ModeKey(cpu.header.mode_key).with_straddle(1).with_upper_half(half.into()).0;
    }
    HelperReturn::exit()
}

/// Whether an envcfg bit set lets the current level execute a cache block instruction: menvcfg below M, senvcfg too in U.
fn enabled(cpu: &State, bits: u64) -> bool {
    let (m, s) = (cpu.csr[word::MENVCFG] & bits != 0, cpu.csr[word::SENVCFG] & bits != 0);
    match cpu.privilege {
        privilege::M => true,
        privilege::S => m,
        _ => m && s,
    }
}

/// Whether the block at an address may be written (or read, if that is enough); otherwise the exception has been taken.
fn probe(cpu: &mut State, address: u64, either: bool) -> bool {
    let key = ModeKey(cpu.header.mode_key);
    let mut access =
        Access { va: address, size: 1, kind: AccessKind::WRITE, view: key.view() as u8, reserved: 0, mem_flags: key.view(), insn_info: 0 };
    if Riscv64::of(cpu).runs_linux_programs() {
        // Who may write may read; CBO.ZERO finds out by its store.
        access.kind = AccessKind::READ;
        let read = if either { cpu.header.virtual_read(&mut access, &mut [0]) } else { Ok(()) };
        access.kind = AccessKind::WRITE;
        return read.map_err(|failed| trap::raise_access(cpu, &access, failed)).is_ok();
    }
    let mut out = Translation::default();
    let mut failed = mmu::walk(cpu, &access, &mut out);
    if failed != fault::NONE && either {
        access.kind = AccessKind::READ;
        failed = mmu::walk(cpu, &access, &mut out);
        access.kind = AccessKind::WRITE;
    }
    if failed != fault::NONE {
        trap::raise_access(cpu, &access, failed);
        return false;
    }
    true
}

fn cbo(cpu: &mut State, address: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    let invalidates = insn >> 20 & 3 == 0;
    if !enabled(cpu, if invalidates { envcfg::CBIE } else { envcfg::CBCFE }) {
        return illegal(cpu, insn);
    }
    // Memory is coherent, so the operation is its permission check.
    if probe(cpu, address, true) { HelperReturn::value(0) } else { HelperReturn::exit() }
}

fn cbo_zero(cpu: &mut State, address: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    if !enabled(cpu, envcfg::CBZE) {
        return illegal(cpu, insn);
    }
    if !probe(cpu, address, false) {
        return HelperReturn::exit();
    }
    let view = ModeKey(cpu.header.mode_key).view();
    let va = address & !(CACHE_BLOCK - 1);
    let mut access = Access { va, size: CACHE_BLOCK as u32, kind: AccessKind::WRITE, view: view as u8, reserved: 0, mem_flags: view, insn_info: 0 };
    match cpu.header.virtual_write(&mut access, &[0; CACHE_BLOCK as usize]) {
        Ok(()) => HelperReturn::value(0),
        Err(fault) => {
            trap::raise_access(cpu, &access, fault);
            HelperReturn::exit()
        }
    }
}

fn wrs(cpu: &mut State, short: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    // WRS.NTO is bound by mstatus.TW as WFI is; a wait of WRS.STO ends by itself.
    if short == 0 && cpu.privilege < privilege::M && cpu.csr[word::MSTATUS] & mstatus::TW != 0 {
        return illegal(cpu, insn);
    }
    HelperReturn::value(0)
}
