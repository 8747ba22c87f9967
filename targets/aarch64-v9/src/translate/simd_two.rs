//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl AdvsimdTwoReg for Translator<'_> {
    fn simd_rev(&mut self, _: &SimdRev) {
        self.undefined();
    }
    fn simd_addlp(&mut self, _: &SimdAddlp) {
        self.undefined();
    }
    fn simd_suqadd(&mut self, _: &SimdSuqadd) {
        self.undefined();
    }
    fn simd_cls(&mut self, _: &SimdCls) {
        self.undefined();
    }
    fn simd_cnt(&mut self, _: &SimdCnt) {
        self.undefined();
    }
    fn simd_sqabs_neg(&mut self, _: &SimdSqabsNeg) {
        self.undefined();
    }
    fn simd_cmp_zero(&mut self, _: &SimdCmpZero) {
        self.undefined();
    }
    fn simd_abs_neg(&mut self, _: &SimdAbsNeg) {
        self.undefined();
    }
    fn simd_xtn(&mut self, _: &SimdXtn) {
        self.undefined();
    }
    fn simd_sqxtn(&mut self, _: &SimdSqxtn) {
        self.undefined();
    }
    fn simd_fcvtn(&mut self, _: &SimdFcvtn) {
        self.undefined();
    }
    fn simd_fcvtl(&mut self, _: &SimdFcvtl) {
        self.undefined();
    }
    fn simd_frint(&mut self, _: &SimdFrint) {
        self.undefined();
    }
    fn simd_fcvt_int(&mut self, _: &SimdFcvtInt) {
        self.undefined();
    }
    fn simd_int_to_fp(&mut self, _: &SimdIntToFp) {
        self.undefined();
    }
    fn simd_frint32_64(&mut self, _: &SimdFrint3264) {
        self.undefined();
    }
    fn simd_fcmp_zero(&mut self, _: &SimdFcmpZero) {
        self.undefined();
    }
    fn simd_fabs_neg(&mut self, _: &SimdFabsNeg) {
        self.undefined();
    }
    fn simd_urecpe(&mut self, _: &SimdUrecpe) {
        self.undefined();
    }
    fn simd_frecpe(&mut self, _: &SimdFrecpe) {
        self.undefined();
    }
    fn simd_bfcvtn(&mut self, _: &SimdBfcvtn) {
        self.undefined();
    }
    fn simd_clz(&mut self, _: &SimdClz) {
        self.undefined();
    }
    fn simd_sqxtun(&mut self, _: &SimdSqxtun) {
        self.undefined();
    }
    fn simd_shll(&mut self, _: &SimdShll) {
        self.undefined();
    }
    fn simd_fcvtxn(&mut self, _: &SimdFcvtxn) {
        self.undefined();
    }
    fn simd_not(&mut self, _: &SimdNot) {
        self.undefined();
    }
    fn simd_rbit(&mut self, _: &SimdRbit) {
        self.undefined();
    }
    fn simd_ursqrte(&mut self, _: &SimdUrsqrte) {
        self.undefined();
    }
    fn simd_frsqrte(&mut self, _: &SimdFrsqrte) {
        self.undefined();
    }
    fn simd_fsqrt(&mut self, _: &SimdFsqrt) {
        self.undefined();
    }
    fn simd_frecpx(&mut self, _: &SimdFrecpx) {
        self.undefined();
    }
    fn simd_addlv(&mut self, _: &SimdAddlv) {
        self.undefined();
    }
    fn simd_minmaxv(&mut self, _: &SimdMinmaxv) {
        self.undefined();
    }
    fn simd_addv(&mut self, _: &SimdAddv) {
        self.undefined();
    }
    fn simd_fminmaxv(&mut self, _: &SimdFminmaxv) {
        self.undefined();
    }
    fn simd_addp_scalar(&mut self, _: &SimdAddpScalar) {
        self.undefined();
    }
    fn simd_fminmax_pair_scalar(&mut self, _: &SimdFminmaxPairScalar) {
        self.undefined();
    }
    fn simd_faddp_scalar(&mut self, _: &SimdFaddpScalar) {
        self.undefined();
    }
    fn simd_dup_elem(&mut self, _: &SimdDupElem) {
        self.undefined();
    }
    fn simd_dup_gen(&mut self, _: &SimdDupGen) {
        self.undefined();
    }
    fn simd_smov(&mut self, _: &SimdSmov) {
        self.undefined();
    }
    fn simd_umov(&mut self, _: &SimdUmov) {
        self.undefined();
    }
    fn simd_ins_gen(&mut self, _: &SimdInsGen) {
        self.undefined();
    }
    fn simd_ins_elem(&mut self, _: &SimdInsElem) {
        self.undefined();
    }
    fn simd_mod_imm(&mut self, _: &SimdModImm) {
        self.undefined();
    }
}
