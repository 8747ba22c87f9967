//! Generated code that outlives its process: what a program or a machine ran is in a file when it is started again.
//!
//! A start is mostly code that runs once or twice, and much of its time goes into making that code. So a process that began a program, or runs a
//! machine, writes what it made to a file as it ends, and the next one takes code from there, a guest page's at a time, where it would have made
//! some.
//!
//! What is right to use is decided by contents, not by names: code is found by the page's place, the mode key and a hash of all of the page's
//! bytes, in a file that says with which emu, plugins, options and features of the host it was made ([`Identity`]); and it is used where the bytes
//! that it was made from are the same as those that there are.
//!
//! * Of a program the place is the address. So that addresses are the same the file also has the number ([`Kept::layout`]) from which the
//!   program's memory is laid out. Only code of pages that the program cannot write is kept.
//! * Of a machine, whose kernel chooses its addresses anew each time, the place is a half of the address space, and code is kept that says where in
//!   it addresses are ([`emu_x86_64::Position::Relocatable`]): they become those of where its page is now. So is all in the upper half, where
//!   kernels are, but pages that are executed at several addresses; of the lower half nothing is kept.
//! * Nothing is kept of an instruction that may lie across pages.
//! * Code that relies on being alone, on addresses without tags, or on where the guest's memory begins says so, and is used where that holds.
//! * The file is replaced as a whole, by a rename. Each page's part has a hash: what was damaged is not used.
//! * A file or folder that others can write is not used, nor one of another user's. Nothing is kept for a program that runs with others' rights.
//! * A file has about [`FILE_MAX`] bytes at most, a folder [`FOLDER_MAX`]; the files used least lately go first.

use crate::code::Tier;
use crate::machine::lock;
use crate::region::Places;
use crate::user::access;
use emu_mem::PAGE_SIZE;
use memmap2::Mmap;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The first bytes of a file, with the number of the format.
const MAGIC: &[u8; 8] = b"emucode3";
/// Bytes of a file's head: magic, identity, layout, number of pages, hash of the list of pages.
const HEAD: usize = 8 + 16 + 8 + 8 + 8;
/// Bytes of a row of the list.
const ROW: usize = 8 + 8 + 16 + 8 + 8 + 8;
/// Most bytes of a file of a program and of a machine, which is also what a process has of it in memory.
pub const FILE_MAX: usize = 160 << 20;
pub const MACHINE_FILE_MAX: usize = 96 << 20;
/// Most bytes of a folder.
pub const FOLDER_MAX: u64 = 1 << 30;
/// Pages that a list may have.
const PAGES_MAX: u64 = 1 << 20;
/// Making a region costs about as much as writing so many bytes of a file.
const BYTES_A_REGION: usize = 16 << 10;
/// A file is not written for fewer regions; a machine's, where nobody asked for it, not for fewer than that: what is tested for a moment leaves
/// no files.
const REGIONS_MIN: usize = 8;
const MACHINE_REGIONS_MIN: usize = 1024;
/// What a file may be over its limit by: its list, and the region that came last.
const SLACK: usize = 16 << 20;
/// Pages that are known to have been looked for.
const LOOKED_MAX: usize = 1 << 16;
/// What a file's time of use may be late by.
const USE: Duration = Duration::from_secs(3600);
/// How old a file that somebody meant to rename is left to be.
const ABANDONED: Duration = Duration::from_secs(600);
/// The end of the files' names.
const EXTENSION: &str = "code";
/// Of those that are being written.
const NEW: &str = "new";

/// What everything in a file depends on but the guest's bytes.
pub type Identity = u128;

/// What code is found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PageKey {
    /// Address of a program's page; of a machine's the view ([`crate::code::moving`]).
    pub va: u64,
    /// What the code index knows the mode by.
    pub key: u64,
    /// Hash of the page's bytes.
    pub hash: u128,
}

impl PageKey {
    /// The key of a page with these bytes.
    pub fn new(va: u64, key: u64, page: &[u8]) -> PageKey {
        PageKey { va, key, hash: xxh3_128(page) }
    }
}

/// What a region was made for, besides its page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Made {
    /// Tier.
    pub tier: Tier,
    /// The address of its page, from which its addresses are as far wherever that is.
    pub page: u64,
    /// It is right only while nobody else sees the guest's memory.
    pub alone: bool,
    /// It takes tags off addresses.
    pub tagged: bool,
    /// The guest's memory begins at a segment's base.
    pub segment: bool,
    /// Where in its page the first instruction is.
    pub entry: u16,
    /// Number of instructions.
    pub insns: u32,
}

/// Flags of a region in a file.
const ALONE: u8 = 1;
const TAGGED: u8 = 2;
const SEGMENT: u8 = 4;

/// Where a block is: offset in the page, instructions of its first run, offset in the code.
pub type BlockAt = (u16, u16, u32);

/// Two numbers of a region's lists: an offset in its code, and what is there.
pub type Pair = (u32, u32);

/// What a region consists of, for [`Kept::note`].
pub struct Parts<'a> {
    /// What for.
    pub made: Made,
    /// Its blocks.
    pub blocks: &'a mut dyn Iterator<Item = BlockAt>,
    /// The bytes of the page that it was made from.
    pub from: &'a Places,
    /// Displacements to numbered targets.
    pub outside: &'a mut dyn Iterator<Item = Pair>,
    /// Addresses of helpers, by number.
    pub helpers: &'a [Pair],
    /// Accesses that may fault, and the ways beside them.
    pub faults: &'a [Pair],
    /// Where addresses of the page are, of eight bytes.
    pub origins: &'a [u32],
    /// Where guest addresses are that change with the page's, of eight bytes.
    pub addresses: &'a [u32],
    /// The page's bytes.
    pub page: &'a [u8],
    /// The code, before anything in it was made to fit its place.
    pub code: &'a [u8],
}

/// A region as a file has it: a head of thirteen words, five lists of pairs of words, two of words, the guest's bytes, the code.
#[derive(Clone, Copy)]
pub struct Region<'a> {
    /// What for.
    pub made: Made,
    blocks: &'a [u8],
    from: &'a [u8],
    outside: &'a [u8],
    helpers: &'a [u8],
    faults: &'a [u8],
    origins: &'a [u8],
    addresses: &'a [u8],
    /// The guest's bytes that it was made from, run by run.
    source: &'a [u8],
    /// The code.
    pub code: &'a [u8],
    /// All of it.
    raw: &'a [u8],
}

/// Bytes of a region's head, and of a pair.
const REGION_HEAD: usize = 52;
const PAIR: usize = 8;

fn word(out: &mut Vec<u8>, v: u32) {
    out.extend(v.to_le_bytes());
}
fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}
fn long_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
fn pairs(list: &[u8]) -> impl Iterator<Item = Pair> {
    list.chunks_exact(PAIR).map(|p| (u32::from_le_bytes([p[0], p[1], p[2], p[3]]), u32::from_le_bytes([p[4], p[5], p[6], p[7]])))
}

fn words(list: &[u8]) -> impl Iterator<Item = u32> {
    list.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
}

impl Parts<'_> {
    /// Appends the region as a file has it.
    fn write(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + REGION_HEAD, 0);
        let mut counts = [0; 7];
        for (offset, insns, code) in self.blocks {
            word(out, u32::from(offset) | u32::from(insns) << 16);
            word(out, code);
            counts[0] += 1;
        }
        for (first, bytes) in self.from.runs() {
            word(out, first);
            word(out, bytes);
            counts[1] += 1;
        }
        let mut list = |n: usize, list: &mut dyn Iterator<Item = Pair>| {
            for (at, what) in list {
                word(out, at);
                word(out, what);
                counts[n] += 1;
            }
        };
        list(2, self.outside);
        list(3, &mut self.helpers.iter().copied());
        list(4, &mut self.faults.iter().copied());
        self.origins.iter().for_each(|at| word(out, *at));
        self.addresses.iter().for_each(|at| word(out, *at));
        (counts[5], counts[6]) = (self.origins.len() as u32, self.addresses.len() as u32);
        self.from.runs().for_each(|(first, bytes)| out.extend(&self.page[first as usize..(first + bytes) as usize]));
        out.extend(self.code);
        out.resize(out.len().next_multiple_of(4), 0);
        let m = self.made;
        let flags = u8::from(m.alone) * ALONE | u8::from(m.tagged) * TAGGED | u8::from(m.segment) * SEGMENT;
        let mut head = Vec::with_capacity(REGION_HEAD);
        word(&mut head, (out.len() - start) as u32);
        word(&mut head, u32::from_le_bytes([m.tier as u8, flags, m.entry as u8, (m.entry >> 8) as u8]));
        word(&mut head, m.insns);
        counts.iter().for_each(|c| word(&mut head, *c));
        word(&mut head, self.code.len() as u32);
        head.extend(m.page.to_le_bytes());
        out[start..start + head.len()].copy_from_slice(&head);
    }
}

impl<'a> Region<'a> {
    /// The region at the front of `bytes`, which is taken from there; `None` if that is none.
    pub fn take(bytes: &mut &'a [u8]) -> Option<Region<'a>> {
        let len = word_at(bytes, 0)? as usize;
        let (raw, behind) = bytes.split_at_checked(len)?;
        let mut rest = raw.get(REGION_HEAD..)?;
        let mut bytes_of = |bytes: usize| {
            let (list, behind) = rest.split_at_checked(bytes)?;
            rest = behind;
            Some(list)
        };
        let count = |n: usize| word_at(raw, 12 + 4 * n).map(|n| n as usize);
        let mut list = |n: usize, each: usize| bytes_of(count(n)?.checked_mul(each)?);
        let (blocks, from, outside) = (list(0, PAIR)?, list(1, PAIR)?, list(2, PAIR)?);
        let (helpers, faults, origins, addresses) = (list(3, PAIR)?, list(4, PAIR)?, list(5, 4)?, list(6, 4)?);
        let source = bytes_of(pairs(from).map(|(_, bytes)| bytes as usize).sum())?;
        let code = bytes_of(count(7)?)?;
        let tier = match raw[4] {
            0 => Tier::Brief,
            1 => Tier::Warm,
            2 => Tier::Hot,
            _ => return None,
        };
        let flag = |bit| raw[5] & bit != 0;
        let entry = u16::from_le_bytes([raw[6], raw[7]]);
        let made =
            Made { tier, page: long_at(raw, 44)?, alone: flag(ALONE), tagged: flag(TAGGED), segment: flag(SEGMENT), entry, insns: word_at(raw, 8)? };
        *bytes = behind;
        let region = Region { made, blocks, from, outside, helpers, faults, origins, addresses, source, code, raw };
        region.is_sound().then_some(region)
    }
    /// All offsets are inside.
    fn is_sound(&self) -> bool {
        let len = self.code.len();
        let room = |list: &[u8], bytes: usize| pairs(list).all(|(at, _)| at as usize <= len && len - at as usize >= bytes);
        u64::from(self.made.entry) < PAGE_SIZE
            && !self.blocks.is_empty()
            && self.blocks().all(|(offset, _, code)| u64::from(offset) < PAGE_SIZE && (code as usize) < len)
            && pairs(self.from).all(|(first, bytes)| bytes != 0 && u64::from(first) + u64::from(bytes) <= PAGE_SIZE)
            && room(self.outside, 4)
            && room(self.helpers, 8)
            && self.origins().chain(self.addresses()).all(|at| at as usize <= len && len - at as usize >= 8)
            && self.faults().all(|(at, way)| (at as usize) < len && (way as usize) < len)
    }
    /// Its blocks.
    pub fn blocks(&self) -> impl Iterator<Item = BlockAt> {
        pairs(self.blocks).map(|(a, code)| (a as u16, (a >> 16) as u16, code))
    }
    /// The bytes of the page that it was made from.
    pub fn from(&self) -> Places {
        let mut places = Places::default();
        pairs(self.from).for_each(|(first, bytes)| places.add_range(first.into(), bytes.into()));
        places
    }
    /// It was made from what these bytes of a page are.
    pub fn is_of(&self, page: &[u8]) -> bool {
        let mut rest = self.source;
        pairs(self.from).all(|(first, bytes)| {
            let (source, behind) = rest.split_at(bytes as usize);
            rest = behind;
            page.get(first as usize..(first + bytes) as usize) == Some(source)
        })
    }
    /// Where addresses of the page are.
    pub fn origins(&self) -> impl Iterator<Item = u32> {
        words(self.origins)
    }
    /// Where guest addresses are.
    pub fn addresses(&self) -> impl Iterator<Item = u32> {
        words(self.addresses)
    }
    /// Displacements to numbered targets.
    pub fn outside(&self) -> impl Iterator<Item = Pair> {
        pairs(self.outside)
    }
    /// Addresses of helpers.
    pub fn helpers(&self) -> impl Iterator<Item = Pair> {
        pairs(self.helpers)
    }
    /// Accesses that may fault.
    pub fn faults(&self) -> impl Iterator<Item = Pair> {
        pairs(self.faults)
    }
}

/// A page's regions without those in whose place better ones are, and those that are there twice; `None` if there are none of either.
fn without_replaced(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut regions) = (bytes, Vec::new());
    while let Some(r) = Region::take(&mut rest) {
        regions.push(r);
    }
    regions.sort_by_key(|r| std::cmp::Reverse(r.made.tier));
    let mut there = BTreeSet::new();
    let before = regions.len();
    regions.retain(|r| {
        let m = r.made;
        let place = |offset: u16, alone: bool| (offset, alone, m.tagged, m.segment);
        let replaced = r.blocks().all(|(offset, ..)| there.contains(&place(offset, false)) || m.alone && there.contains(&place(offset, true)));
        there.extend(r.blocks().filter(|_| !replaced).map(|(offset, ..)| place(offset, m.alone)));
        !replaced
    });
    (regions.len() < before || !rest.is_empty()).then(|| regions.iter().map(|r| r.raw).collect::<Vec<_>>().concat())
}

/// A page in the list of a file.
struct Row {
    page: PageKey,
    /// Where its regions are in the file, and their hash.
    at: usize,
    len: usize,
    check: u64,
    /// They were asked for.
    used: AtomicBool,
}

/// What this process has made.
#[derive(Default)]
struct Log {
    pages: BTreeMap<PageKey, Vec<u8>>,
    regions: usize,
    bytes: usize,
}

/// What code is kept of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// A program. Its descriptors are its own, so the file is in memory; the handler that a program needs for its faults sees those of the file.
    Program,
    /// A machine. `small`: of one that has hardly begun too.
    Machine {
        /// See above.
        small: bool,
    },
}

/// The file.
enum Bytes {
    Map(Mmap),
    File(File),
}

/// A page and a mode that code was looked for in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Looked {
    /// Physical address of the page.
    pub pa: u64,
    /// See [`PageKey`].
    pub va: u64,
    /// See [`PageKey`].
    pub key: u64,
}

/// Code of earlier processes of a program or machine, and of this one for later ones.
pub struct Kept {
    of: Of,
    file: PathBuf,
    identity: Identity,
    /// What addresses of the program are chosen by.
    pub layout: u64,
    bytes: Option<Bytes>,
    rows: Vec<Row>,
    /// Bytes of regions that are there, and that the file may have.
    all: usize,
    most: usize,
    /// What a machine's pages were looked for by.
    looked: Mutex<HashMap<Looked, u128>>,
    log: Mutex<Log>,
    /// The process that began the program: what it forks keeps nothing.
    pid: u32,
    /// This is a process that was forked: its locks are as they happened to be.
    forked: AtomicBool,
}

/// A file's head and list.
fn read_list(file: &mut File, identity: Identity, len: usize) -> Option<(u64, Vec<Row>)> {
    let mut head = [0; HEAD];
    file.read_exact(&mut head).ok()?;
    let pages = long_at(&head, 32).filter(|n| *n <= PAGES_MAX)? as usize;
    if head[..8] != *MAGIC || head[8..24] != identity.to_le_bytes() || HEAD + pages * ROW > len {
        return None;
    }
    let mut list = vec![0; pages * ROW];
    file.read_exact(&mut list).ok()?;
    if long_at(&head, 40)? != xxh3_64(&list) ^ long_at(&head, 24)? {
        return None;
    }
    let row = |r: &[u8]| {
        let page = PageKey { va: long_at(r, 0)?, key: long_at(r, 8)?, hash: u128::from_le_bytes(r.get(16..32)?.try_into().ok()?) };
        let (at, bytes) = (long_at(r, 32)? as usize, long_at(r, 40)? as usize);
        let inside = at.checked_add(bytes).is_some_and(|end| end <= len);
        inside.then_some(Row { page, at, len: bytes, check: long_at(r, 48)?, used: AtomicBool::new(false) })
    };
    Some((long_at(&head, 24)?, list.chunks_exact(ROW).map(row).collect::<Option<_>>()?))
}

/// Opens what is this user's alone.
fn open_own(path: &Path, folder: bool) -> std::io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | if folder { libc::O_DIRECTORY } else { 0 };
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    // SAFETY: looks at nothing.
    let own = about.uid() == unsafe { libc::geteuid() } && about.mode() & 0o022 == 0;
    if own && (folder || about.is_file()) { Ok(file) } else { Err(std::io::ErrorKind::PermissionDenied.into()) }
}

/// The program runs with others' rights than who started it.
fn is_secure() -> bool {
    // SAFETY: these look at nothing.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 || libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
}

impl Kept {
    /// What is kept in `folder` of a program or machine. `name` and `with` are texts that change when that does, or the emulator, its plugins and
    /// options. `None` if nothing shall be kept: the folder is not there, or not this user's alone.
    pub fn open(folder: &Path, of: Of, name: &str, with: &str) -> Option<Kept> {
        if is_secure() || open_own(folder, true).is_err() {
            return None;
        }
        let features = crate::native::features();
        let identity = xxh3_128(format!("{of:?} {name}\n{with}\n{features:?}\n{}", env!("CARGO_PKG_VERSION")).as_bytes());
        let file = folder.join(format!("{identity:032x}.{EXTENSION}"));
        let mut kept = Kept {
            of,
            file,
            identity,
            layout: 0,
            bytes: None,
            rows: Vec::new(),
            all: 0,
            most: if of == Of::Program { FILE_MAX } else { MACHINE_FILE_MAX },
            looked: Mutex::default(),
            log: Mutex::default(),
            pid: std::process::id(),
            forked: AtomicBool::new(false),
        };
        if kept.read().is_none() {
            let mut seed = [0; 8];
            rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).ok()?;
            kept.layout = u64::from_le_bytes(seed);
        }
        kept.all = kept.rows.iter().map(|r| r.len).sum();
        Some(kept)
    }
    /// Reads the file, if there is one that is as it should be.
    fn read(&mut self) -> Option<()> {
        let mut file = open_own(&self.file, false).ok()?;
        let about = file.metadata().ok()?;
        let len = usize::try_from(about.len()).ok().filter(|l| *l <= self.most + SLACK)?;
        let Some((layout, rows)) = read_list(&mut file, self.identity, len) else {
            log::warn!("{} is not what it should be and is not used", self.file.display());
            return None;
        };
        if about.modified().ok()?.elapsed().is_ok_and(|age| age > USE) {
            let _ = file.set_modified(SystemTime::now());
        }
        self.bytes = Some(match self.of {
            // SAFETY: the file is replaced, not changed; if somebody changes or cuts it all the same, it is read where a fault is an answer, and
            // what was read is looked at before it is used.
            Of::Program => Bytes::Map(unsafe { Mmap::map(&file) }.ok()?),
            Of::Machine { .. } => Bytes::File(file),
        });
        (self.layout, self.rows) = (layout, rows);
        Some(())
    }
    /// An earlier process has left something.
    pub fn has_some(&self) -> bool {
        !self.rows.is_empty()
    }
    /// The regions of a row.
    fn bytes_of(&self, row: &Row) -> Option<Vec<u8>> {
        let mut bytes = vec![0; row.len];
        let read = match self.bytes.as_ref()? {
            // SAFETY: the row lies in the mapping, whose faults come back as an answer.
            Bytes::Map(map) => unsafe { access::copy(bytes.as_mut_ptr(), map.as_ptr().cast_mut().add(row.at), row.len) == 0 },
            Bytes::File(file) => file.read_exact_at(&mut bytes, row.at as u64).is_ok(),
        };
        (read && xxh3_64(&bytes) == row.check).then_some(bytes)
    }
    /// True if something is kept of a page.
    pub fn has(&self, page: &PageKey) -> bool {
        self.rows.binary_search_by_key(page, |r| r.page).is_ok()
    }
    /// True if a page has been looked for, with whatever bytes.
    pub fn has_looked(&self, at: &Looked) -> bool {
        lock(&self.looked).contains_key(at)
    }
    /// A page is looked for: false if it was before, with the same bytes.
    pub fn look(&self, at: Looked, page: &PageKey) -> bool {
        let mut looked = lock(&self.looked);
        if looked.len() >= LOOKED_MAX {
            looked.clear();
        }
        looked.insert(at, page.hash) != Some(page.hash)
    }
    /// What is kept of a page, for [`Region::take`].
    pub fn page(&self, page: &PageKey) -> Option<Vec<u8>> {
        let row = &self.rows[self.rows.binary_search_by_key(page, |r| r.page).ok()?];
        row.used.store(true, Ordering::Relaxed);
        self.bytes_of(row)
    }
    /// This is a forked child from now on: it uses what is kept, and keeps nothing.
    pub fn forked(&self) {
        self.forked.store(true, Ordering::SeqCst);
    }
    /// A region was made.
    pub fn note(&self, page: PageKey, region: Parts<'_>) {
        if self.forked.load(Ordering::SeqCst) {
            return;
        }
        let mut log = lock(&self.log);
        // What is there makes room for as much as half of it.
        if log.bytes >= self.most.saturating_sub(self.all).max(self.most / 2) {
            return;
        }
        let of_page = log.pages.entry(page).or_default();
        let before = of_page.len();
        region.write(of_page);
        let bytes = of_page.len() - before;
        (log.bytes, log.regions) = (log.bytes + bytes, log.regions + 1);
    }
    /// The program or machine ends: writes the file again if much is new. What goes wrong is no concern of the guest's.
    pub fn save(&self) {
        // Nor a process that lives in this one's memory.
        if self.forked.load(Ordering::SeqCst) || std::process::id() != self.pid {
            return;
        }
        // It stays: a program that cannot become another goes on.
        let log = lock(&self.log);
        let least = if self.of == (Of::Machine { small: false }) { MACHINE_REGIONS_MIN } else { REGIONS_MIN };
        if log.regions < least || log.regions * BYTES_A_REGION < self.all {
            return;
        }
        // What was not asked for goes when there is much, and what there is no room for.
        let mut left = (self.most + SLACK).saturating_sub(HEAD + log.pages.len() * ROW + log.bytes);
        let stays = |r: &&Row| {
            let stays = (self.all < self.most / 2 || r.used.load(Ordering::Relaxed)) && ROW + r.len <= left;
            left -= if stays { ROW + r.len } else { 0 };
            stays
        };
        let old = self.rows.iter().filter(stays).filter_map(|row| Some((row.page, self.bytes_of(row)?.into())));
        let mut pages: BTreeMap<PageKey, Cow<'_, [u8]>> = old.collect();
        for (page, new) in &log.pages {
            let both = match pages.remove(page) {
                Some(old) => [&*old, new].concat().into(),
                None => Cow::Borrowed(&**new),
            };
            pages.insert(*page, without_replaced(&both).map_or(both, Cow::Owned));
        }
        if let Err(e) = self.write(&pages).and_then(|()| make_room(&self.file, FOLDER_MAX)) {
            log::debug!("{}: {e}", self.file.display());
        }
    }
    fn write(&self, pages: &BTreeMap<PageKey, Cow<'_, [u8]>>) -> std::io::Result<()> {
        let mut at = HEAD + pages.len() * ROW;
        let mut list = Vec::with_capacity(at);
        for (page, bytes) in pages {
            [page.va, page.key].iter().for_each(|v| list.extend(v.to_le_bytes()));
            list.extend(page.hash.to_le_bytes());
            [at as u64, bytes.len() as u64, xxh3_64(bytes)].iter().for_each(|v| list.extend(v.to_le_bytes()));
            at += bytes.len();
        }
        if rustix::process::getrlimit(rustix::process::Resource::Fsize).current.is_some_and(|most| most < at as u64) {
            // It would be a signal.
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let mut head = MAGIC.to_vec();
        head.extend(self.identity.to_le_bytes());
        [self.layout, pages.len() as u64, xxh3_64(&list) ^ self.layout].iter().for_each(|v| head.extend(v.to_le_bytes()));
        let new = self.file.with_extension(format!("{}.{NEW}", self.pid));
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&new);
        let done = file.and_then(|file| {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            [&*head, &*list].into_iter().chain(pages.values().map(|bytes| &**bytes)).try_for_each(|bytes| out.write_all(bytes))?;
            out.flush()?;
            std::fs::rename(&new, &self.file)
        });
        if done.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        done
    }
}

/// Takes the files used least lately out of the folder of `file` if all together are too large, and what was abandoned.
fn make_room(file: &Path, most: u64) -> std::io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let Ok(about) = entry.metadata() else { continue };
        let age = about.modified().ok().and_then(|t| t.elapsed().ok()).unwrap_or_default();
        match path.extension().and_then(|e| e.to_str()) {
            Some(NEW) if age > ABANDONED => std::fs::remove_file(&path)?,
            Some(EXTENSION) => files.push((age, about.len(), path)),
            _ => {}
        }
    }
    let mut all: u64 = files.iter().map(|f| f.1).sum();
    if all <= most {
        return Ok(());
    }
    files.sort();
    while let Some((_, bytes, path)) = files.pop().filter(|_| all > most / 4 * 3) {
        std::fs::remove_file(path)?;
        all -= bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("emu-kept-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir(&path).expect("a folder");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).expect("its permissions");
            Folder(path)
        }
        fn open(&self) -> Kept {
            Kept::open(&self.0, Of::Program, "program", "with").expect("a folder of one's own")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const MADE: Made = Made { tier: Tier::Brief, page: 0x5000, alone: false, tagged: false, segment: false, entry: 8, insns: 3 };

    fn note(kept: &Kept, page: PageKey, made: Made, offsets: &[u16], code: &[u8]) {
        let mut from = Places::default();
        offsets.iter().for_each(|o| from.add_range(u64::from(*o), 8));
        let parts = Parts {
            made,
            blocks: &mut offsets.iter().enumerate().map(|(i, o)| (*o, 2, i as u32)),
            from: &from,
            outside: &mut [(1, 7)].into_iter(),
            helpers: &[(2, 9)],
            faults: &[(0, 3), (4, 5)],
            origins: &[6],
            addresses: &[1, 8],
            page: &[0x55; 4096],
            code,
        };
        kept.note(page, parts);
    }

    fn regions(bytes: &[u8]) -> Vec<Region<'_>> {
        let mut rest = bytes;
        std::iter::from_fn(|| Region::take(&mut rest)).collect()
    }

    /// A file with so many pages of a region each.
    fn filled(folder: &Folder, pages: u64) -> PageKey {
        let kept = folder.open();
        let page = |n: u64| PageKey::new(n << 12, 5, &[n as u8; 4096]);
        (0..pages).for_each(|n| note(&kept, page(n), MADE, &[8, 0x10, 0xff8], &[n as u8; 33]));
        kept.save();
        page(3)
    }

    #[test]
    fn what_one_process_has_made_another_finds() {
        let folder = Folder::new("finds");
        let page = filled(&folder, 20);
        let (first, kept) = (folder.open().layout, folder.open());
        assert_eq!(first, kept.layout, "addresses are chosen alike");
        let bytes = kept.page(&page).expect("the page");
        let [r] = regions(&bytes)[..] else { panic!("one region") };
        assert_eq!((r.made, r.code), (MADE, &[3; 33][..]));
        assert_eq!(r.blocks().collect::<Vec<_>>(), [(8, 2, 0), (0x10, 2, 1), (0xff8, 2, 2)]);
        assert_eq!(r.from().runs().collect::<Vec<_>>(), [(8, 16), (0xff8, 8)]);
        assert_eq!((r.outside().collect::<Vec<_>>(), r.helpers().collect::<Vec<_>>()), (vec![(1, 7)], vec![(2, 9)]));
        assert_eq!((r.origins().collect::<Vec<_>>(), r.addresses().collect::<Vec<_>>()), (vec![6], vec![1, 8]));
        let mut bytes = [0x55; 4096];
        (bytes[0], bytes[24]) = (1, 1);
        assert!(r.is_of(&bytes), "what it was made from is the same");
        for at in [8, 23, 0xff8, 0xfff] {
            bytes[at] = 1;
            assert!(!r.is_of(&bytes), "{at}");
            bytes[at] = 0x55;
        }
        assert_eq!(r.faults().collect::<Vec<_>>(), [(0, 3), (4, 5)]);
        for other in [PageKey { va: 0x4000, ..page }, PageKey { key: 6, ..page }, PageKey::new(page.va, page.key, &[4; 4096])] {
            assert!(kept.page(&other).is_none(), "{other:?}");
        }
        assert!(Kept::open(&folder.0, Of::Program, "program", "with other options").is_some_and(|k| k.page(&page).is_none()));
        assert!(Kept::open(&folder.0, Of::Program, "another program", "with").is_some_and(|k| k.page(&page).is_none()));
    }

    #[test]
    fn better_regions_replace_others_and_the_rest_stays() {
        let folder = Folder::new("better");
        let page = filled(&folder, 20);
        let kept = folder.open();
        note(&kept, page, Made { tier: Tier::Hot, ..MADE }, &[8, 0x10], &[77; 16]);
        note(&kept, page, Made { tier: Tier::Warm, alone: true, ..MADE }, &[8, 0xff8], &[78; 16]);
        (0..100).for_each(|n| note(&kept, PageKey { va: 0x9000, ..page }, Made { entry: n, ..MADE }, &[n], &[1; 16]));
        kept.save();
        let kept = folder.open();
        let bytes = kept.page(&page).expect("the page");
        let codes = |bytes: &[u8]| regions(bytes).iter().map(|r| r.code[0]).collect::<BTreeSet<_>>();
        assert_eq!(codes(&bytes), [3, 77, 78].into(), "what is right only while nobody looks is in nobody's place");
        note(&kept, page, Made { tier: Tier::Warm, ..MADE }, &[0x10, 0xff8], &[79; 16]);
        (0..100).for_each(|n| note(&kept, PageKey { va: 0x9000, ..page }, Made { entry: n, ..MADE }, &[n], &[1; 16]));
        kept.save();
        let kept = folder.open();
        assert_eq!(codes(&kept.page(&page).expect("the page")), [77, 78, 79].into());
        assert_eq!(regions(&kept.page(&PageKey { va: 0x9000, ..page }).expect("the other")).len(), 100, "what is there already stays once");
    }

    #[test]
    fn a_machine_leaves_what_is_worth_it() {
        let folder = Folder::new("machine");
        let page = |n: u64| PageKey::new(n << 12, 5, &[n as u8; 4096]);
        for (small, count, written) in [(false, MACHINE_REGIONS_MIN as u64 - 1, false), (false, MACHINE_REGIONS_MIN as u64, true), (true, 8, true)] {
            let open = || Kept::open(&folder.0, Of::Machine { small }, "machine", &count.to_string()).expect("a folder of one's own");
            let kept = open();
            (0..count).for_each(|n| note(&kept, page(n), MADE, &[8, 0x10, 0xff8], &[n as u8; 33]));
            kept.save();
            let kept = open();
            let found = kept.page(&page(3));
            assert_eq!((found.is_some(), kept.has_some(), kept.has(&page(3))), (written, written, written), "{small} {count}");
            assert!(found.is_none_or(|bytes| regions(&bytes).len() == 1));
        }
        let (kept, at) = (folder.open(), Looked { pa: 0x1000, va: 1, key: 5 });
        assert!(!kept.has_looked(&at) && kept.look(at, &page(1)) && kept.has_looked(&at));
        assert!(!kept.look(at, &page(1)) && kept.look(at, &page(2)) && kept.look(at, &page(1)), "other bytes are looked for again");
    }

    /// A file that is full, of what nobody asks for any more or of what somebody does, takes what is new.
    #[test]
    fn what_is_new_finds_room() {
        let folder = Folder::new("room");
        let page = |n: u64| PageKey::new(n << 12, 5, &[n as u8; 4096]);
        for asked in [false, true] {
            let open = || Kept::open(&folder.0, Of::Program, "program", &asked.to_string()).expect("a folder of one's own");
            for generation in 0..3 {
                let mut kept = open();
                kept.most = 16 << 10;
                if asked {
                    kept.rows.iter().for_each(|r| assert!(kept.page(&r.page).is_some()));
                }
                (0..1000).for_each(|n| note(&kept, page(generation * 1000 + n), MADE, &[8, 0x10, 0xff8], &[n as u8; 33]));
                kept.save();
                let now = open();
                let of = |generation: u64| (0..1000).filter(|n| now.has(&page(generation * 1000 + n))).count();
                assert!(of(generation) > 20 && now.all < 16 * 3 << 10, "{asked} {generation}: {} of {}", of(generation), now.all);
                let before = (0..generation).map(of).sum::<usize>();
                assert_eq!(before > 0, asked && generation > 0, "{asked} {generation}: {before}");
            }
        }
    }

    /// A program that could not become another goes on, and ends later.
    #[test]
    fn what_was_written_is_written_again_with_what_came_since() {
        let folder = Folder::new("again");
        let page = |n: u64| PageKey::new(n << 12, 5, &[n as u8; 4096]);
        let kept = folder.open();
        for pages in [0..20, 20..40] {
            pages.for_each(|n| note(&kept, page(n), MADE, &[8, 0x10, 0xff8], &[n as u8; 33]));
            kept.save();
        }
        let kept = folder.open();
        assert!((0..40).all(|n| kept.page(&page(n)).is_some()));
    }

    #[test]
    fn little_that_is_new_is_not_written() {
        let folder = Folder::new("little");
        let page = filled(&folder, 20);
        let before = std::fs::metadata(&folder.open().file).expect("the file").ino();
        let kept = folder.open();
        (0..REGIONS_MIN as u64 - 1).for_each(|n| note(&kept, PageKey { va: n << 20, ..page }, MADE, &[8], &[0; 16]));
        kept.save();
        assert_eq!(std::fs::metadata(&kept.file).expect("the file").ino(), before);
        // Nor by a forked child.
        let kept = folder.open();
        kept.forked();
        (0..100).for_each(|n| note(&kept, PageKey { va: n << 20, ..page }, MADE, &[8], &[0; 16]));
        kept.save();
        assert_eq!(std::fs::metadata(&kept.file).expect("the file").ino(), before);
    }

    /// Whatever happened to the file: what is found is what was noted, or nothing is.
    #[test]
    fn a_damaged_file_is_found_out() {
        let folder = Folder::new("damaged");
        let page = filled(&folder, 20);
        let file = folder.open().file;
        let good = std::fs::read(&file).expect("the file");
        let want = folder.open().page(&page).expect("the page");
        let (mut found, mut missing) = (0, 0);
        let mut look = |bytes: &[u8]| {
            std::fs::write(&file, bytes).expect("a damaged file");
            for n in 0..20 {
                let key = PageKey::new(n << 12, 5, &[n as u8; 4096]);
                match folder.open().page(&key) {
                    Some(bytes) if n == 3 => {
                        assert_eq!(bytes, want);
                        found += 1;
                    }
                    Some(bytes) => assert_eq!(regions(&bytes).len(), 1),
                    None => missing += 1,
                }
            }
        };
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            look(&bad);
        }
        for len in (0..good.len()).step_by(97) {
            look(&good[..len]);
        }
        assert!(found > 100 && missing > 100, "{found} {missing}");
        // A region that says nonsense about itself, with the right hash.
        let mut bytes = want.clone();
        for at in 0..bytes.len() {
            bytes[at] ^= 0xff;
            for r in regions(&bytes) {
                assert!(r.blocks().all(|(offset, _, code)| offset < 4096 && (code as usize) < r.code.len()), "{at}");
                assert!(r.outside().all(|(o, _)| o as usize + 4 <= r.code.len()) && r.helpers().all(|(o, _)| o as usize + 8 <= r.code.len()), "{at}");
            }
            bytes[at] ^= 0xff;
        }
    }

    #[test]
    fn what_others_can_write_is_not_used() {
        let folder = Folder::new("others");
        let page = filled(&folder, 20);
        let file = folder.open().file;
        let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("permissions");
        assert!(folder.open().page(&page).is_some());
        set(&file, 0o620);
        assert!(folder.open().page(&page).is_none());
        set(&file, 0o600);
        let link = folder.0.join("elsewhere");
        std::fs::rename(&file, &link).expect("a new name");
        std::os::unix::fs::symlink(&link, &file).expect("a link");
        assert!(folder.open().page(&page).is_none());
        set(&folder.0, 0o702);
        assert!(Kept::open(&folder.0, Of::Program, "program", "with").is_none());
        assert!(Kept::open(&folder.0.join("nothing"), Of::Program, "program", "with").is_none());
        set(&folder.0, 0o700);
    }

    #[test]
    fn a_folder_has_its_limit() {
        let folder = Folder::new("limit");
        let ages = [("a", 30), ("b", 10), ("c", 20)];
        for (name, age) in ages {
            let file = File::create(folder.0.join(name).with_extension(EXTENSION)).expect("a file");
            file.set_len(1000).expect("its size");
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("its age");
        }
        let abandoned = File::create(folder.0.join("x.1.new")).expect("a file");
        abandoned.set_modified(SystemTime::now() - 2 * ABANDONED).expect("its age");
        File::create(folder.0.join("y.2.new")).expect("a file");
        make_room(&folder.0.join("b.code"), 2900).expect("room");
        let mut left: Vec<_> = std::fs::read_dir(&folder.0).expect("the folder").flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["b.code", "c.code", "y.2.new"]);
    }
}
