//! User mode: a machine whose only device is an operating system's kernel.
//!
//! The machine attaches a [`UserKernel`] to the core. From then on guest addresses are host addresses less one constant, CPUs are made when
//! the guest makes threads, and what a program asks of its kernel comes to [`UserKernel::syscall`]. What the kernel has to know of an
//! architecture is a target's [`LinuxAbi`], a table of facts, and two functions that lay out signal frames.

use crate::services::Host;
use crate::{CpuHeader, Slice, Str};
use core::ffi::c_void;

/// A program's state as a kernel of Linux sees it: facts of a target. Offsets are those of 64-bit fields from the start of the CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LinuxAbi {
    /// `e_machine` of programs.
    pub elf_machine: u32,
    /// log2 of the page size.
    pub page_bits: u32,
    /// Bits of the largest address that a program has.
    pub task_bits: u32,
    /// [`LinuxAbi::TAGGED`], [`LinuxAbi::NO_RESTORER`], [`LinuxAbi::GUARDED`].
    pub flags: u32,
    /// `uname -m`.
    pub machine: Str<'static>,
    /// AT_PLATFORM; empty: there is none.
    pub platform: Str<'static>,
    /// AT_HWCAP, AT_HWCAP2, AT_HWCAP3, AT_HWCAP4.
    pub hwcap: [u64; 4],
    /// Names of the system calls by number; empty where there is none.
    pub syscalls: Slice<'static, Str<'static>>,
    /// Offset of the register with the number of a call.
    pub number: u32,
    /// Offsets of those with its arguments.
    pub args: [u32; 6],
    /// Offset of the one that gets its result.
    pub result: u32,
    /// Offset of the stack pointer.
    pub stack: u32,
    /// Offset of the thread pointer.
    pub thread: u32,
    /// Bytes of the instruction that makes a call.
    pub call_bytes: u32,
    /// O_DIRECTORY, O_NOFOLLOW, O_DIRECT, O_LARGEFILE.
    pub open_flags: [u32; 4],
    /// Functions of the kernel's own library (vdso). Signal handlers return to the first one.
    pub vdso: Slice<'static, VdsoFunction>,
    /// The version of its symbols.
    pub vdso_version: Str<'static>,
    /// AT_MINSIGSTKSZ: bytes that a signal frame takes at most.
    pub signal_frame_bytes: u64,
    /// The text of /proc/cpuinfo for one CPU, without the line of its number. `{}` in it stands for the number.
    pub cpuinfo: Str<'static>,
}

impl LinuxAbi {
    /// Flag: the top byte of an address is ignored.
    pub const TAGGED: u32 = 1;
    /// Flag: `struct sigaction` has no member for where a handler returns to, which is always the vdso.
    pub const NO_RESTORER: u32 = 2;
    /// Flag: programs can ask that branch targets in their pages be guarded (PROT_BTI, and bit 0 of the property 0xc0000000 of their notes).
    pub const GUARDED: u32 = 4;
}

/// The names for [`LinuxAbi::syscalls`] from lines of a number and a name, with a space between; gaps are empty.
pub fn syscall_names(lines: &'static str) -> Vec<Str<'static>> {
    let mut names = Vec::new();
    for (number, name) in lines.lines().filter_map(|l| l.split_once(' ')) {
        let n: usize = number.parse().unwrap_or(0);
        if names.len() <= n {
            names.resize(n + 1, Str::new(""));
        }
        names[n] = Str::new(name);
    }
    names
}

/// A function of the vdso.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct VdsoFunction {
    /// The symbol.
    pub name: Str<'static>,
    /// Code that may lie anywhere.
    pub code: Slice<'static, u8>,
}

/// A signal to be delivered: what the target makes a frame of.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LinuxSignal {
    /// Its number.
    pub signal: u32,
    /// Not zero: the handler takes `siginfo` and context.
    pub siginfo_wanted: u32,
    /// Address of the handler.
    pub handler: u64,
    /// Where it returns to.
    pub restorer: u64,
    /// The mask that the return restores.
    pub mask: u64,
    /// The frame lies below this address.
    pub stack_top: u64,
    /// `uc_stack`: address, size, flags.
    pub alternate: [u64; 3],
    /// `siginfo_t`.
    pub siginfo: [u8; 128],
    /// Fault address and syndrome as the fault left them; zero if there was none.
    pub fault: [u64; 2],
}

/// What a frame says on the way back.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxReturn {
    /// The mask to restore.
    pub mask: u64,
    /// `uc_stack`.
    pub alternate: [u64; 3],
}

/// A fault of the program, on its way to the kernel: a synchronous signal.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct UserFault {
    /// Signal number.
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`.
    pub address: u64,
    /// Fault address and syndrome for the frame.
    pub fault: [u64; 2],
}

/// What core gives to the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct UserMemory {
    /// Host address of guest address 0.
    pub base: u64,
    /// Size of the guest's address space in bytes; nobody else maps anything there.
    pub size: u64,
    /// A byte of `page::` bits for each page. Core's to write.
    pub pages: *const u8,
    /// The first thread's CPU, in its first state. It runs once the machine does.
    pub first: *mut CpuHeader,
}

/// Bits of [`UserMemory::pages`].
pub mod page {
    /// Loads.
    pub const READ: u8 = 1;
    /// Stores.
    pub const WRITE: u8 = 2;
    /// Instruction fetches.
    pub const EXEC: u8 = 4;
    /// There is something, be it inaccessible.
    pub const MAPPED: u8 = 8;
    /// Core's own: the guest could write there since it was mapped.
    pub const WRITTEN: u8 = 64;
    /// Branch targets are guarded.
    pub const GUARDED: u8 = 16;
    /// Code was made from it: on the host it is not writable, whatever the guest may do, unless core knows that the guest asks for code to be
    /// forgotten.
    pub const CODE: u8 = 128;
}

/// What becomes of a thread after its kernel has run.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Onward(pub u32);

impl Onward {
    /// It goes on at its program counter.
    pub const RUN: Onward = Onward(0);
    /// It has ended.
    pub const ENDED: Onward = Onward(1);
}

/// A kernel. All functions run on the thread of the CPU that they are given, whose state is complete.
pub trait UserKernel: Send + Sync + 'static {
    /// The program has made a system call; the program counter is behind it.
    fn syscall(&self, cpu: *mut CpuHeader) -> Onward;
    /// The program has made a fault.
    fn fault(&self, cpu: *mut CpuHeader, fault: &UserFault) -> Onward;
    /// `exit_request` was set.
    fn attend(&self, cpu: *mut CpuHeader) -> Onward;
    /// The first thing that a thread does which `Host::user_thread` or `Host::user_vfork` has made.
    fn thread(&self, cpu: *mut CpuHeader, argument: u64);
    /// SIGSEGV or SIGBUS that core did not make: inside of a signal handler, with its three arguments.
    fn host_signal(&self, signal: i32, info: *mut c_void, context: *mut c_void);
}

/// The C side of a kernel.
#[repr(C)]
pub struct UserKernelVtable {
    syscall: unsafe extern "C" fn(*const c_void, *mut CpuHeader) -> u32,
    fault: unsafe extern "C" fn(*const c_void, *mut CpuHeader, *const UserFault) -> u32,
    attend: unsafe extern "C" fn(*const c_void, *mut CpuHeader) -> u32,
    thread: unsafe extern "C" fn(*const c_void, *mut CpuHeader, u64),
    host_signal: unsafe extern "C" fn(*const c_void, i32, *mut c_void, *mut c_void),
}

struct Shims<K>(std::marker::PhantomData<K>);

// SAFETY (all shims): the object is the `&'static K` that `Host::user_attach` passed.
impl<K: UserKernel> Shims<K> {
    const VTABLE: UserKernelVtable =
        UserKernelVtable { syscall: Self::syscall, fault: Self::fault, attend: Self::attend, thread: Self::thread, host_signal: Self::host_signal };
    unsafe extern "C" fn syscall(k: *const c_void, cpu: *mut CpuHeader) -> u32 {
        // SAFETY: see the impl.
        unsafe { &*k.cast::<K>() }.syscall(cpu).0
    }
    unsafe extern "C" fn fault(k: *const c_void, cpu: *mut CpuHeader, fault: *const UserFault) -> u32 {
        // SAFETY: see the impl.
        unsafe { (*k.cast::<K>()).fault(cpu, &*fault).0 }
    }
    unsafe extern "C" fn attend(k: *const c_void, cpu: *mut CpuHeader) -> u32 {
        // SAFETY: see the impl.
        unsafe { &*k.cast::<K>() }.attend(cpu).0
    }
    unsafe extern "C" fn thread(k: *const c_void, cpu: *mut CpuHeader, argument: u64) {
        // SAFETY: see the impl.
        unsafe { &*k.cast::<K>() }.thread(cpu, argument);
    }
    unsafe extern "C" fn host_signal(k: *const c_void, signal: i32, info: *mut c_void, context: *mut c_void) {
        // SAFETY: see the impl.
        unsafe { &*k.cast::<K>() }.host_signal(signal, info, context);
    }
}

/// A kernel as core calls it.
#[derive(Clone, Copy)]
pub struct UserKernelHandle {
    object: *const c_void,
    vtable: *const UserKernelVtable,
}

// SAFETY: a `UserKernel` is Send and Sync and lives as long as the process.
unsafe impl Send for UserKernelHandle {}
// SAFETY: as above.
unsafe impl Sync for UserKernelHandle {}

impl UserKernelHandle {
    /// What `user_attach` received.
    ///
    /// # Safety
    /// The two must belong together and live as long as the process. `cpu` below is a CPU of this machine on its thread.
    pub unsafe fn from_raw(object: *const c_void, vtable: *const UserKernelVtable) -> UserKernelHandle {
        UserKernelHandle { object, vtable }
    }
    /// See [`UserKernel::syscall`].
    ///
    /// # Safety
    /// `cpu` must be a CPU of this machine on its thread, here and below.
    #[inline]
    pub unsafe fn syscall(&self, cpu: *mut CpuHeader) -> Onward {
        // SAFETY: contract of `from_raw`, for this and every call below.
        Onward(unsafe { ((*self.vtable).syscall)(self.object, cpu) })
    }
    /// See [`UserKernel::fault`].
    ///
    /// # Safety
    /// See `syscall`.
    pub unsafe fn fault(&self, cpu: *mut CpuHeader, fault: *const UserFault) -> Onward {
        // SAFETY: see `syscall`.
        Onward(unsafe { ((*self.vtable).fault)(self.object, cpu, fault) })
    }
    /// See [`UserKernel::attend`].
    ///
    /// # Safety
    /// See `syscall`.
    pub unsafe fn attend(&self, cpu: *mut CpuHeader) -> Onward {
        // SAFETY: see `syscall`.
        Onward(unsafe { ((*self.vtable).attend)(self.object, cpu) })
    }
    /// See [`UserKernel::thread`].
    ///
    /// # Safety
    /// See `syscall`.
    pub unsafe fn thread(&self, cpu: *mut CpuHeader, argument: u64) {
        // SAFETY: see `syscall`.
        unsafe { ((*self.vtable).thread)(self.object, cpu, argument) }
    }
    /// See [`UserKernel::host_signal`].
    ///
    /// # Safety
    /// The arguments are those of a signal handler.
    pub unsafe fn host_signal(&self, signal: i32, info: *mut c_void, context: *mut c_void) {
        // SAFETY: see `syscall`.
        unsafe { ((*self.vtable).host_signal)(self.object, signal, info, context) }
    }
}

/// 64-bit fields of a CPU's state by the offsets that a [`LinuxAbi`] has.
impl CpuHeader {
    /// Reads a field.
    ///
    /// # Safety
    /// `cpu` must be a CPU on its thread, and `offset` one that its target gave.
    #[inline]
    pub unsafe fn field(cpu: *const CpuHeader, offset: u32) -> u64 {
        // SAFETY: the caller says so.
        unsafe { cpu.cast::<u8>().add(offset as usize).cast::<u64>().read() }
    }
    /// Writes a field.
    ///
    /// # Safety
    /// See `field`.
    #[inline]
    pub unsafe fn set_field(cpu: *mut CpuHeader, offset: u32, value: u64) {
        // SAFETY: the caller says so.
        unsafe { cpu.cast::<u8>().add(offset as usize).cast::<u64>().write(value) }
    }
    /// A fault of the program: the kernel makes a signal of it. The state is complete.
    pub fn user_fault(&mut self, fault: &UserFault) {
        // SAFETY: the host set `services` and `host`; this is the CPU's thread.
        unsafe { ((*self.services).user_fault)(self, fault) }
    }
}

/// What a kernel asks of core.
/// What `HostServices::user_debug` is told; more may come, and what is not known is answered by the value.
pub mod user_event {
    /// The value is a signal's number, the answer that of the one to deliver instead, or 0.
    pub const SIGNAL: u32 = 0;
    /// The process ends by the signal that is the value.
    pub const DIES: u32 = 1;
    /// The value is the address of the auxiliary vector.
    pub const AUXV: u32 = 2;
    /// The process is about to become another program, if that can be.
    pub const EXECS: u32 = 3;
}

impl Host {
    /// A fact about the CPU that programs ask the kernel for by number, if the target has it.
    pub fn linux_probe(&self, key: u64) -> Option<u64> {
        let (services, ctx) = self.raw();
        let mut value = 0;
        // SAFETY: `value` is writable through the call.
        (unsafe { (services.linux_probe)(ctx, key, &mut value) } == 0).then_some(value)
    }
    /// Where the guest's memory is, for a kernel that has to know before it attaches itself.
    pub fn user_memory(&self) -> Result<UserMemory, String> {
        self.attach(core::ptr::null(), core::ptr::null())
    }
    /// Makes this a machine in user mode: its kernel. The error is a sentence.
    pub fn user_attach<K: UserKernel>(&self, kernel: &'static K) -> Result<(), String> {
        self.attach(core::ptr::from_ref(kernel).cast(), &Shims::<K>::VTABLE).map(|_| ())
    }
    fn attach(&self, kernel: *const c_void, vtable: *const UserKernelVtable) -> Result<UserMemory, String> {
        let mut memory = UserMemory { base: 0, size: 0, pages: core::ptr::null(), first: core::ptr::null_mut() };
        let (services, ctx) = self.raw();
        // SAFETY: the kernel lives as long as the process; `memory` through the call.
        match unsafe { (services.user_attach)(ctx, kernel, vtable, &mut memory) } {
            0 => Ok(memory),
            _ => Err("the machine was not made for programs: the guest's memory is not directly accessible".into()),
        }
    }
    /// The target's facts, if it has any about Linux.
    pub fn linux_abi(&self) -> Option<LinuxAbi> {
        let mut abi = core::mem::MaybeUninit::<LinuxAbi>::zeroed();
        let (services, ctx) = self.raw();
        // SAFETY: written whole when the answer is 0.
        unsafe { ((services.linux_abi)(ctx, abi.as_mut_ptr()) == 0).then(|| abi.assume_init()) }
    }
    /// The pages of a range of guest addresses are now what `bits` says, and code made from them is forgotten. After the change itself.
    pub fn user_pages(&self, address: u64, bytes: u64, bits: u8) {
        let (services, ctx) = self.raw();
        // SAFETY: see `clock`.
        unsafe { (services.user_pages)(ctx, address, bytes, bits.into()) }
    }
    /// Somebody else than the guest's code is about to write to a range: code made from it is forgotten, and the host's pages are writable
    /// where the guest's are.
    pub fn user_writes(&self, address: u64, bytes: u64) {
        let (services, ctx) = self.raw();
        // SAFETY: see `clock`.
        unsafe { (services.user_writes)(ctx, address, bytes) }
    }
    /// Says that no other process sees the program's memory: while it also has one thread only, its atomic and ordered accesses may be plain
    /// ones. Before the program runs.
    pub fn user_alone(&self) {
        let (services, ctx) = self.raw();
        // SAFETY: see `clock`.
        unsafe { (services.user_alone)(ctx, 1) }
    }
    /// Another process may see some of the program's memory from now on. On the thread of the CPU that has asked for it, before it goes on.
    pub fn user_shared(&self) {
        let (services, ctx) = self.raw();
        // SAFETY: see `clock`.
        unsafe { (services.user_alone)(ctx, 0) }
    }
    /// A signal is about to be given to the thread of a CPU: a debugger that is there is told, and says which one it is to be; 0 for none. The
    /// thread may wait here for long, with its state open to the debugger.
    ///
    /// # Safety
    /// See `user_thread`.
    pub unsafe fn user_signal(&self, cpu: *mut CpuHeader, signal: u32) -> u32 {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_debug)(cpu, user_event::SIGNAL, signal.into()) as u32 }
    }
    /// The process is about to be ended by a signal: a debugger that is there is told.
    ///
    /// # Safety
    /// See `user_thread`.
    pub unsafe fn user_dies(&self, cpu: *mut CpuHeader, signal: u32) {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_debug)(cpu, user_event::DIES, signal.into()) };
    }
    /// The process is about to become another program. (It may fail to.)
    ///
    /// # Safety
    /// See `user_thread`.
    pub unsafe fn user_execs(&self, cpu: *mut CpuHeader) {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_debug)(cpu, user_event::EXECS, 0) };
    }
    /// The auxiliary vector lies there in the guest's memory; debuggers ask for it.
    ///
    /// # Safety
    /// See `user_thread`.
    pub unsafe fn user_auxv(&self, cpu: *mut CpuHeader, address: u64) {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_debug)(cpu, user_event::AUXV, address) };
    }
    /// Copies between host addresses of which any may be inaccessible; the number of bytes that were not copied.
    ///
    /// # Safety
    /// What is accessible of the destination must be the caller's to write.
    pub unsafe fn user_copy(&self, to: *mut u8, from: *const u8, bytes: usize) -> usize {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_copy)(to, from, bytes) }
    }
    /// A new CPU with a copy of `cpu`'s state, on a host thread of its own, which begins with [`UserKernel::thread`]. False if the host has
    /// no thread for it.
    ///
    /// # Safety
    /// `cpu` must be a CPU of this machine on its thread.
    #[must_use]
    pub unsafe fn user_thread(&self, cpu: *mut CpuHeader, argument: u64) -> bool {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_thread)(cpu, argument) == 0 }
    }
    /// Forks the process: 0 in the child, where this CPU is the only one; else its process id or an error number, negative.
    ///
    /// # Safety
    /// See `user_thread`.
    pub unsafe fn user_fork(&self, cpu: *mut CpuHeader) -> i64 {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_fork)(cpu) }
    }
    /// A process in this one's memory, which goes on with a copy of the CPU's state and begins with [`UserKernel::thread`]. The caller waits
    /// until it has ended or become another program; the CPU's state is then as it was. Its process id, or an error number, negative.
    ///
    /// # Safety
    /// See `user_thread`.
    pub unsafe fn user_vfork(&self, cpu: *mut CpuHeader, argument: u64) -> i64 {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.user_vfork)(cpu, argument) }
    }
    /// Ends the process with an exit code.
    pub fn user_exit(&self, code: i32) {
        let (services, ctx) = self.raw();
        // SAFETY: see `clock`.
        unsafe { (services.user_exit)(ctx, code) }
    }
    /// Lays out a signal's frame and makes the CPU go on in its handler. False if the stack cannot be written.
    ///
    /// # Safety
    /// See `user_thread`.
    #[must_use]
    pub unsafe fn linux_signal(&self, cpu: *mut CpuHeader, signal: &LinuxSignal) -> bool {
        let (services, _) = self.raw();
        // SAFETY: the caller says so.
        unsafe { (services.linux_signal)(cpu, signal) == 0 }
    }
    /// Takes the state back from a frame. `None` if there is none that makes sense.
    ///
    /// # Safety
    /// See `user_thread`.
    pub unsafe fn linux_sigreturn(&self, cpu: *mut CpuHeader) -> Option<LinuxReturn> {
        let (services, _) = self.raw();
        let mut out = LinuxReturn::default();
        // SAFETY: the caller says so.
        (unsafe { (services.linux_sigreturn)(cpu, &mut out) } == 0).then_some(out)
    }
}
