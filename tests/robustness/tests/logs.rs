//! What `-d` writes: registers before blocks, page walks, and no more than `-dfilter` asks for.

use emu_a64_asm::*;
use emu_test_kit::process;
use emu_test_robustness::guest::{BASE, Frame, Handler, assemble, mmu_on};
use emu_test_robustness::{Scratch, command};
use std::time::Duration;

/// Where the second block begins, from the start of the Image.
const SECOND: u64 = 0x2000;
/// An address that nothing is mapped at.
const NOWHERE: u64 = 0x30_0000_0000;

/// A guest that turns the MMU on, goes to [`SECOND`] with values in x5 and NZCV, reads from [`NOWHERE`], and powers off.
fn image() -> Vec<u8> {
    assemble(Handler::Skip, |a: &mut Asm, _: Frame| {
        mmu_on(a, 0x4100_0000);
        a.mov_imm(X5, 0x1234_5678_9abc_def0);
        a.cmp(X5, X5);
        let second = a.label();
        a.b(second);
        a.org(SECOND as usize);
        a.bind(second);
        a.mov_imm(X6, NOWHERE);
        a.ldr(X6, Addr::Off(X6, 0));
    })
}

/// The log of a run with these options.
fn log(name: &str, options: &[&str]) -> String {
    let s = Scratch::new(&format!("logs-{name}"));
    let kernel = s.file("guest.img", &image());
    let file = s.path("log");
    let mut command = command();
    command.args(["-M", "virt", "-m", "64", "-serial", "null", "--timeout", "60s", "-kernel", &kernel, "-D"]).arg(&file).args(options);
    let done = process::run(&mut command, Duration::from_secs(90)).expect("emu starts");
    assert_eq!((done.code, done.errors().as_str()), (Some(0), ""), "{options:?}");
    std::fs::read_to_string(file).expect("there is a log")
}

#[test]
fn registers_before_each_block() {
    let second = BASE + SECOND;
    let text = log("cpu", &["-d", "cpu", "-dfilter", &format!("{second:#x}+4")]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("cpu: cpu 0 pc {second:#018x}"), "{text}");
    assert_eq!(lines.iter().filter(|l| l.starts_with("cpu:")).count(), 1, "{text}");
    assert!(text.contains(" x5=123456789abcdef0") && text.contains(" n=0 z=1 c=1 vflag=0") && text.contains(" el=01"), "{text}");
    assert!(!text.contains("v0="), "{text}");
    let text = log("cpu", &["-d", "fpu,exec", "-dfilter", &format!("{second:#x}+4")]);
    assert!(text.starts_with(&format!("exec: cpu 0 pc {second:#018x}")), "{text}");
    assert!(text.contains(" v31=00000000000000000000000000000000") && !text.contains(" x5="), "{text}");
    // Without a filter, all blocks.
    let text = log("cpu", &["-d", "cpu"]);
    assert!(text.matches("cpu: cpu 0 pc").count() > 5, "{text}");
}

#[test]
fn page_walks() {
    let text = log("mmu", &["-d", "mmu"]);
    let at = |needle: &str| text.lines().find(|l| l.contains(needle)).unwrap_or_else(|| panic!("no {needle:?} in:\n{text}")).to_owned();
    // A fetch with the MMU off, one with a 1 GiB block of Normal memory, a fault of translation at level 1.
    assert!(at("fetch va 0x0000000040200000").ends_with("pa 0x40200000 page 2^12 rwx global device"));
    assert!(at(&format!("fetch va {:#018x}", BASE + SECOND)).contains(" page 2^30 rwx"));
    assert!(at(&format!("read va {NOWHERE:#018x}")).ends_with(" fault 0x105"));
    let filtered = log("mmu", &["-d", "mmu", "-dfilter", &format!("{NOWHERE:#x}+8")]);
    assert_eq!(filtered.lines().count(), 1, "{filtered}");
    assert!(filtered.starts_with("mmu: cpu 0 pc ") && filtered.contains("fault 0x105"));
}
