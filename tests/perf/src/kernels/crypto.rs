//! The cryptographic extension.

use crate::guest::*;
use emu_a64_asm::*;

const fn v(n: u8) -> VReg {
    VReg(n)
}

fn mix(a: &mut Asm, from: VReg) {
    a.fmov_to(X1, from);
    a.eor(X0, X1, X0, 0);
    a.fmov_to_high(X1, from);
    a.ror(X0, X0, 7);
    a.add(X0, X0, X1, 0);
}

/// Ten rounds of AES on two blocks, and one backwards.
pub fn aes(a: &mut Asm, _: Frame, repeats: u64) {
    fill(a, DATA, 32, 41);
    a.mov_imm(X2, DATA);
    for n in 0..14 {
        a.ldr_q(v(n), Addr::Off(X2, 16 * i32::from(n)));
    }
    repeat(a, X10, repeats, |a| {
        for key in 2..11 {
            for block in 0..2 {
                a.aese(v(block), v(key));
                a.aesmc(v(block), v(block));
            }
        }
        for block in 0..2 {
            a.aese(v(block), v(11));
            a.eor_v(Arr::B16, v(block), v(block), v(12));
        }
        a.aesd(v(0), v(13));
        a.aesimc(v(0), v(0));
    });
    a.mov(X0, XZR);
    mix(a, v(0));
    mix(a, v(1));
}

/// SHA-256 rounds with their schedule, and some of SHA-1.
pub fn sha(a: &mut Asm, _: Frame, repeats: u64) {
    fill(a, DATA, 32, 43);
    a.mov_imm(X2, DATA);
    for n in 0..12 {
        a.ldr_q(v(n), Addr::Off(X2, 16 * i32::from(n)));
    }
    repeat(a, X10, repeats, |a| {
        // The state in v0 and v1, the message in v2 to v5, constants in v6 and v7.
        for round in 0..8u8 {
            let (m0, m1, m2, m3) = (v(2 + round % 4), v(2 + (round + 1) % 4), v(2 + (round + 2) % 4), v(2 + (round + 3) % 4));
            a.add_v(Arr::S4, v(16), m0, v(6 + round % 2));
            a.sha256su0(m0, m1);
            a.orr_v(Arr::B16, v(17), v(0), v(0));
            a.sha256h(v(0), v(1), v(16));
            a.sha256h2(v(1), v(17), v(16));
            a.sha256su1(m0, m2, m3);
        }
        // SHA-1: the state in v8 and v9.
        for _ in 0..4 {
            a.add_v(Arr::S4, v(16), v(2), v(10));
            a.sha1h(v(18), v(8));
            a.sha1c(v(8), v(9), v(16));
            a.orr_v(Arr::B16, v(9), v(18), v(18));
            a.sha1su0(v(10), v(11), v(2));
            a.sha1su1(v(10), v(3));
        }
    });
    a.mov(X0, XZR);
    for n in [0, 1, 8, 9, 10] {
        mix(a, v(n));
    }
}

/// CRC32X, CRC32CX, and carry-less multiplication of both widths.
pub fn crc(a: &mut Asm, _: Frame, repeats: u64) {
    fill(a, DATA, 8, 47);
    a.mov_imm(X2, DATA);
    a.ldr_q(v(0), Addr::Off(X2, 0));
    a.ldr_q(v(1), Addr::Off(X2, 16));
    a.ldr(X3, Addr::Off(X2, 32));
    a.movz(W4, 1, 0);
    a.movz(W5, 2, 0);
    repeat(a, X10, repeats, |a| {
        a.crc32x(W4, W4, X3);
        a.crc32cx(W5, W5, X3);
        a.add(X3, X3, X4, 7);
        a.eor(X3, X3, X5, 20);
        a.crc32b(W4, W4, W5);
        a.pmull_v(Arr::D1, v(2), v(0), v(1));
        a.pmull_v(Arr::D2, v(3), v(0), v(1));
        a.eor_v(Arr::B16, v(0), v(2), v(3));
        a.pmull_v(Arr::B8, v(4), v(2), v(1));
        a.eor_v(Arr::B16, v(1), v(1), v(4));
    });
    a.mov(X0, X3);
    mix(a, v(0));
    mix(a, v(1));
}
