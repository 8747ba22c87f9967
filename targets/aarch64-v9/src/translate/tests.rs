//! Tests of the translator as a whole.

use super::*;
use crate::decode::{ROWS, Status};
use crate::state::State;
use emu_plugins_api::Slice;
use emu_plugins_api::ir::{Code, OwnedIrBuf, print, verify};

pub(super) const PC: u64 = 0x40_1000;

/// xorshift64*, seeded by EMU_SEED.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Random {
        let seed = std::env::var("EMU_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_240_607_u64);
        println!("EMU_SEED={seed}");
        Random(seed | 1)
    }
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Translates words in a mode; the buffer has passed the verifier.
pub(super) fn block(arch: &Aarch64, words: &[u32], key: ModeKey, page_attrs: u32) -> OwnedIrBuf {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut buf = OwnedIrBuf::new(0);
    let request =
        BlockRequest { pc: PC, mode_key: key.0, code: Slice::new(&bytes), next_page: Slice::new(&[]), max_insns: words.len() as u32, page_attrs };
    let info = translate(arch, &request, &mut buf);
    assert!(info.insns >= 1 && info.insns <= words.len() as u32);
    let helpers = crate::helper::all().len() as u32;
    if let Err(e) = verify(buf.ops(), buf.next_slot, 0, size_of::<State>() as u64, helpers) {
        panic!("{words:08x?} in {key:x?}: {e}\n{}", print(buf.ops()));
    }
    buf
}

/// A model with every feature, implemented or not.
pub(super) fn model() -> Aarch64 {
    let model = crate::model::Model::find("max").expect("the model exists");
    Aarch64::build(model, Feature::ALL.into_iter().collect(), crate::PauthAlgorithm::ImpDef)
}

/// A mode key as they occur.
fn random_key(random: &mut Random) -> ModeKey {
    let r = random.next();
    // Reserved bits and what `begin_block` acts on stay zero.
    ModeKey(r & 0x0001_ffff_0000_0000)
        .with_el(r as u32 & 1)
        .with_view((r >> 2) as u32 & 7)
        .with_unpriv_view((r >> 5) as u32 & 7)
        .with_align_check((r >> 8) as u32 & 1)
        .with_sp_check((r >> 9) as u32 & 1)
        .with_big_endian((r >> 10) as u32 & 1)
        .with_pauth_ia((r >> 11) as u32 & 1)
        .with_pac_lower(if r >> 11 & 2 != 0 { 48 } else { 0 })
        .with_pac_upper(if r >> 11 & 2 != 0 { 48 } else { 0 })
        .with_tbi_insn((r >> 20) as u32 & 3)
        .with_naa((r >> 18) as u32 & 1)
        .with_mops((r >> 19) as u32 & 1)
        .with_fp_trap(if r >> 15 & 7 == 0 { 3 } else { 0 })
}

/// Every implemented row of the base instructions, with random operands in random modes, gives ops that the verifier accepts.
#[test]
fn every_base_row_verifies() {
    let arch = model();
    let mut random = Random::new();
    let mut rows = 0;
    for row in &ROWS {
        if !matches!(row.status, Status::Implemented(_)) || !row.source.starts_with("base_") && !row.source.starts_with("mops") {
            continue;
        }
        rows += 1;
        let mut defined = false;
        for _ in 0..40 {
            let mut word = row.bits | random.next() as u32 & !row.mask;
            if row.source.starts_with("mops") {
                // The size must be zero.
                word &= !0 >> 2;
            }
            let key = random_key(&mut random);
            let buf = block(&arch, &[word], key, random.next() as u32 & 2);
            defined |= !buf.ops().iter().any(|op| op.opcode() == Some(Code::Call) && op.aux == system::UNDEFINED.0);
        }
        // UDF and the debug ones always are; of the space of system registers, most is.
        let may = ["udf", "hlt", "dcps", "drps", "sys", "sysl", "mrs_reg", "msr_reg", "msr_imm"].map(Status::Implemented).contains(&row.status);
        assert!(defined || may, "{}: every word is UNDEFINED", row.name);
    }
    assert!(rows > 800, "{rows} rows");
}

/// Golden ops of a few instructions: what the code generator sees.
#[test]
fn ops_of_common_instructions() {
    let cases: &[(u32, &str)] = &[
        // subs x0, x1, x2: the carry is an unsigned comparison of the operands.
        (0xeb02_0020, "sub.i64"),
        (0xeb02_0020, "ule"),
        (0xeb02_0020, "sub_overflow"),
        // lsl x0, x1, #4, ubfx, sbfiz: shifts and fields, no masks.
        (0xd37c_ec20, "shl"),
        (0xd344_1c20, "extract"),
        (0x937c_0c20, "sextract"),
        // extr, ror.
        (0x93c2_1020, "concat_shr"),
        (0x93c1_1020, "rotr"),
        // cset w0, eq.
        (0x1a9f_17e0, "zext"),
        // ldp x0, x1, [x2]: one 16-byte access under FEAT_LSE2.
        (0xa940_0440, "load.i128"),
        // ldar, ldaxr, stlxr, swpal, casal.
        (0xc8df_fc20, "load.i64"),
        (0xc85f_fc20, "load_ex"),
        (0xc802_fc20, "store_ex"),
        (0xf8e2_8020, "rmw"),
        (0xc8e2_fc20, "cas"),
        // dmb ish.
        (0xd503_3bbf, "fence"),
    ];
    let arch = model();
    for (word, op) in cases {
        let text = print(block(&arch, &[*word], ModeKey::default(), 0).ops());
        assert!(text.contains(op), "{word:08x} has no {op}:\n{text}");
    }
}

/// SP is looked at where it may be misaligned: once, and again when it has been changed by anything but multiples of 16.
#[test]
fn the_stack_pointer_is_looked_at_once() {
    let (load, push, store, move_x29) = (0xf940_03e0, 0xa9bf_7bfd, 0x3d80_03e0, 0x9100_03bf);
    let (add_16, sub_8, sub_w, and_16) = (0x9100_43ff, 0xd100_23ff, 0x5100_43ff, 0x927c_edff);
    let post_8 = 0xf840_87e0;
    let arch = model();
    for (words, looks) in [
        // ldr x0, [sp]; stp x29, x30, [sp, #-16]!; str q0, [sp]; add sp, sp, #16
        (&[load, push, store, add_16, load] as &[u32], 1),
        // sub sp, sp, #8; sub wsp, wsp, #16; mov sp, x29; and sp, x15, #~15
        (&[load, sub_8, load, load], 2),
        (&[load, sub_w, load], 2),
        (&[load, move_x29, load], 2),
        (&[load, and_16, load], 2),
        // ldr x0, [sp], #8
        (&[post_8, load], 2),
    ] {
        for checks in [0, 1] {
            let buf = block(&arch, words, ModeKey::default().with_el(1).with_sp_check(checks), 0);
            let found = buf.ops().iter().filter(|op| op.opcode() == Some(Code::Call) && op.aux == system::SP_ALIGNMENT.0).count();
            assert_eq!(found, looks * checks as usize, "{words:08x?}\n{}", print(buf.ops()));
        }
    }
}

/// BTYPE is written by indirect branches only, by the rule of the page that they are in.
#[test]
fn btype_of_indirect_branches() {
    let arch = model();
    let guarded = u32::from(emu_plugins_api::attr::GUARDED);
    let written = |word: u32, attrs: u32| {
        let buf = block(&arch, &[word], ModeKey::default().with_el(1), attrs);
        let set = buf.ops().iter().find(|op| op.opcode() == Some(Code::Set) && op.imm == u64::from(offset::MODE_KEY))?;
        let value = buf.ops().iter().find(|op| op.dst == set.a)?;
        assert_eq!(value.opcode(), Some(Code::Const));
        assert_eq!(ModeKey(value.imm).el(), 1);
        Some(ModeKey(value.imm).btype())
    };
    let (br_x0, br_x16, blr_x0, ret, bl) = (0xd61f_0000, 0xd61f_0200, 0xd63f_0000, 0xd65f_03c0, 0x9400_0004);
    assert_eq!([written(br_x0, 0), written(br_x0, guarded)], [Some(1), Some(3)]);
    assert_eq!([written(br_x16, 0), written(br_x16, guarded)], [Some(1), Some(1)]);
    assert_eq!([written(blr_x0, 0), written(blr_x0, guarded)], [Some(2), Some(2)]);
    assert_eq!([written(ret, guarded), written(bl, guarded)], [None, None]);
}

/// Registers are written after the last access: no `set` of a general-purpose register comes before an op that can fault.
#[test]
fn registers_are_written_after_the_last_fault() {
    let arch = model();
    let mut random = Random::new();
    for row in ROWS.iter().filter(|r| r.source.starts_with("base_ldst") || r.source.starts_with("base_atomic")) {
        for _ in 0..8 {
            let word = row.bits | random.next() as u32 & !row.mask;
            let buf = block(&arch, &[word], random_key(&mut random), 0);
            let ops = buf.ops();
            let first_set = ops.iter().position(|op| op.opcode() == Some(Code::Set)).unwrap_or(ops.len());
            let last_fault = ops.iter().rposition(|op| op.info().is_some_and(|i| i.flags & emu_plugins_api::ir::FAULTS != 0)).unwrap_or(0);
            assert!(last_fault < first_set, "{} {word:08x}:\n{}", row.name, print(ops));
        }
    }
}

/// AArch64.BranchAddr(): with which bits of TBI which half of the address space loses its tag.
#[test]
fn ignored_tags_do_not_reach_the_program_counter() {
    let arch = model();
    let ret = 0xd65f_03c0;
    for tbi in 0..4u32 {
        let buf = block(&arch, &[ret], ModeKey::default().with_tbi_insn(tbi), 0);
        for (top, bit55) in (0..=0xff_u64).flat_map(|top| [(top, 0), (top, 1)]) {
            let target = top << 56 | bit55 << 55 | 0x0012_3456_789a_bcd0;
            let mut slots = vec![0u64; buf.next_slot as usize];
            let mut to = None;
            for op in buf.ops() {
                match op.opcode() {
                    Some(Code::InsnStart) => {}
                    Some(Code::Get) => slots[op.dst as usize] = target,
                    Some(Code::Jump) => to = Some(slots[op.a as usize]),
                    _ => assert!(emu_interp::execute(op, &mut slots, 0, &mut 0), "{}", print(buf.ops())),
                }
            }
            let untagged = target & u64::MAX >> 8 | (0xff * bit55) << 56;
            let ignored = tbi >> bit55 & 1 == 1;
            assert_eq!(to, Some(if ignored { untagged } else { target }), "TBI {tbi} {target:#x}");
        }
    }
}
