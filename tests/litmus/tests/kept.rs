//! Code that an earlier run has kept, in guests that change code and move pages: later runs find it, and it is as right as what they make.

use emu_test_kit::emu::Translations;
use emu_test_litmus::aliases::assemble_elsewhere;
use emu_test_litmus::patch::{WRITERS, assemble_called_again, assemble_device, assemble_same_cpu, assemble_two_cpus, expected_same_cpu};
use emu_test_litmus::{Report, run_each, scaled};
use std::cell::RefCell;

/// Runs guests of the same code in turn: the first finds nothing, the others do; `check` sees all reports. (Code is kept of the upper half of the
/// address space otherwise.)
fn kept_of(name: &str, images: &[&[u8]], cpus: u64, check: impl Fn(&Report)) {
    let folder = Translations::new(name).expect("a folder can be made");
    let reports = run_each(name, images, cpus, &[("EMU_JIT", "kept"), ("EMU_TRANSLATIONS", folder.path().to_str().expect("a name"))]);
    reports.iter().for_each(check);
    let found: Vec<u64> = reports.iter().map(|r| r.counted("regions of earlier processes")).collect();
    println!("{name}: {found:?} regions found");
    assert!(found[0] == 0 && found[1..].iter().all(|f| *f > 0), "{name}: {found:?}");
}
/// The same guest three times.
fn kept(name: &str, image: &[u8], cpus: u64, check: impl Fn(&Report)) {
    kept_of(name, &[image; 3], cpus, check);
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

/// Kept code runs at another virtual address than that it was made for, and its jumps are patched where its page is another physical one.
#[test]
fn code_at_another_address() {
    let rounds = scaled(200_000, 2000);
    let images = [0, 1, 5, 1, 15].map(|place| assemble_elsewhere(rounds, place));
    let results = RefCell::new(Vec::new());
    kept_of("kept-elsewhere", &images.each_ref().map(|i| &**i), 1, |report| {
        let [calls, result] = report.numbers("calls")[..] else { panic!("{:?}", report.numbers("calls")) };
        assert_eq!(calls, rounds);
        assert!(report.counted("jumps patched") > 4, "{}", report.counted("jumps patched"));
        results.borrow_mut().push(result);
    });
    let results = results.into_inner();
    assert!(results[0] != 0 && results.iter().all(|r| *r == results[0]), "{results:x?}");
}
