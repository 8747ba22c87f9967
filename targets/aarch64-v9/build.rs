//! Compiles `decode/*.decode`, `sysreg/*.sysreg` and the list of feature names.

#[path = "sysreg/compile.rs"]
mod sysreg;

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=decode");
    println!("cargo::rerun-if-changed=models/features.csv");
    println!("cargo::rerun-if-changed=sysreg");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut tables: Vec<PathBuf> = std::fs::read_dir("decode")
        .expect("the decode folder is beside this script")
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "decode"))
        .collect();
    tables.sort();
    let options = emu_decodetree::Options { feature: Some("crate::feature::Feature".into()), ..Default::default() };
    match emu_decodetree::compile(&tables, &options) {
        Ok(source) => std::fs::write(out.join("decode.rs"), source).expect("OUT_DIR can be written"),
        Err(e) => {
            eprintln!("error: {e}");
            std::process::exit(1);
        }
    }
    std::fs::write(out.join("sysregs.rs"), sysreg::compile(std::path::Path::new("sysreg"))).expect("OUT_DIR can be written");
    let csv = std::fs::read_to_string("models/features.csv").expect("models/features.csv can be read");
    let names: Vec<&str> = csv.lines().filter_map(|l| l.split(',').next()).filter_map(|n| n.trim().strip_prefix("FEAT_")).collect();
    let mut source = String::from(
        "/// An architectural feature, without `FEAT_`.\n#[allow(non_camel_case_types, clippy::upper_case_acronyms, missing_docs)]\n#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n#[repr(u16)]\npub enum Feature {\n",
    );
    for n in &names {
        source += &format!("    {n},\n");
    }
    source += &format!("}}\n\nimpl Feature {{\n    /// Every feature in the order of its number.\n    pub const ALL: [Feature; {}] = [", names.len());
    for n in &names {
        source += &format!("Feature::{n}, ");
    }
    source += "];\n    /// Names without `FEAT_`, by number.\n    pub const NAMES: &'static [&'static str] = &[";
    for n in &names {
        source += &format!("{n:?}, ");
    }
    source += "];\n}\n";
    std::fs::write(out.join("feature_names.rs"), source).expect("OUT_DIR can be written");
}
