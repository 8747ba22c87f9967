//! Registers of the virtio MMIO transport (Virtual I/O Device specification 1.2, section 4.2.2).

/// MagicValue.
pub const MAGIC_VALUE: u64 = 0x000;
/// Version.
pub const VERSION: u64 = 0x004;
/// DeviceID; 0 is a slot with nothing in it.
pub const DEVICE_ID: u64 = 0x008;
/// VendorID.
pub const VENDOR_ID: u64 = 0x00c;
/// "virt".
pub const MAGIC: u32 = 0x7472_6976;
/// The version that is not legacy.
pub const VERSION_2: u32 = 2;
/// "emu" in little-endian letters.
pub const VENDOR: u32 = 0x0075_6d65;
/// Size of a slot's window.
pub const WINDOW: u64 = 0x200;
