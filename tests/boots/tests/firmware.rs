//! Firmware from Debian's packages: U-Boot to its prompt, edk2 to its shell and back off; and the interpreter's two loops are one machine.

use emu_test_boots::LIMIT;
use emu_test_kit::{emu, packages, process};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn u_boot() -> PathBuf {
    packages::debian("bookworm", "all", "u-boot-qemu").unwrap().join("usr/lib/u-boot/qemu_arm64/u-boot.bin")
}

fn machine(cpu: &str, bios: &std::path::Path) -> Vec<String> {
    let bios = bios.display().to_string();
    ["-M", "virt", "-cpu", cpu, "-m", "1G", "-nographic", "-bios", &bios].map(str::to_owned).to_vec()
}

#[test]
fn u_boot_prompt() {
    for cpu in ["cortex-a72", "max"] {
        let start = Instant::now();
        let mut console = emu::console(&machine(cpu, &u_boot())).unwrap();
        console.expect("Hit any key to stop autoboot", LIMIT).unwrap();
        console.send("\n").unwrap();
        console.expect("=> ", LIMIT).unwrap();
        let step = Duration::from_secs(60);
        // The flash, the device tree, RAM and the clock as U-Boot's own drivers see them.
        console.send("flinfo; fdt addr $fdtcontroladdr; fdt get value model /  compatible; echo model=$model\n").unwrap();
        console.expect("model=linux,dummy-virt", step).unwrap();
        console.send("mw.l 0x50000000 0xdeadbeef 0x100; crc32 0x50000000 0x400\n").unwrap();
        console.expect("==>", step).unwrap();
        console.send("date\n").unwrap();
        console.expect("Date: 20", step).unwrap();
        console.send("poweroff\n").unwrap();
        let finished = console.wait_while_talking(step, step);
        assert_eq!(finished.code, Some(0), "{}", finished.text());
        println!("{cpu}: U-Boot in {:.1} s", start.elapsed().as_secs_f64());
    }
}

#[test]
fn edk2_shell() {
    let bios = packages::debian("bookworm", "all", "qemu-efi-aarch64").unwrap().join("usr/share/qemu-efi-aarch64/QEMU_EFI.fd");
    let start = Instant::now();
    let mut console = emu::console(&machine("cortex-a72", &bios)).unwrap();
    console.expect("Shell>", LIMIT).unwrap();
    let step = Duration::from_secs(60);
    console.send("ver\r").unwrap();
    console.expect("UEFI v2.70", step).unwrap();
    console.expect("Shell>", step).unwrap();
    console.send("reset -s\r").unwrap();
    let finished = console.wait_while_talking(step, step);
    assert_eq!(finished.code, Some(0), "{}", finished.text());
    println!("edk2: shell and power off in {:.1} s", start.elapsed().as_secs_f64());
}

/// The plain interpreter defines the ops; the fast loop must be the same machine, to the byte and to the instruction.
#[test]
fn plain_and_fast_loops_agree() {
    let run = |way: &str| {
        let mut command = emu::command().unwrap();
        command.env("EMU_INTERP", way).args(machine("max", &u_boot()));
        command.args(["-smp", "2", "-icount", "shift=4,seed=9", "--stats"]);
        command.args(["--expect", "stop autoboot", "--send", "\\n", "--expect", "=> ", "--send", "flinfo; date\\n", "--expect", "Date"]);
        command.args(["--expect", "=> "]);
        let finished = process::run(&mut command, LIMIT).unwrap();
        assert_eq!(finished.code, Some(0), "{}\n{}", finished.text(), finished.errors());
        let executed = finished.errors().lines().find(|l| l.starts_with("instructions executed")).map(str::to_owned);
        (finished.text(), executed)
    };
    let (plain, fast) = (run("plain"), run("fast"));
    assert_eq!(plain, fast);
    println!("both loops: {}", fast.1.unwrap_or_default());
}
