//! Files of chance: whatever a kernel, a device tree or an initial RAM disk's size is, the loaders answer with a plan inside RAM or with one
//! sentence. `EMU_SEED` replays a run.

use emu_a64_asm::elf::{Segment, executable};
use emu_machine_firmware::boot::{Ram, kernel_from, plan};
use emu_machine_firmware::fdt::{Fdt, Node};
use emu_test_kit::Rng;
use emu_test_robustness::guest::{Handler, assemble};

/// Changes some bytes, biased to extremes, and sometimes cuts the end off or repeats it.
fn mutate(rng: &mut Rng, file: &[u8], head: usize) -> Vec<u8> {
    let mut out = file.to_vec();
    for _ in 0..=rng.below(6) {
        // Mostly in the header, where everything is decided.
        let within = if rng.one_in(4) { out.len() } else { out.len().min(head) };
        let at = rng.below(within as u64) as usize;
        let value = match rng.below(5) {
            0 => 0,
            1 => 0xff,
            2 => 0x80,
            3 => 1 << rng.below(8),
            _ => rng.u64() as u8,
        };
        let n = [1, 1, 4, 8][rng.below(4) as usize].min(out.len() - at);
        out[at..at + n].fill(value);
    }
    match rng.below(8) {
        0 => out.truncate(rng.below(out.len() as u64) as usize),
        1 => out.extend_from_within(..file.len().min(100)),
        _ => {}
    }
    out
}

#[test]
fn kernels() {
    let mut rng = Rng::announced("kernels");
    let mut image = assemble(Handler::Skip, |_, _| ());
    let mut stub = image.clone();
    stub[..2].copy_from_slice(b"MZ");
    stub[0x3c..0x40].copy_from_slice(&0x40u32.to_le_bytes());
    stub[0x40..0x44].copy_from_slice(b"PE\0\0");
    stub[0x46] = 2;
    image.truncate(256);
    let segment = |address, size| Segment { address, bytes: vec![1; 64], mem_size: size, flags: 5 };
    let elf = executable(0x4020_0000, &[segment(0x4020_0000, 0x1000), segment(0x4030_0000, 64)]);
    let mut zboot = vec![0; 200];
    zboot[..8].copy_from_slice(b"MZ\0\0zimg");
    zboot[8..16].copy_from_slice(&[100, 0, 0, 0, 50, 0, 0, 0]);
    zboot[24..28].copy_from_slice(b"gzip");
    let mut zstd = zboot.clone();
    zstd[24..28].copy_from_slice(b"zstd");
    zstd[100..104].copy_from_slice(&0xfd2f_b528u32.to_le_bytes());
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0x4b, 0x4c, 0x4a, 0x06, 0x00], &[0; 40]].concat();
    let files = [(image, 64), (stub, 200), (elf, 0x40 + 2 * 56), (zboot, 64), (zstd, 130), (gzip, 20)];
    let (mut good, mut bad) = (0u32, 0u32);
    for i in 0..20_000u64 {
        let (file, head) = &files[(i % files.len() as u64) as usize];
        let bytes = mutate(&mut rng, file, *head);
        let ram = Ram { base: 0x4000_0000, size: [1u64 << 20, 2 << 20, 5 << 20, 16 << 20][rng.below(4) as usize] };
        let initrd = (!rng.one_in(3)).then(|| ("initrd", vec![0; rng.below(6 << 10) as usize]));
        match kernel_from("file", bytes).and_then(|k| plan(ram, k, initrd.map(|(name, data)| (name, data.into())))) {
            Ok(plan) => {
                good += 1;
                for (address, data) in &plan.writes {
                    let inside = *address >= ram.base && address - ram.base + data.len() <= ram.size;
                    assert!(inside, "case {i}: {} bytes at {address:#x} of {ram:x?}", data.len());
                }
                assert!(plan.dtb >= ram.base && plan.dtb + plan.dtb_max <= ram.base + ram.size, "case {i}: {:#x} of {ram:x?}", plan.dtb);
                // A damaged program may overlap itself; what the loader places overlaps nothing.
                let mut places: Vec<_> = plan.writes.iter().map(|(at, data)| (*at, at + data.len())).collect();
                let placed = [plan.initrd, Some((plan.dtb, plan.dtb + plan.dtb_max))];
                if plan.initrd.is_some() {
                    assert_eq!(places.pop(), plan.initrd, "case {i}");
                }
                for (n, new) in placed.into_iter().flatten().enumerate() {
                    let clear = places.iter().all(|old| old.1 <= new.0 || new.1 <= old.0 || old.0 == old.1 || new.0 == new.1);
                    assert!(clear, "case {i}: {n} {new:x?} in {places:x?}");
                    places.push(new);
                }
            }
            Err(e) => {
                bad += 1;
                assert!(!e.contains('\n') && e.len() < 500 && e.contains('\''), "case {i}: {e:?}");
            }
        }
    }
    println!("{good} accepted, {bad} refused");
    assert!(good > 100 && bad > 100, "{good} accepted, {bad} refused");
}

#[test]
fn device_trees() {
    let mut rng = Rng::announced("device_trees");
    let mut fdt = Fdt::default();
    fdt.root.cells("#address-cells", &[2]).cells("#size-cells", &[2]).text("compatible", "linux,dummy-virt");
    let mut cpus = Node::new("cpus");
    for i in 0..4 {
        let mut cpu = Node::new(format!("cpu@{i}"));
        cpu.text("device_type", "cpu").cells("reg", &[i]).flag("x");
        cpus.push(cpu);
    }
    fdt.root.push(cpus);
    fdt.root.child_mut("chosen").text("bootargs", "quiet");
    fdt.reserved.push((0x4000_0000, 0x1000));
    let dtb = fdt.emit();
    let (mut good, mut bad) = (0u32, 0u32);
    for i in 0..60_000u64 {
        match Fdt::parse(&mutate(&mut rng, &dtb, 40 + (i % 200) as usize)) {
            Ok(mut parsed) => {
                good += 1;
                parsed.set_memory(0x4000_0000, 1 << 30);
                let again = parsed.emit();
                assert_eq!(Fdt::parse(&again).as_ref(), Ok(&parsed), "case {i}");
                assert!(!parsed.to_text().is_empty());
            }
            Err(e) => {
                bad += 1;
                assert!(!e.is_empty() && !e.contains('\n'), "case {i}: {e:?}");
            }
        }
    }
    // Nodes without end, nested and in a row.
    for (token, count) in [(1u32, 100_000), (4, 100_000), (9, 3)] {
        let mut deep = dtb[..40].to_vec();
        deep[8..12].copy_from_slice(&56u32.to_be_bytes());
        deep[16..20].copy_from_slice(&40u32.to_be_bytes());
        deep.extend([0; 16]);
        for _ in 0..count {
            deep.extend(token.to_be_bytes());
            if token == 1 {
                deep.extend([b'a', 0, 0, 0]);
            }
        }
        let total = deep.len() as u32;
        deep[4..8].copy_from_slice(&total.to_be_bytes());
        assert!(Fdt::parse(&deep).is_err(), "token {token}");
    }
    println!("{good} accepted, {bad} refused");
    assert!(good > 100 && bad > 100, "{good} accepted, {bad} refused");
}
