//! In every test run: the guest kernels compute the same under both emulators (and the models), and a kernel's boot is not too slow beside
//! QEMU's. What a full run is for is `cargo xtask bench`.

use emu_test_kit::qemu;
use emu_test_perf::bench::{BOOT_RATIO_MIN, Bench, Boot, Emulator};
use emu_test_perf::programs::{self, Guest, Programs};
use emu_test_perf::user::{self, UserBench};
use emu_test_perf::{kernels, linux, report};
use std::path::Path;

/// The part of a full run's work: checksums need little, and the ratios are for information only.
const SCALE: f64 = 0.005;
/// Boots by each emulator; the ratio is the median.
const BOOTS: usize = 3;

fn bench_of(guest: Guest) -> Bench {
    let qemu = match guest {
        Guest::Aarch64 => qemu::system_aarch64(),
        Guest::Riscv64 => qemu::system_riscv64(),
    };
    Bench::new(guest, qemu.unwrap(), Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

fn bench() -> Bench {
    bench_of(Guest::Aarch64)
}

fn agree(cpu: &str) {
    let bench = bench();
    let empty = bench.empty(cpu, 1).unwrap();
    println!("{}", report::heading());
    let mut wrong = Vec::new();
    for kernel in kernels::ALL.iter().filter(|k| k.runs_on(cpu)) {
        match bench.kernel(kernel, cpu, SCALE, 1, empty) {
            Ok(row) => println!("{}", report::line(&row)),
            Err(e) => wrong.push(e.to_string()),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn kernels_agree_on_max() {
    agree("max");
}

#[test]
fn kernels_agree_on_cortex_a72() {
    agree("cortex-a72");
}

/// A loop that calls a recursion, all of it in one region: the code is left within the recursion, and nothing leads from the loop to what is made
/// of it then but the way back.
#[test]
fn a_loop_around_a_recursion_is_made_again() {
    let bench = bench();
    let kernel = kernels::ALL.iter().find(|k| k.name == "fib").unwrap();
    let image = bench.write("recursion", &kernel.image(kernel.repeats_at(0.3)).unwrap()).unwrap();
    for cpu in Guest::Aarch64.cpus() {
        let mut command = bench.command(Emulator::Emu, cpu).unwrap();
        let out = command.arg("--stats").arg("-kernel").arg(&image).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        let hot = emu_test_kit::emu::statistic(&text, "hot regions");
        assert!(hot.is_some_and(|n| n > 1), "{cpu}: {text}");
    }
}

/// Two CPUs come to one result under both. How fast is for a host that does nothing else.
#[test]
fn two_cpus_work() {
    let found = bench().scaling("max", 0.01, 1, &|_, _| Ok(())).unwrap();
    found.iter().for_each(|s| println!("{}", report::scaling(s)));
    assert!(found.len() > 1 && found.iter().all(|s| [s.qemu, s.emu].iter().all(|x| x.is_finite() && *x > 0.0)), "{found:?}");
}

/// The frame says what happened, and a run that says so is an error.
#[test]
fn an_unexpected_exception_is_no_checksum() {
    let bench = bench();
    let image = emu_test_perf::guest::assemble(|a, _| a.udf(7)).unwrap();
    let path = bench.write("udf", &image).unwrap();
    for which in [Emulator::Qemu, Emulator::Emu] {
        let error = bench.run(which, "max", &path).unwrap_err();
        // ESR_EL1: class 0, IL.
        assert!(error.0.contains("exception checksum=02000000"), "{error}");
    }
}

fn boots_fast_enough(guest: Guest, boot: Boot, cpu: &str, times: usize) {
    // The last row is of boots that find nothing.
    let row = bench_of(guest).boot(boot, cpu, times).unwrap().pop().unwrap();
    println!("{}\n{}", report::heading(), report::line(&row));
    assert!(row.ratio() >= BOOT_RATIO_MIN, "QEMU's CPU time for the boot over ours is below {BOOT_RATIO_MIN}: {}", report::line(&row));
}

#[test]
fn boot_on_max() {
    boots_fast_enough(Guest::Aarch64, Boot::Shell, "max", BOOTS);
}

#[test]
fn boot_on_cortex_a72() {
    boots_fast_enough(Guest::Aarch64, Boot::Shell, "cortex-a72", BOOTS);
}

#[test]
fn boot_on_four_of_max() {
    boots_fast_enough(Guest::Aarch64, Boot::ShellOnFour, "max", 1);
}

#[test]
fn installer_on_max() {
    boots_fast_enough(Guest::Aarch64, Boot::Installer, "max", 1);
}

#[test]
fn riscv64_boot() {
    boots_fast_enough(Guest::Riscv64, Boot::Shell, "rv64", 1);
}

#[test]
fn riscv64_installer() {
    boots_fast_enough(Guest::Riscv64, Boot::Installer, "rv64", 1);
}

/// The kernels as programs of Linux, and two programs of packages.
#[test]
fn programs_agree() {
    let bench = UserBench::new(Guest::Aarch64, qemu::user_aarch64().unwrap(), &Path::new(env!("CARGO_TARGET_TMPDIR")).join("user")).unwrap();
    println!("{}", report::heading());
    let mut wrong = Vec::new();
    for kernel in user::kernels() {
        match bench.kernel(kernel, SCALE, 1, [0.0; 2]) {
            Ok(row) => println!("{}", report::line(&row)),
            Err(e) => wrong.push(e.to_string()),
        }
    }
    for real in user::REAL.iter().filter(|r| ["bash", "perl"].contains(&r.name)) {
        match bench.real(real, 1) {
            Ok(rows) => rows.iter().for_each(|row| println!("{}", report::line(row))),
            Err(e) => wrong.push(e.to_string()),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The kernels in C compute the same under both emulators and on the host, for both architectures.
fn c_kernels_agree(guest: Guest, qemu: emu_test_kit::Result<qemu::Qemu>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(guest.target());
    let bench = UserBench::new(guest, qemu.unwrap(), &folder).unwrap();
    let files = Programs::make(guest).unwrap();
    println!("{}", report::heading());
    let mut wrong = Vec::new();
    for program in programs::ALL {
        match bench.program(&files, program, SCALE, 1) {
            Ok(row) => println!("{}", report::line(&row)),
            Err(e) => wrong.push(e.to_string()),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn c_kernels_agree_on_aarch64() {
    c_kernels_agree(Guest::Aarch64, qemu::user_aarch64());
}

#[test]
fn c_kernels_agree_on_riscv64() {
    c_kernels_agree(Guest::Riscv64, qemu::user_riscv64());
}

/// And as the first process of a machine.
fn c_kernels_agree_below_a_kernel(guest: Guest, cpu: &str) {
    let files = Programs::make(guest).unwrap();
    let rows = linux::rows(&bench_of(guest), &files, &programs::ALL.iter().collect::<Vec<_>>(), cpu, SCALE, 1).unwrap();
    println!("{}", report::heading());
    rows.iter().for_each(|row| println!("{}", report::line(row)));
    assert_eq!(rows.len(), programs::ALL.len());
}

#[test]
fn c_kernels_agree_in_machines_of_aarch64() {
    c_kernels_agree_below_a_kernel(Guest::Aarch64, "cortex-a72");
}

#[test]
fn c_kernels_agree_in_machines_of_riscv64() {
    c_kernels_agree_below_a_kernel(Guest::Riscv64, "rv64");
}
