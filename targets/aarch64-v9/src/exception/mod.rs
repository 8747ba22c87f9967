//! Exceptions: entry, return, syndromes.

use crate::helper::HelperId;
use crate::translate::Translator;

/// Helper: the trap of SIMD and floating-point instructions.
pub const FP_TRAP: HelperId = crate::helper::system::UNDEFINED;
/// Helper: the SP alignment fault.
pub const SP_ALIGNMENT: HelperId = crate::helper::system::UNDEFINED;

/// The first instruction of a block under BTYPE, illegal state or software step.
pub fn begin_block(t: &mut Translator<'_>) -> bool {
    let _ = t;
    true
}
