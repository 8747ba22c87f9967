//! The test finisher of SiFive's test bench: a store ends the machine, well or with a code, or resets it.

use emu_plugins_api::{Device, Host, Reader, SystemEvent, Writer};
use std::sync::OnceLock;

/// Size of the window.
pub const WINDOW: u64 = 0x1000;
/// Ends with the code in bits 31 to 16.
pub const FAIL: u64 = 0x3333;
/// Ends well.
pub const PASS: u64 = 0x5555;
/// Resets.
pub const RESET: u64 = 0x7777;

/// The finisher.
pub struct SifiveTest {
    name: String,
    host: OnceLock<Host>,
}

impl SifiveTest {
    /// A finisher.
    pub fn new(name: &str) -> SifiveTest {
        SifiveTest { name: name.into(), host: OnceLock::new() }
    }
    /// Whom to tell; only the first call counts.
    pub fn connect(&self, host: Host) {
        let _ = self.host.set(host);
    }
}

impl Device for SifiveTest {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, _offset: u64, _size: u32) -> Option<u64> {
        Some(0)
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if let (0, 2 | 4, Some(host)) = (offset, size, self.host.get()) {
            match value & 0xffff {
                FAIL => host.system_event(SystemEvent::POWER_OFF, (value >> 16 & 0xffff) as u32),
                PASS => host.system_event(SystemEvent::POWER_OFF, 0),
                RESET => host.system_event(SystemEvent::RESET, 0),
                _ => (),
            }
        }
        true
    }
    fn reset(&self) {}
    fn save(&self) -> Vec<u8> {
        Writer::new(1).finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        Reader::new(saved, 1).and_then(Reader::finish).map_err(|e| format!("{}: {e}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::MockHost;

    #[test]
    fn ends_and_resets() {
        let (mock, host) = MockHost::new(1);
        let d = SifiveTest::new("test");
        d.connect(host);
        for value in [1, PASS, FAIL | 3 << 16, RESET] {
            assert!(d.write(0, 4, value));
        }
        assert!(d.write(4, 4, PASS));
        assert_eq!(mock.records().events, [(SystemEvent::POWER_OFF, 0), (SystemEvent::POWER_OFF, 3), (SystemEvent::RESET, 0)]);
    }
}
