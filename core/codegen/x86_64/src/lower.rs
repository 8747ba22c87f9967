//! The emitting pass: values, where they are, and the order of things. What each op becomes is in `integer`, `memory`, `control`, `vector`
//! and `float`.
//!
//! Between ops the guest state is where it belongs: pinned fields in their registers, all else in memory. So any op may fault or leave, any
//! op may be left to the interpreter, and any unit may be entered from outside. What is cached in registers besides are values, which end
//! with their unit.
//!
//! A value that is a copy of a state field is not loaded before it is used, and not saved when its register is wanted for another; it is
//! taken out of the way when the field is written.

use crate::analyse::{Analysis, Facts, NO_KEY, NO_PIN, code, operands};
use crate::asm::{Alu, Asm, Gpr, Label, Mem, Size, Xmm};
use crate::chains::Chains;
use crate::cold::Cold;
use crate::deferred::{Deferred, Made, Operand, Snapshot, Version};
use crate::frame::{BORROWED, CPU, Exchange, Frame, HOMES, PINS, PinMap, TEMPS};
use crate::groups::{GROUP, Groups};
use crate::inline::Inline;
use crate::overwritten::Waiting;
use crate::shared::Shared;
use crate::stretches::Walks;
use crate::thunks::Thunks;
use emu_ir::{Code, EFFECT, EXITS, FAULTS, NONE, Op, STICKY, Shape, Ty, WRITES};
use std::mem::offset_of;

/// A straight run of guest code with side exits.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// Address of its first instruction.
    pub pc: u64,
    /// Its ops; they end with one that does not continue.
    pub ops: &'a [Op],
    /// Number of value slots.
    pub slots: u32,
    /// Address behind its last instruction.
    pub end: u64,
    /// Where instructions are counted: at the op with this index so many.
    pub counts: &'a [(u32, u32)],
    /// It is jumped to from further down, so that the way round must look for requests.
    pub loops: bool,
    /// The first eight condition flags ([`Frame::flags`]), a bit each, that somebody may look at before the unit has written them.
    pub flags: u8,
}

/// Several units that jump to each other.
#[derive(Clone, Copy)]
pub struct Region<'a> {
    /// The units; the first is the entry.
    pub units: &'a [Unit<'a>],
    /// Mode key of all of them.
    pub mode: u64,
    /// Their page of guest memory, by whatever name the embedder has for it; for [`Link`](crate::frame::Link).
    pub origin: u64,
    /// What code of this page and mode is found by: the mode key, perhaps with bits changed.
    pub key: u64,
    /// Vector length in bytes.
    pub vl: u32,
    /// Where it shall run.
    pub position: Position,
    /// It is run a lot, so that care is worth its time.
    pub hot: bool,
    /// It may be run a few times only and is made as quickly as can be. The counter with this number, which others may have too, counts how
    /// often it is entered and goes round in it; the dispatcher hears of it ([`Exchange::warm`]) when that is [`RUNS`](crate::frame::RUNS) times.
    pub counter: Option<u16>,
}

/// Where code shall run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the addresses of its units.
    Fixed,
    /// There, and where its page is mapped when it is placed another time: [`Asm::addresses`] says what changes with that.
    Relocatable,
    /// Wherever its page is mapped, [`Exchange::page`] saying where. Calls take a third longer.
    Independent,
}

/// What the generator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Comparisons stay in the host's flags, values are computed where they are wanted.
    pub fuse: bool,
    /// Ops have code of their own where there is any; otherwise only what cannot be interpreted.
    pub native: bool,
}

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loc {
    /// Nowhere: not made yet, or a condition in the flags.
    None,
    /// A constant.
    Const(u64),
    /// A register of its own.
    Gpr(Gpr),
    /// The register of a pinned field (by index), which has this value.
    Pin(u8),
    /// A vector register.
    Xmm(Xmm),
    /// Its value slot.
    Slot,
    /// A state field at an offset, which has this value.
    State(u32),
    /// Two values, low and high.
    Pair(u32, u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub loc: Loc,
    /// A state field that has the same value while the value is in a register; `NONE` if none has.
    pub backing: u32,
    /// The register's bits above the value's are zero.
    pub clean: bool,
    /// Its slot has it too.
    pub slotted: bool,
}

const NOWHERE: Value = Value { loc: Loc::None, backing: NONE, clean: false, slotted: false };

/// An operand of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arg {
    Reg(Gpr),
    Mem(Mem),
    Imm(i32),
}

/// Where control goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Const(u64),
    Reg(Gpr),
}

/// Where an operand is that has to go to its slot.
#[derive(Clone, Copy)]
pub(crate) enum Saved {
    /// It is there.
    Not,
    Gpr(Gpr),
    Xmm(Xmm),
    Const(u64),
    State(u32),
}

/// Where the result of an access belongs.
#[derive(Clone, Copy)]
pub(crate) enum AccessResult {
    Nothing,
    Gpr(Gpr),
    /// Extended from `size` bytes with the sign, to 64 bits if `wide`, else to 32.
    Signed {
        r: Gpr,
        size: u32,
        wide: bool,
    },
    Two(Gpr, Gpr),
    Xmm(Xmm),
}

/// The generator; its vectors are used again for the next region.
pub struct Lowering<'f> {
    pub(crate) f: &'f Frame,
    pub(crate) thunks: Thunks,
    /// What it may do in the next region.
    pub options: Options,
    /// The code.
    pub asm: Asm,
    /// Bytes of it before the code out of the way begins.
    pub hot: usize,
    pub(crate) an: Analysis,
    /// Pinned fields that are multiples of 16.
    pub(crate) aligned: crate::aligned::Aligned,
    /// What calls share, see `shared`.
    pub(crate) shared: Shared,
    /// What loops go along, see `stretches`.
    pub(crate) walks: Walks,
    /// The pinned fields: those of all code, and of the region; registers for values; how many fields the region has registers for, and which of
    /// them it writes, a bit each; labels of the ways in from outside. See `borrowed`.
    pub(crate) pins: PinMap,
    pub(crate) temps: &'static [Gpr],
    pub(crate) borrowed: usize,
    pub(crate) borrowed_written: u8,
    pub(crate) entry_labels: Vec<Label>,
    pub(crate) vals: Vec<Value>,
    /// Value in each temporary, `NONE` if none.
    pub(crate) owner: [u32; 16],
    pub(crate) xowner: [u32; 16],
    /// Registers that the current op uses.
    pub(crate) locked: u32,
    pub(crate) xlocked: u32,
    /// Values that may alias state: in `Loc::State`, `Loc::Pin`, or backed.
    pub(crate) aliases: Vec<u32>,
    /// Constants that were brought into registers, with their values.
    pub(crate) made: Vec<(u32, u64)>,
    /// Comparison whose result is in the flags.
    pub(crate) flags: u16,
    pub(crate) cold: Vec<Cold>,
    /// Where direct accesses begin, and the ways beside them.
    pub(crate) faults: Vec<(u32, Label)>,
    /// 16-byte constants of the region.
    pub(crate) pool: Vec<(u128, Label)>,
    /// Labels of the units by address.
    pub(crate) unit_labels: Vec<(u64, Label)>,
    /// Labels behind the look at requests that begins some units.
    pub(crate) inner_labels: Vec<Label>,
    /// `LinkBase`s by key.
    pub(crate) bases: Vec<(u64, Label)>,
    /// Local labels of the unit.
    pub(crate) local: Vec<(u64, Label)>,
    pub(crate) at: u32,
    pub(crate) pc: u64,
    pub(crate) info: u32,
    /// Instructions counted and not yet done, the current one included.
    pub(crate) left: u32,
    pub(crate) mode: u64,
    /// See [`Region::origin`] and [`Region::key`].
    pub(crate) origin: u64,
    pub(crate) key: u64,
    /// The CPU's mode key at the current op, if it is known.
    pub(crate) mode_now: Option<u64>,
    /// What it was, probably, before the current instruction.
    pub(crate) mode_before: u64,
    pub(crate) vl: u32,
    /// See [`Region::position`], and the address of the region's page.
    pub(crate) position: Position,
    pub(crate) page: u64,
    /// See [`returns_expected`](crate::returns_expected).
    pub(crate) expects: bool,
    /// The unit being emitted has gone back already if the return is expected.
    pub(crate) returned_early: bool,
    /// The address of the unit being emitted, for telling backward jumps.
    pub(crate) unit_pc: u64,
    pub(crate) unit_end: u64,
    /// Number of ops of the unit.
    pub(crate) unit_len: u32,
    /// Address of the unit that follows.
    pub(crate) next_unit: Option<u64>,
    /// Ops up to this index belong to code that was emitted elsewhere.
    pub(crate) skip: u32,
    /// The code before has said that it may raise floating-point exceptions.
    pub(crate) raises: bool,
    /// No store has been made since the last full fence.
    pub(crate) fenced: bool,
    /// Flags that are not stored yet, and what belongs to them: see `deferred`.
    pub(crate) deferred: Vec<Deferred>,
    /// The last operation that made flags on the way.
    pub(crate) made_flags: Option<Made>,
    /// The condition flags are in their fields, but for what is put off; the op behind the `set`s of flags that the current one is among, and
    /// behind those that need no code. See `unsettled`.
    pub(crate) settled: bool,
    pub(crate) flags_until: u32,
    pub(crate) left_until: u32,
    /// What was put off where code out of the way begins.
    pub(crate) snapshots: Vec<Deferred>,
    /// Routines that store what a snapshot has.
    pub(crate) routines: Vec<(Snapshot, Label)>,
    /// Flags are put off in this region.
    pub(crate) defers: bool,
    /// See [`Region::hot`].
    pub(crate) careful: bool,
    /// Loads between loads.
    pub(crate) chains: Chains,
    /// Fields that are written again before anybody is likely to look: see `overwritten`.
    pub(crate) waiting: Vec<Waiting>,
    /// Accesses that share a look-up.
    pub(crate) groups: Groups,
    /// The region's units.
    pub(crate) units: Vec<crate::deferred::Unit>,
    /// Units that are emitted once more.
    pub(crate) versions: Vec<Version>,
    /// Ops of those.
    pub(crate) version_ops: usize,
    /// Calls that are part of the code, how units go on, the call that the unit which is being emitted belongs to, and the label that it ends by
    /// going to: see `inline`.
    pub(crate) inlines: Vec<Inline>,
    pub(crate) shapes: Vec<crate::inline::Shape>,
    pub(crate) inline: Option<u16>,
    pub(crate) falls: Option<Label>,
    /// The unit that is being emitted, and of the loop that it is a version for the first and last unit.
    pub(crate) unit_index: usize,
    pub(crate) loops: Option<(usize, usize)>,
    /// Nothing else touches guest memory, see [`Frame::alone`] and [`Direct::alone`](crate::direct::Direct::alone).
    pub(crate) alone: bool,
    /// Code takes tags off addresses.
    pub tagged: bool,
    /// Code was made that is right only because of that.
    pub(crate) relied: bool,
    /// See [`Frame::counts_loops`].
    pub(crate) counts_loops: bool,
    /// See [`Region::counter`].
    pub(crate) counter: Option<u16>,
    /// What went wrong in making the region, a mistake of the generator's.
    failure: Option<&'static str>,
}

impl<'f> Lowering<'f> {
    /// A generator.
    pub fn new(f: &'f Frame, thunks: Thunks, options: Options) -> Lowering<'f> {
        Lowering {
            f,
            thunks,
            options,
            asm: Asm::default(),
            hot: 0,
            an: Analysis::default(),
            aligned: Default::default(),
            shared: Default::default(),
            walks: Walks::default(),
            pins: f.pin_map.clone(),
            temps: &TEMPS,
            borrowed: 0,
            borrowed_written: 0,
            entry_labels: Vec::new(),
            vals: Vec::new(),
            owner: [NONE; 16],
            xowner: [NONE; 16],
            locked: 0,
            xlocked: 0,
            aliases: Vec::new(),
            made: Vec::new(),
            flags: NO_KEY,
            faults: Vec::new(),
            cold: Vec::new(),
            pool: Vec::new(),
            unit_labels: Vec::new(),
            inner_labels: Vec::new(),
            bases: Vec::new(),
            local: Vec::new(),
            at: 0,
            pc: 0,
            info: 0,
            left: 0,
            mode: 0,
            origin: 0,
            key: 0,
            mode_now: None,
            mode_before: 0,
            vl: 0,
            position: Position::Fixed,
            page: 0,
            expects: true,
            returned_early: false,
            unit_pc: 0,
            unit_len: 0,
            next_unit: None,
            skip: 0,
            raises: false,
            fenced: false,
            deferred: Vec::new(),
            made_flags: None,
            settled: false,
            flags_until: 0,
            left_until: 0,
            snapshots: Vec::new(),
            routines: Vec::new(),
            defers: false,
            careful: false,
            chains: Chains::default(),
            waiting: Vec::new(),
            groups: Groups::default(),
            units: Vec::new(),
            versions: Vec::new(),
            version_ops: 0,
            inlines: Vec::new(),
            shapes: Vec::new(),
            inline: None,
            falls: None,
            unit_index: 0,
            loops: None,
            alone: false,
            tagged: false,
            relied: false,
            counts_loops: false,
            counter: None,
            unit_end: 0,
            failure: None,
        }
    }

    /// Generates the code of a region; it is in `asm`, resolved. Entry points by address. An error is a mistake of the generator's, in words:
    /// the code would be wrong, and the caller tries again with fewer [`Options`].
    pub fn region(&mut self, region: &Region<'_>, entries: &mut Vec<(u64, u32)>) -> Result<(), &'static str> {
        let (mut most, mut shares) = (BORROWED, true);
        loop {
            let made = self.region_with(region, entries, most, shares);
            if made.is_ok() {
                return made;
            }
            // Some op wants more temporaries.
            match (self.shares(), self.borrowed) {
                (true, _) => shares = false,
                (_, 0) => return made,
                (_, n) => most = n - 1,
            }
        }
    }
    fn region_with(&mut self, region: &Region<'_>, entries: &mut Vec<(u64, u32)>, most: usize, shares: bool) -> Result<(), &'static str> {
        self.failure = None;
        self.asm.clear();
        self.cold.clear();
        self.faults.clear();
        self.pool.clear();
        self.unit_labels.clear();
        self.inner_labels.clear();
        self.entry_labels.clear();
        self.bases.clear();
        (self.mode, self.vl, self.position) = (region.mode, region.vl, region.position);
        (self.origin, self.key) = (region.origin, region.key);
        self.counter = region.counter;
        self.counts_loops = self.f.counts_loops && !region.hot && region.counter.is_none();
        self.tagged = self.f.direct.is_some_and(|d| d.tagged.load(std::sync::atomic::Ordering::SeqCst));
        self.alone = self.f.alone || self.f.direct.is_some_and(|d| d.alone.load(std::sync::atomic::Ordering::SeqCst));
        self.relied = false;
        self.page = region.units[0].pc & !((1u64 << self.f.tlb.page_bits) - 1);
        self.expects = self.position != Position::Fixed || crate::control::returns_expected(self.page, self.f.tlb.page_bits.into());
        for u in region.units {
            let label = self.asm.label();
            self.unit_labels.push((u.pc, label));
            self.inner_labels.push(self.asm.label());
            self.entry_labels.push(self.asm.label());
        }
        self.careful = region.hot;
        self.begin_flags(region);
        self.begin_aligned();
        self.begin_chains(region);
        self.begin_inlines(region);
        self.borrow(region, most);
        self.begin_shared(region, shares);
        self.begin_stretches(region);
        for (i, u) in region.units.iter().enumerate() {
            if i == 0 && self.has_entries() {
                self.asm.bind(self.entry_labels[0]);
                self.load_borrowed();
            }
            let label = self.unit_labels[i].1;
            self.asm.bind(label);
            self.unit_index = i;
            (self.loops, self.inline) = (None, None);
            self.deferred.clear();
            self.forget_aligned();
            self.forget_reach();
            self.unit(u, self.inner_labels[i], region.units.get(i + 1).map(|n| n.pc));
            self.what_follows(region);
        }
        let mut n = 0;
        while n < self.versions.len() {
            if !self.versions[n].emitted {
                self.emit_version(region, n);
                self.what_follows(region);
            }
            n += 1;
        }
        self.deferred.clear();
        self.inline = None;
        self.hot = self.asm.code.len();
        self.entries();
        self.cold_code();
        self.flag_routines();
        self.link_bases();
        for (bytes, label) in self.pool.drain(..) {
            self.asm.data(label, &bytes.to_le_bytes());
        }
        entries.clear();
        for (i, (pc, _)) in self.unit_labels.iter().enumerate() {
            if let Some(at) = self.asm.offset(self.entry_label(i)) {
                entries.push((*pc, at));
            }
        }
        self.asm.resolve();
        self.failure.map_or(Ok(()), Err)
    }

    /// The unit that was emitted last goes on at a label: emits what is there, if that is a version that is still to come.
    fn what_follows(&mut self, region: &Region<'_>) {
        while let Some(to) = self.falls.take() {
            match self.versions.iter().position(|v| !v.emitted && (v.label == to || v.called && v.inner == to)) {
                Some(n) => self.emit_version(region, n),
                None => self.asm.jmp(to),
            }
        }
    }
    fn emit_version(&mut self, region: &Region<'_>, n: usize) {
        self.versions[n].emitted = true;
        let v = self.versions[n];
        self.unit_index = v.unit;
        self.begin_version(v);
        let mut unit = region.units[v.unit];
        if v.called {
            // It is mostly entered where it need not look.
            let flags = v.entry;
            if unit.loops {
                self.cold.push(Cold::Look { at: v.label, back: v.inner, pc: unit.pc, flags });
            } else {
                self.asm.bind(v.label);
            }
            unit.loops = false;
        } else {
            self.asm.bind(v.label);
        }
        self.unit(&unit, v.inner, None);
    }

    /// Notes that the code that is being made is wrong: nothing that a guest does may end the emulator, and wrong code may not run either.
    pub(crate) fn fail(&mut self, what: &'static str) {
        self.failure = self.failure.or(Some(what));
    }

    fn unit(&mut self, u: &Unit<'_>, inner: Label, next: Option<u64>) {
        let mut an = std::mem::take(&mut self.an);
        // The interpreter leaves no flags.
        let counts = if self.f.count { u.counts } else { &[] };
        an.run(u.ops, u.slots, counts, self.f, &self.pins, self.options.fuse && self.options.native, self.defers);
        let early = if self.options.fuse && self.options.native && !self.f.unlinked { an.early_jump(u.ops, self.f) } else { None };
        if self.careful && self.options.fuse && self.options.native && !self.f.count {
            an.find_covered(u.ops, &self.pins);
        }
        self.an = an;
        self.waiting.clear();
        self.begin_groups(u.ops, u.slots);
        self.begin_chains_of(u.ops, u.slots);
        self.begin_shared_unit(u.ops);
        self.vals.clear();
        self.vals.resize(u.slots as usize, NOWHERE);
        self.owner = [NONE; 16];
        self.xowner = [NONE; 16];
        (self.locked, self.xlocked) = (0, 0);
        self.aliases.clear();
        self.made.clear();
        self.forget_aligned_values();
        self.local.clear();
        self.flags = NO_KEY;
        self.made_flags = None;
        self.begin_unsettled();
        self.returned_early = false;
        (self.unit_pc, self.unit_end) = (u.pc, u.end);
        self.unit_len = u.ops.len() as u32;
        self.next_unit = next;
        self.skip = 0;
        self.raises = false;
        self.fenced = false;
        self.left = 0;
        (self.mode_now, self.mode_before) = (Some(self.mode), self.mode);
        if u.loops {
            self.check_requests(u.pc);
            let flags = self.snapshot();
            self.count_round(u.pc, flags);
        }
        if let Some(counter) = self.counter.filter(|_| u.loops || self.unit_index == 0) {
            self.count_run(counter, u.pc);
        }
        self.asm.bind(inner);
        let mut counts = u.counts.iter().peekable();
        for (i, op) in u.ops.iter().enumerate() {
            self.at = i as u32;
            if self.f.count
                && let Some((_, n)) = counts.next_if(|c| c.0 == self.at)
            {
                self.count(op.imm, *n);
                self.left = n + 1;
            }
            if self.at < self.skip {
                continue;
            }
            let c = code(op);
            if c == Code::InsnStart {
                (self.pc, self.info) = (op.imm, op.aux);
                self.mode_before = self.mode_now.unwrap_or(self.mode_before);
                // Labels belong to an instruction: a unit of several blocks has some numbers more than once.
                self.local.clear();
                self.left = self.left.saturating_sub(1);
                continue;
            }
            if let Some((_, raw)) = early.filter(|e| e.0 == self.at) {
                if u.ops.last().is_some_and(|op| op.aux == crate::control::RETURN) { self.return_early(raw) } else { self.jump_early(raw) }
            }
            if self.needs_code(op) {
                let aligned = self.stays_aligned(op, c, u.ops);
                if self.defers {
                    self.before_op(op, c, u.ops);
                    self.lower(op, c, u.ops);
                    self.behind_op(op);
                } else if op.dst != NONE && self.fact(op.dst).makes != NO_KEY {
                    self.note_operands(op);
                    self.lower(op, c, u.ops);
                    self.note_result(op);
                } else {
                    self.lower(op, c, u.ops);
                }
                if aligned != 0 {
                    self.note_aligned(op.dst, aligned);
                }
            }
            (self.locked, self.xlocked) = (0, 0);
            self.release_operands(op);
        }
    }

    /// False for a condition that stays in the flags, and for what nobody uses.
    pub(crate) fn needs_code(&self, op: &Op) -> bool {
        if op.dst == NONE {
            return true;
        }
        let f = &self.an.facts[op.dst as usize];
        use Code::{Add, CarryOut, CmpEq, CmpNe, Hi64, Lo64, Overflow, SExt, ZExt};
        if matches!(code(op), Lo64 | Hi64 | SExt | ZExt | CmpEq | CmpNe | Add | CarryOut | Overflow) && self.loc(op.dst) != Loc::None {
            // The load before has made both halves, or the extended value; a floating-point comparison its conditions; a shift the sum that it is
            // for; a sum its carry.
            return false;
        }
        f.key == NO_KEY && (f.uses != 0 || f.makes != NO_KEY || op.flags() & (STICKY | WRITES | FAULTS | EFFECT | EXITS) != 0)
    }

    fn lower(&mut self, op: &Op, c: Code, ops: &[Op]) {
        match c {
            Code::Label | Code::BrIf | Code::Br => self.local_control(op, c, ops),
            Code::Goto | Code::Branch | Code::Jump | Code::Exit | Code::ExitJump => self.control(op, c),
            Code::Address => self.moving_address(op),
            Code::Get => self.get(op),
            Code::Set => {
                if self.touches_mode(op) {
                    self.drop_groups();
                    self.mode_now = match self.loc(op.a) {
                        Loc::Const(mode) if op.imm == self.f.header.mode_key as u64 => Some(mode),
                        _ => None,
                    };
                }
                if !self.leaves_flags(op, ops) && !(self.defers && self.defer(op)) && !self.wait(op) {
                    self.set_and_zero(op, ops);
                }
            }
            Code::Load | Code::Store | Code::Cas | Code::Rmw | Code::LoadEx | Code::StoreEx => self.memory(op, c, ops),
            Code::ClrEx => self.asm.mov_mi(Size::D, self.header(self.f.header.monitor_size), 0),
            Code::Fence => self.fence(op),
            Code::Call => self.call(op),
            _ if self.early(op) => {}
            _ => {
                let done = self.options.native
                    && (self.scaled(op, c, ops)
                        || self.product(op, c, ops)
                        || self.sum(op, c, ops)
                        || self.float_bits(op, c)
                        || self.integer(op, c)
                        || self.vector(op, c)
                        || self.hash(op, c, ops)
                        || self.float(op, c, ops));
                if !done {
                    self.interpret(op);
                }
            }
        }
        self.follow_stack(op, c);
    }

    /// True if a `set` may change the mode key.
    fn touches_mode(&self, op: &Op) -> bool {
        let (key, vl) = (self.f.header.mode_key as u64, u64::from(self.vl));
        let bytes = u64::from(self.fact(op.a).bits.div_ceil(8)).max(if self.fact(op.a).bits == 0 { vl } else { 8 });
        op.imm < key + 8 && key < op.imm + bytes
    }

    pub(crate) fn fact(&self, v: u32) -> Facts {
        self.an.facts[v as usize]
    }
    pub(crate) fn loc(&self, v: u32) -> Loc {
        self.vals[v as usize].loc
    }
    /// True if nothing after the current op uses the value.
    pub(crate) fn dies(&self, v: u32) -> bool {
        self.fact(v).last <= self.at
    }
    /// A place in the code that has these 16 bytes, aligned.
    pub(crate) fn constant(&mut self, bytes: u128) -> Label {
        if let Some((_, label)) = self.pool.iter().find(|c| c.0 == bytes) {
            return *label;
        }
        let label = self.asm.label();
        self.pool.push((bytes, label));
        label
    }
    /// Displacement operand of something in the header.
    pub(crate) fn header(&self, offset: i32) -> Mem {
        Mem::at(CPU, self.f.disp(offset))
    }
    pub(crate) fn state(&self, offset: u32) -> Mem {
        Mem::at(CPU, self.f.disp(offset as i32))
    }
    pub(crate) fn slot(&self, v: u32) -> Mem {
        Mem::at(CPU, self.f.disp(self.f.slots + v as i32 * 8))
    }
    pub(crate) fn exchange(&self, offset: usize) -> Mem {
        Mem::at(CPU, self.f.disp(self.f.exchange + offset as i32))
    }
    pub(crate) fn exchange_va(&self) -> Mem {
        self.exchange(offset_of!(Exchange, va))
    }

    // -- registers -------------------------------------------------------------------------------------------------------------------
    /// Keeps a register from being handed out or emptied before the op ends.
    pub(crate) fn lock(&mut self, r: Gpr) {
        self.locked |= 1 << r;
    }
    pub(crate) fn xlock(&mut self, x: Xmm) {
        self.xlocked |= 1 << x;
    }
    /// A free temporary, locked. The host's flags stay.
    pub(crate) fn temp(&mut self) -> Gpr {
        let free = |s: &Self, r: &Gpr| s.locked >> *r & 1 == 0;
        let empty = self.temps.iter().copied().find(|r| free(self, r) && self.owner[*r as usize] == NONE);
        let r = empty.unwrap_or_else(|| {
            let victim = self.temps.iter().copied().filter(|r| free(self, r)).max_by_key(|r| {
                let v = self.owner[*r as usize];
                if v == GROUP {
                    // To look up again is dearer than to load a value.
                    return (0, 0);
                }
                let cheap = self.vals[v as usize].slotted || self.vals[v as usize].backing != NONE || self.only_waits(v);
                (1 + u8::from(cheap), self.fact(v).last)
            });
            if victim.is_none() {
                self.fail("an op uses too many registers");
            }
            let r = victim.unwrap_or(TEMPS[0]);
            self.evict(r);
            r
        });
        self.lock(r);
        r
    }
    /// A particular temporary, emptied and locked.
    pub(crate) fn take(&mut self, r: Gpr) {
        debug_assert_eq!(self.locked >> r & 1, 0, "register {r} is in use");
        if !self.temps.contains(&r) {
            return self.fail("an op uses a register that the region has borrowed");
        }
        if self.owner[r as usize] != NONE {
            // Better in another register than in memory.
            let v = self.owner[r as usize];
            self.lock(r);
            let other = self.temps.iter().copied().find(|o| self.locked >> *o & 1 == 0 && self.owner[*o as usize] == NONE);
            match other {
                Some(o) if v == GROUP => self.move_group(r, o),
                Some(o) if matches!(self.loc(v), Loc::Gpr(_)) => {
                    self.asm.mov_rr(Size::Q, o, r);
                    self.owner[r as usize] = NONE;
                    self.owner[o as usize] = v;
                    self.vals[v as usize].loc = Loc::Gpr(o);
                }
                _ => self.evict(r),
            }
        }
        self.lock(r);
    }
    /// A free vector register, locked. The last two are left to the lowering of single ops.
    pub(crate) fn xtemp(&mut self) -> Xmm {
        let free = |s: &Self, x: &Xmm| s.xlocked >> *x & 1 == 0;
        let empty = (0..14).find(|x| free(self, x) && self.xowner[*x as usize] == NONE);
        let x = empty.unwrap_or_else(|| {
            let victim = (0..14).filter(|x| free(self, x)).max_by_key(|x| self.fact(self.xowner[*x as usize]).last).unwrap_or(0);
            self.xevict(victim);
            victim
        });
        self.xlock(x);
        x
    }
    fn forget_register(&mut self, v: u32) {
        match self.loc(v) {
            Loc::Gpr(r) => self.owner[r as usize] = NONE,
            Loc::Xmm(x) => self.xowner[x as usize] = NONE,
            _ => {}
        }
    }
    /// Empties a temporary; its value is kept in memory.
    fn evict(&mut self, r: Gpr) {
        match self.owner[r as usize] {
            NONE => {}
            GROUP => self.drop_group(r),
            v => self.to_memory(v),
        }
    }
    fn xevict(&mut self, x: Xmm) {
        let v = self.xowner[x as usize];
        if v != NONE {
            self.to_memory(v);
        }
    }
    /// Gives a value's register up.
    pub(crate) fn to_memory(&mut self, v: u32) {
        if self.write_waiting(v) {
            return;
        }
        let value = self.vals[v as usize];
        if value.backing == NONE {
            self.store_slot(v);
        }
        self.forget_register(v);
        self.vals[v as usize].loc = if value.backing == NONE { Loc::Slot } else { Loc::State(value.backing) };
    }
    /// Makes the value's slot have it, zero-extended; the value stays where it is.
    pub(crate) fn store_slot(&mut self, v: u32) {
        if self.vals[v as usize].slotted {
            return;
        }
        self.vals[v as usize].slotted = true;
        let (slot, bits) = (self.slot(v), self.fact(v).bits);
        match self.loc(v) {
            Loc::Gpr(r) if bits >= 64 || self.vals[v as usize].clean => self.asm.mov_mr(Size::Q, slot, r),
            Loc::Gpr(r) => self.store_narrow(slot, r, bits),
            Loc::Pin(p) if bits >= 64 => self.asm.mov_mr(Size::Q, slot, HOMES[p as usize]),
            Loc::Pin(p) => self.store_narrow(slot, HOMES[p as usize], bits),
            Loc::Xmm(x) => match bits {
                128 => self.asm.movups_mr(slot, x),
                64 => self.asm.movq_mr(slot, x),
                32 => {
                    self.asm.mov_mi(Size::Q, slot, 0);
                    self.asm.movd_mr(slot, x);
                }
                _ => {
                    // pextrb, pextrw.
                    self.asm.mov_mi(Size::Q, slot, 0);
                    self.asm.sse_rmi(0x66, 3, if bits == 16 { 0x15 } else { 0x14 }, x, slot, 0);
                }
            },
            Loc::Const(c) => {
                self.store_const(slot, c);
                if bits == 128 {
                    self.store_const(slot.plus(8), 0);
                }
            }
            Loc::State(off) => {
                let m = self.state(off);
                self.copy_memory(slot, m, bits);
            }
            Loc::Pair(a, b) => {
                for (part, to) in [(a, slot), (b, slot.plus(8))] {
                    let r = self.gpr(part);
                    self.asm.mov_mr(Size::Q, to, r);
                }
            }
            Loc::Slot => {}
            Loc::None => {
                // A condition in the flags.
                let r = self.gpr(v);
                self.asm.mov_mr(Size::Q, slot, r);
            }
        }
    }
    /// Stores a register's low bits, zero-extended to 8 bytes. Flags stay.
    fn store_narrow(&mut self, slot: Mem, r: Gpr, bits: u16) {
        self.asm.mov_mi(Size::Q, slot, 0);
        self.asm.mov_mr(Size::bits(bits.into()), slot, r);
    }
    pub(crate) fn store_const(&mut self, m: Mem, c: u64) {
        if let Ok(v) = i32::try_from(c as i64) {
            self.asm.mov_mi(Size::Q, m, v);
        } else {
            self.asm.mov_mi(Size::D, m, c as i32);
            self.asm.mov_mi(Size::D, m.plus(4), (c >> 32) as i32);
        }
    }
    /// Copies a field to a slot, without a register if need be.
    fn copy_memory(&mut self, to: Mem, from: Mem, bits: u16) {
        if bits == 128 {
            self.asm.movups_rm(15, from);
            self.asm.movups_mr(to, 15);
        } else if bits == 64 {
            self.asm.movq_rm(15, from);
            self.asm.movq_mr(to, 15);
        } else {
            let r = self.temp();
            self.asm.movzx_rm(Size::bits(bits.into()), r, from);
            self.asm.mov_mr(Size::Q, to, r);
            self.locked &= !(1 << r);
        }
    }
    /// Values that end with the op give their registers back.
    fn release_operands(&mut self, op: &Op) {
        let [a, b, c] = operands(op);
        for v in [a, b, c, op.dst] {
            // Absent ones are out of range.
            if self.an.facts.get(v as usize).is_some_and(|f| f.last <= self.at) {
                self.release(v);
            }
        }
    }
    pub(crate) fn release(&mut self, v: u32) {
        if let Loc::Pair(a, b) = self.loc(v) {
            self.vals[v as usize].loc = Loc::None;
            for part in [a, b] {
                if self.dies(part) {
                    self.release(part);
                }
            }
            return;
        }
        self.forget_register(v);
        self.vals[v as usize].loc = Loc::None;
    }
    pub(crate) fn live(&self, v: u32) -> bool {
        self.fact(v).last > self.at
    }

    // -- operands --------------------------------------------------------------------------------------------------------------------
    /// A general-purpose register that has the value (its bits above the width are not defined), locked. It may be a pinned field's.
    pub(crate) fn gpr(&mut self, v: u32) -> Gpr {
        let bits = self.fact(v).bits;
        match self.loc(v) {
            Loc::Gpr(r) => {
                self.lock(r);
                r
            }
            Loc::Pin(p) => HOMES[p as usize],
            Loc::Const(c) => {
                let r = self.temp();
                self.asm.mov_ri(r, c);
                self.own(v, r, true);
                r
            }
            Loc::State(off) => {
                let r = self.temp();
                let m = self.state(off);
                self.asm.movzx_rm(Size::bits(bits.into()), r, m);
                let backing = off;
                self.own(v, r, true);
                self.vals[v as usize].backing = backing;
                r
            }
            Loc::Slot => {
                let r = self.temp();
                let m = self.slot(v);
                self.asm.mov_rm(Size::Q, r, m);
                self.own(v, r, true);
                r
            }
            Loc::Xmm(x) => {
                let r = self.temp();
                self.asm.mov_rx(Size::bits(bits.max(32).into()), r, x);
                if bits == 16 {
                    self.asm.movzx_rr(Size::W, r, r);
                }
                self.forget_register(v);
                self.own(v, r, bits != 8);
                r
            }
            Loc::None => {
                let cc = self.flags_of(v);
                self.own_condition(v, cc)
            }
            Loc::Pair(..) => {
                debug_assert!(false, "a 128-bit value in one register");
                TEMPS[0]
            }
        }
    }
    /// The value's place is this temporary.
    pub(crate) fn own(&mut self, v: u32, r: Gpr, clean: bool) {
        self.remember_constant(v);
        self.owner[r as usize] = v;
        let value = &mut self.vals[v as usize];
        (value.loc, value.clean) = (Loc::Gpr(r), clean);
    }
    pub(crate) fn xown(&mut self, v: u32, x: Xmm) {
        self.remember_constant(v);
        self.xowner[x as usize] = v;
        let value = &mut self.vals[v as usize];
        (value.loc, value.clean) = (Loc::Xmm(x), false);
    }
    /// Before a value gets a register: a constant is one again where ways part or meet, for its register was loaded on one of them only.
    fn remember_constant(&mut self, v: u32) {
        if let Loc::Const(c) = self.loc(v) {
            self.made.push((v, c));
        }
    }
    /// A register with the value zero-extended to 64 bits.
    pub(crate) fn gpr_clean(&mut self, v: u32) -> Gpr {
        let r = self.gpr(v);
        let bits = self.fact(v).bits;
        if bits >= 64 || self.vals[v as usize].clean && matches!(self.loc(v), Loc::Gpr(_)) {
            return r;
        }
        if let Loc::Gpr(_) = self.loc(v) {
            self.asm.movzx_rr(Size::bits(bits.into()), r, r);
            self.vals[v as usize].clean = true;
            return r;
        }
        let t = self.temp();
        self.asm.movzx_rr(Size::bits(bits.into()), t, r);
        t
    }
    /// The value as a source operand of a 32- or 64-bit instruction.
    pub(crate) fn arg(&mut self, v: u32) -> Arg {
        let f = self.fact(v);
        match self.loc(v) {
            Loc::Const(c) => match (f.bits, i32::try_from(c as i64)) {
                (32, _) => Arg::Imm(c as i32),
                (_, Ok(i)) => Arg::Imm(i),
                _ => Arg::Reg(self.gpr(v)),
            },
            // Memory is read where it is used if that is the only time.
            Loc::State(off) if f.bits >= 32 && f.last <= self.at => Arg::Mem(self.state(off)),
            Loc::Slot if f.bits >= 32 && f.last <= self.at => Arg::Mem(self.slot(v)),
            _ => Arg::Reg(self.gpr(v)),
        }
    }
    /// The same for an operand that another register for would be a waste: memory is read where it is used, however often.
    pub(crate) fn arg_there(&mut self, v: u32) -> Arg {
        match self.loc(v) {
            Loc::State(off) if self.fact(v).bits >= 32 => Arg::Mem(self.state(off)),
            Loc::Slot if self.fact(v).bits >= 32 => Arg::Mem(self.slot(v)),
            _ => self.arg(v),
        }
    }
    /// A vector register that has the value, locked. What is above the value's width is not defined.
    pub(crate) fn xmm(&mut self, v: u32) -> Xmm {
        let bits = self.fact(v).bits;
        if let Loc::Xmm(x) = self.loc(v) {
            self.xlock(x);
            return x;
        }
        if let Loc::Pair(a, b) = self.loc(v) {
            let (a, b) = (self.gpr(a), self.gpr(b));
            let x = self.xtemp();
            self.join(x, a, b);
            self.xown(v, x);
            return x;
        }
        let x = self.xtemp();
        // All of these leave zeroes above, but for what is narrow and comes from a register.
        let clean = bits >= 32 || matches!(self.loc(v), Loc::State(_) | Loc::Slot | Loc::Const(_));
        match self.loc(v) {
            Loc::State(off) => {
                let m = self.state(off);
                self.load_xmm(x, m, bits);
                self.vals[v as usize].backing = off;
            }
            Loc::Slot => {
                let m = self.slot(v);
                self.load_xmm(x, m, bits);
            }
            Loc::Const(0) => self.asm.sse_rr(0x66, 1, 0xef, x, x),
            Loc::Const(c) => {
                let label = self.constant(c.into());
                self.asm.sse_rl(0xf3, 1, 0x7e, x, label);
            }
            _ => {
                let r = self.gpr(v);
                self.asm.mov_xr(Size::bits(bits.max(32).into()), x, r);
                if !matches!(self.loc(v), Loc::Gpr(_)) {
                    // A pinned register keeps it as well; the value moves, for vector code will use it again.
                } else {
                    self.forget_register(v);
                }
            }
        }
        self.xown(v, x);
        self.vals[v as usize].clean = clean;
        x
    }
    fn join(&mut self, x: Xmm, low: Gpr, high: Gpr) {
        self.asm.mov_xr(Size::Q, x, low);
        self.asm.set_high_half(x, high);
    }
    pub(crate) fn load_xmm(&mut self, x: Xmm, m: Mem, bits: u16) {
        match bits {
            128 => self.asm.movups_rm(x, m),
            64 => self.asm.movq_rm(x, m),
            32 => self.asm.movd_rm(x, m),
            _ => {
                let t = self.temp();
                self.asm.movzx_rm(Size::bits(bits.into()), t, m);
                self.asm.mov_xr(Size::D, x, t);
            }
        }
    }
    /// The two halves of a 128-bit value in registers.
    pub(crate) fn halves(&mut self, v: u32) -> (Gpr, Gpr) {
        match self.loc(v) {
            Loc::Pair(a, b) => (self.gpr(a), self.gpr(b)),
            Loc::Xmm(x) => {
                let (a, b) = (self.temp(), self.temp());
                self.asm.mov_rx(Size::Q, a, x);
                self.asm.high_half(b, x);
                (a, b)
            }
            Loc::State(_) | Loc::Slot => {
                let m = if let Loc::State(off) = self.loc(v) { self.state(off) } else { self.slot(v) };
                let (a, b) = (self.temp(), self.temp());
                self.asm.mov_rm(Size::Q, a, m);
                self.asm.mov_rm(Size::Q, b, m.plus(8));
                (a, b)
            }
            Loc::Const(c) => {
                let (a, b) = (self.temp(), self.temp());
                self.asm.mov_ri(a, c);
                self.asm.mov_ri(b, 0);
                (a, b)
            }
            _ => {
                debug_assert!(false, "not a 128-bit value");
                (TEMPS[0], TEMPS[1])
            }
        }
    }

    // -- results ---------------------------------------------------------------------------------------------------------------------
    /// Where to compute a result: the register of the field it is meant for, if the op's other operands are not in it, else a temporary.
    /// `first` is the operand that may be overwritten, being copied in first; `others` are read later.
    pub(crate) fn dst(&mut self, v: u32, others: &[Gpr]) -> Gpr {
        let want = self.fact(v).want;
        if want != NO_PIN && !others.contains(&HOMES[want as usize]) {
            self.displace_pin(want);
            return HOMES[want as usize];
        }
        self.temp()
    }
    /// The result is in this register, which `dst` gave.
    pub(crate) fn done(&mut self, v: u32, r: Gpr, clean: bool) {
        match HOMES[..PINS.len() + self.borrowed].iter().position(|p| *p == r) {
            Some(p) => {
                self.vals[v as usize].loc = Loc::Pin(p as u8);
                self.vals[v as usize].clean = clean;
                self.aliases.push(v);
            }
            None => self.own(v, r, clean),
        }
    }
    /// Values that are in a pinned field's register go elsewhere, for it is about to be written.
    pub(crate) fn displace_pin(&mut self, pin: u8) {
        self.unaligned(pin);
        if self.defers || self.made_flags.is_some() {
            self.pin_changes(pin);
        }
        let mut i = 0;
        while i < self.aliases.len() {
            let v = self.aliases[i];
            if self.loc(v) == Loc::Pin(pin) {
                self.aliases.swap_remove(i);
                if self.live(v) {
                    self.set_aside(v, HOMES[pin as usize]);
                } else {
                    self.vals[v as usize].loc = Loc::None;
                }
            } else {
                i += 1;
            }
        }
    }
    /// Copies a value out of a pinned field's register: to a temporary if one is empty.
    fn set_aside(&mut self, v: u32, from: Gpr) {
        let free = self.temps.iter().copied().find(|r| self.locked >> *r & 1 == 0 && self.owner[*r as usize] == NONE);
        match free {
            Some(r) => {
                self.asm.mov_rr(Size::Q, r, from);
                self.own(v, r, false);
            }
            None => {
                if self.write_waiting(v) {
                    return;
                }
                self.store_slot(v);
                self.vals[v as usize].loc = Loc::Slot;
            }
        }
    }
    /// Values that are copies of the state bytes from `offset` on go elsewhere, for these are about to be written.
    pub(crate) fn displace_state(&mut self, offset: u32, bytes: u32) {
        if self.defers || self.made_flags.is_some() {
            self.overwritten(offset, bytes);
            self.state_changes(offset, bytes);
        }
        let mut i = 0;
        while i < self.aliases.len() {
            let v = self.aliases[i];
            let value = self.vals[v as usize];
            let at = match value.loc {
                Loc::State(off) => off,
                _ if value.backing != NONE => value.backing,
                Loc::Pin(_) => {
                    i += 1;
                    continue;
                }
                _ => {
                    self.aliases.swap_remove(i);
                    continue;
                }
            };
            let len = u32::from(self.fact(v).bits).div_ceil(8);
            if at < offset + bytes && offset < at + len {
                self.aliases.swap_remove(i);
                self.vals[v as usize].backing = NONE;
                if matches!(value.loc, Loc::State(_)) {
                    // What ends with this op is what it writes, or half of it.
                    if self.fact(v).last >= self.at {
                        if self.fact(v).bits == 128 {
                            let x = self.xtemp();
                            let m = self.state(at);
                            self.asm.movups_rm(x, m);
                            self.xown(v, x);
                            self.xlocked &= !(1 << x);
                        } else {
                            let locked = self.locked;
                            self.gpr(v);
                            self.locked = locked;
                        }
                        self.vals[v as usize].backing = NONE;
                    } else {
                        self.vals[v as usize].loc = Loc::None;
                    }
                }
            } else {
                i += 1;
            }
        }
    }
    /// All live values leave registers and fields: what follows may change both.
    pub(crate) fn all_to_slots(&mut self, from: u32) {
        self.drop_groups();
        for (v, c) in std::mem::take(&mut self.made) {
            if self.fact(v).last > from {
                self.forget_register(v);
                self.vals[v as usize].loc = Loc::Const(c);
            }
        }
        for v in self.held() {
            if self.fact(v).last > from {
                self.store_slot(v);
                self.forget_register(v);
                self.vals[v as usize].loc = Loc::Slot;
            } else {
                self.release(v);
            }
        }
        let aliases = std::mem::take(&mut self.aliases);
        for v in aliases {
            if self.fact(v).last > from && matches!(self.loc(v), Loc::State(_) | Loc::Pin(_)) {
                self.store_slot(v);
                self.vals[v as usize].loc = Loc::Slot;
            }
            self.vals[v as usize].backing = NONE;
        }
        // Lazy pairs: their halves may be anywhere. Constants in slots have been put there on this way only.
        for v in 0..self.vals.len() as u32 {
            if matches!(self.loc(v), Loc::Const(_)) {
                self.vals[v as usize].slotted = false;
                self.vals[v as usize].backing = NONE;
            }
            if matches!(self.loc(v), Loc::Pair(..)) && self.fact(v).last > from {
                self.store_slot(v);
                self.vals[v as usize].loc = Loc::Slot;
            }
        }
    }
    /// Values in registers that a call changes go to memory; fields keep what they have.
    pub(crate) fn empty_registers(&mut self) {
        self.drop_groups();
        for v in self.held() {
            if self.live(v) { self.to_memory(v) } else { self.release(v) }
        }
    }
    /// Values that are in temporaries and vector registers of their own.
    fn held(&self) -> impl Iterator<Item = u32> + use<> {
        TEMPS.map(|r| self.owner[r as usize]).into_iter().chain(self.xowner).filter(|v| *v != NONE)
    }

    // -- arguments --------------------------------------------------------------------------------------------------------------------
    pub(crate) fn alu_arg(&mut self, op: Alu, size: Size, dst: Gpr, src: Arg) {
        match src {
            Arg::Reg(r) => self.asm.alu_rr(op, size, dst, r),
            Arg::Mem(m) => self.asm.alu_rm(op, size, dst, m),
            Arg::Imm(i) => self.asm.alu_ri(op, size, dst, i),
        }
    }
    pub(crate) fn mov_arg(&mut self, size: Size, dst: Gpr, src: Arg) {
        match src {
            Arg::Reg(r) if r == dst => {}
            Arg::Reg(r) => self.asm.mov_rr(size, dst, r),
            Arg::Mem(m) => self.asm.mov_rm(size, dst, m),
            Arg::Imm(i) => self.asm.mov_ri(dst, if size == Size::Q { i as i64 as u64 } else { u64::from(i as u32) }),
        }
    }

    // -- state -----------------------------------------------------------------------------------------------------------------------
    /// Pins that overlap `bytes` at `offset`.
    fn pins_at(&self, offset: u32, bytes: u32) -> impl Iterator<Item = u8> + Clone + use<> {
        let hits = self.pins.over(offset, bytes);
        (0..if hits == 0 { 0 } else { HOMES.len() as u8 }).filter(move |p| hits >> p & 1 == 1)
    }
    fn get(&mut self, op: &Op) {
        let (offset, bits) = (op.imm as u32, u32::from(self.fact(op.dst).bits));
        if bits == 0 {
            return self.interpret_state(op);
        }
        let bytes = bits.div_ceil(8);
        if self.is_sticky(offset, bytes) {
            return self.get_sticky(op);
        }
        if !self.deferred.is_empty() {
            self.make_fields(offset, bytes);
        }
        self.look_at_field(offset, bytes);
        if bits <= 64
            && let Some(p) = self.pins.pin(offset)
        {
            self.vals[op.dst as usize].loc = Loc::Pin(p as u8);
            self.aliases.push(op.dst);
            return;
        }
        let overlapping = self.pins_at(offset, bytes);
        let apart = overlapping.clone().next().is_none();
        for p in overlapping.clone() {
            let m = self.state(self.pins.at(p.into()));
            self.asm.mov_mr(Size::Q, m, HOMES[p as usize]);
        }
        self.vals[op.dst as usize].loc = Loc::State(offset);
        if apart {
            self.aliases.push(op.dst);
        } else if bits == 128 {
            // The memory of a pinned field is only right now.
            self.xmm(op.dst);
            self.vals[op.dst as usize].backing = NONE;
        } else {
            self.gpr(op.dst);
            self.vals[op.dst as usize].backing = NONE;
        }
    }
    fn set(&mut self, op: &Op) {
        let (offset, v) = (op.imm as u32, op.a);
        let bits = u32::from(self.fact(v).bits);
        if bits == 0 {
            return self.interpret_state(op);
        }
        let bytes = bits.div_ceil(8);
        let sticky = self.is_sticky(offset, bytes);
        if sticky {
            self.merge_sticky();
        }
        if bits == 64
            && let Some(p) = self.pins.pin(offset)
        {
            return self.set_pin(p as u8, v);
        }
        let overlapping = self.pins_at(offset, bytes);
        let apart = overlapping.clone().next().is_none();
        for p in overlapping.clone() {
            let m = self.state(self.pins.at(p.into()));
            self.asm.mov_mr(Size::Q, m, HOMES[p as usize]);
        }
        // A value may be written back to where it came from.
        if self.loc(v) == Loc::State(offset) {
            return;
        }
        self.displace_state(offset, bytes);
        if bits == 1 && self.f.flags.contains(&offset) {
            // One of all, or the others are in their fields.
            self.all_written();
        }
        let m = self.state(offset);
        match bits {
            1 if self.fact(v).key != NO_KEY => {
                let cc = self.flags_of(v);
                self.asm.setcc_m(cc, m);
            }
            128 => match self.loc(v) {
                Loc::Pair(..) => {
                    let (a, b) = self.halves(v);
                    self.asm.mov_mr(Size::Q, m, a);
                    self.asm.mov_mr(Size::Q, m.plus(8), b);
                }
                Loc::Const(0) => {
                    self.asm.mov_mi(Size::Q, m, 0);
                    self.asm.mov_mi(Size::Q, m.plus(8), 0);
                }
                _ => {
                    let x = self.xmm(v);
                    self.asm.movups_mr(m, x);
                }
            },
            _ => match self.loc(v) {
                Loc::Const(c) if bits < 64 => self.asm.mov_mi(Size::bits(bits), m, c as i32),
                Loc::Const(c) if i32::try_from(c as i64).is_ok() => self.asm.mov_mi(Size::Q, m, c as i32),
                Loc::Xmm(x) if bits == 64 => self.asm.movq_mr(m, x),
                Loc::Xmm(x) if bits == 32 => self.asm.movd_mr(m, x),
                _ => {
                    let r = self.gpr(v);
                    self.asm.mov_mr(Size::bits(bits), m, r);
                }
            },
        }
        if apart {
            // Ops change the sticky exceptions without a `set`.
            if !sticky && self.live(v) && self.vals[v as usize].backing == NONE && matches!(self.loc(v), Loc::Gpr(_) | Loc::Xmm(_)) {
                self.vals[v as usize].backing = offset;
                self.aliases.push(v);
            }
            if bits == 64 {
                self.note_written(v, Operand::State(offset));
            }
        } else {
            for p in overlapping {
                self.displace_pin(p);
                let m = self.state(self.pins.at(p.into()));
                self.asm.mov_rm(Size::Q, HOMES[p as usize], m);
            }
        }
    }
    fn set_pin(&mut self, p: u8, v: u32) {
        if self.loc(v) == Loc::Pin(p) {
            return;
        }
        // Copies of the field in memory are of no use: nothing reads a pinned field's memory.
        self.displace_pin(p);
        let h = HOMES[p as usize];
        self.aligned_in(v, p);
        match self.loc(v) {
            Loc::Const(c) => self.asm.mov_ri(h, c),
            Loc::Xmm(x) => self.asm.mov_rx(Size::Q, h, x),
            _ => {
                let a = self.arg(v);
                self.mov_arg(Size::Q, h, a);
                if let (Loc::Gpr(r), true) = (self.loc(v), self.live(v)) {
                    self.owner[r as usize] = NONE;
                    self.locked &= !(1 << r);
                    self.vals[v as usize].loc = Loc::Pin(p);
                    self.vals[v as usize].backing = NONE;
                    self.aliases.push(v);
                }
            }
        }
        self.note_written(v, Operand::Pin(p));
    }

    /// `set`; and the `set` of zero to the 8 bytes above, if one follows, in one store.
    fn set_and_zero(&mut self, op: &Op, ops: &[Op]) {
        let (offset, v) = (op.imm as u32, op.a);
        let above = ops.get(self.at as usize + 1).filter(|o| o.code == op.code && o.ty == Ty::I64 && o.shape == Shape::SCALAR);
        let zero = above.is_some_and(|o| o.imm == op.imm + 8 && self.loc(o.a) == Loc::Const(0));
        let Loc::Xmm(x) = self.loc(v) else { return self.set(op) };
        if !zero || self.fact(v).bits != 64 || self.pins_at(offset, 16).next().is_some() || self.is_sticky(offset, 16) {
            return self.set(op);
        }
        self.xlock(x);
        self.cover(offset + 8, NONE);
        self.displace_state(offset, 16);
        let m = self.state(offset);
        if self.vals[v as usize].clean {
            self.asm.movups_mr(m, x);
        } else {
            self.asm.movq(15, x);
            self.asm.movups_mr(m, 15);
        }
        if self.live(v) && self.vals[v as usize].backing == NONE {
            self.vals[v as usize].backing = offset;
            self.aliases.push(v);
        }
        self.skip = self.at + 2;
    }
}
