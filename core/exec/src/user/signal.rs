//! SIGSEGV and SIGBUS: whose they are.

use super::access;
use crate::machine::Machine;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

static MACHINE: AtomicPtr<Machine> = AtomicPtr::new(std::ptr::null_mut());

/// Installs the handler.
pub fn install(machine: &Machine) {
    MACHINE.store(core::ptr::from_ref(machine).cast_mut(), Ordering::SeqCst);
    reinstall();
}

/// Installs the handler again, where something else has been in its place.
pub fn reinstall() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler keeps to what a handler may do, see there.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigfillset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// The only locks that it takes are for an access of generated code, which holds none.
unsafe extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both; the machine lives as long as the process.
    let (machine, context_of, code) = unsafe { (&*MACHINE.load(Ordering::SeqCst), &mut *context.cast::<libc::ucontext_t>(), (*info).si_code) };
    let registers = &mut context_of.uc_mcontext.gregs;
    let rip = registers[libc::REG_RIP as usize] as usize;
    // Codes above 0 are the host kernel's own; a fault has one.
    if code > 0 {
        if let Some(way) = machine.native.as_ref().and_then(|n| n.way_beside(rip)) {
            registers[libc::REG_RIP as usize] = way as i64;
            return;
        }
        if let Some(way) = access::way_out(rip) {
            registers[libc::REG_RIP as usize] = way as i64;
            registers[libc::REG_RDX as usize] = signal.into();
            return;
        }
        // SAFETY: the kernel filled the member in for a fault.
        let address = unsafe { (*info).si_addr() } as usize;
        let text = format!("error: emu made a mistake: signal {signal} at {rip:#x}, address {address:#x}; please report it\n");
        // SAFETY: the text is readable; then the default action ends the process at the same instruction.
        unsafe {
            libc::write(2, text.as_ptr().cast(), text.len());
            libc::signal(signal, libc::SIG_DFL);
        }
        return;
    }
    let nudged = signal == libc::SIGSEGV && code == libc::SI_TKILL && machine.was_nudge();
    // SAFETY: these are a handler's arguments.
    unsafe { machine.user_of().kernel().host_signal(if nudged { 0 } else { signal }, info.cast(), context) };
}
