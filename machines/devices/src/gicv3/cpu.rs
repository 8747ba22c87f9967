//! The CPU interfaces: ICC_*_EL1 system registers, priority drop and deactivation, software-generated interrupts.

use super::spec::*;
use super::{Candidate, Gicv3, State};
use emu_plugins_api::{Reader, Writer};

/// Registers of a CPU interface.
pub(super) struct CpuInterface {
    pmr: u8,
    /// ICC_BPR0_EL1 and ICC_BPR1_EL1.
    bpr: [u8; 2],
    /// ICC_AP0R0_EL1 and ICC_AP1R0_EL1: with 5 priority bits one register a group; bit n is priority 8n.
    apr: [u32; 2],
    /// ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1.
    pub enabled: [bool; 2],
    /// The writable bits of ICC_CTLR_EL1.
    ctlr: u32,
}

impl Default for CpuInterface {
    fn default() -> CpuInterface {
        CpuInterface { pmr: 0, bpr: [MIN_BPR, MIN_BPR + 1], apr: [0; 2], enabled: [false; 2], ctlr: 0 }
    }
}

const CTLR_WRITABLE: u32 = icc::CTLR_CBPR | icc::CTLR_EOIMODE | icc::CTLR_PMHE;

impl CpuInterface {
    /// Bits of a priority that decide about preemption (PriorityGroup; ICC_BPR1_EL1 counts from one more).
    fn group_mask(&self, group: usize) -> u8 {
        let bpr = if group == 0 || self.ctlr & icc::CTLR_CBPR != 0 { self.bpr[0] } else { self.bpr[1] - 1 };
        (0xff_u32 << (bpr + 1)) as u8
    }
    /// ICC_RPR_EL1: the highest active priority, 0xff when idle.
    fn running(&self) -> u8 {
        match (self.apr[0] | self.apr[1]).trailing_zeros() {
            32 => 0xff,
            n => (n << (8 - PRIORITY_BITS)) as u8,
        }
    }
    /// CanSignalInterrupt: above the mask, and above what runs by its group priority.
    pub fn can_preempt(&self, c: &Candidate) -> bool {
        c.priority < self.pmr && (self.apr[0] | self.apr[1] == 0 || c.priority & self.group_mask(c.group) < self.running())
    }
    fn activate(&mut self, c: &Candidate) {
        self.apr[c.group] |= 1 << ((c.priority & self.group_mask(c.group)) >> (8 - PRIORITY_BITS));
    }
    /// Priority drop: the highest active priority, if it is one of the group. False if it is not.
    fn drop_priority(&mut self, group: usize) -> bool {
        let highest = (self.apr[0] | self.apr[1]).trailing_zeros();
        if self.apr[group].trailing_zeros() != highest || highest == 32 {
            return false;
        }
        self.apr[group] &= self.apr[group] - 1;
        true
    }
    /// ICC_BPR1_EL1 under CBPR is ICC_BPR0_EL1 plus one.
    fn read_bpr(&self, group: usize) -> u8 {
        if group == 1 && self.ctlr & icc::CTLR_CBPR != 0 { (self.bpr[0] + 1).min(7) } else { self.bpr[group] }
    }
    fn write_bpr(&mut self, group: usize, value: u64) {
        if group == 0 || self.ctlr & icc::CTLR_CBPR == 0 {
            self.bpr[group] = (value as u8 & 7).max(MIN_BPR + group as u8);
        }
    }
    pub fn save(&self, w: &mut Writer) {
        [self.pmr, self.bpr[0], self.bpr[1]].iter().for_each(|v| w.u8(*v));
        w.u32(self.apr[0]);
        w.u32(self.apr[1]);
        w.bool(self.enabled[0]);
        w.bool(self.enabled[1]);
        w.u32(self.ctlr);
    }
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), String> {
        self.pmr = r.u8()? & PRIORITY_MASK;
        self.ctlr = 0;
        for group in 0..2 {
            let bpr = r.u8()?;
            self.write_bpr(group, bpr.into());
        }
        self.apr = [r.u32()?, r.u32()?];
        self.enabled = [r.bool()?, r.bool()?];
        self.ctlr = r.u32()? & CTLR_WRITABLE;
        Ok(())
    }
}

impl State {
    /// ICC_IARn_EL1: acknowledges the interrupt that is signalled, if it is of this group.
    fn acknowledge(&mut self, cpu: usize, group: usize) -> u32 {
        let Some(c) = self.signalled(cpu).filter(|c| c.group == group) else { return SPURIOUS };
        self.cpus[cpu].interface.activate(&c);
        if let Some(bank) = self.bank_mut(cpu, c.intid) {
            bank.acknowledge(c.intid as usize % 32);
        }
        c.intid
    }
    /// Active becomes inactive, if the interrupt exists and is of one of these groups.
    fn deactivate(&mut self, cpu: usize, intid: u32, groups: [bool; 2]) {
        if let Some(bank) = self.bank_mut(cpu, intid) {
            let bit = intid % 32;
            if groups[(bank.group >> bit & 1) as usize] {
                bank.active &= !(1 << bit);
            }
        }
    }
    /// ICC_EOIRn_EL1.
    fn end(&mut self, cpu: usize, group: usize, intid: u32) {
        if intid as usize >= 32 + 32 * self.spis.len() {
            return;
        }
        let interface = &mut self.cpus[cpu].interface;
        if interface.drop_priority(group) && interface.ctlr & icc::CTLR_EOIMODE == 0 {
            self.deactivate(cpu, intid, [group == 0, group == 1]);
        }
    }
    /// ICC_SGInR_EL1: affinity routing, target list or everybody else; it reaches those where the interrupt is of that group.
    fn generate(&mut self, cpu: usize, group: u32, value: u64) {
        let bit = (value >> 24 & 15) as u32;
        let others = value >> 40 & 1 != 0;
        let cluster = (value >> 16 & 0xff) as u32 | (value >> 32 & 0xff) as u32 * 0x100 | (value >> 48 & 0xff) as u32 * 0x1_0000;
        // Range selector: always zero, GICD_TYPER.RSS says so.
        for (i, target) in self.cpus.iter_mut().enumerate() {
            let affinity = affinity(i as u32);
            let listed = affinity >> 8 == cluster && value >> (affinity & 0xff) & 1 != 0 && affinity & 0xff < 16;
            if (if others { i != cpu } else { listed }) && target.bank.group >> bit & 1 == group {
                target.bank.latch |= 1 << bit;
            }
        }
    }
    fn read_icc(&mut self, cpu: usize, register: u32) -> Option<u64> {
        let pending = |s: &State, group| s.highest(cpu).filter(|c| c.group == group).map_or(SPURIOUS, |c| c.intid);
        Some(match register {
            icc::IAR0 => self.acknowledge(cpu, 0).into(),
            icc::IAR1 => self.acknowledge(cpu, 1).into(),
            icc::HPPIR0 => pending(self, 0).into(),
            icc::HPPIR1 => pending(self, 1).into(),
            _ => {
                let c = &self.cpus[cpu].interface;
                match register {
                    icc::PMR => c.pmr.into(),
                    icc::BPR0 => c.read_bpr(0).into(),
                    icc::BPR1 => c.read_bpr(1).into(),
                    icc::AP0R0 => c.apr[0].into(),
                    icc::AP1R0 => c.apr[1].into(),
                    icc::RPR => c.running().into(),
                    icc::CTLR => (c.ctlr | icc::CTLR_FIXED).into(),
                    icc::SRE => icc::SRE_FIXED.into(),
                    icc::IGRPEN0 => c.enabled[0].into(),
                    icc::IGRPEN1 => c.enabled[1].into(),
                    _ => return None,
                }
            }
        })
    }
    fn write_icc(&mut self, cpu: usize, register: u32, value: u64) -> Option<()> {
        match register {
            icc::EOIR0 => self.end(cpu, 0, value as u32 & 0xff_ffff),
            icc::EOIR1 => self.end(cpu, 1, value as u32 & 0xff_ffff),
            icc::DIR if self.cpus[cpu].interface.ctlr & icc::CTLR_EOIMODE != 0 => {
                self.deactivate(cpu, value as u32 & 0xff_ffff, [true, true]);
            }
            icc::SGI0R => self.generate(cpu, 0, value),
            icc::SGI1R => self.generate(cpu, 1, value),
            icc::DIR | icc::ASGI1R | icc::SRE => (),
            _ => {
                let c = &mut self.cpus[cpu].interface;
                match register {
                    icc::PMR => c.pmr = value as u8 & PRIORITY_MASK,
                    icc::BPR0 => c.write_bpr(0, value),
                    icc::BPR1 => c.write_bpr(1, value),
                    icc::AP0R0 => c.apr[0] = value as u32,
                    icc::AP1R0 => c.apr[1] = value as u32,
                    icc::CTLR => c.ctlr = value as u32 & CTLR_WRITABLE,
                    icc::IGRPEN0 => c.enabled[0] = value & 1 != 0,
                    icc::IGRPEN1 => c.enabled[1] = value & 1 != 0,
                    _ => return None,
                }
            }
        }
        Some(())
    }
}

impl Gicv3 {
    /// The CPU interface as after a reset of its CPU alone.
    pub fn reset_interface(&self, cpu: usize) {
        let mut s = self.lock();
        if let Some(c) = s.cpus.get_mut(cpu) {
            c.interface = CpuInterface::default();
            s.shown[cpu] = 3;
            self.0.update(&mut s);
        }
    }
    /// MRS of an ICC register. `None`: there is no such register, or it cannot be read.
    pub fn read(&self, cpu: usize, register: u32) -> Option<u64> {
        let mut s = self.lock();
        if cpu >= s.cpus.len() {
            return None;
        }
        let value = s.read_icc(cpu, register);
        match value {
            Some(0..32) if matches!(register, icc::IAR0 | icc::IAR1) => self.0.update_cpu(&mut s, cpu),
            Some(_) if matches!(register, icc::IAR0 | icc::IAR1) => self.0.update(&mut s),
            _ => (),
        }
        value
    }
    /// MSR of an ICC register. False: there is no such register, or it cannot be written.
    pub fn write(&self, cpu: usize, register: u32, value: u64) -> bool {
        let mut s = self.lock();
        if cpu >= s.cpus.len() {
            return false;
        }
        let done = s.write_icc(cpu, register, value).is_some();
        match register {
            icc::EOIR0 | icc::EOIR1 | icc::DIR if value & 0xff_ffff < 32 => self.0.update_cpu(&mut s, cpu),
            icc::EOIR0 | icc::EOIR1 | icc::DIR | icc::SGI0R | icc::SGI1R | icc::IGRPEN0 | icc::IGRPEN1 => self.0.update(&mut s),
            _ => self.0.update_cpu(&mut s, cpu),
        }
        done
    }
}
