//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl AdvsimdThreeSame for Translator<'_> {
    fn simd_hadd(&mut self, _: &SimdHadd) {
        self.undefined();
    }
    fn simd_sat_add(&mut self, _: &SimdSatAdd) {
        self.undefined();
    }
    fn simd_hsub(&mut self, _: &SimdHsub) {
        self.undefined();
    }
    fn simd_sat_sub(&mut self, _: &SimdSatSub) {
        self.undefined();
    }
    fn simd_cmp(&mut self, _: &SimdCmp) {
        self.undefined();
    }
    fn simd_shift_reg(&mut self, _: &SimdShiftReg) {
        self.undefined();
    }
    fn simd_minmax(&mut self, _: &SimdMinmax) {
        self.undefined();
    }
    fn simd_abs_diff(&mut self, _: &SimdAbsDiff) {
        self.undefined();
    }
    fn simd_add_sub(&mut self, _: &SimdAddSub) {
        self.undefined();
    }
    fn simd_cmtst(&mut self, _: &SimdCmtst) {
        self.undefined();
    }
    fn simd_mla(&mut self, _: &SimdMla) {
        self.undefined();
    }
    fn simd_mul(&mut self, _: &SimdMul) {
        self.undefined();
    }
    fn simd_minmax_pair(&mut self, _: &SimdMinmaxPair) {
        self.undefined();
    }
    fn simd_sqdmulh(&mut self, _: &SimdSqdmulh) {
        self.undefined();
    }
    fn simd_addp(&mut self, _: &SimdAddp) {
        self.undefined();
    }
    fn simd_fminmax(&mut self, _: &SimdFminmax) {
        self.undefined();
    }
    fn simd_fmla(&mut self, _: &SimdFmla) {
        self.undefined();
    }
    fn simd_fadd(&mut self, _: &SimdFadd) {
        self.undefined();
    }
    fn simd_fmulx(&mut self, _: &SimdFmulx) {
        self.undefined();
    }
    fn simd_fcmp(&mut self, _: &SimdFcmp) {
        self.undefined();
    }
    fn simd_frecps(&mut self, _: &SimdFrecps) {
        self.undefined();
    }
    fn simd_logical(&mut self, _: &SimdLogical) {
        self.undefined();
    }
    fn simd_fmlal(&mut self, _: &SimdFmlal) {
        self.undefined();
    }
    fn simd_fsub(&mut self, _: &SimdFsub) {
        self.undefined();
    }
    fn simd_frsqrts(&mut self, _: &SimdFrsqrts) {
        self.undefined();
    }
    fn simd_cmeq(&mut self, _: &SimdCmeq) {
        self.undefined();
    }
    fn simd_pmul(&mut self, _: &SimdPmul) {
        self.undefined();
    }
    fn simd_fminmax_pair(&mut self, _: &SimdFminmaxPair) {
        self.undefined();
    }
    fn simd_faddp(&mut self, _: &SimdFaddp) {
        self.undefined();
    }
    fn simd_fmul(&mut self, _: &SimdFmul) {
        self.undefined();
    }
    fn simd_fdiv(&mut self, _: &SimdFdiv) {
        self.undefined();
    }
    fn simd_fabd(&mut self, _: &SimdFabd) {
        self.undefined();
    }
    fn simd_dot(&mut self, _: &SimdDot) {
        self.undefined();
    }
    fn simd_usdot(&mut self, _: &SimdUsdot) {
        self.undefined();
    }
    fn simd_sqrdmlah(&mut self, _: &SimdSqrdmlah) {
        self.undefined();
    }
    fn simd_fcmla(&mut self, _: &SimdFcmla) {
        self.undefined();
    }
    fn simd_fcadd(&mut self, _: &SimdFcadd) {
        self.undefined();
    }
    fn simd_bfdot(&mut self, _: &SimdBfdot) {
        self.undefined();
    }
    fn simd_bfmlal(&mut self, _: &SimdBfmlal) {
        self.undefined();
    }
    fn simd_mmla(&mut self, _: &SimdMmla) {
        self.undefined();
    }
    fn simd_bfmmla(&mut self, _: &SimdBfmmla) {
        self.undefined();
    }
    fn simd_addl(&mut self, _: &SimdAddl) {
        self.undefined();
    }
    fn simd_addw(&mut self, _: &SimdAddw) {
        self.undefined();
    }
    fn simd_addhn(&mut self, _: &SimdAddhn) {
        self.undefined();
    }
    fn simd_abdl(&mut self, _: &SimdAbdl) {
        self.undefined();
    }
    fn simd_mlal(&mut self, _: &SimdMlal) {
        self.undefined();
    }
    fn simd_sqdmlal(&mut self, _: &SimdSqdmlal) {
        self.undefined();
    }
    fn simd_mull(&mut self, _: &SimdMull) {
        self.undefined();
    }
    fn simd_sqdmull(&mut self, _: &SimdSqdmull) {
        self.undefined();
    }
    fn simd_pmull(&mut self, _: &SimdPmull) {
        self.undefined();
    }
    fn simd_uzp(&mut self, _: &SimdUzp) {
        self.undefined();
    }
    fn simd_trn(&mut self, _: &SimdTrn) {
        self.undefined();
    }
    fn simd_zip(&mut self, _: &SimdZip) {
        self.undefined();
    }
    fn simd_ext(&mut self, _: &SimdExt) {
        self.undefined();
    }
    fn simd_tbl(&mut self, _: &SimdTbl) {
        self.undefined();
    }
}
