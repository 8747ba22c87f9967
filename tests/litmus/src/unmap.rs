//! One CPU takes a page away that another reads and writes all the time: TLBI, DSB, then it fills the page with something else. From the
//! end of the DSB on, no store of the other CPU may reach the page, and no load may see what is in it now.

use crate::guest::{descriptor as d, *};
use crate::words::{ACQ_REL, RELAXED, Words};
use emu_a64_asm::*;

/// How the page is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taking {
    /// TLBI VAE1IS.
    Vae1is,
    /// TLBI VALE1IS.
    Vale1is,
    /// TLBI VAAE1IS.
    Vaae1is,
    /// TLBI ASIDE1IS.
    Aside1is,
    /// TLBI VMALLE1IS.
    Vmalle1is,
    /// TLBI RVAE1IS of two pages.
    Rvae1is,
    /// TLBI VAE1IS of a block of 2 MiB, by an address in its middle.
    Block,
    /// The page becomes read-only, TLBI VAE1IS.
    ReadOnly,
}

/// All of them.
pub const TAKINGS: [Taking; 8] = {
    use Taking::*;
    [Vae1is, Vale1is, Vaae1is, Aside1is, Vmalle1is, Rvae1is, Block, ReadOnly]
};

/// The page, virtually, and the block.
const PAGE_VA: u64 = (4 << 30) + 0x5000;
const BLOCK_VA: u64 = (4 << 30) + (6 << 20);
/// What is behind them in turn.
const FRAMES: [u64; 2] = [DATA + 0x20_0000, DATA + 0x40_0000];
/// Bytes at its beginning that are used.
const USED: u64 = 512;

const LEVEL1: u64 = TABLES + 0x3_0000;
const LEVEL2: u64 = LEVEL1 + 0x1000;
const LEVEL3: u64 = LEVEL2 + 0x1000;
const ASID: u64 = 7;

/// Chunks that the accessing CPU has done; the end.
const PROGRESS: u64 = OWN;
const STOP: u64 = OWN + 0x100;

/// What the page holds while it is mapped, and while it is not.
const GOOD: u64 = 0x600d_600d_600d_600d;
const FOREIGN: u64 = 0xdead_0bad_dead_0bad;

/// Accesses of one kind in a row.
const CHUNK: u64 = 64;

fn entry(how: Taking) -> u64 {
    if how == Taking::Block { LEVEL2 + (BLOCK_VA >> 21 & 511) * 8 } else { LEVEL3 + (PAGE_VA >> 12 & 511) * 8 }
}

fn address(how: Taking) -> u64 {
    if how == Taking::Block { BLOCK_VA } else { PAGE_VA }
}

/// How often each way is tried: the first one four times as often as the others.
pub fn times(how: Taking, rounds: u64) -> u64 {
    if how == Taking::Vae1is { rounds } else { rounds.div_ceil(4) }
}

/// The guest: `rounds` times in the first way. It prints, for each, how often the page was missed.
pub fn assemble_unmap(rounds: u64) -> Vec<u8> {
    assemble(2, |g| {
        let (handler, over) = (g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        g.a.b(over);
        missing(g, handler);
        g.a.bind(over);
        g.only(0, |g| {
            g.put(LEVEL1, d::BLOCK | d::DEVICE | d::PXN | d::UXN);
            g.put(LEVEL1 + 8, RAM | d::BLOCK | d::NORMAL);
            g.put(LEVEL1 + 8 * 4, LEVEL2 | d::PAGE);
            g.put(LEVEL2, LEVEL3 | d::PAGE);
        });
        g.barrier();
        let a = &mut g.a;
        a.mov_imm(X0, LEVEL1 | ASID << 48);
        a.msr(SysReg::TTBR0_EL1, X0);
        a.isb();
        a.mov(X26, XZR);
        for how in TAKINGS {
            g.only(0, |g| {
                FRAMES.iter().for_each(|f| g.fill(*f, USED, GOOD));
                g.put(STOP, 0);
                g.put(entry(how), FRAMES[0] | leaf(how));
                g.a.dsb(Barrier::Ish);
            });
            g.a.isb();
            g.barrier();
            g.only(0, |g| take_away(g, how, times(how, rounds)));
            g.only(1, |g| accesses(g, how));
            g.barrier();
            g.only(1, |g| {
                g.line(&format!("{how:?}"), &[X24]);
            });
            g.barrier();
        }
    })
}

fn leaf(how: Taking) -> u64 {
    let kind = if how == Taking::Block { d::BLOCK } else { d::PAGE };
    kind | d::NORMAL | d::NOT_GLOBAL | d::PXN | d::UXN
}

/// The other CPU found the page missing: it waits until it is there again.
fn missing(g: &mut Guest, handler: Label) {
    g.a.bind(handler);
    g.a.mrs(X13, SysReg::ESR_EL1);
    g.a.mrs(X14, SysReg::FAR_EL1);
    g.a.lsr(X15, X13, 26);
    g.a.cmp_imm(X15, 0x25);
    g.expect(Cond::Eq, "exception: ESR, FAR", X13, X14);
    let good = g.a.label();
    let a = &mut g.a;
    // DFSC: a translation or permission fault of level 2 or 3.
    a.and_imm(X15, X13, 0x3e);
    a.cmp_imm(X15, 0x06);
    a.b_cond(Cond::Eq, good);
    a.cmp_imm(X15, 0x0e);
    g.expect(Cond::Eq, "fault: ESR, FAR", X13, X14);
    let a = &mut g.a;
    a.bind(good);
    a.add_imm(X24, X24, 1);
    let wait = a.here();
    a.ldar(X15, X23);
    a.tbz(X15, 0, wait);
    a.tbnz(X15, d::READ_ONLY.trailing_zeros(), wait);
    a.eret();
}

fn take_away(g: &mut Guest, how: Taking, rounds: u64) {
    let a = &mut g.a;
    a.mov_imm(X20, FRAMES[0]);
    a.mov_imm(X21, FRAMES[1]);
    a.mov_imm(X22, entry(how));
    g.repeat(X25, rounds, |g| {
        let a = &mut g.a;
        // The other CPU gets on, if the host lets it.
        a.mov_imm(X3, PROGRESS);
        a.ldr(X4, Addr::Off(X3, 0));
        a.mov_imm(X5, 1_000_000);
        let (look, on) = (a.here(), a.label());
        a.ldr(X6, Addr::Off(X3, 0));
        a.cmp(X6, X4);
        a.b_cond(Cond::Ne, on);
        a.subs_imm(X5, X5, 1);
        a.b_cond(Cond::Ne, look);
        a.bind(on);
        random(a, 8);
        spin(a);
        if how == Taking::ReadOnly {
            a.mov_imm(X1, leaf(how) | d::READ_ONLY);
            a.orr(X1, X1, X20, 0);
            a.str(X1, Addr::Off(X22, 0));
        } else {
            a.str(XZR, Addr::Off(X22, 0));
        }
        a.dsb(Barrier::Ishst);
        invalidate(a, how);
        a.dsb(Barrier::Ish);
        a.isb();
        fill_frame(a, FOREIGN);
        random(a, 9);
        spin(a);
        a.mov(X3, X20);
        a.mov_imm(X4, USED / 8);
        a.mov_imm(X6, FOREIGN);
        let look = g.a.here();
        g.a.ldr(X5, Addr::Post(X3, 8));
        g.expect_eq(&format!("{how:?}: a store came behind the DSB: found, expected"), X5, X6);
        g.a.subs_imm(X4, X4, 1);
        g.a.b_cond(Cond::Ne, look);
        let a = &mut g.a;
        fill_frame(a, GOOD);
        a.mov(X1, X20);
        a.mov(X20, X21);
        a.mov(X21, X1);
        if how == Taking::ReadOnly {
            // A change of the output address needs break before make: the page stays where it is.
            a.mov(X21, X20);
            a.mov(X20, X1);
        }
        a.mov_imm(X1, leaf(how));
        a.orr(X1, X1, X20, 0);
        a.dsb(Barrier::Ish);
        a.str(X1, Addr::Off(X22, 0));
        a.dsb(Barrier::Ishst);
        if how == Taking::ReadOnly {
            // The read-only translation may still be cached.
            invalidate(a, how);
            a.dsb(Barrier::Ish);
        }
        a.isb();
    });
    g.put(STOP, 1);
}

/// Fills the frame in x20.
fn fill_frame(a: &mut Asm, value: u64) {
    a.mov(X3, X20);
    a.mov_imm(X4, USED / 16);
    a.mov_imm(X5, value);
    let again = a.here();
    a.stp(X5, X5, Addr::Post(X3, 16));
    a.subs_imm(X4, X4, 1);
    a.b_cond(Cond::Ne, again);
}

fn invalidate(a: &mut Asm, how: Taking) {
    let operand = |va: u64| va >> 12 | ASID << 48;
    match how {
        Taking::Vae1is | Taking::ReadOnly => {
            a.mov_imm(X1, operand(PAGE_VA));
            a.tlbi_vae1is(X1);
        }
        Taking::Vale1is => {
            a.mov_imm(X1, operand(PAGE_VA));
            a.sys(0, 8, 3, 5, X1);
        }
        Taking::Vaae1is => {
            a.mov_imm(X1, PAGE_VA >> 12);
            a.tlbi_vaae1is(X1);
        }
        Taking::Aside1is => {
            a.mov_imm(X1, ASID << 48);
            a.sys(0, 8, 3, 2, X1);
        }
        Taking::Vmalle1is => a.tlbi_vmalle1is(),
        Taking::Rvae1is => {
            // TG 4 KiB, SCALE and NUM 0: two pages from BaseADDR.
            a.mov_imm(X1, ASID << 48 | 1 << 46 | (PAGE_VA - 0x1000) >> 12);
            a.sys(0, 8, 2, 1, X1);
        }
        Taking::Block => {
            a.mov_imm(X1, operand(BLOCK_VA + (1 << 20)));
            a.tlbi_vae1is(X1);
        }
    }
}

/// Kinds of loops; `true` if they only store, which is what a read-only page can tell.
type Loop = (bool, fn(&mut Asm));

/// x10 is the page, x6 what is stored, x5 and x7 what was loaded; x11 and x12 are free.
const LOOPS: &[Loop] = &[
    (false, |a| {
        a.ldr(X5, Addr::Off(X10, 0));
        a.str(X6, Addr::Off(X10, 8));
        a.ldr(X7, Addr::Off(X10, 16));
        a.str(X6, Addr::Off(X10, 24));
    }),
    (true, |a| {
        a.str(X6, Addr::Off(X10, 0));
        a.str(X6, Addr::Off(X10, 256));
    }),
    (false, |a| {
        // A pointer that walks.
        a.ldr(X5, Addr::Scaled(X10, X20));
        a.ldr(X7, Addr::Off(X10, 504));
    }),
    (true, |a| a.str(X6, Addr::Scaled(X10, X20))),
    (false, |a| {
        a.ldp(X5, X7, Addr::Off(X10, 32));
        a.stp(X6, X6, Addr::Off(X10, 48));
    }),
    (false, |a| {
        a.ldr_q(VReg(1), Addr::Off(X10, 64));
        a.umov_d(X5, VReg(1), 0);
        a.umov_d(X7, VReg(1), 1);
        a.dup_2d(VReg(2), X6);
        a.str_q(VReg(2), Addr::Off(X10, 80));
    }),
    (true, |a| {
        a.dup_2d(VReg(2), X6);
        a.stp_q(VReg(2), VReg(2), Addr::Off(X10, 96));
        a.stp(X6, X6, Addr::Off(X10, 128));
        a.stlr(X6, X10);
    }),
    (false, |a| {
        a.ldar(X5, X10);
        a.stlr(X6, X10);
        a.add_imm(X11, X10, 8);
        a.ldadd_of(ACQ_REL, 3, XZR, X7, X11);
    }),
    (false, |a| {
        a.ldxr(X5, X10);
        a.stxr(W11, X6, X10);
        a.mov(X7, X6);
        a.cas(RELAXED, 3, X7, X6, X10);
    }),
    (false, |a| {
        a.add_imm(X11, X10, 40);
        a.swp(RELAXED, 3, X6, X5, X11);
        a.ldapr(3, X7, X11);
    }),
];

fn accesses(g: &mut Guest, how: Taking) {
    let a = &mut g.a;
    a.mov_imm(X10, address(how));
    a.mov_imm(X23, entry(how));
    a.mov(X24, XZR);
    a.mov_imm(X6, GOOD);
    a.mov_imm(X22, FOREIGN);
    a.mov(X5, X6);
    a.mov(X7, X6);
    let again = a.here();
    for (_, body) in LOOPS.iter().filter(|l| l.0 || how != Taking::ReadOnly) {
        let bad = g.a.label();
        let over = g.a.label();
        let a = &mut g.a;
        a.mov_imm(X20, CHUNK);
        let next = a.here();
        a.subs_imm(X20, X20, 1);
        body(a);
        a.cmp(X5, X22);
        a.b_cond(Cond::Eq, bad);
        a.cmp(X7, X22);
        a.b_cond(Cond::Eq, bad);
        a.cbnz(X20, next);
        a.mov_imm(X11, PROGRESS);
        a.ldr(X12, Addr::Off(X11, 0));
        a.add_imm(X12, X12, 1);
        a.str(X12, Addr::Off(X11, 0));
        a.b(over);
        a.bind(bad);
        g.fail(&format!("{how:?}: a load came behind the DSB: loaded"), X5, X7);
        g.a.bind(over);
    }
    g.get(X11, STOP);
    g.a.cbz(X11, again);
}
