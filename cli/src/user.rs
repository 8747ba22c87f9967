//! Running a program of the guest: which target it is for, and what the machine is told.

use crate::run::Mistakes;
use emu_debug::{Listener, Server, Stream};
use emu_exec::{Exit, Kept, Machine, MachineSpec};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The machine that runs programs.
pub const MACHINE: &str = "linux-user";

/// Targets by the ELF machine of their programs.
pub const TARGETS: &[(u16, &str)] = &[(183, "aarch64"), (243, "riscv64")];

/// Scripts that may be interpreters of each other, as Linux has it.
const SCRIPTS_MAX: usize = 5;

/// The program, and the number of its word on the command line.
pub struct Program {
    /// Its name, as typed.
    pub word: OsString,
    /// Where it is.
    pub at: usize,
    /// The kernel started emu for it: the word that is its path, while `at` is that of its argument 0.
    pub by_kernel: Option<usize>,
    /// The target that emu's own name stands for.
    pub named: Option<&'static str>,
}

impl Program {
    /// The target that it is for, as its file says: a script's is that of its interpreter, which is looked for under the prefix first.
    pub fn target(&self, prefix: Option<&str>) -> Option<&'static str> {
        let of_file = || {
            let (_, machine) = self.file(prefix)?;
            TARGETS.iter().find(|t| t.0 == machine).map(|t| t.1)
        };
        self.named.or_else(of_file)
    }
    /// The ELF file that runs, and the machine that it says it is for.
    pub fn file(&self, prefix: Option<&str>) -> Option<(PathBuf, u16)> {
        let mut path = PathBuf::from(&self.word);
        for _ in 0..SCRIPTS_MAX {
            let mut head = Vec::new();
            std::fs::File::open(&path).ok()?.take(256).read_to_end(&mut head).ok()?;
            let Some(line) = head.strip_prefix(b"#!") else {
                let machine = u16::from_le_bytes([*head.get(18)?, *head.get(19)?]);
                return head.starts_with(b"\x7fELF").then_some((path, machine));
            };
            let line = line.split(|b| *b == b'\n').next()?.trim_ascii();
            let interpreter = Path::new(OsStr::from_bytes(line.split(|b| matches!(b, b' ' | b'\t')).next()?));
            let inside = prefix.zip(interpreter.strip_prefix("/").ok()).map(|(p, rest)| Path::new(p).join(rest)).filter(|p| p.exists());
            path = inside.unwrap_or_else(|| interpreter.to_owned());
        }
        None
    }
}

/// What the command line has.
pub struct Asked<'a> {
    /// All values of an option.
    pub all: &'a dyn Fn(&str) -> Result<Vec<String>, Mistakes>,
    /// Whether a switch is there.
    pub on: &'a dyn Fn(&str) -> bool,
}

/// Variables that stand for options, by the end of their name: behind `EMU_`, or as other emulators have it behind `QEMU_`. Whether the
/// value is a list.
pub const VARIABLES: &[(&str, &str, bool)] = &[
    ("LD_PREFIX", "sysroot", false),
    ("SET_ENV", "set-env", true),
    ("UNSET_ENV", "unset-env", true),
    ("CPU", "cpu", false),
    ("STRACE", "strace", false),
    ("UNAME", "uname", false),
    TRANSLATIONS,
];
const TRANSLATIONS: (&str, &str, bool) = ("TRANSLATIONS", "translations", false);
/// Those of a machine.
pub const MACHINE_VARIABLES: &[(&str, &str, bool)] = &[TRANSLATIONS];

/// The options that the environment asks for. They come first: what the command line says counts.
pub fn variable_words(rows: &[(&str, &str, bool)], out: &mut Vec<OsString>) {
    for (end, flag, is_list) in rows {
        let value = ["EMU_", "QEMU_"].iter().find_map(|start| std::env::var(format!("{start}{end}")).ok());
        match value.filter(|v| !v.is_empty()) {
            None => {}
            Some(_) if *flag == "strace" => out.push("--strace".into()),
            Some(v) if *is_list => out.extend(v.split(',').filter(|v| !v.is_empty()).map(|v| format!("--{flag}={v}").into())),
            Some(v) => {
                if matches!(*flag, "sysroot" | "translations") {
                    out.push("--lenient".into());
                }
                out.push(format!("--{flag}={v}").into());
            }
        }
    }
}

/// What the machine is told: the program, and what was asked for; `kept`: where code is kept, if anywhere.
pub fn images(program: &Program, asked: &Asked<'_>, kept: Option<&Path>) -> Result<Vec<(String, String)>, Mistakes> {
    let mut out = vec![("arguments".to_owned(), program.at.to_string())];
    if let Some(word) = program.by_kernel {
        out.push(("program".to_owned(), word.to_string()));
    }
    let mut inherited = vec!["--lenient".to_owned()];
    let mut add = |key: &str, value: String| out.push((key.to_owned(), value));
    // What a program that this one starts is given as well.
    for (name, shown) in
        [("cpu", "-cpu"), ("accel", "-accel"), ("log", "-d"), ("log-file", "-D"), ("dfilter", "-dfilter"), ("plugin-path", "--plugin-path")]
    {
        let mut values = (asked.all)(name)?;
        if matches!(name, "cpu" | "accel" | "log-file") {
            // The last counts.
            values.drain(..values.len().saturating_sub(1));
        }
        for value in values {
            inherited.extend([shown.to_owned(), value]);
        }
    }
    inherited.extend(["--translations".to_owned(), kept.map_or(crate::kept::OFF.to_owned(), |folder| folder.display().to_string())]);
    if let Some(prefix) = (asked.all)("sysroot")?.pop() {
        // Names are looked up in it whatever the program's directory is.
        match std::fs::canonicalize(&prefix) {
            Ok(p) if p.is_dir() => {
                let prefix = p.display().to_string();
                inherited.extend(["-L".to_owned(), prefix.clone()]);
                add("prefix", prefix);
            }
            _ if (asked.on)("lenient") => {}
            _ => return Err(vec![format!("-L {prefix}: there is no such directory")]),
        }
    }
    if let Some(release) = (asked.all)("uname")?.pop() {
        inherited.extend(["--uname".to_owned(), release.clone()]);
        add("uname", release);
    }
    if (asked.on)("strace") {
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
struct NoStreams;

impl emu_exec::Streams for NoStreams {
    fn open(&self, _: &str) -> bool {
        false
    }
    fn write(&self, _: &str, _: &[u8]) {}
}

/// Waits for the debugger of a program. Its connection lies where the program does not look for descriptors.
pub fn debugger(listener: Listener) -> Result<Stream, String> {
    eprintln!("gdb: waiting for a debugger: target remote {}", listener.shown());
    let stream = listener.accept().map_err(|e| format!("-g: {e}"))?;
    let path = listener.path().map(Path::to_owned);
    drop(listener);
    if let Some(path) = path {
        let _ = std::fs::remove_file(path);
    }
    Ok(stream.moved_up())
}

/// Runs the program; it ends the process itself as a rule.
pub fn run(spec: &MachineSpec<'_>, kept: Option<Kept>, debugger: Option<(Stream, &Program)>) -> Result<i32, String> {
    let machine = Machine::create(spec, Arc::new(NoStreams))?;
    if let Some(kept) = kept {
        machine.keep_code(kept);
    }
    if let Some((stream, program)) = debugger {
        let file = std::fs::canonicalize(&program.word).unwrap_or_else(|_| PathBuf::from(&program.word));
        Server::attend(stream, &machine, &file.display().to_string())?;
    }
    match machine.run() {
        Exit::PowerOff(code) => Ok((code & 0xff) as i32),
        Exit::Quit(code) => Ok(code),
        Exit::Crash(why) => Err(why),
        Exit::Reset => Ok(0),
    }
}
