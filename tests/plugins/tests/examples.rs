//! The example target and machine run programs: arithmetic, control, memory, traps, console, power.

use emu_test_kit::process::Finished;
use emu_test_plugins::rv64i::*;
use emu_test_plugins::{Scratch, fixture_plugin, frozen_host, frozen_plugins, path_list, run, rv64i_plugin, tiny_plugin};
use std::path::PathBuf;

fn run_on(plugins: &[PathBuf], name: &str, program: &Program, more: &[&str]) -> Finished {
    let scratch = Scratch::new(name);
    let image = scratch.file("program.bin", &program.bytes());
    let path = path_list(plugins);
    let mut arguments = vec!["--plugin-path", &path, "--target", "rv64i", "--machine", "tiny", "-kernel", image.to_str().unwrap()];
    arguments.extend(["--timeout", "30s"]);
    arguments.extend(more);
    run(&arguments, "")
}

fn go(name: &str, program: &Program, more: &[&str]) -> Finished {
    run_on(&[rv64i_plugin(), tiny_plugin()], name, program, more)
}

fn ends(done: &Finished, code: i32, text: &str) {
    assert_eq!((done.code, done.text().as_str()), (Some(code), text), "{}", done.errors());
}

#[test]
fn console_and_exit_code() {
    let mut p = Program::default();
    p.print("hello\n").add(&[addi(5, 0, 42)]).power_off(5);
    ends(&go("hello", &p, &[]), 42, "hello\n");
    ends(&go("hello-icount", &p, &["-icount", "shift=3,seed=1", "-M", "tiny,greeting=on"]), 42, "tiny\nhello\n");
}

/// What the programs below check with: it does fail.
#[test]
fn checks_fail_when_they_should() {
    let mut p = Program::default();
    p.li(7, 0x1234_5678_9abc_def0).check(7, 0x1234_5678_9abc_def0, 8).check(7, 0x1234_5678_9abc_def1, 9).power_off(0);
    ends(&go("checks", &p, &[]), 9, "");
}

/// Each case: instruction that writes x7 from x5 and x6, its operands and result.
#[test]
fn arithmetic() {
    let m = u64::MAX;
    let min = 1u64 << 63;
    let cases: &[(u32, u64, u64, u64)] = &[
        (r(0x33, 0, 0, 7, 5, 6), m, 2, 1),
        (r(0x33, 0, 0x20, 7, 5, 6), 1, 2, m),
        (r(0x33, 1, 0, 7, 5, 6), 1, 65, 2),
        (r(0x33, 2, 0, 7, 5, 6), m, 1, 1),
        (r(0x33, 3, 0, 7, 5, 6), m, 1, 0),
        (r(0x33, 4, 0, 7, 5, 6), 0xff, 0x0f, 0xf0),
        (r(0x33, 5, 0, 7, 5, 6), min, 63, 1),
        (r(0x33, 5, 0x20, 7, 5, 6), min, 63, m),
        (r(0x33, 6, 0, 7, 5, 6), 0xf0, 0x0f, 0xff),
        (r(0x33, 7, 0, 7, 5, 6), 0xf0, 0x3f, 0x30),
        // 32-bit forms: the result is sign-extended.
        (r(0x3b, 0, 0, 7, 5, 6), 0x7fff_ffff, 1, 0xffff_ffff_8000_0000),
        (r(0x3b, 0, 0x20, 7, 5, 6), 0x1_0000_0000, 1, m),
        (r(0x3b, 1, 0, 7, 5, 6), 1, 33, 2),
        (r(0x3b, 5, 0, 7, 5, 6), 0xffff_ffff_8000_0000, 31, 1),
        (r(0x3b, 5, 0x20, 7, 5, 6), 0x8000_0000, 31, m),
        // Immediates.
        (i(0x13, 0, 7, 5, -1), 0, 0, m),
        (i(0x1b, 0, 7, 5, 1), 0x7fff_ffff, 0, 0xffff_ffff_8000_0000),
        (i(0x13, 2, 7, 5, -1), 0, 0, 0),
        (i(0x13, 3, 7, 5, -1), 0, 0, 1),
        (i(0x13, 1, 7, 5, 63), 1, 0, min),
        (i(0x13, 5, 7, 5, 0x400 | 60), min, 0, 0xffff_ffff_ffff_fff8),
        (i(0x13, 7, 7, 5, -16), 0xff, 0, 0xf0),
        (lui(7, 0x80000), 0, 0, 0xffff_ffff_8000_0000),
    ];
    let mut p = Program::default();
    for (n, (insn, a, b, want)) in cases.iter().enumerate() {
        p.li(5, *a).li(6, *b).add(&[*insn]).check(7, *want, n as i32 + 1);
    }
    // x0 stays zero.
    p.add(&[addi(0, 0, 5), addi(7, 0, 0)]).check(7, 0, 100);
    p.print("all").power_off(0);
    ends(&go("arithmetic", &p, &[]), 0, "all");
}

#[test]
fn memory_and_control() {
    let mut p = Program::default();
    p.li(5, BASE + 0x10000).li(6, 0x8182_8384_8586_8788);
    p.add(&[s(3, 5, 6, 0), s(2, 5, 6, 8), s(1, 5, 6, 12), s(0, 5, 6, 14)]);
    let loads: &[(u32, i32, u64)] = &[
        (3, 0, 0x8182_8384_8586_8788),
        (2, 0, 0xffff_ffff_8586_8788),
        (6, 4, 0x8182_8384),
        (1, 2, 0xffff_ffff_ffff_8586),
        (5, 2, 0x8586),
        (0, 7, 0xffff_ffff_ffff_ff81),
        (4, 7, 0x81),
        (3, 8, 0x0088_8788_8586_8788),
    ];
    for (n, (funct3, offset, want)) in loads.iter().enumerate() {
        p.add(&[i(0x03, *funct3, 7, 5, *offset)]).check(7, *want, n as i32 + 1);
    }
    // A loop: 1 + 2 + ... + 100.
    p.add(&[addi(7, 0, 0), addi(8, 0, 100), r(0x33, 0, 0, 7, 7, 8), addi(8, 8, -1), b(1, 8, 0, -8)]).check(7, 5050, 20);
    // A call over an instruction and back: jal, then jalr to the link register.
    p.add(&[jal(1, 8), jal(0, 8), i(0x67, 0, 0, 1, 0), addi(9, 0, 1)]).check(9, 1, 21);
    // auipc gives its own address.
    let here = p.here();
    p.add(&[auipc(7, 0)]).check(7, here, 22);
    p.power_off(0);
    ends(&go("memory", &p, &[]), 0, "");
}

/// Every exception: mcause, mtval and mepc as the manual has them, and the return.
#[test]
fn traps() {
    let mut p = Program::default();
    // The handler: x20 = mcause, x21 = mtval, x22 = mepc; then on with the instruction whose address is in x23.
    p.add(&[jal(0, 28)]);
    let handler = p.here();
    p.add(&[csr(2, 20, 0x342, 0), csr(2, 21, 0x343, 0), csr(2, 22, 0x341, 0), csr(1, 0, 0x341, 23), MRET, addi(0, 0, 0)]);
    p.li(5, handler).add(&[csr(1, 0, 0x305, 5)]);
    p.li(6, BASE + 0x10001).li(7, 0x2000_0000).li(8, BASE + 2);
    let cases: &[(u32, u64, Option<u64>)] = &[
        (ECALL, 11, Some(0)),
        (EBREAK, 3, None),
        (0, 2, Some(0)),
        (0xffff_ffff, 2, Some(0xffff_ffff)),
        // No such CSR; a read-only one written.
        (csr(1, 0, 0x123, 0), 2, Some(csr(1, 0, 0x123, 0).into())),
        (csr(1, 0, 0xf14, 0), 2, Some(csr(1, 0, 0xf14, 0).into())),
        // Misaligned load, store, jump; the jump by register and by immediate.
        (i(0x03, 2, 9, 6, 0), 4, Some(BASE + 0x10001)),
        (s(1, 6, 9, 0), 6, Some(BASE + 0x10001)),
        (i(0x67, 0, 9, 8, 0), 0, Some(BASE + 2)),
        (jal(9, 6), 0, None),
        (b(0, 0, 0, 6), 0, None),
        // Nothing answers.
        (i(0x03, 3, 9, 7, 0), 5, Some(0x2000_0000)),
        (s(3, 7, 9, 8), 7, Some(0x2000_0008)),
    ];
    p.add(&[addi(9, 0, 77)]);
    for (n, (insn, cause, value)) in cases.iter().enumerate() {
        let code = 3 * n as i32 + 1;
        let at = p.here() + 4 * 11;
        p.li(23, at + 4).add(&[*insn]);
        assert_eq!(p.here(), at + 4);
        let relative = if *insn == EBREAK { at } else { at + 6 };
        p.check(20, *cause, code).check(21, value.unwrap_or(relative), code + 1).check(22, at, code + 2);
    }
    // None of them wrote its result.
    p.check(9, 77, 99);
    // mstatus: MIE moves to MPIE and back.
    let at = p.here() + 4 * 12;
    p.li(23, at + 4).add(&[csr(6, 0, 0x300, 8), ECALL]).add(&[csr(2, 7, 0x300, 0)]).check(7, 0x1888, 98);
    p.print("trapped").power_off(0);
    ends(&go("traps", &p, &[]), 0, "trapped");
    ends(&go("traps-icount", &p, &["-icount", "shift=0"]), 0, "trapped");
}

#[test]
fn code_that_changes_itself() {
    let mut p = Program::default();
    // The instruction at `patched` runs as addi x7, x0, 1 first, then as addi x7, x0, 2.
    p.li(5, u64::from(addi(7, 0, 2))).add(&[auipc(6, 0), addi(8, 0, 0)]);
    // auipc x6 is at offset 0; patched is at offset 8.
    p.add(&[addi(7, 0, 1), b(1, 8, 0, 20), s(2, 6, 5, 8), addi(8, 0, 1), 0x0000_100f, jal(0, -20)]);
    p.check(7, 2, 1).power_off(0);
    ends(&go("selfmod", &p, &[]), 0, "");
}

#[test]
fn a_script_talks_to_the_guest() {
    let mut p = Program::default();
    p.print("> ");
    // Echo until 'q'; then power off with 5.
    p.add(&[
        lui(5, CONSOLE_HI),
        i(0x03, 4, 6, 5, 4),
        b(0, 6, 0, -4),
        i(0x03, 4, 6, 5, 0),
        s(0, 5, 6, 0),
        addi(7, 0, i32::from(b'q')),
        b(1, 6, 7, -20),
    ]);
    p.add(&[addi(5, 0, 5)]).power_off(5);
    let script = ["--expect", "> ", "--send", "abc", "--expect", "c", "--send", "q"];
    for clock in [&[][..], &["-icount", "shift=2,seed=9"]] {
        ends(&go("script", &p, &[&script[..], clock].concat()), 5, "> abcq");
    }
    ends(&go("script-end", &p, &["--expect", "> ", "--send", "abc", "--expect", "ab"]), 0, "> ab");
    let late = go("script-fails", &p, &["--expect", "> ", "--send", "q", "--expect", "never"]);
    ends(&late, 1, "> q");
    assert!(late.errors().contains("the guest ended before \"never\" appeared; the last line on the console was: > q"), "{}", late.errors());
    let stuck = go("script-stuck", &p, &["--expect", "never", "--timeout", "1s"]);
    ends(&stuck, 124, "> ");
    assert!(stuck.errors().contains("time limit") && stuck.errors().contains("\"never\""), "{}", stuck.errors());
}

#[test]
fn reset_and_no_reboot() {
    let mut p = Program::default();
    p.print("x").add(&[lui(5, CONSOLE_HI), s(2, 5, 0, 12), jal(0, 0)]);
    ends(&go("no-reboot", &p, &["-no-reboot"]), 0, "x");
    let again = go("reboot", &p, &["--expect", "xxxx"]);
    ends(&again, 0, "xxxx");
}

#[test]
fn a_wild_guest_only_hurts_itself() {
    let mut p = Program::default();
    // A jump to nowhere with the trap vector nowhere too: it traps for ever.
    p.li(5, 0x6666_0000).add(&[csr(1, 0, 0x305, 5), i(0x67, 0, 0, 5, 0)]);
    ends(&go("wild", &p, &["--timeout", "1s"]), 124, "");
    ends(&go("wild-icount", &p, &["--timeout", "1s", "-icount", "shift=0"]), 124, "");
}

/// Plugins compiled against the contract as it was before its last rows were appended, from the same source, run the same program.
#[test]
fn plugins_built_before_an_append_go_on_loading() {
    let mut p = Program::default();
    p.print("still here\n").add(&[addi(5, 0, 3)]).power_off(5);
    let plugins = frozen_plugins();
    ends(&run_on(&plugins, "frozen", &p, &[]), 3, "still here\n");
    // One old, one new.
    ends(&run_on(&[plugins[0].clone(), tiny_plugin()], "frozen-target", &p, &[]), 3, "still here\n");
    // They really were built with fewer rows.
    let (then, now) = (counts(&plugins[0]), counts(&rv64i_plugin()));
    assert!(then.0 > 100 && then.0 < now.0 && then.1 > 10 && then.1 < now.1, "rows then {then:?}, now {now:?}");
}

/// A host built from the frozen contract loads today's plugins whose minimum it meets, and makes a CPU of one and translates; it refuses others.
#[test]
fn an_older_host_loads_what_does_without_the_latest() {
    let host = frozen_host();
    let load = |plugin: PathBuf, fixture: &str| {
        let out = std::process::Command::new(&host).arg(plugin).env("EMU_FIXTURE", fixture).output().expect("the host starts");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, text, errors) = load(rv64i_plugin(), "");
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.contains("target rv64i\ntranslated\n"), "{text}");
    // It lacks an op and a service that the plugin knows.
    let numbers: Vec<u32> = text.lines().next().unwrap().split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let [ops, services, known_ops, known_services, ..] = numbers[..] else { panic!("{text}") };
    assert!(ops < known_ops && services < known_services, "{text}");
    let (code, text, errors) = load(fixture_plugin(), "modest");
    assert!(code == Some(0) && text.contains("machine faulty"), "{text}{errors}");
    // One that says that it needs all there is.
    let (code, _, errors) = load(fixture_plugin(), "");
    assert!(code == Some(2) && errors.contains(&format!("needs {known_ops} ops, this emu has {ops}")), "{errors}");
}

/// A target whose table has no place for a description of its registers, and a debugger.
#[test]
fn no_debugger_for_what_has_no_registers_to_show() {
    let mut p = Program::default();
    p.power_off(0);
    let done = run_on(&frozen_plugins(), "no-registers", &p, &["-gdb", "tcp::0"]);
    assert_eq!(done.code, Some(2), "{}", done.errors());
    assert!(done.errors().starts_with("error: -gdb: this target has no description of its registers"), "{}", done.errors());
}

/// Numbers of ops and services that a plugin was built with, as the log shows them.
fn counts(plugin: &std::path::Path) -> (u32, u32) {
    let list = std::process::Command::new(emu_test_plugins::emu())
        .args(["--plugin-path", &path_list(&[plugin]), "--list-targets"])
        .env("EMU_LOG", "debug")
        .output()
        .expect("emu starts");
    let log = String::from_utf8_lossy(&list.stderr).into_owned();
    let name = plugin.file_name().unwrap().to_str().unwrap();
    let line = log.lines().find(|l| l.contains(name) && l.contains("n_ops: ")).unwrap_or_else(|| panic!("{log}"));
    let number = |key: &str| -> u32 {
        let rest = &line[line.find(key).unwrap() + key.len()..];
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    (number("n_ops: "), number("n_services: "))
}

/// The built boards of two targets share a name: alone it is ambiguous, which is said with the choices; with a target it is not.
#[test]
fn boards_of_two_targets_share_a_name() {
    let run = |arguments: &[&str]| {
        let out = std::process::Command::new(emu_test_plugins::emu()).args(arguments).output().expect("emu starts");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, _, errors) = run(&["-M", "virt", "--timeout", "30s"]);
    assert_eq!(code, Some(2));
    assert_eq!(errors, "error: there are several machines 'virt'; say which one with --target (there are: aarch64, riscv64)\n");
    let (code, _, errors) = run(&["-M", "virt", "--target", "rv64i"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("rv64i"), "{errors}");
    for target in ["aarch64", "riscv64"] {
        let (code, list, errors) = run(&["--target", target, "--list-machines"]);
        let boards: Vec<&str> = list.lines().filter(|l| l.starts_with("virt ")).collect();
        assert!(code == Some(0) && boards.len() == 1 && boards[0].contains(&format!("(target {target})")), "{list}{errors}");
        let (code, help, _) = run(&["--target", target, "-M", "virt,help"]);
        assert!(code == Some(0) && help.starts_with("virt: "), "{help}");
    }
    let (_, list, _) = run(&["--list-machines"]);
    assert_eq!(list.lines().filter(|l| l.starts_with("virt ")).count(), 2, "{list}");
    let (code, text, _) = run(&["--target", "riscv64", "-M", "virt", "-nographic", "--timeout", "60s"]);
    assert!(code == Some(0) && text.contains("RISC-V virt with 1 hart"), "{text}");
}
