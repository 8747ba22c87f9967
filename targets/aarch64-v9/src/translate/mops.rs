//! Memory copy and memory set (`decode/mops.decode`): prologues here, the work by helpers (`helper/mops.rs`, which says what is kept where).

use crate::decode::*;
use crate::helper::{HelperId, base};
use crate::state::offset;
use crate::translate::Translator;
use emu_plugins_api::ir::{Ty, Val};

impl Translator<'_> {
    /// CheckMOPSEnabled(), and the register numbers that are UNDEFINED (CONSTRAINED UNPREDICTABLE, taken as UNDEFINED): one register
    /// twice, register 31 but as the value to set.
    fn mops_allowed(&mut self, sz: u32, s: u32, n: u32, d: u32, set: bool) -> bool {
        let bad = sz != 0 || s == n || s == d || n == d || n == 31 || d == 31 || !set && s == 31;
        if bad || self.key.mops() == 0 {
            self.undefined();
            return false;
        }
        true
    }

    /// CPYFP, CPYP, SETP: Option A's arguments. `either_way`: the copy goes backwards where the source begins below the destination and reaches
    /// into it, by addresses of 56 bits.
    fn prologue(&mut self, (d, s, n): (u32, Option<u32>, u32), either_way: bool) {
        const X: Ty = Ty::I64;
        let (size, limit) = (self.x(n), self.ir.c64(if either_way { u64::MAX >> 9 } else { u64::MAX >> 1 }));
        let small = self.ir.ult(X, size, limit);
        let size = self.ir.select(X, small, size, limit);
        let to = self.x(d);
        let from = s.map(|s| self.x(s));
        let zero = self.ir.c64(0);
        let left = self.ir.sub(X, zero, size);
        let (mut step, mut left) = (size, left);
        if let Some(from) = from.filter(|_| either_way) {
            let end = self.ir.add(X, from, size);
            let [from, to, end] = [from, to, end].map(|v| self.ir.extract(X, v, 0, 56));
            let (below, reaches) = (self.ir.ult(X, from, to), self.ir.ult(X, to, end));
            let backward = self.ir.and(Ty::I1, below, reaches);
            step = self.ir.select(X, backward, zero, step);
            left = self.ir.select(X, backward, size, left);
        }
        let ends: Vec<(u32, Val)> = [Some((d, to)), s.zip(from)].into_iter().flatten().map(|(r, v)| (r, self.ir.add(X, v, step))).collect();
        for (r, v) in ends {
            self.set_x(r, v);
        }
        self.set_x(n, left);
        self.set_nzcv_const(0);
    }

    /// Calls the helper unless nothing remains to be done, nor anything is wrong.
    fn unless_done(&mut self, n: u32, helper: HelperId) {
        let (left, zero, wrong) = (self.x(n), self.ir.c64(0), self.flag(offset::CF));
        let (all, no) = (self.ir.eq(Ty::I64, left, zero), self.ir.iconst(Ty::I1, 0));
        let right = self.ir.eq(Ty::I1, wrong, no);
        let done = self.ir.and(Ty::I1, all, right);
        let label = self.ir.new_label();
        self.ir.brif(done, label);
        self.call(helper, &[], u64::from(self.insn));
        self.ir.label(label);
    }
}

impl Mops for Translator<'_> {
    fn cpy(&mut self, i: &Cpy) {
        if !self.mops_allowed(i.sz, i.rs, i.rn, i.rd, false) {
            return;
        }
        match i.op1 {
            0 => self.prologue((i.rd, Some(i.rs), i.rn), i.o0 == 1),
            _ => self.unless_done(i.rn, base::MOPS_COPY),
        }
    }
    fn set(&mut self, i: &Set) {
        if !self.mops_allowed(i.sz, i.rs, i.rn, i.rd, true) {
            return;
        }
        match i.op2 >> 2 {
            0 => self.prologue((i.rd, None, i.rn), false),
            _ => self.unless_done(i.rn, base::MOPS_SET),
        }
    }
}
