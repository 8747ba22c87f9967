//! Conditions that are in the host's flags, and making them again where they are not.

use crate::analyse::{KeyKind, NO_KEY};
use crate::asm::{Alu, Cc, Gpr, Size};
use crate::lower::{Arg, Loc, Lowering};
use emu_ir::{NONE, Op};

impl Lowering<'_> {
    /// The condition code under which the condition `v`, one that stays in the flags, is true; the flags are made if they are not there.
    pub(crate) fn flags_of(&mut self, v: u32) -> Cc {
        let f = self.fact(v);
        self.make_flags(f.key);
        f.cc
    }
    /// A condition that goes into a register while its comparison's flags are there. False if the current op is none.
    pub(crate) fn early(&mut self, op: &Op) -> bool {
        if op.dst == NONE || self.fact(op.dst).early == NO_KEY {
            return false;
        }
        let f = self.fact(op.dst);
        self.make_flags(f.early);
        self.own_condition(op.dst, f.cc);
        true
    }
    /// A condition that is in the flags goes into a register.
    pub(crate) fn own_condition(&mut self, v: u32, cc: Cc) -> Gpr {
        let t = self.temp();
        self.asm.setcc(cc, t);
        self.asm.movzx_rr(Size::B, t, t);
        self.own(v, t, true);
        t
    }
    /// Makes the flags of a comparison, if they are not there.
    pub(crate) fn make_flags(&mut self, wanted: u16) {
        if wanted == NO_KEY {
            return self.fail("a value was used that is nowhere");
        }
        if self.flags != wanted {
            // What the comparison needs is free again behind it.
            let locked = self.locked;
            let key = self.an.keys[usize::from(wanted)];
            // The operands of an operation that made the flags on the way may be gone.
            if key.producer != NONE {
                return self.fail("flags were lost");
            }
            let size = Size::bits(key.bits.into());
            let a = self.gpr(key.a);
            let b = if key.b == key.a { Arg::Reg(a) } else { self.arg(key.b) };
            match key.kind {
                KeyKind::Sub => match b {
                    Arg::Imm(0) => self.asm.test_rr(size, a, a),
                    _ => self.alu_arg(Alu::Cmp, size, a, b),
                },
                KeyKind::And => match b {
                    Arg::Reg(b) => self.asm.test_rr(size, a, b),
                    Arg::Imm(i) => self.asm.test_ri(size, a, i),
                    Arg::Mem(m) => {
                        let t = self.temp();
                        self.asm.mov_rm(size, t, m);
                        self.asm.test_rr(size, a, t);
                    }
                },
                KeyKind::Adc | KeyKind::Float => self.fail("flags that cannot be made again were lost"),
                KeyKind::Add => {
                    let t = self.temp();
                    self.asm.mov_rr(size, t, a);
                    self.alu_arg(Alu::Add, size, t, b);
                    self.locked &= !(1 << t);
                }
            }
            self.flags = wanted;
            self.locked = locked;
        }
    }
    /// The host's flags are wanted behind the current op: its code must leave them alone, or that of what they are the flags of would be wrong.
    /// `analyse` knows which ops can ([`Analysis::run`]).
    pub(crate) fn flags_live(&self) -> bool {
        self.an.keys.get(usize::from(self.flags)).is_some_and(|k| k.lazy && k.last > self.at)
    }
    /// The host's flags are wanted by the current op, which has not begun, or behind it.
    pub(crate) fn flags_wanted(&self) -> bool {
        self.an.keys.get(usize::from(self.flags)).is_some_and(|k| k.last >= self.at)
    }
    /// The condition code of an i1 value, from its key or by a test.
    pub(crate) fn test(&mut self, v: u32) -> Cc {
        if self.fact(v).key != NO_KEY {
            return self.flags_of(v);
        }
        match self.loc(v) {
            Loc::State(off) => {
                let m = self.state(off);
                self.asm.alu_mi(Alu::Cmp, Size::B, m, 0);
            }
            Loc::Slot => {
                let m = self.slot(v);
                self.asm.alu_mi(Alu::Cmp, Size::B, m, 0);
            }
            _ => {
                let r = self.gpr(v);
                self.asm.test_rr(Size::B, r, r);
            }
        }
        self.flags = NO_KEY;
        Cc::NE
    }
}
