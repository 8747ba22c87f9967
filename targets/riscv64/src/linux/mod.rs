//! What Linux makes of this architecture for its programs: numbers of system calls, capabilities, signals of faults, signal frames (the
//! kernel's `arch/riscv`, and its documentation "RISC-V Hardware Probing Interface").
//!
//! Under a machine that runs programs (`linux-programs` is on) harts are in user mode and stay there, with the floating-point state always
//! dirty. ECALL leaves translated code for the machine's kernel; every other exception becomes the signal that Linux sends for it.

mod frame;

pub use frame::{deliver, sigreturn};

use crate::Riscv64;
use crate::csr::{envcfg, word};
use crate::feature::{self, Feature};
use crate::helper::system::CACHE_BLOCK;
use crate::state::{State, mstatus, offset, privilege};
use crate::timer::FREQUENCY_HZ;
use crate::trap::cause;
use emu_plugins_api::{Access, LinuxAbi, Slice, Str, UserFault, VdsoFunction, fault, syscall_names};
use std::sync::OnceLock;

/// Numbers and names of the system calls.
const CALLS: &str = include_str!("calls.txt");

/// Letters of AT_HWCAP.
const HWCAP: &[(Feature, u8)] =
    &[(Feature::I, b'I'), (Feature::M, b'M'), (Feature::A, b'A'), (Feature::F, b'F'), (Feature::D, b'D'), (Feature::C, b'C'), (Feature::V, b'V')];

/// Bits of RISCV_HWPROBE_KEY_IMA_EXT_0.
const IMA_EXT_0: &[(u32, Feature)] = &[
    (0, Feature::D),
    (1, Feature::C),
    (3, Feature::Zba),
    (4, Feature::Zbb),
    (5, Feature::Zbs),
    (6, Feature::Zicboz),
    (7, Feature::Zbc),
    (8, Feature::Zbkb),
    (9, Feature::Zbkc),
    (10, Feature::Zbkx),
    (11, Feature::Zknd),
    (12, Feature::Zkne),
    (13, Feature::Zknh),
    (14, Feature::Zksed),
    (15, Feature::Zksh),
    (16, Feature::Zkt),
    (27, Feature::Zfh),
    (28, Feature::Zfhmin),
    (29, Feature::Zihintntl),
    (32, Feature::Zfa),
    (34, Feature::Zacas),
    (35, Feature::Zicond),
    (36, Feature::Zihintpause),
    (42, Feature::Zimop),
    (43, Feature::Zca),
    (44, Feature::Zcb),
    (45, Feature::Zcd),
    (47, Feature::Zcmop),
    (48, Feature::Zawrs),
    (50, Feature::Zicntr),
    (51, Feature::Zihpm),
    (55, Feature::Zicbom),
    (56, Feature::Zaamo),
    (57, Feature::Zalrsc),
    (58, Feature::Zabha),
];

/// Bits of the largest address of a program: that of Sv48.
const TASK_BITS: u32 = 47;

fn calls() -> &'static [Str<'static>] {
    static NAMES: OnceLock<Vec<Str<'static>>> = OnceLock::new();
    NAMES.get_or_init(|| syscall_names(CALLS))
}

/// `li a7, 139; ecall`: what a signal handler returns to, and what unwinders know a signal's frame by.
static SIGRETURN: [u8; 8] = [0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00];
/// `li a7, number; ecall; ret`.
const fn calling(number: u32) -> [u8; 12] {
    let w = (0x893 | number << 20).to_le_bytes();
    [w[0], w[1], w[2], w[3], 0x73, 0x00, 0x00, 0x00, 0x67, 0x80, 0x00, 0x00]
}
static CLOCK_GETTIME: [u8; 12] = calling(113);
static GETTIMEOFDAY: [u8; 12] = calling(169);
static CLOCK_GETRES: [u8; 12] = calling(114);
static GETCPU: [u8; 12] = calling(168);
static FLUSH_ICACHE: [u8; 12] = calling(259);
static HWPROBE: [u8; 12] = calling(258);

fn vdso() -> &'static [VdsoFunction] {
    static FUNCTIONS: OnceLock<Vec<VdsoFunction>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let rows: [(&'static str, &'static [u8]); 7] = [
            ("__vdso_rt_sigreturn", &SIGRETURN),
            ("__vdso_clock_gettime", &CLOCK_GETTIME),
            ("__vdso_gettimeofday", &GETTIMEOFDAY),
            ("__vdso_clock_getres", &CLOCK_GETRES),
            ("__vdso_getcpu", &GETCPU),
            ("__vdso_flush_icache", &FLUSH_ICACHE),
            ("__vdso_riscv_hwprobe", &HWPROBE),
        ];
        rows.map(|(name, code)| VdsoFunction { name: Str::new(name), code: Slice::new(code) }).into()
    })
}

/// What programs see of a model: without what is the supervisor's.
fn isa(arch: &Riscv64) -> String {
    feature::isa_string(&arch.model.features)
}

/// The facts.
pub fn abi(arch: &Riscv64) -> LinuxAbi {
    let hwcap = HWCAP.iter().filter(|(f, _)| arch.has(*f)).fold(0, |bits, (_, letter)| bits | 1 << (letter - b'A'));
    let mmu = 39 + 9 * (arch.satp_mode() - 8);
    let isa = isa(arch);
    let cpuinfo =
        format!("hart\t\t: {{}}\nisa\t\t: {isa}\nmmu\t\t: sv{mmu}\nmvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\nhart isa\t: {isa}\n");
    LinuxAbi {
        elf_machine: 243,
        page_bits: 12,
        task_bits: TASK_BITS,
        flags: LinuxAbi::NO_RESTORER,
        machine: Str::new("riscv64"),
        platform: Str::new(""),
        hwcap: [hwcap, 0, 0, 0],
        syscalls: Slice::new(calls()),
        number: offset::x(17),
        args: [10, 11, 12, 13, 14, 15].map(offset::x),
        result: offset::x(10),
        stack: offset::x(2),
        thread: offset::x(4),
        call_bytes: 4,
        open_flags: [0o200000, 0o400000, 0o40000, 0o100000],
        vdso: Slice::new(vdso()),
        vdso_version: Str::new("LINUX_4.15"),
        signal_frame_bytes: frame::BYTES,
        // Once a machine; machines last as long as the process.
        cpuinfo: Str::new(String::leak(cpuinfo)),
    }
}

/// riscv_hwprobe: the value of a key.
pub fn probe(arch: &Riscv64, key: u64) -> Option<u64> {
    const MISALIGNED_SCALAR_FAST: u64 = 3;
    const MISALIGNED_VECTOR_UNSUPPORTED: u64 = 4;
    let block = |f: Feature| if arch.has(f) { CACHE_BLOCK } else { 0 };
    Some(match key {
        // mvendorid, marchid, mimpid.
        0..=2 => 0,
        // BASE_BEHAVIOR: I, M and A.
        3 => u64::from([Feature::I, Feature::M, Feature::A].into_iter().all(|f| arch.has(f))),
        4 => IMA_EXT_0.iter().filter(|(_, f)| arch.has(*f)).fold(0, |bits, (bit, _)| bits | 1 << bit),
        // CPUPERF_0, MISALIGNED_SCALAR_PERF.
        5 | 9 => MISALIGNED_SCALAR_FAST,
        6 => block(Feature::Zicboz),
        7 => (1 << TASK_BITS) - 1,
        8 => FREQUENCY_HZ,
        10 => MISALIGNED_VECTOR_UNSUPPORTED,
        12 => block(Feature::Zicbom),
        _ => return None,
    })
}

/// A program's first state, after a reset: user mode, with what Linux lets programs do.
pub fn reset(cpu: &mut State) {
    cpu.privilege = privilege::U;
    cpu.set_mstatus(mstatus::XL | mstatus::FS);
    // cycle, time and instret.
    (cpu.csr[word::MCOUNTEREN], cpu.csr[word::SCOUNTEREN]) = (7, 7);
    let blocks = envcfg::CBZE | envcfg::CBCFE;
    cpu.csr[word::MENVCFG] |= blocks;
    cpu.csr[word::SENVCFG] |= blocks;
}

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGBUS: u32 = 7;
const SIGSEGV: u32 = 11;

fn send(cpu: &mut State, signal: u32, code: i32, address: u64) {
    cpu.header.monitor_size = 0;
    cpu.refresh_mode();
    cpu.header.user_fault(&UserFault { signal, code, address, fault: [0; 2] });
}

/// Sends the signal of an exception that is no access's (`do_trap_insn_illegal` and the like).
pub fn exception(cpu: &mut State, cause: u64) {
    let (signal, code) = match cause {
        cause::BREAKPOINT => (SIGTRAP, 1),
        cause::FETCH_MISALIGNED => (SIGBUS, 1),
        _ => (SIGILL, 1),
    };
    send(cpu, signal, code, cpu.header.pc);
}

/// Sends the signal of an access (`do_page_fault`).
pub fn access_fault(cpu: &mut State, access: &Access, fault: u64) {
    let (signal, code) = match fault {
        fault::ALIGNMENT => (SIGBUS, 1),
        fault::BUS => (SIGBUS, 2),
        fault::UNMAPPED => (SIGSEGV, 1),
        _ => (SIGSEGV, 2),
    };
    // Of a misaligned access Linux tells where the instruction is (`do_trap_misaligned`). Only atomics come here so: it carries out the others
    // where the hardware does not, and atomics nowhere.
    let address = if fault == fault::ALIGNMENT { cpu.header.pc } else { access.va };
    send(cpu, signal, code, address);
}
