//! Signals.
//!
//! A signal that the guest has a handler for comes to [`on_signal`], which notes it, blocks all others on the host until it has been
//! delivered, and makes the thread look: by `exit_request` if it runs the guest's code, by the way out of `host::call` if it is in a call or
//! about to make one. So one note a thread is enough; the queue is the host's. Signals without a handler are the host's affair altogether:
//! it ignores, stops, ends as the guest would be, and whoever waits for the process sees the very signal.

use crate::host::{self, KernelAction};
use crate::process::Thread;
use crate::{Call, Kernel, answer};
use emu_plugins_api::{LinuxAbi, LinuxSignal, Onward, UserFault};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;
const SA_NOCLDSTOP: u64 = 1;
const SA_NOCLDWAIT: u64 = 2;
const SA_SIGINFO: u64 = 4;
const SA_ONSTACK: u64 = 0x0800_0000;
const SA_RESTART: u64 = 0x1000_0000;
const SA_NODEFER: u64 = 0x4000_0000;
const SA_RESETHAND: u64 = 0x8000_0000;
const SA_RESTORER: u64 = 0x0400_0000;
const SS_ONSTACK: u64 = 1;
const SS_DISABLE: u64 = 2;
const SS_AUTODISARM: u64 = 1 << 31;
const EINVAL: i64 = -(libc::EINVAL as i64);

/// Signals that cannot be blocked.
const NO_BLOCK: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);

/// What the guest does with its signals: a process's own, as threads are one.
pub type Actions = Arc<Mutex<[KernelAction; 65]>>;

thread_local! {
    /// This host thread's guest thread.
    static CURRENT: Cell<*const Thread> = const { Cell::new(std::ptr::null()) };
}

/// Makes the thread known to handlers on its host thread.
pub fn set_current(t: *const Thread) {
    CURRENT.set(t);
}

/// Core's: their handlers stay.
fn is_cores(signal: u32) -> bool {
    matches!(signal as i32, libc::SIGSEGV | libc::SIGBUS)
}

/// What the process inherited.
pub fn inherited(ignored_pipe: bool) -> Actions {
    let mut actions = [KernelAction::default(); 65];
    for (n, a) in actions.iter_mut().enumerate().skip(1) {
        // SIGPIPE is ignored by the runtime of emu's own language; the command has looked before that.
        if n as i32 == libc::SIGPIPE {
            a.handler = if ignored_pipe { SIG_IGN } else { SIG_DFL };
        } else if host::action_of(n as u32).handler == SIG_IGN {
            a.handler = SIG_IGN;
        }
    }
    host::set_action(libc::SIGPIPE as u32, actions[libc::SIGPIPE as usize]);
    Arc::new(Mutex::new(actions))
}

/// The host's handler.
///
/// # Safety
/// The arguments are those of a handler.
pub unsafe extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let t = CURRENT.get();
    if t.is_null() {
        return;
    }
    // SAFETY: the thread's record lives as long as it is current; the host's kernel filled in the rest.
    unsafe {
        let t = &*t;
        let context = &mut *context.cast::<libc::ucontext_t>();
        let rip = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
        if signal == 0 {
            // Core wants the thread, for a debugger.
            t.nudged.store(true, Ordering::SeqCst);
            if let Some(way) = host::way_out(*rip as u64) {
                *rip = way as i64;
            }
            return;
        }
        if t.pending.load(Ordering::Relaxed) == 0 {
            let mut bytes = [0u8; 128];
            core::ptr::copy_nonoverlapping(info.cast::<u8>(), bytes.as_mut_ptr(), bytes.len());
            t.info.set(bytes);
            t.pending.store(signal as u32, Ordering::SeqCst);
        }
        // Until it is delivered no other shall come. (The call that makes the mask of a handler's return takes what is written here.)
        let mask = core::ptr::from_mut(&mut context.uc_sigmask).cast::<u64>();
        mask.write(!(1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1)));
        (*t.cpu).exit_request.store(1, Ordering::SeqCst);
        if let Some(way) = host::way_out(*rip as u64) {
            *rip = way as i64;
        }
    }
}

/// Signals whose default is to be ignored, and those that stop the process.
fn is_ignored_by_default(signal: u32) -> bool {
    matches!(signal as i32, libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH)
}
fn stops_by_default(signal: u32) -> bool {
    matches!(signal as i32, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

/// The guest's `struct sigaction`: the host kernel's, perhaps without the member for where handlers return to.
fn read_action(k: &Kernel, at: u64) -> Result<KernelAction, i64> {
    if k.has_restorer() {
        return k.space.get(at);
    }
    let [handler, flags, mask] = k.space.get::<[u64; 3]>(at)?;
    Ok(KernelAction { handler, flags, restorer: 0, mask })
}
fn write_action(k: &Kernel, at: u64, a: KernelAction) -> Result<(), i64> {
    if k.has_restorer() { k.space.put(at, a) } else { k.space.put(at, [a.handler, a.flags, a.mask]) }
}

impl Kernel {
    /// The host's action for one of the guest's. With a debugger emu itself carries out what a signal does by default, so as to tell of it before.
    fn host_action(&self, signal: u32, a: &KernelAction) -> KernelAction {
        let flags = a.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
        let seen = a.handler > SIG_IGN || a.handler == SIG_DFL && self.debugger >= 0 && !is_ignored_by_default(signal);
        if !seen {
            return KernelAction { handler: a.handler, flags, ..Default::default() };
        }
        let flags = flags | SA_SIGINFO | SA_ONSTACK | a.flags & SA_RESTART;
        KernelAction { handler: on_signal as *const () as u64, flags, restorer: 0, mask: !0 }
    }
    /// With a debugger: what the process begins with.
    pub fn watch_signals(&self, t: &Thread) {
        for n in (1..=64).filter(|n| self.debugger >= 0 && !is_cores(*n) && !matches!(*n as i32, libc::SIGKILL | libc::SIGSTOP)) {
            host::set_action(n, self.host_action(n, &t.action(n)));
        }
    }
    fn has_restorer(&self) -> bool {
        self.abi.flags & LinuxAbi::NO_RESTORER == 0
    }
    /// Delivers what `on_signal` noted.
    pub fn deliver_pending(&self, t: &Thread) -> Onward {
        let signal = t.pending.load(Ordering::SeqCst);
        let info = t.info.get();
        let action = t.action(signal);
        let blocked = t.mask.get() >> (signal - 1) & 1 != 0 && t.saved_mask.get().is_none();
        t.pending.store(0, Ordering::SeqCst);
        let (signal, action) = match self.asked(t, signal, blocked) {
            // The debugger has none of it.
            0 => {
                t.mask.set(t.saved_mask.take().unwrap_or(t.mask.get()));
                host::set_mask(t.mask.get());
                return Onward::RUN;
            }
            same if same == signal => (signal, action),
            other => (other, t.action(other)),
        };
        if action.handler > SIG_IGN && !blocked {
            return self.enter_handler(t, signal, &action, info, [0; 2]);
        }
        let mask = t.saved_mask.take().unwrap_or(t.mask.get());
        t.mask.set(mask);
        if is_cores(signal) {
            // Sent by somebody, to a handler that stays on the host.
            if blocked {
                t.held.set(t.held.get() | 1 << (signal - 1));
            } else if action.handler == SIG_DFL {
                self.end_told(t, signal);
            }
        } else if action.handler == SIG_DFL && !blocked && self.debugger >= 0 {
            if stops_by_default(signal) {
                // SAFETY: touches no memory.
                unsafe { host::plain(libc::SYS_kill, [host::getpid() as u64, libc::SIGSTOP as u64, 0, 0, 0, 0]) };
            } else if !is_ignored_by_default(signal) {
                self.end_told(t, signal);
            }
        } else if action.handler == SIG_DFL || blocked {
            // It was the guest's when it came; send it again, to be what it is now.
            let p = info.as_ptr() as u64;
            let args = [host::getpid() as u64, host::gettid() as u64, signal.into(), p, 0, 0];
            // SAFETY: the info is readable.
            if unsafe { host::plain(libc::SYS_rt_tgsigqueueinfo, args) } < 0 {
                // Not with a code of the kernel's.
                // SAFETY: touches no memory.
                unsafe { host::plain(libc::SYS_tgkill, [args[0], args[1], args[2], 0, 0, 0]) };
            }
        }
        host::set_mask(mask);
        Onward::RUN
    }
    /// What a debugger says of a signal that is about to be delivered.
    fn asked(&self, t: &Thread, signal: u32, blocked: bool) -> u32 {
        // SAFETY: this is the CPU's thread.
        if self.debugger < 0 || blocked { signal } else { unsafe { self.host.user_signal(t.cpu, signal) } }
    }
    /// Ends the process by a signal; a debugger is told before.
    pub fn end_told(&self, t: &Thread, signal: u32) -> ! {
        if self.debugger >= 0 {
            // SAFETY: this is the CPU's thread.
            unsafe { self.host.user_dies(t.cpu, signal) };
        }
        if !t.guest.get() {
            self.release_all();
        }
        end_by(signal)
    }
    fn enter_handler(&self, t: &Thread, signal: u32, action: &KernelAction, info: [u8; 128], fault: [u64; 2]) -> Onward {
        let sp = self.field(t.cpu, self.abi.stack);
        let [base, size, flags] = t.alternate.get();
        let usable = flags & SS_DISABLE == 0 && size != 0;
        let on_it = usable && flags & SS_AUTODISARM == 0 && sp > base && sp <= base + size;
        let switch = usable && !on_it && action.flags & SA_ONSTACK != 0;
        let shown = if !usable { SS_DISABLE } else { flags & SS_AUTODISARM | if on_it { SS_ONSTACK } else { 0 } };
        let mask = t.saved_mask.take().unwrap_or(t.mask.get());
        let frame = LinuxSignal {
            signal,
            siginfo_wanted: u32::from(action.flags & SA_SIGINFO != 0),
            handler: action.handler,
            restorer: if action.flags & SA_RESTORER != 0 && self.has_restorer() { action.restorer } else { self.trampoline.load(Ordering::Relaxed) },
            mask,
            stack_top: if switch { base + size } else { sp },
            alternate: [base, size, shown],
            siginfo: info,
            fault,
        };
        // SAFETY: this is the CPU's thread.
        if !unsafe { self.host.linux_signal(t.cpu, &frame) } {
            return self.die(t, libc::SIGSEGV as u32, "its stack has no room for a signal's frame");
        }
        if flags & SS_AUTODISARM != 0 && switch {
            t.alternate.set([0, 0, SS_DISABLE]);
        }
        let mut now = mask | action.mask;
        if action.flags & SA_NODEFER == 0 {
            now |= 1 << (signal - 1);
        }
        if action.flags & SA_RESETHAND != 0 {
            t.actions()[signal as usize].handler = SIG_DFL;
            if !is_cores(signal) {
                host::set_action(signal, self.host_action(signal, &KernelAction::default()));
            }
        }
        t.mask.set(now & !NO_BLOCK);
        host::set_mask(t.mask.get());
        Onward::RUN
    }
    /// The guest's mask has changed: the host's follows, and what was held back comes.
    pub fn follow_mask(&self, t: &Thread) {
        let now = t.held.get() & !t.mask.get();
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            if now >> (signal - 1) & 1 != 0 {
                t.held.set(t.held.get() & !(1 << (signal - 1)));
                // SAFETY: touches no memory.
                unsafe { host::plain(libc::SYS_tgkill, [host::getpid() as u64, host::gettid() as u64, signal as u64, 0, 0, 0]) };
            }
        }
        // While a signal waits to be delivered all are blocked on the host; its delivery sets the mask.
        if t.pending.load(Ordering::SeqCst) == 0 {
            host::set_mask(t.mask.get());
        }
    }
    /// Delivers the signal of a fault, which cannot wait.
    pub fn deliver_fault(&self, t: &Thread, fault: &UserFault) -> Onward {
        match self.asked(t, fault.signal, false) {
            // The debugger has none of it: the instruction is tried again.
            0 => return Onward::RUN,
            same if same == fault.signal => {}
            other => {
                // SAFETY: touches no memory.
                unsafe { host::plain(libc::SYS_tgkill, [host::getpid() as u64, host::gettid() as u64, other.into(), 0, 0, 0]) };
                return Onward::RUN;
            }
        }
        let action = t.action(fault.signal);
        let blocked = t.mask.get() >> (fault.signal - 1) & 1 != 0;
        if action.handler <= SIG_IGN || blocked {
            return self.die(t, fault.signal, &format!("address {:#x}", fault.address));
        }
        let mut info = [0u8; 128];
        info[0..4].copy_from_slice(&fault.signal.to_le_bytes());
        info[8..12].copy_from_slice(&fault.code.to_le_bytes());
        info[16..24].copy_from_slice(&fault.address.to_le_bytes());
        self.enter_handler(t, fault.signal, &action, info, fault.fault)
    }
    /// Delivers a signal that cannot wait: without a handler for it the process ends.
    pub fn force(&self, t: &Thread, signal: u32, info: [u8; 128], why: &str) -> Onward {
        let action = t.action(signal);
        if action.handler <= SIG_IGN || t.mask.get() >> (signal - 1) & 1 != 0 {
            return self.die(t, signal, why);
        }
        self.enter_handler(t, signal, &action, info, [0; 2])
    }
    /// Ends the process by a signal.
    fn die(&self, t: &Thread, signal: u32, why: &str) -> Onward {
        let name = self.program.get().map(|p| p.display().to_string()).unwrap_or_default();
        // SAFETY: this is the CPU's thread.
        let pc = unsafe { (*t.cpu).pc };
        let known = match signal as i32 {
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGBUS => "SIGBUS",
            libc::SIGILL => "SIGILL",
            libc::SIGTRAP => "SIGTRAP",
            libc::SIGFPE => "SIGFPE",
            libc::SIGSYS => "SIGSYS",
            _ => "a signal",
        };
        eprintln!("emu: {name}: {known} at pc {pc:#x}, {why}");
        self.end_told(t, signal)
    }
}

/// Ends the process by a signal's default action, without the host's dump of emu.
pub fn end_by(signal: u32) -> ! {
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is readable.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
    host::set_action(signal, KernelAction::default());
    let mask = !(1u64 << (signal - 1));
    let p = core::ptr::from_ref(&mask) as u64;
    // SAFETY: the mask is readable; the signal ends the process.
    unsafe {
        host::plain(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as u64, p, 0, 8, 0, 0]);
        host::plain(libc::SYS_tgkill, [host::getpid() as u64, host::gettid() as u64, signal.into(), 0, 0, 0]);
        libc::_exit(128 + signal as i32)
    }
}

/// Signals with handlers get their default actions (CLONE_CLEAR_SIGHAND).
pub fn clear_handlers(k: &Kernel, t: &Thread) {
    for (n, a) in t.actions().iter_mut().enumerate().filter(|(_, a)| a.handler > SIG_IGN) {
        *a = KernelAction::default();
        if !is_cores(n as u32) {
            host::set_action(n as u32, k.host_action(n as u32, &KernelAction::default()));
        }
    }
}

pub fn rt_sigaction(c: &mut Call<'_>) -> i64 {
    let [signal, new, old, size, ..] = c.a;
    if size != 8 || !(1..=64).contains(&signal) {
        return EINVAL;
    }
    let signal = signal as u32;
    let result = (|| {
        let wanted = if new != 0 { Some(read_action(c.k, new)?) } else { None };
        if wanted.is_some() && matches!(signal as i32, libc::SIGKILL | libc::SIGSTOP) {
            return Err(EINVAL);
        }
        let mut actions = c.t.actions();
        if old != 0 {
            write_action(c.k, old, actions[signal as usize])?;
        }
        if let Some(mut a) = wanted {
            a.mask &= !NO_BLOCK;
            actions[signal as usize] = a;
            if !is_cores(signal) {
                host::set_action(signal, c.k.host_action(signal, &a));
            }
        }
        Ok(0)
    })();
    result.unwrap_or_else(|e| e)
}

pub fn rt_sigprocmask(c: &mut Call<'_>) -> i64 {
    let [how, set, old, size, ..] = c.a;
    if size != 8 {
        return EINVAL;
    }
    let before = c.t.mask.get();
    let result = (|| {
        if set != 0 {
            let set = c.k.space.get::<u64>(set)?;
            let after = match how as i32 {
                libc::SIG_BLOCK => before | set,
                libc::SIG_UNBLOCK => before & !set,
                libc::SIG_SETMASK => set,
                _ => return Err(EINVAL),
            };
            c.t.mask.set(after & !NO_BLOCK);
            c.k.follow_mask(c.t);
        }
        if old != 0 {
            c.k.space.put(old, before)?;
        }
        Ok(0)
    })();
    result.unwrap_or_else(|e| e)
}

pub fn rt_sigsuspend(c: &mut Call<'_>) -> i64 {
    if c.a[1] != 8 {
        return EINVAL;
    }
    let set = match c.k.space.get::<u64>(c.a[0]) {
        Ok(set) => set & !NO_BLOCK & !(1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1)),
        Err(e) => return e,
    };
    let p = core::ptr::from_ref(&set) as u64;
    let r = c.host(libc::SYS_rt_sigsuspend, [p, 8, 0, 0, 0, 0]);
    // The handler runs although the mask that its return restores blocks its signal.
    if c.t.pending.load(Ordering::SeqCst) != 0 {
        c.t.saved_mask.set(Some(c.t.mask.get()));
        c.t.mask.set(set);
        return -i64::from(libc::EINTR);
    }
    r
}

pub fn rt_sigreturn(c: &mut Call<'_>) -> i64 {
    // SAFETY: this is the CPU's thread.
    match unsafe { c.k.host.linux_sigreturn(c.cpu) } {
        Some(back) => {
            c.t.mask.set(back.mask & !NO_BLOCK);
            let [base, size, flags] = back.alternate;
            if flags & SS_ONSTACK == 0 {
                c.t.alternate.set([base, size, flags]);
            }
            c.k.follow_mask(c.t);
            answer::NONE
        }
        None => {
            c.k.die(c.t, libc::SIGSEGV as u32, "the signal's frame that it returns from makes no sense");
            answer::NONE
        }
    }
}

pub fn sigaltstack(c: &mut Call<'_>) -> i64 {
    let sp = c.k.field(c.cpu, c.k.abi.stack);
    let [base, size, flags] = c.t.alternate.get();
    let disabled = flags & SS_DISABLE != 0 || size == 0;
    let on_it = !disabled && flags & SS_AUTODISARM == 0 && sp > base && sp <= base + size;
    let result = (|| {
        let new = if c.a[0] != 0 { Some(c.k.space.get::<[u64; 3]>(c.a[0])?) } else { None };
        if c.a[1] != 0 {
            let shown = if disabled { SS_DISABLE } else { flags & SS_AUTODISARM | u64::from(on_it) };
            c.k.space.put(c.a[1], [base, shown, size])?;
        }
        if let Some([base, flags, size]) = new {
            let flags = flags & 0xffff_ffff;
            if on_it {
                return Err(-i64::from(libc::EPERM));
            }
            if !matches!(flags & !SS_AUTODISARM, 0 | SS_ONSTACK | SS_DISABLE) {
                return Err(EINVAL);
            }
            if flags & SS_DISABLE == 0 && size < c.k.abi.signal_frame_bytes {
                return Err(-i64::from(libc::ENOMEM));
            }
            c.t.alternate.set(if flags & SS_DISABLE != 0 { [0, 0, SS_DISABLE] } else { [base, size, flags & SS_AUTODISARM] });
        }
        Ok(0)
    })();
    result.unwrap_or_else(|e| e)
}
