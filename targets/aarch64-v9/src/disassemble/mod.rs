//! Assembler text of instructions, as `objdump` prints it.
//!
//! The decode tables give the encoding's name, and with it the mnemonic and the width of registers ("LDRSB_64_ldst_pos": ldrsb, X); the
//! encoding's class has a form in [`forms`]: text with operands in braces, which [`operand`] reads out of the word. An alias is a form with a
//! condition in front of its class's. An encoding without form, or a word that a form's operands cannot be (a reserved value), is shown by
//! name.

mod forms;
mod operand;
mod system;

use crate::decode::{self, Row, Status};
use forms::FORMS;

/// An instruction that is to be shown.
#[derive(Clone, Copy)]
pub(crate) struct Insn {
    /// The word.
    pub word: u32,
    /// Its address.
    pub pc: u64,
    /// The second part of its encoding's name, which says the width of registers.
    pub tag: &'static str,
}

impl Insn {
    /// Bits `lsb` to `lsb + width - 1`.
    pub fn field(self, lsb: u32, width: u32) -> u32 {
        self.word >> lsb & ((1 << width) - 1)
    }
    /// The same, sign-extended.
    pub fn signed(self, lsb: u32, width: u32) -> i64 {
        i64::from((self.field(lsb, width) << (32 - width)) as i32 >> (32 - width))
    }
    /// Bits 0 to 4: Rd, Rt.
    pub fn d(self) -> u32 {
        self.field(0, 5)
    }
    /// Bits 5 to 9: Rn.
    pub fn n(self) -> u32 {
        self.field(5, 5)
    }
    /// Bits 10 to 14: Ra, Rt2.
    pub fn a(self) -> u32 {
        self.field(10, 5)
    }
    /// Bits 16 to 20: Rm, Rs.
    pub fn m(self) -> u32 {
        self.field(16, 5)
    }
    /// Bit 31: 64-bit registers.
    pub fn sf(self) -> bool {
        self.word >> 31 != 0
    }
}

/// The text of a word at an address.
pub fn text(pc: u64, word: u32) -> String {
    match decode::lookup(word) {
        Some(row) => assembler(pc, word, row).unwrap_or_else(|| format!("{} {word:08x}", row.name)),
        None => format!(".inst {word:#010x}"),
    }
}

/// True if there is a form for the encoding, or at least for most of its words.
pub fn has_form(row: &Row) -> bool {
    let mnemonic = row.name.split('_').next().unwrap_or_default().to_ascii_lowercase();
    matches!(row.status, Status::Implemented(_)) && FORMS.iter().any(|f| f.is_for(row.class, &mnemonic))
}

/// Assembler text, where the row has a form that the word fits.
pub fn assembler(pc: u64, word: u32, row: &'static Row) -> Option<String> {
    if !matches!(row.status, Status::Implemented(_)) {
        return None;
    }
    let mut parts = row.name.split('_');
    let mnemonic = parts.next()?.to_ascii_lowercase();
    let insn = Insn { word, pc, tag: parts.next().unwrap_or_default() };
    let form = FORMS.iter().find(|f| f.is_for(row.class, &mnemonic) && (f.when)(insn))?;
    let text = operand::fill(form.text, &mnemonic, insn)?;
    Some(text.replacen(' ', "\t", 1))
}
