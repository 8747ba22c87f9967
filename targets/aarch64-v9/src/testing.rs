//! For unit tests: a CPU of this target and a host that remembers what it was asked.

use crate::Aarch64;
use emu_plugins_api::testing;
pub use emu_plugins_api::testing::RAM_SIZE;

/// Address of the RAM.
pub const RAM: u64 = 0x4000_0000;

/// A CPU and its host.
pub type Machine = testing::Machine<Aarch64, RAM>;

/// Creates an instance.
pub fn create(model: &str, options: &[(&str, &str)]) -> Result<Aarch64, String> {
    testing::create(model, options)
}
