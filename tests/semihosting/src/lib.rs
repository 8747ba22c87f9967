//! Bare-metal guests that make semihosting calls, and runs of them by emu and by QEMU.
//!
//! A guest is an ELF program of straight code: each call fills a parameter block, executes HLT #0xF000 and, where the test wants it, prints
//! the result as `name=<16 digits>`. x19 and up belong to the guest's frame, the data buffer lies at [`BUFFER`].

use emu_a64_asm::elf::{Segment, executable};
use emu_a64_asm::*;
use emu_test_kit::process::{self, Finished};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where the program is loaded.
pub const BASE: u64 = 0x4010_0000;
/// Parameter block.
pub const BLOCK: u64 = 0x4020_0000;
/// Data of the calls.
pub const BUFFER: u64 = 0x4021_0000;
/// Where handles are kept, 8 bytes each.
pub const HANDLES: u64 = 0x4020_1000;

/// The numbers of the operations, apart from the implementation's.
pub mod op {
    macro_rules! operations {
        ($($name:ident $number:literal;)*) => {$(
            #[doc = concat!("SYS_", stringify!($name), ".")]
            pub const $name: u32 = $number;
        )*};
    }
    operations! {
        OPEN 0x01;
        CLOSE 0x02;
        WRITEC 0x03;
        WRITE0 0x04;
        WRITE 0x05;
        READ 0x06;
        READC 0x07;
        ISERROR 0x08;
        ISTTY 0x09;
        SEEK 0x0a;
        FLEN 0x0c;
        TMPNAM 0x0d;
        REMOVE 0x0e;
        RENAME 0x0f;
        CLOCK 0x10;
        TIME 0x11;
        SYSTEM 0x12;
        ERRNO 0x13;
        GET_CMDLINE 0x15;
        HEAPINFO 0x16;
        EXIT 0x18;
        EXIT_EXTENDED 0x20;
        ELAPSED 0x30;
        TICKFREQ 0x31;
    }
}

/// ADP_Stopped_ApplicationExit.
pub const APPLICATION_EXIT: u64 = 0x2_0026;
/// The trap.
pub const HLT: u16 = 0xf000;

/// A word of a parameter block.
#[derive(Clone, Copy, Debug)]
pub enum Word<'a> {
    /// A number.
    Is(u64),
    /// The address of this text.
    Text(&'a str),
    /// The length of this text.
    Len(&'a str),
    /// What `keep` put there.
    Handle(u64),
}
pub use Word::{Handle, Is, Len, Text};

/// A guest in the making.
pub struct Program {
    /// The assembler, for what has no method here.
    pub a: Asm,
    texts: Vec<(Label, Vec<u8>)>,
    hex: Label,
    /// An exception vector table: every exception ends the run with code 99.
    vectors: Label,
}

impl Program {
    /// A program that begins at EL1 as the machine starts it.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Program {
        let mut a = Asm::new(BASE);
        let (hex, vectors) = (a.label(), a.label());
        let mut p = Program { a, texts: Vec::new(), hex, vectors };
        p.a.load_address(X0, vectors);
        p.a.msr(SysReg::VBAR_EL1, X0);
        p.a.isb();
        p
    }

    /// The address of a text into a register.
    pub fn text(&mut self, rd: Reg, text: &str) {
        let label = self.a.label();
        self.texts.push((label, [text.as_bytes(), b"\0"].concat()));
        self.a.load_address(rd, label);
    }

    /// A call whose argument is in x1.
    pub fn trap(&mut self, operation: u32) {
        self.a.movz(W0, operation as u16, 0);
        self.a.hlt(HLT);
    }

    /// A call with a number as its argument.
    pub fn call_with(&mut self, operation: u32, argument: u64) {
        self.a.mov_imm(X1, argument);
        self.trap(operation);
    }

    /// A call with a parameter block.
    pub fn call(&mut self, operation: u32, words: &[Word<'_>]) {
        self.a.mov_imm(X19, BLOCK);
        for (n, word) in words.iter().enumerate() {
            match *word {
                Is(v) => self.a.mov_imm(X2, v),
                Text(t) => self.text(X2, t),
                Len(t) => self.a.mov_imm(X2, t.len() as u64),
                Handle(h) => {
                    self.a.mov_imm(X2, HANDLES + h * 8);
                    self.a.ldr(X2, Addr::Off(X2, 0));
                }
            }
            self.a.str(X2, Addr::Off(X19, n as i32 * 8));
        }
        self.a.mov(X1, X19);
        self.trap(operation);
    }

    /// Keeps the result as a handle.
    pub fn keep(&mut self, handle: u64) {
        self.a.mov_imm(X2, HANDLES + handle * 8);
        self.a.str(X0, Addr::Off(X2, 0));
    }

    /// Prints a text by SYS_WRITE0.
    pub fn say(&mut self, text: &str) {
        self.text(X1, text);
        self.trap(op::WRITE0);
    }

    /// Prints x0 by a name; x20 keeps it.
    pub fn report(&mut self, name: &str) {
        self.a.mov(X20, X0);
        self.say(&format!("{name}="));
        let hex = self.hex;
        self.a.bl(hex);
    }

    /// A call, its result printed.
    pub fn show(&mut self, name: &str, operation: u32, words: &[Word<'_>]) {
        self.call(operation, words);
        self.report(name);
    }

    /// Prints the 8 bytes at an address.
    pub fn show_memory(&mut self, name: &str, address: u64) {
        self.a.mov_imm(X0, address);
        self.a.ldr(X0, Addr::Off(X0, 0));
        self.report(name);
    }

    /// Opens a file, prints the handle and keeps it.
    pub fn open(&mut self, handle: u64, name: &str, mode: u64) {
        self.call(op::OPEN, &[Text(name), Is(mode), Len(name)]);
        self.keep(handle);
        self.report("open");
    }

    /// Ends the run.
    pub fn exit(&mut self, code: u64) {
        self.call(op::EXIT, &[Is(APPLICATION_EXIT), Is(code)]);
    }

    /// The finished ELF file. Behind the end of the program it ends with code 98.
    ///
    /// # Panics
    /// When it does not assemble, which is the test's mistake.
    pub fn finish(mut self) -> Vec<u8> {
        self.exit(98);
        let forever = self.a.here();
        self.a.wfi();
        self.a.b(forever);
        // x20 in hexadecimal and a line feed; x30 is the way back.
        let hex = self.hex;
        self.a.bind(hex);
        self.a.mov_imm(X21, BLOCK + 0x800);
        self.a.movz(X22, 60, 0);
        let again = self.a.here();
        self.a.lsrv(X23, X20, X22);
        self.a.and_imm(X23, X23, 15);
        self.a.cmp_imm(X23, 10);
        self.a.add_imm(X24, X23, u32::from(b'0'));
        self.a.add_imm(X25, X23, u32::from(b'a') - 10);
        self.a.csel(X23, X24, X25, Cond::Lo);
        self.a.strb(X23, Addr::Post(X21, 1));
        self.a.subs_imm(X22, X22, 4);
        self.a.b_cond(Cond::Pl, again);
        self.a.movz(X23, 10, 0);
        self.a.strh(X23, Addr::Off(X21, 0));
        self.a.mov_imm(X1, BLOCK + 0x800);
        self.trap(op::WRITE0);
        self.a.ret();
        self.a.align(0x800);
        let vectors = self.vectors;
        self.a.bind(vectors);
        for _ in 0..16 {
            self.exit(99);
            self.a.align(0x80);
        }
        // What is said last lies first: a call that reads over a text of its own harms only what was said before.
        for (label, bytes) in std::mem::take(&mut self.texts).into_iter().rev() {
            self.a.bind(label);
            self.a.data(&bytes);
        }
        let bytes = self.a.finish().unwrap_or_else(|e| panic!("the guest does not assemble: {e}"));
        let mem_size = bytes.len() as u64;
        executable(BASE, &[Segment { address: BASE, bytes, mem_size, flags: 7 }])
    }
}

/// A folder that goes away again.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty one.
    pub fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("emu-test-semihosting-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("the folder can be made");
        Scratch(dir)
    }
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.0
    }
    /// Writes a file in it; its path.
    pub fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, contents).expect("the file can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `emu -M virt` on a guest, in a folder, with these options.
pub fn emu(scratch: &Scratch, guest: &[u8], options: &[&str]) -> Command {
    let mut command = emu_test_kit::emu::command().unwrap_or_else(|e| panic!("{e}"));
    command.env_remove("EMU_LOG").env_remove("RUST_LOG");
    command.args(["-M", "virt", "-m", "64", "--timeout", "60s", "-kernel"]);
    command.arg(scratch.file("guest.elf", guest)).args(options).current_dir(scratch.dir());
    if !options.contains(&"-serial") {
        command.args(["-serial", "null"]);
    }
    command
}

/// QEMU on the same.
pub fn qemu(scratch: &Scratch, guest: &[u8], options: &[&str]) -> Command {
    let qemu = emu_test_kit::qemu::system_aarch64().unwrap_or_else(|e| panic!("{e}"));
    let mut command = qemu.command();
    command.args([
        "-M",
        "virt",
        "-cpu",
        "cortex-a72",
        "-m",
        "64",
        "-display",
        "none",
        "-serial",
        "null",
        "-monitor",
        "none",
        "-nic",
        "none",
        "-kernel",
    ]);
    command.arg(scratch.file("guest.elf", guest)).args(options).current_dir(scratch.dir());
    command
}

/// Runs a command to its end with no input.
pub fn run(command: &mut Command) -> Finished {
    process::run(command, Duration::from_secs(120)).unwrap_or_else(|e| panic!("{e}"))
}
