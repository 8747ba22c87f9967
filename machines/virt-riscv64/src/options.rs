//! The machine's options (`-M virt,name=value`): one table, checked in one place.

use emu_machine_firmware::options::{nearest, switch};
use emu_plugins_api::{MachineConfig, OptionInfo};

macro_rules! options {
    ($($name:literal $values:literal $default:literal $description:literal;)*) => {
        /// The options, for lists and for checking.
        pub const OPTIONS: &[OptionInfo] =
            &[$(OptionInfo { name: $name, values: $values, default: $default, description: $description }),*];
    };
}

options! {
    "aclint" "on|off" "off" "a separate supervisor software interrupt device; not implemented yet";
    "acpi" "on|off|auto" "auto" "accepted; there are no ACPI tables yet";
    "aia" "none|aplic|aplic-imsic" "none" "advanced interrupt architecture; not implemented yet";
    "dtb-randomness" "on|off" "on" "put kaslr-seed and rng-seed into the device tree";
    "dumpdtb" "FILE" "" "write the device tree to FILE and power off";
    "virtio-mmio-transports" "0..8" "8" "number of virtio-mmio slots";
}

/// Largest number of CPUs.
pub const MAX_CPUS: u32 = 8;
/// Where RAM begins.
pub const RAM_BASE: u64 = 0x8000_0000;
/// Largest RAM.
pub const MAX_RAM: u64 = 255 << 30;
/// Number of virtio-mmio slots, if not said otherwise.
pub const VIRTIO_SLOTS: u32 = 8;

/// What decides how the board looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of CPUs.
    pub cpus: u32,
    /// RAM in bytes.
    pub ram_bytes: u64,
    /// Number of virtio-mmio slots.
    pub virtio_slots: u32,
    /// Seeds in the device tree.
    pub randomness: bool,
    /// Where to write the device tree.
    pub dumpdtb: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options { cpus: 1, ram_bytes: 512 << 20, virtio_slots: VIRTIO_SLOTS, randomness: true, dumpdtb: None }
    }
}

impl Options {
    /// Reads a configuration. The error is one sentence.
    pub fn parse(config: &MachineConfig<'_>) -> Result<Options, String> {
        let mut o = Options { cpus: config.cpus, ram_bytes: config.ram_bytes, ..Options::default() };
        for kv in config.options.get() {
            o.set(kv.key.get(), kv.value.get())?;
        }
        if o.cpus == 0 || o.cpus > MAX_CPUS {
            return Err(format!("machine virt has 1 to {MAX_CPUS} CPUs, not {}; give -smp a number in that range", o.cpus));
        }
        if o.ram_bytes < 4 << 20 || o.ram_bytes > MAX_RAM {
            let mib = o.ram_bytes >> 20;
            return Err(format!("machine virt has 4 MiB to {} MiB of RAM, not {mib} MiB; give -m a size in that range", MAX_RAM >> 20));
        }
        if !o.ram_bytes.is_multiple_of(1 << 20) {
            return Err(format!("the size of RAM must be whole MiB, not {} bytes; give -m {}M", o.ram_bytes, o.ram_bytes.div_ceil(1 << 20)));
        }
        Ok(o)
    }
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some(info) = OPTIONS.iter().find(|o| o.name == name) else {
            return Err(format!("machine virt has no option '{name}'; the nearest is '{}'", nearest(name, OPTIONS)));
        };
        let bad = || format!("'{value}' is no value of option {name} of machine virt; it takes {}", info.values);
        match name {
            "aia" => match value {
                "none" => (),
                "aplic" | "aplic-imsic" => return Err(format!("aia={value} is not implemented yet; use aia=none")),
                _ => return Err(bad()),
            },
            "dumpdtb" if value.is_empty() => return Err("option dumpdtb needs a file name; write dumpdtb=FILE".into()),
            "dumpdtb" => self.dumpdtb = Some(value.into()),
            "virtio-mmio-transports" => self.virtio_slots = value.parse().ok().filter(|n| *n <= VIRTIO_SLOTS).ok_or_else(bad)?,
            "acpi" if value == "auto" => (),
            _ => {
                let on = switch(value).ok_or_else(bad)?;
                match name {
                    "dtb-randomness" => self.randomness = on,
                    "aclint" if on => return Err("aclint=on is not implemented yet on machine virt; leave it out or write aclint=off".into()),
                    _ => (),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emu_machine_devices::mock::config;

    #[test]
    fn values() {
        let parse = |cpus, ram, options: &[(&str, &str)]| Options::parse(&config(cpus, ram, options, &[], &[]));
        let o = parse(2, 1 << 30, &[("aia", "none"), ("dtb-randomness", "off"), ("virtio-mmio-transports", "4"), ("acpi", "auto")]).unwrap();
        assert_eq!(o, Options { cpus: 2, ram_bytes: 1 << 30, virtio_slots: 4, randomness: false, dumpdtb: None });
        let error = |k: &str, v: &str| parse(1, 1 << 30, &[(k, v)]).unwrap_err();
        assert_eq!(error("aclnt", "on"), "machine virt has no option 'aclnt'; the nearest is 'aclint'");
        assert_eq!(error("aia", "aplic"), "aia=aplic is not implemented yet; use aia=none");
        assert_eq!(error("aclint", "on"), "aclint=on is not implemented yet on machine virt; leave it out or write aclint=off");
        assert_eq!(error("virtio-mmio-transports", "9"), "'9' is no value of option virtio-mmio-transports of machine virt; it takes 0..8");
        assert_eq!(parse(9, 1 << 30, &[]).unwrap_err(), "machine virt has 1 to 8 CPUs, not 9; give -smp a number in that range");
        assert!(parse(1, 0, &[]).unwrap_err().contains("not 0 MiB"));
        assert!(OPTIONS.iter().all(|o| !o.description.is_empty()));
    }
}
