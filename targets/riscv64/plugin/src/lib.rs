//! The RISC-V target as a plugin.

use emu_target_riscv64 as _;

emu_plugins_api::export_plugin!();
