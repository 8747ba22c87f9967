//! The smallest device of one's own, and a board to try it on: RAM at 0x8000_0000, where a flat binary is loaded; the bell at 0x1000_0000, on
//! the CPU's first input line; a switch at 0x2000_0000, where a written word turns the machine off with that exit code.

mod bell;

use bell::Bell;
use emu_plugins_api::{Board, Device, Host, MachineConfig, MachineRegistration, Power, SystemEvent, register_machine};
use std::sync::Arc;

const RAM_BASE: u64 = 0x8000_0000;
const BELL_BASE: u64 = 0x1000_0000;
const SWITCH_BASE: u64 = 0x2000_0000;

/// Turns the machine off.
struct Switch(Host);

impl Device for Switch {
    fn name(&self) -> &str {
        "switch"
    }
    fn read(&self, _: u64, _: u32) -> Option<u64> {
        None
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if (offset, size) != (0, 4) {
            return false;
        }
        self.0.system_event(SystemEvent::POWER_OFF, value as u32);
        true
    }
    fn reset(&self) {}
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    fn load(&self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

struct Bench {
    host: Host,
    image: Vec<u8>,
}

impl Board for Bench {
    fn create(config: &MachineConfig<'_>, host: Host) -> Result<Self, String> {
        let path =
            config.image("kernel").ok_or("the machine 'bell-board' has nothing to run; add -kernel FILE, a flat binary for address 0x80000000")?;
        let image = std::fs::read(path).map_err(|e| format!("-kernel {path}: {e}"))?;
        if image.is_empty() || image.len() as u64 > config.ram_bytes {
            return Err(format!("-kernel {path}: its {} bytes do not fit into {} bytes of RAM; see -m", image.len(), config.ram_bytes));
        }
        host.map_ram("ram", RAM_BASE, config.ram_bytes, false)?;
        Bell::map(host, BELL_BASE, move |level| host.cpu_line(0, 0, level))?;
        host.map_device(SWITCH_BASE, 0x1000, Arc::new(Switch(host)), false)?;
        let bench = Bench { host, image };
        bench.restart()?;
        Ok(bench)
    }

    fn restart(&self) -> Result<(), String> {
        if !self.host.write(RAM_BASE, &self.image) {
            return Err("the kernel cannot be written to RAM".to_owned());
        }
        self.host.cpu_power(0, Power::ON, RAM_BASE, 0);
        Ok(())
    }
}

register_machine!(MachineRegistration {
    name: "bell-board",
    description: "RAM and a bell to try (example)",
    targets: &["rv64i"],
    default_cpu: "",
    max_cpus: 1,
    default_ram: 1 << 20,
    options: &[],
    devices: &[("bell", "Rings after a time"), ("switch", "Turns the machine off")],
    vtable: MachineRegistration::vtable_of::<Bench>(),
});
emu_plugins_api::export_plugin!();
