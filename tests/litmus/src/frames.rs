//! Frames of functions that call each other, on a stack whose pages change places under them: what is saved is found again, and nothing is written
//! to where a page was before. Frames begin anywhere, so that they lie over the ends of pages too.

use crate::guest::{descriptor as d, *};
use emu_a64_asm::*;

/// The stack's pages, and where they are mapped.
pub(crate) const PAGES: u64 = 4;
pub(crate) const FIRST: u64 = 4 << 30;
pub(crate) const LEVEL_2: u64 = TABLES + 0x1_0000;
pub(crate) const LEVEL_3: u64 = TABLES + 0x1_1000;
/// Set when the recursions are done.
const STOP: u64 = OWN;
const FOREIGN: u64 = 0xdead_0bad_dead_0bad;
/// What the functions are called with: about 500 calls.
const N: u64 = 14;

/// One of the two frames of RAM that a page is mapped to in turn; they differ by one bit.
fn frame(page: u64, which: u64) -> u64 {
    DATA + (page * 2 + which) * 4096
}

fn f(n: u64) -> u64 {
    if n < 2 { n } else { g(n - 1).wrapping_add(f(n - 2)).wrapping_add(1) }
}
fn g(n: u64) -> u64 {
    if n == 0 { 0 } else { f(n - 1) ^ n }
}
/// What the guest must print.
pub fn sum(rounds: u64) -> u64 {
    rounds.wrapping_mul(f(N))
}

/// The guest: `rounds` recursions, each with another stack pointer. It prints their sum, how often a page was missing, and how often one was taken
/// away.
pub fn assemble_frames(rounds: u64) -> Vec<u8> {
    let called = |g: &mut Guest| {
        let f = g.a.label();
        functions(&mut g.a, f);
        f
    };
    moving(called, |g, f| {
        let a = &mut g.a;
        // The stack of whoever prints.
        a.mov_sp(X27, SP);
        g.repeat(X25, rounds, |g| {
            let a = &mut g.a;
            a.mov_imm(X0, FIRST + PAGES * 4096);
            a.ubfx(X1, X25, 0, 9);
            a.lsl(X1, X1, 4);
            a.sub(X0, X0, X1, 0);
            a.mov_sp(SP, X0);
            a.movz(X0, N as u16, 0);
            a.bl(f);
            a.add(X26, X26, X0, 0);
        });
        g.a.mov_sp(SP, X27);
    })
}

/// A guest on two CPUs: the first runs `body`, which adds up in x26, and leaves alone what [`missing`] changes; the other takes its pages away
/// meanwhile. It prints the sum, how often a page was missing, and how often one was taken away. `before`: code that is not in the way.
pub(crate) fn moving<T>(before: impl FnOnce(&mut Guest) -> T, body: impl FnOnce(&mut Guest, T)) -> Vec<u8> {
    assemble(2, |g| {
        let (handler, over) = (g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        g.a.b(over);
        missing(g, handler);
        let before = before(g);
        g.a.bind(over);
        g.only(0, |g| {
            g.put(TABLES + 8 * 4, LEVEL_2 | d::PAGE);
            g.put(LEVEL_2, LEVEL_3 | d::PAGE);
            g.put(STOP, 0);
            for page in 0..PAGES {
                g.put(LEVEL_3 + page * 8, frame(page, 0) | d::PAGE | d::NORMAL);
                g.fill(frame(page, 0), 4096, 0);
            }
        });
        g.a.dsb(Barrier::Ish);
        g.a.isb();
        g.barrier();
        g.only(0, |g| {
            g.a.mov(X26, XZR);
            g.a.mov(X24, XZR);
            body(g, before);
            g.put(STOP, 1);
        });
        g.only(1, take_away);
        g.barrier();
        g.only(0, |g| g.line("sum", &[X26, X24]));
        g.barrier();
        g.only(1, |g| g.line("taken", &[X24]));
    })
}

/// Two functions with frames of different sizes, one of which sometimes takes more for a while.
fn functions(a: &mut Asm, f: Label) {
    let (g, small, even, zero) = (a.label(), a.label(), a.label(), a.label());
    a.bind(f);
    a.stp(X29, X30, Addr::Pre(SP, -48));
    a.stp(X19, X20, Addr::Off(SP, 16));
    a.str(X21, Addr::Off(SP, 32));
    a.mov(X19, X0);
    a.movz(X21, 1, 0);
    a.cmp_imm(X0, 2);
    a.b_cond(Cond::Lo, small);
    a.sub_imm(X0, X19, 1);
    a.bl(g);
    a.mov(X20, X0);
    a.sub_imm(X0, X19, 2);
    a.bl(f);
    a.add(X0, X0, X20, 0);
    a.add(X0, X0, X21, 0);
    a.bind(small);
    a.ldr(X21, Addr::Off(SP, 32));
    a.ldp(X19, X20, Addr::Off(SP, 16));
    a.ldp(X29, X30, Addr::Post(SP, 48));
    a.ret();
    a.bind(g);
    a.stp(X29, X30, Addr::Pre(SP, -32));
    a.str(X19, Addr::Off(SP, 16));
    a.str(X0, Addr::Off(SP, 24));
    a.mov(X19, X0);
    a.tbz(X0, 0, even);
    a.stp(X0, X29, Addr::Pre(SP, -80));
    a.str(X19, Addr::Off(SP, 64));
    a.ldr(X19, Addr::Off(SP, 64));
    a.ldp(X0, X29, Addr::Post(SP, 80));
    a.bind(even);
    a.cbz(X19, zero);
    a.sub_imm(X0, X19, 1);
    a.bl(f);
    a.ldr(X1, Addr::Off(SP, 24));
    a.eor(X0, X0, X1, 0);
    a.bind(zero);
    a.ldr(X19, Addr::Off(SP, 16));
    a.ldp(X29, X30, Addr::Post(SP, 32));
    a.ret();
}

/// A page of the stack is missing: waits until it is there again.
fn missing(g: &mut Guest, handler: Label) {
    g.a.bind(handler);
    g.expect_status(7, SysReg::FAR_EL1, "not a translation fault of level 3: ESR, FAR");
    let a = &mut g.a;
    a.add_imm(X24, X24, 1);
    a.ubfx(X14, X14, 12, 9);
    a.mov_imm(X15, LEVEL_3);
    a.add(X14, X15, X14, 3);
    let wait = a.here();
    a.ldar(X15, X14);
    a.tbz(X15, 0, wait);
    a.eret();
}

/// Takes pages of the stack away and brings them back in their other frame, until the recursions are done.
fn take_away(g: &mut Guest) {
    g.a.mov(X24, XZR);
    g.a.mov_imm(X26, 12345);
    let again = g.a.here();
    let a = &mut g.a;
    random(a, 2);
    a.mov_imm(X22, LEVEL_3);
    a.add(X22, X22, X0, 3);
    a.ldr(X20, Addr::Off(X22, 0));
    a.str(XZR, Addr::Off(X22, 0));
    a.dsb(Barrier::Ishst);
    a.mov_imm(X1, FIRST >> 12);
    a.add(X1, X1, X0, 0);
    a.tlbi_vaae1is(X1);
    a.dsb(Barrier::Ish);
    a.isb();
    // What was there goes to the other frame.
    a.mov_imm(X1, 0xf_ffff_f000);
    a.and(X3, X20, X1, 0);
    a.mov_imm(X2, 4096);
    a.eor(X4, X3, X2, 0);
    a.eor(X20, X20, X2, 0);
    a.mov_imm(X5, FOREIGN);
    a.mov_imm(X6, 512);
    let copy = a.here();
    a.ldr(X7, Addr::Off(X3, 0));
    a.str(X7, Addr::Post(X4, 8));
    a.str(X5, Addr::Post(X3, 8));
    a.subs_imm(X6, X6, 1);
    a.b_cond(Cond::Ne, copy);
    a.mov_imm(X6, 512);
    let look = g.a.here();
    g.a.ldr(X7, Addr::Pre(X3, -8));
    g.expect_eq("a store came behind the DSB: found, expected", X7, X5);
    let a = &mut g.a;
    a.subs_imm(X6, X6, 1);
    a.b_cond(Cond::Ne, look);
    a.dsb(Barrier::Ish);
    a.str(X20, Addr::Off(X22, 0));
    a.dsb(Barrier::Ishst);
    a.isb();
    a.add_imm(X24, X24, 1);
    // The other CPU gets on for a while.
    a.lsr(X0, X26, 52);
    spin(a);
    g.get(X0, STOP);
    g.a.cbz(X0, again);
}
