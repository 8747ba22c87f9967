//! The target description: XML that names the registers in the order of their numbers.

use emu_plugins_api::{DebugLayout, debug_flag};
use std::fmt::Write;

/// Registers by number: where their bytes lie in a block of all.
pub struct Description {
    /// The XML.
    pub xml: String,
    /// Size in bytes of each register.
    pub sizes: Vec<usize>,
    /// How many registers, from the first on, are read at every stop.
    pub eager: usize,
    /// Number of the program counter.
    pub pc: u32,
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Description {
    /// From what the target says.
    pub fn new(layout: &DebugLayout) -> Description {
        let mut xml = String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n");
        let _ = writeln!(xml, "<architecture>{}</architecture>", escaped(layout.architecture.get()));
        let mut eager = 0;
        for feature in layout.features.get() {
            let _ = writeln!(xml, "<feature name=\"{}\">\n{}", escaped(feature.name.get()), feature.types.get());
            for r in feature.registers.get() {
                let _ = write!(xml, "<reg name=\"{}\" bitsize=\"{}\" type=\"{}\"", escaped(r.name.get()), r.bits, escaped(r.ty.get()));
                if !r.group.get().is_empty() {
                    let _ = write!(xml, " group=\"{}\"", escaped(r.group.get()));
                }
                xml += "/>\n";
            }
            xml += "</feature>\n";
            if feature.flags & debug_flag::EAGER != 0 {
                eager += feature.registers.get().len();
            }
        }
        xml += "</target>\n";
        let sizes = layout.registers().map(|r| r.bits as usize / 8).collect();
        Description { xml, sizes, eager, pc: layout.pc }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emu_plugins_api::{DebugFeature, DebugRegister, Slice, Str};

    const fn register(name: &'static str, bits: u32, group: &'static str) -> DebugRegister {
        DebugRegister { name: Str::new(name), ty: Str::new("int"), group: Str::new(group), bits, reserved: 0 }
    }
    static ONE: [DebugRegister; 2] = [register("a", 64, ""), register("b<", 32, "system")];
    static TWO: [DebugRegister; 1] = [register("c", 128, "")];
    static FEATURES: [DebugFeature; 2] = [
        DebugFeature { name: Str::new("one"), types: Str::new("<x/>"), registers: Slice::new(&ONE), flags: debug_flag::EAGER, reserved: 0 },
        DebugFeature { name: Str::new("two"), types: Str::new(""), registers: Slice::new(&TWO), flags: 0, reserved: 0 },
    ];

    #[test]
    fn registers_in_order() {
        let layout = DebugLayout { architecture: Str::new("toy"), features: Slice::new(&FEATURES), pc: 1, flags: 0 };
        let d = Description::new(&layout);
        assert_eq!((d.sizes, d.eager, d.pc), (vec![8, 4, 16], 2, 1));
        for part in [
            "<architecture>toy</architecture>",
            "<feature name=\"one\">\n<x/>\n<reg name=\"a\" bitsize=\"64\" type=\"int\"/>\n<reg name=\"b&lt;\" bitsize=\"32\" type=\"int\" group=\"system\"/>\n</feature>",
            "<reg name=\"c\" bitsize=\"128\" type=\"int\"/>\n</feature>\n</target>\n",
        ] {
            assert!(d.xml.contains(part), "{part}\n{}", d.xml);
        }
    }
}
