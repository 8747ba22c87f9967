//! The builder that targets use: one short method for each common op, three general ones for the rest.

use crate::{Code, IrBuf, MemFlags, NONE, Op, Shape, Ty, Width, verify};

/// A value: its first slot.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Val(pub u32);

/// A label inside a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelId(pub u32);

/// Appends ops to a buffer.
pub struct Ir<'a> {
    buf: &'a mut IrBuf,
}

macro_rules! scalar_binary {
    ($($(#[$doc:meta])* $name:ident $code:ident;)*) => { $(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self, ty: Ty, a: Val, b: Val) -> Val { self.bin(Code::$code, ty, Shape::SCALAR, a, b) }
    )* };
}
macro_rules! compare {
    ($($(#[$doc:meta])* $name:ident $code:ident;)*) => { $(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self, ty: Ty, a: Val, b: Val) -> Val {
            let dst = self.slot(Width::Bits(1));
            self.emit(Op { dst, a: a.0, b: b.0, ..blank(Code::$code, ty, Shape::SCALAR) });
            Val(dst)
        }
    )* };
}
macro_rules! scalar_unary {
    ($($(#[$doc:meta])* $name:ident $code:ident;)*) => { $(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self, ty: Ty, a: Val) -> Val { self.un(Code::$code, ty, Shape::SCALAR, a) }
    )* };
}

#[inline]
fn blank(code: Code, ty: Ty, shape: Shape) -> Op {
    Op { code: code as u16, ty, shape, dst: NONE, a: NONE, b: NONE, c: NONE, aux: 0, imm: 0 }
}

impl<'a> Ir<'a> {
    /// A builder that appends to `buf`.
    pub fn new(buf: &'a mut IrBuf) -> Ir<'a> {
        Ir { buf }
    }
    /// The buffer.
    pub fn buf(&mut self) -> &mut IrBuf {
        self.buf
    }
    /// Length in bytes of a `vl` vector in this block.
    pub fn vl(&self) -> u32 {
        self.buf.vl
    }
    #[inline]
    fn slot(&mut self, width: Width) -> u32 {
        let slot = self.buf.next_slot;
        self.buf.next_slot += width.slots(self.buf.vl);
        slot
    }
    /// Appends a record whose slots the caller has filled in.
    #[inline]
    pub fn emit(&mut self, op: Op) {
        self.buf.push(op);
    }
    /// Appends any op with a result: `operands` in order, [`NONE`]'s place for absent ones is at the end. The result's width is the row's.
    #[inline]
    pub fn op(&mut self, code: Code, ty: Ty, shape: Shape, operands: &[Val], aux: u32, imm: u64) -> Val {
        let mut op = Op { aux, imm, ..blank(code, ty, shape) };
        op.a = operands.first().map_or(NONE, |v| v.0);
        op.b = operands.get(1).map_or(NONE, |v| v.0);
        op.c = operands.get(2).map_or(NONE, |v| v.0);
        if let Some(width) = verify::result_width(&op) {
            op.dst = self.slot(width);
        }
        let dst = op.dst;
        self.emit(op);
        Val(dst)
    }
    /// One operand, result of the op's type and shape.
    #[inline]
    pub fn un(&mut self, code: Code, ty: Ty, shape: Shape, a: Val) -> Val {
        let dst = self.slot(Width::of(ty, shape));
        self.emit(Op { dst, a: a.0, ..blank(code, ty, shape) });
        Val(dst)
    }
    /// Two operands, result of the op's type and shape.
    #[inline]
    pub fn bin(&mut self, code: Code, ty: Ty, shape: Shape, a: Val, b: Val) -> Val {
        let dst = self.slot(Width::of(ty, shape));
        self.emit(Op { dst, a: a.0, b: b.0, ..blank(code, ty, shape) });
        Val(dst)
    }

    /// A guest instruction begins at `pc`.
    #[inline]
    pub fn insn_start(&mut self, pc: u64, info: u32) {
        self.emit(Op { aux: info, imm: pc, ..blank(Code::InsnStart, Ty::I64, Shape::SCALAR) });
    }
    /// A constant of up to 64 bits; bits above the type's width are dropped.
    #[inline]
    pub fn iconst(&mut self, ty: Ty, value: u64) -> Val {
        let dst = self.slot(Width::of(ty, Shape::SCALAR));
        let bits = ty.bits();
        let imm = if bits < 64 { value & ((1 << bits) - 1) } else { value };
        self.emit(Op { dst, imm, ..blank(Code::Const, ty, Shape::SCALAR) });
        Val(dst)
    }
    /// A 64-bit constant.
    #[inline]
    pub fn c64(&mut self, value: u64) -> Val {
        self.iconst(Ty::I64, value)
    }
    /// A guest address that depends on the program counter; see the row of the op.
    #[inline]
    pub fn address(&mut self, value: u64) -> Val {
        let dst = self.slot(Width::Bits(64));
        self.emit(Op { dst, imm: value, ..blank(Code::Address, Ty::I64, Shape::SCALAR) });
        Val(dst)
    }
    /// A 128-bit constant.
    pub fn const128(&mut self, value: u128) -> Val {
        let dst = self.slot(Width::Bits(128));
        let hi = (value >> 64) as u64;
        self.emit(Op { dst, a: hi as u32, b: (hi >> 32) as u32, imm: value as u64, ..blank(Code::Const128, Ty::I128, Shape::SCALAR) });
        Val(dst)
    }
    /// Reads a state field.
    #[inline]
    pub fn get(&mut self, ty: Ty, shape: Shape, offset: u32) -> Val {
        let dst = self.slot(Width::of(ty, shape));
        self.emit(Op { dst, imm: u64::from(offset), ..blank(Code::Get, ty, shape) });
        Val(dst)
    }
    /// Writes a state field.
    #[inline]
    pub fn set(&mut self, ty: Ty, shape: Shape, offset: u32, a: Val) {
        self.emit(Op { a: a.0, imm: u64::from(offset), ..blank(Code::Set, ty, shape) });
    }

    scalar_binary! {
        /// a + b.
        add Add;
        /// a - b.
        sub Sub;
        /// a * b.
        mul Mul;
        /// a & b.
        and And;
        /// a | b.
        or Or;
        /// a ^ b.
        xor Xor;
        /// a & !b.
        andn AndNot;
        /// a | !b.
        orn OrNot;
        /// Left shift, amount modulo the width.
        shl Shl;
        /// Logical right shift, amount modulo the width.
        lshr LShr;
        /// Arithmetic right shift, amount modulo the width.
        ashr AShr;
        /// Right rotation, amount modulo the width.
        rotr RotR;
        /// High half of the unsigned product.
        mulhu MulHiU;
        /// High half of the signed product.
        mulhs MulHiS;
        /// Unsigned quotient.
        udiv UDiv;
        /// Signed quotient.
        sdiv SDiv;
        /// Signed maximum.
        smax SMax;
        /// Signed minimum.
        smin SMin;
        /// Unsigned maximum.
        umax UMax;
        /// Unsigned minimum.
        umin UMin;
    }
    scalar_unary! {
        /// !a.
        not Not;
        /// 0 - a.
        neg Neg;
        /// |a|.
        abs Abs;
        /// Leading zeroes.
        clz Clz;
        /// Leading sign bits less one.
        cls Cls;
        /// Trailing zeroes.
        ctz Ctz;
        /// Ones.
        cnt Cnt;
        /// Bits reversed.
        rbit RBit;
        /// Bytes reversed.
        bswap BSwap;
    }
    compare! {
        /// a == b.
        eq CmpEq;
        /// a != b.
        ne CmpNe;
        /// Unsigned a < b.
        ult CmpUlt;
        /// Unsigned a <= b.
        ule CmpUle;
        /// Signed a < b.
        slt CmpSlt;
        /// Signed a <= b.
        sle CmpSle;
        /// Signed overflow of a - b.
        sub_overflow SubOverflow;
    }
    fn carry_like(&mut self, code: Code, ty: Ty, width: Width, a: Val, b: Val, c: Val) -> Val {
        let dst = self.slot(width);
        self.emit(Op { dst, a: a.0, b: b.0, c: c.0, ..blank(code, ty, Shape::SCALAR) });
        Val(dst)
    }
    /// a + b + carry.
    pub fn adc(&mut self, ty: Ty, a: Val, b: Val, carry: Val) -> Val {
        self.carry_like(Code::Adc, ty, Width::Bits(ty.bits()), a, b, carry)
    }
    /// Carry out of a + b + carry.
    pub fn carry(&mut self, ty: Ty, a: Val, b: Val, carry: Val) -> Val {
        self.carry_like(Code::CarryOut, ty, Width::Bits(1), a, b, carry)
    }
    /// Signed overflow of a + b + carry.
    pub fn overflow(&mut self, ty: Ty, a: Val, b: Val, carry: Val) -> Val {
        self.carry_like(Code::Overflow, ty, Width::Bits(1), a, b, carry)
    }
    /// cond ? a : b.
    pub fn select(&mut self, ty: Ty, cond: Val, a: Val, b: Val) -> Val {
        self.carry_like(Code::Select, ty, Width::Bits(ty.bits()), a, b, cond)
    }
    fn convert(&mut self, code: Code, to: Ty, from: Ty, a: Val) -> Val {
        let dst = self.slot(Width::Bits(to.bits()));
        self.emit(Op { dst, a: a.0, aux: u32::from(from.0), ..blank(code, to, Shape::SCALAR) });
        Val(dst)
    }
    /// Zero extension (the value itself when the types are equal).
    pub fn zext(&mut self, to: Ty, from: Ty, a: Val) -> Val {
        if to == from { a } else { self.convert(Code::ZExt, to, from, a) }
    }
    /// Sign extension (the value itself when the types are equal).
    pub fn sext(&mut self, to: Ty, from: Ty, a: Val) -> Val {
        if to == from { a } else { self.convert(Code::SExt, to, from, a) }
    }
    /// Truncation (the value itself when the types are equal).
    pub fn trunc(&mut self, to: Ty, from: Ty, a: Val) -> Val {
        if to == from { a } else { self.convert(Code::Trunc, to, from, a) }
    }
    fn field(&mut self, code: Code, ty: Ty, a: Val, b: u32, lsb: u32, len: u32) -> Val {
        let dst = self.slot(Width::Bits(ty.bits()));
        self.emit(Op { dst, a: a.0, b, aux: lsb | len << 8, ..blank(code, ty, Shape::SCALAR) });
        Val(dst)
    }
    /// Bits lsb..lsb+len, zero-extended.
    pub fn extract(&mut self, ty: Ty, a: Val, lsb: u32, len: u32) -> Val {
        self.field(Code::Extract, ty, a, NONE, lsb, len)
    }
    /// Bits lsb..lsb+len, sign-extended.
    pub fn sextract(&mut self, ty: Ty, a: Val, lsb: u32, len: u32) -> Val {
        self.field(Code::SExtract, ty, a, NONE, lsb, len)
    }
    /// `a` with bits lsb..lsb+len taken from `b`.
    pub fn deposit(&mut self, ty: Ty, a: Val, b: Val, lsb: u32, len: u32) -> Val {
        self.field(Code::Deposit, ty, a, b.0, lsb, len)
    }
    /// Low half of (high:low) >> amount.
    pub fn concat_shr(&mut self, ty: Ty, high: Val, low: Val, amount: u32) -> Val {
        let dst = self.slot(Width::Bits(ty.bits()));
        self.emit(Op { dst, a: high.0, b: low.0, aux: amount, ..blank(Code::ConcatShr, ty, Shape::SCALAR) });
        Val(dst)
    }
    /// 128 bits from two halves.
    pub fn pair(&mut self, low: Val, high: Val) -> Val {
        let dst = self.slot(Width::Bits(128));
        self.emit(Op { dst, a: low.0, b: high.0, ..blank(Code::Pair, Ty::I128, Shape::SCALAR) });
        Val(dst)
    }
    /// Low half of 128 bits.
    pub fn lo64(&mut self, a: Val) -> Val {
        let dst = self.slot(Width::Bits(64));
        self.emit(Op { dst, a: a.0, ..blank(Code::Lo64, Ty::I128, Shape::SCALAR) });
        Val(dst)
    }
    /// High half of 128 bits.
    pub fn hi64(&mut self, a: Val) -> Val {
        let dst = self.slot(Width::Bits(64));
        self.emit(Op { dst, a: a.0, ..blank(Code::Hi64, Ty::I128, Shape::SCALAR) });
        Val(dst)
    }

    /// Loads from `addr + offset`.
    #[inline]
    pub fn load(&mut self, ty: Ty, addr: Val, offset: i64, flags: MemFlags) -> Val {
        let dst = self.slot(Width::Bits(ty.bits()));
        self.emit(Op { dst, a: addr.0, aux: flags.0, imm: offset as u64, ..blank(Code::Load, ty, Shape::SCALAR) });
        Val(dst)
    }
    /// Stores to `addr + offset`.
    #[inline]
    pub fn store(&mut self, ty: Ty, addr: Val, offset: i64, value: Val, flags: MemFlags) {
        self.emit(Op { a: addr.0, b: value.0, aux: flags.0, imm: offset as u64, ..blank(Code::Store, ty, Shape::SCALAR) });
    }
    /// Compare and swap; the result is the old value.
    pub fn cas(&mut self, ty: Ty, addr: Val, expected: Val, new: Val, flags: MemFlags) -> Val {
        self.op(Code::Cas, ty, Shape::SCALAR, &[addr, expected, new], flags.0, 0)
    }
    /// Atomic read-modify-write (`rmw::` kind); the result is the old value.
    pub fn rmw(&mut self, kind: u64, ty: Ty, addr: Val, value: Val, flags: MemFlags) -> Val {
        self.op(Code::Rmw, ty, Shape::SCALAR, &[addr, value], flags.0, kind)
    }
    /// Load-exclusive.
    pub fn load_ex(&mut self, ty: Ty, addr: Val, flags: MemFlags) -> Val {
        self.op(Code::LoadEx, ty, Shape::SCALAR, &[addr], flags.0, 0)
    }
    /// Store-exclusive; the result is true on failure.
    pub fn store_ex(&mut self, ty: Ty, addr: Val, value: Val, flags: MemFlags) -> Val {
        self.op(Code::StoreEx, ty, Shape::SCALAR, &[addr, value], flags.0, 0)
    }
    /// Closes the exclusive monitor.
    pub fn clrex(&mut self) {
        self.emit(blank(Code::ClrEx, Ty::I64, Shape::SCALAR));
    }
    /// Orders memory accesses (`fence::` bits).
    pub fn fence(&mut self, bits: u32) {
        self.emit(Op { aux: bits, ..blank(Code::Fence, Ty::I64, Shape::SCALAR) });
    }
    /// Calls helper number `helper` with up to three values and a constant.
    pub fn call(&mut self, helper: u32, args: &[Val], imm: u64) -> Val {
        self.op(Code::Call, Ty::I64, Shape::SCALAR, args, helper, imm)
    }

    /// A new label, to be placed once, after every branch to it.
    pub fn new_label(&mut self) -> LabelId {
        let id = self.buf.next_label;
        self.buf.next_label += 1;
        LabelId(id)
    }
    /// Places a label.
    pub fn label(&mut self, label: LabelId) {
        self.emit(Op { imm: u64::from(label.0), ..blank(Code::Label, Ty::I64, Shape::SCALAR) });
    }
    /// Branches to a label further down if `cond`.
    pub fn brif(&mut self, cond: Val, label: LabelId) {
        self.emit(Op { a: cond.0, imm: u64::from(label.0), ..blank(Code::BrIf, Ty::I1, Shape::SCALAR) });
    }
    /// Branches to a label further down.
    pub fn br(&mut self, label: LabelId) {
        self.emit(Op { imm: u64::from(label.0), ..blank(Code::Br, Ty::I64, Shape::SCALAR) });
    }
    /// Ends the block; the next instruction is at `pc`.
    pub fn goto(&mut self, pc: u64, call: bool) {
        self.emit(Op { imm: pc, aux: u32::from(call), ..blank(Code::Goto, Ty::I64, Shape::SCALAR) });
    }
    /// Leaves the block for `pc` if `cond`.
    pub fn branch(&mut self, cond: Val, pc: u64) {
        self.emit(Op { a: cond.0, imm: pc, ..blank(Code::Branch, Ty::I1, Shape::SCALAR) });
    }
    /// Ends the block at the address `target`; `kind`: 0 plain, 1 call, 2 return.
    pub fn jump(&mut self, target: Val, kind: u32) {
        self.emit(Op { a: target.0, aux: kind, ..blank(Code::Jump, Ty::I64, Shape::SCALAR) });
    }
    /// Ends the block by way of the dispatcher (`exit::` reason), next at `pc`.
    pub fn exit(&mut self, pc: u64, reason: u32) {
        self.emit(Op { imm: pc, aux: reason, ..blank(Code::Exit, Ty::I64, Shape::SCALAR) });
    }
    /// Ends the block by way of the dispatcher, next at the address `target`.
    pub fn exit_jump(&mut self, target: Val, reason: u32) {
        self.emit(Op { a: target.0, aux: reason, ..blank(Code::ExitJump, Ty::I64, Shape::SCALAR) });
    }
}
