//! Debian's arm64 kernel reaches a shell, runs commands and powers off; what it complains about, it complains about under QEMU too.

use emu_test_boots::{LIMIT, complaints, installer, lines};
use emu_test_kit::{Console, emu, process, qemu};
use std::path::Path;
use std::time::{Duration, Instant};

const APPEND: &str = "rdinit=/bin/sh console=ttyAMA0";

fn machine(cpu: &str, smp: u32, kernel: &Path, initrd: &Path) -> Vec<String> {
    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
    ["-M", "virt", "-cpu", cpu, "-smp", &smp.to_string(), "-m", "1G", "-nographic", "-kernel", &kernel, "-initrd", &initrd, "-append", APPEND]
        .map(str::to_owned)
        .to_vec()
}

/// Talks to the shell; the console.
fn talk(mut console: Console, smp: u32) -> String {
    console.expect("job control turned off", LIMIT).unwrap();
    console.expect("~ # ", LIMIT).unwrap();
    let step = Duration::from_secs(120);
    console.send("echo sum=$((6*7))\n").unwrap();
    console.expect("sum=42", step).unwrap();
    console.send("mount -t proc proc /proc; mount -t sysfs sys /sys; grep -c ^processor /proc/cpuinfo | sed s/^/cpus=/\n").unwrap();
    console.expect(&format!("cpus={smp}"), step).unwrap();
    // Work for the file system, the scheduler and every kind of pipe.
    console.send("ls -l /bin /lib /usr/bin | sort | tail -n 3 | wc -l | sed s/^/lines=/\n").unwrap();
    console.expect("lines=3", step).unwrap();
    console.send("i=0; while [ $i -lt 20 ]; do (sleep 0; true) & i=$((i+1)); done; wait; echo forked=$i\n").unwrap();
    console.expect("forked=20", step).unwrap();
    console.send("poweroff -f\n").unwrap();
    let finished = console.wait_while_talking(step, step);
    assert_eq!(finished.code, Some(0), "{}", finished.text());
    let text = finished.text();
    assert!(text.contains("reboot: Power down"), "{text}");
    text
}

fn boots(cpu: &str, smp: u32) {
    let (kernel, initrd) = installer().unwrap();
    let arguments = machine(cpu, smp, &kernel, &initrd);
    let start = Instant::now();
    let ours = talk(emu::console(&arguments).unwrap(), smp);
    println!("{cpu}, {smp} CPUs: shell, commands and power off in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let mut reference = qemu::system_aarch64().unwrap().command();
    reference.args(["-nic", "none"]).args(&arguments);
    let theirs = talk(Console::start(&mut reference).unwrap(), smp);
    println!("the same under QEMU in {:.1} s", start.elapsed().as_secs_f64());
    let new: Vec<_> = complaints(&ours).difference(&complaints(&theirs)).cloned().collect();
    assert!(new.is_empty(), "complaints that the kernel does not make under QEMU: {new:#?}\n{ours}");
    assert_eq!(lines(&ours).iter().filter(|l| l.contains("BusyBox")).count(), 1);
}

#[test]
fn max_1() {
    boots("max", 1);
}

#[test]
fn max_2() {
    boots("max", 2);
}

#[test]
fn cortex_a72_1() {
    boots("cortex-a72", 1);
}

#[test]
fn cortex_a72_2() {
    boots("cortex-a72", 2);
}

/// Two runs with one seed are one run; another seed gives another.
#[test]
fn icount_repeats() {
    let (kernel, initrd) = installer().unwrap();
    let run = |seed: u32| {
        let mut arguments = machine("max", 2, &kernel, &initrd);
        let icount = format!("shift=3,seed={seed}");
        for a in ["-icount", &icount, "--expect", "job control turned off", "--send", "echo sum=$((6*7)); poweroff -f\\n", "--expect", "Power down"] {
            arguments.push(a.to_owned());
        }
        let mut command = emu::command().unwrap();
        command.args(&arguments);
        let start = Instant::now();
        let finished = process::run(&mut command, LIMIT).unwrap();
        println!("icount seed {seed}: {:.1} s", start.elapsed().as_secs_f64());
        assert_eq!(finished.code, Some(0), "{}\n{}", finished.text(), finished.errors());
        let text = finished.text();
        assert!(text.contains("sum=42"), "{text}");
        text
    };
    let first = run(1);
    assert_eq!(first, run(1), "two runs with one seed differ");
    assert_ne!(first, run(2), "another seed gives the same run");
}
