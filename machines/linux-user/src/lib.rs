//! The `linux-user` machine: a program of Linux runs as a process of the host. Its only device is a kernel.
//!
//! * [`calls`]: all system calls, a row each: what emu does for them, and how well.
//! * [`elf`], [`vdso`]: what a program begins with. [`memory`]: its address space. [`host`]: the host's calls, and how signals interrupt them.
//! * [`seccomp`]: a program's filters for its own calls.
//! * [`exec`]: becoming another program.
//! * [`signal`], [`process`], [`files`], [`cpu`], [`proc`]: what is more than handing a call on.
//!
//! What is peculiar to an architecture is its target's table, `LinuxAbi`. Everything is done on the thread that asks for it, which is a host
//! thread of its own: a host's id of a process or thread is the guest's. The host's mask of a thread's signals is the guest's, and the
//! host's actions are the guest's but where the guest has a handler.
#![allow(unsafe_code)] // System calls on the guest's behalf; every block says why it is sound.
#![allow(clippy::not_unsafe_ptr_arg_deref)] // The CPU's header comes from core, which calls on the CPU's thread only, and goes nowhere else.

mod calls;
mod cpu;
mod elf;
mod exec;
mod files;
mod host;
mod memory;
mod proc;
mod process;
mod seccomp;
mod signal;
mod vdso;

use emu_plugins_api::{Board, CpuHeader, Host, LinuxAbi, MachineConfig, MachineRegistration, Onward, UserFault, UserKernel, register_machine};
use std::ffi::{OsString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

register_machine!(MachineRegistration {
    name: "linux-user",
    description: "A program of Linux as a process of the host (emu PROGRAM ARGUMENT...)",
    targets: &["aarch64", "riscv64"],
    default_cpu: "max",
    max_cpus: 1,
    default_ram: 0,
    options: &[],
    devices: &[],
    vtable: MachineRegistration::vtable_of::<LinuxUser>(),
});

pub use calls::coverage;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// -L: a directory that absolute names are looked for in first.
    pub prefix: Option<PathBuf>,
    /// -strace.
    pub strace: bool,
    /// The release of Linux that `uname` tells.
    pub uname: Option<String>,
    /// A number that the program's addresses are chosen by; else they are random.
    pub layout: Option<u64>,
    /// Arguments of emu that a program started by the guest gets too, for its own emu.
    pub inherited: Vec<String>,
}

/// The kernel.
pub struct Kernel {
    host: Host,
    abi: LinuxAbi,
    options: Options,
    space: memory::Space,
    /// What each number does.
    table: Vec<&'static calls::Row>,
    /// Threads by the number of their CPU.
    threads: Vec<AtomicPtr<process::Thread>>,
    /// One more than the highest number of a thread's CPU so far.
    most: AtomicU32,
    /// Held by who takes a thread out of them, and by who looks at others'.
    census: Mutex<()>,
    /// How many there are.
    living: AtomicU32,
    /// Where handlers return to.
    trampoline: AtomicU64,
    auxv: OnceLock<Vec<u8>>,
    image: OnceLock<proc::Image>,
    /// The program's file, and its arguments, for /proc/self.
    program: OnceLock<PathBuf>,
    argv: OnceLock<Vec<OsString>>,
    /// A descriptor of emu's own executable, which programs do not see.
    executable: AtomicI32,
    /// That of the connection to a debugger, or -1 without one.
    debugger: i32,
}

// SAFETY: pointers are to what lives as long as the process or is reached by its own thread only.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

/// A system call being made.
pub(crate) struct Call<'k> {
    pub k: &'k Kernel,
    pub t: &'k process::Thread,
    pub cpu: *mut CpuHeader,
    pub row: &'static calls::Row,
    pub a: [u64; 6],
}

/// What a call answers instead of a result.
pub(crate) mod answer {
    /// The result register is as it shall be.
    pub const NONE: i64 = i64::MIN;
    /// The thread has ended.
    pub const ENDED: i64 = i64::MIN + 1;
}

impl Kernel {
    fn field(&self, cpu: *mut CpuHeader, offset: u32) -> u64 {
        // SAFETY: the offset is the target's, the CPU this thread's.
        unsafe { CpuHeader::field(cpu, offset) }
    }
    fn set_field(&self, cpu: *mut CpuHeader, offset: u32, value: u64) {
        // SAFETY: as above.
        unsafe { CpuHeader::set_field(cpu, offset, value) }
    }
    /// The thread of a CPU.
    fn thread_of(&self, cpu: *mut CpuHeader) -> &process::Thread {
        // SAFETY: the CPU is this thread's, whose record lives until it ends.
        unsafe { &*self.threads[(*cpu).index as usize].load(Ordering::Relaxed) }
    }
    fn census(&self) -> MutexGuard<'_, ()> {
        self.census.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Whether a descriptor is emu's own.
    pub fn is_own(&self, fd: u64) -> bool {
        fd as i32 == self.executable.load(Ordering::Relaxed) || fd as i32 == self.debugger && self.debugger >= 0
    }
    /// The guest's name of a file as the host knows it: under the prefix if it is there. What a root has as empty directories for a
    /// running system to fill is the host's.
    pub fn path_of(&self, path: &Path) -> PathBuf {
        const RUNNING: [&str; 6] = ["proc", "sys", "dev", "run", "tmp", "var/tmp"];
        if let Some(prefix) = &self.options.prefix
            && let Ok(rest) = path.strip_prefix("/")
            // The root itself is the host's, where `chdir` goes too.
            && !rest.as_os_str().is_empty()
            && !RUNNING.iter().any(|d| rest.starts_with(d))
        {
            let inside = prefix.join(rest);
            if inside.symlink_metadata().is_ok() {
                return inside;
            }
        }
        path.to_owned()
    }
}

impl UserKernel for Kernel {
    fn syscall(&self, cpu: *mut CpuHeader) -> Onward {
        let t = self.thread_of(cpu);
        let number = self.field(cpu, self.abi.number);
        let row = self.table.get(number as usize).copied().unwrap_or(&calls::UNKNOWN);
        let a = self.abi.args.map(|offset| self.field(cpu, offset));
        let mut call = Call { k: self, t, cpu, row, a };
        if self.options.strace {
            calls::trace_call(&call, number);
        }
        let verdict = if t.filters.on.load(Ordering::Relaxed) { self.filter_call(t, cpu, number, row.name, &a) } else { seccomp::Verdict::Make };
        let mut result = match verdict {
            seccomp::Verdict::Make => (row.run)(&mut call),
            seccomp::Verdict::Answer(result) => result,
            seccomp::Verdict::Instead(onward) => return onward,
        };
        if self.debugger >= 0 && t.nudged.swap(false, Ordering::SeqCst) && result == -i64::from(libc::EINTR) && t.pending.load(Ordering::SeqCst) == 0
        {
            // It was interrupted for a debugger, of which the program does not hear.
            result = host::RESTART;
        }
        if self.options.strace {
            calls::trace_result(&call, result);
        }
        match result {
            answer::NONE => {}
            answer::ENDED => return Onward::ENDED,
            // It was not made, or the signal's handler wants it made again.
            // SAFETY: this is the CPU's thread.
            host::RESTART => unsafe { (*cpu).pc = (*cpu).pc.wrapping_sub(self.abi.call_bytes.into()) },
            r => self.set_field(cpu, self.abi.result, r as u64),
        }
        if t.pending.load(Ordering::Relaxed) != 0 { self.deliver_pending(t) } else { Onward::RUN }
    }
    fn fault(&self, cpu: *mut CpuHeader, fault: &UserFault) -> Onward {
        self.deliver_fault(self.thread_of(cpu), fault)
    }
    fn attend(&self, cpu: *mut CpuHeader) -> Onward {
        let t = self.thread_of(cpu);
        if t.pending.load(Ordering::Relaxed) != 0 { self.deliver_pending(t) } else { Onward::RUN }
    }
    fn thread(&self, cpu: *mut CpuHeader, argument: u64) {
        self.begin_thread(cpu, argument);
    }
    fn host_signal(&self, signal: i32, info: *mut c_void, context: *mut c_void) {
        // SAFETY: these are a handler's arguments.
        unsafe { signal::on_signal(signal, info.cast(), context) };
    }
}

/// The machine.
pub struct LinuxUser;

impl Board for LinuxUser {
    fn create(config: &MachineConfig<'_>, host: Host) -> Result<Self, String> {
        let abi = host.linux_abi().ok_or_else(|| format!("the target '{}' does not run programs of Linux", config.target.get()))?;
        let number = |name: &str| config.image(name).and_then(|v| v.parse::<usize>().ok());
        let Some(skip) = number("arguments") else {
            return Err("the machine linux-user runs a program; write emu PROGRAM ARGUMENT...".into());
        };
        // Arguments come as they are, whatever their bytes.
        let mut argv: Vec<OsString> = std::env::args_os().skip(skip).collect();
        let program = number("program").and_then(|n| std::env::args_os().nth(n)).or_else(|| argv.first().cloned());
        let program = PathBuf::from(program.unwrap_or_default());
        if let Some(name) = config.image("argv0") {
            argv[0] = name.into();
        }
        let mut options = Options {
            prefix: config.image("prefix").map(PathBuf::from).filter(|p| p != Path::new("/")),
            strace: config.image("strace").is_some(),
            uname: config.image("uname").map(str::to_owned),
            layout: config.image("layout").and_then(|n| n.parse().ok()),
            inherited: Vec::new(),
        };
        for kv in config.images.get().iter().filter(|kv| kv.key.get() == "inherit") {
            options.inherited.push(kv.value.get().to_owned());
        }
        let env = exec::environment(config);
        let executable = exec::own_executable();
        let table = abi.syscalls.get().iter().map(|name| calls::find(name.get())).collect();
        let kernel: &'static mut OnceLock<Kernel> = Box::leak(Box::default());
        // The kernel has to be there before it knows where memory is.
        let memory = host.user_memory()?;
        let space = memory::Space::new(host, memory, abi.flags);
        let threads = (0..process::THREADS_MAX).map(|_| AtomicPtr::default()).collect();
        let ignored_pipe = config.image("sigpipe-ignored").is_some();
        let kernel = kernel.get_or_init(|| Kernel {
            host,
            abi,
            options,
            space,
            table,
            threads,
            most: AtomicU32::new(0),
            census: Mutex::new(()),
            living: AtomicU32::new(0),
            trampoline: AtomicU64::new(0),
            auxv: OnceLock::new(),
            image: OnceLock::new(),
            program: OnceLock::new(),
            argv: OnceLock::new(),
            executable: AtomicI32::new(executable),
            debugger: config.image("debugger").and_then(|v| v.parse().ok()).unwrap_or(-1),
        });
        host.user_attach(kernel)?;
        // So it begins: see `memory::Space::mmap`, and `files::shmat`.
        host.user_alone();
        let (program, argv) = exec::resolve(kernel, &program, argv).unwrap_or_else(|r| exec::refuse(&r));
        let start = elf::load(kernel, &program, &argv, &env).unwrap_or_else(|r| exec::refuse(&r));
        // What others see of this process, by its number.
        let name: Vec<u8> = program.file_name().map(|n| n.as_bytes().iter().copied().take(15).chain([0]).collect()).unwrap_or_default();
        if !name.is_empty() {
            // SAFETY: the name is a string.
            unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
        }
        let handed = exec::handed_program();
        // (A file in memory has a name that leads nowhere.)
        let named = std::fs::canonicalize(&program).or_else(|_| if handed.is_some() { std::fs::read_link(&program) } else { Ok(program.clone()) });
        let _ = kernel.program.set(named.unwrap_or(program));
        if let Some(fd) = handed {
            // SAFETY: whoever set the variable left it open for this.
            unsafe { libc::close(fd) };
        }
        let _ = kernel.argv.set(argv);
        // What was closed is closed again: the runtime of emu's language opens something in its place.
        for fd in config.image("closed").unwrap_or_default().bytes().filter(u8::is_ascii_digit) {
            // SAFETY: nothing of emu's is there.
            unsafe { libc::close((fd - b'0').into()) };
        }
        kernel.first_thread(memory.first, &start, signal::inherited(ignored_pipe));
        Ok(LinuxUser)
    }
    fn cpu_options(_: &MachineConfig<'_>) -> Vec<(String, String)> {
        [("core.memory", "direct"), ("linux-programs", "on")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }
    fn restart(&self) -> Result<(), String> {
        Err("a program cannot be started again".into())
    }
}
