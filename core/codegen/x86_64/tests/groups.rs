//! Loads and stores that share a look-up: random units over a guest memory whose pages come, go, move and lose permissions at every slow
//! access, against a memory that is an array. A page that has moved leaves poison behind, so that a distance which is used too long is found.
//! A slow access sees the fields that are not pinned as they are to be then: it could be a fault. Some units go round in themselves, so that look-ups
//! are kept from one round to the next.

#![allow(unsafe_code)] // Slow accesses come from generated code.

mod harness;

use emu_ir::{Code, MemFlags, NONE, Op, Shape, Ty, Width};
use emu_x86_64::Options;
use emu_x86_64::frame::{self, Exchange, HostFeatures, Site, Stretch, Stretches, TLB_ENTRY};
use harness::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::offset_of;

/// Guest pages, from address 0 on; and host pages, of which some are free.
const PAGES: usize = 6;
const HOST_PAGES: usize = 12;
const PAGE: usize = 4096;
const BYTES: usize = PAGES * PAGE;
const POISON: u8 = 0xee;

#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; PAGE]);

/// How a page is to be accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Fast,
    ReadFast,
    Slow,
}

/// What becomes of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pages {
    /// They come and go at every slow access, and some are slow.
    Move,
    /// They are as they are at the beginning, and some are slow.
    Stay,
    /// The same, and all are fast.
    Fast,
}

struct Memory {
    host: Vec<Page>,
    /// Host page of each guest page, and how it is accessed when it is in the cache.
    at: [usize; PAGES],
    kind: [Kind; PAGES],
    /// What loads of pages that only they may access fast find: the page again, so that a store there is lost.
    copy: Vec<Page>,
    rng: Rng,
    /// Slow accesses, and those with a distance for others behind them.
    slow: usize,
    found: usize,
    pages: Pages,
    /// By address of the instruction, and rounds to go: the fields before its access, where they are not pinned.
    states: States,
    /// The first instruction whose slow access found others.
    imprecise: Option<u64>,
    /// The first slow access that would have faulted.
    fault: Option<Place>,
}

/// Address of an instruction, and rounds to go.
type Place = (u64, u64);
type States = HashMap<Place, Vec<u8>>;

/// An access faults by its alignment: whoever carries those out must be asked.
fn faults(flags: MemFlags, va: u64, size: u32) -> bool {
    flags.has(MemFlags::ALIGNED) && !va.is_multiple_of(flags.aligned_unit(size).into())
        || flags.has(MemFlags::WITHIN16) && va % 16 + u64::from(size) > 16
}

/// Rounds that the unit has still to go.
const ROUNDS: usize = FIELDS + 7 * FIELD;
fn rounds(fields: &[u8]) -> u64 {
    u64::from_le_bytes(fields[ROUNDS - FIELDS..][..8].try_into().expect("8 bytes"))
}

thread_local! {
    static MEMORY: RefCell<Option<Memory>> = const { RefCell::new(None) };
}

fn with<T>(f: impl FnOnce(&mut Memory) -> T) -> T {
    MEMORY.with_borrow_mut(|m| f(m.as_mut().expect("a memory")))
}

impl Memory {
    fn byte(&mut self, va: usize) -> &mut u8 {
        let va = va % BYTES;
        &mut self.host[self.at[va / PAGE]].0[va % PAGE]
    }
    /// Writes the cache's entry of a page, or an empty one.
    ///
    /// # Safety
    /// `cpu` is a `Cpu` that nobody else uses.
    unsafe fn enter(&mut self, cpu: *mut u8, page: usize, there: bool) {
        let last = (page * PAGE + PAGE - 1) as u64;
        let (read, write) = match self.kind[page] {
            _ if !there => (0, 0),
            Kind::Fast => (last, last),
            Kind::ReadFast => (last, last & !(1 << 6)),
            Kind::Slow => (last & !(1 << 7), last & !(1 << 7)),
        };
        let mut host = &self.host[self.at[page]];
        if self.kind[page] == Kind::ReadFast {
            self.copy[page] = host.clone();
            host = &self.copy[page];
        }
        let addend = (host.0.as_ptr() as u64).wrapping_sub((page * PAGE) as u64);
        // SAFETY: the entry lies in the `Cpu`.
        unsafe {
            let entry = cpu.add(TLB + page % TLB_ENTRIES * TLB_ENTRY as usize).cast::<u64>();
            for (i, word) in [read, write, addend].into_iter().enumerate() {
                entry.add(i).write(word);
            }
            cpu.add(STRETCHES).write_bytes(0, size_of::<Stretches>());
        }
    }
    /// The distance for bytes that the cache has a fast entry of, or sometimes none.
    ///
    /// # Safety
    /// As for `enter`.
    unsafe fn distance(&mut self, cpu: *mut u8, va: u64, size: u64, write: bool) -> u64 {
        let page = va as usize / PAGE;
        // SAFETY: the entry lies in the `Cpu`.
        let [tag, addend] =
            [usize::from(write), 2].map(|i| unsafe { cpu.add(TLB + page % TLB_ENTRIES * TLB_ENTRY as usize).cast::<u64>().add(i).read() });
        let fast = (va + size - 1) | (PAGE as u64 - 1) == tag && self.rng.below(4) != 0;
        self.found += usize::from(fast);
        if fast { addend } else { emu_x86_64::NOTHING }
    }
    /// Moves a page, and changes what is in the cache.
    ///
    /// # Safety
    /// As for `enter`.
    unsafe fn disturb(&mut self, cpu: *mut u8) {
        if self.pages != Pages::Move {
            return;
        }
        if self.rng.below(2) == 0 {
            let page = self.rng.below(PAGES as u64) as usize;
            let free: Vec<usize> = (0..HOST_PAGES).filter(|h| !self.at.contains(h)).collect();
            let to = self.rng.pick(&free);
            let from = std::mem::replace(&mut self.at[page], to);
            self.host[to] = self.host[from].clone();
            self.host[from].0.fill(POISON);
            self.kind[page] = self.rng.pick(&[Kind::Fast, Kind::Fast, Kind::ReadFast, Kind::Slow]);
        }
        for page in 0..PAGES {
            let there = self.rng.below(4) != 0;
            // SAFETY: the caller's promise.
            unsafe { self.enter(cpu, page, there) };
        }
    }
}

extern "C" fn access(cpu: *mut u8, site: usize) -> u64 {
    with(|m| {
        // SAFETY: `cpu` is a `Cpu`, `site` lies in the code; nobody else uses either meanwhile.
        unsafe {
            let site = (site as *const Site).read_unaligned();
            let exchange = cpu.add(EXCHANGE);
            let va = exchange.add(offset_of!(Exchange, va)).cast::<u64>().read() as usize;
            let (value, result) = (exchange.add(offset_of!(Exchange, value)), exchange.add(offset_of!(Exchange, result)));
            result.cast::<u64>().write(0);
            result.cast::<u64>().add(1).write(0);
            for i in 0..usize::from(site.size) {
                if site.kind == Site::STORE {
                    *m.byte(va + i) = value.add(i).read();
                    m.copy[(va + i) % BYTES / PAGE].0[(va + i) % PAGE] = value.add(i).read();
                } else {
                    result.add(i).write(*m.byte(va + i));
                }
            }
            let mut fields = std::slice::from_raw_parts(cpu.add(FIELDS), STATE - FIELDS).to_vec();
            // As a fault would see them. Code goes on with flags as it has left them.
            let flags = exchange.cast::<Exchange>().read().settled();
            flags.into_iter().flatten().enumerate().for_each(|(i, flag)| fields[BOOLS - FIELDS + i] = flag);
            let fields = &*fields;
            if m.states.get(&(site.pc, rounds(fields))).is_none_or(|state| state != fields) {
                m.imprecise = m.imprecise.or(Some(site.pc));
            }
            if faults(MemFlags(site.flags), va as u64, site.size.into()) {
                m.fault = m.fault.or(Some((site.pc, rounds(fields))));
            }
            m.slow += 1;
            m.disturb(cpu);
            if site.span != 0 {
                let first = (va as u64).wrapping_sub(site.rmw.into());
                let distance = m.distance(cpu, first, site.span.into(), site.bits & Site::WRITES != 0);
                exchange.add(offset_of!(Exchange, distance)).cast::<u64>().write(distance);
            }
        }
        0
    })
}

fn bits(value: u128, bytes: u32) -> u128 {
    if bytes >= 16 { value } else { value & ((1 << (bytes * 8)) - 1) }
}

fn signed(value: u128, bytes: u32) -> i128 {
    let shift = 128 - bytes * 8;
    (value << shift) as i128 >> shift
}

/// What a block does, with memory as an array.
fn model(block: &Block, cpu: &mut Cpu, memory: &mut [u8]) -> (States, Option<Place>) {
    let (mut states, mut fault) = (HashMap::new(), None);
    while round(block, cpu, memory, &mut states, &mut fault) {}
    (states, fault)
}
/// The same once; true if it goes round.
fn round(block: &Block, cpu: &mut Cpu, memory: &mut [u8], states: &mut States, fault: &mut Option<Place>) -> bool {
    let mut values = vec![0u128; block.slots as usize];
    let mut pc = 0;
    for op in &block.ops {
        let value = |v: u32| values[v as usize];
        let bytes = if op.shape == Shape::SCALAR { op.ty.bytes() } else { op.shape.bytes(VL) };
        let va = |v: u32| (value(v) as u64).wrapping_add(op.imm) as usize % BYTES;
        if matches!(op.opcode(), Some(Code::Load | Code::Store)) {
            let fields = &cpu.bytes()[FIELDS..STATE];
            let place = (pc, rounds(fields));
            states.insert(place, fields.to_vec());
            if faults(MemFlags(op.aux), (value(op.a) as u64).wrapping_add(op.imm), bytes) {
                *fault = fault.or(Some(place));
            }
        }
        let new = match op.opcode().expect("an op") {
            Code::InsnStart => {
                pc = op.imm;
                continue;
            }
            Code::Get => {
                let at = op.imm as usize;
                let mut raw = [0; 16];
                raw[..bytes as usize].copy_from_slice(&cpu.bytes()[at..at + bytes as usize]);
                u128::from_le_bytes(raw)
            }
            Code::Set => {
                let (at, raw) = (op.imm as usize, value(op.a).to_le_bytes());
                cpu.bytes_mut()[at..at + bytes as usize].copy_from_slice(&raw[..bytes as usize]);
                continue;
            }
            Code::Const => op.imm.into(),
            Code::Add => bits(value(op.a).wrapping_add(value(op.b)), bytes),
            Code::Sub => bits(value(op.a).wrapping_sub(value(op.b)), bytes),
            Code::Mul => bits(value(op.a).wrapping_mul(value(op.b)), bytes),
            Code::MulHiU => value(op.a) * value(op.b) >> 64,
            Code::Shl => bits(value(op.a) << (value(op.b) & 63), 8),
            Code::And => value(op.a) & value(op.b),
            Code::Lo64 => bits(value(op.a), 8),
            Code::Hi64 => value(op.a) >> 64,
            Code::ZExt => value(op.a),
            Code::SExt => {
                let shift = 128 - Ty(op.aux as u8).bits();
                bits(((value(op.a) << shift) as i128 >> shift) as u128, bytes)
            }
            Code::Load => (0..bytes as usize).fold(0, |v, i| v | u128::from(memory[(va(op.a) + i) % BYTES]) << (8 * i)),
            Code::Store => {
                let raw = value(op.b).to_le_bytes();
                (0..bytes as usize).for_each(|i| memory[(va(op.a) + i) % BYTES] = raw[i]);
                continue;
            }
            Code::CmpNe => u128::from(value(op.a) != value(op.b)),
            Code::CmpEq => u128::from(value(op.a) == value(op.b)),
            Code::CmpUlt => u128::from(value(op.a) < value(op.b)),
            Code::CmpUle => u128::from(value(op.a) <= value(op.b)),
            Code::CmpSlt => u128::from(signed(value(op.a), bytes) < signed(value(op.b), bytes)),
            Code::SubOverflow | Code::Overflow => {
                let (a, b) = (signed(value(op.a), bytes), signed(value(op.b), bytes));
                let exact = if op.opcode() == Some(Code::Overflow) { a + b + value(op.c) as i128 } else { a - b };
                u128::from(exact != signed(exact as u128, bytes))
            }
            Code::Adc => bits(value(op.a) + value(op.b) + value(op.c), bytes),
            Code::CarryOut => (value(op.a) + value(op.b) + value(op.c)) >> (bytes * 8),
            Code::Not => value(op.a) ^ 1,
            Code::AndNot => value(op.a) & (value(op.b) ^ 1),
            Code::Select => value(if value(op.c) != 0 { op.a } else { op.b }),
            Code::Trunc => bits(value(op.a), bytes),
            Code::Branch if value(op.a) != 0 => return true,
            Code::Exit => {
                cpu.put(PC, op.imm);
                continue;
            }
            _ => continue,
        };
        values[op.dst as usize] = new;
    }
    false
}

/// A number, and a sum.
fn constant(b: &mut Block, imm: u64) -> u32 {
    b.push(Op { imm, ..blank(Code::Const, Ty::I64, Shape::SCALAR) })
}
fn sum(b: &mut Block, x: u32, y: u32) -> u32 {
    b.push(Op { a: x, b: y, ..blank(Code::Add, Ty::I64, Shape::SCALAR) })
}

/// Registers of the state: bases, values, vectors.
fn word(rng: &mut Rng) -> usize {
    if rng.below(3) == 0 { FIELDS + FIELD * rng.below(8) as usize } else { PINNED + 8 * rng.below(9) as usize }
}
const WORD: Width = Width::Bits(64);

/// What an access demands of its address.
fn alignment(rng: &mut Rng) -> u32 {
    match rng.below(8) {
        0 => MemFlags::ALIGNED.0,
        1 | 2 => MemFlags::WITHIN16.0,
        _ => 0,
    }
}

/// A random unit. Bases are the first three pinned fields and a field in memory; they are never written but by what goes on by constants. `loops`: it goes
/// round as often as a field says, which is all that happens to most of its bases.
/// `flags`: some instructions compare, and others ask for what was found.
fn random_block(rng: &mut Rng, loops: bool, flags: bool) -> Block {
    let bases = [PINNED, PINNED + 8, PINNED + 16, FIELDS + FIELD];
    let mut b = Block::new();
    let mut known: Vec<u32> = bases.map(|at| b.get(WORD, at)).to_vec();
    let indices = [b.get(WORD, PINNED + 64), b.get(WORD, FIELDS + 3 * FIELD)];
    let mut live: Vec<u32> = Vec::new();
    let mut conditions: Vec<u32> = Vec::new();
    for n in 0..4 + rng.below(24) {
        b.push(Op { imm: 0x1000 + 4 * n, aux: 0, ..blank(Code::InsnStart, Ty::I64, Shape::SCALAR) });
        let i = rng.below(4) as usize;
        // Mostly small and close together, sometimes far.
        let imm = if rng.below(8) == 0 { rng.below(2000) } else { rng.below(96) }.wrapping_sub(32);
        // An element of an array in place of the base, found anew each time.
        let element = |b: &mut Block, rng: &mut Rng, base: u32| {
            if rng.below(4) != 0 {
                return base;
            }
            let (mask, by) = (constant(b, 0x1ff), constant(b, 3));
            let index = b.push(Op { a: rng.pick(&indices), b: mask, ..blank(Code::And, Ty::I64, Shape::SCALAR) });
            let offset = b.push(Op { a: index, b: by, ..blank(Code::Shl, Ty::I64, Shape::SCALAR) });
            b.push(Op { a: base, b: offset, ..blank(Code::Add, Ty::I64, Shape::SCALAR) })
        };
        match rng.below(if flags { 20 } else { 14 }) {
            14..=16 => {
                let carry = conditions.last().copied();
                let (operand, found) = compare(&mut b, rng, carry);
                conditions.extend(found);
                live.extend(operand);
            }
            17 if rng.below(2) == 0 => {
                // One flag alone.
                let condition = conditions.last().copied().filter(|_| rng.below(2) == 0);
                let v = condition.unwrap_or_else(|| b.get(Width::Bits(1), BOOLS + rng.below(4) as usize));
                b.set(Width::Bits(1), BOOLS + rng.below(4) as usize, v);
            }
            17.. => {
                if let Some(c) = conditions.len().checked_sub(1).map(|last| conditions[last - rng.below(last.min(20) as u64 + 1) as usize]) {
                    let to = RESULTS + FIELD * (34 + rng.below(8) as usize);
                    if rng.below(4) == 0 {
                        b.set(Width::Bits(1), to, c);
                    } else {
                        let (x, y) = (b.get(WORD, word(rng)), b.get(WORD, word(rng)));
                        let v = b.push(Op { a: x, b: y, c, ..blank(Code::Select, Ty::I64, Shape::SCALAR) });
                        let pinned = PINNED + 8 * (3 + rng.below(6) as usize);
                        b.set(WORD, if rng.below(2) == 0 { pinned } else { to }, v);
                    }
                }
            }
            0 if !loops || rng.below(4) == 0 => {
                // The base goes on.
                let by = b.push(Op { imm: rng.below(64), ..blank(Code::Const, Ty::I64, Shape::SCALAR) });
                let code = if rng.below(3) == 0 { Code::Sub } else { Code::Add };
                known[i] = b.push(Op { a: known[i], b: by, ..blank(code, Ty::I64, Shape::SCALAR) });
                b.set(WORD, bases[i], known[i]);
            }
            1 => {
                // Registers of their own.
                let (x, y) = (b.get(WORD, word(rng)), b.get(WORD, word(rng)));
                let code = rng.pick(&[Code::Mul, Code::MulHiU, Code::Shl]);
                let v = b.push(Op { a: x, b: y, ..blank(code, Ty::I64, Shape::SCALAR) });
                let at = PINNED + 8 * (3 + rng.below(6) as usize);
                b.set(WORD, at, v);
            }
            2..=6 => {
                let ty = rng.pick(&[Ty::I8, Ty::I16, Ty::I32, Ty::I64, Ty::I64, Ty::I128, Ty::I128]);
                let shape = if ty == Ty::I128 || rng.below(6) != 0 { Shape::SCALAR } else { Shape::V128 };
                let at = element(&mut b, rng, known[i]);
                let v = b.push(Op { a: at, imm, aux: alignment(rng), ..blank(Code::Load, ty, shape) });
                let to = rng.below(20) as usize;
                if ty == Ty::I128 && rng.below(3) != 0 {
                    let low = b.push(Op { a: v, ..blank(Code::Lo64, Ty::I128, Shape::SCALAR) });
                    let high = b.push(Op { a: v, ..blank(Code::Hi64, Ty::I128, Shape::SCALAR) });
                    b.set(WORD, PINNED + 8 * (3 + rng.below(6) as usize), low);
                    b.set(WORD, RESULTS + FIELD * to, high);
                } else if ty == Ty::I64 && shape == Shape::SCALAR {
                    b.set(WORD, PINNED + 8 * (3 + rng.below(6) as usize), v);
                    live.push(v);
                } else if shape == Shape::SCALAR && matches!(ty, Ty::I8 | Ty::I16 | Ty::I32) && rng.below(4) != 0 {
                    // Extended, sometimes with another use of what was loaded.
                    let (code, wide) = (rng.pick(&[Code::SExt, Code::ZExt]), if ty == Ty::I32 { Ty::I64 } else { rng.pick(&[Ty::I32, Ty::I64]) });
                    let e = b.push(Op { a: v, aux: ty.0.into(), ..blank(code, wide, Shape::SCALAR) });
                    if rng.below(4) == 0 {
                        b.set(Width::Bits(ty.bits()), RESULTS + FIELD * to, v);
                    }
                    if wide == Ty::I64 && rng.below(2) == 0 {
                        b.set(WORD, PINNED + 8 * (3 + rng.below(6) as usize), e);
                        live.push(e);
                    } else {
                        b.set(Width::Bits(wide.bits()), RESULTS + FIELD * (20 + rng.below(10) as usize), e);
                    }
                } else {
                    let width = if shape == Shape::SCALAR { ty.bits() } else { 128 };
                    b.set(Width::Bits(width), RESULTS + FIELD * to, v);
                }
            }
            7 if !live.is_empty() => {
                let v = rng.pick(&live);
                b.set(WORD, RESULTS + FIELD * (20 + rng.below(10) as usize), v);
            }
            // A few fields are written again and again, what is in them used or not.
            8 | 9 => {
                let sum = |b: &mut Block, rng: &mut Rng| {
                    let (x, y) = (b.get(WORD, word(rng)), b.get(WORD, RESULTS + FIELD * (30 + rng.below(3) as usize)));
                    b.push(Op { a: x, b: y, ..blank(Code::Add, Ty::I64, Shape::SCALAR) })
                };
                let v = match rng.below(4) {
                    0 if !live.is_empty() => rng.pick(&live),
                    1 => b.push(Op { a: known[i], imm, ..blank(Code::Load, Ty::I64, Shape::SCALAR) }),
                    _ => sum(&mut b, rng),
                };
                b.set(WORD, RESULTS + FIELD * (30 + rng.below(3) as usize), v);
                if rng.below(2) == 0 {
                    b.set(WORD, PINNED + 8 * (3 + rng.below(6) as usize), v);
                }
                if rng.below(2) == 0 {
                    live.push(v);
                }
            }
            _ => {
                let bits = rng.pick(&[8u32, 16, 32, 64, 64, 128, 128]);
                let v = if bits == 64 { b.get(WORD, word(rng)) } else { b.get(Width::Bits(bits), FIELDS + FIELD * (2 + rng.below(6) as usize)) };
                let flags = alignment(rng);
                let at = element(&mut b, rng, known[i]);
                b.push(Op { a: at, b: v, imm, aux: flags, ..blank(Code::Store, Ty::int(bits).expect("a width"), Shape::SCALAR) });
            }
        }
    }
    if loops {
        goes_round(&mut b);
    } else {
        b.end();
    }
    b
}
/// Ends a unit that goes round.
fn goes_round(b: &mut Block) {
    let (left, one, zero) = (b.get(WORD, ROUNDS), constant(b, 1), constant(b, 0));
    let left = b.push(Op { a: left, b: one, ..blank(Code::Sub, Ty::I64, Shape::SCALAR) });
    b.set(WORD, ROUNDS, left);
    let goes = b.push(Op { a: left, b: zero, ..blank(Code::CmpNe, Ty::I64, Shape::SCALAR) });
    b.push(Op { a: goes, imm: 0x1000, ..blank(Code::Branch, Ty::I1, Shape::SCALAR) });
    b.end();
}

/// An instruction that sets condition flags as A64's do: its first operand, if that has 64 bits, and what can be asked of the flags.
/// `carry`: what was found before.
fn compare(b: &mut Block, rng: &mut Rng, carry: Option<u32>) -> (Option<u32>, [u32; 8]) {
    let scalar = |code, ty| blank(code, ty, Shape::SCALAR);
    let ty = rng.pick(&[Ty::I32, Ty::I64, Ty::I64]);
    // What comes from a base may be a base that goes on: it is only looked at.
    let place = if rng.below(3) == 0 { RESULTS + FIELD * (34 + rng.below(4) as usize) } else { PINNED + 8 * rng.below(9) as usize };
    let operand = |b: &mut Block, at: usize| {
        let v = b.get(WORD, at);
        if ty == Ty::I64 { v } else { b.push(Op { a: v, aux: Ty::I64.0.into(), ..scalar(Code::Trunc, ty) }) }
    };
    let x = operand(b, place);
    let y = if rng.below(3) == 0 { b.push(Op { imm: 1 + rng.below(40), ..scalar(Code::Const, ty) }) } else { operand(b, word(rng)) };
    let code = rng.pick(&[Code::Sub, Code::Sub, Code::Add, Code::And, Code::Adc]);
    let with = match rng.below(3) {
        _ if code != Code::Adc => NONE,
        0 => b.get(Width::Bits(1), BOOLS + 2),
        1 => b.push(Op { imm: rng.below(2), ..scalar(Code::Const, Ty::I1) }),
        _ => carry.unwrap_or_else(|| b.get(Width::Bits(1), BOOLS + 2)),
    };
    let result = b.push(Op { a: x, b: y, c: with, ..scalar(code, ty) });
    let write = |b: &mut Block, rng: &mut Rng| {
        let wide = if ty == Ty::I64 { result } else { b.push(Op { a: result, aux: ty.0.into(), ..scalar(Code::ZExt, Ty::I64) }) };
        // In the place of an operand, if that is no base.
        let to = if place >= RESULTS || place >= PINNED + 24 && rng.below(2) == 0 { place } else { PINNED + 8 * (3 + rng.below(6) as usize) };
        b.set(WORD, to, wide);
    };
    let written = rng.below(6);
    if written < 3 {
        write(b, rng);
    }
    let zero = b.push(scalar(Code::Const, ty));
    let none = b.push(scalar(Code::Const, Ty::I1));
    let n = b.push(Op { a: result, b: zero, ..scalar(Code::CmpSlt, ty) });
    let z = b.push(Op { a: result, b: zero, ..scalar(Code::CmpEq, ty) });
    let (c, v) = match code {
        Code::Sub => (b.push(Op { a: y, b: x, ..scalar(Code::CmpUle, ty) }), b.push(Op { a: x, b: y, ..scalar(Code::SubOverflow, ty) })),
        Code::Add => (b.push(Op { a: result, b: x, ..scalar(Code::CmpUlt, ty) }), b.push(Op { a: x, b: y, c: none, ..scalar(Code::Overflow, ty) })),
        Code::Adc => [Code::CarryOut, Code::Overflow].map(|code| b.push(Op { a: x, b: y, c: with, ..scalar(code, ty) })).into(),
        _ => (none, none),
    };
    if rng.below(4) != 0 {
        [n, z, c, v].into_iter().enumerate().for_each(|(i, f)| b.set(Width::Bits(1), BOOLS + i, f));
    }
    if written == 3 {
        write(b, rng);
    }
    // Those that are made of others stand here or, mostly, nowhere.
    let not = b.push(Op { a: c, ..scalar(Code::Not, Ty::I1) });
    let higher = b.push(Op { a: c, b: z, ..scalar(Code::AndNot, Ty::I1) });
    let ge = b.push(Op { a: n, b: v, ..scalar(Code::CmpEq, Ty::I1) });
    let gt = b.push(Op { a: ge, b: z, ..scalar(Code::AndNot, Ty::I1) });
    ((ty == Ty::I64).then_some(x), [n, z, c, v, not, higher, ge, gt])
}

fn natives() -> Vec<Native> {
    let mut all = Vec::new();
    for (features, name) in [(HostFeatures::detect(), "host"), (HostFeatures::baseline(), "baseline")] {
        for hot in [true, false] {
            let mut native = Native::with_memory(Options { fuse: true, native: true }, features, name, access);
            native.hot = hot;
            all.push(native);
        }
    }
    all
}

/// Runs a block once, on one CPU, with the model on the other; what was slow.
fn check(native: &mut Native, [cpu, copy]: &mut [Cpu; 2], block: &Block, rng: &mut Rng, pages: Pages, bases: [u64; 4]) -> (usize, usize) {
    cpu.again();
    cpu.randomise(rng, &[Ty::I64]);
    for (at, base) in [PINNED, PINNED + 8, PINNED + 16, FIELDS + FIELD].into_iter().zip(bases) {
        cpu.put(at, base);
    }
    cpu.put(ROUNDS, 1 + rng.below(12));
    let mut flat: Vec<u8> = (0..BYTES).map(|_| rng.next() as u8).collect();
    let mut m = Memory {
        host: vec![Page([POISON; PAGE]); HOST_PAGES],
        at: std::array::from_fn(|i| i),
        kind: std::array::from_fn(
            |_| if pages == Pages::Fast { Kind::Fast } else { rng.pick(&[Kind::Fast, Kind::Fast, Kind::ReadFast, Kind::Slow]) },
        ),
        copy: vec![Page([POISON; PAGE]); PAGES],
        rng: Rng(rng.next()),
        slow: 0,
        found: 0,
        pages,
        states: HashMap::new(),
        imprecise: None,
        fault: None,
    };
    for (i, b) in flat.iter().enumerate() {
        m.host[i / PAGE].0[i % PAGE] = *b;
    }
    for page in 0..PAGES {
        let there = pages == Pages::Fast || rng.below(4) != 0;
        // SAFETY: the CPU is this function's.
        unsafe { m.enter(cpu.bytes_mut().as_mut_ptr(), page, there) };
    }
    MEMORY.set(Some(m));
    let mut want = cpu.bytes()[..STATE].to_vec();
    let code = native.compile(block).0;
    copy.bytes_mut()[..STATE].copy_from_slice(&want);
    let (states, fault) = model(block, copy, &mut flat);
    with(|m| m.states = states);
    want.copy_from_slice(&copy.bytes()[..STATE]);
    native.run(cpu, code);
    let (found, slow, imprecise, faulted) =
        with(|m| ((0..BYTES).map(|va| *m.byte(va)).collect::<Vec<u8>>(), (m.slow, m.found), m.imprecise, m.fault));
    let state = cpu.bytes()[..STATE].iter().zip(&want).position(|(a, b)| a != b);
    let memory = found.iter().zip(&flat).position(|(a, b)| a != b);
    assert!(
        state.is_none() && memory.is_none() && imprecise.is_none() && fault == faulted,
        "{} hot={}: state differs at {state:?}, memory at {memory:?}, before the access of {imprecise:x?}; {faulted:x?} for {fault:x?} faults\n{}\n{}",
        native.name,
        native.hot,
        emu_ir::print(&block.ops),
        native.text()
    );
    slow
}

/// Addresses in the middle of pages, near their ends, misaligned; far enough from the ends of memory.
fn base(rng: &mut Rng) -> u64 {
    let page = (1 + rng.below(PAGES as u64 - 3)) * PAGE as u64;
    let at = if rng.below(2) == 0 { rng.below(PAGE as u64) } else { PAGE as u64 - rng.below(128) };
    page + if rng.below(2) == 0 { at & !15 } else { at }
}

#[test]
fn random_units_over_pages_that_move() {
    random_units("groups", false, false, 3000);
}

#[test]
fn random_loops_over_pages_that_move() {
    random_units("loops", true, false, 300);
}

#[test]
fn random_units_with_flags() {
    random_units("flags", false, true, 3000);
}

#[test]
fn random_loops_with_flags() {
    random_units("flag loops", true, true, 300);
}

fn random_units(name: &str, loops: bool, flags: bool, count: usize) {
    let mut rng = Rng::new(name);
    let (mut natives, mut cpus) = (natives(), [Cpu::new(), Cpu::new()]);
    let (mut runs, mut slow, mut found) = (0, 0, 0);
    for _ in 0..count {
        let block = random_block(&mut rng, loops, flags);
        block.verified().unwrap_or_else(|e| panic!("{e}\n{}", emu_ir::print(&block.ops)));
        for native in &mut natives {
            for pages in [Pages::Move, Pages::Fast] {
                let bases = std::array::from_fn(|_| base(&mut rng));
                let (all, others) = check(native, &mut cpus, &block, &mut rng, pages, bases);
                (slow, found) = (slow + all, found + others);
                runs += 1;
            }
        }
    }
    println!("{runs} runs, {slow} slow accesses, {found} of them with a distance for others behind");
    assert!(slow > runs / 2 && found > 100);
}

/// A loop that goes along memory, over the ends of pages: off bases that go on, and off one that does not by an index that is loaded.
fn walk(rng: &mut Rng) -> Block {
    let bases = [PINNED, PINNED + 8, PINNED + 16, FIELDS + FIELD];
    let mut b = Block::new();
    let mut pc = 0x1000;
    let mut instruction = |b: &mut Block| {
        b.push(Op { imm: pc, aux: 0, ..blank(Code::InsnStart, Ty::I64, Shape::SCALAR) });
        pc += 4;
    };
    for _ in 0..1 + rng.below(5) {
        instruction(&mut b);
        let at = rng.pick(&bases);
        let mut base = b.get(WORD, at);
        if rng.below(3) == 0 {
            let index = b.get(WORD, PINNED + 64);
            let (mask, by) = (constant(&mut b, 0x1ff), constant(&mut b, 3 + rng.below(2)));
            let index = b.push(Op { a: index, b: mask, ..blank(Code::And, Ty::I64, Shape::SCALAR) });
            let index = b.push(Op { a: index, b: by, ..blank(Code::Shl, Ty::I64, Shape::SCALAR) });
            base = sum(&mut b, base, index);
        }
        // Up to four accesses that are near each other.
        let near = rng.below(4);
        for _ in 0..1 + rng.below(4) {
            instruction(&mut b);
            let (bits, imm, aux) = (rng.pick(&[8u32, 8, 16, 32, 64, 128]), near * rng.below(24), alignment(rng));
            let ty = Ty::int(bits).expect("a width");
            if rng.below(2) == 0 {
                let v = b.push(Op { a: base, imm, aux, ..blank(Code::Load, ty, Shape::SCALAR) });
                let to = RESULTS + FIELD * rng.below(20) as usize;
                b.set(Width::Bits(bits), if bits == 64 && rng.below(2) == 0 { PINNED + 64 } else { to }, v);
            } else {
                let v = b.get(Width::Bits(bits), FIELDS + FIELD * (2 + rng.below(5) as usize));
                b.push(Op { a: base, b: v, imm, aux, ..blank(Code::Store, ty, Shape::SCALAR) });
            }
        }
        instruction(&mut b);
        if rng.below(4) != 0 {
            let back = rng.below(4) == 0;
            let by = if back { rng.below(60).wrapping_neg() } else { rng.pick(&[1, 8, 16, 40, 250]) };
            let (base, by) = (b.get(WORD, at), constant(&mut b, by));
            let on = sum(&mut b, base, by);
            b.set(WORD, at, on);
        }
    }
    goes_round(&mut b);
    b
}

/// The stretches that loops have found: how many, and how many of those are longer than a page. None says what entries do not.
fn stretches(cpu: &Cpu) -> (usize, usize) {
    let word = |at: usize| u64::from_le_bytes(cpu.bytes()[at..at + 8].try_into().expect("8 bytes"));
    let mut found = (0, 0);
    for (kind, n) in (0..2).flat_map(|kind| (0..frame::STRETCHES).map(move |n| (kind, n))) {
        let at = STRETCHES + offset_of!(Stretches, of) + (kind * frame::STRETCHES + n) * size_of::<Stretch>();
        let (first, distance) = (word(at + offset_of!(Stretch, first)), word(at + offset_of!(Stretch, distance)));
        let sizes: Vec<u64> = (0..frame::STRETCH_SPANS.len()).map(|i| word(at + offset_of!(Stretch, sizes) + 8 * i)).collect();
        if sizes.iter().all(|size| *size == 0) {
            continue;
        }
        assert!(word(STRETCHES + offset_of!(Stretches, used) + 8 * kind) >> n & 1 != 0, "whoever empties them would not know");
        assert!(sizes.iter().zip(frame::STRETCH_SPANS).all(|(size, span)| *size == sizes[0] - u64::from(span - 1)), "{sizes:?}");
        assert!(
            first.is_multiple_of(PAGE as u64) && sizes[0].is_multiple_of(PAGE as u64) && first + sizes[0] <= BYTES as u64,
            "{first:#x} {sizes:?}"
        );
        for page in (first..first + sizes[0]).step_by(PAGE) {
            let entry = TLB + page as usize / PAGE * TLB_ENTRY as usize;
            assert_eq!((word(entry + 8 * kind), word(entry + 16)), (page + PAGE as u64 - 1, distance), "page {page:#x}");
        }
        found = (found.0 + 1, found.1 + usize::from(sizes[0] > PAGE as u64));
    }
    found
}

#[test]
fn walks_over_pages() {
    let mut rng = Rng::new("walks");
    let (mut natives, mut cpus) = (natives(), [Cpu::new(), Cpu::new()]);
    let (mut found, mut long) = ([0; 3], [0; 3]);
    for _ in 0..600 {
        let block = walk(&mut rng);
        block.verified().unwrap_or_else(|e| panic!("{e}\n{}", emu_ir::print(&block.ops)));
        for native in &mut natives {
            for pages in [Pages::Move, Pages::Stay, Pages::Fast] {
                let bases = std::array::from_fn(|_| base(&mut rng));
                check(native, &mut cpus, &block, &mut rng, pages, bases);
                let (all, longer) = stretches(&cpus[0]);
                assert!(native.hot || all == 0);
                found[pages as usize] += all;
                long[pages as usize] += longer;
            }
        }
    }
    println!("stretches {found:?}, longer than a page {long:?}");
    assert!(found.iter().all(|n| *n > 100) && long[2] > 100);
}

/// Where a group lies in two pages, those of it that lie in one need nobody.
#[test]
fn a_group_over_the_end_of_a_page() {
    let mut rng = Rng::new("ends of pages");
    let mut cpus = [Cpu::new(), Cpu::new()];
    const ALL: [(Ty, i64); 6] = [(Ty::I64, -8), (Ty::I64, 0), (Ty::I32, -12), (Ty::I8, 8), (Ty::I16, 10), (Ty::I128, 16)];
    for native in &mut natives() {
        for round in 0..40 {
            let mut b = Block::new();
            let base = b.get(WORD, PINNED);
            let first = rng.below(6) as usize;
            for i in 0..6 {
                let (ty, imm) = ALL[(first + i) % 6];
                let access = Op { a: base, imm: imm as u64, ..blank(Code::Load, ty, Shape::SCALAR) };
                b.push(Op { imm: 0x1000 + 4 * i as u64, aux: 0, ..blank(Code::InsnStart, Ty::I64, Shape::SCALAR) });
                if rng.below(3) == 0 {
                    let v = b.get(Width::Bits(ty.bits()), FIELDS + FIELD * 2);
                    b.push(Op { b: v, ..Op { code: Code::Store as u16, ..access } });
                } else {
                    let v = b.push(access);
                    b.set(Width::Bits(ty.bits()), RESULTS + FIELD * i, v);
                }
            }
            b.end();
            b.verified().unwrap_or_else(|e| panic!("{e}\n{}", emu_ir::print(&b.ops)));
            let end = 2 * PAGE as u64;
            let slow = [end, end - 4].map(|base| check(native, &mut cpus, &b, &mut rng, Pages::Fast, [base; 4]).0);
            assert_eq!(slow[0], 0, "{} hot={}, round {round}:\n{}\n{}", native.name, native.hot, emu_ir::print(&b.ops), native.text());
            // The second of them lies in two itself.
            assert!(slow[1] >= 1, "{} hot={}, round {round}", native.name, native.hot);
        }
    }
}

/// A load of 8 bytes, or a store, off a base.
fn load(b: &mut Block, base: u32, imm: i64) {
    let v = b.push(Op { a: base, imm: imm as u64, ..blank(Code::Load, Ty::I64, Shape::SCALAR) });
    b.set(WORD, RESULTS, v);
}
fn store(b: &mut Block, base: u32, imm: i64) {
    let v = b.get(WORD, PINNED + 64);
    b.push(Op { a: base, b: v, imm: imm as u64, ..blank(Code::Store, Ty::I64, Shape::SCALAR) });
}
fn plus(b: &mut Block, base: u32, by: u64) -> u32 {
    let by = constant(b, by);
    sum(b, base, by)
}

/// A name, how many look-ups and how many tests for a distance hot code has (an access right behind another of its group has neither), and what it
/// does with two bases.
type Golden = (&'static str, usize, usize, fn(&mut Block, u32, u32));

const GOLDENS: &[Golden] = &[
    ("one access", 1, 0, |b, x, _| load(b, x, 0)),
    ("loads", 1, 0, |b, x, _| [0, 8, -16, 24].into_iter().for_each(|d| load(b, x, d))),
    ("loads, then stores", 1, 0, |b, x, _| {
        [0, 8].into_iter().for_each(|d| load(b, x, d));
        [0, 8].into_iter().for_each(|d| store(b, x, d));
    }),
    ("each loaded and stored", 1, 0, |b, x, _| {
        for d in [0, 8] {
            load(b, x, d);
            store(b, x, d);
        }
    }),
    ("a base that goes on by constants", 1, 0, |b, x, _| {
        load(b, x, 0);
        let y = plus(b, x, 32);
        load(b, y, 0);
        let z = plus(b, y, 32);
        load(b, z, -8);
    }),
    ("two bases", 2, 2, |b, x, y| {
        for d in [0, 8] {
            load(b, x, d);
            store(b, y, d);
        }
    }),
    ("far apart", 2, 0, |b, x, _| [0, 505].into_iter().for_each(|d| load(b, x, d))),
    ("as far as it goes", 1, 0, |b, x, _| [0, 504].into_iter().for_each(|d| load(b, x, d))),
    ("a base that is loaded", 2, 0, |b, x, _| {
        let y = b.push(Op { a: x, ..blank(Code::Load, Ty::I64, Shape::SCALAR) });
        load(b, y, 8);
    }),
    ("a helper in between", 2, 0, |b, x, _| {
        load(b, x, 0);
        b.push(Op { aux: 1, ..blank(Code::Call, Ty::I64, Shape::SCALAR) });
        load(b, x, 8);
    }),
    ("a label in between", 4, 0, |b, x, y| {
        load(b, x, 0);
        let c = b.push(Op { a: x, b: y, ..blank(Code::CmpEq, Ty::I64, Shape::SCALAR) });
        b.push(Op { a: c, imm: 1, ..blank(Code::BrIf, Ty::I64, Shape::SCALAR) });
        load(b, x, 8);
        b.push(Op { imm: 1, ..blank(Code::Label, Ty::I64, Shape::SCALAR) });
        load(b, x, 16);
        load(b, y, 16);
    }),
    ("elements of arrays, found anew each time", 3, 0, |b, x, y| {
        let element = |b: &mut Block| {
            let by = b.push(Op { imm: 3, ..blank(Code::Const, Ty::I64, Shape::SCALAR) });
            let offset = b.push(Op { a: y, b: by, ..blank(Code::Shl, Ty::I64, Shape::SCALAR) });
            b.push(Op { a: x, b: offset, ..blank(Code::Add, Ty::I64, Shape::SCALAR) })
        };
        let at = element(b);
        load(b, at, 0);
        let at = element(b);
        store(b, at, 0);
        let at = b.push(Op { a: y, b: y, ..blank(Code::Add, Ty::I64, Shape::SCALAR) });
        load(b, at, 0);
        let at = b.push(Op { a: y, b: y, ..blank(Code::Add, Ty::I64, Shape::SCALAR) });
        load(b, at, 8);
        let at = b.push(Op { a: y, b: y, ..blank(Code::Sub, Ty::I64, Shape::SCALAR) });
        load(b, at, 8);
    }),
    ("two views", 2, 0, |b, x, _| {
        load(b, x, 0);
        let v = b.push(Op { a: x, imm: 8, aux: MemFlags::view(1).0, ..blank(Code::Load, Ty::I64, Shape::SCALAR) });
        b.set(WORD, RESULTS, v);
    }),
];

/// Where other code differs, which reaches less far and numbers no addresses: how many look-ups it has.
const WARM: &[(&str, usize)] = &[("as far as it goes", 2), ("elements of arrays, found anew each time", 5)];

#[test]
fn what_is_grouped() {
    let mut native = Native::with_memory(Options { fuse: true, native: true }, HostFeatures::baseline(), "baseline", access);
    for (name, look_ups, tests, build) in GOLDENS {
        let mut b = Block::new();
        let (x, y) = (b.get(WORD, PINNED), b.get(WORD, PINNED + 8));
        build(&mut b, x, y);
        b.end();
        emu_ir::verify(&b.ops, b.slots, VL, STATE as u64, 2).unwrap_or_else(|e| panic!("{name}: {e}"));
        let warm = WARM.iter().find(|w| w.0 == *name).map_or((*look_ups, *tests), |w| (w.1, 0));
        for (hot, expected) in [(false, warm), (true, (*look_ups, *tests))] {
            native.hot = hot;
            native.compile(&b);
            let text = native.straight();
            let count = |what: &str| text.lines().filter(|l| l.contains(what)).count();
            let distances = text.lines().filter(|l| l.contains("test ") && l.ends_with("l,1")).count();
            assert_eq!((count(",0FFFh"), distances), expected, "{name}, hot={hot}:\n{text}");
        }
    }
}
