//! The `virt` machine: the board that Linux, U-Boot and edk2 know by that name, with a GICv3 and up to eight CPUs.
//!
//! [`board`] says what lies where, as a value; [`tree`] derives the device tree from it; [`Virt`] builds what the rows say and starts what
//! the user asked for: a kernel, firmware, or the small [`demo`] guest when there is neither. PSCI is answered by the machine, over HVC.

pub mod board;
pub mod demo;
pub mod options;
pub mod tree;

#[cfg(test)]
mod tests;

use board::{Kind, Map, Row, SPIS, board};
use emu_machine_devices::Line;
use emu_machine_devices::cfi_flash::CfiFlash;
use emu_machine_devices::fw_cfg::spec::key;
use emu_machine_devices::fw_cfg::{FwCfg, Items};
use emu_machine_devices::gicv3::{Gicv3, Outputs, spec::affinity};
use emu_machine_devices::pl011::Pl011;
use emu_machine_devices::pl031::Pl031;
use emu_machine_devices::pl061::Pl061;
use emu_machine_devices::virtio_mmio::EmptySlot;
use emu_machine_firmware::boot::{self, Kernel, Plan, Ram};
use emu_machine_firmware::content::Content;
use emu_machine_firmware::images::Images;
use emu_machine_firmware::psci::Psci;
use emu_plugins_api::{Board, Host, MachineConfig, MachineRegistration, Power, SystemEvent, register_machine};
use options::{MAX_CPUS, Options, RAM_BASE};
use std::collections::BTreeMap;
use std::sync::Arc;
use tree::Facts;

/// Pin of the GPIO that the power button is on.
pub const POWER_BUTTON: usize = 3;
/// Where a CPU starts when there is firmware.
const RESET_VECTOR: u64 = 0;
/// Room for the device tree at the start of RAM, before firmware.
const FIRMWARE_DTB_MAX: u64 = 1 << 20;

register_machine!(MachineRegistration {
    name: "virt",
    description: "Arm's generic virtual board: GICv3, PL011, PL031, PL061, flash, fw_cfg, virtio-mmio",
    targets: &["aarch64"],
    default_cpu: "max",
    max_cpus: MAX_CPUS,
    default_ram: 512 << 20,
    options: options::OPTIONS,
    devices: &[
        ("cfi-flash", "NOR flash, Intel command set, 64 MiB a bank"),
        ("fw-cfg", "firmware configuration, data register and DMA"),
        ("gicv3", "interrupt controller, version 3, without LPIs"),
        ("pl011", "UART"),
        ("pl031", "real-time clock"),
        ("pl061", "GPIO with the power button"),
        ("virtio-mmio", "an empty virtio slot"),
    ],
    vtable: MachineRegistration::vtable_of::<Virt>(),
});

/// The machine.
pub struct Virt {
    host: Host,
    options: Options,
    map: Map,
    facts: Facts,
    images: Images,
    gic: Gicv3,
    psci: Psci,
    gpio: Option<Arc<Pl061>>,
    flash: Vec<Arc<CfiFlash>>,
    fw_cfg: Option<Arc<FwCfg>>,
    /// Private interrupt of each CPU output line.
    ppis: Vec<Option<usize>>,
}

impl Virt {
    fn interrupt(&self, row: &Row) -> Line {
        row.spi.map_or(Line::none(), |s| self.gic.spi_line(s.number as usize))
    }
    /// Maps what a row says.
    fn map_row(&mut self, row: &Row) -> Result<(), String> {
        let host = self.host;
        let irq = self.interrupt(row);
        let (name, base, size) = (row.name.as_str(), row.base, row.size);
        match row.kind {
            Kind::Ram => host.map_ram(name, base, size, false)?,
            Kind::CfiFlash => {
                let flash = Arc::new(CfiFlash::new(name, size));
                flash.connect(host, host.map_device(base, size, flash.clone(), true)?);
                self.flash.push(flash);
            }
            Kind::GicDistributor => drop(host.map_device(base, size, Arc::new(self.gic.distributor()), false)?),
            Kind::GicRedistributors => drop(host.map_device(base, size, Arc::new(self.gic.redistributors()), false)?),
            Kind::Pl011 => {
                let uart = Arc::new(Pl011::new(name, irq));
                let id = host.map_device(base, size, uart.clone(), false)?;
                if let Some(stream) = host.stream_open(id, "serial0") {
                    uart.connect(host, stream);
                }
            }
            Kind::Pl031 => {
                let rtc = Arc::new(Pl031::new(name, irq));
                rtc.connect(host, host.map_device(base, size, rtc.clone(), false)?);
            }
            Kind::Pl061 => {
                let gpio = Arc::new(Pl061::new(name, irq, Default::default()));
                host.map_device(base, size, gpio.clone(), false)?;
                self.gpio = Some(gpio);
            }
            Kind::FwCfg => {
                let device = Arc::new(FwCfg::new(name, Items::default()));
                host.map_device(base, size, device.clone(), false)?;
                device.connect(host);
                self.fw_cfg = Some(device);
            }
            Kind::VirtioMmio => drop(host.map_device(base, size, Arc::new(EmptySlot::new(name)), false)?),
        }
        Ok(())
    }
    /// Presses (true) or releases the power button.
    pub fn power_button(&self, pressed: bool) {
        if let Some(gpio) = &self.gpio {
            gpio.set_input(POWER_BUTTON, pressed);
        }
    }
    fn ram(&self) -> Ram {
        Ram { base: RAM_BASE, size: self.options.ram_bytes }
    }
    fn write(&self, address: u64, data: &[u8]) -> Result<(), String> {
        if self.host.write(address, data) { Ok(()) } else { Err(format!("cannot write {:#x} bytes at {address:#x}: there is no RAM", data.len())) }
    }
    /// The device tree of this boot: the user's or the board's own, with what this boot adds.
    fn device_tree(&self, initrd: Option<(u64, u64)>) -> Result<Vec<u8>, String> {
        let random = self.options.randomness.then_some(&self.host);
        boot::device_tree(&self.images, self.ram(), initrd, random, || tree::tree(&self.map, &self.facts))
    }
    fn check_dtb(&self, dtb: &[u8], max: u64) -> Result<(), String> {
        if dtb.len() as u64 <= max {
            Ok(())
        } else {
            Err(format!("the device tree has {} bytes, there is room for {max}; make it smaller", dtb.len()))
        }
    }
    /// Loads what is to run, and starts the first CPU.
    fn start(&self) -> Result<(), String> {
        let (entry, dtb_at, dtb) = if self.images.firmware() { self.load_firmware()? } else { self.load_kernel()? };
        if let Some(path) = &self.options.dumpdtb {
            std::fs::write(path, &dtb).map_err(|e| format!("cannot write the device tree to '{path}': {e}; check the path after dumpdtb="))?;
            self.host.system_event(SystemEvent::POWER_OFF, 0);
            return Ok(());
        }
        self.write(dtb_at, &dtb)?;
        self.host.cpu_power(0, Power::ON, entry, dtb_at);
        Ok(())
    }
    fn load_kernel(&self) -> Result<(u64, u64, Vec<u8>), String> {
        let kernel: Kernel = match self.images.get("kernel") {
            Some(path) => boot::read_kernel(path)?,
            None => boot::kernel_from("demo guest", demo::image(self.options.ram_bytes)?)?,
        };
        let initrd = match self.images.get("initrd") {
            Some(path) => Some((path, Content::open(path, "-initrd")?)),
            None => None,
        };
        let Plan { writes, entry, dtb: at, dtb_max, initrd } = boot::plan(self.ram(), kernel, initrd)?;
        let dtb = self.device_tree(initrd)?;
        self.check_dtb(&dtb, dtb_max)?;
        writes.iter().try_for_each(|(address, data)| data.copy(|at, piece| self.write(address + at, piece)))?;
        Ok((entry, at, dtb))
    }
    /// Fills the flash banks, and fw_cfg with the kernel for firmware that boots it.
    fn load_firmware(&self) -> Result<(u64, u64, Vec<u8>), String> {
        for (name, option, bank) in [("bios", "-bios", 0), ("pflash0", "-pflash", 0), ("pflash1", "-pflash", 1)] {
            let Some(path) = self.images.get(name) else { continue };
            let data = boot::read_file(path, option)?;
            if data.is_empty() {
                return Err(format!("firmware '{path}' is empty; copy or download it again"));
            }
            if !self.flash.get(bank).is_some_and(|f| f.load_image(0, &data)) {
                return Err(format!(
                    "firmware '{path}' has {} MiB, a flash bank only 64 MiB; give a smaller one",
                    (data.len() as u64).div_ceil(1 << 20)
                ));
            }
        }
        let mut items = Items::new(self.options.cpus as u16, MAX_CPUS as u16, BTreeMap::new());
        for (name, size, content) in [("kernel", key::KERNEL_SIZE, key::KERNEL_DATA), ("initrd", key::INITRD_SIZE, key::INITRD_DATA)] {
            let data = self.images.get(name).map_or(Ok(Vec::new()), |path| boot::read_file(path, &format!("-{name}")))?;
            items.set(size, (data.len() as u32).to_le_bytes().to_vec());
            items.set(content, data);
        }
        let mut line = self.images.get("append").unwrap_or_default().as_bytes().to_vec();
        if self.images.get("append").is_some() {
            line.push(0);
        }
        items.set(key::CMDLINE_SIZE, (line.len() as u32).to_le_bytes().to_vec());
        items.set(key::CMDLINE_DATA, line);
        if let Some(fw_cfg) = &self.fw_cfg {
            fw_cfg.set_items(items);
        }
        let dtb = self.device_tree(None)?;
        self.check_dtb(&dtb, FIRMWARE_DTB_MAX.min(self.options.ram_bytes))?;
        Ok((RESET_VECTOR, RAM_BASE, dtb))
    }
}

impl Board for Virt {
    fn create(config: &MachineConfig<'_>, host: Host) -> Result<Virt, String> {
        let options = Options::parse(config)?;
        let images = Images::read(config, "virt")?;
        if images.get("bios").is_some() && images.get("pflash0").is_some() {
            return Err("-bios and the first flash are the same place; give only one of them".into());
        }
        let map = board(&options);
        let line = |name: &str| config.input(name).ok_or_else(|| format!("the target's CPUs have no input line '{name}', which machine virt needs"));
        let (irq, fiq) = (line("irq")?, line("fiq")?);
        let outputs = (0..options.cpus).map(|cpu| Outputs {
            irq: Line::new(move |level| host.cpu_line(cpu, irq, level)),
            fiq: Line::new(move |level| host.cpu_line(cpu, fiq, level)),
        });
        let gic = Gicv3::new("gic", SPIS, outputs.collect());
        let power = gic.clone();
        let psci = Psci::new(host, (0..options.cpus).map(|i| affinity(i).into()).collect(), move |cpu| power.reset_interface(cpu as usize));
        let ppi_of = |name: &str| tree::PPIS.iter().find(|p| p.0 == name).map(|p| p.1 as usize);
        let facts = Facts {
            cpu_compatible: config.cpu_property("fdt-compatible").unwrap_or("arm,armv8").into(),
            pmu: config.cpu_property("pmu") == Some("on"),
        };
        let ppis = config.outputs.get().iter().map(|n| ppi_of(n.get())).collect();
        let mut virt = Virt { host, options, map, facts, images, gic, psci, gpio: None, flash: Vec::new(), fw_cfg: None, ppis };
        for row in virt.map.rows.clone() {
            virt.map_row(&row)?;
        }
        if let Some(fw_cfg) = &virt.fw_cfg {
            fw_cfg.set_items(Items::new(virt.options.cpus as u16, MAX_CPUS as u16, BTreeMap::new()));
        }
        virt.start()?;
        Ok(virt)
    }
    fn cpu_options(_: &MachineConfig<'_>) -> Vec<(String, String)> {
        [("el2", "off"), ("el3", "off")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }
    fn restart(&self) -> Result<(), String> {
        self.start()
    }
    fn bank(&self, cpu: u32, register: u32, value: &mut u64, write: bool) -> bool {
        if write {
            return self.gic.write(cpu as usize, register, *value);
        }
        self.gic.read(cpu as usize, register).map(|v| *value = v).is_some()
    }
    fn firmware_call(&self, cpu: u32, args: &mut [u64; 8]) -> bool {
        self.psci.call(cpu, args)
    }
    fn cpu_output(&self, cpu: u32, line: u32, level: bool) {
        if let Some(Some(ppi)) = self.ppis.get(line as usize) {
            self.gic.set_ppi(cpu as usize, *ppi, level);
        }
    }
}
