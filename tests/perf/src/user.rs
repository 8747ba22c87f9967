//! User mode: the guest kernels as programs of Linux, and programs of Debian's arm64 or riscv64 packages, under `emu PROGRAM` and `qemu-aarch64` or
//! `qemu-riscv64`.
//!
//! A kernel's program is a static ELF file around the very code that runs bare-metal: the addresses that it computes on are a segment of the
//! file. What needs EL1, devices or translation tables is left out.

use crate::bench::{Emulator, FOR_TWO, ForTwo, Row, Scaling};
use crate::guest::{BASE, BULK, DATA, Frame, MARK, repeat};
use crate::kernels::{self, Kernel, Needs};
use crate::natives;
use crate::programs::{Guest, Program, Programs};
use crate::statistics::median;
use emu_a64_asm::*;
use emu_test_kit::qemu::Qemu;
use emu_test_kit::{Error, Finished, Result, emu, packages, process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);
/// Kernels that are no programs: EL1, devices, tables.
const PRIVILEGED: [&str; 7] = ["pacfib", "svc", "sysreg", "mmio", "tlb", "asid", "fault"];

/// The kernels that run as programs.
pub fn kernels() -> impl Iterator<Item = &'static Kernel> {
    let runs = |k: &&Kernel| k.needs == Needs::Linux || k.runs_on(Guest::Aarch64.model());
    kernels::ALL.iter().filter(|k| !PRIVILEGED.contains(&k.name)).filter(runs)
}

/// A kernel's program.
pub fn program(body: impl FnOnce(&mut Asm, Frame)) -> std::result::Result<Vec<u8>, AsmError> {
    const WRITE: u64 = 64;
    const EXIT_GROUP: u64 = 94;
    let mut a = Asm::new(BASE);
    let f = Frame { end: a.label(), from_el1: a.label(), from_el0: a.label() };
    body(&mut a, f);
    a.bind(f.end);
    a.sub_imm(SP, SP, 64);
    a.add_imm(X9, SP, 0);
    for c in MARK.bytes() {
        a.movz(W10, c.into(), 0);
        a.strb(W10, Addr::Post(X9, 1));
    }
    repeat(&mut a, X11, 16, |a| {
        a.ror(X0, X0, 60);
        a.and_imm(X10, X0, 15);
        a.cmp_imm(X10, 10);
        a.add_imm(X12, X10, 0x57);
        a.add_imm(X10, X10, 0x30);
        a.csel(X10, X10, X12, Cond::Lo);
        a.strb(W10, Addr::Post(X9, 1));
    });
    a.movz(W10, b'\n'.into(), 0);
    a.strb(W10, Addr::Post(X9, 1));
    a.mov_imm(X0, 1);
    a.add_imm(X1, SP, 0);
    a.mov_imm(X2, MARK.len() as u64 + 17);
    a.mov_imm(X8, WRITE);
    a.svc(0);
    a.mov(X0, XZR);
    a.mov_imm(X8, EXIT_GROUP);
    a.svc(0);
    for label in [f.from_el1, f.from_el0] {
        if a.offset_of(label).is_none() {
            a.bind(label);
            a.udf(0);
        }
    }
    Ok(elf(&a.finish()?))
}

/// An ELF file of code at [`BASE`], with memory for [`DATA`] and [`BULK`]; code is written by some kernels.
fn elf(code: &[u8]) -> Vec<u8> {
    const PAGE: usize = 4096;
    const BULK_LEN: u64 = 64 << 20;
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut add = |bytes: &[u8]| out.extend_from_slice(bytes);
    for half in [2u16, 183] {
        add(&half.to_le_bytes());
    }
    add(&1u32.to_le_bytes());
    for word in [BASE, 64, 0] {
        add(&word.to_le_bytes());
    }
    add(&0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        add(&half.to_le_bytes());
    }
    for (offset, address, in_file, in_memory) in [(PAGE as u64, BASE, code.len() as u64, code.len() as u64), (0, DATA, 0, BULK + BULK_LEN - DATA)] {
        // PT_LOAD, all rights.
        add(&1u32.to_le_bytes());
        add(&7u32.to_le_bytes());
        for word in [offset, address, address, in_file, in_memory, PAGE as u64] {
            add(&word.to_le_bytes());
        }
    }
    out.resize(PAGE, 0);
    out.extend_from_slice(code);
    out
}

/// A program of a package at work.
#[derive(Debug)]
pub struct Real {
    /// Its name in tables.
    pub name: &'static str,
    /// What it does.
    pub class: &'static str,
    package: &'static str,
    /// Its file in the package.
    file: &'static str,
    /// `{text}`, `{bytes}`, `{c}` stand for input files.
    arguments: &'static [&'static str],
}

const PYTHON: &str = "
d = {}
for i in range(150000):
    k = (i * 7919) % 10007
    d[k] = d.get(k, 0) + i
s = sorted(d.items(), key=lambda kv: (kv[1] % 1000, kv[0]))
print(len(s), s[0], sum(len(str(v)) for _, v in s))
class P:
    def __init__(self, x): self.x = x
    def step(self): self.x = (self.x * 1103515245 + 12345) & 0x7fffffff; return self.x
p = P(1)
print(sum(p.step() & 15 for _ in range(200000)))
";
const PERL: &str = "my %c; my $s = 1; for (1..300000) { $s = ($s * 1103515245 + 12345) & 0x7fffffff; $c{$s % 1009} .= 'x' if $s & 1; } my $n = 0; \
                    for (sort keys %c) { $n += length $c{$_}; $n++ if /(\\d)\\1/ } print \"$n\\n\";";
const FORKS: &str =
    "for ((i = 0; i < 100; i++)); do (exit 0); x=$(echo $i); done; for ((i = 0; i < 30; i++)); do echo $i | while read a; do :; done; done; echo $x";
const LUA: &str = "local t = {} for i = 1, 200000 do t[i] = (i * 7919) % 100003 end table.sort(t) local s = 0 for i = 1, #t do s = s + t[i] * (i % 7) end \
                   local q = {} for i = 1, 60000 do q[#q + 1] = string.format('%d:%s', i, tostring(i * 2)) end print(s, #table.concat(q))";
const SQL: &str = "create table t(a integer primary key, b integer, c text); with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000) \
                   insert into t select i, (i * 7919) % 1009, 'row ' || i from n; create index x on t(b, c); \
                   select count(*), sum(length(c)), max(c) from t where b between 100 and 600; select b, count(*) from t group by b order by 2 desc, 1 limit 3;";
const BASH: &str = "s=0; for ((i = 0; i < 60000; i++)); do ((s = (s * 31 + i) % 65521)); a[i % 97]=$s; done; t=; for x in ${a[@]}; do t=$t${x#1}; done; echo $s ${#t}";

/// The prime of RFC 3526's group of 2048 bits.
const PRIME: &str = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6D\
                     F25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3D\
                     C2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08\
                     CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
                     15728E5A8AACAA68FFFFFFFFFFFFFFFF";

/// All of them.
#[rustfmt::skip]
pub const REAL: &[Real] = &[
    Real { name: "python", class: "python3: dicts, objects, sort", package: "python3", file: "usr/bin/python3", arguments: &["-S", "-c", PYTHON] },
    Real { name: "perl", class: "perl: hashes, regular expressions", package: "perl-base", file: "usr/bin/perl", arguments: &["-e", PERL] },
    Real { name: "lua", class: "lua: tables, strings", package: "lua5.4", file: "usr/bin/lua5.4", arguments: &["-e", LUA] },
    Real { name: "sqlite", class: "sqlite3: insert, index, select", package: "sqlite3", file: "usr/bin/sqlite3", arguments: &[":memory:", SQL] },
    Real { name: "xz", class: "xz -2", package: "xz-utils", file: "usr/bin/xz", arguments: &["-2", "-c", "-T1", "{text}"] },
    Real { name: "gzip", class: "gzip -6", package: "gzip", file: "bin/gzip", arguments: &["-6", "-n", "-c", "{text}"] },
    Real { name: "sha256", class: "openssl dgst -sha256, 64 MiB", package: "openssl", file: "usr/bin/openssl", arguments: &["dgst", "-r", "-sha256", "{bytes}"] },
    Real { name: "cmac", class: "openssl mac: AES-256-CMAC, 64 MiB", package: "openssl", file: "usr/bin/openssl",
           arguments: &["mac", "-cipher", "AES-256-CBC", "-macopt", "hexkey:000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f", "-in", "{bytes}", "CMAC"] },
    Real { name: "gmac", class: "openssl mac: AES-128-GCM's GMAC, 64 MiB", package: "openssl", file: "usr/bin/openssl",
           arguments: &["mac", "-cipher", "AES-128-GCM", "-macopt", "hexkey:000102030405060708090a0b0c0d0e0f", "-macopt", "hexiv:000102030405060708090a0b", "-in", "{bytes}", "GMAC"] },
    Real { name: "chacha", class: "openssl enc -chacha20, 64 MiB", package: "openssl", file: "usr/bin/openssl",
           arguments: &["enc", "-chacha20", "-nosalt", "-K", "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f", "-iv", "000102030405060708090a0b0c0d0e0f", "-p", "-in", "{bytes}", "-out", "/dev/null"] },
    Real { name: "modexp", class: "openssl prime: RSA's arithmetic, 2048 bits", package: "openssl", file: "usr/bin/openssl", arguments: &["prime", "-hex", PRIME] },
    Real { name: "start", class: "start of a dynamically linked program", package: "coreutils", file: "bin/true", arguments: &["--version"] },
    Real { name: "sortfile", class: "sort", package: "coreutils", file: "usr/bin/sort", arguments: &["-S", "64M", "--parallel=1", "-k", "2,2n", "-k", "1", "{text}"] },
    Real { name: "cc1", class: "gcc's cc1 -O2", package: "cpp-12", file: "usr/lib/gcc/aarch64-linux-gnu/12/cc1", arguments: &["-quiet", "-O2", "{c}", "-o", "-"] },
    Real { name: "bash", class: "bash: arithmetic, arrays", package: "bash", file: "bin/bash", arguments: &["-c", BASH] },
    Real { name: "forks", class: "bash: subshells, substitutions, pipes", package: "bash", file: "bin/bash", arguments: &["-c", FORKS] },
];

/// Input files, made once.
#[derive(Debug)]
struct Inputs {
    text: PathBuf,
    bytes: PathBuf,
    c: PathBuf,
}

fn inputs(folder: &Path) -> Result<Inputs> {
    let mut state = 1u64;
    let mut random = move || {
        state = crate::guest::random(state);
        state >> 33
    };
    let words = ["register", "memory", "branch", "the", "of", "instruction", "store", "vector", "page", "fault", "a", "and"];
    let mut text = String::new();
    while text.len() < 3 << 20 {
        text += &format!("{} {} {}\n", words[random() as usize % words.len()], random() % 100_000, words[random() as usize % words.len()]);
    }
    let mut c = String::new();
    for n in 0..60 {
        c += &format!(
            "unsigned f{n}(unsigned *p, unsigned n) {{ unsigned s = {n}; for (unsigned i = 0; i < n; i++) {{ s = s * {} + (p[i] ^ (s >> {})); \
             switch (s % 5) {{ case 0: p[i] += s; break; case 1: p[i] = s / (i + 3); break; case 2: s += f_{n}(i); break; default: p[n - 1 - i] ^= s; }} }} return s; }}\n",
            random() % 1000 | 1,
            n % 13 + 1
        )
        .replace(&format!("f_{n}(i)"), if n == 0 { "i" } else { "f0(p, i & 3)" });
    }
    let file = |name: &str, contents: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, contents).map(|()| path.clone()).map_err(|e| Error(format!("{} cannot be written: {e}", path.display())))
    };
    let bytes: Vec<u8> = (0..8 << 20).flat_map(|_| random().to_le_bytes()).collect();
    Ok(Inputs { text: file("text", text.as_bytes())?, bytes: file("bytes", &bytes)?, c: file("source.c", c.as_bytes())? })
}

impl Real {
    /// The root and the program in it.
    fn place(&self, guest: Guest) -> Result<(PathBuf, PathBuf)> {
        let (package, file) = match (guest, self.name) {
            (Guest::Riscv64, "cc1") => ("cpp-14-riscv64-linux-gnu", "usr/libexec/gcc/riscv64-linux-gnu/14/cc1"),
            _ => (self.package, self.file),
        };
        // Since trixie packages have nothing in /bin and /lib; base-files has the links.
        let root = match guest {
            Guest::Aarch64 => packages::debian_with_dependencies("bookworm", "arm64", package)?,
            Guest::Riscv64 => packages::debian_together("trixie", "riscv64", &format!("perf-{package}"), &["base-files", package])?,
        };
        match [root.join(file), root.join("usr").join(file)].into_iter().find(|p| p.exists()) {
            Some(program) => Ok((root, program)),
            None => Err(Error(format!("package {package} for {} has no {file}", guest.target()))),
        }
    }

    /// The same program of the same release for the host: a command that runs it by its own loader and libraries. The compiler is the one that
    /// makes the guest's code.
    fn native(&self, guest: Guest) -> Result<Command> {
        let (suite, package, file) = match (guest, self.name) {
            (Guest::Aarch64, "cc1") => ("bookworm", "cpp-12-aarch64-linux-gnu", "usr/lib/gcc-cross/aarch64-linux-gnu/12/cc1"),
            (Guest::Riscv64, "cc1") => ("trixie", "cpp-14-riscv64-linux-gnu", "usr/libexec/gcc-cross/riscv64-linux-gnu/14/cc1"),
            (Guest::Aarch64, _) => ("bookworm", self.package, self.file),
            (Guest::Riscv64, _) => ("trixie", self.package, self.file),
        };
        let root = packages::debian_together(suite, "amd64", &format!("perf-{package}"), &["base-files", package])?;
        let found = |file: &str| [root.join(file), root.join("usr").join(file)].into_iter().find(|p| p.exists());
        let (Some(program), Some(loader)) = (found(file), found("lib64/ld-linux-x86-64.so.2")) else {
            return Err(Error(format!("package {package} for the host has no {file}, or no loader came with it")));
        };
        let mut command = Command::new(loader);
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|l| root.join(l).display().to_string()).join(":");
        command.arg("--library-path").arg(libraries).arg(program).env("PYTHONHOME", root.join("usr"));
        Ok(command)
    }
}

/// Has so many threads of the host's own code do that kernel.
pub fn native_threads(files: &Programs, kernel: &ForTwo, scale: f64, threads: usize) -> Result<()> {
    threads_at(Command::new(&files.native), kernel.name, kernel.native * scale, threads)
}

fn threads_at(mut command: Command, kernel: &str, repeats: f64, threads: usize) -> Result<()> {
    let done = process::run(command.args([kernel, &(repeats as u64).max(1).to_string(), &threads.to_string()]), LIMIT)?;
    if done.code == Some(0) { Ok(()) } else { Err(Error(format!("{kernel}, {threads} threads: {:?} {}", done.code, done.errors()))) }
}

/// Running programs under both.
pub struct UserBench {
    qemu: Qemu,
    guest: Guest,
    folder: PathBuf,
    inputs: Inputs,
}

impl UserBench {
    /// With that QEMU for the guest's programs; `folder` is for programs and inputs, made if it is not there.
    pub fn new(guest: Guest, qemu: Qemu, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error(format!("{} cannot be made: {e}", folder.display())))?;
        Ok(Self { guest, qemu, folder: folder.to_path_buf(), inputs: inputs(folder)? })
    }

    fn command(&self, which: Emulator) -> Result<Command> {
        let mut command = match which {
            Emulator::Emu => Command::new(emu::binary()?),
            Emulator::Qemu => self.qemu.command(),
        };
        // What is measured is made, but for programs that say otherwise.
        command.env("EMU_TRANSLATIONS", "off");
        command.args(["-cpu", self.guest.model()]).env("LC_ALL", "C").env("PYTHONHASHSEED", "0").stdin(std::process::Stdio::null());
        Ok(command)
    }

    /// Runs under both in turn; `output` makes a checksum of what was printed, or says that it is none.
    fn pairs(
        &self,
        row: &mut Row,
        rounds: usize,
        empty: [f64; 2],
        make: impl Fn(&mut Command),
        output: impl Fn(&Finished) -> Option<String>,
    ) -> Result<()> {
        for _ in 0..rounds {
            for which in [Emulator::Qemu, Emulator::Emu] {
                let mut command = self.command(which)?;
                make(&mut command);
                let done = process::run(&mut command, LIMIT)?;
                let sum = output(&done).filter(|_| done.code == Some(0));
                let Some(sum) = sum else {
                    return Err(Error(format!(
                        "{}: {which:?} ended with {:?}: {}{}",
                        row.name,
                        done.code,
                        done.errors(),
                        done.text().chars().take(500).collect::<String>()
                    )));
                };
                if row.checksum.is_empty() {
                    row.checksum = sum;
                } else if row.checksum != sum {
                    return Err(Error(format!("{}: {which:?} prints {sum}, not {}", row.name, row.checksum)));
                }
                let net = (done.cpu.as_secs_f64() - empty[which as usize]).max(1e-6);
                if which == Emulator::Qemu { row.qemu_s.push(net) } else { row.emu_s.push(net) }
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, file: &[u8]) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.join(format!("{name}-{}", std::process::id()));
        let written = std::fs::write(&path, file).and_then(|()| std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)));
        written.map(|()| path.clone()).map_err(|e| Error(format!("{} cannot be written: {e}", path.display())))
    }

    fn row(&self, name: &str, class: &str, checksum: String) -> Row {
        let cpu = self.guest.column().into();
        Row { name: name.into(), class: class.into(), cpu, qemu_s: Vec::new(), emu_s: Vec::new(), native_s: Vec::new(), checksum }
    }

    fn printed(done: &Finished) -> Option<String> {
        done.text().split_once(MARK).and_then(|(_, rest)| rest.lines().next()).map(str::to_owned)
    }

    /// CPU seconds of a program that ends at once.
    pub fn empty(&self, rounds: usize) -> Result<[f64; 2]> {
        let file = program(|a, _| a.mov(X0, XZR)).map_err(|e| Error(e.to_string()))?;
        let path = self.write("empty", &file)?;
        let mut row = self.row("empty", "", String::new());
        self.pairs(
            &mut row,
            rounds,
            [0.0; 2],
            |c| {
                c.arg(&path);
            },
            Self::printed,
        )?;
        let _ = std::fs::remove_file(path);
        Ok([median(&row.qemu_s), median(&row.emu_s)])
    }

    /// Measures a kernel.
    pub fn kernel(&self, kernel: &Kernel, scale: f64, rounds: usize, empty: [f64; 2]) -> Result<Row> {
        let repeats = kernel.repeats_at(scale);
        let file = program(|a, f| (kernel.build)(a, f, repeats)).map_err(|e| Error(format!("{}: {e}", kernel.name)))?;
        let path = self.write(kernel.name, &file)?;
        let mut row = self.row(kernel.name, kernel.class, kernel.model.map_or_else(String::new, |m| format!("{:016x}", m(repeats))));
        self.pairs(
            &mut row,
            rounds,
            empty,
            |c| {
                c.arg(&path);
            },
            Self::printed,
        )?;
        row.native_s.extend((0..rounds).filter_map(|_| natives::seconds(kernel, repeats)));
        let _ = std::fs::remove_file(path);
        Ok(row)
    }

    /// Measures a kernel in C, beside the same made for the host.
    pub fn program(&self, files: &Programs, program: &Program, scale: f64, rounds: usize) -> Result<Row> {
        let mut row = self.row(program.name, program.class, String::new());
        let arguments = program.arguments(scale);
        for _ in 0..rounds {
            self.pairs(
                &mut row,
                1,
                [0.0; 2],
                |c| {
                    c.arg(&files.guest).args(&arguments);
                },
                Self::printed,
            )?;
            row.native_s.push(files.native(program, scale, &row.checksum)?);
        }
        Ok(row)
    }

    /// [`Scaling`] of threads.
    pub fn scaling(&self, files: &Programs, scale: f64, rounds: usize) -> Result<Vec<Scaling>> {
        let row = |two: &ForTwo| {
            let run = |which, threads| {
                let mut command = self.command(which)?;
                command.arg(&files.guest);
                threads_at(command, two.name, two.program * scale, threads)
            };
            Scaling::of(two, self.guest.column(), rounds, &run, &|n| native_threads(files, two, scale, n))
        };
        FOR_TWO.iter().map(row).collect()
    }

    /// Measures a program of a package: the whole process, translation of its code with it; and beside it the host's own such program, which
    /// must write the same. Two rows: as it is when it was run before, with code that is kept by default, and as it is with nothing kept.
    pub fn real(&self, real: &Real, rounds: usize) -> Result<[Row; 2]> {
        let (root, program) = real.place(self.guest)?;
        let mut row = self.row(real.name, real.class, String::new());
        let arguments = |c: &mut Command| {
            for word in real.arguments {
                match *word {
                    "{text}" => c.arg(&self.inputs.text),
                    "{bytes}" => c.arg(&self.inputs.bytes),
                    "{c}" => c.arg(&self.inputs.c),
                    word => c.arg(word),
                };
            }
        };
        let make = |c: &mut Command| {
            c.arg("-L").arg(&root).arg(&program);
            arguments(c);
        };
        let output = |done: &Finished| {
            // A compiler writes the version of its package.
            let lines = done.stdout.split(|b| *b == b'\n').filter(|l| !l.starts_with(b"\t.ident"));
            let sum = lines.flatten().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
            (!done.stdout.is_empty()).then(|| format!("{sum:016x}"))
        };
        let mut first = Row { cpu: format!("{} first", row.cpu), ..row.clone() };
        for _ in 0..rounds {
            let kept = emu::Translations::new("bench")?;
            let again = |c: &mut Command| {
                c.env("EMU_TRANSLATIONS", kept.path());
                make(c);
            };
            self.pairs(&mut first, 1, [0.0; 2], again, output)?;
            // What runs once is not made until it runs in a second process.
            let mut second = row.clone();
            self.pairs(&mut second, 1, [0.0; 2], again, output)?;
            self.pairs(&mut row, 1, [0.0; 2], again, output)?;
        }
        let mut command = real.native(self.guest)?;
        arguments(command.env("LC_ALL", "C").env("PYTHONHASHSEED", "0").stdin(std::process::Stdio::null()));
        for _ in 0..rounds {
            let done = process::run(&mut command, LIMIT)?;
            match output(&done).filter(|_| done.code == Some(0)) {
                Some(sum) if sum == row.checksum => row.native_s.push(done.cpu.as_secs_f64()),
                _ => return Err(Error(format!("{}: the host's own writes something else: {:?} {}", row.name, done.code, done.errors()))),
            }
        }
        first.native_s.clone_from(&row.native_s);
        Ok([row, first])
    }
}
