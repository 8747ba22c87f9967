//! Floating-point ops.

use crate::lower::Lowering;
use emu_ir::{Code, Op};

impl Lowering<'_> {
    /// Emits a floating-point op; false if there is no code for it.
    pub(crate) fn float(&mut self, op: &Op, c: Code) -> bool {
        let _ = (op, c);
        false
    }
}
