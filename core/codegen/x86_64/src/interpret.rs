//! The last resort: ops that the interpreter carries out on their value slots.

use crate::analyse::{NO_KEY, operands};
use crate::asm::{Size, reg::RDX, reg::RSI};
use crate::cold::Cold;
use crate::lower::{Loc, Lowering, Value};
use emu_ir::{NONE, Op};

impl Lowering<'_> {
    /// Has the interpreter carry an op out on its slots.
    pub(crate) fn interpret(&mut self, op: &Op) {
        for s in operands(op) {
            if s != NONE {
                self.store_slot(s);
                (self.locked, self.xlocked) = (0, 0);
            }
        }
        self.empty_registers();
        self.store_borrowed();
        let at = self.asm.label();
        let bytes = op_bytes(op);
        self.asm.lea_label(RSI, at);
        self.asm.mov_ri(RDX, self.vl.into());
        self.asm.call_outside(self.thunks.interpret);
        self.load_borrowed();
        self.flags = NO_KEY;
        self.cold.push(Cold::Data { at, bytes });
        if op.dst != NONE {
            self.vals[op.dst as usize] = Value { loc: Loc::Slot, backing: NONE, clean: true, slotted: true };
        }
    }
    /// `get` and `set` of run-time-length vectors: copies between field and slots.
    pub(crate) fn interpret_state(&mut self, op: &Op) {
        let get = op.dst != NONE;
        let v = if get { op.dst } else { op.a };
        let bytes = op.shape.bytes(self.vl);
        self.displace_state(if get { u32::MAX } else { op.imm as u32 }, if get { 0 } else { bytes });
        let (slot, state) = (self.slot(v), self.state(op.imm as u32));
        let (from, to) = if get { (state, slot) } else { (slot, state) };
        let mut i = 0;
        while i < bytes as i32 {
            if bytes as i32 - i >= 16 {
                self.asm.movups_rm(15, from.plus(i));
                self.asm.movups_mr(to.plus(i), 15);
                i += 16;
            } else {
                let t = self.temp();
                let size = if bytes as i32 - i >= 8 { Size::Q } else { Size::B };
                self.asm.movzx_rm(size, t, from.plus(i));
                self.asm.mov_mr(if get { Size::Q } else { size }, to.plus(i), t);
                self.locked &= !(1 << t);
                i += if size == Size::Q { 8 } else { 1 };
            }
        }
        if get {
            self.vals[v as usize] = Value { loc: Loc::Slot, backing: NONE, clean: true, slotted: true };
        }
    }
}

/// An op as it lies in the code for the interpreter.
pub(crate) fn op_bytes(op: &Op) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    bytes[0..2].copy_from_slice(&op.code.to_le_bytes());
    (bytes[2], bytes[3]) = (op.ty.0, op.shape.0);
    for (i, w) in [op.dst, op.a, op.b, op.c, op.aux].iter().enumerate() {
        bytes[4 + i * 4..8 + i * 4].copy_from_slice(&w.to_le_bytes());
    }
    bytes[24..32].copy_from_slice(&op.imm.to_le_bytes());
    bytes
}
