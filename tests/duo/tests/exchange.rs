//! Messages of two architectures: each comes once, in order and whole; a run under icount is the same to the byte; the engines agree; the code of
//! both lies in one page.

use emu_test_duo::exchange::Plan;
use emu_test_duo::{HART_CODE, PAGE};
use emu_test_kit::emu::statistic;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);

fn plan(messages: u64) -> Plan {
    Plan { messages, seeds: [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210], alias: false, resets: 0 }
}

/// Messages each way: `EMU_MESSAGES` altogether (`cargo xtask soak` asks for ten million).
fn messages() -> u64 {
    match std::env::var("EMU_MESSAGES") {
        Ok(text) => text.parse::<u64>().unwrap_or_else(|_| panic!("EMU_MESSAGES={text} is no number")) / 2,
        Err(_) => 50_000,
    }
}

fn exchange(name: &str, messages: u64, more: &[&str]) {
    carry_out(name, &plan(messages), more, &[]);
}

/// What emu prints besides.
fn carry_out(name: &str, plan: &Plan, more: &[&str], variables: &[(&str, &str)]) -> String {
    let done = plan.pair().run_with(name, more, variables, LIMIT);
    assert_eq!((done.code, done.text()), (Some(0), plan.printed()), "{plan:?} {more:?} {variables:?}: {}", done.errors());
    println!("{name}: {} messages in {:.1} s of CPU time", 2 * plan.messages, done.cpu.as_secs_f64());
    done.errors()
}

#[test]
fn by_two_threads() {
    exchange("threads", messages(), &[]);
}

#[test]
fn in_turn() {
    exchange("turn", messages(), &["-icount", "shift=2,seed=7"]);
}

#[test]
fn by_the_interpreter() {
    exchange("interpreter", 5_000, &["-accel", "interp"]);
}

#[test]
fn with_more_cpus_than_take_part() {
    exchange("more", 5_000, &["-smp", "3", "-cpu", "cortex-a72+max"]);
}

#[test]
fn at_several_addresses() {
    for more in [&["--stats"][..], &["--stats", "-icount", "shift=1,seed=5"]] {
        let errors = carry_out("alias", &Plan { alias: true, ..plan(5_000) }, more, &[]);
        assert!(statistic(&errors, "entries of code that moves").is_some_and(|n| n > 10), "{errors}");
    }
    carry_out("alias-interpreter", &Plan { alias: true, ..plan(1_000) }, &["-accel", "interp"], &[]);
}

#[test]
fn after_resets() {
    for more in [&[][..], &["-icount", "shift=1,seed=5"], &["-accel", "interp"]] {
        carry_out("resets", &Plan { resets: 3, alias: true, ..plan(500) }, more, &[]);
    }
}

/// With what generated code can do without, and with little room for it.
#[test]
fn in_other_ways() {
    for variable in [
        ("EMU_JIT", "hot"),
        ("EMU_JIT", "cold"),
        ("EMU_JIT", "at-once"),
        ("EMU_JIT", "brief"),
        ("EMU_JIT", "plain"),
        ("EMU_JIT", "fixed"),
        ("EMU_HOST", "x86-64-v2"),
        ("EMU_INTERP", "plain"),
    ] {
        carry_out("ways", &Plan { alias: true, ..plan(1_000) }, &[], &[variable]);
    }
    carry_out("unchained", &plan(1_000), &["-d", "nochain"], &[]);
}

/// What a run under icount prints, with hashes of its state on the way and at its end.
fn hashes(name: &str, seed: u32, more: &[&str]) -> (String, Vec<String>) {
    let icount = format!("shift=2,seed={seed}");
    let all = [&["-icount", &icount, "--state-hash", "100000"], more].concat();
    let done = plan(2_000).pair().run(name, &all, LIMIT);
    assert_eq!(done.code, Some(0), "{}", done.errors());
    let errors = done.errors();
    (done.text(), errors.lines().filter(|l| l.contains("state ")).map(str::to_owned).collect())
}

#[test]
fn a_seed_decides_everything() {
    let (text, first) = hashes("seed-a", 1, &[]);
    assert_eq!(text, plan(2_000).printed());
    assert!(first.len() > 5 && first.last().is_some_and(|l| l.contains("last state")), "{first:?}");
    assert_eq!(hashes("seed-b", 1, &[]), (text.clone(), first.clone()), "the same again");
    assert_eq!(hashes("seed-i", 1, &["-accel", "interp"]), (text.clone(), first.clone()), "the interpreter");
    let (other_text, other) = hashes("seed-c", 2, &[]);
    assert_eq!(other_text, text, "the messages do not depend on who comes first");
    assert_ne!(other, first, "another seed, another order");
}

#[test]
fn both_translate_the_same_page() {
    let done = plan(100).pair().run("page", &["-d", "in_asm,exec", "--stats", "-icount", "shift=2,seed=1"], LIMIT);
    assert_eq!((done.code, done.text()), (Some(0), plan(100).printed()), "{}", done.errors());
    let errors = done.errors();
    let at = |line: &str, what: &str, cpu: u32| -> Option<u64> {
        let rest = line.strip_prefix(&format!("{what}: cpu {cpu} pc 0x"))?;
        u64::from_str_radix(rest.split_whitespace().next()?, 16).ok()
    };
    for what in ["block", "exec"] {
        for (cpu, half) in [(0, PAGE..PAGE + HART_CODE), (1, PAGE + HART_CODE..PAGE + 0x1000)] {
            let places: Vec<u64> = errors.lines().filter_map(|l| at(l, what, cpu)).collect();
            let inside = places.iter().filter(|p| half.contains(p)).count();
            assert!(inside > 5, "{what} of CPU {cpu}: {inside} of {} in {half:x?}", places.len());
            // The vectors, and the jump to the page.
            assert!(places.iter().all(|p| half.contains(p) || (*p >= PAGE + 0x1000)), "CPU {cpu} in the other's code");
        }
    }
    // Each is shown in its own language.
    assert!(errors.contains("eret") && errors.contains("mret"), "no disassembly");
    let executed = statistic(&errors, "instructions executed");
    assert!(executed.is_some_and(|n| n > 20_000), "{executed:?} instructions");
    assert_eq!(statistic(&errors, "pages of code invalidated"), Some(0), "nobody writes to code");
}
