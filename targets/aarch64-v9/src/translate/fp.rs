//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl FpScalar for Translator<'_> {
    fn fixed_to_fp(&mut self, _: &FixedToFp) {
        self.undefined();
    }
    fn fp_to_fixed(&mut self, _: &FpToFixed) {
        self.undefined();
    }
    fn fp_to_int(&mut self, _: &FpToInt) {
        self.undefined();
    }
    fn int_to_fp(&mut self, _: &IntToFp) {
        self.undefined();
    }
    fn fmov_gen(&mut self, _: &FmovGen) {
        self.undefined();
    }
    fn fjcvtzs(&mut self, _: &Fjcvtzs) {
        self.undefined();
    }
    fn fp_to_int_simd(&mut self, _: &FpToIntSimd) {
        self.undefined();
    }
    fn int_to_fp_simd(&mut self, _: &IntToFpSimd) {
        self.undefined();
    }
    fn fmov_reg(&mut self, _: &FmovReg) {
        self.undefined();
    }
    fn fabs(&mut self, _: &Fabs) {
        self.undefined();
    }
    fn fneg(&mut self, _: &Fneg) {
        self.undefined();
    }
    fn fsqrt(&mut self, _: &Fsqrt) {
        self.undefined();
    }
    fn fcvt(&mut self, _: &Fcvt) {
        self.undefined();
    }
    fn frint(&mut self, _: &Frint) {
        self.undefined();
    }
    fn frint32_64(&mut self, _: &Frint3264) {
        self.undefined();
    }
    fn bfcvt(&mut self, _: &Bfcvt) {
        self.undefined();
    }
    fn fcmp(&mut self, _: &Fcmp) {
        self.undefined();
    }
    fn fmov_imm(&mut self, _: &FmovImm) {
        self.undefined();
    }
    fn fccmp(&mut self, _: &Fccmp) {
        self.undefined();
    }
    fn fmul(&mut self, _: &Fmul) {
        self.undefined();
    }
    fn fdiv(&mut self, _: &Fdiv) {
        self.undefined();
    }
    fn fadd(&mut self, _: &Fadd) {
        self.undefined();
    }
    fn fsub(&mut self, _: &Fsub) {
        self.undefined();
    }
    fn fminmax(&mut self, _: &Fminmax) {
        self.undefined();
    }
    fn fnmul(&mut self, _: &Fnmul) {
        self.undefined();
    }
    fn fcsel(&mut self, _: &Fcsel) {
        self.undefined();
    }
    fn fmadd(&mut self, _: &Fmadd) {
        self.undefined();
    }
}
