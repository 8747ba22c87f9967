//! Walls between packages, by what cargo says.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Which packages a package may depend on: folder (a trailing `*` stands for any one folder), then folders of allowed dependencies.
/// The first row that fits counts. An arrow that is not here is a mistake, or a change of the architecture to be made here first.
const ARROWS: &[(&str, &[&str])] = &[
    ("core/ir", &[]),
    ("core/softfloat", &[]),
    ("core/decodetree", &[]),
    ("plugins-api", &["core/ir", "core/softfloat", "core/decodetree"]),
    ("plugins-api/examples/*", &["plugins-api"]),
    // The rest of core sees the contract and itself, never what implements the contract.
    ("core/*", &["plugins-api", "core/*", "core/codegen/*"]),
    ("core/codegen/*", &["plugins-api", "core/*", "core/codegen/*"]),
    // A target sees the contract (and the table compiler when it is built); its shim sees the target.
    ("targets/*", &["plugins-api", "core/ir", "core/softfloat", "core/decodetree"]),
    ("targets/*/plugin", &["plugins-api", "targets/*"]),
    // Machines see each other's parts, never a target: a board asks for a CPU by name.
    ("machines/firmware/*", &[]),
    ("machines/*", &["plugins-api", "machines/*", "machines/firmware/*"]),
    ("machines/*/plugin", &["plugins-api", "machines/*"]),
    // Targets and machines only in the static build, and only by their registrations.
    ("cli", &["plugins-api", "core/*", "targets/*", "machines/*"]),
    ("cli/xtask", &[]),
    ("tests/*/*", &["plugins-api"]),
    ("tests/*", &["core/*", "core/codegen/*", "plugins-api", "targets/*", "machines/*", "machines/firmware/*", "tests/*", "cli"]),
];

/// What tests of any package may use besides.
const DEV: &[&str] = &["tests/kit", "machines/firmware/*", "core/ir", "core/softfloat", "core/decodetree", "core/codegen/*"];

/// Third-party crates that only one package may name: the rest of the tree goes through it.
const ONE_PLACE: &[(&str, &str)] = &[("abi_stable", "plugins-api"), ("libloading", "core/plugin"), ("iced-x86", "core/codegen/x86_64")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/tidy lies two folders down")
}

fn fits(pattern: &str, folder: &str) -> bool {
    let (p, f): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), folder.split('/').collect());
    p.len() == f.len() && p.iter().zip(&f).all(|(p, f)| *p == "*" || p == f)
}

fn folder(manifest_or_dir: &str) -> String {
    let dir = manifest_or_dir.strip_suffix("/Cargo.toml").unwrap_or(manifest_or_dir);
    Path::new(dir).strip_prefix(root()).map(|p| p.display().to_string()).unwrap_or_else(|_| dir.to_owned())
}

fn packages() -> Vec<Value> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("a list").clone()
}

#[test]
fn arrows_never_turn() {
    let packages = packages();
    assert!(packages.len() > 15, "cargo metadata shows only {} packages", packages.len());
    let mut wrong = Vec::new();
    for package in &packages {
        let here = folder(package["manifest_path"].as_str().unwrap());
        let Some((_, allowed)) = ARROWS.iter().find(|(pattern, _)| fits(pattern, &here)) else {
            wrong.push(format!("{here} is in no row of the table"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(path) = dependency["path"].as_str() else { continue };
            let there = folder(path);
            let dev = dependency["kind"] == "dev";
            let own_part = dev && there.starts_with(&format!("{here}/"));
            if own_part || allowed.iter().chain(DEV.iter().filter(|_| dev)).any(|pattern| fits(pattern, &there)) {
                continue;
            }
            wrong.push(format!("{here} depends on {there}, which the walls do not allow"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn some_crates_have_one_place() {
    let mut wrong = Vec::new();
    for package in packages() {
        let here = folder(package["manifest_path"].as_str().unwrap());
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            if let Some((_, place)) = ONE_PLACE.iter().find(|(krate, _)| *krate == name)
                && *place != here
                && !here.starts_with("tests/")
            {
                wrong.push(format!("{here} depends on {name}, which belongs to {place} alone"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_package_takes_the_lints() {
    let mut wrong = Vec::new();
    for package in packages() {
        let manifest = package["manifest_path"].as_str().unwrap();
        let text = std::fs::read_to_string(manifest).unwrap();
        if !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{} does not take the workspace's lints", folder(manifest)));
        }
        let dir = folder(manifest);
        let name = package["name"].as_str().unwrap();
        if !name.starts_with("emu-") && !matches!(name, "emu" | "xtask") {
            wrong.push(format!("{dir}: the package name {name} does not begin with emu-"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn patterns() {
    assert!(fits("core/*", "core/ir") && fits("targets/*/plugin", "targets/x/plugin"));
    assert!(!fits("core/*", "core/codegen/interp") && !fits("core/ir", "core") && !fits("cli", "cli/xtask"));
}

/// `cargo run`, the README's first command, builds the plugins beside emu. It builds all default members only if exactly one of them has a
/// program and none has a `default_run`; with one, cargo builds that program and nothing else.
#[test]
fn the_first_command_builds_the_plugins() {
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml exists");
    let list = workspace.split_once("default-members = [").and_then(|(_, rest)| rest.split_once(']')).expect("there are default members").0;
    let members: Vec<&str> = list.split(',').map(|m| m.trim().trim_matches('"')).filter(|m| !m.is_empty()).collect();
    let packages = packages();
    let found: Vec<&Value> = packages.iter().filter(|p| members.contains(&folder(p["manifest_path"].as_str().expect("a path")).as_str())).collect();
    assert_eq!(found.len(), members.len(), "{members:?}");
    let kinds = |p: &Value| p["targets"].as_array().expect("a list").iter().filter(|t| t["kind"][0] == "bin").count();
    assert_eq!(found.iter().map(|p| kinds(p)).sum::<usize>(), 1, "programs in {members:?}");
    for p in found {
        assert!(p["default_run"].is_null(), "{} has a default_run", p["name"]);
    }
    let plugins = packages.iter().map(|p| folder(p["manifest_path"].as_str().expect("a path")));
    let missing: Vec<String> = plugins
        .filter(|f| (f.starts_with("targets/") || f.starts_with("machines/")) && f.ends_with("/plugin"))
        .filter(|f| !members.contains(&f.as_str()))
        .collect();
    assert!(missing.is_empty(), "plugins that `cargo run` does not build: {missing:?}");
}
