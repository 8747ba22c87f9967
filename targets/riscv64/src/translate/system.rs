//! Zicsr, privileged instructions, cache blocks, may-be operations.

use super::{D, Translator};
use crate::csr::{self, Kind, Special};
use crate::decode::*;
use crate::helper::system as helper;
use crate::state::{mstatus, offset, privilege};
use crate::trap::cause;
use emu_plugins_api::ir::{Shape, Val, exit};

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
                // Interrupts on and off: the bit is in no mode key.
                Kind::Special(s @ (Special::Sstatus | Special::Mstatus))
                    if op != 1
                        && writes
                        && matches!(constant, Some(c) if c & !(mstatus::SIE | if s == Special::Mstatus { mstatus::MIE } else { 0 }) == 0) =>
                {
                    let at = offset::csr(csr::word::MSTATUS as u32);
                    let old = self.ir.get(D, Shape::SCALAR, at);
                    let new = if op == 2 { self.ir.or(D, old, operand) } else { self.ir.andn(D, old, operand) };
                    self.ir.set(D, Shape::SCALAR, at, new);
                    if rd != 0 {
                        let shown = if s == Special::Sstatus {
                            let mask = self.ir.c64(csr::SSTATUS_MASK | csr::SSTATUS_FIXED);
                            self.ir.and(D, old, mask)
                        } else {
                            old
                        };
                        self.set_x(rd, shown);
                    }
                    if op == 2 {
                        self.end_and_look();
                    }
                    return;
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
        self.end_and_look();
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
