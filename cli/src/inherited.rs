//! What a process inherits and the runtime of the language changes before `main`: whether SIGPIPE is ignored, and which of the standard
//! descriptors are closed.
#![allow(unsafe_code)] // A look before the runtime's own; a call of the C library.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

static IGNORED: AtomicBool = AtomicBool::new(false);

extern "C" fn look() {
    // SAFETY: `action` is writable, and zeroes are valid.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, core::ptr::null(), &mut action) == 0 {
            IGNORED.store(action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
        }
        for (fd, closed) in CLOSED.iter().enumerate() {
            closed.store(libc::fcntl(fd as i32, libc::F_GETFD) < 0, Ordering::Relaxed);
        }
    }
}

// SAFETY: the C library calls what is in this section once, before `main`; the function keeps to what may be done then.
#[unsafe(link_section = ".init_array")]
#[used]
static LOOK: extern "C" fn() = look;

/// The standard descriptors that are closed, as digits.
pub fn closed() -> String {
    CLOSED.iter().zip("012".chars()).filter(|(c, _)| c.load(Ordering::Relaxed)).map(|(_, d)| d).collect()
}

/// Whether whoever started emu wants SIGPIPE ignored.
pub fn pipe_ignored() -> bool {
    IGNORED.load(Ordering::Relaxed)
}
