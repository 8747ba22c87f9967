//! PL031 real-time clock: the host's wall clock plus an offset that RTCLR sets. The offset survives a reset, as a battery would see to it.

pub mod spec;

use crate::{Line, lock, primecell};
use emu_plugins_api::{Device, DeviceId, Host, Reader, Writer};
use spec::*;
use std::sync::{Mutex, OnceLock};

const NS_PER_S: u64 = 1_000_000_000;

/// The clock.
pub struct Pl031 {
    name: String,
    irq: Line,
    host: OnceLock<(Host, DeviceId)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Guest time minus wall clock, modulo 2^32.
    offset: u32,
    load: u32,
    matched: u32,
    /// RTCMR was written since reset, so that a match counts.
    armed: bool,
    imsc: bool,
    ris: bool,
}

impl Pl031 {
    /// A clock with its interrupt output, RTCINTR.
    pub fn new(name: &str, irq: Line) -> Pl031 {
        Pl031 { name: name.into(), irq, host: OnceLock::new(), state: Mutex::default() }
    }
    /// Where time comes from; only the first call counts. Without it time stands still.
    pub fn connect(&self, host: Host, id: DeviceId) {
        let _ = self.host.set((host, id));
    }
    fn now(&self, s: &State) -> u32 {
        self.host.get().map_or(0, |(host, _)| host.wall_clock() as u32).wrapping_add(s.offset)
    }
    fn update(&self, s: &State) {
        self.irq.set(s.ris && s.imsc);
    }
    /// Sets the host's timer for the match; the counter wraps, so there is always one ahead.
    fn arm(&self, s: &mut State) {
        let Some((host, id)) = self.host.get() else { return };
        let ahead = s.matched.wrapping_sub(self.now(s));
        if !s.armed {
            host.device_timer(*id, 0, None);
        } else if ahead == 0 {
            host.device_timer(*id, 0, None);
            s.ris = true;
        } else {
            host.device_timer(*id, 0, Some(host.clock().saturating_add(u64::from(ahead) * NS_PER_S)));
        }
    }
}

impl Device for Pl031 {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        let Some((at, shift)) = primecell::word(offset, size) else { return Some(0) };
        let s = lock(&self.state);
        let word = match at {
            RTCDR => self.now(&s),
            RTCMR => s.matched,
            RTCLR => s.load,
            RTCCR => 1,
            RTCIMSC => u32::from(s.imsc),
            RTCRIS => u32::from(s.ris),
            RTCMIS => u32::from(s.ris && s.imsc),
            _ => primecell::id(at, PERIPH_ID).unwrap_or(0),
        };
        Some(primecell::cut(word, shift, size))
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if size != 4 {
            return true;
        }
        let mut s = lock(&self.state);
        let value = value as u32;
        match offset {
            RTCMR => {
                s.matched = value;
                s.armed = true;
                self.arm(&mut s);
            }
            RTCLR => {
                s.load = value;
                s.offset = s.offset.wrapping_add(value.wrapping_sub(self.now(&s)));
                self.arm(&mut s);
            }
            RTCIMSC => s.imsc = value & 1 != 0,
            RTCICR if value & 1 != 0 => s.ris = false,
            _ => (),
        }
        self.update(&s);
        true
    }
    fn reset(&self) {
        let mut s = lock(&self.state);
        *s = State { offset: s.offset, ..State::default() };
        self.arm(&mut s);
        self.update(&s);
    }
    fn timer(&self, _: u32) {
        let mut s = lock(&self.state);
        // The wall clock may have been set back meanwhile: then the match is still ahead.
        if s.armed && self.now(&s).wrapping_sub(s.matched) < 1 << 31 {
            s.ris = true;
        } else {
            self.arm(&mut s);
        }
        self.update(&s);
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        w.u32s(&[s.offset, s.load, s.matched]);
        w.bool(s.armed);
        w.bool(s.imsc);
        w.bool(s.ris);
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let [offset, load, matched] = <[u32; 3]>::try_from(r.u32s()?).map_err(|_| "saved state has another number of registers")?;
            let s = State { offset, load, matched, armed: r.bool()?, imsc: r.bool()?, ris: r.bool()? };
            r.finish()?;
            Ok::<_, String>(s)
        };
        let loaded = parse();
        let mut s = lock(&self.state);
        let result = loaded.map(|l| *s = l).map_err(|e| format!("{}: {e}", self.name));
        if result.is_err() {
            *s = State::default();
        }
        // Once the match has fired it does not fire again after loading.
        if !s.ris {
            self.arm(&mut s);
        }
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
    fn tells_time_and_matches() {
        let (mock, host) = MockHost::new(1);
        let irq = Arc::new(AtomicBool::new(false));
        let seen = irq.clone();
        let rtc = Arc::new(Pl031::new("rtc", Line::new(move |l| seen.store(l, Ordering::Relaxed))));
        rtc.connect(host, host.map_device(0, primecell::WINDOW, rtc.clone(), false).unwrap());
        let r = |at| rtc.read(at, 4).unwrap();
        assert_eq!((r(RTCDR), r(RTCCR), r(0xfe0)), (1_700_000_000, 1, 0x31));
        rtc.write(RTCMR, 4, 1_700_000_003);
        rtc.write(RTCIMSC, 4, 1);
        mock.advance(2 * NS_PER_S);
        assert!(!irq.load(Ordering::Relaxed));
        mock.advance(NS_PER_S);
        assert!(irq.load(Ordering::Relaxed));
        assert_eq!((r(RTCRIS), r(RTCMIS)), (1, 1));
        rtc.write(RTCICR, 4, 1);
        assert!(!irq.load(Ordering::Relaxed));
        // Setting the time moves the alarm.
        rtc.write(RTCLR, 4, 100);
        assert_eq!((r(RTCDR), r(RTCLR)), (100, 100));
        rtc.write(RTCMR, 4, 102);
        mock.advance(NS_PER_S);
        assert_eq!(r(RTCRIS), 0);
        mock.advance(NS_PER_S);
        assert_eq!((r(RTCRIS), r(RTCDR)), (1, 102));
        rtc.reset();
        assert_eq!((r(RTCRIS), r(RTCDR)), (0, 102), "the battery keeps the time");
        assert!(mock.records().timers.is_empty());
        // A match with the present time fires at once.
        rtc.write(RTCMR, 4, 102);
        assert_eq!(r(RTCRIS), 1);
    }
}
