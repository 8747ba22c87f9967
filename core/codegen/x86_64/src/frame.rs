//! What generated code knows of its surroundings: offsets from the CPU pointer, registers that hold guest state, addresses to call.

use crate::asm::{Gpr, reg};

/// The register that holds the CPU pointer plus [`Frame::bias`].
pub const CPU: Gpr = reg::RBP;

/// Registers that hold guest state fields in all generated code, in the order in which fields get them. Those that a called function keeps
/// come first.
pub const PINS: [Gpr; 9] = [reg::RBX, reg::R12, reg::R13, reg::R14, reg::R15, reg::R8, reg::R9, reg::R10, reg::R11];

/// Registers for values. The last [`BORROWED`] may hold fields in a region instead.
pub const TEMPS: [Gpr; 5] = [reg::RAX, reg::RCX, reg::RDX, reg::RSI, reg::RDI];

/// Registers that a region may borrow from the temporaries.
pub(crate) const BORROWED: usize = 3;
/// [`PINS`], and behind them those that a region may have borrowed.
pub(crate) const HOMES: [Gpr; PINS.len() + BORROWED] = {
    use reg::{R8, R9, R10, R11, R12, R13, R14, R15, RBX, RDI, RDX, RSI};
    [RBX, R12, R13, R14, R15, R8, R9, R10, R11, RDI, RSI, RDX]
};

/// Instruction set extensions of the host that code may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)] // The names are the manual's.
pub struct HostFeatures {
    pub lzcnt: bool,
    pub bmi1: bool,
    pub bmi2: bool,
    pub avx: bool,
    pub avx2: bool,
    pub fma: bool,
    pub f16c: bool,
    pub aes: bool,
    pub pclmulqdq: bool,
    pub sha: bool,
    pub gfni: bool,
    pub avx512vl: bool,
}

impl HostFeatures {
    /// What the host has beyond x86-64-v2, which is required.
    pub fn detect() -> HostFeatures {
        use std::arch::is_x86_feature_detected as has;
        HostFeatures {
            lzcnt: has!("lzcnt"),
            bmi1: has!("bmi1"),
            bmi2: has!("bmi2"),
            avx: has!("avx"),
            avx2: has!("avx2"),
            fma: has!("fma"),
            f16c: has!("f16c"),
            aes: has!("aes"),
            pclmulqdq: has!("pclmulqdq"),
            sha: has!("sha"),
            gfni: has!("gfni"),
            avx512vl: has!("avx512vl") && has!("avx512bw") && has!("avx512dq"),
        }
    }
    /// The baseline, x86-64-v2: nothing more.
    pub const fn baseline() -> HostFeatures {
        HostFeatures {
            lzcnt: false,
            bmi1: false,
            bmi2: false,
            avx: false,
            avx2: false,
            fma: false,
            f16c: false,
            aes: false,
            pclmulqdq: false,
            sha: false,
            gfni: false,
            avx512vl: false,
        }
    }
}

/// Scratch memory of a CPU that generated code and the functions it calls exchange values through.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange {
    /// Result of a slow memory access.
    pub result: [u64; 2],
    /// Value to store, or operand of an atomic.
    pub value: [u64; 2],
    /// Expected value of a compare and swap.
    pub expected: [u64; 2],
    /// Virtual address of a slow memory access.
    pub va: u64,
    /// Instruction count at which control must come back.
    pub stop: u64,
    /// MXCSR that generated code begins with, and room to look at it.
    pub mxcsr: [u32; 2],
    /// Not zero if generated code may have raised floating-point exceptions that the header does not have yet.
    pub raised: u64,
    /// Why generated code was left: an `exit::` reason.
    pub reason: u64,
    /// Room to keep registers in.
    pub saved: [u64; 8],
    /// Stack pointer of generated code when no return is expected, below it none.
    pub stack: u64,
    /// Below this there is no room to expect another. The maximum if `exit_request` is set: so calls look at one of the two only. Whoever sets
    /// that sets this afterwards.
    pub stack_limit: u64,
    /// Not zero if returns that are expected must be forgotten before generated code goes on.
    pub forget_returns: u64,
    /// Virtual address of the page that the code which runs, if it can move, was entered at.
    pub page: u64,
    /// Not zero if a store-release may not have reached memory yet: the next load-acquire begins with a fence. Whoever carries loads out
    /// without generated code makes one first.
    pub released: u64,
    /// Room for a register while flags are made, and for operands that they are made from.
    pub deferred: [u64; 1 + DEFERRED_ROOMS],
    /// Where the last call and the first of those that were to be returned from when generated code was last left for a request come back to:
    /// guest addresses, or the maximum.
    pub callers: [u64; 2],
    /// See [`Frame::counts_loops`]: rounds before generated code is left for a sample, then negative.
    pub rounds: i64,
    /// Behind a slow access that looked up for others: the distance from guest to host addresses for all of them, or
    /// [`NOTHING`](crate::NOTHING).
    pub distance: u64,
    /// What the condition flags are made from if the fields do not have them, see [`unsettled`](crate::unsettled); 0 if they do. And from what operands.
    pub unsettled: u64,
    /// See above.
    pub operands: [u64; 2],
    /// The host's flags while a slow access is carried out in their way.
    pub flags: u64,
    /// Not zero if the dispatcher is asked for because code with a counter ([`Region::counter`](crate::Region::counter)) has run often enough.
    pub warm: u64,
    /// The distance from guest to host addresses that loads between loads found last; any value does.
    pub distances: [[u64; DISTANCES_ROW]; DISTANCES / DISTANCES_ROW],
}

/// Rooms for such loads. More of them share rooms.
pub const DISTANCES: usize = 256;
pub(crate) const DISTANCES_ROW: usize = 32;

/// Counters of runs: see [`Region::counter`](crate::Region::counter).
pub const COUNTERS: usize = 4096;
/// Runs of a region with a counter of its own before the dispatcher is asked for; a power of two from 256 to 32768.
pub const RUNS: i32 = 2048;

/// Operands of comparisons that are kept in memory at the same time.
pub const DEFERRED_ROOMS: usize = 4;

/// A line of a CPU's jump cache. Its place is the instruction address shifted right by [`Frame::jump_shift`], modulo [`JUMPS`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JumpEntry {
    /// Address of the instruction.
    pub pc: u64,
    /// Mode key that the code is for.
    pub mode: u64,
    /// Address of the code.
    pub code: u64,
    /// The embedder's.
    pub reserved: u64,
}

impl JumpEntry {
    /// A line that matches nothing: no code is made for a mode of all ones. Zeroes do as well but in the first line, since address 0 has its
    /// place there: the memory of lines that are not used is the host's.
    pub const EMPTY: JumpEntry = JumpEntry { pc: u64::MAX, mode: u64::MAX, code: 0, reserved: 0 };
}

/// Number of lines in a jump cache. With 16384 a compiler's code of 20 MiB missed 940,000 times in three seconds, which took a seventh of them.
pub const JUMPS: usize = 65536;

/// Geometry of the inline translation caches, one a view, one behind the other. The tags of an entry are the address of the page's last byte, with a
/// bit missing where accesses are slow: none of the lowest four.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlbShape {
    /// Offset of the first from the CPU.
    pub offset: i32,
    /// Number of entries, a power of two.
    pub entries: u32,
    /// log2 of the page size.
    pub page_bits: u8,
    /// Number of views that have one.
    pub views: u32,
    /// Offset of the [`Stretches`] of the first view; those of the others follow.
    pub stretches: i32,
}

/// Guest addresses that are all at one distance from the host's. All zeroes: none.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The first one, that of a page.
    pub first: u64,
    /// What is to be added.
    pub distance: u64,
    /// By [`STRETCH_SPANS`]: how many addresses so many bytes may begin at, from the first one on.
    pub sizes: [u64; STRETCH_SPANS.len()],
}

/// Numbers of bytes that accesses along a stretch are told apart by: one is of the first that its bytes fit into, and none has more than the last.
pub const STRETCH_SPANS: [u32; 4] = [1, 8, 16, 64];
/// Stretches of a kind: loops that have more share them, and each begins anew what the other has found. With 16 loops that run by turns were slower
/// with their stretches than without, where they had the same.
pub const STRETCHES: usize = 64;

/// The stretches of a view. Whoever changes an entry of its translation cache, or takes one away, makes those that are used and `used` zero.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Stretches {
    /// Those that are not zero, a bit each: for loads, and for stores.
    pub used: [u64; 2],
    /// For loads, and for stores.
    pub of: [[Stretch; STRETCHES]; 2],
}

/// Bytes of a translation cache entry: tag for loads, tag for stores, addend, the rest.
pub const TLB_ENTRY: u32 = 32;
/// log2 of it.
pub const TLB_ENTRY_BITS: u8 = 5;

/// A function that generated code calls for the guest's `call` op.
#[derive(Clone, Copy, Debug)]
pub struct HelperAddress {
    /// Its address.
    pub address: usize,
    /// It looks at state.
    pub reads_state: bool,
    /// It changes state.
    pub writes_state: bool,
    /// It may leave the block.
    pub may_exit: bool,
    /// It never comes back to the block.
    pub always_exits: bool,
    /// It looks at program counter or instruction count.
    pub needs_pc: bool,
}

/// Offsets, from the CPU pointer, of what the header holds.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct HeaderOffsets {
    pub pc: i32,
    pub mode_key: i32,
    pub exit_request: i32,
    pub insns: i32,
    pub fp_flags: i32,
    pub monitor_addr: i32,
    pub monitor_value: i32,
    pub monitor_size: i32,
}

/// Functions of the embedder. All take the CPU pointer first.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    /// `fn(cpu) -> code address or 0`: what to run at `header.pc`; 0 to leave.
    pub next: usize,
    /// `fn(cpu, link: *const Link) -> code address or 0`: sets `header.pc` as the link says, then the same as `next`. The jump may be patched.
    pub link: usize,
    /// `fn(cpu, reason) -> code address or 0`: an `exit` op has set `header.pc`.
    pub exit: usize,
    /// `fn(cpu) -> code address or 0`: a helper has left the block.
    pub helper_exit: usize,
    /// `fn(cpu, site: *const Site) -> u64`: a slow memory access; not 0 if it faulted and the fault was delivered. Flags may be
    /// [`unsettled`](crate::unsettled).
    pub access: usize,
    /// `fn(cpu, op: *const Op, vl)`: an op carried out by the interpreter on its value slots. It does no floating-point arithmetic with the
    /// host's instructions.
    pub interpret: usize,
    /// `fn(cpu, bits)`: a `fence` op that has to wait for others.
    pub fence: usize,
}

/// What a slow memory access is, in the code beside it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site {
    /// Address of the instruction; in code that moves, its offset from [`Exchange::page`].
    pub pc: u64,
    /// Its info word.
    pub info: u32,
    /// `MemFlags`.
    pub flags: u32,
    /// Size in bytes.
    pub size: u8,
    /// Of a load or store that looks up for others too: bytes of all of them, of which the distance is wanted ([`Exchange::distance`]); else 0.
    pub span: u8,
    /// What kind, see the constants.
    pub kind: u8,
    /// `rmw::` kind; or how far from the first byte of all of them its own is.
    pub rmw: u8,
    /// Instructions that were counted and are not done, this one included.
    pub left: u16,
    /// Size in bytes of an element whose bytes are in order of their own; 0: of the whole.
    pub unit: u8,
    /// What holds of it, see the constants.
    pub bits: u8,
}

/// A jump that goes to the dispatcher until it is patched to go to its target, in the code beside it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// From behind this field to a [`LinkBase`].
    pub base: i32,
    /// From here to the displacement of the jump.
    pub site: i32,
    /// The displacement while it is not patched.
    pub unlinked: i32,
    /// From the page of the jump to the target, which lies in the same one but in programs.
    pub offset: i32,
}

/// What links of a region have in common.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkBase {
    /// Address of the page; [`LinkBase::MOVES`] in code that moves, where [`Exchange::page`] says it.
    pub va: u64,
    /// What the embedder said of it ([`Region::origin`](crate::Region::origin)).
    pub origin: u64,
    /// The key of code that the jump may go to, see [`Region::key`](crate::Region::key).
    pub key: u64,
}

impl LinkBase {
    /// Not the address of a page.
    pub const MOVES: u64 = 1;
}

/// Bytes of the host's stack that returns may be expected on, 16 each.
pub const RETURNS: i32 = 16 << 10;

/// Kinds of [`Site`].
#[allow(missing_docs)]
impl Site {
    /// Of [`Site::bits`]: in code that moves.
    pub const MOVES: u8 = 1;
    /// One of those that it looks up for is a store.
    pub const WRITES: u8 = 2;
    /// It is one of a group that has looked for all of them only: where that does not lie in one page, itself may. The sign, which a comparison sees.
    pub const GROUPED: u8 = 0x80;
    pub const LOAD: u8 = 0;
    pub const STORE: u8 = 1;
    pub const CAS: u8 = 2;
    pub const RMW: u8 = 3;
    pub const LOAD_EX: u8 = 4;
    pub const STORE_EX: u8 = 5;
}

/// Everything that code is generated for.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What is added to the CPU pointer in [`CPU`], so that what is used most has short displacements.
    pub bias: i32,
    /// Offsets in the header.
    pub header: HeaderOffsets,
    /// Offset of the value slots, and their number.
    pub slots: i32,
    /// Number of value slots.
    pub slot_count: u32,
    /// Offset of the [`Exchange`].
    pub exchange: i32,
    /// Offset of [`COUNTERS`] 16-bit numbers.
    pub counters: i32,
    /// Offset of the jump cache.
    pub jumps: i32,
    /// log2 of the alignment of instructions.
    pub jump_shift: u8,
    /// Translation caches.
    pub tlb: TlbShape,
    /// Offsets of the 64-bit state fields in [`PINS`], in that order.
    pub pins: Vec<u32>,
    /// The same, by offset.
    pub pin_map: PinMap,
    /// Offsets of 64-bit state fields that may live in a register in some regions, see `borrowed`.
    pub more: Vec<u32>,
    /// Offsets of the condition flags, one byte each: the first eight.
    pub flags: Vec<u32>,
    /// Helpers by number.
    pub helpers: Vec<HelperAddress>,
    /// The embedder.
    pub runtime: Runtime,
    /// Instructions are counted exactly, and control comes back at `Exchange::stop`.
    pub count: bool,
    /// Nothing else touches guest memory while code runs, neither another CPU nor a device from a thread of its own: 16-byte accesses may
    /// be torn, atomic accesses are not locked, and of ordered ones only fences order.
    pub alone: bool,
    /// Loops of code that is not hot count their rounds, and leave when [`Exchange::rounds`] becomes negative: for embedders without a thread
    /// that takes samples.
    pub counts_loops: bool,
    /// Every jump out of a region goes through the dispatcher.
    pub unlinked: bool,
    /// Guest addresses are addresses in the guest's segment.
    pub direct: Option<&'static crate::direct::Direct>,
    /// The host.
    pub features: HostFeatures,
}

/// By 8 bytes of state: the pinned fields that lie in them, a bit each.
#[derive(Clone, Debug, Default)]
pub struct PinMap {
    words: Vec<u16>,
    offsets: Vec<u32>,
    /// Each pinned field is one of the words.
    aligned: bool,
}

impl PinMap {
    /// The map for fields at these offsets.
    pub fn new(pins: &[u32]) -> PinMap {
        let mut map = vec![0; pins.iter().max().map_or(0, |p| (*p as usize).div_ceil(8) + 1)];
        for (i, p) in pins.iter().enumerate() {
            map[*p as usize / 8] |= 1 << i;
            map[(*p as usize).div_ceil(8)] |= 1 << i;
        }
        PinMap { words: map, offsets: pins.to_vec(), aligned: pins.iter().all(|p| p % 8 == 0) }
    }
    /// The offset of a pinned field.
    #[inline]
    pub fn at(&self, pin: usize) -> u32 {
        self.offsets[pin]
    }
    /// The pinned fields, a bit each, that overlap some bytes of state.
    #[inline]
    pub fn over(&self, offset: u32, bytes: u32) -> u16 {
        let (first, last) = (offset as usize / 8, (offset + bytes.max(1) - 1) as usize / 8);
        let map = &self.words;
        if first >= map.len() {
            return 0;
        }
        let near = if first == last { map[first] } else { map[first..map.len().min(last + 1)].iter().fold(0, |all, p| all | p) };
        if near == 0 || self.aligned {
            return near;
        }
        let overlaps = |p: &u32| *p < offset + bytes && offset < *p + 8;
        self.offsets.iter().enumerate().filter(|(i, p)| near >> i & 1 != 0 && overlaps(p)).fold(0, |all, (i, _)| all | 1 << i)
    }
    /// The pinned field that begins at an offset.
    #[inline]
    pub fn pin(&self, offset: u32) -> Option<usize> {
        let near = *self.words.get(offset as usize / 8)?;
        if near == 0 || self.aligned {
            return (near != 0 && offset.is_multiple_of(8)).then_some(near.trailing_zeros() as usize);
        }
        self.offsets.iter().position(|at| *at == offset)
    }
}

impl Frame {
    /// Displacement, from the CPU register, of an offset from the CPU.
    pub const fn disp(&self, offset: i32) -> i32 {
        offset - self.bias
    }
}
