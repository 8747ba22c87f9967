//! What cannot be run ends in one sentence and the exit code that a shell has for it.

use emu_test_user::{busybox, run};
use std::path::{Path, PathBuf};

fn refused(program: &Path, code: i32, want: &str) {
    let out = run::<&str>(&[], None, program, &[]).unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{}: {text}", program.display());
    assert!(text.contains(want) && text.lines().count() == 1, "{}: {text}", program.display());
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("emu-test-user-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn sentences_and_codes() {
    let good = std::fs::read(busybox().unwrap()).unwrap();
    let cut = file("cut", &good[..good.len() / 2]);
    let header = file("header", &good[..40]);
    let text = file("text", b"not a program\n");
    let mut bytes = good.clone();
    bytes[18] = 8;
    let other = file("other", &bytes);
    refused(Path::new("/nonexistent/program"), 127, "there is no such file");
    refused(Path::new("/etc"), 126, "is a directory");
    refused(&cut, 126, "is cut off");
    refused(&header, 126, "is cut off");
    refused(&text, 126, "is no program");
    refused(&other, 126, "is for another architecture");
    // A dynamic program without its root, and one whose file is cut off after its headers were good.
    let dynamic = emu_test_user::root("bash").unwrap().join("bin/bash");
    refused(&dynamic, 127, "its interpreter cannot be used");
    let object = file("object", &{
        let mut o = good.clone();
        o[16] = 1;
        o
    });
    refused(&object, 126, "but no program");
    let empty = file("empty", b"");
    refused(&empty, 126, "is no program");
    let script = file("script", b"#!/nonexistent/interpreter\n");
    refused(&script, 127, "there is no such file");
    for f in [cut, header, text, other, object, empty, script] {
        let _ = std::fs::remove_file(f);
    }
}

/// Files that are cut off or changed anywhere end in a sentence, a signal of the guest's, or run; never in a mistake of emu's.
#[test]
fn damaged_files() {
    let good = std::fs::read(busybox().unwrap()).unwrap();
    let mut rng = emu_test_kit::Rng::new(7);
    for n in 0..60 {
        let mut bytes = good.clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(if n % 2 == 0 { 64 } else { 512 }) as usize;
            bytes[at] = rng.u64() as u8;
        }
        if n % 5 == 0 {
            bytes.truncate(rng.below(4096) as usize);
        }
        let path = file(&format!("damaged-{n}"), &bytes);
        let done = emu_test_user::run_for(5, &[], None, &path, &["true"]).unwrap();
        let text = done.errors();
        // Code that begins elsewhere may well go on for ever, as it would on any machine.
        assert!(done.code != Some(125) && !text.contains("mistake") && !text.contains("panicked"), "{n}: {:?} {text}", done.code);
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn no_permission() {
    use std::os::unix::fs::PermissionsExt;
    let path = file("unreadable", &std::fs::read(busybox().unwrap()).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_err() {
        refused(&path, 126, "ermission denied");
    } else {
        emu_test_user::Ran::skipped("a file without permissions", "this user may read everything");
    }
    let _ = std::fs::remove_file(path);
}
