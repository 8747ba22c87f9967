//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl Crypto for Translator<'_> {
    fn aes_round(&mut self, _: &AesRound) {
        self.undefined();
    }
    fn aes_mix(&mut self, _: &AesMix) {
        self.undefined();
    }
    fn sha1_hash(&mut self, _: &Sha1Hash) {
        self.undefined();
    }
    fn sha1su0(&mut self, _: &Sha1su0) {
        self.undefined();
    }
    fn sha256h(&mut self, _: &Sha256h) {
        self.undefined();
    }
    fn sha256su1(&mut self, _: &Sha256su1) {
        self.undefined();
    }
    fn sha1h(&mut self, _: &Sha1h) {
        self.undefined();
    }
    fn sha1su1(&mut self, _: &Sha1su1) {
        self.undefined();
    }
    fn sha256su0(&mut self, _: &Sha256su0) {
        self.undefined();
    }
    fn sha512h(&mut self, _: &Sha512h) {
        self.undefined();
    }
    fn sha512su1(&mut self, _: &Sha512su1) {
        self.undefined();
    }
    fn rax1(&mut self, _: &Rax1) {
        self.undefined();
    }
    fn sm3partw1(&mut self, _: &Sm3partw1) {
        self.undefined();
    }
    fn sm3partw2(&mut self, _: &Sm3partw2) {
        self.undefined();
    }
    fn sm4ekey(&mut self, _: &Sm4ekey) {
        self.undefined();
    }
    fn sha512su0(&mut self, _: &Sha512su0) {
        self.undefined();
    }
    fn sm4e(&mut self, _: &Sm4e) {
        self.undefined();
    }
    fn eor3(&mut self, _: &Eor3) {
        self.undefined();
    }
    fn bcax(&mut self, _: &Bcax) {
        self.undefined();
    }
    fn sm3ss1(&mut self, _: &Sm3ss1) {
        self.undefined();
    }
    fn sm3tt(&mut self, _: &Sm3tt) {
        self.undefined();
    }
    fn xar(&mut self, _: &Xar) {
        self.undefined();
    }
}
