//! Programs for riscv64: Debian's, and this repository's, made by Debian's compiler under emu.

use emu_test_kit::{emu, qemu};
use emu_test_user::suites::{self, folder};
use emu_test_user::{ENGINES, Ran, expect, full, riscv64_busybox, riscv64_compiled, riscv64_root, run, run_for, succeed};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What a program prints under qemu-riscv64.
fn under_qemu(program: &Path) -> String {
    let mut command = qemu::user_riscv64().unwrap().command();
    command.args(["-cpu", "rv64"]).arg(program);
    emu_test_kit::process::run(&mut command, Duration::from_secs(300)).unwrap().text()
}

#[test]
fn shells() {
    let _ran = Ran::begin("riscv64: busybox, bash");
    let busybox = riscv64_busybox().unwrap();
    let script = "echo $((6 * 7)); seq 1 100 | sort -rn | head -n 2 | tr '\\n' ' '; echo; (exit 5); echo $?; uname -m; grep -c ^hart /proc/cpuinfo > /dev/null && echo harts";
    let root = riscv64_root("bash").unwrap();
    let more = "a=(one two three); echo ${#a[@]} ${a[1]}; [[ abc =~ b(.) ]] && echo ${BASH_REMATCH[1]}; \
                coproc cat; echo through >&${COPROC[1]}; read line <&${COPROC[0]}; echo $line; trap 'echo usr1' USR1; kill -USR1 $$; echo $MACHTYPE";
    for engine in ENGINES {
        expect(engine, None, &busybox, &["sh", "-c", script], "42\n100 99 \n5\nriscv64\nharts\n");
        expect(engine, Some(&root), &root.join("usr/bin/bash"), &["-c", more], "3 two\nc\nthrough\nusr1\nriscv64-unknown-linux-gnu\n");
    }
    // A script is for what its interpreter is for.
    let dir = folder("script");
    let script = dir.join("script");
    std::fs::write(&script, "#!/usr/bin/bash\necho $MACHTYPE $1\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    expect(&[], Some(&root), &script, &["x"], "riscv64-unknown-linux-gnu x\n");
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn tools() {
    let _ran = Ran::begin("riscv64: bash, git, xz, zstd, openssl, sqlite3, perl, ...");
    suites::tools(&riscv64_root("user-tools").unwrap(), "usr/bin/bash", "riscv64");
}

#[test]
fn a_compiler_and_what_it_makes() {
    let _ran = Ran::begin("riscv64: gcc");
    suites::compiler_and_what_it_makes(&riscv64_root("user-compilers").unwrap(), "riscv64");
}

#[test]
fn signals_faults_and_the_kernels_questions() {
    let _ran = Ran::begin("riscv64: signals on both engines and qemu-riscv64");
    let (program, _) = riscv64_compiled("riscv64_signals", &["-static"]).unwrap();
    let oracle = under_qemu(&program);
    assert_eq!(oracle.lines().count(), 21, "{oracle}");
    for engine in ENGINES {
        let done = run_for(120, engine, None, &program, &[] as &[&str]).unwrap();
        for (got, want) in done.text().lines().zip(oracle.lines()) {
            assert_eq!(got, want, "{engine:?}");
        }
        assert_eq!((done.text().lines().count(), done.code), (21, Some(0)), "{engine:?} {}", done.errors());
    }
}

/// Instructions whose halves lie in two pages, in loops and while either page changes; QEMU agrees with what the program says of itself.
#[test]
fn instructions_across_pages() {
    let _ran = Ran::begin("riscv64: instructions across pages");
    let (program, _) = riscv64_compiled("riscv64_straddle", &["-static"]).unwrap();
    assert_eq!(under_qemu(&program), "straddle ok\n");
    for engine in ENGINES {
        expect(engine, None, &program, &[] as &[&str], "straddle ok\n");
    }
}

/// Misaligned atomics are carried out by QEMU, and exceptions here; the lines of code pages are a sum that goes on from them.
fn is_free(line: &str) -> bool {
    let mut words = line.split(' ');
    let (place, op) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    matches!(place, "unaligned" | "half" | "across") && (op.starts_with("amo") || op.starts_with("lr"))
}

#[test]
fn every_access_at_every_kind_of_address() {
    let _ran = Ran::begin("riscv64: accesses on both engines and qemu-riscv64");
    let (program, _) = riscv64_compiled("riscv64_access", &["-static"]).unwrap();
    let [generated, interpreted] = ENGINES.map(|e| {
        let done = run_for(300, e, None, &program, &[] as &[&str]).unwrap();
        assert_eq!(done.code, Some(0), "{e:?}: {}", done.errors());
        done.text()
    });
    assert_eq!(generated.lines().count(), 880, "{generated}");
    for (g, i) in generated.lines().zip(interpreted.lines()) {
        assert_eq!(g, i, "generated code, interpreter");
    }
    for line in generated.lines().filter(|l| is_free(l)) {
        assert!(line.contains(" signal 7 code 1 ") || line.starts_with("half"), "{line}");
    }
    let mut compared = 0;
    for (g, q) in generated.lines().zip(under_qemu(&program).lines()).filter(|(g, _)| !is_free(g)) {
        assert_eq!(g, q, "emu, qemu-riscv64");
        compared += 1;
    }
    assert!(compared > 650, "{compared} lines compared");
}

#[test]
fn processes_threads_and_memory() {
    let _ran = Ran::begin("riscv64: spawn, memory, shared, forks, threads, protect");
    let (program, root) = riscv64_compiled("spawn", &[]).unwrap();
    let want = "missing: No such file or directory\ndirectory: Permission denied\nchild\nspawned: 0 5\nvfork: 43 7\ncrash: 11\nfork inside: 3\n1\n";
    assert_eq!(succeed(120, Some(&root), &program, &[] as &[&str]), want);
    let (program, root) = riscv64_compiled("memory", &[]).unwrap();
    let want = "grows in place: 1\nnot into others: 1\nmoves: 1\nrealloc: 1\nreservation: 1\nvdso: 1\nclock: 1\nstat: 1 1 1\nmaps: 1 1\nexe: 1\ncmdline: 1\n";
    for engine in ENGINES {
        assert_eq!(run_for(120, engine, Some(&root), &program, &["argument"]).unwrap().text(), want, "{engine:?}");
    }
    let (program, root) = riscv64_compiled("shared", &[]).unwrap();
    assert_eq!(succeed(600, Some(&root), &program, &["10000000"]), "20000000 20000000 0\n");
    let (program, root) = riscv64_compiled("forks", &[]).unwrap();
    let (times, insns) = if full() { ("200", "100000") } else { ("10", "20000") };
    assert_eq!(succeed(1800, Some(&root), &program, &[times, insns]), format!("{times} forks\n"));
    let (program, root) = riscv64_compiled("protect", &[]).unwrap();
    for engine in ENGINES {
        assert_eq!(run_for(120, engine, Some(&root), &program, &[] as &[&str]).unwrap().text(), "made\n", "{engine:?}");
    }
    let (program, root) = riscv64_compiled("threads", &[]).unwrap();
    for n in 0..if full() { 200 } else { 10 } {
        let done = run_for(60, &[], Some(&root), &program, &[] as &[&str]).unwrap();
        assert_eq!((done.text().as_str(), done.code), ("4000 8\n", Some(0)), "run {n}, late {}: {}", done.timed_out, done.errors());
    }
}

/// CPython's own regression tests. Always, and with EMU_USER_FULL=1.
#[rustfmt::skip]
const MODULES: [&[&str]; 2] = [
    &["test_mmap", "test_ctypes", "test_select", "test_thread", "test_struct", "test_signal", "test_threading", "test_math", "test_float", "test_wait4"],
    &[
        "test_subprocess", "test_socket", "test_os", "test_time", "test_posix", "test_pty", "test_popen", "test_queue", "test_threadsignals", "test_selectors",
        "test_fcntl", "test_array", "test_long", "test_int", "test_complex", "test_cmath", "test_json", "test_re", "test_hashlib", "test_zlib", "test_pickle",
        "test_bytes", "test_io", "test_tempfile", "test_random", "test_statistics", "test_fractions", "test_itertools", "test_gc", "test_weakref",
        "test_datetime", "test_builtin", "test_memoryview", "test_decimal", "test_asyncio", "test_concurrent_futures",
    ],
];

/// Single tests that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("test_leak_fast_process_del_killed", "gives a killed child 0.2 s to be gone, which a busy host does not"),
    ("test_timerfd_TFD_TIMER_ABSTIME", "has 0.5 ms between two calls, which a busy host may take"),
    ("test_null_dlsym", "has a library made by the gcc in PATH, which is the host's"),
];

#[test]
fn cpythons_regression_tests() {
    let modules = MODULES[0].iter().chain(MODULES[1].iter().filter(|_| full()));
    suites::cpythons_tests(&riscv64_root("user-python").unwrap(), "riscv64", modules, LEFT_OUT);
}

#[test]
fn python_with_threads_children_sockets_and_mappings() {
    suites::python_with_threads_children_sockets_and_mappings(&riscv64_root("user-python").unwrap(), "riscv64");
}

#[test]
fn names_and_mistakes() {
    let dir = folder("names");
    let program = riscv64_busybox().unwrap();
    let other = emu_test_user::busybox().unwrap();
    let linked = |name: &str, words: &[&str]| {
        let link = dir.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(std::fs::canonicalize(emu::binary().unwrap()).unwrap(), &link).unwrap();
        }
        let out = Command::new(link).args(words).output().unwrap();
        (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned(), out.status.code())
    };
    let shown = |p: &Path| p.display().to_string();
    for name in ["emu", "qemu-riscv64", "qemu-riscv64-static", "emu-riscv64"] {
        assert_eq!(linked(name, &[&shown(&program), "uname", "-m"]), ("riscv64\n".to_owned(), String::new(), Some(0)), "{name}");
    }
    assert_eq!(linked("qemu-riscv64", &["-cpu", "rv64,zba=off", "-0", "echo", &shown(&program), "x"]).0, "x\n");
    assert!(linked("qemu-riscv64", &["--version"]).0.starts_with("qemu-riscv64 version 10."));
    assert!(linked("qemu-system-riscv64", &["-M", "help"]).0.contains("virt"));
    // A name stands for its architecture.
    for (name, file) in [("qemu-riscv64", &other), ("qemu-aarch64", &program)] {
        let (out, errors, code) = linked(name, &[&shown(file), "true"]);
        assert!(
            out.is_empty() && errors.contains("is for another architecture") && errors.lines().count() == 1 && code == Some(126),
            "{name} {errors}"
        );
    }
    let (line, ..) = linked("emu", &["binfmt", "install", "riscv64", "--dry-run", "--interpreter", "/usr/bin/emu-riscv64-static"]);
    assert!(
        line.starts_with(":emu-riscv64:M::\\x7f\\x45")
            && line.contains("\\x02\\x00\\xf3\\x00:")
            && line.ends_with(":/usr/bin/emu-riscv64-static:FP\n"),
        "{line}"
    );
    assert_eq!(linked("emu", &["binfmt", "install", "aarch64", "riscv64", "--dry-run", "--interpreter", "/x"]).0.lines().count(), 2);
    // What cannot be run ends in one sentence.
    let good = std::fs::read(&program).unwrap();
    let cut = dir.join("cut");
    std::fs::write(&cut, &good[..good.len() / 2]).unwrap();
    let object = dir.join("object");
    std::fs::write(&object, [&good[..16], &[1], &good[17..]].concat()).unwrap();
    for (file, want) in [(&cut, "is cut off"), (&object, "but no program")] {
        let out = run::<&str>(&[], None, file, &[]).unwrap();
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(errors.contains(want) && errors.lines().count() == 1 && out.status.code() == Some(126), "{errors}");
    }
    let _ = std::fs::remove_dir_all(dir);
}
