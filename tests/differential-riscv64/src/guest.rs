//! The guest: machine code that runs cases and prints what they leave behind.
//!
//! It starts in machine mode at the start of RAM. For each case it fills the registers from a window of the pool, the scratch memory too, and
//! goes to the case's slot by MRET; the trap that ends every case (slots are full of breakpoints) saves everything and hashes it. A line is
//! the hash of a group of cases, or in detail all that is hashed of each.

use crate::asm::{Asm, Label, reg::*};
use crate::generate::{Case, Level, register_offset};

/// Start of RAM.
pub const BASE: u64 = 0x8000_0000;
/// State of the runner.
pub(crate) const STATE: u64 = BASE + 0x1_0000;
/// Offset of the register file that a case begins with.
pub const REGISTER_FILE: u64 = 0x100;
/// Offset of what a case left in x1 to x31.
const SAVED: u64 = 0x200;
/// The middle of the scratch memory, at a page boundary.
pub const CENTRE: u64 = BASE + 0x2_1000;
/// Bytes of it on each side that are compared.
pub(crate) const AROUND: u64 = 64;
/// Values that registers begin with.
pub(crate) const POOL: u64 = BASE + 0x3_0000;
/// How many.
pub const POOL_WORDS: u64 = 4096;
/// The table of the supervisor's cases: memory at its own addresses, and for users too from here on.
const ROOT: u64 = BASE + 0x4_0000;
/// Where users have it.
pub(crate) const ALIAS: u64 = 1 << 32;
/// What a supervisor's interrupt comes to: a breakpoint.
const VECTOR: u64 = BASE + 0xfff0;
/// Where the runner keeps mstatus as a case left it.
const STATUS: i32 = 0xe0;
/// Records of the cases.
pub(crate) const RECORDS: u64 = BASE + 0x10_0000;
pub(crate) const RECORD_BYTES: u64 = 64;
/// Code of the cases.
const SLOTS: u64 = BASE + 0x100_0000;
/// Bytes of a slot.
pub const SLOT_BYTES: u64 = 64;
/// Cases that an image has room for.
pub const CASES_MAX: usize = 200_000;
/// Factor of the hash.
pub(crate) const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bits of mstatus that are compared: SIE, SPIE, MPIE, SPP, MPP, FS, SUM, MXR, SD.
const STATUS_BITS: u64 = 1 << 1 | 1 << 5 | 1 << 7 | 1 << 8 | 3 << 11 | 3 << 13 | 1 << 18 | 1 << 19 | 1 << 63;

const UART: u64 = 0x1000_0000;
const FINISHER: u64 = 0x10_0000;

/// Address of a case's slot.
pub fn slot(number: usize) -> u64 {
    SLOTS + SLOT_BYTES * number as u64
}

/// What is printed of a case in detail, in this order.
pub fn names() -> Vec<String> {
    let x = (1..32).map(|n| format!("x{n}"));
    let f = (0..32).map(|n| format!("f{n}"));
    let rest = ["fcsr", "mcause", "mtval", "mepc", "sscratch", "sepc", "scause", "stval", "mstatus"].map(str::to_owned);
    x.chain(f).chain(rest).chain((0..2 * AROUND / 8).map(|n| format!("memory{:+}", 8 * n as i64 - AROUND as i64))).collect()
}

mod csr {
    pub const FCSR: u32 = 0x003;
    pub const SSCRATCH: u32 = 0x140;
    pub const MSTATUS: u32 = 0x300;
    pub const MTVEC: u32 = 0x305;
    pub const MENVCFG: u32 = 0x30a;
    pub const MSCRATCH: u32 = 0x340;
    pub const MEPC: u32 = 0x341;
    pub const MCAUSE: u32 = 0x342;
    pub const MTVAL: u32 = 0x343;
    pub const PMPCFG0: u32 = 0x3a0;
    pub const PMPADDR0: u32 = 0x3b0;
    pub const SENVCFG: u32 = 0x10a;
    pub const STVEC: u32 = 0x105;
    pub const SATP: u32 = 0x180;
    pub const MIDELEG: u32 = 0x303;
    pub const MIE: u32 = 0x304;
    pub const MIP: u32 = 0x344;
}

/// Offsets in the state.
pub(crate) const CURRENT: i32 = 0;
pub(crate) const END: i32 = 8;
pub(crate) const HASH: i32 = 16;
pub(crate) const LEFT: i32 = 24;

/// The end of a case, whose registers are in the hash in a2: its memory too, and on to the next, unless a line of `group` cases is full (0: each
/// case has one), of which the hash is put out by `hex`.
pub(crate) fn end_case(a: &mut Asm, group: u64, next: Label, (hash, hex): (Label, Label)) {
    a.li(S1, CENTRE);
    for n in 0..(2 * AROUND / 8) as i32 {
        a.ld(A0, 8 * n - AROUND as i32, S1);
        a.call(hash);
    }
    a.ld(T0, CURRENT, S0);
    a.addi(T0, T0, RECORD_BYTES as i32);
    a.sd(T0, CURRENT, S0);
    a.sd(A2, HASH, S0);
    let line = a.label();
    a.ld(T1, END, S0);
    a.beq(T0, T1, line);
    a.ld(T0, LEFT, S0);
    a.addi(T0, T0, -1);
    a.sd(T0, LEFT, S0);
    a.bne(T0, ZERO, next);
    a.place(line);
    a.li(T0, group.max(1));
    a.sd(T0, LEFT, S0);
    a.addi(A0, A2, 0);
    a.call(hex);
}

/// Adds a0 to the hash in a2 (a3 is the factor), and returns unless it is to be put out in detail.
pub(crate) fn add_to_hash(a: &mut Asm, group: u64) {
    a.xor(A2, A2, A0);
    a.mul(A2, A2, A3);
    a.srli(A4, A2, 29);
    a.xor(A2, A2, A4);
    if group != 0 {
        a.ret();
    }
}

/// The runner's code. `group`: cases a line; 0: in detail.
fn runner(group: u64, first: usize, last: usize) -> Vec<u32> {
    let mut a = Asm::default();
    let (next, done, trap, hash, hex, park) = (a.label(), a.label(), a.label(), a.label(), a.label(), a.label());
    // Other harts stay out of it.
    a.csrr(T0, 0xf14);
    a.bne(T0, ZERO, park);
    a.li(S0, STATE);
    a.li(T0, RECORDS + RECORD_BYTES * first as u64);
    a.sd(T0, CURRENT, S0);
    a.li(T0, RECORDS + RECORD_BYTES * last as u64);
    a.sd(T0, END, S0);
    a.li(T0, group.max(1));
    a.sd(T0, LEFT, S0);
    a.sd(ZERO, HASH, S0);
    // The trap handler's address is patched in: a constant of the same length whatever it is.
    let at = a.here();
    a.li(T0, BASE + 0x7fc);
    a.csrrw(ZERO, csr::MTVEC, T0);
    a.li(T0, u64::MAX);
    a.csrrw(ZERO, csr::PMPADDR0, T0);
    a.li(T0, 0x1f);
    a.csrrw(ZERO, csr::PMPCFG0, T0);
    a.li(T0, 0xf0);
    a.csrrw(ZERO, csr::MENVCFG, T0);
    a.csrrw(ZERO, csr::SENVCFG, T0);
    a.li(T0, VECTOR);
    a.csrrw(ZERO, csr::STVEC, T0);
    a.li(T0, 2);
    a.csrrw(ZERO, csr::MIDELEG, T0);
    a.csrrw(ZERO, csr::MIE, T0);

    a.place(next);
    a.ld(S1, CURRENT, S0);
    a.ld(T0, END, S0);
    a.beq(S1, T0, done);
    a.ld(T1, 8, S1);
    a.li(T0, POOL);
    a.add(T1, T1, T0);
    for n in 1..32 {
        a.ld(T2, 8 * n, T1);
        a.sd(T2, REGISTER_FILE as i32 + 8 * n, S0);
    }
    for at in [24, 48] {
        a.ld(T2, at, S1);
        a.ld(T0, at + 8, S1);
        a.add(T2, T2, S0);
        a.sd(T0, 0, T2);
    }
    a.li(T0, CENTRE);
    for n in 0..(2 * AROUND / 8) as i32 {
        a.ld(T2, 8 * (n + 32), T1);
        a.sd(T2, 8 * n - AROUND as i32, T0);
    }
    for n in 0..4 {
        a.ld(T2, 8 * (n + 50), T1);
        // sepc has no bit 0; the oracle has.
        a.andi(T2, T2, -2);
        a.csrrw(ZERO, csr::SSCRATCH + n as u32, T2);
    }
    // No reservation is left.
    a.li(T0, STATE + 0xf0);
    a.word(0x1800_2000 | 0x2f | T0 << 15);
    // fcsr is bits 7:0, mstatus the rest (FS is Dirty in it); bit 63 is satp's Sv39.
    a.ld(T2, 40, S1);
    a.srli(T0, T2, 63);
    a.li(T1, 8 << 60 | ROOT >> 12);
    a.mul(T1, T1, T0);
    a.csrrw(ZERO, csr::SATP, T1);
    // The supervisor's software interrupt is pending in half of its cases.
    a.ld(T1, 8, S1);
    a.srli(T1, T1, 2);
    a.andi(T1, T1, 2);
    a.mul(T1, T1, T0);
    a.csrrw(ZERO, csr::MIP, T1);
    a.slli(T0, T0, 63);
    a.xor(T2, T2, T0);
    a.srli(T0, T2, 8);
    a.csrrw(ZERO, csr::MSTATUS, T0);
    a.andi(T2, T2, 0xff);
    a.csrrw(ZERO, csr::FCSR, T2);
    a.ld(T1, 16, S1);
    a.li(T0, POOL);
    a.add(T1, T1, T0);
    for n in 0..32 {
        a.fld(n, 8 * n as i32, T1);
    }
    a.ld(T0, 0, S1);
    a.csrrw(ZERO, csr::MEPC, T0);
    a.csrrw(ZERO, csr::MTVAL, ZERO);
    a.csrrw(ZERO, csr::MSCRATCH, S0);
    for n in (1..32).filter(|n| *n != S0) {
        a.ld(n, REGISTER_FILE as i32 + 8 * n as i32, S0);
    }
    a.ld(S0, REGISTER_FILE as i32 + 8 * S0 as i32, S0);
    a.word(0x3020_0073);

    // The trap vector is a multiple of four, as every word is.
    a.place(trap);
    let trap_at = a.here();
    a.csrrw(S0, csr::MSCRATCH, S0);
    for n in (1..32).filter(|n| *n != S0) {
        a.sd(n, SAVED as i32 + 8 * n as i32, S0);
    }
    a.csrr(T0, csr::MSCRATCH);
    a.sd(T0, SAVED as i32 + 8 * S0 as i32, S0);
    a.csrr(T0, csr::MSTATUS);
    a.li(T1, STATUS_BITS);
    a.and(T1, T0, T1);
    a.sd(T1, STATUS, S0);
    // A case may have turned off what is needed for the rest.
    a.li(T1, 3 << 13);
    a.or(T0, T0, T1);
    a.csrrw(ZERO, csr::MSTATUS, T0);
    a.ld(A2, HASH, S0);
    a.li(A3, FACTOR);
    for n in 1..32 {
        a.ld(A0, SAVED as i32 + 8 * n, S0);
        a.call(hash);
    }
    for n in 0..32 {
        a.fmv_x_d(A0, n);
        a.call(hash);
    }
    a.csrr(A0, csr::FCSR);
    a.call(hash);
    a.csrr(A0, csr::MCAUSE);
    a.call(hash);
    a.csrr(A0, csr::MTVAL);
    a.call(hash);
    a.csrr(A0, csr::MEPC);
    a.call(hash);
    for n in 0..4 {
        a.csrr(A0, csr::SSCRATCH + n);
        a.call(hash);
    }
    a.ld(A0, STATUS, S0);
    a.call(hash);
    end_case(&mut a, group, next, (hash, hex));
    a.li(T1, UART);
    a.addi(T0, ZERO, 10);
    a.sb(T0, 0, T1);
    a.sd(ZERO, HASH, S0);
    a.j(next);

    a.place(done);
    a.li(T0, FINISHER);
    a.li(T1, 0x5555);
    a.sw(T1, 0, T0);
    a.place(park);
    let here = a.label();
    a.place(here);
    a.word(0x1050_0073);
    a.j(here);

    // Adds a0 to the hash in a2 (a3 is the factor), and prints it in detail. Changes t0 to t2, a4, a5.
    a.place(hash);
    add_to_hash(&mut a, group);
    // Prints a0 and a space.
    a.place(hex);
    a.li(T1, UART);
    a.addi(A4, ZERO, 60);
    let (digit, small) = (a.label(), a.label());
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
    a.addi(A4, A4, -4);
    let more = a.label();
    a.blt(A4, ZERO, more);
    a.j(digit);
    a.place(more);
    a.addi(T0, ZERO, 32);
    a.sb(T0, 0, T1);
    a.ret();

    let mut code = a.finish();
    // lui and addiw of the handler's address.
    let address = BASE + trap_at;
    let mut patch = Asm::default();
    patch.li(T0, address);
    let words = patch.finish();
    code[(at / 4) as usize..][..words.len()].copy_from_slice(&words);
    code
}

/// The image of the guest for cases `first..last` of these; `group` as the runner's.
pub fn image(cases: &[Case], pool: &[u64], group: u64, first: usize, last: usize) -> Vec<u8> {
    image_of(&runner(group, first, last), cases, pool)
}

/// An image with this code of a runner's.
pub(crate) fn image_of(runner: &[u32], cases: &[Case], pool: &[u64]) -> Vec<u8> {
    assert!(cases.len() <= CASES_MAX);
    let mut image = vec![0u8; (slot(cases.len()) - BASE) as usize];
    let mut put = |at: u64, bytes: &[u8]| image[(at - BASE) as usize..][..bytes.len()].copy_from_slice(bytes);
    let code: Vec<u8> = runner.iter().flat_map(|w| w.to_le_bytes()).collect();
    assert!(code.len() as u64 <= VECTOR - BASE);
    put(BASE, &code);
    put(VECTOR, &0x0010_0073u32.to_le_bytes());
    put(POOL, &pool.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>());
    // Leaves of 1 GiB: V, R, W, X, A, D; V, R, W, U, A, D.
    for (va, bits) in [(BASE, 0xcf), (BASE + ALIAS, 0xd7)] {
        put(ROOT + (va >> 30) * 8, &(BASE >> 12 << 10 | bits).to_le_bytes());
    }
    for (n, c) in cases.iter().enumerate() {
        // FS Dirty; MPP is the case's mode.
        let status = 3u64 << 13 | (c.level as u64) << 11;
        let translated = u64::from(c.level == Level::Supervisor) << 63;
        let record = [
            slot(n) + c.at,
            c.windows.0,
            c.windows.1,
            register_offset(c.patches[0].0),
            c.patches[0].1,
            c.fcsr | status << 8 | translated,
            register_offset(c.patches[1].0),
            c.patches[1].1,
        ];
        put(RECORDS + RECORD_BYTES * n as u64, &record.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>());
        let mut code = vec![0x9002u16; SLOT_BYTES as usize / 2];
        let at = (c.at / 2) as usize;
        code[at..at + c.code.len()].copy_from_slice(&c.code);
        put(slot(n), &code.iter().flat_map(|h| h.to_le_bytes()).collect::<Vec<_>>());
    }
    image
}
