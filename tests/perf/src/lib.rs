//! CPU time of guests of our own and of a kernel's boot, beside QEMU's with the same CPU in the same run. README.md says how and why.

pub mod bench;
pub mod classes;
pub mod guest;
pub mod kernels;
pub mod linux;
pub mod natives;
pub mod programs;
pub mod report;
pub mod statistics;
pub mod user;
