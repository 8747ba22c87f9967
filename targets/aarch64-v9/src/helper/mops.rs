//! Memory copy and memory set (FEAT_MOPS), algorithm option A.
//!
//! Option A keeps in Xn the bytes that remain: negative while a copy or set goes forwards (Xd and Xs hold the ends of the buffers), positive
//! for a copy that goes backwards (they hold the starts). IMPLEMENTATION DEFINED: the prologue moves nothing, the main instruction all that
//! it can, the epilogue what is left; none of them raises an exception for a size or an alignment. Registers are updated after each step of
//! at most a page, so a fault or an interrupt finds a state from which the instruction goes on.
//!
//! The prologue, and the other two where nothing remains, are in line: `translate/mops.rs`.

use crate::exception::{self, syndrome::ec};
use crate::mode::ModeKey;
use crate::state::State;
use emu_plugins_api::ir::MemFlags;
use emu_plugins_api::{Access, AccessKind, HelperReturn};
use std::sync::atomic::Ordering;

/// The step, no larger than the smallest page.
const STEP: u64 = 4096;
/// A look at requests from other threads is due after that many steps.
const STEPS_BEFORE_LOOK: u32 = 64;

const EPILOGUE: u32 = 2;

/// The fields of the instruction.
#[derive(Clone, Copy)]
struct Fields {
    word: u32,
    d: usize,
    s: usize,
    n: usize,
    /// Bits 15 to 12.
    options: u32,
    /// Prologue, main, epilogue.
    stage: u32,
}

impl Fields {
    fn new(word: u32, set: bool) -> Fields {
        let field = |lsb: u32| (word >> lsb & 31) as usize;
        let options = word >> 12 & 15;
        let stage = if set { options >> 2 } else { word >> 22 & 3 };
        Fields { word, d: field(0), s: field(16), n: field(5), options, stage }
    }
    /// An access of `size` bytes by the instruction.
    fn access(self, cpu: &State, va: u64, size: u64, unprivileged: bool) -> Access {
        let key = ModeKey(cpu.header.mode_key);
        let view = if unprivileged { key.unpriv_view() } else { key.view() };
        Access {
            va,
            size: size as u32,
            kind: AccessKind::READ,
            view: view as u8,
            reserved: 0,
            mem_flags: MemFlags::view(view).0,
            insn_info: self.word,
        }
    }
}

/// Bytes from `va` to the next multiple of the step.
fn to_boundary(va: u64) -> u64 {
    STEP - va % STEP
}

/// Bytes below `end` down to the last multiple of the step before it.
fn from_boundary(end: u64) -> u64 {
    end.wrapping_sub(1) % STEP + 1
}

/// Raises the Memory Copy and Memory Set exception: PSTATE.C says that a prologue of option B came before.
fn wrong_option(cpu: &mut State, f: Fields, set: bool) -> HelperReturn {
    // MemInst, Options, FromEpilogue, WrongOption, OptionA, and the three register numbers.
    let options = if set { f.options & 3 } else { f.options };
    let iss = u32::from(set) << 24
        | options << 19
        | u32::from(f.stage == EPILOGUE) << 18
        | 1 << 17
        | 1 << 16
        | (f.d as u32) << 10
        | (f.s as u32) << 5
        | f.n as u32;
    exception::take_sync(cpu, ec::MOPS, iss, None);
    HelperReturn::exit()
}

/// True when the loop must be left, to come back to the same instruction, for the dispatcher to look at requests.
fn must_look(cpu: &State, steps: &mut u32) -> bool {
    *steps += 1;
    steps.is_multiple_of(STEPS_BEFORE_LOOK) && cpu.header.exit_request.load(Ordering::Relaxed) != 0
}

/// Copies within one page on either side. The access that faults.
fn copy_step(cpu: &mut State, (mut read, mut write): (Access, Access)) -> Result<(), (Access, u64)> {
    if cpu.header.virtual_move(&write, Some(&read), 0) {
        return Ok(());
    }
    let mut data = [0u8; STEP as usize];
    let bytes = &mut data[..read.size as usize];
    if let Err(fault) = cpu.header.virtual_read(&mut read, bytes) {
        return Err((read, fault));
    }
    cpu.header.virtual_write(&mut write, bytes).map_err(|fault| (write, fault))
}

/// CPYFM, CPYFE, CPYM, CPYE.
pub fn copy(cpu: &mut State, _: u64, _: u64, _: u64, word: u64) -> HelperReturn {
    let f = Fields::new(word as u32, false);
    if cpu.cf != 0 {
        return wrong_option(cpu, f, false);
    }
    let mut steps = 0;
    loop {
        let remaining = cpu.x[f.n] as i64;
        if remaining == 0 {
            return HelperReturn::value(0);
        }
        let (to, from) = (cpu.x[f.d], cpu.x[f.s]);
        let count = remaining.unsigned_abs();
        // Forwards (negative) the buffers are X[d] + X[n] on; backwards they end at X[d] + X[n].
        let (to, from) = (to.wrapping_add(remaining as u64), from.wrapping_add(remaining as u64));
        let (to, from, step) = if remaining < 0 {
            (to, from, count.min(to_boundary(to)).min(to_boundary(from)))
        } else {
            let step = count.min(from_boundary(to)).min(from_boundary(from));
            (to.wrapping_sub(step), from.wrapping_sub(step), step)
        };
        let accesses = (f.access(cpu, from, step, f.options & 2 != 0), f.access(cpu, to, step, f.options & 1 != 0));
        if let Err((access, fault)) = copy_step(cpu, accesses) {
            exception::raise_access(cpu, &access, fault);
            return HelperReturn::exit();
        }
        cpu.x[f.n] = if remaining < 0 { cpu.x[f.n].wrapping_add(step) } else { cpu.x[f.n] - step };
        if must_look(cpu, &mut steps) {
            return HelperReturn::exit();
        }
    }
}

/// Sets bytes within a page. The access that faults.
fn set_step(cpu: &mut State, mut write: Access, value: u8) -> Result<(), (Access, u64)> {
    if cpu.header.virtual_move(&write, None, value) {
        return Ok(());
    }
    let data = [value; STEP as usize];
    let bytes = &data[..write.size as usize];
    cpu.header.virtual_write(&mut write, bytes).map_err(|fault| (write, fault))
}

/// SETM, SETE.
pub fn set(cpu: &mut State, _: u64, _: u64, _: u64, word: u64) -> HelperReturn {
    let f = Fields::new(word as u32, true);
    if cpu.cf != 0 {
        return wrong_option(cpu, f, true);
    }
    let value = if f.s == 31 { 0 } else { cpu.x[f.s] as u8 };
    let mut steps = 0;
    // A positive size is not of Option A's making (CONSTRAINED UNPREDICTABLE): nothing is left to set.
    while (cpu.x[f.n] as i64) < 0 {
        let to = cpu.x[f.d].wrapping_add(cpu.x[f.n]);
        let step = cpu.x[f.n].wrapping_neg().min(to_boundary(to));
        let access = f.access(cpu, to, step, f.options & 1 != 0);
        if let Err((access, fault)) = set_step(cpu, access, value) {
            exception::raise_access(cpu, &access, fault);
            return HelperReturn::exit();
        }
        cpu.x[f.n] = cpu.x[f.n].wrapping_add(step);
        if must_look(cpu, &mut steps) {
            return HelperReturn::exit();
        }
    }
    HelperReturn::value(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Machine, RAM, RAM_SIZE};

    const D: usize = 3;
    const S: usize = 4;
    const N: usize = 5;

    /// CPYF* or CPY* [x3]!, [x4]!, x5! of a stage.
    fn copy_word(either_way: bool, stage: u32) -> u64 {
        u64::from(0x1900_0400 | u32::from(either_way) << 26 | stage << 22 | (S as u32) << 16 | (N as u32) << 5 | D as u32)
    }
    /// SET* [x3]!, x5!, x4 of a stage.
    fn set_word(stage: u32) -> u64 {
        u64::from(0x19c0_0400 | (S as u32) << 16 | stage << 14 | (N as u32) << 5 | D as u32)
    }
    /// The two stages behind the prologue.
    fn run(m: &mut Machine, helper: fn(&mut State, u64, u64, u64, u64) -> HelperReturn, words: [u64; 2]) {
        for word in words {
            assert_eq!(helper(m, 0, 0, 0, word), HelperReturn::value(0));
        }
    }
    /// What the prologue of CPYF*, SET* and a CPY* forwards leaves.
    fn forwards(m: &mut Machine, size: u64, copy: bool) {
        m.x[D] += size;
        if copy {
            m.x[S] += size;
        }
        m.x[N] = size.wrapping_neg();
    }

    #[test]
    fn steps_end_at_page_boundaries() {
        assert_eq!((to_boundary(0), to_boundary(1), to_boundary(0xfff), to_boundary(0x1000)), (4096, 4095, 1, 4096));
        assert_eq!((from_boundary(0x1000), from_boundary(0x1001), from_boundary(0xfff)), (4096, 1, 4095));
        assert_eq!(from_boundary(0), 4096);
    }

    #[test]
    fn fields_of_instructions() {
        // CPYEWN [x3]!, [x4]!, x5! and SETMTN [x1]!, x2!, x9.
        let f = Fields::new(0x1d80_0400 | 4 << 16 | 4 << 12 | 5 << 5 | 3, false);
        assert_eq!((f.d, f.s, f.n, f.options, f.stage), (3, 4, 5, 4, EPILOGUE));
        let f = Fields::new(0x19c0_0400 | 9 << 16 | 7 << 12 | 2 << 5 | 1, true);
        assert_eq!((f.d, f.s, f.n, f.options & 3, f.stage), (1, 9, 2, 3, 1));
    }

    #[test]
    fn copies_of_any_overlap_equal_memmove() {
        let mut m = Machine::new("max", &[]);
        let mut x = std::env::var("EMU_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_240_607u64) | 1;
        println!("EMU_SEED={x}");
        let mut next = move || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        for i in 0..200 {
            for byte in m.host().ram.iter_mut().take(0x10000) {
                *byte = next() as u8;
            }
            let (from, size) = ((next() % 0x4000) as usize, (next() % 0x4000) as usize);
            let to = if i % 2 == 0 { (next() % 0x4000) as usize } else { from + next() as usize % 64 };
            let mut want = m.host().ram[..0x10000].to_vec();
            want.copy_within(from..from + size, to);
            (m.x[D], m.x[S], m.x[N]) = (RAM + to as u64, RAM + from as u64, size as u64);
            if from >= to || from + size <= to {
                forwards(&mut m, size as u64, true);
            }
            run(&mut m, copy, [1, 2].map(|stage| copy_word(true, stage)));
            assert!(m.host().ram[..0x10000] == want[..], "case {i}: {size:#x} bytes from {from:#x} to {to:#x}");
            assert_eq!(m.x[N], 0);
            // Option A: forwards the addresses end behind the buffers, backwards they stay.
            let end = if from < to && from + size > to { 0 } else { size as u64 };
            assert_eq!((m.x[D], m.x[S]), (RAM + to as u64 + end, RAM + from as u64 + end));
        }
    }

    #[test]
    fn set_fills_exactly_its_bytes() {
        let mut m = Machine::new("max", &[]);
        (m.x[D], m.x[S]) = (RAM + 0x0fff, 0x1_aa);
        forwards(&mut m, 0x2003, false);
        run(&mut m, set, [1, 2].map(set_word));
        assert_eq!((m.x[D], m.x[N]), (RAM + 0x0fff + 0x2003, 0));
        let ram = &m.host().ram;
        assert_eq!((ram[0x0ffe], ram[0x0fff], ram[0x3001], ram[0x3002]), (0, 0xaa, 0xaa, 0));
        assert!(ram[0x0fff..0x3002].iter().all(|b| *b == 0xaa));
    }

    #[test]
    fn a_fault_leaves_what_remains() {
        let mut m = Machine::new("max", &[]);
        let end = RAM + RAM_SIZE as u64;
        (m.x[D], m.x[S]) = (end - 0x1800, RAM);
        forwards(&mut m, 0x3000, true);
        m.header.pc = RAM + 0x100;
        assert_eq!(copy(&mut m, 0, 0, 0, copy_word(false, 1)), HelperReturn::exit());
        // The 0x1800 bytes in RAM are done, the other 0x1800 are not.
        assert_eq!(m.x[N] as i64, -0x1800);
        assert_eq!(m.x[D], end + 0x1800);
        assert_eq!(m.sysreg[crate::sysreg::word::ELR_EL1], RAM + 0x100);
        assert_eq!(m.sysreg[crate::sysreg::word::FAR_EL1], end);
        assert_eq!(m.sysreg[crate::sysreg::word::ESR_EL1] >> 26, u64::from(ec::DATA_ABORT + 1));
    }

    #[test]
    fn option_b_arguments_are_refused() {
        let mut m = Machine::new("max", &[]);
        m.header.pc = RAM + 0x100;
        m.cf = 1;
        assert_eq!(set(&mut m, 0, 0, 0, set_word(EPILOGUE)), HelperReturn::exit());
        let esr = m.sysreg[crate::sysreg::word::ESR_EL1];
        assert_eq!(esr >> 26, u64::from(ec::MOPS));
        assert_eq!(esr & 0x1ff_ffff, 1 << 24 | 1 << 18 | 1 << 17 | 1 << 16 | 3 << 10 | 4 << 5 | 5);
    }
}
