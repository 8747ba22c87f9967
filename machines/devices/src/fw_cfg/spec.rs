//! The firmware configuration device, MMIO form: windows, keys and the DMA descriptor (all multi-byte numbers of the interface are
//! big-endian; numbers inside the small items are little-endian).

/// Data: consecutive bytes of the selected item, by any width.
pub const DATA: u64 = 0x00;
/// Selector, 16 bits.
pub const SELECTOR: u64 = 0x08;
/// DMA address, 64 bits, or its high half.
pub const DMA: u64 = 0x10;
/// Low half of the DMA address; writing it starts the transfer.
pub const DMA_LOW: u64 = 0x14;
/// Size of the window.
pub const WINDOW: u64 = 0x18;

/// What the DMA register reads as: "QEMU CFG", the interface's own signature.
pub const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";
/// Content of [`key::SIGNATURE`].
pub const SIGNATURE: [u8; 4] = *b"QEMU";
/// Content of [`key::ID`]: traditional interface (bit 0) and DMA (bit 1).
pub const ID: u32 = 0x3;

/// Keys of items that are not files.
pub mod key {
    /// Signature.
    pub const SIGNATURE: u16 = 0x0000;
    /// Interface version.
    pub const ID: u16 = 0x0001;
    /// Number of CPUs (16 bits).
    pub const NB_CPUS: u16 = 0x0005;
    /// Size of the kernel (32 bits).
    pub const KERNEL_SIZE: u16 = 0x0008;
    /// Size of the initial RAM disk (32 bits).
    pub const INITRD_SIZE: u16 = 0x000b;
    /// Largest number of CPUs (16 bits).
    pub const MAX_CPUS: u16 = 0x000f;
    /// The kernel.
    pub const KERNEL_DATA: u16 = 0x0011;
    /// The initial RAM disk.
    pub const INITRD_DATA: u16 = 0x0012;
    /// Size of the command line with its zero byte (32 bits).
    pub const CMDLINE_SIZE: u16 = 0x0014;
    /// The command line.
    pub const CMDLINE_DATA: u16 = 0x0015;
    /// The directory of files.
    pub const FILE_DIR: u16 = 0x0019;
    /// Key of the first file.
    pub const FILE_FIRST: u16 = 0x0020;
}

/// Longest file name, without its zero byte.
pub const NAME_MAX: usize = 55;

/// Bits of the control word of a DMA descriptor (control: u32, length: u32, address: u64).
pub mod dma {
    /// The transfer failed (set by the device; all bits are clear after a good one).
    pub const ERROR: u32 = 1 << 0;
    /// From item to memory.
    pub const READ: u32 = 1 << 1;
    /// Move on in the item.
    pub const SKIP: u32 = 1 << 2;
    /// Select the item in bits 31 to 16 first.
    pub const SELECT: u32 = 1 << 3;
    /// From memory to item.
    pub const WRITE: u32 = 1 << 4;
    /// Length of the descriptor.
    pub const DESCRIPTOR: usize = 16;
}
