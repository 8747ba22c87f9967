//! Loads and stores.

use crate::{Asm, Reg, VReg};

/// An address operand. For pairs only the immediate forms exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addr {
    /// `[base, #offset]`; the scaled or else the unscaled encoding.
    Off(Reg, i32),
    /// `[base, #offset]!`.
    Pre(Reg, i32),
    /// `[base], #offset`.
    Post(Reg, i32),
    /// `[base, Xm]`.
    Index(Reg, Reg),
    /// `[base, Xm, LSL #log2(size)]`.
    Scaled(Reg, Reg),
}

/// `size`, `V` and `opc` of a load/store register encoding; `scale` is log2 of the bytes.
#[derive(Clone, Copy)]
struct Access {
    size: u32,
    vector: u32,
    opc: u32,
    scale: u32,
}

const fn general(size: u32, opc: u32) -> Access {
    Access { size, vector: 0, opc, scale: size }
}

macro_rules! by_size {
    ($($(#[$doc:meta])* $name:ident $size:literal $opc:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rt: Reg, at: Addr) {
            self.access(general($size, $opc), rt.num(), at);
        }
    )*};
}

macro_rules! vector {
    ($($(#[$doc:meta])* $name:ident $size:literal $opc:literal $scale:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, vt: VReg, at: Addr) {
            let access = Access { size: $size, vector: 1, opc: $opc, scale: $scale };
            self.access(access, vt.num(), at);
        }
    )*};
}

macro_rules! ordered {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rt: Reg, rn: Reg) {
            self.word($op | u32::from(rt.is64()) << 30 | rn.num() << 5 | rt.num());
        }
    )*};
}

/// One method an atomic instruction of FEAT_LSE; `rs` comes first.
macro_rules! lse {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rs: Reg, rt: Reg, rn: Reg) {
            self.word($op | u32::from(rt.is64()) << 30 | rs.num() << 16 | rn.num() << 5 | rt.num());
        }
    )*};
}

impl Asm {
    fn access(&mut self, a: Access, rt: u32, at: Addr) {
        let top = a.size << 30 | 0x3800_0000 | a.vector << 26 | a.opc << 22;
        let imm9 = |offset: i32| (offset as u32 & 0x1ff) << 12;
        let small = |offset: i32| (-256..256).contains(&offset);
        let bad = |offset: i32| format!("load or store offset {offset}");
        let word = match at {
            Addr::Off(rn, offset) => {
                let scaled = offset >> a.scale;
                if offset >= 0 && scaled << a.scale == offset && scaled < 4096 {
                    top | 1 << 24 | (scaled as u32) << 10 | rn.num() << 5
                } else {
                    self.check(small(offset), || bad(offset));
                    top | imm9(offset) | rn.num() << 5
                }
            }
            Addr::Pre(rn, offset) => {
                self.check(small(offset), || bad(offset));
                top | imm9(offset) | 3 << 10 | rn.num() << 5
            }
            Addr::Post(rn, offset) => {
                self.check(small(offset), || bad(offset));
                top | imm9(offset) | 1 << 10 | rn.num() << 5
            }
            Addr::Index(rn, rm) => top | 1 << 21 | rm.num() << 16 | 0x6800 | rn.num() << 5,
            Addr::Scaled(rn, rm) => top | 1 << 21 | rm.num() << 16 | 0x7800 | rn.num() << 5,
        };
        self.word(word | rt);
    }

    /// LDR of the register's own width.
    pub fn ldr(&mut self, rt: Reg, at: Addr) {
        self.access(general(2 + u32::from(rt.is64()), 1), rt.num(), at);
    }

    /// STR of the register's own width.
    pub fn str(&mut self, rt: Reg, at: Addr) {
        self.access(general(2 + u32::from(rt.is64()), 0), rt.num(), at);
    }

    by_size! {
        /// LDRB.
        ldrb 0 1;
        /// STRB.
        strb 0 0;
        /// LDRH.
        ldrh 1 1;
        /// STRH.
        strh 1 0;
        /// LDRSB to an X register.
        ldrsb 0 2;
        /// LDRSH to an X register.
        ldrsh 1 2;
        /// LDRSW.
        ldrsw 2 2;
    }

    vector! {
        /// LDR (SIMD&FP) of a D register.
        ldr_d 3 1 3;
        /// STR (SIMD&FP) of a D register.
        str_d 3 0 3;
        /// LDR (SIMD&FP) of a Q register.
        ldr_q 0 3 4;
        /// STR (SIMD&FP) of a Q register.
        str_q 0 2 4;
    }

    fn pair(&mut self, op: u32, scale: u32, t1: u32, t2: u32, at: Addr) {
        let (mode, rn, offset) = match at {
            Addr::Off(rn, offset) => (2, rn, offset),
            Addr::Pre(rn, offset) => (3, rn, offset),
            Addr::Post(rn, offset) => (1, rn, offset),
            Addr::Index(rn, _) | Addr::Scaled(rn, _) => {
                self.fail("a pair has no register offset".into());
                (2, rn, 0)
            }
        };
        let scaled = offset >> scale;
        let fits = scaled << scale == offset && (-64..64).contains(&scaled);
        self.check(fits, || format!("pair offset {offset}"));
        let imm7 = (scaled as u32 & 0x7f) << 15;
        self.word(op | mode << 23 | imm7 | t2 << 10 | rn.num() << 5 | t1);
    }

    /// LDP of two general registers of one width.
    pub fn ldp(&mut self, t1: Reg, t2: Reg, at: Addr) {
        self.pair(0x2840_0000 | t1.sf(), 2 + u32::from(t1.is64()), t1.num(), t2.num(), at);
    }

    /// STP of two general registers of one width.
    pub fn stp(&mut self, t1: Reg, t2: Reg, at: Addr) {
        self.pair(0x2800_0000 | t1.sf(), 2 + u32::from(t1.is64()), t1.num(), t2.num(), at);
    }

    /// LDP of two Q registers.
    pub fn ldp_q(&mut self, t1: VReg, t2: VReg, at: Addr) {
        self.pair(0xac40_0000, 4, t1.num(), t2.num(), at);
    }

    /// STP of two Q registers.
    pub fn stp_q(&mut self, t1: VReg, t2: VReg, at: Addr) {
        self.pair(0xac00_0000, 4, t1.num(), t2.num(), at);
    }

    ordered! {
        /// LDAR.
        ldar 0x88df_fc00;
        /// STLR.
        stlr 0x889f_fc00;
        /// LDXR.
        ldxr 0x885f_7c00;
        /// LDAXR.
        ldaxr 0x885f_fc00;
    }

    /// STXR: `rs` gets 0 on success.
    pub fn stxr(&mut self, rs: Reg, rt: Reg, rn: Reg) {
        self.word(0x8800_7c00 | u32::from(rt.is64()) << 30 | rs.num() << 16 | rn.num() << 5 | rt.num());
    }

    /// STLXR: `rs` gets 0 on success.
    pub fn stlxr(&mut self, rs: Reg, rt: Reg, rn: Reg) {
        self.word(0x8800_fc00 | u32::from(rt.is64()) << 30 | rs.num() << 16 | rn.num() << 5 | rt.num());
    }

    lse! {
        /// LDADD: adds `rs` to memory, `rt` gets the old value.
        ldadd 0xb820_0000;
        /// LDADDAL.
        ldaddal 0xb8e0_0000;
        /// LDCLRAL: clears the bits of `rs` in memory.
        ldclral 0xb8e0_1000;
        /// LDEORAL.
        ldeoral 0xb8e0_2000;
        /// LDSETAL.
        ldsetal 0xb8e0_3000;
        /// LDUMAXAL.
        ldumaxal 0xb8e0_6000;
        /// SWPAL: memory gets `rs`.
        swpal 0xb8e0_8000;
        /// CASAL: memory gets `rt` if it holds `rs`, which gets the old value.
        casal 0x88e0_fc00;
    }
}
