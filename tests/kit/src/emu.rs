//! The `emu` binary of this build. The plugins lie beside it in the profile's folder, which is where
//! it looks first, so a test has only to find the binary.

use crate::process::{self, Console, Finished};
use crate::{Result, error};
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The shared libraries that tests of boards need beside `emu`.
pub const PLUGINS: [&str; 5] = [
    "libemu_target_aarch64_v9_plugin.so",
    "libemu_machine_virt_plugin.so",
    "libemu_target_riscv64_plugin.so",
    "libemu_machine_virt_riscv64_plugin.so",
    "libemu_machine_duo_plugin.so",
];

/// The folder of this build: `target/<profile>`, which holds the test executable's `deps`.
pub fn profile_dir() -> Result<PathBuf> {
    let Ok(test) = std::env::current_exe() else {
        return error("the test executable does not know where it is: set EMU_BIN");
    };
    let dir = test.ancestors().skip(1).find(|d| !matches!(d.file_name(), Some(n) if n == "deps" || n == "examples"));
    dir.map_or_else(|| error("the test executable lies in no folder"), |d| Ok(d.to_path_buf()))
}

/// The binary: `EMU_BIN`, or that of this profile with its plugins.
pub fn binary() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("EMU_BIN") {
        return Ok(binary.into());
    }
    let dir = profile_dir()?;
    for name in ["emu"].iter().chain(&PLUGINS) {
        if !dir.join(name).is_file() {
            let profile = dir.file_name().and_then(OsStr::to_str).unwrap_or("debug");
            let flag = if profile == "release" { " --release" } else { "" };
            return error(format!("{} is not built: run `cargo build{flag}` first", dir.join(name).display()));
        }
    }
    Ok(dir.join("emu"))
}

/// A command that runs it for AArch64 (a later --target counts instead); add arguments.
pub fn command() -> Result<Command> {
    command_for("aarch64")
}

/// The same for another target.
pub fn command_for(target: &str) -> Result<Command> {
    let mut command = Command::new(binary()?);
    // What tests run leaves nothing among the user's caches, unless a test is about that.
    command.args(["--target", target]).env("EMU_TRANSLATIONS", "off");
    Ok(command)
}

/// A folder for `--translations`: empty, this user's alone, and gone when this goes.
pub struct Translations(PathBuf);

impl Translations {
    /// Makes it, in the folder for temporary files.
    pub fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("emu-translations-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(e) => error(format!("{} cannot be made: {e}", path.display())),
        }
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Translations {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A number that `--stats` counts under a name, from what `emu` wrote to standard error.
pub fn statistic(errors: &str, name: &str) -> Option<u64> {
    errors.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok())
}

/// Runs `emu` to its end, or kills it at the limit.
pub fn run<S: AsRef<OsStr>>(arguments: &[S], limit: Duration) -> Result<Finished> {
    process::run(command()?.args(arguments), limit)
}

/// Starts `emu` with its console on pipes.
pub fn console<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Console> {
    Console::start(command()?.args(arguments))
}
