//! Processes and threads: what they are, how they begin and end, and calls about them and their memory. How one becomes another program is
//! in `exec`.

use crate::elf::Start;
use crate::{Call, Kernel, answer, host, signal};
use emu_plugins_api::CpuHeader;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Threads that there can be: as many as core has CPUs.
pub const THREADS_MAX: usize = 1 << 14;
const FUTEX_WAIT_PRIVATE: u64 = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as u64;
const FUTEX_WAKE_PRIVATE: u64 = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as u64;
const CLONE_DETACHED: u64 = 0x40_0000;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// A thread of the guest. Its own thread's, but for `pending`, which a handler on that thread sets.
pub struct Thread {
    pub cpu: *mut CpuHeader,
    tid: AtomicI32,
    /// The signal that waits to be delivered, and its siginfo.
    pub pending: AtomicU32,
    pub info: Cell<[u8; 128]>,
    /// A call was interrupted for a debugger.
    pub nudged: AtomicBool,
    /// Blocked signals.
    pub mask: Cell<u64>,
    /// The mask that a call had replaced while it waited.
    pub saved_mask: Cell<Option<u64>>,
    /// Blocked signals that the host cannot block.
    pub held: Cell<u64>,
    /// The alternate stack: address, size, flags.
    pub alternate: Cell<[u64; 3]>,
    /// Where to write 0, and wake, at the end.
    clear_tid: Cell<u64>,
    /// The list of robust futexes.
    robust: AtomicU64,
    /// What is done with signals.
    actions: signal::Actions,
    /// What its calls go through.
    pub filters: crate::seccomp::Filters,
    /// It is all of a process that lives in its parent's memory (vfork).
    pub guest: Cell<bool>,
}

impl Thread {
    fn new(cpu: *mut CpuHeader, actions: signal::Actions) -> Thread {
        Thread {
            cpu,
            tid: AtomicI32::new(host::gettid()),
            pending: AtomicU32::new(0),
            info: Cell::new([0; 128]),
            nudged: AtomicBool::new(false),
            mask: Cell::new(0),
            saved_mask: Cell::new(None),
            held: Cell::new(0),
            alternate: Cell::new([0, 0, 2]),
            clear_tid: Cell::new(0),
            robust: AtomicU64::new(0),
            actions,
            filters: Default::default(),
            guest: Cell::new(false),
        }
    }
    /// What is done with signals, locked.
    pub fn actions(&self) -> MutexGuard<'_, [host::KernelAction; 65]> {
        self.actions.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// What is done with a signal.
    pub fn action(&self, signal: u32) -> host::KernelAction {
        self.actions().get(signal as usize).copied().unwrap_or_default()
    }
    /// The host's, which is the guest's.
    pub fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }
}

/// What a new thread is given by its maker.
struct Birth {
    flags: u64,
    stack: u64,
    thread: u64,
    parent_tid: u64,
    child_tid: u64,
    /// The maker.
    by: *const Thread,
    /// It is a process of its own.
    vfork: bool,
    /// Filled in by the new thread; the maker waits for it.
    tid: AtomicI32,
    /// The record of a process of its own.
    record: Cell<*mut Thread>,
}

impl Kernel {
    fn make_current(&self, t: *mut Thread) {
        // SAFETY: the record lives, and this is its CPU's thread.
        let n = unsafe { (*(*t).cpu).index } as usize;
        self.threads[n].store(t, Ordering::SeqCst);
        self.most.fetch_max(n as u32 + 1, Ordering::SeqCst);
        signal::set_current(t);
    }
    fn add_thread(&self, t: Thread) {
        self.living.fetch_add(1, Ordering::SeqCst);
        self.make_current(Box::into_raw(Box::new(t)));
    }
    /// The program's first thread.
    pub fn first_thread(&self, cpu: *mut CpuHeader, start: &Start, actions: signal::Actions) {
        let t = Thread::new(cpu, actions);
        t.mask.set(host::mask());
        self.watch_signals(&t);
        self.inherit_filters(&t);
        self.add_thread(t);
        if self.debugger >= 0 {
            // SAFETY: no thread runs the CPU yet.
            unsafe { self.host.user_auxv(cpu, start.auxv) };
        }
        self.set_field(cpu, self.abi.stack, start.stack);
        // SAFETY: no thread runs the CPU yet.
        unsafe { (*cpu).pc = start.entry };
    }
    /// On the new thread: makes it what `clone` said.
    pub fn begin_thread(&self, cpu: *mut CpuHeader, argument: u64) {
        // The host's C library has unblocked a signal for its own purposes (32, for which programs' libraries have a use too). Nothing may come
        // before this is a thread of the guest's that others know.
        host::set_mask(!0);
        // SAFETY: the maker waits until `tid` is set, and does not touch it before.
        let birth = unsafe { &*(argument as *const Birth) };
        // SAFETY: as above.
        let by = unsafe { &*birth.by };
        let actions = if birth.vfork { Arc::new(Mutex::new(*by.actions())) } else { by.actions.clone() };
        let t = Thread { filters: by.filters.copy(), ..Thread::new(cpu, actions) };
        let mask = by.mask.get();
        t.mask.set(mask);
        self.child_state(cpu, birth.flags, birth.stack, birth.thread);
        let tid = t.tid();
        if birth.flags & libc::CLONE_CHILD_CLEARTID as u64 != 0 {
            t.clear_tid.set(birth.child_tid);
        }
        if birth.flags & libc::CLONE_PARENT_SETTID as u64 != 0 {
            let _ = self.space.put(birth.parent_tid, tid);
        }
        if birth.flags & libc::CLONE_CHILD_SETTID as u64 != 0 {
            let _ = self.space.put(birth.child_tid, tid);
        }
        if birth.vfork {
            t.guest.set(true);
            t.alternate.set(by.alternate.get());
            birth.record.set(Box::into_raw(Box::new(t)));
            self.make_current(birth.record.get());
            if birth.flags & CLONE_CLEAR_SIGHAND != 0 {
                // SAFETY: made just now.
                signal::clear_handlers(self, unsafe { &*birth.record.get() });
            }
            host::set_mask(mask);
            return;
        }
        self.add_thread(t);
        birth.tid.store(tid, Ordering::Release);
        // SAFETY: a wake looks at the address only; the maker may be gone by now.
        unsafe { host::plain(libc::SYS_futex, [birth.tid.as_ptr() as u64, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0]) };
        host::set_mask(mask);
    }
    fn child_state(&self, cpu: *mut CpuHeader, flags: u64, stack: u64, thread: u64) {
        self.set_field(cpu, self.abi.result, 0);
        if stack != 0 {
            self.set_field(cpu, self.abi.stack, stack);
        }
        if flags & libc::CLONE_SETTLS as u64 != 0 {
            self.set_field(cpu, self.abi.thread, thread);
        }
    }
    /// What the kernel does when a thread ends: robust futexes, then the word that others wait for.
    fn release(&self, t: &Thread) {
        self.release_robust(t);
        let word = t.clear_tid.get();
        if word != 0 && self.space.put(word, 0u32).is_ok() {
            // SAFETY: a wake looks at the address only.
            unsafe { host::plain(libc::SYS_futex, [self.space.host(word), libc::FUTEX_WAKE as u64, 1, 0, 0, 0]) };
        }
    }
    /// What it does when the process ends: other processes may wait for what its threads hold.
    pub fn release_all(&self) {
        // Who holds this may be the thread that is ending here, by a fault of emu's.
        let Ok(_census) = self.census.try_lock() else { return };
        for t in self.threads.iter().take(self.most.load(Ordering::SeqCst) as usize).map(|t| t.load(Ordering::SeqCst)).filter(|t| !t.is_null()) {
            // SAFETY: a record goes only after it has left the list, for which its thread needs the lock that is held here.
            self.release_robust(unsafe { &*t });
        }
    }
    fn release_robust(&self, t: &Thread) {
        const OWNER_DIED: u32 = 0x4000_0000;
        const TID: u32 = 0x3fff_ffff;
        const WAITERS: u32 = 0x8000_0000;
        let wake = |address: u64| {
            // SAFETY: a wake looks at the address only.
            unsafe { host::plain(libc::SYS_futex, [self.space.host(address), libc::FUTEX_WAKE as u64, 1, 0, 0, 0]) };
        };
        let died = |entry: u64, offset: i64| {
            let word = (entry & !1).wrapping_add_signed(offset);
            if let Ok(v) = self.space.get::<u32>(word)
                && v & TID == t.tid() as u32
            {
                let _ = self.space.put(word, v & WAITERS | OWNER_DIED);
                if v & WAITERS != 0 {
                    wake(word);
                }
            }
        };
        let head = t.robust.load(Ordering::Relaxed);
        if head != 0
            && let Ok([first, offset, pending]) = self.space.get::<[u64; 3]>(head)
        {
            let mut entry = first;
            for _ in 0..2048 {
                if entry & !1 == head || entry == 0 {
                    break;
                }
                let next = self.space.get::<u64>(entry & !1);
                if entry != pending {
                    died(entry, offset as i64);
                }
                match next {
                    Ok(next) => entry = next,
                    Err(_) => break,
                }
            }
            if pending != 0 {
                died(pending, offset as i64);
            }
        }
    }
}

pub fn exit(c: &mut Call<'_>) -> i64 {
    if c.t.guest.get() || c.k.living.fetch_sub(1, Ordering::SeqCst) == 1 {
        if !c.t.guest.get() {
            c.k.release_all();
        }
        c.k.host.user_exit((c.a[0] & 0xff) as i32);
        return answer::NONE;
    }
    leave_thread(c.k, c.t, c.cpu);
    answer::ENDED
}

/// Ends a thread of several.
pub fn end_thread(k: &Kernel, t: &Thread, cpu: *mut CpuHeader) {
    k.living.fetch_sub(1, Ordering::SeqCst);
    leave_thread(k, t, cpu);
}
fn leave_thread(k: &Kernel, t: &Thread, cpu: *mut CpuHeader) {
    // What comes for the process from now on is for those who stay.
    host::set_mask(!0);
    signal::set_current(std::ptr::null());
    k.release(t);
    let _census = k.census();
    // SAFETY: this is the CPU's thread; nobody else uses the record.
    unsafe {
        let n = (*cpu).index as usize;
        let t = k.threads[n].swap(std::ptr::null_mut(), Ordering::Relaxed);
        // The caller still looks at its `pending`, once.
        (*t).pending.store(0, Ordering::Relaxed);
        OLD.with(|old| drop(old.replace(Some(Box::from_raw(t)))));
    }
}

thread_local! {
    /// The record of the thread that has ended on this host thread, until that is gone too.
    static OLD: std::cell::RefCell<Option<Box<Thread>>> = const { std::cell::RefCell::new(None) };
}

pub fn exit_group(c: &mut Call<'_>) -> i64 {
    if !c.t.guest.get() {
        c.k.release_all();
    }
    c.k.host.user_exit((c.a[0] & 0xff) as i32);
    answer::NONE
}

/// The clone calls, with their arguments in one form.
struct Clone {
    flags: u64,
    exit_signal: u64,
    stack: u64,
    thread: u64,
    parent_tid: u64,
    child_tid: u64,
    /// Where CLONE_PIDFD puts its descriptor: for `clone` that is `parent_tid`.
    pidfd: u64,
}

pub fn clone(c: &mut Call<'_>) -> i64 {
    let [flags, stack, parent_tid, thread, child_tid, _] = c.a;
    if flags & libc::CLONE_PIDFD as u64 != 0 && flags & (libc::CLONE_PARENT_SETTID as u64 | CLONE_DETACHED) != 0 {
        return EINVAL;
    }
    do_clone(
        c,
        &Clone { flags: flags & 0xffff_ff00 & !CLONE_DETACHED, exit_signal: flags & 0xff, stack, thread, parent_tid, child_tid, pidfd: parent_tid },
    )
}

pub fn clone3(c: &mut Call<'_>) -> i64 {
    let size = c.a[1];
    if !(64..=4096).contains(&size) {
        return EINVAL;
    }
    let mut words = [0u64; 11];
    let mut bytes = vec![0u8; size.min(88) as usize];
    if let Err(e) = c.k.space.read(c.a[0], &mut bytes) {
        return e;
    }
    for (w, b) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *w = u64::from_le_bytes(std::array::from_fn(|i| b[i]));
    }
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, thread, set_tid, set_tid_size, cgroup] = words;
    if size > 88 {
        // What this kernel does not know has to be zero.
        let mut rest = vec![0u8; (size - 88) as usize];
        if let Err(e) = c.k.space.read(c.a[0] + 88, &mut rest) {
            return e;
        }
        if rest.iter().any(|b| *b != 0) {
            return -i64::from(libc::E2BIG);
        }
    }
    const KNOWN: u64 = 0xffff_ffff & !(CLONE_DETACHED | 0xff) | CLONE_CLEAR_SIGHAND | libc::CLONE_NEWTIME as u64;
    if flags & !KNOWN != 0 || set_tid != 0 || set_tid_size != 0 || cgroup != 0 || exit_signal > 64 || (stack == 0) != (stack_size == 0) {
        return EINVAL;
    }
    if flags & libc::CLONE_THREAD as u64 != 0 && exit_signal != 0 {
        return EINVAL;
    }
    if flags & CLONE_CLEAR_SIGHAND != 0 && flags & libc::CLONE_SIGHAND as u64 != 0 {
        return EINVAL;
    }
    let stack = if stack == 0 { 0 } else { stack + stack_size };
    do_clone(c, &Clone { flags, exit_signal, stack, thread, parent_tid, child_tid, pidfd })
}

fn do_clone(c: &mut Call<'_>, n: &Clone) -> i64 {
    let has = |f: i32| n.flags & f as u64 != 0;
    if has(libc::CLONE_SIGHAND) && !has(libc::CLONE_VM) {
        return EINVAL;
    }
    if has(libc::CLONE_THREAD) && has(libc::CLONE_PIDFD) {
        return EINVAL;
    }
    if has(libc::CLONE_THREAD) {
        const THREAD: i32 = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_FS | libc::CLONE_FILES;
        if n.flags & THREAD as u64 != THREAD as u64 {
            return EINVAL;
        }
        return new_thread(c, n);
    }
    if has(libc::CLONE_VM) && !has(libc::CLONE_VFORK) {
        // Memory shared between processes that both go on.
        return EINVAL;
    }
    const NAMESPACES: i32 = libc::CLONE_NEWNS
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWTIME;
    if has(NAMESPACES) || has(libc::CLONE_PARENT) || !matches!(n.exit_signal as i32, 0 | libc::SIGCHLD) {
        return EINVAL;
    }
    make_process(c, n)
}

fn new_thread(c: &mut Call<'_>, n: &Clone) -> i64 {
    let birth = Birth {
        flags: n.flags,
        stack: n.stack,
        thread: n.thread,
        parent_tid: n.parent_tid,
        child_tid: n.child_tid,
        by: c.t,
        vfork: false,
        tid: AtomicI32::new(0),
        record: Cell::new(std::ptr::null_mut()),
    };
    if c.t.guest.get() {
        // Its parent's CPUs are not its own.
        return -i64::from(libc::EAGAIN);
    }
    // The new thread begins with everything blocked, until it is one of the guest's.
    host::set_mask(!0);
    // SAFETY: this is the CPU's thread.
    let made = unsafe { c.k.host.user_thread(c.cpu, core::ptr::from_ref(&birth) as u64) };
    let mut tid = -libc::EAGAIN;
    if made {
        loop {
            tid = birth.tid.load(Ordering::Acquire);
            if tid != 0 {
                break;
            }
            // SAFETY: the word lives; the wait ends when it is no longer 0.
            unsafe { host::plain(libc::SYS_futex, [birth.tid.as_ptr() as u64, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0]) };
        }
    }
    if c.t.pending.load(Ordering::SeqCst) == 0 {
        host::set_mask(c.t.mask.get());
    }
    tid.into()
}

/// vfork: the child has the memory, and the parent waits until it has ended or become another program.
fn new_guest(c: &mut Call<'_>, n: &Clone) -> i64 {
    let birth = Birth {
        flags: n.flags,
        stack: n.stack,
        thread: n.thread,
        parent_tid: n.parent_tid,
        child_tid: n.child_tid,
        by: c.t,
        vfork: true,
        tid: AtomicI32::new(0),
        record: Cell::new(std::ptr::null_mut()),
    };
    host::set_mask(!0);
    // SAFETY: this is the CPU's thread.
    let pid = unsafe { c.k.host.user_vfork(c.cpu, core::ptr::from_ref(&birth) as u64) };
    c.k.make_current(core::ptr::from_ref(c.t).cast_mut());
    if !birth.record.get().is_null() {
        // SAFETY: the child made it, and has no more use for it.
        drop(unsafe { Box::from_raw(birth.record.get()) });
    }
    pid
}

fn new_process(c: &mut Call<'_>, n: &Clone) -> i64 {
    let map = c.k.space.map();
    let census = c.k.census();
    let actions = c.t.actions();
    host::set_mask(!0);
    // SAFETY: this is the CPU's thread.
    let pid = unsafe { c.k.host.user_fork(c.cpu) };
    drop((map, census, actions));
    if pid == 0 {
        c.t.tid.store(host::gettid(), Ordering::Relaxed);
        c.k.living.store(1, Ordering::SeqCst);
        // SAFETY: this is the CPU's thread.
        let own = unsafe { (*c.cpu).index } as usize;
        for (_, t) in c.k.threads.iter().enumerate().filter(|(i, _)| *i != own) {
            t.store(std::ptr::null_mut(), Ordering::Relaxed);
        }
        c.t.robust.store(0, Ordering::Relaxed);
        c.t.clear_tid.set(if n.flags & libc::CLONE_CHILD_CLEARTID as u64 != 0 { n.child_tid } else { 0 });
        if n.flags & libc::CLONE_CHILD_SETTID as u64 != 0 {
            let _ = c.k.space.put(n.child_tid, c.t.tid());
        }
        c.k.child_state(c.cpu, n.flags, n.stack, n.thread);
        c.t.guest.set(false);
        if n.flags & CLONE_CLEAR_SIGHAND != 0 {
            signal::clear_handlers(c.k, c.t);
        }
    }
    if pid > 0 && n.flags & libc::CLONE_PARENT_SETTID as u64 != 0 {
        let _ = c.k.space.put(n.parent_tid, pid as i32);
    }
    pid
}

/// Makes the process, and a descriptor of it if one is wanted.
fn make_process(c: &mut Call<'_>, n: &Clone) -> i64 {
    // Room for the descriptor first, so that nothing has to be undone.
    if n.flags & libc::CLONE_PIDFD as u64 != 0
        && let Err(e) = c.k.space.put(n.pidfd, -1i32)
    {
        return e;
    }
    let pid = if n.flags & libc::CLONE_VFORK as u64 != 0 && n.flags & libc::CLONE_VM as u64 != 0 { new_guest(c, n) } else { new_process(c, n) };
    if pid > 0 && n.flags & libc::CLONE_PIDFD as u64 != 0 {
        // SAFETY: touches no memory.
        let fd = unsafe { host::plain(libc::SYS_pidfd_open, [pid as u64, 0, 0, 0, 0, 0]) };
        let _ = c.k.space.put(n.pidfd, fd as i32);
    }
    if c.t.pending.load(Ordering::SeqCst) == 0 {
        host::set_mask(c.t.mask.get());
    }
    if pid == 0 { answer::NONE } else { pid }
}

pub fn set_tid_address(c: &mut Call<'_>) -> i64 {
    c.t.clear_tid.set(c.a[0]);
    c.t.tid().into()
}
pub fn set_robust_list(c: &mut Call<'_>) -> i64 {
    if c.a[1] != 24 {
        return EINVAL;
    }
    c.t.robust.store(c.a[0], Ordering::Relaxed);
    0
}
pub fn get_robust_list(c: &mut Call<'_>) -> i64 {
    if c.a[0] != 0 && c.a[0] as i32 != c.t.tid() {
        return -i64::from(libc::EPERM);
    }
    let done = c.k.space.put(c.a[1], c.t.robust.load(Ordering::Relaxed)).and_then(|()| c.k.space.put(c.a[2], 24u64));
    done.map_or_else(|e| e, |()| 0)
}

pub fn futex(c: &mut Call<'_>) -> i64 {
    let [address, op, value, timeout, second, third] = c.a;
    let command = op as i32 & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    let timeout = match command {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET | libc::FUTEX_LOCK_PI | libc::FUTEX_WAIT_REQUEUE_PI | 13 => c.k.space.input(timeout),
        _ => timeout,
    };
    let s = &c.k.space;
    c.host(libc::SYS_futex, [s.host(address), op, value, timeout, s.input(second), third])
}

pub fn timer_create(c: &mut Call<'_>) -> i64 {
    let [clock, event, id, ..] = c.a;
    let mut copy = [0u64; 8];
    if event != 0 {
        match c.k.space.get::<[u64; 8]>(event) {
            Ok(e) => copy = e,
            Err(e) => return e,
        }
    }
    let p = if event == 0 { 0 } else { copy.as_ptr() as u64 };
    c.host(libc::SYS_timer_create, [clock, p, c.k.space.output(id, 4), 0, 0, 0])
}

pub fn personality(c: &mut Call<'_>) -> i64 {
    if c.a[0] as u32 == u32::MAX || c.a[0] & 0xff == 0 { 0 } else { EINVAL }
}
pub fn unshare(c: &mut Call<'_>) -> i64 {
    c.host(libc::SYS_unshare, c.a)
}
pub fn nothing(_: &mut Call<'_>) -> i64 {
    0
}

pub fn uname(c: &mut Call<'_>) -> i64 {
    let mut names = [[0u8; 65]; 6];
    // SAFETY: the structure is six arrays of 65 bytes.
    let r = unsafe { host::plain(libc::SYS_uname, [names.as_mut_ptr() as u64, 0, 0, 0, 0, 0]) };
    if r < 0 {
        return r;
    }
    names[4] = [0; 65];
    let machine = c.k.abi.machine.get().as_bytes();
    names[4][..machine.len()].copy_from_slice(machine);
    if let Some(release) = &c.k.options.uname {
        names[2] = [0; 65];
        let bytes = release.as_bytes();
        let len = bytes.len().min(64);
        names[2][..len].copy_from_slice(&bytes[..len]);
    }
    c.k.space.put(c.a[0], names).map_or_else(|e| e, |()| 0)
}

pub fn setrlimit(c: &mut Call<'_>) -> i64 {
    match c.a[0] as u32 {
        // emu's own address space has the guest's in it, and more.
        libc::RLIMIT_AS | libc::RLIMIT_DATA => 0,
        _ => c.host(libc::SYS_setrlimit, [c.a[0], c.k.space.input(c.a[1]), 0, 0, 0, 0]),
    }
}

pub fn prctl(c: &mut Call<'_>) -> i64 {
    const PR_SET_VMA: i32 = 0x5356_4d41;
    const PR_SET_TAGGED_ADDR_CTRL: i32 = 55;
    const PR_GET_TAGGED_ADDR_CTRL: i32 = 56;
    let s = &c.k.space;
    let [option, a, ..] = c.a;
    match option as i32 {
        libc::PR_GET_SECCOMP | libc::PR_SET_SECCOMP => crate::seccomp::prctl(c),
        libc::PR_SET_NAME => c.host(libc::SYS_prctl, [option, s.input(a), 0, 0, 0, 0]),
        libc::PR_GET_NAME => c.host(libc::SYS_prctl, [option, s.output(a, 16), 0, 0, 0, 0]),
        libc::PR_GET_PDEATHSIG | libc::PR_GET_CHILD_SUBREAPER => c.host(libc::SYS_prctl, [option, s.output(a, 4), 0, 0, 0, 0]),
        libc::PR_SET_PDEATHSIG
        | libc::PR_SET_DUMPABLE
        | libc::PR_GET_DUMPABLE
        | libc::PR_SET_KEEPCAPS
        | libc::PR_GET_KEEPCAPS
        | libc::PR_SET_CHILD_SUBREAPER
        | libc::PR_SET_NO_NEW_PRIVS
        | libc::PR_GET_NO_NEW_PRIVS
        | libc::PR_CAPBSET_READ
        | libc::PR_CAPBSET_DROP
        | libc::PR_CAP_AMBIENT
        | libc::PR_GET_SECUREBITS
        | libc::PR_SET_SECUREBITS
        | libc::PR_SET_TIMERSLACK
        | libc::PR_GET_TIMERSLACK
        | libc::PR_SET_PTRACER => c.host(libc::SYS_prctl, c.a),
        libc::PR_SET_THP_DISABLE | libc::PR_GET_THP_DISABLE => c.host(libc::SYS_prctl, c.a),
        PR_SET_VMA => 0,
        PR_SET_TAGGED_ADDR_CTRL if a <= 1 && s.is_tagged() => 0,
        PR_GET_TAGGED_ADDR_CTRL if s.is_tagged() => 0,
        _ => EINVAL,
    }
}

pub fn brk(c: &mut Call<'_>) -> i64 {
    c.k.space.brk(c.a[0])
}
pub fn mmap(c: &mut Call<'_>) -> i64 {
    let [address, len, prot, flags, fd, offset] = c.a;
    c.k.space.mmap(address, len, prot, flags, fd as i32 as u64, offset, None)
}
pub fn munmap(c: &mut Call<'_>) -> i64 {
    c.k.space.munmap(c.a[0], c.a[1])
}
pub fn mprotect(c: &mut Call<'_>) -> i64 {
    c.k.space.mprotect(c.a[0], c.a[1], c.a[2])
}
pub fn pkey_mprotect(c: &mut Call<'_>) -> i64 {
    if c.a[3] as i32 == -1 { mprotect(c) } else { EINVAL }
}
pub fn mremap(c: &mut Call<'_>) -> i64 {
    c.k.space.mremap(c.a[0], c.a[1], c.a[2], c.a[3], c.a[4])
}
pub fn madvise(c: &mut Call<'_>) -> i64 {
    let [address, len, advice, ..] = c.a;
    let s = &c.k.space;
    let start = s.untagged(address);
    if start.saturating_add(len) > s.memory.size {
        return -i64::from(libc::ENOMEM);
    }
    if start & 4095 != 0 {
        return EINVAL;
    }
    match advice as i32 {
        libc::MADV_DONTNEED | libc::MADV_REMOVE | libc::MADV_FREE => s.host.user_writes(start, len.max(1)),
        // Over a fork the window's own bookkeeping would be at odds with what is there.
        libc::MADV_DONTFORK | libc::MADV_DOFORK | libc::MADV_WIPEONFORK | libc::MADV_KEEPONFORK => return 0,
        _ => {}
    }
    let r = c.host(libc::SYS_madvise, [s.host(address), len, advice, 0, 0, 0]);
    if r == EFAULT { -i64::from(libc::ENOMEM) } else { r }
}
