//! Fused multiply-add (FPMulAdd, FPMulAddH): one rounding at the end.

use crate::add::zero_sum_sign;
use crate::format::{F16, F32, Format, infinity, zero};
use crate::mode::{Flags, Mode, Rounding};
use crate::mul::exact_product;
use crate::nan::{convert_payload, invalid, process_nans3};
use crate::round::{high_sticky, round_pack, shift_right_sticky_u128};
use crate::unpack::{Unpacked, is_denormal, note_denormal, unpack};

/// FPMulAdd: `addend + a * b`, rounded once.
///
/// A quiet NaN addend with an infinity times zero gives the default NaN and Invalid, except under
/// AH, where the addend goes through quietly.
#[inline]
pub fn mul_add<F: Format>(addend: F::Bits, a: F::Bits, b: F::Bits, mode: Mode) -> (F::Bits, Flags) {
    let bits = [F::widen(addend), F::widen(a), F::widen(b)];
    let (bits, flags) = mul_add_bits::<F>(bits, mode);
    (F::narrow(bits), flags)
}

fn mul_add_bits<F: Format>(bits: [u64; 3], mode: Mode) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let ops = bits.map(|bits| unpack::<F>(bits, mode, &mut flags));
    let [c, x, y] = ops;
    if ops.iter().any(|op| op.is_nan()) {
        return (nan_mul_add::<F>(ops, bits, mode, &mut flags), flags);
    }
    let (result, valid) = fused::<F>(c, x, y, mode, mode.rounding(), &mut flags);
    let used = valid && (is_denormal(c) || is_denormal(x) || is_denormal(y));
    note_denormal::<F>(used, mode, &mut flags);
    (result, flags)
}

/// FPMulAddH: the single-precision `addend` plus the exact product of two half-precision numbers,
/// rounded once to single precision. Only the addend can raise InputDenormal.
pub fn mul_add_h(addend: u32, a: u16, b: u16, mode: Mode) -> (u32, Flags) {
    let mut flags = Flags::NONE;
    let c = unpack::<F32>(addend as u64, mode, &mut flags);
    let x = unpack::<F16>(a as u64, mode, &mut flags);
    let y = unpack::<F16>(b as u64, mode, &mut flags);
    if c.is_nan() || x.is_nan() || y.is_nan() {
        let wide = |bits: u16| convert_payload::<F16, F32>(bits as u64);
        let bits = [addend as u64, wide(a), wide(b)];
        return (nan_mul_add::<F32>([c, x, y], bits, mode, &mut flags) as u32, flags);
    }
    let (result, valid) = fused::<F32>(c, x, y, mode, mode.rounding(), &mut flags);
    note_denormal::<F32>(valid && is_denormal(c), mode, &mut flags);
    (result as u32, flags)
}

/// The NaN of a multiply-add with at least one NaN operand.
fn nan_mul_add<F: Format>(ops: [Unpacked; 3], bits: [u64; 3], mode: Mode, flags: &mut Flags) -> u64 {
    let [c, x, y] = ops;
    let result = process_nans3::<F>(ops, bits, mode, flags);
    let no_product = (x.is_inf() && y.is_zero()) || (x.is_zero() && y.is_inf());
    // Here the addend is the only NaN; a signaling one has raised Invalid already and is returned.
    let quiet_addend = c.class == crate::unpack::Class::QuietNan;
    if no_product && quiet_addend && !mode.ah() { invalid::<F>(mode, flags) } else { result }
}

/// `c + x * y` for operands that are not NaNs, and whether it was a valid operation.
#[inline(always)]
pub(crate) fn fused<F: Format>(c: Unpacked, x: Unpacked, y: Unpacked, mode: Mode, rounding: Rounding, flags: &mut Flags) -> (u64, bool) {
    let sign = x.sign ^ y.sign;
    if x.is_finite() && y.is_finite() && !c.is_inf() {
        let (exp, product) = exact_product(x, y);
        let total = if c.is_zero() { Some((sign, exp, high_sticky(product))) } else { exact_wide_sum(c, sign, exp, product) };
        let bits = match total {
            Some((sign, exp, sig)) => round_pack::<F>(sign, exp, sig, mode, rounding, flags),
            None => zero::<F>(zero_sum_sign(rounding)),
        };
        return (bits, true);
    }
    let product_inf = x.is_inf() || y.is_inf();
    let no_product = product_inf && (x.is_zero() || y.is_zero());
    if no_product || (product_inf && c.is_inf() && c.sign != sign) {
        return (invalid::<F>(mode, flags), false);
    }
    let bits = if c.is_inf() {
        infinity::<F>(c.sign)
    } else if product_inf {
        infinity::<F>(sign)
    } else if c.is_zero() {
        zero::<F>(if c.sign == sign { sign } else { zero_sum_sign(rounding) })
    } else {
        round_pack::<F>(c.sign, c.exp, c.sig, mode, rounding, flags)
    };
    (bits, true)
}

/// `c` plus a 128-bit product with its top bit set. The product of two significands of at most 53
/// bits leaves 22 zero bits at its bottom, which serve as headroom and guard bits.
#[inline(always)]
fn exact_wide_sum(c: Unpacked, sign: bool, exp: i32, product: u128) -> Option<(bool, i32, u64)> {
    let product = product >> 1;
    let addend = (c.sig as u128) << 63;
    let product_bigger = (exp, product) >= (c.exp, addend);
    let (out_sign, out_exp, big, small) = if product_bigger { (sign, exp, product, addend) } else { (c.sign, c.exp, addend, product) };
    let small = shift_right_sticky_u128(small, exp.abs_diff(c.exp));
    let total = if sign == c.sign { big + small } else { big - small };
    if total == 0 {
        return None;
    }
    let shift = total.leading_zeros();
    Some((out_sign, out_exp + 1 - shift as i32, high_sticky(total << shift)))
}
