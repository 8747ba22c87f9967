//! Atomics and ordered accesses, on one CPU: what locks and counters cost when nobody contends.

use crate::guest::*;
use emu_a64_asm::*;

/// Add, set, clear, exclusive-or, maximum, swap and compare-and-swap of FEAT_LSE.
pub fn lse(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X1, DATA);
    a.movz(X2, 0x123, 0);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.ldadd(X10, X3, X1);
        a.ldaddal(X2, X3, X1);
        a.ldsetal(X3, X4, X1);
        a.ldclral(X2, X5, X1);
        a.ldeoral(W5, W6, X1);
        a.ldumaxal(X10, X7, X1);
        a.swpal(X2, X8, X1);
        a.casal(X2, X8, X1);
        a.add(X2, X2, X8, 1);
        a.eor(X0, X0, X8, 0);
        a.add(X0, X0, X6, 0);
    });
}

/// A counter by LDAXR and STLXR, another by LDXR and STXR.
pub fn llsc(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X1, DATA);
    a.mov_imm(X2, DATA + 64);
    repeat(a, X10, repeats, |a| {
        let again = a.here();
        a.ldaxr(X3, X1);
        a.add_imm(X3, X3, 3);
        a.stlxr(W4, X3, X1);
        a.cbnz(W4, again);
        let again = a.here();
        a.ldxr(W5, X2);
        a.add(W5, W5, W3, 0);
        a.stxr(W4, W5, X2);
        a.cbnz(W4, again);
    });
    a.add(X0, X3, X5, 1);
}

/// The two counters.
pub fn llsc_model(repeats: u64) -> u64 {
    let (mut first, mut second) = (0u64, 0u32);
    for _ in 0..repeats {
        first += 3;
        second = second.wrapping_add(first as u32);
    }
    first + (u64::from(second) << 1)
}

/// LDAR, STLR and barriers: a spin lock's way in and out without contention.
pub fn acqrel(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X1, DATA);
    a.mov_imm(X2, DATA + 64);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.ldar(X3, X1);
        a.add_imm(X3, X3, 5);
        a.str(X3, Addr::Off(X2, 0));
        a.dmb(Barrier::Ishst);
        a.stlr(X3, X1);
        a.dmb(Barrier::Ish);
        a.ldr(X4, Addr::Off(X2, 0));
        a.dmb(Barrier::Ishld);
        a.eor(X0, X4, X0, 1);
    });
}

/// The same in Rust.
pub fn acqrel_model(repeats: u64) -> u64 {
    (1..=repeats).fold(0, |sum, n| (5 * n) ^ sum << 1)
}
