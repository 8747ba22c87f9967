//! The memory-mapped registers of distributor and redistributors. What is not a register, or has not that size, reads as zero.

use super::spec::*;
use super::{Bank, State};

/// The array that a per-interrupt register belongs to, with its first offset and its length for 1024 interrupts.
const WORD_ARRAYS: [u64; 7] = [gicd::IGROUPR, gicd::ISENABLER, gicd::ICENABLER, gicd::ISPENDR, gicd::ICPENDR, gicd::ISACTIVER, gicd::ICACTIVER];

/// Where a per-interrupt register lies: its bank, and what it is there.
enum Place {
    /// A word of an array with a bit an interrupt.
    Word(u64),
    /// A byte of the priorities.
    Priority(usize),
    /// A word of the configuration.
    Config(u64),
}

fn place(offset: u64, size: u32) -> Option<(usize, Place)> {
    match offset {
        gicd::IGROUPR..gicd::IPRIORITYR if size == 4 && offset & 3 == 0 => {
            let array = offset & !0x7f;
            let bank = (offset - array) / 4;
            WORD_ARRAYS.contains(&array).then_some((bank as usize, Place::Word(array)))
        }
        gicd::IPRIORITYR..gicd::ITARGETSR if (size == 4 && offset & 3 == 0) || size == 1 => {
            let at = (offset - gicd::IPRIORITYR) as usize;
            Some((at / 32, Place::Priority(at % 32)))
        }
        gicd::ICFGR..gicd::IGRPMODR if size == 4 && offset & 3 == 0 => {
            let word = (offset - gicd::ICFGR) / 4;
            Some((word as usize / 2, Place::Config(word)))
        }
        _ => None,
    }
}

fn read_bank(bank: &Bank, place: Place, size: u32) -> u64 {
    match place {
        Place::Word(array) => bank.read(array).into(),
        Place::Priority(at) => bank.read_priority(at, size),
        Place::Config(word) => bank.read_config(word).into(),
    }
}

fn write_bank(bank: &mut Bank, place: Place, size: u32, value: u64) {
    match place {
        Place::Word(array) => bank.write(array, value as u32),
        Place::Priority(at) => bank.write_priority(at, size, value),
        Place::Config(word) => bank.write_config(word, value as u32),
    }
}

/// The part of a 64-bit register that an access of 4 or 8 bytes reads.
fn part(value: u64, offset: u64, size: u32) -> u64 {
    match (size, offset & 7) {
        (8, 0) => value,
        (4, 0) => value & 0xffff_ffff,
        (4, 4) => value >> 32,
        _ => 0,
    }
}

impl State {
    /// The SPI whose GICD_IROUTER `offset` lies in.
    fn router(&self, offset: u64) -> Option<usize> {
        let spi = (offset.checked_sub(gicd::IROUTER)? / 8).checked_sub(32)? as usize;
        (offset < gicd::IROUTER_END && spi < self.routes.len()).then_some(spi)
    }

    pub(super) fn read_distributor(&self, offset: u64, size: u32) -> u64 {
        if let Some(spi) = self.router(offset) {
            return part(self.routes[spi], offset, size);
        }
        if let Some((bank, place)) = place(offset, size) {
            // The first bank is the redistributors' (affinity routing): res0 here.
            return bank.checked_sub(1).and_then(|b| self.spis.get(b)).map_or(0, |b| read_bank(b, place, size));
        }
        if size != 4 || offset & 3 != 0 {
            return 0;
        }
        let word = match offset {
            gicd::CTLR => self.ctlr | gicd::ARE | gicd::DS,
            gicd::TYPER => self.spis.len() as u32 | gicd::TYPER_IDBITS | gicd::TYPER_A3V,
            gicd::IIDR => IIDR,
            gicd::IDREGS..GICD_WINDOW => id(offset - gicd::IDREGS, GICD_PIDR0),
            _ => 0,
        };
        word.into()
    }

    pub(super) fn write_distributor(&mut self, offset: u64, size: u32, value: u64) {
        if let Some(spi) = self.router(offset) {
            let old = self.routes[spi];
            let new = match (size, offset & 7) {
                (8, 0) => value,
                (4, 0) => old & !0xffff_ffff | value & 0xffff_ffff,
                (4, 4) => old & 0xffff_ffff | value << 32,
                _ => old,
            };
            self.routes[spi] = new & (gicd::AFFINITY | gicd::IRM);
        } else if let Some((bank, place)) = place(offset, size) {
            if let Some(bank) = bank.checked_sub(1).and_then(|b| self.spis.get_mut(b)) {
                write_bank(bank, place, size, value);
            }
        } else if offset == gicd::CTLR && size == 4 {
            self.ctlr = value as u32 & (gicd::ENABLE_GRP0 | gicd::ENABLE_GRP1);
        }
    }

    /// GICR_TYPER: affinity, processor number, last in the region.
    fn gicr_typer(&self, cpu: usize) -> u64 {
        let last = if cpu + 1 == self.cpus.len() { gicr::TYPER_LAST } else { 0 };
        u64::from(affinity(cpu as u32)) << 32 | (cpu as u64) << 8 | last
    }

    pub(super) fn read_redistributor(&self, offset: u64, size: u32) -> u64 {
        let cpu = (offset / GICR_STRIDE) as usize;
        let Some(redistributor) = self.cpus.get(cpu) else { return 0 };
        let offset = offset % GICR_STRIDE;
        if let Some(sgi) = offset.checked_sub(gicr::SGI_BASE) {
            return match place(sgi, size) {
                Some((0, place)) => read_bank(&redistributor.bank, place, size),
                _ => 0,
            };
        }
        if offset & !7 == gicr::TYPER {
            return part(self.gicr_typer(cpu), offset, size);
        }
        if size != 4 || offset & 3 != 0 {
            return 0;
        }
        let word = match offset {
            gicr::IIDR => IIDR,
            gicr::WAKER => redistributor.waker,
            gicd::IDREGS..gicr::SGI_BASE => id(offset - gicd::IDREGS, GICR_PIDR0),
            // GICR_CTLR.EnableLPIs and what belongs to LPIs: there are none.
            _ => 0,
        };
        word.into()
    }

    pub(super) fn write_redistributor(&mut self, offset: u64, size: u32, value: u64) {
        let Some(redistributor) = self.cpus.get_mut((offset / GICR_STRIDE) as usize) else { return };
        let offset = offset % GICR_STRIDE;
        if let Some(sgi) = offset.checked_sub(gicr::SGI_BASE) {
            if let Some((0, place)) = place(sgi, size) {
                write_bank(&mut redistributor.bank, place, size, value);
            }
        } else if offset == gicr::WAKER && size == 4 {
            // ChildrenAsleep follows at once.
            redistributor.waker = if value as u32 & gicr::PROCESSOR_SLEEP != 0 { gicr::PROCESSOR_SLEEP | gicr::CHILDREN_ASLEEP } else { 0 };
        }
    }
}
