//! Signal frames: `struct rt_sigframe` with the context of `asm/sigcontext.h`.
//!
//! From the stack pointer up: siginfo, ucontext whose machine context is pc and x1 to x31, then the floating-point state in the room of its
//! widest form, at the end of which lie the headers of further state: a reserved word and one header of zeroes, for there is none.

use crate::csr::{self, word};
use crate::state::State;
use emu_plugins_api::{Access, AccessKind, LinuxReturn, LinuxSignal, fault};

/// Bytes of `siginfo_t`.
const SIGINFO: usize = 128;
/// Offsets in `ucontext`.
const UC_STACK: usize = 16;
const UC_SIGMASK: usize = 40;
const UC_MCONTEXT: usize = 176;
/// Offsets in `sigcontext`.
const SC_FPREGS: usize = 32 * 8;
const SC_FCSR: usize = SC_FPREGS + 32 * 8;
const SC_RESERVED: usize = SC_FPREGS + 129 * 4;
const SC_BYTES: usize = SC_FPREGS + 528;
/// The whole of siginfo and ucontext.
const FRAME: usize = SIGINFO + UC_MCONTEXT + SC_BYTES;
/// AT_MINSIGSTKSZ.
pub const BYTES: u64 = FRAME as u64;

const UC: usize = SIGINFO;
const SC: usize = UC + UC_MCONTEXT;

fn put64(frame: &mut [u8], at: usize, v: u64) {
    frame[at..at + 8].copy_from_slice(&v.to_le_bytes());
}
fn get32(frame: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| frame[at + i]))
}
fn get64(frame: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| frame[at + i]))
}

fn access(va: u64, kind: AccessKind) -> Access {
    Access { va, size: 16, kind, view: 0, reserved: 0, mem_flags: 0, insn_info: 0 }
}

/// Lays the frame out and enters the handler, which is always given siginfo and context. The fault if the stack cannot be written.
pub fn deliver(cpu: &mut State, s: &LinuxSignal) -> Result<(), u64> {
    let mut frame = vec![0u8; FRAME];
    frame[..SIGINFO].copy_from_slice(&s.siginfo);
    put64(&mut frame, UC + UC_STACK, s.alternate[0]);
    put64(&mut frame, UC + UC_STACK + 8, s.alternate[2] & 0xffff_ffff);
    put64(&mut frame, UC + UC_STACK + 16, s.alternate[1]);
    put64(&mut frame, UC + UC_SIGMASK, s.mask);
    put64(&mut frame, SC, cpu.header.pc);
    for i in 1..32 {
        put64(&mut frame, SC + i * 8, cpu.x[i]);
    }
    for (i, f) in cpu.f.iter().enumerate() {
        put64(&mut frame, SC + SC_FPREGS + i * 8, *f);
    }
    let fcsr = csr::fflags(cpu) | cpu.csr[word::FRM] << 5;
    put64(&mut frame, SC + SC_FCSR, fcsr);
    let sp = s.stack_top.wrapping_sub(FRAME as u64) & !15;
    cpu.header.virtual_write(&mut access(sp, AccessKind::WRITE), &frame)?;
    (cpu.x[10], cpu.x[11], cpu.x[12]) = (s.signal.into(), sp, sp + SIGINFO as u64);
    (cpu.x[1], cpu.x[2]) = (s.restorer, sp);
    cpu.header.pc = s.handler & !1;
    cpu.header.monitor_size = 0;
    cpu.refresh_mode();
    Ok(())
}

/// Takes the state back from the frame at the stack pointer.
pub fn sigreturn(cpu: &mut State) -> Result<LinuxReturn, u64> {
    let mut frame = vec![0u8; FRAME];
    cpu.header.virtual_read(&mut access(cpu.x[2], AccessKind::READ), &mut frame)?;
    // Further state would have a header; none is known.
    if (0..3).any(|i| get32(&frame, SC + SC_RESERVED + i * 4) != 0) {
        return Err(fault::BUS);
    }
    cpu.header.pc = get64(&frame, SC) & !1;
    for i in 1..32 {
        cpu.x[i] = get64(&frame, SC + i * 8);
    }
    for i in 0..32 {
        cpu.f[i] = get64(&frame, SC + SC_FPREGS + i * 8);
    }
    let fcsr = u64::from(get32(&frame, SC + SC_FCSR));
    csr::set_fflags(cpu, fcsr);
    cpu.csr[word::FRM] = fcsr >> 5 & 7;
    cpu.header.monitor_size = 0;
    cpu.refresh_mode();
    Ok(LinuxReturn {
        mask: get64(&frame, UC + UC_SIGMASK),
        alternate: [get64(&frame, UC + UC_STACK), get64(&frame, UC + UC_STACK + 16), get32(&frame, UC + UC_STACK + 8).into()],
    })
}
