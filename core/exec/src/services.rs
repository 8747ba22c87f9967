//! The host's half of the services table. `ctx` and `CpuHeader::host` are both the `Machine`.

use crate::clock::Owner;
use crate::debug::ProgramEnd;
use crate::machine::Machine;
use crate::memory::Running;
use crate::vcpu::{OFF, Request, Vcpu};
use core::ffi::c_void;
use emu_plugins_api::{Access, CpuHeader, DeviceHandle, DeviceVtable, HostServices, Power, Str, SystemEvent, TlbFlush, fault};
use emu_plugins_api::{LinuxAbi, LinuxReturn, LinuxSignal, Onward, UserFault, UserKernelHandle, UserKernelVtable, UserMemory, user_event};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The table that plugins get.
pub fn services() -> &'static HostServices {
    &TABLE
}

static TABLE: HostServices = HostServices {
    log,
    clock,
    cpu_timer,
    tlb_flush,
    address_space,
    physical,
    physical_cas,
    virtual_access,
    code_changed,
    cpu_output,
    bank_access,
    firmware_call,
    random,
    send_event,
    map_ram,
    map_device,
    device_direct,
    device_backing,
    cpu_line,
    cpu_power,
    system_event,
    device_timer,
    stream_open,
    stream_write,
    wall_clock,
    semihosting: crate::semihosting::service,
    user_attach,
    linux_abi,
    user_fault,
    user_pages,
    user_writes,
    user_copy,
    user_thread,
    user_fork,
    user_vfork,
    user_exit,
    linux_signal,
    linux_sigreturn,
    linux_probe,
    user_alone,
    virtual_move,
    user_debug,
    address_space_in,
};

/// The machine behind a context.
///
/// # Safety
/// `ctx` must be what `Machine::create` gave to the plugin: machines live as long as the process.
unsafe fn machine<'a>(ctx: *mut c_void) -> &'a Machine {
    // SAFETY: the caller says so.
    unsafe { &*ctx.cast::<Machine>() }
}

/// The machine and CPU behind a header.
///
/// # Safety
/// `cpu` must be a CPU of a machine, and this its thread.
pub(crate) unsafe fn of<'a>(cpu: *mut CpuHeader) -> (&'a Machine, &'a Arc<Vcpu>) {
    // SAFETY: the caller says so; `host` was set in `Vcpu::reset`.
    unsafe {
        let m = machine((*cpu).host);
        (m, &m.cpus[(*cpu).index as usize])
    }
}

/// What helpers' accesses to memory go by.
///
/// # Safety
/// See `of`.
unsafe fn running<'a>(cpu: *mut CpuHeader) -> Running<'a> {
    // SAFETY: the caller says so.
    let ((machine, vcpu), insns) = unsafe { (of(cpu), (*cpu).insns) };
    Running { machine, vcpu, cpu, insns, block_insns: 1 }
}

unsafe extern "C" fn log(level: u32, target: Str<'_>, message: Str<'_>) {
    let level = match level {
        1 => log::Level::Error,
        2 => log::Level::Warn,
        3 => log::Level::Info,
        4 => log::Level::Debug,
        _ => log::Level::Trace,
    };
    log::log!(target: target.get(), level, "{}", message.get());
}

// SAFETY (all functions below): plugins call them with a CPU of theirs on its thread, or with their machine's context; pointers are valid
// for the call. That is the contract of the table.
unsafe extern "C" fn clock(ctx: *mut c_void) -> u64 {
    // SAFETY: see above.
    unsafe { machine(ctx) }.now()
}
unsafe extern "C" fn cpu_timer(cpu: *mut CpuHeader, id: u32, deadline: u64) {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    m.time.arm(Owner::Cpu(v.index, id), deadline);
    if m.time.is_deterministic() {
        // The slice may have to end earlier now.
        m.cut_current(deadline);
    }
}
unsafe extern "C" fn tlb_flush(cpu: *mut CpuHeader, request: *const TlbFlush) {
    // SAFETY: see above.
    let ((m, v), request) = unsafe { (of(cpu), &*request) };
    v.flush(request);
    if request.broadcast != 0 {
        // Other targets' CPUs take no part in it.
        for other in m.cpus.iter().filter(|o| o.index != v.index && o.cluster == v.cluster) {
            other.post(Request::Flush(*request));
        }
    }
}
unsafe extern "C" fn address_space(cpu: *mut CpuHeader, asid: u32) {
    // SAFETY: see above.
    unsafe { of(cpu) }.1.set_asid(asid, u32::MAX);
}
unsafe extern "C" fn address_space_in(cpu: *mut CpuHeader, asid: u32, views: u32) {
    // SAFETY: see above.
    unsafe { of(cpu) }.1.set_asid(asid, views);
}
unsafe extern "C" fn physical(ctx: *mut c_void, pa: u64, data: *mut u8, len: usize, write: u32) -> u64 {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    if len == 0 {
        return fault::NONE;
    }
    // SAFETY: `data` has `len` bytes, readable or writable as `write` says.
    unsafe {
        if write == 0 {
            m.space.read(pa, core::slice::from_raw_parts_mut(data, len))
        } else {
            let data = core::slice::from_raw_parts(data, len);
            let report = |w: &emu_mem::Window, page| m.code_written(w, page);
            if m.is_built() {
                m.space.write(pa, data, &report)
            } else {
                m.semihosting.note_loaded(pa, len as u64);
                m.space.load(pa, data, &report)
            }
        }
    }
}
unsafe extern "C" fn physical_cas(ctx: *mut c_void, pa: u64, expected: u64, new: u64) -> u32 {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    m.space.compare_exchange(pa, expected, new, &|w, page| m.code_written(w, page))
}
unsafe extern "C" fn virtual_access(cpu: *mut CpuHeader, access: *mut Access, data: *mut u8, len: usize) -> u64 {
    // SAFETY: see above.
    unsafe { running(cpu).bytes(&mut *access, data, len) }
}
unsafe extern "C" fn virtual_move(cpu: *mut CpuHeader, write: *const Access, read: *const Access, value: u32) -> u32 {
    // SAFETY: see above; `read` may be null.
    unsafe { u32::from(!running(cpu).move_bytes(read.as_ref(), value as u8, &*write)) }
}
unsafe extern "C" fn code_changed(cpu: *mut CpuHeader, addr: u64, len: u64, is_physical: u32) {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    if let Some(user) = m.user.as_ref().filter(|_| len != 0) {
        return user.synchronise_code(m, user.untagged(addr), len);
    }
    if len == 0 {
        return m.maintain_all_code(v);
    }
    let mut at = addr & !4095;
    while at <= addr.saturating_add(len - 1) {
        let pa = if is_physical != 0 {
            Some(at)
        } else {
            // Any view of this address space that can read the page will do: the tables are the same.
            let r = Running { machine: m, vcpu: v, cpu, insns: 0, block_insns: 0 };
            (0..v.arch.layout().views).filter(|view| v.uses_view(*view)).find_map(|view| r.physical_of(at.max(addr), view))
        };
        if let Some(pa) = pa {
            // What the CPU is in, it leaves by what makes the change take effect for it.
            let first = at.max(addr) & 4095;
            m.maintain_code(v, pa & !4095 | first, (addr.saturating_add(len) - at).min(4096) - first);
        }
        match at.checked_add(4096) {
            Some(next) => at = next,
            None => break,
        }
    }
}
unsafe extern "C" fn cpu_output(cpu: *mut CpuHeader, line: u32, level: u32) {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    if let Some(b) = m.board() {
        b.cpu_output(v.index, line, level != 0);
    }
}
unsafe extern "C" fn bank_access(cpu: *mut CpuHeader, register: u32, value: *mut u64, write: u32) -> u32 {
    // SAFETY: see above.
    let ((m, v), value) = unsafe { (of(cpu), &mut *value) };
    u32::from(!m.board().is_some_and(|b| b.bank(v.index, register, value, write != 0)))
}
unsafe extern "C" fn firmware_call(cpu: *mut CpuHeader, args: *mut u64) -> u32 {
    // SAFETY: see above; `args` are eight registers.
    let ((m, v), args) = unsafe { (of(cpu), &mut *args.cast::<[u64; 8]>()) };
    let known = m.board().is_some_and(|b| b.firmware_call(v.index, args));
    m.after_call(v);
    u32::from(!known)
}
unsafe extern "C" fn random(ctx: *mut c_void) -> u64 {
    // SAFETY: see above.
    unsafe { machine(ctx) }.time.random()
}
unsafe extern "C" fn send_event(ctx: *mut c_void) {
    // SAFETY: see above.
    for cpu in &unsafe { machine(ctx) }.cpus {
        cpu.event().store(1, Ordering::SeqCst);
    }
}
unsafe extern "C" fn map_ram(ctx: *mut c_void, name: Str<'_>, base: u64, size: u64, flags: u32) -> u64 {
    // SAFETY: see above.
    match unsafe { machine(ctx) }.space.map_ram(name.get(), base, size, flags & 1 != 0) {
        Ok(()) => fault::NONE,
        Err(e) => {
            log::error!("cannot map {} at {base:#x}: {e:?}", name.get());
            fault::BUS
        }
    }
}
unsafe extern "C" fn map_device(ctx: *mut c_void, base: u64, size: u64, object: *mut c_void, vtable: *const DeviceVtable, flags: u32) -> u64 {
    // SAFETY: see above; object and table belong together and are never freed.
    let (m, device) = unsafe { (machine(ctx), DeviceHandle::from_raw(object, vtable)) };
    m.add_device(device, base, size, flags & 1 != 0)
}
/// The memory behind a device has changed in a range: what was translated from there goes.
fn code_written_in(m: &Machine, w: &emu_mem::Window, offset: u64, len: u64) {
    let Some(ram) = &w.ram else { return };
    for page in (offset & !(emu_mem::PAGE_SIZE - 1)..offset + len).step_by(emu_mem::PAGE_SIZE as usize) {
        if ram.has_code(page) {
            m.code_written(w, page);
        }
    }
}
unsafe extern "C" fn device_direct(ctx: *mut c_void, device: u64, direct: u32) {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    if let Some(w) = m.window_of(device) {
        let was = w.direct.swap(direct != 0, Ordering::SeqCst);
        if was != (direct != 0) {
            // Every fetch reads something else now.
            code_written_in(m, &w, 0, w.size);
        }
    }
}
unsafe extern "C" fn device_backing(ctx: *mut c_void, device: u64, offset: u64, data: *mut u8, len: usize, write: u32) -> u64 {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    let Some(w) = m.window_of(device) else { return fault::BUS };
    let Some(ram) = &w.ram else { return fault::BUS };
    if len == 0 || offset > ram.size() || len as u64 > ram.size() - offset {
        return if len == 0 { fault::NONE } else { fault::BUS };
    }
    // SAFETY: `data` has `len` bytes, readable or writable as `write` says.
    unsafe {
        if write == 0 {
            ram.read(offset, core::slice::from_raw_parts_mut(data, len));
        } else {
            ram.write(offset, core::slice::from_raw_parts(data, len));
        }
    }
    if write != 0 {
        code_written_in(m, &w, offset, len as u64);
    }
    fault::NONE
}
unsafe extern "C" fn cpu_line(ctx: *mut c_void, cpu: u32, line: u32, level: u32) {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    let Some(v) = m.cpus.get(cpu as usize) else { return };
    let bit = 1u32 << (line & 31);
    if level != 0 {
        v.lines().fetch_or(bit, Ordering::SeqCst);
        m.attract(v);
    } else {
        v.lines().fetch_and(!bit, Ordering::SeqCst);
    }
}
unsafe extern "C" fn cpu_power(ctx: *mut c_void, cpu: u32, request: Power, pc: u64, arg: u64) -> Power {
    // SAFETY: see above.
    let Some(v) = unsafe { machine(ctx) }.cpus.get(cpu as usize) else { return Power::NO_CPU };
    let before = match request {
        Power::ON => {
            let before = v.power.swap(1, Ordering::SeqCst);
            if before == 0 {
                v.post(Request::Start(pc, arg));
            }
            before
        }
        Power::OFF => {
            let before = v.power.swap(0, Ordering::SeqCst);
            if before == 1 {
                // A CPU turns itself off: it is on its own thread, in a firmware call.
                // SAFETY: `halted` is this CPU's to write here.
                unsafe { (*v.header()).halted = OFF };
                v.kick();
            }
            before
        }
        _ => v.power.load(Ordering::SeqCst),
    };
    if before == 0 { Power::OFF } else { Power::ON }
}
unsafe extern "C" fn system_event(ctx: *mut c_void, event: SystemEvent, code: u32) {
    // SAFETY: see above.
    unsafe { machine(ctx) }.system_event(event, code);
}
unsafe extern "C" fn device_timer(ctx: *mut c_void, device: u64, id: u32, deadline: u64) {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    m.time.arm(Owner::Device(device, id), deadline);
    if m.time.is_deterministic() {
        m.cut_current(deadline);
    }
}
unsafe extern "C" fn stream_open(ctx: *mut c_void, device: u64, name: Str<'_>) -> u64 {
    // SAFETY: see above.
    unsafe { machine(ctx) }.stream_open(device, name.get())
}
unsafe extern "C" fn stream_write(ctx: *mut c_void, stream: u64, data: *const u8, len: usize) {
    // SAFETY: see above; `data` has `len` bytes.
    unsafe { machine(ctx).stream_write(stream, core::slice::from_raw_parts(data, len)) }
}
unsafe extern "C" fn wall_clock(ctx: *mut c_void) -> u64 {
    // SAFETY: see above.
    unsafe { machine(ctx) }.wall()
}
unsafe extern "C" fn user_attach(ctx: *mut c_void, kernel: *const c_void, vtable: *const UserKernelVtable, memory: *mut UserMemory) -> u32 {
    // SAFETY: see above; object and table belong together and live as long as the process.
    let (m, handle) = unsafe { (machine(ctx), UserKernelHandle::from_raw(kernel, vtable)) };
    let Some(user) = &m.user else { return 1 };
    // SAFETY: see above.
    unsafe { memory.write(user.memory(m)) };
    if !kernel.is_null() {
        user.attach(m, handle);
    }
    0
}
unsafe extern "C" fn linux_abi(ctx: *mut c_void, out: *mut LinuxAbi) -> u32 {
    // SAFETY: see above.
    match unsafe { machine(ctx) }.arch().linux_abi() {
        Some(abi) => {
            // SAFETY: see above.
            unsafe { out.write(abi) };
            0
        }
        None => 1,
    }
}
unsafe extern "C" fn user_fault(cpu: *mut CpuHeader, fault: *const UserFault) {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    let Some(user) = &m.user else { return };
    // SAFETY: see above.
    if unsafe { user.kernel().fault(cpu, fault) } == Onward::ENDED {
        v.left_for_good.store(true, Ordering::Relaxed);
        v.kick();
    }
}
unsafe extern "C" fn user_pages(ctx: *mut c_void, address: u64, bytes: u64, bits: u32) {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    if let Some(user) = &m.user {
        user.set_pages(m, address, bytes, bits as u8);
    }
}
unsafe extern "C" fn user_writes(ctx: *mut c_void, address: u64, bytes: u64) {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    if let Some(user) = &m.user {
        user.clear_code(m, address, bytes);
    }
}
unsafe extern "C" fn user_alone(ctx: *mut c_void, alone: u32) {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    match &m.user {
        Some(user) if alone != 0 => user.begin_alone(m),
        Some(user) => user.share(m),
        None => {}
    }
}
unsafe extern "C" fn user_copy(to: *mut u8, from: *const u8, bytes: usize) -> usize {
    // SAFETY: see above.
    unsafe { crate::user::access::copy(to, from, bytes) }
}
unsafe extern "C" fn user_thread(cpu: *mut CpuHeader, argument: u64) -> u32 {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    u32::from(!m.user.as_ref().is_some_and(|u| u.thread(m, v, argument)))
}
unsafe extern "C" fn user_fork(cpu: *mut CpuHeader) -> i64 {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    m.user.as_ref().map_or(-i64::from(libc::ENOSYS), |u| u.fork(m, v))
}
unsafe extern "C" fn user_vfork(cpu: *mut CpuHeader, argument: u64) -> i64 {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    m.user.as_ref().map_or(-i64::from(libc::ENOSYS), |u| u.vfork(m, v, argument))
}
unsafe extern "C" fn user_exit(ctx: *mut c_void, code: i32) {
    // SAFETY: see above.
    let m = unsafe { machine(ctx) };
    m.debug_program_ends(ProgramEnd::Code(code));
    if m.trace.stats {
        eprint!("{}", m.statistics());
    }
    m.save_code();
    // SAFETY: ends all threads at once; nothing of this process is needed any more.
    unsafe { libc::_exit(code) }
}
unsafe extern "C" fn user_debug(cpu: *mut CpuHeader, event: u32, value: u64) -> u64 {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    match event {
        user_event::SIGNAL => m.debug_signal(v, value as u32).into(),
        user_event::DIES => {
            m.debug_dies(value as u32);
            m.save_code();
            value
        }
        user_event::EXECS => {
            m.save_code();
            value
        }
        user_event::AUXV => {
            if let Some(user) = &m.user {
                user.auxv.store(value, Ordering::SeqCst);
            }
            value
        }
        _ => value,
    }
}
unsafe extern "C" fn linux_signal(cpu: *mut CpuHeader, signal: *const LinuxSignal) -> u32 {
    // SAFETY: see above.
    unsafe { u32::from(of(cpu).1.arch.linux_signal(cpu, signal) != 0) }
}
unsafe extern "C" fn linux_sigreturn(cpu: *mut CpuHeader, out: *mut LinuxReturn) -> u32 {
    // SAFETY: see above.
    unsafe { u32::from(of(cpu).1.arch.linux_sigreturn(cpu, out) != 0) }
}
unsafe extern "C" fn linux_probe(ctx: *mut c_void, key: u64, out: *mut u64) -> u32 {
    // SAFETY: see above.
    match unsafe { machine(ctx) }.arch().linux_probe(key) {
        Some(value) => {
            // SAFETY: see above.
            unsafe { out.write(value) };
            0
        }
        None => 1,
    }
}
