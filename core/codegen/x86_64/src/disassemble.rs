//! Generated code as text, for `-d out_asm`.

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

/// One line an instruction, with its address.
pub fn disassemble(address: usize, code: &[u8]) -> String {
    let mut text = String::new();
    let mut formatter = IntelFormatter::new();
    for instruction in Decoder::with_ip(64, code, address as u64, DecoderOptions::NONE).iter() {
        text += &format!("  {:#x}: ", instruction.ip());
        formatter.format(&instruction, &mut text);
        text.push('\n');
    }
    text
}
