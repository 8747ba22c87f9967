//! A list whose nodes lie in pages that are mapped in no order, and change places under it: what is loaded leads to the next load, so that a
//! distance from one page to the host's memory that is taken for another's shows.

use crate::guest::{descriptor as d, *};
use emu_a64_asm::*;

/// Pages, of a node each.
const PAGES: u64 = 64;
/// Where they are mapped.
const FIRST: u64 = 4 << 30;
const LEVEL_2: u64 = TABLES + 0x1_0000;
const LEVEL_3: u64 = TABLES + 0x1_1000;
/// The node behind one is so many pages on.
const STRIDE: u64 = 29;

/// One of the two frames of RAM that a page is mapped to in turn.
fn frame(page: u64, which: u64) -> u64 {
    DATA + ((page * 37 + 11) % PAGES * 2 + which) * 4096
}
fn offset(page: u64) -> u64 {
    page * 40 % 4080 / 16 * 16
}
fn value(page: u64, which: u64) -> u64 {
    ((page << 8) | (which + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What the guest must print.
pub fn sum(laps: u64) -> u64 {
    let (mut sum, mut node, mut which) = (0u64, 0, [0; PAGES as usize]);
    for lap in 0..laps {
        for _ in 0..PAGES {
            sum = sum.rotate_right(9).wrapping_add(value(node, which[node as usize]));
            node = (node + STRIDE) % PAGES;
        }
        which[(lap % PAGES) as usize] ^= 1;
    }
    sum
}

/// The guest: goes round in the list, after each round one page is mapped to its other frame. It prints the sum of what it found.
pub fn assemble_chains(laps: u64) -> Vec<u8> {
    assemble(1, |g| {
        g.put(TABLES + 8 * 4, LEVEL_2 | d::PAGE);
        g.put(LEVEL_2, LEVEL_3 | d::PAGE);
        for page in 0..PAGES {
            g.put(LEVEL_3 + page * 8, frame(page, 0) | d::PAGE | d::NORMAL);
            let next = (page + STRIDE) % PAGES;
            for which in 0..2 {
                let node = frame(page, which) + offset(page);
                g.put(node, FIRST + next * 4096 + offset(next));
                g.put(node + 8, value(page, which));
            }
        }
        let a = &mut g.a;
        a.dsb(Barrier::Sy);
        a.isb();
        a.mov_imm(X20, FIRST + offset(0));
        a.mov(X21, XZR);
        a.mov(X22, XZR);
        let lap = a.here();
        a.movz(X9, PAGES as u16, 0);
        let step = a.here();
        a.ldr(X10, Addr::Off(X20, 8));
        a.ldr(X20, Addr::Off(X20, 0));
        a.ror(X21, X21, 9);
        a.add(X21, X21, X10, 0);
        a.sub_imm(X9, X9, 1);
        a.cbnz(X9, step);
        // The next page's other frame: break before make.
        a.ubfx(X11, X22, 0, PAGES.trailing_zeros());
        a.mov_imm(X12, LEVEL_3);
        a.add(X12, X12, X11, 3);
        a.ldr(X13, Addr::Off(X12, 0));
        a.str(XZR, Addr::Off(X12, 0));
        a.dsb(Barrier::Ish);
        a.mov_imm(X14, FIRST >> 12);
        a.add(X14, X14, X11, 0);
        a.tlbi_vaae1is(X14);
        a.dsb(Barrier::Ish);
        a.mov_imm(X14, 4096);
        a.eor(X13, X13, X14, 0);
        a.str(X13, Addr::Off(X12, 0));
        a.dsb(Barrier::Ish);
        a.isb();
        a.add_imm(X22, X22, 1);
        a.mov_imm(X9, laps);
        a.cmp(X22, X9);
        a.b_cond(Cond::Ne, lap);
        g.line("sum", &[X21]);
    })
}
