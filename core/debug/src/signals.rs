//! Numbers of signals: Linux's (include/uapi/asm-generic/signal.h), and those of the protocol, which are the same everywhere
//! (gdb's include/gdb/signals.def).

use gdbstub::common::Signal;

/// The protocol's numbers of Linux's signals 0 to 31.
const SHOWN: [u8; 32] = [0, 1, 2, 3, 4, 5, 6, 10, 8, 9, 30, 11, 31, 13, 14, 15, 143, 20, 19, 17, 18, 21, 22, 16, 24, 25, 26, 27, 28, 23, 32, 12];
/// Of the first real-time signal of those that lie in a row, and of the two that do not.
const SIG33: u8 = 45;
const SIG32: u8 = 77;
const SIG64: u8 = 78;

/// The protocol's number of a signal of Linux.
pub fn shown(signal: u32) -> Signal {
    Signal(match signal {
        0..=31 => SHOWN[signal as usize],
        32 => SIG32,
        64 => SIG64,
        33..=63 => SIG33 + (signal - 33) as u8,
        _ => 143,
    })
}

/// Linux's number of a signal of the protocol; 0 if it has none.
pub fn meant(signal: Signal) -> u32 {
    (1..=64).find(|n| shown(*n) == signal).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for n in 1..=64 {
            assert_eq!(meant(shown(n)), n);
        }
        let pairs =
            [(10, Signal::SIGUSR1), (11, Signal::SIGSEGV), (7, Signal::SIGBUS), (17, Signal::SIGCHLD), (34, Signal::SIG34), (63, Signal::SIG63)];
        for (linux, protocol) in pairs {
            assert_eq!(shown(linux), protocol);
        }
        assert_eq!(shown(32), Signal::SIG32);
        assert_eq!(shown(64), Signal::SIG64);
    }
}
