//! Assembler text, from the decode table's row: the mnemonic and the fields that it takes.

use crate::decode;

/// Text of an instruction and its length in bytes.
pub fn text(_pc: u64, insn: u32) -> (String, usize) {
    let (insn, length) = if insn & 3 == 3 { (insn, 4) } else { (insn & 0xffff, 2) };
    let name = match decode::find(insn) {
        Some(row) => decode::ROWS[row].name.to_ascii_lowercase().replace('_', "."),
        None => ".insn".to_owned(),
    };
    let shown = if length == 4 { format!("{insn:08x}") } else { format!("{insn:04x}    ") };
    let register = |low: u32| insn >> low & 31;
    let operands = if length == 4 { format!("rd=x{} rs1=x{} rs2=x{}", register(7), register(15), register(20)) } else { String::new() };
    (format!("{shown}  {name:<12} {operands}").trim_end().to_owned(), length)
}
