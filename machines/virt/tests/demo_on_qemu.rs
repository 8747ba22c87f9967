//! The demo guest on QEMU's board of the same name: what it relies on is what the board promises.

use emu_test_kit::{Console, qemu};
use std::time::Duration;

#[test]
fn demo_guest_talks_and_powers_off() {
    let qemu = match qemu::system_aarch64() {
        Ok(qemu) => qemu,
        Err(e) => panic!("QEMU is needed as an oracle: {e}"),
    };
    let path = std::env::temp_dir().join(format!("emu-demo-guest-{}.img", std::process::id()));
    std::fs::write(&path, emu_machine_virt::demo::image(512 << 20).unwrap()).unwrap();
    let mut command = qemu.command();
    command.args(["-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-smp", "2", "-m", "512", "-nographic", "-net", "none", "-kernel"]).arg(&path);
    let mut console = Console::start(&mut command).unwrap();
    let limit = Duration::from_secs(30);
    console.expect("emu> ", limit).unwrap();
    console.send("tike\u{8}\u{8}me\r").unwrap();
    console.expect("s since 1970", limit).unwrap();
    console.send("nothing\r").unwrap();
    console.expect("There is no such command", limit).unwrap();
    console.send("help\r").unwrap();
    console.expect("reset by PSCI", limit).unwrap();
    console.send("off\r").unwrap();
    console.expect("Powering off.", limit).unwrap();
    let finished = console.wait(limit);
    let text = finished.text();
    let _ = std::fs::remove_file(&path);
    assert!(text.contains("MIDR_EL1 0x410fd083, MPIDR_EL1 0x80000000, at EL1, 1 of 2\r\n"), "{text}");
    assert!(text.contains("features  FP AdvSIMD AES PMULL SHA1 SHA256 CRC32 PMUv3 \r\n"), "{text}");
    assert!(text.contains("memory    512 MiB at 0x40000000\r\nGIC       version 3, 288 interrupts\r\ntimer     62500000 Hz\r\n"), "{text}");
    assert!(text.contains("up 0.") || text.contains("up 1."), "{text}");
}
