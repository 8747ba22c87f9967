//! Calls whose returns are not what they seem: callees that change the floating-point mode, a million frames, frames left behind, code that is
//! rewritten while returns to it are pending, and callees that fault or come back elsewhere.

use crate::guest::*;
use crate::words::Words;
use emu_a64_asm::*;
use emu_test_kit::Rng;

/// The stack of the deep recursions grows down from here.
const DEEP_STACK: u64 = RAM + (224 << 20);

/// FPCR fields.
const RMODE: u32 = 22;
const FZ: u64 = 1 << 24;
const DN: u64 = 1 << 25;

/// Operands: what is added or multiplied, and what comes of it under an FPCR. Each result differs between modes.
fn results(fpcr: u64) -> [u64; 5] {
    let rmode = fpcr >> RMODE & 3;
    let up = 1.0f64.next_up().to_bits();
    let one = 1.0f64.to_bits();
    let minus = 1 << 63;
    [
        // 1 + 3/4 ulp: to nearest and up.
        if rmode <= 1 { up } else { one },
        // Its negative: to nearest and down.
        if rmode & 1 == 0 { up | minus } else { one | minus },
        // 1 + 1/4 ulp: up only.
        if rmode == 1 { up } else { one },
        // A denormal number, flushed by FZ.
        if fpcr & FZ != 0 { 0 } else { 3 },
        // A NaN, replaced by DN.
        if fpcr & DN != 0 { 0x7ff8_0000_0000_0000 } else { 0x7ff8_0000_0000_1234 },
    ]
}

/// The callee changes FPCR, directly, two calls deep or in an exception handler; the caller computes before and behind the call, in one
/// stretch of code. The guest complains when a result is of the wrong mode.
pub fn assemble_modes(rounds: u64, seed: u64) -> Vec<u8> {
    const ROWS: u64 = 256;
    let mut rng = Rng::new(seed);
    assemble(1, |g| {
        let (direct, deeper, handler, table, over) = (g.a.label(), g.a.label(), g.a.label(), g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        let a = &mut g.a;
        a.b(over);
        a.bind(direct);
        a.msr(SysReg::FPCR, X1);
        a.ret();
        a.bind(deeper);
        a.stp(X29, X30, Addr::Pre(SP, -16));
        a.bl(direct);
        a.ldp(X29, X30, Addr::Post(SP, 16));
        a.ret();
        a.bind(handler);
        a.msr(SysReg::FPCR, X1);
        a.eret();
        a.align(8);
        a.bind(table);
        for _ in 0..ROWS {
            let [fz, dn] = [FZ, DN].map(|bit| if rng.one_in(2) { bit } else { 0 });
            let fpcr = rng.below(4) << RMODE | fz | dn;
            a.quad(fpcr);
            results(fpcr).into_iter().for_each(|r| a.quad(r));
        }
        a.bind(over);
        let ulp = 2.0f64.powi(-52);
        let [denormal, nan] = [3, 0x7ff8_0000_0000_1234].map(f64::from_bits);
        for (n, constant) in [1.0, 0.75 * ulp, 0.25 * ulp, denormal, nan, -1.0, -0.75 * ulp].map(f64::to_bits).into_iter().enumerate() {
            a.mov_imm(X0, constant);
            a.fmov_from(VReg(n as u8), X0);
        }
        a.load_address(X24, direct);
        a.mov_imm(X20, rounds.div_ceil(ROWS));
        let again = a.here();
        a.load_address(X21, table);
        a.mov_imm(X22, ROWS);
        let row = a.here();
        a.ldr(X1, Addr::Post(X21, 8));
        // In the mode before: nothing is asked of it, but that it is not taken for the one behind the call.
        a.fadd_d(VReg(16), VReg(0), VReg(1));
        a.fmul_d(VReg(17), VReg(3), VReg(0));
        a.and_imm(X2, X22, 3);
        let back = a.label();
        for way in 0..4 {
            let next = a.label();
            if way < 3 {
                a.cmp_imm(X2, way);
                a.b_cond(Cond::Ne, next);
            }
            match way {
                0 => a.bl(direct),
                1 => a.bl(deeper),
                2 => a.blr(X24),
                _ => a.svc(0),
            }
            // Right behind the call, where a prediction leads.
            a.fadd_d(VReg(16), VReg(0), VReg(1));
            a.fadd_d(VReg(17), VReg(5), VReg(6));
            a.fadd_d(VReg(18), VReg(0), VReg(2));
            a.fmul_d(VReg(19), VReg(3), VReg(0));
            a.fadd_d(VReg(20), VReg(4), VReg(0));
            a.b(back);
            a.bind(next);
        }
        a.bind(back);
        for n in 0..5 {
            g.a.ldr(X5, Addr::Post(X21, 8));
            g.a.fmov_to(X6, VReg(16 + n));
            g.expect_eq(&format!("result {n} of the wrong mode: found, expected"), X6, X5);
        }
        let a = &mut g.a;
        a.subs_imm(X22, X22, 1);
        a.b_cond(Cond::Ne, row);
        a.subs_imm(X20, X20, 1);
        a.b_cond(Cond::Ne, again);
        a.msr(SysReg::FPCR, XZR);
    })
}

/// What the recursions add up to, and how often they are left.
#[derive(Clone, Copy, Debug)]
pub struct Depths {
    /// Frames of the deepest recursion.
    pub deep: u64,
    /// Times that frames are left behind.
    pub jumps: u64,
    /// Frames under which code is rewritten, and how often.
    pub rewritten: (u64, u64),
}

/// Recursion: `deep` frames, from two places; a jump out of 1 to 64 frames, `jumps` times; and a rewritten return point under many frames.
/// The guest prints a sum for each.
pub fn assemble_recursion(depths: Depths) -> Vec<u8> {
    assemble(1, |g| {
        let (f, throw, patched, over) = (g.a.label(), g.a.label(), g.a.label(), g.a.label());
        let site = g.a.label();
        g.a.b(over);
        recursive(g, f);
        throwing(g, throw);
        rewriting(g, patched, site);
        let a = &mut g.a;
        a.bind(over);
        a.mov_imm(X0, DEEP_STACK);
        a.mov_sp(SP, X0);
        a.mov_imm(X0, depths.deep);
        a.bl(f);
        a.mov(X5, X0);
        g.line("deep", &[X5]);
        // Frames left behind: x24 the stack to come back to, x25 the place.
        let caught = g.a.label();
        let a = &mut g.a;
        a.mov_sp(X24, SP);
        a.load_address(X25, caught);
        a.mov(X26, XZR);
        a.mov_imm(X20, depths.jumps);
        let again = a.here();
        a.and_imm(X0, X20, 63);
        a.bl(throw);
        a.brk(0);
        a.bind(caught);
        a.add(X26, X26, X0, 0);
        // Ordinary calls still come back.
        a.movz(X0, 3, 0);
        a.bl(f);
        a.add(X26, X26, X0, 0);
        a.subs_imm(X20, X20, 1);
        a.b_cond(Cond::Ne, again);
        g.line("jumps", &[X26]);
        // The instruction at `site` adds 1 on the first way, then 3, 5 and so on.
        let a = &mut g.a;
        a.mov(X26, XZR);
        a.movz(X27, 1, 0);
        a.load_address(X24, site);
        a.mov_imm(X20, depths.rewritten.1);
        let again = a.here();
        a.mov_imm(X0, depths.rewritten.0);
        a.bl(patched);
        a.add(X26, X26, X0, 0);
        a.subs_imm(X20, X20, 1);
        a.b_cond(Cond::Ne, again);
        g.line("rewritten", &[X26]);
    })
}

/// What the three sums must be.
pub fn sums(depths: Depths) -> [u64; 3] {
    // A frame with an odd count adds 1, one with an even count 2.
    let deep = |n: u64| n.div_ceil(2) + 2 * (n / 2);
    let jumps = (1..=depths.jumps).map(|n| 3 * (n & 63) + 7 + deep(3)).sum();
    let (frames, times) = depths.rewritten;
    let rewritten = (0..times).map(|n| frames * (2 * n + 1)).sum();
    [deep(depths.deep), jumps, rewritten]
}

/// x0 becomes a sum over x0 frames; there are two places to return to.
fn recursive(g: &mut Guest, f: Label) {
    let a = &mut g.a;
    let (even, out) = (a.label(), a.label());
    a.bind(f);
    a.stp(X29, X30, Addr::Pre(SP, -16));
    a.cbz(X0, out);
    a.tbz(X0, 0, even);
    a.sub_imm(X0, X0, 1);
    a.bl(f);
    a.add_imm(X0, X0, 1);
    a.b(out);
    a.bind(even);
    a.sub_imm(X0, X0, 1);
    a.bl(f);
    a.add_imm(X0, X0, 2);
    a.bind(out);
    a.ldp(X29, X30, Addr::Post(SP, 16));
    a.ret();
}

/// Goes down x0 frames, then back to the stack in x24 and the place in x25, with 3 for each frame and 7.
fn throwing(g: &mut Guest, throw: Label) {
    let a = &mut g.a;
    let bottom = a.label();
    a.mov(X1, XZR);
    a.bind(throw);
    a.mov(X1, XZR);
    let inner = a.here();
    a.stp(X29, X30, Addr::Pre(SP, -16));
    a.cbz(X0, bottom);
    a.sub_imm(X0, X0, 1);
    a.add_imm(X1, X1, 3);
    a.bl(inner);
    // Nobody comes back here.
    a.brk(1);
    a.bind(bottom);
    a.add_imm(X0, X1, 7);
    a.mov_sp(SP, X24);
    a.br(X25);
}

/// x0 frames deep, writes ADD x0, x0, #x27 to `site`, in x24, to which each frame returns; x27 goes on to the next odd number.
fn rewriting(g: &mut Guest, patched: Label, site: Label) {
    let a = &mut g.a;
    let bottom = a.label();
    a.bind(patched);
    a.stp(X29, X30, Addr::Pre(SP, -16));
    a.cbz(X0, bottom);
    a.sub_imm(X0, X0, 1);
    a.bl(patched);
    a.bind(site);
    a.udf(0);
    a.ldp(X29, X30, Addr::Post(SP, 16));
    a.ret();
    a.bind(bottom);
    a.mov_imm(X1, 0x9100_0000);
    a.add(X1, X1, X27, 10);
    a.str(W1, Addr::Off(X24, 0));
    a.dc_cvau(X24);
    a.dsb(Barrier::Ish);
    a.ic_ivau(X24);
    a.dsb(Barrier::Ish);
    a.isb();
    a.add_imm(X27, X27, 2);
    a.mov(X0, XZR);
    a.ldp(X29, X30, Addr::Post(SP, 16));
    a.ret();
}

/// Not mapped.
const NOWHERE: u64 = 16 << 30;
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Two places call a function of the same page, which may call another: it returns at once, or with the flags of somebody else, or an instruction
/// further on than it was called, and a load in it may fault. The guest prints a sum of what came back and of the flags, and the faults.
pub fn assemble_callees(rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (f, leaf, over, handler) = (g.a.label(), g.a.label(), g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        let a = &mut g.a;
        a.b(over);
        // x24 is nowhere; x27 counts faults.
        a.bind(handler);
        a.mrs(X3, SysReg::ELR_EL1);
        a.add_imm(X3, X3, 4);
        a.msr(SysReg::ELR_EL1, X3);
        a.add_imm(X27, X27, 1);
        a.eret();
        a.bind(leaf);
        a.subs_imm(X0, X0, 50);
        a.ret();
        let (out, even, on) = (a.label(), a.label(), a.label());
        a.bind(f);
        a.stp(X29, X30, Addr::Pre(SP, -16));
        a.cmp_imm(X0, 100);
        a.b_cond(Cond::Lo, out);
        a.tbz(X0, 0, even);
        a.sub_imm(X0, X0, 100);
        a.bl(leaf);
        a.b(out);
        a.bind(even);
        a.tbz(X0, 1, out);
        a.ldr(X2, Addr::Off(X24, 0));
        a.bind(out);
        a.ldp(X29, X30, Addr::Post(SP, 16));
        a.tbz(X0, 3, on);
        a.add_imm(X30, X30, 4);
        a.bind(on);
        a.ret();
        a.bind(over);
        a.mov_imm(X24, NOWHERE);
        a.mov_imm(X23, STEP);
        a.movz(X25, 1, 0);
        for r in [X20, X26, X27] {
            a.mov(r, XZR);
        }
        a.mov_imm(X22, rounds);
        let again = a.here();
        a.add(X20, X20, X23, 0);
        for lsb in [40, 56] {
            a.ubfx(X0, X20, lsb, 8);
            a.bl(f);
            a.add_imm(X26, X26, 1);
            for (shift, cond) in [Cond::Lo, Cond::Eq, Cond::Mi].into_iter().enumerate() {
                a.csel(X1, X25, XZR, cond);
                a.add(X26, X26, X1, 1 + shift as u32);
            }
            a.add(X26, X26, X0, 4);
        }
        a.sub_imm(X22, X22, 1);
        a.cbnz(X22, again);
        g.line("callees", &[X26, X27]);
    })
}

/// What it prints.
pub fn sum_and_faults(rounds: u64) -> [u64; 2] {
    let (mut seed, mut sum, mut faults) = (0u64, 0u64, 0);
    for _ in 0..rounds {
        seed = seed.wrapping_add(STEP);
        for lsb in [40, 56] {
            let x = seed >> lsb & 255;
            let (a, b) = if x >= 100 && x & 1 == 1 { (x - 100, 50) } else { (x, 100) };
            let result = if b == 50 { a.wrapping_sub(b) } else { a };
            faults += u64::from(x >= 100 && x & 3 == 2);
            let flags = u64::from(a < b) << 1 | u64::from(a == b) << 2 | (a.wrapping_sub(b) >> 63) << 3;
            sum = sum.wrapping_add(1 - (result >> 3 & 1)).wrapping_add(flags).wrapping_add(result << 4);
        }
    }
    [sum, faults]
}

/// A function that is run a lot calls another in its middle, which may fault before anything else, and may come back with a stack pointer that is
/// not aligned: what uses that faults then. The handler adds up how far the return address (x30) is from the fault, and moves it on for some
/// arguments. The guest prints a sum, the faults, and the sum of the distances.
pub fn assemble_misaligned(rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (f, leaf, over, handler) = (g.a.label(), g.a.label(), g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        let a = &mut g.a;
        a.b(over);
        // x24 is nowhere; x27 counts faults, x25 adds distances.
        let stays = a.label();
        a.bind(handler);
        a.mrs(X3, SysReg::ELR_EL1);
        a.sub(X1, X30, X3, 0);
        a.add(X25, X25, X1, 0);
        a.add_imm(X3, X3, 4);
        a.msr(SysReg::ELR_EL1, X3);
        a.add_imm(X27, X27, 1);
        a.tbz(X0, 1, stays);
        a.add_imm(X30, X30, 4);
        a.bind(stays);
        a.eret();
        let (whole, straight) = (a.label(), a.label());
        a.bind(leaf);
        a.tbz(X0, 0, whole);
        a.ldr(X2, Addr::Off(X24, 0));
        a.bind(whole);
        a.tbz(X0, 2, straight);
        a.add_imm(SP, SP, 8);
        a.bind(straight);
        a.ret();
        let aligned = a.label();
        a.bind(f);
        a.stp(X29, X30, Addr::Pre(SP, -16));
        a.str(X0, Addr::Off(SP, 0));
        a.bl(leaf);
        a.add_imm(X26, X26, 1);
        a.str(X0, Addr::Off(SP, 0));
        a.tbz(X0, 2, aligned);
        a.sub_imm(SP, SP, 8);
        a.bind(aligned);
        a.ldp(X29, X30, Addr::Post(SP, 16));
        a.ret();
        a.bind(over);
        a.mov_imm(X24, NOWHERE);
        a.mov_imm(X23, STEP);
        for r in [X20, X26, X27, X25] {
            a.mov(r, XZR);
        }
        a.mov_imm(X22, rounds);
        let again = a.here();
        a.add(X20, X20, X23, 0);
        for lsb in [40, 56] {
            a.ubfx(X0, X20, lsb, 8);
            a.bl(f);
            a.add(X26, X26, X0, 4);
        }
        a.sub_imm(X22, X22, 1);
        a.cbnz(X22, again);
        g.line("misaligned", &[X26, X27, X25]);
    })
}

/// What it prints.
pub fn misaligned(rounds: u64) -> [u64; 3] {
    let (mut seed, mut sum, mut faults, mut distances) = (0u64, 0u64, 0, 0u64);
    for _ in 0..rounds {
        seed = seed.wrapping_add(STEP);
        for lsb in [40, 56] {
            let x = seed >> lsb & 255;
            let (loads, moves, misaligns) = (x & 1 != 0, x >> 1 & 1 != 0, x >> 2 & 1 != 0);
            // From the load to behind the call, and from there to the store.
            distances = distances.wrapping_add(if loads { 28 } else { 0 });
            let skips = loads && moves;
            if misaligns {
                distances = distances.wrapping_sub(if skips { 0 } else { 4 });
            }
            faults += u64::from(loads) + u64::from(misaligns);
            sum = sum.wrapping_add(u64::from(!skips)).wrapping_add(x << 4);
        }
    }
    [sum, faults, distances]
}

/// One jump goes to four places, with and without a tag in the address (TCR_EL1.TBI0); each adds the address that it finds itself at. The guest prints
/// the sum, and the address of the first place, which are 64 bytes each.
pub fn assemble_tagged_jumps(rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (places, back, over) = (g.a.label(), g.a.label(), g.a.label());
        let a = &mut g.a;
        a.b(over);
        a.align(64);
        a.bind(places);
        for n in 0..4 {
            let here = a.label();
            a.bind(here);
            a.adr(X1, here);
            a.add(X26, X26, X1, n);
            a.b(back);
            a.align(64);
        }
        a.bind(over);
        a.mov_imm(X0, TCR | 1 << 37);
        a.msr(SysReg::TCR_EL1, X0);
        a.isb();
        a.load_address(X24, places);
        a.mov_imm(X23, STEP);
        for r in [X20, X26] {
            a.mov(r, XZR);
        }
        a.mov_imm(X22, rounds);
        let again = a.here();
        a.add(X20, X20, X23, 0);
        // A place, and in half of the rounds a tag.
        a.ubfx(X1, X20, 40, 2);
        a.add(X0, X24, X1, 6);
        a.ubfx(X1, X20, 50, 8);
        a.ubfx(X2, X20, 60, 1);
        a.mul(X1, X1, X2);
        a.add(X0, X0, X1, 56);
        a.br(X0);
        a.bind(back);
        a.sub_imm(X22, X22, 1);
        a.cbnz(X22, again);
        g.line("jumps", &[X26, X24]);
    })
}

/// The sum, by the address of the first place.
pub fn sum_of_tagged_jumps(rounds: u64, first: u64) -> u64 {
    let places = (1..=rounds).map(|n| n.wrapping_mul(STEP) >> 40 & 3);
    places.fold(0, |sum, place| sum.wrapping_add(first + 64 * place << place))
}
