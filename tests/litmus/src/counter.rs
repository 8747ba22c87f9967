//! Counters that several CPUs count up at once, by all the means there are: the sum must come out exact.

use crate::guest::*;
use crate::words::{ACQ_REL, ACQUIRE, Order, RELAXED, Size, Words};
use How::*;
use emu_a64_asm::*;

/// How a counter is counted up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// LDXR, STXR.
    Exclusive(Size),
    /// LDAXR, STLXR.
    ExclusiveOrdered(Size),
    /// LDXP, STXP: both halves.
    ExclusivePair,
    /// LDADD.
    Ldadd(Order, Size),
    /// LDADD at an odd place inside 16 bytes (FEAT_LSE2).
    LdaddOdd(Size, u64),
    /// A load and CAS, until it succeeds.
    Cas(Order, Size),
    /// The same at an odd place.
    CasOdd(Size, u64),
    /// CASP: both halves.
    Casp,
    /// Plain accesses under a lock taken by SWPA.
    LockSwp,
    /// Under a lock taken by LDAXR and STXR, given back by STLR.
    LockExclusive,
    /// The same, with WFE while another has it: the store wakes who waits, by the exclusive monitor.
    LockWfe,
    /// Under a lock of tickets, drawn by LDADDA.
    LockTicket,
    /// Under a lock taken by CASA.
    LockCas,
    /// An odd LDADD by the even CPUs; the others count by plain accesses, each in bytes of its own in the same 16.
    Neighbours,
}

/// All of them.
pub const HOWS: &[How] = &[
    Exclusive(0),
    Exclusive(1),
    Exclusive(2),
    Exclusive(3),
    ExclusiveOrdered(2),
    ExclusiveOrdered(3),
    ExclusivePair,
    Ldadd(RELAXED, 0),
    Ldadd(RELAXED, 3),
    Ldadd(ACQ_REL, 2),
    LdaddOdd(3, 5),
    LdaddOdd(2, 3),
    LdaddOdd(1, 7),
    Cas(RELAXED, 3),
    Cas(ACQ_REL, 2),
    Cas(ACQ_REL, 1),
    CasOdd(3, 3),
    Casp,
    LockSwp,
    LockExclusive,
    LockWfe,
    LockTicket,
    LockCas,
    Neighbours,
];

/// The name of a way in the report.
pub fn name(how: How) -> String {
    format!("{how:?}").replace("Order { ", "").replace(" }", "").replace(": ", "=").replace(", ", " ")
}

/// The counter, in 16 bytes; behind it, for locks, two lines further.
const COUNTER: u64 = DATA + 0x1_0000;
const LOCK: i32 = 0x80;
const SERVED: i32 = 0xc0;

/// The guest: each CPU counts `each` times in every way; then a line with what is in the counter's two halves.
pub fn assemble_counters(cpus: u64, each: u64) -> Vec<u8> {
    assemble(cpus, |g| {
        for how in HOWS {
            g.only(0, |g| g.fill(COUNTER, 256, 0));
            g.barrier();
            g.a.mov_imm(X20, COUNTER);
            g.a.add_imm(X21, X20, LOCK as u32);
            g.a.add_imm(X22, X20, SERVED as u32);
            g.a.movz(X1, 1, 0);
            g.repeat(X25, times(*how, each), |g| count_up(g, *how));
            g.barrier();
            g.only(0, |g| {
                g.a.mov_imm(X20, COUNTER);
                g.a.ldp(X5, X6, Addr::Off(X20, 0));
                g.line(&name(*how), &[X5, X6]);
            });
        }
    })
}

/// Handing a lock to one particular CPU may take the host a wake-up: fewer times.
fn times(how: How, each: u64) -> u64 {
    if how == LockTicket { each.div_ceil(10) } else { each }
}

/// What the halves must hold in the end.
pub fn expected(how: How, cpus: u64, each: u64) -> [u64; 2] {
    let all = cpus * times(how, each);
    let low = |size: Size| if size == 3 { all } else { all & ((1 << (8 << size)) - 1) };
    let at = |size: Size, offset: u64| {
        let v = u128::from(low(size)) << (8 * offset);
        [v as u64, (v >> 64) as u64]
    };
    match how {
        Exclusive(s) | ExclusiveOrdered(s) | Ldadd(_, s) | Cas(_, s) => [low(s), 0],
        LdaddOdd(s, o) | CasOdd(s, o) => at(s, o),
        ExclusivePair | Casp => [all, 3 * all],
        LockSwp | LockExclusive | LockWfe | LockTicket | LockCas => [all, 3 * all],
        // Even CPUs: 2 bytes at offset 1; CPU 1: 4 bytes at 4; CPU 3: 8 bytes at 8.
        Neighbours => {
            let odd = (each * cpus.div_ceil(2)) & 0xffff;
            [odd << 8 | (each & 0xffff_ffff) << 32, if cpus > 3 { each } else { 0 }]
        }
    }
}

/// One step: x20 is the counter, x21 and x22 words of locks, x1 one.
fn count_up(g: &mut Guest, how: How) {
    let a = &mut g.a;
    match how {
        Exclusive(size) => {
            let again = a.here();
            a.load_exclusive(size, X5, X20);
            a.add_imm(X5, X5, 1);
            a.store_exclusive(size, X6, X5, X20);
            a.cbnz(W6, again);
        }
        ExclusiveOrdered(size) => {
            let again = a.here();
            a.load_acquire_exclusive(size, X5, X20);
            a.add_imm(X5, X5, 1);
            a.store_release_exclusive(size, X6, X5, X20);
            a.cbnz(W6, again);
        }
        ExclusivePair => {
            let again = a.here();
            a.ldxp(X5, X6, X20);
            a.add_imm(X5, X5, 1);
            a.add_imm(X6, X6, 3);
            a.stxp(X7, X5, X6, X20);
            a.cbnz(W7, again);
        }
        Ldadd(order, size) => a.ldadd_of(order, size, X1, X5, X20),
        LdaddOdd(size, offset) => {
            a.add_imm(X7, X20, offset as u32);
            a.ldadd_of(ACQ_REL, size, X1, X5, X7);
        }
        Cas(order, size) => cas(a, order, size, X20),
        CasOdd(size, offset) => {
            a.add_imm(X7, X20, offset as u32);
            cas(a, RELAXED, size, X7);
        }
        Casp => {
            let again = a.here();
            a.ldp(X4, X5, Addr::Off(X20, 0));
            a.mov(X6, X4);
            a.mov(X7, X5);
            a.add_imm(X8, X4, 1);
            a.add_imm(X9, X5, 3);
            a.casp(ACQ_REL, X4, X8, X20);
            a.cmp(X4, X6);
            a.b_cond(Cond::Ne, again);
            a.cmp(X5, X7);
            a.b_cond(Cond::Ne, again);
        }
        LockSwp => {
            let again = a.here();
            a.swp(ACQUIRE, 2, X1, X5, X21);
            a.cbnz(W5, again);
            guarded(a);
            a.stlr(WZR, X21);
        }
        LockExclusive => {
            let again = a.here();
            a.ldaxr(W5, X21);
            a.cbnz(W5, again);
            a.stxr(W6, W1, X21);
            a.cbnz(W6, again);
            guarded(a);
            a.stlr(WZR, X21);
        }
        LockWfe => {
            // SEVL, so that the first WFE does not wait.
            a.word(0xd503_20bf);
            let again = a.here();
            a.wfe();
            let at_once = a.here();
            a.ldaxr(W5, X21);
            a.cbnz(W5, again);
            a.stxr(W6, W1, X21);
            a.cbnz(W6, at_once);
            guarded(a);
            a.stlr(WZR, X21);
        }
        LockTicket => {
            a.ldadd_of(ACQUIRE, 2, X1, X5, X21);
            let (wait, mine) = (a.here(), a.label());
            a.ldar(W6, X22);
            a.cmp(W6, W5);
            a.b_cond(Cond::Eq, mine);
            // Without this a host with fewer CPUs would run each waiting one for a time slice.
            a.wfe();
            a.b(wait);
            a.bind(mine);
            guarded(a);
            a.add_imm(W5, W5, 1);
            a.stlr(W5, X22);
            a.dsb(Barrier::Ishst);
            a.sev();
        }
        LockCas => {
            let again = a.here();
            a.movz(X5, 0, 0);
            a.cas(ACQUIRE, 2, X5, X1, X21);
            a.cbnz(W5, again);
            guarded(a);
            a.stlr(WZR, X21);
        }
        Neighbours => neighbours(g),
    }
}

fn cas(a: &mut Asm, order: Order, size: Size, at: Reg) {
    let again = a.here();
    a.load(size, X5, at);
    a.mov(X6, X5);
    a.add_imm(X8, X5, 1);
    a.cas(order, size, X5, X8, at);
    a.cmp(X5, X6);
    a.b_cond(Cond::Ne, again);
}

/// Counts both halves up by plain accesses.
fn guarded(a: &mut Asm) {
    a.ldr(X7, Addr::Off(X20, 0));
    a.ldr(X8, Addr::Off(X20, 8));
    a.add_imm(X7, X7, 1);
    a.add_imm(X8, X8, 3);
    a.str(X7, Addr::Off(X20, 0));
    a.str(X8, Addr::Off(X20, 8));
}

fn neighbours(g: &mut Guest) {
    let (odd, done) = (g.a.label(), g.a.label());
    g.a.tbnz(X19, 0, odd);
    g.a.add_imm(X7, X20, 1);
    g.a.ldadd_of(RELAXED, 1, X1, X5, X7);
    g.a.b(done);
    g.a.bind(odd);
    g.only(1, |g| {
        g.a.ldr(W5, Addr::Off(X20, 4));
        g.a.add_imm(W5, W5, 1);
        g.a.str(W5, Addr::Off(X20, 4));
    });
    g.only(3, |g| {
        g.a.ldr(X5, Addr::Off(X20, 8));
        g.a.add_imm(X5, X5, 1);
        g.a.str(X5, Addr::Off(X20, 8));
    });
    g.a.bind(done);
}
