//! Loops that load and store off registers which they do not write, so that they may look a page up once: it changes places meanwhile, and the
//! registers are other ones each time that a loop is begun, next to the end of a page and misaligned too.

use crate::frames::{FIRST, LEVEL_2, LEVEL_3, PAGES, moving};
use crate::guest::{descriptor as d, *};
use emu_a64_asm::*;

/// Rounds of a loop, and loops inside of each round of the guest.
const INNER: u64 = 40;
const OUTER: u64 = 3;
/// From a loop to the next, for the first register; the second goes to the other of two pages.
const STEP: u64 = 24;

/// Where both registers point to in a round.
fn bases(round: u64) -> [u64; 2] {
    [(round & 0x1ff) * 8, 2 * 4096 + (round & 0xff) * 16]
}

/// What the guest must print.
pub fn sum(rounds: u64) -> u64 {
    let mut words = vec![0u64; (PAGES * 512) as usize];
    let mut sum = 0u64;
    for round in (1..=rounds).rev() {
        let [mut first, mut second] = bases(round);
        for _ in 0..OUTER {
            let at = |offset: u64| (offset / 8) as usize;
            for _ in 0..INNER {
                words[at(first)] += 1;
                words[at(second) + 1] = words[at(second) + 1].wrapping_add(words[at(first)]);
                words[at(first) + 2] ^= words[at(second) + 1];
            }
            sum = sum.rotate_right(9).wrapping_add(words[at(first) + 2]);
            first += STEP;
            second ^= 4096;
        }
    }
    sum
}

/// The guest. It prints the sum of what the loops found last, how often a page was missing, and how often one was taken away.
pub fn assemble_loops(rounds: u64) -> Vec<u8> {
    moving(
        |_| {},
        |g, ()| {
            g.a.mov_imm(X12, FIRST);
            g.a.mov_imm(X11, 4096);
            g.repeat(X25, rounds, |g| {
                let a = &mut g.a;
                a.ubfx(X20, X25, 0, 9);
                a.add(X20, X12, X20, 3);
                a.ubfx(X21, X25, 0, 8);
                a.add(X21, X12, X21, 4);
                a.add(X21, X21, X11, 1);
                g.repeat(X22, OUTER, |g| {
                    g.repeat(X9, INNER, |g| {
                        let quick = g.a.label();
                        let a = &mut g.a;
                        a.and_imm(X3, X9, 15);
                        a.cbnz(X3, quick);
                        // A device, whose loads are slow.
                        a.ldr(W3, Addr::Off(X28, 0x18));
                        a.bind(quick);
                        a.ldar(X0, X20);
                        a.add_imm(X0, X0, 1);
                        a.stlr(X0, X20);
                        a.ldr(X1, Addr::Off(X21, 8));
                        a.add(X1, X1, X0, 0);
                        a.str(X1, Addr::Off(X21, 8));
                        a.ldr(X2, Addr::Off(X20, 16));
                        a.eor(X2, X2, X1, 0);
                        a.str(X2, Addr::Off(X20, 16));
                    });
                    let a = &mut g.a;
                    a.ror(X26, X26, 9);
                    a.add(X26, X26, X2, 0);
                    a.add_imm(X20, X20, STEP as u32);
                    a.eor(X21, X21, X11, 0);
                });
            });
        },
    )
}

/// Of so many rounds, how many accesses of [`assemble_misaligned`] fault, and how often its loops come round.
pub fn misaligned(rounds: u64, apart: u64) -> [u64; 2] {
    let faults = |x: u64| u64::from(x & 15 > 8);
    let begun = (1..=rounds).flat_map(|round| (0..OUTER).map(move |n| (round & 15) + n));
    [begun.map(|x| INNER * (faults(x) + faults(x + apart))).sum(), rounds * OUTER * INNER]
}

/// Loops with a store-release off a register that is a multiple of 8 sometimes, and is one more each time that one begins. What would not lie in 16
/// bytes faults (FEAT_LSE2) and is skipped. `apart`: how far from there a load-acquire is. The guest prints the number of faults, and that of rounds,
/// which it counts in memory.
pub fn assemble_misaligned(rounds: u64, apart: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (handler, over) = (g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        g.a.b(over);
        g.a.bind(handler);
        g.expect_status(0x21, SysReg::ELR_EL1, "not an alignment fault: ESR, ELR");
        let a = &mut g.a;
        a.add_imm(X24, X24, 1);
        a.add_imm(X14, X14, 4);
        a.msr(SysReg::ELR_EL1, X14);
        a.eret();
        a.bind(over);
        a.mov(X24, XZR);
        a.mov_imm(X12, DATA);
        g.fill(DATA, 4096, 0);
        g.repeat(X25, rounds, |g| {
            g.a.ubfx(X20, X25, 0, 4);
            g.a.add(X20, X12, X20, 0);
            g.a.mov_imm(X22, OUTER);
            let outer = g.a.here();
            g.a.mov_imm(X9, INNER);
            let inner = g.a.here();
            let a = &mut g.a;
            a.ldr(X0, Addr::Off(X12, 64));
            a.add_imm(X0, X0, 1);
            a.str(X0, Addr::Off(X12, 64));
            a.stlr(X0, X20);
            a.add_imm(X1, X20, apart as u32);
            a.ldar(X2, X1);
            a.subs_imm(X9, X9, 1);
            a.b_cond(Cond::Ne, inner);
            a.add_imm(X20, X20, 1);
            a.subs_imm(X22, X22, 1);
            a.b_cond(Cond::Ne, outer);
        });
        g.get(X23, DATA + 64);
        g.line("misaligned", &[X24, X23]);
    })
}

/// What [`assemble_between`] has in the page's two frames, and where the second register points to.
const WORDS: [u64; 2] = [0x1234_5678_9abc_def1, 0x0fed_cba9_8765_4321];
const APART: u64 = 512;
/// MSR PAN, #1.
const SET_PAN: u32 = 0xd500_419f;

/// What the guest must print: the sum of what its loops found, rounds that they counted in the two frames, and how often they were stopped by PAN.
pub fn between(rounds: u64) -> [u64; 4] {
    let (mut sum, mut counts, mut stopped, mut which) = (0u64, [0; 2], 0, 0);
    for round in (1..=rounds).rev() {
        for _ in 0..INNER {
            counts[which] += 1;
            sum = sum.wrapping_add(WORDS[which]).rotate_right(9) ^ counts[which];
        }
        match round & 3 {
            0 | 1 => which ^= 1,
            // The last round is not one of these.
            2 => stopped += 1,
            _ => {}
        }
    }
    [sum, counts[0], counts[1], stopped]
}

/// Loops off registers that nobody ever writes. Between two of them the page that they point to changes places (done on the spot, or by a function),
/// or may not be accessed (PSTATE.PAN), or nothing happens.
pub fn assemble_between(rounds: u64) -> Vec<u8> {
    let frame = |which: u64| DATA + which * 4096;
    assemble(1, |g| {
        let (handler, function, over) = (g.a.label(), g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        g.a.b(over);
        g.a.bind(handler);
        g.expect_status(0xf, SysReg::FAR_EL1, "not a permission fault of level 3: ESR, FAR");
        let a = &mut g.a;
        a.add_imm(X24, X24, 1);
        a.mrs(X13, SysReg::SPSR_EL1);
        a.mov_imm(X15, 1 << 22);
        a.bic(X13, X13, X15, 0);
        a.msr(SysReg::SPSR_EL1, X13);
        a.eret();
        a.bind(function);
        change(a);
        a.ret();
        a.bind(over);
        g.put(TABLES + 8 * 4, LEVEL_2 | d::PAGE);
        g.put(LEVEL_2, LEVEL_3 | d::PAGE);
        g.put(LEVEL_3, frame(0) | d::PAGE | d::NORMAL | d::EL0);
        for which in 0..2 {
            g.fill(frame(which), 4096, 0);
            g.put(frame(which), WORDS[which as usize]);
        }
        let a = &mut g.a;
        a.dsb(Barrier::Ish);
        a.isb();
        a.mov(X24, XZR);
        a.mov(X26, XZR);
        a.mov_imm(X20, FIRST);
        a.mov_imm(X21, FIRST + APART);
        g.repeat(X25, rounds, |g| {
            g.repeat(X9, INNER, |g| {
                let a = &mut g.a;
                a.ldr(X0, Addr::Off(X20, 0));
                a.ldr(X1, Addr::Off(X21, 8));
                a.add_imm(X1, X1, 1);
                a.str(X1, Addr::Off(X21, 8));
                a.add(X26, X26, X0, 0);
                a.ror(X26, X26, 9);
                a.eor(X26, X26, X1, 0);
            });
            let a = &mut g.a;
            let (called, pan, next) = (a.label(), a.label(), a.label());
            a.tbnz(X25, 1, pan);
            a.tbnz(X25, 0, called);
            change(a);
            a.b(next);
            a.bind(called);
            a.bl(function);
            a.b(next);
            a.bind(pan);
            a.tbnz(X25, 0, next);
            a.word(SET_PAN);
            a.bind(next);
        });
        g.get(X22, frame(0) + APART + 8);
        g.get(X23, frame(1) + APART + 8);
        g.line("between", &[X26, X22, X23, X24]);
    })
}

/// The page goes to its other frame.
fn change(a: &mut Asm) {
    a.mov_imm(X3, LEVEL_3);
    a.ldr(X4, Addr::Off(X3, 0));
    a.mov_imm(X5, 4096);
    a.eor(X4, X4, X5, 0);
    a.str(XZR, Addr::Off(X3, 0));
    a.dsb(Barrier::Ishst);
    a.mov_imm(X5, FIRST >> 12);
    a.tlbi_vaae1is(X5);
    a.dsb(Barrier::Ish);
    a.str(X4, Addr::Off(X3, 0));
    a.dsb(Barrier::Ish);
    a.isb();
}
