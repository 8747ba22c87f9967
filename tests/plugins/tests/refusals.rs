//! What is wrong with a plugin, or with what was asked for, ends in one sentence that names the file and the fix, and an exit code.

use emu_test_plugins::{Scratch, fixture_plugin, layout_plugin, path_list, refused, run, rv64i_plugin, tiny_plugin};
use serde_json::Value;

const USAGE: i32 = 2;
const INTERNAL: i32 = 125;

fn listing(path: &str) -> [&str; 3] {
    ["--plugin-path", path, "--list-targets"]
}

#[test]
fn files_that_are_no_plugins() {
    let scratch = Scratch::new("files");
    let text = scratch.file("libemu_text.so", b"this is a text\n");
    refused(&listing(text.to_str().unwrap()), "", USAGE, &["libemu_text.so", "is not a library that this system can load", "remove it"]);
    let truncated = scratch.file("libemu_cut.so", &std::fs::read(rv64i_plugin()).unwrap()[..5000]);
    refused(&listing(truncated.to_str().unwrap()), "", USAGE, &["libemu_cut.so", "is not a library"]);
    refused(&listing("/nonexistent/libx.so"), "", USAGE, &["/nonexistent/libx.so does not exist"]);
    // A folder of the user's: everything in it counts.
    refused(&listing(scratch.path().to_str().unwrap()), "", USAGE, &["libemu_cut.so"]);
    // A library that is none of ours: the C library, which is loaded in any case.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().filter_map(|l| l.split_whitespace().last()).find(|p| p.contains("/libc.so")).expect("libc is mapped");
    refused(&listing(libc), "", USAGE, &[libc, "is not an emu plugin", "remove it from the plugin path"]);
}

#[test]
fn other_versions() {
    let path = fixture_plugin();
    let name = "libemu_test_plugins_fixture.so";
    let cases: &[(&str, &[&str])] = &[
        ("magic", &["is not an emu plugin"]),
        ("api", &["for API 0.2, this emu speaks 0.1", "rebuild it"]),
        ("ops", &["other meanings for the first", "ops", "rebuild it"]),
        ("services", &["other meanings for the first", "services", "rebuild it"]),
        ("needs", &["needs", "ops, this emu has", "newer emu"]),
    ];
    for (fixture, texts) in cases {
        let all: Vec<&str> = [name].iter().chain(texts.iter()).copied().collect();
        refused(&listing(path.to_str().unwrap()), fixture, USAGE, &all);
    }
    // One that knows more than this emu but does not need it loads.
    let done = run(&["--plugin-path", path.to_str().unwrap(), "--list-machines"], "knows");
    assert_eq!(done.code, Some(0), "{}", done.errors());
    assert!(done.text().contains("faulty"));
    refused(&listing(layout_plugin().to_str().unwrap()), "", USAGE, &["libemu_test_plugins_layout.so", "another layout", "rebuild it"]);
}

/// A copy of a plugin with one text in it replaced by another of the same length.
fn patched(scratch: &Scratch, name: &str, plugin: &std::path::Path, from: &str, to: &str) -> std::path::PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(plugin).unwrap();
    let places: Vec<usize> = bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from.as_bytes()).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "{from} is not in {}", plugin.display());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    scratch.file(name, &bytes)
}

#[test]
fn libraries_that_lack_something() {
    let scratch = Scratch::new("lacks");
    let plugin = fixture_plugin();
    // The plain function; the root module.
    let none = patched(&scratch, "libemu_mute.so", &plugin, "emu_plugin_abi", "emu_plugin_abj");
    refused(&listing(none.to_str().unwrap()), "", USAGE, &["libemu_mute.so is not an emu plugin (it has no emu_plugin_abi)", "remove it"]);
    let none = patched(&scratch, "libemu_rootless.so", &plugin, "_1as_0lib_1header_0root_bmodule_bloader", "_1as_0lib_1header_0root_bmodule_bloadex");
    refused(&listing(none.to_str().unwrap()), "", USAGE, &["libemu_rootless.so is not an emu plugin", "remove it"]);
    // A library that it needs.
    let none = patched(&scratch, "libemu_needy.so", &plugin, "libgcc_s.so.1", "libnone.so.77");
    refused(
        &listing(none.to_str().unwrap()),
        "",
        USAGE,
        &["libemu_needy.so", "it needs libnone.so.77, which is not there", "install that or remove it"],
    );
    // Another kind of CPU: `e_machine` says AArch64.
    let mut bytes = std::fs::read(&plugin).unwrap();
    bytes[18] = 183;
    let foreign = scratch.file("libemu_foreign.so", &bytes);
    refused(&listing(foreign.to_str().unwrap()), "", USAGE, &["libemu_foreign.so", "built for another kind of CPU", "remove it"]);
}

#[test]
fn tables_that_make_no_sense() {
    let path = fixture_plugin();
    let path = path.to_str().unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("no-target-table", &["has no table of functions for the target 'liar'"]),
        ("no-target-function", &["has no function number 5 in its table for the target 'liar'", "rebuild it"]),
        ("no-machine-function", &["has no function number 2 in its table for the machine", "rebuild it"]),
        ("short-table", &["has a table of 8 bytes for its targets, which is too short", "rebuild it"]),
        ("odd-table", &["which no table of functions has", "rebuild it"]),
        ("endless-table", &["which no table of functions has", "rebuild it"]),
        ("two-targets", &["offers the target 'liar' twice"]),
        ("two-machines", &["offers the machine", "twice"]),
    ];
    for (fixture, texts) in cases {
        let all: Vec<&str> = ["libemu_test_plugins_fixture.so"].iter().chain(texts.iter()).copied().collect();
        refused(&listing(path), fixture, USAGE, &all);
    }
    // What a target says of its CPUs is known when a machine is made.
    let cases: &[(&str, &str)] = &[
        ("small-state", "says that its CPUs have 8 bytes of state"),
        ("large-state", "says that its CPUs have 4294967295 bytes of state"),
        ("long-field", "has a field 'x' that ends behind its"),
        ("far-pin", "wants the 64 bits at 1048576 of its"),
        ("no-page", "pages of 2^0 bytes"),
        ("", "faulty machines cannot be made"),
    ];
    for (fixture, text) in cases {
        refused(&["--plugin-path", path, "-M", "lies"], fixture, USAGE, &[text]);
    }
}

/// Whatever goes wrong while a plugin is loaded is a wrong file: one sentence after what the plugin itself may have printed, and exit code 2.
#[test]
fn plugins_that_crash_while_they_are_loaded() {
    let path = fixture_plugin();
    for (fixture, texts) in [
        (
            "init",
            [
                "error: the plugin libemu_test_plugins_fixture.so panicked while it was loaded: ",
                "as asked by EMU_FIXTURE; the plugin is broken, remove it",
            ],
        ),
        ("root", ["libemu_test_plugins_fixture.so cannot be started: ", ""]),
        ("constructor", ["libemu_test_plugins_fixture.so crashes while it is loaded; the plugin is broken, remove it from the plugin path", ""]),
    ] {
        let done = run(&listing(path.to_str().unwrap()), fixture);
        let errors = done.errors();
        assert_eq!(done.code, Some(USAGE), "{fixture}: {errors}");
        let last = errors.lines().last().unwrap_or("");
        assert!(last.starts_with("error: ") && texts.iter().all(|t| last.contains(t)), "{fixture}: {errors}");
    }
}

#[test]
fn what_the_search_finds_is_only_a_warning() {
    let scratch = Scratch::new("search");
    let data = scratch.path().join("emu/plugins");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("libemu_bad.so"), "text").unwrap();
    let mut command = std::process::Command::new(emu_test_plugins::emu());
    command.args(["--plugin-path", &path_list(&[rv64i_plugin()]), "--list-targets"]).env("XDG_DATA_HOME", scratch.path());
    let done = command.output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{errors}");
    assert!(errors.starts_with("warning: ") && errors.contains("libemu_bad.so"), "{errors}");
    // It stands above the error when something is missing.
    command.args(["--target", "absent"]);
    let done = command.output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2));
    assert!(errors.starts_with("warning: ") && errors.contains("libemu_bad.so") && errors.contains("error: no plugin offers"), "{errors}");
}

#[test]
fn two_plugins_with_one_name() {
    let scratch = Scratch::new("twice");
    let copy = scratch.copy(&rv64i_plugin(), "libemu_copy.so");
    let both = path_list(&[rv64i_plugin(), copy.clone()]);
    refused(&listing(&both), "", USAGE, &["two plugins offer the target 'rv64i'", "libemu_example_rv64i.so", "libemu_copy.so", "remove one"]);
    let tiny = scratch.copy(&tiny_plugin(), "other.so");
    refused(&listing(&path_list(&[tiny_plugin(), tiny])), "", USAGE, &["two plugins offer the machine 'tiny'", "other.so"]);
    // The same file twice is one plugin, also by way of a link.
    let link = scratch.path().join("link.so");
    std::os::unix::fs::symlink(&copy, &link).unwrap();
    let done = run(&listing(&path_list(&[copy.clone(), copy, link])), "");
    assert_eq!(done.code, Some(0), "{}", done.errors());
    assert_eq!(done.text().matches("rv64i").count(), 1, "{}", done.text());
}

#[test]
fn what_is_not_there() {
    let path = path_list(&[rv64i_plugin(), tiny_plugin(), fixture_plugin()]);
    let p = ["--plugin-path", path.as_str()];
    let with = |more: &[&str]| -> Vec<String> { p.iter().chain(more).map(|s| (*s).to_owned()).collect() };
    let cases: &[(&[&str], &[&str])] = &[
        (&["--target", "rv46i", "-M", "tiny"], &["no plugin offers the target 'rv46i'", "did you mean 'rv64i'?"]),
        (&["-M", "tinny"], &["no plugin offers the machine 'tinny'", "did you mean 'tiny'?"]),
        (&["-M", "orphan"], &["no plugin offers the target 'nowhere'"]),
        (&["-M", "orphan", "--target", "rv64i"], &["'orphan' takes no CPU of the target 'rv64i'", "nowhere"]),
        (&["-M", "tiny", "-cpu", "rv64"], &["no CPU model 'rv64'", "rv64i"]),
        (&["-M", "tiny,greting=on"], &["no option 'greting'", "did you mean 'greeting'?"]),
        (&["-M", "tiny,greeting=7", "-kernel", "/dev/null"], &["greeting=7: it is on or off"]),
        (&["-M", "tiny"], &["-kernel FILE"]),
        (&["-M", "tiny", "-kernel", "/nonexistent"], &["-kernel /nonexistent: ", "No such file"]),
        (&["-M", "tiny", "-kernel", "/dev/null"], &["do not fit"]),
        (&["-M", "tiny", "-kernel", "x", "-m", "0"], &["-m 0: "]),
        (&["-M", "tiny", "-kernel", "x", "-smp", "9999"], &["-smp 9999: ", "at most 1"]),
        (&["-M", "tiny", "-kernel", "x", "-smp", "0"], &["-smp 0: "]),
        (&["-M", "tiny", "-kernel", "x", "-icount", "shift=auto"], &["shift=auto", "deterministic"]),
        (&["-M", "tiny", "-kernel", "x", "-accel", "kvm"], &["-accel kvm: "]),
        (&["-M", "tiny", "-kernel", "x", "-serial", "stdio", "-serial", "mon:stdio"], &["cannot both use stdio"]),
        (&["-M", "tiny", "-kernel", "x", "-serial", "file:/nonexistent/x"], &["/nonexistent/x"]),
        (&["-M", "faulty"], &["faulty machines cannot be made"]),
        (&["--target", "rv64i"], &["no machine was given", "tiny"]),
        (&["-M", "tiny", "-drive", "file=x"], &["-drive: ", "not implemented"]),
        (&["-d", "guest_error", "-M", "tiny"], &["did you mean 'guest_errors'?"]),
        (&["--json", "-M", "tiny"], &["--json belongs to a list"]),
        (&["--timeout", "soon", "-M", "tiny", "-kernel", "x"], &["--timeout: 'soon' is no duration"]),
        (&["-M", "tiny", "-kernel", "x", "--expect", "\\q"], &["'\\q'", "is no escape"]),
    ];
    for (more, texts) in cases {
        refused(&with(more), "", USAGE, texts);
    }
}

#[test]
fn a_panicking_plugin_is_named() {
    let path = path_list(&[rv64i_plugin(), fixture_plugin()]);
    let done = run(&["--plugin-path", &path, "-M", "faulty"], "panic");
    let errors = done.errors();
    assert_eq!(done.code, Some(INTERNAL), "{errors}");
    let first = errors.lines().next().unwrap_or("");
    assert!(first.starts_with("error: the plugin libemu_test_plugins_fixture.so panicked: "), "{errors}");
    assert!(errors.contains("as asked by EMU_FIXTURE"), "{errors}");
}

#[test]
fn lists() {
    let path = path_list(&[rv64i_plugin(), tiny_plugin()]);
    let json = |flag: &str| -> Value {
        let done = run(&["--plugin-path", &path, flag, "--json"], "");
        assert_eq!(done.code, Some(0), "{}", done.errors());
        serde_json::from_slice(&done.stdout).expect("JSON")
    };
    let has = |list: &Value, name: &str| list.as_array().unwrap().iter().any(|v| v["name"] == name);
    let targets = json("--list-targets");
    let rv64i = targets.as_array().unwrap().iter().find(|t| t["name"] == "rv64i").expect("rv64i");
    assert!(rv64i["plugin"].as_str().unwrap().ends_with("libemu_example_rv64i.so"));
    assert_eq!(rv64i["models"], serde_json::json!(["rv64i"]));
    let machines = json("-list-machines");
    let tiny = machines.as_array().unwrap().iter().find(|m| m["name"] == "tiny").expect("tiny");
    assert_eq!((&tiny["max_cpus"], &tiny["targets"]), (&1.into(), &serde_json::json!(["rv64i"])));
    assert_eq!(tiny["options"][0]["name"], "greeting");
    assert!(has(&json("--list-cpus"), "rv64i") && has(&json("--list-devices"), "console"));
    let text = |arguments: &[&str]| {
        let done = run(&[&["--plugin-path", path.as_str()], arguments].concat(), "");
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.errors());
        done.text()
    };
    assert!(text(&["-M", "help"]).contains("tiny"));
    assert!(text(&["-M", "tiny,help"]).contains("greeting=on|off"));
    assert!(text(&["-M", "tiny", "-cpu", "help"]).contains("machine mode"));
    assert!(text(&["-d", "help"]).contains("in_asm"));
    assert!(text(&["-version"]).starts_with("emu "));
    assert!(text(&["-h"]).contains("--plugin-path"));
}

#[test]
fn a_link_names_the_target() {
    let scratch = Scratch::new("link");
    let link = scratch.path().join("qemu-system-rv64i");
    std::os::unix::fs::symlink(emu_test_plugins::emu(), &link).unwrap();
    let path = path_list(&[rv64i_plugin(), tiny_plugin()]);
    let out = std::process::Command::new(&link).args(["--plugin-path", &path, "-M", "help"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim_end(), "tiny  RAM and a console (example) (target rv64i)");
    let other = scratch.path().join("qemu-system-absent");
    std::os::unix::fs::symlink(emu_test_plugins::emu(), &other).unwrap();
    let out = std::process::Command::new(&other).args(["--plugin-path", &path, "-M", "tiny"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("no plugin offers the target 'absent'"));
}
