use super::*;
use crate::mock::MockHost;
use std::sync::Arc;

const SIZE: u64 = 64 << 20;

fn bench() -> (&'static MockHost, Arc<CfiFlash>) {
    let (mock, host) = MockHost::new(1);
    let flash = Arc::new(CfiFlash::new("flash0", SIZE));
    let id = host.map_device(0, SIZE, flash.clone(), true).unwrap();
    flash.connect(host, id);
    (mock, flash)
}

fn direct(mock: &MockHost) -> bool {
    mock.records().windows[0].direct
}

#[test]
fn identifies_itself_as_drivers_expect() {
    let (mock, _) = bench();
    assert_eq!(mock.load(0, 4), Some(0));
    assert!(direct(mock));
    mock.store(0x154, 4, 0x0098_0098);
    assert!(!direct(mock));
    let q = |i: u64| mock.load(i * 4, 4).unwrap() as u32;
    assert_eq!([q(0x10), q(0x11), q(0x12)], [0x0051_0051, 0x0052_0052, 0x0059_0059]);
    assert_eq!([q(0x13), q(0x15)], [0x0001_0001, 0x0031_0031]);
    // 2^25 bytes a chip; 256 blocks of 128 KiB; a buffer of 2 KiB.
    let b = |i| q(i) & 0xff;
    assert_eq!((b(0x27), b(0x2a), b(0x2c)), (25, 11, 1));
    assert_eq!((b(0x2d) | b(0x2e) << 8, (b(0x2f) | b(0x30) << 8) << 8), (255, 128 << 10));
    mock.store(0, 4, 0x0090_0090);
    assert_eq!((mock.load(0, 4), mock.load(4, 4), mock.load(4, 2)), (Some(0x0089_0089), Some(0x0018_0018), Some(0x18)));
    mock.store(0, 4, 0x00ff_00ff);
    assert!(direct(mock));
}

#[test]
fn programs_and_erases() {
    let (mock, flash) = bench();
    let at = 3 * SECTOR + 0x100;
    let st = |v: u64| assert!(mock.store(at, 4, v));
    st(0x0020_0020);
    st(0x00d0_00d0);
    st(0x0040_0040);
    st(0x1234_5678);
    assert_eq!(mock.load(at, 4), Some(0x0080_0080));
    st(0x00ff_00ff);
    assert_eq!(mock.load(at, 4), Some(0x1234_5678));
    st(0x0010_0010);
    st(0xffff_ff0f);
    st(0x00ff_00ff);
    assert_eq!(mock.load(at, 4), Some(0x1234_5608), "bits are only cleared");
    // Buffered.
    st(0x00e8_00e8);
    assert_eq!(mock.load(at, 4), Some(0x0080_0080));
    st(0x0003_0003);
    for i in 0..4 {
        mock.store(at + 0x40 + 4 * i, 4, 0xa0a0_0000 + i);
    }
    mock.store(at, 4, 0x00d0_00d0);
    assert_eq!(mock.load(at, 4), Some(0x0080_0080));
    flash.reset();
    assert_eq!((mock.load(at + 0x4c, 4), mock.load(at + 0x50, 4)), (Some(0xa0a0_0003), Some(0xffff_ffff)));
    // Too many words, and no confirmation.
    st(0x00e8_00e8);
    st(0xffff_ffff);
    assert_eq!(mock.load(at, 1).unwrap() as u8, status::READY | status::PROGRAM_ERROR);
    st(0x0050_0050);
    st(0x0070_0070);
    assert_eq!(mock.load(at, 1).unwrap() as u8, status::READY);
    st(0x0020_0020);
    st(0x00ff_00ff);
    assert_eq!(mock.load(at, 1).unwrap() as u8, status::READY | status::PROGRAM_ERROR | status::ERASE_ERROR);
    st(0x0050_0050);
    // Unlock, erase.
    st(0x0060_0060);
    st(0x00d0_00d0);
    st(0x00ff_00ff);
    mock.store(2 * SECTOR, 4, 0x40);
    mock.store(2 * SECTOR, 4, 0);
    st(0x0020_0020);
    st(0x00d0_00d0);
    st(0x00ff_00ff);
    assert_eq!(mock.load(at, 4), Some(0xffff_ffff));
    assert_eq!(mock.load(2 * SECTOR, 4), Some(0), "the neighbour stays");
    assert!(flash.load_image(SIZE - 4, b"abcd") && !flash.load_image(SIZE - 3, b"abcd"));
    assert_eq!(mock.load(SIZE - 4, 4), Some(u32::from_le_bytes(*b"abcd").into()));
}
