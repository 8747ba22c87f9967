//! The `duo` machine as a plugin.

use emu_machine_duo as _;

emu_plugins_api::export_plugin!();
