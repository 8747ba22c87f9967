//! Random messages both ways at the same time.
//!
//! A message is a number, a length, that many random words and a sum, in one of [`SLOTS`] places in RAM by its number; the mailbox carries the
//! number. Whoever gets it, in an interrupt, checks that it is the next one and that the sum is right, and adds the sum to its sum of all. A sender that
//! finds the mailbox full waits for the interrupt that says there is room. At the end the Arm CPU prints both sums of all.

use crate::hart::{CLAIM, SIDE, Words, reg};
use crate::{FROM_ARM, FROM_HART, HART_CODE, PAGE, Pair, SHARED, arm, hart};
use emu_a64_asm::*;
use emu_machine_devices::mailbox::spec::{DATA, ENABLE, STATUS, cause};
use emu_machine_duo::board::{MAILBOX, MAILBOX_SOURCE};
use emu_test_differential_riscv64::asm;

/// Places for messages each way: more than can be under way.
pub const SLOTS: u64 = 32;
/// log2 of the size of a place.
const SLOT_BITS: u32 = 7;
/// Most words of a message, a power of two.
const WORDS: u64 = 8;
/// The multiplier of sums.
const K: u64 = 0x9e37_79b9_7f4a_7c15;

/// How often the machine was reset: RAM keeps it.
const RESETS: u64 = PAGE + 0x8000;
/// The hart's sum of all is at `SHARED`, and behind it, when it is done, not 0.
const DONE: i32 = 8;

/// What the programs do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Messages each way.
    pub messages: u64,
    /// What the random numbers of the Arm CPU and of the hart begin with; not 0.
    pub seeds: [u64; 2],
    /// The Arm CPU runs with its MMU on, its code at another virtual address than its interrupt handler's and the hart's.
    pub alias: bool,
    /// So many times the machine is reset at the end, and begins again.
    pub resets: u64,
}

fn shuffled(x: u64) -> u64 {
    let x = x ^ x << 13;
    let x = x ^ x >> 7;
    x ^ x << 17
}

fn mixed(sum: u64, word: u64) -> u64 {
    let s = (sum ^ word).wrapping_mul(K);
    s ^ s >> 29
}

/// The sum of all messages that a sender with that seed sends.
fn sum_of_all(messages: u64, seed: u64) -> u64 {
    let (mut x, mut all) = (seed, 0);
    for number in 0..messages {
        x = shuffled(x);
        let mut sum = number;
        for _ in 0..x % WORDS + 1 {
            x = shuffled(x);
            sum = mixed(sum, x);
        }
        all = mixed(all, sum);
    }
    all
}

impl Plan {
    /// What the Arm CPU prints: its sum of all, which is of the hart's messages, and the hart's; after each reset again.
    pub fn printed(&self) -> String {
        let once = format!("{:016x}\n{:016x}\n", sum_of_all(self.messages, self.seeds[1]), sum_of_all(self.messages, self.seeds[0]));
        once.repeat(1 + self.resets as usize)
    }
    /// The programs.
    ///
    /// # Panics
    /// When an assembler does.
    pub fn pair(&self) -> Pair {
        let (arm, handler) = self.arm();
        Pair::new(arm, self.hart(), arm::vectors(handler))
    }

    /// The Arm CPU's code and the address of its interrupt handler. X0 random, X1 next number, X2 messages, X3 places, X4 mailbox, X5 multiplier;
    /// of the handler's X20 number expected, X21 sum of all, X22 places, X23 mailbox, X24 multiplier.
    fn arm(&self) -> (Vec<u8>, u64) {
        let mut a = Asm::new(PAGE);
        if self.alias {
            arm::alias(&mut a);
        }
        arm_constants(&mut a);
        arm::interrupts(&mut a);
        a.mov_imm(X0, self.seeds[0]);
        a.mov_imm(X1, 0);
        a.mov_imm(X2, self.messages);
        a.mov_imm(X3, FROM_ARM);
        a.mov_imm(X4, MAILBOX.base);
        a.mov_imm(X5, K);

        let (next, sent, room, compose) = (a.here(), a.label(), a.label(), a.label());
        a.cmp(X1, X2);
        a.b_cond(Cond::Eq, sent);
        a.bind(room);
        a.ldr(W6, Addr::Off(X4, STATUS as i32));
        a.ubfx(W6, W6, 8, 8);
        a.cbnz(W6, compose);
        a.msr_imm(PState::DaifSet, 2);
        a.mov_imm(W6, (cause::WORD | cause::ROOM).into());
        a.str(W6, Addr::Off(X4, ENABLE as i32));
        arm::wait(&mut a);
        a.b(room);

        a.bind(compose);
        arm_shuffle(&mut a);
        a.and_imm(X6, X1, SLOTS - 1);
        a.lsl(X6, X6, SLOT_BITS);
        a.add(X6, X3, X6, 0);
        a.and_imm(X7, X0, WORDS - 1);
        a.add_imm(X7, X7, 1);
        a.str(X1, Addr::Post(X6, 8));
        a.str(X7, Addr::Post(X6, 8));
        a.mov(X8, X1);
        let word = a.here();
        arm_shuffle(&mut a);
        a.str(X0, Addr::Post(X6, 8));
        a.eor(X8, X8, X0, 0);
        a.mul(X8, X8, X5);
        a.lsr(X9, X8, 29);
        a.eor(X8, X8, X9, 0);
        a.subs_imm(X7, X7, 1);
        a.b_cond(Cond::Ne, word);
        a.str(X8, Addr::Off(X6, 0));
        a.dmb(Barrier::Sy);
        a.str(X1, Addr::Off(X4, DATA as i32));
        a.add_imm(X1, X1, 1);
        // Some time passes.
        a.ubfx(X9, X0, 40, 4);
        let some = a.here();
        a.cbz(X9, next);
        a.sub_imm(X9, X9, 1);
        a.b(some);

        a.bind(sent);
        let received = a.label();
        let waiting = a.here();
        a.msr_imm(PState::DaifSet, 2);
        a.cmp(X20, X2);
        a.b_cond(Cond::Eq, received);
        arm::wait(&mut a);
        a.b(waiting);
        a.bind(received);
        a.mov_imm(X4, SHARED);
        let hart = a.here();
        a.add_imm(X6, X4, DONE as u32);
        a.ldar(X6, X6);
        a.cbz(X6, hart);
        a.mov(X0, X21);
        arm::print(&mut a);
        a.ldr(X0, Addr::Off(X4, 0));
        arm::print(&mut a);
        a.mov_imm(X4, RESETS);
        a.ldr(X0, Addr::Off(X4, 0));
        a.add_imm(X1, X0, 1);
        a.str(X1, Addr::Off(X4, 0));
        a.cmp_imm(X0, self.resets as u32);
        let last = a.label();
        a.b_cond(Cond::Eq, last);
        arm::reset(&mut a);
        a.bind(last);
        arm::pass(&mut a);

        let handler = a.pc();
        arm_handler(&mut a);
        (a.finish().unwrap(), handler)
    }

    /// The hart's code. a0 random, a1 next number, a2 messages, a3 places, a4 mailbox, a5 multiplier; of the handler's t3, s0 claim, s1 number
    /// expected, s2 sum of all, s3 places, s4 mailbox, s5 multiplier.
    fn hart(&self) -> Vec<u8> {
        use reg::*;
        let mut a = asm::Asm::default();
        let start = a.label();
        a.j(start);
        let handler = PAGE + HART_CODE + a.here();
        hart_handler(&mut a);

        a.place(start);
        hart::first_only(&mut a);
        a.li(T0, SHARED);
        a.sd(ZERO, DONE, T0);
        for (r, value) in [(S0, CLAIM), (S1, 0), (S2, 0), (S3, FROM_ARM), (S4, SIDE), (S5, K)] {
            a.li(r, value);
        }
        hart::interrupts(&mut a, handler);
        for (r, value) in [(A0, self.seeds[1]), (A1, 0), (A2, self.messages), (A3, FROM_HART), (A4, SIDE), (A5, K)] {
            a.li(r, value);
        }
        let [next, sent, room, compose] = [(); 4].map(|()| a.label());
        a.place(next);
        a.beq(A1, A2, sent);
        a.place(room);
        a.lw(T0, STATUS as i32, A4);
        a.srli(T0, T0, 8);
        a.bne(T0, ZERO, compose);
        a.mask(true);
        a.addi(T0, ZERO, (cause::WORD | cause::ROOM) as i32);
        a.sw(T0, ENABLE as i32, A4);
        hart::wait(&mut a);
        a.j(room);

        a.place(compose);
        hart_shuffle(&mut a);
        a.andi(T0, A1, (SLOTS - 1) as i32);
        a.slli(T0, T0, SLOT_BITS as i32);
        a.add(T0, T0, A3);
        a.andi(T1, A0, (WORDS - 1) as i32);
        a.addi(T1, T1, 1);
        a.sd(A1, 0, T0);
        a.sd(T1, 8, T0);
        a.mv(A6, A1);
        let word = a.label();
        a.place(word);
        hart_shuffle(&mut a);
        a.sd(A0, 16, T0);
        a.addi(T0, T0, 8);
        a.xor(A6, A6, A0);
        a.mul(A6, A6, A5);
        a.srli(A7, A6, 29);
        a.xor(A6, A6, A7);
        a.addi(T1, T1, -1);
        a.bne(T1, ZERO, word);
        a.sd(A6, 16, T0);
        a.fence();
        a.sd(A1, DATA as i32, A4);
        a.addi(A1, A1, 1);
        // Some time passes.
        a.srli(T0, A0, 40);
        a.andi(T0, T0, 15);
        let some = a.label();
        a.place(some);
        a.beq(T0, ZERO, next);
        a.addi(T0, T0, -1);
        a.j(some);

        a.place(sent);
        let received = a.label();
        a.mask(true);
        a.beq(S1, A2, received);
        hart::wait(&mut a);
        a.j(sent);
        a.place(received);
        a.li(T0, SHARED);
        a.sd(S2, 0, T0);
        a.fence();
        a.addi(T1, ZERO, 1);
        a.sd(T1, DONE, T0);
        hart::stay(&mut a);
        hart::bytes(a)
    }
}

fn arm_constants(a: &mut Asm) {
    a.mov_imm(X20, 0);
    a.mov_imm(X21, 0);
    a.mov_imm(X22, FROM_HART);
    a.mov_imm(X23, MAILBOX.base);
    a.mov_imm(X24, K);
}

/// X0 becomes the next random number. Changes X9.
fn arm_shuffle(a: &mut Asm) {
    a.lsl(X9, X0, 13);
    a.eor(X0, X0, X9, 0);
    a.lsr(X9, X0, 7);
    a.eor(X0, X0, X9, 0);
    a.lsl(X9, X0, 17);
    a.eor(X0, X0, X9, 0);
}

fn arm_handler(a: &mut Asm) {
    let [over, wrong, drained] = [(); 3].map(|()| a.label());
    a.mrs(X28, SysReg::ICC_IAR1_EL1);
    a.cmp_imm(X28, arm::INTERRUPT);
    a.b_cond(Cond::Ne, over);
    let next = a.here();
    a.ldr(W16, Addr::Off(X23, STATUS as i32));
    a.tst_imm(W16, 0xff);
    // The handler's comparisons are nobody else's: SPSR_EL1 has the flags of what was interrupted.
    a.b_cond(Cond::Eq, drained);
    a.ldr(X16, Addr::Off(X23, DATA as i32));
    a.cmp(X16, X20);
    a.b_cond(Cond::Ne, wrong);
    a.and_imm(X17, X16, SLOTS - 1);
    a.lsl(X17, X17, SLOT_BITS);
    a.add(X17, X22, X17, 0);
    a.ldr(X18, Addr::Post(X17, 8));
    a.cmp(X18, X20);
    a.b_cond(Cond::Ne, wrong);
    a.ldr(X19, Addr::Post(X17, 8));
    let word = a.here();
    a.ldr(X26, Addr::Post(X17, 8));
    a.eor(X18, X18, X26, 0);
    a.mul(X18, X18, X24);
    a.lsr(X26, X18, 29);
    a.eor(X18, X18, X26, 0);
    a.subs_imm(X19, X19, 1);
    a.b_cond(Cond::Ne, word);
    a.ldr(X26, Addr::Off(X17, 0));
    a.cmp(X18, X26);
    a.b_cond(Cond::Ne, wrong);
    a.eor(X21, X21, X18, 0);
    a.mul(X21, X21, X24);
    a.lsr(X26, X21, 29);
    a.eor(X21, X21, X26, 0);
    a.add_imm(X20, X20, 1);
    a.b(next);
    a.bind(drained);
    a.mov_imm(W16, cause::WORD.into());
    a.str(W16, Addr::Off(X23, ENABLE as i32));
    a.msr(SysReg::ICC_EOIR1_EL1, X28);
    a.bind(over);
    a.eret();
    a.bind(wrong);
    arm::fail(a);
}

/// a0 becomes the next random number. Changes t2.
fn hart_shuffle(a: &mut asm::Asm) {
    use reg::*;
    a.slli(T2, A0, 13);
    a.xor(A0, A0, T2);
    a.srli(T2, A0, 7);
    a.xor(A0, A0, T2);
    a.slli(T2, A0, 17);
    a.xor(A0, A0, T2);
}

fn hart_handler(a: &mut asm::Asm) {
    use reg::*;
    let [next, over, wrong, drained, right, word] = [(); 6].map(|()| a.label());
    a.lw(T3, 0, S0);
    a.beq(T3, ZERO, over);
    a.addi(S6, T3, -(MAILBOX_SOURCE as i32));
    a.bne(S6, ZERO, wrong);
    a.place(next);
    a.lw(S6, STATUS as i32, S4);
    a.andi(S6, S6, 0xff);
    a.beq(S6, ZERO, drained);
    a.ld(S6, DATA as i32, S4);
    a.bne(S6, S1, wrong);
    a.andi(S7, S6, (SLOTS - 1) as i32);
    a.slli(S7, S7, SLOT_BITS as i32);
    a.add(S7, S7, S3);
    a.ld(S6, 0, S7);
    a.bne(S6, S1, wrong);
    a.ld(S8, 8, S7);
    a.place(word);
    a.ld(S9, 16, S7);
    a.addi(S7, S7, 8);
    a.xor(S6, S6, S9);
    a.mul(S6, S6, S5);
    a.srli(S9, S6, 29);
    a.xor(S6, S6, S9);
    a.addi(S8, S8, -1);
    a.bne(S8, ZERO, word);
    a.ld(S9, 16, S7);
    a.beq(S9, S6, right);
    a.place(wrong);
    hart::fail(a);
    a.place(right);
    a.xor(S2, S2, S6);
    a.mul(S2, S2, S5);
    a.srli(S9, S2, 29);
    a.xor(S2, S2, S9);
    a.addi(S1, S1, 1);
    a.j(next);
    a.place(drained);
    a.addi(S6, ZERO, cause::WORD as i32);
    a.sw(S6, ENABLE as i32, S4);
    a.sw(T3, 0, S0);
    a.place(over);
    a.mret();
}
