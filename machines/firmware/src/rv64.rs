//! RISC-V instructions of the boards' demo guests, which are a few words each.

/// t0.
pub const T0: u32 = 5;
/// t1.
pub const T1: u32 = 6;
/// t2.
pub const T2: u32 = 7;
/// a0.
pub const A0: u32 = 10;

/// LUI of the upper 20 of an address's lower 32 bits.
pub fn lui(rd: u32, address: u64) -> u32 {
    (address as u32 & 0xffff_f000) | rd << 7 | 0x37
}
/// An instruction of the I type.
pub fn i_type(imm: i32, rs1: u32, funct3: u32, rd: u32, opcode: u32) -> u32 {
    (imm as u32) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}
