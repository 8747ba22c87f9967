//! CPU models: data files in `models/`, read when a machine is made.
//!
//! A file is lines of a key and its value; `inherits` names the model whose lines hold where the file has none of the same key. Values are
//! ID registers by name, `CCSIDR<n>` for CSSELR_EL1 n, `features all` for every implemented feature, and texts.

use crate::feature::{FIELDS, Feature, FeatureSet, PAUTH_FIELDS, PAUTH_LEVELS, PLAIN_FIELDS};
use std::collections::BTreeMap;

/// Files by name, the default model first; `base` is not for users.
const FILES: &[(&str, &str)] = &[
    ("max", include_str!("../models/max.model")),
    ("cortex-a72", include_str!("../models/cortex-a72.model")),
    ("base", include_str!("../models/base.model")),
];

/// Names of the models, the default one first.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(n, _)| *n).filter(|n| *n != "base")
}

/// The lines of a model and those that it inherits.
#[derive(Clone, Debug)]
pub struct Model {
    /// Name.
    pub name: &'static str,
    lines: BTreeMap<&'static str, &'static str>,
}

impl Model {
    /// The model with a name.
    pub fn find(name: &str) -> Option<Model> {
        let mut lines = BTreeMap::new();
        let (found, _) = FILES.iter().find(|(n, _)| *n == name)?;
        let mut next = Some(*found);
        while let Some((_, text)) = next.and_then(|n| FILES.iter().find(|(f, _)| *f == n)) {
            next = None;
            for line in text.lines().filter(|l| !l.starts_with('#')) {
                let Some((key, value)) = line.split_once(char::is_whitespace) else { continue };
                if key == "inherits" {
                    next = Some(value.trim());
                } else {
                    lines.entry(key).or_insert(value.trim());
                }
            }
        }
        Some(Model { name: found, lines })
    }
    /// A text.
    pub fn text(&self, key: &str) -> &'static str {
        self.lines.get(key).copied().unwrap_or("")
    }
    /// A number; 0 if there is no such line.
    pub fn number(&self, key: &str) -> u64 {
        let text = self.text(key);
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).unwrap_or(0),
            None => text.parse().unwrap_or(0),
        }
    }
    /// The features that it announces, of those in `implemented`.
    pub fn features(&self, implemented: &FeatureSet) -> FeatureSet {
        if self.text("features") == "all" {
            return *implemented;
        }
        features_of(&|register| self.number(register)).and(implemented)
    }
    /// Parts of ID registers that announce no features.
    pub fn plain(&self, register: &str) -> u64 {
        PLAIN_FIELDS.iter().filter(|(r, _)| *r == register).fold(0, |v, (_, mask)| v | self.number(register) & mask)
    }
}

/// The features that ID register values announce.
pub fn features_of(register: &dyn Fn(&str) -> u64) -> FeatureSet {
    let mut set: FeatureSet =
        [Feature::EL0, Feature::EL1, Feature::AA64, Feature::LittleEnd, Feature::LittleEndEL0, Feature::IVIPT].into_iter().collect();
    for field in FIELDS {
        let value = register(field.register) >> field.lsb & 15;
        if field.none != 0 && value == field.none {
            continue;
        }
        field.values.iter().filter(|(least, _)| value >= *least).for_each(|(_, f)| set.insert(*f));
    }
    for (name, lsb, _, algorithm) in PAUTH_FIELDS {
        let level = register(name) >> lsb & 15;
        if level != 0 {
            set.insert(*algorithm);
        }
        PAUTH_LEVELS.iter().filter(|(least, _)| level >= *least).for_each(|(_, f)| set.insert(*f));
    }
    if register("ID_AA64MMFR0_EL1") & 15 >= 6 {
        set.insert(Feature::LPA);
    }
    if set.has(Feature::MixedEnd) {
        set.insert(Feature::BigEnd);
        set.insert(Feature::BigEndEL0);
        set.insert(Feature::MixedEndEL0);
    }
    set
}

/// The value of an ID register that announces the features of a set: each field at the largest value of which nothing is missing.
pub fn id_value(register: &str, set: &FeatureSet, algorithm: Option<Feature>, plain: u64) -> u64 {
    let mut value = plain;
    for field in FIELDS.iter().filter(|f| f.register == register) {
        if field.values.iter().any(|(_, f)| PAUTH_FIELDS.iter().any(|p| p.3 == *f)) {
            continue;
        }
        let announced = field.values.iter().take_while(|(_, f)| set.has(*f)).last().map_or(field.none, |(v, _)| *v);
        value |= announced << field.lsb;
    }
    let level = PAUTH_LEVELS.iter().take_while(|(_, f)| set.has(*f)).last().map_or(0, |(v, _)| *v);
    for (_, address, generic, a) in PAUTH_FIELDS.iter().filter(|p| p.0 == register) {
        if Some(*a) == algorithm && level != 0 {
            value |= level << address | 1 << generic;
        }
    }
    value
}
