//! How the encodings of a class are written. The first row that fits counts: aliases come before what they stand for.
//!
//! In a text `*` is the mnemonic, and `{...}` an operand of [`super::operand`].

use super::Insn;
use super::operand::{bit_mask, is_wide};

/// A row.
pub(super) struct Form {
    /// Title of the class.
    pub class: &'static str,
    /// Mnemonics, with spaces between; empty: all.
    pub only: &'static str,
    /// Further condition.
    pub when: fn(Insn) -> bool,
    /// The text.
    pub text: &'static str,
}

impl Form {
    /// True if encodings of this class and mnemonic may be written so.
    pub fn is_for(&self, class: &str, mnemonic: &str) -> bool {
        self.class == class && (self.only.is_empty() || self.only.split(' ').any(|o| o == mnemonic))
    }
}

const fn all(class: &'static str, text: &'static str) -> Form {
    Form { class, only: "", when: |_| true, text }
}
const fn some(class: &'static str, only: &'static str, text: &'static str) -> Form {
    Form { class, only, when: |_| true, text }
}
const fn alias(class: &'static str, only: &'static str, when: fn(Insn) -> bool, text: &'static str) -> Form {
    Form { class, only, when, text }
}

/// MOVN and MOVZ have a value of their own, which MOV shows.
fn is_mov(i: Insn) -> bool {
    i.field(5, 16) != 0 || i.field(21, 2) == 0
}
/// ORR (immediate) of the zero register whose value no MOVZ or MOVN makes: they cannot write the stack pointer either.
fn is_mov_bitmask(i: Insn) -> bool {
    i.n() == 31 && bit_mask(i).is_some_and(|v| i.d() == 31 || !(is_wide(v, i.sf()) || is_wide(!v, i.sf())))
}
fn immr(i: Insn) -> u32 {
    i.field(16, 6)
}
fn imms(i: Insn) -> u32 {
    i.field(10, 6)
}
/// imms is the register's top bit.
fn to_top(i: Insn) -> bool {
    imms(i) == if i.sf() { 63 } else { 31 }
}
/// A condition that can be inverted.
fn inverts(i: Insn) -> bool {
    i.field(13, 3) != 7
}
/// Rt is the zero register and nothing acquires: a store form.
fn is_store(i: Insn) -> bool {
    i.d() == 31 && i.field(23, 1) == 0
}

/// op1, CRn, CRm, op2 of a system instruction.
fn sys(i: Insn) -> (u32, u32, u32, u32) {
    (i.field(16, 3), i.field(12, 4), i.field(8, 4), i.field(5, 3))
}

const ADD_IMM: &str = "Add/subtract (immediate)";
const ADD_SHIFT: &str = "Add/subtract (shifted register)";
const ADD_EXT: &str = "Add/subtract (extended register)";
const LOG_IMM: &str = "Logical (immediate)";
const LOG_SHIFT: &str = "Logical (shifted register)";
const WIDE: &str = "Move wide (immediate)";
const BITFIELD: &str = "Bitfield";
const SELECT: &str = "Conditional select";
const DP1: &str = "Data-processing (1 source)";
const DP2: &str = "Data-processing (2 source)";
const DP3: &str = "Data-processing (3 source)";
const BRANCH: &str = "Unconditional branch (register)";
const HINTS: &str = "Hints";
const EXCLUSIVE_PAIR: &str = "Load/store exclusive pair";
const EXCLUSIVE: &str = "Load/store exclusive register";
const ATOMIC: &str = "Atomic memory operations";
const COPY_SET: &str = "Memory copy and memory set";

pub(super) static FORMS: &[Form] = &[
    // Data processing, immediate.
    some("PC-rel. addressing", "adr", "* {Xd}, {adr}"),
    some("PC-rel. addressing", "adrp", "* {Xd}, {adrp}"),
    alias(ADD_IMM, "add", |i| (i.d() == 31 || i.n() == 31) && i.field(10, 13) == 0, "mov {Rd!}, {Rn!}"),
    alias(ADD_IMM, "adds", |i| i.d() == 31, "cmn {Rn!}, {imm12}"),
    alias(ADD_IMM, "subs", |i| i.d() == 31, "cmp {Rn!}, {imm12}"),
    some(ADD_IMM, "add sub", "* {Rd!}, {Rn!}, {imm12}"),
    some(ADD_IMM, "adds subs", "* {Rd}, {Rn!}, {imm12}"),
    some("Min/max (immediate)", "smax smin", "* {Rd}, {Rn}, {simm8}"),
    some("Min/max (immediate)", "umax umin", "* {Rd}, {Rn}, {uimm8}"),
    alias(LOG_IMM, "orr", is_mov_bitmask, "mov {Rd!}, {mask}"),
    alias(LOG_IMM, "ands", |i| i.d() == 31, "tst {Rn}, {mask}"),
    some(LOG_IMM, "ands", "* {Rd}, {Rn}, {mask}"),
    all(LOG_IMM, "* {Rd!}, {Rn}, {mask}"),
    alias(WIDE, "movz", is_mov, "mov {Rd}, {wide}"),
    alias(WIDE, "movn", |i| is_mov(i) && (i.sf() || i.field(5, 16) != 0xffff), "mov {Rd}, {wide not}"),
    all(WIDE, "* {Rd}, {imm16}{hw}"),
    alias(BITFIELD, "sbfm", to_top, "asr {Rd}, {Rn}, {immr}"),
    alias(BITFIELD, "sbfm", |i| imms(i) < immr(i), "sbfiz {Rd}, {Rn}, {lsb}, {width of lsb}"),
    alias(BITFIELD, "sbfm", |i| immr(i) == 0 && imms(i) == 7, "sxtb {Rd}, {Wn}"),
    alias(BITFIELD, "sbfm", |i| immr(i) == 0 && imms(i) == 15, "sxth {Rd}, {Wn}"),
    alias(BITFIELD, "sbfm", |i| immr(i) == 0 && imms(i) == 31 && i.sf(), "sxtw {Rd}, {Wn}"),
    some(BITFIELD, "sbfm", "sbfx {Rd}, {Rn}, {immr}, {width}"),
    alias(BITFIELD, "bfm", |i| imms(i) < immr(i) && i.n() == 31, "bfc {Rd}, {lsb}, {width of lsb}"),
    alias(BITFIELD, "bfm", |i| imms(i) < immr(i), "bfi {Rd}, {Rn}, {lsb}, {width of lsb}"),
    some(BITFIELD, "bfm", "bfxil {Rd}, {Rn}, {immr}, {width}"),
    alias(BITFIELD, "ubfm", to_top, "lsr {Rd}, {Rn}, {immr}"),
    alias(BITFIELD, "ubfm", |i| imms(i) + 1 == immr(i), "lsl {Rd}, {Rn}, {lsb}"),
    alias(BITFIELD, "ubfm", |i| imms(i) < immr(i), "ubfiz {Rd}, {Rn}, {lsb}, {width of lsb}"),
    alias(BITFIELD, "ubfm", |i| immr(i) == 0 && imms(i) == 7 && !i.sf(), "uxtb {Rd}, {Wn}"),
    alias(BITFIELD, "ubfm", |i| immr(i) == 0 && imms(i) == 15 && !i.sf(), "uxth {Rd}, {Wn}"),
    some(BITFIELD, "ubfm", "ubfx {Rd}, {Rn}, {immr}, {width}"),
    alias("Extract", "extr", |i| i.n() == i.m(), "ror {Rd}, {Rn}, {imms}"),
    all("Extract", "* {Rd}, {Rn}, {Rm}, {imms}"),
    all("Reserved", "* {udf}"),
    // Data processing, register.
    alias(DP2, "lslv", |_| true, "lsl {Rd}, {Rn}, {Rm}"),
    alias(DP2, "lsrv", |_| true, "lsr {Rd}, {Rn}, {Rm}"),
    alias(DP2, "asrv", |_| true, "asr {Rd}, {Rn}, {Rm}"),
    alias(DP2, "rorv", |_| true, "ror {Rd}, {Rn}, {Rm}"),
    some(DP2, "crc32b crc32h crc32w crc32cb crc32ch crc32cw", "* {Wd}, {Wn}, {Wm}"),
    some(DP2, "crc32x crc32cx", "* {Wd}, {Wn}, {Xm}"),
    some(DP2, "pacga", "* {Xd}, {Xn}, {Xm!}"),
    all(DP2, "* {Rd}, {Rn}, {Rm}"),
    some(DP1, "pacia pacib pacda pacdb autia autib autda autdb", "* {Xd}, {Xn!}"),
    some(DP1, "paciza pacizb pacdza pacdzb autiza autizb autdza autdzb xpaci xpacd", "* {Xd}"),
    all(DP1, "* {Rd}, {Rn}"),
    alias(LOG_SHIFT, "orr", |i| i.n() == 31 && i.field(22, 2) == 0 && imms(i) == 0, "mov {Rd}, {Rm}"),
    alias(LOG_SHIFT, "orn", |i| i.n() == 31, "mvn {Rd}, {Rm}{shift}"),
    alias(LOG_SHIFT, "ands", |i| i.d() == 31, "tst {Rn}, {Rm}{shift}"),
    all(LOG_SHIFT, "* {Rd}, {Rn}, {Rm}{shift}"),
    alias(ADD_SHIFT, "adds", |i| i.d() == 31, "cmn {Rn}, {Rm}{shift}"),
    alias(ADD_SHIFT, "subs", |i| i.d() == 31, "cmp {Rn}, {Rm}{shift}"),
    alias(ADD_SHIFT, "sub", |i| i.n() == 31, "neg {Rd}, {Rm}{shift}"),
    alias(ADD_SHIFT, "subs", |i| i.n() == 31, "negs {Rd}, {Rm}{shift}"),
    all(ADD_SHIFT, "* {Rd}, {Rn}, {Rm}{shift}"),
    alias(ADD_EXT, "adds", |i| i.d() == 31, "cmn {Rn!}, {ext}"),
    alias(ADD_EXT, "subs", |i| i.d() == 31, "cmp {Rn!}, {ext}"),
    some(ADD_EXT, "adds subs", "* {Rd}, {Rn!}, {ext}"),
    all(ADD_EXT, "* {Rd!}, {Rn!}, {ext}"),
    alias("Add/subtract (with carry)", "sbc", |i| i.n() == 31, "ngc {Rd}, {Rm}"),
    alias("Add/subtract (with carry)", "sbcs", |i| i.n() == 31, "ngcs {Rd}, {Rm}"),
    all("Add/subtract (with carry)", "* {Rd}, {Rn}, {Rm}"),
    all("Rotate right into flags", "* {Xn}, {imm6}, {flags}"),
    all("Evaluate into flags", "* {Wn}"),
    all("Conditional compare (register)", "* {Rn}, {Rm}, {nzcv}, {cond}"),
    all("Conditional compare (immediate)", "* {Rn}, {imm5}, {nzcv}, {cond}"),
    alias(SELECT, "csinc", |i| i.n() == 31 && i.m() == 31 && inverts(i), "cset {Rd}, {cond not}"),
    alias(SELECT, "csinv", |i| i.n() == 31 && i.m() == 31 && inverts(i), "csetm {Rd}, {cond not}"),
    alias(SELECT, "csinc", |i| i.n() == i.m() && i.n() != 31 && inverts(i), "cinc {Rd}, {Rn}, {cond not}"),
    alias(SELECT, "csinv", |i| i.n() == i.m() && i.n() != 31 && inverts(i), "cinv {Rd}, {Rn}, {cond not}"),
    alias(SELECT, "csneg", |i| i.n() == i.m() && inverts(i), "cneg {Rd}, {Rn}, {cond not}"),
    all(SELECT, "* {Rd}, {Rn}, {Rm}, {cond}"),
    alias(DP3, "madd", |i| i.a() == 31, "mul {Rd}, {Rn}, {Rm}"),
    alias(DP3, "msub", |i| i.a() == 31, "mneg {Rd}, {Rn}, {Rm}"),
    alias(DP3, "smaddl", |i| i.a() == 31, "smull {Xd}, {Wn}, {Wm}"),
    alias(DP3, "smsubl", |i| i.a() == 31, "smnegl {Xd}, {Wn}, {Wm}"),
    alias(DP3, "umaddl", |i| i.a() == 31, "umull {Xd}, {Wn}, {Wm}"),
    alias(DP3, "umsubl", |i| i.a() == 31, "umnegl {Xd}, {Wn}, {Wm}"),
    some(DP3, "madd msub", "* {Rd}, {Rn}, {Rm}, {Ra}"),
    some(DP3, "smaddl smsubl umaddl umsubl", "* {Xd}, {Wn}, {Wm}, {Xa}"),
    some(DP3, "smulh umulh", "* {Xd}, {Xn}, {Xm}"),
    // Branches, exceptions, system.
    some("Conditional branch (immediate)", "b", "b.{cond low} {pc19}"),
    some("Conditional branch (immediate)", "bc", "bc.{cond low} {pc19}"),
    all("Compare registers and branch", "* {Rd}, {Rm}, {pc9}"),
    all("Compare bytes or halfwords and branch", "* {Wd}, {Wm}, {pc9}"),
    all("Compare register with immediate and branch", "* {Rd}, {imm6 cb}, {pc9}"),
    all("Compare and branch (immediate)", "* {Rd}, {pc19}"),
    all("Test and branch (immediate)", "* {Rd}, {bit}, {pc14}"),
    all("Unconditional branch (immediate)", "* {pc26}"),
    alias(BRANCH, "ret", |i| i.n() == 30, "ret"),
    some(BRANCH, "br blr ret braaz brabz blraaz blrabz", "* {Xn}"),
    some(BRANCH, "braa brab blraa blrab", "* {Xn}, {Xd!}"),
    some(BRANCH, "retaa retab eret eretaa eretab drps", "*"),
    alias("Exception generation", "dcps1 dcps2 dcps3", |i| i.field(5, 16) == 0, "*"),
    all("Exception generation", "* {imm16}"),
    all("System instructions with register argument", "* {Xd}"),
    alias(HINTS, "bti", |i| i.field(6, 2) == 0, "*"),
    some(HINTS, "bti", "bti {bti}"),
    some(HINTS, "psb", "psb csync"),
    some(HINTS, "tsb", "tsb csync"),
    some(HINTS, "chkfeat", "chkfeat x16"),
    some(HINTS, "hint stshh shuh stcph srls slbnd", "hint {hint}"),
    all(HINTS, "*"),
    alias("Barriers", "clrex isb", |i| i.field(8, 4) == 15, "*"),
    alias("Barriers", "dsb", |i| i.field(8, 4) == 0 && i.field(5, 3) == 4, "ssbb"),
    alias("Barriers", "dsb", |i| i.field(8, 4) == 4 && i.field(5, 3) == 4, "pssbb"),
    alias("Barriers", "dsb", |i| i.field(5, 3) == 1, "dsb {barrier nxs}"),
    some("Barriers", "dsb dmb", "* {barrier}"),
    some("Barriers", "clrex isb", "* {crm}"),
    some("Barriers", "sb", "*"),
    alias("PSTATE", "msr", super::system::fits_pstate, "msr {pstate}, {crm}"),
    some("PSTATE", "msr", "msr {pstate fields}, xzr"),
    all("PSTATE", "*"),
    alias("System instructions", "sys", |i| super::system::name(i).is_some(), "{sys}"),
    alias("System instructions", "sys", |i| i.d() == 31, "sys {sys fields}"),
    some("System instructions", "sys", "sys {sys fields}, {Xd}"),
    alias("System instructions", "sysl", |i| sys(i) == (3, 7, 7, 1) && i.d() == 31, "gcspopm"),
    alias("System instructions", "sysl", |i| sys(i) == (3, 7, 7, 1), "gcspopm {Xd}"),
    alias("System instructions", "sysl", |i| sys(i) == (3, 7, 7, 3), "gcsss2 {Xd}"),
    some("System instructions", "sysl", "sysl {Xd}, {sys fields}"),
    some("System register move", "msr", "msr {register}, {Xd}"),
    some("System register move", "mrs", "mrs {Xd}, {register}"),
    // Loads and stores.
    some(EXCLUSIVE_PAIR, "stxp stlxp", "* {Ws}, {Tt}, {Tt2}, {mem}"),
    all(EXCLUSIVE_PAIR, "* {Tt}, {Tt2}, {mem}"),
    some(EXCLUSIVE, "stxr stlxr stxrb stlxrb stxrh stlxrh", "* {Ws}, {Tt}, {mem}"),
    all(EXCLUSIVE, "* {Tt}, {mem}"),
    all("Load/store ordered", "* {Tt}, {mem}"),
    all("Compare and swap", "* {Ts}, {Tt}, {mem}"),
    alias("Compare and swap pair", "", |i| (i.d() | i.m()) & 1 == 0, "* {Ts}, {Ts+1}, {Tt}, {Tt+1}, {mem}"),
    all("LDAPR/STLR (unscaled immediate)", "* {Tt}, {mem9}"),
    all("LDAPR/STLR (SIMD&FP)", "* {Tt}, {mem9}"),
    some("LDAPR/STLR (writeback)", "stlr", "* {Tt}, {mem less}"),
    some("LDAPR/STLR (writeback)", "ldapr", "* {Tt}, {mem more}"),
    alias("LDIAPP/STILP", "stilp", |i| i.field(12, 4) == 0, "* {Tt}, {Tm}, {mem less2}"),
    alias("LDIAPP/STILP", "ldiapp", |i| i.field(12, 4) == 0, "* {Tt}, {Tm}, {mem more2}"),
    all("LDIAPP/STILP", "* {Tt}, {Tm}, {mem}"),
    some("Load register (literal)", "prfm", "* {prefetch}, {pc19}"),
    all("Load register (literal)", "* {Tt}, {pc19}"),
    all("Load/store no-allocate pair (offset)", "* {Tt}, {Tt2}, {mem7}"),
    all("Load/store register pair (offset)", "* {Tt}, {Tt2}, {mem7}"),
    all("Load/store register pair (post-indexed)", "* {Tt}, {Tt2}, {mem}, {imm7}"),
    all("Load/store register pair (pre-indexed)", "* {Tt}, {Tt2}, [{Xn!}, {imm7}]!"),
    some("Load/store register (unscaled immediate)", "prfum", "* {prefetch}, {mem9}"),
    all("Load/store register (unscaled immediate)", "* {Tt}, {mem9}"),
    all("Load/store register (unprivileged)", "* {Tt}, {mem9}"),
    all("Load/store register (immediate post-indexed)", "* {Tt}, {mem}, {imm9}"),
    all("Load/store register (immediate pre-indexed)", "* {Tt}, [{Xn!}, {imm9}]!"),
    some("Load/store register (unsigned immediate)", "prfm", "* {prefetch}, {mem12}"),
    all("Load/store register (unsigned immediate)", "* {Tt}, {mem12}"),
    some("Load/store register (register offset)", "prfm", "* {prefetch}, {memreg}"),
    some("Load/store register (register offset)", "rprfm", "* {rprfm}, {Xm}, {mem}"),
    all("Load/store register (register offset)", "* {Tt}, {memreg}"),
    alias("Load/store register (PAC)", "ldraa ldrab", |i| i.field(11, 1) == 1, "* {Xd}, {mem10}!"),
    all("Load/store register (PAC)", "* {Xd}, {mem10}"),
    some(ATOMIC, "swp swpa swpl swpal swpb swpab swplb swpalb swph swpah swplh swpalh", "* {Ts}, {Tt}, {mem}"),
    some(ATOMIC, "ldapr ldaprb ldaprh", "* {Tt}, {mem}"),
    alias(ATOMIC, "", is_store, "{store form} {Ts}, {mem}"),
    all(ATOMIC, "* {Ts}, {Tt}, {mem}"),
    all("128-bit atomic memory operations", "* {Xd}, {Xm}, {mem}"),
    // MOPS.
    alias(COPY_SET, "", |i| i.tag == "CPY" && i.field(30, 2) == 0, "* [{Xd}]!, [{Xs}]!, {Xn}!"),
    alias(COPY_SET, "", |i| i.tag == "SET" && i.field(30, 2) == 0, "* [{Xd}]!, {Xn}!, {Xs}"),
];
