//! Translation of A64 to IR: one file per decode table, the vocabulary that they share here.
//!
//! Rules: registers are set after the last op of an instruction that can fault; an instruction that ends the block calls [`Translator::end`]
//! after appending the op that does; what the block's mode key says is constant (FPCR fields, EL, views, alignment checks).

mod atomic;
mod branch_sys;
mod crypto;
mod dpimm;
mod dpreg;
mod fp;
mod ldst;
mod mops;
mod pauth;
mod simd_elem;
mod simd_ldst;
mod simd_shift;
#[cfg(test)]
mod simd_tests;
mod simd_three;
mod simd_two;
#[cfg(test)]
mod tests;
mod vector;

pub(crate) use dpimm::decode_bit_mask;

use crate::Aarch64;
use crate::decode::{self, Decode, Row};
use crate::feature::Feature;
use crate::helper::{HelperId, system};
use crate::mode::ModeKey;
use crate::state::offset;
use emu_plugins_api::ir::{Ir, IrBuf, MemFlags, Shape, Ty, Val, exit};
use emu_plugins_api::{BlockInfo, BlockRequest};

/// Translates one block.
pub struct Translator<'a> {
    /// Where ops go.
    pub ir: Ir<'a>,
    /// The machine's CPU model.
    pub arch: &'a Aarch64,
    /// The mode that the block is translated for.
    pub key: ModeKey,
    /// Address of the current instruction.
    pub pc: u64,
    /// The current instruction.
    pub insn: u32,
    /// `attr::` bits of the page.
    pub page_attrs: u32,
    /// SP is known to be a multiple of 16 on every way to here, so that CheckSPAlignment has nothing to find.
    sp_aligned: bool,
    ended: bool,
}

/// Translates a block into `buf`.
pub fn translate(arch: &Aarch64, request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo {
    let mut t = Translator {
        ir: Ir::new(buf),
        arch,
        key: ModeKey(request.mode_key),
        pc: request.pc,
        insn: 0,
        page_attrs: request.page_attrs,
        sp_aligned: false,
        ended: false,
    };
    let code = request.code.get();
    let mut info = BlockInfo::default();
    if request.pc & 3 != 0 {
        t.ir.insn_start(t.pc, 0);
        t.call_and_end(system::PC_ALIGNMENT, &[], 0);
        return BlockInfo { bytes: code.len().min(4) as u32, insns: 1, ..info };
    }
    // Under software step a block is one instruction; a block that changes its own key must not be chained by that key.
    let stepping = t.key.step() & 1 != 0;
    let first_op = t.ir.buf().len();
    let max_insns = if stepping { 1 } else { request.max_insns as usize };
    for word in code.chunks_exact(4).take(max_insns) {
        t.insn = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        t.pc = request.pc.wrapping_add(u64::from(info.bytes));
        t.ir.insn_start(t.pc, t.insn);
        info.bytes += 4;
        info.insns += 1;
        if !t.begin_insn(info.insns == 1) {
            break;
        }
        let insn = t.insn;
        decode::decode(&mut t, insn);
        if t.ended {
            break;
        }
    }
    if !t.ended {
        let next = request.pc.wrapping_add(u64::from(info.bytes));
        t.ir.goto(next, false);
    }
    if stepping || ModeKey(request.mode_key).btype() != 0 {
        crate::exception::step::rewrite_exits(&mut t, first_op, stepping);
    }
    info
}

impl Decode for Translator<'_> {
    type Output = ();
    fn has(&self, feature: Feature) -> bool {
        self.arch.has(feature)
    }
    fn unallocated(&mut self, _insn: u32) {
        self.undefined();
    }
    fn unimplemented(&mut self, insn: u32, row: &'static Row) {
        self.arch.log_unimplemented(self.pc, insn, row);
        self.undefined();
    }
}

#[cfg(test)]
impl<'a> Translator<'a> {
    /// A translator of single instructions for unit tests.
    pub(crate) fn for_tests(arch: &'a Aarch64, key: ModeKey, buf: &'a mut IrBuf) -> Translator<'a> {
        let mut t = Translator { ir: Ir::new(buf), arch, key, pc: 0x1000, insn: 0, page_attrs: 0, sp_aligned: false, ended: false };
        t.ir.insn_start(0x1000, 0);
        t
    }
}

impl Translator<'_> {
    /// What comes before every instruction: illegal state, software step, BTYPE. False if the instruction must not be translated.
    fn begin_insn(&mut self, first: bool) -> bool {
        if first && (self.key.illegal() != 0 || self.key.btype() != 0 || self.key.step() & 1 != 0) {
            return crate::exception::begin_block(self);
        }
        true
    }
    /// The block ends with the ops appended so far.
    pub fn end(&mut self) {
        self.ended = true;
    }
    /// True once an instruction has ended the block.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
    /// Address of the next instruction.
    pub fn next_pc(&self) -> u64 {
        self.pc.wrapping_add(4)
    }
    /// Calls a helper.
    pub fn call(&mut self, helper: HelperId, args: &[Val], imm: u64) -> Val {
        self.ir.call(helper.0, args, imm)
    }
    /// Calls a helper that always leaves the block (an exception), and ends it.
    pub fn call_and_end(&mut self, helper: HelperId, args: &[Val], imm: u64) {
        self.call(helper, args, imm);
        let next = self.next_pc();
        self.ir.exit(next, exit::LOOKUP);
        self.end();
    }
    /// The instruction is UNDEFINED.
    pub fn undefined(&mut self) {
        self.call_and_end(system::UNDEFINED, &[], u64::from(self.insn));
    }
    /// Ends the block so that changed mode, interrupts and translations are looked at, next at the following instruction.
    pub fn end_and_look(&mut self) {
        let next = self.next_pc();
        self.ir.exit(next, exit::LOOKUP);
        self.end();
    }
    /// Ends the block with a jump to the following instruction: it is found by its address and the mode as it is then, and requests are looked
    /// for. That is less than [`end_and_look`](Self::end_and_look), which also looks for interrupts that have just been unmasked.
    pub fn end_and_find(&mut self) {
        let next = self.next_pc();
        let next = self.ir.address(next);
        self.ir.jump(next, 0);
        self.end();
    }
    /// True if the model implements a feature.
    pub fn feature(&self, feature: Feature) -> bool {
        self.arch.has(feature)
    }

    /// X[n], or zero for 31.
    pub fn x(&mut self, n: u32) -> Val {
        if n == 31 { self.ir.c64(0) } else { self.ir.get(Ty::I64, Shape::SCALAR, offset::x(n)) }
    }
    /// W[n], or zero for 31.
    pub fn w(&mut self, n: u32) -> Val {
        if n == 31 { self.ir.iconst(Ty::I32, 0) } else { self.ir.get(Ty::I32, Shape::SCALAR, offset::x(n)) }
    }
    /// X[n], or the stack pointer for 31.
    pub fn x_sp(&mut self, n: u32) -> Val {
        self.ir.get(Ty::I64, Shape::SCALAR, offset::x(n))
    }
    /// W[n], or the low half of the stack pointer for 31.
    pub fn w_sp(&mut self, n: u32) -> Val {
        self.ir.get(Ty::I32, Shape::SCALAR, offset::x(n))
    }
    /// Writes X[n]; 31 is discarded.
    pub fn set_x(&mut self, n: u32, v: Val) {
        if n != 31 {
            self.ir.set(Ty::I64, Shape::SCALAR, offset::x(n), v);
        }
    }
    /// Writes W[n], zero-extended; 31 is discarded.
    pub fn set_w(&mut self, n: u32, v: Val) {
        if n != 31 {
            let x = self.ir.zext(Ty::I64, Ty::I32, v);
            self.set_x(n, x);
        }
    }
    /// Writes X[n], or the stack pointer for 31.
    pub fn set_x_sp(&mut self, n: u32, v: Val) {
        self.sp_aligned &= n != 31;
        self.ir.set(Ty::I64, Shape::SCALAR, offset::x(n), v);
    }
    /// Writes X[n], or the stack pointer for 31, which has been changed by so many bytes.
    pub fn set_base(&mut self, n: u32, v: Val, change: u64) {
        let aligned = self.sp_aligned && change & 15 == 0;
        self.set_x_sp(n, v);
        self.sp_aligned |= aligned;
    }
    /// The integer type of `sf`.
    pub fn ty(sf: u32) -> Ty {
        if sf == 1 { Ty::I64 } else { Ty::I32 }
    }
    /// X[n] or W[n] by `sf`, zero for 31.
    pub fn r(&mut self, sf: u32, n: u32) -> Val {
        if sf == 1 { self.x(n) } else { self.w(n) }
    }
    /// X[n] or W[n] by `sf`, the stack pointer for 31.
    pub fn r_sp(&mut self, sf: u32, n: u32) -> Val {
        if sf == 1 { self.x_sp(n) } else { self.w_sp(n) }
    }
    /// Writes X[n] or W[n] by `sf`.
    pub fn set_r(&mut self, sf: u32, n: u32, v: Val) {
        if sf == 1 { self.set_x(n, v) } else { self.set_w(n, v) }
    }
    /// Writes X[n] or W[n] by `sf`, the stack pointer for 31.
    pub fn set_r_sp(&mut self, sf: u32, n: u32, v: Val) {
        let x = if sf == 1 { v } else { self.ir.zext(Ty::I64, Ty::I32, v) };
        self.set_x_sp(n, x);
    }
    /// A condition flag (`offset::NF` and the like), i1.
    pub fn flag(&mut self, flag: u32) -> Val {
        self.ir.get(Ty::I1, Shape::SCALAR, flag)
    }
    /// Writes a condition flag.
    pub fn set_flag(&mut self, flag: u32, v: Val) {
        self.ir.set(Ty::I1, Shape::SCALAR, flag, v);
    }
    /// Writes all four condition flags from i1 values.
    pub fn set_nzcv(&mut self, n: Val, z: Val, c: Val, v: Val) {
        self.set_flag(offset::NF, n);
        self.set_flag(offset::ZF, z);
        self.set_flag(offset::CF, c);
        self.set_flag(offset::VF, v);
    }
    /// Writes the condition flags from the constant NZCV (N is bit 3).
    pub fn set_nzcv_const(&mut self, nzcv: u32) {
        for (i, flag) in [offset::VF, offset::CF, offset::ZF, offset::NF].into_iter().enumerate() {
            let v = self.ir.iconst(Ty::I1, u64::from(nzcv >> i & 1));
            self.set_flag(flag, v);
        }
    }
    /// ConditionHolds(cond), i1.
    pub fn cond(&mut self, cond: u32) -> Val {
        let base = match cond >> 1 {
            0 => self.flag(offset::ZF),
            1 => self.flag(offset::CF),
            2 => self.flag(offset::NF),
            3 => self.flag(offset::VF),
            4 => {
                let (c, z) = (self.flag(offset::CF), self.flag(offset::ZF));
                self.ir.andn(Ty::I1, c, z)
            }
            5 => {
                let (n, v) = (self.flag(offset::NF), self.flag(offset::VF));
                self.ir.eq(Ty::I1, n, v)
            }
            6 => {
                let (n, v) = (self.flag(offset::NF), self.flag(offset::VF));
                let ge = self.ir.eq(Ty::I1, n, v);
                let z = self.flag(offset::ZF);
                self.ir.andn(Ty::I1, ge, z)
            }
            _ => return self.ir.iconst(Ty::I1, 1),
        };
        if cond & 1 == 1 { self.ir.not(Ty::I1, base) } else { base }
    }

    /// V[n], 128 bits.
    pub fn v(&mut self, n: u32) -> Val {
        self.ir.get(Ty::I128, Shape::SCALAR, offset::v(n & 31))
    }
    /// Element 0 of V[n], of the given width.
    pub fn v_low(&mut self, ty: Ty, n: u32) -> Val {
        self.ir.get(ty, Shape::SCALAR, offset::v(n & 31))
    }
    /// Writes V[n], 128 bits.
    pub fn set_v(&mut self, n: u32, v: Val) {
        self.ir.set(Ty::I128, Shape::SCALAR, offset::v(n & 31), v);
    }
    /// Writes a scalar of the given type to V[n], the rest of it zero.
    pub fn set_v_low(&mut self, ty: Ty, n: u32, v: Val) {
        let x = self.ir.zext(Ty::I64, ty.as_int(), v);
        let zero = self.ir.c64(0);
        self.ir.set(Ty::I64, Shape::SCALAR, offset::v(n & 31), x);
        self.ir.set(Ty::I64, Shape::SCALAR, offset::v(n & 31) + 8, zero);
    }
    /// The vector shape of Q.
    pub fn shape(q: u32) -> Shape {
        if q == 1 { Shape::V128 } else { Shape::V64 }
    }
    /// V[n] by Q: 128 or 64 bits.
    pub fn vq(&mut self, q: u32, n: u32) -> Val {
        if q == 1 { self.v(n) } else { self.v_low(Ty::I64, n) }
    }
    /// Writes V[n] by Q; the high half becomes zero when Q is 0.
    pub fn set_vq(&mut self, q: u32, n: u32, v: Val) {
        if q == 1 { self.set_v(n, v) } else { self.set_v_low(Ty::I64, n, v) }
    }
    /// CheckFPEnabled64: true if SIMD and floating-point instructions may execute; otherwise the trap has been appended and the block ended.
    pub fn fp_access(&mut self) -> bool {
        if self.key.fp_trap() & 1 == 0 {
            return true;
        }
        let el = self.key.fp_trap() >> 1;
        self.call_and_end(crate::exception::FP_TRAP, &[], u64::from(el));
        false
    }

    /// Flags of an ordinary data access at the current privilege.
    pub fn mem(&self) -> MemFlags {
        self.mem_view(self.key.view())
    }
    /// Flags of a data access in the given view, with the alignment check and endianness of the mode.
    pub fn mem_view(&self, view: u32) -> MemFlags {
        let mut f = MemFlags::view(view);
        if self.key.align_check() != 0 {
            f = f.with(MemFlags::ALIGNED);
        }
        if self.key.big_endian() != 0 {
            f = f.with(MemFlags::BIG_ENDIAN);
        }
        f
    }
    /// CheckSPAlignment if n is 31 and the mode asks for it; then the base address X[n] or SP.
    pub fn base_address(&mut self, n: u32) -> Val {
        let base = self.x_sp(n);
        if n == 31 && self.key.sp_check() != 0 && !self.sp_aligned {
            self.sp_aligned = true;
            let (low, zero) = (self.ir.c64(15), self.ir.c64(0));
            let low = self.ir.and(Ty::I64, base, low);
            let ok = self.ir.eq(Ty::I64, low, zero);
            let label = self.ir.new_label();
            self.ir.brif(ok, label);
            self.call(crate::exception::SP_ALIGNMENT, &[], 0);
            self.ir.label(label);
        }
        base
    }
}
