//! Code that is rewritten: by its own CPU and by another, through another address, by all kinds of stores and by a device; and data beside
//! running code.

use crate::guest::{descriptor as d, *};
use crate::words::{ACQ_REL, RELAXED, RELEASE, Words};
use emu_a64_asm::*;

/// A function that is rewritten: MOVZ x0, #imm; RET. Each part of the guest has sites of its own.
const SITES: u64 = DATA + 0x10_0000;
/// The same RAM once more.
const ALIAS: u64 = 4 << 30;
/// Words that CPUs hand over.
const NUMBER: u64 = OWN;
const SEEN: u64 = OWN + 0x100;
const STOP: u64 = OWN + 0x200;

const RET: u64 = 0xd65f_03c0;
const NOP: u64 = 0xd503_201f;
/// B to the second instruction behind it.
const B_2: u64 = 0x1400_0002;

/// The firmware configuration device: its DMA register, and a descriptor in RAM.
const FW_CFG_DMA: u64 = 0x0902_0010;
const DMA_DESCRIPTOR: u64 = DATA + 0x40;
/// Control word: select the item ID (1), read it.
const DMA_READ_ID: u64 = 1 << 16 | 1 << 3 | 1 << 1;

/// By what a site is rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writer {
    /// STR of the word.
    Word,
    /// STRH of its lower half: the number's low eleven bits.
    Half,
    /// STRB, twice.
    Bytes,
    /// STR of both instructions.
    Both,
    /// STP of Q registers: the function and what is behind it.
    Quads,
    /// STXR.
    Exclusive,
    /// SWP.
    Swap,
    /// CAS.
    Compare,
    /// LDADD of one to the number.
    Add,
    /// STLR.
    Release,
    /// STR through the other address.
    Alias,
    /// STR, run at the other address.
    RunAlias,
}

/// All of them.
pub const WRITERS: [Writer; 12] = [
    Writer::Word,
    Writer::Half,
    Writer::Bytes,
    Writer::Both,
    Writer::Quads,
    Writer::Exclusive,
    Writer::Swap,
    Writer::Compare,
    Writer::Add,
    Writer::Release,
    Writer::Alias,
    Writer::RunAlias,
];

/// Numbers go up to here, so that a halfword holds them.
const NUMBER_MASK: u64 = 0x7ff;

/// Makes a rewritten word visible to all: x5 is its address for data, x6 for code.
fn maintain(a: &mut Asm) {
    a.dc_cvau(X5);
    a.dsb(Barrier::Ish);
    a.ic_ivau(X6);
    a.dsb(Barrier::Ish);
    a.isb();
}

/// One CPU rewrites functions and calls them, `rounds` times by each kind of store; then a stretch of code that rewrites its own next
/// instruction. The guest prints the sum of all that the functions returned.
pub fn assemble_same_cpu(rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        alias(g);
        for (n, writer) in (0..).zip(WRITERS) {
            rewrite_and_call(g, writer, SITES + n * 0x1_0000, rounds);
        }
        next_instruction(g, rounds);
    })
}

/// What each kind of store must give, and the stretch behind them.
pub fn expected_same_cpu(rounds: u64) -> (u64, u64) {
    let sum = |mask: u64| (1..=rounds).map(|n| n & mask).sum();
    (sum(NUMBER_MASK), sum(0xfff))
}

fn alias(g: &mut Guest) {
    g.put(TABLES + 8 * 5, RAM | d::BLOCK | d::NORMAL);
    g.a.dsb(Barrier::Ish);
    g.a.isb();
}

/// 1 to `rounds`, modulo a number, through 32 sites in four pages.
fn rewrite_and_call(g: &mut Guest, writer: Writer, sites: u64, rounds: u64) {
    let a = &mut g.a;
    a.mov_imm(X10, MOVZ_X0);
    a.mov_imm(X11, RET);
    // All sites begin as functions that return 0.
    a.mov_imm(X12, sites);
    a.mov_imm(X13, MOVZ_X0 | RET << 32);
    a.mov_imm(X14, 4 * 4096 / 16);
    let again = a.here();
    a.stp(X13, X13, Addr::Post(X12, 16));
    a.subs_imm(X14, X14, 1);
    a.b_cond(Cond::Ne, again);
    a.mov(X24, XZR);
    a.mov(X20, XZR);
    let round = a.here();
    a.add_imm(X20, X20, 1);
    // The site: another one every 16 rounds.
    a.ubfx(X5, X20, 4, 5);
    a.mov_imm(X6, sites);
    a.add(X5, X6, X5, 9);
    a.mov(X6, X5);
    let far = ALIAS;
    match writer {
        Writer::Alias => {
            a.mov_imm(X7, far);
            a.add(X5, X5, X7, 0);
        }
        Writer::RunAlias => {
            a.mov_imm(X7, far);
            a.add(X6, X6, X7, 0);
        }
        _ => (),
    }
    a.and_imm(X7, X20, NUMBER_MASK);
    a.add(X8, X10, X7, 5);
    match writer {
        Writer::Word | Writer::Alias | Writer::RunAlias => a.str(W8, Addr::Off(X5, 0)),
        Writer::Half => a.strh(W8, Addr::Off(X5, 0)),
        Writer::Bytes => {
            a.strb(W8, Addr::Off(X5, 0));
            a.lsr(X9, X8, 8);
            a.strb(W9, Addr::Off(X5, 1));
        }
        Writer::Both => {
            a.orr(X8, X8, X11, 32);
            a.str(X8, Addr::Off(X5, 0));
        }
        Writer::Quads => {
            a.orr(X8, X8, X11, 32);
            a.dup_2d(VReg(0), X8);
            a.dup_2d(VReg(1), X8);
            a.stp_q(VReg(0), VReg(1), Addr::Off(X5, 0));
        }
        Writer::Exclusive => {
            let again = a.here();
            a.ldxr(W9, X5);
            a.stxr(W12, W8, X5);
            a.cbnz(W12, again);
        }
        Writer::Swap => a.swp(RELAXED, 2, X8, X9, X5),
        Writer::Compare => {
            a.ldr(W9, Addr::Off(X5, 0));
            a.cas(ACQ_REL, 2, X9, X8, X5);
        }
        Writer::Add => {
            // The difference to what is there.
            a.ldr(W9, Addr::Off(X5, 0));
            a.sub(W9, W8, W9, 0);
            a.ldadd_of(RELEASE, 2, X9, X12, X5);
        }
        Writer::Release => a.stlr(W8, X5),
    }
    maintain(a);
    a.blr(X6);
    g.expect_eq(&format!("{writer:?}: old code ran: found, expected"), X0, X7);
    let a = &mut g.a;
    a.add(X24, X24, X0, 0);
    a.mov_imm(X7, rounds);
    a.cmp(X20, X7);
    a.b_cond(Cond::Lo, round);
    g.line(&format!("{writer:?}"), &[X24]);
}

/// CBZ x9 to the second instruction behind it; ADD x0, x0, x9.
const CBZ_X9_ADD: u64 = 0xb400_0049 | 0x8b09_0000 << 32;
/// A function is called so often between two changes, and fewer times: a number of the round's.
const CALLS_MASK: u64 = 63;

/// Functions of three blocks, of which the first is rewritten: this makes one that returns `n` (in a register) and x9. x5 is its address.
fn rewrite_branching(a: &mut Asm, n: Reg) {
    a.mov_imm(X8, MOVZ_X0);
    a.add(X8, X8, n, 5);
    a.str(W8, Addr::Off(X5, 0));
}

/// Puts such a function at an address.
fn branching(g: &mut Guest, site: u64) {
    g.put(site, MOVZ_X0 | CBZ_X9_ADD << 32);
    g.put(site + 8, CBZ_X9_ADD >> 32 | RET << 32);
}

/// Calls the function at x5 as often as the number of the round in x20 says; x7 and what it is called with must come back. x12 is lost.
fn call_some_times(g: &mut Guest, why: &str) {
    g.a.and_imm(X12, X20, CALLS_MASK);
    let (over, again) = (g.a.label(), g.a.here());
    g.a.cbz(X12, over);
    g.a.sub_imm(X12, X12, 1);
    g.a.and_imm(X9, X12, 1);
    g.a.blr(X5);
    g.a.sub(X0, X0, X9, 0);
    g.expect_eq(why, X0, X7);
    g.a.b(again);
    g.a.bind(over);
}

/// One CPU rewrites functions and calls each so often that it is interpreted or has code made of it.
pub fn assemble_called_again(rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        let site = SITES + 0xc0;
        for n in 0..4 {
            branching(g, site + n * 0x20);
        }
        g.a.mov(X20, XZR);
        let round = g.a.here();
        g.a.add_imm(X20, X20, 1);
        g.a.ubfx(X5, X20, 8, 2);
        g.a.mov_imm(X6, site);
        g.a.add(X5, X6, X5, 5);
        g.a.mov(X6, X5);
        g.a.and_imm(X7, X20, 0xffff);
        rewrite_branching(&mut g.a, X7);
        maintain(&mut g.a);
        call_some_times(g, "old code ran: found, expected");
        g.a.mov_imm(X7, rounds);
        g.a.cmp(X20, X7);
        g.a.b_cond(Cond::Lo, round);
        g.line("called again", &[X20]);
    })
}

/// Two CPUs: one rewrites a function, the other calls it some times and says so.
pub fn assemble_called_elsewhere(rounds: u64) -> Vec<u8> {
    assemble(2, |g| {
        let site = SITES + 0xc0;
        g.only(0, |g| {
            branching(g, site);
            g.put(NUMBER, 0);
            g.put(SEEN, 0);
        });
        g.barrier();
        g.a.mov_imm(X5, site);
        g.a.mov(X6, X5);
        g.a.mov_imm(X21, NUMBER);
        g.a.mov_imm(X22, SEEN);
        g.a.mov(X20, XZR);
        let (reader, over, round) = (g.a.label(), g.a.label(), g.a.here());
        g.a.add_imm(X20, X20, 1);
        g.a.and_imm(X7, X20, 0xffff);
        g.a.cbnz(X19, reader);
        rewrite_branching(&mut g.a, X7);
        g.a.dc_cvau(X5);
        g.a.dsb(Barrier::Ish);
        g.a.ic_ivau(X6);
        g.a.dsb(Barrier::Ish);
        g.a.stlr(X20, X21);
        let wait = g.a.here();
        g.a.ldar(X9, X22);
        g.a.cmp(X9, X20);
        g.a.b_cond(Cond::Ne, wait);
        g.a.b(over);
        g.a.bind(reader);
        let wait = g.a.here();
        g.a.ldar(X9, X21);
        g.a.cmp(X9, X20);
        g.a.b_cond(Cond::Ne, wait);
        g.a.isb();
        call_some_times(g, "another CPU ran old code: found, expected");
        g.a.stlr(X20, X22);
        g.a.bind(over);
        g.a.mov_imm(X7, rounds);
        g.a.cmp(X20, X7);
        g.a.b_cond(Cond::Lo, round);
        g.only(0, |g| g.line("called elsewhere", &[X20]));
    })
}

/// ADD x24, x24, #n, rewritten by the code in front of it.
fn next_instruction(g: &mut Guest, rounds: u64) {
    let a = &mut g.a;
    let site = a.label();
    a.mov_imm(X10, 0x9100_0318);
    a.mov(X24, XZR);
    a.mov(X20, XZR);
    a.load_address(X5, site);
    a.mov(X6, X5);
    let round = a.here();
    a.add_imm(X20, X20, 1);
    a.and_imm(X7, X20, 0xfff);
    a.add(X8, X10, X7, 10);
    a.str(W8, Addr::Off(X5, 0));
    maintain(a);
    a.bind(site);
    a.udf(0);
    a.mov_imm(X7, rounds);
    a.cmp(X20, X7);
    a.b_cond(Cond::Lo, round);
    g.line("next instruction", &[X24]);
}

/// Two CPUs: one rewrites what the other calls, `rounds` times handed over one by one; then while it is called; then data beside it.
pub fn assemble_two_cpus(rounds: u64) -> Vec<u8> {
    assemble(2, |g| {
        g.only(0, alias);
        g.barrier();
        handed_over(g, rounds);
        g.barrier();
        while_called(g, rounds);
        g.barrier();
        data_beside(g, rounds);
    })
}

/// The first CPU writes, maintains and gives out a number; the second calls and must get it.
fn handed_over(g: &mut Guest, rounds: u64) {
    let site = SITES + 0x800;
    g.only(0, |g| {
        g.put(site, MOVZ_X0 | RET << 32);
        g.put(NUMBER, 0);
        g.put(SEEN, 0);
    });
    g.barrier();
    g.a.mov_imm(X5, site);
    g.a.mov(X6, X5);
    g.a.mov_imm(X21, NUMBER);
    g.a.mov_imm(X22, SEEN);
    g.a.mov(X20, XZR);
    let (reader, over, round) = (g.a.label(), g.a.label(), g.a.here());
    g.a.add_imm(X20, X20, 1);
    g.a.cbnz(X19, reader);
    let a = &mut g.a;
    hand_over(a, 0xffff, X5);
    a.b(over);
    a.bind(reader);
    // It runs the old code meanwhile.
    let call = a.here();
    a.blr(X5);
    a.ldar(X7, X21);
    a.cmp(X7, X20);
    a.b_cond(Cond::Ne, call);
    a.isb();
    a.blr(X5);
    a.and_imm(X7, X20, 0xffff);
    g.expect_eq("another CPU ran old code: found, expected", X0, X7);
    g.a.stlr(X20, X22);
    g.a.bind(over);
    g.a.mov_imm(X7, rounds);
    g.a.cmp(X20, X7);
    g.a.b_cond(Cond::Lo, round);
    g.only(0, |g| g.line("handed over", &[X20]));
}

/// The same on three CPUs, but the second does not call: it goes round in the page that is written, and waits at a barrier in each round. The third has
/// the others do TLBIs, so that there is something to wait for.
pub fn assemble_while_waiting(rounds: u64) -> Vec<u8> {
    assemble(3, |g| while_waiting(g, rounds))
}

fn while_waiting(g: &mut Guest, rounds: u64) {
    let [reader, third, patched, over] = std::array::from_fn(|_| g.a.label());
    g.only(0, |g| {
        g.put(NUMBER, 0);
        g.put(SEEN, 0);
    });
    g.barrier();
    let a = &mut g.a;
    a.mov_imm(X21, NUMBER);
    a.mov_imm(X22, SEEN);
    a.mov_imm(X23, rounds);
    a.mov(X20, XZR);
    a.cmp_imm(X19, 1);
    a.b_cond(Cond::Eq, reader);
    a.b_cond(Cond::Hi, third);
    a.load_address(X5, patched);
    a.mov(X6, X5);
    let round = a.here();
    a.add_imm(X20, X20, 1);
    hand_over(a, 0xffff, X5);
    a.cmp(X20, X23);
    a.b_cond(Cond::Lo, round);
    a.b(over);
    a.bind(third);
    let maintains = a.here();
    a.tlbi_vaae1is(XZR);
    a.dsb(Barrier::Ish);
    a.ldar(X7, X22);
    a.cmp(X7, X23);
    a.b_cond(Cond::Ne, maintains);
    a.b(over);
    a.align(4096);
    a.bind(reader);
    let again = a.here();
    a.ldar(X20, X21);
    a.dsb(Barrier::Ish);
    a.isb();
    a.bind(patched);
    a.movz(X0, 0, 0);
    // The first may be one ahead of what was read, which it was told to wait for.
    a.and_imm(X7, X20, 0xffff);
    a.sub(X8, X0, X7, 0);
    a.cmp_imm(X8, 1);
    let fails = a.label();
    a.b_cond(Cond::Hi, fails);
    a.stlr(X20, X22);
    a.cmp(X20, X23);
    a.b_cond(Cond::Lo, again);
    a.b(over);
    a.bind(fails);
    g.expect_eq("a CPU that waited runs old code: found, expected", X0, X7);
    g.a.align(4096);
    g.a.bind(over);
    g.only(0, |g| g.line("while waiting", &[X20]));
}

/// The first CPU makes a NOP a branch and back, which may be done without any care (Arm ARM B2.3.9, concurrent modification and execution):
/// the second finds one or the other. At the end all is maintained, and it must find the last one.
fn while_called(g: &mut Guest, rounds: u64) {
    let site = SITES + 0x4000 + 0x100;
    g.only(0, |g| {
        // The NOP or branch; ADD x0, x0, #1; ADD x0, x0, #16; RET.
        g.put(site, NOP | 0x9100_0400 << 32);
        g.put(site + 8, 0x9100_4000 | RET << 32);
        g.put(STOP, 0);
        g.a.mov_imm(X5, site);
        g.a.mov(X6, X5);
        maintain(&mut g.a);
    });
    g.barrier();
    g.a.isb();
    g.a.mov_imm(X5, site);
    g.a.mov(X6, X5);
    g.only(0, |g| {
        g.repeat(X20, rounds, |g| {
            for word in [B_2, NOP] {
                g.a.mov_imm(X8, word);
                g.a.str(W8, Addr::Off(X5, 0));
                g.a.mov_imm(X7, 30);
                let again = g.a.here();
                g.a.subs_imm(X7, X7, 1);
                g.a.b_cond(Cond::Ne, again);
            }
        });
        g.a.mov_imm(X8, B_2);
        g.a.str(W8, Addr::Off(X5, 0));
        maintain(&mut g.a);
        g.a.mov_imm(X7, STOP);
        g.a.movz(X8, 1, 0);
        g.a.stlr(X8, X7);
    });
    g.only(1, |g| {
        g.a.mov_imm(X21, STOP);
        g.a.mov(X24, XZR);
        let again = g.a.here();
        g.a.ldar(X22, X21);
        g.a.isb();
        g.a.mov(X0, XZR);
        g.a.blr(X5);
        let good = g.a.label();
        g.a.movz(X8, 16, 0);
        g.a.cmp(X0, X8);
        g.a.b_cond(Cond::Eq, good);
        g.a.movz(X8, 17, 0);
        g.expect_eq("neither old nor new code: found, expected", X0, X8);
        g.a.bind(good);
        g.a.add_imm(X24, X24, 1);
        g.a.cbz(X22, again);
        g.a.movz(X8, 16, 0);
        g.expect_eq("old code at the end: found, expected", X0, X8);
        g.line("while called", &[X24]);
    });
}

/// The second CPU runs a loop that counts in a word of its own page; the first counts in the next word. Nothing may be lost, and the loop
/// must do what it does.
fn data_beside(g: &mut Guest, rounds: u64) {
    let page = SITES + 0x8000;
    // LDR x1, [x5, #0x800]; ADD x1, x1, #1; STR x1, [x5, #0x800]; ADD x0, x0, #3; SUBS x2, x2, #1; B.NE to the first; RET.
    let words: [u64; 8] = [0xf944_00a1, 0x9100_0421, 0xf904_00a1, 0x9100_0c00, 0xf100_0442, 0x54ff_ff61, RET, NOP];
    g.only(0, |g| {
        for (i, pair) in (0..).zip(words.chunks(2)) {
            g.put(page + 8 * i, pair[0] | pair[1] << 32);
        }
        g.put(page + 0x800, 0);
        g.put(page + 0x808, 0);
        g.a.mov_imm(X5, page);
        g.a.mov(X6, X5);
        maintain(&mut g.a);
    });
    g.barrier();
    g.a.isb();
    g.a.mov_imm(X5, page);
    g.only(0, |g| {
        g.repeat(X20, 4 * rounds, |g| {
            g.a.ldr(X7, Addr::Off(X5, 0x808));
            g.a.add_imm(X7, X7, 1);
            g.a.str(X7, Addr::Off(X5, 0x808));
        });
    });
    g.only(1, |g| {
        g.repeat(X20, rounds, |g| {
            g.a.mov(X0, XZR);
            g.a.movz(X2, 4, 0);
            g.a.movz(X8, 12, 0);
            g.a.blr(X5);
            g.expect_eq("a loop beside data: found, expected", X0, X8);
        });
    });
    g.barrier();
    g.only(0, |g| {
        g.a.mov_imm(X5, page);
        g.a.ldr(X6, Addr::Off(X5, 0x800));
        g.a.ldr(X7, Addr::Off(X5, 0x808));
        g.line("data beside code", &[X6, X7]);
    });
}

/// A device writes UDF over a function by DMA, `rounds` times; it is called before and after. The guest prints how often it was undefined.
pub fn assemble_device(rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (handler, over) = (g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        g.a.b(over);
        g.a.bind(handler);
        g.a.mrs(X13, SysReg::ESR_EL1);
        g.a.mrs(X14, SysReg::ELR_EL1);
        // EC 0, unknown reason, at the function.
        g.a.lsr(X15, X13, 26);
        g.a.cmp_imm(X15, 0);
        g.expect(Cond::Eq, "exception: ESR, ELR", X13, X14);
        g.expect_eq("undefined elsewhere: ELR, expected", X14, X5);
        g.a.add_imm(X24, X24, 1);
        g.a.msr(SysReg::ELR_EL1, X30);
        g.a.eret();
        g.a.bind(over);
        let site = SITES + 0x40;
        let a = &mut g.a;
        a.mov(X24, XZR);
        a.mov_imm(X5, site);
        a.mov(X6, X5);
        a.mov_imm(X9, MOVZ_X0 | 77 << 5 | RET << 32);
        a.mov_imm(X10, FW_CFG_DMA);
        a.mov_imm(X11, DMA_DESCRIPTOR);
        // A page that was rewritten some times is one of which code is interpreted, at first.
        a.mov_imm(X12, MOVZ_X0 | RET << 32);
        g.repeat(X20, 8, |g| {
            for word in [X12, X9] {
                g.a.str(word, Addr::Off(X5, 0));
                maintain(&mut g.a);
                g.a.blr(X5);
            }
            g.a.movz(X8, 77, 0);
            g.expect_eq("before all transfers: found, expected", X0, X8);
        });
        g.repeat(X20, rounds, |g| {
            let a = &mut g.a;
            a.str(X9, Addr::Off(X5, 0));
            maintain(a);
            a.mov(X0, XZR);
            a.blr(X5);
            a.movz(X8, 77, 0);
            g.expect_eq("before the transfer: found, expected", X0, X8);
            let a = &mut g.a;
            // The descriptor is big-endian: control and length (4), then the address.
            a.mov_imm(X7, DMA_READ_ID << 32 | 4);
            a.rev(X7, X7);
            a.rev(X8, X5);
            a.stp(X7, X8, Addr::Off(X11, 0));
            a.dsb(Barrier::Sy);
            a.rev(X7, X11);
            a.str(X7, Addr::Off(X10, 0));
            let wait = a.here();
            a.ldr(W7, Addr::Off(X11, 0));
            a.rev(W7, W7);
            a.tbnz(W7, 0, wait); // an error stays, and the time limit tells
            a.cbnz(W7, wait);
            a.dsb(Barrier::Sy);
            a.ic_ivau(X6);
            a.dsb(Barrier::Ish);
            a.isb();
            a.mov(X0, XZR);
            a.blr(X5);
            g.expect_eq("behind the transfer: found, expected", X0, XZR);
        });
        g.line("undefined", &[X24]);
    })
}
