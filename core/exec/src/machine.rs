//! A machine: what it is made of, how it starts, resets and ends.

use crate::clock::{Clock, Owner, Time};
use crate::code::CodeIndex;
use crate::cpus::Cpus;
use crate::debug::Debug;
use crate::services::services;
use crate::tier::Turn;
use crate::vcpu::{Request, Vcpu};
use emu_mem::{AddressSpace, Window};
use emu_plugins_api::{
    ArchitectureHandle, BoardHandle, Cluster, DeviceHandle, KeyValue, MachineConfig, MachineEntry, Slice, Str, SystemEvent, TargetConfig, TargetEntry,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

/// Largest amount of translated code in bytes before all of it is dropped.
const CODE_LIMIT: usize = 384 << 20;

/// Under icount: what a CPU does to itself by a device (an interrupt, an earlier deadline) takes effect so many instructions later, at the
/// earliest. It must be more than twice what runs without a look at the count, in any engine: where exactly an engine looks is its own affair.
const CUT_MIN: u64 = 128;
const _: () = assert!(CUT_MIN >= 2 * crate::region::PIECE_INSNS_MAX as u64);

/// Bytes of input that a device is offered at a time.
const OFFER: usize = 256;

/// What is to be traced, and where to.
#[derive(Clone, Default)]
pub struct TraceOptions {
    /// Guest instructions as they are translated.
    pub in_asm: bool,
    /// Their IR.
    pub op: bool,
    /// Faults and interrupts.
    pub int: bool,
    /// Every block entered.
    pub exec: bool,
    /// IR after the optimiser.
    pub op_opt: bool,
    /// Generated code.
    pub out_asm: bool,
    /// Each jump out of a region goes through the dispatcher.
    pub unlinked: bool,
    /// Times and counts are wanted at the end.
    pub stats: bool,
    /// General registers, flags and mode before every block.
    pub cpu: bool,
    /// Vector registers before every block.
    pub fpu: bool,
    /// Page walks.
    pub mmu: bool,
    /// Hashes of the state under icount.
    pub state_hash: Option<crate::state_hash::StateHash>,
    /// Only addresses in these ranges (first, last); empty: all.
    pub filter: Vec<(u64, u64)>,
    /// Where text goes; nothing is traced without.
    pub sink: Option<Arc<dyn Fn(&str) + Send + Sync>>,
}

impl TraceOptions {
    pub(crate) fn any_translation(&self) -> bool {
        (self.in_asm || self.op || self.op_opt) && self.sink.is_some()
    }
}

/// The host's byte streams, by name ("serial0").
pub trait Streams: Send + Sync + 'static {
    /// A device asks for a stream; false if there is none of that name.
    fn open(&self, name: &str) -> bool;
    /// Output of the guest. Called on a CPU's thread while the device is busy: input given from here arrives after the device's access.
    fn write(&self, name: &str, data: &[u8]);
}

/// CPUs to make.
pub struct ClusterSpec<'a> {
    /// Their target.
    pub target: &'a TargetEntry,
    /// CPU model.
    pub cpu: String,
    /// Its options.
    pub cpu_options: Vec<(String, String)>,
}

/// What to make.
pub struct MachineSpec<'a> {
    /// The machine.
    pub machine: &'a MachineEntry,
    /// Its CPUs: of one target, or of several at the same time.
    pub clusters: Vec<ClusterSpec<'a>>,
    /// Number of CPUs of each.
    pub cpus: u32,
    /// RAM in bytes.
    pub ram_bytes: u64,
    /// Machine options.
    pub machine_options: Vec<(String, String)>,
    /// "kernel", "initrd", "dtb", "append", "bios", ...
    pub images: Vec<(String, String)>,
    /// Where time comes from.
    pub clock: Clock,
    /// Traces.
    pub log: TraceOptions,
    /// A reset ends the run.
    pub no_reboot: bool,
    /// No code is generated: the interpreter runs everything.
    pub interpreter: bool,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The guest turned the machine off, with this code.
    PowerOff(u32),
    /// The guest reset the machine, and that ends the run.
    Reset,
    /// Somebody on the host ended it, with this code.
    Quit(i32),
    /// The machine cannot go on; the sentence says why.
    Crash(String),
}

struct DeviceRecord {
    handle: DeviceHandle,
    window: Option<Arc<Window>>,
}

struct StreamRecord {
    name: String,
    device: u64,
    input: Mutex<VecDeque<u8>>,
    waiting: AtomicBool,
    /// The guest has used the device: it is for the device that input is meant, not for semihosting.
    is_used: AtomicBool,
}

#[derive(Default)]
struct Control {
    /// The run shall end.
    exit: Option<Exit>,
    /// A system reset is wanted.
    reset: bool,
    /// CPU threads that wait at the pause point.
    paused: usize,
    /// Counts resets, so that threads know when to go on.
    generation: u64,
    ended: bool,
}

/// A machine. Machines live as long as the process: plugins hold pointers to them.
pub struct Machine {
    /// Physical memory.
    pub space: AddressSpace,
    /// CPUs.
    pub cpus: Cpus,
    /// Time and timers.
    pub time: Time,
    /// Translated code.
    pub code: CodeIndex,
    /// Traces.
    pub trace: TraceOptions,
    /// What a debugger wants.
    pub debug: Debug,
    /// Generated code, unless the interpreter is asked for.
    pub native: Option<crate::native::Native>,
    /// Blocks run in the plain interpreter, the fast one's twin (`EMU_INTERP=plain`).
    pub plain: bool,
    /// What user mode has besides; nothing on a board.
    pub user: Option<Box<crate::user::User>>,
    /// Code of earlier processes, and for later ones.
    kept: OnceLock<crate::Kept>,
    pub(crate) semihosting: crate::semihosting::Slot,
    board: OnceLock<BoardHandle>,
    devices: Mutex<Vec<DeviceRecord>>,
    streams: Mutex<Vec<Arc<StreamRecord>>>,
    any_waiting: AtomicBool,
    /// Held while input is offered to devices.
    delivering: Mutex<()>,
    host: Arc<dyn Streams>,
    no_reboot: bool,
    built: AtomicBool,
    control: Mutex<Control>,
    changed: Condvar,
    /// Not zero: CPU threads go to the pause point.
    stop: AtomicBool,
    /// Under icount: the CPU whose slice it is, and where its slice ends.
    current: AtomicI64,
    slice_end: AtomicU64,
    /// The thread that runs all CPUs under icount.
    scheduler: OnceLock<std::thread::ThreadId>,
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

fn pairs(list: &[(String, String)]) -> Vec<KeyValue<'_>> {
    list.iter().map(|(k, v)| KeyValue { key: Str::new(k), value: Str::new(v) }).collect()
}

impl ClusterSpec<'_> {
    /// The target's instance, with the user's options and what the machine demands: of all targets, or of this one by its name.
    fn create(&self, spec: &MachineSpec<'_>, demanded: &[(String, String)]) -> Result<ArchitectureHandle, String> {
        let of = |name: &str, key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let mut options = self.cpu_options.clone();
        for (key, value) in demanded {
            match spec.clusters.iter().find(|c| of(&c.target.name, key)) {
                Some(c) if c.target.name == self.target.name => options.push((key[c.target.name.len() + 1..].to_owned(), value.clone())),
                Some(_) => {}
                None => options.push((key.clone(), value.clone())),
            }
        }
        let options = pairs(&options);
        let config = TargetConfig { model: Str::new(&self.cpu), options: Slice::new(&options), cpus: spec.cpus, reserved: 0 };
        // SAFETY: the entry came from an opened plugin, which is never unloaded.
        unsafe { ArchitectureHandle::create(self.target.vtable(), &config) }
    }
}

impl Machine {
    /// Makes a machine: target, memory, devices, loaded images, first CPU ready to run. The error is one sentence for the user.
    pub fn create(spec: &MachineSpec<'_>, host: Arc<dyn Streams>) -> Result<Arc<Machine>, String> {
        let (options, images) = (pairs(&spec.machine_options), pairs(&spec.images));
        let count = spec.clusters.len();
        let target = spec.clusters.iter().map(|c| c.target.name.as_str()).collect::<Vec<_>>().join("+");
        let cpu = spec.clusters.iter().map(|c| c.cpu.as_str()).collect::<Vec<_>>().join("+");
        let cpu_count = spec.cpus * count as u32;
        let mut config = MachineConfig {
            target: Str::new(&target),
            cpu: Str::new(&cpu),
            cpus: cpu_count,
            bytes: size_of::<MachineConfig<'_>>() as u32,
            ram_bytes: spec.ram_bytes,
            options: Slice::new(&options),
            images: Slice::new(&images),
            cpu_properties: Slice::new(&[]),
            inputs: Slice::new(&[]),
            outputs: Slice::new(&[]),
            clusters: Slice::new(&[]),
        };
        // SAFETY: the entry came from an opened plugin, which is never unloaded.
        let mut demanded = unsafe { BoardHandle::cpu_options(spec.machine.vtable(), &config) };
        // What a machine demands of core goes the same way.
        let direct = demanded.iter().any(|(k, v)| k == "core.memory" && v == "direct");
        demanded.retain(|(k, _)| !k.starts_with("core."));
        let archs = spec.clusters.iter().map(|c| c.create(spec, &demanded)).collect::<Result<Vec<_>, String>>()?;
        if archs.is_empty() || archs.len() > crate::vcpu::CLUSTERS_MAX || (direct && archs.len() != 1) {
            return Err(format!("the machine '{}' has CPUs of {count} targets, which cannot be; its plugin is broken", spec.machine.name));
        }
        let deterministic = spec.clock != Clock::Host;
        if direct && deterministic {
            return Err(format!("-icount: the machine '{}' runs programs on the host's time; leave it out", spec.machine.name));
        }
        let user = if direct { Some(Box::new(crate::user::User::new(archs[0].linux_abi())?)) } else { None };
        let room = if direct { crate::user::CPUS_MAX } else { 0 };
        // The CPUs of a target have numbers that follow each other.
        let vcpu = |i: u32| {
            let cluster = (i / spec.cpus) as usize;
            Arc::new(Vcpu::new(i, cluster, i / spec.cpus * spec.cpus, archs[cluster]))
        };
        let cpus = Cpus::new((0..cpu_count).map(vcpu), room);
        let unlinked = spec.log.each_block() || spec.log.unlinked;
        let native = match spec.interpreter {
            true => None,
            false => crate::native::Native::new(&archs, cpu_count, crate::vcpu::SLOTS, deterministic, unlinked, user.as_ref().map(|u| u.direct))?,
        };
        let machine = Arc::new(Machine {
            space: AddressSpace::new(),
            cpus,
            time: Time::new(spec.clock),
            code: CodeIndex::new(CODE_LIMIT),
            trace: spec.log.clone(),
            debug: Debug::new(cpu_count),
            native,
            plain: std::env::var_os("EMU_INTERP").is_some_and(|v| v == "plain"),
            user,
            kept: OnceLock::new(),
            semihosting: crate::semihosting::Slot::default(),
            board: OnceLock::new(),
            devices: Mutex::default(),
            streams: Mutex::default(),
            any_waiting: AtomicBool::new(false),
            delivering: Mutex::default(),
            host,
            no_reboot: spec.no_reboot,
            built: AtomicBool::new(false),
            control: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            current: AtomicI64::new(-1),
            slice_end: AtomicU64::new(u64::MAX),
            scheduler: OnceLock::new(),
        });
        // Plugins keep pointers to it.
        std::mem::forget(machine.clone());
        for cpu in &machine.cpus {
            cpu.reset(&machine);
        }
        let properties: Vec<Vec<(String, String)>> = archs.iter().map(|arch| arch.properties().into_iter().collect()).collect();
        let properties: Vec<_> = properties.iter().map(|p| pairs(p)).collect();
        let clusters = spec.clusters.iter().zip(&archs).zip(&properties).enumerate();
        let clusters: Vec<Cluster<'_>> = clusters
            .map(|(i, ((c, arch), properties))| Cluster {
                target: Str::new(&c.target.name),
                cpu: Str::new(&c.cpu),
                first: i as u32 * spec.cpus,
                cpus: spec.cpus,
                properties: Slice::new(properties),
                inputs: arch.layout().inputs,
                outputs: arch.layout().outputs,
            })
            .collect();
        config.cpu_properties = clusters[0].properties;
        config.inputs = clusters[0].inputs;
        config.outputs = clusters[0].outputs;
        config.clusters = Slice::new(&clusters);
        let ctx = Arc::as_ptr(&machine).cast_mut().cast();
        // SAFETY: the machine was leaked above, so context and table outlive everything.
        let board = unsafe { BoardHandle::create(spec.machine.vtable(), &config, services(), ctx) }?;
        let _ = machine.board.set(board);
        machine.space.freeze();
        machine.cpus.iter().for_each(|c| c.show_ram(&machine));
        machine.built.store(true, Ordering::SeqCst);
        Ok(machine)
    }

    /// The target of the first CPU; programs' CPUs have no other.
    pub fn arch(&self) -> &ArchitectureHandle {
        &self.cpus[0].arch
    }

    /// Runs the machine until it ends.
    pub fn run(self: &Arc<Self>) -> Exit {
        if self.user.is_some() {
            self.run_user();
            // The first thread has ended; the process lasts as long as the others, and ends with the last of them.
            loop {
                std::thread::park();
            }
        }
        let exit = if self.time.is_deterministic() { self.run_in_turn() } else { self.run_threads() };
        if let Some(options) = self.trace.state_hash.filter(|_| self.time.is_deterministic()) {
            self.print_state_hash(self.time.all_executed(), &options, true);
        }
        lock(&self.control).ended = true;
        self.save_code();
        exit
    }

    fn run_threads(self: &Arc<Self>) -> Exit {
        let threads: Vec<_> = self
            .cpus
            .iter()
            .map(|cpu| {
                let (cpu, machine) = (cpu.clone(), self.clone());
                std::thread::Builder::new().name(format!("cpu{}", cpu.index)).stack_size(4 << 20).spawn(move || cpu.thread(&machine))
            })
            .collect();
        let timers = {
            let machine = self.clone();
            std::thread::Builder::new().name("timers".into()).spawn(move || machine.timer_thread())
        };
        let exit = self.wait_for_events(threads.iter().flatten().count());
        self.time.stop();
        for thread in threads.into_iter().flatten() {
            let _ = thread.join();
        }
        if let Ok(t) = timers {
            let _ = t.join();
        }
        exit
    }

    /// Waits on the thread that called `run`; resets happen here, while all CPUs are paused.
    fn wait_for_events(self: &Arc<Self>, threads: usize) -> Exit {
        let mut c = lock(&self.control);
        loop {
            if let Some(exit) = c.exit.clone() {
                self.stop_cpus();
                return exit;
            }
            if c.reset {
                self.stop_cpus();
                while c.paused < threads {
                    c = self.changed.wait(c).unwrap_or_else(|e| e.into_inner());
                }
                c.reset = false;
                drop(c);
                let again = self.reset();
                c = lock(&self.control);
                if let Err(e) = again {
                    c.exit = Some(Exit::Crash(e));
                }
                c.generation += 1;
                self.stop.store(false, Ordering::SeqCst);
                self.changed.notify_all();
                continue;
            }
            c = self.changed.wait(c).unwrap_or_else(|e| e.into_inner());
        }
    }

    fn stop_cpus(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.cpus.iter().for_each(|c| c.kick());
    }

    /// True if the run ends, or CPUs shall pause: nobody should wait for the host any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Where CPU threads come between runs: waits while the machine is paused; true when the thread shall end.
    pub fn pause_point(&self, cpu: &Vcpu) -> bool {
        let _ = cpu;
        if !self.stop.load(Ordering::SeqCst) {
            return false;
        }
        let mut c = lock(&self.control);
        let generation = c.generation;
        c.paused += 1;
        self.changed.notify_all();
        while c.exit.is_none() && c.generation == generation {
            c = self.changed.wait(c).unwrap_or_else(|e| e.into_inner());
        }
        c.paused -= 1;
        c.exit.is_some()
    }

    /// System reset, while no CPU runs.
    fn reset(&self) -> Result<(), String> {
        self.time.clear();
        self.semihosting.reset();
        for cpu in &self.cpus {
            cpu.reset(self);
        }
        let devices: Vec<DeviceHandle> = lock(&self.devices).iter().map(|d| d.handle).collect();
        devices.iter().for_each(DeviceHandle::reset);
        self.forget_all_code();
        // The machine loads its images again as it did when it was made: into read-only memory too.
        self.built.store(false, Ordering::SeqCst);
        let again = self.board().map_or(Ok(()), BoardHandle::restart);
        self.built.store(true, Ordering::SeqCst);
        self.debug.after_reset();
        again
    }

    /// Runs all CPUs in turn on this thread. Everything that happens is a function of the images, the options and the seed.
    fn run_in_turn(self: &Arc<Self>) -> Exit {
        let _ = self.scheduler.set(std::thread::current().id());
        let mut next = 0usize;
        loop {
            {
                let mut c = lock(&self.control);
                if let Some(exit) = c.exit.clone() {
                    return exit;
                }
                if std::mem::take(&mut c.reset) {
                    drop(c);
                    if let Err(e) = self.reset() {
                        return Exit::Crash(e);
                    }
                    next = 0;
                }
            }
            if self.debug_holds_all() {
                continue;
            }
            self.deliver_input();
            self.fire_timers();
            let n = self.cpus.len();
            let ready = (0..n).map(|i| (next + i) % n).filter(|&i| !self.debug.skips(i)).find(|&i| {
                self.cpus[i].exit_request().store(0, Ordering::SeqCst);
                // SAFETY: this thread runs all CPUs.
                self.cpus[i].slice_start.store(unsafe { (*self.cpus[i].header()).insns }, Ordering::Relaxed);
                self.current.store(i as i64, Ordering::SeqCst);
                self.cpus[i].attend(self)
            });
            let now = self.time.now(0);
            let deadline = self.time.next_deadline();
            match (ready, deadline) {
                (Some(i), _) => {
                    next = (i + 1) % n;
                    // Slices of uneven length, so that other seeds give other interleavings.
                    let quantum = if n == 1 { 20_000 + self.time.random() % 20_000 } else { 2_000 + self.time.random() % 6_000 };
                    let until = deadline.map_or(u64::MAX, |d| (d.saturating_sub(now) >> self.time.shift()).max(1));
                    self.run_slice(i, quantum.min(until));
                }
                (None, Some(d)) => {
                    self.current.store(-1, Ordering::SeqCst);
                    self.time.skip_to(d);
                }
                (None, None) => {
                    self.current.store(-1, Ordering::SeqCst);
                    // Only input can change anything now.
                    let c = lock(&self.control);
                    if c.exit.is_none() && !c.reset && !self.any_waiting.load(Ordering::SeqCst) {
                        let wait = std::time::Duration::from_millis(100);
                        drop(self.changed.wait_timeout(c, wait));
                    }
                }
            }
        }
    }

    /// Runs a CPU for its slice. Whatever engine runs it, the slice ends at the same instruction: at the count that it was given or cut to
    /// (`cut_current`), where the CPU halts or lets others go first, or where the run ends. Requests are served on the way: what they make
    /// a CPU forget has no bearing on what the guest sees. A debugger's stop ends it where it happens.
    fn run_slice(&self, i: usize, budget: u64) {
        let cpu = &self.cpus[i];
        // SAFETY: this thread runs all CPUs.
        let insns = || unsafe { (*cpu.header()).insns };
        let start = insns();
        cpu.slice_start.store(start, Ordering::Relaxed);
        self.slice_end.store(start + budget, Ordering::Relaxed);
        let before = self.time.all_executed();
        loop {
            let left = self.slice_end.load(Ordering::Relaxed).saturating_sub(insns());
            // SAFETY: as above.
            if left == 0 || unsafe { (*cpu.header()).halted } != 0 {
                break;
            }
            let executed = || before + (insns() - start);
            match &self.trace.state_hash {
                None => cpu.run(self, left),
                Some(hash) => {
                    let until_next = hash.next(executed());
                    cpu.run(self, left.min(until_next));
                    if until_next != 0 && hash.is_due(executed()) {
                        self.print_state_hash(executed(), hash, false);
                    }
                    if executed() >= hash.until {
                        self.quit(0);
                        break;
                    }
                }
            }
            if cpu.left_for_good.load(Ordering::Relaxed) {
                break;
            }
            if cpu.exit_request().swap(0, Ordering::SeqCst) != 0 {
                if self.debug.is_stopping() {
                    break;
                }
                let c = lock(&self.control);
                if c.exit.is_some() || c.reset {
                    break;
                }
            }
        }
        self.current.store(-1, Ordering::SeqCst);
        self.time.executed(insns() - start);
    }

    /// Under icount: the current slice, if there is one, ends where `deadline` (in ns) comes, but not within the next [`CUT_MIN`]
    /// instructions.
    pub fn cut_current(&self, deadline: u64) {
        if deadline == u64::MAX || self.scheduler.get() != Some(&std::thread::current().id()) {
            return;
        }
        let Some(cpu) = usize::try_from(self.current.load(Ordering::SeqCst)).ok().and_then(|i| self.cpus.get(i)) else { return };
        // SAFETY: this thread runs all CPUs.
        let at = unsafe { (*cpu.header()).insns };
        let until = at.saturating_add((deadline.saturating_sub(self.now()) >> self.time.shift()).max(CUT_MIN));
        if until < self.slice_end.load(Ordering::Relaxed) {
            self.slice_end.store(until, Ordering::Relaxed);
            cpu.cut(until);
        }
    }

    /// Makes a CPU look at its input lines and timers. Under icount others do in their turn.
    pub fn attract(&self, cpu: &Vcpu) {
        if !self.time.is_deterministic() {
            cpu.kick();
        } else if self.current.load(Ordering::Relaxed) == i64::from(cpu.index) {
            self.cut_current(0);
        }
    }

    /// The machine's time in ns.
    pub fn now(&self) -> u64 {
        self.time.now(self.slice_progress())
    }
    /// Seconds since 1970.
    pub fn wall(&self) -> u64 {
        self.time.wall(self.slice_progress())
    }
    fn slice_progress(&self) -> u64 {
        match usize::try_from(self.current.load(Ordering::Relaxed)).ok().and_then(|i| self.cpus.get(i)) {
            // SAFETY: under icount (only then is there a current CPU) this thread runs it.
            Some(cpu) => unsafe { (*cpu.header()).insns }.wrapping_sub(cpu.slice_start.load(Ordering::Relaxed)),
            None => 0,
        }
    }

    /// The thread that timers are fired on, and samples taken.
    fn timer_thread(&self) {
        let sampler = self.native.as_ref().filter(|n| n.samples && !n.frame.unlinked).map(|n| &n.sampler);
        let mut turn = Turn::default();
        while self.time.sleep(sampler.and_then(|s| s.sample(self, &mut turn))) {
            self.fire_timers();
            self.deliver_input();
        }
    }

    fn fire_timers(&self) {
        for owner in self.time.due(self.time.now(0)) {
            match owner {
                Owner::Device(id, timer) => {
                    if let Some(d) = self.device(id) {
                        d.timer(timer);
                    }
                }
                Owner::Cpu(cpu, id) => {
                    if let Some(v) = self.cpus.get(cpu as usize) {
                        v.due_timers.fetch_or(1 << (id & 7), Ordering::SeqCst);
                        v.kick();
                    }
                }
            }
        }
    }

    /// Runs the callbacks of a CPU's timers that are due, on its thread.
    pub fn run_cpu_timers(&self, cpu: &Vcpu) {
        let due = cpu.due_timers.swap(0, Ordering::SeqCst);
        for id in 0..8 {
            if due >> id & 1 == 1 {
                // SAFETY: this is the CPU's thread.
                unsafe { cpu.arch.timer(cpu.header(), id) };
            }
        }
    }

    /// The board, once it is made.
    pub fn board(&self) -> Option<&BoardHandle> {
        self.board.get()
    }
    /// True while the guest may run; before, and during a reset, writes are those of a loader.
    pub fn is_built(&self) -> bool {
        self.built.load(Ordering::Relaxed)
    }
    /// Adds a device; its handle, or 0 when it overlaps.
    pub fn add_device(&self, handle: DeviceHandle, base: u64, size: u64, backed: bool) -> u64 {
        let mut window = None;
        if size != 0 {
            if let Err(e) = self.space.map_device(base, size, handle, backed) {
                log::error!("cannot map {} at {base:#x}: {e:?}", handle.name());
                return 0;
            }
            window = self.space.windows().into_iter().find(|w| w.base == base);
        }
        let mut list = lock(&self.devices);
        list.push(DeviceRecord { handle, window });
        list.len() as u64
    }
    fn device(&self, id: u64) -> Option<DeviceHandle> {
        lock(&self.devices).get((id as usize).checked_sub(1)?).map(|d| d.handle)
    }
    /// The window of a device.
    pub fn window_of(&self, id: u64) -> Option<Arc<Window>> {
        lock(&self.devices).get((id as usize).checked_sub(1)?)?.window.clone()
    }
    /// All devices, for snapshots and listings.
    pub fn devices(&self) -> Vec<DeviceHandle> {
        lock(&self.devices).iter().map(|d| d.handle).collect()
    }

    /// A page of RAM that holds code was written.
    pub fn code_written(&self, window: &Window, page: u64) {
        self.invalidate(window.base + page);
    }
    /// Code of a physical page has changed.
    pub fn invalidate(&self, pa: u64) {
        let pa = pa & !4095;
        if let Some(user) = self.user.as_ref().filter(|u| u.has_code(pa)) {
            return user.clear_code(self, pa, 1);
        }
        if let Some(hit) = self.space.find(pa)
            && let Some(ram) = &hit.window.ram
        {
            ram.clear_code(hit.offset);
        }
        self.drop_code(pa);
    }
    /// Blocks of a physical page are thrown away, whatever its bytes.
    pub fn drop_code(&self, pa: u64) {
        if self.code.invalidate(pa) {
            self.unlink_page(pa);
            for cpu in &self.cpus {
                cpu.post(Request::ForgetCode(pa & !4095));
            }
        }
    }
    /// A CPU is about to store `len` bytes from `pa` on, all in one page, which holds code. Code made from other bytes of the page stays. True
    /// if the CPU is in code that is none any more.
    pub fn change_code(&self, by: &Vcpu, pa: u64, len: u64) -> bool {
        let untrack = || {
            if let Some(ram) = self.space.find(pa).and_then(|hit| hit.window.ram.as_ref().map(|ram| (ram, hit.offset))) {
                ram.0.clear_code(ram.1);
            }
        };
        if !self.code.change(pa, len, untrack).invalidated {
            return false;
        }
        let page = pa & !4095;
        self.forget_page(by, page);
        by.executes(page)
    }
    /// A CPU has maintained the instruction caches for `len` bytes from `pa` on, all in one page. One CPU alone makes no code while it stores.
    pub fn maintain_code(&self, by: &Vcpu, pa: u64, len: u64) {
        if self.cpus.len() > 1 && self.code.maintain(pa, len) {
            self.forget_page(by, pa & !4095);
        }
    }
    /// The same for all there is.
    pub fn maintain_all_code(&self, by: &Vcpu) {
        if self.user.is_some() {
            self.forget_all_code();
        } else if self.cpus.len() == 1 || !self.code.maintain_all() {
            return;
        } else {
            self.code_forgotten();
        }
        by.forget_jumps();
    }
    /// Code of a page has left the index: CPUs forget the ways there.
    fn forget_page(&self, by: &Vcpu, page: u64) {
        self.unlink_page(page);
        by.forget_code_of(page);
        for other in self.cpus.iter().filter(|o| o.index != by.index) {
            other.post(Request::ForgetCode(page));
        }
    }
    /// A program's code of a page is in the index no more.
    fn unlink_page(&self, pa: u64) {
        if let Some(native) = self.native.as_ref().filter(|_| self.user.is_some()) {
            native.unlink_page(self, pa);
        }
    }
    /// All code may have changed.
    pub fn forget_all_code(&self) {
        self.code.clear();
        self.code_forgotten();
    }
    /// Takes back the code that was made for a program that is alone.
    pub(crate) fn forget_code_of_one(&self) {
        for page in self.code.drop_alone() {
            self.unlink_page(page);
        }
        self.code_forgotten();
    }
    /// Code has left the index: CPUs forget the ways that they know.
    fn code_forgotten(&self) {
        if let Some(native) = &self.native {
            native.epoch.fetch_add(1, Ordering::SeqCst);
        }
        // Whoever waits for this to be complete everywhere waits for a request.
        for cpu in &self.cpus {
            cpu.post(Request::ForgetCode(u64::MAX));
        }
    }
    /// Code is about to be made from a physical page: stores to it must be seen from now on.
    pub fn revoke_write(&self, by: &Vcpu, pa: u64) {
        by.revoke_write(pa);
        for other in self.cpus.iter().filter(|o| o.index != by.index) {
            other.post(Request::RevokeWrite(pa));
        }
    }
    /// Waits until the other CPUs have taken what this one posted.
    pub fn wait_for_requests(&self, by: &Vcpu) {
        if self.time.is_deterministic() || self.cpus.len() == 1 {
            return;
        }
        // The others may be waiting for this one in the same way: it counts as not running, and serves before it goes on.
        by.pause();
        for other in self.cpus.iter().filter(|o| o.index != by.index) {
            let ticket = other.ticket();
            let mut spins = 0u32;
            while !other.is_quiet(ticket) && !self.stop.load(Ordering::Relaxed) {
                spins += 1;
                match spins {
                    0..64 => std::hint::spin_loop(),
                    64..80 => std::thread::yield_now(),
                    // The other has no host CPU perhaps: leave it this one.
                    _ => std::thread::sleep(std::time::Duration::from_micros(20)),
                }
            }
        }
        by.resume();
    }

    /// Takes the input that a stream's device has not taken yet, and all that is queued for it.
    pub fn take_input(&self, name: &str) -> Vec<u8> {
        let record = lock(&self.streams).iter().find(|s| s.name == name).cloned();
        // Not while some of it is being offered to the device.
        let _turn = lock(&self.delivering);
        record.map_or_else(Vec::new, |r| {
            let mut input = lock(&r.input);
            r.waiting.store(false, Ordering::SeqCst);
            input.drain(..).collect()
        })
    }

    /// A device asks for a stream.
    pub fn stream_open(&self, device: u64, name: &str) -> u64 {
        if !self.host.open(name) {
            return 0;
        }
        let mut list = lock(&self.streams);
        list.push(Arc::new(StreamRecord {
            name: name.into(),
            device,
            input: Mutex::default(),
            waiting: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
        }));
        list.len() as u64
    }
    /// Output of a device.
    pub fn stream_write(&self, stream: u64, data: &[u8]) {
        let record = lock(&self.streams).get((stream as usize).wrapping_sub(1)).cloned();
        if let Some(r) = record {
            self.host.write(&r.name, data);
        }
    }
    /// Queues host input for a stream; any thread.
    pub fn input(&self, name: &str, data: &[u8]) {
        let record = lock(&self.streams).iter().find(|s| s.name == name).cloned();
        if let Some(r) = record {
            {
                let mut input = lock(&r.input);
                input.extend(data);
                r.waiting.store(!input.is_empty(), Ordering::SeqCst);
            }
            self.any_waiting.store(true, Ordering::SeqCst);
            self.time.wake();
            self.changed.notify_all();
        }
    }
    /// Bytes of input that a stream's device has not taken yet; whoever reads from the host waits while they are many.
    pub fn input_pending(&self, name: &str) -> usize {
        let record = lock(&self.streams).iter().find(|s| s.name == name).cloned();
        record.map_or(0, |r| lock(&r.input).len())
    }
    /// After an access to a device: input that it did not take before may fit now.
    #[inline]
    pub fn after_device(&self, device: &DeviceHandle) {
        if self.any_waiting.load(Ordering::Relaxed) {
            if self.semihosting.is_allowed() {
                self.note_used(device);
            }
            self.deliver_input();
        }
    }
    #[cold]
    fn note_used(&self, device: &DeviceHandle) {
        for s in lock(&self.streams).iter().filter(|s| self.device(s.device).as_ref() == Some(device)) {
            s.is_used.store(true, Ordering::SeqCst);
        }
    }
    fn deliver_input(&self) {
        if !self.any_waiting.load(Ordering::SeqCst) {
            return;
        }
        // One at a time, or bytes could overtake each other. A device that calls `input` from inside an access does not come here before the
        // access is over, so nobody who waits here holds what `receive` needs.
        let _turn = lock(&self.delivering);
        let may_have = |s: &StreamRecord| s.is_used.load(Ordering::SeqCst) || !self.semihosting.is_allowed();
        let streams: Vec<_> = lock(&self.streams).iter().filter(|s| s.waiting.load(Ordering::SeqCst) && may_have(s)).cloned().collect();
        for s in &streams {
            let Some(device) = self.device(s.device) else { continue };
            // The queue is not locked while the device is: output that a script answers locks them the other way round.
            let offer: Vec<u8> = lock(&s.input).iter().take(OFFER).copied().collect();
            let taken = device.receive(&offer).min(offer.len());
            let mut input = lock(&s.input);
            input.drain(..taken);
            s.waiting.store(!input.is_empty(), Ordering::SeqCst);
        }
        // What came after the look at a stream has set the flag again by now, or is seen here.
        self.any_waiting.store(false, Ordering::SeqCst);
        if lock(&self.streams).iter().any(|s| s.waiting.load(Ordering::SeqCst)) {
            self.any_waiting.store(true, Ordering::SeqCst);
        }
    }

    /// The guest turns the machine off or resets it.
    pub fn system_event(&self, event: SystemEvent, code: u32) {
        let exit = match event {
            SystemEvent::RESET if self.no_reboot => Some(Exit::Reset),
            SystemEvent::RESET => None,
            SystemEvent::CRASH => Some(Exit::Crash(format!("the guest reported a crash (code {code})"))),
            _ => Some(Exit::PowerOff(code)),
        };
        match exit {
            Some(exit) => self.end(exit),
            None => {
                lock(&self.control).reset = true;
                self.stop.store(true, Ordering::SeqCst);
                self.changed.notify_all();
                self.interrupt_run();
                if self.time.is_deterministic() {
                    self.stop.store(false, Ordering::SeqCst);
                }
            }
        }
    }
    fn end(&self, exit: Exit) {
        let mut c = lock(&self.control);
        c.exit.get_or_insert(exit);
        self.changed.notify_all();
        drop(c);
        self.stop.store(true, Ordering::SeqCst);
        self.interrupt_run();
    }
    /// CPUs shall come back to whoever runs them: soon, and at the same instruction in every engine if it is the guest's doing.
    fn interrupt_run(&self) {
        if self.scheduler.get() == Some(&std::thread::current().id()) {
            self.cut_current(0);
        } else {
            self.cpus.iter().for_each(|c| c.kick());
        }
    }
    /// After a call that the guest is not to come back from when it ends the run: firmware, semihosting. It leaves the block in any case.
    pub(crate) fn after_call(&self, cpu: &Vcpu) {
        let c = lock(&self.control);
        if c.exit.is_some() || c.reset {
            cpu.kick();
        }
    }
    /// True once the run is to end.
    pub fn has_ended(&self) -> bool {
        lock(&self.control).exit.is_some()
    }
    /// Ends the run from the host's side; any thread.
    pub fn quit(&self, code: i32) {
        self.end(Exit::Quit(code));
    }
    /// Ends the run because it cannot go on.
    pub fn crash(&self, why: String) {
        if self.user.is_some() {
            // The thread that found it may be any of the program's.
            eprintln!("error: emu made a mistake and stops: {why}; please report it");
            // SAFETY: ends all threads at once, as one of them cannot go on.
            unsafe { libc::_exit(125) }
        }
        self.end(Exit::Crash(why));
        self.cpus.iter().for_each(|c| c.kick());
    }

    /// Writes a line of trace.
    pub fn trace(&self, text: &str) {
        if let Some(sink) = &self.trace.sink {
            sink(text);
        }
    }
    /// A block of so many instructions at the start of `code`, and its IR.
    pub(crate) fn trace_translation(&self, cpu: &Vcpu, pc: u64, mode: u64, code: &[u8], insns: usize, ops: &[emu_ir::Op]) {
        if !self.trace.filter.is_empty() && !self.trace.filter.iter().any(|(a, b)| *a <= pc && pc <= *b) {
            return;
        }
        let mut text = format!("block: cpu {} pc {pc:#018x} mode {mode:#x}\n", cpu.index);
        if self.trace.in_asm {
            let mut at = 0;
            for _ in 0..insns {
                if at >= code.len() {
                    break;
                }
                let (line, n) = cpu.arch.disassemble(pc + at as u64, &code[at..]);
                let n = if n == 0 { code.len() - at } else { n };
                text += &format!("  {:#018x}: {line}\n", pc + at as u64);
                at += n;
            }
        }
        if self.trace.op {
            text += &emu_ir::print(ops);
        }
        self.trace(&text);
    }
    /// IR after the optimiser.
    pub(crate) fn trace_ops(&self, pc: u64, ops: &[emu_ir::Op]) {
        if self.trace.wants(pc) {
            self.trace(&format!("optimised: pc {pc:#018x}\n{}", emu_ir::print(ops)));
        }
    }
    /// Generated code, disassembled.
    pub(crate) fn trace_code(&self, pc: u64, address: usize, code: &[u8]) {
        if !self.trace.filter.is_empty() && !self.trace.filter.iter().any(|(a, b)| *a <= pc && pc <= *b) {
            return;
        }
        self.trace(&format!("code: pc {pc:#018x} at {address:#x}\n{}", emu_x86_64::disassemble(address, code)));
    }
    /// Code of earlier processes, and for later ones, if there is such.
    pub(crate) fn kept(&self) -> Option<&crate::Kept> {
        self.kept.get()
    }
    /// The machine or program ends, or becomes another: what code it had made is for later processes of it.
    pub(crate) fn save_code(&self) {
        if let Some(kept) = self.kept() {
            kept.save();
        }
    }
    /// The machine's or program's code is kept for later processes of it, and comes from earlier ones. Before `run`; nothing is kept where
    /// somebody wants to see code being made, or counts instructions.
    pub fn keep_code(&self, kept: crate::Kept) {
        let seen = self.trace.any_translation() || self.trace.out_asm || self.trace.each_block() || self.debug.is_engaged();
        if let (Some(native), false) = (&self.native, seen)
            && !(native.is_watched() || native.frame.unlinked || native.frame.count)
        {
            // Who comes second comes too late.
            let _ = self.kept.set(kept);
        }
    }
    /// Counters, for `--stats`.
    pub fn statistics(&self) -> String {
        let load = |a: &AtomicU64| a.load(Ordering::Relaxed);
        let executed: u64 = self.cpus.iter().map(|c| load(&c.published)).sum();
        let mut text = String::new();
        if let Some(n) = &self.native {
            text = format!(
                "regions: {}\nregions of earlier processes: {}\nwarm regions: {}\nhot regions: {}\nentries of code that moves: {}\nbytes of code: {}\njumps patched: {}\nchunks of code evicted: {}\ntime spent making code: {:.3} s\n",
                load(&n.regions),
                load(&n.kept),
                load(&n.warm),
                load(&n.hot),
                load(&n.entries),
                load(&n.bytes),
                load(&n.links),
                load(&n.evicted),
                load(&n.time_ns) as f64 / 1e9
            );
        }
        let each: Vec<_> = self.cpus.iter().map(|c| c.counters.all()).collect();
        for (i, (name, _)) in each.first().into_iter().flatten().enumerate() {
            let sum: u64 = each.iter().map(|c| c[i].1).sum();
            text += &format!("{name}: {sum}\n");
        }
        text + &format!(
            "instructions executed: {executed}\nblocks translated: {}\ninstructions translated: {}\npages of code invalidated: {}\ncode cache flushes: {}\naccesses to nothing: {}\n",
            load(&self.code.translated),
            load(&self.code.insns),
            load(&self.code.invalidated),
            load(&self.code.flushed),
            load(&self.space.unassigned),
        )
    }
}
