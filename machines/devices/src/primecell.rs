//! What Arm's PrimeCell peripherals have in common: the identification registers at the end of a 4 KiB window.

/// Size of a PrimeCell's window.
pub const WINDOW: u64 = 0x1000;
/// Offset of PeriphID0.
pub const PERIPH_ID0: u64 = 0xfe0;
/// PCellID0 to 3 of every PrimeCell.
pub const PCELL_ID: [u8; 4] = [0x0d, 0xf0, 0x05, 0xb1];

/// The byte of PeriphID0-3 and PCellID0-3 at `offset`, if that is one of them.
pub fn id(offset: u64, periph_id: [u8; 4]) -> Option<u32> {
    let index = offset.checked_sub(PERIPH_ID0)?;
    if index & 3 != 0 || index >= 0x20 {
        return None;
    }
    let index = (index / 4) as usize;
    Some(u32::from(if index < 4 { periph_id[index] } else { PCELL_ID[index - 4] }))
}

/// The aligned word that a load of `size` bytes at `offset` touches, and how to cut the answer out of it. `None`: not inside one word.
pub fn word(offset: u64, size: u32) -> Option<(u64, u32)> {
    let shift = (offset & 3) as u32;
    (size <= 4 && shift + size <= 4).then_some((offset & !3, shift * 8))
}

/// Cuts a load of `size` bytes out of the word that [`word`] named.
pub fn cut(word: u32, shift: u32, size: u32) -> u64 {
    u64::from(word >> shift) & (u64::MAX >> (64 - 8 * size))
}
