//! ELF kernels and bare-metal programs: what is to be loaded where.

use crate::boot::Format;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf};

/// A piece of memory: where, what, and how long with its zeroed end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub address: u64,
    pub data: Vec<u8>,
    pub memory: u64,
}

/// A program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub entry: u64,
    pub segments: Vec<Segment>,
}

fn machine_name(machine: u16) -> String {
    match elf::Machine(machine) {
        elf::EM_386 => "32-bit x86".into(),
        elf::EM_X86_64 => "x86-64".into(),
        elf::EM_ARM => "32-bit Arm".into(),
        elf::EM_AARCH64 => "AArch64".into(),
        elf::EM_RISCV => "RISC-V".into(),
        elf::EM_PPC64 => "64-bit PowerPC".into(),
        elf::EM_S390 => "s390".into(),
        elf::EM_MIPS => "MIPS".into(),
        elf::Machine(m) => format!("machine number {m}"),
    }
}

/// The loadable segments of an ELF file of an architecture. The error is the end of a sentence about the file.
pub(crate) fn parse(format: &Format, data: &[u8]) -> Result<Program, String> {
    let machine = data.get(18..20).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
    let wrong = |name: String| format!("is an ELF file for {name}, not for {}; give one built for {}", format.elf_name, format.built_for);
    match data.get(4..6) {
        None => return Err("is truncated: it ends inside its ELF header; copy or download it again".into()),
        Some([_, 2]) => return Err("is a big-endian ELF file; give a little-endian one".into()),
        Some([2, 1]) if machine == format.elf_machine => (),
        Some([1, 1]) if machine == format.elf_machine => return Err(wrong(format!("32-bit {}", format.elf_name))),
        Some(_) => return Err(wrong(machine_name(machine))),
    }
    let truncated = |what: &str| format!("is truncated or damaged: {what}; copy or download it again");
    let header = elf::FileHeader64::<LittleEndian>::parse(data).map_err(|e| truncated(&e.to_string()))?;
    let endian = LittleEndian;
    let mut program = Program { entry: header.e_entry(endian), segments: Vec::new() };
    for p in header.program_headers(endian, data).map_err(|e| truncated(&e.to_string()))? {
        if p.p_type(endian) != elf::PT_LOAD || p.p_memsz(endian) == 0 {
            continue;
        }
        let bytes = p.data(endian, data).map_err(|()| truncated("a segment ends behind the file"))?;
        let memory = p.p_memsz(endian).max(bytes.len() as u64);
        program.segments.push(Segment { address: p.p_paddr(endian), data: bytes.to_vec(), memory });
    }
    if program.segments.is_empty() {
        return Err("is an ELF file with nothing to load; link it as an executable".into());
    }
    Ok(program)
}
