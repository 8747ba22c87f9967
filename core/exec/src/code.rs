//! Translated code: blocks by the physical page that they were made from.
//!
//! A block is keyed by virtual address, physical address and mode key. Where a page is executed at several virtual addresses its code is made
//! so that it can move: such code is kept under [`moving`], and each address has an entry of its own that says where it is and goes there.
//!
//! A block's page is marked as holding code before its bytes are read, so that
//! every later store to the page is seen. A write to the page, from whichever side, takes the page's blocks out of the index. Those for the
//! interpreter are marked invalid; CPUs look at that mark each time they enter one. Generated code is a number, and CPUs are told to forget it.
//!
//! So code is that of the bytes there are, and maintenance of instruction caches finds nothing to do, but in one case: a CPU says that it stores
//! before it does, and if the page goes on being watched another may make code of the old bytes in between. Such pages are noted
//! (`Shard::stored`), and maintenance throws away what was made of them.

use crate::region::Places;
use emu_interp::{FastBlock, Step};
use emu_mem::PAGE_SIZE;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A block for the interpreter.
pub struct Block {
    /// Virtual address.
    pub va: u64,
    /// Mode key.
    pub mode: u64,
    /// What runs.
    pub body: Body,
    /// Vector length in bytes.
    pub vl: u32,
    /// Number of instructions.
    pub insns: u32,
    /// False once its guest code has changed.
    pub valid: AtomicBool,
}

/// A block's ops, ready to run one way or the other.
pub enum Body {
    /// For the interpreter's fast loop.
    Fast(FastBlock),
    /// For the plain one (`EMU_INTERP=plain`).
    Plain(Box<[Step]>),
}

/// Where generated code begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NativeBlock {
    /// Its address.
    pub code: usize,
    /// The part of the code cache that it lies in.
    pub chunk: u32,
    /// The part that it goes on in, if it is the entry of code that moves; else the same.
    pub into: u32,
    /// Number of instructions in its first straight run.
    pub insns: u16,
    /// Where in its page the guest code is.
    pub offset: u16,
    /// Where in its page the first of its region is.
    pub entry: u16,
    /// How it was made: it makes way for what was made with more care.
    pub tier: Tier,
}

/// With how much care generated code is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tier {
    /// To be run a few times: little at a time, without most passes. It counts its runs.
    Brief,
    /// As ever.
    Warm,
    /// With all that can be done.
    Hot,
}

/// Generated code that has made way: its address, and that of what came in its place.
pub type Replaced = Vec<(usize, NativeBlock)>;

impl Block {
    fn bytes(&self) -> usize {
        size_of::<Block>()
            + match &self.body {
                Body::Fast(b) => b.bytes(),
                Body::Plain(steps) => size_of_val(&**steps),
            }
    }
}

/// A quick hash for addresses and keys, which a guest may choose badly at nobody's cost but its own.
#[derive(Clone, Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64((*b).into()));
    }
    fn write_u64(&mut self, v: u64) {
        let x = (self.0.rotate_left(26) ^ v).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = x ^ x >> 32;
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Where a page is seen that code was made for at its virtual address: what the index calls a view.
pub fn fixed(va: u64) -> u64 {
    va & !(PAGE_SIZE - 1)
}

/// The view of code that can move: which half of the address space. No page has an odd address.
pub fn moving(va: u64) -> u64 {
    va & 1 << 63 | 1
}

/// What was made from a physical page.
#[derive(Default)]
struct Page {
    /// The virtual address of the page when its first block was made, or that block's view.
    at: u64,
    /// It has been executed at another as well.
    several: bool,
    interpreted: Map<(u64, u64), Arc<Block>>,
    /// By view (see [`fixed`] and [`moving`]) and mode, in the order of their offsets. A page of a library has been seen at as many addresses as
    /// there were processes that used it.
    native: Map<(u64, u64), Vec<NativeBlock>>,
    /// The bytes that all that was made from.
    from: Places,
    /// Stores beside those bytes.
    beside: u32,
    /// Some of it is right only while nobody else sees the guest's memory.
    alone: bool,
}

/// A page that was written after code had been made from it.
#[derive(Clone, Copy, Default)]
struct Written {
    /// How often its code was thrown away.
    times: u32,
    /// Stores since it has had no code.
    since: u32,
}

/// What is kept under one lock.
#[derive(Default)]
struct Shard {
    pages: Map<u64, Page>,
    written: Map<u64, Written>,
    stored: Stored,
}

/// Pages that were stored to and stay watched.
#[derive(Default)]
struct Stored {
    /// Their numbers; the values are nothing.
    pages: Map<u64, ()>,
    /// There are more than those.
    more: bool,
}

impl Stored {
    /// A CPU is about to store to a page that stays watched.
    fn add(&mut self, number: u64) {
        if self.pages.len() < STORED_MAX {
            self.pages.insert(number, ());
        } else {
            self.more |= !self.pages.contains_key(&number);
        }
    }
    fn has(&self, number: u64) -> bool {
        self.more || self.pages.contains_key(&number)
    }
    fn is_empty(&self) -> bool {
        self.pages.is_empty() && !self.more
    }
}

/// A page whose code was thrown away so often is expected to be executed and written again: stores to it stay slow.
const OFTEN: u32 = 3;
/// Until so many came that nothing was executed in between.
const STORES_MAX: u32 = 64;
/// So many stores beside the code of a page are seen before the page is given up for data.
const BESIDE_MAX: u32 = 256;
/// Pages in `Shard::written`.
const WRITTEN_MAX: usize = 256;
/// Pages in `Stored`.
const STORED_MAX: usize = 256;

/// What a store to a page with code comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Code was thrown away, which CPUs have to forget.
    pub invalidated: bool,
    /// Stores to the page need not be seen any more.
    pub untracked: bool,
}

impl Page {
    fn block(&self, pa: u64, view: u64, mode: u64) -> Option<NativeBlock> {
        let blocks = self.native.get(&(view, mode))?;
        let offset = (pa & (PAGE_SIZE - 1)) as u16;
        blocks.binary_search_by_key(&offset, |b| b.offset).ok().map(|i| blocks[i])
    }
    /// Adds generated code; what is there already stays, unless what comes was made with more care. The number of blocks.
    fn add(&mut self, view: u64, mode: u64, made: impl Iterator<Item = NativeBlock>, replaced: &mut Replaced) -> u64 {
        let blocks = self.native.entry((view, mode)).or_default();
        let mut count = 0;
        for block in made {
            count += 1;
            // Regions are mostly made in the order of their addresses.
            match blocks.last() {
                Some(last) if last.offset >= block.offset => match blocks.binary_search_by_key(&block.offset, |b| b.offset) {
                    Ok(i) if block.tier > blocks[i].tier => {
                        replaced.push((blocks[i].code, block));
                        blocks[i] = block;
                    }
                    Ok(_) => {}
                    Err(i) => blocks.insert(i, block),
                },
                _ => blocks.push(block),
            }
        }
        count
    }
    fn is_empty(&self) -> bool {
        self.interpreted.is_empty() && self.native.is_empty()
    }
}

const SHARDS: usize = 64;

/// Generated code that a CPU found lately: a line of the host's caches where the index takes four or five that it shares with others. What leaves
/// the index or makes way in it takes what was found in its shard along.
#[derive(Default)]
pub struct Found(Vec<FoundBlock>);

#[derive(Clone, Copy)]
#[repr(align(64))]
struct FoundBlock {
    pa: u64,
    view: u64,
    mode: u64,
    /// What the shard's number was; none has 0.
    version: u64,
    block: NativeBlock,
}

/// log2 of what it keeps.
const FOUND_BITS: u32 = 14;
const FOUND: usize = 1 << FOUND_BITS;

impl Found {
    fn place(&mut self, pa: u64, view: u64, mode: u64) -> &mut FoundBlock {
        if self.0.is_empty() {
            let block = NativeBlock { code: 0, chunk: 0, into: 0, insns: 0, offset: 0, entry: 0, tier: Tier::Brief };
            self.0.resize(FOUND, FoundBlock { pa: 0, view: 0, mode: 0, version: 0, block });
        }
        let hash = (pa >> 1 ^ view >> 12 ^ mode.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FOUND_BITS);
        &mut self.0[hash as usize]
    }
}

/// Places that generated code was ever made for, perhaps others too: a bit for each, in a line of the host's caches or two for each page. A CPU that
/// comes to a place for the first time asks for code several times in vain, which so takes no lock.
struct Made(Box<[AtomicU64]>);

/// log2 of the groups of bits that pages share.
const MADE_GROUP_BITS: u32 = 9;
/// Bits of a group.
const MADE_BITS: usize = 1024;

impl Made {
    fn new() -> Made {
        Made((0..MADE_BITS / 64 << MADE_GROUP_BITS).map(|_| AtomicU64::new(0)).collect())
    }
    fn bit(&self, pa: u64) -> (&AtomicU64, u64) {
        let hash = (pa >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let group = (hash >> (64 - MADE_GROUP_BITS)) as usize;
        let bit = (pa >> 1 ^ hash >> 32) as usize & (MADE_BITS - 1);
        (&self.0[group * (MADE_BITS / 64) + bit / 64], 1 << (bit % 64))
    }
    fn add(&self, pa: u64) {
        let (word, bit) = self.bit(pa);
        word.fetch_or(bit, Ordering::Relaxed);
    }
    fn has(&self, pa: u64) -> bool {
        let (word, bit) = self.bit(pa);
        word.load(Ordering::Relaxed) & bit != 0
    }
}

/// All blocks of a machine.
pub struct CodeIndex {
    made: Made,
    shards: [Mutex<Shard>; SHARDS],
    /// Counts the invalidations of each shard.
    generations: [AtomicU64; SHARDS],
    /// Moves on when code leaves a shard or makes way in it, under its lock: what was found before is to be looked up again.
    versions: [AtomicU64; SHARDS],
    bytes: AtomicUsize,
    limit: usize,
    /// Blocks translated.
    pub translated: AtomicU64,
    /// Instructions translated.
    pub insns: AtomicU64,
    /// Pages invalidated.
    pub invalidated: AtomicU64,
    /// Times that everything was dropped for being too much.
    pub flushed: AtomicU64,
}

impl CodeIndex {
    /// An empty index that holds at most about `limit` bytes.
    pub fn new(limit: usize) -> CodeIndex {
        CodeIndex {
            made: Made::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            generations: std::array::from_fn(|_| AtomicU64::new(0)),
            versions: std::array::from_fn(|_| AtomicU64::new(1)),
            bytes: AtomicUsize::new(0),
            limit,
            translated: AtomicU64::new(0),
            insns: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
        }
    }
    fn shard(&self, pa: u64) -> MutexGuard<'_, Shard> {
        self.shards[(pa >> 12) as usize % SHARDS].lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Holds everything, over a fork.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.shards.iter().map(|s| s.lock().unwrap_or_else(|e| e.into_inner())).collect::<Vec<_>>()
    }
    /// The interpreter's block at a physical address for a virtual address and mode.
    pub fn find(&self, pa: u64, va: u64, mode: u64) -> Option<Arc<Block>> {
        self.shard(pa).pages.get(&(pa >> 12))?.interpreted.get(&(va, mode)).cloned()
    }
    /// Generated code at a physical address for a view and mode.
    pub fn find_native(&self, pa: u64, view: u64, mode: u64) -> Option<NativeBlock> {
        self.shard(pa).pages.get(&(pa >> 12))?.block(pa, view, mode)
    }
    /// True if there is generated code of a page for a view and mode.
    pub fn has_view(&self, pa: u64, view: u64, mode: u64) -> bool {
        self.shard(pa).pages.get(&(pa >> 12)).is_some_and(|p| p.native.contains_key(&(view, mode)))
    }
    /// The same, of which `found` keeps what was asked for lately.
    pub fn find_again(&self, found: &mut Found, pa: u64, view: u64, mode: u64) -> Option<NativeBlock> {
        // What another CPU adds at this moment is found the next time.
        if !self.made.has(pa) {
            return None;
        }
        let number = (pa >> 12) as usize % SHARDS;
        let place = found.place(pa, view, mode);
        let version = self.versions[number].load(Ordering::SeqCst);
        if (place.pa, place.view, place.mode, place.version) == (pa, view, mode, version) {
            return Some(place.block);
        }
        let shard = self.shard(pa);
        let version = self.versions[number].load(Ordering::SeqCst);
        let block = shard.pages.get(&(pa >> 12))?.block(pa, view, mode)?;
        *place = FoundBlock { pa, view, mode, version, block };
        Some(block)
    }
    /// Code leaves a shard, or makes way in it. Under its lock.
    fn next_version(&self, number: usize) {
        self.versions[number].fetch_add(1, Ordering::SeqCst);
    }
    /// True if the page has been executed at another virtual address than this one.
    pub fn elsewhere(&self, pa: u64, va: u64) -> bool {
        let mut shard = self.shard(pa);
        let Some(page) = shard.pages.get_mut(&(pa >> 12)) else { return false };
        page.several |= page.at != fixed(va);
        page.several
    }
    /// Puts the places of a page into `places` where generated code of a tier or a better one begins for a view and mode.
    pub fn places(&self, pa: u64, view: u64, mode: u64, tier: Tier, places: &mut Places) {
        places.clear();
        let shard = self.shard(pa);
        if let Some(blocks) = shard.pages.get(&(pa >> 12)).and_then(|p| p.native.get(&(view, mode))) {
            blocks.iter().filter(|b| b.tier >= tier).for_each(|b| places.add(b.offset.into()));
        }
    }
    /// Adds generated code made from the bytes `from` of the page of `pa` for a view; what is there already stays, unless what comes was made with
    /// more care, which `replaced` is told of. With `alone` it is right only while nobody else sees the guest's memory: see `drop_alone`. False if
    /// code was invalidated since `generation` was asked for: it may be of old bytes that nobody watches any more, and is not kept.
    #[allow(clippy::too_many_arguments)]
    pub fn insert_native(
        &self,
        pa: u64,
        view: u64,
        mode: u64,
        from: &Places,
        alone: bool,
        made: impl Iterator<Item = NativeBlock>,
        generation: u64,
        replaced: &mut Replaced,
    ) -> bool {
        let mut shard = self.shard(pa);
        if self.generation(pa) != generation {
            return false;
        }
        let page = shard.pages.entry(pa >> 12).or_insert_with(|| Page { at: view, ..Page::default() });
        page.from.add_all(from);
        page.alone |= alone;
        page.beside = 0;
        self.add(pa, page, view, mode, made, replaced);
        true
    }
    /// Adds code to a page of a shard that is locked.
    fn add(&self, pa: u64, page: &mut Page, view: u64, mode: u64, made: impl Iterator<Item = NativeBlock>, replaced: &mut Replaced) {
        let before = replaced.len();
        let made = made.inspect(|b| self.made.add(pa & !(PAGE_SIZE - 1) | u64::from(b.offset)));
        let count = page.add(view, mode, made, replaced);
        if replaced.len() != before {
            self.next_version((pa >> 12) as usize % SHARDS);
        }
        self.translated.fetch_add(count, Ordering::Relaxed);
    }
    /// The same for the entry at `va` of `code`, a block that moves, if that is still there.
    #[allow(clippy::too_many_arguments)]
    pub fn insert_entry(&self, pa: u64, va: u64, mode: u64, entry: NativeBlock, generation: u64, code: NativeBlock, replaced: &mut Replaced) -> bool {
        let mut shard = self.shard(pa);
        let Some(page) = shard.pages.get_mut(&(pa >> 12)) else { return false };
        if self.generation(pa) != generation || page.block(pa, moving(va), mode) != Some(code) {
            return false;
        }
        self.add(pa, page, fixed(va), mode, [entry].into_iter(), replaced);
        true
    }
    /// To be asked before the bytes of a block are read, and given to `insert`.
    pub fn generation(&self, pa: u64) -> u64 {
        self.generations[(pa >> 12) as usize % SHARDS].load(Ordering::SeqCst)
    }
    /// Adds a block made from physical address `pa`; if there is one already, that one stays. If code was invalidated since `generation` was
    /// asked for, the block may be of old bytes that nobody watches any more: it is not kept, and good for one run only.
    pub fn insert(&self, pa: u64, block: Block, generation: u64) -> Arc<Block> {
        if self.bytes.load(Ordering::Relaxed) > self.limit {
            // This block goes with the rest, for its generation is over.
            self.drop_interpreted();
            self.flushed.fetch_add(1, Ordering::Relaxed);
        }
        self.translated.fetch_add(1, Ordering::Relaxed);
        let key = (block.va, block.mode);
        let mut shard = self.shard(pa);
        if self.generation(pa) != generation {
            block.valid.store(false, Ordering::SeqCst);
            return Arc::new(block);
        }
        let page = shard.pages.entry(pa >> 12).or_insert_with(|| Page { at: fixed(block.va), ..Page::default() });
        page.from.add_range(0, PAGE_SIZE);
        match page.interpreted.entry(key) {
            Entry::Occupied(there) => there.get().clone(),
            Entry::Vacant(place) => {
                self.bytes.fetch_add(block.bytes(), Ordering::Relaxed);
                place.insert(Arc::new(block)).clone()
            }
        }
    }
    /// Invalidates the blocks of a physical page; false if it had none.
    pub fn invalidate(&self, pa: u64) -> bool {
        let page = {
            let mut shard = self.shard(pa);
            self.next_generation(pa);
            self.next_version((pa >> 12) as usize % SHARDS);
            shard.written.remove(&(pa >> 12));
            shard.pages.remove(&(pa >> 12))
        };
        self.drop_invalid(page)
    }
    /// A CPU stores `len` bytes from `pa` on, all in one page, which is marked as one that has code. `untrack` takes the mark back, if that is
    /// what it comes to.
    pub fn change(&self, pa: u64, len: u64, untrack: impl FnOnce()) -> Change {
        let number = pa >> 12;
        let mut shard = self.shard(pa);
        let Shard { pages, written, stored } = &mut *shard;
        let (page, times) = match pages.get_mut(&number) {
            Some(page) if page.beside < BESIDE_MAX && !page.from.meets(pa & (PAGE_SIZE - 1), len) => {
                page.beside += 1;
                // What is being made at this moment may be of the bytes that change.
                self.next_generation(pa);
                stored.add(number);
                return Change { invalidated: false, untracked: false };
            }
            Some(_) => {
                if written.len() >= WRITTEN_MAX {
                    written.clear();
                }
                let w = written.entry(number).or_default();
                *w = Written { times: w.times + 1, since: 0 };
                self.next_version(number as usize % SHARDS);
                (pages.remove(&number), w.times)
            }
            None => match written.get_mut(&number) {
                Some(w) if w.times >= OFTEN && w.since < STORES_MAX => {
                    w.since += 1;
                    self.next_generation(pa);
                    stored.add(number);
                    return Change { invalidated: false, untracked: false };
                }
                Some(w) if w.times >= OFTEN => {
                    written.remove(&number);
                    (None, 0)
                }
                _ => (None, 0),
            },
        };
        let untracked = times < OFTEN;
        if untracked {
            // Who marks the page again waits until every CPU has done what it is about to store.
            stored.pages.remove(&number);
            untrack();
        } else {
            stored.add(number);
        }
        self.next_generation(pa);
        drop(shard);
        Change { invalidated: self.drop_invalid(page), untracked }
    }
    /// A CPU maintains the instruction caches for `len` bytes from `pa` on, all in one page. True if code was thrown away, which CPUs have to forget.
    pub fn maintain(&self, pa: u64, len: u64) -> bool {
        let number = pa >> 12;
        let mut shard = self.shard(pa);
        if !shard.stored.has(number) {
            return false;
        }
        // What is being made at this moment may be of the bytes that there were.
        self.next_generation(pa);
        if !shard.pages.get(&number).is_some_and(|p| p.from.meets(pa & (PAGE_SIZE - 1), len)) {
            return false;
        }
        self.next_version(number as usize % SHARDS);
        let page = shard.pages.remove(&number);
        drop(shard);
        self.drop_invalid(page)
    }
    /// The same for all there is.
    pub fn maintain_all(&self) -> bool {
        let mut any = false;
        for (number, (shard, generation)) in self.shards.iter().zip(&self.generations).enumerate() {
            let mut shard = shard.lock().unwrap_or_else(|e| e.into_inner());
            if shard.stored.is_empty() {
                continue;
            }
            generation.fetch_add(1, Ordering::SeqCst);
            self.next_version(number);
            let Shard { pages, stored, .. } = &mut *shard;
            for (_, page) in pages.extract_if(|number, _| stored.has(*number)) {
                any |= self.drop_invalid(Some(page));
            }
        }
        any
    }
    /// True if the code of a page was thrown away some times, and stores to it stay slow.
    pub fn is_rewritten(&self, pa: u64) -> bool {
        self.shard(pa).written.get(&(pa >> 12)).is_some_and(|w| w.times >= OFTEN)
    }
    fn next_generation(&self, pa: u64) {
        self.generations[(pa >> 12) as usize % SHARDS].fetch_add(1, Ordering::SeqCst);
    }
    fn drop_invalid(&self, page: Option<Page>) -> bool {
        let Some(page) = page else { return false };
        self.invalidated.fetch_add(1, Ordering::Relaxed);
        self.drop_page(page);
        true
    }
    fn drop_page(&self, page: Page) {
        for block in page.interpreted.into_values() {
            block.valid.store(false, Ordering::SeqCst);
            self.bytes.fetch_sub(block.bytes(), Ordering::Relaxed);
        }
    }
    /// Drops the generated code that lies in a chunk.
    pub fn drop_chunk(&self, chunk: u32) {
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.lock().unwrap_or_else(|e| e.into_inner());
            self.next_version(number);
            shard.pages.retain(|_, page| {
                page.native.retain(|_, blocks| {
                    blocks.retain(|b| b.chunk != chunk && b.into != chunk);
                    !blocks.is_empty()
                });
                !page.is_empty()
            });
        }
    }
    /// Invalidates the blocks that are not generated code: no CPU has those anywhere else.
    pub fn drop_interpreted(&self) {
        // Those that are being made now go too.
        for generation in &self.generations {
            generation.fetch_add(1, Ordering::SeqCst);
        }
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(|e| e.into_inner());
            shard.pages.retain(|_, page| {
                let interpreted = std::mem::take(&mut page.interpreted);
                self.drop_page(Page { interpreted, ..Page::default() });
                !page.is_empty()
            });
        }
    }
    /// Invalidates the pages with code that is right only while nobody else sees the guest's memory; their addresses. What is kept may have
    /// patched jumps to them.
    pub fn drop_alone(&self) -> Vec<u64> {
        let mut pages = Vec::new();
        for (number, (shard, generation)) in self.shards.iter().zip(&self.generations).enumerate() {
            let mut shard = shard.lock().unwrap_or_else(|e| e.into_inner());
            // What is being made may be such code.
            generation.fetch_add(1, Ordering::SeqCst);
            self.next_version(number);
            for (number, page) in shard.pages.extract_if(|_, page| page.alone) {
                self.drop_page(page);
                pages.push(number << 12);
            }
        }
        pages
    }
    /// Invalidates everything.
    pub fn clear(&self) {
        for (number, (shard, generation)) in self.shards.iter().zip(&self.generations).enumerate() {
            let pages = {
                let mut shard = shard.lock().unwrap_or_else(|e| e.into_inner());
                generation.fetch_add(1, Ordering::SeqCst);
                self.next_version(number);
                std::mem::take(&mut *shard)
            };
            pages.pages.into_values().for_each(|p| self.drop_page(p));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(va: u64, mode: u64) -> Block {
        Block { va, mode, body: Body::Plain(Box::new([])), vl: 0, insns: 1, valid: AtomicBool::new(true) }
    }

    #[test]
    fn finds_and_invalidates_by_page() {
        let index = CodeIndex::new(1 << 20);
        let a = index.insert(0x1010, block(0x8010, 1), 0);
        let b = index.insert(0x1010, block(0x9010, 1), 0);
        let c = index.insert(0x2010, block(0x8010, 1), 0);
        let bytes = index.bytes.load(Ordering::Relaxed);
        assert!(Arc::ptr_eq(&a, &index.insert(0x1010, block(0x8010, 1), 0)), "the first one stays");
        assert_eq!(index.bytes.load(Ordering::Relaxed), bytes);
        assert!(index.find(0x1010, 0x8010, 2).is_none());
        index.invalidate(0x1fff);
        assert!(index.find(0x1010, 0x8010, 1).is_none());
        assert_eq!([&a, &b, &c].map(|b| b.valid.load(Ordering::SeqCst)), [false, false, true]);
        index.clear();
        assert!(!c.valid.load(Ordering::SeqCst));
        assert_eq!(index.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_block_of_bytes_that_changed_meanwhile_is_not_kept() {
        let index = CodeIndex::new(1 << 20);
        let before = index.generation(0x1010);
        index.invalidate(0x1000);
        let stale = index.insert(0x1010, block(0x8010, 1), before);
        assert!(!stale.valid.load(Ordering::SeqCst) && index.find(0x1010, 0x8010, 1).is_none());
        let fresh = index.insert(0x1010, block(0x8010, 1), index.generation(0x1010));
        assert!(fresh.valid.load(Ordering::SeqCst) && index.find(0x1010, 0x8010, 1).is_some());
    }

    #[test]
    fn generated_code_is_found_by_place_and_chunk() {
        let index = CodeIndex::new(1 << 20);
        let block = |offset, chunk| NativeBlock {
            code: 0x10_0000 + usize::from(offset),
            chunk,
            into: chunk,
            insns: 1,
            offset,
            entry: offset,
            tier: Tier::Warm,
        };
        let (from, mut none) = (Places::default(), Replaced::new());
        let made = [block(0x20, 1), block(0x10, 1), block(0x18, 2), block(0x20, 3)];
        assert!(index.insert_native(0x1010, 0x8000, 1, &from, false, made.into_iter(), 0, &mut none));
        assert_eq!(index.find_native(0x1018, 0x8000, 1), Some(block(0x18, 2)));
        assert_eq!(index.find_native(0x1020, 0x8000, 1), Some(block(0x20, 1)), "the first one stays");
        assert_eq!(
            [(0x1018, 0x8000, 2), (0x1018, 0x9000, 1), (0x101c, 0x8000, 1)].map(|(pa, view, mode)| index.find_native(pa, view, mode)),
            [None; 3]
        );
        let (mut replaced, hot) = (Replaced::new(), NativeBlock { tier: Tier::Hot, code: 1, ..block(0x18, 2) });
        let also = NativeBlock { tier: Tier::Hot, ..block(0x28, 2) };
        assert!(index.insert_native(0x1018, 0x8000, 1, &from, false, [hot, also].into_iter(), 0, &mut replaced));
        assert_eq!(replaced, [(block(0x18, 2).code, hot)], "hot code comes in the place of other code");
        assert_eq!(index.find_native(0x1018, 0x8000, 1), Some(hot));
        let again = NativeBlock { code: 2, ..hot };
        assert!(index.insert_native(0x1018, 0x8000, 1, &from, false, [again].into_iter(), 0, &mut none));
        assert_eq!(index.find_native(0x1018, 0x8000, 1), Some(hot), "but once");
        let mut places = Places::default();
        index.places(0x1000, 0x8000, 1, Tier::Warm, &mut places);
        assert_eq!([0x10, 0x18, 0x20, 0x1c].map(|at| places.has(at)), [true, true, true, false]);
        index.places(0x1000, 0x8000, 1, Tier::Hot, &mut places);
        assert_eq!([0x10, 0x18, 0x20, 0x28].map(|at| places.has(at)), [false, true, false, true], "those of the tier");
        assert!(!index.elsewhere(0x1000, 0x8fff) && index.elsewhere(0x1000, 0x9000) && index.elsewhere(0x1000, 0x8000));
        let code = block(0x30, 5);
        assert!(index.insert_native(0x1030, moving(0x9030), 1, &from, false, [code].into_iter(), 0, &mut none));
        let entry = NativeBlock { chunk: 4, ..code };
        assert!(index.insert_entry(0x1030, 0x9030, 1, entry, 0, code, &mut none));
        assert_eq!(index.find_native(0x1030, fixed(0x9030), 1), Some(entry));
        assert!(!index.insert_entry(0x1030, 1 << 63 | 0x30, 1, entry, 0, code, &mut none), "the other half of the address space");
        index.drop_chunk(5);
        assert!(!index.insert_entry(0x1030, 0xa030, 1, entry, 0, code, &mut none), "it is gone");
        assert_eq!(index.find_native(0x1030, fixed(0x9030), 1), None, "what goes on in a chunk goes with it");
        index.drop_chunk(1);
        assert_eq!([0x1010, 0x1018].map(|pa| index.find_native(pa, 0x8000, 1).is_some()), [false, true]);
        assert!(none.is_empty());
        let before = index.generation(0x1000);
        assert!(index.invalidate(0x1000) && !index.invalidate(0x1000));
        assert!(!index.insert_native(0x1010, 0x8000, 1, &from, false, made.into_iter(), before, &mut none));
        assert_eq!(index.find_native(0x1018, 0x8000, 1), None);
    }

    #[test]
    fn what_was_found_lately_is_what_the_index_has() {
        let index = CodeIndex::new(1 << 20);
        let (from, mut found, mut none) = (Places::default(), Found::default(), Replaced::new());
        let block = |code, chunk, tier| NativeBlock { code, chunk, into: chunk, insns: 1, offset: 0x10, entry: 0x10, tier };
        let (first, better) = (block(1, 1, Tier::Warm), block(2, 2, Tier::Hot));
        let mut ask = |pa, view, mode| {
            let known = index.find_again(&mut found, pa, view, mode);
            assert_eq!([known, index.find_again(&mut found, pa, view, mode)], [index.find_native(pa, view, mode); 2]);
            known
        };
        let mut add = |b| assert!(index.insert_native(0x1010, 0x8000, 1, &from, false, [b].into_iter(), index.generation(0x1010), &mut none));
        assert_eq!(ask(0x1010, 0x8000, 1), None);
        add(first);
        assert_eq!(ask(0x1010, 0x8000, 1), Some(first));
        assert_eq!([(0x1014, 0x8000, 1), (0x1010, 0x9000, 1), (0x1010, 0x8000, 2)].map(|(pa, view, mode)| ask(pa, view, mode)), [None; 3]);
        add(better);
        assert_eq!(ask(0x1010, 0x8000, 1), Some(better), "it made way");
        index.drop_chunk(2);
        assert_eq!(ask(0x1010, 0x8000, 1), None);
        for forget in [
            |i: &CodeIndex| i.clear(),
            |i: &CodeIndex| assert!(i.invalidate(0x1000)),
            |i: &CodeIndex| assert!(i.change(0x1010, 8, || ()).invalidated),
        ] {
            add(first);
            assert_eq!(ask(0x1010, 0x8000, 1), Some(first));
            // A change is one of the bytes that code was made from.
            let mut all = Places::default();
            all.add_range(0, PAGE_SIZE);
            assert!(index.insert_native(0x1010, 0x8000, 1, &all, true, std::iter::empty(), index.generation(0x1010), &mut Replaced::new()));
            forget(&index);
            assert_eq!(ask(0x1010, 0x8000, 1), None);
        }
        add(first);
        assert!(index.insert_native(0x1010, 0x8000, 1, &from, true, std::iter::empty(), index.generation(0x1010), &mut Replaced::new()));
        assert_eq!(ask(0x1010, 0x8000, 1), Some(first));
        assert_eq!(index.drop_alone(), [0x1000]);
        assert_eq!(ask(0x1010, 0x8000, 1), None);
    }

    #[test]
    fn changes_beside_code_leave_it_alone_and_pages_written_often_stay_tracked() {
        let index = CodeIndex::new(1 << 20);
        let mut from = Places::default();
        from.add_range(0x100, 0x20);
        let make = || {
            let block = NativeBlock { code: 1, chunk: 0, into: 0, insns: 1, offset: 0x100, entry: 0x100, tier: Tier::Warm };
            assert!(index.insert_native(0x1100, 0x8000, 0, &from, false, [block].into_iter(), index.generation(0x1100), &mut Replaced::new()));
        };
        let change = |pa, len| {
            let mut cleared = false;
            let change = index.change(pa, len, || cleared = true);
            assert_eq!(cleared, change.untracked);
            (change.invalidated, change.untracked)
        };
        make();
        assert_eq!([change(0x10f8, 8), change(0x1120, 8)], [(false, false); 2], "beside it");
        for (pa, len) in [(0x10f9, 8), (0x111f, 1)] {
            make();
            assert_eq!(change(pa, len), (true, true), "one byte of it");
            assert_eq!(change(pa, len), (false, true), "there is nothing any more");
        }
        make();
        assert!(!index.is_rewritten(0x1108));
        assert_eq!(change(0x1108, 4), (true, false), "stores stay tracked");
        assert!(index.is_rewritten(0x1108) && !index.is_rewritten(0x2108));
        make();
        assert_eq!(change(0x1108, 4), (true, false));
        for _ in 0..STORES_MAX {
            assert_eq!(change(0x1108, 4), (false, false));
        }
        assert_eq!(change(0x1108, 4), (false, true), "until it is data again");
        assert!(!index.is_rewritten(0x1108));
        make();
        for _ in 0..BESIDE_MAX {
            assert_eq!(change(0x1200, 4), (false, false));
        }
        assert_eq!(change(0x1200, 4), (true, true), "too many stores beside the code");
    }

    #[test]
    fn maintenance_throws_away_what_may_be_of_old_bytes() {
        let index = CodeIndex::new(1 << 20);
        let mut from = Places::default();
        from.add_range(0x100, 0x20);
        let make = |pa, generation| {
            let block = NativeBlock { code: 1, chunk: 0, into: 0, insns: 1, offset: 0x100, entry: 0x100, tier: Tier::Warm };
            index.insert_native(pa, 0x8000, 0, &from, false, [block].into_iter(), generation, &mut Replaced::new())
        };
        let has = |pa| index.find_native(pa, 0x8000, 0).is_some();
        // Another page of the same shard.
        let (first, second) = (0x1100, 0x1100 + SHARDS as u64 * PAGE_SIZE);
        for pa in [first, second] {
            assert!(make(pa, index.generation(pa)));
        }
        assert!(!index.maintain(first, 64) && !index.maintain_all() && has(first), "nobody has stored");
        let change = |pa| index.change(pa, 4, || ());
        assert_eq!(change(first + 0x40), Change { invalidated: false, untracked: false });
        let before = index.generation(first);
        assert!(!index.maintain(second, 64) && !index.maintain(first + 0x40, 64), "other bytes");
        assert!(!make(first, before), "what was being made");
        assert!(index.maintain(first, 64) && !has(first) && has(second));
        assert!(!index.maintain(first, 64));
        assert!(make(first, index.generation(first)));
        assert!(index.maintain_all() && !has(first) && has(second), "what was stored to stays noted");
        assert!(make(first, index.generation(first)));
        assert_eq!(change(first), Change { invalidated: true, untracked: true });
        assert!(make(first, index.generation(first)));
        assert!(!index.maintain(first, 64) && !index.maintain_all() && has(first), "but is not once nobody watches the page");
        for _ in 1..OFTEN {
            make(first, index.generation(first));
            change(first);
        }
        assert!(index.is_rewritten(first) && make(first, index.generation(first)) && index.maintain(first, 64), "it stays watched");
        for page in 0..=STORED_MAX as u64 {
            index.shard(second).stored.add(page);
        }
        assert!(index.maintain(second, 64), "there are too many to know");
    }

    #[test]
    fn stays_below_its_limit() {
        let index = CodeIndex::new(10_000);
        for i in 0..1000 {
            index.insert(i << 12, block(i, 0), index.generation(i << 12));
        }
        assert!(index.flushed.load(Ordering::Relaxed) > 5);
        assert!(index.bytes.load(Ordering::Relaxed) <= 10_000 + size_of::<Block>());
    }
}
