//! The smallest target plugin that does what targets do: RV64I in machine mode, with traps and one interrupt line.
//!
//! It shows all parts of a target: state declared as fields ([`hart`]), a translator that appends IR ([`translate`]), helpers for what needs
//! more than a few ops, faults delivered as exceptions, registers for debuggers ([`debugger`]). Compressed instructions, other privilege levels and paging are left out: an address
//! is a physical address. References are to "The RISC-V Instruction Set Manual", volumes I (unprivileged) and II (privileged).

mod debugger;
mod hart;
mod translate;

use emu_plugins_api::ir::IrBuf;
use emu_plugins_api::{
    Access, AccessKind, Architecture, BlockInfo, BlockRequest, CpuModelInfo, DebugLayout, StateLayout, Str, TargetConfig, Translation, attr, fault,
    irq, perm,
};
use hart::{Hart, cause};
use std::collections::BTreeMap;

/// What lies below is devices, from here on memory (as on most boards of this architecture).
const MEMORY_BASE: u64 = 0x8000_0000;

/// The architecture; it has no options, so nothing to remember.
struct Rv64i;

impl Architecture for Rv64i {
    type State = Hart;

    fn create(config: &TargetConfig<'_>) -> Result<Self, String> {
        match config.options.get().first() {
            None => Ok(Rv64i),
            Some(option) => Err(format!("the CPU model '{}' has no option '{}'; leave it out", config.model.get(), option.key.get())),
        }
    }

    fn layout(&self) -> StateLayout {
        hart::LAYOUT
    }

    fn properties(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("isa".to_owned(), "rv64i".to_owned())])
    }

    fn reset(&self, hart: &mut Hart) {
        hart.reset();
    }

    /// The boot protocol of supervisor binaries: hart number in a0, `arg` (a device tree's address) in a1.
    fn start(&self, hart: &mut Hart, pc: u64, arg: u64) {
        hart.header.pc = pc;
        hart.x[10] = u64::from(hart.header.number());
        hart.x[11] = arg;
    }

    fn translate(&self, request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo {
        translate::block(request, buf)
    }

    /// Without paging an address is its own translation.
    fn walk(&self, _: &mut Hart, access: &Access, out: &mut Translation) -> u64 {
        out.pa = access.va;
        out.page_bits = 12;
        out.perms = perm::READ | perm::WRITE | perm::EXEC;
        out.attrs = if access.va < MEMORY_BASE { attr::DEVICE } else { 0 };
        out.global = 1;
        fault::NONE
    }

    fn raise(&self, hart: &mut Hart, access: &Access, fault: u64) {
        let misaligned = fault == fault::ALIGNMENT;
        let cause = match access.kind {
            AccessKind::FETCH if misaligned => cause::FETCH_MISALIGNED,
            AccessKind::FETCH => cause::FETCH_FAULT,
            AccessKind::READ if misaligned => cause::LOAD_MISALIGNED,
            AccessKind::READ => cause::LOAD_FAULT,
            _ if misaligned => cause::STORE_MISALIGNED,
            _ => cause::STORE_FAULT,
        };
        hart.trap(cause, access.va);
    }

    fn interrupt(&self, hart: &mut Hart, lines: u32) -> u32 {
        let pending = if lines & 1 != 0 { hart.mie & hart::MIE_EXTERNAL } else { 0 };
        if pending == 0 {
            return 0;
        }
        // WFI ends when an enabled interrupt is pending, also while mstatus.MIE is clear (volume II, "Wait for Interrupt").
        if hart.mstatus & hart::MSTATUS_MIE == 0 {
            return irq::WAKE;
        }
        hart.trap(cause::EXTERNAL_INTERRUPT, 0);
        irq::TAKEN | irq::WAKE
    }

    fn timer(&self, _: &mut Hart, _: u32) {}

    fn restored(&self, _: &mut Hart) {}

    fn disassemble(&self, _: u64, bytes: &[u8], out: &mut String) -> usize {
        match bytes.first_chunk() {
            Some(word) => {
                *out = translate::name(u32::from_le_bytes(*word));
                4
            }
            None => 0,
        }
    }

    fn debug_layout(&self) -> Option<DebugLayout> {
        Some(debugger::LAYOUT)
    }

    fn debug_read(&self, hart: &mut Hart, number: u32, out: &mut [u8]) -> bool {
        debugger::read(hart, number, out)
    }

    fn debug_write(&self, hart: &mut Hart, number: u32, value: &[u8]) -> bool {
        debugger::write(hart, number, value)
    }
}

fn models() -> Vec<CpuModelInfo> {
    vec![CpuModelInfo { name: "rv64i", description: "RV64I with Zicsr, machine mode only" }]
}

/// Names of the input lines, in the order of their bits.
static INPUTS: [Str<'static>; 1] = [Str::new("external")];

emu_plugins_api::register_target!(Rv64i, "rv64i", "RISC-V RV64I, machine mode only (example)", models);
// It appends none of the latest ops and calls no service but the log: older hosts may load it as well.
emu_plugins_api::export_plugin!(min_ops: 169, min_services: 1);
