//! Half precision against a slow reference that works on exact rationals and follows the manual's
//! pseudocode (DDI 0487: FPRoundBase, FPUnpackBase, FPProcessNaNs3, FPMax, ...) line by line,
//! sharing nothing with the implementation but the bit positions of `Mode` and `Flags`.
//!
//! The sizes make exactness easy: half-precision numbers are multiples of 2^-24 below 2^16.

mod support;

use emu_softfloat::*;
use support::Random;

/// An exact non-negative value: `num / den * 2^-24`.
#[derive(Copy, Clone, PartialEq)]
struct Exact {
    num: u128,
    den: u128,
}

#[derive(Copy, Clone, PartialEq, Debug)]
enum Kind {
    Nonzero,
    Denormal,
    Zero,
    Infinity,
    Quiet,
    Signaling,
}

/// FPUnpackBase for half precision: kind, sign, magnitude in units of 2^-24.
fn unpack(op: u16, mode: Mode) -> (Kind, bool, u128) {
    let (sign, exp, frac) = (op >> 15 == 1, op >> 10 & 31, (op & 0x3ff) as u128);
    match exp {
        0 if frac == 0 || mode.contains(Mode::FZ16) => (Kind::Zero, sign, 0),
        0 => (Kind::Denormal, sign, frac),
        31 if frac == 0 => (Kind::Infinity, sign, 0),
        31 if frac & 0x200 != 0 => (Kind::Quiet, sign, 0),
        31 => (Kind::Signaling, sign, 0),
        _ => (Kind::Nonzero, sign, (1024 + frac) << (exp - 1)),
    }
}

fn nan_kind(kind: Kind) -> bool {
    matches!(kind, Kind::Quiet | Kind::Signaling)
}

/// Twice the distance from the integer below, compared to one: less, equal, more than a half; or none.
#[derive(Copy, Clone, PartialEq, PartialOrd)]
enum Error {
    None,
    Below,
    Half,
    Above,
}

/// `num / den` split into an integer and an error.
fn floor(num: u128, den: u128) -> (u128, Error) {
    let (whole, rest) = (num / den, num % den);
    let error = match (2 * rest).cmp(&den) {
        _ if rest == 0 => Error::None,
        std::cmp::Ordering::Less => Error::Below,
        std::cmp::Ordering::Equal => Error::Half,
        std::cmp::Ordering::Greater => Error::Above,
    };
    (whole, error)
}

fn round_up(rounding: Rounding, sign: bool, mant: u128, error: Error) -> bool {
    match rounding {
        Rounding::TiesEven => error > Error::Half || (error == Error::Half && mant & 1 == 1),
        Rounding::TiesAway => error >= Error::Half,
        Rounding::TowardPlus => error != Error::None && !sign,
        Rounding::TowardMinus => error != Error::None && sign,
        Rounding::TowardZero | Rounding::ToOdd => false,
    }
}

/// FPRoundBase for IEEE half precision.
fn round(sign: bool, value: Exact, mode: Mode, flags: &mut Flags) -> u16 {
    assert!(value.num != 0);
    let sign_bit = (sign as u16) << 15;
    let rounding = mode.rounding();
    let ah = mode.contains(Mode::AH);
    let flush = mode.contains(Mode::FZ16);
    // value = mantissa * 2^exponent with mantissa in [1, 2).
    let mut exponent = -24i32;
    let (mut num, mut den) = (value.num, value.den);
    while num >= 2 * den {
        den *= 2;
        exponent += 1;
    }
    while num < den {
        num *= 2;
        exponent -= 1;
    }
    if !ah && flush && exponent < -14 {
        *flags |= Flags::UNDERFLOW;
        return sign_bit;
    }
    let mut biased_unconstrained = exponent + 15;
    let (mut mant_unconstrained, error_unconstrained) = floor(num << 10, den);
    let mut biased = biased_unconstrained.max(0);
    if biased == 0 {
        den <<= (-14 - exponent).min(60);
    }
    let (mut mant, error) = floor(num << 10, den);
    if round_up(rounding, sign, mant_unconstrained, error_unconstrained) {
        mant_unconstrained += 1;
        if mant_unconstrained == 2048 {
            biased_unconstrained += 1;
            mant_unconstrained /= 2;
        }
    }
    let tiny_after = biased_unconstrained < 1 && mant_unconstrained != 0;
    if ah {
        if tiny_after && flush {
            *flags |= Flags::UNDERFLOW | Flags::INEXACT;
            return sign_bit;
        }
        if tiny_after && error != Error::None {
            *flags |= Flags::UNDERFLOW;
        }
    } else {
        let tiny = if mode.contains(Mode::TININESS_AFTER) { tiny_after } else { biased == 0 };
        if tiny && error != Error::None {
            *flags |= Flags::UNDERFLOW;
        }
    }
    if round_up(rounding, sign, mant, error) {
        mant += 1;
        if mant == 1024 {
            biased = 1;
        }
        if mant == 2048 {
            biased += 1;
            mant /= 2;
        }
    }
    if error != Error::None && rounding == Rounding::ToOdd {
        mant |= 1;
    }
    if biased >= 31 {
        *flags |= Flags::OVERFLOW | Flags::INEXACT;
        let infinite = match rounding {
            Rounding::TiesEven | Rounding::TiesAway => true,
            Rounding::TowardPlus => !sign,
            Rounding::TowardMinus => sign,
            _ => false,
        };
        return sign_bit | if infinite { 0x7c00 } else { 0x7bff };
    }
    if error != Error::None {
        *flags |= Flags::INEXACT;
    }
    sign_bit | (biased as u16) << 10 | mant as u16 & 0x3ff
}

fn reference_nan(mode: Mode) -> u16 {
    if mode.contains(Mode::AH) { 0xfe00 } else { 0x7e00 }
}

/// FPProcessNaN.
fn process_nan(kind: Kind, op: u16, mode: Mode, flags: &mut Flags) -> u16 {
    let mut result = op;
    if kind == Kind::Signaling {
        result |= 0x200;
        *flags |= Flags::INVALID;
    }
    if mode.contains(Mode::DN) { reference_nan(mode) } else { result }
}

/// FPProcessNaNs.
fn process_nans(k1: Kind, k2: Kind, op1: u16, op2: u16, mode: Mode, f: &mut Flags) -> Option<u16> {
    let signaling = k1 == Kind::Signaling || k2 == Kind::Signaling;
    let kind = if signaling { Kind::Signaling } else { Kind::Quiet };
    if mode.contains(Mode::AH) && nan_kind(k1) && nan_kind(k2) {
        Some(process_nan(kind, op1, mode, f))
    } else if k1 == Kind::Signaling {
        Some(process_nan(k1, op1, mode, f))
    } else if k2 == Kind::Signaling {
        Some(process_nan(k2, op2, mode, f))
    } else if k1 == Kind::Quiet {
        Some(process_nan(k1, op1, mode, f))
    } else if k2 == Kind::Quiet {
        Some(process_nan(k2, op2, mode, f))
    } else {
        None
    }
}

/// FPProcessNaNs3: addend, multiplicand, multiplier.
fn process_nans3(k: [Kind; 3], op: [u16; 3], mode: Mode, f: &mut Flags) -> Option<u16> {
    let kind = if k.contains(&Kind::Signaling) { Kind::Signaling } else { Kind::Quiet };
    let nan = k.map(nan_kind);
    if mode.contains(Mode::AH) {
        if nan[1] && (nan[0] || nan[2]) {
            return Some(process_nan(kind, op[1], mode, f));
        } else if nan[2] && nan[0] {
            return Some(process_nan(kind, op[2], mode, f));
        }
    }
    for wanted in [Kind::Signaling, Kind::Quiet] {
        for i in 0..3 {
            if k[i] == wanted {
                return Some(process_nan(wanted, op[i], mode, f));
            }
        }
    }
    None
}

/// A signed exact number, zero keeping no sign, to half precision.
fn round_signed(num: i128, den: u128, mode: Mode, f: &mut Flags) -> u16 {
    if num == 0 {
        return if mode.rounding() == Rounding::TowardMinus { 0x8000 } else { 0 };
    }
    round(num < 0, Exact { num: num.unsigned_abs(), den }, mode, f)
}

fn signed(sign: bool, magnitude: u128) -> i128 {
    if sign { -(magnitude as i128) } else { magnitude as i128 }
}

fn with_sign(sign: bool, magnitude: u16) -> u16 {
    (sign as u16) << 15 | magnitude
}

fn ref_add(a: u16, b: u16, negate: bool, mode: Mode) -> (u16, Flags) {
    let mut f = Flags::NONE;
    let (k1, s1, v1) = unpack(a, mode);
    let (k2, s2, v2) = unpack(b, mode);
    if let Some(nan) = process_nans(k1, k2, a, b, mode, &mut f) {
        return (nan, f);
    }
    let s2 = s2 ^ negate;
    let result = match (k1 == Kind::Infinity, k2 == Kind::Infinity) {
        (true, true) if s1 != s2 => {
            f |= Flags::INVALID;
            reference_nan(mode)
        }
        (true, _) => with_sign(s1, 0x7c00),
        (_, true) => with_sign(s2, 0x7c00),
        _ if k1 == Kind::Zero && k2 == Kind::Zero && s1 == s2 => with_sign(s1, 0),
        _ => round_signed(signed(s1, v1) + signed(s2, v2), 1, mode, &mut f),
    };
    (result, f)
}

fn ref_mul(a: u16, b: u16, extended: bool, mode: Mode) -> (u16, Flags) {
    let mut f = Flags::NONE;
    let (k1, s1, v1) = unpack(a, mode);
    let (k2, s2, v2) = unpack(b, mode);
    if let Some(nan) = process_nans(k1, k2, a, b, mode, &mut f) {
        return (nan, f);
    }
    let sign = s1 ^ s2;
    let (inf1, inf2) = (k1 == Kind::Infinity, k2 == Kind::Infinity);
    let (zero1, zero2) = (k1 == Kind::Zero, k2 == Kind::Zero);
    let result = if (inf1 && zero2) || (zero1 && inf2) {
        if extended {
            with_sign(sign, 0x4000)
        } else {
            f |= Flags::INVALID;
            reference_nan(mode)
        }
    } else if inf1 || inf2 {
        with_sign(sign, 0x7c00)
    } else if zero1 || zero2 {
        with_sign(sign, 0)
    } else {
        round(sign, Exact { num: v1 * v2, den: 1 << 24 }, mode, &mut f)
    };
    (result, f)
}

fn ref_div(a: u16, b: u16, mode: Mode) -> (u16, Flags) {
    let mut f = Flags::NONE;
    let (k1, s1, v1) = unpack(a, mode);
    let (k2, s2, v2) = unpack(b, mode);
    if let Some(nan) = process_nans(k1, k2, a, b, mode, &mut f) {
        return (nan, f);
    }
    let sign = s1 ^ s2;
    let (inf1, inf2) = (k1 == Kind::Infinity, k2 == Kind::Infinity);
    let (zero1, zero2) = (k1 == Kind::Zero, k2 == Kind::Zero);
    let result = if (inf1 && inf2) || (zero1 && zero2) {
        f |= Flags::INVALID;
        reference_nan(mode)
    } else if inf1 || zero2 {
        if !inf1 {
            f |= Flags::DIVZERO;
        }
        with_sign(sign, 0x7c00)
    } else if zero1 || inf2 {
        with_sign(sign, 0)
    } else {
        round(sign, Exact { num: v1 << 24, den: v2 }, mode, &mut f)
    };
    (result, f)
}

fn ref_sqrt(a: u16, mode: Mode) -> (u16, Flags) {
    let mut f = Flags::NONE;
    let (kind, sign, v) = unpack(a, mode);
    let result = match kind {
        Kind::Quiet | Kind::Signaling => process_nan(kind, a, mode, &mut f),
        Kind::Zero => with_sign(sign, 0),
        _ if sign => {
            f |= Flags::INVALID;
            reference_nan(mode)
        }
        Kind::Infinity => 0x7c00,
        _ => {
            // sqrt(v * 2^-24) = sqrt(v * 2^24) * 2^-24. With 2^48 more under the root the integer
            // root has over 30 bits; if it is inexact, half a unit more rounds the same way.
            let radicand = v << 72;
            let mut root = 0u128;
            for bit in (0..64).rev() {
                let next = root | 1 << bit;
                if next * next <= radicand {
                    root = next;
                }
            }
            let num = 2 * root + (root * root != radicand) as u128;
            round(false, Exact { num, den: 1 << 25 }, mode, &mut f)
        }
    };
    (result, f)
}

fn ref_mul_add(c: u16, a: u16, b: u16, mode: Mode) -> (u16, Flags) {
    let mut f = Flags::NONE;
    let (ka, sa, va) = unpack(c, mode);
    let (k1, s1, v1) = unpack(a, mode);
    let (k2, s2, v2) = unpack(b, mode);
    let (inf1, inf2) = (k1 == Kind::Infinity, k2 == Kind::Infinity);
    let (zero1, zero2) = (k1 == Kind::Zero, k2 == Kind::Zero);
    let no_product = (inf1 && zero2) || (zero1 && inf2);
    let done = process_nans3([ka, k1, k2], [c, a, b], mode, &mut f);
    if !mode.contains(Mode::AH) && ka == Kind::Quiet && no_product {
        return (reference_nan(mode), f | Flags::INVALID);
    }
    if let Some(nan) = done {
        return (nan, f);
    }
    let (sp, inf_a, inf_p) = (s1 ^ s2, ka == Kind::Infinity, inf1 || inf2);
    let result = if no_product || (inf_a && inf_p && sa != sp) {
        f |= Flags::INVALID;
        reference_nan(mode)
    } else if inf_a {
        with_sign(sa, 0x7c00)
    } else if inf_p {
        with_sign(sp, 0x7c00)
    } else if ka == Kind::Zero && (zero1 || zero2) && sa == sp {
        with_sign(sa, 0)
    } else {
        let sum = signed(sa, va << 24) + signed(sp, v1 * v2);
        round_signed(sum, 1 << 24, mode, &mut f)
    };
    (result, f)
}

/// FPMax and FPMin; `alternate` is FPMax__1's last argument.
fn ref_extremum(a: u16, b: u16, max: bool, alternate: bool, mode: Mode) -> (u16, Flags) {
    let mut f = Flags::NONE;
    let (k1, s1, v1) = unpack(a, mode);
    let (k2, s2, v2) = unpack(b, mode);
    if alternate && k1 == Kind::Zero && k2 == Kind::Zero && s1 != s2 {
        return (with_sign(s2, 0), f);
    } else if alternate && (nan_kind(k1) || nan_kind(k2)) {
        return (if k2 == Kind::Zero { with_sign(s2, 0) } else { b }, f | Flags::INVALID);
    }
    if let Some(nan) = process_nans(k1, k2, a, b, mode, &mut f) {
        return (nan, f);
    }
    let real = |k: Kind, s: bool, v: u128| signed(s, if k == Kind::Infinity { 1 << 100 } else { v });
    let (x1, x2) = (real(k1, s1, v1), real(k2, s2, v2));
    let first = if max { x1 > x2 } else { x1 < x2 };
    let (k, s, v) = if first { (k1, s1, v1) } else { (k2, s2, v2) };
    let result = match k {
        Kind::Infinity => with_sign(s, 0x7c00),
        Kind::Zero => with_sign(if max { s1 && s2 } else { s1 || s2 }, 0),
        _ => {
            let mode = if alternate { mode.without(Mode::FZ16) } else { mode };
            round(s, Exact { num: v, den: 1 }, mode, &mut f)
        }
    };
    (result, f)
}

/// FPMaxNum and FPMinNum.
fn ref_number(mut a: u16, mut b: u16, max: bool, mode: Mode) -> (u16, Flags) {
    let (k1, k2) = (unpack(a, mode).0, unpack(b, mode).0);
    if !(mode.contains(Mode::AH) && nan_kind(k1) && nan_kind(k2)) {
        if k1 == Kind::Quiet && k2 != Kind::Quiet {
            a = with_sign(max, 0x7c00);
        } else if k1 != Kind::Quiet && k2 == Kind::Quiet {
            b = with_sign(max, 0x7c00);
        }
    }
    ref_extremum(a, b, max, false, mode)
}

/// Every mode that half-precision arithmetic can tell apart.
fn modes() -> Vec<Mode> {
    let mut modes = Vec::new();
    for rounding in Rounding::ALL {
        for bits in 0..16 {
            let mut mode = Mode::IEEE.with_rounding(rounding);
            for (i, bit) in [Mode::FZ16, Mode::AH, Mode::DN, Mode::TININESS_AFTER].iter().enumerate() {
                if bits >> i & 1 == 1 {
                    mode = mode | *bit;
                }
            }
            // AH implies tininess after rounding, so the pair adds nothing.
            if !mode.contains(Mode::AH | Mode::TININESS_AFTER) {
                modes.push(mode);
            }
        }
    }
    modes
}

/// Corners of the format: every exponent with fractions at its ends and middle, all specials.
fn corners() -> Vec<u16> {
    let mut values = Vec::new();
    for exp in (0..32u16).filter(|exp| *exp < 4 || *exp > 28 || exp % 5 == 0) {
        for frac in [0, 1, 2, 0x155, 0x1ff, 0x200, 0x201, 0x3fe, 0x3ff] {
            values.push(exp << 10 | frac);
            values.push(0x8000 | exp << 10 | frac);
        }
    }
    values
}

fn same(what: &str, ops: &[u16], mode: Mode, ours: (u16, Flags), reference: (u16, Flags)) {
    assert_eq!(ours, reference, "{what} {ops:04x?} {mode:?}: ours, then the reference");
}

#[test]
fn binary_operations_at_all_pairs_of_corners_in_all_modes() {
    let values = corners();
    for mode in modes() {
        let ah = mode.contains(Mode::AH);
        for &a in &values {
            for &b in &values {
                let ops = [a, b];
                same("add", &ops, mode, add::<F16>(a, b, mode), ref_add(a, b, false, mode));
                same("sub", &ops, mode, sub::<F16>(a, b, mode), ref_add(a, b, true, mode));
                same("mul", &ops, mode, mul::<F16>(a, b, mode), ref_mul(a, b, false, mode));
                same("mulx", &ops, mode, mulx::<F16>(a, b, mode), ref_mul(a, b, true, mode));
                same("div", &ops, mode, div::<F16>(a, b, mode), ref_div(a, b, mode));
                let (ours, reference) = (max::<F16>(a, b, mode), ref_extremum(a, b, true, ah, mode));
                same("max", &ops, mode, ours, reference);
                let (ours, reference) = (min::<F16>(a, b, mode), ref_extremum(a, b, false, ah, mode));
                same("min", &ops, mode, ours, reference);
                let (ours, reference) = (maxnum::<F16>(a, b, mode), ref_number(a, b, true, mode));
                same("maxnum", &ops, mode, ours, reference);
                let (ours, reference) = (minnum::<F16>(a, b, mode), ref_number(a, b, false, mode));
                same("minnum", &ops, mode, ours, reference);
            }
        }
    }
}

#[test]
fn random_operands_in_all_modes() {
    let modes = modes();
    let mut random = Random::new("half_reference", 5);
    for i in 0..2_000_000 {
        let mode = modes[i % modes.len()];
        let a = random.operand::<F16>();
        let b = random.near::<F16>(a) as u16;
        let a = a as u16;
        let c = random.near::<F16>(mul::<F16>(a, b, Mode::IEEE).0 as u64) as u16;
        same("add", &[a, b], mode, add::<F16>(a, b, mode), ref_add(a, b, false, mode));
        same("mul", &[a, b], mode, mul::<F16>(a, b, mode), ref_mul(a, b, false, mode));
        same("div", &[a, b], mode, div::<F16>(a, b, mode), ref_div(a, b, mode));
        let ours = mul_add::<F16>(c, a, b, mode);
        same("mul_add", &[c, a, b], mode, ours, ref_mul_add(c, a, b, mode));
    }
}

#[test]
fn mul_add_at_all_triples_of_a_few_corners() {
    let specials = [
        0u16, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x8400, 0x3c00, 0xbc00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7f00, 0x7c01, 0xfd00,
        0x1400, 0x9400,
    ];
    for mode in modes() {
        for c in specials {
            for a in specials {
                for b in specials {
                    let ours = mul_add::<F16>(c, a, b, mode);
                    same("mul_add", &[c, a, b], mode, ours, ref_mul_add(c, a, b, mode));
                }
            }
        }
    }
}

#[test]
fn every_half_precision_square_root_in_all_modes() {
    for mode in modes() {
        for a in 0..=u16::MAX {
            same("sqrt", &[a], mode, sqrt::<F16>(a, mode), ref_sqrt(a, mode));
        }
    }
}

/// FPRoundInt and FPToFixed's rounding, on the magnitude in units of 2^-24.
fn ref_integer(sign: bool, v: u128, fbits: u32, rounding: Rounding) -> (u128, bool) {
    let (whole, error) = floor(v << fbits, 1 << 24);
    (whole + round_up(rounding, sign, whole, error) as u128, error == Error::None)
}

#[test]
fn every_half_to_integer() {
    for rounding in &Rounding::ALL[..5] {
        for mode in [Mode::IEEE, Mode::FZ16, Mode::AH, Mode::DN] {
            for a in 0..=u16::MAX {
                let (kind, sign, v) = unpack(a, mode);
                let (whole, exact) = ref_integer(sign, v, 0, *rounding);
                let mut f = Flags::NONE;
                let expected = match kind {
                    Kind::Quiet | Kind::Signaling => process_nan(kind, a, mode, &mut f),
                    Kind::Infinity => a,
                    _ if whole == 0 => with_sign(sign, 0),
                    _ => round(sign, Exact { num: whole << 24, den: 1 }, Mode::IEEE, &mut f),
                };
                if !exact {
                    f |= Flags::INEXACT;
                }
                let ours = round_to_int::<F16>(a, mode, *rounding, true);
                same("round_to_int", &[a], mode, ours, (expected, f));
                let quiet = round_to_int::<F16>(a, mode, *rounding, false);
                same("round_to_int", &[a], mode, quiet, (expected, f.without(Flags::INEXACT)));

                for (size, is_signed) in [(IntSize::Int16, true), (IntSize::Int16, false), (IntSize::Int32, true), (IntSize::Int64, false)] {
                    for fbits in [0, 1, 7, 16, 32, 64] {
                        let bits = size as u32;
                        let (whole, exact) = ref_integer(sign, v, fbits, *rounding);
                        let value = match kind {
                            Kind::Infinity => signed(sign, 1 << 100),
                            _ => signed(sign, whole),
                        };
                        let (low, high) = if is_signed { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
                        let flags = if nan_kind(kind) || value < low || value > high {
                            Flags::INVALID
                        } else if !exact {
                            Flags::INEXACT
                        } else {
                            Flags::NONE
                        };
                        let expected = value.clamp(low, high) as u64 & u64::MAX >> (64 - bits);
                        let ours = to_int::<F16>(a, is_signed, size, fbits, mode, *rounding);
                        assert_eq!(ours, (expected, flags), "{a:04x} {size:?} {fbits} {rounding:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn fixed_point_to_half() {
    let mut random = Random::new("fixed_point_to_half", 6);
    let modes = modes();
    for i in 0..1_000_000 {
        let mode = modes[i % modes.len()];
        let value = random.next() as i64 >> random.below(64);
        let fbits = random.below(65) as u32;
        let mut f = Flags::NONE;
        let expected = if value == 0 {
            0
        } else {
            // `value / 2^fbits` in units of 2^-24.
            let num = (value.unsigned_abs() as u128) << 24;
            round(value < 0, Exact { num, den: 1 << fbits }, mode, &mut f)
        };
        let ours = from_i64::<F16>(value, fbits, mode, mode.rounding());
        assert_eq!(ours, (expected, f), "{value:x} / 2^{fbits} {mode:?}");
    }
}

#[test]
fn every_half_converts_there_and_back() {
    for a in 0..=u16::MAX {
        let (single, flags) = convert::<F16, F32>(a, Mode::FZ16);
        let (back, back_flags) = convert::<F32, F16>(single, Mode::FZ16);
        let (double, _) = convert::<F16, F64>(a, Mode::IEEE);
        let signaling = is_signaling_nan::<F16>(a);
        assert_eq!(flags, if signaling { Flags::INVALID } else { Flags::NONE });
        assert_eq!(back_flags, Flags::NONE);
        assert_eq!(back, if signaling { a | 0x200 } else { a });
        assert_eq!(convert::<F64, F16>(double, Mode::IEEE).0, back);
        if !is_nan::<F16>(a) {
            let (kind, sign, v) = unpack(a, Mode::IEEE);
            let value = if kind == Kind::Infinity { f64::INFINITY } else { v as f64 / 16777216.0 };
            assert_eq!(f64::from_bits(double), if sign { -value } else { value });
            assert_eq!(f32::from_bits(single) as f64, f64::from_bits(double));
        }
        // The alternative format has no specials: exponent 31 is 2^16 and up.
        let (wide, flags) = convert::<F16, F32>(a, Mode::AHP);
        assert_eq!(flags, Flags::NONE);
        assert_eq!(convert::<F32, F16>(wide, Mode::AHP), (a, Flags::NONE), "{a:04x}");
        if a >> 10 & 31 == 31 {
            let magnitude = (1024 + (a & 0x3ff)) as f32 * 64.0;
            assert_eq!(f32::from_bits(wide).abs(), magnitude);
        }
    }
}
