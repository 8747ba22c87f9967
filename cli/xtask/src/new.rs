//! `cargo xtask new-target`, `new-machine`, `new-device`: a crate of its own, outside this tree, that depends on plugins-api alone and builds to
//! a plugin. The templates are the examples in `plugins-api/examples`, which are built and tested as they stand; only names are changed.

use std::path::{Path, PathBuf};

/// What is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A guest architecture.
    Target,
    /// A board.
    Machine,
    /// A device, with a board to try it.
    Device,
}

/// A file of a template, and its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($example:literal: $($file:literal)*) => {
        &[ $( (concat!("src/", $file), include_str!(concat!("../../../plugins-api/examples/", $example, "/src/", $file))), )* ]
    };
}

/// Name of the example target, which example boards take.
const EXAMPLE_TARGET: &str = "rv64i";

impl Kind {
    /// By the command's name.
    pub fn of(command: &str) -> Option<Kind> {
        [("new-target", Kind::Target), ("new-machine", Kind::Machine), ("new-device", Kind::Device)]
            .into_iter()
            .find(|(c, _)| *c == command)
            .map(|(_, k)| k)
    }
    fn files(self) -> &'static [File] {
        match self {
            Kind::Target => files!("rv64i": "lib.rs" "hart.rs" "translate.rs" "debugger.rs"),
            Kind::Machine => files!("tiny": "lib.rs"),
            Kind::Device => files!("bell": "lib.rs" "bell.rs"),
        }
    }
    /// Texts of the template and what stands there instead. Each must be found, so that a changed example cannot break this unseen.
    fn names(self, name: &str, target: &str) -> Vec<(String, String)> {
        let quoted = |s: &str| format!("\"{s}\"");
        let takes = ("targets: &[\"rv64i\"]".to_owned(), format!("targets: &[\"{target}\"]"));
        match self {
            Kind::Target => vec![
                ("Rv64i, \"rv64i\", \"RISC-V RV64I, machine mode only (example)\"".into(), format!("Rv64i, \"{name}\", \"{name}, begun as RV64I\"")),
                ("CpuModelInfo { name: \"rv64i\"".into(), format!("CpuModelInfo {{ name: \"{name}\"")),
            ],
            Kind::Machine => vec![
                (quoted("tiny"), quoted(name)),
                ("machine 'tiny'".into(), format!("machine '{name}'")),
                ("-M tiny".into(), format!("-M {name}")),
                ("RAM and a console (example)".into(), format!("{name}, begun as RAM and a console")),
                takes,
            ],
            Kind::Device => vec![
                (quoted("bell"), quoted(name)),
                ("bell-board".into(), format!("{name}-board")),
                ("RAM and a bell to try (example)".into(), format!("RAM and {name} to try")),
                takes,
            ],
        }
    }
    fn built(self, name: &str) -> String {
        match self {
            Kind::Target => {
                format!("`emu --plugin-path DIR --list-targets` shows `{name}`; `-M MACHINE --target {name}` runs it where a board takes it")
            }
            Kind::Machine => format!("`emu --plugin-path DIR --list-machines` shows `{name}`, which `-M {name} -kernel FILE` runs"),
            Kind::Device => format!("`emu --plugin-path DIR --list-devices` shows `{name}`, which is on the board `{name}-board`"),
        }
    }
}

/// What the command line says.
#[derive(PartialEq, Eq, Debug)]
struct Asked {
    name: String,
    target: String,
    path: PathBuf,
    api: String,
}

fn parse(kind: Kind, arguments: &[String], root: &Path) -> Result<Asked, String> {
    let (mut name, mut target, mut path, mut api) = (None, None, None, None);
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let place = match word.as_str() {
            "--path" => &mut path,
            "--api" => &mut api,
            "--target" if kind != Kind::Target => &mut target,
            flag if flag.starts_with('-') => return Err(format!("{flag}: there is no such flag; see `cargo xtask help`")),
            _ if name.is_none() => {
                name = Some(word.clone());
                continue;
            }
            _ => return Err(format!("{word}: one name is enough")),
        };
        *place = Some(rest.next().ok_or(format!("{word}: its value is missing"))?.clone());
    }
    let name = name.ok_or("a name is missing, as in `cargo xtask new-target my-cpu`")?;
    let is_name = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_lowercase()) && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
    };
    let target = target.unwrap_or_else(|| EXAMPLE_TARGET.to_owned());
    for given in [&name, &target] {
        if !is_name(given) || given.len() > 64 {
            return Err(format!("'{given}' is no name for a plugin: lower-case letters, digits, - and _, beginning with a letter"));
        }
    }
    let path = path.map_or_else(|| PathBuf::from(&name), PathBuf::from);
    let api = api.unwrap_or_else(|| root.join("plugins-api").display().to_string());
    Ok(Asked { name, target, path, api })
}

fn manifest(asked: &Asked) -> Result<String, String> {
    let Asked { name, api, .. } = asked;
    let dependency = if api.starts_with(|c: char| c.is_ascii_digit()) {
        format!("\"{api}\"")
    } else {
        let path = std::fs::canonicalize(api).map_err(|e| format!("--api {api}: {e}; it is a version or the path of plugins-api"))?;
        let path =
            path.to_str().filter(|p| !p.contains(['"', '\\', '\n'])).ok_or(format!("--api {api}: its path cannot stand in a Cargo.toml"))?.to_owned();
        format!("{{ path = \"{path}\" }}")
    };
    let library = name.replace('-', "_");
    Ok(format!(
        "# A plugin for emu. Its file, libemu_{library}.so, is found without a flag in the folders that emu searches.
[package]
name = \"{name}\"
version = \"0.1.0\"
edition = \"2024\"

[lib]
name = \"emu_{library}\"
crate-type = [\"cdylib\"]

[dependencies]
emu-plugins-api = {dependency}

# It belongs to no other workspace.
[workspace]
"
    ))
}

/// Makes the crate. The error is a sentence.
pub fn new(kind: Kind, arguments: &[String]) -> Result<(), String> {
    let root = crate::root();
    let asked = parse(kind, arguments, &root)?;
    let shown = asked.path.display();
    if std::fs::read_dir(&asked.path).is_ok_and(|mut d| d.next().is_some()) || asked.path.is_file() {
        return Err(format!("{shown} is there already and not empty; name another place with --path"));
    }
    let mut files = vec![("Cargo.toml".to_owned(), manifest(&asked)?)];
    let mut found = vec![false; kind.names(&asked.name, &asked.target).len()];
    for (file, text) in kind.files() {
        let mut text = (*text).to_owned();
        for ((from, to), found) in kind.names(&asked.name, &asked.target).iter().zip(&mut found) {
            *found |= text.contains(from.as_str()) || to == from;
            text = text.replace(from.as_str(), to);
        }
        files.push(((*file).to_owned(), text));
    }
    if let Some(((from, _), _)) = kind.names(&asked.name, &asked.target).iter().zip(&found).find(|(_, found)| !**found) {
        return Err(format!("the template has no {from:?} any more; correct cli/xtask/src/new.rs"));
    }
    // The versions that this tree is tested with; cargo drops what is not needed.
    if let Ok(lock) = std::fs::read_to_string(root.join("Cargo.lock")) {
        files.push(("Cargo.lock".to_owned(), lock));
    }
    for (file, text) in files {
        let file = asked.path.join(file);
        let folder = file.parent().unwrap_or(&asked.path);
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text)).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    println!(
        "{shown} is made. `cargo build --release` there leaves the plugin in target/release, the DIR of what follows:\n{}",
        kind.built(&asked.name)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_may_be_asked() {
        let root = crate::root();
        let asked = parse(Kind::Machine, &words("my-board --target aarch64 --path /tmp/x --api 0.1"), &root).unwrap();
        assert_eq!(
            (asked.name.as_str(), asked.target.as_str(), asked.path.to_str(), asked.api.as_str()),
            ("my-board", "aarch64", Some("/tmp/x"), "0.1")
        );
        assert!(manifest(&asked).unwrap().contains("emu-plugins-api = \"0.1\""));
        let asked = parse(Kind::Target, &words("cpu"), &root).unwrap();
        assert_eq!((asked.path.to_str(), asked.api), (Some("cpu"), root.join("plugins-api").display().to_string()));
        for (arguments, why) in [
            ("", "a name is missing"),
            ("Cpu", "is no name"),
            ("../cpu", "is no name"),
            ("cpu other", "one name is enough"),
            ("cpu --path", "its value is missing"),
            ("cpu --target x", "no such flag"),
        ] {
            assert!(parse(Kind::Target, &words(arguments), &root).unwrap_err().contains(why), "{arguments}");
        }
    }

    #[test]
    fn every_name_is_in_its_template() {
        for kind in [Kind::Target, Kind::Machine, Kind::Device] {
            for (from, _) in kind.names("new", "other") {
                assert!(kind.files().iter().any(|(_, text)| text.contains(&from)), "{kind:?}: {from}");
            }
        }
    }
}
