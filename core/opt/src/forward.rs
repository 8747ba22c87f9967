//! Forwarding: a state field that was read or written before, and not been written since, is not read again.
//!
//! The known contents of fields are a table by byte offset; one generation number empties it where ways meet or a helper may have written
//! state. Constants are folded on the way, as far as that turns conditions and addresses into constants.

use crate::{StateInfo, UnitOps, remove};
use emu_ir::{Code, NONE, Op, Shape, Ty, Width, result_bits};

/// Fields at offsets below this are tracked.
const TRACKED: usize = 2048;
/// Size in bytes of the largest field that is.
const FIELD_MAX: usize = 16;

#[derive(Clone, Copy, Default)]
struct Known {
    generation: u32,
    value: u32,
    bits: u16,
}

/// The pass, with tables that are used again.
pub struct Forward {
    known: Vec<Known>,
    generation: u32,
    /// By value: the one to use in its place.
    rename: Vec<u32>,
    /// By value: its constant, if it is one.
    constant: Vec<Option<u64>>,
}

impl Default for Forward {
    fn default() -> Self {
        Forward { known: vec![Known::default(); TRACKED], generation: 0, rename: Vec::new(), constant: Vec::new() }
    }
}

fn bits_of(op: &Op) -> u16 {
    if matches!(op.shape, Shape::VL | Shape::PL) { 0 } else { result_bits(op) as u16 }
}

impl Forward {
    /// Runs over one unit.
    pub fn run(&mut self, ops: &mut [Op], unit: &UnitOps, info: &StateInfo) {
        self.forget();
        self.rename.clear();
        self.rename.extend(0..unit.slots);
        self.constant.clear();
        self.constant.resize(unit.slots as usize, None);
        for op in &mut ops[unit.first..unit.last] {
            let Some(code) = op.opcode() else { continue };
            if code != Code::Const128 {
                for s in [&mut op.a, &mut op.b, &mut op.c] {
                    if *s != NONE {
                        *s = self.rename[*s as usize];
                    }
                }
            }
            match code {
                Code::Get if op.imm >= u64::from(info.own) => self.get(op),
                Code::Set if op.imm < u64::from(info.own) => {}
                Code::Set => self.set(op),
                Code::Label => self.forget(),
                Code::Call if info.helper_writes.get(op.aux as usize).copied().unwrap_or(true) => self.forget(),
                _ => self.fold(op, code),
            }
            if op.dst != NONE {
                if op.code == Code::Const as u16 {
                    self.constant[op.dst as usize] = Some(op.imm);
                }
            }
        }
    }

    fn forget(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.known.fill(Known::default());
            self.generation = 1;
        }
    }

    fn get(&mut self, op: &mut Op) {
        let (at, bits) = (op.imm as usize, bits_of(op));
        if at >= TRACKED || bits == 0 {
            return;
        }
        let known = self.known[at];
        if known.generation == self.generation {
            if known.bits == bits {
                self.rename[op.dst as usize] = known.value;
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
        self.known[at] = Known { generation: self.generation, value: op.dst, bits };
    }

    fn set(&mut self, op: &mut Op) {
        let at = op.imm as usize;
        let bits = bits_of_set(op);
        let bytes = usize::from(bits).div_ceil(8);
        if bits == 0 {
            // A vector of run-time length: who knows how long.
            return self.forget();
        }
        for o in at.saturating_sub(FIELD_MAX - 1)..(at + bytes).min(TRACKED) {
            let k = self.known[o];
            if k.generation == self.generation && o + usize::from(k.bits).div_ceil(8) > at {
                self.known[o].generation = 0;
            }
        }
        if at < TRACKED {
            self.known[at] = Known { generation: self.generation, value: op.a, bits };
        }
    }

    fn value(&self, v: u32) -> Option<u64> {
        if v == NONE { None } else { self.constant[v as usize] }
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
                let Some((a, b)) = both else { return };
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

    fn becomes(&mut self, op: &mut Op, ty: Ty, v: u64) {
        (op.code, op.ty, op.shape, op.imm, op.aux) = (Code::Const as u16, ty, Shape::SCALAR, v, 0);
        (op.a, op.b, op.c) = (NONE, NONE, NONE);
    }
}

/// The lowest `len` bits; 0 of them do not occur.
fn field(len: u32) -> u64 {
    u64::MAX >> (64 - len.clamp(1, 64))
}

fn bits_of_set(op: &Op) -> u16 {
    match Width::of(op.ty, op.shape) {
        Width::Bits(b) => b as u16,
        _ => 0,
    }
}
