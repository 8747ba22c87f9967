//! A host built from the contract as it was: opens a plugin and says what it offers; a target makes a CPU and translates words, which the
//! verifier of then must accept. Exit code 2 and a sentence when it refuses.
#![allow(unsafe_code)] // The host's side of the ABI.

use emu_plugins_api::ir::{OPS, OwnedIrBuf, verify};
use emu_plugins_api::reexport::abi_stable::library::RawLibrary;
use emu_plugins_api::{ArchitectureHandle, BlockRequest, HostServices, Requirements, SERVICES, Slice, Str, TargetConfig, check_words, log, open};
use std::path::Path;

/// What a service does here: nothing.
unsafe extern "C" fn service() -> u64 {
    0
}

/// As many of them as there were services.
static TABLE: [unsafe extern "C" fn() -> u64; SERVICES.len()] = [service; SERVICES.len()];

fn run(path: &Path) -> Result<(), String> {
    let library = RawLibrary::load_at(path).map_err(|e| e.to_string())?;
    // SAFETY: the symbol has this type in every plugin.
    let words = unsafe { library.get::<extern "C" fn() -> Requirements>(b"emu_plugin_abi\0").map_err(|e| e.to_string())?() };
    std::mem::forget(library);
    println!("host: {} ops, {} services; plugin: {} and {}, needs {} and {}", OPS.len(), SERVICES.len(), words.n_ops, words.n_services, words.min_ops, words.min_services);
    check_words(&words)?;
    // SAFETY: a table of as many functions; who is called with more arguments than it takes leaves them alone.
    let services: &'static HostServices = unsafe { &*(&raw const TABLE).cast() };
    let plugin = open(path, services, log::LevelFilter::Off).map_err(|e| e.sentence)?;
    for machine in &plugin.machines {
        println!("machine {}", machine.name);
    }
    for target in &plugin.targets {
        println!("target {}", target.name);
        let config = TargetConfig { model: Str::new(&target.models[0].0), options: Slice::new(&[]), cpus: 1, reserved: 0 };
        // SAFETY: the entry came from an opened plugin.
        let arch = unsafe { ArchitectureHandle::create(target.vtable(), &config) }?;
        let (size, helpers) = (arch.layout().size, arch.layout().helpers.get().len() as u32);
        let mut state = 1u64;
        for n in 0..20_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let opcodes = [0x37, 0x17, 0x6f, 0x67, 0x63, 0x03, 0x23, 0x13, 0x1b, 0x33, 0x3b, 0x0f, 0x73];
            let word = ((state >> 32) as u32 & !0x7f | opcodes[n as usize % opcodes.len()]).to_le_bytes();
            let request = BlockRequest { pc: 0x8000_0000, mode_key: 0, code: Slice::new(&word), next_page: Slice::new(&[]), max_insns: 1, page_attrs: 0 };
            let mut buf = OwnedIrBuf::new(0);
            let info = arch.translate(&request, &mut buf);
            verify(buf.ops(), buf.next_slot, 0, size.into(), helpers).map_err(|e| format!("{word:x?}: {e}"))?;
            if (info.bytes, info.insns) != (4, 1) {
                return Err(format!("{word:x?}: {info:?}"));
            }
        }
        println!("translated");
    }
    Ok(())
}

fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    if let Err(sentence) = run(Path::new(&path)) {
        eprintln!("error: {path} {sentence}");
        std::process::exit(2);
    }
}
