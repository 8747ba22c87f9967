//! Programs of Debian's arm64 packages at work: tools, compilers, language runtimes. The long ones want EMU_USER_FULL=1.

use emu_test_user::suites::{self, folder, source};
use emu_test_user::{Ran, full, root, run_for, succeed};

#[test]
fn tools() {
    let _ran = Ran::begin("bash, git, xz, zstd, openssl, sqlite3, perl, ...");
    suites::tools(&root("user-tools").unwrap(), "usr/bin/bash", "aarch64");
}

#[test]
fn openssl_speed() {
    let _ran = Ran::begin("openssl speed");
    let root = root("user-tools").unwrap();
    let text = succeed(300, Some(&root), &root.join("usr/bin/openssl"), &["speed", "-seconds", "1", "-bytes", "1024", "sha256", "aes-128-cbc"]);
    assert!(text.contains("sha256") && text.contains("aes-128-cbc"), "{text}");
}

#[test]
fn a_compiler_and_what_it_makes() {
    let _ran = Ran::begin("gcc, and its program");
    suites::compiler_and_what_it_makes(&root("user-compilers").unwrap(), "aarch64");
}

#[test]
fn programs_of_go_and_rust() {
    let _ran = Ran::begin("fzf, restic (Go), ripgrep, fd (Rust)");
    let (root, dir) = (root("user-others").unwrap(), folder("others"));
    std::fs::write(dir.join("one.txt"), "alpha\nbeta\n").unwrap();
    std::fs::write(dir.join("two.txt"), "beta\ngamma beta\n").unwrap();
    let at = dir.display().to_string();
    let bin = |name: &str| root.join("usr/bin").join(name);
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(|l| l.replace(&at, "")).collect();
        lines.sort();
        lines.join(" ")
    };
    assert_eq!(sorted(succeed(120, Some(&root), &bin("rg"), &["-c", "beta", &at])), "/one.txt:1 /two.txt:2");
    assert_eq!(sorted(succeed(120, Some(&root), &bin("fdfind"), &["txt", &at])), "/one.txt /two.txt");
    assert!(succeed(120, Some(&root), &bin("restic"), &["version"]).starts_with("restic 0."));
    let repository = format!("{at}/repository");
    let password = dir.join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let restic = |words: &[&str]| {
        let mut all = vec!["-q", "-r", &repository, "-p", password.to_str().unwrap(), "--no-cache"];
        all.extend(words);
        succeed(300, Some(&root), &bin("restic"), &all)
    };
    restic(&["init"]);
    restic(&["backup", &format!("{at}/one.txt"), &format!("{at}/two.txt")]);
    assert_eq!(restic(&["dump", "latest", &format!("{at}/two.txt")]), "beta\ngamma beta\n");
    restic(&["check"]);
    let mut fzf = emu_test_user::command(&[], Some(&root), &bin("fzf"), &["-f", "ta"]).unwrap();
    fzf.stdin(std::fs::File::open(dir.join("one.txt")).unwrap());
    assert_eq!(String::from_utf8_lossy(&fzf.output().unwrap().stdout), "beta\n");
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn node() {
    if !full() {
        return Ran::skipped("node", "EMU_USER_FULL=1 runs it");
    }
    let _ran = Ran::begin("node");
    let (root, dir) = (root("user-node").unwrap(), folder("node"));
    let arguments = [source("node.js").display().to_string(), dir.display().to_string()];
    let text = succeed(600, Some(&root), &root.join("usr/bin/node"), &arguments);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 8, "{text}");
    assert_eq!(lines[1..6], ["hello", "42", "ENOENT", "sub 3", "usr2"], "{text}");
    assert_eq!(lines[7], "timer", "{text}");
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn java() {
    if !full() {
        return Ran::skipped("java", "EMU_USER_FULL=1 runs it");
    }
    let _ran = Ran::begin("java -version, javac, threads");
    let (root, dir) = (root("user-java").unwrap(), folder("java"));
    let bin = |name: &str| root.join("usr/lib/jvm/java-17-openjdk-arm64/bin").join(name);
    let done = run_for(300, &[], Some(&root), &bin("java"), &["-version"]).unwrap();
    assert!(done.errors().starts_with("openjdk version \"17"), "{}", done.errors());
    let out = dir.display().to_string();
    succeed(600, Some(&root), &bin("javac"), &["-d", &out, source("Threads.java").to_str().unwrap()]);
    let want = "100793048 64000\nnull\ndeep\nchild\n0 aarch64\n";
    for options in [&[][..], &["-Xint"], &["-XX:TieredStopAtLevel=1"], &["-XX:+UseParallelGC"]] {
        let mut arguments = options.to_vec();
        arguments.extend(["-cp", &out, "Threads"]);
        assert_eq!(succeed(600, Some(&root), &bin("java"), &arguments), want, "{options:?}");
    }
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn stressors_verify() {
    let (root, seconds) = if full() { (root("user-stress").unwrap(), "10") } else { return Ran::skipped("stress-ng", "EMU_USER_FULL=1 runs it") };
    for stressor in
        ["cpu", "vm", "futex", "signal", "fork", "vfork", "pthread", "mmap", "mremap", "clone", "sigsegv", "switch", "pipe", "sem", "epoll", "timer"]
    {
        let _ran = Ran::begin(format!("stress-ng --verify --{stressor} 2"));
        let option = format!("--{stressor}");
        let arguments = ["--verify", &option, "2", "-t", seconds];
        let done = run_for(300, &[], Some(&root), &root.join("usr/bin/stress-ng"), &arguments).unwrap();
        let (text, errors) = (done.text(), done.errors());
        assert!(done.code == Some(0) && !(text + &errors).contains("fail:"), "{stressor}: {:?} {errors}", done.code);
    }
}
