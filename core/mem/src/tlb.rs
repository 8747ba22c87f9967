//! A CPU's cache of translations for one privilege view.
//!
//! Direct-mapped. An entry holds a tag per kind of access and the distance from virtual to host address. A tag is the page's address; low
//! bits ([`slow`]) make it unequal to any address, so that the fast path is one comparison, which also fails for an access that leaves the
//! page: the tag is compared with the page of the access's *last* byte while the entry is chosen by its first.

use crate::{PAGE_BITS, PAGE_SIZE};

const ENTRY_BITS: u32 = 10;
const ENTRIES: usize = 1 << ENTRY_BITS;

/// Low bits of a tag: why an access must take the slow path.
pub mod slow {
    /// There is no translation, or it lacks the permission.
    pub const ABSENT: u64 = 1;
    /// Device memory by the guest's tables: misaligned accesses fault.
    pub const DEVICE: u64 = 2;
    /// The page is clean or holds translated code.
    pub const TRACKED: u64 = 4;
    /// No RAM is behind it.
    pub const MMIO: u64 = 8;
    /// A debugger watches something in it.
    pub const WATCHED: u64 = 1 << 11;
}

/// One translation.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Tag for loads.
    pub read: u64,
    /// Tag for stores.
    pub write: u64,
    /// Host address minus virtual address.
    pub addend: usize,
    /// Physical address of the page.
    pub pa: u64,
    /// Address space identifier; `u32::MAX` for a global translation.
    pub asid: u32,
    /// `attr::` bits.
    pub attrs: u8,
}

const EMPTY: Entry = Entry { read: slow::ABSENT, write: slow::ABSENT, addend: 0, pa: 0, asid: 0, attrs: 0 };

/// Result of a look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Host address.
    Host(*mut u8),
    /// Take the slow path.
    Slow,
}

/// The cache.
pub struct Tlb {
    entries: Box<[Entry; ENTRIES]>,
    /// Slots filled since the last full flush; full flushes walk it when it is short.
    filled: Vec<u16>,
    /// First and last address that entries of large pages were made for, widened to those pages.
    large: Option<(u64, u64)>,
}

impl Default for Tlb {
    fn default() -> Self {
        Tlb::new()
    }
}

#[inline]
fn index(va: u64) -> usize {
    (va >> PAGE_BITS) as usize & (ENTRIES - 1)
}

/// Tags and tops of tagged addresses do not matter to invalidation: it compares these bits.
const VA_MASK: u64 = (1 << 56) - 1;

impl Tlb {
    /// An empty cache.
    pub fn new() -> Tlb {
        Tlb { entries: Box::new([EMPTY; ENTRIES]), filled: Vec::new(), large: None }
    }
    /// Looks up a load of `size` bytes.
    #[inline(always)]
    pub fn load(&self, va: u64, size: u64) -> Lookup {
        let e = &self.entries[index(va)];
        if va.wrapping_add(size - 1) & !(PAGE_SIZE - 1) == e.read {
            Lookup::Host((va as usize).wrapping_add(e.addend) as *mut u8)
        } else {
            Lookup::Slow
        }
    }
    /// Looks up a store of `size` bytes.
    #[inline(always)]
    pub fn store(&self, va: u64, size: u64) -> Lookup {
        let e = &self.entries[index(va)];
        if va.wrapping_add(size - 1) & !(PAGE_SIZE - 1) == e.write {
            Lookup::Host((va as usize).wrapping_add(e.addend) as *mut u8)
        } else {
            Lookup::Slow
        }
    }
    /// The entry for an address, whatever its slow bits; `None` when the permission (`write`) or the page is not in the cache.
    pub fn entry(&self, va: u64, write: bool) -> Option<&Entry> {
        let e = &self.entries[index(va)];
        let tag = if write { e.write } else { e.read };
        (tag & slow::ABSENT == 0 && tag & !(PAGE_SIZE - 1) == va & !(PAGE_SIZE - 1)).then_some(e)
    }
    /// Enters a translation of the page at `va`; `page_bits` is the size of the mapping that it is part of.
    pub fn fill(&mut self, va: u64, entry: Entry, page_bits: u32) {
        let i = index(va);
        if self.filled.len() < ENTRIES {
            self.filled.push(i as u16);
        }
        if page_bits > PAGE_BITS {
            let mask = if page_bits >= 56 { VA_MASK } else { (1 << page_bits) - 1 };
            let (first, last) = (va & VA_MASK & !mask, va & VA_MASK | mask);
            self.large = Some(self.large.map_or((first, last), |(f, l)| (f.min(first), l.max(last))));
        }
        self.entries[i] = entry;
    }
    /// Forgets everything.
    pub fn flush(&mut self) {
        if self.filled.len() < ENTRIES {
            for i in self.filled.drain(..) {
                self.entries[i as usize] = EMPTY;
            }
        } else {
            self.entries.fill(EMPTY);
            self.filled.clear();
        }
        self.large = None;
    }
    /// Forgets what is not global and, with `only`, of that address space.
    pub fn flush_asid(&mut self, only: Option<u32>) {
        let entries = &mut self.entries;
        let drop = |e: &mut Entry| {
            if e.asid != u32::MAX && only.is_none_or(|a| a == e.asid) {
                *e = EMPTY;
            }
        };
        if self.filled.len() < ENTRIES {
            // The list keeps what is left, so that a later flush finds it.
            self.filled.retain(|i| {
                let e = &mut entries[*i as usize];
                drop(e);
                e.read & slow::ABSENT == 0 || e.write & slow::ABSENT == 0
            });
        } else {
            entries.iter_mut().for_each(drop);
        }
    }
    /// Forgets the pages from `va` to `last`. Mappings larger than a page may be under any of their pages, so these flush everything.
    pub fn flush_range(&mut self, va: u64, last: u64) {
        let (first, last) = (va & VA_MASK & !(PAGE_SIZE - 1), last & VA_MASK);
        if last < first || self.large.is_some_and(|(f, l)| f <= last && first <= l) || (last - first) >> PAGE_BITS >= ENTRIES as u64 / 4 {
            return self.flush();
        }
        for page in (first..=last).step_by(PAGE_SIZE as usize) {
            let e = &mut self.entries[index(page)];
            let same = |tag: u64| tag & slow::ABSENT == 0 && (tag ^ page) & VA_MASK & !(PAGE_SIZE - 1) == 0;
            if same(e.read) || same(e.write) {
                *e = EMPTY;
            }
        }
    }
    /// Makes stores to a physical page take the slow path again.
    pub fn revoke_write(&mut self, pa_page: u64) {
        for e in self.entries.iter_mut() {
            if e.pa == pa_page && e.write & slow::ABSENT == 0 {
                e.write |= slow::TRACKED;
            }
        }
    }
    /// Makes all stores take the slow path again.
    pub fn revoke_all_writes(&mut self) {
        for e in self.entries.iter_mut().filter(|e| e.write & slow::ABSENT == 0) {
            e.write |= slow::TRACKED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(va: u64, pa: u64, asid: u32) -> Entry {
        Entry { read: va, write: va, addend: 0x10_0000, pa, asid, attrs: 0 }
    }

    #[test]
    fn hits_only_inside_the_page() {
        let mut t = Tlb::new();
        t.fill(0x5000, entry(0x5000, 0x1000, 1), 12);
        assert_eq!(t.load(0x5ff8, 8), Lookup::Host(0x10_5ff8 as *mut u8));
        assert_eq!(t.load(0x5ff9, 8), Lookup::Slow);
        assert_eq!(t.load(0x4fff, 2), Lookup::Slow);
        assert_eq!(t.load(0x5000 + (1 << 22), 1), Lookup::Slow);
        assert_eq!(t.load(u64::MAX, 8), Lookup::Slow);
        t.revoke_write(0x1000);
        assert_eq!((t.store(0x5000, 1), t.load(0x5000, 1)), (Lookup::Slow, Lookup::Host(0x10_5000 as *mut u8)));
        assert!(t.entry(0x5123, true).is_some());
    }

    #[test]
    fn flushes() {
        let mut t = Tlb::new();
        let fill = |t: &mut Tlb| {
            t.fill(0x5000, entry(0x5000, 0, 1), 12);
            t.fill(0x6000, entry(0x6000, 0, 2), 12);
            t.fill(0x7000, entry(0x7000, 0, u32::MAX), 12);
        };
        let have = |t: &Tlb| [0x5000, 0x6000, 0x7000].map(|va| t.load(va, 1) != Lookup::Slow);
        fill(&mut t);
        t.flush_asid(Some(1));
        assert_eq!(have(&t), [false, true, true]);
        t.flush_asid(None);
        assert_eq!(have(&t), [false, false, true]);
        t.flush();
        assert_eq!(have(&t), [false; 3]);
        fill(&mut t);
        // A tagged address names the same page.
        t.flush_range(0xff00_0000_0000_6000, 0xff00_0000_0000_6fff);
        assert_eq!(have(&t), [true, false, true]);
        fill(&mut t);
        t.fill(0x20_0000, entry(0x20_0000, 0, 1), 21);
        t.flush_range(0x20_1000, 0x20_1fff);
        assert_eq!((t.load(0x20_0000, 1), have(&t)), (Lookup::Slow, [false; 3]), "a large page is flushed as a whole");
        fill(&mut t);
        t.flush_range(0, u64::MAX);
        assert_eq!(have(&t), [false; 3]);
    }
}
