//! What the robustness tests share: scratch files, runs of `emu` whose memory is watched, and hostile guests.
//!
//! A hostile guest is a flat Image assembled here ([`guest`]). It begins with a vector table whose every entry leads to one small handler,
//! does its worst, says `done` on the first serial line and powers off by PSCI. A run ([`attack`]) passes when the emulator ends by that or
//! by `--timeout`, says nothing of a panic, and never held more than [`GROWTH_MAX`] above the guest's RAM.

pub mod guest;
pub mod words;

use emu_test_kit::emu;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A folder that goes away again.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty one.
    pub fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("emu-robustness-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("the folder can be made");
        Scratch(dir)
    }
    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    /// Writes a file in it; its path as text.
    pub fn file(&self, name: &str, contents: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("the file can be written");
        path.to_str().expect("paths are UTF-8").to_owned()
    }
    /// Makes a file of zeroes that takes no room.
    pub fn hole(&self, name: &str, size: u64) -> String {
        let path = self.path(name);
        File::create(&path).and_then(|f| f.set_len(size)).expect("the file can be made");
        path.to_str().expect("paths are UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `emu`, away from what the user's environment says.
pub fn command() -> Command {
    let mut command = emu::command().unwrap_or_else(|e| panic!("{e}"));
    for name in ["EMU_PLUGIN_PATH", "EMU_LOG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// How much the emulator may hold above the guest's RAM.
pub const GROWTH_MAX: u64 = 400 << 20;

/// How a guest is run.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// CPUs.
    pub cpus: u32,
    /// MiB of RAM.
    pub ram_mib: u64,
    /// `--timeout`, in seconds.
    pub limit_s: u64,
    /// Where standard input comes from.
    pub stdin: &'a str,
    /// More arguments.
    pub more: &'a [&'a str],
}

impl Default for How<'_> {
    fn default() -> Self {
        How { cpus: 1, ram_mib: 32, limit_s: 30, stdin: "/dev/null", more: &[] }
    }
}

/// What a watched run left.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` when a signal ended the emulator.
    pub code: Option<i32>,
    /// That signal; SIGKILL is the test's own, for too much memory or time.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Largest resident size, in bytes.
    pub peak: u64,
    /// How long it took.
    pub took: Duration,
}

/// The resident peak (VmHWM) of a process.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Runs a command to its end, at most for `limit`, looking at its memory every few ms; it is killed when it holds more than `memory_max`.
fn watched(command: &mut Command, scratch: &Scratch, memory_max: u64, limit: Duration) -> Ended {
    let (out, err) = (scratch.path("stdout"), scratch.path("stderr"));
    let create = |path: &Path| Stdio::from(File::create(path).expect("the file can be made"));
    let started = Instant::now();
    let mut child = command.stdout(create(&out)).stderr(create(&err)).spawn().expect("emu starts");
    let mut largest = 0;
    let end = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        largest = largest.max(peak(child.id()).unwrap_or(0));
        if started.elapsed() > limit || largest > memory_max {
            let _ = child.kill();
            break child.wait().expect("the child can be waited for");
        }
        std::thread::sleep(Duration::from_millis(4));
    };
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    Ended { code: end.code(), signal: end.signal(), stdout: text(&out), stderr: text(&err), peak: largest, took: started.elapsed() }
}

/// What a guest is expected to come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// It says `done` and powers off.
    Off,
    /// Several CPUs say `done` beside each other, so that their letters mix, and power off.
    OffTogether,
    /// It goes on for ever: `--timeout` ends it.
    Timeout,
    /// Either.
    Any,
}

/// Runs a hostile guest and asserts what must hold of every one.
///
/// # Panics
/// When the emulator panics, hangs, grows, or ends in another way than expected.
pub fn attack(name: &str, image: &[u8], how: How<'_>, expect: Expect) -> Ended {
    let scratch = Scratch::new(name);
    let kernel = scratch.file("guest.img", image);
    let mut command = command();
    command.args(["-M", "virt", "-serial", "stdio", "-kernel", &kernel]);
    command.args(["-m", &how.ram_mib.to_string(), "-smp", &how.cpus.to_string(), "--timeout", &format!("{}s", how.limit_s)]);
    command.args(how.more).stdin(File::open(how.stdin).expect("standard input can be opened"));
    let memory_max = (how.ram_mib << 20) + GROWTH_MAX;
    // Behind --timeout come a few seconds in which the machine may stop.
    let done = watched(&mut command, &scratch, memory_max, Duration::from_secs(how.limit_s + 20));
    println!("{name}: code {:?} after {:.2} s, peak {} MiB", done.code, done.took.as_secs_f64(), done.peak >> 20);
    let tail = |s: &str| s[s.char_indices().rev().nth(3000).map_or(0, |c| c.0)..].to_owned();
    let story = format!(
        "{name}: code {:?}, signal {:?}, peak {} MiB, {:?}\n{}\n{}",
        done.code,
        done.signal,
        done.peak >> 20,
        done.took,
        tail(&done.stdout),
        tail(&done.stderr)
    );
    assert!(done.peak <= memory_max, "the emulator grew: {story}");
    assert!(!done.stderr.contains("panicked"), "a panic: {story}");
    assert!(!done.stderr.contains("does not stop"), "a hang: {story}");
    assert!(done.stderr.len() < 1 << 20, "{} bytes of messages: {story}", done.stderr.len());
    let off = done.code == Some(0) && done.stdout.contains(guest::DONE);
    let mut letters = done.stdout.chars();
    let off_together = done.code == Some(0) && guest::DONE.chars().all(|d| letters.any(|l| l == d));
    let timeout = done.code == Some(124) && done.stderr.contains("the time limit of");
    let good = match expect {
        Expect::Off => off,
        Expect::OffTogether => off_together,
        Expect::Timeout => timeout,
        Expect::Any => off || timeout,
    };
    assert!(good, "expected {expect:?}: {story}");
    done
}
