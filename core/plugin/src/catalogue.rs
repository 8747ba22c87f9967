//! What all plugins together offer.

use crate::load::{CAN_LOAD, load};
use crate::nearest::nearest;
use crate::places::{Origin, Place, candidates, places};
use emu_plugins_api::{HostServices, MachineEntry, TargetEntry};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A loaded plugin.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its file.
    pub path: PathBuf,
    /// Who asked for it.
    pub origin: Origin,
}

/// Every target and machine there is.
pub struct Catalogue {
    plugins: Vec<Plugin>,
    targets: Vec<(usize, TargetEntry)>,
    machines: Vec<(usize, MachineEntry)>,
    warnings: Vec<String>,
    places: Vec<Place>,
}

/// What discovery needs to know.
pub struct Discovery<'a> {
    /// `--plugin-path`, in order.
    pub explicit: &'a [PathBuf],
    /// What the host does for plugins.
    pub services: &'static HostServices,
    /// The level from which plugins' log records are passed on.
    pub log_level: log::LevelFilter,
    /// Targets and machines of these names are all that matters, if it is not empty: the search opens other files only when it has not found
    /// them in those that have one of the names in their own.
    pub wanted: &'a [&'a str],
}

impl Discovery<'_> {
    /// True for a file that is opened only if the wanted ones are not elsewhere.
    fn is_beside(&self, file: &Path) -> bool {
        let plain = |text: &str| text.replace('-', "_");
        let name = plain(&file.file_name().unwrap_or_default().to_string_lossy());
        !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| name.contains(&plain(wanted)))
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Catalogue {
    /// Searches all places and loads what is there. The error is a sentence for each thing wrong with what the user asked for by name;
    /// what is wrong elsewhere is kept as warnings.
    pub fn discover(discovery: &Discovery<'_>) -> Result<Catalogue, Vec<String>> {
        let mut found =
            Catalogue { plugins: Vec::new(), targets: Vec::new(), machines: Vec::new(), warnings: Vec::new(), places: places(discovery.explicit) };
        found.add_linked();
        let mut errors = Vec::new();
        if !CAN_LOAD {
            // A static program has no loader.
            for place in found.places.iter().filter(|p| p.origin == Origin::Explicit) {
                errors.push(format!(
                    "{}: this emu has its targets and machines built in and loads no plugins; leave out --plugin-path",
                    place.path.display()
                ));
            }
            return if errors.is_empty() { Ok(found) } else { Err(errors) };
        }
        let mut files: HashSet<PathBuf> = HashSet::new();
        let mut names: HashSet<OsString> = HashSet::new();
        let mut beside = Vec::new();
        for place in found.places.clone() {
            let list = match candidates(&place) {
                Ok(list) => list,
                Err(e) => {
                    errors.push(format!("{} cannot be listed ({e}); correct the plugin path", place.path.display()));
                    continue;
                }
            };
            let mut names_here = Vec::new();
            for file in list {
                // Absolute: the loader searches the system's folders for a bare name.
                let file = std::path::absolute(&file).unwrap_or(file);
                let identity = file.canonicalize().unwrap_or_else(|_| file.clone());
                let name = file.file_name().unwrap_or_default().to_owned();
                let hidden = place.origin == Origin::Searched && names.contains(&name);
                names_here.push(name);
                if hidden || !files.insert(identity) {
                    log::debug!("{} is hidden by an earlier place or loaded already", file.display());
                    continue;
                }
                if place.origin == Origin::Searched && discovery.is_beside(&file) {
                    beside.push((file, place.origin));
                    continue;
                }
                found.open(file, place.origin, discovery, &mut errors);
            }
            names.extend(names_here);
        }
        if !discovery.wanted.iter().all(|name| found.offers(name)) {
            for (file, origin) in beside {
                found.open(file, origin, discovery, &mut errors);
            }
        }
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }

    /// Opens a file and takes in what it offers.
    fn open(&mut self, file: PathBuf, origin: Origin, discovery: &Discovery<'_>, errors: &mut Vec<String>) {
        let wrong = match load(&file, discovery.services, discovery.log_level) {
            Ok(opened) => {
                log::debug!(
                    "{}: {} targets, {} machines, built with {:?}",
                    file.display(),
                    opened.targets.len(),
                    opened.machines.len(),
                    opened.requirements
                );
                self.add(Plugin { path: file, origin }, opened.targets, opened.machines)
            }
            Err(refused) => {
                log::info!("{}: {}", file.display(), refused.detail);
                vec![refused.sentence]
            }
        };
        if origin == Origin::Searched && wrong.iter().all(|w| !w.starts_with(DUPLICATE)) {
            self.warnings.extend(wrong);
        } else {
            errors.extend(wrong);
        }
    }
    /// True if there is a target or a machine of that name.
    fn offers(&self, name: &str) -> bool {
        self.targets.iter().any(|(_, t)| t.name == name) || self.machines.iter().any(|(_, m)| m.name == name)
    }

    /// Takes in what is linked into this program, if anything is.
    fn add_linked(&mut self) {
        let linked = emu_plugins_api::linked();
        if !linked.targets.is_empty() || !linked.machines.is_empty() {
            let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("emu"));
            // They are the first, so that nothing can be there twice.
            self.add(Plugin { path, origin: Origin::Searched }, linked.targets, linked.machines);
        }
    }

    /// Takes in what a plugin offers; a sentence for each name that another plugin has already.
    fn add(&mut self, plugin: Plugin, targets: Vec<TargetEntry>, machines: Vec<MachineEntry>) -> Vec<String> {
        let mut wrong = Vec::new();
        let number = self.plugins.len();
        self.plugins.push(plugin);
        for entry in targets {
            match self.targets.iter().find(|(_, t)| t.name == entry.name) {
                Some((other, _)) => wrong.push(duplicate("target", &entry.name, &self.plugins[*other].path, &self.plugins[number].path)),
                None => self.targets.push((number, entry)),
            }
        }
        for entry in machines {
            // Machines of one name are told apart by the targets that they take.
            let same = |m: &MachineEntry| m.name == entry.name && m.targets.iter().any(|t| entry.targets.contains(t));
            match self.machines.iter().find(|(_, m)| same(m)) {
                Some((other, _)) => wrong.push(duplicate("machine", &entry.name, &self.plugins[*other].path, &self.plugins[number].path)),
                None => self.machines.push((number, entry)),
            }
        }
        wrong
    }

    /// Loaded plugins in the order of the search.
    pub fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }
    /// What is wrong with files that nobody asked for by name.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// All targets, with the file that each comes from.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetEntry, &Path)> {
        self.targets.iter().map(|(n, t)| (t, self.plugins[*n].path.as_path()))
    }
    /// All machines, with the file that each comes from.
    pub fn machines(&self) -> impl Iterator<Item = (&MachineEntry, &Path)> {
        self.machines.iter().map(|(n, m)| (m, self.plugins[*n].path.as_path()))
    }
    /// The target of that name; the error says which there are.
    pub fn target(&self, name: &str) -> Result<&TargetEntry, String> {
        let names = || self.targets.iter().map(|(_, t)| t.name.as_str());
        self.targets.iter().map(|(_, t)| t).find(|t| t.name == name).ok_or_else(|| self.missing("target", name, names))
    }
    /// The targets of CPUs that a machine has at the same time ("a+b"), or the one of that name; the error says which there are.
    pub fn targets_of(&self, names: &str) -> Result<Vec<&TargetEntry>, String> {
        names.split('+').map(|name| self.target(name)).collect()
    }
    /// The machine of that name which takes that target, or, without one, the only machine of that name. One that takes another target is
    /// found as well when there is no better: whoever asks knows what it takes. The error says which there are.
    pub fn machine(&self, name: &str, target: Option<&str>) -> Result<&MachineEntry, String> {
        let names = || self.machines.iter().map(|(_, m)| m.name.as_str());
        let all: Vec<&MachineEntry> = self.machines.iter().map(|(_, m)| m).filter(|m| m.name == name).collect();
        let takes = |m: &&MachineEntry| target.is_some_and(|target| m.targets.iter().any(|t| t == target));
        match (all.as_slice(), all.iter().copied().find(takes)) {
            (_, Some(machine)) => Ok(machine),
            ([], _) => Err(self.missing("machine", name, names)),
            ([one], _) => Ok(one),
            (_, None) => {
                let targets = all.iter().flat_map(|m| m.targets.iter().map(|t| t.as_str()));
                Err(match target {
                    Some(target) => format!("no machine '{name}' takes CPUs of the target '{target}'; there are such for: {}", list(targets)),
                    None => format!("there are several machines '{name}'; say which one with --target (there are: {})", list(targets)),
                })
            }
        }
    }

    fn missing<'a, I: Iterator<Item = &'a str>>(&'a self, what: &str, name: &str, names: impl Fn() -> I) -> String {
        let mut text = format!("no plugin offers the {what} '{name}'");
        if names().next().is_some() {
            if let Some(near) = nearest(name, names()) {
                text += &format!("; did you mean '{near}'?");
            }
            text += &format!(" (there are: {})", list(names()));
        } else {
            let searched: Vec<String> = self.places.iter().map(|p| p.path.display().to_string()).collect();
            text += &format!(
                "; there are no {what}s at all. Build the plugins with `cargo build --release`, or name their folder with --plugin-path. Searched: {}",
                searched.join(", ")
            );
        }
        text
    }
}

/// How the sentence about a duplicate begins: it is an error also where the search found it, since nobody could say which one runs.
const DUPLICATE: &str = "two plugins offer";

fn duplicate(what: &str, name: &str, one: &Path, other: &Path) -> String {
    if one == other {
        return format!("{} offers the {what} '{name}' twice; the plugin is broken, remove it from the plugin path", one.display());
    }
    format!("{DUPLICATE} the {what} '{name}': {} and {}; remove one of them", one.display(), other.display())
}
