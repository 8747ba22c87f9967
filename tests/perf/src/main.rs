//! `emu-bench`, which `cargo xtask bench` runs: the table, and the same as JSON and as a plot.

use emu_test_kit::qemu::{self, Qemu};
use emu_test_perf::bench::{Bench, Boot, ForTwo, Row, Scaling};
use emu_test_perf::classes;
use emu_test_perf::kernels::{self, Kernel, Needs};
use emu_test_perf::linux;
use emu_test_perf::programs::{self, Guest, Program, Programs};
use emu_test_perf::report::{self, Conditions};
use emu_test_perf::user::{self, REAL, Real, UserBench};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask bench [FLAG...]
  --quick             3 rounds of 0.3 of the work, in place of 5 rounds of all
  --rounds N          so many rounds
  --scale X           so much of the work
  --filter TEXT,...   only guests whose name or class contains one of these
  --cpu MODEL         only that CPU: max or cortex-a72
  --qemu PATH         that qemu-system-aarch64 (or whichever is the yardstick)
  --no-boot           without the boots of a Linux kernel
  --user              user mode instead: the kernels as programs, the kernels in C, and programs of Debian's packages
  --target NAME       aarch64, or riscv64 (without the kernels that are A64 code)
  --json PATH         writes the results as JSON
  --svg PATH          writes the results as a bar plot
  --table FILE...     no run: prints what runs wrote as JSON as one table for a README
  --list              lists the guests that these flags choose
";

/// What the arguments say.
#[derive(Debug)]
struct Options {
    rounds: usize,
    scale: f64,
    filter: String,
    cpus: Vec<String>,
    qemu: Option<PathBuf>,
    boot: bool,
    user: bool,
    guest: Guest,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    list: bool,
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        rounds: 5,
        scale: 1.0,
        filter: String::new(),
        cpus: Vec::new(),
        qemu: None,
        boot: true,
        user: false,
        guest: Guest::Aarch64,
        json: None,
        svg: None,
        list: false,
    };
    let mut left = arguments.iter();
    while let Some(flag) = left.next() {
        let mut value = || left.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--quick" => (options.rounds, options.scale) = (3, 0.3),
            "--rounds" => {
                let text = value()?;
                options.rounds = text.parse().ok().filter(|n| *n > 0).ok_or(format!("--rounds {text}: not a number above 0"))?;
            }
            "--scale" => {
                let text = value()?;
                let scale = text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= 100.0);
                options.scale = scale.ok_or(format!("--scale {text}: not a number above 0, at most 100"))?;
            }
            "--filter" => options.filter = value()?.to_lowercase(),
            "--cpu" => options.cpus = vec![value()?.clone()],
            "--qemu" => options.qemu = Some(value()?.into()),
            "--no-boot" => options.boot = false,
            "--user" => options.user = true,
            "--target" => {
                let text = value()?;
                let guest = Guest::ALL.into_iter().find(|g| g.target() == text);
                options.guest = guest.ok_or(format!("--target {text}: only aarch64 and riscv64 are measured"))?;
            }
            "--json" => options.json = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            "--list" => options.list = true,
            _ => return Err(format!("unknown argument {flag}\n{USAGE}")),
        }
    }
    let measured = options.guest.cpus();
    match options.cpus.first() {
        None => options.cpus = measured.iter().map(|c| (*c).to_owned()).collect(),
        Some(cpu) if !measured.contains(&cpu.as_str()) => return Err(format!("--cpu {cpu}: only {} is measured", measured.join(" or "))),
        Some(_) => {}
    }
    let two = options.two();
    if !two && options.kernels().is_empty() && options.in_c().is_empty() && options.programs().is_empty() && options.boots().is_empty() {
        return Err(format!("no guest's name or class contains {:?}; --list lists them", options.filter));
    }
    Ok(options)
}

impl Options {
    fn wanted(&self, name: &str, class: &str) -> bool {
        self.filter.split(',').any(|text| name.contains(text) || class.to_lowercase().contains(text))
    }

    /// The chosen kernels.
    fn kernels(&self) -> Vec<&'static Kernel> {
        let wanted = |k: &&Kernel| self.wanted(k.name, k.class);
        if self.guest != Guest::Aarch64 {
            // They are A64 code.
            return Vec::new();
        }
        if self.user {
            user::kernels().filter(wanted).collect()
        } else {
            kernels::ALL.iter().filter(|k| k.needs != Needs::Linux).filter(wanted).collect()
        }
    }

    /// The chosen kernels in C.
    fn in_c(&self) -> Vec<&'static Program> {
        programs::ALL.iter().filter(|p| self.wanted(p.name, p.class)).collect()
    }

    /// The chosen programs of packages.
    fn programs(&self) -> Vec<&'static Real> {
        REAL.iter().filter(|r| self.user && self.wanted(r.name, "program")).collect()
    }

    /// The chosen boots.
    fn boots(&self) -> Vec<Boot> {
        Boot::ALL.into_iter().filter(|b| self.boot && !self.user && self.wanted(b.name(), "boot")).collect()
    }

    /// Whether two threads or CPUs are measured too: A64 code and programs only.
    fn two(&self) -> bool {
        (self.user || self.guest == Guest::Aarch64) && self.wanted("scaling", "two threads, two cpus")
    }

    /// Finds what the run would only stumble over at its end: results that cannot be written.
    fn check_paths(&self) -> Result<(), String> {
        for path in [&self.json, &self.svg].into_iter().flatten() {
            std::fs::write(path, "").map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        }
        Ok(())
    }
}

/// What was found so far.
#[derive(Default)]
struct Results {
    rows: Vec<Row>,
    scalings: Vec<Scaling>,
    wrong: Vec<String>,
}

impl Results {
    fn keep(&mut self, result: Result<Row, String>) {
        match result {
            Ok(row) => {
                println!("{}", report::line(&row));
                self.rows.push(row);
            }
            Err(e) => {
                eprintln!("{e}");
                self.wrong.push(e);
            }
        }
    }

    fn scaling(&mut self, found: Vec<Scaling>) {
        found.iter().for_each(|s| println!("{}", report::scaling(s)));
        self.scalings.extend(found);
    }
}

/// User mode.
fn run_programs(options: &Options, results: &mut Results) -> Result<Conditions, String> {
    let text = |e: emu_test_kit::Error| e.to_string();
    let found = match options.guest {
        Guest::Aarch64 => qemu::user_aarch64,
        Guest::Riscv64 => qemu::user_riscv64,
    };
    let qemu = options.qemu.clone().map_or_else(found, |path| Ok(Qemu::at(path))).map_err(text)?;
    let conditions = Conditions { qemu: qemu.version().map_err(text)?, rounds: options.rounds, scale: options.scale };
    let scratch = emu_test_kit::emu::profile_dir().map_err(text)?.join("emu-bench-guests");
    let bench = UserBench::new(options.guest, qemu, &scratch).map_err(text)?;
    println!(
        "{}; {} rounds; scale {}; CPU seconds; ratio = QEMU's over emu's, above 1 emu is faster",
        conditions.qemu, options.rounds, options.scale
    );
    println!("{}", report::heading());
    for program in options.programs() {
        match bench.real(program, options.rounds).map_err(text) {
            Ok(both) => both.into_iter().for_each(|row| results.keep(Ok(row))),
            Err(e) => results.keep(Err(e)),
        }
    }
    if options.two() || !options.in_c().is_empty() {
        let files = Programs::make(options.guest).map_err(text)?;
        for program in options.in_c() {
            results.keep(bench.program(&files, program, options.scale, options.rounds).map_err(text));
        }
        if options.two() {
            results.scaling(bench.scaling(&files, options.scale, options.rounds).map_err(text)?);
        }
    }
    if !options.kernels().is_empty() {
        let empty = bench.empty(options.rounds).map_err(text)?;
        for kernel in options.kernels() {
            results.keep(bench.kernel(kernel, options.scale, options.rounds, empty).map_err(text));
        }
        println!("an empty program: QEMU {:.3} s, emu {:.3} s (taken off the kernels)", empty[0], empty[1]);
    }
    Ok(conditions)
}

/// Whole machines.
fn run_machines(options: &Options, results: &mut Results) -> Result<Conditions, String> {
    let (chosen, boots) = (options.kernels(), options.boots());
    let text = |e: emu_test_kit::Error| e.to_string();
    let found = match options.guest {
        Guest::Aarch64 => qemu::system_aarch64,
        Guest::Riscv64 => qemu::system_riscv64,
    };
    let qemu = options.qemu.clone().map_or_else(found, |path| Ok(Qemu::at(path))).map_err(text)?;
    let conditions = Conditions { qemu: qemu.version().map_err(text)?, rounds: options.rounds, scale: options.scale };
    let scratch = emu_test_kit::emu::profile_dir().map_err(text)?.join("emu-bench-guests");
    let bench = Bench::new(options.guest, qemu, &scratch).map_err(text)?;
    let in_c = options.in_c();
    let files = if in_c.is_empty() && !options.two() { None } else { Some(Programs::make(options.guest).map_err(text)?) };
    let (rounds, scale) = (options.rounds, options.scale);
    println!("{}; {rounds} rounds; scale {scale}; CPU seconds; ratio = QEMU's over emu's, above 1 emu is faster", conditions.qemu);
    println!("{}", report::heading());
    for cpu in &options.cpus {
        for boot in &boots {
            match bench.boot(*boot, cpu, options.rounds).map_err(text) {
                Ok(rows) => rows.into_iter().for_each(|row| results.keep(Ok(row))),
                Err(e) => results.keep(Err(e)),
            }
        }
        if let (false, Some(files)) = (in_c.is_empty(), &files) {
            match linux::rows(&bench, files, &in_c, cpu, scale, rounds).map_err(text) {
                Ok(all) => all.into_iter().for_each(|row| results.keep(Ok(row))),
                Err(e) => results.keep(Err(e)),
            }
        }
        if let (true, Some(files)) = (options.two(), &files) {
            let native = |kernel: &ForTwo, threads| user::native_threads(files, kernel, options.scale, threads);
            results.scaling(bench.scaling(cpu, options.scale, options.rounds, &native).map_err(text)?);
        }
        if chosen.is_empty() {
            continue;
        }
        let empty = bench.empty(cpu, options.rounds).map_err(text)?;
        for kernel in chosen.iter().filter(|k| k.runs_on(cpu)) {
            results.keep(bench.kernel(kernel, cpu, options.scale, options.rounds, empty).map_err(text));
        }
        println!("an empty guest on {cpu}: QEMU {:.3} s, emu {:.3} s (taken off above)", empty[0], empty[1]);
    }
    Ok(conditions)
}

fn run(options: &Options) -> Result<(), String> {
    // What was measured is shown and kept even if a later guest fails.
    let mut results = Results::default();
    let measure = if options.user { run_programs } else { run_machines };
    let conditions = measure(options, &mut results)?;
    let Results { rows, scalings, wrong } = results;
    let means = report::means(&rows);
    let cpus: BTreeSet<&str> = rows.iter().map(|r| r.cpu.as_str()).collect();
    for cpu in cpus {
        match means.iter().find(|m| m.0 == cpu) {
            Some((_, kernels, mean)) => println!("geometric mean of {kernels} kernels on {cpu}: {mean:.3}"),
            None => println!("{cpu}:"),
        }
        let of_cpu: Vec<&Row> = rows.iter().filter(|r| r.cpu == cpu).collect();
        print!("{}", classes::table(&classes::classes(&of_cpu, options.user)));
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report::to_json(&conditions, &rows, &scalings)).map_err(|e| e.to_string())?;
        std::fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if let Some(path) = &options.svg {
        std::fs::write(path, report::to_svg(&conditions, &rows)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Prints the table of those files.
fn table(files: &[String]) -> ExitCode {
    let read = |file: &String| {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{file} cannot be read: {e}"))?;
        serde_json::from_str(&text).map_err(|e| format!("{file} is not what --json writes: {e}"))
    };
    match files.iter().map(read).collect::<Result<Vec<_>, String>>() {
        Ok(runs) if !runs.is_empty() => {
            print!("{}", report::to_markdown(&runs));
            ExitCode::SUCCESS
        }
        Ok(_) => {
            eprintln!("error: --table needs files that --json wrote");
            ExitCode::from(2)
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if let [flag, files @ ..] = &arguments[..]
        && flag == "--table"
    {
        return table(files);
    }
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        options.boots().iter().for_each(|b| println!("{:<9} {}", b.name(), b.class()));
        options.programs().iter().for_each(|p| println!("{:<9} {}", p.name, p.class));
        if options.two() {
            println!("{:<9} two threads or CPUs", "scaling");
        }
        options.in_c().iter().for_each(|p| println!("{:<9} {}", p.name, p.class));
        for kernel in options.kernels() {
            println!("{:<9} {}{}", kernel.name, kernel.class, if kernel.needs == Needs::Max { " (max only)" } else { "" });
        }
        return ExitCode::SUCCESS;
    }
    if let Err(e) = options.check_paths() {
        eprintln!("error: {e}");
        return ExitCode::from(2);
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments() {
        let options = parse(&words("--quick --cpu max --filter NEON,crc --no-boot --json a.json")).unwrap();
        assert_eq!((options.rounds, options.scale, options.cpus.len(), options.boot), (3, 0.3, 1, false));
        assert_eq!(options.kernels().iter().map(|k| k.name).collect::<Vec<_>>(), ["neonint", "matmul", "vecfp", "crc"]);
        for bad in ["--cpu cortex-a53", "--rounds 0", "--scale x", "--filter", "--filter nothing-like-it,nor-this", "--fast"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
