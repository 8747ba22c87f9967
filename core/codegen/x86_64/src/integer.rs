//! Scalar integer ops.

use crate::analyse::{NO_KEY, NO_PIN};
use crate::asm::{Alu, Cc, Gpr, Shift, Size, reg::*};
use crate::lower::{Arg, Loc, Lowering, Value};
use emu_ir::{Code, NONE, Op, Shape, Ty};

impl Lowering<'_> {
    /// Emits a scalar op on integers of up to 64 bits; false if there is no code for it.
    pub(crate) fn integer(&mut self, op: &Op, c: Code) -> bool {
        if op.shape != Shape::SCALAR || op.ty.is_float() {
            return false;
        }
        if op.ty == Ty::I1 && !matches!(c, Code::Const | Code::ZExt | Code::SExt | Code::Trunc) {
            return self.boolean(op, c);
        }
        match c {
            Code::Const => self.vals[op.dst as usize].loc = Loc::Const(op.imm),
            Code::Pair => self.vals[op.dst as usize].loc = Loc::Pair(op.a, op.b),
            Code::Lo64 | Code::Hi64 => self.half(op, c),
            Code::ZExt => return self.zext(op),
            Code::SExt => return self.sext(op),
            Code::Trunc => return self.trunc(op),
            Code::CmpEq | Code::CmpNe | Code::CmpUlt | Code::CmpUle | Code::CmpSlt | Code::CmpSle | Code::SubOverflow => return self.compare(op, c),
            _ if !matches!(op.ty, Ty::I32 | Ty::I64) => return false,
            Code::Add | Code::And | Code::Or | Code::Xor | Code::Mul => self.commutative(op, c),
            Code::Sub => self.sub(op),
            Code::AndNot | Code::OrNot => self.with_not(op, c),
            Code::Not | Code::Neg => {
                let size = self.size(op);
                let a = self.arg(op.a);
                let d = self.dst(op.dst, &[]);
                self.mov_arg(size, d, a);
                if c == Code::Not {
                    self.asm.not(size, d);
                } else {
                    self.asm.neg(size, d);
                    self.clobbered();
                }
                self.done(op.dst, d, true);
            }
            Code::Shl | Code::LShr | Code::AShr | Code::RotR => return self.shift(op, c),
            Code::MulHiU | Code::MulHiS => self.mul_high(op, c),
            Code::MulFold => {
                self.take(RAX);
                self.take(RDX);
                let left = self.arg(op.a);
                self.mov_arg(Size::Q, RAX, left);
                let b = self.gpr(op.b);
                self.asm.mul(Size::Q, b);
                self.asm.alu_rr(Alu::Xor, Size::Q, RAX, RDX);
                self.clobbered();
                self.done(op.dst, RAX, true);
            }
            Code::UDiv | Code::SDiv => self.divide(op, c),
            Code::Select => self.select(op),
            Code::Extract | Code::SExtract => self.extract(op, c),
            Code::Deposit => self.deposit(op),
            Code::ConcatShr => self.concat(op),
            Code::Adc | Code::CarryOut | Code::Overflow => self.carry(op, c),
            Code::Clz | Code::Cls => self.leading(op, c),
            Code::Cnt => {
                let (size, a) = (self.size(op), self.gpr(op.a));
                let d = self.dst(op.dst, &[]);
                self.asm.bits_rr(0xf3, 0xb8, size, d, a);
                self.clobbered();
                self.done(op.dst, d, true);
            }
            Code::Ctz => {
                let (size, a) = (self.size(op), self.gpr(op.a));
                let d = self.dst(op.dst, &[a]);
                if self.f.features.bmi1 {
                    self.asm.bits_rr(0xf3, 0xbc, size, d, a);
                } else {
                    let width = self.temp();
                    self.asm.mov_ri(width, op.ty.bits().into());
                    self.asm.bits_rr(0, 0xbc, size, d, a);
                    self.asm.cmov_rr(Cc::E, size, d, width);
                }
                self.clobbered();
                self.done(op.dst, d, true);
            }
            Code::BSwap => {
                let size = self.size(op);
                let a = self.arg(op.a);
                let d = self.dst(op.dst, &[]);
                self.mov_arg(size, d, a);
                self.asm.bswap(size, d);
                self.done(op.dst, d, true);
            }
            Code::RBit => self.reverse_bits(op),
            Code::Crc32 if op.imm == 1 => {
                let source = Ty(op.aux as u8);
                let a = self.gpr(op.a);
                let b = self.gpr(op.b);
                let t = self.temp();
                self.asm.mov_rr(Size::D, t, a);
                self.asm.crc32(Size::bits(source.bits()), t, b);
                self.done(op.dst, t, true);
            }
            _ => return false,
        }
        true
    }

    fn size(&self, op: &Op) -> Size {
        Size::bits(op.ty.bits())
    }
    pub(crate) fn clobbered(&mut self) {
        self.flags = NO_KEY;
    }

    fn commutative(&mut self, op: &Op, c: Code) {
        let size = self.size(op);
        let makes = self.fact(op.dst).makes;
        if c == Code::Mul && self.flags_live() {
            let other = self.multiplicand(op);
            let high = self.spare_of_product(op);
            let low = self.dst(op.dst, &[]);
            self.mulx(size, high, low, other);
            return self.done(op.dst, low, true);
        }
        let (mut a, mut b) = (op.a, op.b);
        // A constant, or what is only in memory, is better on the right.
        if matches!(self.loc(a), Loc::Const(_))
            || (matches!(self.loc(a), Loc::State(_) | Loc::Slot) && matches!(self.loc(b), Loc::Gpr(_) | Loc::Pin(_)))
        {
            (a, b) = (b, a);
        }
        // A temporary that ends here may be overwritten; on the left it saves a move.
        if matches!(self.loc(b), Loc::Gpr(_)) && self.dies(b) && !(matches!(self.loc(a), Loc::Gpr(_)) && self.dies(a)) {
            (a, b) = (b, a);
        }
        let left = self.left_operand(a);
        let right = self.arg(b);
        let want_in = |r: Gpr, arg: Arg| arg == Arg::Reg(r);
        let d = match (self.dst_or_reuse(op.dst, a, left), right) {
            (d, right) if want_in(d, right) && left != Arg::Reg(d) => {
                // The result's register has the right operand: the other way round.
                return self.finish_commutative(op, c, size, makes, d, right, left);
            }
            (d, _) => d,
        };
        self.finish_commutative(op, c, size, makes, d, left, right);
    }

    #[allow(clippy::too_many_arguments)]
    fn finish_commutative(&mut self, op: &Op, c: Code, size: Size, makes: u16, d: Gpr, left: Arg, right: Arg) {
        let alu = match c {
            Code::Add => Alu::Add,
            Code::And => Alu::And,
            Code::Or => Alu::Or,
            _ => Alu::Xor,
        };
        if c == Code::Mul {
            self.mov_arg(size, d, left);
            match right {
                Arg::Reg(r) => self.asm.imul_rr(size, d, r),
                Arg::Mem(m) => self.asm.imul_rm(size, d, m),
                Arg::Imm(i) => {
                    let t = self.temp();
                    self.asm.mov_ri(t, i as i64 as u64);
                    self.asm.imul_rr(size, d, t);
                }
            }
            self.clobbered();
            return self.done(op.dst, d, true);
        }
        if c == Code::Add && makes == NO_KEY {
            let lea = match (left, right) {
                (Arg::Reg(a), Arg::Imm(i)) if a != d => Some(crate::asm::Mem::at(a, i)),
                (Arg::Reg(a), Arg::Reg(b)) if a != d => Some(crate::asm::Mem::indexed(a, b, 0, 0)),
                _ if self.flags_live() => {
                    self.mov_arg(size, d, left);
                    match right {
                        Arg::Imm(i) => Some(crate::asm::Mem::at(d, i)),
                        Arg::Reg(b) => Some(crate::asm::Mem::indexed(d, b, 0, 0)),
                        Arg::Mem(_) => {
                            let t = self.temp();
                            self.mov_arg(size, t, right);
                            Some(crate::asm::Mem::indexed(d, t, 0, 0))
                        }
                    }
                }
                _ => None,
            };
            if let Some(m) = lea {
                self.asm.lea(size, d, m);
                return self.done(op.dst, d, true);
            }
        }
        self.mov_arg(size, d, left);
        self.alu_arg(alu, size, d, right);
        self.flags = makes;
        self.done(op.dst, d, true);
    }

    /// The left operand of a two-operand instruction.
    fn left_operand(&mut self, a: u32) -> Arg {
        self.arg(a)
    }
    /// Register for a result: the wanted one, or that of an operand that ends here, or a new one.
    pub(crate) fn dst_or_reuse(&mut self, v: u32, a: u32, left: Arg) -> Gpr {
        if self.fact(v).want == NO_PIN
            && let (Arg::Reg(r), Loc::Gpr(own)) = (left, self.loc(a))
            && r == own
            && self.dies(a)
        {
            self.give_up(a);
            return r;
        }
        self.dst(v, &[])
    }
    /// The register of a value that ends with this op is the result's now.
    pub(crate) fn give_up(&mut self, a: u32) {
        match self.loc(a) {
            Loc::Gpr(r) => self.owner[r as usize] = emu_ir::NONE,
            Loc::Xmm(x) => self.xowner[x as usize] = emu_ir::NONE,
            _ => return,
        }
        self.vals[a as usize].loc = Loc::None;
    }

    fn sub(&mut self, op: &Op) {
        let size = self.size(op);
        let makes = self.fact(op.dst).makes;
        let left = self.left_operand(op.a);
        let right = self.arg(op.b);
        let d = self.dst_or_reuse(op.dst, op.a, left);
        if let (Arg::Reg(a), Arg::Imm(i)) = (left, right)
            && a != d
            && makes == NO_KEY
            && i != i32::MIN
        {
            self.asm.lea(size, d, crate::asm::Mem::at(a, -i));
            return self.done(op.dst, d, true);
        }
        if makes == NO_KEY && self.flags_live() {
            // Without flags: a + !b + 1.
            let t = self.temp();
            self.mov_arg(size, t, right);
            self.asm.not(size, t);
            self.mov_arg(size, d, left);
            self.asm.lea(size, d, crate::asm::Mem { disp: 1, ..crate::asm::Mem::indexed(d, t, 0, 0) });
            return self.done(op.dst, d, true);
        }
        if right == Arg::Reg(d) && left != right {
            let t = self.temp();
            self.mov_arg(size, t, left);
            self.alu_arg(Alu::Sub, size, t, right);
            self.asm.mov_rr(size, d, t);
        } else {
            self.mov_arg(size, d, left);
            self.alu_arg(Alu::Sub, size, d, right);
        }
        self.flags = makes;
        self.done(op.dst, d, true);
    }

    fn with_not(&mut self, op: &Op, c: Code) {
        let size = self.size(op);
        let left = self.arg(op.a);
        let right = self.arg(op.b);
        if let (Arg::Imm(i), Code::AndNot) = (right, c) {
            let d = self.dst_or_reuse(op.dst, op.a, left);
            self.mov_arg(size, d, left);
            self.asm.alu_ri(Alu::And, size, d, !i);
            self.clobbered();
            return self.done(op.dst, d, true);
        }
        let t = self.temp();
        self.mov_arg(size, t, right);
        self.asm.not(size, t);
        self.alu_arg(if c == Code::AndNot { Alu::And } else { Alu::Or }, size, t, left);
        self.clobbered();
        self.done(op.dst, t, true);
    }

    /// A result that is its operand: zero-extended too where that is already in place.
    fn mov_clean(&mut self, size: Size, d: Gpr, src: Arg) {
        match src {
            Arg::Reg(r) if r == d && size == Size::D => self.asm.mov_rr(size, d, d),
            _ => self.mov_arg(size, d, src),
        }
    }

    fn shift(&mut self, op: &Op, c: Code) -> bool {
        let size = self.size(op);
        let kind = match c {
            Code::Shl => Shift::Shl,
            Code::LShr => Shift::Shr,
            Code::AShr => Shift::Sar,
            _ => Shift::Ror,
        };
        if let Loc::Const(by) = self.loc(op.b) {
            let by = (by & u64::from(op.ty.bits() - 1)) as u8;
            let left = self.left_operand(op.a);
            let d = self.dst_or_reuse(op.dst, op.a, left);
            if by == 0 {
                self.mov_clean(size, d, left);
            } else {
                self.mov_arg(size, d, left);
                self.asm.shift_ri(kind, size, d, by);
            }
            self.clobbered();
            self.done(op.dst, d, true);
            return true;
        }
        if self.f.features.bmi2 && kind != Shift::Ror {
            let (a, b) = (self.gpr(op.a), self.gpr(op.b));
            let d = self.dst(op.dst, &[]);
            self.asm.shiftx(kind, size, d, a, b);
            self.done(op.dst, d, true);
            return true;
        }
        self.take(RCX);
        let by = self.arg(op.b);
        self.mov_arg(size, RCX, by);
        let left = self.arg(op.a);
        let d = self.dst(op.dst, &[]);
        self.mov_arg(size, d, left);
        self.asm.shift_cl(kind, size, d);
        self.clobbered();
        self.done(op.dst, d, true);
        true
    }

    fn mul_high(&mut self, op: &Op, c: Code) {
        let size = self.size(op);
        if c == Code::MulHiU && self.f.features.bmi2 {
            let other = self.multiplicand(op);
            let want = self.fact(op.dst).want != NO_PIN;
            let d = if want { self.dst(op.dst, &[]) } else { self.spare_of_product(op) };
            self.mulx(size, d, d, other);
            return self.done(op.dst, d, true);
        }
        self.take(RAX);
        self.take(RDX);
        let left = self.arg(op.a);
        self.mov_arg(size, RAX, left);
        let b = self.gpr(op.b);
        if c == Code::MulHiU {
            self.asm.mul(size, b)
        } else {
            self.asm.imul1(size, b)
        }
        self.clobbered();
        self.done(op.dst, RDX, true);
    }

    /// For BMI2's multiplication: one operand in rdx, where it stays, and the other.
    fn multiplicand(&mut self, op: &Op) -> Arg {
        let (mut v, mut other) = (op.a, op.b);
        let in_place = |s: &Self, v: u32| s.loc(v) == Loc::Gpr(RDX);
        // What is used again later is in its place then.
        if !in_place(self, v) && (in_place(self, other) || self.fact(other).last > self.fact(v).last) {
            (v, other) = (other, v);
        }
        if in_place(self, v) {
            self.lock(RDX);
        } else {
            self.take(RDX);
            let size = Size::bits(self.fact(v).bits.into());
            let Value { loc, backing, clean, .. } = self.vals[v as usize];
            match loc {
                Loc::State(off) => {
                    let m = self.state(off);
                    self.asm.mov_rm(size, RDX, m);
                    self.own(v, RDX, true);
                    self.vals[v as usize].backing = off;
                }
                Loc::Gpr(r) => {
                    self.asm.mov_rr(Size::Q, RDX, r);
                    self.owner[r as usize] = NONE;
                    self.own(v, RDX, clean);
                    self.vals[v as usize].backing = backing;
                }
                Loc::Const(c) => {
                    self.asm.mov_ri(RDX, c);
                    self.own(v, RDX, true);
                }
                _ => {
                    let from = self.arg_there(v);
                    self.mov_arg(size, RDX, from);
                }
            }
        }
        match self.arg_there(other) {
            Arg::Imm(_) => Arg::Reg(self.gpr(other)),
            arg => arg,
        }
    }
    /// A register for half a product: rdx, if what is there ends with the op.
    fn spare_of_product(&mut self, op: &Op) -> Gpr {
        match self.owner[RDX as usize] {
            NONE => RDX,
            v if (v == op.a || v == op.b) && self.dies(v) => {
                self.give_up(v);
                RDX
            }
            _ => self.temp(),
        }
    }
    fn mulx(&mut self, size: Size, high: Gpr, low: Gpr, by: Arg) {
        match by {
            Arg::Reg(r) => self.asm.mulx_rr(size, high, low, r),
            Arg::Mem(m) => self.asm.mulx_rm(size, high, low, m),
            Arg::Imm(_) => self.fail("a product by a constant"),
        }
    }

    fn divide(&mut self, op: &Op, c: Code) {
        let size = self.size(op);
        self.take(RAX);
        self.take(RDX);
        let left = self.arg(op.a);
        self.mov_arg(size, RAX, left);
        let b = self.gpr(op.b);
        let (zero, end) = (self.asm.label(), self.asm.label());
        self.asm.test_rr(size, b, b);
        self.asm.jcc(Cc::E, zero);
        if c == Code::UDiv {
            self.asm.mov_ri(RDX, 0);
            self.asm.div(size, b);
        } else {
            // The minimum divided by -1 would trap.
            let (divide, done) = (self.asm.label(), self.asm.label());
            self.asm.alu_ri(Alu::Cmp, size, b, -1);
            self.asm.jcc(Cc::NE, divide);
            self.asm.neg(size, RAX);
            self.asm.jmp(done);
            self.asm.bind(divide);
            self.asm.cqo(size);
            self.asm.idiv(size, b);
            self.asm.bind(done);
        }
        self.asm.jmp(end);
        self.asm.bind(zero);
        self.asm.mov_ri(RAX, 0);
        self.asm.bind(end);
        self.clobbered();
        self.done(op.dst, RAX, true);
    }

    fn select(&mut self, op: &Op) {
        let size = self.size(op);
        // Everything is in place before the flags are made.
        let a = match self.arg(op.a) {
            Arg::Imm(_) => Arg::Reg(self.gpr(op.a)),
            other => other,
        };
        let b = self.arg(op.b);
        let cc = self.test(op.c);
        let others: &[Gpr] = match a {
            Arg::Reg(r) => &[r],
            _ => &[],
        };
        // A condition in a register has been looked at by now.
        let d = self.dst(op.dst, others);
        self.mov_arg(size, d, b);
        match a {
            Arg::Reg(r) => self.asm.cmov_rr(cc, size, d, r),
            Arg::Mem(m) => self.asm.cmov_rm(cc, size, d, m),
            Arg::Imm(_) => {}
        }
        self.done(op.dst, d, true);
    }

    fn extract(&mut self, op: &Op, c: Code) {
        let size = self.size(op);
        let (lsb, len, bits) = (op.aux & 0xff, op.aux >> 8, op.ty.bits());
        let signed = c == Code::SExtract;
        if lsb == 0 && matches!(len, 8 | 16 | 32) && len < bits {
            let a = self.gpr(op.a);
            let d = self.dst(op.dst, &[]);
            let from = Size::bits(len);
            if signed {
                self.asm.movsx_rr(from, size == Size::Q, d, a)
            } else {
                self.asm.movzx_rr(from, d, a)
            }
            return self.done(op.dst, d, true);
        }
        let left = self.left_operand(op.a);
        let d = self.dst_or_reuse(op.dst, op.a, left);
        self.mov_arg(size, d, left);
        let right = |s: &mut Self, by: u32| {
            if by != 0 {
                s.asm.shift_ri(if signed { Shift::Sar } else { Shift::Shr }, size, d, by as u8);
            }
        };
        if lsb == 0 && len == bits {
            self.mov_clean(size, d, Arg::Reg(d));
        } else if lsb + len == bits {
            right(self, lsb);
        } else if !signed && len <= 31 {
            right(self, lsb);
            self.asm.alu_ri(Alu::And, Size::D, d, ((1u32 << len) - 1) as i32);
        } else {
            self.asm.shift_ri(Shift::Shl, size, d, (bits - lsb - len) as u8);
            right(self, bits - len);
        }
        self.clobbered();
        self.done(op.dst, d, true);
    }

    fn deposit(&mut self, op: &Op) {
        let size = self.size(op);
        let (lsb, len, bits) = (op.aux & 0xff, op.aux >> 8, op.ty.bits());
        if len == bits {
            let b = self.arg(op.b);
            let d = self.dst(op.dst, &[]);
            self.mov_clean(size, d, b);
            return self.done(op.dst, d, true);
        }
        let b = self.gpr(op.b);
        let a = self.arg(op.a);
        let d = self.dst(op.dst, &[b]);
        self.mov_arg(size, d, a);
        // The field is turned to the bottom, pushed out by the new one, which is turned back.
        if lsb != 0 {
            self.asm.shift_ri(Shift::Ror, size, d, lsb as u8);
        }
        self.asm.shrd(size, d, b, len as u8);
        let back = (len + lsb) % bits;
        if back != 0 {
            self.asm.shift_ri(Shift::Rol, size, d, back as u8);
        }
        self.clobbered();
        self.done(op.dst, d, true);
    }

    fn concat(&mut self, op: &Op) {
        let size = self.size(op);
        let a = self.gpr(op.a);
        let b = self.arg(op.b);
        let d = self.dst(op.dst, &[a]);
        if op.aux == 0 {
            self.mov_clean(size, d, b);
        } else {
            self.mov_arg(size, d, b);
            self.asm.shrd(size, d, a, op.aux as u8);
        }
        self.clobbered();
        self.done(op.dst, d, true);
    }

    fn carry(&mut self, op: &Op, c: Code) {
        let size = self.size(op);
        let (fact, makes) = (self.fact(op.c), self.fact(op.dst).makes);
        // The carry first: it may have to be read from the flags. Where it is the host's, or its opposite, it stays there, for what brings
        // the operands into place does not change flags.
        let in_flags = fact.key != NO_KEY && matches!(fact.cc, Cc::B | Cc::AE);
        let k = match self.loc(op.c) {
            _ if in_flags => {
                self.flags_of(op.c);
                None
            }
            Loc::Const(v) => {
                let k = self.temp();
                self.asm.mov_ri(k, v & 1);
                Some(k)
            }
            _ => Some(self.gpr(op.c)),
        };
        let (a, b) = (self.arg_there(op.a), self.arg_there(op.b));
        let t = if c == Code::Adc { self.dst(op.dst, if let Arg::Reg(b) = &b { std::slice::from_ref(b) } else { &[] }) } else { self.temp() };
        self.mov_arg(size, t, a);
        match k {
            Some(k) => self.asm.bt_ri(Size::D, k, 0),
            None if fact.cc == Cc::AE => self.asm.cmc(),
            None => {}
        }
        self.alu_arg(Alu::Adc, size, t, b);
        self.flags = makes;
        if c != Code::Adc {
            self.asm.setcc(if c == Code::CarryOut { Cc::B } else { Cc::O }, t);
            self.asm.movzx_rr(Size::B, t, t);
        }
        self.done(op.dst, t, true);
    }

    /// Both halves of a product, by one multiplication, when both are wanted: the first of the two ops makes the other's result too.
    pub(crate) fn product(&mut self, op: &Op, c: Code, ops: &[Op]) -> bool {
        /// Ops further down among which the other half is looked for.
        const WITHIN: usize = 12;
        let other = match c {
            Code::Mul => Code::MulHiU,
            Code::MulHiU => Code::Mul,
            _ => return false,
        };
        if op.ty != Ty::I64 || op.shape != Shape::SCALAR {
            return false;
        }
        if self.loc(op.dst) != Loc::None {
            return true;
        }
        let rest = ops.get(self.at as usize + 1..).unwrap_or_default();
        // What is made before a label is not the same behind it on every way.
        let partner = rest
            .iter()
            .take(WITHIN)
            .take_while(|o| o.code != Code::Label as u16)
            .find(|o| o.code == other as u16 && o.ty == op.ty && o.shape == op.shape && [o.a, o.b] == [op.a, op.b])
            .map(|o| o.dst)
            .filter(|dst| self.fact(*dst).uses != 0);
        let Some(partner) = partner else { return false };
        let (low, high) = if c == Code::Mul { (op.dst, partner) } else { (partner, op.dst) };
        if self.f.features.bmi2 {
            let other = self.multiplicand(op);
            let spare = self.spare_of_product(op);
            self.lock(spare);
            // What is made early may not be where it is to be later.
            let own = self.dst(op.dst, &[]);
            let (l, h) = if c == Code::Mul { (own, spare) } else { (spare, own) };
            self.mulx(Size::Q, h, l, other);
            self.own(partner, spare, true);
            self.done(op.dst, own, true);
            return true;
        }
        self.take(RAX);
        self.take(RDX);
        let left = self.arg(op.a);
        self.mov_arg(Size::Q, RAX, left);
        let b = self.gpr(op.b);
        self.asm.mul(Size::Q, b);
        self.clobbered();
        self.own(low, RAX, true);
        self.own(high, RDX, true);
        true
    }

    /// A sum with a carry, and the carry that it makes where that does not stay in the flags.
    pub(crate) fn sum(&mut self, op: &Op, c: Code, ops: &[Op]) -> bool {
        /// Ops further down among which the carry is looked for.
        const WITHIN: usize = 8;
        if c != Code::Adc || op.shape != Shape::SCALAR || !matches!(op.ty, Ty::I32 | Ty::I64) {
            return false;
        }
        self.carry(op, c);
        // Its operands are used; the results are to stay.
        self.locked = 0;
        if let Loc::Gpr(r) = self.loc(op.dst) {
            self.lock(r);
        }
        let rest = ops.get(self.at as usize + 1..).unwrap_or_default();
        for o in rest.iter().take(WITHIN).take_while(|o| o.code != Code::Label as u16) {
            let cc = match o.opcode() {
                Some(Code::CarryOut) => Cc::B,
                Some(Code::Overflow) => Cc::O,
                _ => continue,
            };
            let f = self.fact(o.dst);
            if o.ty == op.ty && o.shape == op.shape && [o.a, o.b, o.c] == [op.a, op.b, op.c] && f.uses != 0 && (f.key, f.early) == (NO_KEY, NO_KEY) {
                let t = self.temp();
                self.asm.setcc(cc, t);
                self.asm.movzx_rr(Size::B, t, t);
                self.own(o.dst, t, true);
            }
        }
        true
    }

    fn leading(&mut self, op: &Op, c: Code) {
        let (size, bits) = (self.size(op), op.ty.bits());
        let a = self.gpr(op.a);
        let t = self.temp();
        if c == Code::Cls {
            // The sign removed from the bits below it.
            self.asm.mov_rr(size, t, a);
            self.asm.shift_ri(Shift::Sar, size, t, bits as u8 - 1);
            self.asm.alu_rr(Alu::Xor, size, t, a);
        } else {
            self.asm.mov_rr(size, t, a);
        }
        if self.f.features.lzcnt {
            self.asm.bits_rr(0xf3, 0xbd, size, t, t);
        } else {
            let none = self.temp();
            // The position of the highest bit, as its distance from the top.
            self.asm.mov_ri(none, u64::from(2 * bits - 1));
            self.asm.bits_rr(0, 0xbd, size, t, t);
            self.asm.cmov_rr(Cc::E, size, t, none);
            self.asm.alu_ri(Alu::Xor, Size::D, t, bits as i32 - 1);
        }
        if c == Code::Cls {
            self.asm.alu_ri(Alu::Sub, Size::D, t, 1);
        }
        self.clobbered();
        self.done(op.dst, t, true);
    }

    /// Bits change places with neighbours at distance 1, 2 and 4, then bytes.
    fn reverse_bits(&mut self, op: &Op) {
        let size = self.size(op);
        let a = self.gpr(op.a);
        let (t, u, mask) = (self.temp(), self.temp(), self.temp());
        self.asm.mov_rr(size, t, a);
        self.asm.bswap(size, t);
        for (by, pattern) in [(4, 0x0f0f_0f0f_0f0f_0f0fu64), (2, 0x3333_3333_3333_3333), (1, 0x5555_5555_5555_5555)] {
            self.asm.mov_ri(mask, if size == Size::Q { pattern } else { pattern & 0xffff_ffff });
            self.asm.mov_rr(size, u, t);
            self.asm.shift_ri(Shift::Shr, size, u, by);
            self.asm.alu_rr(Alu::And, size, u, mask);
            self.asm.alu_rr(Alu::And, size, t, mask);
            self.asm.shift_ri(Shift::Shl, size, t, by);
            self.asm.alu_rr(Alu::Or, size, t, u);
        }
        self.clobbered();
        self.done(op.dst, t, true);
    }

    /// A comparison into a register.
    fn compare(&mut self, op: &Op, c: Code) -> bool {
        let cc = match c {
            Code::CmpEq => Cc::E,
            Code::CmpNe => Cc::NE,
            Code::CmpUlt => Cc::B,
            Code::CmpUle => Cc::BE,
            Code::CmpSlt => Cc::L,
            Code::CmpSle => Cc::LE,
            _ => Cc::O,
        };
        if !matches!(op.ty, Ty::I8 | Ty::I16 | Ty::I32 | Ty::I64) {
            return false;
        }
        let size = self.size(op);
        let a = self.gpr(op.a);
        let b = match (self.loc(op.b), op.ty) {
            (Loc::Const(v), Ty::I8 | Ty::I16) => Arg::Imm(v as i32),
            (_, Ty::I8 | Ty::I16) => Arg::Reg(self.gpr(op.b)),
            _ => self.arg(op.b),
        };
        let t = self.temp();
        self.alu_arg(Alu::Cmp, size, a, b);
        self.clobbered();
        self.asm.setcc(cc, t);
        self.asm.movzx_rr(Size::B, t, t);
        self.done(op.dst, t, true);
        true
    }

    fn boolean(&mut self, op: &Op, c: Code) -> bool {
        let alu = match c {
            Code::And | Code::AndNot => Alu::And,
            Code::Or | Code::OrNot => Alu::Or,
            Code::Xor | Code::CmpNe | Code::CmpEq | Code::Not => Alu::Xor,
            Code::Select => {
                let a = self.gpr_clean(op.a);
                let b = self.gpr_clean(op.b);
                let cc = self.test(op.c);
                let t = self.temp();
                self.asm.mov_rr(Size::D, t, b);
                self.asm.cmov_rr(cc, Size::D, t, a);
                self.done(op.dst, t, true);
                return true;
            }
            _ => return false,
        };
        // A condition that is still in the flags is read first.
        let a = self.gpr_clean(op.a);
        let b = if c == Code::Not { Arg::Imm(1) } else { Arg::Reg(self.gpr_clean(op.b)) };
        let t = self.temp();
        self.mov_arg(Size::D, t, b);
        if matches!(c, Code::AndNot | Code::OrNot | Code::CmpEq) {
            self.asm.alu_ri(Alu::Xor, Size::D, t, 1);
        }
        self.asm.alu_rr(alu, Size::D, t, a);
        self.clobbered();
        self.done(op.dst, t, true);
        true
    }

    fn half(&mut self, op: &Op, c: Code) {
        let low = c == Code::Lo64;
        match self.loc(op.a) {
            Loc::Pair(a, b) => {
                let part = if low { a } else { b };
                let r = self.gpr(part);
                let d = self.dst(op.dst, &[]);
                self.asm.mov_rr(Size::Q, d, r);
                self.done(op.dst, d, true);
            }
            Loc::State(off) => {
                let m = self.state(off).plus(if low { 0 } else { 8 });
                let d = self.dst(op.dst, &[]);
                self.asm.mov_rm(Size::Q, d, m);
                self.done(op.dst, d, true);
            }
            Loc::Slot => {
                let m = self.slot(op.a).plus(if low { 0 } else { 8 });
                let d = self.dst(op.dst, &[]);
                self.asm.mov_rm(Size::Q, d, m);
                self.done(op.dst, d, true);
            }
            Loc::Const(v) => self.vals[op.dst as usize].loc = Loc::Const(if low { v } else { 0 }),
            _ => {
                let x = self.xmm(op.a);
                let d = self.dst(op.dst, &[]);
                if low {
                    self.asm.mov_rx(Size::Q, d, x)
                } else {
                    self.asm.high_half(d, x)
                }
                self.done(op.dst, d, true);
            }
        }
    }

    fn zext(&mut self, op: &Op) -> bool {
        let source = Ty(op.aux as u8);
        if self.zext_vector(op, source) {
            return true;
        }
        if op.ty == Ty::I128 {
            if source.bits() > 64 {
                return false;
            }
            let r = self.gpr_clean(op.a);
            let x = self.xtemp();
            self.asm.mov_xr(Size::Q, x, r);
            self.xown(op.dst, x);
            return true;
        }
        if let Loc::Const(v) = self.loc(op.a) {
            self.vals[op.dst as usize].loc = Loc::Const(v);
            return true;
        }
        // A wanted value that its maker put there already.
        if let Loc::Pin(p) = self.loc(op.a)
            && self.fact(op.dst).want == p
            && self.fact(op.a).want == p
            && self.vals[op.a as usize].clean
        {
            self.vals[op.dst as usize].loc = Loc::Pin(p);
            self.vals[op.dst as usize].clean = true;
            self.aliases.push(op.dst);
            return true;
        }
        if let Loc::State(off) = self.loc(op.a) {
            let m = self.state(off);
            let d = self.dst(op.dst, &[]);
            self.asm.movzx_rm(Size::bits(source.bits()), d, m);
            self.done(op.dst, d, true);
            return true;
        }
        let r = self.gpr(op.a);
        let own = self.loc(op.a) == Loc::Gpr(r);
        if own && self.vals[op.a as usize].clean && self.dies(op.a) {
            self.give_up(op.a);
            self.done(op.dst, r, true);
            return true;
        }
        let d = self.dst(op.dst, &[]);
        self.asm.movzx_rr(Size::bits(source.bits()), d, r);
        self.done(op.dst, d, true);
        true
    }

    fn sext(&mut self, op: &Op) -> bool {
        let source = Ty(op.aux as u8);
        if !matches!(op.ty, Ty::I32 | Ty::I64) || source.bits() > 32 {
            return false;
        }
        let wide = op.ty == Ty::I64;
        let r = self.gpr(op.a);
        let d = self.dst(op.dst, &[]);
        match source {
            Ty::I1 => {
                self.asm.movzx_rr(Size::B, d, r);
                self.asm.neg(if wide { Size::Q } else { Size::D }, d);
                self.clobbered();
            }
            Ty::I32 if !wide => self.asm.mov_rr(Size::D, d, r),
            _ => self.asm.movsx_rr(Size::bits(source.bits()), wide, d, r),
        }
        self.done(op.dst, d, true);
        true
    }

    fn trunc(&mut self, op: &Op) -> bool {
        let source = Ty(op.aux as u8);
        if source.bits() > 64 {
            if op.ty.bits() > 64 {
                return false;
            }
            self.half(op, Code::Lo64);
            self.vals[op.dst as usize].clean = false;
            match self.loc(op.dst) {
                Loc::Const(v) => self.vals[op.dst as usize].loc = Loc::Const(v & u64::MAX >> (64 - op.ty.bits())),
                Loc::Gpr(r) if op.ty == Ty::I1 => {
                    self.asm.alu_ri(Alu::And, Size::D, r, 1);
                    self.clobbered();
                    self.vals[op.dst as usize].clean = true;
                }
                _ => {}
            }
            return true;
        }
        match self.loc(op.a) {
            Loc::Const(v) => {
                let bits = op.ty.bits();
                self.vals[op.dst as usize].loc = Loc::Const(if bits == 64 { v } else { v & ((1 << bits) - 1) });
            }
            Loc::Pin(p) if op.ty != Ty::I1 => {
                self.vals[op.dst as usize].loc = Loc::Pin(p);
                self.aliases.push(op.dst);
            }
            // It is a floating-point number most likely.
            Loc::Xmm(x) if op.ty == Ty::I32 => {
                self.xlock(x);
                let d = self.over(op.a, x);
                self.copy(d, x);
                self.xown(op.dst, d);
            }
            Loc::State(off) if op.ty != Ty::I1 => {
                self.vals[op.dst as usize].loc = Loc::State(off);
                self.aliases.push(op.dst);
            }
            _ => {
                let r = self.gpr(op.a);
                let backing = self.vals[op.a as usize].backing;
                if op.ty == Ty::I1 {
                    let t = self.temp();
                    self.asm.mov_rr(Size::D, t, r);
                    self.asm.alu_ri(Alu::And, Size::D, t, 1);
                    self.clobbered();
                    self.done(op.dst, t, true);
                } else if self.loc(op.a) == Loc::Gpr(r) && self.dies(op.a) {
                    self.give_up(op.a);
                    self.own(op.dst, r, false);
                } else {
                    let t = self.temp();
                    self.asm.mov_rr(Size::Q, t, r);
                    self.own(op.dst, t, false);
                }
                if op.ty != Ty::I1 && backing != NONE {
                    // Its low bits are where the whole is.
                    self.vals[op.dst as usize].backing = backing;
                    self.aliases.push(op.dst);
                }
            }
        }
        true
    }
}
