//! The developer's tool: compares chosen encodings, or sequences, against QEMU and shows what differs.
//!
//! ```text
//! diff [--filter TEXT]... [--cases N] [--seed S] [--case I] [--sequences N] [--all]
//!      [--cpu MODEL] [--tested qemu:MODEL | --tested "COMMAND {image}"] [--oracle qemu:MODEL]
//!      [--show N] [--list] [--pauth] [--exact]
//!      [--fpcr MASK] [--tcr-flip MASK]
//! ```
//! `--filter` keeps the encodings whose name or class contains one of the texts (in any case). By
//! default those that the decode tables implement are taken; `--all` takes all testable ones. `--case`
//! runs only the case of that number, with its whole final state. The emulator under test is the `emu`
//! of the same cargo profile, or `EMU_BIN`. `older:MODEL` is the QEMU of a stable suite. `--exact` judges
//! UNDEFINED too (see `singles_exactly`). `--fpcr 0x7` draws FEAT_AFP's bits of FPCR too, `0x2000` EBF.
//! `--tcr-flip 0x4000000000` sets TBI1 (see `Settings`).

use emu_test_differential::case::{Pools, Settings};
use emu_test_differential::encoding::{self, Encoding, Options};
use emu_test_differential::engine::Engine;
use emu_test_differential::{candidates, compare, generate, sequences, singles, singles_exactly, vocabulary};
use emu_test_kit::{Error, Result, rng};
use std::process::ExitCode;
use std::time::Instant;

struct Arguments {
    filters: Vec<String>,
    cases: u64,
    settings: Settings,
    case: Option<u64>,
    sequences: Option<u64>,
    all: bool,
    cpu: String,
    tested: Option<String>,
    oracle: Option<String>,
    show: usize,
    list: bool,
    exact: bool,
    options: Options,
}

fn parse() -> Result<Arguments> {
    let mut a = Arguments {
        filters: Vec::new(),
        cases: 100,
        settings: Settings::from(rng::seed_from_env().unwrap_or(1)),
        case: None,
        sequences: None,
        all: false,
        cpu: "max".into(),
        tested: None,
        oracle: None,
        show: 10,
        list: false,
        exact: false,
        options: Options::default(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or_else(|| Error(format!("{flag} needs a value")));
        let number = |text: String| rng::parse_seed(&text).ok_or_else(|| Error(format!("{text} is no number")));
        match flag.as_str() {
            "--filter" | "-f" => a.filters.push(value()?.to_lowercase()),
            "--cases" | "-n" => a.cases = number(value()?)?,
            "--seed" | "-s" => a.settings.seed = number(value()?)?,
            "--case" => a.case = Some(number(value()?)?),
            "--sequences" => a.sequences = Some(number(value()?)?),
            "--all" => a.all = true,
            "--cpu" => a.cpu = value()?,
            "--tested" => a.tested = Some(value()?),
            "--oracle" => a.oracle = Some(value()?),
            "--show" => a.show = number(value()?)? as usize,
            "--list" => a.list = true,
            "--fpcr" => a.settings.more_fpcr = number(value()?)?,
            "--tcr-flip" => a.settings.tcr_flip = number(value()?)?,
            "--exact" => a.exact = true,
            "--pauth" => a.options.pauth = true,
            _ => return Err(Error(format!("{flag} is no option; the options are at the top of examples/diff.rs"))),
        }
    }
    Ok(a)
}

fn engine(text: &str) -> Result<Engine> {
    match text.split_once(':') {
        Some(("older", cpu)) => Engine::older_qemu(cpu),
        Some(("qemu", cpu)) => Engine::qemu(cpu),
        Some(("emu", cpu)) => Engine::emu(cpu),
        _ if text.contains("{image}") => Ok(Engine::custom(text)),
        _ => Err(Error(format!("{text} is neither qemu:MODEL nor older:MODEL nor emu:MODEL nor a command with {{image}}"))),
    }
}

fn main() -> ExitCode {
    match parse().and_then(|a| run(&a)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("diff: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(a: &Arguments) -> Result<usize> {
    let all: Vec<&'static Encoding> = if a.all { encoding::testable(a.options).collect() } else { candidates(a.options) };
    let wanted = |e: &Encoding| {
        let (name, class) = (e.name.to_lowercase(), e.class.to_lowercase());
        a.filters.is_empty() || a.filters.iter().any(|f| name.contains(f) || class.contains(f))
    };
    let chosen: Vec<&'static Encoding> = all.into_iter().filter(|e| wanted(e)).collect();
    if a.list {
        chosen.iter().for_each(|e| println!("{:40} {:30} {:08x}/{:08x}", e.name, e.class, e.value, e.mask));
        return Ok(0);
    }
    if chosen.is_empty() {
        return Err(Error("no encoding matches (see --list and --all)".into()));
    }
    let oracle = a.oracle.as_deref().map_or_else(|| Engine::qemu(&a.cpu), engine)?;
    let tested = a.tested.as_deref().map_or_else(|| Engine::emu(&a.cpu), engine)?;
    println!("oracle: {}\ntested: {}\nseed:   {:#x}", oracle.name, tested.name, a.settings.seed);
    if let Some(index) = a.case {
        return one(a, &oracle, &tested, &chosen, index);
    }
    let start = Instant::now();
    let report = match a.sequences {
        Some(count) => {
            let vocabulary = vocabulary(&oracle, &chosen, a.settings)?;
            println!("{} encodings in sequences", vocabulary.len());
            sequences(&oracle, &tested, &vocabulary, 0..count, a.settings)?
        }
        None if a.exact => singles_exactly(&oracle, &tested, &chosen, a.cases, a.settings)?,
        None => singles(&oracle, &tested, &chosen, a.cases, a.settings)?,
    };
    for text in report.shown.iter().take(a.show) {
        println!("\n{text}");
    }
    println!("{}", report.table());
    let failing = report.failing();
    if !failing.is_empty() {
        println!("mismatches in {}: {}", failing.len(), failing.join(" "));
        println!("(--show N for more, --filter NAME --case I for one)");
    }
    if !report.unknown.is_empty() {
        println!("{} encodings are UNDEFINED in the oracle in every case, and not judged", report.unknown.len());
        if report.unknown.len() <= 20 {
            println!("  {}", report.unknown.join(" "));
        }
    }
    println!("{}", report.allowed());
    println!("{} mismatches; {:.1} s", report.mismatches(), start.elapsed().as_secs_f64());
    Ok(report.mismatches())
}

/// One case of each chosen encoding, in full.
fn one(a: &Arguments, oracle: &Engine, tested: &Engine, chosen: &[&'static Encoding], index: u64) -> Result<usize> {
    let pools = Pools::new(a.settings);
    let cases: Vec<_> = match a.sequences {
        Some(_) => {
            let vocabulary = vocabulary(oracle, chosen, a.settings)?;
            vec![emu_test_differential::sequence::sequence(index, &vocabulary, &pools)]
        }
        None => chosen.iter().map(|e| generate::single(e, index, &pools)).collect(),
    };
    let (x, y) = (oracle.states(&cases, &pools)?, tested.states(&cases, &pools)?);
    let mut different = 0;
    for ((case, x), y) in cases.iter().zip(&x).zip(&y) {
        println!("\n{}", compare::describe(case, &pools, x.as_ref(), y.as_ref()));
        different += usize::from(x != y);
    }
    Ok(different)
}
