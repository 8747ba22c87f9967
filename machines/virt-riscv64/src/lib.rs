//! The `virt` machine of RISC-V: the board that Linux, OpenSBI and U-Boot know by that name, with a PLIC and up to eight harts.
//!
//! [`board`] says what lies where, as a value; [`tree`] derives the device tree from it; [`Virt`] builds what the rows say and starts what
//! the user asked for: firmware in machine mode and what it starts, or the small [`demo`] guest when there is neither.

pub mod board;
pub mod demo;
pub mod options;
pub mod tree;

#[cfg(test)]
mod tests;

use board::{Kind, Map, RESET_ROM, Row, SOURCES, board};
use emu_machine_devices::Line;
use emu_machine_devices::aclint::{self, Aclint};
use emu_machine_devices::cfi_flash::CfiFlash;
use emu_machine_devices::fw_cfg::{FwCfg, Items};
use emu_machine_devices::goldfish_rtc::GoldfishRtc;
use emu_machine_devices::ns16550a::Ns16550a;
use emu_machine_devices::plic::Plic;
use emu_machine_devices::sifive_test::SifiveTest;
use emu_machine_devices::virtio_mmio::EmptySlot;
use emu_machine_firmware::boot::{self, Ram};
use emu_machine_firmware::content::Content;
use emu_machine_firmware::images::Images;
use emu_machine_firmware::sbi::{self, Plan, Program};
use emu_plugins_api::{Board, Host, MachineConfig, MachineRegistration, Power, SystemEvent, register_machine};
use options::{MAX_CPUS, Options, RAM_BASE};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tree::Facts;

/// Frequency of the boards' time, which the CPUs' `time` has too.
const TIMEBASE_HZ: u64 = 10_000_000;

register_machine!(MachineRegistration {
    name: "virt",
    description: "RISC-V's generic virtual board: PLIC, ACLINT, 16550A, goldfish clock, flash, fw_cfg, virtio-mmio",
    targets: &["riscv64"],
    default_cpu: "rv64",
    max_cpus: MAX_CPUS,
    default_ram: 512 << 20,
    options: options::OPTIONS,
    devices: &[
        ("aclint", "core-local interruptor: timers and software interrupts"),
        ("cfi-flash", "NOR flash, Intel command set, 32 MiB a bank"),
        ("fw-cfg", "firmware configuration, data register and DMA"),
        ("goldfish-rtc", "real-time clock"),
        ("ns16550a", "UART"),
        ("plic", "platform-level interrupt controller, 95 sources"),
        ("sifive-test", "test finisher: power off and reset"),
        ("virtio-mmio", "an empty virtio slot"),
    ],
    vtable: MachineRegistration::vtable_of::<Virt>(),
});

/// Where Linux distributions put OpenSBI's dynamic firmware, for a kernel that comes without -bios.
const OPENSBI: &[&str] = &[
    "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin",
    "/usr/share/opensbi/lp64/generic/firmware/fw_dynamic.bin",
    "/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin",
];

/// Input lines of a hart.
struct Inputs {
    msi: u32,
    mti: u32,
    mei: u32,
    sei: u32,
}

/// The machine.
pub struct Virt {
    host: Host,
    options: Options,
    map: Map,
    facts: Facts,
    images: Images,
    inputs: Inputs,
    plic: Plic,
    flash: Vec<Arc<CfiFlash>>,
}

impl Virt {
    /// Maps what a row says.
    fn map_row(&mut self, row: &Row) -> Result<(), String> {
        let host = self.host;
        let irq = row.irq.map_or(Line::none(), |n| self.plic.line(n as usize));
        let (name, base, size) = (row.name.as_str(), row.base, row.size);
        match row.kind {
            Kind::Ram => host.map_ram(name, base, size, false)?,
            Kind::ResetRom => host.map_ram(name, base, size, true)?,
            Kind::SifiveTest => {
                let test = Arc::new(SifiveTest::new(name));
                host.map_device(base, size, test.clone(), false)?;
                test.connect(host);
            }
            Kind::GoldfishRtc => {
                let rtc = Arc::new(GoldfishRtc::new(name, irq));
                rtc.connect(host, host.map_device(base, size, rtc.clone(), false)?);
            }
            Kind::Aclint => {
                let (msi, mti) = (self.inputs.msi, self.inputs.mti);
                let outputs = (0..self.map.cpus).map(|cpu| aclint::Outputs {
                    msi: Line::new(move |level| host.cpu_line(cpu, msi, level)),
                    mti: Line::new(move |level| host.cpu_line(cpu, mti, level)),
                });
                let clint = Arc::new(Aclint::new(name, TIMEBASE_HZ, outputs.collect()));
                clint.connect(host, host.map_device(base, size, clint.clone(), false)?);
            }
            Kind::Plic => drop(host.map_device(base, size, Arc::new(self.plic.clone()), false)?),
            Kind::Ns16550a => {
                let uart = Arc::new(Ns16550a::new(name, irq));
                let id = host.map_device(base, size, uart.clone(), false)?;
                if let Some(stream) = host.stream_open(id, "serial0") {
                    uart.connect(host, stream);
                }
            }
            Kind::VirtioMmio => drop(host.map_device(base, size, Arc::new(EmptySlot::new(name)), false)?),
            Kind::FwCfg => {
                let items = Items::new(self.options.cpus as u16, MAX_CPUS as u16, BTreeMap::new());
                let device = Arc::new(FwCfg::new(name, items));
                host.map_device(base, size, device.clone(), false)?;
                device.connect(host);
            }
            Kind::CfiFlash => {
                let flash = Arc::new(CfiFlash::new(name, size));
                flash.connect(host, host.map_device(base, size, flash.clone(), true)?);
                self.flash.push(flash);
            }
        }
        Ok(())
    }
    fn write(&self, address: u64, data: &[u8]) -> Result<(), String> {
        if self.host.write(address, data) { Ok(()) } else { Err(format!("cannot write {:#x} bytes at {address:#x}: there is no RAM", data.len())) }
    }
    fn ram(&self) -> Ram {
        Ram { base: RAM_BASE, size: self.options.ram_bytes }
    }
    /// The device tree of this boot: the user's or the board's own, with what this boot adds.
    fn device_tree(&self, initrd: Option<(u64, u64)>) -> Result<Vec<u8>, String> {
        let random = self.options.randomness.then_some(&self.host);
        boot::device_tree(&self.images, self.ram(), initrd, random, || tree::tree(&self.map, &self.facts))
    }
    /// The firmware: the user's, or that of the host when there is a kernel to start; `none` is none.
    fn firmware(&self) -> Result<Option<Program>, String> {
        match self.images.get("bios") {
            Some("none") => Ok(None),
            Some(path) if path != "default" => sbi::read(path, "-bios").map(Some),
            None if self.images.get("pflash0").is_some() || self.images.get("kernel").is_none() => Ok(None),
            _ => match OPENSBI.iter().find(|p| Path::new(p).is_file()) {
                Some(path) => sbi::read(path, "-bios").map(Some),
                None => Err(format!(
                    "a kernel needs firmware, and OpenSBI is not at {}; give -bios FILE (fw_dynamic.bin), or -bios none to start in machine mode",
                    OPENSBI[0]
                )),
            },
        }
    }
    fn plan(&self) -> Result<Plan, String> {
        for (name, bank) in [("pflash0", 0), ("pflash1", 1)] {
            let Some(path) = self.images.get(name) else { continue };
            let data = boot::read_file(path, "-pflash")?;
            if data.is_empty() {
                return Err(format!("firmware '{path}' is empty; copy or download it again"));
            }
            if !self.flash.get(bank).is_some_and(|f| f.load_image(0, &data)) {
                return Err(format!(
                    "firmware '{path}' has {} MiB, a flash bank only 32 MiB; give a smaller one",
                    (data.len() as u64).div_ceil(1 << 20)
                ));
            }
        }
        let firmware = self.firmware()?;
        let in_flash = self.images.get("pflash0").is_some();
        let nothing = firmware.is_none() && !in_flash && self.images.get("kernel").is_none();
        let kernel = match self.images.get("kernel") {
            Some(path) => Some(sbi::read(path, "-kernel")?),
            None if nothing => Some(sbi::program("demo guest", demo::image(&self.map))?),
            None => None,
        };
        let initrd = match self.images.get("initrd") {
            Some(path) => Some((path, Content::open(path, "-initrd")?)),
            None => None,
        };
        let (had_firmware, had_kernel) = (firmware.is_some(), kernel.is_some());
        let mut plan = sbi::plan(self.ram(), firmware, kernel, initrd)?;
        if let Some(flash) = self.map.first(Kind::CfiFlash).filter(|_| in_flash) {
            // Flash is what firmware starts, or firmware itself.
            if !had_firmware {
                plan.entry = flash.base;
            } else if !had_kernel {
                plan.next = flash.base;
            }
        }
        Ok(plan)
    }
    /// Loads what is to run, and starts the harts at the reset code.
    fn start(&self) -> Result<(), String> {
        let plan = self.plan()?;
        let dtb = self.device_tree(plan.initrd)?;
        if dtb.len() as u64 > plan.dtb_max {
            return Err(format!("the device tree has {} bytes, there is room for {}; make it smaller", dtb.len(), plan.dtb_max));
        }
        if let Some(path) = &self.options.dumpdtb {
            std::fs::write(path, &dtb).map_err(|e| format!("cannot write the device tree to '{path}': {e}; check the path after dumpdtb="))?;
            self.host.system_event(SystemEvent::POWER_OFF, 0);
            return Ok(());
        }
        plan.writes.iter().try_for_each(|(address, data)| data.copy(|at, piece| self.write(address + at, piece)))?;
        self.write(plan.dtb, &dtb)?;
        self.write(RESET_ROM, &sbi::reset_code(plan.entry, plan.dtb, plan.next))?;
        for cpu in 0..self.map.cpus {
            self.host.cpu_power(cpu, Power::ON, RESET_ROM, plan.dtb);
        }
        Ok(())
    }
}

impl Board for Virt {
    fn create(config: &MachineConfig<'_>, host: Host) -> Result<Virt, String> {
        let options = Options::parse(config)?;
        let images = Images::read(config, "virt")?;
        let map = board(&options);
        let line = |name: &str| config.input(name).ok_or_else(|| format!("the target's CPUs have no input line '{name}', which machine virt needs"));
        let inputs = Inputs { msi: line("msi")?, mti: line("mti")?, mei: line("mei")?, sei: line("sei")? };
        // Two contexts a hart: machine, supervisor.
        let outputs = (0..options.cpus).flat_map(|cpu| [(cpu, inputs.mei), (cpu, inputs.sei)]);
        let outputs = outputs.map(|(cpu, line)| Line::new(move |level| host.cpu_line(cpu, line, level)));
        let plic = Plic::new("plic", SOURCES as usize, outputs.collect());
        let text = |name: &str, default: &str| config.cpu_property(name).unwrap_or(default).to_owned();
        let facts = Facts {
            isa: text("isa", "rv64imafdc"),
            extensions: text("isa-extensions", "i m a f d c"),
            mmu: text("mmu", "sv39"),
            timebase_hz: TIMEBASE_HZ as u32,
            cache_block: text("cache-block", "64").parse().unwrap_or(64),
        };
        let mut virt = Virt { host, options, map, facts, images, inputs, plic, flash: Vec::new() };
        for row in virt.map.rows.clone() {
            virt.map_row(&row)?;
        }
        virt.start()?;
        Ok(virt)
    }
    fn restart(&self) -> Result<(), String> {
        self.start()
    }
}
