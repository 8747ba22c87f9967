//! What boards tell firmware and kernels: device trees, boot protocols, power control.
//!
//! - [`fdt`]: a flattened device tree as a value; emitted, parsed, amended.
//! - [`boot`]: kernels in the forms that people have them in, and where they, the initial RAM disk and the device tree go.
//! - [`sbi`]: firmware, kernels and the rest on boards whose harts start in machine mode.
//! - [`bare`]: programs for boards that only load and start them.
//! - [`content`]: what is to be loaded, large files among it.
//! - [`images`], [`options`]: what the user gives, as every board reads it.
//! - [`rv64`]: instructions of demo guests.
//! - [`psci`]: the Power State Coordination Interface as a board answers it.

pub mod bare;
pub mod boot;
pub mod content;
mod elf;
pub mod fdt;
mod image;
pub mod images;
pub mod options;
pub mod psci;
pub mod rv64;
pub mod sbi;
