//! The RISC-V `virt` board as a plugin.

use emu_machine_virt_riscv64 as _;

emu_plugins_api::export_plugin!();
