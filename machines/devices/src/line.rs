//! Outputs of devices.

use std::fmt;
use std::sync::Arc;

/// A named output of a device, wired by the board to whatever takes a level: an interrupt controller's input, another device's pin.
#[derive(Clone)]
pub struct Line(Arc<dyn Fn(bool) + Send + Sync>);

impl Line {
    /// A wire to `to`, which is called with the level whenever the device computes it, also when it has not changed.
    pub fn new(to: impl Fn(bool) + Send + Sync + 'static) -> Line {
        Line(Arc::new(to))
    }
    /// A wire that leads nowhere.
    pub fn none() -> Line {
        Line::new(|_| ())
    }
    /// Drives the level.
    pub fn set(&self, level: bool) {
        (self.0)(level);
    }
}

impl Default for Line {
    fn default() -> Line {
        Line::none()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}
