//! Code that a program's earlier processes have made is used by later ones, and only where it is right.

use emu_test_kit::process::{self, Finished};
use emu_test_kit::{Rng, emu};
use emu_test_user::suites::folder;
use emu_test_user::{Ran, command, compiled, riscv64_compiled, riscv64_root, root};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A folder for code, which goes with this.
struct Kept(PathBuf);

impl Kept {
    fn new(name: &str) -> Kept {
        let path = folder(&format!("kept-{name}"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        Kept(path)
    }
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }
    fn command<S: AsRef<std::ffi::OsStr>>(&self, root: Option<&Path>, program: &Path, arguments: &[S]) -> Command {
        let mut command = command(&["--stats"], root, program, arguments).unwrap();
        command.env("EMU_TRANSLATIONS", &self.0);
        command
    }
    fn run<S: AsRef<std::ffi::OsStr>>(&self, root: Option<&Path>, program: &Path, arguments: &[S]) -> Finished {
        finished(&mut self.command(root, program, arguments))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn finished(command: &mut Command) -> Finished {
    process::run(command, Duration::from_secs(300)).unwrap()
}

/// Regions that were made, and that were found.
fn regions(done: &Finished) -> (u64, u64) {
    let errors = done.errors();
    match (emu::statistic(&errors, "regions"), emu::statistic(&errors, "regions of earlier processes")) {
        (Some(made), Some(found)) => (made, found),
        _ => panic!("no statistics: {:?} {} {errors}", done.code, done.text()),
    }
}

#[test]
fn a_third_start_makes_no_code() {
    let _ran = Ran::begin("a third start");
    let (arm, riscv) = (root("user-tools").unwrap(), riscv64_root("user-tools").unwrap());
    for (root, program) in [(&arm, arm.join("bin/bash")), (&riscv, riscv.join("usr/bin/bash"))] {
        let kept = Kept::new("second");
        let script = ["-c", "echo $((6 * 7)) ${BASH_VERSION%%.*}"];
        let run = || kept.run(Some(root), &program, &script);
        // What runs once is interpreted in the first process, and made in the second.
        let (first, second, third, fourth) = (run(), run(), run(), run());
        for done in [&first, &second, &third, &fourth] {
            assert_eq!((done.text().as_str(), done.code), ("42 5\n", Some(0)), "{}", done.errors());
        }
        let made = [first, second, third, fourth].map(|done| regions(&done));
        assert!(made[0].0 > 500 && made[0].1 == 0 && made[1].1 * 10 > made[0].0 * 9, "{made:?}");
        assert!(made[2].0 * 50 < made[0].0 && made[2].1 > made[1].1 && made[3].0 * 50 < made[0].0, "{made:?}");
        assert_eq!(kept.files().len(), 1);
        // Another CPU has code of its own, and so has another way to make it.
        let other = finished(kept.command(Some(root), &program, &script).env("EMU_JIT", "cold"));
        assert_eq!((other.text().as_str(), regions(&other).1), ("42 5\n", 0));
        // Where the guest's memory begins elsewhere on the host, none of it is right.
        let elsewhere = finished(kept.command(Some(root), &program, &script).env("EMU_WINDOW", "elsewhere"));
        assert_eq!((elsewhere.text().as_str(), regions(&elsewhere).1), ("42 5\n", 0));
    }
}

/// The same file by all that its directory says, with another instruction in it.
#[test]
fn what_has_changed_is_made_anew() {
    let kept = Kept::new("changed");
    let place = kept.0.join("program");
    for compiled in [compiled, riscv64_compiled] {
        let made = ["1111", "1222"].map(|v| {
            let (program, _) = compiled("kept", &["-static", &format!("-DVALUE={v}")]).unwrap();
            std::fs::read(program).unwrap()
        });
        assert_eq!(made[0].len(), made[1].len());
        let _ = std::fs::remove_file(&place);
        std::fs::write(&place, &made[0]).unwrap();
        std::fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
        let time = std::fs::metadata(&place).unwrap().modified().unwrap();
        for _ in 0..2 {
            assert_eq!(kept.run(None, &place, &["2"]).text(), "1111\n101111\n");
        }
        std::fs::write(&place, &made[1]).unwrap();
        std::fs::File::options().append(true).open(&place).unwrap().set_modified(time).unwrap();
        let done = kept.run(None, &place, &["2"]);
        assert_eq!(done.text(), "1222\n101222\n");
        let (made, found) = regions(&done);
        assert!(made > 0 && found > made, "the rest of the program is as it was: {made} {found}");
    }
}

/// Damage of any kind costs time at most.
#[test]
fn damaged_files_are_not_used() {
    let (program, _) = compiled("kept", &["-static", "-DVALUE=7"]).unwrap();
    let kept = Kept::new("damaged");
    let want = kept.run(None, &program, &["3"]).text();
    let file = kept.files().pop().unwrap();
    let good = std::fs::read(&file).unwrap();
    let mut rng = Rng::announced("damaged_files_are_not_used");
    for n in 0..60 {
        let mut bytes = good.clone();
        match n % 4 {
            0 => bytes.truncate(rng.below(good.len() as u64) as usize),
            1 => bytes[rng.below(64) as usize] ^= 1 << rng.below(8),
            2 => (0..2000).for_each(|_| bytes[rng.below(good.len() as u64) as usize] ^= rng.below(256) as u8),
            _ => {
                let at = rng.below(good.len() as u64) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
        }
        std::fs::write(&file, bytes).unwrap();
        let done = kept.run(None, &program, &["3"]);
        assert_eq!((done.text(), done.code), (want.clone(), Some(0)), "{n}: {}", done.errors());
    }
}

#[test]
fn many_processes_at_a_time() {
    let _ran = Ran::begin("eight shells at a time that keep code");
    let root = root("user-tools").unwrap();
    let kept = Kept::new("many");
    let script = "for i in 1 2 3; do x=$(echo $((i * 7)) | tr 0-9 a-j); echo $x; done; (exit 3); echo $?; exec true";
    for round in 0..2 {
        let children: Vec<_> = (0..8)
            .map(|_| {
                let mut command = kept.command(Some(&root), &root.join("bin/bash"), &["-c", script]);
                std::thread::spawn(move || finished(&mut command))
            })
            .collect();
        for child in children {
            let done = child.join().unwrap();
            assert_eq!((done.text().as_str(), done.code), ("h\nbe\ncb\n3\n", Some(0)), "round {round}: {}", done.errors());
        }
    }
    // The shell, which became another program; tr, and true.
    let files = kept.files();
    assert!(files.len() >= 3 && files.iter().all(|f| f.extension().is_some_and(|e| e == "code")), "{files:?}");
}

/// Programs that make code, threads and signal handlers find what they find without.
#[test]
fn programs_of_all_kinds() {
    let _ran = Ran::begin("programs that run code of earlier processes");
    let kept = Kept::new("kinds");
    let luajit = root("luajit").unwrap();
    let lua = "local t = {} for i = 1, 200000 do t[i % 1000] = (t[i % 1000] or 0) + i % 7 end print(t[1], t[999])";
    let python = root("user-python").unwrap();
    let threads = "import threading, os, signal, ctypes\nl=[]\ndef f(n):\n  s=0\n  for i in range(20000): s+=i*n\n  l.append(s)\n\
        ts=[threading.Thread(target=f,args=(n,)) for n in range(6)]\n[t.start() for t in ts]\n[t.join() for t in ts]\nprint(sorted(l))\n\
        signal.signal(signal.SIGUSR1, lambda *a: print('signal'))\nos.kill(os.getpid(), signal.SIGUSR1)\n\
        p=os.fork()\nif p==0: os._exit(ctypes.CDLL(None).abs(-9))\nprint(os.waitstatus_to_exitcode(os.waitpid(p,0)[1]))";
    let (own, in_own) = compiled("alone", &[]).unwrap();
    let scratch = kept.0.join("scratch");
    let cases: [(&Path, PathBuf, Vec<&str>); 3] = [
        (&luajit, luajit.join("usr/bin/luajit"), vec!["-e", lua]),
        (&python, python.join("usr/bin/python3"), vec!["-S", "-c", threads]),
        (&in_own, own, vec![scratch.to_str().unwrap(), "50000"]),
    ];
    for (root, program, arguments) in cases {
        let without = finished(command(&[], Some(root), &program, &arguments).unwrap().env("EMU_TRANSLATIONS", "off"));
        assert_eq!(without.code, Some(0), "{}: {}", program.display(), without.errors());
        let mut found = Vec::new();
        for _ in 0..4 {
            let done = kept.run(Some(root), &program, &arguments);
            assert_eq!((done.text(), done.code), (without.text(), Some(0)), "{}: {}", program.display(), done.errors());
            found.push(regions(&done));
        }
        assert!(found[3].0 * 4 < found[0].0 && found[3].1 > 100, "{}: {found:?}", program.display());
    }
}

#[test]
fn where_and_where_not() {
    let (program, _) = compiled("kept", &["-static", "-DVALUE=7"]).unwrap();
    let kept = Kept::new("where");
    let plain = |home: &Path, words: &[&str]| {
        let mut command = Command::new(emu::binary().unwrap());
        command.args(words).arg(&program).arg("1");
        for name in ["EMU_TRANSLATIONS", "QEMU_TRANSLATIONS", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        finished(command.env("HOME", home))
    };
    // By default among the user's caches, in a folder that is made.
    assert_eq!(plain(&kept.0, &[]).text(), "7\n");
    let default = kept.0.join(".cache/emu");
    assert_eq!(std::fs::read_dir(&default).unwrap().count(), 1);
    assert_eq!(std::fs::metadata(&default).unwrap().permissions().mode() & 0o777, 0o700);
    // Nowhere if that is said, nor where there is no home.
    let other = Kept::new("where-not");
    assert_eq!(plain(&other.0, &["--translations", "off"]).text(), "7\n");
    let missing = other.0.join("missing");
    assert_eq!(plain(&missing, &[]).text(), "7\n");
    assert!(!missing.exists());
    assert!(other.files().is_empty());
    // A limit of the program's for files is no signal, and a folder that cannot be written no error.
    let mut limited = Command::new("sh");
    let script = "ulimit -f 1; exec \"$@\"";
    limited.args(["-c", script, "sh"]).arg(emu::binary().unwrap()).arg("--translations").arg(&other.0).arg(&program).arg("1");
    let done = finished(&mut limited);
    assert_eq!((done.text().as_str(), done.code), ("7\n", Some(0)), "{}", done.errors());
    assert!(other.files().is_empty());
    // A mistake on the command line is said; one in the environment is none.
    let done = plain(&kept.0, &["--translations", "/nonexistent/folder"]);
    assert_eq!(done.code, Some(2));
    assert!(done.errors().contains("there is no such folder") && done.errors().lines().count() == 1, "{}", done.errors());
    let done = finished(command::<&str>(&[], None, &program, &["1"]).unwrap().env("EMU_TRANSLATIONS", "/nonexistent/folder"));
    assert_eq!((done.text().as_str(), done.code), ("7\n", Some(0)), "{}", done.errors());
}
