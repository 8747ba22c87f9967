//! The Armv9-A AArch64 target.
//!
//! Data first: `decode/` says which instructions exist, `sysreg/` which registers, `models/` which CPUs. Code: [`translate`] turns
//! instructions into IR, [`helper`] is what generated code calls, [`mmu`] walks the tables, [`exception`] enters and leaves exceptions.

pub mod decode;
pub mod exception;
pub mod feature;
pub mod helper;
pub mod mmu;
pub mod mode;
pub mod state;
pub mod sysreg;
pub mod translate;

use decode::Row;
use feature::Feature;

/// A machine's CPUs: one model.
pub struct Aarch64 {}

impl Aarch64 {
    /// True if the model implements a feature.
    pub fn has(&self, feature: Feature) -> bool {
        let _ = feature;
        true
    }
    /// Counts and logs (once per row) an instruction that exists but is not implemented.
    pub fn log_unimplemented(&self, pc: u64, insn: u32, row: &'static Row) {
        let _ = (pc, insn, row);
    }
}
