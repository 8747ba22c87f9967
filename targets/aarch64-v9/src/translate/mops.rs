//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl Mops for Translator<'_> {
    fn cpy(&mut self, _: &Cpy) {
        self.undefined();
    }
    fn set(&mut self, _: &Set) {
        self.undefined();
    }
}
