//! Translation of RV64 instructions to IR: one file per decode table, the vocabulary that they share here.
//!
//! Rules: registers are set after the last op of an instruction that can fault; an instruction that ends the block calls [`Translator::end`]
//! after appending the op that does; what the block's mode key says is constant (privilege, views, frm).

mod atomic;
mod bits;
mod crypto;
mod float;
mod integer;
mod known;
mod system;
#[cfg(test)]
mod tests;

use crate::Riscv64;
use crate::decode::{self, Decode, Row, Status};
use crate::feature::Feature;
use crate::helper::{HelperId, system as helper};
use crate::mode::ModeKey;
use crate::state::offset;
use crate::trap::cause;
use emu_plugins_api::ir::{Code, Ir, IrBuf, MemFlags, Shape, Ty, Val, exit};
use emu_plugins_api::{BlockInfo, BlockRequest};

/// Translates one block.
pub struct Translator<'a> {
    /// Where ops go.
    pub ir: Ir<'a>,
    /// The machine's CPU model.
    pub arch: &'a Riscv64,
    /// The mode that the block is translated for.
    pub key: ModeKey,
    /// Address of the current instruction.
    pub pc: u64,
    /// The current instruction.
    pub insn: u32,
    ended: bool,
    known: known::Known,
}

/// 64 bits.
pub const D: Ty = Ty::I64;
/// 32 bits.
pub const W: Ty = Ty::I32;

/// Translates a block into `buf`.
pub fn translate(arch: &Riscv64, request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo {
    let mut t =
        Translator { ir: Ir::new(buf), arch, key: ModeKey(request.mode_key), pc: request.pc, insn: 0, ended: false, known: known::Known::default() };
    let code = request.code.get();
    let mut info = BlockInfo::default();
    if t.key.straddle() != 0 {
        return straddling(&mut t, code);
    }
    while info.insns < request.max_insns {
        let at = info.bytes as usize;
        t.pc = request.pc.wrapping_add(at as u64);
        let Some(low) = code.get(at..at + 2) else { break };
        let low = u16::from_le_bytes([low[0], low[1]]);
        let insn = match (low & 3 == 3, code.get(at + 2..at + 4)) {
            (false, _) => u32::from(low),
            (true, Some(high)) => u32::from(low) | u32::from(u16::from_le_bytes([high[0], high[1]])) << 16,
            // It goes on in the next page: a block of its own, made when the second half is known.
            (true, None) if info.insns != 0 => break,
            // It usually is what the host guesses: a second step carries that out, if the first finds it so.
            (true, None) if request.max_insns >= 2 && request.next_page.get().len() >= 2 => {
                let next = request.next_page.get();
                let high = u16::from_le_bytes([next[0], next[1]]);
                t.ir.insn_start(t.pc, 0);
                if arch.runs_linux_programs() {
                    // Programs may read what they may execute; the page before one that may not be executed any more is translated again.
                    let at = t.ir.address(t.pc.wrapping_add(2));
                    let flags = t.mem();
                    let found = t.ir.load(Ty::I16, at, 0, flags);
                    let expected = t.ir.iconst(Ty::I16, high.into());
                    let same = t.ir.eq(Ty::I16, found, expected);
                    let on = t.ir.new_label();
                    t.ir.brif(same, on);
                    t.call(helper::STRADDLE, &[], helper::NO_HALF);
                    t.ir.label(on);
                } else {
                    t.call(helper::STRADDLE_IF_NOT, &[], high.into());
                }
                t.begin(u32::from(low) | u32::from(high) << 16);
                if !t.ended {
                    let next = t.next_pc();
                    t.ir.goto(next, false);
                }
                return BlockInfo { bytes: 2, insns: 2, ..info };
            }
            (true, None) => {
                t.ir.insn_start(t.pc, 0);
                t.call_and_end(helper::STRADDLE, &[], helper::NO_HALF);
                return BlockInfo { bytes: 2, insns: 1, ..info };
            }
        };
        t.begin(insn);
        info.bytes += t.length();
        info.insns += 1;
        if t.ended {
            return info;
        }
    }
    let next = request.pc.wrapping_add(u64::from(info.bytes));
    t.ir.goto(next, false);
    info
}

/// The block of one instruction across pages: its second half is in the key, which is an ordinary one again wherever it goes.
fn straddling(t: &mut Translator<'_>, code: &[u8]) -> BlockInfo {
    let low = u32::from(u16::from_le_bytes([code.first().copied().unwrap_or(0), code.get(1).copied().unwrap_or(0)]));
    let insn = low | t.key.upper_half() << 16;
    let first = t.ir.buf().len();
    t.begin(insn);
    if !t.ended {
        let next = t.next_pc();
        t.ir.goto(next, false);
    }
    rewrite_exits(t, first);
    BlockInfo { bytes: 2, insns: 1, ..BlockInfo::default() }
}

/// Makes every way out of the ops from `first` on take the half out of the mode key and go by the dispatcher. Ways out by helpers and faults
/// compute the key anew.
fn rewrite_exits(t: &mut Translator<'_>, first: usize) {
    let half = ModeKey(0).with_straddle(1).with_upper_half(0xffff);
    let ops = t.ir.buf().ops()[first..].to_vec();
    t.ir.buf().truncate(first);
    for op in ops {
        let plain = |t: &mut Translator<'_>| {
            let key = t.ir.get(D, Shape::SCALAR, offset::MODE_KEY);
            let half = t.ir.c64(half.0);
            let key = t.ir.andn(D, key, half);
            t.ir.set(D, Shape::SCALAR, offset::MODE_KEY, key);
        };
        match op.opcode() {
            Some(Code::Goto) => {
                plain(t);
                t.ir.exit(op.imm, exit::LOOKUP);
            }
            Some(Code::Jump) => {
                plain(t);
                t.ir.exit_jump(Val(op.a), exit::LOOKUP);
            }
            Some(Code::Exit | Code::ExitJump) => {
                plain(t);
                t.ir.emit(op);
            }
            Some(Code::Branch) => {
                let (taken, on) = (t.ir.new_label(), t.ir.new_label());
                t.ir.brif(Val(op.a), taken);
                t.ir.br(on);
                t.ir.label(taken);
                plain(t);
                t.ir.exit(op.imm, exit::LOOKUP);
                t.ir.label(on);
            }
            _ => t.ir.emit(op),
        }
    }
}

impl Decode for Translator<'_> {
    type Output = ();
    fn has(&self, feature: Feature) -> bool {
        self.arch.has(feature)
    }
    fn unallocated(&mut self, _insn: u32) {
        self.illegal();
    }
    fn gated_off(&mut self, insn: u32, row: &'static Row) {
        // No model has what is not implemented; that somebody asks for it is worth a word.
        if matches!(row.status, Status::Unimplemented(_)) {
            self.arch.log_unimplemented(self.pc, insn, row);
        }
        self.illegal();
    }
    fn unimplemented(&mut self, insn: u32, row: &'static Row) {
        self.arch.log_unimplemented(self.pc, insn, row);
        self.illegal();
    }
}

impl Translator<'_> {
    fn begin(&mut self, insn: u32) {
        self.insn = insn;
        self.ir.insn_start(self.pc, insn);
        decode::decode(self, insn);
    }
    /// Bytes of the current instruction.
    pub fn length(&self) -> u32 {
        if self.insn & 3 == 3 { 4 } else { 2 }
    }
    /// The block ends with the ops appended so far.
    pub fn end(&mut self) {
        self.ended = true;
    }
    /// Address of the next instruction.
    pub fn next_pc(&self) -> u64 {
        self.pc.wrapping_add(u64::from(self.length()))
    }
    /// Calls a helper.
    pub fn call(&mut self, helper: HelperId, args: &[Val], imm: u64) -> Val {
        self.forget();
        self.ir.call(helper.0, args, imm)
    }
    /// Calls a helper that always leaves the block, and ends it.
    pub fn call_and_end(&mut self, helper: HelperId, args: &[Val], imm: u64) {
        self.call(helper, args, imm);
        let next = self.next_pc();
        self.ir.exit(next, exit::LOOKUP);
        self.end();
    }
    /// An exception of this instruction.
    pub fn exception(&mut self, cause: u64, value: u64) {
        let (cause, value) = (self.ir.c64(cause), self.ir.c64(value));
        self.call_and_end(helper::EXCEPTION, &[cause, value], 0);
    }
    /// An exception of this instruction whose value is an address near it.
    pub fn exception_at(&mut self, cause: u64, address: u64) {
        let (cause, value) = (self.ir.c64(cause), self.ir.address(address));
        self.call_and_end(helper::EXCEPTION, &[cause, value], 0);
    }
    /// The instruction is illegal.
    pub fn illegal(&mut self) {
        self.exception(cause::ILLEGAL, self.insn.into());
    }
    /// Ends the block so that changed mode, interrupts and translations are looked at, next at the following instruction.
    pub fn end_and_look(&mut self) {
        let next = self.next_pc();
        self.ir.exit(next, exit::LOOKUP);
        self.end();
    }
    /// Flags of an ordinary data access at the current privilege.
    pub fn mem(&self) -> MemFlags {
        MemFlags::view(self.key.view())
    }
    /// The integer type of so many bytes as log2.
    pub fn size_ty(size: u32) -> Ty {
        [Ty::I8, Ty::I16, Ty::I32, Ty::I64, Ty::I128][size as usize & 7]
    }
}
