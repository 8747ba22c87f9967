//! A virtual CPU as both sides see it: the header in front, the target's state behind it, and what the target declares about both.

use crate::{HostServices, Slice, Str};
use core::ffi::c_void;
use core::sync::atomic::AtomicU32;
use emu_ir::{Shape, Ty};

/// The host-owned head of every CPU, at offset 0; the target's state follows in the same allocation. Generated code addresses both by
/// constant offsets, so the layout is part of the ABI.
///
/// Only `exit_request`, `lines` and `event` are touched by other threads.
#[repr(C, align(64))]
pub struct CpuHeader {
    /// Program counter, a virtual address. Exact whenever the dispatcher or a helper with `NEEDS_PC` runs.
    pub pc: u64,
    /// What besides the address a translation depends on; the target keeps it current. The top byte is zero.
    pub mode_key: u64,
    /// Not zero: leave translated code at the next check.
    pub exit_request: AtomicU32,
    /// Levels of the CPU's input lines, a bit each in the order that the target declares them.
    pub lines: AtomicU32,
    /// Sticky floating-point exceptions (`softfloat::Flags` bits) and, bit 8, saturation.
    pub fp_flags: u32,
    /// Not zero: the CPU waits (1 for an interrupt, 2 for an event) or is powered off (3).
    pub halted: u32,
    /// Instructions retired. Exact wherever the host looks: at exits and calls.
    pub insns: u64,
    /// Exclusive monitor: virtual address.
    pub monitor_addr: u64,
    /// Exclusive monitor: the value that was loaded.
    pub monitor_value: [u64; 2],
    /// Exclusive monitor: size in bytes, 0 when closed.
    pub monitor_size: u32,
    /// Number of this CPU, from 0.
    pub index: u32,
    /// The event register (send-event, wait-for-event).
    pub event: AtomicU32,
    /// Number of the first CPU of this target: not 0 where the machine has CPUs of another one as well.
    pub first: u32,
    /// The host's functions.
    pub services: *const HostServices,
    /// The host's own record of this CPU.
    pub host: *mut c_void,
    /// The target's own record of this machine (what `create` returned).
    pub instance: *const c_void,
    /// Physical address of the machine's largest plain RAM, a multiple of 8.
    pub ram_base: u64,
    /// Size in bytes, a multiple of 8, of what can be read there directly; 0: nothing.
    pub ram_bytes: u64,
    /// Where the host has it; aligned to 8 bytes, and there as long as the machine.
    pub ram: *const u8,
    /// Not used; zero.
    pub reserved: [u64; 13],
}

impl CpuHeader {
    /// Number of this CPU among those of its target, from 0: what the guest knows it by.
    pub const fn number(&self) -> u32 {
        self.index.wrapping_sub(self.first)
    }
}

// SAFETY: the pointers are to the host's and the target's per-machine records, which any thread may use.
unsafe impl Send for CpuHeader {}

/// The bit of `fp_flags` that a saturating op sets.
pub const FP_FLAG_SATURATED: u32 = 1 << 8;

/// A target's CPU state.
///
/// # Safety
/// The type must be `#[repr(C)]` with a [`CpuHeader`] as its first member, and any bit pattern of zeroes must be a valid value.
pub unsafe trait CpuState: Send + 'static {
    /// The header.
    fn header(&self) -> &CpuHeader {
        // SAFETY: the header is the first member (trait contract).
        unsafe { &*core::ptr::from_ref(self).cast::<CpuHeader>().cast() }
    }
    /// The header.
    fn header_mut(&mut self) -> &mut CpuHeader
    where
        Self: Sized,
    {
        // SAFETY: as above.
        unsafe { &mut *core::ptr::from_mut(self).cast::<CpuHeader>() }
    }
}

/// What a state field is for. Register allocation, gdb's description, traces and snapshots go by it.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldClass(pub u8);

impl FieldClass {
    /// A general-purpose register.
    pub const GPR: FieldClass = FieldClass(0);
    /// A vector or floating-point register.
    pub const VECTOR: FieldClass = FieldClass(1);
    /// A condition flag, one bit in a byte.
    pub const FLAG: FieldClass = FieldClass(2);
    /// A predicate register.
    pub const PREDICATE: FieldClass = FieldClass(3);
    /// A system register.
    pub const SYSTEM: FieldClass = FieldClass(4);
    /// Anything else that must be saved.
    pub const OTHER: FieldClass = FieldClass(5);
}

/// A declared piece of CPU state. Every byte behind the header that matters lies in exactly one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name, as debuggers show it; elements of an array get their index appended.
    pub name: Str<'static>,
    /// Byte offset from the start of the header.
    pub offset: u32,
    /// Type of an element.
    pub ty: Ty,
    /// Shape of an element.
    pub shape: Shape,
    /// What it is for.
    pub class: FieldClass,
    /// Not used; zero.
    pub reserved: u8,
    /// Number of elements, `stride` bytes apart.
    pub count: u32,
    /// Distance in bytes of two elements.
    pub stride: u32,
}

/// What a helper returns: in two registers.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HelperReturn {
    /// The value of the `call` op.
    pub value: u64,
    /// Not zero: the helper has made an exception or another change of control; the block ends here and the state, program counter
    /// included, is already what it has to be.
    pub exit: u64,
}

impl HelperReturn {
    /// Goes on with a value.
    pub const fn value(value: u64) -> HelperReturn {
        HelperReturn { value, exit: 0 }
    }
    /// Leaves the block; the state is complete.
    pub const fn exit() -> HelperReturn {
        HelperReturn { value: 0, exit: 1 }
    }
}

/// The one signature of helpers: the CPU, up to three values, one constant.
pub type HelperFn = unsafe extern "C" fn(cpu: *mut CpuHeader, a: u64, b: u64, c: u64, imm: u64) -> HelperReturn;

/// Effects of a helper: what it may do besides computing a value.
pub mod effect {
    /// Reads CPU state.
    pub const READS_STATE: u32 = 1;
    /// Writes CPU state.
    pub const WRITES_STATE: u32 = 2;
    /// Reads guest memory.
    pub const READS_MEMORY: u32 = 4;
    /// Writes guest memory.
    pub const WRITES_MEMORY: u32 = 8;
    /// May return with `exit` set.
    pub const MAY_EXIT: u32 = 16;
    /// Looks at the program counter or the instruction count in the header.
    pub const NEEDS_PC: u32 = 32;
    /// Touches devices, time or other CPUs.
    pub const IO: u32 = 64;
    /// Adds to the sticky floating-point flags.
    pub const STICKY: u32 = 128;
    /// Everything: for helpers that are not worth describing.
    pub const ANY: u32 = 255;
    /// Never comes back to the block: it always returns with `exit` set.
    pub const ALWAYS_EXITS: u32 = 256;
}

/// A helper, called by its index in the target's list.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Helper {
    /// Name, for traces.
    pub name: Str<'static>,
    /// The function.
    pub func: HelperFn,
    /// `effect::` bits.
    pub effects: u32,
    /// Not used; zero.
    pub reserved: u32,
}

/// What a target declares of its CPUs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StateLayout {
    /// Size of header and state in bytes.
    pub size: u32,
    /// Number of privilege views that memory ops use.
    pub views: u32,
    /// All state.
    pub fields: Slice<'static, Field>,
    /// All helpers.
    pub helpers: Slice<'static, Helper>,
    /// Names of the input lines, in the order of their bits in `CpuHeader::lines`.
    pub inputs: Slice<'static, Str<'static>>,
    /// Names of the output lines (timers, performance counters), by number.
    pub outputs: Slice<'static, Str<'static>>,
    /// Smallest page size the target uses, as a power of two.
    pub page_bits: u32,
    /// Size in bytes of the smallest instruction.
    pub insn_bytes: u32,
    /// Offsets of 64-bit fields that are best kept in host registers, the most used first; the host takes as many as it has room for.
    pub pins: Slice<'static, u32>,
    /// `layout_flag::` bits.
    pub flags: u32,
    /// Not used; zero.
    pub reserved: u32,
}

impl StateLayout {
    /// Size of the struct before anything was appended to it.
    pub const FIRST_BYTES: usize = core::mem::offset_of!(StateLayout, pins);
}

/// Bits of [`StateLayout::flags`].
pub mod layout_flag {
    /// What a target translates depends on the virtual address only as the ops say: static successors, addresses of instructions, and `address`.
    /// Blocks may then be run at any virtual address whole pages away from the one they were translated for, if the sign is the same.
    pub const POSITION_INDEPENDENT: u32 = 1;
}

/// Kind of a memory access.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessKind(pub u8);

impl AccessKind {
    /// A load.
    pub const READ: AccessKind = AccessKind(0);
    /// A store.
    pub const WRITE: AccessKind = AccessKind(1);
    /// An instruction fetch.
    pub const FETCH: AccessKind = AccessKind(2);
    /// An atomic read-modify-write: both permissions are needed; a fault is a write fault unless reading alone would fault too.
    pub const READ_WRITE: AccessKind = AccessKind(3);
}

/// A memory access that needs translation or has faulted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Virtual address; for an access that crosses a page, of its first byte in the page in question.
    pub va: u64,
    /// Size in bytes of the whole access.
    pub size: u32,
    /// What it does.
    pub kind: AccessKind,
    /// Privilege view.
    pub view: u8,
    /// Not used; zero.
    pub reserved: u16,
    /// The `MemFlags` of the op.
    pub mem_flags: u32,
    /// `aux` of the `insn_start` op of the instruction.
    pub insn_info: u32,
}

/// Faults that the host finds. Those that a target finds in a page walk are its own numbers from 0x100 on.
pub mod fault {
    /// No fault.
    pub const NONE: u64 = 0;
    /// Misaligned, where `MemFlags` or the memory type asks for alignment.
    pub const ALIGNMENT: u64 = 1;
    /// Nothing answers at this physical address, or what answers refused.
    pub const BUS: u64 = 2;
    /// An exclusive or atomic access to memory that does not support it (a device).
    pub const UNSUPPORTED: u64 = 3;
    /// In user mode: nothing is mapped there.
    pub const UNMAPPED: u64 = 4;
    /// In user mode: what is mapped there does not permit the access.
    pub const PROTECTED: u64 = 5;
}

/// The answer of a page walk.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Translation {
    /// Physical address of the byte asked for.
    pub pa: u64,
    /// log2 of the size of the block or page that the descriptor maps (the whole of it shares this answer).
    pub page_bits: u8,
    /// `perm::` bits for the view asked for.
    pub perms: u8,
    /// `attr::` bits.
    pub attrs: u8,
    /// Not zero: valid for every address space identifier.
    pub global: u8,
    /// Not used; zero.
    pub reserved: u32,
}

/// Permissions in a [`Translation`].
pub mod perm {
    /// Loads.
    pub const READ: u8 = 1;
    /// Stores (for memory that tracks its first write, only once that is recorded).
    pub const WRITE: u8 = 2;
    /// Instruction fetches.
    pub const EXEC: u8 = 4;
}

/// Attributes in a [`Translation`].
pub mod attr {
    /// Device memory: misaligned accesses fault.
    pub const DEVICE: u8 = 1;
    /// A page whose branch targets are guarded (FEAT_BTI and the like); shown to `translate`.
    pub const GUARDED: u8 = 2;
    /// Allocation tags are checked.
    pub const TAGGED: u8 = 4;
}

/// What the host wants translated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BlockRequest<'a> {
    /// Virtual address of the first instruction.
    pub pc: u64,
    /// Mode key.
    pub mode_key: u64,
    /// The bytes from `pc` on, up to the end of the page at most.
    pub code: Slice<'a, u8>,
    /// What the next page in virtual addresses probably begins with, or nothing. A guess for instructions that straddle: code made from it must
    /// find out each time whether it holds.
    pub next_page: Slice<'a, u8>,
    /// Translate at most this many instructions (at least 1).
    pub max_insns: u32,
    /// `attr::` bits of the page.
    pub page_attrs: u32,
}

/// What `translate` says of a block besides its ops.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockInfo {
    /// Bytes of guest code covered.
    pub bytes: u32,
    /// Number of instructions.
    pub insns: u32,
    /// Not used; zero.
    pub reserved: [u32; 6],
}

/// Answer of `interrupt`.
pub mod irq {
    /// An interrupt has been taken: the state has changed.
    pub const TAKEN: u32 = 1;
    /// A pending interrupt ends a wait, taken or not.
    pub const WAKE: u32 = 2;
}
