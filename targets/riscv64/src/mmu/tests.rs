use super::*;
use crate::csr;
use crate::testing::{Machine, RAM};
use crate::trap::cause;
use emu_plugins_api::ir::MemFlags;

/// The root table; others behind it.
const ROOT: u64 = RAM + 0x1_0000;
/// A page that is mapped.
const PAGE: u64 = RAM + 0x4_0000;

fn machine(options: &[(&str, &str)]) -> Machine {
    let mut m = Machine::new("max", options);
    set(&mut m, 0x3b0, u64::MAX);
    set(&mut m, 0x3a0, 0x1f);
    m.privilege = privilege::S;
    m
}
fn set(m: &mut Machine, number: u16, value: u64) {
    let row = csr::find(number).unwrap();
    csr::write(m, number, row, value);
}
fn access(va: u64, kind: AccessKind, view: u32) -> Access {
    Access { va, size: 8, kind, view: view as u8, reserved: 0, mem_flags: MemFlags::view(view).0, insn_info: 0 }
}
fn look(m: &mut Machine, va: u64, kind: AccessKind, view: u32) -> Result<Translation, u64> {
    let mut out = Translation::default();
    match walk(m, &access(va, kind, view), &mut out) {
        fault::NONE => Ok(out),
        f => Err(f),
    }
}
/// Maps `va` by a chain of tables of so many levels, the leaf at level `at`.
fn map(m: &mut Machine, va: u64, levels: u32, at: u32, leaf: u64) -> u64 {
    let mut table = ROOT;
    for n in (0..levels).rev() {
        let entry = table + (va >> (12 + 9 * n) & 511) * 8;
        if n == at {
            m.host().write64(entry, leaf);
            return entry;
        }
        let next = table + 0x1000;
        m.host().write64(entry, next >> 12 << 10 | pte::V);
        table = next;
    }
    unreachable!()
}
fn satp(m: &mut Machine, levels: u32) {
    set(m, 0x180, u64::from(levels + 5) << 60 | 7 << 44 | ROOT >> 12);
}
const ALL: u64 = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
const fn leaf(pa: u64, bits: u64) -> u64 {
    pa >> 12 << 10 | bits
}

#[test]
fn schemes_and_page_sizes() {
    for levels in [3, 4, 5] {
        for at in 0..2 {
            let mut m = machine(&[]);
            satp(&mut m, levels);
            assert_eq!(csr::asid(&m), 7);
            assert_eq!(m.host().asid, 7);
            let va = 0x0000_0012_3456_7008 & !((1 << (12 + 9 * at)) - 1) | 8;
            let pa = if at == 0 { PAGE } else { RAM };
            map(&mut m, va, levels, at, leaf(pa, ALL | pte::G));
            let t = look(&mut m, va, AccessKind::READ, view::S).unwrap();
            assert_eq!((t.pa, u32::from(t.page_bits), t.global), (pa | 8, 12 + 9 * at, 1));
            assert_eq!(t.perms, perm::READ | perm::WRITE | perm::EXEC);
            // Not the sign extension of its low bits.
            assert_eq!(look(&mut m, va | 1 << 62, AccessKind::READ, view::S).err(), Some(PAGE_FAULT));
            // A superpage whose low bits are not zero.
            if at == 1 {
                map(&mut m, va, levels, at, leaf(RAM + 0x1000, ALL));
                assert_eq!(look(&mut m, va, AccessKind::READ, view::S).err(), Some(PAGE_FAULT));
            }
        }
    }
    let mut m = machine(&[("sv57", "off"), ("sv48", "off")]);
    satp(&mut m, 4);
    assert_eq!(m.csr[word::SATP], 0, "a scheme that is not there changes nothing");
}

#[test]
fn permissions() {
    let mut m = machine(&[]);
    satp(&mut m, 3);
    let va = 0x1000;
    let (r, w, x) = (AccessKind::READ, AccessKind::WRITE, AccessKind::FETCH);
    let ok = |m: &mut Machine, bits: u64, kind, v| {
        map(m, va, 3, 0, leaf(PAGE, bits));
        look(m, va, kind, v).is_ok()
    };
    let user = pte::V | pte::U | pte::A | pte::D;
    assert!(ok(&mut m, user | pte::R, r, view::U) && !ok(&mut m, user | pte::R, w, view::U));
    assert!(!ok(&mut m, user | pte::R | pte::W, r, view::S) && ok(&mut m, user | pte::R | pte::W, w, view::S_SUM));
    assert!(!ok(&mut m, user | pte::R | pte::X, x, view::S), "a supervisor does not execute from user pages");
    assert!(!ok(&mut m, ALL, r, view::U) && ok(&mut m, ALL, x, view::S));
    assert!(!ok(&mut m, pte::V | pte::W | pte::A | pte::D, w, view::S), "W without R is reserved");
    assert!(!ok(&mut m, ALL | 1 << 54, r, view::S), "reserved bits");
    assert!(!ok(&mut m, pte::V | pte::X | pte::A, r, view::S));
    set(&mut m, 0x100, mstatus::MXR);
    assert!(ok(&mut m, pte::V | pte::X | pte::A, r, view::S), "MXR lets loads read what is executable");
    m.privilege = privilege::U;
    assert!(ok(&mut m, user | pte::X, x, view::U));
    // Machine mode does not translate.
    m.privilege = privilege::M;
    assert_eq!(look(&mut m, PAGE, r, view::M).unwrap().pa, PAGE);
}

#[test]
fn accessed_and_dirty() {
    let mut m = machine(&[]);
    satp(&mut m, 3);
    let at = map(&mut m, 0x1000, 3, 0, leaf(PAGE, pte::V | pte::R | pte::W));
    // Without ADUE software has to do it.
    m.csr[word::MENVCFG] = 0;
    assert_eq!(look(&mut m, 0x1000, AccessKind::READ, view::S).err(), Some(PAGE_FAULT));
    m.csr[word::MENVCFG] = envcfg::ADUE;
    let t = look(&mut m, 0x1000, AccessKind::READ, view::S).unwrap();
    assert_eq!(t.perms, perm::READ, "the first store walks again");
    assert_eq!(m.host().read64(at) & (pte::A | pte::D), pte::A);
    assert_eq!(look(&mut m, 0x1000, AccessKind::READ_WRITE, view::S).unwrap().perms, perm::READ | perm::WRITE);
    assert_eq!(m.host().read64(at) & (pte::A | pte::D), pte::A | pte::D);
}

#[test]
fn napot_and_memory_types() {
    let mut m = machine(&[]);
    satp(&mut m, 3);
    let va = 0x2_5000;
    let napot = |ppn_low: u64| (PAGE >> 12 & !15 | ppn_low) << 10 | ALL | pte::N;
    map(&mut m, va, 3, 0, napot(8));
    let t = look(&mut m, va + 4, AccessKind::READ, view::S).unwrap();
    assert_eq!((t.pa, t.page_bits), (PAGE & !0xffff | 0x5004, 16));
    map(&mut m, va, 3, 0, napot(4));
    assert!(look(&mut m, va, AccessKind::READ, view::S).is_err());
    map(&mut m, va, 3, 0, leaf(PAGE, ALL | 1 << 61));
    assert!(look(&mut m, va, AccessKind::READ, view::S).is_err(), "menvcfg.PBMTE is off");
    set(&mut m, 0x30a, envcfg::PBMTE);
    assert!(look(&mut m, va, AccessKind::READ, view::S).is_ok());
    map(&mut m, va, 3, 0, leaf(PAGE, ALL | pte::PBMT));
    assert!(look(&mut m, va, AccessKind::READ, view::S).is_err(), "type 3 is reserved");
    let mut m = machine(&[("svnapot", "off")]);
    satp(&mut m, 3);
    map(&mut m, va, 3, 0, napot(8));
    assert!(look(&mut m, va, AccessKind::READ, view::S).is_err());
}

#[test]
fn physical_memory_protection() {
    let mut m = machine(&[]);
    let read = |m: &mut Machine, pa| look(m, pa, AccessKind::READ, view::S).map(|t| t.perms);
    assert_eq!(read(&mut m, PAGE), Ok(perm::READ | perm::WRITE | perm::EXEC));
    // Entry 0: a TOR region below RAM + 64 KiB that is read-only; entry 1: everything else of 256 KiB by NAPOT, execute and read.
    set(&mut m, 0x3b0, (RAM + 0x1_0000) >> 2);
    set(&mut m, 0x3b1, RAM >> 2 | (0x4_0000 >> 3) - 1);
    set(&mut m, 0x3a0, 0x1d << 8 | 0x09);
    assert_eq!(read(&mut m, RAM), Ok(perm::READ));
    assert_eq!(read(&mut m, RAM + 0x1_0000), Ok(perm::READ | perm::EXEC));
    assert_eq!(read(&mut m, RAM + 0x4_0000), Err(fault::BUS), "nothing matches");
    assert_eq!(look(&mut m, RAM, AccessKind::WRITE, view::S).err(), Some(fault::BUS));
    // Machine mode is bound by locked entries only, and those stay.
    assert_eq!(look(&mut m, RAM, AccessKind::WRITE, view::M).map(|t| t.perms), Ok(7));
    set(&mut m, 0x3a0, 0x89);
    assert_eq!(look(&mut m, RAM, AccessKind::WRITE, view::M).err(), Some(fault::BUS));
    set(&mut m, 0x3a0, 0);
    set(&mut m, 0x3b0, 0);
    assert_eq!(pmp::read_cfg(&m, 0) & 0xff, 0x89);
    assert_eq!(pmp::read_addr(&m, 0), (RAM + 0x1_0000) >> 2);
    // The grain shows: low bits are zero, or ones in a NAPOT entry.
    set(&mut m, 0x3b5, u64::MAX);
    assert_eq!(pmp::read_addr(&m, 5), (1 << 54) - 1 - 0x3ff);
    set(&mut m, 0x3a0, 0x18 << 40);
    assert_eq!(pmp::read_addr(&m, 5), (1 << 54) - 1);
    // Walks are bound too.
    let mut m = machine(&[]);
    satp(&mut m, 3);
    map(&mut m, 0x1000, 3, 0, leaf(PAGE, ALL));
    set(&mut m, 0x3b0, PAGE >> 2 | 0x1ff);
    assert_eq!(look(&mut m, 0x1000, AccessKind::READ, view::S).err(), Some(fault::BUS));
}

/// A NAPOT entry holds the addresses whose bits above its size are its base's (volume II, "Address Matching"), for each size and around its ends.
#[test]
fn sizes_of_protected_regions() {
    for ones in 9..54u32 {
        let mut m = machine(&[]);
        let size = 1u64 << (ones + 3);
        let base = RAM & !(size - 1);
        set(&mut m, 0x3b0, base >> 2 | (1 << ones) - 1);
        set(&mut m, 0x3a0, 0x19);
        let mut read = |pa: u64| pmp::permissions(&mut m, pa, privilege::S) == pmp::cfg::R;
        assert!(read(base) && read(base + size - 1), "{ones}");
        assert!(!read(base + size) && (base == 0 || !read(base - 1)), "{ones}");
    }
}

/// What is remembered of the last address is what the entries say, whatever they are and in whatever order addresses come.
#[test]
fn protection_by_random_entries() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    for _ in 0..300 {
        let mut m = machine(&[]);
        set(&mut m, 0x3a0, 0);
        for n in 0..8u16 {
            set(&mut m, 0x3b0 + n, ((random() & 0xff) << 10) | (1u64 << (random() % 14)).wrapping_sub(1));
        }
        let modes = (0..8).fold(0u64, |all, n| all | ([0, 1, 3][random() as usize % 3] << 3 | random() & 1 | random() & 4) << (8 * n));
        set(&mut m, 0x3a0, modes);
        for _ in 0..100 {
            let page = (random() & 0x1ff) << 12;
            let word = page >> 2;
            let matches = |n: usize| {
                let (address, before) = (m.pmpaddr[n], if n == 0 { 0 } else { m.pmpaddr[n - 1] });
                match modes >> (8 * n + 3) & 3 {
                    0 => false,
                    1 => (before & !0x3ff..address & !0x3ff).contains(&word),
                    _ => {
                        let bits = (address | 0x1ff).trailing_ones() + 1;
                        word >> bits == address >> bits
                    }
                }
            };
            let expected = (0..8).find(|n| matches(*n)).map_or(0, |n| (modes >> (8 * n) & 7) as u8);
            assert_eq!(pmp::permissions(&mut m, page, privilege::S), expected, "{page:#x} {modes:#x} {:x?}", m.pmpaddr);
        }
    }
}

#[test]
fn traps_delegation_and_return() {
    let mut m = machine(&[]);
    set(&mut m, 0x305, RAM + 0x100);
    set(&mut m, 0x105, RAM + 0x201);
    m.header.pc = RAM + 0x10;
    m.privilege = privilege::U;
    m.refresh_mode();
    // A page fault of a load, to machine mode.
    crate::trap::raise_access(&mut m, &access(0x1234, AccessKind::READ, view::U), PAGE_FAULT);
    assert_eq!(
        (m.privilege, m.header.pc, m.csr[word::MCAUSE], m.csr[word::MTVAL], m.csr[word::MEPC]),
        (3, RAM + 0x100, cause::LOAD_PAGE, 0x1234, RAM + 0x10)
    );
    assert_eq!(m.mpp(), 0);
    crate::trap::return_from_machine(&mut m);
    assert_eq!((m.privilege, m.header.pc), (0, RAM + 0x10));
    // Delegated: to the supervisor, and from machine mode never.
    set(&mut m, 0x302, u64::MAX);
    assert_eq!(m.csr[word::MEDELEG], csr::MEDELEG_MASK);
    crate::trap::take(&mut m, cause::ILLEGAL, 0xffff);
    assert_eq!((m.privilege, m.header.pc, m.csr[word::SCAUSE], m.csr[word::STVAL]), (1, RAM + 0x200, cause::ILLEGAL, 0xffff));
    crate::trap::return_from_supervisor(&mut m);
    assert_eq!(m.privilege, 0);
    m.privilege = privilege::M;
    crate::trap::take(&mut m, cause::ILLEGAL, 0);
    assert_eq!(m.privilege, 3);
    // Interrupts: by priority, vectored, masked by SIE in the supervisor's own mode.
    let mut m = machine(&[]);
    set(&mut m, 0x105, RAM + 0x201);
    set(&mut m, 0x303, u64::MAX);
    set(&mut m, 0x304, u64::MAX);
    assert_eq!(crate::trap::interrupt(&mut m, 8), emu_plugins_api::irq::WAKE, "SIE is off");
    set(&mut m, 0x100, mstatus::SIE);
    assert_eq!(crate::trap::interrupt(&mut m, 8), 3);
    assert_eq!((m.csr[word::SCAUSE], m.header.pc), (1 << 63 | 9, RAM + 0x200 + 36));
    assert_eq!(crate::trap::interrupt(&mut m, 1), 3, "machine interrupts are taken from below whatever MIE says");
    assert_eq!((m.privilege, m.csr[word::MCAUSE]), (3, 1 << 63 | 3));
}

#[test]
fn supervisor_timer() {
    let mut m = machine(&[]);
    set(&mut m, 0x30a, envcfg::STCE);
    set(&mut m, 0x14d, 100);
    assert_eq!((m.host().timers[&0], csr::mip(&m) & 0x20), (10_000, 0));
    m.host().clock = 10_000;
    crate::timer::update(&mut m);
    assert_eq!(csr::mip(&m) & 0x20, 0x20);
    assert_eq!(m.host().timers[&0], u64::MAX);
    set(&mut m, 0x14d, u64::MAX);
    assert_eq!(csr::mip(&m) & 0x20, 0);
}
