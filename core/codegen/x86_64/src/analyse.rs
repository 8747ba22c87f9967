//! The one pass over a unit before code is emitted: uses and last uses of values, which conditions can stay in the host's flags, which
//! values can be computed in the register of the state field that they are written to.

use crate::asm::Cc;
use crate::frame::{Frame, PinMap};
use emu_ir::{Code, EFFECT, EXITS, FAULTS, MemFlags, NONE, Op, STICKY, Shape, Ty, WRITES, result_bits};

/// No pin.
pub const NO_PIN: u8 = 0xff;
/// No key.
pub const NO_KEY: u16 = 0xffff;

/// What is known of a value before code is emitted.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Op that defines it.
    pub def: u32,
    /// Number of uses by code (uses by conditions that need none are not counted).
    pub uses: u32,
    /// Last op that uses it.
    pub last: u32,
    /// Width in bits; 0 for what has no fixed width.
    pub bits: u16,
    /// The pinned field that it is about to be written to.
    pub want: u8,
    /// A condition: the comparison that it is of, and which.
    pub key: u16,
    /// Its condition.
    pub cc: Cc,
    /// In place of `key`, the comparison from whose flags it goes into a register where it stands, for they do not last until it is used.
    pub early: u16,
    /// The comparison whose flags the code of its op makes.
    pub makes: u16,
    /// A floating-point comparison whose result is only asked for what it is, or one of these questions: the comparison's result. Its code
    /// answers all of them.
    pub relation: u32,
}

const NO_FACTS: Facts =
    Facts { def: NONE, uses: 0, last: 0, bits: 0, want: NO_PIN, key: NO_KEY, cc: Cc::E, early: NO_KEY, makes: NO_KEY, relation: NONE };

/// Kinds of comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// Flags of a - b.
    Sub,
    /// Flags of a + b.
    Add,
    /// Flags of a & b.
    And,
    /// Flags of the `adc` whose result is both a and b. They cannot be made again: its carry may be gone.
    Adc,
    /// Flags of UCOMIS, made by the `frelation` whose result is both a and b. They cannot be made again: that would raise exceptions again.
    Float,
}

/// Ops behind a floating-point comparison that may ask what it has found.
const QUESTIONS_WITHIN: usize = 16;

/// Which relation an op asks for, of the result of a comparison, and whether it asks for all others.
pub fn question(op: &Op, constant: Option<&Op>) -> Option<(u64, bool)> {
    let not = match code(op) {
        Code::CmpEq => false,
        Code::CmpNe => true,
        _ => return None,
    };
    let k = constant.filter(|k| op.ty == Ty::I32 && k.code == Code::Const as u16 && matches!(k.imm, 0 | 1 | 3))?;
    Some((k.imm, not))
}

/// A comparison whose host flags conditions are read from.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// What makes the flags.
    pub kind: KeyKind,
    /// 32 or 64.
    pub bits: u16,
    /// First operand.
    pub a: u32,
    /// Second operand.
    pub b: u32,
    /// The op whose result is the operation's, if its code sets the flags on the way.
    pub producer: u32,
    /// First and last op that needs the flags.
    pub first: u32,
    /// See `first`.
    pub last: u32,
    /// The flags live from where they are made to the last use: no condition of this key needs a register.
    pub lazy: bool,
}

/// The results, in vectors that are used again.
#[derive(Default)]
pub struct Analysis {
    /// By value (slot) number.
    pub facts: Vec<Facts>,
    /// Comparisons.
    pub keys: Vec<Key>,
    /// Ops that compute conditions with a key.
    conditions: Vec<u32>,
    /// Behind each op: the flags of [`Frame::flags`], a bit each, that somebody may look at before they are written again.
    pub live_after: Vec<u8>,
    /// `set`s that are covered by others: see `overwritten`.
    pub covered: Vec<(u32, u32)>,
}

const GET: u16 = Code::Get as u16;
const SET: u16 = Code::Set as u16;
const INSN_START: u16 = Code::InsnStart as u16;

/// Opcode of a verified op.
#[inline]
pub fn code(op: &Op) -> Code {
    op.opcode().unwrap_or(Code::Label)
}

/// The operands that are values.
#[inline]
pub fn operands(op: &Op) -> [u32; 3] {
    if op.code == Code::Const128 as u16 { [NONE; 3] } else { [op.a, op.b, op.c] }
}

fn is_zero(op: &Op) -> bool {
    op.code == Code::Const as u16 && op.imm == 0
}

impl Analysis {
    /// Analyses a unit, whose instructions are counted at `counts`. `fuse` false: conditions are all computed into registers, values are
    /// written to fields where the `set` is. `live`: `live_after` is wanted.
    pub fn run(&mut self, ops: &[Op], slots: u32, counts: &[(u32, u32)], f: &Frame, pins: &PinMap, fuse: bool, live: bool) {
        self.facts.clear();
        self.facts.resize(slots as usize, NO_FACTS);
        self.keys.clear();
        self.conditions.clear();
        self.live_after.clear();
        self.covered.clear();
        if live {
            self.find_live(ops, f);
        }
        // Uses come before what they are of, this way, so that what nobody uses does not use anything either.
        for (i, op) in ops.iter().enumerate().rev() {
            if op.code == INSN_START || self.is_dead(op) {
                continue;
            }
            for s in operands(op) {
                // Absent ones are out of range.
                if let Some(v) = self.facts.get_mut(s as usize) {
                    v.uses += 1;
                    v.last = v.last.max(i as u32);
                }
            }
        }
        let mut pairs = false;
        for (i, op) in ops.iter().enumerate() {
            if op.code == INSN_START {
                continue;
            }
            let i = i as u32;
            let mut own = NO_KEY;
            if op.dst != NONE {
                let bits = result_bits(op) as u16;
                let v = &mut self.facts[op.dst as usize];
                (v.def, v.last, v.bits) = (i, v.last.max(i), bits);
                pairs |= op.code == Code::Pair as u16;
                if fuse && op.code == Code::FRelation as u16 {
                    self.relation(ops, op);
                }
                if fuse && bits == 1 && !self.is_dead(op) {
                    self.condition(ops, op);
                    own = self.facts[op.dst as usize].key;
                    if own != NO_KEY {
                        self.conditions.push(i);
                    }
                }
            }
            if !self.keys.is_empty() {
                self.needs(op, i, own);
            }
        }
        // The halves of a pair last as long as the pair, which is only a name for them.
        for op in ops.iter().rev().filter(|o| pairs && o.code == Code::Pair as u16) {
            let last = self.facts[op.dst as usize].last;
            for s in [op.a, op.b] {
                let half = &mut self.facts[s as usize];
                half.last = half.last.max(last);
            }
        }
        if fuse {
            self.settle(ops, counts, f);
            self.wants(ops, pins);
        }
    }

    /// Finds `covered`.
    pub fn find_covered(&mut self, ops: &[Op], pins: &PinMap) {
        crate::overwritten::find(ops, &mut self.facts, pins, &mut self.covered);
    }

    /// Finds the flags that somebody may look at, behind each op.
    fn find_live(&mut self, ops: &[Op], f: &Frame) {
        self.live_after.resize(ops.len(), u8::MAX);
        let mut live = u8::MAX;
        let flags = f.flags.iter().min().copied().unwrap_or(0).into()..f.flags.iter().max().map_or(0, |f| u64::from(*f) + 1);
        for (i, op) in ops.iter().enumerate().rev() {
            self.live_after[i] = live;
            match op.code {
                GET | SET => {
                    let bytes = crate::memory::moved(op, 256);
                    if op.imm < flags.end && flags.start < op.imm + u64::from(bytes) {
                        for (n, flag) in f.flags.iter().enumerate() {
                            if (op.imm..op.imm + u64::from(bytes)).contains(&u64::from(*flag)) {
                                if op.code == SET && op.ty == Ty::I1 { live &= !(1 << n) } else { live |= 1 << n }
                            }
                        }
                    }
                }
                INSN_START => {
                    if f.count {
                        live = u8::MAX;
                    }
                }
                _ if op.flags() & (FAULTS | EFFECT | EXITS) != 0 => live = u8::MAX,
                _ => {}
            }
        }
    }

    /// Where a unit that ends with a return or a jump makes of `raw` the address that it goes to, and `raw`: a sign extension from bit 55 (perhaps of
    /// one half of the addresses only) or a bit 0 made zero, neither of which changes an address that a return is expected at
    /// ([`returns_expected`](crate::returns_expected)) or that code was come to by such a jump in the same mode, for it has been made so. If `raw` is
    /// one of those, so is the address.
    pub fn early_jump(&self, ops: &[Op], f: &Frame) -> Option<(u32, u32)> {
        let (jump, before) = ops.split_last()?;
        let consts = before.iter().rev().take_while(|o| o.code == Code::Const as u16).count();
        let before = &before[..before.len() - consts];
        if jump.code != Code::Jump as u16 || jump.aux == crate::control::CALL {
            return None;
        }
        let last = before.last().filter(|o| o.dst == jump.a && o.shape == Shape::SCALAR && o.ty == Ty::I64)?;
        let extends = |o: &Op| o.code == Code::SExtract as u16 && o.ty == Ty::I64 && o.aux == 56 << 8;
        let end = before.len() as u32 - 1;
        match code(last) {
            Code::SExtract if extends(last) => Some((end, last.a)),
            Code::And if f.jump_shift > 0 => {
                let mask = self.def(ops, last.b);
                (mask.code == Code::Const as u16 && mask.imm == !1).then_some((end, last.a))
            }
            Code::Select => {
                let upper = self.def(ops, last.c);
                let extended = self.def(ops, upper.a);
                let (first, raw) = (self.facts[upper.a as usize].def, extended.a);
                let between = &before[first as usize..];
                let fits = upper.code == Code::CmpSlt as u16
                    && upper.ty == Ty::I64
                    && is_zero(self.def(ops, upper.b))
                    && extends(extended)
                    && ([last.a, last.b] == [upper.a, raw] || [last.a, last.b] == [raw, upper.a])
                    && between.iter().all(|o| matches!(code(o), Code::SExtract | Code::Const | Code::CmpSlt | Code::Select));
                fits.then_some((first, raw))
            }
            _ => None,
        }
    }

    /// True if an op is of no effect: nobody uses its result.
    #[inline]
    pub fn is_dead(&self, op: &Op) -> bool {
        op.dst != NONE && self.facts[op.dst as usize].uses == 0 && op.flags() & (STICKY | WRITES | FAULTS | EFFECT | EXITS) == 0
    }

    fn key(&mut self, kind: KeyKind, bits: u32, a: u32, b: u32, producer: u32) -> u16 {
        let from = self.keys.len().saturating_sub(4);
        for (i, k) in self.keys.iter_mut().enumerate().skip(from) {
            if k.kind == kind && u32::from(k.bits) == bits && k.a == a && k.b == b {
                if k.producer == NONE {
                    k.producer = producer;
                }
                return i as u16;
            }
        }
        if self.keys.len() >= NO_KEY as usize {
            return NO_KEY;
        }
        self.keys.push(Key { kind, bits: bits as u16, a, b, producer, first: NONE, last: 0, lazy: true });
        self.keys.len() as u16 - 1
    }

    fn def<'a>(&self, ops: &'a [Op], v: u32) -> &'a Op {
        &ops[self.facts[v as usize].def as usize]
    }

    /// The op that computes `v` by an addition, subtraction or conjunction of the given width, and its kind.
    fn arithmetic<'a>(&self, ops: &'a [Op], v: u32, ty: Ty) -> Option<(KeyKind, &'a Op, u32)> {
        let at = self.facts[v as usize].def;
        let op = &ops[at as usize];
        if op.shape != Shape::SCALAR || op.ty != ty {
            return None;
        }
        let kind = match code(op) {
            Code::Sub => KeyKind::Sub,
            Code::Add => KeyKind::Add,
            Code::And => KeyKind::And,
            Code::Adc => KeyKind::Adc,
            _ => return None,
        };
        Some((kind, op, at))
    }

    /// Finds the questions after a floating-point comparison, if they are all that its result is for.
    fn relation(&mut self, ops: &[Op], op: &Op) {
        if !crate::float::host_compares(op) {
            return;
        }
        let at = self.facts[op.dst as usize].def as usize;
        let behind = &ops[at + 1..ops.len().min(at + 1 + QUESTIONS_WITHIN)];
        let made = |v: u32| behind.iter().chain(&ops[..at]).find(|o| o.dst == v);
        let (mut found, mut list) = (0u32, [NONE; 4]);
        for o in behind.iter().take_while(|o| !matches!(code(o), Code::InsnStart | Code::Label)).filter(|o| o.dst != NONE && !self.is_dead(o)) {
            let uses = operands(o).iter().filter(|s| **s == op.dst).count();
            if uses == 0 {
                continue;
            }
            let Some((k, not)) = question(o, made(o.b)).filter(|_| uses == 1 && o.a == op.dst) else { return };
            // Equal, less, not less and unordered are what there are registers for.
            let place = match (k, not) {
                (0, false) => 0,
                (1, not) => 1 + usize::from(not),
                (3, false) => 3,
                _ => return,
            };
            if list[place] != NONE {
                return;
            }
            list[place] = o.dst;
            found += 1;
        }
        if found == self.facts[op.dst as usize].uses {
            for v in list.into_iter().chain([op.dst]).filter(|v| *v != NONE) {
                self.facts[v as usize].relation = op.dst;
            }
        }
    }

    /// The `adc` close before `op`, its carry or overflow, that has the same operands.
    fn sum(&self, ops: &[Op], op: &Op) -> Option<u32> {
        let at = self.facts[op.dst as usize].def as usize;
        let from = at.saturating_sub(12);
        let same = |o: &Op| code(o) == Code::Adc && o.ty == op.ty && [o.a, o.b, o.c] == [op.a, op.b, op.c];
        ops[from..at].iter().rposition(same).map(|i| (from + i) as u32)
    }

    /// Recognises the condition that `op` computes as one of the host's.
    fn condition(&mut self, ops: &[Op], op: &Op) {
        let c = code(op);
        if op.ty == Ty::I1 {
            return self.combination(ops, op, c);
        }
        if !matches!(op.ty, Ty::I32 | Ty::I64) || op.shape != Shape::SCALAR || self.facts[op.dst as usize].relation != NONE {
            return;
        }
        let bits = op.ty.bits();
        let (key, cc) = match c {
            Code::CmpEq | Code::CmpNe | Code::CmpSlt if is_zero(self.def(ops, op.b)) => {
                let cc = match c {
                    Code::CmpEq => Cc::E,
                    Code::CmpNe => Cc::NE,
                    _ => Cc::S,
                };
                match self.arithmetic(ops, op.a, op.ty) {
                    Some((KeyKind::Adc, _, at)) => (self.key(KeyKind::Adc, bits, op.a, op.a, at), cc),
                    Some((kind, by, at)) => (self.key(kind, bits, by.a, by.b, at), cc),
                    None => (self.key(KeyKind::And, bits, op.a, op.a, NONE), cc),
                }
            }
            Code::CmpEq => (self.key(KeyKind::Sub, bits, op.a, op.b, NONE), Cc::E),
            Code::CmpNe => (self.key(KeyKind::Sub, bits, op.a, op.b, NONE), Cc::NE),
            Code::CmpUlt => match self.arithmetic(ops, op.a, op.ty) {
                Some((KeyKind::Add, by, at)) if by.a == op.b => (self.key(KeyKind::Add, bits, by.a, by.b, at), Cc::B),
                _ => (self.key(KeyKind::Sub, bits, op.a, op.b, NONE), Cc::B),
            },
            // b <= a as the carry of a - b.
            Code::CmpUle => (self.key(KeyKind::Sub, bits, op.b, op.a, NONE), Cc::AE),
            Code::CmpSlt => (self.key(KeyKind::Sub, bits, op.a, op.b, NONE), Cc::L),
            Code::CmpSle => (self.key(KeyKind::Sub, bits, op.b, op.a, NONE), Cc::GE),
            Code::SubOverflow => (self.key(KeyKind::Sub, bits, op.a, op.b, NONE), Cc::O),
            Code::CarryOut if is_zero(self.def(ops, op.c)) => (self.key(KeyKind::Add, bits, op.a, op.b, NONE), Cc::B),
            Code::Overflow if is_zero(self.def(ops, op.c)) => (self.key(KeyKind::Add, bits, op.a, op.b, NONE), Cc::O),
            Code::CarryOut | Code::Overflow => match self.sum(ops, op) {
                Some(at) => {
                    let sum = ops[at as usize].dst;
                    (self.key(KeyKind::Adc, bits, sum, sum, at), if c == Code::CarryOut { Cc::B } else { Cc::O })
                }
                None => return,
            },
            _ => return,
        };
        let v = &mut self.facts[op.dst as usize];
        (v.key, v.cc) = (key, cc);
    }

    /// A condition made of conditions.
    fn combination(&mut self, ops: &[Op], op: &Op, c: Code) {
        let fact = |s: &Self, v: u32| s.facts.get(v as usize).map_or((NO_KEY, Cc::E), |f| (f.key, f.cc));
        let (ka, a) = fact(self, op.a);
        let (kb, b) = if op.b == NONE { (NO_KEY, Cc::E) } else { fact(self, op.b) };
        let constant = |s: &Self, v: u32| v != NONE && s.def(ops, v).code == Code::Const as u16;
        if let Some((relation, cc)) = self.ordered(ops, op, c) {
            let at = self.facts[relation as usize].def;
            let key = self.key(KeyKind::Float, 64, relation, relation, at);
            let v = &mut self.facts[op.dst as usize];
            (v.key, v.cc) = (key, cc);
            return;
        }
        let (key, cc) = match c {
            Code::Not if ka != NO_KEY => (ka, a.not()),
            Code::CmpEq if ka != NO_KEY && constant(self, op.b) => (ka, if self.def(ops, op.b).imm == 0 { a.not() } else { a }),
            Code::CmpEq if ka != NO_KEY && ka == kb && (a, b) == (Cc::S, Cc::O) => (ka, Cc::GE),
            Code::AndNot if ka != NO_KEY && ka == kb && b == Cc::E => match (self.keys[ka as usize].kind, a) {
                (KeyKind::Sub, Cc::AE) => (ka, Cc::A),
                (KeyKind::Sub | KeyKind::Add, Cc::GE) => (ka, Cc::G),
                (KeyKind::And, Cc::NS) => (ka, Cc::G),
                _ => return,
            },
            _ => return,
        };
        let v = &mut self.facts[op.dst as usize];
        (v.key, v.cc) = (key, cc);
    }

    /// Greater or equal, as neither less nor unordered, and greater, as that and not equal: what UCOMIS of the operands as they are has a
    /// condition for.
    fn ordered(&self, ops: &[Op], op: &Op, c: Code) -> Option<(u32, Cc)> {
        let asks = |v: u32, k: u64| {
            let f = self.facts.get(v as usize).filter(|f| f.relation != NONE && f.relation != v)?;
            let o = &ops[f.def as usize];
            (code(o) == Code::CmpEq && self.def(ops, o.b).imm == k).then_some(f.relation)
        };
        match c {
            Code::CmpEq => {
                let relation = asks(op.a, 1)?;
                (asks(op.b, 3)? == relation).then_some((relation, Cc::AE))
            }
            Code::AndNot => {
                let f = self.facts[op.a as usize];
                let key = self.keys.get(f.key as usize).filter(|k| k.kind == KeyKind::Float && f.cc == Cc::AE)?;
                (asks(op.b, 0)? == key.a).then_some((key.a, Cc::A))
            }
            _ => None,
        }
    }

    /// Decides which comparisons can stay in the flags, and takes back the rest.
    fn settle(&mut self, ops: &[Op], counts: &[(u32, u32)], f: &Frame) {
        if self.keys.is_empty() {
            return;
        }
        for k in 0..self.keys.len() {
            let key = self.keys[k];
            // The result's op makes the flags if its result is wanted for itself.
            let wanted = |s: &Self| {
                let r = ops[key.producer as usize].dst;
                s.facts[r as usize].uses > s.condition_uses(ops, r, &key)
            };
            // A floating-point comparison has code in any case, for what it raises.
            let produced = key.producer != NONE && key.first != NONE && (key.kind == KeyKind::Float || wanted(self));
            let key = &mut self.keys[k];
            key.lazy = key.first != NONE;
            if !produced {
                key.producer = NONE;
                key.lazy &= !matches!(key.kind, KeyKind::Adc | KeyKind::Float);
            }
        }
        if self.keys.iter().any(|k| k.kind == KeyKind::Adc) {
            self.spans(ops);
        }
        // Keys that get in each other's way are given up one after the other.
        let mut given_up = true;
        while std::mem::take(&mut given_up) {
            for k in 0..self.keys.len() {
                if self.keys[k].lazy
                    && let Some(lost) = self.lost(ops, k, counts, f)
                {
                    given_up = true;
                    if self.by_result(ops, k) || self.split(ops, k, lost) {
                        continue;
                    }
                    (self.keys[k].lazy, self.keys[k].producer) = (false, NONE);
                    if self.keys[k].kind == KeyKind::Adc {
                        self.spans(ops);
                    }
                }
            }
        }
        for (k, key) in self.keys.iter().enumerate() {
            if key.lazy && key.producer != NONE {
                self.facts[ops[key.producer as usize].dst as usize].makes = k as u16;
            }
        }
        // A condition whose key is not lazy is computed where it stands, from its own operands; one that is uses no register, and its
        // operands last until the flags are made.
        for i in 0..self.conditions.len() {
            let op = &ops[self.conditions[i] as usize];
            let fact = &mut self.facts[op.dst as usize];
            if !self.keys.get(usize::from(fact.key.min(fact.early))).is_some_and(|k| k.lazy) {
                (fact.key, fact.early) = (NO_KEY, NO_KEY);
                continue;
            }
            for s in operands(op) {
                if s != NONE {
                    self.facts[s as usize].uses -= 1;
                }
            }
        }
        for k in 0..self.keys.len() {
            let key = self.keys[k];
            if key.lazy && key.producer == NONE {
                for s in [key.a, key.b] {
                    let v = &mut self.facts[s as usize];
                    v.uses += 1;
                    v.last = v.last.max(key.first);
                }
            }
        }
        // Operands that only conditions in the flags asked for any more go with the operation that makes them.
        for key in self.keys.iter().filter(|k| k.lazy && k.producer != NONE) {
            let by = &ops[key.producer as usize];
            for s in [by.a, by.b].into_iter().filter(|s| by.a != by.b && *s != NONE) {
                let v = &mut self.facts[s as usize];
                if v.uses == 1 {
                    v.last = key.producer;
                }
            }
        }
    }

    /// The flags of an operation do not last: those that its result has by itself can be made later by a look at that, if no others are asked for.
    fn by_result(&mut self, ops: &[Op], k: usize) -> bool {
        let key = self.keys[k];
        if key.producer == NONE || !matches!(key.kind, KeyKind::Sub | KeyKind::Add | KeyKind::And) {
            return false;
        }
        let simple = |i: &u32| {
            let f = self.facts[ops[*i as usize].dst as usize];
            usize::from(f.key.min(f.early)) != k || matches!(f.cc, Cc::E | Cc::NE | Cc::S | Cc::NS)
        };
        if !self.conditions.iter().all(simple) {
            return false;
        }
        let result = ops[key.producer as usize].dst;
        self.keys[k] = Key { kind: KeyKind::And, a: result, b: result, producer: NONE, ..key };
        true
    }

    /// Notes where the flags of keys are needed: by ops that are not conditions of the same key themselves. `own` is the key of `op`, the `i`th.
    #[inline]
    fn needs(&mut self, op: &Op, i: u32, own: u16) {
        // A carry in the flags of its sum does not look at the carry that the sum had.
        if self.is_dead(op) || self.keys.get(own as usize).is_some_and(|k| k.kind == KeyKind::Adc && k.lazy) {
            return;
        }
        for s in operands(op) {
            let Some(Facts { key: k, .. }) = self.facts.get(s as usize).copied() else { continue };
            if k != NO_KEY && k != own {
                let key = &mut self.keys[k as usize];
                key.first = key.first.min(i);
                key.last = i;
            }
        }
    }

    /// The same for all ops, once keys have been given up that others' needs depend on.
    fn spans(&mut self, ops: &[Op]) {
        self.keys.iter_mut().for_each(|k| (k.first, k.last) = (NONE, 0));
        for (i, op) in ops.iter().enumerate() {
            let i = i as u32;
            let (own, early) = self.facts.get(op.dst as usize).map_or((NO_KEY, NO_KEY), |f| (f.key, f.early));
            // It needs the flags of its comparison, and no others for its operands.
            match self.keys.get_mut(usize::from(early)) {
                Some(key) => (key.first, key.last) = (key.first.min(i), i),
                None => self.needs(op, i, own),
            }
        }
    }

    /// The flags of an operation are lost at an op: what is asked for behind that goes into registers before, and what stands there is computed there.
    fn split(&mut self, ops: &[Op], k: usize, lost: u32) -> bool {
        let key = self.keys[k];
        if !matches!(key.kind, KeyKind::Sub | KeyKind::Add | KeyKind::And) {
            return false;
        }
        let mut found = false;
        let of_key = |f: &Facts| usize::from(f.key) == k;
        for i in self.conditions.iter().filter(|i| **i >= lost) {
            let v = &mut self.facts[ops[*i as usize].dst as usize];
            if of_key(v) {
                (v.key, found) = (NO_KEY, true);
            }
        }
        for op in &ops[lost as usize..] {
            if op.code == INSN_START || self.is_dead(op) {
                continue;
            }
            for s in operands(op) {
                if let Some(v) = self.facts.get_mut(s as usize).filter(|v| of_key(v)) {
                    (v.key, v.early, found) = (NO_KEY, k as u16, true);
                }
            }
        }
        self.spans(ops);
        self.keys[k].lazy = self.keys[k].first != NONE;
        found
    }

    /// The op with which the flags of a key are gone before their last use; `None` if they stay until then.
    fn lost(&self, ops: &[Op], k: usize, counts: &[(u32, u32)], f: &Frame) -> Option<u32> {
        let key = self.keys[k];
        let from = if key.producer == NONE { key.first } else { key.producer + 1 };
        if from > key.first {
            return Some(0);
        }
        for i in from..=key.last {
            let op = &ops[i as usize];
            // Counting changes the flags.
            if (i > key.first || key.producer != NONE) && counts.iter().any(|c| c.0 == i) {
                return Some(i);
            }
            if self.is_dead(op) {
                continue;
            }
            let own = if op.dst == NONE { NO_KEY } else { self.facts[op.dst as usize].key };
            if own != NO_KEY {
                // A condition in the flags needs no code; another is computed here.
                if own as usize != k && !self.keys[own as usize].lazy {
                    return Some(i);
                }
                continue;
            }
            // Into a register, from the flags.
            if op.dst != NONE && usize::from(self.facts[op.dst as usize].early) == k {
                continue;
            }
            for s in operands(op).into_iter().filter(|s| *s != NONE) {
                let other = self.facts[s as usize].key;
                if other != NO_KEY && other as usize != k && self.keys[other as usize].lazy {
                    return Some(i);
                }
            }
            if i == key.last {
                break;
            }
            let condition = match code(op) {
                Code::Branch => op.a,
                Code::Select => op.c,
                _ => NONE,
            };
            // What a floating-point comparison answers is there already.
            let answered = op.dst != NONE && self.facts[op.dst as usize].relation == key.a && key.kind == KeyKind::Float;
            if condition != NONE && self.facts[condition as usize].key as usize != k || !(answered || self.keeps_flags(ops, i, f)) {
                return Some(i);
            }
        }
        None
    }

    /// True if the code of the `i`th op leaves the host's flags alone, if somebody needs them ([`Lowering::flags_live`](crate::Lowering)).
    fn keeps_flags(&self, ops: &[Op], i: u32, f: &Frame) -> bool {
        let op = &ops[i as usize];
        let word = op.shape == Shape::SCALAR && matches!(op.ty, Ty::I32 | Ty::I64);
        match code(op) {
            Code::InsnStart | Code::Const | Code::Address | Code::Branch => true,
            Code::Get | Code::Set => op.shape == Shape::SCALAR && op.ty.bits() <= 64,
            Code::Select | Code::Not => word,
            Code::ZExt => op.ty.bits() <= 64 && !op.ty.is_float(),
            Code::SExt => word && op.aux as u8 != Ty::I1.0 && Ty(op.aux as u8).bits() <= 32,
            Code::Trunc => op.ty.bits() <= 64 && !op.ty.is_float() && op.ty != Ty::I1,
            Code::Mul | Code::MulHiU => word && f.features.bmi2,
            // As an address is computed, unless these flags are wanted.
            Code::Add => word && !self.makes_flags(i),
            Code::Sub => word && self.def(ops, op.b).code == Code::Const as u16 && !self.makes_flags(i),
            Code::Load | Code::Store => {
                let flags = MemFlags(op.aux);
                let closer = [MemFlags::ALIGNED, MemFlags::WITHIN16, MemFlags::BIG_ENDIAN, MemFlags::TAG_CHECK, MemFlags::ACQUIRE, MemFlags::RELEASE];
                let bits = if code(op) == Code::Store { self.facts[op.b as usize].bits } else { self.facts[op.dst as usize].bits };
                f.direct.is_some() && f.features.bmi2 && matches!(bits, 1..=128) && !closer.iter().any(|c| flags.has(*c))
            }
            _ => false,
        }
    }
    /// True if an op's own flags are wanted.
    fn makes_flags(&self, i: u32) -> bool {
        self.keys.iter().any(|k| k.lazy && k.producer == i)
    }

    /// Uses of a result that are conditions of the key and so need no value.
    fn condition_uses(&self, ops: &[Op], result: u32, key: &Key) -> u32 {
        let from = key.producer as usize + 1;
        // Conditions stand close behind the operation.
        ops[from..ops.len().min(from + 16)]
            .iter()
            .filter(|o| o.dst != NONE && self.facts[o.dst as usize].key != NO_KEY)
            .map(|o| operands(o).iter().filter(|s| **s == result).count() as u32)
            .sum()
    }

    /// Finds values that may be computed in the register of the pinned field that they are written to: nothing between their definition and
    /// the `set` can see the field.
    fn wants(&mut self, ops: &[Op], all: &PinMap) {
        let mut barrier = 0u32;
        let mut touched = [0u32; crate::frame::HOMES.len()];
        for (i, op) in ops.iter().enumerate() {
            let i = i as u32;
            match op.code {
                GET | SET => {
                    let bytes = crate::memory::moved(op, 256);
                    let pins = all.over(op.imm as u32, bytes);
                    if pins == 0 {
                        continue;
                    }
                    let mut left = pins;
                    while left != 0 {
                        let p = left.trailing_zeros() as usize;
                        left &= left - 1;
                        if op.code == SET && op.imm == u64::from(all.at(p)) && op.ty == Ty::I64 && op.shape == Shape::SCALAR {
                            self.want(ops, op.a, p as u8, barrier.max(touched[p]));
                        }
                        touched[p] = i;
                    }
                }
                INSN_START => {}
                _ if op.flags() & (FAULTS | EXITS | EFFECT) != 0 => barrier = i,
                _ => {}
            }
        }
    }

    fn want(&mut self, ops: &[Op], v: u32, pin: u8, since: u32) {
        let fact = self.facts[v as usize];
        if fact.def < since || fact.want != NO_PIN {
            return;
        }
        let op = &ops[fact.def as usize];
        if matches!(code(op), Code::Lo64 | Code::Hi64) && self.facts[op.a as usize].def < since {
            // It may be made as early as the whole.
            return;
        }
        self.facts[v as usize].want = pin;
        if code(op) == Code::ZExt && op.aux as u8 == Ty::I32.0 && op.ty == Ty::I64 {
            let inner = self.facts[op.a as usize];
            if inner.uses == 1 && inner.def >= since && inner.want == NO_PIN {
                self.facts[op.a as usize].want = pin;
            }
        }
    }
}
