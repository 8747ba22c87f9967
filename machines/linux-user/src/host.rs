//! The host's system calls, made so that a signal for the guest interrupts them and none is lost between the look for one and the call.
//!
//! [`call`] looks at the thread's word of pending signals and enters the kernel. A signal's handler that finds the instruction pointer
//! between the look and the call (or at the call itself, where the host's kernel puts it to restart one) moves it on to where
//! [`RESTART`] is the answer. So a call is made, or not made at all.

use std::sync::atomic::AtomicU32;

/// The call was not made, or was interrupted by a signal whose handler wants it made again. (What shall not be made again answers EINTR.)
pub const RESTART: i64 = -512;

core::arch::global_asm!(
    ".hidden emu_linux_call",
    ".globl emu_linux_call",
    "emu_linux_call: push r12",
    "mov r12, rdi",
    "mov rax, rsi",
    "mov r11, rdx",
    "mov rdi, [r11]",
    "mov rsi, [r11 + 8]",
    "mov rdx, [r11 + 16]",
    "mov r10, [r11 + 24]",
    "mov r8, [r11 + 32]",
    "mov r9, [r11 + 40]",
    ".hidden emu_linux_look",
    ".globl emu_linux_look",
    "emu_linux_look: cmp dword ptr [r12], 0",
    "jne emu_linux_stop",
    "syscall",
    ".hidden emu_linux_made",
    ".globl emu_linux_made",
    "emu_linux_made: pop r12",
    "ret",
    ".hidden emu_linux_stop",
    ".globl emu_linux_stop",
    "emu_linux_stop: mov rax, -512",
    "pop r12",
    "ret",
    ".hidden emu_linux_restorer",
    ".globl emu_linux_restorer",
    "emu_linux_restorer: mov eax, 15",
    "syscall",
);

unsafe extern "C" {
    fn emu_linux_call(pending: *const AtomicU32, number: i64, args: *const [u64; 6]) -> i64;
    fn emu_linux_look();
    fn emu_linux_made();
    fn emu_linux_stop();
    fn emu_linux_restorer();
}

/// A call that may wait: its result, an error number negative, or [`RESTART`].
///
/// # Safety
/// What the call does to memory must be the caller's to allow.
#[inline]
pub unsafe fn call(pending: &AtomicU32, number: i64, args: &[u64; 6]) -> i64 {
    // SAFETY: the caller says so.
    unsafe { emu_linux_call(pending, number, args) }
}

/// A call that does not wait, regardless of signals.
///
/// # Safety
/// See `call`.
#[inline]
pub unsafe fn plain(number: i64, args: [u64; 6]) -> i64 {
    static NOTHING: AtomicU32 = AtomicU32::new(0);
    // SAFETY: the caller says so.
    unsafe { emu_linux_call(&NOTHING, number, &args) }
}

/// In a signal's handler: where to go on instead, if `rip` is between the look and the call.
pub fn way_out(rip: u64) -> Option<u64> {
    let at = |f: unsafe extern "C" fn()| f as *const () as u64;
    (at(emu_linux_look) <= rip && rip < at(emu_linux_made)).then(|| at(emu_linux_stop))
}

/// The host kernel's `struct sigaction`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelAction {
    /// SIG_DFL, SIG_IGN, or an address.
    pub handler: u64,
    /// SA_ flags.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked meanwhile.
    pub mask: u64,
}

/// Sets what the host does with a signal.
pub fn set_action(signal: u32, mut action: KernelAction) -> i64 {
    const SA_RESTORER: u64 = 0x0400_0000;
    action.flags |= SA_RESTORER;
    action.restorer = emu_linux_restorer as *const () as u64;
    let p = core::ptr::from_ref(&action) as u64;
    // SAFETY: the action is readable; handlers are this crate's own.
    unsafe { plain(libc::SYS_rt_sigaction, [signal.into(), p, 0, 8, 0, 0]) }
}

/// What the host does with a signal now.
pub fn action_of(signal: u32) -> KernelAction {
    let mut action = KernelAction::default();
    let p = core::ptr::from_mut(&mut action) as u64;
    // SAFETY: the action is writable.
    unsafe { plain(libc::SYS_rt_sigaction, [signal.into(), 0, p, 8, 0, 0]) };
    action
}

/// Signals that are never blocked on the host, for accesses to guest memory make them.
const NEVER: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);

/// Sets this thread's mask on the host.
pub fn set_mask(mask: u64) {
    let mask = mask & !NEVER;
    let p = core::ptr::from_ref(&mask) as u64;
    // SAFETY: the mask is readable.
    unsafe { plain(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as u64, p, 0, 8, 0, 0]) };
}

/// This thread's mask on the host.
pub fn mask() -> u64 {
    let mut mask = 0u64;
    let p = core::ptr::from_mut(&mut mask) as u64;
    // SAFETY: the mask is writable.
    unsafe { plain(libc::SYS_rt_sigprocmask, [0, 0, p, 8, 0, 0]) };
    mask
}

/// This thread's id.
pub fn gettid() -> i32 {
    // SAFETY: touches no memory.
    unsafe { plain(libc::SYS_gettid, [0; 6]) as i32 }
}
/// This process's id.
pub fn getpid() -> i32 {
    // SAFETY: touches no memory.
    unsafe { plain(libc::SYS_getpid, [0; 6]) as i32 }
}
