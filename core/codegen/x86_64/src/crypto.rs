//! AES, carry-less multiplication and the CRC that is made of it.

use crate::asm::{Alu, Shift, Size};
use crate::lower::Lowering;
use crate::vector::{I, PXOR, S, S2};
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
