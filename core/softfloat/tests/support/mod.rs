//! Operands for the tests: a seeded generator that prefers the corners of a format.

#![allow(dead_code)]

use emu_softfloat::Format;

/// SplitMix64: small, seedable, good enough to pick operands.
pub struct Random(u64);

impl Random {
    /// A generator whose seed is printed, and taken from `EMU_SEED` if that is set.
    pub fn new(name: &str, default_seed: u64) -> Random {
        let seed = std::env::var("EMU_SEED").ok().and_then(|s| match s.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => s.parse().ok(),
        });
        let seed = seed.unwrap_or(default_seed);
        println!("{name}: EMU_SEED={seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }

    /// A fraction with a liking for runs of ones and zeros, which is where rounding is decided.
    fn fraction<F: Format>(&mut self) -> u64 {
        let random = self.next();
        let bits = match self.below(8) {
            0 => 0,
            1 => F::FRAC_MASK,
            2 => 1 << self.below(F::FRAC_BITS as u64),
            3 => F::FRAC_MASK ^ 1 << self.below(F::FRAC_BITS as u64),
            4 => u64::MAX << self.below(F::FRAC_BITS as u64 + 1),
            5 => !(u64::MAX << self.below(F::FRAC_BITS as u64 + 1)),
            _ => random,
        };
        bits & F::FRAC_MASK
    }

    /// Any operand: special, denormal, extreme, near one, or uniformly random.
    pub fn operand<F: Format>(&mut self) -> u64 {
        let sign = if self.next() & 1 != 0 { F::SIGN_BIT } else { 0 };
        let fraction = self.fraction::<F>();
        let exponent = match self.below(20) {
            0 => return sign,
            1 => return sign | F::INFINITY,
            2 => return sign | F::INFINITY | F::QUIET_BIT | fraction,
            3 => return sign | F::INFINITY | (fraction & (F::QUIET_BIT - 1)).max(1),
            4 | 5 => 0,
            6 => 1 + self.below(3),
            7 => F::EXP_MAX - 1 - self.below(3),
            8..=13 => F::BIAS as u64 + self.below(9) - 4,
            _ => self.below(F::EXP_MAX + 1),
        };
        sign | exponent << F::FRAC_BITS | fraction
    }

    /// A second operand, often close to the first so that sums cancel.
    pub fn near<F: Format>(&mut self, other: u64) -> u64 {
        match self.below(4) {
            0 => {
                let magnitude = other & (F::SIGN_BIT - 1);
                let moved = magnitude.wrapping_add(self.below(9)).wrapping_sub(4);
                (other & F::SIGN_BIT ^ F::SIGN_BIT) | moved & (F::SIGN_BIT - 1)
            }
            1 => {
                // An exponent a fraction's width away, where the smaller operand is half an ulp.
                let exponent = other >> F::FRAC_BITS & F::EXP_MAX;
                let distance = F::FRAC_BITS as u64 + self.below(5) - 2;
                let exponent = if self.next() & 1 != 0 { exponent.saturating_sub(distance) } else { (exponent + distance).min(F::EXP_MAX - 1) };
                let sign = if self.next() & 1 != 0 { F::SIGN_BIT } else { 0 };
                sign | exponent << F::FRAC_BITS | self.fraction::<F>()
            }
            _ => self.operand::<F>(),
        }
    }
}

/// Whether the zero-extended bits are a NaN.
pub fn is_nan<F: Format>(bits: u64) -> bool {
    bits & (F::SIGN_BIT - 1) > F::INFINITY
}
