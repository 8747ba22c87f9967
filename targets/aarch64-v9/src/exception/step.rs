//! Software step (Arm ARM D2.12), and which debug exceptions are enabled.

use crate::mode::ModeKey;
use crate::state::{State, offset};
use crate::sysreg::word;
use crate::translate::Translator;
use emu_plugins_api::ir::{Code, NONE, Op, Shape, Ty, exit};

/// MDSCR_EL1.SS.
const SS: u64 = 1;
/// MDSCR_EL1.KDE.
const KDE: u64 = 1 << 13;
/// OSLSR_EL1.OSLK.
const OSLK: u64 = 2;
/// PSTATE.D in `State::daif`.
const MASK_D: u8 = 8;

/// GenerateDebugExceptionsFrom, debug exceptions being taken to EL1.
pub fn debug_exceptions_from(cpu: &State, el: u8, daif: u8) -> bool {
    if cpu.sysreg[word::OSLSR_EL1] & OSLK != 0 {
        return false;
    }
    el == 0 || (el == 1 && cpu.sysreg[word::MDSCR_EL1] & KDE != 0 && daif & MASK_D == 0)
}

/// Software step is active in the current state.
pub fn enabled(cpu: &State) -> bool {
    cpu.sysreg[word::MDSCR_EL1] & SS != 0 && debug_exceptions_from(cpu, cpu.el, cpu.daif)
}

/// DebugExceptionReturnSS: PSTATE.SS after a return to `el` with the masks `daif`, `ss` being SPSR.SS.
pub fn after_return(cpu: &State, el: u8, daif: u8, ss: bool) -> bool {
    cpu.sysreg[word::MDSCR_EL1] & SS != 0 && !debug_exceptions_from(cpu, cpu.el, cpu.daif) && debug_exceptions_from(cpu, el, daif) && ss
}

/// SSAdvance: the instruction counts as stepped although it ends in an exception (SVC and the like).
pub fn advance(cpu: &mut State) {
    if enabled(cpu) {
        cpu.ss = 0;
    }
}

/// Rewrites the ways out of a block from op `from` on, for blocks whose own execution changes the mode key: a static successor would run under
/// the key of this block. After BTYPE was cleared, successors are looked up by address and current key; after a stepped instruction,
/// PSTATE.SS becomes 0 and the dispatcher looks anew.
pub fn rewrite_exits(t: &mut Translator<'_>, from: usize, stepped: bool) {
    let ops: Vec<Op> = t.ir.buf().ops()[from..].to_vec();
    t.ir.buf().truncate(from);
    for op in ops {
        let is = |c: Code| op.code == c as u16;
        if is(Code::Branch) {
            let taken = emu_plugins_api::ir::Val(op.a);
            let not_taken = t.ir.op(Code::Not, Ty::I1, Shape::SCALAR, &[taken], 0, 0);
            let label = t.ir.new_label();
            t.ir.brif(not_taken, label);
            leave(t, None, op.imm, 0, stepped);
            t.ir.label(label);
        } else if is(Code::Goto) {
            leave(t, None, op.imm, op.aux, stepped);
        } else if is(Code::Jump) && stepped {
            leave(t, Some(op.a), 0, op.aux, stepped);
        } else {
            if (is(Code::Exit) || is(Code::ExitJump)) && stepped {
                clear_ss(t);
            }
            t.ir.emit(op);
        }
    }
}

fn leave(t: &mut Translator<'_>, target: Option<u32>, pc: u64, kind: u32, stepped: bool) {
    if stepped {
        clear_ss(t);
        match target {
            Some(a) => t.ir.exit_jump(emu_plugins_api::ir::Val(a), exit::LOOKUP),
            None => t.ir.exit(pc, exit::LOOKUP),
        }
    } else {
        let a = t.ir.c64(pc);
        t.ir.emit(Op { code: Code::Jump as u16, ty: Ty::I64, shape: Shape::SCALAR, dst: NONE, a: a.0, b: NONE, c: NONE, aux: kind, imm: 0 });
    }
}

fn clear_ss(t: &mut Translator<'_>) {
    let zero = t.ir.iconst(Ty::I8, 0);
    t.ir.set(Ty::I8, Shape::SCALAR, offset::SS, zero);
    let key = t.ir.get(Ty::I64, Shape::SCALAR, offset::MODE_KEY);
    let keep = t.ir.c64(!ModeKey::default().with_step(2).0);
    let key = t.ir.and(Ty::I64, key, keep);
    t.ir.set(Ty::I64, Shape::SCALAR, offset::MODE_KEY, key);
}
