//! Signal frames: `struct rt_sigframe` and the records in `sigcontext.__reserved` (`asm/sigcontext.h`).
//!
//! From the stack pointer up: siginfo, ucontext with its records, room to 16 bytes, then the frame record that makes backtraces go through.

use crate::state::{State, spsr};
use crate::sysreg::behaviour::{fpcr_writable, fpsr, set_fpsr};
use crate::{Aarch64, feature::Feature};
use emu_plugins_api::{Access, AccessKind, LinuxReturn, LinuxSignal, fault};

/// Bytes of `siginfo_t`.
const SIGINFO: usize = 128;
/// Offsets in `ucontext`.
const UC_STACK: usize = 16;
const UC_SIGMASK: usize = 40;
const UC_MCONTEXT: usize = 176;
/// Offsets in `sigcontext`.
const SC_REGS: usize = 8;
const SC_SP: usize = SC_REGS + 31 * 8;
const SC_PC: usize = SC_SP + 8;
const SC_PSTATE: usize = SC_PC + 8;
const SC_RESERVED: usize = 288;
const RESERVED_BYTES: usize = 4096;
/// The whole of siginfo and ucontext.
const FRAME: usize = SIGINFO + UC_MCONTEXT + SC_RESERVED + RESERVED_BYTES;
/// AT_MINSIGSTKSZ.
pub const BYTES_MAX: u64 = (FRAME + 16 + 16) as u64;

/// Records: magic word and size.
const FPSIMD: (u32, u32) = (0x4650_8001, 528);
const ESR: (u32, u32) = (0x4553_5201, 16);

fn put32(frame: &mut [u8], at: usize, v: u32) {
    frame[at..at + 4].copy_from_slice(&v.to_le_bytes());
}
fn put64(frame: &mut [u8], at: usize, v: u64) {
    frame[at..at + 8].copy_from_slice(&v.to_le_bytes());
}
fn get32(frame: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| frame[at + i]))
}
fn get64(frame: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| frame[at + i]))
}

fn access(va: u64) -> Access {
    Access { va, size: 16, kind: AccessKind::WRITE, view: 0, reserved: 0, mem_flags: 0, insn_info: 0 }
}

/// Lays the frame out and enters the handler. The fault if the stack cannot be written.
pub fn deliver(cpu: &mut State, s: &LinuxSignal) -> Result<(), u64> {
    let mut frame = vec![0u8; FRAME];
    frame[..SIGINFO].copy_from_slice(&s.siginfo);
    let uc = SIGINFO;
    put64(&mut frame, uc + UC_STACK, s.alternate[0]);
    put32(&mut frame, uc + UC_STACK + 8, s.alternate[2] as u32);
    put64(&mut frame, uc + UC_STACK + 16, s.alternate[1]);
    put64(&mut frame, uc + UC_SIGMASK, s.mask);
    let sc = uc + UC_MCONTEXT;
    put64(&mut frame, sc, s.fault[0]);
    for i in 0..31 {
        put64(&mut frame, sc + SC_REGS + i * 8, cpu.x[i]);
    }
    put64(&mut frame, sc + SC_SP, cpu.x[31]);
    put64(&mut frame, sc + SC_PC, cpu.header.pc);
    put64(&mut frame, sc + SC_PSTATE, cpu.pstate());
    let mut at = sc + SC_RESERVED;
    put32(&mut frame, at, FPSIMD.0);
    put32(&mut frame, at + 4, FPSIMD.1);
    put32(&mut frame, at + 8, fpsr(cpu) as u32);
    put32(&mut frame, at + 12, cpu.fpcr as u32);
    for (i, v) in cpu.v.iter().enumerate() {
        put64(&mut frame, at + 16 + i * 16, v[0]);
        put64(&mut frame, at + 24 + i * 16, v[1]);
    }
    at += FPSIMD.1 as usize;
    if s.fault[1] != 0 {
        put32(&mut frame, at, ESR.0);
        put32(&mut frame, at + 4, ESR.1);
        put64(&mut frame, at + 8, s.fault[1]);
    }
    // What follows is zero, which ends the records.
    let record = (s.stack_top & !15).wrapping_sub(16);
    let sp = record.wrapping_sub(FRAME.next_multiple_of(16) as u64);
    let mut links = [0u8; 16];
    put64(&mut links, 0, cpu.x[29]);
    put64(&mut links, 8, cpu.x[30]);
    cpu.header.virtual_write(&mut access(record), &links)?;
    cpu.header.virtual_write(&mut access(sp), &frame)?;
    cpu.x[0] = s.signal.into();
    if s.siginfo_wanted != 0 {
        (cpu.x[1], cpu.x[2]) = (sp, sp + SIGINFO as u64);
    }
    (cpu.x[29], cpu.x[30], cpu.x[31]) = (record, s.restorer, sp);
    cpu.header.pc = s.handler;
    cpu.header.monitor_size = 0;
    // A handler is called: BTYPE is that of BLR.
    cpu.set_btype(if Aarch64::of(cpu).has(Feature::BTI) { 2 } else { 0 });
    cpu.tco = 0;
    cpu.refresh_mode();
    Ok(())
}

/// Takes the state back from the frame at the stack pointer.
pub fn sigreturn(cpu: &mut State) -> Result<LinuxReturn, u64> {
    let sp = cpu.x[31];
    if sp & 15 != 0 {
        return Err(fault::ALIGNMENT);
    }
    let mut frame = vec![0u8; FRAME];
    let mut from = access(sp);
    from.kind = AccessKind::READ;
    cpu.header.virtual_read(&mut from, &mut frame)?;
    let uc = SIGINFO;
    let sc = uc + UC_MCONTEXT;
    // The records: one of the vector registers has to be among them.
    let mut at = sc + SC_RESERVED;
    let mut vectors = None;
    loop {
        if at + 16 > FRAME {
            return Err(fault::BUS);
        }
        let (magic, size) = (get32(&frame, at), get32(&frame, at + 4));
        if magic == 0 {
            break;
        }
        if size < 16 || size & 15 != 0 || at + size as usize > FRAME {
            return Err(fault::BUS);
        }
        if magic == FPSIMD.0 && size >= FPSIMD.1 {
            vectors = Some(at);
        }
        at += size as usize;
    }
    let vectors = vectors.ok_or(fault::BUS)?;
    let pstate = get64(&frame, sc + SC_PSTATE);
    // valid_user_regs: nothing but what a program may have.
    if pstate & 0x1f != 0 {
        return Err(fault::BUS);
    }
    for i in 0..31 {
        cpu.x[i] = get64(&frame, sc + SC_REGS + i * 8);
    }
    cpu.x[31] = get64(&frame, sc + SC_SP);
    cpu.header.pc = get64(&frame, sc + SC_PC);
    cpu.set_nzcv((pstate >> 28) as u32);
    let (has_dit, has_ssbs, has_bti) = {
        let arch = Aarch64::of(cpu);
        (arch.has(Feature::DIT), arch.has(Feature::SSBS), arch.has(Feature::BTI))
    };
    let bit = |has: bool, mask: u64| u8::from(has && pstate & mask != 0);
    cpu.dit = bit(has_dit, spsr::DIT);
    cpu.ssbs = bit(has_ssbs, spsr::SSBS);
    cpu.set_btype(if has_bti { (pstate >> spsr::BTYPE_LSB) as u32 & 3 } else { 0 });
    set_fpsr(cpu, get32(&frame, vectors + 8).into());
    cpu.fpcr = u64::from(get32(&frame, vectors + 12)) & fpcr_writable(Aarch64::of(cpu));
    for i in 0..32 {
        cpu.v[i] = [get64(&frame, vectors + 16 + i * 16), get64(&frame, vectors + 24 + i * 16)];
    }
    cpu.header.monitor_size = 0;
    cpu.refresh_mode();
    Ok(LinuxReturn {
        mask: get64(&frame, uc + UC_SIGMASK),
        alternate: [get64(&frame, uc + UC_STACK), get64(&frame, uc + UC_STACK + 16), get32(&frame, uc + UC_STACK + 8).into()],
    })
}
