//! Data processing, register (`decode/base_dpreg.decode`).

use crate::decode::*;
use crate::helper::pauth;
use crate::state::offset;
use crate::translate::Translator;
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

impl Translator<'_> {
    /// ExtendReg(): `option` 0 UXTB to 7 SXTX, then a left shift.
    pub(crate) fn extend_reg(&mut self, ty: Ty, m: u32, option: u32, shift: u32) -> Val {
        let value = if ty == Ty::I64 { self.x(m) } else { self.w(m) };
        let bits = (8 << (option & 3)).min(ty.bits());
        let value = if bits == ty.bits() {
            value
        } else if option & 4 == 0 {
            self.ir.extract(ty, value, 0, bits)
        } else {
            self.ir.sextract(ty, value, 0, bits)
        };
        self.shift_const(ty, 0, value, shift)
    }

    /// `known` is `b` where that is an immediate.
    #[allow(clippy::too_many_arguments)]
    fn ccmp(&mut self, sf: u32, op: u32, n: u32, b: Val, known: Option<u64>, cond: u32, nzcv: u32) {
        let ty = Self::ty(sf);
        let a = self.r(sf, n);
        let holds = self.cond(cond);
        // Where the condition does not hold other operands are subtracted, whose flags are NZCV, or all but some of it: so the flags are those of
        // one comparison, which a branch behind it can use.
        let (a, b, reached) = match op {
            1 => self.other_operands(ty, holds, a, b, known, nzcv),
            _ => (a, b, None),
        };
        let result = self.add_sub(ty, op == 1, a, b);
        let flags = self.add_sub_flags(ty, op == 1, a, b, result);
        let merged: [Val; 4] = std::array::from_fn(|i| {
            let bit = 8 >> i;
            // holds ? flag : constant, without a select.
            match reached {
                Some(reached) if (reached ^ nzcv) & bit == 0 => flags[i],
                _ if nzcv & bit != 0 => self.ir.orn(Ty::I1, flags[i], holds),
                _ => self.ir.and(Ty::I1, flags[i], holds),
            }
        });
        self.set_nzcv(merged[0], merged[1], merged[2], merged[3]);
    }

    /// Operands to subtract: `a` and `b` where `holds`, else such as make flags like NZCV, and which those are.
    fn other_operands(&mut self, ty: Ty, holds: Val, a: Val, b: Val, known: Option<u64>, nzcv: u32) -> (Val, Val, Option<u32>) {
        let (min, max) = (1u64 << (ty.bits() - 1), (1u64 << (ty.bits() - 1)) - 1);
        let (x, y, reached) = match (nzcv, known) {
            // Nothing but equal operands make Z, and C with it.
            (4..=7 | 12..=15, _) => (None, None, 0b0110),
            // An immediate has five bits.
            (0b0010 | 0b0011, Some(k)) => (Some(k + 1), None, 0b0010),
            (0b1000 | 0b1001, Some(k)) if k != 0 => (Some(k - 1), None, 0b1000),
            (0b1010 | 0b1011, Some(_)) => (Some(u64::MAX), None, 0b1010),
            (0b0010, _) => (Some(1), Some(0), 0b0010),
            (0b0011, _) => (Some(min), Some(1), 0b0011),
            (0b1000, _) => (Some(0), Some(1), 0b1000),
            (0b1001, _) => (Some(max), Some(u64::MAX), 0b1001),
            // N and V without C, or C and V without N, are what there is of overflow.
            (0b1010 | 0b1011, _) => (Some(u64::MAX), Some(0), 0b1010),
            _ => (Some(0), Some(u64::MAX), 0b0000),
        };
        let mask = if ty == Ty::I32 { u64::from(u32::MAX) } else { u64::MAX };
        let x = x.map_or(b, |x| self.ir.iconst(ty, x & mask));
        let a = self.ir.select(ty, holds, a, x);
        let b = match y {
            Some(y) => {
                let y = self.ir.iconst(ty, y & mask);
                self.ir.select(ty, holds, b, y)
            }
            None => b,
        };
        (a, b, Some(reached))
    }

    fn crc(&mut self, polynomial: u64, sz: u32, m: u32, n: u32, d: u32) {
        let ty = [Ty::I8, Ty::I16, Ty::I32, Ty::I64][(sz & 3) as usize];
        let acc = self.w(n);
        let value = self.x(m);
        let value = self.ir.trunc(ty, Ty::I64, value);
        let result = self.ir.op(Code::Crc32, Ty::I32, Shape::SCALAR, &[acc, value], u32::from(ty.0), polynomial);
        self.set_w(d, result);
    }

    fn unary_r(&mut self, sf: u32, n: u32, d: u32, code: Code) {
        let ty = Self::ty(sf);
        let a = self.r(sf, n);
        let result = self.ir.un(code, ty, Shape::SCALAR, a);
        self.set_r(sf, d, result);
    }

    fn binary_r(&mut self, sf: u32, m: u32, n: u32, d: u32, code: Code) {
        let ty = Self::ty(sf);
        let (a, b) = (self.r(sf, n), self.r(sf, m));
        let result = self.ir.bin(code, ty, Shape::SCALAR, a, b);
        self.set_r(sf, d, result);
    }

    /// Bit `bit` of a value as i1.
    pub(crate) fn bit_of(&mut self, ty: Ty, v: Val, bit: u32) -> Val {
        let low = if bit == 0 { v } else { self.ir.extract(ty, v, bit, 1) };
        self.ir.trunc(Ty::I1, ty, low)
    }
}

impl BaseDpreg for Translator<'_> {
    fn udiv(&mut self, i: &Udiv) {
        self.binary_r(i.sf, i.rm, i.rn, i.rd, Code::UDiv);
    }
    fn sdiv(&mut self, i: &Sdiv) {
        self.binary_r(i.sf, i.rm, i.rn, i.rd, Code::SDiv);
    }
    fn shift_var(&mut self, i: &ShiftVar) {
        let ty = Self::ty(i.sf);
        let (a, b) = (self.r(i.sf, i.rn), self.r(i.sf, i.rm));
        let result = self.shift_by(ty, i.op2, a, b);
        self.set_r(i.sf, i.rd, result);
    }
    fn crc32(&mut self, i: &Crc32) {
        self.crc(0, i.sz, i.rm, i.rn, i.rd);
    }
    fn crc32c(&mut self, i: &Crc32c) {
        self.crc(1, i.sz, i.rm, i.rn, i.rd);
    }
    fn minmax_reg(&mut self, i: &MinmaxReg) {
        let ty = Self::ty(i.sf);
        let (a, b) = (self.r(i.sf, i.rn), self.r(i.sf, i.rm));
        let result = self.minmax_int(ty, i.opc, a, b);
        self.set_r(i.sf, i.rd, result);
    }
    fn pacga(&mut self, i: &Pacga) {
        let (n, m) = (self.x(i.rn), self.x_sp(i.rm));
        let result = self.generic_pac(n, m);
        self.set_x(i.rd, result);
    }

    fn rbit(&mut self, i: &Rbit) {
        self.unary_r(i.sf, i.rn, i.rd, Code::RBit);
    }
    fn rev16(&mut self, i: &Rev16) {
        let ty = Self::ty(i.sf);
        let a = self.r(i.sf, i.rn);
        let mask = self.ir.iconst(ty, 0x00ff_00ff_00ff_00ff);
        let high = self.shift_const(ty, 1, a, 8);
        let high = self.ir.and(ty, high, mask);
        let low = self.ir.and(ty, a, mask);
        let low = self.shift_const(ty, 0, low, 8);
        let result = self.ir.or(ty, high, low);
        self.set_r(i.sf, i.rd, result);
    }
    fn rev(&mut self, i: &Rev) {
        self.unary_r(i.sf, i.rn, i.rd, Code::BSwap);
    }
    fn rev32(&mut self, i: &Rev32) {
        let a = self.x(i.rn);
        let swapped = self.ir.bswap(Ty::I64, a);
        let result = self.shift_const(Ty::I64, 3, swapped, 32);
        self.set_x(i.rd, result);
    }
    fn clz(&mut self, i: &Clz) {
        self.unary_r(i.sf, i.rn, i.rd, Code::Clz);
    }
    fn cls(&mut self, i: &Cls) {
        self.unary_r(i.sf, i.rn, i.rd, Code::Cls);
    }
    fn ctz(&mut self, i: &Ctz) {
        self.unary_r(i.sf, i.rn, i.rd, Code::Ctz);
    }
    fn cnt(&mut self, i: &Cnt) {
        self.unary_r(i.sf, i.rn, i.rd, Code::Cnt);
    }
    fn abs(&mut self, i: &Abs) {
        self.unary_r(i.sf, i.rn, i.rd, Code::Abs);
    }

    fn pauth_1src(&mut self, i: &Pauth1src) {
        let key = pauth::key(i.d == 1, i.b == 1);
        let pointer = self.x(i.rd);
        let modifier = if i.z == 1 { self.ir.c64(0) } else { self.x_sp(i.rn) };
        let result = self.pointer_auth(key, i.a == 1, false, pointer, modifier);
        self.set_x(i.rd, result);
    }
    fn xpac(&mut self, i: &Xpac) {
        let pointer = self.x(i.rd);
        let result = self.strip(i.d == 1, pointer);
        self.set_x(i.rd, result);
    }

    fn logical_shifted(&mut self, i: &LogicalShifted) {
        if i.sf == 0 && i.imm6 & 0x20 != 0 {
            return self.undefined();
        }
        let ty = Self::ty(i.sf);
        let b = self.r(i.sf, i.rm);
        let b = self.shift_const(ty, i.shift, b, i.imm6);
        let result = if i.opc == 1 && i.rn == 31 {
            // MOV and MVN (register).
            if i.n == 1 { self.ir.not(ty, b) } else { b }
        } else {
            let a = self.r(i.sf, i.rn);
            match (i.opc, i.n) {
                (1, 0) => self.ir.or(ty, a, b),
                (1, _) => self.ir.orn(ty, a, b),
                (2, 0) => self.ir.xor(ty, a, b),
                (2, _) => {
                    let b = self.ir.not(ty, b);
                    self.ir.xor(ty, a, b)
                }
                (_, 0) => self.ir.and(ty, a, b),
                (_, _) => self.ir.andn(ty, a, b),
            }
        };
        self.set_r(i.sf, i.rd, result);
        if i.opc == 3 {
            self.set_logical_flags(ty, result);
        }
    }

    fn add_sub_shifted(&mut self, i: &AddSubShifted) {
        if i.shift == 3 || i.sf == 0 && i.imm6 & 0x20 != 0 {
            return self.undefined();
        }
        let ty = Self::ty(i.sf);
        let a = self.r(i.sf, i.rn);
        let b = self.r(i.sf, i.rm);
        let b = self.shift_const(ty, i.shift, b, i.imm6);
        if i.s == 1 {
            return self.adds_subs(i.sf, i.op == 1, i.rd, a, b);
        }
        let result = self.add_sub(ty, i.op == 1, a, b);
        self.set_r(i.sf, i.rd, result);
    }

    fn add_sub_ext(&mut self, i: &AddSubExt) {
        if i.imm3 > 4 {
            return self.undefined();
        }
        let ty = Self::ty(i.sf);
        let a = self.r_sp(i.sf, i.rn);
        let b = self.extend_reg(ty, i.rm, i.option, i.imm3);
        if i.s == 1 {
            return self.adds_subs(i.sf, i.op == 1, i.rd, a, b);
        }
        let result = self.add_sub(ty, i.op == 1, a, b);
        self.set_r_sp(i.sf, i.rd, result);
    }

    fn adc_sbc(&mut self, i: &AdcSbc) {
        let ty = Self::ty(i.sf);
        let a = self.r(i.sf, i.rn);
        let b = self.r(i.sf, i.rm);
        let b = if i.op == 1 { self.ir.not(ty, b) } else { b };
        let carry = self.flag(offset::CF);
        let result = self.ir.adc(ty, a, b, carry);
        self.set_r(i.sf, i.rd, result);
        if i.s == 1 {
            let (n, z) = self.nz(ty, result);
            let c = self.ir.carry(ty, a, b, carry);
            let v = self.ir.overflow(ty, a, b, carry);
            self.set_nzcv(n, z, c, v);
        }
    }

    fn rmif(&mut self, i: &Rmif) {
        let value = self.x(i.rn);
        let value = self.shift_const(Ty::I64, 3, value, i.imm6);
        for (bit, flag) in [offset::VF, offset::CF, offset::ZF, offset::NF].into_iter().enumerate() {
            if i.mask >> bit & 1 == 1 {
                let v = self.bit_of(Ty::I64, value, bit as u32);
                self.set_flag(flag, v);
            }
        }
    }

    fn setf(&mut self, i: &Setf) {
        let msb = if i.sz == 1 { 15 } else { 7 };
        let value = self.w(i.rn);
        let n = self.bit_of(Ty::I32, value, msb);
        let above = self.bit_of(Ty::I32, value, msb + 1);
        let field = self.ir.extract(Ty::I32, value, 0, msb + 1);
        let zero = self.ir.iconst(Ty::I32, 0);
        let z = self.ir.eq(Ty::I32, field, zero);
        let v = self.ir.xor(Ty::I1, above, n);
        self.set_flag(offset::NF, n);
        self.set_flag(offset::ZF, z);
        self.set_flag(offset::VF, v);
    }

    fn ccmp_reg(&mut self, i: &CcmpReg) {
        let b = self.r(i.sf, i.rm);
        self.ccmp(i.sf, i.op, i.rn, b, None, i.cond, i.nzcv);
    }
    fn ccmp_imm(&mut self, i: &CcmpImm) {
        let b = self.ir.iconst(Self::ty(i.sf), u64::from(i.imm5));
        self.ccmp(i.sf, i.op, i.rn, b, Some(u64::from(i.imm5)), i.cond, i.nzcv);
    }

    fn cond_select(&mut self, i: &CondSelect) {
        let ty = Self::ty(i.sf);
        let holds = self.cond(i.cond);
        let result = match (i.op, i.op2, i.rn, i.rm) {
            // CSET and CSETM.
            (0, 1, 31, 31) => {
                let other = self.ir.not(Ty::I1, holds);
                self.ir.zext(ty, Ty::I1, other)
            }
            (1, 0, 31, 31) => {
                let other = self.ir.not(Ty::I1, holds);
                self.ir.sext(ty, Ty::I1, other)
            }
            _ => {
                let a = self.r(i.sf, i.rn);
                let b = self.r(i.sf, i.rm);
                let b = match (i.op, i.op2) {
                    (0, 1) => {
                        let one = self.ir.iconst(ty, 1);
                        self.ir.add(ty, b, one)
                    }
                    (1, 0) => self.ir.not(ty, b),
                    (1, _) => self.ir.neg(ty, b),
                    _ => b,
                };
                self.ir.select(ty, holds, a, b)
            }
        };
        self.set_r(i.sf, i.rd, result);
    }

    fn madd(&mut self, i: &Madd) {
        let ty = Self::ty(i.sf);
        let (a, b) = (self.r(i.sf, i.rn), self.r(i.sf, i.rm));
        let product = self.ir.mul(ty, a, b);
        let result = self.multiply_add(ty, i.o0, i.ra, product);
        self.set_r(i.sf, i.rd, result);
    }
    fn maddl(&mut self, i: &Maddl) {
        let (a, b) = (self.w(i.rn), self.w(i.rm));
        let (a, b) = if i.u == 1 {
            (self.ir.zext(Ty::I64, Ty::I32, a), self.ir.zext(Ty::I64, Ty::I32, b))
        } else {
            (self.ir.sext(Ty::I64, Ty::I32, a), self.ir.sext(Ty::I64, Ty::I32, b))
        };
        let product = self.ir.mul(Ty::I64, a, b);
        let result = self.multiply_add(Ty::I64, i.o0, i.ra, product);
        self.set_x(i.rd, result);
    }
    fn mulh(&mut self, i: &Mulh) {
        let (a, b) = (self.x(i.rn), self.x(i.rm));
        let result = if i.u == 1 { self.ir.mulhu(Ty::I64, a, b) } else { self.ir.mulhs(Ty::I64, a, b) };
        self.set_x(i.rd, result);
    }
}

impl Translator<'_> {
    /// R[a] plus or (`o0` 1) minus a product.
    fn multiply_add(&mut self, ty: Ty, o0: u32, a: u32, product: Val) -> Val {
        match (o0, a) {
            (0, 31) => product,
            (_, 31) => self.ir.neg(ty, product),
            _ => {
                let acc = self.r(u32::from(ty == Ty::I64), a);
                if o0 == 0 { self.ir.add(ty, acc, product) } else { self.ir.sub(ty, acc, product) }
            }
        }
    }
}
