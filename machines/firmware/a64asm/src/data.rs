//! Data processing: moves, arithmetic, logic, shifts, compares, selects, multiply and divide.

use crate::{Asm, Cond, Reg, VReg};

/// The N:immr:imms field of a logical immediate (DecodeBitMasks read backwards), or `None` when
/// `value` is no rotated run of ones in a repeated element. `bits` is 32 or 64.
pub fn encode_bitmask(value: u64, bits: u32) -> Option<u32> {
    let value = if bits == 32 { value & 0xffff_ffff | value << 32 } else { value };
    if value == 0 || value == u64::MAX {
        return None;
    }
    // The smallest element that repeats.
    let mut size = 64;
    while size > 2 && value == value.rotate_right(size / 2) {
        size /= 2;
    }
    let mask = u64::MAX >> (64 - size);
    let element = value & mask;
    let ones = element.count_ones();
    let run = u64::MAX >> (64 - ones);
    let rotate = |by: u32| if by == 0 { run } else { (run >> by | run << (size - by)) & mask };
    let immr = (0..size).find(|&by| rotate(by) == element)?;
    let imms = if size == 64 { ones - 1 } else { (0x3f & !(2 * size - 1)) | (ones - 1) };
    let n = u32::from(size == 64);
    Some(n << 12 | immr << 6 | imms)
}

/// One method a three-register instruction.
macro_rules! three_reg {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rd: Reg, rn: Reg, rm: Reg) {
            self.word($op | rd.sf() | rm.num() << 16 | rn.num() << 5 | rd.num());
        }
    )*};
}

/// One method a three-register instruction with an LSL on the second operand.
macro_rules! shifted {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rd: Reg, rn: Reg, rm: Reg, lsl: u32) {
            self.check(lsl < rd.bits(), || format!("shift by {lsl}"));
            self.word($op | rd.sf() | rm.num() << 16 | (lsl & 63) << 10 | rn.num() << 5 | rd.num());
        }
    )*};
}

/// One method an instruction with a logical immediate.
macro_rules! logical_imm {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rd: Reg, rn: Reg, imm: u64) {
            let field = encode_bitmask(imm, rd.bits());
            self.check(field.is_some(), || format!("{imm:#x} is no logical immediate"));
            self.word($op | rd.sf() | field.unwrap_or(0) << 10 | rn.num() << 5 | rd.num());
        }
    )*};
}

/// One method an ADD-like instruction with an immediate of 12 bits, shifted by 12 when that fits.
macro_rules! arith_imm {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rd: Reg, rn: Reg, imm: u32) {
            let field = if imm < 1 << 12 { imm } else { 1 << 12 | imm >> 12 };
            let fits = imm < 1 << 12 || (imm & 0xfff == 0 && imm < 1 << 24);
            self.check(fits, || format!("{imm:#x} is no arithmetic immediate"));
            self.word($op | rd.sf() | (field & 0x1fff) << 10 | rn.num() << 5 | rd.num());
        }
    )*};
}

/// One method a conditional select.
macro_rules! select {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rd: Reg, rn: Reg, rm: Reg, cond: Cond) {
            self.word(
                $op | rd.sf() | rm.num() << 16 | cond.code() << 12 | rn.num() << 5 | rd.num(),
            );
        }
    )*};
}

/// One method a one-source instruction.
macro_rules! one_source {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rd: Reg, rn: Reg) {
            self.word($op | rd.sf() | rn.num() << 5 | rd.num());
        }
    )*};
}

/// One method a multiply-accumulate.
macro_rules! four_reg {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, rd: Reg, rn: Reg, rm: Reg, ra: Reg) {
            self.word(
                $op | rd.sf() | rm.num() << 16 | ra.num() << 10 | rn.num() << 5 | rd.num(),
            );
        }
    )*};
}

impl Asm {
    /// NOP.
    pub fn nop(&mut self) {
        self.word(0xd503_201f);
    }

    /// UDF: permanently undefined.
    pub fn udf(&mut self, imm: u16) {
        self.word(u32::from(imm));
    }

    fn wide(&mut self, op: u32, rd: Reg, imm: u16, lsl: u32) {
        self.check(lsl < rd.bits() && lsl.is_multiple_of(16), || format!("shift by {lsl}"));
        self.word(op | rd.sf() | (lsl / 16 % 4) << 21 | u32::from(imm) << 5 | rd.num());
    }

    /// MOVZ with LSL of 0, 16, 32 or 48.
    pub fn movz(&mut self, rd: Reg, imm: u16, lsl: u32) {
        self.wide(0x5280_0000, rd, imm, lsl);
    }

    /// MOVN.
    pub fn movn(&mut self, rd: Reg, imm: u16, lsl: u32) {
        self.wide(0x1280_0000, rd, imm, lsl);
    }

    /// MOVK.
    pub fn movk(&mut self, rd: Reg, imm: u16, lsl: u32) {
        self.wide(0x7280_0000, rd, imm, lsl);
    }

    /// Any constant, in as few MOVZ, MOVN, ORR and MOVK as it takes.
    pub fn mov_imm(&mut self, rd: Reg, imm: u64) {
        let imm = if rd.is64() { imm } else { imm & 0xffff_ffff };
        let parts: Vec<u32> = (0..rd.bits() / 16).collect();
        let part = |i: u32| (imm >> (16 * i)) as u16;
        let zeros = parts.iter().filter(|&&i| part(i) == 0).count();
        let ones = parts.iter().filter(|&&i| part(i) == 0xffff).count();
        let others = parts.len() - zeros.max(ones);
        if others > 1
            && rd.num() != 31
            && let Some(field) = encode_bitmask(imm, rd.bits())
        {
            self.word(0x3200_03e0 | rd.sf() | field << 10 | rd.num());
            return;
        }
        let filler = if ones > zeros { 0xffff } else { 0 };
        let mut todo = parts.iter().copied().filter(|&i| part(i) != filler);
        let first = todo.next().unwrap_or(0);
        if filler == 0 {
            self.movz(rd, part(first), 16 * first);
        } else {
            self.movn(rd, !part(first), 16 * first);
        }
        for i in todo {
            self.movk(rd, part(i), 16 * i);
        }
    }

    /// MOV (register): neither operand is SP.
    pub fn mov(&mut self, rd: Reg, rm: Reg) {
        self.orr(rd, Reg::x(31), rm, 0);
    }

    /// MOV to or from SP.
    pub fn mov_sp(&mut self, rd: Reg, rn: Reg) {
        self.add_imm(rd, rn, 0);
    }

    arith_imm! {
        /// ADD (immediate).
        add_imm 0x1100_0000;
        /// ADDS (immediate).
        adds_imm 0x3100_0000;
        /// SUB (immediate).
        sub_imm 0x5100_0000;
        /// SUBS (immediate).
        subs_imm 0x7100_0000;
    }

    logical_imm! {
        /// AND (immediate).
        and_imm 0x1200_0000;
        /// ORR (immediate).
        orr_imm 0x3200_0000;
        /// EOR (immediate).
        eor_imm 0x5200_0000;
        /// ANDS (immediate).
        ands_imm 0x7200_0000;
    }

    shifted! {
        /// ADD (shifted register) with LSL.
        add 0x0b00_0000;
        /// ADDS (shifted register) with LSL.
        adds 0x2b00_0000;
        /// SUB (shifted register) with LSL.
        sub 0x4b00_0000;
        /// SUBS (shifted register) with LSL.
        subs 0x6b00_0000;
        /// AND (shifted register) with LSL.
        and 0x0a00_0000;
        /// BIC (shifted register) with LSL.
        bic 0x0a20_0000;
        /// ORR (shifted register) with LSL.
        orr 0x2a00_0000;
        /// ORN (shifted register) with LSL.
        orn 0x2a20_0000;
        /// EOR (shifted register) with LSL.
        eor 0x4a00_0000;
        /// ANDS (shifted register) with LSL.
        ands 0x6a00_0000;
    }

    three_reg! {
        /// ADC.
        adc 0x1a00_0000;
        /// ADCS.
        adcs 0x3a00_0000;
        /// SBC.
        sbc 0x5a00_0000;
        /// UDIV.
        udiv 0x1ac0_0800;
        /// SDIV.
        sdiv 0x1ac0_0c00;
        /// LSLV: LSL (register).
        lslv 0x1ac0_2000;
        /// LSRV: LSR (register).
        lsrv 0x1ac0_2400;
        /// ASRV: ASR (register).
        asrv 0x1ac0_2800;
        /// RORV: ROR (register).
        rorv 0x1ac0_2c00;
        /// MUL.
        mul 0x1b00_7c00;
        /// UMULH; all three are X registers.
        umulh 0x1bc0_7c00;
        /// CRC32B of W registers.
        crc32b 0x1ac0_4000;
        /// CRC32X: `rm` is an X register, whatever is given.
        crc32x 0x9ac0_4c00;
        /// CRC32CX: `rm` is an X register, whatever is given.
        crc32cx 0x9ac0_5c00;
    }

    four_reg! {
        /// MADD: `ra + rn * rm`.
        madd 0x1b00_0000;
        /// MSUB: `ra - rn * rm`.
        msub 0x1b00_8000;
    }

    select! {
        /// CSEL.
        csel 0x1a80_0000;
        /// CSINC.
        csinc 0x1a80_0400;
        /// CSINV.
        csinv 0x5a80_0000;
        /// CSNEG.
        csneg 0x5a80_0400;
    }

    one_source! {
        /// RBIT.
        rbit 0x5ac0_0000;
        /// REV16.
        rev16 0x5ac0_0400;
        /// CLZ.
        clz 0x5ac0_1000;
    }

    /// REV: all the bytes of the register.
    pub fn rev(&mut self, rd: Reg, rn: Reg) {
        let op = if rd.is64() { 0x5ac0_0c00 } else { 0x5ac0_0800 };
        self.word(op | rd.sf() | rn.num() << 5 | rd.num());
    }

    /// CSET.
    pub fn cset(&mut self, rd: Reg, cond: Cond) {
        self.word(0x1a9f_07e0 | rd.sf() | cond.inverted() << 12 | rd.num());
    }

    /// CMP (immediate).
    pub fn cmp_imm(&mut self, rn: Reg, imm: u32) {
        self.subs_imm(if rn.is64() { Reg::x(31) } else { Reg::w(31) }, rn, imm);
    }

    /// CMP (shifted register) without a shift.
    pub fn cmp(&mut self, rn: Reg, rm: Reg) {
        self.subs(if rn.is64() { Reg::x(31) } else { Reg::w(31) }, rn, rm, 0);
    }

    /// TST (immediate).
    pub fn tst_imm(&mut self, rn: Reg, imm: u64) {
        self.ands_imm(if rn.is64() { Reg::x(31) } else { Reg::w(31) }, rn, imm);
    }

    /// MVN.
    pub fn mvn(&mut self, rd: Reg, rm: Reg) {
        self.orn(rd, Reg::x(31), rm, 0);
    }

    /// NEG.
    pub fn neg(&mut self, rd: Reg, rm: Reg) {
        self.sub(rd, Reg::x(31), rm, 0);
    }

    fn bitfield(&mut self, op: u32, rd: Reg, rn: Reg, immr: u32, imms: u32) {
        let bits = rd.bits();
        self.check(immr < bits && imms < bits, || format!("bit field {immr}, {imms}"));
        let n = u32::from(rd.is64()) << 22;
        self.word(op | rd.sf() | n | (immr & 63) << 16 | (imms & 63) << 10 | rn.num() << 5 | rd.num());
    }

    /// UBFM.
    pub fn ubfm(&mut self, rd: Reg, rn: Reg, immr: u32, imms: u32) {
        self.bitfield(0x5300_0000, rd, rn, immr, imms);
    }

    /// SBFM.
    pub fn sbfm(&mut self, rd: Reg, rn: Reg, immr: u32, imms: u32) {
        self.bitfield(0x1300_0000, rd, rn, immr, imms);
    }

    /// BFM.
    pub fn bfm(&mut self, rd: Reg, rn: Reg, immr: u32, imms: u32) {
        self.bitfield(0x3300_0000, rd, rn, immr, imms);
    }

    /// LSL (immediate).
    pub fn lsl(&mut self, rd: Reg, rn: Reg, by: u32) {
        let bits = rd.bits();
        self.ubfm(rd, rn, bits.wrapping_sub(by) % bits, bits.wrapping_sub(1).wrapping_sub(by));
    }

    /// LSR (immediate).
    pub fn lsr(&mut self, rd: Reg, rn: Reg, by: u32) {
        self.ubfm(rd, rn, by, rd.bits() - 1);
    }

    /// ASR (immediate).
    pub fn asr(&mut self, rd: Reg, rn: Reg, by: u32) {
        self.sbfm(rd, rn, by, rd.bits() - 1);
    }

    /// UBFX: `width` bits from bit `lsb`.
    pub fn ubfx(&mut self, rd: Reg, rn: Reg, lsb: u32, width: u32) {
        self.ubfm(rd, rn, lsb, (lsb + width).wrapping_sub(1));
    }

    /// BFI: the low `width` bits of `rn` into `rd` at `lsb`.
    pub fn bfi(&mut self, rd: Reg, rn: Reg, lsb: u32, width: u32) {
        let bits = rd.bits();
        self.bfm(rd, rn, bits.wrapping_sub(lsb) % bits, width.wrapping_sub(1));
    }

    /// EXTR; ROR (immediate) with `rn` and `rm` the same.
    pub fn extr(&mut self, rd: Reg, rn: Reg, rm: Reg, lsb: u32) {
        self.check(lsb < rd.bits(), || format!("shift by {lsb}"));
        let n = u32::from(rd.is64()) << 22;
        let operands = rm.num() << 16 | (lsb & 63) << 10 | rn.num() << 5 | rd.num();
        self.word(0x1380_0000 | rd.sf() | n | operands);
    }

    /// ROR (immediate).
    pub fn ror(&mut self, rd: Reg, rn: Reg, by: u32) {
        self.extr(rd, rn, rn, by);
    }

    /// FMOV from a general register: to Dd from X, to Sd from W.
    pub fn fmov_from(&mut self, vd: VReg, rn: Reg) {
        let op = if rn.is64() { 0x9e67_0000 } else { 0x1e27_0000 };
        self.word(op | rn.num() << 5 | vd.num());
    }

    /// FMOV to a general register: from Dn to X, from Sn to W.
    pub fn fmov_to(&mut self, rd: Reg, vn: VReg) {
        let op = if rd.is64() { 0x9e66_0000 } else { 0x1e26_0000 };
        self.word(op | vn.num() << 5 | rd.num());
    }

    /// FMOV of the upper half, from Vn.D\[1\].
    pub fn fmov_to_high(&mut self, rd: Reg, vn: VReg) {
        self.word(0x9eae_0000 | vn.num() << 5 | rd.num());
    }
}
