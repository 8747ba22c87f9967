//! Running guests under both emulators in turn, and what their CPU times say.

use crate::guest::MARK;
use crate::kernels::{self, Kernel};
use crate::natives;
use crate::programs::Guest;
use crate::statistics::{Work, median, scaling, spread};
use emu_test_boots::{INSTALLER_ON_ONE_CONSOLE, installer};
use emu_test_kit::qemu::Qemu;
use emu_test_kit::{Console, Error, Finished, Result, emu, packages, process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The least that QEMU's CPU time for a kernel's boot over ours may be before the test fails. The aim is 1.0 and more; the distance is for
/// noise on shared machines.
pub const BOOT_RATIO_MIN: f64 = 0.7;

pub(crate) const LIMIT: Duration = Duration::from_secs(900);

/// The two emulators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// The one that ours is measured against.
    Qemu,
    /// Ours.
    Emu,
}

/// Where the emulators are, and where images are written.
pub struct Bench {
    guest: Guest,
    qemu: Qemu,
    scratch: PathBuf,
}

/// One measured guest on one CPU model.
#[derive(Clone, Debug)]
pub struct Row {
    /// The guest.
    pub name: String,
    /// What it is an example of.
    pub class: String,
    /// The CPU model.
    pub cpu: String,
    /// CPU seconds of QEMU, a value a round, less what an empty guest takes.
    pub qemu_s: Vec<f64>,
    /// Ours.
    pub emu_s: Vec<f64>,
    /// That of the same work done by the host's own code, where there is such.
    pub native_s: Vec<f64>,
    /// What all runs printed.
    pub checksum: String,
}

/// How many times the work of one CPU or thread two do in the same time, of a kernel that shares nothing but code.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// The kernel.
    pub kernel: &'static str,
    /// The CPU model, or what stands for programs in its column.
    pub cpu: String,
    /// Under QEMU.
    pub qemu: f64,
    /// Ours.
    pub emu: f64,
    /// That of the host's own code: what is possible.
    pub native: f64,
}

impl Scaling {
    /// Measures it: `run` and `native` have so many threads or CPUs at work.
    pub(crate) fn of(kernel: &ForTwo, cpu: &str, rounds: usize, run: &dyn Fn(Emulator, usize) -> Result<()>, native: Work<'_>) -> Result<Self> {
        let [qemu, emu, native] = scaling(rounds, [&|n| run(Emulator::Qemu, n), &|n| run(Emulator::Emu, n), native])?;
        Ok(Self { kernel: kernel.name, cpu: cpu.to_owned(), qemu, emu, native })
    }
}

/// A kernel that touches nothing but registers and its stack, in A64 code and in C, with repeats for about a second each: of ours in a machine and in a
/// program, and of the host's own code, which is many times as fast; a run of milliseconds measures the start of a thread.
pub struct ForTwo {
    /// Its name.
    pub name: &'static str,
    pub(crate) machine: f64,
    pub(crate) program: f64,
    pub(crate) native: f64,
}

/// What two threads or CPUs do.
pub(crate) const FOR_TWO: [ForTwo; 2] = [
    ForTwo { name: "fib", machine: 6000.0, program: 60_000.0, native: 300_000.0 },
    ForTwo { name: "mandel", machine: 4000.0, program: 80_000.0, native: 300_000.0 },
];

impl Row {
    /// QEMU's time over ours: the median of the rounds' ratios.
    pub fn ratio(&self) -> f64 {
        median(&self.ratios())
    }

    /// The ratio of each round.
    pub fn ratios(&self) -> Vec<f64> {
        self.qemu_s.iter().zip(&self.emu_s).map(|(q, e)| q / e).collect()
    }

    /// QEMU's time over the host's own: about what is possible at most.
    pub fn native_ratio(&self) -> Option<f64> {
        (!self.native_s.is_empty()).then(|| median(&self.qemu_s) / median(&self.native_s))
    }

    /// The distance between the largest and the smallest ratio, as a part of the median.
    pub fn spread(&self) -> f64 {
        spread(&self.ratios())
    }
}

/// A boot of the kernel and the initrd of Debian's installer: Debian 12's, on riscv64 Debian 13's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boot {
    /// To the prompt of a shell in the place of init, then `poweroff -f`: mostly the kernel.
    Shell,
    /// The same on four CPUs.
    ShellOnFour,
    /// To the installer's first question: a few thousand short processes that share libraries.
    Installer,
}

impl Boot {
    /// All.
    pub const ALL: [Boot; 3] = [Boot::Shell, Boot::ShellOnFour, Boot::Installer];

    /// The row's name.
    pub fn name(self) -> &'static str {
        match self {
            Boot::Shell => "boot",
            Boot::ShellOnFour => "boot4",
            Boot::Installer => "installer",
        }
    }
    /// What it is.
    pub fn class(self) -> &'static str {
        match self {
            Boot::Shell => "Debian's kernel to a shell and power off",
            Boot::ShellOnFour => "the same on four CPUs",
            Boot::Installer => "Debian's installer to its first question",
        }
    }
}

impl Bench {
    /// With that QEMU for machines of `guest`; `scratch` is a folder for guest images, made if it is not there.
    pub fn new(guest: Guest, qemu: Qemu, scratch: &Path) -> Result<Self> {
        match std::fs::create_dir_all(scratch) {
            Ok(()) => Ok(Self { guest, qemu, scratch: scratch.to_path_buf() }),
            Err(e) => Err(Error(format!("{} cannot be made: {e}", scratch.display()))),
        }
    }

    /// A command of that emulator with the flags that both know.
    pub fn command(&self, which: Emulator, cpu: &str) -> Result<Command> {
        let mut command = match which {
            Emulator::Emu => emu::command_for(self.guest.target())?,
            Emulator::Qemu => {
                let mut command = self.qemu.command();
                // No network card: QEMU's default one has a boot ROM to load, and ours has none.
                command.args(["-nic", "none"]);
                command
            }
        };
        command.args(["-M", "virt", "-cpu", cpu, "-m", "1G", "-nographic"]);
        if self.guest == Guest::Riscv64 {
            let firmware = packages::debian("trixie", "all", "opensbi")?.join("usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin");
            command.arg("-bios").arg(firmware);
        }
        Ok(command)
    }

    /// The kernel and the initrd of Debian's installer.
    pub(crate) fn installer(&self) -> Result<(PathBuf, PathBuf)> {
        if self.guest == Guest::Aarch64 {
            return installer();
        }
        let dir = packages::debian("trixie", "all", "debian-installer-13-netboot-riscv64")?;
        let dir = dir.join("usr/lib/debian-installer/images/13/riscv64/text/debian-installer/riscv64");
        Ok((dir.join("linux"), dir.join("initrd.gz")))
    }

    /// What the kernel's command line says of its console.
    pub(crate) fn console(&self) -> &'static str {
        match self.guest {
            Guest::Aarch64 => "console=ttyAMA0",
            Guest::Riscv64 => "console=ttyS0",
        }
    }

    /// Writes a guest's Image; its path.
    pub fn write(&self, name: &str, image: &[u8]) -> Result<PathBuf> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = self.scratch.join(format!("{name}-{}-{}.img", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        match std::fs::write(&path, image) {
            Ok(()) => Ok(path),
            Err(e) => Err(Error(format!("{} cannot be written: {e}", path.display()))),
        }
    }

    /// Runs an Image to its end: CPU seconds, and the checksum that it printed.
    pub fn run(&self, which: Emulator, cpu: &str, image: &Path) -> Result<(f64, String)> {
        let done = process::run(self.command(which, cpu)?.arg("-kernel").arg(image), LIMIT)?;
        match checksum(&done) {
            Some(checksum) => Ok((done.cpu.as_secs_f64(), checksum)),
            None => Err(failure(&format!("{which:?} with {} on {cpu}", image.display()), &done)),
        }
    }

    /// CPU seconds of a guest that ends at once, for each emulator: the median of `rounds` runs.
    pub fn empty(&self, cpu: &str, rounds: usize) -> Result<[f64; 2]> {
        let image = crate::guest::assemble(|a, _| a.mov(emu_a64_asm::X0, emu_a64_asm::XZR)).map_err(|e| Error(e.to_string()))?;
        let image = self.write("empty", &image)?;
        let mut times = [Vec::new(), Vec::new()];
        // The host is busy with what came before for a while: the first runs are not counted.
        for round in 0..2 + rounds {
            for which in [Emulator::Qemu, Emulator::Emu] {
                let time = self.run(which, cpu, &image)?.0;
                times[which as usize].extend((round >= 2).then_some(time));
            }
        }
        let _ = std::fs::remove_file(image);
        Ok(times.map(|t| median(&t)))
    }

    /// Measures a kernel; `empty` is what [`Bench::empty`] said. An error when a run fails or prints another checksum than the others or
    /// the model.
    pub fn kernel(&self, kernel: &Kernel, cpu: &str, scale: f64, rounds: usize, empty: [f64; 2]) -> Result<Row> {
        let repeats = kernel.repeats_at(scale);
        let image = kernel.image(repeats).map_err(|e| Error(format!("{}: {e}", kernel.name)))?;
        let image = self.write(kernel.name, &image)?;
        let mut row = Row {
            name: kernel.name.into(),
            class: kernel.class.into(),
            cpu: cpu.into(),
            qemu_s: Vec::new(),
            emu_s: Vec::new(),
            native_s: Vec::new(),
            checksum: kernel.model.map_or_else(String::new, |model| format!("{:016x}", model(repeats))),
        };
        for _ in 0..rounds {
            for which in [Emulator::Qemu, Emulator::Emu] {
                let (time, checksum) = self.run(which, cpu, &image)?;
                if row.checksum.is_empty() {
                    row.checksum = checksum;
                } else if row.checksum != checksum {
                    let message = format!("{} on {cpu}, {repeats} times: {which:?} prints {checksum}, not {}", kernel.name, row.checksum);
                    return Err(Error(message));
                }
                // A run that is shorter than the empty one measures nothing; a microsecond keeps the ratios finite.
                let net = (time - empty[which as usize]).max(1e-6);
                if which == Emulator::Qemu { row.qemu_s.push(net) } else { row.emu_s.push(net) }
            }
            row.native_s.extend(natives::seconds(kernel, repeats));
        }
        let _ = std::fs::remove_file(image);
        Ok(row)
    }

    /// Measures a boot of Debian's installer kernel: the whole process, with the code that the boot before has left, and one that finds none.
    pub fn boot(&self, boot: Boot, cpu: &str, rounds: usize) -> Result<Vec<Row>> {
        let mut row = Row {
            name: boot.name().into(),
            class: boot.class().into(),
            cpu: cpu.into(),
            qemu_s: Vec::new(),
            emu_s: Vec::new(),
            native_s: Vec::new(),
            checksum: String::new(),
        };
        let mut first = Row { cpu: format!("{cpu} first"), ..row.clone() };
        for _ in 0..rounds {
            let qemu = self.boot_once(boot, Emulator::Qemu, cpu, None)?;
            row.qemu_s.push(qemu);
            let kept = emu::Translations::new("bench")?;
            first.qemu_s.push(qemu);
            first.emu_s.push(self.boot_once(boot, Emulator::Emu, cpu, Some(kept.path()))?);
            row.emu_s.push(self.boot_once(boot, Emulator::Emu, cpu, Some(kept.path()))?);
        }
        Ok(vec![row, first])
    }

    /// [`Scaling`] of CPUs; `native` has so many threads of the host's own code do a kernel.
    pub fn scaling(&self, cpu: &str, scale: f64, rounds: usize, native: &dyn Fn(&ForTwo, usize) -> Result<()>) -> Result<Vec<Scaling>> {
        let row = |two: &ForTwo| {
            let kernel = kernels::ALL.iter().find(|k| k.name == two.name).ok_or_else(|| Error(format!("there is no kernel {}", two.name)))?;
            let repeats = ((two.machine * scale) as u64).max(1);
            let mut images = Vec::new();
            for cpus in [1, 2] {
                let image = kernel.image_for(cpus, repeats).map_err(|e| Error(e.to_string()))?;
                images.push(self.write("scaling", &image)?);
            }
            let run = |which, cpus: usize| {
                let done = process::run(self.command(which, cpu)?.args(["-smp", "2", "-kernel"]).arg(&images[cpus - 1]), LIMIT)?;
                match checksum(&done) {
                    Some(_) => Ok(()),
                    None => Err(failure(&format!("{}: {which:?} with {cpus} CPUs at work on {cpu}", two.name), &done)),
                }
            };
            let found = Scaling::of(two, cpu, rounds, &run, &|n| native(two, n));
            images.iter().for_each(|image| drop(std::fs::remove_file(image)));
            found
        };
        FOR_TWO.iter().map(row).collect()
    }

    /// CPU seconds of a boot; `kept`: where emu keeps code.
    fn boot_once(&self, boot: Boot, which: Emulator, cpu: &str, kept: Option<&Path>) -> Result<f64> {
        let (kernel, initrd) = self.installer()?;
        let mut command = self.command(which, cpu)?;
        command.envs(kept.map(|folder| ("EMU_TRANSLATIONS", folder)));
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
        if boot == Boot::Installer {
            let append = format!("{} {INSTALLER_ON_ONE_CONSOLE}", self.console());
            let mut console = Console::start(command.args(["-append", &append]))?;
            console.expect("Select a language", LIMIT)?;
            // It waits for an answer now, and is told to end.
            let done = console.terminate(LIMIT);
            return if done.timed_out { Err(failure(&format!("{which:?} told to end"), &done)) } else { Ok(done.cpu.as_secs_f64()) };
        }
        if boot == Boot::ShellOnFour {
            command.args(["-smp", "4"]);
        }
        let append = format!("rdinit=/bin/sh {}", self.console());
        let mut console = Console::start(command.args(["-append", &append]))?;
        console.expect("job control turned off", LIMIT)?;
        console.expect("~ # ", LIMIT)?;
        console.send("poweroff -f\n")?;
        let done = console.wait(LIMIT);
        if done.code == Some(0) && done.text().contains("reboot: Power down") {
            Ok(done.cpu.as_secs_f64())
        } else {
            Err(failure(&format!("{which:?} booting on {cpu}"), &done))
        }
    }
}

/// What a guest of ours that has ended well printed.
fn checksum(done: &Finished) -> Option<String> {
    let text = done.text();
    let checksum = text.split_once(MARK).and_then(|(_, rest)| rest.lines().next());
    checksum.filter(|_| done.code == Some(0) && !text.contains("exception")).map(|c| c.trim().to_owned())
}

pub(crate) fn failure(what: &str, done: &Finished) -> Error {
    let text = done.text();
    let tail: Vec<&str> = text.lines().rev().take(20).collect();
    let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
    let why = if done.timed_out { "took too long".into() } else { format!("ended with {:?}", done.code) };
    Error(format!("{what} {why}; it printed:\n{tail}\n{}", done.errors()))
}
