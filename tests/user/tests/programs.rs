//! What programs print, on both engines where they are short.

use emu_test_user::{ENGINES, busybox, expect, root, run, suites};
use std::os::unix::process::ExitStatusExt;

#[test]
fn a_static_shell_with_pipes_children_and_arithmetic() {
    let busybox = busybox().unwrap();
    let script = "echo $((6 * 7)); seq 1 100 | sort -rn | head -n 2 | tr '\\n' ' '; echo; (exit 5); echo $?; uname -m";
    for engine in ENGINES {
        expect(engine, None, &busybox, &["sh", "-c", script], "42\n100 99 \n5\naarch64\n");
    }
}

#[test]
fn the_exit_code_and_the_signal_are_the_guests() {
    let busybox = busybox().unwrap();
    for engine in ENGINES {
        assert_eq!(run(engine, None, &busybox, &["sh", "-c", "exit 37"]).unwrap().status.code(), Some(37));
        let out = run(engine, None, &busybox, &["sh", "-c", "kill -TERM $$; echo lived"]).unwrap();
        assert_eq!((out.status.signal(), out.stdout.as_slice()), (Some(15), &b""[..]));
    }
}

#[test]
fn signals_reach_handlers() {
    let busybox = busybox().unwrap();
    let script = "trap 'echo usr1' USR1; kill -USR1 $$; trap 'echo alarm; exit 3' ALRM; (sleep 0.2; kill -ALRM $$) & while :; do :; done";
    let out = run(&[], None, &busybox, &["sh", "-c", script]).unwrap();
    assert_eq!((String::from_utf8_lossy(&out.stdout).as_ref(), out.status.code()), ("usr1\nalarm\n", Some(3)));
}

#[test]
fn environment_and_argument_0() {
    let busybox = busybox().unwrap();
    expect(&["-E", "A=b c", "-U", "HOME"], None, &busybox, &["sh", "-c", "echo \"$A\" \"$HOME\""], "b c \n");
    expect(&["-0", "echo"], None, &busybox, &["x", "y"], "x y\n");
    let again = format!("{} sh -c 'echo $LD_PRELOAD'", busybox.display());
    // What would mean something to emu's own loader gets through to a program's program.
    expect(&["-E", "LD_PRELOAD=/nonexistent"], None, &busybox, &["sh", "-c", &again], "/nonexistent\n");
}

#[test]
fn bash_and_coreutils() {
    let root = root("bash").unwrap();
    let script = "a=(one two three); echo ${#a[@]} ${a[1]}; for i in {1..3}; do echo -n $i; done; echo; [[ abc =~ b(.) ]] && echo ${BASH_REMATCH[1]}; \
                  coproc cat; echo through >&${COPROC[1]}; read line <&${COPROC[0]}; echo $line; echo $MACHTYPE";
    for engine in ENGINES {
        expect(engine, Some(&root), &root.join("bin/bash"), &["-c", script], "3 two\n123\nc\nthrough\naarch64-unknown-linux-gnu\n");
    }
}

#[test]
fn python_with_threads_children_sockets_and_mappings() {
    suites::python_with_threads_children_sockets_and_mappings(&root("python3").unwrap(), "aarch64");
}

#[test]
fn a_just_in_time_compiler() {
    let root = root("luajit").unwrap();
    let script = "local s = 0 for i = 1, 3e6 do s = s + i % 7 end print(s, jit.status())";
    let out = run(&[], Some(&root), &root.join("usr/bin/luajit"), &["-e", script]).unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("8999997\ttrue"), "{out:?}");
}

#[test]
fn what_a_program_runs_a_lot_is_made_again() {
    let busybox = busybox().unwrap();
    // Loops of a shell, of one program that writes much, and of one that computes.
    let script = "i=0; s=0; while [ $i -lt 3000 ]; do i=$((i + 1)); s=$((s + i * i % 7)); done; echo $s; seq 1 200000 | md5sum";
    let (mut found, mut warm) = (Vec::new(), Vec::new());
    for mode in ["", "cold", "hot", "eager", "brief", "at-once"] {
        let mut command = emu_test_user::command(&["--stats"], None, &busybox, &["sh", "-c", script]).unwrap();
        let out = command.env("EMU_JIT", mode).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "6001\n0e10426a1d5bddffcef02f1345787128  -\n", "EMU_JIT={mode}");
        let errors = String::from_utf8_lossy(&out.stderr);
        let count = |name: &str| errors.lines().filter_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok()).sum::<u64>();
        found.push(count("hot regions: "));
        warm.push(count("warm regions: "));
    }
    println!("{found:?} hot and {warm:?} warm regions were made again");
    assert!(found[0] > 0 && found[1] == 0, "{found:?}");
    assert!(warm[0] > 0 && warm[3] == 0 && warm[4] > 0, "{warm:?}");
}

/// A limit for files is one of the program's, not of the memory that emu has code in, in children neither.
#[test]
fn files_may_be_small() {
    let root = root("user-tools").unwrap();
    let script = "for i in 1 2 3; do x=$(echo $((i * 7)) | tr 0-9 a-j); echo $x; done; head -c 3000 /dev/zero > /dev/null; echo $?";
    let mut words = vec!["-c", "ulimit -f 1; exec \"$@\"", "sh"];
    let emu = emu_test_user::command(&[], Some(&root), &root.join("bin/bash"), &["-c", script]).unwrap();
    let emu_words: Vec<String> = std::iter::once(emu.get_program()).chain(emu.get_args()).map(|w| w.to_str().unwrap().to_owned()).collect();
    words.extend(emu_words.iter().map(String::as_str));
    let mut command = std::process::Command::new("sh");
    let done = emu_test_kit::process::run(command.args(words).env("PATH", "/usr/bin:/bin"), std::time::Duration::from_secs(120)).unwrap();
    assert_eq!((done.text().as_str(), done.code), ("h\nbe\ncb\n0\n", Some(0)), "{}", done.errors());
}
