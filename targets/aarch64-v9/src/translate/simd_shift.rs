//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl AdvsimdShift for Translator<'_> {
    fn simd_shr_imm(&mut self, _: &SimdShrImm) {
        self.undefined();
    }
    fn simd_shl(&mut self, _: &SimdShl) {
        self.undefined();
    }
    fn simd_sqshl_imm(&mut self, _: &SimdSqshlImm) {
        self.undefined();
    }
    fn simd_shrn(&mut self, _: &SimdShrn) {
        self.undefined();
    }
    fn simd_sqshrn(&mut self, _: &SimdSqshrn) {
        self.undefined();
    }
    fn simd_shll_imm(&mut self, _: &SimdShllImm) {
        self.undefined();
    }
    fn simd_fixed_to_fp(&mut self, _: &SimdFixedToFp) {
        self.undefined();
    }
    fn simd_fcvt_fixed(&mut self, _: &SimdFcvtFixed) {
        self.undefined();
    }
    fn simd_sri(&mut self, _: &SimdSri) {
        self.undefined();
    }
    fn simd_sli(&mut self, _: &SimdSli) {
        self.undefined();
    }
    fn simd_sqshlu(&mut self, _: &SimdSqshlu) {
        self.undefined();
    }
    fn simd_sqshrun(&mut self, _: &SimdSqshrun) {
        self.undefined();
    }
}
