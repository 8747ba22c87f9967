//! Instructions of the example architecture by name, and programs of them.

/// A program: words at 0x8000_0000.
#[derive(Default)]
pub struct Program {
    words: Vec<u32>,
}

/// Where programs start.
pub const BASE: u64 = 0x8000_0000;
/// Upper bits of the console's address, for `lui`.
pub const CONSOLE_HI: u32 = 0x10000;

/// A format with immediate in bits 20 to 31.
pub fn i(opcode: u32, funct3: u32, rd: u32, rs1: u32, imm: i32) -> u32 {
    (imm as u32) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}
/// Register with register.
pub fn r(opcode: u32, funct3: u32, funct7: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}
/// Store.
pub fn s(funct3: u32, rs1: u32, rs2: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    (imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | 0x23
}
/// Branch.
pub fn b(funct3: u32, rs1: u32, rs2: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    (imm >> 12 & 1) << 31 | (imm >> 5 & 0x3f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7 | 0x63
}
/// Jump and link.
pub fn jal(rd: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21 | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}
/// Load upper immediate.
pub fn lui(rd: u32, imm: u32) -> u32 {
    imm << 12 | rd << 7 | 0x37
}
/// Add upper immediate to the program counter.
pub fn auipc(rd: u32, imm: u32) -> u32 {
    imm << 12 | rd << 7 | 0x17
}
/// Add immediate.
pub fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    i(0x13, 0, rd, rs1, imm)
}
/// CSR read and write (1), set (2), clear (3); 5 to 7 with an immediate.
pub fn csr(funct3: u32, rd: u32, number: u32, rs1: u32) -> u32 {
    number << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x73
}
/// Environment call.
pub const ECALL: u32 = 0x0000_0073;
/// Breakpoint.
pub const EBREAK: u32 = 0x0010_0073;
/// Return from a trap.
pub const MRET: u32 = 0x3020_0073;

impl Program {
    /// Appends instructions.
    pub fn add(&mut self, words: &[u32]) -> &mut Program {
        self.words.extend_from_slice(words);
        self
    }
    /// Prints a text; uses x30 and x31.
    pub fn print(&mut self, text: &str) -> &mut Program {
        self.add(&[lui(30, CONSOLE_HI)]);
        for c in text.bytes() {
            self.add(&[addi(31, 0, c.into()), s(0, 30, 31, 0)]);
        }
        self
    }
    /// Turns the machine off with the low bits of a register as code; uses x30.
    pub fn power_off(&mut self, code_register: u32) -> &mut Program {
        self.add(&[lui(30, CONSOLE_HI), s(2, 30, code_register, 8), jal(0, 0)])
    }
    /// Loads a constant; uses 8 to 9 words at most.
    pub fn li(&mut self, rd: u32, value: u64) -> &mut Program {
        // 11 bits at a time, so that no immediate is negative.
        self.add(&[addi(rd, 0, (value >> 55) as i32 & 0x1ff)]);
        for shift in [44, 33, 22, 11, 0] {
            self.add(&[i(0x13, 1, rd, rd, 11), i(0x13, 6, rd, rd, (value >> shift) as i32 & 0x7ff)]);
        }
        self
    }
    /// Turns the machine off with `code` unless the register holds `want`; uses x29 to x31.
    pub fn check(&mut self, register: u32, want: u64, code: i32) -> &mut Program {
        self.li(29, want);
        self.add(&[b(0, register, 29, 20), addi(31, 0, code)]).power_off(31)
    }
    /// Address of the next instruction.
    pub fn here(&self) -> u64 {
        BASE + 4 * self.words.len() as u64
    }
    /// The flat binary.
    pub fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }
}
