//! `cargo xtask test`: builds everything and runs every test, with the time of each part. `cargo xtask soak`: the random tests, longer.
//! `cargo xtask bench`: CPU time beside QEMU's. `cargo xtask dist`: what users install. `cargo xtask new-target NAME` and its like: a plugin outside this tree.

mod dist;
mod new;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: cargo xtask test [ARGUMENT...]   build emu and all plugins, then run all tests (arguments go to the test runner)
       cargo xtask soak [ARGUMENT...]   the same tests, longer: EMU_DIFF_SCALE, EMU_BOOTS, EMU_LITMUS_COUNT, EMU_MESSAGES, EMU_USER_FULL
       cargo xtask bench [FLAG...]      CPU time of guests beside QEMU's (tests/perf/README.md; --help lists the flags)
       cargo xtask dist                 a tarball, a Debian package and the static binary, in dist/ of the build folder, each tried out
       cargo xtask new-target NAME [--path DIR] [--api PATH-OR-VERSION]
       cargo xtask new-machine NAME [--target TARGET] [--path DIR] [--api PATH-OR-VERSION]
       cargo xtask new-device NAME [--target TARGET] [--path DIR] [--api PATH-OR-VERSION]
                                        a plugin of your own outside this tree, in DIR (default: ./NAME), that works and is to be changed
";

/// Settings of a soak, where the environment does not say otherwise.
const SOAK: [(&str, &str); 5] =
    [("EMU_DIFF_SCALE", "20"), ("EMU_BOOTS", "20"), ("EMU_LITMUS_COUNT", "5000000"), ("EMU_MESSAGES", "10000000"), ("EMU_USER_FULL", "1")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// A part of a run, and how long it took.
struct Part {
    took: Duration,
    passed: bool,
}

fn part(name: &str, command: &mut Command) -> Part {
    let start = Instant::now();
    let words: Vec<String> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    eprintln!("== {name}: cargo {}", words.join(" "));
    let passed = match command.status() {
        Ok(status) => status.success(),
        Err(e) => {
            eprintln!("error: {} does not start: {e}", command.get_program().display());
            false
        }
    };
    Part { took: start.elapsed(), passed }
}

/// True if `cargo nextest` is installed.
fn has_nextest() -> bool {
    cargo().args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success())
}

fn test(arguments: &[String], environment: &[(&str, &str)]) -> bool {
    let build = part("build", cargo().args(["build", "--release", "--workspace"]));
    eprintln!("== build took {:.0} s", build.took.as_secs_f64());
    if !build.passed {
        return false;
    }
    // nextest runs the tests of all programs beside each other and times each, but leaves examples in documents to cargo. Its summary, like
    // cargo's, is the last thing printed.
    let nextest = has_nextest();
    let runner: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
    let mut others = true;
    if nextest && arguments.is_empty() {
        let docs = part("examples in documents", cargo().args(["test", "--doc", "--release", "--workspace", "--quiet", "--no-fail-fast"]));
        eprintln!("== examples in documents took {:.0} s", docs.took.as_secs_f64());
        others = docs.passed;
    }
    if arguments.is_empty() {
        if cargo().args(["fmt", "--version"]).output().is_ok_and(|o| o.status.success()) {
            let format = part("format", cargo().args(["fmt", "--all", "--", "--check"]));
            eprintln!("== format took {:.0} s", format.took.as_secs_f64());
            others &= format.passed;
        } else {
            eprintln!("== format: not looked at, for rustfmt is not installed");
        }
        // A package of its own, outside the workspace: it builds Berkeley SoftFloat, which is C.
        let mut oracle = cargo();
        oracle.args(["test", "--release", "--quiet", "--manifest-path", "core/softfloat/oracle/Cargo.toml"]);
        let oracle = part("soft-float against Berkeley SoftFloat", &mut oracle);
        eprintln!("== soft-float against Berkeley SoftFloat took {:.0} s", oracle.took.as_secs_f64());
        others &= oracle.passed;
    }
    let mut tests = cargo();
    tests.args(runner).args(["--release", "--workspace", "--no-fail-fast"]).args(arguments).env_remove("EMU_PLUGIN_PATH");
    for (name, value) in environment.iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
        tests.env(name, value);
    }
    part("tests", &mut tests).passed && others
}

/// Builds emu with its plugins and the runner, and runs it; its exit code.
fn bench(arguments: &[String]) -> ExitCode {
    if !part("build", cargo().args(["build", "--release", "--quiet"])).passed {
        return ExitCode::FAILURE;
    }
    // Where the caller is, so that paths among the arguments are his.
    let mut runner = Command::new(cargo().get_program());
    runner.args(["run", "--release", "--quiet", "--manifest-path"]).arg(root().join("Cargo.toml"));
    runner.args(["-p", "emu-test-perf", "--bin", "emu-bench", "--"]).args(arguments);
    match runner.env_remove("EMU_PLUGIN_PATH").status() {
        Ok(status) => ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1)),
        Err(e) => {
            eprintln!("error: {} does not start: {e}", runner.get_program().display());
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|a| OsStr::to_string_lossy(&a).into_owned()).collect();
    let passed = match arguments.split_first() {
        Some((first, rest)) if first == "test" => test(rest, &[]),
        Some((first, rest)) if first == "soak" => {
            let tests = test(rest, &SOAK);
            // What is installed at work; only whole soaks.
            (!rest.is_empty() || dist::dist(&["dist", "chroot"])) && tests
        }
        Some((first, rest)) if first == "bench" => return bench(rest),
        Some((first, _)) if first == "dist" => dist::dist(&["dist"]),
        Some((first, rest)) if new::Kind::of(first).is_some() => {
            return match new::Kind::of(first).map(|kind| new::new(kind, rest)) {
                Some(Err(sentence)) => {
                    eprintln!("error: {sentence}");
                    ExitCode::from(2)
                }
                _ => ExitCode::SUCCESS,
            };
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
