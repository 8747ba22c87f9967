//! Time as a hart sees it: the `time` counter and the supervisor's comparison (Sstc).

use crate::csr::{envcfg, word};
use crate::state::State;
use crate::trap;

/// Frequency of `time` in Hz, which the board's timer has too.
pub const FREQUENCY_HZ: u64 = 10_000_000;
const NS_PER_TICK: u64 = 1_000_000_000 / FREQUENCY_HZ;
/// Number of the host timer.
pub const HOST_TIMER: u32 = 0;

/// `time`.
pub fn now(cpu: &State) -> u64 {
    cpu.header.clock() / NS_PER_TICK
}

/// Brings sip.STIP and the host's timer up to date with stimecmp.
pub fn update(cpu: &mut State) {
    let enabled = cpu.csr[word::MENVCFG] & envcfg::STCE != 0;
    let compare = cpu.csr[word::STIMECMP];
    let met = enabled && now(cpu) >= compare;
    cpu.stimer = u8::from(met);
    cpu.header.set_timer(HOST_TIMER, if enabled && !met { compare.saturating_mul(NS_PER_TICK) } else { u64::MAX });
    trap::update_line(cpu);
}
