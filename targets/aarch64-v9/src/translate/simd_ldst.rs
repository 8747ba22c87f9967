//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl AdvsimdLdst for Translator<'_> {
    fn simd_ldst_multi(&mut self, _: &SimdLdstMulti) {
        self.undefined();
    }
    fn simd_ldst_single(&mut self, _: &SimdLdstSingle) {
        self.undefined();
    }
    fn stl1_simd(&mut self, _: &Stl1Simd) {
        self.undefined();
    }
    fn simd_ld_rep(&mut self, _: &SimdLdRep) {
        self.undefined();
    }
    fn ldap1_simd(&mut self, _: &Ldap1Simd) {
        self.undefined();
    }
}
