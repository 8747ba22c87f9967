//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl BaseLdst for Translator<'_> {
    fn stxp(&mut self, _: &Stxp) {
        self.undefined();
    }
    fn ldxp(&mut self, _: &Ldxp) {
        self.undefined();
    }
    fn stxr(&mut self, _: &Stxr) {
        self.undefined();
    }
    fn ldxr(&mut self, _: &Ldxr) {
        self.undefined();
    }
    fn stlr(&mut self, _: &Stlr) {
        self.undefined();
    }
    fn ldar(&mut self, _: &Ldar) {
        self.undefined();
    }
    fn cas(&mut self, _: &Cas) {
        self.undefined();
    }
    fn casp(&mut self, _: &Casp) {
        self.undefined();
    }
    fn ldapur_stlur(&mut self, _: &LdapurStlur) {
        self.undefined();
    }
    fn ldapur_stlur_fp(&mut self, _: &LdapurStlurFp) {
        self.undefined();
    }
    fn stlr_pre(&mut self, _: &StlrPre) {
        self.undefined();
    }
    fn ldapr_post(&mut self, _: &LdaprPost) {
        self.undefined();
    }
    fn stilp(&mut self, _: &Stilp) {
        self.undefined();
    }
    fn ldiapp(&mut self, _: &Ldiapp) {
        self.undefined();
    }
    fn ldr_lit(&mut self, _: &LdrLit) {
        self.undefined();
    }
    fn ldr_lit_fp(&mut self, _: &LdrLitFp) {
        self.undefined();
    }
    fn prfm_lit(&mut self, _: &PrfmLit) {
        self.undefined();
    }
    fn ldst_pair(&mut self, _: &LdstPair) {
        self.undefined();
    }
    fn ldst_pair_fp(&mut self, _: &LdstPairFp) {
        self.undefined();
    }
    fn ldpsw(&mut self, _: &Ldpsw) {
        self.undefined();
    }
    fn ldst_unscaled(&mut self, _: &LdstUnscaled) {
        self.undefined();
    }
    fn ldst_unscaled_fp(&mut self, _: &LdstUnscaledFp) {
        self.undefined();
    }
    fn prfum(&mut self, _: &Prfum) {
        self.undefined();
    }
    fn ldst_post(&mut self, _: &LdstPost) {
        self.undefined();
    }
    fn ldst_post_fp(&mut self, _: &LdstPostFp) {
        self.undefined();
    }
    fn ldst_unpriv(&mut self, _: &LdstUnpriv) {
        self.undefined();
    }
    fn ldst_pre(&mut self, _: &LdstPre) {
        self.undefined();
    }
    fn ldst_pre_fp(&mut self, _: &LdstPreFp) {
        self.undefined();
    }
    fn ldst_unsigned(&mut self, _: &LdstUnsigned) {
        self.undefined();
    }
    fn ldst_unsigned_fp(&mut self, _: &LdstUnsignedFp) {
        self.undefined();
    }
    fn prfm_imm(&mut self, _: &PrfmImm) {
        self.undefined();
    }
    fn ldst_reg_off(&mut self, _: &LdstRegOff) {
        self.undefined();
    }
    fn ldst_reg_off_fp(&mut self, _: &LdstRegOffFp) {
        self.undefined();
    }
    fn prfm_reg(&mut self, _: &PrfmReg) {
        self.undefined();
    }
    fn rprfm(&mut self, _: &Rprfm) {
        self.undefined();
    }
    fn ldra(&mut self, _: &Ldra) {
        self.undefined();
    }
}
