//! The `linux-user` machine as a plugin.

use emu_machine_linux_user as _;

emu_plugins_api::export_plugin!();
