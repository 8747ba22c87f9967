//! Device models, a folder each: `spec` says what the manual says (offsets, bits, identification), `mod` what the device does, tests beside.
//!
//! A device knows offsets in its window and named outputs ([`Line`]); the board wires them. Each has one lock. A device never calls
//! [`Host::read`](emu_plugins_api::Host::read) or [`Host::write`](emu_plugins_api::Host::write) with its lock held, for physical memory
//! includes the device itself; what only sets lines and timers is called under the lock, so that levels and state agree.
//!
//! A register that does not exist, or is accessed with a size it does not have, reads as zero and ignores writes, as PrimeCells do.

pub mod aclint;
pub mod cfi_flash;
pub mod fw_cfg;
pub mod gicv3;
pub mod goldfish_rtc;
mod line;
pub mod mailbox;
#[cfg(any(test, feature = "mock"))]
pub mod mock;
pub mod ns16550a;
pub mod pl011;
pub mod pl031;
pub mod pl061;
pub mod plic;
pub mod primecell;
pub mod sifive_test;
#[cfg(test)]
mod tests;
pub mod virtio_mmio;

pub use line::Line;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a device. A panic inside a device is reported by the host; the state behind it is still the device's.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
