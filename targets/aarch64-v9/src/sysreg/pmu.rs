//! The Performance Monitors Extension: the cycle counter, and event counters for SW_INCR, INST_RETIRED and CPU_CYCLES.
//!
//! A cycle is a nanosecond of machine time, an instruction what the host counts. Counters are brought up to date lazily (`sync`): at
//! accesses, at changes of EL (because of the filters) and when the timer says that the cycle counter overflows. An overflow of an
//! instruction counter is noticed with the next of these, for which the timer assumes one instruction a nanosecond.

use super::timer::{PMU_OUTPUT, PMU_TIMER, set_output};
use super::{Row, word};
use crate::Aarch64;
use crate::feature::Feature;
use crate::state::State;

/// Number of event counters (PMCR_EL0.N).
pub const COUNTERS: usize = 6;
const CYCLE: usize = 31;

const PMCR_E: u64 = 1;
const PMCR_P: u64 = 1 << 1;
const PMCR_C: u64 = 1 << 2;
const PMCR_LC: u64 = 1 << 6;
const PMCR_LP: u64 = 1 << 7;
const ALL: u64 = 1 << CYCLE | ((1 << COUNTERS) - 1);

const SW_INCR: u64 = 0x00;
const INST_RETIRED: u64 = 0x08;
const CPU_CYCLES: u64 = 0x11;

fn counter_word(n: usize) -> usize {
    if n == CYCLE { word::PMCCNTR_EL0 } else { word::PMEVCNTR0_EL0 + n }
}
fn type_word(n: usize) -> usize {
    if n == CYCLE { word::PMCCFILTR_EL0 } else { word::PMEVTYPER0_EL0 + n }
}
fn is_counting(cpu: &State, n: usize) -> bool {
    cpu.sysreg[word::PMCR_EL0] & PMCR_E != 0 && cpu.sysreg[word::PMCNTENSET_EL0] >> n & 1 != 0
}
/// PMEVTYPER.{P, U}: not counted at EL1, at EL0.
fn is_filtered(cpu: &State, n: usize) -> bool {
    cpu.sysreg[type_word(n)] >> (if cpu.el == 0 { 30 } else { 31 }) & 1 != 0
}
fn event(cpu: &State, n: usize) -> u64 {
    if n == CYCLE { CPU_CYCLES } else { cpu.sysreg[type_word(n)] & 0xffff }
}
/// Counters are 64 bits wide with FEAT_PMUv3p5, else event counters are 32 bits; overflow is that of 32 bits unless LC or LP say otherwise.
fn overflow_bits(cpu: &State, n: usize) -> u32 {
    let pmcr = cpu.sysreg[word::PMCR_EL0];
    let long = if n == CYCLE { pmcr & PMCR_LC != 0 } else { pmcr & PMCR_LP != 0 && Aarch64::of(cpu).has(Feature::PMUv3p5) };
    if long { 64 } else { 32 }
}

fn advance(cpu: &mut State, n: usize, by: u64) {
    let wide = n == CYCLE || Aarch64::of(cpu).has(Feature::PMUv3p5);
    let old = cpu.sysreg[counter_word(n)];
    let new = old.wrapping_add(by);
    cpu.sysreg[counter_word(n)] = if wide { new } else { new & 0xffff_ffff };
    let overflowed = match overflow_bits(cpu, n) {
        64 => new < old,
        _ => (old & 0xffff_ffff) + by > 0xffff_ffff,
    };
    if overflowed {
        cpu.sysreg[word::PMOVSCLR_EL0] |= 1 << n;
    }
}

fn counters() -> impl Iterator<Item = usize> {
    (0..COUNTERS).chain([CYCLE])
}

/// Adds what has happened since the last call.
fn sync(cpu: &mut State) {
    let (now, insns) = (cpu.header.clock(), cpu.header.insns);
    let cycles = now.wrapping_sub(cpu.sysreg[word::PMU_CYCLES_SEEN]);
    let retired = insns.wrapping_sub(cpu.sysreg[word::PMU_INSNS_SEEN]);
    cpu.sysreg[word::PMU_CYCLES_SEEN] = now;
    cpu.sysreg[word::PMU_INSNS_SEEN] = insns;
    for n in counters() {
        if is_counting(cpu, n) && !is_filtered(cpu, n) {
            match event(cpu, n) {
                CPU_CYCLES => advance(cpu, n, cycles),
                INST_RETIRED => advance(cpu, n, retired),
                _ => {}
            }
        }
    }
}

/// Brings the interrupt line and the timer up to date.
fn update(cpu: &mut State) {
    let pending = cpu.sysreg[word::PMOVSCLR_EL0] & cpu.sysreg[word::PMINTENSET_EL1];
    set_output(cpu, PMU_OUTPUT, cpu.sysreg[word::PMCR_EL0] & PMCR_E != 0 && pending != 0);
    let mut left = u64::MAX;
    for n in counters() {
        let wanted = cpu.sysreg[word::PMINTENSET_EL1] & !cpu.sysreg[word::PMOVSCLR_EL0] & 1 << n != 0;
        if wanted && is_counting(cpu, n) && event(cpu, n) != SW_INCR {
            let value = cpu.sysreg[counter_word(n)];
            let to_go = if overflow_bits(cpu, n) == 64 { u64::MAX - value } else { 0x1_0000_0000 - (value & 0xffff_ffff) };
            left = left.min(to_go.max(1000));
        }
    }
    let deadline = cpu.header.clock().saturating_add(left);
    cpu.header.set_timer(PMU_TIMER, deadline);
}

/// The timer has expired.
pub fn expired(cpu: &mut State) {
    sync(cpu);
    update(cpu);
}

/// Before a change of EL: the filters will differ.
pub fn before_el_change(cpu: &mut State) {
    if cpu.sysreg[word::PMCR_EL0] & PMCR_E != 0 && cpu.sysreg[word::PMCNTENSET_EL0] != 0 {
        sync(cpu);
    }
}

fn change(cpu: &mut State, f: impl FnOnce(&mut State)) {
    sync(cpu);
    f(cpu);
    update(cpu);
}

pub(super) fn pmcr_read(cpu: &mut State, _: &Row) -> u64 {
    let imp = Aarch64::of(cpu).pmu_identity();
    cpu.sysreg[word::PMCR_EL0] | imp << 16 | (COUNTERS as u64) << 11
}
pub(super) fn pmcr_write(cpu: &mut State, _: &Row, value: u64) {
    let lp = if Aarch64::of(cpu).has(Feature::PMUv3p5) { PMCR_LP } else { 0 };
    change(cpu, |cpu| {
        // LC is RES1 where AArch32 does not exist.
        cpu.sysreg[word::PMCR_EL0] = value & (PMCR_E | 1 << 3 | 1 << 4 | 1 << 5 | lp) | PMCR_LC;
        if value & PMCR_P != 0 {
            (0..COUNTERS).for_each(|n| cpu.sysreg[counter_word(n)] = 0);
        }
        if value & PMCR_C != 0 {
            cpu.sysreg[word::PMCCNTR_EL0] = 0;
        }
    });
}
pub(super) fn pmcntenset(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] |= value & ALL);
}
pub(super) fn pmcntenclr(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] &= !value);
}
pub(super) fn pmintenset(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] |= value & ALL);
}
pub(super) fn pmintenclr(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] &= !value);
}
pub(super) fn pmovs_read(cpu: &mut State, row: &Row) -> u64 {
    sync(cpu);
    update(cpu);
    cpu.sysreg[usize::from(row.word)]
}
pub(super) fn pmovsset(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] |= value & ALL);
}
pub(super) fn pmovsclr(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] &= !value);
}
pub(super) fn pmswinc(cpu: &mut State, _: &Row, value: u64) {
    change(cpu, |cpu| {
        for n in 0..COUNTERS {
            if value >> n & 1 != 0 && is_counting(cpu, n) && !is_filtered(cpu, n) && event(cpu, n) == SW_INCR {
                advance(cpu, n, 1);
            }
        }
    });
}
/// PMCEID0_EL0: the common events 0x00 to 0x1f that exist.
pub(super) fn pmceid0(_: &mut State, _: &Row) -> u64 {
    1 << SW_INCR | 1 << INST_RETIRED | 1 << CPU_CYCLES
}
pub(super) fn pmccntr_read(cpu: &mut State, row: &Row) -> u64 {
    sync(cpu);
    cpu.sysreg[usize::from(row.word)]
}
pub(super) fn pmccntr_write(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] = value);
}
pub(super) fn pmccfiltr_write(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] = value & (3 << 30));
}
pub(super) fn pmevcntr_read(cpu: &mut State, row: &Row) -> u64 {
    sync(cpu);
    cpu.sysreg[usize::from(row.word)]
}
pub(super) fn pmevcntr_write(cpu: &mut State, row: &Row, value: u64) {
    let mask = if Aarch64::of(cpu).has(Feature::PMUv3p5) { u64::MAX } else { 0xffff_ffff };
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] = value & mask);
}
pub(super) fn pmevtyper_write(cpu: &mut State, row: &Row, value: u64) {
    change(cpu, |cpu| cpu.sysreg[usize::from(row.word)] = value & (3 << 30 | 0xffff));
}

/// The counter that PMSELR_EL0 selects, if it exists.
fn selected(cpu: &State) -> Option<usize> {
    let n = cpu.sysreg[word::PMSELR_EL0] as usize & 31;
    (n < COUNTERS).then_some(n)
}
pub(super) fn pmxevtyper_read(cpu: &mut State, _: &Row) -> u64 {
    match cpu.sysreg[word::PMSELR_EL0] & 31 {
        31 => cpu.sysreg[word::PMCCFILTR_EL0],
        // CONSTRAINED UNPREDICTABLE for a counter that does not exist: RAZ/WI (here and below).
        _ => selected(cpu).map_or(0, |n| cpu.sysreg[type_word(n)]),
    }
}
pub(super) fn pmxevtyper_write(cpu: &mut State, _: &Row, value: u64) {
    change(cpu, |cpu| match cpu.sysreg[word::PMSELR_EL0] & 31 {
        31 => cpu.sysreg[word::PMCCFILTR_EL0] = value & (3 << 30),
        _ => {
            if let Some(n) = selected(cpu) {
                cpu.sysreg[type_word(n)] = value & (3 << 30 | 0xffff);
            }
        }
    });
}
pub(super) fn pmxevcntr_read(cpu: &mut State, _: &Row) -> u64 {
    sync(cpu);
    selected(cpu).map_or(0, |n| cpu.sysreg[counter_word(n)])
}
pub(super) fn pmxevcntr_write(cpu: &mut State, _: &Row, value: u64) {
    let mask = if Aarch64::of(cpu).has(Feature::PMUv3p5) { u64::MAX } else { 0xffff_ffff };
    change(cpu, |cpu| {
        if let Some(n) = selected(cpu) {
            cpu.sysreg[counter_word(n)] = value & mask;
        }
    });
}

// -- traps of EL0: PMUSERENR_EL0.{EN, SW, CR, ER} -------------------------------------------------------------------------------------------

fn user(cpu: &State, mask: u64) -> bool {
    cpu.sysreg[word::PMUSERENR_EL0] & mask == 0
}
pub(super) fn pmu(cpu: &State, _: bool) -> bool {
    user(cpu, 1)
}
pub(super) fn pmu_sw(cpu: &State, _: bool) -> bool {
    user(cpu, 1 | 2)
}
pub(super) fn pmu_cr(cpu: &State, write: bool) -> bool {
    user(cpu, if write { 1 } else { 1 | 4 })
}
pub(super) fn pmu_er(cpu: &State, write: bool) -> bool {
    user(cpu, if write { 1 } else { 1 | 8 })
}
pub(super) fn pmu_sel(cpu: &State, _: bool) -> bool {
    user(cpu, 1 | 8)
}
