//! Vector ops on integers: the way to them, logic, arithmetic and comparisons. What moves elements is in `permute`, shifts and saturation
//! in `saturate`, what changes their width in `widen`, AES and its kin in `crypto`.
//!
//! A vector of 64 bits is in the low half of its register; what is above is of no meaning, so an op on 64 bits is mostly the same
//! instruction as on 128. Legacy instructions overwrite their left operand: `x` copies it first.

use crate::asm::{Cc, Label, Mem, Xmm};
use crate::cold::Cold;
use crate::lower::{Loc, Lowering};
use emu_ir::{Code, NONE, Op, Shape, Ty};

/// Scratch of the lowering of one op, never handed out.
pub(crate) const S: Xmm = 15;
/// Another.
pub(crate) const S2: Xmm = 14;

/// An instruction on packed integers (prefix 66): map and opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct I(pub u8, pub u8);

/// Right operand of a vector instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum V {
    R(Xmm),
    /// Memory of any alignment: with AVX only.
    M(Mem),
    /// A constant.
    L(Label),
}

impl From<Xmm> for V {
    fn from(x: Xmm) -> V {
        V::R(x)
    }
}

pub(crate) const PAND: I = I(1, 0xdb);
pub(crate) const PANDN: I = I(1, 0xdf);
pub(crate) const POR: I = I(1, 0xeb);
pub(crate) const PXOR: I = I(1, 0xef);
/// By log2 of the element's bytes.
pub(crate) const PADD: [I; 4] = [I(1, 0xfc), I(1, 0xfd), I(1, 0xfe), I(1, 0xd4)];
pub(crate) const PSUB: [I; 4] = [I(1, 0xf8), I(1, 0xf9), I(1, 0xfa), I(1, 0xfb)];
pub(crate) const PCMPEQ: [I; 4] = [I(1, 0x74), I(1, 0x75), I(1, 0x76), I(2, 0x29)];
pub(crate) const PCMPGT: [I; 4] = [I(1, 0x64), I(1, 0x65), I(1, 0x66), I(2, 0x37)];
const PMAXS: [I; 3] = [I(2, 0x3c), I(1, 0xee), I(2, 0x3d)];
const PMINS: [I; 3] = [I(2, 0x38), I(1, 0xea), I(2, 0x39)];
const PMAXU: [I; 3] = [I(1, 0xde), I(2, 0x3e), I(2, 0x3f)];
const PMINU: [I; 3] = [I(1, 0xda), I(2, 0x3a), I(2, 0x3b)];
const PABS: [I; 3] = [I(2, 0x1c), I(2, 0x1d), I(2, 0x1e)];
pub(crate) const PMULLW: I = I(1, 0xd5);
pub(crate) const PMULLD: I = I(2, 0x40);
pub(crate) const PMULUDQ: I = I(1, 0xf4);
pub(crate) const PSHUFB: I = I(2, 0x00);
pub(crate) const PUNPCKLQDQ: I = I(1, 0x6c);

/// The element repeated through 16 bytes.
pub(crate) fn splat(element: u64, bits: u32) -> u128 {
    let element = u128::from(element & u64::MAX >> (64 - bits));
    (0..128 / bits).fold(0, |all, i| all | element << (i * bits))
}

/// A mask of the low `bits` bits.
fn low_bits(bits: u32) -> u128 {
    u128::MAX >> (128 - bits)
}

impl Lowering<'_> {
    // -- instructions ------------------------------------------------------------------------------------------------------------------
    /// `d = a op b`. `d` may be `a`, but `b` only if `a` is it as well.
    pub(crate) fn x(&mut self, i: I, d: Xmm, a: Xmm, b: impl Into<V>) {
        let b = b.into();
        debug_assert!(b != V::R(d) || a == d, "the right operand would be overwritten");
        if self.f.features.avx && (d != a || matches!(b, V::M(_))) {
            return match b {
                V::R(b) => self.asm.avx_rrr(0x66, i.0, false, i.1, d, a, b),
                V::M(m) => self.asm.avx_rrm(0x66, i.0, false, i.1, d, a, m),
                V::L(l) => self.asm.avx_rrl(0x66, i.0, false, i.1, d, a, l),
            };
        }
        self.copy(d, a);
        match b {
            V::R(b) => self.asm.sse_rr(0x66, i.0, i.1, d, b),
            V::M(m) => {
                debug_assert!(false, "memory may not be aligned");
                self.asm.sse_rm(0x66, i.0, i.1, d, m);
            }
            V::L(l) => self.asm.sse_rl(0x66, i.0, i.1, d, l),
        }
    }
    /// `d = op(a)`.
    pub(crate) fn x1(&mut self, i: I, d: Xmm, a: Xmm) {
        self.asm.sse_rr(0x66, i.0, i.1, d, a);
    }
    /// `d = a op b` with an immediate (`palignr`, `pblendw`, `pclmulqdq`); `d` is not `b` unless `a` is.
    pub(crate) fn xi(&mut self, i: I, d: Xmm, a: Xmm, b: Xmm, imm: u8) {
        debug_assert!(b != d || a == d, "the right operand would be overwritten");
        if self.f.features.avx && d != a {
            return self.asm.avx_rrri(0x66, i.0, false, i.1, d, a, b, imm);
        }
        self.copy(d, a);
        self.asm.sse_rri(0x66, i.0, i.1, d, b, imm);
    }
    pub(crate) fn copy(&mut self, d: Xmm, a: Xmm) {
        if d != a {
            self.asm.movaps(d, a);
        }
    }
    /// `pshufd d, a, imm`.
    pub(crate) fn pshufd(&mut self, d: Xmm, a: Xmm, imm: u8) {
        self.asm.sse_rri(0x66, 1, 0x70, d, a, imm);
    }
    /// A shift by a constant: opcode 71 (i16), 72 (i32), 73 (i64, bytes), and the number of the operation.
    pub(crate) fn shift_i(&mut self, opcode: u8, n: u8, d: Xmm, a: Xmm, by: u8) {
        if by == 0 {
            return self.copy(d, a);
        }
        if self.f.features.avx && d != a {
            return self.asm.avx_rrri(0x66, 1, false, opcode, n, d, a, by);
        }
        self.copy(d, a);
        self.asm.sse_rri(0x66, 1, opcode, n, d, by);
    }
    /// The whole register to the right by bytes.
    pub(crate) fn bytes_down(&mut self, d: Xmm, a: Xmm, by: u8) {
        self.shift_i(0x73, 3, d, a, by);
    }
    /// All zero.
    pub(crate) fn zero(&mut self, d: Xmm) {
        self.asm.sse_rr(0x66, 1, PXOR.1, d, d);
    }
    /// All ones.
    pub(crate) fn ones(&mut self, d: Xmm) {
        self.asm.sse_rr(0x66, 1, PCMPEQ[0].1, d, d);
    }
    pub(crate) fn load_const(&mut self, d: Xmm, bytes: u128) {
        match bytes {
            0 => self.zero(d),
            u128::MAX => self.ones(d),
            _ => {
                let l = self.constant(bytes);
                self.asm.sse_rl(0, 1, 0x28, d, l);
            }
        }
    }
    /// `d = a op constant`.
    pub(crate) fn xc(&mut self, i: I, d: Xmm, a: Xmm, bytes: u128) {
        let l = self.constant(bytes);
        self.x(i, d, a, V::L(l));
    }

    // -- operands and results ----------------------------------------------------------------------------------------------------------
    /// A vector register with the value, locked; constants come from memory.
    pub(crate) fn vec(&mut self, v: u32) -> Xmm {
        if let Loc::Const(c) = self.loc(v) {
            let x = self.xtemp();
            self.load_const(x, c.into());
            self.xown(v, x);
            return x;
        }
        self.xmm(v)
    }
    /// The value as a right operand, which may be in memory.
    pub(crate) fn vec_arg(&mut self, v: u32) -> V {
        if self.f.features.avx && self.fact(v).bits == 128 && self.dies(v) {
            match self.loc(v) {
                Loc::State(off) => return V::M(self.state(off)),
                Loc::Slot => return V::M(self.slot(v)),
                _ => {}
            }
        }
        V::R(self.vec(v))
    }
    /// A register for the result of one instruction: that of the left operand if it ends here.
    pub(crate) fn over(&mut self, v: u32, x: Xmm) -> Xmm {
        if self.loc(v) == Loc::Xmm(x) && self.dies(v) {
            self.xowner[x as usize] = NONE;
            self.vals[v as usize].loc = Loc::None;
            return x;
        }
        self.xtemp()
    }
    /// The result is in `d`.
    pub(crate) fn is(&mut self, op: &Op, d: Xmm) -> bool {
        self.xown(op.dst, d);
        true
    }
    /// `dst = a op b` in one instruction; operands may change places.
    fn one_commutative(&mut self, op: &Op, i: I) -> bool {
        let (mut a, mut b) = (op.a, op.b);
        let in_memory = |s: &Self, v: u32| matches!(s.loc(v), Loc::State(_) | Loc::Slot);
        if in_memory(self, a) && !in_memory(self, b) || matches!(self.loc(b), Loc::Xmm(_)) && self.dies(b) && !self.dies(a) {
            (a, b) = (b, a);
        }
        let left = self.vec(a);
        let right = self.vec_arg(b);
        let d = self.over(a, left);
        self.x(i, d, left, right);
        self.is(op, d)
    }
    /// `dst = a op b` in one instruction.
    pub(crate) fn one(&mut self, op: &Op, i: I, a: u32, b: u32) -> bool {
        let left = self.vec(a);
        let right = self.vec_arg(b);
        let d = if right == V::R(left) { self.xtemp() } else { self.over(a, left) };
        self.x(i, d, left, right);
        self.is(op, d)
    }
    /// Adds the saturation flag if any of the low `bits` bits of `x` is set.
    pub(crate) fn saturated_if(&mut self, x: Xmm, bits: u32) {
        if bits == 128 {
            self.asm.sse_rr(0x66, 2, 0x17, x, x);
        } else {
            let l = self.constant(low_bits(bits));
            self.asm.sse_rl(0x66, 2, 0x17, x, l);
        }
        self.clobbered();
        let (at, back) = (self.asm.label(), self.asm.label());
        self.asm.jcc(Cc::NE, at);
        self.asm.bind(back);
        self.cold.push(Cold::Saturated { at, back });
    }

    // -- the ops -----------------------------------------------------------------------------------------------------------------------
    /// Emits a vector op, or one on 128 bits; false if there is no code for it.
    pub(crate) fn vector(&mut self, op: &Op, c: Code) -> bool {
        let total = match op.shape {
            Shape::V64 => 64,
            Shape::V128 => 128,
            Shape::SCALAR => return self.wide(op, c) || self.saturate(op, c, op.ty.bits()),
            _ => return false,
        };
        let bits = op.ty.bits();
        match c {
            Code::And | Code::Or | Code::Xor | Code::AndNot | Code::OrNot | Code::Not | Code::BitSel => return self.logic(op, c),
            Code::Select => return self.select_vector(op),
            Code::AesEnc | Code::AesDec | Code::AesMc | Code::AesImc => return total == 128 && self.aes(op, c),
            _ => {}
        }
        if matches!((c, bits), (Code::PMul, 8) | (Code::PMulL, 16)) {
            return self.carryless_bytes(op, c, total);
        }
        if bits == 128 && c == Code::PMulL {
            return self.carryless(op, op.a, op.b, if op.aux & 2 != 0 { 0x11 } else { 0 });
        }
        if !(8..=64).contains(&bits) {
            return matches!(c, Code::VResize | Code::Ext | Code::Tbl) && self.permute(op, c, total);
        }
        let e = bits.trailing_zeros() as usize - 3;
        match c {
            Code::Add => self.one_commutative(op, PADD[e]),
            Code::Sub => self.one(op, PSUB[e], op.a, op.b),
            Code::Mul => self.multiply(op, bits),
            Code::Neg => {
                let a = self.vec(op.a);
                let d = self.xtemp();
                self.zero(d);
                self.x(PSUB[e], d, d, a);
                self.is(op, d)
            }
            Code::Abs => self.absolute(op, bits),
            Code::SMax | Code::SMin | Code::UMax | Code::UMin if bits <= 32 => self.one_commutative(op, Self::extreme(c, e)),
            Code::SMax | Code::SMin | Code::UMax | Code::UMin => self.extreme64(op, c),
            Code::VEq => self.one_commutative(op, PCMPEQ[e]),
            Code::VGtS => self.one(op, PCMPGT[e], op.a, op.b),
            Code::VGeS => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.x(PCMPGT[e], d, b, a);
                self.invert(d);
                self.is(op, d)
            }
            Code::VGeU if bits <= 32 => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.x(PMAXU[e], d, a, b);
                self.x(PCMPEQ[e], d, d, a);
                self.is(op, d)
            }
            Code::VGtU | Code::VGeU => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                let (more, less) = if c == Code::VGtU { (a, b) } else { (b, a) };
                self.greater_unsigned(d, more, less, bits);
                if c == Code::VGeU {
                    self.invert(d);
                }
                self.is(op, d)
            }
            Code::VTst => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.x(PAND, d, a, b);
                self.zero(S);
                self.x(PCMPEQ[e], d, d, S);
                self.invert(d);
                self.is(op, d)
            }
            Code::SAbd | Code::UAbd if bits <= 32 => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                let (max, min) = if c == Code::SAbd { (Code::SMax, Code::SMin) } else { (Code::UMax, Code::UMin) };
                self.x(Self::extreme(max, e), d, a, b);
                self.x(Self::extreme(min, e), S, a, b);
                self.x(PSUB[e], d, d, S);
                self.is(op, d)
            }
            Code::Cnt | Code::RBit if bits == 8 => self.by_nibbles(op, c),
            Code::Clz | Code::Cls if bits <= 32 => self.leading_bits(op, c, bits),
            _ => self.permute(op, c, total) || self.shift_vector(op, c, bits) || self.saturate(op, c, total) || self.widen(op, c, total),
        }
    }

    pub(crate) fn extreme(c: Code, e: usize) -> I {
        match c {
            Code::SMax => PMAXS[e],
            Code::SMin => PMINS[e],
            Code::UMax => PMAXU[e],
            _ => PMINU[e],
        }
    }

    /// `d = !d`.
    pub(crate) fn invert(&mut self, d: Xmm) {
        self.ones(S);
        self.x(PXOR, d, d, S);
    }

    /// `d` = all ones where unsigned a > b; uses `S`.
    pub(crate) fn greater_unsigned(&mut self, d: Xmm, a: Xmm, b: Xmm, bits: u32) {
        let e = bits.trailing_zeros() as usize - 3;
        let signs = splat(1 << (bits - 1), bits);
        self.xc(PXOR, S, b, signs);
        self.xc(PXOR, d, a, signs);
        self.x(PCMPGT[e], d, d, S);
    }

    /// Ops on 128-bit scalars, and others that are best done here.
    fn wide(&mut self, op: &Op, c: Code) -> bool {
        match c {
            Code::Const128 => {
                let high = u64::from(op.a) | u64::from(op.b) << 32;
                if high == 0 {
                    self.vals[op.dst as usize].loc = Loc::Const(op.imm);
                    return true;
                }
                let d = self.xtemp();
                self.load_const(d, u128::from(high) << 64 | u128::from(op.imm));
                self.is(op, d)
            }
            Code::ClMul => self.carryless(op, op.a, op.b, 0),
            Code::Crc32 => self.crc32(op),
            Code::And | Code::Or | Code::Xor | Code::AndNot | Code::OrNot | Code::Not | Code::BitSel if op.ty.bits() >= 32 => self.logic(op, c),
            Code::Select if op.ty.bits() == 128 => self.select_vector(op),
            Code::Select if matches!(op.ty, Ty::F32 | Ty::F64) => {
                let op = Op { ty: op.ty.as_int(), ..*op };
                self.integer(&op, c)
            }
            _ => false,
        }
    }

    fn logic(&mut self, op: &Op, c: Code) -> bool {
        match c {
            Code::And => self.one_commutative(op, PAND),
            Code::Or => self.one_commutative(op, POR),
            Code::Xor => self.one_commutative(op, PXOR),
            // The instruction inverts its left operand.
            Code::AndNot => self.one(op, PANDN, op.b, op.a),
            Code::OrNot => {
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.ones(d);
                self.x(PXOR, d, d, b);
                self.x(POR, d, d, a);
                self.is(op, d)
            }
            Code::Not => {
                let a = self.vec(op.a);
                let d = self.xtemp();
                self.ones(d);
                self.x(PXOR, d, d, a);
                self.is(op, d)
            }
            _ => {
                let (a, b, c) = (self.vec(op.a), self.vec(op.b), self.vec(op.c));
                let d = self.xtemp();
                self.x(PXOR, d, a, b);
                self.x(PAND, d, d, c);
                self.x(PXOR, d, d, b);
                self.is(op, d)
            }
        }
    }

    fn select_vector(&mut self, op: &Op) -> bool {
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let d = self.xtemp();
        let cc = self.test(op.c);
        let end = self.asm.label();
        self.copy(d, a);
        self.asm.jcc(cc, end);
        self.copy(d, b);
        self.asm.bind(end);
        self.is(op, d)
    }

    fn multiply(&mut self, op: &Op, bits: u32) -> bool {
        match bits {
            16 => self.one_commutative(op, PMULLW),
            32 => self.one_commutative(op, PMULLD),
            8 => {
                // The odd elements apart, in the upper bytes.
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.shift_i(0x71, 2, S, a, 8);
                self.shift_i(0x71, 2, S2, b, 8);
                self.x(PMULLW, S, S, S2);
                self.shift_i(0x71, 6, S, S, 8);
                self.x(PMULLW, d, a, b);
                self.xc(PAND, d, d, splat(0xff, 16));
                self.x(POR, d, d, S);
                self.is(op, d)
            }
            _ => {
                // low * low + ((high * low + low * high) << 32).
                let (a, b) = (self.vec(op.a), self.vec(op.b));
                let d = self.xtemp();
                self.shift_i(0x73, 2, S, a, 32);
                self.x(PMULUDQ, S, S, b);
                self.shift_i(0x73, 2, S2, b, 32);
                self.x(PMULUDQ, S2, S2, a);
                self.x(PADD[3], S, S, S2);
                self.shift_i(0x73, 6, S, S, 32);
                self.x(PMULUDQ, d, a, b);
                self.x(PADD[3], d, d, S);
                self.is(op, d)
            }
        }
    }

    fn absolute(&mut self, op: &Op, bits: u32) -> bool {
        let a = self.vec(op.a);
        let d = self.xtemp();
        if bits <= 32 {
            self.x1(PABS[bits.trailing_zeros() as usize - 3], d, a);
        } else {
            self.signs64(S, a);
            self.x(PXOR, d, a, S);
            self.x(PSUB[3], d, d, S);
        }
        self.is(op, d)
    }

    /// All ones in 64-bit elements that are negative.
    pub(crate) fn signs64(&mut self, d: Xmm, a: Xmm) {
        self.pshufd(d, a, 0xf5);
        self.shift_i(0x72, 4, d, d, 31);
    }

    fn extreme64(&mut self, op: &Op, c: Code) -> bool {
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let d = self.xtemp();
        if matches!(c, Code::SMax | Code::SMin) {
            self.x(PCMPGT[3], d, a, b);
        } else {
            self.greater_unsigned(d, a, b, 64);
        }
        // One of them and what it differs in from the other, where that is the better.
        self.x(PXOR, S, a, b);
        self.x(PAND, d, d, S);
        let base = if matches!(c, Code::SMax | Code::UMax) { b } else { a };
        self.x(PXOR, d, d, base);
        self.is(op, d)
    }

    /// Two look-ups of nibbles, put together.
    fn by_nibbles(&mut self, op: &Op, c: Code) -> bool {
        let table = |f: &dyn Fn(u8) -> u8| u128::from_le_bytes(std::array::from_fn(|i| f(i as u8)));
        let (low, high) = if c == Code::Cnt {
            let count = table(&|i| i.count_ones() as u8);
            (count, count)
        } else {
            (table(&|i| i.reverse_bits()), table(&|i| i.reverse_bits() >> 4))
        };
        let a = self.vec(op.a);
        let d = self.xtemp();
        self.shift_i(0x71, 2, S, a, 4);
        self.xc(PAND, S, S, splat(0x0f, 8));
        self.xc(PAND, S2, a, splat(0x0f, 8));
        self.load_const(d, low);
        self.x(PSHUFB, d, d, S2);
        self.load_const(S2, high);
        self.x(PSHUFB, S2, S2, S);
        self.x(if c == Code::Cnt { PADD[0] } else { POR }, d, d, S2);
        self.is(op, d)
    }

    /// Leading zeroes, of bytes by look-up of nibbles; then of twice the width each time: the upper half's, and if that is zero the lower
    /// half's as well.
    fn leading_bits(&mut self, op: &Op, c: Code, bits: u32) -> bool {
        let a = self.vec(op.a);
        let (d, t) = (self.xtemp(), self.xtemp());
        let mut from = a;
        if c == Code::Cls {
            // The bits that differ from the sign.
            if bits == 8 {
                self.zero(t);
                self.x(PCMPGT[0], t, t, a);
            } else {
                self.shift_i(if bits == 16 { 0x71 } else { 0x72 }, 4, t, a, bits as u8 - 1);
            }
            self.x(PXOR, t, t, a);
            from = t;
        }
        let table =
            |zero: u8, more: u8| u128::from_le_bytes(std::array::from_fn(|i| if i == 0 { zero } else { (i as u8).leading_zeros() as u8 - 4 + more }));
        self.shift_i(0x71, 2, S, from, 4);
        self.xc(PAND, S, S, splat(0x0f, 8));
        self.xc(PAND, S2, from, splat(0x0f, 8));
        self.load_const(d, table(8, 0));
        self.x(PSHUFB, d, d, S);
        self.load_const(S, table(8, 4));
        self.x(PSHUFB, S, S, S2);
        self.x(PMINU[0], d, d, S);
        for (half, shift, by) in [(0, 0x71, 8), (1, 0x72, 16)] {
            if bits <= 8 << half {
                break;
            }
            self.zero(S);
            self.x(PCMPEQ[half], S, S, from);
            self.shift_i(shift, 2, S, S, by);
            self.x(PAND, S, S, d);
            self.shift_i(shift, 2, d, d, by);
            self.x(PADD[half + 1], d, d, S);
        }
        if c == Code::Cls {
            self.ones(S);
            self.x(PADD[bits.trailing_zeros() as usize - 3], d, d, S);
        }
        self.is(op, d)
    }
}
