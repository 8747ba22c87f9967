//! The host's floating-point unit as a second oracle (round to nearest even, values only), and how
//! long our operations take beside it.

mod support;

use emu_softfloat::*;
use std::hint::black_box;
use std::time::Instant;
use support::Random;

macro_rules! against_the_host {
    ($name:ident, $format:ty, $float:ty, $bits:ty) => {
        #[test]
        fn $name() {
            let mut random = Random::new(stringify!($name), 14);
            let check = |what: &str, a: $bits, b: $bits, ours: ($bits, Flags), host: $float| {
                let value = <$float>::from_bits(ours.0);
                let same = value.to_bits() == host.to_bits() || (value.is_nan() && host.is_nan());
                assert!(same, "{what} {a:x} {b:x}: {value:e}, the host {host:e}");
            };
            for _ in 0..1_000_000 {
                let a = random.operand::<$format>() as $bits;
                let b = random.near::<$format>(a as u64) as $bits;
                let (x, y) = (<$float>::from_bits(a), <$float>::from_bits(b));
                let c = random.near::<$format>((x * y).to_bits() as u64) as $bits;
                let z = <$float>::from_bits(c);
                let mode = Mode::IEEE;
                check("add", a, b, add::<$format>(a, b, mode), x + y);
                check("sub", a, b, sub::<$format>(a, b, mode), x - y);
                check("mul", a, b, mul::<$format>(a, b, mode), x * y);
                check("div", a, b, div::<$format>(a, b, mode), x / y);
                check("sqrt", a, b, sqrt::<$format>(a, mode), x.sqrt());
                check("mul_add", a, b, mul_add::<$format>(c, a, b, mode), x.mul_add(y, z));
                let nearest = round_to_int::<$format>(a, mode, Rounding::TiesEven, true);
                check("round", a, 0, nearest, x.round_ties_even());
                let signed = to_int::<$format>(a, true, IntSize::Int64, 0, mode, Rounding::TowardZero);
                assert_eq!(signed.0 as i64, x as i64, "{x:e}");
                let unsigned = to_int::<$format>(a, false, IntSize::Int32, 0, mode, Rounding::TowardZero);
                assert_eq!(unsigned.0 as u32, x as u32, "{x:e}");
                let from = from_i64::<$format>(c as i64, 0, mode, Rounding::TiesEven);
                check("from_i64", c, 0, from, c as i64 as $float);
                let ordering = match compare::<$format>(a, b, mode).0 {
                    Relation::Less => Some(std::cmp::Ordering::Less),
                    Relation::Equal => Some(std::cmp::Ordering::Equal),
                    Relation::Greater => Some(std::cmp::Ordering::Greater),
                    Relation::Unordered => None,
                };
                assert_eq!(ordering, x.partial_cmp(&y));
            }
        }
    };
}
against_the_host!(single_precision_matches_the_host, F32, f32, u32);
against_the_host!(double_precision_matches_the_host, F64, f64, u64);

#[test]
fn speed_of_double_precision() {
    // A spread of ordinary numbers; the result feeds back so that latency is what is measured.
    let mut random = Random::new("speed_of_double_precision", 15);
    let values: Vec<u64> = (0..1024).map(|_| random.next() & 0x800f_ffff_ffff_ffff | (1020 + random.below(8)) << 52).collect();
    let time = |name: &str, op: &dyn Fn(u64, u64) -> u64| {
        let rounds = 1000;
        let start = Instant::now();
        let mut used = 0u64;
        for _ in 0..rounds {
            for pair in values.windows(2) {
                let result = op(black_box(pair[0] ^ used & 1), black_box(pair[1]));
                used = used.rotate_left(1) ^ result;
            }
        }
        let ns = start.elapsed().as_nanos() as f64 / (rounds * (values.len() - 1)) as f64;
        println!("{name:8} {ns:6.1} ns");
        assert_ne!(black_box(used), 0, "{name} computed nothing");
    };
    let mode = black_box(Mode::IEEE);
    time("add", &|a, b| add::<F64>(a, b, mode).0);
    time("sub", &|a, b| sub::<F64>(a, b, mode).0);
    time("mul", &|a, b| mul::<F64>(a, b, mode).0);
    time("div", &|a, b| div::<F64>(a, b, mode).0);
    time("sqrt", &|a, _| sqrt::<F64>(a & !(1 << 63), mode).0);
    time("mul_add", &|a, b| mul_add::<F64>(b, a, b, mode).0);
    time("max", &|a, b| max::<F64>(a, b, mode).0);
    time("compare", &|a, b| compare::<F64>(a, b, mode).0 as u64 + 1);
    time("to_f32", &|a, _| convert::<F64, F32>(a, mode).0 as u64);
}
