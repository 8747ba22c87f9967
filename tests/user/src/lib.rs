//! Running programs of Debian's arm64 and riscv64 packages with `emu PROGRAM`.

pub mod suites;

use emu_test_kit::process::{self, Finished};
use emu_test_kit::{Result, emu, packages};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The release that programs come from.
pub const SUITE: &str = "bookworm";

/// Roots of several packages: name, packages. What is not here is a package with what it depends on.
const ROOTS: &[(&str, &[&str])] = &[
    (
        "user-tools",
        &["bash", "coreutils", "perl", "sed", "grep", "gawk", "findutils", "tar", "gzip", "xz-utils", "zstd", "git", "sqlite3", "openssl", "procps"],
    ),
    ("user-python", &["python3", "python3-distutils", "bash", "libpython3.11-testsuite", "coreutils", "dash"]),
    ("user-compilers", &["gcc", "libc6-dev", "make", "dash", "coreutils"]),
    ("user-node", &["nodejs", "dash", "coreutils"]),
    ("user-java", &["openjdk-17-jdk-headless"]),
    ("user-stress", &["stress-ng"]),
    ("user-others", &["fzf", "restic", "ripgrep", "fd-find"]),
];

/// The same for riscv64, which the release before did not have.
pub const RISCV64_SUITE: &str = "trixie";
const RISCV64_ROOTS: &[(&str, &[&str])] = &[
    (
        "user-tools",
        &["bash", "coreutils", "perl", "sed", "grep", "gawk", "findutils", "tar", "gzip", "xz-utils", "zstd", "git", "sqlite3", "openssl", "procps"],
    ),
    ("user-python", &["python3", "bash", "libpython3.13-testsuite", "coreutils", "dash"]),
    ("user-compilers", &["base-files", "gcc", "libc6-dev", "make", "dash", "coreutils"]),
];

/// [`root`] for riscv64.
pub fn riscv64_root(name: &str) -> Result<PathBuf> {
    match RISCV64_ROOTS.iter().find(|r| r.0 == name) {
        Some((_, list)) => packages::debian_together(RISCV64_SUITE, "riscv64", name, list),
        None => packages::debian_with_dependencies(RISCV64_SUITE, "riscv64", name),
    }
}

/// [`busybox`] for riscv64.
pub fn riscv64_busybox() -> Result<PathBuf> {
    let root = packages::debian(RISCV64_SUITE, "riscv64", "busybox-static")?;
    let places = ["bin/busybox", "usr/bin/busybox"].map(|p| root.join(p));
    Ok(places.iter().find(|p| p.exists()).unwrap_or(&places[0]).clone())
}

/// A root with a package and all that it needs, or one of [`ROOTS`].
pub fn root(name: &str) -> Result<PathBuf> {
    match ROOTS.iter().find(|r| r.0 == name) {
        Some((_, list)) => packages::debian_together(SUITE, "arm64", name, list),
        None => packages::debian_with_dependencies(SUITE, "arm64", name),
    }
}

/// The statically linked busybox.
pub fn busybox() -> Result<PathBuf> {
    Ok(packages::debian(SUITE, "arm64", "busybox-static")?.join("bin/busybox"))
}

/// True if the whole list is wanted: `EMU_USER_FULL=1`, which a soak sets.
pub fn full() -> bool {
    std::env::var_os("EMU_USER_FULL").is_some_and(|v| v != "0" && !v.is_empty())
}

/// Says what ran and how long, when dropped.
pub struct Ran(String, Instant);

impl Ran {
    /// Begins now.
    pub fn begin(what: impl Into<String>) -> Ran {
        Ran(what.into(), Instant::now())
    }
    /// It did not run, for this reason.
    pub fn skipped(what: &str, why: &str) {
        let _ = writeln!(std::io::stderr(), "user: {what:<44} not run: {why}");
    }
}

impl Drop for Ran {
    fn drop(&mut self) {
        let end = if std::thread::panicking() { "FAILED" } else { "ok" };
        // Not by the macro, whose text the test runner keeps to itself.
        let _ = writeln!(std::io::stderr(), "user: {:<44} {:>8.2} s {end}", self.0, self.1.elapsed().as_secs_f64());
    }
}

/// A way to run guest code: options of emu.
pub const ENGINES: [&[&str]; 2] = [&[], &["-accel", "interp"]];

/// The command that runs a program below a root (`-L`), or by itself.
pub fn command<S: AsRef<OsStr>>(options: &[&str], root: Option<&Path>, program: &Path, arguments: &[S]) -> Result<Command> {
    // What a program is for, its file says.
    let mut command = Command::new(emu::binary()?);
    command.args(options);
    if let Some(root) = root {
        command.arg("-L").arg(root);
    }
    command.arg(program).args(arguments).env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command.env("EMU_TRANSLATIONS", translations()?);
    Ok(command)
}

/// Where the code of programs is kept between the runs of all tests, so that most of what they run twice runs code that another process has made.
pub fn translations() -> Result<PathBuf> {
    let folder = emu::binary()?.with_file_name("test-translations");
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|e| emu_test_kit::Error(format!("{}: {e}", folder.display())))?;
    Ok(folder)
}

/// Runs a program that may take `seconds`.
pub fn run_for<S: AsRef<OsStr>>(seconds: u64, options: &[&str], root: Option<&Path>, program: &Path, arguments: &[S]) -> Result<Finished> {
    process::run(&mut command(options, root, program, arguments)?, Duration::from_secs(seconds))
}

/// Runs and wants success; the output.
pub fn succeed<S: AsRef<OsStr>>(seconds: u64, root: Option<&Path>, program: &Path, arguments: &[S]) -> String {
    let done = run_for(seconds, &[], root, program, arguments).unwrap();
    let (text, errors) = (done.text(), done.errors());
    assert!(done.code == Some(0), "{}: {:?}, late {}\n{text}\nstandard error:\n{errors}", program.display(), done.code, done.timed_out);
    text
}

/// A program of `programs/`, compiled by Debian's arm64 compiler under emu, and the root that it runs in.
pub fn compiled(name: &str, options: &[&str]) -> Result<(PathBuf, PathBuf)> {
    compiled_in(root("user-compilers")?, name, options)
}

/// The same by riscv64's.
pub fn riscv64_compiled(name: &str, options: &[&str]) -> Result<(PathBuf, PathBuf)> {
    compiled_in(riscv64_root("user-compilers")?, name, options)
}

fn compiled_in(root: PathBuf, name: &str, options: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(format!("{name}.c"));
    compiled_from(root, &source, name, &[&["-O1", "-Wall", "-Werror"], options].concat())
}

/// A program compiled by the compiler of a root under emu, and that root.
pub fn compiled_from(root: PathBuf, source: &Path, name: &str, options: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let failed = |e: std::io::Error| emu_test_kit::Error(format!("cannot make the program {name}: {e}"));
    let dir = emu::profile_dir()?
        .join("user-programs")
        .join(std::process::id().to_string())
        .join(root.parent().and_then(Path::file_name).unwrap_or_default());
    std::fs::create_dir_all(&dir).map_err(failed)?;
    let out = dir.join(name);
    let mut arguments: Vec<&OsStr> = ["-pthread", "-o"].map(OsStr::new).to_vec();
    arguments.push(out.as_os_str());
    arguments.push(source.as_os_str());
    arguments.extend(options.iter().map(OsStr::new));
    let done = run_for(300, &[], Some(&root), &root.join("usr/bin/gcc"), &arguments)?;
    if done.code != Some(0) {
        return Err(emu_test_kit::Error(format!("the compiler does not make {name}: {:?} {}", done.code, done.errors())));
    }
    Ok((out, root))
}

/// Runs a program below a root (`-L`), or by itself.
pub fn run<S: AsRef<OsStr>>(options: &[&str], root: Option<&Path>, program: &Path, arguments: &[S]) -> Result<Output> {
    command(options, root, program, arguments)?.output().map_err(|e| emu_test_kit::Error(format!("cannot run emu: {e}")))
}

/// Runs and wants this output, nothing on standard error, and exit code 0.
pub fn expect<S: AsRef<OsStr>>(options: &[&str], root: Option<&Path>, program: &Path, arguments: &[S], want: &str) {
    let out = run(options, root, program, arguments).unwrap();
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(text == want && out.status.code() == Some(0), "{options:?} {}: {}\n{text}\nstandard error:\n{errors}", program.display(), out.status);
}
