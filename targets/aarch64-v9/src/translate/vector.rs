//! Vocabulary of the SIMD and floating-point translations: element types, register access by shape, constants, modes, results.
//!
//! A scalar form of an instruction is either an op at scalar shape or, where the op works on vectors only and the element is 64 bits wide,
//! an op on the one-element 64-bit vector, whose value has the same width.

use crate::feature::Feature;
use crate::state::offset;
use crate::translate::Translator;
use emu_plugins_api::ir::{Code, Shape, Ty, Val};
use emu_plugins_api::softfloat::{Mode, Rounding};

/// The integer element type of log2 `size` bytes.
pub fn int_ty(size: u32) -> Ty {
    [Ty::I8, Ty::I16, Ty::I32, Ty::I64][size as usize & 3]
}

/// The floating-point element type of log2 `size` bytes (1 to 3).
pub fn float_ty(size: u32) -> Ty {
    [Ty::F16, Ty::F16, Ty::F32, Ty::F64][size as usize & 3]
}

/// The floating-point type of the `ftype` field: 00 single, 01 double, 11 half.
pub fn ftype_ty(ftype: u32) -> Ty {
    match ftype {
        0 => Ty::F32,
        1 => Ty::F64,
        _ => Ty::F16,
    }
}

/// The shape of an instruction with `scalar` and `Q` operands.
pub fn form(scalar: u32, q: u32) -> Shape {
    if scalar == 1 { Shape::SCALAR } else { Translator::shape(q) }
}

/// The shape for an op that works on vectors only, when a scalar form is always of 64 bits.
pub fn form64(scalar: u32, q: u32) -> Shape {
    if scalar == 1 { Shape::V64 } else { Translator::shape(q) }
}

/// True for the element arrangement 1D, which vector forms do not have.
pub fn is_1d(scalar: u32, q: u32, size: u32) -> bool {
    scalar == 0 && q == 0 && size == 3
}

/// All bits of an element below its sign.
fn magnitude_mask(ty: Ty) -> u64 {
    (1 << (ty.bits() - 1)) - 1
}

/// The bits of positive infinity.
fn infinity(ty: Ty) -> u64 {
    match ty {
        Ty::F16 => 0x7c00,
        Ty::BF16 => 0x7f80,
        Ty::F32 => 0x7f80_0000,
        _ => 0x7ff0_0000_0000_0000,
    }
}

/// `value`, an element of type `ty`, repeated to 64 bits.
pub fn replicate(ty: Ty, value: u64) -> u64 {
    match ty.bits() {
        8 => (value & 0xff) * 0x0101_0101_0101_0101,
        16 => (value & 0xffff) * 0x0001_0001_0001_0001,
        32 => (value & 0xffff_ffff) * 0x0000_0001_0000_0001,
        _ => value,
    }
}

impl Translator<'_> {
    /// True if the encoding is allocated and SIMD and floating-point instructions may execute; otherwise the exception has been appended.
    pub fn simd(&mut self, undefined: bool) -> bool {
        if undefined {
            self.undefined();
            return false;
        }
        self.fp_access()
    }
    /// V[n] as an operand of the given type and shape.
    pub fn vec(&mut self, ty: Ty, shape: Shape, n: u32) -> Val {
        match shape {
            Shape::SCALAR => self.v_low(ty, n),
            Shape::V64 => self.v_low(Ty::I64, n),
            _ => self.v(n),
        }
    }
    /// Writes V[n] with a result of the given type and shape, the rest of it zero.
    pub fn set_vec(&mut self, ty: Ty, shape: Shape, n: u32, v: Val) {
        match shape {
            Shape::SCALAR => self.set_v_low(ty, n, v),
            Shape::V64 => self.set_v_low(Ty::I64, n, v),
            _ => self.set_v(n, v),
        }
    }
    /// Writes a narrowed 64-bit vector: to the low half of V[n], the high half zero (part 0), or to the high half (part 1).
    pub fn set_part(&mut self, part: u32, n: u32, v: Val) {
        if part == 0 {
            self.set_v_low(Ty::I64, n, v);
        } else {
            self.ir.set(Ty::I64, Shape::SCALAR, offset::v(n & 31) + 8, v);
        }
    }
    /// A constant with every element equal to `value`.
    pub fn splat(&mut self, ty: Ty, shape: Shape, value: u64) -> Val {
        let wide = replicate(ty, value);
        match shape {
            Shape::SCALAR => self.ir.iconst(ty.as_int(), value),
            Shape::V64 => self.ir.c64(wide),
            _ => self.ir.const128(u128::from(wide) << 64 | u128::from(wide)),
        }
    }
    /// Element `index` of V[n].
    pub fn lane(&mut self, ty: Ty, n: u32, index: u32) -> Val {
        if index == 0 {
            return self.v_low(ty, n);
        }
        let v = self.v(n);
        self.ir.op(Code::GetLane, ty, Shape::V128, &[v], 0, u64::from(index))
    }
    /// Element `index` of V[m] in every element: the second operand of a by-element form.
    pub fn dup_lane(&mut self, ty: Ty, shape: Shape, m: u32, index: u32) -> Val {
        let e = self.lane(ty, m, index);
        if shape == Shape::SCALAR { e } else { self.ir.op(Code::Dup, ty, shape, &[e], 0, 0) }
    }
    /// An op whose static argument is in `aux`.
    pub fn aux(&mut self, code: Code, ty: Ty, shape: Shape, operands: &[Val], aux: u32) -> Val {
        self.ir.op(code, ty, shape, operands, aux, 0)
    }

    /// The floating-point mode of the block: FPCR in the positions of [`Mode`]. Each format takes the flush control that applies to it
    /// (FZ16 for half precision, FZ for the others, none in conversions) from the same word.
    pub fn fp_mode(&self) -> u32 {
        let k = self.key;
        let rounding = Rounding::from_index(k.rmode());
        let mut mode = Mode::IEEE.with_rounding(rounding);
        for (on, bit) in [
            (k.fz(), Mode::FZ),
            (k.dn(), Mode::DN),
            (k.fz16(), Mode::FZ16),
            (k.ahp(), Mode::AHP),
            (k.ah(), Mode::AH),
            (k.fiz(), Mode::FIZ),
            (k.ebf(), Mode::EBF),
            (u32::from(self.feature(Feature::RPRES)), Mode::RPRES),
        ] {
            if on != 0 {
                mode = mode.with(bit);
            }
        }
        mode.bits()
    }
    /// [`Translator::fp_mode`] with rounding to odd (FCVTXN).
    pub fn fp_mode_to_odd(&self) -> u32 {
        Mode::from_bits(self.fp_mode()).with_rounding(Rounding::ToOdd).bits()
    }
    /// A floating-point op in the mode of the block.
    pub fn fp(&mut self, code: Code, ty: Ty, shape: Shape, operands: &[Val], imm: u64) -> Val {
        let mode = self.fp_mode();
        self.ir.op(code, ty, shape, operands, mode, imm)
    }
    /// Writes a floating-point result of the given shape. The upper elements of a scalar one become zero or, under FPCR.NEP, those of
    /// V[merge] (IsMerging).
    pub fn set_fp(&mut self, ty: Ty, shape: Shape, d: u32, merge: u32, v: Val) {
        if shape == Shape::SCALAR && self.key.nep() != 0 {
            let old = self.v(merge);
            let new = self.ir.op(Code::SetLane, ty, Shape::V128, &[old, v], 0, 0);
            self.set_v(d, new);
        } else {
            self.set_vec(ty, shape, d, v);
        }
    }
    /// All ones (vector) or true (scalar) where `magnitude`, a number without its sign, is a NaN; then `a` there and `b` elsewhere.
    fn where_nan(&mut self, ty: Ty, shape: Shape, magnitude: Val, a: Val, b: Val) -> Val {
        let ity = ty.as_int();
        let inf = self.splat(ity, shape, infinity(ty));
        if shape == Shape::SCALAR {
            let nan = self.ir.ult(ity, inf, magnitude);
            self.ir.select(ity, nan, a, b)
        } else {
            let nan = self.ir.bin(Code::VGtU, ity, shape, magnitude, inf);
            self.ir.op(Code::BitSel, ity, shape, &[a, b, nan], 0, 0)
        }
    }
    /// FPAbs: under FPCR.AH NaNs keep their sign.
    pub fn fp_abs(&mut self, ty: Ty, shape: Shape, v: Val) -> Val {
        let ity = ty.as_int();
        let mask = self.splat(ity, shape, magnitude_mask(ty));
        let abs = self.ir.bin(Code::And, ity, shape, v, mask);
        if self.key.ah() != 0 { self.where_nan(ty, shape, abs, v, abs) } else { abs }
    }
    /// FPNeg of the elements whose bit is set in `lanes` (0 the even, 1 the odd ones): under FPCR.AH NaNs keep their sign.
    fn fp_neg_lanes(&mut self, ty: Ty, shape: Shape, v: Val, lanes: u32) -> Val {
        let ity = ty.as_int();
        let sign = 1u64 << (ty.bits() - 1);
        let pick = |odd: u32| if lanes >> odd & 1 == 1 { sign } else { 0 };
        let (even, odd) = (pick(0), pick(1));
        let signs = match (shape, ty.bits()) {
            (Shape::SCALAR, _) => self.ir.iconst(ity, even),
            (_, 64) => self.ir.const128(u128::from(odd) << 64 | u128::from(even)),
            (_, bits) => {
                let pair = Ty::int(bits * 2).unwrap_or(Ty::I64);
                self.splat(pair, shape, odd << bits | even)
            }
        };
        let neg = self.ir.bin(Code::Xor, ity, shape, v, signs);
        if self.key.ah() == 0 {
            return neg;
        }
        let mask = self.splat(ity, shape, magnitude_mask(ty));
        let magnitude = self.ir.bin(Code::And, ity, shape, v, mask);
        self.where_nan(ty, shape, magnitude, v, neg)
    }
    /// FPNeg.
    pub fn fp_neg(&mut self, ty: Ty, shape: Shape, v: Val) -> Val {
        self.fp_neg_lanes(ty, shape, v, 3)
    }
    /// FPNeg of the even elements only, or of the odd ones.
    pub fn fp_neg_half(&mut self, ty: Ty, shape: Shape, v: Val, odd: bool) -> Val {
        self.fp_neg_lanes(ty, shape, v, if odd { 2 } else { 1 })
    }
    /// `op` on the pairs of neighbouring elements of the concatenation of `a` (low) and `b`: even elements first.
    pub fn pairs(&mut self, ty: Ty, shape: Shape, a: Val, b: Val) -> (Val, Val) {
        let ity = ty.as_int();
        (self.ir.bin(Code::Uzp1, ity, shape, a, b), self.ir.bin(Code::Uzp2, ity, shape, a, b))
    }
}
