//! Devices: what a machine maps into the address space.
//!
//! A device knows offsets and named lines; never its base address, its interrupt number or its machine. It locks itself; the host calls it
//! from any thread.

use crate::{Sink, Slice, Str};
use core::ffi::c_void;
use std::sync::Arc;

/// A device model.
pub trait Device: Send + Sync + 'static {
    /// Name of this instance, as logs and snapshots call it ("uart0").
    fn name(&self) -> &str;
    /// A load of `size` (1, 2, 4 or 8) bytes at a byte offset in its window. `None` answers with a bus error.
    fn read(&self, offset: u64, size: u32) -> Option<u64>;
    /// A store; false answers with a bus error.
    fn write(&self, offset: u64, size: u32, value: u64) -> bool;
    /// Power-on state.
    fn reset(&self);
    /// Timer `id` has expired.
    fn timer(&self, id: u32) {
        let _ = id;
    }
    /// Input from a host stream; how many bytes were taken. The host offers the rest again after the device has been read.
    fn receive(&self, data: &[u8]) -> usize {
        data.len()
    }
    /// Everything that `load` needs to go on as if nothing had happened.
    fn save(&self) -> Vec<u8>;
    /// Restores what `save` gave. On an error the device is as after `reset`.
    fn load(&self, saved: &[u8]) -> Result<(), String>;
}

/// The C side of a device.
#[repr(C)]
pub struct DeviceVtable {
    name: unsafe extern "C" fn(*mut c_void) -> Str<'static>,
    read: unsafe extern "C" fn(*mut c_void, u64, u32, *mut u64) -> u64,
    write: unsafe extern "C" fn(*mut c_void, u64, u32, u64) -> u64,
    reset: unsafe extern "C" fn(*mut c_void),
    timer: unsafe extern "C" fn(*mut c_void, u32),
    receive: unsafe extern "C" fn(*mut c_void, Slice<'_, u8>) -> usize,
    save: unsafe extern "C" fn(*mut c_void, Sink),
    load: unsafe extern "C" fn(*mut c_void, Slice<'_, u8>, Sink) -> u32,
}

type Object = Arc<dyn Device>;

// SAFETY (all shims below): `o` is the `Box<Object>` that `export` leaked; it lives as long as the process.
unsafe extern "C" fn name(o: *mut c_void) -> Str<'static> {
    // SAFETY: see above; the name lives as long as the device, which is never freed.
    Str::new(unsafe { core::mem::transmute::<&str, &'static str>((*o.cast::<Object>()).name()) })
}
unsafe extern "C" fn read(o: *mut c_void, offset: u64, size: u32, value: *mut u64) -> u64 {
    // SAFETY: see above; `value` is the caller's.
    unsafe {
        match (*o.cast::<Object>()).read(offset, size) {
            Some(v) => {
                *value = v;
                crate::fault::NONE
            }
            None => crate::fault::BUS,
        }
    }
}
unsafe extern "C" fn write(o: *mut c_void, offset: u64, size: u32, value: u64) -> u64 {
    // SAFETY: see above.
    if unsafe { (*o.cast::<Object>()).write(offset, size, value) } { crate::fault::NONE } else { crate::fault::BUS }
}
unsafe extern "C" fn reset(o: *mut c_void) {
    // SAFETY: see above.
    unsafe { (*o.cast::<Object>()).reset() }
}
unsafe extern "C" fn timer(o: *mut c_void, id: u32) {
    // SAFETY: see above.
    unsafe { (*o.cast::<Object>()).timer(id) }
}
unsafe extern "C" fn receive(o: *mut c_void, data: Slice<'_, u8>) -> usize {
    // SAFETY: see above.
    unsafe { (*o.cast::<Object>()).receive(data.get()) }
}
unsafe extern "C" fn save(o: *mut c_void, out: Sink) {
    // SAFETY: see above.
    out.write(&unsafe { (*o.cast::<Object>()).save() });
}
unsafe extern "C" fn load(o: *mut c_void, saved: Slice<'_, u8>, error: Sink) -> u32 {
    // SAFETY: see above.
    match unsafe { (*o.cast::<Object>()).load(saved.get()) } {
        Ok(()) => 0,
        Err(e) => {
            error.write(e.as_bytes());
            1
        }
    }
}

static VTABLE: DeviceVtable = DeviceVtable { name, read, write, reset, timer, receive, save, load };

/// A device as the host calls it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceHandle {
    object: *mut c_void,
    vtable: *const DeviceVtable,
}

// SAFETY: a `Device` is Send and Sync, and never freed.
unsafe impl Send for DeviceHandle {}
// SAFETY: as above.
unsafe impl Sync for DeviceHandle {}

impl DeviceHandle {
    /// Gives a device to the host for good.
    pub(crate) fn export(device: Object) -> (*mut c_void, *const DeviceVtable) {
        (Box::into_raw(Box::new(device)).cast(), &VTABLE)
    }
    /// A device of the host's own process half (tests, host-side devices).
    pub fn local(device: Object) -> DeviceHandle {
        let (object, vtable) = DeviceHandle::export(device);
        DeviceHandle { object, vtable }
    }
    /// What `map_device` received.
    ///
    /// # Safety
    /// The two must belong together and live as long as the process.
    pub unsafe fn from_raw(object: *mut c_void, vtable: *const DeviceVtable) -> DeviceHandle {
        DeviceHandle { object, vtable }
    }
    fn vt(&self) -> &DeviceVtable {
        // SAFETY: contract of `from_raw`, for this and every call below.
        unsafe { &*self.vtable }
    }
    /// Name of the instance.
    pub fn name(&self) -> &str {
        // SAFETY: see `vt`.
        unsafe { (self.vt().name)(self.object) }.get()
    }
    /// A load; the fault (0: none) and the value.
    #[inline]
    pub fn read(&self, offset: u64, size: u32) -> Result<u64, u64> {
        let mut value = 0;
        // SAFETY: see `vt`.
        match unsafe { (self.vt().read)(self.object, offset, size, &mut value) } {
            crate::fault::NONE => Ok(value),
            fault => Err(fault),
        }
    }
    /// A store.
    #[inline]
    pub fn write(&self, offset: u64, size: u32, value: u64) -> Result<(), u64> {
        // SAFETY: see `vt`.
        match unsafe { (self.vt().write)(self.object, offset, size, value) } {
            crate::fault::NONE => Ok(()),
            fault => Err(fault),
        }
    }
    /// Power-on state.
    pub fn reset(&self) {
        // SAFETY: see `vt`.
        unsafe { (self.vt().reset)(self.object) }
    }
    /// A timer has expired.
    pub fn timer(&self, id: u32) {
        // SAFETY: see `vt`.
        unsafe { (self.vt().timer)(self.object, id) }
    }
    /// Offers input; how much was taken.
    pub fn receive(&self, data: &[u8]) -> usize {
        // SAFETY: see `vt`.
        unsafe { (self.vt().receive)(self.object, Slice::new(data)) }
    }
    /// Saved state.
    pub fn save(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // SAFETY: see `vt`; `out` lives through the call.
        unsafe { (self.vt().save)(self.object, Sink::to(&mut out)) };
        out
    }
    /// Restores saved state.
    pub fn load(&self, saved: &[u8]) -> Result<(), String> {
        let mut error = Vec::new();
        // SAFETY: see `vt`; `error` lives through the call.
        match unsafe { (self.vt().load)(self.object, Slice::new(saved), Sink::to(&mut error)) } {
            0 => Ok(()),
            _ => Err(String::from_utf8_lossy(&error).into_owned()),
        }
    }
}
