//! Flattened device trees (Devicetree Specification 0.4, chapter 5): a tree of nodes with properties, written as and read from a DTB of
//! version 17.
//!
//! Order is kept: what is emitted has properties and children in the order in which they were added, so equal trees are equal bytes.

use std::fmt::Write;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
/// Oldest version that the structure block's form is compatible with.
const LAST_COMPATIBLE: u32 = 16;
const HEADER: usize = 40;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
/// Deepest tree that is read.
const MAX_DEPTH: usize = 64;

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name with its unit address; empty for the root.
    pub name: String,
    /// Properties.
    pub props: Vec<(String, Vec<u8>)>,
    /// Children.
    pub children: Vec<Node>,
}

impl Node {
    /// An empty node.
    pub fn new(name: impl Into<String>) -> Node {
        Node { name: name.into(), ..Node::default() }
    }
    /// Sets a property to bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) -> &mut Node {
        match self.props.iter_mut().find(|p| p.0 == name) {
            Some(p) => p.1 = value.to_vec(),
            None => self.props.push((name.into(), value.to_vec())),
        }
        self
    }
    /// Sets a property without a value.
    pub fn flag(&mut self, name: &str) -> &mut Node {
        self.bytes(name, &[])
    }
    /// Sets a property to 32-bit cells.
    pub fn cells(&mut self, name: &str, cells: &[u32]) -> &mut Node {
        self.bytes(name, &cells.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<_>>())
    }
    /// Sets a property to 64-bit numbers of two cells each.
    pub fn cells64(&mut self, name: &str, values: &[u64]) -> &mut Node {
        self.bytes(name, &values.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<_>>())
    }
    /// Sets a property to a string.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Node {
        self.texts(name, &[text])
    }
    /// Sets a property to a list of strings.
    pub fn texts(&mut self, name: &str, texts: &[&str]) -> &mut Node {
        self.bytes(name, &texts.iter().flat_map(|t| t.bytes().chain([0])).collect::<Vec<_>>())
    }
    /// A property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.props.iter().find(|p| p.0 == name).map(|p| &p.1[..])
    }
    /// A property of one cell.
    pub fn get_u32(&self, name: &str) -> Option<u32> {
        self.get(name)?.try_into().ok().map(u32::from_be_bytes)
    }
    /// The first string of a property.
    pub fn get_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?.split(|b| *b == 0).next()?).ok()
    }
    /// Adds a child.
    pub fn push(&mut self, child: Node) -> &mut Node {
        self.children.push(child);
        self
    }
    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|c| c.name == name)
    }
    /// The child of that name, made if it does not exist.
    pub fn child_mut(&mut self, name: &str) -> &mut Node {
        let at = self.children.iter().position(|c| c.name == name).unwrap_or_else(|| {
            self.children.push(Node::new(name));
            self.children.len() - 1
        });
        &mut self.children[at]
    }
}

/// A tree with its memory reservations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fdt {
    /// The root node, whose name is empty.
    pub root: Node,
    /// Reserved memory: address and size.
    pub reserved: Vec<(u64, u64)>,
    /// Physical identifier of the CPU that boots.
    pub boot_cpu: u32,
}

fn align(v: &mut Vec<u8>) {
    v.resize(v.len().next_multiple_of(4), 0);
}

fn cell(v: &mut Vec<u8>, x: u32) {
    v.extend_from_slice(&x.to_be_bytes());
}

/// The structure and strings blocks as they grow.
#[derive(Default)]
struct Blocks {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Blocks {
    fn string(&mut self, s: &str) -> u32 {
        let mut wanted = s.as_bytes().to_vec();
        wanted.push(0);
        let mut at = 0;
        // Whole strings only: the names are few, and sharing tails is not worth a search of every offset.
        while at < self.strings.len() {
            let end = at + self.strings[at..].iter().position(|b| *b == 0).unwrap_or(0) + 1;
            if self.strings[at..end] == wanted[..] {
                return at as u32;
            }
            at = end;
        }
        self.strings.extend(wanted);
        at as u32
    }
    fn node(&mut self, node: &Node) {
        cell(&mut self.structure, BEGIN_NODE);
        self.structure.extend_from_slice(node.name.as_bytes());
        self.structure.push(0);
        align(&mut self.structure);
        for (name, value) in &node.props {
            let name = self.string(name);
            cell(&mut self.structure, PROP);
            cell(&mut self.structure, value.len() as u32);
            cell(&mut self.structure, name);
            self.structure.extend_from_slice(value);
            align(&mut self.structure);
        }
        node.children.iter().for_each(|c| self.node(c));
        cell(&mut self.structure, END_NODE);
    }
}

impl Fdt {
    /// The DTB.
    pub fn emit(&self) -> Vec<u8> {
        let mut b = Blocks::default();
        b.node(&self.root);
        cell(&mut b.structure, END);
        let reserved = HEADER;
        let structure = reserved + 16 * (self.reserved.len() + 1);
        let strings = structure + b.structure.len();
        let total = strings + b.strings.len();
        let mut out = Vec::with_capacity(total);
        for x in [
            MAGIC,
            total as u32,
            structure as u32,
            strings as u32,
            reserved as u32,
            VERSION,
            LAST_COMPATIBLE,
            self.boot_cpu,
            b.strings.len() as u32,
            b.structure.len() as u32,
        ] {
            cell(&mut out, x);
        }
        for (address, size) in self.reserved.iter().chain(&[(0, 0)]) {
            out.extend_from_slice(&address.to_be_bytes());
            out.extend_from_slice(&size.to_be_bytes());
        }
        out.extend(b.structure);
        out.extend(b.strings);
        out
    }
    /// Reads a DTB of version 16 or 17. The error says what is wrong with it.
    pub fn parse(dtb: &[u8]) -> Result<Fdt, String> {
        let field = |i: usize| word(dtb, 4 * i);
        if field(0).map_err(|_| "it is shorter than a header")? != MAGIC {
            return Err("it does not begin with the magic number d00dfeed".into());
        }
        let total = field(1)? as usize;
        let dtb = dtb.get(..total).ok_or_else(|| format!("its header says {total} bytes, but it has only {}", dtb.len()))?;
        let (structure, strings, reserved) = (field(2)? as usize, field(3)? as usize, field(4)? as usize);
        if field(6)? > VERSION || field(5)? < LAST_COMPATIBLE {
            return Err(format!("it is of version {}, not {VERSION}", field(5)?));
        }
        let mut fdt = Fdt { boot_cpu: field(7)?, ..Fdt::default() };
        let mut at = reserved;
        loop {
            let entry = (
                u64::from(word(dtb, at)?) << 32 | u64::from(word(dtb, at + 4)?),
                u64::from(word(dtb, at + 8)?) << 32 | u64::from(word(dtb, at + 12)?),
            );
            if entry == (0, 0) {
                break;
            }
            fdt.reserved.push(entry);
            at += 16;
        }
        let mut p = Parser { dtb, at: structure, strings };
        if p.token()? != BEGIN_NODE {
            return Err("its structure does not begin with a node".into());
        }
        fdt.root = p.node(0)?;
        if p.token()? != END {
            return Err("something follows its root node".into());
        }
        Ok(fdt)
    }
    /// The node of a path, "/" being the root.
    pub fn find(&self, path: &str) -> Option<&Node> {
        path.split('/').filter(|s| !s.is_empty()).try_fold(&self.root, |n, s| n.child(s))
    }
    /// Replaces whatever the tree says about memory by one region, in the tree's own cells.
    pub fn set_memory(&mut self, base: u64, size: u64) {
        let is_memory = |n: &Node| n.get_text("device_type") == Some("memory") || n.name == "memory" || n.name.starts_with("memory@");
        self.root.children.retain(|n| !is_memory(n));
        let mut reg = Vec::new();
        for (value, cells) in [(base, "#address-cells"), (size, "#size-cells")] {
            let bytes = value.to_be_bytes();
            // Without the properties the specification's defaults hold, 2 and 1.
            let n = self.root.get_u32(cells).unwrap_or(if cells == "#address-cells" { 2 } else { 1 }).clamp(1, 2) as usize;
            reg.extend_from_slice(&bytes[8 - 4 * n..]);
        }
        let mut memory = Node::new(format!("memory@{base:x}"));
        memory.text("device_type", "memory").bytes("reg", &reg);
        self.root.push(memory);
    }
    /// The tree as text, near to what `dtc` writes.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        text(&self.root, 0, &mut out);
        out
    }
}

fn word(b: &[u8], at: usize) -> Result<u32, String> {
    let end = at.checked_add(4).ok_or("an offset in it is too large")?;
    let bytes = b.get(at..end).ok_or("it is cut short")?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

struct Parser<'a> {
    dtb: &'a [u8],
    at: usize,
    strings: usize,
}

impl Parser<'_> {
    fn token(&mut self) -> Result<u32, String> {
        loop {
            let t = word(self.dtb, self.at)?;
            self.at += 4;
            if t != NOP {
                return Ok(t);
            }
        }
    }
    fn string(&self, at: usize) -> Result<String, String> {
        let rest = self.dtb.get(at..).ok_or("it is cut short")?;
        let end = rest.iter().position(|b| *b == 0).ok_or("a string in it has no end")?;
        String::from_utf8(rest[..end].to_vec()).map_err(|_| "a name in it is not text".into())
    }
    fn node(&mut self, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("its nodes are nested more than {MAX_DEPTH} deep"));
        }
        let mut node = Node::new(self.string(self.at)?);
        self.at = (self.at + node.name.len() + 1).next_multiple_of(4);
        loop {
            match self.token()? {
                BEGIN_NODE => node.children.push(self.node(depth + 1)?),
                END_NODE => return Ok(node),
                PROP => {
                    let (len, name) = (word(self.dtb, self.at)? as usize, word(self.dtb, self.at + 4)? as usize);
                    let start = self.at + 8;
                    let value = start.checked_add(len).and_then(|end| self.dtb.get(start..end)).ok_or("a property in it is cut short")?;
                    node.props.push((self.string(self.strings.saturating_add(name))?, value.to_vec()));
                    self.at = (start + len).next_multiple_of(4);
                }
                t => return Err(format!("there is a token {t:#x} in it that does not exist")),
            }
        }
    }
}

fn text(node: &Node, depth: usize, out: &mut String) {
    let pad = "    ".repeat(depth);
    let _ = writeln!(out, "{pad}{} {{", if node.name.is_empty() { "/" } else { &node.name });
    for (name, value) in &node.props {
        let _ = match printable(value) {
            _ if value.is_empty() => writeln!(out, "{pad}    {name};"),
            Some(strings) => writeln!(out, "{pad}    {name} = {strings};"),
            None if value.len() % 4 == 0 => {
                let cells: Vec<_> = value.chunks(4).map(|c| format!("{:#x}", c.iter().fold(0u32, |v, b| v << 8 | u32::from(*b)))).collect();
                writeln!(out, "{pad}    {name} = <{}>;", cells.join(" "))
            }
            None => writeln!(out, "{pad}    {name} = [{}];", value.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")),
        };
    }
    node.children.iter().for_each(|c| text(c, depth + 1, out));
    let _ = writeln!(out, "{pad}}};");
}

/// A list of non-empty printable strings, if the value is one.
fn printable(value: &[u8]) -> Option<String> {
    let body = value.strip_suffix(&[0])?;
    let strings: Vec<_> = body.split(|b| *b == 0).collect();
    let good = strings.iter().all(|s| !s.is_empty() && s.iter().all(|b| (0x20..0x7f).contains(b)));
    good.then(|| strings.iter().map(|s| format!("\"{}\"", String::from_utf8_lossy(s))).collect::<Vec<_>>().join(", "))
}

/// What of this boot goes into `/chosen`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Command line.
    pub bootargs: Option<String>,
    /// Initial RAM disk: first address and the one behind the last.
    pub initrd: Option<(u64, u64)>,
    /// kaslr-seed and rng-seed.
    pub seeds: Option<(u64, [u8; 32])>,
}

/// Puts what belongs to this boot into a tree, the board's own or the user's.
pub fn choose(fdt: &mut Fdt, chosen: &Chosen) {
    let node = fdt.root.child_mut("chosen");
    if let Some(args) = &chosen.bootargs {
        node.text("bootargs", args);
    }
    if let Some((start, end)) = chosen.initrd {
        node.cells64("linux,initrd-start", &[start]).cells64("linux,initrd-end", &[end]);
    }
    if let Some((kaslr, rng)) = &chosen.seeds {
        node.cells64("kaslr-seed", &[*kaslr]).bytes("rng-seed", rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emu_test_kit::Rng;

    fn sample() -> Fdt {
        let mut fdt = Fdt { reserved: vec![(0x4000_0000, 0x1000)], ..Fdt::default() };
        fdt.root.text("compatible", "linux,dummy-virt").cells("#address-cells", &[2]).cells("#size-cells", &[2]);
        let mut node = Node::new("uart@9000000");
        node.texts("compatible", &["arm,pl011", "arm,primecell"]).cells64("reg", &[0x900_0000, 0x1000]).flag("dma-coherent").bytes("odd", &[1, 2, 3]);
        fdt.root.push(node);
        fdt
    }

    #[test]
    fn emits_what_the_specification_says() {
        let dtb = sample().emit();
        let w = |i: usize| word(&dtb, 4 * i).unwrap();
        assert_eq!((w(0), w(1) as usize, w(5), w(6)), (MAGIC, dtb.len(), 17, 16));
        assert_eq!((w(4), w(2)), (40, 40 + 32));
        assert_eq!(w(2) as usize + w(9) as usize, w(3) as usize, "strings follow the structure");
        assert_eq!(word(&dtb, w(2) as usize), Ok(BEGIN_NODE));
        let strings = &dtb[w(3) as usize..];
        assert_eq!(strings.windows(11).filter(|s| s == b"compatible\0").count(), 1, "names are shared");
    }

    #[test]
    fn round_trips() {
        let fdt = sample();
        assert_eq!(Fdt::parse(&fdt.emit()), Ok(fdt.clone()));
        assert_eq!(fdt.find("/uart@9000000").unwrap().get_text("compatible"), Some("arm,pl011"));
        assert!(fdt.find("/nothing").is_none());
        assert_eq!(
            fdt.to_text(),
            "/ {\n    compatible = \"linux,dummy-virt\";\n    #address-cells = <0x2>;\n    #size-cells = <0x2>;\n    uart@9000000 {\n        \
             compatible = \"arm,pl011\", \"arm,primecell\";\n        reg = <0x0 0x9000000 0x0 0x1000>;\n        dma-coherent;\n        \
             odd = [01 02 03];\n    };\n};\n"
        );
        let mut rng = Rng::announced("fdt::round_trips");
        fn random(rng: &mut Rng, depth: u64) -> Node {
            let mut n = Node::new(if depth == 0 { String::new() } else { format!("n{:x}", rng.below(1000)) });
            for i in 0..rng.below(5) {
                let value: Vec<u8> = (0..rng.below(20)).map(|_| rng.u64() as u8).collect();
                n.bytes(&format!("p{i}{}", rng.below(3)), &value);
            }
            if depth < 4 {
                n.children = (0..rng.below(4)).map(|_| random(rng, depth + 1)).collect();
            }
            n
        }
        for _ in 0..200 {
            let fdt = Fdt { root: random(&mut rng, 0), ..Fdt::default() };
            assert_eq!(Fdt::parse(&fdt.emit()), Ok(fdt));
        }
    }

    #[test]
    fn garbage_is_an_error() {
        let good = sample().emit();
        for cut in 0..good.len() {
            assert!(Fdt::parse(&good[..cut]).is_err(), "{cut}");
        }
        assert!(Fdt::parse(b"not a device tree at all, but long enough for a header").unwrap_err().contains("magic"));
        let mut rng = Rng::announced("fdt::garbage_is_an_error");
        let mut refused = 0;
        for _ in 0..5000 {
            let mut bad = good.clone();
            for _ in 0..1 + rng.below(4) {
                let at = 4 + rng.below(bad.len() as u64 - 4) as usize;
                bad[at] = rng.u64() as u8;
            }
            refused += u32::from(Fdt::parse(&bad).is_err());
        }
        assert!(refused > 500, "{refused}");
        let mut deep = Node::new("x");
        for _ in 0..100 {
            let mut outer = Node::new("x");
            outer.push(deep);
            deep = outer;
        }
        deep.name.clear();
        assert!(Fdt::parse(&Fdt { root: deep, ..Fdt::default() }.emit()).unwrap_err().contains("nested"));
    }

    #[test]
    fn memory_is_replaced_in_the_trees_cells() {
        let mut fdt = sample();
        fdt.root.push(Node::new("memory@80000000"));
        fdt.set_memory(0x4000_0000, 0x1_0000_0000);
        let m = fdt.find("/memory@40000000").unwrap();
        assert_eq!(m.get("reg").unwrap(), [0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert!(fdt.find("/memory@80000000").is_none());
        fdt.root.cells("#address-cells", &[1]).cells("#size-cells", &[1]);
        fdt.set_memory(0x4000_0000, 0x1000);
        assert_eq!(fdt.find("/memory@40000000").unwrap().get("reg").unwrap(), [0x40, 0, 0, 0, 0, 0, 0x10, 0]);
    }
}
