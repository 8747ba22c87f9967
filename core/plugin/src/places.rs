//! Where plugins are looked for, in this order:
//!
//! 1. files and folders given by `--plugin-path`;
//! 2. files and folders in `EMU_PLUGIN_PATH`, separated by colons;
//! 3. `deps/` beside the executable, when that lies in a cargo build tree. It comes before the next place because a build of one package
//!    leaves an old hard link there and the new file only in `deps/`;
//! 4. the folder of the executable;
//! 5. `../lib/emu/plugins` from there (an installed emu);
//! 6. `$XDG_DATA_HOME/emu/plugins`, by default `~/.local/share/emu/plugins`;
//! 7. `emu/plugins` in each of `$XDG_DATA_DIRS`, by default `/usr/local/share` and `/usr/share`.
//!
//! A file name found in one place hides the same name in the places after it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Who asked for a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// `--plugin-path`: what is wrong there is an error.
    Explicit,
    /// `EMU_PLUGIN_PATH`: also an error.
    Environment,
    /// The search order: what is wrong there is a warning.
    Searched,
}

/// A file or folder that may hold plugins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file or folder.
    pub path: PathBuf,
    /// Who asked for it.
    pub origin: Origin,
}

/// The environment that the order depends on.
pub(crate) struct Environment {
    pub exe: Option<PathBuf>,
    pub plugin_path: Option<OsString>,
    pub home: Option<OsString>,
    pub data_home: Option<OsString>,
    pub data_dirs: Option<OsString>,
}

impl Environment {
    fn of_process() -> Environment {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        Environment {
            exe: std::env::current_exe().ok(),
            plugin_path: var("EMU_PLUGIN_PATH"),
            home: var("HOME"),
            data_home: var("XDG_DATA_HOME"),
            data_dirs: var("XDG_DATA_DIRS"),
        }
    }
}

/// All places in order, those that do not exist included.
pub fn places(explicit: &[PathBuf]) -> Vec<Place> {
    ordered(explicit, &Environment::of_process())
}

pub(crate) fn ordered(explicit: &[PathBuf], env: &Environment) -> Vec<Place> {
    let mut out = Vec::new();
    let mut add = |path: PathBuf, origin| {
        if !out.iter().any(|p: &Place| p.path == path) {
            out.push(Place { path, origin });
        }
    };
    for path in explicit {
        add(path.clone(), Origin::Explicit);
    }
    for path in env.plugin_path.iter().flat_map(std::env::split_paths).filter(|p| !p.as_os_str().is_empty()) {
        add(path, Origin::Environment);
    }
    if let Some(dir) = env.exe.as_deref().and_then(Path::parent) {
        if is_cargo_tree(dir) {
            add(dir.join("deps"), Origin::Searched);
        }
        add(dir.to_path_buf(), Origin::Searched);
        if let Some(prefix) = dir.parent() {
            add(prefix.join("lib/emu/plugins"), Origin::Searched);
        }
    }
    let data_home = env.data_home.as_ref().map(PathBuf::from).or_else(|| env.home.as_ref().map(|h| Path::new(h).join(".local/share")));
    if let Some(dir) = data_home {
        add(dir.join("emu/plugins"), Origin::Searched);
    }
    let data_dirs = env.data_dirs.clone().unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    for dir in std::env::split_paths(&data_dirs).filter(|p| p.is_absolute()) {
        add(dir.join("emu/plugins"), Origin::Searched);
    }
    out
}

/// True for `target/<profile>` of a cargo build.
fn is_cargo_tree(dir: &Path) -> bool {
    dir.join(".fingerprint").is_dir()
}

/// The files of a place that are to be opened, sorted by name. In folders that the search order names, and in cargo build trees, which are
/// full of other libraries, only plugins by name count; in a folder that the user names every shared library does.
pub(crate) fn candidates(place: &Place) -> std::io::Result<Vec<PathBuf>> {
    let path = &place.path;
    if place.origin != Origin::Searched && !path.is_dir() {
        // Also when it is missing: opening it gives the sentence.
        return Ok(vec![path.clone()]);
    }
    let in_cargo_tree = is_cargo_tree(path) || (path.ends_with("deps") && path.parent().is_some_and(is_cargo_tree));
    let wanted = |name: &OsStr| {
        let name = name.to_string_lossy();
        if in_cargo_tree {
            name.starts_with("libemu_") && name.ends_with("_plugin.so")
        } else if place.origin == Origin::Searched {
            name.starts_with("libemu_") && name.ends_with(".so")
        } else {
            name.ends_with(".so")
        }
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(_) if place.origin == Origin::Searched => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(Result::ok).filter(|e| wanted(&e.file_name())).map(|e| e.path()).filter(|p| !p.is_dir()).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("emu-places-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn order() {
        let env = Environment {
            exe: Some("/opt/bin/emu".into()),
            plugin_path: Some("/p1:/p2::/p1".into()),
            home: Some("/h/u".into()),
            data_home: None,
            data_dirs: Some("/usr/share:relative".into()),
        };
        let got: Vec<String> = ordered(&["/x.so".into()], &env).iter().map(|p| p.path.display().to_string()).collect();
        let want = ["/x.so", "/p1", "/p2", "/opt/bin", "/opt/lib/emu/plugins", "/h/u/.local/share/emu/plugins", "/usr/share/emu/plugins"];
        assert_eq!(got, want);
    }

    #[test]
    fn a_cargo_tree_is_searched_in_deps_first_and_for_plugins_only() {
        let dir = scratch("tree");
        std::fs::create_dir_all(dir.join(".fingerprint")).unwrap();
        std::fs::create_dir_all(dir.join("deps")).unwrap();
        for name in ["libemu_a_plugin.so", "libemu_example.so", "libderive-12.so", "libemu_a_plugin.d"] {
            std::fs::write(dir.join("deps").join(name), "").unwrap();
        }
        let env = Environment { exe: Some(dir.join("emu")), plugin_path: None, home: None, data_home: None, data_dirs: Some("/nowhere".into()) };
        let order = ordered(&[], &env);
        assert_eq!(order[0].path, dir.join("deps"));
        assert_eq!(order[1].path, dir);
        assert_eq!(candidates(&order[0]).unwrap(), [dir.join("deps/libemu_a_plugin.so")]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_folder_of_the_users_gives_every_library() {
        let dir = scratch("user");
        for name in ["b.so", "a.so", "c.txt"] {
            std::fs::write(dir.join(name), "").unwrap();
        }
        let place = Place { path: dir.clone(), origin: Origin::Explicit };
        assert_eq!(candidates(&place).unwrap(), [dir.join("a.so"), dir.join("b.so")]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
