//! Running a program of the guest: which target it is for, and what the machine is told.

use crate::run::Mistakes;
use emu_exec::{Exit, Machine, MachineSpec};
use std::ffi::OsString;
use std::io::Read;
use std::sync::Arc;

/// The machine that runs programs.
pub const MACHINE: &str = "linux-user";

/// Targets by the ELF machine of their programs.
const TARGETS: &[(u16, &str)] = &[(183, "aarch64"), (243, "riscv64")];

/// The program, and the number of its word on the command line.
pub struct Program {
    /// Its name, as typed.
    pub word: OsString,
    /// Where it is.
    pub at: usize,
}

impl Program {
    /// The target that its file says it is for.
    pub fn target(&self) -> Option<&'static str> {
        let mut head = [0u8; 20];
        std::fs::File::open(&self.word).ok()?.read_exact(&mut head).ok()?;
        let machine = u16::from_le_bytes([head[18], head[19]]);
        (head[..4] == *b"\x7fELF").then(|| TARGETS.iter().find(|t| t.0 == machine).map(|t| t.1)).flatten()
    }
}

/// What the command line has.
pub struct Asked<'a> {
    /// All values of an option.
    pub all: &'a dyn Fn(&str) -> Result<Vec<String>, Mistakes>,
    /// Whether a switch is there.
    pub on: &'a dyn Fn(&str) -> bool,
}

/// A variable under its name here or under the one that other emulators have for it.
fn variable(ours: &str, theirs: &str) -> Option<String> {
    std::env::var(ours).or_else(|_| std::env::var(theirs)).ok().filter(|v| !v.is_empty())
}

/// What the machine is told: the program, and what was asked for.
pub fn images(program: &Program, asked: &Asked<'_>) -> Result<Vec<(String, String)>, Mistakes> {
    let mut out = vec![("arguments".to_owned(), program.at.to_string())];
    let mut inherited = Vec::new();
    let mut add = |key: &str, value: String| out.push((key.to_owned(), value));
    // What a program that this one starts is given as well.
    for (name, shown) in [("cpu", "-cpu"), ("accel", "-accel"), ("log", "-d"), ("log-file", "-D"), ("dfilter", "-dfilter"), ("plugin-path", "--plugin-path")] {
        for value in (asked.all)(name)? {
            inherited.extend([shown.to_owned(), value]);
        }
    }
    let prefix = (asked.all)("sysroot")?.pop().or_else(|| variable("EMU_LD_PREFIX", "QEMU_LD_PREFIX"));
    if let Some(prefix) = prefix {
        // Names are looked up in it whatever the program's directory is.
        let prefix = match std::fs::canonicalize(&prefix) {
            Ok(p) if p.is_dir() => p.display().to_string(),
            _ => return Err(vec![format!("-L {prefix}: there is no such directory")]),
        };
        inherited.extend(["-L".to_owned(), prefix.clone()]);
        add("prefix", prefix);
    }
    if (asked.on)("strace") || variable("EMU_STRACE", "QEMU_STRACE").is_some() {
        inherited.push("-strace".to_owned());
        add("strace", String::new());
    }
    if let Some(name) = (asked.all)("argv0")?.pop() {
        add("argv0", name);
    }
    for (name, value) in [("set-env", "NAME=VALUE"), ("unset-env", "NAME")] {
        for v in (asked.all)(name)? {
            if v.is_empty() || v.starts_with('=') || (name == "set-env" && !v.contains('=')) {
                return Err(vec![format!("-{} {v}: write {value}", if name == "set-env" { "E" } else { "U" })]);
            }
            add(name, v);
        }
    }
    if crate::inherited::pipe_ignored() {
        add("sigpipe-ignored", String::new());
    }
    let closed = crate::inherited::closed();
    if !closed.is_empty() {
        add("closed", closed);
    }
    inherited.into_iter().for_each(|word| add("inherit", word));
    Ok(out)
}

/// A program has the host's descriptors, and no streams of a machine's.
struct None;

impl emu_exec::Streams for None {
    fn open(&self, _: &str) -> bool {
        false
    }
    fn write(&self, _: &str, _: &[u8]) {}
}

/// Runs the program; it ends the process itself as a rule.
pub fn run(spec: &MachineSpec<'_>) -> Result<i32, String> {
    let machine = Machine::create(spec, Arc::new(None))?;
    match machine.run() {
        Exit::PowerOff(code) => Ok((code & 0xff) as i32),
        Exit::Quit(code) => Ok(code),
        Exit::Crash(why) => Err(why),
        Exit::Reset => Ok(0),
    }
}
