//! Addresses without a translation, and translations without end.

use crate::guest::{descriptor as d, *};
use crate::words::{ACQ_REL, RELAXED, Words};
use emu_a64_asm::*;
use emu_test_kit::Rng;

/// A shape of the address space.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// TCR_EL1.T0SZ.
    pub t0sz: u64,
    /// TCR_EL1.TBI0 and TBI1.
    pub tbi: bool,
    /// TTBR1_EL1 is walked too (and holds nothing).
    pub upper: bool,
}

const fn space(t0sz: u64, tbi: bool, upper: bool) -> Space {
    Space { t0sz, tbi, upper }
}

/// All that are tried: 52 bits (with TCR_EL1.DS) down to 31.
pub const SPACES: &[Space] = &[
    space(12, false, true),
    space(16, false, false),
    space(16, true, true),
    space(17, false, true),
    space(20, true, false),
    space(24, false, false),
    space(25, false, true),
    space(25, true, false),
    space(28, false, true),
    space(32, false, false),
    space(32, true, true),
    space(33, false, true),
];

/// Tables: level -1, level 0, level 1 and an empty one.
const MINUS1: u64 = TABLES + 0x2_0000;
const LEVEL0: u64 = MINUS1 + 0x1000;
const LEVEL1: u64 = LEVEL0 + 0x1000;
const EMPTY: u64 = LEVEL1 + 0x1000;

/// RAM that wild addresses reach when bits of them are dropped: it must stay as it is.
const CANARY: u64 = DATA;
const CANARY_LEN: u64 = 4 << 20;
const CANARY_VALUE: u64 = 0x5a17_c0de_5a17_c0de;

/// What registers hold that a faulting load must not change.
const SENTINEL: u64 = 0x0123_4567_89ab_cdef;

const TBI: u64 = 3 << 37;
const DS: u64 = 1 << 59;

/// Addresses that have no translation: all bits random, few bits, and RAM's own with bits added above.
fn addresses(space: Space, n: usize, rng: &mut Rng) -> Vec<u64> {
    let mut out = Vec::new();
    while out.len() < n {
        let ram = CANARY + rng.below(CANARY_LEN);
        let shift = 31 + rng.below(33) as u32;
        let va = match rng.below(6) {
            0 => rng.u64(),
            1 => rng.u64() >> rng.below(40),
            2 => (rng.u64() as i64 >> rng.below(40)) as u64,
            3 => ram | rng.u64() << shift,
            4 => ram ^ 1 << shift,
            _ => ram.wrapping_sub(1 << shift),
        };
        // With tags ignored, the top byte is that of bit 55. Both GiB at the bottom have translations: nothing here may reach into them.
        let seen = if space.tbi { ((va << 8) as i64 >> 8) as u64 } else { va };
        if (0x8000_0000..u64::MAX - 4096).contains(&seen) {
            out.push(va);
        }
    }
    out
}

/// An instruction that must fault.
struct Attempt {
    name: &'static str,
    /// At an address of any alignment.
    any: bool,
    /// ESR_EL1.WnR, where that is not open.
    write: Option<bool>,
    emit: fn(&mut Asm, Reg),
}

const fn attempt(name: &'static str, any: bool, write: Option<bool>, emit: fn(&mut Asm, Reg)) -> Attempt {
    Attempt { name, any, write, emit }
}

const READ: Option<bool> = Some(false);
const WRITE: Option<bool> = Some(true);

/// The address is in a register; x2 and x3 are the data.
const ATTEMPTS: &[Attempt] = &[
    attempt("ldrb", true, READ, |a, at| a.ldrb(W2, Addr::Off(at, 0))),
    attempt("ldrh", true, READ, |a, at| a.ldrh(W2, Addr::Off(at, 0))),
    attempt("ldr w", true, READ, |a, at| a.ldr(W2, Addr::Off(at, 0))),
    attempt("ldr x", true, READ, |a, at| a.ldr(X2, Addr::Off(at, 0))),
    attempt("ldr x, post", true, READ, |a, at| a.ldr(X2, Addr::Post(at, 8))),
    attempt("ldr x, index", true, READ, |a, at| a.ldr(X2, Addr::Index(at, XZR))),
    attempt("ldp", true, READ, |a, at| a.ldp(X2, X3, Addr::Off(at, 0))),
    attempt("ldp, pre", true, READ, |a, at| a.ldp(X2, X3, Addr::Pre(at, 0))),
    attempt("ldr q", true, READ, |a, at| a.ldr_q(VReg(1), Addr::Off(at, 0))),
    attempt("ld1 of four", true, READ, |a, at| a.word(0x4c40_2000 | at.num() << 5)),
    attempt("ldtr", true, READ, |a, at| a.word(0xf840_0802 | at.num() << 5)),
    attempt("strb", true, WRITE, |a, at| a.strb(W2, Addr::Off(at, 0))),
    attempt("strh", true, WRITE, |a, at| a.strh(W2, Addr::Off(at, 0))),
    attempt("str w", true, WRITE, |a, at| a.str(W2, Addr::Off(at, 0))),
    attempt("str x", true, WRITE, |a, at| a.str(X2, Addr::Off(at, 0))),
    attempt("str x, post", true, WRITE, |a, at| a.str(X2, Addr::Post(at, 8))),
    attempt("stp", true, WRITE, |a, at| a.stp(X2, X3, Addr::Off(at, 0))),
    attempt("stp q", true, WRITE, |a, at| a.stp_q(VReg(0), VReg(1), Addr::Off(at, 0))),
    attempt("str q", true, WRITE, |a, at| a.str_q(VReg(1), Addr::Off(at, 0))),
    attempt("sttr", true, WRITE, |a, at| a.word(0xf800_0802 | at.num() << 5)),
    attempt("st1 of four", true, WRITE, |a, at| a.word(0x4c00_2000 | at.num() << 5)),
    attempt("ldar", false, READ, |a, at| a.ldar(X2, at)),
    attempt("ldapr", false, READ, |a, at| a.ldapr(3, X2, at)),
    attempt("stlr", false, WRITE, |a, at| a.stlr(X2, at)),
    attempt("ldxr", false, READ, |a, at| a.ldxr(X2, at)),
    attempt("ldaxp", false, READ, |a, at| a.ldaxp(X2, X3, at)),
    attempt("ldadd", false, None, |a, at| a.ldadd_of(RELAXED, 3, XZR, X2, at)),
    attempt("swpal b", false, None, |a, at| a.swp(ACQ_REL, 0, X3, X2, at)),
    attempt("cas", false, None, |a, at| a.cas(RELAXED, 2, X2, X3, at)),
    attempt("casp", false, None, |a, at| a.casp(ACQ_REL, X2, X4, at)),
    attempt("dc zva", false, WRITE, |a, at| a.dc_zva(at)),
];

/// The guest: `n` addresses in each space, and all attempts at each. It complains of an access that does not fault, of a wrong syndrome or
/// address, of a register that a load has changed, and of a changed canary.
pub fn assemble_wild(n: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    assemble(1, |g| {
        let (handler, over) = (g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        g.a.b(over);
        faults(g, handler);
        g.a.align(8);
        let tables: Vec<Label> = SPACES
            .iter()
            .map(|space| {
                let at = g.a.here();
                addresses(*space, n, &mut rng).into_iter().for_each(|va| g.a.quad(va));
                at
            })
            .collect();
        g.a.bind(over);
        g.put(MINUS1, LEVEL0 | d::PAGE);
        g.put(LEVEL0, LEVEL1 | d::PAGE);
        // Without shareability, whose bits are address bits with TCR_EL1.DS.
        g.put(LEVEL1, d::BLOCK | d::DEVICE | d::PXN | d::UXN);
        g.put(LEVEL1 + 8, RAM | d::BLOCK | d::NORMAL & !0x300);
        g.fill(CANARY, CANARY_LEN, CANARY_VALUE);
        for (space, table) in SPACES.iter().zip(tables) {
            enter(g, *space);
            tagged(g, *space);
            g.a.load_address(X20, table);
            g.a.mov(X24, XZR);
            g.repeat(X21, n as u64, |g| {
                g.a.ldr(X22, Addr::Post(X20, 8));
                g.a.and_imm(X23, X22, !63);
                ATTEMPTS.iter().for_each(|attempt| try_access(g, attempt, space.tbi));
                jumps(g, space.tbi);
            });
            check_canary(g);
            g.line(&format!("T0SZ {} TBI {} upper {}", space.t0sz, space.tbi, space.upper), &[X24]);
        }
    })
}

/// Faults that each address of a space must give.
pub fn faults_each() -> u64 {
    ATTEMPTS.len() as u64 + 2
}

/// Turns the MMU off, changes the space, and on again.
fn enter(g: &mut Guest, space: Space) {
    let bits = 64 - space.t0sz;
    let table = if bits > 48 {
        MINUS1
    } else if bits > 39 {
        LEVEL0
    } else {
        LEVEL1
    };
    let mut tcr = TCR & !63 | space.t0sz | space.t0sz << 16 | 2 << 30 | 1 << 24 | 1 << 26 | 3 << 28;
    tcr |= if space.tbi { TBI } else { 0 } | if bits > 48 { DS } else { 0 };
    if space.upper {
        tcr &= !(1 << 23);
    }
    let a = &mut g.a;
    a.mov_imm(X0, SCTLR & !1);
    a.msr(SysReg::SCTLR_EL1, X0);
    a.isb();
    a.mov_imm(X0, tcr);
    a.msr(SysReg::TCR_EL1, X0);
    a.mov_imm(X0, table);
    a.msr(SysReg::TTBR0_EL1, X0);
    a.mov_imm(X0, EMPTY);
    a.msr(SysReg::TTBR1_EL1, X0);
    a.isb();
    a.tlbi_vmalle1();
    a.dsb(Barrier::Sy);
    a.isb();
    a.mov_imm(X0, SCTLR);
    a.msr(SysReg::SCTLR_EL1, X0);
    a.isb();
}

/// A tag does not matter where it is ignored.
fn tagged(g: &mut Guest, space: Space) {
    if !space.tbi {
        return;
    }
    g.a.mov_imm(X6, CANARY_VALUE);
    for tag in [0x01u64, 0x80, 0xff] {
        g.a.mov_imm(X5, CANARY | tag << 56);
        g.a.ldr(X5, Addr::Off(X5, 24));
        g.expect_eq("through a tagged address: found, expected", X5, X6);
    }
}

/// The handler: x24 counts; x25 is the address to be reported, x26 the bits of it that are, x27 where to go on, x13 is ESR_EL1.
fn faults(g: &mut Guest, handler: Label) {
    g.a.bind(handler);
    g.a.mrs(X13, SysReg::ESR_EL1);
    g.a.mrs(X14, SysReg::FAR_EL1);
    g.a.eor(X15, X14, X25, 0);
    g.a.ands(X15, X15, X26, 0);
    g.expect(Cond::Eq, "wrong FAR, expected", X14, X25);
    // Translation fault, any level: DFSC and IFSC 0b0001xx and, for level -1, 0b101011.
    g.a.and_imm(X15, X13, 0x3c);
    let good = g.a.label();
    g.a.cmp_imm(X15, 4);
    g.a.b_cond(Cond::Eq, good);
    g.a.and_imm(X15, X13, 0x3f);
    g.a.cmp_imm(X15, 0x2b);
    g.expect(Cond::Eq, "no translation fault: ESR, address", X13, X25);
    g.a.bind(good);
    let a = &mut g.a;
    a.add_imm(X24, X24, 1);
    a.msr(SysReg::ELR_EL1, X27);
    a.eret();
}

/// x22 or x23 is the address.
fn try_access(g: &mut Guest, attempt: &Attempt, tbi: bool) {
    let next = g.a.label();
    let a = &mut g.a;
    a.mov(X25, if attempt.any { X22 } else { X23 });
    a.mov_imm(X26, if tbi { u64::MAX >> 8 } else { u64::MAX });
    a.mov(X1, X25);
    a.mov_imm(X2, SENTINEL);
    a.mov(X3, X2);
    a.load_address(X27, next);
    (attempt.emit)(a, X1);
    g.fail(&format!("{} at a wild address went through: address, loaded", attempt.name), X25, X2);
    g.a.bind(next);
    // ESR_EL1.EC: a data abort from EL1; WnR.
    g.a.lsr(X14, X13, 26);
    g.a.cmp_imm(X14, 0x25);
    g.expect(Cond::Eq, &format!("{}: ESR, address", attempt.name), X13, X25);
    if let Some(write) = attempt.write {
        g.a.tst_imm(X13, 1 << 6);
        g.expect(if write { Cond::Ne } else { Cond::Eq }, &format!("{}: WnR: ESR, address", attempt.name), X13, X25);
    }
    g.a.mov_imm(X14, SENTINEL);
    g.expect_eq(&format!("{} changed a register: found, expected", attempt.name), X2, X14);
    g.expect_eq(&format!("{} changed a register: found, expected", attempt.name), X3, X14);
    g.expect_eq(&format!("{} changed its base: found, expected", attempt.name), X1, X25);
}

/// BR and RET to the address: an instruction abort there. A tag that is ignored goes away.
fn jumps(g: &mut Guest, tbi: bool) {
    for way in ["br", "ret"] {
        let next = g.a.label();
        let a = &mut g.a;
        a.mov(X25, X23);
        a.mov_imm(X26, if tbi { u64::MAX >> 8 } else { u64::MAX });
        a.load_address(X27, next);
        if way == "br" {
            a.br(X23);
        } else {
            a.mov(X30, X23);
            a.ret();
        }
        a.bind(next);
        a.lsr(X14, X13, 26);
        a.cmp_imm(X14, 0x21);
        g.expect(Cond::Eq, &format!("{way}: ESR, address"), X13, X25);
    }
}

fn check_canary(g: &mut Guest) {
    g.a.mov_imm(X5, CANARY);
    g.a.mov_imm(X6, CANARY_LEN / 16);
    g.a.mov_imm(X7, CANARY_VALUE);
    let next = g.a.here();
    g.a.ldp(X8, X9, Addr::Post(X5, 16));
    g.a.eor(X8, X8, X7, 0);
    g.a.eor(X9, X9, X7, 0);
    g.a.orr(X8, X8, X9, 0);
    g.a.cmp_imm(X8, 0);
    g.expect(Cond::Eq, "a store went to: address behind it, difference", X5, X8);
    g.a.subs_imm(X6, X6, 1);
    g.a.b_cond(Cond::Ne, next);
}

/// GiB of the largest address space, and pages that their accesses go to.
pub const GIB: u64 = 1 << 18;
const PAGES: u64 = 1 << 10;

/// The guest: touches one address in each GiB of 256 TiB, `passes` times at EL1 and at EL0, under an ASID of its own each time. All are the
/// same RAM; each access counts a word there up. It prints the sum of the words.
pub fn assemble_gibibytes(passes: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (touch, back, over) = (g.a.label(), g.a.label(), g.a.label());
        g.handle(Vector::LowerSync, back);
        g.a.b(over);
        touching(g, touch);
        g.a.bind(back);
        g.a.mrs(X5, SysReg::ESR_EL1);
        g.a.lsr(X6, X5, 26);
        g.a.cmp_imm(X6, 0x15);
        g.a.mrs(X6, SysReg::FAR_EL1);
        g.expect(Cond::Eq, "exception from EL0: ESR, FAR", X5, X6);
        g.a.br(X27);
        g.a.bind(over);
        let el0 = RAM | d::BLOCK | d::NORMAL | d::EL0 | d::PXN | d::NOT_GLOBAL;
        g.put(LEVEL1, d::BLOCK | d::DEVICE | d::PXN | d::UXN);
        g.put(LEVEL1 + 8, RAM | d::BLOCK | d::NORMAL);
        g.fill(LEVEL1 + 16, 510 * 8, el0);
        g.fill(EMPTY, 512 * 8, el0);
        g.put(LEVEL0, LEVEL1 | d::PAGE);
        g.put(LEVEL0 + 8, EMPTY | d::PAGE);
        g.fill(LEVEL0 + 16, 510 * 8, EMPTY | d::PAGE);
        g.fill(DATA, PAGES * 4096, 0);
        enter(g, space(16, false, false));
        g.repeat(X20, passes, |g| {
            let (el1_done, el0_done) = (g.a.label(), g.a.label());
            let a = &mut g.a;
            a.mov_imm(X10, LEVEL0);
            a.add(X10, X10, X20, 50 - 1);
            a.msr(SysReg::TTBR0_EL1, X10);
            a.isb();
            a.load_address(X27, el1_done);
            a.mov(X26, XZR);
            a.b(touch);
            a.bind(el1_done);
            a.mov_imm(X11, 1 << 48);
            a.add(X10, X10, X11, 0);
            a.msr(SysReg::TTBR0_EL1, X10);
            a.isb();
            // EL0 runs the same code at its address in the second GiB of RAM's views.
            a.load_address(X27, el0_done);
            a.movz(X26, 1, 0);
            a.load_address(X11, touch);
            a.mov_imm(X12, 0x4000_0000);
            a.add(X11, X11, X12, 0);
            a.msr(SysReg::ELR_EL1, X11);
            a.mov_imm(X12, 0x3c0);
            a.msr(SysReg::SPSR_EL1, X12);
            a.eret();
            a.bind(el0_done);
        });
        g.a.mov(X5, XZR);
        g.a.mov_imm(X6, DATA);
        g.repeat(X7, PAGES, |g| {
            g.a.ldr(X8, Addr::Off(X6, 0));
            g.a.add(X5, X5, X8, 0);
            g.a.add_imm(X6, X6, 4096);
        });
        g.line("touched", &[X5]);
    })
}

/// x26 1: SVC at the end, else to x27.
fn touching(g: &mut Guest, touch: Label) {
    let a = &mut g.a;
    a.bind(touch);
    a.movz(X5, 2, 0);
    a.mov_imm(X6, DATA - RAM);
    a.mov_imm(X7, GIB);
    let next = a.here();
    a.and_imm(X8, X5, PAGES - 1);
    a.add(X8, X6, X8, 12);
    a.add(X8, X8, X5, 30);
    a.ldr(X9, Addr::Off(X8, 0));
    a.add_imm(X9, X9, 1);
    a.str(X9, Addr::Off(X8, 0));
    a.add_imm(X5, X5, 1);
    a.cmp(X5, X7);
    a.b_cond(Cond::Lo, next);
    let el1 = a.label();
    a.cbz(X26, el1);
    a.svc(0);
    a.bind(el1);
    a.br(X27);
}
