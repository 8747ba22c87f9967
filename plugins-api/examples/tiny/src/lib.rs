//! The smallest machine plugin that does what machines do: RAM at 0x8000_0000, where a flat binary is loaded, and one device.
//!
//! Registers of the device, at 0x1000_0000: byte 0 writes to and reads from the console (all ones when there is no input); byte 4 has bit 0
//! set when there is input; a word written at 8 turns the machine off with that exit code; any word written at 12 resets it.

use emu_plugins_api::{
    Board, Device, Host, MachineConfig, MachineRegistration, OptionInfo, Power, Reader, StreamId, SystemEvent, Writer, register_machine,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

const RAM_BASE: u64 = 0x8000_0000;
const CONSOLE_BASE: u64 = 0x1000_0000;
const CONSOLE_SIZE: u64 = 0x1000;

/// How many bytes of input the device holds.
const INPUT_MAX: usize = 16;
/// Version of the saved state.
const STATE_VERSION: u32 = 1;

struct Console {
    host: Host,
    stream: OnceLock<StreamId>,
    input: Mutex<VecDeque<u8>>,
}

impl Console {
    fn input(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn print(&self, text: &[u8]) {
        if let Some(stream) = self.stream.get() {
            self.host.stream_write(*stream, text);
        }
    }
}

impl Device for Console {
    fn name(&self) -> &str {
        "console"
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        match (offset, size) {
            (0, 1) => Some(self.input().pop_front().map_or(0xff, u64::from)),
            (4, 1) => Some(u64::from(!self.input().is_empty())),
            _ => None,
        }
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        match (offset, size) {
            (0, 1) => self.print(&[value as u8]),
            (8, 4) => self.host.system_event(SystemEvent::POWER_OFF, value as u32),
            (12, 4) => self.host.system_event(SystemEvent::RESET, 0),
            _ => return false,
        }
        true
    }
    fn reset(&self) {
        self.input().clear();
    }
    fn receive(&self, data: &[u8]) -> usize {
        let mut input = self.input();
        let taken = data.len().min(INPUT_MAX - input.len());
        input.extend(&data[..taken]);
        taken
    }
    fn save(&self) -> Vec<u8> {
        let mut w = Writer::new(STATE_VERSION);
        w.bytes(self.input().make_contiguous());
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        self.reset();
        let mut r = Reader::new(saved, STATE_VERSION)?;
        let input = r.bytes()?.to_vec();
        r.finish()?;
        if input.len() > INPUT_MAX {
            return Err(format!("console: {} bytes of input are more than it holds", input.len()));
        }
        self.input().extend(input);
        Ok(())
    }
}

struct Tiny {
    host: Host,
    console: Arc<Console>,
    image: Vec<u8>,
    greeting: bool,
}

impl Board for Tiny {
    fn create(config: &MachineConfig<'_>, host: Host) -> Result<Self, String> {
        let greeting = match config.option("greeting") {
            None | Some("off") => false,
            Some("on") => true,
            Some(other) => return Err(format!("-M tiny,greeting={other}: it is on or off")),
        };
        let Some(path) = config.image("kernel") else {
            return Err("the machine 'tiny' has nothing to run; add -kernel FILE, a flat binary for address 0x80000000".to_owned());
        };
        let image = std::fs::read(path).map_err(|e| format!("-kernel {path}: {e}"))?;
        if image.is_empty() || image.len() as u64 > config.ram_bytes {
            return Err(format!("-kernel {path}: its {} bytes do not fit into {} bytes of RAM; see -m", image.len(), config.ram_bytes));
        }
        host.map_ram("ram", RAM_BASE, config.ram_bytes, false)?;
        let console = Arc::new(Console { host, stream: OnceLock::new(), input: Mutex::default() });
        let device = host.map_device(CONSOLE_BASE, CONSOLE_SIZE, console.clone(), false)?;
        if let Some(stream) = host.stream_open(device, "serial0") {
            let _ = console.stream.set(stream);
        }
        let tiny = Tiny { host, console, image, greeting };
        tiny.restart()?;
        Ok(tiny)
    }

    fn restart(&self) -> Result<(), String> {
        if !self.host.write(RAM_BASE, &self.image) {
            return Err("the kernel cannot be written to RAM".to_owned());
        }
        if self.greeting {
            self.console.print(b"tiny\n");
        }
        self.host.cpu_power(0, Power::ON, RAM_BASE, 0);
        Ok(())
    }
}

register_machine!(MachineRegistration {
    name: "tiny",
    description: "RAM and a console (example)",
    targets: &["rv64i"],
    default_cpu: "",
    max_cpus: 1,
    default_ram: 1 << 20,
    options: &[OptionInfo { name: "greeting", values: "on|off", default: "off", description: "Says its name when it starts" }],
    devices: &[("console", "Console, power and reset in four registers")],
    vtable: MachineRegistration::vtable_of::<Tiny>(),
});
emu_plugins_api::export_plugin!();
