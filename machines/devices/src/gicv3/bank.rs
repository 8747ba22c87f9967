//! State and registers of 32 interrupts: a redistributor has one such bank (SGIs and PPIs), the distributor one for every 32 SPIs.

use super::spec::{PRIORITY_MASK, gicd};
use emu_plugins_api::{Reader, Writer};

/// 32 interrupts.
#[derive(Clone)]
pub(super) struct Bank {
    pub group: u32,
    pub enable: u32,
    /// Pending by an edge, a message or software; without the level.
    pub latch: u32,
    pub active: u32,
    /// Input levels.
    pub level: u32,
    /// Edge-triggered.
    pub edge: u32,
    /// Bits of `edge` that software cannot change.
    pub edge_fixed: u32,
    /// Interrupts that exist.
    pub exists: u32,
    pub priority: [u8; 32],
}

impl Bank {
    pub fn new(exists: u32, edge: u32, edge_fixed: u32) -> Bank {
        Bank { group: 0, enable: 0, latch: 0, active: 0, level: 0, edge, edge_fixed, exists, priority: [0; 32] }
    }
    pub fn pending(&self) -> u32 {
        self.latch | self.level & !self.edge
    }
    /// Changes an input.
    pub fn set_level(&mut self, bit: usize, level: bool) {
        let mask = 1 << bit & self.exists;
        if level {
            self.latch |= mask & self.edge & !self.level;
            self.level |= mask;
        } else {
            self.level &= !mask;
        }
    }
    /// Pending becomes active; a level that is still there stays pending beside it.
    pub fn acknowledge(&mut self, bit: usize) {
        self.latch &= !(1 << bit);
        self.active |= 1 << bit;
    }
    /// ICFGR has two bits an interrupt, the upper one says edge.
    fn config(&self, half: u32) -> u32 {
        (0..16).fold(0, |v, i| v | (self.edge >> (16 * half + i) & 1) << (2 * i + 1))
    }
    fn set_config(&mut self, half: u32, value: u32) {
        let edge = (0..16).fold(0, |v, i| v | (value >> (2 * i + 1) & 1) << (16 * half + i));
        let mask = 0xffff << (16 * half) & !self.edge_fixed & self.exists;
        self.edge = self.edge & !mask | edge & mask;
    }
    /// A word register, by the base of its array; arrays of other shape are below.
    pub fn read(&self, array: u64) -> u32 {
        match array {
            gicd::IGROUPR => self.group,
            gicd::ISENABLER | gicd::ICENABLER => self.enable,
            gicd::ISPENDR | gicd::ICPENDR => self.pending(),
            gicd::ISACTIVER | gicd::ICACTIVER => self.active,
            _ => 0,
        }
    }
    pub fn write(&mut self, array: u64, value: u32) {
        let v = value & self.exists;
        match array {
            gicd::IGROUPR => self.group = v,
            gicd::ISENABLER => self.enable |= v,
            gicd::ICENABLER => self.enable &= !v,
            gicd::ISPENDR => self.latch |= v,
            gicd::ICPENDR => self.latch &= !v,
            gicd::ISACTIVER => self.active |= v,
            gicd::ICACTIVER => self.active &= !v,
            _ => (),
        }
    }
    /// Priorities from byte `at` (0 to 31), `size` bytes.
    pub fn read_priority(&self, at: usize, size: u32) -> u64 {
        (0..size as usize).fold(0, |v, i| v | u64::from(self.priority.get(at + i).copied().unwrap_or(0)) << (8 * i))
    }
    pub fn write_priority(&mut self, at: usize, size: u32, value: u64) {
        for i in 0..size as usize {
            if at + i < 32 && self.exists >> (at + i) & 1 != 0 {
                self.priority[at + i] = (value >> (8 * i)) as u8 & PRIORITY_MASK;
            }
        }
    }
    pub fn read_config(&self, word: u64) -> u32 {
        self.config(word as u32 & 1)
    }
    pub fn write_config(&mut self, word: u64, value: u32) {
        self.set_config(word as u32 & 1, value);
    }
    pub fn save(&self, w: &mut Writer) {
        [self.group, self.enable, self.latch, self.active, self.level, self.edge].iter().for_each(|v| w.u32(*v));
        self.priority.iter().for_each(|p| w.u8(*p));
    }
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), String> {
        for field in [&mut self.group, &mut self.enable, &mut self.latch, &mut self.active, &mut self.level] {
            *field = r.u32()? & self.exists;
        }
        self.edge = self.edge & self.edge_fixed | r.u32()? & self.exists & !self.edge_fixed;
        for p in &mut self.priority {
            *p = r.u8()? & PRIORITY_MASK;
        }
        Ok(())
    }
}
