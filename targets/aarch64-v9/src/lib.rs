//! The Armv9-A AArch64 target.
//!
//! Data first: `decode/` says which instructions exist, `sysreg/` which registers, `models/` which CPUs. Code: [`translate`] turns
//! instructions into IR, [`helper`] is what generated code calls, [`mmu`] walks the tables, [`exception`] enters and leaves exceptions.

pub mod decode;
pub mod disassemble;
pub mod exception;
pub mod feature;
mod gdb;
pub mod helper;
pub mod linux;
pub mod mmu;
pub mod mode;
pub mod model;
mod options;
pub mod state;
pub mod sysreg;
pub mod translate;

#[cfg(test)]
mod testing;

use decode::{ROWS, Row};
use emu_plugins_api::ir::{IrBuf, Shape, Ty};
use emu_plugins_api::{
    Access, Architecture, BlockInfo, BlockRequest, CpuModelInfo, DebugLayout, Field, FieldClass, LinuxAbi, LinuxReturn, LinuxSignal, Slice,
    StateLayout, Str, TargetConfig, Translation, layout_flag, log,
};
use feature::{Feature, FeatureSet};
use model::Model;
use state::{PINS, State};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, OnceLock};

emu_plugins_api::register_target!(Aarch64, "aarch64", "Arm A-profile, AArch64 (Armv8-A and Armv9-A)", models);

fn models() -> Vec<CpuModelInfo> {
    model::names().map(|name| CpuModelInfo { name, description: Model::find(name).map_or("", |m| m.text("description")) }).collect()
}

/// How pointer authentication codes are computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauthAlgorithm {
    /// FEAT_PACIMP: an IMPLEMENTATION DEFINED algorithm, fast and not cryptographic.
    ImpDef,
    /// FEAT_PACQARMA3.
    Qarma3,
    /// FEAT_PACQARMA5.
    Qarma5,
}

impl PauthAlgorithm {
    /// The feature that it is.
    pub const fn feature(self) -> Feature {
        match self {
            PauthAlgorithm::ImpDef => Feature::PACIMP,
            PauthAlgorithm::Qarma3 => Feature::PACQARMA3,
            PauthAlgorithm::Qarma5 => Feature::PACQARMA5,
        }
    }
}

/// A machine's CPUs: one model.
pub struct Aarch64 {
    model: Model,
    features: FeatureSet,
    pauth: PauthAlgorithm,
    /// The machine runs programs of Linux: see [`linux`].
    linux: bool,
    /// Values of the rows of the register table that are constants of the model, by number of the row.
    ids: Vec<u64>,
    ccsidr: [u64; 16],
    dczid: u64,
    pa_bits: u32,
    tagged: AtomicBool,
    /// What has been logged as not implemented: rows of the decode tables, a bit each, and encodings of registers.
    logged_insns: Vec<AtomicU64>,
    logged_registers: Mutex<BTreeSet<u16>>,
}

/// Frequency of the system counter in Hz.
const COUNTER_HZ: u64 = 62_500_000;

impl Aarch64 {
    /// The machine that a CPU belongs to.
    #[allow(unsafe_code)]
    pub fn of(cpu: &State) -> &'static Aarch64 {
        // SAFETY: the host sets `instance` to what `create` returned before it hands the CPU to the target; it is never freed.
        unsafe { &*cpu.header.instance.cast::<Aarch64>() }
    }
    /// True if the model implements a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.has(feature)
    }
    /// The features of the model.
    pub fn features(&self) -> &FeatureSet {
        &self.features
    }
    /// True if an EL exists.
    pub fn has_el(&self, el: u8) -> bool {
        match el {
            0 | 1 => true,
            2 => self.has(Feature::EL2),
            _ => self.has(Feature::EL3),
        }
    }
    /// The algorithm of pointer authentication codes.
    pub fn pauth_algorithm(&self) -> PauthAlgorithm {
        self.pauth
    }
    /// The value of a register that is a constant of the model.
    pub fn id_value(&self, row: &sysreg::Row) -> u64 {
        sysreg::find(row.key).and_then(|n| self.ids.get(n)).copied().unwrap_or(0)
    }
    /// CCSIDR_EL1 for a value of CSSELR_EL1.
    pub fn ccsidr(&self, select: usize) -> u64 {
        self.ccsidr.get(select).copied().unwrap_or(0)
    }
    /// DCZID_EL0 without DZP.
    pub fn dczid(&self) -> u64 {
        self.dczid
    }
    /// Number of physical address bits.
    pub fn pa_bits(&self) -> u32 {
        self.pa_bits
    }
    /// Frequency of the system counter in Hz.
    pub fn counter_hz(&self) -> u64 {
        COUNTER_HZ
    }
    /// PMCR_EL0.{IMP, IDCODE}: as in MIDR_EL1.
    pub fn pmu_identity(&self) -> u64 {
        let midr = self.model.number("MIDR_EL1");
        (midr >> 24 & 0xff) << 8 | midr >> 4 & 0xff
    }
    /// Set once a tagged address has been translated.
    pub fn tagged_addresses(&self) -> &AtomicBool {
        &self.tagged
    }
    /// Counts and logs (once per row) an instruction that exists but is not implemented.
    pub fn log_unimplemented(&self, pc: u64, insn: u32, row: &'static Row) {
        use std::sync::atomic::Ordering;
        let Some(number) = ROWS.iter().position(|r| std::ptr::eq(r, row)) else { return };
        let bit = 1 << (number % 64);
        if self.logged_insns[number / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            log::warn!(target: "unimplemented", "instruction {} ({insn:#010x}) at {pc:#x} is not implemented: UNDEFINED", row.name);
        }
    }
    /// Logs (once per encoding) an access to a register or a system instruction that the table does not know.
    pub fn log_unknown_register(&self, pc: u64, key: u16, is_read: bool) {
        let Ok(mut logged) = self.logged_registers.lock() else { return };
        if logged.insert(key) {
            let (op0, op1, crn, crm, op2) = (key >> 14, key >> 11 & 7, key >> 7 & 15, key >> 3 & 15, key & 7);
            let what = if is_read { "read" } else { "write" };
            log::warn!(target: "unimplemented", "{what} of system register S{op0}_{op1}_C{crn}_C{crm}_{op2} at {pc:#x}: UNDEFINED");
        }
    }
    /// True if the machine runs programs of Linux.
    pub fn runs_linux_programs(&self) -> bool {
        self.linux
    }
    fn build(model: Model, features: FeatureSet, pauth: PauthAlgorithm) -> Aarch64 {
        let plain = |name| model.plain(name);
        let ids = sysreg::ROWS
            .iter()
            .map(|row| match row.name {
                name if name.starts_with("ID_AA64") => model::id_value(name, &features, Some(pauth.feature()), plain(name)),
                name => model.number(name),
            })
            .collect();
        let ccsidr = std::array::from_fn(|n| model.number(&format!("CCSIDR{n}")));
        Aarch64 {
            features,
            pauth,
            linux: false,
            ids,
            ccsidr,
            dczid: model.number("DCZID_EL0"),
            pa_bits: mmu::address_bits(model.plain("ID_AA64MMFR0_EL1") & 15),
            tagged: AtomicBool::new(false),
            logged_insns: (0..ROWS.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            logged_registers: Mutex::default(),
            model,
        }
    }
}

const fn field(name: &'static str, offset: usize, ty: Ty, class: FieldClass, count: u32, stride: u32) -> Field {
    Field { name: Str::new(name), offset: offset as u32, ty, shape: Shape::SCALAR, class, reserved: 0, count, stride }
}

static FIELDS: &[Field] = &[
    field("x", offset_of!(State, x), Ty::I64, FieldClass::GPR, 31, 8),
    field("sp", offset_of!(State, x) + 31 * 8, Ty::I64, FieldClass::GPR, 1, 8),
    field("n", offset_of!(State, nf), Ty::I1, FieldClass::FLAG, 1, 1),
    field("z", offset_of!(State, zf), Ty::I1, FieldClass::FLAG, 1, 1),
    field("c", offset_of!(State, cf), Ty::I1, FieldClass::FLAG, 1, 1),
    field("vflag", offset_of!(State, vf), Ty::I1, FieldClass::FLAG, 1, 1),
    field("el", offset_of!(State, el), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("spsel", offset_of!(State, spsel), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("daif", offset_of!(State, daif), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("pan", offset_of!(State, pan), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("uao", offset_of!(State, uao), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("dit", offset_of!(State, dit), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("ssbs", offset_of!(State, ssbs), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("tco", offset_of!(State, tco), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("allint", offset_of!(State, allint), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("il", offset_of!(State, il), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("ss", offset_of!(State, ss), Ty::I8, FieldClass::SYSTEM, 1, 1),
    field("v", offset_of!(State, v), Ty::I128, FieldClass::VECTOR, 32, 16),
    field("sp_el", offset_of!(State, sp_el), Ty::I64, FieldClass::SYSTEM, 4, 8),
    field("fpcr", offset_of!(State, fpcr), Ty::I64, FieldClass::SYSTEM, 1, 8),
    field("fpsr", offset_of!(State, fpsr), Ty::I64, FieldClass::SYSTEM, 1, 8),
    field("sysreg", offset_of!(State, sysreg), Ty::I64, FieldClass::SYSTEM, state::SYSREG_WORDS as u32, 8),
];
static INPUTS: &[Str<'static>] = &[Str::new("irq"), Str::new("fiq")];
static OUTPUTS: &[Str<'static>] =
    &[Str::new("timer-phys"), Str::new("timer-virt"), Str::new("timer-hyp"), Str::new("timer-hyp-virt"), Str::new("timer-sec"), Str::new("pmu")];

impl Architecture for Aarch64 {
    type State = State;

    fn create(config: &TargetConfig<'_>) -> Result<Self, String> {
        options::create(config)
    }

    fn layout(&self) -> StateLayout {
        static HELPERS: OnceLock<Vec<emu_plugins_api::Helper>> = OnceLock::new();
        StateLayout {
            size: size_of::<State>() as u32,
            views: mode::view::COUNT,
            fields: Slice::new(FIELDS),
            helpers: Slice::new(HELPERS.get_or_init(helper::all)),
            inputs: Slice::new(INPUTS),
            outputs: Slice::new(OUTPUTS),
            page_bits: 12,
            insn_bytes: 4,
            pins: Slice::new(&PINS),
            flags: layout_flag::POSITION_INDEPENDENT,
            reserved: 0,
        }
    }

    fn properties(&self) -> BTreeMap<String, String> {
        let pauth = match (self.has(Feature::PAuth), self.pauth) {
            (false, _) => "none",
            (_, PauthAlgorithm::ImpDef) => "impdef",
            (_, PauthAlgorithm::Qarma3) => "qarma3",
            (_, PauthAlgorithm::Qarma5) => "qarma5",
        };
        [
            ("cpu-name", self.model.name.to_owned()),
            ("fdt-compatible", self.model.text("compatible").to_owned()),
            ("midr", format!("{:#x}", self.model.number("MIDR_EL1"))),
            ("pa-bits", self.pa_bits.to_string()),
            ("counter-hz", COUNTER_HZ.to_string()),
            ("pauth", pauth.to_owned()),
            ("pmu", if self.has(Feature::PMUv3) { "on" } else { "off" }.to_owned()),
            ("el2", "off".to_owned()),
            ("el3", "off".to_owned()),
            // CPUs in a cluster: MPIDR_EL1.Aff1 counts clusters, Aff0 CPUs in it.
            ("cluster", "16".to_owned()),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
    }

    fn reset(&self, cpu: &mut State) {
        cpu.x = [0; 32];
        cpu.v = [[0; 2]; 32];
        cpu.sp_el = [0; 4];
        cpu.set_nzcv(0);
        (cpu.el, cpu.spsel, cpu.daif) = (1, 1, 0xf);
        (cpu.pan, cpu.uao, cpu.dit, cpu.ssbs, cpu.tco, cpu.allint, cpu.il, cpu.ss) = (0, 0, 0, 0, 0, 0, 0, 0);
        (cpu.fpcr, cpu.fpsr) = (0, 0);
        cpu.header.fp_flags = 0;
        cpu.header.monitor_size = 0;
        cpu.header.mode_key = 0;
        cpu.header.pc = 0;
        cpu.header.event.store(0, std::sync::atomic::Ordering::SeqCst);
        sysreg::reset(cpu);
        (cpu.announced, cpu.pairs) = ((0, 0), 0);
        sysreg::behaviour::announce_asid(cpu);
        sysreg::timer::restore(cpu);
        if self.linux {
            linux::reset(cpu);
        }
        cpu.refresh_mode();
    }

    fn start(&self, cpu: &mut State, pc: u64, arg: u64) {
        self.reset(cpu);
        cpu.header.pc = pc;
        cpu.x[0] = arg;
    }

    fn translate(&self, request: &BlockRequest<'_>, buf: &mut IrBuf) -> BlockInfo {
        translate::translate(self, request, buf)
    }

    fn walk(&self, cpu: &mut State, access: &Access, out: &mut Translation) -> u64 {
        mmu::walk(cpu, access, out)
    }

    fn raise(&self, cpu: &mut State, access: &Access, fault: u64) {
        exception::raise_access(cpu, access, fault);
    }

    fn interrupt(&self, cpu: &mut State, lines: u32) -> u32 {
        exception::interrupt(cpu, lines)
    }

    fn timer(&self, cpu: &mut State, id: u32) {
        use sysreg::timer::{self, Timer};
        match id {
            0 => timer::update(cpu, Timer::Physical),
            1 => timer::update(cpu, Timer::Virtual),
            timer::PMU_TIMER => sysreg::pmu::expired(cpu),
            // WFET and WFIT: the wait is over. A CPU that is off stays off.
            timer::WAIT_TIMER if cpu.header.halted != 3 => cpu.header.halted = 0,
            _ => {}
        }
    }

    fn restored(&self, cpu: &mut State) {
        cpu.refresh_mode();
        sysreg::behaviour::announce_asid(cpu);
        sysreg::timer::restore(cpu);
        sysreg::pmu::expired(cpu);
    }

    fn disassemble(&self, pc: u64, bytes: &[u8], out: &mut String) -> usize {
        let Some(word) = bytes.first_chunk::<4>() else { return 0 };
        *out += &disassemble::text(pc, u32::from_le_bytes(*word));
        4
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
}
