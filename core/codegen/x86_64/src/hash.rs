//! The hashes: SHA-1, SHA-256, SHA-512 (FIPS 180-4), and what they are made of.
//!
//! The host's instructions hold the state of SHA-1 with `a` in the highest element, and that of SHA-256 as (f, e, b, a) and (h, g, d, c) from
//! the lowest on; the ops' vectors begin with `a` and `e`. SHA-512 has no instructions on most hosts: its rounds are done in the low halves of
//! vector registers, since the high ones would have to wait for them.

use crate::asm::Xmm;
use crate::lower::{Loc, Lowering};
use crate::vector::{I, PADD, PAND, PUNPCKLQDQ, PXOR, S, S2, splat};
use emu_ir::{Code, Op, Shape};

const PALIGNR: I = I(3, 0x0f);
/// Ops further down among which the other half of a pair is looked for.
const PAIR_WITHIN: usize = 32;

impl Lowering<'_> {
    /// Emits an op of a hash; false if there is no code for it.
    pub(crate) fn hash(&mut self, op: &Op, c: Code, ops: &[Op]) -> bool {
        if op.shape != Shape::V128 {
            return false;
        }
        match c {
            Code::Sha1Hash if self.f.features.sha => self.sha1_rounds(op),
            Code::Sha256H | Code::Sha256H2 if self.f.features.sha => self.sha256_rounds(op, c, ops),
            Code::Sha256Su0 => self.sha256_su0(op),
            Code::Sha256Su1 => self.sha256_su1(op),
            Code::Sha512H => self.sha512_h(op),
            Code::Sha512H2 => self.sha512_h2(op),
            _ => false,
        }
    }

    /// `d = a` with every element rotated right, uses `S`; 32 or 64 bits wide.
    pub(crate) fn rotate_right(&mut self, d: Xmm, a: Xmm, bits: u32, n: u32) {
        if n == 0 {
            return self.copy(d, a);
        }
        if self.f.features.avx512vl {
            return self.asm.evex_rrri(1, bits == 64, 0x72, 0, d, a, n as u8);
        }
        let group = if bits == 64 { 0x73 } else { 0x72 };
        self.shift_i(group, 2, S, a, n as u8);
        self.shift_i(group, 6, d, a, (bits - n) as u8);
        self.x(crate::vector::POR, d, d, S);
    }
    /// `d`: the exclusive or of `a` rotated right by three amounts; changes `t` and `S`.
    fn big_sigma(&mut self, d: Xmm, a: Xmm, t: Xmm, bits: u32, by: [u32; 3]) {
        self.rotate_right(d, a, bits, by[0]);
        for n in &by[1..] {
            self.rotate_right(t, a, bits, *n);
            self.x(PXOR, d, d, t);
        }
    }
    /// The same with a shift in place of the last rotation; 32 bits wide.
    fn small_sigma(&mut self, d: Xmm, a: Xmm, t: Xmm, by: [u32; 3]) {
        self.rotate_right(d, a, 32, by[0]);
        self.rotate_right(t, a, 32, by[1]);
        self.x(PXOR, d, d, t);
        self.shift_i(0x72, 2, t, a, by[2] as u8);
        self.x(PXOR, d, d, t);
    }
    /// `shufps`: the low elements from a, the high ones from b.
    fn shufps(&mut self, d: Xmm, a: Xmm, b: Xmm, imm: u8) {
        if self.f.features.avx {
            return self.asm.avx_rrri(0, 1, false, 0xc6, d, a, b, imm);
        }
        debug_assert!(b != d || a == d, "the right operand would be overwritten");
        self.copy(d, a);
        self.asm.sse_rri(0, 1, 0xc6, d, b, imm);
    }

    fn sha1_rounds(&mut self, op: &Op) -> bool {
        // The instruction adds the round's constant itself.
        const K: [u32; 3] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc];
        let k = K[op.imm as usize % 3];
        let (a, b, c) = (self.vec(op.a), self.vec(op.b), self.vec(op.c));
        let d = self.xtemp();
        self.xc(PADD[2], S, c, splat(u64::from(k.wrapping_neg()), 32));
        self.pshufd(S, S, 0x1b);
        self.shift_i(0x73, 7, S2, b, 12);
        self.x(PADD[2], S, S, S2);
        self.pshufd(d, a, 0x1b);
        self.asm.sse_rri(0, 3, 0xcc, d, S, op.imm as u8);
        self.pshufd(d, d, 0x1b);
        self.is(op, d)
    }

    /// Four rounds have two results, which are two ops; the first of them makes both if the other follows.
    fn sha256_rounds(&mut self, op: &Op, c: Code, ops: &[Op]) -> bool {
        if self.loc(op.dst) != Loc::None {
            return true;
        }
        let other = if c == Code::Sha256H { Code::Sha256H2 } else { Code::Sha256H };
        let rest = ops.get(self.at as usize + 1..).unwrap_or_default();
        // What is made before a label is not the same behind it on every way.
        let partner = rest
            .iter()
            .take(PAIR_WITHIN)
            .take_while(|o| o.code != Code::Label as u16)
            .find(|o| o.code == other as u16 && [o.a, o.b, o.c] == [op.a, op.b, op.c])
            .map(|o| o.dst)
            .filter(|dst| self.fact(*dst).uses != 0);
        let (a, b, words) = (self.vec(op.a), self.vec(op.b), self.vec(op.c));
        // The instruction takes the words from xmm0. A value there is put aside.
        self.xlock(0);
        let (p, q) = (self.xtemp(), self.xtemp());
        let aside = self.xowner[0] != emu_ir::NONE;
        self.shufps(p, b, a, 0x11);
        self.shufps(q, b, a, 0xbb);
        if aside {
            self.copy(S2, 0);
        }
        self.pshufd(S, words, 0x0e);
        self.copy(0, words);
        self.asm.sse_rr(0, 2, 0xcb, q, p);
        self.copy(0, S);
        self.asm.sse_rr(0, 2, 0xcb, p, q);
        if aside {
            self.copy(0, S2);
        }
        let both = partner.map(|dst| (dst, self.xtemp()));
        let (first, second) = if c == Code::Sha256H { (0xbb, 0x11) } else { (0x11, 0xbb) };
        if let Some((dst, d)) = both {
            self.shufps(d, p, q, second);
            self.xown(dst, d);
        }
        self.shufps(p, p, q, first);
        self.is(op, p)
    }

    fn sha256_su0(&mut self, op: &Op) -> bool {
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let d = self.xtemp();
        if self.f.features.sha {
            self.copy(d, a);
            self.asm.sse_rr(0, 2, 0xcc, d, b);
        } else {
            let (t, u) = (self.xtemp(), self.xtemp());
            self.xi(PALIGNR, u, b, a, 4);
            self.small_sigma(d, u, t, [7, 18, 3]);
            self.x(PADD[2], d, d, a);
        }
        self.is(op, d)
    }

    fn sha256_su1(&mut self, op: &Op) -> bool {
        let (a, b, c) = (self.vec(op.a), self.vec(op.b), self.vec(op.c));
        let d = self.xtemp();
        self.xi(PALIGNR, S, c, b, 4);
        self.x(PADD[2], d, a, S);
        if self.f.features.sha {
            self.asm.sse_rr(0, 2, 0xcd, d, c);
        } else {
            // sigma1 of zero is zero: first of what the low elements want, then of these.
            let (t, u, s) = (self.xtemp(), self.xtemp(), self.xtemp());
            for low in [true, false] {
                if low {
                    self.bytes_down(u, c, 8)
                } else {
                    self.shift_i(0x73, 7, u, d, 8)
                }
                self.small_sigma(s, u, t, [17, 19, 10]);
                self.x(PADD[2], d, d, s);
            }
        }
        self.is(op, d)
    }

    /// `sum` plus big sigma of `v` plus `more`.
    fn sha512_sum(&mut self, sum: Xmm, v: Xmm, more: Xmm, by: [u32; 3]) {
        let (s, t) = (self.xtemp(), self.xtemp());
        self.big_sigma(s, v, t, 64, by);
        self.x(PADD[3], sum, sum, s);
        self.x(PADD[3], sum, sum, more);
        self.xlocked &= !(1 << s | 1 << t);
    }
    /// `d`: where x has ones y, else z. None of these is `d`.
    fn sha_choose(&mut self, d: Xmm, x: Xmm, y: Xmm, z: Xmm) {
        self.x(PXOR, d, y, z);
        self.x(PAND, d, d, x);
        self.x(PXOR, d, d, z);
    }
    /// `d`: what two of x, y and z have. None of these is `d`.
    fn sha_majority(&mut self, d: Xmm, x: Xmm, y: Xmm, z: Xmm) {
        self.x(PXOR, d, x, y);
        self.x(PAND, d, d, z);
        self.x(PAND, S, x, y);
        self.x(PXOR, d, d, S);
    }

    fn sha512_h(&mut self, op: &Op) -> bool {
        const BY: [u32; 3] = [14, 18, 41];
        let (sums, x, y) = (self.vec(op.a), self.vec(op.b), self.vec(op.c));
        let (e, high, low, t) = (self.xtemp(), self.xtemp(), self.xtemp(), self.xtemp());
        self.pshufd(e, y, 0xee);
        self.pshufd(t, x, 0xee);
        self.sha_choose(high, e, x, t);
        self.pshufd(t, sums, 0xee);
        self.sha512_sum(high, e, t, BY);
        self.x(PADD[3], t, high, y);
        self.sha_choose(low, t, e, x);
        self.sha512_sum(low, t, sums, BY);
        self.x(PUNPCKLQDQ, low, low, high);
        self.is(op, low)
    }

    fn sha512_h2(&mut self, op: &Op) -> bool {
        const BY: [u32; 3] = [28, 34, 39];
        let (sums, x, y) = (self.vec(op.a), self.vec(op.b), self.vec(op.c));
        let (b, high, low, t) = (self.xtemp(), self.xtemp(), self.xtemp(), self.xtemp());
        self.pshufd(b, y, 0xee);
        self.sha_majority(high, x, b, y);
        self.pshufd(t, sums, 0xee);
        self.sha512_sum(high, y, t, BY);
        self.sha_majority(low, high, y, b);
        self.sha512_sum(low, high, sums, BY);
        self.x(PUNPCKLQDQ, low, low, high);
        self.is(op, low)
    }
}
