//! Code that is run a lot is made again with more care.
//!
//! Code is made in a hurry when it is first executed, most of it to run a few times only. [`Sampler::sample`] has the CPUs look up from
//! generated code now and then, where they look for requests anyway: at loops, jumps to elsewhere and calls. Where a CPU is found more than
//! once the region there is made again as a hot one ([`emu_x86_64::Region::hot`]) and takes the place of what there was: in the index, in
//! jumps that were patched and, as they are found there, in the CPUs' jump caches. What runs in the old code goes on there until it leaves.
//!
//! It is made on the CPU's own thread, which waits for it: 0.2 ms a region, 1.3 % of a kernel's boot with one CPU and 1.5 % of an installer or of a
//! compiler. Made on another thread, while the CPU went on in what there was, it came later by the time that the host took to wake that thread:
//! the CPU's thread took as long as before, and a boot and an installer 1.02 to 1.04 of the CPU time.
//!
//! A program has no thread for that, which its kernel would show it, and a fork lose: there loops of code that is not hot count their rounds,
//! and a CPU comes by after [`ROUNDS`] of them.
//!
//! A program begins with code that is made in more of a hurry still ([`Tier::Brief`]): most of a start is dynamic linking, of which each place is
//! run once, and a process of a shell script does little else. A region is what is sure to come next, so that what is jumped over is not
//! translated; no pass runs but the one without which flags would be stored; accesses of 16 bytes rely on nothing that ends. It counts its runs and
//! after [`RUNS`](emu_x86_64::frame::RUNS) is made again as code of a machine is from the start. That pays for the first `BRIEFS` regions only:
//! small regions lie scattered, and a compiler, which runs a hundred thousand of them, was 1.4 times as slow with all code made so.
//!
//! CPUs that wait are left alone, and while all wait nobody is sampled. While all samples are of hot code there is less to be found, and samples
//! are fewer: to take one costs the host 10 us, and 40 where it is a virtual machine itself. So one is taken when a timer is due anyway: a guest's
//! tick of 4 ms and one sample between two are all that the thread wakes for. At 1 ms it was awake for 4 % of a boot. Under `-icount` there are no
//! samples.

use crate::code::{Mix, NativeBlock, Tier, fixed};
use crate::machine::Machine;
use crate::native::Native;
use crate::vcpu::Vcpu;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Time between samples.
const INTERVAL: Duration = Duration::from_millis(2);
/// Behind so many samples of nothing but hot code it is twice as long, and behind twice as many four times.
const SETTLED: u32 = 4;
/// Rounds of a program's loops between samples: see [`emu_x86_64::frame::Frame::counts_loops`].
pub(crate) const ROUNDS: i64 = 1 << 15;
/// Samples without a CPU in generated code before the sampler sleeps.
const IDLE: u32 = 3;
/// Samples at a place before its region is hot.
const HOT: u8 = 2;
/// Places that are counted at a time.
const PLACES: usize = 1024;

/// By physical address and key of an instruction: samples.
pub(crate) type Samples = HashMap<(u64, u64), u8, BuildHasherDefault<Mix>>;

/// What takes samples, on the thread of the timers.
#[derive(Default)]
pub struct Sampler {
    asleep: AtomicBool,
    /// Samples of hot code since the last one of other code.
    settled: AtomicU32,
}

/// What that thread keeps between samples.
#[derive(Default)]
pub struct Turn {
    /// When the next sample is due.
    next: Option<Instant>,
    /// Samples in turn without a CPU in generated code.
    idle: u32,
}

impl Sampler {
    /// Takes a sample if it is time: how long it is until the next one, if there is to be one.
    pub fn sample(&self, machine: &Machine, turn: &mut Turn) -> Option<Duration> {
        if self.asleep.load(Ordering::SeqCst) {
            return None;
        }
        let now = Instant::now();
        let interval = INTERVAL * (1 << (self.settled.load(Ordering::Relaxed) / SETTLED).min(2));
        match turn.next {
            // What comes a little early because of a timer is one wake-up less.
            Some(next) if next > now + INTERVAL / 2 => return Some(next - now),
            None => {
                turn.next = Some(now + interval);
                return Some(interval);
            }
            Some(_) => {}
        }
        let busy = machine.cpus.iter().filter(|c| c.code_seen.load(Ordering::Relaxed) != u64::MAX).map(|c| c.sample()).count();
        turn.idle = if busy == 0 { turn.idle + 1 } else { 0 };
        if turn.idle >= IDLE {
            *turn = Turn::default();
            self.settled.store(0, Ordering::Relaxed);
            self.asleep.store(true, Ordering::SeqCst);
            return None;
        }
        turn.next = Some(now + interval);
        Some(interval)
    }
    /// A CPU has been busy for some time.
    pub fn wake(&self, machine: &Machine) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::SeqCst) {
            machine.time.wake();
        }
    }
    /// A sample was of hot code, or not.
    fn note(&self, hot: bool) {
        if hot {
            self.settled.fetch_add(1, Ordering::Relaxed);
        } else {
            self.settled.store(0, Ordering::Relaxed);
        }
    }
}

impl Vcpu {
    /// The CPU has left generated code because of a sample: counts where it is.
    pub(crate) fn note_sample(&self, machine: &Machine, native: &Native) {
        if machine.debugging() || native.frame.unlinked {
            return;
        }
        // SAFETY: this is the CPU's thread.
        let (pc, mode, [last, first]) = unsafe { ((*self.header()).pc, (*self.header()).mode_key, (*self.exchange()).callers) };
        let hot = self.count_sample(machine, native, pc, mode);
        native.sampler.note(hot);
        if hot {
            // What is hot was come to by what there was before, and will be for as long as that calls it: a call inside of a region asks nobody. So
            // those who called are next, the last of them and the first, in which recursions end.
            for caller in [last, first] {
                if caller != u64::MAX {
                    self.count_sample(machine, native, caller, mode);
                }
            }
        }
    }

    /// Counts a place, and makes its region again if it has been seen often enough. True if it was hot before.
    fn count_sample(&self, machine: &Machine, native: &Native, pc: u64, mode: u64) -> bool {
        let Ok((pa, attrs)) = self.fetch(machine, pc, mode) else { return false };
        let key = self.block_key(mode, attrs);
        let Some(block) = machine.code.find_native(pa, fixed(pc), key) else { return false };
        if block.tier == Tier::Hot {
            // The CPU may have come here by what there was before. A program's has, and will again while its jump cache knows the way.
            if machine.user.is_some() {
                self.forget_code_of(pa);
            }
            self.enter_line(native, pc, mode, block.code);
            return true;
        }
        let samples = self.samples();
        if samples.len() >= PLACES {
            samples.clear();
        }
        let n = samples.entry((pa, key)).or_insert(0);
        *n += 1;
        if *n >= HOT {
            samples.remove(&(pa, key));
            // A program's samples are loops only: what leads into the loop comes first, for it goes on in what there is now.
            let before = machine.user.is_some().then(|| fixed(pc) | u64::from(block.entry));
            for at in before.into_iter().chain([pc]) {
                self.make_again(machine, native, at, mode, key, fixed(pa) | at & !fixed(at), attrs, Tier::Hot);
            }
            if machine.user.is_some() {
                self.forget_code_of(pa);
            }
        }
        false
    }

    /// The CPU has come to a region that has counted its runs: from here on it runs what was made with more care.
    pub(crate) fn make_warm(&self, machine: &Machine, native: &Native, pc: u64, mode: u64) {
        if machine.debugging() {
            return;
        }
        let Ok((pa, attrs)) = self.fetch(machine, pc, mode) else { return };
        let key = self.block_key(mode, attrs);
        self.make_again(machine, native, pc, mode, key, pa, attrs, Tier::Warm);
        // Others may have made it before; the way there may still be the old one.
        if let Some(block) = machine.code.find_native(pa, fixed(pc), key) {
            self.enter_line(native, pc, mode, block.code);
        }
    }

    /// Makes the region at `pc` with more care, unless there is such a one already.
    #[allow(clippy::too_many_arguments)]
    fn make_again(&self, machine: &Machine, native: &Native, pc: u64, mode: u64, key: u64, pa: u64, attrs: u8, tier: Tier) {
        if machine.code.find_native(pa, fixed(pc), key).is_some_and(|b| b.tier >= tier) {
            return;
        }
        let Some(wanted) = self.wanted(machine, pc, mode, key, pa, attrs, tier) else { return };
        let Some((NativeBlock { code, .. }, true)) = self.make_code(machine, native, wanted) else { return };
        let made = if tier == Tier::Hot { &native.hot } else { &native.warm };
        made.fetch_add(1, Ordering::Relaxed);
        if machine.user.is_none() {
            self.enter_line(native, pc, mode, code);
        }
    }
}
