//! Registers of the mailbox: those of a side, offsets in its window.

/// Size of a side's window.
pub const WINDOW: u64 = 0x1000;
/// Words that wait in one direction at most.
pub const DEPTH: usize = 16;

/// Write: sends a word (8 bytes; 4 are extended by zeroes). Read: takes the oldest word that has come, 0 if there is none.
pub const DATA: u64 = 0x00;
/// Read: bits 7 to 0 words that have come, bits 15 to 8 room for words to send.
pub const STATUS: u64 = 0x08;
/// Causes of an interrupt that are enabled, see [`cause`].
pub const ENABLE: u64 = 0x0c;
/// Read: causes that hold, enabled or not.
pub const CAUSES: u64 = 0x10;
/// Words sent while there was no room, which are lost; a write sets it to 0.
pub const LOST: u64 = 0x14;
/// Read: [`ID_VALUE`].
pub const ID: u64 = 0x18;

/// "mbox".
pub const ID_VALUE: u32 = u32::from_le_bytes(*b"mbox");

/// Causes of an interrupt.
pub mod cause {
    /// A word has come.
    pub const WORD: u32 = 1;
    /// There is room to send.
    pub const ROOM: u32 = 2;
    /// A word was lost.
    pub const LOST: u32 = 4;
    /// All of them.
    pub const ALL: u32 = WORD | ROOM | LOST;
}
