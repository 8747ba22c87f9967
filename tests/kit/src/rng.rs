//! Seeded random numbers: xoshiro256** started by splitmix64 (Blackman and Vigna's public algorithms).

use std::time::{SystemTime, UNIX_EPOCH};

/// One step of splitmix64; also a good way to derive a seed from a seed and an index.
pub fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// The seed of `EMU_SEED` (decimal, or hex after `0x`), if that is set.
///
/// # Panics
/// When the variable is set to something that is no number: a replay must not run with another seed.
pub fn seed_from_env() -> Option<u64> {
    let text = std::env::var("EMU_SEED").ok()?;
    Some(parse_seed(&text).unwrap_or_else(|| panic!("EMU_SEED={text} is no number")))
}

/// A number in decimal, or in hex after `0x`.
pub fn parse_seed(text: &str) -> Option<u64> {
    let text = text.trim().replace('_', "");
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The generator.
#[derive(Clone, Debug)]
pub struct Rng {
    s: [u64; 4],
    seed: u64,
}

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        let s = std::array::from_fn(|_| splitmix64(&mut state));
        Self { s, seed }
    }

    /// With the seed of `EMU_SEED`, or else one from the clock; prints how to replay the run.
    pub fn announced(test: &str) -> Self {
        let seed = seed_from_env().unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
            now ^ u64::from(std::process::id()) << 48
        });
        println!("{test}: seed {seed:#x} (replay with EMU_SEED={seed:#x})");
        Self::new(seed)
    }

    /// The seed that it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// An independent generator for item `index`, the same whatever was drawn before.
    pub fn fork(&self, index: u64) -> Self {
        let mut state = self.seed ^ index.wrapping_mul(0xd134_2543_de82_ef95);
        Self::new(splitmix64(&mut state))
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        let result = self.s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = self.s[1] << 17;
        self.s[2] ^= self.s[0];
        self.s[3] ^= self.s[1];
        self.s[1] ^= self.s[2];
        self.s[0] ^= self.s[3];
        self.s[2] ^= t;
        self.s[3] = self.s[3].rotate_left(45);
        result
    }

    /// 32 random bits.
    pub fn u32(&mut self) -> u32 {
        (self.u64() >> 32) as u32
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(n)) >> 64) as u64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the items.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Puts the items in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_known_values() {
        // The first outputs of the reference implementation for state 0.
        let mut state = 0;
        assert_eq!(splitmix64(&mut state), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(&mut state), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(splitmix64(&mut state), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn seeds_repeat_and_forks_do_not_depend_on_order() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        assert_eq!(a.u64(), b.u64());
        a.u64();
        assert_eq!(a.fork(3).u64(), b.fork(3).u64());
        assert_ne!(a.fork(3).u64(), b.fork(4).u64());
        let mut seen = [false; 10];
        (0..1000).for_each(|_| seen[a.below(10) as usize] = true);
        assert_eq!(seen, [true; 10]);
    }

    #[test]
    fn seed_texts() {
        assert_eq!(parse_seed("0xff"), Some(255));
        assert_eq!(parse_seed(" 12 "), Some(12));
        assert_eq!(parse_seed("seed"), None);
    }
}
