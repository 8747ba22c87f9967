//! A mailbox between two sides: a queue of words each way, and an interrupt for each side.
//!
//! The sides are two windows with the same registers ([`spec`]). Interrupts are levels: a side's is high while one of the causes that it has
//! enabled holds. Nothing waits inside: what is sent while there is no room is lost, and counted.

pub mod spec;
#[cfg(test)]
mod tests;

use crate::{Line, lock};
use emu_plugins_api::{Device, Reader, Writer};
use spec::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What belongs to a side.
#[derive(Default)]
struct State {
    /// Words that have come.
    inbox: VecDeque<u64>,
    enable: u32,
    lost: u32,
}

struct Shared {
    name: String,
    irqs: [Line; 2],
    sides: Mutex<[State; 2]>,
}

/// One side of a mailbox.
pub struct Side {
    shared: Arc<Shared>,
    /// 0 or 1.
    own: usize,
}

/// The sides of a new mailbox with their interrupts.
pub fn mailbox(name: &str, irqs: [Line; 2]) -> [Side; 2] {
    let shared = Arc::new(Shared { name: name.into(), irqs, sides: Mutex::default() });
    [0, 1].map(|own| Side { shared: shared.clone(), own })
}

/// Causes that hold for a side.
fn causes(sides: &[State; 2], own: usize) -> u32 {
    let word = if sides[own].inbox.is_empty() { 0 } else { cause::WORD };
    let room = if sides[1 - own].inbox.len() < DEPTH { cause::ROOM } else { 0 };
    let lost = if sides[own].lost != 0 { cause::LOST } else { 0 };
    word | room | lost
}

impl Shared {
    fn show(&self, sides: &[State; 2]) {
        for (own, irq) in self.irqs.iter().enumerate() {
            irq.set(causes(sides, own) & sides[own].enable != 0);
        }
    }
}

impl Device for Side {
    fn name(&self) -> &str {
        &self.shared.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        let mut sides = lock(&self.shared.sides);
        let value = match (offset, size) {
            (DATA, 4 | 8) => {
                let word = sides[self.own].inbox.pop_front().unwrap_or(0);
                self.shared.show(&sides);
                if size == 4 { word & u64::from(u32::MAX) } else { word }
            }
            (STATUS, 4) => (sides[self.own].inbox.len() | (DEPTH - sides[1 - self.own].inbox.len()) << 8) as u64,
            (ENABLE, 4) => sides[self.own].enable.into(),
            (CAUSES, 4) => causes(&sides, self.own).into(),
            (LOST, 4) => sides[self.own].lost.into(),
            (ID, 4) => ID_VALUE.into(),
            _ => 0,
        };
        Some(value)
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        let mut sides = lock(&self.shared.sides);
        match (offset, size) {
            (DATA, 4 | 8) if sides[1 - self.own].inbox.len() < DEPTH => sides[1 - self.own].inbox.push_back(value),
            (DATA, 4 | 8) => sides[self.own].lost = sides[self.own].lost.saturating_add(1),
            (ENABLE, 4) => sides[self.own].enable = value as u32 & cause::ALL,
            (LOST, 4) => sides[self.own].lost = 0,
            _ => return true,
        }
        self.shared.show(&sides);
        true
    }
    fn reset(&self) {
        let mut sides = lock(&self.shared.sides);
        *sides = Default::default();
        self.shared.show(&sides);
    }
    /// The first side saves both; the second one's saved state is empty.
    fn save(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        if self.own == 0 {
            for side in lock(&self.shared.sides).iter() {
                [side.enable, side.lost].iter().for_each(|v| w.u32(*v));
                w.u64s(side.inbox.iter().copied().collect::<Vec<_>>().as_slice());
            }
        }
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let read = || {
            let mut r = Reader::new(saved, 1)?;
            let mut sides = <[State; 2]>::default();
            if self.own == 0 {
                for side in &mut sides {
                    (side.enable, side.lost) = (r.u32()? & cause::ALL, r.u32()?);
                    side.inbox = r.u64s()?.into();
                    if side.inbox.len() > DEPTH {
                        return Err(format!("{} words in a queue of {DEPTH}", side.inbox.len()));
                    }
                }
            }
            r.finish()?;
            Ok(sides)
        };
        let read: Result<[State; 2], String> = read();
        let loaded = read.map_err(|e| format!("{}: {e}", self.shared.name))?;
        if self.own == 0 {
            let mut sides = lock(&self.shared.sides);
            *sides = loaded;
            self.shared.show(&sides);
        }
        Ok(())
    }
}
