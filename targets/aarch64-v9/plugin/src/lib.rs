//! The AArch64 target as a plugin.

use emu_target_aarch64_v9 as _;

emu_plugins_api::export_plugin!();
