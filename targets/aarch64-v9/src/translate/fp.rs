//! Scalar floating-point, and the conversions that the vector forms share.
#![allow(clippy::too_many_arguments)] // Shared bodies take the fields of their encodings.

use crate::decode::*;
use crate::translate::Translator;
use crate::translate::simd_two::minmax_code;
use crate::translate::vector::{float_ty, ftype_ty, int_ty};
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

/// `imm` of `fround_int` for the `rmode` of FRINTx: 0 to 4 name a rounding, 110 (X) and 111 (I) take FPCR.RMode, X reports inexact results.
pub fn frint_imm(rmode: u32, fpcr_rmode: u32) -> u64 {
    let rounding = if rmode < 6 { rmode } else { fpcr_rmode };
    u64::from(rounding) | u64::from(rmode == 6) << 3
}

/// `imm` of `ftoint` and `inttof`.
fn conversion_imm(rounding: u32, unsigned: u32, fraction_bits: u32, from: Ty) -> u64 {
    u64::from(rounding | unsigned << 3 | fraction_bits << 8 | u32::from(from.0) << 16)
}

/// VFPExpandImm.
pub fn expand_fp_imm(ty: Ty, imm8: u32) -> u64 {
    let imm = u64::from(imm8);
    let (n, e) = match ty {
        Ty::F16 => (16, 5),
        Ty::F32 => (32, 8),
        _ => (64, 11),
    };
    let f = n - e - 1;
    let (sign, b6) = (imm >> 7, imm >> 6 & 1);
    let repeated = if b6 == 1 { (1u64 << (e - 3)) - 1 } else { 0 };
    let exp = (b6 ^ 1) << (e - 1) | repeated << 2 | imm >> 4 & 3;
    sign << (n - 1) | exp << f | (imm & 0xf) << (f - 4)
}

impl Translator<'_> {
    /// `imm` of `fround_intn` for the `op` of FRINT32Z (00), FRINT32X (01), FRINT64Z (10), FRINT64X (11).
    pub fn frint_n_imm(&self, op: u32) -> u64 {
        let rounding = if op & 1 == 1 { self.key.rmode() } else { 3 };
        u64::from(rounding | (32 << (op >> 1)) << 8)
    }
    /// FPToFixed of V[n] to integers of the same size in V[d].
    pub fn vector_to_int(&mut self, size: u32, shape: Shape, unsigned: u32, rmode: u32, fraction_bits: u32, rn: u32, rd: u32) {
        let (from, to) = (float_ty(size), int_ty(size));
        let n = self.vec(from, shape, rn);
        let r = self.fp(Code::FToInt, to, shape, &[n], conversion_imm(rmode, unsigned, fraction_bits, from));
        self.set_fp(to, shape, rd, rd, r);
    }
    /// FixedToFP of V[n] to numbers of the same size in V[d].
    pub fn vector_from_int(&mut self, size: u32, shape: Shape, unsigned: u32, fraction_bits: u32, rn: u32, rd: u32) {
        let (from, to) = (int_ty(size), float_ty(size));
        let n = self.vec(from, shape, rn);
        let imm = conversion_imm(0, unsigned, fraction_bits, from);
        let r = self.fp(Code::IntToF, to, shape, &[n], imm);
        self.set_fp(to, shape, rd, rd, r);
    }
    /// A scalar op with one operand.
    fn fp_one(&mut self, code: Code, ftype: u32, rn: u32, rd: u32, imm: u64) {
        let ty = ftype_ty(ftype);
        let n = self.v_low(ty, rn);
        let r = self.fp(code, ty, Shape::SCALAR, &[n], imm);
        self.set_fp(ty, Shape::SCALAR, rd, rd, r);
    }
    /// A scalar op with two operands.
    fn fp_two(&mut self, code: Code, ftype: u32, rm: u32, rn: u32, rd: u32) {
        let ty = ftype_ty(ftype);
        let (n, m) = (self.v_low(ty, rn), self.v_low(ty, rm));
        let r = self.fp(code, ty, Shape::SCALAR, &[n, m], 0);
        self.set_fp(ty, Shape::SCALAR, rd, rn, r);
    }
    /// FPCompare of V[n] with V[m] or zero, to PSTATE.
    fn fp_compare(&mut self, ftype: u32, rn: u32, rm: Option<u32>, signal_all_nans: u32) {
        let ty = ftype_ty(ftype);
        let n = self.v_low(ty, rn);
        let m = match rm {
            Some(rm) => self.v_low(ty, rm),
            None => self.ir.iconst(ty.as_int(), 0),
        };
        let relation = self.fp(Code::FRelation, ty, Shape::SCALAR, &[n, m], u64::from(signal_all_nans));
        let [equal, less, unordered] = [0, 1, 3].map(|k| self.ir.iconst(Ty::I32, k));
        // Equal is 0110, less 1000, greater 0010, unordered 0011.
        let nf = self.ir.eq(Ty::I32, relation, less);
        let zf = self.ir.eq(Ty::I32, relation, equal);
        let cf = self.ir.ne(Ty::I32, relation, less);
        let vf = self.ir.eq(Ty::I32, relation, unordered);
        self.set_nzcv(nf, zf, cf, vf);
    }
    /// FPToFixed to a general-purpose register.
    fn fp_to_general(&mut self, sf: u32, ftype: u32, rmode: u32, unsigned: u32, fraction_bits: u32, rn: u32, rd: u32) {
        let from = ftype_ty(ftype);
        let n = self.v_low(from, rn);
        let r = self.fp(Code::FToInt, Self::ty(sf), Shape::SCALAR, &[n], conversion_imm(rmode, unsigned, fraction_bits, from));
        self.set_r(sf, rd, r);
    }
    /// FixedToFP from an integer of the size `sf`.
    fn convert_int(&mut self, value: Val, sf: u32, ftype: u32, unsigned: u32, fraction_bits: u32, rd: u32) {
        let to = ftype_ty(ftype);
        let r = self.fp(Code::IntToF, to, Shape::SCALAR, &[value], conversion_imm(0, unsigned, fraction_bits, Self::ty(sf)));
        self.set_fp(to, Shape::SCALAR, rd, rd, r);
    }
}

impl FpScalar for Translator<'_> {
    fn fixed_to_fp(&mut self, i: &FixedToFp) {
        if self.simd(i.sf == 0 && i.scale < 32) {
            let x = self.r(i.sf, i.rn);
            self.convert_int(x, i.sf, i.ftype, i.u, 64 - i.scale, i.rd);
        }
    }
    fn fp_to_fixed(&mut self, i: &FpToFixed) {
        if self.simd(i.sf == 0 && i.scale < 32) {
            self.fp_to_general(i.sf, i.ftype, 3, i.u, 64 - i.scale, i.rn, i.rd);
        }
    }
    fn fp_to_int(&mut self, i: &FpToInt) {
        if self.simd(false) {
            self.fp_to_general(i.sf, i.ftype, i.rmode, i.u, 0, i.rn, i.rd);
        }
    }
    fn int_to_fp(&mut self, i: &IntToFp) {
        if self.simd(false) {
            let x = self.r(i.sf, i.rn);
            self.convert_int(x, i.sf, i.ftype, i.u, 0, i.rd);
        }
    }
    fn fp_to_int_simd(&mut self, i: &FpToIntSimd) {
        if self.simd(false) {
            let (from, to) = (ftype_ty(i.ftype), Self::ty(i.sf));
            let n = self.v_low(from, i.rn);
            let r = self.fp(Code::FToInt, to, Shape::SCALAR, &[n], conversion_imm(i.rmode, i.u, 0, from));
            self.set_fp(to, Shape::SCALAR, i.rd, i.rd, r);
        }
    }
    fn int_to_fp_simd(&mut self, i: &IntToFpSimd) {
        if self.simd(false) {
            let x = self.v_low(Self::ty(i.sf), i.rn);
            self.convert_int(x, i.sf, i.ftype, i.u, 0, i.rd);
        }
    }
    fn fmov_gen(&mut self, i: &FmovGen) {
        if !self.simd(false) {
            return;
        }
        let index = i.rmode & 1; // 1: the top half of the 128-bit register
        let ty = if i.ftype == 3 { Ty::I16 } else { Self::ty(i.sf) };
        if i.opcode == 0b110 {
            let e = self.lane(ty, i.rn, index);
            let x = self.ir.zext(Ty::I64, ty, e);
            self.set_x(i.rd, x);
        } else {
            let x = self.x(i.rn);
            let e = self.ir.trunc(ty, Ty::I64, x);
            if index == 1 {
                self.set_part(1, i.rd, e);
            } else {
                self.set_v_low(ty, i.rd, e);
            }
        }
    }
    fn fjcvtzs(&mut self, i: &Fjcvtzs) {
        if self.simd(false) {
            let n = self.v_low(Ty::F64, i.rn);
            let r = self.fp(Code::FToJs, Ty::F64, Shape::SCALAR, &[n], 0);
            let w = self.ir.trunc(Ty::I32, Ty::I64, r);
            self.set_w(i.rd, w);
            let exact = self.ir.extract(Ty::I64, r, 32, 1);
            let zf = self.ir.trunc(Ty::I1, Ty::I64, exact);
            let zero = self.ir.iconst(Ty::I1, 0);
            self.set_nzcv(zero, zf, zero, zero);
        }
    }
    fn fmov_reg(&mut self, i: &FmovReg) {
        if self.simd(false) {
            let ty = ftype_ty(i.ftype);
            let n = self.v_low(ty, i.rn);
            self.set_v_low(ty, i.rd, n);
        }
    }
    fn fabs(&mut self, i: &Fabs) {
        if self.simd(false) {
            let ty = ftype_ty(i.ftype);
            let n = self.v_low(ty, i.rn);
            let r = self.fp_abs(ty, Shape::SCALAR, n);
            self.set_fp(ty, Shape::SCALAR, i.rd, i.rd, r);
        }
    }
    fn fneg(&mut self, i: &Fneg) {
        if self.simd(false) {
            let ty = ftype_ty(i.ftype);
            let n = self.v_low(ty, i.rn);
            let r = self.fp_neg(ty, Shape::SCALAR, n);
            self.set_fp(ty, Shape::SCALAR, i.rd, i.rd, r);
        }
    }
    fn fsqrt(&mut self, i: &Fsqrt) {
        if self.simd(false) {
            self.fp_one(Code::FSqrt, i.ftype, i.rn, i.rd, 0);
        }
    }
    fn fcvt(&mut self, i: &Fcvt) {
        if self.simd(false) {
            let (from, to) = (ftype_ty(i.ftype), ftype_ty(i.opc));
            let n = self.v_low(from, i.rn);
            let r = self.fp(Code::FConvert, to, Shape::SCALAR, &[n], u64::from(from.0) << 16);
            self.set_fp(to, Shape::SCALAR, i.rd, i.rd, r);
        }
    }
    fn bfcvt(&mut self, i: &Bfcvt) {
        if self.simd(false) {
            let n = self.v_low(Ty::F32, i.rn);
            let r = self.fp(Code::FConvert, Ty::BF16, Shape::SCALAR, &[n], u64::from(Ty::F32.0) << 16);
            self.set_fp(Ty::BF16, Shape::SCALAR, i.rd, i.rd, r);
        }
    }
    fn frint(&mut self, i: &Frint) {
        if self.simd(false) {
            let imm = frint_imm(i.rmode, self.key.rmode());
            self.fp_one(Code::FRoundInt, i.ftype, i.rn, i.rd, imm);
        }
    }
    fn frint32_64(&mut self, i: &Frint3264) {
        if self.simd(false) {
            let imm = self.frint_n_imm(i.op);
            self.fp_one(Code::FRoundIntN, i.ftype, i.rn, i.rd, imm);
        }
    }
    fn fcmp(&mut self, i: &Fcmp) {
        if self.simd(false) {
            self.fp_compare(i.ftype, i.rn, (i.z == 0).then_some(i.rm), i.e);
        }
    }
    fn fccmp(&mut self, i: &Fccmp) {
        if !self.simd(false) {
            return;
        }
        if i.cond >= 14 {
            return self.fp_compare(i.ftype, i.rn, Some(i.rm), i.op);
        }
        // The comparison must not raise anything when the condition fails.
        let holds = self.cond(i.cond);
        let (compare, done) = (self.ir.new_label(), self.ir.new_label());
        self.ir.brif(holds, compare);
        self.set_nzcv_const(i.nzcv);
        self.ir.br(done);
        self.ir.label(compare);
        self.fp_compare(i.ftype, i.rn, Some(i.rm), i.op);
        self.ir.label(done);
    }
    fn fmov_imm(&mut self, i: &FmovImm) {
        if self.simd(false) {
            let ty = ftype_ty(i.ftype);
            let c = self.ir.iconst(ty.as_int(), expand_fp_imm(ty, i.imm8));
            self.set_v_low(ty, i.rd, c);
        }
    }
    fn fmul(&mut self, i: &Fmul) {
        if self.simd(false) {
            self.fp_two(Code::FMul, i.ftype, i.rm, i.rn, i.rd);
        }
    }
    fn fdiv(&mut self, i: &Fdiv) {
        if self.simd(false) {
            self.fp_two(Code::FDiv, i.ftype, i.rm, i.rn, i.rd);
        }
    }
    fn fadd(&mut self, i: &Fadd) {
        if self.simd(false) {
            self.fp_two(Code::FAdd, i.ftype, i.rm, i.rn, i.rd);
        }
    }
    fn fsub(&mut self, i: &Fsub) {
        if self.simd(false) {
            self.fp_two(Code::FSub, i.ftype, i.rm, i.rn, i.rd);
        }
    }
    fn fminmax(&mut self, i: &Fminmax) {
        if self.simd(false) {
            self.fp_two(minmax_code(i.nm, i.min), i.ftype, i.rm, i.rn, i.rd);
        }
    }
    fn fnmul(&mut self, i: &Fnmul) {
        if self.simd(false) {
            let ty = ftype_ty(i.ftype);
            let (n, m) = (self.v_low(ty, i.rn), self.v_low(ty, i.rm));
            let product = self.fp(Code::FMul, ty, Shape::SCALAR, &[n, m], 0);
            let r = self.fp_neg(ty, Shape::SCALAR, product);
            self.set_fp(ty, Shape::SCALAR, i.rd, i.rn, r);
        }
    }
    fn fcsel(&mut self, i: &Fcsel) {
        if self.simd(false) {
            let ty = ftype_ty(i.ftype);
            let (n, m) = (self.v_low(ty, i.rn), self.v_low(ty, i.rm));
            let cond = self.cond(i.cond);
            let r = self.ir.select(ty.as_int(), cond, n, m);
            self.set_v_low(ty, i.rd, r);
        }
    }
    fn fmadd(&mut self, i: &Fmadd) {
        if self.simd(false) {
            let ty = ftype_ty(i.ftype);
            let (n, m, a) = (self.v_low(ty, i.rn), self.v_low(ty, i.rm), self.v_low(ty, i.ra));
            let negate = u64::from((i.o0 ^ i.o1) | i.o1 << 1);
            let r = self.fp(Code::FMulAdd, ty, Shape::SCALAR, &[n, m, a], negate);
            self.set_fp(ty, Shape::SCALAR, i.rd, i.ra, r);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediates_expand() {
        for imm8 in 0..256u32 {
            // VFPExpandImm in numbers: (-1)^a * 2^(NOT(b):c:d - 3) * (16 + efgh) / 16.
            let exp = ((imm8 >> 4 & 7) ^ 4) as i32 - 3;
            let value = f64::from(16 + (imm8 & 15)) / 16.0 * 2f64.powi(exp) * if imm8 & 0x80 != 0 { -1.0 } else { 1.0 };
            assert_eq!(f64::from_bits(expand_fp_imm(Ty::F64, imm8)), value, "{imm8:#x}");
            assert_eq!(f64::from(f32::from_bits(expand_fp_imm(Ty::F32, imm8) as u32)), value, "{imm8:#x}");
        }
        assert_eq!(expand_fp_imm(Ty::F16, 0x70), 0x3c00);
        assert_eq!(expand_fp_imm(Ty::F16, 0x80), 0xc000);
    }

    #[test]
    fn rounding_of_frint() {
        assert_eq!(frint_imm(4, 2), 4);
        assert_eq!(frint_imm(6, 2), 2 | 8);
        assert_eq!(frint_imm(7, 2), 2);
    }
}
