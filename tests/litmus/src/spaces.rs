//! Two programs at the same virtual addresses, with different code: each calls a function that calls a function that switches to the other.
//! Whoever predicts a return by its address alone goes on in the wrong program.

use crate::guest::{descriptor as d, *};
use emu_a64_asm::*;

/// How the programs are switched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    /// A call in EL1; TTBR0_EL1 with another ASID.
    Asid,
    /// A call in EL1; TTBR0_EL1 with the same ASID, and TLBI VMALLE1.
    Invalidate,
    /// A call in EL1; the entries of the one table are replaced.
    Remap,
    /// SVC from EL0; TTBR0_EL1 with another ASID.
    Svc,
    /// The same with the ASID in TTBR1_EL1, whose tables change with it, and ASIDs that are a pair, as kernels have that keep their tables from
    /// programs.
    Pair,
}

impl Switch {
    fn by_svc(self) -> bool {
        matches!(self, Switch::Svc | Switch::Pair)
    }
}

/// All of them.
pub const SWITCHES: [Switch; 5] = [Switch::Asid, Switch::Invalidate, Switch::Remap, Switch::Svc, Switch::Pair];

/// Where both programs run: the code, then their stack.
const PROGRAM: u64 = 4 << 30;
const STACK_TOP: u64 = PROGRAM + 0x2000;
/// Stacks, physically.
const STACK_PAGES: u64 = DATA;
/// Tables of program n: level 1, 2 and 3.
const fn table(program: u64, level: u64) -> u64 {
    TABLES + 0x1_0000 + program * 0x4000 + level * 0x1000
}
/// What is saved of program n: x20, x21, x29, x30, SP, ELR, SPSR.
const fn context(program: u64) -> u64 {
    OWN + 0x100 + program * 0x80
}
const CURRENT: u64 = OWN;
const FINISHED: u64 = OWN + 8;

/// What program n adds at its three return points.
const fn amounts(program: u64) -> [u32; 3] {
    [[1, 0x20, 0x300], [7, 0xb0, 0xd00]][program as usize]
}

/// What is in the accumulators in the end.
pub fn expected(rounds: u64) -> [u64; 2] {
    [0, 1].map(|n| rounds * amounts(n).iter().map(|a| u64::from(*a)).sum::<u64>())
}

/// The guest; it prints the two accumulators.
pub fn assemble_spaces(how: Switch, rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (switch, end, over) = (g.a.label(), g.a.label(), g.a.label());
        g.a.b(over);
        let programs = [0, 1].map(|n| program(g, how, n));
        switching(g, how, switch, programs);
        finishing(g, how, end);
        if how.by_svc() {
            system_calls(g, switch, end);
        }
        g.a.bind(over);
        set_up(g, how, rounds, programs);
        // Into program 0, by the way that a switch back takes.
        g.a.load_address(X23, switch);
        g.a.load_address(X22, end);
        g.a.mov_imm(X9, CURRENT);
        g.a.movz(X10, 1, 0);
        go_to_other(g, how, programs);
    })
}

/// A page of code. x20 counts down, x21 accumulates, x23 switches, x22 ends.
fn program(g: &mut Guest, how: Switch, n: u64) -> Label {
    let [top, outer, inner] = amounts(n);
    let a = &mut g.a;
    a.align(4096);
    let start = a.here();
    let (f, inner_f) = (a.label(), a.label());
    a.bl(f);
    a.add_imm(X21, X21, top);
    a.subs_imm(X20, X20, 1);
    a.b_cond(Cond::Ne, start);
    if how.by_svc() {
        a.svc(1)
    } else {
        a.br(X22)
    }
    a.bind(f);
    a.stp(X29, X30, Addr::Pre(SP, -16));
    a.str(X21, Addr::Pre(SP, -16));
    a.bl(inner_f);
    // What this program put on its stack is still there.
    a.ldr(X9, Addr::Post(SP, 16));
    a.add_imm(X9, X9, inner);
    let own_stack = a.label();
    a.cmp(X9, X21);
    a.b_cond(Cond::Eq, own_stack);
    a.brk(0);
    a.bind(own_stack);
    a.add_imm(X21, X21, outer);
    a.ldp(X29, X30, Addr::Post(SP, 16));
    a.ret();
    a.bind(inner_f);
    a.stp(X29, X30, Addr::Pre(SP, -16));
    if how.by_svc() {
        a.svc(0)
    } else {
        a.blr(X23)
    }
    a.add_imm(X21, X21, inner);
    a.ldp(X29, X30, Addr::Post(SP, 16));
    a.ret();
    a.align(4096);
    start
}

/// Stores and loads of a context at x11.
fn save(g: &mut Guest, how: Switch) {
    let a = &mut g.a;
    a.stp(X20, X21, Addr::Off(X11, 0));
    a.stp(X29, X30, Addr::Off(X11, 16));
    if how.by_svc() {
        a.mrs(X12, SysReg::SP_EL0);
        a.mrs(X13, SysReg::ELR_EL1);
        a.mrs(X14, SysReg::SPSR_EL1);
        a.stp(X13, X14, Addr::Off(X11, 40));
    } else {
        a.mov_sp(X12, SP);
    }
    a.str(X12, Addr::Off(X11, 32));
}

fn load(g: &mut Guest, how: Switch) {
    let a = &mut g.a;
    a.ldp(X20, X21, Addr::Off(X11, 0));
    a.ldp(X29, X30, Addr::Off(X11, 16));
    a.ldr(X12, Addr::Off(X11, 32));
    if how.by_svc() {
        a.ldp(X13, X14, Addr::Off(X11, 40));
        a.msr(SysReg::SP_EL0, X12);
        a.msr(SysReg::ELR_EL1, X13);
        a.msr(SysReg::SPSR_EL1, X14);
    } else {
        a.mov_sp(SP, X12);
    }
}

/// The function that switches; it changes x9 to x15.
fn switching(g: &mut Guest, how: Switch, switch: Label, programs: [Label; 2]) {
    let a = &mut g.a;
    a.bind(switch);
    a.mov_imm(X9, CURRENT);
    a.ldr(X10, Addr::Off(X9, 0));
    a.mov_imm(X11, context(0));
    a.add(X11, X11, X10, 7);
    save(g, how);
    go_to_other(g, how, programs);
}

/// From program x10 to the other; x9 points to the number.
fn go_to_other(g: &mut Guest, how: Switch, programs: [Label; 2]) {
    let a = &mut g.a;
    a.eor_imm(X10, X10, 1);
    a.str(X10, Addr::Off(X9, 0));
    match how {
        Switch::Asid | Switch::Svc => {
            a.mov_imm(X12, table(0, 0) | 1 << 48);
            a.mov_imm(X13, 0x4000 | 1 << 48);
            a.madd(X12, X10, X13, X12);
            a.msr(SysReg::TTBR0_EL1, X12);
            a.isb();
        }
        Switch::Pair => {
            a.mov_imm(X12, table(0, 0));
            a.add(X12, X12, X10, 14);
            a.msr(SysReg::TTBR0_EL1, X12);
            a.isb();
            a.mov_imm(X12, TABLES | 4 << 48);
            a.mov_imm(X13, 0x1000 | 1 << 48);
            a.madd(X12, X10, X13, X12);
            a.msr(SysReg::TTBR1_EL1, X12);
            a.isb();
        }
        Switch::Invalidate => {
            a.mov_imm(X12, table(0, 0) | 5 << 48);
            a.add(X12, X12, X10, 14);
            a.msr(SysReg::TTBR0_EL1, X12);
            a.isb();
            a.tlbi_vmalle1();
            a.dsb(Barrier::Nsh);
            a.isb();
        }
        Switch::Remap => {
            a.mov_imm(X12, table(0, 2));
            a.stp(XZR, XZR, Addr::Off(X12, 0));
            a.dsb(Barrier::Ish);
            a.mov_imm(X13, PROGRAM >> 12);
            a.tlbi_vaae1is(X13);
            a.add_imm(X13, X13, 1);
            a.tlbi_vaae1is(X13);
            a.dsb(Barrier::Ish);
            page_descriptors(a, programs);
            a.stp(X13, X14, Addr::Off(X12, 0));
            a.dsb(Barrier::Ish);
            a.isb();
        }
    }
    a.mov_imm(X11, context(0));
    a.add(X11, X11, X10, 7);
    load(g, how);
    if how.by_svc() { g.a.eret() } else { g.a.ret() }
}

/// x13 and x14 become the entries of code and stack of program x10; changes x15.
fn page_descriptors(a: &mut Asm, programs: [Label; 2]) {
    a.load_address(X13, programs[0]);
    a.load_address(X15, programs[1]);
    a.cmp_imm(X10, 0);
    a.csel(X13, X13, X15, Cond::Eq);
    a.mov_imm(X15, d::PAGE | d::NORMAL | d::NOT_GLOBAL);
    a.orr(X13, X13, X15, 0);
    a.mov_imm(X14, STACK_PAGES);
    a.add(X14, X14, X10, 12);
    a.orr(X14, X14, X15, 0);
}

/// The first program that comes here lets the other one finish; then both accumulators are printed.
fn finishing(g: &mut Guest, how: Switch, end: Label) {
    g.a.bind(end);
    let (report, other) = (g.a.label(), g.a.label());
    let a = &mut g.a;
    a.mov_imm(X9, CURRENT);
    a.ldr(X10, Addr::Off(X9, 0));
    a.mov_imm(X11, context(0));
    a.add(X11, X11, X10, 7);
    // Into the context, where the accumulator stays.
    save(g, how);
    let a = &mut g.a;
    a.mov_imm(X12, FINISHED);
    a.ldr(X13, Addr::Off(X12, 0));
    a.cbnz(X13, report);
    a.movz(X13, 1, 0);
    a.str(X13, Addr::Off(X12, 0));
    a.b(other);
    a.bind(report);
    a.mov_imm(X0, STACKS);
    a.mov_sp(SP, X0);
    for n in [0, 1] {
        g.get(Reg::x(24 + n as u8), context(n) + 8);
    }
    g.line("sums", &[X24, X25]);
    let done = g.end_label();
    g.a.b(done);
    g.a.bind(other);
    g.a.br(X23);
}

fn system_calls(g: &mut Guest, switch: Label, end: Label) {
    let entry = g.a.here();
    g.handle(Vector::LowerSync, entry);
    let a = &mut g.a;
    a.mrs(X9, SysReg::ESR_EL1);
    a.lsr(X10, X9, 26);
    a.cmp_imm(X10, 0x15);
    let bad = a.label();
    a.b_cond(Cond::Ne, bad);
    a.and_imm(X9, X9, 0xffff);
    a.cbz(X9, switch);
    a.b(end);
    a.bind(bad);
    a.mrs(X10, SysReg::ELR_EL1);
    g.fail("exception of a program, ESR ELR", X9, X10);
}

fn set_up(g: &mut Guest, how: Switch, rounds: u64, programs: [Label; 2]) {
    let el0 = if how.by_svc() { d::EL0 | d::PXN } else { 0 };
    for n in [0, 1] {
        g.put(table(n, 0), d::BLOCK | d::DEVICE | d::PXN | d::UXN);
        g.put(table(n, 0) + 8, RAM | d::BLOCK | d::NORMAL);
        g.put(table(n, 0) + 8 * 4, table(n, 1) | d::PAGE);
        g.put(table(n, 1), table(n, 2) | d::PAGE);
        let a = &mut g.a;
        a.mov_imm(X10, n);
        page_descriptors(a, programs);
        a.mov_imm(X15, el0);
        a.orr(X13, X13, X15, 0);
        a.orr(X14, X14, X15, 0);
        a.mov_imm(X12, table(n, 2));
        a.stp(X13, X14, Addr::Off(X12, 0));
        // Program counts, accumulators, x29, x30 (ELR), SP, ELR, SPSR (EL0, all masked).
        for (at, value) in [(0, rounds), (8, 0), (16, 0), (24, PROGRAM), (32, STACK_TOP), (40, PROGRAM), (48, 0x3c0)] {
            g.put(context(n) + at, value);
        }
    }
    g.put(FINISHED, 0);
    let a = &mut g.a;
    a.dsb(Barrier::Sy);
    a.mov_imm(X12, table(0, 0) | 5 << 48);
    a.msr(SysReg::TTBR0_EL1, X12);
    if how == Switch::Pair {
        a.mov_imm(X12, TCR | 1 << 22);
        a.msr(SysReg::TCR_EL1, X12);
    }
    a.isb();
    a.tlbi_vmalle1();
    a.dsb(Barrier::Sy);
    a.isb();
}

/// A page of code that calls a function that puts another page in its place, whose rest it comes back to. Nothing else is done between that and the
/// return, so that what is remembered of the call is not forgotten for another reason. It prints the accumulator.
pub fn assemble_replaced_callers(rounds: u64) -> Vec<u8> {
    assemble(1, |g| {
        let (replace, end, over) = (g.a.label(), g.a.label(), g.a.label());
        g.a.b(over);
        let callers = [0, 1].map(|n| {
            let a = &mut g.a;
            a.align(4096);
            let start = a.here();
            a.blr(X24);
            a.add_imm(X21, X21, amounts(n)[0]);
            a.subs_imm(X20, X20, 1);
            a.b_cond(Cond::Ne, start);
            a.br(X22);
            a.align(4096);
            start
        });
        let a = &mut g.a;
        a.bind(replace);
        a.eor_imm(X10, X10, 1);
        a.mov_imm(X12, table(0, 2));
        a.str(XZR, Addr::Off(X12, 0));
        a.dsb(Barrier::Ish);
        a.mov_imm(X13, 5 << 48);
        a.tlbi_aside1(X13);
        a.dsb(Barrier::Nsh);
        page_descriptors(a, callers);
        a.str(X13, Addr::Off(X12, 0));
        a.dsb(Barrier::Ish);
        a.isb();
        a.ret();
        a.bind(over);
        set_up(g, Switch::Remap, rounds, callers);
        let a = &mut g.a;
        a.mov_imm(X20, rounds);
        a.mov(X21, XZR);
        a.mov(X10, XZR);
        a.load_address(X22, end);
        a.load_address(X24, replace);
        a.mov_imm(X9, PROGRAM);
        a.br(X9);
        g.a.bind(end);
        g.line("sum", &[X21]);
        let done = g.end_label();
        g.a.b(done);
    })
}

/// What that is in the end: the other page goes on each time.
pub fn expected_of_replaced_callers(rounds: u64) -> u64 {
    (1..=rounds).map(|n| u64::from(amounts(n % 2)[0])).sum()
}
