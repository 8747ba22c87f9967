//! The frame of the guests: console, vectors, translation tables, CPUs, barriers.
//!
//! A guest is an arm64 Image at [`BASE`]. It prints lines of a name and hexadecimal numbers on the first serial line, at its end [`DONE`],
//! and powers off by PSCI. An exception that it does not expect, or [`Guest::fail`], prints a line that begins with [`FAIL`] instead.
//!
//! RAM, as the guests divide it: the image, [`TABLES`], [`STACKS`], [`SHARED`] (the frame's words, then the guest's), [`DATA`].
//!
//! Registers of the frame: x19 is the CPU's number, x28 the serial line. Its subroutines change x0 to x4, x30 and the flags.

use emu_a64_asm::*;

/// Where RAM begins.
pub const RAM: u64 = 0x4000_0000;
/// MiB of RAM that the guests need.
pub const RAM_MIB: u32 = 256;
/// Where the Image is loaded and its first byte runs.
pub const BASE: u64 = 0x4020_0000;
/// Translation tables.
pub const TABLES: u64 = RAM + (8 << 20);
/// Behind the stacks of all CPUs, 64 KiB each, growing down.
pub const STACKS: u64 = RAM + (12 << 20);
/// Words that CPUs share: the frame's in the first 4 KiB.
pub const SHARED: u64 = RAM + (12 << 20);
/// Shared words of the guest itself.
pub const OWN: u64 = SHARED + 0x1000;
/// The rest of RAM.
pub const DATA: u64 = RAM + (16 << 20);
/// The first serial line.
pub const UART: u64 = 0x0900_0000;
/// The last line of a good run.
pub const DONE: &str = "done";
/// How the last line of a bad run begins.
pub const FAIL: &str = "FAIL";

/// Number of CPUs at the barrier, its generation, CPUs at their end.
const BARRIER_COUNT: u64 = SHARED;
const BARRIER_GENERATION: u64 = SHARED + 0x100;
const ENDED: u64 = SHARED + 0x200;
/// The one console has one user at a time.
const CONSOLE: u64 = SHARED + 0x300;

const PSCI_SYSTEM_OFF: u64 = 0x8400_0008;

/// Descriptor bits, VMSAv8-64 stage 1.
pub mod descriptor {
    /// A block.
    pub const BLOCK: u64 = 0b01;
    /// A table, or a page at the last level.
    pub const PAGE: u64 = 0b11;
    /// Device-nGnRnE.
    pub const DEVICE: u64 = 1 << 10;
    /// Normal write-back, inner shareable, accessed.
    pub const NORMAL: u64 = 1 << 10 | 0b11 << 8 | 1 << 2;
    /// EL0 may do what EL1 may.
    pub const EL0: u64 = 1 << 6;
    /// Nobody writes.
    pub const READ_ONLY: u64 = 1 << 7;
    /// Of one address space.
    pub const NOT_GLOBAL: u64 = 1 << 11;
    /// EL1 does not execute it.
    pub const PXN: u64 = 1 << 53;
    /// EL0 does not execute it.
    pub const UXN: u64 = 1 << 54;
}
use descriptor as d;

/// `movz x0, #0`.
pub const MOVZ_X0: u64 = 0xd280_0000;

/// SCTLR_EL1 with the MMU on: M, C, SA, I; EL0 may do what it may do; and what is RES1 in ARMv8.0.
pub const SCTLR: u64 = 0x30d0_0800 | 0x100d | 1 << 26 | 1 << 18 | 1 << 16 | 1 << 15 | 1 << 14;
/// TCR_EL1: T0SZ 25 (39 bits), no TTBR1, 40 bits of physical address, write-back inner-shareable walks, 4 KiB.
pub const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32;

/// Entries of the vector table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Vector {
    /// Synchronous, from EL1 with SP_EL1.
    Sync = 4,
    /// IRQ, from EL1 with SP_EL1.
    Irq = 5,
    /// Synchronous, from EL0.
    LowerSync = 8,
    /// IRQ, from EL0.
    LowerIrq = 9,
}

/// A guest being assembled.
pub struct Guest {
    /// The assembler.
    pub a: Asm,
    cpus: u64,
    vectors: Label,
    handlers: [Option<Label>; 16],
    strings: Vec<(Label, String)>,
    puts: Label,
    puthex: Label,
    barrier: Label,
    failed: Label,
    ended: Label,
}

/// Assembles a guest whose CPUs all run `body`, with the MMU on and RAM at its physical address, interrupts masked. The guest ends when all
/// have come to their end.
///
/// # Panics
/// When the program is wrong, which is the test's mistake.
pub fn assemble(cpus: u64, body: impl FnOnce(&mut Guest)) -> Vec<u8> {
    let mut a = Asm::new(BASE);
    a.zeros(image::HEADER_LEN);
    let [vectors, puts, puthex, barrier, failed, ended] = std::array::from_fn(|_| a.label());
    let mut g = Guest { a, cpus, vectors, handlers: [None; 16], strings: Vec::new(), puts, puthex, barrier, failed, ended };
    g.start();
    body(&mut g);
    g.end();
    g.subroutines();
    g.finish()
}

impl Guest {
    /// Number of CPUs.
    pub fn cpus(&self) -> u64 {
        self.cpus
    }
    /// Sets the handler of an exception; it runs with the interrupted code's registers.
    pub fn handle(&mut self, vector: Vector, handler: Label) {
        self.handlers[vector as usize] = Some(handler);
    }
    /// A loop: `body` runs `times` times; `counter` belongs to it.
    pub fn repeat(&mut self, counter: Reg, times: u64, body: impl FnOnce(&mut Guest)) {
        self.a.mov_imm(counter, times);
        let again = self.a.here();
        body(self);
        self.a.subs_imm(counter, counter, 1);
        self.a.b_cond(Cond::Ne, again);
    }
    /// Code that only one CPU runs.
    pub fn only(&mut self, cpu: u64, body: impl FnOnce(&mut Guest)) {
        let skip = self.a.label();
        self.a.cmp_imm(X19, cpu as u32);
        self.a.b_cond(Cond::Ne, skip);
        body(self);
        self.a.bind(skip);
    }
    /// Stores a doubleword at a fixed address; changes x0 and x1.
    pub fn put(&mut self, address: u64, value: u64) {
        self.a.mov_imm(X0, address);
        self.a.mov_imm(X1, value);
        self.a.str(X1, Addr::Off(X0, 0));
    }
    /// Stores a register other than x0 at a fixed address; changes x0.
    pub fn put_reg(&mut self, address: u64, value: Reg) {
        self.a.mov_imm(X0, address);
        self.a.str(value, Addr::Off(X0, 0));
    }
    /// Loads a doubleword from a fixed address.
    pub fn get(&mut self, rt: Reg, address: u64) {
        self.a.mov_imm(rt, address);
        self.a.ldr(rt, Addr::Off(rt, 0));
    }
    /// Fills `len` bytes (a multiple of 16) with a doubleword; changes x0 to x2.
    pub fn fill(&mut self, address: u64, len: u64, value: u64) {
        let a = &mut self.a;
        a.mov_imm(X0, address);
        a.mov_imm(X1, value);
        a.mov_imm(X2, address + len);
        let again = a.here();
        a.stp(X1, X1, Addr::Post(X0, 16));
        a.cmp(X0, X2);
        a.b_cond(Cond::Lo, again);
    }
    /// Where a CPU goes that has come to its end, in EL1; falling out of the body leads there too.
    pub fn end_label(&self) -> Label {
        self.ended
    }
    /// Waits for all CPUs.
    pub fn barrier(&mut self) {
        self.a.bl(self.barrier);
    }
    /// Prints a text.
    pub fn print(&mut self, text: &str) {
        self.text(text);
        self.a.bl(self.puts);
    }
    /// Prints a blank, `#` and a register in hexadecimal.
    pub fn print_hex(&mut self, value: Reg) {
        self.a.mov(X0, value);
        self.a.bl(self.puthex);
    }
    /// Prints a line: a name and registers other than x0 to x4.
    pub fn line(&mut self, name: &str, values: &[Reg]) {
        self.print(name);
        for value in values {
            self.print_hex(*value);
        }
        self.print("\n");
    }
    /// Ends the guest with a complaint and the two registers.
    pub fn fail(&mut self, why: &str, first: Reg, second: Reg) {
        let a = &mut self.a;
        // Either may be x0 or x5.
        a.stp(first, second, Addr::Pre(SP, -16));
        a.ldp(X5, X6, Addr::Post(SP, 16));
        self.text(why);
        self.a.b(self.failed);
    }
    /// Complains unless two registers are equal; changes the flags.
    pub fn expect_eq(&mut self, why: &str, found: Reg, expected: Reg) {
        self.a.cmp(found, expected);
        self.expect(Cond::Eq, why, found, expected);
    }
    /// Complains with two registers unless the condition holds.
    pub fn expect(&mut self, cond: Cond, why: &str, found: Reg, expected: Reg) {
        let good = self.a.label();
        self.a.b_cond(cond, good);
        self.fail(why, found, expected);
        self.a.bind(good);
    }
    /// In a handler: x13 is ESR_EL1, x14 that register. Complains with both unless the syndrome's fault status (DFSC, IFSC) is this; changes x15 and the
    /// flags.
    pub fn expect_status(&mut self, status: u32, register: SysReg, why: &str) {
        self.a.mrs(X13, SysReg::ESR_EL1);
        self.a.mrs(X14, register);
        self.a.and_imm(X15, X13, 0x3f);
        self.a.cmp_imm(X15, status);
        self.expect(Cond::Eq, why, X13, X14);
    }
    fn text(&mut self, text: &str) {
        let label = self.a.label();
        self.strings.push((label, text.into()));
        self.a.load_address(X0, label);
    }

    /// Identity tables: devices below RAM, RAM as one block of 1 GiB; changes x0 and x1.
    fn tables(&mut self) {
        self.put(TABLES, d::BLOCK | d::DEVICE | d::PXN | d::UXN);
        self.put(TABLES + 8, RAM | d::BLOCK | d::NORMAL);
    }

    /// Turns the MMU on; changes x0.
    fn mmu_on(&mut self) {
        let a = &mut self.a;
        a.mov_imm(X0, 0xff00);
        a.msr(SysReg::MAIR_EL1, X0);
        a.mov_imm(X0, TCR);
        a.msr(SysReg::TCR_EL1, X0);
        a.mov_imm(X0, TABLES);
        a.msr(SysReg::TTBR0_EL1, X0);
        a.dsb(Barrier::Sy);
        a.isb();
        a.tlbi_vmalle1();
        a.dsb(Barrier::Sy);
        a.isb();
        a.mov_imm(X0, SCTLR);
        a.msr(SysReg::SCTLR_EL1, X0);
        a.isb();
    }

    fn start(&mut self) {
        let (secondary, all) = (self.a.label(), self.a.label());
        let a = &mut self.a;
        a.msr_imm(PState::DaifSet, 15);
        a.mov_imm(X28, UART);
        a.movz(W0, 0x70, 0); // UARTLCR_H: 8 bits, FIFOs
        a.str(W0, Addr::Off(X28, 0x2c));
        a.movz(W0, 0x301, 0); // UARTCR: UARTEN, TXE, RXE
        a.str(W0, Addr::Off(X28, 0x30));
        self.tables();
        let a = &mut self.a;
        a.mov(X19, XZR);
        for n in 1..self.cpus {
            a.cpu_on(n, secondary);
        }
        a.b(all);
        a.bind(secondary);
        a.mov(X19, X0);
        a.msr_imm(PState::DaifSet, 15);
        a.bind(all);
        a.mov_imm(X28, UART);
        a.msr_imm(PState::SpSel, 1);
        a.mov_imm(X0, 3 << 20); // CPACR_EL1.FPEN
        a.msr(SysReg::CPACR_EL1, X0);
        a.load_address(X0, self.vectors);
        a.msr(SysReg::VBAR_EL1, X0);
        a.mov_imm(X0, STACKS);
        a.sub(X0, X0, X19, 16);
        a.mov_sp(SP, X0);
        a.isb();
        self.mmu_on();
    }

    fn end(&mut self) {
        let a = &mut self.a;
        let wait = a.label();
        a.bind(self.ended);
        a.mov_imm(X0, ENDED);
        a.movz(X1, 1, 0);
        a.ldaddal(X1, X2, X0);
        a.cbnz(X19, wait);
        let again = a.here();
        a.ldar(X1, X0);
        a.cmp_imm(X1, self.cpus as u32);
        a.b_cond(Cond::Lo, again);
        self.print(&format!("{DONE}\n"));
        self.power_off();
        let a = &mut self.a;
        a.bind(wait);
        let forever = a.here();
        a.wfi();
        a.b(forever);
    }

    fn power_off(&mut self) {
        self.a.mov_imm(X0, PSCI_SYSTEM_OFF);
        self.a.hvc(0);
        let forever = self.a.here();
        self.a.b(forever);
    }

    fn subroutines(&mut self) {
        let (puts, puthex, barrier) = (self.puts, self.puthex, self.barrier);
        let a = &mut self.a;
        let put = |a: &mut Asm, c: Reg| {
            let full = a.here();
            a.ldr(W3, Addr::Off(X28, 0x18));
            a.tbnz(W3, 5, full); // UARTFR.TXFF
            a.str(c, Addr::Off(X28, 0));
        };
        // puts: x0 is the text.
        a.bind(puts);
        let (next, out) = (a.here(), a.label());
        a.ldrb(W1, Addr::Post(X0, 1));
        a.cbz(W1, out);
        put(a, W1);
        a.b(next);
        a.bind(out);
        a.ret();
        // puthex: x0 is the number.
        a.bind(puthex);
        for c in b" #" {
            a.movz(W1, (*c).into(), 0);
            put(a, W1);
        }
        a.orr_imm(X2, X0, 1);
        a.clz(X2, X2);
        a.movz(X1, 60, 0);
        a.and_imm(X2, X2, 60);
        a.sub(X2, X1, X2, 0);
        let (digit, small) = (a.here(), a.label());
        a.lsrv(X1, X0, X2);
        a.and_imm(X1, X1, 15);
        a.cmp_imm(X1, 9);
        a.add_imm(X1, X1, b'0'.into());
        a.b_cond(Cond::Ls, small);
        a.add_imm(X1, X1, u32::from(b'a' - b'9' - 1));
        a.bind(small);
        put(a, W1);
        a.subs_imm(X2, X2, 4);
        a.b_cond(Cond::Ge, digit);
        a.ret();
        // barrier: spins for a while, then sleeps until an event.
        a.bind(barrier);
        let (last, spin, awake) = (a.label(), a.label(), a.label());
        a.mov_imm(X0, BARRIER_COUNT);
        a.mov_imm(X1, BARRIER_GENERATION);
        a.ldar(X2, X1);
        a.movz(X3, 1, 0);
        a.ldaddal(X3, X3, X0);
        a.cmp_imm(X3, self.cpus as u32 - 1);
        a.b_cond(Cond::Eq, last);
        a.movz(X4, 2000, 0);
        a.bind(spin);
        a.ldar(X3, X1);
        a.cmp(X3, X2);
        a.b_cond(Cond::Ne, awake);
        a.subs_imm(X4, X4, 1);
        a.b_cond(Cond::Ne, spin);
        a.movz(X4, 1, 0);
        a.wfe();
        a.b(spin);
        a.bind(last);
        a.str(XZR, Addr::Off(X0, 0));
        a.add_imm(X2, X2, 1);
        a.stlr(X2, X1);
        a.dsb(Barrier::Ish);
        a.sev();
        a.bind(awake);
        a.ret();
        self.complaints();
    }

    /// What an unexpected exception and `fail` end in.
    fn complaints(&mut self) {
        let unexpected = self.a.here();
        self.a.mrs(X5, SysReg::ESR_EL1);
        self.a.mrs(X6, SysReg::ELR_EL1);
        self.text("unexpected exception, ESR ELR");
        let (failed, puts, puthex) = (self.failed, self.puts, self.puthex);
        let a = &mut self.a;
        a.bind(failed);
        // One CPU complains; the others stay here.
        a.mov_imm(X28, UART);
        a.mov_imm(X1, CONSOLE);
        a.movz(X2, 1, 0);
        a.ldaddal(X2, X2, X1);
        let stay = a.here();
        a.cbnz(X2, stay);
        a.mov(X7, X0);
        self.print(&format!("\n{FAIL} "));
        let a = &mut self.a;
        a.mov(X0, X7);
        a.bl(puts);
        for value in [X5, X6] {
            a.mov(X0, value);
            a.bl(puthex);
        }
        self.print(" FAR cpu ELR");
        let a = &mut self.a;
        a.mrs(X0, SysReg::FAR_EL1);
        a.bl(puthex);
        a.mrs(X0, SysReg::MPIDR_EL1);
        a.and_imm(X0, X0, 0xff);
        a.bl(puthex);
        a.mrs(X0, SysReg::ELR_EL1);
        a.bl(puthex);
        self.print("\n");
        self.power_off();
        self.a.align(0x800);
        self.a.bind(self.vectors);
        for handler in self.handlers {
            self.a.b(handler.unwrap_or(unexpected));
            self.a.align(0x80);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        for (label, text) in std::mem::take(&mut self.strings) {
            self.a.bind(label);
            self.a.asciz(&text);
        }
        let code = self.a.finish().unwrap_or_else(|e| panic!("the guest does not assemble: {e}"));
        assert!((code.len() as u64) < TABLES - BASE, "the guest has {} bytes", code.len());
        image::wrap(&code[image::HEADER_LEN..], 0, 0)
    }
}

/// A random number below 2^bits in x0; the state is x26. Changes x1 and x2.
pub fn random(a: &mut Asm, bits: u32) {
    a.mov_imm(X1, 0x5851_f42d_4c95_7f2d);
    a.mov_imm(X2, 0x1405_7b7e_f767_814f);
    a.madd(X26, X26, X1, X2);
    a.lsr(X0, X26, 64 - bits);
}

/// Counts x0 down.
pub fn spin(a: &mut Asm) {
    let again = a.here();
    a.subs_imm(X0, X0, 1);
    a.b_cond(Cond::Gt, again);
}

/// Writes the number of the round in x20, as far as `mask` goes, into the `movz x0` at `site`, which runs at x6, with all the maintenance; says so at x21, and
/// waits until the other CPU has said at x22 that it has seen it. Changes x7, x8 and x10.
pub fn hand_over(a: &mut Asm, mask: u64, site: Reg) {
    a.mov_imm(X10, MOVZ_X0);
    a.and_imm(X7, X20, mask);
    a.add(X8, X10, X7, 5);
    a.str(W8, Addr::Off(site, 0));
    a.dc_cvau(site);
    a.dsb(Barrier::Ish);
    a.ic_ivau(X6);
    a.dsb(Barrier::Ish);
    a.stlr(X20, X21);
    let wait = a.here();
    a.ldar(X7, X22);
    a.cmp(X7, X20);
    a.b_cond(Cond::Ne, wait);
}
