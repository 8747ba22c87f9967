//! Is a file a whole shared library? The loader maps what the program headers say and dies of SIGBUS on a file that is cut short, so that is
//! checked before it sees the file. (ELF-64 Object File Format, "ELF Header" and "Program Header Table".)

use std::io::{Read, Seek, SeekFrom};

const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const TYPE_DYN: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
/// `e_machine` of what can be loaded here: x86-64, which is the only host.
const MACHINE: u64 = 62;

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes.iter().skip(at).take(N).rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Says why a file cannot be loaded, if that can be seen from outside.
pub(crate) fn check(file: &mut (impl Read + Seek)) -> Result<(), &'static str> {
    const CUT: &str = "it is cut short";
    let mut header = Vec::new();
    let end = file.seek(SeekFrom::End(0)).map_err(|_| "it cannot be read")?;
    file.rewind().map_err(|_| "it cannot be read")?;
    file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(|_| "it cannot be read")?;
    // 64 bits, little-endian.
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is no ELF library");
    }
    if header.len() < HEADER_BYTES {
        return Err(CUT);
    }
    if number::<2>(&header, 16) != u64::from(TYPE_DYN) {
        return Err("it is an ELF file but no shared library");
    }
    if number::<2>(&header, 18) != MACHINE {
        return Err("it is built for another kind of CPU than this computer's");
    }
    let (table, size, count) = (number::<8>(&header, 32), number::<2>(&header, 54), number::<2>(&header, 56));
    if (size as usize) < PROGRAM_HEADER_BYTES {
        return Err("its program headers are not understood");
    }
    file.seek(SeekFrom::Start(table)).map_err(|_| CUT)?;
    let mut rows = Vec::new();
    file.take(size * count).read_to_end(&mut rows).map_err(|_| "it cannot be read")?;
    if rows.len() as u64 != size * count {
        return Err(CUT);
    }
    for row in rows.chunks_exact(size as usize).filter(|r| number::<4>(r, 0) == u64::from(SEGMENT_LOAD)) {
        // Offset in the file and size there.
        if number::<8>(row, 8).checked_add(number::<8>(row, 32)).is_none_or(|needed| needed > end) {
            return Err(CUT);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn every_cut_is_seen() {
        // This very test is a position-independent executable: the same kind of file.
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(check(&mut Cursor::new(&whole)), Ok(()));
        for len in [0, 3, 10, 63, 64, 200, 5000, whole.len() / 2] {
            assert!(check(&mut Cursor::new(&whole[..len])).is_err(), "{len} bytes");
        }
        let mut foreign = whole.clone();
        foreign[18] = 183;
        assert_eq!(check(&mut Cursor::new(&foreign)), Err("it is built for another kind of CPU than this computer's"));
        assert_eq!(check(&mut Cursor::new(b"this is a text")), Err("it is no ELF library"));
    }
}
