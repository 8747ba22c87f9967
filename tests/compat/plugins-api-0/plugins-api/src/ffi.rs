//! Borrowed data that crosses the boundary. Nothing here owns memory: who allocated it frees it.

use core::ffi::c_void;
use std::marker::PhantomData;

/// A borrowed array.
#[repr(C)]
pub struct Slice<'a, T> {
    ptr: *const T,
    len: usize,
    life: PhantomData<&'a [T]>,
}

impl<T> Clone for Slice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Slice<'_, T> {}

impl<T: std::fmt::Debug> std::fmt::Debug for Slice<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

// SAFETY: a `Slice` is a shared borrow of `T`s.
unsafe impl<T: Sync> Send for Slice<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Slice<'_, T> {}

impl<'a, T> Slice<'a, T> {
    /// Borrows a slice.
    pub const fn new(s: &'a [T]) -> Self {
        Slice { ptr: s.as_ptr(), len: s.len(), life: PhantomData }
    }
    /// The slice.
    pub const fn get(self) -> &'a [T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: made by `new` from a slice that outlives 'a; the other side of the boundary promises the same.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// A borrowed UTF-8 string.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Str<'a>(Slice<'a, u8>);

impl<'a> Str<'a> {
    /// Borrows a string.
    pub const fn new(s: &'a str) -> Self {
        Str(Slice::new(s.as_bytes()))
    }
    /// The string; what is not UTF-8 reads as "?".
    pub fn get(self) -> &'a str {
        core::str::from_utf8(self.0.get()).unwrap_or("?")
    }
}

impl std::fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// A borrowed `key=value`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeyValue<'a> {
    /// Left of the equals sign.
    pub key: Str<'a>,
    /// Right of it.
    pub value: Str<'a>,
}

/// Where the callee appends bytes that the caller wants to own: error texts, saved state.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sink {
    ctx: *mut c_void,
    write: unsafe extern "C" fn(*mut c_void, *const u8, usize),
}

unsafe extern "C" fn append(ctx: *mut c_void, data: *const u8, len: usize) {
    // SAFETY: `ctx` is the Vec that `Sink::to` borrowed for the length of the call; `data` is readable for `len` bytes.
    unsafe { (*ctx.cast::<Vec<u8>>()).extend_from_slice(core::slice::from_raw_parts(data, len)) }
}

impl Sink {
    /// A sink that appends to `out`; valid while the borrow that it was made from lasts.
    pub fn to(out: &mut Vec<u8>) -> Sink {
        Sink { ctx: core::ptr::from_mut(out).cast(), write: append }
    }
    /// Appends bytes.
    pub fn write(&self, bytes: &[u8]) {
        // SAFETY: the sink is used only during the call that it was passed to.
        unsafe { (self.write)(self.ctx, bytes.as_ptr(), bytes.len()) }
    }
}
