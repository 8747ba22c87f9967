//! The passes, text in and text out: every file in `goldens` has units in the IR's text form above a line `---` and what the passes make of
//! them below it. `EMU_BLESS=1` writes the lower half anew; what it changes is to be read before it is committed.
//!
//! Directives stand before the ops:
//! * `passes forward dead`: which run, in that order. What they remove is taken out at the end.
//! * `unit 0x1000 observed counts 0:1 2:3`: a unit begins; `observed` and `counts` (op and number of instructions) may be missing.
//!
//! State as these units see it: condition flags at 0x80 to 0x83, nothing below 0x20 is the ops' own, helper 0 leaves state alone, helper 1
//! does not, and the field at 0x40 is kept in a register.

use emu_ir::{NONE, Op, parse, print, result_width, verify};
use emu_opt::{Dead, Forward, Overwritten, StateInfo, UnitOps, compact};
use std::path::Path;

const STATE_BYTES: u64 = 4096;
const VL: u32 = 16;

fn info() -> StateInfo {
    StateInfo { flags: vec![0x80, 0x81, 0x82, 0x83], own: 0x20, kept: vec![0x40], helper_writes: vec![false, true] }
}

/// One file's upper half.
#[derive(Default)]
struct Case {
    passes: Vec<String>,
    ops: Vec<Op>,
    units: Vec<UnitOps>,
    /// Unit, and position in it with the number of instructions.
    counts: Vec<(usize, (u32, u32))>,
}

fn number(text: &str) -> u64 {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok());
    parsed.unwrap_or_else(|| panic!("`{text}` is no number"))
}

fn slots(ops: &[Op]) -> u32 {
    ops.iter().filter(|o| o.dst != NONE).map(|o| o.dst + result_width(o).map_or(1, |w| w.slots(VL))).max().unwrap_or(0)
}

impl Case {
    fn read(text: &str) -> Case {
        let mut case = Case::default();
        let mut body = String::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("passes") => case.passes = words.map(str::to_owned).collect(),
                Some("unit") => {
                    case.end_unit(&std::mem::take(&mut body));
                    let first = case.ops.len();
                    let mut unit = UnitOps { pc: number(words.next().expect("an address")), first, last: first, slots: 0, observed: false };
                    for word in words {
                        match (word, word.split_once(':')) {
                            ("observed", _) => unit.observed = true,
                            ("counts", _) => {}
                            (_, Some((at, n))) => case.counts.push((case.units.len(), (number(at) as u32, number(n) as u32))),
                            _ => panic!("`{word}` means nothing"),
                        }
                    }
                    case.units.push(unit);
                }
                _ => {
                    body += line;
                    body.push('\n');
                }
            }
        }
        case.end_unit(&body);
        case
    }
    fn end_unit(&mut self, text: &str) {
        let ops = parse(text).unwrap_or_else(|e| panic!("{e} of\n{text}"));
        let Some(unit) = self.units.last_mut() else {
            assert!(ops.is_empty(), "ops before the first unit");
            return;
        };
        self.ops.extend(&ops);
        (unit.last, unit.slots) = (self.ops.len(), slots(&ops));
    }
    fn verify(&self, when: &str) {
        for u in &self.units {
            if let Err(e) = verify(&self.ops[u.first..u.last], u.slots, VL, STATE_BYTES, 2) {
                panic!("{when}: unit {:#x}: {e}\n{}", u.pc, print(&self.ops[u.first..u.last]));
            }
        }
    }
    fn run(&mut self) {
        let info = info();
        for pass in &self.passes {
            match pass.as_str() {
                "forward" => self.units.iter().for_each(|u| Forward::default().run(&mut self.ops, u, &info)),
                "dead" => Dead::default().run(&mut self.ops, &self.units, &[], &info),
                "overwritten" => self.units.iter().for_each(|u| Overwritten::default().run(&mut self.ops, u, &[], &info)),
                _ => panic!("there is no pass `{pass}`"),
            }
        }
        let marks = self.counts.iter_mut().map(|(unit, (at, _))| (*unit, at));
        compact(&mut self.ops, &mut self.units, marks);
    }
    fn write(&self) -> String {
        let mut out = String::new();
        for (i, u) in self.units.iter().enumerate() {
            out += &format!("unit {:#x}", u.pc);
            out += if u.observed { " observed" } else { "" };
            for (n, (_, (at, insns))) in self.counts.iter().filter(|c| c.0 == i).enumerate() {
                out += if n == 0 { " counts" } else { "" };
                out += &format!(" {at}:{insns}");
            }
            out.push('\n');
            out += &print(&self.ops[u.first..u.last]);
        }
        out
    }
}

#[test]
fn goldens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let bless = std::env::var_os("EMU_BLESS").is_some_and(|v| v == "1");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 12, "{} goldens", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (upper, lower) = text.split_once("---\n").unwrap_or_else(|| panic!("{} has no line `---`", path.display()));
        let mut case = Case::read(upper);
        case.verify("as written");
        case.run();
        case.verify("after the passes");
        let made = case.write();
        if made == lower {
            continue;
        }
        if bless {
            std::fs::write(&path, format!("{upper}---\n{made}")).unwrap();
        } else {
            wrong.push(format!("{}: expected\n{lower}but got\n{made}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nEMU_BLESS=1 accepts all of this", wrong.join("\n"));
}
