//! Code that is come to for the first time is run by the interpreter, straight from its ops.
//!
//! Much code is run once: most of a boot, of a start of a program. To verify its ops and carry them out one by one takes a fraction of the time
//! that it takes to make code of them, and nothing is kept that would have to be found again, watched or thrown away. So a CPU that comes to a
//! place without code looks whether it has been there before. If so, code is made; if not, it notes the place and goes through the block there
//! where it stands, as often as it comes to another such place.
//!
//! Places are noted by a hash each, in a table in which one may push another out. Now and then who finds another's makes code at once, so that no
//! two places are interpreted in turn for ever. What is noted says nothing of what lies there: it may be other code by now, in another address space, which
//! then is made without having been run.
//!
//! Code is then made of what has been run ([`Once::has`]), not of the ways beside, most of which are never gone: half as much for a compiler, which is
//! as fast with it, since what goes on only one way is in one unit.
//!
//! Places are physical ones: what one process has run, whether a library or a program, is not new to the next, which has it at another address. Where
//! there is code that moves by then it is entered without an entry of its own, of which there would be one for each place and process; only who comes
//! to the address a second time gets one.
//!
//! Bytes are read when they are run, so that nobody has to be told of changes. There is none of it under `-icount`, where instructions are counted
//! by code, nor where the log or the environment asks for code.

use crate::code::{NativeBlock, moving};
use crate::machine::Machine;
use crate::memory::Running;
use crate::native::Native;
use crate::region::{NEXT_PAGE_BYTES, PIECE_INSNS_MAX};
use crate::vcpu::{SLOTS, Vcpu, count};
use emu_ir::{InsnMark, OwnedIrBuf, Verifier};
use emu_mem::PAGE_SIZE;
use emu_plugins_api::{BlockRequest, Slice};
use std::sync::atomic::{Ordering, fence};

/// log2 of the number of places that are noted.
const PLACES_BITS: u32 = 16;

/// Of so many places that find another's one is made code of.
const CONFLICTS_MAX: u32 = 256;

/// What a CPU has for it.
pub(crate) struct Once {
    /// By physical address: what has been run.
    run: Notes,
    /// By virtual address: where code that moves was entered.
    entered: Notes,
    buf: OwnedIrBuf,
    verifier: Verifier,
    marks: Vec<InsnMark>,
    code: [u8; PIECE_INSNS_MAX as usize * 4 + 16],
}

impl Default for Once {
    fn default() -> Self {
        Once {
            run: Notes::default(),
            entered: Notes::default(),
            buf: OwnedIrBuf::new(0),
            verifier: Verifier::default(),
            marks: Vec::new(),
            code: [0; PIECE_INSNS_MAX as usize * 4 + 16],
        }
    }
}

impl Once {
    /// True if what is at a physical address has been run, and that is still known.
    pub(crate) fn has(&self, pa: u64, mode: u64) -> bool {
        let (place, hash) = Notes::place(pa, mode);
        self.run.places[place] == hash
    }
}

/// Places that are noted.
struct Notes {
    /// A hash of the place noted at each entry, 0 for none.
    places: Vec<u32>,
    /// How often there was another one.
    conflicts: u32,
}

impl Default for Notes {
    fn default() -> Self {
        Notes { places: vec![0; 1 << PLACES_BITS], conflicts: 0 }
    }
}

impl Notes {
    fn place(at: u64, mode: u64) -> (usize, u32) {
        let hash = (at ^ mode.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash >> (64 - PLACES_BITS)) as usize, hash as u32 | 1)
    }
    /// Notes a place; true if it was not noted before.
    fn add(&mut self, at: u64, mode: u64) -> bool {
        let (place, hash) = Notes::place(at, mode);
        match std::mem::replace(&mut self.places[place], hash) {
            0 => true,
            before if before == hash => false,
            _ => {
                self.conflicts = self.conflicts.wrapping_add(1);
                self.conflicts % CONFLICTS_MAX != 0
            }
        }
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
        let kept = machine.user.as_ref().is_some_and(|u| u.kept().is_some_and(|k| k.has_some()) && u.may_keep_page(pc));
        native.tries && !kept && !machine.trace.any_translation()
    }
    /// Runs the block at `pc` if the CPU has not been there and there is no code for it.
    pub(crate) fn run_once(&self, machine: &Machine, native: &Native, pc: u64, mode: u64) -> Tried {
        let insn_bytes = u64::from(self.arch.layout().insn_bytes.max(1));
        // Faults are for who makes code.
        let Ok((pa, attrs)) = self.fetch(machine, pc, mode) else { return Tried::No };
        if pc & (insn_bytes - 1) != 0 {
            return Tried::No;
        }
        // (A page with code is watched.)
        if let Some(block) = self.known_code(machine, pc, pa, self.block_key(mode, attrs)) {
            return Tried::Known(block, true);
        }
        // The block may have the CPU do anything, but nothing that comes back here.
        let mut once = self.once().take().unwrap_or_default();
        let tried = match self.code_that_moves(machine, native, pc, pa, self.block_key(mode, attrs)) {
            Some(block) if once.entered.add(pc, mode) => {
                // What its entry at this address would do.
                // SAFETY: this is the CPU's thread.
                unsafe { (*self.exchange()).page = pc & !(PAGE_SIZE - 1) };
                Tried::Known(block, false)
            }
            None if once.run.add(pa, mode) => self.run_ops(machine, &mut once, pc, mode, pa, attrs),
            _ => Tried::No,
        };
        *self.once() = Some(once);
        if let (Some(user), false) = (&machine.user, matches!(tried, Tried::No)) {
            user.reports.note(pc, mode, false);
        }
        tried
    }

    /// Code that was made of a page for another address and goes here too.
    fn code_that_moves(&self, machine: &Machine, native: &Native, pc: u64, pa: u64, key: u64) -> Option<NativeBlock> {
        if machine.user.is_some() || !native.may_move(self.cluster, pc) {
            return None;
        }
        self.known_view(machine, pa, moving(pc), key)
    }

    fn run_ops(&self, machine: &Machine, once: &mut Once, pc: u64, mode: u64, pa: u64, attrs: u8) -> Tried {
        let Once { buf, verifier, marks, code, .. } = once;
        let len = ((PAGE_SIZE - (pa & (PAGE_SIZE - 1))) as usize).min(code.len());
        let code = &mut code[..len];
        let read = match &machine.user {
            Some(user) => user.read_page(pa, code),
            None => machine.space.find(pa).is_some_and(|h| h.window.readable().is_some()) && machine.space.read(pa, code) == 0,
        };
        if !read {
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
        self.arch.translate(&request, buf);
        let layout = self.arch.layout();
        let slots = buf.next_slot;
        marks.clear();
        // What is too large or wrong is for who makes code, and has words for it.
        let fits = slots + 2 <= SLOTS;
        if !fits || verifier.run(buf.ops(), slots, vl, layout.size.into(), layout.helpers.get().len() as u32, marks).is_err() {
            return Tried::No;
        }
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
            emu_interp::run_once(buf.ops_mut(), core::slice::from_raw_parts_mut(slots, SLOTS as usize), vl, &mut r)
        };
        let leaves = self.conclude(machine, &outcome, insns, None);
        // Generated code counts none either.
        // SAFETY: this is the CPU's thread.
        unsafe { (*self.header()).insns = insns };
        if leaves { Tried::Leaves } else { Tried::Done }
    }
}
