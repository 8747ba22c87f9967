//! What forked children had to make code for, so that the next of them finds it made.
//!
//! A child shares the code that its parent has, and what it makes itself goes with it. Programs that fork often (a shell, a build) fork children
//! that all do the same: code that the parent never runs, and which each would make anew. So a child notes the places in memory that it shares
//! with its parent, who makes code for them before it forks again. They are hints: the parent makes code of what is in its own memory, if there
//! is any.

use emu_mem::PAGE_SIZE;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Places that are noted between two forks. Making code for one takes some 30 us.
const PLACES: usize = 1024;

/// In a noted address, which is none of the upper half: the code was made again with more care, since it runs more.
const AGAIN: u64 = 1 << 63;

/// Memory that a parent and its children share.
#[repr(C)]
struct Shared {
    /// Places noted, or more if there was no room.
    count: AtomicU32,
    /// Addresses, with [`AGAIN`], and mode keys.
    places: [[AtomicU64; 2]; PLACES],
}

/// The two ends of it.
#[derive(Default)]
pub struct Reports {
    /// Where this process notes for its parent; null if it has none.
    to: AtomicPtr<Shared>,
    /// Where its children do; null before it has any.
    from: AtomicPtr<Shared>,
}

/// Memory is asked for, all zeroes, for as long as the process lives.
fn shared() -> *mut Shared {
    let len = size_of::<Shared>().next_multiple_of(PAGE_SIZE as usize);
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let p = unsafe { libc::mmap(null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0) };
    if p == libc::MAP_FAILED { null_mut() } else { p.cast() }
}

fn seen<'a>(end: &AtomicPtr<Shared>) -> Option<&'a Shared> {
    // SAFETY: null, or a mapping that is never taken back; all of it is atomic.
    unsafe { end.load(Ordering::SeqCst).as_ref() }
}

impl Reports {
    /// Code was made for an address in a mode; `again`: with more care than at first.
    pub fn note(&self, pc: u64, mode: u64, again: bool) {
        let Some(shared) = seen(&self.to) else { return };
        if shared.count.load(Ordering::Relaxed) as usize >= PLACES {
            return;
        }
        if let Some(place) = shared.places.get(shared.count.fetch_add(1, Ordering::SeqCst) as usize) {
            place[1].store(mode, Ordering::SeqCst);
            place[0].store(if again { pc | AGAIN } else { pc }, Ordering::SeqCst);
        }
    }
    /// The places that children have noted since the last time, as [`note`](Self::note) has them.
    pub fn take(&self) -> Vec<(u64, u64, bool)> {
        let Some(shared) = seen(&self.from) else { return Vec::new() };
        let n = (shared.count.load(Ordering::SeqCst) as usize).min(PLACES);
        // One that is being written at this moment is none yet, or has another's mode: a hint that leads to nothing.
        let places = shared.places[..n].iter().map(|p| (p[0].swap(0, Ordering::SeqCst), p[1].load(Ordering::SeqCst)));
        let places = places.filter(|p| p.0 != 0).map(|(pc, mode)| (pc & !AGAIN, mode, pc & AGAIN != 0)).collect();
        if n != 0 {
            shared.count.store(0, Ordering::SeqCst);
        }
        places
    }
    /// The process is about to fork.
    pub fn before_fork(&self) {
        if self.from.load(Ordering::SeqCst).is_null() {
            self.from.store(shared(), Ordering::SeqCst);
        }
    }
    /// This is the child.
    pub fn forked(&self) {
        self.to.store(self.from.swap(null_mut(), Ordering::SeqCst), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_note_and_parents_take() {
        let (parent, child) = (Reports::default(), Reports::default());
        parent.note(1, 2, false);
        assert_eq!(parent.take(), []);
        parent.before_fork();
        // What the child has of its parent's memory.
        child.from.store(parent.from.load(Ordering::SeqCst), Ordering::SeqCst);
        child.forked();
        for n in 0..2 * PLACES as u64 {
            child.note(0x1000 + n, n, n == 2);
        }
        let taken = parent.take();
        assert!(taken.len() == PLACES && taken[1..3] == [(0x1001, 1, false), (0x1002, 2, true)], "{taken:?}");
        assert_eq!(parent.take(), []);
        child.note(5, 6, false);
        assert_eq!((parent.take(), child.take()), (vec![(5, 6, false)], vec![]));
    }
}
