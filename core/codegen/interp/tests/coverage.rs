//! Every op at every type and shape: the verifier lets it through exactly if the interpreter carries it out.
//!
//! What is let through must write its whole result and nothing else, and leave no bits above a scalar's width.

use emu_ir::{Code, NONE, OPS, Op, OwnedIrBuf, Shape, Ty, Width, operand_widths, result_width, verify};

/// Slots: operands at 0, 64 and 128, the result at 192, and what must not be touched behind it.
const OPERANDS: [u32; 3] = [0, 64, 128];
const RESULT: u32 = 192;
const SLOTS: usize = 320;

fn blank(code: Code, ty: Ty, shape: Shape) -> Op {
    Op { code: code as u16, ty, shape, dst: NONE, a: NONE, b: NONE, c: NONE, aux: 0, imm: 0 }
}

/// A `get` that makes a value of this width.
fn source(width: Width, dst: u32) -> Op {
    let (ty, shape) = match width {
        Width::Bits(bits) => (Ty::int(bits).expect("a width that a value can have"), Shape::SCALAR),
        Width::Vl => (Ty::I8, Shape::VL),
        Width::Pl => (Ty::I8, Shape::PL),
    };
    Op { dst, ..blank(Code::Get, ty, shape) }
}

/// The bits of its last word, and the number of words.
fn extent(width: Width, vl: u32) -> (usize, u64) {
    let bits = match width {
        Width::Bits(bits) => bits,
        Width::Vl => vl * 8,
        Width::Pl => vl,
    };
    (bits.div_ceil(64) as usize, u64::MAX >> (bits.wrapping_neg() % 64))
}

fn verdict(op: &Op, vl: u32) -> Result<(), String> {
    let mut buf = OwnedIrBuf::new(vl);
    buf.push(blank(Code::InsnStart, Ty::I64, Shape::SCALAR));
    for (width, at) in operand_widths(op).into_iter().zip(OPERANDS) {
        if let Some(width) = width {
            // A half of one bit and the like: no such value exists.
            if !matches!(width, Width::Bits(1 | 8 | 16 | 32 | 64 | 128) | Width::Vl | Width::Pl) {
                return Err("no such operand".into());
            }
            buf.push(source(width, at));
        }
    }
    buf.push(*op);
    buf.push(blank(Code::Goto, Ty::I64, Shape::SCALAR));
    verify(buf.ops(), SLOTS as u32, vl, 1024, 0).map_err(|e| e.what)
}

/// Slots with arbitrary operands of the right widths, and `canary` everywhere else.
fn slots(op: &Op, vl: u32, canary: u64, random: &mut u64) -> Vec<u64> {
    let mut slots = vec![canary; SLOTS];
    for (width, at) in operand_widths(op).into_iter().zip(OPERANDS) {
        if let Some(width) = width {
            let (words, tail) = extent(width, vl);
            for slot in &mut slots[at as usize..][..words] {
                *random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *slot = random.rotate_left(32);
            }
            if words > 0 {
                slots[at as usize + words - 1] &= tail;
            }
        }
    }
    slots
}

/// Static arguments that are worth a try with an op.
fn arguments(code: Code, ty: Ty) -> Vec<(u32, u64)> {
    let types = (0..=u32::from(Ty::COUNT)).collect::<Vec<u32>>();
    match code {
        Code::ZExt | Code::SExt | Code::Trunc => types.iter().map(|t| (*t, 0)).collect(),
        Code::Crc32 => types.iter().flat_map(|t| [(*t, 0), (*t, 1)]).collect(),
        Code::VResize => types.iter().flat_map(|t| (0..6).map(move |s| (t | s << 8, 0))).collect(),
        Code::FToInt | Code::IntToF | Code::FConvert => {
            types.iter().flat_map(|t| [0, 3, 8, 9, 4 << 8, 64 << 8].map(|more| (0, u64::from(*t) << 16 | more))).collect()
        }
        Code::FRoundIntN => [0, 16, 32, 64, 65].map(|bits| (0, bits << 8 | 3)).to_vec(),
        Code::Extract | Code::SExtract | Code::Deposit => vec![(1 << 8, 0), (ty.bits() << 8, 0), (0, 0), (1 << 8 | ty.bits(), 0)],
        Code::Rev => vec![(ty.bits(), 0), (ty.bits() * 2, 0), (128, 0), (ty.bits() / 2, 0)],
        _ => [0, 1, 2, 3, 5, 8, 13].iter().flat_map(|aux| [0, 1, 2, 8].map(|imm| (*aux, imm))).collect(),
    }
}

/// Ops that `execute` is not for: they concern control, state, memory or helpers.
fn elsewhere(code: Code) -> bool {
    OPS[code as usize].flags & (emu_ir::EXITS | emu_ir::STATE | emu_ir::EFFECT | emu_ir::READS | emu_ir::WRITES) != 0
}

#[test]
fn the_verifier_lets_through_what_the_interpreter_carries_out() {
    let mut random = 1;
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for (code, ty, shape) in Code::ALL.iter().flat_map(|c| (0..Ty::COUNT).flat_map(move |t| (0..Shape::COUNT).map(move |s| (*c, Ty(t), Shape(s))))) {
        let mut let_through = false;
        let mut carried_out = false;
        for vl in [16, 32, 48, 256] {
            for (aux, imm) in arguments(code, ty) {
                let mut op = Op { aux, imm, ..blank(code, ty, shape) };
                let what = format!("{} {ty:?} {shape:?} vl {vl} aux {aux:#x} imm {imm:#x}", OPS[code as usize].name);
                if code != Code::Const128 {
                    for (width, (at, slot)) in operand_widths(&op).into_iter().zip(OPERANDS.into_iter().zip([&mut op.a, &mut op.b, &mut op.c])) {
                        *slot = if width.is_some() { at } else { NONE };
                    }
                }
                if result_width(&op).is_some() {
                    op.dst = RESULT;
                }
                let verdict = verdict(&op, vl);
                if elsewhere(code) {
                    assert!(!emu_interp::execute(&op, &mut vec![0; SLOTS], vl, &mut 0), "{what}");
                    continue;
                }
                let flags = OPS[code as usize].flags;
                let by_row = flags & emu_ir::VECTOR != 0 && shape == Shape::SCALAR || flags & emu_ir::SCALAR != 0 && shape != Shape::SCALAR;
                match &verdict {
                    Ok(()) => {
                        let_through = true;
                        accepted += 1;
                        let (words, tail) = extent(result_width(&op).expect("a result"), vl);
                        let before = random;
                        let results = [0x5a5a_5a5a_5a5a_5a5a, 0xa5a5_a5a5_a5a5_a5a5].map(|canary| {
                            random = before;
                            let mut slots = slots(&op, vl, canary, &mut random);
                            let operands = slots[..RESULT as usize].to_vec();
                            assert!(emu_interp::execute(&op, &mut slots, vl, &mut 0), "the interpreter has no meaning for {what}");
                            assert!(slots[..RESULT as usize] == operands, "{what} writes to its operands");
                            let (result, behind) = slots[RESULT as usize..].split_at(words);
                            assert!(behind.iter().all(|w| *w == canary), "{what} writes behind its result");
                            result.to_vec()
                        });
                        assert!(results[0] == results[1], "{what} does not write all of its result");
                        assert!(results[0].last().is_none_or(|w| w & !tail == 0), "{what} leaves bits above its width: {:x?}", results[0]);
                    }
                    // Values that do not exist or static arguments: the interpreter relies on the verifier there.
                    Err(e) if by_row || !e.contains("meaning") && !e.contains("floating-point") => refused += 1,
                    Err(_) => {
                        refused += 1;
                        carried_out |= std::panic::catch_unwind(|| emu_interp::execute(&op, &mut vec![0; SLOTS], vl, &mut 0)).unwrap_or(false);
                    }
                }
            }
        }
        if carried_out {
            let name = OPS[code as usize].name;
            wrong.push(format!("{name} {ty:?} {shape:?} is refused{}", if let_through { " with some arguments" } else { "" }));
        }
    }
    assert!(wrong.is_empty(), "the interpreter carries out what the verifier refuses: {wrong:#?}");
    assert!(accepted > 10_000 && refused > 10_000, "{accepted} let through, {refused} refused");
}
