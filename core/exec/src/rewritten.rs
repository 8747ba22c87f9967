//! What is run of a page whose code changes again and again is interpreted some times before code is made of it.
//!
//! To make code of three instructions takes as long as twenty runs of their ops, and whoever writes code in order to run it four times has to have
//! it made each time. So a CPU keeps the ops of a block of such a page, ready to run, together with the bytes that they were made from. Before each
//! run those are compared with what lies there now: nobody has to be told of changes, whoever makes them, and the page is not watched on account of
//! what is kept, so that stores to it are plain ones. Bytes that are others are translated anew and their runs counted from the start; a block that
//! has had all its runs is one that code is made of. What comes to that each time that it changes is made at once mostly, and given its runs now and
//! then to see whether that is still so.
//!
//! A place can push another one out once that has had its runs. Until then the one that comes is made code of, which counts as one of the other's
//! runs: no two places keep each other from getting code.

use emu_interp::Step;

/// Runs of a block before code is made of it.
pub(crate) const RUNS: u32 = 16;
/// Of so many changes of a block that came to have all its runs, one is followed by runs again.
const CHANGES: u32 = 8;
/// Places that are kept.
const PLACES: usize = 256;
/// Ops of a block that is kept.
const STEPS_MAX: usize = 1024;

/// Where a block is, and what it is translated for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub pc: u64,
    pub mode: u64,
    pub pa: u64,
    pub attrs: u8,
}

/// A block, ready to run.
pub(crate) struct Kept {
    place: Place,
    /// How often it was to be run since it has changed; one more than [`RUNS`] if code was to be made.
    runs: u32,
    /// Changes without runs.
    changes: u32,
    /// What it was made from.
    pub bytes: Vec<u8>,
    /// What runs.
    pub steps: Vec<Step>,
}

impl Kept {
    /// Counts a run; false if it has had them all.
    pub(crate) fn count(&mut self) -> bool {
        self.runs = (self.runs + 1).min(RUNS + 1);
        self.runs <= RUNS
    }
    /// Its bytes are others now. True if it is to be run again; else code is to be made of it, as when it has had its runs.
    pub(crate) fn change(&mut self, now: &[u8]) -> bool {
        if self.runs <= RUNS {
            return true;
        }
        self.changes = (self.changes + 1) % CHANGES;
        self.bytes.copy_from_slice(now);
        self.changes == 0
    }
}

/// A CPU's.
#[derive(Default)]
pub(crate) struct Rewritten(Vec<Option<Box<Kept>>>);

impl Rewritten {
    fn slot(place: &Place) -> usize {
        ((place.pc ^ place.mode.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % PLACES
    }
    /// What is kept of a place.
    pub(crate) fn find(&mut self, place: &Place) -> Option<&mut Kept> {
        self.0.get_mut(Rewritten::slot(place))?.as_deref_mut().filter(|k| k.place == *place)
    }
    /// Whether a place has, or can have, the room that it needs.
    pub(crate) fn has_room(&mut self, place: &Place) -> bool {
        match self.0.get_mut(Rewritten::slot(place)) {
            Some(Some(other)) if other.place != *place => !other.count(),
            _ => true,
        }
    }
    /// Keeps a block, which is about to be run for the first time, and forgets what was kept of the place. Nothing is kept of one that is too long, or
    /// of no bytes; false then.
    pub(crate) fn keep(&mut self, place: Place, bytes: &[u8], steps: &[Step]) -> bool {
        if bytes.is_empty() || steps.len() > STEPS_MAX {
            if let Some(slot) = self.0.get_mut(Rewritten::slot(&place)) {
                slot.take_if(|k| k.place == place);
            }
            return false;
        }
        if self.0.is_empty() {
            self.0.resize_with(PLACES, || None);
        }
        let kept = self.0[Rewritten::slot(&place)]
            .get_or_insert_with(|| Box::new(Kept { place, runs: 0, changes: 0, bytes: Vec::new(), steps: Vec::new() }));
        if kept.place != place {
            (kept.place, kept.changes) = (place, 0);
        }
        kept.runs = 1;
        kept.bytes.clear();
        kept.bytes.extend_from_slice(bytes);
        kept.steps.clear();
        kept.steps.extend_from_slice(steps);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { pc: 0x1000, mode: 1, pa: 0x8000, attrs: 0 };

    /// A place that wants the same room.
    fn rival() -> Place {
        let mut places = (1..).map(|n| Place { pc: 0x1000 + 4 * n, ..HERE });
        places.find(|p| Rewritten::slot(p) == Rewritten::slot(&HERE)).unwrap()
    }

    #[test]
    fn a_place_is_run_so_often_and_again_when_it_has_changed() {
        let mut r = Rewritten::default();
        assert!(r.find(&HERE).is_none());
        for bytes in [[1, 2, 3, 4], [1, 2, 3, 5]] {
            assert!(r.has_room(&HERE) && r.keep(HERE, &bytes, &[]));
            assert_eq!(r.find(&HERE).unwrap().bytes, bytes);
            assert_eq!((0..2 * RUNS).filter(|_| r.find(&HERE).unwrap().count()).count() as u32, RUNS - 1, "the first was counted");
        }
        for other in [Place { pc: 0x1004, ..HERE }, Place { mode: 2, ..HERE }, Place { pa: 0x9000, ..HERE }, Place { attrs: 1, ..HERE }] {
            assert!(r.find(&other).is_none(), "{other:?}");
        }
        assert!(!r.keep(HERE, &[], &[]) && r.find(&HERE).is_none());
    }

    #[test]
    fn what_has_more_runs_each_time_gets_code_at_once() {
        let mut r = Rewritten::default();
        assert!(r.keep(HERE, &[0; 4], &[]));
        let mut runs = Vec::new();
        for change in 1..=2 * CHANGES as u8 {
            let kept = r.find(&HERE).unwrap();
            while kept.count() {}
            runs.push(kept.change(&[change; 4]));
            assert!(!kept.count() && kept.bytes == [change; 4]);
            assert!(!runs[runs.len() - 1] || r.keep(HERE, &[change; 4], &[]));
        }
        assert_eq!(runs.iter().filter(|again| **again).count(), 2, "{runs:?}");
        assert!(r.find(&HERE).unwrap().change(&[1; 4]), "the last ones are not over");
    }

    #[test]
    fn no_two_places_keep_each_other_from_getting_code() {
        let (mut r, other) = (Rewritten::default(), rival());
        assert!(r.has_room(&HERE) && r.keep(HERE, &[1], &[]));
        let refused = (0..2 * RUNS).take_while(|_| !r.has_room(&other)).count() as u32;
        assert_eq!(refused, RUNS - 1);
        assert!(!r.find(&HERE).unwrap().count(), "it has had its runs");
        assert!(r.keep(other, &[2], &[]) && r.find(&HERE).is_none() && r.find(&other).is_some());
    }
}
