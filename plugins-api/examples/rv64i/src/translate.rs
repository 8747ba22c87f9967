//! From instructions to IR.

use crate::hart::{HELPER_CSR, HELPER_MRET, HELPER_TRAP, cause, x_offset};
use emu_plugins_api::ir::{Ir, IrBuf, MemFlags, Shape, Ty, Val, exit, fence};
use emu_plugins_api::{BlockInfo, BlockRequest};

/// An instruction word and its fields.
#[derive(Clone, Copy)]
struct Insn(u32);

impl Insn {
    fn rd(self) -> u32 {
        self.0 >> 7 & 31
    }
    fn rs1(self) -> u32 {
        self.0 >> 15 & 31
    }
    fn rs2(self) -> u32 {
        self.0 >> 20 & 31
    }
    fn funct3(self) -> u32 {
        self.0 >> 12 & 7
    }
    fn funct7(self) -> u32 {
        self.0 >> 25
    }
    fn imm_i(self) -> i64 {
        i64::from(self.0 as i32 >> 20)
    }
    fn imm_s(self) -> i64 {
        i64::from(self.0 as i32 >> 25 << 5) | i64::from(self.0 >> 7 & 31)
    }
    fn imm_b(self) -> i64 {
        let w = self.0;
        i64::from(w as i32 >> 31 << 12) | i64::from((w & 0x80) << 4 | w >> 20 & 0x7e0 | w >> 7 & 0x1e)
    }
    fn imm_u(self) -> i64 {
        i64::from(self.0 as i32 & !0xfff)
    }
    fn imm_j(self) -> i64 {
        let w = self.0;
        i64::from(w as i32 >> 31 << 20) | i64::from(w & 0xf_f000 | w >> 9 & 0x800 | w >> 20 & 0x7fe)
    }
}

/// How translation goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Ended,
}

/// Translates one block.
pub fn block(request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo {
    let mut t = Translator { ir: Ir::new(buf), pc: request.pc };
    let mut insns = 0;
    for word in request.code.get().chunks_exact(4).take(request.max_insns as usize) {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        t.ir.insn_start(t.pc, 0);
        insns += 1;
        let flow = t.insn(Insn(word)).unwrap_or_else(|| t.trap(cause::ILLEGAL, word.into()));
        t.pc = t.pc.wrapping_add(4);
        if flow == Flow::Ended {
            return BlockInfo { bytes: 4 * insns, insns, ..BlockInfo::default() };
        }
    }
    t.ir.goto(t.pc, false);
    BlockInfo { bytes: 4 * insns, insns, ..BlockInfo::default() }
}

struct Translator<'a> {
    ir: Ir<'a>,
    pc: u64,
}

const D: Ty = Ty::I64;
const W: Ty = Ty::I32;

impl Translator<'_> {
    fn get(&mut self, n: u32) -> Val {
        if n == 0 { self.ir.c64(0) } else { self.ir.get(D, Shape::SCALAR, x_offset(n)) }
    }
    fn set(&mut self, n: u32, value: Val) -> Option<Flow> {
        if n != 0 {
            self.ir.set(D, Shape::SCALAR, x_offset(n), value);
        }
        Some(Flow::Next)
    }
    fn next(&self) -> u64 {
        self.pc.wrapping_add(4)
    }
    /// The instruction ends in an exception.
    fn trap(&mut self, cause: u64, value: u64) -> Flow {
        let (cause, value) = (self.ir.c64(cause), self.ir.c64(value));
        self.ir.call(HELPER_TRAP, &[cause, value], 0);
        self.ir.exit(self.next(), exit::LOOKUP);
        Flow::Ended
    }

    /// `None`: no such instruction. Nothing has been appended then.
    fn insn(&mut self, i: Insn) -> Option<Flow> {
        match i.0 & 0x7f {
            0x37 => {
                let v = self.ir.c64(i.imm_u() as u64);
                self.set(i.rd(), v)
            }
            0x17 => {
                let v = self.ir.c64(self.pc.wrapping_add_signed(i.imm_u()));
                self.set(i.rd(), v)
            }
            0x6f => Some(self.jal(i)),
            0x67 if i.funct3() == 0 => Some(self.jalr(i)),
            0x63 => self.branch(i),
            0x03 => self.load(i),
            0x23 => self.store(i),
            0x13 | 0x1b | 0x33 | 0x3b => self.arithmetic(i),
            0x0f => match i.funct3() {
                0 => {
                    self.ir.fence(fence::ALL);
                    Some(Flow::Next)
                }
                // FENCE.I: translations follow stores by themselves; a new look-up sees them.
                1 => {
                    self.ir.exit(self.next(), exit::LOOKUP);
                    Some(Flow::Ended)
                }
                _ => None,
            },
            0x73 => self.system(i),
            _ => None,
        }
    }

    fn jal(&mut self, i: Insn) -> Flow {
        let target = self.pc.wrapping_add_signed(i.imm_j());
        if target & 3 != 0 {
            return self.trap(cause::FETCH_MISALIGNED, target);
        }
        let link = self.ir.c64(self.next());
        self.set(i.rd(), link);
        self.ir.goto(target, i.rd() == 1);
        Flow::Ended
    }

    fn jalr(&mut self, i: Insn) -> Flow {
        let (base, offset, even) = (self.get(i.rs1()), self.ir.c64(i.imm_i() as u64), self.ir.c64(!1));
        let sum = self.ir.add(D, base, offset);
        let target = self.ir.and(D, sum, even);
        let (two, zero) = (self.ir.c64(2), self.ir.c64(0));
        let odd = self.ir.and(D, target, two);
        let aligned = self.ir.eq(D, odd, zero);
        let go = self.ir.new_label();
        self.ir.brif(aligned, go);
        let cause = self.ir.c64(cause::FETCH_MISALIGNED);
        self.ir.call(HELPER_TRAP, &[cause, target], 0);
        self.ir.label(go);
        let link = self.ir.c64(self.next());
        self.set(i.rd(), link);
        let kind = match (i.rd(), i.rs1()) {
            (1, _) => 1,
            (0, 1) => 2,
            _ => 0,
        };
        self.ir.jump(target, kind);
        Flow::Ended
    }

    fn branch(&mut self, i: Insn) -> Option<Flow> {
        if matches!(i.funct3(), 2 | 3) {
            return None;
        }
        let (a, b) = (self.get(i.rs1()), self.get(i.rs2()));
        let taken = match i.funct3() {
            0 => self.ir.eq(D, a, b),
            1 => self.ir.ne(D, a, b),
            4 => self.ir.slt(D, a, b),
            5 => self.ir.sle(D, b, a),
            6 => self.ir.ult(D, a, b),
            _ => self.ir.ule(D, b, a),
        };
        let target = self.pc.wrapping_add_signed(i.imm_b());
        if target & 3 == 0 {
            self.ir.branch(taken, target);
        } else {
            let not_taken = self.ir.not(Ty::I1, taken);
            let on = self.ir.new_label();
            self.ir.brif(not_taken, on);
            let (cause, value) = (self.ir.c64(cause::FETCH_MISALIGNED), self.ir.c64(target));
            self.ir.call(HELPER_TRAP, &[cause, value], 0);
            self.ir.label(on);
        }
        self.ir.goto(self.next(), false);
        Some(Flow::Ended)
    }

    fn load(&mut self, i: Insn) -> Option<Flow> {
        let (ty, signed) = match i.funct3() {
            0 => (Ty::I8, true),
            1 => (Ty::I16, true),
            2 => (W, true),
            3 => (D, true),
            4 => (Ty::I8, false),
            5 => (Ty::I16, false),
            6 => (W, false),
            _ => return None,
        };
        let base = self.get(i.rs1());
        let v = self.ir.load(ty, base, i.imm_i(), MemFlags::ALIGNED);
        let v = if signed { self.ir.sext(D, ty, v) } else { self.ir.zext(D, ty, v) };
        self.set(i.rd(), v)
    }

    fn store(&mut self, i: Insn) -> Option<Flow> {
        let ty = match i.funct3() {
            0 => Ty::I8,
            1 => Ty::I16,
            2 => W,
            3 => D,
            _ => return None,
        };
        let (base, v) = (self.get(i.rs1()), self.get(i.rs2()));
        let v = self.ir.trunc(ty, D, v);
        self.ir.store(ty, base, i.imm_s(), v, MemFlags::ALIGNED);
        Some(Flow::Next)
    }

    /// OP, OP-IMM and their 32-bit forms.
    fn arithmetic(&mut self, i: Insn) -> Option<Flow> {
        let opcode = i.0 & 0x7f;
        let (immediate, word) = (opcode & 0x20 == 0, opcode & 8 != 0);
        let ty = if word { W } else { D };
        let shift = matches!(i.funct3(), 1 | 5);
        // What distinguishes SUB and arithmetic shifts: bit 30, all others zero.
        let alternative = if immediate && !shift {
            false
        } else {
            let high = if immediate && !word { i.funct7() & !1 } else { i.funct7() };
            match (high, i.funct3()) {
                (0, _) => false,
                (0x20, 5) => true,
                (0x20, 0) if !immediate => true,
                _ => return None,
            }
        };
        if word && !matches!(i.funct3(), 0 | 1 | 5) {
            return None;
        }
        let a = self.get(i.rs1());
        let a = self.ir.trunc(ty, D, a);
        let b = if immediate {
            // A shift amount lies in the low bits; shift ops take it modulo the width.
            self.ir.iconst(ty, i.imm_i() as u64)
        } else {
            let b = self.get(i.rs2());
            self.ir.trunc(ty, D, b)
        };
        let v = match i.funct3() {
            0 if alternative => self.ir.sub(ty, a, b),
            0 => self.ir.add(ty, a, b),
            1 => self.ir.shl(ty, a, b),
            2 => {
                let less = self.ir.slt(ty, a, b);
                self.ir.zext(D, Ty::I1, less)
            }
            3 => {
                let less = self.ir.ult(ty, a, b);
                self.ir.zext(D, Ty::I1, less)
            }
            4 => self.ir.xor(ty, a, b),
            5 if alternative => self.ir.ashr(ty, a, b),
            5 => self.ir.lshr(ty, a, b),
            6 => self.ir.or(ty, a, b),
            _ => self.ir.and(ty, a, b),
        };
        let v = if word { self.ir.sext(D, W, v) } else { v };
        self.set(i.rd(), v)
    }

    fn system(&mut self, i: Insn) -> Option<Flow> {
        match (i.funct3(), i.0) {
            (0, 0x0000_0073) => Some(self.trap(cause::ECALL_M, 0)),
            (0, 0x0010_0073) => Some(self.trap(cause::BREAKPOINT, self.pc)),
            (0, 0x3020_0073) => {
                self.ir.call(HELPER_MRET, &[], 0);
                self.ir.exit(self.next(), exit::LOOKUP);
                Some(Flow::Ended)
            }
            (0, 0x1050_0073) => {
                self.ir.exit(self.next(), exit::WAIT);
                Some(Flow::Ended)
            }
            (0 | 4, _) => None,
            (funct3, word) => {
                let operand = if funct3 & 4 != 0 { self.ir.c64(i.rs1().into()) } else { self.get(i.rs1()) };
                let old = self.ir.call(HELPER_CSR, &[operand], word.into());
                self.set(i.rd(), old);
                // It may have enabled interrupts.
                self.ir.exit(self.next(), exit::LOOKUP);
                Some(Flow::Ended)
            }
        }
    }
}

/// Name and encoding of an instruction, for traces.
pub fn name(word: u32) -> String {
    let i = Insn(word);
    let f = i.funct3() as usize;
    let name = match word & 0x7f {
        0x37 => "lui",
        0x17 => "auipc",
        0x6f => "jal",
        0x67 => "jalr",
        0x63 => ["beq", "bne", "?", "?", "blt", "bge", "bltu", "bgeu"][f],
        0x03 => ["lb", "lh", "lw", "ld", "lbu", "lhu", "lwu", "?"][f],
        0x23 => ["sb", "sh", "sw", "sd", "?", "?", "?", "?"][f],
        0x13 | 0x1b => ["addi", "slli", "slti", "sltiu", "xori", "srli", "ori", "andi"][f],
        0x33 | 0x3b => ["add", "sll", "slt", "sltu", "xor", "srl", "or", "and"][f],
        0x0f => "fence",
        0x73 => ["system", "csrrw", "csrrs", "csrrc", "?", "csrrwi", "csrrsi", "csrrci"][f],
        _ => "?",
    };
    format!("{name:<8} {word:#010x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use emu_plugins_api::Slice;
    use emu_plugins_api::ir::{OwnedIrBuf, verify};

    fn translate(words: &[u32], max_insns: u32) -> (OwnedIrBuf, BlockInfo) {
        let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let mut buf = OwnedIrBuf::new(0);
        let request = BlockRequest { pc: 0x8000_0000, mode_key: 0, code: Slice::new(&code), next_page: Slice::new(&[]), max_insns, page_attrs: 0 };
        let info = block(&request, &mut buf);
        let layout = crate::hart::LAYOUT;
        verify(buf.ops(), buf.next_slot, 0, layout.size.into(), layout.helpers.get().len() as u32).unwrap_or_else(|e| panic!("{words:x?}: {e}"));
        (buf, info)
    }

    /// Every word, valid or not, becomes a block that the host accepts.
    #[test]
    fn any_word_verifies() {
        let mut state = 0x1234_5678_9abc_def0u64;
        for n in 0..200_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Half of them with the opcode of a real instruction.
            let opcodes = [0x37, 0x17, 0x6f, 0x67, 0x63, 0x03, 0x23, 0x13, 0x1b, 0x33, 0x3b, 0x0f, 0x73];
            let word = (state >> 32) as u32;
            let word = if n % 2 == 0 { word } else { word & !0x7f | opcodes[n as usize % opcodes.len()] };
            let (_, info) = translate(&[word], 64);
            assert_eq!((info.bytes, info.insns), (4, 1), "{word:#x}");
        }
    }

    #[test]
    fn blocks_end_where_they_must() {
        let nop = 0x0000_0013;
        assert_eq!(translate(&[nop; 10], 4).1.insns, 4);
        assert_eq!(translate(&[nop; 10], 64).1.insns, 10);
        // jal x0, 0 ends the block.
        assert_eq!(translate(&[nop, 0x0000_006f, nop], 64).1.insns, 2);
        // What is no instruction ends it too.
        assert_eq!(translate(&[nop, 0, nop], 64).1.insns, 2);
    }

    #[test]
    fn immediates() {
        assert_eq!(Insn(0xfff0_0013).imm_i(), -1);
        // sd x5, -8(x2)
        assert_eq!(Insn(0xfe51_3c23).imm_s(), -8);
        // beq x0, x0, -4; jal x0, -4
        assert_eq!(Insn(0xfe00_0ee3).imm_b(), -4);
        assert_eq!(Insn(0xffdf_f06f).imm_j(), -4);
        assert_eq!(Insn(0x8000_0037).imm_u(), -0x8000_0000);
    }
}
