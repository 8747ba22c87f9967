//! Memory copy and memory set (`decode/mops.decode`): the work is the helpers'.

use crate::decode::*;
use crate::helper::base;
use crate::translate::Translator;

impl Translator<'_> {
    /// CheckMOPSEnabled(), and the register numbers that are UNDEFINED (CONSTRAINED UNPREDICTABLE, taken as UNDEFINED): one register
    /// twice, register 31 but as the value to set.
    fn mops_allowed(&mut self, sz: u32, s: u32, n: u32, d: u32, set: bool) -> bool {
        let bad = sz != 0 || s == n || s == d || n == d || n == 31 || d == 31 || !set && s == 31;
        if bad || self.key.mops() == 0 {
            self.undefined();
            return false;
        }
        true
    }
}

impl Mops for Translator<'_> {
    fn cpy(&mut self, i: &Cpy) {
        if self.mops_allowed(i.sz, i.rs, i.rn, i.rd, false) {
            self.call(base::MOPS_COPY, &[], u64::from(self.insn));
        }
    }
    fn set(&mut self, i: &Set) {
        if self.mops_allowed(i.sz, i.rs, i.rn, i.rd, true) {
            self.call(base::MOPS_SET, &[], u64::from(self.insn));
        }
    }
}
