//! seccomp: filters in classic BPF that a program installs for its own system calls, evaluated here on the guest's numbers and arguments before
//! each call (Documentation/userspace-api/seccomp_filter.rst of Linux). The host never hears of them: it sees emu's calls.
//!
//! A thread's filters are a chain that only grows; threads and processes begin with their maker's, and a program that replaces another goes on
//! with that one's, by a file in memory whose descriptor an environment variable of emu's names.

use crate::process::Thread;
use crate::{Call, Kernel, process};
use emu_plugins_api::{CpuHeader, Onward};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EACCES: i64 = -(libc::EACCES as i64);

/// Most instructions of a filter (BPF_MAXINSNS), and of a chain (MAX_INSNS_PER_PATH), where each filter counts four more.
const INSNS_MAX: usize = 4096;
const CHAIN_MAX: usize = 32768;

/// Where the filters of a program that this one replaced are.
pub const VARIABLE: &str = "EMU_SECCOMP_FILTERS";

/// Bytes of `struct seccomp_data`.
const DATA_BYTES: u32 = 64;

/// An instruction, `struct sock_filter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Insn {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

impl Insn {
    fn from_bytes(b: [u8; 8]) -> Insn {
        let [c0, c1, jt, jf, k @ ..] = b;
        Insn { code: u16::from_le_bytes([c0, c1]), jt, jf, k: u32::from_le_bytes(k) }
    }
    fn bytes(self) -> [u8; 8] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_le_bytes(), self.k.to_le_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }
}

/// Opcodes: class, size or operation, mode or source (include/uapi/linux/bpf_common.h).
mod bpf {
    pub const LD_IMM: u16 = 0x00;
    pub const LD_ABS: u16 = 0x20;
    pub const LD_MEM: u16 = 0x60;
    pub const LD_LEN: u16 = 0x80;
    pub const LDX_IMM: u16 = 0x01;
    pub const LDX_MEM: u16 = 0x61;
    pub const LDX_LEN: u16 = 0x81;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    /// Arithmetic: the operation is in bits 4 to 7, bit 3 is for X instead of k.
    pub const ALU: u16 = 0x04;
    pub const NEG: u16 = 0x84;
    pub const JA: u16 = 0x05;
    /// Conditional jumps: as arithmetic.
    pub const JMP: u16 = 0x05;
    pub const RET_K: u16 = 0x06;
    pub const RET_A: u16 = 0x16;
    pub const TAX: u16 = 0x07;
    pub const TXA: u16 = 0x87;
}

/// A filter and those before it.
pub struct Filter {
    insns: Vec<Insn>,
    before: Option<Arc<Filter>>,
}

/// What a thread has.
#[derive(Default)]
pub struct Filters {
    /// There is something to ask.
    pub on: AtomicBool,
    chain: Mutex<(bool, Option<Arc<Filter>>)>,
}

impl Filters {
    fn chain(&self) -> (bool, Option<Arc<Filter>>) {
        self.chain.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
    fn set(&self, strict: bool, chain: Option<Arc<Filter>>) {
        let on = strict || chain.is_some();
        *self.chain.lock().unwrap_or_else(|e| e.into_inner()) = (strict, chain);
        self.on.store(on, Ordering::SeqCst);
    }
    /// The same ones.
    pub fn copy(&self) -> Filters {
        let new = Filters::default();
        let (strict, chain) = self.chain();
        new.set(strict, chain);
        new
    }
    /// What `PR_GET_SECCOMP` and /proc say: the mode, and how many filters there are.
    pub fn mode(&self) -> (u32, usize) {
        let (strict, chain) = self.chain();
        (
            if strict {
                1
            } else if chain.is_some() {
                2
            } else {
                0
            },
            each(&chain).count(),
        )
    }
}

/// The newest first.
fn each(chain: &Option<Arc<Filter>>) -> impl Iterator<Item = &Arc<Filter>> {
    std::iter::successors(chain.as_ref(), |f| f.before.as_ref())
}

/// True if a filter's instructions are such as the kernel takes: known ones, words of the data only, jumps forward and inside, and a return at
/// the end.
fn is_valid(insns: &[Insn]) -> bool {
    if insns.is_empty() || insns.len() > INSNS_MAX {
        return false;
    }
    let mut fine = matches!(insns[insns.len() - 1].code, bpf::RET_K | bpf::RET_A);
    for (at, i) in insns.iter().enumerate() {
        let room = (insns.len() - at - 1) as u64;
        fine &= match i.code {
            bpf::LD_ABS => i.k % 4 == 0 && i.k < DATA_BYTES,
            bpf::LD_IMM | bpf::LDX_IMM | bpf::LD_LEN | bpf::LDX_LEN | bpf::RET_K | bpf::RET_A | bpf::TAX | bpf::TXA | bpf::NEG => true,
            bpf::LD_MEM | bpf::LDX_MEM | bpf::ST | bpf::STX => i.k < 16,
            bpf::JA => u64::from(i.k) < room,
            code if code & 7 == bpf::JMP && matches!(code >> 4, 1..=4) && code & 0xff07 == bpf::JMP => u64::from(i.jt.max(i.jf)) < room,
            code if code & 0xff07 == bpf::ALU => match code >> 4 {
                0..=2 | 4 | 5 | 10 => true,
                // Division (and remainder, which the kernel does not take here) by a constant zero, shifts by too much.
                3 => code & 8 != 0 || i.k != 0,
                6 | 7 => code & 8 != 0 || i.k < 32,
                _ => false,
            },
            _ => false,
        };
    }
    fine
}

/// Runs a valid filter.
fn run(insns: &[Insn], data: &[u32; 16]) -> u32 {
    let (mut a, mut x, mut memory, mut at) = (0u32, 0u32, [0u32; 16], 0);
    while let Some(i) = insns.get(at) {
        at += 1;
        let operand = if i.code & 8 != 0 { x } else { i.k };
        match i.code {
            bpf::LD_ABS => a = data[i.k as usize / 4 & 15],
            bpf::LD_IMM => a = i.k,
            bpf::LD_MEM => a = memory[i.k as usize & 15],
            bpf::LD_LEN => a = DATA_BYTES,
            bpf::LDX_IMM => x = i.k,
            bpf::LDX_MEM => x = memory[i.k as usize & 15],
            bpf::LDX_LEN => x = DATA_BYTES,
            bpf::ST => memory[i.k as usize & 15] = a,
            bpf::STX => memory[i.k as usize & 15] = x,
            bpf::RET_K => return i.k,
            bpf::RET_A => return a,
            bpf::TAX => x = a,
            bpf::TXA => a = x,
            bpf::NEG => a = a.wrapping_neg(),
            bpf::JA => at += i.k as usize,
            code if code & 7 == bpf::JMP => {
                let taken = match code >> 4 {
                    1 => a == operand,
                    2 => a > operand,
                    3 => a >= operand,
                    _ => a & operand != 0,
                };
                at += usize::from(if taken { i.jt } else { i.jf });
            }
            code => {
                a = match code >> 4 {
                    0 => a.wrapping_add(operand),
                    1 => a.wrapping_sub(operand),
                    2 => a.wrapping_mul(operand),
                    // The kernel ends a filter that divides by zero so.
                    3 => match a.checked_div(operand) {
                        Some(q) => q,
                        None => return 0,
                    },
                    4 => a | operand,
                    5 => a & operand,
                    6 => a.wrapping_shl(operand),
                    7 => a.wrapping_shr(operand),
                    _ => a ^ operand,
                }
            }
        }
    }
    action::KILL_PROCESS
}

/// What a filter returns in its upper half (SECCOMP_RET_*).
mod action {
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    pub const KILL_THREAD: u32 = 0;
    pub const TRAP: u32 = 0x0003_0000;
    pub const ERRNO: u32 = 0x0005_0000;
    pub const USER_NOTIF: u32 = 0x7fc0_0000;
    pub const TRACE: u32 = 0x7ff0_0000;
    pub const LOG: u32 = 0x7ffc_0000;
    pub const ALLOW: u32 = 0x7fff_0000;
    pub const ALL: [u32; 8] = [KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, USER_NOTIF, TRACE, LOG, ALLOW];
}

/// The strictest answer of all filters; of equals that of the newest.
fn judge(chain: &Option<Arc<Filter>>, data: &[u32; 16]) -> u32 {
    let rank = |v: u32| (v & 0xffff_0000) as i32;
    each(chain).map(|f| run(&f.insns, data)).fold(action::ALLOW, |best, v| if rank(v) < rank(best) { v } else { best })
}

/// What becomes of a call.
pub enum Verdict {
    /// It is made.
    Make,
    /// It is not, and answers this.
    Answer(i64),
    /// It is not, and this is done instead.
    Instead(Onward),
}

impl Kernel {
    /// Asks the filters of a thread.
    #[cold]
    pub fn filter_call(&self, t: &Thread, cpu: *mut CpuHeader, number: u64, name: &str, args: &[u64; 6]) -> Verdict {
        let (strict, chain) = t.filters.chain();
        // SAFETY: this is the CPU's thread.
        let pc = unsafe { (*cpu).pc };
        let arch = 0xc000_0000 | self.abi.elf_machine;
        let mut data = [0u32; 16];
        (data[0], data[1]) = (number as u32, arch);
        for (i, v) in [pc].iter().chain(args).enumerate() {
            (data[2 + 2 * i], data[3 + 2 * i]) = (*v as u32, (*v >> 32) as u32);
        }
        let verdict = if !strict {
            judge(&chain, &data)
        } else if matches!(name, "read" | "write" | "exit" | "rt_sigreturn") {
            action::ALLOW
        } else {
            // Strict mode ends a thread by SIGKILL.
            self.end_told(t, libc::SIGKILL as u32);
        };
        let low = verdict & 0xffff;
        match verdict & 0xffff_0000 {
            action::ALLOW | action::LOG => Verdict::Make,
            action::ERRNO => Verdict::Answer(-i64::from(low.min(4095))),
            // Nobody listens or traces.
            action::TRACE | action::USER_NOTIF => Verdict::Answer(-i64::from(libc::ENOSYS)),
            action::TRAP => {
                let mut info = [0u8; 128];
                info[0..4].copy_from_slice(&libc::SIGSYS.to_le_bytes());
                info[4..8].copy_from_slice(&low.to_le_bytes());
                // SYS_SECCOMP; the address, number and architecture of the call.
                info[8..12].copy_from_slice(&1u32.to_le_bytes());
                info[16..24].copy_from_slice(&pc.to_le_bytes());
                info[24..28].copy_from_slice(&(number as u32).to_le_bytes());
                info[28..32].copy_from_slice(&arch.to_le_bytes());
                Verdict::Instead(self.force(t, libc::SIGSYS as u32, info, "a filter of its own traps the call"))
            }
            action::KILL_THREAD if self.living.load(Ordering::SeqCst) > 1 && !t.guest.get() => {
                process::end_thread(self, t, cpu);
                Verdict::Instead(Onward::ENDED)
            }
            _ => self.end_told(t, libc::SIGSYS as u32),
        }
    }
    /// Filters of the program that this one replaced.
    pub fn inherit_filters(&self, t: &Thread) {
        let Some(fd) = std::env::var(VARIABLE).ok().and_then(|v| v.parse::<i32>().ok()).filter(|fd| *fd > 2) else { return };
        // SAFETY: whoever sets the variable means a descriptor that is for this.
        let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
        let mut bytes = Vec::new();
        use std::io::{Read, Seek};
        if file.rewind().and_then(|()| file.read_to_end(&mut bytes)).is_err() {
            return;
        }
        let mut chain = None;
        let mut rest = &bytes[..];
        while let Some((head, tail)) = rest.split_first_chunk::<4>() {
            let len = (u32::from_le_bytes(*head) as usize * 8).min(tail.len());
            let insns: Vec<Insn> = tail[..len].chunks_exact(8).map(|b| Insn::from_bytes(std::array::from_fn(|i| b[i]))).collect();
            rest = &tail[len..];
            if is_valid(&insns) {
                chain = Some(Arc::new(Filter { insns, before: chain }));
            }
        }
        t.filters.set(false, chain);
    }
}

/// A file with the filters of a thread that is about to become another program, for that; `None` if it has none. The error is a number.
pub fn handed_on(t: &Thread) -> Result<Option<i32>, i64> {
    let (_, chain) = t.filters.chain();
    if chain.is_none() {
        return Ok(None);
    }
    let mut all: Vec<&Arc<Filter>> = each(&chain).collect();
    all.reverse();
    let mut bytes = Vec::new();
    for f in all {
        bytes.extend((f.insns.len() as u32).to_le_bytes());
        f.insns.iter().for_each(|i| bytes.extend(i.bytes()));
    }
    match crate::proc::memory_file(&bytes, 0) {
        fd if fd < 0 => Err(fd),
        fd => Ok(Some(fd as i32)),
    }
}

fn set_filter(c: &mut Call<'_>, flags: u64, at: u64) -> i64 {
    const TSYNC: u64 = 1;
    const KNOWN: u64 = 1 | 2 | 4 | 16;
    if flags & !KNOWN != 0 {
        return EINVAL;
    }
    let Ok([len, pointer]) = c.k.space.get::<[u64; 2]>(at) else { return EFAULT };
    let len = len as u16 as usize;
    let mut bytes = vec![0; len * 8];
    if len == 0 || len > INSNS_MAX {
        return EINVAL;
    }
    if c.k.space.read(pointer, &mut bytes).is_err() {
        return EFAULT;
    }
    let insns: Vec<Insn> = bytes.chunks_exact(8).map(|b| Insn::from_bytes(std::array::from_fn(|i| b[i]))).collect();
    // SAFETY: these look at nothing.
    let may = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || libc::geteuid() == 0 };
    if !may {
        return EACCES;
    }
    if !is_valid(&insns) {
        return EINVAL;
    }
    let (strict, before) = c.t.filters.chain();
    if strict {
        return EINVAL;
    }
    if each(&before).map(|f| f.insns.len() + 4).sum::<usize>() + len > CHAIN_MAX {
        return -i64::from(libc::ENOMEM);
    }
    let chain = Some(Arc::new(Filter { insns, before: before.clone() }));
    if flags & TSYNC == 0 {
        c.t.filters.set(false, chain);
        return 0;
    }
    // All threads, if theirs are where this one's come from.
    let census = c.k.census();
    let all: Vec<&Thread> =
        c.k.threads
            .iter()
            .map(|t| t.load(Ordering::SeqCst))
            .filter(|t| !t.is_null())
            .map(|t| {
                // SAFETY: a thread's record goes only after it has left the list, for which it needs the lock that is held here.
                unsafe { &*t }
            })
            .collect();
    for t in &all {
        let (strict, theirs) = t.filters.chain();
        let known = theirs.as_ref().is_none_or(|f| each(&before).any(|b| Arc::ptr_eq(b, f)));
        if strict || !known {
            return if flags & 16 != 0 { -i64::from(libc::ESRCH) } else { t.tid().into() };
        }
    }
    all.iter().for_each(|t| t.filters.set(false, chain.clone()));
    drop(census);
    0
}

fn set_strict(c: &mut Call<'_>) -> i64 {
    match c.t.filters.mode().0 {
        2 => EINVAL,
        _ => {
            c.t.filters.set(true, None);
            0
        }
    }
}

pub fn seccomp(c: &mut Call<'_>) -> i64 {
    let [operation, flags, at, ..] = c.a;
    match operation as u32 {
        0 if flags == 0 && at == 0 => set_strict(c),
        1 => set_filter(c, flags, at),
        2 if flags == 0 => match c.k.space.get::<u32>(at) {
            Ok(wanted) if action::ALL.contains(&wanted) && wanted != action::USER_NOTIF => 0,
            Ok(_) => -i64::from(libc::EOPNOTSUPP),
            Err(e) => e,
        },
        // SECCOMP_GET_NOTIF_SIZES: nobody listens.
        _ => EINVAL,
    }
}

/// The two of `prctl`.
pub fn prctl(c: &mut Call<'_>) -> i64 {
    match (c.a[0] as i32, c.a[1]) {
        (libc::PR_GET_SECCOMP, _) => c.t.filters.mode().0.into(),
        (_, 1) => set_strict(c),
        (_, 2) => set_filter(c, 0, c.a[2]),
        _ => EINVAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(code: u16, jt: u8, jf: u8, k: u32) -> Insn {
        Insn { code, jt, jf, k }
    }
    fn filter(list: &[Insn], before: Option<Arc<Filter>>) -> Option<Arc<Filter>> {
        Some(Arc::new(Filter { insns: list.to_vec(), before }))
    }
    const RET_ALLOW: Insn = Insn { code: bpf::RET_K, jt: 0, jf: 0, k: action::ALLOW };

    #[test]
    fn what_the_kernel_takes() {
        assert!(is_valid(&[RET_ALLOW]));
        assert!(!is_valid(&[]) && !is_valid(&[insn(bpf::LD_IMM, 0, 0, 1)]));
        assert!(is_valid(&[insn(bpf::LD_ABS, 0, 0, 60), RET_ALLOW]));
        for bad in [
            insn(bpf::LD_ABS, 0, 0, 64),
            insn(bpf::LD_ABS, 0, 0, 2),
            insn(0x28, 0, 0, 0),
            insn(0x30, 0, 0, 0),
            insn(bpf::ST, 0, 0, 16),
            insn(bpf::JA, 0, 0, 1),
            insn(0x15, 1, 0, 0),
            insn(0x55, 0, 0, 0),
            insn(0x34, 0, 0, 0),
            insn(0x94, 0, 0, 3),
            insn(0x64, 0, 0, 32),
            insn(0xb1, 0, 0, 0),
            insn(0x1234, 0, 0, 0),
        ] {
            assert!(!is_valid(&[bad, RET_ALLOW]), "{bad:?}");
        }
    }

    #[test]
    fn arithmetic_and_jumps() {
        let data: [u32; 16] = std::array::from_fn(|i| 100 + i as u32);
        let value = |list: &[Insn]| {
            assert!(is_valid(list), "{list:?}");
            run(list, &data)
        };
        let ret_a = insn(bpf::RET_A, 0, 0, 0);
        let with = |code: u16, k: u32| value(&[insn(bpf::LD_ABS, 0, 0, 4), insn(bpf::ALU | code, 0, 0, k), ret_a]);
        let cases: &[(u16, u32, u32)] = &[
            (0, 5, 106),
            (0x10, 102, u32::MAX),
            (0x20, 3, 303),
            (0x30, 7, 14),
            (0x40, 8, 109),
            (0x50, 0x60, 0x60),
            (0x60, 4, 1616),
            (0x70, 2, 25),
            (0xa0, 1, 100),
            (0x80, 0, 101u32.wrapping_neg()),
        ];
        for (code, k, want) in cases {
            assert_eq!(with(*code, *k), *want, "{code:#x}");
            // The same by X.
            if *code != 0x80 {
                let list = [insn(bpf::LDX_IMM, 0, 0, *k), insn(bpf::LD_ABS, 0, 0, 4), insn(bpf::ALU | code | 8, 0, 0, 0), ret_a];
                assert_eq!(value(&list), *want, "{code:#x} by X");
            }
        }
        assert_eq!(value(&[insn(bpf::LD_IMM, 0, 0, 9), insn(0x3c, 0, 0, 0), ret_a]), 0, "a division by zero");
        for (code, k, taken) in
            [(0x15, 101, true), (0x15, 1, false), (0x25, 100, true), (0x25, 101, false), (0x35, 101, true), (0x45, 4, true), (0x45, 2, false)]
        {
            let list = [insn(bpf::LD_ABS, 0, 0, 4), insn(code, 1, 0, k), insn(bpf::RET_K, 0, 0, 1), insn(bpf::RET_K, 0, 0, 2)];
            assert_eq!(value(&list) == 2, taken, "{code:#x} {k}");
        }
        let list = [
            insn(bpf::LD_LEN, 0, 0, 0),
            insn(bpf::ST, 0, 0, 3),
            insn(bpf::LDX_MEM, 0, 0, 3),
            insn(bpf::TXA, 0, 0, 0),
            insn(bpf::JA, 0, 0, 1),
            insn(bpf::LD_IMM, 0, 0, 0),
            ret_a,
        ];
        assert_eq!(value(&list), 64);
    }

    #[test]
    fn the_strictest_answer_counts() {
        let ret = |k| insn(bpf::RET_K, 0, 0, k);
        let data = [0; 16];
        let chain = filter(&[ret(action::ERRNO | 1)], filter(&[ret(action::ERRNO | 2)], filter(&[RET_ALLOW], None)));
        assert_eq!(judge(&chain, &data), action::ERRNO | 1, "of equals the newest");
        assert_eq!(judge(&filter(&[ret(action::TRAP)], chain.clone()), &data), action::TRAP);
        assert_eq!(judge(&filter(&[ret(action::KILL_PROCESS)], filter(&[ret(action::KILL_THREAD)], chain)), &data), action::KILL_PROCESS);
        assert_eq!(judge(&None, &data), action::ALLOW);
    }
}
