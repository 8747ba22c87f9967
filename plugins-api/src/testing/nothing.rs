//! A host that has nothing and does nothing, each service as if its answer were "there is none": what a mock puts its own services before.
#![allow(unsafe_code)] // A table of C functions.

use crate::{
    Access, CpuHeader, DeviceVtable, HostServices, LinuxAbi, LinuxReturn, LinuxSignal, Power, SemihostingCall, Str, SystemEvent, TlbFlush, UserFault,
    UserKernelVtable, UserMemory,
};
use core::ffi::c_void;

unsafe extern "C" fn log(_: u32, _: Str<'_>, _: Str<'_>) {}
unsafe extern "C" fn clock(_: *mut c_void) -> u64 {
    0
}
unsafe extern "C" fn cpu_timer(_: *mut CpuHeader, _: u32, _: u64) {}
unsafe extern "C" fn tlb_flush(_: *mut CpuHeader, _: *const TlbFlush) {}
unsafe extern "C" fn address_space(_: *mut CpuHeader, _: u32) {}
unsafe extern "C" fn address_space_in(_: *mut CpuHeader, _: u32, _: u32) {}
unsafe extern "C" fn physical(_: *mut c_void, _: u64, _: *mut u8, _: usize, _: u32) -> u64 {
    crate::fault::BUS
}
unsafe extern "C" fn physical_cas(_: *mut c_void, _: u64, _: u64, _: u64) -> u32 {
    2
}
unsafe extern "C" fn virtual_access(_: *mut CpuHeader, _: *mut Access, _: *mut u8, _: usize) -> u64 {
    crate::fault::BUS
}
unsafe extern "C" fn code_changed(_: *mut CpuHeader, _: u64, _: u64, _: u32) {}
unsafe extern "C" fn cpu_output(_: *mut CpuHeader, _: u32, _: u32) {}
unsafe extern "C" fn bank_access(_: *mut CpuHeader, _: u32, _: *mut u64, _: u32) -> u32 {
    1
}
unsafe extern "C" fn firmware_call(_: *mut CpuHeader, _: *mut u64) -> u32 {
    1
}
unsafe extern "C" fn random(_: *mut c_void) -> u64 {
    0x0123_4567_89ab_cdef
}
unsafe extern "C" fn send_event(_: *mut c_void) {}
unsafe extern "C" fn map_ram(_: *mut c_void, _: Str<'_>, _: u64, _: u64, _: u32) -> u64 {
    0
}
unsafe extern "C" fn map_device(_: *mut c_void, _: u64, _: u64, _: *mut c_void, _: *const DeviceVtable, _: u32) -> u64 {
    0
}
unsafe extern "C" fn device_direct(_: *mut c_void, _: u64, _: u32) {}
unsafe extern "C" fn device_backing(_: *mut c_void, _: u64, _: u64, _: *mut u8, _: usize, _: u32) -> u64 {
    crate::fault::BUS
}
unsafe extern "C" fn cpu_line(_: *mut c_void, _: u32, _: u32, _: u32) {}
unsafe extern "C" fn cpu_power(_: *mut c_void, _: u32, _: Power, _: u64, _: u64) -> Power {
    Power::NO_CPU
}
unsafe extern "C" fn system_event(_: *mut c_void, _: SystemEvent, _: u32) {}
unsafe extern "C" fn device_timer(_: *mut c_void, _: u64, _: u32, _: u64) {}
unsafe extern "C" fn stream_open(_: *mut c_void, _: u64, _: Str<'_>) -> u64 {
    0
}
unsafe extern "C" fn stream_write(_: *mut c_void, _: u64, _: *const u8, _: usize) {}
unsafe extern "C" fn wall_clock(_: *mut c_void) -> u64 {
    0
}
unsafe extern "C" fn semihosting(_: *mut CpuHeader, _: *mut SemihostingCall) -> u32 {
    1
}
unsafe extern "C" fn user_attach(_: *mut c_void, _: *const c_void, _: *const UserKernelVtable, _: *mut UserMemory) -> u32 {
    1
}
unsafe extern "C" fn linux_abi(_: *mut c_void, _: *mut LinuxAbi) -> u32 {
    1
}
unsafe extern "C" fn user_fault(_: *mut CpuHeader, _: *const UserFault) {}
unsafe extern "C" fn user_pages(_: *mut c_void, _: u64, _: u64, _: u32) {}
unsafe extern "C" fn user_writes(_: *mut c_void, _: u64, _: u64) {}
unsafe extern "C" fn user_copy(_: *mut u8, _: *const u8, bytes: usize) -> usize {
    bytes
}
unsafe extern "C" fn user_thread(_: *mut CpuHeader, _: u64) -> u32 {
    1
}
unsafe extern "C" fn user_fork(_: *mut CpuHeader) -> i64 {
    -38
}
unsafe extern "C" fn user_vfork(_: *mut CpuHeader, _: u64) -> i64 {
    -38
}
unsafe extern "C" fn user_alone(_: *mut c_void, _: u32) {}
unsafe extern "C" fn virtual_move(_: *mut CpuHeader, _: *const Access, _: *const Access, _: u32) -> u32 {
    1
}
unsafe extern "C" fn user_debug(_: *mut CpuHeader, _: u32, value: u64) -> u64 {
    value
}
unsafe extern "C" fn user_exit(_: *mut c_void, _: i32) {}
unsafe extern "C" fn linux_signal(_: *mut CpuHeader, _: *const LinuxSignal) -> u32 {
    1
}
unsafe extern "C" fn linux_sigreturn(_: *mut CpuHeader, _: *mut LinuxReturn) -> u32 {
    1
}
unsafe extern "C" fn linux_probe(_: *mut c_void, _: u64, _: *mut u64) -> u32 {
    1
}

/// The table, to be completed: `HostServices { clock, ..NOTHING }`.
pub const NOTHING: HostServices = HostServices {
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
    semihosting,
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
