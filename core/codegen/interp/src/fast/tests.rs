//! Random blocks run the plain and the fast way and must leave the same state, memory, flags, calls and outcome.

use super::*;
use crate::{Fault, prepare, run};
use emu_ir::{Ir, OwnedIrBuf, Val, verify};

const STATE: usize = 256;
const FLAGS: u32 = 64;
const VECTORS: u32 = 96;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn value(&mut self) -> u64 {
        match self.below(6) {
            0 => self.below(3),
            1 => u64::MAX - self.below(3),
            2 => 1 << self.below(64),
            3 => (1 << self.below(64)) - 1,
            4 => 0x8000_0000 | self.below(2) << 63,
            _ => self.next(),
        }
    }
}

/// State at the base, slots behind it; memory faults where bit 12 of the address is set.
struct World {
    base: Vec<u64>,
    memory: Vec<u8>,
    log: Vec<(u64, u32, u64)>,
    begun: u32,
    fp: u32,
}

impl World {
    fn place(&mut self, va: u64, size: u32, kind: u8) -> Result<usize, Fault> {
        if va & 0x1000 != 0 {
            return Err(Fault { va, size, kind, flags: MemFlags::NONE, fault: 7 });
        }
        Ok((va & 0x3ff) as usize)
    }
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: u64s are bytes.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_mut_ptr().cast(), self.base.len() * 8) }
    }
}

impl Env for World {
    fn load(&mut self, va: u64, size: u32, _: MemFlags) -> Result<u64, Fault> {
        let at = self.place(va, size, 0)?;
        self.log.push((va, self.begun, 0));
        Ok((0..size as usize).fold(0, |v, i| v | u64::from(self.memory[at + i]) << (i * 8)))
    }
    fn load128(&mut self, va: u64, f: MemFlags) -> Result<u128, Fault> {
        Ok(u128::from(self.load(va, 8, f)?) | u128::from(self.load(va ^ 8, 8, f)?) << 64)
    }
    fn store(&mut self, va: u64, size: u32, value: u64, _: MemFlags) -> Result<(), Fault> {
        let at = self.place(va, size, 1)?;
        self.log.push((va, self.begun, value));
        (0..size as usize).for_each(|i| self.memory[at + i] = (value >> (i * 8)) as u8);
        Ok(())
    }
    fn store128(&mut self, va: u64, value: u128, f: MemFlags) -> Result<(), Fault> {
        self.store(va, 8, value as u64, f)?;
        self.store(va ^ 8, 8, (value >> 64) as u64, f)
    }
    fn cas(&mut self, va: u64, size: u32, expected: u128, new: u128, f: MemFlags) -> Result<u128, Fault> {
        let old = u128::from(self.load(va, size.min(8), f)?);
        if old == expected {
            self.store(va, size.min(8), new as u64, f)?;
        }
        Ok(old)
    }
    fn rmw(&mut self, va: u64, size: u32, kind: u64, value: u128, f: MemFlags) -> Result<u128, Fault> {
        let old = u128::from(self.load(va, size.min(8), f)?);
        self.store(va, size.min(8), crate::combine(kind, size, old, value) as u64, f)?;
        Ok(old)
    }
    fn load_exclusive(&mut self, va: u64, size: u32, f: MemFlags) -> Result<u128, Fault> {
        self.load(va, size.min(8), f).map(u128::from)
    }
    fn store_exclusive(&mut self, va: u64, size: u32, value: u128, f: MemFlags) -> Result<bool, Fault> {
        self.store(va, size.min(8), value as u64, f).map(|()| va & 16 != 0)
    }
    fn clear_exclusive(&mut self) {}
    fn fence(&mut self, bits: u32) {
        self.log.push((u64::MAX, self.begun, bits.into()));
    }
    fn begin(&mut self, insns: u32) {
        self.begun = insns;
    }
    fn call(&mut self, helper: u32, args: [u64; 3], imm: u64, pc: u64) -> Result<u64, ()> {
        self.log.push((pc, helper, args[0] ^ args[1].rotate_left(7) ^ args[2].rotate_left(13) ^ imm));
        // A helper sees and changes state.
        let seen = self.state_read(8, 8);
        self.log.push((seen, self.begun, 1));
        self.state_write(16, 8, seen ^ args[0]);
        if imm & 7 == 7 { Err(()) } else { Ok(seen.wrapping_add(args[1])) }
    }
    fn state_read(&self, offset: u32, bytes: u32) -> u64 {
        // SAFETY: inside the state.
        let p = unsafe { self.base.as_ptr().cast::<u8>().add(offset as usize) };
        // SAFETY: as above.
        (0..bytes as usize).fold(0, |v, i| v | u64::from(unsafe { p.add(i).read() }) << (i * 8))
    }
    fn state_write(&mut self, offset: u32, bytes: u32, value: u64) {
        (0..bytes as usize).for_each(|i| self.bytes()[offset as usize + i] = (value >> (i * 8)) as u8);
    }
    fn fp_flags(&mut self) -> &mut u32 {
        &mut self.fp
    }
}

/// Values made so far that may be used, by width: 1, 32, 64, 128.
#[derive(Default)]
struct Pool {
    one: Vec<Val>,
    word: Vec<Val>,
    long: Vec<Val>,
    wide: Vec<Val>,
}

fn pick(rng: &mut Rng, list: &[Val]) -> Option<Val> {
    // Recent values more often: that is what translators write.
    let n = list.len() as u64;
    (n > 0).then(|| list[(n - 1 - rng.below(n).min(rng.below(n))) as usize])
}

fn random_block(rng: &mut Rng, buf: &mut OwnedIrBuf) {
    buf.clear();
    let insns = 1 + rng.below(12);
    let mut ir = Ir::new(buf);
    let mut pool = Pool::default();
    for i in 0..insns {
        ir.insn_start(0x1000 + i * 4, i as u32);
        for _ in 0..rng.below(8) {
            random_op(rng, &mut ir, &mut pool);
        }
        if let (0, Some(c)) = (rng.below(4), pick(rng, &pool.one)) {
            let l = ir.new_label();
            ir.brif(c, l);
            for _ in 0..rng.below(4) {
                random_op(rng, &mut ir, &mut pool);
            }
            ir.label(l);
            pool = Pool::default();
        }
    }
    if let Some(c) = pick(rng, &pool.one) {
        ir.branch(c, 0x9000);
    }
    match (rng.below(3), pick(rng, &pool.long)) {
        (0, Some(v)) => ir.jump(v, 0),
        (1, _) => ir.exit(0x8000, 2),
        _ => ir.goto(0x7000, false),
    }
}

fn random_op(rng: &mut Rng, ir: &mut Ir<'_>, pool: &mut Pool) {
    let reg = 8 * rng.below(8) as u32;
    let flag = FLAGS + rng.below(4) as u32;
    let vector = VECTORS + 16 * rng.below(2) as u32;
    let (one, word, long, wide) = (pick(rng, &pool.one), pick(rng, &pool.word), pick(rng, &pool.long), pick(rng, &pool.wide));
    let (word2, long2, one2) = (pick(rng, &pool.word), pick(rng, &pool.long), pick(rng, &pool.one));
    let (s, f) = (Shape::SCALAR, MemFlags::NONE);
    match rng.below(36) {
        0..=3 => pool.long.push(ir.get(Ty::I64, s, reg)),
        4 | 5 => pool.word.push(ir.get(Ty::I32, s, reg)),
        6 | 7 => pool.one.push(ir.get(Ty::I1, s, flag)),
        8 => {
            pool.wide.push(ir.get(Ty::I128, s, vector));
            let v = u128::from(rng.value()) << 64 | u128::from(rng.value());
            pool.wide.push(ir.const128(v));
        }
        9 => {
            let v = rng.value();
            pool.long.push(ir.iconst(Ty::I64, v));
        }
        10 => {
            let v = rng.value();
            pool.word.push(ir.iconst(Ty::I32, v));
        }
        11..=13 => {
            let codes = [
                Code::Add,
                Code::Sub,
                Code::And,
                Code::Or,
                Code::Xor,
                Code::AndNot,
                Code::OrNot,
                Code::Shl,
                Code::LShr,
                Code::AShr,
                Code::RotR,
                Code::Mul,
                Code::UDiv,
                Code::SMax,
            ];
            let code = codes[rng.below(codes.len() as u64) as usize];
            if let (Some(a), Some(b)) = (long, long2) {
                pool.long.push(ir.bin(code, Ty::I64, s, a, b));
            }
            if let (Some(a), Some(b)) = (word, word2) {
                let v = ir.bin(code, Ty::I32, s, a, b);
                pool.word.push(v);
                if rng.below(2) == 0 {
                    let x = ir.zext(Ty::I64, Ty::I32, v);
                    ir.set(Ty::I64, s, reg, x);
                }
            }
        }
        14..=16 => {
            let codes = [Code::CmpEq, Code::CmpNe, Code::CmpUlt, Code::CmpUle, Code::CmpSlt, Code::CmpSle, Code::SubOverflow];
            let code = codes[rng.below(codes.len() as u64) as usize];
            let v = match (long, long2, word, word2) {
                (Some(a), Some(b), _, _) if rng.below(2) == 0 => ir.op(code, Ty::I64, s, &[a, b], 0, 0),
                (_, _, Some(a), Some(b)) => ir.op(code, Ty::I32, s, &[a, b], 0, 0),
                _ => return,
            };
            pool.one.push(v);
            if rng.below(2) == 0 {
                ir.set(Ty::I1, s, flag, v);
            }
        }
        17 => {
            let code = [Code::CarryOut, Code::Overflow, Code::Adc][rng.below(3) as usize];
            let c = if rng.below(2) == 0 { Some(ir.iconst(Ty::I1, rng.0 & 1)) } else { one };
            if let (Some(a), Some(b), Some(c)) = (long, long2, c) {
                let v = ir.op(code, Ty::I64, s, &[a, b, c], 0, 0);
                if code == Code::Adc { pool.long.push(v) } else { pool.one.push(v) }
            }
            if let (Some(a), Some(b), Some(c)) = (word, word2, c) {
                let v = ir.op(code, Ty::I32, s, &[a, b, c], 0, 0);
                if code == Code::Adc { pool.word.push(v) } else { pool.one.push(v) }
            }
        }
        18 => {
            if let (Some(a), Some(b)) = (one, one2) {
                let code = [Code::And, Code::Or, Code::Xor, Code::AndNot, Code::CmpEq, Code::CmpNe][rng.below(6) as usize];
                pool.one.push(ir.op(code, Ty::I1, s, &[a, b], 0, 0));
            }
        }
        19 => {
            if let Some(a) = one {
                pool.one.push(ir.not(Ty::I1, a));
            }
        }
        20 => {
            if let (Some(a), Some(b), Some(c)) = (long, long2, one) {
                pool.long.push(ir.select(Ty::I64, c, a, b));
            }
            if let (Some(a), Some(b), Some(c)) = (word, word2, one) {
                pool.word.push(ir.select(Ty::I32, c, a, b));
            }
        }
        21 => {
            if let Some(a) = word {
                let code = if rng.below(2) == 0 { Code::ZExt } else { Code::SExt };
                pool.long.push(ir.op(code, Ty::I64, s, &[a], Ty::I32.0.into(), 0));
            }
            if let Some(a) = one {
                pool.long.push(ir.zext(Ty::I64, Ty::I1, a));
            }
        }
        22 => {
            if let Some(a) = long {
                pool.word.push(ir.trunc(Ty::I32, Ty::I64, a));
                let b = ir.trunc(Ty::I8, Ty::I64, a);
                pool.long.push(ir.sext(Ty::I64, Ty::I8, b));
            }
        }
        23 => {
            let (lsb, len) = (rng.below(32) as u32, 1 + rng.below(32) as u32);
            if let (Some(a), Some(b)) = (long, long2) {
                let v = match rng.below(3) {
                    0 => ir.extract(Ty::I64, a, lsb, len),
                    1 => ir.sextract(Ty::I64, a, lsb, len),
                    _ => ir.deposit(Ty::I64, a, b, lsb, len),
                };
                pool.long.push(v);
            }
            let len = 1 + len % (32 - lsb);
            if let (Some(a), Some(b)) = (word, word2) {
                let v = match rng.below(3) {
                    0 => ir.extract(Ty::I32, a, lsb, len),
                    1 => ir.sextract(Ty::I32, a, lsb, len),
                    _ => ir.deposit(Ty::I32, a, b, lsb, len),
                };
                pool.word.push(v);
            }
        }
        24 => {
            if let (Some(a), Some(b)) = (long, long2) {
                pool.wide.push(ir.pair(a, b));
            }
        }
        25 => {
            if let Some(a) = wide {
                pool.long.push(ir.lo64(a));
                pool.long.push(ir.hi64(a));
            }
        }
        26 => {
            if let Some(a) = wide {
                pool.wide.push(ir.bin(Code::Add, Ty::I8, Shape::V128, a, a));
                ir.set(Ty::I128, s, vector, a);
            }
        }
        27 => {
            if let Some(a) = long {
                pool.long.push(ir.load(Ty::I64, a, 8, f));
                let b = ir.load(Ty::I16, a, 0, f);
                pool.word.push(ir.zext(Ty::I32, Ty::I16, b));
            }
        }
        28 => {
            if let (Some(a), Some(v)) = (long, long2) {
                ir.store(Ty::I64, a, 0, v, f);
            }
            if let (Some(a), Some(v)) = (long, word) {
                ir.store(Ty::I32, a, 4, v, f);
            }
            if let (Some(a), Some(v)) = (long, wide) {
                ir.store(Ty::I128, a, 0, v, f);
                pool.wide.push(ir.load(Ty::I128, a, 16, f));
            }
        }
        29 => {
            let args: Vec<Val> = [long, long2].into_iter().flatten().collect();
            pool.long.push(ir.call(0, &args, rng.value()));
        }
        30 => {
            if let (Some(a), Some(v)) = (long, long2) {
                pool.long.push(ir.rmw(rng.below(10), Ty::I64, a, v, f));
                pool.one.push(ir.store_ex(Ty::I64, a, v, f));
            }
        }
        31 => {
            if let Some(v) = word {
                ir.set(Ty::I32, s, reg, v);
            }
        }
        32..=34 => {
            if let Some(v) = long {
                ir.set(Ty::I64, s, reg, v);
            }
        }
        _ => {
            if let Some(v) = one {
                ir.set(Ty::I1, s, flag, v);
            }
        }
    }
}

#[test]
fn same_as_the_plain_interpreter() {
    let seed = std::env::var("EMU_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    println!("seed {seed}");
    let mut rng = Rng(seed);
    let mut buf = OwnedIrBuf::new(0);
    let (mut folded, mut total) = (0, 0);
    for case in 0..60_000 {
        random_block(&mut rng, &mut buf);
        assert_eq!(verify(buf.ops(), buf.next_slot, 0, STATE as u64, 1), Ok(()), "case {case}");
        let mut start = vec![0u64; STATE / 8 + buf.next_slot as usize + 4];
        start[..STATE / 8].iter_mut().for_each(|w| *w = rng.value());
        start[FLAGS as usize / 8] = rng.next() & 0x0101_0101;
        let world = || World { base: start.clone(), memory: (0..2048).map(|i| (i * 7) as u8).collect(), log: Vec::new(), begun: 0, fp: 0 };
        let (mut plain, mut fast) = (world(), world());
        let mut slots = vec![0u64; buf.next_slot as usize + 4];
        let want = run(&prepare(buf.ops()), &mut slots, 0, &mut plain);
        let block = prepare_fast(buf.ops(), buf.next_slot, 0, STATE as u32);
        folded += block.steps.len();
        total += buf.ops().len();
        let base = fast.base.as_mut_ptr().cast();
        // SAFETY: the state and the slots lie at `base`.
        let got = unsafe { run_fast(&block, base, STATE as u32, 0, &mut fast) };
        let why = || format!("case {case} of seed {seed}\n{}\n{:#?}", emu_ir::print(buf.ops()), block.steps);
        assert_eq!(got, want, "{}", why());
        assert_eq!(fast.base[..STATE / 8], plain.base[..STATE / 8], "{}", why());
        let stores = |w: &World| w.log.clone();
        assert_eq!(stores(&fast), stores(&plain), "{}", why());
        assert_eq!(fast.memory, plain.memory, "{}", why());
    }
    println!("{total} ops became {folded} steps");
    assert!(folded * 10 < total * 8, "folding folds little: {total} ops became {folded} steps");
}
