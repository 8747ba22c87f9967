//! The contract between `emu` and its plugins: types, and the thin shims that carry them over a C ABI. No algorithms.
//!
//! A plugin is a cdylib that exports targets and machines. It implements the safe traits here ([`Architecture`], [`Board`], [`Device`]),
//! registers them with [`register_target!`] and [`register_machine!`], and its cdylib says [`export_plugin!`]. The host opens it with
//! [`open`] and sees only `#[repr(C)]` tables of functions. abi_stable carries the root module, which is called a handful of times;
//! everything called more often is a plain `extern "C"` function.
//!
//! Rules that keep old plugins loading: op rows and service rows are appended, never reordered or changed; the root module carries how many
//! of each the plugin was built with and their hash, and the host compares that with the hash of its own first rows.
#![allow(unsafe_code)] // FFI: every block below has its own SAFETY sentence.

mod abi;
mod check;
mod cpu;
mod debug;
mod device;
mod ffi;
mod machine;
mod services;
mod snapshot;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
mod user;

pub use abi::{
    API_MAJOR, API_MINOR, MAGIC, MachineEntry, OpenError, OpenedPlugin, Requirements, Root, RootRef, TargetEntry, build_root, check_words, linked,
    open, set_panic_reporter, target_table_bytes,
};
pub use cpu::*;
pub use debug::{DebugFeature, DebugLayout, DebugRegister, debug_flag};
pub use device::{Device, DeviceHandle, DeviceVtable};
pub use emu_ir as ir;
pub use emu_softfloat as softfloat;
pub use ffi::{KeyValue, Sink, Slice, Str};
pub use machine::{Board, BoardHandle, Cluster, MachineConfig, MachineRegistration, MachineVtable, OptionInfo};
pub use services::{
    DeviceId, FlushKind, Host, HostServices, N_SERVICES, Power, SERVICE_DOCS, SERVICES, SemihostingCall, StreamId, SystemEvent, TlbFlush,
    services_hash,
};
pub use snapshot::{Reader, Writer};
pub use target::{Architecture, ArchitectureHandle, CpuModelInfo, TargetConfig, TargetRegistration, TargetVtable};

pub use user::*;

/// The decode-table compiler, for build scripts (feature `build`).
#[cfg(feature = "build")]
pub use emu_decodetree as decodetree;

/// Logging inside a plugin reaches the host's log.
pub use log;

#[doc(hidden)]
pub mod reexport {
    pub use abi_stable;
    pub use inventory;
}
