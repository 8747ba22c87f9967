//! CPU models: data files in `models/`, and the options that change one.
//!
//! A file is lines of a key and its value: `description`, `extensions` (names, or `all`), `mmu` (the widest translation scheme).

use crate::feature::{Feature, FeatureSet};
use emu_plugins_api::TargetConfig;

/// Files by name, the default model first.
const FILES: &[(&str, &str)] = &[
    ("rv64", include_str!("../models/rv64.model")),
    ("max", include_str!("../models/max.model")),
    ("rva20s64", include_str!("../models/rva20s64.model")),
    ("rva22s64", include_str!("../models/rva22s64.model")),
];

/// The option by which a machine that runs programs of Linux says so.
pub const LINUX_PROGRAMS: &str = "linux-programs";

/// Names of the models, the default one first.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(n, _)| *n)
}

/// A CPU model as it has been chosen.
#[derive(Clone, Debug)]
pub struct Model {
    /// Name.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// What it has.
    pub features: FeatureSet,
    /// The largest value of satp.MODE: 8 Sv39, 9 Sv48, 10 Sv57.
    pub satp_mode: u64,
}

fn scheme(name: &str) -> Option<u64> {
    match name {
        "sv39" => Some(8),
        "sv48" => Some(9),
        "sv57" => Some(10),
        _ => None,
    }
}

impl Model {
    /// The model of that name.
    pub fn find(name: &str) -> Option<Model> {
        let (name, text) = FILES.iter().find(|(n, _)| *n == name)?;
        let line = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map_or("", str::trim);
        let implemented = FeatureSet::implemented();
        let features = match line("extensions ") {
            "all" => implemented,
            list => list.split_whitespace().filter_map(Feature::parse).filter(|f| implemented.has(*f)).collect(),
        };
        Some(Model { name, description: line("description "), features, satp_mode: scheme(line("mmu ")).unwrap_or(8) })
    }
    /// The model that a configuration asks for, with its options. The error is one sentence.
    pub fn choose(config: &TargetConfig<'_>) -> Result<Model, String> {
        let name = config.model.get();
        let mut model = Model::find(name).ok_or_else(|| {
            let all: Vec<&str> = names().collect();
            format!("there is no CPU model '{name}'; it is one of {}", all.join(", "))
        })?;
        for option in config.options.get().iter().filter(|o| o.key.get() != LINUX_PROGRAMS) {
            model.set(option.key.get(), option.value.get())?;
        }
        Ok(model)
    }
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let on = match value {
            "on" | "true" | "yes" => true,
            "off" | "false" | "no" => false,
            _ => return Err(format!("the CPU option '{key}' is on or off, not '{value}'")),
        };
        if let Some(mode) = scheme(key) {
            // Each scheme comes with those below it.
            self.satp_mode = if on { self.satp_mode.max(mode) } else { self.satp_mode.min(mode - 1) };
            if self.satp_mode < 8 {
                return Err("sv39=off leaves no translation scheme; a supervisor needs one, so leave it out".into());
            }
            return Ok(());
        }
        let Some(feature) = Feature::parse(key) else {
            return Err(format!("the CPU model '{}' has no option '{key}'; options are extensions (zba=off) and sv39, sv48, sv57", self.name));
        };
        if on && !feature.is_implemented() {
            return Err(format!("the extension {} is not implemented; leave {key}=on out", feature.name()));
        }
        if !on && matches!(feature, Feature::I | Feature::S | Feature::U | Feature::Zicsr) {
            return Err(format!("the extension {} cannot be turned off; leave {key}=off out", feature.name()));
        }
        if on {
            self.features.insert(feature)
        } else {
            self.features.remove(feature)
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_complete() {
        for name in names() {
            let m = Model::find(name).unwrap();
            assert!(!m.description.is_empty() && m.features.has(Feature::D) && m.satp_mode >= 8, "{name}");
        }
        // What a file names exists.
        for (name, text) in FILES {
            let list = text.lines().find_map(|l| l.strip_prefix("extensions ")).unwrap();
            for word in list.split_whitespace().filter(|w| *w != "all") {
                assert!(Feature::parse(word).is_some_and(Feature::is_implemented), "{name}: {word}");
            }
        }
    }
    #[test]
    fn options() {
        let mut m = Model::find("max").unwrap();
        m.set("f", "off").unwrap();
        assert!(!m.features.has(Feature::D));
        m.set("sv57", "off").unwrap();
        assert_eq!(m.satp_mode, 9);
        assert!(m.set("v", "on").unwrap_err().contains("not implemented"));
        assert!(m.set("nope", "on").unwrap_err().contains("no option"));
        assert!(m.set("zba", "7").unwrap_err().contains("on or off"));
    }
}
