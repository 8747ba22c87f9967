//! SYS_SYSTEM: a command for the host's shell.

use crate::{Answer, Errno};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a command and waits for it, unless the run ends before. Its exit code, or 128 and the signal that ended it, as a shell says it. It has
/// no input: the machine's console may be reading that.
pub fn run(command: &[u8], stop: &dyn Fn() -> bool) -> Answer {
    let mut child = Command::new("sh").arg("-c").arg(OsStr::from_bytes(command)).stdin(Stdio::null()).spawn()?;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) as u64);
        }
        if stop() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Errno(libc::EINTR));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}
