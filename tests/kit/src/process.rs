//! Child processes with a time limit: run and capture, or a scripted console over pipes.
//!
//! Invariant: a child never outlives its [`Console`] or [`run`] call; it is killed at the limit.

use crate::{Result, error};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a finished child left.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code, or `None` when a signal (also ours, at the limit) ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// How long it ran.
    pub took: Duration,
    /// User and system CPU time of all its threads.
    pub cpu: Duration,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Bytes that a reader thread collects from a pipe, and whether the pipe has ended.
#[derive(Default)]
struct Shared {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Shared {
    fn with<T>(&self, f: impl FnOnce(&mut (Vec<u8>, bool)) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut state);
        self.changed.notify_all();
        result
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> (Arc<Shared>, JoinHandle<()>) {
    let shared = Arc::new(Shared::default());
    let writer = Arc::clone(&shared);
    let thread = std::thread::spawn(move || {
        let mut chunk = [0; 16384];
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => writer.with(|s| s.0.extend_from_slice(&chunk[..n])),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        writer.with(|s| s.1 = true);
    });
    (shared, thread)
}

/// What a child's end says: its status, and its CPU time.
type End = (ExitStatus, Duration);

/// Reaps the child if it has ended, or waits for that. `Child` has no way to learn the CPU time; a child that was reaped here must not be
/// waited for or killed by it any more.
#[allow(unsafe_code)]
fn reap(child: &Child, wait: bool) -> Option<End> {
    let mut status = 0;
    // SAFETY: a rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let flags = if wait { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: both pointers are to locals that outlive the call.
        let reaped = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, flags, &raw mut usage) };
        match reaped {
            0 => return None,
            -1 if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            -1 => return None,
            _ => break,
        }
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Some((ExitStatus::from_raw(status), time(usage.ru_utime) + time(usage.ru_stime)))
}

/// A running child whose standard input and output are a console.
pub struct Console {
    child: Child,
    name: String,
    stdin: Option<ChildStdin>,
    stdout: Arc<Shared>,
    stderr: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
    /// How much of the output earlier calls of `expect` have passed.
    seen: usize,
    started: Instant,
    ended: bool,
}

impl Console {
    /// Starts the command.
    #[allow(unsafe_code)]
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        // What tests run leaves nothing among the user's caches, unless a test is about that.
        if command.get_envs().all(|(variable, _)| variable != "EMU_TRANSLATIONS") {
            command.env("EMU_TRANSLATIONS", "off");
        }
        // A shell has these ignored for what it runs in the background, and what asks about signals would see that.
        // SAFETY: signal(2) may be called between fork and execve.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                libc::signal(libc::SIGQUIT, libc::SIG_DFL);
                Ok(())
            });
        }
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(e) => return error(format!("{name} does not start: {e}")),
        };
        let stdin = child.stdin.take();
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return error(format!("{name} has no pipes"));
        };
        let (stdout, out_thread) = collect(out);
        let (stderr, err_thread) = collect(err);
        let readers = vec![out_thread, err_thread];
        let started = Instant::now();
        Ok(Self { child, name, stdin, stdout, stderr, readers, seen: 0, started, ended: false })
    }

    /// Waits until `text` appears behind what earlier calls have passed, and returns the output up
    /// to and with it. The error holds the tail of the output.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        let until = Instant::now() + limit;
        let mut state = self.stdout.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let fresh = &state.0[self.seen..];
            if let Some(at) = find(fresh, text.as_bytes()) {
                let end = at + text.len();
                let passed = String::from_utf8_lossy(&fresh[..end]).into_owned();
                self.seen += end;
                return Ok(passed);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                let why = if state.1 { "the output ended" } else { "the time limit passed" };
                let tail = String::from_utf8_lossy(&fresh[fresh.len().saturating_sub(2000)..]).into_owned();
                drop(state);
                let errors = self.stderr.with(|s| String::from_utf8_lossy(&s.0).into_owned());
                return error(format!("{}: {why} before {text:?} came; the output ends with:\n{tail}\nstderr:\n{errors}", self.name));
            }
            let waited = self.stdout.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes to the console.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let Some(stdin) = self.stdin.as_mut() else {
            return error(format!("{}: standard input is closed", self.name));
        };
        match stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()) {
            Ok(()) => Ok(()),
            Err(e) => error(format!("{} does not read its input: {e}", self.name)),
        }
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system CPU time of all the child's threads so far.
    #[allow(unsafe_code)]
    pub fn cpu_time(&self) -> Result<Duration> {
        let (mut clock, mut now) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: both pointers are to locals that outlive the calls.
        let failed = unsafe {
            libc::clock_getcpuclockid(self.child.id() as libc::pid_t, &raw mut clock) != 0 || libc::clock_gettime(clock, &raw mut now) != 0
        };
        if failed {
            return error(format!("{} has ended: {}", self.name, self.errors()));
        }
        Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
    }

    /// Standard error so far.
    pub fn errors(&self) -> String {
        self.stderr.with(|s| String::from_utf8_lossy(&s.0).into_owned())
    }

    /// Ends standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// All the output so far, also what `expect` has passed.
    pub fn output(&self) -> String {
        self.stdout.with(|s| String::from_utf8_lossy(&s.0).into_owned())
    }

    /// Waits for the end; kills at the limit.
    pub fn wait(self, limit: Duration) -> Finished {
        self.wait_while_talking(limit, limit)
    }

    /// Asks the process to end (SIGTERM), and waits for that; kills at the limit.
    #[allow(unsafe_code)]
    pub fn terminate(self, limit: Duration) -> Finished {
        // SAFETY: it is a child that has not been waited for, so the number is its own.
        unsafe { libc::kill(self.id() as i32, libc::SIGTERM) };
        self.wait(limit)
    }

    /// Waits for the end; kills at the limit, or when nothing was printed for so long.
    pub fn wait_while_talking(mut self, limit: Duration, silence: Duration) -> Finished {
        let until = Instant::now() + limit;
        let mut end: Option<End> = None;
        let mut pause = Duration::from_micros(200);
        let (mut printed, mut quiet_since) = (0, Instant::now());
        while Instant::now() < until && quiet_since.elapsed() < silence {
            end = reap(&self.child, false);
            if end.is_some() {
                break;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
            let now = self.stdout.with(|s| s.0.len());
            if now != printed {
                (printed, quiet_since) = (now, Instant::now());
            }
        }
        let timed_out = end.is_none();
        if timed_out {
            let _ = self.child.kill();
            end = reap(&self.child, true);
        }
        self.ended = end.is_some();
        self.stdin = None;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Finished {
            code: if timed_out { None } else { end.and_then(|(status, _)| status.code()) },
            stdout: self.stdout.with(|s| std::mem::take(&mut s.0)),
            stderr: self.stderr.with(|s| std::mem::take(&mut s.0)),
            timed_out,
            took: self.started.elapsed(),
            cpu: end.map_or(Duration::ZERO, |(_, cpu)| cpu),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if !self.ended && !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// Runs the command to its end with no input, or kills it at the limit.
pub fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
    run_while_talking(command, limit, limit)
}

/// Runs the command with no input, and kills it at the limit, or when it printed nothing for so long.
pub fn run_while_talking(command: &mut Command, limit: Duration, silence: Duration) -> Result<Finished> {
    let mut console = Console::start(command)?;
    console.stdin = None;
    Ok(console.wait_while_talking(limit, silence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn captures_both_streams_and_the_code() {
        let done = run(&mut sh("echo out; echo err >&2; exit 3"), Duration::from_secs(20)).unwrap();
        assert_eq!((done.code, done.timed_out), (Some(3), false));
        assert_eq!((done.text().as_str(), done.errors().as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn measures_cpu_time_not_waiting() {
        let limit = Duration::from_secs(60);
        let work = run(&mut sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), limit).unwrap();
        let sleep = run(&mut sh("sleep 0.3"), limit).unwrap();
        assert!(work.cpu > Duration::from_millis(20), "{:?}", work.cpu);
        assert!(sleep.cpu < Duration::from_millis(200) && sleep.took > sleep.cpu, "{:?}", sleep.cpu);
        let mut shell = Console::start(&mut sh("read n; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; read n")).unwrap();
        let before = shell.cpu_time().unwrap();
        shell.send("\n").unwrap();
        shell.expect("done", limit).unwrap();
        assert!(shell.cpu_time().unwrap() > before + Duration::from_millis(20));
    }

    #[test]
    fn kills_at_the_limit() {
        let done = run(&mut sh("echo begin; exec sleep 60"), Duration::from_millis(300)).unwrap();
        assert!(done.timed_out && done.code.is_none());
        assert_eq!(done.text(), "begin\n");
        assert!(done.took < Duration::from_secs(20));
    }

    #[test]
    fn kills_what_falls_silent() {
        let mut script = sh("echo a; sleep 0.2; echo b; exec sleep 60");
        let console = Console::start(&mut script).unwrap();
        let done = console.wait_while_talking(Duration::from_secs(50), Duration::from_secs(1));
        assert!(done.timed_out && done.took < Duration::from_secs(20));
        assert_eq!(done.text(), "a\nb\n");
    }

    #[test]
    fn a_console_talks() {
        let mut script = sh("printf 'name? '; read n; echo \"hello $n\"; read x; exit 7");
        let mut console = Console::start(&mut script).unwrap();
        let limit = Duration::from_secs(20);
        console.expect("name? ", limit).unwrap();
        console.send("emu\n").unwrap();
        assert_eq!(console.expect("emu\n", limit).unwrap(), "hello emu\n");
        let missing = console.expect("never", Duration::from_millis(50)).unwrap_err();
        assert!(missing.0.contains("time limit"), "{missing}");
        console.send("\n").unwrap();
        let ended = console.expect("never", limit).unwrap_err();
        assert!(ended.0.contains("the output ended"), "{ended}");
        assert_eq!(console.wait(limit).code, Some(7));
    }

    #[test]
    fn a_missing_program_is_a_sentence() {
        let error = run(&mut Command::new("/nonexistent/prog"), Duration::from_secs(1)).unwrap_err();
        assert!(error.0.starts_with("/nonexistent/prog does not start"), "{error}");
    }
}
