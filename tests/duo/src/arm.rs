//! The Arm CPU's surroundings. Interrupt handlers have X16 to X28 for themselves, everything else the rest.

use crate::{PAGE, VECTORS, WRONG_AT_ARM};
use emu_a64_asm::*;
use emu_machine_devices::gicv3::spec::{gicd, gicr};
use emu_machine_devices::mailbox::spec::{ENABLE, cause};
use emu_machine_devices::sifive_test;
use emu_machine_duo::board::{FINISHER, GICD, GICR, MAILBOX, MAILBOX_SPI, PL011};

/// The interrupt of the mailbox.
pub const INTERRUPT: u32 = 32 + MAILBOX_SPI as u32;

/// Where RAM is seen once more, see [`alias`].
pub const ALIAS: u64 = PAGE + (4 << 30);
/// The page table of [`alias`].
const TABLE: u64 = PAGE + 0x2000;

/// Turns the mailbox's interrupt on, through distributor, redistributor and CPU interface. Changes X0 to X2.
pub fn interrupts(a: &mut Asm) {
    let mut store = |base: u64, offset: u64, value: u32| {
        a.mov_imm(X0, base + offset);
        a.mov_imm(W1, value.into());
        a.str(W1, Addr::Off(X0, 0));
    };
    let word = u64::from(INTERRUPT / 32) * 4;
    store(GICD.base, gicd::CTLR, gicd::ARE | gicd::ENABLE_GRP1);
    store(GICD.base, gicd::IGROUPR + word, 1 << (INTERRUPT % 32));
    store(GICD.base, gicd::ISENABLER + word, 1 << (INTERRUPT % 32));
    store(GICR.base, gicr::WAKER, 0);
    store(MAILBOX.base, ENABLE, cause::WORD);
    a.mov_imm(X1, 0xff);
    a.msr(SysReg::ICC_PMR_EL1, X1);
    a.mov_imm(X1, 1);
    a.msr(SysReg::ICC_IGRPEN1_EL1, X1);
    a.mov_imm(X1, VECTORS);
    a.msr(SysReg::VBAR_EL1, X1);
    a.isb();
    a.msr_imm(PState::DaifClr, 2);
}

/// The vectors: interrupts go to `handler`, an address in the page of code; all else is wrong.
///
/// # Panics
/// When the assembler does.
pub fn vectors(handler: u64) -> Vec<u8> {
    let mut a = Asm::new(VECTORS);
    // IRQ from the current EL with SP_ELx.
    a.org(0x280);
    a.mov_imm(X16, handler);
    a.br(X16);
    let mut out = a.finish().unwrap();
    let mut b = Asm::new(VECTORS);
    fail(&mut b);
    let wrong = b.finish().unwrap();
    out.resize(0x800, 0);
    for at in (0..0x800).step_by(0x80).filter(|at| *at != 0x280) {
        out[at..at + wrong.len()].copy_from_slice(&wrong);
    }
    out
}

/// Waits with interrupts masked, so that none is missed, for one; then lets it in.
pub fn wait(a: &mut Asm) {
    a.wfi();
    a.msr_imm(PState::DaifClr, 2);
    a.isb();
}

fn finish(a: &mut Asm, value: u64) {
    a.mov_imm(X16, FINISHER.base);
    a.mov_imm(W17, value);
    a.str(W17, Addr::Off(X16, 0));
    let end = a.here();
    a.b(end);
}

/// Resets the machine.
pub fn reset(a: &mut Asm) {
    finish(a, sifive_test::RESET);
}

/// Turns the MMU on, with all addresses as they are and RAM at [`ALIAS`] besides, and goes on there. Changes X0 and X1.
pub fn alias(a: &mut Asm) {
    const AF: u64 = 1 << 10;
    const GIB: u64 = 1 << 30;
    a.mov_imm(X0, TABLE);
    // Attributes as `mmu_on` has them.
    for (at, descriptor) in [(0, 1 | AF), (PAGE, PAGE | 1 | AF | 1 << 2), (ALIAS, PAGE | 1 | AF | 1 << 2)] {
        a.mov_imm(X1, descriptor);
        a.str(X1, Addr::Off(X0, (at / GIB * 8) as i32));
    }
    a.mmu_on();
    let there = a.label();
    a.adr(X0, there);
    a.mov_imm(X1, ALIAS - PAGE);
    a.add(X0, X0, X1, 0);
    a.br(X0);
    a.bind(there);
}

/// Ends the run, well.
pub fn pass(a: &mut Asm) {
    finish(a, sifive_test::PASS);
}

/// Ends the run because something is wrong.
pub fn fail(a: &mut Asm) {
    finish(a, sifive_test::FAIL | u64::from(WRONG_AT_ARM) << 16);
}

/// Prints X0 in hexadecimal, and an end of line. Changes X0 to X3.
pub fn print(a: &mut Asm) {
    a.mov_imm(X2, PL011.base);
    a.mov_imm(X3, 16);
    let (next, digit) = (a.here(), a.label());
    a.ror(X0, X0, 60);
    a.and_imm(W1, W0, 15);
    a.add_imm(W1, W1, u32::from(b'0'));
    a.cmp_imm(W1, u32::from(b'9'));
    a.b_cond(Cond::Ls, digit);
    a.add_imm(W1, W1, u32::from(b'a' - b'9' - 1));
    a.bind(digit);
    a.strb(W1, Addr::Off(X2, 0));
    a.subs_imm(X3, X3, 1);
    a.b_cond(Cond::Ne, next);
    a.mov_imm(W1, b'\n'.into());
    a.strb(W1, Addr::Off(X2, 0));
}
