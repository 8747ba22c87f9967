//! Debian packages as test material: fetched by `apt-get` from the mirror that the host itself is
//! configured for, unpacked with `dpkg-deb -x` into a cache outside the tree, never installed.
//!
//! Each (suite, architecture) has a private apt world (sources, lists, archives, an empty dpkg
//! status) in the cache, so the host's own lists and architectures do not matter and need no root.
//! A lock file a world lets several test processes share the cache; a package appears by one rename,
//! so a folder that exists is complete.

use crate::{Error, Result, error, process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const LIMIT: Duration = Duration::from_secs(900);

/// The cache folder (see the crate's table of variables).
pub fn cache_dir() -> Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("EMU_TEST_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|d| d.join("emu-tests")))
        .or_else(|| from("HOME").map(|d| d.join(".cache/emu-tests")))
        .ok_or_else(|| Error("no cache folder: set EMU_TEST_CACHE".into()))
}

/// The root of one unpacked package, without what it depends on. `architecture` is `arm64`, `amd64`,
/// `riscv64` or `all` (which is fetched through an amd64 world).
///
/// ```no_run
/// let root = emu_test_kit::packages::debian("bookworm", "all", "debian-installer-12-netboot-arm64")?;
/// let kernel = root.join("usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64/linux");
/// # Ok::<(), emu_test_kit::Error>(())
/// ```
pub fn debian(suite: &str, architecture: &str, package: &str) -> Result<PathBuf> {
    World::new(suite, architecture)?.fetch(package, false)
}

/// The root in which a package and everything that it depends on (without recommendations) are
/// unpacked over each other, enough to run its programs by the root's own dynamic loader.
pub fn debian_with_dependencies(suite: &str, architecture: &str, package: &str) -> Result<PathBuf> {
    World::new(suite, architecture)?.fetch(package, true)
}

/// The same for several packages in one root, which is kept under a name of its own.
pub fn debian_together(suite: &str, architecture: &str, name: &str, packages: &[&str]) -> Result<PathBuf> {
    World::new(suite, architecture)?.fetch_all(name, packages, true)
}

/// Library folders of an unpacked amd64 root, old and merged layout.
const LIBRARIES: [&str; 4] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio", "lib64"];

/// A command that runs an amd64 program of such a root by the root's own loader and C library: they need not be the host's.
pub fn program(root: &Path, binary: &Path) -> Command {
    let libraries: Vec<String> = LIBRARIES.iter().map(|d| root.join(d).display().to_string()).collect();
    let loader = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|d| root.join(d).join("ld-linux-x86-64.so.2"));
    let loader = loader.iter().find(|l| l.exists()).unwrap_or(&loader[0]);
    let mut command = Command::new(loader);
    command.arg("--library-path").arg(libraries.join(":")).arg(binary);
    command
}

/// A private apt configuration for one suite and architecture.
struct World {
    suite: String,
    architecture: String,
    cache: PathBuf,
    apt: PathBuf,
}

impl World {
    fn new(suite: &str, architecture: &str) -> Result<Self> {
        let architecture = if architecture == "all" { "amd64" } else { architecture };
        for name in [suite, architecture] {
            check_name(name)?;
        }
        let cache = cache_dir()?;
        let apt = cache.join("apt").join(format!("{suite}-{architecture}"));
        Ok(Self { suite: suite.into(), architecture: architecture.into(), cache, apt })
    }

    fn fetch(&self, package: &str, dependencies: bool) -> Result<PathBuf> {
        self.fetch_all(package, &[package], dependencies)
    }

    fn fetch_all(&self, name: &str, packages: &[&str], dependencies: bool) -> Result<PathBuf> {
        check_name(name)?;
        packages.iter().try_for_each(|p| check_name(p))?;
        let suffix = if dependencies { "+deps" } else { "" };
        let parent = self.cache.join("debian").join(&self.suite).join(&self.architecture);
        let root = parent.join(format!("{name}{suffix}"));
        if root.is_dir() {
            return Ok(root);
        }
        make_dir(&parent)?;
        make_dir(&self.apt)?;
        let _lock = lock(&self.apt.join("lock"))?;
        if root.is_dir() {
            return Ok(root); // another process was faster
        }
        self.set_up()?;
        let archives = self.apt.join("archives");
        let _ = fs::remove_dir_all(&archives);
        make_dir(&archives.join("partial"))?;
        self.download(packages, dependencies, &archives)?;

        let staging = parent.join(format!(".{name}{suffix}.{}", std::process::id()));
        let _ = fs::remove_dir_all(&staging);
        make_dir(&staging)?;
        let mut count = 0;
        for file in list(&archives)?.iter().filter(|f| f.extension().is_some_and(|e| e == "deb")) {
            let mut unpack = Command::new("dpkg-deb");
            unpack.arg("-x").arg(file).arg(&staging);
            must("dpkg-deb", &mut unpack, &format!("cannot unpack {}", file.display()))?;
            count += 1;
        }
        if count == 0 {
            return error(format!("apt-get brought no archive for {name} ({})", self.suite));
        }
        let _ = fs::remove_dir_all(&archives);
        if packages.len() > 1 {
            merge_usr(&staging)?;
        }
        fs::rename(&staging, &root).map_err(|e| Error(format!("cannot rename {} into place: {e}", staging.display())))?;
        Ok(root)
    }

    /// Writes the sources and fetches the lists, once; lists older than a day are fetched anew, since
    /// the mirror drops packages that its newest lists no longer name.
    fn set_up(&self) -> Result<()> {
        for dir in ["lists/partial", "archives/partial", "etc", "empty"] {
            make_dir(&self.apt.join(dir))?;
        }
        let mirror = mirror()?;
        let keyring = if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
        let mut sources = format!("deb {keyring}{mirror} {} main\n", self.suite);
        if let Some(base) = self.suite.strip_suffix("-backports") {
            sources += &format!("deb {keyring}{mirror} {base} main\n");
        }
        write(&self.apt.join("etc/sources.list"), &sources)?;
        write(&self.apt.join("status"), "")?;
        let stamp = self.apt.join("updated");
        let fresh = fs::metadata(&stamp).and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|age| age < Duration::from_secs(86_400)));
        if fresh && fs::read_to_string(&stamp).is_ok_and(|s| s == sources) {
            return Ok(());
        }
        let why = format!("cannot fetch the package lists of {}; is the network reachable?", self.suite);
        must("apt-get", self.apt_get().arg("update"), &why)?;
        write(&stamp, &sources)
    }

    fn download(&self, packages: &[&str], dependencies: bool, archives: &Path) -> Result<()> {
        let mut command = self.apt_get();
        command.arg("-t").arg(&self.suite).current_dir(archives);
        if dependencies {
            command.args(["-y", "--no-install-recommends", "--download-only", "install"]);
        } else {
            command.arg("download");
        }
        command.args(packages);
        let why = format!("cannot fetch {} ({}, {})", packages.join(", "), self.suite, self.architecture);
        must("apt-get", &mut command, &why)
    }

    /// `apt-get` in this world. The host's own options (a proxy, say) stay in force; ours come last.
    fn apt_get(&self) -> Command {
        let at = |name: &str| self.apt.join(name).display().to_string();
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        for option in [
            format!("Dir::Etc::sourcelist={}", at("etc/sources.list")),
            format!("Dir::Etc::sourceparts={}", at("empty")),
            format!("Dir::Etc::preferences={}", at("etc/preferences")),
            format!("Dir::Etc::preferencesparts={}", at("empty")),
            format!("Dir::State={}", at("")),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::State::extended_states={}", at("extended_states")),
            format!("Dir::Cache={}", at("")),
            format!("Dir::Cache::archives={}", at("archives")),
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
            // The unprivileged download user could not write into the cache of whoever runs the tests.
            "APT::Sandbox::User=root".into(),
            // The archives stay for us; the hooks of container images would clean them away.
            "APT::Update::Post-Invoke=".into(),
            "APT::Keep-Downloaded-Packages=true".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
            "Acquire::http::Timeout=60".into(),
            "Debug::NoLocking=true".into(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// The URI of the Debian mirror: `EMU_TEST_MIRROR`, or the first one in the host's apt sources.
fn mirror() -> Result<String> {
    if let Some(uri) = std::env::var("EMU_TEST_MIRROR").ok().filter(|v| !v.is_empty()) {
        return Ok(uri);
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(list(Path::new("/etc/apt/sources.list.d")).unwrap_or_default());
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let uris = match file.extension().and_then(|e| e.to_str()) {
            Some("sources") => deb822_uris(&text),
            Some("list") => one_line_uris(&text),
            _ => continue,
        };
        if let Some(uri) = uris.into_iter().find(|u| u.trim_end_matches('/').ends_with("/debian")) {
            return Ok(uri);
        }
    }
    error("no Debian mirror in /etc/apt/sources.list or sources.list.d: set EMU_TEST_MIRROR")
}

/// The URIs of a deb822 sources file.
fn deb822_uris(text: &str) -> Vec<String> {
    let values = text.lines().filter_map(|l| l.strip_prefix("URIs:"));
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// The URIs of a one-line-style sources file, with or without `[options]`.
fn one_line_uris(text: &str) -> Vec<String> {
    let uri = |line: &str| -> Option<String> {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
        rest.split_whitespace().next().map(str::to_owned)
    };
    text.lines().filter_map(uri).collect()
}

/// Makes `bin`, `sbin` and `lib` names of what is in `usr`, as an installed system has them: then it does not matter by which name a
/// program looks for another.
fn merge_usr(root: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib"] {
        let (from, to) = (root.join(name), root.join("usr").join(name));
        if from.is_dir() && !from.is_symlink() {
            make_dir(&to)?;
            merge(&from, &to)?;
            std::os::unix::fs::symlink(format!("usr/{name}"), &from).map_err(|e| Error(format!("cannot link {}: {e}", from.display())))?;
        }
    }
    Ok(())
}

/// Moves what is in one folder into another, and removes the first.
fn merge(from: &Path, to: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error(format!("cannot move {}: {e}", from.display()));
    for path in list(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() && !path.is_symlink() && target.is_dir() {
            merge(&path, &target)?;
        } else {
            fs::rename(&path, &target).map_err(failed)?;
        }
    }
    fs::remove_dir(from).map_err(failed)
}

fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(good) {
        return error(format!("{name:?} is no name of a package, suite or architecture"));
    }
    Ok(())
}

/// Runs a tool that must succeed; the error ends with what it said.
fn must(tool: &str, command: &mut Command, why: &str) -> Result<()> {
    let done = process::run(command, LIMIT).map_err(|_| Error(format!("{why}: {tool} is not on this machine")))?;
    if done.code == Some(0) {
        return Ok(());
    }
    let said = done.errors();
    let said: Vec<&str> = said.lines().filter(|l| l.starts_with("E:") || l.contains("rror")).take(4).collect();
    let late = if done.timed_out { "; it did not finish in time" } else { "" };
    error(format!("{why}: {tool} failed{late}: {}", said.join(" ")))
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(|e| Error(format!("cannot make {}: {e}", path.display())))?;
    file.lock().map_err(|e| Error(format!("cannot lock {}: {e}", path.display())))?;
    Ok(file)
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error(format!("cannot make {}: {e}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error(format!("cannot write {}: {e}", path.display())))
}

/// The entries of a folder, sorted.
fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(|e| Error(format!("cannot read {}: {e}", dir.display())))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_in_both_styles() {
        let deb822 = "Types: deb\n# a comment\nURIs: http://a.example/debian http://b.example/x\nSuites: s\n";
        assert_eq!(deb822_uris(deb822), ["http://a.example/debian", "http://b.example/x"]);
        let one_line = "# deb no\ndeb [arch=amd64 signed-by=/k] http://c.example/debian s main\ndeb http://d.example/ s main\ndeb-src http://e s\n";
        assert_eq!(one_line_uris(one_line), ["http://c.example/debian", "http://d.example/"]);
    }

    #[test]
    fn names_cannot_be_options_or_paths() {
        for bad in ["", "-o", "../x", "a b", "a/b"] {
            assert!(debian("bookworm", "arm64", bad).is_err(), "{bad:?}");
            assert!(debian(bad, "arm64", "bash").is_err(), "{bad:?}");
        }
        check_name("libstdc++6").unwrap();
    }
}
