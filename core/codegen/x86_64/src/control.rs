//! Control: jumps inside a region, ways out of it, calls of helpers, fences.

use crate::analyse::NO_KEY;
use crate::asm::{Alu, Cc, Gpr, Label, Mem, Size, reg::*};
use crate::cold::Cold;
use crate::deferred::Snapshot;
use crate::frame::{CPU, Exchange, JUMPS, JumpEntry, LinkBase, RUNS};
use crate::lower::{Loc, Lowering, Position, Target, Value};
use emu_ir::{Code, NONE, Op, fence};
use std::mem::offset_of;

/// `aux` of `goto` and `jump`.
pub(crate) const CALL: u32 = 1;
pub(crate) const RETURN: u32 = 2;

/// True if calls from a page may have their returns expected: the addresses there, and of the page behind it, are sign-extended from bit 55.
/// (Others are nowhere executed; code that moves must not come to them.)
pub fn returns_expected(page: u64, page_bits: u32) -> bool {
    jumps_expected(page) && jumps_expected(page.wrapping_add((2 << page_bits) - 1))
}

/// True if an address may have a line in a jump cache: it is sign-extended from bit 55.
pub fn jumps_expected(pc: u64) -> bool {
    (pc << 8) as i64 >> 8 == pc as i64
}

/// Where control goes on by an op of a unit that ends before `end`, if that is a constant: for a call, where it comes back.
pub(crate) fn goes_on(op: &Op, end: u64) -> Option<u64> {
    match op.opcode() {
        Some(Code::Goto | Code::Jump) if op.aux == CALL => Some(end),
        Some(Code::Goto | Code::Branch) => Some(op.imm),
        _ => None,
    }
}

impl Lowering<'_> {
    pub(crate) fn request(&self) -> Mem {
        self.header(self.f.header.exit_request)
    }
    /// Leaves at `pc` if somebody wants the CPU's attention.
    pub(crate) fn check_requests(&mut self, pc: u64) {
        let m = self.request();
        self.asm.alu_mi(Alu::Cmp, Size::D, m, 0);
        let at = self.asm.label();
        self.asm.jcc(Cc::NE, at);
        let flags = self.snapshot();
        self.cold.push(Cold::Leave { at, pc, flags });
        self.flags = NO_KEY;
    }
    /// Counts a round of a loop, and leaves when there have been many.
    pub(crate) fn count_round(&mut self, pc: u64, flags: Snapshot) {
        if !self.counts_loops {
            return;
        }
        let rounds = self.exchange(offset_of!(Exchange, rounds));
        self.asm.alu_mi(Alu::Sub, Size::Q, rounds, 1);
        let at = self.asm.label();
        self.asm.jcc(Cc::S, at);
        self.cold.push(Cold::Leave { at, pc, flags });
        self.flags = NO_KEY;
    }
    /// Counts a run of code that may be run a few times only.
    pub(crate) fn count_run(&mut self, counter: u16, pc: u64) {
        // The sign is the only bit that is looked at.
        const STEP: i32 = (1 << 15) / RUNS;
        let counter = Mem::at(CPU, self.f.disp(self.f.counters) + 2 * i32::from(counter));
        self.asm.alu_mi(Alu::Add, Size::W, counter, STEP);
        let at = self.asm.label();
        self.asm.jcc(Cc::S, at);
        self.cold.push(Cold::Warm { at, pc, counter });
        self.flags = NO_KEY;
    }
    /// Counts the instructions of a straight run, or leaves before it if there is no room for all.
    pub(crate) fn count(&mut self, pc: u64, n: u32) {
        let (insns, stop) = (self.header(self.f.header.insns), self.exchange(offset_of!(Exchange, stop)));
        let t = self.temp();
        self.asm.mov_rm(Size::Q, t, insns);
        self.asm.alu_ri(Alu::Add, Size::Q, t, n as i32);
        self.asm.alu_rm(Alu::Cmp, Size::Q, t, stop);
        let at = self.asm.label();
        self.asm.jcc(Cc::A, at);
        let flags = self.snapshot();
        self.cold.push(Cold::Leave { at, pc, flags });
        self.asm.mov_mr(Size::Q, insns, t);
        self.locked = 0;
        self.flags = NO_KEY;
    }

    /// The label to jump to for a constant address: a unit of the region, or a way out.
    fn way(&mut self, pc: u64) -> Label {
        if let Some(unit) = self.unit_labels.iter().position(|u| u.0 == pc) {
            return self.way_inside(unit);
        }
        let (at, flags) = (self.asm.label(), self.snapshot());
        self.cold.push(Cold::Outside { at, pc, flags });
        at
    }

    /// What ends a unit, or may.
    pub(crate) fn control(&mut self, op: &Op, c: Code) {
        // Who comes back from a call that is part of the code takes along what is put off.
        let inside = self.inline.is_some() && !self.f.unlinked && c == Code::Jump && op.aux == RETURN && !matches!(self.loc(op.a), Loc::Const(_));
        if !matches!(c, Code::Goto | Code::Branch) && !inside {
            self.make_all();
        }
        match c {
            // By contract the mode of what a `goto` goes to is the region's.
            Code::Goto if op.aux == CALL => self.call_constant(op.imm, Some(self.mode), true),
            Code::Goto => self.goto(op.imm, self.at + 1 == self.unit_len),
            Code::Branch => {
                match self.loc(op.a) {
                    Loc::Const(0) => {}
                    Loc::Const(_) => self.goto(op.imm, false),
                    _ => {
                        let cc = self.test(op.a);
                        let label = self.way(op.imm);
                        self.asm.jcc(cc, label);
                    }
                };
            }
            Code::Jump => match self.loc(op.a) {
                Loc::Const(pc) if op.aux == CALL => self.call_constant(pc, self.mode_now, false),
                Loc::Const(pc) => self.link(pc, self.mode_now),
                _ if op.aux == RETURN => self.return_to(op.a),
                _ => self.indirect(op.a, op.aux == CALL),
            },
            Code::Exit => {
                self.store_borrowed();
                self.set_pc(op.imm, RCX);
                self.asm.mov_ri(RAX, op.aux.into());
                self.asm.jmp_outside(self.thunks.exit);
            }
            _ => {
                let r = self.gpr(op.a);
                self.store_borrowed();
                let pc = self.header(self.f.header.pc);
                self.asm.mov_mr(Size::Q, pc, r);
                self.asm.mov_ri(RAX, op.aux.into());
                self.asm.jmp_outside(self.thunks.exit);
            }
        }
    }

    /// Goes to a constant address; at the end of the unit, to the next one by doing nothing.
    fn goto(&mut self, pc: u64, end: bool) {
        if let Some(unit) = self.unit_labels.iter().position(|u| u.0 == pc) {
            if let Some(version) = self.goes_inside(unit) {
                return if end { self.go_on(version) } else { self.asm.jmp(version) };
            }
            let label = self.unit_labels[unit].1;
            if !end || self.next_unit != Some(pc) || self.asm.offset(label).is_some() {
                self.asm.jmp(label);
            }
            return;
        }
        self.make_all();
        self.link(pc, Some(self.mode));
    }

    /// What a jump that can be patched goes to before it is, and the `Link` that says how.
    pub(crate) fn unlinked(&mut self, at: Label, site: u32, pc: u64, key: u64) {
        self.asm.bind(at);
        let unlinked = self.asm.here().wrapping_sub(site + 4);
        let (data, base) = (self.asm.label(), self.link_base(key));
        self.asm.lea_label(RAX, data);
        self.asm.jmp_outside(self.thunks.link);
        let here = self.asm.here().next_multiple_of(4);
        let offset = pc.wrapping_sub(self.page) as u32;
        self.asm.words(data, base, [site.wrapping_sub(here), unlinked, offset]);
    }

    /// The label of what links to code of a key have in common.
    fn link_base(&mut self, key: u64) -> Label {
        if let Some((_, label)) = self.bases.iter().find(|b| b.0 == key) {
            return *label;
        }
        let label = self.asm.label();
        self.bases.push((key, label));
        label
    }

    /// Emits those.
    pub(crate) fn link_bases(&mut self) {
        let va = if self.position == Position::Independent { LinkBase::MOVES } else { self.page };
        for (key, label) in std::mem::take(&mut self.bases) {
            let mut bytes = [0; size_of::<LinkBase>()];
            for (to, word) in bytes.chunks_exact_mut(8).zip([va, self.origin, key]) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            self.asm.data(label, &bytes);
            if self.position == Position::Relocatable {
                self.asm.addresses.push(self.asm.here() - (size_of::<LinkBase>() - offset_of!(LinkBase, va)) as u32);
            }
            self.asm.origins.push(self.asm.here() - (size_of::<LinkBase>() - offset_of!(LinkBase, origin)) as u32);
        }
    }

    pub(crate) fn forget_returns(&mut self) {
        let stack = self.exchange(offset_of!(Exchange, stack));
        self.asm.mov_rm(Size::Q, RSP, stack);
    }

    pub(crate) fn set_pc_to(&mut self, target: Target) {
        match target {
            Target::Const(pc) => self.set_pc(pc, RCX),
            Target::Reg(r) => {
                let pc = self.header(self.f.header.pc);
                self.asm.mov_mr(Size::Q, pc, r);
            }
        }
    }

    /// A constant address in a register, as the code's position has it. The host's flags stay.
    pub(crate) fn place(&mut self, r: Gpr, va: u64) {
        let offset = match self.position {
            Position::Fixed => return self.asm.mov_ri(r, va),
            Position::Relocatable => return self.asm.mov_address(r, va),
            Position::Independent => va.wrapping_sub(self.page),
        };
        let page = self.exchange(offset_of!(Exchange, page));
        if let Ok(near) = i32::try_from(offset as i64) {
            self.asm.mov_rm(Size::Q, r, page);
            if near != 0 {
                self.asm.lea(Size::Q, r, Mem::at(r, near));
            }
        } else {
            self.asm.mov_ri(r, offset);
            self.asm.mov_xr(Size::Q, 15, r);
            self.asm.movq_rm(14, page);
            self.asm.sse_rr(0x66, 1, 0xd4, 15, 14);
            self.asm.mov_rx(Size::Q, r, 15);
        }
    }
    /// `address`.
    pub(crate) fn moving_address(&mut self, op: &Op) {
        if self.position == Position::Fixed {
            self.vals[op.dst as usize].loc = Loc::Const(op.imm);
            return;
        }
        let d = self.dst(op.dst, &[]);
        self.place(d, op.imm);
        self.done(op.dst, d, true);
    }

    /// Stores a constant program counter; `free` may be changed.
    pub(crate) fn set_pc(&mut self, pc: u64, free: Gpr) {
        let m = self.header(self.f.header.pc);
        if self.position != Position::Fixed {
            self.place(free, pc);
            return self.asm.mov_mr(Size::Q, m, free);
        }
        if i32::try_from(pc as i64).is_ok() {
            self.asm.mov_mi(Size::Q, m, pc as i32);
        } else {
            self.asm.mov_ri(free, pc);
            self.asm.mov_mr(Size::Q, m, free);
        }
    }

    fn jump_entry(&self, pc: u64) -> Mem {
        let line = (pc >> self.f.jump_shift) as usize & (JUMPS - 1);
        Mem::at(CPU, self.f.disp(self.f.jumps) + (line * size_of::<JumpEntry>()) as i32)
    }

    /// Compares 64 bits in memory with a constant; `free` may be changed.
    fn compare_constant(&mut self, m: Mem, constant: u64, free: Gpr) {
        match i32::try_from(constant as i64) {
            Ok(c) => self.asm.alu_mi(Alu::Cmp, Size::Q, m, c),
            Err(_) => {
                self.asm.mov_ri(free, constant);
                self.asm.alu_mr(Alu::Cmp, Size::Q, m, free);
            }
        }
    }

    /// Compares the CPU's mode key with a constant.
    pub(crate) fn compare_mode_key(&mut self, mode: u64, free: Gpr) {
        let now = self.header(self.f.header.mode_key);
        self.compare_constant(now, mode, free);
    }

    /// Compares the CPU's mode key with that of a line of the jump cache.
    fn compare_mode(&mut self, entry: Mem, free: Gpr) {
        let mode = self.header(self.f.header.mode_key);
        self.asm.mov_rm(Size::Q, free, mode);
        self.asm.alu_mr(Alu::Cmp, Size::Q, entry.plus(offset_of!(JumpEntry, mode) as i32), free);
    }

    /// Jumps to `miss` if a line of the jump cache is not that of a constant address and the CPU's mode. The line.
    fn probe(&mut self, pc: u64, miss: Label) -> Mem {
        let entry = self.jump_entry(pc);
        self.compare_constant(entry, pc, RCX);
        self.asm.jcc(Cc::NE, miss);
        self.compare_mode(entry, RAX);
        self.asm.jcc(Cc::NE, miss);
        entry
    }

    /// The key of a link to `pc` in a mode: `None` if it lies in another page, whose translation may change alone. A program's pages have none: who
    /// throws code away there takes back the jumps to it from other pages.
    fn link_key(&self, pc: u64, mode: Option<u64>) -> Option<u64> {
        let same_page = (pc ^ self.page) >> self.f.tlb.page_bits == 0;
        let near = i32::try_from(pc.wrapping_sub(self.page) as i64).is_ok();
        mode.filter(|_| same_page || near && self.f.direct.is_some()).map(|mode| mode ^ self.mode ^ self.key)
    }

    /// Goes to a constant address outside of the region, in a mode if that is known: by a jump that is patched once the target is known, if it
    /// is in the same page. Otherwise the jump cache of the CPU says where that is; its place in it is constant.
    pub(crate) fn link(&mut self, pc: u64, mode: Option<u64>) {
        self.store_borrowed();
        if self.f.unlinked {
            self.set_pc(pc, RCX);
            self.asm.jmp_outside(self.thunks.next);
            return;
        }
        self.check_requests(pc);
        let at = self.asm.label();
        if let Some(key) = self.link_key(pc, mode) {
            let site = self.asm.jmp_patchable(at);
            self.cold.push(Cold::Link { at, site, pc, key });
        } else if self.position != Position::Fixed {
            // Neither the address nor its line is a constant.
            self.place(RCX, pc);
            let entry = self.probe_register(RCX, RAX, RDX, at);
            self.asm.jmp_m(entry.plus(offset_of!(JumpEntry, code) as i32));
            self.cold.push(Cold::Indirect { at, target: RCX, thunk: self.thunks.next });
        } else {
            let entry = self.probe(pc, at);
            self.asm.jmp_m(entry.plus(offset_of!(JumpEntry, code) as i32));
            self.cold.push(Cold::Miss { at, pc });
        }
    }

    /// The address that a call comes back to. Should this be wrong, the return is not expected and is looked up.
    fn behind_call(&self) -> u64 {
        const INSN_BYTES_MAX: u64 = 15;
        let behind = |pc: &u64| pc.wrapping_sub(self.pc).wrapping_sub(1) < INSN_BYTES_MAX;
        let known = self.unit_labels.iter().map(|u| u.0).chain([self.unit_end]).filter(behind).min();
        known.unwrap_or(self.pc.wrapping_add(1 << self.f.jump_shift))
    }

    /// Before a call: makes sure that another return can be expected, and looks for requests.
    fn may_call(&mut self, target: Target, flags: Snapshot) {
        let at = self.asm.label();
        let limit = self.exchange(offset_of!(Exchange, stack_limit));
        self.asm.alu_rm(Alu::Cmp, Size::Q, RSP, limit);
        self.asm.jcc(Cc::B, at);
        self.cold.push(Cold::NoCall { at, target, flags });
    }

    /// Puts the address that a call comes back to on the stack. What follows calls; `free` may be changed.
    pub(crate) fn expect_return(&mut self, pc: u64, free: Gpr) {
        match i32::try_from(pc as i64) {
            Ok(pc) if self.position == Position::Fixed => self.asm.push_i(pc),
            _ => {
                self.place(free, pc);
                self.asm.push(free);
            }
        }
    }

    /// What a call comes back to, at `back`: goes on at `pc` in the mode that is expected, or else looks.
    fn returned(&mut self, pc: u64, mode: u64, back: Label) {
        self.asm.bind(back);
        self.forget_reach();
        if self.position == Position::Independent {
            // It may have moved meanwhile.
            let page = self.exchange(offset_of!(Exchange, page));
            self.asm.pop(RCX);
            self.asm.alu_ri(Alu::Sub, Size::Q, RCX, pc.wrapping_sub(self.page) as i32);
            self.asm.mov_mr(Size::Q, page, RCX);
        } else {
            self.asm.alu_ri(Alu::Add, Size::Q, RSP, 8);
        }
        self.load_borrowed();
        self.compare_mode_key(mode, RCX);
        let at = self.asm.label();
        self.asm.jcc(Cc::NE, at);
        self.cold.push(Cold::Miss { at, pc });
        // With nothing put off, only a call that is part of the code goes on in a version that knows.
        if self.inline.is_some() {
            let aligned = self.known_aligned();
            self.aligned_again(aligned, pc);
        }
        if mode != self.mode {
            // The units of the region are for another mode.
            return self.link(pc, Some(mode));
        }
        let index = |pc| self.unit_labels.iter().position(|u| u.0 == pc);
        if index(pc).is_some_and(|to| index(self.unit_pc).is_some_and(|from| to <= from)) {
            // A way back that no jump makes.
            self.check_requests(pc);
        }
        self.goto(pc, true);
    }

    /// Calls a constant address in a mode, if that is known. `inside`: the region may have it.
    fn call_constant(&mut self, pc: u64, mode: Option<u64>, inside: bool) {
        let unit = self.unit_labels.iter().position(|u| inside && u.0 == pc);
        if self.f.unlinked {
            self.make_all();
            return match unit {
                Some(unit) => self.asm.jmp(self.unit_labels[unit].1),
                None => self.link(pc, mode),
            };
        }
        if !self.expects {
            self.make_all();
            return self.link(pc, mode);
        }
        let (behind, back) = (self.behind_call(), self.asm.label());
        if let Some(unit) = unit {
            if inside && self.call_inline(unit, behind) {
                return;
            }
            // What is called is for everybody.
            let inline = self.inline.take();
            let version = self.goes_inside(unit);
            self.inline = inline;
            let flags = if version.is_some() { self.wanted_by(unit) } else { (0, 0) };
            self.deferred.clear();
            self.may_call(Target::Const(pc), flags);
            if unit <= self.unit_index {
                // A recursion is a loop too.
                self.count_round(pc, flags);
            }
            self.expect_return(behind, RCX);
            let version = version.map(|v| self.enter_version(v));
            self.asm.call(version.unwrap_or(self.inner_labels[unit]));
            return self.returned(behind, self.mode, back);
        }
        self.make_all();
        self.store_borrowed();
        self.may_call(Target::Const(pc), (0, 0));
        let at = self.asm.label();
        if let Some(key) = self.link_key(pc, mode) {
            self.expect_return(behind, RCX);
            let site = self.asm.call_patchable(at);
            self.cold.push(Cold::Link { at, site, pc, key });
        } else if self.position != Position::Fixed {
            self.place(RCX, pc);
            let entry = self.probe_register(RCX, RAX, RDX, at);
            self.expect_return(behind, RDX);
            self.asm.call_m(entry.plus(offset_of!(JumpEntry, code) as i32));
            self.cold.push(Cold::CallMiss { at, target: Target::Reg(RCX), pc: behind, back });
        } else {
            let entry = self.probe(pc, at);
            self.expect_return(behind, RCX);
            self.asm.call_m(entry.plus(offset_of!(JumpEntry, code) as i32));
            self.cold.push(Cold::CallMiss { at, target: Target::Const(pc), pc: behind, back });
        }
        self.returned(behind, mode.unwrap_or(self.mode), back);
    }

    /// Goes to an address in a register, perhaps to come back.
    fn indirect(&mut self, target: u32, call: bool) {
        let call = call && self.expects;
        let r = self.gpr(target);
        self.store_borrowed();
        if self.f.unlinked {
            let pc = self.header(self.f.header.pc);
            self.asm.mov_mr(Size::Q, pc, r);
            self.asm.jmp_outside(self.thunks.next);
            return;
        }
        let (at, miss) = (self.asm.label(), self.asm.label());
        if call {
            self.may_call(Target::Reg(r), (0, 0));
        } else {
            let m = self.request();
            self.asm.alu_mi(Alu::Cmp, Size::D, m, 0);
            self.asm.jcc(Cc::NE, at);
            self.cold.push(Cold::Indirect { at, target: r, thunk: self.thunks.leave });
        }
        let (t, free) = (self.temp(), self.temp());
        let code = self.probe_register(r, t, free, miss).plus(offset_of!(JumpEntry, code) as i32);
        if !call {
            self.asm.jmp_m(code);
            self.cold.push(Cold::Indirect { at: miss, target: r, thunk: self.thunks.next });
            return;
        }
        let (behind, back) = (self.behind_call(), self.asm.label());
        self.expect_return(behind, free);
        self.asm.call_m(code);
        self.cold.push(Cold::CallMiss { at: miss, target: Target::Reg(r), pc: behind, back });
        // What the instruction has changed of the mode is for its target.
        self.returned(behind, self.mode_before, back);
    }

    /// Jumps to `miss` if the line of the jump cache for an address in a register has another address or mode; changes two registers. The line.
    pub(crate) fn probe_register(&mut self, r: Gpr, t: Gpr, free: Gpr, miss: Label) -> Mem {
        let size = size_of::<JumpEntry>().trailing_zeros() as u8;
        // The line's byte offset is the address's low bits moved to that place.
        let up = size - self.f.jump_shift;
        self.asm.mov_rr(Size::D, t, r);
        self.asm.alu_ri(Alu::And, Size::D, t, ((JUMPS as i32 - 1) << self.f.jump_shift) as u32 as i32);
        let scale = if up <= 3 {
            up
        } else {
            self.asm.shift_ri(crate::asm::Shift::Shl, Size::D, t, up - 3);
            3
        };
        let entry = Mem::indexed(CPU, t, scale, self.f.disp(self.f.jumps));
        self.asm.alu_mr(Alu::Cmp, Size::Q, entry, r);
        self.asm.jcc(Cc::NE, miss);
        self.compare_mode(entry, free);
        self.asm.jcc(Cc::NE, miss);
        entry
    }

    /// Returns to an address before it is made of `raw`, if that is the one that is expected: see
    /// [`early_jump`](crate::analyse::Analysis::early_jump).
    pub(crate) fn return_early(&mut self, raw: u32) {
        self.write_all_waiting();
        if self.inline.is_some() {
            let r = self.gpr(raw);
            self.return_inside(r);
            self.make_all();
        } else {
            self.make_all();
            let (r, other) = (self.gpr(raw), self.asm.label());
            self.store_borrowed();
            self.asm.alu_rm(Alu::Cmp, Size::Q, r, Mem::at(RSP, 8));
            self.asm.jcc(Cc::NE, other);
            self.asm.ret();
            self.asm.bind(other);
        }
        self.flags = NO_KEY;
        self.locked = 0;
        self.returned_early = true;
    }

    /// The same for a jump: to the code that its line has for `raw`.
    pub(crate) fn jump_early(&mut self, raw: u32) {
        self.write_all_waiting();
        self.make_all();
        let (r, other) = (self.gpr(raw), self.asm.label());
        self.store_borrowed();
        let m = self.request();
        self.asm.alu_mi(Alu::Cmp, Size::D, m, 0);
        self.asm.jcc(Cc::NE, other);
        let (t, free) = (self.temp(), self.temp());
        let code = self.probe_register(r, t, free, other).plus(offset_of!(JumpEntry, code) as i32);
        self.asm.jmp_m(code);
        self.asm.bind(other);
        self.flags = NO_KEY;
        self.locked = 0;
    }

    /// Returns to an address in a register: to behind the last call, if that is it. No request is looked for: see the README.
    fn return_to(&mut self, target: u32) {
        if self.f.unlinked {
            return self.indirect(target, false);
        }
        let (r, at) = (self.gpr(target), self.asm.label());
        if self.returned_early || self.inline.is_some() {
            if !self.returned_early {
                self.return_inside(r);
            }
            self.asm.jmp(at);
        } else {
            self.store_borrowed();
            self.asm.alu_rm(Alu::Cmp, Size::Q, r, Mem::at(RSP, 8));
            self.asm.jcc(Cc::NE, at);
            self.asm.ret();
        }
        let flags = self.snapshot();
        self.cold.push(Cold::Unexpected { at, target: r, flags });
    }

    /// Labels and branches inside of an instruction.
    pub(crate) fn local_control(&mut self, op: &Op, c: Code, ops: &[Op]) {
        if c == Code::Label {
            self.make_all();
            self.raises = false;
            self.fenced = false;
            self.forget_aligned();
            self.may_be_unsettled();
            let label = self.local_label(op.imm);
            // Where ways meet values are in their slots, those that have been there on every way.
            self.all_to_slots(self.at);
            self.asm.bind(label);
            self.flags = NO_KEY;
            return;
        }
        if c == Code::BrIf && self.cold_call(op, ops) {
            return;
        }
        self.make_all();
        let label = self.local_label(op.imm);
        if c == Code::Br {
            self.all_to_slots(self.at);
            self.asm.jmp(label);
        } else {
            // A condition in the flags is read before anything else: they would not survive what puts values away.
            let r = self.gpr(op.a);
            self.all_to_slots(self.at);
            self.asm.test_rr(Size::B, r, r);
            self.asm.jcc(Cc::NE, label);
        }
        self.flags = NO_KEY;
    }
    fn local_label(&mut self, name: u64) -> Label {
        if let Some((_, label)) = self.local.iter().find(|l| l.0 == name) {
            return *label;
        }
        let label = self.asm.label();
        self.local.push((name, label));
        label
    }
    /// `brif ok, l; call never-comes-back; l:` becomes a jump out of the way.
    fn cold_call(&mut self, op: &Op, ops: &[Op]) -> bool {
        let Some(call) = self.call_beside(self.at as usize, ops) else { return false };
        self.skip = self.at + 3;
        let aligned = self.asks_aligned(op.a, ops);
        if aligned.is_some_and(|v| self.knows_aligned(v)) {
            return true;
        }
        let cc = self.test(op.a);
        let (cold, flags) = (self.asm.label(), self.snapshot());
        self.asm.jcc(cc.not(), cold);
        self.cold.push(Cold::Call { at: cold, op: call, pc: self.pc, left: self.left, flags });
        if let Some(v) = aligned {
            self.found_aligned(v);
        }
        true
    }
    /// The call of such a `brif`.
    pub(crate) fn call_beside(&self, at: usize, ops: &[Op]) -> Option<Op> {
        let [op, call, label] = ops.get(at..at + 3)? else { return None };
        let fits = call.code == Code::Call as u16
            && self.f.helpers[call.aux as usize].always_exits
            && [call.a, call.b, call.c] == [NONE; 3]
            && label.code == Code::Label as u16
            && label.imm == op.imm
            && !ops[at + 3..].iter().take_while(|o| o.code != Code::InsnStart as u16).any(|o| o.code == Code::BrIf as u16 && o.imm == op.imm);
        fits.then_some(*call)
    }

    /// Before a call that looks at program counter or instruction count.
    pub(crate) fn sync(&mut self, pc: u64, left: u32) {
        self.set_pc(pc, RAX);
        self.count_back(left, Alu::Sub);
    }
    pub(crate) fn count_back(&mut self, left: u32, op: Alu) {
        if self.f.count {
            let insns = self.header(self.f.header.insns);
            self.asm.alu_mi(op, Size::Q, insns, left as i32);
        }
    }

    /// `call`.
    pub(crate) fn call(&mut self, op: &Op) {
        let h = self.f.helpers[op.aux as usize];
        let needs_pc = h.needs_pc || h.may_exit;
        if h.reads_state || h.writes_state || needs_pc {
            self.write_all();
        }
        if h.writes_state {
            self.mode_now = None;
            self.forget_aligned();
        }
        if h.writes_state || h.always_exits {
            // Copies of state go where a change does not reach them. The arguments are read from there too.
            let at = self.at;
            self.all_to_slots(at.saturating_sub(1));
        }
        // Arguments first where they do not stand in each other's way: all through slots unless simple.
        let targets = [RSI, RDX, RCX];
        for s in [op.a, op.b, op.c] {
            if s != NONE && matches!(self.loc(s), Loc::Gpr(_) | Loc::Xmm(_) | Loc::None) {
                self.store_slot(s);
                (self.locked, self.xlocked) = (0, 0);
            }
        }
        self.empty_registers();
        self.store_borrowed();
        for (s, r) in [op.a, op.b, op.c].into_iter().zip(targets) {
            match s {
                NONE => self.asm.mov_ri(r, 0),
                s => self.argument(s, r),
            }
        }
        if needs_pc {
            self.sync(self.pc, self.left);
        }
        self.asm.mov_ri(RAX, op.imm);
        self.asm.mov_helper(RDI, op.aux, h.address);
        self.raises = false;
        self.fenced = false;
        if h.reads_state || h.writes_state || needs_pc {
            self.asm.call_outside(self.thunks.call);
            self.settled = true;
        } else {
            self.asm.call_outside(self.thunks.call_pure);
        }
        self.flags = NO_KEY;
        if needs_pc && self.f.count {
            self.count_back(self.left, Alu::Add);
        }
        if h.may_exit {
            self.asm.test_rr(Size::D, RDX, RDX);
            let at = self.asm.label();
            self.asm.jcc(Cc::NE, at);
            self.cold.push(Cold::HelperExit { at, left: self.left });
        }
        self.load_borrowed();
        if op.dst != NONE {
            self.vals[op.dst as usize] = Value { loc: Loc::None, backing: NONE, clean: true, slotted: false };
            self.own(op.dst, RAX, true);
        }
    }
    /// Loads a value into an argument register; nothing is in temporaries.
    fn argument(&mut self, s: u32, r: u8) {
        let bits = u32::from(self.fact(s).bits);
        match self.loc(s) {
            Loc::Const(c) => self.asm.mov_ri(r, c),
            // The register may have another argument by now.
            Loc::Pin(p) if self.is_borrowed(p) => {
                let m = self.state(self.pins.at(p.into()));
                self.asm.movzx_rm(Size::bits(bits), r, m);
            }
            Loc::Pin(p) => self.asm.movzx_rr(Size::bits(bits), r, crate::frame::PINS[p as usize]),
            Loc::State(off) => {
                let m = self.state(off);
                self.asm.movzx_rm(Size::bits(bits), r, m);
            }
            _ => {
                let m = self.slot(s);
                self.asm.mov_rm(Size::Q, r, m);
            }
        }
    }

    /// `fence`.
    pub(crate) fn fence(&mut self, op: &Op) {
        if op.aux & fence::COMPLETION != 0 {
            self.make_all();
            self.empty_registers();
            self.store_borrowed();
            self.asm.mov_ri(RSI, op.aux.into());
            self.asm.call_outside(self.thunks.fence);
            self.load_borrowed();
            self.raises = false;
        } else if op.aux & fence::ST_LD != 0 && !self.fenced && !(self.f.direct.is_some() && self.alone()) {
            // All else the host orders by itself. (A program has no devices that could see what it does when.)
            self.asm.full_fence();
            self.releases_done();
            self.flags = NO_KEY;
            return;
        } else {
            return;
        }
        self.flags = NO_KEY;
    }
}
