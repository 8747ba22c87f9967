//! A kernel that was booted before finds its code, wherever it puts itself this time.

use emu_test_boots::{LIMIT, installer};
use emu_test_kit::emu;
use emu_test_kit::emu::Translations;
use emu_test_kit::process::{self, Console, Finished};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

fn files(folder: &Translations) -> Vec<fs::Metadata> {
    fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap()).collect()
}

fn command(folder: &Translations, smp: &str, append: &str) -> Command {
    let (kernel, initrd) = installer().unwrap();
    let mut command = emu::command().unwrap();
    command.args(["-M", "virt", "-cpu", "cortex-a72", "-smp", smp, "-m", "512M", "-nographic", "-kernel"]).arg(kernel).arg("-initrd").arg(initrd);
    command.args(["-append", append, "--stats"]).env("EMU_TRANSLATIONS", folder.path());
    command
}

/// What `--stats` says: regions made, regions found, jumps patched.
fn counted(finished: &Finished) -> [u64; 3] {
    let errors = finished.errors();
    ["regions", "regions of earlier processes", "jumps patched"]
        .map(|name| emu::statistic(&errors, name).unwrap_or_else(|| panic!("{name} {errors}")))
}

/// The same of a boot to the shell.
fn boot(folder: &Translations, smp: &str, append: &str) -> [u64; 3] {
    let mut command = command(folder, smp, append);
    command.args(["--expect", "~ # ", "--send", "echo sum=$((6*7))\\n", "--expect", "sum=42"]);
    let finished = process::run(&mut command, LIMIT).unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.errors());
    counted(&finished)
}

#[test]
fn a_second_boot_finds_its_code() {
    let folder = Translations::new("boots").unwrap();
    let append = "rdinit=/bin/sh console=ttyAMA0";
    // This one is told to end from outside.
    let mut console = Console::start(&mut command(&folder, "1", append)).unwrap();
    console.expect("~ # ", LIMIT).unwrap();
    let finished = console.terminate(LIMIT);
    assert_eq!((finished.code, finished.timed_out), (None, false), "{}", finished.errors());
    let first = counted(&finished);
    assert!(first[0] > 5000 && first[1] == 0, "{first:?}");
    let written = files(&folder);
    assert_eq!(written.iter().map(|f| f.mode() & 0o777).collect::<Vec<_>>(), [0o600]);
    // The kernel chooses its addresses anew, and does so again.
    for _ in 0..2 {
        let later = boot(&folder, "1", append);
        println!("regions made and found, jumps patched: first {first:?}, later {later:?}");
        assert!(later[1] * 10 > first[0] * 6 && later[0] * 3 < first[0], "{first:?} {later:?}");
        assert!(later[2] * 4 > first[2] * 3, "jumps in what was found go to what was found: {first:?} {later:?}");
    }
    let len = files(&folder)[0].len();
    assert!(len < 2 * written[0].len(), "{len} bytes behind {}", written[0].len());
    // A CPU that is not alone has code of its own.
    let two = boot(&folder, "2", append);
    assert!(two[1] == 0 && files(&folder).len() == 2, "{two:?}");
    let again = boot(&folder, "4", append);
    assert!(again[1] * 10 > two[0] * 6 && again[0] * 3 < two[0], "{two:?} {again:?}");
}
