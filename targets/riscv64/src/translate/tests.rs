use super::*;
use crate::model::Model;
use emu_plugins_api::Slice;
use emu_plugins_api::ir::{OwnedIrBuf, verify};

fn translate_bytes(arch: &Riscv64, key: ModeKey, code: &[u8], max_insns: u32) -> (OwnedIrBuf, BlockInfo) {
    translate_before(arch, key, code, &[], max_insns)
}

fn translate_before(arch: &Riscv64, key: ModeKey, code: &[u8], next: &[u8], max_insns: u32) -> (OwnedIrBuf, BlockInfo) {
    let mut buf = OwnedIrBuf::new(0);
    let request = BlockRequest { pc: 0x8000_0000, mode_key: key.0, code: Slice::new(code), next_page: Slice::new(next), max_insns, page_attrs: 0 };
    let info = translate(arch, &request, &mut buf);
    let helpers = crate::helper::all().len() as u32;
    verify(buf.ops(), buf.next_slot, 0, size_of::<crate::state::State>() as u64, helpers).unwrap_or_else(|e| panic!("{code:x?}: {e}"));
    (buf, info)
}

fn max() -> Riscv64 {
    Riscv64::new(Model::find("max").unwrap())
}

/// Every word, valid or not, becomes a block that the host accepts, in every mode and across a page too.
#[test]
fn any_word_verifies() {
    let arch = max();
    let mut state = 0x1234_5678_9abc_def0u64;
    let rows = &decode::ROWS;
    for n in 0..300_000usize {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = (state >> 32) as u32;
        // Most of them an encoding of the tables.
        let row = &rows[(state >> 8) as usize % rows.len()];
        let word = if n % 4 == 0 { random } else { random & !row.mask | row.bits };
        let key = ModeKey(0).with_privilege([0, 1, 3][n % 3]).with_view(n as u32 % 4).with_fs(n as u32 % 3).with_frm(n as u32 % 8);
        let bytes = word.to_le_bytes();
        let (_, info) = translate_bytes(&arch, key, &bytes, 1);
        assert_eq!((info.bytes, info.insns), (if word & 3 == 3 { 4 } else { 2 }, 1), "{word:#x}");
        if word & 3 == 3 {
            let key = key.with_straddle(1).with_upper_half(word >> 16);
            let (_, info) = translate_bytes(&arch, key, &bytes[..2], 1);
            assert_eq!((info.bytes, info.insns), (2, 1));
            // In two steps if the second half is guessed, unless only one is wanted.
            let key = ModeKey(key.0).with_straddle(0).with_upper_half(0);
            for (steps, most) in [(1, 1), (2, 2), (2, 64)] {
                let (_, info) = translate_before(&arch, key, &bytes[..2], &bytes[2..], most);
                assert_eq!((info.bytes, info.insns), (2, steps));
            }
        }
    }
}

#[test]
fn blocks_end_where_they_must() {
    let arch = max();
    let key = ModeKey(0).with_privilege(3).with_view(3);
    let nop = [0x01u8, 0x00];
    assert_eq!(translate_bytes(&arch, key, &nop.repeat(10), 4).1.insns, 4);
    assert_eq!(translate_bytes(&arch, key, &nop.repeat(10), 64).1.bytes, 20);
    // c.j ends the block; an instruction whose second half is not there does not begin.
    assert_eq!(translate_bytes(&arch, key, &[0x01, 0, 0x01, 0xa0, 0x01, 0], 64).1.bytes, 4);
    assert_eq!(translate_bytes(&arch, key, &[0x01, 0, 0x13, 0x00], 64).1.bytes, 2);
    assert_eq!(translate_bytes(&arch, key, &[0x13, 0x00], 64).1.bytes, 2);
}

/// How much of the encodings that the tables name is implemented.
#[test]
fn coverage_is_a_number() {
    let implemented = decode::ROWS.iter().filter(|r| matches!(r.status, Status::Implemented(_))).count();
    println!("{implemented} of {} rows are implemented", decode::ROWS.len());
    assert!(implemented >= 300);
}

/// The shifts of a rotated word become a rotation, the parts being left as they are.
#[test]
fn words_are_rotated() {
    let arch = max();
    let key = ModeKey(0).with_privilege(3).with_view(3);
    let block = |words: &[u32]| {
        let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let (buf, _) = translate_bytes(&arch, key, &code, words.len() as u32);
        emu_plugins_api::ir::print(buf.ops()).contains("rotr.i32")
    };
    // slliw t0, a3, 13; srliw t2, a3, 19; or t0, t0, t2.
    let (slliw, srliw, or) = (0x00d6_929b, 0x0136_d39b, 0x0072_e2b3);
    assert!(block(&[slliw, srliw, or]) && block(&[srliw, slliw, or]));
    assert!(!block(&[slliw, 0x0126_d39b, or]), "srliw by 18");
    assert!(!block(&[slliw, 0x0016_8693, srliw, or]), "addi a3, a3, 1 between");
    assert!(!block(&[slliw, srliw, 0x0016_8293, or]), "addi t0, a3, 1 between");
    assert!(!block(&[slliw, srliw, 0x0016_8393, or]), "addi t2, a3, 1 between");
}
