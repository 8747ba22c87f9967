//! Vector shifts, halving and saturating arithmetic.

use crate::asm::Xmm;
use crate::lower::Lowering;
use crate::vector::{I, PADD, PAND, PANDN, PCMPEQ, PCMPGT, PMULLW, POR, PSUB, PXOR, S, S2, splat};
use emu_ir::{Code, Op, Shape};

/// Opcode of the shifts by a constant, by log2 of the element's bytes; bytes have none.
const SHIFT: [u8; 4] = [0x71, 0x71, 0x72, 0x73];
const LEFT: u8 = 6;
const RIGHT: u8 = 2;
const ARITHMETIC: u8 = 4;

fn log(bits: u32) -> usize {
    bits.trailing_zeros() as usize - 3
}

impl Lowering<'_> {
    /// `d = a << n`. Registers may be the same.
    pub(crate) fn left(&mut self, d: Xmm, a: Xmm, bits: u32, n: u32) {
        if n >= bits {
            return self.zero(d);
        }
        self.shift_i(SHIFT[log(bits)], LEFT, d, a, n as u8);
        if bits == 8 && n != 0 {
            self.xc(PAND, d, d, splat(0xff << n, 8));
        }
    }
    /// `d = a >> n`, logical or arithmetic. Uses `S2` for arithmetic shifts of 64 bits.
    pub(crate) fn right(&mut self, d: Xmm, a: Xmm, bits: u32, n: u32, signed: bool) {
        let n = if signed { n.min(bits - 1) } else { n };
        if n >= bits {
            return self.zero(d);
        }
        if signed && matches!(bits, 16 | 32) {
            return self.shift_i(SHIFT[log(bits)], ARITHMETIC, d, a, n as u8);
        }
        if signed && bits == 64 && n >= 32 {
            self.pshufd(d, a, 0xf5);
            self.shift_i(0x72, ARITHMETIC, S2, d, 31);
            self.shift_i(0x72, ARITHMETIC, d, d, n as u8 - 32);
            return self.xi(I(3, 0x0e), d, d, S2, 0xcc);
        }
        self.shift_i(SHIFT[log(bits)], RIGHT, d, a, n as u8);
        if n == 0 {
            return;
        }
        if bits == 8 {
            self.xc(PAND, d, d, splat(0xff >> n, 8));
        }
        if signed {
            // The sign, now at its new place, goes on from there.
            let sign = splat(1 << (bits - 1 - n), bits);
            self.xc(PXOR, d, d, sign);
            self.xc(PSUB[log(bits)], d, d, sign);
        }
    }
    /// `right` rounded, with the carry out of the width kept: what was shifted out last is added. `d` is not `a`; uses `S` and `S2`.
    pub(crate) fn right_rounded(&mut self, d: Xmm, a: Xmm, bits: u32, n: u32, signed: bool, round: bool) {
        self.right(d, a, bits, n, signed);
        if round && n > 0 {
            self.right(S, a, bits, n - 1, false);
            self.xc(PAND, S, S, splat(1, bits));
            self.x(PADD[log(bits)], d, d, S);
        }
    }

    pub(crate) fn shift_vector(&mut self, op: &Op, c: Code, bits: u32) -> bool {
        let (n, e) = (op.imm as u32, log(bits));
        match c {
            Code::ShlImm => {
                let a = self.vec(op.a);
                let d = self.xtemp();
                self.left(d, a, bits, n);
                self.xown(op.dst, d);
            }
            Code::RotRImm => {
                let a = self.vec(op.a);
                let d = self.xtemp();
                if bits >= 32 {
                    self.rotate_right(d, a, bits, n);
                } else {
                    self.right(S, a, bits, n, false);
                    self.left(d, a, bits, bits - n);
                    self.x(POR, d, d, S);
                }
                self.xown(op.dst, d);
            }
            Code::UShrImm | Code::SShrImm => {
                let a = self.vec(op.a);
                let d = self.xtemp();
                self.right_rounded(d, a, bits, n, c == Code::SShrImm, op.aux & 1 != 0);
                self.xown(op.dst, d);
            }
            Code::SliImm | Code::SriImm => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                let ones = u64::MAX >> (64 - bits);
                let keep = if c == Code::SliImm {
                    self.left(S, b, bits, n);
                    ones & !ones.checked_shl(n).unwrap_or(0)
                } else {
                    self.right(S, b, bits, n, false);
                    !(ones.checked_shr(n).unwrap_or(0))
                };
                self.xc(PAND, d, a, splat(keep, bits));
                self.x(POR, d, d, S);
                self.xown(op.dst, d);
            }
            Code::SShlV | Code::UShlV => return self.shift_by_vector(op, c, bits),
            Code::UHAdd if op.imm & 1 != 0 && bits <= 16 => {
                return self.one(op, if bits == 8 { I(1, 0xe0) } else { I(1, 0xe3) }, op.a, op.b);
            }
            Code::SHAdd | Code::UHAdd | Code::SHSub | Code::UHSub => {
                // Half of what differs, and what is common; of a subtraction, less what b has and a has not.
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let (d, t) = (self.xtemp(), self.xtemp());
                self.x(PXOR, t, a, b);
                self.right(t, t, bits, 1, matches!(c, Code::SHAdd | Code::SHSub));
                match (c, op.imm & 1) {
                    (Code::SHSub | Code::UHSub, _) => {
                        self.x(PANDN, d, a, b);
                        self.x(PSUB[e], t, t, d);
                        self.copy(d, t);
                    }
                    (_, 0) => {
                        self.x(PAND, d, a, b);
                        self.x(PADD[e], d, d, t);
                    }
                    _ => {
                        self.x(POR, d, a, b);
                        self.x(PSUB[e], d, d, t);
                    }
                }
                self.xown(op.dst, d);
            }
            _ => return false,
        }
        true
    }

    /// Shifts by amounts of their own, which only AVX2 has. An amount that is negative or too large gives zero there.
    fn shift_by_vector(&mut self, op: &Op, c: Code, bits: u32) -> bool {
        if !self.f.features.avx2 || bits < 32 {
            return false;
        }
        let (wide, signed, e) = (bits == 64, c == Code::SShlV, log(bits));
        let (shl, shr) = (0x47, 0x45);
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let (d, n, t) = (self.xtemp(), self.xtemp(), self.xtemp());
        // The signed low byte. Its negation shifts right.
        self.left(n, b, bits, bits - 8);
        self.right(n, n, bits, bits - 8, true);
        self.zero(t);
        self.x(PSUB[e], t, t, n);
        self.asm.avx_rrr(0x66, 2, wide, shl, d, a, n);
        let mut from = a;
        if signed {
            // A negative number is inverted, shifted, and inverted back.
            self.signs(S, a, bits);
            self.x(PXOR, S2, a, S);
            from = S2;
        }
        if op.aux & 1 != 0 {
            // What goes out last is added: it is at the bottom after all but one place, and zero when there is no way out.
            let (last, one) = (self.xtemp(), self.xtemp());
            self.load_const(one, splat(1, bits));
            self.x(PSUB[e], last, t, one);
            self.asm.avx_rrr(0x66, 2, wide, shr, last, from, last);
            if signed {
                self.x(PXOR, last, last, S);
            }
            self.x(PAND, last, last, one);
            self.asm.avx_rrr(0x66, 2, wide, shr, t, from, t);
            if signed {
                self.x(PXOR, t, t, S);
            }
            self.x(PADD[e], t, t, last);
        } else {
            self.asm.avx_rrr(0x66, 2, wide, shr, t, from, t);
            if signed {
                self.x(PXOR, t, t, S);
            }
        }
        if signed {
            // Only a negative amount shifts right.
            self.signs(S, n, bits);
            self.x(PAND, t, t, S);
        }
        self.x(POR, d, d, t);
        self.xown(op.dst, d);
        true
    }

    /// Ops that saturate, on vectors and scalars; `total`: the bits that count.
    pub(crate) fn saturate(&mut self, op: &Op, c: Code, total: u32) -> bool {
        let bits = op.ty.bits();
        if !(8..=64).contains(&bits) || op.ty.is_float() || op.shape == Shape::SCALAR && bits < 32 {
            return false;
        }
        let e = log(bits);
        match c {
            Code::SQAdd | Code::UQAdd | Code::SQSub | Code::UQSub if bits <= 16 => {
                let first = match c {
                    Code::SQAdd => 0xec,
                    Code::UQAdd => 0xdc,
                    Code::SQSub => 0xe8,
                    _ => 0xd8,
                };
                let wrapping = if matches!(c, Code::SQAdd | Code::UQAdd) { PADD[e] } else { PSUB[e] };
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.x(wrapping, S, a, b);
                self.x(I(1, first + e as u8), d, a, b);
                self.x(PXOR, S, S, d);
                self.saturated_if(S, total);
                self.xown(op.dst, d);
            }
            Code::SQAdd | Code::SQSub | Code::SQNeg => {
                let b = self.vec(if c == Code::SQNeg { op.a } else { op.b });
                let d = self.xtemp();
                let a = if c == Code::SQNeg {
                    let zero = self.xtemp();
                    self.zero(zero);
                    zero
                } else {
                    self.vec(op.a)
                };
                if c == Code::SQNeg && bits <= 16 {
                    self.x(PSUB[e], S, a, b);
                    self.x(I(1, 0xe8 + e as u8), d, a, b);
                    self.x(PXOR, S, S, d);
                } else {
                    self.saturating_signed(d, a, b, bits, c == Code::SQAdd);
                }
                self.saturated_if(S, total);
                self.xown(op.dst, d);
            }
            Code::UQAdd | Code::UQSub => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let (d, t) = (self.xtemp(), self.xtemp());
                if c == Code::UQAdd {
                    // It has wrapped if it is less than an operand.
                    self.x(PADD[e], d, a, b);
                    self.greater_unsigned(t, a, d, bits);
                    self.x(POR, d, d, t);
                } else {
                    self.x(PSUB[e], d, a, b);
                    self.greater_unsigned(t, b, a, bits);
                    self.x(PANDN, S, t, d);
                    self.copy(d, S);
                }
                self.saturated_if(t, total);
                self.xown(op.dst, d);
            }
            Code::SQAbs => {
                // Only the minimum stays negative; then all its bits change.
                let a = self.vec(op.a);
                let d = self.xtemp();
                self.signs(S, a, bits);
                self.x(PXOR, d, a, S);
                self.x(PSUB[e], d, d, S);
                self.signs(S, d, bits);
                self.x(PXOR, d, d, S);
                self.saturated_if(S, total);
                self.xown(op.dst, d);
            }
            Code::SQDMulH if op.shape != Shape::SCALAR => return self.doubling_high(op, bits, total),
            _ => return false,
        }
        true
    }

    /// All ones where negative.
    pub(crate) fn signs(&mut self, d: Xmm, a: Xmm, bits: u32) {
        match bits {
            8 => {
                self.zero(d);
                self.x(PCMPGT[0], d, d, a);
            }
            64 => self.signs64(d, a),
            _ => self.shift_i(SHIFT[log(bits)], ARITHMETIC, d, a, bits as u8 - 1),
        }
    }

    /// `d` = a + b or a - b of 32 or 64 bits, saturated; `S` = where it is.
    fn saturating_signed(&mut self, d: Xmm, a: Xmm, b: Xmm, bits: u32, add: bool) {
        let e = log(bits);
        self.x(if add { PADD[e] } else { PSUB[e] }, d, a, b);
        // Overflow: a has another sign than the result, and b's sign (of a sum) is a's, or (of a difference) is not.
        self.x(PXOR, S, a, d);
        self.x(PXOR, S2, a, b);
        if add {
            self.x(PANDN, S2, S2, S);
        } else {
            self.x(PAND, S2, S2, S);
        }
        self.signs(S, S2, bits);
        // Then the result is the sign of a, all through, with the top bit inverted.
        self.signs(S2, a, bits);
        self.xc(PXOR, S2, S2, splat(u64::MAX >> (65 - bits), bits));
        self.x(PXOR, S2, S2, d);
        self.x(PAND, S2, S2, S);
        self.x(PXOR, d, d, S2);
    }

    /// High half of twice the product. It is the minimum only when it has wrapped.
    fn doubling_high(&mut self, op: &Op, bits: u32, total: u32) -> bool {
        let round = op.imm & 1 != 0;
        if !matches!(bits, 16 | 32) {
            return false;
        }
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let (d, t) = (self.xtemp(), self.xtemp());
        if bits == 16 && round {
            self.x(I(2, 0x0b), d, a, b);
        } else if bits == 16 {
            self.x(I(1, 0xe5), d, a, b);
            self.x(PMULLW, S, a, b);
            self.shift_i(0x71, LEFT, d, d, 1);
            self.shift_i(0x71, RIGHT, S, S, 15);
            self.x(POR, d, d, S);
        } else {
            const PMULDQ: I = I(2, 0x28);
            // Even elements, then odd ones, whose results are where they belong.
            self.x(PMULDQ, d, a, b);
            self.pshufd(S, a, 0xf5);
            self.pshufd(t, b, 0xf5);
            self.x(PMULDQ, t, t, S);
            for x in [d, t] {
                self.x(PADD[3], x, x, x);
                if round {
                    self.xc(PADD[3], x, x, splat(1 << 31, 64));
                }
            }
            self.pshufd(d, d, 0xf5);
            self.xi(I(3, 0x0e), d, d, t, 0xcc);
        }
        self.load_const(S, splat(1 << (bits - 1), bits));
        self.x(PCMPEQ[log(bits)], S, S, d);
        self.x(PXOR, d, d, S);
        self.saturated_if(S, total);
        self.xown(op.dst, d);
        true
    }
}
