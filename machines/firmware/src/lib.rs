//! What boards tell firmware and kernels: device trees, boot protocols, power control.
//!
//! - [`fdt`]: a flattened device tree as a value; emitted, parsed, amended.
//! - [`boot`]: kernels in the forms that people have them in, and where they, the initial RAM disk and the device tree go.
//! - [`psci`]: the Power State Coordination Interface as a board answers it.

pub mod boot;
mod elf;
pub mod fdt;
mod image;
pub mod psci;
