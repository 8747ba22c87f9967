//! Every register over exceptions: a program at EL0 (and one at EL1) computes in all its registers, calls the kernel in each round and
//! looks whether all still hold what they should, while the timer interrupts it every few microseconds. Another CPU, if there is one, invalidates
//! translations and code all the time, which asks the first for attention at any place.
//!
//! General register k of those tested holds (k + 1) q in a round, where q is in memory; vector registers hold two of them; the flags, SP,
//! FPCR, FPSR and TPIDR_EL0 come from q too. Three general registers and a vector are needed for looking: a second phase takes others.

use crate::guest::{descriptor as d, *};
use crate::words::Words;
use emu_a64_asm::*;

/// EL0 sees RAM this much higher.
const EL0_VIEW: u64 = 1 << 32;

/// q, the sum of what SVCs carry, interrupts, the random state of the timer, rounds left, the end.
const Q: u64 = OWN;
const SVC_SUM: u64 = OWN + 8;
const INTERRUPTS: u64 = OWN + 16;
const RANDOM: u64 = OWN + 24;
const LEFT: u64 = OWN + 32;
const STOP: u64 = OWN + 0x100;

/// q grows by this in each round; 28 times it is an immediate.
const STEP: u32 = 100;
const FIRST_Q: u64 = 0x9e37_79b9_7f4a_7c15;

/// What SVC carries; the one that ends a phase.
const CALL: u16 = 3;
const PHASE_OVER: u16 = 0xffff;

/// BRK tells what was lost: general registers from 0, vectors from this on, then the others.
const LOST_VECTOR: u16 = 32;
const LOST_FLAGS: u16 = 64;
const LOST_SP: u16 = 65;
const LOST_FPCR: u16 = 66;
const LOST_FPSR: u16 = 67;
const LOST_TPIDR: u16 = 68;

const GICD: u64 = 0x0800_0000;
const GICR: u64 = 0x080a_0000;
const GICR_SGI: u64 = GICR + 0x1_0000;
/// The virtual timer's interrupt.
const TIMER: u32 = 27;

/// The mask of FPSR: QC and the cumulative bits; of FPCR: RMode.
const FPSR_BITS: u64 = 0x0800_009f;
const FPCR_BITS: u64 = 3 << 22;

/// A phase: where it runs, and the registers that it does not test.
struct Phase {
    el0: bool,
    t: [Reg; 3],
    v: VReg,
}

/// The guest: `rounds` rounds in each of two phases at EL0, and a quarter of that in one at EL1. It prints the sum of what was called, and
/// the number of interrupts.
pub fn assemble_registers(cpus: u64, rounds: u64) -> Vec<u8> {
    assemble(cpus, |g| {
        let (sync, irq, over) = (g.a.label(), g.a.label(), g.a.label());
        for vector in [Vector::Sync, Vector::LowerSync] {
            g.handle(vector, sync);
        }
        for vector in [Vector::Irq, Vector::LowerIrq] {
            g.handle(vector, irq);
        }
        g.a.b(over);
        let phases = [
            Phase { el0: true, t: [X28, X29, X30], v: VReg(31) },
            Phase { el0: true, t: [X0, X1, X2], v: VReg(0) },
            Phase { el0: false, t: [X15, X16, X17], v: VReg(7) },
        ];
        let entries = phases.each_ref().map(|p| program(g, p));
        system_calls(g, sync);
        interrupts(g, irq);
        g.a.bind(over);
        g.only(1, disturb);
        g.only(0, |g| {
            g.put(TABLES + 8 * 5, RAM | d::BLOCK | d::NORMAL | d::EL0 | d::PXN);
            g.a.dsb(Barrier::Ish);
            g.a.isb();
            g.put(SVC_SUM, 0);
            timer_on(g);
            for (phase, entry) in phases.iter().zip(entries) {
                let rounds = if phase.el0 { rounds } else { rounds.div_ceil(4) };
                run_phase(g, phase, entry, rounds);
            }
            g.a.msr(SysReg::CNTV_CTL_EL0, XZR);
            g.put(STOP, 1);
            g.get(X5, SVC_SUM);
            g.get(X6, INTERRUPTS);
            g.line("calls", &[X5]);
            g.line("interrupts", &[X6]);
        });
    })
}

/// What the calls must add up to.
pub fn expected_calls(rounds: u64) -> u64 {
    u64::from(CALL) * (2 * rounds + rounds.div_ceil(4))
}

/// The second CPU: broadcasts until the end.
fn disturb(g: &mut Guest) {
    let a = &mut g.a;
    a.mov_imm(X10, STOP);
    a.mov(X11, XZR);
    let again = a.here();
    a.add_imm(X11, X11, 1);
    a.tlbi_vmalle1is();
    a.dsb(Barrier::Ish);
    let no = a.label();
    a.tst_imm(X11, 0xff);
    a.b_cond(Cond::Ne, no);
    a.ic_ialluis();
    a.dsb(Barrier::Ish);
    a.bind(no);
    a.and_imm(X12, X11, 0x7ff);
    let wait = a.here();
    a.subs_imm(X12, X12, 1);
    a.b_cond(Cond::Gt, wait);
    a.ldr(X12, Addr::Off(X10, 0));
    a.cbz(X12, again);
}

fn timer_on(g: &mut Guest) {
    let set = |g: &mut Guest, address: u64, value: u64| {
        g.a.mov_imm(X0, address);
        g.a.mov_imm(X1, value);
        g.a.str(W1, Addr::Off(X0, 0));
    };
    set(g, GICR + 0x14, 0); // GICR_WAKER
    set(g, GICD, 0x12); // GICD_CTLR: ARE, EnableGrp1
    set(g, GICR_SGI + 0x80, 1 << TIMER); // GICR_IGROUPR0
    set(g, GICR_SGI + 0x100, 1 << TIMER); // GICR_ISENABLER0
    for (register, value) in [(SysReg::ICC_SRE_EL1, 7), (SysReg::ICC_PMR_EL1, 0xf8), (SysReg::ICC_IGRPEN1_EL1, 1)] {
        g.a.mov_imm(X0, value);
        g.a.msr(register, X0);
        g.a.isb();
    }
    g.put(INTERRUPTS, 0);
    g.put(RANDOM, 1);
    g.a.mov_imm(X0, 2000);
    g.a.msr(SysReg::CNTV_TVAL_EL0, X0);
    g.a.movz(X0, 1, 0);
    g.a.msr(SysReg::CNTV_CTL_EL0, X0);
    g.a.isb();
}

/// Enters a phase; SVC #PHASE_OVER comes back behind it, with x19 and x28 the frame's again.
fn run_phase(g: &mut Guest, phase: &Phase, entry: Label, rounds: u64) {
    g.put(Q, FIRST_Q);
    g.put(LEFT, rounds);
    let back = g.a.label();
    let a = &mut g.a;
    a.load_address(X0, back);
    a.msr(SysReg::TPIDR_EL1, X0);
    a.load_address(X0, entry);
    // PSTATE: EL0, or EL1 with SP_EL1; interrupts on, D, A and F off.
    a.mov_imm(X1, if phase.el0 { 0x340 } else { 0x345 });
    if phase.el0 {
        a.mov_imm(X2, EL0_VIEW);
        a.add(X0, X0, X2, 0);
    }
    a.msr(SysReg::ELR_EL1, X0);
    a.msr(SysReg::SPSR_EL1, X1);
    a.eret();
    a.bind(back);
    a.msr_imm(PState::DaifSet, 15);
    a.msr(SysReg::FPCR, XZR);
    a.mov(X19, XZR);
    a.mov_imm(X28, UART);
}

/// SVC: adds what it carries, after using vector registers and the floating-point mode itself. BRK: something was lost.
fn system_calls(g: &mut Guest, sync: Label) {
    let (over, lost) = (g.a.label(), g.a.label());
    let a = &mut g.a;
    a.bind(sync);
    a.stp(X0, X1, Addr::Pre(SP, -16));
    a.stp(X2, X3, Addr::Pre(SP, -16));
    a.mrs(X0, SysReg::ESR_EL1);
    a.lsr(X1, X0, 26);
    a.cmp_imm(X1, 0x15);
    a.b_cond(Cond::Ne, lost);
    a.and_imm(X0, X0, 0xffff);
    a.mov_imm(X1, PHASE_OVER.into());
    a.cmp(X0, X1);
    a.b_cond(Cond::Eq, over);
    a.str_q(VReg(5), Addr::Pre(SP, -16));
    a.mrs(X3, SysReg::FPCR);
    a.msr(SysReg::FPCR, XZR);
    a.mov_imm(X1, SVC_SUM);
    a.ldr(X2, Addr::Off(X1, 0));
    a.dup_2d(VReg(5), X2);
    a.umov_d(X2, VReg(5), 1);
    a.add(X2, X2, X0, 0);
    a.str(X2, Addr::Off(X1, 0));
    a.msr(SysReg::FPCR, X3);
    a.ldr_q(VReg(5), Addr::Post(SP, 16));
    a.ldp(X2, X3, Addr::Post(SP, 16));
    a.ldp(X0, X1, Addr::Post(SP, 16));
    a.eret();
    a.bind(over);
    a.add_imm(SP, SP, 32);
    a.mrs(X0, SysReg::TPIDR_EL1);
    a.br(X0);
    a.bind(lost);
    a.mrs(X1, SysReg::ELR_EL1);
    a.and_imm(X2, X0, 0xffff);
    a.lsr(X3, X0, 26);
    // EC: BRK.
    a.cmp_imm(X3, 0x3c);
    g.expect(Cond::Eq, "exception: ESR, ELR", X0, X1);
    g.get(X3, LEFT);
    g.fail("a register was lost (number; rounds left)", X2, X3);
}

/// Counts, and sets the timer to 4 to 60 microseconds from now.
fn interrupts(g: &mut Guest, irq: Label) {
    let a = &mut g.a;
    let none = a.label();
    a.bind(irq);
    a.stp(X0, X1, Addr::Pre(SP, -16));
    a.stp(X2, X3, Addr::Pre(SP, -16));
    a.mrs(X0, SysReg::ICC_IAR1_EL1);
    a.cmp_imm(X0, TIMER);
    a.b_cond(Cond::Ne, none);
    a.mov_imm(X1, INTERRUPTS);
    a.ldr(X2, Addr::Off(X1, 0));
    a.add_imm(X2, X2, 1);
    a.str(X2, Addr::Off(X1, 0));
    a.ldr(X2, Addr::Off(X1, (RANDOM - INTERRUPTS) as i32));
    a.mov_imm(X3, 0x5851_f42d_4c95_7f2d);
    a.mul(X2, X2, X3);
    a.add_imm(X2, X2, 0x14f);
    a.str(X2, Addr::Off(X1, (RANDOM - INTERRUPTS) as i32));
    a.lsr(X2, X2, 60);
    a.mrs(X3, SysReg::CNTFRQ_EL0);
    a.lsr(X3, X3, 18);
    a.madd(X2, X2, X3, X3);
    a.msr(SysReg::CNTV_TVAL_EL0, X2);
    a.isb();
    a.msr(SysReg::ICC_EOIR1_EL1, X0);
    a.bind(none);
    a.ldp(X2, X3, Addr::Post(SP, 16));
    a.ldp(X0, X1, Addr::Post(SP, 16));
    a.eret();
}

/// Goes to BRK #what unless `r` is zero.
fn check_zero(a: &mut Asm, r: Reg, what: u16) {
    let good = a.label();
    a.cbz(r, good);
    a.brk(what);
    a.bind(good);
}

/// The program of a phase.
fn program(g: &mut Guest, phase: &Phase) -> Label {
    let view = if phase.el0 { EL0_VIEW } else { 0 };
    let [t0, t1, t2] = phase.t;
    let tested: Vec<Reg> = (0..31).map(Reg::x).filter(|r| !phase.t.contains(r)).collect();
    let vectors: Vec<VReg> = (0..32).map(VReg).filter(|v| *v != phase.v).collect();
    let pair = |j: usize| (tested[j % tested.len()], tested[(7 * j + 3) % tested.len()]);
    let a = &mut g.a;
    let entry = a.here();
    let q = |a: &mut Asm, to: Reg| {
        a.mov_imm(to, Q + view);
        a.ldr(to, Addr::Off(to, 0));
    };
    q(a, t0);
    a.mov(t1, XZR);
    for r in &tested {
        a.add(t1, t1, t0, 0);
        a.mov(*r, t1);
    }
    let round = a.here();
    // The next q, in memory and in the registers.
    a.mov_imm(t1, Q + view);
    a.ldr(t0, Addr::Off(t1, 0));
    a.add_imm(t0, t0, STEP);
    a.str(t0, Addr::Off(t1, 0));
    for (k, r) in (1..).zip(&tested) {
        a.add_imm(*r, *r, k * STEP);
    }
    for (j, v) in vectors.iter().enumerate() {
        a.dup_2d(*v, pair(j).0);
        a.ins_d1(*v, pair(j).1);
    }
    if phase.el0 {
        a.mov_sp(SP, t0);
    }
    a.msr(SysReg::TPIDR_EL0, t0);
    a.mov_imm(t1, FPCR_BITS);
    a.and(t1, t1, t0, 0);
    a.msr(SysReg::FPCR, t1);
    a.mov_imm(t1, FPSR_BITS);
    a.and(t1, t1, t0, 0);
    a.msr(SysReg::FPSR, t1);
    a.ubfx(t1, t0, 3, 4);
    a.lsl(t1, t1, 28);
    a.msr(SysReg::NZCV, t1);
    let wait = |a: &mut Asm| {
        a.movz(t1, 6, 0);
        let again = a.here();
        a.sub_imm(t1, t1, 1);
        a.cbnz(t1, again);
    };
    wait(a);
    a.svc(CALL);
    wait(a);
    // Nothing up to here changed the flags.
    a.mrs(t2, SysReg::NZCV);
    q(a, t0);
    a.ubfx(t1, t0, 3, 4);
    a.lsr(t2, t2, 28);
    a.eor(t2, t2, t1, 0);
    check_zero(a, t2, LOST_FLAGS);
    a.mov(t1, XZR);
    for r in &tested {
        a.add(t1, t1, t0, 0);
        a.eor(t2, t1, *r, 0);
        check_zero(a, t2, r.num() as u16);
    }
    for (j, v) in vectors.iter().enumerate() {
        let vt = phase.v;
        a.dup_2d(vt, pair(j).0);
        a.ins_d1(vt, pair(j).1);
        a.eor_16b(vt, vt, *v);
        a.umov_d(t1, vt, 0);
        a.umov_d(t2, vt, 1);
        a.orr(t2, t2, t1, 0);
        check_zero(a, t2, LOST_VECTOR + u16::from(v.0));
    }
    if phase.el0 {
        a.mov_sp(t2, SP);
        a.eor(t2, t2, t0, 0);
        check_zero(a, t2, LOST_SP);
    }
    for (register, bits, what) in
        [(SysReg::FPCR, FPCR_BITS, LOST_FPCR), (SysReg::FPSR, FPSR_BITS, LOST_FPSR), (SysReg::TPIDR_EL0, u64::MAX, LOST_TPIDR)]
    {
        a.mrs(t2, register);
        if bits == u64::MAX {
            a.eor(t2, t2, t0, 0);
        } else {
            a.mov_imm(t1, bits);
            a.and(t1, t1, t0, 0);
            a.eor(t2, t2, t1, 0);
        }
        check_zero(a, t2, what);
    }
    a.mov_imm(t1, LEFT + view);
    a.ldr(t0, Addr::Off(t1, 0));
    a.sub_imm(t0, t0, 1);
    a.str(t0, Addr::Off(t1, 0));
    let done = a.label();
    a.cbz(t0, done);
    a.b(round);
    a.bind(done);
    a.svc(PHASE_OVER);
    entry
}
