//! The Linux `Image` of arm64 and riscv (Documentation/arch/arm64/booting and riscv/boot-image-header of the kernel), which have one header
//! but for its magic number, and what it comes packed in: gzip, EFI zboot.

use crate::boot::Format;
use crate::content::Content;
use std::io::Read;

/// Offset of the magic number in an Image.
const MAGIC_AT: usize = 56;
/// Length of the Image header.
const HEADER: usize = 64;
/// Where kernels before 3.17 are loaded, which leave `image_size` zero.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;
/// Largest kernel that is unpacked.
const UNPACKED_MAX: u64 = 1 << 30;

/// An Image, unpacked.
#[derive(Debug)]
pub(crate) struct Image {
    pub data: Content,
    pub text_offset: u64,
    /// Memory that the kernel takes, its zeroed data included.
    pub memory: u64,
}

fn le(b: &[u8], at: usize, n: usize) -> Option<u64> {
    Some(b.get(at..at.checked_add(n)?)?.iter().rev().fold(0, |v, x| v << 8 | u64::from(*x)))
}

/// Inflates gzip data. The error is the end of a sentence about the file.
fn gunzip(data: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    match flate2::read::GzDecoder::new(data).take(UNPACKED_MAX + 1).read_to_end(&mut out) {
        Ok(_) if out.len() as u64 > UNPACKED_MAX => Err(format!("unpacks to more than {} MiB", UNPACKED_MAX >> 20)),
        Ok(_) => Ok(out),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err("is a truncated gzip file; copy or download it again".into()),
        Err(e) => Err(format!("is a damaged gzip file ({e}); copy or download it again")),
    }
}

fn unzstd(data: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let damaged = |e: String| format!("has a damaged zstd payload ({e}); copy or download it again");
    let decoder = ruzstd::decoding::StreamingDecoder::new(data).map_err(|e| damaged(e.to_string()))?;
    match decoder.take(UNPACKED_MAX + 1).read_to_end(&mut out) {
        Ok(_) if out.len() as u64 > UNPACKED_MAX => Err(format!("unpacks to more than {} MiB", UNPACKED_MAX >> 20)),
        Ok(_) => Ok(out),
        Err(e) => Err(damaged(e.to_string())),
    }
}

/// The payload of an EFI zboot image: "MZ", "zimg", offset and size of the payload, the name of its compression.
fn zboot(data: &[u8]) -> Option<Result<Vec<u8>, String>> {
    if data.get(..2)? != b"MZ" || data.get(4..8)? != b"zimg" {
        return None;
    }
    let (offset, size) = (le(data, 8, 4)? as usize, le(data, 12, 4)? as usize);
    let Some(payload) = offset.checked_add(size).and_then(|end| data.get(offset..end)) else {
        return Some(Err(format!("is truncated: its payload ends at byte {}, the file at {}; copy or download it again", offset + size, data.len())));
    };
    let kind = data.get(24..56)?;
    let kind = String::from_utf8_lossy(&kind[..kind.iter().position(|b| *b == 0).unwrap_or(kind.len())]).into_owned();
    Some(match kind.as_str() {
        "gzip" => gunzip(payload),
        // The kernel's build also writes the level ("zstd22").
        k if k.starts_with("zstd") => unzstd(payload),
        k => Err(format!(
            "is an EFI zboot image compressed with {}, which is not supported; use one compressed with gzip or zstd, or a plain Image",
            k.escape_debug()
        )),
    })
}

/// File length that the sections of a PE image need, if this is one: an Image with an EFI stub says so, others do not.
fn pe_length(data: &[u8]) -> Option<u64> {
    let pe = le(data, 0x3c, 4)? as usize;
    if data.get(..2)? != b"MZ" || data.get(pe..pe.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let sections = le(data, pe + 6, 2)?;
    let first = pe + 24 + le(data, pe + 20, 2)? as usize;
    (0..sections as usize).map(|i| Some(le(data, first + 40 * i + 16, 4)? + le(data, first + 40 * i + 20, 4)?)).max()?
}

fn is_gzip(data: &[u8]) -> bool {
    data.starts_with(&[0x1f, 0x8b])
}

fn is_packed(data: &[u8]) -> bool {
    is_gzip(data) || data.get(4..8) == Some(b"zimg")
}

/// True if the file is something that `unpack` would take.
pub(crate) fn is_image(format: &Format, data: &[u8]) -> bool {
    is_packed(data) || data.get(MAGIC_AT..HEADER - 4) == Some(format.image_magic)
}

/// An Image out of a file: plain, gzip'ed or EFI zboot. `about` makes sentences about the file of their ends.
pub(crate) fn unpack(format: &Format, data: Content, about: impl Fn(String) -> String) -> Result<Image, String> {
    if !is_packed(data.head()) {
        return image(format, data).map_err(about);
    }
    let data = data.bytes()?;
    let data = if is_gzip(&data) { gunzip(&data).map_err(&about)? } else { data };
    let data = zboot(&data).unwrap_or(Ok(data)).map_err(&about)?;
    image(format, data.into()).map_err(about)
}

/// The same out of what is not packed. The error is the end of a sentence about the file.
fn image(format: &Format, content: Content) -> Result<Image, String> {
    let (data, len) = (content.head(), content.len());
    if data.get(MAGIC_AT..HEADER - 4) != Some(format.image_magic) {
        return Err(format!("is packed, but what is inside is no {} Image", format.image_name));
    }
    if data.len() < HEADER {
        return Err("is truncated: it ends inside its header; copy or download it again".into());
    }
    if let Some(length) = pe_length(data).filter(|l| *l > len) {
        return Err(format!("is truncated: its sections need {length} bytes, the file has {len}; copy or download it again"));
    }
    let (text_offset, size) = (le(data, 8, 8).unwrap_or(0), le(data, 16, 8).unwrap_or(0));
    let (text_offset, memory) = if size == 0 { (OLD_TEXT_OFFSET, len) } else { (text_offset, size) };
    if text_offset >= UNPACKED_MAX || memory >= 1 << 40 {
        return Err(format!("has a damaged header (text_offset {text_offset:#x}, image_size {memory:#x})"));
    }
    Ok(Image { data: content, text_offset, memory: memory.max(len) })
}
