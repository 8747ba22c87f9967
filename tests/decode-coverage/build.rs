//! Compiles the A64 tables, and lists the encodings of `aarchmrs-instructions` by reading where its
//! source has them: the crate has a module an encoding and no list of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let tables = manifest.join("../../targets/aarch64-v9/decode");
    println!("cargo::rerun-if-changed={}", tables.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut files: Vec<PathBuf> = fs::read_dir(&tables)
        .expect("the decode tables are beside this package")
        .map(|e| e.expect("a readable folder").path())
        .filter(|p| p.extension().is_some_and(|e| e == "decode"))
        .collect();
    files.sort();
    match emu_decodetree::compile(&files, &emu_decodetree::Options::default()) {
        Ok(source) => fs::write(out.join("decode.rs"), source).expect("OUT_DIR is writable"),
        Err(e) => {
            println!("cargo::error={e}");
            return;
        }
    }
    let list: Vec<String> = files.iter().map(|f| format!("{:?}", f.display().to_string())).collect();
    fs::write(out.join("tables.rs"), format!("&[{}]", list.join(", "))).expect("OUT_DIR is writable");

    let mut encodings = String::from("&[\n");
    walk(&crate_source(&manifest).join("A64.rs"), "aarchmrs_instructions::A64", "", &mut encodings);
    encodings.push(']');
    fs::write(out.join("encodings.rs"), encodings).expect("OUT_DIR is writable");
}

/// The `src` folder of the `aarchmrs-instructions` that this package is built with.
fn crate_source(manifest: &Path) -> PathBuf {
    let cargo = env::var_os("CARGO").expect("cargo sets it");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--filter-platform"])
        .arg(env::var_os("TARGET").expect("cargo sets it"))
        .arg("--manifest-path")
        .arg(manifest.join("Cargo.toml"))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let end = text
        .match_indices("/Cargo.toml\"")
        .find(|(at, _)| text[..*at].rsplit('"').next().is_some_and(|p| p.contains("/aarchmrs-instructions-")))
        .map(|(at, _)| at)
        .expect("aarchmrs-instructions is a dependency");
    let start = text[..end].rfind('"').expect("a path is quoted") + 1;
    Path::new(&text[start..end]).join("src")
}

/// Adds an `Encoding` for each `pub mod NAME {` of a module and of those that it declares. Files that
/// no module declares are not part of the crate.
fn walk(file: &Path, module: &str, class: &str, out: &mut String) {
    let text = fs::read_to_string(file).expect("a source file of the crate");
    for (at, _) in text.match_indices("pub mod ") {
        let (line, body) = text[at + "pub mod ".len()..].split_once('\n').expect("a line ends");
        if let Some(name) = line.strip_suffix(';') {
            let file = file.with_extension("").join(name).with_extension("rs");
            walk(&file, &format!("{module}::{name}"), &format!("{class}/{name}"), out);
        } else if let Some(name) = line.strip_suffix(" {") {
            let m = format!("{module}::{name}");
            let class = class.trim_start_matches('/');
            let body = body.split("\n}").next().unwrap_or_default();
            let fields: String = body
                .split("pub const FIELD_")
                .skip(1)
                .filter_map(|f| f.split_once("_OFFSET").map(|(name, _)| name))
                .filter(|name| !name.contains(char::is_whitespace))
                .map(|f| format!("({f:?}, {m}::FIELD_{f}_OFFSET, {m}::FIELD_{f}_WIDTH), "))
                .collect();
            let _ = writeln!(
                out,
                "    Encoding {{ name: {m}::NAME, class: {class:?}, mask: {m}::OPCODE_MASK, bits: {m}::OPCODE, fields: &[{fields}] }},"
            );
        }
    }
}
