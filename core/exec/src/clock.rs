//! Time and timers.
//!
//! Two sources, one interface. With [`Clock::Host`] time is the host's monotonic clock and a thread sleeps until the next deadline. With
//! [`Clock::Icount`] time is a function of the instructions executed, the scheduler looks at deadlines between slices, and nothing else in
//! the machine knows what time it is, so that two runs with one seed are the same run.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Where time comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The host's monotonic clock.
    Host,
    /// Each instruction takes 2^shift ns; the seed decides everything that is otherwise left to chance.
    Icount {
        /// log2 of the ns that an instruction takes.
        shift: u32,
        /// Seed of the machine's randomness and of the scheduler.
        seed: u64,
    },
}

/// Whose timer it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// Timer `1` of CPU `0`.
    Cpu(u32, u32),
    /// Timer `1` of device `0`.
    Device(u64, u32),
}

#[derive(Default)]
struct Queue {
    by_time: BTreeSet<(u64, Owner)>,
    by_owner: HashMap<Owner, u64>,
    stop: bool,
    /// `wake` was called, perhaps before `sleep`.
    woken: bool,
    /// The time in ns at which `sleep` ends by itself; 0 while nobody sleeps, for who does looks at the queue first.
    sleeps_until: u64,
    /// The last deadline of a CPU's timer that was due, and the one that is expected next (0: none is).
    last: u64,
    expected: u64,
}

/// How long nobody sleeps longer than.
const LONG: Duration = Duration::from_secs(3600);
/// A tick: CPU timers that are due this many ns apart are expected to be so once more.
const TICK: std::ops::Range<u64> = 500_000..20_000_000;
/// What a tick is expected early: guests round, and who sleeps wakes later than that anyway.
const EARLY: u64 = 5_000;
/// Time does not stand still.
const RUNS: u64 = u64::MAX;

/// The clock and the timers of a machine.
pub struct Time {
    kind: Clock,
    start: Instant,
    /// Host clock: ns that time has stood still, and the moment that it stands at ([`RUNS`]: it runs).
    lost: AtomicU64,
    stands_at: AtomicU64,
    /// Icount: instructions executed in finished slices.
    executed: AtomicU64,
    /// Icount: ns skipped while every CPU waited.
    skipped: AtomicU64,
    queue: Mutex<Queue>,
    changed: Condvar,
    random: Mutex<u64>,
}

impl Time {
    pub fn new(kind: Clock) -> Time {
        let seed = match kind {
            Clock::Icount { seed, .. } => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03,
            Clock::Host => 0,
        };
        Time {
            kind,
            start: Instant::now(),
            lost: AtomicU64::new(0),
            stands_at: AtomicU64::new(RUNS),
            executed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            queue: Mutex::default(),
            changed: Condvar::new(),
            random: Mutex::new(seed),
        }
    }
    pub fn is_deterministic(&self) -> bool {
        self.kind != Clock::Host
    }
    /// ns that an instruction takes, as a shift; 0 for the host clock.
    pub fn shift(&self) -> u32 {
        if let Clock::Icount { shift, .. } = self.kind { shift } else { 0 }
    }
    /// The time in ns; `slice` is what has been executed since the slice began (icount).
    pub fn now(&self, slice: u64) -> u64 {
        match self.kind {
            Clock::Host => match self.stands_at.load(Ordering::SeqCst) {
                RUNS => (self.start.elapsed().as_nanos() as u64).saturating_sub(self.lost.load(Ordering::SeqCst)),
                at => at,
            },
            Clock::Icount { shift, .. } => {
                (self.executed.load(Ordering::Relaxed).wrapping_add(slice) << shift).wrapping_add(self.skipped.load(Ordering::Relaxed))
            }
        }
    }
    /// Seconds since 1970. Under icount the run always begins at the same moment.
    pub fn wall(&self, slice: u64) -> u64 {
        const START: u64 = 1_767_225_600; // 2026-01-01
        match self.kind {
            Clock::Host => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(START, |d| d.as_secs()),
            Clock::Icount { .. } => START + self.now(slice) / 1_000_000_000,
        }
    }
    /// 64 random bits: the host's, or the seed's next (splitmix64).
    pub fn random(&self) -> u64 {
        if self.is_deterministic() {
            let mut state = self.random.lock().unwrap_or_else(|e| e.into_inner());
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            return z ^ z >> 31;
        }
        let mut bytes = [0; 8];
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        u64::from_le_bytes(bytes)
    }
    /// A slice has ended.
    pub fn executed(&self, insns: u64) {
        self.executed.fetch_add(insns, Ordering::Relaxed);
    }
    /// Icount: instructions executed in finished slices.
    pub fn all_executed(&self) -> u64 {
        self.executed.load(Ordering::Relaxed)
    }
    /// Nobody can run before `deadline`.
    pub fn skip_to(&self, deadline: u64) {
        self.skipped.fetch_add(deadline.saturating_sub(self.now(0)), Ordering::Relaxed);
    }
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Arms a timer for an absolute time in ns; `u64::MAX` disarms it.
    pub fn arm(&self, owner: Owner, deadline: u64) {
        let mut q = self.lock();
        if let Some(old) = q.by_owner.remove(&owner) {
            q.by_time.remove(&(old, owner));
        }
        if deadline != u64::MAX {
            q.by_owner.insert(owner, deadline);
            q.by_time.insert((deadline, owner));
            if deadline < q.sleeps_until {
                self.changed.notify_all();
            }
        }
    }
    /// The next deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.lock().by_time.first().map(|t| t.0)
    }
    /// Takes the timers that are due.
    pub fn due(&self, now: u64) -> Vec<Owner> {
        let mut q = self.lock();
        let mut due = Vec::new();
        while let Some(&(t, owner)) = q.by_time.first() {
            if t > now {
                break;
            }
            q.by_time.pop_first();
            q.by_owner.remove(&owner);
            due.push(owner);
            let since = t.saturating_sub(q.last);
            if matches!(owner, Owner::Cpu(..)) && since >= TICK.start {
                q.expected = if since < TICK.end { t + since - EARLY } else { 0 };
                q.last = t;
            }
        }
        due
    }
    /// Sleeps until the next deadline, at most for `limit`, until a call of `wake`, or the end; false at the end. (Host clock.)
    ///
    /// A timer that is armed for later than that wakes nobody. A kernel arms its tick anew each time, and to wake a thread costs the CPU that
    /// does it 10 us: with the thread of the timers awake for samples in between, a hundredth of a boot. Nor does the next tick of a kernel that
    /// has had two, for it is slept to before it is armed.
    pub fn sleep(&self, limit: Option<Duration>) -> bool {
        let mut q = self.lock();
        if q.stop {
            return false;
        }
        if std::mem::take(&mut q.woken) {
            return true;
        }
        let now = self.now(0);
        let expected = Some(q.expected).filter(|e| *e > now);
        let next = q.by_time.first().map(|t| t.0).into_iter().chain(expected).min().filter(|_| self.stands_at.load(Ordering::SeqCst) == RUNS);
        let next = next.map_or(LONG, |t| Duration::from_nanos(t.saturating_sub(now)));
        let wait = next.min(limit.unwrap_or(LONG));
        if !wait.is_zero() {
            q.sleeps_until = now.saturating_add(wait.as_nanos() as u64);
            let (mut q, _) = self.changed.wait_timeout(q, wait).unwrap_or_else(|e| e.into_inner());
            q.sleeps_until = 0;
            q.woken = false;
            return !q.stop;
        }
        true
    }
    /// Time stands still from now on. While no CPU runs, or one could see it go backwards. Under icount it does anyway.
    pub fn freeze(&self) {
        self.stands_at.store(self.now(0).min(RUNS - 1), Ordering::SeqCst);
        self.wake();
    }
    /// Time goes on where it stood still.
    pub fn thaw(&self) {
        let at = self.stands_at.load(Ordering::SeqCst);
        if at != RUNS {
            self.lost.store((self.start.elapsed().as_nanos() as u64).saturating_sub(at), Ordering::SeqCst);
            self.stands_at.store(RUNS, Ordering::SeqCst);
            self.wake();
        }
    }
    /// Ends `sleep` now.
    pub fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_all();
    }
    /// Ends `sleep` for good.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }
    /// Forgets all timers (system reset).
    pub fn clear(&self) {
        let mut q = self.lock();
        q.by_time.clear();
        q.by_owner.clear();
        q.expected = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_and_can_be_moved() {
        let t = Time::new(Clock::Icount { shift: 1, seed: 7 });
        t.arm(Owner::Cpu(0, 1), 100);
        t.arm(Owner::Device(3, 0), 50);
        t.arm(Owner::Cpu(0, 1), 40);
        t.arm(Owner::Cpu(1, 0), 60);
        t.arm(Owner::Cpu(1, 0), u64::MAX);
        assert_eq!(t.next_deadline(), Some(40));
        assert_eq!(t.due(39), []);
        assert_eq!(t.due(50), [Owner::Cpu(0, 1), Owner::Device(3, 0)]);
        assert_eq!(t.next_deadline(), None);
    }

    #[test]
    fn time_that_stood_still_is_not_missed() {
        let t = Time::new(Clock::Host);
        t.freeze();
        let at = t.now(0);
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(t.now(0), at);
        let began = Instant::now();
        t.thaw();
        let after = t.now(0);
        assert!(after >= at && after - at <= began.elapsed().as_nanos() as u64, "{at} {after}");
        t.thaw();
        assert!(t.now(0) >= after);
    }

    #[test]
    fn a_timer_that_is_sooner_ends_the_sleep() {
        let t = std::sync::Arc::new(Time::new(Clock::Host));
        // Before it, while nobody sleeps, and in it.
        for wait in [0, 30] {
            let began = Instant::now();
            let sleeper = t.clone();
            t.arm(Owner::Cpu(0, 0), t.now(0) + 7_200_000_000_000);
            if wait == 0 {
                t.arm(Owner::Cpu(0, 0), t.now(0) + 5_000_000);
            }
            let thread = std::thread::spawn(move || sleeper.sleep(Some(Duration::from_secs(60))));
            std::thread::sleep(Duration::from_millis(wait));
            if wait != 0 {
                t.arm(Owner::Device(1, 0), t.now(0) + 7_200_000_000_000);
                t.arm(Owner::Cpu(0, 0), t.now(0) + 5_000_000);
            }
            assert!(thread.join().expect("a thread that sleeps"));
            let took = began.elapsed();
            assert!(took < Duration::from_secs(50), "{took:?}");
            t.clear();
        }
        // By itself at the limit.
        assert!(t.sleep(Some(Duration::from_millis(5))));
        t.stop();
        assert!(!t.sleep(None));
    }

    #[test]
    fn the_next_tick_is_slept_to() {
        const MS: u64 = 1_000_000;
        let t = Time::new(Clock::Host);
        let sleep = |limit| {
            let began = t.now(0);
            assert!(t.sleep(Some(Duration::from_secs(limit))));
            t.now(0) - began
        };
        // Two ticks, of two CPUs each.
        let first = t.now(0) + 10 * MS;
        for tick in [first, first + 4 * MS] {
            t.arm(Owner::Cpu(0, 1), tick);
            t.arm(Owner::Cpu(1, 1), tick + 1000);
            assert_eq!(t.due(tick + 1000).len(), 2);
        }
        // Nobody arms the next one; that of a device is no tick.
        t.arm(Owner::Device(1, 0), first + 5 * MS);
        assert_eq!(t.due(first + 5 * MS).len(), 1);
        assert!(sleep(60) < 50_000 * MS);
        assert!(t.now(0) + EARLY >= first + 8 * MS);
        // It did not come: no other is expected. Nor is one behind two that are far apart.
        assert!(sleep(1) >= 1000 * MS);
        t.arm(Owner::Cpu(0, 1), first + 1000 * MS);
        t.due(first + 1000 * MS);
        assert!(sleep(1) >= 1000 * MS);
    }

    #[test]
    fn icount_time_and_randomness_repeat() {
        let run = |seed| {
            let t = Time::new(Clock::Icount { shift: 3, seed });
            t.executed(10);
            let a = t.now(2);
            t.skip_to(1000);
            (a, t.now(0), t.wall(0), t.random(), t.random())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert_eq!((run(1).0, run(1).1), (96, 1000));
    }
}
