//! For unit tests: a CPU of this target and a host that remembers what it was asked.

use crate::Riscv64;
use emu_plugins_api::{Architecture, testing};

/// Address of the RAM.
pub const RAM: u64 = 0x8000_0000;

/// A CPU and its host.
pub type Machine = testing::Machine<Riscv64, RAM>;

/// A zeroed state, for helpers that only compute.
pub fn state() -> Box<<Riscv64 as Architecture>::State> {
    testing::state::<Riscv64>()
}
