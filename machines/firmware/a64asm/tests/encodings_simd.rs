//! The methods for floating point, Advanced SIMD, cryptography and atomics, each against the word that an independent assembler makes of
//! the mnemonic beside it.

use emu_a64_asm::*;

type Case = (&'static str, u32, fn(&mut Asm));

const V1: VReg = VReg(1);
const V2: VReg = VReg(2);
const V3: VReg = VReg(3);
const V4: VReg = VReg(4);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        ("fadd s1, s2, s3", 0x1e23_2841, |a| a.fadd(Fp::S, V1, V2, V3)),
        ("fadd d1, d2, d3", 0x1e63_2841, |a| a.fadd(Fp::D, V1, V2, V3)),
        ("fsub d1, d2, d3", 0x1e63_3841, |a| a.fsub(Fp::D, V1, V2, V3)),
        ("fmul s31, s30, s29", 0x1e3d_0bdf, |a| a.fmul(Fp::S, VReg(31), VReg(30), VReg(29))),
        ("fdiv d1, d2, d3", 0x1e63_1841, |a| a.fdiv(Fp::D, V1, V2, V3)),
        ("fmax d1, d2, d3", 0x1e63_4841, |a| a.fmax(Fp::D, V1, V2, V3)),
        ("fmin s1, s2, s3", 0x1e23_5841, |a| a.fmin(Fp::S, V1, V2, V3)),
        ("fmadd d1, d2, d3, d4", 0x1f43_1041, |a| a.fmadd(Fp::D, V1, V2, V3, V4)),
        ("fmsub s1, s2, s3, s4", 0x1f03_9041, |a| a.fmsub(Fp::S, V1, V2, V3, V4)),
        ("fmov d1, d2", 0x1e60_4041, |a| a.fmov(Fp::D, V1, V2)),
        ("fabs d1, d2", 0x1e60_c041, |a| a.fabs(Fp::D, V1, V2)),
        ("fneg s1, s2", 0x1e21_4041, |a| a.fneg(Fp::S, V1, V2)),
        ("fsqrt d1, d2", 0x1e61_c041, |a| a.fsqrt(Fp::D, V1, V2)),
        ("frintm d1, d2", 0x1e65_4041, |a| a.frintm(Fp::D, V1, V2)),
        ("fcmp d1, d2", 0x1e62_2020, |a| a.fcmp(Fp::D, V1, V2)),
        ("fcsel s1, s2, s3, gt", 0x1e23_cc41, |a| a.fcsel(Fp::S, V1, V2, V3, Cond::Gt)),
        ("fcvt d1, s2", 0x1e22_c041, |a| a.fcvt_d_s(V1, V2)),
        ("fcvt s1, d2", 0x1e62_4041, |a| a.fcvt_s_d(V1, V2)),
        ("fcvtzs x1, d2", 0x9e78_0041, |a| a.fcvtzs(Fp::D, X1, V2)),
        ("fcvtzs w1, s2", 0x1e38_0041, |a| a.fcvtzs(Fp::S, W1, V2)),
        ("scvtf d1, x2", 0x9e62_0041, |a| a.scvtf(Fp::D, V1, X2)),
        ("scvtf s1, w2", 0x1e22_0041, |a| a.scvtf(Fp::S, V1, W2)),
        ("add v1.16b, v2.16b, v3.16b", 0x4e23_8441, |a| a.add_v(Arr::B16, V1, V2, V3)),
        ("add v1.2d, v2.2d, v3.2d", 0x4ee3_8441, |a| a.add_v(Arr::D2, V1, V2, V3)),
        ("sub v1.4h, v2.4h, v3.4h", 0x2e63_8441, |a| a.sub_v(Arr::H4, V1, V2, V3)),
        ("mul v1.4s, v2.4s, v3.4s", 0x4ea3_9c41, |a| a.mul_v(Arr::S4, V1, V2, V3)),
        ("mla v1.8h, v2.8h, v3.8h", 0x4e63_9441, |a| a.mla_v(Arr::H8, V1, V2, V3)),
        ("addp v1.4s, v2.4s, v3.4s", 0x4ea3_bc41, |a| a.addp_v(Arr::S4, V1, V2, V3)),
        ("cmgt v1.2s, v2.2s, v3.2s", 0x0ea3_3441, |a| a.cmgt_v(Arr::S2, V1, V2, V3)),
        ("cmhi v1.16b, v2.16b, v3.16b", 0x6e23_3441, |a| a.cmhi_v(Arr::B16, V1, V2, V3)),
        ("cmeq v1.8b, v2.8b, v3.8b", 0x2e23_8c41, |a| a.cmeq_v(Arr::B8, V1, V2, V3)),
        ("smax v1.4s, v2.4s, v3.4s", 0x4ea3_6441, |a| a.smax_v(Arr::S4, V1, V2, V3)),
        ("umin v1.8h, v2.8h, v3.8h", 0x6e63_6c41, |a| a.umin_v(Arr::H8, V1, V2, V3)),
        ("uabd v1.16b, v2.16b, v3.16b", 0x6e23_7441, |a| a.uabd_v(Arr::B16, V1, V2, V3)),
        ("uqadd v1.16b, v2.16b, v3.16b", 0x6e23_0c41, |a| a.uqadd_v(Arr::B16, V1, V2, V3)),
        ("sqsub v1.8h, v2.8h, v3.8h", 0x4e63_2c41, |a| a.sqsub_v(Arr::H8, V1, V2, V3)),
        ("urhadd v1.16b, v2.16b, v3.16b", 0x6e23_1441, |a| a.urhadd_v(Arr::B16, V1, V2, V3)),
        ("zip1 v1.4s, v2.4s, v3.4s", 0x4e83_3841, |a| a.zip1(Arr::S4, V1, V2, V3)),
        ("zip2 v1.2d, v2.2d, v3.2d", 0x4ec3_7841, |a| a.zip2(Arr::D2, V1, V2, V3)),
        ("uzp1 v1.16b, v2.16b, v3.16b", 0x4e03_1841, |a| a.uzp1(Arr::B16, V1, V2, V3)),
        ("uzp2 v1.8h, v2.8h, v3.8h", 0x4e43_5841, |a| a.uzp2(Arr::H8, V1, V2, V3)),
        ("trn1 v1.4h, v2.4h, v3.4h", 0x0e43_2841, |a| a.trn1(Arr::H4, V1, V2, V3)),
        ("umlal v1.4s, v2.4h, v3.4h", 0x2e63_8041, |a| a.umlal_v(Arr::H4, V1, V2, V3)),
        ("smull2 v1.2d, v2.4s, v3.4s", 0x4ea3_c041, |a| a.smull_v(Arr::S4, V1, V2, V3)),
        ("uaddw v1.8h, v2.8h, v3.8b", 0x2e23_1041, |a| a.uaddw_v(Arr::B8, V1, V2, V3)),
        ("pmull v1.8h, v2.8b, v3.8b", 0x0e23_e041, |a| a.pmull_v(Arr::B8, V1, V2, V3)),
        ("pmull v1.1q, v2.1d, v3.1d", 0x0ee3_e041, |a| a.pmull_v(Arr::D1, V1, V2, V3)),
        ("pmull2 v1.1q, v2.2d, v3.2d", 0x4ee3_e041, |a| a.pmull_v(Arr::D2, V1, V2, V3)),
        ("and v1.16b, v2.16b, v3.16b", 0x4e23_1c41, |a| a.and_v(Arr::B16, V1, V2, V3)),
        ("bic v1.8b, v2.8b, v3.8b", 0x0e63_1c41, |a| a.bic_v(Arr::B8, V1, V2, V3)),
        ("orr v1.16b, v2.16b, v3.16b", 0x4ea3_1c41, |a| a.orr_v(Arr::B16, V1, V2, V3)),
        ("eor v1.16b, v2.16b, v3.16b", 0x6e23_1c41, |a| a.eor_v(Arr::B16, V1, V2, V3)),
        ("bsl v1.16b, v2.16b, v3.16b", 0x6e63_1c41, |a| a.bsl_v(Arr::B16, V1, V2, V3)),
        ("tbl v1.16b, {v2.16b}, v3.16b", 0x4e03_0041, |a| a.tbl_v(Arr::B16, V1, V2, V3)),
        ("fadd v1.2d, v2.2d, v3.2d", 0x4e63_d441, |a| a.fadd_v(Arr::D2, V1, V2, V3)),
        ("fsub v1.4s, v2.4s, v3.4s", 0x4ea3_d441, |a| a.fsub_v(Arr::S4, V1, V2, V3)),
        ("fmul v1.2s, v2.2s, v3.2s", 0x2e23_dc41, |a| a.fmul_v(Arr::S2, V1, V2, V3)),
        ("fdiv v1.4s, v2.4s, v3.4s", 0x6e23_fc41, |a| a.fdiv_v(Arr::S4, V1, V2, V3)),
        ("fmla v1.4s, v2.4s, v3.4s", 0x4e23_cc41, |a| a.fmla_v(Arr::S4, V1, V2, V3)),
        ("fmls v1.2d, v2.2d, v3.2d", 0x4ee3_cc41, |a| a.fmls_v(Arr::D2, V1, V2, V3)),
        ("fmax v1.4s, v2.4s, v3.4s", 0x4e23_f441, |a| a.fmax_v(Arr::S4, V1, V2, V3)),
        ("faddp v1.2d, v2.2d, v3.2d", 0x6e63_d441, |a| a.faddp_v(Arr::D2, V1, V2, V3)),
        ("fcmgt v1.4s, v2.4s, v3.4s", 0x6ea3_e441, |a| a.fcmgt_v(Arr::S4, V1, V2, V3)),
        ("rev64 v1.16b, v2.16b", 0x4e20_0841, |a| a.rev64_v(Arr::B16, V1, V2)),
        ("cnt v1.16b, v2.16b", 0x4e20_5841, |a| a.cnt_v(Arr::B16, V1, V2)),
        ("uaddlp v1.8h, v2.16b", 0x6e20_2841, |a| a.uaddlp_v(Arr::B16, V1, V2)),
        ("neg v1.2d, v2.2d", 0x6ee0_b841, |a| a.neg_v(Arr::D2, V1, V2)),
        ("xtn v1.4h, v2.4s", 0x0e61_2841, |a| a.xtn_v(Arr::H4, V1, V2)),
        ("addv s1, v2.4s", 0x4eb1_b841, |a| a.addv(Arr::S4, V1, V2)),
        ("uaddlv h1, v2.16b", 0x6e30_3841, |a| a.uaddlv(Arr::B16, V1, V2)),
        ("umaxv b1, v2.16b", 0x6e30_a841, |a| a.umaxv(Arr::B16, V1, V2)),
        ("fsqrt v1.2d, v2.2d", 0x6ee1_f841, |a| a.fsqrt_v(Arr::D2, V1, V2)),
        ("scvtf v1.4s, v2.4s", 0x4e21_d841, |a| a.scvtf_v(Arr::S4, V1, V2)),
        ("fcvtzs v1.2d, v2.2d", 0x4ee1_b841, |a| a.fcvtzs_v(Arr::D2, V1, V2)),
        ("ushr v1.4s, v2.4s, #7", 0x6f39_0441, |a| a.ushr_v(Arr::S4, V1, V2, 7)),
        ("sshr v1.2d, v2.2d, #64", 0x4f40_0441, |a| a.sshr_v(Arr::D2, V1, V2, 64)),
        ("usra v1.8h, v2.8h, #1", 0x6f1f_1441, |a| a.usra_v(Arr::H8, V1, V2, 1)),
        ("shl v1.16b, v2.16b, #7", 0x4f0f_5441, |a| a.shl_v(Arr::B16, V1, V2, 7)),
        ("sli v1.4s, v2.4s, #25", 0x6f39_5441, |a| a.sli_v(Arr::S4, V1, V2, 25)),
        ("ushll v1.8h, v2.8b, #3", 0x2f0b_a441, |a| a.ushll_v(Arr::B8, V1, V2, 3)),
        ("ushll2 v1.2d, v2.4s, #0", 0x6f20_a441, |a| a.ushll_v(Arr::S4, V1, V2, 0)),
        ("ext v1.16b, v2.16b, v3.16b, #11", 0x6e03_5841, |a| a.ext_v(Arr::B16, V1, V2, V3, 11)),
        ("dup v1.4s, w2", 0x4e04_0c41, |a| a.dup_v(Arr::S4, V1, W2)),
        ("dup v1.2d, x2", 0x4e08_0c41, |a| a.dup_v(Arr::D2, V1, X2)),
        ("fmla v1.4s, v2.4s, v3.s[3]", 0x4fa3_1841, |a| a.fmla_elem_4s(V1, V2, V3, 3)),
        ("fmla v1.4s, v2.4s, v3.s[1]", 0x4fa3_1041, |a| a.fmla_elem_4s(V1, V2, V3, 1)),
        ("mov v1.d[1], x2", 0x4e18_1c41, |a| a.ins_d(V1, 1, X2)),
        ("aese v1.16b, v2.16b", 0x4e28_4841, |a| a.aese(V1, V2)),
        ("aesd v1.16b, v2.16b", 0x4e28_5841, |a| a.aesd(V1, V2)),
        ("aesmc v1.16b, v2.16b", 0x4e28_6841, |a| a.aesmc(V1, V2)),
        ("aesimc v1.16b, v2.16b", 0x4e28_7841, |a| a.aesimc(V1, V2)),
        ("sha1h s1, s2", 0x5e28_0841, |a| a.sha1h(V1, V2)),
        ("sha1su1 v1.4s, v2.4s", 0x5e28_1841, |a| a.sha1su1(V1, V2)),
        ("sha256su0 v1.4s, v2.4s", 0x5e28_2841, |a| a.sha256su0(V1, V2)),
        ("sha1c q1, s2, v3.4s", 0x5e03_0041, |a| a.sha1c(V1, V2, V3)),
        ("sha1su0 v1.4s, v2.4s, v3.4s", 0x5e03_3041, |a| a.sha1su0(V1, V2, V3)),
        ("sha256h q1, q2, v3.4s", 0x5e03_4041, |a| a.sha256h(V1, V2, V3)),
        ("sha256h2 q1, q2, v3.4s", 0x5e03_5041, |a| a.sha256h2(V1, V2, V3)),
        ("sha256su1 v1.4s, v2.4s, v3.4s", 0x5e03_6041, |a| a.sha256su1(V1, V2, V3)),
        ("crc32b w1, w2, w3", 0x1ac3_4041, |a| a.crc32b(W1, W2, W3)),
        ("crc32x w1, w2, x3", 0x9ac3_4c41, |a| a.crc32x(W1, W2, X3)),
        ("crc32cx w1, w2, x3", 0x9ac3_5c41, |a| a.crc32cx(W1, W2, X3)),
        ("adcs x1, x2, x3", 0xba03_0041, |a| a.adcs(X1, X2, X3)),
        ("ldadd w1, w2, [x3]", 0xb821_0062, |a| a.ldadd(W1, W2, X3)),
        ("ldaddal x1, x2, [x3]", 0xf8e1_0062, |a| a.ldaddal(X1, X2, X3)),
        ("ldclral x1, x2, [x3]", 0xf8e1_1062, |a| a.ldclral(X1, X2, X3)),
        ("ldeoral w1, w2, [x3]", 0xb8e1_2062, |a| a.ldeoral(W1, W2, X3)),
        ("ldsetal x1, x2, [x3]", 0xf8e1_3062, |a| a.ldsetal(X1, X2, X3)),
        ("ldumaxal x1, x2, [x3]", 0xf8e1_6062, |a| a.ldumaxal(X1, X2, X3)),
        ("swpal w1, w2, [x3]", 0xb8e1_8062, |a| a.swpal(W1, W2, X3)),
        ("casal x1, x2, [x3]", 0xc8e1_fc62, |a| a.casal(X1, X2, X3)),
        ("paciasp", 0xd503_233f, |a| a.paciasp()),
        ("autiasp", 0xd503_23bf, |a| a.autiasp()),
    ]
}

#[test]
fn words_match_the_mnemonics() {
    for (mnemonic, word, emit) in cases() {
        let mut a = Asm::new(0);
        emit(&mut a);
        let bytes = a.finish().unwrap_or_else(|e| panic!("{mnemonic}: {e}"));
        let got = u32::from_le_bytes(bytes.try_into().unwrap());
        assert_eq!(got, word, "{mnemonic}: {got:#010x}, expected {word:#010x}");
    }
}

#[test]
fn wrong_operands_are_mistakes() {
    let wrong: [fn(&mut Asm); 5] = [
        |a| a.and_v(Arr::S4, V1, V2, V3),
        |a| a.fadd_v(Arr::H8, V1, V2, V3),
        |a| a.ushr_v(Arr::B16, V1, V2, 9),
        |a| a.shl_v(Arr::B16, V1, V2, 8),
        |a| a.ext_v(Arr::B8, V1, V2, V3, 8),
    ];
    for (n, emit) in wrong.iter().enumerate() {
        let mut a = Asm::new(0);
        emit(&mut a);
        assert!(a.finish().is_err(), "case {n}");
    }
}
