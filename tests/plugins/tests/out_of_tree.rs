//! Plugins from outside this tree: crates that `cargo xtask new-...` makes depend on plugins-api alone, build by themselves, are loaded by an
//! unmodified emu from a folder, show in its lists, run guests, and are debugged with gdb.

use emu_test_kit::{Console, process};
use emu_test_plugins::rv64i::*;
use emu_test_plugins::{Scratch, build_out_of_tree, emu, run, xtask};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// Makes a crate, builds it and puts the plugin into `plugins`.
fn make(scratch: &Scratch, plugins: &Path, command: &str, name: &str, more: &[&str]) {
    let path = scratch.path().join("crates").join(name);
    let mut new = Command::new(xtask());
    new.args([command, name, "--path", path.to_str().unwrap()]).args(more);
    let out = new.output().expect("xtask starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains(name));
    // It is a crate outside of this workspace that names nothing of it but the contract.
    let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap();
    let dependencies = manifest.split_once("[dependencies]\n").unwrap().1;
    assert!(manifest.contains("[workspace]") && dependencies.lines().filter(|l| l.contains(" = ")).count() == 1, "{manifest}");
    // Not over what is there already.
    let out = new.output().unwrap();
    assert!(
        out.status.code() == Some(2) && String::from_utf8_lossy(&out.stderr).contains("is there already"),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let built = build_out_of_tree(&path, &format!("libemu_{}.so", name.replace('-', "_")));
    std::fs::copy(&built, plugins.join(built.file_name().unwrap())).unwrap();
}

fn listed(plugins: &str, flag: &str) -> String {
    let done = run(&["--plugin-path", plugins, flag], "");
    assert_eq!(done.code, Some(0), "{}", done.errors());
    done.text()
}

/// Writes a program.
fn guest(scratch: &Scratch, name: &str, program: &Program) -> PathBuf {
    scratch.file(name, &program.bytes())
}

#[test]
fn a_target_a_machine_and_a_device_from_outside() {
    let scratch = Scratch::new("outside");
    let folder = scratch.path().join("plugins");
    std::fs::create_dir(&folder).unwrap();
    make(&scratch, &folder, "new-target", "tryout", &[]);
    make(&scratch, &folder, "new-machine", "tryout-bench", &["--target", "tryout"]);
    make(&scratch, &folder, "new-device", "chime", &["--target", "tryout"]);
    let plugins = folder.to_str().unwrap();

    let has = |list: &str, words: &[&str]| list.lines().any(|l| words.iter().all(|w| l.contains(w)));
    assert!(has(&listed(plugins, "--list-targets"), &["tryout", "begun as RV64I"]));
    assert!(has(&listed(plugins, "--list-cpus"), &["tryout"]));
    let machines = listed(plugins, "--list-machines");
    assert!(has(&machines, &["tryout-bench", "(target tryout)"]) && has(&machines, &["chime-board", "(target tryout)"]), "{machines}");
    assert!(has(&listed(plugins, "--list-devices"), &["chime-board", "chime", "Rings after a time"]));

    runs(&scratch, plugins);
    rings(&scratch, plugins);
    is_debugged(&scratch, plugins);
}

/// A guest on the machine: text and exit code, by generated code and by the interpreter.
fn runs(scratch: &Scratch, plugins: &str) {
    let mut p = Program::default();
    // 1 + 2 + ... + 100, less 5008.
    p.print("from outside\n").add(&[addi(7, 0, 0), addi(8, 0, 100), r(0x33, 0, 0, 7, 7, 8), addi(8, 8, -1), b(1, 8, 0, -8)]);
    p.add(&[addi(7, 7, -2000), addi(7, 7, -2000), addi(7, 7, -1008)]).power_off(7);
    let image = guest(scratch, "sum.bin", &p);
    for more in [&[][..], &["-accel", "interp"], &["-icount", "shift=2,seed=7"]] {
        let done =
            run(&[&["--plugin-path", plugins, "-M", "tryout-bench", "-kernel", image.to_str().unwrap(), "--timeout", "60s"], more].concat(), "");
        assert_eq!((done.code, done.text().as_str()), (Some(42), "from outside\n"), "{more:?} {}", done.errors());
    }
}

/// The device's interrupt reaches the guest: it waits for three of them.
fn rings(scratch: &Scratch, plugins: &str) {
    let mut p = Program::default();
    // x20 counts; the handler silences the bell and winds it up again.
    p.add(&[jal(0, 24)]);
    let handler = p.here();
    p.add(&[addi(20, 20, 1), s(2, 5, 0, 4), s(2, 5, 6, 0), MRET, 0x0000_0013]);
    p.li(7, handler)
        .add(&[csr(1, 0, 0x305, 7), lui(5, CONSOLE_HI), addi(6, 0, 2000)])
        .li(7, 1 << 11)
        .add(&[csr(1, 0, 0x304, 7), csr(6, 0, 0x300, 8)]);
    // Wind up; wait (WFI) until x20 is 3 or, on the host's time, already more; power off with 3.
    p.add(&[s(2, 5, 6, 0), addi(8, 0, 3), 0x1050_0073, b(4, 20, 8, -4), lui(5, 0x20000), s(2, 5, 8, 0), jal(0, 0)]);
    let image = guest(scratch, "bell.bin", &p);
    for more in [&[][..], &["-accel", "interp"], &["-icount", "shift=2,seed=7"]] {
        let done =
            run(&[&["--plugin-path", plugins, "-M", "chime-board", "-kernel", image.to_str().unwrap(), "--timeout", "60s"], more].concat(), "");
        assert_eq!(done.code, Some(3), "{more:?} {}", done.errors());
    }
}

/// gdb stops at a breakpoint, steps, reads and writes registers, and what it wrote is what the guest goes on with.
fn is_debugged(scratch: &Scratch, plugins: &str) {
    let mut p = Program::default();
    p.add(&[addi(10, 0, 1), addi(11, 0, 2)]);
    let stop = p.here();
    p.add(&[r(0x33, 0, 0, 12, 10, 11), addi(12, 12, 1)]).power_off(12);
    let image = guest(scratch, "debug.bin", &p);
    let socket = scratch.path().join("gdb");
    let mut command = Command::new(emu());
    command.args([
        "--plugin-path",
        plugins,
        "-M",
        "tryout-bench",
        "-kernel",
        image.to_str().unwrap(),
        "-serial",
        "stdio",
        "--timeout",
        "120s",
        "-S",
        "-gdb",
    ]);
    let console = Console::start(command.arg(format!("unix:{}", socket.display()))).unwrap();
    let started = Instant::now();
    while !console.errors().contains("waiting for a debugger") {
        assert!(started.elapsed() < LIMIT, "emu does not listen: {}", console.errors());
        std::thread::sleep(Duration::from_millis(5));
    }
    let show = emu_test_debug::show;
    let mut gdb = emu_test_debug::gdb();
    gdb.arg("-batch");
    for c in [
        "set pagination off".to_owned(),
        "set confirm off".into(),
        "set architecture riscv:rv64".into(),
        format!("target remote {}", socket.display()),
        show("entry", "$pc"),
        format!("hbreak *{stop:#x}"),
        "continue".into(),
        show("stopped", "$pc"),
        show("a0", "$a0"),
        show("a1", "$a1"),
        show("word", &format!("*(unsigned int *) {stop:#x}")),
        "set $a1 = 30".into(),
        "stepi".into(),
        show("stepped", "$pc"),
        show("a2", "$a2"),
        "set $a2 = 76".into(),
        "delete".into(),
        "detach".into(),
    ] {
        gdb.args(["-ex", &c]);
    }
    let done = process::run(&mut gdb, LIMIT).unwrap();
    let text = format!("{}\n{}", done.text(), done.errors());
    assert!(!done.timed_out, "gdb does not come to an end: {text}");
    let value = |name: &str| {
        let shown = emu_test_debug::values(&text, name).pop().unwrap_or_else(|| panic!("no {name} in {text}"));
        u64::from_str_radix(shown.trim_start_matches("0x"), 16).unwrap()
    };
    assert_eq!((value("entry"), value("stopped"), value("stepped")), (BASE, stop, stop + 4), "{text}");
    assert_eq!((value("a0"), value("a1"), value("a2")), (1, 2, 31), "{text}");
    assert_eq!(value("word") as u32, r(0x33, 0, 0, 12, 10, 11), "{text}");
    let finished = console.wait_while_talking(LIMIT, LIMIT);
    assert_eq!(finished.code, Some(77), "{}", finished.errors());
}
