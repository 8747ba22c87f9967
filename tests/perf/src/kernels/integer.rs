//! General registers: branches, hashing, sorting, carries.

use crate::guest::*;
use emu_a64_asm::*;

const SIEVE: u64 = 8192;

/// The sieve of Eratosthenes over bytes; counts the primes.
pub fn sieve(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X1, DATA);
    a.mov_imm(X2, SIEVE);
    a.mov_imm(X5, 0x0101_0101_0101_0101);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.mov(X3, X1);
        a.add(X4, X1, X2, 0);
        let set = a.here();
        a.str(X5, Addr::Post(X3, 8));
        a.cmp(X3, X4);
        a.b_cond(Cond::Lo, set);
        a.movz(X6, 2, 0);
        let (outer, next) = (a.here(), a.label());
        a.ldrb(W7, Addr::Index(X1, X6));
        a.cbz(X7, next);
        a.add_imm(X0, X0, 1);
        a.add(X8, X6, X6, 0);
        a.cmp(X8, X2);
        a.b_cond(Cond::Hs, next);
        let inner = a.here();
        a.strb(WZR, Addr::Index(X1, X8));
        a.add(X8, X8, X6, 0);
        a.cmp(X8, X2);
        a.b_cond(Cond::Lo, inner);
        a.bind(next);
        a.add_imm(X6, X6, 1);
        a.cmp(X6, X2);
        a.b_cond(Cond::Lo, outer);
    });
}

/// Primes below 8192, each time.
pub fn sieve_model(repeats: u64) -> u64 {
    let primes = (2..SIEVE).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count();
    repeats * primes as u64
}

const WORDS: u64 = 512;
const PRIMES: [u64; 4] = [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63];

/// Multiplies, rotates and exclusive-ors 4 KiB.
pub fn hash(a: &mut Asm, _: Frame, repeats: u64) {
    fill(a, DATA, WORDS, 1);
    for (n, prime) in PRIMES.into_iter().enumerate() {
        a.mov_imm(Reg::x(11 + n as u8), prime);
    }
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.mov_imm(X1, DATA);
        repeat(a, X2, WORDS, |a| {
            a.ldr(X3, Addr::Post(X1, 8));
            a.mul(X3, X3, X11);
            a.ror(X3, X3, 33);
            a.mul(X3, X3, X12);
            a.eor(X0, X0, X3, 0);
            a.ror(X0, X0, 37);
            a.madd(X0, X0, X13, X14);
        });
    });
}

/// The same in Rust.
pub fn hash_model(repeats: u64) -> u64 {
    let words = filled(WORDS as usize, 1);
    let [p1, p2, p3, p4] = PRIMES;
    let mut h = 0u64;
    for _ in 0..repeats {
        for word in &words {
            h ^= word.wrapping_mul(p1).rotate_right(33).wrapping_mul(p2);
            h = h.rotate_right(37).wrapping_mul(p3).wrapping_add(p4);
        }
    }
    h
}

const SORTED: u64 = 1024;

/// Shell sort of 1024 doublewords, anew each time; the checksum takes one element in 17 with its place.
pub fn sort(a: &mut Asm, _: Frame, repeats: u64) {
    random_constants(a, X16, X17);
    a.movz(X15, 7, 0);
    a.mov(X0, XZR);
    a.mov_imm(X1, DATA);
    a.mov_imm(X2, SORTED);
    repeat(a, X10, repeats, |a| {
        a.mov(X3, XZR);
        let make = a.here();
        a.madd(X15, X15, X16, X17);
        a.str(X15, Addr::Scaled(X1, X3));
        a.add_imm(X3, X3, 1);
        a.cmp(X3, X2);
        a.b_cond(Cond::Lo, make);
        a.lsr(X4, X2, 1); // the gap
        let gaps = a.here();
        a.mov(X5, X4);
        let outer = a.here();
        a.ldr(X6, Addr::Scaled(X1, X5));
        a.mov(X7, X5);
        let (inner, place) = (a.here(), a.label());
        a.subs(X8, X7, X4, 0);
        a.b_cond(Cond::Lo, place);
        a.ldr(X9, Addr::Scaled(X1, X8));
        a.cmp(X9, X6);
        a.b_cond(Cond::Ls, place);
        a.str(X9, Addr::Scaled(X1, X7));
        a.mov(X7, X8);
        a.b(inner);
        a.bind(place);
        a.str(X6, Addr::Scaled(X1, X7));
        a.add_imm(X5, X5, 1);
        a.cmp(X5, X2);
        a.b_cond(Cond::Lo, outer);
        a.lsr(X4, X4, 1);
        a.cbnz(X4, gaps);
        a.mov(X3, XZR);
        let sum = a.here();
        a.ldr(X6, Addr::Scaled(X1, X3));
        a.madd(X0, X6, X3, X0);
        a.add_imm(X3, X3, 17);
        a.cmp(X3, X2);
        a.b_cond(Cond::Lo, sum);
    });
}

/// The same with the library's sort.
pub fn sort_model(repeats: u64) -> u64 {
    let (mut state, mut sum) = (7, 0u64);
    for _ in 0..repeats {
        let mut list: Vec<u64> = Vec::new();
        for _ in 0..SORTED {
            state = random(state);
            list.push(state);
        }
        list.sort_unstable();
        for i in (0..list.len()).step_by(17) {
            sum = sum.wrapping_add(list[i].wrapping_mul(i as u64));
        }
    }
    sum
}

const LIMBS: u64 = 16;

/// A row times a doubleword, added to a row of 16 doublewords: MUL, UMULH and carries.
pub fn bignum(a: &mut Asm, _: Frame, repeats: u64) {
    fill(a, DATA, 2 * LIMBS, 3);
    a.mov_imm(X1, DATA);
    a.add_imm(X2, X1, LIMBS as u32 * 8);
    a.movz(X3, 1, 0);
    repeat(a, X10, repeats, |a| {
        a.mov(X4, X1);
        a.mov(X5, X2);
        a.mov(X6, XZR);
        repeat(a, X11, LIMBS / 2, |a| {
            a.ldp(X7, X8, Addr::Post(X4, 16));
            a.ldp(X12, X13, Addr::Off(X5, 0));
            a.mul(X14, X7, X3);
            a.umulh(X15, X7, X3);
            a.mul(X16, X8, X3);
            a.umulh(X17, X8, X3);
            a.adds(X12, X12, X6, 0);
            a.adcs(X15, X15, XZR);
            a.adds(X12, X12, X14, 0);
            a.adcs(X13, X13, X15);
            a.adc(X17, X17, XZR);
            a.adds(X13, X13, X16, 0);
            a.adc(X6, X17, XZR);
            a.stp(X12, X13, Addr::Post(X5, 16));
        });
        // The next multiplier.
        a.eor(X3, X6, X13, 5);
        a.orr_imm(X3, X3, 1);
    });
    a.mov(X0, X3);
}

/// The same with 128-bit integers.
pub fn bignum_model(repeats: u64) -> u64 {
    let words = filled(2 * LIMBS as usize, 3);
    let (row, mut sum) = (words[..16].to_vec(), words[16..].to_vec());
    let mut by = 1u64;
    for _ in 0..repeats {
        let mut carry = 0u64;
        for (word, sum) in row.iter().zip(&mut sum) {
            let t = u128::from(*word) * u128::from(by) + u128::from(*sum) + u128::from(carry);
            (*sum, carry) = (t as u64, (t >> 64) as u64);
        }
        by = (carry ^ sum[15] << 5) | 1;
    }
    by
}
