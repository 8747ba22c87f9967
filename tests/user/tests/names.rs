//! emu under the names of other emulators' programs, the variables that those have, and what `emu binfmt` says.

use emu_test_kit::emu;
use emu_test_user::busybox;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder with links to emu.
struct Links(PathBuf);

impl Links {
    fn new(test: &str) -> Links {
        let dir = std::env::temp_dir().join(format!("emu-test-names-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for name in ["qemu-aarch64", "qemu-aarch64-static", "qemu-system-aarch64", "emu"] {
            std::os::unix::fs::symlink(std::fs::canonicalize(emu::binary().unwrap()).unwrap(), dir.join(name)).unwrap();
        }
        Links(dir)
    }
    fn run(&self, name: &str, words: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(self.0.join(name));
        command.args(words).envs(environment.iter().copied()).output().unwrap()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(out: &Output) -> (String, String, Option<i32>) {
    (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned(), out.status.code())
}

#[test]
fn options_as_qemu_user_has_them() {
    let links = Links::new("options");
    let program = busybox().unwrap();
    let program = program.to_str().unwrap();
    // What it prints, by words before the program and behind it.
    let shows: [(&[&str], &[&str], &str); 8] = [
        (&[], &["uname", "-m"], "aarch64\n"),
        (&["-E", "A=1,B=2", "-E", "C=3"], &["sh", "-c", "echo $A$B$C"], "123\n"),
        (&["-U", "HOME,A", "-L", "/nonexistent"], &["sh", "-c", "echo [$HOME$A]"], "[]\n"),
        (&["-0", "echo"], &["x", "y"], "x y\n"),
        (&["-cpu", "cortex-a72", "-s", "8388608", "--"], &["echo", "-L"], "-L\n"),
        (&["--cpu", "max", "-B", "0x400000", "-R", "0"], &["echo", "x"], "x\n"),
        (&["-r", "5.4.3"], &["sh", "-c", "uname -r; exec \"$0\" uname -r", program], "5.4.3\n5.4.3\n"),
        (&["-one-insn-per-tb", "-p", "4096"], &["true"], ""),
    ];
    for name in ["qemu-aarch64", "qemu-aarch64-static"] {
        for (before, behind, want) in shows {
            let words = [before, &[program], behind].concat();
            let out = links.run(name, &words, &[("A", "a")]);
            assert_eq!(text(&out), (want.to_owned(), String::new(), Some(0)), "{name} {words:?}");
        }
    }
    let traced = text(&links.run("qemu-aarch64", &["-strace", program, "true"], &[]));
    assert!(traced.1.contains("exit_group"), "{traced:?}");
    let mistakes: [(&[&str], &str); 5] = [
        (&[], "no user program specified"),
        (&["-strace"], "no user program specified"),
        (&["-foo", "x"], "unknown option 'foo'"),
        (&["-L"], "missing argument for option 'L'"),
        (&["-g"], "missing argument for option 'g'"),
    ];
    for (words, want) in mistakes {
        let (out, errors, code) = text(&links.run("qemu-aarch64", words, &[]));
        assert!(out.is_empty() && errors.contains(want) && errors.lines().count() == 1 && code == Some(1), "{words:?}: {code:?} {errors}");
    }
    assert!(text(&links.run("qemu-aarch64-static", &["--version"], &[])).0.starts_with("qemu-aarch64 version 10."));
    assert!(text(&links.run("qemu-system-aarch64", &["-version"], &[])).0.starts_with("QEMU emulator version 10."));
    assert!(text(&links.run("qemu-system-aarch64", &["-M", "help"], &[])).0.contains("virt"));
    assert!(text(&links.run("qemu-aarch64", &["-h"], &[])).0.contains("-L VALUE"));
}

#[test]
fn variables() {
    let links = Links::new("variables");
    let program = busybox().unwrap();
    let program = program.to_str().unwrap();
    for name in ["emu", "qemu-aarch64"] {
        let run = |before: &[&str], script: &str, environment: &[(&str, &str)]| {
            text(&links.run(name, &[before, &[program, "sh", "-c", script]].concat(), environment))
        };
        let show = "echo $A-$B-$C";
        // Ours count before the others, and the command line before both.
        let set = [("QEMU_SET_ENV", "A=1,B=2"), ("C", "3"), ("QEMU_UNSET_ENV", "C")];
        assert_eq!(run(&[], show, &set).0, "1-2-\n", "{name}");
        assert_eq!(run(&[], show, &[("QEMU_SET_ENV", "A=1"), ("EMU_SET_ENV", "A=2")]).0, "2--\n", "{name}");
        assert_eq!(run(&["-E", "A=9"], show, &set).0, "9-2-\n", "{name}");
        assert!(run(&[], "true", &[("QEMU_STRACE", "1")]).1.contains("exit_group"), "{name}");
        // A prefix that is not there is no mistake of the variable's.
        assert_eq!(run(&[], "echo x", &[("QEMU_LD_PREFIX", "/nonexistent")]).0, "x\n", "{name}");
        let (_, errors, code) = run(&[], "true", &[("QEMU_CPU", "nothing-like-it")]);
        assert!(errors.contains("no CPU model 'nothing-like-it'") && code != Some(0), "{name} {errors}");
        let nothing = [("QEMU_CPU", "nothing-like-it"), ("EMU_CPU", "max")];
        assert_eq!(run(&[], "echo x", &nothing).0, "x\n", "{name}");
        assert_eq!(run(&[], "echo x", &[("EMU_CPU", "max")]).0, "x\n", "{name}");
    }
}

#[test]
fn what_binfmt_would_do() {
    let links = Links::new("binfmt");
    let run = |words: &[&str]| text(&links.run("emu", words, &[]));
    let (line, errors, code) = run(&["binfmt", "install", "--dry-run", "--interpreter", "/usr/bin/emu-aarch64-static"]);
    assert!(line.starts_with(":emu-aarch64:M::\\x7f\\x45\\x4c\\x46") && line.ends_with(":/usr/bin/emu-aarch64-static:FP\n"), "{line}{errors}");
    assert_eq!((code, line.lines().count()), (Some(0), 1));
    assert_eq!(run(&["binfmt", "remove", "--dry-run"]).2, Some(0));
    assert!(run(&["binfmt", "-h"]).0.contains("emu binfmt status"));
    for (words, want) in [
        (&["binfmt"][..], "takes install, status or remove"),
        (&["binfmt", "instal"], "'instal' means nothing"),
        (&["binfmt", "install", "--interpreter", "/nonexistent/emu"], "there is no such file"),
        (&["binfmt", "install", "--interpreter", "/a:b"], "without ':'"),
    ] {
        let (_, errors, code) = run(words);
        assert!(errors.contains(want) && errors.lines().count() == 1 && code == Some(2), "{words:?}: {errors}");
    }
}
