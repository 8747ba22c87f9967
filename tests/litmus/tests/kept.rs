//! Code that an earlier run has kept, in guests that change code and move pages: later runs find it, and it is as right as what they make.

use emu_test_kit::emu::Translations;
use emu_test_litmus::aliases::assemble_aliases;
use emu_test_litmus::patch::{WRITERS, assemble_called_again, assemble_device, assemble_same_cpu, assemble_two_cpus, expected_same_cpu};
use emu_test_litmus::{Report, run_times, scaled};

/// Runs a guest three times: the first finds nothing, the others do; `check` sees all reports. (All code is made to move, for code is kept of
/// the upper half of the address space otherwise.)
fn kept(name: &str, image: &[u8], cpus: u64, check: impl Fn(&Report)) {
    let folder = Translations::new(name).expect("a folder can be made");
    let reports = run_times(3, name, image, cpus, &[("EMU_JIT", "moving"), ("EMU_TRANSLATIONS", folder.path().to_str().expect("a name"))]);
    reports.iter().for_each(check);
    let found: Vec<u64> = reports.iter().map(|r| r.counted("regions of earlier processes")).collect();
    println!("{name}: {found:?} regions found");
    assert!(found[0] == 0 && found[1] > 0 && found[2] > 0, "{name}: {found:?}");
}

#[test]
fn rewritten_code() {
    let rounds = scaled(5000, 200);
    let (each, next) = expected_same_cpu(rounds);
    kept("kept-patch", &assemble_same_cpu(rounds), 1, |report| {
        for writer in WRITERS {
            assert_eq!(report.numbers(&format!("{writer:?}")), [each], "{writer:?}");
        }
        assert_eq!(report.numbers("next instruction"), [next]);
    });
    let rounds = scaled(10_000, 1000);
    kept("kept-again", &assemble_called_again(rounds), 1, |report| assert_eq!(report.numbers("called again"), [rounds]));
}

#[test]
fn code_rewritten_by_others() {
    let rounds = scaled(5000, 200);
    kept("kept-two", &assemble_two_cpus(rounds), 2, |report| assert_eq!(report.numbers("handed over"), [rounds]));
    let rounds = scaled(2000, 100);
    kept("kept-device", &assemble_device(rounds), 1, |report| assert_eq!(report.numbers("undefined"), [rounds]));
}

#[test]
fn code_at_many_addresses() {
    let rounds = scaled(200_000, 2000);
    for (cpus, rewrite) in [(1, false), (2, false), (1, true)] {
        kept("kept-aliases", &assemble_aliases(cpus, rounds, rewrite), cpus, |report| assert_eq!(report.numbers("calls"), [rounds]));
    }
}
