//! Finds, checks and loads plugins, and knows what they offer.
//!
//! The order in which places are searched is [`places`]; what a file must be before any of its code is trusted is in `load`. Everything
//! that can be wrong with a file ends in one sentence that names the file and what to do about it.

mod catalogue;
#[cfg(feature = "dlopen")]
mod elf;
#[cfg(feature = "dlopen")]
mod guard;
mod load;
mod nearest;
mod places;

pub use catalogue::{Catalogue, Discovery, Plugin};
#[cfg(feature = "dlopen")]
pub use guard::loading;
pub use nearest::nearest;
pub use places::{Origin, Place, places};
