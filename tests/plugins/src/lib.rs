//! What the tests of plugins share: where the built plugins are, scratch folders, running `emu` with them, and an assembler for the example
//! architecture.

pub mod rv64i;

use emu_test_kit::process::{self, Finished};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The folder of this tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this package lies two folders down").to_path_buf()
}

/// `target/<profile>` of this build.
pub fn profile_dir() -> PathBuf {
    emu_test_kit::emu::profile_dir().expect("a test runs in a build tree")
}

fn cargo_build(arguments: &[&str]) {
    let profile = profile_dir();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("build").args(arguments).current_dir(root()).env("CARGO_TARGET_DIR", profile.parent().expect("profiles lie in a folder"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let out = cargo.output().expect("cargo runs");
    assert!(out.status.success(), "cargo build {arguments:?}:\n{}", String::from_utf8_lossy(&out.stderr));
}

/// A file that a build of this package leaves in `target/<profile>`. The whole workspace's build makes it; a test alone builds it here.
fn built(file: &str, package: &str) -> PathBuf {
    let path = profile_dir().join(file);
    if !path.is_file() {
        cargo_build(&["-p", package]);
    }
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// The emu of this build.
pub fn emu() -> PathBuf {
    std::env::var_os("EMU_BIN").map_or_else(|| built("emu", "emu"), PathBuf::from)
}

/// The example target.
pub fn rv64i_plugin() -> PathBuf {
    built("libemu_example_rv64i.so", "emu-example-rv64i")
}

/// The example machine.
pub fn tiny_plugin() -> PathBuf {
    built("libemu_example_tiny.so", "emu-example-tiny")
}

/// The plugin that does wrong what EMU_FIXTURE says.
pub fn fixture_plugin() -> PathBuf {
    built("libemu_test_plugins_fixture.so", "emu-test-plugins-fixture")
}

/// The plugin with another root module.
pub fn layout_plugin() -> PathBuf {
    built("libemu_test_plugins_layout.so", "emu-test-plugins-layout")
}

/// The example plugins, compiled from today's source against the frozen contract in `tests/compat`.
pub fn frozen_plugins() -> [PathBuf; 2] {
    // The same target folder: third-party crates are those of the main build.
    cargo_build(&["--manifest-path", "tests/compat/plugins-api-0/Cargo.toml", "--locked"]);
    ["libemu_frozen_rv64i.so", "libemu_frozen_tiny.so"].map(|file| profile_dir().join(file))
}

/// The host that is built from the frozen contract.
pub fn frozen_host() -> PathBuf {
    frozen_plugins();
    profile_dir().join("emu-frozen-host")
}

/// What makes crates outside this tree.
pub fn xtask() -> PathBuf {
    built("xtask", "xtask")
}

/// Builds a crate outside this tree, without a network; the file of that name which it leaves. All such crates share a target folder beside
/// this build's, so that what they depend on is compiled once.
pub fn build_out_of_tree(path: &Path, file: &str) -> PathBuf {
    let target = profile_dir().join("out-of-tree");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--offline", "--target-dir"]).arg(&target).current_dir(path).env_remove("CARGO_TARGET_DIR");
    let out = cargo.output().expect("cargo runs");
    assert!(out.status.success(), "cargo build in {}:\n{}", path.display(), String::from_utf8_lossy(&out.stderr));
    target.join("release").join(file)
}

/// A folder that goes away again.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty one.
    pub fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("emu-plugins-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("the folder can be made");
        Scratch(dir)
    }
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Writes a file in it.
    pub fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, contents).expect("the file can be written");
        path
    }
    /// Copies a file into it.
    pub fn copy(&self, from: &Path, name: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::copy(from, &path).expect("the file can be copied");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The value of --plugin-path for these.
pub fn path_list<P: AsRef<Path>>(paths: &[P]) -> String {
    paths.iter().map(|p| p.as_ref().to_str().expect("paths are UTF-8")).collect::<Vec<_>>().join(":")
}

/// Runs emu with these arguments and EMU_FIXTURE, away from plugins of the user's.
pub fn run<S: AsRef<OsStr>>(arguments: &[S], fixture: &str) -> Finished {
    let mut command = Command::new(emu());
    command.args(arguments).env("EMU_FIXTURE", fixture);
    for name in ["EMU_PLUGIN_PATH", "EMU_LOG", "RUST_LOG"] {
        command.env_remove(name);
    }
    process::run(&mut command, Duration::from_secs(60)).expect("emu starts")
}

/// Asserts that the command fails with this code and that one line of its errors has all of these texts.
pub fn refused<S: AsRef<OsStr> + std::fmt::Debug>(arguments: &[S], fixture: &str, code: i32, texts: &[&str]) {
    let done = run(arguments, fixture);
    let errors = done.errors();
    assert_eq!(done.code, Some(code), "{arguments:?} {fixture}: {errors}");
    let line = errors.lines().find(|l| l.starts_with("error: ")).unwrap_or_else(|| panic!("{arguments:?} {fixture}: no error line in: {errors}"));
    for text in texts {
        assert!(line.contains(text), "{arguments:?} {fixture}: {text:?} is missing in: {line}");
    }
    assert!(errors.lines().count() <= 3, "{arguments:?} {fixture}: more than a sentence:\n{errors}");
}
