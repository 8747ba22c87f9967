//! Entry, return, and the checks at the head of a block.

use super::*;
use crate::mode::{ModeKey, view};
use crate::sysreg::word;
use crate::testing::{Machine, RAM};
use crate::translate;
use emu_plugins_api::ir::{Code, IrBuf, OwnedIrBuf};
use emu_plugins_api::{BlockRequest, Slice, irq};

const VBAR: u64 = 0xffff_8000_0001_0000;

fn machine() -> Machine {
    let mut m = Machine::new("max", &[]);
    m.sysreg[word::VBAR_EL1] = VBAR;
    m
}

#[test]
fn round_trip_from_el0() {
    let mut m = machine();
    // To EL0 with flags, DIT and BTYPE set.
    m.x[31] = 0x1111;
    m.sp_el[0] = 0x2222;
    m.sysreg[word::SPSR_EL1] = 0xa << 28 | spsr::DIT | spsr::SSBS | 2 << spsr::BTYPE_LSB;
    return_from(&mut m, 0x1000);
    assert_eq!((m.el, m.spsel, m.daif, m.header.pc), (0, 0, 0, 0x1000));
    assert_eq!((m.x[31], m.sp_el[1]), (0x2222, 0x1111));
    assert_eq!(m.header.event.load(Ordering::SeqCst), 1);
    let key = ModeKey(m.header.mode_key);
    assert_eq!((key.el(), key.view(), key.btype()), (0, view::EL0, 2));
    let before = m.pstate();
    assert_eq!(before, 0xa << 28 | spsr::DIT | spsr::SSBS | 2 << 10);
    // SVC goes to the vector for lower ELs and returns after itself.
    m.header.pc = 0x1000;
    call_supervisor(&mut m, 0x42);
    assert_eq!((m.el, m.spsel, m.daif, m.header.pc), (1, 1, 0xf, VBAR + 0x400));
    assert_eq!((m.sysreg[word::ELR_EL1], m.sysreg[word::ESR_EL1]), (0x1004, 0x5600_0042));
    assert_eq!(m.sysreg[word::SPSR_EL1], before);
    assert_eq!((m.x[31], m.sp_el[0]), (0x1111, 0x2222));
    // DSSBS 0; SPAN 1 at reset leaves PAN as it was.
    assert_eq!((m.ssbs, m.pan, m.dit), (0, 0, 1));
    assert_eq!(ModeKey(m.header.mode_key).btype(), 0);
    let elr = m.sysreg[word::ELR_EL1];
    return_from(&mut m, elr);
    assert_eq!((m.el, m.header.pc, m.pstate()), (0, 0x1004, before));
}

#[test]
fn vectors_of_the_same_el() {
    for (spsel, offset) in [(0, 0), (1, 0x200)] {
        let mut m = machine();
        m.set_el_and_sp(1, spsel);
        m.header.pc = 0x2000;
        take_sync(&mut m, ec::BRK, 7, None);
        assert_eq!(m.header.pc, VBAR + offset);
        assert_eq!(m.sysreg[word::ESR_EL1], 0xf200_0007);
        assert_eq!(m.sysreg[word::SPSR_EL1] & 0xf, 4 | u64::from(spsel));
    }
}

#[test]
fn entry_sets_pan_and_ssbs() {
    let mut m = machine();
    m.sysreg[word::SCTLR_EL1] = m.sysreg[word::SCTLR_EL1] & !sctlr::SPAN | sctlr::DSSBS;
    m.uao = 1;
    undefined(&mut m);
    assert_eq!((m.pan, m.ssbs, m.uao), (1, 1, 0));
    assert_eq!(ModeKey(m.header.mode_key).view(), view::EL1_PAN);
    assert_eq!(m.sysreg[word::ESR_EL1], 0x0200_0000);
}

#[test]
fn interrupts() {
    let mut m = machine();
    m.header.pc = 0x3000;
    m.daif = 0xf;
    assert_eq!(interrupt(&mut m, 0), 0);
    assert_eq!(interrupt(&mut m, 3), irq::WAKE);
    m.daif = 0;
    assert_eq!(interrupt(&mut m, 3), irq::WAKE | irq::TAKEN);
    assert_eq!((m.header.pc, m.sysreg[word::ELR_EL1]), (VBAR + 0x200 + vector::FIQ, 0x3000));
    m.daif = 1;
    assert_eq!(interrupt(&mut m, 3), irq::WAKE | irq::TAKEN);
    assert_eq!(m.header.pc, VBAR + 0x200 + vector::IRQ);
}

#[test]
fn illegal_returns() {
    for bad in [spsr::AARCH32, 2, 1, 8, 0xc, 0xd] {
        let mut m = machine();
        m.sysreg[word::SPSR_EL1] = bad | 0x5 << 28;
        return_from(&mut m, 0x1000);
        assert_eq!((m.el, m.spsel, m.il, m.nzcv()), (1, 1, 1, 5), "{bad:#x}");
        assert_eq!(ModeKey(m.header.mode_key).illegal(), 1);
    }
    let mut m = machine();
    m.sysreg[word::SPSR_EL1] = 4;
    return_from(&mut m, 0x1000);
    assert_eq!((m.el, m.spsel, m.il), (1, 0, 0));
}

#[test]
fn firmware_calls() {
    let mut m = machine();
    m.header.pc = 0x1000;
    assert!(!call_firmware(&mut m));
    assert_eq!(m.sysreg[word::ESR_EL1] >> 26, 0);
    let mut m = machine();
    m.host().firmware = Some(0x8000_0001);
    assert!(call_firmware(&mut m));
    assert_eq!(m.x[0], 0x8000_0001);
    m.set_el_and_sp(0, 0);
    assert!(!call_firmware(&mut m));
}

#[test]
fn debug_exceptions() {
    let mut m = machine();
    m.sysreg[word::MDSCR_EL1] = 1;
    m.sysreg[word::OSLSR_EL1] = 8;
    // Step to EL0: PSTATE.SS comes from SPSR.SS.
    m.sysreg[word::SPSR_EL1] = spsr::SS;
    return_from(&mut m, 0x1000);
    assert_eq!((m.ss, ModeKey(m.header.mode_key).step()), (1, 3));
    // Any exception ends the step at EL1, where debug exceptions are not enabled.
    m.header.pc = 0x1000;
    call_supervisor(&mut m, 0);
    assert_eq!((m.ss, ModeKey(m.header.mode_key).step()), (0, 0));
    assert_eq!(m.sysreg[word::SPSR_EL1] & spsr::SS, 0, "SVC counts as stepped");
    let elr = m.sysreg[word::ELR_EL1];
    return_from(&mut m, elr);
    assert_eq!(ModeKey(m.header.mode_key).step(), 1);
    // The OS lock forbids them.
    m.sysreg[word::OSLSR_EL1] = 10;
    assert!(!step::enabled(&m));
}

fn ops(arch: &Aarch64, words: &[u32], key: ModeKey, page_attrs: u32, pc: u64) -> Vec<(Code, u32, u64)> {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut buf = OwnedIrBuf::new(0);
    let request = BlockRequest { pc, mode_key: key.0, code: Slice::new(&bytes), next_page: Slice::new(&[]), max_insns: 16, page_attrs };
    let b: &mut IrBuf = &mut buf;
    translate::translate(arch, &request, b);
    b.ops().iter().filter_map(|o| o.opcode().map(|c| (c, o.aux, o.imm))).collect()
}

fn calls(ops: &[(Code, u32, u64)], helper: HelperId) -> bool {
    ops.iter().any(|(c, aux, _)| *c == Code::Call && *aux == helper.0)
}

#[test]
fn semihosting_calls() {
    const HLT_F000: u32 = 0xd45e_0000;
    const HLT_1: u32 = 0xd440_0020;
    let mut m = machine();
    assert!(calls(&ops(m.arch, &[HLT_F000], ModeKey::default(), 0, RAM), system::SEMIHOSTING));
    assert!(calls(&ops(m.arch, &[HLT_1], ModeKey::default(), 0, RAM), system::UNDEFINED));
    // Without semihosting nothing changes but that the caller raises the exception.
    (m.x[0], m.x[1]) = (0xffff_ffff_0000_0005, 0x1234);
    assert!(!call_host(&mut m));
    assert_eq!(m.x[0], 0xffff_ffff_0000_0005);
    m.host().semihosting = Some(7);
    assert!(call_host(&mut m));
    m.el = 0;
    m.sysreg[word::SCTLR_EL1] |= sctlr::E0E;
    m.refresh_mode();
    assert!(call_host(&mut m));
    assert_eq!((m.x[0], m.x[1]), (7, 0x1234));
    let made: Vec<_> = m.host().semihosting_calls.iter().map(|c| (c.operation, c.argument, c.word_bytes, c.unprivileged)).collect();
    assert_eq!(made, [(5, 0x1234, 8, 0), (7, 0x1234, 8, 1)]);
    let flags: Vec<_> = m.host().semihosting_calls.iter().map(|c| (c.view, MemFlags(c.mem_flags).has(MemFlags::BIG_ENDIAN))).collect();
    assert_eq!(flags, [(view::EL1, false), (view::EL0, true)]);
}

const NOP: u32 = 0xd503_201f;
const BTI_C: u32 = 0xd503_245f;
const BTI_J: u32 = 0xd503_249f;
const BTI_JC: u32 = 0xd503_24df;
const PACIASP: u32 = 0xd503_233f;
const BRK: u32 = 0xd420_0000;

#[test]
fn landing_pads() {
    let m = machine();
    let guarded = u32::from(attr::GUARDED);
    for (insn, allowed) in [(NOP, 0), (BTI_C, 0b0110), (BTI_J, 0b1010), (BTI_JC, 0b1110), (PACIASP, 0b1110), (BRK, 0b1110)] {
        for btype in 1..4 {
            let key = ModeKey::default().with_btype(btype);
            let ok = allowed >> btype & 1 == 1;
            assert_eq!(calls(&ops(m.arch, &[insn], key, guarded, RAM), system::BTI_FAULT), !ok, "{insn:#x} {btype}");
            assert!(!calls(&ops(m.arch, &[insn], key, 0, RAM), system::BTI_FAULT));
        }
    }
    let key = ModeKey::default().with_btype(3).with_bt(1);
    assert!(calls(&ops(m.arch, &[PACIASP], key, guarded, RAM), system::BTI_FAULT));
}

#[test]
fn blocks_that_change_their_key_are_not_chained() {
    let m = machine();
    let plain = ops(m.arch, &[NOP, 0x1400_0004], ModeKey::default(), 0, RAM);
    assert!(plain.iter().any(|o| o.0 == Code::Goto));
    let entered = ops(m.arch, &[NOP, 0x1400_0004], ModeKey::default().with_btype(1), 0, RAM);
    assert!(entered.iter().all(|o| o.0 != Code::Goto) && entered.iter().any(|o| o.0 == Code::Jump));
    // CBZ: both ways.
    let entered = ops(m.arch, &[0xb400_0080], ModeKey::default().with_btype(1), 0, RAM);
    assert_eq!(entered.iter().filter(|o| o.0 == Code::Jump).count(), 2);
    assert!(entered.iter().all(|o| !matches!(o.0, Code::Goto | Code::Branch)));
    // BTYPE is cleared before what the branch led to, but for BRK, which saves it.
    let cleared = |insn| ops(m.arch, &[insn], ModeKey::default().with_btype(1), 0, RAM).iter().any(|o| o.0 == Code::Set);
    assert!(cleared(0xd400_0001), "SVC");
    assert!(!cleared(0xd420_0000), "BRK");
}

#[test]
fn stepped_blocks() {
    let m = machine();
    let one = ops(m.arch, &[NOP, NOP], ModeKey::default().with_step(3), 0, RAM);
    assert_eq!(one.iter().filter(|o| o.0 == Code::InsnStart).count(), 1);
    assert!(matches!(one.last(), Some((Code::Exit, ..))));
    assert!(one.iter().any(|o| o.0 == Code::Set && o.2 == u64::from(offset::SS)));
    assert!(calls(&ops(m.arch, &[NOP], ModeKey::default().with_step(1), 0, RAM), system::SOFTWARE_STEP));
    assert!(calls(&ops(m.arch, &[NOP], ModeKey::default().with_illegal(1), 0, RAM), system::ILLEGAL_STATE));
    assert!(calls(&ops(m.arch, &[NOP], ModeKey::default(), 0, RAM + 2), system::PC_ALIGNMENT));
}
