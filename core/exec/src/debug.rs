//! Debugging: stopping all CPUs, letting some of them run or step, breakpoints, watchpoints, and access to a stopped machine.
//!
//! * A stop is a wish first ([`Machine::debug_stop`]); each CPU's thread takes note between two runs and waits. When all wait and nothing is
//!   posted to any of them, the machine has stopped: time stands still, the debugger is told, and it may touch the CPUs' state until it calls
//!   [`Machine::debug_resume`].
//! * Where a CPU goes by generated code, that is left as it is: while there is something to mind it runs by the interpreter, whose blocks lie
//!   beside in the code index.
//! * Breakpoints and watchpoints change only while the machine is stopped; a run works with the [`Points`] that it began with.
//! * A breakpoint is met between blocks, so blocks end before an address that had one since the code index was last emptied. While there are
//!   watchpoints blocks have one instruction, so that an access of a helper is reported right behind its instruction.
//! * Pages with watchpoints are entered into the translation caches with [`slow::WATCHED`]. The slow path ends the block by the fault
//!   [`WATCH`] before the access happens; it never reaches the guest.
//! * A step runs one instruction and takes no interrupt.
//!
//! Without a debugger all of this costs a look at an atomic between runs, and one when a block is made.

use crate::machine::Machine;
use crate::memory::Running;
use crate::vcpu::{OFF, Request, Vcpu};
use emu_interp::Fault;
use emu_ir::MemFlags;
use emu_mem::{PAGE_SIZE, slow};
use emu_plugins_api::{Access, AccessKind, DebugLayout, FlushKind, SystemEvent, TlbFlush, Translation, debug_flag, fault};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
use std::time::Duration;

/// The fault of an access that a watchpoint is for.
pub(crate) const WATCH: u64 = u64::MAX;

/// Tags in the top byte do not matter to watchpoints.
const VA_MASK: u64 = (1 << 56) - 1;

/// So many addresses stay block ends after their breakpoints are gone.
const CUTS_MAX: usize = 256;

/// Which accesses a watchpoint is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    /// Stores.
    Write,
    /// Loads.
    Read,
    /// Both.
    Access,
}

/// A watchpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watchpoint {
    /// Virtual address of the first byte.
    pub addr: u64,
    /// Number of bytes, at least 1.
    pub len: u64,
    /// What it is for.
    pub kind: WatchKind,
}

/// Why the machine has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Somebody asked for it.
    Asked,
    /// A CPU has come to a breakpoint.
    Breakpoint {
        /// The CPU.
        cpu: u32,
        /// Which of the two lists it is in.
        hardware: bool,
    },
    /// An access of a CPU met a watchpoint.
    Watchpoint {
        /// The CPU.
        cpu: u32,
        /// The first byte accessed that is watched.
        addr: u64,
        /// Kind of the watchpoint.
        kind: WatchKind,
    },
    /// A CPU has done its step.
    Step {
        /// The CPU.
        cpu: u32,
    },
    /// A program's thread is about to be given a signal.
    Signal {
        /// Its CPU.
        cpu: u32,
        /// The signal's number in Linux.
        signal: u32,
    },
}

/// What a CPU does when the machine goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It runs.
    Run,
    /// It runs an instruction, and more while the program counter is at or above `.0` and below `.1`; then the machine stops.
    Step(u64, u64),
    /// It waits while others run.
    Hold,
}

/// What a CPU is doing, for lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuStatus {
    /// It executes instructions.
    Runs,
    /// It waits for an interrupt.
    Waits,
    /// It is powered off.
    Off,
}

/// Breakpoints and watchpoints.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Points {
    /// Addresses of breakpoints, those of the two kinds apart: the second is true for "hardware" ones.
    pub breakpoints: Vec<(u64, bool)>,
    /// Watchpoints.
    pub watchpoints: Vec<Watchpoint>,
}

impl Points {
    fn is_empty(&self) -> bool {
        self.breakpoints.is_empty() && self.watchpoints.is_empty()
    }
    /// The watchpoint that an access meets, and the first byte of it that is accessed.
    fn watched(&self, va: u64, size: u64, write: bool, read: bool) -> Option<(u64, WatchKind)> {
        let (first, last) = (va & VA_MASK, (va & VA_MASK).saturating_add(size - 1));
        self.watchpoints.iter().find_map(|w| {
            let from = w.addr & VA_MASK;
            let wanted = match w.kind {
                WatchKind::Write => write,
                WatchKind::Read => read,
                WatchKind::Access => true,
            };
            let meets = first <= from.saturating_add(w.len - 1) && from <= last;
            (wanted && meets).then(|| (w.addr + first.max(from) - from, w.kind))
        })
    }
    fn watches_page(&self, page: u64) -> bool {
        self.watched(page, PAGE_SIZE, true, true).is_some()
    }
}

/// Whom to tell of a stop; called on a CPU's thread.
pub type StopSink = Arc<dyn Fn(Stop) + Send + Sync>;

/// How a program ended: its exit code, or the signal that ended it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgramEnd {
    /// It exited.
    Code(i32),
    /// A signal of this number.
    Signal(u32),
}

/// Told of a program's end, on the thread that ends it, before it does.
pub type Farewell = Arc<dyn Fn(ProgramEnd) + Send + Sync>;

#[derive(Default)]
pub(crate) struct State {
    /// The CPUs are to stop, or have stopped.
    pub(crate) stopping: bool,
    /// They have: nobody touches their state without the lock on this.
    pub(crate) stopped: bool,
    /// Why; the first reason counts.
    reason: Option<Stop>,
    /// Stops that have happened while another one was being carried out, and that would not happen again by themselves.
    pending: VecDeque<Stop>,
    /// What each CPU does while the machine is not stopped.
    actions: Vec<Action>,
    /// CPUs that wait.
    held: Vec<bool>,
    /// CPUs of threads that have ended.
    gone: Vec<bool>,
    /// What CPUs do that come while the machine runs.
    others: Option<Action>,
    /// Signals that go on to their threads, by CPU, when the machine goes on.
    pub(crate) passed: Vec<(u32, u32)>,
    /// A file descriptor of the debugger's connection, which a forked process closes.
    descriptor: Option<i32>,
    /// Whom to tell of a program's end, and in which process.
    farewell: Option<(Farewell, u32)>,
    /// A stop that is reached again after a reset is not news.
    told: bool,
    pub(crate) sink: Option<StopSink>,
    /// What the debugger has set so far; it counts from the next resume on.
    wanted: Points,
    /// Counts resets.
    resets: u64,
}

/// How blocks are made.
#[derive(Default)]
struct Shape {
    /// No block goes on beyond one of these addresses; sorted.
    cuts: Vec<u64>,
    /// Blocks have one instruction.
    single: bool,
}

/// A machine's debugging.
pub struct Debug {
    /// A debugger is or was there; until then nothing else here is looked at.
    engaged: AtomicBool,
    /// CPUs mind breakpoints, watchpoints or steps.
    active: AtomicBool,
    /// There are watchpoints.
    watching: AtomicBool,
    /// Blocks are not made as long as they could be.
    shaped: AtomicBool,
    /// Watchpoints are reported before the access.
    watch_before: AtomicBool,
    /// The cluster whose CPUs a debugger sees: it knows the registers of one target.
    cluster: AtomicUsize,
    points: RwLock<Arc<Points>>,
    shape: RwLock<Shape>,
    state: Mutex<State>,
    /// The machine has stopped, goes on, or has been reset.
    changed: Condvar,
}

/// What a CPU minds during a run.
pub(crate) struct Minder {
    points: Arc<Points>,
    step: Option<(u64, u64)>,
    /// Instructions retired before the run.
    insns: u64,
    /// A stop that is due when the instruction that may access what is watched is done, and the instruction count before that.
    pass: Option<(Stop, u64)>,
}

impl State {
    /// Room for what is known of a CPU; more of them come with a program's threads.
    fn room(&mut self, cpus: usize) {
        if self.held.len() < cpus {
            self.held.resize(cpus, false);
            self.gone.resize(cpus, false);
            self.actions.resize(cpus, self.others.unwrap_or(Action::Run));
        }
    }
    /// A CPU waits, or has no thread.
    pub(crate) fn waits(&self, cpu: u32) -> bool {
        let flag = |list: &[bool]| list.get(cpu as usize).copied().unwrap_or(false);
        flag(&self.held) || flag(&self.gone)
    }
    fn action(&self, cpu: u32) -> Action {
        self.actions.get(cpu as usize).copied().unwrap_or(self.others.unwrap_or(Action::Run))
    }
}

impl Debug {
    pub(crate) fn new(cpus: u32) -> Debug {
        let mut state = State::default();
        state.room(cpus as usize);
        Debug {
            engaged: AtomicBool::new(false),
            active: AtomicBool::new(false),
            watching: AtomicBool::new(false),
            shaped: AtomicBool::new(false),
            watch_before: AtomicBool::new(false),
            cluster: AtomicUsize::new(0),
            points: RwLock::default(),
            shape: RwLock::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
    fn points(&self) -> Arc<Points> {
        Arc::clone(&self.points.read().unwrap_or_else(|e| e.into_inner()))
    }
    /// True while a CPU steps: it takes no interrupts.
    #[inline]
    pub(crate) fn steps(&self, cpu: &Vcpu) -> bool {
        self.active.load(Ordering::Relaxed) && cpu.steps.load(Ordering::Relaxed)
    }
    /// A debugger is or was there.
    #[inline]
    pub(crate) fn is_engaged(&self) -> bool {
        self.engaged.load(Ordering::SeqCst)
    }
    /// Waits a while for the machine to stop or go on.
    pub(crate) fn wait<'a>(&self, s: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(s, Duration::from_millis(20)).unwrap_or_else(|e| e.into_inner()).0
    }
    /// In a process that was forked: no debugger is there.
    pub(crate) fn forked(&self, s: &mut State) {
        if let Some(fd) = s.descriptor {
            // SAFETY: the connection is the other process's; nobody uses it in this one.
            unsafe { libc::close(fd) };
        }
        *s = State::default();
        [&self.engaged, &self.active, &self.watching].iter().for_each(|flag| flag.store(false, Ordering::SeqCst));
        *self.points.write().unwrap_or_else(|e| e.into_inner()) = Arc::default();
    }
    /// Under icount: true if a CPU has no turn while others run.
    pub(crate) fn skips(&self, cpu: usize) -> bool {
        self.engaged.load(Ordering::SeqCst) && self.state().action(cpu as u32) == Action::Hold
    }
    /// The CPUs are to stop or have stopped; whoever brings that about kicks them.
    pub(crate) fn is_stopping(&self) -> bool {
        self.engaged.load(Ordering::SeqCst) && self.state().stopping
    }
    /// Most instructions of a block.
    pub(crate) fn block_limit(&self, usual: u32) -> u32 {
        let single = self.shaped.load(Ordering::SeqCst) && self.shape.read().unwrap_or_else(|e| e.into_inner()).single;
        if single { 1 } else { usual }
    }
    /// Most bytes of code of a block at `pc`.
    pub(crate) fn block_bytes(&self, pc: u64, usual: u64) -> u64 {
        if !self.shaped.load(Ordering::SeqCst) {
            return usual;
        }
        let shape = self.shape.read().unwrap_or_else(|e| e.into_inner());
        let next = shape.cuts.partition_point(|c| *c <= pc);
        shape.cuts.get(next).map_or(usual, |c| usual.min(c - pc))
    }
    /// True for a CPU that a debugger sees: breakpoints and watchpoints are for those only.
    fn concerns(&self, cpu: &Vcpu) -> bool {
        self.cluster.load(Ordering::Relaxed) == cpu.cluster
    }
    /// Slow bits of a page in a CPU's translation caches.
    #[inline]
    pub(crate) fn page_bits(&self, cpu: &Vcpu, va: u64) -> u64 {
        if self.watching.load(Ordering::Relaxed) && self.concerns(cpu) && self.points().watches_page(va & !(PAGE_SIZE - 1)) {
            slow::WATCHED
        } else {
            0
        }
    }
    /// The machine was reset while no CPU ran: those that wait confirm that they do, having taken what the reset posted.
    pub(crate) fn after_reset(&self) {
        let mut s = self.state();
        s.held.fill(false);
        s.told |= s.stopped;
        s.stopped = false;
        s.pending.clear();
        s.resets += 1;
        self.changed.notify_all();
    }
    /// How blocks are made must fit the points that the CPUs are about to mind; true if the blocks there are do not.
    fn reshape(&self, points: &Points) -> bool {
        let mut shape = self.shape.write().unwrap_or_else(|e| e.into_inner());
        let single = !points.watchpoints.is_empty();
        let new: Vec<u64> = points.breakpoints.iter().map(|(a, _)| *a).filter(|a| shape.cuts.binary_search(a).is_err()).collect();
        let unfit = single != shape.single || !new.is_empty();
        shape.single = single;
        if !new.is_empty() {
            // Ends of blocks whose breakpoints are gone do no harm, and debuggers remove and insert the same ones all the time.
            if shape.cuts.len() + new.len() > CUTS_MAX {
                shape.cuts = points.breakpoints.iter().map(|(a, _)| *a).collect();
            } else {
                shape.cuts.extend(new);
            }
            shape.cuts.sort_unstable();
            shape.cuts.dedup();
        }
        self.shaped.store(single || !shape.cuts.is_empty(), Ordering::SeqCst);
        unfit
    }
    /// Blocks are made as long as they can be; true if there may be others.
    fn forget_shape(&self) -> bool {
        *self.shape.write().unwrap_or_else(|e| e.into_inner()) = Shape::default();
        self.shaped.swap(false, Ordering::SeqCst)
    }
}

/// For the CPUs' threads.
impl Machine {
    /// True while a CPU goes the slow and exact way: by the interpreter, a block at a time, with its [`Minder`] asked before each.
    #[inline]
    pub fn debugging(&self) -> bool {
        self.debug.active.load(Ordering::Relaxed)
    }

    /// True if the CPU is to wait. Called on its thread between two runs.
    pub(crate) fn debug_holds(&self, cpu: &Vcpu) -> bool {
        if !self.debug.engaged.load(Ordering::SeqCst) {
            return false;
        }
        let mut s = self.debug.state();
        // What was posted belongs to the state that the debugger sees; under the lock, for the debugger may be looking already.
        cpu.serve();
        let i = cpu.index as usize;
        s.room(i + 1);
        s.gone[i] = false;
        s.held[i] = s.stopping || s.actions[i] == Action::Hold;
        self.debug_settle(&mut s);
        s.held[i]
    }

    /// A program's thread has ended, and its CPU waits for another one.
    pub(crate) fn debug_gone(&self, cpu: &Vcpu) {
        let mut s = self.debug.state();
        s.room(cpu.index as usize + 1);
        s.gone[cpu.index as usize] = true;
        self.debug_settle(&mut s);
    }
    /// A thread begins on a CPU.
    pub(crate) fn debug_comes(&self, cpu: &Vcpu) {
        let mut s = self.debug.state();
        s.room(cpu.index as usize + 1);
        s.gone[cpu.index as usize] = false;
    }
    /// False if a CPU has no thread.
    pub fn debug_lives(&self, cpu: u32) -> bool {
        (cpu as usize) < self.cpus.len() && !self.debug.state().gone.get(cpu as usize).copied().unwrap_or(false)
    }

    /// Under icount, for the thread that runs all CPUs: waits a while if the machine is stopped, and says so.
    pub(crate) fn debug_holds_all(&self) -> bool {
        if !self.debug.engaged.load(Ordering::SeqCst) {
            return false;
        }
        let mut s = self.debug.state();
        if !s.stopping {
            return false;
        }
        self.cpus.iter().for_each(|c| c.serve());
        s.held.fill(true);
        self.debug_settle(&mut s);
        // Other things than the debugger end the wait too; they are looked at in turns.
        drop(self.debug.changed.wait_timeout(s, Duration::from_millis(20)));
        true
    }

    /// The machine has stopped when all CPUs wait and have taken what was posted to them.
    fn debug_settle(&self, s: &mut State) {
        s.room(self.cpus.len());
        let waits = |c: &Arc<Vcpu>| s.gone[c.index as usize] || s.held[c.index as usize] && c.has_served();
        if !s.stopping || s.stopped || !self.cpus.iter().take(s.held.len()).all(waits) {
            return;
        }
        s.stopped = true;
        self.time.freeze();
        self.debug.changed.notify_all();
        if !std::mem::replace(&mut s.told, true)
            && let (Some(sink), Some(reason)) = (&s.sink, s.reason)
        {
            sink(reason);
        }
    }

    /// What a CPU minds in the run that begins; `None`: nothing.
    pub(crate) fn debug_begin(&self, cpu: &Vcpu, insns: u64) -> Option<Minder> {
        if !self.debugging() {
            return None;
        }
        let step = match self.debug.state().action(cpu.index) {
            Action::Step(first, end) => Some((first, end)),
            _ => None,
        };
        let points = if self.debug.concerns(cpu) { self.debug.points() } else { Arc::default() };
        Some(Minder { points, step, insns, pass: None })
    }

    /// A block ended with the fault [`WATCH`]. The CPU stands at the instruction, of which nothing visible has happened.
    pub(crate) fn debug_watch_hit(&self, minder: Option<&mut Minder>, cpu: &Vcpu, f: &Fault, insns: u64) {
        let write = f.kind != AccessKind::READ.0;
        let read = f.kind != AccessKind::WRITE.0;
        let Some((addr, kind)) = self.debug.points().watched(f.va, f.size.into(), write, read) else { return };
        let stop = Stop::Watchpoint { cpu: cpu.index, addr, kind };
        match minder {
            Some(m) if !self.debug.watch_before.load(Ordering::Relaxed) => {
                cpu.passes.store(true, Ordering::Relaxed);
                m.pass = Some((stop, insns));
            }
            _ => self.debug_stop_for(stop),
        }
    }

    /// A helper has accessed memory: it is reported when its instruction is done.
    fn debug_note_access(&self, cpu: &Vcpu, va: u64, len: u64, write: bool) {
        if let Some((addr, kind)) = self.debug.points().watched(va, len, write, !write) {
            self.debug_stop_for(Stop::Watchpoint { cpu: cpu.index, addr, kind });
        }
    }

    fn debug_stop_for(&self, stop: Stop) {
        let mut s = self.debug.state();
        if s.sink.is_none() {
            // The debugger has gone, or is another process's of which this one was forked in the middle of a run.
            return;
        }
        if s.stopping {
            // A CPU that has met a breakpoint will meet it again; what has happened has to be kept.
            if matches!(stop, Stop::Watchpoint { .. }) && s.reason != Some(stop) {
                s.pending.push_back(stop);
            }
            return;
        }
        self.debug_begin_stop(&mut s, stop);
    }

    pub(crate) fn debug_begin_stop(&self, s: &mut State, stop: Stop) {
        (s.stopping, s.stopped, s.told, s.reason) = (true, false, false, Some(stop));
        self.debug.engaged.store(true, Ordering::SeqCst);
        self.cpus.iter().for_each(|c| c.kick());
        if self.user.is_some() {
            self.debug_nudge(s);
        }
        self.debug.changed.notify_all();
    }
}

impl Minder {
    /// Instructions that the run may have.
    pub(crate) fn budget(&self, usual: u64) -> u64 {
        if self.step.is_some() { usual.min(1) } else { usual }
    }
    /// Before a block at `pc`: true if the CPU stops here.
    pub(crate) fn stops(&mut self, machine: &Machine, cpu: &Vcpu, pc: u64, insns: u64) -> bool {
        if let Some((stop, since)) = self.pass {
            if insns == since {
                return false;
            }
            self.end_pass(cpu);
            machine.debug_stop_for(stop);
            return true;
        }
        if self.step.is_some() {
            return false;
        }
        match self.points.breakpoints.iter().find(|(a, _)| *a == pc) {
            Some((_, hardware)) => {
                machine.debug_stop_for(Stop::Breakpoint { cpu: cpu.index, hardware: *hardware });
                true
            }
            None => false,
        }
    }
    fn end_pass(&mut self, cpu: &Vcpu) {
        cpu.passes.store(false, Ordering::Relaxed);
        self.pass = None;
    }
    /// The run is over.
    pub(crate) fn end(mut self, machine: &Machine, cpu: &Vcpu, pc: u64, insns: u64) {
        if let Some((stop, since)) = self.pass {
            self.end_pass(cpu);
            if insns != since {
                return machine.debug_stop_for(stop);
            }
        }
        if let Some((first, end)) = self.step
            && insns != self.insns
            && !(first..end).contains(&pc)
        {
            machine.debug_stop_for(Stop::Step { cpu: cpu.index });
        }
    }
}

impl Running<'_> {
    /// Fails with [`WATCH`] if there is a watchpoint for an access that would succeed otherwise: a guest's fault comes first.
    #[inline]
    pub(crate) fn mind_watchpoints(&self, va: u64, size: u32, kind: AccessKind, flags: MemFlags) -> Result<(), Fault> {
        if self.machine.debug.watching.load(Ordering::Relaxed) { self.mind(va, size, kind, flags) } else { Ok(()) }
    }
    #[cold]
    fn mind(&self, va: u64, size: u32, kind: AccessKind, flags: MemFlags) -> Result<(), Fault> {
        let (write, read) = (kind != AccessKind::READ, kind != AccessKind::WRITE);
        let debug = &self.machine.debug;
        if self.vcpu.passes.load(Ordering::Relaxed) || !debug.concerns(self.vcpu) || debug.points().watched(va, size.into(), write, read).is_none() {
            return Ok(());
        }
        let last = va.wrapping_add(u64::from(size) - 1);
        // Of an access that crosses a page, the second part too.
        let second = last & !(PAGE_SIZE - 1);
        for part in [Some(va), (second > va).then_some(second)].into_iter().flatten() {
            self.probe(part, kind, flags).map_err(|f| Fault { size, ..f })?;
        }
        Err(Fault { va, size, kind: kind.0, flags, fault: WATCH })
    }
    /// The same for an access of a helper, which has happened.
    pub(crate) fn note_watchpoints(&self, access: &Access, va: u64, len: usize) {
        if self.machine.debug.watching.load(Ordering::Relaxed) && len != 0 && self.machine.debug.concerns(self.vcpu) {
            self.machine.debug_note_access(self.vcpu, va, len as u64, access.kind == AccessKind::WRITE);
        }
    }
}

/// For debuggers: one at a time, on one thread.
impl Machine {
    /// Chooses the target whose CPUs debuggers see, by the number of its cluster. Before one is there.
    pub fn debug_choose(&self, cluster: usize) {
        self.debug.cluster.store(cluster, Ordering::SeqCst);
    }

    /// The CPUs that a debugger sees, by number.
    pub fn debug_cpus(&self) -> impl Iterator<Item = u32> {
        self.cpus.iter().filter(|c| self.debug.concerns(c)).map(|c| c.index)
    }

    /// The registers that their target shows to debuggers.
    pub fn debug_layout(&self) -> Option<DebugLayout> {
        self.cpus.iter().find(|c| self.debug.concerns(c))?.arch.debug_layout()
    }

    /// Lets no CPU run before a debugger says so. Before `run`.
    pub fn debug_start_stopped(&self) {
        self.debug_begin_stop(&mut self.debug.state(), Stop::Asked);
    }

    /// Asks the CPUs to stop; the sink is told when they have.
    pub fn debug_stop(&self) {
        let mut s = self.debug.state();
        if !s.stopping {
            self.debug_begin_stop(&mut s, Stop::Asked);
        }
    }

    /// True if the CPUs have stopped or are about to.
    pub fn debug_is_stopping(&self) -> bool {
        self.debug.is_stopping()
    }

    /// Stops the machine for a debugger that is told of stops from now on by `sink`. False if the machine has ended.
    pub fn debug_attach(&self, sink: StopSink) -> bool {
        let before = self.debug_layout().is_some_and(|l| l.flags & debug_flag::WATCH_BEFORE != 0);
        self.debug.watch_before.store(before, Ordering::SeqCst);
        self.debug_stop();
        let attached = self.debug_wait(|_| true);
        let mut s = self.debug.state();
        (s.sink, s.told) = (Some(sink), true);
        attached
    }

    /// The debugger goes: its points are gone, nobody is told any more. The machine stays as it is; see `debug_resume`.
    pub fn debug_detach(&self) {
        let mut s = self.debug.state();
        s.sink = None;
        s.wanted = Points::default();
        s.pending.clear();
    }

    /// Lets the machine run without a debugger: waits for the stop that may be under way first.
    pub fn debug_leave(&self) {
        self.debug_stop();
        if self.debug_wait(|_| true) {
            self.debug_resume(&vec![Action::Run; self.cpus.len()], Action::Run, &[]);
        }
    }

    /// True while the debugger may touch the CPUs.
    pub fn debug_is_stopped(&self) -> bool {
        self.debug.state().stopped
    }

    /// Waits until the machine is stopped and `done`; false if it ends before that.
    fn debug_wait(&self, done: impl Fn(&State) -> bool) -> bool {
        let mut s = self.debug.state();
        while !(s.stopped && done(&s)) {
            if self.has_ended() {
                return false;
            }
            s = self.debug.wait(s);
            if self.user.is_some() && s.stopping && !s.stopped {
                self.debug_nudge(&s);
            }
        }
        true
    }

    /// Changes breakpoints and watchpoints; they count when the machine goes on.
    pub fn debug_points<R>(&self, change: impl FnOnce(&mut Points) -> R) -> R {
        change(&mut self.debug.state().wanted)
    }

    /// Whom to tell of a program's end, and the descriptor of the debugger's connection.
    pub fn debug_follow_program(&self, farewell: Farewell, descriptor: i32) {
        let mut s = self.debug.state();
        (s.farewell, s.descriptor) = (Some((farewell, std::process::id())), Some(descriptor));
    }
    /// A program ends, on this thread.
    pub(crate) fn debug_program_ends(&self, end: ProgramEnd) {
        if !self.debug.is_engaged() {
            return;
        }
        let farewell = self.debug.state().farewell.clone();
        // A vforked process has all of this too.
        if let Some((farewell, _)) = farewell.filter(|(_, process)| *process == std::process::id()) {
            farewell(end);
        }
    }

    /// Lets a stopped machine go on: an action for each CPU and one for those that come, and signals that go on to their threads, by CPU.
    pub fn debug_resume(&self, actions: &[Action], others: Action, signals: &[(u32, u32)]) {
        let mut s = self.debug.state();
        if !s.stopped {
            return;
        }
        (s.actions, s.others) = (actions.to_vec(), Some(others));
        s.actions.resize(self.cpus.len(), others);
        s.passed = signals.to_vec();
        let points = s.wanted.clone();
        let steps = actions.iter().any(|a| matches!(a, Action::Step(..)));
        for (cpu, action) in self.cpus.iter().zip(&s.actions) {
            cpu.steps.store(matches!(action, Action::Step(..)), Ordering::SeqCst);
        }
        let watching = !points.watchpoints.is_empty();
        let old = self.debug.points();
        // Steps alone need no blocks: debuggers take all points away for them and put them back.
        let leaving = s.sink.is_none();
        if actions.contains(&Action::Run) && self.debug.reshape(&points) || leaving && self.debug.forget_shape() {
            self.code.drop_interpreted();
        }
        if old.watchpoints != points.watchpoints {
            for cpu in &self.cpus {
                cpu.post(Request::Flush(TlbFlush { kind: FlushKind::ALL, asid: 0, va: 0, last: u64::MAX, views: u32::MAX, broadcast: 0 }));
            }
        }
        self.debug.active.store(steps || !points.is_empty(), Ordering::SeqCst);
        self.debug.watching.store(watching, Ordering::SeqCst);
        *self.debug.points.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(points);
        s.held.fill(false);
        (s.stopping, s.stopped) = (false, false);
        self.debug.engaged.store(!leaving, Ordering::SeqCst);
        self.time.thaw();
        if let Some(stop) = s.pending.pop_front() {
            return self.debug_begin_stop(&mut s, stop);
        }
        self.cpus.iter().for_each(|c| c.kick());
        self.debug.changed.notify_all();
    }

    /// Resets a stopped machine, which stays stopped; false if it ends instead.
    pub fn debug_reset(&self) -> bool {
        let before = self.debug.state().resets;
        self.system_event(SystemEvent::RESET, 0);
        self.debug_wait(|s| s.resets != before)
    }

    /// Does something with a CPU if the machine is stopped, while nobody else can.
    fn debug_with<R>(&self, cpu: u32, f: impl FnOnce(&Vcpu) -> R) -> Option<R> {
        let cpu = self.cpus.get(cpu as usize)?;
        let s = self.debug.state();
        s.stopped.then(|| f(cpu))
    }

    /// What a CPU of the stopped machine is doing.
    pub fn debug_status(&self, cpu: u32) -> Option<CpuStatus> {
        // SAFETY: the machine is stopped, and its CPUs' threads touch nothing without the lock that `debug_with` holds.
        self.debug_with(cpu, |c| match unsafe { (*c.header()).halted } {
            0 => CpuStatus::Runs,
            OFF => CpuStatus::Off,
            _ => CpuStatus::Waits,
        })
    }

    /// Reads a register of a CPU of the stopped machine; `out` has its size.
    #[must_use]
    pub fn debug_read_register(&self, cpu: u32, number: u32, out: &mut [u8]) -> bool {
        // SAFETY: as in `debug_status`.
        self.debug_with(cpu, |c| unsafe { c.arch.debug_read(c.header(), number, out) }).unwrap_or(false)
    }

    /// Writes a register of a CPU of the stopped machine.
    #[must_use]
    pub fn debug_write_register(&self, cpu: u32, number: u32, value: &[u8]) -> bool {
        // SAFETY: as in `debug_status`.
        self.debug_with(cpu, |c| unsafe { c.arch.debug_write(c.header(), number, value) }).unwrap_or(false)
    }

    /// The physical address of a virtual one as a CPU of the stopped machine sees it, whatever it may do there.
    fn debug_physical(&self, cpu: &Vcpu, va: u64) -> Option<u64> {
        let page = va & !(PAGE_SIZE - 1);
        let kinds = [AccessKind::READ, AccessKind::FETCH];
        let mut ways = kinds.into_iter().flat_map(|kind| (0..cpu.arch.layout().views).map(move |view| (kind, view)));
        ways.find_map(|(kind, view)| {
            let access = Access { va: page, size: 4, kind, view: view as u8, reserved: 0, mem_flags: view, insn_info: 0 };
            let mut out = Translation::default();
            // SAFETY: the callers are inside `debug_with`; see `debug_status`.
            let failed = unsafe { cpu.arch.walk(cpu.header(), &access, &mut out) };
            (failed == fault::NONE).then_some(out.pa & !(PAGE_SIZE - 1) | va & (PAGE_SIZE - 1))
        })
    }

    /// Reads virtual memory as a CPU of the stopped machine sees it, devices included; the number of bytes up to the first that is not there.
    pub fn debug_read_memory(&self, cpu: u32, va: u64, data: &mut [u8]) -> usize {
        self.debug_with(cpu, |cpu| match &self.user {
            Some(user) => user.debug_read(va, data),
            None => self.debug_read_at(cpu, va, data),
        })
        .unwrap_or(0)
    }
    fn debug_read_at(&self, cpu: &Vcpu, va: u64, data: &mut [u8]) -> usize {
        let mut at = 0;
        while at < data.len() {
            let here = va.wrapping_add(at as u64);
            let n = (data.len() - at).min((PAGE_SIZE - (here & (PAGE_SIZE - 1))) as usize);
            match self.debug_physical(cpu, here) {
                Some(pa) if self.space.read(pa, &mut data[at..at + n]) == fault::NONE => at += n,
                _ => break,
            }
        }
        at
    }

    /// Writes virtual memory as a CPU of the stopped machine sees it: all of it, read-only memory too, or nothing where an address leads
    /// nowhere.
    #[must_use]
    pub fn debug_write_memory(&self, cpu: u32, va: u64, data: &[u8]) -> bool {
        self.debug_with(cpu, |cpu| match &self.user {
            Some(user) => user.debug_write(self, va, data),
            None => self.debug_write_at(cpu, va, data),
        })
        .unwrap_or(false)
    }
    fn debug_write_at(&self, cpu: &Vcpu, va: u64, data: &[u8]) -> bool {
        let (mut parts, mut at) = (Vec::new(), 0);
        while at < data.len() {
            let here = va.wrapping_add(at as u64);
            let n = (data.len() - at).min((PAGE_SIZE - (here & (PAGE_SIZE - 1))) as usize);
            let place = self.debug_physical(cpu, here).and_then(|pa| self.space.find(pa).map(|hit| (pa, hit.window.ram.is_some())));
            let Some((pa, memory)) = place else { return false };
            parts.push((pa, memory, &data[at..at + n]));
            at += n;
        }
        let report = |w: &emu_mem::Window, page| self.code_written(w, page);
        parts
            .into_iter()
            .all(|(pa, memory, part)| (if memory { self.space.load(pa, part, &report) } else { self.space.write(pa, part, &report) }) == fault::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchpoints_meet_what_overlaps_them() {
        let points = Points {
            breakpoints: Vec::new(),
            watchpoints: vec![
                Watchpoint { addr: 0x1004, len: 4, kind: WatchKind::Write },
                Watchpoint { addr: 0xffff_0000_0000_2000, len: 1, kind: WatchKind::Access },
            ],
        };
        assert_eq!(points.watched(0x1000, 4, true, false), None);
        assert_eq!(points.watched(0x1000, 8, true, false), Some((0x1004, WatchKind::Write)));
        assert_eq!(points.watched(0x1006, 8, true, true), Some((0x1006, WatchKind::Write)));
        assert_eq!(points.watched(0x1006, 8, false, true), None);
        assert_eq!(points.watched(0x1008, 8, true, true), None);
        // A tag in the top byte names the same byte.
        assert_eq!(points.watched(0x5aff_0000_0000_2000, 2, false, true), Some((0xffff_0000_0000_2000, WatchKind::Access)));
        assert!(points.watches_page(0x1000) && !points.watches_page(0x2000));
        assert_eq!(points.watched(u64::MAX - 3, 8, true, true), None);
    }

    #[test]
    fn blocks_end_where_breakpoints_are_or_were() {
        let debug = Debug::new(1);
        assert_eq!((debug.block_bytes(0x1000, 64), debug.block_limit(64)), (64, 64));
        let mut points = Points { breakpoints: vec![(0x1010, false), (0x1008, true)], watchpoints: Vec::new() };
        assert!(debug.reshape(&points) && !debug.reshape(&points), "the second time the blocks fit");
        assert_eq!([0x1000, 0x1008, 0x100c, 0x1010].map(|pc| debug.block_bytes(pc, 64)), [8, 8, 4, 64]);
        points.breakpoints.clear();
        assert!(!debug.reshape(&points));
        points.watchpoints.push(Watchpoint { addr: 0, len: 1, kind: WatchKind::Read });
        assert!(debug.reshape(&points) && debug.block_limit(64) == 1);
        points.watchpoints.clear();
        assert!(debug.reshape(&points) && debug.block_limit(64) == 64);
        points.breakpoints = (0..2 * CUTS_MAX as u64).map(|i| (i * 4, false)).collect();
        assert!(debug.reshape(&points));
        assert_eq!(debug.shape.read().unwrap().cuts.len(), 2 * CUTS_MAX, "what is needed now is kept whatever the number");
    }
}
