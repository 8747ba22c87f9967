//! Hashes of the architectural state at exact instruction counts: two runs that print the same were the same run.
//!
//! Under icount everything but the engine (interpreter, generated code and what it may use) decides what happens, so that all engines must
//! print the same lines. Where two differ, smaller and smaller steps from the last line that they agree on lead to the instruction.

use crate::machine::Machine;
use crate::vcpu::Vcpu;
use emu_ir::Shape;
use emu_plugins_api::Field;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// What to print, and when; counts are instructions of all CPUs together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateHash {
    /// Distance of two hashes.
    pub every: u64,
    /// None before this.
    pub from: u64,
    /// The run ends here, with a last one.
    pub until: u64,
    /// The state itself too.
    pub dump: bool,
    /// Every hash covers RAM too; otherwise only the last does.
    pub ram: bool,
}

impl StateHash {
    /// Instructions from `executed` to the next hash.
    pub fn next(&self, executed: u64) -> u64 {
        let next = (executed / self.every + 1) * self.every;
        next.max(self.from.next_multiple_of(self.every)).min(self.until).saturating_sub(executed)
    }
    /// True if there is one at this count.
    pub fn is_due(&self, executed: u64) -> bool {
        executed.is_multiple_of(self.every) && (self.from..self.until).contains(&executed)
    }
}

/// A quick hash whose every bit depends on every word.
struct Hash(u64);

impl Hash {
    fn add(&mut self, word: u64) {
        let x = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = x.rotate_left(29) ^ x >> 32;
    }
    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|w| self.add(u64::from_le_bytes(*w)));
        rest.iter().for_each(|b| self.add((*b).into()));
    }
}

/// Longest run-time vector in bytes, as state has room for.
const VL_MAX: u32 = 256;

/// Bytes of an element of a field.
fn element_bytes(f: &Field) -> usize {
    let bytes = match f.shape {
        Shape::SCALAR => f.ty.bytes(),
        shape => shape.bytes(VL_MAX),
    };
    // Elements do not overlap.
    (if f.count > 1 { bytes.min(f.stride) } else { bytes }) as usize
}

impl Machine {
    /// Prints the hash of all CPUs, and of RAM if asked for.
    pub(crate) fn print_state_hash(&self, executed: u64, options: &StateHash, last: bool) {
        let mut h = Hash(0x6a09_e667_f3bc_c908);
        h.add(self.now());
        let mut text = String::new();
        for cpu in &self.cpus {
            Self::hash_cpu(cpu, &mut h, options.dump.then_some(&mut text));
        }
        if options.ram || last {
            self.hash_ram(&mut h);
        }
        let what = if last { "last state" } else { "state" };
        self.trace(&format!("{what} {executed}: {:016x}\n{text}", h.0));
    }

    fn hash_cpu(cpu: &Vcpu, h: &mut Hash, mut dump: Option<&mut String>) {
        let (cpu, layout) = (cpu.header(), *cpu.arch.layout());
        // SAFETY: under icount this thread runs all CPUs, and none is in the middle of an instruction.
        let c = unsafe { &*cpu };
        let header = [
            ("pc", c.pc),
            ("mode", c.mode_key),
            ("fp_flags", c.fp_flags.into()),
            ("halted", c.halted.into()),
            ("insns", c.insns),
            ("lines", c.lines.load(Ordering::Relaxed).into()),
            ("event", c.event.load(Ordering::Relaxed).into()),
            // A closed monitor has no address.
            ("monitor", if c.monitor_size == 0 { 0 } else { c.monitor_addr }),
            ("monitor_size", c.monitor_size.into()),
        ];
        for (name, value) in header {
            h.add(value);
            if let Some(text) = &mut dump {
                let _ = write!(text, "  {name}={value:#x}");
            }
        }
        for f in layout.fields.get() {
            let bytes = element_bytes(f);
            for i in 0..f.count.max(1) {
                let at = f.offset as usize + i as usize * f.stride as usize;
                if at + bytes > layout.size as usize {
                    continue;
                }
                // SAFETY: as above; the bytes lie in the CPU's state.
                let value = unsafe { core::slice::from_raw_parts(cpu.cast::<u8>().add(at), bytes) };
                h.bytes(value);
                if let Some(text) = &mut dump {
                    let digits: String = value.iter().rev().map(|b| format!("{b:02x}")).collect();
                    let digits = digits.trim_start_matches('0');
                    if !digits.is_empty() {
                        let _ = write!(text, "  {}{i}={digits}", f.name.get());
                    }
                }
            }
        }
        if let Some(text) = dump {
            text.push('\n');
        }
    }

    fn hash_ram(&self, h: &mut Hash) {
        let mut page = vec![0; 4096];
        for window in self.space.windows() {
            let Some(ram) = &window.ram else { continue };
            h.add(window.base);
            for at in (0..ram.size()).step_by(page.len()) {
                let n = page.len().min((ram.size() - at) as usize);
                ram.read(at, &mut page[..n]);
                // Most of it was never touched.
                if page[..n].iter().any(|b| *b != 0) {
                    h.add(at);
                    h.bytes(&page[..n]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_due_at_multiples_inside_the_range() {
        let s = StateHash { every: 10, from: 25, until: 50, dump: false, ram: false };
        assert_eq!([0, 29, 30, 42, 50].map(|at| s.next(at)), [30, 1, 10, 8, 0]);
        // The last state is printed where the run ends.
        assert_eq!([20, 30, 31, 40, 50].map(|at| s.is_due(at)), [false, true, false, true, false]);
    }

    #[test]
    fn a_word_and_its_place_matter() {
        let of = |words: &[u64]| {
            let mut h = Hash(1);
            words.iter().for_each(|w| h.add(*w));
            h.0
        };
        let all = [of(&[0, 1]), of(&[1, 0]), of(&[0, 1 << 63]), of(&[1 << 63, 0]), of(&[0, 0])];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])), "{all:x?}");
    }
}
