//! Guest memory: the physical address space of a machine and the per-CPU caches of translations.
//!
//! [`AddressSpace`] holds RAM and device windows. It is filled while the machine is made and then frozen, so that look-ups need no lock.
//! Every 4 KiB page of RAM has a byte of flags: whether translated code was made from it and whether it was written. All writers, CPUs and
//! devices alike, go through [`AddressSpace::note_write`] or hold a write entry that exists only while a page is dirty and without code.
//!
//! [`Tlb`] is one privilege view's cache of translations of one CPU; only that CPU's thread touches it.

mod aside;
mod ram;
mod space;
mod tlb;

pub use aside::{Aside, LargeMappings, VA_MASK};
pub use ram::{PAGE_BITS, PAGE_SIZE, Ram};
pub use space::{AddressSpace, Hit, MapError, Window};
pub use tlb::{ENTRIES as TLB_ENTRIES, Entry, KNOWN, Lookup, Tlb, slow};
