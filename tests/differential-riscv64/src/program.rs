//! The same cases as a program of Linux: a static ELF file in place of the bare-metal guest, for user mode.
//!
//! Every way out of a case is a signal: SIGTRAP for the breakpoints that fill its slot, or a fault's. The handler, on a stack of its own, takes
//! what the case left behind out of the signal frame, and puts the next case's state into it, so that the return from the signal starts that.
//! So the frames of the emulators are tested too. In place of the cause and its value are the signal's number and address.

use crate::asm::{Asm, reg::*};
use crate::encoding::{decode, method, operand, row};
use crate::generate::Case;
use crate::guest::{
    AROUND, BASE, CENTRE, CURRENT, END, FACTOR, HASH, LEFT, POOL, RECORD_BYTES, RECORDS, REGISTER_FILE, STATE, add_to_hash, end_case, image_of,
};

/// Offsets in struct ucontext of riscv64 (asm/ucontext.h, asm/sigcontext.h, asm/ptrace.h).
mod frame {
    pub const PC: i32 = 176;
    pub const X: i32 = PC;
    pub const F: i32 = X + 256;
    pub const FCSR: i32 = F + 256;
    /// si_addr in struct siginfo.
    pub const SI_ADDR: i32 = 16;
}

/// Numbers of Linux (asm-generic/unistd.h).
mod call {
    pub const WRITE: u64 = 64;
    pub const EXIT_GROUP: u64 = 94;
    pub const SIGALTSTACK: u64 = 132;
    pub const RT_SIGACTION: u64 = 134;
    pub const RT_SIGRETURN: u64 = 139;
}

/// Signals that end a case.
const SIGNALS: [u64; 4] = [5, 4, 11, 7];

/// Offsets in the state, behind the runner's.
const STARTED: i32 = 32;
const LINE_END: i32 = 40;
/// Where the line is, and the handler's stack.
const LINE: u64 = STATE + 0x2000;
const STACK: u64 = STATE + 0x4000;
const STACK_BYTES: u64 = 0x8000;

/// Registers that the handler keeps its arguments in.
const SIGNAL: u32 = 18;
const INFO: u32 = 19;
const CONTEXT: u32 = 20;
const A7: u32 = 17;
const ECALL: u32 = 0x0000_0073;

fn system_call(a: &mut Asm, number: u64, arguments: &[u64]) {
    for (i, v) in arguments.iter().enumerate() {
        a.li(A0 + i as u32, *v);
    }
    a.li(A7, number);
    a.word(ECALL);
}

/// The program's code. `group`: cases a line; 0: in detail.
fn code(group: u64, first: usize, last: usize) -> Vec<u32> {
    let mut a = Asm::default();
    let (next, done, handler, hash, hex) = (a.label(), a.label(), a.label(), a.label(), a.label());
    a.li(S0, STATE);
    for (value, at) in
        [(RECORDS + RECORD_BYTES * first as u64, CURRENT), (RECORDS + RECORD_BYTES * last as u64, END), (group.max(1), LEFT), (LINE, LINE_END)]
    {
        a.li(T0, value);
        a.sd(T0, at, S0);
    }
    // struct sigaltstack, then struct sigaction, where the line will be.
    a.li(T1, LINE);
    a.li(T0, STACK);
    a.sd(T0, 0, T1);
    a.sd(ZERO, 8, T1);
    a.li(T0, STACK_BYTES);
    a.sd(T0, 16, T1);
    system_call(&mut a, call::SIGALTSTACK, &[LINE, 0]);
    a.li(T1, LINE);
    // The handler's address is patched in: a constant of the same length whatever it is.
    let at = a.here();
    a.li(T0, BASE + 0x7fc);
    a.sd(T0, 0, T1);
    // SA_SIGINFO, SA_ONSTACK.
    a.li(T0, 0x0800_0004);
    a.sd(T0, 8, T1);
    a.sd(ZERO, 16, T1);
    for signal in SIGNALS {
        system_call(&mut a, call::RT_SIGACTION, &[signal, LINE, 0, 8]);
    }
    // The first case begins like the others, by a return from a signal.
    a.word(0x0010_0073);

    a.place(handler);
    let handler_at = a.here();
    a.addi(SIGNAL, A0, 0);
    a.addi(INFO, A1, 0);
    a.addi(CONTEXT, A2, 0);
    a.li(S0, STATE);
    a.ld(T0, STARTED, S0);
    a.addi(T1, ZERO, 1);
    a.sd(T1, STARTED, S0);
    a.beq(T0, ZERO, next);
    a.ld(A2, HASH, S0);
    a.li(A3, FACTOR);
    for n in 1..32 {
        a.ld(A0, frame::X + 8 * n, CONTEXT);
        a.call(hash);
    }
    for n in 0..32 {
        a.ld(A0, frame::F + 8 * n, CONTEXT);
        a.call(hash);
    }
    a.ld(A0, frame::FCSR, CONTEXT);
    a.andi(A0, A0, 0xff);
    a.call(hash);
    a.addi(A0, SIGNAL, 0);
    a.call(hash);
    a.ld(A0, frame::SI_ADDR, INFO);
    a.call(hash);
    a.ld(A0, frame::PC, CONTEXT);
    a.call(hash);
    for _ in 0..5 {
        a.addi(A0, ZERO, 0);
        a.call(hash);
    }
    end_case(&mut a, group, next, (hash, hex));
    a.ld(A2, LINE_END, S0);
    a.addi(T0, ZERO, 10);
    a.sb(T0, 0, A2);
    a.li(A1, LINE);
    a.sd(A1, LINE_END, S0);
    a.sub(A2, A2, A1);
    a.addi(A2, A2, 1);
    a.addi(A0, ZERO, 1);
    a.li(A7, call::WRITE);
    a.word(ECALL);
    a.sd(ZERO, HASH, S0);

    a.place(next);
    a.ld(S1, CURRENT, S0);
    a.ld(T0, END, S0);
    a.beq(S1, T0, done);
    a.ld(T1, 8, S1);
    a.li(T0, POOL);
    a.add(T1, T1, T0);
    for n in 1..32 {
        a.ld(T2, 8 * n, T1);
        a.sd(T2, frame::X + 8 * n, CONTEXT);
    }
    // What is of no register goes where the program counter comes afterwards.
    for at in [24, 48] {
        a.ld(T2, at, S1);
        a.ld(T0, at + 8, S1);
        a.add(T2, T2, CONTEXT);
        a.sd(T0, frame::X - REGISTER_FILE as i32, T2);
    }
    a.ld(T0, 0, S1);
    a.sd(T0, frame::PC, CONTEXT);
    a.li(T0, CENTRE);
    for n in 0..(2 * AROUND / 8) as i32 {
        a.ld(T2, 8 * (n + 32), T1);
        a.sd(T2, 8 * n - AROUND as i32, T0);
    }
    a.ld(T2, 40, S1);
    a.andi(T2, T2, 0xff);
    a.sw(T2, frame::FCSR, CONTEXT);
    a.ld(T1, 16, S1);
    a.li(T0, POOL);
    a.add(T1, T1, T0);
    for n in 0..32 {
        a.ld(T2, 8 * n, T1);
        a.sd(T2, frame::F + 8 * n, CONTEXT);
    }
    // No reservation is left.
    a.li(T0, STATE + 0xf0);
    a.word(0x1800_2000 | 0x2f | T0 << 15);
    a.li(A7, call::RT_SIGRETURN);
    a.word(ECALL);

    a.place(done);
    system_call(&mut a, call::EXIT_GROUP, &[0]);

    // Adds a0 to the hash in a2 (a3 is the factor), and puts it into the line in detail. Changes t0 to t2, a4, a5.
    a.place(hash);
    add_to_hash(&mut a, group);
    // Puts a0 and a space into the line.
    a.place(hex);
    a.ld(T1, LINE_END, S0);
    a.addi(A4, ZERO, 60);
    let (digit, small, more) = (a.label(), a.label(), a.label());
    a.place(digit);
    a.word(A4 << 20 | A0 << 15 | 5 << 12 | T0 << 7 | 0x33); // srl t0, a0, a4
    a.andi(T0, T0, 15);
    a.addi(T2, ZERO, 10);
    a.addi(A5, ZERO, 48);
    a.blt(T0, T2, small);
    a.addi(A5, ZERO, 87);
    a.place(small);
    a.add(T0, T0, A5);
    a.sb(T0, 0, T1);
    a.addi(T1, T1, 1);
    a.addi(A4, A4, -4);
    a.blt(A4, ZERO, more);
    a.j(digit);
    a.place(more);
    a.addi(T0, ZERO, 32);
    a.sb(T0, 0, T1);
    a.addi(T1, T1, 1);
    a.sd(T1, LINE_END, S0);
    a.ret();

    let mut code = a.finish();
    let mut patch = Asm::default();
    patch.li(T0, BASE + handler_at);
    let words = patch.finish();
    code[(at / 4) as usize..][..words.len()].copy_from_slice(&words);
    code
}

/// The ELF file for cases `first..last` of these; `group` as in [`crate::guest::image`].
pub fn elf(cases: &[Case], pool: &[u64], group: u64, first: usize, last: usize) -> Vec<u8> {
    const PAGE: usize = 4096;
    let image = image_of(&code(group, first, last), cases, pool);
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    // ET_EXEC, EM_RISCV, EV_CURRENT; compressed instructions and doubles in registers.
    put(&2u16.to_le_bytes());
    put(&243u16.to_le_bytes());
    put(&1u32.to_le_bytes());
    for word in [BASE, 64, 0] {
        put(&word.to_le_bytes());
    }
    put(&5u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    // PT_LOAD, readable, writable, executable: offset, addresses, sizes, alignment.
    put(&1u32.to_le_bytes());
    put(&7u32.to_le_bytes());
    for word in [PAGE as u64, BASE, BASE, image.len() as u64, image.len() as u64, PAGE as u64] {
        put(&word.to_le_bytes());
    }
    out.resize(PAGE, 0);
    out.extend_from_slice(&image);
    out
}

/// Whether a case means the same to programs under both emulators.
pub fn is_for_programs(c: &Case) -> bool {
    let m = method(row(c.row)).unwrap_or_default();
    let word = u32::from(c.code[0]) | c.code.get(1).map_or(0, |h| u32::from(*h) << 16);
    let aligned = operand(word, "size").is_none_or(|s| c.patches[0].1 & ((1 << s) - 1) == 0);
    let known = decode::find(word).is_some();
    match m {
        // A misaligned one is SIGBUS, as Linux has it where the hardware does not carry it out; the oracle does.
        "amo" | "amocas" | "load_reserved" | "store_conditional" => known && aligned,
        // The oracle carries them out for programs, from which the architecture and Linux (senvcfg.CBIE) keep them.
        "sfence_inval" => false,
        _ => row(c.row).name != "CBO_INVAL",
    }
}
