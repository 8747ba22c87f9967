//! Vector ops on integers.

use crate::lower::Lowering;
use emu_ir::{Code, Op};

impl Lowering<'_> {
    /// Emits a vector op; false if there is no code for it.
    pub(crate) fn vector(&mut self, op: &Op, c: Code) -> bool {
        let _ = (op, c);
        false
    }
}
