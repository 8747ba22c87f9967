//! The kernels in C as the first process of a Linux machine: a program's work in system mode, with a kernel's tables, timer and interrupts below it.
//!
//! The program is all that the initrd has. It is told on its console what to do, so that one boot serves all; what counts is the emulator's CPU
//! time between the line that asks and the checksum.

use crate::bench::{Bench, Emulator, LIMIT, Row, failure};
use crate::guest::MARK;
use crate::programs::{Program, Programs};
use emu_test_kit::{Console, Error, Result};
use std::path::Path;
use std::time::Duration;

/// Measures kernels in C on a CPU model: a row each.
pub fn rows(bench: &Bench, files: &Programs, programs: &[&Program], cpu: &str, scale: f64, rounds: usize) -> Result<Vec<Row>> {
    let program = std::fs::read(&files.guest).map_err(|e| Error(format!("{} cannot be read: {e}", files.guest.display())))?;
    let initrd = bench.write("kernels", &initrd(&program))?;
    let row = |p: &&Program| Row {
        name: p.name.into(),
        class: p.class.into(),
        cpu: cpu.into(),
        qemu_s: Vec::new(),
        emu_s: Vec::new(),
        native_s: Vec::new(),
        checksum: String::new(),
    };
    let mut rows: Vec<Row> = programs.iter().map(row).collect();
    let mut machines = Vec::new();
    for which in [Emulator::Qemu, Emulator::Emu] {
        machines.push(start(bench, which, cpu, &initrd)?);
    }
    for _ in 0..rounds {
        for (row, program) in rows.iter_mut().zip(programs) {
            for (console, which) in machines.iter_mut().zip([Emulator::Qemu, Emulator::Emu]) {
                let [name, repeats] = program.arguments(scale);
                let before = console.cpu_time()?;
                console.send(&format!("{name} {repeats}\n"))?;
                console.expect(MARK, LIMIT)?;
                let line = console.expect("\n", LIMIT)?;
                let time = (console.cpu_time()? - before).as_secs_f64();
                let sum = line.trim();
                if row.checksum.is_empty() {
                    row.checksum = sum.to_owned();
                } else if row.checksum != sum {
                    return Err(Error(format!("{} on {cpu}, {repeats} times: {which:?} prints {sum}, not {}", row.name, row.checksum)));
                }
                if which == Emulator::Qemu { row.qemu_s.push(time) } else { row.emu_s.push(time) }
            }
            row.native_s.push(files.native(program, scale, &row.checksum)?);
        }
    }
    for (mut console, which) in machines.into_iter().zip([Emulator::Qemu, Emulator::Emu]) {
        console.send("poweroff 1\n")?;
        let done = console.wait(LIMIT);
        if done.code != Some(0) {
            return Err(failure(&format!("{which:?} with the kernels in C on {cpu}"), &done));
        }
    }
    let _ = std::fs::remove_file(initrd);
    Ok(rows)
}

/// A machine that waits for its first line of work.
fn start(bench: &Bench, which: Emulator, cpu: &str, initrd: &Path) -> Result<Console> {
    let mut command = bench.command(which, cpu)?;
    command.arg("-kernel").arg(bench.installer()?.0).arg("-initrd").arg(initrd);
    let append = format!("rdinit=/kernels quiet {}", bench.console());
    let mut console = Console::start(command.args(["-append", &append]))?;
    console.expect("kernels: ready", LIMIT)?;
    // The kernel has things to do in the background still.
    std::thread::sleep(Duration::from_secs(1));
    Ok(console)
}

/// An archive in cpio's format "newc" (Linux, Documentation/driver-api/early-userspace/buffer-format.rst) with a program `/kernels` and the console
/// that the kernel opens for it.
fn initrd(program: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut add = |name: &str, mode: u32, device: [u32; 2], data: &[u8]| {
        let fields = [0, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, device[0], device[1], name.len() as u32 + 1, 0];
        out.extend_from_slice(b"070701");
        fields.iter().for_each(|f| out.extend_from_slice(format!("{f:08x}").as_bytes()));
        for part in [[name.as_bytes(), b"\0"].concat().as_slice(), data] {
            out.extend_from_slice(part);
            out.resize(out.len().next_multiple_of(4), 0);
        }
    };
    add("dev", 0o040_755, [0; 2], b"");
    add("dev/console", 0o020_600, [5, 1], b"");
    add("kernels", 0o100_755, [0; 2], program);
    add("TRAILER!!!", 0, [0; 2], b"");
    out
}
