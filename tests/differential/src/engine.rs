//! Running an image under an emulator and reading what the runner printed.

use crate::case::{self, Case, Image, Pools};
use crate::layout::{self, state};
use emu_test_kit::{Error, Result, emu, process, qemu};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// An emulator with its CPU model.
#[derive(Clone, Debug)]
pub struct Engine {
    /// What to call it in reports.
    pub name: String,
    kind: Kind,
    limit: Duration,
    silence: Duration,
}

#[derive(Clone, Debug)]
enum Kind {
    Qemu {
        qemu: qemu::Qemu,
        cpu: String,
    },
    /// The variables force an engine.
    Emu {
        binary: PathBuf,
        cpu: String,
        variables: Vec<(String, String)>,
    },
    /// Words of a command line; `{image}` stands for the image's path.
    Custom(Vec<String>),
}

/// What the runner printed for one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The hash of the final state.
    pub hash: u32,
    /// ESR_EL1.EC.
    pub class: u8,
}

/// Exception classes that this crate looks at.
pub mod ec {
    /// Unknown reason: UNDEFINED.
    pub const UNKNOWN: u8 = 0x00;
    /// SVC from AArch64: the normal end of a case.
    pub const SVC: u8 = 0x15;
    /// PC alignment; in a program, SIGBUS.
    pub const PC_ALIGNMENT: u8 = 0x22;
    /// Data abort from EL0.
    pub const DATA_ABORT: u8 = 0x24;
}

/// The whole final state of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The saved registers, as words (see [`state`]).
    pub registers: Vec<u64>,
    /// The memory regions, one after the other.
    pub memory: Vec<u64>,
    /// The word of the case's code at ELR, if ELR is there.
    pub word: Option<u32>,
}

impl State {
    /// The word at an offset of [`state`].
    pub fn at(&self, offset: u32) -> u64 {
        self.registers[offset as usize / 8]
    }

    /// ESR_EL1.EC.
    pub fn class(&self) -> u8 {
        (self.at(state::ESR) >> 26 & 0x3f) as u8
    }
}

const STATE_WORDS: usize = state::LEN as usize / 8;
const MEMORY_WORDS: usize = layout::MEMORY_LEN / 8;

/// How long one image may take.
const LIMIT: Duration = Duration::from_secs(600);
/// How long an emulator may take for one case before it counts as hung.
const SILENCE: Duration = Duration::from_secs(20);

/// After so many ends in the middle of an image the rest is given up.
const RESTARTS: usize = 12;

impl Engine {
    /// The newest QEMU that packages give, its `virt` board with that `-cpu`: the oracle.
    ///
    /// Not the one of a stable suite, since 10.0 lets some misaligned accesses to Device memory pass, and
    /// reports an instruction abort where the misaligned PC has priority.
    pub fn qemu(cpu: &str) -> Result<Self> {
        Self::of(qemu::system_aarch64_of(&qemu::newest_suite())?, cpu)
    }

    /// The QEMU of the kit's default suite.
    pub fn older_qemu(cpu: &str) -> Result<Self> {
        Self::of(qemu::system_aarch64()?, cpu)
    }

    fn of(qemu: qemu::Qemu, cpu: &str) -> Result<Self> {
        let name = format!("{} -cpu {cpu}", qemu.version()?);
        Ok(Self { name, kind: Kind::Qemu { qemu, cpu: cpu.into() }, limit: LIMIT, silence: SILENCE })
    }

    /// The `emu` of this build, with that `-cpu`. Code is made at once: what a case runs once would be interpreted.
    pub fn emu(cpu: &str) -> Result<Self> {
        let binary = emu::binary()?;
        let name = format!("emu -cpu {cpu}");
        Ok(Self {
            name,
            kind: Kind::Emu { binary, cpu: cpu.into(), variables: vec![("EMU_JIT".into(), "at-once".into())] },
            limit: LIMIT,
            silence: SILENCE,
        })
    }

    /// The same with a variable set, as `EMU_JIT=off`.
    pub fn emu_by(cpu: &str, variable: &str, value: &str) -> Result<Self> {
        let mut engine = Self::emu(cpu)?;
        if let Kind::Emu { variables, .. } = &mut engine.kind {
            variables.push((variable.into(), value.into()));
        }
        engine.name = format!("{variable}={value} {}", engine.name);
        Ok(engine)
    }

    /// QEMU's user mode, for cases as a program. Without the scalable vectors, whose record in a signal frame would undo what the handler
    /// writes to the other.
    pub fn qemu_program(cpu: &str) -> Result<Self> {
        let qemu = qemu::user_aarch64()?;
        Ok(Self::custom(&format!("{} -cpu {cpu} {{image}}", qemu.binary().display())))
    }

    /// emu's user mode, as in [`Engine::emu`].
    pub fn emu_program(cpu: &str) -> Result<Self> {
        Ok(Self::custom(&format!("env EMU_JIT=at-once {} -cpu {cpu} {{image}}", emu::binary()?.display())))
    }

    /// The same with a variable set, as `EMU_ATOMICS=locked`.
    pub fn emu_program_by(cpu: &str, variable: &str, value: &str) -> Result<Self> {
        Ok(Self::custom(&format!("env EMU_JIT=at-once {variable}={value} {} -cpu {cpu} {{image}}", emu::binary()?.display())))
    }

    /// Any command line; `{image}` stands for the image's path. The console must be standard output.
    pub fn custom(command: &str) -> Self {
        let words = command.split_whitespace().map(str::to_owned).collect();
        Self { name: command.into(), kind: Kind::Custom(words), limit: LIMIT, silence: SILENCE }
    }

    /// The same with other limits for one image: in all, and without a line.
    #[must_use]
    pub fn with_limits(mut self, limit: Duration, silence: Duration) -> Self {
        (self.limit, self.silence) = (limit, silence);
        self
    }

    fn command(&self, image: &Path) -> Command {
        match &self.kind {
            Kind::Qemu { qemu, cpu } => {
                let mut command = qemu.command();
                command.args(["-M", "virt", "-cpu", cpu, "-m", "512M", "-net", "none", "-no-reboot"]);
                command.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
                command.arg("-kernel").arg(image);
                command
            }
            Kind::Emu { binary, cpu, variables } => {
                let mut command = Command::new(binary);
                command.envs(variables.iter().map(|(k, v)| (k, v)));
                command.args(["--target", "aarch64", "-M", "virt", "-cpu", cpu, "-m", "512M", "-nographic", "-kernel"]);
                command.arg(image);
                command
            }
            Kind::Custom(words) => {
                let image = image.display().to_string();
                let mut words = words.iter().map(|w| w.replace("{image}", &image));
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words);
                command
            }
        }
    }

    /// Runs an image that has no cases and returns all lines.
    fn boot(&self, image: &Image) -> Result<Vec<String>> {
        let done = self.execute(image)?;
        Ok(done.text().lines().map(|l| l.trim_end().to_owned()).collect())
    }

    fn execute(&self, image: &Image) -> Result<process::Finished> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("emu-differential-{}-{number}.img", std::process::id()));
        std::fs::write(&path, &image.bytes).map_err(|e| Error(format!("cannot write {}: {e}", path.display())))?;
        // A program of Linux must be executable.
        let _ = std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755));
        let done = process::run_while_talking(&mut self.command(&path), self.limit, self.silence);
        let _ = std::fs::remove_file(&path);
        done
    }

    /// Runs an image and returns the lines between the runner's first and last, and whether the last
    /// one came.
    fn console(&self, image: &Image) -> Result<(Vec<String>, bool, String)> {
        let done = self.execute(image)?;
        let text = done.text();
        let mut lines = text.lines().map(str::trim_end).skip_while(|l| *l != layout::BEGIN);
        if lines.next().is_none() {
            let tail: String = text.chars().take(400).collect();
            return Err(Error(format!(
                "{}: the runner did not start (exit code {:?}, timed out: {}); output: {tail:?}; stderr: {}",
                self.name,
                done.code,
                done.timed_out,
                done.errors()
            )));
        }
        let mut got = Vec::new();
        let mut ended = false;
        for line in lines {
            if line == layout::END {
                ended = true;
                break;
            }
            got.push(line.to_owned());
        }
        let why = if done.timed_out { "it hung".into() } else { format!("exit code {:?}; {}", done.code, done.errors()) };
        Ok((got, ended, why))
    }

    /// The identification registers, by CRm (4 to 7) and op2, of those that are not zero.
    pub fn id_registers(&self) -> Result<BTreeMap<(u32, u32), u64>> {
        let console = self.boot(&case::build(&[], &Pools::new(0), false))?;
        let values = console.iter().take_while(|l| *l != layout::BEGIN);
        let values: Vec<u64> = values.filter(|l| l.len() == 16).filter_map(|l| u64::from_str_radix(l, 16).ok()).collect();
        if values.len() != layout::ID_REGISTERS as usize {
            return Err(Error(format!("{}: {} identification registers, not {}", self.name, values.len(), layout::ID_REGISTERS)));
        }
        Ok((0..).zip(values).map(|(i, v)| ((4 + i / 8, i % 8), v)).filter(|(_, v)| *v != 0).collect())
    }

    /// Runs all the cases. A case with which the emulator stopped has no line; the rest is then run
    /// from the next one on.
    pub fn run(&self, cases: &[Case], pools: &Pools) -> Result<Vec<Option<Line>>> {
        let mut all = Vec::with_capacity(cases.len());
        for _ in 0..RESTARTS {
            let rest = &cases[all.len()..];
            let (lines, _, why) = self.console(&case::build(rest, pools, false))?;
            all.extend(lines.iter().map_while(|l| parse_line(l)).map(Some));
            match all.len().cmp(&cases.len()) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(all),
                std::cmp::Ordering::Greater => {
                    return Err(Error(format!("{}: more lines than cases", self.name)));
                }
            }
            let stopped = &cases[all.len()];
            eprintln!("{}: stopped in {} case {}: {}", self.name, stopped.name, stopped.index, why.trim());
            all.push(None);
            if all.len() == cases.len() {
                return Ok(all);
            }
        }
        eprintln!(
            "{}: stopped {RESTARTS} times; the last {} of {} cases are not run and count as failed",
            self.name,
            cases.len() - all.len(),
            cases.len()
        );
        all.resize(cases.len(), None);
        Ok(all)
    }

    /// Runs the cases and returns their whole final states.
    pub fn states(&self, cases: &[Case], pools: &Pools) -> Result<Vec<Option<State>>> {
        let mut all = Vec::with_capacity(cases.len());
        let block = 1 + STATE_WORDS + MEMORY_WORDS;
        for _ in 0..RESTARTS {
            let rest = &cases[all.len()..];
            let image = case::build(rest, pools, true);
            let (lines, _, _) = self.console(&image)?;
            for ((chunk, case), code) in lines.chunks_exact(block).zip(rest).zip(&image.code) {
                let words: Option<Vec<u64>> = chunk[1..].iter().map(|l| u64::from_str_radix(l, 16).ok()).collect();
                let Some(mut registers) = words else { break };
                let memory = registers.split_off(STATE_WORDS);
                let at = registers[state::ELR as usize / 8].wrapping_sub(*code) / 4;
                let word = usize::try_from(at).ok().and_then(|at| case.code.get(at)).copied();
                all.push(Some(State { registers, memory, word }));
            }
            if all.len() >= cases.len() {
                break;
            }
            all.push(None);
            if all.len() == cases.len() {
                break;
            }
        }
        all.resize(cases.len(), None);
        Ok(all)
    }
}

fn parse_line(line: &str) -> Option<Line> {
    if line.len() != 10 {
        return None;
    }
    Some(Line { hash: u32::from_str_radix(line.get(..8)?, 16).ok()?, class: u8::from_str_radix(line.get(8..)?, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::ALL;
    use crate::generate;
    use std::os::unix::fs::PermissionsExt;

    /// An "emulator" that is a shell script, and three cases.
    fn scripted(name: &str, script: &str) -> (Engine, Vec<Case>, Pools) {
        let path = std::env::temp_dir().join(format!("emu-differential-{}-{name}.sh", std::process::id()));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let pools = Pools::new(1);
        let cases = (0..3).map(|i| generate::single(&ALL[0], i, &pools)).collect();
        let engine = Engine::custom(&format!("{} {{image}}", path.display()));
        (engine.with_limits(Duration::from_secs(20), Duration::from_millis(500)), cases, pools)
    }

    #[test]
    fn lines_are_read() {
        let script = "test -s $1 || exit 1; echo noise; echo 'EMUDIFF 1'; for i in 1 2 3; do echo 0000000${i}15; done; echo END";
        let (engine, cases, pools) = scripted("good", script);
        let lines = engine.run(&cases, &pools).unwrap();
        let expected: Vec<_> = (1..4).map(|hash| Some(Line { hash, class: 0x15 })).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_crash_costs_one_case() {
        let (engine, cases, pools) = scripted("crash", "echo 'EMUDIFF 1'; echo 0000000715; exit 3");
        let lines = engine.run(&cases, &pools).unwrap();
        let line = Some(Line { hash: 7, class: 0x15 });
        assert_eq!(lines, [line, None, line]);
    }

    #[test]
    fn a_hang_costs_one_case() {
        let (engine, cases, pools) = scripted("hang", "echo 'EMUDIFF 1'; echo 0000000715; exec sleep 50");
        let lines = engine.run(&cases, &pools).unwrap();
        assert_eq!(lines.iter().filter(|l| l.is_none()).count(), 1);
    }

    #[test]
    fn an_emulator_that_does_not_start_is_a_sentence() {
        let (engine, cases, pools) = scripted("silent", "echo broken >&2; exit 2");
        let error = engine.run(&cases, &pools).unwrap_err();
        assert!(error.0.contains("the runner did not start") && error.0.contains("broken"), "{error}");
    }
}
