//! The kernel's own library as programs find it (AT_SYSINFO_EHDR): an ELF file of one page with the target's functions as symbols of a
//! version. C libraries look its functions up; unwinders know frames of signals by where handlers return to.

use emu_plugins_api::LinuxAbi;

const SONAME: &str = "linux-vdso.so.1";
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;

/// The image, and the offset in it of the first function.
pub struct Vdso {
    pub image: Vec<u8>,
    pub sigreturn: u64,
}

/// The hash of System V's symbol tables.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |h, c| {
        let h = (h << 4).wrapping_add(c.into());
        let top = h & 0xf000_0000;
        (h ^ top >> 24) & !top
    })
}

/// Bytes being put together.
#[derive(Default)]
struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }
    fn put16(&mut self, values: &[u16]) {
        values.iter().for_each(|v| self.put(&v.to_le_bytes()));
    }
    fn put32(&mut self, values: &[u32]) {
        values.iter().for_each(|v| self.put(&v.to_le_bytes()));
    }
    fn put64(&mut self, values: &[u64]) {
        values.iter().for_each(|v| self.put(&v.to_le_bytes()));
    }
    fn align(&mut self, to: usize) -> u64 {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self.0.len() as u64
    }
}

/// Puts it together.
pub fn make(abi: &LinuxAbi) -> Vdso {
    const HEADERS: usize = 64 + 2 * 56;
    let functions = abi.vdso.get();
    let version = abi.vdso_version.get();
    let mut strings = vec![0u8];
    let mut string = |s: &str| {
        let at = strings.len() as u32;
        strings.extend(s.bytes().chain([0]));
        at
    };
    let (soname, version_at) = (string(SONAME), string(version));
    let names: Vec<u32> = functions.iter().map(|f| string(f.name.get())).collect();
    let mut i = Image(vec![0; HEADERS]);
    let mut places = Vec::new();
    for f in functions {
        places.push((i.align(16), f.code.get().len() as u64));
        i.put(f.code.get());
    }
    // One bucket with all of them in a chain.
    let count = functions.len() as u32 + 1;
    let hash_at = i.align(8);
    i.put32(&[1, count, u32::from(count > 1)]);
    i.put32(&(0..count).map(|n| if n == 0 || n + 1 == count { 0 } else { n + 1 }).collect::<Vec<_>>());
    let symbols_at = i.align(8);
    i.put(&[0; 24]);
    for (name, (at, size)) in names.iter().zip(&places) {
        // A global function in the first section there would be.
        i.put32(&[*name]);
        i.put(&[0x12, 0, 1, 0]);
        i.put64(&[*at, *size]);
    }
    let versions_at = i.align(8);
    i.put16(&(0..count).map(|n| if n == 0 { 0 } else { 2 }).collect::<Vec<_>>());
    let definitions_at = i.align(8);
    for (flags, index, name, text, next) in [(1u16, 1u16, soname, SONAME, 28u32), (0, 2, version_at, version, 0)] {
        i.put16(&[1, flags, index, 1]);
        i.put32(&[hash(text), 20, next, name, 0]);
    }
    let strings_at = i.align(8);
    i.put(&strings);
    let dynamic_at = i.align(8);
    let dynamic: [[u64; 2]; 10] = [
        [14, soname.into()],
        [4, hash_at],
        [5, strings_at],
        [6, symbols_at],
        [10, strings.len() as u64],
        [11, 24],
        [0x6fff_fff0, versions_at],
        [0x6fff_fffc, definitions_at],
        [0x6fff_fffd, 2],
        [0, 0],
    ];
    dynamic.iter().for_each(|d| i.put64(d));
    let end = i.0.len() as u64;
    let mut head = Image::default();
    head.put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    head.put16(&[3, abi.elf_machine as u16]);
    head.put32(&[1]);
    head.put64(&[places.first().map_or(0, |p| p.0), 64, 0]);
    head.put32(&[0]);
    head.put16(&[64, 56, 2, 64, 0, 0]);
    head.put32(&[PT_LOAD, 5]);
    head.put64(&[0, 0, 0, end, end, 4096]);
    head.put32(&[PT_DYNAMIC, 4]);
    let size = size_of_val(&dynamic) as u64;
    head.put64(&[dynamic_at, dynamic_at, dynamic_at, size, size, 8]);
    i.0[..HEADERS].copy_from_slice(&head.0);
    Vdso { image: i.0, sigreturn: places.first().map_or(0, |p| p.0) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_system_vs() {
        assert_eq!(super::hash("LINUX_2.6.39"), 0x075f_cb89);
        assert_eq!(super::hash("printf"), 0x0779_05a6);
    }
}
