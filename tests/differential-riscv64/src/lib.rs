//! Random instructions under `emu` and under QEMU: one bare-metal guest, made here, runs the same cases under both and prints hashes of what
//! each case left behind. README.md says how.

pub mod asm;
pub mod encoding;
pub mod generate;
pub mod guest;
pub mod program;
pub mod run;
