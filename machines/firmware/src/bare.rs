//! Programs that run on a bare board: ELF files and plain bytes, put where they say or where the board puts them, and started there.

use crate::boot::{Format, Ram, megabytes};
use crate::elf;

/// A program in the form in which it will be loaded.
#[derive(Debug, PartialEq, Eq)]
pub struct Bare {
    /// Physical address and content.
    pub writes: Vec<(u64, Vec<u8>)>,
    /// First instruction.
    pub entry: u64,
}

/// Places a program of an architecture: an ELF file where it is linked, other bytes at `at`, where they start. `path` is for messages. The
/// error is one sentence.
pub fn place(format: &Format, ram: Ram, at: u64, path: &str, data: Vec<u8>) -> Result<Bare, String> {
    let fits = |address: u64, memory: u64| {
        if ram.contains(address, memory) {
            return Ok(());
        }
        let last = address.saturating_add(memory.saturating_sub(1));
        Err(format!(
            "'{path}' takes {address:#x} to {last:#x}, which is outside RAM ({} at {:#x}); link it to run there, or give more",
            megabytes(ram.size),
            ram.base
        ))
    };
    if data.is_empty() {
        return Err(format!("'{path}' is empty; copy or download it again"));
    }
    if !data.starts_with(b"\x7fELF") {
        fits(at, data.len() as u64)?;
        return Ok(Bare { writes: vec![(at, data)], entry: at });
    }
    let program = elf::parse(format, &data).map_err(|e| format!("'{path}' {e}"))?;
    let mut writes = Vec::new();
    for mut s in program.segments {
        fits(s.address, s.memory)?;
        // RAM is not always fresh: after a reset the zeroed part must be zeroed again.
        s.data.resize(s.memory as usize, 0);
        writes.push((s.address, s.data));
    }
    Ok(Bare { writes, entry: program.entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::{AARCH64, RISCV64};

    const RAM: Ram = Ram { base: 0x8000_0000, size: 4 << 20 };

    #[test]
    fn bytes_and_files() {
        let raw = place(&AARCH64, RAM, 0x8010_0000, "a", vec![1, 2]).unwrap();
        assert_eq!(raw, Bare { writes: vec![(0x8010_0000, vec![1, 2])], entry: 0x8010_0000 });
        let segment = |address| emu_a64_asm::elf::Segment { address, bytes: vec![7], mem_size: 3, flags: 5 };
        let file = emu_a64_asm::elf::executable(0x8000_0004, &[segment(0x8000_0000)]);
        assert_eq!(place(&AARCH64, RAM, 0, "a", file.clone()).unwrap(), Bare { writes: vec![(0x8000_0000, vec![7, 0, 0])], entry: 0x8000_0004 });
        assert!(place(&RISCV64, RAM, 0, "a", file).unwrap_err().contains("AArch64"));
        for (data, want) in [(vec![], "is empty"), (vec![0; 5 << 20], "outside RAM"), (emu_a64_asm::elf::executable(0, &[segment(0)]), "outside RAM")]
        {
            assert!(place(&AARCH64, RAM, RAM.base, "a", data).unwrap_err().contains(want), "{want}");
        }
    }
}
