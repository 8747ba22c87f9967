//! The envelope: how a cdylib says that it is a plugin, and how the host opens it.
//!
//! The plain function `emu_plugin_abi` gives [`Requirements`], which the host reads first, so that a wrong file or version ends in one
//! sentence. abi_stable's root module then carries the lists of targets and machines, layout-checked. How long the targets' tables are is
//! a plain function again, which plugins built before those grew lack.

use crate::check;
use crate::{HostServices, MachineRegistration, MachineVtable, SERVICES, Str, TargetRegistration, TargetVtable, services_hash};
use abi_stable::StableAbi;
use abi_stable::library::{LibraryError, RootModule, lib_header_from_path};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RString, RVec, Tuple2};
use emu_ir::{OPS, ops_hash};
use std::path::Path;
use std::sync::OnceLock;

/// First word of `EMU_PLUGIN_ABI`: "emuplug" and the number of this envelope.
pub const MAGIC: u64 = u64::from_le_bytes(*b"emuplug1");
/// Plugins of another major version are refused.
pub const API_MAJOR: u32 = 0;
/// Plugins of another minor version are refused while the major version is 0.
pub const API_MINOR: u32 = 1;

/// What a plugin was built with, as `emu_plugin_abi` returns it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, StableAbi)]
pub struct Requirements {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`API_MAJOR`] of the plugin.
    pub api_major: u32,
    /// [`API_MINOR`] of the plugin.
    pub api_minor: u32,
    /// Number of op rows that it knows.
    pub n_ops: u32,
    /// Number of services that it knows.
    pub n_services: u32,
    /// Hash of those op rows.
    pub ops_hash: u64,
    /// Hash of those services.
    pub services_hash: u64,
    /// Number of op rows that it cannot do without.
    pub min_ops: u32,
    /// Number of services that it cannot do without.
    pub min_services: u32,
}

impl Requirements {
    /// Those of a plugin built from this very contract that uses all of it.
    pub fn current() -> Requirements {
        Requirements {
            magic: MAGIC,
            api_major: API_MAJOR,
            api_minor: API_MINOR,
            n_ops: OPS.len() as u32,
            n_services: SERVICES.len() as u32,
            ops_hash: ops_hash(OPS.len()).unwrap_or(0),
            services_hash: services_hash(SERVICES.len()).unwrap_or(0),
            min_ops: OPS.len() as u32,
            min_services: SERVICES.len() as u32,
        }
    }
}

/// Decides whether this host can run a plugin with these requirements. The error is a sentence without the file's name.
pub fn check_words(r: &Requirements) -> Result<(), String> {
    if r.magic != MAGIC {
        return Err("is not an emu plugin (its ABI word is not emu's); remove it from the plugin path".into());
    }
    if (r.api_major, r.api_minor) != (API_MAJOR, API_MINOR) {
        return Err(format!(
            "is an emu plugin for API {}.{}, this emu speaks {API_MAJOR}.{API_MINOR}; rebuild it with the plugins-api of this emu",
            r.api_major, r.api_minor
        ));
    }
    let tables = [
        ("ops", OPS.len() as u32, r.n_ops, r.min_ops, ops_hash(r.n_ops as usize), r.ops_hash),
        ("services", SERVICES.len() as u32, r.n_services, r.min_services, services_hash(r.n_services as usize), r.services_hash),
    ];
    for (what, have, built_with, needs, hash_of_theirs, hash) in tables {
        match hash_of_theirs {
            Some(h) if h == hash => {}
            Some(_) => {
                return Err(format!(
                    "was built with other meanings for the first {built_with} {what} (hash {hash:#018x}); rebuild it with the plugins-api of this emu"
                ));
            }
            None if needs <= have => {}
            None => {
                return Err(format!("needs {needs} {what}, this emu has {have}; use a newer emu or rebuild it with an older plugins-api"));
            }
        }
    }
    Ok(())
}

/// A target in the root module.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct TargetEntry {
    /// Name.
    pub name: RString,
    /// One line.
    pub description: RString,
    /// CPU models: name and description, the default one first.
    pub models: RVec<Tuple2<RString, RString>>,
    /// Address of its `TargetVtable`.
    pub vtable: usize,
}

/// A machine option in the root module.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct OptionEntry {
    /// Name.
    pub name: RString,
    /// Values.
    pub values: RString,
    /// Default.
    pub default: RString,
    /// One line.
    pub description: RString,
}

/// A machine in the root module.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct MachineEntry {
    /// Name.
    pub name: RString,
    /// One line.
    pub description: RString,
    /// Targets.
    pub targets: RVec<RString>,
    /// CPU model when none is asked for.
    pub default_cpu: RString,
    /// Largest number of CPUs.
    pub max_cpus: u32,
    /// Default RAM in bytes.
    pub default_ram: u64,
    /// Options.
    pub options: RVec<OptionEntry>,
    /// Devices.
    pub devices: RVec<Tuple2<RString, RString>>,
    /// Address of its `MachineVtable`.
    pub vtable: usize,
}

/// What a plugin calls when it panics: its name and the message.
#[repr(transparent)]
#[derive(Clone, Copy, StableAbi)]
pub struct PanicReporter {
    /// Does not return as a rule.
    pub report: extern "C" fn(RString, RString),
}

/// abi_stable's root module. It stays as it is: abi_stable refuses a plugin whose root module has fewer functions than the host's. What a
/// plugin says besides is a plain function that older ones lack, as [`target_table_bytes`].
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)))]
#[sabi(missing_field(panic))]
pub struct Root {
    /// What the plugin was built with.
    pub requirements: extern "C" fn() -> Requirements,
    /// Its targets.
    pub targets: extern "C" fn() -> RVec<TargetEntry>,
    /// Its machines.
    pub machines: extern "C" fn() -> RVec<MachineEntry>,
    /// Gives the plugin the host's services (an address), the name to use in messages, the log level, and what to call on a panic.
    #[sabi(last_prefix_field)]
    pub attach: extern "C" fn(services: usize, name: RString, log_level: usize, panicked: PanicReporter),
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "emu_plugin";
    const NAME: &'static str = "emu_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

fn rs(s: &str) -> RString {
    RString::from(s)
}

fn pairs<'a>(list: impl Iterator<Item = (&'a str, &'a str)>) -> RVec<Tuple2<RString, RString>> {
    list.map(|(a, b)| Tuple2(rs(a), rs(b))).collect()
}

extern "C" fn requirements() -> Requirements {
    Requirements::current()
}

extern "C" fn targets() -> RVec<TargetEntry> {
    inventory::iter::<TargetRegistration>()
        .map(|t| TargetEntry {
            name: rs(t.name),
            description: rs(t.description),
            models: pairs((t.models)().iter().map(|m| (m.name, m.description))),
            vtable: core::ptr::from_ref(t.vtable).addr(),
        })
        .collect()
}

extern "C" fn machines() -> RVec<MachineEntry> {
    inventory::iter::<MachineRegistration>()
        .map(|m| MachineEntry {
            name: rs(m.name),
            description: rs(m.description),
            targets: m.targets.iter().map(|t| rs(t)).collect(),
            default_cpu: rs(m.default_cpu),
            max_cpus: m.max_cpus,
            default_ram: m.default_ram,
            options: m
                .options
                .iter()
                .map(|o| OptionEntry { name: rs(o.name), values: rs(o.values), default: rs(o.default), description: rs(o.description) })
                .collect(),
            devices: pairs(m.devices.iter().copied()),
            vtable: core::ptr::from_ref(m.vtable).addr(),
        })
        .collect()
}

struct HostLog(&'static HostServices);

impl log::Log for HostLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        // SAFETY: the host's table lives as long as the process; both strings live through the call.
        unsafe { (self.0.log)(record.level() as u32, Str::new(record.target()), Str::new(&text)) }
    }
    fn flush(&self) {}
}

extern "C" fn attach(services: usize, name: RString, log_level: usize, panicked: PanicReporter) {
    // SAFETY: the host passes the address of its table, which lives as long as the process.
    let services: &'static HostServices = unsafe { &*(services as *const HostServices) };
    let level = match log_level {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Error,
        2 => log::LevelFilter::Warn,
        3 => log::LevelFilter::Info,
        4 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    if log::set_boxed_logger(Box::new(HostLog(services))).is_ok() {
        log::set_max_level(level);
    }
    // The hook runs before anything unwinds, so no panic ever reaches an `extern "C"` frame: the host ends the process with a message.
    std::panic::set_hook(Box::new(move |info| (panicked.report)(name.clone(), RString::from(info.to_string()))));
}

/// Size in bytes of this plugin's tables of targets, as `emu_plugin_target_table_bytes` returns it.
pub const fn target_table_bytes() -> usize {
    size_of::<TargetVtable>()
}

/// The root module of this cdylib, from what its crates registered. Called by [`crate::export_plugin!`].
pub fn build_root() -> RootRef {
    use abi_stable::prefix_type::PrefixTypeTrait;
    Root { requirements, targets, machines, attach }.leak_into_prefix()
}

/// Makes a cdylib an emu plugin: `emu_plugins_api::export_plugin!();` beside a `use` of the crates whose registrations it carries. A plugin
/// that does without the last rows loads in older hosts too when it says how many it needs: `export_plugin!(min_ops: 100, min_services: 20)`.
#[macro_export]
macro_rules! export_plugin {
    () => {
        $crate::export_plugin!(min_ops: $crate::Requirements::current().min_ops, min_services: $crate::Requirements::current().min_services);
    };
    (min_ops: $min_ops:expr, min_services: $min_services:expr) => {
        /// Tells the host what this plugin was built with, before anything else of it is trusted.
        #[unsafe(no_mangle)]
        pub extern "C" fn emu_plugin_abi() -> $crate::Requirements {
            $crate::Requirements { min_ops: $min_ops, min_services: $min_services, ..$crate::Requirements::current() }
        }
        /// Tells the host how long the tables of this plugin's targets are.
        #[unsafe(no_mangle)]
        pub extern "C" fn emu_plugin_target_table_bytes() -> usize {
            $crate::target_table_bytes()
        }
        #[doc(hidden)]
        pub extern "C" fn emu_plugin_root() -> $crate::reexport::abi_stable::library::RootModuleResult {
            $crate::reexport::abi_stable::library::__call_root_module_loader($crate::build_root)
        }
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static _1as_0lib_1header_0root_bmodule_bloader: $crate::reexport::abi_stable::library::LibHeader =
            // SAFETY: the constructor returns the `RootRef` that the type parameter names.
            unsafe {
                $crate::reexport::abi_stable::library::LibHeader::from_constructor::<$crate::RootRef>(
                    emu_plugin_root,
                    $crate::reexport::abi_stable::library::CheckTypeLayout::Yes,
                )
            };
    };
}

/// What a plugin offers, as the host sees it.
pub struct OpenedPlugin {
    /// What it was built with.
    pub requirements: Requirements,
    /// Its targets.
    pub targets: Vec<TargetEntry>,
    /// Its machines.
    pub machines: Vec<MachineEntry>,
}

impl TargetEntry {
    /// The functions.
    pub fn vtable(&self) -> *const TargetVtable {
        self.vtable as *const TargetVtable
    }
}

impl MachineEntry {
    /// The functions.
    pub fn vtable(&self) -> *const MachineVtable {
        self.vtable as *const MachineVtable
    }
}

/// Why a file could not be opened as a plugin.
#[derive(Debug)]
pub struct OpenError {
    /// One sentence, without the file's name.
    pub sentence: String,
    /// All that is known.
    pub detail: String,
}

/// Longest table of a target that the host believes in, in bytes.
const TABLE_MAX: usize = 4096;

static PANIC_REPORTER: OnceLock<fn(&str, &str)> = OnceLock::new();

/// Sets what the host does when a plugin panics: plugin's name and message. It should end the process.
pub fn set_panic_reporter(report: fn(&str, &str)) {
    let _ = PANIC_REPORTER.set(report);
}

extern "C" fn panicked(plugin: RString, message: RString) {
    if let Some(report) = PANIC_REPORTER.get() {
        report(&plugin, &message);
    }
}

/// Opens a plugin whose words have been checked. Never unloads it. `table_bytes` is what its `emu_plugin_target_table_bytes` returned, if it
/// has that function.
pub fn open(
    path: &Path,
    services: &'static HostServices,
    log_level: log::LevelFilter,
    table_bytes: Option<usize>,
) -> Result<OpenedPlugin, OpenError> {
    let fail = |e: LibraryError| {
        let detail = e.to_string();
        let sentence = match e {
            LibraryError::AbiInstability(_) => {
                "has another layout of the plugin interface than this emu; rebuild it with the plugins-api of this emu".to_owned()
            }
            LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
                format!("is built with plugins-api {actual_version}, this emu has {expected_version}; rebuild it with the plugins-api of this emu")
            }
            LibraryError::OpenError { .. } | LibraryError::GetSymbolError { .. } => "is not an emu plugin; remove it from the plugin path".to_owned(),
            _ => format!("cannot be started: {}", detail.lines().next().unwrap_or("unknown error")),
        };
        OpenError { sentence, detail }
    };
    let header = lib_header_from_path(path).map_err(fail)?;
    let root = header.init_root_module::<RootRef>().map_err(fail)?;
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    root.attach()(core::ptr::from_ref(services).addr(), RString::from(name), log_level as usize, PanicReporter { report: panicked });
    let mut targets: Vec<TargetEntry> = root.targets()().into();
    let machines: Vec<MachineEntry> = root.machines()().into();
    let bytes = table_bytes.unwrap_or(TargetVtable::FIRST_BYTES);
    let broken = |sentence: String| OpenError { detail: sentence.clone(), sentence };
    if !bytes.is_multiple_of(size_of::<usize>()) || bytes > TABLE_MAX {
        return Err(broken(format!(
            "has tables of {bytes} bytes for its targets, which no table of functions has; rebuild it with the plugins-api of this emu"
        )));
    }
    for machine in &machines {
        // SAFETY: the plugin says where its table is; it is never unloaded.
        unsafe { check::machine(&machine.name, machine.vtable()) }.map_err(broken)?;
    }
    for target in &mut targets {
        if bytes >= TargetVtable::FIRST_BYTES {
            // SAFETY: the plugin says where its table is and how long; it is never unloaded.
            unsafe { check::target(&target.name, target.vtable()) }.map_err(broken)?;
        }
        // SAFETY: the plugin says where its table is and how long; it is never unloaded.
        let Some(table) = (unsafe { TargetVtable::completed(target.vtable(), bytes) }) else {
            let sentence = format!("has a table of {bytes} bytes for its targets, which is too short; rebuild it with the plugins-api of this emu");
            return Err(broken(sentence));
        };
        target.vtable = table.addr();
    }
    Ok(OpenedPlugin { requirements: root.requirements()(), targets, machines })
}

/// What is linked into this very program: what its crates registered. They log and panic with the program itself.
pub fn linked() -> OpenedPlugin {
    OpenedPlugin { requirements: Requirements::current(), targets: targets().into(), machines: machines().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let now = Requirements::current();
        assert_eq!(check_words(&now), Ok(()));
        // Built before rows were appended: loads.
        let old = Requirements { n_ops: 20, ops_hash: ops_hash(20).unwrap(), min_ops: 20, ..now };
        assert_eq!(check_words(&old), Ok(()));
        // Built with more rows than this host has: loads only if it can do without them.
        let newer = Requirements { n_ops: now.n_ops + 1, ops_hash: 1, min_ops: now.n_ops, ..now };
        assert_eq!(check_words(&newer), Ok(()));
        let refused = [
            (Requirements { magic: 1, ..now }, "not an emu plugin"),
            (Requirements { api_minor: 7, ..now }, "API 0.7, this emu speaks 0.1"),
            (Requirements { ops_hash: 1, ..now }, "other meanings"),
            (Requirements { n_services: 99, min_services: 99, ..now }, "needs 99 services"),
        ];
        for (r, want) in refused {
            assert!(check_words(&r).unwrap_err().contains(want), "{want}");
        }
    }
}
