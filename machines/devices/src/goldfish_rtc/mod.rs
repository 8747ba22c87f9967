//! The goldfish real-time clock: nanoseconds since 1970 and an alarm ("Goldfish virtual hardware", real-time clock). Reading the low half
//! keeps the high half for the next read; writing the low half sets the time or the alarm together with the high half written before.

use crate::{Line, lock};
use emu_plugins_api::{Device, DeviceId, Host, Reader, Writer};
use std::sync::{Mutex, OnceLock};

/// Size of the window.
pub const WINDOW: u64 = 0x1000;
/// Registers.
#[allow(missing_docs)] // The names say all.
pub mod spec {
    pub const TIME_LOW: u64 = 0x00;
    pub const TIME_HIGH: u64 = 0x04;
    pub const ALARM_LOW: u64 = 0x08;
    pub const ALARM_HIGH: u64 = 0x0c;
    pub const IRQ_ENABLED: u64 = 0x10;
    pub const CLEAR_ALARM: u64 = 0x14;
    pub const ALARM_STATUS: u64 = 0x18;
    pub const CLEAR_INTERRUPT: u64 = 0x1c;
}
use spec::*;

const NS_PER_S: u64 = 1_000_000_000;

/// The clock.
pub struct GoldfishRtc {
    name: String,
    irq: Line,
    /// The host, and the wall clock less the machine's when the clock was connected.
    host: OnceLock<(Host, DeviceId, u64)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Guest time less the wall clock.
    offset: u64,
    time_high: u32,
    alarm: u64,
    alarm_high: u32,
    running: bool,
    pending: bool,
    enabled: bool,
}

impl GoldfishRtc {
    /// A clock with its interrupt output.
    pub fn new(name: &str, irq: Line) -> GoldfishRtc {
        GoldfishRtc { name: name.into(), irq, host: OnceLock::new(), state: Mutex::default() }
    }
    /// Where time comes from; only the first call counts. Without it time stands still.
    pub fn connect(&self, host: Host, id: DeviceId) {
        let _ = self.host.set((host, id, (host.wall_clock() * NS_PER_S).wrapping_sub(host.clock())));
    }
    /// The wall clock in ns.
    fn clock(&self) -> u64 {
        self.host.get().map_or(0, |(host, _, base)| host.clock().wrapping_add(*base))
    }
    fn now(&self, s: &State) -> u64 {
        self.clock().wrapping_add(s.offset)
    }
    fn update(&self, s: &State) {
        self.irq.set(s.pending && s.enabled);
    }
    fn arm(&self, s: &mut State) {
        if s.running && self.now(s) >= s.alarm {
            (s.running, s.pending) = (false, true);
        }
        if let Some((host, id, base)) = self.host.get() {
            host.device_timer(*id, 0, s.running.then(|| s.alarm.wrapping_sub(s.offset).wrapping_sub(*base)));
        }
    }
}

impl Device for GoldfishRtc {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        if size != 4 {
            return Some(0);
        }
        let mut s = lock(&self.state);
        Some(u64::from(match offset {
            TIME_LOW => {
                let now = self.now(&s);
                s.time_high = (now >> 32) as u32;
                now as u32
            }
            TIME_HIGH => s.time_high,
            ALARM_LOW => s.alarm as u32,
            ALARM_HIGH => (s.alarm >> 32) as u32,
            IRQ_ENABLED => u32::from(s.enabled),
            ALARM_STATUS => u32::from(s.running),
            _ => 0,
        }))
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if size != 4 {
            return true;
        }
        let value = value as u32;
        let mut s = lock(&self.state);
        match offset {
            TIME_LOW => {
                let time = u64::from(s.time_high) << 32 | u64::from(value);
                s.offset = time.wrapping_sub(self.clock());
                self.arm(&mut s);
            }
            TIME_HIGH => s.time_high = value,
            ALARM_LOW => {
                s.alarm = u64::from(s.alarm_high) << 32 | u64::from(value);
                s.running = true;
                self.arm(&mut s);
            }
            ALARM_HIGH => s.alarm_high = value,
            IRQ_ENABLED => s.enabled = value & 1 != 0,
            CLEAR_ALARM => {
                s.running = false;
                self.arm(&mut s);
            }
            CLEAR_INTERRUPT => s.pending = false,
            _ => (),
        }
        self.update(&s);
        true
    }
    fn reset(&self) {
        let mut s = lock(&self.state);
        // The battery keeps the time.
        *s = State { offset: s.offset, ..State::default() };
        self.arm(&mut s);
        self.update(&s);
    }
    fn timer(&self, _: u32) {
        let mut s = lock(&self.state);
        self.arm(&mut s);
        self.update(&s);
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        w.u64s(&[s.offset, s.alarm]);
        w.u32s(&[s.time_high, s.alarm_high]);
        w.bool(s.running);
        w.bool(s.pending);
        w.bool(s.enabled);
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let [offset, alarm] = <[u64; 2]>::try_from(r.u64s()?).map_err(|_| "saved state has another number of registers")?;
            let [time_high, alarm_high] = <[u32; 2]>::try_from(r.u32s()?).map_err(|_| "saved state has another number of registers")?;
            let s = State { offset, alarm, time_high, alarm_high, running: r.bool()?, pending: r.bool()?, enabled: r.bool()? };
            r.finish()?;
            Ok::<_, String>(s)
        };
        let loaded = parse();
        let mut s = lock(&self.state);
        let result = loaded.map(|l| *s = l).map_err(|e| format!("{}: {e}", self.name));
        if result.is_err() {
            *s = State::default();
        }
        self.arm(&mut s);
        self.update(&s);
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
    fn tells_time_and_rings() {
        let (mock, host) = MockHost::new(1);
        let irq = Arc::new(AtomicBool::new(false));
        let seen = irq.clone();
        let rtc = Arc::new(GoldfishRtc::new("rtc", Line::new(move |l| seen.store(l, Ordering::Relaxed))));
        rtc.connect(host, host.map_device(0, WINDOW, rtc.clone(), false).unwrap());
        let time = || {
            let low = rtc.read(TIME_LOW, 4).unwrap();
            rtc.read(TIME_HIGH, 4).unwrap() << 32 | low
        };
        assert_eq!(time(), 1_700_000_000 * NS_PER_S);
        let alarm = 1_700_000_001 * NS_PER_S;
        rtc.write(ALARM_HIGH, 4, alarm >> 32);
        rtc.write(ALARM_LOW, 4, alarm & 0xffff_ffff);
        rtc.write(IRQ_ENABLED, 4, 1);
        assert_eq!(rtc.read(ALARM_STATUS, 4), Some(1));
        mock.advance(NS_PER_S - 1);
        assert!(!irq.load(Ordering::Relaxed));
        mock.advance(1);
        assert!(irq.load(Ordering::Relaxed));
        assert_eq!(rtc.read(ALARM_STATUS, 4), Some(0));
        rtc.write(CLEAR_INTERRUPT, 4, 1);
        assert!(!irq.load(Ordering::Relaxed));
        rtc.write(TIME_HIGH, 4, 1);
        rtc.write(TIME_LOW, 4, 5);
        mock.advance(2);
        assert_eq!(time(), (1 << 32) + 7);
        rtc.reset();
        assert_eq!(time(), (1 << 32) + 7);
    }
}
