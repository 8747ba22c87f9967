//! Executable memory: one anonymous file mapped twice, once to write and once to execute, so that no page is ever both.
//!
//! It is handed out in chunks. A chunk is filled from its start and given back as a whole, by an owner that knows that no CPU is inside.

#![allow(unsafe_code)]

use crate::asm::Asm;
use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, MprotectFlags, MremapFlags, ProtFlags};
use std::collections::{BTreeMap, HashMap};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};

/// Size of a chunk in bytes, unless the cache is small.
pub const CHUNK: usize = 2 << 20;

/// A jump that is not patched costs some 100 ns each time; a copy of the code costs about as much as this number of them.
const UNPATCHED_MAX: u32 = 10_000;

/// Jumps that were patched are kept by pages of this size in bytes.
const LINK_PAGE: usize = 4096;

/// No region's code is longer.
const REGION_MAX: usize = 256 << 10;
/// Memory that is asked for ahead of the code.
const READY: usize = 128 << 10;

/// The memory.
pub struct CodeCache {
    memory: Twice,
    /// Size of a chunk in bytes.
    chunk: usize,
    /// Chunks that nobody uses.
    free: Vec<u32>,
    /// The chunk being filled, and how far.
    current: u32,
    used: usize,
    /// How far memory has been asked for; a multiple of the host's pages.
    ready: usize,
    /// Chunks in use, oldest first, the current one last.
    order: std::collections::VecDeque<u32>,
    /// Addresses of code that others call by number.
    targets: Vec<usize>,
    /// The memory is another process's too, who fills it: this one takes memory of its own for what follows before it places anything.
    borrowed: bool,
    /// How many bytes from the start of each chunk other processes execute as well, since a fork: nothing there may be overwritten or patched.
    shared: Vec<usize>,
    /// Jumps that were not patched since the process forked, because of that.
    unpatched: u32,
    /// Jumps that were patched, by the page of the cache that they go to: those to a place are found quickly.
    links: BTreeMap<u32, Vec<Patched>>,
    /// Those that go on in another chunk than they go to, by that chunk.
    through: Vec<Vec<Patched>>,
    /// Those of them that lie in another guest page than the code that they go to, by the number of that.
    from_elsewhere: HashMap<u64, Vec<Patched>>,
    /// How often each chunk was given back.
    releases: Vec<u32>,
}

/// A jump that was patched.
#[derive(Clone, Copy)]
struct Patched {
    /// Offset of its displacement.
    site: u32,
    /// The displacement that it had.
    unlinked: i32,
    /// `releases` of the chunk that it lies in.
    releases: u32,
}

// SAFETY: the pointers are to mappings that this value owns; writing goes through `&mut self`.
unsafe impl Send for CodeCache {}

/// Memory at two places, to write and to execute. The mappings go with this; memory that is somewhere else by then stays there.
struct Twice {
    write: *mut u8,
    execute: *mut u8,
    len: usize,
}

impl Twice {
    /// New memory: that of a file, or where files may not be so large (RLIMIT_FSIZE, which would be a signal) of none, which the host may count as
    /// if it were all used.
    fn new(len: usize) -> Result<Twice, rustix::io::Errno> {
        let (both, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::NORESERVE);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        // SAFETY: fresh mappings at addresses of the kernel's choice. A shared one that is moved as if it had no length stays where it is, and is at
        // a second place as well (mremap(2)).
        unsafe {
            let write = if limit.is_some_and(|most| most < len as u64) {
                rustix::mm::mmap_anonymous(null_mut(), len, both, flags)?.cast()
            } else {
                let file = rustix::fs::memfd_create("emu-code", MemfdFlags::CLOEXEC)?;
                rustix::fs::ftruncate(&file, len as u64)?;
                rustix::mm::mmap(null_mut(), len, both, flags, &file, 0)?.cast()
            };
            let mut twice = Twice { write, execute: null_mut(), len };
            twice.execute = rustix::mm::mremap(write.cast(), 0, len, MremapFlags::MAYMOVE)?.cast();
            rustix::mm::mprotect(twice.execute.cast(), len, MprotectFlags::READ | MprotectFlags::EXEC)?;
            Ok(twice)
        }
    }
}

impl Drop for Twice {
    fn drop(&mut self) {
        for at in [self.write, self.execute].into_iter().filter(|at| !at.is_null()) {
            // SAFETY: mapped in `new`; whoever executes code there keeps the owner alive.
            let _ = unsafe { rustix::mm::munmap(at.cast(), self.len) };
        }
    }
}

/// Where code was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Address of its first byte.
    pub address: usize,
    /// Chunk that it lies in.
    pub chunk: u32,
}

impl CodeCache {
    /// Reserves `len` bytes, below 2 GiB, in chunks of [`CHUNK`] or, if that made too few, in 16; host memory is taken as they are filled.
    pub fn new(len: usize) -> Result<CodeCache, String> {
        let chunk = (len / 16).next_multiple_of(4096).clamp(REGION_MAX, CHUNK);
        let len = len.next_multiple_of(chunk);
        let memory = Twice::new(len).map_err(|e| format!("cannot map memory for generated code: {e}"))?;
        let free = (1..(len / chunk) as u32).rev().collect();
        let chunks = len / chunk;
        let (through, releases) = (vec![Vec::new(); chunks], vec![0; chunks]);
        Ok(CodeCache {
            memory,
            chunk,
            free,
            current: 0,
            used: 0,
            ready: 0,
            order: [0].into(),
            targets: Vec::new(),
            borrowed: false,
            shared: vec![0; chunks],
            unpatched: 0,
            links: BTreeMap::new(),
            through,
            from_elsewhere: HashMap::new(),
            releases,
        })
    }
    /// Makes an address known under the next number.
    pub fn add_target(&mut self, address: usize) -> u32 {
        self.targets.push(address);
        self.targets.len() as u32 - 1
    }
    /// Addresses that code is executed at.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.memory.execute as usize..self.memory.execute as usize + self.memory.len
    }
    /// Size of a chunk in bytes.
    pub fn chunk_bytes(&self) -> usize {
        self.chunk
    }
    /// The process has forked; the memory is shared with the other half.
    pub fn forked(&mut self, child: bool) {
        for chunk in &self.order {
            self.shared[*chunk as usize] = if *chunk == self.current { self.used } else { self.chunk };
        }
        self.borrowed |= child;
        self.unpatched = 0;
    }
    /// True if other processes execute what is at an offset as well.
    fn is_shared(&self, offset: usize) -> bool {
        offset % self.chunk < self.shared[offset / self.chunk]
    }
    /// Takes memory of its own for what the current chunk has no code in yet, and for the chunks that have none: the rest is as it was, and
    /// nobody writes there.
    fn own_rest(&mut self) -> Result<(), rustix::io::Errno> {
        let new = Twice::new(self.memory.len)?;
        let start = self.used.next_multiple_of(LINK_PAGE).min(self.chunk);
        let current = self.current as usize * self.chunk;
        // In order of their addresses, in pieces as large as they can be.
        let mut free: Vec<(usize, usize)> = vec![(current + start, current + self.chunk)];
        free.extend(self.free.iter().map(|c| *c as usize * self.chunk).map(|at| (at, at + self.chunk)));
        free.sort_unstable();
        free.dedup_by(|next, before| {
            let adjacent = next.0 == before.1;
            if adjacent {
                before.1 = next.1;
            }
            adjacent
        });
        for (from, to) in free.into_iter().filter(|(from, to)| from < to) {
            self.replace(&new, from, to)?;
        }
        for chunk in &self.free {
            self.shared[*chunk as usize] = 0;
        }
        (self.used, self.ready, self.borrowed) = (start, start, false);
        Ok(())
    }
    /// Puts part of new memory in the place of the same part of this one's, at whose addresses other threads may be executing: what they execute
    /// is the same there.
    fn replace(&self, new: &Twice, from: usize, to: usize) -> Result<(), rustix::io::Errno> {
        for (new, old) in [(new.write, self.memory.write), (new.execute, self.memory.execute)] {
            // SAFETY: the part is in both mappings, and this value's is its own to replace.
            unsafe { rustix::mm::mremap_fixed(new.add(from).cast(), 0, to - from, MremapFlags::MAYMOVE, old.add(from).cast()) }?;
        }
        Ok(())
    }
    /// Moves to memory of this process alone, at the same addresses. Other threads may be executing: they find the same there.
    fn own(&mut self) -> Result<(), rustix::io::Errno> {
        let new = Twice::new(self.memory.len)?;
        for chunk in &self.order {
            let len = if *chunk == self.current { self.used } else { self.chunk };
            let at = *chunk as usize * self.chunk;
            // SAFETY: inside the mappings; nobody writes to the old one while `self` is borrowed, and nobody knows the new one.
            unsafe { std::ptr::copy_nonoverlapping(self.memory.write.add(at), new.write.add(at), len) };
        }
        self.replace(&new, 0, self.memory.len)?;
        self.shared.fill(0);
        self.borrowed = false;
        Ok(())
    }
    /// Asks for memory up to `end` in the current chunk and some beyond, in one piece in place of a fault for each page. It may be refused: then
    /// there are the faults.
    fn make_ready(&mut self, end: usize) {
        let to = (end + READY).next_multiple_of(4096).min(self.chunk);
        let from = self.current as usize * self.chunk + self.ready;
        // SAFETY: inside the mapping for writing, whose contents stay.
        let _ = unsafe { rustix::mm::madvise(self.memory.write.add(from).cast(), to - self.ready, rustix::mm::Advice::LinuxPopulateWrite) };
        self.ready = to;
    }
    /// Copies resolved code to its place, 16-byte aligned, and fills in the displacements to numbered targets. `None` when all chunks are
    /// in use.
    pub fn place(&mut self, asm: &Asm) -> Option<Placed> {
        let len = asm.code.len();
        assert!(len <= self.chunk, "{len} bytes of code for one region");
        if self.borrowed && self.own_rest().is_err() {
            return None;
        }
        let mut at = self.used.next_multiple_of(16);
        if at + len > self.chunk {
            let next = *self.free.last()?;
            if self.shared[next as usize] != 0 && self.own().is_err() {
                return None;
            }
            self.free.pop();
            self.current = next;
            self.order.push_back(self.current);
            at = 0;
        }
        if at == 0 {
            self.ready = 0;
        }
        if at + len > self.ready {
            self.make_ready(at + len);
        }
        let offset = self.current as usize * self.chunk + at;
        self.used = at + len;
        // SAFETY: offset + len <= self.memory.len; the bytes belong to a chunk that no CPU executes beyond what was placed before.
        unsafe { std::ptr::copy_nonoverlapping(asm.code.as_ptr(), self.memory.write.add(offset), len) };
        let address = self.memory.execute as usize + offset;
        for o in &asm.outside {
            let from = address + o.at as usize + 4;
            let rel = (self.targets[o.target as usize].wrapping_sub(from) as isize) as i32;
            // SAFETY: inside the code copied above.
            unsafe { self.memory.write.add(offset + o.at as usize).cast::<i32>().write_unaligned(rel) };
        }
        Some(Placed { address, chunk: self.current })
    }
    /// Places code that ends in a jump to an address in the cache, whatever the jump said before.
    pub fn place_before(&mut self, asm: &Asm, target: usize) -> Option<Placed> {
        let placed = self.place(asm)?;
        let len = asm.code.len();
        let rel = (target.wrapping_sub(placed.address + len) as isize) as i32;
        let offset = placed.address - self.memory.execute as usize + len - 4;
        // SAFETY: the last bytes of the code that was just placed.
        unsafe { self.memory.write.add(offset).cast::<i32>().write_unaligned(rel) };
        Some(placed)
    }
    /// The chunk filled first, but never the first of all (it has the thunks) nor the current one.
    /// Chunks in `but` are as good as gone.
    pub fn oldest(&self, but: &[u32]) -> Option<u32> {
        self.order.iter().copied().find(|c| *c != 0 && *c != self.current && !but.contains(c))
    }
    /// Gives a chunk back. No CPU may be in it or hold an address of it.
    pub fn release(&mut self, chunk: u32) {
        self.order.retain(|c| *c != chunk);
        self.free.push(chunk);
        self.releases[chunk as usize] += 1;
        self.through[chunk as usize] = Vec::new();
        for page in self.pages(chunk) {
            self.links.remove(&page);
        }
        let (releases, size) = (&self.releases, self.chunk);
        self.from_elsewhere.retain(|_, jumps| {
            jumps.retain(|p| releases[p.site as usize / size] == p.releases);
            !jumps.is_empty()
        });
    }
    /// The numbers of a chunk's pages.
    fn pages(&self, chunk: u32) -> std::ops::Range<u32> {
        let pages = (self.chunk / LINK_PAGE) as u32;
        chunk * pages..(chunk + 1) * pages
    }
    /// Patches a jump, by the address of its displacement, to go to `target`, which goes on in the chunk `into`; `unlinked` is what `unlink` makes
    /// of it. They lie in chunks that nobody has condemned, or the jump in one that a CPU, the caller's, is still in. `page`: the number of the
    /// target's guest page, if `unlink_page` shall know the jump.
    /// Nothing is patched in memory that another process executes as well: what is valid here need not be there. A process that lives on long
    /// enough to ask often gets memory of its own for it.
    pub fn link(&mut self, site: usize, unlinked: i32, target: usize, into: u32, page: Option<u64>) {
        if self.is_shared(site - self.memory.execute as usize) {
            self.unpatched += 1;
            if self.unpatched < UNPATCHED_MAX || self.own().is_err() {
                return;
            }
        }
        let [site_at, target_at] = [site, target].map(|a| a - self.memory.execute as usize);
        let chunk = target_at / self.chunk;
        let patched = Patched { site: site_at as u32, unlinked, releases: self.releases[site_at / self.chunk] };
        self.links.entry((target_at / LINK_PAGE) as u32).or_default().push(patched);
        if into as usize != chunk {
            self.through[into as usize].push(patched);
        }
        if let Some(page) = page {
            self.from_elsewhere.entry(page).or_default().push(patched);
        }
        self.patch(site_at, (target as isize - (site + 4) as isize) as i32);
    }
    /// Jumps that were patched to go to code that has made way go to what came in its place: the old address, the new one, and the chunk that it
    /// goes on in. See `link` for when that is possible.
    pub fn relink(&mut self, replaced: impl Iterator<Item = (usize, usize, u32)>) {
        let mut replaced: Vec<_> =
            replaced.map(|(old, new, into)| (old - self.memory.execute as usize, new - self.memory.execute as usize, into as usize)).collect();
        replaced.sort_unstable();
        // By the page that they lie in: the jumps into each are looked at once.
        for of_page in replaced.chunk_by(|a, b| a.0 / LINK_PAGE == b.0 / LINK_PAGE) {
            let (page, chunk) = ((of_page[0].0 / LINK_PAGE) as u32, of_page[0].0 / self.chunk);
            for i in 0..self.links.get(&page).map_or(0, Vec::len) {
                let p = self.links[&page][i];
                let site = p.site as usize;
                if self.releases[site / self.chunk] != p.releases || self.is_shared(site) {
                    continue;
                }
                // SAFETY: inside the mapping and aligned, as in `patch`.
                let displacement = unsafe { AtomicI32::from_ptr(self.memory.write.add(site).cast()) }.load(Ordering::SeqCst);
                let target = (site + 4).wrapping_add_signed(displacement as isize);
                let Ok(found) = of_page.binary_search_by_key(&target, |r| r.0) else { continue };
                let (_, new, into) = of_page[found];
                self.patch(site, (new as isize - (site + 4) as isize) as i32);
                let new_page = (new / LINK_PAGE) as u32;
                if new_page != page {
                    self.links.entry(new_page).or_default().push(p);
                }
                if into != chunk && into != new / self.chunk {
                    self.through[into].push(p);
                }
            }
        }
    }
    /// Patches all jumps into a chunk back. CPUs may be on their way still.
    pub fn unlink(&mut self, chunk: u32) {
        let mut all = std::mem::take(&mut self.through[chunk as usize]);
        for page in self.pages(chunk) {
            all.extend(self.links.remove(&page).into_iter().flatten());
        }
        for p in all {
            // What lay in a chunk that was used again since is there no more.
            if self.releases[p.site as usize / self.chunk] == p.releases {
                self.patch(p.site as usize, p.unlinked);
            }
        }
    }
    /// Patches the jumps from other guest pages to code of a page back, by its number, for that code holds no longer. CPUs may be on their way
    /// still. An error: the memory is another process's too, and there is no other to be had.
    pub fn unlink_page(&mut self, page: u64) -> Result<(), rustix::io::Errno> {
        let Some(jumps) = self.from_elsewhere.remove(&page) else { return Ok(()) };
        if jumps.iter().any(|p| self.is_shared(p.site as usize)) {
            self.own()?;
        }
        for p in jumps {
            if self.releases[p.site as usize / self.chunk] == p.releases {
                self.patch(p.site as usize, p.unlinked);
            }
        }
        Ok(())
    }
    fn patch(&mut self, site: usize, displacement: i32) {
        assert!(site + 4 <= self.memory.len && site.is_multiple_of(4), "a displacement to patch at offset {site:#x}");
        // SAFETY: inside the mapping and aligned; all that is written after code was placed there, by a CPU or for one, is atomic.
        let place = unsafe { AtomicI32::from_ptr(self.memory.write.add(site).cast()) };
        place.store(displacement, Ordering::SeqCst);
    }
    /// Chunks that are free.
    pub fn free_chunks(&self) -> usize {
        self.free.len()
    }
    /// Bytes in use.
    pub fn used_bytes(&self) -> usize {
        (self.order.len() - 1) * self.chunk + self.used
    }
    /// The bytes at an address, for disassembly.
    pub fn bytes(&self, address: usize, len: usize) -> &[u8] {
        let offset = address - self.memory.execute as usize;
        assert!(offset + len <= self.memory.len);
        // SAFETY: inside the mapping.
        unsafe { std::slice::from_raw_parts(self.memory.execute.add(offset), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache, code of so many bytes, and where it was placed.
    fn with_code(bytes: usize) -> (CodeCache, Asm, Placed) {
        let mut cache = CodeCache::new(4 * CHUNK).expect("executable memory");
        let mut asm = Asm::default();
        asm.code.resize(bytes, 0x90);
        let placed = cache.place(&asm).expect("room");
        (cache, asm, placed)
    }

    /// The child of a fork makes code in memory of its own, where jumps are patched at once; what is shared stays where it is.
    #[test]
    fn a_child_makes_code_beside_what_it_shares() {
        let (mut cache, mut asm, before) = with_code(64);
        cache.forked(true);
        let behind = cache.place(&asm).expect("room");
        assert_eq!((behind.chunk, (behind.address - cache.range().start) % LINK_PAGE), (before.chunk, 0), "on a page of its own");
        assert_eq!(cache.bytes(before.address, 64), [0x90; 64]);
        assert_eq!(cache.bytes(behind.address, 64), [0x90; 64]);
        cache.link(behind.address + 16, 0, before.address, before.chunk, None);
        assert_ne!(cache.bytes(behind.address + 16, 4), [0x90; 4], "its own jump is patched");
        cache.link(before.address + 16, 0, behind.address, behind.chunk, None);
        assert_eq!(cache.bytes(before.address + 16, 4), [0x90; 4], "one that the parent executes is not");
        // Chunks that neither had are its own too; the shared one is copied before it is used again.
        asm.code.resize(cache.chunk_bytes() - 64, 0x90);
        let chunks: Vec<u32> = std::iter::from_fn(|| cache.place(&asm)).map(|p| p.chunk).collect();
        assert_eq!(chunks.len(), cache.order.len() - 1);
        cache.release(chunks[0]);
        assert_eq!(cache.place(&asm).map(|p| p.chunk), Some(chunks[0]));
        cache.forked(false);
        cache.release(chunks[1]);
        assert_eq!(cache.place(&asm).map(|p| p.chunk), Some(chunks[1]));
        assert!(cache.shared.iter().all(|s| *s == 0), "everything has moved");
        assert_eq!(cache.bytes(before.address, 16), [0x90; 16]);
    }

    /// Behind a fork jumps stay as they are, for the other process's sake, until this one has asked often enough to get memory of its own.
    #[test]
    fn jumps_are_patched_again_some_time_after_a_fork() {
        let (mut cache, _, placed) = with_code(64);
        let (site, target) = (placed.address + 16, placed.address + 48);
        let before = cache.bytes(placed.address, 64).to_vec();
        cache.forked(false);
        for _ in 1..UNPATCHED_MAX {
            cache.link(site, 0, target, placed.chunk, None);
        }
        assert_eq!(cache.bytes(placed.address, 64), before);
        cache.link(site, 0, target, placed.chunk, None);
        assert_eq!(cache.bytes(site, 4), 28i32.to_le_bytes());
        assert_eq!(cache.bytes(placed.address, 16), &before[..16], "the rest was copied");
        cache.unlink(placed.chunk);
        assert_eq!(cache.bytes(site, 4), [0; 4]);
    }

    /// Jumps to code of a page from elsewhere are patched back with it, in a forked process in memory of its own.
    #[test]
    fn jumps_from_other_pages_are_patched_back() {
        let (mut cache, _, placed) = with_code(64);
        let sites = [0, 16, 32].map(|o| placed.address + o);
        let now = |cache: &CodeCache| sites.map(|s| i32::from_le_bytes(cache.bytes(s, 4).try_into().unwrap()));
        for (site, page) in sites.into_iter().zip([None, Some(7), Some(8)]) {
            cache.link(site, 1, placed.address + 48, placed.chunk, page);
        }
        assert_eq!(now(&cache), [44, 28, 12]);
        cache.unlink_page(7).expect("memory is its own");
        assert_eq!(now(&cache), [44, 1, 12]);
        cache.forked(true);
        cache.unlink_page(7).expect("nothing to do");
        cache.unlink_page(8).expect("memory");
        assert_eq!(now(&cache), [44, 1, 1]);
    }
}
