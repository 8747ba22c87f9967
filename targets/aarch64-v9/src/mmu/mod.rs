//! Address translation.

use crate::state::State;

/// What the translation regime says of a virtual address before any walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VaProps {
    /// The top byte is ignored (for instruction addresses: TBI and not TBID).
    pub tbi: bool,
    /// Bit 55: the upper half of the address space.
    pub upper: bool,
    /// CalculateBottomPACBit: the lowest bit of a pointer authentication code.
    pub bottom_bit: u32,
}

/// Properties of the half of the address space that `va` (its bit 55) lies in, in the current regime.
pub fn va_properties(cpu: &State, va: u64, is_insn: bool) -> VaProps {
    let _ = (cpu, is_insn);
    VaProps { tbi: false, upper: va >> 55 & 1 == 1, bottom_bit: 48 }
}
