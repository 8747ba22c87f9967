use super::spec::{gicd, gicr, icc};
use super::*;
use std::sync::Mutex as StdMutex;

struct Bench {
    gic: Gicv3,
    dist: Distributor,
    redist: Redistributors,
    lines: Arc<StdMutex<Vec<(bool, bool)>>>,
}

/// A controller whose distributor and CPU interfaces are on, with everything in Group 1 but interrupts 2 and 34.
fn bench(cpus: usize) -> Bench {
    let lines = Arc::new(StdMutex::new(vec![(false, false); cpus]));
    let outputs = (0..cpus).map(|i| {
        let (a, b) = (lines.clone(), lines.clone());
        Outputs { irq: Line::new(move |l| a.lock().unwrap()[i].0 = l), fiq: Line::new(move |l| b.lock().unwrap()[i].1 = l) }
    });
    let gic = Gicv3::new("gic", 256, outputs.collect());
    let b = Bench { dist: gic.distributor(), redist: gic.redistributors(), gic, lines };
    b.dw(gicd::CTLR, 3);
    for i in 1..9 {
        b.dw(gicd::IGROUPR + 4 * i, if i == 1 { !4 } else { !0 });
        b.dw(gicd::ISENABLER + 4 * i, !0);
    }
    for i in 0..256 {
        b.dist.write(gicd::IPRIORITYR + 32 + i, 1, 0xa0);
    }
    for cpu in 0..cpus {
        b.rw(cpu, gicr::WAKER, 0);
        b.rw(cpu, gicr::SGI_BASE + gicd::IGROUPR, !4);
        b.rw(cpu, gicr::SGI_BASE + gicd::ISENABLER, !0);
        for i in 0..8 {
            b.rw(cpu, gicr::SGI_BASE + gicd::IPRIORITYR + 4 * i, 0xa0a0_a0a0);
        }
        b.cw(cpu, icc::PMR, 0xff);
        b.cw(cpu, icc::IGRPEN0, 1);
        b.cw(cpu, icc::IGRPEN1, 1);
    }
    b
}

impl Bench {
    fn dw(&self, at: u64, v: u32) {
        self.dist.write(at, 4, v.into());
    }
    fn dr(&self, at: u64) -> u32 {
        self.dist.read(at, 4).unwrap() as u32
    }
    fn rw(&self, cpu: usize, at: u64, v: u32) {
        self.redist.write(cpu as u64 * GICR_STRIDE + at, 4, v.into());
    }
    fn rr(&self, cpu: usize, at: u64) -> u32 {
        self.redist.read(cpu as u64 * GICR_STRIDE + at, 4).unwrap() as u32
    }
    fn cw(&self, cpu: usize, r: u32, v: u64) {
        assert!(self.gic.write(cpu, r, v), "{r:#x}");
    }
    fn cr(&self, cpu: usize, r: u32) -> u64 {
        self.gic.read(cpu, r).unwrap_or_else(|| panic!("{r:#x}"))
    }
    fn irq(&self, cpu: usize) -> bool {
        self.lines.lock().unwrap()[cpu].0
    }
    fn fiq(&self, cpu: usize) -> bool {
        self.lines.lock().unwrap()[cpu].1
    }
    fn prio(&self, intid: u64, p: u8) {
        self.dist.write(gicd::IPRIORITYR + intid, 1, p.into());
    }
}

#[test]
fn identification() {
    let b = bench(2);
    assert_eq!(b.dr(0xffe8), 0x3b);
    assert_eq!((b.rr(0, 0xffe8), b.rr(1, 0xffe8)), (0x3b, 0x3b));
    assert_eq!((b.dr(gicd::IIDR), b.rr(1, gicr::IIDR)), (0x43b, 0x43b));
    assert_eq!(b.dr(gicd::TYPER), 8 | 15 << 19 | 1 << 24);
    assert_eq!(b.dr(gicd::CTLR), 0x53);
    assert_eq!(b.redist.read(gicr::TYPER, 8), Some(0));
    assert_eq!(b.redist.read(GICR_STRIDE + gicr::TYPER, 8), Some(1 << 32 | 1 << 8 | 1 << 4));
    assert_eq!(b.rr(1, gicr::TYPER + 4), 1);
    assert_eq!(b.cr(0, icc::SRE), 7);
    assert_eq!(b.cr(0, icc::CTLR), 4 << 8 | 1 << 15);
    assert_eq!(b.gic.read(0, icc::AP0R0 + 1), None);
    assert_eq!(b.gic.read(0, icc::EOIR1), None);
    assert!(!b.gic.write(0, icc::IAR1, 0) && !b.gic.write(2, icc::PMR, 0));
    assert_eq!(b.dr(gicd::IGROUPR), 0, "the first bank is the redistributors'");
    assert_eq!(b.rr(0, gicr::SGI_BASE + gicd::ICFGR), 0xaaaa_aaaa);
}

#[test]
fn level_interrupt_life() {
    let b = bench(1);
    b.gic.set_spi(1, true);
    assert!(b.irq(0) && !b.fiq(0));
    assert_eq!(b.cr(0, icc::HPPIR1), 33);
    assert_eq!(b.cr(0, icc::IAR0), 1023, "it is in Group 1");
    assert_eq!(b.cr(0, icc::IAR1), 33);
    assert!(!b.irq(0), "active and pending is not signalled");
    assert_eq!(b.cr(0, icc::RPR), 0xa0);
    assert_eq!((b.dr(gicd::ISACTIVER + 4), b.dr(gicd::ISPENDR + 4)), (2, 2));
    b.cw(0, icc::EOIR1, 33);
    assert!(b.irq(0), "the level is still there");
    assert_eq!((b.cr(0, icc::IAR1), b.cr(0, icc::IAR1)), (33, 1023));
    b.gic.set_spi(1, false);
    b.cw(0, icc::EOIR1, 33);
    assert!(!b.irq(0));
    assert_eq!(b.cr(0, icc::RPR), 0xff);
    // Software makes a level interrupt pending too, once.
    b.dw(gicd::ISPENDR + 4, 2);
    assert_eq!(b.cr(0, icc::IAR1), 33);
    b.cw(0, icc::EOIR1, 33);
    assert!(!b.irq(0));
}

#[test]
fn edge_interrupt_life() {
    let b = bench(1);
    b.dw(gicd::ICFGR + 4 * 3, 2 << 2); // interrupt 49
    assert_eq!(b.dr(gicd::ICFGR + 12), 8);
    b.gic.set_spi(17, true);
    b.gic.set_spi(17, false);
    assert!(b.irq(0), "an edge is remembered");
    assert_eq!(b.cr(0, icc::IAR1), 49);
    b.gic.set_spi(17, true);
    b.cw(0, icc::EOIR1, 49);
    assert!(b.irq(0), "an edge while active counts");
    b.dw(gicd::ICPENDR + 4, 1 << 17);
    assert!(!b.irq(0));
}

#[test]
fn groups_and_masks() {
    let b = bench(1);
    b.gic.set_spi(2, true);
    assert!(b.fiq(0) && !b.irq(0));
    assert_eq!((b.cr(0, icc::IAR1), b.cr(0, icc::HPPIR1), b.cr(0, icc::HPPIR0)), (1023, 1023, 34));
    assert_eq!(b.cr(0, icc::IAR0), 34);
    assert_eq!((b.cr(0, icc::AP0R0), b.cr(0, icc::AP1R0)), (1 << 20, 0));
    b.cw(0, icc::EOIR1, 34); // the wrong group: nothing happens
    assert_eq!(b.cr(0, icc::RPR), 0xa0);
    b.gic.set_spi(2, false);
    b.cw(0, icc::EOIR0, 34);
    assert_eq!((b.cr(0, icc::RPR), b.dr(gicd::ISACTIVER + 4)), (0xff, 0));
    // Each switch on the way silences it.
    b.gic.set_spi(1, true);
    for (off, on) in [(0xa0, 0xa8), (0, 0xff)] {
        b.cw(0, icc::PMR, off);
        assert!(!b.irq(0));
        b.cw(0, icc::PMR, on);
        assert!(b.irq(0));
    }
    assert_eq!(b.cr(0, icc::PMR), 0xf8, "five bits");
    b.cw(0, icc::IGRPEN1, 0);
    assert!(!b.irq(0));
    b.cw(0, icc::IGRPEN1, 1);
    b.dw(gicd::CTLR, 1);
    assert!(!b.irq(0));
    b.dw(gicd::CTLR, 3);
    b.dw(gicd::ICENABLER + 4, 2);
    assert!(!b.irq(0));
    b.dw(gicd::ISENABLER + 4, 2);
    b.dist.write(gicd::IROUTER + 8 * 33, 8, 5);
    assert!(!b.irq(0), "no CPU has that affinity");
    b.dist.write(gicd::IROUTER + 8 * 33, 8, 0);
    assert!(b.irq(0));
}

#[test]
fn preemption_and_binary_point() {
    let b = bench(1);
    b.prio(40, 0x80);
    b.prio(41, 0x78);
    b.prio(42, 0x40);
    assert_eq!(b.dist.read(gicd::IPRIORITYR + 40, 4), Some(0xa0_40_78_80));
    b.gic.set_spi(8, true);
    assert_eq!(b.cr(0, icc::IAR1), 40);
    b.gic.set_spi(9, true);
    assert_eq!(b.cr(0, icc::IAR1), 41, "one step higher preempts at the smallest binary point");
    b.gic.set_spi(10, true);
    assert_eq!(b.cr(0, icc::IAR1), 42);
    assert_eq!(b.cr(0, icc::AP1R0), 1 << 8 | 1 << 15 | 1 << 16);
    for i in [10, 9, 8] {
        b.gic.set_spi(i, false);
        b.cw(0, icc::EOIR1, 32 + i as u64);
    }
    assert_eq!(b.cr(0, icc::RPR), 0xff);
    // ICC_BPR1_EL1 = 6: two bits of group priority; 0x80 and 0x78 differ there, 0x60 and 0x40 do not.
    assert_eq!((b.cr(0, icc::BPR0), b.cr(0, icc::BPR1)), (2, 3));
    b.cw(0, icc::BPR1, 0);
    assert_eq!(b.cr(0, icc::BPR1), 3);
    b.cw(0, icc::BPR1, 6);
    b.prio(41, 0x60);
    b.gic.set_spi(9, true);
    assert_eq!((b.cr(0, icc::IAR1), b.cr(0, icc::RPR)), (41, 0x40));
    b.gic.set_spi(10, true);
    assert_eq!((b.cr(0, icc::IAR1), b.cr(0, icc::HPPIR1)), (1023, 42), "same group priority");
    // CBPR: Group 1 follows ICC_BPR0_EL1.
    b.cw(0, icc::CTLR, icc::CTLR_CBPR.into());
    assert_eq!(b.cr(0, icc::BPR1), 3);
    b.cw(0, icc::BPR1, 7);
    assert_eq!(b.cr(0, icc::BPR1), 3, "read-only then");
    b.cw(0, icc::BPR0, 7);
    assert_eq!(b.cr(0, icc::BPR1), 7);
    // The lowest number among equals.
    let b = bench(1);
    b.gic.set_spi(100, true);
    b.gic.set_spi(7, true);
    assert_eq!(b.cr(0, icc::IAR1), 39);
}

#[test]
fn split_priority_drop() {
    let b = bench(1);
    b.cw(0, icc::CTLR, icc::CTLR_EOIMODE.into());
    b.gic.set_spi(1, true);
    b.cr(0, icc::IAR1);
    b.cw(0, icc::EOIR1, 33);
    assert_eq!((b.cr(0, icc::RPR), b.irq(0)), (0xff, false), "still active");
    b.gic.set_spi(3, true);
    assert_eq!(b.cr(0, icc::IAR1), 35);
    b.cw(0, icc::DIR, 33);
    b.gic.set_spi(3, false);
    b.cw(0, icc::EOIR1, 35);
    assert_eq!(b.cr(0, icc::IAR1), 33);
    b.cw(0, icc::CTLR, 0);
    b.cw(0, icc::DIR, 33);
    assert_eq!(b.dr(gicd::ISACTIVER + 4) & 2, 2, "without EOImode DIR does nothing");
    // Numbers that do not exist.
    b.cw(0, icc::EOIR1, 1023);
    b.cw(0, icc::EOIR1, 0xff_ffff);
    assert_eq!(b.cr(0, icc::RPR), 0xa0);
}

#[test]
fn software_generated() {
    let b = bench(8);
    b.cw(0, icc::SGI1R, 3 << 24 | 0b1000_0110);
    let who: Vec<bool> = (0..8).map(|i| b.irq(i)).collect();
    assert_eq!(who, [false, true, true, false, false, false, false, true]);
    assert_eq!(b.cr(1, icc::IAR1), 3);
    assert!(b.irq(2));
    b.cw(1, icc::EOIR1, 3);
    b.cw(5, icc::SGI1R, 1 << 40 | 4 << 24);
    let who: Vec<bool> = (0..8).map(|i| b.irq(i)).collect();
    assert_eq!(who, [true, true, true, true, true, false, true, true]);
    // Group 0, another cluster, the wrong group, no other Security state.
    b.cw(0, icc::SGI0R, 2 << 24 | 1);
    assert!(b.fiq(0));
    b.cw(5, icc::SGI1R, 1 << 16 | 5 << 24 | 0xff);
    b.cw(5, icc::SGI1R, 1 << 32 | 5 << 24 | 0xff);
    b.cw(5, icc::SGI1R, 2 << 24 | 1 << 5);
    b.cw(5, icc::ASGI1R, 6 << 24 | 1 << 5);
    assert_eq!(b.rr(5, gicr::SGI_BASE + gicd::ISPENDR), 0);
    // Clusters of sixteen.
    let b = bench(20);
    b.cw(0, icc::SGI1R, 1 << 16 | 5 << 24 | 0b100);
    assert_eq!((0..20).filter(|i| b.irq(*i)).collect::<Vec<_>>(), [18]);
}

#[test]
fn private_interrupts_and_routes() {
    let b = bench(3);
    b.gic.set_ppi(1, 27, true);
    assert!(b.irq(1) && !b.irq(0) && !b.irq(2));
    assert_eq!(b.cr(1, icc::IAR1), 27);
    b.gic.set_ppi(1, 27, false);
    b.cw(1, icc::EOIR1, 27);
    b.gic.set_ppi(1, 5, true);
    b.gic.set_ppi(9, 27, true);
    assert!(!b.irq(1), "SGIs have no inputs");
    // Affinity routing by word halves.
    b.dist.write(gicd::IROUTER + 8 * 33, 4, 2);
    b.gic.set_spi(1, true);
    assert!(b.irq(2) && !b.irq(0));
    b.dist.write(gicd::IROUTER + 8 * 33 + 4, 4, 1);
    assert!(!b.irq(2));
    assert_eq!(b.dist.read(gicd::IROUTER + 8 * 33, 8), Some(1 << 32 | 2));
    // Any CPU: the first that is awake and has the group on.
    b.dist.write(gicd::IROUTER + 8 * 33, 8, gicd::IRM);
    assert!(b.irq(0) && !b.irq(1));
    b.rw(0, gicr::WAKER, 2);
    assert_eq!(b.rr(0, gicr::WAKER), 6);
    assert!(!b.irq(0) && b.irq(1));
    b.cw(1, icc::IGRPEN1, 0);
    assert!(!b.irq(1) && b.irq(2));
    b.gic.reset_interface(2);
    assert!(!b.irq(2));
    // A reset keeps input levels but nothing else.
    b.dist.reset();
    assert_eq!((b.dr(gicd::CTLR), b.dr(gicd::ISENABLER + 4), b.dr(gicd::ISPENDR + 4)), (0x50, 0, 2));
}

#[test]
fn odd_accesses() {
    let b = bench(1);
    for (at, size) in
        [(gicd::CTLR, 8), (gicd::CTLR, 1), (gicd::IPRIORITYR + 33, 4), (gicd::IROUTER + 8 * 33 + 2, 2), (gicd::CTLR + 1, 4), (0x5000, 4)]
    {
        b.dist.write(at, size, !0);
        assert_eq!(b.dist.read(at, size), Some(0), "{at:#x} {size}");
    }
    assert_eq!(b.redist.read(GICR_STRIDE, 4), Some(0), "no such CPU");
    b.redist.write(GICR_STRIDE + gicr::WAKER, 4, 2);
    // Interrupts that do not exist stay zero.
    b.dw(gicd::ISENABLER + 4 * 9, !0);
    assert_eq!(b.dr(gicd::ISENABLER + 4 * 9), 0);
}
