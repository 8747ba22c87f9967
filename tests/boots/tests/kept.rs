//! A kernel that was booted before finds its code, wherever it puts itself this time.

use emu_test_boots::{LIMIT, installer};
use emu_test_kit::{emu, process};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A folder for code, which goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("emu-boots-kept-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Folder(path)
    }
    fn files(&self) -> Vec<fs::Metadata> {
        fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().metadata().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `--stats` says of a boot to the shell: regions made, regions found, jumps patched.
fn boot(folder: &Path, smp: &str, append: &str) -> [u64; 3] {
    let (kernel, initrd) = installer().unwrap();
    let mut command = emu::command().unwrap();
    command.args(["-M", "virt", "-cpu", "cortex-a72", "-smp", smp, "-m", "512M", "-nographic", "-kernel"]).arg(kernel).arg("-initrd").arg(initrd);
    command.args(["-append", append, "--stats", "--expect", "~ # ", "--send", "echo sum=$((6*7))\\n", "--expect", "sum=42"]);
    let finished = process::run(command.env("EMU_TRANSLATIONS", folder), LIMIT).unwrap();
    let errors = finished.errors();
    assert_eq!(finished.code, Some(0), "{errors}");
    let number = |name: &str| errors.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok()).unwrap_or_else(|| panic!("{name} {errors}"));
    [number("regions:"), number("regions of earlier processes:"), number("jumps patched:")]
}

#[test]
fn a_second_boot_finds_its_code() {
    let folder = Folder::new("second");
    let append = "rdinit=/bin/sh console=ttyAMA0";
    let first = boot(&folder.0, "1", append);
    assert!(first[0] > 5000 && first[1] == 0, "{first:?}");
    let written = folder.files();
    assert_eq!(written.iter().map(|f| f.mode() & 0o777).collect::<Vec<_>>(), [0o600]);
    // The kernel chooses its addresses anew, and does so again.
    for _ in 0..2 {
        let later = boot(&folder.0, "1", append);
        println!("regions made and found, jumps patched: first {first:?}, later {later:?}");
        assert!(later[1] * 10 > first[0] * 6 && later[0] * 3 < first[0], "{first:?} {later:?}");
        assert!(later[2] * 4 > first[2] * 3, "jumps in what was found go to what was found: {first:?} {later:?}");
    }
    let len = folder.files()[0].len();
    assert!(len < 2 * written[0].len(), "{len} bytes behind {}", written[0].len());
    // A CPU that is not alone has code of its own.
    let two = boot(&folder.0, "2", append);
    assert!(two[1] == 0 && folder.files().len() == 2, "{two:?}");
    let again = boot(&folder.0, "4", append);
    assert!(again[1] * 10 > two[0] * 6 && again[0] * 3 < two[0], "{two:?} {again:?}");
}
