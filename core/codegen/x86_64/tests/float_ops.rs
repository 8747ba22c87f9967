//! Floating-point ops, generated against interpreted: values and sticky exceptions after every single op, on operands near everything that
//! is special. `EMU_ROUNDS` sets how many operands each variant of an op gets (2,000,000 for a long run).

#![allow(unsafe_code)]

mod harness;

use emu_ir::{Code, Op, Shape, Ty, Width, operand_widths, result_width};
use emu_softfloat::{Mode, Rounding};
use emu_x86_64::Options;
use emu_x86_64::frame::HostFeatures;
use harness::*;

/// Instances of the op in a block.
const LANES: usize = 10;

fn parts(ty: Ty) -> (u32, u32) {
    match ty {
        Ty::F16 => (5, 10),
        Ty::BF16 => (8, 7),
        Ty::F32 => (8, 23),
        _ => (11, 52),
    }
}

fn number(ty: Ty, sign: u64, exponent: i64, fraction: u64) -> u64 {
    let (exp, frac) = parts(ty);
    let top = (1i64 << exp) - 1;
    sign << (exp + frac) | (exponent.clamp(0, top) as u64) << frac | fraction & ((1 << frac) - 1)
}

/// A fraction: patterns that make halfway cases and carries, or anything.
fn fraction(rng: &mut Rng, frac: u32) -> u64 {
    let ones = (1u64 << frac) - 1;
    match rng.below(10) {
        0 => 0,
        1 => ones,
        2 => 1,
        3 => ones - 1,
        4 => 1 << rng.below(u64::from(frac)),
        5 => ones << rng.below(u64::from(frac)),
        6 => (1 << (frac - 1)) + rng.below(3).wrapping_sub(1),
        // What is lost when binary64 becomes binary32: half, and its neighbours.
        7 => rng.next() << 29 | ((1u64 << 28) + rng.below(3)).wrapping_sub(1),
        _ => rng.next(),
    }
}

fn any(rng: &mut Rng, ty: Ty) -> u64 {
    let (exp, frac) = parts(ty);
    let (top, bias) = ((1i64 << exp) - 1, (1i64 << (exp - 1)) - 1);
    let near = |rng: &mut Rng, at: i64, by: u64| at + rng.below(2 * by + 1) as i64 - by as i64;
    let exponent = match rng.below(16) {
        0 => 0,
        1 => top,
        2 => near(rng, 1, 2),
        3 => top - 1,
        4 | 5 => near(rng, bias, 2),
        6 => near(rng, bias, u64::from(frac) + 2),
        // Products and squares near the smallest normal number and the largest.
        7 => near(rng, bias / 2, 2),
        8 => near(rng, bias + bias / 2, 2),
        // The other format's ends, integers' ends.
        9 => near(rng, bias - 126, 26),
        10 => near(rng, bias + 127, 2),
        11 => bias + 30 + rng.below(4) as i64,
        12 => bias + 62 + rng.below(4) as i64,
        _ => rng.below(1 << exp) as i64,
    };
    let f = fraction(rng, frac);
    number(ty, rng.next() >> 63, exponent, f)
}

/// A number that goes with another: near it, near its opposite, or one whose product or quotient with it is near the smallest normal.
fn partner(rng: &mut Rng, ty: Ty, a: u64) -> u64 {
    let (exp, frac) = parts(ty);
    let bias = (1i64 << (exp - 1)) - 1;
    let at = (a >> frac & ((1 << exp) - 1)) as i64;
    let f = fraction(rng, frac);
    let sign = rng.next() >> 63;
    match rng.below(8) {
        0 => a,
        1 => a ^ 1 << (exp + frac),
        2 => number(ty, sign, at, f),
        3 => number(ty, sign, at + rng.below(5) as i64 - 2, a),
        4 => number(ty, sign, at - i64::from(frac) + rng.below(5) as i64 - 3, f),
        // at + b - bias = 1 or thereabouts.
        5 => number(ty, sign, bias + 1 - at - rng.below(3) as i64 + 1, f),
        // at - b + bias = 1.
        6 => number(ty, sign, at + bias - 1 + rng.below(3) as i64 - 1, f),
        _ => any(rng, ty),
    }
}

fn integer(rng: &mut Rng, bits: u32) -> u64 {
    let mask = u64::MAX >> (64 - bits);
    mask & match rng.below(6) {
        0 => rng.below(5).wrapping_sub(2),
        1 => (1u64 << rng.below(64)).wrapping_add(rng.below(5)).wrapping_sub(2),
        2 => ((1u64 << rng.below(64)).wrapping_add(rng.below(5)).wrapping_sub(2)).wrapping_neg(),
        3 => (rng.next() as i64 >> rng.below(64)) as u64,
        // Halfway between numbers.
        4 => ((1u64 << 53) + rng.below(1 << 12)) << rng.below(11) | rng.below(3),
        _ => rng.next(),
    }
}

/// Sixteen bytes for each of three operands whose elements are of this type.
fn operands(rng: &mut Rng, ty: Ty) -> [[u64; 2]; 3] {
    let bits = ty.bits();
    let mut out = [[0; 2]; 3];
    for word in 0..2 {
        for i in 0..64 / bits {
            let (a, b, c) = if ty.is_float() {
                let a = any(rng, ty);
                let (b, c) = (partner(rng, ty, a), any(rng, ty));
                (a, b, if rng.below(3) == 0 { partner(rng, ty, b) } else { c })
            } else {
                (integer(rng, bits), integer(rng, bits), integer(rng, bits))
            };
            for (place, v) in out.iter_mut().zip([a, b, c]) {
                place[word] |= v << (i * bits);
            }
        }
    }
    out
}

/// The element type of the operands.
fn source(op: &Op) -> Ty {
    match op.opcode() {
        Some(Code::FToInt | Code::IntToF | Code::FConvert) => Ty((op.imm >> 16) as u8),
        Some(Code::FWiden) => op.ty.half().expect("a half"),
        _ => op.ty,
    }
}

/// The op on `LANES` sets of operands, its exceptions read and cleared each time.
fn block(op: &Op) -> Block {
    let mut b = Block::new();
    for lane in 0..LANES {
        let mut op = *op;
        let mut values = [emu_ir::NONE; 3];
        for (i, width) in operand_widths(&op).into_iter().enumerate().filter_map(|(i, w)| Some((i, w?))) {
            values[i] = b.get(width, FIELDS + FIELD * (lane * 3 + i));
        }
        [op.a, op.b, op.c] = values;
        let v = b.push(op);
        b.set(result_width(&op).expect("a result"), RESULTS + FIELD * lane, v);
        let flags = b.get(Width::Bits(32), FP_FLAGS);
        b.set(Width::Bits(32), RESULTS + FIELD * lane + 16, flags);
        let zero = b.push(blank(Code::Const, Ty::I32, Shape::SCALAR));
        b.set(Width::Bits(32), FP_FLAGS, zero);
    }
    b.end();
    b.verified().expect("a good block");
    b
}

/// What has been seen of an op's results.
#[derive(Default)]
struct Seen {
    /// Exceptions raised.
    flags: u32,
    /// Results that were tiny before rounding only.
    least: u64,
    nans: u64,
}

fn run(rng: &mut Rng, op: &Op, natives: &mut [Native], rounds: u64, seen: &mut Seen) -> bool {
    let block = block(op);
    let codes: Vec<(usize, usize)> = natives.iter_mut().map(|n| n.compile(&block)).collect();
    let mut cpus: Vec<Cpu> = natives.iter().map(|_| Cpu::new()).collect();
    let widths = operand_widths(op);
    let ty = source(op);
    let width = result_width(op).expect("a result");
    let n = bytes(width);
    for _ in 0..rounds.div_ceil(LANES as u64) {
        let mut want = [([0u64; 2], 0u32); LANES];
        for (lane, want) in want.iter_mut().enumerate() {
            let values = operands(rng, ty);
            let mut slots = [0u64; 16];
            let mut op = *op;
            for (i, value) in values.iter().enumerate() {
                let at = FIELDS + FIELD * (lane * 3 + i);
                for cpu in &mut cpus {
                    for (w, v) in value.iter().enumerate() {
                        cpu.bytes_mut()[at + 8 * w..at + 8 * w + 8].copy_from_slice(&v.to_le_bytes());
                    }
                }
                match widths[i] {
                    Some(Width::Bits(bits)) => {
                        slots[2 * i] = value[0] & (u64::MAX >> (64 - bits.min(64)));
                        slots[2 * i + 1] = if bits == 128 { value[1] } else { 0 };
                    }
                    _ => continue,
                }
                *[&mut op.a, &mut op.b, &mut op.c][i] = 2 * i as u32;
            }
            op.dst = 8;
            assert!(emu_interp::execute(&op, &mut slots, VL, &mut want.1), "no meaning: {op:?}");
            want.0 = [slots[8], slots[9]];
            if n < 16 {
                want.0[1] = 0;
            }
            seen.flags |= want.1;
            if op.shape == Shape::SCALAR && op.ty.is_float() {
                let (exp, frac) = parts(op.ty);
                let magnitude = want.0[0] & ((1 << (exp + frac)) - 1);
                seen.least += u64::from(magnitude == 1 << frac && want.1 & 8 != 0);
                seen.nans += u64::from(magnitude > ((1 << exp) - 1) << frac);
            }
        }
        for ((native, code), cpu) in natives.iter_mut().zip(&codes).zip(&mut cpus) {
            native.run(cpu, code.0);
            for (lane, want) in want.iter().enumerate() {
                let at = RESULTS + FIELD * lane;
                let mut raw = [0u8; 16];
                raw[..n].copy_from_slice(&cpu.bytes()[at..at + n]);
                let got = [0, 8].map(|i| u64::from_le_bytes(raw[i..i + 8].try_into().expect("8 bytes")));
                let flags = cpu.u32(at + 16);
                if (got, flags) != *want {
                    let hex = |v: [u64; 2]| format!("{:016x}_{:016x}", v[1], v[0]);
                    let operand = |i: usize| {
                        let at = FIELDS + FIELD * (lane * 3 + i);
                        hex([0, 8].map(|w| u64::from_le_bytes(cpu.bytes()[at + w..at + w + 8].try_into().expect("8 bytes"))))
                    };
                    let _ = native.compile(&block);
                    panic!(
                        "{} {op:?}\nmode {:?}\na {} b {} c {}\n{} flags {flags:#x} instead of {} flags {:#x}\n{}",
                        native.name,
                        Mode::from_bits(op.aux),
                        operand(0),
                        operand(1),
                        operand(2),
                        hex(got),
                        hex(want.0),
                        want.1,
                        native.text()
                    );
                }
            }
        }
    }
    codes[0].1 == 0
}

/// Every variant of the ops that may have code of their own.
fn variants_of(code: Code) -> Vec<Op> {
    let mut out = Vec::new();
    for ty in [Ty::F32, Ty::F64, Ty::I32, Ty::I64] {
        for shape in [Shape::SCALAR, Shape::V64, Shape::V128] {
            let imms: Vec<u64> = match code {
                Code::FMulAdd => (0..4).collect(),
                Code::FRelation | Code::FCmGe | Code::FCmGt | Code::FWiden => vec![0, 1],
                Code::FRoundInt => (0..5).flat_map(|r| [r, r | 8]).collect(),
                Code::FToInt => [Ty::F32, Ty::F64]
                    .iter()
                    .flat_map(|f| (0..5).flat_map(move |r| [r, r | 8].map(|i| i | u64::from(f.0) << 16)))
                    .flat_map(|i| [0, 1, 5, 32, 64].map(|n| i | n << 8))
                    .collect(),
                Code::IntToF => {
                    [Ty::I32, Ty::I64].iter().flat_map(|f| [0, 1, 31, 64].map(|n| n << 8 | u64::from(f.0) << 16)).flat_map(|i| [i, i | 8]).collect()
                }
                Code::FConvert => [Ty::F16, Ty::BF16, Ty::F32, Ty::F64].iter().map(|f| u64::from(f.0) << 16).collect(),
                _ => vec![0],
            };
            for imm in imms {
                let op = Op { imm, ..blank(code, ty, shape) };
                let same = source(&op).bits() == ty.bits();
                let apart = matches!(code, Code::FToInt | Code::IntToF) && shape != Shape::SCALAR && !same;
                let float = ty.is_float() != (code == Code::FToInt);
                if float && !apart && has_meaning(&op) {
                    out.push(op);
                }
            }
        }
    }
    out
}

fn exact(code: Code) {
    let mut rng = Rng::new(emu_ir::OPS[code as usize].name);
    let rounds = std::env::var("EMU_ROUNDS").map_or(20_000, |t| t.parse().expect("EMU_ROUNDS is a number"));
    let mut natives: Vec<Native> = [(HostFeatures::detect(), "host"), (HostFeatures::baseline(), "baseline")]
        .into_iter()
        .map(|(features, name)| Native::new(Options { fuse: true, native: true }, features, name))
        .collect();
    let mut seen = Seen::default();
    let (mut all, mut have) = (0, 0);
    for op in variants_of(code) {
        for mode in [Mode::IEEE, Mode::DN, Mode::TININESS_AFTER] {
            let op = Op { aux: mode.bits(), ..op };
            let rounds = if mode == Mode::IEEE { rounds } else { rounds / 4 };
            let native = run(&mut rng, &op, &mut natives, rounds, &mut seen);
            if mode == Mode::IEEE {
                all += 1;
                have += u32::from(native);
                println!("  {:40} {}", emu_ir::print(&[op]).trim(), if native { "native" } else { "interpreted" });
            }
        }
        let directed = Rounding::ALL.into_iter().map(|r| Mode::IEEE.with_rounding(r));
        for mode in directed.chain([Mode::FZ, Mode::AH, Mode::FIZ, Mode::AHP, Mode::CANONICAL]) {
            run(&mut rng, &Op { aux: mode.bits(), ..op }, &mut natives, rounds / 40, &mut seen);
        }
    }
    println!("{have} of {all} variants native; exceptions {:#x}, {} NaNs, {} least normal numbers with Underflow", seen.flags, seen.nans, seen.least);
    assert!(have > 0, "nothing was native");
    if matches!(code, Code::FMul | Code::FDiv | Code::FMulAdd) {
        assert!(
            seen.least > 0
                && seen.nans > 0
                && seen.flags & 0x1f & !(2 * u32::from(code != Code::FDiv)) == 0x1f & !(2 * u32::from(code != Code::FDiv))
        );
    }
}

macro_rules! exact {
    ($($name:ident $code:ident;)*) => { $(#[test] fn $name() { exact(Code::$code); })* };
}

exact! {
    fadd FAdd;
    fsub FSub;
    fmul FMul;
    fdiv FDiv;
    fsqrt FSqrt;
    fmuladd FMulAdd;
    fabd FAbd;
    fmax FMax;
    fmin FMin;
    fmaxnm FMaxNm;
    fminnm FMinNm;
    frelation FRelation;
    fcmeq FCmEq;
    fcmge FCmGe;
    fcmgt FCmGt;
    fround_int FRoundInt;
    ftoint FToInt;
    inttof IntToF;
    fconvert FConvert;
    fwiden FWiden;
    fnarrow FNarrow;
}

/// A comparison as targets use it: which relation it found, as conditions; some more values around, so that registers run out.
#[test]
fn conditions() {
    let mut rng = Rng::new("conditions");
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    for round in 0..3000u32 {
        let ty = if round % 16 == 0 {
            Ty::F16
        } else if round & 1 == 0 {
            Ty::F32
        } else {
            Ty::F64
        };
        let mode =
            rng.pick(&[Mode::IEEE, Mode::IEEE, Mode::IEEE, Mode::DN, Mode::IEEE.with_rounding(Rounding::TowardPlus), Mode::FZ, Mode::AH, Mode::FIZ]);
        let width = Width::Bits(ty.bits());
        let mut b = Block::new();
        let others: Vec<u32> = (0..rng.below(6)).map(|i| b.get(Width::Bits(64), PINNED + 8 * i as usize)).collect();
        let others: Vec<u32> = others.iter().map(|a| b.push(Op { a: *a, ..blank(Code::Not, Ty::I64, Shape::SCALAR) })).collect();
        let a = b.get(width, FIELDS);
        let c = match rng.below(3) {
            0 => b.push(blank(Code::Const, ty.as_int(), Shape::SCALAR)),
            1 => a,
            _ => b.get(width, FIELDS + FIELD),
        };
        let relation = b.push(Op { a, b: c, imm: rng.below(2), aux: mode.bits(), ..blank(Code::FRelation, ty, Shape::SCALAR) });
        let [equal, less, unordered] = [0, 1, 3].map(|k| b.push(Op { imm: k, ..blank(Code::Const, Ty::I32, Shape::SCALAR) }));
        let mut asked = vec![(Code::CmpEq, less), (Code::CmpEq, equal), (Code::CmpNe, less), (Code::CmpEq, unordered)];
        match rng.below(4) {
            0 => asked.truncate(1 + rng.below(3) as usize),
            1 => asked = (0..1 + rng.below(5)).map(|_| (rng.pick(&[Code::CmpEq, Code::CmpNe]), rng.pick(&[equal, less, unordered]))).collect(),
            _ => {}
        }
        let made: Vec<u32> = asked.iter().map(|(c, k)| b.push(Op { a: relation, b: *k, ..blank(*c, Ty::I32, Shape::SCALAR) })).collect();
        let kept = rng.below(4) != 0;
        for (i, v) in made.iter().enumerate().filter(|_| kept) {
            b.set(Width::Bits(1), BOOLS + i, *v);
        }
        // GE, GT and their opposites, right behind the comparison.
        if asked.len() == 4 && asked[0] == (Code::CmpEq, less) && asked[1] == (Code::CmpEq, equal) && asked[3] == (Code::CmpEq, unordered) {
            let ge = b.push(Op { a: made[0], b: made[3], ..blank(Code::CmpEq, Ty::I1, Shape::SCALAR) });
            let mut condition = ge;
            if rng.below(2) == 0 {
                condition = b.push(Op { a: ge, b: made[1], ..blank(Code::AndNot, Ty::I1, Shape::SCALAR) });
            }
            if rng.below(2) == 0 {
                condition = b.push(Op { a: condition, ..blank(Code::Not, Ty::I1, Shape::SCALAR) });
            }
            for i in 0..rng.below(3) as usize {
                let x =
                    b.push(Op { a: if rng.below(2) == 0 { a } else { c }, b: c, c: condition, ..blank(Code::Select, ty.as_int(), Shape::SCALAR) });
                b.set(width, RESULTS + FIELD * (20 + i), x);
            }
            if rng.below(3) == 0 {
                b.set(Width::Bits(1), BOOLS + 60, condition);
            }
        }
        if rng.below(2) == 0 {
            let (n, v) = (b.get(Width::Bits(1), BOOLS), b.get(Width::Bits(1), BOOLS + 3));
            let ge = b.push(Op { a: n, b: v, ..blank(Code::CmpEq, Ty::I1, Shape::SCALAR) });
            let z = b.get(Width::Bits(1), BOOLS + 1);
            let gt = b.push(Op { a: ge, b: z, ..blank(Code::AndNot, Ty::I1, Shape::SCALAR) });
            b.set(Width::Bits(1), BOOLS + 10, gt);
        }
        // Conditions of conditions, as `b.gt` and its kin make them, asked for at once or after something else.
        let mut derived = made.clone();
        for i in 0..rng.below(7) as usize {
            let code = rng.pick(&[Code::Not, Code::And, Code::Or, Code::Xor, Code::AndNot, Code::OrNot, Code::CmpEq, Code::CmpNe]);
            let second =
                if rng.below(4) == 0 { b.push(Op { imm: rng.below(2), ..blank(Code::Const, Ty::I1, Shape::SCALAR) }) } else { rng.pick(&derived) };
            let a = rng.pick(&derived);
            let v = b.push(Op { a, b: if code == Code::Not { emu_ir::NONE } else { second }, ..blank(code, Ty::I1, Shape::SCALAR) });
            derived.push(v);
            match rng.below(4) {
                0 => b.set(Width::Bits(1), BOOLS + 16 + i, v),
                1 => {
                    let (x, y) = (b.get(Width::Bits(64), PINNED), b.get(Width::Bits(64), PINNED + 8));
                    let x = b.push(Op { a: x, b: y, c: v, ..blank(Code::Select, Ty::I64, Shape::SCALAR) });
                    b.set(Width::Bits(64), PINNED + 8 * rng.below(4) as usize, x);
                }
                2 => {
                    let x = b.push(Op { a, b: second, ..blank(Code::Xor, Ty::I1, Shape::SCALAR) });
                    b.set(Width::Bits(1), BOOLS + 30 + i, x);
                    b.set(width, FIELDS, c);
                }
                _ => {}
            }
        }
        for (i, v) in derived.iter().enumerate().filter(|d| d.0 % 2 == 1) {
            b.set(Width::Bits(1), BOOLS + 40 + i, *v);
        }
        if rng.below(8) == 0 {
            b.set(Width::Bits(32), RESULTS, relation);
        }
        for (i, v) in others.iter().enumerate() {
            b.set(Width::Bits(64), RESULTS + FIELD * (i + 1), *v);
        }
        b.end();
        b.verified().expect("a good block");
        let codes: Vec<usize> = natives.iter_mut().map(|n| n.compile(&b).0).collect();
        for _ in 0..20 {
            cpu.randomise(&mut rng, &[ty]);
            let first = any(&mut rng, ty);
            let second = partner(&mut rng, ty, first);
            cpu.bytes_mut()[FIELDS..FIELDS + 8].copy_from_slice(&first.to_le_bytes());
            cpu.bytes_mut()[FIELDS + FIELD..FIELDS + FIELD + 8].copy_from_slice(&second.to_le_bytes());
            let start = cpu.bytes()[..STATE].to_vec();
            for (native, code) in natives.iter_mut().zip(&codes) {
                if let Err(e) = b.compare(native, *code, &mut cpu, &start) {
                    panic!("{e}");
                }
            }
        }
    }
}

/// Chains of scalar ops whose results go to the low part of a field, the rest of which becomes zero; negations, absolute values, moves.
#[test]
fn chains() {
    let mut rng = Rng::new("chains");
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    for round in 0..3000u32 {
        let ty = if round & 1 == 0 { Ty::F32 } else { Ty::F64 };
        let (int, width) = (ty.as_int(), Width::Bits(ty.bits()));
        let sign = 1u64 << (ty.bits() - 1);
        let mut b = Block::new();
        let mut values = Vec::new();
        for _ in 0..4 + rng.below(20) {
            let field = |rng: &mut Rng| FIELDS + FIELD * rng.below(6) as usize;
            let operand = |rng: &mut Rng, b: &mut Block, values: &[u32]| {
                let at = field(rng);
                if values.is_empty() || rng.below(3) != 0 { b.get(width, at) } else { rng.pick(values) }
            };
            let (x, y, z) = (operand(&mut rng, &mut b, &values), operand(&mut rng, &mut b, &values), operand(&mut rng, &mut b, &values));
            let fp = |code: Code| Op { a: x, b: y, ..blank(code, ty, Shape::SCALAR) };
            let v = match rng.below(10) {
                0 => b.push(fp(Code::FAdd)),
                1 => b.push(fp(Code::FMul)),
                2 => b.push(fp(Code::FDiv)),
                3 => b.push(Op { b: emu_ir::NONE, ..fp(Code::FSqrt) }),
                4 => b.push(Op { c: z, ..fp(Code::FMulAdd) }),
                5 => b.push(fp(Code::FMaxNm)),
                n @ 6..8 => {
                    let (code, k) = if n == 6 { (Code::Xor, sign) } else { (Code::And, sign - 1) };
                    let k = b.push(Op { imm: k, ..blank(Code::Const, int, Shape::SCALAR) });
                    b.push(Op { a: x, b: k, ..blank(code, int, Shape::SCALAR) })
                }
                8 => {
                    let to = b.push(Op { a: x, imm: 3 | u64::from(ty.0) << 16, ..blank(Code::FToInt, Ty::I32, Shape::SCALAR) });
                    let to = b.push(Op { a: to, aux: u32::from(Ty::I32.0), ..blank(Code::ZExt, Ty::I64, Shape::SCALAR) });
                    b.set(Width::Bits(64), PINNED + 8 * rng.below(9) as usize, to);
                    let from = b.get(Width::Bits(64), PINNED + 8 * rng.below(9) as usize);
                    b.push(Op { a: from, imm: u64::from(Ty::I64.0) << 16, ..blank(Code::IntToF, ty, Shape::SCALAR) })
                }
                _ => x,
            };
            values.push(v);
            // As a target writes a scalar register.
            let at = field(&mut rng);
            let v = if ty == Ty::F64 { v } else { b.push(Op { a: v, aux: u32::from(int.0), ..blank(Code::ZExt, Ty::I64, Shape::SCALAR) }) };
            let zero = b.push(blank(Code::Const, Ty::I64, Shape::SCALAR));
            b.set(Width::Bits(64), at, v);
            b.set(Width::Bits(64), at + 8, zero);
            if rng.below(4) == 0 {
                let (at, to) = (field(&mut rng), field(&mut rng));
                let all = b.get(Width::Bits(128), at);
                b.set(Width::Bits(128), to, all);
            }
        }
        b.end();
        b.check(&mut natives, &mut cpu, &mut rng, &[ty], 10);
    }
}

/// Helpers see the exceptions raised before they are called, and what they raise themselves is nobody's, wherever the next look is.
#[test]
fn helpers() {
    let mut rng = Rng::new("helpers");
    let numbers = [0.0f64, 1.0, 3.0, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN];
    for mut native in Native::all() {
        let mut cpu = Cpu::new();
        for _ in 0..500 {
            let mut b = Block::new();
            cpu.randomise(&mut rng, &[Ty::F64]);
            for (i, v) in numbers.iter().enumerate() {
                cpu.bytes_mut()[FIELDS + FIELD * i..FIELDS + FIELD * i + 8].copy_from_slice(&v.to_le_bytes());
            }
            let mut flags = cpu.u32(FP_FLAGS);
            let mut want = Vec::new();
            for step in 0..1 + rng.below(20) {
                match rng.below(4) {
                    0 => {
                        let n = b.push(Op { imm: want.len() as u64, ..blank(Code::Const, Ty::I64, Shape::SCALAR) });
                        b.push(Op { a: n, aux: 0, ..blank(Code::Call, Ty::I64, Shape::SCALAR) });
                        want.push(flags);
                    }
                    1 => {
                        b.push(Op { aux: 1, ..blank(Code::Call, Ty::I64, Shape::SCALAR) });
                    }
                    2 => {
                        let v = b.get(Width::Bits(32), FP_FLAGS);
                        b.set(Width::Bits(32), RESULTS + FIELD * want.len(), v);
                        want.push(flags);
                    }
                    _ => {
                        let (x, y) = (rng.below(7) as usize, rng.below(7) as usize);
                        let (a, c) = (b.get(Width::Bits(64), FIELDS + FIELD * x), b.get(Width::Bits(64), FIELDS + FIELD * y));
                        let code = rng.pick(&[Code::FDiv, Code::FMul, Code::FSub, Code::FRelation]);
                        let v = b.push(Op { a, b: c, imm: u64::from(code == Code::FRelation), ..blank(code, Ty::F64, Shape::SCALAR) });
                        let width = if code == Code::FRelation { Width::Bits(32) } else { Width::Bits(64) };
                        b.set(width, RESULTS + FIELD * (40 + step as usize), v);
                        let mut slots = [numbers[x].to_bits(), numbers[y].to_bits(), 0];
                        let op = Op { a: 0, b: 1, dst: 2, ..b.ops[b.ops.len() - 2] };
                        assert!(emu_interp::execute(&op, &mut slots, VL, &mut flags));
                    }
                }
            }
            b.end();
            let code = native.compile(&b).0;
            native.run(&mut cpu, code);
            for (i, want) in want.iter().enumerate() {
                let got = cpu.u32(RESULTS + FIELD * i);
                assert_eq!(got, *want, "{}: look {i} at\n{}\n{}", native.name, emu_ir::print(&b.ops), native.text());
            }
            assert_eq!(cpu.u32(FP_FLAGS), flags, "{}: at the end of\n{}\n{}", native.name, emu_ir::print(&b.ops), native.text());
        }
    }
}
