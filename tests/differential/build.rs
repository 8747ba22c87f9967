//! Makes the table of A64 encodings from the source of `aarchmrs-instructions`: one generated module
//! an encoding, with its mask, value and fields as constants. Read as text, so that the thousands of
//! functions need not be compiled and the table can be walked.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PACKAGE: &str = "aarchmrs-instructions";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let source = package_source().join("src/A64");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    files.sort();
    let mut table = String::from("&[\n");
    let mut count = 0;
    for file in &files {
        let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let class = file.with_extension("").strip_prefix(&source).unwrap().display().to_string();
        count += encodings(&text, &class, &mut table);
    }
    table.push_str("]\n");
    assert!(count > 4000, "{PACKAGE} has another form: only {count} encodings found");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("encodings.rs");
    fs::write(out, table).unwrap();
}

/// Where cargo unpacked the package.
fn package_source() -> PathBuf {
    let done = Command::new(env::var_os("CARGO").unwrap())
        .args(["metadata", "--format-version=1", "--filter-platform", &env::var("HOST").unwrap()])
        .arg("--manifest-path")
        .arg(Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("Cargo.toml"))
        .output()
        .expect("cargo metadata runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("cargo metadata is JSON");
    let packages = json["packages"].as_array().expect("packages");
    let found = packages.iter().find(|p| p["name"] == PACKAGE).expect("the package is a dependency");
    let manifest = PathBuf::from(found["manifest_path"].as_str().expect("manifest_path"));
    manifest.parent().unwrap().to_path_buf()
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Appends the encodings of one file; returns how many.
fn encodings(text: &str, class: &str, table: &mut String) -> usize {
    let mut count = 0;
    let (mut mask, mut value, mut fields) = (0u32, 0u32, Vec::<(String, u32, u32)>::new());
    let number = |line: &str| {
        let digits = line.rsplit_once("= ").unwrap().1.trim_end_matches("u32;");
        match digits.strip_prefix("0b") {
            Some(binary) => u32::from_str_radix(binary, 2).unwrap(),
            None => digits.parse().unwrap(),
        }
    };
    let mut name = String::new();
    for line in text.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix("pub const ") else { continue };
        if rest.starts_with("OPCODE_MASK:") {
            (mask, fields) = (number(rest), Vec::new());
        } else if rest.starts_with("OPCODE:") {
            value = number(rest);
        } else if rest.starts_with("SHOULD_BE_MASK:") {
            mask |= number(rest);
        } else if rest.starts_with("NAME:") {
            name = rest.split('"').nth(1).unwrap().to_owned();
        } else if let Some(field) = rest.strip_prefix("FIELD_") {
            let id = field.split(':').next().unwrap();
            if let Some(id) = id.strip_suffix("_OFFSET") {
                fields.push((id.to_owned(), number(rest), 0));
            } else if id.ends_with("_WIDTH") {
                fields.last_mut().unwrap().2 = number(rest);
            }
        } else if rest.starts_with("fn ") {
            write!(table, "Encoding {{ name: {name:?}, class: {class:?}, mask: {mask:#x}, value: {value:#x}, fields: &[").unwrap();
            for (id, offset, width) in &fields {
                write!(table, "Field {{ name: {id:?}, offset: {offset}, width: {width} }}, ").unwrap();
            }
            table.push_str("] },\n");
            count += 1;
        }
    }
    count
}
