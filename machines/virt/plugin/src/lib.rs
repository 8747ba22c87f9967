//! The `virt` machine as a plugin.

use emu_machine_virt as _;

emu_plugins_api::export_plugin!();
