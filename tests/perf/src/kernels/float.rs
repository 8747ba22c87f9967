//! Scalar floating point.

use crate::guest::*;
use emu_a64_asm::*;

const D: Fp = Fp::D;
const fn v(n: u8) -> VReg {
    VReg(n)
}

/// Puts a double into a register; x9 is lost.
pub fn constant(a: &mut Asm, to: VReg, value: f64) {
    a.mov_imm(X9, value.to_bits());
    a.fmov_from(to, X9);
}

const SIDE: u64 = 48;
const TURNS: u64 = 64;

/// The Mandelbrot set on 48 x 48 points, at most 64 turns each, in doubles without fused operations; counts the turns.
pub fn mandel(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov(X0, XZR);
    constant(a, v(16), 4.0);
    constant(a, v(17), -2.0);
    constant(a, v(18), -1.5);
    constant(a, v(19), 3.0 / SIDE as f64);
    repeat(a, X10, repeats, |a| {
        a.mov(X1, XZR);
        let rows = a.here();
        a.scvtf(D, v(0), X1);
        a.fmul(D, v(0), v(0), v(19));
        a.fadd(D, v(0), v(0), v(18)); // ci
        a.mov(X2, XZR);
        let columns = a.here();
        a.scvtf(D, v(1), X2);
        a.fmul(D, v(1), v(1), v(19));
        a.fadd(D, v(1), v(1), v(17)); // cr
        a.fmov_from(v(2), XZR);
        a.fmov_from(v(3), XZR);
        a.movz(X3, TURNS as u16, 0);
        let (turn, out) = (a.here(), a.label());
        a.fmul(D, v(4), v(2), v(2));
        a.fmul(D, v(5), v(3), v(3));
        a.fadd(D, v(6), v(4), v(5));
        a.fcmp(D, v(6), v(16));
        a.b_cond(Cond::Gt, out);
        a.fmul(D, v(7), v(2), v(3));
        a.fsub(D, v(2), v(4), v(5));
        a.fadd(D, v(2), v(2), v(1));
        a.fadd(D, v(3), v(7), v(7));
        a.fadd(D, v(3), v(3), v(0));
        a.add_imm(X0, X0, 1);
        a.subs_imm(X3, X3, 1);
        a.b_cond(Cond::Ne, turn);
        a.bind(out);
        a.add_imm(X2, X2, 1);
        a.cmp_imm(X2, SIDE as u32);
        a.b_cond(Cond::Lo, columns);
        a.add_imm(X1, X1, 1);
        a.cmp_imm(X1, SIDE as u32);
        a.b_cond(Cond::Lo, rows);
    });
}

/// The same in Rust.
pub fn mandel_model(repeats: u64) -> u64 {
    let step = 3.0 / SIDE as f64;
    let mut turns = 0;
    for y in 0..SIDE {
        let ci = y as f64 * step - 1.5;
        for x in 0..SIDE {
            let cr = x as f64 * step - 2.0;
            let (mut zr, mut zi) = (0.0f64, 0.0f64);
            for _ in 0..TURNS {
                let (rr, ii) = (zr * zr, zi * zi);
                if rr + ii > 4.0 {
                    break;
                }
                (zr, zi) = (rr - ii + cr, zr * zi + zr * zi + ci);
                turns += 1;
            }
        }
    }
    turns * repeats
}

/// Divide, square root, fused multiply-add, comparison, conversion, rounding, single precision.
pub fn mix(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov(X0, XZR);
    for (n, value) in [(0, 1.25), (1, 0.5), (16, 1.5), (17, 1000.0), (18, 3.75), (19, 0.001)] {
        constant(a, v(n), value);
    }
    repeat(a, X10, repeats, |a| {
        a.fmul(D, v(2), v(0), v(0));
        a.fadd(D, v(2), v(2), v(1));
        a.fsqrt(D, v(0), v(2));
        a.fadd(D, v(3), v(0), v(16));
        a.fdiv(D, v(1), v(1), v(3));
        a.fmadd(D, v(1), v(0), v(16), v(1));
        a.fmul(D, v(4), v(1), v(17));
        a.fcvtzs(D, X1, v(4));
        a.add(X0, X0, X1, 0);
        a.scvtf(D, v(5), X1);
        a.fsub(D, v(5), v(4), v(5));
        a.fcvt_s_d(v(6), v(5));
        a.fmul(Fp::S, v(6), v(6), v(6));
        a.fcvt_d_s(v(6), v(6));
        a.fadd(D, v(0), v(0), v(6));
        a.frintm(D, v(7), v(0));
        a.fcmp(D, v(0), v(18));
        a.fcsel(D, v(0), v(5), v(0), Cond::Gt);
        a.fmsub(D, v(1), v(7), v(19), v(1));
        a.fmin(D, v(1), v(1), v(18));
        a.fabs(D, v(0), v(0));
    });
    a.fmov_to(X1, v(0));
    a.eor(X0, X0, X1, 0);
}

/// The same in Rust.
#[inline(always)]
pub fn mix_model(repeats: u64) -> u64 {
    let (mut x, mut y, mut sum) = (1.25f64, 0.5f64, 0u64);
    for _ in 0..repeats {
        x = (x * x + y).sqrt();
        y /= x + 1.5;
        y = x.mul_add(1.5, y);
        let scaled = y * 1000.0;
        sum = sum.wrapping_add(scaled as i64 as u64);
        let rest = scaled - (scaled as i64 as f64);
        let single = rest as f32;
        x += f64::from(single * single);
        let floor = x.floor();
        x = if x > 3.75 { rest } else { x };
        y = (-floor).mul_add(0.001, y);
        y = y.min(3.75);
        x = x.abs();
    }
    sum ^ x.to_bits()
}
