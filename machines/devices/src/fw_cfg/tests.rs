use super::*;
use crate::mock::MockHost;

const RAM: u64 = 0x4000_0000;
const BASE: u64 = 0x0902_0000;

fn bench() -> (&'static MockHost, Host) {
    let (mock, host) = MockHost::new(1);
    host.map_ram("ram", RAM, 0x10_0000, false).unwrap();
    let files = [("etc/b", b"second".to_vec()), ("bootorder", b"/x\0".to_vec())].map(|(k, v)| (k.to_owned(), v));
    let device = Arc::new(FwCfg::new("fw-cfg", Items::new(2, 8, files.into())));
    host.map_device(BASE, WINDOW, device.clone(), false).unwrap();
    device.connect(host);
    (mock, host)
}

fn select(mock: &MockHost, key: u16) {
    assert!(mock.store(BASE + SELECTOR, 2, key.swap_bytes().into()));
}

#[test]
fn data_register() {
    let (mock, _) = bench();
    select(mock, key::SIGNATURE);
    let bytes: Vec<u8> = (0..6).map(|_| mock.load(BASE, 1).unwrap() as u8).collect();
    assert_eq!(&bytes, b"QEMU\0\0");
    select(mock, key::SIGNATURE);
    assert_eq!(mock.load(BASE, 4), Some(u32::from_le_bytes(*b"QEMU").into()));
    select(mock, key::ID);
    assert_eq!(mock.load(BASE, 4), Some(3));
    select(mock, key::NB_CPUS);
    assert_eq!(mock.load(BASE, 2), Some(2));
    select(mock, key::FILE_DIR);
    assert_eq!(mock.load(BASE, 4).unwrap() as u32, 2u32.to_be());
    let entry: Vec<u8> = (0..64).map(|_| mock.load(BASE, 1).unwrap() as u8).collect();
    assert_eq!(&entry[..18], b"\0\0\0\x03\0\x20\0\0bootorder\0");
    select(mock, 0x21);
    assert_eq!(mock.load(BASE, 8), Some(u64::from_le_bytes(*b"second\0\0")));
    assert_eq!(mock.load(BASE + DMA, 8), Some(u64::from_le_bytes(*b"QEMU CFG")));
    assert_eq!(mock.load(BASE + DMA_LOW, 4), Some(u32::from_le_bytes(*b" CFG").into()));
}

fn descriptor(host: &Host, control: u32, len: u32, address: u64) {
    let mut d = control.to_be_bytes().to_vec();
    d.extend(len.to_be_bytes());
    d.extend(address.to_be_bytes());
    assert!(host.write(RAM, &d));
}

fn control(host: &Host) -> u32 {
    let mut c = [0; 4];
    assert!(host.read(RAM, &mut c));
    u32::from_be_bytes(c)
}

#[test]
fn dma() {
    let (mock, host) = bench();
    let start = |mock: &MockHost| {
        assert!(mock.store(BASE + DMA, 4, 0));
        assert!(mock.store(BASE + DMA_LOW, 4, (RAM as u32).swap_bytes().into()));
    };
    host.write(RAM + 0x100, &[0xff; 16]).then_some(()).unwrap();
    descriptor(&host, 0x21 << 16 | dma::SELECT | dma::SKIP, 2, 0);
    start(mock);
    assert_eq!(control(&host), 0);
    descriptor(&host, dma::READ, 8, RAM + 0x100);
    assert!(mock.store(BASE + DMA, 8, RAM.swap_bytes()));
    let mut got = [0; 9];
    assert!(host.read(RAM + 0x100, &mut got));
    assert_eq!(&got, b"cond\0\0\0\0\xff");
    // Nothing there; an item that cannot be written; the device as its own destination.
    descriptor(&host, 0x21 << 16 | dma::SELECT | dma::READ, 4, 0x1_0000_0000);
    start(mock);
    assert_eq!(control(&host), dma::ERROR);
    descriptor(&host, 0x21 << 16 | dma::SELECT | dma::WRITE, 4, RAM + 0x100);
    start(mock);
    assert_eq!(control(&host), dma::ERROR);
    descriptor(&host, dma::READ, 24, BASE);
    start(mock);
    assert_eq!(control(&host), 0);
    descriptor(&host, dma::SELECT | dma::READ, u32::MAX, RAM + 0x8_0000);
    start(mock);
    assert_eq!(control(&host), dma::ERROR, "beyond RAM");
}
