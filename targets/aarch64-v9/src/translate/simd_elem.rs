//! Advanced SIMD with an indexed element as the second operand.
#![allow(clippy::too_many_arguments)] // Shared bodies take the fields of their encodings.

use crate::decode::*;
use crate::feature::Feature;
use crate::translate::Translator;
use crate::translate::simd_three::not_16_or_32;
use crate::translate::vector::{float_ty, form, int_ty, is_1d};
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

/// The register and index of an element: (L, M, Rm, H) as the encodings have them.
#[derive(Clone, Copy)]
struct Element {
    l: u32,
    m: u32,
    rm: u32,
    h: u32,
}

macro_rules! element {
    ($i:expr) => {
        Element { l: $i.l, m: $i.m, rm: $i.rm, h: $i.h }
    };
}

impl Element {
    /// 16-bit elements of V0 to V15: index H:L:M.
    fn half(self) -> (u32, u32) {
        (self.rm, self.h << 2 | self.l << 1 | self.m)
    }
    /// 32-bit elements: index H:L.
    fn word(self) -> (u32, u32) {
        (self.m << 4 | self.rm, self.h << 1 | self.l)
    }
    /// 64-bit elements: index H.
    fn double(self) -> (u32, u32) {
        (self.m << 4 | self.rm, self.h)
    }
    /// By log2 of the element's bytes (1 to 3).
    fn of_size(self, size: u32) -> (u32, u32) {
        match size {
            1 => self.half(),
            2 => self.word(),
            _ => self.double(),
        }
    }
}

impl Translator<'_> {
    fn indexed(&mut self, ty: Ty, shape: Shape, (m, index): (u32, u32)) -> Val {
        self.dup_lane(ty, shape, m, index)
    }
    /// True for a reserved floating-point form: 64-bit elements with Q 0 or L 1.
    fn fp_elem_undefined(scalar: u32, q: u32, size: u32, l: u32) -> bool {
        is_1d(scalar, q, size) || (size == 3 && l == 1)
    }
    /// FMUL and FMULX.
    fn fp_mul_elem(&mut self, code: Code, scalar: u32, q: u32, size: u32, e: Element, rn: u32, rd: u32) {
        if self.simd(Self::fp_elem_undefined(scalar, q, size, e.l)) {
            let (ty, shape) = (float_ty(size), form(scalar, q));
            let m = self.indexed(ty, shape, e.of_size(size));
            let n = self.vec(ty, shape, rn);
            let r = self.fp(code, ty, shape, &[n, m], 0);
            self.set_fp(ty, shape, rd, rn, r);
        }
    }
    /// A dot product with the 32-bit group of elements; `aux` is the op's.
    fn dot_elem(&mut self, code: Code, ty: Ty, q: u32, e: Element, rn: u32, rd: u32, aux: u32) {
        let shape = Self::shape(q);
        let m = self.indexed(Ty::I32, shape, e.word());
        let (n, d) = (self.vec(ty, shape, rn), self.vec(ty, shape, rd));
        let r = self.aux(code, ty, shape, &[n, m, d], aux);
        self.set_vec(ty, shape, rd, r);
    }
}

impl AdvsimdElem for Translator<'_> {
    fn simd_mul_elem(&mut self, i: &SimdMulElem) {
        if self.simd(not_16_or_32(i.size)) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let m = self.indexed(ty, shape, element!(i).of_size(i.size));
            let n = self.vec(ty, shape, i.rn);
            let r = self.ir.bin(Code::Mul, ty, shape, n, m);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_mla_elem(&mut self, i: &SimdMlaElem) {
        if self.simd(not_16_or_32(i.size)) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let m = self.indexed(ty, shape, element!(i).of_size(i.size));
            let n = self.vec(ty, shape, i.rn);
            let r = self.ir.bin(Code::Mul, ty, shape, n, m);
            self.accumulate(ty, shape, i.rd, Some(i.sub), r);
        }
    }
    fn simd_mlal_elem(&mut self, i: &SimdMlalElem) {
        if self.simd(not_16_or_32(i.size)) {
            let m = self.indexed(int_ty(i.size), Shape::V128, element!(i).of_size(i.size));
            self.multiply_long(i.size, i.u, i.q, Some(i.sub), m, i.rn, i.rd);
        }
    }
    fn simd_mull_elem(&mut self, i: &SimdMullElem) {
        if self.simd(not_16_or_32(i.size)) {
            let m = self.indexed(int_ty(i.size), Shape::V128, element!(i).of_size(i.size));
            self.multiply_long(i.size, i.u, i.q, None, m, i.rn, i.rd);
        }
    }
    fn simd_sqdmlal_elem(&mut self, i: &SimdSqdmlalElem) {
        if self.simd(not_16_or_32(i.size)) {
            let m = self.indexed(int_ty(i.size), form(i.scalar, 1), element!(i).of_size(i.size));
            self.sq_doubling_long(i.scalar, i.q, i.size, Some(i.sub), m, i.rn, i.rd);
        }
    }
    fn simd_sqdmull_elem(&mut self, i: &SimdSqdmullElem) {
        if self.simd(not_16_or_32(i.size)) {
            let m = self.indexed(int_ty(i.size), form(i.scalar, 1), element!(i).of_size(i.size));
            self.sq_doubling_long(i.scalar, i.q, i.size, None, m, i.rn, i.rd);
        }
    }
    fn simd_sqdmulh_elem(&mut self, i: &SimdSqdmulhElem) {
        if self.simd(not_16_or_32(i.size)) {
            let (ty, shape) = (int_ty(i.size), form(i.scalar, i.q));
            let m = self.indexed(ty, shape, element!(i).of_size(i.size));
            let n = self.vec(ty, shape, i.rn);
            let r = self.ir.op(Code::SQDMulH, ty, shape, &[n, m], 0, u64::from(i.round));
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_sqrdmlah_elem(&mut self, i: &SimdSqrdmlahElem) {
        if self.simd(not_16_or_32(i.size)) {
            let (ty, shape) = (int_ty(i.size), form(i.scalar, i.q));
            let m = self.indexed(ty, shape, element!(i).of_size(i.size));
            let (n, d) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rd));
            let r = self.ir.op(Code::SQRDMlaH, ty, shape, &[n, m, d], 0, u64::from(i.sub));
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_dot_elem(&mut self, i: &SimdDotElem) {
        if self.simd(i.size != 2) {
            let signed = if i.u == 0 { 3 } else { 0 };
            self.dot_elem(Code::Dot4, Ty::I32, i.q, element!(i), i.rn, i.rd, signed);
        }
    }
    fn simd_usdot_elem(&mut self, i: &SimdUsdotElem) {
        if self.simd(false) {
            // USDOT: V[n] unsigned, the element signed; SUDOT the other way round.
            self.dot_elem(Code::Dot4, Ty::I32, i.q, element!(i), i.rn, i.rd, 1 + i.us);
        }
    }
    fn simd_bfdot_elem(&mut self, i: &SimdBfdotElem) {
        if self.simd(false) {
            let mode = self.fp_mode();
            self.dot_elem(Code::BfDot, Ty::F32, i.q, element!(i), i.rn, i.rd, mode);
        }
    }
    fn simd_bfmlal_elem(&mut self, i: &SimdBfmlalElem) {
        if self.simd(false) {
            let m = self.indexed(Ty::I16, Shape::V128, element!(i).half());
            let (n, d) = (self.v(i.rn), self.v(i.rd));
            let r = self.fp(Code::BfMlal, Ty::F32, Shape::V128, &[n, m, d], u64::from(i.q));
            self.set_v(i.rd, r);
        }
    }
    fn simd_fmlal_elem(&mut self, i: &SimdFmlalElem) {
        if self.simd(false) {
            let shape = Self::shape(i.q);
            let m = self.indexed(Ty::I16, shape, element!(i).half());
            let (n, d) = (self.vec(Ty::F32, shape, i.rn), self.vec(Ty::F32, shape, i.rd));
            let r = self.fp(Code::FMulAddH, Ty::F32, shape, &[n, m, d], u64::from(i.sub | i.u << 1));
            self.set_vec(Ty::F32, shape, i.rd, r);
        }
    }
    fn simd_fcmla_elem(&mut self, i: &SimdFcmlaElem) {
        let undefined = match i.size {
            1 => !self.feature(Feature::FP16) || (i.h == 1 && i.q == 0),
            2 => i.l == 1 || i.q == 0,
            _ => true,
        };
        if self.simd(undefined) {
            // The element is a complex number: index H:L of pairs of halves, H of pairs of words.
            let (ty, shape, e) = (float_ty(i.size), Self::shape(i.q), element!(i));
            let (pair, at) = if i.size == 1 { (Ty::I32, e.word()) } else { (Ty::I64, e.double()) };
            let m = self.indexed(pair, shape, at);
            self.complex_multiply_add(ty, shape, i.rot, m, i.rn, i.rd);
        }
    }
    fn simd_fmla_elem(&mut self, i: &SimdFmlaElem) {
        if self.simd(Self::fp_elem_undefined(i.scalar, i.q, i.size, i.l)) {
            let (ty, shape) = (float_ty(i.size), form(i.scalar, i.q));
            let m = self.indexed(ty, shape, element!(i).of_size(i.size));
            let (n, d) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rd));
            let r = self.fp(Code::FMulAdd, ty, shape, &[n, m, d], u64::from(i.sub));
            self.set_fp(ty, shape, i.rd, i.rd, r);
        }
    }
    fn simd_fmul_elem(&mut self, i: &SimdFmulElem) {
        self.fp_mul_elem(Code::FMul, i.scalar, i.q, i.size, element!(i), i.rn, i.rd);
    }
    fn simd_fmulx_elem(&mut self, i: &SimdFmulxElem) {
        self.fp_mul_elem(Code::FMulX, i.scalar, i.q, i.size, element!(i), i.rn, i.rd);
    }
}
