//! The CPUs of a machine: a board's are there from the start, a program's threads come and go.
//!
//! The list only grows, so that a reference into it lasts; a thread that has ended leaves its CPU for the next.

use crate::vcpu::Vcpu;
use std::ops::Index;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The list.
pub struct Cpus {
    slots: Box<[OnceLock<Arc<Vcpu>>]>,
    len: AtomicUsize,
}

impl Cpus {
    /// A list of these, with room for `room` altogether.
    pub(crate) fn new(cpus: impl Iterator<Item = Arc<Vcpu>>, room: usize) -> Cpus {
        let mut slots: Vec<OnceLock<Arc<Vcpu>>> = cpus.map(OnceLock::from).collect();
        let len = AtomicUsize::new(slots.len());
        while slots.len() < room {
            slots.push(OnceLock::new());
        }
        Cpus { slots: slots.into(), len }
    }
    /// Adds what `make` makes of its number; `None` if there is no room. One caller at a time.
    pub(crate) fn add(&self, make: impl FnOnce(u32) -> Arc<Vcpu>) -> Option<&Arc<Vcpu>> {
        let n = self.len();
        let slot = self.slots.get(n)?;
        let cpu = slot.get_or_init(|| make(n as u32));
        self.len.store(n + 1, Ordering::SeqCst);
        Some(cpu)
    }
    /// Number of CPUs.
    #[allow(clippy::len_without_is_empty)] // There is always one.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }
    /// The CPU of a number.
    pub fn get(&self, n: usize) -> Option<&Arc<Vcpu>> {
        self.slots.get(n)?.get()
    }
    /// All of them.
    pub fn iter(&self) -> Iter<'_> {
        Iter { cpus: self, at: 0 }
    }
}

impl Index<usize> for Cpus {
    type Output = Arc<Vcpu>;
    #[inline]
    fn index(&self, n: usize) -> &Arc<Vcpu> {
        match self.slots[n].get() {
            Some(cpu) => cpu,
            None => panic!("there is no CPU {n}"),
        }
    }
}

/// See [`Cpus::iter`].
pub struct Iter<'a> {
    cpus: &'a Cpus,
    at: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Arc<Vcpu>;
    fn next(&mut self) -> Option<&'a Arc<Vcpu>> {
        let cpu = (self.at < self.cpus.len()).then(|| self.cpus.get(self.at)).flatten();
        self.at += 1;
        cpu
    }
}

impl<'a> IntoIterator for &'a Cpus {
    type Item = &'a Arc<Vcpu>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
