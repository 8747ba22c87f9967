//! The generic timer: one system counter, derived from the machine's clock, and the EL1 physical and the virtual timer.
//!
//! A timer's output line follows its condition whenever that can change: at writes of its registers, at changes of CNTFRQ_EL0's frequency
//! never (it is software's note only), and when the host timer that is armed for CNTx_CVAL expires. CNTVOFF is 0 as long as there is no EL2.

use super::{Row, word};
use crate::Aarch64;
use crate::state::State;

/// A timer: its number is both the host timer's and the output line's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// CNTP.
    Physical,
    /// CNTV.
    Virtual,
}

/// Number of the host timer of the performance monitors.
pub const PMU_TIMER: u32 = 2;
/// Number of the host timer of WFET and WFIT.
pub const WAIT_TIMER: u32 = 3;
/// Number of the performance monitors' output line.
pub const PMU_OUTPUT: u32 = 5;

const ENABLE: u64 = 1;
const IMASK: u64 = 2;
const ISTATUS: u64 = 4;

impl Timer {
    /// Host timer and output line.
    pub const fn number(self) -> u32 {
        self as u32
    }
    const fn words(self) -> (usize, usize) {
        match self {
            Timer::Physical => (word::CNTP_CTL_EL0, word::CNTP_CVAL_EL0),
            Timer::Virtual => (word::CNTV_CTL_EL0, word::CNTV_CVAL_EL0),
        }
    }
}

/// The system counter.
pub fn count(cpu: &State) -> u64 {
    (u128::from(cpu.header.clock()) * u128::from(Aarch64::of(cpu).counter_hz()) / 1_000_000_000) as u64
}

/// The time in ns at which the counter reaches a value, `u64::MAX` for never.
fn time_of(cpu: &State, count: u64) -> u64 {
    let ns = (u128::from(count) * 1_000_000_000).div_ceil(u128::from(Aarch64::of(cpu).counter_hz()));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Sets an output line if its level changes.
pub(super) fn set_output(cpu: &mut State, line: u32, level: bool) {
    let lines = &mut cpu.sysreg[word::OUTPUT_LINES];
    if (*lines >> line & 1 != 0) != level {
        *lines ^= 1 << line;
        cpu.header.output(line, level);
    }
}

/// Brings the output line and the host timer of a timer up to date.
pub fn update(cpu: &mut State, timer: Timer) {
    let (ctl, cval) = timer.words();
    let (ctl, cval) = (cpu.sysreg[ctl], cpu.sysreg[cval]);
    let enabled = ctl & ENABLE != 0;
    let met = enabled && count(cpu) >= cval;
    set_output(cpu, timer.number(), met && ctl & IMASK == 0);
    let deadline = if enabled && !met { time_of(cpu, cval) } else { u64::MAX };
    cpu.header.set_timer(timer.number(), deadline);
}

/// Tells the machine all output levels and the host all deadlines again (after a snapshot was loaded).
pub fn restore(cpu: &mut State) {
    let lines = cpu.sysreg[word::OUTPUT_LINES];
    for line in [0, 1, PMU_OUTPUT] {
        cpu.header.output(line, lines >> line & 1 != 0);
    }
    update(cpu, Timer::Physical);
    update(cpu, Timer::Virtual);
}

/// A wait with time-out (WFET, WFIT): arms its timer; false if the time has come.
pub fn wait_until(cpu: &mut State, deadline: u64) -> bool {
    if count(cpu) >= deadline {
        return false;
    }
    let at = time_of(cpu, deadline);
    cpu.header.set_timer(WAIT_TIMER, at);
    true
}

fn ctl_read(cpu: &State, timer: Timer) -> u64 {
    let (ctl, cval) = timer.words();
    let v = cpu.sysreg[ctl];
    if v & ENABLE != 0 && count(cpu) >= cpu.sysreg[cval] { v | ISTATUS } else { v }
}
fn ctl_write(cpu: &mut State, timer: Timer, value: u64) {
    cpu.sysreg[timer.words().0] = value & (ENABLE | IMASK);
    update(cpu, timer);
}
fn cval_write(cpu: &mut State, timer: Timer, value: u64) {
    cpu.sysreg[timer.words().1] = value;
    update(cpu, timer);
}
fn tval_read(cpu: &State, timer: Timer) -> u64 {
    cpu.sysreg[timer.words().1].wrapping_sub(count(cpu)) & 0xffff_ffff
}
fn tval_write(cpu: &mut State, timer: Timer, value: u64) {
    let cval = count(cpu).wrapping_add(value as u32 as i32 as i64 as u64);
    cval_write(cpu, timer, cval);
}

pub(super) fn counter(cpu: &mut State, _: &Row) -> u64 {
    count(cpu)
}
pub(super) fn cntfrq_write(cpu: &mut State, row: &Row, value: u64) {
    cpu.sysreg[usize::from(row.word)] = value & 0xffff_ffff;
}
pub(super) fn cntp_ctl_read(cpu: &mut State, _: &Row) -> u64 {
    ctl_read(cpu, Timer::Physical)
}
pub(super) fn cntp_ctl_write(cpu: &mut State, _: &Row, value: u64) {
    ctl_write(cpu, Timer::Physical, value);
}
pub(super) fn cntp_cval_write(cpu: &mut State, _: &Row, value: u64) {
    cval_write(cpu, Timer::Physical, value);
}
pub(super) fn cntp_tval_read(cpu: &mut State, _: &Row) -> u64 {
    tval_read(cpu, Timer::Physical)
}
pub(super) fn cntp_tval_write(cpu: &mut State, _: &Row, value: u64) {
    tval_write(cpu, Timer::Physical, value);
}
pub(super) fn cntv_ctl_read(cpu: &mut State, _: &Row) -> u64 {
    ctl_read(cpu, Timer::Virtual)
}
pub(super) fn cntv_ctl_write(cpu: &mut State, _: &Row, value: u64) {
    ctl_write(cpu, Timer::Virtual, value);
}
pub(super) fn cntv_cval_write(cpu: &mut State, _: &Row, value: u64) {
    cval_write(cpu, Timer::Virtual, value);
}
pub(super) fn cntv_tval_read(cpu: &mut State, _: &Row) -> u64 {
    tval_read(cpu, Timer::Virtual)
}
pub(super) fn cntv_tval_write(cpu: &mut State, _: &Row, value: u64) {
    tval_write(cpu, Timer::Virtual, value);
}

// -- traps of EL0: CNTKCTL_EL1 ------------------------------------------------------------------------------------------------------------

fn cntkctl(cpu: &State, mask: u64) -> bool {
    cpu.sysreg[word::CNTKCTL_EL1] & mask == 0
}
/// EL0PCTEN and EL0VCTEN both clear.
pub(super) fn cntfrq(cpu: &State, _: bool) -> bool {
    cntkctl(cpu, 3)
}
/// EL0PCTEN clear.
pub(super) fn cntpct(cpu: &State, _: bool) -> bool {
    cntkctl(cpu, 1)
}
/// EL0VCTEN clear.
pub(super) fn cntvct(cpu: &State, _: bool) -> bool {
    cntkctl(cpu, 2)
}
/// EL0PTEN clear.
pub(super) fn cntp(cpu: &State, _: bool) -> bool {
    cntkctl(cpu, 1 << 9)
}
/// EL0VTEN clear.
pub(super) fn cntv(cpu: &State, _: bool) -> bool {
    cntkctl(cpu, 1 << 8)
}
