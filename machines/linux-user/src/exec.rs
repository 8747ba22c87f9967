//! Becoming another program: what a file stands for, the environment, and emu started anew by a descriptor of its own executable, which does not
//! depend on what the host's kernel knows of programs of the guest or on what lies below the root now.

use crate::elf::{self, Program, Refused};
use crate::{Call, Kernel, host};
use emu_plugins_api::MachineConfig;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

const EINVAL: i64 = -(libc::EINVAL as i64);

/// Environment variables that would mean something to emu's own process: they travel under another name.
fn is_hosts(name: &[u8]) -> bool {
    name.starts_with(b"LD_") || matches!(name, b"GLIBC_TUNABLES" | b"GCONV_PATH" | b"LOCPATH")
}
const HIDDEN: &[u8] = b"EMU_GUEST_";

/// The guest's environment: the host's, as -E and -U change it.
pub fn environment(config: &MachineConfig<'_>) -> Vec<OsString> {
    let mut env: Vec<(Vec<u8>, Vec<u8>)> = std::env::vars_os()
        .map(|(k, v)| {
            let k = k.into_vec();
            (k.strip_prefix(HIDDEN).map(<[u8]>::to_vec).unwrap_or(k), v.into_vec())
        })
        .collect();
    env.retain(|(k, _)| k != crate::seccomp::VARIABLE.as_bytes() && k != PROGRAM_VARIABLE.as_bytes());
    for kv in config.images.get() {
        let name = |v: &str| v.split('=').next().unwrap_or("").as_bytes().to_vec();
        match (kv.key.get(), kv.value.get()) {
            ("set-env", v) => {
                env.retain(|(k, _)| *k != name(v));
                let value = v.split_once('=').map_or("", |(_, v)| v);
                env.push((name(v), value.as_bytes().to_vec()));
            }
            ("unset-env", v) => env.retain(|(k, _)| *k != name(v)),
            _ => {}
        }
    }
    env.into_iter().map(|(k, v)| OsString::from_vec([k, v].join(&b'='))).collect()
}

/// A descriptor of emu's own executable, kept where programs do not look for theirs.
pub fn own_executable() -> i32 {
    // SAFETY: the name is a string; descriptors are this process's.
    unsafe {
        let mut fd = libc::open(c"/proc/self/exe".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if fd < 0 {
            fd = executable_without_proc();
        }
        if fd < 0 {
            return fd;
        }
        let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        let high = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, limit.rlim_cur.min(1 << 20) as i32 - 8);
        if high >= 0 {
            libc::close(fd);
            high
        } else {
            fd
        }
    }
}

/// The same where there is no /proc: by the name that emu was started by, which is that of an emu's descriptor if an emu has done it.
fn executable_without_proc() -> i32 {
    // SAFETY: the value is an address of a string of this process's, or 0.
    let name = unsafe {
        let p = libc::getauxval(libc::AT_EXECFN) as *const std::ffi::c_char;
        if p.is_null() {
            return -1;
        }
        std::ffi::CStr::from_ptr(p)
    };
    let number = name.to_bytes().strip_prefix(b"/dev/fd/").and_then(|n| std::str::from_utf8(n).ok()?.parse::<i32>().ok());
    // SAFETY: the name is a string; descriptors are this process's.
    unsafe {
        match number {
            // It is open only if whoever started emu has left it so, see `do_exec`.
            Some(fd) if libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) == 0 => fd,
            // (binfmt_misc leaves the name of the program there.)
            None if is_native(Path::new(OsStr::from_bytes(name.to_bytes()))) => libc::open(name.as_ptr(), libc::O_PATH | libc::O_CLOEXEC),
            _ => -1,
        }
    }
}

/// Ends emu because a program cannot be started.
pub fn refuse(r: &Refused) -> ! {
    eprintln!("error: {}", r.1);
    std::process::exit(r.0)
}

/// The program that a file stands for, and its arguments: a script's interpreter.
pub fn resolve(k: &Kernel, program: &Path, mut argv: Vec<OsString>) -> Result<(PathBuf, Vec<OsString>), Refused> {
    let mut path = program.to_owned();
    // A script's own name is the host's as the user typed it; what it names is the guest's.
    for _ in 0..5 {
        match elf::kind_of(&path)? {
            Program::Elf => return Ok((path, argv)),
            Program::Script(interpreter, argument) => {
                let script = path.clone().into_os_string();
                let mut new = vec![interpreter.clone().into_os_string()];
                new.extend(argument);
                new.push(script);
                new.extend(argv.into_iter().skip(1));
                argv = new;
                path = k.path_of(&interpreter);
            }
        }
    }
    Err(Refused(elf::CANNOT_EXECUTE, format!("{}: its interpreters are scripts of each other", program.display())))
}

fn error_of(r: &Refused) -> i64 {
    -i64::from(if r.0 == elf::NOT_FOUND { libc::ENOENT } else { libc::ENOEXEC })
}

/// The variable with which emu tells the emu that it starts of a descriptor of the program, which is closed when that is loaded.
const PROGRAM_VARIABLE: &str = "EMU_PROGRAM_DESCRIPTOR";

/// The descriptor of the program that another emu has left open for this one.
pub fn handed_program() -> Option<i32> {
    std::env::var(PROGRAM_VARIABLE).ok()?.parse().ok().filter(|fd| *fd > 2)
}

/// The number in a name of one of this process's descriptors.
fn descriptor_of(path: &[u8]) -> Option<i32> {
    let rest = [&b"/proc/self/fd/"[..], b"/dev/fd/", b"/proc/thread-self/fd/"].iter().find_map(|p| path.strip_prefix(*p))?;
    std::str::from_utf8(rest).ok()?.parse().ok()
}

pub fn execve(c: &mut Call<'_>) -> i64 {
    match c.path(c.a[0]) {
        Ok(path) => match descriptor_of(path.as_bytes()) {
            Some(fd) => exec_descriptor(c, fd, c.a[1], c.a[2]),
            None => do_exec(c, &path, c.a[1], c.a[2], None),
        },
        Err(e) => e,
    }
}

pub fn execveat(c: &mut Call<'_>) -> i64 {
    let path = match c.path(c.a[1]) {
        Ok(p) => p,
        Err(e) => return e,
    };
    let [_, _, argv, env, flags, _] = c.a;
    let dir = c.a[0] as i32;
    if flags & !((libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) as u64) != 0 {
        return EINVAL;
    }
    if path.is_empty() {
        return if flags & libc::AT_EMPTY_PATH as u64 == 0 { -i64::from(libc::ENOENT) } else { exec_descriptor(c, dir, argv, env) };
    }
    let full = if path.as_bytes().first() == Some(&b'/') || dir == libc::AT_FDCWD {
        path
    } else {
        let base = std::fs::read_link(format!("/proc/self/fd/{dir}"));
        let Ok(base) = base else { return -i64::from(libc::EBADF) };
        match CString::new(base.join(OsStr::from_bytes(path.as_bytes())).into_os_string().into_vec()) {
            Ok(p) => p,
            Err(_) => return EINVAL,
        }
    };
    if flags & libc::AT_SYMLINK_NOFOLLOW as u64 != 0 && Path::new(OsStr::from_bytes(full.as_bytes())).is_symlink() {
        return -i64::from(libc::ELOOP);
    }
    do_exec(c, &full, argv, env, None)
}

/// Runs the program that a descriptor is of: by its name, if that leads to it, else by the descriptor.
fn exec_descriptor(c: &mut Call<'_>, fd: i32, argv: u64, env: u64) -> i64 {
    use std::os::unix::fs::MetadataExt;
    let by_number = PathBuf::from(format!("/proc/self/fd/{fd}"));
    let Ok(of) = std::fs::metadata(&by_number) else { return -i64::from(libc::EBADF) };
    let name = std::fs::read_link(&by_number).unwrap_or_default();
    let same = std::fs::metadata(&name).is_ok_and(|m| (m.dev(), m.ino()) == (of.dev(), of.ino()));
    if same && let Ok(name) = CString::new(name.into_os_string().into_vec()) {
        return do_exec(c, &name, argv, env, None);
    }
    // SAFETY: descriptors are this process's; the new one is this function's.
    let up = unsafe { libc::fcntl(fd, libc::F_DUPFD, 64) };
    if up < 0 {
        return -i64::from(libc::EMFILE);
    }
    let r = match CString::new(format!("/proc/self/fd/{up}")) {
        Ok(name) => do_exec(c, &name, argv, env, Some(up)),
        Err(_) => EINVAL,
    };
    // SAFETY: as above.
    unsafe { libc::close(up) };
    r
}

/// Whether a program is one of the host's own.
fn is_native(path: &Path) -> bool {
    use std::os::unix::fs::FileExt;
    const HOSTS: [u8; 2] = [62, 0];
    let mut head = [0u8; 20];
    let read = std::fs::File::open(path).and_then(|f| f.read_exact_at(&mut head, 0));
    read.is_ok() && head[..5] == *b"\x7fELF\x02" && head[18..20] == HOSTS
}

fn do_exec(c: &mut Call<'_>, path: &CString, argv: u64, env: u64, handed: Option<i32>) -> i64 {
    // Linux has room for three quarters of a usual stack, whatever its limit.
    const MOST: usize = 6 << 20;
    let too_long = -i64::from(libc::E2BIG);
    let mut bytes = 0;
    let mut strings = |list: u64| -> Result<Vec<OsString>, i64> {
        let mut all = Vec::new();
        for p in c.k.space.pointers(list)? {
            let s = c.k.space.string(p).map_err(|e| if e == -i64::from(libc::ENAMETOOLONG) { too_long } else { e })?;
            bytes += s.as_bytes().len() + 1 + size_of::<u64>();
            if bytes > MOST {
                return Err(too_long);
            }
            all.push(OsString::from_vec(s.into_bytes()));
        }
        Ok(all)
    };
    let (argv, env) = match (strings(argv), strings(env)) {
        (Ok(a), Ok(e)) => (a, e),
        (Err(e), _) | (_, Err(e)) => return e,
    };
    let path = Path::new(OsStr::from_bytes(path.as_bytes()));
    let path = if path == Path::new("/proc/self/exe") { c.k.program.get().cloned().unwrap_or_default() } else { path.to_owned() };
    // What Linux would say of the file.
    let name = match CString::new(path.as_os_str().as_bytes()) {
        Ok(n) => n,
        Err(_) => return EINVAL,
    };
    // SAFETY: the name is a string.
    let r = unsafe { host::plain(libc::SYS_faccessat, [libc::AT_FDCWD as u64, name.as_ptr() as u64, libc::X_OK as u64, 0, 0, 0]) };
    if r < 0 {
        return r;
    }
    if path.is_dir() {
        return -i64::from(libc::EACCES);
    }
    let argv0 = argv.first().cloned().unwrap_or_else(|| path.clone().into_os_string());
    let (program, argv) = match resolve(c.k, &path, if argv.is_empty() { vec![argv0.clone()] } else { argv }) {
        Ok(r) => r,
        Err(r) => return error_of(&r),
    };
    let native = is_native(&program);
    if !native {
        // A program of neither the guest's nor the host's kind.
        let mut head = [0u8; 20];
        use std::os::unix::fs::FileExt;
        let read = std::fs::File::open(&program).and_then(|f| f.read_exact_at(&mut head, 0));
        let ours = read.is_ok() && head[..4] == *b"\x7fELF" && u32::from(head[18]) | u32::from(head[19]) << 8 == c.k.abi.elf_machine;
        if !ours {
            return -i64::from(libc::ENOEXEC);
        }
    }
    let mut words: Vec<OsString> = Vec::new();
    if native || c.k.executable.load(Ordering::Relaxed) < 0 {
        words.extend(argv);
    } else {
        words.push("emu".into());
        words.extend(c.k.options.inherited.iter().map(OsString::from));
        if argv[0] != program.as_os_str() {
            words.push("-0".into());
            words.push(argv[0].clone());
        }
        words.push("--".into());
        words.push(program.clone().into_os_string());
        words.extend(argv.into_iter().skip(1));
    }
    let hide = |e: OsString| {
        let bytes = e.as_bytes();
        let name = bytes.split(|b| *b == b'=').next().unwrap_or_default();
        if !native && is_hosts(name) { OsString::from_vec([HIDDEN, bytes].concat()) } else { e }
    };
    let strings = |list: Vec<OsString>| list.into_iter().filter_map(|s| CString::new(s.into_vec()).ok()).collect::<Vec<_>>();
    let mut env: Vec<OsString> = env.into_iter().map(hide).collect();
    let filters = match crate::seccomp::handed_on(c.t) {
        Ok(fd) => fd.filter(|_| !native),
        Err(e) => return e,
    };
    env.extend(handed.filter(|_| !native).map(|fd| OsString::from(format!("{PROGRAM_VARIABLE}={fd}"))));
    env.extend(filters.map(|fd| OsString::from(format!("{}={fd}", crate::seccomp::VARIABLE))));
    let (words, env) = (strings(words), strings(env));
    let pointers = |list: &[CString]| list.iter().map(|s| s.as_ptr() as u64).chain([0]).collect::<Vec<u64>>();
    let (words_at, env_at) = (pointers(&words), pointers(&env));
    let program = CString::new(program.into_os_string().into_vec()).unwrap_or_default();
    // Handlers are this process's; ignored signals stay so by themselves. The mask goes on with the process.
    if c.t.pending.load(Ordering::SeqCst) == 0 {
        host::set_mask(c.t.mask.get());
    }
    // SAFETY: this is the CPU's thread.
    unsafe { c.k.host.user_execs(c.cpu) };
    // SAFETY: all strings and vectors live through the call.
    let r = unsafe {
        // Without /proc emu may have no descriptor of itself: whoever started this one, binfmt_misc, starts the next.
        if native || c.k.executable.load(Ordering::Relaxed) < 0 {
            host::plain(libc::SYS_execve, [program.as_ptr() as u64, words_at.as_ptr() as u64, env_at.as_ptr() as u64, 0, 0, 0])
        } else {
            let empty = c"".as_ptr() as u64;
            let fd = c.k.executable.load(Ordering::Relaxed);
            // The next emu opens itself anew, or if it cannot, keeps this descriptor.
            let alone = libc::access(c"/proc/self/exe".as_ptr(), libc::F_OK) != 0;
            if alone {
                libc::fcntl(fd, libc::F_SETFD, 0);
            }
            let r =
                host::plain(libc::SYS_execveat, [fd as u64, empty, words_at.as_ptr() as u64, env_at.as_ptr() as u64, libc::AT_EMPTY_PATH as u64, 0]);
            if alone {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            r
        }
    };
    if let Some(fd) = filters {
        // SAFETY: made above.
        unsafe { libc::close(fd) };
    }
    r
}
