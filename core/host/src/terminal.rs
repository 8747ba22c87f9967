//! The terminal in raw mode, and back: at the end, on a panic, and when a signal ends the process.
//!
//! Signals that end the process are blocked in every thread and taken by one thread that restores the terminal and raises them again, so
//! no code runs inside a signal handler.
#![allow(unsafe_code)] // sigwait and friends.

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Modes {
    before: Termios,
    raw: Termios,
}

static MODES: Mutex<Option<Modes>> = Mutex::new(None);

fn modes() -> MutexGuard<'static, Option<Modes>> {
    MODES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True if standard input is a terminal.
pub fn is_terminal() -> bool {
    isatty(rustix::stdio::stdin())
}

/// Puts the terminal on standard input, if it is one, into raw mode: each key goes to the guest at once and unseen. `signals`: Ctrl-C and
/// the like still act on emu. Call it before any other thread exists.
pub fn enter_raw(signals: bool) {
    if !is_terminal() || modes().is_some() {
        return;
    }
    let Ok(before) = tcgetattr(rustix::stdio::stdin()) else { return };
    let mut raw = before.clone();
    raw.make_raw();
    // Output of emu's own (messages) keeps its line ends: only input is raw.
    raw.output_modes = before.output_modes;
    if signals {
        raw.local_modes |= LocalModes::ISIG;
    }
    let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
    *modes() = Some(Modes { before, raw });
    watch_signals();
}

/// Gives the terminal back as it was. Any thread, any number of times.
pub fn restore() {
    if let Some(modes) = modes().take() {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes.before);
    }
}

const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

fn signal_set(signals: &[i32]) -> libc::sigset_t {
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

fn watch_signals() {
    let all: Vec<i32> = ENDING.into_iter().chain([libc::SIGCONT]).collect();
    let set = signal_set(&all);
    // SAFETY: `set` is initialised; no old mask is asked for. Threads made from here on inherit the mask.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    std::thread::spawn(move || {
        loop {
            let mut signal = 0;
            // SAFETY: both pointers are to live locals, and the signals are blocked.
            if unsafe { libc::sigwait(&set, &mut signal) } != 0 {
                return;
            }
            if signal == libc::SIGCONT {
                // Stopped and continued: the shell has put its own modes back meanwhile.
                if let Some(modes) = modes().as_ref() {
                    let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes.raw);
                }
                continue;
            }
            restore();
            let one = signal_set(&[signal]);
            // SAFETY: the default action of these signals ends the process; `one` is initialised.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &one, std::ptr::null_mut());
                libc::raise(signal);
            }
        }
    });
}
