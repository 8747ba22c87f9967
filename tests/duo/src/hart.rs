//! The hart's surroundings, in machine mode. Interrupt handlers have t3 and the `s` registers for themselves, everything else the rest.

use crate::WRONG_AT_HART;
use emu_machine_devices::mailbox::spec::{ENABLE, WINDOW, cause};
use emu_machine_devices::plic::spec as plic;
use emu_machine_devices::sifive_test;
use emu_machine_duo::board::{FINISHER, MAILBOX, MAILBOX_SOURCE, PLIC};
use emu_test_differential_riscv64::asm::Asm;

/// Registers by number, beyond those of the assembler.
#[allow(missing_docs)] // The names say all.
pub mod reg {
    pub use emu_test_differential_riscv64::asm::reg::*;
    pub const A6: u32 = 16;
    pub const A7: u32 = 17;
    pub const S2: u32 = 18;
    pub const S3: u32 = 19;
    pub const S4: u32 = 20;
    pub const S5: u32 = 21;
    pub const S6: u32 = 22;
    pub const S7: u32 = 23;
    pub const S8: u32 = 24;
    pub const S9: u32 = 25;
    pub const T3: u32 = 28;
}
use reg::*;

/// The hart's side of the mailbox.
pub const SIDE: u64 = MAILBOX.base + WINDOW;
/// Claim and completion of the hart's machine context.
pub const CLAIM: u64 = PLIC.base + plic::CONTEXT + 4;

const MSTATUS: u32 = 0x300;
const MIE: u32 = 0x304;
const MTVEC: u32 = 0x305;
const MIE_MEIE: u64 = 1 << 11;

/// Instructions that the assembler lacks.
pub trait Words {
    /// Appends a word.
    fn emit(&mut self, word: u32);
    /// An instruction with an immediate.
    fn immediate(&mut self, opcode: u32, funct3: u32, rd: u32, rs1: u32, imm: i32) {
        self.emit((imm as u32) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode);
    }
    /// LW.
    fn lw(&mut self, rd: u32, imm: i32, rs1: u32) {
        self.immediate(0x03, 2, rd, rs1, imm);
    }
    /// ANDI.
    fn andi(&mut self, rd: u32, rs1: u32, imm: i32) {
        self.immediate(0x13, 7, rd, rs1, imm);
    }
    /// MV.
    fn mv(&mut self, rd: u32, rs1: u32) {
        self.immediate(0x13, 0, rd, rs1, 0);
    }
    /// JR.
    fn jr(&mut self, rs1: u32) {
        self.immediate(0x67, 0, 0, rs1, 0);
    }
    /// Masks (or not) interrupts in machine mode.
    fn mask(&mut self, masked: bool) {
        // csrrci or csrrsi mstatus, MIE
        self.immediate(0x73, if masked { 7 } else { 6 }, 0, 8, MSTATUS as i32);
    }
    /// WFI.
    fn wfi(&mut self) {
        self.emit(0x1050_0073);
    }
    /// MRET.
    fn mret(&mut self) {
        self.emit(0x3020_0073);
    }
    /// FENCE rw,rw and with devices.
    fn fence(&mut self) {
        self.emit(0x0ff0_000f);
    }
    /// FENCE.I.
    fn fence_i(&mut self) {
        self.emit(0x0000_100f);
    }
}

impl Words for Asm {
    fn emit(&mut self, word: u32) {
        self.word(word);
    }
}

/// The bytes of code.
pub fn bytes(a: Asm) -> Vec<u8> {
    a.finish().iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// A program that goes on at an address.
pub fn jump_to(address: u64) -> Vec<u8> {
    let mut a = Asm::default();
    a.li(T0, address);
    a.jr(T0);
    bytes(a)
}

/// Turns the mailbox's interrupt on, through the PLIC, with its handler at an address. Changes t0 and t1.
pub fn interrupts(a: &mut Asm, handler: u64) {
    let mut store = |address: u64, value: u64| {
        a.li(T0, address);
        a.li(T1, value);
        a.sw(T1, 0, T0);
    };
    store(PLIC.base + plic::PRIORITY + 4 * MAILBOX_SOURCE as u64, 1);
    store(PLIC.base + plic::ENABLE, 1 << MAILBOX_SOURCE);
    store(PLIC.base + plic::CONTEXT, 0);
    store(SIDE + ENABLE, cause::WORD.into());
    a.li(T0, handler);
    a.csrrw(ZERO, MTVEC, T0);
    a.li(T0, MIE_MEIE);
    a.csrrw(ZERO, MIE, T0);
    a.mask(false);
}

/// Waits with interrupts masked, so that none is missed, for one; then lets it in.
pub fn wait(a: &mut Asm) {
    a.wfi();
    a.mask(false);
}

/// Ends the run because something is wrong.
pub fn fail(a: &mut Asm) {
    a.li(S8, FINISHER.base);
    a.li(S9, sifive_test::FAIL | u64::from(WRONG_AT_HART) << 16);
    a.sw(S9, 0, S8);
    stay(a);
}

/// Harts but the first, by the number in a0, wait for ever. At the start.
pub fn first_only(a: &mut Asm) {
    let [first, others] = [(); 2].map(|()| a.label());
    a.beq(A0, ZERO, first);
    a.place(others);
    a.wfi();
    a.j(others);
    a.place(first);
}

/// Does nothing any more.
pub fn stay(a: &mut Asm) {
    let end = a.label();
    a.place(end);
    a.j(end);
}
