//! Code out of the way: what a region does where things are not as they mostly are. It is noted while the rest is made, and made behind it.

use crate::asm::{Alu, Cc, Gpr, Label, Mem, Size, reg::*};
use crate::deferred::Snapshot;
use crate::frame::{Exchange, JumpEntry, Site, TEMPS};
use crate::groups::NOTHING;
use crate::lower::{AccessResult, Lowering, Position, Saved, Target};
use crate::memory::{Move, StoreValue};
use crate::overwritten::Late;
use crate::shared::STACK;
use emu_ir::Op;
use std::mem::offset_of;

/// Bit of the sticky flags that integer saturation sets.
const SATURATED: i32 = 1 << 8;

/// Code out of the way.
pub(crate) enum Cold {
    /// A memory access that the inline look-up did not serve: where it is, a register free to be used, whether rax has a value.
    Access {
        at: Label,
        back: Label,
        address: Mem,
        site: Site,
        result: AccessResult,
        scratch: Gpr,
        /// What the distance for others goes into.
        found: Option<Gpr>,
        rax: bool,
        vectors: bool,
        flags: Snapshot,
        distances: u32,
        /// The host's flags are wanted behind it.
        keeps: bool,
        late: Late,
    },
    /// An access of a group that has no distance: it looks for its own, with a scratch register and that of the group.
    Alone { at: Label, back: Label, slow: Label, address: Mem, size: u32, align: u32, view: usize, write: bool, scratch: [Gpr; 2], what: Move },
    /// An access of a group right behind a slow one, which has left a distance in the register perhaps.
    Behind { at: Label, back: Label, slow: Label, host: Mem, size: u32, distance: Gpr, what: Move },
    /// Several accesses off the stack of which the first has no distance: they look up the bytes of all, and if that serves they are carried out
    /// by a copy of the code. Otherwise the first is alone.
    Narrow { at: Label, address: Mem, span: u32, view: usize, write: bool, scratch: [Gpr; 2], code: (u32, u32), alone: Label },
    /// The addresses are not those of a stretch, which is to have them then.
    Stretch {
        at: Label,
        back: Label,
        stretch: Mem,
        used: (Mem, i32),
        address: Mem,
        size: u32,
        view: usize,
        write: bool,
        scratch: [Gpr; 2],
        slow: Label,
    },
    /// On the way to code that takes for granted that there may be a distance.
    NoDistance { at: Label, to: Label },
    /// The distance is not the one that was expected.
    Distance { at: Label, back: Label, entry: Mem, room: Mem, to: Gpr },
    /// Once more what lies between two accesses of a group; then the second, which has no distance.
    Between { at: Label, code: (u32, u32), next: Label },
    /// Leaves for the dispatcher at a constant address.
    Leave { at: Label, pc: u64, flags: Snapshot },
    /// Leaves before an instruction, which the interpreter carries out: its address.
    Whole { at: Label, pc: u64, flags: Snapshot, late: Late },
    /// Flags are to be settled.
    Settle { at: Label, back: Label },
    /// Looks for requests before what is mostly entered behind that.
    Look { at: Label, back: Label, pc: u64, flags: Snapshot },
    /// A jump cache does not know a constant address.
    Miss { at: Label, pc: u64 },
    /// Leaves for a constant address outside.
    Outside { at: Label, pc: u64, flags: Snapshot },
    /// Stores what is put off on the way to another unit.
    Edge { at: Label, to: Label, flags: Snapshot },
    /// A jump that can be patched, before it is: where its displacement is, where it goes, the key of code that it may go to.
    Link { at: Label, site: u32, pc: u64, key: u64 },
    /// Code that has a counter has run often.
    Warm { at: Label, pc: u64, counter: Mem },
    /// A call that cannot expect to come back just now, or may not be made at all.
    NoCall { at: Label, target: Target, flags: Snapshot },
    /// An address in a register: by a thunk.
    Indirect { at: Label, target: Gpr, thunk: u32 },
    /// A return to an address in a register that was not expected.
    Unexpected { at: Label, target: Gpr, flags: Snapshot },
    /// A call of an address that the jump cache does not know, constant or in a register. It comes back to `back`.
    CallMiss { at: Label, target: Target, pc: u64, back: Label },
    /// An op for the interpreter.
    Data { at: Label, bytes: [u8; 32] },
    /// A result that the host does not give as the guest wants it: the interpreter makes it, from operands where they were.
    Soft { at: Label, back: Label, op: Op, from: [Saved; 3], result: AccessResult, rax: bool },
    /// A helper has left the block.
    HelperExit { at: Label, left: u32 },
    /// A call that never comes back.
    Call { at: Label, op: Op, pc: u64, left: u32, flags: Snapshot },
    /// Keeps a value for the embedder and goes on at `next`.
    StoreValue { at: Label, value: StoreValue, to: Mem, next: Label },
    /// A load-acquire after a store-release: a fence between the two.
    Fence { at: Label, back: Label },
    /// An integer op has saturated.
    Saturated { at: Label, back: Label },
    /// Emitted.
    Done,
}

impl Lowering<'_> {
    /// The code out of the way.
    pub(crate) fn cold_code(&mut self) {
        let mut i = 0;
        // Ways out may need more of them.
        while i < self.cold.len() {
            let cold = std::mem::replace(&mut self.cold[i], Cold::Done);
            i += 1;
            match cold {
                Cold::Done => {}
                Cold::Leave { at, pc, flags } => {
                    self.asm.bind(at);
                    self.leave_at(pc, flags);
                }
                Cold::Whole { at, pc, flags, late } => {
                    self.asm.bind(at);
                    self.write_late(&late);
                    self.leave_at(pc, flags);
                }
                Cold::Warm { at, pc, counter } => {
                    self.asm.bind(at);
                    self.store_borrowed();
                    self.asm.mov_mi(Size::W, counter, 0);
                    let warm = self.exchange(offset_of!(Exchange, warm));
                    self.asm.mov_mi(Size::Q, warm, 1);
                    self.set_pc(pc, RCX);
                    self.asm.jmp_outside(self.thunks.next);
                }
                Cold::Look { at, back, pc, flags } => {
                    self.asm.bind(at);
                    let m = self.request();
                    self.asm.alu_mi(Alu::Cmp, Size::D, m, 0);
                    self.asm.jcc(Cc::E, back);
                    self.leave_at(pc, flags);
                }
                Cold::Settle { at, back } => {
                    self.asm.bind(at);
                    self.asm.call_outside(self.thunks.settle);
                    self.asm.jmp(back);
                }
                Cold::Miss { at, pc } => {
                    self.asm.bind(at);
                    self.set_pc(pc, RCX);
                    self.asm.jmp_outside(self.thunks.next);
                }
                Cold::Outside { at, pc, flags } => {
                    self.asm.bind(at);
                    self.make_snapshot(flags);
                    self.link(pc, Some(self.mode));
                }
                Cold::Edge { at, to, flags } => {
                    self.asm.bind(at);
                    if !self.leave_snapshot(flags.0 as usize, flags.1 as usize) {
                        self.make_snapshot(flags);
                    }
                    self.asm.jmp(to);
                }
                Cold::Link { at, site, pc, key } => self.unlinked(at, site, pc, key),
                Cold::NoCall { at, target, flags } => {
                    self.asm.bind(at);
                    self.make_snapshot(flags);
                    self.store_borrowed();
                    self.set_pc_to(target);
                    self.asm.jmp_outside(self.thunks.no_call);
                }
                Cold::Indirect { at, target, thunk } => {
                    self.asm.bind(at);
                    self.set_pc_to(Target::Reg(target));
                    self.asm.jmp_outside(thunk);
                }
                Cold::CallMiss { at, target, pc, back } => {
                    self.asm.bind(at);
                    self.set_pc_to(target);
                    self.expect_return(pc, RCX);
                    self.asm.call_outside(self.thunks.next);
                    self.asm.jmp(back);
                }
                Cold::Unexpected { at, target, flags } => {
                    // Whatever was expected, it is not what happens.
                    self.asm.bind(at);
                    self.make_snapshot(flags);
                    self.store_borrowed();
                    self.forget_returns();
                    let (leave, miss) = (self.asm.label(), self.asm.label());
                    let m = self.request();
                    self.asm.alu_mi(Alu::Cmp, Size::D, m, 0);
                    self.asm.jcc(Cc::NE, leave);
                    let mut free = TEMPS.iter().copied().filter(|t| *t != target);
                    let (t, k) = (free.next().unwrap_or(RAX), free.next().unwrap_or(RCX));
                    let entry = self.probe_register(target, t, k, miss);
                    self.asm.jmp_m(entry.plus(offset_of!(JumpEntry, code) as i32));
                    self.cold.push(Cold::Indirect { at: leave, target, thunk: self.thunks.leave });
                    self.cold.push(Cold::Indirect { at: miss, target, thunk: self.thunks.next });
                }
                Cold::StoreValue { at, value, to, next } => {
                    self.asm.bind(at);
                    match value {
                        StoreValue::Gpr(r) => self.asm.mov_mr(Size::Q, to, r),
                        StoreValue::Imm(i) => self.asm.mov_mi(Size::Q, to, i),
                        StoreValue::Two(a, b) => {
                            self.asm.mov_mr(Size::Q, to, a);
                            self.asm.mov_mr(Size::Q, to.plus(8), b);
                        }
                        StoreValue::Xmm(x) => self.asm.movups_mr(to, x),
                    }
                    self.asm.jmp(next);
                }
                Cold::Fence { at, back } => {
                    self.asm.bind(at);
                    self.asm.full_fence();
                    let released = self.exchange(offset_of!(Exchange, released));
                    self.asm.mov_mi(Size::B, released, 0);
                    self.asm.jmp(back);
                }
                Cold::Data { at, bytes } => self.asm.data(at, &bytes),
                Cold::Soft { at, back, op, from, result, rax } => self.soft(at, back, &op, from, result, rax),
                Cold::Saturated { at, back } => {
                    self.asm.bind(at);
                    let flags = self.header(self.f.header.fp_flags);
                    self.asm.alu_mi(Alu::Or, Size::D, flags, SATURATED);
                    self.asm.jmp(back);
                }
                Cold::HelperExit { at, left } => {
                    self.asm.bind(at);
                    // What follows the instruction in its run was counted and is not done.
                    if left > 1 {
                        self.count_back(left - 1, Alu::Sub);
                    }
                    self.asm.jmp_outside(self.thunks.helper_exit);
                }
                Cold::Call { at, op, pc, left, flags } => {
                    self.asm.bind(at);
                    self.make_snapshot(flags);
                    self.store_borrowed();
                    for r in [RSI, RDX, RCX] {
                        self.asm.mov_ri(r, 0);
                    }
                    self.sync(pc, left);
                    self.asm.mov_ri(RAX, op.imm);
                    self.asm.mov_helper(RDI, op.aux, self.f.helpers[op.aux as usize].address);
                    self.asm.call_outside(self.thunks.call);
                    self.count_back(1, Alu::Add);
                    self.asm.jmp_outside(self.thunks.helper_exit);
                }
                Cold::Behind { at, back, slow, host, size, distance, what } => {
                    self.asm.bind(at);
                    self.asm.test_ri(Size::B, distance, NOTHING as i32);
                    self.asm.jcc(Cc::NE, slow);
                    self.carry_out(host, size, what);
                    self.asm.jmp(back);
                }
                Cold::Alone { at, back, slow, address, size, align, view, write, scratch, what } => {
                    self.asm.bind(at);
                    self.look_up(address, size, view, write, align, scratch, slow);
                    let host = Mem { index: Some((scratch[1], 0)), ..address };
                    self.carry_out(host, size, what);
                    self.forget_distances(1 << scratch[1]);
                    self.asm.jmp(back);
                }
                Cold::Narrow { at, address, span, view, write, scratch, code, alone } => {
                    self.asm.bind(at);
                    self.look_up(address, span, view, write, 1, scratch, alone);
                    self.asm.again(code.0, code.1);
                    self.forget_distances(1 << scratch[1]);
                    let behind = self.asm.label_at(code.1);
                    self.asm.jmp(behind);
                }
                Cold::Stretch { at, back, stretch, used, address, size, view, write, scratch, slow } => {
                    self.asm.bind(at);
                    self.look_up(address, size, view, write, 1, scratch, slow);
                    self.stretch_to(stretch, used, scratch, back);
                }
                Cold::NoDistance { at, to } => {
                    self.asm.bind(at);
                    self.forget_distances(1 << STACK);
                    self.asm.jmp(to);
                }
                Cold::Distance { at, back, entry, room, to } => {
                    self.asm.bind(at);
                    self.asm.mov_rm(Size::Q, to, entry);
                    self.asm.mov_mr(Size::Q, room, to);
                    self.asm.jmp(back);
                }
                Cold::Between { at, code, next } => {
                    self.asm.bind(at);
                    self.asm.again(code.0, code.1);
                    self.asm.jmp(next);
                }
                Cold::Access { at, back, address, site, result, scratch, found, rax, vectors, flags, distances, keeps, late } => {
                    self.asm.bind(at);
                    self.write_late(&late);
                    let host = self.exchange(offset_of!(Exchange, flags));
                    if keeps {
                        self.asm.pushf();
                        self.asm.pop(scratch);
                        self.asm.mov_mr(Size::Q, host, scratch);
                    }
                    self.make_snapshot(flags);
                    self.store_borrowed();
                    let va = self.exchange_va();
                    self.asm.lea(Size::Q, scratch, address);
                    self.asm.mov_mr(Size::Q, va, scratch);
                    if rax {
                        let saved = self.exchange(offset_of!(Exchange, saved));
                        self.asm.mov_mr(Size::Q, saved, RAX);
                    }
                    let data = self.asm.label();
                    self.asm.lea_label(RAX, data);
                    self.asm.call_outside(if vectors { self.thunks.access_vectors } else { self.thunks.access });
                    let from = self.exchange(offset_of!(Exchange, result));
                    if flags.1 != 0 {
                        // They are still put off.
                        self.void_unsettled();
                    }
                    self.take_result(result, from);
                    self.forget_distances(distances & !found.map_or(0, |r| 1 << r));
                    if let Some(r) = found {
                        let distance = self.exchange(offset_of!(Exchange, distance));
                        self.asm.mov_rm(Size::Q, r, distance);
                    }
                    if keeps {
                        self.asm.push_m(host);
                        self.asm.popf();
                    }
                    self.asm.jmp(back);
                    self.asm.data(data, &site_bytes(&site));
                    if self.position == Position::Relocatable {
                        self.asm.addresses.push(self.asm.here() - (size_of::<Site>() - offset_of!(Site, pc)) as u32);
                    }
                }
            }
        }
    }

    /// Leaves for the dispatcher at a constant address.
    fn leave_at(&mut self, pc: u64, flags: Snapshot) {
        self.make_snapshot(flags);
        self.store_borrowed();
        self.set_pc(pc, RCX);
        self.asm.jmp_outside(self.thunks.leave);
    }

    /// Loads what code out of the way has left in memory to where it is expected.
    pub(crate) fn take_result(&mut self, result: AccessResult, from: Mem) {
        match result {
            AccessResult::Nothing => {}
            AccessResult::Gpr(r) => self.asm.mov_rm(Size::Q, r, from),
            AccessResult::Signed { r, size, wide } => self.asm.movsx_rm(Size::bits(size * 8), wide, r, from),
            AccessResult::Two(a, b) => {
                self.asm.mov_rm(Size::Q, a, from);
                self.asm.mov_rm(Size::Q, b, from.plus(8));
            }
            AccessResult::Xmm(x) => self.asm.movups_rm(x, from),
        }
    }
}

fn site_bytes(s: &Site) -> [u8; size_of::<Site>()] {
    let mut b = [0u8; size_of::<Site>()];
    b[0..8].copy_from_slice(&s.pc.to_le_bytes());
    b[8..12].copy_from_slice(&s.info.to_le_bytes());
    b[12..16].copy_from_slice(&s.flags.to_le_bytes());
    (b[16], b[17]) = (s.size, s.span);
    (b[18], b[19]) = (s.kind, s.rmw);
    b[20..22].copy_from_slice(&s.left.to_le_bytes());
    (b[22], b[23]) = (s.unit, s.bits);
    b
}
