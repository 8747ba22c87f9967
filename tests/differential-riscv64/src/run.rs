//! Runs an image under both emulators and tells where they differ.

use crate::encoding::row;
use crate::generate::Case;
use crate::guest::{image, names};
use crate::program::elf;
use emu_test_kit::{Result, emu, process, qemu};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Cases in a line.
pub const GROUP: u64 = 32;
/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Extensions that the cases use: all that both have.
const EXTENSIONS: &str =
    "zfh=on,zbkb=on,zbkc=on,zbkx=on,zknd=on,zkne=on,zknh=on,zksed=on,zksh=on,zacas=on,zabha=on,zcb=on,zimop=on,zcmop=on,zicond=on,svinval=on";

/// The lines that an emulator printed.
fn lines(mut command: Command, name: &str) -> Result<Vec<String>> {
    let done = process::run_while_talking(&mut command, LIMIT, LIMIT)?;
    if done.code != Some(0) {
        return Err(emu_test_kit::Error(format!(
            "{name} ended with {:?}: {}\n{}",
            done.code,
            done.text().lines().last().unwrap_or(""),
            done.errors()
        )));
    }
    Ok(done.text().lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect())
}

/// `emu` with an engine forced by these variables.
pub fn ours(file: &Path, engine: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut command = emu::command()?;
    command.args(["--target", "riscv64", "-M", "virt", "-cpu", &format!("rv64,{EXTENSIONS}"), "-m", "256M", "-nographic", "-bios"]).arg(file);
    command.env("EMU_JIT", "at-once").envs(engine.iter().copied());
    lines(command, "emu")
}
/// QEMU, without what is not implemented here.
pub fn theirs(file: &Path) -> Result<Vec<String>> {
    let mut command = qemu::system_riscv64()?.command();
    // A second hart, which waits, makes it translate atomics as such: else a misaligned one is a load's exception.
    command
        .args(["-M", "virt", "-smp", "2", "-cpu", &format!("rv64,h=off,zfa=off,{EXTENSIONS}"), "-m", "256M", "-nographic", "-net", "none", "-bios"])
        .arg(file);
    lines(command, "qemu")
}

/// The two for programs.
pub fn our_program(file: &Path, engine: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut command = Command::new(emu::binary()?);
    command.args(["-cpu", &format!("rv64,{EXTENSIONS}")]).arg(file).env("EMU_JIT", "at-once").envs(engine.iter().copied());
    lines(command, "emu")
}
/// See `our_program`.
pub fn their_program(file: &Path) -> Result<Vec<String>> {
    let mut command = qemu::user_riscv64()?.command();
    command.args(["-cpu", &format!("rv64,h=off,zfa=off,{EXTENSIONS}")]).arg(file);
    lines(command, "qemu-riscv64")
}

/// Where cases run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On a bare machine.
    Machine,
    /// As a program of Linux.
    Program,
}

/// A difference: the case and what is told of it.
pub struct Difference {
    /// Number of the case.
    pub case: usize,
    /// What differs, for people.
    pub text: String,
}

/// Runs all cases under both; the differences, at most `most`.
pub fn compare(cases: &[Case], pool: &[u64], engine: &[(&str, &str)], most: usize, place: Place) -> Result<Vec<Difference>> {
    let file = std::env::temp_dir().join(format!("emu-riscv64-cases-{}-{:?}.bin", std::process::id(), std::thread::current().id()));
    let ours = |file: &Path, engine: &[(&str, &str)]| if place == Place::Program { our_program(file, engine) } else { ours(file, engine) };
    let theirs = |file: &Path| if place == Place::Program { their_program(file) } else { theirs(file) };
    let make = if place == Place::Program { elf } else { image };
    let write = |group, first, last| {
        // A program has to be executable.
        use std::os::unix::fs::PermissionsExt;
        let all = || std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755));
        std::fs::write(&file, make(cases, pool, group, first, last))
            .and_then(|()| all())
            .map_err(|e| emu_test_kit::Error(format!("cannot write {}: {e}", file.display())))
    };
    write(GROUP, 0, cases.len())?;
    let (mine, other) = (ours(&file, engine)?, theirs(&file)?);
    let groups = cases.len().div_ceil(GROUP as usize);
    if mine.len() != groups || other.len() != groups {
        let _ = std::fs::remove_file(&file);
        return Err(emu_test_kit::Error(format!("{groups} lines expected; emu printed {}, qemu {}", mine.len(), other.len())));
    }
    let mut differences = Vec::new();
    for group in (0..groups).filter(|g| mine[*g] != other[*g]) {
        if differences.len() >= most {
            break;
        }
        let first = group * GROUP as usize;
        let last = (first + GROUP as usize).min(cases.len());
        write(0, first, last)?;
        let (mine, other) = (ours(&file, engine)?, theirs(&file)?);
        for (n, case) in cases.iter().enumerate().take(last).skip(first) {
            let (Some(a), Some(b)) = (mine.get(n - first), other.get(n - first)) else { break };
            if a != b {
                differences.push(Difference { case: n, text: describe(case, n, a, b) });
            }
        }
    }
    let _ = std::fs::remove_file(&file);
    Ok(differences)
}

fn describe(c: &Case, n: usize, mine: &str, other: &str) -> String {
    let code: Vec<String> = c.code.iter().map(|h| format!("{h:04x}")).collect();
    let mut text = format!("case {n}: {} {} {:?}, fcsr {:#x}", row(c.row).name, code.join(" "), c.level, c.fcsr);
    for ((name, a), b) in names().iter().zip(mine.split_whitespace()).zip(other.split_whitespace()) {
        if a != b {
            let _ = write!(text, "\n    {name}: emu {a} qemu {b}");
        }
    }
    text
}
