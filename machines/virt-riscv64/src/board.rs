//! The board as a value: rows of devices with their place and interrupt. What is mapped and what the device tree says both come from here.

use crate::options::{Options, RAM_BASE};
use std::fmt;

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The ROM at which harts begin.
    ResetRom,
    /// The test finisher: power off and reset.
    SifiveTest,
    /// Real-time clock.
    GoldfishRtc,
    /// Core-local interruptor.
    Aclint,
    /// Platform-level interrupt controller.
    Plic,
    /// UART.
    Ns16550a,
    /// A virtio-mmio slot.
    VirtioMmio,
    /// Firmware configuration.
    FwCfg,
    /// NOR flash.
    CfiFlash,
    /// RAM.
    Ram,
}

impl Kind {
    /// Name of the device model.
    pub fn model(self) -> &'static str {
        match self {
            Kind::ResetRom => "rom",
            Kind::SifiveTest => "sifive-test",
            Kind::GoldfishRtc => "goldfish-rtc",
            Kind::Aclint => "aclint",
            Kind::Plic => "plic",
            Kind::Ns16550a => "ns16550a",
            Kind::VirtioMmio => "virtio-mmio",
            Kind::FwCfg => "fw-cfg",
            Kind::CfiFlash => "cfi-flash",
            Kind::Ram => "ram",
        }
    }
}

/// A device at its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Name of the instance.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// First address.
    pub base: u64,
    /// Size of the window.
    pub size: u64,
    /// Its source at the PLIC.
    pub irq: Option<u32>,
}

/// The board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// Rows by address.
    pub rows: Vec<Row>,
    /// Number of harts.
    pub cpus: u32,
}

/// Number of interrupt sources.
pub const SOURCES: u32 = 95;
/// Where harts begin.
pub const RESET_ROM: u64 = 0x1000;
/// Size of the PLIC's window: that of a board with 512 harts, as software knows it.
const PLIC_SIZE: u64 = 0x60_0000;
/// Size of a flash bank.
pub const FLASH_BANK: u64 = 32 << 20;

/// The board for these options.
pub fn board(options: &Options) -> Map {
    let mut rows = Vec::new();
    let mut add = |name: &str, kind, base, size, irq| rows.push(Row { name: name.into(), kind, base, size, irq });
    add("reset", Kind::ResetRom, RESET_ROM, 0xf000, None);
    add("test", Kind::SifiveTest, 0x10_0000, 0x1000, None);
    add("rtc", Kind::GoldfishRtc, 0x10_1000, 0x1000, Some(11));
    add("clint", Kind::Aclint, 0x0200_0000, 0x1_0000, None);
    add("plic", Kind::Plic, 0x0c00_0000, PLIC_SIZE, None);
    add("uart0", Kind::Ns16550a, 0x1000_0000, 0x100, Some(10));
    for i in 0..options.virtio_slots {
        add(&format!("virtio-mmio{i}"), Kind::VirtioMmio, 0x1000_1000 + 0x1000 * u64::from(i), 0x1000, Some(1 + i));
    }
    add("fw-cfg", Kind::FwCfg, 0x1010_0000, 0x18, None);
    add("flash0", Kind::CfiFlash, 0x2000_0000, FLASH_BANK, None);
    add("flash1", Kind::CfiFlash, 0x2000_0000 + FLASH_BANK, FLASH_BANK, None);
    add("ram", Kind::Ram, RAM_BASE, options.ram_bytes, None);
    Map { rows, cpus: options.cpus }
}

impl Map {
    /// Two rows that share an address or an interrupt, if there are any.
    pub fn overlap(&self) -> Option<(&Row, &Row)> {
        let mut pairs = self.rows.iter().enumerate().flat_map(|(i, a)| self.rows[i + 1..].iter().map(move |b| (a, b)));
        pairs.find(|(a, b)| (a.base < b.base + b.size && b.base < a.base + a.size) || (a.irq.is_some() && a.irq == b.irq))
    }
    /// The first row of a kind.
    pub fn first(&self, kind: Kind) -> Option<&Row> {
        self.rows.iter().find(|r| r.kind == kind)
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "harts {}", self.cpus)?;
        for r in &self.rows {
            let irq = r.irq.map_or(String::new(), |n| format!("  irq {n}"));
            writeln!(f, "{:#012x} {:#012x} {:13} {}{irq}", r.base, r.size, r.name, r.kind.model())?;
        }
        Ok(())
    }
}
