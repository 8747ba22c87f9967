//! What a CPU's caches of addresses have in common: what belongs to an address space that is not in use, and what lies in large mappings.

use crate::PAGE_BITS;

/// So many other address spaces' entries are kept.
const SPACES: usize = 8;

/// Entries that other address spaces left, the space left longest ago first: they come back with it.
pub struct Aside<T>(Vec<(u32, Vec<T>)>);

impl<T> Default for Aside<T> {
    fn default() -> Self {
        Aside(Vec::new())
    }
}

impl<T> Aside<T> {
    /// The address space changes: `fill` puts what `from` leaves into the vector it is given; the answer is what `to` left once.
    pub fn switch(&mut self, from: u32, to: u32, fill: impl FnOnce(&mut Vec<T>)) -> Vec<T> {
        let mut room = match self.0.iter().position(|a| a.0 == from) {
            Some(i) => self.0.remove(i).1,
            None if self.0.len() >= SPACES => self.0.remove(0).1,
            None => Vec::new(),
        };
        room.clear();
        fill(&mut room);
        self.0.push((from, room));
        self.0.iter().position(|a| a.0 == to).map_or_else(Vec::new, |i| self.0.remove(i).1)
    }
    /// What an address space left is forgotten; `None`: what all left.
    #[inline]
    pub fn forget(&mut self, asid: Option<u32>) {
        if !self.0.is_empty() {
            self.0.retain(|a| asid.is_some_and(|asid| a.0 != asid));
        }
    }
    /// Keeps only entries that pass.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0.iter_mut().for_each(|a| a.1.retain(&mut keep));
    }
    /// True if there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// All entries.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(|a| a.1.iter_mut())
    }
}

/// Tags and tops of tagged addresses do not matter to invalidation: it compares these bits.
pub const VA_MASK: u64 = (1 << 56) - 1;

/// Spans that large mappings are told apart by.
const SPANS: usize = 8;
/// Mappings that are no further apart share a span.
const NEAR: u64 = 1 << 30;

/// First and last address of large mappings that entries were made for: any of a mapping's addresses names the whole, so that a flush that
/// meets the span may concern any of those entries.
#[derive(Clone, Copy, Default)]
pub struct LargeMappings {
    spans: [(u64, u64); SPANS],
    used: usize,
}

impl LargeMappings {
    /// An entry was made at `va` for a mapping of 2^`page_bits` bytes.
    pub fn add(&mut self, va: u64, page_bits: u32) {
        if page_bits <= PAGE_BITS {
            return;
        }
        let mask = if page_bits >= 56 { VA_MASK } else { (1 << page_bits) - 1 };
        let (first, last) = (va & VA_MASK & !mask, va & VA_MASK | mask);
        let distance = |s: &(u64, u64)| s.0.saturating_sub(last).max(first.saturating_sub(s.1));
        let nearest = self.spans[..self.used].iter_mut().min_by_key(|s| distance(s));
        match nearest {
            Some(s) if self.used == SPANS || distance(s) <= NEAR => *s = (s.0.min(first), s.1.max(last)),
            _ => {
                self.spans[self.used] = (first, last);
                self.used += 1;
            }
        }
    }
    /// True if the addresses from `first` to `last` meet one of them, perhaps.
    pub fn meet(&self, first: u64, last: u64) -> bool {
        self.spans[..self.used].iter().any(|(f, l)| *f <= last & VA_MASK && first & VA_MASK <= *l)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_mappings_that_are_far_apart_have_spans_of_their_own() {
        let mut m = LargeMappings::default();
        assert!(!m.meet(0, u64::MAX));
        m.add(0x20_1234, 12);
        assert!(!m.meet(0, u64::MAX), "a page is no large mapping");
        m.add(0xffff_8000_0020_0000, 21);
        m.add(0xffff_0000_4000_0000, 21);
        assert!(m.meet(0xffff_8000_003f_f000, 0xffff_8000_003f_ffff) && m.meet(0xffff_0000_4000_0000, 0xffff_0000_4000_0fff));
        assert!(!m.meet(0xffff_7000_0000_0000, 0xffff_7000_0000_0fff), "between the two");
        // More than there are spans: what they cover only grows.
        (0..64).for_each(|i| m.add(i << 40, 30));
        assert!((0..64).all(|i| m.meet(i << 40, i << 40)) && m.meet(0xffff_8000_0020_0000, 0xffff_8000_0020_0000));
    }
}
