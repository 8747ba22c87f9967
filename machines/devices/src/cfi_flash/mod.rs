//! NOR flash with the Intel command set: two 16-bit chips on a 32-bit bus that always get the same command.
//!
//! The content lies in the RAM behind the device's window, which the host reads directly while the flash is in read array mode; every
//! store, and every load in another mode, comes here. Programming and erasing take no time. Programming clears bits and never sets them.

pub mod spec;
#[cfg(test)]
mod tests;

use crate::{lock, primecell};
use emu_plugins_api::{Device, DeviceId, Host, Reader, Writer};
use spec::*;
use std::sync::{Mutex, OnceLock};

/// What the next load answers and the next store means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Mode {
    Array,
    Id,
    Query,
    Status,
    /// The next store is data.
    Program,
    /// The next store is the number of words, less one.
    BufferCount,
    /// So many more stores are data.
    BufferData,
    /// The next store must confirm.
    BufferConfirm,
    EraseConfirm,
    LockConfirm,
}

impl Mode {
    const ALL: [Mode; 10] = [
        Mode::Array,
        Mode::Id,
        Mode::Query,
        Mode::Status,
        Mode::Program,
        Mode::BufferCount,
        Mode::BufferData,
        Mode::BufferConfirm,
        Mode::EraseConfirm,
        Mode::LockConfirm,
    ];
}

/// The flash.
pub struct CfiFlash {
    name: String,
    size: u64,
    host: OnceLock<(Host, DeviceId)>,
    state: Mutex<State>,
}

struct State {
    mode: Mode,
    status: u8,
    /// Bytes that the write buffer still takes.
    left: u64,
    /// Stores of the write buffer: offset, size, value.
    buffer: Vec<(u64, u32, u64)>,
}

impl State {
    fn new() -> State {
        State { mode: Mode::Array, status: status::READY, left: 0, buffer: Vec::new() }
    }
}

impl CfiFlash {
    /// A flash of `size` bytes, a multiple of [`SECTOR`].
    pub fn new(name: &str, size: u64) -> CfiFlash {
        CfiFlash { name: name.into(), size, host: OnceLock::new(), state: Mutex::new(State::new()) }
    }
    /// Where the content lies; only the first call counts. It starts as zeroes, which costs the host no memory: a chip fresh from the
    /// factory would be all ones, but whoever wants to program a block erases it first.
    pub fn connect(&self, host: Host, id: DeviceId) {
        if self.host.set((host, id)).is_ok() {
            host.device_direct(id, true);
        }
    }
    /// Puts `data` at `offset`, as a programmer would. False when it does not fit.
    pub fn load_image(&self, offset: u64, data: &[u8]) -> bool {
        self.host.get().is_some_and(|(host, id)| host.backing_write(*id, offset, data))
    }
    fn erase(&self, offset: u64) {
        if let Some((host, id)) = self.host.get() {
            host.backing_write(*id, offset & !(SECTOR - 1), &vec![0xff; SECTOR as usize]);
        }
    }
    fn array(&self, offset: u64, size: u32) -> u64 {
        let mut bytes = [0; 8];
        if let Some((host, id)) = self.host.get() {
            host.backing_read(*id, offset, &mut bytes[..size as usize]);
        }
        u64::from_le_bytes(bytes)
    }
    fn program(&self, offset: u64, size: u32, value: u64) {
        let Some((host, id)) = self.host.get() else { return };
        let value = self.array(offset, size) & value;
        host.backing_write(*id, offset, &value.to_le_bytes()[..size as usize]);
    }
    fn set_mode(&self, s: &mut State, mode: Mode) {
        if (s.mode == Mode::Array) != (mode == Mode::Array)
            && let Some((host, id)) = self.host.get()
        {
            host.device_direct(*id, mode == Mode::Array);
        }
        s.mode = mode;
    }
    /// The first cycle of a command.
    fn command(&self, s: &mut State, value: u64) {
        let mode = match value as u8 {
            command::READ_ID => Mode::Id,
            command::QUERY => Mode::Query,
            command::READ_STATUS => Mode::Status,
            command::CLEAR_STATUS => {
                s.status = status::READY;
                // Clearing does not change what is read (Intel command set).
                s.mode
            }
            command::PROGRAM | command::PROGRAM_ALT => Mode::Program,
            command::BUFFERED_PROGRAM => {
                s.buffer.clear();
                Mode::BufferCount
            }
            command::BLOCK_ERASE => Mode::EraseConfirm,
            command::LOCK => Mode::LockConfirm,
            // Read array, reset, and whatever is no command.
            _ => Mode::Array,
        };
        self.set_mode(s, mode);
    }
    fn cycle(&self, s: &mut State, offset: u64, size: u32, value: u64) {
        match s.mode {
            Mode::Array | Mode::Id | Mode::Query | Mode::Status => self.command(s, value),
            Mode::Program => {
                self.program(offset, size, value);
                self.set_mode(s, Mode::Status);
            }
            Mode::BufferCount => {
                // Words of a chip; both chips get as many.
                s.left = ((value & 0xffff) + 1) * BANK_WIDTH;
                let mode = if s.left > BUFFER {
                    s.left = 0;
                    s.status |= status::PROGRAM_ERROR;
                    Mode::Status
                } else {
                    Mode::BufferData
                };
                self.set_mode(s, mode);
            }
            Mode::BufferData => {
                s.buffer.push((offset, size, value));
                s.left = s.left.saturating_sub(size.into());
                if s.left == 0 {
                    self.set_mode(s, Mode::BufferConfirm);
                }
            }
            Mode::BufferConfirm => {
                if value as u8 == command::CONFIRM {
                    for (offset, size, value) in std::mem::take(&mut s.buffer) {
                        self.program(offset, size, value);
                    }
                } else {
                    s.buffer.clear();
                    s.status |= status::PROGRAM_ERROR | status::ERASE_ERROR;
                }
                self.set_mode(s, Mode::Status);
            }
            Mode::EraseConfirm => {
                if value as u8 == command::CONFIRM {
                    self.erase(offset);
                } else {
                    s.status |= status::PROGRAM_ERROR | status::ERASE_ERROR;
                }
                self.set_mode(s, Mode::Status);
            }
            Mode::LockConfirm => match value as u8 {
                // Blocks have no lock; software that sets or clears it is content with the status.
                command::LOCK_SET | command::CONFIRM => self.set_mode(s, Mode::Status),
                // Firmware that probes asks for the identifier codes in the middle of it.
                command::READ_ID => self.set_mode(s, Mode::Id),
                _ => self.set_mode(s, Mode::Array),
            },
        }
    }
    /// The 32-bit word in a mode that is not read array: the same 16 bits from both chips.
    fn word(&self, s: &State, offset: u64) -> u32 {
        let index = offset / BANK_WIDTH;
        let chip = match s.mode {
            Mode::Id => match index & 0xff {
                0 => MANUFACTURER,
                1 => DEVICE,
                _ => 0,
            },
            Mode::Query => query(index & 0xff, self.size).into(),
            _ => s.status.into(),
        };
        u32::from(chip) * 0x0001_0001
    }
}

impl Device for CfiFlash {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        let s = lock(&self.state);
        if s.mode == Mode::Array {
            return Some(self.array(offset, size));
        }
        Some(match primecell::word(offset, size) {
            Some((at, shift)) => primecell::cut(self.word(&s, at), shift, size),
            None => u64::from(self.word(&s, offset)) * 0x1_0000_0001,
        })
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        self.cycle(&mut lock(&self.state), offset, size, value);
        true
    }
    /// The content stays.
    fn reset(&self) {
        let mut s = lock(&self.state);
        self.set_mode(&mut s, Mode::Array);
        *s = State::new();
    }
    /// Only the command state: the content is the RAM behind the window, which the host saves.
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        w.u8(s.mode as u8);
        w.u8(s.status);
        w.u64(s.left);
        w.u64s(&s.buffer.iter().flat_map(|(o, z, v)| [*o, u64::from(*z), *v]).collect::<Vec<_>>());
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let mode = Mode::ALL.get(usize::from(r.u8()?)).copied().ok_or("saved state names a mode that does not exist")?;
            let (status, left, buffer) = (r.u8()?, r.u64()?, r.u64s()?);
            r.finish()?;
            let fits = |c: &[u64]| matches!(c[1], 1 | 2 | 4 | 8) && c[0] < self.size && c[1] <= self.size - c[0];
            if buffer.len() % 3 != 0 || buffer.len() as u64 > 3 * BUFFER || left > BUFFER || !buffer.chunks(3).all(fits) {
                return Err("saved state has a write buffer that cannot be".to_owned());
            }
            Ok(State { mode, status, left, buffer: buffer.chunks(3).map(|c| (c[0], c[1] as u32, c[2])).collect() })
        };
        let loaded = parse().map_err(|e| format!("{}: {e}", self.name));
        let mut s = lock(&self.state);
        let (state, result) = match loaded {
            Ok(l) => (l, Ok(())),
            Err(e) => (State::new(), Err(e)),
        };
        self.set_mode(&mut s, state.mode);
        *s = state;
        result
    }
}
