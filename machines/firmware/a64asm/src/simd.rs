//! Scalar floating point, Advanced SIMD and its cryptographic extension: tables of opcodes, one method an instruction.

use crate::{Asm, Cond, Reg, VReg};

/// The precision of a scalar floating-point instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fp {
    /// Single.
    S,
    /// Double.
    D,
}

impl Fp {
    /// `ftype` at its place.
    const fn ftype(self) -> u32 {
        (self as u32) << 22
    }
}

/// The arrangement of a vector operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arr {
    /// `8B`.
    B8,
    /// `16B`.
    B16,
    /// `4H`.
    H4,
    /// `8H`.
    H8,
    /// `2S`.
    S2,
    /// `4S`.
    S4,
    /// `1D`.
    D1,
    /// `2D`.
    D2,
}

impl Arr {
    /// `Q` at its place.
    const fn q(self) -> u32 {
        (self as u32 & 1) << 30
    }

    /// log2 of the bytes in an element.
    const fn size(self) -> u32 {
        self as u32 >> 1
    }
}

/// One method an instruction of three scalar registers.
macro_rules! scalar_three {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, fp: Fp, vd: VReg, vn: VReg, vm: VReg) {
            self.word($op | fp.ftype() | vm.num() << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of four scalar registers.
macro_rules! scalar_four {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, fp: Fp, vd: VReg, vn: VReg, vm: VReg, va: VReg) {
            self.word($op | fp.ftype() | vm.num() << 16 | va.num() << 10 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of two scalar registers.
macro_rules! scalar_two {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, fp: Fp, vd: VReg, vn: VReg) {
            self.word($op | fp.ftype() | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of three vectors; the element size is at bit 22.
macro_rules! vector_three {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, arr: Arr, vd: VReg, vn: VReg, vm: VReg) {
            self.word($op | arr.q() | arr.size() << 22 | vm.num() << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of three vectors that has no element size.
macro_rules! vector_bits {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, arr: Arr, vd: VReg, vn: VReg, vm: VReg) {
            self.check(arr.size() == 0, || "a bitwise instruction has bytes for elements".into());
            self.word($op | arr.q() | vm.num() << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of three floating-point vectors; `sz` is at bit 22.
macro_rules! vector_three_fp {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, arr: Arr, vd: VReg, vn: VReg, vm: VReg) {
            self.check(arr.size() >= 2, || "elements are single or double".into());
            self.word($op | arr.q() | (arr.size() & 1) << 22 | vm.num() << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of two vectors; the element size is at bit 22.
macro_rules! vector_two {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, arr: Arr, vd: VReg, vn: VReg) {
            self.word($op | arr.q() | arr.size() << 22 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of two floating-point vectors; `sz` is at bit 22.
macro_rules! vector_two_fp {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, arr: Arr, vd: VReg, vn: VReg) {
            self.check(arr.size() >= 2, || "elements are single or double".into());
            self.word($op | arr.q() | (arr.size() & 1) << 22 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method a right shift by an immediate, which is encoded as twice the element's bits less the distance.
macro_rules! shift_right {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, arr: Arr, vd: VReg, vn: VReg, by: u32) {
            let bits = 8 << arr.size();
            self.check((1..=bits).contains(&by), || format!("shift by {by}"));
            self.word($op | arr.q() | (2 * bits).wrapping_sub(by) << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method a left shift by an immediate.
macro_rules! shift_left {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, arr: Arr, vd: VReg, vn: VReg, by: u32) {
            let bits = 8 << arr.size();
            self.check(by < bits, || format!("shift by {by}"));
            self.word($op | arr.q() | (bits + by) << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of two registers and no other field.
macro_rules! fixed_two {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, vd: VReg, vn: VReg) {
            self.word($op | vn.num() << 5 | vd.num());
        }
    )*};
}

/// One method an instruction of three registers and no other field.
macro_rules! fixed_three {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, vd: VReg, vn: VReg, vm: VReg) {
            self.word($op | vm.num() << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

impl Asm {
    scalar_three! {
        /// FADD (scalar).
        fadd 0x1e20_2800;
        /// FSUB (scalar).
        fsub 0x1e20_3800;
        /// FMUL (scalar).
        fmul 0x1e20_0800;
        /// FDIV (scalar).
        fdiv 0x1e20_1800;
        /// FMAX (scalar).
        fmax 0x1e20_4800;
        /// FMIN (scalar).
        fmin 0x1e20_5800;
    }

    scalar_four! {
        /// FMADD: `va + vn * vm`.
        fmadd 0x1f00_0000;
        /// FMSUB: `va - vn * vm`.
        fmsub 0x1f00_8000;
    }

    scalar_two! {
        /// FMOV (register).
        fmov 0x1e20_4000;
        /// FABS (scalar).
        fabs 0x1e20_c000;
        /// FNEG (scalar).
        fneg 0x1e21_4000;
        /// FSQRT (scalar).
        fsqrt 0x1e21_c000;
        /// FRINTM (scalar).
        frintm 0x1e25_4000;
    }

    /// FCMP (registers).
    pub fn fcmp(&mut self, fp: Fp, vn: VReg, vm: VReg) {
        self.word(0x1e20_2000 | fp.ftype() | vm.num() << 16 | vn.num() << 5);
    }

    /// FCSEL.
    pub fn fcsel(&mut self, fp: Fp, vd: VReg, vn: VReg, vm: VReg, cond: Cond) {
        self.word(0x1e20_0c00 | fp.ftype() | vm.num() << 16 | cond.code() << 12 | vn.num() << 5 | vd.num());
    }

    /// FCVT from single to double.
    pub fn fcvt_d_s(&mut self, vd: VReg, vn: VReg) {
        self.word(0x1e22_c000 | vn.num() << 5 | vd.num());
    }

    /// FCVT from double to single.
    pub fn fcvt_s_d(&mut self, vd: VReg, vn: VReg) {
        self.word(0x1e62_4000 | vn.num() << 5 | vd.num());
    }

    /// FCVTZS (scalar, integer).
    pub fn fcvtzs(&mut self, fp: Fp, rd: Reg, vn: VReg) {
        self.word(0x1e38_0000 | rd.sf() | fp.ftype() | vn.num() << 5 | rd.num());
    }

    /// SCVTF (scalar, integer).
    pub fn scvtf(&mut self, fp: Fp, vd: VReg, rn: Reg) {
        self.word(0x1e22_0000 | rn.sf() | fp.ftype() | rn.num() << 5 | vd.num());
    }

    vector_three! {
        /// ADD (vector).
        add_v 0x0e20_8400;
        /// SUB (vector).
        sub_v 0x2e20_8400;
        /// MUL (vector).
        mul_v 0x0e20_9c00;
        /// MLA (vector).
        mla_v 0x0e20_9400;
        /// ADDP (vector).
        addp_v 0x0e20_bc00;
        /// CMGT (register).
        cmgt_v 0x0e20_3400;
        /// CMHI (register).
        cmhi_v 0x2e20_3400;
        /// CMEQ (register).
        cmeq_v 0x2e20_8c00;
        /// SMAX.
        smax_v 0x0e20_6400;
        /// UMIN.
        umin_v 0x2e20_6c00;
        /// UABD.
        uabd_v 0x2e20_7400;
        /// UQADD.
        uqadd_v 0x2e20_0c00;
        /// SQSUB.
        sqsub_v 0x0e20_2c00;
        /// URHADD.
        urhadd_v 0x2e20_1400;
        /// ZIP1.
        zip1 0x0e00_3800;
        /// ZIP2.
        zip2 0x0e00_7800;
        /// UZP1.
        uzp1 0x0e00_1800;
        /// UZP2.
        uzp2 0x0e00_5800;
        /// TRN1.
        trn1 0x0e00_2800;
        /// UMLAL, UMLAL2; the arrangement is that of the sources.
        umlal_v 0x2e20_8000;
        /// SMULL, SMULL2; the arrangement is that of the sources.
        smull_v 0x0e20_c000;
        /// UADDW, UADDW2; the arrangement is that of the narrow source.
        uaddw_v 0x2e20_1000;
        /// PMULL, PMULL2 of 8B, 16B, or (FEAT_PMULL) 1D, 2D; the arrangement is that of the sources.
        pmull_v 0x0e20_e000;
    }

    vector_bits! {
        /// AND (vector).
        and_v 0x0e20_1c00;
        /// BIC (vector, register).
        bic_v 0x0e60_1c00;
        /// ORR (vector, register).
        orr_v 0x0ea0_1c00;
        /// EOR (vector).
        eor_v 0x2e20_1c00;
        /// BSL.
        bsl_v 0x2e60_1c00;
        /// TBL of one register.
        tbl_v 0x0e00_0000;
    }

    vector_three_fp! {
        /// FADD (vector).
        fadd_v 0x0e20_d400;
        /// FSUB (vector).
        fsub_v 0x0ea0_d400;
        /// FMUL (vector).
        fmul_v 0x2e20_dc00;
        /// FDIV (vector).
        fdiv_v 0x2e20_fc00;
        /// FMLA (vector).
        fmla_v 0x0e20_cc00;
        /// FMLS (vector).
        fmls_v 0x0ea0_cc00;
        /// FMAX (vector).
        fmax_v 0x0e20_f400;
        /// FADDP (vector).
        faddp_v 0x2e20_d400;
        /// FCMGT (register).
        fcmgt_v 0x2ea0_e400;
    }

    vector_two! {
        /// REV64.
        rev64_v 0x0e20_0800;
        /// CNT.
        cnt_v 0x0e20_5800;
        /// UADDLP.
        uaddlp_v 0x2e20_2800;
        /// NEG (vector).
        neg_v 0x2e20_b800;
        /// XTN, XTN2; the arrangement is that of the result.
        xtn_v 0x0e21_2800;
        /// ADDV.
        addv 0x0e31_b800;
        /// UADDLV.
        uaddlv 0x2e30_3800;
        /// UMAXV.
        umaxv 0x2e30_a800;
    }

    vector_two_fp! {
        /// FSQRT (vector).
        fsqrt_v 0x2ea1_f800;
        /// SCVTF (vector, integer).
        scvtf_v 0x0e21_d800;
        /// FCVTZS (vector, integer).
        fcvtzs_v 0x0ea1_b800;
    }

    shift_right! {
        /// USHR.
        ushr_v 0x2f00_0400;
        /// SSHR.
        sshr_v 0x0f00_0400;
        /// USRA.
        usra_v 0x2f00_1400;
    }

    shift_left! {
        /// SHL.
        shl_v 0x0f00_5400;
        /// SLI.
        sli_v 0x2f00_5400;
        /// USHLL, USHLL2; the arrangement is that of the source.
        ushll_v 0x2f00_a400;
    }

    /// EXT.
    pub fn ext_v(&mut self, arr: Arr, vd: VReg, vn: VReg, vm: VReg, index: u32) {
        let bytes = if arr.q() == 0 { 8 } else { 16 };
        self.check(arr.size() == 0 && index < bytes, || format!("EXT from byte {index}"));
        self.word(0x2e00_0000 | arr.q() | vm.num() << 16 | (index & 15) << 11 | vn.num() << 5 | vd.num());
    }

    /// DUP (general).
    pub fn dup_v(&mut self, arr: Arr, vd: VReg, rn: Reg) {
        self.word(0x0e00_0c00 | arr.q() | 1 << (16 + arr.size()) | rn.num() << 5 | vd.num());
    }

    /// FMLA (by element) of `4S`.
    pub fn fmla_elem_4s(&mut self, vd: VReg, vn: VReg, vm: VReg, index: u32) {
        self.check(index < 4, || format!("element {index}"));
        let index = (index & 1) << 21 | (index >> 1 & 1) << 11;
        self.word(0x4f80_1000 | index | vm.num() << 16 | vn.num() << 5 | vd.num());
    }

    /// INS (general): a D element.
    pub fn ins_d(&mut self, vd: VReg, index: u32, rn: Reg) {
        self.check(index < 2, || format!("element {index}"));
        self.word(0x4e08_1c00 | (index & 1) << 20 | rn.num() << 5 | vd.num());
    }

    fixed_two! {
        /// AESE.
        aese 0x4e28_4800;
        /// AESD.
        aesd 0x4e28_5800;
        /// AESMC.
        aesmc 0x4e28_6800;
        /// AESIMC.
        aesimc 0x4e28_7800;
        /// SHA1H.
        sha1h 0x5e28_0800;
        /// SHA1SU1.
        sha1su1 0x5e28_1800;
        /// SHA256SU0.
        sha256su0 0x5e28_2800;
    }

    fixed_three! {
        /// SHA1C.
        sha1c 0x5e00_0000;
        /// SHA1SU0.
        sha1su0 0x5e00_3000;
        /// SHA256H.
        sha256h 0x5e00_4000;
        /// SHA256H2.
        sha256h2 0x5e00_5000;
        /// SHA256SU1.
        sha256su1 0x5e00_6000;
    }
}
