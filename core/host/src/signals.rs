//! Signals that end the process: the machine is told to stop, as by the escape key, so that what is written at its end is written, and the terminal
//! is given back; then the process dies of the signal, as its parent expects.
//!
//! They are blocked in every thread and taken by one, so no code runs inside a signal handler.
#![allow(unsafe_code)] // sigwait and friends.

use crate::{Guest, limit::GRACE, terminal};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

/// Those that ask.
const ASKING: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

static GUEST: OnceLock<Arc<dyn Guest>> = OnceLock::new();
/// The signal that the machine was told to stop by, or 0.
static ASKED: AtomicI32 = AtomicI32::new(0);

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set; the numbers added are valid.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for s in signals {
            libc::sigaddset(set.as_mut_ptr(), *s);
        }
        set.assume_init()
    }
}

/// True if whoever started the process wants the signal to be ignored, as `nohup` does.
fn is_ignored(signal: i32) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed, and the action that is looked at is all zeroes if it cannot be told.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr());
        now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Takes the signals from here on. Call it before any other thread exists.
pub fn watch() {
    let all: Vec<i32> = ASKING.into_iter().chain([libc::SIGQUIT, libc::SIGCONT]).filter(|s| !is_ignored(*s)).collect();
    let set = set_of(&all);
    // SAFETY: `set` is initialised; no old mask is asked for. Threads made from here on inherit the mask.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    std::thread::spawn(move || {
        loop {
            let mut signal = 0;
            // SAFETY: both pointers are to live locals, and the signals are blocked.
            if unsafe { libc::sigwait(&set, &mut signal) } != 0 {
                return;
            }
            match GUEST.get() {
                _ if signal == libc::SIGCONT => terminal::enter_again(),
                // The first one asks. Whoever sends another does not want to wait.
                Some(guest) if ASKING.contains(&signal) && ASKED.swap(signal, Ordering::SeqCst) == 0 => ask(guest, signal),
                _ => die_of(signal),
            }
        }
    });
}

fn ask(guest: &Arc<dyn Guest>, signal: i32) {
    guest.quit(128 + signal);
    std::thread::spawn(move || {
        std::thread::sleep(GRACE);
        die_of(signal);
    });
}

/// There is a machine that can be told to stop.
pub fn attach(guest: Arc<dyn Guest>) {
    let _ = GUEST.set(guest);
}

/// The machine has stopped: if a signal asked for that, the process dies of it.
pub fn end() {
    match ASKED.load(Ordering::SeqCst) {
        0 => {}
        signal => die_of(signal),
    }
}

fn die_of(signal: i32) {
    terminal::restore();
    let one = set_of(&[signal]);
    // SAFETY: the default action of these signals ends the process; `one` is initialised.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &one, std::ptr::null_mut());
        libc::raise(signal);
    }
}
