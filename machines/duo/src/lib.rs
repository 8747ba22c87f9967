//! The `duo` machine: CPUs of two architectures, AArch64 and RISC-V, that share RAM and all devices and talk through a mailbox. An example of
//! a board that takes several targets at the same time.
//!
//! [`board`] says what lies where. Each side has the interrupt controller of its world: the mailbox and the first UART are wired to the Arm
//! CPUs' GIC, the mailbox's other side and the second UART to the harts' PLIC. `-M duo,aarch64=FILE,riscv64=FILE` names the programs: without
//! both the [`demo`] runs. An Arm CPU begins at EL1, all harts in machine mode, with their number in the first argument register; further
//! Arm CPUs are turned on by PSCI.

pub mod board;
pub mod demo;

#[cfg(test)]
mod tests;

use board::*;
use emu_machine_devices::Line;
use emu_machine_devices::aclint::{self, Aclint};
use emu_machine_devices::gicv3::{Gicv3, Outputs, spec::affinity};
use emu_machine_devices::mailbox::{mailbox, spec::WINDOW};
use emu_machine_devices::ns16550a::Ns16550a;
use emu_machine_devices::pl011::Pl011;
use emu_machine_devices::plic::Plic;
use emu_machine_devices::sifive_test::SifiveTest;
use emu_machine_firmware::bare::{self, Bare};
use emu_machine_firmware::boot::{self, Format, Ram};
use emu_machine_firmware::psci::Psci;
use emu_plugins_api::{Board, Cluster, Device, Host, MachineConfig, MachineRegistration, OptionInfo, Power, register_machine};
use std::sync::Arc;

const AARCH64: &str = "aarch64";
const RISCV64: &str = "riscv64";

/// The options.
pub const OPTIONS: &[OptionInfo] = &[
    OptionInfo {
        name: AARCH64,
        values: "FILE",
        default: "",
        description: "what the Arm CPU runs: an ELF file, or bytes for the start of RAM (0x80000000)",
    },
    OptionInfo {
        name: RISCV64,
        values: "FILE",
        default: "",
        description: "what the harts run: an ELF file, or bytes for 1 MiB into RAM (0x80100000)",
    },
];

register_machine!(MachineRegistration {
    name: "duo",
    description: "An example of two architectures on one board: shared RAM, a mailbox, GICv3 and PLIC, a UART each",
    targets: &["aarch64+riscv64"],
    default_cpu: "max+rv64",
    max_cpus: MAX_CPUS,
    default_ram: 128 << 20,
    options: OPTIONS,
    devices: &[
        ("aclint", "core-local interruptor: timers and software interrupts of the harts"),
        ("gicv3", "the Arm CPUs' interrupt controller, version 3, without LPIs"),
        ("mailbox", "a queue of words each way, with an interrupt for each side"),
        ("ns16550a", "UART of the harts: the second serial line"),
        ("pl011", "UART of the Arm CPUs: the first serial line"),
        ("plic", "the harts' platform-level interrupt controller, 31 sources"),
        ("sifive-test", "test finisher: power off and reset"),
    ],
    vtable: MachineRegistration::vtable_of::<Duo>(),
});

/// Numbers of CPUs that follow each other.
#[derive(Clone, Copy)]
struct Numbers {
    first: u32,
    cpus: u32,
}

impl Numbers {
    fn of(c: &Cluster<'_>) -> Numbers {
        Numbers { first: c.first, cpus: c.cpus }
    }
    /// Which one of them a CPU is.
    fn place(self, cpu: u32) -> Option<u32> {
        cpu.checked_sub(self.first).filter(|n| *n < self.cpus)
    }
    fn each(self) -> impl Iterator<Item = u32> {
        self.first..self.first + self.cpus
    }
}

/// The machine.
pub struct Duo {
    host: Host,
    arms: Numbers,
    harts: Numbers,
    gic: Gicv3,
    psci: Psci,
    /// Private interrupt of each output line of the Arm CPUs.
    ppis: Vec<Option<usize>>,
    ram: Ram,
    programs: [Option<String>; 2],
}

fn line(cluster: &Cluster<'_>, name: &str) -> Result<u32, String> {
    cluster
        .input(name)
        .ok_or_else(|| format!("the CPUs of the target '{}' have no input line '{name}', which machine duo needs", cluster.target.get()))
}

impl Duo {
    fn map(&self, row: Row, device: Arc<dyn Device>) -> Result<emu_plugins_api::DeviceId, String> {
        self.host.map_device(row.base, row.size, device, false)
    }
    fn map_all(&self, plic: &Plic, clint: Arc<Aclint>) -> Result<(), String> {
        let host = self.host;
        host.map_ram("ram", self.ram.base, self.ram.size, false)?;
        self.map(GICD, Arc::new(self.gic.distributor()))?;
        self.map(Row { size: 0x2_0000 * u64::from(self.arms.cpus), ..GICR }, Arc::new(self.gic.redistributors()))?;
        self.map(PLIC, Arc::new(plic.clone()))?;
        clint.connect(host, self.map(ACLINT, clint.clone())?);
        let finisher = Arc::new(SifiveTest::new(FINISHER.name));
        self.map(FINISHER, finisher.clone())?;
        finisher.connect(host);
        let sides = mailbox(MAILBOX.name, [self.gic.spi_line(MAILBOX_SPI), plic.line(MAILBOX_SOURCE)]);
        for (n, side) in sides.into_iter().enumerate() {
            self.map(Row { base: MAILBOX.base + n as u64 * WINDOW, size: WINDOW, ..MAILBOX }, Arc::new(side))?;
        }
        let uart = Arc::new(Pl011::new(PL011.name, self.gic.spi_line(UART_SPI)));
        let id = self.map(PL011, uart.clone())?;
        if let Some(stream) = host.stream_open(id, "serial0") {
            uart.connect(host, stream);
        }
        let uart = Arc::new(Ns16550a::new(NS16550A.name, plic.line(UART_SOURCE)));
        let id = self.map(NS16550A, uart.clone())?;
        if let Some(stream) = host.stream_open(id, "serial1") {
            uart.connect(host, stream);
        }
        Ok(())
    }
    /// A program: the user's, or the demo's.
    fn program(&self, which: usize, name: &str, format: &Format, at: u64, demo: fn() -> Result<Vec<u8>, String>) -> Result<Bare, String> {
        match &self.programs[which] {
            Some(path) => bare::place(format, self.ram, at, path, boot::read_file(path, &format!("{name}= of -M duo"))?),
            None => bare::place(format, self.ram, at, "demo guest", demo()?),
        }
    }
    /// Loads what is to run, and starts the first Arm CPU and the harts.
    fn start(&self) -> Result<(), String> {
        let arm = self.program(0, AARCH64, &boot::AARCH64, RAM_BASE, demo::aarch64)?;
        let riscv = self.program(1, RISCV64, &boot::RISCV64, RISCV64_AT, demo::riscv64)?;
        for (at, data) in arm.writes.iter().chain(&riscv.writes) {
            if !self.host.write(*at, data) {
                return Err(format!("cannot write {:#x} bytes at {at:#x}: there is no RAM", data.len()));
            }
        }
        self.host.cpu_power(self.arms.first, Power::ON, arm.entry, 0);
        for (n, cpu) in self.harts.each().enumerate() {
            self.host.cpu_power(cpu, Power::ON, riscv.entry, n as u64);
        }
        Ok(())
    }
}

impl Board for Duo {
    fn create(config: &MachineConfig<'_>, host: Host) -> Result<Duo, String> {
        let (Some(arm), Some(riscv)) = (config.cluster(AARCH64), config.cluster(RISCV64)) else {
            return Err("machine duo needs CPUs of aarch64 and riscv64 at the same time; use an emu that can make such machines".into());
        };
        if let Some(image) = config.images.get().first() {
            return Err(format!("machine duo cannot start from '{}'; its programs are named with -M duo,aarch64=FILE,riscv64=FILE", image.key.get()));
        }
        if !RAM.contains(&config.ram_bytes) || !config.ram_bytes.is_multiple_of(4096) {
            return Err(format!(
                "machine duo has {} MiB to {} MiB of RAM in whole pages, not {} bytes; give -m a size in that range",
                RAM.start() >> 20,
                RAM.end() >> 20,
                config.ram_bytes
            ));
        }
        let (arms, harts) = (Numbers::of(arm), Numbers::of(riscv));
        if arms.cpus > MAX_CPUS || harts.cpus > MAX_CPUS {
            return Err(format!("machine duo has at most {MAX_CPUS} CPUs of each target; give -smp a number in that range"));
        }
        let (irq, fiq) = (line(arm, "irq")?, line(arm, "fiq")?);
        let to = move |cpu: u32, input: u32| Line::new(move |level| host.cpu_line(cpu, input, level));
        let gic = Gicv3::new(GICD.name, SPIS, arms.each().map(|cpu| Outputs { irq: to(cpu, irq), fiq: to(cpu, fiq) }).collect());
        // Two contexts a hart: machine, supervisor.
        let (mei, sei) = (line(riscv, "mei")?, line(riscv, "sei")?);
        let plic = Plic::new(PLIC.name, SOURCES, harts.each().flat_map(|cpu| [to(cpu, mei), to(cpu, sei)]).collect());
        let (msi, mti) = (line(riscv, "msi")?, line(riscv, "mti")?);
        let outputs = harts.each().map(|cpu| aclint::Outputs { msi: to(cpu, msi), mti: to(cpu, mti) });
        let clint = Arc::new(Aclint::new(ACLINT.name, TIMEBASE_HZ, outputs.collect()));
        let power = gic.clone();
        let psci = Psci::new(host, (0..arms.cpus).map(|n| affinity(n).into()).collect(), move |cpu| power.reset_interface(cpu as usize));
        let ppi = |name: &str| PPIS.iter().find(|p| p.0 == name).map(|p| p.1);
        let ppis = arm.outputs.get().iter().map(|n| ppi(n.get())).collect();
        let programs = [AARCH64, RISCV64].map(|name| config.option(name).map(str::to_owned));
        let duo = Duo { host, arms, harts, gic, psci, ppis, ram: Ram { base: RAM_BASE, size: config.ram_bytes }, programs };
        duo.map_all(&plic, clint)?;
        duo.start()?;
        Ok(duo)
    }
    fn cpu_options(_: &MachineConfig<'_>) -> Vec<(String, String)> {
        [("aarch64.el2", "off"), ("aarch64.el3", "off")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }
    fn restart(&self) -> Result<(), String> {
        self.start()
    }
    fn bank(&self, cpu: u32, register: u32, value: &mut u64, write: bool) -> bool {
        let Some(cpu) = self.arms.place(cpu) else { return false };
        if write {
            return self.gic.write(cpu as usize, register, *value);
        }
        self.gic.read(cpu as usize, register).map(|v| *value = v).is_some()
    }
    fn firmware_call(&self, cpu: u32, args: &mut [u64; 8]) -> bool {
        // The Arm CPUs' numbers are the machine's first ones, which PSCI turns on and off by number.
        self.arms.place(cpu).is_some_and(|n| self.psci.call(n, args))
    }
    fn cpu_output(&self, cpu: u32, line: u32, level: bool) {
        if let (Some(cpu), Some(Some(ppi))) = (self.arms.place(cpu), self.ppis.get(line as usize)) {
            self.gic.set_ppi(cpu as usize, *ppi, level);
        }
    }
}
