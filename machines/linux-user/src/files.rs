//! Calls on files, sockets and what else has a descriptor, where a structure, a flag or an address needs translation.

use crate::calls::hand_on_as;
use crate::{Call, proc};
use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::Ordering;

const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

fn done(r: Result<(), i64>) -> i64 {
    r.map_or_else(|e| e, |()| 0)
}

// -- open flags ---------------------------------------------------------------------------------------------------------------------------

/// O_DIRECTORY, O_NOFOLLOW, O_DIRECT, O_LARGEFILE of the host, in the order of `LinuxAbi::open_flags`.
const HOST_FLAGS: [u64; 4] = [libc::O_DIRECTORY as u64, libc::O_NOFOLLOW as u64, libc::O_DIRECT as u64, 0o100000];

fn translate(v: u64, from: &[u64; 4], to: &[u64; 4]) -> u64 {
    let all = from.iter().fold(0, |a, b| a | b);
    from.iter().zip(to).filter(|(f, _)| v & **f == **f).fold(v & !all, |out, (_, t)| out | t)
}
fn to_host(c: &Call<'_>, flags: u64) -> u64 {
    translate(flags, &c.k.abi.open_flags.map(u64::from), &HOST_FLAGS)
}
fn from_host(c: &Call<'_>, flags: u64) -> u64 {
    translate(flags, &HOST_FLAGS, &c.k.abi.open_flags.map(u64::from))
}

pub fn openat(c: &mut Call<'_>) -> i64 {
    let name = match c.k.space.string(c.a[1]) {
        Ok(n) => n,
        Err(e) => return e,
    };
    if let Some(text) = proc::shown(c, name.as_bytes()) {
        return proc::memory_file(&text, c.a[2]);
    }
    let name = if let Some(program) = proc::program_of(c.k, name.as_bytes()) {
        CString::new(program.into_os_string().into_vec()).unwrap_or(name)
    } else if c.a[2] & libc::O_CREAT as u64 != 0 && c.k.options.prefix.is_some() {
        // A file that exists under the prefix is opened there, one that does not is made where it is said to be.
        let inside = c.k.path_of(Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())));
        CString::new(inside.as_os_str().as_bytes()).unwrap_or(name)
    } else {
        match c.path(c.a[1]) {
            Ok(n) => n,
            Err(e) => return e,
        }
    };
    c.host(libc::SYS_openat, [c.a[0], name.as_ptr() as u64, to_host(c, c.a[2]), c.a[3], 0, 0])
}

pub fn openat2(c: &mut Call<'_>) -> i64 {
    if c.a[3] < 24 {
        return EINVAL;
    }
    let mut how = match c.k.space.get::<[u64; 3]>(c.a[2]) {
        Ok(h) => h,
        Err(e) => return e,
    };
    how[0] = to_host(c, how[0]);
    let name = match c.path(c.a[1]) {
        Ok(n) => n,
        Err(e) => return e,
    };
    c.host(libc::SYS_openat2, [c.a[0], name.as_ptr() as u64, how.as_ptr() as u64, 24, 0, 0])
}

pub fn close(c: &mut Call<'_>) -> i64 {
    // emu's own descriptor is none of the guest's.
    if c.k.is_own(c.a[0]) {
        return -i64::from(libc::EBADF);
    }
    c.host(libc::SYS_close, c.a)
}

pub fn close_range(c: &mut Call<'_>) -> i64 {
    let (first, last, flags) = (c.a[0] as u32, c.a[1] as u32, c.a[2]);
    let mut own = [c.k.executable.load(Ordering::Relaxed), c.k.debugger].map(|fd| u32::try_from(fd).unwrap_or(u32::MAX));
    own.sort_unstable();
    if first > last || !own.iter().any(|fd| (first..=last).contains(fd)) {
        return c.host(libc::SYS_close_range, c.a);
    }
    // All but emu's own.
    let (mut r, mut from) = (0, u64::from(first));
    for end in own.into_iter().filter(|fd| (first..=last).contains(fd)).map(u64::from).chain([u64::from(last) + 1]) {
        if r == 0 && from < end {
            r = c.host(libc::SYS_close_range, [from, end - 1, flags, 0, 0, 0]);
        }
        from = end + 1;
    }
    r
}

pub fn dup(c: &mut Call<'_>) -> i64 {
    if c.k.is_own(c.a[0]) { -i64::from(libc::EBADF) } else { c.host(libc::SYS_dup, c.a) }
}
pub fn dup3(c: &mut Call<'_>) -> i64 {
    if c.k.is_own(c.a[0]) {
        return -i64::from(libc::EBADF);
    }
    if c.a[1] as i32 == c.k.debugger && c.k.debugger >= 0 {
        return -i64::from(libc::EBUSY);
    }
    if c.k.is_own(c.a[1]) {
        // emu's own makes room.
        let at = c.a[1] as i32;
        // SAFETY: descriptors of this process.
        let other = unsafe {
            let above = libc::fcntl(at, libc::F_DUPFD_CLOEXEC, at + 1);
            if above >= 0 { above } else { libc::fcntl(at, libc::F_DUPFD_CLOEXEC, 3) }
        };
        if other < 0 {
            return -i64::from(libc::EBUSY);
        }
        c.k.executable.store(other, Ordering::Relaxed);
    }
    c.host(libc::SYS_dup3, c.a)
}

pub fn fcntl(c: &mut Call<'_>) -> i64 {
    let [fd, command, v, ..] = c.a;
    if c.k.is_own(fd) {
        return -i64::from(libc::EBADF);
    }
    match command as i32 {
        libc::F_GETFL => match c.host(libc::SYS_fcntl, c.a) {
            r if r >= 0 => from_host(c, r as u64) as i64,
            r => r,
        },
        libc::F_SETFL => c.host(libc::SYS_fcntl, [fd, command, to_host(c, v), 0, 0, 0]),
        libc::F_GETLK | libc::F_SETLK | libc::F_SETLKW | libc::F_OFD_GETLK | libc::F_OFD_SETLK | libc::F_OFD_SETLKW => {
            c.host(libc::SYS_fcntl, [fd, command, c.k.space.output(v, 32), 0, 0, 0])
        }
        // F_SETOWN_EX, F_GETOWN_EX, and hints for writes.
        15 | 16 | 1035..=1038 => c.host(libc::SYS_fcntl, [fd, command, c.k.space.output(v, 8), 0, 0, 0]),
        _ => c.host(libc::SYS_fcntl, c.a),
    }
}

// -- vectors ------------------------------------------------------------------------------------------------------------------------------

/// The host's form of a vector of buffers.
fn vector(c: &Call<'_>, at: u64, count: u64, written: bool) -> Result<Vec<[u64; 2]>, i64> {
    if count > 1024 {
        return Err(EINVAL);
    }
    let mut list = Vec::with_capacity(count as usize);
    for i in 0..count {
        let [base, len] = c.k.space.get::<[u64; 2]>(at + i * 16)?;
        list.push([if written { c.k.space.output(base, len) } else { c.k.space.input(base) }, len]);
    }
    Ok(list)
}

fn with_vector(c: &mut Call<'_>, number: i64, written: bool) -> i64 {
    match vector(c, c.a[1], c.a[2] & 0xffff_ffff, written) {
        Ok(list) => {
            let [fd, _, n, a, b, flags] = c.a;
            c.host(number, [fd, list.as_ptr() as u64, n, a, b, flags])
        }
        Err(e) => e,
    }
}

pub fn readv(c: &mut Call<'_>) -> i64 {
    with_vector(c, libc::SYS_readv, true)
}
pub fn writev(c: &mut Call<'_>) -> i64 {
    with_vector(c, libc::SYS_writev, false)
}
pub fn preadv(c: &mut Call<'_>) -> i64 {
    with_vector(c, libc::SYS_preadv, true)
}
pub fn pwritev(c: &mut Call<'_>) -> i64 {
    with_vector(c, libc::SYS_pwritev, false)
}
pub fn preadv2(c: &mut Call<'_>) -> i64 {
    with_vector(c, libc::SYS_preadv2, true)
}
pub fn pwritev2(c: &mut Call<'_>) -> i64 {
    with_vector(c, libc::SYS_pwritev2, false)
}
pub fn vmsplice(c: &mut Call<'_>) -> i64 {
    match vector(c, c.a[1], c.a[2], true) {
        Ok(list) => c.host(libc::SYS_vmsplice, [c.a[0], list.as_ptr() as u64, c.a[2], c.a[3], 0, 0]),
        Err(e) => e,
    }
}

fn process_vm(c: &mut Call<'_>, number: i64, write: bool) -> i64 {
    let [pid, local, local_n, remote, remote_n, flags] = c.a;
    if pid as i32 != crate::host::getpid() {
        return -i64::from(libc::EPERM);
    }
    let lists = vector(c, local, local_n, !write).and_then(|l| Ok((l, vector(c, remote, remote_n, write)?)));
    match lists {
        Ok((l, r)) => c.host(number, [pid, l.as_ptr() as u64, local_n, r.as_ptr() as u64, remote_n, flags]),
        Err(e) => e,
    }
}
pub fn process_vm_readv(c: &mut Call<'_>) -> i64 {
    process_vm(c, libc::SYS_process_vm_readv, false)
}
pub fn process_vm_writev(c: &mut Call<'_>) -> i64 {
    process_vm(c, libc::SYS_process_vm_writev, true)
}

// -- messages -----------------------------------------------------------------------------------------------------------------------------

/// A `msghdr` of the host, with what its pointers lead to.
struct Message {
    header: [u64; 7],
    _list: Vec<[u64; 2]>,
}

/// Words of a `msghdr`: name, its length, vector, its length, control data, its length, flags.
fn message(c: &Call<'_>, at: u64, written: bool) -> Result<Message, i64> {
    let mut h = c.k.space.get::<[u64; 7]>(at)?;
    let list = vector(c, h[2], h[3], written)?;
    let s = &c.k.space;
    h[0] = if written { s.output(h[0], h[1] & 0xffff) } else { s.input(h[0]) };
    h[2] = list.as_ptr() as u64;
    h[4] = if written { s.output(h[4], h[5]) } else { s.input(h[4]) };
    Ok(Message { header: h, _list: list })
}

/// What a receive has written: lengths of the name and the control data, flags.
fn received(c: &Call<'_>, at: u64, m: &Message) -> Result<(), i64> {
    c.k.space.put(at + 8, m.header[1] as u32)?;
    c.k.space.put(at + 40, m.header[5])?;
    c.k.space.put(at + 48, m.header[6] as u32)
}

pub fn sendmsg(c: &mut Call<'_>) -> i64 {
    match message(c, c.a[1], false) {
        Ok(m) => c.host(libc::SYS_sendmsg, [c.a[0], m.header.as_ptr() as u64, c.a[2], 0, 0, 0]),
        Err(e) => e,
    }
}
pub fn recvmsg(c: &mut Call<'_>) -> i64 {
    let mut m = match message(c, c.a[1], true) {
        Ok(m) => m,
        Err(e) => return e,
    };
    let r = c.host(libc::SYS_recvmsg, [c.a[0], m.header.as_mut_ptr() as u64, c.a[2], 0, 0, 0]);
    if r >= 0
        && let Err(e) = received(c, c.a[1], &m)
    {
        return e;
    }
    r
}
pub fn sendmmsg(c: &mut Call<'_>) -> i64 {
    each_message(c, libc::SYS_sendmsg, c.a[3], false)
}
pub fn recvmmsg(c: &mut Call<'_>) -> i64 {
    // The time limit is looked at between messages only, as Linux does; here a call has no more than it finds.
    each_message(c, libc::SYS_recvmsg, c.a[3], true)
}
fn each_message(c: &mut Call<'_>, number: i64, flags: u64, written: bool) -> i64 {
    const MSG_WAITFORONE: u64 = 0x10000;
    let count = (c.a[2] as u32).min(1024);
    let mut flags = flags;
    for i in 0..u64::from(count) {
        let at = c.a[1] + i * 64;
        let r = match message(c, at, written) {
            Ok(mut m) => {
                let r = c.host(number, [c.a[0], m.header.as_mut_ptr() as u64, flags & !MSG_WAITFORONE, 0, 0, 0]);
                if r >= 0 && written { received(c, at, &m).map_or_else(|e| e, |()| r) } else { r }
            }
            Err(e) => e,
        };
        if r < 0 || c.k.space.put(at + 56, r as u32).is_err() {
            return if i == 0 { r } else { i as i64 };
        }
        if flags & MSG_WAITFORONE != 0 {
            flags |= libc::MSG_DONTWAIT as u64;
        }
    }
    count.into()
}

// -- waiting ------------------------------------------------------------------------------------------------------------------------------

/// An `epoll_event`: 12 bytes on the host, 16 in the generic layout.
pub fn epoll_ctl(c: &mut Call<'_>) -> i64 {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    if c.a[3] != 0 {
        match c.k.space.get::<[u64; 2]>(c.a[3]) {
            Ok([events, data]) => event = libc::epoll_event { events: events as u32, u64: data },
            Err(e) => return e,
        }
    }
    let p = if c.a[3] == 0 { 0 } else { core::ptr::from_ref(&event) as u64 };
    c.host(libc::SYS_epoll_ctl, [c.a[0], c.a[1], c.a[2], p, 0, 0])
}
fn epoll_wait(c: &mut Call<'_>, number: i64, timeout: u64) -> i64 {
    const BYTES: usize = size_of::<libc::epoll_event>();
    let max = (c.a[2] as i32).clamp(0, 1 << 20);
    if c.a[2] as i32 <= 0 || c.a[2] as i32 > i32::MAX / 16 {
        return EINVAL;
    }
    // Zeroes that cost nothing until the host writes something else.
    let mut events = vec![0u8; max as usize * BYTES];
    let mask = c.k.space.input(c.a[4]);
    let n = c.host(number, [c.a[0], events.as_mut_ptr() as u64, max as u64, timeout, mask, c.a[5]]);
    for (i, e) in events.chunks_exact(BYTES).take(n.max(0) as usize).enumerate() {
        let bits = u64::from(u32::from_le_bytes([e[0], e[1], e[2], e[3]]));
        let data = u64::from_le_bytes(std::array::from_fn(|b| e[4 + b]));
        if c.k.space.put(c.a[1] + i as u64 * 16, [bits, data]).is_err() {
            return EFAULT;
        }
    }
    n
}
pub fn epoll_pwait(c: &mut Call<'_>) -> i64 {
    epoll_wait(c, libc::SYS_epoll_pwait, c.a[3])
}
pub fn epoll_pwait2(c: &mut Call<'_>) -> i64 {
    epoll_wait(c, libc::SYS_epoll_pwait2, c.k.space.input(c.a[3]))
}

pub fn pselect6(c: &mut Call<'_>) -> i64 {
    let s = &c.k.space;
    let mask;
    let mut p = 0;
    if c.a[5] != 0 {
        match s.get::<[u64; 2]>(c.a[5]) {
            Ok([set, size]) => mask = [s.input(set), size],
            Err(e) => return e,
        }
        p = core::ptr::from_ref(&mask) as u64;
    }
    let [n, r, w, e, timeout, _] = c.a;
    let set = |a| s.output(a, 128);
    c.host(libc::SYS_pselect6, [n, set(r), set(w), set(e), s.output(timeout, 16), p])
}

// -- status -------------------------------------------------------------------------------------------------------------------------------

/// `struct stat` in the generic layout.
fn put_stat(c: &Call<'_>, at: u64, s: &libc::stat) -> Result<(), i64> {
    let mut b = [0u8; 128];
    let mut word = |at: usize, v: u64| b[at..at + 8].copy_from_slice(&v.to_le_bytes());
    word(0, s.st_dev);
    word(8, s.st_ino);
    word(16, u64::from(s.st_mode) | s.st_nlink << 32);
    word(24, u64::from(s.st_uid) | u64::from(s.st_gid) << 32);
    word(32, s.st_rdev);
    word(48, s.st_size as u64);
    word(56, s.st_blksize as u64 & 0xffff_ffff);
    word(64, s.st_blocks as u64);
    let times = [(s.st_atime, s.st_atime_nsec), (s.st_mtime, s.st_mtime_nsec), (s.st_ctime, s.st_ctime_nsec)];
    for (i, (seconds, ns)) in times.into_iter().enumerate() {
        word(72 + i * 16, seconds as u64);
        word(80 + i * 16, ns as u64);
    }
    c.k.space.write(at, &b)
}

fn stat_into(c: &mut Call<'_>, to: u64, number: i64, mut args: [u64; 6], at: usize) -> i64 {
    // SAFETY: zeroes are valid.
    let mut s: libc::stat = unsafe { core::mem::zeroed() };
    args[at] = core::ptr::from_mut(&mut s) as u64;
    match c.host(number, args) {
        0 => done(put_stat(c, to, &s)),
        r => r,
    }
}
pub fn newfstatat(c: &mut Call<'_>) -> i64 {
    if c.k.is_own(c.a[0]) {
        return -i64::from(libc::EBADF);
    }
    let name = match c.path(c.a[1]) {
        Ok(n) => n,
        Err(e) => return e,
    };
    let follow = c.a[3] & libc::AT_SYMLINK_NOFOLLOW as u64 == 0;
    let program = if follow { proc::program_of(c.k, name.as_bytes()) } else { None };
    let name = program.and_then(|p| CString::new(p.into_os_string().into_vec()).ok()).unwrap_or(name);
    stat_into(c, c.a[2], libc::SYS_newfstatat, [c.a[0], name.as_ptr() as u64, 0, c.a[3], 0, 0], 2)
}
pub fn fstat(c: &mut Call<'_>) -> i64 {
    if c.k.is_own(c.a[0]) {
        return -i64::from(libc::EBADF);
    }
    stat_into(c, c.a[1], libc::SYS_fstat, [c.a[0], 0, 0, 0, 0, 0], 1)
}
pub fn statx(c: &mut Call<'_>) -> i64 {
    if c.k.is_own(c.a[0]) {
        return -i64::from(libc::EBADF);
    }
    hand_on_as(c, libc::SYS_statx)
}

/// A directory is the host's if it has it: what getcwd says of it is then what the program asked for.
pub fn chdir(c: &mut Call<'_>) -> i64 {
    let name = match c.k.space.string(c.a[0]) {
        Ok(n) => n,
        Err(e) => return e,
    };
    match c.host(libc::SYS_chdir, [name.as_ptr() as u64, 0, 0, 0, 0, 0]) {
        e if e == -i64::from(libc::ENOENT) => hand_on_as(c, libc::SYS_chdir),
        r => r,
    }
}

pub fn readlinkat(c: &mut Call<'_>) -> i64 {
    let name = match c.k.space.string(c.a[1]) {
        Ok(n) => n,
        Err(e) => return e,
    };
    if let Some(program) = proc::program_of(c.k, name.as_bytes()) {
        let bytes = program.as_os_str().as_bytes();
        let n = bytes.len().min(c.a[3] as usize);
        return c.k.space.write(c.a[2], &bytes[..n]).map_or_else(|e| e, |()| n as i64);
    }
    hand_on_as(c, libc::SYS_readlinkat)
}

// -- ioctl --------------------------------------------------------------------------------------------------------------------------------

/// Requests and the bytes of what they point to; 0: a number. The generic numbers are the host's.
const REQUESTS: &[(u64, u64)] = &[
    (0x5401, 64), // TCGETS
    (0x5402, 64), // TCSETS, W, F
    (0x5403, 64),
    (0x5404, 64),
    (0x802c_542a, 64), // TCGETS2, TCSETS2, W2, F2
    (0x402c_542b, 64),
    (0x402c_542c, 64),
    (0x402c_542d, 64),
    (0x5409, 0), // TCSBRK, TCXONC, TCFLSH
    (0x540a, 0),
    (0x540b, 0),
    (0x540c, 0), // TIOCEXCL, TIOCNXCL, TIOCSCTTY
    (0x540d, 0),
    (0x540e, 0),
    (0x540f, 4), // TIOCGPGRP, TIOCSPGRP
    (0x5410, 4),
    (0x5411, 4), // TIOCOUTQ
    (0x5412, 1), // TIOCSTI
    (0x5413, 8), // TIOCGWINSZ, TIOCSWINSZ
    (0x5414, 8),
    (0x5415, 4), // TIOCMGET, BIS, BIC, SET
    (0x5416, 4),
    (0x5417, 4),
    (0x5418, 4),
    (0x541b, 4), // FIONREAD
    (0x5420, 4), // TIOCPKT
    (0x5421, 4), // FIONBIO
    (0x5422, 0), // TIOCNOTTY
    (0x5423, 4), // TIOCSETD, TIOCGETD
    (0x5424, 4),
    (0x5425, 0),      // TCSBRKP
    (0x5429, 4),      // TIOCGSID
    (0x8004_5430, 4), // TIOCGPTN
    (0x4004_5431, 4), // TIOCSPTLCK
    (0x8004_5438, 4), // TIOCGPKT
    (0x8004_5439, 4), // TIOCGPTLCK
    (0x8004_5440, 4), // TIOCGEXCL
    (0x5441, 0),      // TIOCGPTPEER
    (0x5450, 0),      // FIONCLEX, FIOCLEX
    (0x5451, 0),
    (0x5452, 4),      // FIOASYNC
    (0x5460, 4),      // FIOQSIZE
    (0x8004_6601, 8), // FS_IOC_GETFLAGS and family
    (0x8008_6601, 8),
    (0x4008_6602, 8),
    (0x8008_7601, 8),
    (0x4004_9409, 0),  // FICLONE
    (0x4020_940d, 32), // FICLONERANGE
    (0x8901, 4),       // FIOSETOWN and sockets' own
    (0x8902, 4),
    (0x8903, 4),
    (0x8904, 4),
    (0x8905, 4),
    (0x8906, 16), // SIOCGSTAMP, NS
    (0x8907, 16),
    (0x8910, 40), // SIOCGIFNAME
    (0x8913, 40), // SIOCGIFFLAGS, SIOCSIFFLAGS
    (0x8914, 40),
    (0x8915, 40), // addresses of interfaces
    (0x8916, 40),
    (0x8917, 40),
    (0x8919, 40),
    (0x891b, 40),
    (0x891d, 40), // SIOCGIFMETRIC, SIOCGIFMTU
    (0x8921, 40),
    (0x8927, 40),     // SIOCGIFHWADDR
    (0x8933, 40),     // SIOCGIFINDEX
    (0x1260, 8),      // BLKGETSIZE
    (0x1268, 4),      // BLKSSZGET
    (0x8008_1272, 8), // BLKGETSIZE64
    (0x8004_5200, 4), // RNDGETENTCNT
    (0x2000_0000, 0),
];

pub fn ioctl(c: &mut Call<'_>) -> i64 {
    let [fd, request, v, ..] = c.a;
    match REQUESTS.iter().find(|r| r.0 == request & 0xffff_ffff) {
        Some((_, 0)) => c.host(libc::SYS_ioctl, [fd, request, v, 0, 0, 0]),
        Some((_, bytes)) => c.host(libc::SYS_ioctl, [fd, request, c.k.space.output(v, *bytes), 0, 0, 0]),
        // SIOCGIFCONF: its structure points to a buffer.
        None if request == 0x8912 => {
            let mut conf = match c.k.space.get::<[u64; 2]>(v) {
                Ok(conf) => conf,
                Err(e) => return e,
            };
            conf[1] = c.k.space.output(conf[1], conf[0] & 0xffff_ffff);
            let r = c.host(libc::SYS_ioctl, [fd, request, conf.as_mut_ptr() as u64, 0, 0, 0]);
            if r < 0 { r } else { done(c.k.space.put(v, conf[0] as u32)) }
        }
        None => {
            emu_plugins_api::log::warn!(target: "unimplemented", "ioctl request {request:#x} is not implemented: ENOTTY");
            -i64::from(libc::ENOTTY)
        }
    }
}

// -- System V -----------------------------------------------------------------------------------------------------------------------------

pub fn shmat(c: &mut Call<'_>) -> i64 {
    let [id, wanted, flags, ..] = c.a;
    // SAFETY: zeroes are valid.
    let mut about: libc::shmid_ds = unsafe { core::mem::zeroed() };
    let r = c.host(libc::SYS_shmctl, [id, libc::IPC_STAT as u64, core::ptr::from_mut(&mut about) as u64, 0, 0, 0]);
    if r < 0 {
        return r;
    }
    let len = about.shm_segsz as u64;
    let prot = if flags & libc::SHM_RDONLY as u64 != 0 { 1 } else { 3 };
    let how = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | if wanted != 0 { libc::MAP_FIXED_NOREPLACE } else { 0 };
    // A place first, then the segment over it.
    let at = c.k.space.mmap(wanted & !4095, len, prot, how as u64, u64::MAX, 0, Some("SYSV"));
    if at < 0 {
        return at;
    }
    let r = c.host(libc::SYS_shmat, [id, c.k.space.host(at as u64), flags | libc::SHM_REMAP as u64, 0, 0, 0]);
    if (-4095..0).contains(&r) {
        c.k.space.munmap(at as u64, len);
        return r;
    }
    c.k.space.host.user_shared();
    at
}
pub fn shmdt(c: &mut Call<'_>) -> i64 {
    let at = c.k.space.untagged(c.a[0]);
    let end = match c.k.space.map().areas.get(&at) {
        Some(a) if a.name.as_deref() == Some("SYSV") => a.end,
        _ => return EINVAL,
    };
    // What is mapped over it goes; the host's count of attachments follows.
    c.k.space.munmap(at, end - at)
}
pub fn semctl(c: &mut Call<'_>) -> i64 {
    let [id, n, command, v, ..] = c.a;
    let v = match command as i32 & !0x100 {
        // IPC_STAT, IPC_SET, IPC_INFO, GETALL, SETALL, SEM_STAT, SEM_INFO, SEM_STAT_ANY.
        1..=3 | 13 | 17 | 18 | 19 | 20 => c.k.space.output(v, 4096),
        _ => v,
    };
    c.host(libc::SYS_semctl, [id, n, command, v, 0, 0])
}
