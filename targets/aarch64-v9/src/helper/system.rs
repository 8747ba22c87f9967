//! Helpers of the system instructions and exceptions.

use crate::state::State;
use emu_plugins_api::{HelperReturn, effect};

crate::helper::helpers! { super::base::COUNT + super::simd::COUNT;
    /// Raises the exception of an UNDEFINED instruction.
    UNDEFINED: undefined, effect::ANY;
}

fn undefined(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    let _ = cpu;
    HelperReturn::exit()
}
