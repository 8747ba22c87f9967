//! Dead flags: a condition flag that is written again before anything can look at it is not written.
//!
//! Liveness runs backwards over the units of the region until nothing changes. Every way out of the region, every op that may fault or has
//! an effect, and every unit that looks at requests where it begins sees all flags; so does every place where instructions are counted and
//! may be too many.

use crate::{StateInfo, UnitOps, remove};
use emu_ir::{Code, EFFECT, EXITS, FAULTS, Op, field_bytes};

/// What matters of an op to liveness.
#[derive(Clone, Copy)]
enum Event {
    /// The flag with this number is written by the op at this position.
    Set(u32, usize),
    /// It is read.
    Get(u32),
    /// All are seen.
    All,
    /// Control may go to the unit with this number.
    Way(usize),
    /// Control goes there.
    End(usize),
}

/// What an op may be to liveness.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Nothing: it only computes, as most do.
    Nothing,
    Get,
    Set,
    InsnStart,
    Goto,
    Branch,
    /// It may look at all flags.
    All,
}

/// By opcode.
static CLASSES: [Class; Code::ALL.len()] = {
    let mut table = [Class::Nothing; Code::ALL.len()];
    let mut i = 0;
    while i < table.len() {
        table[i] = match Code::ALL[i] {
            Code::Get => Class::Get,
            Code::Set => Class::Set,
            Code::InsnStart => Class::InsnStart,
            Code::Goto => Class::Goto,
            Code::Branch => Class::Branch,
            _ if emu_ir::OPS[i].flags & (FAULTS | EFFECT | EXITS) != 0 => Class::All,
            _ => Class::Nothing,
        };
        i += 1;
    }
    table
};

/// The pass, with vectors that are used again.
#[derive(Default)]
pub struct Dead {
    events: Vec<Event>,
    ranges: Vec<(usize, usize)>,
    live: Vec<u64>,
    gone: Vec<usize>,
}

impl Dead {
    /// Runs over a region. `looks` are positions in `ops`, ascending, before which code may leave: where instructions are counted.
    pub fn run(&mut self, ops: &mut [Op], units: &[UnitOps], looks: &[usize], info: &StateInfo) {
        let Some(lowest) = info.flags.iter().min().copied() else { return };
        let highest = info.flags.iter().max().copied().unwrap_or(lowest);
        self.events.clear();
        self.ranges.clear();
        let flag = |op: &Op| info.flags.iter().position(|f| u64::from(*f) == op.imm).map(|i| i as u32);
        // The entry comes first, the others in the order of their addresses, perhaps.
        let others = units.get(1..).filter(|others| others.is_sorted_by(|a, b| a.pc < b.pc));
        let unit_at = |pc: u64| match (units.first(), others) {
            (Some(u), _) if u.pc == pc => Some(0),
            (_, Some(others)) => others.binary_search_by_key(&pc, |u| u.pc).ok().map(|n| n + 1),
            _ => units.iter().position(|u| u.pc == pc),
        };
        for u in units {
            let from = self.events.len();
            for (i, op) in ops[u.first..u.last].iter().enumerate() {
                let class = match CLASSES.get(usize::from(op.code)) {
                    None | Some(Class::Nothing) => continue,
                    Some(class) => *class,
                };
                let i = i + u.first;
                match class {
                    Class::Get | Class::Set => {
                        if op.imm > u64::from(highest) {
                            continue;
                        }
                        let bytes = match field_bytes(op) {
                            0 => 256,
                            bytes => bytes,
                        };
                        if op.imm + u64::from(bytes) <= u64::from(lowest) {
                            continue;
                        }
                        match flag(op).filter(|_| bytes == 1) {
                            Some(f) if class == Class::Set => self.events.push(Event::Set(f, i)),
                            Some(f) => self.events.push(Event::Get(f)),
                            // More than one flag at once.
                            None => self.events.push(Event::All),
                        }
                    }
                    Class::Goto | Class::Branch => self.events.push(match unit_at(op.imm) {
                        Some(n) if class == Class::Goto => Event::End(n),
                        Some(n) => Event::Way(n),
                        None => Event::All,
                    }),
                    Class::InsnStart => {
                        if !looks.is_empty() && looks.binary_search(&i).is_ok() {
                            self.events.push(Event::All);
                        }
                    }
                    _ => {
                        if !matches!(self.events[from..].last(), Some(Event::All)) {
                            self.events.push(Event::All);
                        }
                    }
                }
            }
            self.ranges.push((from, self.events.len()));
        }
        self.live.clear();
        self.live.resize(units.len(), 0);
        loop {
            let mut changed = false;
            for n in (0..units.len()).rev() {
                let live = self.walk(n, |_| ());
                let live = if units[n].observed { u64::MAX } else { live };
                changed |= live != self.live[n];
                self.live[n] = live;
            }
            if !changed {
                break;
            }
        }
        for n in 0..units.len() {
            let mut gone = std::mem::take(&mut self.gone);
            self.walk(n, |i| gone.push(i));
            gone.drain(..).for_each(|i| remove(&mut ops[i]));
            self.gone = gone;
        }
    }

    /// Flags that somebody may look at before unit `n` of the last region has written them, a bit each in the order of `StateInfo::flags`.
    pub fn seen_in(&self, n: usize) -> u64 {
        self.live.get(n).copied().unwrap_or(u64::MAX)
    }

    /// Flags live where unit `n` begins; `dead` is told of writes that nobody sees.
    fn walk(&self, n: usize, mut dead: impl FnMut(usize)) -> u64 {
        let (from, to) = self.ranges[n];
        let mut live = u64::MAX;
        for e in self.events[from..to].iter().rev() {
            match *e {
                Event::Set(f, i) => {
                    if live >> f & 1 == 0 {
                        dead(i);
                    }
                    live &= !(1 << f);
                }
                Event::Get(f) => live |= 1 << f,
                Event::All => live = u64::MAX,
                Event::Way(n) => live |= self.live[n],
                Event::End(n) => live = self.live[n],
            }
        }
        live
    }
}
