//! Calls and jumps between pieces of code that lie too far apart to be translated together, and are tied together once both are known: under
//! code that is thrown away, rewritten or mapped elsewhere meanwhile.

use crate::guest::{descriptor as d, *};
use emu_a64_asm::*;

/// The stack of CPU 0 grows down from here, that of the next from [`STACKS_APART`] lower.
const DEEP_STACK: u64 = RAM + (224 << 20);
const STACKS_APART: u64 = 32 << 20;
/// Functions, in pairs; the first of a pair calls the second, the second another pair's first.
const FUNCTIONS: u64 = 3000;
const PAIRS: u64 = FUNCTIONS / 2;
/// From pair to pair: coprime with their number, so that all are met.
const STEP: u64 = 641;
/// Additions of its own that each function makes behind its call.
const ADDITIONS: u64 = 24;

fn callee(n: u64) -> u64 {
    if n.is_multiple_of(2) { n + 1 } else { (n / 2 + STEP) % PAIRS * 2 }
}

fn amount(n: u64) -> u64 {
    n % 4000 + 1
}

/// A ring of thousands of functions is gone through, `depth` frames deep, `rounds` times by each of the CPUs. Each prints its sum.
pub fn assemble_ring(cpus: u64, depth: u64, rounds: u64) -> Vec<u8> {
    assemble(cpus, |g| {
        let over = g.a.label();
        g.a.b(over);
        let functions: Vec<Label> = (0..FUNCTIONS).map(|_| g.a.label()).collect();
        for (n, function) in (0..).zip(&functions) {
            let a = &mut g.a;
            let out = a.label();
            a.bind(*function);
            a.stp(X29, X30, Addr::Pre(SP, -16));
            a.cbz(X0, out);
            a.sub_imm(X0, X0, 1);
            a.bl(functions[callee(n) as usize]);
            (0..ADDITIONS).for_each(|_| a.add_imm(X1, X1, amount(n) as u32));
            a.bind(out);
            a.ldp(X29, X30, Addr::Post(SP, 16));
            a.ret();
        }
        let a = &mut g.a;
        a.bind(over);
        a.mov_imm(X0, DEEP_STACK);
        a.mov_imm(X2, STACKS_APART);
        a.mul(X2, X2, X19);
        a.sub(X0, X0, X2, 0);
        a.mov_sp(SP, X0);
        a.mov(X1, XZR);
        g.repeat(X20, rounds, |g| {
            g.a.mov_imm(X0, depth);
            g.a.bl(functions[0]);
        });
        g.a.mov(X5, X1);
        g.barrier();
        for cpu in 0..cpus {
            g.only(cpu, |g| g.line(&format!("sum {cpu}"), &[X5]));
            g.barrier();
        }
    })
}

/// What each CPU's sum is.
pub fn ring_sum(depth: u64, rounds: u64) -> u64 {
    let (mut n, mut sum) = (0, 0);
    for _ in 0..depth {
        sum += ADDITIONS * amount(n);
        n = callee(n);
    }
    sum * rounds
}

/// Instructions between the parts of a page: more than are translated together.
const FAR: u64 = 0xc00;
/// The word that differs, from the page's beginning.
const PATCHED: u64 = FAR + 4;
const NOP: u64 = 0xd503_201f;

/// Words of a page: at its beginning a call of, and a jump to, code at [`FAR`], which makes x0 `n` and comes back.
fn page_words(n: u64) -> Vec<u64> {
    let mut words = vec![NOP; 1024];
    // mov x10, x30; bl FAR; add x0, x0, #0x100; b FAR + 16 (mov x30, x10; ret).
    words[0] = 0xaa1e_03ea;
    words[1] = 0x9400_0000 | (FAR / 4 - 1);
    words[2] = 0x9104_0000;
    words[3] = 0x1400_0000 | (FAR / 4 + 4 - 3);
    let far = FAR as usize / 4;
    words[far + 1] = MOVZ_X0 | n << 5;
    words[far + 2] = 0xd65f_03c0;
    words[far + 4] = 0xaa0a_03fe;
    words[far + 5] = 0xd65f_03c0;
    words
}

/// Where the first page lies physically, and the second behind it; and where they are mapped in turn.
const PAGES: u64 = DATA + (1 << 20);
const WINDOW: u64 = 4 << 30;
/// The first address that TTBR1_EL1 translates.
const UPPER: u64 = !0 << 39;
const LEVEL_2: u64 = TABLES + 0x1_0000;
const LEVEL_3: u64 = TABLES + 0x1_1000;
const NUMBER: u64 = OWN;
const SEEN: u64 = OWN + 0x100;

fn put_page(g: &mut Guest, at: u64, n: u64) {
    for (i, pair) in (0..).zip(page_words(n).chunks(2)) {
        g.put(at + 8 * i, pair[0] | pair[1] << 32);
    }
}

/// Two pages, alike but for a constant, are mapped at one address in turn and called there `rounds` times; with `both` at an address of each half.
pub fn assemble_remapped(rounds: u64, both: bool) -> Vec<u8> {
    assemble(1, |g| {
        put_page(g, PAGES, 1);
        put_page(g, PAGES + 0x1000, 2);
        g.put(TABLES + 8 * 4, LEVEL_2 | d::PAGE);
        g.put(LEVEL_2, LEVEL_3 | d::PAGE);
        g.a.dsb(Barrier::Sy);
        g.a.isb();
        if both {
            // The same tables for the upper half.
            let a = &mut g.a;
            a.mov_imm(X5, TABLES);
            a.msr(SysReg::TTBR1_EL1, X5);
            a.mov_imm(X5, TCR & !(1 << 23) | 25 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30);
            a.msr(SysReg::TCR_EL1, X5);
            a.isb();
        }
        let windows = if both { &[WINDOW, UPPER | WINDOW][..] } else { &[WINDOW] };
        g.a.mov_imm(X21, LEVEL_3);
        g.repeat(X20, rounds, |g| {
            let a = &mut g.a;
            a.and_imm(X5, X20, 1);
            a.str(XZR, Addr::Off(X21, 0));
            a.dsb(Barrier::Ish);
            for window in windows {
                a.mov_imm(X6, window << 8 >> 20);
                a.tlbi_vaae1is(X6);
            }
            a.dsb(Barrier::Ish);
            a.mov_imm(X6, PAGES | d::PAGE | d::NORMAL);
            a.add(X6, X6, X5, 12);
            a.str(X6, Addr::Off(X21, 0));
            a.dsb(Barrier::Ish);
            a.isb();
            a.add_imm(X7, X5, 0x101);
            // The second time its jumps are tied.
            for window in windows.iter().chain(windows) {
                g.a.mov_imm(X22, *window);
                g.a.mov(X0, XZR);
                g.a.blr(X22);
                g.expect_eq("the other page's code: found, expected", X0, X7);
            }
        });
        g.a.mov_imm(X5, rounds);
        g.line("remapped", &[X5]);
    })
}

/// The first CPU rewrites what the second calls from within the same page, `rounds` times, and has it told.
pub fn assemble_rewritten(rounds: u64) -> Vec<u8> {
    assemble(2, |g| {
        g.only(0, |g| {
            put_page(g, PAGES, 0);
            g.put(NUMBER, 0);
            g.put(SEEN, 0);
            let a = &mut g.a;
            a.mov_imm(X5, PAGES);
            a.ic_ivau(X5);
            a.dsb(Barrier::Ish);
        });
        g.barrier();
        g.a.isb();
        g.a.mov_imm(X5, PAGES);
        g.a.mov_imm(X6, PAGES + PATCHED);
        g.a.mov_imm(X21, NUMBER);
        g.a.mov_imm(X22, SEEN);
        g.a.mov(X20, XZR);
        let (reader, over, round) = (g.a.label(), g.a.label(), g.a.here());
        g.a.add_imm(X20, X20, 1);
        g.a.cbnz(X19, reader);
        let a = &mut g.a;
        hand_over(a, 0xff, X6);
        a.b(over);
        a.bind(reader);
        let call = a.here();
        a.blr(X5);
        a.ldar(X7, X21);
        a.cmp(X7, X20);
        a.b_cond(Cond::Ne, call);
        a.isb();
        a.blr(X5);
        a.and_imm(X7, X20, 0xff);
        a.add_imm(X7, X7, 0x100);
        g.expect_eq("another CPU ran old code: found, expected", X0, X7);
        g.a.stlr(X20, X22);
        g.a.bind(over);
        g.a.mov_imm(X7, rounds);
        g.a.cmp(X20, X7);
        g.a.b_cond(Cond::Lo, round);
        g.only(0, |g| g.line("rewritten", &[X20]));
    })
}
