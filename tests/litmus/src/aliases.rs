//! The same two pages of code at many virtual addresses, as a library is in many processes: whatever depends on the program counter (ADR, ADRP,
//! literals, links, the addresses of exceptions) must come out as of the address that runs. What it gives at the identity mapping, where it runs
//! first, is the measure for all others. Every few rounds one of its instructions is rewritten through the identity mapping.

use crate::guest::{descriptor as d, *};
use emu_a64_asm::*;

/// Where the aliases lie, each as far from the next.
const FIRST: u64 = 4 << 30;
const APART: u64 = 0x1_0000;
/// Number of aliases.
pub const ALIASES: u64 = 16;
/// Nothing is mapped here.
const NOWHERE: u64 = FIRST + ALIASES * APART;
const LEVEL_2: u64 = TABLES + 0x1_0000;
const LEVEL_3: u64 = TABLES + 0x1_1000;
/// `movz x5, #0`; the immediate is at bit 5.
const MOVZ_X5: u64 = 0xd280_0005;

/// The guest: each CPU calls the code `rounds` times at addresses drawn at random; the first rewrites it every 64 rounds if `rewrite`. It prints
/// the calls.
pub fn assemble_aliases(cpus: u64, rounds: u64, rewrite: bool) -> Vec<u8> {
    assemble(cpus, |g| {
        let (code, patched, over, exception) = (g.a.label(), g.a.label(), g.a.label(), g.a.label());
        g.a.b(over);
        library(g, code, patched);
        returns_from_nowhere(g, exception);
        g.a.bind(over);
        g.only(0, |g| {
            g.put(TABLES + 8 * 4, LEVEL_2 | d::PAGE);
            g.put(LEVEL_2, LEVEL_3 | d::PAGE);
            for alias in 0..ALIASES {
                let entry = LEVEL_3 + alias * (APART >> 12) * 8;
                let a = &mut g.a;
                a.load_address(X9, code);
                a.mov_imm(X10, d::PAGE | d::NORMAL);
                a.orr(X9, X9, X10, 0);
                a.add_imm(X10, X9, 1 << 12);
                a.mov_imm(X11, entry);
                a.stp(X9, X10, Addr::Off(X11, 0));
            }
            g.a.dsb(Barrier::Sy);
        });
        g.barrier();
        let a = &mut g.a;
        a.isb();
        // The measure.
        a.load_address(X20, code);
        a.mov_imm(X26, NOWHERE);
        a.mov(X24, XZR);
        a.blr(X20);
        a.mov(X23, X24);
        a.mov(X22, XZR);
        a.mov(X25, XZR);
        a.mov_imm(X21, 0x1234_5678_9abc_def1);
        a.add(X21, X21, X19, 5);
        let round = g.a.here();
        if rewrite {
            let skip = g.a.label();
            let a = &mut g.a;
            a.tst_imm(X22, 63);
            a.b_cond(Cond::Ne, skip);
            a.ubfx(X25, X22, 6, 16);
            a.mov_imm(X10, MOVZ_X5);
            a.bfi(X10, X25, 5, 16);
            a.load_address(X9, patched);
            a.str(W10, Addr::Off(X9, 0));
            a.dc_cvau(X9);
            a.dsb(Barrier::Ish);
            a.ic_ivau(X9);
            a.dsb(Barrier::Ish);
            a.isb();
            a.bind(skip);
        }
        let a = &mut g.a;
        // xorshift.
        a.eor(X21, X21, X21, 13);
        a.lsr(X9, X21, 7);
        a.eor(X21, X21, X9, 0);
        a.eor(X21, X21, X21, 17);
        a.ubfx(X9, X21, 20, ALIASES.trailing_zeros());
        a.mov_imm(X20, FIRST);
        a.add(X20, X20, X9, APART.trailing_zeros());
        a.mov(X24, XZR);
        a.blr(X20);
        g.expect_eq("the code gives something else at another address", X24, X23);
        if rewrite {
            g.expect_eq("old code runs", X5, X25);
        }
        let a = &mut g.a;
        a.add_imm(X22, X22, 1);
        a.mov_imm(X9, rounds);
        a.cmp(X22, X9);
        a.b_cond(Cond::Ne, round);
        g.barrier();
        g.only(0, |g| g.line("calls", &[X22]));
    })
}

/// The guest: the code is copied to a place of its own among [`ALIASES`], physical and virtual, and called there alone, `rounds` times. It prints the
/// calls, and what the code gives, which is the same at all places.
pub fn assemble_elsewhere(rounds: u64, place: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (code, patched, over, exception) = (g.a.label(), g.a.label(), g.a.label(), g.a.label());
        g.a.b(over);
        library(g, code, patched);
        returns_from_nowhere(g, exception);
        g.a.bind(over);
        let (to, at) = (DATA + place * APART, FIRST + place * APART);
        g.put(TABLES + 8 * 4, LEVEL_2 | d::PAGE);
        g.put(LEVEL_2, LEVEL_3 | d::PAGE);
        for page in 0..2 {
            g.put(LEVEL_3 + (place * (APART >> 12) + page) * 8, (to + (page << 12)) | d::PAGE | d::NORMAL);
        }
        let a = &mut g.a;
        a.load_address(X9, code);
        a.mov_imm(X10, to);
        a.mov_imm(X11, to + (2 << 12));
        let copy = a.here();
        a.ldp(X12, X13, Addr::Post(X9, 16));
        a.stp(X12, X13, Addr::Post(X10, 16));
        a.cmp(X10, X11);
        a.b_cond(Cond::Ne, copy);
        a.dsb(Barrier::Sy);
        a.ic_iallu();
        a.dsb(Barrier::Sy);
        a.isb();
        a.mov_imm(X26, NOWHERE);
        a.mov_imm(X20, at);
        a.mov(X22, XZR);
        let round = a.here();
        a.mov(X24, XZR);
        a.blr(X20);
        let first = a.label();
        a.cbz(X22, first);
        g.expect_eq("the code gives something else another time", X24, X23);
        let a = &mut g.a;
        a.bind(first);
        a.mov(X23, X24);
        a.add_imm(X22, X22, 1);
        a.mov_imm(X9, rounds);
        a.cmp(X22, X9);
        a.b_cond(Cond::Ne, round);
        g.line("calls", &[X22, X23]);
    })
}

/// What a load from nowhere comes to: where it was and what it was for.
fn returns_from_nowhere(g: &mut Guest, exception: Label) {
    g.a.bind(exception);
    let a = &mut g.a;
    a.mrs(X27, SysReg::ELR_EL1);
    a.mrs(X6, SysReg::FAR_EL1);
    a.add_imm(X7, X27, 4);
    a.msr(SysReg::ELR_EL1, X7);
    a.eret();
    g.handle(Vector::Sync, exception);
}

/// x24 takes an address in, relative to where the code is (x20).
fn take(a: &mut Asm, address: Reg) {
    a.sub(X9, address, X20, 0);
    a.ror(X24, X24, 9);
    a.eor(X24, X24, X9, 0);
}

fn library(g: &mut Guest, code: Label, patched: Label) {
    let a = &mut g.a;
    a.align(4096);
    a.bind(code);
    let [near, far, loops, literal, data, far_entry, fault, second] = std::array::from_fn(|_| a.label());
    a.mov(X29, X30);
    a.adr(X10, code);
    take(a, X10);
    a.adr(X10, data);
    take(a, X10);
    a.adrp(X10, far_entry);
    take(a, X10);
    a.load_address(X10, second);
    take(a, X10);
    for at in [literal, data] {
        a.ldr_lit(X10, at);
        a.add(X10, X10, X20, 0);
        take(a, X10);
    }
    a.bl(near);
    a.bl(far);
    a.adr(X10, far);
    a.blr(X10);
    take(a, X30);
    // Faults.
    a.mov(X27, XZR);
    a.bind(fault);
    a.ldr(X10, Addr::Off(X26, 8));
    take(a, X27);
    a.sub(X6, X6, X26, 0);
    a.add(X6, X6, X20, 0);
    take(a, X6);
    // A loop, so that there is a way back.
    a.movz(X10, 20, 0);
    a.bind(loops);
    a.adr(X11, loops);
    take(a, X11);
    a.subs_imm(X10, X10, 1);
    a.b_cond(Cond::Ne, loops);
    a.bind(patched);
    a.movz(X5, 0, 0);
    a.mov(X30, X29);
    a.ret();
    // Functions look at what they would return to.
    a.bind(near);
    take(a, X30);
    a.ret();
    a.align(8);
    a.bind(literal);
    a.word(0x89ab_cdef);
    a.word(0x0123_4567);
    a.align(4096);
    a.bind(far_entry);
    a.nop();
    a.bind(far);
    take(a, X30);
    a.mov(X12, X30);
    a.bl(near);
    a.bl(second);
    a.mov(X30, X12);
    a.ret();
    a.bind(second);
    a.adr(X11, near);
    take(a, X11);
    take(a, X30);
    a.ret();
    a.align(8);
    a.bind(data);
    a.word(0x7654_3210);
    a.word(0xfedc_ba98);
    a.align(4096);
}
