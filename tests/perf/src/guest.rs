//! The frame that all guest kernels have: MMU and FP on, a checksum printed at the end, power off.
//!
//! Memory map: RAM is identity-mapped by 2 MiB blocks as Normal write-back memory, devices by one 1 GiB block. The same RAM appears
//! [`EL0`] higher, where EL0 may read, write and execute it. Kernels that want pages of their own put tables into the first-level table.
//!
//! An exception that a kernel does not expect prints its syndrome in place of the checksum, so that it cannot pass for a result.

use emu_a64_asm::*;

/// Where RAM begins.
pub const RAM: u64 = 0x4000_0000;
/// Where the Image is loaded.
pub const BASE: u64 = 0x4020_0000;
/// The first-level translation table, of 1 GiB entries.
pub const TABLES: u64 = 0x4100_0000;
/// Tables of a kernel's own, up to [`STACK`].
pub const OWN_TABLES: u64 = 0x4101_0000;
/// The top of the stack of EL1.
pub const STACK: u64 = 0x4200_0000;
/// What the kernel computes on. Zero at first: the device tree lies below, 128 MiB into RAM.
pub const DATA: u64 = 0x4c00_0000;
/// Data of kernels that need hundreds of MiB.
pub const BULK: u64 = 0x5000_0000;
/// RAM as EL0 sees it is so much higher.
pub const EL0: u64 = 0x1_0000_0000;
/// The first serial line.
pub const UART: u64 = 0x0900_0000;
/// What stands before the checksum on the console.
pub const MARK: &str = "checksum=";

/// A valid table, or at the last level a page.
pub const TABLE: u64 = 3;
/// A block or page of Normal memory (attribute 1), inner shareable, with the access flag, but for bits 1:0.
pub const NORMAL: u64 = 1 << 10 | 3 << 8 | 1 << 2;
/// Access for EL0 too.
pub const FOR_EL0: u64 = 1 << 6;
/// The translation belongs to one ASID.
pub const NOT_GLOBAL: u64 = 1 << 11;

const PSCI_SYSTEM_OFF: u64 = 0x8400_0008;
/// Where the stack of the second CPU ends, if there is one, and what it leaves: 1 in the first doubleword once its checksum is in the second.
const SECOND_STACK: u64 = STACK - 0x10_0000;
const SECOND: u64 = DATA - 0x1000;
/// SCTLR_EL1: RES1 of ARMv8.0, SPAN, EnIA, I, C, M.
const SCTLR: u64 = 0x30d0_0800 | 1 << 31 | 0x1005;

/// Places of the frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Prints x0 and powers off; to be reached in EL1.
    pub end: Label,
    /// Synchronous exceptions from EL1. A kernel that expects some binds it.
    pub from_el1: Label,
    /// Synchronous exceptions from EL0. A kernel that expects some binds it.
    pub from_el0: Label,
}

/// Assembles a guest in which each of `cpus` CPUs, one or two, does what is in `body`: code that touches nothing but registers and its stack.
/// The checksum is that of the first; the second's must be the same.
pub fn assemble_for(cpus: usize, body: impl Fn(&mut Asm, Frame)) -> Result<Vec<u8>, AsmError> {
    assemble(|a, f| {
        if cpus == 1 {
            return body(a, f);
        }
        let (second, work, wait, wrong) = (a.label(), a.label(), a.label(), a.label());
        a.cpu_on(1, second);
        a.b(work);
        a.bind(second);
        a.mov_imm(X0, SECOND_STACK);
        a.mov_sp(SP, X0);
        registers(a);
        body(a, f);
        a.mov_imm(X1, SECOND);
        a.str(X0, Addr::Off(X1, 8));
        a.movz(X2, 1, 0);
        a.stlr(X2, X1);
        a.sev();
        let forever = a.here();
        a.wfi();
        a.b(forever);
        a.bind(work);
        body(a, f);
        a.mov_imm(X1, SECOND);
        a.bind(wait);
        a.ldar(X2, X1);
        a.cbz(X2, wait);
        a.ldr(X2, Addr::Off(X1, 8));
        a.cmp(X0, X2);
        a.b_cond(Cond::Ne, wrong);
        a.b(f.end);
        a.bind(wrong);
        say(a, "exception: the CPUs have other results ");
    })
}

/// Assembles a guest around `body`, which leaves its checksum in x0.
pub fn assemble(body: impl FnOnce(&mut Asm, Frame)) -> Result<Vec<u8>, AsmError> {
    let mut a = Asm::new(BASE);
    a.zeros(image::HEADER_LEN);
    let f = Frame { end: a.label(), from_el1: a.label(), from_el0: a.label() };
    let (start, unexpected) = (a.label(), a.label());
    a.b(start);
    a.bind(f.end);
    print_and_power_off(&mut a);
    a.bind(unexpected);
    // ESR in the upper half; the exception class is 0 for an SError or an interrupt, which these guests do not have.
    a.mrs(X0, SysReg::ESR_EL1);
    a.mrs(X1, SysReg::ELR_EL1);
    a.bfi(X1, X0, 32, 32);
    a.mov(X0, X1);
    say(&mut a, "exception ");
    a.b(f.end);
    a.align(0x800);
    let vectors = a.here();
    for entry in 0..16 {
        a.b(match entry {
            4 => f.from_el1,
            8 => f.from_el0,
            _ => unexpected,
        });
        a.align(0x80);
    }
    a.bind(start);
    a.load_address(X0, vectors);
    a.msr(SysReg::VBAR_EL1, X0);
    a.mov_imm(X0, STACK);
    a.mov_sp(SP, X0);
    mmu_and_fp_on(&mut a);
    body(&mut a, f);
    a.b(f.end);
    for label in [f.from_el1, f.from_el0] {
        if a.offset_of(label).is_none() {
            a.bind(label);
            a.b(unexpected);
        }
    }
    let code = a.finish()?;
    Ok(image::wrap(&code[image::HEADER_LEN..], 0, 0))
}

fn mmu_and_fp_on(a: &mut Asm) {
    let blocks = TABLES + 0x1000;
    table(a, blocks, 512, RAM | NORMAL | 1, 1 << 21);
    let device = 1 << 10 | 1;
    store_entry(a, TABLES, device);
    store_entry(a, TABLES + 8, blocks | TABLE);
    store_entry(a, TABLES + 5 * 8, RAM | NORMAL | FOR_EL0 | 1);
    registers(a);
}

/// What each CPU does once the tables are there; x0 is lost.
fn registers(a: &mut Asm) {
    // Attribute 0 is Device-nGnRE, 1 Normal write-back.
    for (register, value) in [
        (SysReg::MAIR_EL1, 0xff04),
        // T0SZ 25 (one table of 1 GiB entries), walks write-back and inner shareable, EPD1, IPS 40 bits, AS.
        (SysReg::TCR_EL1, 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32 | 1 << 36),
        (SysReg::TTBR0_EL1, TABLES),
        // FPEN: no trap.
        (SysReg::CPACR_EL1, 3 << 20),
    ] {
        a.mov_imm(X0, value);
        a.msr(register, X0);
    }
    a.tlbi_vmalle1();
    a.dsb(Barrier::Sy);
    a.isb();
    a.mov_imm(X0, SCTLR);
    a.msr(SysReg::SCTLR_EL1, X0);
    a.isb();
}

/// Writes one entry of a translation table; x0 and x1 are lost.
pub fn store_entry(a: &mut Asm, at: u64, descriptor: u64) {
    a.mov_imm(X0, at);
    a.mov_imm(X1, descriptor);
    a.str(X1, Addr::Off(X0, 0));
}

/// Fills `entries` entries with a descriptor that grows by `step`; x0 to x3 are lost.
pub fn table(a: &mut Asm, at: u64, entries: u64, descriptor: u64, step: u64) {
    a.mov_imm(X0, at);
    a.mov_imm(X1, descriptor);
    a.mov_imm(X2, step);
    repeat(a, X3, entries, |a| {
        a.str(X1, Addr::Post(X0, 8));
        a.add(X1, X1, X2, 0);
    });
}

/// Makes table changes visible to walks.
pub fn synchronise(a: &mut Asm) {
    a.dsb(Barrier::Ishst);
    a.isb();
}

fn say(a: &mut Asm, text: &str) {
    a.mov_imm(X9, UART);
    for c in text.bytes() {
        a.movz(W10, c.into(), 0);
        a.str(W10, Addr::Off(X9, 0));
    }
}

fn print_and_power_off(a: &mut Asm) {
    say(a, MARK);
    repeat(a, X11, 16, |a| {
        a.ror(X0, X0, 60);
        a.and_imm(X10, X0, 15);
        a.cmp_imm(X10, 10);
        // '0' + n, or 'a' - 10 + n.
        a.add_imm(X12, X10, 0x57);
        a.add_imm(X10, X10, 0x30);
        a.csel(X10, X10, X12, Cond::Lo);
        a.str(W10, Addr::Off(X9, 0));
    });
    say(a, "\r\n");
    a.mov_imm(X0, PSCI_SYSTEM_OFF);
    a.hvc(0);
    let forever = a.here();
    a.wfi();
    a.b(forever);
}

/// A loop: `body` runs `times` times; `counter` belongs to it.
pub fn repeat(a: &mut Asm, counter: Reg, times: u64, body: impl FnOnce(&mut Asm)) {
    a.mov_imm(counter, times);
    let again = a.here();
    body(a);
    a.subs_imm(counter, counter, 1);
    a.b_cond(Cond::Ne, again);
}

/// Goes to `entry` in EL0, seen through EL0's alias of RAM; x0 is lost.
pub fn enter_el0(a: &mut Asm, entry: Label) {
    a.load_address(X0, entry);
    a.orr_imm(X0, X0, EL0);
    a.msr(SysReg::ELR_EL1, X0);
    // EL0t, all interrupts masked.
    a.movz(X0, 0x3c0, 0);
    a.msr(SysReg::SPSR_EL1, X0);
    a.eret();
}

/// The multiplier and the increment of [`random`].
pub const LCG: (u64, u64) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);

/// Puts the generator's constants where [`random`] expects them.
pub fn random_constants(a: &mut Asm, multiplier: Reg, increment: Reg) {
    a.mov_imm(multiplier, LCG.0);
    a.mov_imm(increment, LCG.1);
}

/// The next state of a linear congruential generator modulo 2^64, as the models have it.
pub fn random(state: u64) -> u64 {
    state.wrapping_mul(LCG.0).wrapping_add(LCG.1)
}

/// Fills `count` doublewords at `at` with the generator's states from `seed`; x0 to x4 are lost. The models have it as [`filled`].
pub fn fill(a: &mut Asm, at: u64, count: u64, seed: u64) {
    a.mov_imm(X0, at);
    a.mov_imm(X1, seed);
    random_constants(a, X2, X3);
    repeat(a, X4, count, |a| {
        a.madd(X1, X1, X2, X3);
        a.str(X1, Addr::Post(X0, 8));
    });
}

/// What [`fill`] writes.
pub fn filled(count: usize, seed: u64) -> Vec<u64> {
    std::iter::successors(Some(random(seed)), |&s| Some(random(s))).take(count).collect()
}
