//! Compiles `decode/*.decode` and the list of extensions.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=decode");
    println!("cargo::rerun-if-changed=models/extensions.csv");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut tables: Vec<PathBuf> = std::fs::read_dir("decode")
        .expect("the decode folder is beside this script")
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "decode"))
        .collect();
    // Compressed instructions use the methods of the others, which belong to those tables.
    tables.sort_by_key(|p| (p.ends_with("rv64c.decode"), p.clone()));
    let options = emu_decodetree::Options { feature: Some("crate::feature::Feature".into()), ..Default::default() };
    match emu_decodetree::compile(&tables, &options) {
        Ok(source) => std::fs::write(out.join("decode.rs"), source).expect("OUT_DIR can be written"),
        Err(e) => {
            eprintln!("error: {e}");
            std::process::exit(1);
        }
    }
    let csv = std::fs::read_to_string("models/extensions.csv").expect("models/extensions.csv can be read");
    let rows: Vec<Vec<&str>> = csv.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(',').map(str::trim).collect()).collect();
    let mut source = String::from(
        "/// An extension.\n#[allow(non_camel_case_types, missing_docs)]\n#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n#[repr(u8)]\npub enum Feature {\n",
    );
    rows.iter().for_each(|r| source += &format!("    {},\n", r[0]));
    source +=
        &format!("}}\n\nimpl Feature {{\n    /// Every extension in the order of its number.\n    pub const ALL: [Feature; {}] = [", rows.len());
    rows.iter().for_each(|r| source += &format!("Feature::{}, ", r[0]));
    source += "];\n    /// Names, whether each is implemented, and what each one needs or includes, by number.\n    pub const TABLE: &'static [(&'static str, bool, &'static [Feature])] = &[";
    for r in &rows {
        let with: Vec<String> = r[2].split_whitespace().map(|n| format!("Feature::{n}")).collect();
        source += &format!("({:?}, {}, &[{}]), ", r[0], r[1] == "yes", with.join(", "));
    }
    source += "];\n}\n";
    std::fs::write(out.join("extensions.rs"), source).expect("OUT_DIR can be written");
}
