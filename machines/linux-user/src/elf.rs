//! Loading a program: what the file is, where its segments go, the stack that it begins with.

use crate::Kernel;
use crate::memory::{PAGE, PROT_GUARDED, round_up};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A program cannot be started: exit code of a shell, and a sentence.
#[derive(Debug)]
pub struct Refused(pub i32, pub String);

/// Found, but cannot be executed.
pub const CANNOT_EXECUTE: i32 = 126;
/// Not found.
pub const NOT_FOUND: i32 = 127;

fn word(b: &[u8], at: usize, n: usize) -> u64 {
    b.get(at..at + n).map_or(0, |s| s.iter().rev().fold(0, |v, x| v << 8 | u64::from(*x)))
}

struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file_bytes: u64,
    bytes: u64,
}

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PROPERTY: u32 = 0x6474_e553;
const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;

struct Elf {
    path: PathBuf,
    file: File,
    kind: u64,
    entry: u64,
    table: u64,
    count: u64,
    segments: Vec<Segment>,
}

/// An opened file that is no ELF file, but may be a script.
pub enum Program {
    Elf,
    /// Interpreter and its argument.
    Script(PathBuf, Option<OsString>),
}

fn refused(path: &Path, what: impl std::fmt::Display) -> Refused {
    Refused(CANNOT_EXECUTE, format!("{}: {what}", path.display()))
}

fn open(path: &Path) -> Result<File, Refused> {
    let file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Refused(NOT_FOUND, format!("{}: there is no such file", path.display())),
        std::io::ErrorKind::PermissionDenied => refused(path, "permission denied; the file must be readable and executable"),
        _ => refused(path, e),
    })?;
    match file.metadata() {
        Ok(m) if m.is_dir() => Err(refused(path, "is a directory, not a program")),
        Ok(_) => Ok(file),
        Err(e) => Err(refused(path, e)),
    }
}

/// What a file is.
pub fn kind_of(path: &Path) -> Result<Program, Refused> {
    let file = open(path)?;
    let mut head = [0u8; 256];
    let n = file.read_at(&mut head, 0).map_err(|e| refused(path, e))?;
    if head[..n].starts_with(b"#!") {
        let line = head[2..n].split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii();
        let mut parts = line.splitn(2, |b| *b == b' ' || *b == b'\t');
        let interpreter = parts.next().filter(|p| !p.is_empty()).ok_or_else(|| refused(path, "its first line names no interpreter"))?;
        let argument = parts.next().map(|a| a.trim_ascii()).filter(|a| !a.is_empty());
        return Ok(Program::Script(PathBuf::from(OsString::from_vec(interpreter.to_vec())), argument.map(|a| OsString::from_vec(a.to_vec()))));
    }
    Ok(Program::Elf)
}

impl Elf {
    fn read(path: &Path, machine: u32) -> Result<Elf, Refused> {
        let file = open(path)?;
        let mut head = [0u8; 64];
        let n = file.read_at(&mut head, 0).map_err(|e| refused(path, e))?;
        if n < 4 || head[..4] != *b"\x7fELF" {
            return Err(refused(path, "is no program (neither an ELF file nor a script)"));
        }
        if n < 64 {
            return Err(refused(path, "is cut off: an ELF file that ends in its header"));
        }
        if head[4] != 2 || head[5] != 1 {
            return Err(refused(path, "is not a 64-bit little-endian program"));
        }
        let e_machine = word(&head, 18, 2);
        if e_machine != u64::from(machine) {
            return Err(refused(path, format!("is for another architecture (ELF machine {e_machine}, wanted {machine})")));
        }
        let kind = word(&head, 16, 2);
        if kind != ET_EXEC && kind != ET_DYN {
            return Err(refused(path, "is an ELF file, but no program (an object file or a core dump)"));
        }
        let (entry, table, size, count) = (word(&head, 24, 8), word(&head, 32, 8), word(&head, 54, 2), word(&head, 56, 2));
        if size != 56 || count == 0 {
            return Err(refused(path, "has no program headers"));
        }
        let mut headers = vec![0u8; (size * count) as usize];
        file.read_exact_at(&mut headers, table).map_err(|_| refused(path, "is cut off: its program headers are missing"))?;
        let length = file.metadata().map_err(|e| refused(path, e))?.len();
        let mut segments = Vec::new();
        for h in headers.chunks_exact(56) {
            let s = Segment {
                kind: word(h, 0, 4) as u32,
                flags: word(h, 4, 4) as u32,
                offset: word(h, 8, 8),
                address: word(h, 16, 8),
                file_bytes: word(h, 32, 8),
                bytes: word(h, 40, 8),
            };
            if s.kind == PT_LOAD {
                if s.offset.checked_add(s.file_bytes).is_none_or(|end| end > length) {
                    return Err(refused(path, "is cut off: it ends inside of a segment"));
                }
                if s.file_bytes > s.bytes || (s.address ^ s.offset) & (PAGE - 1) != 0 || s.address.checked_add(s.bytes).is_none_or(|e| e >> 47 != 0) {
                    return Err(refused(path, "has a segment that makes no sense"));
                }
            }
            segments.push(s);
        }
        Ok(Elf { path: path.to_owned(), file, kind, entry, table, count, segments })
    }
    fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|s| s.kind == PT_LOAD)
    }
    fn span(&self) -> Result<(u64, u64), Refused> {
        let first = self.loads().map(|s| s.address & !(PAGE - 1)).min();
        let last = self.loads().map(|s| round_up(s.address + s.bytes)).max();
        first.zip(last).filter(|(a, b)| a < b).ok_or_else(|| refused(&self.path, "has nothing to load"))
    }
    fn interpreter(&self) -> Result<Option<PathBuf>, Refused> {
        let Some(s) = self.segments.iter().find(|s| s.kind == PT_INTERP) else { return Ok(None) };
        let mut name = vec![0; s.file_bytes.min(4096) as usize];
        self.file.read_exact_at(&mut name, s.offset).map_err(|_| refused(&self.path, "is cut off: the name of its interpreter is missing"))?;
        name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
        Ok(Some(PathBuf::from(OsString::from_vec(name))))
    }
    /// Its notes ask for guarded pages (GNU_PROPERTY_AARCH64_FEATURE_1_AND has BTI), and there is such a thing.
    fn is_guarded(&self, k: &Kernel) -> bool {
        if !k.space.is_guarded() {
            return false;
        }
        let Some(s) = self.segments.iter().find(|s| s.kind == PT_PROPERTY) else { return false };
        let mut note = vec![0; s.file_bytes.min(4096) as usize];
        if self.file.read_exact_at(&mut note, s.offset).is_err() || note.get(12..16) != Some(b"GNU\0") {
            return false;
        }
        let mut at = 16;
        while at + 8 <= note.len() {
            let (kind, size) = (word(&note, at, 4), word(&note, at + 4, 4) as usize);
            if kind == 0xc000_0000 {
                return word(&note, at + 8, 4) & 1 != 0;
            }
            at += 8 + size.next_multiple_of(8);
        }
        false
    }
    /// Maps the segments, moved by `bias`.
    fn map(&self, k: &Kernel, bias: u64, guarded: bool) -> Result<(), Refused> {
        let failed = |r: i64| refused(&self.path, format!("cannot be mapped: {}", std::io::Error::from_raw_os_error(-r as i32)));
        for s in self.loads() {
            let prot = u64::from((s.flags & 1) << 2 | s.flags & 2 | (s.flags & 4) >> 2) | if guarded && s.flags & 1 != 0 { PROT_GUARDED } else { 0 };
            let start = (s.address & !(PAGE - 1)) + bias;
            let file_end = s.address + bias + s.file_bytes;
            let end = round_up(s.address + bias + s.bytes);
            let skew = s.address & (PAGE - 1);
            let fixed = (libc::MAP_PRIVATE | libc::MAP_FIXED) as u64;
            let mut anonymous_from = start;
            if s.file_bytes != 0 {
                let r = k.space.mmap(start, s.file_bytes + skew, prot, fixed, self.file.as_raw_fd() as u64, s.offset - skew, None);
                if r < 0 {
                    return Err(failed(r));
                }
                anonymous_from = round_up(file_end);
                if s.bytes > s.file_bytes && file_end < anonymous_from {
                    // The rest of the last page is the beginning of what starts as zeroes.
                    let zeroes = vec![0; (anonymous_from - file_end) as usize];
                    if k.space.write(file_end, &zeroes).is_err() && prot & 2 != 0 {
                        return Err(failed(-i64::from(libc::EFAULT)));
                    }
                }
            }
            if end > anonymous_from {
                let r = k.space.mmap(anonymous_from, end - anonymous_from, prot, fixed | libc::MAP_ANONYMOUS as u64, u64::MAX, 0, None);
                if r < 0 {
                    return Err(failed(r));
                }
            }
        }
        Ok(())
    }
}

/// Where a program begins.
pub struct Start {
    pub entry: u64,
    pub stack: u64,
    /// Where the auxiliary vector lies.
    pub auxv: u64,
}

mod at {
    pub const PHDR: u64 = 3;
    pub const PHENT: u64 = 4;
    pub const PHNUM: u64 = 5;
    pub const PAGESZ: u64 = 6;
    pub const BASE: u64 = 7;
    pub const FLAGS: u64 = 8;
    pub const ENTRY: u64 = 9;
    pub const UID: u64 = 11;
    pub const EUID: u64 = 12;
    pub const GID: u64 = 13;
    pub const EGID: u64 = 14;
    pub const PLATFORM: u64 = 15;
    pub const HWCAP: u64 = 16;
    pub const CLKTCK: u64 = 17;
    pub const SECURE: u64 = 23;
    pub const RANDOM: u64 = 25;
    pub const HWCAP2: u64 = 26;
    pub const HWCAP3: u64 = 29;
    pub const EXECFN: u64 = 31;
    pub const SYSINFO_EHDR: u64 = 33;
    pub const MINSIGSTKSZ: u64 = 51;
}

/// Loads a program: maps it, its interpreter, the stack and the kernel's own page.
pub fn load(k: &Kernel, path: &Path, argv: &[OsString], env: &[OsString]) -> Result<Start, Refused> {
    let program = Elf::read(path, k.abi.elf_machine)?;
    let random = || k.host.random();
    // Where code of earlier processes of the program is kept, addresses are those of then.
    let mut place = k.options.layout.unwrap_or_else(random);
    let mut place = |pages: u64| {
        let taken = place & (pages - 1);
        place >>= pages.trailing_zeros();
        taken * PAGE
    };
    let (first, last) = program.span()?;
    let top = k.space.top;
    let bias = if program.kind == ET_DYN {
        // Two thirds up, as Linux has it, at a random page.
        (top / 3 * 2 & !(PAGE - 1)) + place(1 << 16) - first
    } else {
        0
    };
    program.map(k, bias, program.is_guarded(k))?;
    {
        let mut map = k.space.map();
        map.brk_start = last + bias + place(1 << 13);
        map.brk = map.brk_start;
    }
    // The stack lies at the top; a page above it stays empty.
    let mut limit = libc::rlimit { rlim_cur: 8 << 20, rlim_max: 0 };
    // SAFETY: `limit` is writable.
    unsafe { libc::getrlimit(libc::RLIMIT_STACK, &mut limit) };
    let stack_bytes = round_up(limit.rlim_cur.clamp(1 << 20, 1 << 30));
    let stack_top = (top - PAGE) - place(1 << 12);
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED) as u64;
    let no_room =
        |r: i64| Refused(CANNOT_EXECUTE, format!("{}: no memory for its stack: {}", path.display(), std::io::Error::from_raw_os_error(-r as i32)));
    let r = k.space.mmap(stack_top - stack_bytes, stack_bytes, 3, flags, u64::MAX, 0, Some("[stack]"));
    if r < 0 {
        return Err(no_room(r));
    }
    // stack_guard_gap, of 256 pages.
    k.space.map().below = stack_top - stack_bytes - 256 * PAGE;
    let (entry, base) = match program.interpreter()? {
        None => (program.entry + bias, 0),
        Some(name) => {
            let real = k.path_of(&name);
            let interpreter = Elf::read(&real, k.abi.elf_machine).map_err(|Refused(code, text)| {
                let hint = if code == NOT_FOUND { "; -L DIRECTORY says where the guest's libraries are" } else { "" };
                Refused(code, format!("{}: its interpreter cannot be used: {text}{hint}", path.display()))
            })?;
            let (first, last) = interpreter.span()?;
            let bias = if interpreter.kind == ET_DYN {
                let r = k.space.mmap(0, last - first, 0, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64, u64::MAX, 0, None);
                if r < 0 {
                    return Err(no_room(r));
                }
                (r as u64).wrapping_sub(first)
            } else {
                0
            };
            interpreter.map(k, bias, interpreter.is_guarded(k))?;
            (interpreter.entry.wrapping_add(bias), bias)
        }
    };
    // The kernel's own library.
    let vdso = crate::vdso::make(&k.abi);
    let vdso_bytes = round_up(vdso.image.len() as u64);
    let page = k.space.mmap(0, vdso_bytes, 3, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64, u64::MAX, 0, Some("[vdso]"));
    if page < 0 || k.space.write(page as u64, &vdso.image).is_err() || k.space.mprotect(page as u64, vdso_bytes, 5) < 0 {
        return Err(no_room(page.min(-i64::from(libc::ENOMEM))));
    }
    k.trampoline.store(page as u64 + vdso.sigreturn, std::sync::atomic::Ordering::Relaxed);

    // Strings from the top down, then the vectors.
    let mut sp = stack_top - 16;
    let fault = |_: i64| refused(path, "its arguments do not fit on its stack");
    let mut push = |bytes: &[u8]| -> Result<u64, Refused> {
        sp = sp.checked_sub(bytes.len() as u64 + 1).filter(|s| *s > stack_top - stack_bytes).ok_or_else(|| fault(0))?;
        k.space.write(sp, bytes).map_err(fault)?;
        Ok(sp)
    };
    let name = push(path.as_os_str().as_bytes())?;
    let platform = push(k.abi.platform.get().as_bytes())?;
    let seed: Vec<u8> = random().to_le_bytes().into_iter().chain(random().to_le_bytes()).collect();
    let seed = push(&seed)?;
    let mut strings = |list: &[OsString]| list.iter().map(|s| push(s.as_bytes())).collect::<Result<Vec<u64>, _>>();
    let (env_at, argv) = (strings(env)?, strings(argv)?);
    let headers = program.segments.iter().find(|s| s.kind == PT_LOAD && s.offset <= program.table && program.table < s.offset + s.file_bytes);
    let phdr = headers.map_or(0, |s| s.address + (program.table - s.offset) + bias);
    // SAFETY: these look at nothing.
    let (uid, euid, gid, egid) = unsafe { (libc::getuid(), libc::geteuid(), libc::getgid(), libc::getegid()) };
    let aux = [
        (at::SYSINFO_EHDR, page as u64),
        (at::HWCAP, k.abi.hwcap[0]),
        (at::PAGESZ, PAGE),
        (at::CLKTCK, 100),
        (at::PHDR, phdr),
        (at::PHENT, 56),
        (at::PHNUM, program.count),
        (at::BASE, base),
        (at::FLAGS, 0),
        (at::ENTRY, program.entry + bias),
        (at::UID, uid.into()),
        (at::EUID, euid.into()),
        (at::GID, gid.into()),
        (at::EGID, egid.into()),
        (at::SECURE, u64::from(uid != euid || gid != egid)),
        (at::RANDOM, seed),
        (at::HWCAP2, k.abi.hwcap[1]),
        (at::HWCAP3, k.abi.hwcap[2]),
        (at::EXECFN, name),
        (at::MINSIGSTKSZ, k.abi.signal_frame_bytes),
    ];
    let platform = (!k.abi.platform.get().is_empty()).then_some((at::PLATFORM, platform));
    let mut words = vec![argv.len() as u64];
    words.extend(argv);
    words.push(0);
    words.extend(env_at);
    words.push(0);
    let aux_at = words.len();
    words.extend(aux.into_iter().chain(platform).chain([(0, 0)]).flat_map(|(a, b)| [a, b]));
    let sp = (sp - words.len() as u64 * 8) & !15;
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    k.space.write(sp, &bytes).map_err(fault)?;
    let code = program.loads().filter(|s| s.flags & 1 != 0);
    let [start_code, end_code] = code.fold([u64::MAX, 0], |[a, b], s| [a.min(s.address + bias), b.max(s.address + s.file_bytes + bias)]);
    let environ = env.iter().flat_map(|e| e.as_bytes().iter().copied().chain([0])).collect();
    let _ = k.image.set(crate::proc::Image { start_code, end_code, start_stack: sp, environ });
    let _ = k.auxv.set(bytes[aux_at * 8..].to_vec());
    Ok(Start { entry, stack: sp, auxv: sp + aux_at as u64 * 8 })
}
