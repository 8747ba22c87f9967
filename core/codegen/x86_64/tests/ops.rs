//! Every op that computes, generated against interpreted: alone with operands from everywhere, and many together.

mod harness;

use emu_ir::{Code, NONE, Op, Shape, Ty, Width, operand_widths, result_width};
use harness::*;
use std::collections::BTreeMap;

/// Where an operand comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Field,
    Pin,
    Const,
    Op,
}

/// A value of a width from the given place; a plain field where that place has none.
fn operand(rng: &mut Rng, block: &mut Block, width: Width, from: From, types: &[Ty]) -> u32 {
    let ty = rng.pick(types);
    let field = FIELDS + FIELD * rng.below(FIELD_COUNT as u64) as usize;
    match (width, from) {
        (Width::Bits(1), From::Const) => block.push(Op { imm: rng.below(2), ..blank(Code::Const, Ty::I1, Shape::SCALAR) }),
        (Width::Bits(1), From::Op) => {
            let (a, b) = (block.get(Width::Bits(64), field), block.get(Width::Bits(64), PINNED));
            let code = rng.pick(&[Code::CmpUlt, Code::CmpSlt, Code::CmpNe]);
            block.push(Op { a, b, ..blank(code, Ty::I64, Shape::SCALAR) })
        }
        (Width::Bits(1), _) => block.get(width, BOOLS + rng.below(BOOL_COUNT as u64) as usize),
        (Width::Bits(bits), From::Const) => {
            let v = rng.word(ty);
            if bits == 128 {
                let high = rng.word(ty);
                return block.push(Op { imm: v, a: high as u32, b: (high >> 32) as u32, ..blank(Code::Const128, Ty::I128, Shape::SCALAR) });
            }
            let ty = Ty::int(bits).expect("a width");
            block.push(Op { imm: v & (u64::MAX >> (64 - bits)), ..blank(Code::Const, ty, Shape::SCALAR) })
        }
        (Width::Bits(bits @ 8..=64), From::Pin) => {
            let pin = PINNED + 8 * rng.below(3) as usize;
            if bits == 64 {
                return block.get(width, pin);
            }
            let a = block.get(Width::Bits(64), pin);
            block.push(Op { a, aux: u32::from(Ty::I64.0), ..blank(Code::Trunc, Ty::int(bits).expect("a width"), Shape::SCALAR) })
        }
        (Width::Bits(128), From::Pin) => {
            let (a, b) = (block.get(Width::Bits(64), PINNED + 8 * rng.below(9) as usize), block.get(Width::Bits(64), field));
            block.push(Op { a, b, ..blank(Code::Pair, Ty::I128, Shape::SCALAR) })
        }
        (Width::Bits(bits @ 32..), From::Op) => {
            let a = block.get(width, field);
            let (ty, shape) = match bits {
                128 => (Ty::I8, Shape::V128),
                64 if rng.below(2) == 0 => (Ty::I8, Shape::V64),
                _ => (Ty::int(bits).expect("a width"), Shape::SCALAR),
            };
            block.push(Op { a, ..blank(Code::Not, ty, shape) })
        }
        _ => block.get(width, field),
    }
}

/// A block of an op alone.
fn alone(op: &Op) -> Block {
    let (mut block, mut op, mut operands) = (Block::new(), *op, [NONE; 3]);
    for (s, width) in operands.iter_mut().zip(operand_widths(&op)) {
        if let Some(width) = width {
            *s = block.get(width, FIELDS);
        }
    }
    fill(&mut op, operands);
    let v = block.push(op);
    block.set(result_width(&op).expect("a result"), RESULTS, v);
    block.end();
    block
}

fn fill(op: &mut Op, operands: [u32; 3]) {
    [op.a, op.b, op.c] = operands;
}

#[test]
fn one_op() {
    let mut rng = Rng::new("one_op");
    let ops = every_op(&mut rng);
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    // By code: variants, and how many of them have code of their own on this host.
    let mut native_of: BTreeMap<u16, (u32, u32)> = BTreeMap::new();
    for op in &ops {
        let types = element_types(op);
        for (round, from) in [From::Field, From::Field, From::Pin, From::Const, From::Op].into_iter().enumerate() {
            let mut block = Block::new();
            let mut op = *op;
            if op.opcode() == Some(Code::Const128) {
                (op.imm, op.a, op.b) = (rng.next(), rng.next() as u32, rng.next() as u32);
            } else {
                let mut values = [NONE; 3];
                for (i, width) in operand_widths(&op).into_iter().enumerate().filter_map(|(i, w)| Some((i, w?))) {
                    // Sometimes both operands are one, and sometimes only the first comes from there.
                    let same = (0..i).find(|j| operand_widths(&op)[*j] == Some(width) && rng.below(4) == 0);
                    let from = if i > 0 && rng.below(2) == 0 { From::Field } else { from };
                    values[i] = match same {
                        Some(j) => values[j],
                        None => operand(&mut rng, &mut block, width, from, &types),
                    };
                }
                fill(&mut op, values);
            }
            let width = result_width(&op).expect("a result");
            let v = block.push(op);
            // The operands live on, or not; results go to memory or to a pinned field.
            if round % 2 == 1 && op.opcode() != Some(Code::Const128) {
                for (i, (s, width)) in [op.a, op.b, op.c].into_iter().zip(operand_widths(&op)).enumerate() {
                    if let Some(width) = width {
                        block.set(width, RESULTS + FIELD * (i + 1), s);
                    }
                }
            }
            let pin = PINNED + 8 * rng.below(3) as usize;
            match width {
                Width::Bits(64) if rng.below(2) == 0 => block.set(width, pin, v),
                Width::Bits(32) if rng.below(2) == 0 => {
                    let v = block.push(Op { a: v, aux: u32::from(Ty::I32.0), ..blank(Code::ZExt, Ty::I64, Shape::SCALAR) });
                    block.set(Width::Bits(64), pin, v);
                }
                _ => block.set(width, RESULTS, v),
            }
            block.end();
            block.verified().expect("a good block");
            let codes: Vec<(usize, usize)> = natives.iter_mut().map(|n| n.compile(&block)).collect();
            if round == 0 {
                let count = native_of.entry(op.code).or_default();
                count.0 += 1;
                count.1 += u32::from(codes[0].1 == 0);
            }
            for _ in 0..6 {
                cpu.randomise(&mut rng, &types);
                let start = cpu.bytes()[..STATE].to_vec();
                for (native, code) in natives.iter_mut().zip(&codes) {
                    if let Err(e) = block.compare(native, code.0, &mut cpu, &start) {
                        panic!("{e}");
                    }
                }
            }
        }
    }
    let (mut all, mut have) = (0, 0);
    for (code, (variants, native)) in &native_of {
        println!("  {:12} {native:5} of {variants:5} variants native", emu_ir::OPS[*code as usize].name);
        (all, have) = (all + variants, have + native);
    }
    println!("{have} of {all} variants of {} ops have native code", native_of.len());
    assert!(all > 3000 && native_of.len() > 100, "the op table was not walked");
}

/// Blocks of many ops: registers run out, fields are written while values are copies of them.
#[test]
fn many_ops() {
    let mut rng = Rng::new("many_ops");
    let ops: Vec<Op> = every_op(&mut rng).into_iter().filter(|o| o.opcode() != Some(Code::Const128)).collect();
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    // Ops that have code: where nothing calls the interpreter, nothing empties the registers.
    let own: Vec<Op> = ops.iter().copied().filter(|op| natives[0].compile(&alone(op)).1 == 0).collect();
    println!("{} of {} variants have native code", own.len(), ops.len());
    let rounds = std::env::var("EMU_ROUNDS").map_or(1500, |t| t.parse().expect("EMU_ROUNDS is a number"));
    for _ in 0..rounds {
        let (mut block, mut values) = (Block::new(), Vec::<(Width, u32)>::new());
        let mut types = vec![Ty::I8, Ty::I32, Ty::I64];
        let count = 4 + rng.below(40);
        let (integer_only, native_only) = (rng.below(2) == 0, rng.below(3) != 0);
        let (mut made, mut labels) = (0, 0);
        // An `if` with or without an `else`: what is made inside ends with it.
        let mut inside: Option<(u64, Option<u64>, usize)> = None;
        while made < count || inside.is_some() {
            match inside {
                None if rng.below(10) == 0 && made < count => {
                    let conditions: Vec<u32> = values.iter().filter(|v| v.0 == Width::Bits(1)).map(|v| v.1).collect();
                    let a = match conditions.is_empty() {
                        true => operand(&mut rng, &mut block, Width::Bits(1), From::Op, &[Ty::I64]),
                        false => rng.pick(&conditions),
                    };
                    block.push(Op { a, imm: labels, ..blank(Code::BrIf, Ty::I1, Shape::SCALAR) });
                    let end = (rng.below(2) == 0).then_some(labels + 1);
                    inside = Some((labels, end, values.len()));
                    labels += 2;
                }
                Some((label, end, known)) if rng.below(4) == 0 => {
                    values.truncate(known);
                    if let Some(end) = end {
                        block.push(Op { imm: end, ..blank(Code::Br, Ty::I64, Shape::SCALAR) });
                    }
                    block.push(Op { imm: label, ..blank(Code::Label, Ty::I64, Shape::SCALAR) });
                    inside = end.map(|end| (end, None, known));
                }
                _ => {}
            }
            let mut op = rng.pick(if native_only { &own } else { &ops });
            if integer_only && op.info().is_some_and(|i| i.flags & emu_ir::FP != 0) || rng.below(4) != 0 && op.shape.0 > Shape::V128.0 {
                continue;
            }
            made += 1;
            types.push(op.ty);
            let mut operands = [NONE; 3];
            for (i, width) in operand_widths(&op).into_iter().enumerate().filter_map(|(i, w)| Some((i, w?))) {
                let known: Vec<u32> = values.iter().filter(|v| v.0 == width).map(|v| v.1).collect();
                operands[i] = if known.is_empty() || rng.below(3) == 0 {
                    let from = rng.pick(&[From::Field, From::Field, From::Pin, From::Const, From::Op]);
                    operand(&mut rng, &mut block, width, from, &[op.ty])
                } else {
                    rng.pick(&known)
                };
                values.push((width, operands[i]));
            }
            fill(&mut op, operands);
            let width = result_width(&op).expect("a result");
            let v = block.push(op);
            values.push((width, v));
            if rng.below(4) == 0 {
                let (mut width, mut v) = rng.pick(&values);
                if width == Width::Bits(32) {
                    v = block.push(Op { a: v, aux: u32::from(Ty::I32.0), ..blank(Code::ZExt, Ty::I64, Shape::SCALAR) });
                    width = Width::Bits(64);
                }
                let field = FIELDS + FIELD * rng.below(FIELD_COUNT as u64) as usize;
                let at = match width {
                    Width::Bits(1) => BOOLS + rng.below(BOOL_COUNT as u64) as usize,
                    Width::Bits(64) if rng.below(2) == 0 => PINNED + 8 * rng.below(9) as usize,
                    Width::Bits(64) => field + 8 * rng.below(2) as usize,
                    _ => field,
                };
                block.set(width, at, v);
            }
            if inside.is_none() && rng.below(12) == 0 {
                block.push(Op { imm: 0x1000 + made * 4, ..blank(Code::InsnStart, Ty::I64, Shape::SCALAR) });
            }
        }
        let from = values.len().saturating_sub(RESULT_COUNT);
        for (i, (width, v)) in values[from..].iter().enumerate() {
            block.set(*width, RESULTS + FIELD * i, *v);
        }
        block.end();
        block.verified().expect("a good block");
        block.label_by_instruction();
        let codes: Vec<usize> = natives.iter_mut().map(|n| n.compile(&block).0).collect();
        for _ in 0..3 {
            cpu.randomise(&mut rng, &types);
            let start = cpu.bytes()[..STATE].to_vec();
            for (native, code) in natives.iter_mut().zip(&codes) {
                if block.compare(native, *code, &mut cpu, &start).is_err() {
                    panic!("{}", block.shrink(native, &mut cpu, &start));
                }
            }
        }
    }
}

/// Carries that are made again where they are wanted, when all operands are in temporaries.
#[test]
fn carries() {
    let mut rng = Rng::new("carries");
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    for _ in 0..400 {
        let mut b = Block::new();
        let ty = rng.pick(&[Ty::I32, Ty::I64]);
        let width = Width::Bits(ty.bits());
        let [x, y, p, q] = [0, 1, 2, 3].map(|i| b.get(width, FIELDS + FIELD * i));
        let code = rng.pick(&[Code::CarryOut, Code::Overflow]);
        let zero = b.push(blank(Code::Const, Ty::I1, Shape::SCALAR));
        let c = b.push(Op { a: x, b: y, c: zero, ..blank(code, ty, Shape::SCALAR) });
        let [p, q] = [p, q].map(|v| b.push(Op { a: v, ..blank(Code::Not, ty, Shape::SCALAR) }));
        let (p, q) = if rng.below(2) == 0 { (p, q) } else { (q, p) };
        let code = rng.pick(&[Code::Adc, Code::CarryOut, Code::Overflow]);
        let v = b.push(Op { a: p, b: q, c, ..blank(code, ty, Shape::SCALAR) });
        b.set(if code == Code::Adc { width } else { Width::Bits(1) }, RESULTS, v);
        for (i, v) in [p, q, x, y].into_iter().enumerate() {
            if rng.below(2) == 0 {
                b.set(width, RESULTS + FIELD * (i + 1), v);
            }
        }
        b.end();
        b.check(&mut natives, &mut cpu, &mut rng, &[ty], 4);
    }
}

/// Sums of many words: carries go from one to the next in the flags, or not, when somebody else wants them or gets in the way; and halves of
/// products beside each other.
#[test]
fn chains_of_carries() {
    let mut rng = Rng::new("chains of carries");
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    for _ in 0..3000 {
        let mut b = Block::new();
        let ty = rng.pick(&[Ty::I32, Ty::I64, Ty::I64]);
        let width = Width::Bits(ty.bits());
        let types = [ty];
        let from = |rng: &mut Rng, b: &mut Block| {
            let place = rng.pick(&[From::Field, From::Field, From::Pin, From::Const, From::Op]);
            operand(rng, b, width, place, &types)
        };
        let zero = b.push(blank(Code::Const, ty, Shape::SCALAR));
        let (x, y) = (from(&mut rng, &mut b), from(&mut rng, &mut b));
        let mut results = Vec::new();
        let mut bits = Vec::new();
        // The first carry: of a sum, of a difference, or any condition.
        let mut carry = match rng.below(4) {
            0 => {
                let sum = b.push(Op { a: x, b: y, ..blank(Code::Add, ty, Shape::SCALAR) });
                results.push(sum);
                b.push(Op { a: sum, b: x, ..blank(Code::CmpUlt, ty, Shape::SCALAR) })
            }
            1 => {
                results.push(b.push(Op { a: x, b: y, ..blank(Code::Sub, ty, Shape::SCALAR) }));
                b.push(Op { a: y, b: x, ..blank(Code::CmpUle, ty, Shape::SCALAR) })
            }
            2 => b.push(Op { a: x, b: y, ..blank(Code::CmpSlt, ty, Shape::SCALAR) }),
            _ => b.get(Width::Bits(1), BOOLS),
        };
        for step in 0..1 + rng.below(5) {
            let a = if rng.below(4) == 0 && !results.is_empty() { rng.pick(&results) } else { from(&mut rng, &mut b) };
            let mut c = if rng.below(4) == 0 { zero } else { from(&mut rng, &mut b) };
            if ty == Ty::I64 && rng.below(4) == 0 {
                let codes = if rng.below(2) == 0 { [Code::Mul, Code::MulHiU] } else { [Code::MulHiU, Code::Mul] };
                for code in codes {
                    results.push(b.push(Op { a, b: c, ..blank(code, ty, Shape::SCALAR) }));
                }
                c = rng.pick(&results);
            }
            if rng.below(3) == 0 {
                c = b.push(Op { a: c, ..blank(Code::Not, ty, Shape::SCALAR) });
            }
            // What stands between sums in real code and need not change flags.
            for _ in 0..rng.below(4) {
                let other = if rng.below(3) == 0 && !results.is_empty() { rng.pick(&results) } else { from(&mut rng, &mut b) };
                let code = rng.pick(&[Code::Mul, Code::MulHiU, Code::Add, Code::Sub, Code::MulHiU, Code::Mul, Code::Shl]);
                let right = match code {
                    Code::Sub | Code::Shl if rng.below(4) != 0 => b.push(Op { imm: rng.below(64), ..blank(Code::Const, ty, Shape::SCALAR) }),
                    _ if rng.below(4) == 0 => other,
                    _ => a,
                };
                let v = b.push(Op { a: other, b: right, ..blank(code, ty, Shape::SCALAR) });
                results.push(v);
                if ty == Ty::I64 && rng.below(3) == 0 {
                    b.set(width, PINNED + 8 * rng.below(9) as usize, v);
                }
                if rng.below(2) == 0 {
                    c = v;
                }
            }
            let operands = Op { a, b: c, c: carry, ..blank(Code::Adc, ty, Shape::SCALAR) };
            let sum = b.push(operands);
            let mut conditions = [Code::CarryOut, Code::Overflow, Code::CmpSlt, Code::CmpEq].to_vec();
            if rng.below(2) == 0 {
                conditions.rotate_left(2);
            }
            for code in conditions {
                if code == Code::CarryOut || rng.below(2) == 0 {
                    let op = if matches!(code, Code::CarryOut | Code::Overflow) {
                        Op { code: code as u16, ..operands }
                    } else {
                        Op { a: sum, b: zero, ..blank(code, ty, Shape::SCALAR) }
                    };
                    let v = b.push(op);
                    if code == Code::CarryOut {
                        carry = v;
                    }
                    if rng.below(5) == 0 {
                        b.set(Width::Bits(1), RESULTS + FIELD * (20 + step as usize) + bits.len(), v);
                    }
                    bits.push(v);
                }
            }
            if rng.below(8) != 0 {
                results.push(sum);
            }
            if ty == Ty::I64 && rng.below(2) == 0 {
                b.set(width, PINNED + 8 * rng.below(9) as usize, sum);
            }
        }
        for (i, v) in results.iter().enumerate().take(16) {
            b.set(width, RESULTS + FIELD * i, *v);
        }
        if rng.below(2) == 0 {
            b.set(Width::Bits(1), RESULTS + FIELD * 19, carry);
        }
        b.end();
        b.check(&mut natives, &mut cpu, &mut rng, &types, 3);
    }
}

/// The two results of rounds of SHA-256 beside each other, in either order, with other ops in between.
#[test]
fn pairs_of_rounds() {
    let mut rng = Rng::new("pairs of rounds");
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    let wide = Width::Bits(128);
    for _ in 0..400 {
        let mut b = Block::new();
        let many: Vec<u32> =
            (0..rng.below(14)).map(|i| operand(&mut rng, &mut b, wide, if i % 2 == 0 { From::Op } else { From::Field }, &[Ty::I32])).collect();
        let [x, y, z] = [0, 1, 2].map(|_| {
            let from = rng.pick(&[From::Op, From::Field, From::Const]);
            operand(&mut rng, &mut b, wide, from, &[Ty::I32])
        });
        let mut codes = [Code::Sha256H, Code::Sha256H2];
        codes.rotate_left(rng.below(2) as usize);
        for (i, code) in codes.into_iter().enumerate() {
            let v = b.push(Op { a: x, b: y, c: z, ..blank(code, Ty::I32, Shape::V128) });
            if rng.below(4) != 0 {
                b.set(wide, RESULTS + FIELD * i, v);
            }
            if rng.below(2) == 0 {
                let v = b.push(Op { a: x, b: z, ..blank(Code::Add, Ty::I32, Shape::V128) });
                b.set(wide, RESULTS + FIELD * (2 + i), v);
            }
        }
        for (i, v) in many.iter().enumerate() {
            b.set(wide, RESULTS + FIELD * (4 + i), *v);
        }
        b.end();
        b.check(&mut natives, &mut cpu, &mut rng, &[Ty::I32], 1);
    }
}

/// Conditions of a result that is computed from what lies in a vector register, in a pinned register, in memory, or is a constant: wherever the
/// operation is carried out, its flags are there for the branch, the `select` and the fields that want them.
#[test]
fn conditions_of_results_from_everywhere() {
    let mut rng = Rng::new("conditions of results");
    let mut natives = Native::all();
    let mut cpu = Cpu::new();
    for _ in 0..2000 {
        let mut b = Block::new();
        let ty = rng.pick(&[Ty::I32, Ty::I64]);
        let width = Width::Bits(ty.bits());
        let types = [ty];
        let from = |rng: &mut Rng, b: &mut Block| {
            let place = rng.pick(&[From::Field, From::Pin, From::Const, From::Op, From::Op]);
            operand(rng, b, width, place, &types)
        };
        let (x, y) = (from(&mut rng, &mut b), from(&mut rng, &mut b));
        let code = rng.pick(&[Code::Add, Code::Sub, Code::And]);
        let r = b.push(Op { a: x, b: y, ..blank(code, ty, Shape::SCALAR) });
        let zero = b.push(blank(Code::Const, ty, Shape::SCALAR));
        let n = b.push(Op { a: r, b: zero, ..blank(Code::CmpSlt, ty, Shape::SCALAR) });
        let z = b.push(Op { a: r, b: zero, ..blank(Code::CmpEq, ty, Shape::SCALAR) });
        for (i, c) in [n, z].into_iter().enumerate() {
            if rng.below(2) == 0 {
                b.set(Width::Bits(1), RESULTS + FIELD * i, c);
            }
        }
        if rng.below(2) == 0 {
            b.set(width, RESULTS + FIELD * 2, r);
        } else if ty == Ty::I64 && rng.below(2) == 0 {
            b.set(width, PINNED + 8 * rng.below(3) as usize, r);
        }
        let c = if rng.below(2) == 0 { z } else { b.push(Op { a: z, ..blank(Code::Not, Ty::I1, Shape::SCALAR) }) };
        let (p, q) = if rng.below(2) == 0 { (x, r) } else { (from(&mut rng, &mut b), y) };
        let s = b.push(Op { a: p, b: q, c, ..blank(Code::Select, ty, Shape::SCALAR) });
        b.set(width, RESULTS + FIELD * 3, s);
        b.end();
        b.check(&mut natives, &mut cpu, &mut rng, &[ty], 2);
    }
}

/// All four conditions of an operation, asked for in any order and with what loses the host's flags in between: some are made into registers where
/// they stand, some of the result, some of the operands.
#[test]
fn conditions_that_do_not_last() {
    let mut rng = Rng::new("conditions that do not last");
    let mut natives = Native::all_tiers();
    let mut cpu = Cpu::new();
    for _ in 0..1500 {
        let mut b = Block::new();
        let ty = rng.pick(&[Ty::I32, Ty::I64]);
        let width = Width::Bits(ty.bits());
        let from = |rng: &mut Rng, b: &mut Block| {
            let place = rng.pick(&[From::Field, From::Pin, From::Const, From::Op]);
            operand(rng, b, width, place, &[ty])
        };
        let (x, y) = (from(&mut rng, &mut b), from(&mut rng, &mut b));
        let code = rng.pick(&[Code::Add, Code::Sub, Code::Sub, Code::And]);
        let r = b.push(Op { a: x, b: y, ..blank(code, ty, Shape::SCALAR) });
        if rng.below(4) != 0 {
            b.set(width, PINNED + 8 * rng.below(3) as usize, r);
        }
        let zero = b.push(blank(Code::Const, ty, Shape::SCALAR));
        let none = b.push(blank(Code::Const, Ty::I1, Shape::SCALAR));
        let mut of = |code, a, b_, c| b.push(Op { a, b: b_, c, ..blank(code, ty, Shape::SCALAR) });
        let (n, z) = (of(Code::CmpSlt, r, zero, NONE), of(Code::CmpEq, r, zero, NONE));
        let (c, v) = match code {
            Code::Sub => (of(Code::CmpUle, y, x, NONE), of(Code::SubOverflow, x, y, NONE)),
            Code::Add => (of(Code::CmpUlt, r, x, NONE), of(Code::Overflow, x, y, none)),
            _ => (none, none),
        };
        let conditions = [n, z, c, v];
        let mut all = b.push(blank(Code::Const, Ty::I64, Shape::SCALAR));
        for i in 0..2 + rng.below(6) as usize {
            let c = rng.pick(&conditions);
            match rng.below(5) {
                0 => {
                    let (p, q) = (from(&mut rng, &mut b), from(&mut rng, &mut b));
                    let s = b.push(Op { a: p, b: q, c, ..blank(Code::Select, ty, Shape::SCALAR) });
                    b.set(width, RESULTS + FIELD * i, s);
                }
                1 => b.set(Width::Bits(1), RESULTS + FIELD * i, c),
                2 => {
                    // Where nothing of the flags is left.
                    let (p, q) = (from(&mut rng, &mut b), from(&mut rng, &mut b));
                    let d = b.push(Op { a: p, b: q, ..blank(Code::UDiv, ty, Shape::SCALAR) });
                    b.set(width, RESULTS + FIELD * i, d);
                }
                _ => {
                    let wide = b.push(Op { a: c, aux: Ty::I1.0.into(), ..blank(Code::ZExt, Ty::I64, Shape::SCALAR) });
                    all = b.push(Op { a: all, b: wide, aux: 0x100 | (28 + rng.below(4) as u32), ..blank(Code::Deposit, Ty::I64, Shape::SCALAR) });
                }
            }
        }
        b.set(Width::Bits(64), RESULTS + FIELD * 9, all);
        b.end();
        b.check(&mut natives, &mut cpu, &mut rng, &[ty], 2);
    }
}

/// A sum with a shifted operand: both in one instruction where that may be, from operands and to results everywhere, in hot code and other.
#[test]
fn scaled_sums() {
    let mut rng = Rng::new("scaled sums");
    let mut natives = Native::all_tiers();
    let mut cpu = Cpu::new();
    let mut one = 0;
    for _ in 0..2000 {
        let mut b = Block::new();
        let ty = rng.pick(&[Ty::I32, Ty::I64, Ty::I64]);
        let width = Width::Bits(ty.bits());
        let from = |rng: &mut Rng, b: &mut Block| {
            let place = rng.pick(&[From::Field, From::Pin, From::Pin, From::Const, From::Op]);
            operand(rng, b, width, place, &[ty])
        };
        let (x, y) = (from(&mut rng, &mut b), from(&mut rng, &mut b));
        let y = if rng.below(6) == 0 { x } else { y };
        let by = b.push(Op { imm: rng.below(5), ..blank(Code::Const, ty, Shape::SCALAR) });
        let shifted = b.push(Op { a: x, b: by, ..blank(Code::Shl, ty, Shape::SCALAR) });
        let (p, q) = match rng.below(8) {
            0 => (shifted, shifted),
            1..=3 => (shifted, y),
            _ => (y, shifted),
        };
        let sum = b.push(Op { a: p, b: q, ..blank(Code::Add, ty, Shape::SCALAR) });
        if rng.below(4) == 0 {
            let zero = b.push(blank(Code::Const, ty, Shape::SCALAR));
            let code = rng.pick(&[Code::CmpSlt, Code::CmpEq]);
            let c = b.push(Op { a: sum, b: zero, ..blank(code, ty, Shape::SCALAR) });
            b.set(Width::Bits(1), RESULTS, c);
            if rng.below(2) == 0 {
                let c = b.push(Op { a: sum, b: p, ..blank(Code::CmpUlt, ty, Shape::SCALAR) });
                b.set(Width::Bits(1), RESULTS + FIELD, c);
            }
        }
        match rng.below(3) {
            0 => b.set(width, RESULTS + 2 * FIELD, sum),
            _ if ty == Ty::I32 => {
                let v = b.push(Op { a: sum, aux: u32::from(Ty::I32.0), ..blank(Code::ZExt, Ty::I64, Shape::SCALAR) });
                b.set(Width::Bits(64), PINNED + 8 * rng.below(3) as usize, v);
            }
            _ => b.set(width, PINNED + 8 * rng.below(3) as usize, sum),
        }
        for (i, v) in [x, y, shifted].into_iter().enumerate() {
            if rng.below(4) == 0 {
                b.set(width, RESULTS + FIELD * (3 + i), v);
            }
        }
        b.end();
        b.check(&mut natives, &mut cpu, &mut rng, &[ty], 2);
        one += usize::from(["*2]", "*4]", "*8]"].iter().any(|s| natives[0].straight().contains(s)));
    }
    println!("{one} of 2000 sums are one instruction");
    assert!(one > 400, "{one} sums are one instruction");
}
