//! The parameter block of a call, and guest memory by way of it.

use crate::{Errno, Guest};

/// A block of words at an address.
pub struct Block<'a> {
    /// Whose memory it is.
    pub guest: &'a mut dyn Guest,
    /// Its address.
    pub at: u64,
    /// Bytes of a word.
    pub bytes: u32,
    /// Byte order of a word.
    pub big_endian: bool,
}

impl Block<'_> {
    /// The block at another address.
    pub fn at_address(&mut self, at: u64) -> Block<'_> {
        Block { guest: &mut *self.guest, at, bytes: self.bytes, big_endian: self.big_endian }
    }

    fn address(&self, n: u64) -> u64 {
        self.at.wrapping_add(n * u64::from(self.bytes))
    }

    /// Bytes at an address.
    pub fn bytes<const N: usize>(&mut self, address: u64) -> Result<[u8; N], Errno> {
        let mut out = [0; N];
        if self.guest.read(address, &mut out) { Ok(out) } else { Err(Errno(libc::EFAULT)) }
    }

    /// Word `n`.
    pub fn word(&mut self, n: u64) -> Result<u64, Errno> {
        let at = self.address(n);
        Ok(if self.bytes == 4 {
            let raw = self.bytes::<4>(at)?;
            u64::from(if self.big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
        } else {
            let raw = self.bytes::<8>(at)?;
            if self.big_endian { u64::from_be_bytes(raw) } else { u64::from_le_bytes(raw) }
        })
    }

    /// Writes word `n`.
    pub fn set_word(&mut self, n: u64, value: u64) -> Result<(), Errno> {
        let at = self.address(n);
        if self.bytes == 4 {
            let v = value as u32;
            self.put(at, &if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() })
        } else {
            self.put(at, &if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() })
        }
    }

    /// Writes bytes at an address.
    pub fn put(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        if self.guest.write(address, data) { Ok(()) } else { Err(Errno(libc::EFAULT)) }
    }

    /// A string of `len` bytes, at most `max`, without its terminating zero if that was counted.
    pub fn text(&mut self, address: u64, len: u64, max: u64) -> Result<Vec<u8>, Errno> {
        if len > max {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        let mut out = vec![0; len as usize];
        if !self.guest.read(address, &mut out) {
            return Err(Errno(libc::EFAULT));
        }
        if out.last() == Some(&0) {
            out.pop();
        }
        if out.contains(&0) { Err(Errno(libc::EINVAL)) } else { Ok(out) }
    }
}
