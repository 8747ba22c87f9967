//! What handles stand for: the console, the feature file, host files.

use crate::{Answer, Channel, Errno};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many handles may be open.
pub const HANDLES_MAX: usize = 256;
/// The contents of `:semihosting-features`: a magic word, then a byte with SH_EXT_EXIT_EXTENDED and SH_EXT_STDOUT_STDERR.
pub const FEATURES: [u8; 5] = [b'S', b'H', b'F', b'B', 3];

/// An open handle. A copy stands for the same file and place in it.
#[derive(Clone)]
pub enum Opened {
    /// `:tt` for reading.
    Input,
    /// `:tt` for writing.
    Console(Channel),
    /// `:semihosting-features`, and the place in it.
    Features(Arc<Mutex<u64>>),
    /// A host file.
    File(Arc<Mutex<File>>),
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

const BAD_HANDLE: Errno = Errno(libc::EBADF);

/// Open handles; handle `n` is entry `n - 1`, for 0 is no handle.
#[derive(Default)]
pub struct Files(Mutex<Vec<Option<Opened>>>);

impl Files {
    /// SYS_OPEN; the handle.
    pub fn open(&self, name: &[u8], mode: u64) -> Answer {
        // The modes of fopen: r, rb, r+, r+b, then the same with w and a.
        if mode >= 12 {
            return Err(Errno(libc::EINVAL));
        }
        let opened = match name {
            b":tt" => match mode / 4 {
                0 => Opened::Input,
                1 => Opened::Console(Channel::Output),
                _ => Opened::Console(Channel::Error),
            },
            b":semihosting-features" if mode < 2 => Opened::Features(Arc::default()),
            b":semihosting-features" => return Err(Errno(libc::EACCES)),
            _ => {
                if lock(&self.0).iter().flatten().count() >= HANDLES_MAX {
                    return Err(Errno(libc::EMFILE));
                }
                Opened::File(Arc::new(Mutex::new(open_file(name, mode)?)))
            }
        };
        let mut list = lock(&self.0);
        let place = match list.iter().position(Option::is_none) {
            Some(free) => free,
            None if list.len() >= HANDLES_MAX => return Err(Errno(libc::EMFILE)),
            None => {
                list.push(None);
                list.len() - 1
            }
        };
        list[place] = Some(opened);
        Ok(place as u64 + 1)
    }

    /// What a handle stands for.
    pub fn get(&self, handle: u64) -> Result<Opened, Errno> {
        let place = usize::try_from(handle.wrapping_sub(1)).map_err(|_| BAD_HANDLE)?;
        lock(&self.0).get(place).cloned().flatten().ok_or(BAD_HANDLE)
    }

    /// SYS_CLOSE.
    pub fn close(&self, handle: u64) -> Result<(), Errno> {
        let place = usize::try_from(handle.wrapping_sub(1)).map_err(|_| BAD_HANDLE)?;
        lock(&self.0).get_mut(place).and_then(Option::take).map(drop).ok_or(BAD_HANDLE)
    }

    /// Closes everything.
    pub fn close_all(&self) {
        lock(&self.0).clear();
    }
}

fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

fn open_file(name: &[u8], mode: u64) -> Result<File, Errno> {
    let update = mode & 2 != 0;
    let mut options = OpenOptions::new();
    match mode / 4 {
        0 => options.read(true).write(update),
        1 => options.write(true).read(update).create(true).truncate(true),
        _ => options.append(true).read(update).create(true),
    };
    // A pipe that nobody has opened at its other end must not stop the machine: see `patiently`.
    let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path(name))?;
    if file.metadata()?.is_dir() { Err(Errno(libc::EISDIR)) } else { Ok(file) }
}

/// Repeats what would have to wait, until it need not or the run ends.
fn patiently(stop: &dyn Fn() -> bool, mut attempt: impl FnMut() -> std::io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match attempt() {
            Ok(n) => return Ok(n),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && !stop() => std::thread::sleep(Duration::from_millis(2)),
            Err(e) => return Err(e.into()),
        }
    }
}

impl Opened {
    /// Reads what there is, at most `data`; 0 at the end.
    pub fn read(&self, data: &mut [u8], stop: &dyn Fn() -> bool) -> Result<usize, Errno> {
        match self {
            Opened::File(file) => patiently(stop, || lock(file).read(data)),
            Opened::Features(place) => {
                let mut place = lock(place);
                let from = (*place as usize).min(FEATURES.len());
                let n = data.len().min(FEATURES.len() - from);
                data[..n].copy_from_slice(&FEATURES[from..from + n]);
                *place += n as u64;
                Ok(n)
            }
            Opened::Input | Opened::Console(_) => Err(BAD_HANDLE),
        }
    }

    /// The last `n` bytes could not be handed on: they are read again next time, where a file has places.
    pub fn unread(&self, n: usize) {
        match self {
            Opened::File(file) => _ = lock(file).seek(SeekFrom::Current(-(n as i64))),
            Opened::Features(place) => *lock(place) -= n as u64,
            Opened::Input | Opened::Console(_) => {}
        }
    }

    /// Writes some of `data`; how much.
    pub fn write(&self, data: &[u8], stop: &dyn Fn() -> bool) -> Result<usize, Errno> {
        match self {
            Opened::File(file) => patiently(stop, || lock(file).write(data)),
            _ => Err(BAD_HANDLE),
        }
    }

    /// SYS_SEEK.
    pub fn seek(&self, to: u64) -> Result<(), Errno> {
        match self {
            // What cannot be a file's length is no place in one.
            _ if to > i64::MAX as u64 => Err(Errno(libc::EINVAL)),
            Opened::File(file) => Ok(lock(file).seek(SeekFrom::Start(to)).map(drop)?),
            Opened::Features(place) => {
                *lock(place) = to;
                Ok(())
            }
            Opened::Input | Opened::Console(_) => Err(Errno(libc::ESPIPE)),
        }
    }

    /// SYS_FLEN.
    pub fn length(&self) -> Answer {
        match self {
            Opened::File(file) => Ok(lock(file).metadata()?.len()),
            Opened::Features(_) => Ok(FEATURES.len() as u64),
            Opened::Input | Opened::Console(_) => Err(Errno(libc::EINVAL)),
        }
    }
}

/// SYS_TMPNAM: a name for `id`, always the same in this run, with its terminating zero.
pub fn temporary_name(id: u64) -> Result<Vec<u8>, Errno> {
    if id > 255 {
        return Err(Errno(libc::EINVAL));
    }
    let name = std::env::temp_dir().join(format!("emu-{:x}-{id:02x}", std::process::id()));
    let mut bytes = name.into_os_string().into_encoded_bytes();
    bytes.push(0);
    Ok(bytes)
}

/// SYS_REMOVE: a file, or an empty folder as the C library's remove does.
pub fn remove(name: &[u8]) -> Result<(), Errno> {
    let path = path(name);
    let is_dir = std::fs::symlink_metadata(path)?.is_dir();
    Ok(if is_dir { std::fs::remove_dir(path) } else { std::fs::remove_file(path) }?)
}

/// SYS_RENAME.
pub fn rename(from: &[u8], to: &[u8]) -> Result<(), Errno> {
    Ok(std::fs::rename(path(from), path(to))?)
}
