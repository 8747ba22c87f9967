//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl AdvsimdElem for Translator<'_> {
    fn simd_mlal_elem(&mut self, _: &SimdMlalElem) {
        self.undefined();
    }
    fn simd_sqdmlal_elem(&mut self, _: &SimdSqdmlalElem) {
        self.undefined();
    }
    fn simd_mul_elem(&mut self, _: &SimdMulElem) {
        self.undefined();
    }
    fn simd_mull_elem(&mut self, _: &SimdMullElem) {
        self.undefined();
    }
    fn simd_sqdmull_elem(&mut self, _: &SimdSqdmullElem) {
        self.undefined();
    }
    fn simd_sqdmulh_elem(&mut self, _: &SimdSqdmulhElem) {
        self.undefined();
    }
    fn simd_dot_elem(&mut self, _: &SimdDotElem) {
        self.undefined();
    }
    fn simd_fmla_elem(&mut self, _: &SimdFmlaElem) {
        self.undefined();
    }
    fn simd_fmul_elem(&mut self, _: &SimdFmulElem) {
        self.undefined();
    }
    fn simd_usdot_elem(&mut self, _: &SimdUsdotElem) {
        self.undefined();
    }
    fn simd_bfdot_elem(&mut self, _: &SimdBfdotElem) {
        self.undefined();
    }
    fn simd_fmlal_elem(&mut self, _: &SimdFmlalElem) {
        self.undefined();
    }
    fn simd_bfmlal_elem(&mut self, _: &SimdBfmlalElem) {
        self.undefined();
    }
    fn simd_mla_elem(&mut self, _: &SimdMlaElem) {
        self.undefined();
    }
    fn simd_sqrdmlah_elem(&mut self, _: &SimdSqrdmlahElem) {
        self.undefined();
    }
    fn simd_fmulx_elem(&mut self, _: &SimdFmulxElem) {
        self.undefined();
    }
    fn simd_fcmla_elem(&mut self, _: &SimdFcmlaElem) {
        self.undefined();
    }
}
