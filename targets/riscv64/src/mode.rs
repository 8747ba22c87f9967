//! The mode key: everything besides the address that a translation depends on, packed into 64 bits.
//!
//! One list of fields; `refresh_mode` computes the key from the state, the translator reads it. The second half of an instruction that lies
//! across a page boundary lives only here: see `translate::straddle`.

use crate::csr::word;
use crate::state::{State, mstatus, privilege};

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident $set:ident: $lsb:expr, $width:literal;)*) => {
        impl ModeKey {
            $(
                $(#[$doc])*
                pub const fn $name(self) -> u32 { (self.0 >> $lsb) as u32 & ((1 << $width) - 1) }
                /// The key with that field replaced.
                #[must_use]
                pub const fn $set(self, v: u32) -> ModeKey {
                    let mask = ((1u64 << $width) - 1) << $lsb;
                    ModeKey(self.0 & !mask | ((v as u64) << $lsb & mask))
                }
            )*
        }
    };
}

/// A mode key.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ModeKey(pub u64);

/// Lowest bit of `view`.
pub const VIEW_LSB: u32 = 2;
/// Lowest bit of `fs`.
pub const FS_LSB: u32 = 6;

fields! {
    /// Privilege level.
    privilege with_privilege: 0, 2;
    /// Privilege view of data accesses.
    view with_view: VIEW_LSB, 4;
    /// mstatus.FS: 0 floating-point instructions are illegal, 1 they mark the state dirty first, 2 it is dirty.
    fs with_fs: FS_LSB, 2;
    /// fcsr.frm.
    frm with_frm: 8, 3;
    /// The upper half of the instruction that begins 2 bytes before the end of a page.
    upper_half with_upper_half: 16, 16;
    /// `upper_half` is there.
    straddle with_straddle: 32, 1;
}

/// Privilege views of data accesses.
pub mod view {
    /// User.
    pub const U: u32 = 0;
    /// Supervisor, user pages out of reach.
    pub const S: u32 = 1;
    /// Supervisor with mstatus.SUM.
    pub const S_SUM: u32 = 2;
    /// Machine: no translation.
    pub const M: u32 = 3;
    /// Number of views.
    pub const COUNT: u32 = 4;
}

impl ModeKey {
    /// The key that a state asks for.
    pub fn compute(cpu: &State) -> ModeKey {
        let status = cpu.csr[word::MSTATUS];
        let data = if cpu.privilege == privilege::M && status & mstatus::MPRV != 0 { cpu.mpp() } else { cpu.privilege };
        let view = match data {
            privilege::U => view::U,
            privilege::M => view::M,
            _ if status & mstatus::SUM != 0 => view::S_SUM,
            _ => view::S,
        };
        let fs = match (status & mstatus::FS) >> 13 {
            0 => 0,
            3 => 2,
            _ => 1,
        };
        ModeKey(0).with_privilege(cpu.privilege.into()).with_view(view).with_fs(fs).with_frm(cpu.csr[word::FRM] as u32)
    }
}
