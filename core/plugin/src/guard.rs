//! A plugin that crashes while it is being loaded (an initialiser that panics, a null function in its root module) ends emu with one sentence
//! that names it and the code for a wrong file, not with a signal. Only then: a plugin that has been loaded is as much a part of emu as any.
#![allow(unsafe_code)] // signal handlers.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Exit code for what the user gave being wrong.
const USAGE: i32 = 2;
/// What a plugin's mistake ends in: a failed assertion or a panic that cannot unwind, and accesses.
const SIGNALS: [libc::c_int; 5] = [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// The sentence, while something is being loaded; its length beside it.
static SENTENCE: AtomicPtr<libc::c_char> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Whether a plugin is being loaded at this moment: what goes wrong in it then is a wrong file.
pub fn loading() -> bool {
    !SENTENCE.load(Ordering::Acquire).is_null()
}

extern "C" fn crashed(_: libc::c_int) {
    let sentence = SENTENCE.load(Ordering::Acquire);
    // SAFETY: both functions may be called in a handler; the sentence lives until the handler is taken away.
    unsafe {
        if !sentence.is_null() {
            libc::write(2, sentence.cast(), LENGTH.load(Ordering::Acquire));
        }
        libc::_exit(USAGE)
    }
}

/// While it lives, a crash is the fault of the plugin at that path.
pub(crate) struct Guard {
    before: [libc::sigaction; SIGNALS.len()],
}

impl Guard {
    /// Begins. Plugins are loaded one after the other, by the thread that the process began with.
    pub(crate) fn new(path: &Path) -> Guard {
        let text = [b"error: ", path.as_os_str().as_bytes(), b" crashes while it is loaded; the plugin is broken, remove it from the plugin path\n"]
            .concat();
        LENGTH.store(text.len(), Ordering::Release);
        let text = CString::new(text).unwrap_or_default();
        SENTENCE.store(text.into_raw(), Ordering::Release);
        // SAFETY: zeroes are a valid `sigaction`.
        let mut before: [libc::sigaction; SIGNALS.len()] = unsafe { std::mem::zeroed() };
        for (signal, before) in SIGNALS.iter().zip(&mut before) {
            // SAFETY: as above; the handler is one that any thread may run. On its own stack where there is one: the stack may be what is short.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = crashed as *const () as usize;
                action.sa_flags = libc::SA_ONSTACK;
                libc::sigaction(*signal, &action, before);
            }
        }
        Guard { before }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for (signal, before) in SIGNALS.iter().zip(&self.before) {
            // SAFETY: what was there before.
            unsafe { libc::sigaction(*signal, before, std::ptr::null_mut()) };
        }
        let sentence = SENTENCE.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !sentence.is_null() {
            // SAFETY: it came from `into_raw` and no handler can see it any more.
            drop(unsafe { CString::from_raw(sentence) });
        }
    }
}
