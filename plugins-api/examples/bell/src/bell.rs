//! A bell that rings after a time. It knows offsets and one line, not where it is mapped or which interrupt the line is.
//!
//! Registers, all of 32 bits: a number of nanoseconds written at 0 winds the bell up, zero stops it; bit 0 at 4 is set while it rings, any word
//! written there silences it. Its line is high while it rings.

use emu_plugins_api::{Device, DeviceId, Host, Reader, Writer};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

const WIND: u64 = 0;
const RINGING: u64 = 4;
/// Size of the window in bytes.
pub const SIZE: u64 = 0x1000;
/// Version of the saved state.
const STATE_VERSION: u32 = 1;

/// What the registers hold; apart from what it does to the machine, so that it can be tried without one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Registers {
    /// When it rings next, in ns of the machine's time.
    deadline_ns: Option<u64>,
    ringing: bool,
}

impl Registers {
    fn read(self, offset: u64, size: u32) -> Option<u64> {
        ((offset, size) == (RINGING, 4)).then_some(u64::from(self.ringing))
    }
    /// False: there is no such register.
    fn write(&mut self, offset: u64, size: u32, value: u64, now_ns: u64) -> bool {
        match (offset, size) {
            (WIND, 4) => self.deadline_ns = (value != 0).then(|| now_ns.saturating_add(value)),
            (RINGING, 4) => self.ringing = false,
            _ => return false,
        }
        true
    }
    fn rings(&mut self, now_ns: u64) {
        if self.deadline_ns.is_some_and(|at| at <= now_ns) {
            *self = Registers { deadline_ns: None, ringing: true };
        }
    }
}

/// The device.
pub struct Bell {
    host: Host,
    /// Where the line leads; the board's business.
    line: Box<dyn Fn(bool) + Send + Sync>,
    id: OnceLock<DeviceId>,
    registers: Mutex<Registers>,
}

impl Bell {
    /// Puts a bell at `base`.
    pub fn map(host: Host, base: u64, line: impl Fn(bool) + Send + Sync + 'static) -> Result<(), String> {
        let bell = Arc::new(Bell { host, line: Box::new(line), id: OnceLock::new(), registers: Mutex::default() });
        let id = host.map_device(base, SIZE, bell.clone(), false)?;
        let _ = bell.id.set(id);
        Ok(())
    }
    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.registers.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Tells the machine what the registers say.
    fn tell(&self, registers: &Registers) {
        (self.line)(registers.ringing);
        if let Some(id) = self.id.get() {
            self.host.device_timer(*id, 0, registers.deadline_ns);
        }
    }
}

impl Device for Bell {
    fn name(&self) -> &str {
        "bell"
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        self.registers().read(offset, size)
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        let mut registers = self.registers();
        let known = registers.write(offset, size, value, self.host.clock());
        self.tell(&registers);
        known
    }
    fn timer(&self, _: u32) {
        let mut registers = self.registers();
        registers.rings(self.host.clock());
        self.tell(&registers);
    }
    fn reset(&self) {
        let mut registers = self.registers();
        *registers = Registers::default();
        self.tell(&registers);
    }
    fn save(&self) -> Vec<u8> {
        let registers = *self.registers();
        let mut w = Writer::new(STATE_VERSION);
        w.u64(registers.deadline_ns.unwrap_or(u64::MAX));
        w.u64(u64::from(registers.ringing));
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let mut r = Reader::new(saved, STATE_VERSION)?;
        let (deadline, ringing) = (r.u64()?, r.u64()? != 0);
        r.finish()?;
        let mut registers = self.registers();
        *registers = Registers { deadline_ns: (deadline != u64::MAX).then_some(deadline), ringing };
        self.tell(&registers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_when_its_time_has_come_and_until_it_is_silenced() {
        let mut bell = Registers::default();
        assert!(bell.write(WIND, 4, 100, 50));
        bell.rings(149);
        assert_eq!(bell.read(RINGING, 4), Some(0));
        bell.rings(150);
        assert_eq!((bell.read(RINGING, 4), bell.deadline_ns), (Some(1), None));
        assert!(bell.write(RINGING, 4, 0, 200));
        assert_eq!(bell, Registers::default());
        // Stopped; other offsets and sizes.
        assert!(bell.write(WIND, 4, 100, 50) && bell.write(WIND, 4, 0, 60));
        bell.rings(1000);
        assert_eq!(bell, Registers::default());
        assert!(!bell.write(WIND, 8, 1, 0) && !bell.write(8, 4, 1, 0) && bell.read(WIND, 4).is_none());
    }
}
