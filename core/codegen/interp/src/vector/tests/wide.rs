//! 256-bit two's complement integers, written for clarity: what the pseudocode's unbounded integers need here.

use std::cmp::Ordering;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Z([u32; 8]);

impl Z {
    pub fn new(value: i128) -> Z {
        let sign = if value < 0 { u32::MAX } else { 0 };
        Z(std::array::from_fn(|i| if i < 4 { (value >> (32 * i)) as u32 } else { sign }))
    }
    pub fn power(n: u32) -> Z {
        Z(std::array::from_fn(|i| if i as u32 == n / 32 { 1 << (n % 32) } else { 0 }))
    }
    pub fn add(self, other: Z) -> Z {
        let mut carry = 0;
        Z(std::array::from_fn(|i| {
            let sum = u64::from(self.0[i]) + u64::from(other.0[i]) + carry;
            carry = sum >> 32;
            sum as u32
        }))
    }
    pub fn neg(self) -> Z {
        Z(self.0.map(|digit| !digit)).add(Z::new(1))
    }
    pub fn sub(self, other: Z) -> Z {
        self.add(other.neg())
    }
    pub fn mul(self, other: Z) -> Z {
        let mut product = [0u32; 8];
        for (i, x) in self.0.into_iter().enumerate() {
            let mut carry = 0;
            for (digit, y) in product[i..].iter_mut().zip(other.0) {
                let sum = u64::from(x) * u64::from(y) + u64::from(*digit) + carry;
                *digit = sum as u32;
                carry = sum >> 32;
            }
        }
        Z(product)
    }
    pub fn bit(self, n: u32) -> bool {
        self.0[n as usize / 32] >> (n % 32) & 1 == 1
    }
    pub fn is_negative(self) -> bool {
        self.bit(255)
    }
    fn from_bits(bit: impl Fn(u32) -> bool) -> Z {
        Z(std::array::from_fn(|i| (0..32).fold(0, |digit, k| digit | u32::from(bit(32 * i as u32 + k)) << k)))
    }
    pub fn shl(self, n: u32) -> Z {
        Z::from_bits(|i| i >= n && self.bit(i - n))
    }
    /// Towards minus infinity, as the pseudocode's `>>`.
    pub fn shr(self, n: u32) -> Z {
        Z::from_bits(|i| self.bit((i + n).min(255)))
    }
    pub fn cmp(self, other: Z) -> Ordering {
        let difference = self.sub(other);
        if difference == Z::new(0) {
            Ordering::Equal
        } else if difference.is_negative() {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }
    pub fn low(self) -> u128 {
        (0..4).fold(0, |low, i| low | u128::from(self.0[i]) << (32 * i))
    }
}
