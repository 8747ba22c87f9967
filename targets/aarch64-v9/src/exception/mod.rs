//! Exceptions: entry, return, syndromes.

pub mod syndrome;
pub mod translate;

use crate::helper::HelperId;
use crate::state::State;
use crate::translate::Translator;
use emu_plugins_api::Access;

/// Helper: the trap of SIMD and floating-point instructions (constant: the EL that it is taken to).
pub const FP_TRAP: HelperId = crate::helper::system::FP_TRAP;
/// Helper: the SP alignment fault.
pub const SP_ALIGNMENT: HelperId = crate::helper::system::SP_ALIGNMENT;

/// The first instruction of a block under BTYPE, illegal state or software step.
pub fn begin_block(t: &mut Translator<'_>) -> bool {
    let _ = t;
    true
}

/// Takes a synchronous exception whose preferred return address is the current instruction (`header.pc`).
pub fn take_sync(cpu: &mut State, ec: u32, iss: u32, far: Option<u64>) {
    let _ = (cpu, ec, iss, far);
}

/// Takes the exception of an UNDEFINED instruction.
pub fn undefined(cpu: &mut State) {
    take_sync(cpu, syndrome::ec::UNKNOWN, 0, None);
}

/// Delivers a fault of an access (from a walk or one of `fault::`) of the current instruction.
pub fn raise_access(cpu: &mut State, access: &Access, fault: u64) {
    let _ = (cpu, access, fault);
}
