//! AES, carry-less multiplication and the CRC that is made of it.

use crate::asm::{Alu, Shift, Size};
use crate::lower::Lowering;
use crate::vector::{I, PSHUFB, PUNPCKLQDQ, PXOR, S, S2};
use emu_ir::{Code, Op, Ty};

const PCLMULQDQ: I = I(3, 0x44);

impl Lowering<'_> {
    /// The host's rounds end with the key, the guest's begin with it: so a round here has the key zero.
    pub(crate) fn aes(&mut self, op: &Op, c: Code) -> bool {
        if !self.f.features.aes {
            return false;
        }
        let a = self.vec(op.a);
        match c {
            Code::AesEnc | Code::AesDec => {
                let b = self.vec(op.b);
                let d = self.xtemp();
                self.zero(S);
                self.x(PXOR, d, a, b);
                self.x1(I(2, if c == Code::AesEnc { 0xdd } else { 0xdf }), d, S);
                self.xown(op.dst, d);
            }
            Code::AesImc => {
                let d = self.xtemp();
                self.x1(I(2, 0xdb), d, a);
                self.xown(op.dst, d);
            }
            _ => {
                // What the inverse last round undoes, the round does again, and mixes columns.
                let d = self.xtemp();
                self.zero(S);
                self.copy(d, a);
                self.x1(I(2, 0xdf), d, S);
                self.x1(I(2, 0xdc), d, S);
                self.xown(op.dst, d);
            }
        }
        true
    }

    pub(crate) fn carryless(&mut self, op: &Op, a: u32, b: u32, halves: u8) -> bool {
        if !self.f.features.pclmulqdq {
            return false;
        }
        let (a, b) = (self.vec(a), self.vec(b));
        let d = self.xtemp();
        self.xi(PCLMULQDQ, d, a, b, halves);
        self.is(op, d)
    }

    /// Carry-less products of bytes: whole ones (i16), or their low bytes.
    ///
    /// With two bytes 16 bits apart on one side and 32 bits apart on the other, one instruction makes the product of the first two in the
    /// lowest 16 bits and that of the second two in the highest 16 of 64.
    pub(crate) fn carryless_bytes(&mut self, op: &Op, c: Code, total: u32) -> bool {
        const PMOVZXBW: I = I(2, 0x30);
        const PMOVZXBD: I = I(2, 0x31);
        const PMOVZXDQ: I = I(2, 0x35);
        let long = c == Code::PMulL;
        if !self.f.features.pclmulqdq || long && total != 128 {
            return false;
        }
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let (d, p, q, t) = (self.xtemp(), self.xtemp(), self.xtemp(), self.xtemp());
        // Of each pair of products the first and the last word, or their low bytes.
        let unused = u128::MAX << if long { 64 } else { 32 };
        let pick: u128 = if long { 0x0f0e_0908_0706_0100 } else { 0x0e08_0600 };
        let high = long && op.aux & 2 != 0;
        let halves: &[u8] = if long || total == 64 { &[0] } else { &[0, 8] };
        for half in halves {
            let from = half + if high { 8 } else { 0 };
            for quarter in [0, 4] {
                self.bytes_down(t, a, from + quarter);
                self.x1(PMOVZXBW, t, t);
                self.x1(PMOVZXDQ, t, t);
                self.bytes_down(q, b, from + quarter);
                self.x1(PMOVZXBD, q, q);
                let to = if quarter == 0 { S } else { S2 };
                self.xi(PCLMULQDQ, to, t, q, 0);
                self.xi(PCLMULQDQ, t, t, q, 0x11);
                self.x(PUNPCKLQDQ, to, to, t);
                self.xc(PSHUFB, to, to, pick | unused);
            }
            let to = if *half == 0 { d } else { p };
            self.x(if long { PUNPCKLQDQ } else { I(1, 0x62) }, to, S, S2);
        }
        if halves.len() == 2 {
            self.x(PUNPCKLQDQ, d, d, p);
        }
        self.is(op, d)
    }

    /// IEEE 802.3's CRC by Barrett reduction (the other polynomial has an instruction).
    ///
    /// The message M, the bits of `a ^ b` from the lowest as coefficients from x^63 down, has the remainder of M x^32 by P to be
    /// found. With mu = x^96 / P the quotient is exactly M mu / x^64, and the remainder the low 32 coefficients of its product by P. A
    /// product of reversed operands is the reversed product one place further down, which the constants make up for.
    pub(crate) fn crc32(&mut self, op: &Op) -> bool {
        /// Coefficients x^63 down to x^0 of mu reversed, and x^64 below them.
        const MU: u128 = 0xb4e5_b025_f701_1641;
        /// P without x^32, reversed, one place up.
        const P: u128 = 0x1_db71_0640;
        let bits = Ty(op.aux as u8).bits();
        if op.imm != 0 || !self.f.features.pclmulqdq || !(8..=64).contains(&bits) {
            return false;
        }
        let (a, b) = (self.gpr_clean(op.a), self.gpr(op.b));
        let (t, rest) = (self.temp(), self.temp());
        self.asm.mov_rr(Size::Q, t, a);
        self.asm.alu_rr(Alu::Xor, Size::Q, t, b);
        self.asm.mov_xr(Size::Q, S, t);
        // What is above the data goes out at the top.
        self.shift_i(0x73, 6, S, S, 64 - bits as u8);
        for constant in [MU, P] {
            self.load_const(S2, constant);
            self.xi(PCLMULQDQ, S, S, S2, 0);
        }
        // pextrd of the third.
        self.asm.sse_gpr_i(0x66, 3, false, 0x16, S, t, 2);
        if bits < 32 {
            self.asm.mov_rr(Size::D, rest, a);
            self.asm.shift_ri(Shift::Shr, Size::D, rest, bits as u8);
            self.asm.alu_rr(Alu::Xor, Size::D, t, rest);
        }
        self.clobbered();
        self.done(op.dst, t, true);
        true
    }
}
