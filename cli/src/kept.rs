//! Where generated code of programs and machines is kept between their runs: `--translations`, a folder of the user's, or nowhere.
//!
//! By default it is `emu` in the user's folder of caches, for machines and for programs that were started by emu's name. A program that the
//! kernel starts by binfmt_misc is in somebody's chroot or container more often than not, where files that appear by themselves are a nuisance:
//! there it takes the word of the option or the variable. What such programs start does as they do, and makes no folder.

use crate::run::Mistakes;
use emu_exec::{Kept, MachineSpec, Of};
use std::fmt::Write;
use std::fs::Metadata;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Keeps nothing.
pub const OFF: &str = "off";

/// Variables of the environment that change what code is made.
const VARIABLES: &[&str] = &["EMU_JIT", "EMU_HOST", "EMU_ATOMICS"];

/// A folder for code.
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The user asked for it.
    asked: bool,
}

/// The folder, if code is kept; `by_kernel`: of a program that the kernel has started; `lenient`: it is no mistake if it is not there.
pub fn folder(asked: Option<String>, by_kernel: bool, lenient: bool) -> Result<Option<Folder>, Mistakes> {
    match asked {
        Some(word) if word == OFF => Ok(None),
        Some(word) => match std::fs::canonicalize(&word) {
            Ok(path) if path.is_dir() => Ok(Some(Folder { path, asked: true })),
            _ if lenient => Ok(None),
            _ => Err(vec![format!("--translations {word}: there is no such folder; make it, or write --translations off")]),
        },
        None if by_kernel => Ok(None),
        None => Ok(default_folder().map(|path| Folder { path, asked: false })),
    }
}

/// `emu` in the user's folder of caches, made if need be (XDG Base Directory Specification, $XDG_CACHE_HOME), but for a user who has no home.
fn default_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    let folder = caches.join("emu");
    for folder in [&caches, &folder] {
        if !folder.is_dir() {
            std::fs::DirBuilder::new().mode(0o700).create(folder).ok()?;
        }
    }
    Some(folder)
}

/// What changes when a file is another.
fn file(m: &Metadata) -> String {
    format!("{}:{}:{}:{}.{:09}", m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec())
}

/// The same for a part of emu. (Packages set the time of what is in them, but not that of the inode.)
fn part(path: &Path) -> Option<String> {
    let m = std::fs::metadata(path).ok()?;
    Some(format!("{}:{}.{:09}", file(&m), m.ctime(), m.ctime_nsec()))
}

/// What is kept of a program. `plugins`: those that were opened; `cpu`: the model and its options as they were asked for.
pub fn open<'a>(folder: &Folder, program: &Path, plugins: impl Iterator<Item = &'a Path>, cpu: Option<&str>) -> Option<Kept> {
    let program = file(&std::fs::metadata(program).ok()?);
    Kept::open(&folder.path, Of::Program, &program, &format!("{}\n{cpu:?}", with(plugins)?))
}

/// What is kept of machines of a description that start with a kernel or firmware of a name, whatever is in it: code is found by contents.
pub fn open_machine<'a>(folder: &Folder, spec: &MachineSpec<'_>, plugins: impl Iterator<Item = &'a Path>) -> Option<Kept> {
    let mut name = format!("{} {:?}", spec.machine.name, spec.machine_options);
    for c in &spec.clusters {
        let _ = write!(name, "\n{} {} {:?}", c.target.name, c.cpu, c.cpu_options);
    }
    for (_, path) in spec.images.iter().filter(|(image, _)| image == "kernel" || image == "bios") {
        let _ = write!(name, "\n{:?}", std::fs::canonicalize(path).ok()?);
    }
    // A CPU that is alone needs fewer fences.
    let alone = spec.cpus == 1 && spec.clusters.len() == 1;
    Kept::open(&folder.path, Of::Machine { small: folder.asked }, &name, &format!("{}\n{alone}", with(plugins)?))
}

/// What code depends on besides: the emulator, its plugins and their variables.
fn with<'a>(plugins: impl Iterator<Item = &'a Path>) -> Option<String> {
    let mut with = part(Path::new("/proc/self/exe"))?;
    for plugin in plugins {
        let _ = write!(with, "\n{} {:?}", plugin.display(), part(plugin));
    }
    for name in VARIABLES {
        let _ = write!(with, "\n{:?}", std::env::var_os(name));
    }
    Some(with)
}
