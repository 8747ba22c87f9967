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
    for f in [cut, header, text, other] {
        let _ = std::fs::remove_file(f);
    }
}
