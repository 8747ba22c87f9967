//! Starting RISC-V boards: firmware in machine mode at the start of RAM, what it starts behind it, and the reset code that hands both over
//! (the RISC-V boot protocol: hart number in a0, device tree in a1, for OpenSBI's dynamic firmware a structure in a2).
//!
//! The layout is QEMU's, which boot tests and people know: what comes next at a 2 MiB boundary behind the firmware, the device tree 2 MiB
//! aligned at the end of RAM or 3 GiB, the initial RAM disk half way into RAM or 128 MiB up.

use crate::boot::{Kernel, Kind, RISCV64, Ram, kernel_of, megabytes, up};
use crate::content::Content;

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 2 * MIB;
const PAGE: u64 = 4096;
/// The device tree lies below this address, which 32-bit software can reach.
const TREE_BELOW: u64 = 3 << 30;
/// The initial RAM disk is at most so far into RAM.
const INITRD_UP: u64 = 128 * MIB;

/// A thing to load: an Image, an ELF file, or bytes that go where there is room.
#[derive(Debug)]
pub enum Program {
    /// An Image or ELF file.
    Known(Kernel),
    /// Bytes, with the path for messages.
    Raw(String, Content),
}

/// Reads what an option names.
pub fn read(path: &str, option: &str) -> Result<Program, String> {
    of(path, Content::open(path, option)?)
}

/// The same from bytes; `path` is for messages.
pub fn program(path: &str, data: Vec<u8>) -> Result<Program, String> {
    of(path, data.into())
}

fn of(path: &str, data: Content) -> Result<Program, String> {
    if data.is_empty() {
        return Err(format!("'{path}' is empty; copy or download it again"));
    }
    let known = data.head().starts_with(b"\x7fELF") || crate::image::is_image(&RISCV64, data.head());
    if known { kernel_of(&RISCV64, path, data).map(Program::Known) } else { Ok(Program::Raw(path.into(), data)) }
}

/// What to write where, and how to start.
#[derive(Debug)]
pub struct Plan {
    /// Physical address and content.
    pub writes: Vec<(u64, Content)>,
    /// Where harts go from the reset code.
    pub entry: u64,
    /// What firmware starts; 0 if there is nothing.
    pub next: u64,
    /// Where the device tree goes.
    pub dtb: u64,
    /// How large it may be.
    pub dtb_max: u64,
    /// The initial RAM disk: first address and the one behind the last.
    pub initrd: Option<(u64, u64)>,
}

/// Pieces of memory that a program takes, in the form of `Plan::writes`; its entry and its end.
fn place(ram: Ram, program: Program, at: u64) -> Result<(Vec<(u64, Content)>, u64, u64), String> {
    let have = megabytes(ram.size);
    let fits = |path: &str, address: u64, memory: u64| {
        if ram.contains(address, memory) {
            return Ok(());
        }
        let last = address.saturating_add(memory.saturating_sub(1));
        let fix = if address >= ram.base && last < 1 << 48 {
            format!("give at least {}", megabytes(up(last - ram.base + 1, BLOCK)))
        } else {
            format!("link it to run from {:#x} or above", ram.base)
        };
        Err(format!("'{path}' takes {address:#x} to {last:#x}, which is outside RAM ({have} at {:#x}); {fix}", ram.base))
    };
    match program {
        Program::Raw(path, data) => {
            let (len, end) = (data.len(), at + data.len());
            fits(&path, at, len)?;
            Ok((vec![(at, data)], at, end))
        }
        Program::Known(kernel) => match kernel.kind {
            Kind::Image(image) => {
                let start = at.max(ram.base + image.text_offset);
                fits(&kernel.path, start, image.memory)?;
                Ok((vec![(start, image.data)], start, start + image.memory))
            }
            Kind::Elf(program) => {
                let mut writes = Vec::new();
                let mut end = ram.base;
                for mut s in program.segments {
                    fits(&kernel.path, s.address, s.memory)?;
                    end = end.max(s.address + s.memory);
                    // RAM is not always fresh: after a reset the zeroed part must be zeroed again.
                    s.data.resize(s.memory as usize, 0);
                    writes.push((s.address, s.data.into()));
                }
                Ok((writes, program.entry, end))
            }
        },
    }
}

/// Places firmware (without it the kernel runs in machine mode), kernel, initial RAM disk and device tree. `initrd` is its path, for
/// messages, and its content.
pub fn plan(ram: Ram, firmware: Option<Program>, kernel: Option<Program>, initrd: Option<(&str, Content)>) -> Result<Plan, String> {
    let have = megabytes(ram.size);
    let mut writes = Vec::new();
    let (mut entry, mut end) = (ram.base, ram.base);
    let has_firmware = firmware.is_some();
    if let Some(firmware) = firmware {
        let (more, first, last) = place(ram, firmware, ram.base)?;
        writes.extend(more);
        (entry, end) = (first, last);
    }
    let mut next = 0;
    if let Some(kernel) = kernel {
        let at = if has_firmware { up(end, BLOCK) } else { ram.base };
        let (more, first, last) = place(ram, kernel, at)?;
        writes.extend(more);
        (next, end) = (first, end.max(last));
        if !has_firmware {
            entry = first;
        }
    }
    let top = ram.end().min(TREE_BELOW.max(ram.base + BLOCK)) & !(BLOCK - 1);
    let dtb = top.saturating_sub(BLOCK);
    if dtb < end {
        return Err(format!("there is no room for the device tree in RAM ({have}); give at least {}", megabytes(up(end, BLOCK) + BLOCK - ram.base)));
    }
    let initrd = match initrd {
        None => None,
        Some((path, data)) => {
            let size = data.len();
            let preferred = up((ram.base + (ram.size / 2).min(INITRD_UP)).max(end), PAGE);
            let start = preferred.min(dtb.saturating_sub(size) & !(PAGE - 1));
            if start < end || size > ram.size {
                let needed = megabytes(up(up(end, PAGE) + size, BLOCK) + BLOCK - ram.base);
                return Err(format!(
                    "initrd '{path}' ({} MiB) does not fit into RAM ({have}) beside the kernel; give at least {needed}",
                    size.div_ceil(MIB)
                ));
            }
            writes.push((start, data));
            Some((start, start + size))
        }
    };
    Ok(Plan { writes, entry, next, dtb, dtb_max: BLOCK, initrd })
}

/// OpenSBI's structure for dynamic firmware ("fw_dynamic"): "OSBI", version, what comes next and in which mode, options, boot hart.
const DYNAMIC_MAGIC: u64 = 0x4942_534f;
const DYNAMIC_VERSION: u64 = 2;
const NEXT_MODE_SUPERVISOR: u64 = 1;

/// The code and data at which harts begin, for a ROM at any address: it jumps to `entry` with the hart's number in a0, the device tree in a1
/// and the structure that names `next` in a2.
pub fn reset_code(entry: u64, dtb: u64, next: u64) -> Vec<u8> {
    const CODE: [u32; 6] = [
        0x0000_0297, // auipc t0, 0
        0x0282_8613, // addi a2, t0, 40
        0xf140_2573, // csrr a0, mhartid
        0x0202_b583, // ld a1, 32(t0)
        0x0182_b283, // ld t0, 24(t0)
        0x0002_8067, // jr t0
    ];
    let data = [entry, dtb, DYNAMIC_MAGIC, DYNAMIC_VERSION, next, NEXT_MODE_SUPERVISOR, 0, 0];
    CODE.iter().flat_map(|w| w.to_le_bytes()).chain(data.iter().flat_map(|w| w.to_le_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAM: Ram = Ram { base: 0x8000_0000, size: 256 << 20 };

    fn image(len: usize, memory: u64) -> Vec<u8> {
        let mut data = vec![0; len];
        data[8..16].copy_from_slice(&0x20_0000u64.to_le_bytes());
        data[16..24].copy_from_slice(&memory.to_le_bytes());
        data[56..60].copy_from_slice(b"RSC\x05");
        data
    }

    #[test]
    fn firmware_kernel_initrd() {
        let firmware = program("fw", vec![1; 0x4_0000]).unwrap();
        let kernel = program("k", image(0x10_0000, 0x80_0000)).unwrap();
        let p = plan(RAM, Some(firmware), Some(kernel), Some(("i", vec![7; 5 << 20].into()))).unwrap();
        assert_eq!((p.entry, p.next, p.dtb), (0x8000_0000, 0x8020_0000, 0x8fe0_0000));
        assert_eq!(p.initrd, Some((0x8800_0000, 0x8850_0000)));
        assert_eq!(p.writes.len(), 3);
        let raw = plan(RAM, Some(program("fw", vec![1; 0x30_0000]).unwrap()), Some(program("k", vec![1; 100]).unwrap()), None).unwrap();
        assert_eq!(raw.next, 0x8040_0000);
        let bare = plan(RAM, None, Some(program("k", vec![1; 100]).unwrap()), None).unwrap();
        assert_eq!((bare.entry, bare.next), (0x8000_0000, 0x8000_0000));
    }
    #[test]
    fn what_does_not_fit_is_a_sentence() {
        let small = Ram { base: 0x8000_0000, size: 4 << 20 };
        let kernel = || program("k", image(0x10_0000, 0x80_0000)).unwrap();
        let e = plan(small, None, Some(kernel()), None).unwrap_err();
        assert_eq!(e, "'k' takes 0x80200000 to 0x809fffff, which is outside RAM (-m 4M at 0x80000000); give at least -m 10M");
        let e = plan(Ram { size: 10 << 20, ..small }, None, Some(kernel()), None).unwrap_err();
        assert!(e.contains("no room for the device tree") && e.contains("-m 12M"), "{e}");
        let e = plan(Ram { size: 12 << 20, ..small }, None, Some(kernel()), Some(("i", vec![0; 1 << 20].into()))).unwrap_err();
        assert!(e.contains("initrd 'i'"), "{e}");
        assert!(program("k", vec![]).unwrap_err().contains("is empty"));
    }
    #[test]
    fn the_reset_code_finds_its_data() {
        let code = reset_code(0x1122_3344, 0x5566, 0x7788);
        assert_eq!(code.len(), 88);
        let word = |at: usize| u64::from_le_bytes(code[at..at + 8].try_into().unwrap());
        assert_eq!((word(24), word(32), word(40), word(56)), (0x1122_3344, 0x5566, DYNAMIC_MAGIC, 0x7788));
    }
}
