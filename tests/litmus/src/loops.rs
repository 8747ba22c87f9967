//! Loops that load and store off registers which they do not write, so that they may look a page up once: it changes places meanwhile, and the
//! registers are other ones each time that a loop is begun, next to the end of a page and misaligned too.

use crate::frames::{FIRST, PAGES, moving};
use crate::guest::*;
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
        g.a.mrs(X13, SysReg::ESR_EL1);
        g.a.mrs(X14, SysReg::ELR_EL1);
        g.a.and_imm(X15, X13, 0x3f);
        g.a.cmp_imm(X15, 0x21);
        g.expect(Cond::Eq, "not an alignment fault: ESR, ELR", X13, X14);
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
