//! Rules on the text of files.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/tidy lies two folders down")
}

/// All files of the tree that are not made by a build, with their text: path from the root, contents.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(dir) = folders.pop() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git") {
                    folders.push(path);
                }
            } else if endings.iter().any(|e| name.ends_with(e))
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                out.push((path.strip_prefix(root()).unwrap().display().to_string(), text));
            }
        }
    }
    out
}

fn verdict(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The part of a source file before its tests.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]").map_or(text, |at| &text[..at])
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/oracle/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Words of architectures and boards, which core does not know.
const FOREIGN: &[&str] = &[
    "aarch64", "arm", "arm64", "armv8", "armv9", "a64", "a32", "thumb", "cortex", "riscv", "riscv64", "rv64", "rv64i", "mips", "sparc", "ppc", "gic",
    "gicv2", "gicv3", "its", "pl011", "pl031", "pl061", "psci", "virt", "fdt", "el0", "el1", "el2", "el3", "nzcv", "fpcr", "sve", "sme",
];

/// Where the rules of an architecture are a profile that has its name.
const MAY_NAME: &[&str] = &["core/softfloat/"];
/// Where comments may use them: the documents of operations that are defined by reference to a manual.
const MAY_NAME_IN_COMMENTS: &[&str] = &["core/ir/", "core/decodetree/", "core/codegen/"];

#[test]
fn core_knows_no_architecture_and_no_board() {
    let mut wrong = Vec::new();
    for (path, text) in files(&[".rs"]).iter().filter(|(p, _)| p.starts_with("core/") && !is_test(p) && !MAY_NAME.iter().any(|m| p.starts_with(m))) {
        for (n, line) in without_tests(text).lines().enumerate() {
            let code = match line.find("//") {
                Some(at) if MAY_NAME_IN_COMMENTS.iter().any(|p| path.starts_with(p)) => &line[..at],
                _ => line,
            };
            // The doc column of the op table is such a comment too.
            let code = if path == "core/ir/src/op.rs" { code.split("] \"").next().unwrap() } else { code };
            let comment_at = code.find("//").unwrap_or(code.len());
            for (at, word) in words(code) {
                let lower = word.to_lowercase();
                // These two are also English, at the start of a comment with a capital.
                let sentence_start = at > comment_at && code[comment_at..at].chars().all(|c| !c.is_alphanumeric());
                let english = match lower.as_str() {
                    "its" => word != "ITS",
                    "arm" => word == "arm" || (word == "Arm" && sentence_start),
                    _ => false,
                };
                if FOREIGN.contains(&lower.as_str()) && !english {
                    wrong.push(format!("{path}:{}: core names '{word}'", n + 1));
                }
            }
        }
    }
    verdict(&wrong);
}

/// The words of a line with their places; an underscore separates.
fn words(line: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let mut start = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (c.is_ascii_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                out.push((from, &line[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    out
}

/// Where unsafe code may be, and for what.
const UNSAFE: &[(&str, &str)] = &[
    ("plugins-api/", "the C ABI between host and plugins"),
    ("core/ir/src/buf.rs", "the buffer that both sides of the ABI write"),
    ("core/mem/", "guest RAM"),
    ("core/exec/", "CPU state and guest RAM as raw memory"),
    ("core/codegen/", "CPU state as raw memory, executable memory"),
    ("core/host/src/signals.rs", "signals"),
    ("core/host/src/started.rs", "the auxiliary vector"),
    ("core/plugin/src/load.rs", "dlopen"),
    ("core/plugin/src/guard.rs", "signals while a plugin is loaded"),
    ("cli/src/inherited.rs", "a look at a signal before the runtime changes it"),
    ("targets/", "CPU state shared with generated code, helpers with a C ABI"),
    ("machines/linux-user/src/", "system calls of the host on the guest's behalf"),
    ("machines/devices/src/mock.rs", "the host's side of the ABI, for tests"),
    ("tests/", "test fixtures that play one side of the ABI"),
];

#[test]
fn unsafe_code_has_its_places_and_its_reasons() {
    let mut wrong = Vec::new();
    for (path, text) in &files(&[".rs"]) {
        if path.starts_with("tests/tidy/") || path.contains("/oracle/") {
            continue;
        }
        let allowed = UNSAFE.iter().any(|(prefix, _)| path.starts_with(prefix));
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            if code.contains("allow(unsafe_code)") && !allowed {
                wrong.push(format!("{path}:{}: unsafe code is not allowed here; the table in tests/tidy says where", n + 1));
            }
            let opens = code.contains("unsafe {") || code.contains("unsafe impl");
            if opens && !lines[n.saturating_sub(12)..=n].iter().any(|l| l.contains("SAFETY")) {
                wrong.push(format!("{path}:{}: unsafe without a SAFETY sentence", n + 1));
            }
        }
    }
    verdict(&wrong);
}

/// Longest file, in lines, and the files that are tables and may be longer.
const LINES_MAX: usize = 1500;
const TABLES: &[&str] = &["targets/aarch64-v9/src/sysreg/"];

#[test]
fn files_are_of_readable_length() {
    let long = |(path, text): &(String, String)| {
        let lines = text.lines().count();
        (lines > LINES_MAX && !TABLES.iter().any(|t| path.starts_with(t))).then(|| format!("{path} has {lines} lines, more than {LINES_MAX}"))
    };
    verdict(&files(&[".rs"]).iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn the_map_is_short() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md exists");
    let lines = map.lines().count();
    assert!(lines < 200, "ARCHITECTURE.md has {lines} lines; a map of 200 is read, a longer one is not");
    for name in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
}

#[test]
fn the_project_speaks_of_itself_only() {
    // Paths and notes of one machine, and who wrote what when.
    let forbidden = ["/work/", "../shared", "HOUSE.md", "ECOSYSTEM.md", "FACTS.md", "YARDSTICK.md", "JIT.md", "/home/", "/root/", "/tmp/t-"];
    let words_forbidden = ["session", "sessions", "chatgpt", "claude"];
    let mut wrong = Vec::new();
    for (path, text) in &files(&[".rs", ".md", ".toml", ".decode", ".csv", ".sh", "run"]) {
        if path.starts_with("tests/tidy/") {
            continue;
        }
        for (n, line) in text.lines().enumerate() {
            let hit = forbidden.iter().find(|f| line.contains(**f)).copied();
            let word = words(line).into_iter().map(|(_, w)| w.to_lowercase()).find(|w| words_forbidden.contains(&w.as_str()));
            if let Some(what) = hit.map(str::to_owned).or(word) {
                wrong.push(format!("{path}:{}: names '{what}'", n + 1));
            }
        }
    }
    verdict(&wrong);
}

#[test]
fn names_say_something() {
    let empty = ["util", "utils", "common", "misc", "manager", "helper2", "stuff"];
    let mut wrong = Vec::new();
    for (path, _) in &files(&[".rs"]) {
        let mut parts = path.trim_end_matches(".rs").split('/');
        if parts.any(|p| empty.contains(&p)) {
            wrong.push(format!("{path}: a name that says nothing"));
        }
    }
    verdict(&wrong);
}
