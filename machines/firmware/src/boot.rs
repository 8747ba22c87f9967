//! Loading kernels: what a file is, and where it, the initial RAM disk and the device tree go.
//!
//! The layout is QEMU's, which boot tests, debuggers and people know: an Image `text_offset` above a 2 MiB boundary, but never in the first
//! 4 KiB; the initial RAM disk half way into RAM or 128 MiB up; the device tree 2 MiB aligned behind it. When RAM is too small for that,
//! things move down before loading is refused. Every error is one sentence that names the file and what to do.

use crate::content::Content;
use crate::elf::{self, Program};
use crate::fdt::{self, Fdt};
use crate::image::{self, Image};
use crate::images::Images;
use emu_plugins_api::Host;

const MIB: u64 = 1 << 20;
/// Alignment of kernels and device trees, and the largest device tree (booting document of the kernel).
const BLOCK: u64 = 2 * MIB;
/// The first page of RAM stays free.
const RESERVED: u64 = 4096;
/// The initial RAM disk is at most so far into RAM.
const INITRD_UP: u64 = 128 * MIB;
const PAGE: u64 = 4096;
/// A bare-metal program that leaves so much free at the start of RAM finds its device tree there.
const IN_FRONT: u64 = MIB;

/// What an architecture's kernels are.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// e_machine.
    pub elf_machine: u16,
    /// The architecture as people call it.
    pub elf_name: &'static str,
    /// The same as compilers do.
    pub built_for: &'static str,
    /// Magic number of an Image.
    pub image_magic: &'static [u8],
    /// The architecture as kernels call it.
    pub image_name: &'static str,
}

/// AArch64.
pub const AARCH64: Format = Format { elf_machine: 183, elf_name: "AArch64", built_for: "aarch64", image_magic: b"ARM\x64", image_name: "arm64" };
/// RISC-V, 64 bits.
pub const RISCV64: Format = Format { elf_machine: 243, elf_name: "RISC-V", built_for: "riscv64", image_magic: b"RSC\x05", image_name: "riscv" };

/// RAM that things are loaded into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ram {
    /// First address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
}

impl Ram {
    pub(crate) fn end(&self) -> u64 {
        self.base + self.size
    }
    pub(crate) fn contains(&self, address: u64, len: u64) -> bool {
        address >= self.base && address - self.base <= self.size && len <= self.size - (address - self.base)
    }
}

/// A kernel in the form in which it will be loaded.
#[derive(Debug)]
pub struct Kernel {
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Image(Image),
    Elf(Program),
}

/// What to write where, and how to start.
#[derive(Debug)]
pub struct Plan {
    /// Physical address and content.
    pub writes: Vec<(u64, Content)>,
    /// First instruction.
    pub entry: u64,
    /// Where the device tree goes.
    pub dtb: u64,
    /// How large it may be.
    pub dtb_max: u64,
    /// The initial RAM disk: first address and the one behind the last.
    pub initrd: Option<(u64, u64)>,
}

/// Reads a file that an option names. The error names file and option.
pub fn read_file(path: &str, option: &str) -> Result<Vec<u8>, String> {
    Content::open(path, option)?.bytes()
}

/// Reads a kernel: an arm64 Image, plain, gzip'ed or EFI zboot, or an ELF file of AArch64.
pub fn read_kernel(path: &str) -> Result<Kernel, String> {
    kernel_of(&AARCH64, path, Content::open(path, "-kernel")?)
}

/// The same from bytes; `path` is for messages.
pub fn kernel_from(path: &str, data: Vec<u8>) -> Result<Kernel, String> {
    kernel_of(&AARCH64, path, data.into())
}

/// A kernel of any architecture.
pub fn kernel_of(format: &Format, path: &str, data: Content) -> Result<Kernel, String> {
    let about = |e: String| format!("kernel '{path}' {e}");
    let kind = if data.is_empty() {
        return Err(about("is empty; copy or download it again".into()));
    } else if data.head().starts_with(b"\x7fELF") {
        Kind::Elf(elf::parse(format, &data.bytes()?).map_err(about)?)
    } else if image::is_image(format, data.head()) {
        Kind::Image(image::unpack(format, data, about)?)
    } else {
        let hint = if data.len() < 64 { " or a truncated one" } else { "" };
        return Err(about(format!(
            "is no kernel{hint}: expected an {} Image (plain, gzip'ed or EFI zboot) or an {} ELF file; firmware goes after -bios",
            format.image_name, format.elf_name
        )));
    };
    Ok(Kernel { path: path.into(), kind })
}

/// The device tree of a boot: the user's, for RAM of this size, or the board's own (`own`), with command line, initial RAM disk and, of a
/// source of randomness, seeds.
pub fn device_tree(
    images: &Images,
    ram: Ram,
    initrd: Option<(u64, u64)>,
    random: Option<&Host>,
    own: impl FnOnce() -> Fdt,
) -> Result<Vec<u8>, String> {
    let mut fdt = match images.get("dtb") {
        Some(path) => {
            let bytes = read_file(path, "-dtb")?;
            let mut fdt = Fdt::parse(&bytes).map_err(|e| format!("device tree '{path}' cannot be used: {e}; compile it again with dtc"))?;
            fdt.set_memory(ram.base, ram.size);
            fdt
        }
        None => own(),
    };
    let seeds = random.map(|host| {
        let mut rng = [0; 32];
        rng.chunks_mut(8).for_each(|c| c.copy_from_slice(&host.random().to_le_bytes()));
        (host.random(), rng)
    });
    let bootargs = images.get("append").map(str::to_owned);
    fdt::choose(&mut fdt, &fdt::Chosen { bootargs, initrd, seeds });
    Ok(fdt.emit())
}

pub(crate) fn up(v: u64, to: u64) -> u64 {
    v.next_multiple_of(to)
}

/// A size as `-m` takes it, rounded up to whole MiB.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("-m {}M", bytes.div_ceil(MIB))
}

/// Places kernel, initial RAM disk and device tree in RAM. `initrd` is its path, for messages, and its content.
pub fn plan(ram: Ram, kernel: Kernel, initrd: Option<(&str, Content)>) -> Result<Plan, String> {
    let path = kernel.path;
    let have = megabytes(ram.size);
    let elf = matches!(kernel.kind, Kind::Elf(_));
    let (mut writes, entry, low, end) = match kernel.kind {
        Kind::Image(image) => {
            let mut offset = image.text_offset;
            if offset < RESERVED {
                offset += BLOCK;
            }
            let (start, end) = (ram.base + offset, ram.base + offset + image.memory);
            if end + BLOCK > ram.end() {
                let needed = megabytes(up(end, BLOCK) + BLOCK - ram.base);
                return Err(format!(
                    "kernel '{path}' does not fit into RAM ({have}): it takes {} MiB; give at least {needed}",
                    image.memory.div_ceil(MIB)
                ));
            }
            (vec![(start, image.data)], start, start, end)
        }
        Kind::Elf(program) => {
            for s in &program.segments {
                if !ram.contains(s.address, s.memory) {
                    let last = s.address.saturating_add(s.memory - 1);
                    let fix = if s.address >= ram.base && last < 1 << 48 {
                        format!("give at least {}", megabytes(up(last - ram.base + 1, BLOCK)))
                    } else {
                        format!("link it to run from {:#x} or above", ram.base)
                    };
                    return Err(format!(
                        "kernel '{path}' has a segment at {:#x} to {last:#x} that is outside RAM ({have} at {:#x}); {fix}",
                        s.address, ram.base
                    ));
                }
            }
            let low = program.segments.iter().map(|s| s.address).min().unwrap_or(ram.base);
            let end = program.segments.iter().map(|s| s.address + s.memory).max().unwrap_or(ram.base);
            let mut writes = Vec::new();
            for mut s in program.segments {
                // RAM is not always fresh: after a reset the zeroed part must be zeroed again.
                s.data.resize(s.memory as usize, 0);
                writes.push((s.address, s.data.into()));
            }
            (writes, program.entry, low, end)
        }
    };
    let preferred = up((ram.base + (ram.size / 2).min(INITRD_UP)).max(end), PAGE);
    // The last place for a device tree.
    let last = (ram.end() & !(BLOCK - 1)).saturating_sub(BLOCK);
    let in_front = elf && low >= ram.base + IN_FRONT;
    let behind = if in_front { ram.end() } else { last };
    let initrd = match initrd {
        None => None,
        Some((initrd_path, data)) => {
            let size = data.len();
            let start = preferred.min(behind.saturating_sub(size) & !(PAGE - 1));
            if size > ram.size || start < end {
                let needed = megabytes(up(up(end, PAGE) + size, BLOCK) + BLOCK - ram.base);
                return Err(format!(
                    "initrd '{initrd_path}' ({} MiB) does not fit into RAM ({have}) beside the kernel; give at least {needed}",
                    size.div_ceil(MIB)
                ));
            }
            writes.push((start, data));
            Some((start, start + size))
        }
    };
    if in_front {
        return Ok(Plan { writes, entry, dtb: ram.base, dtb_max: (low - ram.base).min(BLOCK), initrd });
    }
    let dtb = up(initrd.map_or(preferred.min(last).max(end), |(_, e)| e), BLOCK);
    if !ram.contains(dtb, BLOCK) {
        let needed = megabytes(dtb + BLOCK - ram.base);
        return Err(format!("kernel '{path}' leaves no room for the device tree in RAM ({have}); give at least {needed}"));
    }
    Ok(Plan { writes, entry, dtb, dtb_max: BLOCK, initrd })
}

#[cfg(test)]
mod tests;
