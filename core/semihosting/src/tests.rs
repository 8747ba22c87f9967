//! Every operation against a guest that is a vector, and parameters that no honest guest would give.

use super::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Where the guest's memory begins.
const RAM: u64 = 0x4000_0000;
const SIZE: usize = 1 << 17;
/// Where the tests put the parameter block, and the strings behind it.
const BLOCK: u64 = RAM + 0x100;
const NAME: u64 = RAM + 0x200;
const BUFFER: u64 = RAM + 0x1000;

#[derive(Default)]
struct Screen {
    written: Mutex<Vec<(Channel, Vec<u8>)>>,
    input: Mutex<VecDeque<u8>>,
}

impl Console for Arc<Screen> {
    fn write(&self, channel: Channel, data: &[u8]) {
        self.written.lock().unwrap().push((channel, data.to_vec()));
    }
    fn read(&self, data: &mut [u8], _: &dyn Fn() -> bool) -> Option<usize> {
        let mut input = self.input.lock().unwrap();
        let n = data.len().min(input.len());
        data[..n].iter_mut().for_each(|d| *d = input.pop_front().unwrap());
        Some(n)
    }
}

struct Ram {
    bytes: Vec<u8>,
    code: Option<u32>,
    waiting: i32,
}

impl Ram {
    fn range(&self, address: u64, len: usize) -> Option<std::ops::Range<usize>> {
        let from = usize::try_from(address.checked_sub(RAM)?).ok()?;
        let range = from..from.checked_add(len)?;
        (range.end <= self.bytes.len()).then_some(range)
    }
}

impl Guest for Ram {
    fn read(&mut self, address: u64, data: &mut [u8]) -> bool {
        self.range(address, data.len()).map(|r| data.copy_from_slice(&self.bytes[r])).is_some()
    }
    fn write(&mut self, address: u64, data: &[u8]) -> bool {
        self.range(address, data.len()).map(|r| self.bytes[r].copy_from_slice(data)).is_some()
    }
    fn clock_ns(&self) -> u64 {
        12_345_678_901
    }
    fn wall_s(&self) -> u64 {
        1_700_000_000
    }
    fn heap(&self) -> Option<(u64, u64)> {
        Some((RAM + 0x8000, RAM + 0x10000))
    }
    fn exit(&mut self, code: u32) {
        self.code = Some(code);
    }
    fn is_ending(&self) -> bool {
        false
    }
    fn waits(&mut self, waiting: bool) {
        self.waiting += if waiting { 1 } else { -1 };
    }
}

struct Bench {
    host: Semihosting,
    screen: Arc<Screen>,
    ram: Ram,
    word_bytes: u32,
    big_endian: bool,
}

impl Bench {
    fn new() -> Bench {
        let screen = Arc::new(Screen::default());
        let config = Config { arguments: vec!["prog".into(), "-x".into()], ..Config::default() };
        let ram = Ram { bytes: vec![0; SIZE], code: None, waiting: 0 };
        Bench { host: Semihosting::new(config, Box::new(screen.clone())), screen, ram, word_bytes: 8, big_endian: false }
    }
    /// A call with its argument in the register.
    fn call(&mut self, operation: u32, argument: u64) -> u64 {
        let call = Call { operation, argument, word_bytes: self.word_bytes, big_endian: self.big_endian };
        let answer = self.host.call(&mut self.ram, &call);
        assert_eq!(self.ram.waiting, 0, "what waits also goes on");
        answer
    }
    /// A call with a block of words.
    fn block(&mut self, operation: u32, words: &[u64]) -> u64 {
        for (n, w) in words.iter().enumerate() {
            let at = BLOCK + n as u64 * u64::from(self.word_bytes);
            match (self.word_bytes, self.big_endian) {
                (4, false) => self.put(at, &(*w as u32).to_le_bytes()),
                (4, true) => self.put(at, &(*w as u32).to_be_bytes()),
                (_, false) => self.put(at, &w.to_le_bytes()),
                (_, true) => self.put(at, &w.to_be_bytes()),
            }
        }
        self.call(operation, BLOCK)
    }
    fn put(&mut self, at: u64, data: &[u8]) {
        assert!(self.ram.write(at, data), "the test's own memory");
    }
    fn get<const N: usize>(&mut self, at: u64) -> [u8; N] {
        let mut out = [0; N];
        assert!(self.ram.read(at, &mut out), "the test's own memory");
        out
    }
    fn word_at(&mut self, at: u64) -> u64 {
        u64::from_le_bytes(self.get(at))
    }
    fn errno(&mut self) -> i32 {
        self.call(op::ERRNO, 0) as i32
    }
    fn open(&mut self, name: &str, mode: u64) -> u64 {
        self.put(NAME, name.as_bytes());
        self.block(op::OPEN, &[NAME, mode, name.len() as u64])
    }
    fn written(&self) -> Vec<(Channel, Vec<u8>)> {
        std::mem::take(&mut *self.screen.written.lock().unwrap())
    }
}

/// A folder that goes away again.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let dir = std::env::temp_dir().join(format!("emu-semihosting-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Folder(dir)
    }
    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_console() {
    let mut b = Bench::new();
    b.put(BUFFER, b"hello\0world");
    b.call(op::WRITE0, BUFFER);
    b.call(op::WRITEC, BUFFER + 1);
    assert_eq!(b.written(), [(Channel::Debug, b"hello".to_vec()), (Channel::Debug, b"e".to_vec())]);
    let (input, output, error) = (b.open(":tt", 0), b.open(":tt", 4), b.open(":tt", 8));
    assert_eq!([input, output, error], [1, 2, 3], "0 is no handle");
    assert_eq!(b.block(op::WRITE, &[output, BUFFER, 3]), 0);
    assert_eq!(b.block(op::WRITE, &[error, BUFFER + 6, 5]), 0);
    assert_eq!(b.written(), [(Channel::Output, b"hel".to_vec()), (Channel::Error, b"world".to_vec())]);
    b.screen.input.lock().unwrap().extend(b"typed");
    assert_eq!(b.block(op::READ, &[input, BUFFER, 3]), 0);
    assert_eq!(b.get(BUFFER), *b"typlo");
    assert_eq!(b.call(op::READC, 0), u64::from(b'e'));
    assert_eq!(b.block(op::READ, &[input, BUFFER, 100]), 99, "what there is");
    assert_eq!(b.block(op::READ, &[input, BUFFER, 100]), 100, "the end of input");
    assert_eq!(b.call(op::READC, 0), FAILED);
    assert_eq!([input, output].map(|h| b.block(op::ISTTY, &[h])), [1, 1]);
    assert_eq!(b.block(op::READ, &[output, BUFFER, 4]), 4);
    assert_eq!(b.errno(), libc::EBADF);
    assert_eq!(b.block(op::WRITE, &[input, BUFFER, 4]), 4);
    assert_eq!(b.block(op::SEEK, &[output, 0]), FAILED);
    assert_eq!(b.errno(), libc::ESPIPE);
}

#[test]
fn files() {
    let folder = Folder::new("files");
    let (one, two) = (folder.file("one"), folder.file("two"));
    let mut b = Bench::new();
    assert_eq!(b.open(&one, 0), FAILED);
    assert_eq!(b.errno(), libc::ENOENT);
    let h = b.open(&one, 6);
    b.put(BUFFER, b"0123456789");
    assert_eq!(b.block(op::WRITE, &[h, BUFFER, 10]), 0);
    assert_eq!(b.block(op::FLEN, &[h]), 10);
    assert_eq!(b.block(op::ISTTY, &[h]), 0);
    assert_eq!(b.block(op::SEEK, &[h, 4]), 0);
    assert_eq!(b.block(op::READ, &[h, BUFFER, 100]), 94);
    assert_eq!(b.get(BUFFER), *b"456789");
    assert_eq!(b.block(op::READ, &[h, BUFFER, 100]), 100, "the end of the file");
    assert_eq!(b.block(op::CLOSE, &[h]), 0);
    assert_eq!(b.block(op::CLOSE, &[h]), FAILED);
    assert_eq!(b.errno(), libc::EBADF);
    let h = b.open(&one, 8);
    assert_eq!(b.block(op::WRITE, &[h, BUFFER, 2]), 0);
    assert_eq!(b.block(op::READ, &[h, BUFFER, 2]), 2, "not opened for reading");
    b.block(op::CLOSE, &[h]);
    assert_eq!(std::fs::read(&one).unwrap(), b"012345678945");
    // r+ keeps, w truncates.
    let h = b.open(&one, 2);
    assert_eq!(b.block(op::WRITE, &[h, BUFFER, 1]), 0);
    b.block(op::CLOSE, &[h]);
    assert_eq!(std::fs::read(&one).unwrap(), b"412345678945");
    b.put(NAME, one.as_bytes());
    b.put(NAME + 0x400, two.as_bytes());
    assert_eq!(b.block(op::RENAME, &[NAME, one.len() as u64, NAME + 0x400, two.len() as u64]), 0);
    assert!(!std::path::Path::new(&one).exists());
    let h = b.open(&two, 5);
    assert_eq!(std::fs::read(&two).unwrap(), b"");
    b.block(op::CLOSE, &[h]);
    b.put(NAME, two.as_bytes());
    assert_eq!(b.block(op::REMOVE, &[NAME, two.len() as u64]), 0);
    assert_eq!(b.block(op::REMOVE, &[NAME, two.len() as u64]), FAILED);
    assert_eq!(b.errno(), libc::ENOENT);
    // More than one piece.
    let big: Vec<u8> = (0..PIECE + 1000).map(|n| (n * 7 % 251) as u8).collect();
    std::fs::write(&one, &big).unwrap();
    let h = b.open(&one, 0);
    assert_eq!(b.block(op::READ, &[h, BUFFER, big.len() as u64]), 0);
    let at = (BUFFER - RAM) as usize;
    assert_eq!(b.ram.bytes[at..at + big.len()], big);
    // What does not fit the guest's memory is not lost.
    assert_eq!(b.block(op::SEEK, &[h, 0]), 0);
    assert_eq!(b.block(op::READ, &[h, RAM + SIZE as u64 - 10, 20]), 20);
    assert_eq!(b.errno(), libc::EFAULT);
    assert_eq!(b.block(op::READ, &[h, BUFFER, 4]), 0);
    assert_eq!(b.get::<4>(BUFFER), big[..4]);
}

#[test]
fn a_folder_a_pipe_without_writer_and_a_name_for_later() {
    let folder = Folder::new("odd");
    let mut b = Bench::new();
    assert_eq!(b.open(folder.0.to_str().unwrap(), 0), FAILED);
    assert_eq!(b.errno(), libc::EISDIR);
    let pipe = folder.file("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let h = b.open(&pipe, 0);
    assert_eq!(b.block(op::READ, &[h, BUFFER, 4]), 4, "nobody writes: the end");
    assert_eq!(b.open(&pipe, 4), h + 1, "somebody reads: it opens");
    assert_eq!(b.block(op::CLOSE, &[h]), 0);
    assert_eq!(b.open(&pipe, 4), FAILED, "nobody reads");
    assert_eq!(b.errno(), libc::ENXIO);
    assert_eq!(b.block(op::TMPNAM, &[BUFFER, 7, 100]), 0);
    let first: [u8; 64] = b.get(BUFFER);
    assert_eq!(b.block(op::TMPNAM, &[BUFFER, 8, 100]), 0);
    assert_ne!(b.get::<64>(BUFFER), first);
    assert!(first.contains(&0));
    assert_eq!(b.block(op::TMPNAM, &[BUFFER, 7, 3]), FAILED);
    assert_eq!(b.block(op::TMPNAM, &[BUFFER, 256, 100]), FAILED);
}

#[test]
fn the_feature_file() {
    let mut b = Bench::new();
    assert_eq!(b.open(":semihosting-features", 4), FAILED);
    assert_eq!(b.errno(), libc::EACCES);
    let h = b.open(":semihosting-features", 0);
    assert_eq!(b.block(op::FLEN, &[h]), 5);
    assert_eq!(b.block(op::READ, &[h, BUFFER, 5]), 0);
    assert_eq!(b.get(BUFFER), *b"SHFB\x03");
    assert_eq!(b.block(op::SEEK, &[h, 4]), 0);
    assert_eq!(b.block(op::READ, &[h, BUFFER, 5]), 4);
    assert_eq!(b.get(BUFFER), [3]);
    assert_eq!(b.block(op::SEEK, &[h, 1 << 40]), 0);
    assert_eq!(b.block(op::READ, &[h, BUFFER, 5]), 5);
}

#[test]
fn time_memory_and_the_command_line() {
    let mut b = Bench::new();
    assert_eq!(b.call(op::CLOCK, 0), 1234, "hundredths of a second");
    assert_eq!(b.call(op::TIME, 0), 1_700_000_000);
    assert_eq!(b.call(op::TICKFREQ, 0), 1_000_000_000);
    assert_eq!(b.call(op::ELAPSED, BUFFER), 0);
    assert_eq!(b.word_at(BUFFER), 12_345_678_901);
    assert_eq!(b.block(op::HEAPINFO, &[BUFFER]), 0);
    let (low, high) = (RAM + 0x8000, RAM + 0x10000);
    assert_eq!([0, 8, 16, 24].map(|o| b.word_at(BUFFER + o)), [low, high, high, low]);
    assert_eq!(b.block(op::GET_CMDLINE, &[BUFFER, 8]), 0);
    assert_eq!(b.get(BUFFER), *b"prog -x\0");
    assert_eq!(b.word_at(BLOCK + 8), 7);
    assert_eq!(b.block(op::GET_CMDLINE, &[BUFFER, 7]), FAILED);
    assert_eq!(b.errno(), libc::E2BIG);
    for (status, want) in [(0, 0), (1, 0), (u64::MAX, 1), (1 << 63, 1), (0xffff_ffff, 0)] {
        assert_eq!(b.block(op::ISERROR, &[status]), want, "{status:#x}");
    }
}

#[test]
fn commands() {
    let mut b = Bench::new();
    for (command, want) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("cat; read x", 1)] {
        b.put(NAME, command.as_bytes());
        assert_eq!(b.block(op::SYSTEM, &[NAME, command.len() as u64]), want, "{command}");
    }
}

#[test]
fn exits() {
    for (operation, reason, code, want) in
        [(op::EXIT, APPLICATION_EXIT, 42, 42), (op::EXIT_EXTENDED, APPLICATION_EXIT, 0, 0), (op::EXIT, 0x2_0023, 0, 1)]
    {
        let mut b = Bench::new();
        b.block(operation, &[reason, code]);
        assert_eq!(b.ram.code, Some(want));
    }
}

#[test]
fn words_of_32_bits_and_of_the_other_byte_order() {
    for (word_bytes, big_endian) in [(4, false), (4, true), (8, true)] {
        let mut b = Bench { word_bytes, big_endian, ..Bench::new() };
        let h = b.open(":tt", 4);
        b.put(BUFFER, b"abc");
        assert_eq!(b.block(op::WRITE, &[h, BUFFER, 3]), 0);
        assert_eq!(b.written(), [(Channel::Output, b"abc".to_vec())]);
        assert_eq!(b.block(op::ISERROR, &[(-1i64) as u64]), 1);
        b.call(op::ELAPSED, BUFFER);
        let raw: [u8; 8] = b.get(BUFFER);
        let ticks = match (word_bytes, big_endian) {
            (8, _) => u64::from_be_bytes(raw),
            (_, false) => u64::from_le_bytes(raw),
            // The low word comes first in either order.
            _ => u64::from_be_bytes(raw).rotate_left(32),
        };
        assert_eq!(ticks, 12_345_678_901);
        if word_bytes == 4 {
            b.call(op::EXIT, APPLICATION_EXIT);
            assert_eq!(b.ram.code, Some(0));
            b.call(op::EXIT, 0x2_0024);
            assert_eq!(b.ram.code, Some(1));
        }
    }
}

#[test]
fn hostile_parameters_are_errors() {
    let mut b = Bench::new();
    let h = b.open(":semihosting-features", 0);
    let out = b.open(":tt", 4);
    let nowhere = [0, 1, RAM - 4, RAM + SIZE as u64 - 4, u64::MAX, u64::MAX - 7, 1 << 63];
    for (name, operation) in op::ALL {
        for at in nowhere {
            let answer = b.call(*operation, at);
            let needs_memory = !matches!(*operation, op::READC | op::CLOCK | op::TIME | op::ERRNO | op::TICKFREQ)
                // A byte is there, a block of words is not.
                && !(at == RAM + SIZE as u64 - 4 && matches!(*operation, op::WRITEC | op::WRITE0));
            assert!(!needs_memory || answer == FAILED, "{name} with a block at {at:#x}: {answer:#x}");
            assert_eq!(b.ram.code, None, "{name} ended the run");
        }
    }
    for size in [1 << 60, u64::MAX, 1 << 31] {
        assert_eq!(b.block(op::WRITE, &[out, RAM, size]), size, "all of it is left");
        assert_eq!(b.block(op::READ, &[h, BUFFER, size]), size);
        assert_eq!(b.errno(), libc::EINVAL);
        for operation in [op::OPEN, op::REMOVE, op::SYSTEM, op::RENAME, op::TMPNAM] {
            assert_eq!(b.block(operation, &[RAM, size, size, size]), FAILED, "{operation:#x}");
        }
        assert_eq!(b.block(op::SEEK, &[h, size | 1 << 63]), FAILED);
        for operation in [op::CLOSE, op::FLEN, op::ISTTY] {
            assert_eq!(b.block(operation, &[size]), FAILED);
        }
    }
    // As much as there is, and not a byte behind it.
    assert_eq!(b.block(op::WRITE, &[out, RAM, SIZE as u64 + 1]), 1);
    assert_eq!(b.errno(), libc::EFAULT);
    for handle in [0, 3, 300, u64::MAX] {
        assert_eq!(b.block(op::READ, &[handle, BUFFER, 8]), 8);
        assert_eq!(b.block(op::WRITE, &[handle, BUFFER, 8]), 8);
        assert_eq!(b.errno(), libc::EBADF);
    }
    // A name with a zero in it, no such mode, too many handles.
    b.put(NAME, b"a\0b");
    assert_eq!(b.block(op::OPEN, &[NAME, 0, 3]), FAILED);
    assert_eq!(b.open(":tt", 12), FAILED);
    assert_eq!(b.errno(), libc::EINVAL);
    let opened = (0..1000).filter(|_| b.open(":tt", 0) != FAILED).count();
    assert_eq!((opened, b.errno()), (files::HANDLES_MAX - 2, libc::EMFILE));
    assert_eq!(b.open("/dev/null", 0), FAILED);
    b.host.reset();
    assert_eq!(b.open("/dev/null", 0), 1);
    // A string without end.
    b.ram.bytes.fill(b'x');
    assert_eq!(b.call(op::WRITE0, RAM), FAILED);
    assert_eq!(b.call(0x1234, 0), FAILED);
    assert_eq!(b.errno(), libc::ENOSYS);
}

#[test]
fn what_the_user_writes() {
    let c = Config::parse("enable=on,target=native,userspace=on,arg=a b,arg=c,,d,chardev=serial0").unwrap().unwrap();
    assert_eq!(c.command_line(), "a b c,d");
    assert_eq!((c.userspace, c.stream.as_deref()), (true, Some("serial0")));
    assert_eq!(Config::parse("off"), Ok(None));
    assert_eq!(Config::parse("enable=off,arg=x"), Ok(None));
    assert_eq!(Config::parse("on"), Ok(Some(Config::default())));
    for (bad, want) in
        [("enable=maybe", "'on' or 'off'"), ("target=gdb", "debugger"), ("target=x", "native and auto"), ("args=1", "no 'args'"), ("", "no ''")]
    {
        assert!(Config::parse(bad).unwrap_err().contains(want), "{bad}");
    }
}
