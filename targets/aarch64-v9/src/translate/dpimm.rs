//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl BaseDpimm for Translator<'_> {
    fn adr(&mut self, _: &Adr) {
        self.undefined();
    }
    fn add_sub_imm(&mut self, _: &AddSubImm) {
        self.undefined();
    }
    fn minmax_imm(&mut self, _: &MinmaxImm) {
        self.undefined();
    }
    fn logical_imm(&mut self, _: &LogicalImm) {
        self.undefined();
    }
    fn mov_wide(&mut self, _: &MovWide) {
        self.undefined();
    }
    fn bitfield(&mut self, _: &Bitfield) {
        self.undefined();
    }
    fn extract(&mut self, _: &Extract) {
        self.undefined();
    }
    fn udf(&mut self, _: &Udf) {
        self.undefined();
    }
}
