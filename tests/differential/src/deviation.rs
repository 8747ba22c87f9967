//! Differences that are no failures: what the architecture leaves open, and where the oracle is known to be wrong.
//!
//! Decided from the whole states of both sides, and from the instruction at which the exception was taken.

use crate::encoding::{ALL, Encoding};
use crate::engine::{State, ec};
use crate::layout::{self, state};
use std::fmt;

/// Kinds of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// A store that aborts may have written any part of what does not abort.
    PartialStore,
    /// After a load of several registers that aborts, the registers but for the base are UNKNOWN.
    PartialLoad,
    /// A load or store of multiple structures of misaligned elements in Device memory: an alignment fault, since each element
    /// is an access of its own, which the oracle performs.
    ElementsOfDevice,
    /// In a program: an access by a stack pointer that is not aligned. Linux has SCTLR_EL1.SA0 set, so it is SIGBUS; the oracle's user mode
    /// does not look.
    StackPointer,
    /// In a program: a branch to a misaligned address where nothing is. The alignment has priority (SIGBUS); the oracle of the stable suite
    /// has it the other way around.
    MisalignedPc,
    /// Both sides do the same with the case alone: it read, outside of what is set up for each, what a case with another of these differences
    /// had left.
    LeftOver,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PartialStore => "aborted stores that had done different parts",
            Self::PartialLoad => "aborted loads whose registers are UNKNOWN",
            Self::StackPointer => "accesses by a misaligned stack pointer, which the oracle's user mode lets pass",
            Self::LeftOver => "reads of what another allowed difference had left in memory",
            Self::MisalignedPc => "branches to misaligned addresses where nothing is",
            Self::ElementsOfDevice => "misaligned elements in Device memory, which the oracle lets pass",
        })
    }
}

/// The encoding of a word: of those that match the one with most fixed bits.
pub fn decode(word: u32) -> Option<&'static Encoding> {
    ALL.iter().filter(|e| word & e.mask == e.value).max_by_key(|e| e.mask.count_ones())
}

/// The kind of a difference that is none, `a` being the oracle's state.
pub fn of(a: &State, b: &State) -> Option<Deviation> {
    if b.class() == ec::PC_ALIGNMENT && b.at(state::SP) & 15 != 0 && b.word.is_some_and(|w| is_access(w) && w >> 5 & 31 == 31) {
        return Some(Deviation::StackPointer);
    }
    let is_program = a.at(state::ESR) & 0x3ff_ffff == 0;
    if is_program && (a.class(), b.class()) == (ec::DATA_ABORT, ec::PC_ALIGNMENT) && b.at(state::ELR) & 3 != 0 {
        let rest = |s: &State| {
            let mut s = s.clone();
            [state::ESR, state::FAR].iter().for_each(|at| s.registers[*at as usize / 8] = 0);
            (s.registers, s.memory)
        };
        return (rest(a) == rest(b)).then_some(Deviation::MisalignedPc);
    }
    if b.class() != ec::DATA_ABORT {
        return None;
    }
    if elements_of_device(b) {
        return Some(Deviation::ElementsOfDevice);
    }
    if a.at(state::ESR) != b.at(state::ESR) {
        return None;
    }
    // A program does not see the syndrome.
    let write_not_read = a.at(state::ESR) >> 6 & 1 == 1 || is_program && a.word.is_some_and(|w| is_access(w) && w >> 22 & 1 == 0);
    if a.registers == b.registers && write_not_read && a.memory != b.memory {
        return Some(Deviation::PartialStore);
    }
    let unknown = loaded_registers(a.word?)?;
    let rest = |s: &State| {
        let mut s = s.clone();
        unknown.iter().for_each(|&i| s.registers[i] = 0);
        s
    };
    (rest(a) == rest(b)).then_some(Deviation::PartialLoad)
}

/// A load or store.
fn is_access(word: u32) -> bool {
    decode(word).is_some_and(|e| e.class.starts_with("ldst/"))
}

/// Indices into [`State::registers`] of what a load of several registers writes, but for its base.
fn loaded_registers(word: u32) -> Option<Vec<usize>> {
    let e = decode(word)?;
    let class = e.class.strip_prefix("ldst/")?;
    let pair = class.starts_with("ldstpair") || class.starts_with("ldstnapair");
    let structure = class.starts_with("asisdls");
    if word >> 22 & 1 == 0 || !(pair || structure) {
        return None;
    }
    let (rt, rt2, rn) = (word & 31, word >> 10 & 31, word >> 5 & 31);
    let vector = |r: u32| [(state::V / 8 + 2 * r) as usize, (state::V / 8 + 2 * r + 1) as usize];
    Some(if structure {
        (0..4).flat_map(|k| vector((rt + k) % 32)).collect()
    } else if word >> 26 & 1 == 1 {
        [rt, rt2].into_iter().flat_map(vector).collect()
    } else {
        [rt, rt2].into_iter().filter(|r| *r != 31 && *r != rn).map(|r| r as usize).collect()
    })
}

/// An alignment fault in the Device page by LD1 to LD4 or ST1 to ST4 (multiple structures), elements misaligned.
fn elements_of_device(b: &State) -> bool {
    const ALIGNMENT: u64 = 0x21;
    let far = b.at(state::FAR);
    let multiple =
        |word: u32| decode(word).is_some_and(|e| matches!(e.class, "ldst/asisdlse" | "ldst/asisdlsep") && far & ((1 << (word >> 10 & 3)) - 1) != 0);
    b.at(state::ESR) & 0x3f == ALIGNMENT && far & !0xfff == layout::DEVICE & !0xfff && b.word.is_some_and(multiple)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(word: u32, esr: u64, far: u64) -> State {
        let mut registers = vec![0; state::LEN as usize / 8];
        registers[state::ESR as usize / 8] = 0x24 << 26 | esr;
        registers[state::FAR as usize / 8] = far;
        State { registers, memory: vec![0; layout::MEMORY_LEN / 8], word: Some(word) }
    }

    #[test]
    fn only_what_an_aborted_load_writes_may_differ() {
        const LDP: u32 = 0xa940_0440; // ldp x0, x1, [x2]
        let (a, mut b) = (state(LDP, 7, 0), state(LDP, 7, 0));
        b.registers[1] = 5;
        assert_eq!(of(&a, &b), Some(Deviation::PartialLoad));
        b.registers[2] = 5;
        assert_eq!(of(&a, &b), None, "the base");
        let (a, mut b) = (state(0xa940_0820, 7, 0), state(0xa940_0820, 7, 0)); // ldp x0, x2, [x1]
        b.memory[3] = 1;
        assert_eq!(of(&a, &b), None, "a load writes no memory");
        let (a, mut b) = (state(0x0c40_03ff, 7, 0), state(0x0c40_03ff, 7, 0)); // ld4 {v31.8b-v2.8b}, [sp]
        b.registers[(state::V / 8 + 4) as usize] = 1;
        assert_eq!(of(&a, &b), Some(Deviation::PartialLoad));
        b.registers[(state::V / 8 + 6) as usize] = 1;
        assert_eq!(of(&a, &b), None, "v3");
    }

    #[test]
    fn stores_may_be_partial_and_nothing_else() {
        const STP: u32 = 0xa900_0440;
        let (a, mut b) = (state(STP, 0x47, 0), state(STP, 0x47, 0));
        b.memory[3] = 1;
        assert_eq!(of(&a, &b), Some(Deviation::PartialStore));
        b.registers[0] = 1;
        assert_eq!(of(&a, &b), None);
        let other = state(STP, 0x4f, 0);
        assert_eq!(of(&a, &other), None, "another status");
    }

    #[test]
    fn misaligned_elements_fault_in_device_memory() {
        const ST1_8H: u32 = 0x4c9f_7488; // st1 {v8.8h}, [x4], #16
        let mut oracle = state(ST1_8H, 0, 0);
        oracle.registers[state::ESR as usize / 8] = 0x15 << 26;
        assert_eq!(of(&oracle, &state(ST1_8H, 0x61, layout::DEVICE + 5)), Some(Deviation::ElementsOfDevice));
        assert_eq!(of(&oracle, &state(ST1_8H, 0x61, layout::DEVICE + 4)), None, "aligned");
        assert_eq!(of(&oracle, &state(ST1_8H, 0x61, layout::MIDDLE + 5)), None, "Normal memory");
    }
}
