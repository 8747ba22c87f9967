//! Each op against the manual's formula in 256-bit integers, element by element, on random operands that prefer extremes.

mod model;
mod wide;

use super::*;
use emu_ir::{NONE, OPS, SCALAR, STICKY, VECTOR, operand_widths, result_width};
use model::model;

/// splitmix64.
pub(crate) struct Rng(u64);

impl Rng {
    /// Prints the seed; `EMU_SEED` replays one.
    pub(crate) fn new(test: &str) -> Rng {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64);
        let seed = match std::env::var("EMU_SEED") {
            Ok(text) => text.parse().expect("EMU_SEED is a decimal number"),
            Err(_) => time,
        };
        println!("{test}: EMU_SEED={seed}");
        Rng(seed)
    }
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
    /// An integer of `bits` bits (at most 64): often an extreme one.
    fn int(&mut self, bits: u32) -> u64 {
        let mask = u64::MAX >> (64 - bits);
        let value = match self.below(8) {
            0 => 0,
            1 => mask,
            2 => 1 << (bits - 1),
            3 => mask >> 1,
            4 => 1 << self.below(u64::from(bits)),
            5 => self.below(9).wrapping_sub(4),
            6 => (1 << (bits - 1) | self.below(5)).wrapping_sub(2),
            _ => self.next(),
        };
        value & mask
    }
    /// A word of such elements.
    pub(crate) fn ints(&mut self, bits: u32) -> u64 {
        (0..64).step_by(bits as usize).fold(0, |word, at| word | self.int(bits) << at)
    }
}

pub(crate) const SHAPES: [(Shape, u32); 6] =
    [(Shape::SCALAR, 16), (Shape::V64, 16), (Shape::V128, 16), (Shape::VL, 16), (Shape::VL, 48), (Shape::VL, 256)];

/// Bits in a value of this width.
fn bits_of(width: emu_ir::Width, vl: u32) -> u32 {
    match width {
        emu_ir::Width::Bits(bits) => bits,
        emu_ir::Width::Vl => vl * 8,
        emu_ir::Width::Pl => vl,
    }
}

/// Runs one op on random operands made of words from `word`, checks that only the result's slots change and that the bits of the last one above
/// the value are zero, and gives operands, result and flags; `None` if it was not handled.
#[allow(clippy::type_complexity)]
pub(crate) fn run(op: &Op, vl: u32, mut word: impl FnMut() -> u64) -> Option<([Vec<u64>; 3], Vec<u64>, u32)> {
    let widths = operand_widths(op);
    let result = result_width(op).expect("these ops have results");
    let (mut slots, mut op, mut operands) = (vec![0x5a5a_a5a5_dead_beef], *op, [vec![], vec![], vec![]]);
    for ((width, values), slot) in widths.into_iter().zip(&mut operands).zip([&mut op.a, &mut op.b, &mut op.c]) {
        *slot = NONE;
        if let Some(width) = width {
            *slot = slots.len() as u32;
            let bits = bits_of(width, vl);
            *values = (0..width.slots(vl)).map(|_| word()).collect();
            if let Some(last) = values.last_mut() {
                *last &= u64::MAX >> (bits.wrapping_neg() % 64);
            }
            slots.extend(values.iter());
        }
    }
    op.dst = slots.len() as u32;
    let (dst, len) = (op.dst as usize, result.slots(vl) as usize);
    slots.resize(dst + len, 0x0bad_cafe_0bad_cafe);
    slots.push(0x1234_5678_9abc_def0);
    let before = slots.clone();
    let mut flags = 0;
    let handled = exec(&op, &mut slots, vl, &mut flags);
    assert_eq!((&slots[..dst], &slots[dst + len..]), (&before[..dst], &before[dst + len..]), "{op:?} wrote beside its result");
    if !handled {
        assert_eq!((&slots, flags), (&before, 0), "{op:?} was not handled but changed something");
        return None;
    }
    let unused = bits_of(result, vl).wrapping_neg() % 64;
    let values = slots[dst..dst + len].to_vec();
    assert!(unused == 0 || values[len - 1] >> (64 - unused) == 0, "{op:?} left bits above its result: {values:x?}");
    Some((operands, values, flags))
}

/// Static arguments to try for an op: (aux, imm), all that the verifier allows or some of them.
fn statics(code: Code, bits: u32, bytes: u32, rng: &mut Rng) -> Vec<(u32, u64)> {
    let bits64 = u64::from(bits);
    match code {
        Code::GetLane | Code::SetLane => (0..u64::from(bytes * 8 / bits)).map(|lane| (0, lane)).collect(),
        Code::VResize => {
            let mut sources = vec![];
            for ty in 0..Ty::COUNT {
                sources.push((u32::from(ty), 0));
            }
            for shape in 1..=3 {
                sources.push((u32::from(Ty::I8.0) | shape << 8, 0));
            }
            sources
        }
        Code::Ext => (0..=u64::from(bytes)).map(|imm| (0, imm)).collect(),
        Code::Rev => [8, 16, 32, 64, 128].into_iter().filter(|container| *container >= bits).map(|container| (container, 0)).collect(),
        Code::SHAdd | Code::UHAdd | Code::SQDMulH | Code::SQRDMlaH => vec![(0, 0), (0, 1)],
        Code::ShlImm | Code::SliImm => (0..=bits64).map(|imm| (0, imm)).collect(),
        Code::RotRImm => (0..bits64).map(|imm| (0, imm)).collect(),
        Code::UShrImm | Code::SShrImm | Code::SriImm => (1..=bits64).flat_map(|imm| [(0, imm), (1, imm)]).collect(),
        Code::SQShlImm => (0..=bits64).flat_map(|imm| [(0, imm), (1, imm), (2, imm)]).collect(),
        Code::SShlV | Code::UShlV | Code::SQShlV | Code::UQShlV => vec![(0, 0), (1, 0)],
        Code::Widen | Code::MulL | Code::SQDMulL | Code::PMulL | Code::AddLP | Code::Dot4 | Code::MatMul8 => (0..4).map(|aux| (aux, 0)).collect(),
        Code::Narrow => (0..=bits64).map(|imm| (rng.below(16) as u32, imm)).chain((0..16).map(|aux| (aux, bits64 / 2))).collect(),
        _ => vec![(0, 0)],
    }
}

/// Every integer row that works on vectors, or that saturates.
fn integer_rows() -> Vec<Code> {
    let works_here = |code: &Code| {
        let info = &OPS[*code as usize];
        let other = emu_ir::READS | emu_ir::WRITES | emu_ir::FAULTS | emu_ir::EFFECT | emu_ir::STATE | emu_ir::EXITS | SCALAR | emu_ir::FP;
        info.flags & other == 0 && !info.sig.ends_with('-')
    };
    let elsewhere = [Code::AesEnc, Code::AesDec, Code::AesMc, Code::AesImc, Code::URecpE, Code::URsqrtE];
    let hash = |code: &Code| *code as u16 >= Code::Sha1Hash as u16 && *code as u16 <= Code::Sm4 as u16;
    Code::ALL.iter().copied().filter(works_here).filter(|code| !elsewhere.contains(code) && !hash(code)).collect()
}

#[test]
fn integer_ops_follow_the_formulas() {
    let mut rng = Rng::new("integer_ops_follow_the_formulas");
    let (mut runs, mut rows) = (0, 0);
    for code in integer_rows() {
        let mut handled = 0;
        let vector_only = OPS[code as usize].flags & VECTOR != 0;
        for (ty, (shape, vl)) in (0..Ty::COUNT).flat_map(|ty| SHAPES.map(|shape| (Ty(ty), shape))) {
            if vector_only && shape == Shape::SCALAR || ty == Ty::I1 {
                continue;
            }
            let (bits, bytes) = (ty.bits(), if shape == Shape::SCALAR { ty.bytes() } else { shape.bytes(vl) });
            // A static argument that every element meets needs fewer rounds than operands that only sometimes do.
            let arguments = statics(code, bits, bytes, &mut rng);
            let runs_wanted = if cfg!(debug_assertions) { 30 } else { 300 };
            let rounds = (runs_wanted / arguments.len().max(1) / (1 + bytes as usize / 8)).max(2);
            for ((aux, imm), _) in arguments.into_iter().flat_map(|s| (0..rounds).map(move |r| (s, r))) {
                let op = Op { code: code as u16, ty, shape, dst: 0, a: 0, b: 0, c: 0, aux, imm };
                let element = rng.pick(&[8, bits.min(64), bits.min(64), (bits / 2).clamp(8, 64)]);
                let small_shifts = rng.below(2) == 0;
                let got = run(&op, vl, || {
                    let word = rng.ints(element);
                    if small_shifts && bits <= 64 && code as u16 >= Code::SShlV as u16 && code as u16 <= Code::UQShlV as u16 {
                        // Amounts near the element's width, both ways.
                        let mask = u64::MAX >> (64 - bits);
                        let amount = |rng: &mut Rng| (rng.below(2 * u64::from(bits) + 7) as i64 - i64::from(bits) - 3) as u64 & mask;
                        return if rng.below(3) == 0 { word } else { (0..64).step_by(bits as usize).fold(0, |w, at| w | amount(&mut rng) << at) };
                    }
                    word
                });
                let Some((operands, result, flags)) = got else {
                    assert!(model(&op, vl, [&[0; 32], &[0; 32], &[0; 32]]).is_none(), "{op:?} is not handled");
                    break;
                };
                let (want, saturated) = model(&op, vl, operands.each_ref().map(|v| &v[..])).unwrap_or_else(|| panic!("no model of {op:?}"));
                assert_eq!(result, want, "{op:?} vl {vl} of {operands:x?}");
                assert_eq!(flags, if saturated { SATURATED } else { 0 }, "{op:?} of {operands:x?}");
                assert!(!saturated || OPS[code as usize].flags & STICKY != 0, "{code:?} is not sticky");
                handled += 1;
            }
        }
        assert!(handled > 0, "{code:?} is handled for no type and shape");
        (runs, rows) = (runs + handled, rows + 1);
    }
    println!("{rows} rows, {runs} runs");
    assert!(rows > 70, "{rows}");
}

#[test]
fn predicates_have_the_bitwise_ops() {
    let mut rng = Rng::new("predicates_have_the_bitwise_ops");
    for vl in [16, 48, 64, 80, 256] {
        let mask = |i: usize| if (i + 1) * 64 <= vl as usize { u64::MAX } else { u64::MAX >> (64 - vl % 64) };
        for code in [Code::And, Code::Or, Code::Xor, Code::AndNot, Code::OrNot, Code::Not, Code::Select] {
            for _ in 0..50 {
                let op = Op { code: code as u16, ty: Ty::I8, shape: Shape::PL, dst: 0, a: 0, b: 0, c: 0, aux: 0, imm: 0 };
                let ([a, b, c], result, flags) = run(&op, vl, || rng.next()).expect("handled");
                for (i, r) in result.iter().enumerate() {
                    let b = b.get(i).copied().unwrap_or(0);
                    let want = match code {
                        Code::And => a[i] & b,
                        Code::Or => a[i] | b,
                        Code::Xor => a[i] ^ b,
                        Code::AndNot => a[i] & !b,
                        Code::OrNot => a[i] | !b,
                        Code::Not => !a[i],
                        _ => [b, a[i]][c[0] as usize & 1],
                    };
                    assert_eq!(*r, want & mask(i), "{code:?} {vl}");
                }
                assert_eq!(flags, 0);
            }
        }
        let op = Op { code: Code::Add as u16, ty: Ty::I8, shape: Shape::PL, dst: 0, a: 0, b: 0, c: 0, aux: 0, imm: 0 };
        assert!(run(&op, vl, || 0).is_none());
    }
}

/// Values written down by hand from the manual's pseudocode.
#[test]
fn corner_cases() {
    let one = |code: Code, ty: Ty, aux: u32, imm: u64, a: u64, b: u64, c: u64| {
        let mut slots = [a, b, c, 0];
        let mut flags = 0;
        let op = Op { code: code as u16, ty, shape: Shape::SCALAR, dst: 3, a: 0, b: 1, c: 2, aux, imm };
        assert!(exec(&op, &mut slots, 0, &mut flags));
        (slots[3], flags)
    };
    let sat = SATURATED;
    // SQDMULH and SQRDMULH of the minimum by itself, the only product that does not fit.
    for (ty, min) in [(Ty::I8, 0x80), (Ty::I16, 0x8000), (Ty::I32, 0x8000_0000), (Ty::I64, 1u64 << 63)] {
        assert_eq!(one(Code::SQDMulH, ty, 0, 0, min, min, 0), (min - 1, sat), "{ty:?}");
        assert_eq!(one(Code::SQDMulH, ty, 0, 1, min, min, 0), (min - 1, sat), "{ty:?}");
        // SQRDMLSH takes the same product from an accumulator, and need not saturate.
        assert_eq!(one(Code::SQRDMlaH, ty, 0, 1, min, min, 0), (min, 0), "{ty:?}");
        assert_eq!(one(Code::SQRDMlaH, ty, 0, 0, min, min, 0), (min - 1, sat), "{ty:?}");
        assert_eq!(one(Code::SQAbs, ty, 0, 0, min, 0, 0), (min - 1, sat));
        assert_eq!(one(Code::SQNeg, ty, 0, 0, min, 0, 0), (min - 1, sat));
        assert_eq!(one(Code::Abs, ty, 0, 0, min, 0, 0), (min, 0));
    }
    // SQRDMULH rounds up through the sign: -1 * 1 gives (-2 + 0x8000) >> 16 = 0.
    assert_eq!(one(Code::SQDMulH, Ty::I16, 0, 1, 0xffff, 1, 0), (0, 0));
    assert_eq!(one(Code::SQDMulH, Ty::I16, 0, 0, 0xffff, 1, 0), (0xffff, 0));
    // Shifts by register: by -128, by -width, by the width and more.
    assert_eq!(one(Code::SShlV, Ty::I64, 0, 0, 1 << 63, 0x80, 0), (u64::MAX, 0));
    assert_eq!(one(Code::SShlV, Ty::I64, 1, 0, 1 << 63, 0x80, 0), (0, 0));
    assert_eq!(one(Code::SShlV, Ty::I8, 1, 0, 0x80, 0xf8, 0), (0, 0));
    assert_eq!(one(Code::UShlV, Ty::I8, 1, 0, 0x80, 0xf8, 0), (1, 0));
    assert_eq!(one(Code::UShlV, Ty::I64, 1, 0, u64::MAX, 0xc0, 0), (1, 0));
    assert_eq!(one(Code::UShlV, Ty::I64, 1, 0, u64::MAX, 0xbf, 0), (0, 0));
    assert_eq!(one(Code::UShlV, Ty::I32, 0, 0, 1, 32, 0), (0, 0));
    assert_eq!(one(Code::SQShlV, Ty::I32, 0, 0, 0xffff_ffff, 31, 0), (0x8000_0000, 0));
    assert_eq!(one(Code::SQShlV, Ty::I32, 0, 0, 0xffff_ffff, 32, 0), (0x8000_0000, sat));
    assert_eq!(one(Code::SQShlV, Ty::I32, 0, 0, 0, 127, 0), (0, 0));
    assert_eq!(one(Code::UQShlV, Ty::I8, 0, 0, 1, 8, 0), (0xff, sat));
    assert_eq!(one(Code::SQShlImm, Ty::I16, 2, 3, 0x8000, 0, 0), (0, sat));
    assert_eq!(one(Code::SQDMulL, Ty::I32, 0, 0, 0x8000, 0x8000, 0), (0x7fff_ffff, sat));
    assert_eq!(one(Code::SUQAdd, Ty::I8, 0, 0, 0x80, 0xff, 0), (0x7f, 0));
    assert_eq!(one(Code::USQAdd, Ty::I8, 0, 0, 5, 0xf0, 0), (0, sat));
}

/// Whatever the verifier lets through runs without a panic (the arithmetic checks of a debug build included), also where it means nothing.
#[test]
fn no_verified_op_panics() {
    let mut rng = Rng::new("no_verified_op_panics");
    let mut seen = std::collections::HashMap::<u16, u32>::new();
    for _ in 0..1_000_000 {
        let code = rng.pick(Code::ALL);
        let vl = rng.pick(&[0, 16, 24, 32, 48, 256]);
        let aux = match rng.below(4) {
            0 => rng.below(16) as u32,
            3 => 8 << rng.below(5),
            1 => rng.below(10) as u32 | (rng.below(5) as u32) << 8,
            _ => rng.next() as u32,
        };
        let imm = match rng.below(4) {
            0 => rng.next(),
            1 => rng.below(70),
            2 => rng.below(4),
            _ => rng.below(10) << 16 | rng.pick(&[0, 1, 32, 64, 255]) << 8 | rng.below(16),
        };
        let shape = Shape(rng.below(u64::from(Shape::COUNT)) as u8);
        let op = Op { code: code as u16, ty: Ty(rng.below(10) as u8), shape, dst: 0, a: 0, b: 0, c: 0, aux, imm };
        let info = &OPS[code as usize];
        if info.flags & (emu_ir::READS | emu_ir::WRITES | emu_ir::EFFECT | emu_ir::STATE | emu_ir::EXITS) != 0 || code == Code::Const128 {
            continue;
        }
        if is_verified(&op, vl) {
            let element = rng.pick(&[8, 16, 32, 64]);
            let handled = run(&op, vl, || rng.ints(element)).is_some();
            *seen.entry(op.code).or_default() += u32::from(handled);
        }
    }
    println!("fewest runs of a row: {:?}", seen.values().filter(|runs| **runs > 0).min());
    for code in integer_rows().into_iter().chain((Code::FAdd as usize..=Code::BfMlal as usize).map(|i| Code::ALL[i])) {
        assert!(seen.get(&(code as u16)).is_some_and(|runs| *runs > 0), "{code:?} was never handled");
    }
}

/// Whether a block of this op, with operands as its row demands them, passes the verifier.
fn is_verified(op: &Op, vl: u32) -> bool {
    let mut block = vec![];
    let (mut op, mut slots) = (*op, 0);
    for (width, slot) in operand_widths(&op).into_iter().zip([&mut op.a, &mut op.b, &mut op.c]) {
        *slot = NONE;
        if let Some(width) = width {
            let (ty, shape) = match width {
                emu_ir::Width::Bits(bits) => match Ty::int(bits) {
                    Some(ty) => (ty, Shape::SCALAR),
                    None => return false,
                },
                emu_ir::Width::Vl => (Ty::I8, Shape::VL),
                emu_ir::Width::Pl => (Ty::I8, Shape::PL),
            };
            *slot = slots;
            block.push(Op { code: Code::Get as u16, ty, shape, dst: slots, a: NONE, b: NONE, c: NONE, aux: 0, imm: 0 });
            slots += width.slots(vl).max(1);
        }
    }
    let Some(result) = result_width(&op) else { return false };
    op.dst = slots;
    slots += result.slots(vl).max(1);
    block.push(op);
    block.push(Op { code: Code::Goto as u16, ty: Ty::I64, shape: Shape::SCALAR, dst: NONE, a: NONE, b: NONE, c: NONE, aux: 0, imm: 0 });
    emu_ir::verify(&block, slots, vl, 1024, 0).is_ok()
}
