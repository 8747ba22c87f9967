//! Code that is come to for the first time is run by the interpreter, straight from its ops.
//!
//! Much code is run once: most of a boot, of a start of a program. To verify its ops and carry them out one by one takes a fraction of the time
//! that it takes to make code of them, and nothing is kept that would have to be found again, watched or thrown away. So a CPU that comes to a
//! place without code looks whether any has been there before. If so, code is made; if not, it notes the place and goes through the block there
//! where it stands, as often as it comes to another such place.
//!
//! Places are noted by a hash each, in a table in which one may push another out. Now and then who finds another's makes code at once, so that no
//! two places are interpreted in turn for ever. What is noted says nothing of what lies there: it may be other code by now, in another address space, which
//! then is made without having been run.
//!
//! Once is enough: with the ops kept to be run two, three, four or six times before code is made, a boot makes 8 to 13 % less of it and takes 1.00 to
//! 1.03 of the time (+-0.02), for each run takes what is saved by it.
//!
//! Code is then made of what has been run ([`Notes::has`]), not of the ways beside, most of which are never gone: half as much for a compiler, which is
//! as fast with it, since what goes on only one way is in one unit.
//!
//! Places are physical ones: what one process has run, whether a library or a program, is not new to the next, which has it at another address. Where
//! there is code that moves by then it is entered without an entry of its own, of which there would be one for each place and process; only who comes
//! to the address a second time gets one.
//!
//! Bytes are read when they are run, so that nobody has to be told of changes. Where they do change again and again, places are interpreted more often
//! than once: see `rewritten`. There is none of it under `-icount`, where instructions are counted
//! by code, nor where the log or the environment asks for code.

use crate::code::{NativeBlock, Tier, fixed, moving};
use crate::kept::{Looked, PageKey};
use crate::machine::Machine;
use crate::memory::Running;
use crate::native::Native;
use crate::region::{NEXT_PAGE_BYTES, PIECE_INSNS_MAX};
use crate::rewritten::{Place, Rewritten};
use crate::vcpu::{SLOTS, Vcpu, count};
use emu_interp::Step;
use emu_ir::{InsnMark, OwnedIrBuf, Verifier};
use emu_mem::PAGE_SIZE;
use emu_plugins_api::{BlockRequest, Slice};
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// log2 of the number of places that are noted.
const PLACES_BITS: u32 = 16;

/// Of so many places that find another's one is made code of.
const CONFLICTS_MAX: u32 = 256;

/// What a CPU has for it.
pub(crate) struct Once {
    /// By virtual address: where code that moves was entered.
    entered: Notes,
    /// Places of pages whose code changes again and again.
    rewritten: Rewritten,
    buf: OwnedIrBuf,
    verifier: Verifier,
    marks: Vec<InsnMark>,
    code: [u8; PIECE_INSNS_MAX as usize * 4 + 16],
}

impl Default for Once {
    fn default() -> Self {
        Once {
            entered: Notes::default(),
            rewritten: Rewritten::default(),
            buf: OwnedIrBuf::new(0),
            verifier: Verifier::default(),
            marks: Vec::new(),
            code: [0; PIECE_INSNS_MAX as usize * 4 + 16],
        }
    }
}

/// Places that are noted, by one CPU or by all of a machine. Any thread may add and look: a place that is lost or noted twice by a race is
/// interpreted once more or made at once.
pub(crate) struct Notes {
    /// A hash of the place noted at each entry, 0 for none.
    places: Box<[AtomicU32]>,
    /// How often there was another one.
    conflicts: AtomicU32,
}

impl Default for Notes {
    fn default() -> Self {
        // The host gives memory to what is used.
        // SAFETY: zeroes are an atomic.
        let places = unsafe { Box::new_zeroed_slice(1 << PLACES_BITS).assume_init() };
        Notes { places, conflicts: AtomicU32::new(0) }
    }
}

impl Notes {
    fn place(at: u64, mode: u64) -> (usize, u32) {
        let hash = (at ^ mode.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash >> (64 - PLACES_BITS)) as usize, hash as u32 | 1)
    }
    /// Notes a place; true if it was not noted before.
    fn add(&self, at: u64, mode: u64) -> bool {
        let (place, hash) = Notes::place(at, mode);
        let before = self.places[place].load(Ordering::Relaxed);
        if before == hash {
            return false;
        }
        self.places[place].store(hash, Ordering::Relaxed);
        before == 0 || !(self.conflicts.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(CONFLICTS_MAX)
    }
    /// True if a place has been noted, and that is still known.
    pub(crate) fn has(&self, at: u64, mode: u64) -> bool {
        let (place, hash) = Notes::place(at, mode);
        self.places[place].load(Ordering::Relaxed) == hash
    }
}

/// What became of a place.
pub(crate) enum Tried {
    /// Code is to be made, or a fault.
    No,
    /// There is code; true if the CPU's jump cache may know.
    Known(NativeBlock, bool),
    /// The block was run; the CPU is elsewhere.
    Done,
    /// It was run, and the CPU stops.
    Leaves,
}

impl Vcpu {
    /// Whether what is at `pc` is interpreted at first. Where an earlier process of the program has left code it is not: later ones would never find
    /// it made.
    pub(crate) fn tries(&self, machine: &Machine, native: &Native, pc: u64) -> bool {
        let kept = machine.user.as_ref().is_some_and(|u| machine.kept().is_some_and(|k| k.has_some()) && u.may_keep_page(pc));
        native.tries && !kept && !machine.trace.any_translation()
    }
    /// Runs the block at `pc` if the CPU has not been there, or its code changes again and again, and there is no code for it.
    pub(crate) fn run_once(&self, machine: &Machine, native: &Native, pc: u64, mode: u64) -> Tried {
        let insn_bytes = u64::from(self.arch.layout().insn_bytes.max(1));
        // Faults are for who makes code.
        let Ok((pa, attrs)) = self.fetch(machine, pc, mode) else { return Tried::No };
        if pc & (insn_bytes - 1) != 0 {
            return Tried::No;
        }
        let place = Place { pc, mode, pa, attrs };
        // The block may have the CPU do anything, but nothing that comes back here.
        let mut once = self.once().take().unwrap_or_default();
        let tried = self.try_place(machine, native, &mut once, &place);
        *self.once() = Some(once);
        tried
    }

    /// Code that was made of a page for another address and goes here too.
    fn code_that_moves(&self, machine: &Machine, native: &Native, place: &Place, key: u64) -> Option<NativeBlock> {
        let Place { pc, pa, .. } = *place;
        if machine.user.is_some() || !native.may_move(self.cluster, pc) {
            return None;
        }
        self.known_view(machine, pa, moving(pc), key)
    }

    /// Takes the code of a machine's page that earlier processes have kept, if it has not been looked for. True if the page was watched for that.
    fn take_kept(&self, machine: &Machine, native: &Native, place: &Place, key: u64) -> bool {
        let Place { pc, mode, pa, .. } = *place;
        let Some(store) = machine.keeps(pc).filter(|k| k.has_some()) else { return false };
        let at = Looked { pa: fixed(pa), va: moving(pc), key };
        if machine.user.is_some() || !native.may_move(self.cluster, pc) || store.has_looked(&at) {
            return false;
        }
        // Where nothing is kept the page is not watched either, for it may be data but for a few instructions.
        let mut page = [0; PAGE_SIZE as usize];
        if !read(machine, at.pa, &mut page) {
            return false;
        }
        let kept = PageKey::new(at.va, key, &page);
        if !store.look(at, &kept) || !store.has(&kept) {
            return false;
        }
        if let Ok((pa, attrs)) = self.fetch_watched(machine, pc, mode)
            && let Some(wanted) = self.wanted(machine, pc, mode, self.block_key(mode, attrs), pa, attrs, Tier::Brief)
        {
            self.with_generator(native, |g| g.take(machine, native, store, &wanted));
        }
        true
    }

    fn try_place(&self, machine: &Machine, native: &Native, once: &mut Once, place: &Place) -> Tried {
        let key = self.block_key(place.mode, place.attrs);
        let mut changed = false;
        if let Some(kept) = once.rewritten.find(place) {
            let now = &mut once.code[..kept.bytes.len()];
            let same = read(machine, place.pa, now) && *now == kept.bytes;
            if same && kept.count() {
                return self.run_steps(machine, place.mode, &kept.steps);
            }
            changed = !same && kept.change(now);
        }
        // (A page with code is watched.)
        if let Some(block) = self.known_code(machine, place.pc, place.pa, key) {
            return Tried::Known(block, true);
        }
        if changed {
            return self.run_ops(machine, once, place, true);
        }
        let moves = self.code_that_moves(machine, native, place, key);
        if moves.is_none() && self.take_kept(machine, native, place, key) {
            // Requests were served meanwhile: the page may be another one.
            if !self.fetch(machine, place.pc, place.mode).is_ok_and(|now| now == (place.pa, place.attrs)) {
                return Tried::No;
            }
            if let Some(block) = self.known_code(machine, place.pc, place.pa, key) {
                return Tried::Known(block, true);
            }
        }
        match moves {
            Some(block) if once.entered.add(place.pc, place.mode) => {
                // What its entry at this address would do.
                // SAFETY: this is the CPU's thread.
                unsafe { (*self.exchange()).page = place.pc & !(PAGE_SIZE - 1) };
                return Tried::Known(block, false);
            }
            Some(_) => return Tried::No,
            None => {}
        }
        if native.run.add(place.pa, place.mode) {
            let tried = self.run_ops(machine, once, place, false);
            if let (Some(user), false) = (&machine.user, matches!(tried, Tried::No)) {
                user.reports.note(place.pc, place.mode, false);
            }
            return tried;
        }
        let often = match &machine.user {
            Some(user) => user.is_rewritten(place.pa),
            None => machine.code.is_rewritten(place.pa),
        };
        // What is kept of it and has not changed has had its runs.
        if often && once.rewritten.find(place).is_none() && once.rewritten.has_room(place) {
            return self.run_ops(machine, once, place, true);
        }
        Tried::No
    }

    /// Translates the block at a place and runs it; `keep`: its ops are kept, or it is for who makes code.
    fn run_ops(&self, machine: &Machine, once: &mut Once, place: &Place, keep: bool) -> Tried {
        let Once { buf, verifier, marks, code, rewritten, .. } = once;
        let Place { pc, mode, pa, attrs } = *place;
        let in_page = PAGE_SIZE - (pa & (PAGE_SIZE - 1));
        let len = (in_page as usize).min(code.len());
        let code = &mut code[..len];
        if !read(machine, pa, code) {
            return Tried::No;
        }
        let mut next = [0; NEXT_PAGE_BYTES];
        let next_page = machine.guess_next_page(self, pa & !(PAGE_SIZE - 1), &mut next);
        let vl = self.arch.vector_bytes(mode);
        buf.clear();
        buf.vl = vl;
        let request = BlockRequest {
            pc,
            mode_key: mode,
            code: Slice::new(code),
            next_page: Slice::new(next_page),
            max_insns: PIECE_INSNS_MAX,
            page_attrs: attrs.into(),
        };
        let info = self.arch.translate(&request, buf);
        let layout = self.arch.layout();
        let slots = buf.next_slot;
        marks.clear();
        // What is too large or wrong is for who makes code, and has words for it.
        let fits = slots + 2 <= SLOTS;
        if !fits || verifier.run(buf.ops(), slots, vl, layout.size.into(), layout.helpers.get().len() as u32, marks).is_err() {
            return Tried::No;
        }
        let Some(steps) = emu_interp::prepare_here(buf.ops_mut()) else { return Tried::No };
        if keep {
            // Instructions of one size, at multiples of it, lie in one page; others may go on in the next, and are not kept.
            let whole = layout.insn_bytes >= 4 || u64::from(info.bytes) + NEXT_PAGE_BYTES as u64 <= in_page;
            if !rewritten.keep(*place, code.get(..info.bytes as usize).filter(|_| whole).unwrap_or_default(), steps) {
                return Tried::No;
            }
        }
        self.run_steps(machine, mode, steps)
    }

    /// Runs the steps of a block of a mode.
    fn run_steps(&self, machine: &Machine, mode: u64, steps: &[Step]) -> Tried {
        // SAFETY: this is the CPU's thread.
        let insns = unsafe {
            // Whoever leaves code for good owes the fence that its last store-release has put off.
            if std::mem::take(&mut (*self.exchange()).released) != 0 {
                fence(Ordering::SeqCst);
            }
            (*self.header()).insns
        };
        if machine.trace.each_block() {
            machine.trace_block(self);
        }
        count(&self.counters.first_runs);
        let mut r = Running { machine, vcpu: self, cpu: self.header(), insns, block_insns: 0 };
        // SAFETY: the slots (of which the block has no more than there are) are part of the CPU's memory, which only this thread uses.
        let outcome = unsafe {
            let slots = self.header().cast::<u8>().add(self.layout_of().slots as usize).cast::<u64>();
            emu_interp::run(steps, core::slice::from_raw_parts_mut(slots, SLOTS as usize), self.arch.vector_bytes(mode), &mut r)
        };
        let leaves = self.conclude(machine, &outcome, insns, None);
        // Generated code counts none either.
        // SAFETY: this is the CPU's thread.
        unsafe { (*self.header()).insns = insns };
        if leaves { Tried::Leaves } else { Tried::Done }
    }
}

/// Reads code from RAM or a program's memory; false if there is none.
fn read(machine: &Machine, pa: u64, code: &mut [u8]) -> bool {
    match &machine.user {
        Some(user) => user.read_page(pa, code),
        None => machine.space.find(pa).is_some_and(|h| h.window.readable().is_some()) && machine.space.read(pa, code) == 0,
    }
}
