//! Options of a CPU model: `pauth`, the algorithm of pointer authentication, features by name, and what the machine demands.

use crate::feature::{Feature, FeatureSet};
use crate::model::{self, Model};
use crate::{Aarch64, PauthAlgorithm, feature};
use emu_plugins_api::TargetConfig;

/// Options that are no feature's name.
const OPTIONS: &[&str] = &["pauth", "pauth-impdef", "pauth-qarma3", "pauth-qarma5", "el2", "el3", "pmu"];

/// The candidate that differs least from what was written, if any comes close.
fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (written.len() / 3).max(2);
    candidates.map(|c| (distance(written, c), c)).filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn switch(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" | "true" | "yes" | "" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(format!("CPU option '{key}={value}': the value must be 'on' or 'off'")),
    }
}

/// Makes the instance that a configuration asks for; the error is a sentence for the user.
pub fn create(config: &TargetConfig<'_>) -> Result<Aarch64, String> {
    let name = match config.model.get() {
        "" => "max",
        name => name,
    };
    let Some(model) = model::names().find(|n| *n == name).and_then(Model::find) else {
        return Err(match nearest(name, model::names()) {
            Some(other) => format!("there is no CPU model '{name}'; did you mean '{other}'?"),
            None => format!("there is no CPU model '{name}'; the models are {}", model::names().collect::<Vec<_>>().join(", ")),
        });
    };
    let implemented = feature::implemented();
    let mut set = model.features(&implemented);
    let mut algorithm = None;
    let mut linux = false;
    for option in config.options.get() {
        let (key, value) = (option.key.get(), option.value.get());
        let on = switch(key, value)?;
        let chosen = match key {
            "pauth-impdef" => Some(PauthAlgorithm::ImpDef),
            "pauth-qarma3" => Some(PauthAlgorithm::Qarma3),
            "pauth-qarma5" => Some(PauthAlgorithm::Qarma5),
            _ => None,
        };
        match (key, chosen) {
            (_, Some(chosen)) if on => {
                if algorithm.replace(chosen).is_some_and(|other| other != chosen) {
                    return Err("the CPU options 'pauth-impdef', 'pauth-qarma3' and 'pauth-qarma5' exclude each other".into());
                }
            }
            (_, Some(_)) => {}
            ("el2" | "el3", _) if on => return Err(format!("CPU option '{key}=on': EL2 and EL3 are not implemented yet; leave it off")),
            ("el2" | "el3", _) => {}
            // What a machine that runs programs demands.
            ("linux-programs", _) => linux = on,
            ("pauth", _) => toggle(&mut set, &implemented, Feature::PAuth, key, on)?,
            ("pmu", _) => toggle(&mut set, &implemented, Feature::PMUv3, key, on)?,
            _ => {
                let Some(f) = Feature::parse(key) else { return Err(unknown_option(key)) };
                toggle(&mut set, &implemented, f, key, on)?;
            }
        }
    }
    let pauth = algorithm.unwrap_or(PauthAlgorithm::ImpDef);
    for a in [PauthAlgorithm::ImpDef, PauthAlgorithm::Qarma3, PauthAlgorithm::Qarma5] {
        set.remove(a.feature());
    }
    set.insert(pauth.feature());
    // What the ID registers can say is what the model has: features above a missing one of their field are gone with it.
    let said = model::features_of(&|register| model::id_value(register, &set, Some(pauth.feature()), model.plain(register)));
    Ok(Aarch64 { linux, ..Aarch64::build(model, set_restricted(set, said), pauth) })
}

/// Of the features that ID registers announce those that are announced, of the others all.
fn set_restricted(set: FeatureSet, said: FeatureSet) -> FeatureSet {
    let mut out = set;
    let announced = feature::FIELDS.iter().flat_map(|f| f.values.iter().map(|(_, f)| *f));
    let pauth = feature::PAUTH_FIELDS.iter().map(|p| p.3).chain(feature::PAUTH_LEVELS.iter().map(|l| l.1));
    for f in announced.chain(pauth).chain([Feature::LPA]) {
        if !said.has(f) {
            out.remove(f);
        }
    }
    out
}

fn toggle(set: &mut FeatureSet, implemented: &FeatureSet, f: Feature, key: &str, on: bool) -> Result<(), String> {
    if !on {
        if matches!(f, Feature::AA64 | Feature::AA64EL0 | Feature::AA64EL1 | Feature::EL0 | Feature::EL1 | Feature::TGran4K) {
            return Err(format!("CPU option '{key}=off': FEAT_{} cannot be left out", f.name()));
        }
        set.remove(f);
        return Ok(());
    }
    if !implemented.has(f) {
        return Err(format!("CPU option '{key}=on': FEAT_{} is not implemented", f.name()));
    }
    set.insert(f);
    Ok(())
}

fn unknown_option(key: &str) -> String {
    let lower: Vec<String> = Feature::NAMES.iter().map(|n| n.to_ascii_lowercase()).collect();
    match nearest(key, OPTIONS.iter().copied().chain(lower.iter().map(String::as_str))) {
        Some(other) => format!("there is no CPU option '{key}'; did you mean '{other}'?"),
        None => format!(
            "there is no CPU option '{key}'; options are 'pauth', 'pauth-impdef', 'pauth-qarma3', 'pauth-qarma5', 'pmu' and names of features"
        ),
    }
}
