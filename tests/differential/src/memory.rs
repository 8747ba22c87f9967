//! What the generator must know of the load and store classes: the displacement that an encoding
//! adds to its base, and the register combinations that are CONSTRAINED UNPREDICTABLE.

use crate::encoding::Encoding;

fn sign_extend(value: u32, bits: u32) -> i64 {
    i64::from((value << (32 - bits)) as i32 >> (32 - bits))
}

/// log2 of the bytes of a load/store register encoding.
fn scale(word: u32) -> u32 {
    let (size, vector, opc) = (word >> 30, word >> 26 & 1, word >> 22 & 3);
    if vector == 1 && opc & 2 != 0 && size == 0 { 4 } else { size }
}

/// log2 of the bytes of one register of a pair.
fn pair_scale(word: u32) -> u32 {
    let (opc, vector, load) = (word >> 30, word >> 26 & 1, word >> 22 & 1);
    match (vector, opc, load) {
        (1, _, _) => 2 + opc,
        (_, 1, 0) => 4, // STGP
        _ => 2 + (opc >> 1),
    }
}

/// The displacement from the base register to the address, when it depends on no register.
pub fn displacement(e: &Encoding, word: u32) -> i64 {
    let imm9 = || sign_extend(word >> 12 & 0x1ff, 9);
    match e.class.strip_prefix("ldst/").unwrap_or("") {
        "ldst_pos" => i64::from(word >> 10 & 0xfff) << scale(word),
        "ldst_immpre" | "ldst_unscaled" | "ldst_unpriv" | "ldapstl_unscaled" | "ldapstl_simd" => imm9(),
        "ldst_pac" => sign_extend(word >> 12 & 0x1ff | word >> 13 & 0x200, 10) << 3,
        "ldstpair_off" | "ldstpair_pre" | "ldstnapair_offs" => sign_extend(word >> 15 & 0x7f, 7) << pair_scale(word),
        "ldsttags" if word >> 10 & 3 != 1 => imm9() << 4,
        _ => 0,
    }
}

/// For a register offset: whether Rm is taken as 32 bits, whether signed, and the shift.
pub fn register_offset(e: &Encoding, word: u32) -> Option<(bool, bool, u32)> {
    if e.class != "ldst/ldst_regoff" {
        return None;
    }
    let option = word >> 13 & 7;
    let shift = if word >> 12 & 1 == 1 { scale(word) } else { 0 };
    Some((option & 1 == 0, option & 4 != 0, shift))
}

/// Whether the word is CONSTRAINED UNPREDICTABLE, so that two correct emulators may differ.
pub fn is_unpredictable(e: &Encoding, word: u32) -> bool {
    let Some(class) = e.class.strip_prefix("ldst/") else { return false };
    let get = |name| e.get(name, word);
    let (t, t2, n, s) = (get("Rt"), get("Rt2"), get("Rn"), get("Rs"));
    let vector = word >> 26 & 1 == 1;
    let load = word >> 22 & 1 == 1;
    let base_is = |r: Option<u32>| r.is_some() && r == n && n != Some(31);
    let two_loaded_alike = t2.is_some() && t == t2;
    match class {
        "ldst_immpre" | "ldst_immpost" => !vector && base_is(t),
        "ldst_pac" => word >> 11 & 1 == 1 && base_is(t),
        "ldstpair_pre" | "ldstpair_post" => load && two_loaded_alike || !vector && (base_is(t) || base_is(t2)),
        "ldstpair_off" | "ldstnapair_offs" => load && two_loaded_alike,
        "ldstexclr" | "ldstexclp" | "ldstexclr_unpriv" => {
            if load {
                two_loaded_alike
            } else {
                s == t || s.is_some() && s == t2 || base_is(s)
            }
        }
        "ldapstl_writeback" => base_is(t),
        "ldiappstilp" => load && two_loaded_alike || base_is(t) || base_is(t2),
        // SWPP, LDCLRP and LDSETP: the two must differ.
        "memop_128" => two_loaded_alike,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::ALL;

    fn decode(word: u32) -> &'static Encoding {
        ALL.iter().filter(|e| word & e.mask == e.value).max_by_key(|e| e.mask.count_ones()).unwrap_or_else(|| panic!("{word:#x}"))
    }

    /// Words of an independent assembler, with the displacement in the mnemonic.
    #[test]
    fn displacements() {
        for (word, expected, text) in [
            (0xf940_0820_u32, 16, "ldr x0, [x1, #16]"),
            (0x3dc0_0420, 16, "ldr q0, [x1, #16]"),
            (0xb85f_c020, -4, "ldur w0, [x1, #-4]"),
            (0xf81f_0c20, -16, "str x0, [x1, #-16]!"),
            (0xf841_0420, 0, "ldr x0, [x1], #16"),
            (0xa9bf_0440, -16, "stp x0, x1, [x2, #-16]!"),
            (0x6940_8440, 4, "ldpsw x0, x1, [x2, #4]"),
            (0xad7f_8440, -16, "ldp q0, q1, [x2, #-16]"),
            (0x2d40_8440, 4, "ldp s0, s1, [x2, #4]"),
            (0x7940_0420, 2, "ldrh w0, [x1, #2]"),
        ] {
            assert_eq!(displacement(decode(word), word), expected, "{text}");
        }
        let word = 0xf862_d820; // ldr x0, [x1, w2, sxtw #3]
        assert_eq!(register_offset(decode(word), word), Some((true, true, 3)));
    }

    #[test]
    fn unpredictable_words() {
        for (word, expected, text) in [
            (0xf841_0421_u32, true, "ldr x1, [x1], #16"),
            (0xf841_0420, false, "ldr x0, [x1], #16"),
            (0xa940_0040, true, "ldp x0, x0, [x2]"),
            (0xa900_0040, false, "stp x0, x0, [x2]"),
            (0xc800_7c20, true, "stxr w0, x0, [x1]"),
            (0xc802_7c20, false, "stxr w2, x0, [x1]"),
            (0xf841_07ff, false, "ldr xzr, [sp], #16"),
        ] {
            assert_eq!(is_unpredictable(decode(word), word), expected, "{text}");
        }
    }
}
