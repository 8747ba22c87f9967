//! The guest that runs a litmus test, litmus7's way: each variable is an array of instances, a cache line each; all threads go through the
//! same instances in the same scattered order, keep what they load, and meet at a barrier only after [`INSTANCES`] of them. Then the first
//! CPU counts the outcomes and clears the variables. Meanwhile they pace each other: without that one is soon far ahead of the others, and
//! nothing races.

use crate::Report;
use crate::guest::*;
use crate::shape::{Event, Flavour, Kind, Shape};
use emu_a64_asm::*;
use std::collections::BTreeMap;

/// Instances between two barriers.
pub const INSTANCES: u64 = 1 << 10;
/// log2 of the bytes between two instances.
const LINE: u32 = 6;

/// The arrays of variables: the last bits differ, so that one instance's variables are in different sets of a cache.
const VARIABLES: [u64; 3] = [DATA, DATA + 0x10_0400, DATA + 0x20_0a00];
/// Where thread n keeps what it loaded, 16 bytes an instance.
const RESULTS: u64 = DATA + 0x40_0000;
const RESULTS_STEP: u64 = 0x10_0000;
/// Memory of each thread alone.
const PRIVATE: u64 = DATA + 0x80_0000;
/// Counters of the outcomes.
const COUNTERS: u64 = DATA + 0x90_0000;
const OUTCOMES: u64 = 256;
/// Instances between two looks at where the other threads are; a power of two.
const PACE: u64 = 8;
/// How often a thread looks for the others before it goes on alone for the rest of the round: the host may have fewer CPUs.
const PATIENCE: u16 = 2000;
/// What each thread has left to do, a cache line each.
const LEFT: u64 = OWN + 0x400;
/// All arrivals at the starting line so far.
const ARRIVALS: u64 = OWN;
/// In an address without a translation.
const NOWHERE: u64 = 0x70_0000_0000;

/// Registers of the addresses of x, y and z, and of what is loaded.
const AT: [Reg; 3] = [X10, X11, X12];
const LOADED: [Reg; 2] = [X5, X6];
const BASES: [Reg; 3] = [X20, X21, X22];

/// The guest of a shape with these flavours, `rounds` rounds of each.
pub fn assemble_race(shape: &Shape, flavours: &[Flavour], rounds: u64) -> Vec<u8> {
    assemble(shape.threads.len() as u64, |g| {
        let (function, handler, over) = (g.a.label(), g.a.label(), g.a.label());
        g.handle(Vector::Sync, handler);
        g.a.b(over);
        g.a.bind(function);
        g.a.ret();
        skip_faults(g, handler);
        g.a.bind(over);
        for (register, address) in BASES.iter().zip(VARIABLES) {
            g.a.mov_imm(*register, address);
        }
        g.only(0, |g| {
            for address in VARIABLES {
                g.fill(address, INSTANCES << LINE, 0);
            }
        });
        g.a.mov(X29, XZR);
        for flavour in flavours {
            run_flavour(g, shape, flavour, rounds, function);
        }
    })
}

/// SVC returns, a fault is skipped.
fn skip_faults(g: &mut Guest, handler: Label) {
    let a = &mut g.a;
    let back = a.label();
    a.bind(handler);
    a.mrs(X13, SysReg::ESR_EL1);
    a.lsr(X13, X13, 26);
    a.cmp_imm(X13, 0x15);
    a.b_cond(Cond::Eq, back);
    a.mrs(X13, SysReg::ELR_EL1);
    a.add_imm(X13, X13, 4);
    a.msr(SysReg::ELR_EL1, X13);
    a.bind(back);
    a.eret();
}

fn run_flavour(g: &mut Guest, shape: &Shape, flavour: &Flavour, rounds: u64, function: Label) {
    g.only(0, |g| g.fill(COUNTERS, OUTCOMES * 8, 0));
    g.a.mov(X27, XZR);
    let round = g.a.here();
    g.barrier();
    starting_line(g);
    for (n, events) in shape.threads.iter().enumerate() {
        g.only(n as u64, |g| thread(g, n as u64, events, flavour, function));
    }
    g.barrier();
    g.only(0, |g| tally(g, shape));
    g.a.add_imm(X27, X27, 1);
    g.a.mov_imm(X1, rounds);
    g.a.cmp(X27, X1);
    g.a.b_cond(Cond::Lo, round);
    g.only(0, |g| {
        g.print(&format!("{}\n", flavour.name));
        g.a.mov(X5, XZR);
        g.a.mov_imm(X6, COUNTERS);
        let (next, none) = (g.a.here(), g.a.label());
        g.a.ldr(X7, Addr::Post(X6, 8));
        g.a.cbz(X7, none);
        g.line("", &[X5, X7]);
        g.a.bind(none);
        g.a.add_imm(X5, X5, 1);
        g.a.cmp_imm(X5, OUTCOMES as u32);
        g.a.b_cond(Cond::Lo, next);
    });
}

/// The barrier may have put CPUs to sleep: all that are awake meet once more, spinning, but not for long, since the host may have fewer
/// CPUs. Then each waits for a few turns of its own. x29 counts the rounds of all flavours.
fn starting_line(g: &mut Guest) {
    let cpus = g.cpus();
    let a = &mut g.a;
    a.add_imm(X29, X29, 1);
    a.mov_imm(X0, ARRIVALS);
    a.movz(X1, 1, 0);
    a.ldaddal(X1, X2, X0);
    a.mov_imm(X1, cpus);
    a.mul(X1, X1, X29);
    // A quarter of a millisecond: longer than it takes the host to wake a thread that has a CPU to run on.
    a.mrs(X3, SysReg::CNTVCT_EL0);
    a.mrs(X4, SysReg::CNTFRQ_EL0);
    a.lsr(X4, X4, 12);
    a.add(X3, X3, X4, 0);
    let (spin, go) = (a.here(), a.label());
    a.ldar(X2, X0);
    a.cmp(X2, X1);
    a.b_cond(Cond::Hs, go);
    a.mrs(X4, SysReg::CNTVCT_EL0);
    a.cmp(X4, X3);
    a.b_cond(Cond::Lo, spin);
    a.bind(go);
    a.movz(X18, 1, 0);
    // Any odd multipliers with well-spread bits.
    a.mov_imm(X1, 0x9e37_79b9_7f4a_7c15);
    a.mul(X1, X1, X29);
    a.lsr(X26, X1, 40);
    a.and_imm(X26, X26, INSTANCES - 1);
    a.add_imm(X2, X19, 1);
    a.mul(X1, X1, X2);
    a.mov_imm(X2, 0xd134_2543_de82_ef95);
    a.mul(X1, X1, X2);
    a.lsr(X1, X1, 58);
    let turn = a.here();
    a.subs_imm(X1, X1, 1);
    a.b_cond(Cond::Gt, turn);
    a.mov(X24, X26);
    a.mov_imm(X25, INSTANCES);
    a.movz(X1, 1, 0);
    a.movz(X2, 2, 0);
}

/// x24 becomes the next instance, by a full-period generator.
fn next_instance(a: &mut Asm) {
    a.add(X24, X24, X24, 2);
    a.add_imm(X24, X24, 0x1a3);
    a.and_imm(X24, X24, INSTANCES - 1);
}

fn addresses(a: &mut Asm, variables: impl Fn(u8) -> bool) {
    for v in 0..3 {
        if variables(v) {
            a.add(AT[v as usize], BASES[v as usize], X24, LINE);
        }
    }
}

fn thread(g: &mut Guest, n: u64, events: &[Event], flavour: &Flavour, function: Label) {
    g.a.mov_imm(X23, RESULTS + n * RESULTS_STEP);
    g.a.mov_imm(X15, PRIVATE + n * 4096);
    g.a.mov_imm(X17, NOWHERE);
    let next = g.a.here();
    pace(g, n);
    next_instance(&mut g.a);
    addresses(&mut g.a, |v| events.iter().any(|e| e.1 == v));
    let mut loaded = LOADED.iter();
    for (i, event) in events.iter().enumerate() {
        if i > 0 {
            flavour.emit_between(g, function);
        }
        let at = AT[event.1 as usize];
        match (event.0, loaded.as_slice()) {
            (Kind::W, _) => flavour.emit_store(&mut g.a, Reg::x(event.2), at),
            (Kind::R, [to, ..]) => {
                flavour.emit_load(&mut g.a, *to, at);
                loaded.next();
            }
            (Kind::R, []) => panic!("a thread has at most two loads"),
        }
    }
    g.a.stp(LOADED[0], LOADED[1], Addr::Post(X23, 16));
    g.a.subs_imm(X25, X25, 1);
    g.a.b_cond(Cond::Ne, next);
}

/// Now and then: waits until the others are as far, but not for ever (x18 becomes 0). Plain accesses only: nothing is ordered by this.
fn pace(g: &mut Guest, n: u64) {
    let cpus = g.cpus();
    let a = &mut g.a;
    let go = a.label();
    a.tst_imm(X25, PACE - 1);
    a.b_cond(Cond::Ne, go);
    a.cbz(X18, go);
    a.mov_imm(X3, LEFT);
    a.str(X25, Addr::Off(X3, 64 * n as i32));
    a.movz(X4, PATIENCE, 0);
    for other in (0..cpus).filter(|o| *o != n) {
        let (look, there) = (a.here(), a.label());
        a.ldr(X7, Addr::Off(X3, 64 * other as i32));
        a.cmp(X7, X25);
        a.b_cond(Cond::Ls, there);
        a.subs_imm(X4, X4, 1);
        a.b_cond(Cond::Ne, look);
        a.mov(X18, XZR);
        a.b(go);
        a.bind(there);
    }
    a.bind(go);
}

fn tally(g: &mut Guest, shape: &Shape) {
    let a = &mut g.a;
    a.mov(X24, X26);
    a.mov_imm(X25, INSTANCES);
    a.mov_imm(X8, COUNTERS);
    a.mov_imm(X9, RESULTS);
    let next = a.here();
    next_instance(a);
    addresses(a, |_| true);
    a.mov(X5, XZR);
    let mut place = 0;
    let mut add = |a: &mut Asm| {
        a.add(X5, X5, X6, place);
        place += 2;
    };
    for (n, events) in shape.threads.iter().enumerate() {
        a.mov_imm(X7, n as u64 * RESULTS_STEP);
        a.add(X7, X7, X9, 0);
        for i in 0..events.iter().filter(|e| e.0 == Kind::R).count() {
            a.ldr(X6, Addr::Off(X7, 8 * i as i32));
            add(a);
        }
    }
    for (variable, _) in shape.finals {
        a.ldrb(X6.as_w(), Addr::Off(AT[*variable as usize], 0));
        add(a);
    }
    a.and_imm(X5, X5, OUTCOMES - 1);
    a.ldr(X6, Addr::Scaled(X8, X5));
    a.add_imm(X6, X6, 1);
    a.str(X6, Addr::Scaled(X8, X5));
    for at in AT {
        a.str(XZR, Addr::Off(at, 0));
    }
    a.add_imm(X9, X9, 16);
    a.subs_imm(X25, X25, 1);
    a.b_cond(Cond::Ne, next);
}

/// How often each outcome of a flavour was seen.
pub type Seen = BTreeMap<u64, u64>;

/// Flavours in the order of the report, with what was seen.
///
/// # Panics
/// When the report is not one of a race.
pub fn seen(report: &Report) -> Vec<(String, Seen)> {
    let mut out: Vec<(String, Seen)> = Vec::new();
    for (name, numbers) in &report.lines {
        match (numbers.as_slice(), out.last_mut()) {
            ([], _) if name == DONE => (),
            ([], _) => out.push((name.clone(), Seen::new())),
            ([code, times], Some((_, seen))) => *seen.entry(*code).or_default() += times,
            _ => panic!("the guest printed {name} {numbers:?}"),
        }
    }
    out
}
