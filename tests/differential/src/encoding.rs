//! The table of A64 encodings, and which of them are tested.

use std::collections::BTreeSet;
use std::path::Path;

/// A field of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The specification's name.
    pub name: &'static str,
    /// Its lowest bit.
    pub offset: u32,
    /// Its width in bits.
    pub width: u32,
}

impl Field {
    /// The field's bits in a word.
    pub const fn mask(&self) -> u32 {
        (((1u64 << self.width) - 1) as u32) << self.offset
    }

    /// The field's value in a word.
    pub const fn get(&self, word: u32) -> u32 {
        (word & self.mask()) >> self.offset
    }

    /// The word with this field replaced.
    pub const fn set(&self, word: u32, value: u32) -> u32 {
        word & !self.mask() | value << self.offset & self.mask()
    }

    /// Whether it names a register.
    pub fn is_register(&self) -> bool {
        self.width == 5 && matches!(self.name, "Rd" | "Rn" | "Rm" | "Ra" | "Rt" | "Rt2" | "Rs")
    }
}

/// One instruction encoding.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// Arm's name, such as `ADD_32_addsub_ext`.
    pub name: &'static str,
    /// The path of its class, such as `dpreg/addsub_ext`.
    pub class: &'static str,
    /// The fixed bits, those that should be zero or one among them.
    pub mask: u32,
    /// Their values.
    pub value: u32,
    /// The other bits.
    pub fields: &'static [Field],
}

impl Encoding {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// The value of the field of that name, if there is one.
    pub fn get(&self, name: &str, word: u32) -> Option<u32> {
        self.field(name).map(|f| f.get(word))
    }

    /// The group: the first part of the class path.
    pub fn group(&self) -> &'static str {
        self.class.split('/').next().unwrap_or(self.class)
    }

    /// Whether it may change where execution goes on, so that its case needs landing places.
    pub fn is_branch(&self) -> bool {
        let class = self.class.strip_prefix("control/").unwrap_or("");
        class.starts_with("compbranch") || matches!(class, "branch_imm" | "branch_reg" | "condbranch" | "testbranch")
    }

    /// Whether it reads or writes memory through Rn.
    pub fn is_memory(&self) -> bool {
        self.class.starts_with("ldst/") && self.field("Rn").is_some() || self.name.starts_with("DC_") && self.class == EXTRA
    }
}

/// The prologue, main and epilogue encodings of the memory copy or set that `e` (of class
/// `ldst/memcms`) is a part of: their names differ in one letter.
pub fn memory_operation(e: &Encoding) -> Option<[&'static Encoding; 3]> {
    let prefix = ["CPYF", "CPY", "SET"].into_iter().find(|p| e.name.starts_with(p))?;
    let rest = &e.name[prefix.len() + 1..];
    let part = |stage: &str| {
        let name = format!("{prefix}{stage}{rest}");
        ALL.iter().find(|e| e.class == "ldst/memcms" && e.name == name)
    };
    Some([part("P")?, part("M")?, part("E")?])
}

/// All of A64, as Arm publishes it.
pub static ALL: &[Encoding] = include!(concat!(env!("OUT_DIR"), "/encodings.rs"));

/// The class of the system instructions and moves below.
pub const EXTRA: &str = "control/system_at_el0";

const RT: &[Field] = &[Field { name: "Rt", offset: 0, width: 5 }];
const RN: &[Field] = &[Field { name: "Rn", offset: 0, width: 5 }];

const fn extra(name: &'static str, value: u32, fields: &'static [Field]) -> Encoding {
    Encoding { name, class: EXTRA, mask: !0x1f, value, fields }
}

/// Instances of MRS, MSR and SYS that EL0 may execute; as a whole these three are excluded.
pub static EXTRAS: &[Encoding] = &[
    extra("MRS_NZCV", 0xd53b_4200, RT),
    extra("MSR_NZCV", 0xd51b_4200, RT),
    extra("MRS_FPCR", 0xd53b_4400, RT),
    extra("MSR_FPCR", 0xd51b_4400, RT),
    extra("MRS_FPSR", 0xd53b_4420, RT),
    extra("MSR_FPSR", 0xd51b_4420, RT),
    extra("MRS_DAIF", 0xd53b_4220, RT),
    extra("MRS_SCTLR_EL1", 0xd538_1000, RT),
    extra("MSR_ELR_EL1", 0xd518_4020, RT),
    extra("MRS_DCZID_EL0", 0xd53b_00e0, RT),
    extra("DC_ZVA", 0xd50b_7420, RN),
    extra("DC_CVAC", 0xd50b_7a20, RN),
    extra("DC_CVAU", 0xd50b_7b20, RN),
    extra("DC_CIVAC", 0xd50b_7e20, RN),
    extra("DC_IVAC", 0xd508_7620, RN),
    extra("DC_IC_IVAU", 0xd50b_7520, RN),
];

/// What a run includes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Pointer authentication, which needs one algorithm on both sides.
    pub pauth: bool,
}

/// Why an encoding is not tested here, or `None`.
pub fn excluded(e: &Encoding, options: Options) -> Option<&'static str> {
    let name = e.name;
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
    if !options.pauth && uses_pauth(e) {
        return Some("pointer authentication needs one algorithm on both sides");
    }
    match e.class {
        c if c.starts_with("sve") || c.starts_with("sme") => Some("scalable vectors are not compared yet"),
        "control/systemmove" | "control/systemmovepr" | "control/systeminstrs" | "control/syspairinstrs" => {
            Some("an open space of registers and operations; those of EL0 are in system_at_el0")
        }
        "control/systemresult" | "control/tchange_imm" | "control/tchange_reg" => Some("register state that the runner does not save"),
        "control/pstate" if name.starts_with("MSR_") => Some("an open space of PSTATE fields"),
        "control/pstate" => None,
        "control/hints" if starts(&["WF", "HINT_", "CHKFEAT", "GCSB", "PSB", "TSB", "ESB"]) => {
            Some("waits, or names another hint, or an optional unit")
        }
        "control/systeminstrswithreg" => Some("waits"),
        "control/exception" if starts(&["HVC", "SMC", "HLT", "DCPS", "TCANCEL"]) => Some("addresses the emulator's own services or the debugger"),
        "control/branch_reg" if starts(&["DRPS", "ERET"]) => Some("returns from an exception"),
        "control/miscbranch" => Some("changes with optional units"),
        "ldst/memcms" if starts(&["SETG"]) => Some("stores allocation tags, which the board has none of"),
        "ldst/memset_go" => Some("stores allocation tags, which the board has none of"),
        "ldst/ldst_gcs" => Some("guarded control stack is off at EL0"),
        _ if starts(&["IRG_"]) => Some("random by definition"),
        _ => None,
    }
}

fn uses_pauth(e: &Encoding) -> bool {
    let n = e.name;
    e.class == "ldst/ldst_pac"
        || n.contains("PAC")
        || n.starts_with("AUT")
        || ["BRAA", "BRAB", "BLRAA", "BLRAB", "RETAA", "RETAB", "ERETA"].iter().any(|p| n.starts_with(p))
}

/// All encodings that can be tested, extras included.
pub fn testable(options: Options) -> impl Iterator<Item = &'static Encoding> {
    ALL.iter().chain(EXTRAS).filter(move |e| excluded(e, options).is_none())
}

/// The names of rows that the decode tables in `dir` give to a method (`: method`), as against those
/// that they name unimplemented (`! reason`); `None` when there is no table.
pub fn implemented_rows(dir: &Path) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "decode") {
            continue;
        }
        for line in std::fs::read_to_string(&path).ok()?.lines() {
            let line = line.split('#').next().unwrap_or("");
            let Some(name) = line.split_whitespace().next() else { continue };
            let is_row = line.contains(" : ") && line.starts_with(|c: char| c.is_ascii_uppercase());
            if is_row {
                names.insert(name.to_owned());
            }
        }
    }
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        assert!(ALL.len() > 4400, "{}", ALL.len());
        let find = |name: &str| ALL.iter().find(|e| e.name == name).unwrap();
        let add = find("ADD_32_addsub_ext");
        assert_eq!((add.mask, add.value, add.class), (0xffe0_0000, 0x0b20_0000, "dpreg/addsub_ext"));
        let rm = add.field("Rm").unwrap();
        assert_eq!((rm.offset, rm.width, rm.is_register()), (16, 5, true));
        assert_eq!(find("LDXR_LR64_ldstexclr").mask, 0xffff_fc00);
        let mut names: Vec<_> = ALL.iter().chain(EXTRAS).map(|e| e.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len() + EXTRAS.len(), "names are unique");
        for e in ALL {
            assert_eq!(e.value & !e.mask, 0, "{}", e.name);
            for f in e.fields {
                assert_eq!(f.mask() & e.mask, 0, "{} {}", e.name, f.name);
            }
        }
    }

    #[test]
    fn field_arithmetic() {
        let f = Field { name: "x", offset: 4, width: 3 };
        assert_eq!((f.mask(), f.get(0x5f), f.set(0xff, 2)), (0x70, 5, 0xaf));
        let whole = Field { name: "w", offset: 0, width: 32 };
        assert_eq!(whole.mask(), u32::MAX);
    }
}
