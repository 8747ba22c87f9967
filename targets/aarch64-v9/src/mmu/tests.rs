//! Walks of tables that the tests build.

use super::*;
use crate::sysreg;
use crate::testing::{Machine, RAM};
use emu_plugins_api::fault;

const L0: u64 = RAM + 0x1000;
const L1: u64 = RAM + 0x2000;
const L2: u64 = RAM + 0x3000;
const L3: u64 = RAM + 0x4000;
const TABLE: u64 = 3;
const PAGE: u64 = 3;
const BLOCK: u64 = 1;
const AF: u64 = 1 << 10;
const AP_EL0: u64 = 1 << 6;
const AP_RO: u64 = 1 << 7;
const NG: u64 = 1 << 11;
const DBM: u64 = 1 << 51;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const GP: u64 = 1 << 50;
const VA: u64 = 0x1234_5000;

fn index(va: u64, level: u32) -> u64 {
    va >> (39 - 9 * level) & 511
}

fn set(m: &mut Machine, name: &str, value: u64) {
    let row = sysreg::by_name(name).expect("a register");
    assert!(sysreg::write(m, row, value), "{name}");
}

/// A machine with 48-bit 4 KB tables, `VA` mapped through four levels to a page with these attribute bits.
fn machine(model: &str, attributes: u64) -> Machine {
    let mut m = Machine::new(model, &[]);
    let h = m.host();
    h.write64(L0 + 8 * index(VA, 0), L1 | TABLE);
    h.write64(L1 + 8 * index(VA, 1), L2 | TABLE);
    h.write64(L2 + 8 * index(VA, 2), L3 | TABLE);
    h.write64(L3 + 8 * index(VA, 3), (RAM + 0x8000) | attributes | PAGE);
    set(&mut m, "TCR_EL1", 16 | 16 << 16 | 2 << 30 | 5 << 32 | tcr::AS);
    // Attribute 0 Normal write-back, 1 Device-nGnRE.
    set(&mut m, "MAIR_EL1", 0x04ff);
    set(&mut m, "TTBR0_EL1", L0);
    set(&mut m, "TTBR1_EL1", L0);
    let sctlr = m.sctlr() | sctlr::M | sctlr::SPAN;
    set(&mut m, "SCTLR_EL1", sctlr);
    m
}

fn go(m: &mut Machine, va: u64, kind: AccessKind, view: u32) -> Result<Translation, u64> {
    let access = Access { va, size: 4, kind, view: view as u8, reserved: 0, mem_flags: 0, insn_info: 0 };
    let mut out = Translation::default();
    match walk(m, &access, &mut out) {
        0 => Ok(out),
        f => Err(f),
    }
}

fn read(m: &mut Machine, va: u64, view: u32) -> Result<Translation, u64> {
    go(m, va, AccessKind::READ, view)
}

fn code(r: Result<Translation, u64>) -> u64 {
    let f = r.expect_err("a fault");
    assert!(f & FAULT != 0, "{f:#x}");
    f & 0x3f
}

#[test]
fn page_and_attributes() {
    let mut m = machine("max", AF | AP_EL0 | NG | UXN | GP);
    let t = read(&mut m, VA + 0x123, view::EL1).unwrap();
    assert_eq!((t.pa, t.page_bits, t.global), (RAM + 0x8123, 12, 0));
    assert_eq!(t.attrs, attr::GUARDED);
    // Writable by EL0, hence never executable at EL1.
    assert_eq!(t.perms, perm::READ | perm::WRITE);
    assert_eq!(read(&mut m, VA, view::EL0).unwrap().perms, perm::READ | perm::WRITE);
    // PAN: what EL0 can access is out of reach.
    assert_eq!(code(read(&mut m, VA, view::EL1_PAN)), u64::from(fsc::PERMISSION) + 3);
    let mut m = machine("max", AF | 1 << 2);
    let t = read(&mut m, VA, view::EL1_PAN).unwrap();
    assert_eq!((t.attrs, t.global, t.perms), (attr::DEVICE, 1, perm::READ | perm::WRITE | perm::EXEC));
}

#[test]
fn permissions() {
    use AccessKind as K;
    for (attributes, view_and_perms) in [
        (AF, [(view::EL0, perm::EXEC), (view::EL1, perm::READ | perm::WRITE | perm::EXEC)]),
        (AF | AP_RO | UXN, [(view::EL0, 0), (view::EL1, perm::READ | perm::EXEC)]),
        (AF | AP_RO | AP_EL0 | PXN, [(view::EL0, perm::READ | perm::EXEC), (view::EL1, perm::READ)]),
        (AF | AP_EL0 | UXN | PXN, [(view::EL0, perm::READ | perm::WRITE), (view::EL1, perm::READ | perm::WRITE)]),
    ] {
        let mut m = machine("max", attributes);
        for (v, perms) in view_and_perms {
            m.el = u8::from(v != view::EL0);
            for (kind, need) in [(K::READ, perm::READ), (K::WRITE, perm::WRITE), (K::READ_WRITE, perm::READ | perm::WRITE), (K::FETCH, perm::EXEC)] {
                let got = go(&mut m, VA, kind, v);
                if perms & need == need {
                    assert_eq!(got.unwrap().perms, perms, "{attributes:#x} view {v} {kind:?}");
                } else {
                    let f = got.expect_err("a permission fault");
                    assert_eq!(f & 0x3f, 0xf, "{attributes:#x} view {v} {kind:?}");
                    assert_eq!(f & READ_ALLOWED != 0, perms & perm::READ != 0);
                }
            }
        }
    }
}

#[test]
fn hierarchical_permissions() {
    const AP_TABLE_RO: u64 = 1 << 62;
    const UXN_TABLE: u64 = 1 << 60;
    let mut m = machine("max", AF | AP_EL0);
    let at = L1 + 8 * index(VA, 1);
    m.host().write64(at, L2 | TABLE | AP_TABLE_RO | UXN_TABLE);
    assert_eq!(read(&mut m, VA, view::EL0).unwrap().perms, perm::READ);
    let t = m.sysreg[word::TCR_EL1];
    set(&mut m, "TCR_EL1", t | tcr::HPD0);
    assert_eq!(read(&mut m, VA, view::EL0).unwrap().perms, perm::READ | perm::WRITE | perm::EXEC);
}

#[test]
fn wxn_and_epan() {
    let mut m = machine("max", AF | UXN);
    let s = m.sctlr();
    set(&mut m, "SCTLR_EL1", s | sctlr::WXN);
    assert_eq!(read(&mut m, VA, view::EL1).unwrap().perms, perm::READ | perm::WRITE);
    // EPAN: executable by EL0 counts as accessible.
    let mut m = machine("max", AF);
    assert!(read(&mut m, VA, view::EL1_PAN).is_ok());
    let s = m.sctlr();
    set(&mut m, "SCTLR_EL1", s | sctlr::EPAN);
    assert_eq!(code(read(&mut m, VA, view::EL1_PAN)), 0xf);
}

#[test]
fn faults_by_level() {
    let tables = [L0, L1, L2, L3];
    for level in 0..4 {
        let mut m = machine("max", AF);
        m.host().write64(tables[level as usize] + 8 * index(VA, level), 0);
        assert_eq!(code(read(&mut m, VA, view::EL1)), u64::from(fsc::TRANSLATION + level));
        // The output address is beyond IPS's 48 bits: none with 48-bit descriptors; with IPS 32 bits, it is.
        let mut m = machine("max", AF);
        let t = m.sysreg[word::TCR_EL1] & !(7 << 32);
        set(&mut m, "TCR_EL1", t);
        let old = m.host().read64(tables[level as usize] + 8 * index(VA, level));
        m.host().write64(tables[level as usize] + 8 * index(VA, level), old | 1 << 40);
        assert_eq!(code(read(&mut m, VA, view::EL1)), u64::from(fsc::ADDRESS_SIZE + level));
    }
    // A table where nothing is.
    let mut m = machine("max", AF);
    m.host().write64(L1 + 8 * index(VA, 1), 0x1000 | TABLE);
    assert_eq!(code(read(&mut m, VA, view::EL1)), u64::from(fsc::EXTERNAL_ON_WALK + 2));
    // Out of range, and disabled walks.
    let mut m = machine("max", AF);
    assert_eq!(code(read(&mut m, 1 << 50, view::EL1)), u64::from(fsc::TRANSLATION));
    assert_eq!(code(read(&mut m, !(1 << 50), view::EL1)), u64::from(fsc::TRANSLATION));
    let t = m.sysreg[word::TCR_EL1];
    set(&mut m, "TCR_EL1", t | tcr::EPD0);
    assert_eq!(code(read(&mut m, VA, view::EL1)), u64::from(fsc::TRANSLATION));
    set(&mut m, "TCR_EL1", t | tcr::E0PD0);
    assert!(read(&mut m, VA, view::EL1).is_ok());
    assert_eq!(code(read(&mut m, VA, view::EL0)), u64::from(fsc::TRANSLATION));
}

#[test]
fn upper_half() {
    let mut m = machine("max", AF);
    // The same tables serve the upper half: the index bits are the same.
    assert_eq!(read(&mut m, 0xffff_0000_0000_0000 | VA | 0xabc, view::EL1).unwrap().pa, RAM + 0x8abc);
}

#[test]
fn access_flag_and_dirty_state() {
    let leaf = L3 + 8 * index(VA, 3);
    let mut m = machine("max", AP_RO | DBM);
    assert_eq!(code(read(&mut m, VA, view::EL1)), u64::from(fsc::ACCESS_FLAG) + 3);
    let t = m.sysreg[word::TCR_EL1];
    set(&mut m, "TCR_EL1", t | tcr::HA | tcr::HD);
    assert_eq!(read(&mut m, VA, view::EL1).unwrap().perms & perm::WRITE, 0);
    assert_eq!(m.host().read64(leaf) & (AF | AP_RO), AF | AP_RO);
    assert_ne!(go(&mut m, VA, AccessKind::WRITE, view::EL1).unwrap().perms & perm::WRITE, 0);
    assert_eq!(m.host().read64(leaf) & (AF | AP_RO), AF);
    // A core without hardware management faults.
    let mut m = machine("cortex-a72", 0);
    let t = m.sysreg[word::TCR_EL1];
    set(&mut m, "TCR_EL1", t | tcr::HA);
    assert_eq!(code(read(&mut m, VA, view::EL1)), u64::from(fsc::ACCESS_FLAG) + 3);
}

#[test]
fn tags() {
    let mut m = machine("max", AF);
    let tagged = 0x5a << 56 | VA;
    assert_eq!(code(read(&mut m, tagged, view::EL1)), u64::from(fsc::TRANSLATION));
    assert!(!has_tagged(&m, VA));
    let t = m.sysreg[word::TCR_EL1];
    set(&mut m, "TCR_EL1", t | 1 << 37 | 1 << 51);
    assert_eq!(read(&mut m, tagged, view::EL1).unwrap().pa, RAM + 0x8000);
    assert!(has_tagged(&m, VA));
    // TBID0: not for instructions.
    assert_eq!(code(go(&mut m, tagged, AccessKind::FETCH, view::EL1)), u64::from(fsc::TRANSLATION));
    assert_eq!(branch_address(&m, tagged), tagged);
    assert_eq!(va_properties(&m, VA, false), VaProps { tbi: true, upper: false, bottom_bit: 48 });
    assert!(!va_properties(&m, VA, true).tbi);
}

#[test]
fn blocks() {
    let mut m = machine("max", AF);
    m.host().write64(L2 + 8 * index(VA, 2), RAM | AF | BLOCK);
    let t = read(&mut m, VA, view::EL1).unwrap();
    assert_eq!((t.pa, t.page_bits), (RAM + (VA & 0x1f_ffff), 21));
    m.host().write64(L1 + 8 * index(VA, 1), RAM | AF | BLOCK);
    let t = read(&mut m, VA, view::EL1).unwrap();
    assert_eq!((t.pa, t.page_bits), (RAM | VA, 30));
    m.host().write64(L0 + 8 * index(VA, 0), RAM | AF | BLOCK);
    assert_eq!(code(read(&mut m, VA, view::EL1)), u64::from(fsc::TRANSLATION));
}

#[test]
fn granules() {
    // 64 KB, 48 bits: levels 1 (6 bits), 2 (13) and 3 (13).
    let mut m = machine("max", AF);
    let va = 0x1234_5678_9abc_u64;
    let (l1, l2, l3) = (RAM, RAM + 0x10000, RAM + 0x20000);
    let h = m.host();
    h.write64(l1 + 8 * (va >> 42 & 63), l2 | TABLE);
    h.write64(l2 + 8 * (va >> 29 & 8191), l3 | TABLE);
    h.write64(l3 + 8 * (va >> 16 & 8191), (RAM + 0x30000) | AF | PAGE);
    set(&mut m, "TCR_EL1", 16 | 16 << 16 | 1 << 14 | 5 << 32);
    set(&mut m, "TTBR0_EL1", l1);
    let t = read(&mut m, va, view::EL1).unwrap();
    assert_eq!((t.pa, t.page_bits), (RAM + 0x39abc, 16));
    // 16 KB, 47 bits: level 1 (11 bits).
    let mut m = machine("max", AF);
    let (l1, l2, l3) = (RAM, RAM + 0x10000, RAM + 0x20000);
    let va = va & 0x7fff_ffff_ffff;
    let h = m.host();
    h.write64(l1 + 8 * (va >> 36 & 2047), l2 | TABLE);
    h.write64(l2 + 8 * (va >> 25 & 2047), l3 | TABLE);
    h.write64(l3 + 8 * (va >> 14 & 2047), (RAM + 0x30000) | AF | PAGE);
    set(&mut m, "TCR_EL1", 17 | 16 << 16 | 2 << 14 | 5 << 32);
    set(&mut m, "TTBR0_EL1", l1);
    let t = read(&mut m, va, view::EL1).unwrap();
    assert_eq!((t.pa, t.page_bits), (RAM + 0x30000 + (va & 0x3fff), 14));
    assert_eq!(granule_bits(&m, va), 14);
}

#[test]
fn lpa2() {
    // 52-bit input: one entry more, at level -1; the table's address has its top in bits 9:8.
    let mut m = machine("max", AF);
    let va = 0x000a_0000_1234_5000_u64;
    let top = RAM + 0x10000;
    m.host().write64(top + 8 * (va >> 48 & 15), L0 | TABLE);
    set(&mut m, "TCR_EL1", 12 | 12 << 16 | 2 << 30 | 6 << 32 | tcr::DS);
    set(&mut m, "TTBR0_EL1", top);
    assert_eq!(read(&mut m, va, view::EL1).unwrap().pa, RAM + 0x8000);
    assert_eq!(code(read(&mut m, 0x000b << 48, view::EL1)), 0x2b);
    m.host().write64(L3 + 8 * index(VA, 3), (RAM + 0x8000) | AF | PAGE | 2 << 8);
    assert_eq!(read(&mut m, va, view::EL1).unwrap().pa, 2 << 50 | (RAM + 0x8000));
    // Without the feature DS is RES0 and 52 bits are 48.
    let mut m = Machine::new("max", &[("lpa2", "off")]);
    set(&mut m, "TCR_EL1", 12 | tcr::DS);
    assert_eq!(va_properties(&m, 0, false).bottom_bit, 48);
}

#[test]
fn big_endian_tables() {
    let mut m = machine("max", AF);
    for t in [L0 + 8 * index(VA, 0), L1 + 8 * index(VA, 1), L2 + 8 * index(VA, 2), L3 + 8 * index(VA, 3)] {
        let d = m.host().read64(t);
        m.host().write64(t, d.swap_bytes());
    }
    let s = m.sctlr();
    set(&mut m, "SCTLR_EL1", s | sctlr::EE);
    assert_eq!(read(&mut m, VA, view::EL1).unwrap().pa, RAM + 0x8000);
}

#[test]
fn off() {
    let mut m = Machine::new("cortex-a72", &[]);
    let t = read(&mut m, RAM + 0x123, view::EL1).unwrap();
    assert_eq!((t.pa, t.attrs, t.perms), (RAM + 0x123, attr::DEVICE, perm::READ | perm::WRITE | perm::EXEC));
    assert_eq!(code(read(&mut m, 1 << 44, view::EL1)), u64::from(fsc::ADDRESS_SIZE));
    assert_eq!(go(&mut m, RAM + 2, AccessKind::FETCH, view::EL1).unwrap_err(), PC_MISALIGNED);
}

#[test]
fn address_translation_instructions() {
    let mut m = machine("max", AF | AP_EL0 | AP_RO);
    let k = |crm, op2| key(1, 0, 7, crm, op2);
    for (crm, op2, ok) in [(8, 0, true), (8, 1, false), (8, 2, true), (8, 3, false), (9, 0, true), (9, 1, false)] {
        assert!(address_translate(&mut m, VA + 0x10, k(crm, op2)));
        let par = m.sysreg[word::PAR_EL1];
        if ok {
            assert_eq!(par & 0x000f_ffff_ffff_f001, RAM + 0x8000);
            assert_eq!(par >> 56, 0xff);
        } else {
            assert_eq!(par & 0x7f, 0xf << 1 | 1);
        }
    }
    m.pan = 1;
    assert!(address_translate(&mut m, VA, k(9, 0)));
    assert_eq!(m.sysreg[word::PAR_EL1] & 0x7f, 0xf << 1 | 1);
}

#[test]
fn abort_syndromes() {
    let mut m = machine("max", AF | AP_RO);
    let mut check = |kind, fault, el: u8, esr: u64| {
        m.el = el;
        m.header.pc = 0x1000;
        let access = Access { va: VA + 3, size: 4, kind, view: 1, reserved: 0, mem_flags: 0, insn_info: 0 };
        crate::exception::raise_access(&mut m, &access, fault);
        assert_eq!(m.sysreg[word::ESR_EL1], esr, "{kind:?} {fault:#x}");
        assert_eq!((m.sysreg[word::FAR_EL1], m.sysreg[word::ELR_EL1]), (VA + 3, 0x1000));
        assert_eq!((m.el, m.daif), (1, 0xf));
    };
    use AccessKind as K;
    check(K::READ, FAULT | 7, 0, 0x9200_0007);
    check(K::WRITE, FAULT | 7, 0, 0x9200_0047);
    check(K::WRITE, FAULT | 0xf, 1, 0x9600_004f);
    check(K::READ_WRITE, FAULT | 0xf, 1, 0x9600_000f);
    check(K::READ_WRITE, FAULT | READ_ALLOWED | 0xf, 1, 0x9600_004f);
    check(K::FETCH, FAULT | 7, 0, 0x8200_0007);
    check(K::FETCH, FAULT | 7, 1, 0x8600_0007);
    check(K::READ, fault::ALIGNMENT, 1, 0x9600_0021);
    check(K::READ, fault::BUS, 1, 0x9600_0010);
    check(K::WRITE, fault::UNSUPPORTED, 1, 0x9600_0075);
    check(K::FETCH, PC_MISALIGNED, 0, 0x8a00_0000);
}

#[test]
fn remembered_walk_parameters_are_never_stale() {
    use AccessKind as K;
    let walks = |m: &mut Machine, entry: u64| {
        let upper = VA | 0xffff << 48;
        let accesses = [(VA, K::READ, view::EL1), (VA, K::WRITE, view::EL0), (upper, K::READ, view::EL0), (upper, K::WRITE, view::EL1_PAN)];
        accesses.map(|(va, kind, view)| {
            // Walks set flags in it.
            m.host().write64(L3 + 8 * index(VA, 3), entry);
            format!("{:?}", go(m, va, kind, view))
        })
    };
    let mut seen = std::collections::BTreeMap::<_, u64>::new();
    for attributes in [AF | AP_EL0 | NG | 3 << 8, AP_EL0 | DBM | AP_RO, AF | UXN | 1 << 2, AF] {
        for name in ["TCR_EL1", "TTBR0_EL1", "TTBR1_EL1", "SCTLR_EL1", "MAIR_EL1"] {
            // Written as MSR does, and as a snapshot is read in.
            for (by_name, bit) in [true, false].into_iter().flat_map(|by_name| (0..64).map(move |bit| (by_name, bit))) {
                let mut m = machine("max", attributes);
                let entry = (RAM + 0x8000) | attributes | PAGE;
                if attributes & DBM != 0 {
                    let t = m.sysreg[word::TCR_EL1];
                    set(&mut m, "TCR_EL1", t | tcr::HA);
                } else if attributes & AP_EL0 != 0 {
                    // APTable: read-only.
                    m.host().write64(L1 + 8 * index(VA, 1), L2 | TABLE | 1 << 62);
                }
                let before = walks(&mut m, entry);
                let row = sysreg::by_name(name).expect("a register");
                let word = usize::from(row.word);
                let (old, new) = (m.sysreg[word], m.sysreg[word] ^ 1 << bit);
                for value in [new, old, new] {
                    if by_name {
                        set(&mut m, name, value);
                    } else {
                        m.sysreg[word] = value;
                    }
                    let remembered = walks(&mut m, entry);
                    m.regimes = Default::default();
                    assert_eq!(remembered, walks(&mut m, entry), "{name} {value:#x}");
                    if remembered != before {
                        *seen.entry(name).or_default() |= 1 << bit;
                    }
                }
            }
        }
    }
    // Bits that these walks depend on, so that the comparison means something: sizes, granules, HA, HD and the like, tables, M, WXN, EE, EPAN.
    let switches = tcr::EPD0 | tcr::EPD1 | tcr::E0PD0 | tcr::E0PD1 | tcr::HA | tcr::HD | tcr::HPD0 | tcr::HPD1 | tcr::DS;
    let tcr = 1 << 5 | 3 << 14 | 0x2f << 16 | 1 << 30 | switches;
    let sctlr = sctlr::M | sctlr::EE | sctlr::WXN | sctlr::EPAN;
    for (name, bits) in [("TCR_EL1", tcr), ("TTBR0_EL1", 3 << 12), ("TTBR1_EL1", 3 << 12), ("SCTLR_EL1", sctlr), ("MAIR_EL1", 0xf000)] {
        let got = seen.get(name).copied().unwrap_or(0);
        assert_eq!(got & bits, bits, "{name}: {got:#x}");
    }
}

#[test]
fn tables_are_read_where_the_host_shows_them() {
    let mut m = machine("max", AF);
    // What the host shows has another page in its table than what it answers.
    let mut shown: Vec<u64> = (0..0x1000).map(|n| m.host().read64(RAM + 8 * n)).collect();
    shown[((L3 - RAM) / 8 + index(VA, 3)) as usize] = (RAM + 0x9000) | AF | PAGE;
    let tables = |m: &mut Machine, base: u64, bytes: u64, first: usize| {
        (m.header.ram_base, m.header.ram_bytes, m.header.ram) = (base, bytes, shown[first..].as_ptr().cast());
        read(m, VA, view::EL1).unwrap().pa - RAM
    };
    assert_eq!(tables(&mut m, RAM, 0x8000, 0), 0x9000);
    assert_eq!(tables(&mut m, RAM, L3 - RAM, 0), 0x8000, "not shown: asked for");
    assert_eq!(tables(&mut m, L3, 0x1000, (L3 - RAM) as usize / 8), 0x9000, "the others are below what is shown");
    assert_eq!(tables(&mut m, 0, 0, 0), 0x8000);
}

#[test]
fn the_remembered_mode_key_is_never_stale() {
    let registers = ["SCTLR_EL1", "TCR_EL1", "CPACR_EL1", "FPCR", "MDSCR_EL1", "OSLAR_EL1", "PAN", "UAO", "SPSel"];
    let mut differ = std::collections::BTreeMap::<_, u32>::new();
    for (el, name) in [0, 1].into_iter().flat_map(|el| registers.map(|name| (el, name))) {
        for bit in 0..64 {
            let mut m = machine("max", AF);
            // Software step, so that what enables it is seen in the key.
            set(&mut m, "OSLAR_EL1", 0);
            set(&mut m, "MDSCR_EL1", 1);
            m.set_el_and_sp(el, el);
            m.refresh_mode();
            let before = m.header.mode_key;
            let row = sysreg::by_name(name).expect("a register");
            let old = sysreg::read(&mut m, row).unwrap_or(0);
            for value in [old ^ 1 << bit, old, old ^ 1 << bit] {
                set(&mut m, name, value);
                assert_eq!(m.header.mode_key, crate::mode::ModeKey::compute(&m).0, "{name} {value:#x} at EL{el}");
            }
            *differ.entry(name).or_default() += u32::from(m.header.mode_key != before);
            // As after a snapshot, or a change of EL.
            for word in [word::SCTLR_EL1, word::TCR_EL1, word::CPACR_EL1] {
                m.sysreg[word] ^= 1 << bit;
                m.refresh_mode();
                assert_eq!(m.header.mode_key, crate::mode::ModeKey::compute(&m).0);
            }
        }
    }
    assert!(registers.iter().all(|name| differ[name] > 0), "{differ:?}");
}
