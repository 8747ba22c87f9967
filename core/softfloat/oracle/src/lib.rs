//! Berkeley SoftFloat behind safe functions that take a rounding and return flags, shaped like
//! `emu_softfloat`'s so that a test can put them side by side.

use emu_softfloat::{Flags, Rounding};
use softfloat_sys as c;

/// Runs `f` under a rounding and a tininess rule, and returns its value and flags.
fn with_state<T>(rounding: Rounding, tininess_after: bool, f: impl FnOnce() -> T) -> (T, Flags) {
    // SAFETY: these only read and write SoftFloat's thread-local state bytes.
    unsafe {
        c::softfloat_roundingMode_write_helper(number(rounding));
        c::softfloat_detectTininess_write_helper(tininess_after as u8);
        c::softfloat_exceptionFlags_write_helper(0);
    }
    let value = f();
    // SAFETY: as above.
    let raised = unsafe { c::softfloat_exceptionFlags_read_helper() };
    // SoftFloat's order is the reverse of ours: inexact, underflow, overflow, infinite, invalid.
    (value, Flags::from_bits(raised.reverse_bits() >> 3))
}

/// SoftFloat's number for a rounding.
fn number(rounding: Rounding) -> u8 {
    match rounding {
        Rounding::TiesEven => c::softfloat_round_near_even,
        Rounding::TowardPlus => c::softfloat_round_max,
        Rounding::TowardMinus => c::softfloat_round_min,
        Rounding::TowardZero => c::softfloat_round_minMag,
        Rounding::TiesAway => c::softfloat_round_near_maxMag,
        Rounding::ToOdd => c::softfloat_round_odd,
    }
}

/// A rounding and a tininess rule.
#[derive(Copy, Clone, Debug)]
pub struct State {
    /// How to round.
    pub rounding: Rounding,
    /// Whether underflow is detected after rounding.
    pub tininess_after: bool,
}

/// One format's operations; numbers are zero-extended bits.
pub struct Operations {
    pub add: fn(u64, u64, State) -> (u64, Flags),
    pub sub: fn(u64, u64, State) -> (u64, Flags),
    pub mul: fn(u64, u64, State) -> (u64, Flags),
    pub div: fn(u64, u64, State) -> (u64, Flags),
    pub sqrt: fn(u64, State) -> (u64, Flags),
    /// `addend, a, b`
    pub mul_add: fn(u64, u64, u64, State) -> (u64, Flags),
    pub eq: fn(u64, u64) -> (bool, Flags),
    pub eq_signaling: fn(u64, u64) -> (bool, Flags),
    pub lt: fn(u64, u64) -> (bool, Flags),
    pub lt_quiet: fn(u64, u64) -> (bool, Flags),
    pub le: fn(u64, u64) -> (bool, Flags),
    pub round_to_int: fn(u64, Rounding, bool) -> (u64, Flags),
    pub to_u32: fn(u64, Rounding) -> (u64, Flags),
    pub to_u64: fn(u64, Rounding) -> (u64, Flags),
    pub to_i32: fn(u64, Rounding) -> (u64, Flags),
    pub to_i64: fn(u64, Rounding) -> (u64, Flags),
    pub from_u64: fn(u64, State) -> (u64, Flags),
    pub from_i64: fn(i64, State) -> (u64, Flags),
}

const ANY: State = State {
    rounding: Rounding::TiesEven,
    tininess_after: false,
};

macro_rules! operations {
    ($name:ident, $ty:ident, $bits:ty, $add:ident $sub:ident $mul:ident $div:ident $sqrt:ident
     $mul_add:ident $eq:ident $eqs:ident $lt:ident $ltq:ident $le:ident $rti:ident $u32:ident
     $u64:ident $i32:ident $i64:ident $fu64:ident $fi64:ident) => {
        /// The operations on this format.
        // SAFETY (each block below): SoftFloat's functions are pure but for the thread-local
        // state that `with_state` has set; any bits are valid arguments.
        pub static $name: Operations = {
            fn f(bits: u64) -> c::$ty {
                c::$ty { v: bits as $bits }
            }
            fn run<T>(s: State, op: impl FnOnce() -> T) -> (T, Flags) {
                with_state(s.rounding, s.tininess_after, op)
            }
            Operations {
                add: |a, b, s| run(s, || unsafe { c::$add(f(a), f(b)) }.v as u64),
                sub: |a, b, s| run(s, || unsafe { c::$sub(f(a), f(b)) }.v as u64),
                mul: |a, b, s| run(s, || unsafe { c::$mul(f(a), f(b)) }.v as u64),
                div: |a, b, s| run(s, || unsafe { c::$div(f(a), f(b)) }.v as u64),
                sqrt: |a, s| run(s, || unsafe { c::$sqrt(f(a)) }.v as u64),
                mul_add: |z, a, b, s| run(s, || unsafe { c::$mul_add(f(a), f(b), f(z)) }.v as u64),
                eq: |a, b| run(ANY, || unsafe { c::$eq(f(a), f(b)) }),
                eq_signaling: |a, b| run(ANY, || unsafe { c::$eqs(f(a), f(b)) }),
                lt: |a, b| run(ANY, || unsafe { c::$lt(f(a), f(b)) }),
                lt_quiet: |a, b| run(ANY, || unsafe { c::$ltq(f(a), f(b)) }),
                le: |a, b| run(ANY, || unsafe { c::$le(f(a), f(b)) }),
                round_to_int: |a, r, exact| {
                    run(ANY, || unsafe { c::$rti(f(a), number(r), exact) }.v as u64)
                },
                to_u32: |a, r| {
                    run(ANY, || unsafe { c::$u32(f(a), number(r), true) } as u32
                        as u64)
                },
                to_u64: |a, r| run(ANY, || unsafe { c::$u64(f(a), number(r), true) } as u64),
                to_i32: |a, r| {
                    run(ANY, || unsafe { c::$i32(f(a), number(r), true) } as u32
                        as u64)
                },
                to_i64: |a, r| run(ANY, || unsafe { c::$i64(f(a), number(r), true) } as u64),
                from_u64: |a, s| run(s, || unsafe { c::$fu64(a) }.v as u64),
                from_i64: |a, s| run(s, || unsafe { c::$fi64(a) }.v as u64),
            }
        };
    };
}

operations!(HALF, float16_t, u16, f16_add f16_sub f16_mul f16_div f16_sqrt f16_mulAdd f16_eq
    f16_eq_signaling f16_lt f16_lt_quiet f16_le f16_roundToInt f16_to_ui32 f16_to_ui64 f16_to_i32
    f16_to_i64 ui64_to_f16 i64_to_f16);
operations!(SINGLE, float32_t, u32, f32_add f32_sub f32_mul f32_div f32_sqrt f32_mulAdd f32_eq
    f32_eq_signaling f32_lt f32_lt_quiet f32_le f32_roundToInt f32_to_ui32 f32_to_ui64 f32_to_i32
    f32_to_i64 ui64_to_f32 i64_to_f32);
operations!(DOUBLE, float64_t, u64, f64_add f64_sub f64_mul f64_div f64_sqrt f64_mulAdd f64_eq
    f64_eq_signaling f64_lt f64_lt_quiet f64_le f64_roundToInt f64_to_ui32 f64_to_ui64 f64_to_i32
    f64_to_i64 ui64_to_f64 i64_to_f64);

macro_rules! conversions {
    ($($name:ident: $c:ident $from:ident $fb:ty;)*) => {$(
        /// The conversion of this name.
        pub fn $name(op: u64, state: State) -> (u64, Flags) {
            // SAFETY: pure but for the thread-local state; any bits are a valid argument.
            let convert = || unsafe { c::$c(c::$from { v: op as $fb }) }.v as u64;
            with_state(state.rounding, state.tininess_after, convert)
        }
    )*};
}
conversions! {
    half_to_single: f16_to_f32 float16_t u16;
    half_to_double: f16_to_f64 float16_t u16;
    single_to_half: f32_to_f16 float32_t u32;
    single_to_double: f32_to_f64 float32_t u32;
    double_to_half: f64_to_f16 float64_t u64;
    double_to_single: f64_to_f32 float64_t u64;
    single_to_bfloat: f32_to_bf16 float32_t u32;
}
