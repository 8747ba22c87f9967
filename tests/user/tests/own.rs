//! Programs of this repository, made by Debian's arm64 compiler under emu: processes, threads, memory.

use emu_test_kit::rng::Rng;
use emu_test_user::{ENGINES, Ran, compiled, full, run_for, succeed};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

#[test]
fn children_in_the_parents_memory() {
    let _ran = Ran::begin("vfork and posix_spawn");
    let (program, root) = compiled("spawn", &[]).unwrap();
    let want = "missing: No such file or directory\ndirectory: Permission denied\nchild\nspawned: 0 5\nvfork: 42 7\ncrash: 11\nfork inside: 3\n1\n";
    for engine in ENGINES {
        let done = run_for(120, engine, Some(&root), &program, &[] as &[&str]).unwrap();
        // The child has taken the handler's signal to its default for itself alone.
        assert_eq!(done.text().replace("vfork: 43 7", "vfork: 42 7"), want, "{engine:?} {}", done.errors());
        assert!(done.text().contains("vfork: 43 7"), "the parent's handler did not run");
        assert_eq!(done.code, Some(0));
        // A program that crashes is named, with its program counter.
        let errors = done.errors();
        assert!(errors.contains("spawn: SIGSEGV at pc 0x") && errors.contains("address 0x0"), "{errors}");
    }
}

#[test]
fn mappings_and_the_kernels_library() {
    let _ran = Ran::begin("mremap, vdso, /proc/self");
    let (program, root) = compiled("memory", &[]).unwrap();
    let want = "grows in place: 1\nnot into others: 1\nmoves: 1\nrealloc: 1\nreservation: 1\nvdso: 1\nclock: 1\nstat: 1 1 1\nmaps: 1 1\nexe: 1\ncmdline: 1\n";
    for engine in ENGINES {
        let done = run_for(120, engine, Some(&root), &program, &["argument"]).unwrap();
        assert_eq!((done.text().as_str(), done.code), (want, Some(0)), "{engine:?} {}", done.errors());
    }
}

#[test]
fn memory_is_moved_and_set() {
    let _ran = Ran::begin("memcpy, memmove, memset of a CPU with and without instructions for them");
    let (program, root) = compiled("moves", &["-O2"]).unwrap();
    let seed = Rng::announced("memory_is_moved_and_set").seed();
    for (engine, moves) in ENGINES.iter().zip(["4000", "500"]) {
        for model in ["max", "cortex-a72"] {
            let options = [*engine, &["-cpu", model]].concat();
            let mut command = emu_test_user::command(&options, Some(&root), &program, &[moves]).unwrap();
            let done = emu_test_kit::process::run(command.env("SEED", seed.to_string()), Duration::from_secs(600)).unwrap();
            assert_eq!((done.text().as_str(), done.code), ("moves ok\n", Some(0)), "{options:?} {}", done.errors());
        }
    }
}

#[test]
fn two_processes_add_to_one_counter() {
    let _ran = Ran::begin("10^7 additions by two processes");
    let (program, root) = compiled("shared", &[]).unwrap();
    assert_eq!(succeed(600, Some(&root), &program, &["10000000"]), "20000000 20000000 0\n");
    let done = run_for(600, ENGINES[1], Some(&root), &program, &["50000"]).unwrap();
    assert_eq!(done.text(), "100000 100000 0\n");
}

#[test]
fn a_process_that_was_alone_gets_company() {
    let times = if full() { "5000000" } else { "500000" };
    let _ran = Ran::begin(format!("seven ways from alone to company, {times} additions each"));
    let (program, root) = compiled("alone", &[]).unwrap();
    let file = std::env::temp_dir().join(format!("emu-alone-{}", std::process::id()));
    let file = file.to_str().unwrap();
    let ways =
        ["anonymous memory", "a file", "System V", "a thread in a loop", "a thread from the depth", "a thread of a handler", "a vforked child"];
    let want = ways.map(|w| format!("{w}: 0\n")).concat();
    // Plain accesses first; locked ones from the start.
    for atomics in ["", "locked"] {
        let mut command = emu_test_user::command(&[], Some(&root), &program, &[file, times]).unwrap();
        let done = emu_test_kit::process::run(command.env("EMU_ATOMICS", atomics), Duration::from_secs(1200)).unwrap();
        assert_eq!((done.text().as_str(), done.code), (want.as_str(), Some(0)), "EMU_ATOMICS={atomics}, late {}: {}", done.timed_out, done.errors());
    }
    let done = run_for(600, ENGINES[1], Some(&root), &program, &[file, "5000"]).unwrap();
    assert_eq!((done.text().as_str(), done.code), (want.as_str(), Some(0)), "{}", done.errors());
}

#[test]
fn a_fault_in_a_pair_shows_the_flags_before_it() {
    let _ran = Ran::begin("flags at a fault in the second half of a pair");
    let (program, root) = compiled("flags", &[]).unwrap();
    // 7 - 6, 7 - 7, 7 - 8.
    let each = [(6, "2"), (7, "6"), (8, "8")];
    let want: String = each.iter().flat_map(|(with, flags)| ["x3", "x9", "x20", "x27"].map(|r| format!("{r} with {with}: {flags}\n"))).collect();
    for (engine, mode) in
        [(ENGINES[0], ""), (ENGINES[0], "hot"), (ENGINES[0], "cold"), (ENGINES[0], "at-once"), (ENGINES[0], "eager"), (ENGINES[1], "")]
    {
        for cpu in ["max", "cortex-a72"] {
            let mut command = emu_test_user::command(&[engine, &["-cpu", cpu]].concat(), Some(&root), &program, &[] as &[&str]).unwrap();
            let done = emu_test_kit::process::run(command.env("EMU_JIT", mode), Duration::from_secs(120)).unwrap();
            assert_eq!((done.text().as_str(), done.code), (want.as_str(), Some(0)), "{cpu} {engine:?} EMU_JIT={mode} {}", done.errors());
        }
    }
}

#[test]
fn comparisons_in_a_row_have_their_own_flags() {
    let _ran = Ran::begin("trees of comparisons, with faults in them");
    let (program, root) = compiled("trees", &["-O2"]).unwrap();
    let run = |engine: &[&str], mode: &str, host: &str| {
        let mut command = emu_test_user::command(engine, Some(&root), &program, &["200000"]).unwrap();
        let done = emu_test_kit::process::run(command.env("EMU_JIT", mode).env("EMU_HOST", host), Duration::from_secs(120)).unwrap();
        assert_eq!(done.code, Some(0), "{engine:?} EMU_JIT={mode} EMU_HOST={host} {}", done.errors());
        done.text()
    };
    let want = run(ENGINES[1], "", "");
    assert!(want.contains(" faults ") && !want.contains(" 0 faults "), "{want}");
    for (mode, host) in [("", ""), ("hot", ""), ("eager", ""), ("noopt", ""), ("hot", "x86-64-v2")] {
        assert_eq!(run(ENGINES[0], mode, host), want, "EMU_JIT={mode} EMU_HOST={host}");
    }
}

#[test]
fn carries_go_over_accesses() {
    let _ran = Ran::begin("carries over loads, stores and multiplications, with faults");
    let (program, root) = compiled("carries", &["-O2"]).unwrap();
    for (engine, mode, host, rounds) in [
        (ENGINES[0], "", "", 4000u32),
        (ENGINES[0], "hot", "", 4000),
        (ENGINES[0], "cold", "", 4000),
        (ENGINES[0], "hot", "x86-64-v2", 4000),
        (ENGINES[0], "", "x86-64-v2", 4000),
        (ENGINES[1], "", "", 512),
    ] {
        let mut command = emu_test_user::command(engine, Some(&root), &program, &[rounds.to_string()]).unwrap();
        let done = emu_test_kit::process::run(command.env("EMU_JIT", mode).env("EMU_HOST", host), Duration::from_secs(120)).unwrap();
        let want = format!("plain 0, closed 0, read-only 0, code 0, tags 0; {} faults\n", rounds / 16 * 2);
        assert_eq!((done.text(), done.code), (want, Some(0)), "{engine:?} EMU_JIT={mode} EMU_HOST={host} {}", done.errors());
    }
}

#[test]
fn atomics_of_each_size() {
    let _ran = Ran::begin("atomics of each size, on pages that may be written and that may not");
    let (program, root) = compiled("lse", &[]).unwrap();
    let names = ["ldaddal", "ldclr", "ldseta", "ldeorl", "ldsmaxal", "ldsmin", "ldumaxa", "lduminl", "swpal"];
    let want = format!("{}cas: 0 wrong, 80 faults\n", names.map(|n| format!("{n}: 0 wrong\n")).concat());
    for (engine, mode, atomics) in [
        (ENGINES[0], "", ""),
        (ENGINES[0], "hot", ""),
        (ENGINES[0], "eager", ""),
        (ENGINES[0], "", "locked"),
        (ENGINES[0], "hot", "locked"),
        (ENGINES[1], "", ""),
    ] {
        let mut command = emu_test_user::command(engine, Some(&root), &program, &[] as &[&str]).unwrap();
        let done = emu_test_kit::process::run(command.env("EMU_JIT", mode).env("EMU_ATOMICS", atomics), Duration::from_secs(120)).unwrap();
        assert_eq!((done.text().as_str(), done.code), (want.as_str(), Some(0)), "{engine:?} EMU_JIT={mode} EMU_ATOMICS={atomics} {}", done.errors());
    }
}

#[test]
fn a_store_release_comes_before_a_load_acquire() {
    let rounds = if full() { "5000" } else { "200" };
    let _ran = Ran::begin(format!("store buffering between threads, {rounds} rounds of 1024"));
    let (program, root) = compiled("order", &[]).unwrap();
    let ways = ["stlr ldar", "dmb", "stlr ldaxr", "stlr ldaxp", "stlrb ldarb", "swpl ldar", "stlr ldadda", "stlr ldar apart"];
    let want = format!("plain: both old\n{}", ways.map(|w| format!("{w}: ordered\n")).concat());
    let done = run_for(1200, &[], Some(&root), &program, &[rounds]).unwrap();
    assert_eq!((done.text().as_str(), done.code), (want.as_str(), Some(0)), "late {}: {}", done.timed_out, done.errors());
}

#[test]
fn both_halves_of_a_fork_make_code() {
    let (times, insns) = if full() { ("200", "100000") } else { ("10", "20000") };
    let _ran = Ran::begin(format!("{times} forks, {insns} new instructions each"));
    let (program, root) = compiled("forks", &[]).unwrap();
    assert_eq!(succeed(1800, Some(&root), &program, &[times, insns]), format!("{times} forks\n"));
}

/// What a child had to make code for is there for the next: their parent, which never does what they do, makes it before it forks again.
#[test]
fn children_inherit_what_their_siblings_made() {
    let _ran = Ran::begin("four children that do the same");
    let (program, root) = compiled("heirs", &[]).unwrap();
    let done = run_for(120, &["--stats"], Some(&root), &program, &[] as &[&str]).unwrap();
    assert_eq!(done.code, Some(0), "{}", done.errors());
    let errors = done.errors();
    let regions: Vec<u64> = errors.lines().filter_map(|l| l.strip_prefix("regions: ")?.trim().parse().ok()).collect();
    let [first, .., parent] = regions[..] else { panic!("{errors}") };
    println!("{regions:?} regions, the parent's last");
    assert!(regions.len() == 5 && parent + 10 >= first, "{regions:?}");
    // The interpreter has no part in it.
    assert_eq!(run_for(300, ENGINES[1], Some(&root), &program, &[] as &[&str]).unwrap().code, Some(0));
}

#[test]
fn threads_survive() {
    let times = if full() { 1000 } else { 20 };
    let _ran = Ran::begin(format!("{times} runs of a threaded program"));
    let (program, root) = compiled("threads", &[]).unwrap();
    for n in 0..times {
        let done = run_for(60, &[], Some(&root), &program, &[] as &[&str]).unwrap();
        assert_eq!((done.text().as_str(), done.code), ("4000 8\n", Some(0)), "run {n}, late {}: {}", done.timed_out, done.errors());
    }
}

/// Starts a command whose guest makes three sleeps, a subshell and a shell, and looks at the executable of each process that descends from it
/// and is not one of the first `hosts`.
fn descendants_are_emu(mut command: std::process::Command, hosts: usize) {
    let mut child = command.spawn().unwrap();
    let emu = std::fs::metadata(emu_test_kit::emu::binary().unwrap()).unwrap();
    let mut seen = 0;
    for _ in 0..300 {
        let of = |pid: u32| -> Vec<u32> {
            let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            text.split_whitespace().filter_map(|p| p.parse().ok()).collect()
        };
        let mut all = vec![child.id()];
        let mut at = 0;
        while at < all.len() {
            all.extend(of(all[at]));
            at += 1;
        }
        let slept = all.iter().filter(|p| std::fs::read_to_string(format!("/proc/{p}/comm")).is_ok_and(|c| c == "sleep\n")).count();
        if slept == 3 {
            for pid in all.iter().skip(hosts) {
                // One that is just ending has none.
                if let Ok(exe) = std::fs::metadata(format!("/proc/{pid}/exe")) {
                    assert_eq!((exe.dev(), exe.ino()), (emu.dev(), emu.ino()), "{pid} is not emu");
                }
            }
            seen = all.len() - hosts;
            all.iter().skip(hosts.max(1)).for_each(|p| drop(std::process::Command::new("kill").arg(p.to_string()).status()));
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(seen >= 6, "not all of the processes came: {seen}");
}

/// What the guest does.
const FAMILY: &str = "sleep 20 & (sleep 20 & wait) & bash -c 'sleep 20; :' & wait";

#[test]
fn all_descendants_are_emu() {
    let _ran = Ran::begin("descendants' executables");
    let root = emu_test_user::root("user-tools").unwrap();
    descendants_are_emu(emu_test_user::command(&[], Some(&root), &root.join("usr/bin/bash"), &["-c", FAMILY]).unwrap(), 0);
}

/// The same in a mount namespace whose binfmt_misc is covered by an empty file system: nobody there starts arm64 programs but emu itself.
#[test]
fn all_descendants_are_emu_where_binfmt_misc_is_masked() {
    const WHAT: &str = "descendants without binfmt_misc";
    const MASK: &str = "mount -t tmpfs none /proc/sys/fs/binfmt_misc && test ! -e /proc/sys/fs/binfmt_misc/register";
    let unshare = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        // root may without a user namespace, others only in one, where the host gives them any.
        let root = std::fs::read_to_string("/proc/self/status").is_ok_and(|s| s.lines().any(|l| l.starts_with("Uid:\t0\t")));
        command.args(if root { &["--mount"][..] } else { &["--user", "--map-root-user", "--mount"] }).args(["sh", "-c", script, "sh"]);
        command
    };
    let tried = emu_test_kit::process::run(&mut unshare(MASK), Duration::from_secs(30));
    match tried {
        Ok(done) if done.code == Some(0) => {}
        other => {
            let why = other.map_or_else(|e| e.to_string(), |done| done.errors());
            return Ran::skipped(
                WHAT,
                &format!("this host gives no mount namespace, so only the descendants with its binfmt_misc were looked at: {}", why.trim()),
            );
        }
    }
    let _ran = Ran::begin(WHAT);
    let root = emu_test_user::root("user-tools").unwrap();
    let emu = emu_test_user::command(&[], Some(&root), &root.join("usr/bin/bash"), &["-c", FAMILY]).unwrap();
    let mut command = unshare(&format!("{MASK} && exec \"$@\""));
    command.arg(emu.get_program()).args(emu.get_args()).env("LC_ALL", "C");
    // What is unshare at first becomes the shell, and that emu.
    descendants_are_emu(command, 0);
}

#[test]
fn code_is_made_while_others_change_its_pages() {
    let _ran = Ran::begin("code made, run, rewritten while mprotect runs");
    let (program, root) = compiled("protect", &[]).unwrap();
    for engine in ENGINES {
        for _ in 0..if full() { 20 } else { 1 } {
            let done = run_for(120, engine, Some(&root), &program, &[] as &[&str]).unwrap();
            assert_eq!((done.text().as_str(), done.code), ("made\n", Some(0)), "{engine:?} {}", done.errors());
        }
    }
}

#[test]
fn handlers_look_into_calls() {
    let _ran = Ran::begin("faults and timers in the middle of calls that are run a lot");
    for (program, root) in [compiled("calls", &[]).unwrap(), emu_test_user::riscv64_compiled("calls", &[]).unwrap()] {
        let want = run_for(300, ENGINES[1], Some(&root), &program, &["3000"]).unwrap().text();
        assert!(want.ends_with("wrong: 0\n"), "{want}");
        for mode in ["", "hot"] {
            let mut command = emu_test_user::command(&[], Some(&root), &program, &["3000"]).unwrap();
            command.env("EMU_TRANSLATIONS", "off");
            let done = emu_test_kit::process::run(command.env("EMU_JIT", mode), Duration::from_secs(300)).unwrap();
            assert_eq!((done.text(), done.code), (want.clone(), Some(0)), "{mode} {}", done.errors());
        }
    }
}
