//! What a process inherits and the runtime of the language changes before `main`: whether SIGPIPE is ignored.
#![allow(unsafe_code)] // A look before the runtime's own; a call of the C library.

use std::sync::atomic::{AtomicBool, Ordering};

static IGNORED: AtomicBool = AtomicBool::new(false);

extern "C" fn look() {
    // SAFETY: `action` is writable, and zeroes are valid.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, core::ptr::null(), &mut action) == 0 {
            IGNORED.store(action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
        }
    }
}

// SAFETY: the C library calls what is in this section once, before `main`; the function keeps to what may be done then.
#[unsafe(link_section = ".init_array")]
#[used]
static LOOK: extern "C" fn() = look;

/// Whether whoever started emu wants SIGPIPE ignored.
pub fn pipe_ignored() -> bool {
    IGNORED.load(Ordering::Relaxed)
}
