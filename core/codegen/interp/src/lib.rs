//! The IR interpreter: the executable meaning of each op, and the oracle for code generators.
//!
//! It runs one verified block op by op over an array of 8-byte value slots. Scalars lie zero-extended in one slot, so most integer ops compute
//! on 64 bits and cut the result to the op's width. What an op does outside of values and state is the embedder's [`Env`].
//!
//! Files: this one has control flow and the dispatch, `scalar` the integer ops, `vector`, `float`, `crypto` and `hash` the rest.

#![allow(unsafe_code)] // `Step::code`.

mod crypto;
mod fast;
mod float;
mod hash;
mod scalar;
mod vector;

pub use fast::{FastBlock, prepare_fast, run_fast};

use emu_ir::{Code, MemFlags, NONE, Op, Shape, Ty};

/// A guest fault of a memory op, for the embedder to deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Virtual address of the faulting byte.
    pub va: u64,
    /// Size in bytes of the access.
    pub size: u32,
    /// Kind, as `AccessKind` numbers it.
    pub kind: u8,
    /// Flags of the op.
    pub flags: MemFlags,
    /// What the translation or the memory said.
    pub fault: u64,
}

/// What the interpreter asks of its surroundings.
pub trait Env {
    /// A load of 1, 2, 4 or 8 bytes, zero-extended, little-endian.
    fn load(&mut self, va: u64, size: u32, flags: MemFlags) -> Result<u64, Fault>;
    /// A load of 16 bytes.
    fn load128(&mut self, va: u64, flags: MemFlags) -> Result<u128, Fault>;
    /// A store of the low 1, 2, 4 or 8 bytes.
    fn store(&mut self, va: u64, size: u32, value: u64, flags: MemFlags) -> Result<(), Fault>;
    /// A store of 16 bytes.
    fn store128(&mut self, va: u64, value: u128, flags: MemFlags) -> Result<(), Fault>;
    /// Atomic compare and swap of 1 to 16 bytes; the old value.
    fn cas(&mut self, va: u64, size: u32, expected: u128, new: u128, flags: MemFlags) -> Result<u128, Fault>;
    /// Atomic read-modify-write of 1 to 16 bytes (`rmw::` kind); the old value.
    fn rmw(&mut self, va: u64, size: u32, kind: u64, value: u128, flags: MemFlags) -> Result<u128, Fault>;
    /// Load-exclusive.
    fn load_exclusive(&mut self, va: u64, size: u32, flags: MemFlags) -> Result<u128, Fault>;
    /// Store-exclusive; true if it failed.
    fn store_exclusive(&mut self, va: u64, size: u32, value: u128, flags: MemFlags) -> Result<bool, Fault>;
    /// Closes the exclusive monitor.
    fn clear_exclusive(&mut self);
    /// Orders memory accesses.
    fn fence(&mut self, bits: u32);
    /// An instruction begins; `insns` of the block have begun, this one included. Everything below happens in it until the next call.
    fn begin(&mut self, insns: u32);
    /// Calls a helper in the instruction at `pc`; `Err` when it has left the block.
    #[allow(clippy::result_unit_err)] // There is nothing more to say.
    fn call(&mut self, helper: u32, args: [u64; 3], imm: u64, pc: u64) -> Result<u64, ()>;
    /// Reads 1 to 8 bytes of CPU state (verified to lie inside).
    fn state_read(&self, offset: u32, bytes: u32) -> u64;
    /// Writes 1 to 8 bytes of CPU state.
    fn state_write(&mut self, offset: u32, bytes: u32, value: u64);
    /// The sticky floating-point flags.
    fn fp_flags(&mut self) -> &mut u32;
}

/// Why a block ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// `goto` or a taken `branch`, to this constant address.
    Goto(u64),
    /// `jump`.
    Jump(u64),
    /// `exit`: address and reason.
    Exit(u64, u32),
    /// A helper left the block: the state is complete.
    Helper,
    /// A memory op faulted in the instruction at this address, whose `insn_start` carried this word.
    Fault(u64, u32, Fault),
}

/// How a block ended and after how many instructions (the one that faulted or left counts as begun, not as done).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Why.
    pub end: End,
    /// Instructions begun.
    pub insns: u32,
}

/// An op that has been verified and prepared for running: its opcode is a row of the table, a branch's label is a position.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Step(Op);

impl Step {
    fn of(op: Op) -> Step {
        Step(op)
    }
    #[inline(always)]
    fn code(&self) -> Code {
        // SAFETY: `prepare` makes steps only of ops whose number is a `Code`, which is `repr(u16)`.
        unsafe { std::mem::transmute::<u16, Code>(self.0.code) }
    }
}

/// Prepares verified ops: opcodes decoded, label numbers replaced by positions.
pub fn prepare(ops: &[Op]) -> Vec<Step> {
    let mut places = std::collections::HashMap::new();
    for (i, op) in ops.iter().enumerate() {
        if op.opcode() == Some(Code::Label) {
            places.insert(op.imm, i as u64);
        }
    }
    ops.iter()
        .filter_map(|op| {
            let code = op.opcode()?;
            let mut op = *op;
            if matches!(code, Code::Br | Code::BrIf) {
                op.imm = *places.get(&op.imm)?;
            }
            Some(Step(op))
        })
        .collect()
}

/// Prepares verified ops where they stand, which takes less than [`prepare`]: their labels are made positions. `None` for what is not verified.
pub fn prepare_here(ops: &mut [Op]) -> Option<&[Step]> {
    let (mut highest, mut branches) = (0, 0);
    for op in ops.iter() {
        highest = highest.max(op.code);
        branches += u32::from(op.code == BR || op.code == BRIF);
    }
    if usize::from(highest) >= Code::ALL.len() {
        return None;
    }
    // A block has few labels, and they lie close behind what goes there.
    for at in 0..if branches == 0 { 0 } else { ops.len() } {
        if ops[at].code == BR || ops[at].code == BRIF {
            let label = ops[at].imm;
            let behind = ops[at..].iter().position(|o| o.code == Code::Label as u16 && o.imm == label)?;
            ops[at].imm = (at + behind) as u64;
        }
    }
    // SAFETY: a `Step` is an `Op`, and the numbers of these are opcodes, as was just seen.
    Some(unsafe { core::slice::from_raw_parts(ops.as_ptr().cast::<Step>(), ops.len()) })
}

const BR: u16 = Code::Br as u16;
const BRIF: u16 = Code::BrIf as u16;

#[inline(always)]
fn value(slots: &[u64], slot: u32) -> u64 {
    slots[slot as usize]
}

fn wide(slots: &[u64], slot: u32, bytes: u32) -> u128 {
    let i = slot as usize;
    if bytes == 16 { u128::from(slots[i]) | u128::from(slots[i + 1]) << 64 } else { u128::from(slots[i]) }
}

fn set_wide(slots: &mut [u64], slot: u32, bytes: u32, v: u128) {
    let i = slot as usize;
    slots[i] = v as u64;
    if bytes == 16 {
        slots[i + 1] = (v >> 64) as u64;
    }
}

/// Swaps the bytes of each `unit`-byte element of the low `bytes` bytes.
pub fn swap(v: u128, bytes: u32, unit: u32) -> u128 {
    let mut b = v.to_le_bytes();
    for chunk in b[..bytes as usize].chunks_mut(unit.max(1) as usize) {
        chunk.reverse();
    }
    u128::from_le_bytes(b)
}

/// Size in bytes of what a memory or state op moves.
fn moved(op: &Op, vl: u32) -> u32 {
    match op.shape {
        Shape::SCALAR => op.ty.bytes(),
        shape => shape.bytes(vl),
    }
}

/// Runs a verified block. `slots` has at least the block's number of value slots; `vl` is its vector length in bytes.
pub fn run<E: Env>(steps: &[Step], slots: &mut [u64], vl: u32, env: &mut E) -> Outcome {
    let mut insns = 0u32;
    let mut start = 0usize;
    let mut at = 0usize;
    loop {
        let Some(step) = steps.get(at) else {
            // Only an unverified block can run off its end.
            return Outcome { end: End::Exit(steps.get(start).map_or(0, |s| s.0.imm), 0), insns };
        };
        let op = &step.0;
        let code = step.code();
        at += 1;
        macro_rules! fault {
            ($f:expr) => {{
                let first = &steps[start].0;
                return Outcome { end: End::Fault(first.imm, first.aux, $f), insns };
            }};
        }
        macro_rules! attempt {
            ($e:expr) => {
                match $e {
                    Ok(v) => v,
                    Err(f) => fault!(f),
                }
            };
        }
        match code {
            Code::InsnStart => {
                insns += 1;
                start = at - 1;
                env.begin(insns);
            }
            Code::Get if op.shape == Shape::SCALAR && op.ty.0 <= Ty::I64.0 => {
                slots[op.dst as usize] = match op.ty {
                    Ty::I64 => env.state_read(op.imm as u32, 8),
                    Ty::I32 => env.state_read(op.imm as u32, 4),
                    Ty::I1 => env.state_read(op.imm as u32, 1) & 1,
                    ty => env.state_read(op.imm as u32, ty.bytes()),
                };
            }
            Code::Set if op.shape == Shape::SCALAR && op.ty.0 <= Ty::I64.0 => {
                let v = value(slots, op.a);
                match op.ty {
                    Ty::I64 => env.state_write(op.imm as u32, 8, v),
                    Ty::I32 => env.state_write(op.imm as u32, 4, v),
                    ty => env.state_write(op.imm as u32, ty.bytes(), v),
                }
            }
            Code::Get => {
                for i in 0..moved(op, vl).div_ceil(8) {
                    let left = moved(op, vl) - i * 8;
                    slots[(op.dst + i) as usize] = env.state_read(op.imm as u32 + i * 8, left.min(8));
                }
            }
            Code::Set => {
                for i in 0..moved(op, vl).div_ceil(8) {
                    let left = moved(op, vl) - i * 8;
                    env.state_write(op.imm as u32 + i * 8, left.min(8), slots[(op.a + i) as usize]);
                }
            }
            Code::Const | Code::Address => slots[op.dst as usize] = op.imm,
            Code::Const128 => {
                slots[op.dst as usize] = op.imm;
                slots[op.dst as usize + 1] = u64::from(op.a) | u64::from(op.b) << 32;
            }
            Code::Goto => return Outcome { end: End::Goto(op.imm), insns },
            Code::Branch => {
                if value(slots, op.a) != 0 {
                    return Outcome { end: End::Goto(op.imm), insns };
                }
            }
            Code::Jump => return Outcome { end: End::Jump(value(slots, op.a)), insns },
            Code::Exit => return Outcome { end: End::Exit(op.imm, op.aux), insns },
            Code::ExitJump => return Outcome { end: End::Exit(value(slots, op.a), op.aux), insns },
            Code::Label => {}
            Code::BrIf => {
                if value(slots, op.a) != 0 {
                    at = op.imm as usize;
                }
            }
            Code::Br => at = op.imm as usize,
            Code::Load => {
                let va = value(slots, op.a).wrapping_add(op.imm);
                let flags = MemFlags(op.aux);
                match moved(op, vl) {
                    16 => {
                        let v = attempt!(env.load128(va, flags));
                        let v = if flags.has(MemFlags::BIG_ENDIAN) { swap(v, 16, op.ty.bytes()) } else { v };
                        set_wide(slots, op.dst, 16, v);
                    }
                    size @ (1 | 2 | 4 | 8) => {
                        let v = attempt!(env.load(va, size, flags));
                        slots[op.dst as usize] = if flags.has(MemFlags::BIG_ENDIAN) { swap(v.into(), size, op.ty.bytes()) as u64 } else { v };
                    }
                    size => {
                        for i in 0..size / 8 {
                            let v = attempt!(env.load(va.wrapping_add(u64::from(i) * 8), 8, flags));
                            slots[(op.dst + i) as usize] = if flags.has(MemFlags::BIG_ENDIAN) { swap(v.into(), 8, op.ty.bytes()) as u64 } else { v };
                        }
                    }
                }
            }
            Code::Store => {
                let va = value(slots, op.a).wrapping_add(op.imm);
                let flags = MemFlags(op.aux);
                let big = flags.has(MemFlags::BIG_ENDIAN);
                match moved(op, vl) {
                    16 => {
                        let v = wide(slots, op.b, 16);
                        let v = if big { swap(v, 16, op.ty.bytes()) } else { v };
                        attempt!(env.store128(va, v, flags));
                    }
                    size @ (1 | 2 | 4 | 8) => {
                        let v = value(slots, op.b);
                        let v = if big { swap(v.into(), size, op.ty.bytes()) as u64 } else { v };
                        attempt!(env.store(va, size, v, flags));
                    }
                    size => {
                        for i in 0..size / 8 {
                            let v = slots[(op.b + i) as usize];
                            let v = if big { swap(v.into(), 8, op.ty.bytes()) as u64 } else { v };
                            attempt!(env.store(va.wrapping_add(u64::from(i) * 8), 8, v, flags));
                        }
                    }
                }
            }
            Code::Cas | Code::Rmw | Code::LoadEx | Code::StoreEx => {
                let (va, flags, size) = (value(slots, op.a), MemFlags(op.aux), op.ty.bytes());
                // A pair of 64-bit registers is swapped half by half.
                let unit = if flags.has(MemFlags::PAIR) { size / 2 } else { size };
                let order = |v: u128| if flags.has(MemFlags::BIG_ENDIAN) { swap(v, size, unit) } else { v };
                match code {
                    Code::Cas => {
                        let (b, c) = (order(wide(slots, op.b, size)), order(wide(slots, op.c, size)));
                        let old = attempt!(env.cas(va, size, b, c, flags));
                        set_wide(slots, op.dst, size, order(old));
                    }
                    Code::Rmw => {
                        let b = wide(slots, op.b, size);
                        // Arithmetic on big-endian memory is compare-and-swap on its swapped value.
                        let old = if flags.has(MemFlags::BIG_ENDIAN) {
                            attempt!(rmw_swapped(env, va, size, op.imm, b, flags, &order))
                        } else {
                            attempt!(env.rmw(va, size, op.imm, b, flags))
                        };
                        set_wide(slots, op.dst, size, old);
                    }
                    Code::LoadEx => {
                        let v = attempt!(env.load_exclusive(va, size, flags));
                        set_wide(slots, op.dst, size, order(v));
                    }
                    _ => {
                        let v = order(wide(slots, op.b, size));
                        slots[op.dst as usize] = u64::from(attempt!(env.store_exclusive(va, size, v, flags)));
                    }
                }
            }
            Code::ClrEx => env.clear_exclusive(),
            Code::Fence => env.fence(op.aux),
            Code::Call => {
                let arg = |slot: u32| if slot == NONE { 0 } else { slots[slot as usize] };
                let args = [arg(op.a), arg(op.b), arg(op.c)];
                match env.call(op.aux, args, op.imm, steps[start].0.imm) {
                    Ok(v) => slots[op.dst as usize] = v,
                    Err(()) => return Outcome { end: End::Helper, insns },
                }
            }
            code => {
                if !scalar::exec(code, op, slots) && !vector::exec(op, slots, vl, env.fp_flags()) {
                    debug_assert!(false, "no meaning for {code:?} of {:?} {:?}", op.ty, op.shape);
                }
            }
        }
    }
}

/// Carries out one verified op that computes values only: no control, state, memory or helper. False if it is not one of these.
pub fn execute(op: &Op, slots: &mut [u64], vl: u32, fp_flags: &mut u32) -> bool {
    let Some(code) = op.opcode() else { return false };
    match code {
        Code::Const if op.ty != Ty::I128 => slots[op.dst as usize] = op.imm,
        Code::Address if op.ty == Ty::I64 => slots[op.dst as usize] = op.imm,
        Code::Const128 if op.ty == Ty::I128 => {
            slots[op.dst as usize] = op.imm;
            slots[op.dst as usize + 1] = u64::from(op.a) | u64::from(op.b) << 32;
        }
        _ => return scalar::exec(code, op, slots) || vector::exec(op, slots, vl, fp_flags),
    }
    true
}

/// Read-modify-write of `size` bytes in the other byte order: compare-and-swap on the swapped value.
pub fn rmw_swapped<E: Env>(
    env: &mut E,
    va: u64,
    size: u32,
    kind: u64,
    b: u128,
    flags: MemFlags,
    order: &dyn Fn(u128) -> u128,
) -> Result<u128, Fault> {
    let mut expected = env.cas(va, size, 0, 0, flags)?;
    loop {
        let old = order(expected);
        let new = order(combine(kind, size, old, b));
        let found = env.cas(va, size, expected, new, flags)?;
        if found == expected {
            return Ok(old);
        }
        expected = found;
    }
}

/// The new value of a read-modify-write of `size` bytes.
pub fn combine(kind: u64, size: u32, old: u128, b: u128) -> u128 {
    use emu_ir::rmw;
    let shift = 128 - size * 8;
    let signed = |v: u128| (v << shift) as i128 >> shift;
    let new = match kind {
        rmw::ADD => old.wrapping_add(b),
        rmw::CLR => old & !b,
        rmw::XOR => old ^ b,
        rmw::SET => old | b,
        rmw::AND => old & b,
        rmw::SMAX => signed(old).max(signed(b)) as u128,
        rmw::SMIN => signed(old).min(signed(b)) as u128,
        rmw::UMAX => old.max(b),
        rmw::UMIN => old.min(b),
        _ => b,
    };
    new << shift >> shift
}
