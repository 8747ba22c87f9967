//! System registers: a table of rows that `sysreg/*.sysreg` compiles to, and what the rows do.
//!
//! A row is plain storage (read and written by translated code without a call), a constant of the CPU model, a register of the machine (an
//! interrupt controller's CPU interface), or a pair of functions in [`behaviour`]. Access rights per EL and the feature gate are decided when
//! an access is translated, traps that depend on other registers when it executes.

pub mod behaviour;
pub mod maintenance;
pub mod pmu;
pub mod timer;
pub mod translate;

#[cfg(test)]
mod tests;

use crate::Aarch64;
use crate::feature::Feature;
use crate::mode::sctlr;
use crate::state::{State, offset};

/// How a register is read.
#[derive(Clone, Copy)]
pub enum Read {
    /// Not at all: UNDEFINED.
    None,
    /// From its word.
    Word,
    /// A constant of the CPU model.
    Id,
    /// As zero.
    Zero,
    /// The machine has it.
    Bank,
    /// By a function.
    Function(fn(&mut State, &Row) -> u64),
}

/// How a register is written.
#[derive(Clone, Copy)]
pub enum Write {
    /// Not at all: UNDEFINED.
    None,
    /// To its word.
    Word,
    /// Ignored.
    Ignore,
    /// The machine has it.
    Bank,
    /// By a function.
    Function(fn(&mut State, &Row, u64)),
}

/// What traps an access of EL0 to EL1 although the row permits it.
#[derive(Clone, Copy)]
pub enum Check {
    /// Nothing.
    None,
    /// SCTLR_EL1.UCT is clear (known when translating).
    Uct,
    /// SCTLR_EL1.UMA is clear (known when translating).
    Uma,
    /// The function says so; its argument is true for a write.
    Function(fn(&State, bool) -> bool),
}

/// `word` of a row without storage.
pub const NO_WORD: u16 = u16::MAX;

/// A register.
pub struct Row {
    /// Name.
    pub name: &'static str,
    /// Encoding; see [`key`].
    pub key: u16,
    /// EL0's rights: bit 0 read, bit 1 write.
    pub el0: u8,
    /// EL1's rights.
    pub el1: u8,
    /// What traps EL0.
    pub check: Check,
    /// The feature without which it is UNDEFINED.
    pub feature: Option<Feature>,
    /// Index in `State::sysreg`, or [`NO_WORD`].
    pub word: u16,
    /// n of a register that there are several of.
    pub number: u8,
    /// Reset value of the word.
    pub reset: u64,
    /// Bits that software can write.
    pub writable: u64,
    /// Bits that are always one.
    pub ones: u64,
    /// How it is read.
    pub read: Read,
    /// How it is written.
    pub write: Write,
}

include!(concat!(env!("OUT_DIR"), "/sysregs.rs"));

const _: () = assert!(WORDS <= crate::state::SYSREG_WORDS);

/// An encoding as one number: op0 (2 bits), op1 (3), CRn (4), CRm (4), op2 (3), from the top.
pub const fn key(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u16 {
    ((op0 & 3) << 14 | (op1 & 7) << 11 | (crn & 15) << 7 | (crm & 15) << 3 | (op2 & 7)) as u16
}

/// The number of the row with an encoding.
pub fn find(key: u16) -> Option<usize> {
    ROWS.binary_search_by_key(&key, |r| r.key).ok()
}

/// The row with a name.
pub fn by_name(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.name == name)
}

/// Byte offset in the state of a register's word; `word::` has the names.
pub const fn word_offset(word: usize) -> u32 {
    offset::sysreg(word as u32)
}

/// Byte offset in the state of the register with a name, which must be stored in a word (an assertion: names come from this crate).
pub fn offset_of(name: &str) -> u32 {
    let word = by_name(name).map_or(NO_WORD, |r| r.word);
    assert!(word != NO_WORD, "{name} is not stored");
    offset::sysreg(u32::from(word))
}

/// Reset values of all words.
pub fn reset(cpu: &mut State) {
    cpu.sysreg = [0; crate::state::SYSREG_WORDS];
    for row in ROWS.iter().filter(|r| r.word != NO_WORD && r.reset != 0) {
        cpu.sysreg[usize::from(row.word)] = row.reset | row.ones;
    }
    let index = u64::from(cpu.header.number());
    // RES1, then Aff1 and Aff0: clusters of 16, as many as a list of targets of a software generated interrupt can name.
    cpu.sysreg[word::MPIDR_EL1] = 1 << 31 | (index >> 4) << 8 | (index & 15);
    cpu.sysreg[word::CNTFRQ_EL0] = Aarch64::of(cpu).counter_hz();
}

/// True if the access traps to EL1.
pub fn is_trapped(cpu: &State, row: &Row, write: bool) -> bool {
    cpu.el == 0
        && match row.check {
            Check::None => false,
            Check::Uct => cpu.sctlr() & sctlr::UCT == 0,
            Check::Uma => cpu.sctlr() & sctlr::UMA == 0,
            Check::Function(f) => f(cpu, write),
        }
}

/// Reads a register, access rights having been checked; `None`: UNDEFINED.
pub fn read(cpu: &mut State, row: &'static Row) -> Option<u64> {
    Some(match row.read {
        Read::None => return None,
        Read::Word => cpu.sysreg[usize::from(row.word)],
        Read::Id => Aarch64::of(cpu).id_value(row),
        Read::Zero => 0,
        Read::Bank => return cpu.header.bank_read(u32::from(row.key)),
        Read::Function(f) => f(cpu, row),
    })
}

/// Writes a register, access rights having been checked; false: UNDEFINED.
pub fn write(cpu: &mut State, row: &'static Row, value: u64) -> bool {
    match row.write {
        Write::None => return false,
        Write::Word => cpu.sysreg[usize::from(row.word)] = row.stored(value),
        Write::Ignore => {}
        Write::Bank => return cpu.header.bank_write(u32::from(row.key), value),
        Write::Function(f) => f(cpu, row, value),
    }
    true
}

impl Row {
    /// What the word becomes when software writes `value`.
    pub const fn stored(&self, value: u64) -> u64 {
        value & self.writable | self.ones
    }
}

/// Words of the registers that an exception to an EL uses.
#[derive(Clone, Copy)]
pub struct ExceptionRegisters {
    /// SPSR_ELx.
    pub spsr: usize,
    /// ELR_ELx.
    pub elr: usize,
    /// ESR_ELx.
    pub esr: usize,
    /// FAR_ELx.
    pub far: usize,
    /// VBAR_ELx.
    pub vbar: usize,
    /// SCTLR_ELx.
    pub sctlr: usize,
}

/// The registers of an EL (EL1's, as long as it is the only one that takes exceptions).
pub const fn exception_registers(_el: u8) -> ExceptionRegisters {
    ExceptionRegisters {
        spsr: word::SPSR_EL1,
        elr: word::ELR_EL1,
        esr: word::ESR_EL1,
        far: word::FAR_EL1,
        vbar: word::VBAR_EL1,
        sctlr: word::SCTLR_EL1,
    }
}

/// A pointer authentication key.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauthKey {
    /// APIAKey.
    IA,
    /// APIBKey.
    IB,
    /// APDAKey.
    DA,
    /// APDBKey.
    DB,
    /// APGAKey.
    GA,
}

/// The words of the low and the high half of a pointer authentication key.
fn pauth_key_words(key: PauthKey) -> (usize, usize) {
    match key {
        PauthKey::IA => (word::APIAKeyLo_EL1, word::APIAKeyHi_EL1),
        PauthKey::IB => (word::APIBKeyLo_EL1, word::APIBKeyHi_EL1),
        PauthKey::DA => (word::APDAKeyLo_EL1, word::APDAKeyHi_EL1),
        PauthKey::DB => (word::APDBKeyLo_EL1, word::APDBKeyHi_EL1),
        PauthKey::GA => (word::APGAKeyLo_EL1, word::APGAKeyHi_EL1),
    }
}

/// The low and the high half of a pointer authentication key.
pub fn pauth_key(cpu: &State, key: PauthKey) -> (u64, u64) {
    let (lo, hi) = pauth_key_words(key);
    (cpu.sysreg[lo], cpu.sysreg[hi])
}

/// Offsets in the state of the low and the high half of a pointer authentication key.
pub fn pauth_key_offsets(key: PauthKey) -> (u32, u32) {
    let (lo, hi) = pauth_key_words(key);
    (crate::state::offset::sysreg(lo as u32), crate::state::offset::sysreg(hi as u32))
}
