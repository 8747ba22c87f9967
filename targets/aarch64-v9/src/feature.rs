//! Architectural features: which exist, and which fields of the ID registers say so.
//!
//! One table, [`FIELDS`], ties a feature to the smallest value of an ID register field that announces it. A CPU model is a set of ID register
//! values; from them the table derives the set of features that the model has, of which those that `emu` lacks are struck out; from what is
//! left the table derives the values that software reads. So a model never advertises what is not there, and gates ask the same set.

use crate::decode::{ROWS, Status};

include!(concat!(env!("OUT_DIR"), "/feature_names.rs"));

/// A set of features.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct FeatureSet([u64; Feature::ALL.len().div_ceil(64)]);

impl FeatureSet {
    /// True if `f` is in it.
    pub const fn has(&self, f: Feature) -> bool {
        self.0[f as usize / 64] >> (f as usize % 64) & 1 != 0
    }
    /// Puts `f` in.
    pub const fn insert(&mut self, f: Feature) {
        self.0[f as usize / 64] |= 1 << (f as usize % 64);
    }
    /// Takes `f` out.
    pub const fn remove(&mut self, f: Feature) {
        self.0[f as usize / 64] &= !(1 << (f as usize % 64));
    }
    /// What is in both.
    #[must_use]
    pub fn and(self, other: &FeatureSet) -> FeatureSet {
        FeatureSet(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }
    /// Its members.
    pub fn iter(&self) -> impl Iterator<Item = Feature> + '_ {
        Feature::ALL.into_iter().filter(|f| self.has(*f))
    }
}

impl FromIterator<Feature> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> FeatureSet {
        let mut set = FeatureSet::default();
        features.into_iter().for_each(|f| set.insert(f));
        set
    }
}

impl std::fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Feature {
    /// Name without `FEAT_`.
    pub fn name(self) -> &'static str {
        Feature::NAMES[self as usize]
    }
    /// The feature with a name, in any case, with or without `FEAT_`.
    pub fn parse(name: &str) -> Option<Feature> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("feat_").unwrap_or(&name);
        Feature::ALL.into_iter().find(|f| f.name().eq_ignore_ascii_case(name))
    }
}

/// A field of an ID register, 4 bits wide, and the features that its values announce: (smallest value, feature).
pub struct Field {
    /// ID register.
    pub register: &'static str,
    /// Lowest bit.
    pub lsb: u32,
    /// Features by value, ascending.
    pub values: &'static [(u64, Feature)],
    /// The value without any of the features: 0, or 0xf in fields that are signed.
    pub none: u64,
}

macro_rules! id_fields {
    ($($register:ident { $($lsb:literal: $($value:literal $feature:ident),+ $(; none $none:literal)?;)* })*) => {
        /// Every field that announces features.
        pub static FIELDS: &[Field] = &[ $($(
            Field { register: stringify!($register), lsb: $lsb, values: &[$(($value, Feature::$feature)),+], none: 0 $(+ $none)? },
        )*)* ];
    };
}

id_fields! {
    ID_AA64ISAR0_EL1 {
        4: 1 AES, 2 PMULL;
        8: 1 SHA1;
        12: 1 SHA256, 2 SHA512;
        16: 1 CRC32;
        20: 2 LSE, 3 LSE128;
        28: 1 RDM;
        32: 1 SHA3;
        36: 1 SM3;
        40: 1 SM4;
        44: 1 DotProd;
        48: 1 FHM;
        52: 1 FlagM, 2 FlagM2;
        56: 1 TLBIOS, 2 TLBIRANGE;
        60: 1 RNG;
    }
    ID_AA64ISAR1_EL1 {
        0: 1 DPB, 2 DPB2;
        4: 1 PACQARMA5;
        8: 1 PACIMP;
        12: 1 JSCVT;
        16: 1 FCMA;
        20: 1 LRCPC, 2 LRCPC2, 3 LRCPC3;
        32: 1 FRINTTS;
        36: 1 SB;
        40: 1 SPECRES, 2 SPECRES2;
        44: 1 BF16, 2 EBF16;
        48: 1 DGH;
        52: 1 I8MM;
        56: 1 XS;
        60: 1 LS64, 2 LS64_V, 3 LS64_ACCDATA;
    }
    ID_AA64ISAR2_EL1 {
        0: 2 WFxT;
        4: 1 RPRES;
        12: 1 PACQARMA3;
        16: 1 MOPS;
        20: 1 HBC;
        24: 1 CONSTPACFIELD;
        28: 1 CLRBHB;
        40: 1 PRFMSLC;
        44: 1 PCDPHINT;
        48: 1 RPRFM;
        52: 1 CSSC, 2 CMPBR;
        56: 1 LUT;
        60: 1 ATS1A;
    }
    ID_AA64ISAR3_EL1 {
        0: 1 CPA, 2 CPA2;
        4: 1 FAMINMAX;
        16: 1 LSFE;
        20: 1 OCCMO;
        24: 1 LSUI;
        28: 1 FPRCVT;
    }
    ID_AA64PFR0_EL1 {
        0: 1 AA64EL0;
        4: 1 AA64EL1;
        8: 1 AA64EL2;
        12: 1 AA64EL3;
        16: 0 FP, 1 FP16; none 15;
        20: 0 AdvSIMD, 1 FP16; none 15;
        28: 1 RAS;
        32: 1 SVE;
        48: 1 DIT;
        56: 1 CSV2, 2 CSV2_2, 3 CSV2_3;
        60: 1 CSV3;
    }
    ID_AA64PFR1_EL1 {
        0: 1 BTI;
        4: 1 SSBS, 2 SSBS2;
        8: 1 MTE, 2 MTE2, 3 MTE3;
        24: 1 SME, 2 SME2;
        36: 1 NMI;
        44: 1 GCS;
        48: 1 THE;
    }
    ID_AA64MMFR0_EL1 {
        4: 2 ASID16;
        8: 1 MixedEnd;
        20: 1 TGran16K, 2 LPA2; none 0;
        24: 0 TGran64K; none 15;
        28: 0 TGran4K, 1 LPA2; none 15;
        44: 1 ExS;
        60: 1 ECV, 2 ECV_POFF;
    }
    ID_AA64MMFR1_EL1 {
        0: 1 HAF, 2 HAFDBS;
        8: 1 VHE;
        12: 1 HPDS, 2 HPDS2;
        16: 1 LOR;
        20: 1 PAN, 2 PAN2, 3 PAN3;
        28: 1 XNX;
        36: 2 ETS2, 3 ETS3;
        44: 1 AFP;
        52: 1 TIDCP1;
        56: 1 CMOW;
        60: 1 ECBHB;
    }
    ID_AA64MMFR2_EL1 {
        0: 1 TTCNP;
        4: 1 UAO;
        12: 1 IESB;
        16: 1 LVA;
        20: 1 CCIDX;
        28: 1 TTST;
        32: 1 LSE2;
        36: 1 IDST;
        48: 1 TTL;
        52: 1 BBML1, 2 BBML2;
        60: 1 E0PD;
    }
    ID_AA64MMFR3_EL1 {
        0: 1 TCR2;
        4: 1 SCTLR2;
        8: 1 S1PIE;
        16: 1 S1POE;
    }
    ID_AA64DFR0_EL1 {
        0: 6 AA64, 7 Debugv8p1, 8 Debugv8p2, 9 Debugv8p4, 10 Debugv8p8, 11 Debugv8p9;
        8: 1 PMUv3, 4 PMUv3p1, 5 PMUv3p4, 6 PMUv3p5, 7 PMUv3p7, 8 PMUv3p8, 9 PMUv3p9;
    }
}

/// Fields that announce no feature of the table and are taken from the model as they are: register, mask.
pub static PLAIN_FIELDS: &[(&str, u64)] = &[
    // PARange; SNSMem, BigEndEL0, ExS and FGT stay 0.
    ("ID_AA64MMFR0_EL1", 0xf),
    // Numbers of breakpoints, watchpoints, context-aware breakpoints; DoubleLock.
    ("ID_AA64DFR0_EL1", 0xf << 12 | 0xf << 20 | 0xf << 28 | 0xf << 36),
];

/// The levels that pointer authentication's three fields share.
pub const PAUTH_LEVELS: &[(u64, Feature)] =
    &[(1, Feature::PAuth), (2, Feature::EPAC), (3, Feature::PAuth2), (4, Feature::FPAC), (5, Feature::FPACCOMBINE)];

/// The fields of pointer authentication: register, lsb of the address field, register and lsb of the generic field, algorithm.
pub const PAUTH_FIELDS: &[(&str, u32, u32, Feature)] =
    &[("ID_AA64ISAR1_EL1", 4, 24, Feature::PACQARMA5), ("ID_AA64ISAR1_EL1", 8, 28, Feature::PACIMP), ("ID_AA64ISAR2_EL1", 12, 8, Feature::PACQARMA3)];

/// Features of the system side, and those that need no code, which no row of the decode tables is gated by.
const SYSTEM: &[Feature] = &[
    Feature::EL0,
    Feature::EL1,
    Feature::AA64,
    Feature::AA64EL0,
    Feature::AA64EL1,
    Feature::FP,
    Feature::AdvSIMD,
    Feature::LittleEnd,
    Feature::LittleEndEL0,
    Feature::BigEnd,
    Feature::BigEndEL0,
    Feature::MixedEnd,
    Feature::MixedEndEL0,
    Feature::ASID16,
    Feature::IVIPT,
    Feature::TGran4K,
    Feature::TGran16K,
    Feature::TGran64K,
    Feature::HPDS,
    Feature::HAF,
    Feature::HAFDBS,
    Feature::TTCNP,
    Feature::TTST,
    Feature::TTL,
    Feature::LPA,
    Feature::LVA,
    Feature::LPA2,
    Feature::BBML1,
    Feature::BBML2,
    Feature::E0PD,
    Feature::TLBIOS,
    Feature::TLBIRANGE,
    Feature::CMOW,
    Feature::PAN,
    Feature::PAN2,
    Feature::PAN3,
    Feature::UAO,
    Feature::DIT,
    Feature::SSBS,
    Feature::SSBS2,
    Feature::CSV2,
    Feature::CSV2_2,
    Feature::CSV3,
    Feature::ECBHB,
    Feature::SPECRES,
    Feature::SPECRES2,
    Feature::DPB,
    Feature::DPB2,
    Feature::IDST,
    Feature::ETS2,
    Feature::ETS3,
    Feature::LSE2,
    Feature::RNG,
    Feature::ECV,
    Feature::PMULL,
    Feature::EBF16,
    Feature::AFP,
    Feature::RPRES,
    Feature::EPAC,
    Feature::PAuth2,
    Feature::FPAC,
    Feature::FPACCOMBINE,
    Feature::CONSTPACFIELD,
    Feature::PACIMP,
    Feature::PACQARMA3,
    Feature::PACQARMA5,
    Feature::Debugv8p1,
    Feature::Debugv8p2,
    Feature::Debugv8p4,
    Feature::PMUv3,
    Feature::PMUv3p1,
    Feature::PMUv3p4,
    Feature::PMUv3p5,
    Feature::PRFMSLC,
    Feature::Crypto,
];

/// Features of which instructions are implemented, but not all of what they are.
const INCOMPLETE: &[Feature] = &[Feature::MTE, Feature::MTE2, Feature::GCS, Feature::SPE, Feature::TRF, Feature::LS64, Feature::THE];

/// The features that `emu` implements: those of [`SYSTEM`], and those whose instructions are all implemented.
pub fn implemented() -> FeatureSet {
    let system: FeatureSet = SYSTEM.iter().copied().collect();
    let mut set = system;
    let gates = || ROWS.iter().filter_map(|r| r.gate.map(|g| (r, g)));
    for (_, gate) in gates().filter(|(r, _)| matches!(r.status, Status::Implemented(_))) {
        gate.features.iter().for_each(|f| set.insert(*f));
    }
    INCOMPLETE.iter().for_each(|f| set.remove(*f));
    loop {
        // A row that is not implemented takes away the features that alone open it, but not those of `SYSTEM`: a row that FEAT_FP and a newer
        // feature open belongs to the newer one, and what is gated by FEAT_FP alone is newer than the names of features.
        let mut missing = FeatureSet::default();
        for (row, gate) in gates().filter(|(r, _)| matches!(r.status, Status::Unimplemented(_)) && r.allowed(&|g| set.has(g))) {
            let needed = |f: Feature| !row.allowed(&|g| g != f && set.has(g));
            gate.features.iter().filter(|f| !system.has(**f) && needed(**f)).for_each(|f| missing.insert(*f));
        }
        let before = set;
        missing.iter().for_each(|f| set.remove(f));
        if set == before {
            return set;
        }
    }
}
