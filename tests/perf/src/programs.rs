//! `programs/kernels.c`: the kernels as compilers make them, for each architecture that Debian has a compiler for, and for the host itself, whose
//! time says what is possible at all.

use emu_test_kit::{Error, Result, emu, process};
use emu_test_user::{compiled_from, riscv64_root, root};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What is measured in user mode: programs of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Debian's arm64.
    Aarch64,
    /// Debian's riscv64.
    Riscv64,
}

impl Guest {
    /// The target's name.
    pub fn target(self) -> &'static str {
        match self {
            Guest::Aarch64 => "aarch64",
            Guest::Riscv64 => "riscv64",
        }
    }
    /// The CPU model of both emulators. QEMU's "max" of AArch64 spends most of its time on pointer authentication by default.
    pub fn model(self) -> &'static str {
        match self {
            Guest::Aarch64 => "cortex-a72",
            Guest::Riscv64 => "rv64",
        }
    }
    /// What stands in the column of CPU models.
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
pub fn guest(guest: Guest) -> Result<PathBuf> {
    let root = match guest {
        Guest::Aarch64 => root("user-compilers")?,
        Guest::Riscv64 => riscv64_root("user-compilers")?,
    };
    Ok(compiled_from(root, &source(), "kernels", &OPTIONS)?.0)
}

/// The program for the host, made by the compiler that Rust links with.
pub fn native() -> Result<PathBuf> {
    let out = emu::profile_dir()?.join(format!("kernels-native-{}", std::process::id()));
    let done = process::run(Command::new("cc").args(OPTIONS).arg("-pthread").arg("-o").arg(&out).arg(source()), Duration::from_secs(300))?;
    match done.code {
        Some(0) => Ok(out),
        code => Err(Error(format!("cc does not make kernels.c for the host: {code:?} {}", done.errors()))),
    }
}
