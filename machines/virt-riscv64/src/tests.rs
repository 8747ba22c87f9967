use super::*;
use emu_machine_devices::mock::{MockHost, config_of};
use emu_machine_firmware::fdt::Fdt;
use std::path::PathBuf;

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("EMU_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs (EMU_BLESS=1 accepts it):\n{text}", path.display());
}

fn temporary(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("emu-virt-riscv64-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    path
}

const LINES: [&str; 5] = ["msi", "mti", "mei", "sei", "own"];

fn make(cpus: u32, options: &[(&str, &str)], images: &[(&str, &str)]) -> (&'static MockHost, Result<Virt, String>) {
    let (mock, host) = MockHost::new(cpus);
    (mock, Virt::create(&config_of(&LINES, cpus, 512 << 20, options, images, &[]), host))
}

fn error(options: &[(&str, &str)], images: &[(&str, &str)]) -> String {
    make(1, options, images).1.err().unwrap()
}

#[test]
fn board_tables() {
    for (name, o) in [("board-smp1.txt", Options::default()), ("board-smp8-slots2.txt", Options { cpus: 8, virtio_slots: 2, ..Options::default() })] {
        let map = board(&o);
        assert_eq!(map.overlap(), None);
        golden(name, &map.to_string());
    }
    let mut bad = board(&Options::default());
    bad.rows[2].base = 0x10_0800;
    assert!(bad.overlap().is_some());
}

#[test]
fn device_trees() {
    for cpus in [1, 4] {
        let facts = Facts {
            isa: "rv64imafdc_zicbom".into(),
            extensions: "i m a f d c zicbom".into(),
            mmu: "sv48".into(),
            timebase_hz: 10_000_000,
            cache_block: 64,
        };
        let fdt = tree::tree(&board(&Options { cpus, virtio_slots: 2, ..Options::default() }), &facts);
        golden(&format!("tree-smp{cpus}.txt"), &fdt.to_text());
        assert_eq!(Fdt::parse(&fdt.emit()), Ok(fdt));
    }
}

#[test]
fn starts_firmware_and_kernel() {
    let (bios, kernel) = (temporary("bios", &[1; 64]), temporary("kernel", &[2; 64]));
    let (mock, virt) = make(2, &[], &[("bios", bios.to_str().unwrap()), ("kernel", kernel.to_str().unwrap()), ("append", "quiet")]);
    virt.unwrap();
    assert_eq!(mock.records().on.len(), 2);
    let (entry, dtb) = mock.records().on[&1];
    assert_eq!(entry, RESET_ROM);
    assert_eq!((mock.load(RESET_ROM + 24, 8), mock.load(RESET_ROM + 32, 8)), (Some(RAM_BASE), Some(dtb)));
    assert_eq!(mock.load(RESET_ROM + 56, 8), Some(0x8020_0000));
    assert_eq!((mock.load(RAM_BASE, 1), mock.load(0x8020_0000, 1)), (Some(1), Some(2)));
    // Without firmware a kernel is in machine mode; in flash, firmware is there.
    let (mock, virt) = make(1, &[], &[("bios", "none"), ("kernel", kernel.to_str().unwrap())]);
    virt.unwrap();
    assert_eq!(mock.load(RESET_ROM + 24, 8), Some(RAM_BASE));
    let (mock, virt) = make(1, &[], &[("pflash0", bios.to_str().unwrap())]);
    virt.unwrap();
    assert_eq!((mock.load(RESET_ROM + 24, 8), mock.load(0x2000_0000, 1)), (Some(0x2000_0000), Some(1)));
    for path in [bios, kernel] {
        std::fs::remove_file(path).unwrap();
    }
    assert!(error(&[], &[("bios", "/no/such")]).contains("there is no such file"));
    assert!(error(&[], &[("initrd", "x")]).contains("no use without -kernel"));
}

#[test]
fn interrupts_reach_the_harts() {
    let (mock, virt) = make(2, &[], &[]);
    let virt = virt.unwrap();
    let line = |cpu, line| mock.records().lines.get(&(cpu, line)).copied().unwrap_or(false);
    mock.store(0x0200_0004, 4, 1);
    assert!(line(1, 0) && !line(0, 0));
    mock.store(0x0200_4000, 8, 0);
    assert!(line(0, 1) && !line(1, 1));
    // The UART's source, for hart 1's supervisor: context 3.
    mock.store(0x0c00_0028, 4, 1);
    mock.store(0x0c00_2180, 4, 1 << 10);
    virt.plic.line(10).set(true);
    assert!(line(1, 3) && !line(1, 2) && !line(0, 3));
}
