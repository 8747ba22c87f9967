//! Floating-point arithmetic: what all of it has in common, and the ops that compute.
//!
//! The host computes, then one test finds the results that it does not give as the guest wants them: NaNs, whose choice and sign differ, and
//! the smallest normal number, which may have been tiny before it was rounded. Those are made anew by the interpreter, out of the way.
//!
//! Exceptions gather in MXCSR until other code runs (see `thunks`). What the host has raised when a result is made anew is never more than
//! what the guest is to see, so nothing has to be taken back; where it would be more, the operands are looked at before.
//!
//! Modes in which the host's arithmetic is another (flushing, AH, a direction of rounding for ops that round) are left to the interpreter.

use crate::analyse::{NO_KEY, NO_PIN, question};
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Size, Xmm, reg::*};
use crate::cold::Cold;
use crate::frame::{Exchange, HOMES};
use crate::interpret::op_bytes;
use crate::lower::{AccessResult, Loc, Lowering, Saved};
use emu_ir::{Code, FP, NONE, Op, STICKY, Shape, Ty};
use emu_softfloat::{Mode, Rounding};
use std::mem::offset_of;

/// Switches of a mode that make it another arithmetic.
const FOREIGN: Mode = Mode::from_bits(Mode::FIZ.bits() | Mode::AH.bits() | Mode::FZ.bits());

/// The elements of an op.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// binary64, else binary32.
    pub double: bool,
    /// One element, else all of a register.
    pub scalar: bool,
    /// The upper half of the register is not part of the value.
    pub half: bool,
}

impl Form {
    pub(crate) fn of(ty: Ty, shape: Shape) -> Option<Form> {
        let double = match ty {
            Ty::F32 => false,
            Ty::F64 => true,
            _ => return None,
        };
        match shape {
            Shape::SCALAR => Some(Form { double, scalar: true, half: false }),
            Shape::V64 => Some(Form { double, scalar: double, half: !double }),
            Shape::V128 => Some(Form { double, scalar: false, half: false }),
            _ => None,
        }
    }
    /// The mandatory prefix of arithmetic.
    fn prefix(self) -> u8 {
        match (self.scalar, self.double) {
            (true, false) => 0xf3,
            (true, true) => 0xf2,
            (false, double) => Form::packed(double),
        }
    }
    /// The same of what there is for whole registers only.
    fn packed(double: bool) -> u8 {
        if double { 0x66 } else { 0 }
    }
    /// An element in every place.
    fn splat(self, single: u32, double: u64) -> u128 {
        let v = if self.double { double } else { u64::from(single) << 32 | u64::from(single) };
        u128::from(v) << 64 | u128::from(v)
    }
    pub(crate) fn magnitude(self) -> u128 {
        self.splat(i32::MAX as u32, i64::MAX as u64)
    }
    fn sign(self) -> u128 {
        self.splat(1 << 31, 1 << 63)
    }
    fn min_normal(self) -> u128 {
        self.splat(1 << 23, 1 << 52)
    }
    pub(crate) fn number(self, v: f64) -> u128 {
        self.splat((v as f32).to_bits(), v.to_bits())
    }
}

/// Opcodes of the 0F map that are the same for all forms.
mod code {
    pub const AND: u8 = 0x54;
    pub const OR: u8 = 0x56;
    pub const XOR: u8 = 0x57;
    pub const ADD: u8 = 0x58;
    pub const MUL: u8 = 0x59;
    pub const SUB: u8 = 0x5c;
    pub const MIN: u8 = 0x5d;
    pub const DIV: u8 = 0x5e;
    pub const MAX: u8 = 0x5f;
    pub const SQRT: u8 = 0x51;
    pub const CMP: u8 = 0xc2;
}

/// Predicates of CMPPS and its kin.
mod predicate {
    pub const EQ: u8 = 0;
    pub const LT: u8 = 1;
    pub const LE: u8 = 2;
    pub const UNORD: u8 = 3;
    /// Equal or unordered, which VEX encodings have.
    pub const EQ_UQ: u8 = 8;
}

/// An op's way out: its labels, and where its operands are.
pub(crate) struct Way {
    at: Label,
    back: Label,
    from: [Saved; 3],
}

/// True if ops of this mode (`aux`) have code at all.
pub(crate) fn is_native(mode: u32) -> bool {
    Mode::from_bits(mode).bits() & FOREIGN.bits() == 0
}

/// True if a comparison is made by the host.
pub(crate) fn host_compares(op: &Op) -> bool {
    is_native(op.aux) && op.shape == Shape::SCALAR && matches!(op.ty, Ty::F32 | Ty::F64)
}

impl Lowering<'_> {
    /// Emits a floating-point op; false if there is no code for it.
    pub(crate) fn float(&mut self, op: &Op, c: Code, ops: &[Op]) -> bool {
        let sticky = op.info().is_some_and(|r| r.flags & (FP | STICKY) == FP | STICKY);
        if !sticky || !is_native(op.aux) {
            return false;
        }
        self.may_raise();
        let nearest = Mode::from_bits(op.aux).rounding() == Rounding::TiesEven;
        match c {
            Code::FToInt => return self.float_to_int(op),
            Code::IntToF if nearest => return self.int_to_float(op),
            _ => {}
        }
        let Some(form) = Form::of(op.ty, op.shape) else { return false };
        match c {
            Code::FAdd if nearest => self.arithmetic(op, form, code::ADD, false),
            Code::FSub | Code::FAbd if nearest => self.arithmetic(op, form, code::SUB, false),
            Code::FMul if nearest => self.arithmetic(op, form, code::MUL, true),
            // FMulX is not there: the host raises Invalid for infinity times zero.
            Code::FDiv if nearest => self.arithmetic(op, form, code::DIV, true),
            Code::FSqrt if nearest => self.sqrt(op, form),
            Code::FMulAdd if nearest && self.f.features.fma => self.mul_add(op, form),
            Code::FMax | Code::FMaxNm => self.extremum(op, form, code::MAX, code::AND),
            Code::FMin | Code::FMinNm => self.extremum(op, form, code::MIN, code::OR),
            Code::FCmEq => self.float_mask(op, form, predicate::EQ, false),
            Code::FCmGe => self.float_mask(op, form, predicate::LE, true),
            Code::FCmGt => self.float_mask(op, form, predicate::LT, true),
            Code::FRelation => {
                self.relation(op, form, ops);
                return true;
            }
            Code::FRoundInt => return self.round_int(op, form),
            Code::FConvert => return self.float_convert(op, form, nearest),
            Code::FWiden => return self.float_widen(op, form),
            Code::FNarrow => return nearest && self.float_narrow(op, form),
            _ => return false,
        }
        self.clobbered();
        true
    }

    // -- instructions ------------------------------------------------------------------------------------------------------------------
    /// `d = a op b`. Without AVX, `d` must not be `b`, unless both operands are.
    pub(crate) fn x3(&mut self, prefix: u8, map: u8, opcode: u8, d: Xmm, a: Xmm, b: Xmm) {
        if self.f.features.avx {
            self.asm.avx_rrr(prefix, map, false, opcode, d, a, b);
        } else {
            debug_assert!(d != b || a == b);
            if d != a {
                self.asm.movaps(d, a);
            }
            self.asm.sse_rr(prefix, map, opcode, d, b);
        }
    }
    #[allow(clippy::too_many_arguments)]
    fn x3i(&mut self, prefix: u8, map: u8, opcode: u8, d: Xmm, a: Xmm, b: Xmm, imm: u8) {
        if self.f.features.avx {
            self.asm.avx_rrri(prefix, map, false, opcode, d, a, b, imm);
        } else {
            debug_assert!(d != b || a == b);
            if d != a {
                self.asm.movaps(d, a);
            }
            self.asm.sse_rri(prefix, map, opcode, d, b, imm);
        }
    }
    /// `d = a op constant`.
    pub(crate) fn x3c(&mut self, prefix: u8, map: u8, opcode: u8, d: Xmm, a: Xmm, constant: u128) {
        let label = self.constant(constant);
        if self.f.features.avx {
            self.asm.avx_rrl(prefix, map, false, opcode, d, a, label);
        } else {
            if d != a {
                self.asm.movaps(d, a);
            }
            self.asm.sse_rl(prefix, map, opcode, d, label);
        }
    }
    #[allow(clippy::too_many_arguments)]
    fn x3ci(&mut self, prefix: u8, map: u8, opcode: u8, d: Xmm, a: Xmm, constant: u128, imm: u8) {
        let label = self.constant(constant);
        if self.f.features.avx {
            self.asm.avx_rrli(prefix, map, false, opcode, d, a, label, imm);
        } else {
            if d != a {
                self.asm.movaps(d, a);
            }
            self.asm.sse_rli(prefix, map, opcode, d, label, imm);
        }
    }
    /// An instruction with one operand whose VEX encoding has no second.
    fn x2(&mut self, prefix: u8, map: u8, opcode: u8, d: Xmm, a: Xmm) {
        if self.f.features.avx {
            self.asm.avx_rrr(prefix, map, false, opcode, d, 0, a);
        } else {
            self.asm.sse_rr(prefix, map, opcode, d, a);
        }
    }
    /// UCOMIS or, `signaling`, COMIS: a NaN of any kind is invalid.
    pub(crate) fn ucomis(&mut self, double: bool, signaling: bool, a: Xmm, b: Xmm) {
        self.x2(Form::packed(double), 1, if signaling { 0x2f } else { 0x2e }, a, b);
    }
    /// A floating-point operand. Of 64 bits of binary32, both halves of the register have them, so that nothing else raises exceptions.
    fn operand(&mut self, v: u32, form: Form) -> Xmm {
        let x = self.xmm(v);
        if !form.half {
            return x;
        }
        let t = self.xtemp();
        self.x2(0xf2, 1, 0x12, t, x);
        t
    }

    // -- the way out -------------------------------------------------------------------------------------------------------------------
    /// Where the operands are, when all registers have been chosen.
    fn way_out(&mut self, op: &Op) -> Way {
        let from = [op.a, op.b, op.c].map(|v| self.saved(v));
        Way { at: self.asm.label(), back: self.asm.label(), from }
    }
    fn saved(&self, v: u32) -> Saved {
        if v == NONE || self.vals[v as usize].slotted {
            return Saved::Not;
        }
        match self.loc(v) {
            Loc::Gpr(r) => Saved::Gpr(r),
            Loc::Pin(p) => Saved::Gpr(HOMES[p as usize]),
            Loc::Xmm(x) => Saved::Xmm(x),
            Loc::Const(c) => Saved::Const(c),
            Loc::State(off) => Saved::State(off),
            other => {
                debug_assert!(other == Loc::Slot, "operand {v} is in {other:?}");
                Saved::Not
            }
        }
    }
    /// Where both ways meet: the result is in its place.
    fn meet(&mut self, op: &Op, way: Way, result: AccessResult) {
        self.asm.bind(way.back);
        let rax = self.owner[RAX as usize] != NONE || self.locked & 1 != 0;
        self.cold.push(Cold::Soft { at: way.at, back: way.back, op: *op, from: way.from, result, rax });
    }
    /// The code of the way out.
    pub(crate) fn soft(&mut self, at: Label, back: Label, op: &Op, from: [Saved; 3], result: AccessResult, rax: bool) {
        self.asm.bind(at);
        for ((v, from), bits) in [op.a, op.b, op.c].into_iter().zip(from).zip(operand_bits(op)) {
            if v == NONE {
                continue;
            }
            let slot = self.slot(v);
            match from {
                Saved::Not => {}
                Saved::Gpr(r) => {
                    if bits < 64 {
                        self.asm.mov_mi(Size::Q, slot, 0);
                    }
                    self.asm.mov_mr(Size::bits(bits), slot, r);
                }
                Saved::Xmm(x) => self.save_xmm(slot, x, bits),
                Saved::Const(c) => {
                    self.store_const(slot, c);
                    if bits == 128 {
                        self.store_const(slot.plus(8), 0);
                    }
                }
                Saved::State(off) => {
                    let m = self.state(off);
                    self.load_xmm(15, m, bits as u16);
                    self.save_xmm(slot, 15, bits);
                }
            }
        }
        if rax {
            let saved = self.exchange(offset_of!(Exchange, saved));
            self.asm.mov_mr(Size::Q, saved, RAX);
        }
        let data = self.asm.label();
        self.asm.lea_label(RAX, data);
        self.asm.call_outside(self.thunks.interpret_keep);
        let slot = self.slot(op.dst);
        match result {
            AccessResult::Xmm(x) => {
                let bits = if op.code == Code::FNarrow as u16 { 64 } else { result_bits(op) };
                self.load_xmm(x, slot, bits as u16);
            }
            _ => self.take_result(result, slot),
        }
        self.asm.jmp(back);
        self.asm.data(data, &op_bytes(op));
    }
    fn save_xmm(&mut self, slot: Mem, x: Xmm, bits: u32) {
        match bits {
            128 => self.asm.movups_mr(slot, x),
            64 => self.asm.movq_mr(slot, x),
            _ => {
                self.asm.mov_mi(Size::Q, slot, 0);
                self.asm.movd_mr(slot, x);
            }
        }
    }

    // -- what goes that way --------------------------------------------------------------------------------------------------------------
    /// The condition under which an element of a result is a NaN or, `tiny`, the smallest normal number.
    fn strange(&mut self, form: Form, r: Xmm, tiny: bool) -> Cc {
        if form.scalar {
            if !tiny {
                self.ucomis(form.double, false, r, r);
                return Cc::P;
            }
            self.x3c(Form::packed(form.double), 1, code::AND, 15, r, form.magnitude());
            let least = self.constant(form.min_normal());
            let prefix = Form::packed(form.double);
            if self.f.features.avx {
                self.asm.avx_rrl(prefix, 1, false, 0x2e, 15, 0, least);
            } else {
                self.asm.sse_rl(prefix, 1, 0x2e, 15, least);
            }
            // Equal or unordered.
            return Cc::E;
        }
        let prefix = Form::packed(form.double);
        if !tiny {
            self.x3i(prefix, 1, code::CMP, 15, r, r, predicate::UNORD);
        } else if self.f.features.avx {
            self.x3c(prefix, 1, code::AND, 15, r, form.magnitude());
            self.x3ci(prefix, 1, code::CMP, 15, 15, form.min_normal(), predicate::EQ_UQ);
        } else {
            self.x3c(prefix, 1, code::AND, 15, r, form.magnitude());
            self.asm.movaps(14, 15);
            self.x3i(prefix, 1, code::CMP, 14, 14, 14, predicate::UNORD);
            self.x3ci(prefix, 1, code::CMP, 15, 15, form.min_normal(), predicate::EQ);
            self.asm.sse_rr(0x66, 1, 0xeb, 15, 14);
        }
        self.any(15)
    }
    /// The condition under which a register is not zero.
    fn any(&mut self, x: Xmm) -> Cc {
        self.x2(0x66, 2, 0x17, x, x);
        Cc::NE
    }
    /// The end of an op whose result is in a vector register and may be strange.
    fn checked(&mut self, op: &Op, form: Form, r: Xmm, tiny: bool) {
        let way = self.way_out(op);
        // Where tininess is detected after rounding, as the host does, there is no difference.
        let tiny = tiny && !Mode::from_bits(op.aux).contains(Mode::TININESS_AFTER);
        let cc = self.strange(form, r, tiny);
        self.asm.jcc(cc, way.at);
        self.meet(op, way, AccessResult::Xmm(r));
        self.xown(op.dst, r);
    }

    // -- arithmetic ----------------------------------------------------------------------------------------------------------------------
    /// Two operands. A sum is never both tiny and inexact.
    fn arithmetic(&mut self, op: &Op, form: Form, opcode: u8, tiny: bool) {
        let (a, b) = (self.operand(op.a, form), self.operand(op.b, form));
        let r = self.xtemp();
        self.x3(form.prefix(), 1, opcode, r, a, b);
        if op.code == Code::FAbd as u16 {
            self.x3c(Form::packed(form.double), 1, code::AND, r, r, form.magnitude());
        }
        self.checked(op, form, r, tiny);
    }
    fn sqrt(&mut self, op: &Op, form: Form) {
        let a = self.operand(op.a, form);
        let r = self.xtemp();
        if form.scalar {
            // The upper part is the operand's.
            self.x3(form.prefix(), 1, code::SQRT, r, a, a);
        } else {
            self.x2(form.prefix(), 1, code::SQRT, r, a);
        }
        self.checked(op, form, r, false);
    }
    /// c + a * b, with the signs of the product and of c as they are or turned.
    fn mul_add(&mut self, op: &Op, form: Form) {
        let (a, b, c) = (self.operand(op.a, form), self.operand(op.b, form), self.operand(op.c, form));
        let r = self.xtemp();
        self.asm.movaps(r, c);
        let opcode = match op.imm & 3 {
            0 => 0xb8,
            1 => 0xbc,
            2 => 0xba,
            _ => 0xbe,
        };
        self.asm.avx_rrr(0x66, 2, form.double, opcode + u8::from(form.scalar), r, a, b);
        self.checked(op, form, r, true);
    }
    /// The host's MAX and MIN give the second operand if both are zero, and raise Invalid for any NaN: NaNs are looked for before, and both
    /// orders taken together give the zero that is wanted.
    fn extremum(&mut self, op: &Op, form: Form, opcode: u8, join: u8) {
        let (a, b) = (self.operand(op.a, form), self.operand(op.b, form));
        let r = self.xtemp();
        let way = self.way_out(op);
        let cc = if form.scalar {
            self.ucomis(form.double, false, a, b);
            Cc::P
        } else {
            self.x3i(form.prefix(), 1, code::CMP, 15, a, b, predicate::UNORD);
            self.any(15)
        };
        self.asm.jcc(cc, way.at);
        self.x3(form.prefix(), 1, opcode, r, a, b);
        self.x3(form.prefix(), 1, opcode, 15, b, a);
        self.x3(Form::packed(form.double), 1, join, r, r, 15);
        self.meet(op, way, AccessResult::Xmm(r));
        self.xown(op.dst, r);
    }

    // -- comparisons ---------------------------------------------------------------------------------------------------------------------
    /// All ones where the predicate holds: the host's are the guest's, in what they raise too. `swap`: the predicate is of b and a.
    fn float_mask(&mut self, op: &Op, form: Form, predicate: u8, swap: bool) {
        let (mut a, mut b) = (self.operand(op.a, form), self.operand(op.b, form));
        let r = self.xtemp();
        if op.imm & 1 != 0 && op.code != Code::FCmEq as u16 {
            let packed = Form::packed(form.double);
            self.x3c(packed, 1, code::AND, 14, a, form.magnitude());
            self.x3c(packed, 1, code::AND, 15, b, form.magnitude());
            (a, b) = (14, 15);
        }
        if swap {
            (a, b) = (b, a);
        }
        self.x3i(form.prefix(), 1, code::CMP, r, a, b, predicate);
        self.xown(op.dst, r);
    }

    /// A comparison: the number of the relation; or, if it is only asked what it is, the answers at once. The host's flags then are those of
    /// the operands as they are, if they are wanted.
    fn relation(&mut self, op: &Op, form: Form, ops: &[Op]) {
        let (a, b) = (self.xmm(op.a), self.xmm(op.b));
        // What they may have come from is free again.
        self.locked = 0;
        let (fact, signaling) = (self.fact(op.dst), op.imm & 1 != 0);
        if fact.relation != op.dst {
            self.relation_number(op, form, a, b);
            return self.clobbered();
        }
        let behind = ops.get(self.at as usize + 1..).unwrap_or_default();
        let mut answers = [None; 4];
        let (mut n, mut left) = (0, fact.uses);
        for o in behind {
            if left == 0 || n == answers.len() {
                break;
            }
            if o.dst == NONE || o.a != op.dst || self.fact(o.dst).relation != op.dst {
                continue;
            }
            left -= 1;
            let constant = ops.get(self.fact(o.b).def as usize);
            if let Some((k, not)) = question(o, constant).filter(|_| self.fact(o.dst).uses != 0) {
                answers[n] = Some((o.dst, k, not, self.temp()));
                n += 1;
            }
        }
        let equal = answers.iter().flatten().any(|x| x.1 == 0);
        let zero = equal.then(|| self.temp());
        if let Some(zero) = zero {
            self.asm.mov_ri(zero, 0);
        }
        // The other way round less is above, and what is not less is below, equal or unordered.
        let less = answers.iter().flatten().any(|x| x.1 == 1);
        if less {
            self.ucomis(form.double, signaling, b, a);
            self.answer(&answers, |k| k == 1, zero);
        }
        if !less || equal || fact.makes != NO_KEY || answers.iter().flatten().any(|x| x.1 == 3) {
            self.ucomis(form.double, signaling, a, b);
            self.answer(&answers, |k| k != 1, zero);
        }
        for (v, _, _, r) in answers.into_iter().flatten() {
            self.own(v, r, false);
        }
        self.flags = fact.makes;
    }
    /// Answers from the host's flags, which stay.
    fn answer(&mut self, answers: &[Option<(u32, u64, bool, Gpr)>; 4], which: impl Fn(u64) -> bool, zero: Option<Gpr>) {
        for (_, k, not, r) in answers.iter().flatten().copied().filter(|x| which(x.1)) {
            let cc = match k {
                0 => Cc::E,
                1 => Cc::A,
                _ => Cc::P,
            };
            self.asm.setcc(if not { cc.not() } else { cc }, r);
            if let (0, Some(zero)) = (k, zero) {
                // Unordered looks like equal.
                self.asm.cmov_rr(Cc::P, Size::D, r, zero);
            }
        }
    }
    fn relation_number(&mut self, op: &Op, form: Form, a: Xmm, b: Xmm) {
        let d = self.dst(op.dst, &[]);
        let (t, u) = (self.temp(), self.temp());
        self.ucomis(form.double, op.imm & 1 != 0, a, b);
        // 1 for less or unordered, and 2 for greater or unordered.
        self.asm.setcc(Cc::A, t);
        self.asm.setcc(Cc::P, u);
        self.asm.setcc(Cc::B, d);
        self.asm.alu_rr(Alu::Or, Size::B, t, u);
        self.asm.movzx_rr(Size::B, t, t);
        self.asm.movzx_rr(Size::B, d, d);
        self.asm.lea(Size::D, d, Mem::indexed(d, t, 1, 0));
        self.done(op.dst, d, true);
    }
    // -- rounding and conversion -----------------------------------------------------------------------------------------------------------
    /// The immediate of ROUNDPS and its kin for one of the roundings that there are.
    fn direction(rounding: Rounding) -> Option<u8> {
        match rounding {
            Rounding::TiesEven => Some(0),
            Rounding::TowardMinus => Some(1),
            Rounding::TowardPlus => Some(2),
            Rounding::TowardZero => Some(3),
            _ => None,
        }
    }
    fn host_round(&mut self, form: Form, d: Xmm, a: Xmm, imm: u8) {
        let opcode = 8 + u8::from(form.double) + 2 * u8::from(form.scalar);
        if !self.f.features.avx {
            self.asm.sse_rri(0x66, 3, opcode, d, a, imm);
        } else if form.scalar {
            self.asm.avx_rrri(0x66, 3, false, opcode, d, a, a, imm);
        } else {
            self.asm.avx_rrri(0x66, 3, false, opcode, d, 0, a, imm);
        }
    }
    /// Rounds a finite number, well below where all are integers, ties away from zero: truncates, and adds one if half or more was lost.
    /// Raises nothing. `a` and `d` are not 14 or 15.
    fn round_away(&mut self, form: Form, d: Xmm, a: Xmm) {
        let packed = Form::packed(form.double);
        self.host_round(form, d, a, 3 | 8);
        self.x3(form.prefix(), 1, code::SUB, 15, a, d);
        self.x3c(packed, 1, code::AND, 15, 15, form.magnitude());
        // All ones where a half is less than or equal to the rest.
        let half = self.constant(form.number(0.5));
        self.asm.sse_rl(0, 1, 0x28, 14, half);
        self.x3i(form.prefix(), 1, code::CMP, 14, 14, 15, predicate::LE);
        self.x3c(packed, 1, code::AND, 14, 14, form.number(1.0));
        self.x3c(packed, 1, code::AND, 15, a, form.sign());
        self.x3(packed, 1, code::OR, 14, 14, 15);
        self.x3(form.prefix(), 1, code::ADD, d, d, 14);
    }
    fn round_int(&mut self, op: &Op, form: Form) -> bool {
        let (rounding, exact) = (Rounding::from_index(op.imm as u32 & 7), op.imm & 8 != 0);
        if let Some(imm) = Self::direction(rounding) {
            let a = self.operand(op.a, form);
            let r = self.xtemp();
            self.host_round(form, r, a, if exact { imm } else { imm | 8 });
            self.checked(op, form, r, false);
        } else if rounding == Rounding::TiesAway && form.scalar && !exact {
            let a = self.operand(op.a, form);
            let (r, t) = (self.xtemp(), self.xtemp());
            let way = self.way_out(op);
            // From here on all numbers are integers, and infinities and NaNs are here too.
            let limit = self.constant(form.number(if form.double { 4_503_599_627_370_496.0 } else { 8_388_608.0 }));
            self.asm.sse_rl(0, 1, 0x28, t, limit);
            self.x3c(Form::packed(form.double), 1, code::AND, 15, a, form.magnitude());
            self.ucomis(form.double, false, t, 15);
            self.asm.jcc(Cc::BE, way.at);
            self.round_away(form, r, a);
            self.meet(op, way, AccessResult::Xmm(r));
            self.xown(op.dst, r);
        } else {
            return false;
        }
        self.clobbered();
        true
    }

    fn float_to_int(&mut self, op: &Op) -> bool {
        let (rounding, unsigned, fraction) = (Rounding::from_index(op.imm as u32 & 7), op.imm & 8 != 0, op.imm >> 8 & 0xff);
        let Some(form) = Form::of(Ty((op.imm >> 16) as u8), op.shape) else { return false };
        if !matches!(op.ty, Ty::I32 | Ty::I64) || rounding == Rounding::ToOdd || fraction > 64 {
            return false;
        }
        if !form.scalar {
            return fraction == 0 && !unsigned && rounding != Rounding::TiesAway && self.floats_to_ints(op, form, rounding);
        }
        let long = op.ty == Ty::I64;
        let mut a = self.xmm(op.a);
        let t = self.temp();
        let u = self.temp();
        let r = self.xtemp();
        let scaled = if fraction == 0 { r } else { self.xtemp() };
        let d = self.dst(op.dst, &[]);
        let way = self.way_out(op);
        if unsigned || fraction != 0 {
            // What the host's conversion to a signed integer of 64 bits does not serve, NaNs included, is above this, and so are signs where there may
            // be none; and what overflows when it is multiplied.
            let float = if form.double { Size::Q } else { Size::D };
            let limit = match (long, rounding) {
                (true, _) => 63,
                (false, Rounding::TowardZero) if unsigned => 32,
                _ => 31,
            };
            self.asm.mov_rx(float, t, a);
            if !unsigned {
                self.asm.alu_rr(Alu::Add, float, t, t);
            }
            let (exponent, up) = (limit - fraction as i64, u32::from(!unsigned));
            if form.double {
                self.asm.mov_ri(u, ((1023 + exponent) as u64) << (52 + up));
                self.asm.alu_rr(Alu::Cmp, Size::Q, t, u);
            } else {
                self.asm.alu_ri(Alu::Cmp, Size::D, t, (((127 + exponent) as u32) << (23 + up)) as i32);
            }
            self.asm.jcc(Cc::AE, way.at);
        }
        if fraction != 0 {
            // A power of two: exact.
            self.x3c(form.prefix(), 1, code::MUL, scaled, a, form.number(f64::from_bits((1023 + fraction) << 52)));
            a = scaled;
        }
        let wide = long || unsigned;
        let convert = |s: &mut Self, opcode: u8, d: Gpr, x: Xmm| s.asm.sse_gpr(form.prefix(), 1, wide, opcode, d, x);
        let mut again = false;
        match rounding {
            Rounding::TowardZero => convert(self, 0x2c, d, a),
            Rounding::TiesEven => convert(self, 0x2d, d, a),
            _ => {
                match Self::direction(rounding) {
                    Some(imm) => self.host_round(form, r, a, imm | 8),
                    None => self.round_away(form, r, a),
                }
                convert(self, 0x2c, d, r);
                again = true;
            }
        }
        if !unsigned {
            // Out of range is the least integer, the only one that overflows here.
            self.asm.alu_ri(Alu::Cmp, if long { Size::Q } else { Size::D }, d, 1);
            self.asm.jcc(Cc::O, way.at);
        }
        if again {
            // For Inexact: what fits when rounded fits when cut off.
            convert(self, 0x2c, t, a);
        }
        self.meet(op, way, AccessResult::Gpr(d));
        self.clobbered();
        self.done(op.dst, d, true);
        true
    }
    fn floats_to_ints(&mut self, op: &Op, form: Form, rounding: Rounding) -> bool {
        let Some(imm) = Self::direction(rounding) else { return false };
        let cut = matches!(rounding, Rounding::TowardZero);
        let direct = cut || rounding == Rounding::TiesEven;
        if form.double {
            if !direct {
                return false;
            }
            let a = self.xmm(op.a);
            let r = self.xtemp();
            if self.f.features.avx512vl {
                let way = self.way_out(op);
                self.asm.evex_rr(0x66, 1, true, if cut { 0x7a } else { 0x7b }, r, a);
                // Out of range is the least integer.
                self.x3c(0x66, 2, 0x29, 15, r, form.splat(0, 1 << 63));
                let cc = self.any(15);
                self.asm.jcc(cc, way.at);
                self.meet(op, way, AccessResult::Xmm(r));
                self.xown(op.dst, r);
                self.clobbered();
                return true;
            }
            let (low, high) = (self.temp(), self.temp());
            let way = self.way_out(op);
            let opcode = if cut { 0x2c } else { 0x2d };
            self.x3(0x66, 1, 0x15, 15, a, a);
            self.asm.sse_gpr(0xf2, 1, true, opcode, low, a);
            self.asm.sse_gpr(0xf2, 1, true, opcode, high, 15);
            for part in [low, high] {
                self.asm.alu_ri(Alu::Cmp, Size::Q, part, 1);
                self.asm.jcc(Cc::O, way.at);
            }
            self.asm.mov_xr(Size::Q, r, low);
            self.asm.set_high_half(r, high);
            self.meet(op, way, AccessResult::Xmm(r));
            self.xown(op.dst, r);
            self.clobbered();
            return true;
        }
        let a = self.operand(op.a, form);
        let r = self.xtemp();
        let way = self.way_out(op);
        if direct {
            self.x2(if cut { 0xf3 } else { 0x66 }, 1, 0x5b, r, a);
        } else {
            self.host_round(form, 15, a, imm | 8);
            self.x2(0xf3, 1, 0x5b, r, 15);
        }
        self.x3c(0x66, 1, 0x76, 15, r, form.sign());
        let cc = self.any(15);
        self.asm.jcc(cc, way.at);
        if !direct {
            self.x2(0xf3, 1, 0x5b, 15, a);
        }
        self.meet(op, way, AccessResult::Xmm(r));
        self.xown(op.dst, r);
        self.clobbered();
        true
    }

    fn int_to_float(&mut self, op: &Op) -> bool {
        let (unsigned, fraction) = (op.imm & 8 != 0, op.imm >> 8 & 0xff);
        let source = Ty((op.imm >> 16) as u8);
        let Some(form) = Form::of(op.ty, op.shape) else { return false };
        if !matches!(source, Ty::I32 | Ty::I64) || fraction > 64 {
            return false;
        }
        // A power of two from 1 down to 2^-64: exact.
        let scale = f64::from_bits((1023 - fraction) << 52);
        if !form.scalar {
            return !unsigned && self.ints_to_floats(op, form, scale);
        }
        let a = self.gpr(op.a);
        let r = self.xtemp();
        let t = self.temp();
        let way = self.way_out(op);
        let far = unsigned && source == Ty::I64;
        if far {
            self.asm.test_rr(Size::Q, a, a);
            self.asm.jcc(Cc::S, way.at);
        }
        let from = if unsigned && !far {
            self.asm.mov_rr(Size::D, t, a);
            t
        } else {
            a
        };
        // The instruction keeps the upper part of its result: not that of an earlier one.
        self.x3(0, 1, code::XOR, r, r, r);
        self.asm.sse_gpr(form.prefix(), 1, unsigned || source == Ty::I64, 0x2a, r, from);
        if fraction != 0 {
            self.x3c(form.prefix(), 1, code::MUL, r, r, form.number(scale));
        }
        if far {
            self.meet(op, way, AccessResult::Xmm(r));
        } else {
            self.asm.bind(way.back);
            self.asm.bind(way.at);
        }
        self.xown(op.dst, r);
        self.clobbered();
        true
    }
    fn ints_to_floats(&mut self, op: &Op, form: Form, scale: f64) -> bool {
        let r;
        if form.double && self.f.features.avx512vl {
            let a = self.xmm(op.a);
            r = self.xtemp();
            self.asm.evex_rr(0xf3, 1, true, 0xe6, r, a);
        } else if form.double {
            let (low, high) = self.halves(op.a);
            r = self.xtemp();
            self.x3(0, 1, code::XOR, r, r, r);
            self.asm.movaps(15, r);
            self.asm.sse_gpr(0xf2, 1, true, 0x2a, r, low);
            self.asm.sse_gpr(0xf2, 1, true, 0x2a, 15, high);
            self.x3(0x66, 1, 0x14, r, r, 15);
        } else {
            let a = self.operand(op.a, form);
            r = self.xtemp();
            self.x2(0, 1, 0x5b, r, a);
        }
        if scale != 1.0 {
            self.x3c(form.prefix(), 1, code::MUL, r, r, form.number(scale));
        }
        self.xown(op.dst, r);
        self.clobbered();
        true
    }

    fn float_convert(&mut self, op: &Op, form: Form, nearest: bool) -> bool {
        let source = Ty((op.imm >> 16) as u8);
        let (prefix, tiny) = match (source, form.double) {
            (Ty::F32, true) => (0xf3, false),
            (Ty::F64, false) if nearest => (0xf2, true),
            _ => return false,
        };
        let a = self.xmm(op.a);
        let r = self.xtemp();
        self.x3(prefix, 1, 0x5a, r, a, a);
        self.checked(op, form, r, tiny);
        self.clobbered();
        true
    }
    fn float_widen(&mut self, op: &Op, form: Form) -> bool {
        if !form.double || form.scalar {
            return false;
        }
        let a = self.xmm(op.a);
        let r = self.xtemp();
        let from = if op.imm & 1 != 0 {
            self.x3(0, 1, 0x12, r, a, a);
            r
        } else {
            a
        };
        self.x2(0, 1, 0x5a, r, from);
        self.checked(op, form, r, false);
        self.clobbered();
        true
    }
    fn float_narrow(&mut self, op: &Op, form: Form) -> bool {
        if !form.double || form.scalar {
            return false;
        }
        let a = self.xmm(op.a);
        let r = self.xtemp();
        self.x2(0x66, 1, 0x5a, r, a);
        // The upper half is zero.
        self.checked(op, Form { double: false, scalar: false, half: true }, r, true);
        self.vals[op.dst as usize].clean = true;
        self.clobbered();
        true
    }

    // -- bits ----------------------------------------------------------------------------------------------------------------------------
    /// Logic on the bits of a number in a vector register: negation, absolute value.
    pub(crate) fn float_bits(&mut self, op: &Op, c: Code) -> bool {
        let fact = self.fact(op.dst);
        // Vector instructions make no flags.
        if op.shape != Shape::SCALAR || !matches!(op.ty, Ty::I32 | Ty::I64) || fact.want != NO_PIN || fact.makes != NO_KEY {
            return false;
        }
        let opcode = match c {
            Code::And => code::AND,
            Code::Or => code::OR,
            Code::Xor => code::XOR,
            _ => return false,
        };
        let (Loc::Xmm(x), Loc::Const(k)) = (self.loc(op.a), self.loc(op.b)) else { return false };
        self.xlock(x);
        let r = self.xtemp();
        let clean = self.vals[op.a as usize].clean;
        self.x3c(0, 1, opcode, r, x, k.into());
        self.xown(op.dst, r);
        self.vals[op.dst as usize].clean = clean || c == Code::And;
        true
    }
    /// Zero extension of a number in a vector register, which stays there.
    pub(crate) fn zext_vector(&mut self, op: &Op, source: Ty) -> bool {
        let Loc::Xmm(x) = self.loc(op.a) else { return false };
        if source.bits() < 32 || source.bits() > 64 || op.ty.bits() < 64 || self.fact(op.dst).want != NO_PIN {
            return false;
        }
        self.xlock(x);
        let clean = self.vals[op.a as usize].clean;
        if clean && self.dies(op.a) {
            self.give_up(op.a);
            self.xown(op.dst, x);
        } else {
            let r = self.xtemp();
            if clean {
                self.asm.movaps(r, x);
            } else if source.bits() == 64 {
                self.asm.movq(r, x);
            } else {
                // All places but the lowest become zero.
                self.x3i(0x66, 3, 0x21, r, x, x, 0x0e);
            }
            self.xown(op.dst, r);
        }
        self.vals[op.dst as usize].clean = true;
        true
    }

    // -- sticky exceptions -----------------------------------------------------------------------------------------------------------------
    /// True for state that the sticky exceptions are part of.
    pub(crate) fn is_sticky(&self, offset: u32, bytes: u32) -> bool {
        let at = self.f.header.fp_flags as u32;
        at < offset + bytes && offset < at + 4
    }
    /// Brings the header up to date.
    pub(crate) fn merge_sticky(&mut self) {
        self.asm.call_outside(self.thunks.merge);
        self.raises = false;
    }
    /// Before an instruction that may raise exceptions. Once is enough until a thunk is called or ways meet.
    fn may_raise(&mut self) {
        if !self.raises {
            self.raises = true;
            let raised = self.exchange(offset_of!(Exchange, raised));
            self.asm.mov_mi(Size::B, raised, 1);
        }
    }
    /// Reads it. The value is not a name for the field, which ops change without a `set`.
    pub(crate) fn get_sticky(&mut self, op: &Op) {
        self.merge_sticky();
        let m = self.state(op.imm as u32);
        let bits = self.fact(op.dst).bits;
        if bits == 128 {
            let x = self.xtemp();
            self.asm.movups_rm(x, m);
            self.xown(op.dst, x);
        } else {
            let t = self.temp();
            self.asm.movzx_rm(Size::bits(bits.into()), t, m);
            self.own(op.dst, t, true);
        }
    }
}

/// Width of an op's result.
fn result_bits(op: &Op) -> u32 {
    match op.shape {
        Shape::V64 => 64,
        Shape::V128 => 128,
        _ => op.ty.bits(),
    }
}
/// Widths of an op's operands, 0 for none.
fn operand_bits(op: &Op) -> [u32; 3] {
    emu_ir::operand_widths(op).map(|w| match w {
        Some(emu_ir::Width::Bits(bits)) => bits,
        _ => 0,
    })
}
