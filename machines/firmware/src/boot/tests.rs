use super::*;
use std::io::Write;

const RAM: Ram = Ram { base: 0x4000_0000, size: 512 * MIB };

/// An Image with an EFI stub's headers: one section that ends with the file.
fn image(len: usize, text_offset: u64, image_size: u64) -> Vec<u8> {
    let mut v = vec![0x5a; len];
    v[..64].fill(0);
    v[..2].copy_from_slice(b"MZ");
    v[8..16].copy_from_slice(&text_offset.to_le_bytes());
    v[16..24].copy_from_slice(&image_size.to_le_bytes());
    v[56..60].copy_from_slice(b"ARM\x64");
    v[60..64].copy_from_slice(&64u32.to_le_bytes());
    v[64..68].copy_from_slice(b"PE\0\0");
    v[70..72].copy_from_slice(&1u16.to_le_bytes());
    v[84..86].copy_from_slice(&0u16.to_le_bytes());
    v[88 + 16..88 + 20].copy_from_slice(&(len as u32 - 256).to_le_bytes());
    v[88 + 20..88 + 24].copy_from_slice(&256u32.to_le_bytes());
    v
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

fn zboot(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut v = vec![0; 128];
    v[..2].copy_from_slice(b"MZ");
    v[4..8].copy_from_slice(b"zimg");
    v[8..12].copy_from_slice(&128u32.to_le_bytes());
    v[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    v[24..24 + kind.len()].copy_from_slice(kind.as_bytes());
    v.extend(payload);
    v
}

/// An ELF file with one segment.
fn elf(machine: u16, paddr: u64, data: &[u8], memory: u64) -> Vec<u8> {
    let mut v = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    v.extend(2u16.to_le_bytes());
    v.extend(machine.to_le_bytes());
    v.extend(1u32.to_le_bytes());
    for x in [paddr + 4, 64, 0] {
        v.extend(x.to_le_bytes());
    }
    v.extend(0u32.to_le_bytes());
    for x in [64u16, 56, 1, 64, 0, 0] {
        v.extend(x.to_le_bytes());
    }
    v.extend(1u32.to_le_bytes());
    v.extend(5u32.to_le_bytes());
    for x in [120, paddr + 0x1_0000_0000, paddr, data.len() as u64, memory, 4] {
        v.extend(x.to_le_bytes());
    }
    v.extend(data);
    v
}

fn error<T: std::fmt::Debug>(r: Result<T, String>) -> String {
    r.unwrap_err()
}

#[test]
fn image_goes_where_qemu_puts_it() {
    let data = image(0x10_0000, 0, 0x20_0000);
    for packed in [data.clone(), gzip(&data), zboot("gzip", &gzip(&data))] {
        let plan = plan(RAM, kernel_from("k", packed).unwrap(), Some(("i", vec![7; 5 << 20].into()))).unwrap();
        assert_eq!((plan.entry, plan.writes[0].0, plan.writes[0].1.head() == data), (0x4020_0000, 0x4020_0000, true));
        assert_eq!(plan.initrd, Some((0x4800_0000, 0x4850_0000)));
        assert_eq!((plan.writes[1].0, plan.writes[1].1.len()), (0x4800_0000, 5 << 20));
        assert_eq!(plan.dtb, 0x4860_0000);
    }
    let plain = plan(RAM, kernel_from("k", data.clone()).unwrap(), None).unwrap();
    assert_eq!((plain.dtb, plain.dtb_max, plain.initrd), (0x4800_0000, BLOCK, None));
    let old = plan(RAM, kernel_from("k", image(0x1000, 0, 0)).unwrap(), None).unwrap();
    assert_eq!(old.entry, 0x4008_0000, "no image_size: the old place");
    let offset = plan(RAM, kernel_from("k", image(0x1000, 0x8_0000, 0x1000)).unwrap(), None).unwrap();
    assert_eq!(offset.entry, 0x4008_0000);
    // Little RAM: the initial RAM disk moves down rather than being refused.
    let tight = Ram { size: 12 * MIB, ..RAM };
    let p = plan(tight, kernel_from("k", data).unwrap(), Some(("i", vec![0; 5 << 20].into()))).unwrap();
    assert_eq!((p.initrd, p.dtb), (Some((0x4050_0000, 0x40a0_0000)), 0x40a0_0000));
}

#[test]
fn zstd_payload() {
    // A zstd frame with one raw block: magic, frame header (single segment, 1-byte size would not do: 4 bytes), block header, data.
    let data = image(0x400, 0, 0x1000);
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((data.len() as u32).to_le_bytes());
    frame.extend(&((data.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend(&data);
    let k = kernel_from("k", zboot("zstd22", &frame)).unwrap();
    assert_eq!(plan(RAM, k, None).unwrap().writes[0].1.head(), data);
    assert!(error(kernel_from("k", zboot("zstd", &frame[..40]))).contains("damaged zstd"));
}

#[test]
fn elf_programs() {
    let k = kernel_from("k", elf(183, 0x4010_0000, b"code", 0x1000)).unwrap();
    let p = plan(RAM, k, None).unwrap();
    assert_eq!((p.entry, p.dtb, p.dtb_max), (0x4010_0004, 0x4000_0000, MIB));
    assert_eq!((p.writes[0].0, &p.writes[0].1.head()[..5], p.writes[0].1.len()), (0x4010_0000, &b"code\0"[..], 0x1000));
    let p = plan(RAM, kernel_from("k", elf(183, 0x4000_0000, b"code", 4)).unwrap(), Some(("i", vec![1; 100].into()))).unwrap();
    assert_eq!((p.dtb, p.initrd), (0x4820_0000, Some((0x4800_0000, 0x4800_0064))));
    assert_eq!(
        error(plan(RAM, kernel_from("k", elf(183, 0x8_0000, b"code", 4)).unwrap(), None)),
        "kernel 'k' has a segment at 0x80000 to 0x80003 that is outside RAM (-m 512M at 0x40000000); link it to run from 0x40000000 or above"
    );
    assert_eq!(
        error(plan(RAM, kernel_from("k", elf(183, 0x6000_0000, b"code", 4)).unwrap(), None)),
        "kernel 'k' has a segment at 0x60000000 to 0x60000003 that is outside RAM (-m 512M at 0x40000000); give at least -m 514M"
    );
    assert_eq!(error(kernel_from("k", elf(62, 0, b"", 4))), "kernel 'k' is an ELF file for x86-64, not for AArch64; give one built for aarch64");
    let good = elf(183, 0x4010_0000, b"code", 4);
    for cut in 4..good.len() {
        let e = error(kernel_from("k", good[..cut].to_vec()));
        assert!(e.starts_with("kernel 'k' is "), "{cut}: {e}");
    }
}

#[test]
fn errors_are_sentences() {
    assert_eq!(error(read_kernel("/no/such/kernel")), "cannot read '/no/such/kernel': there is no such file; check the path after -kernel");
    assert_eq!(error(read_file("/", "-initrd")), "cannot read '/': it is a directory; check the path after -initrd");
    assert_eq!(error(kernel_from("k", vec![])), "kernel 'k' is empty; copy or download it again");
    assert_eq!(
        error(kernel_from("k", vec![1; 100])),
        "kernel 'k' is no kernel: expected an arm64 Image (plain, gzip'ed or EFI zboot) or an AArch64 ELF file; firmware goes after -bios"
    );
    let data = image(0x1_0000, 0, 0x20_0000);
    assert_eq!(
        error(kernel_from("k", data[..0x8000].to_vec())),
        "kernel 'k' is truncated: its sections need 65536 bytes, the file has 32768; copy or download it again"
    );
    let packed = gzip(&data);
    assert_eq!(error(kernel_from("k", packed[..packed.len() / 2].to_vec())), "kernel 'k' is a truncated gzip file; copy or download it again");
    assert_eq!(error(kernel_from("k", gzip(b"something else"))), "kernel 'k' is packed, but what is inside is no arm64 Image");
    assert!(error(kernel_from("k", zboot("gzip", &packed)[..200].to_vec())).starts_with("kernel 'k' is truncated: its payload ends at byte"));
    assert!(error(kernel_from("k", zboot("xz", &packed))).contains("compressed with xz"));
    let small = Ram { size: 4 * MIB, ..RAM };
    let k = || kernel_from("k", data.clone()).unwrap();
    assert_eq!(error(plan(small, k(), None)), "kernel 'k' does not fit into RAM (-m 4M): it takes 2 MiB; give at least -m 6M");
    assert!(plan(Ram { size: 6 * MIB, ..RAM }, k(), None).is_ok());
    let initrd = || Some(("i", vec![0; 300 << 20].into()));
    let e = error(plan(Ram { size: 256 * MIB, ..RAM }, k(), initrd()));
    assert_eq!(e, "initrd 'i' (300 MiB) does not fit into RAM (-m 256M) beside the kernel; give at least -m 306M");
    assert!(plan(Ram { size: 306 * MIB, ..RAM }, k(), initrd()).is_ok());
    assert!(plan(Ram { size: 305 * MIB, ..RAM }, k(), initrd()).is_err());
}
