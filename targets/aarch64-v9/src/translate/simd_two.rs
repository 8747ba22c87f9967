//! Advanced SIMD with two registers, across lanes, scalar pairwise, copies, modified immediates.
#![allow(clippy::too_many_arguments)] // Shared bodies take the fields of their encodings.

use crate::decode::*;
use crate::translate::Translator;
use crate::translate::fp::frint_imm;
use crate::translate::vector::{float_ty, form, form64, int_ty, is_1d};
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

/// `aux` of a `narrow` op.
pub mod narrow {
    /// The low half.
    pub const TRUNCATE: u32 = 0;
    /// Signed to signed.
    pub const SIGNED: u32 = 1;
    /// Unsigned to unsigned.
    pub const UNSIGNED: u32 = 2;
    /// Signed to unsigned.
    pub const SIGNED_TO_UNSIGNED: u32 = 3;
    /// The shift rounds.
    pub const ROUND: u32 = 4;
    /// The shift is arithmetic.
    pub const ARITHMETIC: u32 = 8;
}

impl Translator<'_> {
    /// An integer op with one operand, on vectors.
    fn two_reg(&mut self, code: Code, ty: Ty, shape: Shape, rn: u32, rd: u32) {
        let n = self.vec(ty, shape, rn);
        let r = self.ir.un(code, ty, shape, n);
        self.set_vec(ty, shape, rd, r);
    }
    /// A floating-point op with one operand, whose scalar form keeps the upper elements of V[d] under FPCR.NEP.
    fn fp_two_reg(&mut self, code: Code, size: u32, shape: Shape, rn: u32, rd: u32, imm: u64) {
        let ty = float_ty(size);
        let n = self.vec(ty, shape, rn);
        let r = self.fp(code, ty, shape, &[n], imm);
        self.set_fp(ty, shape, rd, rd, r);
    }
    /// Narrows elements of log2 size `size + 1` in V[n] (or the one of a scalar form) to `size`; `aux` and `shift` are those of `narrow`.
    pub(super) fn narrow(&mut self, scalar: u32, q: u32, size: u32, rn: u32, rd: u32, aux: u32, shift: u32) {
        let wide = int_ty(size + 1);
        if scalar == 1 {
            // The other elements of the 64-bit vector are zero and saturate at nothing.
            let n = self.v_low(wide, rn);
            let n = self.ir.zext(Ty::I64, wide, n);
            let r = self.ir.op(Code::Narrow, wide, Shape::V64, &[n], aux, u64::from(shift));
            let r = self.ir.trunc(int_ty(size), Ty::I32, r);
            self.set_v_low(int_ty(size), rd, r);
        } else {
            let n = self.v(rn);
            let r = self.ir.op(Code::Narrow, wide, Shape::V128, &[n], aux, u64::from(shift));
            self.set_part(q, rd, r);
        }
    }
    /// Reduce: the low half against the high half, recursively.
    fn reduce_float(&mut self, code: Code, ty: Ty, lanes: &[Val]) -> Val {
        match lanes {
            [one] => *one,
            _ => {
                let (low, high) = lanes.split_at(lanes.len() / 2);
                let low = self.reduce_float(code, ty, low);
                let high = self.reduce_float(code, ty, high);
                self.fp(code, ty, Shape::SCALAR, &[low, high], 0)
            }
        }
    }
    fn pair_scalar(&mut self, code: Code, size: u32, rn: u32, rd: u32) {
        let ty = float_ty(size);
        let lanes = [self.lane(ty, rn, 0), self.lane(ty, rn, 1)];
        let r = self.reduce_float(code, ty, &lanes);
        self.set_v_low(ty, rd, r);
    }
}

/// FMAX, FMIN, FMAXNM or FMINNM.
pub fn minmax_code(nm: u32, min: u32) -> Code {
    match (nm, min) {
        (0, 0) => Code::FMax,
        (0, _) => Code::FMin,
        (_, 0) => Code::FMaxNm,
        _ => Code::FMinNm,
    }
}

/// Size and index of the element that imm5 names; no size for a reserved one.
fn element_of(imm5: u32) -> Option<(u32, u32)> {
    let size = imm5.trailing_zeros();
    (size < 4).then(|| (size, imm5 >> (size + 1)))
}

/// AdvSIMDExpandImm, with the inversion of MVNI and BIC left out.
fn expand_imm(op: u32, cmode: u32, imm8: u32) -> u64 {
    let imm = u64::from(imm8);
    let both = |v: u64| v << 32 | v;
    let four = |v: u64| v * 0x0001_0001_0001_0001;
    match cmode >> 1 {
        n @ 0..=3 => both(imm << (8 * n)),
        n @ 4..=5 => four(imm << (8 * (n - 4))),
        6 if cmode & 1 == 0 => both(imm << 8 | 0xff),
        6 => both(imm << 16 | 0xffff),
        _ => match (cmode & 1, op) {
            (0, 0) => imm * 0x0101_0101_0101_0101,
            (0, _) => (0..8).filter(|bit| imm8 >> bit & 1 == 1).fold(0, |v, byte| v | 0xff << (8 * byte)),
            (_, 0) => both(super::fp::expand_fp_imm(Ty::F32, imm8)),
            _ => super::fp::expand_fp_imm(Ty::F64, imm8),
        },
    }
}

impl AdvsimdTwoReg for Translator<'_> {
    fn simd_rev(&mut self, i: &SimdRev) {
        if self.simd(i.size >= i.container) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let n = self.vec(ty, shape, i.rn);
            let r = self.aux(Code::Rev, ty, shape, &[n], 8 << i.container);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_addlp(&mut self, i: &SimdAddlp) {
        if self.simd(i.size == 3) {
            let (ty, shape) = (int_ty(i.size + 1), Self::shape(i.q));
            let n = self.vec(ty, shape, i.rn);
            let mut r = self.aux(Code::AddLP, ty, shape, &[n], 1 - i.u);
            if i.acc == 1 {
                let d = self.vec(ty, shape, i.rd);
                r = self.ir.bin(Code::Add, ty, shape, d, r);
            }
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_suqadd(&mut self, i: &SimdSuqadd) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let (ty, shape) = (int_ty(i.size), form(i.scalar, i.q));
            let (d, n) = (self.vec(ty, shape, i.rd), self.vec(ty, shape, i.rn));
            let code = if i.u == 0 { Code::SUQAdd } else { Code::USQAdd };
            let r = self.ir.bin(code, ty, shape, d, n);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_cls(&mut self, i: &SimdCls) {
        if self.simd(i.size == 3) {
            self.two_reg(Code::Cls, int_ty(i.size), Self::shape(i.q), i.rn, i.rd);
        }
    }
    fn simd_clz(&mut self, i: &SimdClz) {
        if self.simd(i.size == 3) {
            self.two_reg(Code::Clz, int_ty(i.size), Self::shape(i.q), i.rn, i.rd);
        }
    }
    fn simd_cnt(&mut self, i: &SimdCnt) {
        if self.simd(i.size != 0) {
            self.two_reg(Code::Cnt, Ty::I8, Self::shape(i.q), i.rn, i.rd);
        }
    }
    fn simd_not(&mut self, i: &SimdNot) {
        if self.simd(false) {
            self.two_reg(Code::Not, Ty::I8, Self::shape(i.q), i.rn, i.rd);
        }
    }
    fn simd_rbit(&mut self, i: &SimdRbit) {
        if self.simd(false) {
            self.two_reg(Code::RBit, Ty::I8, Self::shape(i.q), i.rn, i.rd);
        }
    }
    fn simd_sqabs_neg(&mut self, i: &SimdSqabsNeg) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let code = if i.u == 0 { Code::SQAbs } else { Code::SQNeg };
            self.two_reg(code, int_ty(i.size), form(i.scalar, i.q), i.rn, i.rd);
        }
    }
    fn simd_abs_neg(&mut self, i: &SimdAbsNeg) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let code = if i.u == 0 { Code::Abs } else { Code::Neg };
            self.two_reg(code, int_ty(i.size), form64(i.scalar, i.q), i.rn, i.rd);
        }
    }
    fn simd_cmp_zero(&mut self, i: &SimdCmpZero) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let (ty, shape) = (int_ty(i.size), form64(i.scalar, i.q));
            let n = self.vec(ty, shape, i.rn);
            let zero = self.splat(ty, shape, 0);
            let (code, a, b) = match (i.u, i.op) {
                (0, 0) => (Code::VGtS, n, zero),
                (0, 1) => (Code::VEq, n, zero),
                (0, _) => (Code::VGtS, zero, n),
                (_, 0) => (Code::VGeS, n, zero),
                _ => (Code::VGeS, zero, n),
            };
            let r = self.ir.bin(code, ty, shape, a, b);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_xtn(&mut self, i: &SimdXtn) {
        if self.simd(i.size == 3) {
            self.narrow(0, i.q, i.size, i.rn, i.rd, narrow::TRUNCATE, 0);
        }
    }
    fn simd_sqxtun(&mut self, i: &SimdSqxtun) {
        if self.simd(i.size == 3) {
            self.narrow(i.scalar, i.q, i.size, i.rn, i.rd, narrow::SIGNED_TO_UNSIGNED, 0);
        }
    }
    fn simd_sqxtn(&mut self, i: &SimdSqxtn) {
        if self.simd(i.size == 3) {
            let how = if i.u == 0 { narrow::SIGNED } else { narrow::UNSIGNED };
            self.narrow(i.scalar, i.q, i.size, i.rn, i.rd, how, 0);
        }
    }
    fn simd_shll(&mut self, i: &SimdShll) {
        if self.simd(i.size == 3) {
            let ty = int_ty(i.size + 1);
            let n = self.v(i.rn);
            let wide = self.aux(Code::Widen, ty, Shape::V128, &[n], i.q << 1);
            let r = self.ir.op(Code::ShlImm, ty, Shape::V128, &[wide], 0, 8 << i.size);
            self.set_v(i.rd, r);
        }
    }
    fn simd_fcvtn(&mut self, i: &SimdFcvtn) {
        if self.simd(false) {
            let n = self.v(i.rn);
            let r = self.fp(Code::FNarrow, float_ty(i.sz + 2), Shape::V128, &[n], 0);
            self.set_part(i.q, i.rd, r);
        }
    }
    fn simd_fcvtl(&mut self, i: &SimdFcvtl) {
        if self.simd(false) {
            let n = self.v(i.rn);
            let r = self.fp(Code::FWiden, float_ty(i.sz + 2), Shape::V128, &[n], u64::from(i.q));
            self.set_v(i.rd, r);
        }
    }
    fn simd_fcvtxn(&mut self, i: &SimdFcvtxn) {
        if self.simd(false) {
            let mode = self.fp_mode_to_odd();
            if i.scalar == 1 {
                let n = self.v_low(Ty::F64, i.rn);
                let r = self.ir.op(Code::FConvert, Ty::F32, Shape::SCALAR, &[n], mode, u64::from(Ty::F64.0) << 16);
                self.set_fp(Ty::F32, Shape::SCALAR, i.rd, i.rd, r);
            } else {
                let n = self.v(i.rn);
                let r = self.ir.op(Code::FNarrow, Ty::F64, Shape::V128, &[n], mode, 0);
                self.set_part(i.q, i.rd, r);
            }
        }
    }
    fn simd_bfcvtn(&mut self, i: &SimdBfcvtn) {
        if self.simd(false) {
            let n = self.v(i.rn);
            let r = self.fp(Code::FNarrow, Ty::F32, Shape::V128, &[n], 1);
            self.set_part(i.q, i.rd, r);
        }
    }
    fn simd_urecpe(&mut self, i: &SimdUrecpe) {
        if self.simd(i.sz == 1) {
            self.two_reg(Code::URecpE, Ty::I32, Self::shape(i.q), i.rn, i.rd);
        }
    }
    fn simd_ursqrte(&mut self, i: &SimdUrsqrte) {
        if self.simd(i.sz == 1) {
            self.two_reg(Code::URsqrtE, Ty::I32, Self::shape(i.q), i.rn, i.rd);
        }
    }
    fn simd_frint(&mut self, i: &SimdFrint) {
        if self.simd(is_1d(0, i.q, i.size)) {
            let imm = frint_imm(i.rmode, self.key.rmode());
            self.fp_two_reg(Code::FRoundInt, i.size, Self::shape(i.q), i.rn, i.rd, imm);
        }
    }
    fn simd_frint32_64(&mut self, i: &SimdFrint3264) {
        if self.simd(is_1d(0, i.q, i.size)) {
            let imm = self.frint_n_imm(i.op);
            self.fp_two_reg(Code::FRoundIntN, i.size, Self::shape(i.q), i.rn, i.rd, imm);
        }
    }
    fn simd_fcvt_int(&mut self, i: &SimdFcvtInt) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            self.vector_to_int(i.size, form(i.scalar, i.q), i.u, i.rmode, 0, i.rn, i.rd);
        }
    }
    fn simd_int_to_fp(&mut self, i: &SimdIntToFp) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            self.vector_from_int(i.size, form(i.scalar, i.q), i.u, 0, i.rn, i.rd);
        }
    }
    fn simd_fcmp_zero(&mut self, i: &SimdFcmpZero) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            let (ty, shape) = (float_ty(i.size), form(i.scalar, i.q));
            let n = self.vec(ty, shape, i.rn);
            let zero = self.splat(ty, shape, 0);
            let (code, a, b) = match (i.u, i.op) {
                (0, 0) => (Code::FCmGt, n, zero),
                (0, 1) => (Code::FCmEq, n, zero),
                (0, _) => (Code::FCmGt, zero, n),
                (_, 0) => (Code::FCmGe, n, zero),
                _ => (Code::FCmGe, zero, n),
            };
            let r = self.fp(code, ty, shape, &[a, b], 0);
            // FPCR.NEP has no say in the comparisons with zero.
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_fabs_neg(&mut self, i: &SimdFabsNeg) {
        if self.simd(is_1d(0, i.q, i.size)) {
            let (ty, shape) = (float_ty(i.size), Self::shape(i.q));
            let n = self.vec(ty, shape, i.rn);
            let r = if i.u == 0 { self.fp_abs(ty, shape, n) } else { self.fp_neg(ty, shape, n) };
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_fsqrt(&mut self, i: &SimdFsqrt) {
        if self.simd(is_1d(0, i.q, i.size)) {
            self.fp_two_reg(Code::FSqrt, i.size, Self::shape(i.q), i.rn, i.rd, 0);
        }
    }
    fn simd_frecpe(&mut self, i: &SimdFrecpe) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            self.fp_two_reg(Code::FRecpE, i.size, form(i.scalar, i.q), i.rn, i.rd, 0);
        }
    }
    fn simd_frsqrte(&mut self, i: &SimdFrsqrte) {
        if self.simd(is_1d(i.scalar, i.q, i.size)) {
            self.fp_two_reg(Code::FRsqrtE, i.size, form(i.scalar, i.q), i.rn, i.rd, 0);
        }
    }
    fn simd_frecpx(&mut self, i: &SimdFrecpx) {
        if self.simd(false) {
            self.fp_two_reg(Code::FRecpX, i.size, Shape::SCALAR, i.rn, i.rd, 0);
        }
    }

    fn simd_addlv(&mut self, i: &SimdAddlv) {
        if self.simd(i.size == 3 || (i.size == 2 && i.q == 0)) {
            // The sums of pairs already have the width of the result.
            let (ty, shape) = (int_ty(i.size + 1), Self::shape(i.q));
            let n = self.vec(ty, shape, i.rn);
            let pairs = self.aux(Code::AddLP, ty, shape, &[n], 1 - i.u);
            let r = self.aux(Code::ReduceAdd, ty, shape, &[pairs], 0);
            self.set_v_low(ty, i.rd, r);
        }
    }
    fn simd_addv(&mut self, i: &SimdAddv) {
        if self.simd(i.size == 3 || (i.size == 2 && i.q == 0)) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let n = self.vec(ty, shape, i.rn);
            let r = self.aux(Code::ReduceAdd, ty, shape, &[n], 0);
            self.set_v_low(ty, i.rd, r);
        }
    }
    fn simd_minmaxv(&mut self, i: &SimdMinmaxv) {
        if self.simd(i.size == 3 || (i.size == 2 && i.q == 0)) {
            let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
            let code = match (i.u, i.min) {
                (0, 0) => Code::ReduceSMax,
                (0, _) => Code::ReduceSMin,
                (_, 0) => Code::ReduceUMax,
                _ => Code::ReduceUMin,
            };
            let n = self.vec(ty, shape, i.rn);
            let r = self.aux(code, ty, shape, &[n], 0);
            self.set_v_low(ty, i.rd, r);
        }
    }
    fn simd_fminmaxv(&mut self, i: &SimdFminmaxv) {
        if self.simd(false) {
            let ty = float_ty(i.size);
            let v = self.v(i.rn);
            let count = u64::from((64 << i.q) / ty.bits());
            let lanes: Vec<Val> = (0..count).map(|k| self.ir.op(Code::GetLane, ty, Shape::V128, &[v], 0, k)).collect();
            let r = self.reduce_float(minmax_code(i.nm, i.min), ty, &lanes);
            self.set_v_low(ty, i.rd, r);
        }
    }
    fn simd_addp_scalar(&mut self, i: &SimdAddpScalar) {
        if self.simd(i.size != 3) {
            let (low, high) = (self.lane(Ty::I64, i.rn, 0), self.lane(Ty::I64, i.rn, 1));
            let r = self.ir.add(Ty::I64, low, high);
            self.set_v_low(Ty::I64, i.rd, r);
        }
    }
    fn simd_faddp_scalar(&mut self, i: &SimdFaddpScalar) {
        if self.simd(false) {
            self.pair_scalar(Code::FAdd, i.size, i.rn, i.rd);
        }
    }
    fn simd_fminmax_pair_scalar(&mut self, i: &SimdFminmaxPairScalar) {
        if self.simd(false) {
            self.pair_scalar(minmax_code(i.nm, i.min), i.size, i.rn, i.rd);
        }
    }

    fn simd_dup_elem(&mut self, i: &SimdDupElem) {
        let Some((size, index)) = element_of(i.imm5) else { return self.undefined() };
        if self.simd(is_1d(i.scalar, i.q, size)) {
            let (ty, shape) = (int_ty(size), form(i.scalar, i.q));
            let r = self.dup_lane(ty, shape, i.rn, index);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_dup_gen(&mut self, i: &SimdDupGen) {
        let Some((size, _)) = element_of(i.imm5) else { return self.undefined() };
        if self.simd(is_1d(0, i.q, size)) {
            let (ty, shape) = (int_ty(size), Self::shape(i.q));
            let x = self.x(i.rn);
            let e = self.ir.trunc(ty, Ty::I64, x);
            let r = self.ir.op(Code::Dup, ty, shape, &[e], 0, 0);
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_smov(&mut self, i: &SimdSmov) {
        let Some((size, index)) = element_of(i.imm5) else { return self.undefined() };
        if self.simd(size >= 2 + i.q) {
            let e = self.lane(int_ty(size), i.rn, index);
            let r = self.ir.sext(Self::ty(i.q), int_ty(size), e);
            self.set_r(i.q, i.rd, r);
        }
    }
    fn simd_umov(&mut self, i: &SimdUmov) {
        let Some((size, index)) = element_of(i.imm5) else { return self.undefined() };
        if self.simd((size == 3) != (i.q == 1)) {
            let e = self.lane(int_ty(size), i.rn, index);
            let r = self.ir.zext(Ty::I64, int_ty(size), e);
            self.set_x(i.rd, r);
        }
    }
    fn simd_ins_gen(&mut self, i: &SimdInsGen) {
        let Some((size, index)) = element_of(i.imm5) else { return self.undefined() };
        if self.simd(false) {
            let ty = int_ty(size);
            let (d, x) = (self.v(i.rd), self.x(i.rn));
            let e = self.ir.trunc(ty, Ty::I64, x);
            let r = self.ir.op(Code::SetLane, ty, Shape::V128, &[d, e], 0, u64::from(index));
            self.set_v(i.rd, r);
        }
    }
    fn simd_ins_elem(&mut self, i: &SimdInsElem) {
        let Some((size, index)) = element_of(i.imm5) else { return self.undefined() };
        if self.simd(false) {
            let ty = int_ty(size);
            let e = self.lane(ty, i.rn, i.imm4 >> size);
            let d = self.v(i.rd);
            let r = self.ir.op(Code::SetLane, ty, Shape::V128, &[d, e], 0, u64::from(index));
            self.set_v(i.rd, r);
        }
    }
    fn simd_mod_imm(&mut self, i: &SimdModImm) {
        if !self.simd(false) {
            return;
        }
        let shape = Self::shape(i.q);
        if i.o2 == 1 {
            let r = self.splat(Ty::I16, shape, super::fp::expand_fp_imm(Ty::F16, i.imm8));
            return self.set_vec(Ty::I16, shape, i.rd, r);
        }
        let imm = expand_imm(i.op, i.cmode, i.imm8);
        let to_register = i.cmode & 1 == 1 && i.cmode < 0b1100;
        let r = match (to_register, i.op) {
            (true, op) => {
                let d = self.vec(Ty::I64, shape, i.rd);
                let imm = self.splat(Ty::I64, shape, imm);
                let code = if op == 0 { Code::Or } else { Code::AndNot };
                self.ir.bin(code, Ty::I64, shape, d, imm)
            }
            (false, op) => {
                let inverted = op == 1 && i.cmode < 0b1110;
                self.splat(Ty::I64, shape, if inverted { !imm } else { imm })
            }
        };
        self.set_vec(Ty::I64, shape, i.rd, r);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_imm_follows_the_manual() {
        // (op, cmode, imm8, value): AdvSIMDExpandImm.
        let cases = [
            (0, 0b0000, 0xab, 0x0000_00ab_0000_00ab),
            (0, 0b0010, 0xab, 0x0000_ab00_0000_ab00),
            (0, 0b0100, 0xab, 0x00ab_0000_00ab_0000),
            (0, 0b0110, 0xab, 0xab00_0000_ab00_0000),
            (0, 0b1000, 0xab, 0x00ab_00ab_00ab_00ab),
            (0, 0b1010, 0xab, 0xab00_ab00_ab00_ab00),
            (0, 0b1100, 0xab, 0x0000_abff_0000_abff),
            (0, 0b1101, 0xab, 0x00ab_ffff_00ab_ffff),
            (0, 0b1110, 0xab, 0xabab_abab_abab_abab),
            (1, 0b1110, 0xa5, 0xff00_ff00_00ff_00ff),
            (0, 0b1111, 0x70, 0x3f80_0000_3f80_0000),
            (1, 0b1111, 0x70, 0x3ff0_0000_0000_0000),
            (1, 0b1111, 0xf0, 0xbff0_0000_0000_0000),
            (1, 0b1111, 0x00, 0x4000_0000_0000_0000),
        ];
        for (op, cmode, imm8, want) in cases {
            assert_eq!(expand_imm(op, cmode, imm8), want, "op {op} cmode {cmode:04b} imm8 {imm8:#x}");
        }
    }
}
