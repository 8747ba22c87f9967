//! Semihosting: a guest program calls the host by an agreed instruction, for files, a console, the time, an exit code.
//!
//! The operations are those of release 2.0 of the one specification that there is, which further architectures have taken over unchanged. How
//! a call is made (instruction, registers, width of a word) is the target's business; what it means is here.
//!
//! **This is the one place where a guest in system mode reaches the host's files**, and SYS_SYSTEM even runs a host command. Nothing of it
//! exists unless the user switches it on for this run. What holds when it is on: every guest pointer is checked where it is used, no size that
//! the guest names is allocated (data moves in pieces of [`PIECE`]), open files, lengths of names and strings are bounded, and whatever waits
//! for the host gives up when the run ends. A call that fails answers as the specification says and leaves its cause for SYS_ERRNO.

mod block;
mod config;
mod files;
mod system;
#[cfg(test)]
mod tests;

pub use config::Config;

use block::Block;
use files::{Files, Opened};
use std::sync::atomic::{AtomicI32, Ordering};

/// Data is copied between guest and host in pieces of so many bytes.
pub const PIECE: usize = 64 << 10;
/// The longest transfer of one SYS_READ or SYS_WRITE, as the host's kernel has it too. A longer one fails.
const TRANSFER_MAX: u64 = 0x7fff_f000;
/// The longest string of SYS_WRITE0.
const STRING_MAX: usize = 16 << 20;
/// The longest file name, and the longest command of SYS_SYSTEM.
const NAME_MAX: u64 = 4096;
const COMMAND_MAX: u64 = 64 << 10;
/// Ticks of SYS_ELAPSED in a second: they are nanoseconds of the machine's time.
const TICKS_HZ: u64 = 1_000_000_000;
/// ADP_Stopped_ApplicationExit: the reason of an exit that has a code.
const APPLICATION_EXIT: u64 = 0x2_0026;
/// What most calls answer when they fail.
const FAILED: u64 = u64::MAX;

/// The guest that makes a call, and its machine.
pub trait Guest {
    /// Reads the guest's memory as the caller sees it; false if any of it cannot be read.
    fn read(&mut self, address: u64, data: &mut [u8]) -> bool;
    /// Writes the guest's memory as the caller sees it, whole or not at all; false if any of it cannot be written.
    fn write(&mut self, address: u64, data: &[u8]) -> bool;
    /// The machine's time in ns since it started.
    fn clock_ns(&self) -> u64;
    /// Seconds since 1970.
    fn wall_s(&self) -> u64;
    /// Memory that nothing was loaded to: its first address and the first one behind it.
    fn heap(&self) -> Option<(u64, u64)>;
    /// Ends the run with this code.
    fn exit(&mut self, code: u32);
    /// True when the run is about to end, so that nothing should wait any more.
    fn is_ending(&self) -> bool;
    /// Called with true before, and with false after something that may wait for the host: the other CPUs need not wait with it.
    fn waits(&mut self, waiting: bool);
}

/// Where output goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// SYS_WRITEC and SYS_WRITE0.
    Debug,
    /// A handle of `:tt` opened for writing.
    Output,
    /// A handle of `:tt` opened for appending.
    Error,
}

/// The console of semihosting.
pub trait Console: Send + Sync + 'static {
    /// Writes.
    fn write(&self, channel: Channel, data: &[u8]);
    /// Waits for input and takes at most `data.len()` bytes of it; 0 at the end of input, `None` if `stop` became true before there was any.
    fn read(&self, data: &mut [u8], stop: &dyn Fn() -> bool) -> Option<usize>;
}

/// A call as the target hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Number of the operation.
    pub operation: u32,
    /// The parameter: the address of a block of words, or a value.
    pub argument: u64,
    /// Bytes of a word in parameter blocks: 4 or 8.
    pub word_bytes: u32,
    /// Words in memory are big-endian.
    pub big_endian: bool,
}

/// The numbers of the operations.
pub mod op {
    macro_rules! operations {
        ($($name:ident $number:literal;)*) => {
            $(#[doc = concat!("SYS_", stringify!($name), ".")] pub const $name: u32 = $number;)*
            /// All operations by name.
            pub const ALL: &[(&str, u32)] = &[$((stringify!($name), $number)),*];
        };
    }
    operations! {
        OPEN 0x01;
        CLOSE 0x02;
        WRITEC 0x03;
        WRITE0 0x04;
        WRITE 0x05;
        READ 0x06;
        READC 0x07;
        ISERROR 0x08;
        ISTTY 0x09;
        SEEK 0x0a;
        FLEN 0x0c;
        TMPNAM 0x0d;
        REMOVE 0x0e;
        RENAME 0x0f;
        CLOCK 0x10;
        TIME 0x11;
        SYSTEM 0x12;
        ERRNO 0x13;
        GET_CMDLINE 0x15;
        HEAPINFO 0x16;
        EXIT 0x18;
        EXIT_EXTENDED 0x20;
        ELAPSED 0x30;
        TICKFREQ 0x31;
    }
}

/// What a call fails with: an error number of the host's C library, as SYS_ERRNO gives it to the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Errno(i32);

impl From<std::io::Error> for Errno {
    fn from(e: std::io::Error) -> Errno {
        Errno(e.raw_os_error().unwrap_or(libc::EIO))
    }
}

type Answer = Result<u64, Errno>;

/// Semihosting of one machine.
pub struct Semihosting {
    config: Config,
    console: Box<dyn Console>,
    files: Files,
    errno: AtomicI32,
}

impl Semihosting {
    /// With nothing open yet.
    pub fn new(config: Config, console: Box<dyn Console>) -> Semihosting {
        Semihosting { config, console, files: Files::default(), errno: AtomicI32::new(0) }
    }

    /// True if callers without privilege are answered.
    pub fn answers_unprivileged(&self) -> bool {
        self.config.userspace
    }

    /// Carries a call out; what the guest finds in its result register.
    pub fn call(&self, guest: &mut dyn Guest, call: &Call) -> u64 {
        match self.operate(guest, call) {
            Ok(value) => value,
            Err(Errno(number)) => {
                self.errno.store(number, Ordering::Relaxed);
                FAILED
            }
        }
    }

    /// Closes what the guest left open: the machine was reset.
    pub fn reset(&self) {
        self.files.close_all();
        self.errno.store(0, Ordering::Relaxed);
    }

    fn operate(&self, guest: &mut dyn Guest, call: &Call) -> Answer {
        let mut b = Block { guest, at: call.argument, bytes: call.word_bytes, big_endian: call.big_endian };
        match call.operation {
            op::OPEN => {
                let (name, mode, len) = (b.word(0)?, b.word(1)?, b.word(2)?);
                let name = b.text(name, len, NAME_MAX)?;
                b.guest.waits(true);
                let handle = self.files.open(&name, mode);
                b.guest.waits(false);
                handle
            }
            op::CLOSE => {
                let handle = b.word(0)?;
                self.files.close(handle).map(|()| 0)
            }
            op::WRITEC => {
                let c = b.bytes::<1>(call.argument)?;
                self.console_write(b.guest, Channel::Debug, &c);
                Ok(0)
            }
            op::WRITE0 => self.write_string(&mut b),
            op::WRITE => self.write(&mut b),
            op::READ => self.read(&mut b),
            op::READC => {
                let mut c = [0];
                match self.console_read(b.guest, &mut c) {
                    Some(1) => Ok(u64::from(c[0])),
                    _ => Err(Errno(libc::EIO)),
                }
            }
            op::ISERROR => {
                let status = b.word(0)?;
                Ok(status >> (call.word_bytes * 8 - 1) & 1)
            }
            op::ISTTY => {
                let handle = b.word(0)?;
                Ok(u64::from(matches!(self.files.get(handle)?, Opened::Console(_) | Opened::Input)))
            }
            op::SEEK => {
                let (handle, to) = (b.word(0)?, b.word(1)?);
                self.files.get(handle)?.seek(to).map(|()| 0)
            }
            op::FLEN => {
                let handle = b.word(0)?;
                self.files.get(handle)?.length()
            }
            op::TMPNAM => {
                let (buffer, id, len) = (b.word(0)?, b.word(1)?, b.word(2)?);
                let name = files::temporary_name(id)?;
                if name.len() as u64 > len {
                    return Err(Errno(libc::ERANGE));
                }
                b.put(buffer, &name).map(|()| 0)
            }
            op::REMOVE => {
                let (name, len) = (b.word(0)?, b.word(1)?);
                let name = b.text(name, len, NAME_MAX)?;
                files::remove(&name).map(|()| 0)
            }
            op::RENAME => {
                let (from, from_len, to, to_len) = (b.word(0)?, b.word(1)?, b.word(2)?, b.word(3)?);
                let (from, to) = (b.text(from, from_len, NAME_MAX)?, b.text(to, to_len, NAME_MAX)?);
                files::rename(&from, &to).map(|()| 0)
            }
            op::CLOCK => Ok(b.guest.clock_ns() / (TICKS_HZ / 100)),
            op::TIME => Ok(b.guest.wall_s()),
            op::SYSTEM => {
                let (command, len) = (b.word(0)?, b.word(1)?);
                let command = b.text(command, len, COMMAND_MAX)?;
                b.guest.waits(true);
                let status = system::run(&command, &|| b.guest.is_ending());
                b.guest.waits(false);
                status
            }
            op::ERRNO => Ok(self.errno.load(Ordering::Relaxed) as u64),
            op::GET_CMDLINE => {
                let (buffer, len) = (b.word(0)?, b.word(1)?);
                let line = self.config.command_line();
                if line.len() as u64 + 1 > len {
                    return Err(Errno(libc::E2BIG));
                }
                b.put(buffer, &[line.as_bytes(), b"\0"].concat())?;
                b.set_word(1, line.len() as u64).map(|()| 0)
            }
            op::HEAPINFO => {
                let out = b.word(0)?;
                let (first, end) = b.guest.heap().unwrap_or((0, 0));
                // Heap base and limit; the stack grows down from its base at the other end of the same memory.
                let mut to = b.at_address(out);
                for (n, word) in [first, end, end, first].into_iter().enumerate() {
                    to.set_word(n as u64, word)?;
                }
                Ok(0)
            }
            // With 32-bit words the argument is the reason itself and no code can be given.
            op::EXIT if call.word_bytes == 4 => Ok(self.exit(b.guest, call.argument, 0)),
            op::EXIT | op::EXIT_EXTENDED => {
                let (reason, code) = (b.word(0)?, b.word(1)?);
                Ok(self.exit(b.guest, reason, code))
            }
            op::ELAPSED => {
                let ticks = b.guest.clock_ns();
                if call.word_bytes == 4 {
                    b.set_word(0, ticks & 0xffff_ffff)?;
                    b.set_word(1, ticks >> 32)?;
                } else {
                    b.set_word(0, ticks)?;
                }
                Ok(0)
            }
            op::TICKFREQ => Ok(TICKS_HZ),
            other => {
                log::warn!(target: "unimplemented", "semihosting has no operation {other:#x}: it answers -1");
                Err(Errno(libc::ENOSYS))
            }
        }
    }

    fn exit(&self, guest: &mut dyn Guest, reason: u64, code: u64) -> u64 {
        guest.exit(if reason == APPLICATION_EXIT { code as u32 } else { 1 });
        0
    }

    fn console_write(&self, guest: &mut dyn Guest, channel: Channel, data: &[u8]) {
        guest.waits(true);
        self.console.write(channel, data);
        guest.waits(false);
    }

    fn console_read(&self, guest: &mut dyn Guest, data: &mut [u8]) -> Option<usize> {
        guest.waits(true);
        let n = self.console.read(data, &|| guest.is_ending());
        guest.waits(false);
        n
    }

    fn write_string(&self, b: &mut Block<'_>) -> Answer {
        let mut at = b.at;
        let mut written = 0;
        loop {
            // Up to the end of a page: what lies behind the string need not exist.
            let mut piece = vec![0; 4096 - (at & 4095) as usize];
            if !b.guest.read(at, &mut piece) {
                return Err(Errno(libc::EFAULT));
            }
            let end = piece.iter().position(|c| *c == 0);
            self.console_write(b.guest, Channel::Debug, &piece[..end.unwrap_or(piece.len())]);
            if end.is_some() || b.guest.is_ending() {
                return Ok(0);
            }
            written += piece.len();
            if written >= STRING_MAX {
                log::warn!(target: "guest_error", "SYS_WRITE0: a string without end at {:#x}", b.at);
                return Err(Errno(libc::E2BIG));
            }
            at = at.wrapping_add(piece.len() as u64);
        }
    }

    /// SYS_WRITE: the number of bytes that were not written. An error is all of them.
    fn write(&self, b: &mut Block<'_>) -> Answer {
        let (handle, buffer, len) = (b.word(0)?, b.word(1)?, b.word(2)?);
        self.transfer(len, |done, piece| {
            let file = self.files.get(handle)?;
            if !b.guest.read(buffer.wrapping_add(done), piece) {
                return Err(Errno(libc::EFAULT));
            }
            if let Opened::Console(channel) = file {
                self.console_write(b.guest, channel, piece);
                return Ok(if b.guest.is_ending() { 0 } else { piece.len() });
            }
            b.guest.waits(true);
            let n = file.write(piece, &|| b.guest.is_ending());
            b.guest.waits(false);
            n
        })
    }

    /// SYS_READ: the number of bytes that were not read. All of them is an error or the end of the file.
    fn read(&self, b: &mut Block<'_>) -> Answer {
        let (handle, buffer, len) = (b.word(0)?, b.word(1)?, b.word(2)?);
        let mut short = false;
        self.transfer(len, |done, piece| {
            // What there is ends the call: input comes as it is typed, and behind the end of a file there is no more.
            if std::mem::take(&mut short) {
                return Ok(0);
            }
            let file = self.files.get(handle)?;
            let n = if matches!(file, Opened::Input) {
                self.console_read(b.guest, piece).unwrap_or(0)
            } else {
                b.guest.waits(true);
                let n = file.read(piece, &|| b.guest.is_ending());
                b.guest.waits(false);
                n?
            };
            short = n < piece.len();
            if n > 0 && !b.guest.write(buffer.wrapping_add(done), &piece[..n]) {
                file.unread(n);
                return Err(Errno(libc::EFAULT));
            }
            Ok(n)
        })
    }

    /// Moves `len` bytes by `step` (how many are done, a piece of what is left; how many it moved, 0 at an end); how many are left.
    fn transfer(&self, len: u64, mut step: impl FnMut(u64, &mut [u8]) -> Result<usize, Errno>) -> Answer {
        let mut done = 0;
        let mut piece = Vec::new();
        let fail = |Errno(number)| self.errno.store(number, Ordering::Relaxed);
        if len > TRANSFER_MAX {
            fail(Errno(libc::EINVAL));
            return Ok(len);
        }
        while done < len {
            piece.resize((len - done).min(PIECE as u64) as usize, 0);
            match step(done, &mut piece) {
                Ok(0) => break,
                Ok(n) => done += n.min(piece.len()) as u64,
                Err(e) => {
                    fail(e);
                    break;
                }
            }
        }
        Ok(len - done)
    }
}
