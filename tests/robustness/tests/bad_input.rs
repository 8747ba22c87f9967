//! What is wrong with the command line or a file ends in one sentence that names the thing and what to do, and exit code 2.

use emu_a64_asm::elf::{Segment, executable};
use emu_test_kit::process;
use emu_test_robustness::guest::{Handler, assemble};
use emu_test_robustness::{Scratch, command};
use std::time::Duration;

/// Runs `emu -M virt` with these and asserts the refusal: code 2, and one line that begins with "error: " and has all of the texts.
fn refused(arguments: &[&str], texts: &[&str]) {
    let mut command = command();
    command.args(["-M", "virt"]).args(arguments);
    let done = process::run(&mut command, Duration::from_secs(60)).expect("emu starts");
    let errors = done.errors();
    assert_eq!(done.code, Some(2), "{arguments:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{arguments:?}: more or less than a sentence: {errors}");
    assert!(errors.starts_with("error: "), "{arguments:?}: {errors}");
    for text in texts {
        assert!(errors.contains(text), "{arguments:?}: {text:?} is missing in: {errors}");
    }
    assert_eq!(done.stdout, b"", "{arguments:?}: something was run");
}

/// A guest that powers off at once.
fn image() -> Vec<u8> {
    assemble(Handler::Skip, |_, _| ())
}

/// An Image of some size whose PE header, as the kernel's EFI stub has it, names a section that reaches to the file's end.
fn pe_image() -> Vec<u8> {
    let mut file = image();
    file.resize(0x4000, 0);
    // The kernel's first word is "MZ", an instruction without effect; ours is replaced, for the file is never run.
    file[..4].copy_from_slice(b"MZ\0\x91");
    file[0x3c..0x40].copy_from_slice(&0x40u32.to_le_bytes());
    file[0x40..0x44].copy_from_slice(b"PE\0\0");
    // COFF header: one section, an optional header of 0x70 bytes.
    file[0x46..0x48].copy_from_slice(&1u16.to_le_bytes());
    file[0x54..0x56].copy_from_slice(&0x70u16.to_le_bytes());
    let section = 0x40 + 24 + 0x70;
    file[section..section + 8].copy_from_slice(b".text\0\0\0");
    file[section + 16..section + 20].copy_from_slice(&0x3000u32.to_le_bytes());
    file[section + 20..section + 24].copy_from_slice(&0x1000u32.to_le_bytes());
    file
}

/// An ELF program of 8 KiB that claims this place and size in memory.
fn program(address: u64, mem_size: u64) -> Vec<u8> {
    executable(address, &[Segment { address, bytes: vec![0; 0x2000], mem_size, flags: 7 }])
}

#[test]
fn kernels_that_are_cut_short() {
    let s = Scratch::new("cut");
    let again = "copy or download it again";
    let whole = pe_image();
    let cut = s.file("cut.img", &whole[..0x3fff]);
    refused(&["-kernel", &cut], &["cut.img", "is truncated", "16384 bytes", "16383", again]);
    let header = s.file("header.img", &image()[..62]);
    refused(&["-kernel", &header], &["header.img", "is truncated", "inside its header", again]);
    let stub = s.file("stub.img", &image()[..20]);
    refused(&["-kernel", &stub], &["stub.img", "is no kernel or a truncated one", "expected an arm64 Image"]);
    let empty = s.file("empty.img", b"");
    refused(&["-kernel", &empty], &["empty.img", "is empty", again]);
    let elf = program(0x4020_0000, 0x2000);
    for (name, length) in [("whole.elf", elf.len() - 1), ("table.elf", 70), ("header.elf", 40), ("ident.elf", 5)] {
        let file = s.file(name, &elf[..length]);
        refused(&["-kernel", &file], &[name, "is truncated", again]);
    }
    let gzip = gzip_stored(&image());
    let file = s.file("cut.gz", &gzip[..gzip.len() - 20]);
    refused(&["-kernel", &file], &["cut.gz", "is a truncated gzip file", again]);
    let mut damaged = gzip.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let file = s.file("damaged.gz", &damaged);
    refused(&["-kernel", &file], &["damaged.gz", "is a damaged gzip file", again]);
    let file = s.file("other.gz", &gzip_stored(&[0x55; 500]));
    refused(&["-kernel", &file], &["other.gz", "is packed, but what is inside is no arm64 Image"]);
    let mut zboot = whole.clone();
    zboot[4..8].copy_from_slice(b"zimg");
    zboot[8..12].copy_from_slice(&0x3000u32.to_le_bytes());
    zboot[12..16].copy_from_slice(&0x2000u32.to_le_bytes());
    zboot[24..32].copy_from_slice(b"gzip\0\0\0\0");
    let file = s.file("zboot.efi", &zboot);
    refused(&["-kernel", &file], &["zboot.efi", "is truncated", "20480", again]);
}

/// A gzip file with stored blocks (RFC 1951, 3.2.4).
fn gzip_stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let last = data.len().div_ceil(0xffff).max(1) - 1;
    for (i, block) in data.chunks(0xffff).enumerate() {
        let n = block.len() as u16;
        out.push(u8::from(i == last));
        out.extend(n.to_le_bytes());
        out.extend((!n).to_le_bytes());
        out.extend(block);
    }
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    out.extend((!crc).to_le_bytes());
    out.extend((data.len() as u32).to_le_bytes());
    out
}

#[test]
fn a_whole_one_of_each_kind_starts() {
    // Without this the refusals above could be of anything.
    let s = Scratch::new("whole");
    for (name, bytes) in [("plain.img", image()), ("packed.gz", gzip_stored(&image()))] {
        let file = s.file(name, &bytes);
        let mut command = command();
        command.args(["-M", "virt", "-kernel", &file, "--timeout", "60"]);
        let done = process::run(&mut command, Duration::from_secs(90)).expect("emu starts");
        assert_eq!((done.code, done.text().as_str()), (Some(0), "done"), "{name}: {}", done.errors());
    }
}

#[test]
fn files_that_are_not_there_or_something_else() {
    let s = Scratch::new("missing");
    let kernel = s.file("kernel.img", &image());
    let nowhere = s.path("absent");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let missing = ["absent", "there is no such file"];
    for option in ["-kernel", "-bios"] {
        refused(&[option, nowhere], &[missing[0], missing[1], "check the path after", option]);
        refused(&[option, "/tmp"], &["'/tmp'", "it is a directory", "check the path after", option]);
    }
    for option in ["-initrd", "-dtb"] {
        refused(&["-kernel", &kernel, option, nowhere], &[missing[0], missing[1], "check the path after", option]);
        refused(&["-kernel", &kernel, option, "/tmp"], &["'/tmp'", "it is a directory", "check the path after", option]);
    }
    let text = s.file("notes.txt", &b"This is a text, and long enough to have had a header in front. ".repeat(3));
    refused(&["-kernel", &text], &["notes.txt", "is no kernel", "expected an arm64 Image", "-bios"]);
    let mut x86 = program(0x4020_0000, 0x2000);
    x86[18..20].copy_from_slice(&62u16.to_le_bytes());
    let file = s.file("x86.elf", &x86);
    refused(&["-kernel", &file], &["x86.elf", "x86-64", "not for AArch64", "give one built for aarch64"]);
    let mut big = program(0x4020_0000, 0x2000);
    big[5] = 2;
    let file = s.file("big.elf", &big);
    refused(&["-kernel", &file], &["big.elf", "big-endian", "little-endian"]);
    let empty = s.file("empty.bin", b"");
    refused(&["-bios", &empty], &["empty.bin", "is empty", "again"]);
    for (option, value) in [("-initrd", kernel.as_str()), ("-append", "quiet")] {
        refused(&[option, value], &[option, "-kernel FILE"]);
    }
}

#[test]
fn what_does_not_fit() {
    let s = Scratch::new("fit");
    let kernel = s.file("kernel.img", &image());
    let initrd = s.hole("initrd.img", 80 << 20);
    refused(&["-m", "64", "-kernel", &kernel, "-initrd", &initrd], &["initrd.img", "80 MiB", "does not fit into RAM (-m 64M)", "give at least -m 8"]);
    let mut large = image();
    large[16..24].copy_from_slice(&(100u64 << 20).to_le_bytes());
    let file = s.file("large.img", &large);
    refused(&["-m", "64", "-kernel", &file], &["large.img", "does not fit into RAM (-m 64M)", "100 MiB", "give at least -m 10"]);
    refused(&["-m", "2", "-kernel", &kernel], &["kernel.img", "does not fit into RAM (-m 2M)", "give at least"]);
    large[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    let file = s.file("endless.img", &large);
    refused(&["-kernel", &file], &["endless.img", "damaged header", "image_size 0xffffffffffffffff"]);
    let file = s.file("large.elf", &program(0x4020_0000, 100 << 20));
    refused(&["-m", "64", "-kernel", &file], &["large.elf", "outside RAM (-m 64M", "give at least -m 10"]);
    let file = s.file("endless.elf", &program(0x4020_0000, u64::MAX - 5));
    refused(&["-m", "64", "-kernel", &file], &["endless.elf"]);
    let file = s.file("low.elf", &program(0x1000, 0x2000));
    refused(&["-kernel", &file], &["low.elf", "outside RAM", "link it to run from 0x40000000 or above"]);
    let bios = s.hole("bios.bin", 65 << 20);
    refused(&["-bios", &bios], &["bios.bin", "65 MiB", "64 MiB", "smaller"]);
}

#[test]
fn sizes_and_counts() {
    for (m, texts) in [
        ("0", &["-m 0", "needs some memory", "such as 512 or 2G"][..]),
        ("lots", &["-m lots", "is no size", "such as 512, 2G"]),
        ("100T", &["104857600 MiB", "give -m a size in that range"]),
        ("-5", &["-m -5", "is no size"]),
        ("16777216T", &["-m 16777216T", "more than an address can name"]),
    ] {
        refused(&["-m", m], texts);
    }
    for (n, texts) in [
        ("0", &["-smp 0", "at least one CPU"][..]),
        ("9", &["-smp 9", "at most 8"]),
        ("9999", &["-smp 9999", "at most 8"]),
        ("99999999999", &["-smp 99999999999", "with N from 1 to 8"]),
        ("many", &["-smp many", "with N from 1 to 8"]),
    ] {
        refused(&["-smp", n], texts);
    }
}

#[test]
fn device_trees() {
    let s = Scratch::new("dtb");
    let kernel = s.file("kernel.img", &image());
    let dumped = s.path("board.dtb");
    let mut dump = command();
    dump.args(["-M", &format!("virt,dumpdtb={}", dumped.display())]);
    let done = process::run(&mut dump, Duration::from_secs(60)).expect("emu starts");
    assert_eq!(done.code, Some(0), "{}", done.errors());
    let dtb = std::fs::read(&dumped).expect("it was written");
    let with = |bytes: &[u8], texts: &[&str]| {
        let file = s.file("bad.dtb", bytes);
        refused(&["-kernel", &kernel, "-dtb", &file], &[&["bad.dtb", "cannot be used", "compile it again with dtc"], texts].concat());
    };
    with(b"this is no device tree, but it is longer than a header", &["does not begin with the magic number"]);
    with(&[], &["shorter than a header"]);
    with(&dtb[..3], &["shorter than a header"]);
    with(&dtb[..30], &["but it has only 30"]);
    with(&dtb[..dtb.len() - 1], &["but it has only"]);
    let mut lying = dtb.clone();
    // The structure block begins behind the file.
    lying[8..12].copy_from_slice(&0xffff_fff0u32.to_be_bytes());
    with(&lying, &[]);
    let huge = s.hole("huge.dtb", 3 << 20);
    refused(&["-kernel", &kernel, "-dtb", &huge], &["huge.dtb", "cannot be used"]);
}

#[test]
fn names_and_values() {
    for (arguments, texts) in [
        (&["-M", "virt,gic-versoin=3"][..], &["no option 'gic-versoin'", "did you mean 'gic-version'?"][..]),
        (&["-M", "virt,nonsense=1"], &["no option 'nonsense'", "-M virt,help"]),
        (&["-M", "virt,gic-version=7"], &["'7'", "gic-version", "3|max"]),
        (&["-M", "virt,secure=on"], &["secure=on", "not implemented", "secure=off"]),
        (&["-M", "virt,its=perhaps"], &["'perhaps'", "its", "on|off"]),
        (&["-M", "vitr"], &["'vitr'", "did you mean 'virt'?"]),
        (&["-cpu", "cortex-a27"], &["no CPU model 'cortex-a27'", "did you mean 'cortex-a72'?"]),
        (&["-cpu", "host"], &["-cpu host", "-cpu max"]),
        (&["-cpu", "max,pmuu=on"], &["no CPU option 'pmuu'", "did you mean 'pmu'?"]),
        (&["-cpu", "max,pmu=perhaps"], &["pmu=perhaps", "'on' or 'off'"]),
        (&["-cpu", "max,,"], &["-cpu", "between two commas"]),
        (&["-kernle", "x"], &["no option '-kernle'", "did you mean '-kernel'?"]),
        (&["--frobnicate"], &["no option '--frobnicate'", "emu -h"]),
        (&["vmlinuz"], &["'vmlinuz'", "-kernel FILE"]),
        (&["-kernel"], &["-kernel needs a value", "-kernel FILE"]),
        (&["-icount", "garbage"], &["-icount garbage", "from 0 to 10"]),
        (&["-icount", "shift=99"], &["shift=99", "from 0 to 10"]),
        (&["-icount", "shift=1,sede=4"], &["'sede'", "did you mean 'seed'?"]),
        (&["-d", "in_ams"], &["'in_ams'", "did you mean 'in_asm'?"]),
        (&["-d", "everything"], &["'everything'", "-d help"]),
        (&["-D", "/nonexistent/log"], &["/nonexistent/log"]),
        (&["-serial", "garbage"], &["-serial garbage", "there are stdio, mon:stdio, file:PATH, pty and null"]),
        (&["-serial", "file:/nonexistent/log"], &["/nonexistent/log"]),
        (&["--timeout", "soon"], &["'soon' is no duration", "90s"]),
        (&["--target", "aarch46"], &["'aarch46'", "did you mean 'aarch64'?"]),
        (&["--plugin-path", "/nonexistent/plugins"], &["/nonexistent/plugins does not exist", "plugin path"]),
    ] {
        refused(arguments, texts);
    }
}

#[test]
fn two_plugins_with_one_name() {
    let s = Scratch::new("twice");
    let dir = emu_test_kit::emu::binary().expect("emu is built").parent().expect("it lies in a folder").to_path_buf();
    let original = dir.join(emu_test_kit::emu::PLUGINS[1]);
    let copy = s.path("libemu_copy.so");
    std::fs::copy(&original, &copy).expect("the plugin can be copied");
    let both = format!("{}:{}", original.display(), copy.display());
    refused(&["--plugin-path", &both], &["two plugins offer the machine 'virt'", "libemu_copy.so", "remove one"]);
}
