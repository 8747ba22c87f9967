//! Generated code: how a machine's CPUs are laid out for it, how it is made and thrown away, and what it calls.
//!
//! A CPU's memory is one allocation: header and state, value slots, the exchange area, the jump cache, the translation caches. Generated code
//! addresses all of it from one register.
//!
//! Code is thrown away by the chunk. Its blocks leave the index first and jumps into it are patched back, then the code epoch moves on; a CPU
//! that comes to the dispatcher publishes the epoch, forgets its jump cache and expects no returns before it runs code again; a chunk is used
//! again when every CPU has, or is outside of generated code.

use crate::code::{NativeBlock, Replaced, Tier, fixed, moving};
use crate::kept::{Kept, Looked, Made, PageKey, Parts, Region as KeptRegion};
use crate::machine::Machine;
use crate::memory::Running;
use crate::once::Notes;
use crate::region::{Former, NEXT_PAGE_BYTES, Places, Source};
use crate::services::of;
use crate::vcpu::{Vcpu, count};
use emu_interp::{Env, Fault};
use emu_ir::{MemFlags, Op};
use emu_mem::{PAGE_SIZE, TLB_ENTRIES};
use emu_opt::{Dead, Forward, Overwritten, StateInfo, UnitOps};
use emu_plugins_api::{ArchitectureHandle, CpuHeader, FieldClass, StateLayout, effect, layout_flag};
use emu_x86_64::asm::{Asm, Mem, Outside, Size, reg::RAX};
use emu_x86_64::direct::Direct;
use emu_x86_64::frame::{
    COUNTERS, CPU, Exchange, Frame, HeaderOffsets, HelperAddress, HostFeatures, JUMPS, JumpEntry, Link, LinkBase, PINS, PinMap, Runtime, Site,
    Stretches, TLB_ENTRY, TlbShape,
};
use emu_x86_64::{CodeCache, Lowering, Options, Placed, Position, Region, Thunks, Unit};
use std::mem::offset_of;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Executable memory of a machine in bytes.
const CACHE: usize = 192 << 20;

/// That, or what `EMU_CODE_CACHE` says in MiB. The error is a sentence.
fn cache_size() -> Result<usize, String> {
    let Ok(text) = std::env::var("EMU_CODE_CACHE") else { return Ok(CACHE) };
    let size = text.parse().ok().filter(|mib| (4..=1024).contains(mib)).map(|mib: usize| mib << 20);
    size.ok_or_else(|| format!("EMU_CODE_CACHE={text} is no number of MiB from 4 to 1024"))
}

/// Offsets of the parts of a CPU's memory.
#[derive(Clone, Copy, Debug)]
pub struct CpuLayout {
    /// Value slots.
    pub slots: u32,
    /// [`Exchange`].
    pub exchange: u32,
    /// Counters of runs.
    pub counters: u32,
    /// Jump cache.
    pub jumps: u32,
    /// Translation caches, one a view.
    pub tlb: u32,
    /// What code has found in them, see [`Stretches`], one a view.
    pub stretches: u32,
    /// Number of views.
    pub views: u32,
    /// Size of everything.
    pub size: u32,
}

/// What code may use of the host; `EMU_HOST=x86-64-v2`: as little as it must.
pub fn features() -> HostFeatures {
    match std::env::var("EMU_HOST").as_deref() {
        Ok("x86-64-v2") => HostFeatures::baseline(),
        _ => HostFeatures::detect(),
    }
}

/// Offsets of the one-byte condition flags.
pub(crate) fn flags(layout: &StateLayout) -> Vec<u32> {
    let fields = layout.fields.get().iter().filter(|f| f.class == FieldClass::FLAG && f.ty.bytes() == 1);
    fields.flat_map(|f| (0..f.count).map(|i| f.offset + i * f.stride)).take(64).collect()
}

/// log2 of the alignment of a target's instructions.
pub fn jump_shift(layout: &StateLayout) -> u8 {
    layout.insn_bytes.max(1).trailing_zeros() as u8
}

impl CpuLayout {
    /// The layout for a target.
    pub fn new(layout: &StateLayout, slots: u32) -> CpuLayout {
        let round = |n: u32| n.next_multiple_of(64);
        let slots_at = round(layout.size.max(size_of::<CpuHeader>() as u32));
        let exchange = round(slots_at + slots * 8);
        let counters = round(exchange + size_of::<Exchange>() as u32);
        let jumps = round(counters + 2 * COUNTERS as u32);
        let tlb = round(jumps + (JUMPS * size_of::<JumpEntry>()) as u32);
        let views = layout.views.clamp(1, crate::vcpu::MAX_VIEWS as u32);
        let stretches = tlb + views * TLB_ENTRIES as u32 * TLB_ENTRY;
        let size = stretches + views * size_of::<Stretches>() as u32;
        CpuLayout { slots: slots_at, exchange, counters, jumps, tlb, stretches, views, size }
    }
}

/// What generated code of one cluster's CPUs has for itself. They share the code cache with the others.
struct Cluster {
    /// What the generator knows.
    frame: &'static Frame,
    /// Ways in and out.
    thunks: Thunks,
    /// Code can be made that runs wherever its page is mapped.
    can_move: bool,
    state: StateInfo,
}

/// What a machine has for generated code.
pub struct Native {
    /// What the generator knows of the first cluster's CPUs. What does not depend on the target is the same for all.
    pub frame: &'static Frame,
    clusters: Box<[Cluster]>,
    /// What the generator may do.
    pub options: Options,
    /// The optimiser's passes run.
    optimise: bool,
    /// How code is made at first, but for a program's first regions.
    first: Tier,
    /// So many of them are made in a hurry.
    briefs: u64,
    /// All code of machines is made to move.
    pub(crate) all_moves: bool,
    /// All code is relocatable that need not move, and that of the lower half of the address space is kept too.
    pub(crate) keeps_all: bool,
    /// Blocks are run by the interpreter the first time: see `once`.
    pub(crate) tries: bool,
    /// What CPUs have run, by physical address.
    pub(crate) run: Notes,
    /// What is hot is found and made again.
    pub(crate) samples: bool,
    /// Finds what is hot.
    pub(crate) sampler: crate::tier::Sampler,
    /// Regions that earlier processes had made.
    pub kept: AtomicU64,
    /// Regions made again because they were run some times, and because they are run a lot.
    pub warm: AtomicU64,
    pub hot: AtomicU64,
    cache: Mutex<CodeCache>,
    /// Addresses that code can be at.
    range: std::ops::Range<usize>,
    /// Where direct accesses are, by chunk: offset in the chunk, and of the way beside.
    faults: Mutex<Vec<Vec<(u32, u32)>>>,
    /// Size in bytes of a chunk of the cache.
    chunk: usize,
    /// Chunks that wait for CPUs to leave them, and since which epoch.
    condemned: Mutex<Vec<(u32, u64)>>,
    /// Moves on when code is thrown away or has changed.
    pub epoch: AtomicU64,
    /// Bytes of code made.
    pub bytes: AtomicU64,
    /// Regions made.
    pub regions: AtomicU64,
    /// Entries of code that moves.
    pub entries: AtomicU64,
    /// Jumps patched.
    pub links: AtomicU64,
    /// Chunks thrown away.
    pub evicted: AtomicU64,
    /// Time spent making code, in ns.
    pub time_ns: AtomicU64,
    perf: Option<crate::perf::Perf>,
}

/// The generator of one CPU.
pub struct Generator {
    cluster: usize,
    former: Former,
    lowering: Lowering<'static>,
    page: Vec<u8>,
    /// Where there is code of the page already.
    known: Places,
    entries: Vec<(u64, u32)>,
    /// The counter that the next region has that counts its runs.
    counter: u16,
    replaced: Replaced,
    forward: Forward,
    dead: Dead,
    overwritten: Overwritten,
    /// Where code under icount may leave.
    looks: Vec<usize>,
    units: Vec<UnitOps>,
    /// Regions that came out wrong at first.
    pub(crate) mistakes: u64,
}

/// True if what is hot is found and made again, by what `EMU_JIT` says.
fn samples(mode: &str) -> bool {
    !matches!(mode, "cold" | "plain" | "interpret" | "noopt")
}

/// Regions that a program begins with that are made in a hurry: a start is mostly code that runs a few times.
const BRIEFS: u64 = 8192;
/// The same where what runs once is interpreted.
const BRIEFS_RUN: u64 = 2048;

/// How generated code is entered.
type Enter = unsafe extern "C" fn(*mut CpuHeader, usize);

/// What the generated code of all clusters has in common.
struct Engine<'a> {
    cpus: u32,
    slots: u32,
    count: bool,
    unlinked: bool,
    mode: &'a str,
    features: HostFeatures,
    direct: Option<&'static Direct>,
}

impl Cluster {
    fn new(arch: &ArchitectureHandle, engine: &Engine<'_>, cache: &mut CodeCache) -> Result<Cluster, String> {
        let Engine { cpus, slots, count, unlinked, mode, features, direct } = *engine;
        let layout = arch.layout();
        let at = CpuLayout::new(layout, slots);
        let pins: Vec<u32> = layout.pins.get().iter().copied().take(PINS.len()).collect();
        let bias = pins.iter().min().map_or(128, |p| *p as i32 + 128);
        let has = |h: &emu_plugins_api::Helper, bits: u32| h.effects & bits != 0;
        let helpers = layout.helpers.get().iter().map(|h| HelperAddress {
            address: h.func as usize,
            reads_state: has(h, effect::READS_STATE),
            writes_state: has(h, effect::WRITES_STATE),
            may_exit: has(h, effect::MAY_EXIT),
            always_exits: has(h, effect::ALWAYS_EXITS),
            needs_pc: has(h, effect::NEEDS_PC | effect::MAY_EXIT | effect::IO),
        });
        let header = HeaderOffsets {
            pc: offset_of!(CpuHeader, pc) as i32,
            mode_key: offset_of!(CpuHeader, mode_key) as i32,
            exit_request: offset_of!(CpuHeader, exit_request) as i32,
            insns: offset_of!(CpuHeader, insns) as i32,
            fp_flags: offset_of!(CpuHeader, fp_flags) as i32,
            monitor_addr: offset_of!(CpuHeader, monitor_addr) as i32,
            monitor_value: offset_of!(CpuHeader, monitor_value) as i32,
            monitor_size: offset_of!(CpuHeader, monitor_size) as i32,
        };
        let runtime = Runtime {
            next: next as *const () as usize,
            link: link as *const () as usize,
            exit: exit as *const () as usize,
            helper_exit: helper_exit as *const () as usize,
            access: access as *const () as usize,
            interpret: interpret as *const () as usize,
            fence: fence as *const () as usize,
        };
        let frame: &'static Frame = Box::leak(Box::new(Frame {
            bias,
            header,
            slots: at.slots as i32,
            slot_count: slots,
            exchange: at.exchange as i32,
            counters: at.counters as i32,
            jumps: at.jumps as i32,
            jump_shift: jump_shift(layout),
            tlb: TlbShape { offset: at.tlb as i32, entries: TLB_ENTRIES as u32, page_bits: 12, views: at.views, stretches: at.stretches as i32 },
            pin_map: PinMap::new(&pins),
            more: layout.pins.get().iter().copied().skip(PINS.len()).collect(),
            flags: flags(layout).into_iter().take(8).collect(),
            pins,
            helpers: helpers.collect(),
            runtime,
            count,
            // Where threads come later, nobody is alone.
            alone: cpus == 1 && direct.is_none(),
            counts_loops: direct.is_some() && !unlinked && samples(mode),
            unlinked,
            direct,
            features,
        }));
        let thunks = Thunks::make(frame, cache).ok_or("no room for generated code")?;
        Ok(Cluster {
            frame,
            thunks,
            can_move: layout.flags & layout_flag::POSITION_INDEPENDENT != 0 && layout.insn_bytes > 1 && mode != "fixed",
            state: StateInfo {
                flags: flags(layout),
                own: size_of::<CpuHeader>() as u32,
                kept: frame.pins.clone(),
                helper_writes: layout.helpers.get().iter().map(|h| has(h, effect::WRITES_STATE)).collect(),
            },
        })
    }
}

impl Native {
    /// Prepares generated code for the targets of a machine's clusters; `None` when the environment asks for the interpreter. The error is a
    /// sentence.
    pub fn new(
        archs: &[ArchitectureHandle],
        cpus: u32,
        slots: u32,
        count: bool,
        unlinked: bool,
        direct: Option<&'static Direct>,
    ) -> Result<Option<Native>, String> {
        let mode = std::env::var("EMU_JIT").unwrap_or_default();
        if mode == "off" || std::env::var_os("EMU_INTERP").is_some() {
            return Ok(None);
        }
        Native::prepare(archs, cpus, slots, count, unlinked, &mode, features(), direct).map(Some)
    }

    /// The same with what the environment says as arguments.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn prepare(
        archs: &[ArchitectureHandle],
        cpus: u32,
        slots: u32,
        count: bool,
        unlinked: bool,
        mode: &str,
        features: HostFeatures,
        direct: Option<&'static Direct>,
    ) -> Result<Native, String> {
        let mut cache = CodeCache::new(cache_size()?)?;
        let engine = Engine { cpus, slots, count, unlinked, mode, features, direct };
        let clusters = archs.iter().map(|arch| Cluster::new(arch, &engine, &mut cache)).collect::<Result<Box<[Cluster]>, String>>()?;
        Ok(Native {
            frame: clusters.first().ok_or("a machine needs a target")?.frame,
            clusters,
            options: Options { fuse: mode != "plain", native: mode != "interpret" },
            optimise: !matches!(mode, "plain" | "interpret" | "noopt"),
            first: if mode == "hot" { Tier::Hot } else { Tier::Warm },
            briefs: match mode {
                "hot" | "eager" => 0,
                "brief" if !unlinked => u64::MAX,
                _ if direct.is_some() && samples(mode) && !count && !unlinked => BRIEFS,
                _ => 0,
            },
            all_moves: mode == "moving",
            keeps_all: mode == "kept",
            tries: matches!(mode, "" | "fixed" | "moving" | "kept" | "cold") && !count && !unlinked,
            run: Notes::default(),
            samples: samples(mode),
            sampler: Default::default(),
            kept: AtomicU64::new(0),
            warm: AtomicU64::new(0),
            hot: AtomicU64::new(0),
            range: cache.range(),
            chunk: cache.chunk_bytes(),
            faults: Mutex::new(vec![Vec::new(); cache.range().len().div_ceil(cache.chunk_bytes())]),
            cache: Mutex::new(cache),
            condemned: Mutex::default(),
            epoch: AtomicU64::new(1),
            bytes: AtomicU64::new(0),
            regions: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            links: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            time_ns: AtomicU64::new(0),
            perf: crate::perf::Perf::from_env(),
        })
    }

    /// A generator for a CPU of a cluster.
    pub fn generator(&self, cluster: usize) -> Box<Generator> {
        let Cluster { frame, thunks, .. } = self.clusters[cluster];
        Box::new(Generator {
            cluster,
            former: Former::new(),
            lowering: Lowering::new(frame, thunks, self.options),
            page: vec![0; PAGE_SIZE as usize],
            known: Places::default(),
            entries: Vec::new(),
            counter: 0,
            replaced: Replaced::new(),
            forward: Forward::default(),
            dead: Dead::default(),
            overwritten: Overwritten::default(),
            looks: Vec::new(),
            units: Vec::new(),
            mistakes: 0,
        })
    }

    /// Runs generated code until it leaves.
    ///
    /// # Safety
    /// `cpu` is a CPU of this machine's cluster on its thread, `code` the address of a block of that cluster's.
    pub unsafe fn enter(&self, cluster: usize, cpu: *mut CpuHeader, code: usize) {
        // SAFETY: the thunk keeps the calling convention; the caller vouches for the rest.
        unsafe {
            let enter: Enter = std::mem::transmute::<usize, Enter>(self.clusters[cluster].thunks.enter);
            enter(cpu, code);
        }
    }

    /// How a region is made that there is none of yet; `ran`: see [`Wanted`].
    pub fn first(&self, ran: bool) -> Tier {
        let briefs = if ran && self.briefs == BRIEFS { BRIEFS_RUN } else { self.briefs };
        if self.regions.load(Ordering::Relaxed) < briefs { Tier::Brief } else { self.first }
    }

    /// A profiler is told of code.
    pub fn is_watched(&self) -> bool {
        self.perf.is_some()
    }

    /// True if code for a cluster can be made that runs wherever its page is mapped, the page of `pc` among the places.
    pub fn may_move(&self, cluster: usize, pc: u64) -> bool {
        self.clusters[cluster].can_move && emu_x86_64::returns_expected(pc & !(PAGE_SIZE - 1), PAGE_SIZE.trailing_zeros())
    }

    /// The entry of a block that moves at the address that is asked for, and whether it is in the index; `None` when there is no room just now.
    pub fn entry(&self, m: &Machine, cluster: usize, wanted: Wanted, code: NativeBlock) -> Option<(NativeBlock, bool)> {
        let Wanted { pc, key, pa, generation, .. } = wanted;
        let mut asm = Asm::default();
        let frame = self.clusters[cluster].frame;
        let page = Mem::at(CPU, frame.disp(frame.exchange + offset_of!(Exchange, page) as i32));
        asm.mov_ri(RAX, pc & !(PAGE_SIZE - 1));
        asm.mov_mr(Size::Q, page, RAX);
        asm.jmp_outside(0);
        // Nobody throws the chunk away before the block is in the index.
        let mut cache = self.cache.lock().unwrap_or_else(|e| e.into_inner());
        self.reclaim(m, &mut cache);
        let placed = cache.place_before(&asm, code.code)?;
        self.bytes.fetch_add(asm.code.len() as u64, Ordering::Relaxed);
        self.entries.fetch_add(1, Ordering::Relaxed);
        let block = NativeBlock { code: placed.address, chunk: placed.chunk, into: code.chunk, ..code };
        let mut replaced = Replaced::new();
        let kept = m.code.insert_entry(pa, pc, key, block, generation, code, &mut replaced);
        cache.relink(replaced.iter().map(|(old, new)| (*old, new.code, new.into)));
        Some((block, kept))
    }
    /// Accesses of code that was placed that may fault, and the ways beside them: offsets in the code.
    fn add_faults(&self, placed: Placed, table: impl Iterator<Item = (u32, u32)>) {
        let at = ((placed.address - self.range.start) % self.chunk) as u32;
        let mut faults = self.faults.lock().unwrap_or_else(|e| e.into_inner());
        faults[placed.chunk as usize].extend(table.map(|(a, b)| (at + a, at + b)));
    }
    /// Where to go on after a fault at `rip`, if that is a direct access of generated code.
    pub(crate) fn way_beside(&self, rip: usize) -> Option<usize> {
        if !self.range.contains(&rip) {
            return None;
        }
        let faults = self.faults.lock().unwrap_or_else(|e| e.into_inner());
        let offset = rip - self.range.start;
        let (chunk, at) = (offset / self.chunk, (offset % self.chunk) as u32);
        let table = faults.get(chunk)?;
        let i = table.binary_search_by_key(&at, |e| e.0).ok()?;
        Some(self.range.start + chunk * self.chunk + table[i].1 as usize)
    }
    /// Holds everything, over a fork.
    pub(crate) fn hold(&self) -> Held<'_> {
        fn held<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
            m.lock().unwrap_or_else(|e| e.into_inner())
        }
        Held { cache: held(&self.cache), _condemned: held(&self.condemned), _faults: held(&self.faults) }
    }

    /// Patches a jump to go to the code at a place, if there is any. The CPU that asks has come from the jump, and not been seen at the dispatcher
    /// since.
    pub fn link(&self, m: &Machine, link: &Link, pa: u64, view: u64, key: u64, elsewhere: bool) {
        let mut cache = self.cache.lock().unwrap_or_else(|e| e.into_inner());
        // Whoever throws a chunk away holds the lock: the links into it are undone later, or its blocks are out of the index already.
        if let Some(block) = m.code.find_native(pa, view, key) {
            let site = core::ptr::from_ref(link).addr().wrapping_add_signed(link.site as isize);
            cache.link(site, link.unlinked, block.code, block.into, elsewhere.then_some(pa / PAGE_SIZE));
            self.links.fetch_add(1, Ordering::Relaxed);
        }
    }
    /// Code of a page, which is in the index no more, is not come to from other pages either.
    pub(crate) fn unlink_page(&self, m: &Machine, pa: u64) {
        let unlinked = self.cache.lock().unwrap_or_else(|e| e.into_inner()).unlink_page(pa / PAGE_SIZE);
        if unlinked.is_err() {
            // What the jumps are in is not come to then.
            m.forget_all_code();
        }
    }

    /// Takes back what every CPU has left, and throws the oldest chunk away when few are free.
    fn reclaim(&self, machine: &Machine, cache: &mut CodeCache) {
        let mut condemned = self.condemned.lock().unwrap_or_else(|e| e.into_inner());
        condemned.retain(|(chunk, epoch)| {
            let left = machine.cpus.iter().all(|c| c.code_seen.load(Ordering::SeqCst) >= *epoch);
            if left {
                cache.release(*chunk);
                if let Some(table) = self.faults.lock().unwrap_or_else(|e| e.into_inner()).get_mut(*chunk as usize) {
                    table.clear();
                }
            }
            !left
        });
        if cache.free_chunks() < 4 {
            let waiting: Vec<u32> = condemned.iter().map(|c| c.0).collect();
            if let Some(chunk) = cache.oldest(&waiting) {
                machine.code.drop_chunk(chunk);
                cache.unlink(chunk);
                let epoch = self.epoch.fetch_add(1, Ordering::SeqCst) + 1;
                condemned.push((chunk, epoch));
                self.evicted.fetch_add(1, Ordering::Relaxed);
                // Under icount the other CPUs are outside, and this one comes by soon enough.
                if !machine.time.is_deterministic() {
                    machine.cpus.iter().for_each(|c| c.kick());
                }
            }
        }
    }
}

/// What is held over a fork.
pub(crate) struct Held<'a> {
    cache: std::sync::MutexGuard<'a, CodeCache>,
    _condemned: std::sync::MutexGuard<'a, Vec<(u32, u64)>>,
    _faults: std::sync::MutexGuard<'a, Vec<Vec<(u32, u32)>>>,
}

impl Held<'_> {
    /// The process has forked.
    pub(crate) fn forked(&mut self, child: bool) {
        self.cache.forked(child);
    }
}

/// What code is asked for.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Address of the first instruction.
    pub pc: u64,
    /// Mode key.
    pub mode: u64,
    /// What the index knows it by: the mode key, perhaps with bits changed.
    pub key: u64,
    /// Physical address of the instruction.
    pub pa: u64,
    /// `attr::` bits of the page.
    pub attrs: u8,
    /// The code index's, asked for before stores to the page were last known to be seen.
    pub generation: u64,
    /// How it is made.
    pub tier: Tier,
    /// Of what was run here so far, as far as that is known.
    pub ran: bool,
}

impl Generator {
    /// Makes a region and enters its blocks into the index; `position`: where it shall run. The block, and whether it is in the index (if not, its
    /// page has changed meanwhile and it is good for one run only); `None` when there is no room just now; an error is a mistake of the target's.
    pub fn make(
        &mut self,
        m: &Machine,
        cpu: &Vcpu,
        native: &Native,
        wanted: Wanted,
        position: Position,
    ) -> Result<Option<(NativeBlock, bool)>, String> {
        let Wanted { pc, mode, key, pa, attrs, generation, tier, .. } = wanted;
        let started = m.trace.stats.then(std::time::Instant::now);
        let page = pa & !(PAGE_SIZE - 1);
        let readable = match &m.user {
            // Noted after the generation was asked for: whoever forgets the page's code from now on makes that one old.
            Some(user) => {
                user.set_code(page);
                user.read_page(page, &mut self.page)
            }
            None => m.space.read(page, &mut self.page) == 0,
        };
        if !readable {
            return Ok(None);
        }
        let view = if position == Position::Independent { moving(pc) } else { fixed(pc) };
        // A program's page is found by its address, a machine's by the half of the address space that it is in.
        let (kind, va) = if m.user.is_some() { (Position::Fixed, page) } else { (Position::Relocatable, moving(pc)) };
        let keeps = m.keeps(pc).filter(|_| position == kind).map(|store| (store, PageKey::new(va, key, &self.page)));
        if let Some((store, kept)) = &keeps {
            // A program's page, which it cannot write, has been looked for if there is code of it; a machine's may have changed beside its code.
            let others = m.user.is_none() && store.look(Looked { pa: page, va: kept.va, key }, kept);
            if others || !m.code.has_view(pa, view, key) {
                self.take_kept(m, native, store, kept, &wanted);
                if let Some(block) = m.code.find_native(pa, view, key).filter(|b| b.tier >= tier) {
                    return Ok(Some((block, true)));
                }
            }
        }
        let mut next = [0; NEXT_PAGE_BYTES];
        let next_page = m.guess_next_page(cpu, page, &mut next);
        if tier == Tier::Hot {
            self.known.clear();
        } else {
            m.code.places(pa, view, key, tier, &mut self.known);
        }
        self.former.form(&Source {
            arch: &cpu.arch,
            pc,
            mode,
            attrs: attrs.into(),
            pa: page,
            page: &self.page,
            next_page,
            known: &self.known,
            single: native.frame.unlinked,
            slots_max: native.frame.slot_count,
            moves: position != Position::Fixed,
            tier,
            ran: Some(&native.run).filter(|_| wanted.ran),
        })?;
        let f = &self.former;
        if m.trace.any_translation() {
            for u in &f.units {
                let ops = &f.ops[u.ops.0..u.ops.1];
                let insns = f.counts[u.counts.0..u.counts.1].iter().map(|c| c.1 as usize).sum::<usize>();
                let at = (u.pc & (PAGE_SIZE - 1)) as usize;
                m.trace_translation(cpu, u.pc, mode, &self.page[at..], insns, ops);
            }
        }
        if native.optimise {
            self.optimise(native, tier);
        }
        let f = &self.former;
        if m.trace.op_opt {
            for u in &f.units {
                m.trace_ops(u.pc, &f.ops[u.ops.0..u.ops.1]);
            }
        }
        let vl = cpu.arch.vector_bytes(mode);
        self.lower(mode, vl, position, page, key, native.optimise, tier);
        let f = &self.former;
        // Nobody throws the chunk away before its blocks are in the index.
        let mut cache = native.cache.lock().unwrap_or_else(|e| e.into_inner());
        native.reclaim(m, &mut cache);
        let Some(placed) = cache.place(&self.lowering.asm) else { return Ok(None) };
        let faults = if native.frame.direct.is_some() { self.lowering.fault_table() } else { Vec::new() };
        native.add_faults(placed, faults.iter().copied());
        native.regions.fetch_add(1, Ordering::Relaxed);
        native.bytes.fetch_add(self.lowering.asm.code.len() as u64, Ordering::Relaxed);
        if let Some(perf) = &native.perf {
            perf.announce(pc, placed.address, &self.lowering.asm.code);
        }
        if m.trace.out_asm {
            m.trace_code(pc, placed.address, &self.lowering.asm.code);
        }
        let block = |i: usize, at: u64, offset: u32| NativeBlock {
            code: placed.address + offset as usize,
            chunk: placed.chunk,
            into: placed.chunk,
            insns: f.counts[f.units[i].counts.0].1.min(u16::MAX.into()) as u16,
            offset: (at & (PAGE_SIZE - 1)) as u16,
            entry: (self.entries.first().map_or(pc, |e| e.0) & (PAGE_SIZE - 1)) as u16,
            tier,
        };
        // An entry for each unit, in the order of the units.
        let blocks = self.entries.iter().enumerate().map(|(i, (at, offset))| block(i, *at, *offset));
        self.replaced.clear();
        let kept = m.code.insert_native(pa, view, key, &f.from, self.lowering.relies_on_being_alone(), blocks, generation, &mut self.replaced);
        cache.relink(self.replaced.iter().map(|(old, new)| (*old, new.code, new.into)));
        let asked = |e: &(usize, &(u64, u32))| (e.1.0 ^ pc) & (PAGE_SIZE - 1) == 0;
        let entry = self.entries.iter().enumerate().find(asked).map(|(i, (at, offset))| (block(i, *at, *offset), kept));
        drop(cache);
        // An instruction at a page's end may depend on the next page.
        let whole = cpu.arch.layout().insn_bytes >= 4 || !f.from.meets(PAGE_SIZE - 2, 2);
        // What changes again and again is not the same in another run.
        if let Some((store, key)) = keeps.filter(|_| kept && whole && !m.code.is_rewritten(pa)) {
            let blocks = self.entries.iter().enumerate().map(|(i, (at, offset))| (block(i, *at, *offset), *offset));
            let parts = Parts {
                made: self.made(native, fixed(pc), tier),
                blocks: &mut blocks.map(|(b, code)| (b.offset, b.insns, code)),
                from: &f.from,
                outside: &mut self.lowering.asm.outside.iter().map(|o| (o.at, o.target)),
                helpers: &self.lowering.asm.helpers,
                faults: &faults,
                origins: &self.lowering.asm.origins,
                addresses: &self.lowering.asm.addresses,
                page: &self.page,
                code: &self.lowering.asm.code,
            };
            store.note(key, parts);
        }
        m.code.insns.fetch_add(f.insns.into(), Ordering::Relaxed);
        if let Some(t) = started {
            native.time_ns.fetch_add(t.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        Ok(entry)
    }
}

impl Machine {
    /// Where code is kept that is made for an address: that of a program's page that it cannot write, nor could (else it is seldom the same again);
    /// of a machine what is relocatable in the upper half of the address space, where kernels are.
    pub(crate) fn keeps(&self, pc: u64) -> Option<&Kept> {
        let all = self.native.as_ref().is_some_and(|n| n.keeps_all);
        self.kept().filter(|_| self.user.as_ref().map_or(all || pc >> 63 != 0, |u| u.may_keep_page(pc)))
    }
    /// Code that was made for that is right now.
    fn may_use(&self, made: &Made) -> bool {
        self.user.as_ref().map_or(!(made.alone || made.tagged || made.segment), |u| u.may_use(made))
    }
}

impl Generator {
    /// What the region that was just made was made for.
    fn made(&self, native: &Native, page: u64, tier: Tier) -> Made {
        Made {
            tier,
            page,
            alone: self.lowering.relies_on_being_alone(),
            tagged: self.lowering.tagged,
            segment: native.frame.direct.is_some_and(|d| d.segment),
            entry: self.entries.first().map_or(0, |e| (e.0 & (PAGE_SIZE - 1)) as u16),
            insns: self.former.insns,
        }
    }
    /// Enters the code that earlier processes have made of the page of an address, if it is one of those that they kept some of. The page is
    /// watched.
    pub(crate) fn take(&mut self, m: &Machine, native: &Native, store: &Kept, wanted: &Wanted) {
        let page = wanted.pa & !(PAGE_SIZE - 1);
        if m.space.read(page, &mut self.page) == 0 {
            self.take_kept(m, native, store, &PageKey::new(moving(wanted.pc), wanted.key, &self.page), wanted);
        }
    }
    /// Enters the code that earlier processes have made of the page that was read, as far as it is right now.
    fn take_kept(&mut self, m: &Machine, native: &Native, store: &Kept, kept: &PageKey, wanted: &Wanted) {
        let Wanted { pc, key, pa, generation, .. } = *wanted;
        let Some(bytes) = store.page(kept) else { return };
        let mut rest = &*bytes;
        let asm = &mut self.lowering.asm;
        let helpers = &native.clusters[self.cluster].frame.helpers;
        // Nobody throws the chunk away before its blocks are in the index.
        let mut cache = native.cache.lock().unwrap_or_else(|e| e.into_inner());
        native.reclaim(m, &mut cache);
        while let Some(r) = KeptRegion::take(&mut rest) {
            if !m.may_use(&r.made) || !r.is_of(&self.page) {
                continue;
            }
            asm.clear();
            asm.code.extend(r.code);
            asm.outside.extend(r.outside().map(|(at, target)| Outside { at, target }));
            let mut put = |at: u32, word: u64| asm.code[at as usize..at as usize + 8].copy_from_slice(&word.to_le_bytes());
            for (at, number) in r.helpers() {
                let Some(helper) = helpers.get(number as usize) else { return };
                put(at, helper.address as u64);
            }
            r.origins().for_each(|at| put(at, pa & !(PAGE_SIZE - 1)));
            for at in r.addresses() {
                let at = at as usize..at as usize + 8;
                let made = asm.code[at.clone()].try_into().map_or(0, u64::from_le_bytes);
                asm.code[at].copy_from_slice(&made.wrapping_sub(r.made.page).wrapping_add(fixed(pc)).to_le_bytes());
            }
            let Some(placed) = cache.place(asm) else { return };
            native.add_faults(placed, r.faults());
            let blocks = r.blocks().map(|(offset, insns, code)| NativeBlock {
                code: placed.address + code as usize,
                chunk: placed.chunk,
                into: placed.chunk,
                insns,
                offset,
                entry: r.made.entry,
                tier: r.made.tier,
            });
            self.replaced.clear();
            if !m.code.insert_native(pa, fixed(pc), key, &r.from(), r.made.alone, blocks, generation, &mut self.replaced) {
                return;
            }
            cache.relink(self.replaced.iter().map(|(old, new)| (*old, new.code, new.into)));
            native.bytes.fetch_add(r.code.len() as u64, Ordering::Relaxed);
            native.kept.fetch_add(1, Ordering::Relaxed);
            m.code.insns.fetch_add(r.made.insns.into(), Ordering::Relaxed);
        }
    }

    /// Generates the code of the region that was formed.
    #[allow(clippy::too_many_arguments)]
    fn lower(&mut self, mode: u64, vl: u32, position: Position, origin: u64, key: u64, optimised: bool, tier: Tier) {
        let f = &self.former;
        let units: Vec<Unit<'_>> = f
            .units
            .iter()
            .enumerate()
            .map(|(n, u)| Unit {
                pc: u.pc,
                ops: &f.ops[u.ops.0..u.ops.1],
                end: u.end,
                slots: u.slots,
                counts: &f.counts[u.counts.0..u.counts.1],
                loops: u.loops,
                flags: if optimised { self.dead.seen_in(n) as u8 } else { u8::MAX },
            })
            .collect();
        let counter = (tier == Tier::Brief).then(|| {
            self.counter = (self.counter + 1) % COUNTERS as u16;
            self.counter
        });
        let region = Region { units: &units, mode, vl, position, origin, key, hot: tier == Tier::Hot, counter };
        let Err(what) = self.lowering.region(&region, &mut self.entries) else { return };
        log::error!("the code generator has a bug: {what} in the region at {:#x}; it is generated with less care for speed", region.units[0].pc);
        self.mistakes += 1;
        let all = self.lowering.options;
        for fewer in [Options { fuse: false, native: true }, Options { fuse: false, native: false }] {
            self.lowering.options = fewer;
            let made = self.lowering.region(&region, &mut self.entries);
            self.lowering.options = all;
            if made.is_ok() {
                return;
            }
        }
        // Without fusing and native ops each op has all registers for itself.
        unreachable!("the region at {:#x} cannot be generated in any way", region.units[0].pc);
    }

    /// The code of the region at `pc` of a page, without a machine: what lies on the straight way, and the number of guest instructions.
    pub(crate) fn hot_code(&mut self, native: &Native, arch: &ArchitectureHandle, pc: u64, mode: u64, page: &[u8]) -> Result<(Vec<u8>, u32), String> {
        let slots_max = native.frame.slot_count;
        self.former.form(&Source {
            arch,
            pc,
            mode,
            attrs: 0,
            pa: 0,
            page,
            next_page: &[],
            known: &Places::default(),
            single: false,
            slots_max,
            moves: false,
            tier: Tier::Warm,
            ran: None,
        })?;
        if native.optimise {
            self.optimise(native, Tier::Warm);
        }
        self.lower(mode, arch.vector_bytes(mode), Position::Fixed, 0, mode, native.optimise, Tier::Warm);
        if self.mistakes != 0 {
            return Err("the code generator has a bug".into());
        }
        Ok((self.lowering.asm.code[..self.lowering.hot].to_vec(), self.former.insns))
    }

    /// Runs the passes over the region: one that may be run once gets only the one without which there is more to do than with it.
    fn optimise(&mut self, native: &Native, tier: Tier) {
        let brief = tier == Tier::Brief;
        let f = &mut self.former;
        self.units.clear();
        self.units.extend(f.units.iter().map(|u| UnitOps { pc: u.pc, first: u.ops.0, last: u.ops.1, slots: u.slots, observed: u.loops }));
        for u in self.units.iter().filter(|_| !brief) {
            self.forward.run(&mut f.ops, u, &native.clusters[self.cluster].state);
        }
        self.looks.clear();
        if native.frame.count {
            for u in &f.units {
                self.looks.extend(f.counts[u.counts.0..u.counts.1].iter().map(|c| u.ops.0 + c.0 as usize));
            }
        }
        let state = &native.clusters[self.cluster].state;
        self.dead.run(&mut f.ops, &self.units, &self.looks, state);
        for u in self.units.iter().filter(|_| !brief) {
            self.overwritten.run(&mut f.ops, u, &self.looks, state);
        }
        let (units, counts) = (&f.units, &mut f.counts);
        let mut owner = 0;
        let marks = counts.iter_mut().enumerate().map(|(i, c)| {
            while i >= units[owner].counts.1 {
                owner += 1;
            }
            (owner, &mut c.0)
        });
        emu_opt::compact(&mut f.ops, &mut self.units, marks);
        for (u, o) in f.units.iter_mut().zip(&self.units) {
            u.ops = (o.first, o.last);
        }
    }
}

// SAFETY (all functions below): generated code calls them on the CPU's thread with its CPU.
unsafe extern "C" fn next(cpu: *mut CpuHeader) -> usize {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    v.next_code(m)
}
unsafe extern "C" fn link(cpu: *mut CpuHeader, link: *const Link) -> usize {
    // SAFETY: see above; the link lies in the code beside the jump, and knows where its base does.
    let ((m, v), link, base) = unsafe {
        let base = link.cast::<u8>().wrapping_add(4).wrapping_offset((*link).base as isize).cast::<LinkBase>();
        let (m, v) = of(cpu);
        let page = match (*base).va {
            LinkBase::MOVES => (*cpu.cast::<u8>().add(v.layout_of().exchange as usize).cast::<Exchange>()).page,
            va => va,
        };
        (*cpu).pc = page.wrapping_add((*link).offset as u64);
        ((m, v), &*link, &*base)
    };
    v.link(m, link, base);
    v.next_code(m)
}
unsafe extern "C" fn exit(cpu: *mut CpuHeader, reason: u32) -> usize {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    count(&v.counters.exits);
    if v.leave(m, reason) {
        v.left_for_good.store(true, Ordering::Relaxed);
        return 0;
    }
    v.next_code(m)
}
unsafe extern "C" fn helper_exit(cpu: *mut CpuHeader) -> usize {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    count(&v.counters.helper_exits);
    v.interrupts(m);
    v.next_code(m)
}
unsafe extern "C" fn fence(cpu: *mut CpuHeader, bits: u32) {
    // SAFETY: see above.
    let (m, v) = unsafe { of(cpu) };
    Running { machine: m, vcpu: v, cpu, insns: 0, block_insns: 0 }.fence(bits);
}
unsafe extern "C" fn interpret(cpu: *mut CpuHeader, op: *const Op, vl: u32) {
    // SAFETY: see above; `op` is a record in the code; the slots and the flags do not overlap.
    unsafe {
        let (_, v) = of(cpu);
        let slots = core::slice::from_raw_parts_mut(cpu.cast::<u8>().add(v.layout_of().slots as usize).cast::<u64>(), crate::vcpu::SLOTS as usize);
        count(&v.counters.interpreted);
        let done = emu_interp::execute(&*op, slots, vl, &mut (*cpu).fp_flags);
        debug_assert!(done, "no meaning for op {}", (*op).code);
    }
}
unsafe extern "C" fn access(cpu: *mut CpuHeader, site: *const Site) -> u64 {
    // SAFETY: see above; the site lies in the code beside the call; the exchange area belongs to the CPU.
    let ((m, v), site, x) = unsafe {
        let (m, v) = of(cpu);
        ((m, v), &*site, &mut *cpu.cast::<u8>().add(v.layout_of().exchange as usize).cast::<Exchange>())
    };
    count(&v.counters.slow_accesses);
    let pc = if site.bits & Site::MOVES != 0 { site.pc.wrapping_add(x.page) } else { site.pc };
    // SAFETY: this is the CPU's thread.
    let insns = unsafe {
        (*cpu).pc = pc;
        (*cpu).insns = (*cpu).insns.wrapping_sub(u64::from(site.left));
        (*cpu).insns
    };
    let mut r = Running { machine: m, vcpu: v, cpu, insns, block_insns: 1 };
    if let Some(user) = &m.user {
        user.note_tag(m, x.va);
    }
    let (flags, size, va) = (MemFlags(site.flags), u32::from(site.size), x.va);
    let wide = |v: [u64; 2]| u128::from(v[0]) | u128::from(v[1]) << 64;
    let mask = |v: u128| if size >= 16 { v } else { v & ((1 << (size * 8)) - 1) };
    let big = flags.has(MemFlags::BIG_ENDIAN);
    let unit = match site.unit {
        0 if flags.has(MemFlags::PAIR) && site.kind >= Site::CAS => size / 2,
        0 => size,
        n => u32::from(n),
    };
    let order = |v: u128| if big { emu_interp::swap(v, size, unit) } else { v };
    // Not for loads, which would wait for what was stored there in halves.
    let value = || order(mask(wide(x.value)));
    let expected = || order(mask(wide(x.expected)));
    let result: Result<u128, Fault> = match site.kind {
        Site::LOAD if size == 16 => r.load128(va, flags),
        Site::LOAD => r.load(va, size, flags).map(u128::from),
        Site::STORE if size == 16 => r.store128(va, value(), flags).map(|()| 0),
        Site::STORE => r.store(va, size, value() as u64, flags).map(|()| 0),
        Site::CAS => r.cas(va, size, expected(), value(), flags),
        Site::RMW if big => emu_interp::rmw_swapped(&mut r, va, size, site.rmw.into(), order(value()), flags, &order).map(order),
        Site::RMW => r.rmw(va, size, site.rmw.into(), value(), flags),
        Site::LOAD_EX => r.load_exclusive(va, size, flags),
        _ => r.store_exclusive(va, size, value(), flags).map(u128::from),
    };
    match result {
        Ok(value) => {
            let value = if site.kind == Site::STORE_EX { value } else { order(value) };
            x.result = [value as u64, (value >> 64) as u64];
            if site.span != 0 {
                let first = va.wrapping_sub(site.rmw.into());
                let distance = v.tlb(flags.view_index()).distance(first, site.span.into(), site.bits & Site::WRITES != 0);
                x.distance = distance.unwrap_or(emu_x86_64::NOTHING);
            }
            // SAFETY: as above.
            unsafe { (*cpu).insns = (*cpu).insns.wrapping_add(u64::from(site.left)) };
            0
        }
        Err(f) => {
            if let Some(native) = &m.native {
                // SAFETY: as above.
                unsafe { emu_x86_64::unsettled::settle(cpu.cast(), native.clusters[v.cluster].frame) };
            }
            v.deliver(m, pc, site.info, f);
            // A fault takes its time.
            // SAFETY: as above.
            unsafe { (*cpu).insns += 1 };
            1
        }
    }
}
