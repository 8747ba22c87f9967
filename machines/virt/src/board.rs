//! The board as a value: rows of devices with their place and interrupt. What is mapped and what the device tree says both come from here.

use crate::options::{Options, RAM_BASE};
use std::fmt;

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// NOR flash.
    CfiFlash,
    /// GICv3 distributor.
    GicDistributor,
    /// GICv3 redistributors.
    GicRedistributors,
    /// UART.
    Pl011,
    /// Real-time clock.
    Pl031,
    /// Firmware configuration.
    FwCfg,
    /// GPIO with the power button.
    Pl061,
    /// A virtio-mmio slot.
    VirtioMmio,
    /// RAM.
    Ram,
}

impl Kind {
    /// Name of the device model.
    pub fn model(self) -> &'static str {
        match self {
            Kind::CfiFlash => "cfi-flash",
            Kind::GicDistributor => "gicv3-dist",
            Kind::GicRedistributors => "gicv3-redist",
            Kind::Pl011 => "pl011",
            Kind::Pl031 => "pl031",
            Kind::FwCfg => "fw-cfg",
            Kind::Pl061 => "pl061",
            Kind::VirtioMmio => "virtio-mmio",
            Kind::Ram => "ram",
        }
    }
}

/// A shared interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spi {
    /// Number; the GIC calls it 32 more.
    pub number: u32,
    /// Edge-triggered, else a level.
    pub edge: bool,
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
    /// Its interrupt.
    pub spi: Option<Spi>,
}

/// The board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// Rows by address.
    pub rows: Vec<Row>,
    /// Number of CPUs.
    pub cpus: u32,
}

/// Number of shared interrupts.
pub const SPIS: usize = 256;
/// A redistributor region's size: 123 CPUs, as software knows it of this board.
const GICR_SIZE: u64 = 0xf6_0000;

fn level(number: u32) -> Option<Spi> {
    Some(Spi { number, edge: false })
}

/// The board for these options.
pub fn board(options: &Options) -> Map {
    let mut rows = Vec::new();
    let mut add = |name: &str, kind, base, size, spi| rows.push(Row { name: name.into(), kind, base, size, spi });
    add("flash0", Kind::CfiFlash, 0, 64 << 20, None);
    add("flash1", Kind::CfiFlash, 64 << 20, 64 << 20, None);
    add("gic", Kind::GicDistributor, 0x0800_0000, 0x1_0000, None);
    add("gic-redist", Kind::GicRedistributors, 0x080a_0000, GICR_SIZE, None);
    add("uart0", Kind::Pl011, 0x0900_0000, 0x1000, level(1));
    add("rtc", Kind::Pl031, 0x0901_0000, 0x1000, level(2));
    add("fw-cfg", Kind::FwCfg, 0x0902_0000, 0x18, None);
    add("gpio", Kind::Pl061, 0x0903_0000, 0x1000, level(7));
    for i in 0..options.virtio_slots {
        let spi = Some(Spi { number: 16 + i, edge: true });
        add(&format!("virtio-mmio{i}"), Kind::VirtioMmio, 0x0a00_0000 + 0x200 * u64::from(i), 0x200, spi);
    }
    add("ram", Kind::Ram, RAM_BASE, options.ram_bytes, None);
    Map { rows, cpus: options.cpus }
}

impl Map {
    /// Two rows that share an address or an interrupt, if there are any.
    pub fn overlap(&self) -> Option<(&Row, &Row)> {
        let pairs = self.rows.iter().enumerate().flat_map(|(i, a)| self.rows[i + 1..].iter().map(move |b| (a, b)));
        let shared = |a: &Row, b: &Row| {
            (a.base < b.base + b.size && b.base < a.base + a.size) || (a.spi.is_some() && a.spi.map(|s| s.number) == b.spi.map(|s| s.number))
        };
        pairs.into_iter().find(|(a, b)| shared(a, b))
    }
    /// The first row of a kind.
    pub fn first(&self, kind: Kind) -> Option<&Row> {
        self.rows.iter().find(|r| r.kind == kind)
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cpus {}", self.cpus)?;
        for r in &self.rows {
            let spi = r.spi.map_or(String::new(), |s| format!("  spi {} {}", s.number, if s.edge { "edge" } else { "level" }));
            writeln!(f, "{:#012x} {:#012x} {:13} {}{spi}", r.base, r.size, r.name, r.kind.model())?;
        }
        Ok(())
    }
}
