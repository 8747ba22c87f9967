//! The reference: what each integer op makes of whole operands, from the manual's formulas.

use super::wide::Z;
use emu_ir::{Code, Op, Shape, Ty};
use std::cmp::Ordering::{Equal, Greater, Less};

fn mask(bits: u32) -> u128 {
    u128::MAX >> (128 - bits)
}

/// Elements of `bits` bits of a value of `len` bytes.
pub fn elements(words: &[u64], bits: u32, len: u32) -> Vec<u128> {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let element = |chunk: &[u8]| chunk.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte));
    bytes[..len as usize].chunks_exact(bits as usize / 8).map(element).collect()
}

/// The words of a value of these elements.
pub fn words(elements: &[u128], bits: u32) -> Vec<u64> {
    let bytes: Vec<u8> = elements.iter().flat_map(|e| e.to_le_bytes()[..bits as usize / 8].to_vec()).collect();
    bytes.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))).collect()
}

fn uint(x: u128) -> Z {
    // Elements of 128 bits take part in multiplications only, where the low bits decide.
    Z::new(x as i128)
}

fn sint(x: u128, bits: u32) -> Z {
    let value = uint(x);
    if x >> (bits - 1) & 1 == 1 { value.sub(Z::power(bits)) } else { value }
}

fn int(x: u128, bits: u32, signed: bool) -> Z {
    if signed { sint(x, bits) } else { uint(x) }
}

/// SatQ.
fn sat_q(value: Z, bits: u32, unsigned: bool) -> (u128, bool) {
    let (min, limit) = if unsigned { (Z::new(0), Z::power(bits)) } else { (Z::power(bits - 1).neg(), Z::power(bits - 1)) };
    if value.cmp(limit) != Less {
        (limit.sub(Z::new(1)).low() & mask(bits), true)
    } else if value.cmp(min) == Less {
        (min.low() & mask(bits), true)
    } else {
        (value.low() & mask(bits), false)
    }
}

/// RShr.
fn r_shr(value: Z, n: u32, round: bool) -> Z {
    if n == 0 { value } else { value.add(if round { Z::power(n - 1) } else { Z::new(0) }).shr(n) }
}

fn binary(x: u128, bits: u32) -> String {
    format!("{x:0width$b}", width = bits as usize)
}

fn polynomial_product(a: u128, b: u128) -> u128 {
    let mut product = 0;
    for i in 0..128 {
        for j in 0..128 - i {
            product ^= (a >> i & b >> j & 1) << (i + j);
        }
    }
    product
}

/// The new element from those of a, b and c, and whether it was saturated. Shared by scalars and vectors.
fn element(code: Code, op: &Op, [a, b, c]: [u128; 3]) -> Option<(u128, bool)> {
    let bits = op.ty.bits();
    let (sa, sb, sc) = (sint(a, bits), sint(b, bits), sint(c, bits));
    let (ua, ub) = (uint(a), uint(b));
    let (rounds, n) = (op.imm == 1, op.imm as u32);
    let plain = |z: Z| Some((z.low() & mask(bits), false));
    let number = |n: usize| Some((n as u128, false));
    let flag = |condition: bool| Some((if condition { mask(bits) } else { 0 }, false));
    let signed = |z: Z| Some(sat_q(z, bits, false));
    let unsigned = |z: Z| Some(sat_q(z, bits, true));
    let magnitude = |z: Z| if z.is_negative() { z.neg() } else { z };
    let bits_where = |f: &dyn Fn(u32) -> bool| (0..bits).filter(|i| f(*i)).fold(0, |x, i| x | 1u128 << i);
    // SInt(operand2<7:0>).
    let shift = b as u8 as i8;
    let shifted = |z: Z| {
        if shift >= 0 { z.shl(shift as u32) } else { r_shr(z, u32::from(shift.unsigned_abs()), op.aux & 1 == 1) }
    };
    match code {
        Code::Add => plain(ua.add(ub)),
        Code::Sub => plain(ua.sub(ub)),
        Code::Mul => plain(ua.mul(ub)),
        Code::Neg => plain(ua.neg()),
        Code::Abs => plain(magnitude(sa)),
        Code::SMax => plain(if sa.cmp(sb) == Greater { sa } else { sb }),
        Code::SMin => plain(if sa.cmp(sb) == Less { sa } else { sb }),
        Code::UMax => plain(if ua.cmp(ub) == Greater { ua } else { ub }),
        Code::UMin => plain(if ua.cmp(ub) == Less { ua } else { ub }),
        Code::Clz => number(binary(a, bits).chars().take_while(|c| *c == '0').count()),
        Code::Cls => {
            let digits = binary(a, bits);
            let sign = &digits[..1];
            number(digits.chars().take_while(|c| sign.contains(*c)).count() - 1)
        }
        Code::Ctz => number(binary(a, bits).chars().rev().take_while(|c| *c == '0').count()),
        Code::Cnt => number(binary(a, bits).matches('1').count()),
        Code::RBit => Some((u128::from_str_radix(&binary(a, bits).chars().rev().collect::<String>(), 2).ok()?, false)),
        Code::VEq => flag(a == b),
        Code::VGtS => flag(sa.cmp(sb) == Greater),
        Code::VGeS => flag(sa.cmp(sb) != Less),
        Code::VGtU => flag(ua.cmp(ub) == Greater),
        Code::VGeU => flag(matches!(ua.cmp(ub), Greater | Equal)),
        Code::VTst => flag((0..bits).any(|i| ua.bit(i) && ub.bit(i))),
        Code::SAbd => plain(magnitude(sa.sub(sb))),
        Code::UAbd => plain(magnitude(ua.sub(ub))),
        Code::SHAdd => plain(r_shr(sa.add(sb), 1, rounds)),
        Code::UHAdd => plain(r_shr(ua.add(ub), 1, rounds)),
        Code::SHSub => plain(sa.sub(sb).shr(1)),
        Code::UHSub => plain(ua.sub(ub).shr(1)),
        Code::SQAdd => signed(sa.add(sb)),
        Code::UQAdd => unsigned(ua.add(ub)),
        Code::SQSub => signed(sa.sub(sb)),
        Code::UQSub => unsigned(ua.sub(ub)),
        Code::SUQAdd => signed(sa.add(ub)),
        Code::USQAdd => unsigned(ua.add(sb)),
        Code::SQAbs => signed(magnitude(sa)),
        Code::SQNeg => signed(sa.neg()),
        Code::SQDMulH => signed(r_shr(sa.mul(sb).shl(1), bits, rounds)),
        Code::SQRDMlaH => {
            let product = sa.mul(sb).shl(1);
            let accumulator = sc.shl(bits);
            signed(r_shr(if rounds { accumulator.sub(product) } else { accumulator.add(product) }, bits, true))
        }
        Code::ShlImm => plain(ua.shl(n)),
        Code::RotRImm => Some((bits_where(&|i| ua.bit((i + n) % bits)), false)),
        Code::UShrImm => plain(r_shr(ua, n, op.aux == 1)),
        Code::SShrImm => plain(r_shr(sa, n, op.aux == 1)),
        Code::SliImm => Some((bits_where(&|i| if i < n { ua.bit(i) } else { ub.bit(i - n) }), false)),
        Code::SriImm => Some((bits_where(&|i| if i + n < bits { ub.bit(i + n) } else { ua.bit(i) }), false)),
        Code::SQShlImm => match op.aux {
            0 => signed(sa.shl(n)),
            1 => unsigned(ua.shl(n)),
            _ => unsigned(sa.shl(n)),
        },
        Code::SShlV => plain(shifted(sa)),
        Code::UShlV => plain(shifted(ua)),
        Code::SQShlV => signed(shifted(sa)),
        Code::UQShlV => unsigned(shifted(ua)),
        _ => None,
    }
}

/// Bitwise ops and moves of the whole value.
fn whole(code: Code, [a, b, c]: [u128; 3]) -> Option<u128> {
    Some(match code {
        Code::And => a & b,
        Code::Or => a | b,
        Code::Xor => a ^ b,
        Code::AndNot => a & !b,
        Code::OrNot => a | !b,
        Code::Not => !a,
        Code::BitSel => (a & c) | (b & !c),
        _ => return None,
    })
}

/// Result elements made of elements at other places.
fn permuted(code: Code, op: &Op, a: &[u128], b: &[u128]) -> Option<Vec<u128>> {
    let bits = op.ty.bits();
    let pairs = a.len() / 2;
    let part = usize::from(matches!(code, Code::Zip2 | Code::Uzp2 | Code::Trn2));
    let mut result = vec![0; a.len()];
    match code {
        Code::Dup => result.fill(a[0]),
        Code::SetLane => {
            result.copy_from_slice(a);
            result[op.imm as usize] = b[0];
        }
        // As in the pseudocode of ZIP, UZP and TRN of SVE, whose result begins as zero.
        Code::Zip1 | Code::Zip2 => {
            for p in 0..pairs {
                result[2 * p] = a[part * pairs + p];
                result[2 * p + 1] = b[part * pairs + p];
            }
        }
        Code::Uzp1 | Code::Uzp2 => {
            for p in 0..pairs {
                result[p] = a[2 * p + part];
                result[pairs + p] = b[2 * p + part];
            }
        }
        Code::Trn1 | Code::Trn2 => {
            for p in 0..pairs {
                result[2 * p] = a[2 * p + part];
                result[2 * p + 1] = b[2 * p + part];
            }
        }
        Code::Rev => {
            let per = ((op.aux / bits) as usize).min(a.len());
            result = a.chunks(per).flat_map(|container| container.iter().rev().copied().collect::<Vec<_>>()).collect();
        }
        _ => return None,
    }
    Some(result)
}

/// Ops between widths; `bits` is the wide one.
fn between_widths(code: Code, op: &Op, [a, b, c]: [&[u64]; 3], len: u32) -> Option<(Vec<u64>, bool)> {
    let bits = op.ty.bits();
    let scalar = op.shape == Shape::SCALAR;
    if bits < 16 || scalar && code != Code::SQDMulL {
        return None;
    }
    let half = bits / 2;
    let signed = op.aux & 1 != 0;
    let mut saturated = false;
    let mut noted = |(x, q): (u128, bool)| {
        saturated |= q;
        x
    };
    let count = (len * 8 / bits) as usize;
    if count == 0 {
        return None;
    }
    let part = if op.aux & 2 != 0 && !scalar { count } else { 0 };
    let halves = |x: &[u64]| if scalar { vec![u128::from(x[0])] } else { elements(x, half, len) };
    let result: Vec<u128> = match code {
        Code::Widen => (0..count).map(|i| int(halves(a)[part + i], half, signed).low() & mask(bits)).collect(),
        Code::MulL => {
            let (x, y) = (halves(a), halves(b));
            (0..count).map(|i| int(x[part + i], half, signed).mul(int(y[part + i], half, signed)).low() & mask(bits)).collect()
        }
        Code::SQDMulL if bits <= 64 => {
            let (x, y) = (halves(a), halves(b));
            (0..count).map(|i| noted(sat_q(sint(x[part + i], half).mul(sint(y[part + i], half)).shl(1), bits, false))).collect()
        }
        Code::PMulL => {
            let (x, y) = (halves(a), halves(b));
            (0..count).map(|i| polynomial_product(x[part + i], y[part + i])).collect()
        }
        Code::AddLP if bits <= 64 => halves(a).chunks(2).map(|p| int(p[0], half, signed).add(int(p[1], half, signed)).low() & mask(bits)).collect(),
        Code::Narrow if bits <= 64 => {
            let cut = op.aux & 3;
            let arithmetic = cut == 1 || cut == 3 || cut == 0 && op.aux & 8 != 0;
            let narrowed = |x: u128, noted: &mut dyn FnMut((u128, bool)) -> u128| {
                let shifted = r_shr(int(x, bits, arithmetic), op.imm as u32, op.aux & 4 != 0);
                if cut == 0 { shifted.low() & mask(half) } else { noted(sat_q(shifted, half, cut != 1)) }
            };
            let mut result: Vec<u128> = elements(a, bits, len).into_iter().map(|x| narrowed(x, &mut noted)).collect();
            if op.shape == Shape::VL {
                result.resize(2 * count, 0);
            }
            return Some((words(&result, half), saturated));
        }
        Code::Dot4 if bits == 32 || bits == 64 => {
            let quarter = bits / 4;
            let (x, y) = (elements(a, quarter, len), elements(b, quarter, len));
            let sum = |(i, c): (usize, u128)| {
                (4 * i..4 * i + 4).fold(uint(c), |sum, k| sum.add(int(x[k], quarter, signed).mul(int(y[k], quarter, op.aux & 2 != 0))))
            };
            elements(c, bits, len).into_iter().enumerate().map(|e| sum(e).low() & mask(bits)).collect()
        }
        Code::MatMul8 if bits == 32 && len.is_multiple_of(16) => {
            let (x, y) = (elements(a, 8, len), elements(b, 8, len));
            let sum = |(e, c): (usize, u128)| {
                let (base, row, column) = (e / 4 * 16, e / 2 % 2 * 8, e % 2 * 8);
                let product = |k: usize| int(x[base + row + k], 8, signed).mul(int(y[base + column + k], 8, op.aux & 2 != 0));
                (0..8).fold(uint(c), |sum, k| sum.add(product(k)))
            };
            elements(c, 32, len).into_iter().enumerate().map(|e| sum(e).low() & mask(32)).collect()
        }
        _ => return None,
    };
    Some((words(&result, bits), saturated))
}

fn reduced(code: Code, op: &Op, a: Vec<u128>) -> Option<u128> {
    let bits = op.ty.bits();
    let signed = |x: &u128| sint(*x, bits).low() as i128;
    Some(match code {
        Code::ReduceAdd => a.iter().fold(0, |sum, x| (sum + x) & mask(bits)),
        Code::ReduceSMax => a.into_iter().max_by_key(signed)?,
        Code::ReduceSMin => a.into_iter().min_by_key(signed)?,
        Code::ReduceUMax => a.into_iter().max()?,
        Code::ReduceUMin => a.into_iter().min()?,
        _ => return None,
    })
}

/// The result's slots and whether anything saturated; `None` for types that the op has no meaning for.
pub fn model(op: &Op, vl: u32, [a, b, c]: [&[u64]; 3]) -> Option<(Vec<u64>, bool)> {
    let code = op.opcode()?;
    let bits = op.ty.bits();
    let scalar = op.shape == Shape::SCALAR;
    let len = if scalar { op.ty.bytes() } else { op.shape.bytes(vl) };
    let lanes = |x: &[u64], bits: u32| if x.is_empty() { vec![] } else { elements(x, bits, len) };
    match code {
        Code::And | Code::Or | Code::Xor | Code::AndNot | Code::OrNot | Code::Not | Code::BitSel => {
            let [x, y, z] = [a, b, c].map(|v| lanes(v, 8));
            let at = |v: &[u128], i: usize| v.get(i).copied().unwrap_or(0);
            let bytes: Option<Vec<u128>> = (0..x.len()).map(|i| whole(code, [at(&x, i), at(&y, i), at(&z, i)])).collect();
            return Some((words(&bytes?, 8), false));
        }
        Code::Select => return Some(((if c[0] & 1 == 1 { a } else { b }).to_vec(), false)),
        Code::VResize => {
            let (ty, shape) = (Ty(op.aux as u8), Shape((op.aux >> 8) as u8));
            let source = if shape == Shape::SCALAR { ty.bytes() } else { shape.bytes(vl) };
            // A source of no known length stands for a missing one.
            let mut bytes = elements(a, 8, source.min(8 * a.len() as u32));
            bytes.resize(len as usize, 0);
            return Some((words(&bytes, 8), false));
        }
        Code::Ext => {
            let bytes = [lanes(a, 8), lanes(b, 8)].concat();
            return Some((words(&bytes[op.imm as usize..][..len as usize], 8), false));
        }
        Code::Tbl => {
            let (table, indices) = (lanes(a, 8), lanes(b, 8));
            let found: Vec<u128> = indices.into_iter().map(|i| table.get(i as usize).copied().unwrap_or(0)).collect();
            return Some((words(&found, 8), false));
        }
        Code::GetLane => return Some((words(&lanes(a, bits)[op.imm as usize..][..1], bits), false)),
        Code::Dup | Code::SetLane | Code::Zip1 | Code::Zip2 | Code::Uzp1 | Code::Uzp2 | Code::Trn1 | Code::Trn2 | Code::Rev => {
            let mut x = if code == Code::Dup { elements(a, bits, bits / 8) } else { lanes(a, bits) };
            let y = if code == Code::SetLane { elements(b, bits, bits / 8) } else { lanes(b, bits) };
            x.resize((len * 8 / bits) as usize, *x.first()?);
            if x.is_empty() {
                return None;
            }
            return permuted(code, op, &x, &y).map(|lanes| (words(&lanes, bits), false));
        }
        Code::PMul => {
            let products: Vec<u128> = lanes(a, 8).into_iter().zip(lanes(b, 8)).map(|(x, y)| polynomial_product(x, y) & 0xff).collect();
            return (bits <= 64).then(|| (words(&products, 8), false));
        }
        _ => {}
    }
    if let Some(result) = between_widths(code, op, [a, b, c], len) {
        return Some(result);
    }
    if bits > 64 {
        return None;
    }
    if let Some(result) = reduced(code, op, lanes(a, bits)) {
        return Some((words(&[result], bits), false));
    }
    let [x, y, z] = [a, b, c].map(|v| lanes(v, bits));
    let at = |v: &[u128], i: usize| v.get(i).copied().unwrap_or(0);
    let mut saturated = false;
    let result: Option<Vec<u128>> = (0..x.len())
        .map(|i| {
            let (value, q) = element(code, op, [at(&x, i), at(&y, i), at(&z, i)])?;
            saturated |= q;
            Some(value)
        })
        .collect();
    Some((words(&result?, bits), saturated))
}
