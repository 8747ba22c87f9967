//! QEMU as the oracle: found through the package cache, run by its own dynamic loader.

use crate::packages::{debian, debian_with_dependencies, program};
use crate::{Error, Result, process};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A QEMU binary and what it takes to run it.
#[derive(Clone, Debug)]
pub struct Qemu {
    binary: PathBuf,
    /// The root of the unpacked packages, when the binary is not one of the host's.
    root: Option<PathBuf>,
    is_static: bool,
}

/// The suite of the QEMU packages: `EMU_TEST_QEMU_SUITE`, or the newest that does not move.
pub fn default_suite() -> String {
    std::env::var("EMU_TEST_QEMU_SUITE").unwrap_or_else(|_| "bookworm-backports".into())
}

/// The suite with the newest QEMU, for what the default one does not know: `EMU_TEST_QEMU_NEWEST`, or
/// Debian's unstable suite.
pub fn newest_suite() -> String {
    std::env::var("EMU_TEST_QEMU_NEWEST").unwrap_or_else(|_| "sid".into())
}

/// `qemu-system-aarch64`: `EMU_TEST_QEMU`, or that of package qemu-system-arm in the default suite.
pub fn system_aarch64() -> Result<Qemu> {
    match std::env::var_os("EMU_TEST_QEMU") {
        Some(binary) => Ok(Qemu::at(binary)),
        None => system_aarch64_of(&default_suite()),
    }
}

/// `qemu-system-aarch64` of package qemu-system-arm in that suite. Found once a process.
pub fn system_aarch64_of(suite: &str) -> Result<Qemu> {
    static FOUND: Mutex<BTreeMap<String, Qemu>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(qemu) = found.get(suite) {
        return Ok(qemu.clone());
    }
    let root = debian_with_dependencies(suite, "amd64", "qemu-system-arm")?;
    let binary = existing(root.join("usr/bin/qemu-system-aarch64"))?;
    let qemu = Qemu { binary, root: Some(root), is_static: false };
    found.insert(suite.into(), qemu.clone());
    Ok(qemu)
}

/// `qemu-aarch64` (user mode), the static binary of qemu-user-static or, in later suites, qemu-user.
pub fn user_aarch64() -> Result<Qemu> {
    user("aarch64")
}

/// `qemu-riscv64`, likewise.
pub fn user_riscv64() -> Result<Qemu> {
    user("riscv64")
}

fn user(guest: &str) -> Result<Qemu> {
    let suite = default_suite();
    let old = debian(&suite, "amd64", "qemu-user-static").and_then(|root| existing(root.join(format!("usr/bin/qemu-{guest}-static"))));
    let binary = match old {
        Ok(binary) => binary,
        Err(first) => {
            debian(&suite, "amd64", "qemu-user").and_then(|root| existing(root.join(format!("usr/bin/qemu-{guest}")))).map_err(|_| first)?
        }
    };
    Ok(Qemu { binary, root: None, is_static: true })
}

/// `qemu-system-riscv64`: `EMU_TEST_QEMU_RISCV64`, or that of package qemu-system-misc in the default suite. Found once a process.
pub fn system_riscv64() -> Result<Qemu> {
    static FOUND: Mutex<Option<Qemu>> = Mutex::new(None);
    if let Some(binary) = std::env::var_os("EMU_TEST_QEMU_RISCV64") {
        return Ok(Qemu::at(binary));
    }
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(qemu) = &*found {
        return Ok(qemu.clone());
    }
    let root = debian_with_dependencies(&default_suite(), "amd64", "qemu-system-misc")?;
    let binary = existing(root.join("usr/bin/qemu-system-riscv64"))?;
    Ok(found.insert(Qemu { binary, root: Some(root), is_static: false }).clone())
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() { Ok(path) } else { Err(Error(format!("the package has no {}", path.display()))) }
}

impl Qemu {
    /// A binary to use as it is.
    pub fn at(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), root: None, is_static: true }
    }

    /// The binary itself.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A command that runs it; add arguments.
    pub fn command(&self) -> Command {
        let root = match &self.root {
            Some(root) if !self.is_static => root,
            _ => return Command::new(&self.binary),
        };
        let mut command = program(root, &self.binary);
        command.arg("-L").arg(root.join("usr/share/qemu"));
        command.env("QEMU_MODULE_DIR", root.join("usr/lib/x86_64-linux-gnu/qemu"));
        command
    }

    /// The first line of `--version`.
    pub fn version(&self) -> Result<String> {
        let done = process::run(self.command().arg("--version"), Duration::from_secs(60))?;
        match done.text().lines().next() {
            Some(line) if done.code == Some(0) => Ok(line.to_owned()),
            _ => Err(Error(format!("{} does not run: {}", self.binary.display(), done.errors()))),
        }
    }
}
