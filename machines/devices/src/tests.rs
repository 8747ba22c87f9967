//! What holds for every device: saved state goes on as if nothing had happened, and no access panics.

use crate::mock::MockHost;
use crate::{Line, aclint, cfi_flash, fw_cfg, gicv3, goldfish_rtc, ns16550a, pl011, pl031, pl061, plic, sifive_test, virtio_mmio};
use emu_plugins_api::{Device, Host};
use emu_test_kit::Rng;
use std::sync::Arc;

struct Case {
    size: u64,
    devices: Vec<Arc<dyn Device>>,
    /// Another way in: register banks, inputs.
    poke: Box<dyn Fn(&mut Rng)>,
}

type Make = fn(Host) -> Case;

fn map(host: Host, size: u64, device: &Arc<impl Device>, backed: bool) -> emu_plugins_api::DeviceId {
    let base = 0x1_0000_0000 * (1 + host.random() % 0xffff);
    host.map_device(base, size, device.clone(), backed).unwrap()
}

fn uart(host: Host) -> Case {
    let d = Arc::new(pl011::Pl011::new("uart", Line::none()));
    d.connect(host, host.stream_open(map(host, 0x1000, &d, false), "serial0").unwrap());
    let input = d.clone();
    Case { size: 0x1000, devices: vec![d], poke: Box::new(move |r| assert!(input.receive(&r.u64().to_le_bytes()) <= 8)) }
}

fn rtc(host: Host) -> Case {
    let d = Arc::new(pl031::Pl031::new("rtc", Line::none()));
    d.connect(host, map(host, 0x1000, &d, false));
    Case { size: 0x1000, devices: vec![d], poke: Box::new(|_| ()) }
}

fn gpio(_: Host) -> Case {
    let d = Arc::new(pl061::Pl061::new("gpio", Line::none(), Default::default()));
    let input = d.clone();
    Case { size: 0x1000, devices: vec![d], poke: Box::new(move |r| input.set_input(r.below(8) as usize, r.one_in(2))) }
}

fn flash(host: Host) -> Case {
    let d = Arc::new(cfi_flash::CfiFlash::new("flash", 1 << 20));
    d.connect(host, map(host, 1 << 20, &d, true));
    Case { size: 0x200, devices: vec![d], poke: Box::new(|_| ()) }
}

fn fw_cfg(host: Host) -> Case {
    let files = [("etc/a".to_owned(), vec![7; 100])].into();
    let d = Arc::new(fw_cfg::FwCfg::new("fw-cfg", fw_cfg::Items::new(1, 8, files)));
    d.connect(host);
    Case { size: 0x18, devices: vec![d], poke: Box::new(|_| ()) }
}

fn clint(host: Host) -> Case {
    let d = Arc::new(aclint::Aclint::new("clint", 10_000_000, vec![aclint::Outputs::default(); 3]));
    d.connect(host, map(host, aclint::WINDOW, &d, false));
    Case { size: aclint::WINDOW, devices: vec![d], poke: Box::new(|_| ()) }
}

fn platform_interrupts(_: Host) -> Case {
    let d = plic::Plic::new("plic", 95, vec![Line::none(); 3]);
    let input = d.clone();
    let poke = move |r: &mut Rng| input.line(1 + r.below(95) as usize).set(r.one_in(2));
    Case { size: 0x20_3000, devices: vec![Arc::new(d)], poke: Box::new(poke) }
}

fn byte_uart(host: Host) -> Case {
    let d = Arc::new(ns16550a::Ns16550a::new("uart", Line::none()));
    d.connect(host, host.stream_open(map(host, 0x100, &d, false), "serial0").unwrap());
    let input = d.clone();
    Case { size: 0x10, devices: vec![d], poke: Box::new(move |r| assert!(input.receive(&r.u64().to_le_bytes()) <= 8)) }
}

fn goldfish(host: Host) -> Case {
    let d = Arc::new(goldfish_rtc::GoldfishRtc::new("rtc", Line::none()));
    d.connect(host, map(host, goldfish_rtc::WINDOW, &d, false));
    Case { size: 0x20, devices: vec![d], poke: Box::new(|_| ()) }
}

fn finisher(_: Host) -> Case {
    Case { size: 0x1000, devices: vec![Arc::new(sifive_test::SifiveTest::new("test"))], poke: Box::new(|_| ()) }
}

fn slot(_: Host) -> Case {
    Case { size: 0x200, devices: vec![Arc::new(virtio_mmio::EmptySlot::new("virtio-mmio0"))], poke: Box::new(|_| ()) }
}

fn gic(_: Host) -> Case {
    let gic = gicv3::Gicv3::new("gic", 256, vec![gicv3::Outputs::default(); 3]);
    let devices: Vec<Arc<dyn Device>> = vec![Arc::new(gic.distributor()), Arc::new(gic.redistributors())];
    let poke = move |r: &mut Rng| {
        use gicv3::spec::icc;
        const REGISTERS: &[u32] =
            &[icc::PMR, icc::IAR0, icc::IAR1, icc::EOIR1, icc::BPR0, icc::BPR1, icc::CTLR, icc::IGRPEN0, icc::IGRPEN1, icc::SGI1R, icc::AP1R0];
        let cpu = r.below(4) as usize;
        match r.below(4) {
            0 => gic.set_spi(r.below(300) as usize, r.one_in(2)),
            1 => gic.set_ppi(cpu, r.below(40) as usize, r.one_in(2)),
            2 => assert!(gic.read(cpu, *r.pick(REGISTERS)) != Some(u64::MAX)),
            _ => {
                gic.write(cpu, *r.pick(REGISTERS), r.u64() & 0xff_ffff);
            }
        }
    };
    Case { size: 0x8000, devices, poke: Box::new(poke) }
}

const CASES: &[(&str, Make)] = &[
    ("pl011", uart),
    ("pl031", rtc),
    ("pl061", gpio),
    ("cfi flash", flash),
    ("fw_cfg", fw_cfg),
    ("virtio-mmio", slot),
    ("gicv3", gic),
    ("aclint", clint),
    ("plic", platform_interrupts),
    ("ns16550a", byte_uart),
    ("goldfish rtc", goldfish),
    ("sifive test", finisher),
];

/// Offsets that a comparison reads: all aligned words of the window, or a sample of a large one.
fn registers(device: &dyn Device, size: u64) -> Vec<Option<u64>> {
    (0..size).step_by(4).map(|at| device.read(at, 4)).collect()
}

#[test]
fn saved_state_round_trips() {
    let mut rng = Rng::announced("devices::saved_state_round_trips");
    for (name, make) in CASES {
        for round in 0..6 {
            let (mock, host) = MockHost::new(3);
            let case = make(host);
            for _ in 0..(1 << round) * 40 {
                let device = rng.pick(&case.devices);
                let at = rng.below(case.size);
                let size = 1 << rng.below(4);
                let at = if rng.one_in(8) { at } else { at & !(size - 1) };
                match rng.below(8) {
                    0 => (case.poke)(&mut rng),
                    1..4 => assert!(device.read(at, size as u32).is_some()),
                    _ => assert!(device.write(at, size as u32, if rng.one_in(2) { rng.u64() } else { rng.below(256) })),
                }
            }
            let saved: Vec<_> = case.devices.iter().map(|d| d.save()).collect();
            let fresh = make(host);
            {
                // The host saves the RAM behind windows.
                let mut records = mock.records();
                let n = records.windows.len() / 2;
                for i in 0..n {
                    records.windows[n + i].backing = records.windows[i].backing.clone();
                }
            }
            for (new, bytes) in fresh.devices.iter().zip(&saved) {
                new.load(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(&new.save(), bytes, "{name}");
            }
            for (new, old) in fresh.devices.iter().zip(&case.devices) {
                assert_eq!(registers(&**new, case.size), registers(&**old, case.size), "{name}");
                assert_eq!(new.save(), old.save(), "{name}: after reading every register");
            }
        }
    }
}

#[test]
fn damaged_state_is_refused() {
    let mut rng = Rng::announced("devices::damaged_state_is_refused");
    for (name, make) in CASES {
        let (_, host) = MockHost::new(3);
        let device = make(host).devices.remove(0);
        let initial = device.save();
        for _ in 0..20 {
            device.write(rng.below(0x100) & !3, 4, rng.u64());
        }
        let saved = device.save();
        for cut in 0..saved.len().min(200) {
            let e = device.load(&saved[..cut]).expect_err(name);
            assert!(e.starts_with(device.name()), "{name}: {e}");
        }
        assert!(device.load(&[&saved[..], &[0]].concat()).is_err(), "{name}");
        let mut newer = saved.clone();
        newer[0] = 99;
        assert!(device.load(&newer).is_err(), "{name}");
        assert_eq!(device.save(), initial, "{name}: an error leaves the device as after a reset");
        for _ in 0..200 {
            let mut damaged = saved.clone();
            let at = 4 + rng.below(damaged.len().max(5) as u64 - 4) as usize;
            if let Some(byte) = damaged.get_mut(at) {
                *byte = rng.u64() as u8;
            }
            if device.load(&damaged).is_ok() {
                for at in (0..0x200).step_by(4) {
                    assert!(device.read(at, 4).is_some() && device.write(at, 4, rng.u64()));
                }
            }
        }
    }
}

#[test]
fn reset_is_power_on() {
    let mut rng = Rng::announced("devices::reset_is_power_on");
    for (name, make) in CASES {
        let (_, host) = MockHost::new(3);
        let case = make(host);
        let before: Vec<_> = case.devices.iter().map(|d| d.save()).collect();
        for _ in 0..300 {
            let device = rng.pick(&case.devices);
            // Not the registers that set a real-time clock: the time survives.
            let at = rng.below(case.size) & !3;
            if !(*name == "pl031" && at == 8) && !(*name == "goldfish rtc" && at == 0) {
                device.write(at, 4, rng.u64());
            }
        }
        case.devices.iter().for_each(|d| d.reset());
        let after: Vec<_> = case.devices.iter().map(|d| d.save()).collect();
        assert_eq!(before, after, "{name}");
    }
}
