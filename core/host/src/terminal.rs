//! The terminal in raw mode, and back: at the end, on a panic, and when a signal ends the process ([`crate::signals`]).

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
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
/// the like still act on emu.
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
}

/// The process was stopped and goes on: the shell has put its own modes back meanwhile.
pub(crate) fn enter_again() {
    if let Some(modes) = modes().as_ref() {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes.raw);
    }
}

/// Gives the terminal back as it was. Any thread, any number of times.
pub fn restore() {
    if let Some(modes) = modes().take() {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes.before);
    }
}
