//! Random regions mean the same before and after the passes: the interpreter runs both, and whenever somebody may look at state (an access,
//! a helper, an observed unit, the end) it is the same.

use emu_interp::{End, Env, Fault, prepare, run};
use emu_ir::{Code, MemFlags, NONE, Op, Shape, Ty, print, verify};
use emu_opt::{Dead, Forward, Overwritten, StateInfo, UnitOps, compact};
use emu_test_kit::Rng;
use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

const STATE: usize = 2200;
const VL: u32 = 32;
/// Fields below may change at any time.
const OWN: u64 = 0x20;
/// The condition flags, and the bytes around them.
const FLAGS: std::ops::Range<u64> = 0x84..0x88;
const UNITS: u64 = 4;
/// Units that one run goes through at most.
const STEPS: usize = 8;

fn info() -> StateInfo {
    StateInfo { flags: FLAGS.map(|f| f as u32).collect(), own: OWN as u32, kept: vec![0x78], helper_writes: vec![false, true] }
}

fn pc(unit: u64) -> u64 {
    0x1000 + unit * 0x100
}

/// Builds one unit.
struct Builder<'a> {
    random: &'a mut Rng,
    ops: Vec<Op>,
    /// Values in scope: slot and type.
    values: Vec<(u32, Ty)>,
    slots: u32,
    labels: u64,
}

impl Builder<'_> {
    fn emit(&mut self, code: Code, ty: Ty, operands: [u32; 3], aux: u32, imm: u64) {
        let [a, b, c] = operands;
        self.ops.push(Op { code: code as u16, ty, shape: Shape::SCALAR, dst: NONE, a, b, c, aux, imm });
    }
    fn make(&mut self, code: Code, ty: Ty, result: Ty, operands: [u32; 3], aux: u32, imm: u64) -> u32 {
        let dst = self.slots;
        self.slots += if result == Ty::I128 { 2 } else { 1 };
        self.emit(code, ty, operands, aux, imm);
        self.ops.last_mut().expect("just pushed").dst = dst;
        self.values.push((dst, result));
        dst
    }
    fn pick_type(&mut self) -> Ty {
        [Ty::I1, Ty::I1, Ty::I8, Ty::I16, Ty::I32, Ty::I64, Ty::I64, Ty::I128][self.random.below(8) as usize]
    }
    fn arithmetic_type(&mut self) -> Ty {
        [Ty::I8, Ty::I16, Ty::I32, Ty::I64][self.random.below(4) as usize]
    }
    /// Where a field of a type is: few places, so that they meet, at the flags, in the middle, and at the end of what is tracked.
    fn place(&mut self, ty: Ty) -> u64 {
        let r = self.random.below(10);
        match ty {
            Ty::I1 => FLAGS.start + self.random.below(FLAGS.end - FLAGS.start),
            _ if r < 7 => 0x78 + 4 * self.random.below(8),
            _ if r == 7 => 0x78 + self.random.below(32),
            _ => 2040 + self.random.below(3) * 4,
        }
    }
    fn constant(&mut self, ty: Ty) -> u32 {
        let v = match self.random.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => self.random.below(70),
            _ => self.random.u64(),
        };
        self.make(Code::Const, ty, ty, [NONE; 3], 0, if ty.bits() >= 64 { v } else { v & ((1 << ty.bits()) - 1) })
    }
    /// A value of a type: one that is there, or a new one.
    fn value(&mut self, ty: Ty) -> u32 {
        let there: Vec<u32> = self.values.iter().filter(|v| v.1 == ty).map(|v| v.0).collect();
        match self.random.below(8) {
            0..5 if !there.is_empty() => there[self.random.below(there.len() as u64) as usize],
            5 if ty != Ty::I128 => self.constant(ty),
            _ => self.get(ty),
        }
    }
    fn get(&mut self, ty: Ty) -> u32 {
        let at = self.place(ty);
        self.make(Code::Get, ty, ty, [NONE; 3], 0, at)
    }
    fn set(&mut self) {
        let ty = self.pick_type();
        let (v, at) = (self.value(ty), self.place(ty));
        self.emit(Code::Set, ty, [v, NONE, NONE], 0, at);
    }
    fn compute(&mut self) {
        let ty = self.arithmetic_type();
        match self.random.below(7) {
            // Shifts that are a rotation or an extension together, or nearly.
            4 => {
                let (v, bits) = (self.value(ty), u64::from(ty.bits()));
                let by = [8, 16, 32, 48, self.random.below(64)][self.random.below(5) as usize] % bits;
                let other = (bits - by + u64::from(self.random.below(8) == 0)) % bits;
                let [by, other] = [by, other].map(|n| self.make(Code::Const, ty, ty, [NONE; 3], 0, n));
                let left = self.make(Code::Shl, ty, ty, [v, by, NONE], 0, 0);
                let right = self.make(Code::LShr, ty, ty, [v, other, NONE], 0, 0);
                let code = [Code::Or, Code::Xor, Code::Add][self.random.below(3) as usize];
                let parts = if self.random.below(2) == 0 { [left, right, NONE] } else { [right, left, NONE] };
                self.make(code, ty, ty, parts, 0, 0);
                let back = [Code::LShr, Code::AShr][self.random.below(2) as usize];
                self.make(back, ty, ty, [left, by, NONE], 0, 0);
            }
            3 => {
                let (a, b) = (self.value(ty), self.value(ty));
                let lsb = self.random.below(u64::from(ty.bits())) as u32;
                let len = 1 + self.random.below(u64::from(ty.bits() - lsb)) as u32;
                match self.random.below(2) {
                    0 => self.make(Code::Deposit, ty, ty, [a, b, NONE], lsb | len << 8, 0),
                    _ => self.make(Code::Extract, ty, ty, [a, NONE, NONE], lsb | len << 8, 0),
                };
            }
            0 => {
                let codes = [Code::CmpEq, Code::CmpNe, Code::CmpUlt, Code::CmpUle, Code::CmpSlt, Code::CmpSle];
                let code = codes[self.random.below(6) as usize];
                let (a, b) = (self.value(ty), self.value(ty));
                self.make(code, ty, Ty::I1, [a, b, NONE], 0, 0);
            }
            1 => {
                let to = self.arithmetic_type();
                let a = self.value(ty);
                let code = if to.bits() < ty.bits() { Code::Trunc } else { [Code::ZExt, Code::SExt][self.random.below(2) as usize] };
                self.make(code, to, to, [a, NONE, NONE], ty.0.into(), 0);
            }
            2 => {
                let a = self.value(ty);
                self.make(Code::Not, ty, ty, [a, NONE, NONE], 0, 0);
            }
            _ => {
                let codes = [Code::Add, Code::Sub, Code::And, Code::Or, Code::Xor, Code::AndNot, Code::Shl, Code::LShr, Code::Mul];
                let code = codes[self.random.below(9) as usize];
                let (a, b) = (self.value(ty), self.value(ty));
                self.make(code, ty, ty, [a, b, NONE], 0, 0);
            }
        }
    }
    /// One op, or a few that belong together; `inside`: of a label's range.
    fn op(&mut self, inside: bool) {
        match self.random.below(24) {
            0..8 => self.set(),
            8..13 => {
                let ty = self.pick_type();
                self.get(ty);
            }
            13..18 => self.compute(),
            18 => {
                let a = self.value(Ty::I64);
                self.make(Code::Load, Ty::I64, Ty::I64, [a, NONE, NONE], MemFlags::NONE.0, 0);
            }
            19 => {
                let (a, helper) = (self.value(Ty::I64), self.random.below(3).min(1));
                self.make(Code::Call, Ty::I64, Ty::I64, [a, NONE, NONE], helper as u32, 0);
            }
            20 => {
                // A field that changes behind the ops' back.
                let at = self.random.below(OWN / 8) * 8;
                self.make(Code::Get, Ty::I64, Ty::I64, [NONE; 3], 0, at);
            }
            21 => {
                let (from, to) = (0x60 + 8 * self.random.below(8), 0x60 + 8 * self.random.below(8));
                let v = self.slots;
                self.slots += VL / 8;
                self.emit(Code::Get, Ty::I8, [NONE; 3], 0, from);
                self.ops.last_mut().expect("just pushed").dst = v;
                self.emit(Code::Set, Ty::I8, [v, NONE, NONE], 0, to);
                self.ops.iter_mut().rev().take(2).for_each(|o| o.shape = Shape::VL);
            }
            22 if !inside => {
                let condition = self.value(Ty::I1);
                let label = self.labels;
                self.labels += 1;
                self.emit(Code::BrIf, Ty::I64, [condition, NONE, NONE], 0, label);
                let known = self.values.len();
                for _ in 0..self.random.below(5) {
                    self.op(true);
                }
                // What was made on one way only is not defined behind.
                self.values.truncate(known);
                self.emit(Code::Label, Ty::I64, [NONE; 3], 0, label);
            }
            _ if !inside => {
                let condition = self.value(Ty::I1);
                let to = pc(self.random.below(UNITS + 1));
                self.emit(Code::Branch, Ty::I64, [condition, NONE, NONE], 0, to);
            }
            _ => {}
        }
    }
}

fn unit(random: &mut Rng, at: u64) -> (Vec<Op>, u32) {
    let mut b = Builder { random, ops: Vec::new(), values: Vec::new(), slots: 0, labels: 0 };
    for insn in 0..1 + b.random.below(5) {
        b.emit(Code::InsnStart, Ty::I64, [NONE; 3], 0, at + insn * 4);
        for _ in 0..b.random.below(7) {
            b.op(false);
        }
    }
    let to = pc(b.random.below(UNITS + 1));
    b.emit(Code::Goto, Ty::I64, [NONE; 3], 0, to);
    (b.ops, b.slots)
}

/// State, and what others have seen of it.
struct World {
    state: Vec<u8>,
    seen: Vec<u64>,
    reads: Cell<u64>,
    fp_flags: u32,
}

impl World {
    fn look(&mut self, why: u64) -> u64 {
        let mut h = DefaultHasher::new();
        (why, &self.state).hash(&mut h);
        let hash = h.finish();
        self.seen.push(hash);
        hash
    }
}

impl Env for World {
    fn load(&mut self, va: u64, size: u32, flags: MemFlags) -> Result<u64, Fault> {
        let hash = self.look(va);
        if hash.is_multiple_of(7) { Err(Fault { va, size, kind: 0, flags, fault: 1 }) } else { Ok(hash) }
    }
    fn call(&mut self, helper: u32, args: [u64; 3], _: u64, _: u64) -> Result<u64, ()> {
        let hash = self.look(args[0]);
        if helper == 1 {
            // Some bytes of each field.
            let start = 0x70 + (hash % 0x28) as usize;
            for (i, b) in self.state[start..start + 8].iter_mut().enumerate() {
                *b = (hash >> (i * 8)) as u8;
            }
        }
        if hash.is_multiple_of(11) { Err(()) } else { Ok(hash) }
    }
    fn state_read(&self, offset: u32, bytes: u32) -> u64 {
        if u64::from(offset) < OWN {
            self.reads.set(self.reads.get() + 1);
            return self.reads.get();
        }
        let mut v = [0; 8];
        v[..bytes as usize].copy_from_slice(&self.state[offset as usize..][..bytes as usize]);
        u64::from_le_bytes(v)
    }
    fn state_write(&mut self, offset: u32, bytes: u32, value: u64) {
        self.state[offset as usize..][..bytes as usize].copy_from_slice(&value.to_le_bytes()[..bytes as usize]);
    }
    fn begin(&mut self, _: u32) {}
    fn fp_flags(&mut self) -> &mut u32 {
        &mut self.fp_flags
    }
    fn load128(&mut self, _: u64, _: MemFlags) -> Result<u128, Fault> {
        unreachable!()
    }
    fn store(&mut self, _: u64, _: u32, _: u64, _: MemFlags) -> Result<(), Fault> {
        unreachable!()
    }
    fn store128(&mut self, _: u64, _: u128, _: MemFlags) -> Result<(), Fault> {
        unreachable!()
    }
    fn cas(&mut self, _: u64, _: u32, _: u128, _: u128, _: MemFlags) -> Result<u128, Fault> {
        unreachable!()
    }
    fn rmw(&mut self, _: u64, _: u32, _: u64, _: u128, _: MemFlags) -> Result<u128, Fault> {
        unreachable!()
    }
    fn load_exclusive(&mut self, _: u64, _: u32, _: MemFlags) -> Result<u128, Fault> {
        unreachable!()
    }
    fn store_exclusive(&mut self, _: u64, _: u32, _: u128, _: MemFlags) -> Result<bool, Fault> {
        unreachable!()
    }
    fn clear_exclusive(&mut self) {}
    fn fence(&mut self, _: u32) {}
}

/// What a run of a region shows: how each unit ended, what was seen of state on the way.
fn trace(ops: &[Op], units: &[UnitOps], state: &[u8]) -> (Vec<(End, u32)>, Vec<u64>) {
    let mut world = World { state: state.to_vec(), seen: Vec::new(), reads: Cell::new(0), fp_flags: 0 };
    let mut ends = Vec::new();
    let mut at = 0;
    for step in 0..STEPS {
        let u = &units[at];
        // Whoever enters from outside has seen state; after the last step it is looked at below.
        if u.observed || step == 0 {
            world.look(u.pc);
        }
        let mut slots = vec![0u64; u.slots as usize + 8];
        let outcome = run(&prepare(&ops[u.first..u.last]), &mut slots, VL, &mut world);
        ends.push((outcome.end, outcome.insns));
        match outcome.end {
            End::Goto(to) => match units.iter().position(|u| u.pc == to) {
                Some(next) => at = next,
                None => break,
            },
            _ => break,
        }
        if step == STEPS - 1 {
            // In the middle of the region: flags that are written again there may be anything.
            return (ends, world.seen);
        }
    }
    world.look(0);
    (ends, world.seen)
}

#[test]
fn passes_keep_the_meaning() {
    let mut random = Rng::announced("passes_keep_the_meaning");
    let (mut removed, mut ways_out, mut flags_gone, mut fields_gone) = (0usize, 0usize, 0usize, 0usize);
    for case in 0..20_000 {
        let (mut ops, mut units) = (Vec::new(), Vec::new());
        for n in 0..UNITS {
            let (unit, slots) = unit(&mut random, pc(n));
            let first = ops.len();
            ops.extend(unit);
            units.push(UnitOps { pc: pc(n), first, last: ops.len(), slots, observed: random.below(4) == 0 });
        }
        let check = |ops: &[Op], units: &[UnitOps]| {
            for u in units {
                if let Err(e) = verify(&ops[u.first..u.last], u.slots, VL, STATE as u64, 2) {
                    panic!("case {case}, unit {:#x}: {e}\n{}", u.pc, print(&ops[u.first..u.last]));
                }
            }
        };
        check(&ops, &units);
        let (before, units_before) = (ops.clone(), units.clone());
        let info = info();
        let mut forward = Forward::default();
        units.iter().for_each(|u| forward.run(&mut ops, u, &info));
        let gone = |ops: &[Op]| ops.iter().filter(|o| o.code == emu_opt::REMOVED).count();
        let by_forward = gone(&ops);
        Dead::default().run(&mut ops, &units, &[], &info);
        let by_dead = gone(&ops);
        flags_gone += by_dead - by_forward;
        let mut overwritten = Overwritten::default();
        units.iter().for_each(|u| overwritten.run(&mut ops, u, &[], &info));
        fields_gone += gone(&ops) - by_dead;
        compact(&mut ops, &mut units, std::iter::empty());
        check(&ops, &units);
        removed += before.len() - ops.len();
        for _ in 0..3 {
            let mut state = vec![0u8; STATE];
            state.iter_mut().for_each(|b| *b = random.u64() as u8);
            let (a, b) = (trace(&before, &units_before, &state), trace(&ops, &units, &state));
            ways_out += usize::from(a.0.len() > 1);
            if a != b {
                let text = |ops: &[Op], units: &[UnitOps]| -> String {
                    units.iter().map(|u| format!("unit {:#x} observed {}\n{}", u.pc, u.observed, print(&ops[u.first..u.last]))).collect()
                };
                panic!("case {case}: {:?} became {:?}\nbefore\n{}\nafter\n{}", a.0, b.0, text(&before, &units_before), text(&ops, &units));
            }
        }
    }
    // The passes had something to do, of each kind, and control went from unit to unit.
    let enough = removed > 10_000 && flags_gone > 2_000 && fields_gone > 2_000 && ways_out > 20_000;
    assert!(enough, "{removed} removed, {flags_gone} flags and {fields_gone} other fields of them, {ways_out} went on");
}
