//! Forwarding: a state field that was read or written before, and not been written since, is not read again.
//!
//! The known contents of fields are a table by byte offset; one generation number empties it where ways meet or a helper may have written
//! state. Constants are folded on the way, as far as that turns conditions and addresses into constants, and shifts of one value that are an extension
//! or a rotation together become that. A condition that was made a number is a condition again where somebody asks whether that is zero.

use crate::fields::{Offsets, TRACKED};
use crate::{StateInfo, UnitOps, remove};
use emu_ir::{Code, NONE, Op, Shape, Ty, field_bits};

/// See [`Fact::shift`].
const RIGHT: u8 = 1 << 7;
const BIT: u8 = 64;

#[derive(Clone, Copy, Default)]
struct Known {
    value: u32,
    bits: u16,
}

/// What is known of a value. Before its op has been met what another unit had there stands in its place.
#[derive(Clone, Copy, Default)]
struct Fact {
    /// The one to use in its place.
    rename: u32,
    /// It is the constant `value`.
    constant: bool,
    /// It is a value shifted left by so many bits, or, with [`RIGHT`], right with zeroes; 0: neither. `value` then has the value in its lower half,
    /// and that of the number of bits in its upper half. [`BIT`]: it is 0 or 1, as the condition `value` says.
    shift: u8,
    value: u64,
}

/// The pass, with tables that are used again.
pub struct Forward {
    /// By offset, if it is one of `entered`.
    known: Vec<Known>,
    entered: Offsets,
    /// By value.
    facts: Vec<Fact>,
}

impl Default for Forward {
    fn default() -> Self {
        Forward { known: vec![Known::default(); TRACKED], entered: Offsets::default(), facts: Vec::new() }
    }
}

impl Forward {
    /// Runs over one unit.
    pub fn run(&mut self, ops: &mut [Op], unit: &UnitOps, info: &StateInfo) {
        self.entered.clear();
        if self.facts.len() < unit.slots as usize {
            self.facts.resize(unit.slots as usize, Fact::default());
        }
        for op in &mut ops[unit.first..unit.last] {
            if op.code == Code::InsnStart as u16 {
                continue;
            }
            let Some(code) = op.opcode() else { continue };
            let mut constants = 0;
            if code != Code::Const128 {
                for s in [&mut op.a, &mut op.b, &mut op.c] {
                    // Out of range is what there is none of.
                    if let Some(f) = self.facts.get(*s as usize) {
                        *s = f.rename;
                        constants += u32::from(f.constant);
                    }
                }
            }
            let dst = op.dst;
            if let Some(f) = self.facts.get_mut(dst as usize) {
                *f = Fact { rename: dst, constant: false, shift: 0, value: 0 };
            }
            match code {
                Code::Get if op.imm >= u64::from(info.own) => self.get(op),
                Code::Set if op.imm < u64::from(info.own) => {}
                Code::Set => self.set(op),
                Code::Label => self.entered.clear(),
                Code::Call if info.helper_writes.get(op.aux as usize).copied().unwrap_or(true) => self.entered.clear(),
                _ if constants != 0 => {
                    self.fold(op, code);
                    self.shift(op);
                }
                Code::Or | Code::Xor | Code::Add => self.rotation(op),
                Code::ZExt if op.aux == u32::from(Ty::I1.0) && op.shape == Shape::SCALAR && op.ty.bits() <= 64 => {
                    let condition = op.a;
                    if let Some(f) = self.facts.get_mut(dst as usize) {
                        (f.shift, f.value) = (BIT, condition.into());
                    }
                }
                _ => {}
            }
            if op.code == Code::Const as u16
                && let Some(f) = self.facts.get_mut(op.dst as usize)
            {
                (f.constant, f.value) = (true, op.imm);
            }
        }
    }

    fn get(&mut self, op: &mut Op) {
        let (at, bits) = (op.imm as usize, field_bits(op) as u16);
        if at >= TRACKED || bits == 0 {
            return;
        }
        if self.entered.has(at) {
            let known = self.known[at];
            if known.bits == bits {
                self.facts[op.dst as usize].rename = known.value;
                self.facts[op.dst as usize].constant = self.facts[known.value as usize].constant;
                self.facts[op.dst as usize].value = self.facts[known.value as usize].value;
                return remove(op);
            }
            // The low part of a field that is known.
            if let (true, true, Some(from), Some(to)) =
                (bits < known.bits, known.bits <= 64 && bits > 1, Ty::int(known.bits.into()), Ty::int(bits.into()))
            {
                (op.code, op.ty, op.shape) = (Code::Trunc as u16, to, Shape::SCALAR);
                (op.a, op.aux, op.imm) = (known.value, from.0.into(), 0);
                return self.fold(op, Code::Trunc);
            }
            if known.bits > bits {
                return;
            }
        }
        self.enter(at, op.dst, bits);
    }

    fn enter(&mut self, at: usize, value: u32, bits: u16) {
        self.known[at] = Known { value, bits };
        self.entered.insert(at);
    }

    fn set(&mut self, op: &mut Op) {
        let at = op.imm as usize;
        let bits = field_bits(op) as u16;
        let bytes = usize::from(bits).div_ceil(8);
        if bits == 0 {
            // A vector of run-time length: who knows how long.
            return self.entered.clear();
        }
        for o in self.entered.near(at, bytes) {
            if o + usize::from(self.known[o].bits).div_ceil(8) > at {
                self.entered.remove(o);
            }
        }
        if at < TRACKED {
            self.enter(at, op.a, bits);
        }
    }

    fn value(&self, v: u32) -> Option<u64> {
        self.facts.get(v as usize).filter(|f| f.constant).map(|f| f.value)
    }

    /// Folds a scalar integer op with constant operands.
    fn fold(&mut self, op: &mut Op, code: Code) {
        if op.shape != Shape::SCALAR || op.dst == NONE || op.ty.is_float() || op.ty.bits() > 64 {
            return;
        }
        let bits = op.ty.bits();
        let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        let (a, b) = (self.value(op.a), self.value(op.b));
        let both = a.zip(b);
        let signed = |v: u64| (v << (64 - bits)) as i64 >> (64 - bits);
        let folded = match code {
            Code::Add => both.map(|(a, b)| a.wrapping_add(b)),
            Code::Sub => both.map(|(a, b)| a.wrapping_sub(b)),
            Code::And => match (a, b) {
                (Some(0), _) | (_, Some(0)) => Some(0),
                _ => both.map(|(a, b)| a & b),
            },
            Code::Or => both.map(|(a, b)| a | b),
            Code::Xor => both.map(|(a, b)| a ^ b),
            Code::AndNot => match a {
                Some(0) => Some(0),
                _ => both.map(|(a, b)| a & !b),
            },
            Code::Not => a.map(|a| !a),
            Code::Shl => both.map(|(a, b)| a << (b & u64::from(bits - 1))),
            Code::LShr => both.map(|(a, b)| a >> (b & u64::from(bits - 1))),
            Code::ZExt => a,
            Code::Trunc => a,
            Code::SExt => {
                let from = Ty(op.aux as u8).bits();
                a.filter(|_| from <= 64).map(|a| ((a << (64 - from)) as i64 >> (64 - from)) as u64)
            }
            Code::Extract => a.map(|a| a >> (op.aux & 0xff) & field(op.aux >> 8)),
            // A constant that is put together piece by piece.
            Code::Deposit => both.map(|(a, b)| {
                let (lsb, field) = (op.aux & 0xff, field(op.aux >> 8));
                a & !(field << lsb) | (b & field) << lsb
            }),
            // The operands of a comparison have the op's type, its result is a bit.
            Code::CmpEq | Code::CmpNe | Code::CmpUlt | Code::CmpUle | Code::CmpSlt | Code::CmpSle => {
                let Some((a, b)) = both else { return self.question(op, code, b) };
                let holds = match code {
                    Code::CmpEq => a == b,
                    Code::CmpNe => a != b,
                    Code::CmpUlt => a < b,
                    Code::CmpUle => a <= b,
                    Code::CmpSlt => signed(a) < signed(b),
                    _ => signed(a) <= signed(b),
                };
                return self.becomes(op, Ty::I1, u64::from(holds));
            }
            _ => None,
        };
        if let Some(v) = folded {
            let ty = op.ty;
            self.becomes(op, ty, v & mask);
        }
    }

    /// Notes a shift by a constant. One to the right by as much as another to the left is an extension, where the host has that.
    fn shift(&mut self, op: &mut Op) {
        let code = op.opcode();
        if !matches!(code, Some(Code::Shl | Code::LShr | Code::AShr)) || !matches!(op.ty.bits(), 32 | 64) {
            return;
        }
        let bits = op.ty.bits();
        let Some(by) = self.value(op.b).map(|b| b as u32 & (bits - 1)).filter(|b| *b != 0) else { return };
        let before = self.facts.get(op.a as usize).map_or((0, 0), |f| (f.shift, f.value as u32));
        if code != Some(Code::Shl) && u32::from(before.0) == by && matches!(bits - by, 8 | 16 | 32) {
            op.code = if code == Some(Code::LShr) { Code::Extract } else { Code::SExtract } as u16;
            (op.a, op.b, op.aux, op.imm) = (before.1, NONE, (bits - by) << 8, 0);
            return;
        }
        let (a, b) = (op.a, op.b);
        if let (Some(Code::Shl | Code::LShr), Some(f)) = (code, self.facts.get_mut(op.dst as usize)) {
            f.shift = by as u8 | if code == Some(Code::LShr) { RIGHT } else { 0 };
            f.value = u64::from(a) | u64::from(b) << 32;
        }
    }

    /// Two shifts of one value, which have no bit in common and together all, put together.
    fn rotation(&mut self, op: &mut Op) {
        let shifts = |v: u32| self.facts.get(v as usize).filter(|f| f.shift != 0).map(|f| (f.shift, f.value));
        let (Some(a), Some(b)) = (shifts(op.a), shifts(op.b)) else { return };
        let (left, right) = if a.0 & RIGHT == 0 { (a, b) } else { (b, a) };
        let one = left.1 as u32 == right.1 as u32 && left.0 & RIGHT == 0 && right.0 & RIGHT != 0;
        if op.shape == Shape::SCALAR && one && u32::from(left.0) + u32::from(right.0 & !RIGHT) == op.ty.bits() {
            (op.code, op.a, op.b) = (Code::RotR as u16, right.1 as u32, (right.1 >> 32) as u32);
        }
    }

    /// Whether a number that is 0 or 1 is zero, or is not: the condition that it was made from, or its opposite.
    fn question(&mut self, op: &mut Op, code: Code, zero: Option<u64>) {
        let Some(condition) = self.facts.get(op.a as usize).filter(|f| f.shift == BIT && zero == Some(0)).map(|f| f.value as u32) else { return };
        match code {
            Code::CmpNe => {
                self.facts[op.dst as usize] = self.facts[condition as usize];
                self.facts[op.dst as usize].rename = condition;
                remove(op);
            }
            Code::CmpEq => {
                (op.code, op.ty, op.shape) = (Code::Not as u16, Ty::I1, Shape::SCALAR);
                (op.a, op.b, op.aux, op.imm) = (condition, NONE, 0, 0);
            }
            _ => {}
        }
    }

    fn becomes(&mut self, op: &mut Op, ty: Ty, v: u64) {
        (op.code, op.ty, op.shape, op.imm, op.aux) = (Code::Const as u16, ty, Shape::SCALAR, v, 0);
        (op.a, op.b, op.c) = (NONE, NONE, NONE);
    }
}

/// The lowest `len` bits; 0 of them do not occur.
fn field(len: u32) -> u64 {
    u64::MAX >> (64 - len.clamp(1, 64))
}
