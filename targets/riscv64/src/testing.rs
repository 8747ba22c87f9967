//! States for unit tests.

use crate::state::State;

/// A zeroed state, for helpers that only compute.
#[allow(unsafe_code)]
pub fn state() -> Box<State> {
    // SAFETY: zeroes are a valid state (`CpuState`).
    unsafe { Box::<State>::new_zeroed().assume_init() }
}
