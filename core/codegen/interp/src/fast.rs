//! The fast form of a block, and its loop.
//!
//! Values and CPU state lie in one piece of memory, so that an operand is a byte offset from one base and may be a value slot or a state
//! field alike. Preparing a block turns most `get` and `set` ops into operands of their neighbours, drops condition flags that nobody can
//! see, and gives the ops that integer code consists of their own arms. Everything else runs as in the plain interpreter, on the same slots.
//!
//! It must not be told from [`crate::run`] by anything but its speed: tests run blocks both ways, and `EMU_INTERP=plain` forces the plain one.
//!
//! Invariants: a slot holds its value zero-extended to 8 bytes; an arm reads an operand at its type's width and no more, because a state
//! field may be narrower than a slot; it reads all operands before it writes.

use crate::{End, Env, Outcome, Step, scalar, vector};
use emu_ir::{Code, EFFECT, EXITS, FAULTS, MemFlags, NONE, Op, Shape, Ty};

#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
enum Kind {
    Plain,
    Mov8,
    Mov16,
    Mov32,
    Mov64,
    Mov128,
    Put8,
    Put16,
    Put32,
    Const,
    Pair,
    Add64,
    Sub64,
    And64,
    Or64,
    Xor64,
    AndNot64,
    OrNot64,
    Shl64,
    LShr64,
    AShr64,
    RotR64,
    Mul64,
    Add32,
    Sub32,
    And32,
    Or32,
    Xor32,
    AndNot32,
    OrNot32,
    Shl32,
    LShr32,
    AShr32,
    RotR32,
    Mul32,
    Not64,
    Not32,
    Eq64,
    Ne64,
    Ult64,
    Ule64,
    Slt64,
    Sle64,
    SubOverflow64,
    Carry64,
    Overflow64,
    Eq32,
    Ne32,
    Ult32,
    Ule32,
    Slt32,
    Sle32,
    SubOverflow32,
    Carry32,
    Overflow32,
    And1,
    Or1,
    Xor1,
    AndNot1,
    Eq1,
    Not1,
    Select64,
    Select32,
    SExt8,
    SExt16,
    SExt32,
    Extract64,
    Extract32,
    SExtract64,
    SExtract32,
    Deposit64,
    Deposit32,
    Load8,
    Load16,
    Load32,
    Load64,
    Load128,
    Store8,
    Store16,
    Store32,
    Store64,
    Store128,
    Goto,
    Branch,
    Jump,
    Exit,
    ExitJump,
    BrIf,
    Br,
    Call,
}

/// `flags` of a [`Fast`]: operand b is `imm`.
const IMMEDIATE: u16 = 1;
/// The result is one byte of state, not a slot.
const TO_BYTE: u16 = 2;
/// Operand c is 0.
const C_ZERO: u16 = 4;
/// Operand c is 1.
const C_ONE: u16 = 8;

#[derive(Clone, Copy, Debug)]
struct Fast {
    kind: Kind,
    flags: u16,
    /// Instruction that it belongs to, from 0.
    insn: u16,
    dst: u32,
    a: u32,
    b: u32,
    c: u32,
    aux: u32,
    imm: u64,
}

/// A block in its fast form.
pub struct FastBlock {
    steps: Box<[Fast]>,
    /// Ops that run as in the plain interpreter.
    plain: Box<[Op]>,
    /// Address and info word of each instruction.
    insns: Box<[(u64, u32)]>,
    slots: u32,
}

impl FastBlock {
    /// Memory held in bytes.
    pub fn bytes(&self) -> usize {
        self.steps.len() * size_of::<Fast>() + self.plain.len() * size_of::<Op>() + self.insns.len() * 16
    }
}

fn kind_of(op: &Op, code: Code) -> Option<Kind> {
    use Kind as K;
    if op.shape != Shape::SCALAR {
        return None;
    }
    let by = |k64, k32| match op.ty {
        Ty::I64 => Some(k64),
        Ty::I32 => Some(k32),
        _ => None,
    };
    let by1 = |k64, k32, k1| if op.ty == Ty::I1 { Some(k1) } else { by(k64, k32) };
    let memory = !MemFlags(op.aux).has(MemFlags::BIG_ENDIAN);
    let sized = |k: [Kind; 5]| match op.ty.bits() {
        8 if memory => Some(k[0]),
        16 if memory => Some(k[1]),
        32 if memory => Some(k[2]),
        64 if memory => Some(k[3]),
        128 if memory => Some(k[4]),
        _ => None,
    };
    match code {
        Code::Const | Code::Address => Some(K::Const),
        Code::Pair => Some(K::Pair),
        Code::Add => by(K::Add64, K::Add32),
        Code::Sub => by(K::Sub64, K::Sub32),
        Code::And => by1(K::And64, K::And32, K::And1),
        Code::Or => by1(K::Or64, K::Or32, K::Or1),
        Code::Xor => by1(K::Xor64, K::Xor32, K::Xor1),
        Code::AndNot => by1(K::AndNot64, K::AndNot32, K::AndNot1),
        Code::OrNot => by(K::OrNot64, K::OrNot32),
        Code::Shl => by(K::Shl64, K::Shl32),
        Code::LShr => by(K::LShr64, K::LShr32),
        Code::AShr => by(K::AShr64, K::AShr32),
        Code::RotR => by(K::RotR64, K::RotR32),
        Code::Mul => by(K::Mul64, K::Mul32),
        Code::Not => by1(K::Not64, K::Not32, K::Not1),
        Code::CmpEq => by1(K::Eq64, K::Eq32, K::Eq1),
        Code::CmpNe => by1(K::Ne64, K::Ne32, K::Xor1),
        Code::CmpUlt => by(K::Ult64, K::Ult32),
        Code::CmpUle => by(K::Ule64, K::Ule32),
        Code::CmpSlt => by(K::Slt64, K::Slt32),
        Code::CmpSle => by(K::Sle64, K::Sle32),
        Code::SubOverflow => by(K::SubOverflow64, K::SubOverflow32),
        Code::CarryOut => by(K::Carry64, K::Carry32),
        Code::Overflow => by(K::Overflow64, K::Overflow32),
        Code::Select => by(K::Select64, K::Select32),
        Code::Extract => by(K::Extract64, K::Extract32),
        Code::SExtract => by(K::SExtract64, K::SExtract32),
        Code::Deposit => by(K::Deposit64, K::Deposit32),
        Code::SExt if op.ty == Ty::I64 => match Ty(op.aux as u8) {
            Ty::I8 => Some(K::SExt8),
            Ty::I16 => Some(K::SExt16),
            Ty::I32 => Some(K::SExt32),
            _ => None,
        },
        Code::ZExt if op.ty.bits() <= 64 => mov(Ty(op.aux as u8)),
        Code::Trunc if op.ty.bits() <= 64 && op.ty != Ty::I1 => mov(op.ty),
        Code::Lo64 | Code::Hi64 => Some(K::Mov64),
        Code::Load => sized([K::Load8, K::Load16, K::Load32, K::Load64, K::Load128]),
        Code::Store => sized([K::Store8, K::Store16, K::Store32, K::Store64, K::Store128]),
        Code::Goto => Some(K::Goto),
        Code::Branch => Some(K::Branch),
        Code::Jump => Some(K::Jump),
        Code::Exit => Some(K::Exit),
        Code::ExitJump => Some(K::ExitJump),
        Code::BrIf => Some(K::BrIf),
        Code::Br => Some(K::Br),
        Code::Call => Some(K::Call),
        _ => None,
    }
}

/// The move that reads exactly a value of this type and writes it zero-extended.
fn mov(ty: Ty) -> Option<Kind> {
    match ty.bits() {
        1 | 8 => Some(Kind::Mov8),
        16 => Some(Kind::Mov16),
        32 => Some(Kind::Mov32),
        64 => Some(Kind::Mov64),
        128 => Some(Kind::Mov128),
        _ => None,
    }
}

/// True if the op writes its result as 8 zero-extended bytes, so that it may write a 64-bit state field in place of a slot.
fn writes_word(kind: Kind) -> bool {
    !matches!(kind, Kind::Plain | Kind::Mov128 | Kind::Pair | Kind::Load128 | Kind::Put8 | Kind::Put16 | Kind::Put32)
}

/// True if the op's result is i1 and its arm obeys `TO_BYTE`.
fn writes_flag(kind: Kind) -> bool {
    (Kind::Eq64 as u16..=Kind::Not1 as u16).contains(&(kind as u16)) || kind == Kind::Const
}

fn overlaps(a: u64, a_len: u64, b: u64, b_len: u64) -> bool {
    a < b + b_len && b < a + a_len
}

fn state_range(op: &Op, vl: u32) -> (u64, u64) {
    (op.imm, u64::from(crate::moved(op, vl)))
}

struct Plan<'a> {
    ops: &'a [Op],
    codes: Vec<Code>,
    vl: u32,
    kinds: Vec<Option<Kind>>,
    dropped: Vec<bool>,
    /// Op that defines each slot; number of uses; last use.
    def: Vec<u32>,
    uses: Vec<u32>,
    last: Vec<u32>,
    /// Where a slot's value is found: a state offset, or the slot it is a copy of.
    place: Vec<u32>,
    slot_base: u32,
    /// Result offset in state of an op whose `set` was folded into it.
    result: Vec<Option<(u32, bool)>>,
}

const BARRIER: u16 = FAULTS | EXITS | EFFECT;

impl Plan<'_> {
    fn barrier(&self, i: usize) -> bool {
        self.ops[i].info().is_none_or(|r| r.flags & BARRIER != 0)
    }

    fn operands(&self, i: usize) -> impl Iterator<Item = u32> + use<> {
        let op = self.ops[i];
        let raw = self.codes[i] == Code::Const128;
        [op.a, op.b, op.c].into_iter().filter(move |s| *s != NONE && !raw)
    }

    fn count(&mut self) {
        for i in 0..self.ops.len() {
            if self.dropped[i] {
                continue;
            }
            for s in self.operands(i) {
                self.uses[s as usize] += 1;
                self.last[s as usize] = i as u32;
            }
            let dst = self.ops[i].dst;
            if dst != NONE {
                self.def[dst as usize] = i as u32;
            }
        }
    }

    /// Drops `set`s of state that is set again before anything can look.
    fn drop_dead_sets(&mut self) {
        let mut coming: Vec<(u64, u64)> = Vec::new();
        for i in (0..self.ops.len()).rev() {
            match self.codes[i] {
                Code::Set => {
                    let (at, len) = state_range(&self.ops[i], self.vl);
                    if coming.iter().any(|(a, l)| *a <= at && at + len <= a + l) {
                        self.dropped[i] = true;
                    } else {
                        coming.push((at, len));
                    }
                }
                Code::Get => {
                    let (at, len) = state_range(&self.ops[i], self.vl);
                    coming.retain(|(a, l)| !overlaps(*a, *l, at, len));
                }
                Code::InsnStart => {}
                _ if self.barrier(i) => coming.clear(),
                _ => {}
            }
        }
    }

    /// Drops pure ops without uses.
    fn drop_dead_values(&mut self) {
        for i in (0..self.ops.len()).rev() {
            let op = self.ops[i];
            let pure = op.info().is_some_and(|r| r.flags & (BARRIER | emu_ir::STICKY | emu_ir::WRITES) == 0) && self.codes[i] != Code::Set;
            if pure && op.dst != NONE && !self.dropped[i] && self.uses[op.dst as usize] == 0 {
                self.dropped[i] = true;
                for s in self.operands(i) {
                    self.uses[s as usize] -= 1;
                }
            }
        }
    }

    /// Folds a `set` into the op that makes its value, when nothing in between can see the difference.
    fn fold_sets(&mut self) {
        for i in 0..self.ops.len() {
            let op = self.ops[i];
            if self.dropped[i] || self.codes[i] != Code::Set || op.shape != Shape::SCALAR {
                continue;
            }
            let byte = op.ty == Ty::I1;
            if !(byte || op.ty.bits() == 64) || self.uses[op.a as usize] != 1 {
                continue;
            }
            let d = self.def[op.a as usize] as usize;
            // A zero extension of a value that its maker writes as a whole word is that value.
            if !byte && self.codes[d] == Code::ZExt && self.result[d].is_none() {
                let inner = self.ops[d].a;
                let maker = self.def[inner as usize] as usize;
                let word = self.kinds[maker].is_some_and(writes_word) && self.codes[maker] != Code::Get && self.ops[maker].ty != Ty::I1;
                if word && self.uses[inner as usize] == 1 && self.result[maker].is_none() && self.can_move(maker, i, &op) {
                    self.dropped[d] = true;
                    self.dropped[i] = true;
                    self.result[maker] = Some((op.imm as u32, false));
                    continue;
                }
            }
            if self.codes[d] == Code::Get {
                continue;
            }
            let Some(kind) = self.kinds[d] else { continue };
            let fits = if byte { writes_flag(kind) } else { writes_word(kind) && (!writes_flag(kind) || kind == Kind::Const) };
            if !fits || self.result[d].is_some() || self.dropped[d] || !self.can_move(d, i, &op) {
                continue;
            }
            self.dropped[i] = true;
            self.result[d] = Some((op.imm as u32, byte));
        }
    }

    /// True if the `set` at `i` may happen at `d` already.
    fn can_move(&self, d: usize, i: usize, set: &Op) -> bool {
        let (at, len) = state_range(set, self.vl);
        (d + 1..i).all(|k| match self.codes[k] {
            _ if self.dropped[k] && self.codes[k] != Code::Set => true,
            Code::InsnStart => true,
            Code::Get | Code::Set => {
                let (a, l) = state_range(&self.ops[k], self.vl);
                !overlaps(a, l, at, len)
            }
            _ => !self.barrier(k),
        })
    }

    /// Lets the users of a `get` read the state field itself, when it is not written before the last of them.
    fn fold_gets(&mut self) {
        let mut writes: Vec<(usize, u64, u64)> = Vec::new();
        for k in 0..self.ops.len() {
            if let Some((at, byte)) = self.result[k] {
                writes.push((k, u64::from(at), if byte { 1 } else { 8 }));
            } else if self.codes[k] == Code::Set && !self.dropped[k] {
                let (at, len) = state_range(&self.ops[k], self.vl);
                writes.push((k, at, len));
            }
            if self.codes[k] == Code::Call {
                writes.push((k, 0, u64::MAX / 2));
            }
        }
        for i in 0..self.ops.len() {
            let op = self.ops[i];
            if self.dropped[i] || self.codes[i] != Code::Get || op.shape != Shape::SCALAR || mov(op.ty).is_none() {
                continue;
            }
            let (at, len) = state_range(&op, self.vl);
            let last = self.last[op.dst as usize] as usize;
            let written = writes.iter().any(|(k, a, l)| i < *k && *k < last && overlaps(*a, *l, at, len));
            // Plain ops read slots; so does a `set`, which may be several.
            let readable = (i + 1..=last).filter(|k| !self.dropped[*k] && self.operands(*k).any(|s| s == op.dst)).all(|k| {
                self.kinds[k].is_some() && (op.ty.bits() < 128 || matches!(self.codes[k], Code::Lo64 | Code::Hi64 | Code::Store))
                    || self.codes[k] == Code::Set && self.ops[k].shape == Shape::SCALAR && op.ty.bits() >= 32
            });
            if !written && readable {
                self.dropped[i] = true;
                self.place[op.dst as usize] = op.imm as u32;
            }
        }
    }

    /// Place of an operand. (`const128` has words of its constant there, which are nobody's place.)
    fn at(&self, slot: u32) -> u32 {
        self.place.get(slot as usize).copied().unwrap_or(NONE)
    }
}

/// Prepares verified ops. `slot_base` is the byte offset from the CPU to slot 0, `slots` their number.
pub fn prepare_fast(ops: &[Op], slots: u32, vl: u32, slot_base: u32) -> FastBlock {
    let n = ops.len();
    let codes: Vec<Code> = ops.iter().map(|op| op.opcode().unwrap_or(Code::Label)).collect();
    let kinds = ops.iter().zip(&codes).map(|(op, code)| kind_of(op, *code)).collect();
    let width = slots as usize + 2;
    let mut plan = Plan {
        ops,
        codes,
        vl,
        kinds,
        dropped: vec![false; n],
        def: vec![0; width],
        uses: vec![0; width],
        last: vec![0; width],
        place: (0..width as u32).map(|s| slot_base + s * 8).collect(),
        slot_base,
        result: vec![None; n],
    };
    plan.drop_dead_sets();
    plan.count();
    plan.drop_dead_values();
    plan.fold_sets();
    plan.fold_gets();
    emit(&plan, slots)
}

fn emit(plan: &Plan<'_>, slots: u32) -> FastBlock {
    let (mut steps, mut plain, mut insns): (Vec<Fast>, Vec<Op>, Vec<(u64, u32)>) = Default::default();
    let (mut labels, mut branches) = (std::collections::HashMap::new(), Vec::new());
    for (i, op) in plan.ops.iter().enumerate() {
        let code = plan.codes[i];
        match code {
            Code::InsnStart => {
                insns.push((op.imm, op.aux));
                continue;
            }
            Code::Label => {
                labels.insert(op.imm, steps.len() as u64);
                continue;
            }
            _ if plan.dropped[i] => continue,
            _ => {}
        }
        let mut f = Fast {
            kind: plan.kinds[i].unwrap_or(Kind::Plain),
            flags: 0,
            insn: insns.len().saturating_sub(1) as u16,
            dst: plan.at(op.dst),
            a: plan.at(op.a),
            b: plan.at(op.b),
            c: plan.at(op.c),
            aux: op.aux,
            imm: op.imm,
        };
        if let Some((at, byte)) = plan.result[i] {
            f.dst = at;
            f.flags |= if byte { TO_BYTE } else { 0 };
        }
        match code {
            Code::Get if op.shape == Shape::SCALAR && mov(op.ty).is_some() => {
                f.kind = mov(op.ty).unwrap_or(Kind::Plain);
                f.a = op.imm as u32;
            }
            Code::Set if op.shape == Shape::SCALAR => {
                f.kind = match op.ty.bits() {
                    1 | 8 => Kind::Put8,
                    16 => Kind::Put16,
                    32 => Kind::Put32,
                    64 => Kind::Mov64,
                    _ => Kind::Mov128,
                };
                f.dst = op.imm as u32;
            }
            Code::Hi64 => f.a = f.a.wrapping_add(8),
            Code::BrIf | Code::Br => branches.push(steps.len()),
            _ => {}
        }
        let constant = |slot: u32| {
            let d = plan.def[slot as usize] as usize;
            (matches!(plan.codes[d], Code::Const | Code::Address) && plan.ops[d].dst == slot).then(|| plan.ops[d].imm)
        };
        let k = f.kind as u16;
        if ((Kind::Add64 as u16..=Kind::Mul32 as u16).contains(&k) || (Kind::Eq64 as u16..=Kind::Overflow32 as u16).contains(&k))
            && let Some(v) = constant(op.b)
        {
            f.imm = v;
            f.flags |= IMMEDIATE;
        }
        if matches!(f.kind, Kind::Carry64 | Kind::Carry32 | Kind::Overflow64 | Kind::Overflow32) {
            match constant(op.c) {
                Some(0) => f.flags |= C_ZERO,
                Some(_) => f.flags |= C_ONE,
                None => {}
            }
        }
        if f.kind == Kind::Plain {
            f.imm = plain.len() as u64;
            plain.push(*op);
        }
        steps.push(f);
    }
    for b in branches {
        steps[b].imm = labels.get(&steps[b].imm).copied().unwrap_or(steps.len() as u64);
    }
    // A constant that only immediates used is not made.
    let mut read = std::collections::HashSet::new();
    for f in &steps {
        if f.kind == Kind::Plain {
            let op = &plain[f.imm as usize];
            read.extend([op.a, op.b, op.c].iter().filter(|s| **s != NONE).map(|s| plan.slot_base.wrapping_add(s.wrapping_mul(8))));
            continue;
        }
        read.insert(f.a);
        if f.flags & IMMEDIATE == 0 {
            read.insert(f.b);
        }
        if f.flags & (C_ZERO | C_ONE) == 0 {
            read.insert(f.c);
        }
    }
    for f in steps.iter_mut() {
        if f.kind == Kind::Const && f.dst >= plan.slot_base && !read.contains(&f.dst) {
            // Marked, not removed: branch targets are positions.
            f.flags |= SKIP;
        }
    }
    let steps = compact(steps);
    FastBlock { steps: steps.into(), plain: plain.into(), insns: insns.into(), slots }
}

const SKIP: u16 = 0x8000;

fn compact(steps: Vec<Fast>) -> Vec<Fast> {
    let mut new_at = Vec::with_capacity(steps.len() + 1);
    let mut n = 0u64;
    for f in &steps {
        new_at.push(n);
        n += u64::from(f.flags & SKIP == 0);
    }
    new_at.push(n);
    steps
        .into_iter()
        .filter(|f| f.flags & SKIP == 0)
        .map(|mut f| {
            if matches!(f.kind, Kind::BrIf | Kind::Br) {
                f.imm = new_at[f.imm as usize];
            }
            f
        })
        .collect()
}

/// Runs a block in its fast form.
///
/// # Safety
/// `base` must be the CPU whose state the block was verified for, with its value slots at the `slot_base` that the block was prepared with
/// (as many as the block has, and 8 bytes more), and no other thread may use them.
pub unsafe fn run_fast<E: Env>(block: &FastBlock, base: *mut u8, slot_base: u32, vl: u32, env: &mut E) -> Outcome {
    let steps = &block.steps[..];
    let mut at = 0usize;
    loop {
        let Some(f) = steps.get(at) else {
            return Outcome { end: End::Exit(block.insns.first().map_or(0, |i| i.0), 0), insns: block.insns.len() as u32 };
        };
        at += 1;
        macro_rules! rd {
            ($ty:ty, $off:expr) => {
                // SAFETY: operands are offsets of verified state fields or of slots (function contract); an arm reads at most the operand's width.
                unsafe { base.add($off as usize).cast::<$ty>().read_unaligned() }
            };
        }
        macro_rules! wr {
            ($ty:ty, $off:expr, $v:expr) => {
                // SAFETY: results are slots, or state fields that a verified `set` of that width names.
                unsafe { base.add($off as usize).cast::<$ty>().write_unaligned($v) }
            };
        }
        macro_rules! bin {
            ($ty:ty, |$a:ident, $b:ident| $e:expr) => {{
                let $a = rd!($ty, f.a);
                let $b = if f.flags & IMMEDIATE != 0 { f.imm as $ty } else { rd!($ty, f.b) };
                wr!(u64, f.dst, ($e) as u64);
            }};
        }
        macro_rules! flag {
            ($v:expr) => {{
                let v: bool = $v;
                if f.flags & TO_BYTE != 0 { wr!(u8, f.dst, u8::from(v)) } else { wr!(u64, f.dst, u64::from(v)) }
            }};
        }
        macro_rules! cmp {
            ($ty:ty, |$a:ident, $b:ident| $e:expr) => {{
                let $a = rd!($ty, f.a);
                let $b = if f.flags & IMMEDIATE != 0 { f.imm as $ty } else { rd!($ty, f.b) };
                flag!($e)
            }};
        }
        macro_rules! carry_in {
            () => {
                if f.flags & C_ZERO != 0 {
                    0
                } else if f.flags & C_ONE != 0 {
                    1
                } else {
                    rd!(u8, f.c) & 1
                }
            };
        }
        macro_rules! out {
            ($end:expr) => {
                return Outcome { end: $end, insns: u32::from(f.insn) + 1 }
            };
        }
        macro_rules! attempt {
            ($e:expr) => {{
                env.begin(u32::from(f.insn) + 1);
                match $e {
                    Ok(v) => v,
                    Err(fault) => {
                        let (pc, info) = block.insns[f.insn as usize];
                        out!(End::Fault(pc, info, fault))
                    }
                }
            }};
        }
        macro_rules! address {
            () => {
                rd!(u64, f.a).wrapping_add(f.imm)
            };
        }
        match f.kind {
            Kind::Mov8 => {
                let v = rd!(u8, f.a);
                wr!(u64, f.dst, v.into());
            }
            Kind::Mov16 => {
                let v = rd!(u16, f.a);
                wr!(u64, f.dst, v.into());
            }
            Kind::Mov32 => {
                let v = rd!(u32, f.a);
                wr!(u64, f.dst, v.into());
            }
            Kind::Mov64 => {
                let v = rd!(u64, f.a);
                wr!(u64, f.dst, v);
            }
            Kind::Mov128 => {
                let v = rd!(u128, f.a);
                wr!(u128, f.dst, v);
            }
            Kind::Put8 => {
                let v = rd!(u8, f.a);
                wr!(u8, f.dst, v);
            }
            Kind::Put16 => {
                let v = rd!(u16, f.a);
                wr!(u16, f.dst, v);
            }
            Kind::Put32 => {
                let v = rd!(u32, f.a);
                wr!(u32, f.dst, v);
            }
            Kind::Const => {
                if f.flags & TO_BYTE != 0 {
                    wr!(u8, f.dst, f.imm as u8)
                } else {
                    wr!(u64, f.dst, f.imm)
                }
            }
            Kind::Pair => {
                let (a, b) = (rd!(u64, f.a), rd!(u64, f.b));
                wr!(u64, f.dst, a);
                wr!(u64, f.dst + 8, b);
            }
            Kind::Add64 => bin!(u64, |a, b| a.wrapping_add(b)),
            Kind::Sub64 => bin!(u64, |a, b| a.wrapping_sub(b)),
            Kind::And64 => bin!(u64, |a, b| a & b),
            Kind::Or64 => bin!(u64, |a, b| a | b),
            Kind::Xor64 => bin!(u64, |a, b| a ^ b),
            Kind::AndNot64 => bin!(u64, |a, b| a & !b),
            Kind::OrNot64 => bin!(u64, |a, b| a | !b),
            Kind::Shl64 => bin!(u64, |a, b| a << (b & 63)),
            Kind::LShr64 => bin!(u64, |a, b| a >> (b & 63)),
            Kind::AShr64 => bin!(u64, |a, b| a as i64 >> (b & 63)),
            Kind::RotR64 => bin!(u64, |a, b| a.rotate_right((b & 63) as u32)),
            Kind::Mul64 => bin!(u64, |a, b| a.wrapping_mul(b)),
            Kind::Add32 => bin!(u32, |a, b| a.wrapping_add(b)),
            Kind::Sub32 => bin!(u32, |a, b| a.wrapping_sub(b)),
            Kind::And32 => bin!(u32, |a, b| a & b),
            Kind::Or32 => bin!(u32, |a, b| a | b),
            Kind::Xor32 => bin!(u32, |a, b| a ^ b),
            Kind::AndNot32 => bin!(u32, |a, b| a & !b),
            Kind::OrNot32 => bin!(u32, |a, b| a | !b),
            Kind::Shl32 => bin!(u32, |a, b| a << (b & 31)),
            Kind::LShr32 => bin!(u32, |a, b| a >> (b & 31)),
            Kind::AShr32 => bin!(u32, |a, b| (a as i32 >> (b & 31)) as u32),
            Kind::RotR32 => bin!(u32, |a, b| a.rotate_right(b & 31)),
            Kind::Mul32 => bin!(u32, |a, b| a.wrapping_mul(b)),
            Kind::Not64 => {
                let v = rd!(u64, f.a);
                wr!(u64, f.dst, !v);
            }
            Kind::Not32 => {
                let v = rd!(u32, f.a);
                wr!(u64, f.dst, u64::from(!v));
            }
            Kind::Eq64 => cmp!(u64, |a, b| a == b),
            Kind::Ne64 => cmp!(u64, |a, b| a != b),
            Kind::Ult64 => cmp!(u64, |a, b| a < b),
            Kind::Ule64 => cmp!(u64, |a, b| a <= b),
            Kind::Slt64 => cmp!(u64, |a, b| (a as i64) < b as i64),
            Kind::Sle64 => cmp!(u64, |a, b| a as i64 <= b as i64),
            Kind::SubOverflow64 => cmp!(u64, |a, b| (a as i64).overflowing_sub(b as i64).1),
            Kind::Carry64 => cmp!(u64, |a, b| u128::from(a) + u128::from(b) + u128::from(carry_in!()) >> 64 != 0),
            Kind::Overflow64 => cmp!(u64, |a, b| {
                let sum = a.wrapping_add(b).wrapping_add(u64::from(carry_in!()));
                (!(a ^ b) & (a ^ sum)) >> 63 != 0
            }),
            Kind::Eq32 => cmp!(u32, |a, b| a == b),
            Kind::Ne32 => cmp!(u32, |a, b| a != b),
            Kind::Ult32 => cmp!(u32, |a, b| a < b),
            Kind::Ule32 => cmp!(u32, |a, b| a <= b),
            Kind::Slt32 => cmp!(u32, |a, b| (a as i32) < b as i32),
            Kind::Sle32 => cmp!(u32, |a, b| a as i32 <= b as i32),
            Kind::SubOverflow32 => cmp!(u32, |a, b| (a as i32).overflowing_sub(b as i32).1),
            Kind::Carry32 => cmp!(u32, |a, b| u64::from(a) + u64::from(b) + u64::from(carry_in!()) >> 32 != 0),
            Kind::Overflow32 => cmp!(u32, |a, b| {
                let sum = a.wrapping_add(b).wrapping_add(u32::from(carry_in!()));
                (!(a ^ b) & (a ^ sum)) >> 31 != 0
            }),
            Kind::And1 => flag!(rd!(u8, f.a) & rd!(u8, f.b) & 1 != 0),
            Kind::Or1 => flag!((rd!(u8, f.a) | rd!(u8, f.b)) & 1 != 0),
            Kind::Xor1 => flag!((rd!(u8, f.a) ^ rd!(u8, f.b)) & 1 != 0),
            Kind::AndNot1 => flag!(rd!(u8, f.a) & !rd!(u8, f.b) & 1 != 0),
            Kind::Eq1 => flag!((rd!(u8, f.a) ^ rd!(u8, f.b)) & 1 == 0),
            Kind::Not1 => flag!(rd!(u8, f.a) & 1 == 0),
            Kind::Select64 => {
                let v = if rd!(u8, f.c) & 1 != 0 { rd!(u64, f.a) } else { rd!(u64, f.b) };
                wr!(u64, f.dst, v);
            }
            Kind::Select32 => {
                let v = if rd!(u8, f.c) & 1 != 0 { rd!(u32, f.a) } else { rd!(u32, f.b) };
                wr!(u64, f.dst, v.into());
            }
            Kind::SExt8 => {
                let v = rd!(i8, f.a);
                wr!(u64, f.dst, i64::from(v) as u64);
            }
            Kind::SExt16 => {
                let v = rd!(i16, f.a);
                wr!(u64, f.dst, i64::from(v) as u64);
            }
            Kind::SExt32 => {
                let v = rd!(i32, f.a);
                wr!(u64, f.dst, i64::from(v) as u64);
            }
            Kind::Extract64 => {
                let v = rd!(u64, f.a) >> (f.aux & 0xff) & low_mask(f.aux >> 8);
                wr!(u64, f.dst, v);
            }
            Kind::Extract32 => {
                let v = u64::from(rd!(u32, f.a)) >> (f.aux & 0xff) & low_mask(f.aux >> 8);
                wr!(u64, f.dst, v);
            }
            Kind::SExtract64 => {
                let s = 64 - (f.aux >> 8);
                let v = ((rd!(u64, f.a) >> (f.aux & 0xff)) << s) as i64 >> s;
                wr!(u64, f.dst, v as u64);
            }
            Kind::SExtract32 => {
                let s = 32 - (f.aux >> 8);
                let v = ((rd!(u32, f.a) >> (f.aux & 0xff)) << s) as i32 >> s;
                wr!(u64, f.dst, u64::from(v as u32));
            }
            Kind::Deposit64 => {
                let (lsb, m) = (f.aux & 0xff, low_mask(f.aux >> 8));
                let v = rd!(u64, f.a) & !(m << lsb) | (rd!(u64, f.b) & m) << lsb;
                wr!(u64, f.dst, v);
            }
            Kind::Deposit32 => {
                let (lsb, m) = (f.aux & 0xff, low_mask(f.aux >> 8) as u32);
                let v = rd!(u32, f.a) & !(m << lsb) | (rd!(u32, f.b) & m) << lsb;
                wr!(u64, f.dst, v.into());
            }
            Kind::Load8 => {
                let v = attempt!(env.load(address!(), 1, MemFlags(f.aux)));
                wr!(u64, f.dst, v);
            }
            Kind::Load16 => {
                let v = attempt!(env.load(address!(), 2, MemFlags(f.aux)));
                wr!(u64, f.dst, v);
            }
            Kind::Load32 => {
                let v = attempt!(env.load(address!(), 4, MemFlags(f.aux)));
                wr!(u64, f.dst, v);
            }
            Kind::Load64 => {
                let v = attempt!(env.load(address!(), 8, MemFlags(f.aux)));
                wr!(u64, f.dst, v);
            }
            Kind::Load128 => {
                let v = attempt!(env.load128(address!(), MemFlags(f.aux)));
                wr!(u128, f.dst, v);
            }
            Kind::Store8 => {
                let v = rd!(u8, f.b);
                attempt!(env.store(address!(), 1, v.into(), MemFlags(f.aux)));
            }
            Kind::Store16 => {
                let v = rd!(u16, f.b);
                attempt!(env.store(address!(), 2, v.into(), MemFlags(f.aux)));
            }
            Kind::Store32 => {
                let v = rd!(u32, f.b);
                attempt!(env.store(address!(), 4, v.into(), MemFlags(f.aux)));
            }
            Kind::Store64 => {
                let v = rd!(u64, f.b);
                attempt!(env.store(address!(), 8, v, MemFlags(f.aux)));
            }
            Kind::Store128 => {
                let v = rd!(u128, f.b);
                attempt!(env.store128(address!(), v, MemFlags(f.aux)));
            }
            Kind::Goto => out!(End::Goto(f.imm)),
            Kind::Branch => {
                if rd!(u8, f.a) & 1 != 0 {
                    out!(End::Goto(f.imm));
                }
            }
            Kind::Jump => out!(End::Jump(rd!(u64, f.a))),
            Kind::Exit => out!(End::Exit(f.imm, f.aux)),
            Kind::ExitJump => out!(End::Exit(rd!(u64, f.a), f.aux)),
            Kind::BrIf => {
                if rd!(u8, f.a) & 1 != 0 {
                    at = f.imm as usize;
                }
            }
            Kind::Br => at = f.imm as usize,
            Kind::Call => {
                let arg = |off: u32| if off == NONE { 0 } else { rd!(u64, off) };
                let args = [arg(f.a), arg(f.b), arg(f.c)];
                env.begin(u32::from(f.insn) + 1);
                match env.call(f.aux, args, f.imm, block.insns[f.insn as usize].0) {
                    Ok(v) => wr!(u64, f.dst, v),
                    Err(()) => out!(End::Helper),
                }
            }
            Kind::Plain => {
                // SAFETY: the block's slots lie there (function contract), and nothing else refers to them now.
                let slots = unsafe { core::slice::from_raw_parts_mut(base.add(slot_base as usize).cast::<u64>(), block.slots as usize + 1) };
                let op = &block.plain[f.imm as usize];
                if let Some(outcome) = plain(op, block, f.insn, slots, vl, env) {
                    return outcome;
                }
            }
        }
    }
}

#[inline(always)]
fn low_mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// One op as the plain interpreter runs it.
#[inline(never)]
fn plain<E: Env>(op: &Op, block: &FastBlock, insn: u16, slots: &mut [u64], vl: u32, env: &mut E) -> Option<Outcome> {
    let code = op.opcode()?;
    if scalar::exec(code, op, slots) || vector::exec(op, slots, vl, env.fp_flags()) {
        return None;
    }
    let insns = u32::from(insn) + 1;
    env.begin(insns);
    let outcome = crate::run(std::slice::from_ref(&Step::of(*op)), slots, vl, env);
    match outcome.end {
        End::Fault(_, _, fault) => {
            let (pc, info) = block.insns[insn as usize];
            Some(Outcome { end: End::Fault(pc, info, fault), insns })
        }
        // It ran off the end of its one op: it did not leave the block.
        _ => None,
    }
}

#[cfg(test)]
mod tests;
