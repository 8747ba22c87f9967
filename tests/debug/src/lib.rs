//! What the debugger tests share: Debian's gdb-multiarch, an emu that waits for it at a socket, and a guest with known places.

pub mod guest;

use emu_test_kit::{Console, emu, packages};
use emu_test_robustness::Scratch;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long anything here may take.
pub const LIMIT: Duration = Duration::from_secs(90);

/// gdb from Debian's package, run by the dynamic loader of its own root; add arguments.
///
/// # Panics
/// When the package cannot be had.
pub fn gdb() -> Command {
    let root = packages::debian_with_dependencies("bookworm", "amd64", "gdb-multiarch").unwrap_or_else(|e| panic!("{e}"));
    let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|d| root.join(d));
    let loader = libraries.iter().map(|d| d.join("ld-linux-x86-64.so.2")).find(|l| l.exists()).expect("the root has a dynamic loader");
    let mut command = Command::new(loader);
    command.arg("--library-path").arg(libraries.map(|d| d.display().to_string()).join(":")).arg(root.join("usr/bin/gdb-multiarch"));
    command.arg("--data-directory").arg(root.join("usr/share/gdb")).args(["-nx", "-q"]);
    // It embeds Python, whose library is in the root too; what a user's settings name is not.
    command.env("PYTHONHOME", root.join("usr")).env("PYTHONDONTWRITEBYTECODE", "1").env("HOME", &root).env_remove("DEBUGINFOD_URLS");
    command.args(["-iex", "set debuginfod enabled off", "-iex", "set history save off"]);
    command
}

/// Starts an emu that waits for a debugger; it listens when this returns.
///
/// # Panics
/// When it does not come to that.
pub fn listening(command: &mut Command) -> Console {
    let console = Console::start(command).unwrap_or_else(|e| panic!("{e}"));
    let started = Instant::now();
    while !console.errors().contains("waiting for a debugger") {
        assert!(started.elapsed() < LIMIT, "emu does not listen: {}", console.errors());
        std::thread::sleep(Duration::from_millis(5));
    }
    console
}

/// An emu with a debugger's socket.
pub struct Debuggee {
    /// Its console.
    pub console: Console,
    socket: PathBuf,
    scratch: Scratch,
}

impl Debuggee {
    /// Starts emu with these arguments and a guest's image; it listens when this returns.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn start(name: &str, image: &[u8], more: &[&str]) -> Debuggee {
        let scratch = Scratch::new(&format!("debug-{name}"));
        let kernel = scratch.file("guest.img", image);
        let socket = scratch.path("gdb");
        let mut command = emu::command().unwrap_or_else(|e| panic!("{e}"));
        command.args(["-M", "virt", "-m", "64", "-serial", "stdio", "--timeout", "120s", "-kernel", &kernel, "-gdb"]);
        command.arg(format!("unix:{}", socket.display())).args(more);
        let console = listening(&mut command);
        Debuggee { console, socket, scratch }
    }
    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
    /// A file of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }
    /// The commands that connect gdb.
    pub fn connect(&self) -> Vec<String> {
        let remote = format!("target remote {}", self.socket.display());
        ["set pagination off", "set confirm off", "set architecture aarch64", "set remotetimeout 60", &remote].map(str::to_owned).into()
    }
    /// Runs gdb with these commands after it has connected; what it printed on both streams.
    ///
    /// # Panics
    /// When it does not end.
    pub fn debug(&self, commands: &[&str]) -> String {
        let mut command = gdb();
        command.arg("-batch");
        for c in self.connect().iter().map(String::as_str).chain(commands.iter().copied()) {
            command.args(["-ex", c]);
        }
        let done = emu_test_kit::process::run(&mut command, LIMIT).unwrap_or_else(|e| panic!("{e}"));
        let text = format!("{}\n{}", done.text(), done.errors());
        println!("{text}");
        assert!(!done.timed_out, "gdb does not come to an end:\n{text}\nemu: {}", self.console.errors());
        text
    }
}

/// The lines `NAME=VALUE` with that name, in order.
pub fn values(output: &str, name: &str) -> Vec<String> {
    output.lines().filter_map(|l| l.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)).collect()
}

/// A gdb command that prints `NAME=VALUE` in hex.
pub fn show(name: &str, expression: &str) -> String {
    format!("printf \"{name}=0x%lx\\n\", (unsigned long)({expression})")
}
