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
    "acpi" "on|off|auto" "auto" "accepted; there are no ACPI tables yet";
    "dtb-kaslr-seed" "on|off" "on" "the older name of dtb-randomness";
    "dtb-randomness" "on|off" "on" "put kaslr-seed and rng-seed into the device tree";
    "dumpdtb" "FILE" "" "write the device tree to FILE and power off";
    "gic-version" "3|max" "3" "version of the interrupt controller";
    "highmem" "on|off" "on" "accepted; nothing lies above RAM yet";
    "its" "on|off" "off" "interrupt translation service; not implemented yet";
    "mte" "on|off" "off" "memory for allocation tags; not implemented yet";
    "secure" "on|off" "off" "EL3 and Secure state; not implemented yet";
    "virtio-mmio-transports" "0..32" "32" "number of virtio-mmio slots";
    "virtualization" "on|off" "off" "EL2; not implemented yet";
}

/// Largest number of CPUs.
pub const MAX_CPUS: u32 = 8;
/// Where RAM begins.
pub const RAM_BASE: u64 = 0x4000_0000;
/// Largest RAM.
pub const MAX_RAM: u64 = 255 << 30;
/// Number of virtio-mmio slots, if not said otherwise.
pub const VIRTIO_SLOTS: u32 = 32;

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
        let pa_bits = config.cpu_property("pa-bits").and_then(|v| v.parse().ok()).unwrap_or(40u32).clamp(32, 52);
        let most = MAX_RAM.min((1 << pa_bits) - RAM_BASE);
        if o.ram_bytes == 0 || o.ram_bytes > most {
            let mib = o.ram_bytes >> 20;
            return Err(format!("machine virt has 1 MiB to {} MiB of RAM with this CPU, not {mib} MiB; give -m a size in that range", most >> 20));
        }
        if !o.ram_bytes.is_multiple_of(1 << 20) {
            return Err(format!("the size of RAM must be whole MiB, not {} bytes; give -m {}M", o.ram_bytes, o.ram_bytes.div_ceil(1 << 20)));
        }
        Ok(o)
    }
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some(info) = OPTIONS.iter().find(|o| o.name == name) else {
            let nearest = nearest(name, OPTIONS);
            return Err(format!("machine virt has no option '{name}'; the nearest is '{nearest}'"));
        };
        let bad = || format!("'{value}' is no value of option {name} of machine virt; it takes {}", info.values);
        match name {
            "gic-version" => match value {
                "3" | "max" => (),
                "2" | "4" | "host" => return Err(format!("gic-version={value} is not implemented yet; use gic-version=3")),
                _ => return Err(bad()),
            },
            "dumpdtb" if value.is_empty() => return Err("option dumpdtb needs a file name; write dumpdtb=FILE".into()),
            "dumpdtb" => self.dumpdtb = Some(value.into()),
            "virtio-mmio-transports" => self.virtio_slots = value.parse().ok().filter(|n| *n <= VIRTIO_SLOTS).ok_or_else(bad)?,
            "acpi" if value == "auto" => (),
            _ => {
                let on = switch(value).ok_or_else(bad)?;
                match name {
                    "dtb-randomness" | "dtb-kaslr-seed" => self.randomness = on,
                    "its" | "mte" | "secure" | "virtualization" if on => {
                        return Err(format!("{name}=on is not implemented yet on machine virt; leave it out or write {name}=off"));
                    }
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

    fn parse(options: &[(&str, &str)]) -> Result<Options, String> {
        Options::parse(&config(2, 1 << 30, options, &[], &[]))
    }

    #[test]
    fn good_values() {
        let o = parse(&[("gic-version", "max"), ("its", "off"), ("secure", "off"), ("dtb-kaslr-seed", "off"), ("acpi", "auto"), ("highmem", "on")])
            .unwrap();
        assert_eq!(o, Options { cpus: 2, ram_bytes: 1 << 30, randomness: false, ..Options::default() });
        assert_eq!(parse(&[("virtio-mmio-transports", "4"), ("dumpdtb", "x.dtb")]).unwrap().virtio_slots, 4);
        assert!(OPTIONS.is_sorted_by_key(|o| o.name));
    }

    #[test]
    fn bad_values_are_sentences() {
        let error = |k: &str, v: &str| parse(&[(k, v)]).unwrap_err();
        assert_eq!(error("gic-versoin", "3"), "machine virt has no option 'gic-versoin'; the nearest is 'gic-version'");
        assert_eq!(error("gic-version", "2"), "gic-version=2 is not implemented yet; use gic-version=3");
        assert_eq!(error("gic-version", "7"), "'7' is no value of option gic-version of machine virt; it takes 3|max");
        assert_eq!(error("secure", "on"), "secure=on is not implemented yet on machine virt; leave it out or write secure=off");
        assert_eq!(error("its", "maybe"), "'maybe' is no value of option its of machine virt; it takes on|off");
        assert_eq!(error("virtio-mmio-transports", "33"), "'33' is no value of option virtio-mmio-transports of machine virt; it takes 0..32");
        assert_eq!(error("dumpdtb", ""), "option dumpdtb needs a file name; write dumpdtb=FILE");
        let sized = |cpus, ram| Options::parse(&config(cpus, ram, &[], &[], &[("pa-bits", "40")])).unwrap_err();
        assert_eq!(sized(0, 1 << 30), "machine virt has 1 to 8 CPUs, not 0; give -smp a number in that range");
        assert_eq!(sized(9999, 1 << 30), "machine virt has 1 to 8 CPUs, not 9999; give -smp a number in that range");
        assert_eq!(sized(1, 0), "machine virt has 1 MiB to 261120 MiB of RAM with this CPU, not 0 MiB; give -m a size in that range");
        assert!(sized(1, 1 << 42).contains("not 4194304 MiB"));
        assert_eq!(sized(1, 4097), "the size of RAM must be whole MiB, not 4097 bytes; give -m 1M");
    }
}
