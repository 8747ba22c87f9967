//! GICv3: distributor, redistributors and CPU interfaces of up to eight CPUs, one Security state, affinity routing always on, no LPIs.
//!
//! One lock covers all three, for the highest priority pending interrupt of a CPU depends on all of them. After every change the CPUs'
//! interrupt request levels are computed anew under the lock, and set there: setting a CPU's line never calls back.
//!
//! The parts share their state by `Arc`: [`Gicv3`] is the handle that the board wires, [`Distributor`] and [`Redistributors`] are the two
//! windows. The distributor saves and resets all of it; the redistributors' own saved state is empty.
//!
//! IMPLEMENTATION DEFINED choices: 5 priority bits; 16 interrupt number bits; a redistributor whose ProcessorSleep is set forwards
//! interrupts all the same (its wake-up request would have the CPU powered up); an interrupt that any CPU may take (IROUTER.IRM) goes to
//! the first that is awake and has the group enabled; ICC_ASGI1R_EL1 reaches nobody, for there is no other Security state.

mod bank;
mod cpu;
mod registers;
pub mod spec;
#[cfg(test)]
mod tests;

use crate::{Line, lock};
use bank::Bank;
use cpu::CpuInterface;
use emu_plugins_api::{Device, Reader, Writer};
use spec::*;
use std::sync::{Arc, Mutex, MutexGuard};

/// The interrupt controller as the board sees it. Cheap to clone.
#[derive(Clone)]
pub struct Gicv3(Arc<Shared>);

struct Shared {
    name: String,
    outputs: Vec<Outputs>,
    state: Mutex<State>,
}

/// What leads to a CPU.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// Group 1 interrupts.
    pub irq: Line,
    /// Group 0 interrupts.
    pub fiq: Line,
}

struct State {
    /// GICD_CTLR's enable bits.
    ctlr: u32,
    /// SPIs, 32 from number 32 on, and so on.
    spis: Vec<Bank>,
    /// GICD_IROUTER of each SPI.
    routes: Vec<u64>,
    cpus: Vec<Redistributor>,
    /// Group of the interrupt that each CPU's lines show, to set only what changes; 2: none, 3: not known.
    shown: Vec<u8>,
}

struct Redistributor {
    bank: Bank,
    waker: u32,
    interface: CpuInterface,
}

/// A pending interrupt that a CPU could take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Candidate {
    intid: u32,
    priority: u8,
    group: usize,
}

impl State {
    fn new(cpus: usize, spis: usize) -> State {
        let banks = (0..spis.div_ceil(32)).map(|i| {
            let n = (spis - 32 * i).min(32).min(SPI_END - 32 - 32 * i);
            Bank::new((u64::MAX >> (64 - n)) as u32, 0, 0)
        });
        let redistributor = || Redistributor {
            // SGIs are edge-triggered and always enabled to be so (GICR_ICFGR0).
            bank: Bank::new(u32::MAX, 0xffff, 0xffff),
            waker: gicr::PROCESSOR_SLEEP | gicr::CHILDREN_ASLEEP,
            interface: CpuInterface::default(),
        };
        State { ctlr: 0, spis: banks.collect(), routes: vec![0; spis], cpus: (0..cpus).map(|_| redistributor()).collect(), shown: vec![3; cpus] }
    }
    fn bank_mut(&mut self, cpu: usize, intid: u32) -> Option<&mut Bank> {
        match intid as usize / 32 {
            0 => Some(&mut self.cpus[cpu].bank),
            i => self.spis.get_mut(i - 1),
        }
    }
    /// The CPU that takes an SPI now.
    fn target(&self, spi: usize, group: usize) -> Option<usize> {
        let route = self.routes[spi];
        if route & gicd::IRM != 0 {
            return self.cpus.iter().position(|c| c.waker & gicr::PROCESSOR_SLEEP == 0 && c.interface.enabled[group]);
        }
        let packed = (route & 0xff_ffff) as u32 | ((route >> 32) as u32 & 0xff) << 24;
        (0..self.cpus.len()).find(|i| affinity(*i as u32) == packed)
    }
    /// The highest priority pending interrupt of a CPU whose group both the distributor and its CPU interface enable
    /// (HighestPriorityPendingInterrupt); the lowest number among equals.
    fn highest(&self, cpu: usize) -> Option<Candidate> {
        let enabled = &self.cpus[cpu].interface.enabled;
        let grp0 = if self.ctlr & gicd::ENABLE_GRP0 != 0 && enabled[0] { u32::MAX } else { 0 };
        let grp1 = if self.ctlr & gicd::ENABLE_GRP1 != 0 && enabled[1] { u32::MAX } else { 0 };
        if grp0 | grp1 == 0 {
            return None;
        }
        let mut best: Option<Candidate> = None;
        for (i, bank) in std::iter::once(&self.cpus[cpu].bank).chain(&self.spis).enumerate() {
            let mut bits = bank.pending() & bank.enable & !bank.active & (bank.group & grp1 | !bank.group & grp0);
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let priority = bank.priority[bit];
                let group = (bank.group >> bit & 1) as usize;
                let better = best.is_none_or(|b| priority < b.priority);
                if better && (i == 0 || self.target(32 * (i - 1) + bit, group) == Some(cpu)) {
                    best = Some(Candidate { intid: (32 * i + bit) as u32, priority, group });
                }
            }
        }
        best
    }
    /// The pending interrupt that would be signalled to the CPU now.
    fn signalled(&self, cpu: usize) -> Option<Candidate> {
        self.highest(cpu).filter(|c| self.cpus[cpu].interface.can_preempt(c))
    }
}

impl Shared {
    /// After a change that can matter to every CPU.
    fn update(&self, s: &mut State) {
        (0..self.outputs.len()).for_each(|cpu| self.update_cpu(s, cpu));
    }
    /// After a change that matters to one CPU only.
    fn update_cpu(&self, s: &mut State, cpu: usize) {
        let show = s.signalled(cpu).map_or(2, |c| c.group as u8);
        if std::mem::replace(&mut s.shown[cpu], show) != show {
            self.outputs[cpu].irq.set(show == 1);
            self.outputs[cpu].fiq.set(show == 0);
        }
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        w.u32(s.ctlr);
        w.u32(s.spis.len() as u32);
        w.u32(s.cpus.len() as u32);
        s.spis.iter().for_each(|b| b.save(&mut w));
        w.u64s(&s.routes);
        for c in &s.cpus {
            c.bank.save(&mut w);
            w.u32(c.waker);
            c.interface.save(&mut w);
        }
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let mut s = lock(&self.state);
        let mut fresh = State::new(s.cpus.len(), s.routes.len());
        let mut parse = || {
            let mut r = Reader::new(saved, 1)?;
            fresh.ctlr = r.u32()? & (gicd::ENABLE_GRP0 | gicd::ENABLE_GRP1);
            if (r.u32()? as usize, r.u32()? as usize) != (fresh.spis.len(), fresh.cpus.len()) {
                return Err("saved state has another number of interrupts or CPUs".to_owned());
            }
            fresh.spis.iter_mut().try_for_each(|b| b.load(&mut r))?;
            let routes = r.u64s()?;
            if routes.len() != fresh.routes.len() {
                return Err("saved state has another number of interrupts".to_owned());
            }
            fresh.routes = routes.iter().map(|v| v & (gicd::AFFINITY | gicd::IRM)).collect();
            for c in &mut fresh.cpus {
                c.bank.load(&mut r)?;
                c.waker = r.u32()? & (gicr::PROCESSOR_SLEEP | gicr::CHILDREN_ASLEEP);
                c.interface.load(&mut r)?;
            }
            r.finish()
        };
        let result = parse().map_err(|e| format!("{}: {e}", self.name));
        *s = if result.is_ok() { fresh } else { State::new(s.cpus.len(), s.routes.len()) };
        self.update(&mut s);
        result
    }
    /// Interrupt inputs keep their levels: what drives them is reset by itself.
    fn reset(&self) {
        let mut s = lock(&self.state);
        let mut fresh = State::new(s.cpus.len(), s.routes.len());
        for (new, old) in fresh.spis.iter_mut().zip(&s.spis) {
            new.level = old.level;
        }
        for (new, old) in fresh.cpus.iter_mut().zip(&s.cpus) {
            new.bank.level = old.bank.level;
        }
        *s = fresh;
        self.update(&mut s);
    }
}

impl Gicv3 {
    /// A controller with `spis` shared interrupts (a multiple of 32, at most 988 count) and a CPU for each entry of `outputs`.
    pub fn new(name: &str, spis: usize, outputs: Vec<Outputs>) -> Gicv3 {
        let state = Mutex::new(State::new(outputs.len(), spis.min(SPI_END - 32)));
        Gicv3(Arc::new(Shared { name: name.into(), outputs, state }))
    }
    /// The distributor's window.
    pub fn distributor(&self) -> Distributor {
        Distributor(self.clone())
    }
    /// The window of all redistributors.
    pub fn redistributors(&self) -> Redistributors {
        Redistributors { name: format!("{}-redist", self.0.name), gic: self.clone() }
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
    /// Drives shared interrupt `spi` (interrupt number less 32).
    pub fn set_spi(&self, spi: usize, level: bool) {
        let mut s = self.lock();
        if let Some(bank) = s.spis.get_mut(spi / 32) {
            bank.set_level(spi % 32, level);
            self.0.update(&mut s);
        }
    }
    /// Drives private interrupt `intid` (16 to 31) of a CPU.
    pub fn set_ppi(&self, cpu: usize, intid: usize, level: bool) {
        let mut s = self.lock();
        if let Some(c) = s.cpus.get_mut(cpu).filter(|_| (16..32).contains(&intid)) {
            c.bank.set_level(intid, level);
            self.0.update_cpu(&mut s, cpu);
        }
    }
    /// A line that drives a shared interrupt.
    pub fn spi_line(&self, spi: usize) -> Line {
        let gic = self.clone();
        Line::new(move |level| gic.set_spi(spi, level))
    }
}

/// The distributor's window.
pub struct Distributor(Gicv3);

/// The window of the redistributors, one pair of frames after the other.
pub struct Redistributors {
    name: String,
    gic: Gicv3,
}

impl Device for Distributor {
    fn name(&self) -> &str {
        &self.0.0.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        Some(self.0.lock().read_distributor(offset, size))
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        let mut s = self.0.lock();
        s.write_distributor(offset, size, value);
        self.0.0.update(&mut s);
        true
    }
    fn reset(&self) {
        self.0.0.reset();
    }
    fn save(&self) -> Vec<u8> {
        self.0.0.save()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        self.0.0.load(saved)
    }
}

impl Device for Redistributors {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        Some(self.gic.lock().read_redistributor(offset, size))
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        let mut s = self.gic.lock();
        s.write_redistributor(offset, size, value);
        self.gic.0.update(&mut s);
        true
    }
    fn reset(&self) {}
    fn save(&self) -> Vec<u8> {
        Writer::new(1).finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        Reader::new(saved, 1).and_then(Reader::finish).map_err(|e| format!("{}: {e}", self.name))
    }
}
