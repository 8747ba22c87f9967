//! A slot of the virtio MMIO transport with no device in it: it answers what a driver probes and no more.

pub mod spec;

use crate::primecell;
use emu_plugins_api::{Device, Reader, Writer};
use spec::*;

/// An empty slot.
pub struct EmptySlot {
    name: String,
}

impl EmptySlot {
    /// A slot.
    pub fn new(name: &str) -> EmptySlot {
        EmptySlot { name: name.into() }
    }
}

impl Device for EmptySlot {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        let Some((at, shift)) = primecell::word(offset, size) else { return Some(0) };
        let word = match at {
            MAGIC_VALUE => MAGIC,
            VERSION => VERSION_2,
            VENDOR_ID => VENDOR,
            _ => 0,
        };
        Some(primecell::cut(word, shift, size))
    }
    fn write(&self, _offset: u64, _size: u32, _value: u64) -> bool {
        true
    }
    fn reset(&self) {}
    fn save(&self) -> Vec<u8> {
        Writer::new(1).finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        Reader::new(saved, 1).and_then(Reader::finish).map_err(|e| format!("{}: {e}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_that_it_is_empty() {
        let slot = EmptySlot::new("virtio-mmio0");
        let words: Vec<_> = (0..4).map(|i| slot.read(4 * i, 4).unwrap()).collect();
        assert_eq!(words, [0x7472_6976, 2, 0, 0x0075_6d65]);
        assert_eq!(slot.read(0, 1), Some(0x76));
        assert!(slot.write(0x70, 4, 0));
        assert_eq!(slot.read(0x70, 4), Some(0));
    }
}
