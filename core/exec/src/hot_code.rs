//! Code without a machine around it, for tests that count its instructions: formed, optimised and generated exactly as a CPU's.

use crate::native::{Generator, Native};
use emu_plugins_api::ArchitectureHandle;
pub use emu_x86_64::disassemble;
pub use emu_x86_64::frame::HostFeatures;

/// A generator for a target and a host.
pub struct HotCode {
    arch: ArchitectureHandle,
    native: Native,
    generator: Box<Generator>,
}

impl HotCode {
    /// Prepares one, for a machine with several CPUs and without an exact instruction count; the error is a sentence.
    pub fn new(arch: ArchitectureHandle, features: HostFeatures) -> Result<HotCode, String> {
        let native = Native::prepare(&[arch], 2, crate::vcpu::SLOTS, false, false, "", features, None)?;
        let generator = native.generator(0);
        Ok(HotCode { arch, native, generator })
    }
    /// The host code of the region at `pc`, an address in the page whose bytes are given, but for what lies out of the way; and how many
    /// guest instructions it has.
    pub fn region(&mut self, pc: u64, mode: u64, page: &[u8]) -> Result<(Vec<u8>, u32), String> {
        self.generator.hot_code(&self.native, &self.arch, pc, mode, page)
    }
}
