//! The verifier: one linear pass that a buffer from a plugin must survive before the interpreter or a code generator trusts it.
//!
//! It checks opcode and type numbers, that the op has a meaning at its type and shape, operand widths, definition before use on every way,
//! labels (forward only, placed once, in the instruction of the branch), static arguments that index something, state offsets inside the
//! CPU, and that control cannot run off the end.

use crate::demand::{ANY, Demand, FIELD, FULL, LAST, LOCAL, NO_RESULT, STATIC, WAY, demand};
use crate::meaning::has_meaning;
use crate::{Code, FP, NONE, Op, SCALAR, Shape, Ty, VECTOR, Width};

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

/// The width that a letter means where type and shape say it; `None` for another letter.
pub(crate) const fn fixed_width(letter: u8, ty: Ty, shape: Shape) -> Option<Width> {
    Some(match letter {
        b'T' => Width::of(ty, shape),
        b'E' => Width::Bits(ty.bits()),
        b'B' => Width::Bits(1),
        b'W' => Width::Bits(32),
        b'D' => Width::Bits(64),
        b'Q' => Width::Bits(128),
        b'S' => match shape {
            // A scalar op with an `S` operand (sqdmull) takes one element of half the width.
            Shape::SCALAR => Width::Bits(ty.bits() / 2),
            _ => Width::of(ty, shape),
        },
        b'H' => match shape {
            Shape::V128 => Width::Bits(64),
            Shape::VL => Width::Vl,
            Shape::V64 => Width::Bits(32),
            _ => Width::Bits(ty.bits() / 2),
        },
        _ => return None,
    })
}

#[inline]
fn letter_width(op: &Op, letter: u8) -> Option<Width> {
    Some(match letter {
        b'U' => Width::of(Ty(op.aux as u8), Shape((op.aux >> 8) as u8)),
        b'F' => Width::of(Ty((op.imm >> 16) as u8), op.shape),
        _ => return fixed_width(letter, op.ty, op.shape),
    })
}

/// Width of the op's result, if it has one. For a vector op between element types of different width (`ftoint`, `inttof`) the vector's own.
#[inline]
pub fn result_width(op: &Op) -> Option<Width> {
    let sig = op.info()?.sig.as_bytes();
    letter_width(op, sig[sig.len() - 1])
}

/// Number of bits of the result of an op that was checked: 0 if it has none, or one of run-time length.
#[inline]
pub fn result_bits(op: &Op) -> u32 {
    match demand(op) {
        d if d.flags & FULL == 0 => d.result_bits.into(),
        _ => match result_width(op) {
            Some(Width::Bits(bits)) => bits,
            _ => 0,
        },
    }
}

/// Number of bytes of the field that a `get` or `set` that was checked is about: 0 for one of run-time length.
#[inline]
pub fn field_bytes(op: &Op) -> u32 {
    demand(op).bytes.into()
}

/// The same in bits.
#[inline]
pub fn field_bits(op: &Op) -> u32 {
    demand(op).bits.into()
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

/// What is known of a value slot, in a byte.
const UNDEFINED: u8 = 0;
/// A value begins here that may not have been made on every way that leads here.
const STALE: u8 = 1;
/// In the place of an operand: there is none.
pub(crate) const ABSENT: u8 = 0xff;
const VL_VALUE: u8 = 3;
const PL_VALUE: u8 = 5;

/// The byte for a value of this width: for bits their number, except that one bit has the byte 2.
pub(crate) const fn byte_of(width: Width) -> u8 {
    match width {
        Width::Bits(1) => 2,
        Width::Bits(bits) => bits as u8,
        Width::Vl => VL_VALUE,
        Width::Pl => PL_VALUE,
    }
}

fn described(byte: u8) -> String {
    match byte {
        VL_VALUE => "a vl vector".into(),
        PL_VALUE => "a predicate".into(),
        2 => "1 bit wide".into(),
        bits => format!("{bits} bits wide"),
    }
}

/// A label that has been branched to and not been placed.
struct Pending {
    label: u64,
    /// Op of the first branch.
    index: usize,
    /// Values defined before it.
    order: usize,
}

/// Where an instruction begins in a buffer that was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InsnMark {
    /// Its address.
    pub pc: u64,
    /// Index of its `insn_start`.
    pub op: usize,
    /// The first slot that no value before it takes.
    pub slot: u32,
}

/// The verifier, with tables that are used again.
#[derive(Default)]
pub struct Verifier {
    /// Of each slot, what value begins there; behind what stands for [`NONE`], so that an absent operand is looked up like all others.
    defined: Vec<u8>,
    /// Values in the order of their definition, since the first branch to a label that is not placed: what a label makes stale is at the end.
    order: Vec<u32>,
    /// Both are short: a label belongs to one instruction, and few instructions have one.
    pending: Vec<Pending>,
    placed: Vec<u64>,
    /// Where the last block that was checked has `goto`, `branch` and `jump`.
    pub ways: Vec<usize>,
}

struct Checker<'a> {
    t: &'a mut Verifier,
    vl: u32,
    state_bytes: u64,
    helpers: u32,
    /// One behind the highest slot of a value so far.
    top: u32,
    /// `top` where the instruction began.
    insn: u32,
    /// No value was used or made by another instruction than the one that owns its place in the order of slots.
    separate: bool,
}

/// Checks a whole block. `state_bytes` is the size of the CPU state, `helpers` the number of helpers, `vl` the run-time vector length.
pub fn verify(ops: &[Op], slots: u32, vl: u32, state_bytes: u64, helpers: u32) -> Result<(), VerifyError> {
    Verifier::default().run(ops, slots, vl, state_bytes, helpers, &mut Vec::new()).map(|_| ())
}

impl Verifier {
    /// The same as [`verify`], and notes in `marks` where instructions begin. True if the block may be divided before any of them: each
    /// uses values of its own only, and they lie behind those of the instructions before it.
    pub fn run(&mut self, ops: &[Op], slots: u32, vl: u32, state_bytes: u64, helpers: u32, marks: &mut Vec<InsnMark>) -> Result<bool, VerifyError> {
        if slots > 1 << 20 {
            return Err(VerifyError { index: 0, what: format!("{slots} value slots are more than a block may have") });
        }
        self.defined.clear();
        self.defined.push(ABSENT);
        self.defined.resize(slots as usize + 1, UNDEFINED);
        self.order.clear();
        self.pending.clear();
        self.placed.clear();
        self.ways.clear();
        let separate = ops.first().is_some_and(|op| op.code == Code::InsnStart as u16);
        let mut c = Checker { t: self, vl, state_bytes, helpers, top: 0, insn: 0, separate };
        let mut reachable = true;
        let mut index = 0;
        loop {
            if c.t.pending.is_empty() {
                index = c.plain(ops, index, marks);
            }
            let Some(op) = ops.get(index) else { break };
            let row = demand(op);
            let at = index;
            index += 1;
            if !c.quick(op, row) {
                // Not an op that is checked by tables alone, or a mistake, which this one has words for.
                c.op(op).map_err(|what| VerifyError { index: at, what })?;
            }
            if row.flags & (LOCAL | LAST | WAY) == 0 {
                continue;
            }
            if op.code == INSN_START && c.t.pending.is_empty() {
                c.insn = c.top;
                marks.push(InsnMark { pc: op.imm, op: at, slot: c.top });
                continue;
            }
            if row.flags & WAY != 0 {
                c.t.ways.push(at);
            }
            if row.flags & LOCAL == 0 {
                reachable &= row.flags & LAST == 0;
                continue;
            }
            c.control(op, at).map_err(|what| VerifyError { index: at, what })?;
            reachable = op.code == LABEL || reachable && op.code != BR;
        }
        let separate = c.separate;
        if let Some(p) = self.pending.iter().min_by_key(|p| p.index) {
            return Err(VerifyError { index: p.index, what: format!("label {} is never placed", p.label) });
        }
        if reachable {
            return Err(VerifyError { index: ops.len(), what: "control runs off the end of the block".into() });
        }
        Ok(separate)
    }
}

const INSN_START: u16 = Code::InsnStart as u16;
const LABEL: u16 = Code::Label as u16;
const BRIF: u16 = Code::BrIf as u16;
const BR: u16 = Code::Br as u16;

impl Checker<'_> {
    /// Checks ops from `from` on, outside of branches, as long as they are such as the table decides: where it ends. Most of a block is, so this loop
    /// has what it needs in registers.
    #[inline(never)]
    fn plain(&mut self, ops: &[Op], from: usize, marks: &mut Vec<InsnMark>) -> usize {
        let (mut top, mut lowest, mut insn, mut separate, state_bytes) = (self.top, u32::MAX, self.insn, self.separate, self.state_bytes);
        let Verifier { defined, ways, .. } = &mut *self.t;
        let defined = &mut defined[..];
        let mut n = from;
        for op in &ops[from..] {
            let row = demand(op);
            if row.flags & (FULL | ANY | LAST) != 0 {
                break;
            }
            let have = |slot: u32| defined.get(slot.wrapping_add(1) as usize).copied().unwrap_or(UNDEFINED);
            if (have(op.a) ^ row.operands[0]) | (have(op.b) ^ row.operands[1]) | (have(op.c) ^ row.operands[2]) != 0 {
                break;
            }
            if row.flags & FIELD != 0 && !(op.imm <= state_bytes && op.imm + u64::from(row.bytes) <= state_bytes) {
                break;
            }
            if row.result == NO_RESULT {
                if op.dst != NONE {
                    break;
                }
            } else {
                // A result of 128 bits has two slots.
                let end = op.dst as usize + 1 + usize::from(row.result >> 7);
                if end >= defined.len() || defined[op.dst as usize + 1] != UNDEFINED {
                    break;
                }
                if row.flags & STATIC != 0 && !statics(op, self.vl, self.helpers, state_bytes) {
                    break;
                }
                defined[op.dst as usize + 1] = row.result;
                top = top.max(end as u32);
            }
            if row.flags & (LOCAL | WAY | STATIC) != 0 {
                if op.code == INSN_START {
                    separate &= lowest >= insn;
                    (insn, lowest) = (top, u32::MAX);
                    marks.push(InsnMark { pc: op.imm, op: n, slot: top });
                    n += 1;
                    continue;
                }
                if row.flags & LOCAL != 0 || row.result == NO_RESULT && row.flags & STATIC != 0 && !statics(op, self.vl, self.helpers, state_bytes) {
                    break;
                }
                if row.flags & WAY != 0 {
                    ways.push(n);
                }
            }
            // The absent ones are the highest.
            lowest = lowest.min(op.a).min(op.b).min(op.c).min(op.dst);
            n += 1;
        }
        (self.top, self.insn) = (top, insn);
        self.separate = separate & (lowest >= insn);
        n
    }

    /// The same as `op`, by what the table says; false if the op is wrong or not one that the table decides. Then nothing has been done.
    #[inline]
    fn quick(&mut self, op: &Op, row: &Demand) -> bool {
        let defined = &mut self.t.defined[..];
        // What stands for an absent operand lies before the slots.
        let have = |slot: u32| defined.get(slot.wrapping_add(1) as usize).copied().unwrap_or(UNDEFINED);
        let mut a = row.operands[0];
        if row.flags & (FULL | ANY) != 0 {
            a = match any(op, row) {
                Some(a) => a,
                None => return false,
            };
        }
        // An operand that is undefined is never what is wanted.
        if (have(op.a) ^ a) | (have(op.b) ^ row.operands[1]) | (have(op.c) ^ row.operands[2]) != 0 {
            return false;
        }
        if row.flags & (STATIC | FIELD) != 0 {
            let fits = if row.flags & FIELD != 0 {
                op.imm <= self.state_bytes && op.imm + u64::from(row.bytes) <= self.state_bytes
            } else {
                statics(op, self.vl, self.helpers, self.state_bytes)
            };
            if !fits {
                return false;
            }
        }
        // The absent ones are the highest.
        let mut lowest = op.a.min(op.b).min(op.c);
        if row.result == NO_RESULT {
            if op.dst != NONE {
                return false;
            }
        } else {
            // A result of 128 bits has two slots.
            let end = u64::from(op.dst) + 1 + u64::from(row.result >> 7);
            if end >= defined.len() as u64 {
                return false;
            }
            let place = &mut defined[op.dst as usize + 1];
            if *place != UNDEFINED {
                return false;
            }
            *place = row.result;
            self.top = self.top.max(end as u32);
            lowest = lowest.min(op.dst);
            if !self.t.pending.is_empty() {
                self.t.order.push(op.dst);
            }
        }
        self.separate &= lowest >= self.insn;
        true
    }

    /// Notes a value.
    fn defined(&mut self, slot: u32, width: u8, end: u32) {
        self.t.defined[slot as usize + 1] = width;
        self.separate &= slot >= self.insn;
        self.top = self.top.max(end);
        if !self.t.pending.is_empty() {
            self.t.order.push(slot);
        }
    }

    /// Checks an op by its row.
    #[cold]
    #[inline(never)]
    fn op(&mut self, op: &Op) -> Result<Code, String> {
        let code = op.opcode().ok_or_else(|| format!("opcode {} is not in the op table", op.code))?;
        let info = &crate::OPS[code as usize];
        let name = info.name;
        if !op.ty.is_valid() || !op.shape.is_valid() {
            return Err(format!("{name}: type {} or shape {} does not exist", op.ty.0, op.shape.0));
        }
        if !has_meaning(code, op.ty, op.shape) {
            return Err(meaningless(op, info.flags, name));
        }
        if op.shape.0 >= Shape::VL.0 && !(self.vl.is_multiple_of(16) && (16..=256).contains(&self.vl)) {
            return Err(format!("{name}: there are no {} values where a vector is {} bytes long", op.shape.name(), self.vl));
        }
        let mut slots = [op.a, op.b, op.c];
        if code == Code::Const128 {
            // Words of the constant.
            slots = [NONE; 3];
        }
        let sig = info.sig.as_bytes();
        let mut operands = true;
        for (slot, letter) in slots.into_iter().zip(sig) {
            operands &= *letter != b'>';
            match operands.then_some(*letter) {
                Some(_) if slot == NONE && code == Code::Call => {}
                Some(letter) => {
                    let width = self.width(op, letter, name)?;
                    self.used(name, slot, width)?;
                }
                None if slot != NONE => return Err(format!("{name}: an operand too many")),
                None => {}
            }
        }
        if !statics(op, self.vl, self.helpers, self.state_bytes) {
            return Err(format!("{name}: static argument aux {:#x} imm {:#x} is out of range", op.aux, op.imm));
        }
        match sig.last().and_then(|letter| letter_width(op, *letter)) {
            Some(width) => self.define(name, op.dst, width)?,
            None if op.dst != NONE => return Err(format!("{name} has no result")),
            None => {}
        }
        Ok(code)
    }

    fn width(&self, op: &Op, letter: u8, name: &str) -> Result<Width, String> {
        let exists = match letter {
            b'U' => Ty(op.aux as u8).is_valid() && Shape((op.aux >> 8) as u8).is_valid() && op.aux < 1 << 16,
            b'F' => Ty((op.imm >> 16) as u8).is_valid(),
            _ => true,
        };
        match letter_width(op, letter) {
            Some(width) if exists => Ok(width),
            _ => Err(format!("{name}: source type (aux {:#x}, imm {:#x}) does not exist", op.aux, op.imm)),
        }
    }

    fn used(&mut self, name: &str, slot: u32, width: Width) -> Result<(), String> {
        let want = byte_of(width);
        match self.t.defined.get(slot as usize + 1) {
            Some(have) if *have == want => {
                self.separate &= slot >= self.insn;
                Ok(())
            }
            Some(&have) if have > STALE => Err(format!("{name}: value {slot} is {}, {} was expected", described(have), described(want))),
            _ => Err(format!("{name}: value {slot} is not defined here")),
        }
    }

    fn define(&mut self, name: &str, slot: u32, width: Width) -> Result<(), String> {
        let end = u64::from(slot) + u64::from(width.slots(self.vl).max(1));
        if end >= self.t.defined.len() as u64 {
            return Err(format!("{name}: result slot {slot} is out of range"));
        }
        if self.t.defined[slot as usize + 1] != UNDEFINED {
            return Err(format!("{name}: value {slot} is defined twice"));
        }
        self.defined(slot, byte_of(width), end as u32);
        Ok(())
    }

    /// Labels.
    #[inline(never)]
    fn control(&mut self, op: &Op, index: usize) -> Result<(), String> {
        let t = &mut *self.t;
        match op.code {
            LABEL => {
                if t.placed.contains(&op.imm) {
                    return Err(format!("label {} is placed twice", op.imm));
                }
                t.placed.push(op.imm);
                if let Some(i) = t.pending.iter().position(|p| p.label == op.imm) {
                    let from = t.pending.swap_remove(i).order;
                    for slot in t.order.drain(from..) {
                        t.defined[slot as usize + 1] = STALE;
                    }
                    t.pending.iter_mut().for_each(|p| p.order = p.order.min(from));
                }
                if t.pending.is_empty() {
                    t.order.clear();
                }
            }
            INSN_START if !t.pending.is_empty() => return Err("a branch to a label leaves its instruction".into()),
            BRIF | BR => {
                if t.placed.contains(&op.imm) {
                    return Err(format!("backward branch to label {}", op.imm));
                }
                if t.pending.iter().all(|p| p.label != op.imm) {
                    t.pending.push(Pending { label: op.imm, index, order: t.order.len() });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// What an op whose first operand is of any type wants of it; `None`: the full check decides.
#[inline(never)]
fn any(op: &Op, row: &Demand) -> Option<u8> {
    match (op.aux >> 8, op.aux & 0xff) {
        (shape @ 0..3, ty) if row.flags & FULL == 0 && ty < u32::from(Ty::COUNT) => Some(byte_of(Width::of(Ty(ty as u8), Shape(shape as u8)))),
        _ => None,
    }
}

/// Static arguments.
#[inline(never)]
fn statics(op: &Op, vl: u32, helpers: u32, state_bytes: u64) -> bool {
    let Some(code) = op.opcode() else { return false };
    let bits = op.ty.bits();
    let bytes = || match op.shape {
        Shape::SCALAR => op.ty.bytes(),
        shape => shape.bytes(vl),
    };
    let source = Ty(op.aux as u8);
    let (float_source, fraction_bits) = (Ty((op.imm >> 16) as u8), op.imm >> 8 & 0xff);
    // A vector's elements keep their place.
    let as_wide = || op.shape == Shape::SCALAR || float_source.bits() == bits;
    match code {
        Code::Get | Code::Set => op.imm.checked_add(u64::from(bytes())).is_some_and(|end| end <= state_bytes),
        // One access, or several of 8 bytes.
        Code::Load | Code::Store => matches!(bytes(), 1 | 2 | 4) || bytes().is_multiple_of(8),
        Code::Const => bits >= 64 || op.imm >> bits == 0,
        Code::Call => op.aux < helpers,
        Code::Extract | Code::SExtract | Code::Deposit => {
            let (lsb, len) = (op.aux & 0xff, op.aux >> 8);
            len >= 1 && lsb.checked_add(len).is_some_and(|end| end <= bits)
        }
        Code::ConcatShr => op.aux < bits,
        Code::GetLane | Code::SetLane => op.imm < u64::from(bytes() * 8 / bits),
        Code::Ext => op.imm <= u64::from(bytes()),
        Code::Rev => op.aux >= bits && op.aux <= 128 && op.aux.is_power_of_two(),
        Code::UShrImm | Code::SShrImm | Code::SriImm => op.imm >= 1 && op.imm <= u64::from(bits),
        Code::ShlImm | Code::SliImm | Code::SQShlImm | Code::Narrow => op.imm <= u64::from(bits),
        Code::RotRImm => op.imm < u64::from(bits),
        Code::Sha1Hash => op.imm <= 2,
        Code::Sm4 => op.imm <= 1,
        Code::Rmw => op.imm <= crate::rmw::AND,
        Code::ZExt | Code::SExt => op.aux < 256 && source.bits() <= bits,
        Code::Trunc => op.aux < 256 && source.bits() >= bits,
        Code::VResize => op.aux >> 8 < u32::from(Shape::VL.0) || vl != 0,
        Code::Crc32 => matches!(source, Ty::I8 | Ty::I16 | Ty::I32 | Ty::I64) && op.aux < 256 && op.imm <= 1,
        Code::FToInt => float_source.is_float() && as_wide() && fraction_bits <= 64,
        Code::IntToF => (8..=64).contains(&float_source.bits()) && as_wide() && fraction_bits <= 64,
        Code::FConvert => float_source.is_float(),
        Code::FRoundIntN => matches!(fraction_bits, 16 | 32 | 64),
        _ => true,
    }
}
#[cold]
fn meaningless(op: &Op, flags: u16, name: &str) -> String {
    if flags & VECTOR != 0 && op.shape == Shape::SCALAR {
        format!("{name} works on vectors")
    } else if flags & SCALAR != 0 && op.shape != Shape::SCALAR {
        format!("{name} works on scalars")
    } else if flags & FP != 0 && !op.ty.is_float() {
        format!("{name} works on floating-point types, not {}", op.ty.name())
    } else {
        format!("{name} has no meaning for {} {}", op.ty.name(), op.shape.name())
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
        #[rustfmt::skip]
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
            ("not defined here", check(|ir| {
                let (l, c) = (ir.new_label(), ir.iconst(Ty::I1, 0));
                ir.brif(c, l);
                let a = one(ir);
                ir.label(l);
                ir.jump(a, 0);
            })),
            ("not defined here", check(|ir| {
                // The inner label takes what the outer one would.
                let (outer, inner, c) = (ir.new_label(), ir.new_label(), ir.iconst(Ty::I1, 0));
                ir.brif(c, inner);
                ir.brif(c, outer);
                ir.label(inner);
                let a = one(ir);
                ir.label(outer);
                ir.jump(a, 0);
            })),
            ("no meaning", check(|ir| { let a = ir.const128(1); ir.bin(Code::Add, Ty::I1, Shape::V128, a, a); ir.goto(0, false) })),
            ("no meaning", check(|ir| { let a = ir.const128(1); ir.un(Code::Narrow, Ty::I8, Shape::V128, a); ir.goto(0, false) })),
            ("floating-point", check(|ir| { let a = one(ir); ir.bin(Code::FAdd, Ty::I64, Shape::SCALAR, a, a); ir.goto(0, false) })),
        ];
        for (want, got) in cases {
            assert!(got.as_ref().is_err_and(|e| e.contains(want)), "{want}: {got:?}");
        }
    }
}
