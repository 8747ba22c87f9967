//! What a plugin says of itself that the host can see to be wrong before it trusts it: tables of functions with holes, sizes that contradict each
//! other. The sentences have no file's name; whoever asks puts it in front.

use crate::ir::Shape;
use crate::{CpuHeader, Field, Helper, MachineVtable, StateLayout, TargetVtable};

/// Largest state of a CPU, in bytes. Vector registers of the largest length and everything else take less than a hundredth of it.
const STATE_MAX: u32 = 16 << 20;
/// What a broken plugin's user can do.
const REBUILD: &str = "the plugin is broken, rebuild it with the plugins-api of this emu";

/// Looks at a table's functions, of which `needed` must be there.
///
/// # Safety
/// A table that is not null must have that many functions.
unsafe fn functions(what: &str, name: &str, table: *const u8, needed: usize) -> Result<(), String> {
    if table.is_null() || !table.addr().is_multiple_of(align_of::<usize>()) {
        return Err(format!("has no table of functions for the {what} '{name}'; {REBUILD}"));
    }
    for n in 0..needed {
        // SAFETY: the caller says so. Read as a number: a function that is null must not be made.
        if unsafe { table.cast::<usize>().add(n).read() } == 0 {
            return Err(format!("has no function number {n} in its table for the {what} '{name}'; {REBUILD}"));
        }
    }
    Ok(())
}

/// Checks a target's table.
///
/// # Safety
/// It must be one of at least `TargetVtable::FIRST_BYTES`, or null.
pub(crate) unsafe fn target(name: &str, table: *const TargetVtable) -> Result<(), String> {
    // SAFETY: the caller says so; what was appended later may be missing.
    unsafe { functions("target", name, table.cast(), TargetVtable::FIRST_BYTES / size_of::<usize>()) }
}

/// Checks a machine's table.
///
/// # Safety
/// It must be one, or null.
pub(crate) unsafe fn machine(name: &str, table: *const MachineVtable) -> Result<(), String> {
    // SAFETY: the caller says so.
    unsafe { functions("machine", name, table.cast(), size_of::<MachineVtable>() / size_of::<usize>()) }
}

/// Checks that what a target says of its CPUs fits together: generated code relies on it without looking.
pub(crate) fn layout(layout: &StateLayout) -> Result<(), String> {
    let size = u64::from(layout.size);
    let wrong = |text: String| Err(format!("the target {text}; {REBUILD}"));
    if layout.size < size_of::<CpuHeader>() as u32 || layout.size > STATE_MAX {
        return wrong(format!(
            "says that its CPUs have {size} bytes of state, of which {} are the header and {STATE_MAX} the most",
            size_of::<CpuHeader>()
        ));
    }
    if layout.views == 0 || layout.views > 32 || !(8..=30).contains(&layout.page_bits) || !(1..=64).contains(&layout.insn_bytes) {
        return wrong(format!(
            "says that it has {} views, pages of 2^{} bytes and instructions of {}",
            layout.views, layout.page_bits, layout.insn_bytes
        ));
    }
    for Field { name, offset, ty, shape, count, stride, .. } in layout.fields.get() {
        if !ty.is_valid() || !shape.is_valid() {
            return wrong(format!("has a field '{}' of no type that there is", name.get()));
        }
        let last = u64::from(*offset) + u64::from(*stride) * u64::from(count.saturating_sub(1));
        let bytes = u64::from(if *shape == Shape::SCALAR { ty.bytes() } else { shape.bytes(1) });
        if last + bytes > size {
            return wrong(format!("has a field '{}' that ends behind its {size} bytes of state", name.get()));
        }
    }
    for Helper { name, func, .. } in layout.helpers.get() {
        // SAFETY: read as a number, which the function's address is.
        if unsafe { core::ptr::from_ref(func).cast::<usize>().read() } == 0 {
            return wrong(format!("has a helper '{}' without a function", name.get()));
        }
    }
    match layout.pins.get().iter().find(|pin| u64::from(**pin) + 8 > size || !pin.is_multiple_of(8)) {
        Some(pin) => wrong(format!("wants the 64 bits at {pin} of its {size} bytes of state in a register")),
        None => Ok(()),
    }
}
