//! Comparing two emulators over a list of cases, and telling what differs.

use crate::case::{Case, EXIT, Pools};
use crate::deviation::{self, Deviation};
use crate::encoding::{ALL, EXTRAS, Encoding};
use crate::engine::{Engine, Line, State, ec};
use crate::layout::{REGIONS, state};
use emu_test_kit::{Error, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cases to an image: what fits its mapping with room to spare.
const CHUNK: usize = 40_000;

/// Mismatches of one name that are looked at in full; of sequences more.
const SHOWN_PER_NAME: usize = 2;
const SHOWN_SEQUENCES: usize = 12;
/// Other mismatches that are looked at in full at most.
const SHOWN: usize = 300;
/// Data aborts that are looked at in full at most: what more there are count as mismatches.
const ABORTS: usize = 3000;

/// What the two did with one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The oracle's line.
    pub oracle: Option<Line>,
    /// The line of the emulator under test.
    pub tested: Option<Line>,
}

/// Runs the cases under both, at the same time.
pub fn run_both(oracle: &Engine, tested: &Engine, cases: &[Case], pools: &Pools) -> Result<Vec<Outcome>> {
    let mut all = Vec::with_capacity(cases.len());
    for chunk in cases.chunks(CHUNK) {
        let (a, b) = std::thread::scope(|scope| {
            let other = scope.spawn(|| oracle.run(chunk, pools));
            let tested = tested.run(chunk, pools);
            let failed = || Err(Error("the oracle's thread failed".into()));
            (other.join().unwrap_or_else(|_| failed()), tested)
        });
        all.extend(a?.into_iter().zip(b?).map(|(oracle, tested)| Outcome { oracle, tested }));
    }
    Ok(all)
}

/// Runs the cases under the oracle alone.
pub fn run_oracle(oracle: &Engine, cases: &[Case], pools: &Pools) -> Result<Vec<Option<Line>>> {
    let mut all = Vec::with_capacity(cases.len());
    for chunk in cases.chunks(CHUNK) {
        all.extend(oracle.run(chunk, pools)?);
    }
    Ok(all)
}

/// Counts for one encoding (or for the sequences).
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// Cases.
    pub cases: usize,
    /// Cases that the oracle ended with the exit SVC.
    pub completed: usize,
    /// Cases that are UNDEFINED under the oracle.
    pub undefined: usize,
    /// Cases that did not agree.
    pub mismatches: usize,
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Report {
    /// Counts by name.
    pub names: BTreeMap<&'static str, Count>,
    /// Differences that are no failures, by kind.
    pub deviations: BTreeMap<Deviation, usize>,
    /// Mismatches, each described.
    pub shown: Vec<String>,
    /// Encodings that the oracle does not know: each case was UNDEFINED there, and none was judged.
    pub unknown: Vec<&'static str>,
}

impl Report {
    /// Cases that did not agree.
    pub fn mismatches(&self) -> usize {
        self.names.values().map(|c| c.mismatches).sum()
    }

    /// A sentence for the differences that are no failures.
    pub fn allowed(&self) -> String {
        let kinds: Vec<String> = self.deviations.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        if kinds.is_empty() { "no allowed differences".into() } else { format!("allowed differences: {}", kinds.join("; ")) }
    }

    /// Names with mismatches.
    pub fn failing(&self) -> Vec<&'static str> {
        self.names.iter().filter(|(_, c)| c.mismatches > 0).map(|(n, _)| *n).collect()
    }

    /// A table: a line a class with the number of encodings, those of them that are always UNDEFINED in
    /// the oracle, the least cases of one of the others that are not, all cases, those that ran to the end, and the mismatches; then the sum.
    pub fn table(&self) -> String {
        #[derive(Default)]
        struct Row {
            encodings: usize,
            undefined: usize,
            least: Option<usize>,
            cases: usize,
            completed: usize,
            mismatches: usize,
        }
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        for (name, count) in &self.names {
            let class = find(name).map_or("sequence", |e| e.class);
            for key in [class, "~ all"] {
                let row = rows.entry(key).or_default();
                let defined = count.cases - count.undefined;
                if defined == 0 {
                    row.undefined += 1;
                } else {
                    row.least = Some(row.least.map_or(defined, |l| l.min(defined)));
                }
                row.encodings += 1;
                row.cases += count.cases;
                row.completed += count.completed;
                row.mismatches += count.mismatches;
            }
        }
        let mut out = format!(
            "{:32} {:>9} {:>9} {:>11} {:>8} {:>9} {:>10}\n",
            "class", "encodings", "undefined", "min defined", "cases", "completed", "mismatches"
        );
        for (class, r) in rows {
            let _ = writeln!(
                out,
                "{class:32} {:9} {:9} {:11} {:8} {:9} {:10}",
                r.encodings,
                r.undefined,
                r.least.unwrap_or(0),
                r.cases,
                r.completed,
                r.mismatches
            );
        }
        out
    }
}

fn find(name: &str) -> Option<&'static Encoding> {
    ALL.iter().chain(EXTRAS).find(|e| e.name == name)
}

/// Judges the outcomes; the mismatches are run again, alone and verbose, and described.
pub fn judge(oracle: &Engine, tested: &Engine, cases: &[Case], outcomes: &[Outcome], pools: &Pools) -> Result<Report> {
    let mut report = Report::default();
    for (case, outcome) in cases.iter().zip(outcomes) {
        let count = report.names.entry(case.name).or_default();
        count.cases += 1;
        if let Some(line) = outcome.oracle {
            count.completed += usize::from(line.class == ec::SVC);
            count.undefined += usize::from(line.class == ec::UNKNOWN);
        }
    }
    let mut suspects: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, (case, outcome)) in cases.iter().zip(outcomes).enumerate() {
        let agree = outcome.oracle.is_some() && outcome.oracle == outcome.tested;
        if !agree {
            report.names.entry(case.name).or_default().mismatches += 1;
            suspects.entry(case.name).or_default().push(i);
        }
    }
    // Data aborts first: only the whole states tell whether they may differ.
    let aborted = |i: &usize| outcomes[*i].tested.is_some_and(|l: Line| matches!(l.class, ec::DATA_ABORT | ec::PC_ALIGNMENT));
    let mut chosen: Vec<usize> = suspects.values().flatten().copied().filter(aborted).take(ABORTS).collect();
    let aborts = chosen.len();
    for (name, list) in &suspects {
        let shown = if *name == "sequence" { SHOWN_SEQUENCES } else { SHOWN_PER_NAME };
        chosen.extend(list.iter().filter(|i| !aborted(i)).take(shown));
    }
    chosen.truncate(aborts + SHOWN);
    let again: Vec<Case> = chosen.iter().map(|i| cases[*i].clone()).collect();
    if again.is_empty() {
        return Ok(report);
    }
    let a = oracle.states(&again, pools)?;
    let b = tested.states(&again, pools)?;
    for ((case, a), b) in again.iter().zip(&a).zip(&b) {
        let mut kind = a.as_ref().zip(b.as_ref()).and_then(|(a, b)| deviation::of(a, b));
        if kind.is_none() && !report.deviations.is_empty() {
            let alone = std::slice::from_ref(case);
            let (a, b) = (oracle.states(alone, pools)?, tested.states(alone, pools)?);
            kind = (a[0].is_some() && a == b).then_some(deviation::Deviation::LeftOver);
        }
        if let Some(kind) = kind {
            *report.deviations.entry(kind).or_default() += 1;
            if let Some(count) = report.names.get_mut(case.name) {
                count.mismatches -= 1;
            }
        } else {
            let mut text = describe(case, pools, a.as_ref(), b.as_ref());
            if case.name == "sequence" && report.shown.len() < SHOWN_SEQUENCES {
                text += &first_difference(oracle, tested, case, pools)?;
            }
            report.shown.push(text);
        }
    }
    Ok(report)
}

/// Runs the sequence's beginnings of every length (the rest of its words replaced by the exit, so that
/// branches still land on one) and describes the first that differs: its last instruction is to blame.
fn first_difference(oracle: &Engine, tested: &Engine, case: &Case, pools: &Pools) -> Result<String> {
    let beginnings: Vec<Case> = (1..case.code.len())
        .map(|len| {
            let mut part = case.clone();
            part.code[len..].fill(EXIT);
            part
        })
        .collect();
    let outcomes = run_both(oracle, tested, &beginnings, pools)?;
    let Some(at) = outcomes.iter().position(|o| o.oracle.is_none() || o.oracle != o.tested) else {
        return Ok("  no beginning of it differs\n".into());
    };
    let mut steps = vec![beginnings[at].clone()];
    if at > 0 {
        steps.push(beginnings[at - 1].clone());
    }
    let (a, b) = (oracle.states(&steps, pools)?, tested.states(&steps, pools)?);
    let word = case.code[at];
    let mut out = format!("  first difference at word {at}: {word:08x}  {}\n", disassemble(&[word])[0]);
    if let (Some(a), Some(b)) = (&a[0], &b[0]) {
        differences(&mut out, a, b);
    }
    if let Some(Some(before)) = a.get(1) {
        out += "  before it:";
        let registers = [word & 31, word >> 5 & 31, word >> 16 & 31, word >> 10 & 31];
        for r in registers.iter().filter(|r| **r < 31) {
            let v = state::V + 16 * r;
            let _ = write!(out, "\n    x{r} {:016x}    v{r} {:016x}{:016x}", before.registers[*r as usize], before.at(v + 8), before.at(v));
        }
        let _ = writeln!(
            out,
            "\n    SPSR {:x} FPCR {:x} FPSR {:x} SP {:x}",
            before.at(state::SPSR),
            before.at(state::FPCR),
            before.at(state::FPSR),
            before.at(state::SP)
        );
    }
    Ok(out)
}

/// The case and what differs.
pub fn describe(case: &Case, pools: &Pools, oracle: Option<&State>, tested: Option<&State>) -> String {
    let mut out = String::new();
    let words: Vec<u32> = case.words().collect();
    let encoding = find(case.name);
    let _ = writeln!(out, "{} case {}{}", case.name, case.index, encoding.map_or(String::new(), |e| format!(" ({})", e.class)));
    for (word, text) in words.iter().zip(disassemble(&words)) {
        let _ = writeln!(out, "    {word:08x}  {text}");
    }
    let _ = write!(out, "  before: NZCV {:x} FPCR {:08x} FPSR {:08x} SP {:x}", case.nzcv, case.fpcr, case.fpsr, case.sp);
    let mut used: Vec<u32> = Vec::new();
    if let Some(e) = encoding {
        let word = case.code[case.entry];
        used = e.fields.iter().filter(|f| f.is_register()).map(|f| f.get(word)).collect();
        used.sort_unstable();
        used.dedup();
    }
    let vectors = &pools.vectors[case.vectors].1;
    for r in &used {
        if *r < 31 {
            let _ = write!(out, "\n    x{r} {:016x}", case.x[*r as usize]);
        } else {
            let _ = write!(out, "\n    r31");
        }
        let _ = write!(out, "    v{r} {:032x}", vectors[*r as usize]);
    }
    out.push('\n');
    match (oracle, tested) {
        (Some(a), Some(b)) => {
            let _ = writeln!(out, "  after:  {:>34}  {:>34}", "oracle", "tested");
            let before = differences(&mut out, a, b);
            if before == 0 {
                out.push_str("    no difference when the case runs alone: an earlier case left something behind\n");
            }
        }
        (a, b) => {
            let say = |s: Option<&State>| if s.is_some() { "finished" } else { "stopped (crash, hang or fatal exception)" };
            let _ = writeln!(out, "  the oracle {}; the tested emulator {}", say(a), say(b));
        }
    }
    out
}

/// Writes the differing registers and memory words; returns how many.
fn differences(out: &mut String, a: &State, b: &State) -> usize {
    let mut count = 0;
    let mut line = |name: String, x: &str, y: &str| {
        if x != y {
            count += 1;
            let _ = writeln!(out, "    {name:12}{x:>32}  {y:>32}");
        }
    };
    let hex = |v: u64| format!("{v:016x}");
    for i in 0..31 {
        line(format!("x{i}"), &hex(a.registers[i]), &hex(b.registers[i]));
    }
    for (offset, name) in [
        (state::SP, "sp"),
        (state::ELR, "ELR"),
        (state::SPSR, "SPSR"),
        (state::ESR, "ESR"),
        (state::FAR, "FAR"),
        (state::FPCR, "FPCR"),
        (state::FPSR, "FPSR"),
    ] {
        line(name.into(), &hex(a.at(offset)), &hex(b.at(offset)));
    }
    let v = |s: &State, i: u32| format!("{:016x}{:016x}", s.at(state::V + 16 * i + 8), s.at(state::V + 16 * i));
    for i in 0..32 {
        line(format!("v{i}"), &v(a, i), &v(b, i));
    }
    let mut word = 0;
    for (address, len) in REGIONS {
        for offset in (0..len).step_by(8) {
            line(format!("[{:x}]", address + offset), &hex(a.memory[word]), &hex(b.memory[word]));
            word += 1;
        }
    }
    count
}

/// Assembly text of the words, when a disassembler is at hand; else empty lines.
pub fn disassemble(words: &[u32]) -> Vec<String> {
    objdump(words).unwrap_or_else(|| vec![String::new(); words.len()])
}

fn objdump(words: &[u32]) -> Option<Vec<String>> {
    let tool = in_path("aarch64-linux-gnu-objdump")?;
    let path = std::env::temp_dir().join(format!("emu-differential-{}-{:?}.bin", std::process::id(), std::thread::current().id()));
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    std::fs::write(&path, bytes).ok()?;
    let done = Command::new(tool).args(["-D", "-b", "binary", "-m", "aarch64", "-M", "no-notes"]).arg(&path).output();
    let _ = std::fs::remove_file(&path);
    let text = String::from_utf8(done.ok()?.stdout).ok()?;
    let lines: Vec<String> = text
        .lines()
        .filter_map(|l| l.trim_start().split_once(":\t"))
        .map(|(_, rest)| rest.split_once('\t').map_or("", |(_, asm)| asm).replace('\t', " "))
        .collect();
    (lines.len() == words.len()).then_some(lines)
}

fn in_path(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|d| d.join(tool)).find(|p: &PathBuf| Path::is_file(p))
}
