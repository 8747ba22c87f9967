//! The system calls: one row each. Those of which a kernel of the host can be asked the same, once addresses have been translated, are rows
//! with a specification of their arguments; the others name a function.
//!
//! A specification has a letter for each argument:
//!
//! | letter | argument |
//! |---|---|
//! | `i` | a number, as it is |
//! | `r` | address of what is read |
//! | `w` | address of a structure that is written (to 4096 bytes) |
//! | `b` | address of a buffer that is written; the next argument is its length |
//! | `p` | a file's name: an absolute one is looked for under the prefix first |
//! | `c` | a file's name that may be made: as it is |

use crate::{Call, answer, cpu, exec, files, host, process, seccomp, signal};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How well a call is supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// As Linux does it.
    Full,
    /// Mostly; the note says what is missing.
    Partial,
    /// Refused, for the reason in the note.
    Refused,
}
use Level::{Full, Partial, Refused};

/// A row.
pub struct Row {
    pub name: &'static str,
    pub level: Level,
    pub note: &'static str,
    /// What is done.
    pub run: fn(&mut Call<'_>) -> i64,
    /// The host's number, and the arguments.
    pub number: i64,
    pub spec: &'static str,
}

const fn pass(name: &'static str, number: i64, spec: &'static str) -> Row {
    Row { name, level: Full, note: "", run: hand_on, number, spec }
}
const fn own(name: &'static str, level: Level, note: &'static str, run: fn(&mut Call<'_>) -> i64, spec: &'static str) -> Row {
    Row { name, level, note, run, number: -1, spec }
}
const fn no(name: &'static str, note: &'static str) -> Row {
    Row { name, level: Refused, note, run: refuse, number: libc::ENOSYS as i64, spec: "" }
}
const fn not_permitted(name: &'static str, note: &'static str) -> Row {
    Row { name, level: Refused, note, run: refuse, number: libc::EPERM as i64, spec: "" }
}

/// What a number without a name is.
pub static UNKNOWN: Row = Row { name: "", level: Refused, note: "there is no such call", run: unknown, number: 0, spec: "iiiiii" };

/// The row of a name; a call that has none is refused.
pub fn find(name: &str) -> &'static Row {
    ROWS.iter().find(|r| r.name == name).unwrap_or(&UNKNOWN)
}

/// The table as a page of the documentation.
pub fn coverage() -> String {
    let mut out =
        "# System calls\n\nMade from the rows in `src/calls.rs`; `EMU_BLESS=1 cargo test -p emu-machine-linux-user` writes it anew.\n\n".to_owned();
    let count = |l: Level| ROWS.iter().filter(|r| r.level == l).count();
    out += &format!("{} full, {} partial, {} refused.\n\n| call | support | note |\n|---|---|---|\n", count(Full), count(Partial), count(Refused));
    for r in ROWS {
        out += &format!("| {} | {} | {} |\n", r.name, format!("{:?}", r.level).to_lowercase(), r.note);
    }
    out
}

fn refuse(c: &mut Call<'_>) -> i64 {
    -c.row.number
}

fn unknown(c: &mut Call<'_>) -> i64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LOGGED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    let number = c.k.field(c.cpu, c.k.abi.number);
    if let Some(word) = LOGGED.get((number / 64) as usize)
        && word.fetch_or(1 << (number % 64), Ordering::Relaxed) >> (number % 64) & 1 == 0
    {
        emu_plugins_api::log::warn!(target: "unimplemented", "system call {number} is not implemented: ENOSYS");
    }
    -i64::from(libc::ENOSYS)
}

impl Call<'_> {
    /// The argument's file name, with the prefix before it if that is where the file is.
    pub fn path(&self, address: u64) -> Result<CString, i64> {
        let name = self.k.space.string(address)?;
        if self.k.options.prefix.is_none() || name.as_bytes().first() != Some(&b'/') {
            return Ok(name);
        }
        let path = self.k.path_of(Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())));
        CString::new(path.as_os_str().as_bytes()).map_err(|_| -i64::from(libc::EINVAL))
    }
    /// Makes the host's call with arguments that have been translated.
    #[inline]
    pub fn host(&self, number: i64, args: [u64; 6]) -> i64 {
        // SAFETY: addresses among the arguments are the guest's, translated, or of what lives through the call.
        unsafe { host::call(&self.t.pending, number, &args) }
    }
}

/// Translates the arguments as the row says and asks the host.
pub fn hand_on(c: &mut Call<'_>) -> i64 {
    hand_on_as(c, c.row.number)
}

/// The same under another number.
pub fn hand_on_as(c: &mut Call<'_>, number: i64) -> i64 {
    let mut args = c.a;
    let mut names: [Option<CString>; 6] = Default::default();
    for (i, kind) in c.row.spec.bytes().enumerate() {
        let v = c.a[i];
        args[i] = match kind {
            b'r' => c.k.space.input(v),
            b'w' => c.k.space.output(v, 256),
            b'b' => c.k.space.output(v, c.a.get(i + 1).copied().unwrap_or(0)),
            b'p' | b'c' if v != 0 => {
                let name = if kind == b'p' { c.path(v) } else { c.k.space.string(v) };
                match name {
                    Ok(name) => names[i].insert(name).as_ptr() as u64,
                    Err(e) => return e,
                }
            }
            _ => v,
        };
    }
    c.host(number, args)
}

/// -strace: the call, before it is made.
pub fn trace_call(c: &Call<'_>, number: u64) {
    let name = if c.row.name.is_empty() { format!("syscall_{number}") } else { c.row.name.to_owned() };
    let mut args = Vec::new();
    for (i, kind) in c.row.spec.bytes().enumerate() {
        args.push(match kind {
            b'p' | b'c' => c.k.space.string(c.a[i]).map_or_else(|_| format!("{:#x}", c.a[i]), |s| format!("{s:?}")),
            b'i' => match c.a[i] as i64 {
                v @ -4096..=4096 => v.to_string(),
                _ => format!("{:#x}", c.a[i]),
            },
            _ => format!("{:#x}", c.a[i]),
        });
    }
    eprint!("{} {name}({})", c.t.tid(), args.join(","));
    if matches!(c.row.name, "exit" | "exit_group" | "execve" | "execveat" | "rt_sigreturn") {
        eprintln!();
    }
}

/// Its result.
pub fn trace_result(_: &Call<'_>, result: i64) {
    match result {
        answer::NONE | answer::ENDED => eprintln!(" = ?"),
        host::RESTART => eprintln!(" = ? (interrupted)"),
        e @ -4095..=-1 => eprintln!(" = -1 ({})", std::io::Error::from_raw_os_error(-e as i32)),
        v if (0..65536).contains(&v) => eprintln!(" = {v}"),
        v => eprintln!(" = {v:#x}"),
    }
}

/// The rows, in the order of the generic table.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    no("io_setup", "asynchronous I/O is not there; programs do without"),
    no("io_destroy", "see io_setup"),
    no("io_submit", "see io_setup"),
    no("io_cancel", "see io_setup"),
    no("io_getevents", "see io_setup"),
    pass("setxattr", libc::SYS_setxattr, "pcrii"),
    pass("lsetxattr", libc::SYS_lsetxattr, "pcrii"),
    pass("fsetxattr", libc::SYS_fsetxattr, "icrii"),
    pass("getxattr", libc::SYS_getxattr, "pcbi"),
    pass("lgetxattr", libc::SYS_lgetxattr, "pcbi"),
    pass("fgetxattr", libc::SYS_fgetxattr, "icbi"),
    pass("listxattr", libc::SYS_listxattr, "pbi"),
    pass("llistxattr", libc::SYS_llistxattr, "pbi"),
    pass("flistxattr", libc::SYS_flistxattr, "ibi"),
    pass("removexattr", libc::SYS_removexattr, "pc"),
    pass("lremovexattr", libc::SYS_lremovexattr, "pc"),
    pass("fremovexattr", libc::SYS_fremovexattr, "ic"),
    pass("getcwd", libc::SYS_getcwd, "bi"),
    pass("eventfd2", libc::SYS_eventfd2, "ii"),
    pass("epoll_create1", libc::SYS_epoll_create1, "i"),
    own("epoll_ctl", Full, "", files::epoll_ctl, "iiir"),
    own("epoll_pwait", Full, "", files::epoll_pwait, "iwiirr"),
    own("dup", Full, "", files::dup, "i"),
    own("dup3", Full, "", files::dup3, "iii"),
    own("fcntl", Full, "", files::fcntl, "iii"),
    pass("inotify_init1", libc::SYS_inotify_init1, "i"),
    pass("inotify_add_watch", libc::SYS_inotify_add_watch, "ipi"),
    pass("inotify_rm_watch", libc::SYS_inotify_rm_watch, "ii"),
    own("ioctl", Partial, "requests whose structures differ or hold addresses are refused with ENOTTY", files::ioctl, "iii"),
    pass("ioprio_set", libc::SYS_ioprio_set, "iii"),
    pass("ioprio_get", libc::SYS_ioprio_get, "ii"),
    pass("flock", libc::SYS_flock, "ii"),
    pass("mknodat", libc::SYS_mknodat, "icii"),
    pass("mkdirat", libc::SYS_mkdirat, "ici"),
    pass("unlinkat", libc::SYS_unlinkat, "ici"),
    pass("symlinkat", libc::SYS_symlinkat, "cic"),
    pass("linkat", libc::SYS_linkat, "icici"),
    pass("renameat", libc::SYS_renameat, "icic"),
    pass("umount2", libc::SYS_umount2, "ci"),
    pass("mount", libc::SYS_mount, "cccir"),
    pass("pivot_root", libc::SYS_pivot_root, "cc"),
    pass("statfs", libc::SYS_statfs, "pw"),
    pass("fstatfs", libc::SYS_fstatfs, "iw"),
    pass("truncate", libc::SYS_truncate, "ci"),
    pass("ftruncate", libc::SYS_ftruncate, "ii"),
    pass("fallocate", libc::SYS_fallocate, "iiii"),
    pass("faccessat", libc::SYS_faccessat, "ipi"),
    own("chdir", Full, "", files::chdir, "p"),
    pass("fchdir", libc::SYS_fchdir, "i"),
    pass("chroot", libc::SYS_chroot, "c"),
    pass("fchmod", libc::SYS_fchmod, "ii"),
    pass("fchmodat", libc::SYS_fchmodat, "ici"),
    pass("fchownat", libc::SYS_fchownat, "iciii"),
    pass("fchown", libc::SYS_fchown, "iii"),
    own("openat", Full, "", files::openat, "ipii"),
    own("close", Full, "", files::close, "i"),
    pass("vhangup", libc::SYS_vhangup, ""),
    pass("pipe2", libc::SYS_pipe2, "wi"),
    pass("quotactl", libc::SYS_quotactl, "icir"),
    pass("getdents64", libc::SYS_getdents64, "ibi"),
    pass("lseek", libc::SYS_lseek, "iii"),
    pass("read", libc::SYS_read, "ibi"),
    pass("write", libc::SYS_write, "iri"),
    own("readv", Full, "", files::readv, "iri"),
    own("writev", Full, "", files::writev, "iri"),
    pass("pread64", libc::SYS_pread64, "ibii"),
    pass("pwrite64", libc::SYS_pwrite64, "irii"),
    own("preadv", Full, "", files::preadv, "iriii"),
    own("pwritev", Full, "", files::pwritev, "iriii"),
    pass("sendfile", libc::SYS_sendfile, "iiwi"),
    own("pselect6", Full, "", files::pselect6, "iwwwrr"),
    pass("ppoll", libc::SYS_ppoll, "wiwri"),
    pass("signalfd4", libc::SYS_signalfd4, "irii"),
    own("vmsplice", Full, "", files::vmsplice, "irii"),
    pass("splice", libc::SYS_splice, "iwiwii"),
    pass("tee", libc::SYS_tee, "iiii"),
    own("readlinkat", Full, "", files::readlinkat, "ipbi"),
    own("newfstatat", Full, "", files::newfstatat, "ipwi"),
    own("fstat", Full, "", files::fstat, "iw"),
    pass("sync", libc::SYS_sync, ""),
    pass("fsync", libc::SYS_fsync, "i"),
    pass("fdatasync", libc::SYS_fdatasync, "i"),
    pass("sync_file_range", libc::SYS_sync_file_range, "iiii"),
    pass("timerfd_create", libc::SYS_timerfd_create, "ii"),
    pass("timerfd_settime", libc::SYS_timerfd_settime, "iirw"),
    pass("timerfd_gettime", libc::SYS_timerfd_gettime, "iw"),
    pass("utimensat", libc::SYS_utimensat, "icri"),
    pass("acct", libc::SYS_acct, "c"),
    pass("capget", libc::SYS_capget, "ww"),
    pass("capset", libc::SYS_capset, "rr"),
    own("personality", Partial, "always that of Linux", process::personality, "i"),
    own("exit", Full, "", process::exit, "i"),
    own("exit_group", Full, "", process::exit_group, "i"),
    pass("waitid", libc::SYS_waitid, "iiwiw"),
    own("set_tid_address", Full, "", process::set_tid_address, "r"),
    own("unshare", Partial, "namespaces are the host's; not with threads", process::unshare, "i"),
    own("futex", Full, "", process::futex, "riirri"),
    own("set_robust_list", Partial, "not when a signal without a handler, which is the host's affair, ends the process", process::set_robust_list, "ri"),
    own("get_robust_list", Partial, "of the thread itself only", process::get_robust_list, "iww"),
    pass("nanosleep", libc::SYS_nanosleep, "rw"),
    pass("getitimer", libc::SYS_getitimer, "iw"),
    pass("setitimer", libc::SYS_setitimer, "irw"),
    not_permitted("kexec_load", "not for programs"),
    not_permitted("init_module", "not for programs"),
    not_permitted("delete_module", "not for programs"),
    own("timer_create", Full, "", process::timer_create, "irw"),
    pass("timer_gettime", libc::SYS_timer_gettime, "iw"),
    pass("timer_getoverrun", libc::SYS_timer_getoverrun, "i"),
    pass("timer_settime", libc::SYS_timer_settime, "iirw"),
    pass("timer_delete", libc::SYS_timer_delete, "i"),
    pass("clock_settime", libc::SYS_clock_settime, "ir"),
    pass("clock_gettime", libc::SYS_clock_gettime, "iw"),
    pass("clock_getres", libc::SYS_clock_getres, "iw"),
    pass("clock_nanosleep", libc::SYS_clock_nanosleep, "iirw"),
    pass("syslog", libc::SYS_syslog, "ibi"),
    not_permitted("ptrace", "a guest's registers are not the host process's; -gdb debugs"),
    pass("sched_setparam", libc::SYS_sched_setparam, "ir"),
    pass("sched_setscheduler", libc::SYS_sched_setscheduler, "iir"),
    pass("sched_getscheduler", libc::SYS_sched_getscheduler, "i"),
    pass("sched_getparam", libc::SYS_sched_getparam, "iw"),
    pass("sched_setaffinity", libc::SYS_sched_setaffinity, "iir"),
    pass("sched_getaffinity", libc::SYS_sched_getaffinity, "iiw"),
    pass("sched_yield", libc::SYS_sched_yield, ""),
    pass("sched_get_priority_max", libc::SYS_sched_get_priority_max, "i"),
    pass("sched_get_priority_min", libc::SYS_sched_get_priority_min, "i"),
    pass("sched_rr_get_interval", libc::SYS_sched_rr_get_interval, "iw"),
    pass("restart_syscall", libc::SYS_restart_syscall, ""),
    pass("kill", libc::SYS_kill, "ii"),
    pass("tkill", libc::SYS_tkill, "ii"),
    pass("tgkill", libc::SYS_tgkill, "iii"),
    own("sigaltstack", Full, "", signal::sigaltstack, "rw"),
    own("rt_sigsuspend", Full, "", signal::rt_sigsuspend, "ri"),
    own("rt_sigaction", Full, "", signal::rt_sigaction, "irwi"),
    own("rt_sigprocmask", Full, "", signal::rt_sigprocmask, "irwi"),
    pass("rt_sigpending", libc::SYS_rt_sigpending, "wi"),
    pass("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, "rwri"),
    pass("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, "iir"),
    own("rt_sigreturn", Full, "", signal::rt_sigreturn, ""),
    pass("setpriority", libc::SYS_setpriority, "iii"),
    pass("getpriority", libc::SYS_getpriority, "ii"),
    not_permitted("reboot", "not for programs"),
    pass("setregid", libc::SYS_setregid, "ii"),
    pass("setgid", libc::SYS_setgid, "i"),
    pass("setreuid", libc::SYS_setreuid, "ii"),
    pass("setuid", libc::SYS_setuid, "i"),
    pass("setresuid", libc::SYS_setresuid, "iii"),
    pass("getresuid", libc::SYS_getresuid, "www"),
    pass("setresgid", libc::SYS_setresgid, "iii"),
    pass("getresgid", libc::SYS_getresgid, "www"),
    pass("setfsuid", libc::SYS_setfsuid, "i"),
    pass("setfsgid", libc::SYS_setfsgid, "i"),
    pass("times", libc::SYS_times, "w"),
    pass("setpgid", libc::SYS_setpgid, "ii"),
    pass("getpgid", libc::SYS_getpgid, "i"),
    pass("getsid", libc::SYS_getsid, "i"),
    pass("setsid", libc::SYS_setsid, ""),
    pass("getgroups", libc::SYS_getgroups, "iw"),
    pass("setgroups", libc::SYS_setgroups, "ir"),
    own("uname", Full, "", process::uname, "w"),
    pass("sethostname", libc::SYS_sethostname, "ri"),
    pass("setdomainname", libc::SYS_setdomainname, "ri"),
    pass("getrlimit", libc::SYS_getrlimit, "iw"),
    own("setrlimit", Partial, "limits of memory are noted by nobody", process::setrlimit, "ir"),
    pass("getrusage", libc::SYS_getrusage, "iw"),
    pass("umask", libc::SYS_umask, "i"),
    own("prctl", Partial, "names, signals, no_new_privs, subreapers and the like; nothing that is about the host's own registers", process::prctl, "iiiii"),
    pass("getcpu", libc::SYS_getcpu, "wwi"),
    pass("gettimeofday", libc::SYS_gettimeofday, "ww"),
    pass("settimeofday", libc::SYS_settimeofday, "rr"),
    pass("adjtimex", libc::SYS_adjtimex, "w"),
    pass("getpid", libc::SYS_getpid, ""),
    pass("getppid", libc::SYS_getppid, ""),
    pass("getuid", libc::SYS_getuid, ""),
    pass("geteuid", libc::SYS_geteuid, ""),
    pass("getgid", libc::SYS_getgid, ""),
    pass("getegid", libc::SYS_getegid, ""),
    pass("gettid", libc::SYS_gettid, ""),
    pass("sysinfo", libc::SYS_sysinfo, "w"),
    pass("mq_open", libc::SYS_mq_open, "ciir"),
    pass("mq_unlink", libc::SYS_mq_unlink, "c"),
    pass("mq_timedsend", libc::SYS_mq_timedsend, "iriir"),
    pass("mq_timedreceive", libc::SYS_mq_timedreceive, "ibiwr"),
    no("mq_notify", "its structure holds an address of the guest"),
    pass("mq_getsetattr", libc::SYS_mq_getsetattr, "irw"),
    pass("msgget", libc::SYS_msgget, "ii"),
    pass("msgctl", libc::SYS_msgctl, "iiw"),
    pass("msgrcv", libc::SYS_msgrcv, "ibiii"),
    pass("msgsnd", libc::SYS_msgsnd, "irii"),
    pass("semget", libc::SYS_semget, "iii"),
    own("semctl", Partial, "SETALL, GETALL and SETVAL; of the structures only what both architectures have in one place", files::semctl, "iiii"),
    pass("semtimedop", libc::SYS_semtimedop, "irir"),
    pass("semop", libc::SYS_semop, "iri"),
    pass("shmget", libc::SYS_shmget, "iii"),
    pass("shmctl", libc::SYS_shmctl, "iiw"),
    own("shmat", Full, "", files::shmat, "iii"),
    own("shmdt", Full, "", files::shmdt, "i"),
    pass("socket", libc::SYS_socket, "iii"),
    pass("socketpair", libc::SYS_socketpair, "iiiw"),
    pass("bind", libc::SYS_bind, "iri"),
    pass("listen", libc::SYS_listen, "ii"),
    pass("accept", libc::SYS_accept, "iww"),
    pass("connect", libc::SYS_connect, "iri"),
    pass("getsockname", libc::SYS_getsockname, "iww"),
    pass("getpeername", libc::SYS_getpeername, "iww"),
    pass("sendto", libc::SYS_sendto, "iriiri"),
    pass("recvfrom", libc::SYS_recvfrom, "ibiiww"),
    pass("setsockopt", libc::SYS_setsockopt, "iiiri"),
    pass("getsockopt", libc::SYS_getsockopt, "iiiww"),
    pass("shutdown", libc::SYS_shutdown, "ii"),
    own("sendmsg", Full, "", files::sendmsg, "iri"),
    own("recvmsg", Full, "", files::recvmsg, "iwi"),
    pass("readahead", libc::SYS_readahead, "iii"),
    own("brk", Full, "", process::brk, "i"),
    own("munmap", Full, "", process::munmap, "ii"),
    own("mremap", Full, "", process::mremap, "iiiii"),
    not_permitted("add_key", "keys are the host's"),
    not_permitted("request_key", "keys are the host's"),
    not_permitted("keyctl", "keys are the host's"),
    own("clone", Full, "", process::clone, "iiiii"),
    own("execve", Full, "", exec::execve, "prr"),
    own("mmap", Full, "", process::mmap, "iiiiii"),
    pass("fadvise64", libc::SYS_fadvise64, "iiii"),
    pass("swapon", libc::SYS_swapon, "ci"),
    pass("swapoff", libc::SYS_swapoff, "c"),
    own("mprotect", Full, "", process::mprotect, "iii"),
    pass("msync", libc::SYS_msync, "rii"),
    pass("mlock", libc::SYS_mlock, "ri"),
    pass("munlock", libc::SYS_munlock, "ri"),
    own("mlockall", Partial, "does nothing: emu's own memory would be locked too", process::nothing, "i"),
    own("munlockall", Partial, "does nothing", process::nothing, ""),
    pass("mincore", libc::SYS_mincore, "riw"),
    own("madvise", Full, "", process::madvise, "rii"),
    no("remap_file_pages", "obsolete"),
    pass("mbind", libc::SYS_mbind, "riiwii"),
    pass("get_mempolicy", libc::SYS_get_mempolicy, "wwiri"),
    pass("set_mempolicy", libc::SYS_set_mempolicy, "iri"),
    no("migrate_pages", "not implemented"),
    no("move_pages", "not implemented"),
    pass("rt_tgsigqueueinfo", libc::SYS_rt_tgsigqueueinfo, "iiir"),
    not_permitted("perf_event_open", "would measure emu"),
    pass("accept4", libc::SYS_accept4, "iwwi"),
    own("recvmmsg", Full, "", files::recvmmsg, "iwiir"),
    own("riscv_hwprobe", Partial, "all CPUs are the same; not RISCV_HWPROBE_WHICH_CPUS", cpu::hwprobe, "wiiri"),
    own("riscv_flush_icache", Full, "", cpu::flush_icache, "iii"),
    pass("wait4", libc::SYS_wait4, "iwiw"),
    pass("prlimit64", libc::SYS_prlimit64, "iirw"),
    not_permitted("fanotify_init", "not implemented"),
    not_permitted("fanotify_mark", "not implemented"),
    pass("name_to_handle_at", libc::SYS_name_to_handle_at, "ipwwi"),
    pass("open_by_handle_at", libc::SYS_open_by_handle_at, "iri"),
    pass("clock_adjtime", libc::SYS_clock_adjtime, "iw"),
    pass("syncfs", libc::SYS_syncfs, "i"),
    pass("setns", libc::SYS_setns, "ii"),
    own("sendmmsg", Full, "", files::sendmmsg, "iwii"),
    own("process_vm_readv", Partial, "of the process itself only", files::process_vm_readv, "iririi"),
    own("process_vm_writev", Partial, "of the process itself only", files::process_vm_writev, "iririi"),
    no("kcmp", "not implemented"),
    not_permitted("finit_module", "not for programs"),
    pass("sched_setattr", libc::SYS_sched_setattr, "iri"),
    pass("sched_getattr", libc::SYS_sched_getattr, "ibii"),
    pass("renameat2", libc::SYS_renameat2, "icici"),
    own("seccomp", Partial, "filters are evaluated by emu for the guest's programs; without a listener, and programs of the host that they start go without", seccomp::seccomp, "iir"),
    pass("getrandom", libc::SYS_getrandom, "bii"),
    pass("memfd_create", libc::SYS_memfd_create, "ci"),
    not_permitted("bpf", "not for programs"),
    own("execveat", Full, "", exec::execveat, "iprri"),
    no("userfaultfd", "not implemented"),
    pass("membarrier", libc::SYS_membarrier, "iii"),
    pass("mlock2", libc::SYS_mlock2, "rii"),
    pass("copy_file_range", libc::SYS_copy_file_range, "iwiwii"),
    own("preadv2", Full, "", files::preadv2, "iriiii"),
    own("pwritev2", Full, "", files::pwritev2, "iriiii"),
    own("pkey_mprotect", Partial, "without a key only", process::pkey_mprotect, "iiii"),
    no("pkey_alloc", "there are no protection keys"),
    no("pkey_free", "there are no protection keys"),
    own("statx", Full, "", files::statx, "ipiiw"),
    no("io_pgetevents", "see io_setup"),
    no("rseq", "a sequence would have to be left wherever the host preempts its thread; the C library does without"),
    not_permitted("kexec_file_load", "not for programs"),
    pass("pidfd_send_signal", libc::SYS_pidfd_send_signal, "iiri"),
    no("io_uring_setup", "its rings hold addresses of the guest"),
    no("io_uring_enter", "see io_uring_setup"),
    no("io_uring_register", "see io_uring_setup"),
    pass("open_tree", libc::SYS_open_tree, "ipi"),
    pass("move_mount", libc::SYS_move_mount, "icici"),
    pass("fsopen", libc::SYS_fsopen, "ci"),
    pass("fsconfig", libc::SYS_fsconfig, "iirri"),
    pass("fsmount", libc::SYS_fsmount, "iii"),
    pass("fspick", libc::SYS_fspick, "ici"),
    pass("pidfd_open", libc::SYS_pidfd_open, "ii"),
    own("clone3", Partial, "not into control groups or with chosen process ids", process::clone3, "ri"),
    own("close_range", Full, "", files::close_range, "iii"),
    own("openat2", Full, "", files::openat2, "ipri"),
    pass("pidfd_getfd", libc::SYS_pidfd_getfd, "iii"),
    pass("faccessat2", libc::SYS_faccessat2, "ipii"),
    no("process_madvise", "not implemented"),
    own("epoll_pwait2", Full, "", files::epoll_pwait2, "iwirri"),
    no("mount_setattr", "not implemented"),
    no("quotactl_fd", "not implemented"),
    no("landlock_create_ruleset", "not implemented"),
    no("landlock_add_rule", "not implemented"),
    no("landlock_restrict_self", "not implemented"),
    no("memfd_secret", "not implemented"),
    no("process_mrelease", "not implemented"),
    no("futex_waitv", "its structures hold addresses of the guest"),
    no("set_mempolicy_home_node", "not implemented"),
    no("lookup_dcookie", "obsolete"),
    no("nfsservctl", "obsolete"),
    no("cachestat", "not implemented"),
    pass("fchmodat2", 452, "icii"),
    no("map_shadow_stack", "there are no shadow stacks"),
    no("futex_wake", "not implemented; futex does it"),
    no("futex_wait", "not implemented; futex does it"),
    no("futex_requeue", "not implemented; futex does it"),
    no("statmount", "not implemented"),
    no("listmount", "not implemented"),
    no("lsm_get_self_attr", "not implemented"),
    no("lsm_set_self_attr", "not implemented"),
    no("lsm_list_modules", "not implemented"),
    no("mseal", "not implemented"),
    no("setxattrat", "not implemented"),
    no("getxattrat", "not implemented"),
    no("listxattrat", "not implemented"),
    no("removexattrat", "not implemented"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CALLS.md");
        if std::env::var_os("EMU_BLESS").is_some() {
            std::fs::write(path, coverage()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), coverage(), "EMU_BLESS=1 writes it");
    }

    #[test]
    fn names_are_there_once_and_what_is_not_full_says_why() {
        for (i, r) in ROWS.iter().enumerate() {
            assert!(!ROWS[..i].iter().any(|o| o.name == r.name), "{}", r.name);
            assert_eq!(r.level == Full, r.note.is_empty(), "{}", r.name);
            assert!(r.spec.len() <= 6 && r.spec.bytes().all(|b| b"irwbpc".contains(&b)), "{}", r.name);
        }
    }
}
