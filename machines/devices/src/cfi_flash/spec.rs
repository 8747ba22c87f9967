//! Two 16-bit Intel-command-set chips side by side (JEDEC JESD68.01, Common Flash Interface, and JEP137): commands, status, query table.

/// Bytes of the bus that the two chips share.
pub const BANK_WIDTH: u64 = 4;
/// Chips on the bus.
pub const CHIPS: u32 = 2;
/// Size of an erase block over both chips.
pub const SECTOR: u64 = 256 << 10;
/// log2 of a chip's write buffer in bytes.
pub const BUFFER_BITS: u8 = 11;
/// The write buffer over both chips.
pub const BUFFER: u64 = (1 << BUFFER_BITS) * CHIPS as u64;
/// Manufacturer code.
pub const MANUFACTURER: u16 = 0x0089;
/// Device code.
pub const DEVICE: u16 = 0x0018;

/// Commands.
pub mod command {
    /// Read array.
    pub const READ_ARRAY: u8 = 0xff;
    /// Read array, as other command sets spell reset.
    pub const RESET: u8 = 0xf0;
    /// Read identifier codes.
    pub const READ_ID: u8 = 0x90;
    /// CFI query.
    pub const QUERY: u8 = 0x98;
    /// Read status register.
    pub const READ_STATUS: u8 = 0x70;
    /// Clear status register.
    pub const CLEAR_STATUS: u8 = 0x50;
    /// Program a word.
    pub const PROGRAM: u8 = 0x40;
    /// Program a word, the other code.
    pub const PROGRAM_ALT: u8 = 0x10;
    /// Program the write buffer.
    pub const BUFFERED_PROGRAM: u8 = 0xe8;
    /// Erase a block.
    pub const BLOCK_ERASE: u8 = 0x20;
    /// Set or clear lock bits.
    pub const LOCK: u8 = 0x60;
    /// Second cycle of lock: set.
    pub const LOCK_SET: u8 = 0x01;
    /// Second cycle of erase, unlock and buffered program; resume.
    pub const CONFIRM: u8 = 0xd0;
}

/// Bits of the status register.
pub mod status {
    /// SR.7: ready.
    pub const READY: u8 = 1 << 7;
    /// SR.5: erase error.
    pub const ERASE_ERROR: u8 = 1 << 5;
    /// SR.4: program error.
    pub const PROGRAM_ERROR: u8 = 1 << 4;
}

/// A chip's byte of the query table. `size`: bytes over both chips.
pub fn query(index: u64, size: u64) -> u8 {
    let blocks = size / SECTOR - 1;
    let block = SECTOR / u64::from(CHIPS) / 256;
    match index {
        0x10 => b'Q',
        0x11 => b'R',
        0x12 => b'Y',
        0x13 => 0x01,                                             // primary command set: Intel/Sharp extended
        0x15 => 0x31,                                             // address of its table
        0x1b => 0x45,                                             // Vcc min, 4.5 V
        0x1c => 0x55,                                             // Vcc max, 5.5 V
        0x1f | 0x20 => 0x07,                                      // typical time of a word or buffer write, 2^n us
        0x21 => 0x0a,                                             // typical time of a block erase, 2^n ms
        0x23..=0x25 => 0x04,                                      // maxima, 2^n times the typical
        0x27 => (size / u64::from(CHIPS)).trailing_zeros() as u8, // size of the chip, 2^n
        0x28 => 0x02,                                             // interface: x8 and x16
        0x2a => BUFFER_BITS,
        0x2c => 0x01, // one region of equal blocks
        0x2d => blocks as u8,
        0x2e => (blocks >> 8) as u8,
        0x2f => block as u8,
        0x30 => (block >> 8) as u8,
        0x31 => b'P',
        0x32 => b'R',
        0x33 => b'I',
        0x34 => b'1',
        0x35 => b'0',
        0x3f => 0x01, // number of protection register fields
        _ => 0,
    }
}
