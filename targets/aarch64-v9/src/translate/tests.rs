//! Tests of the translator as a whole.

use super::*;
use crate::decode::{ROWS, Status};
use crate::state::State;
use emu_plugins_api::Slice;
use emu_plugins_api::ir::{OwnedIrBuf, print, verify};

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
    let request = BlockRequest {
        pc: PC,
        mode_key: key.0,
        code: Slice::new(&bytes),
        next_page: Slice::new(&[]),
        max_insns: words.len() as u32,
        page_attrs,
    };
    let info = translate(arch, &request, &mut buf);
    assert!(info.insns >= 1 && info.insns <= words.len() as u32);
    let helpers = crate::helper::all().len() as u32;
    if let Err(e) = verify(buf.ops(), buf.next_slot, 0, size_of::<State>() as u64, helpers) {
        panic!("{words:08x?} in {key:x?}: {e}\n{}", print(buf.ops()));
    }
    buf
}

/// A model with every feature.
pub(super) fn model() -> Aarch64 {
    Aarch64 {}
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
        .with_pauth((r >> 11) as u32 & 15)
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
        for _ in 0..12 {
            let word = row.bits | random.next() as u32 & !row.mask;
            let key = random_key(&mut random);
            block(&arch, &[word], key, random.next() as u32 & 2);
        }
    }
    assert!(rows > 800, "{rows} rows");
}
