//! `programs/kernels.c`: the kernels as compilers make them, for each architecture that Debian has a compiler for, and for the host itself, whose
//! time says what is possible at all.

use crate::guest::MARK;
use emu_test_kit::{Error, Result, emu, process};
use emu_test_user::{compiled_from, riscv64_root, root};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An architecture whose programs and machines are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// A64, Debian's arm64.
    Aarch64,
    /// RV64, Debian's riscv64.
    Riscv64,
}

impl Guest {
    /// All.
    pub const ALL: [Guest; 2] = [Guest::Aarch64, Guest::Riscv64];

    /// The CPU models that are measured in machines.
    pub fn cpus(self) -> &'static [&'static str] {
        match self {
            Guest::Aarch64 => &["max", "cortex-a72"],
            Guest::Riscv64 => &["rv64"],
        }
    }
    /// The target's name.
    pub fn target(self) -> &'static str {
        match self {
            Guest::Aarch64 => "aarch64",
            Guest::Riscv64 => "riscv64",
        }
    }
    /// The CPU model of both emulators in user mode. QEMU's "max" of AArch64 spends most of its time on pointer authentication by default.
    pub fn model(self) -> &'static str {
        match self {
            Guest::Aarch64 => "cortex-a72",
            Guest::Riscv64 => "rv64",
        }
    }
    /// Whether a row with that in the column of CPU models is one of it.
    pub fn has_row(self, cpu: &str) -> bool {
        self.cpus().contains(&cpu) || cpu.trim_end_matches(" first") == self.column()
    }
    /// What stands in the column of CPU models in user mode.
    pub fn column(self) -> &'static str {
        match self {
            Guest::Aarch64 => "user",
            Guest::Riscv64 => "user riscv",
        }
    }
}

/// A kernel of `kernels.c`.
#[derive(Debug)]
pub struct Program {
    /// Its name in tables; behind the dot that in the source.
    pub name: &'static str,
    /// What it is an example of.
    pub class: &'static str,
    /// Repeats of a full run: about a second under QEMU.
    pub repeats: u64,
}

impl Program {
    /// Its name and repeats at a part of a full run, which the program takes.
    pub fn arguments(&self, scale: f64) -> [String; 2] {
        [self.name.trim_start_matches("c.").to_owned(), ((self.repeats as f64 * scale) as u64).max(1).to_string()]
    }
}

macro_rules! programs {
    ($($name:literal $class:literal $repeats:literal;)*) => {
        /// All of them.
        pub const ALL: &[Program] = &[$(Program { name: concat!("c.", $name), class: $class, repeats: $repeats },)*];
    };
}

programs! {
    "sieve" "integer, branches" 40_000;
    "hash" "hashing" 12_000_000;
    "sort" "sort" 25_000;
    "records" "loads and stores in L1" 2_000_000;
    "chase" "pointer chasing" 400_000;
    "copy" "bulk copy, memset" 5_000_000;
    "string" "string" 300_000;
    "fib" "calls and returns" 30_000;
    "icall" "indirect calls" 100_000_000;
    "switch" "interpreter, switch" 10_000_000;
    "goto" "interpreter, computed goto" 10_000_000;
    "mandel" "scalar FP" 60_000;
    "fpmix" "scalar FP, all kinds" 40_000_000;
    "matmul" "FP, vectors if there are" 8000;
    "atomics" "atomic addition, compare-and-swap" 60_000_000;
    "acqrel" "acquire, release" 300_000_000;
}

const OPTIONS: [&str; 4] = ["-O2", "-ffp-contract=off", "-fno-math-errno", "-static"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/kernels.c")
}

/// The program for a guest, made by Debian's compiler of its architecture under emu.
fn guest(guest: Guest) -> Result<PathBuf> {
    let root = match guest {
        Guest::Aarch64 => root("user-compilers")?,
        Guest::Riscv64 => riscv64_root("user-compilers")?,
    };
    Ok(compiled_from(root, &source(), "kernels", &OPTIONS)?.0)
}

/// Both: for the guest and for the host.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The guest's.
    pub guest: PathBuf,
    /// The host's own.
    pub native: PathBuf,
}

impl Programs {
    /// Makes them, once a process.
    pub fn make(guest: Guest) -> Result<Self> {
        static MADE: Mutex<Vec<(Guest, Programs)>> = Mutex::new(Vec::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, programs)) = made.iter().find(|m| m.0 == guest) {
            return Ok(programs.clone());
        }
        let native = made.first().map_or_else(native, |m| Ok(m.1.native.clone()))?;
        let programs = Self { guest: self::guest(guest)?, native };
        made.push((guest, programs.clone()));
        Ok(programs)
    }

    /// CPU seconds of the host's own; an error if it does not come to `checksum`, which the guest printed.
    pub fn native(&self, program: &Program, scale: f64, checksum: &str) -> Result<f64> {
        let done = process::run(Command::new(&self.native).args(program.arguments(scale)), Duration::from_secs(900))?;
        match done.text().split_once(MARK).and_then(|(_, rest)| rest.lines().next()) {
            Some(sum) if sum == checksum && done.code == Some(0) => Ok(done.cpu.as_secs_f64()),
            sum => Err(Error(format!("{}: the host computes {sum:?}, the guest {checksum}", program.name))),
        }
    }
}

/// The program for the host, made by the compiler that Rust links with.
fn native() -> Result<PathBuf> {
    let out = emu::profile_dir()?.join(format!("kernels-native-{}", std::process::id()));
    let done = process::run(Command::new("cc").args(OPTIONS).arg("-pthread").arg("-o").arg(&out).arg(source()), Duration::from_secs(300))?;
    match done.code {
        Some(0) => Ok(out),
        code => Err(Error(format!("cc does not make kernels.c for the host: {code:?} {}", done.errors()))),
    }
}
