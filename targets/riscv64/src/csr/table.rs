//! The CSRs as rows: number, name, what is behind it. Numbers say the rest: bits 9:8 the privilege needed, bits 11:10 = 11 read-only.

use crate::feature::Feature;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Word { $($name,)* Count }
        /// Places in `State::csr`.
        pub mod word {
            $( $(#[$doc])* pub const $name: usize = super::Word::$name as usize; )*
            /// Number of words.
            pub const COUNT: usize = super::Word::Count as usize;
        }
    };
}

words! {
    /// mstatus, which holds sstatus.
    MSTATUS;
    /// frm.
    FRM;
    /// medeleg.
    MEDELEG;
    /// mideleg.
    MIDELEG;
    /// mie, which holds sie.
    MIE;
    /// The bits of mip that software writes.
    MIP;
    /// mtvec.
    MTVEC;
    /// mcounteren.
    MCOUNTEREN;
    /// menvcfg.
    MENVCFG;
    /// mscratch.
    MSCRATCH;
    /// mepc.
    MEPC;
    /// mcause.
    MCAUSE;
    /// mtval.
    MTVAL;
    /// stvec.
    STVEC;
    /// scounteren.
    SCOUNTEREN;
    /// senvcfg.
    SENVCFG;
    /// sscratch.
    SSCRATCH;
    /// sepc.
    SEPC;
    /// scause.
    SCAUSE;
    /// stval.
    STVAL;
    /// satp.
    SATP;
    /// stimecmp.
    STIMECMP;
    /// mcycle less the instructions executed.
    MCYCLE_OFFSET;
    /// minstret less the instructions executed.
    MINSTRET_OFFSET;
}

/// CSRs that do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names say all.
pub enum Special {
    Fflags,
    Frm,
    Fcsr,
    Cycle,
    Time,
    Instret,
    Mcycle,
    Minstret,
    Sstatus,
    Sie,
    Sip,
    Satp,
    Stimecmp,
    Mstatus,
    Misa,
    Mip,
    Mhartid,
    Menvcfg,
    Senvcfg,
    /// Bits of addresses of trap vectors: bases are multiples of 4, the mode is 0 or 1.
    Tvec(usize),
    PmpCfg,
    PmpAddr,
}

/// What is behind a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A word of storage, and the bits of it that can be written.
    Plain(usize, u64),
    /// A constant; writes, where the number permits them, change nothing.
    Constant(u64),
    /// Something that does more.
    Special(Special),
    /// It exists in the architecture and not here, for that reason.
    Missing(&'static str),
}

/// A row: `count` CSRs from `number` on.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Number of the first.
    pub number: u16,
    /// How many.
    pub count: u16,
    /// Name; of several with the lowest index left out.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The extension that it belongs to.
    pub feature: Feature,
}

const ALL: u64 = u64::MAX;
/// Exceptions that can be delegated: all but the environment call of machine mode and what is reserved.
pub const MEDELEG_MASK: u64 = 0xb3ff;
/// Interrupts that can be delegated: those of the supervisor.
pub const MIDELEG_MASK: u64 = 0x222;
/// Interrupts that there are.
pub const MIE_MASK: u64 = 0xaaa;

const H: Kind = Kind::Missing("the hypervisor extension is not implemented yet");
const V: Kind = Kind::Missing("the vector extension is not implemented yet");
const DEBUG: Kind = Kind::Missing("there is no debug mode: debuggers stop the CPU from outside");
const STATEEN: Kind = Kind::Missing("state enable registers are not implemented");

const fn row(number: u16, name: &'static str, kind: Kind, feature: Feature) -> Row {
    Row { number, count: 1, name, kind, feature }
}
const fn rows(number: u16, count: u16, name: &'static str, kind: Kind, feature: Feature) -> Row {
    Row { number, count, name, kind, feature }
}

use Feature as F;
use Kind::{Constant, Missing, Plain};
use Special as B;

const fn special(s: Special) -> Kind {
    Kind::Special(s)
}

/// All rows, in the order of their numbers.
pub static ROWS: &[Row] = &[
    row(0x001, "fflags", special(B::Fflags), F::F),
    row(0x002, "frm", special(B::Frm), F::F),
    row(0x003, "fcsr", special(B::Fcsr), F::F),
    row(0x008, "vstart", V, F::V),
    row(0x009, "vxsat", V, F::V),
    row(0x00a, "vxrm", V, F::V),
    row(0x00f, "vcsr", V, F::V),
    row(0x011, "ssp", Missing("shadow stacks are not implemented"), F::Zicfiss),
    row(0x015, "seed", Missing("the entropy source is not implemented"), F::Zkr),
    row(0x100, "sstatus", special(B::Sstatus), F::S),
    row(0x104, "sie", special(B::Sie), F::S),
    row(0x105, "stvec", special(B::Tvec(word::STVEC)), F::S),
    row(0x106, "scounteren", Plain(word::SCOUNTEREN, 0xffff_ffff), F::S),
    row(0x10a, "senvcfg", special(B::Senvcfg), F::S),
    rows(0x10c, 4, "sstateen", STATEEN, F::Smstateen),
    row(0x140, "sscratch", Plain(word::SSCRATCH, ALL), F::S),
    row(0x141, "sepc", Plain(word::SEPC, !1), F::S),
    row(0x142, "scause", Plain(word::SCAUSE, ALL), F::S),
    row(0x143, "stval", Plain(word::STVAL, ALL), F::S),
    row(0x144, "sip", special(B::Sip), F::S),
    row(0x14d, "stimecmp", special(B::Stimecmp), F::Sstc),
    row(0x180, "satp", special(B::Satp), F::S),
    row(0x200, "vsstatus", H, F::H),
    row(0x204, "vsie", H, F::H),
    row(0x205, "vstvec", H, F::H),
    rows(0x240, 5, "vs trap registers", H, F::H),
    row(0x24d, "vstimecmp", H, F::H),
    row(0x280, "vsatp", H, F::H),
    row(0x300, "mstatus", special(B::Mstatus), F::I),
    row(0x301, "misa", special(B::Misa), F::I),
    row(0x302, "medeleg", Plain(word::MEDELEG, MEDELEG_MASK), F::S),
    row(0x303, "mideleg", Plain(word::MIDELEG, MIDELEG_MASK), F::S),
    row(0x304, "mie", Plain(word::MIE, MIE_MASK), F::I),
    row(0x305, "mtvec", special(B::Tvec(word::MTVEC)), F::I),
    row(0x306, "mcounteren", Plain(word::MCOUNTEREN, 0xffff_ffff), F::U),
    row(0x30a, "menvcfg", special(B::Menvcfg), F::U),
    rows(0x30c, 4, "mstateen", STATEEN, F::Smstateen),
    row(0x320, "mcountinhibit", Constant(0), F::I),
    rows(0x323, 29, "mhpmevent", Constant(0), F::Zihpm),
    row(0x340, "mscratch", Plain(word::MSCRATCH, ALL), F::I),
    row(0x341, "mepc", Plain(word::MEPC, !1), F::I),
    row(0x342, "mcause", Plain(word::MCAUSE, ALL), F::I),
    row(0x343, "mtval", Plain(word::MTVAL, ALL), F::I),
    row(0x344, "mip", special(B::Mip), F::I),
    row(0x34a, "mtinst", H, F::H),
    row(0x34b, "mtval2", H, F::H),
    rows(0x3a0, 16, "pmpcfg", special(B::PmpCfg), F::I),
    rows(0x3b0, 64, "pmpaddr", special(B::PmpAddr), F::I),
    rows(0x600, 25, "hypervisor registers", H, F::H),
    row(0x680, "hgatp", H, F::H),
    row(0x740, "mnscratch", Missing("resumable non-maskable interrupts are not implemented"), F::Smrnmi),
    row(0x747, "mseccfg", Missing("enhanced physical memory protection is not implemented"), F::Smepmp),
    rows(0x7a0, 6, "trigger registers", Missing("triggers are not implemented"), F::Sdtrig),
    rows(0x7b0, 4, "debug registers", DEBUG, F::Sdext),
    row(0xb00, "mcycle", special(B::Mcycle), F::I),
    row(0xb02, "minstret", special(B::Minstret), F::I),
    rows(0xb03, 29, "mhpmcounter", Constant(0), F::Zihpm),
    row(0xc00, "cycle", special(B::Cycle), F::Zicntr),
    row(0xc01, "time", special(B::Time), F::Zicntr),
    row(0xc02, "instret", special(B::Instret), F::Zicntr),
    rows(0xc03, 29, "hpmcounter", Constant(0), F::Zihpm),
    rows(0xc20, 3, "vector registers", V, F::V),
    row(0xda0, "scountovf", Missing("counter overflow is not implemented"), F::Sscofpmf),
    row(0xf11, "mvendorid", Constant(0), F::I),
    row(0xf12, "marchid", Constant(0), F::I),
    row(0xf13, "mimpid", Constant(0), F::I),
    row(0xf14, "mhartid", special(B::Mhartid), F::I),
    row(0xf15, "mconfigptr", Constant(0), F::I),
];

/// The row of a number.
pub fn find(number: u16) -> Option<&'static Row> {
    let at = ROWS.partition_point(|r| r.number <= number);
    ROWS.get(at.checked_sub(1)?).filter(|r| number - r.number < r.count)
}
