//! What is run a lot is found and made again; a guest that waits is left alone.

use emu_test_boots::{LIMIT, installer};
use emu_test_kit::{emu, process};
use std::fs;
use std::time::Duration;

/// Regions that a boot to the shell made again.
fn hot_regions(mode: &str) -> u64 {
    let (kernel, initrd) = installer().unwrap();
    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
    let mut command = emu::command().unwrap();
    command.args(["-M", "virt", "-cpu", "max", "-smp", "2", "-m", "512M", "-nographic", "-kernel", &kernel, "-initrd", &initrd]);
    command.args(["-append", "rdinit=/bin/sh console=ttyAMA0", "--expect", "~ # ", "--stats"]).env("EMU_JIT", mode);
    let finished = process::run(&mut command, LIMIT).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.errors());
    let errors = finished.errors();
    emu::statistic(&errors, "hot regions").unwrap_or_else(|| panic!("no count in {errors}"))
}

#[test]
fn a_boot_has_hot_code() {
    let found = hot_regions("");
    println!("{found} regions of a boot are hot");
    assert!(found > 20, "{found} regions were made again");
    assert_eq!(hot_regions("cold"), 0);
}

/// CPU time of a process in clock ticks, user's and system's.
fn ticks(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let behind_name = text.rsplit_once(')').unwrap().1;
    behind_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum()
}

/// At the prompt nobody samples: ten seconds cost less than a third of one.
#[test]
fn a_waiting_guest_costs_nothing() {
    let (kernel, initrd) = installer().unwrap();
    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
    let machine = ["-M", "virt", "-cpu", "max", "-smp", "2", "-m", "512M", "-nographic", "-kernel", &kernel, "-initrd", &initrd];
    let mut console = emu::console(&[&machine[..], &["-append", "rdinit=/bin/sh console=ttyAMA0"]].concat()).unwrap();
    console.expect("~ # ", LIMIT).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let before = ticks(console.id());
    std::thread::sleep(Duration::from_secs(10));
    let spent = ticks(console.id()) - before;
    println!("{spent} ticks in ten seconds");
    assert!(spent <= 33, "{spent} ticks of a hundredth of a second in ten seconds at the prompt");
    console.send("poweroff -f\n").unwrap();
    assert_eq!(console.wait(Duration::from_secs(60)).code, Some(0));
}
