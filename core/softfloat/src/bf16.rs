//! bfloat16: the conversion and the multiply-accumulates with single-precision accumulators, and
//! the half-precision dot product, which is the same operation on other operands.
//!
//! Arithmetic *in* bfloat16 needs nothing from here: it is the generic operations on [`BF16`].

use crate::add::{add, exact_sum, sum, zero_sum_sign};
use crate::format::{BF16, F16, F32, Format, infinity, zero};
use crate::mode::{Flags, Mode, Rounding};
use crate::mul::exact_product;
use crate::muladd::mul_add;
use crate::nan::{convert_payload, default_nan_bits, invalid, process_nans4};
use crate::round::{high_sticky, round_pack};
use crate::unpack::{Class, Unpacked, unpack};

/// FPConvertBF (BFCVT): single precision to bfloat16. Under AH denormals are flushed at both ends,
/// rounding is to nearest, and nothing is raised.
pub fn bf_convert(op: u32, mode: Mode) -> (u16, Flags) {
    let estimate_mode = mode.estimate_mode();
    let mut flags = Flags::NONE;
    let x = unpack::<F32>(op as u64, estimate_mode, &mut flags);
    let bits = match x.class {
        Class::Zero => zero::<BF16>(x.sign),
        Class::Infinity => infinity::<BF16>(x.sign),
        Class::QuietNan | Class::SignalingNan => {
            if x.class == Class::SignalingNan {
                flags |= Flags::INVALID;
            }
            if mode.contains(Mode::DN) { default_nan_bits::<BF16>(mode) } else { convert_payload::<F32, BF16>(op as u64) | BF16::QUIET_BIT }
        }
        Class::Normal | Class::Denormal => {
            let rounding = estimate_mode.rounding();
            round_pack::<BF16>(x.sign, x.exp, x.sig, estimate_mode, rounding, &mut flags)
        }
    };
    (bits as u16, mode.estimate_flags(flags))
}

/// BFMulAddH (BFMLALB, BFMLALT): the single-precision `addend` plus the exact product of two
/// bfloat16 numbers, rounded once. AH changes the mode as for [`bf_convert`].
pub fn bf_mul_add(addend: u32, a: u16, b: u16, mode: Mode) -> (u32, Flags) {
    let (wide_a, wide_b) = ((a as u32) << 16, (b as u32) << 16);
    let (bits, flags) = mul_add::<F32>(addend, wide_a, wide_b, mode.estimate_mode());
    (bits, mode.estimate_flags(flags))
}

/// BFDotAdd (BFDOT, and each step of BFMMLA): `addend + a[0] * b[0] + a[1] * b[1]`. Raises nothing;
/// a NaN result is the default NaN.
///
/// Without [`Mode::EBF`] each product and sum is rounded to odd, denormals are flushed and overflow
/// gives an infinity, whatever the mode says. With it the two products are summed exactly and
/// rounded once, then added, under the mode.
pub fn bf_dot_add(addend: u32, a: [u16; 2], b: [u16; 2], mode: Mode) -> u32 {
    if mode.contains(Mode::EBF) {
        let mode = mode.with(Mode::DN);
        let (dot, _) = dot::<BF16>(a, b, mode);
        return add::<F32>(addend, dot as u32, mode).0;
    }
    let first = bf_mul_odd(a[0], b[0], mode);
    let second = bf_mul_odd(a[1], b[1], mode);
    bf_add_odd(addend, bf_add_odd(first, second, mode), mode)
}

/// FPDotAdd (FDOT, FMOPA with half-precision sources): as the EBF form of [`bf_dot_add`], on half
/// precision and with flags and NaN propagation.
pub fn half_dot_add(addend: u32, a: [u16; 2], b: [u16; 2], mode: Mode) -> (u32, Flags) {
    let (dot, flags) = dot::<F16>(a, b, mode);
    let (bits, more) = add::<F32>(addend, dot as u32, mode);
    (bits, flags | more)
}

/// BFUnpack: denormals are zero, and NaNs are all alike.
fn bf_unpack<F: Format>(bits: u64) -> Unpacked {
    let mut dropped = Flags::NONE;
    unpack::<F>(bits, Mode::FIZ, &mut dropped)
}

/// BFRound: to odd, but overflow gives an infinity; denormals are flushed before rounding.
fn bf_round_odd(sign: bool, exp: i32, sig: u64) -> u64 {
    if exp > F32::BIAS {
        return infinity::<F32>(sign);
    }
    let mut dropped = Flags::NONE;
    round_pack::<F32>(sign, exp, sig, Mode::FZ, Rounding::ToOdd, &mut dropped)
}

/// BFMulH.
fn bf_mul_odd(a: u16, b: u16, mode: Mode) -> u32 {
    let (x, y) = (bf_unpack::<BF16>(a as u64), bf_unpack::<BF16>(b as u64));
    let sign = x.sign ^ y.sign;
    let no_product = (x.is_inf() && y.is_zero()) || (x.is_zero() && y.is_inf());
    let bits = if x.is_nan() || y.is_nan() || no_product {
        default_nan_bits::<F32>(mode)
    } else if x.is_inf() || y.is_inf() {
        infinity::<F32>(sign)
    } else if x.is_zero() || y.is_zero() {
        zero::<F32>(sign)
    } else {
        let (exp, product) = exact_product(x, y);
        bf_round_odd(sign, exp, high_sticky(product))
    };
    bits as u32
}

/// FPAdd_BF16.
fn bf_add_odd(a: u32, b: u32, mode: Mode) -> u32 {
    let (x, y) = (bf_unpack::<F32>(a as u64), bf_unpack::<F32>(b as u64));
    if x.is_nan() || y.is_nan() {
        return default_nan_bits::<F32>(mode) as u32;
    }
    let bits = if x.is_finite() && y.is_finite() {
        match exact_sum(x.sign, x.exp, x.sig, y.sign, y.exp, y.sig) {
            Some((sign, exp, sig)) => bf_round_odd(sign, exp, sig),
            None => zero::<F32>(false),
        }
    } else {
        // Zeros and infinities; of the mode only the sign of the default NaN is heeded.
        let mut dropped = Flags::NONE;
        sum::<F32>(x, y, mode, Rounding::ToOdd, &mut dropped)
    };
    bits as u32
}

/// FPDot: `a[0] * b[0] + a[1] * b[1]` of narrow operands, rounded once to single precision.
fn dot<F: Format<Bits = u16>>(a: [u16; 2], b: [u16; 2], mode: Mode) -> (u64, Flags) {
    let mut flags = Flags::NONE;
    let bits = [a[0], a[1], b[0], b[1]].map(|bits| bits as u64);
    let ops = bits.map(|bits| unpack::<F>(bits, mode, &mut flags));
    let [a0, a1, b0, b1] = ops;
    let no_product = |x: Unpacked, y: Unpacked| (x.is_inf() && y.is_zero()) || (x.is_zero() && y.is_inf());
    if ops.iter().any(|op| op.is_nan()) {
        let wide = bits.map(convert_payload::<F, F32>);
        return (process_nans4::<F32>(ops, wide, mode, &mut flags), flags);
    }
    let infinite = |x: Unpacked, y: Unpacked| x.is_inf() || y.is_inf();
    let (sign0, sign1) = (a0.sign ^ b0.sign, a1.sign ^ b1.sign);
    let (inf0, inf1) = (infinite(a0, b0), infinite(a1, b1));
    if no_product(a0, b0) || no_product(a1, b1) || (inf0 && inf1 && sign0 != sign1) {
        return (invalid::<F32>(mode, &mut flags), flags);
    }
    if inf0 || inf1 {
        return (infinity::<F32>(if inf0 { sign0 } else { sign1 }), flags);
    }
    // A product of two narrow significands fits the upper 64 bits exactly, with guard bits below.
    let product = |x: Unpacked, y: Unpacked| {
        (x.is_finite() && y.is_finite()).then(|| {
            let (exp, product) = exact_product(x, y);
            (exp, high_sticky(product))
        })
    };
    let rounding = mode.rounding();
    let total = match (product(a0, b0), product(a1, b1)) {
        (Some((exp0, sig0)), Some((exp1, sig1))) => exact_sum(sign0, exp0, sig0, sign1, exp1, sig1),
        (Some((exp, sig)), None) => Some((sign0, exp, sig)),
        (None, Some((exp, sig))) => Some((sign1, exp, sig)),
        (None, None) if sign0 == sign1 => return (zero::<F32>(sign0), flags),
        (None, None) => None,
    };
    let bits = match total {
        Some((sign, exp, sig)) => round_pack::<F32>(sign, exp, sig, mode, rounding, &mut flags),
        None => zero::<F32>(zero_sum_sign(rounding)),
    };
    (bits, flags)
}
