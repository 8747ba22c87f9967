//! The CPU state: what translated code addresses by offset and what helpers use as a struct.
//!
//! x0 is never written. Everything that decides how code is translated is also in `header.mode_key`, which [`crate::mode::ModeKey`]
//! computes; whoever changes such state calls [`State::refresh_mode`].

use crate::csr::word;
use crate::mode::ModeKey;
use emu_plugins_api::{CpuHeader, CpuState};

/// Number of 64-bit words of CSR storage.
pub const CSR_WORDS: usize = 64;
/// Number of PMP entries.
pub const PMP_ENTRIES: usize = 16;

/// Privilege levels, as mstatus.MPP holds them.
pub mod privilege {
    /// User.
    pub const U: u8 = 0;
    /// Supervisor.
    pub const S: u8 = 1;
    /// Machine.
    pub const M: u8 = 3;
}

/// State of a hart.
#[repr(C, align(64))]
pub struct State {
    /// The host's header.
    pub header: CpuHeader,
    /// x0 to x31.
    pub x: [u64; 32],
    /// f0 to f31; what is narrower than 64 bits is NaN-boxed.
    pub f: [u64; 32],
    /// CSRs that are plain memory, by [`word`].
    pub csr: [u64; CSR_WORDS],
    /// pmpaddr0 to pmpaddr15.
    pub pmpaddr: [u64; PMP_ENTRIES],
    /// pmp0cfg to pmp15cfg.
    pub pmpcfg: [u8; PMP_ENTRIES],
    /// Privilege level.
    pub privilege: u8,
    /// The supervisor timer's comparison holds (Sstc).
    pub stimer: u8,
    /// The PMP entry that matches between `pmp_between`, [`PMP_ENTRIES`] for none.
    pub pmp_matches: u8,
    /// Not used; zero.
    pub reserved: [u8; 5],
    /// Addresses between which one entry, or none, matches, the second one excluded; both 0 if that is not known.
    pub pmp_between: [u64; 2],
}

// SAFETY: `#[repr(C)]`, the header comes first, and zeroes are valid in every member.
#[allow(unsafe_code)]
unsafe impl CpuState for State {}

/// Byte offsets for `get` and `set` ops.
pub mod offset {
    use super::State;
    use core::mem::offset_of;

    /// x register n.
    pub const fn x(n: u32) -> u32 {
        offset_of!(State, x) as u32 + n * 8
    }
    /// f register n.
    pub const fn f(n: u32) -> u32 {
        offset_of!(State, f) as u32 + n * 8
    }
    /// Word n of the CSR storage.
    pub const fn csr(n: u32) -> u32 {
        offset_of!(State, csr) as u32 + n * 8
    }
    /// The mode key.
    pub const MODE_KEY: u32 = offset_of!(emu_plugins_api::CpuHeader, mode_key) as u32;
}

/// Registers that are worth a host register, the most used by compiled code first.
pub const PINS: [u32; 31] = [
    offset::x(15),
    offset::x(10),
    offset::x(14),
    offset::x(2),
    offset::x(8),
    offset::x(11),
    offset::x(13),
    offset::x(12),
    offset::x(9),
    offset::x(18),
    offset::x(1),
    offset::x(19),
    offset::x(20),
    offset::x(16),
    offset::x(21),
    offset::x(17),
    offset::x(22),
    offset::x(5),
    offset::x(23),
    offset::x(6),
    offset::x(24),
    offset::x(7),
    offset::x(25),
    offset::x(28),
    offset::x(26),
    offset::x(29),
    offset::x(27),
    offset::x(30),
    offset::x(31),
    offset::x(3),
    offset::x(4),
];

/// Bits of mstatus.
#[allow(missing_docs)] // The names say all.
pub mod mstatus {
    pub const SIE: u64 = 1 << 1;
    pub const MIE: u64 = 1 << 3;
    pub const SPIE: u64 = 1 << 5;
    pub const MPIE: u64 = 1 << 7;
    pub const SPP: u64 = 1 << 8;
    pub const MPP_LSB: u32 = 11;
    pub const MPP: u64 = 3 << MPP_LSB;
    pub const FS: u64 = 3 << 13;
    pub const MPRV: u64 = 1 << 17;
    pub const SUM: u64 = 1 << 18;
    pub const MXR: u64 = 1 << 19;
    pub const TVM: u64 = 1 << 20;
    pub const TW: u64 = 1 << 21;
    pub const TSR: u64 = 1 << 22;
    /// UXL and SXL: 64 bits, which cannot be changed.
    pub const XL: u64 = 2 << 32 | 2 << 34;
    pub const SD: u64 = 1 << 63;
}

impl State {
    /// mstatus.MPP.
    pub fn mpp(&self) -> u8 {
        (self.csr[word::MSTATUS] >> mstatus::MPP_LSB & 3) as u8
    }
    /// Writes mstatus as it is kept: with SD as FS says.
    pub fn set_mstatus(&mut self, value: u64) {
        let dirty = value & mstatus::FS == mstatus::FS;
        self.csr[word::MSTATUS] = value & !mstatus::SD | mstatus::XL | if dirty { mstatus::SD } else { 0 };
    }
    /// Computes the mode key again from everything that it depends on; a halfword of a straddling instruction is forgotten.
    pub fn refresh_mode(&mut self) {
        self.header.mode_key = ModeKey::compute(self).0;
    }
}
