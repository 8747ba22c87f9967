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
use state::State;

/// How pointer authentication codes are computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauthAlgorithm {
    /// FEAT_PACIMP: an IMPLEMENTATION DEFINED algorithm, fast and not cryptographic.
    ImpDef,
    /// FEAT_PACQARMA3.
    Qarma3,
    /// FEAT_PACQARMA5.
    Qarma5,
}

/// A machine's CPUs: one model.
pub struct Aarch64 {}

impl Aarch64 {
    /// The machine that a CPU belongs to.
    #[allow(unsafe_code)]
    pub fn of(cpu: &State) -> &Aarch64 {
        // SAFETY: the host sets `instance` to what `create` returned before it hands the CPU to the target; it is never freed.
        unsafe { &*cpu.header.instance.cast::<Aarch64>() }
    }
    /// True if the model implements a feature.
    pub fn has(&self, feature: Feature) -> bool {
        let _ = feature;
        true
    }
    /// The algorithm of pointer authentication codes.
    pub fn pauth_algorithm(&self) -> PauthAlgorithm {
        PauthAlgorithm::ImpDef
    }
    /// Counts and logs (once per row) an instruction that exists but is not implemented.
    pub fn log_unimplemented(&self, pc: u64, insn: u32, row: &'static Row) {
        let _ = (pc, insn, row);
    }
}
