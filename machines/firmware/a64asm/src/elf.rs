//! A minimal ELF64 writer: an AArch64 executable with loadable segments and nothing else.

/// One PT_LOAD segment; physical and virtual address are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Load address.
    pub address: u64,
    /// Contents.
    pub bytes: Vec<u8>,
    /// Size in memory; what goes beyond the contents is zero.
    pub mem_size: u64,
    /// PF_X (1), PF_W (2), PF_R (4).
    pub flags: u32,
}

const EHDR: usize = 64;
const PHDR: usize = 56;
const PAGE: usize = 4096;
const EM_AARCH64: u16 = 183;
const ET_EXEC: u16 = 2;
const PT_LOAD: u32 = 1;

/// An executable (ET_EXEC, EM_AARCH64) with that entry point. File offsets agree with addresses
/// modulo 4 KiB, so that user mode can map it too.
pub fn executable(entry: u64, segments: &[Segment]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&ET_EXEC.to_le_bytes());
    out.extend_from_slice(&EM_AARCH64.to_le_bytes());
    out.extend_from_slice(&1_u32.to_le_bytes());
    out.extend_from_slice(&entry.to_le_bytes());
    out.extend_from_slice(&(EHDR as u64).to_le_bytes());
    out.extend_from_slice(&0_u64.to_le_bytes());
    out.extend_from_slice(&0_u32.to_le_bytes());
    for half in [EHDR as u16, PHDR as u16, segments.len() as u16, 0, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }

    let mut end = EHDR + PHDR * segments.len();
    let mut offsets = Vec::new();
    for segment in segments {
        let wanted = segment.address as usize % PAGE;
        let offset = end + (wanted + PAGE - end % PAGE) % PAGE;
        offsets.push(offset);
        end = offset + segment.bytes.len();
        out.extend_from_slice(&PT_LOAD.to_le_bytes());
        out.extend_from_slice(&segment.flags.to_le_bytes());
        for quad in [
            offset as u64,
            segment.address,
            segment.address,
            segment.bytes.len() as u64,
            segment.mem_size.max(segment.bytes.len() as u64),
            PAGE as u64,
        ] {
            out.extend_from_slice(&quad.to_le_bytes());
        }
    }
    for (segment, offset) in segments.iter().zip(offsets) {
        out.resize(offset, 0);
        out.extend_from_slice(&segment.bytes);
    }
    out
}
