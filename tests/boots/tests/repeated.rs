//! Debian's kernel boots every time, to a shell and to the installer's first screen, on every number of CPUs: `EMU_BOOTS` times in a row
//! (`cargo xtask soak` asks for 20).

use emu_test_boots::{INSTALLER_ON_ONE_CONSOLE, LIMIT, installer};
use emu_test_kit::{emu, process};
use std::time::{Duration, Instant};

/// Boots of each kind.
fn times() -> u32 {
    match std::env::var("EMU_BOOTS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("EMU_BOOTS={text} is no number")),
        Err(_) => 1,
    }
}

/// Boots until the console shows `goal`, then goes through the script, as often as asked.
fn repeat(cpu: &str, smp: u32, append: &str, script: &[&str]) {
    repeat_with(cpu, smp, append, script, &[]);
}

/// The same with variables in the emulator's environment.
fn repeat_with(cpu: &str, smp: u32, append: &str, script: &[&str], variables: &[(&str, &str)]) {
    let (kernel, initrd) = installer().unwrap();
    let (kernel, initrd, smp_text) = (kernel.display().to_string(), initrd.display().to_string(), smp.to_string());
    let machine = ["-M", "virt", "-cpu", cpu, "-smp", &smp_text, "-m", "1G", "-nographic", "-kernel", &kernel, "-initrd", &initrd];
    let (mut shortest, mut longest, mut cpu_time) = (Duration::MAX, Duration::ZERO, Duration::ZERO);
    let times = times();
    for n in 1..=times {
        let mut command = emu::command().unwrap();
        command.args(machine).args(["-append", append]).args(script).envs(variables.iter().copied());
        let start = Instant::now();
        let finished = process::run(&mut command, LIMIT).unwrap();
        let text = finished.text();
        let last: Vec<&str> = text.lines().rev().take(20).collect();
        assert_eq!(finished.code, Some(0), "boot {n} of {times} on {cpu}, {smp} CPUs: {}\n{}", finished.errors(), last.join("\n"));
        for word in ["Kernel panic", "Oops", "BUG:", "WARNING:", "rcu_sched", "rcu_preempt detected"] {
            assert!(!text.contains(word), "boot {n} of {times} on {cpu}, {smp} CPUs: {word} on the console\n{text}");
        }
        (shortest, longest) = (shortest.min(start.elapsed()), longest.max(start.elapsed()));
        cpu_time += finished.cpu;
    }
    let each = cpu_time.as_secs_f64() / f64::from(times);
    println!("{times} boots on {cpu}, {smp} CPUs: {:.1} to {:.1} s, {each:.1} s of CPU time each", shortest.as_secs_f64(), longest.as_secs_f64());
}

/// To the prompt, an answer, and off.
fn shell(cpu: &str, smp: u32) {
    let script = ["--expect", "job control turned off", "--expect", "~ # ", "--send", "echo sum=$((6*7)); poweroff -f\\n"];
    let end = ["--expect", "sum=42", "--expect", "Power down"];
    repeat(cpu, smp, "rdinit=/bin/sh console=ttyAMA0", &[&script[..], &end].concat());
}

/// To the first question of the installer, for which udev, debconf and a terminal program have run.
fn installers_first_screen(cpu: &str, smp: u32) {
    let append = format!("console=ttyAMA0 {INSTALLER_ON_ONE_CONSOLE}");
    repeat(cpu, smp, &append, &["--expect", "Select a language"]);
}

/// Generated code is thrown away all the time, by each CPU under the others.
#[test]
fn little_memory_for_code() {
    repeat_with("max", 2, "rdinit=/bin/sh console=ttyAMA0", &["--expect", "~ # "], &[("EMU_CODE_CACHE", "12")]);
}

macro_rules! boots {
    ($($name:ident: $cpu:literal, $smp:literal;)*) => {
        $( mod $name {
            #[test]
            fn shell() {
                super::shell($cpu, $smp);
            }
            #[test]
            fn installers_first_screen() {
                super::installers_first_screen($cpu, $smp);
            }
        } )*
    };
}

boots! {
    max_1: "max", 1;
    max_2: "max", 2;
    max_4: "max", 4;
    cortex_a72_1: "cortex-a72", 1;
    cortex_a72_2: "cortex-a72", 2;
    cortex_a72_4: "cortex-a72", 4;
}
