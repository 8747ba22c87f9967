//! The guest's address space: what is mapped where, and access to it.
//!
//! Areas are kept in a map by address; the host maps the same thing at the same place in the window, less the permission to execute. What is
//! not mapped is covered by the window's reservation, so a hole in the guest is never a place that somebody else on the host could get.

use crate::Kernel;
use emu_plugins_api::{Host, LinuxAbi, UserMemory, page};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Mutex, MutexGuard};

pub const PAGE: u64 = 4096;
const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const ENOMEM: i64 = -(libc::ENOMEM as i64);
/// The lowest address that a guest may map (vm.mmap_min_addr).
const LOWEST: u64 = 0x1_0000;
const MREMAP_DONTUNMAP: u64 = 4;
/// PROT_BTI, where there is such a thing.
pub const PROT_GUARDED: u64 = 0x10;

/// An area.
#[derive(Clone, Debug)]
pub struct Area {
    pub end: u64,
    /// PROT_ bits.
    pub prot: u32,
    pub shared: bool,
    /// Offset in the file of the area's start, and the file's name; of anonymous memory a name like "[heap]", or none.
    pub offset: u64,
    pub name: Option<std::sync::Arc<str>>,
}

/// What is mapped.
#[derive(Default)]
pub struct Map {
    pub areas: BTreeMap<u64, Area>,
    /// Where the last search ended.
    hint: u64,
    /// Searches go below this address: the stack's end, less the gap that Linux keeps there, so that an overflow is a fault. 0: anywhere.
    pub below: u64,
    /// The heap.
    pub brk_start: u64,
    pub brk: u64,
}

/// The address space.
pub struct Space {
    pub host: Host,
    pub memory: UserMemory,
    map: Mutex<Map>,
    /// Below this address new mappings go.
    pub top: u64,
    /// [`LinuxAbi`]'s flags.
    flags: u32,
}

// SAFETY: the page map behind the pointer is atomics that live as long as the process.
unsafe impl Send for Space {}
// SAFETY: as above.
unsafe impl Sync for Space {}

pub fn round_up(v: u64) -> u64 {
    v.saturating_add(PAGE - 1) & !(PAGE - 1)
}

fn host_prot(prot: u64) -> u64 {
    let any = prot & 7 != 0;
    u64::from(any) * libc::PROT_READ as u64 | prot & libc::PROT_WRITE as u64
}

fn bits(prot: u64, can_be_guarded: bool) -> u8 {
    let bit = |p: i32, b: u8| if prot & p as u64 != 0 { b } else { 0 };
    let guarded = if can_be_guarded && prot & PROT_GUARDED != 0 { page::GUARDED } else { 0 };
    page::MAPPED | bit(libc::PROT_READ, page::READ) | bit(libc::PROT_WRITE, page::WRITE) | bit(libc::PROT_EXEC, page::EXEC) | guarded
}

impl Map {
    /// Takes the range out of the map, cutting what reaches over its ends.
    fn cut(&mut self, start: u64, end: u64) -> Vec<(u64, Area)> {
        let mut out = Vec::new();
        let first = self.areas.range(..start).next_back().map(|(a, _)| *a);
        let touched: Vec<u64> = first.into_iter().chain(self.areas.range(start..end).map(|(a, _)| *a)).collect();
        for at in touched {
            if self.areas.get(&at).is_none_or(|a| a.end <= start) {
                continue;
            }
            let Some(area) = self.areas.remove(&at) else { continue };
            if at < start {
                self.areas.insert(at, Area { end: start, ..area.clone() });
            }
            if area.end > end {
                self.areas.insert(end, Area { offset: area.offset + (end - at), ..area.clone() });
            }
            let (from, to) = (at.max(start), area.end.min(end));
            out.push((from, Area { end: to, offset: area.offset + (from - at), ..area }));
        }
        out
    }
    /// True if nothing is mapped in the range.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.areas.range(..end).next_back().is_none_or(|(_, a)| a.end <= start)
    }
    /// True if all of the range is mapped.
    fn is_mapped(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.areas.range(..=at).next_back() {
                Some((_, a)) if a.end > at => at = a.end,
                _ => return false,
            }
        }
        true
    }
    /// The highest free range of this size below `top`.
    fn find(&mut self, len: u64, top: u64) -> Option<u64> {
        let top = if self.below == 0 { top } else { top.min(self.below) };
        let search = |from: u64| {
            let mut end = from;
            for (start, area) in self.areas.range(..from).rev() {
                if area.end <= end && end - area.end >= len {
                    return Some(end - len);
                }
                end = end.min(*start);
            }
            end.checked_sub(len).filter(|s| *s >= LOWEST)
        };
        let from = if self.hint == 0 { top } else { self.hint.min(top) };
        let found = search(from).or_else(|| search(top))?;
        self.hint = found;
        Some(found)
    }
    fn add(&mut self, start: u64, area: Area) {
        // Neighbours of a kind are one, so that programs that map page by page do not make the map long.
        if let Some((before, a)) = self.areas.range(..start).next_back().map(|(s, a)| (*s, a.clone())) {
            let follows = a.name.is_none() || (a.name == area.name && a.offset + (a.end - before) == area.offset);
            if a.end == start && a.prot == area.prot && a.shared == area.shared && a.name == area.name && follows && !a.shared {
                self.areas.insert(before, Area { end: area.end, ..a });
                return;
            }
        }
        self.areas.insert(start, area);
    }
}

impl Space {
    pub fn new(host: Host, memory: UserMemory, flags: u32) -> Space {
        Space { host, memory, map: Mutex::default(), top: memory.size - 64 * PAGE, flags }
    }
    /// The map, locked.
    pub fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Whether addresses have tags.
    pub fn is_tagged(&self) -> bool {
        self.flags & LinuxAbi::TAGGED != 0
    }
    /// Whether branch targets can be guarded.
    pub fn is_guarded(&self) -> bool {
        self.flags & LinuxAbi::GUARDED != 0
    }
    /// Address without its tag.
    pub fn untagged(&self, va: u64) -> u64 {
        if self.is_tagged() { va << 8 >> 8 } else { va }
    }
    /// Host address of a guest address; of the guard behind the window if it is none.
    #[inline]
    pub fn host(&self, va: u64) -> u64 {
        self.memory.base + self.untagged(va).min(self.memory.size)
    }
    /// Host address of something that the host's kernel reads; a null pointer stays one.
    #[inline]
    pub fn input(&self, va: u64) -> u64 {
        if va == 0 { 0 } else { self.host(va) }
    }
    /// Host address of something that it writes.
    #[inline]
    pub fn output(&self, va: u64, len: u64) -> u64 {
        if va == 0 {
            return 0;
        }
        let first = self.untagged(va);
        let last = first.saturating_add(len.clamp(1, 1 << 30) - 1);
        if last < self.memory.size {
            // SAFETY: there is a byte for each page of the window.
            let code = |p: u64| unsafe { self.memory.pages.add(p as usize).read_volatile() } & page::CODE != 0;
            if (first / PAGE..=last / PAGE).any(code) {
                self.host.user_writes(first, last - first + 1);
            }
        }
        self.host(va)
    }
    /// Reads guest memory.
    pub fn read(&self, va: u64, out: &mut [u8]) -> Result<(), i64> {
        // SAFETY: `out` is writable; the other side answers for itself.
        match unsafe { self.host.user_copy(out.as_mut_ptr(), self.host(va) as *const u8, out.len()) } {
            0 => Ok(()),
            _ => Err(EFAULT),
        }
    }
    /// Writes guest memory.
    pub fn write(&self, va: u64, data: &[u8]) -> Result<(), i64> {
        let to = self.output(va, data.len() as u64);
        if to == 0 {
            return if data.is_empty() { Ok(()) } else { Err(EFAULT) };
        }
        // SAFETY: guest memory is the guest's; what cannot be written answers for itself.
        match unsafe { self.host.user_copy(to as *mut u8, data.as_ptr(), data.len()) } {
            0 => Ok(()),
            _ => Err(EFAULT),
        }
    }
    /// Reads plain data: integers and arrays of them.
    pub fn get<T: Copy>(&self, va: u64) -> Result<T, i64> {
        let mut v = core::mem::MaybeUninit::<T>::zeroed();
        // SAFETY: the bytes of `v`; every T used here is valid with any bytes.
        let bytes = unsafe { core::slice::from_raw_parts_mut(v.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
        self.read(va, bytes)?;
        // SAFETY: as above.
        Ok(unsafe { v.assume_init() })
    }
    /// Writes plain data.
    pub fn put<T: Copy>(&self, va: u64, v: T) -> Result<(), i64> {
        // SAFETY: the bytes of `v`, which has no padding where it matters.
        self.write(va, unsafe { core::slice::from_raw_parts(core::ptr::from_ref(&v).cast::<u8>(), size_of::<T>()) })
    }
    /// Reads a string.
    pub fn string(&self, va: u64) -> Result<CString, i64> {
        const LONGEST: usize = 1 << 17;
        let mut out = Vec::new();
        let mut at = va;
        loop {
            let n = (PAGE - at % PAGE) as usize;
            let old = out.len();
            out.resize(old + n, 0);
            self.read(at, &mut out[old..])?;
            if let Some(end) = out[old..].iter().position(|b| *b == 0) {
                out.truncate(old + end);
                return CString::new(out).map_err(|_| EINVAL);
            }
            if out.len() > LONGEST {
                return Err(-i64::from(libc::ENAMETOOLONG));
            }
            at = at.wrapping_add(n as u64);
        }
    }
    /// An array of 64-bit words up to a null.
    pub fn pointers(&self, mut va: u64) -> Result<Vec<u64>, i64> {
        let mut out = Vec::new();
        if va == 0 {
            return Ok(out);
        }
        loop {
            match self.get::<u64>(va)? {
                0 => return Ok(out),
                p => out.push(p),
            }
            if out.len() > 1 << 20 {
                return Err(-i64::from(libc::E2BIG));
            }
            va += 8;
        }
    }

    /// mmap. The address, or an error.
    pub fn mmap(&self, va: u64, len: u64, prot: u64, flags: u64, fd: u64, offset: u64, name: Option<&str>) -> i64 {
        self.mmap_in(&mut self.map(), va, len, prot, flags, fd, offset, name)
    }
    #[allow(clippy::too_many_arguments)]
    fn mmap_in(&self, map: &mut Map, va: u64, len: u64, prot: u64, flags: u64, fd: u64, offset: u64, name: Option<&str>) -> i64 {
        let flag = |f: i32| flags & f as u64 != 0;
        let va = self.untagged(va);
        if len == 0 || offset & (PAGE - 1) != 0 {
            return EINVAL;
        }
        let len = match len.checked_add(PAGE - 1) {
            Some(l) => l & !(PAGE - 1),
            None => return ENOMEM,
        };
        if len > self.top {
            return ENOMEM;
        }
        let fixed = flag(libc::MAP_FIXED) || flag(libc::MAP_FIXED_NOREPLACE);
        let start = if fixed {
            if va & (PAGE - 1) != 0 {
                return EINVAL;
            }
            if va.saturating_add(len) > self.memory.size {
                return ENOMEM;
            }
            if va < LOWEST {
                return -i64::from(libc::EPERM);
            }
            if flag(libc::MAP_FIXED_NOREPLACE) && !map.is_free(va, va + len) {
                return -i64::from(libc::EEXIST);
            }
            va
        } else {
            let wanted = va & !(PAGE - 1);
            if wanted >= LOWEST && wanted.saturating_add(len) <= self.top && map.is_free(wanted, wanted + len) {
                wanted
            } else {
                match map.find(len, self.top) {
                    Some(a) => a,
                    None => return ENOMEM,
                }
            }
        };
        // What the host is not to hear of: where it goes is ours to say, and it grows nowhere.
        const OURS: u64 = (libc::MAP_FIXED_NOREPLACE | libc::MAP_GROWSDOWN | libc::MAP_32BIT) as u64;
        let host_flags = flags & !OURS | libc::MAP_FIXED as u64;
        // SAFETY: the range lies in the window and is this guest's.
        let r = unsafe { crate::host::plain(libc::SYS_mmap, [self.memory.base + start, len, host_prot(prot), host_flags, fd, offset]) };
        if r < 0 {
            return r;
        }
        map.cut(start, start + len);
        let name: Option<std::sync::Arc<str>> = match name {
            Some(n) => Some(n.into()),
            None if !flag(libc::MAP_ANONYMOUS) => std::fs::read_link(format!("/proc/self/fd/{}", fd as i32)).ok().map(|p| p.to_string_lossy().into()),
            None => None,
        };
        let shared = flags & 3 != libc::MAP_PRIVATE as u64;
        if shared {
            self.host.user_shared();
        }
        map.add(start, Area { end: start + len, prot: prot as u32, shared, offset: if flag(libc::MAP_ANONYMOUS) { 0 } else { offset }, name });
        self.host.user_pages(start, len, bits(prot, self.is_guarded()));
        start as i64
    }
    /// Makes a range nobody's.
    fn vacate(&self, start: u64, len: u64) -> i64 {
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED) as u64;
        // SAFETY: as in `mmap`.
        unsafe { crate::host::plain(libc::SYS_mmap, [self.memory.base + start, len, libc::PROT_NONE as u64, flags, u64::MAX, 0]) }
    }
    /// munmap.
    pub fn munmap(&self, va: u64, len: u64) -> i64 {
        let mut map = self.map();
        self.munmap_in(&mut map, va, len)
    }
    fn munmap_in(&self, map: &mut Map, va: u64, len: u64) -> i64 {
        let (va, len) = (self.untagged(va), round_up(len));
        if va & (PAGE - 1) != 0 || len == 0 || va.saturating_add(len) > self.memory.size {
            return EINVAL;
        }
        let gone = map.cut(va, va + len);
        for (start, area) in gone {
            let r = self.vacate(start, area.end - start);
            if r < 0 {
                return r;
            }
            self.host.user_pages(start, area.end - start, 0);
        }
        if va + len > map.hint {
            map.hint = va + len;
        }
        0
    }
    /// mprotect.
    pub fn mprotect(&self, va: u64, len: u64, prot: u64) -> i64 {
        let (va, len) = (self.untagged(va), round_up(len));
        if va & (PAGE - 1) != 0 {
            return EINVAL;
        }
        if len == 0 {
            return 0;
        }
        if va.saturating_add(len) > self.memory.size {
            return ENOMEM;
        }
        let mut map = self.map();
        if !map.is_mapped(va, va + len) {
            return ENOMEM;
        }
        // Code made from it is forgotten first, so that nobody changes the host's protection in between because of that.
        self.output(va, len);
        // SAFETY: as in `mmap`.
        let r = unsafe { crate::host::plain(libc::SYS_mprotect, [self.memory.base + va, len, host_prot(prot), 0, 0, 0]) };
        if r < 0 {
            return r;
        }
        for (start, area) in map.cut(va, va + len) {
            map.add(start, Area { prot: prot as u32, ..area });
        }
        self.host.user_pages(va, len, bits(prot, self.is_guarded()));
        0
    }
    /// mremap.
    pub fn mremap(&self, old: u64, old_len: u64, new_len: u64, flags: u64, wanted: u64) -> i64 {
        let (old, old_len, new_len) = (self.untagged(old), round_up(old_len), round_up(new_len));
        let flag = |f: i32| flags & f as u64 != 0;
        if old & (PAGE - 1) != 0 || new_len == 0 || (flag(libc::MREMAP_FIXED) && !flag(libc::MREMAP_MAYMOVE)) {
            return EINVAL;
        }
        let mut map = self.map();
        let map = &mut *map;
        if old.saturating_add(old_len.max(1)) > self.memory.size || !map.is_mapped(old, old + old_len.max(PAGE)) {
            return EFAULT;
        }
        let fixed = flag(libc::MREMAP_FIXED);
        if !fixed && new_len <= old_len {
            if new_len < old_len {
                let r = self.munmap_in(map, old + new_len, old_len - new_len);
                if r < 0 {
                    return r;
                }
            }
            return old as i64;
        }
        let Some((start, area)) = map.areas.range(..=old).next_back().map(|(s, a)| (*s, a.clone())) else { return EFAULT };
        let anonymous = !area.shared && area.name.as_deref().is_none_or(|n| n.starts_with('['));
        let (end, more) = (old + old_len, new_len.saturating_sub(old_len));
        if !fixed && anonymous && old_len != 0 && flags & MREMAP_DONTUNMAP == 0 && end + more <= self.top && map.is_free(end, end + more) {
            // What follows is free: it grows where it is.
            let how = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
            let r = self.mmap_in(map, end, more, area.prot.into(), how, u64::MAX, 0, area.name.as_deref());
            return if r < 0 { r } else { old as i64 };
        }
        if !flag(libc::MREMAP_MAYMOVE) {
            return ENOMEM;
        }
        let to = if fixed {
            let to = self.untagged(wanted);
            if to & (PAGE - 1) != 0 || to.saturating_add(new_len) > self.memory.size || (to < old + old_len && old < to + new_len) {
                return EINVAL;
            }
            let r = self.munmap_in(map, to, new_len);
            if r < 0 {
                return r;
            }
            to
        } else {
            match map.find(new_len, self.top) {
                Some(to) => to,
                None => return ENOMEM,
            }
        };
        let host_flags = flags & MREMAP_DONTUNMAP | (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        // The host would not move pages that differ in protection, as those with code do.
        self.host.user_writes(old, old_len.max(1));
        let base = self.memory.base;
        // SAFETY: as in `mmap`.
        let r = unsafe { crate::host::plain(libc::SYS_mremap, [base + old, old_len, new_len, host_flags, base + to, 0]) };
        if r == EFAULT && anonymous && old_len != 0 {
            // One area for the guest, several for the host, which moves one at a time: the bytes move.
            let how = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
            let made = self.mmap_in(map, to, new_len, 3, how, u64::MAX, 0, None);
            if made < 0 {
                return made;
            }
            // SAFETY: both are guest memory; what cannot be read stays zero.
            unsafe { self.host.user_copy((base + to) as *mut u8, (base + old) as *const u8, old_len.min(new_len) as usize) };
            // SAFETY: as in `mmap`.
            unsafe { crate::host::plain(libc::SYS_mprotect, [base + to, new_len, host_prot(area.prot.into()), 0, 0, 0]) };
        } else if r < 0 {
            self.vacate(to, new_len);
            return r;
        }
        if old_len != 0 && flags & MREMAP_DONTUNMAP == 0 {
            map.cut(old, old + old_len);
            self.vacate(old, old_len);
            self.host.user_pages(old, old_len, 0);
        }
        map.cut(to, to + new_len);
        map.add(to, Area { end: to + new_len, offset: area.offset + if area.name.is_some() { old - start } else { 0 }, ..area.clone() });
        self.host.user_pages(to, new_len, bits(area.prot.into(), self.is_guarded()));
        to as i64
    }
    /// brk.
    pub fn brk(&self, to: u64) -> i64 {
        let mut map = self.map();
        let map = &mut *map;
        let (start, now) = (map.brk_start, map.brk);
        if to < start || to > self.top {
            return now as i64;
        }
        let (old, new) = (round_up(now), round_up(to));
        if new > old {
            // A page stays free before whatever follows.
            if !map.is_free(old, new + PAGE) {
                return now as i64;
            }
            let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
            if self.mmap_in(map, old, new - old, 3, flags, u64::MAX, 0, Some("[heap]")) < 0 {
                return now as i64;
            }
        } else if new < old {
            self.munmap_in(map, new, old - new);
        }
        map.brk = to;
        to as i64
    }
}

impl Kernel {
    /// /proc/self/maps as the guest sees it.
    pub fn maps(&self) -> String {
        let map = self.space.map();
        let mut out = String::new();
        for (start, a) in &map.areas {
            let bit = |b: u32, c: char| if a.prot & b != 0 { c } else { '-' };
            let line = format!(
                "{start:08x}-{:08x} {}{}{}{} {:08x} 00:00 0 ",
                a.end,
                bit(1, 'r'),
                bit(2, 'w'),
                bit(4, 'x'),
                if a.shared { 's' } else { 'p' },
                a.offset
            );
            match &a.name {
                Some(name) => out += &format!("{line:<73}{name}\n"),
                None => out += &format!("{}\n", line.trim_end()),
            }
        }
        out
    }
}
