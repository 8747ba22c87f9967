//! What a machine costs the host beside the guest's own RAM: at the shell prompt of Debian's kernel no more than `LIMIT_KIB`.

use emu_test_boots::{LIMIT, installer};
use emu_test_kit::emu;
use std::fs;
use std::time::Duration;

/// The most that VmRSS, VmPTE and VmSwap may be above the resident pages of guest RAM, in KiB.
const LIMIT_KIB: u64 = 200 << 10;
/// Size of guest RAM in KiB; no other mapping is as large.
const RAM_KIB: u64 = 512 << 10;

/// A figure of `/proc/PID/status` in KiB.
fn status(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in the status"));
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// KiB of guest RAM that are resident or swapped out: those of the one mapping that is large enough and private or shared memory without a file.
fn resident_ram(smaps: &str) -> u64 {
    let mut found = Vec::new();
    let (mut large, mut kib) = (false, 0);
    for line in smaps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let range = words[0].split_once('-').map(|(a, b)| (u64::from_str_radix(a, 16), u64::from_str_radix(b, 16)));
        if let Some((Ok(start), Ok(end))) = range {
            large = (end - start) >> 10 >= RAM_KIB && words[1].starts_with("rw") && !line.contains("emu-code");
            kib = 0;
        } else if large && (words[0] == "Rss:" || words[0] == "Swap:") {
            kib += words[1].parse::<u64>().expect("a number");
            if words[0] == "Swap:" {
                found.push(kib);
            }
        }
    }
    // Reserved address space that nothing is in does not count.
    found.retain(|kib| *kib != 0);
    assert_eq!(found.len(), 1, "guest RAM is one mapping: {found:?}");
    found[0]
}

fn costs(smp: &str) {
    let (kernel, initrd) = installer().unwrap();
    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
    let machine = ["-M", "virt", "-cpu", "max", "-smp", smp, "-m", "512M", "-nographic", "-kernel", &kernel, "-initrd", &initrd];
    let mut console = emu::console(&[&machine[..], &["-append", "rdinit=/bin/sh console=ttyAMA0"]].concat()).unwrap();
    console.expect("job control turned off", LIMIT).unwrap();
    console.expect("~ # ", LIMIT).unwrap();
    let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", console.id())).unwrap();
    let (text, ram) = (read("status"), resident_ram(&read("smaps")));
    let all: u64 = ["VmRSS:", "VmPTE:", "VmSwap:"].iter().map(|n| status(&text, n)).sum();
    let own = all.checked_sub(ram).expect("RAM is a part of the whole");
    println!("-m 512M -smp {smp}: {} MiB of guest RAM are resident, {} MiB beside it", ram >> 10, own >> 10);
    assert!(ram > 32 << 10, "a booted guest has touched more than {ram} KiB");
    assert!(own <= LIMIT_KIB, "{own} KiB beside guest RAM, {LIMIT_KIB} are allowed");
    console.send("poweroff -f\n").unwrap();
    assert_eq!(console.wait(Duration::from_secs(60)).code, Some(0));
}

#[test]
fn one_cpu() {
    costs("1");
}

#[test]
fn four_cpus() {
    costs("4");
}
