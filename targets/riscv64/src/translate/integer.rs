//! RV64I, M and what the compressed table adds.

use super::{D, Translator, W};
use crate::decode::*;
use emu_plugins_api::ir::{Ty, Val, exit, fence};

impl Translator<'_> {
    /// The operation that `op` names, on 64 or 32 bits; not a comparison.
    fn arithmetic(&mut self, ty: Ty, op: u32, a: Val, b: Val) -> Val {
        match op {
            0 => self.ir.add(ty, a, b),
            8 => self.ir.sub(ty, a, b),
            1 => self.ir.shl(ty, a, b),
            4 => self.ir.xor(ty, a, b),
            5 => self.ir.lshr(ty, a, b),
            13 => self.ir.ashr(ty, a, b),
            6 => self.ir.or(ty, a, b),
            _ => self.ir.and(ty, a, b),
        }
    }
    /// Writes a condition to x[rd].
    fn set_bool(&mut self, rd: u32, holds: Val) {
        let v = self.ir.zext(D, Ty::I1, holds);
        self.set_x(rd, v);
    }
    /// The type of a load or store by its funct3, and whether a load extends the sign.
    fn width(op: u32) -> (Ty, bool) {
        (Self::size_ty(op & 3), op & 4 == 0)
    }
}

impl Rv64i for Translator<'_> {
    fn lui(&mut self, i: &Lui) {
        let v = self.ir.c64(((i.imm20 << 12) as i32) as u64);
        self.set_x(i.rd, v);
    }
    fn auipc(&mut self, i: &Auipc) {
        let v = self.ir.address(self.pc.wrapping_add(((i.imm20 << 12) as i32) as u64));
        self.set_x(i.rd, v);
    }
    fn jal(&mut self, i: &Jal) {
        let target = self.pc.wrapping_add_signed(2 * i64::from(i.imm));
        if !self.aligned(target) {
            return self.exception_at(crate::trap::cause::FETCH_MISALIGNED, target);
        }
        let link = self.ir.address(self.next_pc());
        self.set_x(i.rd, link);
        self.ir.goto(target, matches!(i.rd, 1 | 5));
        self.end();
    }
    fn jalr(&mut self, i: &Jalr) {
        let base = self.x(i.rs1);
        let offset = self.ir.c64(i64::from(i.imm) as u64);
        let sum = if i.imm == 0 { base } else { self.ir.add(D, base, offset) };
        let even = self.ir.c64(!1);
        let target = self.ir.and(D, sum, even);
        if !self.arch.has(crate::feature::Feature::Zca) {
            let two = self.ir.extract(D, target, 1, 1);
            let zero = self.ir.c64(0);
            let good = self.ir.eq(D, two, zero);
            let go = self.ir.new_label();
            self.ir.brif(good, go);
            let cause = self.ir.c64(crate::trap::cause::FETCH_MISALIGNED);
            self.call(crate::helper::system::EXCEPTION, &[cause, target], 0);
            self.ir.label(go);
        }
        let link = self.ir.address(self.next_pc());
        self.set_x(i.rd, link);
        // The link registers x1 and x5 say what it is (volume I, "Unconditional Jumps").
        let kind = match (matches!(i.rd, 1 | 5), matches!(i.rs1, 1 | 5)) {
            (true, _) => 1,
            (false, true) => 2,
            _ => 0,
        };
        self.ir.jump(target, kind);
        self.end();
    }
    fn branch(&mut self, i: &Branch) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let taken = match i.op {
            0 => self.ir.eq(D, a, b),
            1 => self.ir.ne(D, a, b),
            4 => self.ir.slt(D, a, b),
            5 => self.ir.sle(D, b, a),
            6 => self.ir.ult(D, a, b),
            _ => self.ir.ule(D, b, a),
        };
        let target = self.pc.wrapping_add_signed(2 * i64::from(i.imm));
        if self.aligned(target) {
            self.ir.branch(taken, target);
        } else {
            let stays = self.ir.not(Ty::I1, taken);
            let on = self.ir.new_label();
            self.ir.brif(stays, on);
            let (cause, value) = (self.ir.c64(crate::trap::cause::FETCH_MISALIGNED), self.ir.address(target));
            self.call(crate::helper::system::EXCEPTION, &[cause, value], 0);
            self.ir.label(on);
        }
        let next = self.next_pc();
        self.ir.goto(next, false);
        self.end();
    }
    fn load(&mut self, i: &Load) {
        let (ty, signed) = Self::width(i.op);
        let base = self.x(i.rs1);
        let flags = self.mem();
        let v = self.ir.load(ty, base, i.imm.into(), flags);
        let v = if signed { self.ir.sext(D, ty, v) } else { self.ir.zext(D, ty, v) };
        self.set_x(i.rd, v);
    }
    fn store(&mut self, i: &Store) {
        let (ty, _) = Self::width(i.op);
        let base = self.x(i.rs1);
        let v = if ty == W {
            self.w(i.rs2)
        } else {
            let v = self.x(i.rs2);
            self.ir.trunc(ty, D, v)
        };
        let flags = self.mem();
        self.ir.store(ty, base, i.imm.into(), v, flags);
    }
    fn alu_imm(&mut self, i: &AluImm) {
        let b = i64::from(i.imm) as u64;
        if matches!(i.op, 2 | 3) {
            let (a, b) = (self.x(i.rs1), self.ir.c64(b));
            let holds = match (i.op, i.imm) {
                (2, _) => self.ir.slt(D, a, b),
                // SEQZ.
                (_, 1) => {
                    let zero = self.ir.c64(0);
                    self.ir.eq(D, a, zero)
                }
                _ => self.ir.ult(D, a, b),
            };
            return self.set_bool(i.rd, holds);
        }
        let v = match (i.op, i.rs1, b) {
            (0, 0, _) => self.ir.c64(b),
            (0, n, 0) => self.x(n),
            (4, n, u64::MAX) => {
                let a = self.x(n);
                self.ir.not(D, a)
            }
            (op, n, _) => {
                let (a, b) = (self.x(n), self.ir.c64(b));
                self.arithmetic(D, op, a, b)
            }
        };
        self.set_x(i.rd, v);
    }
    fn addiw(&mut self, i: &Addiw) {
        let a = self.w(i.rs1);
        let v = if i.imm == 0 {
            a
        } else {
            let b = self.ir.iconst(W, i64::from(i.imm) as u64);
            self.ir.add(W, a, b)
        };
        self.set_w(i.rd, v);
    }
    fn shift_imm(&mut self, i: &ShiftImm) {
        self.shift(D, i.op, i.rd, i.rs1, i.shamt);
    }
    fn shift_imm_w(&mut self, i: &ShiftImmW) {
        self.shift(W, i.op, i.rd, i.rs1, i.shamt);
    }
    fn alu(&mut self, i: &Alu) {
        if matches!(i.op, 2 | 3) {
            let (a, b) = (self.x(i.rs1), self.x(i.rs2));
            let holds = match (i.op, i.rs1) {
                (2, _) => self.ir.slt(D, a, b),
                // SNEZ.
                (_, 0) => self.ir.ne(D, b, a),
                _ => self.ir.ult(D, a, b),
            };
            return self.set_bool(i.rd, holds);
        }
        if matches!(i.op, 0 | 4 | 6)
            && let Some(v) = self.rotation(i.rs1, i.rs2)
        {
            return self.set_w(i.rd, v);
        }
        let v = match (i.op, i.rs1, i.rs2) {
            // Moves.
            (0, 0, n) | (0, n, 0) => self.x(n),
            (op, n, m) => {
                let (a, b) = (self.x(n), self.x(m));
                self.arithmetic(D, op, a, b)
            }
        };
        self.set_x(i.rd, v);
    }
    fn alu_w(&mut self, i: &AluW) {
        if i.op == 0
            && let Some(v) = self.rotation(i.rs1, i.rs2)
        {
            return self.set_w(i.rd, v);
        }
        let (a, b) = (self.w(i.rs1), self.w(i.rs2));
        let v = self.arithmetic(W, i.op, a, b);
        self.set_w(i.rd, v);
    }
    fn fence_op(&mut self, i: &FenceOp) {
        let (reads, writes) = (|set: u32| set & 0b1010 != 0, |set: u32| set & 0b0101 != 0);
        let mut bits = 0;
        for (before, after, bit) in [
            (reads(i.pred), reads(i.succ), fence::LD_LD),
            (reads(i.pred), writes(i.succ), fence::LD_ST),
            (writes(i.pred), reads(i.succ), fence::ST_LD),
            (writes(i.pred), writes(i.succ), fence::ST_ST),
        ] {
            if before && after {
                bits |= bit;
            }
        }
        // FENCE.TSO leaves out stores before loads.
        if i.fm == 8 {
            bits &= !fence::ST_LD;
        }
        if bits != 0 {
            self.ir.fence(bits);
        }
    }
    fn fence_i(&mut self, _: &FenceI) {
        // Translations follow stores by themselves; a new look-up sees them.
        self.end_and_look();
    }
    fn pause(&mut self, _: &Pause) {
        let next = self.next_pc();
        self.ir.exit(next, exit::YIELD);
        self.end();
    }
    fn hint(&mut self, _: &Hint) {}
}

impl Translator<'_> {
    /// Whether an instruction may begin at an address: at any even one with compressed instructions.
    fn aligned(&self, target: u64) -> bool {
        target & 2 == 0 || self.arch.has(crate::feature::Feature::Zca)
    }
}

impl Rv64m for Translator<'_> {
    fn mul(&mut self, i: &Mul) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let v = match i.op {
            0 => self.ir.mul(D, a, b),
            1 => self.ir.mulhs(D, a, b),
            2 => {
                // The unsigned product counts a negative `a` 2^64 too high.
                let high = self.ir.mulhu(D, a, b);
                let sign = self.ir.c64(63);
                let mask = self.ir.ashr(D, a, sign);
                let excess = self.ir.and(D, mask, b);
                self.ir.sub(D, high, excess)
            }
            _ => self.ir.mulhu(D, a, b),
        };
        self.set_x(i.rd, v);
    }
    fn mulw(&mut self, i: &Mulw) {
        let (a, b) = (self.w(i.rs1), self.w(i.rs2));
        let v = self.ir.mul(W, a, b);
        self.set_w(i.rd, v);
    }
    fn div(&mut self, i: &Div) {
        let ty = if i.w == 1 { W } else { D };
        let (a, b) = if i.w == 1 { (self.w(i.rs1), self.w(i.rs2)) } else { (self.x(i.rs1), self.x(i.rs2)) };
        let quotient = if i.op & 1 == 0 { self.ir.sdiv(ty, a, b) } else { self.ir.udiv(ty, a, b) };
        let v = if i.op & 2 == 0 {
            // Division by zero gives all ones; the op gives 0.
            let (zero, ones) = (self.ir.iconst(ty, 0), self.ir.iconst(ty, u64::MAX));
            let by_zero = self.ir.eq(ty, b, zero);
            self.ir.select(ty, by_zero, ones, quotient)
        } else {
            // With the op's quotient 0 the remainder of a division by zero is the dividend, as it has to be.
            let product = self.ir.mul(ty, quotient, b);
            self.ir.sub(ty, a, product)
        };
        if i.w == 1 { self.set_w(i.rd, v) } else { self.set_x(i.rd, v) }
    }
}

impl Rv64c for Translator<'_> {
    fn reserved(&mut self, _: &Reserved) {
        self.illegal();
    }
    fn reserved_for(&mut self, _: &ReservedFor) {
        self.illegal();
    }
}
