//! The arm64 Linux `Image` header (Documentation/arch/arm64/booting): 64 bytes in front of the code.

/// Size of the header.
pub const HEADER_LEN: usize = 64;

/// The header's magic, `ARM\x64`, at offset 56.
pub const MAGIC: [u8; 4] = *b"ARM\x64";

/// Wraps position-independent `code` as an `Image`. The loader places the result `text_offset` bytes
/// above a 2 MiB boundary and enters its first byte; the header's first word branches to the code,
/// which starts at offset [`HEADER_LEN`]. `bss` more bytes behind the image are the guest's to use.
///
/// Flags: little-endian, 4 KiB pages, placed anywhere in memory (bit 3).
pub fn wrap(code: &[u8], text_offset: u64, bss: u64) -> Vec<u8> {
    let mut image = Vec::with_capacity(HEADER_LEN + code.len());
    let image_size = (HEADER_LEN + code.len()) as u64 + bss;
    image.extend_from_slice(&(0x1400_0000_u32 | (HEADER_LEN as u32 / 4)).to_le_bytes());
    image.extend_from_slice(&0_u32.to_le_bytes());
    image.extend_from_slice(&text_offset.to_le_bytes());
    image.extend_from_slice(&image_size.to_le_bytes());
    image.extend_from_slice(&0b1010_u64.to_le_bytes());
    image.extend_from_slice(&[0; 24]);
    image.extend_from_slice(&MAGIC);
    image.extend_from_slice(&0_u32.to_le_bytes());
    image.extend_from_slice(code);
    image
}
