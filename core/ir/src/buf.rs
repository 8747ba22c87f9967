//! The op buffer that crosses the plugin boundary.
//!
//! The host owns the memory; the plugin's builder (inlined on its side) appends records and calls back only to grow. A plain `#[repr(C)]`
//! layout on purpose: it can be dumped, compared and checked without either side's help.
#![allow(unsafe_code)]

use crate::Op;

/// A host-owned, growable array of ops and the counters that a builder needs.
#[repr(C)]
pub struct IrBuf {
    ops: *mut Op,
    len: u32,
    cap: u32,
    grow: unsafe extern "C" fn(*mut IrBuf),
    owner: *mut core::ffi::c_void,
    /// The next free 8-byte value slot.
    pub next_slot: u32,
    /// The next free label number.
    pub next_label: u32,
    /// Length in bytes of a `vl` vector while this block is translated.
    pub vl: u32,
    /// Not used; zero.
    pub reserved: u32,
}

impl IrBuf {
    /// The ops so far.
    pub fn ops(&self) -> &[Op] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `ops` points to `cap >= len` records owned by the `OwnedIrBuf` that this struct is part of; the first `len` were written
        // by `push`.
        unsafe { core::slice::from_raw_parts(self.ops, self.len as usize) }
    }
    /// The same, to be changed.
    pub fn ops_mut(&mut self) -> &mut [Op] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as for `ops`; the buffer is borrowed for as long as the slice is.
        unsafe { core::slice::from_raw_parts_mut(self.ops, self.len as usize) }
    }
    /// Number of ops.
    pub fn len(&self) -> usize {
        self.len as usize
    }
    /// True if nothing has been appended.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Appends an op.
    #[inline]
    pub fn push(&mut self, op: Op) {
        if self.len == self.cap {
            // SAFETY: `grow` is the function that the owner put there for exactly this struct.
            unsafe { (self.grow)(self) };
        }
        debug_assert!(self.len < self.cap);
        // SAFETY: `len < cap` after `grow`, and `ops` points to `cap` records.
        unsafe { self.ops.add(self.len as usize).write(op) };
        self.len += 1;
    }
    /// Drops all ops from `len` on: what a target does with an instruction that turned out not to fit the block.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len as u32);
    }
}

/// The host's side of an [`IrBuf`].
pub struct OwnedIrBuf {
    buf: Box<IrBuf>,
    // Boxed so that its address, which `IrBuf::owner` holds, does not move.
    #[allow(clippy::box_collection)]
    storage: Box<Vec<Op>>,
}

unsafe extern "C" fn grow(buf: *mut IrBuf) {
    // SAFETY: `buf` is the `IrBuf` inside an `OwnedIrBuf`, and `owner` its boxed storage; both live as long as the buffer is used.
    unsafe {
        let storage = &mut *((*buf).owner as *mut Vec<Op>);
        storage.set_len((*buf).len as usize);
        storage.reserve(storage.len().max(1024));
        (*buf).ops = storage.as_mut_ptr();
        (*buf).cap = storage.capacity() as u32;
    }
}

impl OwnedIrBuf {
    /// An empty buffer; `vl` is the run-time vector length in bytes, 0 when the target has none.
    pub fn new(vl: u32) -> OwnedIrBuf {
        let mut storage = Box::new(Vec::with_capacity(1024));
        let buf = Box::new(IrBuf {
            ops: storage.as_mut_ptr(),
            len: 0,
            cap: storage.capacity() as u32,
            grow,
            owner: core::ptr::from_mut(&mut *storage).cast(),
            next_slot: 0,
            next_label: 0,
            vl,
            reserved: 0,
        });
        OwnedIrBuf { buf, storage }
    }
    /// Empties the buffer for the next block.
    pub fn clear(&mut self) {
        self.buf.len = 0;
        self.buf.next_slot = 0;
        self.buf.next_label = 0;
    }
    /// Bytes of memory held.
    pub fn capacity_bytes(&self) -> usize {
        self.storage.capacity() * size_of::<Op>()
    }
}

impl std::ops::Deref for OwnedIrBuf {
    type Target = IrBuf;
    fn deref(&self) -> &IrBuf {
        &self.buf
    }
}

impl std::ops::DerefMut for OwnedIrBuf {
    fn deref_mut(&mut self) -> &mut IrBuf {
        &mut self.buf
    }
}

// SAFETY: the raw pointers point into the boxes that this struct owns; nothing else has them.
unsafe impl Send for OwnedIrBuf {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ir, Ty};

    #[test]
    fn grows_and_truncates() {
        let mut buf = OwnedIrBuf::new(0);
        let mut ir = Ir::new(&mut buf);
        for i in 0..5000u64 {
            ir.iconst(Ty::I64, i);
        }
        assert_eq!(buf.len(), 5000);
        assert!(buf.ops().iter().enumerate().all(|(i, op)| op.imm == i as u64));
        buf.truncate(3);
        assert_eq!(buf.ops().len(), 3);
        buf.clear();
        assert!(buf.is_empty());
        assert!(buf.capacity_bytes() >= 5000 * size_of::<Op>());
    }
}
