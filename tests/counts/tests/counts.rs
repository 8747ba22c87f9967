//! How many host instructions guest instructions become on the straight way, against `goldens/counts.txt`. A number that grows is a
//! regression until somebody says otherwise by `EMU_BLESS=1`; so is one that shrinks and is not written down.
//!
//! The host is given, not the one that the test runs on: x86-64-v2, and v3 with AES and carry-less multiplication.

use emu_a64_asm::Asm;
use emu_exec::hot_code::{HostFeatures, HotCode, disassemble};
use emu_plugins_api::{ArchitectureHandle, Slice, Str, TargetConfig};
use emu_target_aarch64_v9::{Aarch64, mode::ModeKey};
use emu_test_counts::{Case, INSTRUCTIONS, LOOPS};
use std::collections::BTreeMap;
use std::path::Path;

const PC: u64 = 0x40_0000;
const PAGE: usize = 4096;

/// A process: EL0, SCTLR_EL1.SA0 set, top bytes of the lower half ignored.
fn mode() -> u64 {
    ModeKey::default().with_sp_check(1).with_tbi_insn(1).0
}

fn generator(features: HostFeatures) -> HotCode {
    let config = TargetConfig { model: Str::new("max"), options: Slice::new(&[]), cpus: 2, reserved: 0 };
    let arch = ArchitectureHandle::local::<Aarch64>(&config).expect("the model exists");
    HotCode::new(arch, features).expect("code memory")
}

fn v3() -> HostFeatures {
    HostFeatures {
        lzcnt: true,
        bmi1: true,
        bmi2: true,
        avx: true,
        avx2: true,
        fma: true,
        f16c: true,
        aes: true,
        pclmulqdq: true,
        ..HostFeatures::baseline()
    }
}

/// The disassembly and number of guest instructions of a case with its `ret`.
fn generate(host: &mut HotCode, name: &str, build: &dyn Fn(&mut Asm)) -> (Vec<String>, u32) {
    let mut a = Asm::new(PC);
    build(&mut a);
    a.ret();
    let mut page = a.finish().unwrap_or_else(|e| panic!("{name}: {e:?}"));
    page.resize(PAGE, 0);
    let (code, insns) = host.region(PC, mode(), &page).unwrap_or_else(|e| panic!("{name}: {e}"));
    (disassemble(0, &code).lines().map(str::to_owned).collect(), insns)
}

struct Hosts {
    v2: HotCode,
    v3: HotCode,
    /// Instructions of `ret` alone.
    ret: [usize; 2],
}

impl Hosts {
    fn new() -> Hosts {
        let (mut v2, mut v3) = (generator(HostFeatures::baseline()), generator(v3()));
        let ret = [generate(&mut v2, "ret", &|_| ()).0.len(), generate(&mut v3, "ret", &|_| ()).0.len()];
        Hosts { v2, v3, ret }
    }
    /// A line of the golden file, and the code on v3.
    fn line(&mut self, (name, build): &Case) -> (String, String) {
        let (v2, insns) = generate(&mut self.v2, name, build);
        let (v3, _) = generate(&mut self.v3, name, build);
        let own = |n: usize, ret: usize| n as isize - ret as isize;
        let line = format!("{:>5} {:>5} {:>5}  {name}", insns - 1, own(v2.len(), self.ret[0]), own(v3.len(), self.ret[1]));
        (line, v3.join("\n"))
    }
}

#[test]
fn counts_are_as_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/counts.txt");
    let mut hosts = Hosts::new();
    let mut text = String::from("# Host instructions on the straight way, without those of the `ret` that ends each case.\n");
    text += "# Columns: guest instructions, host instructions on x86-64-v2, on x86-64-v3.\n";
    text += &format!("    1 {:>5} {:>5}  ret\n", hosts.ret[0], hosts.ret[1]);
    let mut code = BTreeMap::new();
    for case in INSTRUCTIONS.iter().chain(LOOPS) {
        let (line, listing) = hosts.line(case);
        text += &line;
        text.push('\n');
        assert!(code.insert(line, listing).is_none(), "{} is there twice", case.0);
    }
    if std::env::var_os("EMU_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).expect("the golden file is writable");
        return;
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    if golden == text {
        return;
    }
    let mut wrong = String::new();
    for line in text.lines().filter(|l| !golden.lines().any(|g| g == *l)) {
        // Three columns and the spaces between them.
        let before = golden.lines().find(|g| g.get(19..) == line.get(19..)).unwrap_or("(not there)");
        wrong += &format!("was {before}\nnow {line}\n{}\n", code.get(line).map_or("", |c| c));
    }
    panic!("the counts have changed (EMU_BLESS=1 accepts them):\n{wrong}");
}

/// A generator that is used again makes the same code.
#[test]
fn counts_do_not_depend_on_what_came_before() {
    let mut hosts = Hosts::new();
    let first: Vec<String> = INSTRUCTIONS.iter().chain(LOOPS).map(|c| hosts.line(c).0).collect();
    let again: Vec<String> = INSTRUCTIONS.iter().chain(LOOPS).rev().map(|c| hosts.line(c).0).collect();
    assert!(first.iter().eq(again.iter().rev()));
}
