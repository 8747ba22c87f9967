//! Data processing, immediate (`decode/base_dpimm.decode`).

use crate::decode::*;
use crate::translate::Translator;
use emu_plugins_api::ir::{Ty, Val};

/// DecodeBitMasks() with `immediate` set: the replicated and rotated mask, or `None` for a reserved encoding.
pub(crate) fn decode_bit_mask(n: u32, imms: u32, immr: u32) -> Option<u64> {
    let len = 31u32.checked_sub((n << 6 | (!imms & 0x3f)).leading_zeros())?;
    if len < 1 {
        return None;
    }
    let esize = 1 << len;
    let levels = esize - 1;
    let (s, r) = (imms & levels, immr & levels);
    if s == levels {
        return None;
    }
    let element = u64::MAX >> (63 - s);
    let element = if r == 0 { element } else { element >> r | element << (esize - r) };
    let element = if esize == 64 { element } else { element & ((1 << esize) - 1) };
    Some((0..64 / esize).fold(0, |mask, i| mask | element << (i * esize)))
}

impl Translator<'_> {
    /// AddWithCarry() of an addition or subtraction without a carry in.
    pub(crate) fn add_sub(&mut self, ty: Ty, sub: bool, a: Val, b: Val) -> Val {
        if sub { self.ir.sub(ty, a, b) } else { self.ir.add(ty, a, b) }
    }
    /// ADDS and SUBS. The flags come behind the register, as everywhere: a code generator that puts them off then knows where the result is.
    pub(crate) fn adds_subs(&mut self, sf: u32, sub: bool, rd: u32, a: Val, b: Val) {
        let ty = Self::ty(sf);
        let result = self.add_sub(ty, sub, a, b);
        self.set_r(sf, rd, result);
        let [n, z, c, v] = self.add_sub_flags(ty, sub, a, b, result);
        self.set_nzcv(n, z, c, v);
    }
    /// N, Z, C, V of `a + b` or `a - b`, given the result.
    pub(crate) fn add_sub_flags(&mut self, ty: Ty, sub: bool, a: Val, b: Val, result: Val) -> [Val; 4] {
        let (n, z) = self.nz(ty, result);
        let (c, v) = if sub {
            (self.ir.ule(ty, b, a), self.ir.sub_overflow(ty, a, b))
        } else {
            let none = self.ir.iconst(Ty::I1, 0);
            (self.ir.ult(ty, result, a), self.ir.overflow(ty, a, b, none))
        };
        [n, z, c, v]
    }
    /// N and Z of a result.
    pub(crate) fn nz(&mut self, ty: Ty, result: Val) -> (Val, Val) {
        let zero = self.ir.iconst(ty, 0);
        (self.ir.slt(ty, result, zero), self.ir.eq(ty, result, zero))
    }
    /// Sets N and Z from a logical result, C and V to zero.
    pub(crate) fn set_logical_flags(&mut self, ty: Ty, result: Val) {
        let (n, z) = self.nz(ty, result);
        let zero = self.ir.iconst(Ty::I1, 0);
        self.set_nzcv(n, z, zero, zero);
    }
    /// ShiftReg() by a constant: `kind` 0 LSL, 1 LSR, 2 ASR, 3 ROR.
    pub(crate) fn shift_const(&mut self, ty: Ty, kind: u32, v: Val, amount: u32) -> Val {
        if amount == 0 {
            return v;
        }
        let amount = self.ir.iconst(ty, u64::from(amount));
        self.shift_by(ty, kind, v, amount)
    }
    /// A shift by a value, modulo the width: `kind` 0 LSL, 1 LSR, 2 ASR, 3 ROR.
    pub(crate) fn shift_by(&mut self, ty: Ty, kind: u32, v: Val, amount: Val) -> Val {
        match kind {
            0 => self.ir.shl(ty, v, amount),
            1 => self.ir.lshr(ty, v, amount),
            2 => self.ir.ashr(ty, v, amount),
            _ => self.ir.rotr(ty, v, amount),
        }
    }
    /// SMAX (`opc` 0), UMAX (1), SMIN (2), UMIN (3).
    pub(crate) fn minmax_int(&mut self, ty: Ty, opc: u32, a: Val, b: Val) -> Val {
        match opc {
            0 => self.ir.smax(ty, a, b),
            1 => self.ir.umax(ty, a, b),
            2 => self.ir.smin(ty, a, b),
            _ => self.ir.umin(ty, a, b),
        }
    }
}

impl BaseDpimm for Translator<'_> {
    fn adr(&mut self, i: &Adr) {
        let imm = i64::from(i.imm);
        let value = if i.op == 1 { (self.pc & !0xfff).wrapping_add_signed(imm << 12) } else { self.pc.wrapping_add_signed(imm) };
        let value = self.ir.address(value);
        self.set_x(i.rd, value);
    }

    fn add_sub_imm(&mut self, i: &AddSubImm) {
        let ty = Self::ty(i.sf);
        let a = self.r_sp(i.sf, i.rn);
        let imm = u64::from(i.imm12) << (12 * i.sh);
        if i.s == 0 && imm == 0 {
            // MOV to or from the stack pointer.
            return self.set_r_sp(i.sf, i.rd, a);
        }
        let b = self.ir.iconst(ty, imm);
        if i.s == 1 {
            return self.adds_subs(i.sf, i.op == 1, i.rd, a, b);
        }
        let result = self.add_sub(ty, i.op == 1, a, b);
        if i.sf == 1 && i.rd == i.rn { self.set_base(i.rd, result, imm) } else { self.set_r_sp(i.sf, i.rd, result) }
    }

    fn minmax_imm(&mut self, i: &MinmaxImm) {
        let ty = Self::ty(i.sf);
        let a = self.r(i.sf, i.rn);
        let imm = if i.opc & 1 == 0 { i64::from(i.imm8 as u8 as i8) as u64 } else { u64::from(i.imm8) };
        let b = self.ir.iconst(ty, imm);
        let result = self.minmax_int(ty, i.opc, a, b);
        self.set_r(i.sf, i.rd, result);
    }

    fn logical_imm(&mut self, i: &LogicalImm) {
        let Some(mask) = decode_bit_mask(i.n, i.imms, i.immr) else { return self.undefined() };
        let ty = Self::ty(i.sf);
        let b = self.ir.iconst(ty, mask);
        let result = if i.opc == 1 && i.rn == 31 {
            // MOV (bitmask immediate).
            b
        } else {
            let a = self.r(i.sf, i.rn);
            match i.opc {
                1 => self.ir.or(ty, a, b),
                2 => self.ir.xor(ty, a, b),
                _ => self.ir.and(ty, a, b),
            }
        };
        if i.opc == 3 {
            self.set_r(i.sf, i.rd, result);
            self.set_logical_flags(ty, result);
        } else {
            self.set_r_sp(i.sf, i.rd, result);
        }
    }

    fn mov_wide(&mut self, i: &MovWide) {
        let ty = Self::ty(i.sf);
        let pos = i.hw * 16;
        let imm = u64::from(i.imm16) << pos;
        let result = match i.opc {
            0 => self.ir.iconst(ty, !imm),
            2 => self.ir.iconst(ty, imm),
            _ => {
                let old = self.r(i.sf, i.rd);
                let field = self.ir.iconst(ty, u64::from(i.imm16));
                self.ir.deposit(ty, old, field, pos, 16)
            }
        };
        self.set_r(i.sf, i.rd, result);
    }

    fn bitfield(&mut self, i: &Bitfield) {
        if i.sf == 0 && (i.immr | i.imms) & 0x20 != 0 {
            return self.undefined();
        }
        let ty = Self::ty(i.sf);
        let (r, s, size) = (i.immr, i.imms, ty.bits());
        let src = self.r(i.sf, i.rn);
        // With s >= r the field src<s:r> lands at bit 0; else src<s:0> lands at bit size - r.
        let result = match (i.opc, s >= r) {
            (0, true) if s == size - 1 => self.shift_const(ty, 2, src, r),
            (0, true) => self.ir.sextract(ty, src, r, s - r + 1),
            (0, false) => {
                let field = self.ir.sextract(ty, src, 0, s + 1);
                self.shift_const(ty, 0, field, size - r)
            }
            (1, true) => {
                let dst = self.r(i.sf, i.rd);
                let field = self.shift_const(ty, 1, src, r);
                self.ir.deposit(ty, dst, field, 0, s - r + 1)
            }
            (1, false) => {
                let dst = self.r(i.sf, i.rd);
                self.ir.deposit(ty, dst, src, size - r, s + 1)
            }
            (_, true) if s == size - 1 => self.shift_const(ty, 1, src, r),
            (_, true) => self.ir.extract(ty, src, r, s - r + 1),
            (_, false) if s + 1 == r => self.shift_const(ty, 0, src, size - r),
            (_, false) => {
                let zero = self.ir.iconst(ty, 0);
                self.ir.deposit(ty, zero, src, size - r, s + 1)
            }
        };
        self.set_r(i.sf, i.rd, result);
    }

    fn extract(&mut self, i: &Extract) {
        let ty = Self::ty(i.sf);
        let low = self.r(i.sf, i.rm);
        let result = if i.imms == 0 {
            low
        } else if i.rn == i.rm {
            self.shift_const(ty, 3, low, i.imms)
        } else {
            let high = self.r(i.sf, i.rn);
            self.ir.concat_shr(ty, high, low, i.imms)
        };
        self.set_r(i.sf, i.rd, result);
    }

    fn udf(&mut self, _: &Udf) {
        self.undefined();
    }
}

#[cfg(test)]
mod tests {
    use super::decode_bit_mask;

    #[test]
    fn bit_masks() {
        assert_eq!(decode_bit_mask(1, 0, 0), Some(1));
        assert_eq!(decode_bit_mask(1, 0b111110, 0), Some(u64::MAX >> 1));
        assert_eq!(decode_bit_mask(1, 0b111111, 0), None);
        assert_eq!(decode_bit_mask(1, 7, 8), Some(0xff << 56));
        assert_eq!(decode_bit_mask(0, 0b111100, 0), Some(0x5555_5555_5555_5555));
        assert_eq!(decode_bit_mask(0, 0b111100, 1), Some(0xaaaa_aaaa_aaaa_aaaa));
        assert_eq!(decode_bit_mask(0, 0b111101, 0), None);
        assert_eq!(decode_bit_mask(0, 0b111110, 0), None);
        assert_eq!(decode_bit_mask(0, 0b100111, 0), Some(0x00ff_00ff_00ff_00ff));
        assert_eq!(decode_bit_mask(0, 0b011110, 0), Some(0x7fff_ffff_7fff_ffff));
        assert_eq!(decode_bit_mask(0, 0b011111, 0), None);
        assert_eq!(decode_bit_mask(0, 0b000000, 1), Some(0x8000_0000_8000_0000));
    }
}
