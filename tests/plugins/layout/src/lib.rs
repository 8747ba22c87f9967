//! A plugin whose words are right and whose root module has another layout than the host's.
#![allow(unsafe_code)] // It exports by hand what `export_plugin!` would.

use abi_stable::StableAbi;
use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use emu_plugins_api::Requirements;

/// Another root module.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)))]
#[sabi(missing_field(panic))]
pub struct Root {
    /// Not what the host expects here.
    #[sabi(last_prefix_field)]
    pub targets: extern "C" fn() -> u32,
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "emu_plugin";
    const NAME: &'static str = "emu_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

extern "C" fn targets() -> u32 {
    0
}

fn build() -> RootRef {
    Root { targets }.leak_into_prefix()
}

extern "C" fn root() -> RootModuleResult {
    __call_root_module_loader(build)
}

/// Right.
#[unsafe(no_mangle)]
pub extern "C" fn emu_plugin_abi() -> Requirements {
    Requirements::current()
}

/// Where the host finds the root module.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static _1as_0lib_1header_0root_bmodule_bloader: LibHeader =
    // SAFETY: `root` returns the `RootRef` that the type parameter names.
    unsafe { LibHeader::from_constructor::<RootRef>(root, CheckTypeLayout::Yes) };
