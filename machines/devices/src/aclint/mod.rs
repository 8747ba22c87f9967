//! The core-local interruptor of RISC-V boards (RISC-V ACLINT specification 1.0; the layout is that of the CLINT before it): a software
//! interrupt and a timer comparison for each hart, and the time that all compare with.
//!
//! Time is the machine's clock; it cannot be set, so stores to it are ignored.

use crate::{Line, lock};
use emu_plugins_api::{Device, DeviceId, Host, Reader, Writer};
use std::sync::{Mutex, OnceLock};

/// Size of the window.
pub const WINDOW: u64 = 0x1_0000;
/// msip of hart 0; 4 bytes a hart.
pub const MSIP: u64 = 0;
/// mtimecmp of hart 0; 8 bytes a hart.
pub const MTIMECMP: u64 = 0x4000;
/// mtime.
pub const MTIME: u64 = 0xbff8;

/// Outputs for one hart.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// Machine software interrupt.
    pub msi: Line,
    /// Machine timer interrupt.
    pub mti: Line,
}

/// The device.
pub struct Aclint {
    name: String,
    /// Nanoseconds of a tick.
    tick_ns: u64,
    outputs: Vec<Outputs>,
    host: OnceLock<(Host, DeviceId)>,
    state: Mutex<State>,
}

struct State {
    msip: Vec<bool>,
    mtimecmp: Vec<u64>,
}

impl State {
    fn new(harts: usize) -> State {
        State { msip: vec![false; harts], mtimecmp: vec![u64::MAX; harts] }
    }
}

impl Aclint {
    /// A device for as many harts as there are outputs, whose time has this frequency (a divisor of 10^9).
    pub fn new(name: &str, frequency_hz: u64, outputs: Vec<Outputs>) -> Aclint {
        let state = State::new(outputs.len());
        Aclint { name: name.into(), tick_ns: 1_000_000_000 / frequency_hz.max(1), outputs, host: OnceLock::new(), state: Mutex::new(state) }
    }
    /// Where time comes from; only the first call counts. Without it time stands still.
    pub fn connect(&self, host: Host, id: DeviceId) {
        let _ = self.host.set((host, id));
    }
    fn now(&self) -> u64 {
        self.host.get().map_or(0, |(host, _)| host.clock() / self.tick_ns)
    }
    /// Brings a hart's timer line and the host's timer up to date.
    fn update_timer(&self, s: &State, hart: usize) {
        let met = self.now() >= s.mtimecmp[hart];
        self.outputs[hart].mti.set(met);
        if let Some((host, id)) = self.host.get() {
            let at = s.mtimecmp[hart].checked_mul(self.tick_ns).filter(|_| !met);
            host.device_timer(*id, hart as u32, at);
        }
    }
    fn update_all(&self, s: &State) {
        for hart in 0..self.outputs.len() {
            self.outputs[hart].msi.set(s.msip[hart]);
            self.update_timer(s, hart);
        }
    }
    /// The aligned 64-bit register at an offset, and the hart that it belongs to.
    fn timer_of(&self, offset: u64) -> Option<usize> {
        let n = offset.checked_sub(MTIMECMP)? / 8;
        ((n as usize) < self.outputs.len()).then_some(n as usize)
    }
}

/// Cuts `size` bytes at `offset` out of an aligned 64-bit register.
fn cut(value: u64, offset: u64, size: u32) -> u64 {
    value >> (8 * (offset & 7)) & u64::MAX >> (64 - 8 * size)
}

/// The same for a store: the register with those bytes replaced.
fn put(old: u64, offset: u64, size: u32, value: u64) -> u64 {
    let shift = 8 * (offset & 7);
    let mask = (u64::MAX >> (64 - 8 * size)) << shift;
    old & !mask | value << shift & mask
}

impl Device for Aclint {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        if size > 8 || (offset & 7) + u64::from(size) > 8 {
            return Some(0);
        }
        if offset & !7 == MTIME {
            return Some(cut(self.now(), offset, size));
        }
        let s = lock(&self.state);
        if let Some(hart) = self.timer_of(offset) {
            return Some(cut(s.mtimecmp[hart], offset, size));
        }
        let hart = ((offset - MSIP) / 4) as usize;
        Some(if offset & 3 == 0 && size == 4 { u64::from(s.msip.get(hart).copied().unwrap_or(false)) } else { 0 })
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if size > 8 || (offset & 7) + u64::from(size) > 8 {
            return true;
        }
        let mut s = lock(&self.state);
        if let Some(hart) = self.timer_of(offset) {
            s.mtimecmp[hart] = put(s.mtimecmp[hart], offset, size, value);
            self.update_timer(&s, hart);
        } else if offset & 3 == 0 && size == 4 && ((offset / 4) as usize) < s.msip.len() {
            let hart = (offset / 4) as usize;
            s.msip[hart] = value & 1 != 0;
            self.outputs[hart].msi.set(s.msip[hart]);
        }
        true
    }
    fn reset(&self) {
        let mut s = lock(&self.state);
        *s = State::new(self.outputs.len());
        self.update_all(&s);
    }
    fn timer(&self, id: u32) {
        if (id as usize) < self.outputs.len() {
            let s = lock(&self.state);
            self.update_timer(&s, id as usize);
        }
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        w.u32s(&s.msip.iter().map(|b| u32::from(*b)).collect::<Vec<_>>());
        w.u64s(&s.mtimecmp);
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let harts = self.outputs.len();
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let msip: Vec<bool> = r.u32s()?.into_iter().map(|v| v != 0).collect();
            let mtimecmp = r.u64s()?;
            r.finish()?;
            if msip.len() != harts || mtimecmp.len() != harts {
                return Err("saved state has another number of harts".to_owned());
            }
            Ok(State { msip, mtimecmp })
        };
        let loaded = parse();
        let mut s = lock(&self.state);
        let result = loaded.map(|l| *s = l).map_err(|e| format!("{}: {e}", self.name));
        if result.is_err() {
            *s = State::new(harts);
        }
        self.update_all(&s);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::MockHost;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn timers_and_software_interrupts() {
        let (mock, host) = MockHost::new(2);
        let levels: Vec<Arc<AtomicBool>> = (0..4).map(|_| Arc::default()).collect();
        let line = |n: usize| {
            let l = levels[n].clone();
            Line::new(move |v| l.store(v, Ordering::Relaxed))
        };
        let outputs = (0..2).map(|h| Outputs { msi: line(2 * h), mti: line(2 * h + 1) }).collect();
        let d = Arc::new(Aclint::new("clint", 10_000_000, outputs));
        d.connect(host, host.map_device(0, WINDOW, d.clone(), false).unwrap());
        let level = |n: usize| levels[n].load(Ordering::Relaxed);
        assert!(d.write(4, 4, 0xffff_ffff));
        assert!(level(2) && !level(0));
        assert_eq!(d.read(4, 4), Some(1));
        assert!(d.write(MTIMECMP + 8, 4, 5));
        assert!(d.write(MTIMECMP + 12, 4, 0));
        assert!(!level(3));
        mock.advance(499);
        assert!(!level(3));
        mock.advance(1);
        assert!(level(3) && !level(1));
        assert_eq!(d.read(MTIME, 8), Some(5));
        assert!(d.write(MTIMECMP + 8, 8, u64::MAX));
        assert!(!level(3));
        d.reset();
        assert!(!level(2));
        assert_eq!(d.read(MTIMECMP, 8), Some(u64::MAX));
    }
}
