//! A CPU that is nothing but memory, so that generated code can be entered without a machine around it, and the interpreter beside it.
//!
//! A block is a list of ops that begin with `get`s and end with `set`s. It is compiled as a region of one unit, run on a random state, and
//! run op by op through `emu_interp::execute` on a copy; then every byte of state and the sticky flags must be equal.

#![allow(unsafe_code, dead_code)] // Generated code is called; not every test uses everything.

use emu_ir::{Code, NONE, Op, Shape, Ty, Width, operand_widths, result_width, verify};
use emu_x86_64::frame::{
    Exchange, Frame, HeaderOffsets, HelperAddress, HostFeatures, JUMPS, JumpEntry, PINS, PinMap, Runtime, Stretches, TLB_ENTRY, TlbShape,
};
use emu_x86_64::{CHUNK, CodeCache, Lowering, Options, Position, Region, Thunks, Unit, disassemble};
use std::mem::size_of;

/// Offsets in the CPU.
pub const PC: usize = 0;
pub const FP_FLAGS: usize = 32;
pub const PINNED: usize = 256;
/// Fields that operands come from, [`FIELD`] bytes apart.
pub const FIELDS: usize = 512;
pub const FIELD: usize = 32;
pub const FIELD_COUNT: usize = 32;
/// Bytes that are 0 or 1.
pub const BOOLS: usize = FIELDS + FIELD * FIELD_COUNT;
pub const BOOL_COUNT: usize = 64;
/// So many of them are condition flags.
pub const CONDITIONS: usize = 4;
/// Where results go.
pub const RESULTS: usize = BOOLS + BOOL_COUNT;
pub const RESULT_COUNT: usize = 64;
pub const STATE: usize = RESULTS + RESULT_COUNT * FIELD;
const SLOTS: usize = STATE.next_multiple_of(64);
const SLOT_COUNT: usize = 2048;
pub const EXCHANGE: usize = SLOTS + SLOT_COUNT * 8;
const JUMP_CACHE: usize = (EXCHANGE + size_of::<Exchange>()).next_multiple_of(64);
/// The translation cache, of one view.
pub const TLB: usize = JUMP_CACHE + JUMPS * size_of::<JumpEntry>();
pub const TLB_ENTRIES: usize = 16;
/// What code has found in it.
pub const STRETCHES: usize = TLB + TLB_ENTRIES * TLB_ENTRY as usize;
const SIZE: usize = STRETCHES + size_of::<Stretches>();

/// Vector length in bytes of the tests.
pub const VL: u32 = 32;

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    /// Prints the seed; `EMU_SEED` replays one.
    pub fn new(test: &str) -> Rng {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64);
        let seed = match std::env::var("EMU_SEED") {
            Ok(text) => text.parse().expect("EMU_SEED is a decimal number"),
            Err(_) => time,
        };
        println!("{test}: EMU_SEED={seed}");
        Rng(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
    fn edge_int(&mut self, bits: u32) -> u64 {
        let top = 1u64 << (bits - 1);
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => top,
            3 => top - 1,
            4 => 1,
            5 => 1 << self.below(u64::from(bits)),
            6 => (self.next() as i64 >> self.below(64)) as u64,
            _ => self.below(300).wrapping_sub(150),
        }
    }
    fn edge_float(&mut self, ty: Ty) -> u64 {
        let (exp, frac): (u32, u32) = match ty {
            Ty::F16 => (5, 10),
            Ty::BF16 => (8, 7),
            Ty::F32 => (8, 23),
            _ => (11, 52),
        };
        let (ones, bias) = ((1u64 << exp) - 1, (1u64 << (exp - 1)) - 1);
        let fraction = match self.below(5) {
            0 => 0,
            1 => 1,
            2 => (1 << frac) - 1,
            3 => 1 << (frac - 1),
            _ => self.next() & ((1 << frac) - 1),
        };
        let exponent = match self.below(8) {
            0 => 0,
            1 => ones,
            2 => ones - 1,
            3 => 1,
            4 => bias,
            5 => (bias + self.below(u64::from(2 * frac) + 4)).min(ones),
            6 => bias.saturating_sub(self.below(u64::from(2 * frac) + 4)),
            _ => self.below(ones + 1),
        };
        (self.next() >> 63) << (exp + frac) | exponent << frac | fraction
    }
    /// Eight bytes of elements of a type, each an edge, a usual or a random one.
    pub fn word(&mut self, ty: Ty) -> u64 {
        let bits = ty.bits().clamp(8, 64);
        let (mut word, style) = (0u64, self.below(4));
        for i in 0..64 / bits {
            let element = match style {
                0 => self.next(),
                1 if self.below(2) == 0 => self.next(),
                _ if ty.is_float() => self.edge_float(ty),
                _ => self.edge_int(bits),
            };
            let mask = u64::MAX >> (64 - bits);
            word |= (element & mask) << (i * bits);
        }
        word
    }
}

#[repr(C, align(64))]
#[derive(Clone)]
struct Line([u8; 64]);

/// A CPU's memory.
pub struct Cpu(Vec<Line>);

impl Cpu {
    pub fn new() -> Cpu {
        Cpu(vec![Line([0; 64]); SIZE.div_ceil(64)])
    }
    /// As new, but for the cache of jumps (2 MiB, which take longer than most units run), for units that do not jump.
    #[allow(dead_code)] // Not all tests run so many.
    pub fn again(&mut self) {
        let bytes = self.bytes_mut();
        bytes[..JUMP_CACHE].fill(0);
        bytes[TLB..].fill(0);
    }
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a `Line` is 64 bytes and nothing else.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 64) }
    }
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, borrowed for as long.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 64) }
    }
    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes()[at..at + 4].try_into().expect("4 bytes"))
    }
    pub fn put(&mut self, at: usize, v: u64) {
        self.bytes_mut()[at..at + 8].copy_from_slice(&v.to_le_bytes());
    }
    /// Random state; elements of the given types in the fields.
    pub fn randomise(&mut self, rng: &mut Rng, types: &[Ty]) {
        self.bytes_mut()[..STATE].fill(0);
        for i in 0..PINS.len() {
            let ty = rng.pick(types);
            let v = rng.word(ty);
            self.put(PINNED + 8 * i, v);
        }
        for i in 0..FIELD_COUNT {
            let ty = rng.pick(types);
            for w in 0..FIELD / 8 {
                let v = rng.word(ty);
                self.put(FIELDS + FIELD * i + 8 * w, v);
            }
        }
        for i in 0..BOOL_COUNT {
            self.bytes_mut()[BOOLS + i] = rng.below(2) as u8;
        }
        for at in RESULTS..STATE {
            self.bytes_mut()[at] = 0xcc;
        }
        let flags = if rng.below(4) == 0 { rng.next() as u32 & 0x13f } else { 0 };
        self.bytes_mut()[FP_FLAGS..FP_FLAGS + 4].copy_from_slice(&flags.to_le_bytes());
    }
}

extern "C" fn nothing_next(_cpu: *mut u8) -> usize {
    0
}
extern "C" fn no_access(_cpu: *mut u8, _site: usize) -> u64 {
    eprintln!("generated code accessed guest memory");
    std::process::abort()
}
extern "C" fn no_fence(_cpu: *mut u8, _bits: u64) {
    eprintln!("generated code wanted a fence");
    std::process::abort()
}
extern "C" fn interpret(cpu: *mut u8, op: *const Op, vl: u64) {
    // SAFETY: `cpu` is a `Cpu` of `SIZE` bytes that nobody else uses while generated code runs, `op` is in the code beside.
    let (op, slots, flags) = unsafe {
        let slots = std::slice::from_raw_parts_mut(cpu.add(SLOTS).cast::<u64>(), SLOT_COUNT);
        (op.read_unaligned(), slots, &mut *cpu.add(FP_FLAGS).cast::<u32>())
    };
    if !emu_interp::execute(&op, slots, vl as u32, flags) {
        eprintln!("the interpreter does not know {op:?}");
        std::process::abort();
    }
}

/// Helper 0: writes the sticky exceptions as it sees them to the result whose number is its first argument, and raises all of the host's.
extern "C" fn note_flags(cpu: *mut u8, result: u64) -> u64 {
    // SAFETY: as in `interpret`.
    unsafe {
        let flags = cpu.add(FP_FLAGS).cast::<u32>().read();
        cpu.add(RESULTS + FIELD * result as usize).cast::<u32>().write(flags);
    }
    raise_all(cpu)
}
#[allow(clippy::eq_op)] // That 0 / 0 is invalid is the point.
/// Helper 1: does not look at state; computes with the host's floating point, which raises everything there is.
extern "C" fn raise_all(_cpu: *mut u8) -> u64 {
    use std::hint::black_box;
    let (zero, one, huge, tiny) = (black_box(0.0f64), black_box(1.0), black_box(f64::MAX), black_box(f64::MIN_POSITIVE));
    let all = [zero / zero, one / zero, huge * huge, tiny * tiny, one / black_box(3.0)];
    black_box(all)[4].to_bits()
}

/// A code generator with its surroundings.
pub struct Native {
    pub name: String,
    frame: &'static Frame,
    thunks: Thunks,
    lowering: Lowering<'static>,
    cache: CodeCache,
    entries: Vec<(u64, u32)>,
    /// Regions are made with care.
    pub hot: bool,
}

/// `Runtime::access`.
pub type AccessFunction = extern "C" fn(*mut u8, usize) -> u64;

impl Native {
    pub fn new(options: Options, features: HostFeatures, name: &str) -> Native {
        Native::with_memory(options, features, name, no_access)
    }
    /// With a function that carries slow accesses out.
    pub fn with_memory(options: Options, features: HostFeatures, name: &str, access: AccessFunction) -> Native {
        let header = HeaderOffsets {
            pc: PC as i32,
            mode_key: 8,
            exit_request: 16,
            insns: 24,
            fp_flags: FP_FLAGS as i32,
            monitor_addr: 40,
            monitor_value: 48,
            monitor_size: 56,
        };
        let pins: Vec<u32> = (0..PINS.len()).map(|i| (PINNED + 8 * i) as u32).collect();
        let frame: &'static Frame = Box::leak(Box::new(Frame {
            bias: PINNED as i32 + 128,
            header,
            slots: SLOTS as i32,
            slot_count: SLOT_COUNT as u32,
            exchange: EXCHANGE as i32,
            counters: 0,
            jumps: JUMP_CACHE as i32,
            jump_shift: 2,
            tlb: TlbShape { offset: TLB as i32, entries: TLB_ENTRIES as u32, page_bits: 12, views: 1, stretches: STRETCHES as i32 },
            pin_map: PinMap::new(&pins),
            more: Vec::new(),
            flags: (0..CONDITIONS).map(|i| (BOOLS + i) as u32).collect(),
            pins,
            helpers: [(note_flags as *const () as usize, true), (raise_all as *const () as usize, false)]
                .map(|(address, reads_state)| HelperAddress {
                    address,
                    reads_state,
                    writes_state: false,
                    may_exit: false,
                    always_exits: false,
                    needs_pc: false,
                })
                .to_vec(),
            runtime: Runtime {
                next: nothing_next as *const () as usize,
                link: nothing_next as *const () as usize,
                exit: nothing_next as *const () as usize,
                helper_exit: nothing_next as *const () as usize,
                access: access as *const () as usize,
                interpret: interpret as *const () as usize,
                fence: no_fence as *const () as usize,
            },
            count: false,
            alone: false,
            counts_loops: false,
            direct: None,
            unlinked: false,
            features,
        }));
        let mut cache = CodeCache::new(4 * CHUNK).expect("executable memory");
        let thunks = Thunks::make(frame, &mut cache).expect("room");
        let name = format!("{name} fuse={} native={}", options.fuse, options.native);
        Native { name, frame, thunks, lowering: Lowering::new(frame, thunks, options), cache, entries: Vec::new(), hot: false }
    }
    /// Generators with all options, on this host and on the least one.
    pub fn all() -> Vec<Native> {
        let mut all = Vec::new();
        for (features, name) in [(HostFeatures::detect(), "host"), (HostFeatures::baseline(), "baseline")] {
            for (fuse, native) in [(true, true), (false, true), (true, false), (false, false)] {
                all.push(Native::new(Options { fuse, native }, features, name));
            }
        }
        all
    }
    /// The same, of hot code and of other.
    pub fn all_tiers() -> Vec<Native> {
        let mut all = Native::all();
        all.extend(Native::all().into_iter().map(|native| Native { hot: true, ..native }));
        all
    }
    /// Compiles a block; its address, and in how many places it calls the interpreter.
    pub fn compile(&mut self, block: &Block) -> (usize, usize) {
        let loops = block.ops.iter().any(|op| op.code == Code::Branch as u16);
        let unit = Unit { pc: 0x1000, ops: &block.ops, slots: block.slots, end: 0x1004, counts: &[], loops, flags: u8::MAX };
        self.lowering
            .region(
                &Region { units: &[unit], mode: 0, vl: VL, position: Position::Fixed, origin: 0, key: 0, hot: self.hot, counter: None },
                &mut self.entries,
            )
            .expect("a region without a mistake");
        let calls = self.lowering.asm.outside.iter().filter(|o| o.target == self.thunks.interpret).count();
        let placed = self.cache.place(&self.lowering.asm).unwrap_or_else(|| {
            // Nothing that was made before is run again.
            while let Some(chunk) = self.cache.oldest(&[]) {
                self.cache.release(chunk);
            }
            self.cache.place(&self.lowering.asm).expect("room")
        });
        (placed.address, calls)
    }
    /// Runs compiled code.
    pub fn run(&self, cpu: &mut Cpu, code: usize) {
        // SAFETY: the thunk has this signature; the code was generated for this layout and ends with an exit.
        unsafe {
            let enter = std::mem::transmute::<usize, extern "C" fn(*mut u8, usize)>(self.thunks.enter);
            enter(cpu.bytes_mut().as_mut_ptr(), code);
        }
    }
    /// The straight way of the code made last.
    pub fn straight(&self) -> String {
        disassemble(0, &self.lowering.asm.code[..self.lowering.hot])
    }
    /// The code made last, for reading.
    pub fn text(&self) -> String {
        let text = disassemble(0, &self.lowering.asm.code);
        // Data follows.
        text.split_once("int3").map_or(text.clone(), |(code, _)| code.to_string())
    }
}

/// Ops under construction.
#[derive(Clone, Default)]
pub struct Block {
    pub ops: Vec<Op>,
    pub slots: u32,
}

pub fn blank(code: Code, ty: Ty, shape: Shape) -> Op {
    Op { code: code as u16, ty, shape, dst: NONE, a: NONE, b: NONE, c: NONE, aux: 0, imm: 0 }
}

/// The type and shape of a plain value of a width.
pub fn plain(width: Width) -> (Ty, Shape) {
    match width {
        Width::Bits(bits) => (Ty::int(bits).expect("a width"), Shape::SCALAR),
        Width::Vl => (Ty::I8, Shape::VL),
        Width::Pl => (Ty::I8, Shape::PL),
    }
}

impl Block {
    pub fn new() -> Block {
        let mut b = Block::default();
        b.ops.push(Op { imm: 0x1000, ..blank(Code::InsnStart, Ty::I64, Shape::SCALAR) });
        b
    }
    /// Appends an op with its operands filled in.
    pub fn push(&mut self, mut op: Op) -> u32 {
        if let Some(width) = result_width(&op) {
            op.dst = self.slots;
            self.slots += width.slots(VL).max(1);
        }
        self.ops.push(op);
        op.dst
    }
    pub fn get(&mut self, width: Width, at: usize) -> u32 {
        let (ty, shape) = plain(width);
        self.push(Op { imm: at as u64, ..blank(Code::Get, ty, shape) })
    }
    pub fn set(&mut self, width: Width, at: usize, v: u32) {
        let (ty, shape) = plain(width);
        self.push(Op { imm: at as u64, a: v, ..blank(Code::Set, ty, shape) });
    }
    pub fn end(&mut self) {
        self.push(Op { imm: 0x1004, ..blank(Code::Exit, Ty::I64, Shape::SCALAR) });
    }
    pub fn verified(&self) -> Result<(), String> {
        verify(&self.ops, self.slots, VL, STATE as u64, 0).map_err(|e| e.to_string())
    }
    /// Numbers the labels of each instruction from 0, as those of a unit made of several blocks are.
    pub fn label_by_instruction(&mut self) {
        let is_label = |o: &Op| matches!(o.opcode(), Some(Code::Label | Code::Br | Code::BrIf));
        for part in self.ops.chunk_by_mut(|_, next| next.opcode() != Some(Code::InsnStart)) {
            let first = part.iter().filter(|o| is_label(o)).map(|o| o.imm).min().unwrap_or(0);
            part.iter_mut().filter(|o| is_label(o)).for_each(|o| o.imm -= first);
        }
    }
    /// What the interpreter makes of it.
    pub fn interpret(&self, cpu: &mut Cpu) {
        let mut slots = vec![0u64; self.slots as usize + 8];
        let mut next = 0;
        while let Some(op) = self.ops.get(next) {
            next += 1;
            let at = op.imm as usize;
            match op.opcode().expect("an op") {
                Code::InsnStart | Code::Label => {}
                Code::BrIf if slots[op.a as usize] == 0 => {}
                Code::Br | Code::BrIf => {
                    let here = |o: &Op| o.opcode() == Some(Code::Label) && o.imm == op.imm;
                    next += self.ops[next..].iter().position(here).expect("the label is placed");
                }
                Code::Exit => cpu.put(PC, op.imm),
                Code::Get => {
                    let width = Width::of(op.ty, op.shape);
                    let n = bytes(width);
                    let mut raw = [0u8; FIELD];
                    raw[..n].copy_from_slice(&cpu.bytes()[at..at + n]);
                    for w in 0..width.slots(VL) as usize {
                        slots[op.dst as usize + w] = u64::from_le_bytes(raw[8 * w..8 * w + 8].try_into().expect("8 bytes"));
                    }
                }
                Code::Set => {
                    let n = bytes(Width::of(op.ty, op.shape));
                    let raw: Vec<u8> = slots[op.a as usize..].iter().take(n.div_ceil(8)).flat_map(|w| w.to_le_bytes()).collect();
                    cpu.bytes_mut()[at..at + n].copy_from_slice(&raw[..n]);
                }
                _ => {
                    let mut flags = cpu.u32(FP_FLAGS);
                    assert!(emu_interp::execute(op, &mut slots, VL, &mut flags), "no meaning: {op:?}");
                    cpu.bytes_mut()[FP_FLAGS..FP_FLAGS + 4].copy_from_slice(&flags.to_le_bytes());
                }
            }
        }
    }
    /// Runs it both ways on a state and says what differs.
    pub fn compare(&self, native: &mut Native, code: usize, cpu: &mut Cpu, start: &[u8]) -> Result<(), String> {
        cpu.bytes_mut()[..STATE].copy_from_slice(start);
        self.interpret(cpu);
        let want = cpu.bytes()[..STATE].to_vec();
        cpu.bytes_mut()[..STATE].copy_from_slice(start);
        // Slots have what the last block left, or worse.
        cpu.bytes_mut()[SLOTS..SLOTS + 8 * self.slots as usize].fill(0xaa);
        native.run(cpu, code);
        let got = &cpu.bytes()[..STATE];
        if got == want {
            return Ok(());
        }
        let mut text = format!("{}\n{}", native.name, emu_ir::print(&self.ops));
        for at in (0..STATE).step_by(16) {
            let hex = |b: &[u8]| b[at..at + 16].iter().rev().map(|b| format!("{b:02x}")).collect::<String>();
            if got[at..at + 16] != want[at..at + 16] {
                text += &format!("at {at:5}: {} instead of {}, was {}\n", hex(got), hex(&want), hex(start));
            }
        }
        for op in self.ops.iter().filter(|o| o.opcode() == Some(Code::Get)) {
            let at = op.imm as usize;
            let n = bytes(Width::of(op.ty, op.shape));
            text += &format!("  %{} was {}\n", op.dst, start[at..at + n].iter().rev().map(|b| format!("{b:02x}")).collect::<String>());
        }
        let _ = native.compile(self);
        Err(text + &native.text())
    }
    /// All generators' code of it against the interpreter, on so many random states.
    ///
    /// # Panics
    /// With what is left of the block when it is made as short as fails.
    pub fn check(&self, natives: &mut [Native], cpu: &mut Cpu, rng: &mut Rng, types: &[Ty], states: usize) {
        self.verified().unwrap_or_else(|e| panic!("{e}\n{}", emu_ir::print(&self.ops)));
        let codes: Vec<usize> = natives.iter_mut().map(|n| n.compile(self).0).collect();
        for _ in 0..states {
            cpu.randomise(rng, types);
            let start = cpu.bytes()[..STATE].to_vec();
            for (native, code) in natives.iter_mut().zip(&codes) {
                if self.compare(native, *code, cpu, &start).is_err() {
                    panic!("{}", self.shrink(native, cpu, &start));
                }
            }
        }
    }
    /// A failing block without the ops that it fails without.
    pub fn shrink(&self, native: &mut Native, cpu: &mut Cpu, start: &[u8]) -> String {
        let mut least = self.clone();
        let mut at = least.ops.len();
        while at > 0 {
            at -= 1;
            let op = least.ops[at];
            let used = op.dst != NONE && least.ops[at + 1..].iter().any(|o| o.opcode() != Some(Code::Const128) && [o.a, o.b, o.c].contains(&op.dst));
            if used || matches!(op.opcode(), Some(Code::InsnStart | Code::Exit)) {
                continue;
            }
            let mut less = least.clone();
            less.ops.remove(at);
            // Labels may be numbered more than once, but not be missing.
            if matches!(op.opcode(), Some(Code::Label)) {
                continue;
            }
            let code = native.compile(&less).0;
            if less.compare(native, code, cpu, start).is_err() {
                least = less;
                at = least.ops.len();
            }
        }
        let code = native.compile(&least).0;
        least.compare(native, code, cpu, start).expect_err("it failed before")
    }
}

/// Bytes that a value of a width takes in state.
pub fn bytes(width: Width) -> usize {
    match width {
        Width::Bits(bits) => bits.div_ceil(8) as usize,
        Width::Vl => VL as usize,
        Width::Pl => VL.div_ceil(8) as usize,
    }
}

/// Ops of a code, type and shape with static arguments that mean something: every kind of them, amounts at random.
pub fn variants(rng: &mut Rng, code: Code, ty: Ty, shape: Shape) -> Vec<Op> {
    let base = blank(code, ty, shape);
    let info = base.info().expect("a row");
    let bits = ty.bits();
    let with = |aux: u32, imm: u64| Op { aux, imm, ..base };
    let lanes = if shape == Shape::SCALAR { 1 } else { u64::from((shape.bytes(VL) * 8 / bits.max(8)).max(1)) };
    let mut out = Vec::new();
    let amounts = |rng: &mut Rng, from: u64| {
        let some: Vec<u64> = [from, 1, 2, 7, 8, u64::from(bits) / 2, u64::from(bits) - 1, u64::from(bits)].to_vec();
        let mut all = some;
        all.push(from + rng.below(u64::from(bits) + 1 - from));
        all.push(from + rng.below(u64::from(bits) + 1 - from));
        all
    };
    match code {
        Code::Const if bits > 64 => {}
        Code::Const => {
            for _ in 0..4 {
                let v = rng.word(ty) & (u64::MAX >> (64 - bits.min(64)));
                out.push(with(0, v));
            }
        }
        Code::Extract | Code::SExtract | Code::Deposit => {
            for _ in 0..12 {
                let lsb = rng.below(u64::from(bits)) as u32;
                let len = 1 + rng.below(u64::from(bits - lsb)) as u32;
                out.push(with(lsb | len << 8, 0));
            }
            for (lsb, len) in [(0, bits), (0, bits / 2), (bits / 2, bits / 2), (0, 8), (8, 8), (0, 1)] {
                out.push(with(lsb | len << 8, 0));
            }
        }
        Code::ConcatShr => (0..6).for_each(|i| out.push(with(if i == 0 { 0 } else { rng.below(u64::from(bits)) as u32 }, 0))),
        Code::ZExt | Code::SExt | Code::Trunc => (0..6).for_each(|t| out.push(with(t, 0))),
        Code::Crc32 => (1..5).for_each(|t| [0, 1].iter().for_each(|p| out.push(with(t, *p)))),
        Code::VResize => {
            for t in 0..6 {
                out.push(with(t, 0));
            }
            for s in 1..4 {
                out.push(with(u32::from(ty.0) | s << 8, 0));
            }
        }
        Code::GetLane | Code::SetLane => (0..lanes).for_each(|i| out.push(with(0, i))),
        Code::Ext => (0..=u64::from(shape.bytes(VL)).min(16)).for_each(|i| out.push(with(0, i))),
        Code::Rev => [8, 16, 32, 64, 128].iter().for_each(|c| out.push(with(*c, 0))),
        Code::ShlImm | Code::SliImm => amounts(rng, 0).into_iter().for_each(|n| out.push(with(0, n))),
        Code::RotRImm => amounts(rng, 0).into_iter().for_each(|n| out.push(with(0, n % u64::from(bits)))),
        Code::Sha1Hash => (0..3).for_each(|f| out.push(with(0, f))),
        Code::Sm4 => (0..2).for_each(|f| out.push(with(0, f))),
        Code::SriImm => amounts(rng, 1).into_iter().for_each(|n| out.push(with(0, n))),
        Code::UShrImm | Code::SShrImm => {
            for n in amounts(rng, 1) {
                out.extend([with(0, n), with(1, n)]);
            }
        }
        Code::SQShlImm => {
            for n in amounts(rng, 0) {
                out.extend([with(0, n), with(1, n), with(2, n)]);
            }
        }
        Code::Narrow => {
            for n in amounts(rng, 0).into_iter().chain([0, 0]) {
                for aux in 0..16 {
                    if aux & 8 == 0 || aux & 3 == 0 {
                        out.push(with(aux, n));
                    }
                }
            }
        }
        Code::SShlV | Code::UShlV | Code::SQShlV | Code::UQShlV => out.extend([with(0, 0), with(1, 0)]),
        Code::SHAdd | Code::UHAdd | Code::SQDMulH | Code::SQRDMlaH => out.extend([with(0, 0), with(0, 1)]),
        Code::Widen | Code::MulL | Code::SQDMulL | Code::PMulL | Code::AddLP | Code::Dot4 | Code::MatMul8 => {
            (0..4).for_each(|aux| out.push(with(aux, 0)));
        }
        _ if info.flags & emu_ir::FP != 0 => {
            let imms: Vec<u64> = match code {
                Code::FMulAdd | Code::FMulAddH => vec![0, 1, 2, 3],
                Code::FRelation | Code::FCmGe | Code::FCmGt | Code::FWiden | Code::FNarrow | Code::BfMlal => vec![0, 1],
                Code::FRoundInt => (0..5).flat_map(|r| [r, r | 8]).collect(),
                Code::FRoundIntN => (0..5).flat_map(|r| [r | 32 << 8, r | 64 << 8]).collect(),
                Code::FToInt => {
                    let from = [Ty::F16, Ty::F32, Ty::F64];
                    from.iter()
                        .filter(|f| shape == Shape::SCALAR || f.bits() == bits)
                        .flat_map(|f| (0..5).flat_map(move |r| [0, 3].map(|frac| r | frac << 8 | u64::from(f.0) << 16)))
                        .flat_map(|i| [i, i | 8])
                        .collect()
                }
                Code::IntToF => [Ty::I16, Ty::I32, Ty::I64]
                    .iter()
                    .filter(|f| shape == Shape::SCALAR || f.bits() == bits)
                    .flat_map(|f| [0, 3].map(|frac| frac << 8 | u64::from(f.0) << 16))
                    .flat_map(|i| [i, i | 8])
                    .collect(),
                Code::FConvert => [Ty::F16, Ty::BF16, Ty::F32, Ty::F64].iter().map(|f| u64::from(f.0) << 16).collect(),
                _ => vec![0],
            };
            use emu_softfloat::Mode;
            // What guests have nearly always, one random direction, and anything.
            let any = Mode::from_bits(rng.next() as u32).bits();
            for imm in imms {
                for mode in [0, 0, (rng.below(4) as u32) << 22, 1 << 24, 1 << 25, any] {
                    out.push(with(Mode::from_bits(mode).bits(), imm));
                }
            }
        }
        _ => out.push(base),
    }
    out.retain(has_meaning);
    out
}

/// True if the verifier lets the op through and the interpreter carries it out.
pub fn has_meaning(op: &Op) -> bool {
    let mut block = Block::new();
    let mut op = *op;
    if op.opcode() != Some(Code::Const128) {
        let mut slots = [NONE; 3];
        for (slot, width) in slots.iter_mut().zip(operand_widths(&op)) {
            if let Some(width) = width {
                if width == Width::Bits(0) || matches!(width, Width::Bits(b) if Ty::int(b).is_none()) {
                    return false;
                }
                *slot = block.get(width, FIELDS);
            }
        }
        [op.a, op.b, op.c] = slots;
    }
    match result_width(&op) {
        Some(Width::Bits(b)) if Ty::int(b).is_none() => return false,
        None => return false,
        _ => {}
    }
    block.push(op);
    block.end();
    if block.verified().is_err() {
        return false;
    }
    let mut slots = vec![0u64; 64];
    let op = block.ops[block.ops.len() - 2];
    emu_interp::execute(&op, &mut slots, VL, &mut 0)
}

/// True for an op that computes a value from values.
pub fn computes(code: Code) -> bool {
    let info = emu_ir::OPS[code as usize];
    let not = emu_ir::READS | emu_ir::WRITES | emu_ir::FAULTS | emu_ir::STATE | emu_ir::EXITS | emu_ir::EFFECT | emu_ir::ENDS;
    info.flags & not == 0 && !info.sig.ends_with('-')
}

/// Every op that computes, in every type and shape that has a meaning.
pub fn every_op(rng: &mut Rng) -> Vec<Op> {
    let mut out = Vec::new();
    for code in Code::ALL.iter().copied().filter(|c| computes(*c)) {
        for t in 0..Ty::COUNT {
            for s in 0..Shape::COUNT {
                out.extend(variants(rng, code, Ty(t), Shape(s)));
            }
        }
    }
    out
}

/// The element types that make interesting operands of an op.
pub fn element_types(op: &Op) -> Vec<Ty> {
    let mut types = vec![op.ty];
    types.extend(op.ty.half());
    if matches!(op.opcode(), Some(Code::FToInt | Code::IntToF | Code::FConvert)) {
        types.push(Ty((op.imm >> 16) as u8));
    }
    types
}
