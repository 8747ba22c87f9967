//! The disassembler against `objdump` of Debian's cross binutils, on random words of every encoding that it has a form for.

use emu_target_aarch64_v9::decode::{ROWS, Row, Status, lookup};
use emu_target_aarch64_v9::{disassemble, sysreg};
use emu_test_kit::{Rng, packages, process};
use std::collections::BTreeMap;
use std::time::Duration;

/// The suite whose binutils knows what the tables know.
const SUITE: &str = "trixie";
/// Names of the manual that this objdump does not know, and what it prints for them.
const UNKNOWN: &[(&str, &str)] = &[("dgh", "hint #0x6"), ("id_aa64fpfr0_el1", "s3_0_c0_c4_7"), ("id_aa64pfr2_el1", "s3_0_c0_c4_2")];
/// Words in all, at least.
const WORDS: usize = 250_000;

/// A random word of a row, if one is found that no narrower row takes.
fn word(rng: &mut Rng, row: &'static Row) -> Option<u32> {
    let mut next = || {
        let chance = row.bits | rng.u32() & !row.mask;
        named(rng, row, chance)
    };
    (0..64).map(|_| next()).find(|w| lookup(*w).is_some_and(|r| std::ptr::eq(r, row)))
}

/// Makes more of what chance would seldom bring: registers that the target has, immediates of zero, registers alike.
fn named(rng: &mut Rng, row: &Row, word: u32) -> u32 {
    match row.class {
        "System register move" => {
            let key = u32::from(rng.pick(&sysreg::ROWS).key);
            // op0 3 is bit 19; the rest lies as in the key.
            if key >> 14 >= 2 { word & !0x000f_ffe0 | (key & 0x7fff) << 5 } else { word }
        }
        "PSTATE" if row.name.starts_with("MSR") => {
            let (op1, op2) = *rng.pick(&[(0, 3), (0, 4), (0, 5), (3, 1), (3, 2), (3, 4), (3, 6), (3, 7)]);
            word & !0x0007_00e0 | op1 << 16 | op2 << 5
        }
        // Zero is where immediates are left out.
        _ if rng.one_in(4) => word & !(*rng.pick(&[0x003f_fc00, 0x001f_f000, 0x00ff_ffe0, 0x0000_fc00, 0x003f_0000]) & !row.mask),
        // Registers alike are what aliases are made of.
        _ if rng.one_in(4) => {
            let reg = *rng.pick(&[31, word >> 5 & 31]);
            let places = *rng.pick(&[0x1f, 0x3e0, 0x1f_03e0, 0x7c00]);
            let all = reg | reg << 5 | reg << 10 | reg << 16;
            word & !(places & !row.mask) | all & places & !row.mask
        }
        _ => word,
    }
}

/// Text without comments, with single spaces.
fn plain(text: &str) -> String {
    let text = text.split("//").next().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What objdump says of the words, one each from address 0 on.
fn objdump(words: &[u32]) -> Vec<String> {
    let root = packages::debian_with_dependencies(SUITE, "amd64", "binutils-aarch64-linux-gnu").unwrap_or_else(|e| panic!("{e}"));
    let file = std::env::temp_dir().join(format!("emu-disassembly-{}.bin", std::process::id()));
    std::fs::write(&file, words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>()).expect("the file can be written");
    let mut command = packages::program(&root, &root.join("usr/bin/aarch64-linux-gnu-objdump"));
    command.args(["-D", "-z", "-b", "binary", "-m", "aarch64"]).arg(&file);
    let done = process::run(&mut command, Duration::from_secs(300)).unwrap_or_else(|e| panic!("{e}"));
    let _ = std::fs::remove_file(&file);
    assert_eq!(done.code, Some(0), "{}", done.errors());
    let line = |l: &str| Some(l.split_once(":\t")?.1.split_once('\t')?.1.to_owned());
    done.text().lines().filter_map(line).collect()
}

#[test]
fn what_objdump_prints() {
    let mut rng = Rng::announced("what_objdump_prints");
    let rows: Vec<&'static Row> = ROWS.iter().filter(|r| disassemble::has_form(r)).collect();
    let each = WORDS / rows.len() + 1;
    let (mut words, mut of) = (Vec::new(), Vec::new());
    for row in &rows {
        if row.class == "System instructions" {
            // All of them, with a register and without.
            for fields in 0..1 << 14 {
                words.extend([31, rng.below(31) as u32].map(|rt| row.bits | fields << 5 | rt));
                of.extend([*row; 2]);
            }
            continue;
        }
        // Registers have many names.
        let n = if row.class == "System register move" { each * 20 } else { each };
        for _ in 0..n {
            if let Some(w) = word(&mut rng, row) {
                words.push(w);
                of.push(*row);
            }
        }
    }
    let theirs = objdump(&words);
    assert_eq!(theirs.len(), words.len(), "a line each");
    let (mut compared, mut reserved, mut unknown) = (BTreeMap::<&str, usize>::new(), 0, 0);
    let (mut wrong, mut examples) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for (n, ((word, row), theirs)) in words.iter().zip(&of).zip(&theirs).enumerate() {
        let ours = disassemble::assembler(n as u64 * 4, *word, row);
        if theirs.contains("undefined") {
            // Reserved values: a form need not look at all of them.
            reserved += 1;
            continue;
        }
        *compared.entry(row.name).or_default() += 1;
        let (ours, theirs) = (plain(&ours.unwrap_or_else(|| row.name.to_owned())), plain(theirs));
        if ours != theirs && UNKNOWN.iter().any(|(name, generic)| ours.contains(name) && theirs == ours.replace(name, generic)) {
            unknown += 1;
            continue;
        }
        if ours != theirs {
            let count = wrong.entry(row.name).or_default();
            *count += 1;
            if *count <= 12 {
                examples.push(format!("{:<24} {word:08x}  ours: {ours:<44} objdump: {theirs}", row.name));
            }
        }
    }
    let (all, bad): (usize, usize) = (compared.values().sum(), wrong.values().sum());
    println!(
        "{} encodings with a form; {all} words compared, {reserved} reserved, {unknown} with names that objdump does not know, {bad} mismatches ({:.4} %)",
        rows.len(),
        bad as f64 * 100.0 / all as f64
    );
    let unseen: Vec<&str> = rows.iter().map(|r| r.name).filter(|n| !compared.contains_key(n)).collect();
    println!("encodings that this objdump does not know: {}", unseen.join(" "));
    let newer = ["Compare registers and branch", "Compare bytes or halfwords and branch", "Compare register with immediate and branch"];
    let lost: Vec<_> = rows.iter().filter(|r| unseen.contains(&r.name) && !newer.contains(&r.class)).map(|r| r.name).collect();
    assert!(lost.is_empty(), "never compared: {}", lost.join(" "));
    assert!(all >= 200_000, "too few words");
    assert!(wrong.is_empty(), "{} encodings differ:\n{}", wrong.len(), examples.join("\n"));
}

#[test]
fn every_word_has_a_text() {
    let mut rng = Rng::announced("every_word_has_a_text");
    for _ in 0..1_000_000 {
        let (pc, word) = (rng.u64(), rng.u32());
        assert!(!disassemble::text(pc, word).is_empty(), "{word:#x}");
    }
    for (word, want) in
        [(0x7400_0041, "cbgt\tw1, w0, 0x1008"), (0xf500_8041, "cbgt\tx1, #1, 0x1008"), (0x0000_0000, "udf\t#0"), (0xffff_ffff, ".inst 0xffffffff")]
    {
        assert_eq!(disassemble::text(0x1000, word), want, "{word:#x}");
    }
}

#[test]
fn the_base_tables_are_covered() {
    let implemented = |r: &&Row| matches!(r.status, Status::Implemented(_)) && ["base_", "mops"].iter().any(|t| r.source.contains(t));
    let missing: Vec<&str> = ROWS.iter().filter(implemented).filter(|r| !disassemble::has_form(r)).map(|r| r.name).collect();
    assert!(missing.is_empty(), "without a form: {}", missing.join(" "));
}
