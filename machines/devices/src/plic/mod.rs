//! The platform-level interrupt controller (RISC-V PLIC specification 1.0): sources with priorities, contexts with enables and a threshold.
//!
//! Sources are levels. A source becomes pending while its line is high and nobody serves it; completion opens the gate again. A claim is not
//! bound by the threshold, as the specification says.

use crate::{Line, lock};
use emu_plugins_api::{Device, Reader, Writer};
use std::sync::{Arc, Mutex};

/// Offsets of the register blocks.
pub mod spec {
    /// Priority of source 0; 4 bytes each.
    pub const PRIORITY: u64 = 0;
    /// Pending bits.
    pub const PENDING: u64 = 0x1000;
    /// Enable bits of context 0.
    pub const ENABLE: u64 = 0x2000;
    /// From one context's enable bits to the next one's.
    pub const ENABLE_STRIDE: u64 = 0x80;
    /// Threshold of context 0, then claim and complete.
    pub const CONTEXT: u64 = 0x20_0000;
    /// From one context to the next.
    pub const CONTEXT_STRIDE: u64 = 0x1000;
    /// Largest priority.
    pub const PRIORITY_MAX: u32 = 7;
}
use spec::*;

struct State {
    priority: Vec<u32>,
    /// Bit sets of sources.
    level: Vec<u32>,
    pending: Vec<u32>,
    served: Vec<u32>,
    /// By context.
    enable: Vec<Vec<u32>>,
    threshold: Vec<u32>,
}

fn bit(set: &[u32], n: usize) -> bool {
    set.get(n / 32).is_some_and(|w| w >> (n % 32) & 1 != 0)
}
fn put(set: &mut [u32], n: usize, on: bool) {
    if let Some(w) = set.get_mut(n / 32) {
        *w = *w & !(1 << (n % 32)) | u32::from(on) << (n % 32);
    }
}

impl State {
    fn new(sources: usize, contexts: usize) -> State {
        let words = (sources + 1).div_ceil(32);
        let set = || vec![0; words];
        State {
            priority: vec![0; sources + 1],
            level: set(),
            pending: set(),
            served: set(),
            enable: (0..contexts).map(|_| set()).collect(),
            threshold: vec![0; contexts],
        }
    }
    /// The enabled pending source of the highest priority, the lowest number first; 0 if there is none.
    fn best(&self, context: usize) -> usize {
        let mut best = 0;
        for n in 1..self.priority.len() {
            if bit(&self.pending, n) && bit(&self.enable[context], n) && self.priority[n] > self.priority[best] {
                best = n;
            }
        }
        best
    }
    fn set_level(&mut self, n: usize, level: bool) {
        put(&mut self.level, n, level);
        if level && !bit(&self.served, n) {
            put(&mut self.pending, n, true);
        } else if !level {
            // What has not been claimed is gone with its cause.
            put(&mut self.pending, n, false);
        }
    }
    fn claim(&mut self, context: usize) -> usize {
        let n = self.best(context);
        if n != 0 {
            put(&mut self.pending, n, false);
            put(&mut self.served, n, true);
        }
        n
    }
    fn complete(&mut self, context: usize, n: usize) {
        if n < self.priority.len() && bit(&self.enable[context], n) && bit(&self.served, n) {
            put(&mut self.served, n, false);
            if bit(&self.level, n) {
                put(&mut self.pending, n, true);
            }
        }
    }
}

struct Shared {
    name: String,
    outputs: Vec<Line>,
    sources: usize,
    state: Mutex<State>,
}

/// The controller. A clone is the same controller.
#[derive(Clone)]
pub struct Plic(Arc<Shared>);

impl Plic {
    /// A controller with sources 1 to `sources` and a context for each output.
    pub fn new(name: &str, sources: usize, outputs: Vec<Line>) -> Plic {
        let state = Mutex::new(State::new(sources, outputs.len()));
        Plic(Arc::new(Shared { name: name.into(), outputs, sources, state }))
    }
    /// The input of a source.
    pub fn line(&self, source: usize) -> Line {
        let plic = self.clone();
        Line::new(move |level| {
            let mut s = lock(&plic.0.state);
            s.set_level(source, level);
            plic.update(&s);
        })
    }
    fn update(&self, s: &State) {
        for (context, line) in self.0.outputs.iter().enumerate() {
            line.set(s.priority[s.best(context)] > s.threshold[context]);
        }
    }
    /// Context and register of an offset behind `CONTEXT`.
    fn context(&self, offset: u64) -> Option<(usize, u64)> {
        let at = offset.checked_sub(CONTEXT)?;
        let context = (at / CONTEXT_STRIDE) as usize;
        (context < self.0.outputs.len()).then_some((context, at % CONTEXT_STRIDE))
    }
    /// Context and word of an offset among the enable bits.
    fn enable(&self, offset: u64) -> Option<(usize, usize)> {
        let at = offset.checked_sub(ENABLE).filter(|_| offset < CONTEXT)?;
        let context = (at / ENABLE_STRIDE) as usize;
        (context < self.0.outputs.len()).then_some((context, (at % ENABLE_STRIDE / 4) as usize))
    }
}

impl Device for Plic {
    fn name(&self) -> &str {
        &self.0.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        if size != 4 || offset & 3 != 0 {
            return Some(0);
        }
        let mut s = lock(&self.0.state);
        let value = if let Some((context, register)) = self.context(offset) {
            match register {
                0 => s.threshold[context],
                4 => {
                    let n = s.claim(context);
                    self.update(&s);
                    n as u32
                }
                _ => 0,
            }
        } else if let Some((context, word)) = self.enable(offset) {
            s.enable[context].get(word).copied().unwrap_or(0)
        } else if let Some(word) = offset.checked_sub(PENDING) {
            s.pending.get((word / 4) as usize).copied().unwrap_or(0)
        } else {
            s.priority.get((offset / 4) as usize).copied().unwrap_or(0)
        };
        Some(value.into())
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if size != 4 || offset & 3 != 0 {
            return true;
        }
        let value = value as u32;
        let mut s = lock(&self.0.state);
        if let Some((context, register)) = self.context(offset) {
            match register {
                0 => s.threshold[context] = value.min(PRIORITY_MAX),
                4 => s.complete(context, value as usize),
                _ => {}
            }
        } else if let Some((context, word)) = self.enable(offset) {
            // Source 0 does not exist.
            let mask = if word == 0 { !1 } else { !0 };
            if let Some(w) = s.enable[context].get_mut(word) {
                *w = value & mask;
            }
        } else if offset < PENDING {
            let n = (offset / 4) as usize;
            if n != 0
                && let Some(p) = s.priority.get_mut(n)
            {
                *p = value & PRIORITY_MAX;
            }
        }
        self.update(&s);
        true
    }
    fn reset(&self) {
        let mut s = lock(&self.0.state);
        let level = std::mem::take(&mut s.level);
        *s = State::new(self.0.sources, self.0.outputs.len());
        for n in 1..=self.0.sources {
            s.set_level(n, bit(&level, n));
        }
        self.update(&s);
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.0.state);
        let mut w = Writer::new(1);
        for set in [&s.priority, &s.level, &s.pending, &s.served, &s.threshold] {
            w.u32s(set);
        }
        s.enable.iter().for_each(|set| w.u32s(set));
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let fresh = || State::new(self.0.sources, self.0.outputs.len());
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let mut s = fresh();
            let mut fill = |set: &mut Vec<u32>| {
                let read = r.u32s()?;
                if read.len() != set.len() {
                    return Err("saved state has another number of sources or contexts".to_owned());
                }
                *set = read;
                Ok(())
            };
            for set in [&mut s.priority, &mut s.level, &mut s.pending, &mut s.served, &mut s.threshold] {
                fill(set)?;
            }
            for set in &mut s.enable {
                fill(set)?;
            }
            r.finish()?;
            Ok::<_, String>(s)
        };
        let loaded = parse();
        let mut s = lock(&self.0.state);
        let result = loaded.map(|l| *s = l).map_err(|e| format!("{}: {e}", self.0.name));
        if result.is_err() {
            *s = fresh();
        }
        self.update(&s);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn claims_by_priority_and_completes() {
        let levels: Vec<Arc<AtomicBool>> = (0..2).map(|_| Arc::default()).collect();
        let outputs = levels
            .iter()
            .map(|l| {
                let l = l.clone();
                Line::new(move |v| l.store(v, Ordering::Relaxed))
            })
            .collect();
        let plic = Plic::new("plic", 95, outputs);
        let level = |n: usize| levels[n].load(Ordering::Relaxed);
        let (w, r) = (|o, v| assert!(plic.write(o, 4, v)), |o| plic.read(o, 4).unwrap());
        let claim = |context: u64| CONTEXT + CONTEXT_STRIDE * context + 4;
        plic.line(10).set(true);
        assert_eq!(r(PENDING), 1 << 10);
        assert!(!level(0) && !level(1));
        w(PRIORITY + 40, 1);
        w(PRIORITY + 4 * 33, 7);
        w(ENABLE + ENABLE_STRIDE, 1 << 10 | 1);
        w(ENABLE + ENABLE_STRIDE + 4, 1 << 1);
        assert_eq!(r(ENABLE + ENABLE_STRIDE), 1 << 10);
        assert!(level(1) && !level(0));
        w(CONTEXT + CONTEXT_STRIDE, 1);
        assert!(!level(1), "the threshold masks its own priority");
        plic.line(33).set(true);
        assert!(level(1));
        assert_eq!((r(claim(0)), r(claim(1)), r(claim(1)), r(claim(1))), (0, 33, 10, 0));
        assert!(!level(1));
        w(claim(1), 33);
        assert!(level(1), "the line is still high");
        assert_eq!(r(claim(1)), 33);
        plic.line(33).set(false);
        w(claim(1), 33);
        assert!(!level(1));
        w(claim(1), 1000);
    }
}
