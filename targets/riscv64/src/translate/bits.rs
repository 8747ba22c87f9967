//! Zba, Zbb, Zbc, Zbs, Zbkb, Zbkc, Zbkx, Zicond.

use super::{D, Translator, W};
use crate::decode::*;
use crate::helper::compute;
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

impl Translator<'_> {
    fn one_bit(&mut self, op: u32, a: Val, mask: Val, amount: Val) -> Val {
        match op {
            0 => self.ir.andn(D, a, mask),
            1 => {
                let one = self.ir.c64(1);
                let down = self.ir.lshr(D, a, amount);
                self.ir.and(D, down, one)
            }
            2 => self.ir.xor(D, a, mask),
            _ => self.ir.or(D, a, mask),
        }
    }
}

impl Rv64zb for Translator<'_> {
    fn shift_add(&mut self, i: &ShiftAdd) {
        let a = if i.uw == 1 {
            let w = self.w(i.rs1);
            self.ir.zext(D, W, w)
        } else {
            self.x(i.rs1)
        };
        let a = if i.shift == 0 {
            a
        } else {
            let amount = self.ir.c64(i.shift.into());
            self.ir.shl(D, a, amount)
        };
        let v = if i.rs2 == 0 {
            a
        } else {
            let b = self.x(i.rs2);
            self.ir.add(D, a, b)
        };
        self.set_x(i.rd, v);
    }
    fn slli_uw(&mut self, i: &SlliUw) {
        let w = self.w(i.rs1);
        let (a, amount) = (self.ir.zext(D, W, w), self.ir.c64(i.shamt.into()));
        let v = self.ir.shl(D, a, amount);
        self.set_x(i.rd, v);
    }
    fn logic_not(&mut self, i: &LogicNot) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let v = match i.op {
            0 => self.ir.andn(D, a, b),
            1 => self.ir.orn(D, a, b),
            _ => {
                let differs = self.ir.xor(D, a, b);
                self.ir.not(D, differs)
            }
        };
        self.set_x(i.rd, v);
    }
    fn rotate(&mut self, i: &Rotate) {
        let ty = if i.w == 1 { W } else { D };
        let (a, b) = if i.w == 1 { (self.w(i.rs1), self.w(i.rs2)) } else { (self.x(i.rs1), self.x(i.rs2)) };
        let amount = if i.left == 1 { self.ir.neg(ty, b) } else { b };
        let v = self.ir.rotr(ty, a, amount);
        if i.w == 1 { self.set_w(i.rd, v) } else { self.set_x(i.rd, v) }
    }
    fn rotate_imm(&mut self, i: &RotateImm) {
        let ty = if i.w == 1 { W } else { D };
        let a = if i.w == 1 { self.w(i.rs1) } else { self.x(i.rs1) };
        let amount = self.ir.iconst(ty, i.shamt.into());
        let v = self.ir.rotr(ty, a, amount);
        if i.w == 1 { self.set_w(i.rd, v) } else { self.set_x(i.rd, v) }
    }
    fn unary(&mut self, i: &Unary) {
        let narrow = |t: &mut Self, code: Code| {
            let w = t.w(i.rs1);
            let v = t.ir.un(code, W, Shape::SCALAR, w);
            t.ir.zext(D, W, v)
        };
        let part = |t: &mut Self, ty: Ty| {
            let a = t.x(i.rs1);
            t.ir.trunc(ty, D, a)
        };
        let v = match i.op {
            4 => narrow(self, Code::Clz),
            5 => narrow(self, Code::Ctz),
            6 => narrow(self, Code::Cnt),
            7 => {
                let v = part(self, Ty::I8);
                self.ir.sext(D, Ty::I8, v)
            }
            8 => {
                let v = part(self, Ty::I16);
                self.ir.sext(D, Ty::I16, v)
            }
            9 => {
                let v = part(self, Ty::I16);
                self.ir.zext(D, Ty::I16, v)
            }
            op => {
                let a = self.x(i.rs1);
                match op {
                    0 => self.ir.bswap(D, a),
                    1 => self.ir.clz(D, a),
                    2 => self.ir.ctz(D, a),
                    3 => self.ir.cnt(D, a),
                    10 => self.call(compute::ORC_B, &[a], 0),
                    _ => self.call(compute::BREV8, &[a], 0),
                }
            }
        };
        self.set_x(i.rd, v);
    }
    fn extremum(&mut self, i: &Extremum) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let v = match i.op {
            0 => self.ir.smin(D, a, b),
            1 => self.ir.umin(D, a, b),
            2 => self.ir.smax(D, a, b),
            _ => self.ir.umax(D, a, b),
        };
        self.set_x(i.rd, v);
    }
    fn pack(&mut self, i: &Pack) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        match i.op {
            0 => {
                let v = self.ir.deposit(D, a, b, 32, 32);
                self.set_x(i.rd, v);
            }
            1 => {
                let low = self.ir.extract(D, a, 0, 8);
                let v = self.ir.deposit(D, low, b, 8, 8);
                self.set_x(i.rd, v);
            }
            _ => {
                let v = self.ir.deposit(D, a, b, 16, 16);
                let v = self.ir.trunc(W, D, v);
                self.set_w(i.rd, v);
            }
        }
    }
    fn clmul(&mut self, i: &Clmul) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let product = self.ir.op(Code::ClMul, Ty::I128, Shape::SCALAR, &[a, b], 0, 0);
        let v = match i.op {
            0 => self.ir.lo64(product),
            1 => self.ir.hi64(product),
            _ => {
                // Bits 126 to 63.
                let (low, high) = (self.ir.lo64(product), self.ir.hi64(product));
                self.ir.concat_shr(D, high, low, 63)
            }
        };
        self.set_x(i.rd, v);
    }
    fn xperm(&mut self, i: &Xperm) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let v = self.call(compute::XPERM, &[a, b], if i.bits8 == 1 { 8 } else { 4 });
        self.set_x(i.rd, v);
    }
    fn single_bit(&mut self, i: &SingleBit) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let one = self.ir.c64(1);
        let mask = self.ir.shl(D, one, b);
        let v = self.one_bit(i.op, a, mask, b);
        self.set_x(i.rd, v);
    }
    fn single_bit_imm(&mut self, i: &SingleBitImm) {
        let a = self.x(i.rs1);
        let (mask, amount) = (self.ir.c64(1 << i.shamt), self.ir.c64(i.shamt.into()));
        let v = self.one_bit(i.op, a, mask, amount);
        self.set_x(i.rd, v);
    }
    fn conditional_zero(&mut self, i: &ConditionalZero) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let zero = self.ir.c64(0);
        let is_zero = self.ir.eq(D, b, zero);
        let v = if i.nez == 1 { self.ir.select(D, is_zero, a, zero) } else { self.ir.select(D, is_zero, zero, a) };
        self.set_x(i.rd, v);
    }
}
