//! The device tree of the board, as kernels and firmware written for `virt` expect it: nodes, names and properties follow the rows.

use crate::board::{Kind, Map, Row};
use emu_machine_devices::gicv3::spec::affinity;
use emu_machine_firmware::fdt::{Fdt, Node};

const CLOCK: u32 = 0x8000;
const GIC: u32 = 0x8001;
const GPIO: u32 = 0x8002;
const CPU0: u32 = 0x8100;

/// Interrupt specifier cells of the GIC binding.
mod irq {
    /// A shared interrupt.
    pub const SPI: u32 = 0;
    /// A private interrupt.
    pub const PPI: u32 = 1;
    /// Rising edge.
    pub const EDGE: u32 = 1;
    /// Active high level.
    pub const LEVEL: u32 = 4;
}

/// Private interrupt numbers (as the GIC's interrupt number) of a CPU's own sources, by the names of its output lines.
pub const PPIS: &[(&str, u32)] = &[("timer-phys", 30), ("timer-virt", 27), ("timer-hyp", 26), ("timer-sec", 29), ("timer-hyp-virt", 28), ("pmu", 23)];

/// What of the CPUs and of this boot goes into the tree.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `compatible` of the CPUs.
    pub cpu_compatible: String,
    /// They have a PMU.
    pub pmu: bool,
}

fn ppi(name: &str) -> [u32; 3] {
    let intid = PPIS.iter().find(|p| p.0 == name).map_or(16, |p| p.1);
    [irq::PPI, intid - 16, irq::LEVEL]
}

fn at(name: &str, row: &Row) -> Node {
    let mut node = Node::new(format!("{name}@{:x}", row.base));
    node.cells64("reg", &[row.base, row.size]);
    if let Some(spi) = row.spi {
        node.cells("interrupts", &[irq::SPI, spi.number, if spi.edge { irq::EDGE } else { irq::LEVEL }]);
    }
    node
}

/// A PrimeCell with the board's clock.
fn primecell(name: &str, row: &Row, clocks: &[&str]) -> Node {
    let mut node = at(name, row);
    node.texts("compatible", &[&format!("arm,{name}"), "arm,primecell"]).cells("clocks", &vec![CLOCK; clocks.len()]).texts("clock-names", clocks);
    node
}

fn cpus(map: &Map, facts: &Facts) -> Node {
    let mut cpus = Node::new("cpus");
    cpus.cells("#address-cells", &[1]).cells("#size-cells", &[0]);
    let mut cluster = Node::new("cluster0");
    for i in 0..map.cpus {
        cluster.child_mut(&format!("core{i}")).cells("cpu", &[CPU0 + i]);
    }
    cpus.child_mut("cpu-map").child_mut("socket0").push(cluster);
    for i in 0..map.cpus {
        let mut cpu = Node::new(format!("cpu@{:x}", affinity(i)));
        cpu.text("device_type", "cpu").text("compatible", &facts.cpu_compatible);
        // A CPU that nobody turns on needs no way to do it; this is also what software sees on other boards of this name.
        if map.cpus > 1 {
            cpu.text("enable-method", "psci");
        }
        cpu.cells("reg", &[affinity(i)]).cells("phandle", &[CPU0 + i]);
        cpus.push(cpu);
    }
    cpus
}

/// The tree without `/chosen`'s part of this boot.
pub fn tree(map: &Map, facts: &Facts) -> Fdt {
    let mut fdt = Fdt::default();
    let root = &mut fdt.root;
    root.text("compatible", "linux,dummy-virt").text("model", "linux,dummy-virt");
    root.cells("#address-cells", &[2]).cells("#size-cells", &[2]).cells("interrupt-parent", &[GIC]).flag("dma-coherent");

    let psci = root.child_mut("psci");
    psci.texts("compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]).text("method", "hvc");
    // For PSCI 0.1, which has no fixed function numbers.
    psci.cells("cpu_suspend", &[0xc400_0001]).cells("cpu_off", &[0x8400_0002]).cells("cpu_on", &[0xc400_0003]).cells("migrate", &[0xc400_0005]);

    root.push(cpus(map, facts));
    let timers = ["timer-sec", "timer-phys", "timer-virt", "timer-hyp"].map(ppi).concat();
    root.child_mut("timer").texts("compatible", &["arm,armv8-timer", "arm,armv7-timer"]).cells("interrupts", &timers).flag("always-on");
    if facts.pmu {
        root.child_mut("pmu").text("compatible", "arm,armv8-pmuv3").cells("interrupts", &ppi("pmu"));
    }
    let clock = root.child_mut("apb-pclk");
    clock.text("compatible", "fixed-clock").cells("#clock-cells", &[0]).cells("clock-frequency", &[24_000_000]);
    clock.text("clock-output-names", "clk24mhz").cells("phandle", &[CLOCK]);

    for row in &map.rows {
        device(root, map, row);
    }
    root.child_mut("aliases");
    root.child_mut("chosen");
    if let Some(uart) = map.first(Kind::Pl011) {
        let path = format!("/pl011@{:x}", uart.base);
        root.child_mut("aliases").text("serial0", &path);
        root.child_mut("chosen").text("stdout-path", &path);
    }
    fdt
}

fn device(root: &mut Node, map: &Map, row: &Row) {
    match row.kind {
        // The banks are one node, made at the first of them.
        Kind::CfiFlash if map.first(Kind::CfiFlash) == Some(row) => {
            let reg: Vec<u64> = map.rows.iter().filter(|r| r.kind == Kind::CfiFlash).flat_map(|r| [r.base, r.size]).collect();
            let mut node = at("flash", row);
            node.text("compatible", "cfi-flash").cells64("reg", &reg).cells("bank-width", &[4]);
            root.push(node);
        }
        Kind::CfiFlash | Kind::GicRedistributors => (),
        Kind::GicDistributor => {
            let redist = map.first(Kind::GicRedistributors).map_or((0, 0), |r| (r.base, r.size));
            let mut node = at("intc", row);
            node.text("compatible", "arm,gic-v3").cells("#interrupt-cells", &[3]).flag("interrupt-controller");
            node.cells("#address-cells", &[2]).cells("#size-cells", &[2]).flag("ranges").cells("#redistributor-regions", &[1]);
            node.cells64("reg", &[row.base, row.size, redist.0, redist.1]).cells("phandle", &[GIC]);
            root.push(node);
        }
        Kind::Pl011 => {
            root.push(primecell("pl011", row, &["uartclk", "apb_pclk"]));
        }
        Kind::Pl031 => {
            root.push(primecell("pl031", row, &["apb_pclk"]));
        }
        Kind::Pl061 => {
            let mut node = primecell("pl061", row, &["apb_pclk"]);
            node.cells("#gpio-cells", &[2]).flag("gpio-controller").cells("phandle", &[GPIO]);
            root.push(node);
            let mut keys = Node::new("gpio-keys");
            keys.text("compatible", "gpio-keys");
            // KEY_POWER on pin 3.
            keys.child_mut("poweroff")
                .text("label", "GPIO Key Poweroff")
                .cells("linux,code", &[116])
                .cells("gpios", &[GPIO, crate::POWER_BUTTON as u32, 0]);
            root.push(keys);
        }
        Kind::FwCfg => {
            let mut node = at("fw-cfg", row);
            node.text("compatible", "qemu,fw-cfg-mmio").flag("dma-coherent");
            root.push(node);
        }
        Kind::VirtioMmio => {
            let mut node = at("virtio_mmio", row);
            node.text("compatible", "virtio,mmio").flag("dma-coherent");
            root.push(node);
        }
        Kind::Ram => {
            let mut node = at("memory", row);
            node.text("device_type", "memory");
            root.push(node);
        }
    }
}
