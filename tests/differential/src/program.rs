//! The same cases as a program of Linux: a static ELF file in place of the bare-metal guest, for user mode.
//!
//! Every way out of a case is a signal: the BRK that stands where the bare-metal guest has its SVC, or a fault. The handler, on a stack of its
//! own, takes the final state out of the signal frame, prints the line, and puts the next case's state into the frame, so that the return
//! from the signal starts it. So the frames of the emulators are tested too. What a program cannot see (the syndrome, PSTATE but for NZCV,
//! memory types) is not compared; the exception class is the one that the signal stands for.
//!
//! The file's second page on is the image of [`crate::case`], mapped at [`layout::CODE`] as there.

use crate::layout::{self, record, state};
use crate::runner::{self, HASH_FACTOR, Places};
use emu_a64_asm::*;

/// The BRK in place of an SVC that ends a case.
pub const fn exit(svc: u32) -> u32 {
    0xd420_0000 | svc & 0x1f_ffe0
}

/// Numbers of arm64 Linux (asm-generic/unistd.h).
mod call {
    pub const WRITE: u64 = 64;
    pub const EXIT_GROUP: u64 = 94;
    pub const SIGALTSTACK: u64 = 132;
    pub const RT_SIGACTION: u64 = 134;
    pub const RT_SIGRETURN: u64 = 139;
    pub const MPROTECT: u64 = 226;
    pub const MMAP: u64 = 222;
}

/// Offsets in struct ucontext of arm64 (asm/ucontext.h, asm/sigcontext.h): the FP record is the first, as Linux writes it.
mod frame {
    pub const FAULT: i32 = 176;
    pub const X: i32 = FAULT + 8;
    pub const SP: i32 = X + 248;
    pub const PC: i32 = SP + 8;
    pub const PSTATE: i32 = PC + 8;
    pub const FPSR: i32 = FAULT + 288 + 8;
    pub const FPCR: i32 = FPSR + 4;
    pub const V: u32 = FPSR as u32 + 8;
    /// si_addr in struct siginfo.
    pub const SI_ADDR: i32 = 16;
}

/// Behind the runner's variables: where the next character of the line goes, and the line.
const LINE_END: i32 = 24;
const LINE: u64 = layout::CONTEXT + 64;
/// The handler's stack.
const STACK: u64 = layout::SAVE + 0x2000;
const STACK_LEN: u64 = 0x20000;

/// The signals that end a case, with the exception class that each stands for.
const SIGNALS: [(u64, u64); 4] = [(5, 0x15), (4, 0x00), (11, 0x24), (7, 0x22)];

/// The program from the image's first byte behind the header to the end of the parameters. The first word is its entry.
///
/// # Panics
/// Only on a mistake in this file.
pub fn assemble(first_record: u64, count: u64) -> Vec<u8> {
    let mut a = Asm::new(0);
    let p = Places::new(&mut a);
    set_up(&mut a, &p);
    end_case(&mut a, &p);
    start_case(&mut a, &p);
    put_char(&mut a, &p);
    runner::print_text(&mut a, &p);
    a.bind(p.fatal);
    a.adr(X0, p.fatal_text);
    a.bl(p.put_text);
    a.bind(p.power_off);
    system_call(&mut a, call::EXIT_GROUP, &[0]);
    runner::texts(&mut a, &p);
    // Nobody comes here.
    a.bind(p.vectors);
    a.org(layout::PARAMETERS - image::HEADER_LEN);
    a.bind(p.parameters);
    a.quad(first_record);
    a.quad(count);
    a.finish().unwrap_or_else(|e| panic!("the program does not assemble: {e}"))
}

fn system_call(a: &mut Asm, number: u64, arguments: &[u64]) {
    for (i, value) in arguments.iter().enumerate() {
        a.mov_imm(Reg::x(i as u8), *value);
    }
    a.mov_imm(X8, number);
    a.svc(0);
}

fn set_up(a: &mut Asm, p: &Places) {
    const READ_WRITE: u64 = 3;
    const READ: u64 = 1;
    // MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS.
    const FIXED: u64 = 0x32;
    const SA_SIGINFO: u64 = 4;
    const SA_ONSTACK: u64 = 0x0800_0000;
    a.mov_imm(X20, layout::CODE);
    a.mov_imm(X21, layout::CONTEXT);
    a.adr(X0, p.parameters);
    a.ldp(X1, X2, Addr::Off(X0, 0));
    a.add(X1, X1, X20, 0);
    a.stp(X1, X2, Addr::Off(X21, 0));
    a.str(X20, Addr::Off(X21, 16));
    a.mov_imm(X0, LINE);
    a.str(X0, Addr::Off(X21, LINE_END));
    for (page, pages) in [(layout::WRITABLE, 3), (layout::DEVICE & !0xfff, 1), (layout::NON_CACHEABLE & !0xfff, 1)] {
        system_call(a, call::MMAP, &[page, pages * 4096, READ_WRITE, FIXED, u64::MAX, 0]);
        a.mov_imm(X1, page);
        a.cmp(X0, X1);
        a.b_cond(Cond::Ne, p.fatal);
    }
    // The read-only page holds the first case's template.
    let no_case = a.label();
    a.ldp(X1, X2, Addr::Off(X21, 0));
    a.cbz(X2, no_case);
    a.ldr(X0, Addr::Off(X1, record::MEMORY as i32));
    a.add(X0, X0, X20, 0);
    a.mov_imm(X1, layout::READ_ONLY);
    a.mov_imm(X2, 256 / 16);
    let fill = a.here();
    a.ldp(X3, X4, Addr::Post(X0, 16));
    a.stp(X3, X4, Addr::Post(X1, 16));
    a.subs_imm(X2, X2, 1);
    a.b_cond(Cond::Ne, fill);
    a.bind(no_case);
    system_call(a, call::MPROTECT, &[layout::READ_ONLY, 4096, READ]);
    // struct sigaltstack, then struct sigaction, where the line will be.
    a.mov_imm(X1, LINE);
    a.mov_imm(X0, STACK);
    a.stp(X0, XZR, Addr::Off(X1, 0));
    a.mov_imm(X0, STACK_LEN);
    a.str(X0, Addr::Off(X1, 16));
    system_call(a, call::SIGALTSTACK, &[LINE, 0]);
    a.mov_imm(X1, LINE);
    a.adr(X0, p.handler);
    a.mov_imm(X2, SA_SIGINFO | SA_ONSTACK);
    a.stp(X0, X2, Addr::Off(X1, 0));
    a.stp(XZR, XZR, Addr::Off(X1, 16));
    for (signal, _) in SIGNALS {
        system_call(a, call::RT_SIGACTION, &[signal, LINE, 0, 8]);
    }
    // As many lines as the bare-metal guest has for identification registers.
    a.mov_imm(X25, layout::ID_REGISTERS.into());
    let again = a.here();
    a.mov(X0, XZR);
    a.mov_imm(X1, 16);
    a.bl(p.put_hex);
    a.subs_imm(X25, X25, 1);
    a.b_cond(Cond::Ne, again);
    a.adr(X0, p.begin);
    a.bl(p.put_text);
    // The first case begins like the others, by a return from a signal.
    a.mov_imm(X29, FIRST);
    a.word(exit(0));
    a.b(p.fatal);
}

/// In X29 when the program itself stops, before the first case.
const FIRST: u64 = 0x5ead_0000_f125_7000;

fn end_case(a: &mut Asm, p: &Places) {
    a.bind(p.handler);
    a.mov(X26, X2);
    a.ldr(X3, Addr::Off(X26, frame::X + 8 * 29));
    a.mov_imm(X4, FIRST);
    a.cmp(X3, X4);
    a.b_cond(Cond::Eq, p.next);
    a.mov_imm(X27, layout::SAVE);
    // X0 to X30 and SP.
    a.add_imm(X3, X26, frame::X as u32);
    a.mov(X4, X27);
    for _ in 0..16 {
        a.ldp(X5, X6, Addr::Post(X3, 16));
        a.stp(X5, X6, Addr::Post(X4, 16));
    }
    a.ldr(X3, Addr::Off(X26, frame::PC));
    a.str(X3, Addr::Off(X27, state::ELR as i32));
    a.ldr(X3, Addr::Off(X26, frame::PSTATE));
    a.mov_imm(X4, 0xf000_0000);
    a.and(X3, X3, X4, 0);
    a.str(X3, Addr::Off(X27, state::SPSR as i32));
    a.ldr(W3, Addr::Off(X26, frame::FPCR));
    a.str(X3, Addr::Off(X27, state::FPCR as i32));
    a.ldr(W3, Addr::Off(X26, frame::FPSR));
    a.str(X3, Addr::Off(X27, state::FPSR as i32));
    // The class into X10, and si_addr where there is one, without its tag.
    let known = a.label();
    for (signal, class) in SIGNALS {
        a.mov_imm(X10, class);
        a.cmp_imm(X0, signal as u32);
        a.b_cond(Cond::Eq, known);
    }
    a.b(p.fatal);
    a.bind(known);
    a.ldr(X3, Addr::Off(X1, frame::SI_ADDR));
    a.lsl(X3, X3, 8);
    a.lsr(X3, X3, 8);
    a.cmp_imm(X0, 11);
    a.csel(X3, X3, XZR, Cond::Eq);
    // An address that the host cannot have either comes to the oracle's handler without its value.
    a.lsr(X4, X3, 47);
    a.cmp_imm(X4, 0);
    a.csel(X3, X3, XZR, Cond::Eq);
    a.str(X3, Addr::Off(X27, state::FAR as i32));
    a.lsl(X3, X10, 26);
    a.str(X3, Addr::Off(X27, state::ESR as i32));
    a.add_imm(X3, X26, frame::V);
    a.add_imm(X4, X27, state::V);
    for _ in 0..16 {
        a.ldp_q(VReg(0), VReg(1), Addr::Post(X3, 32));
        a.stp_q(VReg(0), VReg(1), Addr::Post(X4, 32));
    }
    a.mov_imm(X8, 0x1234_5678);
    a.mov_imm(X9, HASH_FACTOR);
    runner::hash(a, layout::SAVE, u64::from(state::LEN));
    for (address, len) in layout::REGIONS {
        runner::hash(a, address, len);
    }
    runner::print_case(a, p);
}

fn start_case(a: &mut Asm, p: &Places) {
    a.bind(p.next);
    a.mov_imm(X20, layout::CONTEXT);
    a.ldp(X21, X22, Addr::Off(X20, 0));
    a.ldr(X19, Addr::Off(X20, 16));
    let go = a.label();
    a.cbnz(X22, go);
    a.adr(X0, p.end);
    a.bl(p.put_text);
    a.b(p.power_off);
    a.bind(go);
    a.ldr(X0, Addr::Off(X21, record::MEMORY as i32));
    a.add(X0, X0, X19, 0);
    for (address, len) in layout::REGIONS {
        a.mov_imm(X1, address);
        a.mov_imm(X2, len / 32);
        let top = a.here();
        a.ldp_q(VReg(0), VReg(1), Addr::Post(X0, 32));
        a.stp_q(VReg(0), VReg(1), Addr::Post(X1, 32));
        a.subs_imm(X2, X2, 1);
        a.b_cond(Cond::Ne, top);
    }
    a.ldr(X0, Addr::Off(X21, record::V as i32));
    a.add(X0, X0, X19, 0);
    a.add_imm(X1, X26, frame::V);
    for _ in 0..16 {
        a.ldp_q(VReg(0), VReg(1), Addr::Post(X0, 32));
        a.stp_q(VReg(0), VReg(1), Addr::Post(X1, 32));
    }
    // X0 to X30 and SP.
    a.mov(X0, X21);
    a.add_imm(X1, X26, frame::X as u32);
    for _ in 0..16 {
        a.ldp(X2, X3, Addr::Post(X0, 16));
        a.stp(X2, X3, Addr::Post(X1, 16));
    }
    a.ldr(X0, Addr::Off(X21, record::ELR as i32));
    a.str(X0, Addr::Off(X26, frame::PC));
    a.ldr(X0, Addr::Off(X21, record::SPSR as i32));
    a.mov_imm(X1, 0xf000_0000);
    a.and(X0, X0, X1, 0);
    a.str(X0, Addr::Off(X26, frame::PSTATE));
    a.ldr(X0, Addr::Off(X21, record::FPCR as i32));
    a.str(W0, Addr::Off(X26, frame::FPCR));
    a.ldr(X0, Addr::Off(X21, record::FPSR as i32));
    a.str(W0, Addr::Off(X26, frame::FPSR));
    // SP is at the frame: this function has pushed nothing.
    system_call(a, call::RT_SIGRETURN, &[]);
    a.b(p.fatal);
}

/// Puts W0 at the end of the line, and writes a whole one.
fn put_char(a: &mut Asm, p: &Places) {
    let not_yet = a.label();
    a.bind(p.put_char);
    a.mov_imm(X2, layout::CONTEXT);
    a.ldr(X3, Addr::Off(X2, LINE_END));
    a.strb(W0, Addr::Post(X3, 1));
    a.str(X3, Addr::Off(X2, LINE_END));
    a.cmp_imm(X0, b'\n'.into());
    a.b_cond(Cond::Ne, not_yet);
    a.mov_imm(X1, LINE);
    a.str(X1, Addr::Off(X2, LINE_END));
    a.sub(X2, X3, X1, 0);
    a.mov_imm(X0, 1);
    a.mov_imm(X8, call::WRITE);
    a.svc(0);
    a.bind(not_yet);
    a.ret();
}

/// The ELF file of an image: the image at [`layout::CODE`], and memory for the handler at [`layout::SAVE`].
pub fn elf(image: &[u8]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut out = Vec::with_capacity(PAGE + image.len());
    out.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut words = |bytes: &[u8]| out.extend_from_slice(bytes);
    // ET_EXEC, EM_AARCH64, EV_CURRENT; the entry is behind the image's header.
    words(&2u16.to_le_bytes());
    words(&183u16.to_le_bytes());
    words(&1u32.to_le_bytes());
    words(&(layout::CODE + image::HEADER_LEN as u64).to_le_bytes());
    words(&64u64.to_le_bytes());
    words(&0u64.to_le_bytes());
    words(&0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        words(&half.to_le_bytes());
    }
    // PT_LOAD: flags, offset, address, sizes.
    for (flags, offset, address, in_file, in_memory) in
        [(5u32, PAGE as u64, layout::CODE, image.len() as u64, image.len() as u64), (6, 0, layout::SAVE, 0, STACK + STACK_LEN - layout::SAVE)]
    {
        words(&1u32.to_le_bytes());
        words(&flags.to_le_bytes());
        for word in [offset, address, address, in_file, in_memory, PAGE as u64] {
            words(&word.to_le_bytes());
        }
    }
    out.resize(PAGE, 0);
    out.extend_from_slice(image);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits() {
        let code = assemble(0x1122_3344, 7);
        assert_eq!(code.len() + image::HEADER_LEN, layout::PARAMETERS + 16);
        let file = elf(&[1, 2, 3]);
        assert_eq!((file.len(), &file[4096..]), (4099, &[1u8, 2, 3][..]));
    }
}
