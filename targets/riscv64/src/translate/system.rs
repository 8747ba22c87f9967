//! Zicsr, privileged instructions, cache blocks, may-be operations.

use super::{D, Translator, W};
use crate::csr::{self, Kind, Special};
use crate::decode::*;
use crate::helper::system as helper;
use crate::mode::{FS_LSB, VIEW_LSB, view};
use crate::state::{mstatus, offset, privilege};
use crate::trap::cause;
use emu_plugins_api::CpuHeader;
use emu_plugins_api::ir::{Shape, Ty, Val, exit};

impl Translator<'_> {
    /// A CSR instruction: `op` 1 writes, 2 sets, 3 clears; `constant` is its operand if it is one.
    fn csr(&mut self, op: u32, number: u32, rd: u32, operand: Val, constant: Option<u64>, writes: bool) {
        let number = number as u16;
        let level = self.key.privilege() as u8;
        let reachable = level >= csr::lowest_privilege(number) && !(writes && csr::is_read_only(number));
        if let Some(row) = csr::find(number).filter(|r| reachable && self.arch.has(r.feature)) {
            match row.kind {
                // Storage that decides nothing.
                Kind::Plain(word, mask) if csr::is_inert(word) => {
                    let at = offset::csr(word as u32);
                    let old = self.ir.get(D, Shape::SCALAR, at);
                    if writes {
                        let new = match op {
                            1 => operand,
                            2 => self.ir.or(D, old, operand),
                            _ => self.ir.andn(D, old, operand),
                        };
                        let new = if mask == u64::MAX {
                            new
                        } else {
                            let keep = self.ir.c64(mask);
                            self.ir.and(D, new, keep)
                        };
                        self.ir.set(D, Shape::SCALAR, at, new);
                    }
                    return self.set_x(rd, old);
                }
                // Machine mode may have the privilege of another level for its accesses, so that more than this is the helper's there.
                Kind::Special(s @ (Special::Sstatus | Special::Mstatus))
                    if level == privilege::S || !writes || op != 1 && constant.is_some_and(|c| c & !(mstatus::SIE | mstatus::MIE) == 0) =>
                {
                    return self.status(s, op, rd, operand, constant, writes);
                }
                _ => {}
            }
        }
        let imm = u64::from(self.insn) | u64::from(!writes) << 32;
        let old = self.call(helper::CSR, &[operand], imm);
        self.set_x(rd, old);
        if writes {
            self.end_and_look();
        }
    }
}

impl Translator<'_> {
    /// A CSR instruction on sstatus or mstatus. Kernels mask interrupts around every lock, with nothing pending most times, and go to users' memory
    /// and back: neither leaves translated code.
    fn status(&mut self, which: Special, op: u32, rd: u32, operand: Val, constant: Option<u64>, writes: bool) {
        let (writable, fixed) = match which {
            Special::Sstatus => (csr::SSTATUS_MASK, csr::SSTATUS_FIXED),
            _ => (csr::MSTATUS_MASK, u64::MAX),
        };
        let at = offset::csr(csr::word::MSTATUS as u32);
        let old = self.ir.get(D, Shape::SCALAR, at);
        let shown = self.ir.c64(writable | fixed);
        let shown = self.ir.and(D, old, shown);
        if !writes {
            return self.set_x(rd, shown);
        }
        let new = match op {
            1 => operand,
            2 => self.ir.or(D, old, operand),
            _ => self.ir.andn(D, old, operand),
        };
        // What may change at all.
        let possible = writable & if op == 1 { u64::MAX } else { constant.unwrap_or(u64::MAX) };
        let (changed, mask) = (self.ir.xor(D, old, new), self.ir.c64(possible));
        let changed = self.ir.and(D, changed, mask);
        let zero = self.ir.c64(0);
        // The helper does what forgets translations or makes others.
        let rare = possible & !(mstatus::SIE | mstatus::MIE | mstatus::SPIE | mstatus::SPP | mstatus::SUM | mstatus::FS);
        let leave = (rare != 0).then(|| {
            let mask = self.ir.c64(rare);
            let rare = self.ir.and(D, changed, mask);
            let (is_rare, rare) = (self.ir.ne(D, rare, zero), self.ir.new_label());
            self.ir.brif(is_rare, rare);
            rare
        });
        let new = self.ir.xor(D, old, changed);
        self.ir.set(D, Shape::SCALAR, at, new);
        self.set_x(rd, shown);
        let next = self.next_pc();
        // What is in the mode key.
        let keyed = possible & (mstatus::SUM | mstatus::FS);
        let keyed = (keyed != 0).then(|| {
            let mask = self.ir.c64(keyed);
            self.ir.and(D, changed, mask)
        });
        // A line that changes from here on comes with a request.
        let lines = (op != 3).then(|| {
            let lines = self.ir.get(W, Shape::SCALAR, core::mem::offset_of!(CpuHeader, lines) as u32);
            self.ir.zext(D, W, lines)
        });
        let reasons = match (keyed, lines) {
            (Some(keyed), Some(lines)) => self.ir.or(D, keyed, lines),
            (Some(one), None) | (None, Some(one)) => one,
            // Interrupts are off, which is nothing to look at.
            (None, None) => return,
        };
        let (nothing, plain) = (self.ir.eq(D, reasons, zero), self.ir.new_label());
        self.ir.brif(nothing, plain);
        if keyed.is_some() {
            self.set_status_and_key(new);
        }
        let look = lines.map(|lines| {
            let (high, look) = (self.ir.ne(D, lines, zero), self.ir.new_label());
            self.ir.brif(high, look);
            look
        });
        let found = self.ir.address(next);
        self.ir.jump(found, 0);
        if let Some(look) = look {
            self.ir.label(look);
            self.ir.exit(next, exit::LOOKUP);
        }
        if let Some(rare) = leave {
            self.ir.label(rare);
            let old = self.call(helper::CSR, &[operand], self.insn.into());
            self.set_x(rd, old);
            self.ir.exit(next, exit::LOOKUP);
        }
        self.ir.label(plain);
        // Instructions are counted by straight runs, so that one ends here.
        self.ir.goto(next, false);
        self.end();
    }

    /// Writes mstatus in S-mode with SD as FS says, and what the mode key has of it.
    fn set_status_and_key(&mut self, status: Val) {
        let (fs, sum) = (self.ir.extract(D, status, 13, 2), self.ir.extract(D, status, 18, 1));
        let (off, dirty) = (self.ir.c64(0), self.ir.c64(3));
        let is_dirty = self.ir.eq(D, fs, dirty);
        let sd = self.ir.zext(D, Ty::I1, is_dirty);
        let new = self.ir.deposit(D, status, sd, 63, 1);
        self.ir.set(D, Shape::SCALAR, offset::csr(csr::word::MSTATUS as u32), new);
        // 0: off, 1: to be marked, 2: dirty.
        let is_on = self.ir.ne(D, fs, off);
        let is_on = self.ir.zext(D, Ty::I1, is_on);
        let of_key = self.ir.add(D, is_on, sd);
        let (s, s_sum) = (self.ir.c64(view::S.into()), self.ir.c64(view::S_SUM.into()));
        let has_sum = self.ir.ne(D, sum, off);
        let of_view = self.ir.select(D, has_sum, s_sum, s);
        let key = self.ir.get(D, Shape::SCALAR, offset::MODE_KEY);
        let key = self.ir.deposit(D, key, of_view, VIEW_LSB, 4);
        let key = self.ir.deposit(D, key, of_key, FS_LSB, 2);
        self.ir.set(D, Shape::SCALAR, offset::MODE_KEY, key);
    }
}

impl Rv64sys for Translator<'_> {
    fn csr_reg(&mut self, i: &CsrReg) {
        let operand = self.x(i.rs1);
        // CSRRS and CSRRC with x0 do not write at all.
        self.csr(i.op, i.csr, i.rd, operand, None, i.op == 1 || i.rs1 != 0);
    }
    fn csr_imm(&mut self, i: &CsrImm) {
        let operand = self.ir.c64(i.uimm.into());
        self.csr(i.op, i.csr, i.rd, operand, Some(i.uimm.into()), i.op == 1 || i.uimm != 0);
    }
    fn ecall(&mut self, _: &Ecall) {
        if self.arch.runs_linux_programs() {
            let next = self.next_pc();
            self.ir.exit(next, exit::KERNEL);
            return self.end();
        }
        self.call_and_end(helper::ECALL, &[], 0);
    }
    fn ebreak(&mut self, _: &Ebreak) {
        self.exception_at(cause::BREAKPOINT, self.pc);
    }
    fn mret(&mut self, _: &Mret) {
        self.call_and_end(helper::MRET, &[], self.insn.into());
    }
    fn sret(&mut self, _: &Sret) {
        self.call_and_end(helper::SRET, &[], self.insn.into());
    }
    fn wfi(&mut self, _: &Wfi) {
        if self.key.privilege() != u32::from(privilege::M) {
            self.call(helper::WFI, &[], self.insn.into());
        }
        let next = self.next_pc();
        self.ir.exit(next, exit::WAIT);
        self.end();
    }
    fn sfence_vma(&mut self, i: &SfenceVma) {
        let (address, space) = (self.x(i.rs1), self.x(i.rs2));
        self.call(helper::SFENCE, &[address, space], self.insn.into());
        // What comes next may be elsewhere by now.
        let next = self.ir.address(self.next_pc());
        self.ir.jump(next, 0);
        self.end();
    }
    fn sfence_inval(&mut self, _: &SfenceInval) {
        // SINVAL.VMA has done everything at once.
        self.call(helper::SFENCE_INVAL, &[], self.insn.into());
    }
    fn cbo(&mut self, i: &Cbo) {
        let address = self.x(i.rs1);
        self.call(helper::CBO, &[address], self.insn.into());
    }
    fn cbo_zero(&mut self, i: &CboZero) {
        let address = self.x(i.rs1);
        self.call(helper::CBO_ZERO, &[address], self.insn.into());
    }
    fn may_be_r(&mut self, i: &MayBeR) {
        let zero = self.ir.c64(0);
        self.set_x(i.rd, zero);
    }
    fn may_be_rr(&mut self, i: &MayBeRr) {
        let zero = self.ir.c64(0);
        self.set_x(i.rd, zero);
    }
}
