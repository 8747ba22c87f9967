//! Execution: a machine made of plugins, its CPUs as host threads (or one thread that runs them in turn, deterministically), time, timers,
//! translated code, and the services that plugins call.
//!
//! * `machine`: what exists, how it is made, reset and ended.
//! * `vcpu`: one CPU's loop: requests, timers, interrupts, then blocks until somebody asks for attention.
//! * `memory`: guest accesses of a running block: the cached translation, else the slow path, else a fault.
//! * `code`: blocks by physical page; what happens when code is written.
//! * `kept`: code that a later process finds made.
//! * `clock`: the one source of time, and all timers.
//! * `debug`: stopping, stepping, breakpoints, watchpoints, and access to a stopped machine.
//! * `semihosting`: the guest as semihosting sees it.
//! * `state_hash`: hashes of the state at exact instruction counts, to compare engines by.
//! * `hot_code`: generated code for tests to look at.
//! * `trace`: what `-d` shows of a running CPU.
//! * `user`: programs instead of a board: the guest's memory in the host's, its threads as CPUs that come and go.
//! * `services`: the C functions behind [`emu_plugins_api::HostServices`].
//!
//! There is no lock that all CPUs share on a common path. A CPU's caches are touched by its own thread only; others post requests, which it
//! takes when it next looks at `exit_request`.
#![allow(unsafe_code)] // CPU state and guest RAM are raw memory; every block says why it is sound.

mod clock;
mod code;
mod cpus;
mod debug;
#[doc(hidden)]
pub mod hot_code;
mod kept;
mod machine;
mod memory;
mod native;
mod once;
mod perf;
mod region;
mod rewritten;
mod semihosting;
mod services;
mod state_hash;
mod tier;
mod trace;
mod user;
mod vcpu;

pub use clock::Clock;
pub use debug::{Action, CpuStatus, Farewell, Points, ProgramEnd, Stop, StopSink, WatchKind, Watchpoint};
pub use kept::{Kept, Of};
pub use machine::{ClusterSpec, Exit, Machine, MachineSpec, Streams, TraceOptions};
pub use services::services;
pub use state_hash::StateHash;
pub use user::debug::without_signals;
