//! The world outside of the machine: the byte streams that its serial lines lead to, the terminal, signals, scripts that talk to the
//! console, the time limit.
//!
//! Output comes in on the thread of the CPU that made it, and a script answers on that same thread before the guest goes on. So a scripted
//! run depends on nothing but the guest, and deterministic execution stays deterministic.

mod escape;
mod limit;
mod script;
mod semihosting;
pub mod signals;
mod spec;
mod started;
mod streams;
pub mod terminal;

pub use escape::{Escape, Key};
pub use limit::{TimeLimit, parse_duration};
pub use script::{Script, Step, unescape};
pub use semihosting::SemihostingConsole;
pub use spec::StreamSpec;
pub use started::for_another_program;
pub use streams::{Guest, Streams};
