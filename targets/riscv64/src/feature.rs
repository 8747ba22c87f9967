//! Extensions: which there are, which are implemented, what each needs. All of it comes from `models/extensions.csv`.

include!(concat!(env!("OUT_DIR"), "/extensions.rs"));

/// A set of extensions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FeatureSet(u128);

impl FeatureSet {
    /// Everything that is implemented.
    pub fn implemented() -> FeatureSet {
        Feature::ALL.into_iter().filter(|f| f.is_implemented()).collect()
    }
    /// Whether an extension is in it.
    pub const fn has(&self, f: Feature) -> bool {
        self.0 >> f as u32 & 1 != 0
    }
    /// Adds an extension and what it includes.
    pub fn insert(&mut self, f: Feature) {
        if !self.has(f) {
            self.0 |= 1 << f as u32;
            f.includes().iter().for_each(|g| self.insert(*g));
        }
    }
    /// Takes one out, and everything that needs it.
    pub fn remove(&mut self, f: Feature) {
        self.0 &= !(1 << f as u32);
        Feature::ALL.into_iter().filter(|g| g.includes().contains(&f)).for_each(|g| {
            if self.has(g) {
                self.remove(g);
            }
        });
    }
}

impl FromIterator<Feature> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = Feature>>(all: I) -> FeatureSet {
        let mut set = FeatureSet::default();
        all.into_iter().for_each(|f| set.insert(f));
        set
    }
}

impl Feature {
    /// Its name as the manual spells it.
    pub const fn name(self) -> &'static str {
        Feature::TABLE[self as usize].0
    }
    /// Whether it is implemented.
    pub const fn is_implemented(self) -> bool {
        Feature::TABLE[self as usize].1
    }
    /// What it needs or includes.
    pub const fn includes(self) -> &'static [Feature] {
        Feature::TABLE[self as usize].2
    }
    /// The extension of that name, letter case aside.
    pub fn parse(name: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|f| f.name().eq_ignore_ascii_case(name))
    }
}

/// Letters of misa.
const LETTERS: &[(Feature, u8)] = &[
    (Feature::I, b'I'),
    (Feature::M, b'M'),
    (Feature::A, b'A'),
    (Feature::F, b'F'),
    (Feature::D, b'D'),
    (Feature::C, b'C'),
    (Feature::S, b'S'),
    (Feature::U, b'U'),
];

/// misa of a set.
pub fn misa(set: &FeatureSet) -> u64 {
    LETTERS.iter().filter(|(f, _)| set.has(*f)).fold(2 << 62, |v, (_, letter)| v | 1 << (letter - b'A'))
}

/// The names of a set in the order that ISA strings have: single letters, then the others as the table has them.
pub fn names(set: &FeatureSet) -> Vec<String> {
    let letters = [Feature::I, Feature::M, Feature::A, Feature::F, Feature::D, Feature::C];
    let privileged = [Feature::S, Feature::U];
    let single = letters.into_iter().filter(|f| set.has(*f));
    let mut rest: Vec<&str> = Feature::ALL.into_iter().filter(|f| set.has(*f) && f.name().len() > 1).map(Feature::name).collect();
    // Z extensions by their second letter's category (imafdqcbkvh), then S extensions.
    rest.sort_by_key(|n| {
        let category = "imafdqcbkvh".find(n.as_bytes()[1].to_ascii_lowercase() as char).unwrap_or(99);
        (!n.starts_with('Z'), if n.starts_with('Z') { category } else { 0 }, n.to_ascii_lowercase())
    });
    debug_assert!(privileged.iter().all(|f| f.name().len() == 1));
    single.map(Feature::name).chain(rest).map(str::to_ascii_lowercase).collect()
}

/// The ISA string ("rv64imafdc_zicsr_...").
pub fn isa_string(set: &FeatureSet) -> String {
    let names = names(set);
    let letters: String = names.iter().filter(|n| n.len() == 1).cloned().collect();
    let rest: String = names.iter().filter(|n| n.len() > 1).map(|n| format!("_{n}")).collect();
    format!("rv64{letters}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_closed() {
        let set: FeatureSet = [Feature::I, Feature::D].into_iter().collect();
        assert!(set.has(Feature::F) && set.has(Feature::Zicsr) && !set.has(Feature::V));
        let mut all = FeatureSet::implemented();
        all.remove(Feature::F);
        assert!(!all.has(Feature::D) && !all.has(Feature::Zfh) && all.has(Feature::A));
    }
    #[test]
    fn strings() {
        let set: FeatureSet = [Feature::I, Feature::M, Feature::S, Feature::U, Feature::Zbb, Feature::Sstc, Feature::Zicsr].into_iter().collect();
        assert_eq!(isa_string(&set), "rv64im_zicsr_zmmul_zbb_sstc");
        assert_eq!(misa(&set), 2 << 62 | 1 << 8 | 1 << 12 | 1 << 18 | 1 << 20);
    }
}
