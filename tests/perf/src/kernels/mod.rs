//! The guest kernels: a row each, by class. The programs are in the modules.

mod atomics;
mod calls;
mod code;
mod crypto;
mod float;
mod integer;
mod memory;
mod system;
mod vector;

pub use calls::{ICALL_FUNCTIONS, fib};
pub use float::mix_model;
pub use system::TLB_BYTES;

use crate::guest::{self, Frame};
use emu_a64_asm::{Asm, AsmError};

/// Which CPU models have what a kernel uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// All of them.
    Nothing,
    /// `max`: an extension behind ARMv8.0.
    Max,
    /// A kernel, whose system calls it makes: it is a program only.
    Linux,
}

/// A guest program that measures one thing.
#[derive(Clone, Copy)]
pub struct Kernel {
    /// Its name in tables.
    pub name: &'static str,
    /// What it is an example of.
    pub class: &'static str,
    /// Which CPUs it runs on.
    pub needs: Needs,
    /// How often it repeats its work in a full run: about a second under QEMU.
    pub repeats: u64,
    /// Emits it: assembler, frame, repeats. Leaves its checksum in x0.
    pub build: fn(&mut Asm, Frame, u64),
    /// What the checksum must be, where that is simple to say.
    pub model: Option<fn(u64) -> u64>,
}

impl Kernel {
    /// The Image to boot.
    pub fn image(&self, repeats: u64) -> Result<Vec<u8>, AsmError> {
        guest::assemble(|a, f| (self.build)(a, f, repeats))
    }

    /// The same for so many CPUs, one or two, each of which does all of it: see [`guest::assemble_for`].
    pub fn image_for(&self, cpus: usize, repeats: u64) -> Result<Vec<u8>, AsmError> {
        guest::assemble_for(cpus, |a, f| (self.build)(a, f, repeats))
    }

    /// How often to repeat at that scale; 1 is a full run.
    pub fn repeats_at(&self, scale: f64) -> u64 {
        ((self.repeats as f64 * scale) as u64).max(1)
    }

    /// True if a machine with that CPU model has what it uses.
    pub fn runs_on(&self, cpu: &str) -> bool {
        match self.needs {
            Needs::Nothing => true,
            Needs::Max => cpu == "max",
            Needs::Linux => false,
        }
    }
}

macro_rules! kernels {
    ($($name:literal $class:literal $needs:ident $repeats:literal $build:path, $model:expr;)*) => {
        /// All of them, in the order in which they are reported.
        pub const ALL: &[Kernel] = &[$(
            Kernel { name: $name, class: $class, needs: Needs::$needs, repeats: $repeats, build: $build, model: $model },
        )*];
    };
}

kernels! {
    "sieve" "integer, branches" Nothing 16_000 integer::sieve, Some(integer::sieve_model);
    "hash" "hashing" Nothing 400_000 integer::hash, Some(integer::hash_model);
    "sort" "sort" Nothing 5000 integer::sort, Some(integer::sort_model);
    "bignum" "carry chains" Nothing 6_000_000 integer::bignum, Some(integer::bignum_model);
    "records" "loads and stores in L1" Nothing 1_500_000 memory::records, Some(memory::records_model);
    "chase" "pointer chasing" Nothing 5000 memory::chase, Some(memory::chase_model);
    "copy" "bulk copy, memset" Nothing 40_000 memory::copy, None;
    "string" "string" Nothing 200_000 memory::string, Some(memory::string_model);
    "fib" "calls and returns" Nothing 2000 calls::fib, Some(calls::fib_model);
    "pacfib" "calls and returns, signed" Max 250 calls::signed_fib, Some(calls::fib_model);
    "icall" "indirect calls" Nothing 25_000_000 calls::icall, Some(calls::icall_model);
    "switch" "interpreter, switch" Nothing 400_000 calls::switch, Some(calls::interpreter_model);
    "goto" "interpreter, computed goto" Nothing 400_000 calls::goto, Some(calls::interpreter_model);
    "mandel" "scalar FP" Nothing 1000 float::mandel, Some(float::mandel_model);
    "fpmix" "scalar FP, all kinds" Nothing 10_000_000 float::mix, Some(float::mix_model);
    "neonint" "NEON integer" Nothing 10_000_000 vector::integer, None;
    "matmul" "NEON FP" Nothing 2000 vector::matmul, None;
    "vecfp" "NEON FP, double" Nothing 6_000_000 vector::double, None;
    "aes" "AES" Nothing 10_000_000 crypto::aes, None;
    "sha" "SHA-1, SHA-256" Nothing 3_000_000 crypto::sha, None;
    "crc" "CRC32, PMULL" Nothing 15_000_000 crypto::crc, None;
    "lse" "LSE atomics" Max 60_000_000 atomics::lse, None;
    "llsc" "LL/SC" Nothing 120_000_000 atomics::llsc, Some(atomics::llsc_model);
    "acqrel" "acquire, release, barriers" Nothing 100_000_000 atomics::acqrel, Some(atomics::acqrel_model);
    "svc" "SVC to EL1 and back" Nothing 1_000_000 system::svc, Some(system::svc_model);
    "syscall" "system calls of a program" Linux 1_000_000 system::syscall, Some(system::syscall_model);
    "sysreg" "system registers" Nothing 3_000_000 system::sysreg, Some(system::sysreg_model);
    "mmio" "device registers" Nothing 8_000_000 system::mmio, Some(system::mmio_model);
    "tlb" "TLB: 256 MiB at random" Nothing 1_500_000 system::tlb, Some(system::tlb_model);
    "asid" "TLB: ASID switches" Nothing 80_000 system::asid, Some(system::asid_model);
    "fault" "page faults" Nothing 3000 system::fault, Some(system::fault_model);
    "smc" "self-modifying code" Nothing 150_000 code::smc, Some(code::smc_model);
    "fresh" "translation: fresh code" Nothing 1000 code::fresh, None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_assemble_and_have_names_of_their_own() {
        let names: BTreeSet<&str> = ALL.iter().map(|k| k.name).collect();
        assert_eq!(names.len(), ALL.len());
        for kernel in ALL {
            for repeats in [1, kernel.repeats] {
                let image = kernel.image(repeats).unwrap_or_else(|e| panic!("{}: {e}", kernel.name));
                assert!(image.len() < 1 << 20, "{} is long", kernel.name);
            }
        }
    }
}
