//! Memory copy and memory set (FEAT_MOPS).

use crate::state::State;
use emu_plugins_api::HelperReturn;

/// CPY*.
pub fn copy(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    crate::exception::undefined(cpu);
    HelperReturn::exit()
}

/// SET*.
pub fn set(cpu: &mut State, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    crate::exception::undefined(cpu);
    HelperReturn::exit()
}
