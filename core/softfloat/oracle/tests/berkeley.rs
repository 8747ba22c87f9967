//! Side by side with Berkeley SoftFloat: every rounding, both tininess rules, three formats.
//!
//! SoftFloat is built with its 8086-SSE rules. Left out of the comparison, because only the choice
//! of NaN differs there: the bits of a NaN result (both must be NaNs), and the value of an
//! integer conversion that raised Invalid. The package's own tests pin these down.

#[path = "../../tests/support/mod.rs"]
mod support;

use emu_softfloat as e;
use emu_softfloat::{BF16, F16, F32, F64, Flags, Format, IntSize, Mode, Relation, Rounding};
use emu_softfloat_oracle::{self as oracle, Operations, State};
use support::{Random, is_nan};

const CASES: u32 = 1_000_000;

fn states() -> impl Iterator<Item = (State, Mode)> {
    Rounding::ALL.into_iter().flat_map(|rounding| {
        [false, true].map(|tininess_after| {
            let mode = Mode::IEEE.with_rounding(rounding);
            let mode = if tininess_after {
                mode | Mode::TININESS_AFTER
            } else {
                mode
            };
            (
                State {
                    rounding,
                    tininess_after,
                },
                mode,
            )
        })
    })
}

fn check<F: Format>(
    what: &str,
    ops: &[u64],
    mode: Mode,
    ours: (F::Bits, Flags),
    theirs: (u64, Flags),
) {
    let value = F::widen(ours.0);
    let same = value == theirs.0 || (is_nan::<F>(value) && is_nan::<F>(theirs.0));
    assert!(
        same && ours.1 == theirs.1,
        "{what} {ops:x?} {mode:?}: ours {value:x} {:?}, theirs {:x} {:?}",
        ours.1,
        theirs.0,
        theirs.1
    );
}

fn arithmetic<F: Format>(name: &str, theirs: &Operations) {
    let states: Vec<_> = states().collect();
    let mut random = Random::new(name, 1);
    for i in 0..CASES {
        let (state, mode) = states[i as usize % states.len()];
        let a = random.operand::<F>();
        let b = random.near::<F>(a);
        let (x, y) = (F::narrow(a), F::narrow(b));
        check::<F>(
            "add",
            &[a, b],
            mode,
            e::add::<F>(x, y, mode),
            (theirs.add)(a, b, state),
        );
        check::<F>(
            "sub",
            &[a, b],
            mode,
            e::sub::<F>(x, y, mode),
            (theirs.sub)(a, b, state),
        );
        check::<F>(
            "mul",
            &[a, b],
            mode,
            e::mul::<F>(x, y, mode),
            (theirs.mul)(a, b, state),
        );
        check::<F>(
            "div",
            &[a, b],
            mode,
            e::div::<F>(x, y, mode),
            (theirs.div)(a, b, state),
        );
        check::<F>(
            "sqrt",
            &[a],
            mode,
            e::sqrt::<F>(x, mode),
            (theirs.sqrt)(a, state),
        );
        let (product, _) = e::mul::<F>(x, y, Mode::IEEE);
        let c = random.near::<F>(F::widen(product));
        check::<F>(
            "mul_add",
            &[c, a, b],
            mode,
            e::mul_add::<F>(F::narrow(c), x, y, mode),
            (theirs.mul_add)(c, a, b, state),
        );
    }
}

#[test]
fn half_arithmetic() {
    arithmetic::<F16>("half_arithmetic", &oracle::HALF);
}

#[test]
fn single_arithmetic() {
    arithmetic::<F32>("single_arithmetic", &oracle::SINGLE);
}

#[test]
fn double_arithmetic() {
    arithmetic::<F64>("double_arithmetic", &oracle::DOUBLE);
}

fn comparisons<F: Format>(name: &str, theirs: &Operations) {
    let mut random = Random::new(name, 2);
    for _ in 0..CASES {
        let a = random.operand::<F>();
        let b = if random.below(4) == 0 {
            a
        } else {
            random.near::<F>(a)
        };
        let (x, y, mode) = (F::narrow(a), F::narrow(b), Mode::IEEE);
        let (quiet, quiet_flags) = e::compare::<F>(x, y, mode);
        let (loud, loud_flags) = e::compare_signaling::<F>(x, y, mode);
        assert_eq!(quiet, loud);
        assert_eq!(
            ((quiet == Relation::Equal), quiet_flags),
            (theirs.eq)(a, b),
            "{a:x} {b:x}"
        );
        assert_eq!(
            ((loud == Relation::Equal), loud_flags),
            (theirs.eq_signaling)(a, b)
        );
        assert_eq!(
            ((loud == Relation::Less), loud_flags),
            (theirs.lt)(a, b),
            "{a:x} {b:x}"
        );
        assert_eq!(
            ((quiet == Relation::Less), quiet_flags),
            (theirs.lt_quiet)(a, b)
        );
        assert_eq!(e::ge::<F>(y, x, mode), (theirs.le)(a, b), "{a:x} {b:x}");
        assert_eq!(e::gt::<F>(y, x, mode), (theirs.lt)(a, b), "{a:x} {b:x}");
        assert_eq!(e::eq::<F>(x, y, mode), (theirs.eq)(a, b));
    }
}

#[test]
fn all_comparisons() {
    comparisons::<F16>("half_comparisons", &oracle::HALF);
    comparisons::<F32>("single_comparisons", &oracle::SINGLE);
    comparisons::<F64>("double_comparisons", &oracle::DOUBLE);
}

fn integers<F: Format>(name: &str, theirs: &Operations) {
    let states: Vec<_> = states().collect();
    let mut random = Random::new(name, 3);
    let mode = Mode::IEEE;
    for i in 0..CASES {
        // ToOdd is no rounding to an integer here.
        let rounding = Rounding::ALL[i as usize % 5];
        let a = match random.below(2) {
            0 => random.operand::<F>(),
            // Exponents from -2 to 66: all that decide an integer conversion.
            _ => {
                let exp = (F::BIAS as u64 + random.below(69) - 2).min(F::EXP_MAX);
                let low = random.operand::<F>() & (F::SIGN_BIT | F::FRAC_MASK);
                low | exp << F::FRAC_BITS
            }
        };
        let x = F::narrow(a);
        for exact in [false, true] {
            let ours = e::round_to_int::<F>(x, mode, rounding, exact);
            let their = (theirs.round_to_int)(a, rounding, exact);
            check::<F>(
                "round_to_int",
                &[a],
                mode.with_rounding(rounding),
                ours,
                their,
            );
        }
        let conversions = [
            (false, IntSize::Int32, theirs.to_u32),
            (false, IntSize::Int64, theirs.to_u64),
            (true, IntSize::Int32, theirs.to_i32),
            (true, IntSize::Int64, theirs.to_i64),
        ];
        for (is_signed, size, convert) in conversions {
            let ours = e::to_int::<F>(x, is_signed, size, 0, mode, rounding);
            let their = convert(a, rounding);
            let what = format!("{a:x} to {size:?} signed {is_signed} {rounding:?}");
            assert_eq!(ours.1, their.1, "{what}");
            assert!(
                ours.1.contains(Flags::INVALID) || ours.0 == their.0,
                "{what}"
            );
        }
        let (state, mode) = states[i as usize % states.len()];
        let value = random.next() as i64 >> random.below(64);
        let value = if random.below(2) == 0 {
            value
        } else {
            value & (-1 << random.below(64))
        };
        let ours = e::from_i64::<F>(value, 0, mode, state.rounding);
        check::<F>(
            "from_i64",
            &[value as u64],
            mode,
            ours,
            (theirs.from_i64)(value, state),
        );
        let ours = e::from_u64::<F>(value as u64, 0, mode, state.rounding);
        let their = (theirs.from_u64)(value as u64, state);
        check::<F>("from_u64", &[value as u64], mode, ours, their);
    }
}

#[test]
fn half_integers() {
    integers::<F16>("half_integers", &oracle::HALF);
}

#[test]
fn single_integers() {
    integers::<F32>("single_integers", &oracle::SINGLE);
}

#[test]
fn double_integers() {
    integers::<F64>("double_integers", &oracle::DOUBLE);
}

fn conversion<Src: Format, Dst: Format>(
    name: &str,
    theirs: fn(u64, State) -> (u64, Flags),
    cases: u32,
) {
    let mut random = Random::new(name, 4);
    let states: Vec<_> = states().collect();
    for i in 0..cases {
        let (state, mode) = states[i as usize % states.len()];
        let a = if random.below(2) == 0 {
            random.operand::<Src>()
        } else {
            // Near the narrower format's limits.
            let exp = match random.below(2) {
                0 => Dst::MIN_EXP - random.below(Dst::FRAC_BITS as u64 + 4) as i32 + 2,
                _ => Dst::BIAS - random.below(4) as i32 + 2,
            };
            let exp = (exp + Src::BIAS).clamp(0, Src::EXP_MAX as i32) as u64;
            random.operand::<Src>() & !Src::INFINITY | exp << Src::FRAC_BITS
        };
        let ours = e::convert::<Src, Dst>(Src::narrow(a), mode);
        check::<Dst>(name, &[a], mode, ours, theirs(a, state));
    }
}

#[test]
fn conversions_between_formats() {
    conversion::<F16, F32>("half_to_single", oracle::half_to_single, CASES);
    conversion::<F16, F64>("half_to_double", oracle::half_to_double, CASES);
    conversion::<F32, F16>("single_to_half", oracle::single_to_half, CASES);
    conversion::<F32, F64>("single_to_double", oracle::single_to_double, CASES);
    conversion::<F64, F16>("double_to_half", oracle::double_to_half, CASES);
    conversion::<F64, F32>("double_to_single", oracle::double_to_single, CASES);
    conversion::<F32, BF16>("single_to_bfloat", oracle::single_to_bfloat, CASES);
}
