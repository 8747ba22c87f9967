//! The x86-64 code generator: regions of verified IR become host code that cannot be told from the interpreter but by its speed.
//!
//! One pass of analysis, one of emission. `frame` is what the code knows of its surroundings, `asm` the encoder, `analyse` the first pass,
//! `lower` the second with `integer`, `memory`, `control`, `vector` and `float` for what each op becomes, `thunks` the ways in and out, and
//! `cache` the memory that it all lies in.

#![warn(missing_docs)]
// An encoder takes what an encoding has; `to_memory` and its like say where a value goes.
#![allow(clippy::too_many_arguments, clippy::wrong_self_convention)]

mod aligned;
mod analyse;
pub mod asm;
mod atomic;
mod borrowed;
mod cache;
mod chains;
mod cold;
mod control;
mod crypto;
mod deferred;
pub mod direct;
mod disassemble;
mod flags;
mod float;
pub mod frame;
mod groups;
mod hash;
mod inline;
mod integer;
mod interpret;
mod lower;
mod memory;
mod overwritten;
mod permute;
mod saturate;
mod shared;
mod stretches;
mod thunks;
pub mod unsettled;
mod vector;
mod widen;

pub use cache::{CHUNK, CodeCache, Placed};
pub use control::{jumps_expected, returns_expected};
pub use disassemble::disassemble;
pub use groups::NOTHING;
pub use lower::{Lowering, Options, Position, Region, Unit};
pub use thunks::Thunks;
