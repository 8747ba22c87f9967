//! Hostile guests: the frame that they all have.
//!
//! Registers of the frame: x27 counts exceptions, x28 belongs to the handler. The stack pointer is behind the code.

use emu_a64_asm::*;

/// Where RAM begins.
pub const RAM: u64 = 0x4000_0000;
/// Where the Image is loaded and its first byte runs: offsets in the program are addresses above this.
pub const BASE: u64 = 0x4020_0000;
/// What a guest says at its end.
pub const DONE: &str = "done";
/// The first serial line.
pub const UART: u64 = 0x0900_0000;
/// SYSTEM_OFF.
pub const SYSTEM_OFF: u64 = 0x8400_0008;
/// SYSTEM_RESET.
pub const SYSTEM_RESET: u64 = 0x8400_0009;

/// What the handler of every exception does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handler {
    /// Goes on behind the instruction.
    Skip,
    /// Goes on at x30, in EL1 with everything masked.
    Link,
    /// Goes to [`Frame::trap`], which the guest places itself.
    Own,
}

/// Places of the frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The vector table.
    pub vectors: Label,
    /// Says `done` and powers off; jump here from anywhere in EL1.
    pub end: Label,
    /// The guest's own handler.
    pub trap: Label,
}

/// PSTATE of EL1 with its own stack pointer and all interrupts masked.
pub const EL1H_MASKED: u64 = 0x3c5;

/// Assembles a guest around `body`, behind which it ends.
///
/// # Panics
/// When the program is wrong, which is the test's mistake.
pub fn assemble(handler: Handler, body: impl FnOnce(&mut Asm, Frame)) -> Vec<u8> {
    let mut a = Asm::new(BASE);
    a.zeros(image::HEADER_LEN);
    let frame = Frame { vectors: a.label(), end: a.label(), trap: a.label() };
    let start = a.label();
    a.b(start);
    a.bind(frame.end);
    end(&mut a);
    if handler != Handler::Own {
        a.bind(frame.trap);
        match handler {
            Handler::Link => {
                a.msr(SysReg::ELR_EL1, X30);
                a.movz(X28, EL1H_MASKED as u16, 0);
                a.msr(SysReg::SPSR_EL1, X28);
            }
            _ => {
                a.mrs(X28, SysReg::ELR_EL1);
                a.add_imm(X28, X28, 4);
                a.msr(SysReg::ELR_EL1, X28);
            }
        }
        a.add_imm(X27, X27, 1);
        a.eret();
    }
    a.align(0x800);
    a.bind(frame.vectors);
    for _ in 0..16 {
        a.b(frame.trap);
        a.align(0x80);
    }
    a.bind(start);
    set_vectors(&mut a, frame.vectors);
    a.mov(X27, XZR);
    body(&mut a, frame);
    a.b(frame.end);
    let code = a.finish().unwrap_or_else(|e| panic!("the guest does not assemble: {e}"));
    image::wrap(&code[image::HEADER_LEN..], 0, 0)
}

/// Sets VBAR_EL1.
pub fn set_vectors(a: &mut Asm, vectors: Label) {
    a.load_address(X28, vectors);
    a.msr(SysReg::VBAR_EL1, X28);
    a.isb();
}

/// Turns the MMU off, says `done` and powers off.
fn end(a: &mut Asm) {
    // SCTLR_EL1's RES1 bits of ARMv8.0.
    a.mov_imm(X0, 0x30d0_0800);
    a.msr(SysReg::SCTLR_EL1, X0);
    a.isb();
    a.mov_imm(X0, UART);
    // UARTCR: UARTEN, TXE, RXE.
    a.movz(W1, 0x301, 0);
    a.str(W1, Addr::Off(X0, 0x30));
    for c in DONE.bytes() {
        a.movz(W1, c.into(), 0);
        a.str(W1, Addr::Off(X0, 0));
    }
    call(a, SYSTEM_OFF);
    let forever = a.here();
    a.wfi();
    a.b(forever);
}

/// HVC with a PSCI function; x1 to x3 are the caller's.
pub fn call(a: &mut Asm, function: u64) {
    a.mov_imm(X0, function);
    a.hvc(0);
}

/// A loop: `body` runs `times` times; `counter` belongs to it.
pub fn repeat(a: &mut Asm, counter: Reg, times: u64, body: impl FnOnce(&mut Asm)) {
    a.mov_imm(counter, times);
    let again = a.here();
    body(a);
    a.subs_imm(counter, counter, 1);
    a.b_cond(Cond::Ne, again);
}

/// Identity-maps the first 1 GiB as Device and RAM as Normal memory with 1 GiB blocks, by tables made at `at` in RAM, and turns the MMU on.
/// RAM appears a second time 4 GiB up, where EL0 has all rights.
pub fn mmu_on(a: &mut Asm, at: u64) {
    const AF: u64 = 1 << 10;
    const EL0: u64 = 1 << 6;
    a.mov_imm(X0, at);
    // Attributes as `mmu_on` has them. No shareability: with TCR_EL1.DS its place belongs to the address.
    let entries = [(0, 1 | AF), (1, RAM | 1 | AF | 1 << 2), (4, EL0 | 1 | AF), (5, RAM | EL0 | 1 | AF | 1 << 2)];
    for (index, descriptor) in entries {
        a.mov_imm(X1, descriptor);
        a.str(X1, Addr::Off(X0, index * 8));
    }
    a.mmu_on();
}
