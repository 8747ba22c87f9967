//! Each side changes the other's code, in the page that has the code of both, and of what makes the change: the Arm CPU writes an instruction of the
//! hart's, sends a word, and the hart (after FENCE.I) must execute the new one; then the other way round, with the maintenance that the Arm
//! architecture asks for.

use crate::hart::{SIDE, Words, reg};
use crate::{HART_CODE, PAGE, Pair, arm, hart};
use emu_a64_asm::*;
use emu_machine_devices::mailbox::spec::{DATA, STATUS};
use emu_machine_duo::board::MAILBOX;
use emu_test_differential_riscv64::asm;

/// MOVZ W0, #0.
const MOVZ_W0: u64 = 0x5280_0000;
/// ADDI a0, zero, 0.
const ADDI_A0: u64 = 0x0000_0513;

/// The programs, for so many rounds: their numbers are immediates of both architectures, so fewer than 2048. The Arm CPU prints one more.
///
/// # Panics
/// When an assembler does.
pub fn pair(rounds: u32) -> Pair {
    // What is changed comes first on each side, behind a jump.
    let (arms, harts) = (PAGE + 4, PAGE + HART_CODE + 4);
    let mut a = Asm::new(PAGE);
    let start = a.label();
    a.b(start);
    a.movz(W0, 0, 0);
    a.ret();
    a.bind(start);
    a.mov_imm(X10, MAILBOX.base);
    a.mov_imm(X11, harts);
    a.mov_imm(X12, arms);
    a.mov_imm(X13, 1);
    let (next, wrong) = (a.here(), a.label());
    a.mov_imm(W1, ADDI_A0);
    a.lsl(W2, W13, 20);
    a.orr(W1, W1, W2, 0);
    a.str(W1, Addr::Off(X11, 0));
    a.dmb(Barrier::Sy);
    a.str(X13, Addr::Off(X10, DATA as i32));
    let wait = a.here();
    a.ldr(W1, Addr::Off(X10, STATUS as i32));
    a.tst_imm(W1, 0xff);
    a.b_cond(Cond::Eq, wait);
    a.ldr(X1, Addr::Off(X10, DATA as i32));
    a.cmp(X1, X13);
    a.b_cond(Cond::Ne, wrong);
    // DC CVAU, IC IVAU.
    a.sys(3, 7, 11, 1, X12);
    a.dsb(Barrier::Ish);
    a.sys(3, 7, 5, 1, X12);
    a.dsb(Barrier::Ish);
    a.isb();
    a.blr(X12);
    a.cmp(X0, X13);
    a.b_cond(Cond::Ne, wrong);
    a.add_imm(X13, X13, 1);
    a.cmp_imm(X13, rounds);
    a.b_cond(Cond::Ls, next);
    a.mov(X0, X13);
    arm::print(&mut a);
    arm::pass(&mut a);
    a.bind(wrong);
    arm::fail(&mut a);

    use reg::*;
    let mut h = asm::Asm::default();
    let [start, next, right, same] = [(); 4].map(|()| h.label());
    h.j(start);
    h.addi(A0, ZERO, 0);
    h.ret();
    h.place(start);
    hart::first_only(&mut h);
    h.li(A1, SIDE);
    h.li(A2, harts);
    h.li(A3, arms);
    h.place(next);
    h.lw(T0, STATUS as i32, A1);
    h.andi(T0, T0, 0xff);
    h.beq(T0, ZERO, next);
    h.ld(A4, DATA as i32, A1);
    h.fence_i();
    h.immediate(0x67, 0, RA, A2, 0);
    h.beq(A0, A4, right);
    hart::fail(&mut h);
    h.place(right);
    h.li(T0, MOVZ_W0);
    h.slli(T1, A4, 5);
    h.add(T0, T0, T1);
    h.sw(T0, 0, A3);
    h.fence();
    h.lw(T1, 0, A3);
    h.beq(T0, T1, same);
    hart::fail(&mut h);
    h.place(same);
    h.sd(A4, DATA as i32, A1);
    h.j(next);
    let vectors = arm::vectors(PAGE);
    Pair::new(a.finish().unwrap(), hart::bytes(h), vectors)
}
