//! The table, and what its rows do.

use super::*;
use crate::decode::{MrsReg, MsrReg, Sys};
use crate::mode::ModeKey;
use crate::model;
use crate::testing::{Machine, create};
use crate::translate::Translator;
use emu_plugins_api::FlushKind;
use emu_plugins_api::ir::{Code, OwnedIrBuf, verify};

fn get(m: &mut Machine, name: &str) -> u64 {
    read(m, by_name(name).expect("a register")).expect("it is readable")
}
fn set(m: &mut Machine, name: &str, value: u64) {
    assert!(write(m, by_name(name).expect("a register"), value), "{name}");
}

fn fields(k: u16) -> (u32, u32, u32, u32, u32) {
    let k = u32::from(k);
    (k >> 14, k >> 11 & 7, k >> 7 & 15, k >> 3 & 15, k & 7)
}

/// What the translation of an access calls.
fn calls(arch: &Aarch64, key: ModeKey, f: impl FnOnce(&mut Translator<'_>)) -> Vec<u32> {
    let mut buf = OwnedIrBuf::new(0);
    let mut t = Translator::for_tests(arch, key, &mut buf);
    f(&mut t);
    if !t.has_ended() {
        t.end_and_look();
    }
    let helpers = crate::helper::all().len() as u32;
    let ops = buf.ops();
    verify(ops, buf.next_slot, 0, size_of::<State>() as u64, helpers).expect("it verifies");
    ops.iter().filter(|o| o.opcode() == Some(Code::Call)).map(|o| o.aux).collect()
}

fn mrs(arch: &Aarch64, key: ModeKey, k: u16) -> Vec<u32> {
    let (op0, op1, crn, crm, op2) = fields(k);
    calls(arch, key, |t| super::translate::mrs(t, &MrsReg { o0: op0 & 1, op1, crn, crm, op2, rt: 1 }))
}
fn msr(arch: &Aarch64, key: ModeKey, k: u16) -> Vec<u32> {
    let (op0, op1, crn, crm, op2) = fields(k);
    calls(arch, key, |t| super::translate::msr(t, &MsrReg { o0: op0 & 1, op1, crn, crm, op2, rt: 1 }))
}

#[test]
fn sorted_and_named_once() {
    assert!(ROWS.windows(2).all(|w| w[0].key < w[1].key));
    let mut names: Vec<_> = ROWS.iter().map(|r| r.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|w| w[0] != w[1]));
    assert!(ROWS.iter().all(|r| r.word == NO_WORD || usize::from(r.word) < WORDS));
    // EL0 never has a right that EL1 lacks.
    assert!(ROWS.iter().all(|r| r.el0 & !r.el1 == 0));
}

#[test]
fn access_rights() {
    use crate::helper::system::{SYSREG_TRAP, UNDEFINED};
    let arch = create("max", &[]).unwrap();
    let (el0, el1) = (ModeKey::default(), ModeKey::default().with_el(1).with_spsel(1).with_el0_access(0xf));
    for row in ROWS.iter().filter(|r| r.feature.is_none_or(|f| arch.has(f))) {
        assert_eq!(mrs(&arch, el1, row.key).contains(&UNDEFINED.0), row.el1 & 1 == 0, "{}", row.name);
        assert_eq!(msr(&arch, el1, row.key).contains(&UNDEFINED.0), row.el1 & 2 == 0, "{}", row.name);
        let refused = |calls: Vec<u32>| calls.contains(&UNDEFINED.0) || calls.contains(&SYSREG_TRAP.0);
        assert_eq!(refused(mrs(&arch, el0, row.key)), row.el0 & 1 == 0 || matches!(row.check, Check::Uct | Check::Uma), "{}", row.name);
        assert_eq!(refused(msr(&arch, el0, row.key)), row.el0 & 2 == 0 || matches!(row.check, Check::Uct | Check::Uma), "{}", row.name);
    }
    // The ID space traps at EL0 with FEAT_IDST, is UNDEFINED without; what is reserved reads as zero at EL1.
    let id_pfr0 = key(3, 0, 0, 1, 0);
    assert_eq!(mrs(&arch, el0, id_pfr0), [SYSREG_TRAP.0]);
    assert!(mrs(&arch, el1, id_pfr0).is_empty());
    let a72 = create("cortex-a72", &[]).unwrap();
    assert_eq!(mrs(&a72, el0, id_pfr0), [UNDEFINED.0]);
    // Features gate rows; EL2's registers do not exist.
    assert_eq!(mrs(&a72, el1, by_name("APIAKeyLo_EL1").unwrap().key), [UNDEFINED.0]);
    assert_eq!(mrs(&arch, el1, key(3, 4, 1, 1, 0)), [UNDEFINED.0]);
    // Plain storage needs no call.
    assert!(mrs(&arch, el1, by_name("TPIDR_EL1").unwrap().key).is_empty());
    assert!(msr(&arch, el0, by_name("TPIDR_EL0").unwrap().key).is_empty());
    assert!(mrs(&arch, el1, by_name("SP_EL0").unwrap().key).is_empty());
    assert_eq!(mrs(&arch, el1.with_spsel(0), by_name("SP_EL0").unwrap().key), [UNDEFINED.0]);
}

#[test]
fn every_system_instruction_verifies() {
    use crate::helper::system::{DC, SYSREG_TRAP, TLBI, UNDEFINED};
    let arch = create("max", &[]).unwrap();
    let mut known = 0;
    for el in [0, 1] {
        for n in 0..1u32 << 14 {
            let (op1, crn, crm, op2) = (n >> 11, n >> 7 & 15, n >> 3 & 15, n & 7);
            let mode = ModeKey::default().with_el(el).with_el0_access(0xf);
            let c = calls(&arch, mode, |t| super::translate::sys(t, &Sys { op1, crn, crm, op2, rt: 2 }));
            known += u32::from(!c.contains(&UNDEFINED.0));
        }
    }
    // 8 of cache maintenance by address that EL0 has too, with ZVA and IVAU, and so on: the table of `classify`, twice where EL0 has it.
    assert!(known > 80, "{known}");
    let at = |key: ModeKey, op1, crn, crm, op2| calls(&arch, key, |t| super::translate::sys(t, &Sys { op1, crn, crm, op2, rt: 2 }));
    assert_eq!(at(ModeKey::default(), 3, 7, 10, 1), [SYSREG_TRAP.0], "DC CVAC at EL0 without UCI");
    assert_eq!(at(ModeKey::default().with_el0_access(4), 3, 7, 10, 1), [DC.0]);
    assert_eq!(at(ModeKey::default(), 0, 8, 7, 1), [UNDEFINED.0]);
    assert_eq!(at(ModeKey::default().with_el(1), 0, 8, 7, 1), [TLBI.0]);
    assert!(at(ModeKey::default().with_el0_access(1), 3, 7, 4, 1).is_empty(), "DC ZVA is stores");
}

#[test]
fn traps_of_el0() {
    let mut m = Machine::new("max", &[]);
    m.set_el_and_sp(0, 0);
    let trapped = |m: &Machine, name: &str, write| is_trapped(m, by_name(name).unwrap(), write);
    assert!(trapped(&m, "CNTVCT_EL0", false) && trapped(&m, "CNTP_CTL_EL0", true) && trapped(&m, "PMCCNTR_EL0", false));
    m.sysreg[word::CNTKCTL_EL1] = 2;
    m.sysreg[word::PMUSERENR_EL0] = 4;
    assert!(!trapped(&m, "CNTVCT_EL0", false) && trapped(&m, "CNTPCT_EL0", false) && !trapped(&m, "CNTFRQ_EL0", false));
    assert!(!trapped(&m, "PMCCNTR_EL0", false) && trapped(&m, "PMCCNTR_EL0", true));
    assert_eq!(crate::exception::syndrome::system_register(key(3, 3, 14, 0, 2), 5, true), 3 << 20 | 2 << 17 | 3 << 14 | 14 << 10 | 5 << 5 | 1);
}

#[test]
fn timer() {
    let mut m = Machine::new("max", &[]);
    m.host().clock = 1_000_000;
    assert_eq!(get(&mut m, "CNTVCT_EL0"), 62_500);
    assert_eq!(get(&mut m, "CNTFRQ_EL0"), 62_500_000);
    set(&mut m, "CNTV_TVAL_EL0", 1000);
    set(&mut m, "CNTV_CTL_EL0", 1);
    assert_eq!(m.host().timers[&1], 1_016_000);
    assert_eq!((get(&mut m, "CNTV_CTL_EL0"), get(&mut m, "CNTV_TVAL_EL0")), (1, 1000));
    m.host().clock = 1_016_000;
    timer::update(&mut m, timer::Timer::Virtual);
    assert!(m.host().outputs[&1]);
    assert_eq!(get(&mut m, "CNTV_CTL_EL0"), 5);
    m.host().clock = 1_032_000;
    assert_eq!(get(&mut m, "CNTV_TVAL_EL0"), 0xffff_fc18);
    set(&mut m, "CNTV_CTL_EL0", 3);
    assert!(!m.host().outputs[&1]);
    set(&mut m, "CNTV_CTL_EL0", 1);
    assert!(m.host().outputs[&1]);
    set(&mut m, "CNTV_CVAL_EL0", u64::MAX);
    assert!(!m.host().outputs[&1]);
    assert_eq!(m.host().timers[&1], u64::MAX);
    set(&mut m, "CNTP_TVAL_EL0", 0xffff_ffff);
    set(&mut m, "CNTP_CTL_EL0", 1);
    assert!(m.host().outputs[&0]);
    // WFIT: a deadline in the past does not wait.
    let now = get(&mut m, "CNTVCT_EL0");
    assert!(!timer::wait_until(&mut m, now) && timer::wait_until(&mut m, now + 1));
}

#[test]
fn performance_monitors() {
    let mut m = Machine::new("max", &[]);
    assert_eq!(get(&mut m, "PMCR_EL0") >> 11 & 31, 6);
    set(&mut m, "PMEVTYPER1_EL0", 8);
    set(&mut m, "PMEVTYPER2_EL0", 0);
    set(&mut m, "PMCNTENSET_EL0", 1 << 31 | 0b110);
    set(&mut m, "PMCR_EL0", 1);
    m.host().clock = 500;
    m.header.insns = 200;
    assert_eq!((get(&mut m, "PMCCNTR_EL0"), get(&mut m, "PMEVCNTR1_EL0")), (500, 200));
    set(&mut m, "PMSWINC_EL0", 0b111);
    set(&mut m, "PMSELR_EL0", 2);
    assert_eq!(get(&mut m, "PMXEVCNTR_EL0"), 1);
    // Filtered at EL1.
    set(&mut m, "PMCCFILTR_EL0", 1 << 31);
    m.host().clock = 900;
    assert_eq!(get(&mut m, "PMCCNTR_EL0"), 500);
    set(&mut m, "PMCCFILTR_EL0", 0);
    // Overflow of the cycle counter, of 64 bits.
    set(&mut m, "PMINTENSET_EL1", 1 << 31);
    set(&mut m, "PMCCNTR_EL0", u64::MAX - 5000);
    assert_eq!(m.host().timers[&timer::PMU_TIMER], 900 + 5000);
    m.host().clock = 900 + 5001;
    pmu::expired(&mut m);
    assert!(m.host().outputs[&timer::PMU_OUTPUT]);
    assert_eq!(get(&mut m, "PMOVSSET_EL0"), 1 << 31);
    set(&mut m, "PMOVSCLR_EL0", 1 << 31);
    assert!(!m.host().outputs[&timer::PMU_OUTPUT]);
}

#[test]
fn tlb_maintenance() {
    let mut m = Machine::new("max", &[]);
    set(&mut m, "TCR_EL1", 1 << 36 | 16 | 16 << 16 | 2 << 30);
    let mut flush = |crm, op2, x| {
        m.host().flushes.clear();
        maintenance::tlb_invalidate(&mut m, x, key(1, 0, 8, crm, op2));
        m.host().flushes[0]
    };
    let f = flush(7, 0, 0);
    assert_eq!((f.kind, f.broadcast), (FlushKind::ALL, 0));
    let f = flush(3, 2, 0x1234 << 48);
    assert_eq!((f.kind, f.asid, f.broadcast), (FlushKind::ASID, 0x1234, 1));
    // VAE1 of an address in the upper half.
    let f = flush(7, 1, 7 << 48 | (0xffff_8000_1234_5000_u64 >> 12 & 0xfff_ffff_ffff));
    assert_eq!((f.kind, f.asid, f.va, f.last), (FlushKind::VA, 7, 0xffff_8000_1234_5000, 0xffff_8000_1234_5fff));
    let f = flush(3, 7, 0x4000_0000 >> 12);
    assert_eq!((f.kind, f.va), (FlushKind::VA_ALL_ASIDS, 0x4000_0000));
    // RVAE1IS: 4 KB, SCALE 1, NUM 2: 3 << 6 pages.
    let f = flush(2, 1, 9 << 48 | 1 << 46 | 1 << 44 | 2 << 39 | 0x4000_0000 >> 12);
    assert_eq!((f.kind, f.asid, f.va, f.last), (FlushKind::VA, 9, 0x4000_0000, 0x4000_0000 + (3 << 18) - 1));
}

#[test]
fn translation_registers() {
    let mut m = Machine::new("max", &[]);
    set(&mut m, "TTBR0_EL1", 0x1234 << 48);
    assert_eq!(m.host().asid, 0x34, "8 bits without TCR_EL1.AS");
    set(&mut m, "TCR_EL1", 1 << 36);
    assert_eq!(m.host().asid, 0x1234);
    assert_eq!(m.host().flushes.len(), 1);
    let s = m.sctlr();
    set(&mut m, "SCTLR_EL1", s | 1);
    assert_eq!(m.host().flushes.len(), 2);
    set(&mut m, "TTBR1_EL1", 0x77 << 48);
    set(&mut m, "TCR_EL1", 1 << 36 | 1 << 22);
    assert_eq!(m.host().asid, 0x77);
}

#[test]
fn floating_point_status() {
    let mut m = Machine::new("max", &[]);
    set(&mut m, "FPSR", 0xffff_ffff);
    assert_eq!(get(&mut m, "FPSR"), 0x0800_009f);
    assert_eq!(m.header.fp_flags, 0x13f);
    m.header.fp_flags = 1 << 8 | 1 << 4;
    assert_eq!(get(&mut m, "FPSR"), 0x0800_0010);
    set(&mut m, "FPCR", u64::MAX);
    let fpcr = get(&mut m, "FPCR");
    assert_eq!(fpcr & 0x07c8_0000, 0x07c8_0000);
    let k = ModeKey(m.header.mode_key);
    assert_eq!((k.rmode(), k.fz(), k.dn(), k.ahp(), k.fz16()), (3, 1, 1, 1, 1));
    let mut m = Machine::new("cortex-a72", &[]);
    set(&mut m, "FPCR", u64::MAX);
    assert_eq!(get(&mut m, "FPCR"), 0x07c0_0000, "no FZ16, no AH");
}

#[test]
fn interrupt_controller_interface() {
    let mut m = Machine::new("max", &[]);
    assert_eq!(get(&mut m, "ID_AA64PFR0_EL1") >> 24 & 15, 0);
    assert_eq!(read(&mut m, by_name("ICC_PMR_EL1").unwrap()), None);
    m.host().bank.insert(u32::from(key(3, 0, 12, 12, 5)), 7);
    assert_eq!(get(&mut m, "ID_AA64PFR0_EL1") >> 24 & 15, 1);
    assert_eq!(get(&mut m, "ICC_SRE_EL1"), 7);
}

#[test]
fn mode_follows_registers() {
    let mut m = Machine::new("max", &[]);
    let k = |m: &Machine| ModeKey(m.header.mode_key);
    assert_eq!((k(&m).el(), k(&m).fp_trap(), k(&m).spsel()), (1, 3, 1));
    set(&mut m, "CPACR_EL1", 1 << 20);
    assert_eq!(k(&m).fp_trap(), 0);
    set(&mut m, "PAN", 1 << 22);
    assert_eq!(k(&m).view(), crate::mode::view::EL1_PAN);
    set(&mut m, "TCR_EL1", 3 << 37 | 1 << 52);
    assert_eq!(k(&m).tbi_insn(), 1);
    set(&mut m, "SCTLR_EL1", u64::MAX);
    assert_eq!((k(&m).align_check(), k(&m).pauth_ia(), k(&m).big_endian(), k(&m).bt()), (1, 1, 1, 1));
}

/// No model says that it has what is not implemented, and the ID registers say what the gates answer.
#[test]
fn identification_is_consistent() {
    let implemented = crate::feature::implemented();
    for name in model::names() {
        let arch = create(name, &[]).unwrap();
        let register = |r: &str| by_name(r).map_or(0, |row| arch.id_value(row));
        let said = model::features_of(&register);
        for f in said.iter() {
            assert!(implemented.has(f), "{name} advertises FEAT_{}", f.name());
            assert!(arch.has(f), "{name} advertises FEAT_{} but its gate is closed", f.name());
        }
        for field in crate::feature::FIELDS {
            for (_, f) in field.values {
                assert_eq!(said.has(*f), arch.has(*f), "{name}: FEAT_{}", f.name());
            }
        }
        // Neither AArch32 nor EL2 nor EL3, and none of the extensions that do not exist.
        assert_eq!(register("ID_AA64PFR0_EL1") & 0xffff, 0x11);
        assert_eq!(register("ID_AA64PFR0_EL1") >> 32 & 0xfff, 0, "SVE, SEL2, MPAM");
        assert_eq!(register("ID_AA64PFR1_EL1") >> 8 & 15, 0, "MTE");
        assert_eq!(register("ID_AA64PFR1_EL1") >> 24 & 15, 0, "SME");
    }
    let a72 = create("cortex-a72", &[]).unwrap();
    let id = |r| a72.id_value(by_name(r).unwrap());
    assert_eq!(id("MIDR_EL1"), 0x410f_d083);
    assert_eq!(id("ID_AA64ISAR0_EL1"), 0x11120);
    // Without SNSMem, which a core without EL3 does not need.
    assert_eq!(id("ID_AA64MMFR0_EL1"), 0x0124);
    assert_eq!(id("ID_AA64DFR0_EL1"), 0x1030_5106);
}

#[test]
fn options() {
    let error = |model, options: &[(&str, &str)]| create(model, options).err().expect("an error");
    assert_eq!(error("cortex-a27", &[]), "there is no CPU model 'cortex-a27'; did you mean 'cortex-a72'?");
    assert_eq!(error("max", &[("pauht", "on")]), "there is no CPU option 'pauht'; did you mean 'pauth'?");
    assert!(error("max", &[("el2", "on")]).contains("not implemented yet"));
    assert!(error("max", &[("sve", "on")]).contains("FEAT_SVE is not implemented"));
    assert!(error("max", &[("lse", "maybe")]).contains("'on' or 'off'"));
    assert!(error("max", &[("pauth-qarma3", "on"), ("pauth-qarma5", "on")]).contains("exclude each other"));
    let arch = create("max", &[("lse", "off"), ("el2", "off"), ("pauth-qarma5", "on")]).unwrap();
    assert!(!arch.has(Feature::LSE) && !arch.has(Feature::LSE128));
    assert_eq!(arch.pauth_algorithm(), crate::PauthAlgorithm::Qarma5);
    let isar1 = arch.id_value(by_name("ID_AA64ISAR1_EL1").unwrap());
    assert_eq!((isar1 >> 4 & 15 != 0, isar1 >> 24 & 15, isar1 >> 8 & 15, isar1 >> 28 & 15), (true, 1, 0, 0));
    let arch = create("max", &[("pauth", "off")]).unwrap();
    assert!(!arch.has(Feature::PAuth) && !arch.has(Feature::PAuth2) && !arch.has(Feature::FPAC));
    assert_eq!(arch.id_value(by_name("ID_AA64ISAR1_EL1").unwrap()) & 0xff0, 0);
    let arch = create("cortex-a72", &[("lse", "on")]).unwrap();
    assert!(arch.has(Feature::LSE));
}

/// A kernel that has an ASID for itself and the next one, with other tables of its own half, for each program.
#[test]
fn pairs_of_asids_have_views_of_their_own() {
    use crate::mode::view;
    let mut m = Machine::new("max", &[]);
    let k = |m: &Machine| ModeKey(m.header.mode_key);
    set(&mut m, "TCR_EL1", 1 << 36 | 1 << 22);
    let (own, program) = (0x4000_0000 | 6 << 48, 0x4000_1000 | 7 << 48);
    // Another address space each time is no pair, nor is the next ASID with the same tables.
    for n in 0..40u64 {
        set(&mut m, "TTBR1_EL1", 0x4000_0000 + n % 2 * 0x1000 | n * 2 << 48);
    }
    for n in 0..40u64 {
        set(&mut m, "TTBR1_EL1", 0x4000_0000 | n << 48);
        assert_eq!((m.host().views, k(&m).view()), (0xf, view::EL1));
    }
    for _ in 0..40 {
        set(&mut m, "TTBR1_EL1", own);
        set(&mut m, "TTBR1_EL1", program);
    }
    assert_eq!((m.host().asid, m.host().views, k(&m).view(), k(&m).unpriv_view()), (7, 0xf0, view::EL1 | view::OTHER, view::EL0 | view::OTHER));
    set(&mut m, "PAN", 1 << 22);
    assert_eq!(k(&m).view(), view::EL1_PAN | view::OTHER);
    set(&mut m, "TTBR1_EL1", own);
    assert_eq!((m.host().asid, m.host().views, k(&m).view(), k(&m).unpriv_view()), (6, 0xf, view::EL1_PAN, view::EL0));
    let arch = m.arch;
    emu_plugins_api::Architecture::reset(arch, &mut m);
    assert_eq!((m.host().views, k(&m).view()), (0xf, view::EL1));
}
