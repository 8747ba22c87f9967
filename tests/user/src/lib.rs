//! Running programs of Debian's arm64 packages with `emu PROGRAM`.

use emu_test_kit::{Result, emu, packages};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The release that programs come from.
pub const SUITE: &str = "bookworm";

/// A root with a package and all that it needs.
pub fn root(package: &str) -> Result<PathBuf> {
    packages::debian_with_dependencies(SUITE, "arm64", package)
}

/// The statically linked busybox.
pub fn busybox() -> Result<PathBuf> {
    Ok(packages::debian(SUITE, "arm64", "busybox-static")?.join("bin/busybox"))
}

/// A way to run guest code: options of emu.
pub const ENGINES: [&[&str]; 2] = [&[], &["-accel", "interp"]];

/// Runs a program below a root (`-L`), or by itself.
pub fn run<S: AsRef<OsStr>>(options: &[&str], root: Option<&Path>, program: &Path, arguments: &[S]) -> Result<Output> {
    let mut command: Command = emu::command()?;
    command.args(options);
    if let Some(root) = root {
        command.arg("-L").arg(root);
    }
    command.arg(program).args(arguments).env("LC_ALL", "C").stdin(Stdio::null());
    command.output().map_err(|e| emu_test_kit::Error(format!("cannot run emu: {e}")))
}

/// Runs and wants this output, nothing on standard error, and exit code 0.
pub fn expect<S: AsRef<OsStr>>(options: &[&str], root: Option<&Path>, program: &Path, arguments: &[S], want: &str) {
    let out = run(options, root, program, arguments).unwrap();
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(text == want && out.status.code() == Some(0), "{options:?} {}: {}\n{text}\nstandard error:\n{errors}", program.display(), out.status);
}
