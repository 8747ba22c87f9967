//! Integer ops on scalars.

use emu_ir::{Code, Op, Shape, Ty};

const fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

#[inline(always)]
fn signed(v: u64, bits: u32) -> i64 {
    let s = 64 - bits;
    (v << s) as i64 >> s
}

/// Runs a scalar integer op; false if the op is not one (vectors, floating point, saturation).
#[inline(always)]
pub(crate) fn exec(code: Code, op: &Op, slots: &mut [u64]) -> bool {
    if op.shape != Shape::SCALAR {
        return false;
    }
    if op.ty == Ty::I128 {
        return exec_wide(code, op, slots);
    }
    let bits = op.ty.bits();
    let m = mask(bits);
    let at = |slot: u32| slots[slot as usize];
    let result = match code {
        Code::Add => at(op.a).wrapping_add(at(op.b)) & m,
        Code::Sub => at(op.a).wrapping_sub(at(op.b)) & m,
        Code::And => at(op.a) & at(op.b),
        Code::Or => at(op.a) | at(op.b),
        Code::Xor => at(op.a) ^ at(op.b),
        Code::AndNot => at(op.a) & !at(op.b),
        Code::OrNot => (at(op.a) | !at(op.b)) & m,
        Code::Not => !at(op.a) & m,
        Code::Neg => at(op.a).wrapping_neg() & m,
        Code::CmpEq => u64::from(at(op.a) == at(op.b)),
        Code::CmpNe => u64::from(at(op.a) != at(op.b)),
        Code::CmpUlt => u64::from(at(op.a) < at(op.b)),
        Code::CmpUle => u64::from(at(op.a) <= at(op.b)),
        Code::CmpSlt => u64::from(signed(at(op.a), bits) < signed(at(op.b), bits)),
        Code::CmpSle => u64::from(signed(at(op.a), bits) <= signed(at(op.b), bits)),
        Code::SubOverflow => {
            let (a, b) = (at(op.a), at(op.b));
            ((a ^ b) & (a ^ a.wrapping_sub(b))) >> (bits - 1) & 1
        }
        Code::ZExt => at(op.a),
        Code::Trunc => at(op.a) & m,
        Code::SExt => signed(at(op.a), Ty(op.aux as u8).bits()) as u64 & m,
        Code::Shl => at(op.a) << (at(op.b) & u64::from(bits - 1)) & m,
        Code::LShr => at(op.a) >> (at(op.b) & u64::from(bits - 1)),
        Code::AShr => (signed(at(op.a), bits) >> (at(op.b) & u64::from(bits - 1))) as u64 & m,
        Code::RotR => {
            let (a, n) = (at(op.a), (at(op.b) & u64::from(bits - 1)) as u32);
            if n == 0 { a } else { (a >> n | a << (bits - n)) & m }
        }
        Code::Select => {
            if at(op.c) != 0 {
                at(op.a)
            } else {
                at(op.b)
            }
        }
        Code::Extract => at(op.a) >> (op.aux & 0xff) & mask(op.aux >> 8),
        Code::SExtract => signed(at(op.a) >> (op.aux & 0xff), op.aux >> 8) as u64 & m,
        Code::Deposit => {
            let (lsb, field) = (op.aux & 0xff, mask(op.aux >> 8));
            at(op.a) & !(field << lsb) | (at(op.b) & field) << lsb
        }
        Code::ConcatShr => {
            let n = op.aux;
            if n == 0 { at(op.b) } else { (at(op.b) >> n | at(op.a) << (bits - n)) & m }
        }
        Code::Adc => at(op.a).wrapping_add(at(op.b)).wrapping_add(at(op.c)) & m,
        Code::CarryOut => {
            let sum = u128::from(at(op.a)) + u128::from(at(op.b)) + u128::from(at(op.c));
            (sum >> bits) as u64
        }
        Code::Overflow => {
            let (a, b) = (at(op.a), at(op.b));
            let sum = a.wrapping_add(b).wrapping_add(at(op.c));
            (!(a ^ b) & (a ^ sum)) >> (bits - 1) & 1
        }
        Code::Mul => at(op.a).wrapping_mul(at(op.b)) & m,
        Code::MulHiU => (u128::from(at(op.a)) * u128::from(at(op.b)) >> bits) as u64 & m,
        Code::MulFold if op.ty == Ty::I64 => {
            let product = u128::from(at(op.a)) * u128::from(at(op.b));
            product as u64 ^ (product >> 64) as u64
        }
        Code::MulHiS => (i128::from(signed(at(op.a), bits)) * i128::from(signed(at(op.b), bits)) >> bits) as u64 & m,
        Code::UDiv => at(op.a).checked_div(at(op.b)).unwrap_or(0),
        Code::SDiv => match signed(at(op.b), bits) {
            0 => 0,
            b => signed(at(op.a), bits).wrapping_div(b) as u64 & m,
        },
        Code::SMax => signed(at(op.a), bits).max(signed(at(op.b), bits)) as u64 & m,
        Code::SMin => signed(at(op.a), bits).min(signed(at(op.b), bits)) as u64 & m,
        Code::UMax => at(op.a).max(at(op.b)),
        Code::UMin => at(op.a).min(at(op.b)),
        Code::Abs => signed(at(op.a), bits).unsigned_abs() & m,
        Code::Clz => u64::from(at(op.a).leading_zeros() - (64 - bits)),
        Code::Cls => {
            let s = signed(at(op.a), bits);
            u64::from((s ^ s >> 63).leading_zeros().saturating_sub(64 - bits + 1))
        }
        Code::Ctz => u64::from(at(op.a).trailing_zeros().min(bits)),
        Code::Cnt => u64::from(at(op.a).count_ones()),
        Code::RBit => at(op.a).reverse_bits() >> (64 - bits),
        Code::BSwap => at(op.a).swap_bytes() >> (64 - bits.max(8)),
        Code::BitSel => at(op.a) & at(op.c) | at(op.b) & !at(op.c),
        _ => return false,
    };
    slots[op.dst as usize] = result;
    true
}

#[inline(never)]
fn exec_wide(code: Code, op: &Op, slots: &mut [u64]) -> bool {
    let at = |slot: u32| u128::from(slots[slot as usize]) | u128::from(slots[slot as usize + 1]) << 64;
    let one = |slot: u32| slots[slot as usize];
    let narrow = match code {
        Code::Lo64 => one(op.a),
        Code::Hi64 => slots[op.a as usize + 1],
        Code::CmpEq => u64::from(at(op.a) == at(op.b)),
        Code::CmpNe => u64::from(at(op.a) != at(op.b)),
        Code::CmpUlt => u64::from(at(op.a) < at(op.b)),
        Code::CmpUle => u64::from(at(op.a) <= at(op.b)),
        Code::CmpSlt => u64::from((at(op.a) as i128) < at(op.b) as i128),
        Code::CmpSle => u64::from(at(op.a) as i128 <= at(op.b) as i128),
        Code::SubOverflow => u64::from((at(op.a) as i128).overflowing_sub(at(op.b) as i128).1),
        Code::CarryOut => {
            let (s, c) = at(op.a).overflowing_add(at(op.b));
            u64::from(c | s.overflowing_add(one(op.c).into()).1)
        }
        Code::Overflow => {
            let (a, b) = (at(op.a), at(op.b));
            let s = a.wrapping_add(b).wrapping_add(one(op.c).into());
            ((!(a ^ b) & (a ^ s)) >> 127) as u64
        }
        _ => {
            return exec_wide_result(code, op, slots);
        }
    };
    slots[op.dst as usize] = narrow;
    true
}

fn exec_wide_result(code: Code, op: &Op, slots: &mut [u64]) -> bool {
    let at = |slot: u32| u128::from(slots[slot as usize]) | u128::from(slots[slot as usize + 1]) << 64;
    let one = |slot: u32| slots[slot as usize];
    let amount = |slot: u32| (slots[slot as usize] & 127) as u32;
    let field = |len: u32| if len >= 128 { u128::MAX } else { (1u128 << len) - 1 };
    let (lsb, len) = (op.aux & 0xff, op.aux >> 8);
    let result = match code {
        Code::Pair => u128::from(one(op.a)) | u128::from(one(op.b)) << 64,
        Code::Add => at(op.a).wrapping_add(at(op.b)),
        Code::Sub => at(op.a).wrapping_sub(at(op.b)),
        Code::Mul => at(op.a).wrapping_mul(at(op.b)),
        Code::And => at(op.a) & at(op.b),
        Code::Or => at(op.a) | at(op.b),
        Code::Xor => at(op.a) ^ at(op.b),
        Code::AndNot => at(op.a) & !at(op.b),
        Code::OrNot => at(op.a) | !at(op.b),
        Code::Not => !at(op.a),
        Code::Neg => at(op.a).wrapping_neg(),
        Code::Abs => (at(op.a) as i128).unsigned_abs(),
        Code::Shl => at(op.a) << amount(op.b),
        Code::LShr => at(op.a) >> amount(op.b),
        Code::AShr => (at(op.a) as i128 >> amount(op.b)) as u128,
        Code::RotR => at(op.a).rotate_right(amount(op.b)),
        Code::SMax => (at(op.a) as i128).max(at(op.b) as i128) as u128,
        Code::SMin => (at(op.a) as i128).min(at(op.b) as i128) as u128,
        Code::UMax => at(op.a).max(at(op.b)),
        Code::UMin => at(op.a).min(at(op.b)),
        Code::UDiv => at(op.a).checked_div(at(op.b)).unwrap_or(0),
        Code::SDiv => match at(op.b) as i128 {
            0 => 0,
            b => (at(op.a) as i128).wrapping_div(b) as u128,
        },
        Code::Adc => at(op.a).wrapping_add(at(op.b)).wrapping_add(one(op.c).into()),
        Code::Select => {
            if one(op.c) != 0 {
                at(op.a)
            } else {
                at(op.b)
            }
        }
        Code::BitSel => at(op.a) & at(op.c) | at(op.b) & !at(op.c),
        Code::Clz => at(op.a).leading_zeros().into(),
        Code::Ctz => at(op.a).trailing_zeros().into(),
        Code::Cnt => at(op.a).count_ones().into(),
        Code::Cls => {
            let s = at(op.a) as i128;
            ((s ^ s >> 127).leading_zeros().saturating_sub(1)).into()
        }
        Code::RBit => at(op.a).reverse_bits(),
        Code::BSwap => at(op.a).swap_bytes(),
        Code::ZExt => narrow_source(op, slots),
        Code::SExt => {
            let s = 128 - Ty(op.aux as u8).bits();
            ((narrow_source(op, slots) << s) as i128 >> s) as u128
        }
        Code::Trunc => at(op.a),
        Code::Extract => at(op.a) >> lsb & field(len),
        Code::SExtract => ((at(op.a) >> lsb << (128 - len)) as i128 >> (128 - len)) as u128,
        Code::Deposit => at(op.a) & !(field(len) << lsb) | (at(op.b) & field(len)) << lsb,
        Code::ConcatShr => {
            if op.aux == 0 {
                at(op.b)
            } else {
                at(op.b) >> op.aux | at(op.a) << (128 - op.aux)
            }
        }
        Code::MulHiU => mul_high(at(op.a), at(op.b)),
        Code::MulHiS => {
            let (a, b) = (at(op.a), at(op.b));
            let high = mul_high(a, b);
            let high = if (a as i128) < 0 { high.wrapping_sub(b) } else { high };
            if (b as i128) < 0 { high.wrapping_sub(a) } else { high }
        }
        _ => return false,
    };
    super::set_wide(slots, op.dst, 16, result);
    true
}

fn narrow_source(op: &Op, slots: &[u64]) -> u128 {
    super::wide(slots, op.a, Ty(op.aux as u8).bytes())
}

fn mul_high(a: u128, b: u128) -> u128 {
    let low = u128::from(u64::MAX);
    let (al, ah, bl, bh) = (a & low, a >> 64, b & low, b >> 64);
    let mid = (al * bl >> 64) + (ah * bl & low) + (al * bh & low);
    ah * bh + (ah * bl >> 64) + (al * bh >> 64) + (mid >> 64)
}
