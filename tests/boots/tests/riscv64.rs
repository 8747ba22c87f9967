//! RISC-V: OpenSBI and U-Boot from Debian's packages to the prompt, Debian's kernel and the installer's initrd to a shell on one and four harts.

use emu_test_boots::{LIMIT, complaints};
use emu_test_kit::{Console, emu, packages, qemu};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_secs(120);

fn opensbi() -> PathBuf {
    packages::debian("trixie", "all", "opensbi").unwrap().join("usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin")
}
fn u_boot(kind: &str) -> PathBuf {
    packages::debian("trixie", "all", "u-boot-qemu").unwrap().join(format!("usr/lib/u-boot/{kind}/u-boot.bin"))
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|a| (*a).to_owned()).collect()
}
fn console(arguments: &[String]) -> Console {
    Console::start(emu::command_for("riscv64").unwrap().args(arguments)).unwrap()
}

/// U-Boot in supervisor mode behind OpenSBI, and alone in machine mode.
#[test]
fn u_boot_prompt() {
    let smode = [opensbi(), u_boot("qemu-riscv64_smode")].map(|p| p.display().to_string());
    let mmode = u_boot("qemu-riscv64").display().to_string();
    for arguments in [vec!["-bios", smode[0].as_str(), "-kernel", smode[1].as_str()], vec!["-bios", mmode.as_str()]] {
        let start = Instant::now();
        let mut all = words(&["-M", "virt", "-m", "512M", "-nographic"]);
        all.extend(words(&arguments));
        let mut console = console(&all);
        console.expect("Hit any key to stop autoboot", LIMIT).unwrap();
        console.send("\n").unwrap();
        console.expect("=> ", LIMIT).unwrap();
        // The flash, the device tree, RAM and the clock as U-Boot's own drivers see them.
        console.send("flinfo; fdt addr $fdtcontroladdr; fdt get value model / compatible; echo model=$model\n").unwrap();
        console.expect("model=riscv-virtio", STEP).unwrap();
        console.send("mw.l 0x90000000 0xdeadbeef 0x100; crc32 0x90000000 0x400\n").unwrap();
        console.expect("==>", STEP).unwrap();
        console.send("poweroff\n").unwrap();
        let finished = console.wait_while_talking(STEP, STEP);
        assert_eq!(finished.code, Some(0), "{}", finished.text());
        println!("U-Boot in {:.1} s", start.elapsed().as_secs_f64());
    }
}

fn talk(mut console: Console, smp: u32) -> String {
    console.expect("job control turned off", LIMIT).unwrap();
    console.expect("~ # ", LIMIT).unwrap();
    console.send("echo sum=$((6*7))\n").unwrap();
    console.expect("sum=42", STEP).unwrap();
    console.send("mount -t proc proc /proc; mount -t sysfs sys /sys; grep -c ^processor /proc/cpuinfo | sed s/^/cpus=/\n").unwrap();
    console.expect(&format!("cpus={smp}"), STEP).unwrap();
    console.send("ls -l /bin /lib /usr/bin | sort | tail -n 3 | wc -l | sed s/^/lines=/\n").unwrap();
    console.expect("lines=3", STEP).unwrap();
    console.send("i=0; while [ $i -lt 20 ]; do (sleep 0; true) & i=$((i+1)); done; wait; echo forked=$i\n").unwrap();
    console.expect("forked=20", STEP).unwrap();
    console.send("poweroff -f\n").unwrap();
    let finished = console.wait_while_talking(STEP, STEP);
    assert_eq!(finished.code, Some(0), "{}", finished.text());
    let text = finished.text();
    assert!(text.contains("reboot: Power down"), "{text}");
    text
}

fn boots(cpu: &str, smp: u32) {
    let dir = packages::debian("trixie", "all", "debian-installer-13-netboot-riscv64").unwrap();
    let dir = dir.join("usr/lib/debian-installer/images/13/riscv64/text/debian-installer/riscv64");
    let [bios, kernel, initrd] = [opensbi(), dir.join("linux"), dir.join("initrd.gz")].map(|p| p.display().to_string());
    let mut arguments =
        words(&["-M", "virt", "-smp", &smp.to_string(), "-m", "1G", "-nographic", "-bios", &bios, "-kernel", &kernel, "-initrd", &initrd]);
    arguments.extend(words(&["-append", "rdinit=/bin/sh console=ttyS0"]));
    let start = Instant::now();
    let mut with_model = arguments.clone();
    with_model.extend(words(&["-cpu", cpu]));
    let ours = talk(console(&with_model), smp);
    println!("{cpu}, {smp} harts: shell, commands and power off in {:.1} s", start.elapsed().as_secs_f64());
    let mut reference = qemu::system_riscv64().unwrap().command();
    reference.args(["-nic", "none"]).args(&arguments);
    let start = Instant::now();
    let theirs = talk(Console::start(&mut reference).unwrap(), smp);
    println!("the same under QEMU in {:.1} s", start.elapsed().as_secs_f64());
    let new: Vec<_> = complaints(&ours).difference(&complaints(&theirs)).cloned().collect();
    assert!(new.is_empty(), "complaints that the kernel does not make under QEMU: {new:#?}\n{ours}");
}

#[test]
fn debian_1() {
    boots("rv64", 1);
}

#[test]
fn debian_4() {
    boots("rv64", 4);
}

/// The largest and the smallest model.
#[test]
fn debian_models() {
    boots("max", 2);
    boots("rva20s64", 1);
}
