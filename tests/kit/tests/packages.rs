//! The package cache and the oracles, against the mirror.

use emu_test_kit::{packages, process, qemu};
use std::time::Duration;

#[test]
fn a_foreign_package_unpacks() {
    let root = packages::debian("bookworm", "arm64", "busybox-static").unwrap();
    let busybox = std::fs::read(root.join("bin/busybox")).unwrap();
    assert_eq!(&busybox[..4], b"\x7fELF");
    assert_eq!(busybox[18..20], 183_u16.to_le_bytes(), "EM_AARCH64");
    assert_eq!(packages::debian("bookworm", "arm64", "busybox-static").unwrap(), root);
}

#[test]
fn qemu_user_runs_an_arm64_program() {
    let root = packages::debian("bookworm", "arm64", "busybox-static").unwrap();
    let qemu = qemu::user_aarch64().unwrap();
    println!("{}", qemu.version().unwrap());
    let mut command = qemu.command();
    command.arg(root.join("bin/busybox")).args(["echo", "hello"]);
    let done = process::run(&mut command, Duration::from_secs(60)).unwrap();
    assert_eq!(done.text(), "hello\n", "{}", done.errors());
}

#[test]
fn qemu_system_starts() {
    let qemu = qemu::system_aarch64().unwrap();
    let version = qemu.version().unwrap();
    println!("{version}");
    assert!(version.contains("version"), "{version}");
    let mut list = qemu.command();
    let done = process::run(list.args(["-M", "help"]), Duration::from_secs(60)).unwrap();
    assert!(done.text().contains("\nvirt "), "{}{}", done.text(), done.errors());
}

#[test]
fn a_missing_package_is_a_sentence() {
    let error = packages::debian("bookworm", "arm64", "no-such-package-here").unwrap_err();
    assert!(error.0.starts_with("cannot fetch no-such-package-here (bookworm, arm64)"), "{error}");
}
