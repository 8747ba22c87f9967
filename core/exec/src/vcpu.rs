//! One CPU: its loop, its caches, and how others reach it.

use crate::code::{Block, Body, Found, NativeBlock, Tier, fixed, moving};
use crate::debug::Minder;
use crate::machine::Machine;
use crate::memory::Running;
use crate::native::{CpuLayout, Generator, Native, Wanted, jump_shift};
use crate::once::{Once, Tried};
use crate::region::NEXT_PAGE_BYTES;
use emu_interp::{End, Fault};
use emu_ir::{MemFlags, OwnedIrBuf, exit, verify};
use emu_mem::{Aside, KNOWN, LargeMappings, PAGE_SIZE, TLB_ENTRIES, Tlb, VA_MASK};
use emu_plugins_api::{Access, AccessKind, ArchitectureHandle, BlockRequest, CpuHeader, Slice, TlbFlush, Translation, attr, fault, irq, perm};
use emu_x86_64::Position;
use emu_x86_64::frame::{Exchange, JUMPS, JumpEntry, Link, LinkBase, Stretches, TLB_ENTRY};
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;

/// Views that any target may have.
pub const MAX_VIEWS: usize = 16;
const JUMP_BITS: u32 = 12;
/// The header's `halted` values.
pub const WAITS: u32 = 1;
pub const OFF: u32 = 3;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// Events of a CPU, counted by its own thread.
        #[derive(Default)]
        pub struct Counters { $($(#[$doc])* pub $name: AtomicU64,)* }
        impl Counters {
            /// Names and values.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Generated code asked what comes next.
    dispatches "dispatches",
    /// An `exit` op.
    exits "exits",
    /// A helper left the block.
    helper_exits "exits by helpers",
    /// A memory access took the slow way.
    slow_accesses "slow accesses",
    /// A page walk.
    walks "page walks",
    /// An op was left to the interpreter.
    interpreted "interpreted ops",
    /// A block was interpreted, being come to for the first time.
    first_runs "first runs",
    /// The jump cache was emptied.
    forgotten "jump caches emptied",
    /// The address space changed.
    switches "address space switches",
    /// Translations were flushed.
    flushes "translation flushes",
}

/// Counts an event.
pub fn count(counter: &AtomicU64) -> u64 {
    // Only the CPU's thread writes it.
    let n = counter.load(Ordering::Relaxed) + 1;
    counter.store(n, Ordering::Relaxed);
    n
}

/// What another thread wants of a CPU.
pub enum Request {
    /// Forget translations.
    Flush(TlbFlush),
    /// Stores to this physical page take the slow path again.
    RevokeWrite(u64),
    /// Code of this physical page (the maximum: of all) has changed: forget where it is.
    ForgetCode(u64),
    /// Begin execution (power on).
    Start(u64, u64),
}

/// So many requests may wait; a CPU that does not come to serve them (its thread has no host CPU) is told to forget everything instead.
const REQUESTS_MAX: usize = 256;

/// Replaces all that only make a CPU forget something by what makes it forget all.
fn shorten(list: &mut Vec<Request>) {
    list.retain(|r| matches!(r, Request::Start(..)));
    list.push(Request::Flush(TlbFlush { kind: emu_plugins_api::FlushKind::ALL, asid: 0, va: 0, last: u64::MAX, views: u32::MAX, broadcast: 0 }));
}

#[cold]
fn no_view() -> ! {
    panic!("the target uses a privilege view that it did not declare")
}

struct Jump {
    pc: u64,
    mode: u64,
    epoch: u64,
    block: Option<Arc<Block>>,
}

struct FetchPage {
    page: u64,
    mode: u64,
    epoch: u64,
    /// The address space that it holds in; `None` in all.
    asid: Option<u32>,
    pa: u64,
    attrs: u8,
}

/// What belongs to a CPU's thread alone. Services that a helper calls come back here while a block runs, hence the cells: no reference into
/// them is held across a call that can reach the services.
struct Caches {
    tlbs: Vec<Tlb>,
    jumps: Vec<Jump>,
    fetch: Vec<FetchPage>,
    /// Moves on when `jumps` are stale.
    epoch: u64,
    /// The code epoch that the jump cache is of.
    code_epoch: u64,
    /// Moves on when translations of fetches are.
    fetch_epoch: u64,
    /// The address space in use.
    asid: u32,
    /// The group of views that it is used through.
    group: usize,
    /// Both groups.
    groups: [Group; GROUPS],
    buf: OwnedIrBuf,
    code: Vec<u8>,
    /// A block that is not in `jumps` while it runs.
    single: Option<Arc<Block>>,
    /// Lines of the jump cache in use, by class: see `CLASS`.
    lines: [Vec<u16>; CLASSES],
    generator: Option<Box<Generator>>,
    /// Where the CPU was found.
    samples: crate::tier::Samples,
    /// Where it has been: see `once`.
    once: Option<Box<Once>>,
    /// Where code was fetched from since that was forgotten, for each half of the address space.
    fetched: [Fetched; 2],
    /// Code found lately, for the lines of new address spaces.
    found: Found,
}

/// In `JumpEntry::reserved`, beside the physical page: which of `Caches::lines` has the line: the number of the group whose address space it holds
/// in, plus one; or if it holds in every address space 0 in the lower half of the addresses, else `UPPER`.
const CLASS: u64 = 3;
const UPPER: usize = 1 + GROUPS;
const CLASSES: usize = 2 + GROUPS;

/// Which half of the address space an address lies in: a kernel has one, its programs the other, and what changes in one half is no reason to look up
/// the code of the other again.
fn half(va: u64) -> usize {
    (va >> 63) as usize
}

/// Pages that code was fetched from.
#[derive(Default)]
struct Fetched {
    /// A bit for each page, by a hash of its address.
    pages: Bits,
    /// Large mappings among them.
    large: LargeMappings,
}

/// So many that two pages seldom have the same.
struct Bits([u64; 64]);

impl Default for Bits {
    fn default() -> Bits {
        Bits([0; 64])
    }
}

/// Groups of views that targets may have: see `HostServices::address_space_in`.
const GROUPS: usize = 2;

/// A group of views, all of one address space.
#[derive(Default)]
struct Group {
    /// A bit for each view.
    views: u32,
    /// The address space that their translations are of, and the group's lines of the jump cache.
    asid: u32,
    /// Lines that other address spaces left.
    lines_aside: Aside<(u16, JumpEntry)>,
}

/// Pages that fetches are remembered of.
const FETCH_PAGES: usize = 256;

/// Where an instruction's page is in `Caches::fetch`.
fn fetch_slot(pc: u64, mode: u64) -> usize {
    (pc >> 12 ^ mode) as usize & (FETCH_PAGES - 1)
}

/// Clusters of a machine: their numbers have these bits of a block's key for themselves.
pub(crate) const CLUSTERS_MAX: usize = 64;
const CLUSTER_LSB: u32 = 56;

/// Where a page's bit is in `Caches::fetched`.
fn fetched_bit(va: u64) -> (usize, u64) {
    let page = (va & VA_MASK) >> 12;
    let hash = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// Value slots of a CPU, behind its state in the same allocation. A block that needs more is made shorter.
pub const SLOTS: u32 = 1 << 14;

/// Alignment of a CPU's memory in bytes.
const CPU_ALIGN: usize = 64;

/// A CPU.
pub struct Vcpu {
    pub index: u32,
    /// Which cluster it belongs to: the CPUs of one target.
    pub cluster: usize,
    /// Number of the cluster's first CPU.
    first: u32,
    /// Its target.
    pub arch: ArchitectureHandle,
    /// What the mode key is combined with in the keys of its blocks.
    key: u64,
    /// log2 of the alignment of its instructions.
    jump_shift: u8,
    cpu: *mut CpuHeader,
    /// The allocation that it lies in.
    memory: *mut u8,
    /// Where the parts of the CPU's memory are.
    at: CpuLayout,
    layout: Layout,
    caches: UnsafeCell<Caches>,
    requests: Mutex<Vec<Request>>,
    /// Requests posted and done, for those who wait for completion.
    posted: AtomicU64,
    done: AtomicU64,
    /// The thread runs guest code (and will look at requests only at its next check).
    pub(crate) running: AtomicBool,
    /// Powered on, as `cpu_power` answers.
    pub power: AtomicU32,
    thread: OnceLock<Thread>,
    /// Instructions retired, as last published.
    pub published: AtomicU64,
    /// Under icount: instructions at the start of the slice.
    pub slice_start: AtomicU64,
    /// Timers (a bit each) whose callbacks are to run.
    pub due_timers: AtomicU32,
    /// The code epoch up to which this CPU has forgotten code; the maximum while it is outside of generated code.
    pub code_seen: AtomicU64,
    /// What happened.
    pub counters: Counters,
    /// Generated code was left by an `exit` that ends the run.
    pub left_for_good: AtomicBool,
    /// Somebody wants to know where the CPU is.
    sampled: AtomicBool,
    /// With a debugger: it steps.
    pub(crate) steps: AtomicBool,
    /// With a debugger: its next instruction may access what is watched.
    pub(crate) passes: AtomicBool,
    /// Of a program's thread: the host's id of it, and that a debugger wants it out of a call that waits.
    pub(crate) tid: AtomicI32,
    pub(crate) nudged: AtomicBool,
}

// SAFETY: `cpu` and `caches` are used by the CPU's own thread only (or while that thread is stopped); the rest is atomic or locked.
unsafe impl Send for Vcpu {}
// SAFETY: as above.
unsafe impl Sync for Vcpu {}

// The two know each other by this alone.
const _: () = assert!(size_of::<Stretches>() == KNOWN * 64 && std::mem::offset_of!(Stretches, of) == 64);

impl Vcpu {
    /// A CPU of a target, in the state that `reset` will give it.
    pub fn new(index: u32, cluster: usize, first: u32, arch: ArchitectureHandle) -> Vcpu {
        let at = CpuLayout::new(arch.layout(), SLOTS);
        // What asks for more than the usual alignment would be zeroed by hand, and so be given memory that is never used.
        let layout = Layout::from_size_align(at.size as usize + CPU_ALIGN, 16).unwrap_or_else(|_| Layout::new::<CpuHeader>());
        // SAFETY: the size is not zero; zeroes are a valid header and, by the target's contract, a valid state.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!memory.is_null(), "the host is out of memory");
        let cpu = memory.wrapping_add(memory.align_offset(CPU_ALIGN)).cast::<CpuHeader>();
        let part = |offset: u32| cpu.cast::<u8>().wrapping_add(offset as usize);
        // SAFETY: the parts lie in the allocation, which is zero and lives as long as the CPU; nobody else uses them yet.
        let tlbs = unsafe {
            part(at.jumps).cast::<JumpEntry>().write(JumpEntry::EMPTY);
            let known = |v: u32| part(at.stretches + v * size_of::<Stretches>() as u32).cast();
            (0..at.views).map(|v| Tlb::at(part(at.tlb + v * TLB_ENTRIES as u32 * TLB_ENTRY).cast(), known(v))).collect()
        };
        let empty = || Jump { pc: 0, mode: 0, epoch: 0, block: None };
        let caches = Caches {
            tlbs,
            jumps: (0..1 << JUMP_BITS).map(|_| empty()).collect(),
            fetch: (0..FETCH_PAGES).map(|_| FetchPage { page: 1, mode: 0, epoch: 0, asid: None, pa: 0, attrs: 0 }).collect(),
            epoch: 1,
            code_epoch: 0,
            fetch_epoch: 1,
            asid: 0,
            group: 0,
            groups: [Group { views: u32::MAX, ..Group::default() }, Group::default()],
            buf: OwnedIrBuf::new(0),
            code: Vec::with_capacity(PAGE_SIZE as usize),
            single: None,
            lines: [const { Vec::new() }; CLASSES],
            generator: None,
            samples: Default::default(),
            once: None,
            fetched: Default::default(),
            found: Found::default(),
        };
        Vcpu {
            index,
            cluster,
            first,
            arch,
            key: (cluster as u64) << CLUSTER_LSB,
            jump_shift: jump_shift(arch.layout()),
            cpu,
            memory,
            at,
            layout,
            caches: UnsafeCell::new(caches),
            requests: Mutex::default(),
            posted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            running: AtomicBool::new(false),
            power: AtomicU32::new(0),
            thread: OnceLock::new(),
            published: AtomicU64::new(0),
            slice_start: AtomicU64::new(0),
            due_timers: AtomicU32::new(0),
            code_seen: AtomicU64::new(u64::MAX),
            counters: Counters::default(),
            left_for_good: AtomicBool::new(false),
            sampled: AtomicBool::new(false),
            steps: AtomicBool::new(false),
            passes: AtomicBool::new(false),
            tid: AtomicI32::new(0),
            nudged: AtomicBool::new(false),
        }
    }
    /// The key of a block: other targets' code and that of guarded pages is translated apart, so both are put into the mode key's unused top
    /// byte.
    #[inline]
    pub(crate) fn block_key(&self, mode: u64, attrs: u8) -> u64 {
        mode ^ self.key ^ u64::from(attrs & attr::GUARDED) << 62
    }
    /// The CPU's memory. Only its own thread may use what is not atomic.
    pub fn header(&self) -> *mut CpuHeader {
        self.cpu
    }
    /// The atomics of the header, for any thread.
    pub fn exit_request(&self) -> &AtomicU32 {
        // SAFETY: the header lives as long as `self`; only the address of an atomic member is taken.
        unsafe { &*core::ptr::addr_of!((*self.cpu).exit_request) }
    }
    /// The levels of the input lines.
    pub fn lines(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*core::ptr::addr_of!((*self.cpu).lines) }
    }
    /// The event register.
    pub fn event(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*core::ptr::addr_of!((*self.cpu).event) }
    }
    #[allow(clippy::mut_from_ref)]
    fn caches(&self) -> &mut Caches {
        // SAFETY: only the CPU's thread calls this, and no caller keeps the reference across a call that can reach the services.
        unsafe { &mut *self.caches.get() }
    }
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn samples(&self) -> &mut crate::tier::Samples {
        &mut self.caches().samples
    }
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn once(&self) -> &mut Option<Box<Once>> {
        &mut self.caches().once
    }
    /// Has the CPU say where it is, when it comes by a place where generated code looks for requests; any thread.
    pub(crate) fn sample(&self) {
        self.sampled.store(true, Ordering::SeqCst);
        self.kick();
    }
    /// The cache of a view.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub fn tlb(&self, view: usize) -> &mut Tlb {
        // SAFETY: as in `caches`; views are four bits.
        unsafe { (&mut *self.caches.get()).tlbs.get_mut(view).unwrap_or_else(|| no_view()) }
    }
    /// Where the parts of the CPU's memory are.
    pub fn layout_of(&self) -> &CpuLayout {
        &self.at
    }
    pub(crate) fn exchange(&self) -> *mut Exchange {
        self.cpu.cast::<u8>().wrapping_add(self.at.exchange as usize).cast()
    }
    fn line(&self, line: usize) -> *mut JumpEntry {
        self.cpu.cast::<u8>().wrapping_add(self.at.jumps as usize).cast::<JumpEntry>().wrapping_add(line & (JUMPS - 1))
    }
    /// No return is expected any more when generated code goes on from the dispatcher.
    fn forget_returns(&self) {
        // SAFETY: this is the CPU's thread; the exchange area is part of the CPU.
        unsafe { (*self.exchange()).forget_returns = 1 };
    }
    /// Generated code finds other code by asking again. The CPU's own thread.
    pub fn forget_code(&self) {
        let c = self.caches();
        count(&self.counters.forgotten);
        self.forget_returns();
        c.epoch += 1;
        c.groups.iter_mut().for_each(|g| g.lines_aside.forget(None));
        for lines in &mut c.lines {
            lines.drain(..).for_each(|i| self.forget_line(i as usize));
        }
    }
    /// The same for code of one physical page.
    pub fn forget_code_of(&self, pa: u64) {
        self.forget_returns();
        let c = self.caches();
        // What was interpreted beside generated code is in no index that could say it is no longer valid.
        c.epoch += 1;
        let stale = |e: &JumpEntry| (e.reserved ^ pa) & !(PAGE_SIZE - 1) == 0;
        for lines in &mut c.lines {
            lines.retain(|i| {
                // SAFETY: the line lies in the CPU's memory, which only this thread uses.
                let goes = stale(&unsafe { self.line(usize::from(*i)).read() });
                if goes {
                    self.forget_line(usize::from(*i));
                }
                !goes
            });
        }
        c.groups.iter_mut().for_each(|g| g.lines_aside.retain(|e| !stale(&e.1)));
    }
    /// The same for code that holds in one address space only.
    fn forget_code_in(&self, asid: u32) {
        self.forget_returns();
        let c = self.caches();
        c.fetch.iter_mut().filter(|f| f.asid == Some(asid)).for_each(|f| f.epoch = 0);
        c.epoch += 1;
        for (lines, (class, group)) in c.lines[1..].iter_mut().zip((1..).zip(&mut c.groups)) {
            group.lines_aside.forget(Some(asid));
            if asid == group.asid {
                for i in lines.drain(..) {
                    // SAFETY: as above.
                    if unsafe { self.line(usize::from(i)).read() }.reserved & CLASS == class {
                        self.forget_line(usize::from(i));
                    }
                }
            }
        }
    }
    /// A group's address space changes: see `Tlb::switch`.
    fn switch_code(&self, group: usize, from: u32, to: u32) {
        self.forget_returns();
        let c = self.caches();
        let lines = &mut c.lines[1 + group];
        let back = c.groups[group].lines_aside.switch(from, to, |room| {
            for i in lines.drain(..) {
                // SAFETY: the line lies in the CPU's memory, which only this thread uses.
                let entry = unsafe { self.line(i as usize).read() };
                // A line that was overwritten since is in the list of what did it.
                if entry.reserved & CLASS == 1 + group as u64 {
                    room.push((i, entry));
                    self.forget_line(i as usize);
                }
            }
        });
        for (i, entry) in back {
            // SAFETY: as above.
            unsafe { self.line(i as usize).write(entry) };
            c.lines[1 + group].push(i);
        }
    }
    /// Enters code for `pc`, which was fetched last, into the jump cache.
    pub(crate) fn enter_line(&self, native: &Native, pc: u64, mode: u64, code: usize) {
        if !emu_x86_64::jumps_expected(pc) {
            return;
        }
        let line = (pc >> self.jump_shift) as usize & (JUMPS - 1);
        let page = &self.caches().fetch[fetch_slot(pc, mode)];
        // A program's addresses are their own physical ones.
        let (pa, local) = if native.frame.direct.is_some() { (pc & !(PAGE_SIZE - 1), false) } else { (page.pa, page.asid.is_some()) };
        let class = match (local, half(pc)) {
            (true, _) => 1 + self.caches().group,
            (false, 0) => 0,
            _ => UPPER,
        };
        if self.caches().lines[class].len() >= 4 * JUMPS {
            self.forget_code();
        }
        let entry = JumpEntry { pc, mode, code: code as u64, reserved: pa | class as u64 };
        // SAFETY: the line lies in the CPU's memory, which only this thread uses.
        let old = unsafe { self.line(line).replace(entry) };
        // One that had code is in a list already.
        if old.code == 0 || old.reserved & CLASS != class as u64 {
            self.caches().lines[class].push(line as u16);
        }
    }
    fn forget_line(&self, i: usize) {
        // SAFETY: the line lies in the CPU's memory, which only this thread uses.
        unsafe { self.line(i).write(JumpEntry::EMPTY) }
    }
    /// True if the CPU may be executing code of a physical page. Its own thread.
    pub fn executes(&self, pa: u64) -> bool {
        // SAFETY: this is the CPU's thread.
        let (pc, mode) = unsafe { ((*self.cpu).pc, (*self.cpu).mode_key) };
        let page = &self.caches().fetch[fetch_slot(pc, mode)];
        page.page != pc & !(PAGE_SIZE - 1) || page.mode != mode || page.pa == pa
    }
    /// Current address space identifier.
    pub fn asid(&self) -> u32 {
        self.caches().asid
    }
    /// The address space has changed, and is used through the group of `views`.
    pub fn set_asid(&self, asid: u32, views: u32) {
        let c = self.caches();
        c.epoch += 1;
        c.asid = asid;
        let group = usize::from(views & 1 == 0);
        c.group = group;
        if c.groups[group].views != views {
            // Views that change sides have nothing in them that would be wrong there.
            let moved = |view: usize| views >> view & 1 != 0 && c.groups[1 - group].views >> view & 1 != 0;
            c.tlbs.iter_mut().enumerate().filter(|(view, _)| moved(*view)).for_each(|(_, t)| t.flush());
            c.groups[1 - group].views &= !views;
            c.groups[group].views = views;
        }
        let old = std::mem::replace(&mut c.groups[group].asid, asid);
        if old != asid {
            count(&self.counters.switches);
            c.tlbs.iter_mut().enumerate().filter(|(view, _)| views >> view & 1 != 0).for_each(|(_, t)| t.switch(old, asid));
            self.switch_code(group, old, asid);
        }
    }
    /// True if a view is one of those that the address space is used through.
    pub fn uses_view(&self, view: u32) -> bool {
        let c = self.caches();
        c.groups[c.group].views >> view & 1 != 0
    }
    /// Forgets translations.
    pub fn flush(&self, f: &TlbFlush) {
        use emu_plugins_api::FlushKind as K;
        count(&self.counters.flushes);
        match f.kind {
            K::ASID => self.forget_code_in(f.asid),
            _ if !self.code_concerned(f) => {}
            K::VA if half(f.va) == half(f.last) => self.forget_half(half(f.va), Some(f.asid)),
            K::VA_ALL_ASIDS if half(f.va) == half(f.last) => self.forget_half(half(f.va), None),
            _ => self.forget_jumps(),
        }
        let c = self.caches();
        for (view, tlb) in c.tlbs.iter_mut().enumerate() {
            if f.views >> view & 1 == 0 || tlb.is_unused() {
                continue;
            }
            match f.kind {
                K::ASID => tlb.flush_asid(f.asid, c.groups[usize::from(c.groups[0].views >> view & 1 == 0)].asid),
                K::VA => {
                    tlb.forget_aside(Some(f.asid));
                    tlb.flush_range(f.va, f.last);
                }
                K::VA_ALL_ASIDS => {
                    tlb.forget_aside(None);
                    tlb.flush_range(f.va, f.last);
                }
                _ => tlb.flush(),
            }
        }
    }
    /// False if no code was fetched from what is flushed.
    fn code_concerned(&self, f: &TlbFlush) -> bool {
        use emu_plugins_api::FlushKind as K;
        let (first, last) = (f.va & !(PAGE_SIZE - 1), f.last);
        if !matches!(f.kind, K::VA | K::VA_ALL_ASIDS) || last < first || (last - first) >> 12 > 64 {
            return true;
        }
        let fetched = &self.caches().fetched;
        if fetched.iter().any(|f| f.large.meet(first, last)) {
            return true;
        }
        (first..=last).step_by(PAGE_SIZE as usize).any(|page| {
            let (word, bit) = fetched_bit(page);
            fetched[half(page)].pages.0[word] & bit != 0
        })
    }
    /// Code in one half of the address space is looked up again: in one address space, and in what holds in all, or in all.
    fn forget_half(&self, which: usize, asid: Option<u32>) {
        self.forget_returns();
        count(&self.counters.forgotten);
        let c = self.caches();
        c.epoch += 1;
        c.fetch.iter_mut().filter(|f| half(f.page) == which).for_each(|f| f.epoch = 0);
        c.fetched[which] = Fetched::default();
        c.groups.iter_mut().for_each(|g| g.lines_aside.forget(asid));
        let other = if which == 0 { UPPER } else { 0 };
        for (class, lines) in c.lines.iter_mut().enumerate().filter(|(class, _)| *class != other) {
            lines.retain(|i| {
                // SAFETY: the line lies in the CPU's memory, which only this thread uses.
                let entry = unsafe { self.line(usize::from(*i)).read() };
                // A line that was overwritten since is in the list of what did it.
                let own = entry.reserved & CLASS == class as u64;
                let stays = own && half(entry.pc) != which;
                if own && !stays {
                    self.forget_line(usize::from(*i));
                }
                stays
            });
        }
    }
    /// Looked-up blocks and fetched pages are looked up again.
    pub fn forget_jumps(&self) {
        self.caches().epoch += 1;
        self.caches().fetch_epoch += 1;
        self.caches().fetched = Default::default();
        self.forget_code();
    }
    /// Stores to a physical page take the slow path again.
    pub fn revoke_write(&self, pa: u64) {
        self.caches().tlbs.iter_mut().for_each(|t| t.revoke_write(pa));
    }

    /// Makes the CPU look at what there is to look at; any thread.
    pub fn kick(&self) {
        self.exit_request().store(1, Ordering::SeqCst);
        // SAFETY: the exchange area lives as long as `self`; only the address of a member that is written as a whole is taken.
        let limit = unsafe { AtomicU64::from_ptr(core::ptr::addr_of_mut!((*self.exchange()).stack_limit)) };
        limit.store(u64::MAX, Ordering::SeqCst);
        if let Some(t) = self.thread.get() {
            t.unpark();
        }
    }
    /// Posts a request and kicks the CPU if it is in guest code, or is to be; any thread. The ticket is for `is_quiet`.
    ///
    /// A CPU that waits is left alone: it serves before it runs anything (`resume`), and a kernel that unmaps much would wake all the others for
    /// each page.
    pub fn post(&self, request: Request) -> u64 {
        let starts = matches!(request, Request::Start(..));
        let mut list = self.requests.lock().unwrap_or_else(|e| e.into_inner());
        if list.len() >= REQUESTS_MAX {
            shorten(&mut list);
        }
        list.push(request);
        let ticket = self.posted.fetch_add(1, Ordering::SeqCst) + 1;
        drop(list);
        // Either this sees `running`, or `resume`, which sets it first, sees what was posted.
        if starts || self.running.load(Ordering::SeqCst) {
            self.kick();
        }
        ticket
    }
    /// True when everything posted so far has been taken, or will be before the CPU runs guest code again.
    pub fn is_quiet(&self, ticket: u64) -> bool {
        self.done.load(Ordering::SeqCst) >= ticket || !self.running.load(Ordering::SeqCst)
    }
    /// The CPU's thread, in the middle of a block, does not touch guest memory before `resume`.
    pub fn pause(&self) {
        self.running.store(false, Ordering::SeqCst);
    }
    /// See `pause`.
    pub fn resume(&self) {
        self.running.store(true, Ordering::SeqCst);
        // Whoever posted before `running` became true saw it false and relies on this.
        if !self.has_served() {
            self.serve();
            // It did not kick either: the block that goes on may be of code that has just been forgotten, and must not go round in it.
            self.kick();
        }
    }
    /// Number of requests posted so far.
    pub fn ticket(&self) -> u64 {
        self.posted.load(Ordering::SeqCst)
    }
    /// True when nothing is posted that has not been done.
    pub fn has_served(&self) -> bool {
        self.posted.load(Ordering::SeqCst) == self.done.load(Ordering::SeqCst)
    }
    /// Takes all requests.
    pub fn serve(&self) {
        if self.has_served() {
            return;
        }
        let (list, ticket) = self.take_requests();
        for request in list {
            match request {
                Request::Flush(f) => self.flush(&f),
                Request::RevokeWrite(pa) => self.revoke_write(pa),
                Request::ForgetCode(u64::MAX) => self.forget_code(),
                Request::ForgetCode(pa) => self.forget_code_of(pa),
                // SAFETY: this is the CPU's thread.
                Request::Start(pc, arg) => unsafe {
                    self.arch.reset(self.cpu);
                    self.arch.start(self.cpu, pc, arg);
                    (*self.cpu).halted = 0;
                },
            }
        }
        self.done.store(ticket, Ordering::SeqCst);
    }
    /// Everything posted, and the last one's ticket.
    fn take_requests(&self) -> (Vec<Request>, u64) {
        let mut list = self.requests.lock().unwrap_or_else(|e| e.into_inner());
        (std::mem::take(&mut *list), self.posted.load(Ordering::SeqCst))
    }

    /// Forgets everything and puts the CPU into power-on state, off. While its thread is stopped.
    pub fn reset(&self, machine: &Machine) {
        let (_, ticket) = self.take_requests();
        self.done.store(ticket, Ordering::SeqCst);
        self.flush(&TlbFlush { kind: emu_plugins_api::FlushKind::ALL, asid: 0, va: 0, last: u64::MAX, views: u32::MAX, broadcast: 0 });
        self.lines().store(0, Ordering::SeqCst);
        self.event().store(0, Ordering::SeqCst);
        self.passes.store(false, Ordering::SeqCst);
        // SAFETY: the thread is stopped; the memory has the size of the target's layout.
        unsafe {
            (*self.cpu).index = self.index;
            (*self.cpu).first = self.first;
            (*self.cpu).services = crate::services::services();
            (*self.cpu).host = core::ptr::from_ref(machine).cast_mut().cast();
            (*self.cpu).instance = self.arch.instance();
            self.arch.reset(self.cpu);
            (*self.cpu).halted = OFF;
        }
        self.power.store(0, Ordering::SeqCst);
    }

    /// Tells the target where most of the memory is, once that is known and before the CPU's thread runs.
    pub(crate) fn show_ram(&self, machine: &Machine) {
        if let Some((base, ram)) = machine.space.plain_ram() {
            // SAFETY: nobody runs the CPU yet; the machine, and with it the RAM, lives as long as the process.
            unsafe { ((*self.cpu).ram_base, (*self.cpu).ram_bytes, (*self.cpu).ram) = (base, ram.size(), ram.pointer(0)) }
        }
    }

    /// Holds what others can hold, over a fork.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.requests.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// The CPU's thread is gone.
    pub(crate) fn abandon(&self) {
        self.running.store(false, Ordering::SeqCst);
        self.code_seen.store(u64::MAX, Ordering::SeqCst);
    }

    /// The loop of a CPU's own thread (host clock).
    pub fn thread(self: &Arc<Self>, machine: &Arc<Machine>) {
        let _ = self.thread.set(std::thread::current());
        loop {
            self.exit_request().store(0, Ordering::SeqCst);
            if machine.pause_point(self) {
                return;
            }
            if machine.debug_holds(self) {
                if self.exit_request().load(Ordering::SeqCst) == 0 {
                    std::thread::park();
                }
                continue;
            }
            if self.attend(machine) {
                self.run(machine, u64::MAX);
            } else if self.exit_request().load(Ordering::SeqCst) == 0 {
                std::thread::park();
            }
        }
    }

    /// Requests, timers, interrupts: true if the CPU can run guest code.
    pub fn attend(&self, machine: &Machine) -> bool {
        self.serve();
        // SAFETY: this is the CPU's thread.
        let h = unsafe { &mut *self.cpu };
        if h.halted == OFF {
            return false;
        }
        machine.run_cpu_timers(self);
        let lines = self.lines().load(Ordering::SeqCst);
        if lines != 0 && (h.halted != 0 || !machine.debug.steps(self)) {
            // SAFETY: as above.
            let answer = unsafe { self.arch.interrupt(self.cpu, lines) };
            if answer & (irq::TAKEN | irq::WAKE) != 0 {
                h.halted = 0;
            }
        }
        h.halted == 0
    }

    /// Runs blocks until somebody asks for attention, the CPU halts, or `budget` instructions are done.
    pub fn run(&self, machine: &Machine, budget: u64) {
        self.resume();
        self.left_for_good.store(false, Ordering::Relaxed);
        // SAFETY: this is the CPU's thread; the exchange area is part of the CPU.
        let insns = unsafe { (*self.cpu).insns };
        let mut minder = machine.debug_begin(self, insns);
        let budget = minder.as_ref().map_or(budget, |m| m.budget(budget));
        // SAFETY: as above.
        unsafe { (*self.exchange()).stop = insns.saturating_add(budget) };
        match (&machine.native, minder.as_mut()) {
            (Some(native), None) => self.run_native(machine, native),
            (_, minder) => self.interpret(machine, false, minder),
        }
        // SAFETY: this is the CPU's thread.
        let (pc, insns) = unsafe { ((*self.cpu).pc, (*self.cpu).insns) };
        if let Some(m) = minder {
            m.end(machine, self, pc, insns);
        }
        self.published.store(insns, Ordering::Relaxed);
        self.running.store(false, Ordering::SeqCst);
    }

    /// Instructions that `run` may still carry out.
    fn left(&self) -> u64 {
        // SAFETY: this is the CPU's thread.
        unsafe { (*self.exchange()).stop.saturating_sub((*self.cpu).insns) }
    }
    /// `run` ends at this instruction count if it would not before. The CPU's own thread, in the middle of a block perhaps.
    pub fn cut(&self, until: u64) {
        // SAFETY: as above.
        unsafe { (*self.exchange()).stop = (*self.exchange()).stop.min(until) };
    }

    fn run_native(&self, machine: &Machine, native: &Native) {
        loop {
            let code = self.next_code(machine);
            if code != 0 {
                // SAFETY: `next_code` gives the address of a block of this machine, and its chunk is kept as long as this CPU is seen inside.
                unsafe { native.enter(self.cluster, self.cpu, code) };
                // SAFETY: this is the CPU's thread.
                if unsafe { std::mem::take(&mut (*self.exchange()).released) } != 0 {
                    std::sync::atomic::fence(Ordering::SeqCst);
                }
            }
            if self.sampled.load(Ordering::Relaxed) && self.sampled.swap(false, Ordering::SeqCst) {
                self.note_sample(machine, native);
            }
            // SAFETY: as above.
            let again = native.frame.counts_loops && unsafe { (*self.exchange()).rounds } < 0;
            if again {
                self.note_sample(machine, native);
                // SAFETY: as above.
                unsafe { (*self.exchange()).rounds = crate::tier::ROUNDS };
            }
            if self.exit_request().load(Ordering::Relaxed) != 0 || self.left_for_good.load(Ordering::Relaxed) {
                break;
            }
            if self.left() == 0 {
                break;
            }
            if again {
                continue;
            }
            // There is no code for this, a block in the interpreter; or what is left of the budget is less than a straight run.
            self.interpret(machine, self.left() > u64::from(crate::region::PIECE_INSNS_MAX), None);
        }
        self.code_seen.store(u64::MAX, Ordering::SeqCst);
    }

    /// Address of generated code for where the CPU is, or 0 if the loop has to look first: somebody wants attention, or there is none.
    pub fn next_code(&self, machine: &Machine) -> usize {
        let Some(native) = &machine.native else { return 0 };
        if count(&self.counters.dispatches) & 63 == 0 {
            native.sampler.wake(machine);
        }
        loop {
            if self.exit_request().load(Ordering::Relaxed) != 0 {
                return 0;
            }
            let mut epoch = native.epoch.load(Ordering::SeqCst);
            // Only this thread says where it is: if it was last seen inside at this epoch, it still is, and a store that all wait for says nothing new.
            let inside = self.code_seen.load(Ordering::Relaxed) == epoch;
            if !inside {
                loop {
                    self.code_seen.store(epoch, Ordering::SeqCst);
                    // Whoever moved on meanwhile may have seen this CPU outside.
                    match native.epoch.load(Ordering::SeqCst) {
                        now if now == epoch => break,
                        now => epoch = now,
                    }
                }
            }
            if std::mem::replace(&mut self.caches().code_epoch, epoch) != epoch {
                self.forget_code();
                // Jumps that were patched by another address are seen as they are now behind a serializing instruction.
                core::arch::x86_64::__cpuid(0);
            }
            // SAFETY: this is the CPU's thread.
            let (pc, mode, insns) = unsafe { ((*self.cpu).pc, (*self.cpu).mode_key, (*self.cpu).insns) };
            // SAFETY: as above.
            if unsafe { std::mem::take(&mut (*self.exchange()).warm) } != 0 {
                self.make_warm(machine, native, pc, mode);
            }
            // SAFETY: the line lies in the CPU's memory, which only this thread uses.
            let line = unsafe { *self.line((pc >> self.jump_shift) as usize) };
            if line.pc == pc && line.mode == mode && !native.frame.count {
                return line.code as usize;
            }
            let tries = self.tries(machine, native, pc);
            let found = match if tries { self.run_once(machine, native, pc, mode) } else { Tried::No } {
                Tried::No => self.find_code(machine, native, pc, mode, tries),
                Tried::Known(block, kept) => Ok(Some((block, kept))),
                Tried::Done => continue,
                Tried::Leaves => {
                    self.left_for_good.store(true, Ordering::Relaxed);
                    return 0;
                }
            };
            // SAFETY: as above.
            let left = unsafe { (*self.exchange()).stop }.saturating_sub(insns);
            match found {
                Ok(Some((NativeBlock { code, insns: n, .. }, kept))) if !native.frame.count || u64::from(n) <= left => {
                    // Code of a page that changed while it was made is in no index: nobody would take it out of the cache, so it runs once.
                    if !native.frame.unlinked && kept {
                        self.enter_line(native, pc, mode, code);
                    }
                    if machine.trace.each_block() {
                        machine.trace_block(self);
                    }
                    return code;
                }
                Ok(_) => return 0,
                Err(f) => {
                    self.deliver(machine, pc, 0, f);
                    // A fault takes its time.
                    // SAFETY: as above.
                    unsafe { (*self.cpu).insns = insns + 1 };
                    // SAFETY: as above.
                    if native.frame.count && insns + 1 >= unsafe { (*self.exchange()).stop } {
                        return 0;
                    }
                }
            }
        }
    }

    /// Generated code comes from a jump that can be patched: if there is code for where it goes, it is. Must be called before `next_code`, which
    /// says that the CPU has left the code that it comes from.
    pub fn link(&self, machine: &Machine, link: &Link, base: &LinkBase) {
        let Some(native) = &machine.native else { return };
        // SAFETY: this is the CPU's thread.
        let (pc, mode) = unsafe { ((*self.cpu).pc, (*self.cpu).mode_key) };
        let Ok((pa, attrs)) = self.fetch(machine, pc, mode) else { return };
        // The page may be another one by now than that from which the code was made that this CPU is leaving. A program's are what they are.
        let key = self.block_key(mode, attrs);
        if (machine.user.is_some() || pa & !(PAGE_SIZE - 1) == base.origin) && key == base.key {
            // Code that moves is where it is already.
            let view = if base.va == LinkBase::MOVES { moving(pc) } else { fixed(pc) };
            let elsewhere = pa & !(PAGE_SIZE - 1) != base.origin;
            native.link(machine, link, pa, view, key, elsewhere);
        }
    }

    /// Generated code that there is for an address.
    pub(crate) fn known_code(&self, machine: &Machine, pc: u64, pa: u64, key: u64) -> Option<NativeBlock> {
        self.known_view(machine, pa, fixed(pc), key)
    }
    /// The same for a view.
    pub(crate) fn known_view(&self, machine: &Machine, pa: u64, view: u64, key: u64) -> Option<NativeBlock> {
        // A program's is in its jump cache.
        match machine.user {
            Some(_) => machine.code.find_native(pa, view, key),
            None => machine.code.find_again(&mut self.caches().found, pa, view, key),
        }
    }

    /// Finds or makes generated code, and says whether the index keeps it; `None` if this is for the interpreter. `ran`: see [`Wanted`].
    fn find_code(&self, machine: &Machine, native: &Native, pc: u64, mode: u64, ran: bool) -> Result<Option<(NativeBlock, bool)>, Fault> {
        loop {
            let (pa, attrs) = self.fetch_watched(machine, pc, mode)?;
            let key = self.block_key(mode, attrs);
            if let Some(block) = self.known_code(machine, pc, pa, key) {
                return Ok(Some((block, true)));
            }
            let ram = machine.space.find(pa).and_then(|h| h.window.readable());
            let aligned = pc & (u64::from(self.arch.layout().insn_bytes.max(1)) - 1) == 0;
            if machine.user.is_none() && (ram.is_none() || !aligned) {
                return Ok(None);
            }
            // Somebody may have written to the page since it was last seen to be watched.
            if let Some(wanted) = self.wanted(machine, pc, mode, key, pa, attrs, native.first(ran)) {
                return Ok(self.make_code(machine, native, Wanted { ran, ..wanted }));
            }
        }
    }

    /// Makes generated code for a place of a program, if there is none and it is one to run; `again`: with more care than at first. The CPU's own
    /// thread, outside of code.
    pub(crate) fn make_ready(&self, machine: &Machine, pc: u64, mode: u64, again: bool) {
        if let Some(native) = machine.native.as_ref().filter(|n| !n.frame.unlinked && !machine.debugging()) {
            // What cannot be fetched is of the child's memory alone.
            if matches!(self.find_code(machine, native, pc, mode, false), Ok(Some(_))) && again {
                self.make_warm(machine, native, pc, mode);
            }
        }
    }

    /// What to ask for; `None` if stores to the page are not seen.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn wanted(&self, machine: &Machine, pc: u64, mode: u64, key: u64, pa: u64, attrs: u8, tier: Tier) -> Option<Wanted> {
        // Stores are seen from here on, or the generation goes on; else a change between the two would be missed. A program's are seen from when
        // its code is made.
        let generation = machine.code.generation(pa);
        let seen = machine.user.is_some() || machine.space.find(pa).is_some_and(|h| h.window.readable().is_some_and(|ram| ram.has_code(h.offset)));
        seen.then_some(Wanted { pc, mode, key, pa, attrs, generation, tier, ran: false })
    }

    /// Makes code, or if it can move and is there already an entry for it, and says whether the index keeps it; `None` when there is no room
    /// just now, or the target makes a mistake, which ends the machine.
    pub(crate) fn make_code(&self, machine: &Machine, native: &Native, wanted: Wanted) -> Option<(NativeBlock, bool)> {
        let Wanted { pc, key, pa, tier, .. } = wanted;
        if let Some(user) = &machine.user {
            let (block, kept) = self.generate(machine, native, wanted, Position::Fixed)?;
            let seen = user.has_code(pc);
            if !seen {
                // Somebody wrote to the page meanwhile, and nobody will see that again.
                machine.drop_code(pc);
            }
            return Some((block, kept && seen));
        }
        let position = match native.all_moves || machine.code.elsewhere(pa, pc) {
            _ if !native.may_move(self.cluster, pc) => Position::Fixed,
            true => Position::Independent,
            false if native.keeps_all || machine.keeps(pc).is_some() => Position::Relocatable,
            false => Position::Fixed,
        };
        if position != Position::Independent {
            return self.generate(machine, native, wanted, position);
        }
        let known = machine.code.find_native(pa, moving(pc), key).filter(|b| b.tier >= tier);
        let block = match known {
            Some(block) => block,
            None => self.generate(machine, native, wanted, position)?.0,
        };
        native.entry(machine, self.cluster, wanted, block)
    }

    /// Has the CPU's generator do something.
    pub(crate) fn with_generator<T>(&self, native: &Native, work: impl FnOnce(&mut Generator) -> T) -> T {
        let mut generator = self.caches().generator.take().unwrap_or_else(|| native.generator(self.cluster));
        let done = work(&mut generator);
        self.caches().generator = Some(generator);
        done
    }

    /// Has the CPU's generator make code.
    fn generate(&self, machine: &Machine, native: &Native, wanted: Wanted, position: Position) -> Option<(NativeBlock, bool)> {
        let made = self.with_generator(native, |g| g.make(machine, self, native, wanted, position));
        if let Some(user) = &machine.user {
            user.reports.note(wanted.pc, wanted.mode, wanted.tier != Tier::Brief);
        }
        made.unwrap_or_else(|e| {
            machine.crash(format!("the target plugin made an invalid block at {:#x}: {e}", wanted.pc));
            None
        })
    }

    /// Runs blocks in the interpreter; `once`: only one. With a debugger the minder is asked before each.
    fn interpret(&self, machine: &Machine, once: bool, mut minder: Option<&mut Minder>) {
        let mut first = true;
        let mut r = Running { machine, vcpu: self, cpu: self.cpu, insns: 0, block_insns: 0 };
        while self.exit_request().load(Ordering::Relaxed) == 0 && (first || !once) {
            first = false;
            // SAFETY: as above; the values are read before anything else can touch the header.
            let (pc, mode, insns) = unsafe { ((*self.cpu).pc, (*self.cpu).mode_key, (*self.cpu).insns) };
            let left = self.left();
            if left == 0 || minder.as_mut().is_some_and(|m| m.stops(machine, self, pc, insns)) {
                break;
            }
            let block = match self.block(machine, pc, mode, left) {
                // SAFETY: the block is held by `jumps` or `single`, which only this function changes, and not while the block runs.
                Ok(block) => unsafe { &*block },
                Err(f) => {
                    self.deliver(machine, pc, 0, f);
                    // As below: a fault takes its time.
                    // SAFETY: this is the CPU's thread.
                    unsafe { (*self.cpu).insns = insns + 1 };
                    continue;
                }
            };
            r.insns = insns;
            r.block_insns = 0;
            if machine.trace.each_block() {
                machine.trace_block(self);
            }
            // SAFETY: the state and the slots (of which no block has more than there are) are one allocation that only this thread uses.
            let outcome = unsafe {
                match &block.body {
                    Body::Fast(body) => emu_interp::run_fast(body, self.cpu.cast(), self.at.slots, block.vl, &mut r),
                    Body::Plain(steps) => {
                        let slots = self.cpu.cast::<u8>().add(self.at.slots as usize).cast::<u64>();
                        emu_interp::run(steps, core::slice::from_raw_parts_mut(slots, SLOTS as usize), block.vl, &mut r)
                    }
                }
            };
            if self.conclude(machine, &outcome, insns, minder.as_deref_mut()) {
                self.left_for_good.store(true, Ordering::Relaxed);
                break;
            }
        }
    }

    /// What the end of a block in the interpreter comes to, `insns` instructions having been retired before it: true if the loop must be left.
    pub(crate) fn conclude(&self, machine: &Machine, outcome: &emu_interp::Outcome, insns: u64, minder: Option<&mut Minder>) -> bool {
        // SAFETY: this is the CPU's thread.
        let h = unsafe { &mut *self.cpu };
        let all = insns + u64::from(outcome.insns);
        match outcome.end {
            End::Goto(pc) | End::Jump(pc) => (h.pc, h.insns) = (pc, all),
            End::Exit(pc, reason) => {
                (h.pc, h.insns) = (pc, all);
                return self.leave(machine, reason);
            }
            End::Helper => {
                // The instruction that left counts as retired: an exception-generating one has done its work, a faulting one will run again.
                h.insns = all;
                self.interrupts(machine);
            }
            End::Fault(pc, info, f) => {
                h.insns = all - 1;
                h.pc = pc;
                if f.fault == crate::debug::WATCH {
                    machine.debug_watch_hit(minder, self, &f, all - 1);
                    return false;
                }
                self.deliver(machine, pc, info, f);
                // A fault counts too, or a guest whose vector faults could run for ever within no time.
                h.insns = all;
            }
        }
        false
    }

    pub(crate) fn interrupts(&self, machine: &Machine) -> bool {
        let lines = self.lines().load(Ordering::Relaxed);
        // SAFETY: this is the CPU's thread.
        lines != 0 && !machine.debug.steps(self) && unsafe { self.arch.interrupt(self.cpu, lines) } & irq::TAKEN != 0
    }

    /// An `exit` op: true if the loop must be left.
    pub(crate) fn leave(&self, machine: &Machine, reason: u32) -> bool {
        // SAFETY: this is the CPU's thread.
        let h = unsafe { &mut *self.cpu };
        match reason {
            exit::KERNEL => self.call_kernel(machine),
            exit::WAIT if machine.user.is_some() => {
                std::thread::yield_now();
                false
            }
            exit::WAIT => {
                h.halted = WAITS;
                true
            }
            exit::WAIT_EVENT => {
                if self.event().swap(0, Ordering::SeqCst) == 0 {
                    // Waiting for an event may end at any time; the exclusive monitors of others are not watched, so it ends at once.
                    if machine.time.is_deterministic() {
                        return true;
                    }
                    std::thread::yield_now();
                }
                self.interrupts(machine);
                false
            }
            exit::YIELD => {
                if machine.time.is_deterministic() {
                    return true;
                }
                std::thread::yield_now();
                false
            }
            _ => {
                self.interrupts(machine);
                false
            }
        }
    }

    /// Gives a fault to the target.
    pub(crate) fn deliver(&self, machine: &Machine, pc: u64, info: u32, f: Fault) {
        if machine.trace.int {
            machine.trace(&format!("int: cpu {} pc {pc:#x} fault {:#x} at {:#x} size {} kind {}\n", self.index, f.fault, f.va, f.size, f.kind));
        }
        let access = Access {
            va: f.va,
            size: f.size,
            kind: AccessKind(f.kind),
            view: f.flags.view_index() as u8,
            reserved: 0,
            mem_flags: f.flags.0,
            insn_info: info,
        };
        // SAFETY: this is the CPU's thread.
        unsafe { self.arch.raise(self.cpu, &access, f.fault) };
    }

    #[inline]
    fn block(&self, machine: &Machine, pc: u64, mode: u64, left: u64) -> Result<*const Block, Fault> {
        let c = self.caches();
        let i = ((pc >> 2 ^ pc >> (2 + JUMP_BITS)) ^ mode) as usize & ((1 << JUMP_BITS) - 1);
        let j = &c.jumps[i];
        if j.pc == pc
            && j.mode == mode
            && j.epoch == c.epoch
            && let Some(b) = &j.block
            && b.valid.load(Ordering::Acquire)
            && u64::from(b.insns) <= left
        {
            return Ok(Arc::as_ptr(b));
        }
        self.find_block(machine, pc, mode, left, i)
    }

    #[cold]
    #[inline(never)]
    fn find_block(&self, machine: &Machine, pc: u64, mode: u64, left: u64, slot: usize) -> Result<*const Block, Fault> {
        let (pa, attrs) = self.fetch_watched(machine, pc, mode)?;
        let key = self.block_key(mode, attrs);
        let native = machine.native.is_some();
        if native && !machine.debugging() {
            // What is interpreted beside generated code is not kept in the index, which has generated code for the page: that goes when the
            // page changes, and makes the CPU forget this too. Short blocks made for one slice's end serve others.
            let block = Arc::new(self.translate_ops(machine, pc, mode, pa, attrs, left.min(64) as u32)?);
            let (held, c) = (Arc::as_ptr(&block), self.caches());
            if machine.code.find_native(pa, fixed(pc), key).is_some() {
                c.jumps[slot] = Jump { pc, mode, epoch: c.epoch, block: Some(block) };
            } else {
                c.single = Some(block);
            }
            return Ok(held);
        }
        let whole = match machine.code.find(pa, pc, key) {
            Some(b) => b,
            None => self.translate(machine, pc, mode, key, pa, attrs, machine.debug.block_limit(64))?,
        };
        if u64::from(whole.insns) > left {
            // Too long for what is left of the slice: a shorter one, made for the occasion.
            let block = self.translate_ops(machine, pc, mode, pa, attrs, left as u32)?;
            return Ok(Arc::as_ptr(self.caches().single.insert(Arc::new(block))));
        }
        let c = self.caches();
        let block = Arc::as_ptr(&whole);
        c.jumps[slot] = Jump { pc, mode, epoch: c.epoch, block: Some(whole) };
        Ok(block)
    }

    /// `fetch` of a page whose stores are seen from now on. Before its bytes are read every other CPU has taken the request to look: a store
    /// that one of them makes unseen is in the bytes, so that a CPU which looks for code anew never finds what is older than its question,
    /// whatever instruction its architecture asks that with.
    pub(crate) fn fetch_watched(&self, machine: &Machine, pc: u64, mode: u64) -> Result<(u64, u8), Fault> {
        loop {
            let (pa, attrs) = self.fetch(machine, pc, mode)?;
            let newly =
                machine.space.find(pa).is_some_and(|h| h.window.readable().is_some_and(|ram| !ram.has_code(h.offset) && ram.set_code(h.offset)));
            if !newly {
                return Ok((pa, attrs));
            }
            machine.revoke_write(self, pa & !(PAGE_SIZE - 1));
            // Meanwhile others' requests are served here too: what was translated may be gone.
            machine.wait_for_requests(self);
        }
    }

    /// Physical address and attributes of an instruction.
    pub(crate) fn fetch(&self, machine: &Machine, pc: u64, mode: u64) -> Result<(u64, u8), Fault> {
        let page = pc & !(PAGE_SIZE - 1);
        let align = u64::from(self.arch.layout().insn_bytes.max(1)) - 1;
        let c = self.caches();
        let i = fetch_slot(pc, mode);
        let e = &c.fetch[i];
        let here = e.asid.is_none_or(|a| a == c.asid);
        if e.page == page && e.mode == mode && e.epoch == c.fetch_epoch && here && pc & align == 0 {
            return Ok((e.pa | pc & (PAGE_SIZE - 1), e.attrs));
        }
        if let Some(user) = &machine.user {
            let failed = |fault| Fault { va: pc, size: align as u32 + 1, kind: AccessKind::FETCH.0, flags: MemFlags::NONE, fault };
            if pc & align != 0 {
                return Err(failed(fault::ALIGNMENT));
            }
            let attrs = user.fetch(pc).map_err(failed)?;
            return Ok((pc, attrs));
        }
        let epoch = c.fetch_epoch;
        let failed = |fault| Fault { va: pc, size: align as u32 + 1, kind: AccessKind::FETCH.0, flags: MemFlags::NONE, fault };
        let access = Access { va: pc, size: align as u32 + 1, kind: AccessKind::FETCH, view: 0, reserved: 0, mem_flags: 0, insn_info: 0 };
        let mut out = Translation::default();
        let f = machine.walk(self, &access, &mut out);
        if f != fault::NONE {
            return Err(failed(f));
        }
        if out.perms & perm::EXEC == 0 {
            return Err(failed(fault::BUS));
        }
        let pa = out.pa & !(PAGE_SIZE - 1);
        let asid = (out.global == 0).then_some(c.asid);
        let (word, bit) = fetched_bit(page);
        let c = self.caches();
        let fetched = &mut c.fetched[half(page)];
        fetched.pages.0[word] |= bit;
        fetched.large.add(page, out.page_bits.into());
        self.caches().fetch[i] = FetchPage { page, mode, epoch, asid, pa, attrs: out.attrs };
        Ok((pa | pc & (PAGE_SIZE - 1), out.attrs))
    }

    #[allow(clippy::too_many_arguments)]
    fn translate(&self, machine: &Machine, pc: u64, mode: u64, key: u64, pa: u64, attrs: u8, max: u32) -> Result<Arc<Block>, Fault> {
        if let Some(user) = &machine.user {
            let generation = machine.code.generation(pa);
            user.set_code(pc);
            let mut block = self.translate_ops(machine, pc, mode, pa, attrs, max)?;
            block.mode = key;
            let block = machine.code.insert(pa, block, generation);
            if !user.has_code(pc) {
                machine.drop_code(pc);
            }
            return Ok(block);
        }
        let generation = machine.code.generation(pa);
        // Memory is watched for changes, also that behind a device while loads come from it.
        let watched = machine.space.find(pa).is_some_and(|h| h.window.readable().is_some_and(|ram| ram.has_code(h.offset)));
        let mut block = self.translate_ops(machine, pc, mode, pa, attrs, max)?;
        block.mode = key;
        if watched {
            machine.code.insns.fetch_add(block.insns.into(), Ordering::Relaxed);
            return Ok(machine.code.insert(pa, block, generation));
        }
        // What a device answers is not, nor a page that somebody has just written to: it is used once.
        block.valid = AtomicBool::new(false);
        Ok(Arc::new(block))
    }

    fn translate_ops(&self, machine: &Machine, pc: u64, mode: u64, pa: u64, attrs: u8, max: u32) -> Result<Block, Fault> {
        let insn_bytes = u64::from(self.arch.layout().insn_bytes.max(1));
        let failed = |fault| Fault { va: pc, size: insn_bytes as u32, kind: AccessKind::FETCH.0, flags: MemFlags::NONE, fault };
        let mut bytes = PAGE_SIZE - (pa & (PAGE_SIZE - 1));
        if let Some(user) = &machine.user {
            user.set_code(pc);
        } else {
            let Some(hit) = machine.space.find(pa) else { return Err(failed(fault::BUS)) };
            match hit.window.readable() {
                Some(ram) => {
                    if ram.set_code(hit.offset) {
                        machine.revoke_write(self, pa & !(PAGE_SIZE - 1));
                    }
                }
                None => bytes = insn_bytes,
            }
        }
        bytes = machine.debug.block_bytes(pc, bytes).max(insn_bytes);
        let c = self.caches();
        let mut code = std::mem::take(&mut c.code);
        code.resize(bytes.min(u64::from(max) * 4 + 16).max(insn_bytes) as usize, 0);
        if code.len() as u64 > bytes {
            code.truncate(bytes as usize);
        }
        let f = match &machine.user {
            Some(user) => {
                if user.read_page(pa, &mut code) {
                    fault::NONE
                } else {
                    fault::UNMAPPED
                }
            }
            None => machine.space.read(pa, &mut code),
        };
        if f != fault::NONE {
            self.caches().code = code;
            return Err(failed(f));
        }
        let mut next = [0; NEXT_PAGE_BYTES];
        let next_page = machine.guess_next_page(self, pa & !(PAGE_SIZE - 1), &mut next);
        let vl = self.arch.vector_bytes(mode);
        let layout = self.arch.layout();
        let buf = &mut self.caches().buf;
        let mut max_insns = max.max(1);
        let info = loop {
            buf.clear();
            buf.vl = vl;
            let next_page = Slice::new(next_page);
            let request = BlockRequest { pc, mode_key: mode, code: Slice::new(&code), next_page, max_insns, page_attrs: attrs.into() };
            let info = self.arch.translate(&request, buf);
            if buf.next_slot + 2 <= SLOTS || max_insns == 1 {
                break info;
            }
            max_insns /= 2;
        };
        let mut checked = verify(buf.ops(), buf.next_slot, vl, layout.size.into(), layout.helpers.get().len() as u32).map_err(|e| e.to_string());
        if buf.next_slot + 2 > SLOTS {
            checked = Err(format!("one instruction needs {} value slots", buf.next_slot));
        }
        if machine.trace.any_translation() {
            machine.trace_translation(self, pc, mode, &code[..(info.bytes as usize).min(code.len())], info.insns as usize, buf.ops());
        }
        self.caches().code = code;
        if let Err(e) = checked {
            machine.crash(format!("the target plugin made an invalid block at {pc:#x}: {e}\n{}", emu_ir::print(buf.ops())));
            return Err(failed(fault::BUS));
        }
        let body = if machine.plain {
            Body::Plain(emu_interp::prepare(buf.ops()).into_boxed_slice())
        } else {
            Body::Fast(emu_interp::prepare_fast(buf.ops(), buf.next_slot, vl, self.at.slots))
        };
        Ok(Block { va: pc, mode, body, vl, insns: info.insns.max(1), valid: AtomicBool::new(true) })
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { std::alloc::dealloc(self.memory, self.layout) }
    }
}
