//! Sets of state fields by their offsets, for passes that know something of fields until somebody may look at them or write them.

/// Fields at offsets below this are tracked.
pub const TRACKED: usize = 2048;
/// Size in bytes of the largest field that is.
pub const FIELD_MAX: usize = 16;

/// A set of offsets, all below [`TRACKED`], that one generation number empties.
pub struct Offsets {
    generation: u32,
    /// By 64 offsets: those that are in it, a bit each, if the generation is this one.
    words: Vec<(u32, u64)>,
}

impl Default for Offsets {
    fn default() -> Self {
        Offsets { generation: 1, words: vec![(0, 0); TRACKED / 64] }
    }
}

impl Offsets {
    /// Empties it.
    pub fn clear(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.words.fill((0, 0));
            self.generation = 1;
        }
    }
    /// True if an offset is in it.
    pub fn has(&self, at: usize) -> bool {
        self.word(at / 64) >> (at % 64) & 1 != 0
    }
    /// Adds an offset.
    pub fn insert(&mut self, at: usize) {
        let word = &mut self.words[at / 64];
        if word.0 != self.generation {
            *word = (self.generation, 0);
        }
        word.1 |= 1 << (at % 64);
    }
    /// Takes an offset out that is in it.
    pub fn remove(&mut self, at: usize) {
        self.words[at / 64].1 &= !(1 << (at % 64));
    }
    /// The offsets of a word; none of one beyond those that are tracked.
    fn word(&self, word: usize) -> u64 {
        self.words.get(word).filter(|w| w.0 == self.generation).map_or(0, |w| w.1)
    }
    /// Those at which a field may begin that reaches into `bytes` bytes (at most [`FIELD_MAX`]) at an offset: as they are now.
    pub fn near(&self, at: usize, bytes: usize) -> impl Iterator<Item = usize> + use<> {
        // The window is not longer than 31 bytes.
        let (from, end) = (at.saturating_sub(FIELD_MAX - 1), at + bytes);
        let (word, shift) = (from / 64, from % 64);
        let above = if shift == 0 { 0 } else { self.word(word + 1) << (64 - shift) };
        let mut near = (self.word(word) >> shift | above) & ((1 << (end - from)) - 1);
        std::iter::from_fn(move || {
            let first = (near != 0).then(|| from + near.trailing_zeros() as usize);
            near &= near.wrapping_sub(1);
            first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_what_may_reach_there() {
        let mut set = Offsets::default();
        let inside = [0, 1, 15, 16, 63, 64, 79, 80, 500, 2032, 2047];
        inside.iter().for_each(|at| set.insert(*at));
        for at in 0..TRACKED + 80 {
            for bytes in [1, 2, 4, 8, 16] {
                let want: Vec<usize> = inside.into_iter().filter(|o| *o < at + bytes && o + FIELD_MAX > at).collect();
                assert_eq!(set.near(at, bytes).collect::<Vec<_>>(), want, "{bytes} at {at}");
            }
        }
        set.remove(64);
        assert_eq!([63, 64, 65, 79].map(|at| set.has(at)), [true, false, false, true]);
        set.generation = u32::MAX;
        set.insert(3);
        set.clear();
        assert!((0..TRACKED).all(|at| !set.has(at)), "also when the numbers begin anew");
    }
}
