//! Single-copy atomicity: one CPU stores values whose parts all tell the same, the other loads and looks whether they do.
//!
//! By FEAT_LSE2 (Arm ARM B2.2.1) an access of up to 8 bytes is whole wherever it lies inside 16 aligned bytes, and so is a pair of 64-bit
//! registers at 16 aligned bytes. A Q register is two doublewords, each of them whole.

use crate::guest::*;
use crate::words::{ACQ_REL, RELAXED, Size, Words};
use Access::*;
use emu_a64_asm::*;

/// How a value is stored or loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// STP, LDP of X registers.
    Pair,
    /// STR, LDR of a Q register.
    Quad,
    /// STXP or LDXP with its STXP, until it succeeds.
    PairExclusive,
    /// STLXP or LDAXP with its STXP.
    PairOrdered,
    /// CASP.
    Casp,
    /// STR, LDR of a size at an offset.
    Plain(Size, u64),
    /// STLR, LDAR of a size at an offset.
    Ordered(Size, u64),
    /// STLUR, LDAPUR.
    Unscaled(Size, u64),
    /// SWPAL, or LDADDAL of zero.
    Atomic(Size, u64),
    /// CAS of the value by itself.
    Cas(Size, u64),
}

/// Stores against loads.
pub const CASES: &[(Access, Access)] = &[
    (Pair, Pair),
    (Quad, Quad),
    (Quad, Pair),
    (Pair, Quad),
    (PairExclusive, Pair),
    (PairOrdered, Quad),
    (Casp, Pair),
    (Pair, PairExclusive),
    (Quad, PairOrdered),
    (Pair, Casp),
    (Casp, PairExclusive),
    (Plain(3, 1), Plain(3, 1)),
    (Plain(3, 2), Plain(3, 2)),
    (Plain(3, 3), Plain(3, 3)),
    (Plain(3, 4), Plain(3, 4)),
    (Plain(3, 5), Plain(3, 5)),
    (Plain(3, 6), Plain(3, 6)),
    (Plain(3, 7), Plain(3, 7)),
    (Plain(2, 1), Plain(2, 1)),
    (Plain(2, 3), Plain(2, 3)),
    (Plain(2, 6), Plain(2, 6)),
    (Plain(2, 7), Plain(2, 7)),
    (Plain(2, 11), Plain(2, 11)),
    (Plain(1, 7), Plain(1, 7)),
    (Plain(1, 13), Plain(1, 13)),
    (Ordered(3, 3), Ordered(3, 3)),
    (Ordered(2, 5), Plain(2, 5)),
    (Plain(3, 6), Unscaled(3, 6)),
    (Unscaled(2, 9), Plain(2, 9)),
    (Atomic(3, 5), Plain(3, 5)),
    (Plain(3, 7), Atomic(3, 7)),
    (Atomic(2, 6), Ordered(2, 6)),
    (Plain(2, 6), Cas(2, 6)),
    // A part of the pair.
    (Pair, Plain(3, 3)),
    (Quad, Ordered(3, 8)),
];

/// The name of a case in the report.
pub fn name(case: (Access, Access)) -> String {
    format!("{:?} {:?}", case.0, case.1).replace('(', "-").replace(", ", "+").replace(')', "")
}

/// The 16 bytes in question.
const CELL: u64 = DATA + 0x40;
/// The reader is done.
const STOP: u64 = OWN;

/// So many new values make a race.
pub const RACED: u64 = 100;
/// So many times more loads until there is one.
const TRIES: u16 = 30;

/// The guest that runs all cases with so many loads each, and more when the writer had no host CPU meanwhile. For each it prints how many
/// loads were torn and how many saw a new value.
pub fn assemble_tear(loads: u64) -> Vec<u8> {
    assemble(2, |g| {
        for case in CASES {
            g.only(0, |g| g.put(STOP, 0));
            g.only(0, |g| g.fill(CELL, 16, 0));
            g.barrier();
            g.only(0, |g| reader(g, *case, loads));
            g.only(1, |g| writer(g, case.0));
            g.barrier();
            g.only(0, |g| g.line(&name(*case), &[X24, X25]));
        }
    })
}

/// Stores bytes that are all alike, in x1 (and x2), until it is told to stop.
fn writer(g: &mut Guest, how: Access) {
    let a = &mut g.a;
    a.mov_imm(X10, CELL + offset(how));
    a.mov_imm(X11, STOP);
    a.mov_imm(X12, 0x0101_0101_0101_0101);
    a.mov(X13, XZR);
    let next = a.here();
    a.add_imm(X13, X13, 1);
    a.and_imm(X1, X13, 0xff);
    a.mul(X1, X1, X12);
    a.mov(X2, X1);
    match how {
        Pair => a.stp(X1, X2, Addr::Off(X10, 0)),
        Quad => {
            a.dup_2d(VReg(1), X1);
            a.str_q(VReg(1), Addr::Off(X10, 0));
        }
        PairExclusive | PairOrdered => {
            let again = a.here();
            a.ldxp(X5, X6, X10);
            if how == PairExclusive {
                a.stxp(X7, X1, X2, X10)
            } else {
                a.stlxp(X7, X1, X2, X10)
            }
            a.cbnz(W7, again);
        }
        Casp => {
            a.ldp(X4, X5, Addr::Off(X10, 0));
            a.mov(X3, X1);
            a.mov(X2, X1);
            a.casp(ACQ_REL, X4, X2, X10);
        }
        Plain(size, _) => a.store(size, X1, X10),
        Ordered(size, _) => a.store_release(size, X1, X10),
        Unscaled(size, _) => a.stlur(size, X1, X10),
        Atomic(size, _) | Cas(size, _) => a.swp(ACQ_REL, size, X1, X5, X10),
    }
    a.ldr(X5, Addr::Off(X11, 0));
    a.cbz(X5, next);
}

fn offset(how: Access) -> u64 {
    match how {
        Plain(_, o) | Ordered(_, o) | Unscaled(_, o) | Atomic(_, o) | Cas(_, o) => o,
        _ => 0,
    }
}

fn reader(g: &mut Guest, case: (Access, Access), loads: u64) {
    let how = case.1;
    let a = &mut g.a;
    a.mov_imm(X10, CELL + offset(how));
    for r in [X24, X25, X23] {
        a.mov(r, XZR);
    }
    g.a.movz(X22, TRIES, 0);
    let more = g.a.here();
    g.repeat(X20, loads, |g| {
        let a = &mut g.a;
        let size = match how {
            Pair => {
                a.ldp(X5, X6, Addr::Off(X10, 0));
                4
            }
            Quad => {
                a.ldr_q(VReg(2), Addr::Off(X10, 0));
                a.umov_d(X5, VReg(2), 0);
                a.umov_d(X6, VReg(2), 1);
                4
            }
            PairExclusive | PairOrdered => {
                let again = a.here();
                if how == PairExclusive {
                    a.ldxp(X5, X6, X10)
                } else {
                    a.ldaxp(X5, X6, X10)
                }
                a.stxp(X7, X5, X6, X10);
                a.cbnz(W7, again);
                4
            }
            Casp => {
                for r in [X2, X3, X4, X5] {
                    a.mov(r, XZR);
                }
                a.casp(RELAXED, X4, X2, X10);
                a.mov(X6, X4);
                4
            }
            Plain(size, _) => {
                a.load(size, X5, X10);
                size
            }
            Ordered(size, _) => {
                a.load_acquire(size, X5, X10);
                size
            }
            Unscaled(size, _) => {
                a.ldapur(size, X5, X10);
                size
            }
            Atomic(size, _) => {
                a.ldadd_of(ACQ_REL, size, XZR, X5, X10);
                size
            }
            Cas(size, _) => {
                a.mov(X5, X23);
                a.cas(ACQ_REL, size, X5, X23, X10);
                size
            }
        };
        // x7 is the same bytes turned by one, as far as they are part of the value.
        match size {
            4 => {
                a.ror(X7, X5, 8);
                a.ror(X8, X6, 8);
                a.eor(X7, X7, X5, 0);
                // The halves belong together but for Q registers.
                let apart = case.0 == Quad || case.1 == Quad;
                a.eor(X8, X8, if apart { X6 } else { X5 }, 0);
                a.orr(X7, X7, X8, 0);
            }
            3 => {
                a.ror(X7, X5, 8);
                a.eor(X7, X7, X5, 0);
            }
            2 => {
                a.ror(W7, W5, 8);
                a.eor(W7, W7, W5, 0);
            }
            _ => {
                a.eor(W7, W5, W5, 8);
                a.and_imm(W7, W7, 0xff00);
            }
        }
        a.cmp_imm(X7, 0);
        a.csinc(X24, X24, X24, Cond::Eq);
        a.cmp(X5, X23);
        a.csinc(X25, X25, X25, Cond::Eq);
        a.mov(X23, X5);
    });
    let enough = g.a.label();
    g.a.cmp_imm(X25, RACED as u32);
    g.a.b_cond(Cond::Hs, enough);
    g.a.subs_imm(X22, X22, 1);
    g.a.b_cond(Cond::Ne, more);
    g.a.bind(enough);
    g.put(STOP, 1);
}
