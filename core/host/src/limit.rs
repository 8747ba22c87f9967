//! The time limit of a run.

use crate::{Guest, terminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Exit code of a run that reached its limit, as `timeout(1)` has it.
pub const TIMED_OUT: i32 = 124;

/// How long the machine may take to stop when it is told to.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Parses `60`, `60s`, `1500ms`, `5m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration: a number of seconds, or one with ms, s, m or h, such as 90s or 5m");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit_s = match &text[digits..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(number * unit_s) {
        Ok(d) if !d.is_zero() => Ok(d),
        _ => Err(wrong()),
    }
}

/// A running time limit.
#[derive(Clone, Default)]
pub struct TimeLimit {
    reached: Arc<AtomicBool>,
}

impl TimeLimit {
    /// Starts the clock. At the limit the guest is told to quit with code 124; if that takes too long the process ends.
    pub fn start(limit: Duration, guest: Arc<dyn Guest>) -> TimeLimit {
        let this = TimeLimit::default();
        let reached = Arc::clone(&this.reached);
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            reached.store(true, Ordering::SeqCst);
            guest.quit(TIMED_OUT);
            std::thread::sleep(GRACE);
            terminal::restore();
            eprintln!("error: the time limit of {limit:?} has passed and the machine does not stop");
            std::process::exit(TIMED_OUT);
        });
        this
    }
    /// True if the limit was reached.
    pub fn reached(&self) -> bool {
        self.reached.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let good = [("60", 60_000), ("60s", 60_000), ("5m", 300_000), ("1h", 3_600_000), ("250ms", 250), ("0.5", 500)];
        for (text, ms) in good {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "0", "s", "5x", "-1", "1e9", "1.2.3", "99999999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
