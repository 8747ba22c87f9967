//! The x registers, and rotations of words, which the base instruction set has no instruction for: compilers write `slliw`, `srliw` and `or`.
//!
//! The shifts are translated as ever, for each leaves its register as it has to be; the rotation is computed from what they began with, and the
//! values between need not be made where nobody sees them.
//!
//! A block whose instructions use each other's values cannot be entered at one in its middle, so code that jumps there is translated again.
//! Therefore nothing else is handed on from one instruction to the next: what registers contain, extensions and rotations of all 64 bits are
//! the optimiser's to know.

use super::{D, Translator, W};
use crate::state::offset;
use emu_plugins_api::ir::{Shape, Ty, Val};

/// A constant shift of a word, to the left or, filled with zeroes, to the right.
#[derive(Clone, Copy, Debug)]
struct Shift {
    left: bool,
    from: Val,
    /// Which register the value was read from, and after how many writes to it.
    source: (u32, u32),
    amount: u32,
}

/// What is known of all registers.
#[derive(Default)]
pub struct Known {
    /// The last shifts, newest first, and the registers that they were written to; 0 for none. More do not stand between two that belong together.
    shifts: [Option<(u32, Shift)>; 4],
    writes: [u32; 32],
}

impl Known {
    fn of(&self, n: u32) -> Option<Shift> {
        self.shifts.iter().flatten().find(|s| s.0 == n).map(|s| s.1)
    }
}

impl Translator<'_> {
    /// x[n].
    pub fn x(&mut self, n: u32) -> Val {
        if n == 0 { self.ir.c64(0) } else { self.ir.get(D, Shape::SCALAR, offset::x(n)) }
    }
    /// The low 32 bits of x[n].
    pub fn w(&mut self, n: u32) -> Val {
        if n == 0 { self.ir.iconst(W, 0) } else { self.ir.get(W, Shape::SCALAR, offset::x(n)) }
    }
    /// Writes x[n]; x0 is discarded.
    pub fn set_x(&mut self, n: u32, v: Val) {
        if n != 0 {
            self.ir.set(D, Shape::SCALAR, offset::x(n), v);
            self.known.writes[n as usize] += 1;
            for s in &mut self.known.shifts {
                *s = s.filter(|s| s.0 != n);
            }
        }
    }
    /// Writes x[n] from 32 bits, sign-extended.
    pub fn set_w(&mut self, n: u32, v: Val) {
        if n != 0 {
            let v = self.ir.sext(D, W, v);
            self.set_x(n, v);
        }
    }
    /// Somebody else may have written registers.
    pub fn forget(&mut self) {
        self.known.shifts = [None; 4];
    }
    /// Shifts x[rs1], or its low 32 bits, by a constant, to x[rd]. `op`: 0 left, 1 right, 2 right with the sign.
    pub fn shift(&mut self, ty: Ty, op: u32, rd: u32, rs1: u32, amount: u32) {
        let source = (rs1, self.known.writes[rs1 as usize]);
        let from = if ty == W { self.w(rs1) } else { self.x(rs1) };
        let by = self.ir.iconst(ty, amount.into());
        let v = match op {
            0 => self.ir.shl(ty, from, by),
            1 => self.ir.lshr(ty, from, by),
            _ => self.ir.ashr(ty, from, by),
        };
        if ty == W {
            self.set_w(rd, v)
        } else {
            self.set_x(rd, v)
        }
        if ty == W && op != 2 && rd != 0 {
            self.known.shifts.rotate_right(1);
            self.known.shifts[0] = Some((rd, Shift { left: op == 0, from, source, amount }));
        }
    }
    /// x[a] and x[b], of which no bit is set in both, put together: a rotated word, if they are the parts of one.
    pub fn rotation(&mut self, a: u32, b: u32) -> Option<Val> {
        let (a, b) = (self.known.of(a)?, self.known.of(b)?);
        let (left, right) = if a.left { (a, b) } else { (b, a) };
        if !left.left || right.left || left.source != right.source || left.amount + right.amount != W.bits() {
            return None;
        }
        let amount = self.ir.iconst(W, right.amount.into());
        Some(self.ir.rotr(W, left.from, amount))
    }
}
