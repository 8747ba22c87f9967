//! For unit tests of targets (feature `testing`): a CPU with a host behind it that has RAM and remembers what it was asked.
#![allow(unsafe_code)] // A table of C functions; each gets the `Host` that `Machine` owns.

mod nothing;

pub use nothing::NOTHING;

use crate::{Access, AccessKind, Architecture, CpuHeader, CpuState, HostServices, KeyValue, SemihostingCall, Slice, Str, TargetConfig, TlbFlush};
use core::ffi::c_void;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

/// Size of the RAM.
pub const RAM_SIZE: usize = 1 << 20;

/// What the host has and remembers.
#[derive(Default)]
pub struct Host {
    /// Address of the RAM.
    pub base: u64,
    /// The RAM.
    pub ram: Vec<u8>,
    /// What the clock says, in ns.
    pub clock: u64,
    /// Deadlines by timer.
    pub timers: BTreeMap<u32, u64>,
    /// Levels by output line.
    pub outputs: BTreeMap<u32, bool>,
    /// Requests to forget translations.
    pub flushes: Vec<TlbFlush>,
    /// The last address space.
    pub asid: u32,
    /// Views that it is used through, as last announced by `address_space_in`.
    pub views: u32,
    /// Addresses and lengths of code that was said to have changed.
    pub code_changed: Vec<(u64, u64)>,
    /// Registers that the machine implements.
    pub bank: BTreeMap<u32, u64>,
    /// Answer to firmware calls, in the first argument register.
    pub firmware: Option<u64>,
    /// Number of events sent to all CPUs.
    pub events_sent: u32,
    /// Answer to semihosting calls.
    pub semihosting: Option<u64>,
    /// Semihosting calls.
    pub semihosting_calls: Vec<SemihostingCall>,
}

impl Host {
    fn offset(&self, pa: u64, len: usize) -> Option<usize> {
        let at = pa.checked_sub(self.base)? as usize;
        (at.checked_add(len)? <= self.ram.len()).then_some(at)
    }
    /// A doubleword of RAM.
    ///
    /// # Panics
    /// When it lies outside.
    pub fn read64(&self, pa: u64) -> u64 {
        let at = self.offset(pa, 8).expect("inside RAM");
        u64::from_le_bytes(self.ram[at..at + 8].try_into().expect("8 bytes"))
    }
    /// Writes a doubleword of RAM.
    ///
    /// # Panics
    /// When it lies outside.
    pub fn write64(&mut self, pa: u64, value: u64) {
        let at = self.offset(pa, 8).expect("inside RAM");
        self.ram[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// A CPU of a target and its host, with RAM at `RAM`; one thread uses it.
pub struct Machine<A: Architecture, const RAM: u64> {
    /// The target's instance.
    pub arch: &'static A,
    cpu: Box<A::State>,
    host: *mut Host,
}

impl<A: Architecture, const RAM: u64> Machine<A, RAM> {
    /// A machine of a model with options, started at the beginning of RAM.
    ///
    /// # Panics
    /// When there is no such model or option.
    pub fn new(model: &str, options: &[(&str, &str)]) -> Self {
        let arch: &'static A = Box::leak(Box::new(create(model, options).expect("the model and options exist")));
        let host = Box::into_raw(Box::new(Host { base: RAM, ram: vec![0; RAM_SIZE], ..Host::default() }));
        let mut cpu = state::<A>();
        let header = cpu.header_mut();
        header.services = &raw const SERVICES;
        header.host = host.cast();
        header.instance = core::ptr::from_ref(arch).cast();
        arch.reset(&mut cpu);
        arch.start(&mut cpu, RAM, 0);
        Machine { arch, cpu, host }
    }
    /// What the host has and remembers.
    pub fn host(&mut self) -> &mut Host {
        // SAFETY: made by `new`, freed by `drop`; the services' borrows end with their calls.
        unsafe { &mut *self.host }
    }
}

impl<A: Architecture, const RAM: u64> Drop for Machine<A, RAM> {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `new`.
        drop(unsafe { Box::from_raw(self.host) });
    }
}

impl<A: Architecture, const RAM: u64> Deref for Machine<A, RAM> {
    type Target = A::State;
    fn deref(&self) -> &A::State {
        &self.cpu
    }
}
impl<A: Architecture, const RAM: u64> DerefMut for Machine<A, RAM> {
    fn deref_mut(&mut self) -> &mut A::State {
        &mut self.cpu
    }
}

/// Creates an instance; the error is the target's sentence.
pub fn create<A: Architecture>(model: &str, options: &[(&str, &str)]) -> Result<A, String> {
    let options: Vec<KeyValue<'_>> = options.iter().map(|(k, v)| KeyValue { key: Str::new(k), value: Str::new(v) }).collect();
    A::create(&TargetConfig { model: Str::new(model), options: Slice::new(&options), cpus: 1, reserved: 0 })
}

/// A zeroed state, for helpers that only compute.
pub fn state<A: Architecture>() -> Box<A::State> {
    // SAFETY: zeroes are a valid state (`CpuState`'s contract).
    unsafe { Box::<A::State>::new_zeroed().assume_init() }
}

fn at<'a>(ctx: *mut c_void) -> &'a mut Host {
    // SAFETY: every context in these tests is the `Host` of a live `Machine`, which one thread uses.
    unsafe { &mut *ctx.cast() }
}
fn of<'a>(cpu: *mut CpuHeader) -> &'a mut Host {
    // SAFETY: the CPU is a live `Machine`'s.
    at(unsafe { (*cpu).host })
}

unsafe extern "C" fn clock(ctx: *mut c_void) -> u64 {
    at(ctx).clock
}
unsafe extern "C" fn cpu_timer(cpu: *mut CpuHeader, id: u32, deadline: u64) {
    of(cpu).timers.insert(id, deadline);
}
unsafe extern "C" fn tlb_flush(cpu: *mut CpuHeader, request: *const TlbFlush) {
    // SAFETY: the caller's request lives through the call.
    of(cpu).flushes.push(unsafe { *request });
}
unsafe extern "C" fn address_space(cpu: *mut CpuHeader, asid: u32) {
    of(cpu).asid = asid;
}
unsafe extern "C" fn address_space_in(cpu: *mut CpuHeader, asid: u32, views: u32) {
    (of(cpu).asid, of(cpu).views) = (asid, views);
}
unsafe extern "C" fn physical(ctx: *mut c_void, pa: u64, data: *mut u8, len: usize, write: u32) -> u64 {
    let host = at(ctx);
    let Some(o) = host.offset(pa, len) else { return crate::fault::BUS };
    // SAFETY: `data` has `len` bytes, writable for a read.
    unsafe {
        if write == 0 {
            core::ptr::copy_nonoverlapping(host.ram[o..].as_ptr(), data, len);
        } else {
            core::ptr::copy_nonoverlapping(data, host.ram[o..].as_mut_ptr(), len);
        }
    }
    0
}
unsafe extern "C" fn physical_cas(ctx: *mut c_void, pa: u64, expected: u64, new: u64) -> u32 {
    let host = at(ctx);
    if host.offset(pa, 8).is_none() {
        return 2;
    }
    if host.read64(pa) != expected {
        return 1;
    }
    host.write64(pa, new);
    0
}
unsafe extern "C" fn virtual_access(cpu: *mut CpuHeader, access: *mut Access, data: *mut u8, len: usize) -> u64 {
    // Virtual addresses are physical ones.
    // SAFETY: the CPU is a live `Machine`'s, `access` the caller's, and `data` has `len` bytes.
    unsafe { physical((*cpu).host, (*access).va, data, len, u32::from((*access).kind == AccessKind::WRITE)) }
}
unsafe extern "C" fn code_changed(cpu: *mut CpuHeader, addr: u64, len: u64, _: u32) {
    of(cpu).code_changed.push((addr, len));
}
unsafe extern "C" fn cpu_output(cpu: *mut CpuHeader, line: u32, level: u32) {
    of(cpu).outputs.insert(line, level != 0);
}
unsafe extern "C" fn bank_access(cpu: *mut CpuHeader, register: u32, value: *mut u64, write: u32) -> u32 {
    let Some(slot) = of(cpu).bank.get_mut(&register) else { return 1 };
    // SAFETY: the caller's value lives through the call.
    unsafe {
        if write == 0 {
            *value = *slot;
        } else {
            *slot = *value;
        }
    }
    0
}
unsafe extern "C" fn firmware_call(cpu: *mut CpuHeader, args: *mut u64) -> u32 {
    match of(cpu).firmware {
        Some(answer) => {
            // SAFETY: `args` are eight registers.
            unsafe { *args = answer };
            0
        }
        None => 1,
    }
}
unsafe extern "C" fn send_event(ctx: *mut c_void) {
    at(ctx).events_sent += 1;
}
unsafe extern "C" fn semihosting(cpu: *mut CpuHeader, call: *mut SemihostingCall) -> u32 {
    let Some(answer) = of(cpu).semihosting else { return 1 };
    // SAFETY: the caller's record lives through the call.
    let call = unsafe { &mut *call };
    of(cpu).semihosting_calls.push(*call);
    call.result = answer;
    0
}

static SERVICES: HostServices = HostServices {
    clock,
    cpu_timer,
    tlb_flush,
    address_space,
    address_space_in,
    physical,
    physical_cas,
    virtual_access,
    code_changed,
    cpu_output,
    bank_access,
    firmware_call,
    send_event,
    semihosting,
    ..NOTHING
};
