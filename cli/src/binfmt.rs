//! `emu binfmt install|status|remove`: has the host's kernel start programs of the guest with emu (Documentation/admin-guide/binfmt-misc.rst
//! of Linux). With the flag F the kernel keeps the interpreter's file open from now on, so that it is found in chroots and containers too;
//! with P, emu learns the program's argument 0.

use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str = "\
usage: emu binfmt install [TARGET...] [--interpreter FILE] [--dry-run]   have the kernel start programs of these with emu
       emu binfmt status [TARGET...]                                     say who starts them
       emu binfmt remove [TARGET...] [--dry-run]                         undo install
       (TARGET: aarch64, which it is without one, or riscv64)
";

/// Where the kernel's list is.
const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// A kind of programs.
struct Kind {
    /// The target.
    target: &'static str,
    /// What its programs are called in sentences.
    shown: &'static str,
    /// Their ELF machine.
    machine: u16,
}

const KINDS: &[Kind] = &[Kind { target: "aarch64", shown: "AArch64", machine: 183 }, Kind { target: "riscv64", shown: "RISC-V", machine: 243 }];

impl Kind {
    /// The entry.
    fn name(&self) -> String {
        format!("emu-{}", self.target)
    }
    /// ELF, 64 bits, little-endian, any ABI; ET_EXEC or ET_DYN; the machine.
    fn magic(&self) -> [u8; 20] {
        let [low, high] = self.machine.to_le_bytes();
        [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, low, high]
    }
    fn installed(&self) -> bool {
        Path::new(FOLDER).join(self.name()).exists()
    }
}

const MASK: [u8; 20] = [255, 255, 255, 255, 255, 255, 255, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0xfe, 255, 255, 255];

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("\\x{b:02x}")).collect()
}

/// What is written to the kernel's file `register`.
fn line(kind: &Kind, interpreter: &str) -> Result<String, String> {
    if interpreter.contains([':', '\n']) || !interpreter.starts_with('/') {
        return Err(format!("the interpreter's path must be absolute and without ':': {interpreter}"));
    }
    // The kernel's limit is 128 with the end.
    if interpreter.len() > 127 {
        return Err(format!("the interpreter's path is longer than 127 bytes: {interpreter}"));
    }
    Ok(format!(":{}:M::{}:{}:{interpreter}:FP", kind.name(), escaped(&kind.magic()), escaped(&MASK)))
}

/// The binary that needs no file beside it: this one, or one that lies where this one lies.
fn own_interpreter(kind: &Kind) -> Result<PathBuf, String> {
    let exe = std::env::current_exe().map_err(|e| format!("emu does not know its own file ({e}); name it with --interpreter FILE"))?;
    if cfg!(feature = "static-targets") {
        return Ok(exe);
    }
    let beside = exe.with_file_name(format!("emu-{}-static", kind.target));
    if beside.is_file() {
        return Ok(beside);
    }
    Err(format!(
        "this emu needs plugins, which a chroot does not have, and there is no {}; name the static one with --interpreter FILE",
        beside.display()
    ))
}

/// What a file of the kernel's list is written to answer.
fn write(file: &str, text: &str) -> Result<(), String> {
    use std::io::{ErrorKind, Write};
    let path = Path::new(FOLDER).join(file);
    // One write: the kernel takes a line at a time.
    let written = std::fs::OpenOptions::new().write(true).open(&path).and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|e| match e.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("{} cannot be written ({e}); only root may: run it with sudo", path.display())
        }
        _ => format!("{} refuses the entry: {e}", path.display()),
    })
}

/// Sees to it that the kernel's list is there.
fn mounted() -> Result<(), String> {
    let there = || Path::new(FOLDER).join("status").exists();
    if there() {
        return Ok(());
    }
    let mount = Command::new("mount").args(["-t", "binfmt_misc", "binfmt_misc", FOLDER]).output();
    if there() {
        return Ok(());
    }
    let why = match mount {
        Ok(out) => String::from_utf8_lossy(&out.stderr).trim().lines().next().unwrap_or("it failed").to_owned(),
        Err(e) => e.to_string(),
    };
    Err(format!("binfmt_misc is not mounted on {FOLDER}, and mounting it failed ({why}); as root: mount -t binfmt_misc binfmt_misc {FOLDER}"))
}

fn install(kind: &Kind, interpreter: Option<&str>, dry_run: bool) -> Result<(), String> {
    let path = match interpreter {
        Some(path) => std::path::absolute(path).map_err(|e| format!("{path}: {e}"))?,
        None => own_interpreter(kind)?,
    };
    let line = line(kind, &path.display().to_string())?;
    if dry_run {
        println!("{line}");
        return Ok(());
    }
    if !path.is_file() {
        return Err(format!("{}: there is no such file", path.display()));
    }
    mounted()?;
    if kind.installed() {
        write(&kind.name(), "-1")?;
    }
    write("register", &line)?;
    println!("{} programs are started with {}", kind.shown, path.display());
    Ok(())
}

/// The entries of the kernel's list that take programs of a kind: name, interpreter, whether it is in force.
fn entries(kind: &Kind) -> Vec<(String, String, bool)> {
    let magic: String = kind.magic()[16..].iter().map(|b| format!("{b:02x}")).collect();
    let files = std::fs::read_dir(FOLDER).into_iter().flatten().filter_map(Result::ok);
    let each = files.filter_map(|f| {
        let text = std::fs::read_to_string(f.path()).ok()?;
        let of = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().trim().to_owned();
        of("magic").ends_with(&magic).then(|| (f.file_name().to_string_lossy().into_owned(), of("interpreter"), text.starts_with("enabled")))
    });
    let mut all: Vec<_> = each.collect();
    all.sort();
    all
}

/// Says who starts programs of these kinds; 1 if emu does not start all of them.
fn status(kinds: &[&Kind]) -> i32 {
    if !Path::new(FOLDER).join("status").exists() {
        println!("binfmt_misc is not mounted on {FOLDER}: the kernel starts no foreign programs");
        return 1;
    }
    if std::fs::read_to_string(Path::new(FOLDER).join("status")).is_ok_and(|s| s.starts_with("disabled")) {
        println!("binfmt_misc is switched off as a whole: echo 1 > {FOLDER}/status");
    }
    let mut code = 0;
    for kind in kinds {
        for (name, interpreter, on) in &entries(kind) {
            println!("{name}: {} programs are started with {interpreter}{}", kind.shown, if *on { "" } else { " (switched off)" });
        }
        if !kind.installed() {
            println!("emu starts no {} programs; as root: emu binfmt install {}", kind.shown, kind.target);
            code = 1;
        }
    }
    code
}

fn remove(kind: &Kind, dry_run: bool) -> Result<(), String> {
    if dry_run {
        println!("echo -1 > {FOLDER}/{}", kind.name());
    } else if kind.installed() {
        write(&kind.name(), "-1")?;
        println!("{} programs are no longer started with emu", kind.shown);
    } else {
        println!("emu starts no {} programs: there is nothing to remove", kind.shown);
    }
    Ok(())
}

/// Does what the words behind `binfmt` say. The exit code, or what is wrong.
pub fn run(words: &[String]) -> Result<i32, String> {
    let (mut action, mut interpreter, mut dry_run, mut kinds) = (None, None, false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.trim_start_matches('-') {
            "install" | "status" | "remove" if action.is_none() && !word.starts_with('-') => action = Some(word.as_str()),
            "dry-run" if word.starts_with('-') => dry_run = true,
            "interpreter" if word.starts_with('-') => {
                interpreter = Some(words.next().ok_or("--interpreter needs a value: --interpreter FILE")?.as_str());
            }
            "help" | "h" if word.starts_with('-') => {
                print!("{USAGE}");
                return Ok(0);
            }
            target if action.is_some() && !word.starts_with('-') => match KINDS.iter().find(|k| k.target == target) {
                Some(kind) => kinds.push(kind),
                None => return Err(format!("emu binfmt knows no programs of '{target}'; there are aarch64 and riscv64")),
            },
            _ => return Err(format!("'{word}' means nothing to emu binfmt; it takes install, status or remove")),
        }
    }
    if kinds.is_empty() {
        kinds.push(&KINDS[0]);
    }
    match action {
        Some("install") => kinds.iter().try_for_each(|k| install(k, interpreter, dry_run)).map(|()| 0),
        Some("status") => Ok(status(&kinds)),
        Some("remove") => kinds.iter().try_for_each(|k| remove(k, dry_run)).map(|()| 0),
        _ => Err("emu binfmt takes install, status or remove".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line() {
        let want = r":emu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/emu:FP";
        let [aarch64, riscv64] = [0, 1].map(|n| move |path: &str| line(&KINDS[n], path));
        assert_eq!(aarch64("/usr/bin/emu").unwrap(), want);
        assert_eq!(riscv64("/usr/bin/emu").unwrap(), want.replace("aarch64", "riscv64").replace("xb7", "xf3"));
        assert!(aarch64("emu").is_err() && aarch64("/a:b").is_err() && aarch64(&format!("/{}", "a".repeat(200))).is_err());
    }

    #[test]
    fn mistakes() {
        for words in [&["instal"][..], &[], &["install", "--interpreter"], &["status", "remove"], &["status", "riscv32"]] {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            assert!(run(&words).is_err(), "{words:?}");
        }
    }
}
