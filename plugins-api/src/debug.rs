//! Registers as debuggers show them: what a target says of them, for gdb's target description and whoever else shows registers by name.
//!
//! A register's number is its place in the list over all features, from 0. Values cross as bytes in the order of the target's memory.

use crate::{Slice, Str};

/// A register.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DebugRegister {
    /// Name.
    pub name: Str<'static>,
    /// Type, as gdb's target descriptions name them: "int64", "data_ptr", or one of the feature's own.
    pub ty: Str<'static>,
    /// Group in which `info registers GROUP` shows it; empty: as the type suggests.
    pub group: Str<'static>,
    /// Size in bits, a multiple of 8.
    pub bits: u32,
    /// Not used; zero.
    pub reserved: u32,
}

/// Registers that belong together.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DebugFeature {
    /// Name, by which debuggers know what to expect.
    pub name: Str<'static>,
    /// Definitions of types that its registers use, as elements of a target description; may be empty.
    pub types: Str<'static>,
    /// Its registers.
    pub registers: Slice<'static, DebugRegister>,
    /// `debug_flag::EAGER`.
    pub flags: u32,
    /// Not used; zero.
    pub reserved: u32,
}

/// All registers that debuggers see.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DebugLayout {
    /// The architecture, as gdb names it.
    pub architecture: Str<'static>,
    /// The registers.
    pub features: Slice<'static, DebugFeature>,
    /// Number of the program counter.
    pub pc: u32,
    /// `debug_flag::WATCH_BEFORE`.
    pub flags: u32,
}

/// Bits of `flags` of [`DebugFeature`] and [`DebugLayout`].
pub mod debug_flag {
    /// Of a feature: a debugger reads its registers at every stop. Features with this bit come first.
    pub const EAGER: u32 = 1;
    /// Of the layout: debuggers of this architecture expect that a watchpoint is reported before the access has happened.
    pub const WATCH_BEFORE: u32 = 1;
}

impl DebugLayout {
    /// All registers in order of their numbers.
    pub fn registers(&self) -> impl Iterator<Item = &'static DebugRegister> {
        self.features.get().iter().flat_map(|f| f.registers.get())
    }
}
