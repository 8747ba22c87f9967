//! F, D, Zfh: floating point. Every instruction looks at mstatus.FS, which is in the mode key; those that write floating-point state run with
//! FS Dirty only, and mark it so before they do anything.
//!
//! The arithmetic is the profile with one NaN, tininess after rounding and saturating conversions; the rounding is the instruction's or, if
//! it says so, fcsr.frm from the mode key. Numbers narrower than 64 bits are NaN-boxed: what is not boxed rightly reads as the NaN.

use super::{D, Translator, W};
use crate::decode::*;
use crate::helper::{compute, system as helper};
use crate::state::offset;
use emu_plugins_api::ir::{Code, Shape, Ty, Val};
use emu_plugins_api::softfloat::{Mode, Rounding};

/// The type of a format field.
fn format(fmt: u32) -> Ty {
    match fmt {
        0 => Ty::F32,
        1 => Ty::F64,
        _ => Ty::F16,
    }
}
/// The canonical NaN.
fn nan(ty: Ty) -> u64 {
    match ty {
        Ty::F32 => 0x7fc0_0000,
        Ty::F16 => 0x7e00,
        _ => 0x7ff8_0000_0000_0000,
    }
}
/// The integer type of W, WU, L, LU.
fn int_ty(int: u32) -> Ty {
    if int & 2 == 0 { W } else { D }
}
/// Roundings in the order of frm, and as conversions to integers number them.
const ROUNDINGS: [(Rounding, u64); 5] =
    [(Rounding::TiesEven, 0), (Rounding::TowardZero, 3), (Rounding::TowardMinus, 2), (Rounding::TowardPlus, 1), (Rounding::TiesAway, 4)];

impl Translator<'_> {
    /// Floating-point instructions may execute: true. Otherwise the exception has been appended.
    fn fp_enabled(&mut self) -> bool {
        if self.key.fs() == 0 {
            self.illegal();
            return false;
        }
        true
    }
    /// The same for an instruction that writes registers or flags: FS is Dirty.
    fn fp_writes(&mut self) -> bool {
        match self.key.fs() {
            0 => self.illegal(),
            1 => self.call_and_end(helper::MARK_DIRTY, &[], 0),
            _ => return true,
        }
        false
    }
    /// The rounding that an instruction asks for: as the mode of ops, and as a number for conversions to integers. `None`: it is reserved,
    /// and the exception has been appended.
    fn rounding(&mut self, rm: u32) -> Option<(u32, u64)> {
        let rm = if rm == 7 { self.key.frm() } else { rm };
        match ROUNDINGS.get(rm as usize) {
            Some((rounding, number)) => Some((Mode::CANONICAL.with_rounding(*rounding).bits(), *number)),
            None => {
                self.illegal();
                None
            }
        }
    }
    /// `fp_writes` and `rounding`. A reserved rounding is illegal whatever FS is.
    fn fp_rounded(&mut self, rm: u32) -> Option<(u32, u64)> {
        if self.key.fs() == 0 {
            self.illegal();
            return None;
        }
        let rounding = self.rounding(rm)?;
        self.fp_writes().then_some(rounding)
    }
    /// f[n] as it is.
    fn f_raw(&mut self, n: u32) -> Val {
        self.ir.get(D, Shape::SCALAR, offset::f(n))
    }
    /// f[n] as a number of the format.
    fn f(&mut self, ty: Ty, n: u32) -> Val {
        let raw = self.f_raw(n);
        if ty == Ty::F64 {
            return raw;
        }
        let int = ty.as_int();
        let low = self.ir.trunc(int, D, raw);
        let bits = ty.bits();
        let (box_bits, shift) = (self.ir.c64(u64::MAX >> bits), self.ir.c64(bits.into()));
        let high = self.ir.lshr(D, raw, shift);
        let boxed = self.ir.eq(D, high, box_bits);
        let nan = self.ir.iconst(int, nan(ty));
        self.ir.select(int, boxed, low, nan)
    }
    /// Writes f[n], boxed.
    fn set_f(&mut self, ty: Ty, n: u32, v: Val) {
        let v = if ty == Ty::F64 {
            v
        } else {
            let wide = self.ir.zext(D, ty.as_int(), v);
            let ones = self.ir.c64(u64::MAX << ty.bits());
            self.ir.or(D, wide, ones)
        };
        self.ir.set(D, Shape::SCALAR, offset::f(n), v);
    }
    fn op(&mut self, code: Code, ty: Ty, operands: &[Val], mode: u32, imm: u64) -> Val {
        self.ir.op(code, ty, Shape::SCALAR, operands, mode, imm)
    }
}

impl Rv64fd for Translator<'_> {
    fn fload(&mut self, i: &Fload) {
        if self.fp_writes() {
            let ty = format(i.fmt);
            let base = self.x(i.rs1);
            let flags = self.mem();
            let v = self.ir.load(ty.as_int(), base, i.imm.into(), flags);
            self.set_f(ty, i.rd, v);
        }
    }
    fn fstore(&mut self, i: &Fstore) {
        if self.fp_enabled() {
            // The low bits as they are, boxed or not.
            let ty = format(i.fmt).as_int();
            let base = self.x(i.rs1);
            let v = self.f_raw(i.rs2);
            let v = self.ir.trunc(ty, D, v);
            let flags = self.mem();
            self.ir.store(ty, base, i.imm.into(), v, flags);
        }
    }
    fn fmadd(&mut self, i: &Fmadd) {
        let Some((mode, _)) = self.fp_rounded(i.rm) else { return };
        let ty = format(i.fmt);
        let (a, b, c) = (self.f(ty, i.rs1), self.f(ty, i.rs2), self.f(ty, i.rs3));
        // a*b+c, a*b-c, -a*b+c, -a*b-c: bit 0 negates the product, bit 1 the addend.
        let negate = [0, 2, 1, 3][i.op as usize & 3];
        let v = self.op(Code::FMulAdd, ty, &[a, b, c], mode, negate);
        self.set_f(ty, i.rd, v);
    }
    fn farith(&mut self, i: &Farith) {
        let Some((mode, _)) = self.fp_rounded(i.rm) else { return };
        let ty = format(i.fmt);
        let (a, b) = (self.f(ty, i.rs1), self.f(ty, i.rs2));
        let code = [Code::FAdd, Code::FSub, Code::FMul, Code::FDiv][i.op as usize & 3];
        let v = self.op(code, ty, &[a, b], mode, 0);
        self.set_f(ty, i.rd, v);
    }
    fn fsqrt(&mut self, i: &Fsqrt) {
        let Some((mode, _)) = self.fp_rounded(i.rm) else { return };
        let ty = format(i.fmt);
        let a = self.f(ty, i.rs1);
        let v = self.op(Code::FSqrt, ty, &[a], mode, 0);
        self.set_f(ty, i.rd, v);
    }
    fn fsgnj(&mut self, i: &Fsgnj) {
        if !self.fp_writes() {
            return;
        }
        let ty = format(i.fmt);
        let int = ty.as_int();
        let a = self.f(ty, i.rs1);
        if i.op == 0 && i.rs1 == i.rs2 {
            return self.set_f(ty, i.rd, a);
        }
        let b = self.f(ty, i.rs2);
        let sign = self.ir.iconst(int, 1 << (ty.bits() - 1));
        let from = if i.op == 1 { self.ir.not(int, b) } else { b };
        let from = self.ir.and(int, from, sign);
        let v = if i.op == 2 {
            self.ir.xor(int, a, from)
        } else {
            let magnitude = self.ir.andn(int, a, sign);
            self.ir.or(int, magnitude, from)
        };
        self.set_f(ty, i.rd, v);
    }
    fn fminmax(&mut self, i: &Fminmax) {
        if self.fp_writes() {
            let ty = format(i.fmt);
            let (a, b) = (self.f(ty, i.rs1), self.f(ty, i.rs2));
            let v = self.op(if i.op == 0 { Code::FMinNm } else { Code::FMaxNm }, ty, &[a, b], Mode::CANONICAL.bits(), 0);
            self.set_f(ty, i.rd, v);
        }
    }
    fn fcompare(&mut self, i: &Fcompare) {
        if self.fp_writes() {
            let ty = format(i.fmt);
            let (a, b) = (self.f(ty, i.rs1), self.f(ty, i.rs2));
            // FEQ is quiet. 0 equal, 1 less, 2 greater, 3 unordered.
            let relation = self.op(Code::FRelation, ty, &[a, b], Mode::CANONICAL.bits(), u64::from(i.op != 2));
            let v = match i.op {
                0 => {
                    let two = self.ir.iconst(W, 2);
                    self.ir.ult(W, relation, two)
                }
                op => {
                    let wanted = self.ir.iconst(W, if op == 1 { 1 } else { 0 });
                    self.ir.eq(W, relation, wanted)
                }
            };
            let v = self.ir.zext(D, Ty::I1, v);
            self.set_x(i.rd, v);
        }
    }
    fn fclass(&mut self, i: &Fclass) {
        if self.fp_enabled() {
            let ty = format(i.fmt);
            let a = self.f(ty, i.rs1);
            let a = self.ir.zext(D, ty.as_int(), a);
            let v = self.call(compute::FCLASS, &[a], i.fmt.into());
            self.set_x(i.rd, v);
        }
    }
    fn fconvert(&mut self, i: &Fconvert) {
        let Some((mode, _)) = self.fp_rounded(i.rm) else { return };
        let (to, from) = (format(i.fmt), format(i.from));
        let a = self.f(from, i.rs1);
        let v = self.op(Code::FConvert, to, &[a], mode, u64::from(from.0) << 16);
        self.set_f(to, i.rd, v);
    }
    fn fto_int(&mut self, i: &FtoInt) {
        let Some((mode, rounding)) = self.fp_rounded(i.rm) else { return };
        let (from, to) = (format(i.fmt), int_ty(i.int));
        let a = self.f(from, i.rs1);
        let imm = rounding | u64::from(i.int & 1) << 3 | u64::from(from.0) << 16;
        let v = self.op(Code::FToInt, to, &[a], mode, imm);
        if to == W { self.set_w(i.rd, v) } else { self.set_x(i.rd, v) }
    }
    fn ffrom_int(&mut self, i: &FfromInt) {
        let Some((mode, _)) = self.fp_rounded(i.rm) else { return };
        let (to, from) = (format(i.fmt), int_ty(i.int));
        let a = if from == W { self.w(i.rs1) } else { self.x(i.rs1) };
        let v = self.op(Code::IntToF, to, &[a], mode, u64::from(i.int & 1) << 3 | u64::from(from.0) << 16);
        self.set_f(to, i.rd, v);
    }
    fn fmv_to_x(&mut self, i: &FmvToX) {
        if self.fp_enabled() {
            let ty = format(i.fmt).as_int();
            let v = self.f_raw(i.rs1);
            let v = self.ir.trunc(ty, D, v);
            let v = self.ir.sext(D, ty, v);
            self.set_x(i.rd, v);
        }
    }
    fn fmv_from_x(&mut self, i: &FmvFromX) {
        if self.fp_writes() {
            let ty = format(i.fmt);
            let v = self.x(i.rs1);
            let v = self.ir.trunc(ty.as_int(), D, v);
            self.set_f(ty, i.rd, v);
        }
    }
}
