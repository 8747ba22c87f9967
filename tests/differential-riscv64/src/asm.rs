//! As much of an assembler as the guest needs.

/// Registers by number.
#[allow(missing_docs)] // The names say all.
pub mod reg {
    pub const ZERO: u32 = 0;
    pub const RA: u32 = 1;
    pub const SP: u32 = 2;
    pub const T0: u32 = 5;
    pub const T1: u32 = 6;
    pub const T2: u32 = 7;
    pub const S0: u32 = 8;
    pub const S1: u32 = 9;
    pub const A0: u32 = 10;
    pub const A1: u32 = 11;
    pub const A2: u32 = 12;
    pub const A3: u32 = 13;
    pub const A4: u32 = 14;
    pub const A5: u32 = 15;
}

/// Where a label is, or that it has to come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

/// Code in the making.
#[derive(Default)]
pub struct Asm {
    words: Vec<u32>,
    labels: Vec<Option<usize>>,
    fixes: Vec<(usize, Label)>,
}

fn i_type(imm: i32, rs1: u32, funct3: u32, rd: u32, opcode: u32) -> u32 {
    assert!((-2048..2048).contains(&imm), "{imm}");
    (imm as u32) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}
fn s_type(imm: i32, rs2: u32, rs1: u32, funct3: u32, opcode: u32) -> u32 {
    assert!((-2048..2048).contains(&imm), "{imm}");
    let imm = imm as u32;
    (imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | opcode
}
/// The bits of a conditional branch's offset.
pub fn branch_bits(offset: i32) -> u32 {
    let o = offset as u32;
    (o >> 12 & 1) << 31 | (o >> 5 & 0x3f) << 25 | (o >> 1 & 15) << 8 | (o >> 11 & 1) << 7
}
/// The bits of a jump's offset.
pub fn jump_bits(offset: i32) -> u32 {
    let o = offset as u32;
    (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12
}

impl Asm {
    /// The code.
    pub fn finish(mut self) -> Vec<u32> {
        for (at, label) in std::mem::take(&mut self.fixes) {
            let to = self.labels[label.0].expect("every label is placed");
            let offset = (to as i32 - at as i32) * 4;
            self.words[at] |= if self.words[at] & 0x7f == 0x6f { jump_bits(offset) } else { branch_bits(offset) };
        }
        self.words
    }
    /// Appends a word.
    pub fn word(&mut self, w: u32) {
        self.words.push(w);
    }
    /// Offset of the next word in bytes.
    pub fn here(&self) -> u64 {
        self.words.len() as u64 * 4
    }
    /// A label that is not placed yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }
    /// Places a label.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.words.len());
    }
    fn to(&mut self, label: Label, w: u32) {
        self.fixes.push((self.words.len(), label));
        self.word(w);
    }
    /// BEQ.
    pub fn beq(&mut self, a: u32, b: u32, label: Label) {
        self.to(label, b << 20 | a << 15 | 0x63);
    }
    /// BNE.
    pub fn bne(&mut self, a: u32, b: u32, label: Label) {
        self.to(label, b << 20 | a << 15 | 1 << 12 | 0x63);
    }
    /// BLT.
    pub fn blt(&mut self, a: u32, b: u32, label: Label) {
        self.to(label, b << 20 | a << 15 | 4 << 12 | 0x63);
    }
    /// J.
    pub fn j(&mut self, label: Label) {
        self.to(label, 0x6f);
    }
    /// JAL ra.
    pub fn call(&mut self, label: Label) {
        self.to(label, 1 << 7 | 0x6f);
    }
    /// RET.
    pub fn ret(&mut self) {
        self.word(0x0000_8067);
    }
    /// ADDI.
    pub fn addi(&mut self, rd: u32, rs1: u32, imm: i32) {
        self.word(i_type(imm, rs1, 0, rd, 0x13));
    }
    /// ANDI.
    pub fn andi(&mut self, rd: u32, rs1: u32, imm: i32) {
        self.word(i_type(imm, rs1, 7, rd, 0x13));
    }
    /// SLLI.
    pub fn slli(&mut self, rd: u32, rs1: u32, n: i32) {
        self.word(i_type(n, rs1, 1, rd, 0x13));
    }
    /// SRLI.
    pub fn srli(&mut self, rd: u32, rs1: u32, n: i32) {
        self.word(i_type(n, rs1, 5, rd, 0x13));
    }
    /// ADD.
    pub fn add(&mut self, rd: u32, a: u32, b: u32) {
        self.word(b << 20 | a << 15 | rd << 7 | 0x33);
    }
    /// SUB.
    pub fn sub(&mut self, rd: u32, a: u32, b: u32) {
        self.word(0x20 << 25 | b << 20 | a << 15 | rd << 7 | 0x33);
    }
    /// AND.
    pub fn and(&mut self, rd: u32, a: u32, b: u32) {
        self.word(b << 20 | a << 15 | 7 << 12 | rd << 7 | 0x33);
    }
    /// OR.
    pub fn or(&mut self, rd: u32, a: u32, b: u32) {
        self.word(b << 20 | a << 15 | 6 << 12 | rd << 7 | 0x33);
    }
    /// XOR.
    pub fn xor(&mut self, rd: u32, a: u32, b: u32) {
        self.word(b << 20 | a << 15 | 4 << 12 | rd << 7 | 0x33);
    }
    /// MUL.
    pub fn mul(&mut self, rd: u32, a: u32, b: u32) {
        self.word(1 << 25 | b << 20 | a << 15 | rd << 7 | 0x33);
    }
    /// LD.
    pub fn ld(&mut self, rd: u32, imm: i32, rs1: u32) {
        self.word(i_type(imm, rs1, 3, rd, 0x03));
    }
    /// SD.
    pub fn sd(&mut self, rs2: u32, imm: i32, rs1: u32) {
        self.word(s_type(imm, rs2, rs1, 3, 0x23));
    }
    /// SB.
    pub fn sb(&mut self, rs2: u32, imm: i32, rs1: u32) {
        self.word(s_type(imm, rs2, rs1, 0, 0x23));
    }
    /// SW.
    pub fn sw(&mut self, rs2: u32, imm: i32, rs1: u32) {
        self.word(s_type(imm, rs2, rs1, 2, 0x23));
    }
    /// FLD.
    pub fn fld(&mut self, fd: u32, imm: i32, rs1: u32) {
        self.word(i_type(imm, rs1, 3, fd, 0x07));
    }
    /// FMV.X.D.
    pub fn fmv_x_d(&mut self, rd: u32, fs: u32) {
        self.word(0xe200_0053 | fs << 15 | rd << 7);
    }
    /// CSRRW.
    pub fn csrrw(&mut self, rd: u32, csr: u32, rs1: u32) {
        self.word(csr << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73);
    }
    /// CSRR.
    pub fn csrr(&mut self, rd: u32, csr: u32) {
        self.word(csr << 20 | 2 << 12 | rd << 7 | 0x73);
    }
    /// A constant of 64 bits.
    pub fn li(&mut self, rd: u32, value: u64) {
        let mut parts = vec![];
        let mut v = value as i64;
        // Pieces of 12 bits from below, until what is left fits a LUI and an ADDI.
        while v != i64::from(v as i32) {
            let low = ((v << 52) >> 52) as i32;
            parts.push(low);
            v = v.wrapping_sub(i64::from(low)) >> 12;
        }
        let low = ((v << 52) >> 52) as i32;
        let high = (v as i32).wrapping_sub(low) as u32;
        self.word(high & 0xffff_f000 | rd << 7 | 0x37);
        // ADDIW: the sum wraps as a word.
        self.word(i_type(low, rd, 0, rd, 0x1b));
        for low in parts.into_iter().rev() {
            self.slli(rd, rd, 12);
            self.addi(rd, rd, low);
        }
    }
}
