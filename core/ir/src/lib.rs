//! The intermediate representation: what a target plugin says an instruction means, and what the interpreter and the code generators run.
//!
//! A target translates one straight run of guest instructions (a *block*) into [`Op`] records appended to a host-owned [`IrBuf`]. Values are
//! SSA: each is written once, by the op whose `dst` is its first slot. Guest registers are state fields, read by `get` and written by `set`.
//! State is precise by construction: an op that can fault sees exactly what the `set` ops before it made, so a target sets registers after the
//! last op of an instruction that can fault. [`verify`] checks a buffer once before anything trusts it.

mod buf;
mod builder;
mod demand;
mod meaning;
mod op;
mod text;
mod types;
mod verify;

pub use buf::{IrBuf, OwnedIrBuf};
pub use builder::{Ir, LabelId, Val};
pub use meaning::has_meaning;
pub use op::*;
pub use text::{parse, print};
pub use types::{Shape, Ty, Width};
pub use verify::{InsnMark, Verifier, VerifyError, field_bits, field_bytes, operand_widths, result_bits, result_width, verify};
