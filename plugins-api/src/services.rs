//! What the host does for plugins: one table of functions, append-only.
//!
//! Functions that take a CPU may be called only on the thread that runs it; those that take `ctx` (the machine's context) from any.

use crate::user::{LinuxAbi, LinuxReturn, LinuxSignal, UserFault, UserKernelVtable, UserMemory};
use crate::{CpuHeader, Device, DeviceHandle, DeviceVtable, Str};
use core::ffi::c_void;

/// Which translations to forget. Forgetting more than asked is always allowed.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlushKind(pub u32);

impl FlushKind {
    /// Everything.
    pub const ALL: FlushKind = FlushKind(0);
    /// Everything that is not global of address space `asid`.
    pub const ASID: FlushKind = FlushKind(1);
    /// `va`..`end` in address space `asid`, and global ones.
    pub const VA: FlushKind = FlushKind(2);
    /// `va`..`end` in every address space.
    pub const VA_ALL_ASIDS: FlushKind = FlushKind(3);
}

/// A request to forget translations.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TlbFlush {
    /// What to forget.
    pub kind: FlushKind,
    /// Address space identifier.
    pub asid: u32,
    /// First virtual address.
    pub va: u64,
    /// Last virtual address (inclusive).
    pub last: u64,
    /// Bit set of privilege views.
    pub views: u32,
    /// Not zero: on every CPU of the machine; complete when this CPU next executes a fence with `COMPLETION`.
    pub broadcast: u32,
}

/// What becomes of the machine.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystemEvent(pub u32);

impl SystemEvent {
    /// The guest turned the machine off; the code is `emu`'s exit code.
    pub const POWER_OFF: SystemEvent = SystemEvent(0);
    /// The guest reset the machine.
    pub const RESET: SystemEvent = SystemEvent(1);
    /// The guest reported a crash.
    pub const CRASH: SystemEvent = SystemEvent(2);
}

/// Requests and answers of `cpu_power`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Power(pub u32);

impl Power {
    /// Turn off (answer: it is off).
    pub const OFF: Power = Power(0);
    /// Turn on (answer: it is on).
    pub const ON: Power = Power(1);
    /// Only ask.
    pub const QUERY: Power = Power(2);
    /// Answer: there is no such CPU.
    pub const NO_CPU: Power = Power(3);
}

/// A semihosting call: a request of the guest program to the host, made by an agreed instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemihostingCall {
    /// Number of the operation.
    pub operation: u32,
    /// Bytes of a word in parameter blocks: 4 or 8.
    pub word_bytes: u32,
    /// The parameter.
    pub argument: u64,
    /// What the guest gets.
    pub result: u64,
    /// Privilege view of the caller's data.
    pub view: u32,
    /// `MemFlags` of the caller's data accesses; its byte order is that of parameter blocks.
    pub mem_flags: u32,
    /// Not zero: the caller is an unprivileged program.
    pub unprivileged: u32,
    /// Not used; zero.
    pub reserved: u32,
}

macro_rules! services {
    ($( $(#[doc = $doc:literal])+ fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?; )*) => {
        /// The host's functions.
        #[repr(C)]
        pub struct HostServices {
            $( $(#[doc = $doc])+ pub $name: unsafe extern "C" fn($($arg: $ty),*) $(-> $ret)?, )*
        }
        /// Name and signature of each service.
        pub static SERVICES: &[(&str, &str)] = &[ $( (stringify!($name), stringify!(($($ty),*) $(-> $ret)?)) ),* ];
        /// What each service does, and its arguments by name, for the reference.
        pub static SERVICE_DOCS: &[(&str, &str)] = &[ $( (concat!($($doc),+), stringify!($($arg),*)) ),* ];
    };
}

services! {
    /// Writes a log record: level 1 (error) to 5 (trace).
    fn log(level: u32, target: Str<'_>, message: Str<'_>);
    /// The machine's time in nanoseconds since it was made. Under deterministic execution a function of instructions executed.
    fn clock(ctx: *mut c_void) -> u64;
    /// Arms timer `id` (0 to 7) of a CPU for an absolute time in ns; `u64::MAX` disarms. The target's `timer` runs then, on the CPU's thread.
    fn cpu_timer(cpu: *mut CpuHeader, id: u32, deadline_ns: u64);
    /// Forgets translations.
    fn tlb_flush(cpu: *mut CpuHeader, request: *const TlbFlush);
    /// The current address space identifier of a CPU has changed.
    fn address_space(cpu: *mut CpuHeader, asid: u32);
    /// Reads (`write` 0) or writes `len` bytes of physical memory, devices included; 0, or `fault::BUS`.
    fn physical(ctx: *mut c_void, pa: u64, data: *mut u8, len: usize, write: u32) -> u64;
    /// Atomically replaces 8 aligned bytes of RAM if they equal `expected`; 0 if they did, 1 if not, 2 if there is no RAM.
    fn physical_cas(ctx: *mut c_void, pa: u64, expected: u64, new: u64) -> u32;
    /// Reads or writes guest virtual memory in a privilege view, whole or not at all; 0, or the fault with `access.va` where it happened.
    fn virtual_access(cpu: *mut CpuHeader, access: *mut crate::Access, data: *mut u8, len: usize) -> u64;
    /// Translations of guest code in `len` bytes from virtual (`physical` 0) or physical address `addr` that may be of other bytes than there are
    /// now are forgotten; `len` 0 means all.
    fn code_changed(cpu: *mut CpuHeader, addr: u64, len: u64, physical: u32);
    /// Sets output line `line` of a CPU; the machine knows where it leads.
    fn cpu_output(cpu: *mut CpuHeader, line: u32, level: u32);
    /// Reads or writes a CPU register that the machine implements (an interrupt controller's CPU interface); 0 when it has it.
    fn bank_access(cpu: *mut CpuHeader, register: u32, value: *mut u64, write: u32) -> u32;
    /// A firmware call of the guest (`args` eight registers in and out); 0 when the machine answers such calls.
    fn firmware_call(cpu: *mut CpuHeader, args: *mut u64) -> u32;
    /// 64 bits from the machine's source of randomness.
    fn random(ctx: *mut c_void) -> u64;
    /// Sets the event register of every CPU.
    fn send_event(ctx: *mut c_void);
    /// Maps RAM (`flags` bit 0: read-only to the guest) at a physical address; 0 or `fault::BUS` when it overlaps or memory is short.
    fn map_ram(ctx: *mut c_void, name: Str<'_>, base: u64, size: u64, flags: u32) -> u64;
    /// Maps a device at a physical address, or without a window when `size` is 0; its handle, or 0 when it overlaps. `flags` bit 0: reads
    /// of the window are served from RAM of the same size (a flash in read mode) until `device_direct` says otherwise.
    fn map_device(ctx: *mut c_void, base: u64, size: u64, object: *mut c_void, vtable: *const DeviceVtable, flags: u32) -> u64;
    /// Switches reads of a window with RAM behind it to (1) or from (0) that RAM.
    fn device_direct(ctx: *mut c_void, device: u64, direct: u32);
    /// Reads or writes the RAM behind such a window; 0 or `fault::BUS`.
    fn device_backing(ctx: *mut c_void, device: u64, offset: u64, data: *mut u8, len: usize, write: u32) -> u64;
    /// Sets input line `line` of CPU `cpu`.
    fn cpu_line(ctx: *mut c_void, cpu: u32, line: u32, level: u32);
    /// Turns CPU `cpu` on (at `pc`, with `arg` in its first argument register) or off, or asks; the state before.
    fn cpu_power(ctx: *mut c_void, cpu: u32, request: Power, pc: u64, arg: u64) -> Power;
    /// Turns the machine off or resets it.
    fn system_event(ctx: *mut c_void, event: SystemEvent, code: u32);
    /// Arms timer `id` of a device for an absolute time in ns; `u64::MAX` disarms.
    fn device_timer(ctx: *mut c_void, device: u64, id: u32, deadline_ns: u64);
    /// Connects a device to the host byte stream of that name ("serial0"): its `receive` is called with input. The stream, or 0.
    fn stream_open(ctx: *mut c_void, device: u64, name: Str<'_>) -> u64;
    /// Writes to a stream.
    fn stream_write(ctx: *mut c_void, stream: u64, data: *const u8, len: usize);
    /// Seconds since 1970 as the guest's real-time clock shall show them at this moment.
    fn wall_clock(ctx: *mut c_void) -> u64;
    /// Carries out a semihosting call of a CPU; 0 when it was answered, 1 when there is no semihosting for such a caller.
    fn semihosting(cpu: *mut CpuHeader, call: *mut SemihostingCall) -> u32;
    /// Makes the machine one in user mode, with this kernel, if it is not null; 0, or 1 if it was not made for that.
    fn user_attach(ctx: *mut c_void, kernel: *const c_void, vtable: *const UserKernelVtable, memory: *mut UserMemory) -> u32;
    /// The target's facts about Linux; 0, or 1 if it has none.
    fn linux_abi(ctx: *mut c_void, out: *mut LinuxAbi) -> u32;
    /// A program's fault, from its target.
    fn user_fault(cpu: *mut CpuHeader, fault: *const UserFault);
    /// Guest pages have changed and are now what `page::` bits say.
    fn user_pages(ctx: *mut c_void, address: u64, bytes: u64, bits: u32);
    /// Guest pages are about to be written to from outside.
    fn user_writes(ctx: *mut c_void, address: u64, bytes: u64);
    /// Copies what can be copied; the number of bytes that were not.
    fn user_copy(to: *mut u8, from: *const u8, bytes: usize) -> usize;
    /// A new CPU and its thread; 0, or 1 if there is none to be had.
    fn user_thread(cpu: *mut CpuHeader, argument: u64) -> u32;
    /// Forks the process.
    fn user_fork(cpu: *mut CpuHeader) -> i64;
    /// A process in this one's memory, which the caller waits for.
    fn user_vfork(cpu: *mut CpuHeader, argument: u64) -> i64;
    /// Ends the process.
    fn user_exit(ctx: *mut c_void, code: i32);
    /// Lays out a signal's frame; 0, or 1 if the stack cannot be written.
    fn linux_signal(cpu: *mut CpuHeader, signal: *const LinuxSignal) -> u32;
    /// Takes the state back from a signal's frame; 0, or 1 if it makes no sense.
    fn linux_sigreturn(cpu: *mut CpuHeader, out: *mut LinuxReturn) -> u32;
    /// A fact of the target's that programs ask their kernel for by number (riscv_hwprobe); 0, or 1 if there is none of that number.
    fn linux_probe(ctx: *mut c_void, key: u64, out: *mut u64) -> u32;
    /// No other process sees the program's memory (1), or one may from now on (0).
    fn user_alone(ctx: *mut c_void, alone: u32);
    /// Copies guest virtual memory from `read` to `write`, or sets `write` to `value` if `read` is null: `size` bytes of each access, in RAM, in one
    /// page each. 1, with nothing done that matters, if that is not so or faults: `virtual_access` then does it and says why.
    fn virtual_move(cpu: *mut CpuHeader, write: *const crate::Access, read: *const crate::Access, value: u32) -> u32;
    /// Tells a debugger what happens to a thread of a program, by a number of `user_event`, and waits for what it says of that.
    fn user_debug(cpu: *mut CpuHeader, event: u32, value: u64) -> u64;
    /// As `address_space`, for a target that changes between two address spaces all the time (a kernel's and a program's): it has two groups of
    /// views, one with view 0 in it, and uses those of one (`views`, a bit set) only until it says otherwise. The other group's translations and
    /// code stay as they are, so that going back and forth costs nothing. The mode key must tell the groups apart.
    fn address_space_in(cpu: *mut CpuHeader, asid: u32, views: u32);
}

/// Number of services.
pub const N_SERVICES: usize = SERVICES.len();

/// Hash of the first `n` services; `None` when there are fewer.
pub fn services_hash(n: usize) -> Option<u64> {
    SERVICES.get(..n).map(|rows| emu_ir::rows_hash(rows.iter().map(|(name, sig)| (*name, *sig, 0))))
}

/// The machine's side of the services, in safe clothes. Cheap to copy; any thread.
#[derive(Clone, Copy)]
pub struct Host {
    services: &'static HostServices,
    ctx: *mut c_void,
}

// SAFETY: the functions that take `ctx` may be called from any thread (contract of the table).
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Wraps a table and its context.
    ///
    /// # Safety
    /// Both must stay valid for the life of the process.
    pub unsafe fn new(services: *const HostServices, ctx: *mut c_void) -> Host {
        // SAFETY: the caller says so.
        Host { services: unsafe { &*services }, ctx }
    }
    pub(crate) fn raw(&self) -> (&'static HostServices, *mut c_void) {
        (self.services, self.ctx)
    }
    /// Machine time in ns.
    pub fn clock(&self) -> u64 {
        // SAFETY: `ctx` belongs to this table (for this and every call below).
        unsafe { (self.services.clock)(self.ctx) }
    }
    /// Reads physical memory; false if something in the range does not answer.
    #[must_use]
    pub fn read(&self, pa: u64, data: &mut [u8]) -> bool {
        // SAFETY: `data` is writable for its length.
        unsafe { (self.services.physical)(self.ctx, pa, data.as_mut_ptr(), data.len(), 0) == 0 }
    }
    /// Writes physical memory; false if something in the range does not answer.
    #[must_use]
    pub fn write(&self, pa: u64, data: &[u8]) -> bool {
        // SAFETY: a write only reads `data`.
        unsafe { (self.services.physical)(self.ctx, pa, data.as_ptr().cast_mut(), data.len(), 1) == 0 }
    }
    /// 64 random bits.
    pub fn random(&self) -> u64 {
        // SAFETY: see `clock`.
        unsafe { (self.services.random)(self.ctx) }
    }
    /// Maps RAM.
    pub fn map_ram(&self, name: &str, base: u64, size: u64, read_only: bool) -> Result<(), String> {
        // SAFETY: see `clock`.
        match unsafe { (self.services.map_ram)(self.ctx, Str::new(name), base, size, u32::from(read_only)) } {
            0 => Ok(()),
            _ => Err(format!("{name}: cannot map {size:#x} bytes of RAM at {base:#x}: it overlaps something or the host is out of memory")),
        }
    }
    /// Maps a device (`size` 0: no window; `backed`: reads come from RAM of the window's size at first).
    pub fn map_device(&self, base: u64, size: u64, device: std::sync::Arc<dyn Device>, backed: bool) -> Result<DeviceId, String> {
        let name = device.name().to_owned();
        let (object, vtable) = DeviceHandle::export(device);
        // SAFETY: `object` and `vtable` belong together.
        match unsafe { (self.services.map_device)(self.ctx, base, size, object, vtable, u32::from(backed)) } {
            0 => Err(format!("{name}: cannot map {size:#x} bytes at {base:#x}: it overlaps something")),
            id => Ok(DeviceId(id)),
        }
    }
    /// Reads of a backed window come from its RAM (true) or from the device.
    pub fn device_direct(&self, device: DeviceId, direct: bool) {
        // SAFETY: see `clock`.
        unsafe { (self.services.device_direct)(self.ctx, device.0, u32::from(direct)) }
    }
    /// Reads the RAM behind a window.
    pub fn backing_read(&self, device: DeviceId, offset: u64, data: &mut [u8]) -> bool {
        // SAFETY: `data` is writable for its length.
        unsafe { (self.services.device_backing)(self.ctx, device.0, offset, data.as_mut_ptr(), data.len(), 0) == 0 }
    }
    /// Writes the RAM behind a window.
    pub fn backing_write(&self, device: DeviceId, offset: u64, data: &[u8]) -> bool {
        // SAFETY: a write only reads `data`.
        unsafe { (self.services.device_backing)(self.ctx, device.0, offset, data.as_ptr().cast_mut(), data.len(), 1) == 0 }
    }
    /// Sets an input line of a CPU.
    pub fn cpu_line(&self, cpu: u32, line: u32, level: bool) {
        // SAFETY: see `clock`.
        unsafe { (self.services.cpu_line)(self.ctx, cpu, line, u32::from(level)) }
    }
    /// Turns a CPU on or off or asks; the state before.
    pub fn cpu_power(&self, cpu: u32, request: Power, pc: u64, arg: u64) -> Power {
        // SAFETY: see `clock`.
        unsafe { (self.services.cpu_power)(self.ctx, cpu, request, pc, arg) }
    }
    /// Turns the machine off or resets it.
    pub fn system_event(&self, event: SystemEvent, code: u32) {
        // SAFETY: see `clock`.
        unsafe { (self.services.system_event)(self.ctx, event, code) }
    }
    /// Arms a device's timer for an absolute time in ns, `None` disarms.
    pub fn device_timer(&self, device: DeviceId, id: u32, deadline_ns: Option<u64>) {
        // SAFETY: see `clock`.
        unsafe { (self.services.device_timer)(self.ctx, device.0, id, deadline_ns.unwrap_or(u64::MAX)) }
    }
    /// Connects a device to a host byte stream.
    pub fn stream_open(&self, device: DeviceId, name: &str) -> Option<StreamId> {
        // SAFETY: see `clock`.
        match unsafe { (self.services.stream_open)(self.ctx, device.0, Str::new(name)) } {
            0 => None,
            id => Some(StreamId(id)),
        }
    }
    /// Writes to a stream.
    pub fn stream_write(&self, stream: StreamId, data: &[u8]) {
        // SAFETY: `data` is readable for its length.
        unsafe { (self.services.stream_write)(self.ctx, stream.0, data.as_ptr(), data.len()) }
    }
    /// Seconds since 1970.
    pub fn wall_clock(&self) -> u64 {
        // SAFETY: see `clock`.
        unsafe { (self.services.wall_clock)(self.ctx) }
    }
}

/// A device as the host knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceId(pub u64);

/// A host byte stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamId(pub u64);
