//! What Linux makes of this architecture for its programs: numbers of system calls, capabilities, signals of faults, signal frames
//! (the kernel's `arch/arm64`, and its documentation "ARM64 ELF hwcaps").
//!
//! Under a machine that runs programs (`linux` is on) CPUs start at EL0 and stay there. SVC leaves translated code for the machine's
//! kernel; every other exception becomes the signal that Linux sends for it.

mod frame;

pub use frame::{deliver, sigreturn};

use crate::exception::syndrome::ec;
use crate::feature::Feature;
use crate::mode::sctlr;
use crate::state::{State, offset};
use crate::sysreg::{self, word};
use crate::{Aarch64, mmu};
use emu_plugins_api::{LinuxAbi, Slice, Str, UserFault, VdsoFunction, syscall_names};
use std::sync::OnceLock;

/// Numbers and names of the system calls.
const CALLS: &str = include_str!("calls.txt");

/// AT_HWCAP: bit, feature, name in /proc/cpuinfo.
const HWCAP: &[(u32, &str, &str)] = &[
    (0, "FP", "fp"),
    (1, "AdvSIMD", "asimd"),
    (3, "AES", "aes"),
    (4, "PMULL", "pmull"),
    (5, "SHA1", "sha1"),
    (6, "SHA256", "sha2"),
    (7, "CRC32", "crc32"),
    (8, "LSE", "atomics"),
    (9, "FP16", "fphp"),
    (10, "FP16", "asimdhp"),
    (11, "AA64", "cpuid"),
    (12, "RDM", "asimdrdm"),
    (13, "JSCVT", "jscvt"),
    (14, "FCMA", "fcma"),
    (15, "LRCPC", "lrcpc"),
    (16, "DPB", "dcpop"),
    (17, "SHA3", "sha3"),
    (18, "SM3", "sm3"),
    (19, "SM4", "sm4"),
    (20, "DotProd", "asimddp"),
    (21, "SHA512", "sha512"),
    (23, "FHM", "asimdfhm"),
    (24, "DIT", "dit"),
    (25, "LSE2", "uscat"),
    (26, "LRCPC2", "ilrcpc"),
    (27, "FlagM", "flagm"),
    (28, "SSBS2", "ssbs"),
    (29, "SB", "sb"),
    (30, "PAuth", "paca"),
    (31, "PAuth", "pacg"),
];

/// AT_HWCAP2.
const HWCAP2: &[(u32, &str, &str)] = &[
    (0, "DPB2", "dcpodp"),
    (7, "FlagM2", "flagm2"),
    (8, "FRINTTS", "frint"),
    (13, "I8MM", "i8mm"),
    (14, "BF16", "bf16"),
    (15, "DGH", "dgh"),
    (16, "RNG", "rng"),
    (17, "BTI", "bti"),
    (19, "ECV", "ecv"),
    (20, "AFP", "afp"),
    (21, "RPRES", "rpres"),
    (31, "WFxT", "wfxt"),
    (32, "EBF16", "ebf16"),
    (34, "CSSC", "cssc"),
    (35, "RPRFM", "rprfm"),
    (43, "MOPS", "mops"),
    (44, "HBC", "hbc"),
    (46, "LRCPC3", "lrcpc3"),
    (47, "LSE128", "lse128"),
];

fn capabilities(arch: &Aarch64, rows: &[(u32, &str, &'static str)]) -> (u64, Vec<&'static str>) {
    let has = rows.iter().filter(|r| Feature::parse(r.1).is_some_and(|f| arch.has(f)));
    has.fold((0, Vec::new()), |(bits, mut names), r| {
        names.push(r.2);
        (bits | 1 << r.0, names)
    })
}

fn calls() -> &'static [Str<'static>] {
    static NAMES: OnceLock<Vec<Str<'static>>> = OnceLock::new();
    NAMES.get_or_init(|| syscall_names(CALLS))
}

/// `mov x8, #139; svc #0`: what a signal handler returns to, and what unwinders know a signal's frame by.
static SIGRETURN: [u8; 8] = [0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4];
/// `bti c; mov x8, #number; svc #0; ret`.
const fn calling(number: u32) -> [u8; 16] {
    let w = (0xd280_0008 | number << 5).to_le_bytes();
    [0x5f, 0x24, 0x03, 0xd5, w[0], w[1], w[2], w[3], 0x01, 0x00, 0x00, 0xd4, 0xc0, 0x03, 0x5f, 0xd6]
}
static CLOCK_GETTIME: [u8; 16] = calling(113);
static GETTIMEOFDAY: [u8; 16] = calling(169);
static CLOCK_GETRES: [u8; 16] = calling(114);

fn vdso() -> &'static [VdsoFunction] {
    static FUNCTIONS: OnceLock<Vec<VdsoFunction>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let rows: [(&'static str, &'static [u8]); 4] = [
            ("__kernel_rt_sigreturn", &SIGRETURN),
            ("__kernel_clock_gettime", &CLOCK_GETTIME),
            ("__kernel_gettimeofday", &GETTIMEOFDAY),
            ("__kernel_clock_getres", &CLOCK_GETRES),
        ];
        rows.map(|(name, code)| VdsoFunction { name: Str::new(name), code: Slice::new(code) }).into()
    })
}

/// The facts.
pub fn abi(arch: &Aarch64) -> LinuxAbi {
    let (hwcap, mut names) = capabilities(arch, HWCAP);
    let (hwcap2, more) = capabilities(arch, HWCAP2);
    names.extend(more);
    let midr = arch.model.number("MIDR_EL1");
    let cpuinfo = format!(
        "BogoMIPS\t: {:.2}\nFeatures\t: {}\nCPU implementer\t: {:#04x}\nCPU architecture: 8\nCPU variant\t: {:#x}\nCPU part\t: {:#05x}\nCPU revision\t: {}\n",
        arch.counter_hz() as f64 * 2.0 / 1e6,
        names.join(" "),
        midr >> 24 & 0xff,
        midr >> 20 & 15,
        midr >> 4 & 0xfff,
        midr & 15
    );
    LinuxAbi {
        elf_machine: 183,
        page_bits: 12,
        task_bits: 48,
        flags: LinuxAbi::TAGGED | LinuxAbi::GUARDED,
        machine: Str::new("aarch64"),
        platform: Str::new("aarch64"),
        hwcap: [hwcap, hwcap2, 0, 0],
        syscalls: Slice::new(calls()),
        number: offset::x(8),
        args: [0, 1, 2, 3, 4, 5].map(offset::x),
        result: offset::x(0),
        stack: offset::x(31),
        thread: sysreg::word_offset(word::TPIDR_EL0),
        call_bytes: 4,
        open_flags: [0o40000, 0o100000, 0o200000, 0o400000],
        vdso: Slice::new(vdso()),
        vdso_version: Str::new("LINUX_2.6.39"),
        signal_frame_bytes: frame::BYTES_MAX,
        // Once a machine; machines last as long as the process.
        cpuinfo: Str::new(String::leak(cpuinfo)),
    }
}

/// A program's first state, after a reset: EL0, with what Linux lets programs do.
pub fn reset(cpu: &mut State) {
    cpu.sysreg[word::SCTLR_EL1] |= sctlr::UCT
        | sctlr::UCI
        | sctlr::DZE
        | sctlr::NTWI
        | sctlr::NTWE
        | sctlr::SA0
        | sctlr::C
        | sctlr::I
        | sctlr::EN_IA
        | sctlr::EN_IB
        | sctlr::EN_DA
        | sctlr::EN_DB
        | sctlr::MSCEN
        | sctlr::BT0;
    cpu.sysreg[word::CPACR_EL1] = 3 << 20;
    // T0SZ and T1SZ 16, for pointer authentication; TBI0.
    cpu.sysreg[word::TCR_EL1] = 1 << 37 | 16 << 16 | 16;
    // EL0VCTEN, EL0PCTEN.
    cpu.sysreg[word::CNTKCTL_EL1] = 3;
    let keys = ["APIAKey", "APIBKey", "APDAKey", "APDBKey", "APGAKey"];
    for name in keys.iter().flat_map(|k| [format!("{k}Lo_EL1"), format!("{k}Hi_EL1")]) {
        if let Some(row) = sysreg::by_name(&name).filter(|r| r.word != sysreg::NO_WORD) {
            cpu.sysreg[usize::from(row.word)] = cpu.header.random();
        }
    }
    (cpu.el, cpu.spsel, cpu.daif) = (0, 0, 0);
    cpu.refresh_mode();
}

/// The value of a register of the feature ID space, as the kernel answers for it; the rest of the space reads as zero.
pub fn id_register(arch: &Aarch64, key: u16) -> u64 {
    match sysreg::find(key) {
        Some(n) if sysreg::ROWS[n].name == "MPIDR_EL1" => 1 << 31,
        Some(n) => arch.id_value(&sysreg::ROWS[n]),
        None => 0,
    }
}

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGBUS: u32 = 7;
const SIGFPE: u32 = 8;
const SIGSEGV: u32 = 11;

/// Sends the signal of a synchronous exception (`do_mem_abort`, `do_el0_undef` and the like).
pub fn exception(cpu: &mut State, class: u32, iss: u32, far: Option<u64>, pc: u64) {
    cpu.header.pc = pc;
    cpu.header.monitor_size = 0;
    let address = far.unwrap_or(pc);
    let code = iss & 0x3f;
    let (signal, si_code) = match class {
        ec::DATA_ABORT | ec::INSN_ABORT => match code {
            _ if mmu::fsc::is_permission(code) => (SIGSEGV, 2),
            mmu::fsc::ALIGNMENT => (SIGBUS, 1),
            mmu::fsc::EXTERNAL => (SIGBUS, 2),
            mmu::fsc::UNSUPPORTED => (SIGBUS, 3),
            _ => (SIGSEGV, 1),
        },
        ec::PC_ALIGNMENT | ec::SP_ALIGNMENT => (SIGBUS, 1),
        ec::BRK => (SIGTRAP, 1),
        ec::PAC_FAIL => (SIGILL, 2),
        ec::FP_EXCEPTION => (SIGFPE, 0),
        _ => (SIGILL, 1),
    };
    // Only aborts leave a syndrome for the handler to see.
    let fault = if matches!(class, ec::DATA_ABORT | ec::INSN_ABORT) { [address, u64::from(class << 26 | 1 << 25 | iss)] } else { [0; 2] };
    cpu.header.user_fault(&UserFault { signal, code: si_code, address, fault });
}
