//! Files of /proc that tell of emu where they should tell of the guest.
//!
//! Of this process: `maps`, `auxv`, `environ`, `cmdline`, and of `stat`, `statm` and `status` what is about memory and signals. Of others that
//! emu runs: `cmdline` and `exe`, as far as emu's own command line says it. `cpuinfo` is the guest's. Names are looked at as programs write
//! them: absolute.

use crate::memory::PAGE;
use crate::{Call, Kernel, host};
use std::ffi::{OsStr, OsString};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the program lies, and what it began with.
pub struct Image {
    pub start_code: u64,
    pub end_code: u64,
    pub start_stack: u64,
    pub environ: Vec<u8>,
}

/// Whose a name is.
enum Whose {
    Own,
    Other(i32),
}

/// The process that a name is of, and the name below its directory (and below that of one of its threads).
fn split(name: &[u8]) -> Option<(Whose, &[u8])> {
    let name = name.strip_prefix(b"/proc/")?;
    let (first, rest) = name.split_at(name.iter().position(|b| *b == b'/')?);
    let mut rest = &rest[1..];
    let whose = match first {
        b"self" | b"thread-self" => Whose::Own,
        _ => match std::str::from_utf8(first).ok()?.parse().ok()? {
            pid if pid == host::getpid() => Whose::Own,
            pid => Whose::Other(pid),
        },
    };
    if let Some(thread) = rest.strip_prefix(b"task/") {
        rest = &thread[thread.iter().position(|b| *b == b'/')? + 1..];
    }
    Some((whose, rest))
}

/// The program that another emu runs, its file first: what stands behind the `--` with which emu starts a program's programs.
fn words_of(k: &Kernel, pid: i32) -> Option<Vec<Vec<u8>>> {
    let about = |m: std::fs::Metadata| (m.dev(), m.ino());
    let own = std::fs::metadata(format!("/proc/self/fd/{}", k.executable.load(std::sync::atomic::Ordering::Relaxed))).ok()?;
    if about(std::fs::metadata(format!("/proc/{pid}/exe")).ok()?) != about(own) {
        return None;
    }
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words: Vec<Vec<u8>> = line.split(|b| *b == 0).map(<[u8]>::to_vec).collect();
    words.pop();
    let at = words.iter().position(|w| w == b"--")?;
    let name = words[..at].iter().rposition(|w| w == b"-0").and_then(|i| words.get(i + 1).cloned());
    let mut out = words.split_off(at + 1);
    let file = out.first()?.clone();
    if let Some(name) = name {
        out[0] = name;
    }
    out.insert(0, file);
    Some(out)
}

/// If a name is that of the file that a process of the guest's runs: that file.
pub fn program_of(k: &Kernel, name: &[u8]) -> Option<PathBuf> {
    if !name.ends_with(b"/exe") {
        return None;
    }
    match split(name)? {
        (Whose::Own, b"exe") => k.program.get().cloned(),
        (Whose::Other(pid), b"exe") => Some(PathBuf::from(OsString::from_vec(words_of(k, pid)?.into_iter().next()?))),
        _ => None,
    }
}

fn zeroes<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    words.flat_map(|w| w.iter().copied().chain([0])).collect()
}

/// The text of a file, if it is one of those.
pub fn shown(c: &Call<'_>, name: &[u8]) -> Option<Vec<u8>> {
    if !name.starts_with(b"/proc/") {
        return None;
    }
    if name == b"/proc/cpuinfo" {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
        let text: String = (0..cpus).map(|n| format!("processor\t: {n}\n{}\n", c.k.abi.cpuinfo.get().replace("{}", &n.to_string()))).collect();
        return Some(text.into_bytes());
    }
    let hosts = || std::fs::read_to_string(Path::new(OsStr::from_bytes(name))).ok();
    match split(name)? {
        (Whose::Own, b"maps") => Some(c.k.maps().into_bytes()),
        (Whose::Own, b"auxv") => c.k.auxv.get().cloned(),
        (Whose::Own, b"environ") => c.k.image.get().map(|i| i.environ.clone()),
        (Whose::Own, b"cmdline") => Some(zeroes(c.k.argv.get()?.iter().map(|a| a.as_bytes()))),
        (Whose::Other(pid), b"cmdline") => Some(zeroes(words_of(c.k, pid)?.iter().skip(1).map(Vec::as_slice))),
        (Whose::Own, b"stat") => stat(c.k, &hosts()?),
        (Whose::Own, b"statm") => {
            let text = hosts()?;
            let (_, rest) = text.split_once(' ')?;
            Some(format!("{} {rest}", size(c.k, |_| true) / PAGE).into_bytes())
        }
        (Whose::Own, b"status") => Some(status(c, &hosts()?)),
        _ => None,
    }
}

/// Bytes of the areas of a kind.
fn size(k: &Kernel, kind: impl Fn(&crate::memory::Area) -> bool) -> u64 {
    k.space.map().areas.iter().filter(|(_, a)| kind(a)).map(|(start, a)| a.end - start).sum()
}

fn stat(k: &Kernel, text: &str) -> Option<Vec<u8>> {
    let image = k.image.get()?;
    let (head, rest) = text.rsplit_once(") ")?;
    let heap = k.space.map().brk_start;
    // Fields are counted from 1, the first one here is the third. What a process may not know of another reads as 0.
    let fields = rest.split_whitespace().enumerate().map(|(i, f)| match i + 3 {
        23 => size(k, |_| true).to_string(),
        26 => image.start_code.to_string(),
        27 => image.end_code.to_string(),
        28 => image.start_stack.to_string(),
        47 => heap.to_string(),
        29 | 30 | 45 | 46 | 48..=51 => "0".to_owned(),
        _ => f.to_owned(),
    });
    Some(format!("{head}) {}\n", fields.collect::<Vec<_>>().join(" ")).into_bytes())
}

fn status(c: &Call<'_>, text: &str) -> Vec<u8> {
    let all = size(c.k, |_| true) / 1024;
    let data = size(c.k, |a| !a.shared && a.prot & 2 != 0) / 1024;
    // Core has handlers of its own for these.
    let cores = 1u64 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);
    let caught = (1..=64).filter(|s| c.t.action(*s).handler > 1).fold(0u64, |m, s| m | 1 << (s - 1)) & cores;
    let mut out = String::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        out += &match name {
            "VmPeak" | "VmSize" => format!("{name}:\t{all:>8} kB\n"),
            "VmData" => format!("{name}:\t{data:>8} kB\n"),
            "SigCgt" => format!("{name}:\t{:016x}\n", u64::from_str_radix(value.trim(), 16).unwrap_or(0) & !cores | caught),
            "Seccomp" => format!("{name}:\t{}\n", c.t.filters.mode().0),
            "Seccomp_filters" => format!("{name}:\t{}\n", c.t.filters.mode().1),
            _ => format!("{line}\n"),
        };
    }
    out.into_bytes()
}

/// A file with a text.
pub fn memory_file(text: &[u8], flags: u64) -> i64 {
    use std::io::{Seek, Write};
    let close = u64::from(flags & libc::O_CLOEXEC as u64 != 0);
    // SAFETY: the name is a string.
    let fd = unsafe { host::plain(libc::SYS_memfd_create, [c"emu-proc".as_ptr() as u64, close, 0, 0, 0, 0]) };
    if fd < 0 {
        return fd;
    }
    // SAFETY: a fresh descriptor.
    let mut file = unsafe { std::fs::File::from_raw_fd(fd as i32) };
    if file.write_all(text).and_then(|()| file.rewind()).is_err() {
        return -i64::from(libc::EIO);
    }
    i64::from(file.into_raw_fd())
}
