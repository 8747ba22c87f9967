//! Loads and stores: small records, pointers, bulk, strings.

use crate::guest::*;
use emu_a64_asm::*;

const RECORDS: u64 = 64;

/// Reads and writes fields of all sizes in 64 records of 32 bytes.
pub fn records(a: &mut Asm, _: Frame, repeats: u64) {
    fill(a, DATA, RECORDS * 4, 5);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.mov_imm(X1, DATA);
        repeat(a, X2, RECORDS, |a| {
            a.ldp(X3, X4, Addr::Off(X1, 0));
            a.ldrsw(X5, Addr::Off(X1, 16));
            a.ldrh(W6, Addr::Off(X1, 20));
            a.ldrb(W7, Addr::Off(X1, 22));
            a.ldr(X8, Addr::Off(X1, 24));
            a.add(X3, X3, X5, 0);
            a.eor(X4, X4, X3, 1);
            a.add(X6, X6, X7, 0);
            a.add_imm(X7, X7, 1);
            a.add(X0, X0, X4, 0);
            a.stp(X3, X4, Addr::Off(X1, 0));
            a.str(W8, Addr::Off(X1, 16));
            a.strh(W6, Addr::Off(X1, 20));
            a.strb(W7, Addr::Off(X1, 22));
            a.str(X0, Addr::Off(X1, 24));
            a.add_imm(X1, X1, 32);
        });
    });
}

/// The same over structures.
pub fn records_model(repeats: u64) -> u64 {
    struct Record(u64, u64, u32, u16, u8, u64);
    let split = |w: &[u64]| Record(w[0], w[1], w[2] as u32, (w[2] >> 32) as u16, (w[2] >> 48) as u8, w[3]);
    let mut all: Vec<Record> = filled(RECORDS as usize * 4, 5).chunks(4).map(split).collect();
    let mut sum = 0u64;
    for _ in 0..repeats {
        for r in &mut all {
            r.0 = r.0.wrapping_add(r.2 as i32 as u64);
            r.1 ^= r.0 << 1;
            r.3 = r.3.wrapping_add(r.4.into());
            r.4 = r.4.wrapping_add(1);
            sum = sum.wrapping_add(r.1);
            r.2 = r.5 as u32;
            r.5 = sum;
        }
    }
    sum
}

/// Pointers in the ring; they take 256 KiB.
const RING: u64 = 1 << 15;
/// Index i is followed by `i * STEP.0 + STEP.1` modulo the ring, which visits all.
const STEP: (u64, u64) = (0x4e6d, 0x3039);

/// Follows a ring of pointers in a scattered order, once round each time.
pub fn chase(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X1, DATA);
    a.mov_imm(X2, STEP.0);
    a.mov_imm(X3, STEP.1);
    a.mov(X4, XZR);
    repeat(a, X5, RING, |a| {
        a.madd(X6, X4, X2, X3);
        a.and_imm(X6, X6, RING - 1);
        a.add(X7, X1, X6, 3);
        a.str(X7, Addr::Scaled(X1, X4));
        a.mov(X4, X6);
    });
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        repeat(a, X5, RING / 8, |a| {
            for _ in 0..8 {
                a.ldr(X1, Addr::Off(X1, 0));
            }
            a.add(X0, X0, X1, 0);
            a.ror(X0, X0, 1);
        });
    });
}

/// The same with indices.
pub fn chase_model(repeats: u64) -> u64 {
    let (mut at, mut sum) = (0u64, 0u64);
    for _ in 0..repeats * RING / 8 {
        for _ in 0..8 {
            at = (at * STEP.0 + STEP.1) % RING;
        }
        sum = sum.wrapping_add(DATA + 8 * at).rotate_right(1);
    }
    sum
}

const BULK_BYTES: u64 = 1 << 16;

/// Copies 64 KiB by pairs of Q registers, sets 64 KiB so, and clears 64 KiB by DC ZVA.
pub fn copy(a: &mut Asm, _: Frame, repeats: u64) {
    let (from, to, set, zero) = (DATA, DATA + BULK_BYTES, DATA + 2 * BULK_BYTES, DATA + 3 * BULK_BYTES);
    fill(a, from, BULK_BYTES / 8, 9);
    fill(a, zero, BULK_BYTES / 8, 10);
    // The block that DC ZVA clears: 4 << DCZID_EL0.BS.
    a.mrs(X12, SysReg::DCZID_EL0);
    a.and_imm(X12, X12, 15);
    a.movz(X13, 4, 0);
    a.lslv(X12, X13, X12);
    a.mov(X0, XZR);
    let v = VReg;
    repeat(a, X10, repeats, |a| {
        a.mov_imm(X1, from);
        a.mov_imm(X2, to);
        repeat(a, X3, BULK_BYTES / 64, |a| {
            a.ldp_q(v(0), v(1), Addr::Post(X1, 32));
            a.ldp_q(v(2), v(3), Addr::Post(X1, 32));
            a.stp_q(v(0), v(1), Addr::Post(X2, 32));
            a.stp_q(v(2), v(3), Addr::Post(X2, 32));
        });
        a.dup_v(Arr::S4, v(4), W10);
        a.mov_imm(X1, set);
        repeat(a, X3, BULK_BYTES / 64, |a| {
            a.stp_q(v(4), v(4), Addr::Off(X1, 0));
            a.stp_q(v(4), v(4), Addr::Off(X1, 32));
            a.add_imm(X1, X1, 64);
        });
        a.mov_imm(X1, zero);
        a.mov_imm(X2, zero + BULK_BYTES);
        let clear = a.here();
        a.dc_zva(X1);
        a.add(X1, X1, X12, 0);
        a.cmp(X1, X2);
        a.b_cond(Cond::Lo, clear);
        // A doubleword of each, and a change for the next round.
        for base in [to, set, zero] {
            a.mov_imm(X1, base + 0x7ff8);
            a.ldr(X2, Addr::Off(X1, 0));
            a.add(X0, X0, X2, 0);
        }
        a.mov_imm(X1, from + 0x7ff8);
        a.str(X0, Addr::Off(X1, 0));
    });
}

const TEXT: u64 = 500;

/// Length, copy and comparison of a text of 500 bytes, a byte at a time.
pub fn string(a: &mut Asm, _: Frame, repeats: u64) {
    let copy = DATA + 0x1000;
    a.mov_imm(X1, DATA);
    a.movz(W2, 0x41, 0);
    repeat(a, X3, TEXT, |a| {
        a.strb(W2, Addr::Post(X1, 1));
        a.add_imm(W2, W2, 7);
        a.orr_imm(W2, W2, 1);
    });
    a.strb(WZR, Addr::Off(X1, 0));
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.mov_imm(X1, DATA);
        let length = a.here();
        a.ldrb(W3, Addr::Post(X1, 1));
        a.cbnz(W3, length);
        a.mov_imm(X2, DATA + 1);
        a.sub(X1, X1, X2, 0);
        a.add(X0, X0, X1, 0);
        a.mov_imm(X1, DATA);
        a.mov_imm(X2, copy);
        let each = a.here();
        a.ldrb(W3, Addr::Post(X1, 1));
        a.strb(W3, Addr::Post(X2, 1));
        a.cbnz(W3, each);
        a.mov_imm(X1, DATA);
        a.mov_imm(X2, copy);
        let (compare, over) = (a.here(), a.label());
        a.ldrb(W3, Addr::Post(X1, 1));
        a.ldrb(W4, Addr::Post(X2, 1));
        a.cbz(W3, over);
        a.cmp(W3, W4);
        a.b_cond(Cond::Eq, compare);
        a.bind(over);
        a.sub(X3, X3, X4, 0);
        a.add(X0, X0, X3, 0);
    });
}

/// The lengths; the copies are equal.
pub fn string_model(repeats: u64) -> u64 {
    repeats * TEXT
}
