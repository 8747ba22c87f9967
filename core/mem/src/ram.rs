//! A block of guest RAM: an anonymous host mapping and a byte of flags for each page.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// log2 of the size of the pages that RAM is tracked in.
pub const PAGE_BITS: u32 = 12;
/// Size in bytes of the pages that RAM is tracked in.
pub const PAGE_SIZE: u64 = 1 << PAGE_BITS;

/// Translated code was made from the page.
const CODE: u8 = 1;
/// The page was written since the flag was last cleared.
const DIRTY: u8 = 2;

/// log2 of the size in bytes of what the host is asked for at once.
const UNIT_BITS: u32 = 16;

/// A block of RAM.
pub struct Ram {
    map: memmap2::MmapMut,
    base: *mut u8,
    pages: Box<[AtomicU8]>,
    /// By unit: the host was asked for its memory.
    backed: Box<[AtomicBool]>,
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
        let backed = (0..size.div_ceil(1 << UNIT_BITS)).map(|_| AtomicBool::new(false)).collect();
        Ok(Ram { map, base, pages, backed })
    }
    /// A CPU is about to get at the page of a byte: has the host give memory to it and its neighbours, which costs half of what it costs
    /// to fault them in one by one, and less where they are read before they are written. What the host does not do now it does later.
    /// Large pages of the host for what is half in use (`MADV_COLLAPSE`) were tried: 256 MiB at random 1.25 times, but a boot 0.84 to 0.95.
    #[inline]
    pub fn back(&self, offset: u64) {
        let unit = &self.backed[(offset >> UNIT_BITS) as usize];
        if !unit.load(Ordering::Relaxed) {
            unit.store(true, Ordering::Relaxed);
            let at = (offset >> UNIT_BITS << UNIT_BITS) as usize;
            let len = (self.map.len() - at).min(1 << UNIT_BITS);
            let _ = self.map.advise_range(memmap2::Advice::PopulateWrite, at, len);
        }
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
        if !offset.is_multiple_of(8) || offset >= self.size() || self.size() - offset < 8 {
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
        if data.len() >= 1 << UNIT_BITS {
            (offset..offset + data.len() as u64).step_by(1 << UNIT_BITS).for_each(|at| self.back(at));
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
        self.page(offset).fetch_or(DIRTY, Ordering::SeqCst);
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

    #[test]
    fn backing_changes_nothing() {
        // The last unit is not whole.
        let size = (2 << UNIT_BITS) + PAGE_SIZE;
        let ram = Ram::new(size).unwrap();
        ram.write(size - 2, &[8, 9]);
        (0..size).step_by(PAGE_SIZE as usize).for_each(|at| ram.back(at));
        ram.write(1, &vec![7; 1 << UNIT_BITS]);
        let mut back = vec![1; size as usize];
        ram.read(0, &mut back);
        assert_eq!((back[0], back[1], back[1 << UNIT_BITS], back[(1 << UNIT_BITS) + 1]), (0, 7, 7, 0));
        assert_eq!(back[size as usize - 3..], [0, 8, 9]);
    }
}
