//! Advanced SIMD: integers, single and double precision.

use super::float::constant;
use crate::guest::*;
use emu_a64_asm::*;

const fn v(n: u8) -> VReg {
    VReg(n)
}

/// The two halves of a vector into the checksum; x1 is lost.
fn mix(a: &mut Asm, from: VReg) {
    a.fmov_to(X1, from);
    a.eor(X0, X1, X0, 0);
    a.fmov_to_high(X1, from);
    a.ror(X0, X0, 7);
    a.add(X0, X0, X1, 0);
}

/// Adds, multiplies, compares, selects, permutes, shifts and narrows.
pub fn integer(a: &mut Asm, _: Frame, repeats: u64) {
    fill(a, DATA, 16, 31);
    a.mov_imm(X2, DATA);
    for n in 0..8 {
        a.ldr_q(v(n), Addr::Off(X2, 16 * i32::from(n)));
    }
    // Indices for TBL: the low bits of each byte.
    a.movz(W3, 0x0f, 0);
    a.dup_v(Arr::B16, v(20), W3);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.add_v(Arr::S4, v(0), v(0), v(1));
        a.mul_v(Arr::S4, v(1), v(1), v(0));
        a.and_v(Arr::B16, v(21), v(1), v(20));
        a.tbl_v(Arr::B16, v(2), v(0), v(21));
        a.cmgt_v(Arr::H8, v(22), v(2), v(3));
        a.bsl_v(Arr::B16, v(22), v(4), v(5));
        a.eor_v(Arr::B16, v(3), v(3), v(22));
        a.ushr_v(Arr::D2, v(23), v(3), 13);
        a.usra_v(Arr::H8, v(4), v(23), 3);
        a.uzp1(Arr::B16, v(5), v(4), v(0));
        a.zip2(Arr::H8, v(24), v(5), v(1));
        a.umlal_v(Arr::H4, v(6), v(24), v(2));
        a.uabd_v(Arr::B16, v(25), v(6), v(5));
        a.uaddlp_v(Arr::B16, v(25), v(25));
        a.mla_v(Arr::H8, v(7), v(25), v(0));
        a.uqadd_v(Arr::B16, v(1), v(1), v(7));
        a.shl_v(Arr::S4, v(26), v(7), 5);
        a.sub_v(Arr::D2, v(4), v(4), v(26));
        a.ext_v(Arr::B16, v(0), v(0), v(26), 5);
        a.smax_v(Arr::S4, v(5), v(5), v(0));
        a.cnt_v(Arr::B16, v(27), v(5));
        a.addv(Arr::B16, v(27), v(27));
        a.fmov_to(X1, v(27));
        a.add(X0, X0, X1, 0);
        a.xtn_v(Arr::S2, v(28), v(6));
        a.add_v(Arr::D2, v(2), v(28), v(2));
    });
    for n in 0..8 {
        mix(a, v(n));
    }
}

const ROWS: u64 = 32;

/// Products of 32 x 32 single-precision matrices by FMLA (by element); the elements are small integers.
pub fn matmul(a: &mut Asm, _: Frame, repeats: u64) {
    let (left, right, product) = (DATA, DATA + 0x4000, DATA + 0x8000);
    for (base, start) in [(left, 3u16), (right, 5)] {
        a.mov_imm(X1, base);
        a.movz(X2, start, 0);
        repeat(a, X3, ROWS * ROWS, |a| {
            a.and_imm(X4, X2, 15);
            a.scvtf(Fp::S, v(0), W4);
            a.fmov_to(W4, v(0));
            a.str(W4, Addr::Post(X1, 4));
            a.add_imm(X2, X2, 7);
            a.eor(X2, X2, X2, 3);
        });
    }
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.mov_imm(X1, left);
        a.mov_imm(X3, product);
        repeat(a, X4, ROWS, |a| {
            a.mov_imm(X2, right);
            for n in 16..24 {
                a.eor_v(Arr::B16, v(n), v(n), v(n));
            }
            // A row of the product in v16 to v23; four elements of the left row at a time.
            repeat(a, X5, ROWS / 4, |a| {
                a.ldr_q(v(0), Addr::Post(X1, 16));
                for element in 0..4 {
                    for n in 0..4 {
                        a.ldp_q(v(1), v(2), Addr::Post(X2, 32));
                        a.fmla_elem_4s(v(16 + 2 * n), v(1), v(0), element);
                        a.fmla_elem_4s(v(17 + 2 * n), v(2), v(0), element);
                    }
                }
            });
            for n in 0..4 {
                a.stp_q(v(16 + 2 * n), v(17 + 2 * n), Addr::Post(X3, 32));
            }
        });
        // One sum into the left matrix, so that no two rounds are the same.
        a.faddp_v(Arr::S4, v(16), v(16), v(23));
        a.fcvtzs(Fp::S, W6, v(16));
        a.add(X0, X0, X6, 0);
        a.and_imm(W6, W6, 15);
        a.scvtf(Fp::S, v(0), W6);
        a.mov_imm(X1, left + 4 * 17 * 32);
        a.fmov_to(W6, v(0));
        a.str(W6, Addr::Off(X1, 0));
    });
}

/// Doubles two at a time: add, subtract, multiply, divide, square root, fused, compare, convert.
pub fn double(a: &mut Asm, _: Frame, repeats: u64) {
    for (n, low, high) in [(0, 1.25, 0.75), (1, 0.5, 2.5), (16, 1.5, 1.125), (17, 1000.0, 500.0), (18, 3.75, 2.875)] {
        constant(a, v(n), low);
        a.mov_imm(X9, f64::to_bits(high));
        a.ins_d(v(n), 1, X9);
    }
    a.eor_v(Arr::B16, v(31), v(31), v(31));
    let t = Arr::D2;
    repeat(a, X10, repeats, |a| {
        a.fmul_v(t, v(2), v(0), v(0));
        a.fadd_v(t, v(2), v(2), v(1));
        a.fsqrt_v(t, v(0), v(2));
        a.fadd_v(t, v(3), v(0), v(16));
        a.fdiv_v(t, v(1), v(1), v(3));
        a.fmla_v(t, v(1), v(0), v(16));
        a.fmul_v(t, v(4), v(1), v(17));
        a.fcvtzs_v(t, v(5), v(4));
        a.add_v(t, v(31), v(31), v(5));
        a.scvtf_v(t, v(5), v(5));
        a.fsub_v(t, v(5), v(4), v(5));
        a.fmls_v(t, v(1), v(5), v(5));
        a.fcmgt_v(t, v(6), v(1), v(18));
        a.bic_v(Arr::B16, v(1), v(1), v(6));
        a.fmax_v(t, v(0), v(0), v(5));
    });
    a.mov(X0, XZR);
    for n in [0, 1, 31] {
        mix(a, v(n));
    }
}
