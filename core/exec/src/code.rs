//! Translated code: blocks by the physical page that they were made from.
//!
//! A block is keyed by virtual address, physical address and mode key. Where a page is executed at several virtual addresses its code is made
//! so that it can move: such a block is keyed by [`moving`], and each address has an entry of its own that says where it is and goes there.
//!
//! A block's page is marked as holding code before its bytes are read, so that
//! every later store to the page is seen. A write to the page, from whichever side, takes the page's blocks out of the index and marks them
//! invalid; CPUs look at that mark each time they enter a block.

use emu_interp::{FastBlock, Step};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A translated block.
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
    /// The part of the code cache that it lies in, if it is generated code.
    pub chunk: u32,
    /// The part that it goes on in, if it is the entry of code that moves; else the same.
    pub into: u32,
    /// False once its guest code has changed.
    pub valid: AtomicBool,
}

/// A block's ops, ready to run one way or the other.
pub enum Body {
    /// For the interpreter's fast loop.
    Fast(FastBlock),
    /// For the plain one (`EMU_INTERP=plain`).
    Plain(Box<[Step]>),
    /// Generated code at this address.
    Native(usize),
}

impl Block {
    fn bytes(&self) -> usize {
        size_of::<Block>()
            + match &self.body {
                Body::Fast(b) => b.bytes(),
                Body::Plain(steps) => size_of_val(&**steps),
                Body::Native(_) => 0,
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

/// The blocks of a page.
#[derive(Default)]
struct Page {
    blocks: Map<(u64, u64), Arc<Block>>,
    /// The virtual address of the page when its first block was made.
    at: u64,
    /// It has been executed at another as well.
    several: bool,
}

/// In the place of the virtual address of a block that can move: where it is in its page and in which half of the address space. No instruction
/// has an odd address, in a target with such blocks.
pub fn moving(va: u64) -> u64 {
    va & (1 << 63 | 0xfff) | 1
}

const SHARDS: usize = 64;

/// All blocks of a machine.
pub struct CodeIndex {
    shards: [Mutex<Map<u64, Page>>; SHARDS],
    /// Counts the invalidations of each shard.
    generations: [AtomicU64; SHARDS],
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
            shards: std::array::from_fn(|_| Mutex::default()),
            generations: std::array::from_fn(|_| AtomicU64::new(0)),
            bytes: AtomicUsize::new(0),
            limit,
            translated: AtomicU64::new(0),
            insns: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
        }
    }
    fn shard(&self, pa: u64) -> MutexGuard<'_, Map<u64, Page>> {
        self.shards[(pa >> 12) as usize % SHARDS].lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Holds everything, over a fork.
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.shards.iter().map(|s| s.lock().unwrap_or_else(|e| e.into_inner())).collect::<Vec<_>>()
    }
    /// The block at a physical address for a virtual address and mode.
    pub fn find(&self, pa: u64, va: u64, mode: u64) -> Option<Arc<Block>> {
        self.shard(pa).get(&(pa >> 12))?.blocks.get(&(va, mode)).cloned()
    }
    /// True if the page has been executed at another virtual address than this one.
    pub fn elsewhere(&self, pa: u64, va: u64) -> bool {
        let mut shard = self.shard(pa);
        let Some(page) = shard.get_mut(&(pa >> 12)) else { return false };
        page.several |= page.at != va >> 12;
        page.several
    }
    /// To be asked before the bytes of a block are read, and given to `insert`.
    pub fn generation(&self, pa: u64) -> u64 {
        self.generations[(pa >> 12) as usize % SHARDS].load(Ordering::SeqCst)
    }
    /// Adds a block made from physical address `pa`; if there is one already, that one stays. If code was invalidated since `generation` was
    /// asked for, the block may be of old bytes that nobody watches any more: it is not kept, and good for one run only.
    pub fn insert(&self, pa: u64, block: Block, generation: u64) -> Arc<Block> {
        self.insert_if(pa, block, generation, || true)
    }
    /// The same for the entry of `code`, a block that moves, of the same page.
    pub fn insert_entry(&self, pa: u64, block: Block, generation: u64, code: &Block) -> Arc<Block> {
        self.insert_if(pa, block, generation, || code.valid.load(Ordering::SeqCst))
    }
    /// `still` is asked while nobody can take blocks out of the page.
    fn insert_if(&self, pa: u64, block: Block, generation: u64, still: impl FnOnce() -> bool) -> Arc<Block> {
        if self.bytes.load(Ordering::Relaxed) > self.limit {
            // This block goes with the rest, for its generation is over.
            self.drop_interpreted();
            self.flushed.fetch_add(1, Ordering::Relaxed);
        }
        self.translated.fetch_add(1, Ordering::Relaxed);
        let key = (block.va, block.mode);
        let mut shard = self.shard(pa);
        if self.generation(pa) != generation || !still() {
            block.valid.store(false, Ordering::SeqCst);
            return Arc::new(block);
        }
        let page = shard.entry(pa >> 12).or_insert_with(|| Page { at: block.va >> 12, ..Page::default() });
        match page.blocks.entry(key) {
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
            self.generations[(pa >> 12) as usize % SHARDS].fetch_add(1, Ordering::SeqCst);
            shard.remove(&(pa >> 12))
        };
        let Some(page) = page else { return false };
        self.invalidated.fetch_add(1, Ordering::Relaxed);
        self.drop_page(page);
        true
    }
    fn drop_page(&self, page: Page) {
        for block in page.blocks.into_values() {
            block.valid.store(false, Ordering::SeqCst);
            self.bytes.fetch_sub(block.bytes(), Ordering::Relaxed);
        }
    }
    /// Drops the blocks that `go` names.
    fn drop_where(&self, go: impl Fn(&Block) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(|e| e.into_inner());
            shard.retain(|_, page| {
                page.blocks.retain(|_, block| {
                    let going = go(block);
                    if going {
                        block.valid.store(false, Ordering::SeqCst);
                        self.bytes.fetch_sub(block.bytes(), Ordering::Relaxed);
                    }
                    !going
                });
                !page.blocks.is_empty()
            });
        }
    }
    /// Drops the blocks whose code lies in a chunk.
    pub fn drop_chunk(&self, chunk: u32) {
        self.drop_where(|block| (block.chunk == chunk || block.into == chunk) && matches!(block.body, Body::Native(_)));
    }
    /// Invalidates the blocks that are not generated code: no CPU has those anywhere else.
    pub fn drop_interpreted(&self) {
        // Those that are being made now go too.
        for generation in &self.generations {
            generation.fetch_add(1, Ordering::SeqCst);
        }
        self.drop_where(|block| !matches!(block.body, Body::Native(_)));
    }
    /// Invalidates everything.
    pub fn clear(&self) {
        for (shard, generation) in self.shards.iter().zip(&self.generations) {
            let pages = {
                let mut shard = shard.lock().unwrap_or_else(|e| e.into_inner());
                generation.fetch_add(1, Ordering::SeqCst);
                std::mem::take(&mut *shard)
            };
            pages.into_values().for_each(|p| self.drop_page(p));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(va: u64, mode: u64) -> Block {
        Block { va, mode, body: Body::Plain(Box::new([])), vl: 0, insns: 1, chunk: 0, into: 0, valid: AtomicBool::new(true) }
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
    fn stays_below_its_limit() {
        let index = CodeIndex::new(10_000);
        for i in 0..1000 {
            index.insert(i << 12, block(i, 0), index.generation(i << 12));
        }
        assert!(index.flushed.load(Ordering::Relaxed) > 5);
        assert!(index.bytes.load(Ordering::Relaxed) <= 10_000 + size_of::<Block>());
    }
}
