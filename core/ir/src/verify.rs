//! The verifier: one linear pass that a buffer from a plugin must survive before the interpreter or a code generator trusts it.
//!
//! It checks opcode and type numbers, operand widths, definition before use, labels (forward only, placed once, in the instruction of the branch), static arguments that
//! index something, state offsets inside the CPU, and that control cannot run off the end.

use crate::{Code, ENDS, NONE, Op, SCALAR, Shape, Ty, VECTOR, Width};

/// Why a buffer was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyError {
    /// Index of the op.
    pub index: usize,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "op {}: {}", self.index, self.what)
    }
}

impl std::error::Error for VerifyError {}

fn letter_width(op: &Op, letter: u8) -> Option<Width> {
    Some(match letter {
        b'T' => Width::of(op.ty, op.shape),
        b'E' => Width::Bits(op.ty.bits()),
        b'B' => Width::Bits(1),
        b'W' => Width::Bits(32),
        b'D' => Width::Bits(64),
        b'Q' => Width::Bits(128),
        b'S' => match op.shape {
            // A scalar op with an `S` operand (sqdmull) takes one element of half the width.
            Shape::SCALAR => Width::Bits(op.ty.bits() / 2),
            _ => Width::of(op.ty, op.shape),
        },
        b'H' => match op.shape {
            Shape::V128 => Width::Bits(64),
            Shape::VL => Width::Vl,
            Shape::V64 => Width::Bits(32),
            _ => Width::Bits(op.ty.bits() / 2),
        },
        b'U' => Width::of(Ty(op.aux as u8), Shape((op.aux >> 8) as u8)),
        b'F' => Width::of(Ty((op.imm >> 16) as u8), op.shape),
        _ => return None,
    })
}

/// Width of the op's result, if it has one. For a vector op between element types of different width (`ftoint`, `inttof`) the vector's own.
#[inline]
pub fn result_width(op: &Op) -> Option<Width> {
    let sig = op.info()?.sig.as_bytes();
    letter_width(op, sig[sig.len() - 1])
}

/// Widths that the op's row demands of its operands a, b, c.
pub fn operand_widths(op: &Op) -> [Option<Width>; 3] {
    let mut widths = [None; 3];
    if let Some(info) = op.info() {
        for (w, letter) in widths.iter_mut().zip(info.sig.bytes().take_while(|b| *b != b'>')) {
            *w = letter_width(op, letter);
        }
    }
    widths
}

struct Checker<'a> {
    ops: &'a [Op],
    /// Width of the value that begins at each slot, once defined, and the label era in which it was.
    defined: Vec<Option<Width>>,
    vl: u32,
    state_bytes: u64,
    helpers: u32,
}

/// Checks a whole block. `state_bytes` is the size of the CPU state, `helpers` the number of helpers, `vl` the run-time vector length.
pub fn verify(ops: &[Op], slots: u32, vl: u32, state_bytes: u64, helpers: u32) -> Result<(), VerifyError> {
    if slots > 1 << 20 {
        return Err(VerifyError { index: 0, what: format!("{slots} value slots are more than a block may have") });
    }
    let mut c = Checker { ops, defined: vec![None; slots as usize], vl, state_bytes, helpers };
    let mut labels_seen = std::collections::HashSet::new();
    let mut pending: std::collections::HashMap<u64, usize> = std::collections::HashMap::new();
    let mut reachable = true;
    for (index, op) in c.ops.iter().enumerate() {
        c.op(op).map_err(|what| VerifyError { index, what })?;
        let fail = |what: String| Err(VerifyError { index, what });
        match op.opcode() {
            Some(Code::Label) => {
                if !labels_seen.insert(op.imm) {
                    return fail(format!("label {} is placed twice", op.imm));
                }
                pending.remove(&op.imm);
                reachable = true;
            }
            Some(Code::InsnStart) if !pending.is_empty() => return fail("a branch to a label leaves its instruction".into()),
            Some(Code::BrIf | Code::Br) => {
                if labels_seen.contains(&op.imm) {
                    return fail(format!("backward branch to label {}", op.imm));
                }
                pending.entry(op.imm).or_insert(index);
            }
            _ => {}
        }
        if op.info().is_some_and(|i| i.flags & ENDS != 0) {
            reachable = false;
        }
    }
    if let Some((label, index)) = pending.into_iter().min_by_key(|p| p.1) {
        return Err(VerifyError { index, what: format!("label {label} is never placed") });
    }
    if reachable {
        return Err(VerifyError { index: ops.len(), what: "control runs off the end of the block".into() });
    }
    Ok(())
}

impl Checker<'_> {
    fn op(&mut self, op: &Op) -> Result<(), String> {
        let info = op.info().ok_or_else(|| format!("opcode {} is not in the op table", op.code))?;
        let name = info.name;
        if !op.ty.is_valid() || !op.shape.is_valid() {
            return Err(format!("{name}: type {} or shape {} does not exist", op.ty.0, op.shape.0));
        }
        if info.flags & VECTOR != 0 && op.shape == Shape::SCALAR {
            return Err(format!("{name} works on vectors"));
        }
        if info.flags & SCALAR != 0 && op.shape != Shape::SCALAR {
            return Err(format!("{name} works on scalars"));
        }
        if info.flags & crate::FP != 0 && !op.ty.is_float() && !matches!(op.opcode(), Some(Code::FToInt | Code::FToJs)) {
            return Err(format!("{name} works on floating-point types, not {}", op.ty.name()));
        }
        let letters = info.sig.as_bytes();
        if letters.contains(&b'U') && (!Ty(op.aux as u8).is_valid() || !Shape((op.aux >> 8) as u8).is_valid()) {
            return Err(format!("{name}: source type {:#x} does not exist", op.aux));
        }
        if letters.contains(&b'F') && !Ty((op.imm >> 16) as u8).is_valid() {
            return Err(format!("{name}: source type {:#x} does not exist", op.imm));
        }
        let raw_operands = op.opcode() == Some(Code::Const128);
        if !raw_operands {
            let optional = op.opcode() == Some(Code::Call);
            for (slot, width) in [op.a, op.b, op.c].into_iter().zip(operand_widths(op)) {
                match width {
                    Some(_) if optional && slot == NONE => {}
                    Some(width) => self.used(name, slot, width)?,
                    None if slot != NONE => return Err(format!("{name}: an operand too many")),
                    None => {}
                }
            }
        }
        self.statics(op, name)?;
        match result_width(op) {
            Some(width) => self.define(name, op.dst, width),
            None if op.dst != NONE => Err(format!("{name} has no result")),
            None => Ok(()),
        }
    }

    fn used(&self, name: &str, slot: u32, width: Width) -> Result<(), String> {
        match self.defined.get(slot as usize) {
            Some(Some(have)) if *have == width => Ok(()),
            Some(Some(have)) => Err(format!("{name}: value {slot} is {have:?}, {width:?} was expected")),
            _ => Err(format!("{name}: value {slot} is not defined here")),
        }
    }

    fn define(&mut self, name: &str, slot: u32, width: Width) -> Result<(), String> {
        let end = u64::from(slot) + u64::from(width.slots(self.vl).max(1));
        if end > self.defined.len() as u64 {
            return Err(format!("{name}: result slot {slot} is out of range"));
        }
        if self.defined[slot as usize].replace(width).is_some() {
            return Err(format!("{name}: value {slot} is defined twice"));
        }
        Ok(())
    }

    fn statics(&self, op: &Op, name: &str) -> Result<(), String> {
        let bits = op.ty.bits();
        let bytes = match op.shape {
            Shape::SCALAR => op.ty.bytes(),
            shape => shape.bytes(self.vl),
        };
        let ok = match op.opcode() {
            Some(Code::Get | Code::Set) => op.imm.checked_add(u64::from(bytes)).is_some_and(|end| end <= self.state_bytes),
            Some(Code::Call) => op.aux < self.helpers,
            Some(Code::Extract | Code::SExtract | Code::Deposit) => {
                let (lsb, len) = (op.aux & 0xff, op.aux >> 8);
                len >= 1 && lsb + len <= bits
            }
            Some(Code::ConcatShr) => op.aux < bits,
            Some(Code::GetLane | Code::SetLane) => op.imm < u64::from(bytes * 8 / bits.max(8)),
            Some(Code::Ext) => op.imm <= u64::from(bytes),
            Some(Code::Rev) => op.aux >= bits && op.aux <= 128 && op.aux.is_power_of_two(),
            Some(Code::UShrImm | Code::SShrImm | Code::SriImm) => op.imm >= 1 && op.imm <= u64::from(bits),
            Some(Code::ShlImm | Code::SliImm | Code::SQShlImm | Code::Narrow) => op.imm <= u64::from(bits),
            Some(Code::Rmw) => op.imm <= crate::rmw::AND,
            Some(Code::ZExt | Code::SExt) => Ty(op.aux as u8).bits() <= bits && op.aux < 256,
            Some(Code::Trunc) => Ty(op.aux as u8).bits() >= bits && op.aux < 256,
            Some(Code::Crc32) => op.aux < 256 && Ty(op.aux as u8).bits() <= 64 && op.imm <= 1,
            _ => true,
        };
        if ok { Ok(()) } else { Err(format!("{name}: static argument aux {:#x} imm {:#x} is out of range", op.aux, op.imm)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ir, MemFlags, OwnedIrBuf};

    fn check(build: impl FnOnce(&mut Ir<'_>)) -> Result<(), String> {
        let mut buf = OwnedIrBuf::new(32);
        build(&mut Ir::new(&mut buf));
        verify(buf.ops(), buf.next_slot, 32, 1024, 4).map_err(|e| e.what)
    }

    #[test]
    fn accepts_a_block() {
        let r = check(|ir| {
            ir.insn_start(0x1000, 0);
            let a = ir.get(Ty::I64, Shape::SCALAR, 64);
            let v = ir.load(Ty::I32, a, 8, MemFlags::NONE);
            let w = ir.zext(Ty::I64, Ty::I32, v);
            ir.set(Ty::I64, Shape::SCALAR, 72, w);
            ir.goto(0x1004, false);
        });
        assert_eq!(r, Ok(()));
    }

    #[test]
    fn every_mistake_is_named() {
        let one = |ir: &mut Ir<'_>| ir.iconst(Ty::I64, 1);
        let cases: Vec<(&str, Result<(), String>)> = vec![
            ("runs off the end", check(|ir| ir.insn_start(0, 0))),
            ("is not defined", check(|ir| ir.jump(crate::Val(0), 0))),
            ("was expected", check(|ir| { let a = one(ir); ir.branch(a, 4); ir.goto(0, false) })),
            ("never placed", check(|ir| { let l = ir.new_label(); ir.br(l) })),
            ("placed twice", check(|ir| { let l = ir.new_label(); ir.label(l); ir.label(l); ir.goto(0, false) })),
            ("backward", check(|ir| { let l = ir.new_label(); ir.label(l); ir.br(l) })),
            ("leaves its instruction", check(|ir| { let l = ir.new_label(); ir.br(l); ir.insn_start(4, 0); ir.label(l); ir.goto(0, false) })),
            ("out of range", check(|ir| { ir.get(Ty::I64, Shape::SCALAR, 1020); ir.goto(0, false) })),
            ("out of range", check(|ir| { ir.call(4, &[], 0); ir.goto(0, false) })),
            ("out of range", check(|ir| { let a = one(ir); ir.extract(Ty::I64, a, 60, 8); ir.goto(0, false) })),
            ("works on scalars", check(|ir| { let a = one(ir); ir.bin(Code::UDiv, Ty::I8, Shape::V64, a, a); ir.goto(0, false) })),
            ("works on vectors", check(|ir| { let a = one(ir); ir.bin(Code::Zip1, Ty::I64, Shape::SCALAR, a, a); ir.goto(0, false) })),
            ("does not exist", check(|ir| { ir.iconst(Ty(99), 0); ir.goto(0, false) })),
            ("floating-point", check(|ir| { let a = one(ir); ir.bin(Code::FAdd, Ty::I64, Shape::SCALAR, a, a); ir.goto(0, false) })),
        ];
        for (want, got) in cases {
            assert!(got.as_ref().is_err_and(|e| e.contains(want)), "{want}: {got:?}");
        }
    }
}
