//! Where everything lies in the guest, shared by the guest program and the host.
//!
//! The image may be loaded at any 2 MiB boundary of RAM (0x4000_0000 and up); the rest is at fixed
//! physical addresses mapped one to one, and the image is mapped once more at [`CODE`], read-only and
//! executable for EL0, so that what depends on the PC does not depend on the loader.
//!
//! The data window as EL0 sees it, by pages from [`WINDOW`]:
//!
//! | page | what |
//! |---|---|
//! | 0 | unmapped |
//! | 1, 2 | read and write, Normal write-back |
//! | 3 | read-only |
//! | 4, 5 | unmapped |
//! | 6 | read and write, Device-nGnRnE |
//! | 7 | unmapped |
//! | 8 | read and write, Normal Non-cacheable |
//! | 9 and up | unmapped |

/// Translation tables.
pub const TABLES: u64 = 0x5000_0000;
/// The saved state of the case that just ended; SP_EL1 points here while a case runs.
pub const SAVE: u64 = 0x5010_0000;
/// The runner's own variables: next record, remaining records, image base.
pub const CONTEXT: u64 = 0x5010_1000;
/// The data window.
pub const WINDOW: u64 = 0x5040_0000;
/// The address at which EL0 sees the image.
pub const CODE: u64 = 0x8000_0000;
/// How much of the image is mapped there.
pub const CODE_LEN: u64 = 64 << 20;

/// First byte of the writable pages.
pub const WRITABLE: u64 = WINDOW + 0x1000;
/// The boundary between the two writable pages.
pub const MIDDLE: u64 = WINDOW + 0x2000;
/// The read-only page.
pub const READ_ONLY: u64 = WINDOW + 0x3000;
/// The unmapped page behind the read-only one.
pub const UNMAPPED: u64 = WINDOW + 0x4000;
/// A place in the Device page.
pub const DEVICE: u64 = WINDOW + 0x6800;
/// A place in the Non-cacheable page.
pub const NON_CACHEABLE: u64 = WINDOW + 0x8800;

/// What is filled from the template before each case and compared after it: address and length, the
/// length a multiple of 128.
pub const REGIONS: [(u64, u64); 5] = [(WRITABLE, 256), (MIDDLE - 512, 1024), (READ_ONLY - 256, 256), (DEVICE - 64, 256), (NON_CACHEABLE - 64, 256)];

/// The length of a memory template.
pub const MEMORY_LEN: usize = 2048;

/// Offsets in a case record; X0 to X30 come first, then SP.
pub mod record {
    /// SP_EL0.
    pub const SP: u32 = 248;
    /// The address of the case's first instruction.
    pub const ELR: u32 = 256;
    /// PSTATE.
    pub const SPSR: u32 = 264;
    /// FPCR.
    pub const FPCR: u32 = 272;
    /// FPSR.
    pub const FPSR: u32 = 280;
    /// The image offset of the 32 vector registers.
    pub const V: u32 = 288;
    /// The image offset of the memory template.
    pub const MEMORY: u32 = 296;
    /// 1 to print the whole state.
    pub const VERBOSE: u32 = 304;
    /// The length of a record.
    pub const LEN: u32 = 320;
}

/// Offsets in the saved state; X0 to X30 come first, then SP.
pub mod state {
    /// SP_EL0.
    pub const SP: u32 = 248;
    /// ELR_EL1.
    pub const ELR: u32 = 256;
    /// SPSR_EL1.
    pub const SPSR: u32 = 264;
    /// ESR_EL1.
    pub const ESR: u32 = 272;
    /// FAR_EL1 where the exception sets it, else 0.
    pub const FAR: u32 = 280;
    /// FPCR.
    pub const FPCR: u32 = 288;
    /// FPSR.
    pub const FPSR: u32 = 296;
    /// V0 to V31.
    pub const V: u32 = 320;
    /// The length of the state.
    pub const LEN: u32 = 832;
}

/// The image offset of the parameters: image offset of the first record, number of records.
pub const PARAMETERS: usize = 0x1800;

/// The immediate of the SVC that ends a case.
pub const EXIT_SVC: u16 = 0x7fff;

/// How many identification registers the runner prints, 16 digits a line, before [`BEGIN`].
pub const ID_REGISTERS: u32 = 32;

/// What the runner prints before the first case.
pub const BEGIN: &str = "EMUDIFF 1";
/// What it prints after the last one.
pub const END: &str = "END";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_add_up() {
        assert_eq!(REGIONS.iter().map(|r| r.1).sum::<u64>() as usize, MEMORY_LEN);
        assert!(REGIONS.iter().all(|r| r.1 % 128 == 0 && r.0 % 16 == 0));
    }
}
