//! What `perf` is told of generated code: a symbol map (`EMU_PERF=map`), or a dump with the code's bytes (`EMU_PERF=jitdump`) for
//! `perf record -k mono; perf inject --jit`. The dump's format is that of Linux's `tools/perf/Documentation/jitdump-specification.txt`, version 1.

use rustix::mm::{MapFlags, ProtFlags};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Mutex, PoisonError};

/// `JiTD`.
const MAGIC: u32 = 0x4a69_5444;
/// `EM_X86_64`.
const MACHINE: u32 = 62;
/// Kind of a record with code.
const CODE_LOAD: u32 = 0;
/// Size of the file's header and of a code record without name and bytes.
const HEADER: u32 = 40;
const RECORD: u32 = 56;

enum Format {
    Map,
    Dump,
}

/// Where generated code is announced.
pub struct Perf {
    format: Format,
    out: Mutex<(BufWriter<File>, u64)>,
}

fn timestamp() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

impl Perf {
    /// As the environment asks; `None` if it does not. A file that cannot be made is a warning.
    pub fn from_env() -> Option<Perf> {
        let pid = std::process::id();
        let (format, path) = match std::env::var("EMU_PERF").ok()?.as_str() {
            "map" => (Format::Map, format!("/tmp/perf-{pid}.map")),
            "jitdump" => (Format::Dump, format!("/tmp/jit-{pid}.dump")),
            other => {
                log::warn!("EMU_PERF={other}: only map and jitdump are known");
                return None;
            }
        };
        let made = File::options().read(true).write(true).create(true).truncate(true).open(&path).and_then(|f| Perf::new(format, f));
        made.inspect_err(|e| log::warn!("perf will not know generated code: {path}: {e}")).ok()
    }

    fn new(format: Format, mut file: File) -> std::io::Result<Perf> {
        if matches!(format, Format::Dump) {
            for word in [MAGIC, 1, HEADER, MACHINE, 0, std::process::id()] {
                file.write_all(&word.to_le_bytes())?;
            }
            file.write_all(&timestamp().to_le_bytes())?;
            file.write_all(&0u64.to_le_bytes())?;
            // This mapping is how perf hears of the file; nobody uses it.
            // SAFETY: a fresh mapping at an address of the kernel's choice, only to be executed, that nothing jumps to.
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), 4096, ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE, &file, 0) }?;
        }
        Ok(Perf { format, out: Mutex::new((BufWriter::new(file), 0)) })
    }

    /// Code was put at `address` for the guest code at `pc`.
    pub fn announce(&self, pc: u64, address: usize, code: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, index) = &mut *out;
        let written = match self.format {
            Format::Map => writeln!(file, "{address:x} {:x} guest_{pc:x}", code.len()),
            Format::Dump => {
                let name = format!("guest_{pc:x}\0");
                let mut record = Vec::with_capacity(RECORD as usize + name.len() + code.len());
                for word in [CODE_LOAD, RECORD + (name.len() + code.len()) as u32] {
                    record.extend(word.to_le_bytes());
                }
                record.extend(timestamp().to_le_bytes());
                for word in [std::process::id(), rustix::thread::gettid().as_raw_nonzero().get() as u32] {
                    record.extend(word.to_le_bytes());
                }
                for word in [address as u64, address as u64, code.len() as u64, *index] {
                    record.extend(word.to_le_bytes());
                }
                record.extend(name.as_bytes());
                record.extend(code);
                *index += 1;
                file.write_all(&record)
            }
        };
        // The reader may come at any time.
        if let Err(e) = written.and_then(|()| file.flush()) {
            log::debug!("perf's file: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    /// A dump can be read back record by record.
    #[test]
    fn a_dump_is_what_the_format_says() {
        let path = std::env::temp_dir().join(format!("emu-jitdump-test-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let mut copy = file.try_clone().unwrap();
        let perf = Perf::new(Format::Dump, file).unwrap();
        perf.announce(0x1000, 0x7000, &[0x90; 5]);
        perf.announce(0x2000, 0x8000, &[0xc3]);
        let mut all = Vec::new();
        copy.rewind().unwrap();
        copy.read_to_end(&mut all).unwrap();
        std::fs::remove_file(&path).unwrap();
        let u32_at = |at: usize| u32::from_le_bytes(all[at..at + 4].try_into().unwrap());
        let u64_at = |at: usize| u64::from_le_bytes(all[at..at + 8].try_into().unwrap());
        assert_eq!([u32_at(0), u32_at(4), u32_at(8), u32_at(12)], [MAGIC, 1, HEADER, MACHINE]);
        let mut at = HEADER as usize;
        for (index, (address, code)) in [(0x7000u64, &[0x90u8; 5][..]), (0x8000, &[0xc3])].into_iter().enumerate() {
            assert_eq!(u32_at(at), CODE_LOAD);
            assert_eq!([u64_at(at + 24), u64_at(at + 40), u64_at(at + 48)], [address, code.len() as u64, index as u64]);
            let end = at + u32_at(at + 4) as usize;
            assert!(all[..end].ends_with(code) && all[at + RECORD as usize..].starts_with(b"guest_"));
            at = end;
        }
        assert_eq!(at, all.len());
    }
}
