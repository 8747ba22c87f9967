//! The connection of a debugger that speaks gdb's remote protocol.
//!
//! * `address`: what `-gdb` says, and the socket that listens there.
//! * `description`: the target description (XML) from what the target says of its registers.
//! * `target`: the machine as the protocol crate wants to see it: a thread for each CPU.
//! * `monitor`: the commands behind gdb's `monitor`.
//! * `signals`: the protocol's numbers of a program's signals.
//! * `server`: one debugger at a time, from connection to detachment.
//!
//! The wire protocol is the gdbstub crate's; what a debugger does to the machine is `emu_exec`'s.

mod address;
mod description;
mod monitor;
mod server;
mod signals;
mod target;

pub use address::{Address, Listener, Stream};
pub use server::Server;
