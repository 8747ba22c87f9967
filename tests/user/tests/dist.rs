//! What `cargo xtask dist` made, installed into empty folders and run there: `EMU_DIST` is where it is.

use emu_test_user::busybox;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn made(ending: &str) -> PathBuf {
    let folder = std::env::var_os("EMU_DIST").expect("EMU_DIST: cargo xtask dist sets it");
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    files.into_iter().find(|p| p.to_string_lossy().ends_with(ending)).unwrap_or_else(|| panic!("no {ending}"))
}

fn prefix(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("emu-test-dist-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs with an empty environment.
fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env_clear().output().unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

fn shows(program: &Path, arguments: &[&str], want: &str) {
    let out = run(program, arguments);
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(text.contains(want) && out.status.success(), "{} {arguments:?}: {}\n{text}\n{errors}", program.display(), out.status);
}

/// Everything that is installed below a folder, at work.
fn works(root: &Path) {
    let program = busybox().unwrap();
    let program = program.to_str().unwrap();
    shows(&root.join("bin/emu"), &["--list-machines"], "virt");
    shows(&root.join("bin/emu"), &[program, "uname", "-m"], "aarch64");
    shows(&root.join("bin/emu-aarch64-static"), &[program, "sh", "-c", "busybox uname -m; echo $((6 * 7))"], "42");
    shows(&root.join("lib/emu/as-qemu/qemu-aarch64"), &["-0", "echo", program, "hello"], "hello");
    shows(&root.join("lib/emu/as-qemu/qemu-system-aarch64"), &["-M", "help"], "virt");
    shows(&root.join("lib/emu/as-qemu/qemu-system-riscv64"), &["-M", "help"], "virt");
    let program = emu_test_user::riscv64_busybox().unwrap();
    let program = program.to_str().unwrap();
    shows(&root.join("bin/emu"), &[program, "uname", "-m"], "riscv64");
    shows(&root.join("bin/emu-riscv64-static"), &[program, "uname", "-m"], "riscv64");
    shows(&root.join("lib/emu/as-qemu/qemu-riscv64"), &["-0", "echo", program, "hello"], "hello");
    let line = format!("{}:FP", root.join("bin/emu-aarch64-static").display());
    if root.as_os_str().len() < 100 {
        shows(&root.join("bin/emu"), &["binfmt", "install", "--dry-run"], &line);
    }
}

#[test]
#[ignore = "cargo xtask dist makes what it needs, and runs it"]
fn the_tarball_runs_from_wherever_it_is() {
    let dir = prefix("tar");
    assert!(Command::new("tar").arg("-xzf").arg(made(".tar.gz")).arg("-C").arg(&dir).status().unwrap().success());
    let root = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    works(&root);
    let moved = dir.join("moved here");
    std::fs::rename(&root, &moved).unwrap();
    works(&moved);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
#[ignore = "cargo xtask dist makes what it needs, and runs it"]
fn the_package_unpacks_and_says_what_it_is() {
    let dir = prefix("deb");
    let deb = made(".deb");
    shows(Path::new("/usr/bin/dpkg-deb"), &["--field", deb.to_str().unwrap(), "Package"], "emu");
    assert!(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&dir).status().unwrap().success());
    works(&dir.join("usr"));
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The static binary alone in a root with nothing else of the host's.
#[test]
#[ignore = "cargo xtask dist makes what it needs, and runs it"]
fn the_static_binary_needs_no_other_file() {
    let dir = prefix("static");
    std::fs::copy(made("emu-aarch64-static"), dir.join("emu")).unwrap();
    std::fs::copy(busybox().unwrap(), dir.join("busybox")).unwrap();
    let words = [
        "--user",
        "--map-root-user",
        "/usr/sbin/chroot",
        dir.to_str().unwrap(),
        "/emu",
        "/busybox",
        "sh",
        "-c",
        "echo $((6 * 7)); /busybox uname -m; /busybox chroot / /busybox sh -c '/busybox echo deeper; :'",
    ];
    let out = run(Path::new("/usr/bin/unshare"), &words);
    if String::from_utf8_lossy(&out.stderr).contains("unshare failed") {
        println!("this host gives no user namespaces: run without a chroot");
        shows(&dir.join("emu"), &[dir.join("busybox").to_str().unwrap(), "echo", "42"], "42");
    } else {
        // Without /proc too emu starts what its program starts.
        assert_eq!((String::from_utf8_lossy(&out.stdout).as_ref(), out.status.code()), ("42\naarch64\ndeeper\n", Some(0)), "{out:?}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
