//! Addresses without a translation, and many translations.

use emu_test_kit::Rng;
use emu_test_litmus::wild::{GIB, SPACES, assemble_gibibytes, assemble_wild, faults_each};
use emu_test_litmus::{on_qemu, run, scaled};

#[test]
fn wild_addresses_fault() {
    let seed = Rng::announced("wild").seed();
    let n = scaled(4000, 50);
    let report = run("wild", &assemble_wild(n as usize, seed), 1);
    for space in SPACES {
        let name = format!("T0SZ {} TBI {} upper {}", space.t0sz, space.tbi, space.upper);
        assert_eq!(report.numbers(&name), [n * faults_each()], "{name}");
    }
}

/// How much the emulator may hold; few MiB of that are the guest's RAM.
const GROWTH_MAX: u64 = 200 << 20;

#[test]
fn an_address_in_each_gibibyte() {
    let passes = 3;
    let report = run("gibibytes", &assemble_gibibytes(passes), 1);
    assert_eq!(report.numbers("touched"), [2 * passes * (GIB - 2)]);
    assert!(on_qemu() || report.peak < GROWTH_MAX, "the emulator holds {} MiB", report.peak >> 20);
}
