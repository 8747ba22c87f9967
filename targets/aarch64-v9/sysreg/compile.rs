//! Compiles `sysreg/*.sysreg` to `sysregs.rs`: the table of rows, and a constant for the word of each stored register. For the build script.
//!
//! A line is `NAME op0,op1,CRn,CRm,op2 EL0 EL1 ATTRIBUTE...`; the access columns are `-`, `r`, `w` or `rw`, EL0's may name a check
//! (`r:uct`). `NAME<n>` with the attribute `n=0-5` stands for several rows; its numbers may say `n`, `n%8` and `K+n/8`. Attributes:
//! `word` plain storage; `=NAME` the storage of another row; `id` a constant of the CPU model; `zero` reads as zero, ignores writes;
//! `bank` the machine has it; `read=f` and `write=f` functions of `behaviour`; `reset=`, `mask=` (writable bits), `ones=` (bits that read as
//! one) numbers; `?FEAT_X` the feature without which it is UNDEFINED. A line `internal NAME` is a word that no instruction names.

use std::fmt::Write;
use std::path::Path;

fn number(text: &str) -> u64 {
    let text = text.replace('_', "");
    let value = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    value.unwrap_or_else(|_| panic!("{text}: not a number"))
}

fn evaluate(text: &str, n: u64) -> u64 {
    if let Some((base, _)) = text.split_once("+n/8") {
        return number(base) + n / 8;
    }
    match text {
        "n" => n,
        "n%8" => n % 8,
        _ => number(text),
    }
}

fn rights(text: &str) -> u8 {
    match text {
        "-" => 0,
        "r" => 1,
        "w" => 2,
        "rw" => 3,
        _ => panic!("{text}: not an access"),
    }
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add(&mut self, name: &str) -> usize {
        assert!(!self.0.iter().any(|w| w == name), "{name} is there twice");
        self.0.push(name.to_owned());
        self.0.len() - 1
    }
    fn find(&self, name: &str) -> usize {
        self.0.iter().position(|w| w == name).unwrap_or_else(|| panic!("{name}: no such word above"))
    }
}

/// The source text of the table.
pub fn compile(folder: &Path) -> String {
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the sysreg folder exists").filter_map(|e| e.ok().map(|e| e.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "sysreg"));
    files.sort();
    let mut words = Words::default();
    let mut rows: Vec<(u64, String)> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a table can be read");
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or("").trim();
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[..] {
                [] => {}
                ["internal", name] => {
                    words.add(name);
                }
                [name, encoding, el0, el1, ref attributes @ ..] => row(name, encoding, el0, el1, attributes, &mut words, &mut rows),
                _ => panic!("{}: {line}: too short", file.display()),
            }
        }
    }
    rows.sort();
    for pair in rows.windows(2) {
        assert!(pair[0].0 != pair[1].0, "two rows with encoding {:#06x}: {} and {}", pair[0].0, pair[0].1, pair[1].1);
    }
    let mut out = format!("/// Every row, by encoding.\npub static ROWS: [Row; {}] = [\n", rows.len());
    for (_, text) in &rows {
        let _ = writeln!(out, "    {text},");
    }
    out += "];\n\n/// Index in `State::sysreg` of each stored register.\n#[allow(missing_docs, non_upper_case_globals)]\npub mod word {\n";
    for (i, name) in words.0.iter().enumerate() {
        let _ = writeln!(out, "    pub const {name}: usize = {i};");
    }
    let _ = writeln!(out, "}}\n\n/// Number of words in use.\npub const WORDS: usize = {};", words.0.len());
    out
}

fn row(name: &str, encoding: &str, el0: &str, el1: &str, attributes: &[&str], words: &mut Words, rows: &mut Vec<(u64, String)>) {
    let range = attributes.iter().find_map(|a| a.strip_prefix("n=")).map_or((0, 0), |r| {
        let (from, to) = r.split_once('-').unwrap_or_else(|| panic!("{name}: n={r}"));
        (number(from), number(to))
    });
    for n in range.0..=range.1 {
        let name = name.replace("<n>", &n.to_string());
        let parts: Vec<u64> = encoding.split(',').map(|p| evaluate(p, n)).collect();
        let [op0, op1, crn, crm, op2] = parts[..] else { panic!("{name}: {encoding}: five numbers are needed") };
        let key = op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;
        let (el0, check) = el0.split_once(':').map_or((el0, None), |(r, c)| (r, Some(c)));
        let (mut word, mut id, mut zero, mut bank) = (None, false, false, false);
        let (mut read, mut write, mut feature) = (None, None, None);
        let (mut reset, mut mask, mut ones) = (0, u64::MAX, 0);
        for a in attributes {
            match *a {
                "word" => word = Some(words.add(&name)),
                "id" => id = true,
                "zero" => zero = true,
                "bank" => bank = true,
                _ => match a.split_once('=') {
                    Some(("", other)) => word = Some(words.find(&other.replace("<n>", &n.to_string()))),
                    Some(("read", f)) => read = Some(f),
                    Some(("write", f)) => write = Some(f),
                    Some(("reset", v)) => reset = number(v),
                    Some(("mask", v)) => mask = number(v),
                    Some(("ones", v)) => ones = number(v),
                    Some(("n", _)) => {}
                    _ => feature = Some(a.strip_prefix("?FEAT_").unwrap_or_else(|| panic!("{name}: {a}: unknown attribute"))),
                },
            }
        }
        let read = match (read, word) {
            (Some(f), _) => format!("Read::Function(behaviour::{f})"),
            (None, Some(_)) => "Read::Word".into(),
            _ if id => "Read::Id".into(),
            _ if bank => "Read::Bank".into(),
            _ if zero => "Read::Zero".into(),
            _ => "Read::None".into(),
        };
        let write = match (write, word) {
            (Some(f), _) => format!("Write::Function(behaviour::{f})"),
            (None, Some(_)) => "Write::Word".into(),
            _ if bank => "Write::Bank".into(),
            _ if zero => "Write::Ignore".into(),
            _ => String::from("Write::None"),
        };
        let check = check.map_or("Check::None".to_owned(), |c| match c {
            "uct" => "Check::Uct".into(),
            "uma" => "Check::Uma".into(),
            f => format!("Check::Function(behaviour::{f})"),
        });
        let feature = feature.map_or("None".to_owned(), |f| format!("Some(Feature::{f})"));
        let word = word.map_or("NO_WORD".to_owned(), |w| w.to_string());
        rows.push((
            key,
            format!(
                "Row {{ name: {name:?}, key: {key:#06x}, el0: {}, el1: {}, check: {check}, feature: {feature}, word: {word}, number: {n}, \
                 reset: {reset:#x}, writable: {mask:#x}, ones: {ones:#x}, read: {read}, write: {write} }}",
                rights(el0),
                rights(el1)
            ),
        ));
    }
}
