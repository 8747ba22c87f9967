//! Under icount every engine is the same machine, to the byte on the console and to the bit in the CPUs and in RAM: the interpreter's two
//! loops, and generated code with and without what it may use.

use emu_test_boots::{LIMIT, installer};
use emu_test_kit::{emu, packages, process};
use std::time::Instant;

/// Instructions from one hash of the state to the next, in a long run.
const STEP: u64 = 10_000_000;
/// The same in a short one.
const SMALL_STEP: u64 = 500_000;
/// How far those go that interpret.
const SHORT: u64 = 300_000_000;

/// A way to run guest code: the variables that force it.
struct Engine {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    interprets: bool,
}

const ENGINES: [Engine; 9] = [
    Engine { name: "generated code", variables: &[], interprets: false },
    Engine { name: "generated code, all of it made as if it was run a lot", variables: &[("EMU_JIT", "hot")], interprets: false },
    Engine { name: "generated code, all of it made in a hurry at first", variables: &[("EMU_JIT", "brief")], interprets: false },
    Engine { name: "generated code, not optimised", variables: &[("EMU_JIT", "noopt")], interprets: false },
    Engine { name: "generated code, nothing fused", variables: &[("EMU_JIT", "plain")], interprets: false },
    Engine { name: "generated code for x86-64-v2", variables: &[("EMU_HOST", "x86-64-v2")], interprets: false },
    Engine { name: "generated code that leaves what it can to the interpreter", variables: &[("EMU_JIT", "interpret")], interprets: true },
    Engine { name: "interpreter", variables: &[("EMU_JIT", "off")], interprets: true },
    Engine { name: "plain interpreter", variables: &[("EMU_INTERP", "plain")], interprets: true },
];

/// What a run showed.
struct Run {
    console: String,
    hashes: Vec<String>,
}

fn run(engine: &Engine, arguments: &[String], step: u64, until: Option<u64>) -> Run {
    let start = Instant::now();
    let mut command = emu::command().unwrap();
    for variable in ["EMU_JIT", "EMU_HOST", "EMU_INTERP"] {
        command.env_remove(variable);
    }
    command.envs(engine.variables.iter().copied()).args(arguments);
    let end = until.map_or_else(String::new, |u| format!(",until={u}"));
    command.args(["--state-hash", &format!("{step}{end}")]);
    let finished = process::run(&mut command, LIMIT).unwrap();
    assert_eq!(finished.code, Some(0), "{}: {}\n{}", engine.name, finished.text(), finished.errors());
    let hashes: Vec<String> =
        finished.errors().lines().filter(|l| l.starts_with("state ") || l.starts_with("last state ")).map(str::to_owned).collect();
    println!("{}: {} hashes in {:.1} s; {}", engine.name, hashes.len(), start.elapsed().as_secs_f64(), hashes.last().map_or("", String::as_str));
    Run { console: finished.text(), hashes }
}

/// All engines to the end; or those that interpret, and the first one again, to `SHORT`.
fn all_agree(arguments: &[String], short: bool) {
    let agree = |engines: &[&Engine], step: u64, until: Option<u64>| {
        let first = run(engines[0], arguments, step, until);
        for engine in &engines[1..] {
            let other = run(engine, arguments, step, until);
            let differs = first.hashes.iter().zip(&other.hashes).find(|(a, b)| a != b);
            assert!(differs.is_none(), "{} is another machine than {}: {differs:?}", engine.name, engines[0].name);
            assert_eq!(first.hashes.len(), other.hashes.len(), "{}", engine.name);
            assert_eq!(first.console, other.console, "{}", engine.name);
        }
        first
    };
    let whole = if short {
        let whole = agree(&ENGINES.iter().filter(|e| !e.interprets).collect::<Vec<_>>(), STEP, None);
        let start = agree(&ENGINES.iter().filter(|e| e.interprets).collect::<Vec<_>>(), STEP, Some(SHORT));
        let same = start.hashes.len() - 1;
        assert_eq!(same as u64, SHORT / STEP - 1);
        assert_eq!(whole.hashes[..same], start.hashes[..same]);
        assert!(whole.console.starts_with(&start.console));
        whole
    } else {
        agree(&ENGINES.iter().collect::<Vec<_>>(), SMALL_STEP, None)
    };
    assert!(whole.hashes.len() >= 3, "too short a run to say anything");
    let mut different: Vec<_> = whole.hashes.iter().filter_map(|l| l.rsplit(' ').next()).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), whole.hashes.len(), "each moment's state is another");
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|a| (*a).to_owned()).collect()
}

fn debian(cpu: &str, smp: &str) {
    let (kernel, initrd) = installer().unwrap();
    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
    let mut arguments = words(&["-M", "virt", "-cpu", cpu, "-smp", smp, "-m", "512M", "-nographic", "-kernel", &kernel, "-initrd", &initrd]);
    arguments.extend(words(&["-append", "rdinit=/bin/sh console=ttyAMA0", "-icount", "shift=1,seed=5", "--expect", "~ # "]));
    all_agree(&arguments, true);
}

#[test]
fn debian_1() {
    debian("max", "1");
}

/// A kernel that changes address spaces at each exception and each return.
#[test]
fn debian_pairs() {
    debian("cortex-a72", "1");
}

#[test]
fn debian_2() {
    debian("max", "2");
}

#[test]
fn u_boot() {
    let bios = packages::debian("bookworm", "all", "u-boot-qemu").unwrap().join("usr/lib/u-boot/qemu_arm64/u-boot.bin").display().to_string();
    for (cpu, smp) in [("cortex-a72", "1"), ("max", "2")] {
        let mut arguments = words(&["-M", "virt", "-cpu", cpu, "-smp", smp, "-m", "512M", "-nographic", "-bios", &bios, "-icount", "shift=4,seed=9"]);
        let script =
            ["--expect", "stop autoboot", "--send", "\\n", "--expect", "=> ", "--send", "flinfo; date\\n", "--expect", "Date", "--expect", "=> "];
        arguments.extend(words(&script));
        all_agree(&arguments, false);
    }
}

/// RISC-V: OpenSBI and U-Boot, whose traps, timers and compressed instructions across pages are another architecture's.
#[test]
fn riscv64_u_boot() {
    let package = |name: &str, file: &str| packages::debian("trixie", "all", name).unwrap().join(file).display().to_string();
    let bios = package("opensbi", "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin");
    let kernel = package("u-boot-qemu", "usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin");
    for smp in ["1", "2"] {
        let mut arguments =
            words(&["--target", "riscv64", "-M", "virt", "-cpu", "max", "-smp", smp, "-m", "512M", "-nographic", "-bios", &bios, "-kernel", &kernel]);
        arguments.extend(words(&[
            "-icount",
            "shift=4,seed=9",
            "--expect",
            "stop autoboot",
            "--send",
            "\\n",
            "--expect",
            "=> ",
            "--send",
            "flinfo\\n",
            "--expect",
            "=> ",
        ]));
        all_agree(&arguments, false);
    }
}
