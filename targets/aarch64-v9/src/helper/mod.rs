//! Helpers: what generated code calls when an op would be too large. Three tables, one per author area, numbered through.
//!
//! A helper is a safe function on [`State`](crate::state::State); the table wraps it in the C signature.

pub mod base;
pub mod crypto;
mod sha256;
pub mod mops;
pub mod pauth;
pub mod simd;
pub mod system;

use emu_plugins_api::Helper;

/// Number of a helper in the target's list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HelperId(pub u32);

/// Defines a helper table: `helpers! { first; NAME: path::function, effects; ... }`. The functions have the signature
/// `fn(&mut State, u64, u64, u64, u64) -> HelperReturn` (three values, then the constant).
macro_rules! helpers {
    ($first:expr; $( $(#[$doc:meta])* $name:ident: $func:path, $effects:expr; )*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u32)]
        enum Number { $($name,)* Count }
        $( $(#[$doc])* pub const $name: crate::helper::HelperId = crate::helper::HelperId($first + Number::$name as u32); )*
        /// Number of helpers in this table.
        pub const COUNT: u32 = Number::Count as u32;
        /// The table.
        pub const TABLE: &[emu_plugins_api::Helper] = &[ $( {
            #[allow(unsafe_code)]
            unsafe extern "C" fn shim(cpu: *mut emu_plugins_api::CpuHeader, a: u64, b: u64, c: u64, imm: u64) -> emu_plugins_api::HelperReturn {
                // SAFETY: the host calls helpers with a CPU of this target's layout, on the thread that runs it.
                $func(unsafe { &mut *cpu.cast::<crate::state::State>() }, a, b, c, imm)
            }
            emu_plugins_api::Helper { name: emu_plugins_api::Str::new(stringify!($name)), func: shim, effects: $effects, reserved: 0 }
        } ),* ];
    };
}
pub(crate) use helpers;

/// All helpers, by number.
pub fn all() -> Vec<Helper> {
    [base::TABLE, simd::TABLE, system::TABLE].concat()
}
