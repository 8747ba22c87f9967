//! RISC-V against QEMU in CPU time: Debian 13's kernel to a shell and power off, and its installer to the first question. The kernels of this
//! package are A64 code; these two workloads are what there is for RISC-V.

use emu_test_boots::INSTALLER_ON_ONE_CONSOLE;
use emu_test_kit::{Console, emu, packages, qemu};
use emu_test_perf::bench::{BOOT_RATIO_MIN, Emulator};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);

/// CPU seconds of one run.
fn once(which: Emulator, installer: bool) -> f64 {
    let dir = packages::debian("trixie", "all", "debian-installer-13-netboot-riscv64").unwrap();
    let dir = dir.join("usr/lib/debian-installer/images/13/riscv64/text/debian-installer/riscv64");
    let bios = packages::debian("trixie", "all", "opensbi").unwrap().join("usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin");
    let mut command = match which {
        Emulator::Emu => emu::command_for("riscv64").unwrap(),
        Emulator::Qemu => {
            let mut command = qemu::system_riscv64().unwrap().command();
            command.args(["-nic", "none"]);
            command
        }
    };
    command.args(["-M", "virt", "-m", "1G", "-nographic", "-bios"]).arg(bios);
    command.arg("-kernel").arg(dir.join("linux")).arg("-initrd").arg(dir.join("initrd.gz"));
    if installer {
        let append = format!("console=ttyS0 {INSTALLER_ON_ONE_CONSOLE}");
        let mut console = Console::start(command.args(["-append", &append])).unwrap();
        console.expect("Select a language", LIMIT).unwrap();
        // It waits for an answer now, and is killed.
        return console.wait(Duration::ZERO).cpu.as_secs_f64();
    }
    let mut console = Console::start(command.args(["-append", "rdinit=/bin/sh console=ttyS0"])).unwrap();
    console.expect("job control turned off", LIMIT).unwrap();
    console.expect("~ # ", LIMIT).unwrap();
    console.send("poweroff -f\n").unwrap();
    let done = console.wait(LIMIT);
    assert!(done.code == Some(0) && done.text().contains("reboot: Power down"), "{which:?}: {}", done.text());
    done.cpu.as_secs_f64()
}

fn fast_enough(name: &str, installer: bool) {
    let (theirs, ours) = (once(Emulator::Qemu, installer), once(Emulator::Emu, installer));
    println!("riscv64 {name}: qemu {theirs:.2} s, emu {ours:.2} s, ratio {:.2}", theirs / ours);
    assert!(theirs / ours >= BOOT_RATIO_MIN, "QEMU's CPU time over ours is below {BOOT_RATIO_MIN}");
}

#[test]
fn boot() {
    fast_enough("boot", false);
}

#[test]
fn installer() {
    fast_enough("installer", true);
}
