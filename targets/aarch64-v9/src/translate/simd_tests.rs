//! Tests of the floating-point, Advanced SIMD and cryptographic translations as a whole.

use super::tests::{Random, block, model};
use super::*;
use crate::decode::{ROWS, Status};
use crate::exception::FP_TRAP;
use emu_plugins_api::ir::{Code, Op};
use emu_plugins_api::softfloat::Mode;

/// The implemented rows of the tables that this part of the translator is for.
fn rows() -> impl Iterator<Item = &'static Row> {
    let tables = ["fp_scalar", "advsimd_", "crypto"];
    ROWS.iter().filter(move |r| matches!(r.status, Status::Implemented(_)) && tables.iter().any(|t| r.source.starts_with(t)))
}

/// A mode key as they occur, with every FPCR control.
fn random_key(random: &mut Random) -> ModeKey {
    let r = random.next();
    ModeKey::default()
        .with_el(r as u32 & 1)
        .with_align_check((r >> 8) as u32 & 1)
        .with_sp_check((r >> 9) as u32 & 1)
        .with_big_endian((r >> 10) as u32 & 1)
        .with_rmode((r >> 16) as u32 & 3)
        .with_fz((r >> 18) as u32 & 1)
        .with_dn((r >> 19) as u32 & 1)
        .with_fz16((r >> 20) as u32 & 1)
        .with_ahp((r >> 21) as u32 & 1)
        .with_ah((r >> 22) as u32 & 1)
        .with_fiz((r >> 23) as u32 & 1)
        .with_nep((r >> 24) as u32 & 1)
        .with_ebf((r >> 25) as u32 & 1)
}

fn calls(ops: &[Op], helper: HelperId) -> bool {
    ops.iter().any(|op| op.opcode() == Some(Code::Call) && op.aux == helper.0)
}

/// A word with the row's fixed bits.
fn random_word(row: &Row, random: &mut Random) -> u32 {
    row.bits | random.next() as u32 & !row.mask
}

/// Random operands of every row, in random modes, give ops that the verifier accepts; and every row has operands that are not UNDEFINED.
#[test]
fn every_row_verifies() {
    let arch = model();
    let mut random = Random::new();
    let mut count = 0;
    for row in rows() {
        count += 1;
        let mut defined = false;
        for _ in 0..24 {
            let word = random_word(row, &mut random);
            let buf = block(&arch, &[word], random_key(&mut random), 0);
            defined |= !calls(buf.ops(), system::UNDEFINED);
        }
        assert!(defined, "{}: every word is UNDEFINED", row.name);
    }
    assert!(count > 800, "{count} rows");
}

/// With the trap enabled every instruction does nothing but take it, unless it is UNDEFINED.
#[test]
fn every_row_traps() {
    let arch = model();
    let mut random = Random::new();
    for row in rows() {
        for _ in 0..4 {
            let word = random_word(row, &mut random);
            let buf = block(&arch, &[word], random_key(&mut random).with_fp_trap(1 | 2 << 1), 0);
            let ops = buf.ops();
            assert!(calls(ops, FP_TRAP) || calls(ops, system::UNDEFINED), "{}: {word:#010x}", row.name);
            let changes = |op: &Op| matches!(op.opcode(), Some(Code::Set | Code::Load | Code::Store));
            assert!(!ops.iter().any(changes), "{}: {word:#010x}", row.name);
        }
    }
}

/// The op of a one-instruction block with the given opcode.
fn find_op(word: u32, key: ModeKey, code: Code) -> Op {
    let buf = block(&model(), &[word], key, 0);
    let found = buf.ops().iter().find(|op| op.opcode() == Some(code)).copied();
    found.unwrap_or_else(|| panic!("{word:#010x} has no {code:?}"))
}

/// The mode of floating-point ops is the FPCR, bit by bit.
#[test]
fn mode_is_fpcr() {
    let fadd = 0x1e62_2820; // FADD D0, D1, D2
    for fpcr in [0u32, 1, 2, 1 << 13, 1 << 19, 1 << 22, 2 << 22, 3 << 22, 1 << 24, 1 << 25, 1 << 26] {
        let key = ModeKey::default()
            .with_fiz(fpcr & 1)
            .with_ah(fpcr >> 1 & 1)
            .with_ebf(fpcr >> 13 & 1)
            .with_fz16(fpcr >> 19 & 1)
            .with_rmode(fpcr >> 22 & 3)
            .with_fz(fpcr >> 24 & 1)
            .with_dn(fpcr >> 25 & 1)
            .with_ahp(fpcr >> 26 & 1);
        let op = find_op(fadd, key, Code::FAdd);
        assert_eq!(Mode::from_bits(op.aux).without(Mode::RPRES), Mode::from_bits(fpcr), "{fpcr:#x}");
    }
}

/// Static arguments that decide which instruction it is.
#[test]
fn static_arguments() {
    let plain = ModeKey::default();
    let zero = plain.with_rmode(3);
    // FMADD, FMSUB, FNMADD, FNMSUB D0, D1, D2, D3.
    for (word, negate) in [(0x1f42_0c20, 0), (0x1f42_8c20, 1), (0x1f62_0c20, 3), (0x1f62_8c20, 2)] {
        assert_eq!(find_op(word, plain, Code::FMulAdd).imm, negate, "{word:#x}");
    }
    // FRINTX, FRINTI, FRINTA D0, D1 under RMode 3.
    for (word, imm) in [(0x1e67_4020, 3 | 8), (0x1e67_c020, 3), (0x1e66_4020, 4)] {
        assert_eq!(find_op(word, zero, Code::FRoundInt).imm, imm, "{word:#x}");
    }
    // FCVTAU X0, D1; FCVTZS W0, S1, #4.
    assert_eq!(find_op(0x9e65_0020, plain, Code::FToInt).imm, 4 | 8 | u64::from(Ty::F64.0) << 16);
    assert_eq!(find_op(0x1e18_f020, plain, Code::FToInt).imm, 3 | 4 << 8 | u64::from(Ty::F32.0) << 16);
    // SQRSHRN V0.8B, V1.8H, #3.
    let narrow = find_op(0x0f0d_9c20, plain, Code::Narrow);
    assert_eq!((narrow.ty, narrow.imm, narrow.aux & 7), (Ty::I16, 3, 1 | 4));
    // USDOT V0.4S, V1.16B, V2.16B; SUDOT V0.4S, V1.16B, V2.4B[0].
    assert_eq!(find_op(0x4e82_9c20, plain, Code::Dot4).aux, 2);
    assert_eq!(find_op(0x4f02_f020, plain, Code::Dot4).aux, 1);
    // FCMLA's second rotation negates the even elements of the swapped operand.
    assert_eq!(find_op(0x6e82_cc20, plain, Code::Xor).ty, Ty::I32);
}

/// Under FPCR.NEP a scalar result keeps the upper elements of the register that the manual names for the instruction.
#[test]
fn nep_merges() {
    let nep = ModeKey::default().with_nep(1);
    // FADD S0, S1, S2: V1; FMADD S0, S1, S2, S3: V3; FCMGT S0, S1, S2: V2; FSQRT S0, S1: V0; FMLA S0, S1, V2.S[0]: V0.
    for (word, from) in [(0x1e22_2820, 1), (0x1f02_0c20, 3), (0x7ea2_e420, 2), (0x1e21_c020, 0), (0x5f82_1020, 0)] {
        let buf = block(&model(), &[word], nep, 0);
        let ops = buf.ops();
        let lane = ops.iter().find(|op| op.opcode() == Some(Code::SetLane)).unwrap_or_else(|| panic!("{word:#x}"));
        let merged = ops.iter().find(|op| op.opcode() == Some(Code::Get) && op.dst == lane.a).unwrap_or_else(|| panic!("{word:#x}"));
        assert_eq!(merged.imm, u64::from(crate::state::offset::v(from)), "{word:#x}");
        let plain = block(&model(), &[word], ModeKey::default(), 0);
        assert!(!plain.ops().iter().any(|op| op.opcode() == Some(Code::SetLane)), "{word:#x}");
    }
    // FCMGT S0, S1, #0.0 and FADDP S0, V1.2S do not merge.
    for word in [0x5ea0_c820, 0x7e30_d820] {
        let buf = block(&model(), &[word], nep, 0);
        assert!(!buf.ops().iter().any(|op| op.opcode() == Some(Code::SetLane)), "{word:#x}");
    }
}

/// Structure loads write registers after the last load, so that a fault leaves them unchanged.
#[test]
fn loads_come_first() {
    let arch = model();
    let mut random = Random::new();
    for row in rows().filter(|r| r.source.starts_with("advsimd_ldst")) {
        for _ in 0..16 {
            let word = random_word(row, &mut random);
            let buf = block(&arch, &[word], random_key(&mut random), 0);
            let ops = buf.ops();
            let access = |op: &Op| matches!(op.opcode(), Some(Code::Load | Code::Store));
            let first_set = ops.iter().position(|op| op.opcode() == Some(Code::Set)).unwrap_or(ops.len());
            assert!(!ops[first_set..].iter().any(access), "{}: {word:#010x}", row.name);
        }
    }
}
