//! Vector ops between elements of a width and half of it, reductions, dot products.

use crate::asm::Xmm;
use crate::lower::Lowering;
use crate::permute::{PACKUSDW, PACKUSWB, PUNPCKH, PUNPCKL};
use crate::vector::{I, PADD, PAND, PCMPEQ, PCMPGT, PMULLW, PMULUDQ, PSHUFB, PXOR, S, S2, splat};
use emu_ir::{Code, Op, Shape};

const PMULDQ: I = I(2, 0x28);
const PMADDWD: I = I(1, 0xf5);
const PMADDUBSW: I = I(2, 0x04);

fn log(bits: u32) -> usize {
    bits.trailing_zeros() as usize - 3
}

impl Lowering<'_> {
    pub(crate) fn widen(&mut self, op: &Op, c: Code, total: u32) -> bool {
        let bits = op.ty.bits();
        let (signed, high) = (op.aux & 1 != 0, op.aux & 2 != 0);
        match c {
            Code::Widen if bits >= 16 => {
                let a = self.vec(op.a);
                let d = self.xtemp();
                self.extend(d, a, bits, total, signed, high);
                self.xown(op.dst, d);
            }
            Code::MulL if bits >= 16 => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.long_product(d, a, b, bits, total, signed, high);
                self.xown(op.dst, d);
            }
            Code::SQDMulL if bits >= 32 && op.shape != Shape::SCALAR => {
                // Twice the product is the minimum only when it has wrapped.
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.long_product(d, a, b, bits, total, true, high);
                self.x(PADD[log(bits)], d, d, d);
                self.load_const(S, splat(1 << (bits - 1), bits));
                self.x(PCMPEQ[log(bits)], S, S, d);
                self.x(PXOR, d, d, S);
                self.saturated_if(S, total);
                self.xown(op.dst, d);
            }
            Code::Narrow if bits >= 16 => return self.narrow(op, bits, total),
            Code::AddLP if bits >= 16 => self.add_pairs(op, bits, signed),
            Code::ReduceAdd | Code::ReduceSMax | Code::ReduceSMin | Code::ReduceUMax | Code::ReduceUMin => {
                return self.reduce(op, c, bits, total);
            }
            Code::Dot4 if bits == 32 => self.dot(op),
            _ => return false,
        }
        true
    }

    /// `d` = the low or high half of a's elements of half the width, extended. `d` may be `a`.
    fn extend(&mut self, d: Xmm, a: Xmm, bits: u32, total: u32, signed: bool, high: bool) {
        let mut from = a;
        if high {
            if total == 64 {
                self.shift_i(0x73, 2, d, a, 32)
            } else {
                self.pshufd(d, a, 0xee)
            }
            from = d;
        }
        let opcode = [0x30, 0x33, 0x35][log(bits) - 1] - if signed { 0x10 } else { 0 };
        self.x1(I(2, opcode), d, from);
    }

    /// Products of half-width elements; uses `S` and `S2`.
    #[allow(clippy::too_many_arguments)]
    fn long_product(&mut self, d: Xmm, a: Xmm, b: Xmm, bits: u32, total: u32, signed: bool, high: bool) {
        if bits == 32 && total == 128 {
            // Low and high halves of the products, interleaved.
            self.x(if signed { I(1, 0xe5) } else { I(1, 0xe4) }, S, a, b);
            self.x(PMULLW, d, a, b);
            return self.x(if high { PUNPCKH[1] } else { PUNPCKL[1] }, d, d, S);
        }
        if bits == 64 {
            // The elements at even places of 32 bits.
            let spread = |s: &mut Self, d: Xmm, a: Xmm| match (total, high) {
                (64, true) => s.pshufd(d, a, 0x55),
                (_, true) => s.pshufd(d, a, 0xfa),
                _ => s.pshufd(d, a, 0x50),
            };
            spread(self, d, a);
            spread(self, S, b);
            return self.x(if signed { PMULDQ } else { PMULUDQ }, d, d, S);
        }
        self.extend(d, a, bits, total, signed, high);
        self.extend(S, b, bits, total, signed, high);
        self.x(if bits == 16 { PMULLW } else { crate::vector::PMULLD }, d, d, S);
    }

    fn narrow(&mut self, op: &Op, bits: u32, total: u32) -> bool {
        let (n, round) = (op.imm as u32, op.aux & 4 != 0);
        let kind = op.aux & 3;
        let half = bits / 2;
        let a = self.vec(op.a);
        let (d, t) = (self.xtemp(), self.xtemp());
        let signed = match kind {
            0 => op.aux & 8 != 0,
            2 => false,
            _ => true,
        };
        let mut x = a;
        if n > 0 {
            self.right_rounded(t, a, bits, n, signed, round);
            x = t;
        }
        // Every other element of half the width.
        let cut = |s: &mut Self, d: Xmm, x: Xmm| match bits {
            64 => s.pshufd(d, x, 0x08),
            _ => {
                let size = half as usize / 8;
                let control: [u8; 16] = std::array::from_fn(|i| if i < 8 { (i / size * size * 2 + i % size) as u8 } else { 0x80 });
                s.xc(PSHUFB, d, x, u128::from_le_bytes(control));
            }
        };
        if kind == 0 {
            cut(self, d, x);
            self.xown(op.dst, d);
            return true;
        }
        match (bits, kind) {
            (16, 1) => self.x(I(1, 0x63), d, x, x),
            (16, 3) => self.x(PACKUSWB, d, x, x),
            (32, 1) => self.x(I(1, 0x6b), d, x, x),
            (32, 3) => self.x(PACKUSDW, d, x, x),
            (16 | 32, _) => {
                let max = splat((1 << half) - 1, bits);
                self.xc(Self::extreme(Code::UMin, log(bits)), d, x, max);
                self.x(if bits == 16 { PACKUSWB } else { PACKUSDW }, d, d, d);
            }
            _ => {
                self.clamp64(d, x, kind);
                self.pshufd(d, d, 0x08);
            }
        }
        // What has been cut off: extended again, it is not what it was.
        let opcode = [0x30, 0x33, 0x35][log(bits) - 1] - if kind == 1 { 0x10 } else { 0 };
        self.x1(I(2, opcode), S, d);
        self.x(PXOR, S, S, x);
        self.saturated_if(S, total);
        self.xown(op.dst, d);
        true
    }

    /// `d` = 64-bit elements brought into the range of 32 bits. Uses `S` and `S2`.
    fn clamp64(&mut self, d: Xmm, a: Xmm, kind: u32) {
        let (max, min) = match kind {
            1 => (0x7fff_ffff, Some(0xffff_ffff_8000_0000)),
            2 => (0xffff_ffff, None),
            _ => (0xffff_ffff, Some(0)),
        };
        let blend = |s: &mut Self, d: Xmm, limit: u64| {
            // d = where S, limit.
            s.load_const(S2, splat(limit, 64));
            s.x(PXOR, S2, S2, d);
            s.x(PAND, S2, S2, S);
            s.x(PXOR, d, d, S2);
        };
        self.copy(d, a);
        if kind == 2 {
            // Unsigned: anything in the upper half is too much.
            self.shift_i(0x73, 2, S, d, 32);
            self.zero(S2);
            self.x(PCMPGT[3], S, S, S2);
        } else {
            self.load_const(S2, splat(max, 64));
            self.x(PCMPGT[3], S, d, S2);
        }
        blend(self, d, max);
        if let Some(min) = min {
            self.load_const(S, splat(min, 64));
            self.x(PCMPGT[3], S, S, d);
            blend(self, d, min);
        }
    }

    fn add_pairs(&mut self, op: &Op, bits: u32, signed: bool) {
        let a = self.vec(op.a);
        let d = self.xtemp();
        match (bits, signed) {
            // The instruction's left operand is unsigned, its right one signed.
            (16, false) => self.xc(PMADDUBSW, d, a, splat(1, 8)),
            (16, true) => {
                self.load_const(d, splat(1, 8));
                self.x(PMADDUBSW, d, d, a);
            }
            (32, true) => self.xc(PMADDWD, d, a, splat(1, 16)),
            (64, true) => {
                self.load_const(S2, splat(1, 64));
                self.shift_i(0x73, 2, S, a, 32);
                self.x(PMULDQ, S, S, S2);
                self.x(PMULDQ, d, a, S2);
                self.x(PADD[3], d, d, S);
            }
            _ => {
                let shift = if bits == 32 { 0x72 } else { 0x73 };
                self.shift_i(shift, 2, S, a, bits as u8 / 2);
                self.xc(PAND, d, a, splat(u64::MAX >> (64 - bits / 2), bits));
                self.x(PADD[log(bits)], d, d, S);
            }
        }
        self.xown(op.dst, d);
    }

    /// Halves on halves until one element is left.
    fn reduce(&mut self, op: &Op, c: Code, bits: u32, total: u32) -> bool {
        let e = log(bits);
        let i = match c {
            Code::ReduceAdd => PADD[e],
            _ if bits == 64 => return false,
            Code::ReduceSMax => Self::extreme(Code::SMax, e),
            Code::ReduceSMin => Self::extreme(Code::SMin, e),
            Code::ReduceUMax => Self::extreme(Code::UMax, e),
            _ => Self::extreme(Code::UMin, e),
        };
        let a = self.vec(op.a);
        let d = self.xtemp();
        if c == Code::ReduceAdd && bits == 8 {
            // Sums of eight bytes each.
            self.zero(S);
            self.x(I(1, 0xf6), d, a, S);
            if total == 128 {
                self.pshufd(S, d, 0xee);
                self.x(PADD[3], d, d, S);
            }
        } else {
            let mut from = a;
            let mut step = total / 2;
            while step >= bits {
                match step {
                    64 => self.pshufd(S, from, 0xee),
                    32 => self.pshufd(S, from, 0x55),
                    _ => self.shift_i(0x72, 2, S, from, step as u8),
                }
                self.x(i, d, from, S);
                from = d;
                step /= 2;
            }
            self.copy(d, from);
        }
        if bits < 32 {
            let r = self.temp();
            self.asm.mov_rx(crate::asm::Size::D, r, d);
            self.own(op.dst, r, false);
        } else {
            self.xown(op.dst, d);
        }
        true
    }

    /// c + products of four neighbouring bytes: even and odd bytes apart, as 16-bit numbers.
    fn dot(&mut self, op: &Op) {
        let (a, b, c) = (self.vec(op.a), self.vec(op.b), self.vec(op.c));
        let d = self.xtemp();
        let even = |s: &mut Self, d: Xmm, a: Xmm, signed: bool| {
            if signed {
                s.shift_i(0x71, 6, d, a, 8);
                s.shift_i(0x71, 4, d, d, 8);
            } else {
                s.xc(PAND, d, a, splat(0xff, 16));
            }
        };
        let odd = |s: &mut Self, d: Xmm, a: Xmm, signed: bool| s.shift_i(0x71, if signed { 4 } else { 2 }, d, a, 8);
        let (sa, sb) = (op.aux & 1 != 0, op.aux & 2 != 0);
        even(self, S, a, sa);
        even(self, S2, b, sb);
        self.x(PMADDWD, S, S, S2);
        self.x(PADD[2], d, c, S);
        odd(self, S, a, sa);
        odd(self, S2, b, sb);
        self.x(PMADDWD, S, S, S2);
        self.x(PADD[2], d, d, S);
        self.xown(op.dst, d);
    }
}
