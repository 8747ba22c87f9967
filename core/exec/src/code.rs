//! Translated code: blocks by the physical page that they were made from.
//!
//! A block is keyed by virtual address, physical address and mode key. Its page is marked as holding code before its bytes are read, so that
//! every later store to the page is seen. A write to the page, from whichever side, takes the page's blocks out of the index and marks them
//! invalid; CPUs look at that mark each time they enter a block.

use emu_interp::Step;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A translated block.
pub struct Block {
    /// Virtual address.
    pub va: u64,
    /// Mode key.
    pub mode: u64,
    /// Ops, ready to run.
    pub steps: Box<[Step]>,
    /// Value slots needed.
    pub slots: u32,
    /// Vector length in bytes.
    pub vl: u32,
    /// Number of instructions.
    pub insns: u32,
    /// False once its guest code has changed.
    pub valid: AtomicBool,
}

impl Block {
    fn bytes(&self) -> usize {
        size_of::<Block>() + self.steps.len() * size_of::<Step>()
    }
}

type Page = HashMap<(u64, u64), Arc<Block>>;

const SHARDS: usize = 64;

/// All blocks of a machine.
pub struct CodeIndex {
    shards: [Mutex<HashMap<u64, Page>>; SHARDS],
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
            bytes: AtomicUsize::new(0),
            limit,
            translated: AtomicU64::new(0),
            insns: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
        }
    }
    fn shard(&self, pa: u64) -> MutexGuard<'_, HashMap<u64, Page>> {
        self.shards[(pa >> 12) as usize % SHARDS].lock().unwrap_or_else(|e| e.into_inner())
    }
    /// The block at a physical address for a virtual address and mode.
    pub fn find(&self, pa: u64, va: u64, mode: u64) -> Option<Arc<Block>> {
        self.shard(pa).get(&(pa >> 12))?.get(&(va, mode)).cloned()
    }
    /// Adds a block made from physical address `pa`; if there is one already, that one stays.
    pub fn insert(&self, pa: u64, block: Block) -> Arc<Block> {
        if self.bytes.load(Ordering::Relaxed) > self.limit {
            self.clear();
            self.flushed.fetch_add(1, Ordering::Relaxed);
        }
        self.translated.fetch_add(1, Ordering::Relaxed);
        self.insns.fetch_add(block.insns.into(), Ordering::Relaxed);
        self.bytes.fetch_add(block.bytes(), Ordering::Relaxed);
        let key = (block.va, block.mode);
        self.shard(pa).entry(pa >> 12).or_default().entry(key).or_insert_with(|| Arc::new(block)).clone()
    }
    /// Invalidates the blocks of a physical page.
    pub fn invalidate(&self, pa: u64) {
        let page = self.shard(pa).remove(&(pa >> 12));
        if let Some(page) = page {
            self.invalidated.fetch_add(1, Ordering::Relaxed);
            self.drop_page(page);
        }
    }
    fn drop_page(&self, page: Page) {
        for block in page.into_values() {
            block.valid.store(false, Ordering::SeqCst);
            self.bytes.fetch_sub(block.bytes(), Ordering::Relaxed);
        }
    }
    /// Invalidates everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            let pages = std::mem::take(&mut *shard.lock().unwrap_or_else(|e| e.into_inner()));
            pages.into_values().for_each(|p| self.drop_page(p));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(va: u64, mode: u64) -> Block {
        Block { va, mode, steps: Box::new([]), slots: 0, vl: 0, insns: 1, valid: AtomicBool::new(true) }
    }

    #[test]
    fn finds_and_invalidates_by_page() {
        let index = CodeIndex::new(1 << 20);
        let a = index.insert(0x1010, block(0x8010, 1));
        let b = index.insert(0x1010, block(0x9010, 1));
        let c = index.insert(0x2010, block(0x8010, 1));
        assert!(Arc::ptr_eq(&a, &index.insert(0x1010, block(0x8010, 1))), "the first one stays");
        assert!(index.find(0x1010, 0x8010, 2).is_none());
        index.invalidate(0x1fff);
        assert!(index.find(0x1010, 0x8010, 1).is_none());
        assert_eq!([&a, &b, &c].map(|b| b.valid.load(Ordering::SeqCst)), [false, false, true]);
        index.clear();
        assert!(!c.valid.load(Ordering::SeqCst));
    }

    #[test]
    fn stays_below_its_limit() {
        let index = CodeIndex::new(10_000);
        for i in 0..1000 {
            index.insert(i << 12, block(i, 0));
        }
        assert!(index.flushed.load(Ordering::Relaxed) > 5);
        assert!(index.bytes.load(Ordering::Relaxed) <= 10_000 + size_of::<Block>());
    }
}
