//! The device tree of the board, as kernels and firmware written for `virt` expect it: nodes, names and properties follow the rows.

use crate::board::{Kind, Map, Row, SOURCES};
use emu_machine_firmware::fdt::{Fdt, Node};

const PLIC: u32 = 1;
const TEST: u32 = 2;
/// Of hart 0; two a hart: the hart, its interrupt controller.
const CPU0: u32 = 0x10;

/// Local interrupt numbers of a hart.
mod local {
    pub const MACHINE_SOFTWARE: u32 = 3;
    pub const MACHINE_TIMER: u32 = 7;
    pub const SUPERVISOR_EXTERNAL: u32 = 9;
    pub const MACHINE_EXTERNAL: u32 = 11;
}

/// What of the CPUs goes into the tree.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The ISA string.
    pub isa: String,
    /// Its extensions, apart by spaces.
    pub extensions: String,
    /// The widest translation scheme.
    pub mmu: String,
    /// Frequency of `time` in Hz.
    pub timebase_hz: u32,
    /// Bytes of a cache block.
    pub cache_block: u32,
}

fn at(name: &str, row: &Row) -> Node {
    let mut node = Node::new(format!("{name}@{:x}", row.base));
    node.cells64("reg", &[row.base, row.size]);
    if let Some(irq) = row.irq {
        node.cells("interrupts", &[irq]).cells("interrupt-parent", &[PLIC]);
    }
    node
}

/// Interrupt specifiers of all harts, each for these local interrupts.
fn extended(map: &Map, locals: [u32; 2]) -> Vec<u32> {
    (0..map.cpus).flat_map(|i| locals.into_iter().flat_map(move |n| [CPU0 + 2 * i + 1, n])).collect()
}

fn cpus(map: &Map, facts: &Facts) -> Node {
    let mut cpus = Node::new("cpus");
    cpus.cells("#address-cells", &[1]).cells("#size-cells", &[0]).cells("timebase-frequency", &[facts.timebase_hz]);
    let extensions: Vec<&str> = facts.extensions.split_whitespace().collect();
    for i in 0..map.cpus {
        let mut cpu = Node::new(format!("cpu@{i:x}"));
        cpu.cells("phandle", &[CPU0 + 2 * i]).text("device_type", "cpu").cells("reg", &[i]).text("status", "okay").text("compatible", "riscv");
        for (extension, property) in [("zicbop", "riscv,cbop-block-size"), ("zicboz", "riscv,cboz-block-size"), ("zicbom", "riscv,cbom-block-size")] {
            if extensions.contains(&extension) {
                cpu.cells(property, &[facts.cache_block]);
            }
        }
        cpu.texts("riscv,isa-extensions", &extensions).text("riscv,isa-base", "rv64i").text("riscv,isa", &facts.isa);
        cpu.text("mmu-type", &format!("riscv,{}", facts.mmu));
        let mut intc = Node::new("interrupt-controller");
        intc.cells("#interrupt-cells", &[1]).flag("interrupt-controller").text("compatible", "riscv,cpu-intc").cells("phandle", &[CPU0 + 2 * i + 1]);
        cpu.push(intc);
        cpus.push(cpu);
    }
    let mut cluster = Node::new("cluster0");
    for i in 0..map.cpus {
        cluster.child_mut(&format!("core{i}")).cells("cpu", &[CPU0 + 2 * i]);
    }
    cpus.child_mut("cpu-map").push(cluster);
    cpus
}

/// The tree without `/chosen`'s part of this boot.
pub fn tree(map: &Map, facts: &Facts) -> Fdt {
    let mut fdt = Fdt::default();
    let root = &mut fdt.root;
    root.cells("#address-cells", &[2]).cells("#size-cells", &[2]).text("compatible", "riscv-virtio").text("model", "riscv-virtio,qemu");
    for (name, value) in [("poweroff", 0x5555), ("reboot", 0x7777)] {
        let node = root.child_mut(name);
        node.cells("value", &[value]).cells("offset", &[0]).cells("regmap", &[TEST]).text("compatible", &format!("syscon-{name}"));
    }
    root.push(cpus(map, facts));
    let mut soc = Node::new("soc");
    soc.cells("#address-cells", &[2]).cells("#size-cells", &[2]).text("compatible", "simple-bus").flag("ranges");
    for row in &map.rows {
        device(root, &mut soc, map, row);
    }
    root.child_mut("aliases");
    root.child_mut("chosen");
    if let Some(uart) = map.first(Kind::Ns16550a) {
        let path = format!("/soc/serial@{:x}", uart.base);
        root.child_mut("aliases").text("serial0", &path);
        root.child_mut("chosen").text("stdout-path", &path);
    }
    root.push(soc);
    fdt
}

fn device(root: &mut Node, soc: &mut Node, map: &Map, row: &Row) {
    match row.kind {
        Kind::ResetRom => (),
        Kind::SifiveTest => {
            let mut node = at("test", row);
            node.cells("phandle", &[TEST]).texts("compatible", &["sifive,test1", "sifive,test0", "syscon"]);
            soc.push(node);
        }
        Kind::GoldfishRtc => {
            let mut node = at("rtc", row);
            node.text("compatible", "google,goldfish-rtc");
            soc.push(node);
        }
        Kind::Aclint => {
            let mut node = at("clint", row);
            node.cells("interrupts-extended", &extended(map, [local::MACHINE_SOFTWARE, local::MACHINE_TIMER]));
            node.texts("compatible", &["sifive,clint0", "riscv,clint0"]);
            soc.push(node);
        }
        Kind::Plic => {
            let mut node = at("plic", row);
            node.cells("phandle", &[PLIC]).cells("riscv,ndev", &[SOURCES]);
            node.cells("interrupts-extended", &extended(map, [local::MACHINE_EXTERNAL, local::SUPERVISOR_EXTERNAL]));
            node.flag("interrupt-controller").texts("compatible", &["sifive,plic-1.0.0", "riscv,plic0"]);
            node.cells("#address-cells", &[0]).cells("#interrupt-cells", &[1]);
            soc.push(node);
        }
        Kind::Ns16550a => {
            let mut node = at("serial", row);
            node.cells("clock-frequency", &[3_686_400]).text("compatible", "ns16550a");
            soc.push(node);
        }
        Kind::VirtioMmio => {
            let mut node = at("virtio_mmio", row);
            node.text("compatible", "virtio,mmio");
            soc.push(node);
        }
        Kind::FwCfg => {
            let mut node = at("fw-cfg", row);
            node.flag("dma-coherent").text("compatible", "qemu,fw-cfg-mmio");
            root.push(node);
        }
        // The banks are one node, made at the first of them.
        Kind::CfiFlash if map.first(Kind::CfiFlash) == Some(row) => {
            let reg: Vec<u64> = map.rows.iter().filter(|r| r.kind == Kind::CfiFlash).flat_map(|r| [r.base, r.size]).collect();
            let mut node = at("flash", row);
            node.cells("bank-width", &[4]).cells64("reg", &reg).text("compatible", "cfi-flash");
            root.push(node);
        }
        Kind::CfiFlash => (),
        Kind::Ram => {
            let mut node = at("memory", row);
            node.text("device_type", "memory");
            root.push(node);
        }
    }
}
