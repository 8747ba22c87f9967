//! The rows of the target's decode tables, and the operands of an instruction by name.

/// Generated from the tables.
#[allow(missing_docs, clippy::all, dead_code, unused_parens)]
pub mod decode {
    include!(concat!(env!("OUT_DIR"), "/decode.rs"));
}

use decode::{Decode, ROWS, Row, Status};

/// What a decoder of names and operands keeps: the method and its operands as `name: value`.
#[derive(Default)]
struct Operands(String);

impl Decode for Operands {
    type Output = ();
    fn has(&self, _: decode::Feature) -> bool {
        true
    }
    fn unallocated(&mut self, _: u32) {}
    fn unimplemented(&mut self, _: u32, _: &'static Row) {}
}

macro_rules! print_operands {
    ($($part:ident { $($method:ident $operands:ident;)* })*) => {
        $( impl decode::$part for Operands {
            $( fn $method(&mut self, i: &decode::$operands) { self.0 = format!("{i:?}"); } )*
        } )*
    };
}
decode::decode_methods!(print_operands);

/// An operand of an instruction, as the tables name it.
pub fn operand(insn: u32, name: &str) -> Option<i64> {
    let mut o = Operands::default();
    decode::decode(&mut o, insn);
    let at = o.0.find(&format!("{name}: "))? + name.len() + 2;
    let text: String = o.0[at..].chars().take_while(|c| *c == '-' || c.is_ascii_digit()).collect();
    text.parse().ok()
}

/// The method of a row; `None` if it has none.
pub fn method(row: &Row) -> Option<&'static str> {
    match row.status {
        Status::Implemented(m) => Some(m),
        Status::Unimplemented(_) => None,
    }
}

/// Rows whose instructions are not drawn, and why.
pub const EXCLUDED: &[(&str, &str)] = &[
    ("mret", "it goes where the harness's state says"),
    ("sret", "it goes where the harness's state says"),
    ("wfi", "nothing would end the wait"),
    ("wait_reservation", "the oracle waits for an interrupt"),
    ("ecall", "covered by its own cases: the cause says the mode only"),
];

/// The rows that cases are drawn from.
pub fn drawn() -> Vec<usize> {
    (0..ROWS.len()).filter(|n| method(&ROWS[*n]).is_some_and(|m| EXCLUDED.iter().all(|e| e.0 != m))).collect()
}

/// A row by its number.
pub fn row(n: usize) -> &'static Row {
    &ROWS[n]
}
