//! Each op, on every type, shape and static argument, against `emu_softfloat` called on one number at a time, with the numbers taken out of the
//! operands by another route; and plain arithmetic against the host's. What softfloat itself computes is tested there.

use super::*;
use crate::vector::tests::{Rng, SHAPES, run};
use emu_ir::{FP, OPS, SCALAR, STICKY, VECTOR};

/// A number of the format: often special.
fn number(rng: &mut Rng, ty: Ty) -> u64 {
    let (bits, fraction) = match ty {
        Ty::F16 => (16, 10),
        Ty::BF16 => (16, 7),
        Ty::F32 => (32, 23),
        _ => (64, 52),
    };
    let top = 1u64 << (bits - 1);
    let infinity = (top - 1) >> fraction << fraction;
    let one = ((infinity >> fraction) / 2) << fraction;
    let magnitude = match rng.below(14) {
        0 => 0,
        1 => infinity,
        2 => infinity | 1 << (fraction - 1) | rng.below(1 << fraction),
        3 => infinity | 1 | rng.below(1 << (fraction - 1)),
        4 => rng.below(1 << fraction),
        5 => infinity - 1,
        6 => 1 << fraction,
        7 | 8 => one,
        9 | 10 => one + (rng.below(8) << fraction) + rng.below(1 << fraction),
        _ => rng.next() & (top - 1),
    };
    magnitude | if rng.below(2) == 0 { 0 } else { top }
}

/// A word of such numbers (or of any integers).
fn word(rng: &mut Rng, ty: Ty) -> u64 {
    if !ty.is_float() {
        return rng.ints(ty.bits().clamp(8, 64));
    }
    (0..64).step_by(ty.bits() as usize).fold(0, |word, at| word | number(rng, ty) << at)
}

fn mode(rng: &mut Rng) -> u32 {
    let switches = [Mode::FIZ, Mode::AH, Mode::EBF, Mode::FZ16, Mode::FZ, Mode::DN, Mode::AHP, Mode::RPRES, Mode::NAN_TO_MAX];
    let chosen = switches.into_iter().filter(|_| rng.below(4) == 0).fold(Mode::IEEE, Mode::with);
    chosen.with_rounding(Rounding::from_index(rng.below(6) as u32)).bits()
}

/// Numbers `bits` wide of a value, `len` bits long.
fn split(words: &[u64], bits: u32, len: u32) -> Vec<u64> {
    let bit = |i: u32| words[i as usize / 64] >> (i % 64) & 1;
    (0..len / bits).map(|n| (0..bits).fold(0, |x, i| x | bit(n * bits + i) << i)).collect()
}

fn join(numbers: &[u64], bits: u32) -> Vec<u64> {
    let len = numbers.len() as u32 * bits;
    let bit = |i: u32| numbers[(i / bits) as usize] >> (i % bits) & 1;
    (0..len.div_ceil(64)).map(|w| (0..64.min(len - 64 * w)).fold(0, |x, i| x | bit(64 * w + i) << i)).collect()
}

type One = Option<(u64, Flags)>;

/// An op between numbers of one format.
fn same_format<F: Format>(code: Code, imm: u64, mode: Mode, [a, b, c]: [u64; 3]) -> One {
    let (x, y) = (F::narrow(a), F::narrow(b));
    let wide = |(bits, flags): (F::Bits, Flags)| Some((F::widen(bits), flags));
    let ones = u64::MAX >> (64 - width::<F>());
    let truth = |(holds, flags): (bool, Flags)| Some((if holds { ones } else { 0 }, flags));
    let (abs_x, abs_y) = (sf::abs::<F>(x, mode), sf::abs::<F>(y, mode));
    let rounding = [Rounding::TiesEven, Rounding::TowardPlus, Rounding::TowardMinus, Rounding::TowardZero, Rounding::TiesAway];
    let rounding = rounding.get(imm as usize & 7).copied().unwrap_or(Rounding::ToOdd);
    match (code, imm & 1) {
        (Code::FAdd, _) => wide(sf::add::<F>(x, y, mode)),
        (Code::FSub, _) => wide(sf::sub::<F>(x, y, mode)),
        (Code::FMul, _) => wide(sf::mul::<F>(x, y, mode)),
        (Code::FDiv, _) => wide(sf::div::<F>(x, y, mode)),
        (Code::FSqrt, _) => wide(sf::sqrt::<F>(x, mode)),
        (Code::FMulAdd, _) => {
            let signed = |bits: u64, bit: u32| if imm >> bit & 1 == 1 { sf::neg::<F>(F::narrow(bits), mode) } else { F::narrow(bits) };
            wide(sf::mul_add::<F>(signed(c, 1), signed(a, 0), y, mode))
        }
        (Code::FMulX, _) => wide(sf::mulx::<F>(x, y, mode)),
        (Code::FMax, _) => wide(sf::max::<F>(x, y, mode)),
        (Code::FMin, _) => wide(sf::min::<F>(x, y, mode)),
        (Code::FMaxNm, _) => wide(sf::maxnum::<F>(x, y, mode)),
        (Code::FMinNm, _) => wide(sf::minnum::<F>(x, y, mode)),
        (Code::FAbd, _) => {
            let (difference, flags) = sf::sub::<F>(x, y, mode);
            wide((sf::abs::<F>(difference, mode), flags))
        }
        (Code::FCmEq, _) => truth(sf::eq::<F>(x, y, mode)),
        (Code::FCmGe, 0) => truth(sf::ge::<F>(x, y, mode)),
        (Code::FCmGe, _) => truth(sf::ge::<F>(abs_x, abs_y, mode)),
        (Code::FCmGt, 0) => truth(sf::gt::<F>(x, y, mode)),
        (Code::FCmGt, _) => truth(sf::gt::<F>(abs_x, abs_y, mode)),
        (Code::FRoundInt, _) => wide(sf::round_to_int::<F>(x, mode, rounding, imm & 8 != 0)),
        (Code::FRoundIntN, _) => {
            let size = if imm >> 8 & 0xff == 32 { IntSize::Int32 } else { IntSize::Int64 };
            wide(sf::round_int_n::<F>(x, mode, rounding, size))
        }
        (Code::FRecpE, _) => wide(sf::recip_estimate::<F>(x, mode)),
        (Code::FRsqrtE, _) => wide(sf::rsqrt_estimate::<F>(x, mode)),
        (Code::FRecpX, _) => wide(sf::recpx::<F>(x, mode)),
        (Code::FRecpS, _) => wide(sf::recip_step::<F>(x, y, mode)),
        (Code::FRsqrtS, _) => wide(sf::rsqrt_step::<F>(x, y, mode)),
        _ => None,
    }
}

/// `inttof` and `fconvert` of one value.
fn into_format<F: Format>(code: Code, imm: u64, mode: Mode, a: u64) -> One {
    let from = Ty((imm >> 16) as u8);
    let wide = |(bits, flags): (F::Bits, Flags)| Some((F::widen(bits), flags));
    let fraction = imm as u32 >> 8 & 0xff;
    if code == Code::IntToF {
        return match (from.bits(), imm & 8) {
            (8, 0) => wide(sf::from_i64::<F>(i64::from(a as i8), fraction, mode, mode.rounding())),
            (16, 0) => wide(sf::from_i64::<F>(i64::from(a as i16), fraction, mode, mode.rounding())),
            (32, 0) => wide(sf::from_i64::<F>(i64::from(a as i32), fraction, mode, mode.rounding())),
            (64, 0) => wide(sf::from_i64::<F>(a as i64, fraction, mode, mode.rounding())),
            (8 | 16 | 32 | 64, _) => wide(sf::from_u64::<F>(a, fraction, mode, mode.rounding())),
            _ => None,
        };
    }
    match from {
        Ty::F16 => wide(sf::convert::<F16, F>(a as u16, mode)),
        Ty::BF16 => wide(sf::convert::<BF16, F>(a as u16, mode)),
        Ty::F32 => wide(sf::convert::<F32, F>(a as u32, mode)),
        Ty::F64 => wide(sf::convert::<F64, F>(a, mode)),
        _ => None,
    }
}

fn to_integer<F: Format>(imm: u64, bits: u32, mode: Mode, a: u64) -> One {
    let size = [(16, IntSize::Int16), (32, IntSize::Int32), (64, IntSize::Int64)].into_iter().find(|s| s.0 == bits)?.1;
    let rounding = Rounding::from_index(imm as u32 & 7);
    Some(sf::to_int::<F>(F::narrow(a), imm & 8 == 0, size, imm as u32 >> 8 & 0xff, mode, rounding))
}

/// Every result number with the flags of all of them; `None` if the op has no meaning for the type.
fn model(op: &Op, vl: u32, [a, b, c]: [&[u64]; 3]) -> Option<(Vec<u64>, Flags)> {
    let code = op.opcode()?;
    let mode = Mode::from_bits(op.aux);
    let (ty, scalar) = (op.ty, op.shape == Shape::SCALAR);
    let bits = ty.bits();
    let len = if scalar { bits } else { op.shape.bytes(vl) * 8 };
    if len < bits {
        return None;
    }
    let mut flags = Flags::NONE;
    let mut noted = |one: One| {
        let (bits, more) = one?;
        flags |= more;
        Some(bits)
    };
    let numbers = |v: &[u64], bits: u32| if v.is_empty() { vec![0; (len / bits) as usize] } else { split(v, bits, len) };
    let from = Ty((op.imm >> 16) as u8);
    let high = |bit: u64, v: &[u64]| {
        let halves = numbers(v, bits / 2);
        let count = halves.len() / 2;
        halves[if op.imm & bit != 0 { count } else { 0 }..][..count].to_vec()
    };
    let mut out_bits = bits;
    let result: Option<Vec<u64>> = match code {
        Code::FRelation => {
            let relation = by_format!(ty, F => {
                let (x, y) = (F::narrow(a[0]), F::narrow(b[0]));
                Some(if op.imm == 1 { sf::compare_signaling::<F>(x, y, mode) } else { sf::compare::<F>(x, y, mode) })
            }, _ => None);
            let (relation, more) = relation?;
            out_bits = 32;
            let order = [Relation::Equal, Relation::Less, Relation::Greater, Relation::Unordered];
            Some(vec![noted(Some((order.iter().position(|r| *r == relation)? as u64, more)))?])
        }
        Code::FToJs if ty != Ty::F64 => None,
        Code::FToJs => {
            let (low, exact, more) = sf::to_fixed_js(a[0], mode);
            out_bits = 64;
            Some(vec![noted(Some((u64::from(low) + if exact { 1 << 32 } else { 0 }, more)))?])
        }
        Code::FToInt if ty.is_float() => None,
        Code::FToInt if scalar => Some(vec![noted(by_format!(from, F => to_integer::<F>(op.imm, bits, mode, a[0]), _ => None))?]),
        Code::FToInt if from.is_float() && from.bits() == bits => {
            let one = |x| by_format!(from, F => to_integer::<F>(op.imm, bits, mode, x), _ => None);
            numbers(a, bits).into_iter().map(|x| noted(one(x))).collect()
        }
        Code::IntToF if scalar || from.bits() == bits => {
            let values = if scalar { vec![a[0]] } else { numbers(a, bits) };
            let one = |x| by_format!(ty, F => into_format::<F>(code, op.imm, mode, x), _ => None);
            values.into_iter().map(|x| noted(one(x))).collect()
        }
        Code::FConvert if (from, ty) == (Ty::F32, Ty::BF16) => {
            let (bits, more) = sf::bf_convert(a[0] as u32, mode);
            Some(vec![noted(Some((u64::from(bits), more)))?])
        }
        Code::FConvert => Some(vec![noted(by_format!(ty, F => into_format::<F>(code, op.imm, mode, a[0]), _ => None))?]),
        Code::FWiden => {
            let one = |x: u64| match ty {
                Ty::F32 => Some(sf::convert::<F16, F32>(x as u16, mode)).map(|(r, f)| (u64::from(r), f)),
                Ty::F64 => Some(sf::convert::<F32, F64>(x as u32, mode)),
                _ => None,
            };
            high(1, a).into_iter().map(|x| noted(one(x))).collect()
        }
        Code::FNarrow => {
            let one = |x: u64| match (ty, op.imm) {
                (Ty::F32, 0) => Some(sf::convert::<F32, F16>(x as u32, mode)).map(|(r, f)| (u64::from(r), f)),
                (Ty::F32, _) => Some(sf::bf_convert(x as u32, mode)).map(|(r, f)| (u64::from(r), f)),
                (Ty::F64, _) => Some(sf::convert::<F64, F32>(x, mode)).map(|(r, f)| (u64::from(r), f)),
                _ => None,
            };
            out_bits = bits / 2;
            let mut result: Option<Vec<u64>> = numbers(a, bits).into_iter().map(|x| noted(one(x))).collect();
            if let (Some(result), Shape::VL) = (&mut result, op.shape) {
                result.resize(2 * result.len(), 0);
            }
            result
        }
        Code::URecpE | Code::URsqrtE => {
            let f = if code == Code::URecpE { sf::unsigned_recip_estimate } else { sf::unsigned_rsqrt_estimate };
            (bits == 32).then(|| numbers(a, 32).into_iter().map(|x| u64::from(f(x as u32))).collect())
        }
        _ if matches!(code, Code::FMulAddH | Code::BfDot | Code::BfMlal | Code::BfMmla) && ty != Ty::F32 => None,
        Code::FMulAddH => {
            let (x, y) = (high(2, a), high(2, b));
            let one = |i: usize, z: u64| {
                let x = x[i] as u16;
                let (r, f) = sf::mul_add_h(z as u32, if op.imm & 1 == 1 { sf::neg::<F16>(x, mode) } else { x }, y[i] as u16, mode);
                Some((u64::from(r), f))
            };
            numbers(c, 32).into_iter().enumerate().map(|(i, z)| noted(one(i, z))).collect()
        }
        Code::BfMlal => {
            let (x, y) = (numbers(a, 16), numbers(b, 16));
            let one = |i: usize, z: u64| {
                let i = 2 * i + op.imm as usize;
                let (r, f) = sf::bf_mul_add(z as u32, x[i] as u16, y[i] as u16, mode);
                Some((u64::from(r), f))
            };
            numbers(c, 32).into_iter().enumerate().map(|(i, z)| noted(one(i, z))).collect()
        }
        Code::BfMmla if len % 128 != 0 => None,
        Code::BfDot | Code::BfMmla => {
            let (x, y): (Vec<u16>, Vec<u16>) =
                (numbers(a, 16).into_iter().map(|x| x as u16).collect(), numbers(b, 16).into_iter().map(|x| x as u16).collect());
            let dot = |sum: u32, at_x: usize, at_y: usize| sf::bf_dot_add(sum, [x[at_x], x[at_x + 1]], [y[at_y], y[at_y + 1]], mode);
            let one = |i: usize, z: u64| {
                if code == Code::BfDot {
                    return u64::from(dot(z as u32, 2 * i, 2 * i));
                }
                let (base, row, column) = (i / 4 * 8, i / 2 % 2 * 4, i % 2 * 4);
                u64::from((0..2).fold(z as u32, |sum, k| dot(sum, base + row + 2 * k, base + column + 2 * k)))
            };
            Some(numbers(c, 32).into_iter().enumerate().map(|(i, z)| one(i, z)).collect())
        }
        Code::FToInt | Code::IntToF => None,
        _ => {
            let (x, y, z) = (numbers(a, bits), numbers(b, bits), numbers(c, bits));
            let one = |i: usize| by_format!(ty, F => same_format::<F>(code, op.imm, mode, [x[i], y[i], z[i]]), _ => None);
            (0..x.len()).map(|i| noted(one(i))).collect()
        }
    };
    Some((join(&result?, out_bits), flags))
}

/// Static arguments: the values of `imm` to try.
fn immediates(code: Code, rng: &mut Rng) -> Vec<u64> {
    match code {
        Code::FMulAdd | Code::FMulAddH => (0..4).collect(),
        Code::FRelation | Code::FCmGe | Code::FCmGt | Code::FWiden | Code::FNarrow | Code::BfMlal => vec![0, 1],
        Code::FRoundInt => (0..16).collect(),
        Code::FRoundIntN => (0..5).flat_map(|rounding| [rounding | 32 << 8, rounding | 64 << 8]).collect(),
        Code::FToInt | Code::IntToF => (1..u64::from(Ty::COUNT))
            .flat_map(|ty| (0..16).map(move |how| ty << 16 | how))
            .map(|imm| imm | [0, 0, 1, 16, 32, 64][rng.below(6) as usize] << 8)
            .collect(),
        Code::FConvert => (1..u64::from(Ty::COUNT)).map(|ty| ty << 16).collect(),
        _ => vec![0],
    }
}

#[test]
fn float_ops_are_softfloat_on_each_number() {
    let mut rng = Rng::new("float_ops_are_softfloat_on_each_number");
    let (mut rows, mut runs) = (0, 0);
    for code in (Code::FAdd as usize..=Code::BfMlal as usize).map(|i| Code::ALL[i]) {
        let info = &OPS[code as usize];
        let mut handled = 0;
        for (ty, (shape, vl)) in (1..Ty::COUNT).flat_map(|ty| SHAPES.map(|shape| (Ty(ty), shape))) {
            let (is_scalar, takes_floats) = (shape == Shape::SCALAR, !matches!(code, Code::FToInt | Code::FToJs | Code::URecpE | Code::URsqrtE));
            if info.flags & VECTOR != 0 && is_scalar || info.flags & SCALAR != 0 && !is_scalar || takes_floats && !ty.is_float() {
                continue;
            }
            let all = immediates(code, &mut rng);
            let runs_wanted = if cfg!(debug_assertions) { 150 } else { 1500 };
            let rounds = (runs_wanted / all.len() / (1 + shape.bytes(vl) as usize / 8)).max(4);
            for (imm, _) in all.into_iter().flat_map(|imm| (0..rounds).map(move |r| (imm, r))) {
                let aux = mode(&mut rng);
                let op = Op { code: code as u16, ty, shape, dst: 0, a: 0, b: 0, c: 0, aux, imm };
                let element = match code {
                    Code::FToInt | Code::IntToF | Code::FConvert => Ty((imm >> 16) as u8),
                    Code::FWiden | Code::FMulAddH => rng.pick(&[Ty::F16, ty.half().unwrap_or(ty)]),
                    Code::BfDot | Code::BfMlal | Code::BfMmla => rng.pick(&[Ty::BF16, Ty::F32]),
                    Code::FToJs => Ty::F64,
                    _ => ty,
                };
                let Some((operands, result, flags)) = run(&op, vl, || word(&mut rng, element)) else {
                    assert!(model(&op, vl, [&[0; 32], &[0; 32], &[0; 32]]).is_none(), "{op:?} is not handled");
                    continue;
                };
                let (want, want_flags) = model(&op, vl, operands.each_ref().map(|v| &v[..])).unwrap_or_else(|| panic!("no model of {op:?}"));
                assert_eq!(result, want, "{op:?} vl {vl} of {operands:x?}");
                assert_eq!(flags, u32::from(want_flags.bits()), "{op:?} vl {vl} of {operands:x?}");
                assert!(flags == 0 || info.flags & STICKY != 0, "{code:?} is not sticky");
                handled += 1;
                if is_scalar {
                    fast_way_agrees(&op, &operands, &result, flags);
                }
            }
        }
        assert!(handled > 0, "{code:?} is handled for no type and shape");
        (rows, runs) = (rows + 1, runs + handled);
    }
    println!("{rows} rows, {runs} runs");
    let last = Code::BfMlal as usize;
    let listed = OPS[..=last].iter().filter(|info| info.flags & FP != 0).count() + 2; // and URECPE, URSQRTE
    assert_eq!(rows, listed);
    assert!(OPS[last + 1..].iter().all(|info| info.flags & FP == 0), "a floating-point row was appended: route it and test it here");
}

fn fast_way_agrees(op: &Op, operands: &[Vec<u64>; 3], result: &[u64], flags: u32) {
    let at = |i: usize| operands[i].first().copied().unwrap_or(0);
    let mut slots = [at(0), at(1), at(2), 0];
    let mut fast_flags = 0;
    assert!(exec_scalar_fp(&Op { a: 0, b: 1, c: 2, dst: 3, ..*op }, &mut slots, &mut fast_flags));
    assert_eq!((slots[3], fast_flags), (result[0], flags), "{op:?}");
}

/// Operands, order and rounding mean what they should: the host's arithmetic, for results that are numbers.
#[test]
fn arithmetic_is_the_hosts() {
    let mut rng = Rng::new("arithmetic_is_the_hosts");
    let mut compared = 0;
    for _ in 0..20_000 {
        let [a, b, c] = [(); 3].map(|()| number(&mut rng, Ty::F64));
        let [x, y, z] = [a, b, c].map(f64::from_bits);
        let [s, t, u] = [a, b, c].map(|bits| f64::from_bits(bits) as f32);
        let cases = [
            (Code::FAdd, 0, x + y, s + t),
            (Code::FSub, 0, x - y, s - t),
            (Code::FMul, 0, x * y, s * t),
            (Code::FDiv, 0, x / y, s / t),
            (Code::FSqrt, 0, x.sqrt(), s.sqrt()),
            (Code::FMulAdd, 0, x.mul_add(y, z), s.mul_add(t, u)),
            (Code::FMulAdd, 1, (-x).mul_add(y, z), (-s).mul_add(t, u)),
            (Code::FMulAdd, 2, x.mul_add(y, -z), s.mul_add(t, -u)),
            (Code::FMulAdd, 3, (-x).mul_add(y, -z), (-s).mul_add(t, -u)),
            (Code::FAbd, 0, (x - y).abs(), (s - t).abs()),
            (Code::FRoundInt, 0, x.round_ties_even(), s.round_ties_even()),
            (Code::FRoundInt, 1, x.ceil(), s.ceil()),
            (Code::FRoundInt, 2, x.floor(), s.floor()),
            (Code::FRoundInt, 3, x.trunc(), s.trunc()),
            (Code::FRoundInt, 4, x.round(), s.round()),
        ];
        for (code, imm, double, single) in cases {
            let op = |ty, shape| Op { code: code as u16, ty, shape, dst: 3, a: 0, b: 1, c: 2, aux: 0, imm };
            let mut slots = [a, b, c, 0];
            assert!(crate::vector::exec(&op(Ty::F64, Shape::V64), &mut slots, 0, &mut 0));
            let singles = [s, t, u].map(|v| u64::from(v.to_bits()));
            let mut single_slots = [singles[0], singles[1], singles[2], 0];
            assert!(crate::vector::exec(&op(Ty::F32, Shape::SCALAR), &mut single_slots, 0, &mut 0));
            if !double.is_nan() {
                assert_eq!(slots[3], double.to_bits(), "{code:?} {imm} {x:e} {y:e} {z:e}");
                compared += 1;
            }
            if !single.is_nan() {
                assert_eq!(single_slots[3], u64::from(single.to_bits()), "{code:?} {imm} {s:e} {t:e} {u:e}");
                compared += 1;
            }
        }
    }
    println!("{compared} results compared");
    assert!(compared > 200_000);
}

/// Only the one number of a scalar may raise anything: 1 / 1 beside 0 / 0.
#[test]
fn a_scalar_is_one_number() {
    let mut slots = [0x3f80_0000, 0x3f80_0000, 7];
    let mut flags = 0;
    let op = Op { code: Code::FDiv as u16, ty: Ty::F32, shape: Shape::SCALAR, dst: 2, a: 0, b: 1, c: emu_ir::NONE, aux: 0, imm: 0 };
    assert!(crate::vector::exec(&op, &mut slots, 0, &mut flags));
    assert_eq!((slots[2], flags), (0x3f80_0000, 0));
    let invalid = u32::from(Flags::INVALID.bits());
    assert!(crate::vector::exec(&Op { shape: Shape::V64, ..op }, &mut slots, 0, &mut flags));
    assert_eq!((slots[2], flags), (0x7fc0_0000_3f80_0000, invalid));
}

/// Values written down by hand from the instructions' descriptions.
#[test]
fn corner_cases() {
    let run = |code: Code, ty: Ty, shape: Shape, imm: u64, operands: [[u64; 2]; 3]| {
        let mut slots = [operands[0], operands[1], operands[2], [0; 2], [0; 2]].concat();
        let mut flags = 0;
        let op = Op { code: code as u16, ty, shape, dst: 6, a: 0, b: 2, c: 4, aux: 0, imm };
        assert!(crate::vector::exec(&op, &mut slots, 16, &mut flags), "{code:?}");
        ([slots[6], slots[7]], flags)
    };
    let f64 = |code, imm, a: f64, b: f64| run(code, Ty::F64, Shape::SCALAR, imm, [[a.to_bits(), 0], [b.to_bits(), 0], [0, 0]]);
    let (invalid, inexact) = (u32::from(Flags::INVALID.bits()), u32::from(Flags::INEXACT.bits()));
    assert_eq!(f64(Code::FMulX, 0, -0.0, f64::INFINITY).0[0], (-2f64).to_bits());
    assert_eq!(f64(Code::FMul, 0, -0.0, f64::INFINITY), ([f64::NAN.to_bits() & !(1 << 63), 0], invalid));
    assert_eq!(f64(Code::FRelation, 0, 1.0, f64::NAN), ([3, 0], 0));
    assert_eq!(f64(Code::FRelation, 1, 1.0, f64::NAN), ([3, 0], invalid));
    assert_eq!([f64(Code::FRelation, 0, 1.0, 2.0).0[0], f64(Code::FRelation, 0, 2.0, 1.0).0[0], f64(Code::FRelation, 0, 0.0, -0.0).0[0]], [1, 2, 0]);
    assert_eq!(f64(Code::FCmGe, 0, -3.0, 2.0).0[0], 0);
    assert_eq!(f64(Code::FCmGe, 1, -3.0, 2.0).0[0], u64::MAX);
    assert_eq!(f64(Code::FCmEq, 0, f64::NAN, 2.0), ([0, 0], 0));
    assert_eq!(f64(Code::FCmGt, 0, f64::NAN, 2.0), ([0, 0], invalid));
    // FRINTI does not report, FRINTX does; FRINT32Z out of range gives the minimum.
    assert_eq!(f64(Code::FRoundInt, 0, 2.5, 0.0), ([2f64.to_bits(), 0], 0));
    assert_eq!(f64(Code::FRoundInt, 8, 2.5, 0.0), ([2f64.to_bits(), 0], inexact));
    assert_eq!(f64(Code::FRoundInt, 4, 2.5, 0.0), ([3f64.to_bits(), 0], 0));
    assert_eq!(f64(Code::FRoundIntN, 3 | 32 << 8, 2_147_483_648.0, 0.0), ([(-2_147_483_648f64).to_bits(), 0], invalid));
    // FCVTZS to fixed point with 4 fraction bits, FCVTZU of a negative number, SCVTF and UCVTF of all ones.
    let to = |ty, imm: u64, a: f64| run(Code::FToInt, ty, Shape::SCALAR, imm | u64::from(Ty::F64.0) << 16, [[a.to_bits(), 0], [0; 2], [0; 2]]);
    assert_eq!(to(Ty::I32, 3 | 4 << 8, -1.5), ([0xffff_ffe8, 0], 0));
    assert_eq!(to(Ty::I64, 3 | 8, -1.5), ([0, 0], invalid));
    assert_eq!(to(Ty::I32, 3, 1e10), ([0x7fff_ffff, 0], invalid));
    let from = |imm: u64, a: u64| run(Code::IntToF, Ty::F64, Shape::SCALAR, imm | u64::from(Ty::I32.0) << 16, [[a, 0], [0; 2], [0; 2]]).0[0];
    assert_eq!(from(0, 0xffff_ffff), (-1f64).to_bits());
    assert_eq!(from(8, 0xffff_ffff), 4_294_967_295f64.to_bits());
    assert_eq!(from(2 << 8, 0xffff_ffff), (-0.25f64).to_bits());
    // FJCVTZS: modulo 2^32, and Z only for what is exact and in range.
    assert_eq!(f64(Code::FToJs, 0, 5.0, 0.0), ([1 << 32 | 5, 0], 0));
    assert_eq!(f64(Code::FToJs, 0, 5.5, 0.0), ([5, 0], inexact));
    assert_eq!(f64(Code::FToJs, 0, 4_294_967_301.0, 0.0), ([5, 0], invalid));
    // FCVTL2 and FCVTN of a vector; FCVTN's `vl` form clears the upper half.
    let halves = [0x4400_4200_4000_3c00, 0x4800_4700_4600_4500];
    let four = |v: [f32; 4]| [0, 2].map(|i| u64::from(v[i].to_bits()) | u64::from(v[i + 1].to_bits()) << 32);
    assert_eq!(run(Code::FWiden, Ty::F32, Shape::V128, 0, [halves, [0; 2], [0; 2]]).0, four([1.0, 2.0, 3.0, 4.0]));
    assert_eq!(run(Code::FWiden, Ty::F32, Shape::V128, 1, [halves, [0; 2], [0; 2]]).0, four([5.0, 6.0, 7.0, 8.0]));
    assert_eq!(run(Code::FNarrow, Ty::F32, Shape::VL, 0, [four([1.0, 2.0, 3.0, 4.0]), [0; 2], [0; 2]]).0, [halves[0], 0]);
    // FMLAL and FMLSL2: c plus or minus products of halves.
    let [c, ones] = [four([100.0; 4]), [0x3c00_3c00_3c00_3c00; 2]];
    assert_eq!(run(Code::FMulAddH, Ty::F32, Shape::V128, 0, [halves, ones, c]).0, four([101.0, 102.0, 103.0, 104.0]));
    assert_eq!(run(Code::FMulAddH, Ty::F32, Shape::V128, 3, [halves, ones, c]).0, four([95.0, 94.0, 93.0, 92.0]));
    // bfloat16 1 to 8; 2x4 times its own transpose; dot products; even and odd products.
    let brains = [0x4080_4040_4000_3f80, 0x4100_40e0_40c0_40a0];
    assert_eq!(run(Code::BfMmla, Ty::F32, Shape::V128, 0, [brains, brains, c]).0, four([130.0, 170.0, 170.0, 274.0]));
    assert_eq!(run(Code::BfDot, Ty::F32, Shape::V128, 0, [brains, brains, c]).0, four([105.0, 125.0, 161.0, 213.0]));
    assert_eq!(run(Code::BfMlal, Ty::F32, Shape::V128, 0, [brains, brains, c]).0, four([101.0, 109.0, 125.0, 149.0]));
    assert_eq!(run(Code::BfMlal, Ty::F32, Shape::V128, 1, [brains, brains, c]).0, four([104.0, 116.0, 136.0, 164.0]));
}
