//! Firmware of ours for the `duo` board: an AArch64 CPU and a RISC-V hart that share a page of code and talk through RAM, the mailbox and their
//! interrupt controllers.
//!
//! * [`arm`], [`hart`]: each side's surroundings: interrupts, waiting, the end.
//! * [`exchange`]: random messages both ways at the same time, each checked by who gets it, and what the sums of all must be.
//! * [`patch`]: each side changes the other's code.
//!
//! The page at the start of RAM holds the code of both: the Arm CPU's in its first half, the hart's in the second.

pub mod arm;
pub mod exchange;
pub mod hart;
pub mod patch;

use emu_test_kit::{Finished, emu, process};
use emu_test_robustness::Scratch;
use std::process::Command;
use std::time::Duration;

/// The page that has the code of both sides.
pub const PAGE: u64 = emu_machine_duo::board::RAM_BASE;
/// Where in it the hart's code begins.
pub const HART_CODE: u64 = 0x800;
/// The Arm CPU's vectors.
pub const VECTORS: u64 = PAGE + 0x1000;
/// What both know of each other's end.
pub const SHARED: u64 = PAGE + 0x3000;
/// Messages of the Arm CPU's.
pub const FROM_ARM: u64 = PAGE + 0x4000;
/// Messages of the hart's.
pub const FROM_HART: u64 = PAGE + 0x6000;

/// Exit codes of a guest that has found something wrong, by side.
pub const WRONG_AT_ARM: u32 = 3;
/// See [`WRONG_AT_ARM`].
pub const WRONG_AT_HART: u32 = 4;

/// A pair of programs.
pub struct Pair {
    /// What the Arm CPU is given: the code of both.
    pub arm: Vec<u8>,
    /// What the hart is given: a jump to its code.
    pub hart: Vec<u8>,
}

impl Pair {
    /// Puts code for the page and code for [`VECTORS`] together.
    ///
    /// # Panics
    /// When a half of the page does not hold its code.
    pub fn new(arm: Vec<u8>, hart: Vec<u8>, vectors: Vec<u8>) -> Pair {
        assert!(arm.len() <= HART_CODE as usize && hart.len() <= HART_CODE as usize, "{} and {} bytes of code", arm.len(), hart.len());
        let mut image = arm;
        image.resize(HART_CODE as usize, 0);
        image.extend(hart);
        image.resize(0x1000, 0);
        image.extend(vectors);
        Pair { arm: image, hart: hart::jump_to(PAGE + HART_CODE) }
    }
    /// Runs it with these arguments.
    ///
    /// # Panics
    /// When emu cannot be run.
    pub fn run(&self, name: &str, more: &[&str], limit: Duration) -> Finished {
        self.run_with(name, more, &[], limit)
    }
    /// The same with variables in emu's environment.
    ///
    /// # Panics
    /// As `run`.
    pub fn run_with(&self, name: &str, more: &[&str], variables: &[(&str, &str)], limit: Duration) -> Finished {
        let scratch = Scratch::new(&format!("duo-{name}"));
        let (arm, hart) = (scratch.file("arm.bin", &self.arm), scratch.file("hart.bin", &self.hart));
        let mut command = Command::new(emu::binary().unwrap());
        command.args(["-m", "4", "-nographic", "-M", &format!("duo,aarch64={arm},riscv64={hart}")]).args(more);
        process::run(command.envs(variables.iter().copied()), limit).unwrap()
    }
}
