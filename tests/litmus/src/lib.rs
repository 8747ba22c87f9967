//! Guests that race, unmap, patch, recurse and are interrupted: nets for what generated code and caches of translations get wrong first.
//!
//! Each guest is a bare-metal program assembled here ([`guest`]); it runs under `emu` on the `virt` board with several CPUs, counts what it
//! sees and prints that. The tests read the numbers.
//!
//! - [`shape`], [`race`]: litmus tests of the memory model, litmus7's way: thousands of instances between two barriers, in scattered order.
//! - [`tear`], [`counter`]: single-copy atomicity, and counters that must come out exact.
//! - [`spaces`], [`returns`]: two programs at the same addresses, rounding modes that callees change, deep recursion.
//! - [`links`]: code that is tied together, and thrown away, rewritten or mapped elsewhere.
//! - [`wild`], [`unmap`], [`patch`]: addresses without a translation, translations and code that go away under a running CPU.
//! - [`aliases`]: one piece of code at many virtual addresses.
//! - [`chains`], [`frames`], [`loops`]: a list, stack frames and what loops go over, whose pages change places.
//! - [`registers`]: every register over SVC, ERET and interrupts.
//!
//! | variable | meaning |
//! |---|---|
//! | `EMU_LITMUS_COUNT` | runs of each litmus test and the measure of all other loops, else [`COUNT`] |
//! | `EMU_LITMUS_TESTED` | `qemu` runs everything on QEMU in the place of `emu`: are the tests themselves right? |
//! | `EMU_BIN`, `EMU_TEST_QEMU` | as in `tests/kit` |
//!
//! QEMU 10.0 passes all but what it does not keep on x86-64 hosts: a store-release before a load-acquire (SB and R), and rarely
//! `a_cpu_rewrites_what_another_runs`.

pub mod aliases;
pub mod chains;
pub mod counter;
pub mod frames;
pub mod guest;
pub mod links;
pub mod loops;
pub mod patch;
pub mod race;
pub mod registers;
pub mod returns;
pub mod shape;
pub mod spaces;
pub mod tear;
pub mod unmap;
pub mod wild;
pub mod words;

use emu_test_kit::{emu, qemu};
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs of each litmus test.
pub const COUNT: u64 = 1_000_000;

/// A guest takes no longer.
const LIMIT: Duration = Duration::from_secs(600);

/// `EMU_LITMUS_COUNT`, or [`COUNT`].
///
/// # Panics
/// When the variable is no number.
pub fn count() -> u64 {
    match std::env::var("EMU_LITMUS_COUNT") {
        Ok(text) => text.replace('_', "").parse().unwrap_or_else(|_| panic!("EMU_LITMUS_COUNT={text} is no number")),
        Err(_) => COUNT,
    }
}

/// So many rounds of a loop of which there are `full` when each litmus test runs a million times; not fewer than `least`.
pub fn scaled(full: u64, least: u64) -> u64 {
    (u128::from(full) * u128::from(count()) / 1_000_000).max(least.into()) as u64
}

/// True if QEMU runs in the place of `emu`.
pub fn on_qemu() -> bool {
    std::env::var("EMU_LITMUS_TESTED").is_ok_and(|v| v == "qemu")
}

/// What a guest printed.
#[derive(Debug)]
pub struct Report {
    /// Lines, without the last: a name and numbers.
    pub lines: Vec<(String, Vec<u64>)>,
    /// How long it ran.
    pub took: Duration,
    /// Largest VmRSS plus VmPTE of the emulator, in bytes, looked at every few ms.
    pub peak: u64,
    /// What the emulator said.
    pub errors: String,
}

impl Report {
    /// The numbers of the one line of that name.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn numbers(&self, name: &str) -> &[u64] {
        let found = self.lines.iter().find(|(n, _)| n == name);
        &found.unwrap_or_else(|| panic!("the guest printed no line '{name}': {:?}", self.lines)).1
    }
    /// A number of `--stats`.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn counted(&self, name: &str) -> u64 {
        emu::statistic(&self.errors, name).unwrap_or_else(|| panic!("no '{name}' is counted: {}", self.errors))
    }
}

/// Runs a guest with so many CPUs, and prints how long it took.
///
/// Guests that race need the host's CPUs for themselves: they run one after another, whatever runs the tests.
///
/// # Panics
/// When the guest complains, or the emulator does.
pub fn run(name: &str, image: &[u8], cpus: u64) -> Report {
    run_with(name, image, cpus, &[])
}

/// The same with variables in the emulator's environment.
///
/// # Panics
/// As above.
pub fn run_with(name: &str, image: &[u8], cpus: u64, variables: &[(&str, &str)]) -> Report {
    run_times(1, name, image, cpus, variables).remove(0)
}

/// The same so many times, with what `--stats` counts.
///
/// # Panics
/// As above.
pub fn run_times(times: usize, name: &str, image: &[u8], cpus: u64, variables: &[(&str, &str)]) -> Vec<Report> {
    run_each(name, &vec![image; times], cpus, variables)
}

/// Several images in turn, each from the same file.
///
/// # Panics
/// As above.
pub fn run_each(name: &str, images: &[&[u8]], cpus: u64, variables: &[(&str, &str)]) -> Vec<Report> {
    let folder = emu::profile_dir().unwrap_or_else(|e| panic!("{e}"));
    let turn = File::create(folder.join("litmus.lock")).expect("a file can be made beside the tests");
    turn.lock().expect("the file can be locked");
    let file = std::env::temp_dir().join(format!("emu-litmus-{name}-{}.img", std::process::id()));
    let once = |image: &&[u8]| {
        std::fs::write(&file, image).expect("the guest can be written");
        let mut command = command(cpus);
        command.envs(variables.iter().copied());
        if images.len() > 1 {
            command.arg("--stats");
        }
        command.arg("-kernel").arg(&file);
        let report = watched(name, &mut command);
        println!("{name}: {:.2} s, peak {} MiB", report.took.as_secs_f64(), report.peak >> 20);
        report
    };
    let reports = images.iter().map(once).collect();
    let _ = std::fs::remove_file(&file);
    reports
}

fn command(cpus: u64) -> Command {
    let mut command = if on_qemu() {
        let mut qemu = qemu::system_aarch64().unwrap_or_else(|e| panic!("{e}")).command();
        qemu.args(["-M", "virt,gic-version=3", "-accel", "tcg,thread=multi", "-net", "none", "-display", "none", "-monitor", "none"]);
        qemu
    } else {
        let mut emu = emu::command().unwrap_or_else(|e| panic!("{e}"));
        emu.args(["-M", "virt"]).env_remove("EMU_PLUGIN_PATH");
        emu
    };
    command.args(["-cpu", "max", "-serial", "stdio", "-smp", &cpus.to_string(), "-m", &guest::RAM_MIB.to_string()]);
    command
}

/// VmRSS and VmPTE of a process, in bytes.
fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
    Some((field("VmRSS:")? + field("VmPTE:")?) << 10)
}

fn watched(name: &str, command: &mut Command) -> Report {
    let scratch = |end: &str| std::env::temp_dir().join(format!("emu-litmus-{name}-{}.{end}", std::process::id()));
    let (out, err) = (scratch("out"), scratch("err"));
    let create = |path| Stdio::from(File::create(path).expect("a file can be made in the temporary folder"));
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(create(&out)).stderr(create(&err)).spawn().expect("the emulator starts");
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the emulator can be waited for") {
            break status;
        }
        peak = peak.max(memory(child.id()).unwrap_or(0));
        if started.elapsed() > LIMIT {
            let _ = child.kill();
            break child.wait().expect("the emulator can be waited for");
        }
        std::thread::sleep(Duration::from_millis(4));
    };
    let took = started.elapsed();
    let text = |path| {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let _ = std::fs::remove_file(path);
        text
    };
    let (stdout, stderr) = (text(&out), text(&err));
    let tail = |s: &str| s[s.char_indices().rev().nth(3000).map_or(0, |c| c.0)..].to_owned();
    let story = format!("{name}: {status:?} after {took:?}\n{}\n{}", tail(&stdout), tail(&stderr));
    assert!(status.code() == Some(0), "the emulator ended badly: {story}");
    assert!(!stdout.contains(guest::FAIL), "the guest complains: {story}");
    assert!(stdout.trim_end().ends_with(guest::DONE), "the guest did not come to its end: {story}");
    let lines = stdout.lines().filter(|l| !l.is_empty()).map(parse).collect();
    Report { lines, took, peak, errors: stderr }
}

/// A line: the name goes up to the first number.
fn parse(line: &str) -> (String, Vec<u64>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let numbers: Vec<u64> = words.iter().rev().map_while(|w| u64::from_str_radix(w.strip_prefix('#')?, 16).ok()).collect();
    let name = words[..words.len() - numbers.len()].join(" ");
    (name, numbers.into_iter().rev().collect())
}
