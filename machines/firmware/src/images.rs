//! What the user wants started, as every board takes it.

use emu_plugins_api::MachineConfig;
use std::collections::BTreeMap;

/// Names that boards take.
const NAMES: [&str; 7] = ["kernel", "initrd", "dtb", "append", "bios", "pflash0", "pflash1"];

/// Paths (for `append` text) by the names of `MachineConfig::images`.
#[derive(Clone, Debug, Default)]
pub struct Images(BTreeMap<String, String>);

impl Images {
    /// Reads a configuration; `machine` is for messages. The error is one sentence.
    pub fn read(config: &MachineConfig<'_>, machine: &str) -> Result<Images, String> {
        let mut images = Images::default();
        for kv in config.images.get() {
            let name = kv.key.get();
            if !NAMES.contains(&name) {
                return Err(format!("machine {machine} cannot start from '{name}'; it takes kernel, initrd, dtb, append, bios, pflash0 and pflash1"));
            }
            images.0.insert(name.into(), kv.value.get().into());
        }
        for name in ["initrd", "append"] {
            if images.get(name).is_some() && images.get("kernel").is_none() {
                return Err(format!("-{name} has no use without -kernel; add -kernel FILE or leave -{name} out"));
            }
        }
        Ok(images)
    }
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    /// CPUs start in firmware.
    pub fn firmware(&self) -> bool {
        self.get("bios").is_some() || self.get("pflash0").is_some()
    }
}
