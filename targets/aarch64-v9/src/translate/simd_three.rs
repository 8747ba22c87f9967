//! Advanced SIMD with three registers: same size, different sizes, extensions, permutations, table lookup.
#![allow(clippy::too_many_arguments)] // Shared bodies take the fields of their encodings.

use crate::decode::*;
use crate::feature::Feature;
use crate::translate::Translator;
use crate::translate::simd_two::{minmax_code, narrow};
use crate::translate::vector::{float_ty, form, form64, int_ty, is_1d};
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

/// Bit of `aux` of `widen`, `mull`, ...: the elements are signed.
pub const SIGNED: u32 = 1;

/// True for a size other than 16 and 32 bits: reserved in doubling multiplies.
pub fn not_16_or_32(size: u32) -> bool {
    size == 0 || size == 3
}

impl Translator<'_> {
    /// An integer op on two vectors.
    fn three(&mut self, code: Code, ty: Ty, shape: Shape, rm: u32, rn: u32, rd: u32, imm: u64) {
        let (n, m) = (self.vec(ty, shape, rn), self.vec(ty, shape, rm));
        let r = self.ir.op(code, ty, shape, &[n, m], 0, imm);
        self.set_vec(ty, shape, rd, r);
    }
    /// A floating-point op with two operands; `merge` is the register whose upper elements a scalar form keeps under FPCR.NEP.
    fn fp_three(&mut self, code: Code, size: u32, shape: Shape, rm: u32, rn: u32, rd: u32, merge: u32, imm: u64) {
        let ty = float_ty(size);
        let (n, m) = (self.vec(ty, shape, rn), self.vec(ty, shape, rm));
        let r = self.fp(code, ty, shape, &[n, m], imm);
        self.set_fp(ty, shape, rd, merge, r);
    }
    /// A vector floating-point op.
    fn fp_vector(&mut self, code: Code, q: u32, size: u32, rm: u32, rn: u32, rd: u32) {
        if self.simd(is_1d(0, q, size)) {
            self.fp_three(code, size, Self::shape(q), rm, rn, rd, rn, 0);
        }
    }
    /// A floating-point op with a scalar form.
    fn fp_either(&mut self, code: Code, scalar: u32, q: u32, size: u32, rm: u32, rn: u32, rd: u32) {
        if self.simd(is_1d(scalar, q, size)) {
            self.fp_three(code, size, form(scalar, q), rm, rn, rd, rn, 0);
        }
    }
    /// A pairwise floating-point op.
    fn fp_pairwise(&mut self, code: Code, q: u32, size: u32, rm: u32, rn: u32, rd: u32) {
        if self.simd(is_1d(0, q, size)) {
            let (ty, shape) = (float_ty(size), Self::shape(q));
            let (n, m) = (self.vec(ty, shape, rn), self.vec(ty, shape, rm));
            let (even, odd) = self.pairs(ty, shape, n, m);
            let r = self.fp(code, ty, shape, &[even, odd], 0);
            self.set_vec(ty, shape, rd, r);
        }
    }
    /// Half-width elements of the part `q` of V[n], extended.
    fn widened(&mut self, wide: Ty, unsigned: u32, q: u32, n: u32) -> Val {
        let v = self.v(n);
        self.aux(Code::Widen, wide, Shape::V128, &[v], (1 - unsigned) | q << 1)
    }
    /// Adds `r` to V[d] or subtracts it, or writes it.
    pub(super) fn accumulate(&mut self, ty: Ty, shape: Shape, rd: u32, sub: Option<u32>, r: Val) {
        let r = match sub {
            None => r,
            Some(sub) => {
                let d = self.vec(ty, shape, rd);
                self.ir.bin(if sub == 0 { Code::Add } else { Code::Sub }, ty, shape, d, r)
            }
        };
        self.set_vec(ty, shape, rd, r);
    }
    /// SQDMLAL, SQDMLSL and SQDMULL: saturates the doubled product, then the sum. `m` is the second operand, of the half-width type.
    pub(super) fn sq_doubling_long(&mut self, scalar: u32, q: u32, size: u32, sub: Option<u32>, m: Val, rn: u32, rd: u32) {
        let wide = int_ty(size + 1);
        let (shape, part) = if scalar == 1 { (Shape::SCALAR, 0) } else { (Shape::V128, q) };
        let n = self.vec(int_ty(size), shape, rn);
        let mut r = self.aux(Code::SQDMulL, wide, shape, &[n, m], SIGNED | part << 1);
        if let Some(sub) = sub {
            let d = self.vec(wide, shape, rd);
            r = self.ir.bin(if sub == 0 { Code::SQAdd } else { Code::SQSub }, wide, shape, d, r);
        }
        self.set_vec(wide, shape, rd, r);
    }
    /// FCMLA: `m` is the second operand (one complex number per pair of elements).
    pub(super) fn complex_multiply_add(&mut self, ty: Ty, shape: Shape, rot: u32, m: Val, rn: u32, rd: u32) {
        let ity = ty.as_int();
        let (n, d) = (self.vec(ty, shape, rn), self.vec(ty, shape, rd));
        // The first operand's real part (rotations 0 and 180) or imaginary part, twice.
        let a = self.ir.bin(if rot & 1 == 0 { Code::Trn1 } else { Code::Trn2 }, ity, shape, n, n);
        let b = match rot {
            0 => m,
            2 => self.fp_neg(ty, shape, m),
            _ => {
                let swapped = self.aux(Code::Rev, ity, shape, &[m], ty.bits() * 2);
                self.fp_neg_half(ty, shape, swapped, rot == 3)
            }
        };
        let r = self.fp(Code::FMulAdd, ty, shape, &[a, b, d], 0);
        self.set_vec(ty, shape, rd, r);
    }
    /// True if the size of FCMLA and FCADD is reserved.
    fn complex_undefined(&self, q: u32, size: u32) -> bool {
        size == 0 || (size == 1 && !self.feature(Feature::FP16)) || is_1d(0, q, size)
    }
    fn permute(&mut self, codes: [Code; 2], op: u32, q: u32, size: u32, rm: u32, rn: u32, rd: u32) {
        if self.simd(is_1d(0, q, size)) {
            self.three(codes[op as usize & 1], int_ty(size), Self::shape(q), rm, rn, rd, 0);
        }
    }
}

impl AdvsimdThreeSame for Translator<'_> {
    fn simd_hadd(&mut self, i: &SimdHadd) {
        if self.simd(i.size == 3) {
            let code = if i.u == 0 { Code::SHAdd } else { Code::UHAdd };
            self.three(code, int_ty(i.size), Self::shape(i.q), i.rm, i.rn, i.rd, u64::from(i.round));
        }
    }
    fn simd_hsub(&mut self, i: &SimdHsub) {
        if self.simd(i.size == 3) {
            let code = if i.u == 0 { Code::SHSub } else { Code::UHSub };
            self.three(code, int_ty(i.size), Self::shape(i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_sat_add(&mut self, i: &SimdSatAdd) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let code = if i.u == 0 { Code::SQAdd } else { Code::UQAdd };
            self.three(code, int_ty(i.size), form(i.scalar, i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_sat_sub(&mut self, i: &SimdSatSub) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let code = if i.u == 0 { Code::SQSub } else { Code::UQSub };
            self.three(code, int_ty(i.size), form(i.scalar, i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_cmp(&mut self, i: &SimdCmp) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let code = match (i.u, i.eq) {
                (0, 0) => Code::VGtS,
                (0, _) => Code::VGeS,
                (_, 0) => Code::VGtU,
                _ => Code::VGeU,
            };
            self.three(code, int_ty(i.size), form64(i.scalar, i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_cmtst(&mut self, i: &SimdCmtst) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            self.three(Code::VTst, int_ty(i.size), form64(i.scalar, i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_cmeq(&mut self, i: &SimdCmeq) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            self.three(Code::VEq, int_ty(i.size), form64(i.scalar, i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_shift_reg(&mut self, i: &SimdShiftReg) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let (ty, shape) = (int_ty(i.size), form(i.scalar, i.q));
            let code = match (i.sat, i.u) {
                (0, 0) => Code::SShlV,
                (0, _) => Code::UShlV,
                (_, 0) => Code::SQShlV,
                _ => Code::UQShlV,
            };
            let (n, m) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm));
            let r = self.aux(code, ty, shape, &[n, m], i.round);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_minmax(&mut self, i: &SimdMinmax) {
        if self.simd(i.size == 3) {
            self.three(int_minmax(i.u, i.min), int_ty(i.size), Self::shape(i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_minmax_pair(&mut self, i: &SimdMinmaxPair) {
        if self.simd(i.size == 3) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let (n, m) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm));
            let (even, odd) = self.pairs(ty, shape, n, m);
            let r = self.ir.bin(int_minmax(i.u, i.min), ty, shape, even, odd);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_abs_diff(&mut self, i: &SimdAbsDiff) {
        if self.simd(i.size == 3) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let (n, m) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm));
            let r = self.ir.bin(if i.u == 0 { Code::SAbd } else { Code::UAbd }, ty, shape, n, m);
            self.accumulate(ty, shape, i.rd, (i.acc == 1).then_some(0), r);
        }
    }
    fn simd_add_sub(&mut self, i: &SimdAddSub) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let code = if i.u == 0 { Code::Add } else { Code::Sub };
            self.three(code, int_ty(i.size), form(i.scalar, i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_mla(&mut self, i: &SimdMla) {
        if self.simd(i.size == 3) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let (n, m) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm));
            let r = self.ir.bin(Code::Mul, ty, shape, n, m);
            self.accumulate(ty, shape, i.rd, Some(i.u), r);
        }
    }
    fn simd_mul(&mut self, i: &SimdMul) {
        if self.simd(i.size == 3) {
            self.three(Code::Mul, int_ty(i.size), Self::shape(i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_pmul(&mut self, i: &SimdPmul) {
        if self.simd(i.size != 0) {
            self.three(Code::PMul, Ty::I8, Self::shape(i.q), i.rm, i.rn, i.rd, 0);
        }
    }
    fn simd_sqdmulh(&mut self, i: &SimdSqdmulh) {
        if self.simd(not_16_or_32(i.size)) {
            self.three(Code::SQDMulH, int_ty(i.size), form(i.scalar, i.q), i.rm, i.rn, i.rd, u64::from(i.u));
        }
    }
    fn simd_addp(&mut self, i: &SimdAddp) {
        if self.simd(is_1d(0, i.q, i.size)) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let (n, m) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm));
            let (even, odd) = self.pairs(ty, shape, n, m);
            let r = self.ir.bin(Code::Add, ty, shape, even, odd);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_logical(&mut self, i: &SimdLogical) {
        if !self.simd(false) {
            return;
        }
        let (ty, shape) = (Ty::I64, Self::shape(i.q));
        let (n, m) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm));
        let r = match (i.u, i.opc2) {
            (0, 0) => self.ir.bin(Code::And, ty, shape, n, m),
            (0, 1) => self.ir.bin(Code::AndNot, ty, shape, n, m),
            (0, 2) if i.rn == i.rm => n, // MOV
            (0, 2) => self.ir.bin(Code::Or, ty, shape, n, m),
            (0, _) => self.ir.bin(Code::OrNot, ty, shape, n, m),
            (_, 0) => self.ir.bin(Code::Xor, ty, shape, n, m),
            (_, op) => {
                let d = self.vec(ty, shape, i.rd);
                let operands = match op {
                    1 => [n, m, d], // BSL
                    2 => [n, d, m], // BIT
                    _ => [d, n, m], // BIF
                };
                self.ir.op(Code::BitSel, ty, shape, &operands, 0, 0)
            }
        };
        self.set_vec(ty, shape, i.rd, r);
    }

    fn simd_fmlal(&mut self, i: &SimdFmlal) {
        if self.simd(false) {
            let shape = Self::shape(i.q);
            let (n, m, d) = (self.vec(Ty::F32, shape, i.rn), self.vec(Ty::F32, shape, i.rm), self.vec(Ty::F32, shape, i.rd));
            let r = self.fp(Code::FMulAddH, Ty::F32, shape, &[n, m, d], u64::from(i.sub | i.u << 1));
            self.set_vec(Ty::F32, shape, i.rd, r);
        }
    }
    fn simd_fminmax(&mut self, i: &SimdFminmax) {
        self.fp_vector(minmax_code(i.nm, i.min), i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fminmax_pair(&mut self, i: &SimdFminmaxPair) {
        self.fp_pairwise(minmax_code(i.nm, i.min), i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fmla(&mut self, i: &SimdFmla) {
        if self.simd(is_1d(0, i.q, i.size)) {
            let (ty, shape) = (float_ty(i.size), Self::shape(i.q));
            let (n, m, d) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm), self.vec(ty, shape, i.rd));
            let r = self.fp(Code::FMulAdd, ty, shape, &[n, m, d], u64::from(i.sub));
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_fadd(&mut self, i: &SimdFadd) {
        self.fp_vector(Code::FAdd, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fsub(&mut self, i: &SimdFsub) {
        self.fp_vector(Code::FSub, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fmul(&mut self, i: &SimdFmul) {
        self.fp_vector(Code::FMul, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fdiv(&mut self, i: &SimdFdiv) {
        self.fp_vector(Code::FDiv, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fmulx(&mut self, i: &SimdFmulx) {
        self.fp_either(Code::FMulX, i.scalar, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fabd(&mut self, i: &SimdFabd) {
        self.fp_either(Code::FAbd, i.scalar, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_frecps(&mut self, i: &SimdFrecps) {
        self.fp_either(Code::FRecpS, i.scalar, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_frsqrts(&mut self, i: &SimdFrsqrts) {
        self.fp_either(Code::FRsqrtS, i.scalar, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_faddp(&mut self, i: &SimdFaddp) {
        self.fp_pairwise(Code::FAdd, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_fcmp(&mut self, i: &SimdFcmp) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let code = match (i.u, i.e) {
                (0, _) => Code::FCmEq,
                (_, 0) => Code::FCmGe,
                _ => Code::FCmGt,
            };
            self.fp_three(code, i.size, form(i.scalar, i.q), i.rm, i.rn, i.rd, i.rm, u64::from(i.ac));
        }
    }

    fn simd_dot(&mut self, i: &SimdDot) {
        if self.simd(i.size != 2) {
            let signed = if i.u == 0 { 3 } else { 0 };
            self.dot(Code::Dot4, Self::shape(i.q), signed, i.rm, i.rn, i.rd);
        }
    }
    fn simd_usdot(&mut self, i: &SimdUsdot) {
        if self.simd(false) {
            self.dot(Code::Dot4, Self::shape(i.q), 2, i.rm, i.rn, i.rd);
        }
    }
    fn simd_mmla(&mut self, i: &SimdMmla) {
        if self.simd(false) {
            let signed = match (i.u, i.b) {
                (0, 0) => 3,
                (0, _) => 2,
                _ => 0,
            };
            self.dot(Code::MatMul8, Shape::V128, signed, i.rm, i.rn, i.rd);
        }
    }
    fn simd_sqrdmlah(&mut self, i: &SimdSqrdmlah) {
        if self.simd(not_16_or_32(i.size)) {
            let (ty, shape) = (int_ty(i.size), form(i.scalar, i.q));
            let (n, m, d) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm), self.vec(ty, shape, i.rd));
            let r = self.ir.op(Code::SQRDMlaH, ty, shape, &[n, m, d], 0, u64::from(i.sub));
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_fcmla(&mut self, i: &SimdFcmla) {
        if self.simd(self.complex_undefined(i.q, i.size)) {
            let (ty, shape) = (float_ty(i.size), Self::shape(i.q));
            let m = self.vec(ty, shape, i.rm);
            self.complex_multiply_add(ty, shape, i.rot, m, i.rn, i.rd);
        }
    }
    fn simd_fcadd(&mut self, i: &SimdFcadd) {
        if self.simd(self.complex_undefined(i.q, i.size)) {
            let (ty, shape) = (float_ty(i.size), Self::shape(i.q));
            let (n, m) = (self.vec(ty, shape, i.rn), self.vec(ty, shape, i.rm));
            let swapped = self.aux(Code::Rev, ty.as_int(), shape, &[m], ty.bits() * 2);
            // Times i: minus the imaginary part becomes the real one; times -i: minus the real part the imaginary one.
            let rotated = self.fp_neg_half(ty, shape, swapped, i.rot == 1);
            let r = self.fp(Code::FAdd, ty, shape, &[n, rotated], 0);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_bfdot(&mut self, i: &SimdBfdot) {
        if self.simd(false) {
            let mode = self.fp_mode();
            self.float_dot(Code::BfDot, Self::shape(i.q), mode, 0, i.rm, i.rn, i.rd);
        }
    }
    fn simd_bfmlal(&mut self, i: &SimdBfmlal) {
        if self.simd(false) {
            let mode = self.fp_mode();
            self.float_dot(Code::BfMlal, Shape::V128, mode, i.q, i.rm, i.rn, i.rd);
        }
    }
    fn simd_bfmmla(&mut self, i: &SimdBfmmla) {
        if self.simd(false) {
            let mode = self.fp_mode();
            self.float_dot(Code::BfMmla, Shape::V128, mode, 0, i.rm, i.rn, i.rd);
        }
    }

    fn simd_addl(&mut self, i: &SimdAddl) {
        if self.simd(i.size == 3) {
            let ty = int_ty(i.size + 1);
            let n = self.widened(ty, i.u, i.q, i.rn);
            let m = self.widened(ty, i.u, i.q, i.rm);
            let r = self.ir.bin(if i.sub == 0 { Code::Add } else { Code::Sub }, ty, Shape::V128, n, m);
            self.set_v(i.rd, r);
        }
    }
    fn simd_addw(&mut self, i: &SimdAddw) {
        if self.simd(i.size == 3) {
            let ty = int_ty(i.size + 1);
            let n = self.v(i.rn);
            let m = self.widened(ty, i.u, i.q, i.rm);
            let r = self.ir.bin(if i.sub == 0 { Code::Add } else { Code::Sub }, ty, Shape::V128, n, m);
            self.set_v(i.rd, r);
        }
    }
    fn simd_addhn(&mut self, i: &SimdAddhn) {
        if self.simd(i.size == 3) {
            let ty = int_ty(i.size + 1);
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let sum = self.ir.bin(if i.sub == 0 { Code::Add } else { Code::Sub }, ty, Shape::V128, n, m);
            let how = if i.u == 1 { narrow::TRUNCATE | narrow::ROUND } else { narrow::TRUNCATE };
            let r = self.ir.op(Code::Narrow, ty, Shape::V128, &[sum], how, 8 << i.size);
            self.set_part(i.q, i.rd, r);
        }
    }
    fn simd_abdl(&mut self, i: &SimdAbdl) {
        if self.simd(i.size == 3) {
            // The absolute difference of two elements fits their width as an unsigned number.
            let (half, ty) = (int_ty(i.size), int_ty(i.size + 1));
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let diff = self.ir.bin(if i.u == 0 { Code::SAbd } else { Code::UAbd }, half, Shape::V128, n, m);
            let r = self.aux(Code::Widen, ty, Shape::V128, &[diff], i.q << 1);
            self.accumulate(ty, Shape::V128, i.rd, (i.acc == 1).then_some(0), r);
        }
    }
    fn simd_mlal(&mut self, i: &SimdMlal) {
        if self.simd(i.size == 3) {
            let m = self.v(i.rm);
            self.multiply_long(i.size, i.u, i.q, Some(i.sub), m, i.rn, i.rd);
        }
    }
    fn simd_mull(&mut self, i: &SimdMull) {
        if self.simd(i.size == 3) {
            let m = self.v(i.rm);
            self.multiply_long(i.size, i.u, i.q, None, m, i.rn, i.rd);
        }
    }
    fn simd_sqdmlal(&mut self, i: &SimdSqdmlal) {
        if self.simd(not_16_or_32(i.size)) {
            let m = self.vec(int_ty(i.size), form(i.scalar, 1), i.rm);
            self.sq_doubling_long(i.scalar, i.q, i.size, Some(i.sub), m, i.rn, i.rd);
        }
    }
    fn simd_sqdmull(&mut self, i: &SimdSqdmull) {
        if self.simd(not_16_or_32(i.size)) {
            let m = self.vec(int_ty(i.size), form(i.scalar, 1), i.rm);
            self.sq_doubling_long(i.scalar, i.q, i.size, None, m, i.rn, i.rd);
        }
    }
    fn simd_pmull(&mut self, i: &SimdPmull) {
        let long = i.size == 3;
        if self.simd(i.size == 1 || i.size == 2 || (long && !self.feature(Feature::PMULL))) {
            let ty = if long { Ty::I128 } else { Ty::I16 };
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let r = self.aux(Code::PMulL, ty, Shape::V128, &[n, m], i.q << 1);
            self.set_v(i.rd, r);
        }
    }

    fn simd_uzp(&mut self, i: &SimdUzp) {
        self.permute([Code::Uzp1, Code::Uzp2], i.op, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_trn(&mut self, i: &SimdTrn) {
        self.permute([Code::Trn1, Code::Trn2], i.op, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_zip(&mut self, i: &SimdZip) {
        self.permute([Code::Zip1, Code::Zip2], i.op, i.q, i.size, i.rm, i.rn, i.rd);
    }
    fn simd_ext(&mut self, i: &SimdExt) {
        if self.simd(i.q == 0 && i.imm4 >= 8) {
            self.three(Code::Ext, Ty::I8, Self::shape(i.q), i.rm, i.rn, i.rd, u64::from(i.imm4));
        }
    }
    fn simd_tbl(&mut self, i: &SimdTbl) {
        if !self.simd(false) {
            return;
        }
        // The table is of whole registers even when the result is a half; what the upper indices select is dropped.
        let (ty, shape) = (Ty::I8, Shape::V128);
        let index = self.v(i.rm);
        let mut r = None;
        for k in 0..=i.len {
            let table = self.v(i.rn + k);
            let at = if k == 0 {
                index
            } else {
                let base = self.splat(ty, shape, u64::from(16 * k));
                self.ir.bin(Code::Sub, ty, shape, index, base)
            };
            let found = self.ir.bin(Code::Tbl, ty, shape, table, at);
            r = Some(match r {
                None => found,
                Some(before) => self.ir.bin(Code::Or, ty, shape, before, found),
            });
        }
        let Some(mut r) = r else { return };
        if i.op == 1 {
            let d = self.v(i.rd);
            let limit = self.splat(ty, shape, u64::from(16 * (i.len + 1)));
            let inside = self.ir.bin(Code::VGtU, ty, shape, limit, index);
            r = self.ir.op(Code::BitSel, ty, shape, &[r, d, inside], 0, 0);
        }
        if i.q == 0 {
            r = self.ir.lo64(r);
        }
        self.set_vq(i.q, i.rd, r);
    }
}

fn int_minmax(unsigned: u32, min: u32) -> Code {
    match (unsigned, min) {
        (0, 0) => Code::SMax,
        (0, _) => Code::SMin,
        (_, 0) => Code::UMax,
        _ => Code::UMin,
    }
}

impl Translator<'_> {
    /// An integer dot or matrix product of V[n] and V[m] added to V[d]; `signed` as in `dot4`.
    fn dot(&mut self, code: Code, shape: Shape, signed: u32, rm: u32, rn: u32, rd: u32) {
        let (n, m, d) = (self.vec(Ty::I32, shape, rn), self.vec(Ty::I32, shape, rm), self.vec(Ty::I32, shape, rd));
        let r = self.aux(code, Ty::I32, shape, &[n, m, d], signed);
        self.set_vec(Ty::I32, shape, rd, r);
    }
    fn float_dot(&mut self, code: Code, shape: Shape, mode: u32, imm: u32, rm: u32, rn: u32, rd: u32) {
        let (n, m, d) = (self.vec(Ty::F32, shape, rn), self.vec(Ty::F32, shape, rm), self.vec(Ty::F32, shape, rd));
        let r = self.ir.op(code, Ty::F32, shape, &[n, m, d], mode, u64::from(imm));
        self.set_vec(Ty::F32, shape, rd, r);
    }
    /// SMULL, SMLAL and family; `m` is the second operand, 128 bits of half-width elements.
    pub(super) fn multiply_long(&mut self, size: u32, unsigned: u32, q: u32, sub: Option<u32>, m: Val, rn: u32, rd: u32) {
        let ty = int_ty(size + 1);
        let n = self.v(rn);
        let r = self.aux(Code::MulL, ty, Shape::V128, &[n, m], (1 - unsigned) | q << 1);
        self.accumulate(ty, Shape::V128, rd, sub, r);
    }
}
