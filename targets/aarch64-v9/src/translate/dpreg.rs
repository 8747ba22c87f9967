//! (stubs until written)

use crate::decode::*;
use crate::translate::Translator;

impl BaseDpreg for Translator<'_> {
    fn udiv(&mut self, _: &Udiv) {
        self.undefined();
    }
    fn sdiv(&mut self, _: &Sdiv) {
        self.undefined();
    }
    fn shift_var(&mut self, _: &ShiftVar) {
        self.undefined();
    }
    fn crc32(&mut self, _: &Crc32) {
        self.undefined();
    }
    fn crc32c(&mut self, _: &Crc32c) {
        self.undefined();
    }
    fn minmax_reg(&mut self, _: &MinmaxReg) {
        self.undefined();
    }
    fn pacga(&mut self, _: &Pacga) {
        self.undefined();
    }
    fn rbit(&mut self, _: &Rbit) {
        self.undefined();
    }
    fn rev16(&mut self, _: &Rev16) {
        self.undefined();
    }
    fn rev(&mut self, _: &Rev) {
        self.undefined();
    }
    fn clz(&mut self, _: &Clz) {
        self.undefined();
    }
    fn cls(&mut self, _: &Cls) {
        self.undefined();
    }
    fn ctz(&mut self, _: &Ctz) {
        self.undefined();
    }
    fn cnt(&mut self, _: &Cnt) {
        self.undefined();
    }
    fn abs(&mut self, _: &Abs) {
        self.undefined();
    }
    fn rev32(&mut self, _: &Rev32) {
        self.undefined();
    }
    fn pauth_1src(&mut self, _: &Pauth1src) {
        self.undefined();
    }
    fn xpac(&mut self, _: &Xpac) {
        self.undefined();
    }
    fn logical_shifted(&mut self, _: &LogicalShifted) {
        self.undefined();
    }
    fn add_sub_shifted(&mut self, _: &AddSubShifted) {
        self.undefined();
    }
    fn add_sub_ext(&mut self, _: &AddSubExt) {
        self.undefined();
    }
    fn adc_sbc(&mut self, _: &AdcSbc) {
        self.undefined();
    }
    fn rmif(&mut self, _: &Rmif) {
        self.undefined();
    }
    fn setf(&mut self, _: &Setf) {
        self.undefined();
    }
    fn ccmp_reg(&mut self, _: &CcmpReg) {
        self.undefined();
    }
    fn ccmp_imm(&mut self, _: &CcmpImm) {
        self.undefined();
    }
    fn cond_select(&mut self, _: &CondSelect) {
        self.undefined();
    }
    fn madd(&mut self, _: &Madd) {
        self.undefined();
    }
    fn maddl(&mut self, _: &Maddl) {
        self.undefined();
    }
    fn mulh(&mut self, _: &Mulh) {
        self.undefined();
    }
}
