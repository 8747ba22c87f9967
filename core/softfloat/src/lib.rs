//! Exact IEEE 754 arithmetic on raw bit patterns, with everything the standard leaves open as a parameter.
//!
//! The idea: one generic implementation over a [`Format`] (exponent bits, fraction bits). An operand
//! is unpacked to a sign, an unbiased exponent and a 64-bit significand whose top bit is set; an
//! operation computes the exact result, or the exact result with a *sticky* low bit; one function
//! (`round_pack`, the manual's FPRoundBase) rounds, detects underflow and overflow, flushes, packs.
//! Integer arithmetic only: the host's floating-point unit and its state are never touched.
//!
//! [`Mode`] says how to round, when to flush denormals, which NaN comes out and when a result counts
//! as tiny. It is a `u32` in disguise, so that it can ride in an IR operation, and its bit positions
//! are those of the FPCR of DDI 0487, so that a guest's register masks straight in. The pseudocode
//! functions named in comments (FPAdd, FPProcessNaNs, ...) are that manual's.
//!
//! Each operation is a pure function from bits and a mode to `(bits, Flags)`; the caller accumulates
//! the [`Flags`] where its guest keeps them, or drops them where the guest's instruction raises none.
//!
//! ```
//! use emu_softfloat::{add, Flags, Mode, F32};
//! let (sum, flags) = add::<F32>(0x3f80_0000, 0x3380_0000, Mode::IEEE); // 1 + 2^-24
//! assert_eq!((sum, flags), (0x3f80_0000, Flags::INEXACT));
//! ```
//!
//! Invariants: no panics and no unbounded loops for any input; no allocation; no `unsafe`; results
//! do not depend on the host.
#![forbid(unsafe_code)]

mod add;
mod bf16;
mod compare;
mod convert;
mod div;
mod estimate;
mod format;
mod integer;
mod minmax;
mod mode;
mod mul;
mod muladd;
mod nan;
mod round;
mod unpack;

pub use add::{add, sub};
pub use bf16::{bf_convert, bf_dot_add, bf_mul_add, half_dot_add};
pub use compare::{Relation, compare, compare_signaling, eq, ge, gt};
pub use convert::{convert, convert_with};
pub use div::{div, sqrt};
pub use estimate::{recip_estimate, recip_step, recpx, rsqrt_estimate, rsqrt_step, unsigned_recip_estimate, unsigned_rsqrt_estimate};
pub use format::{BF16, F16, F32, F64, Format};
pub use integer::{IntSize, from_i64, from_u64, logb, round_int_n, round_to_int, scale, to_fixed_js, to_int};
pub use minmax::{max, maxnum, min, minnum};
pub use mode::{Flags, Mode, Rounding};
pub use mul::{mul, mulx};
pub use muladd::{mul_add, mul_add_h};
pub use nan::{abs, default_nan, is_nan, is_signaling_nan, neg};
