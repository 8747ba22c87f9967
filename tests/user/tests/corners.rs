//! Calls that container builds, shells and language runtimes make now and then, and filters for calls.

use emu_test_user::{ENGINES, Ran, compiled, full, riscv64_compiled, run_for};
use std::path::PathBuf;

/// A program of each architecture, in a place that everybody may look into, which goes with this.
struct Programs(Vec<PathBuf>);

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = self.0[0].parent().map(std::fs::remove_dir_all);
    }
}

fn programs(name: &str) -> Programs {
    let dir = emu_test_user::suites::folder(&format!("corners-{name}"));
    let made = [("arm64", compiled(name, &["-static"])), ("riscv64", riscv64_compiled(name, &["-static"]))];
    Programs(
        made.map(|(architecture, made)| {
            let to = dir.join(format!("{name}-{architecture}"));
            std::fs::copy(made.unwrap().0, &to).unwrap();
            to
        })
        .into(),
    )
}

#[test]
fn corners() {
    let _ran = Ran::begin("corners of the kernel");
    for program in &programs("corners").0 {
        for engine in ENGINES {
            let done = run_for(300, engine, None, program, &[] as &[&str]).unwrap();
            let text = done.text();
            let wrong: Vec<&str> = text.lines().filter(|l| !l.ends_with(": ok")).collect();
            assert!(
                wrong.is_empty() && text.lines().count() == 17 && done.code == Some(0),
                "{engine:?} {}: {:?}\n{text}\n{}",
                program.display(),
                done.code,
                done.errors()
            );
        }
        // A signal for a thread that has only just begun.
        for n in 0..if full() { 500 } else { 20 } {
            let done = run_for(60, &[], None, program, &["a timer's thread"]).unwrap();
            assert_eq!((done.text().as_str(), done.code), ("a timer's thread: ok\n", Some(0)), "run {n} {}", program.display());
        }
    }
}

#[test]
fn code_is_rewritten_again_and_again() {
    let _ran = Ran::begin("code that is rewritten and called some times");
    for program in &programs("rewrites").0 {
        for (engine, mode, rounds) in [
            (ENGINES[0], "", "3000"),
            (ENGINES[0], "cold", "3000"),
            (ENGINES[0], "at-once", "1000"),
            (ENGINES[0], "hot", "1000"),
            (ENGINES[1], "", "1000"),
        ] {
            let mut command = emu_test_user::command(engine, None, program, &[rounds]).unwrap();
            let done = emu_test_kit::process::run(command.env("EMU_JIT", mode), std::time::Duration::from_secs(300)).unwrap();
            let want = "alone: 0\nchild: 0 0\nanother thread: 0\nprotected: 0\n";
            assert_eq!((done.text().as_str(), done.code), (want, Some(0)), "{engine:?} EMU_JIT={mode} {}: {}", program.display(), done.errors());
        }
    }
}

#[test]
fn filters_for_calls() {
    let _ran = Ran::begin("seccomp filters");
    let want = "\
mode 0
actions 0 -1 95
no_new_privs 0
bad -1 22
errno: 0 -1 77 1 mode 2
trap: 0 31 1 12 1 1 1
all threads: 0 3
log: 0 1
killed -31, trap without handler -31
thread dies 6
inherited by fork and exec 4
";
    for program in &programs("seccomp").0 {
        for engine in ENGINES {
            let done = run_for(120, engine, None, program, &[] as &[&str]).unwrap();
            assert_eq!((done.text().as_str(), done.code), (want, Some(0)), "{engine:?} {}: {}", program.display(), done.errors());
            let done = run_for(120, engine, None, program, &["strict"]).unwrap();
            assert_eq!(
                (done.text().as_str(), done.code),
                ("strict\nends -9, exits 5\n", Some(0)),
                "{engine:?} {}: {}",
                program.display(),
                done.errors()
            );
        }
    }
}
