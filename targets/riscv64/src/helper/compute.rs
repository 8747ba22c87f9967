//! Helpers that only compute.

use crate::helper::{crypto, system};
use crate::state::State;
use emu_plugins_api::HelperReturn;

crate::helper::helpers! { system::COUNT;
    /// FCLASS of `a`; the constant is the format: 0 single, 1 double, 2 half.
    FCLASS: fclass, 0;
    /// ORC.B.
    ORC_B: orc_b, 0;
    /// BREV8.
    BREV8: brev8, 0;
    /// XPERM4, XPERM8 of `a` by the indices `b`; the constant is the width of an element.
    XPERM: xperm, 0;
    /// AES64 ES, ESM, DS, DSM, KS2 (the constant) of `a` and `b`.
    AES: crypto::aes, 0;
    /// AES64IM.
    AES_IM: crypto::aes_im, 0;
    /// AES64KS1I; the constant is the round.
    AES_KS1I: crypto::aes_ks1i, 0;
    /// SM4ED, SM4KS (bit 2 of the constant; bits 1-0 are bs).
    SM4: crypto::sm4, 0;
}

/// The class of a number (volume I, "FCLASS"): one of ten bits.
fn fclass(_: &mut State, bits: u64, _: u64, _: u64, format: u64) -> HelperReturn {
    let (exponent_bits, fraction_bits) = match format {
        0 => (8, 23),
        1 => (11, 52),
        _ => (5, 10),
    };
    let fraction = bits & ((1 << fraction_bits) - 1);
    let top = (1u64 << exponent_bits) - 1;
    let exponent = bits >> fraction_bits & top;
    let negative = bits >> (exponent_bits + fraction_bits) & 1 != 0;
    #[rustfmt::skip]
    let class = match (exponent, fraction) {
        (0, 0) => if negative { 3 } else { 4 },
        (0, _) => if negative { 2 } else { 5 },
        (e, 0) if e == top => if negative { 0 } else { 7 },
        (e, f) if e == top => if f >> (fraction_bits - 1) != 0 { 9 } else { 8 },
        _ => if negative { 1 } else { 6 },
    };
    HelperReturn::value(1 << class)
}

fn orc_b(_: &mut State, a: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    HelperReturn::value(u64::from_le_bytes(a.to_le_bytes().map(|b| if b == 0 { 0 } else { 0xff })))
}

fn brev8(_: &mut State, a: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    HelperReturn::value(u64::from_le_bytes(a.to_le_bytes().map(u8::reverse_bits)))
}

fn xperm(_: &mut State, table: u64, indices: u64, _: u64, width: u64) -> HelperReturn {
    let mask = (1u64 << width) - 1;
    let value = (0..64 / width).fold(0, |v, n| {
        let index = indices >> (n * width) & mask;
        let element = if index < 64 / width { table >> (index * width) & mask } else { 0 };
        v | element << (n * width)
    });
    HelperReturn::value(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::state;

    #[test]
    fn classes() {
        let mut cpu = state();
        for (bits, class) in [
            (f64::NEG_INFINITY.to_bits(), 0),
            ((-1f64).to_bits(), 1),
            ((-5e-324f64).to_bits(), 2),
            ((-0f64).to_bits(), 3),
            (0, 4),
            (1, 5),
            (1f64.to_bits(), 6),
            (f64::INFINITY.to_bits(), 7),
            (0x7ff0_0000_0000_0001, 8),
            (f64::NAN.to_bits(), 9),
        ] {
            assert_eq!(fclass(&mut cpu, bits, 0, 0, 1).value, 1 << class, "{bits:#x}");
        }
        assert_eq!(fclass(&mut cpu, 0x7c01, 0, 0, 2).value, 1 << 8);
        assert_eq!(fclass(&mut cpu, 0xff80_0000, 0, 0, 0).value, 1);
    }
    #[test]
    fn bytes_and_permutations() {
        let mut cpu = state();
        assert_eq!(orc_b(&mut cpu, 0x0100_8000_0000_00ff, 0, 0, 0).value, 0xff00_ff00_0000_00ff);
        assert_eq!(brev8(&mut cpu, 0x01_80, 0, 0, 0).value, 0x80_01);
        assert_eq!(xperm(&mut cpu, 0x8877_6655_4433_2211, 0x0008_0700, 0, 8).value, 0x1111_1111_1100_8811);
        assert_eq!(xperm(&mut cpu, 0xfedc_ba98_7654_3210, 0x0123_4567_89ab_cdef, 0, 4).value, 0x0123_4567_89ab_cdef);
    }
}
