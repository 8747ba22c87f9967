//! A CPU's cache of translations for one privilege view.
//!
//! Direct-mapped, and large: a miss costs what a hundred hits do, while an entry that is not used costs nothing. An entry holds a tag per kind
//! of access and the distance from virtual to host address. A tag is the address of the page's last byte; bits of [`slow`] are missing in it
//! and make it unequal to any, so that the fast path is one comparison, which also fails for an access that leaves the page: the tag is
//! compared with the page of the access's *last* byte while the entry is chosen by its first. All zeroes are an empty entry, so that the
//! host gives memory only to what is used.

#![allow(unsafe_code)]

use crate::{Aside, LargeMappings, PAGE_BITS, PAGE_SIZE, VA_MASK};

/// log2 of the number of entries.
pub const ENTRY_BITS: u32 = 16;
/// Number of entries.
pub const ENTRIES: usize = 1 << ENTRY_BITS;

/// Why an access must take the slow path: the bits that are missing at a tag's low end. The lowest four never are: what generated code compares with a
/// tag lacks some of those where an access that must be aligned is not.
pub mod slow {
    /// There is no translation, or it lacks the permission.
    pub const ABSENT: u64 = 1 << 4;
    /// Device memory by the guest's tables: misaligned accesses fault.
    pub const DEVICE: u64 = 1 << 5;
    /// The page is clean or holds translated code.
    pub const TRACKED: u64 = 1 << 6;
    /// No RAM is behind it.
    pub const MMIO: u64 = 1 << 7;
    /// A debugger watches something in it.
    pub const WATCHED: u64 = 1 << 11;
}

/// One translation. Generated code reads the first three members.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Tag for loads.
    read: u64,
    /// Tag for stores.
    write: u64,
    /// Host address minus virtual address.
    pub addend: usize,
    /// Physical address of the page, `attr::` bits in the low byte, and `LOCAL`.
    packed: u64,
}

/// In `packed`: the translation is for the current address space only.
const LOCAL: u64 = 1 << 8;

impl Entry {
    /// A translation, for every address space if `global`, else for the current one. `read` and `write` are the page's address and, in its
    /// low bits, why loads and stores of it are slow. Generated code relies on a store that is not slow to be in a page whose loads are not.
    /// It relies on `addend` being even as well: so it marks that it has none.
    pub fn new(read: u64, write: u64, addend: usize, pa: u64, attrs: u8, global: bool) -> Entry {
        debug_assert!(addend & 1 == 0, "pages of the host begin at even addresses");
        let write = if read & OFFSET != 0 { write | slow::TRACKED } else { write };
        let packed = pa & !OFFSET | u64::from(attrs) | if global { 0 } else { LOCAL };
        Entry { read: read ^ OFFSET, write: write ^ OFFSET, addend, packed }
    }
    /// The page, and why an access to it is slow, as [`Entry::new`] got it.
    pub fn tag(&self, write: bool) -> u64 {
        (if write { self.write } else { self.read }) ^ OFFSET
    }
    /// Physical address of the page.
    pub fn pa(&self) -> u64 {
        self.packed & !(PAGE_SIZE - 1)
    }
    /// `attr::` bits.
    pub fn attrs(&self) -> u8 {
        self.packed as u8
    }
    fn is_absent(&self) -> bool {
        (self.read | self.write) & slow::ABSENT == 0
    }
}

/// The part of an address that is the place in the page.
const OFFSET: u64 = PAGE_SIZE - 1;

const EMPTY: Entry = Entry { read: 0, write: 0, addend: 0, packed: 0 };

/// Slots of the cache, each once.
struct Slots {
    list: Vec<u16>,
    has: Box<[u64; ENTRIES / 64]>,
}

impl Default for Slots {
    fn default() -> Slots {
        Slots { list: Vec::new(), has: Box::new([0; ENTRIES / 64]) }
    }
}

impl Slots {
    fn add(&mut self, i: u16) {
        let (word, bit) = (&mut self.has[usize::from(i) / 64], 1 << (i % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.list.push(i);
        }
    }
    /// Empties it, showing each to `f`.
    fn take(&mut self, mut f: impl FnMut(u16)) {
        for i in self.list.drain(..) {
            self.has[usize::from(i) / 64] = 0;
            f(i);
        }
    }
}

/// Which slots may have stores of a physical page take the fast path: by a hash of the page, none (0), one (its number and 1), or any
/// (`Written::ANY`). Whoever makes code of a page asks that of every view, and the whole cache is seldom looked through for the answer.
struct Written {
    slots: Box<[u16]>,
    used: Vec<u16>,
}

impl Written {
    const ANY: u16 = u16::MAX;

    fn new() -> Written {
        // Zeroes that the host gives memory to where they are used.
        Written { slots: vec![0; 1 << 16].into(), used: Vec::new() }
    }
    /// Neighbours lie beside each other.
    fn hash(pa_page: u64) -> u16 {
        let page = pa_page >> PAGE_BITS;
        (page ^ page >> 16) as u16
    }
    fn add(&mut self, pa_page: u64, slot: usize) {
        let hash = Self::hash(pa_page);
        let of = &mut self.slots[usize::from(hash)];
        let one = u16::try_from(slot + 1).unwrap_or(Self::ANY);
        if *of == 0 {
            *of = one;
            self.used.push(hash);
        } else if *of != one {
            *of = Self::ANY;
        }
    }
    fn of(&self, pa_page: u64) -> u16 {
        self.slots[usize::from(Self::hash(pa_page))]
    }
    fn clear(&mut self) {
        self.used.drain(..).for_each(|hash| self.slots[usize::from(hash)] = 0);
    }
}

/// Result of a look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Host address.
    Host(*mut u8),
    /// Take the slow path.
    Slow,
}

/// The cache. Its entries lie where generated code finds them.
pub struct Tlb {
    entries: &'static mut [Entry; ENTRIES],
    /// Slots filled for the current address space since it became that, all that are in use among them.
    locals: Slots,
    /// What other address spaces left.
    aside: Aside<(u16, Entry)>,
    /// Slots filled since the last full flush, all that are in use among them.
    filled: Slots,
    /// Physical pages that stores to took the fast path since the last full flush.
    written: Written,
    large: LargeMappings,
    known: Known,
}

/// Number of the eights of words that generated code has for that: see [`Tlb::at`].
pub const KNOWN: usize = 1 + 2 * 64;

/// What generated code has found in entries and goes by without looking at them again, eight words each; it is nothing if they are zero. Before that there
/// are eight words of which the first two have a bit for each that are not, where it is, in order.
struct Known(&'static mut [[u64; 8]; KNOWN]);

impl Known {
    /// An entry may say another thing from now on, or nothing.
    #[inline]
    fn forget(&mut self) {
        let [[loads, stores, ..], all @ ..] = &mut *self.0;
        for (used, all) in [loads, stores].into_iter().zip(all.chunks_mut(64)) {
            while *used != 0 {
                all[used.trailing_zeros() as usize] = [0; 8];
                *used &= *used - 1;
            }
        }
    }
}

#[inline]
fn index(va: u64) -> usize {
    (va >> PAGE_BITS) as usize & (ENTRIES - 1)
}

impl Tlb {
    /// An empty cache with its entries at `place`. What generated code remembers of them is at `known`, behind two words with a bit for each eight words that
    /// are not zero there, and six that nobody uses: those, and the two, are made zero when an entry no longer holds.
    ///
    /// # Safety
    /// `place` and `known` must be writable, all zeroes, aligned to 8 bytes, used by nobody else but generated code of the same thread, and live as
    /// long as the cache.
    pub unsafe fn at(place: *mut [Entry; ENTRIES], known: *mut [[u64; 8]; KNOWN]) -> Tlb {
        // SAFETY: the caller says so; every bit pattern is an entry, and a number.
        let (entries, known) = unsafe { (&mut *place, Known(&mut *known)) };
        Tlb {
            known,
            entries,
            locals: Slots::default(),
            aside: Aside::default(),
            filled: Slots::default(),
            written: Written::new(),
            large: LargeMappings::default(),
        }
    }
    /// Looks up a load of `size` bytes.
    #[inline(always)]
    pub fn load(&self, va: u64, size: u64) -> Lookup {
        self.look_up(va, size, false)
    }
    /// Looks up a store of `size` bytes.
    #[inline(always)]
    pub fn store(&self, va: u64, size: u64) -> Lookup {
        self.look_up(va, size, true)
    }
    #[inline(always)]
    fn look_up(&self, va: u64, size: u64, write: bool) -> Lookup {
        self.distance(va, size, write).map_or(Lookup::Slow, |d| Lookup::Host(va.wrapping_add(d) as *mut u8))
    }
    /// The distance to the host's addresses for bytes that are all fast to get at; it is a multiple of the page.
    #[inline(always)]
    pub fn distance(&self, va: u64, size: u64, write: bool) -> Option<u64> {
        let e = &self.entries[index(va)];
        let tag = if write { e.write } else { e.read };
        (va.wrapping_add(size - 1) | OFFSET == tag).then_some(e.addend as u64)
    }
    /// The entry for an address, whatever its slow bits; `None` when the permission (`write`) or the page is not in the cache.
    pub fn entry(&self, va: u64, write: bool) -> Option<&Entry> {
        let e = &self.entries[index(va)];
        let tag = e.tag(write);
        (tag & slow::ABSENT == 0 && tag & !OFFSET == va & !OFFSET).then_some(e)
    }
    /// Enters a translation of the page at `va`; `page_bits` is the size of the mapping that it is part of.
    pub fn fill(&mut self, va: u64, entry: Entry, page_bits: u32) {
        let i = index(va);
        // Of another page it is the guest's to say when what was there ends to hold.
        let old = &self.entries[i];
        if !old.is_absent() && (old.read ^ entry.read) & !OFFSET == 0 {
            self.known.forget();
        }
        self.filled.add(i as u16);
        self.large.add(va, page_bits);
        if entry.write & OFFSET == OFFSET {
            self.written.add(entry.pa(), i);
        }
        if entry.packed & LOCAL != 0 {
            self.locals.add(i as u16);
        }
        self.entries[i] = entry;
    }
    /// Stores to the page of `va`, which has an entry, take the fast path from now on, if loads do.
    pub fn allow_write(&mut self, va: u64) {
        let i = index(va);
        let e = &mut self.entries[i];
        if e.read & OFFSET == OFFSET {
            e.write |= slow::TRACKED;
            self.written.add(e.pa(), i);
        }
    }
    /// True if it has nothing to forget, as that of a view which nobody uses.
    #[inline]
    pub fn is_unused(&self) -> bool {
        self.filled.list.is_empty() && self.aside.is_empty()
    }
    /// Forgets everything.
    pub fn flush(&mut self) {
        self.known.forget();
        self.written.clear();
        self.filled.take(|i| self.entries[usize::from(i)] = EMPTY);
        self.large = LargeMappings::default();
        self.locals.take(|_| ());
        self.aside.forget(None);
    }
    /// Empties the slots of what holds in the current address space only, and gives it to `take`.
    fn take_locals(entries: &mut [Entry; ENTRIES], locals: &mut Slots, mut take: impl FnMut(u16, Entry)) {
        locals.take(|i| {
            let e = &mut entries[usize::from(i)];
            if e.packed & LOCAL != 0 && !e.is_absent() {
                take(i, *e);
                *e = EMPTY;
            }
        });
    }
    /// The address space changes: what holds in the old one only is put aside, what the new one left there comes back.
    pub fn switch(&mut self, from: u32, to: u32) {
        self.known.forget();
        let (entries, locals) = (&mut *self.entries, &mut self.locals);
        for (i, e) in self.aside.switch(from, to, |room| Self::take_locals(entries, locals, |i, e| room.push((i, e)))) {
            if self.entries[i as usize].is_absent() {
                self.entries[i as usize] = e;
                self.filled.add(i);
                self.locals.add(i);
            }
        }
    }
    /// Forgets what holds in the address space `asid` only; `current` is the one in use.
    pub fn flush_asid(&mut self, asid: u32, current: u32) {
        self.aside.forget(Some(asid));
        if asid == current {
            self.known.forget();
            Self::take_locals(self.entries, &mut self.locals, |_, _| ());
        }
    }
    /// What other address spaces left is forgotten: of one, or of all.
    #[inline]
    pub fn forget_aside(&mut self, asid: Option<u32>) {
        self.aside.forget(asid);
    }
    /// Forgets the pages from `va` to `last`. Mappings larger than a page may be under any of their pages, so these flush everything.
    pub fn flush_range(&mut self, va: u64, last: u64) {
        let (first, last) = (va & VA_MASK & !(PAGE_SIZE - 1), last & VA_MASK);
        if last < first || self.large.meet(first, last) {
            return self.flush();
        }
        self.known.forget();
        let meets = |tag: u64| tag & slow::ABSENT == 0 && (first..=last).contains(&(tag & VA_MASK & !OFFSET));
        let forget = |e: &mut Entry| {
            if meets(e.tag(false)) || meets(e.tag(true)) {
                *e = EMPTY;
            }
        };
        if (last - first) >> PAGE_BITS < (self.filled.list.len() as u64).max(64) {
            (0..(last - first) / PAGE_SIZE + 1).for_each(|n| forget(&mut self.entries[index(first + n * PAGE_SIZE)]));
        } else {
            self.filled.list.iter().for_each(|i| forget(&mut self.entries[*i as usize]));
        }
    }
    /// Entries that were filled.
    fn used(&mut self, mut f: impl FnMut(&mut Entry)) {
        let entries = &mut *self.entries;
        self.filled.list.iter().for_each(|i| f(&mut entries[*i as usize]));
        self.aside.iter_mut().for_each(|e| f(&mut e.1));
    }
    /// Makes stores to a physical page take the slow path again.
    pub fn revoke_write(&mut self, pa_page: u64) {
        let revoke = |e: &mut Entry| {
            if e.pa() == pa_page && !e.is_absent() {
                e.write &= !slow::TRACKED;
            }
        };
        match self.written.of(pa_page) {
            0 => return,
            Written::ANY => self.used(revoke),
            one => {
                // What another address space left comes back to the same slot.
                let slot = one - 1;
                revoke(&mut self.entries[usize::from(slot)]);
                self.aside.iter_mut().filter(|(i, _)| *i == slot).for_each(|(_, e)| revoke(e));
            }
        }
        self.known.forget();
    }
    /// Makes all stores take the slow path again.
    pub fn revoke_all_writes(&mut self) {
        self.known.forget();
        self.used(|e| e.write &= !slow::TRACKED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(va: u64, pa: u64, asid: u32) -> Entry {
        Entry::new(va, va, 0x10_0000, pa, 0, asid == u32::MAX)
    }
    fn tlb() -> Tlb {
        // SAFETY: leaked memory of the right type.
        unsafe { Tlb::at(Box::leak(vec![EMPTY; ENTRIES].into_boxed_slice().try_into().unwrap()), Box::leak(Box::new([[0; 8]; KNOWN]))) }
    }

    #[test]
    fn hits_only_inside_the_page() {
        let mut t = tlb();
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

    /// Whatever takes something away of what entries say makes code forget what it knows of them, and nothing else does.
    #[test]
    fn what_code_knows_is_forgotten() {
        let changes: [(&str, bool, fn(&mut Tlb)); 12] = [
            ("everything", true, |t| t.flush()),
            ("a page", true, |t| t.flush_range(0x6000, 0x6fff)),
            ("the address space", true, |t| t.flush_asid(1, 1)),
            ("another address space", false, |t| t.flush_asid(2, 1)),
            ("a switch", true, |t| t.switch(1, 2)),
            ("stores to a page", true, |t| t.revoke_write(0x1000)),
            ("stores to a page that none go to", false, |t| t.revoke_write(0x9000)),
            ("all stores", true, |t| t.revoke_all_writes()),
            ("the page again", true, |t| t.fill(0x5000, entry(0x5000, 0x7000, 1), 12)),
            ("another page", false, |t| t.fill(0x9000, entry(0x9000, 0x2000, 1), 12)),
            ("a page in place of this", false, |t| t.fill(0x5000 + (1 << 28), entry(0x5000 + (1 << 28), 0x2000, 1), 12)),
            ("stores allowed", false, |t| t.allow_write(0x5000)),
        ];
        for (what, forgets, change) in changes {
            let mut t = tlb();
            t.fill(0x5000, entry(0x5000, 0x1000, 1), 12);
            let mut known = [[0; 8]; KNOWN];
            known[0][..2].copy_from_slice(&[1 << 63 | 1, 4]);
            for n in [0, 63, 64 + 2] {
                known[1 + n] = [n as u64 + 1; 8];
            }
            *t.known.0 = known;
            change(&mut t);
            assert!(*t.known.0 == if forgets { [[0; 8]; KNOWN] } else { known }, "{what}");
        }
    }

    #[test]
    fn stores_are_revoked_wherever_they_are_fast() {
        let fast = |t: &Tlb, va: u64| t.store(va, 1) != Lookup::Slow;
        let page = |n: u64| n << PAGE_BITS;
        // The same physical page at several addresses, and another that has the same hash: first alone, then with all that there are before it.
        let hashes_alike = page(1 | 1 << 16);
        assert_eq!(Written::hash(hashes_alike), Written::hash(0));
        for last in [page(7), page(0xfffe), page(0xffff)] {
            for others in 0..4u64 {
                let mut t = tlb();
                if others & 1 != 0 {
                    t.fill(page(3), entry(page(3), 0, 1), 12);
                }
                if others & 2 != 0 {
                    t.fill(page(4), entry(page(4), hashes_alike, 1), 12);
                }
                t.fill(last, entry(last, 0, 1), 12);
                t.revoke_write(0);
                let want = [false, others & 2 != 0, false];
                assert_eq!([page(3), page(4), last].map(|va| fast(&t, va)), want, "{last:#x} {others}");
                // By the first store to it, and put aside while it is revoked.
                t.allow_write(last);
                assert!(fast(&t, last));
                t.switch(1, 2);
                t.revoke_write(0);
                t.switch(2, 1);
                assert!(!fast(&t, last) && t.load(last, 1) != Lookup::Slow);
                t.flush();
                t.fill(last, entry(last, page(9), 1), 12);
                t.revoke_write(0);
                assert!(fast(&t, last), "another page's");
                t.revoke_write(page(9));
                assert!(!fast(&t, last));
            }
        }
    }

    #[test]
    fn flushes() {
        let mut t = tlb();
        let fill = |t: &mut Tlb| {
            t.fill(0x5000, entry(0x5000, 0, 1), 12);
            t.fill(0x6000, entry(0x6000, 0, 2), 12);
            t.fill(0x7000, entry(0x7000, 0, u32::MAX), 12);
        };
        let have = |t: &Tlb| [0x5000, 0x6000, 0x7000].map(|va| t.load(va, 1) != Lookup::Slow);
        fill(&mut t);
        t.flush_asid(2, 1);
        assert_eq!(have(&t), [true; 3], "another address space's");
        t.switch(1, 2);
        assert_eq!(have(&t), [false, false, true]);
        t.fill(0x8000, entry(0x8000, 0x3000, 2), 12);
        t.switch(2, 1);
        assert_eq!((have(&t), t.load(0x8000, 1)), ([true; 3], Lookup::Slow), "they come back, and the others go");
        t.switch(1, 2);
        t.revoke_write(0x3000);
        t.flush_asid(1, 2);
        t.switch(2, 1);
        assert_eq!(have(&t), [false, false, true], "forgotten while put aside");
        t.switch(1, 2);
        assert_eq!((t.load(0x8000, 1) != Lookup::Slow, t.store(0x8000, 1)), (true, Lookup::Slow));
        t.flush_asid(2, 2);
        assert_eq!(t.load(0x8000, 1), Lookup::Slow);
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
