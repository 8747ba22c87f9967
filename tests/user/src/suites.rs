//! What is tested of the programs of each architecture alike: a root of Debian's packages, and what differs by name.

use crate::{ENGINES, Ran, command, expect, run_for, succeed};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file of `programs/`.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name)
}

/// A folder of this test process's own, empty.
pub fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("emu-test-user-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The script `tools.sh`, by the bash of a root, on a machine that calls itself so.
pub fn tools(root: &Path, bash: &str, machine: &str) {
    let dir = folder(&format!("tools-{machine}"));
    let arguments = [source("tools.sh").display().to_string(), dir.display().to_string()];
    let text = succeed(600, Some(root), &root.join(bash), &arguments);
    let want = std::fs::read_to_string(source("tools.txt")).unwrap().replace("aarch64", machine);
    for (n, (got, want)) in text.lines().zip(want.lines()).enumerate() {
        // A hash that the script's second digest line begins with is checked by its length.
        assert!(got == want || (want == "SHA3 *f1" && got.len() == 128 + 4), "line {}: {got:?}, wanted {want:?}\n{text}", n + 1);
    }
    assert_eq!(text.lines().count(), want.lines().count(), "{text}");
    let _ = std::fs::remove_dir_all(dir);
}

/// gcc of a root makes a program, dynamic and static, which runs on both engines.
pub fn compiler_and_what_it_makes(root: &Path, machine: &str) {
    let dir = folder(&format!("gcc-{machine}"));
    let file = dir.join("hello.c");
    std::fs::write(
        &file,
        "#include <stdio.h>\nint main(void) { double s = 0; for (int i = 1; i < 1000000; i++) s += 1.0 / i; printf(\"%.9f\\n\", s); }\n",
    )
    .unwrap();
    for (kind, options) in [("dynamic", &["-O2"][..]), ("static", &["-O0", "-static"])] {
        let out = dir.join(kind);
        let mut arguments: Vec<String> = options.iter().map(|s| (*s).to_owned()).collect();
        arguments.extend(["-o".to_owned(), out.display().to_string(), file.display().to_string()]);
        succeed(300, Some(root), &root.join("usr/bin/gcc"), &arguments);
        for engine in ENGINES {
            let done = run_for(120, engine, Some(root), &out, &[] as &[&str]).unwrap();
            assert_eq!(done.text(), "14.392725723\n", "{kind} {engine:?} {}", done.errors());
        }
    }
    let _ = std::fs::remove_dir_all(dir);
}

/// Modules of CPython's own tests by the python3 of a root, but for single tests that are left out for a reason.
pub fn cpythons_tests<'a>(root: &Path, machine: &str, modules: impl Iterator<Item = &'a &'a str>, left_out: &[(&str, &str)]) {
    let dir = folder(&format!("python-{machine}"));
    let mut failed = Vec::new();
    for (test, why) in left_out {
        Ran::skipped(test, why);
    }
    for module in modules {
        let _ran = Ran::begin(format!("{machine}: python3 -m test {module}"));
        let mut arguments = vec!["-m", "test"];
        left_out.iter().for_each(|(test, _)| arguments.extend(["-i", test]));
        arguments.push(module);
        let mut command = command(&[], Some(root), &root.join("usr/bin/python3"), &arguments).unwrap();
        command.current_dir(&dir).env("LC_ALL", "C.UTF-8");
        let done = emu_test_kit::process::run(&mut command, Duration::from_secs(1200)).unwrap();
        if done.code != Some(0) {
            let text = done.text();
            let tests: Vec<&str> = text.lines().filter(|l| l.starts_with("FAIL:") || l.starts_with("ERROR:")).collect();
            failed.push(format!("{module}: {:?}, late {}: {tests:?} {}", done.code, done.timed_out, done.errors()));
        }
    }
    let _ = std::fs::remove_dir_all(dir);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Threads, children, sockets, signals and mappings in one script of Python.
pub fn python_with_threads_children_sockets_and_mappings(root: &Path, machine: &str) {
    let script = "\
import threading, subprocess, signal, time, mmap, ctypes, socket, hashlib, os
q = []
ts = [threading.Thread(target=lambda: [q.append(0) for _ in range(1000)]) for _ in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
print(len(q))
print(subprocess.run(['/bin/sh', '-c', 'exit 3']).returncode)
a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))
signal.signal(signal.SIGALRM, lambda *_: print('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.1); time.sleep(0.5)
m = mmap.mmap(-1, 8192); m[0:3] = b'abc'; print(m[:3])
print(ctypes.CDLL(None).abs(-5))
print(hashlib.sha256(b'x' * 100000).hexdigest())
print(os.uname().machine)
";
    let want = format!("8000\n3\nb'x'\nalarm\nb'abc'\n5\nd69e68988157833272305aaf21f453c800346e8a3640db6578e260215542e5d4\n{machine}\n");
    expect(&[], Some(root), &root.join("usr/bin/python3"), &["-c", script], &want);
}
