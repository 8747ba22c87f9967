use super::*;
use crate::options::Options;
use emu_machine_devices::gicv3::spec::icc;
use emu_machine_devices::mock::{MockHost, config};
use emu_machine_firmware::fdt::{Chosen, Fdt, choose};
use std::path::{Path, PathBuf};

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("EMU_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs (EMU_BLESS=1 accepts it):\n{text}", path.display());
}

fn temporary(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("emu-virt-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path
}

fn make(cpus: u32, options: &[(&str, &str)], images: &[(&str, &str)]) -> (&'static MockHost, Result<Virt, String>) {
    let (mock, host) = MockHost::new(cpus);
    let properties = [("fdt-compatible", "arm,cortex-a72"), ("pmu", "on"), ("pa-bits", "44")];
    (mock, Virt::create(&config(cpus, 512 << 20, options, images, &properties), host))
}

fn error(options: &[(&str, &str)], images: &[(&str, &str)]) -> String {
    make(1, options, images).1.err().unwrap()
}

#[test]
fn board_tables() {
    for (name, o) in [
        ("board-smp1.txt", Options::default()),
        ("board-smp2.txt", Options { cpus: 2, ram_bytes: 4 << 30, ..Options::default() }),
        ("board-smp8-slots4.txt", Options { cpus: 8, virtio_slots: 4, ..Options::default() }),
    ] {
        let map = board(&o);
        assert_eq!(map.overlap(), None);
        golden(name, &map.to_string());
    }
    let mut bad = board(&Options::default());
    bad.rows[5].base -= 0xf004;
    assert_eq!(bad.overlap().map(|(a, b)| (a.name.as_str(), b.name.as_str())), Some(("uart0", "rtc")));
    let mut bad = board(&Options::default());
    bad.rows[5].spi = bad.rows[4].spi;
    assert!(bad.overlap().is_some());
    // QEMU's map has room for 255 GiB.
    assert_eq!(board(&Options { ram_bytes: options::MAX_RAM, ..Options::default() }).overlap(), None);
}

#[test]
fn device_trees() {
    let facts = Facts { cpu_compatible: "arm,cortex-a72".into(), pmu: true };
    for cpus in [1, 2, 8] {
        let mut fdt = tree::tree(&board(&Options { cpus, virtio_slots: 2, ..Options::default() }), &facts);
        let chosen = Chosen { bootargs: Some("console=ttyAMA0".into()), initrd: Some((0x4800_0000, 0x4810_0000)), seeds: Some((7, [9; 32])) };
        choose(&mut fdt, &chosen);
        golden(&format!("tree-smp{cpus}.txt"), &fdt.to_text());
        assert_eq!(Fdt::parse(&fdt.emit()), Ok(fdt));
    }
    let without = tree::tree(&board(&Options::default()), &Facts::default());
    assert!(without.find("/pmu").is_none() && without.find("/chosen").unwrap().get("kaslr-seed").is_none());
}

#[test]
fn starts_the_demo_guest() {
    let (mock, virt) = make(2, &[], &[]);
    let virt = virt.unwrap();
    let (entry, dtb_at) = mock.records().on[&0];
    assert_eq!((entry, dtb_at, mock.records().on.len()), (0x4020_0000, 0x4800_0000, 1));
    assert_eq!(mock.load(entry + 56, 4), Some(0x644d_5241));
    let mut dtb = vec![0; 1 << 16];
    assert!(virt.host.read(dtb_at, &mut dtb));
    let first = Fdt::parse(&dtb).unwrap();
    assert_eq!(first.find("/chosen").unwrap().get_text("stdout-path"), Some("/pl011@9000000"));
    assert!(first.find("/cpus/cpu@1").is_some() && first.find("/cpus/cpu@2").is_none());
    // A reset loads again, with other seeds.
    mock.store(entry, 4, 0);
    mock.reset();
    virt.restart().unwrap();
    assert_ne!(mock.load(entry, 4), Some(0));
    assert_eq!(mock.records().on[&0], (entry, dtb_at));
    assert!(virt.host.read(dtb_at, &mut dtb));
    let second = Fdt::parse(&dtb).unwrap();
    assert_ne!(first.find("/chosen").unwrap().get("rng-seed"), second.find("/chosen").unwrap().get("rng-seed"));
}

#[test]
fn interrupts_reach_the_cpus() {
    let (mock, virt) = make(2, &[], &[]);
    let virt = virt.unwrap();
    let line = |cpu| mock.records().lines.get(&(cpu, 0)).copied().unwrap_or(false);
    let mut ack = 0;
    for cpu in 0..2 {
        for (register, value) in [(icc::PMR, 0xff), (icc::IGRPEN1, 1)] {
            let mut value = value;
            assert!(virt.bank(cpu, register, &mut value, true));
        }
        // All private interrupts on, in Group 1.
        let frame = 0x080a_0000 + 0x2_0000 * u64::from(cpu) + 0x1_0000;
        mock.store(frame + 0x80, 4, 0xffff_ffff);
        mock.store(frame + 0x100, 4, 0xffff_ffff);
    }
    mock.store(0x0800_0000, 4, 2);
    // The mock's CPUs have outputs timer-phys, timer-virt, pmu.
    for (output, intid) in [(0, 30), (1, 27), (2, 23)] {
        virt.cpu_output(1, output, true);
        assert!(line(1) && !line(0));
        assert!(virt.bank(1, icc::IAR1, &mut ack, false));
        assert_eq!(ack, intid);
        virt.cpu_output(1, output, false);
        assert!(virt.bank(1, icc::EOIR1, &mut ack, true));
        assert!(!line(1));
    }
    virt.cpu_output(1, 9, true);
    assert!(!virt.bank(0, 0x1234, &mut ack, false));
    // The UART's interrupt, 33.
    mock.store(0x0800_0084, 4, 2);
    mock.store(0x0800_0104, 4, 2);
    mock.store(0x0900_0038, 4, 0x50);
    let uart = mock.window(0x0900_0000).unwrap().1.device;
    assert_eq!(uart.receive(b"x"), 1);
    assert!(line(0) && !line(1));
    assert_eq!(mock.load(0x0900_0000, 4), Some(u64::from(b'x')));
    assert!(!line(0));
    mock.store(0x0900_0000, 4, b'y'.into());
    assert_eq!(mock.output("serial0"), "y");
    // The power button, 39: a rising edge on pin 3.
    mock.store(0x0800_0084, 4, 1 << 7);
    mock.store(0x0800_0104, 4, 1 << 7);
    for (at, value) in [(0x408, 8), (0x410, 8)] {
        mock.store(0x0903_0000 + at, 4, value);
    }
    virt.power_button(true);
    assert!(line(0));
    // PSCI turns the other CPU on, with a fresh CPU interface.
    virt.cpu_output(1, 0, true);
    assert!(line(1));
    let mut args = [0xc400_0003, 1, 0x4100_0000, 42, 0, 0, 0, 0];
    assert!(virt.firmware_call(0, &mut args));
    assert_eq!(args[0], 0);
    assert_eq!(mock.records().on[&1], (0x4100_0000, 42));
    assert!(!line(1));
}

#[test]
fn every_device_answers_where_the_rows_say() {
    let (mock, virt) = make(1, &[], &[]);
    let virt = virt.unwrap();
    for (at, expected) in [
        (0x0800_ffe8, 0x3b),
        (0x080a_ffe8, 0x3b),
        (0x0900_0fe0, 0x11),
        (0x0901_0fe0, 0x31),
        (0x0903_0fe0, 0x61),
        (0x0a00_0000, 0x7472_6976),
        (0x0a00_3e00, 0x7472_6976),
        (0x0902_0010, u32::from_le_bytes(*b"QEMU").into()),
        (0x0400_0000, 0),
    ] {
        assert_eq!(mock.load(at, 4), Some(expected), "{at:#x}");
    }
    assert_eq!(mock.load(0x1000_0000, 4), None);
    assert_eq!(mock.records().windows.len() + 1, virt.map.rows.len());
    let names: std::collections::BTreeSet<_> = mock.records().windows.iter().map(|w| w.device.name().to_owned()).collect();
    assert_eq!(names.len() + 1, virt.map.rows.len(), "names are unique, for snapshots");
}

#[test]
fn firmware_starts_in_flash() {
    let bios = temporary("bios", b"firmware");
    let kernel = temporary("kernel", b"any kernel at all");
    let path = bios.to_str().unwrap();
    let (mock, virt) = make(1, &[], &[("bios", path), ("kernel", kernel.to_str().unwrap()), ("append", "quiet")]);
    let virt = virt.unwrap();
    assert_eq!(mock.records().on[&0], (0, 0x4000_0000));
    assert_eq!(mock.load(0, 8), Some(u64::from_le_bytes(*b"firmware")));
    let mut magic = [0; 4];
    assert!(virt.host.read(0x4000_0000, &mut magic));
    assert_eq!(magic, [0xd0, 0x0d, 0xfe, 0xed]);
    let item = |key: u16| {
        mock.store(0x0902_0008, 2, key.swap_bytes().into());
        mock.load(0x0902_0000, 4).unwrap() as u32
    };
    assert_eq!((item(key::KERNEL_SIZE), item(key::CMDLINE_SIZE), item(key::INITRD_SIZE)), (17, 6, 0));
    assert_eq!(item(key::CMDLINE_DATA).to_le_bytes(), *b"quie");
    let both = error(&[], &[("bios", path), ("pflash0", path)]);
    assert_eq!(both, "-bios and the first flash are the same place; give only one of them");
    let (mock, virt) = make(1, &[], &[("pflash0", path), ("pflash1", path)]);
    virt.unwrap();
    assert_eq!(mock.load(0x0400_0000, 8), Some(u64::from_le_bytes(*b"firmware")));
    for path in [bios, kernel] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn device_tree_of_the_user() {
    let garbage = temporary("garbage.dtb", &[7; 100]);
    let e = error(&[], &[("dtb", garbage.to_str().unwrap())]);
    assert_eq!(
        e,
        format!("device tree '{}' cannot be used: it does not begin with the magic number d00dfeed; compile it again with dtc", garbage.display())
    );
    std::fs::remove_file(garbage).unwrap();
    let mut fdt = Fdt::default();
    fdt.root.text("model", "mine").cells("#address-cells", &[1]).cells("#size-cells", &[1]);
    let mine = temporary("mine.dtb", &fdt.emit());
    let (mock, virt) = make(1, &[("dtb-randomness", "off")], &[("dtb", mine.to_str().unwrap())]);
    let virt = virt.unwrap();
    let at = mock.records().on[&0].1;
    let mut dtb = vec![0; 4096];
    assert!(virt.host.read(at, &mut dtb));
    let got = Fdt::parse(&dtb).unwrap();
    assert_eq!(got.find("/").unwrap().get_text("model"), Some("mine"));
    assert_eq!(got.find("/memory@40000000").unwrap().get("reg").unwrap(), [0x40, 0, 0, 0, 0x20, 0, 0, 0]);
    std::fs::remove_file(mine).unwrap();
}

#[test]
fn dump_and_errors() {
    let path = temporary("dump.dtb", &[]);
    let (mock, virt) = make(2, &[("dumpdtb", path.to_str().unwrap())], &[]);
    assert!(virt.is_ok());
    assert_eq!(mock.records().events, [(SystemEvent::POWER_OFF, 0)]);
    assert!(mock.records().on.is_empty());
    assert!(Fdt::parse(&std::fs::read(&path).unwrap()).unwrap().find("/cpus/cpu@1").is_some());
    std::fs::remove_file(path).unwrap();
    let e = error(&[("dumpdtb", "/no/such/folder/x")], &[]);
    assert!(e.starts_with("cannot write the device tree to '/no/such/folder/x': "), "{e}");
    assert_eq!(error(&[], &[("initrd", "i")]), "-initrd has no use without -kernel; add -kernel FILE or leave -initrd out");
    assert_eq!(error(&[], &[("append", "quiet")]), "-append has no use without -kernel; add -kernel FILE or leave -append out");
    assert_eq!(error(&[], &[("kernel", "/no/such")]), "cannot read '/no/such': there is no such file; check the path after -kernel");
    assert!(error(&[], &[("cartridge", "x")]).starts_with("machine virt cannot start from 'cartridge'"));
    let (_, host) = MockHost::new(1);
    let e = Virt::create(&config(1, 2 << 20, &[], &[], &[]), host).err().unwrap();
    assert_eq!(e, "kernel 'demo guest' does not fit into RAM (-m 2M): it takes 1 MiB; give at least -m 6M");
    assert_eq!(Virt::cpu_options(&config(1, 1 << 20, &[], &[], &[])), [("el2".to_owned(), "off".to_owned()), ("el3".to_owned(), "off".to_owned())]);
}
