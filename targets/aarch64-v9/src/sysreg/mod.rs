//! System registers.

pub mod translate;

use crate::state::State;

/// A pointer authentication key.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauthKey {
    /// APIAKey.
    IA,
    /// APIBKey.
    IB,
    /// APDAKey.
    DA,
    /// APDBKey.
    DB,
    /// APGAKey.
    GA,
}

/// The low and the high half of a pointer authentication key.
pub fn pauth_key(cpu: &State, key: PauthKey) -> (u64, u64) {
    let _ = (cpu, key);
    (0, 0)
}

/// Byte offset in the state of a system register that is plain storage.
pub fn offset_of(name: &str) -> u32 {
    let _ = name;
    0
}
