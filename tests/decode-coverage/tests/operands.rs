//! Words in, operands out: what a translator is given. The words are an assembler's.

use emu_test_decode_coverage::decode::{Feature, decode};
use emu_test_decode_coverage::{Counter, print};

fn all(_: Feature) -> bool {
    true
}

/// Instruction, word, operands.
const CASES: &[(&str, u32, &str)] = &[
    ("add x29, sp, #0", 0x9100_03fd, "AddSubImm { sf: 1, op: 0, s: 0, sh: 0, imm12: 0, rn: 31, rd: 29 }"),
    ("subs w1, w2, #1, lsl #12", 0x7140_0441, "AddSubImm { sf: 0, op: 1, s: 1, sh: 1, imm12: 1, rn: 2, rd: 1 }"),
    ("adr x0, .-4", 0x10ff_ffe0, "Adr { op: 0, imm: -4, rd: 0 }"),
    ("adrp x1, .+0x1000", 0xb000_0001, "Adr { op: 1, imm: 1, rd: 1 }"),
    ("and x0, x1, #1", 0x9240_0020, "LogicalImm { sf: 1, opc: 0, n: 1, immr: 0, imms: 0, rn: 1, rd: 0 }"),
    ("mov w0, #-1 (movn)", 0x1280_0000, "MovWide { sf: 0, opc: 0, hw: 0, imm16: 0, rd: 0 }"),
    ("movk x0, #0x1234, lsl #48", 0xf2e2_4680, "MovWide { sf: 1, opc: 3, hw: 3, imm16: 4660, rd: 0 }"),
    ("ubfx x0, x1, #4, #8", 0xd344_2c20, "Bitfield { sf: 1, opc: 2, immr: 4, imms: 11, rn: 1, rd: 0 }"),
    ("ror w0, w1, #5", 0x1381_1420, "Extract { sf: 0, rm: 1, imms: 5, rn: 1, rd: 0 }"),
    ("sub x0, x1, w2, uxtw #2", 0xcb22_4820, "AddSubExt { sf: 1, op: 1, s: 0, rm: 2, option: 2, imm3: 2, rn: 1, rd: 0 }"),
    ("bics x3, x4, x5, asr #7", 0xea85_1c83 | 1 << 21, "LogicalShifted { sf: 1, opc: 3, shift: 2, n: 1, rm: 5, imm6: 7, rn: 4, rd: 3 }"),
    ("csinc x0, xzr, xzr, ne", 0x9a9f_17e0, "CondSelect { sf: 1, op: 0, rm: 31, cond: 1, op2: 1, rn: 31, rd: 0 }"),
    ("asr w0, w1, w2", 0x1ac2_2820, "ShiftVar { sf: 0, op2: 2, rm: 2, rn: 1, rd: 0 }"),
    ("crc32cx w0, w1, x2", 0x9ac2_5c20, "Crc32c { sz: 3, rm: 2, rn: 1, rd: 0 }"),
    ("umulh x0, x1, x2", 0x9bc2_7c20, "Mulh { u: 1, rm: 2, rn: 1, rd: 0 }"),
    ("pacdzb x5", 0xdac1_2fe5, "Pauth1src { z: 1, a: 0, d: 1, b: 1, rn: 31, rd: 5 }"),
    ("b .-4", 0x17ff_ffff, "B { op: 0, imm26: -1 }"),
    ("tbnz x7, #33, .+8", 0xb708_0047, "Tbz { bit: 33, op: 1, imm14: 2, rt: 7 }"),
    ("blraaz x3", 0xd63f_087f, "BrAuth { z: 0, l: 1, m: 0, rn: 3, rm: 31 }"),
    ("mrs x0, midr_el1", 0xd538_0000, "MrsReg { o0: 1, op1: 0, crn: 0, crm: 0, op2: 0, rt: 0 }"),
    ("dmb ish", 0xd503_3bbf, "Dmb { crm: 11 }"),
    ("bti c", 0xd503_245f, "Bti { op2: 1 }"),
    ("autibsp", 0xd503_23ff, "PauthHint { crm: 3, a: 1, b: 1, sp: 1 }"),
    ("dcps2", 0xd4a0_0002, "Dcps { imm16: 0, ll: 2 }"),
    ("stp x29, x30, [sp, #-16]!", 0xa9bf_7bfd, "LdstPair { opc: 2, index: 3, l: 0, imm7: -2, rt2: 30, rn: 31, rt: 29 }"),
    ("ldp q0, q1, [x0], #32", 0xacc1_0400, "LdstPairFp { opc: 2, index: 1, l: 1, imm7: 2, rt2: 1, rn: 0, rt: 0 }"),
    ("ldrsw x1, [x2, #-4]!", 0xb89f_cc41, "LdstPre { size: 2, opc: 2, imm9: -4, rn: 2, rt: 1 }"),
    ("ldr q3, [x1, #16]", 0x3dc0_0423, "LdstUnsignedFp { size: 0, opc: 3, imm12: 1, rn: 1, rt: 3 }"),
    ("ldrb w0, [x1, w2, uxtw]", 0x3862_4820, "LdstRegOff { size: 0, opc: 1, rm: 2, option: 2, s: 0, rn: 1, rt: 0 }"),
    ("ldraa x0, [x1, #-8]!", 0xf87f_fc20, "Ldra { m: 0, simm: -1, w: 1, rn: 1, rt: 0 }"),
    ("ldaxr x0, [x1]", 0xc85f_fc20, "Ldxr { size: 3, o0: 1, rn: 1, rt: 0 }"),
    ("casal x0, x1, [x2]", 0xc8e0_fc41, "Cas { size: 3, l: 1, rs: 0, o0: 1, rn: 2, rt: 1 }"),
    ("ldaddal w0, w1, [x2]", 0xb8e0_0041, "AtomicMemop { size: 2, a: 1, r: 1, rs: 0, opc: 0, rn: 2, rt: 1 }"),
    ("cpyp [x0]!, [x1]!, x2!", 0x1d01_0440, "Cpy { sz: 0, o0: 1, op1: 0, rs: 1, op2: 0, rn: 2, rd: 0 }"),
    ("fadd d0, d1, d2", 0x1e62_2820, "Fadd { ftype: 1, rm: 2, rn: 1, rd: 0 }"),
    ("fcvtzs x0, d1", 0x9e78_0020, "FpToInt { sf: 1, ftype: 1, rmode: 3, u: 0, rn: 1, rd: 0 }"),
    ("fmov v1.d[1], x2", 0x9eaf_0041, "FmovGen { sf: 1, ftype: 2, rmode: 1, opcode: 7, rn: 2, rd: 1 }"),
    ("fcvt h0, d1", 0x1e63_c020, "Fcvt { ftype: 1, opc: 3, rn: 1, rd: 0 }"),
    ("fminnm s0, s1, s2", 0x1e22_7820, "Fminmax { ftype: 0, rm: 2, nm: 1, min: 1, rn: 1, rd: 0 }"),
    ("fcmpe s1, #0.0", 0x1e20_2038, "Fcmp { ftype: 0, rm: 0, e: 1, z: 1, rn: 1 }"),
    ("uqrshl v0.4s, v1.4s, v2.4s", 0x6ea2_5c20, "SimdShiftReg { scalar: 0, q: 1, u: 1, size: 2, round: 1, sat: 1, rm: 2, rn: 1, rd: 0 }"),
    ("add d0, d1, d2", 0x5ee2_8420, "SimdAddSub { scalar: 1, q: 1, u: 0, size: 3, rm: 2, rn: 1, rd: 0 }"),
    ("bif v0.16b, v1.16b, v2.16b", 0x6ee2_1c20, "SimdLogical { q: 1, u: 1, opc2: 3, rm: 2, rn: 1, rd: 0 }"),
    ("facgt v0.2d, v1.2d, v2.2d", 0x6ee2_ec20, "SimdFcmp { scalar: 0, q: 1, u: 1, e: 1, size: 3, ac: 1, rm: 2, rn: 1, rd: 0 }"),
    ("fadd v0.8h, v1.8h, v2.8h", 0x4e42_1420, "SimdFadd { q: 1, size: 1, rm: 2, rn: 1, rd: 0 }"),
    ("fmla v0.4s, v1.4s, v2.s[3]", 0x4fa2_1820, "SimdFmlaElem { scalar: 0, q: 1, size: 2, sub: 0, l: 1, m: 0, rm: 2, h: 1, rn: 1, rd: 0 }"),
    ("umlsl2 v0.4s, v1.8h, v2.8h", 0x6e62_a020, "SimdMlal { q: 1, u: 1, size: 1, sub: 1, rm: 2, rn: 1, rd: 0 }"),
    ("frinta v0.2d, v1.2d", 0x6e61_8820, "SimdFrint { q: 1, size: 3, rmode: 4, rn: 1, rd: 0 }"),
    ("fcvtau s0, s1", 0x7e21_c820, "SimdFcvtInt { scalar: 1, q: 1, u: 1, size: 2, rmode: 4, rn: 1, rd: 0 }"),
    ("ursra v0.8b, v1.8b, #1", 0x2f0f_3420, "SimdShrImm { scalar: 0, q: 0, u: 1, round: 1, acc: 1, immhb: 15, rn: 1, rd: 0 }"),
    ("sshr d0, d1, #64", 0x5f40_0420, "SimdShrImm { scalar: 1, q: 1, u: 0, round: 0, acc: 0, immhb: 64, rn: 1, rd: 0 }"),
    ("movi v0.2d, #0xff", 0x6f00_e420, "SimdModImm { q: 1, op: 1, cmode: 14, o2: 0, imm8: 1, rd: 0 }"),
    ("mvni v0.4s, #1, msl #16", 0x6f00_d420, "SimdModImm { q: 1, op: 1, cmode: 13, o2: 0, imm8: 1, rd: 0 }"),
    ("umov x0, v1.d[1]", 0x4e18_3c20, "SimdUmov { q: 1, imm5: 24, rn: 1, rd: 0 }"),
    ("ld3 {v0.s-v2.s}[1], [x1], #12", 0x0ddf_b020, "SimdLdstSingle { q: 0, post: 1, l: 1, r: 0, rm: 31, opcode: 5, s: 1, size: 0, rn: 1, rt: 0 }"),
    ("ld1r {v0.8b}, [x1]", 0x0d40_c020, "SimdLdRep { q: 0, post: 0, r: 0, rm: 0, opcode: 6, size: 0, rn: 1, rt: 0 }"),
    ("st4 {v0.4s-v3.4s}, [x0]", 0x4c00_0800, "SimdLdstMulti { q: 1, post: 0, l: 0, rm: 0, opcode: 0, size: 2, rn: 0, rt: 0 }"),
    ("sm3tt2b v0.4s, v1.4s, v2.s[2]", 0xce42_ac20, "Sm3tt { rm: 2, imm2: 2, op: 3, rn: 1, rd: 0 }"),
    ("aesimc v0.16b, v1.16b", 0x4e28_7820, "AesMix { d: 1, rn: 1, rd: 0 }"),
];

#[test]
fn operands_of_assembled_words() {
    for &(text, word, want) in CASES {
        assert_eq!(print(word, &all), want, "{text} ({word:08x})");
    }
}

#[test]
fn a_closed_gate_is_unallocated_or_falls_to_the_general_row() {
    let none = |_: Feature| false;
    assert_eq!(print(0xd503_233f, &none), "HintNop { crm: 3, op2: 1 }", "PACIASP without FEAT_PAuth is a NOP");
    assert_eq!(print(0xd503_227f, &all), "unimplemented GCSB_HD_hints");
    assert_eq!(print(0xd503_227f, &none), "HintNop { crm: 2, op2: 3 }");
    assert_eq!(print(0xf8a2_4838, &none), "PrfmReg { rm: 2, option: 2, s: 0, rn: 1, rt: 24 }", "RPRFM without FEAT_RPRFM");
    assert_eq!(print(0xd500_401f, &none), "MsrImm { op1: 0, crm: 0, op2: 0 }", "CFINV without FEAT_FlagM");
    assert_eq!(print(0xb8e0_0041, &none), "gated off LDADDAL_32_memop");
    assert_eq!(print(0x4e42_1420, &|f| f == Feature::AdvSIMD), "gated off FADD_asimdsamefp16_only");
    assert_eq!(print(0x0420_0000, &none), "gated off add_z_zz_");
    assert_eq!(print(0x0420_0000, &all), "unimplemented add_z_zz_");
    assert_eq!(print(0xffff_ffff, &all), "unallocated");
}

/// The decoder is on the path of every block that is translated; it printed 5 to 10 ns when written.
#[test]
fn decodes_quickly() {
    let words: Vec<u32> = CASES.iter().map(|c| c.1).collect();
    let rounds = 200_000;
    let mut count = Counter::default();
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        for &w in &words {
            decode(&mut count, std::hint::black_box(w));
        }
    }
    let ns = start.elapsed().as_nanos() as f64 / count.0 as f64;
    println!("{ns:.1} ns an instruction");
    assert_eq!(count.0 as usize, rounds * words.len());
    // A debug build or a busy machine is slower; an order of magnitude is a broken tree.
    assert!(cfg!(debug_assertions) || ns < 200.0, "{ns} ns an instruction");
}
