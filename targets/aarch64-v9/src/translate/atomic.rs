//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl BaseAtomic for Translator<'_> {
    fn atomic_memop(&mut self, _: &AtomicMemop) {
        self.undefined();
    }
    fn swp(&mut self, _: &Swp) {
        self.undefined();
    }
    fn ldapr(&mut self, _: &Ldapr) {
        self.undefined();
    }
    fn atomic_memop_128(&mut self, _: &AtomicMemop128) {
        self.undefined();
    }
    fn swpp(&mut self, _: &Swpp) {
        self.undefined();
    }
}
