//! Code that changes, and code that is run for the first time.

use crate::guest::*;
use emu_a64_asm::*;

/// `MOVZ x1, #0`.
const MOVZ_X1: u64 = 0xd280_0001;
/// `ADD x0, x0, x1`.
const ADD_X0: u64 = 0x8b01_0000;
const RET: u64 = 0xd65f_03c0;

/// Cache maintenance of the line at x2, as the manual wants it between writing code and running it.
fn maintain_line(a: &mut Asm) {
    a.dc_cvau(X2);
    a.dsb(Barrier::Ish);
    a.ic_ivau(X2);
    a.dsb(Barrier::Ish);
    a.isb();
}

/// Patches the constant of a small function, cleans and invalidates the caches, and calls it four times.
pub fn smc(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X2, DATA);
    a.mov_imm(X3, ADD_X0 << 32 | MOVZ_X1);
    a.mov_imm(X4, RET);
    a.stp(X3, X4, Addr::Off(X2, 0));
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.and_imm(X5, X10, 0xffff);
        a.add(W5, W3, W5, 5);
        a.str(W5, Addr::Off(X2, 0));
        maintain_line(a);
        for _ in 0..4 {
            a.blr(X2);
        }
    });
}

/// Four times the constant, each time.
pub fn smc_model(repeats: u64) -> u64 {
    (1..=repeats).map(|n| 4 * (n & 0xffff)).sum()
}

const PAGE: u64 = 4096;
/// Pages of fresh code before the first is written again.
const FRESH: u64 = 1 << 14;

/// A page of code of about seven instructions a block: arithmetic, loads, stores, and branches of which some are taken.
fn template(a: &mut Asm) {
    let from = a.offset();
    let end = from + PAGE as usize;
    // Patched: the page's number.
    a.movz(X1, 0, 0);
    let mut state = 61u64;
    let mut choose = |n: u64| {
        state = random(state);
        (state >> 33) % n
    };
    while a.offset() + 10 * 4 < end {
        let r = Reg::x;
        for _ in 0..3 + choose(4) {
            let (d, n, m) = (r(choose(8) as u8), r(choose(8) as u8), r(choose(8) as u8));
            let slot = 8 * choose(64) as i32;
            match choose(9) {
                0 => a.add(d, n, m, choose(8) as u32),
                1 => a.eor(d, n, m, 0),
                2 => a.sub_imm(d, n, choose(4096) as u32),
                3 => a.ldr(d, Addr::Off(X9, slot)),
                4 => a.str(d, Addr::Off(X9, slot)),
                5 => a.madd(d, n, m, d),
                6 => a.ubfx(d, n, choose(16) as u32, 20),
                7 => a.csel(d, n, m, Cond::Lt),
                _ => a.and_imm(d, n, 0x00ff_ff00),
            }
        }
        let (skip, test) = (a.label(), r(choose(8) as u8));
        match choose(4) {
            0 => a.cbz(test, skip),
            1 => a.tbz(test, choose(32) as u32, skip),
            2 => {
                a.cmp(test, X1);
                a.b_cond(Cond::Hi, skip);
            }
            _ => a.b(skip),
        }
        a.add_imm(X8, X8, 1);
        a.bind(skip);
    }
    while a.offset() + 4 < end {
        a.nop();
    }
    a.ret();
}

/// Writes a page of code to a fresh place, and runs it once.
pub fn fresh(a: &mut Asm, _: Frame, repeats: u64) {
    let (start, page) = (a.label(), a.label());
    a.b(start);
    a.align(64);
    a.bind(page);
    template(a);
    a.bind(start);
    a.mov_imm(X9, DATA);
    a.load_address(X20, page);
    a.mov_imm(X21, BULK);
    for n in 0..9 {
        a.movz(Reg::x(n), n.into(), 0);
    }
    a.mov(X22, XZR);
    repeat(a, X10, repeats, |a| {
        a.and_imm(X11, X10, FRESH - 1);
        a.add(X11, X21, X11, 12);
        a.mov(X12, X20);
        a.mov(X13, X11);
        repeat(a, X14, PAGE / 32, |a| {
            a.ldp_q(VReg(0), VReg(1), Addr::Post(X12, 32));
            a.stp_q(VReg(0), VReg(1), Addr::Post(X13, 32));
        });
        a.ldr(W12, Addr::Off(X11, 0));
        a.bfi(W12, W10, 5, 16);
        a.str(W12, Addr::Off(X11, 0));
        for maintain in [Asm::dc_cvau, Asm::ic_ivau] {
            a.mov(X13, X11);
            repeat(a, X14, PAGE / 64, |a| {
                maintain(a, X13);
                a.add_imm(X13, X13, 64);
            });
            a.dsb(Barrier::Ish);
        }
        a.isb();
        a.blr(X11);
        a.ror(X22, X22, 1);
        for n in 0..9 {
            a.add(X22, X22, Reg::x(n), 0);
        }
    });
    a.mov(X0, X22);
}
