//! A block of guest RAM: an anonymous host mapping and a byte of flags for each page.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// log2 of the size of the pages that RAM is tracked in.
pub const PAGE_BITS: u32 = 12;
/// Size in bytes of the pages that RAM is tracked in.
pub const PAGE_SIZE: u64 = 1 << PAGE_BITS;

/// Translated code was made from the page.
const CODE: u8 = 1;
/// The page was written since the flag was last cleared.
const DIRTY: u8 = 2;
/// The host was asked for the page's memory.
const READY: u8 = 4;
/// Pages that the host is asked for at once where the guest goes through its memory.
const AHEAD: usize = 16;
/// Bytes written at once that the host is asked for memory for before.
const LARGE: usize = 1 << 20;

/// A block of RAM.
pub struct Ram {
    map: memmap2::MmapMut,
    base: *mut u8,
    pages: Box<[AtomicU8]>,
}

// SAFETY: guest RAM is shared memory on purpose. It is only touched through the raw pointer, by volatile or atomic accesses and copies whose
// races are the guest's.
unsafe impl Send for Ram {}
// SAFETY: as above.
unsafe impl Sync for Ram {}

impl Ram {
    /// Allocates zeroed RAM, a multiple of the page size; host memory is taken when it is first touched.
    pub fn new(size: u64) -> Result<Ram, String> {
        let len = usize::try_from(size).map_err(|_| "more than the host can address".to_owned())?;
        let map = memmap2::MmapOptions::new().len(len).no_reserve_swap().map_anon().map_err(|e| e.to_string())?;
        let mut map = map;
        let base = map.as_mut_ptr();
        let pages = (0..size.div_ceil(PAGE_SIZE)).map(|_| AtomicU8::new(0)).collect();
        Ok(Ram { map, base, pages })
    }
    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.map.len() as u64
    }
    /// Host address of a byte.
    pub fn pointer(&self, offset: u64) -> *mut u8 {
        debug_assert!(offset < self.size());
        self.base.wrapping_add(offset as usize)
    }
    /// Reads eight bytes in one piece; `None` if they are not aligned or not inside.
    #[inline]
    pub fn read_word(&self, offset: u64) -> Option<[u8; 8]> {
        if offset % 8 != 0 || offset >= self.size() || self.size() - offset < 8 {
            return None;
        }
        // SAFETY: aligned and inside the mapping, which is aligned to a page and lives as long as `self`.
        let word = unsafe { AtomicU64::from_ptr(self.pointer_at(offset).cast()) };
        Some(word.load(Ordering::Relaxed).to_ne_bytes())
    }
    /// Reads bytes; the range must lie inside.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        assert!(offset <= self.size() && data.len() as u64 <= self.size() - offset);
        // SAFETY: the range lies in the mapping (checked above), which lives as long as `self`.
        unsafe { std::ptr::copy(self.pointer_at(offset), data.as_mut_ptr(), data.len()) }
    }
    /// Writes bytes without looking at flags; the range must lie inside.
    pub fn write(&self, offset: u64, data: &[u8]) {
        assert!(offset <= self.size() && data.len() as u64 <= self.size() - offset);
        if data.len() >= LARGE {
            let first = offset as usize & !(PAGE_SIZE as usize - 1);
            let _ = self.map.advise_range(memmap2::Advice::PopulateWrite, first, offset as usize + data.len() - first);
        }
        // SAFETY: as in `read`.
        unsafe { std::ptr::copy(data.as_ptr(), self.pointer_at(offset), data.len()) }
    }
    fn pointer_at(&self, offset: u64) -> *mut u8 {
        self.base.wrapping_add(offset as usize)
    }
    fn page(&self, offset: u64) -> &AtomicU8 {
        &self.pages[(offset >> PAGE_BITS) as usize]
    }
    /// True if code was made from the page.
    pub fn has_code(&self, offset: u64) -> bool {
        self.page(offset).load(Ordering::SeqCst) & CODE != 0
    }
    /// Marks a page as one that code was made from; true if it was not one before.
    pub fn set_code(&self, offset: u64) -> bool {
        self.page(offset).fetch_or(CODE, Ordering::SeqCst) & CODE == 0
    }
    /// The page has no code any more.
    pub fn clear_code(&self, offset: u64) {
        self.page(offset).fetch_and(!CODE, Ordering::SeqCst);
    }
    /// Marks a page as written.
    pub fn set_dirty(&self, offset: u64) {
        if self.page(offset).fetch_or(DIRTY, Ordering::SeqCst) & (DIRTY | READY) == 0 {
            self.make_ready((offset >> PAGE_BITS) as usize);
        }
    }
    /// A page is written for the first time. If one beside it was, the guest is probably on its way through memory, up or down: the host is
    /// asked for some pages at once, in place of a fault for each. It may refuse.
    #[cold]
    fn make_ready(&self, page: usize) {
        let untouched = |p: &&AtomicU8| p.load(Ordering::Relaxed) & (DIRTY | READY) == 0;
        let written = |page: usize| self.pages.get(page).is_some_and(|p| p.load(Ordering::Relaxed) & DIRTY != 0);
        let up = page > 0 && written(page - 1);
        if !up && !written(page + 1) {
            return;
        }
        let more = if up {
            self.pages[page + 1..].iter().take(AHEAD - 1).take_while(untouched).count()
        } else {
            self.pages[..page].iter().rev().take(AHEAD - 1).take_while(untouched).count()
        };
        let first = if up { page } else { page - more };
        for p in &self.pages[first..=first + more] {
            p.fetch_or(READY, Ordering::Relaxed);
        }
        let _ = self.map.advise_range(memmap2::Advice::PopulateWrite, first << PAGE_BITS, (more + 1) << PAGE_BITS);
    }
    /// True if the page is marked as written and no code was made from it: stores to it need not be seen.
    pub fn is_plain(&self, offset: u64) -> bool {
        self.page(offset).load(Ordering::SeqCst) & (DIRTY | CODE) == DIRTY
    }
    /// Offsets of the pages written since the last call, which become clean. CPUs must drop their write entries at the same time.
    pub fn take_dirty(&self) -> Vec<u64> {
        let dirty = |(i, p): (usize, &AtomicU8)| (p.fetch_and(!DIRTY, Ordering::SeqCst) & DIRTY != 0).then_some((i as u64) << PAGE_BITS);
        self.pages.iter().enumerate().filter_map(dirty).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_bytes() {
        let ram = Ram::new(4 * PAGE_SIZE).unwrap();
        assert!(ram.set_code(0x1004) && !ram.set_code(0x1ff0) && ram.has_code(0x1000) && !ram.has_code(0x2000));
        ram.clear_code(0x1000);
        assert!(!ram.has_code(0x1000));
        ram.set_dirty(0x3fff);
        assert_eq!(ram.take_dirty(), [0x3000]);
        assert_eq!(ram.take_dirty(), []);
        ram.write(0x1ffe, &[1, 2, 3, 4]);
        let mut back = [0; 6];
        ram.read(0x1ffd, &mut back);
        assert_eq!(back, [0, 1, 2, 3, 4, 0]);
    }
}
