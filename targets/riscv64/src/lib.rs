//! The RISC-V target: RV64GC with the extensions that `models/extensions.csv` marks as implemented.
//!
//! Data first: `decode/` says which instructions exist, [`csr`] which registers, `models/` which extensions and CPUs. Code: [`translate`]
//! turns instructions into IR, [`helper`] is what generated code calls, [`mmu`] walks the tables, [`trap`] enters and leaves traps,
//! [`linux`] is what Linux makes of it all for its programs.
//! References are to "The RISC-V Instruction Set Manual", volumes I (unprivileged) and II (privileged).

pub mod csr;
pub mod decode;
pub mod disassemble;
pub mod feature;
mod gdb;
pub mod helper;
pub mod linux;
pub mod mmu;
pub mod mode;
pub mod model;
pub mod state;
pub mod timer;
pub mod translate;
pub mod trap;

#[cfg(test)]
mod testing;

use decode::{ROWS, Row};
use emu_plugins_api::ir::{IrBuf, Shape, Ty};
use emu_plugins_api::{
    Access, Architecture, BlockInfo, BlockRequest, CpuModelInfo, DebugLayout, Field, FieldClass, LinuxAbi, LinuxReturn, LinuxSignal, Slice,
    StateLayout, Str, TargetConfig, Translation, layout_flag, log,
};
use feature::Feature;
use model::Model;
use state::{CSR_WORDS, PINS, PMP_ENTRIES, State, mstatus, privilege};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

emu_plugins_api::register_target!(Riscv64, "riscv64", "RISC-V, 64 bits (RV64GC and more)", models);

fn models() -> Vec<CpuModelInfo> {
    model::names().map(|name| CpuModelInfo { name, description: Model::find(name).map_or("", |m| m.description) }).collect()
}

/// A machine's CPUs: one model.
pub struct Riscv64 {
    model: Model,
    misa: u64,
    /// The machine runs programs of Linux: see [`linux`].
    linux: bool,
    /// What has been logged as not implemented: rows of the decode tables, a bit each, and numbers of CSRs.
    logged_insns: Vec<AtomicU64>,
    logged_csrs: Mutex<BTreeSet<u16>>,
}

impl Riscv64 {
    /// The machine that a CPU belongs to.
    #[allow(unsafe_code)]
    pub fn of(cpu: &State) -> &'static Riscv64 {
        // SAFETY: the host sets `instance` to what `create` returned before it hands the CPU to the target; it is never freed.
        unsafe { &*cpu.header.instance.cast::<Riscv64>() }
    }
    /// Instances of a model.
    pub fn new(model: Model) -> Riscv64 {
        let misa = feature::misa(&model.features);
        Riscv64 {
            model,
            misa,
            linux: false,
            logged_insns: (0..ROWS.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            logged_csrs: Mutex::default(),
        }
    }
    /// True if the model has an extension.
    pub fn has(&self, feature: Feature) -> bool {
        self.model.features.has(feature)
    }
    /// True if the machine runs programs of Linux.
    pub fn runs_linux_programs(&self) -> bool {
        self.linux
    }
    /// misa.
    pub fn misa(&self) -> u64 {
        self.misa
    }
    /// The largest satp.MODE.
    pub fn satp_mode(&self) -> u64 {
        self.model.satp_mode
    }
    /// Logs (once per row) an instruction that exists but is not implemented.
    pub fn log_unimplemented(&self, pc: u64, insn: u32, row: &'static Row) {
        let Some(number) = ROWS.iter().position(|r| std::ptr::eq(r, row)) else { return };
        let bit = 1 << (number % 64);
        if self.logged_insns[number / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            log::warn!(target: "unimplemented", "instruction {} ({insn:#010x}) at {pc:#x} is not implemented: illegal", row.name);
        }
    }
    /// Logs (once per number) a CSR that exists but is not implemented.
    pub fn log_missing_csr(&self, pc: u64, number: u16, name: &str, why: &str) {
        let Ok(mut logged) = self.logged_csrs.lock() else { return };
        if logged.insert(number) {
            log::warn!(target: "unimplemented", "CSR {number:#x} ({name}) at {pc:#x}: {why}; illegal");
        }
    }
}

const fn field(name: &'static str, offset: usize, ty: Ty, class: FieldClass, count: u32, stride: u32) -> Field {
    Field { name: Str::new(name), offset: offset as u32, ty, shape: Shape::SCALAR, class, reserved: 0, count, stride }
}

static FIELDS: &[Field] = &[
    field("x", offset_of!(State, x), Ty::I64, FieldClass::GPR, 32, 8),
    field("f", offset_of!(State, f), Ty::I64, FieldClass::VECTOR, 32, 8),
    field("csr", offset_of!(State, csr), Ty::I64, FieldClass::SYSTEM, CSR_WORDS as u32, 8),
    field("pmpaddr", offset_of!(State, pmpaddr), Ty::I64, FieldClass::SYSTEM, PMP_ENTRIES as u32, 8),
    field("pmpcfg", offset_of!(State, pmpcfg), Ty::I8, FieldClass::SYSTEM, PMP_ENTRIES as u32, 1),
    field("privilege", offset_of!(State, privilege), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("stimer", offset_of!(State, stimer), Ty::I8, FieldClass::SYSTEM, 1, 1),
];
/// `own` is the hart's: see [`trap`].
static INPUTS: &[Str<'static>] = &[Str::new("msi"), Str::new("mti"), Str::new("mei"), Str::new("sei"), Str::new("own")];

impl Architecture for Riscv64 {
    type State = State;

    fn create(config: &TargetConfig<'_>) -> Result<Self, String> {
        let linux = config.options.get().iter().any(|o| o.key.get() == model::LINUX_PROGRAMS && o.value.get() == "on");
        Model::choose(config).map(|model| Riscv64 { linux, ..Riscv64::new(model) })
    }

    fn layout(&self) -> StateLayout {
        static HELPERS: OnceLock<Vec<emu_plugins_api::Helper>> = OnceLock::new();
        StateLayout {
            size: size_of::<State>() as u32,
            views: mode::view::COUNT,
            fields: Slice::new(FIELDS),
            helpers: Slice::new(HELPERS.get_or_init(helper::all)),
            inputs: Slice::new(INPUTS),
            outputs: Slice::new(&[]),
            page_bits: 12,
            insn_bytes: 2,
            pins: Slice::new(&PINS),
            flags: layout_flag::POSITION_INDEPENDENT,
            reserved: 0,
        }
    }

    fn properties(&self) -> BTreeMap<String, String> {
        let mmu = match self.model.satp_mode {
            8 => "sv39",
            9 => "sv48",
            _ => "sv57",
        };
        [
            ("cpu-name", self.model.name.to_owned()),
            ("isa", feature::isa_string(&self.model.features)),
            ("isa-extensions", feature::names(&self.model.features).join(" ")),
            ("mmu", mmu.to_owned()),
            ("timebase-hz", timer::FREQUENCY_HZ.to_string()),
            ("cache-block", helper::system::CACHE_BLOCK.to_string()),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
    }

    fn reset(&self, cpu: &mut State) {
        cpu.x = [0; 32];
        cpu.f = [0; 32];
        cpu.csr = [0; CSR_WORDS];
        cpu.pmpaddr = [0; PMP_ENTRIES];
        cpu.pmpcfg = [0; PMP_ENTRIES];
        cpu.pmp_between = [0; 2];
        cpu.privilege = privilege::M;
        cpu.stimer = 0;
        cpu.set_mstatus(mstatus::XL);
        if self.has(Feature::Svadu) && !self.has(Feature::Svade) {
            cpu.csr[csr::word::MENVCFG] = csr::envcfg::ADUE;
        }
        cpu.csr[csr::word::STIMECMP] = u64::MAX;
        cpu.header.fp_flags = 0;
        cpu.header.monitor_size = 0;
        cpu.header.pc = 0;
        timer::update(cpu);
        if self.linux {
            linux::reset(cpu);
        }
        cpu.refresh_mode();
    }

    /// As reset does it, at another address; a board's reset code finds its argument in a1.
    fn start(&self, cpu: &mut State, pc: u64, arg: u64) {
        cpu.header.pc = pc;
        cpu.x[10] = cpu.header.number().into();
        cpu.x[11] = arg;
    }

    fn translate(&self, request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo {
        translate::translate(self, request, buf)
    }

    fn walk(&self, cpu: &mut State, access: &Access, out: &mut Translation) -> u64 {
        mmu::walk(cpu, access, out)
    }

    fn raise(&self, cpu: &mut State, access: &Access, fault: u64) {
        trap::raise_access(cpu, access, fault);
    }

    fn interrupt(&self, cpu: &mut State, lines: u32) -> u32 {
        trap::interrupt(cpu, lines)
    }

    fn timer(&self, cpu: &mut State, id: u32) {
        if id == timer::HOST_TIMER {
            timer::update(cpu);
        }
    }

    fn restored(&self, cpu: &mut State) {
        cpu.refresh_mode();
        let space = csr::asid(cpu);
        cpu.header.address_space(space);
        timer::update(cpu);
    }

    fn disassemble(&self, pc: u64, bytes: &[u8], out: &mut String) -> usize {
        let word = match (bytes.first_chunk::<4>(), bytes.first_chunk::<2>()) {
            (Some(word), _) => u32::from_le_bytes(*word),
            (None, Some(half)) => u16::from_le_bytes(*half).into(),
            _ => return 0,
        };
        let (text, length) = disassemble::text(pc, word);
        if length > bytes.len() {
            return 0;
        }
        *out += &text;
        length
    }

    fn debug_layout(&self) -> Option<DebugLayout> {
        Some(gdb::layout(self))
    }

    fn debug_read(&self, cpu: &mut State, number: u32, out: &mut [u8]) -> bool {
        gdb::read(cpu, number, out)
    }

    fn debug_write(&self, cpu: &mut State, number: u32, value: &[u8]) -> bool {
        gdb::write(cpu, number, value)
    }

    fn linux_abi(&self) -> Option<LinuxAbi> {
        Some(linux::abi(self))
    }

    fn linux_signal(&self, cpu: &mut State, signal: &LinuxSignal) -> Result<(), u64> {
        linux::deliver(cpu, signal)
    }

    fn linux_sigreturn(&self, cpu: &mut State) -> Result<LinuxReturn, u64> {
        linux::sigreturn(cpu)
    }

    fn linux_probe(&self, key: u64) -> Option<u64> {
        linux::probe(self, key)
    }
}
