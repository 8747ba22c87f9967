//! Advanced SIMD shifts by immediate and conversions between floating-point and fixed-point.
//!
//! immh:immb holds the element size (its highest set bit) and the amount: 2 * esize - immh:immb to the right, immh:immb - esize to the left.
#![allow(clippy::too_many_arguments)] // Shared bodies take the fields of their encodings.

use crate::decode::*;
use crate::feature::Feature;
use crate::translate::Translator;
use crate::translate::simd_two::narrow;
use crate::translate::vector::{form, form64, int_ty, is_1d};
use emu_plugins_api::ir::{Code, Shape};

/// log2 of the element's bytes.
fn element_size(immhb: u32) -> u32 {
    (immhb >> 3).max(1).ilog2()
}

fn right_shift(immhb: u32) -> u32 {
    (16 << element_size(immhb)) - immhb
}

fn left_shift(immhb: u32) -> u32 {
    immhb - (8 << element_size(immhb))
}

impl Translator<'_> {
    /// `sqshl_imm` with its kind in `aux`: 0 signed, 1 unsigned, 2 signed to unsigned.
    fn saturating_shl(&mut self, scalar: u32, q: u32, immhb: u32, kind: u32, rn: u32, rd: u32) {
        let size = element_size(immhb);
        if self.simd(is_1d(scalar, q, size)) {
            let (ty, shape) = (int_ty(size), form(scalar, q));
            let n = self.vec(ty, shape, rn);
            let r = self.ir.op(Code::SQShlImm, ty, shape, &[n], kind, u64::from(left_shift(immhb)));
            self.set_vec(ty, shape, rd, r);
        }
    }
    /// A narrowing shift right; the element size is that of the result.
    fn shift_narrow(&mut self, scalar: u32, q: u32, immhb: u32, how: u32, round: u32, rn: u32, rd: u32) {
        let size = element_size(immhb);
        if self.simd(size == 3) {
            let how = if round == 1 { how | narrow::ROUND } else { how };
            self.narrow(scalar, q, size, rn, rd, how, right_shift(immhb));
        }
    }
    /// True for an element size that the fixed-point conversions reserve.
    fn fixed_undefined(&self, scalar: u32, q: u32, size: u32) -> bool {
        size == 0 || (size == 1 && !self.feature(Feature::FP16)) || is_1d(scalar, q, size)
    }
    /// SLI and SRI.
    fn shift_insert(&mut self, code: Code, scalar: u32, q: u32, immhb: u32, amount: u32, rn: u32, rd: u32) {
        let size = element_size(immhb);
        if self.simd(is_1d(scalar, q, size)) {
            let (ty, shape) = (int_ty(size), form64(scalar, q));
            let (d, n) = (self.vec(ty, shape, rd), self.vec(ty, shape, rn));
            let r = self.ir.op(code, ty, shape, &[d, n], 0, u64::from(amount));
            self.set_vec(ty, shape, rd, r);
        }
    }
}

impl AdvsimdShift for Translator<'_> {
    fn simd_shr_imm(&mut self, i: &SimdShrImm) {
        let size = element_size(i.immhb);
        if self.simd(is_1d(i.scalar, i.q, size)) {
            let (ty, shape) = (int_ty(size), form64(i.scalar, i.q));
            let n = self.vec(ty, shape, i.rn);
            let code = if i.u == 0 { Code::SShrImm } else { Code::UShrImm };
            let r = self.ir.op(code, ty, shape, &[n], i.round, u64::from(right_shift(i.immhb)));
            self.accumulate(ty, shape, i.rd, (i.acc == 1).then_some(0), r);
        }
    }
    fn simd_sri(&mut self, i: &SimdSri) {
        self.shift_insert(Code::SriImm, i.scalar, i.q, i.immhb, right_shift(i.immhb), i.rn, i.rd);
    }
    fn simd_sli(&mut self, i: &SimdSli) {
        self.shift_insert(Code::SliImm, i.scalar, i.q, i.immhb, left_shift(i.immhb), i.rn, i.rd);
    }
    fn simd_shl(&mut self, i: &SimdShl) {
        let size = element_size(i.immhb);
        if self.simd(is_1d(i.scalar, i.q, size)) {
            let (ty, shape) = (int_ty(size), form64(i.scalar, i.q));
            let n = self.vec(ty, shape, i.rn);
            let r = self.ir.op(Code::ShlImm, ty, shape, &[n], 0, u64::from(left_shift(i.immhb)));
            self.set_vec(ty, shape, i.rd, r);
        }
    }
    fn simd_sqshl_imm(&mut self, i: &SimdSqshlImm) {
        self.saturating_shl(i.scalar, i.q, i.immhb, i.u, i.rn, i.rd);
    }
    fn simd_sqshlu(&mut self, i: &SimdSqshlu) {
        self.saturating_shl(i.scalar, i.q, i.immhb, 2, i.rn, i.rd);
    }
    fn simd_shrn(&mut self, i: &SimdShrn) {
        self.shift_narrow(0, i.q, i.immhb, narrow::TRUNCATE, i.round, i.rn, i.rd);
    }
    fn simd_sqshrn(&mut self, i: &SimdSqshrn) {
        let how = if i.u == 0 { narrow::SIGNED | narrow::ARITHMETIC } else { narrow::UNSIGNED };
        self.shift_narrow(i.scalar, i.q, i.immhb, how, i.round, i.rn, i.rd);
    }
    fn simd_sqshrun(&mut self, i: &SimdSqshrun) {
        let how = narrow::SIGNED_TO_UNSIGNED | narrow::ARITHMETIC;
        self.shift_narrow(i.scalar, i.q, i.immhb, how, i.round, i.rn, i.rd);
    }
    fn simd_shll_imm(&mut self, i: &SimdShllImm) {
        let size = element_size(i.immhb);
        if self.simd(size == 3) {
            let ty = int_ty(size + 1);
            let n = self.v(i.rn);
            let mut r = self.aux(Code::Widen, ty, Shape::V128, &[n], (1 - i.u) | i.q << 1);
            let amount = left_shift(i.immhb);
            if amount != 0 {
                r = self.ir.op(Code::ShlImm, ty, Shape::V128, &[r], 0, u64::from(amount));
            }
            self.set_v(i.rd, r);
        }
    }
    fn simd_fixed_to_fp(&mut self, i: &SimdFixedToFp) {
        let size = element_size(i.immhb);
        if self.simd(self.fixed_undefined(i.scalar, i.q, size)) {
            self.vector_from_int(size, form(i.scalar, i.q), i.u, right_shift(i.immhb), i.rn, i.rd);
        }
    }
    fn simd_fcvt_fixed(&mut self, i: &SimdFcvtFixed) {
        let size = element_size(i.immhb);
        if self.simd(self.fixed_undefined(i.scalar, i.q, size)) {
            self.vector_to_int(size, form(i.scalar, i.q), i.u, 3, right_shift(i.immhb), i.rn, i.rd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        // SSHR Vd.16B #1 and #8, Vd.8H #16, Vd.2D #64; SHL Vd.16B #7, Vd.2D #63.
        assert_eq!((element_size(0b0001_111), right_shift(0b0001_111)), (0, 1));
        assert_eq!(right_shift(0b0001_000), 8);
        assert_eq!((element_size(0b0010_000), right_shift(0b0010_000)), (1, 16));
        assert_eq!((element_size(0b1000_000), right_shift(0b1000_000)), (3, 64));
        assert_eq!(left_shift(0b0001_111), 7);
        assert_eq!(left_shift(0b1111_111), 63);
    }
}
