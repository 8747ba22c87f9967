//! Targets: guest architectures.

use crate::user::{LinuxAbi, LinuxReturn, LinuxSignal};
use crate::{Access, BlockInfo, BlockRequest, CpuHeader, CpuState, DebugLayout, HostServices, KeyValue, Sink, Slice, StateLayout, Str, Translation};
use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, Ordering};
use emu_ir::IrBuf;
use std::collections::BTreeMap;

/// What the host asks of a target when it makes a machine.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TargetConfig<'a> {
    /// CPU model, one of the target's.
    pub model: Str<'a>,
    /// Options of the model (`-cpu model,key=value`), then those that the machine demands ("el3=off").
    pub options: Slice<'a, KeyValue<'a>>,
    /// Number of CPUs.
    pub cpus: u32,
    /// Not used; zero.
    pub reserved: u32,
}

/// A guest architecture: one value per machine, shared by its CPUs. Calls come from any CPU's thread.
pub trait Architecture: Send + Sync + Sized + 'static {
    /// State of a CPU.
    type State: CpuState;

    /// Checks model and options. The error is one sentence for the user.
    fn create(config: &TargetConfig<'_>) -> Result<Self, String>;
    /// State, helpers, lines.
    fn layout(&self) -> StateLayout;
    /// Facts that machines put into firmware tables ("fdt-compatible" = "arm,cortex-a72").
    fn properties(&self) -> BTreeMap<String, String>;
    /// Power-on state; `header.index` is set.
    fn reset(&self, cpu: &mut Self::State);
    /// Begins execution at `pc`, as firmware or a power controller would start it, `arg` in the first argument register.
    fn start(&self, cpu: &mut Self::State, pc: u64, arg: u64);
    /// Length in bytes of run-time-length vectors under a mode key.
    fn vector_bytes(&self, mode_key: u64) -> u32 {
        let _ = mode_key;
        0
    }
    /// Appends the ops of one block: at most `max_insns` instructions, none beyond the given bytes.
    fn translate(&self, request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo;
    /// Translates an address; the fault (0: none). Changes nothing but access and dirty flags in the tables.
    fn walk(&self, cpu: &mut Self::State, access: &Access, out: &mut Translation) -> u64;
    /// Delivers a fault of an access (from `walk` or one of `fault::`); `header.pc` is the instruction.
    fn raise(&self, cpu: &mut Self::State, access: &Access, fault: u64);
    /// Takes a pending interrupt if the state allows (`irq::` bits); `lines` are the input levels.
    fn interrupt(&self, cpu: &mut Self::State, lines: u32) -> u32;
    /// CPU timer `id` has expired.
    fn timer(&self, cpu: &mut Self::State, id: u32);
    /// The state was written from outside (debugger, snapshot): derive again what depends on it.
    fn restored(&self, cpu: &mut Self::State);
    /// Disassembles the instruction at the start of `bytes`, or at least names its encoding; its length in bytes.
    fn disassemble(&self, pc: u64, bytes: &[u8], out: &mut String) -> usize {
        let _ = (pc, bytes, out);
        0
    }
    /// The registers that debuggers see; `None`: they cannot look at this target. Called once a debugger.
    fn debug_layout(&self) -> Option<DebugLayout> {
        None
    }
    /// Reads register `number` of a stopped CPU into `out`, which has its size; false if it cannot be read now.
    fn debug_read(&self, cpu: &mut Self::State, number: u32, out: &mut [u8]) -> bool {
        let _ = (cpu, number, out);
        false
    }
    /// Writes register `number` of a stopped CPU; false if it cannot be written. The state is complete afterwards.
    fn debug_write(&self, cpu: &mut Self::State, number: u32, value: &[u8]) -> bool {
        let _ = (cpu, number, value);
        false
    }
    /// Facts for running programs of Linux; `None`: it runs none.
    fn linux_abi(&self) -> Option<LinuxAbi> {
        None
    }
    /// Writes a signal's frame by `virtual_write` and goes on in the handler. The fault, if it cannot.
    fn linux_signal(&self, cpu: &mut Self::State, signal: &LinuxSignal) -> Result<(), u64> {
        let _ = (cpu, signal);
        Err(crate::fault::BUS)
    }
    /// Takes the state back from the frame that the stack pointer is at. The fault, if it cannot be read or makes no sense.
    fn linux_sigreturn(&self, cpu: &mut Self::State) -> Result<LinuxReturn, u64> {
        let _ = cpu;
        Err(crate::fault::BUS)
    }
    /// The answer to a question about the CPU that programs ask their kernel by number (riscv_hwprobe).
    fn linux_probe(&self, key: u64) -> Option<u64> {
        let _ = key;
        None
    }
}

/// The C side of a target. Rows are appended as `Option`s: a plugin built before has a shorter table, which the host completes with `None`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TargetVtable {
    create: unsafe extern "C" fn(*const TargetConfig<'_>, Sink) -> *mut c_void,
    layout: unsafe extern "C" fn(*const c_void, *mut StateLayout),
    properties: unsafe extern "C" fn(*const c_void, Sink),
    reset: unsafe extern "C" fn(*const c_void, *mut CpuHeader),
    start: unsafe extern "C" fn(*const c_void, *mut CpuHeader, u64, u64),
    vector_bytes: unsafe extern "C" fn(*const c_void, u64) -> u32,
    translate: unsafe extern "C" fn(*const c_void, *const BlockRequest<'_>, *mut IrBuf, *mut BlockInfo),
    walk: unsafe extern "C" fn(*const c_void, *mut CpuHeader, *const Access, *mut Translation) -> u64,
    raise: unsafe extern "C" fn(*const c_void, *mut CpuHeader, *const Access, u64),
    interrupt: unsafe extern "C" fn(*const c_void, *mut CpuHeader, u32) -> u32,
    timer: unsafe extern "C" fn(*const c_void, *mut CpuHeader, u32),
    restored: unsafe extern "C" fn(*const c_void, *mut CpuHeader),
    disassemble: unsafe extern "C" fn(*const c_void, u64, Slice<'_, u8>, Sink) -> usize,
    debug_layout: Option<unsafe extern "C" fn(*const c_void, *mut DebugLayout) -> u32>,
    debug_read: Option<unsafe extern "C" fn(*const c_void, *mut CpuHeader, u32, *mut u8, usize) -> u32>,
    debug_write: Option<unsafe extern "C" fn(*const c_void, *mut CpuHeader, u32, *const u8, usize) -> u32>,
    linux_abi: Option<unsafe extern "C" fn(*const c_void, *mut LinuxAbi) -> u32>,
    linux_signal: Option<unsafe extern "C" fn(*const c_void, *mut CpuHeader, *const LinuxSignal) -> u64>,
    linux_sigreturn: Option<unsafe extern "C" fn(*const c_void, *mut CpuHeader, *mut LinuxReturn) -> u64>,
    /// The members of `StateLayout` that came after its first length: `layout` writes only those before, since an older host has no room for more.
    layout_rest: Option<unsafe extern "C" fn(*const c_void, *mut StateLayout)>,
    linux_probe: Option<unsafe extern "C" fn(*const c_void, u64, *mut u64) -> u32>,
}

impl TargetVtable {
    /// Size of the table before anything was appended to it.
    pub const FIRST_BYTES: usize = core::mem::offset_of!(TargetVtable, debug_layout);

    /// A table of today's size for one of `bytes` bytes: itself, or a copy (never freed, as plugins are never unloaded) with what it lacks
    /// as `None`. `None` when the size cannot be that of a table.
    ///
    /// # Safety
    /// `table` must be a target's table of that size and live as long as the process.
    pub(crate) unsafe fn completed(table: *const TargetVtable, bytes: usize) -> Option<*const TargetVtable> {
        if bytes >= size_of::<TargetVtable>() {
            return Some(table);
        }
        if bytes < Self::FIRST_BYTES {
            return None;
        }
        let mut full = Box::new(core::mem::MaybeUninit::<TargetVtable>::zeroed());
        // SAFETY: the table has `bytes` bytes (the caller's word), which are fewer than the copy's; they cover all functions that are not
        // optional, and zeroes are `None` for the rest.
        let full = unsafe {
            core::ptr::copy_nonoverlapping(table.cast::<u8>(), full.as_mut_ptr().cast::<u8>(), bytes);
            full.assume_init()
        };
        Some(Box::leak(full))
    }
}

struct Shims<A>(std::marker::PhantomData<A>);

// SAFETY (all shims): the instance is the `Box<A>` that `create` leaked; the CPU is an `A::State` of the size that `layout` gave, and only
// this thread uses it; other pointers are the caller's and valid for the call.
impl<A: Architecture> Shims<A> {
    const VTABLE: TargetVtable = TargetVtable {
        create: Self::create,
        layout: Self::layout,
        properties: Self::properties,
        reset: Self::reset,
        start: Self::start,
        vector_bytes: Self::vector_bytes,
        translate: Self::translate,
        walk: Self::walk,
        raise: Self::raise,
        interrupt: Self::interrupt,
        timer: Self::timer,
        restored: Self::restored,
        disassemble: Self::disassemble,
        debug_layout: Some(Self::debug_layout),
        debug_read: Some(Self::debug_read),
        debug_write: Some(Self::debug_write),
        linux_abi: Some(Self::linux_abi),
        linux_signal: Some(Self::linux_signal),
        linux_sigreturn: Some(Self::linux_sigreturn),
        layout_rest: Some(Self::layout_rest),
        linux_probe: Some(Self::linux_probe),
    };
    unsafe extern "C" fn linux_abi(a: *const c_void, out: *mut LinuxAbi) -> u32 {
        // SAFETY: see the impl.
        match unsafe { (*a.cast::<A>()).linux_abi() } {
            Some(abi) => {
                // SAFETY: see the impl.
                unsafe { out.write(abi) };
                1
            }
            None => 0,
        }
    }
    unsafe extern "C" fn linux_signal(a: *const c_void, cpu: *mut CpuHeader, signal: *const LinuxSignal) -> u64 {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).linux_signal(&mut *cpu.cast(), &*signal) }.err().unwrap_or(0)
    }
    unsafe extern "C" fn linux_sigreturn(a: *const c_void, cpu: *mut CpuHeader, out: *mut LinuxReturn) -> u64 {
        // SAFETY: see the impl.
        match unsafe { (*a.cast::<A>()).linux_sigreturn(&mut *cpu.cast()) } {
            Ok(back) => {
                // SAFETY: see the impl.
                unsafe { out.write(back) };
                0
            }
            Err(fault) => fault,
        }
    }
    unsafe extern "C" fn linux_probe(a: *const c_void, key: u64, out: *mut u64) -> u32 {
        // SAFETY: see the impl.
        match unsafe { (*a.cast::<A>()).linux_probe(key) } {
            Some(value) => {
                // SAFETY: see the impl.
                unsafe { out.write(value) };
                1
            }
            None => 0,
        }
    }
    unsafe extern "C" fn create(config: *const TargetConfig<'_>, error: Sink) -> *mut c_void {
        // SAFETY: see the impl.
        match A::create(unsafe { &*config }) {
            Ok(a) => Box::into_raw(Box::new(a)).cast(),
            Err(e) => {
                error.write(e.as_bytes());
                core::ptr::null_mut()
            }
        }
    }
    unsafe extern "C" fn layout(a: *const c_void, out: *mut StateLayout) {
        // SAFETY: see the impl; every host has room for the first members.
        unsafe {
            let layout = (*a.cast::<A>()).layout();
            core::ptr::copy_nonoverlapping((&raw const layout).cast::<u8>(), out.cast::<u8>(), StateLayout::FIRST_BYTES);
        }
    }
    unsafe extern "C" fn layout_rest(a: *const c_void, out: *mut StateLayout) {
        // SAFETY: see the impl; a host that knows of this function has room for all members of the time when it was appended.
        unsafe { out.write((*a.cast::<A>()).layout()) }
    }
    unsafe extern "C" fn properties(a: *const c_void, out: Sink) {
        // SAFETY: see the impl.
        for (k, v) in unsafe { (*a.cast::<A>()).properties() } {
            out.write(format!("{k}={v}\n").as_bytes());
        }
    }
    unsafe extern "C" fn reset(a: *const c_void, cpu: *mut CpuHeader) {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).reset(&mut *cpu.cast()) }
    }
    unsafe extern "C" fn start(a: *const c_void, cpu: *mut CpuHeader, pc: u64, arg: u64) {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).start(&mut *cpu.cast(), pc, arg) }
    }
    unsafe extern "C" fn vector_bytes(a: *const c_void, key: u64) -> u32 {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).vector_bytes(key) }
    }
    unsafe extern "C" fn translate(a: *const c_void, req: *const BlockRequest<'_>, buf: *mut IrBuf, out: *mut BlockInfo) {
        // SAFETY: see the impl.
        unsafe { *out = (*a.cast::<A>()).translate(&*req, &mut *buf) }
    }
    unsafe extern "C" fn walk(a: *const c_void, cpu: *mut CpuHeader, access: *const Access, out: *mut Translation) -> u64 {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).walk(&mut *cpu.cast(), &*access, &mut *out) }
    }
    unsafe extern "C" fn raise(a: *const c_void, cpu: *mut CpuHeader, access: *const Access, fault: u64) {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).raise(&mut *cpu.cast(), &*access, fault) }
    }
    unsafe extern "C" fn interrupt(a: *const c_void, cpu: *mut CpuHeader, lines: u32) -> u32 {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).interrupt(&mut *cpu.cast(), lines) }
    }
    unsafe extern "C" fn timer(a: *const c_void, cpu: *mut CpuHeader, id: u32) {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).timer(&mut *cpu.cast(), id) }
    }
    unsafe extern "C" fn restored(a: *const c_void, cpu: *mut CpuHeader) {
        // SAFETY: see the impl.
        unsafe { (*a.cast::<A>()).restored(&mut *cpu.cast()) }
    }
    unsafe extern "C" fn disassemble(a: *const c_void, pc: u64, bytes: Slice<'_, u8>, out: Sink) -> usize {
        let mut text = String::new();
        // SAFETY: see the impl.
        let n = unsafe { (*a.cast::<A>()).disassemble(pc, bytes.get(), &mut text) };
        out.write(text.as_bytes());
        n
    }
    unsafe extern "C" fn debug_layout(a: *const c_void, out: *mut DebugLayout) -> u32 {
        // SAFETY: see the impl.
        match unsafe { (*a.cast::<A>()).debug_layout() } {
            Some(layout) => {
                // SAFETY: see the impl.
                unsafe { out.write(layout) };
                1
            }
            None => 0,
        }
    }
    unsafe extern "C" fn debug_read(a: *const c_void, cpu: *mut CpuHeader, number: u32, out: *mut u8, len: usize) -> u32 {
        // SAFETY: see the impl; `out` has `len` bytes.
        unsafe { u32::from((*a.cast::<A>()).debug_read(&mut *cpu.cast(), number, core::slice::from_raw_parts_mut(out, len))) }
    }
    unsafe extern "C" fn debug_write(a: *const c_void, cpu: *mut CpuHeader, number: u32, value: *const u8, len: usize) -> u32 {
        // SAFETY: see the impl; `value` has `len` bytes.
        unsafe { u32::from((*a.cast::<A>()).debug_write(&mut *cpu.cast(), number, core::slice::from_raw_parts(value, len))) }
    }
}

/// A CPU model as lists show it.
#[derive(Clone, Copy, Debug)]
pub struct CpuModelInfo {
    /// Name, as `-cpu` takes it.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
}

/// A registered target. Made by [`crate::register_target!`].
pub struct TargetRegistration {
    /// Name, as `--target` takes it.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// CPU models, the default one first.
    pub models: fn() -> Vec<CpuModelInfo>,
    #[doc(hidden)]
    pub vtable: &'static TargetVtable,
}
inventory::collect!(TargetRegistration);

impl TargetRegistration {
    #[doc(hidden)]
    pub const fn vtable_of<A: Architecture>() -> &'static TargetVtable {
        &Shims::<A>::VTABLE
    }
}

/// Registers an [`Architecture`] under a name: `register_target!(Riscv, "riscv64", "RISC-V, 64 bits", models)`.
#[macro_export]
macro_rules! register_target {
    ($arch:ty, $name:expr, $description:expr, $models:expr) => {
        $crate::reexport::inventory::submit! { $crate::TargetRegistration {
            name: $name, description: $description, models: $models, vtable: $crate::TargetRegistration::vtable_of::<$arch>(),
        } }
    };
}

/// A target as the host calls it: a created instance.
#[derive(Clone, Copy)]
pub struct ArchitectureHandle {
    instance: *mut c_void,
    vtable: &'static TargetVtable,
    layout: StateLayout,
}

// SAFETY: an `Architecture` is Send and Sync and never freed.
unsafe impl Send for ArchitectureHandle {}
// SAFETY: as above.
unsafe impl Sync for ArchitectureHandle {}

impl ArchitectureHandle {
    /// Creates an instance; the error is the target's sentence.
    ///
    /// # Safety
    /// `vtable` must be a target's table and live as long as the process.
    pub unsafe fn create(vtable: *const TargetVtable, config: &TargetConfig<'_>) -> Result<ArchitectureHandle, String> {
        // SAFETY: the caller says so.
        let vtable = unsafe { &*vtable };
        let mut error = Vec::new();
        // SAFETY: `config` and `error` live through the call.
        let instance = unsafe { (vtable.create)(config, Sink::to(&mut error)) };
        if instance.is_null() {
            return Err(String::from_utf8_lossy(&error).into_owned());
        }
        // A target built before `layout_rest` writes them all in `layout`, and one built before members were appended writes fewer of them: the rest are zero, which every member allows.
        let mut layout = std::mem::MaybeUninit::zeroed();
        // SAFETY: `layout` writes the members that its side knows; zeroes are valid in the others.
        let layout = unsafe {
            (vtable.layout)(instance, layout.as_mut_ptr());
            if let Some(rest) = vtable.layout_rest {
                rest(instance, layout.as_mut_ptr());
            }
            layout.assume_init()
        };
        crate::check::layout(&layout)?;
        Ok(ArchitectureHandle { instance, vtable, layout })
    }
    /// An instance of a target linked into this program (tests).
    pub fn local<A: Architecture>(config: &TargetConfig<'_>) -> Result<ArchitectureHandle, String> {
        // SAFETY: the table is A's own.
        unsafe { ArchitectureHandle::create(TargetRegistration::vtable_of::<A>(), config) }
    }
    /// State, helpers and lines.
    pub fn layout(&self) -> &StateLayout {
        &self.layout
    }
    /// The instance, as `CpuHeader::instance` holds it.
    pub fn instance(&self) -> *const c_void {
        self.instance
    }
    /// Facts for firmware tables.
    pub fn properties(&self) -> BTreeMap<String, String> {
        let mut out = Vec::new();
        // SAFETY: the instance belongs to the table (as in every call below).
        unsafe { (self.vtable.properties)(self.instance, Sink::to(&mut out)) };
        let text = String::from_utf8_lossy(&out);
        text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
    /// Power-on state.
    ///
    /// # Safety
    /// This and the functions below: `cpu` must be a CPU of this target's layout that no other thread uses.
    pub unsafe fn reset(&self, cpu: *mut CpuHeader) {
        // SAFETY: the caller says so (as in every call below).
        unsafe { (self.vtable.reset)(self.instance, cpu) }
    }
    /// Begins execution at `pc`.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn start(&self, cpu: *mut CpuHeader, pc: u64, arg: u64) {
        // SAFETY: see `reset`.
        unsafe { (self.vtable.start)(self.instance, cpu, pc, arg) }
    }
    /// Length in bytes of run-time-length vectors under a mode key.
    pub fn vector_bytes(&self, mode_key: u64) -> u32 {
        // SAFETY: the instance belongs to the table.
        unsafe { (self.vtable.vector_bytes)(self.instance, mode_key) }
    }
    /// Appends the ops of one block.
    pub fn translate(&self, request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo {
        let mut info = BlockInfo::default();
        // SAFETY: all three live through the call.
        unsafe { (self.vtable.translate)(self.instance, request, buf, &mut info) };
        info
    }
    /// Translates an address.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn walk(&self, cpu: *mut CpuHeader, access: &Access, out: &mut Translation) -> u64 {
        // SAFETY: see `reset`.
        unsafe { (self.vtable.walk)(self.instance, cpu, access, out) }
    }
    /// Delivers a fault.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn raise(&self, cpu: *mut CpuHeader, access: &Access, fault: u64) {
        // SAFETY: see `reset`.
        unsafe { (self.vtable.raise)(self.instance, cpu, access, fault) }
    }
    /// Takes a pending interrupt.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn interrupt(&self, cpu: *mut CpuHeader, lines: u32) -> u32 {
        // SAFETY: see `reset`.
        unsafe { (self.vtable.interrupt)(self.instance, cpu, lines) }
    }
    /// A CPU timer has expired.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn timer(&self, cpu: *mut CpuHeader, id: u32) {
        // SAFETY: see `reset`.
        unsafe { (self.vtable.timer)(self.instance, cpu, id) }
    }
    /// The state was written from outside.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn restored(&self, cpu: *mut CpuHeader) {
        // SAFETY: see `reset`.
        unsafe { (self.vtable.restored)(self.instance, cpu) }
    }
    /// Disassembles one instruction; its text and length.
    pub fn disassemble(&self, pc: u64, bytes: &[u8]) -> (String, usize) {
        let mut out = Vec::new();
        // SAFETY: `bytes` and `out` live through the call.
        let n = unsafe { (self.vtable.disassemble)(self.instance, pc, Slice::new(bytes), Sink::to(&mut out)) };
        (String::from_utf8_lossy(&out).into_owned(), n)
    }
    /// The registers that debuggers see, if the target has a description of them.
    pub fn debug_layout(&self) -> Option<DebugLayout> {
        let mut layout = std::mem::MaybeUninit::uninit();
        // SAFETY: the instance belongs to the table; the whole struct is written when the answer is not 0.
        unsafe { ((self.vtable.debug_layout?)(self.instance, layout.as_mut_ptr()) != 0).then(|| layout.assume_init()) }
    }
    /// Reads a register as debuggers see it; `out` has its size.
    ///
    /// # Safety
    /// See `reset`.
    #[must_use]
    pub unsafe fn debug_read(&self, cpu: *mut CpuHeader, number: u32, out: &mut [u8]) -> bool {
        // SAFETY: see `reset`; `out` is writable.
        self.vtable.debug_read.is_some_and(|f| unsafe { f(self.instance, cpu, number, out.as_mut_ptr(), out.len()) } != 0)
    }
    /// Writes a register as debuggers see it; `value` has its size.
    ///
    /// # Safety
    /// See `reset`.
    #[must_use]
    pub unsafe fn debug_write(&self, cpu: *mut CpuHeader, number: u32, value: &[u8]) -> bool {
        // SAFETY: see `reset`; a write only reads `value`.
        self.vtable.debug_write.is_some_and(|f| unsafe { f(self.instance, cpu, number, value.as_ptr(), value.len()) } != 0)
    }
}

impl ArchitectureHandle {
    /// The target's facts about Linux.
    pub fn linux_abi(&self) -> Option<LinuxAbi> {
        let mut abi = std::mem::MaybeUninit::uninit();
        // SAFETY: the instance belongs to the table; the whole struct is written when the answer is not 0.
        unsafe { ((self.vtable.linux_abi?)(self.instance, abi.as_mut_ptr()) != 0).then(|| abi.assume_init()) }
    }
    /// The answer to a question about the CPU.
    pub fn linux_probe(&self, key: u64) -> Option<u64> {
        let mut value = 0;
        // SAFETY: the instance belongs to the table; `value` is writable.
        unsafe { ((self.vtable.linux_probe?)(self.instance, key, &mut value) != 0).then_some(value) }
    }
    /// Lays out a signal's frame; 0, or the fault.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn linux_signal(&self, cpu: *mut CpuHeader, signal: *const LinuxSignal) -> u64 {
        // SAFETY: see `reset`.
        self.vtable.linux_signal.map_or(crate::fault::BUS, |f| unsafe { f(self.instance, cpu, signal) })
    }
    /// Takes the state back from a frame; 0, or the fault.
    ///
    /// # Safety
    /// See `reset`.
    pub unsafe fn linux_sigreturn(&self, cpu: *mut CpuHeader, out: *mut LinuxReturn) -> u64 {
        // SAFETY: see `reset`.
        self.vtable.linux_sigreturn.map_or(crate::fault::BUS, |f| unsafe { f(self.instance, cpu, out) })
    }
}

/// The services that a CPU's own thread may use, as methods of the header.
impl CpuHeader {
    fn table(&self) -> &'static HostServices {
        // SAFETY: the host sets `services` before it hands the CPU to the target, and its table lives as long as the process.
        unsafe { &*self.services }
    }
    /// Machine time in ns.
    pub fn clock(&self) -> u64 {
        // SAFETY: `host` belongs to `services` (as in every call below); CPU services accept it as `ctx`.
        unsafe { (self.table().clock)(self.host) }
    }
    /// 64 random bits.
    pub fn random(&self) -> u64 {
        // SAFETY: see `clock`.
        unsafe { (self.table().random)(self.host) }
    }
    /// Arms CPU timer `id` for an absolute time in ns; `u64::MAX` disarms.
    pub fn set_timer(&mut self, id: u32, deadline_ns: u64) {
        // SAFETY: see `clock`.
        unsafe { (self.table().cpu_timer)(self, id, deadline_ns) }
    }
    /// Forgets translations.
    pub fn tlb_flush(&mut self, request: &crate::TlbFlush) {
        // SAFETY: see `clock`.
        unsafe { (self.table().tlb_flush)(self, request) }
    }
    /// The address space identifier has changed.
    pub fn address_space(&mut self, asid: u32) {
        // SAFETY: see `clock`.
        unsafe { (self.table().address_space)(self, asid) }
    }
    /// The address space identifier has changed, and which group of views is used in it: see `HostServices::address_space_in`.
    pub fn address_space_in(&mut self, asid: u32, views: u32) {
        // SAFETY: see `clock`.
        unsafe { (self.table().address_space_in)(self, asid, views) }
    }
    /// Reads physical memory; false on a bus error.
    #[must_use]
    pub fn physical_read(&self, pa: u64, data: &mut [u8]) -> bool {
        // SAFETY: see `clock`; `data` is writable.
        unsafe { (self.table().physical)(self.host, pa, data.as_mut_ptr(), data.len(), 0) == 0 }
    }
    /// Reads a little-endian doubleword of physical memory, in one piece if it is aligned; `None` on a bus error. What walks read their tables
    /// by: in the RAM that the header names it costs a comparison.
    #[must_use]
    #[inline]
    pub fn physical_word(&self, pa: u64) -> Option<u64> {
        let offset = pa.wrapping_sub(self.ram_base);
        if offset < self.ram_bytes && pa.is_multiple_of(8) {
            // SAFETY: the host says that `ram_bytes` bytes at `ram` are RAM as long as the machine exists; base and size are multiples of 8, and so
            // is the address. Guest RAM is only accessed by atomic or racy-by-design accesses.
            let word = unsafe { &*self.ram.add(offset as usize).cast::<AtomicU64>() };
            return Some(u64::from_le(word.load(Ordering::Relaxed)));
        }
        let mut bytes = [0; 8];
        self.physical_read(pa, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }
    /// Writes physical memory; false on a bus error.
    #[must_use]
    pub fn physical_write(&self, pa: u64, data: &[u8]) -> bool {
        // SAFETY: see `clock`; a write only reads `data`.
        unsafe { (self.table().physical)(self.host, pa, data.as_ptr().cast_mut(), data.len(), 1) == 0 }
    }
    /// Atomically replaces 8 bytes of RAM: `Some(true)` if they equalled `expected`; `None` where there is no RAM.
    #[must_use]
    pub fn physical_cas(&self, pa: u64, expected: u64, new: u64) -> Option<bool> {
        // SAFETY: see `clock`.
        match unsafe { (self.table().physical_cas)(self.host, pa, expected, new) } {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        }
    }
    /// Reads or writes guest virtual memory, whole or not at all; the fault, with `access.va` where it happened, is for the caller to raise.
    pub fn virtual_read(&mut self, access: &mut Access, data: &mut [u8]) -> Result<(), u64> {
        self.virtual_bytes(access, crate::AccessKind::READ, data.as_mut_ptr(), data.len())
    }
    /// Reads guest virtual memory that is about to be executed; see `virtual_read`.
    pub fn virtual_fetch(&mut self, access: &mut Access, data: &mut [u8]) -> Result<(), u64> {
        self.virtual_bytes(access, crate::AccessKind::FETCH, data.as_mut_ptr(), data.len())
    }
    /// Writes guest virtual memory; see `virtual_read`.
    pub fn virtual_write(&mut self, access: &mut Access, data: &[u8]) -> Result<(), u64> {
        self.virtual_bytes(access, crate::AccessKind::WRITE, data.as_ptr().cast_mut(), data.len())
    }
    /// `data` has `len` bytes, which may be written but for a write.
    fn virtual_bytes(&mut self, access: &mut Access, kind: crate::AccessKind, data: *mut u8, len: usize) -> Result<(), u64> {
        access.kind = kind;
        // SAFETY: see `clock`; the three callers above have slices of `len` bytes, and a write only reads its own.
        match unsafe { (self.table().virtual_access)(self, access, data, len) } {
            0 => Ok(()),
            fault => Err(fault),
        }
    }
    /// Copies `write.size` bytes of guest virtual memory from `read` to `write`, or sets them to `value` without `read`. False, with nothing done
    /// that matters, unless both are RAM, lie in one page each and may be accessed; see `virtual_read` for what then says why.
    pub fn virtual_move(&mut self, write: &Access, read: Option<&Access>, value: u8) -> bool {
        let read = read.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: see `clock`; `read` may be null.
        unsafe { (self.table().virtual_move)(self, write, read, value.into()) == 0 }
    }
    /// Guest code at a virtual or physical address has changed; `len` 0 means all code.
    pub fn code_changed(&mut self, addr: u64, len: u64, physical: bool) {
        // SAFETY: see `clock`.
        unsafe { (self.table().code_changed)(self, addr, len, u32::from(physical)) }
    }
    /// Sets an output line.
    pub fn output(&mut self, line: u32, level: bool) {
        // SAFETY: see `clock`.
        unsafe { (self.table().cpu_output)(self, line, u32::from(level)) }
    }
    /// Reads a register that the machine implements.
    pub fn bank_read(&mut self, register: u32) -> Option<u64> {
        let mut value = 0;
        // SAFETY: see `clock`.
        (unsafe { (self.table().bank_access)(self, register, &mut value, 0) } == 0).then_some(value)
    }
    /// Writes a register that the machine implements; false if it has none such.
    pub fn bank_write(&mut self, register: u32, mut value: u64) -> bool {
        // SAFETY: see `clock`.
        unsafe { (self.table().bank_access)(self, register, &mut value, 1) == 0 }
    }
    /// A firmware call; false if the machine answers none.
    pub fn firmware_call(&mut self, args: &mut [u64; 8]) -> bool {
        // SAFETY: see `clock`.
        unsafe { (self.table().firmware_call)(self, args.as_mut_ptr()) == 0 }
    }
    /// A semihosting call; false if there is no semihosting for such a caller, and the instruction means what the architecture says.
    pub fn semihosting(&mut self, call: &mut crate::SemihostingCall) -> bool {
        // SAFETY: see `clock`; `call` lives through the call.
        unsafe { (self.table().semihosting)(self, call) == 0 }
    }
    /// Sets the event register of every CPU.
    pub fn send_event(&self) {
        // SAFETY: see `clock`.
        unsafe { (self.table().send_event)(self.host) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mute;
    #[repr(C)]
    struct State(CpuHeader);
    // SAFETY: the header comes first; zeroes are a valid header.
    unsafe impl CpuState for State {}
    impl Architecture for Mute {
        type State = State;
        fn create(_: &TargetConfig<'_>) -> Result<Self, String> {
            Err("no".into())
        }
        fn layout(&self) -> StateLayout {
            unreachable!()
        }
        fn properties(&self) -> BTreeMap<String, String> {
            BTreeMap::new()
        }
        fn reset(&self, _: &mut State) {}
        fn start(&self, _: &mut State, _: u64, _: u64) {}
        fn translate(&self, _: &BlockRequest<'_>, _: &mut IrBuf) -> BlockInfo {
            BlockInfo::default()
        }
        fn walk(&self, _: &mut State, _: &Access, _: &mut Translation) -> u64 {
            0
        }
        fn raise(&self, _: &mut State, _: &Access, _: u64) {}
        fn interrupt(&self, _: &mut State, _: u32) -> u32 {
            0
        }
        fn timer(&self, _: &mut State, _: u32) {}
        fn restored(&self, _: &mut State) {}
    }

    #[test]
    fn a_shorter_table_lacks_what_was_appended() {
        let table = TargetRegistration::vtable_of::<Mute>();
        // SAFETY: the table is whole, so any smaller size is good too.
        let completed = |bytes| unsafe { TargetVtable::completed(table, bytes) };
        assert_eq!(completed(size_of::<TargetVtable>()), Some(core::ptr::from_ref(table)));
        assert_eq!(completed(size_of::<TargetVtable>() + 8), Some(core::ptr::from_ref(table)), "a newer plugin's table begins with ours");
        assert!(completed(TargetVtable::FIRST_BYTES - 8).is_none());
        let old = completed(TargetVtable::FIRST_BYTES).unwrap();
        // SAFETY: made above, never freed.
        let old = unsafe { &*old };
        assert!(old.debug_layout.is_none() && old.debug_read.is_none() && old.debug_write.is_none());
        assert_eq!(old.disassemble as usize, table.disassemble as usize);
    }
}
