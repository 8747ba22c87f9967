//! Litmus tests as data: what the threads do ([`SHAPES`]), with which instructions ([`Flavour`]), and which outcome must never be seen.
//!
//! Arm's model is multi-copy atomic: the outcome that a shape asks for is a cycle of accesses, each ordered before the next either by being
//! observed from outside or by program order. It is forbidden exactly when each of the pairs in program order is ordered locally
//! (Arm ARM B2.3, Ordered-before), which [`Flavour::orders`] says for one pair.

use crate::guest::Guest;
use crate::words::{ACQ_REL, ACQUIRE, Order, RELAXED, RELEASE, Size, Words};
use Kind::{R, W};
use emu_a64_asm::*;

/// A load or a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Load.
    R,
    /// Store.
    W,
}

/// An access: kind, variable (0 is x), value stored.
#[derive(Clone, Copy, Debug)]
pub struct Event(pub Kind, pub u8, pub u8);

/// A test: each thread's accesses, the values that its loads get (thread after thread) and the final values of variables in the outcome
/// that the shape is about.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its usual name.
    pub name: &'static str,
    /// What each thread does.
    pub threads: &'static [&'static [Event]],
    /// What the loads see.
    pub loads: &'static [u8],
    /// What variables hold in the end.
    pub finals: &'static [(u8, u8)],
}

const X: u8 = 0;
const Y: u8 = 1;
const Z: u8 = 2;

/// All shapes.
pub const SHAPES: &[Shape] = &[
    Shape { name: "MP", threads: &[&[Event(W, X, 1), Event(W, Y, 1)], &[Event(R, Y, 0), Event(R, X, 0)]], loads: &[1, 0], finals: &[] },
    Shape { name: "SB", threads: &[&[Event(W, X, 1), Event(R, Y, 0)], &[Event(W, Y, 1), Event(R, X, 0)]], loads: &[0, 0], finals: &[] },
    Shape { name: "LB", threads: &[&[Event(R, X, 0), Event(W, Y, 1)], &[Event(R, Y, 0), Event(W, X, 1)]], loads: &[1, 1], finals: &[] },
    Shape { name: "R", threads: &[&[Event(W, X, 1), Event(W, Y, 1)], &[Event(W, Y, 2), Event(R, X, 0)]], loads: &[0], finals: &[(Y, 2)] },
    Shape { name: "S", threads: &[&[Event(W, X, 2), Event(W, Y, 1)], &[Event(R, Y, 0), Event(W, X, 1)]], loads: &[1], finals: &[(X, 2)] },
    Shape { name: "2+2W", threads: &[&[Event(W, X, 1), Event(W, Y, 2)], &[Event(W, Y, 1), Event(W, X, 2)]], loads: &[], finals: &[(X, 1), (Y, 1)] },
    Shape { name: "CoRR", threads: &[&[Event(W, X, 1)], &[Event(R, X, 0), Event(R, X, 0)]], loads: &[1, 0], finals: &[] },
    Shape {
        name: "WRC",
        threads: &[&[Event(W, X, 1)], &[Event(R, X, 0), Event(W, Y, 1)], &[Event(R, Y, 0), Event(R, X, 0)]],
        loads: &[1, 1, 0],
        finals: &[],
    },
    Shape {
        name: "ISA2",
        threads: &[&[Event(W, X, 1), Event(W, Y, 1)], &[Event(R, Y, 0), Event(W, Z, 1)], &[Event(R, Z, 0), Event(R, X, 0)]],
        loads: &[1, 1, 0],
        finals: &[],
    },
    Shape {
        name: "IRIW",
        threads: &[&[Event(W, X, 1)], &[Event(W, Y, 1)], &[Event(R, X, 0), Event(R, Y, 0)], &[Event(R, Y, 0), Event(R, X, 0)]],
        loads: &[1, 0, 1, 0],
        finals: &[],
    },
];

impl Shape {
    /// The shape of that name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> Shape {
        *SHAPES.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no shape {name}"))
    }
    /// True if the outcome must never be seen with these instructions.
    pub fn forbidden(&self, flavour: &Flavour) -> bool {
        self.threads.iter().all(|t| match t {
            // Two accesses of one variable are coherent whatever they are.
            [a, b] => a.1 == b.1 || flavour.orders(a.0, b.0),
            _ => true,
        })
    }
    /// The outcome as the guest counts it: two bits a load, then two a final value.
    pub fn code(&self) -> u64 {
        let values = self.loads.iter().copied().chain(self.finals.iter().map(|f| f.1));
        values.enumerate().fold(0, |code, (i, v)| code | u64::from(v) << (2 * i))
    }
}

/// How stores are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// STR.
    Str,
    /// STLR.
    Stlr,
    /// STLUR.
    Stlur,
    /// STLLR.
    Stllr,
    /// LDXR and STLXR.
    Stlxr,
    /// LDXP and STLXP; the size is 3.
    Stlxp,
    /// SWP.
    Swp(Order),
}

/// How loads are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// LDR.
    Ldr,
    /// LDAR.
    Ldar,
    /// LDLAR.
    Ldlar,
    /// LDAPR.
    Ldapr,
    /// LDAPUR.
    Ldapur,
    /// LDAXR.
    Ldaxr,
    /// LDAXP; the size is 3.
    Ldaxp,
    /// LDADD of zero.
    Ldadd(Order),
    /// CAS of zero by zero.
    Cas(Order),
}

/// What is between the two accesses of a thread and orders nothing (but for the barriers).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Between {
    /// Nothing.
    Nothing,
    /// DMB.
    Dmb(Barrier),
    /// Arithmetic and a branch.
    Branch,
    /// A call of a function that returns.
    Call,
    /// A load from the thread's own memory.
    Load,
    /// A store to the thread's own memory.
    Store,
    /// A relaxed atomic on the thread's own memory, which may or may not be a fence of the host.
    Atomic,
    /// A read of the counter.
    Counter,
    /// A context synchronisation.
    Isb,
    /// A system call.
    Svc,
    /// A load that faults and is skipped.
    Fault,
}

/// With which instructions a shape is run.
#[derive(Clone, Copy, Debug)]
pub struct Flavour {
    /// Its name in the table.
    pub name: &'static str,
    /// Stores.
    pub store: Store,
    /// Loads.
    pub load: Load,
    /// Between them.
    pub between: Between,
    /// log2 of the bytes of both.
    pub size: Size,
}

const fn flavour(name: &'static str, store: Store, load: Load, between: Between, size: Size) -> Flavour {
    Flavour { name, store, load, between, size }
}

/// What every shape runs with.
pub const FLAVOURS: &[Flavour] = &[
    flavour("plain", Store::Str, Load::Ldr, Between::Nothing, 3),
    flavour("dmb-ish", Store::Str, Load::Ldr, Between::Dmb(Barrier::Ish), 3),
    flavour("dmb-ishld", Store::Str, Load::Ldr, Between::Dmb(Barrier::Ishld), 3),
    flavour("dmb-ishst", Store::Str, Load::Ldr, Between::Dmb(Barrier::Ishst), 3),
    flavour("stlr-ldar", Store::Stlr, Load::Ldar, Between::Nothing, 3),
    flavour("stlr-ldapr", Store::Stlr, Load::Ldapr, Between::Nothing, 3),
    flavour("stlr-ldr", Store::Stlr, Load::Ldr, Between::Nothing, 2),
    flavour("lse", Store::Swp(ACQ_REL), Load::Ldadd(ACQ_REL), Between::Nothing, 3),
    flavour("lse-ldr", Store::Swp(ACQ_REL), Load::Ldr, Between::Nothing, 2),
];

/// Store-release before load-acquire, which SB alone can see: all instructions that are one, all sizes, and what may come between.
pub const RELEASE_ACQUIRE: &[Flavour] = &[
    flavour("stlr-ldar-w", Store::Stlr, Load::Ldar, Between::Nothing, 2),
    flavour("stlr-ldar-h", Store::Stlr, Load::Ldar, Between::Nothing, 1),
    flavour("stlr-ldar-b", Store::Stlr, Load::Ldar, Between::Nothing, 0),
    flavour("stlr-ldlar", Store::Stlr, Load::Ldlar, Between::Nothing, 3),
    flavour("stlr-ldaxr", Store::Stlr, Load::Ldaxr, Between::Nothing, 3),
    flavour("stlr-ldaxr-b", Store::Stlr, Load::Ldaxr, Between::Nothing, 0),
    flavour("stlr-ldaxp", Store::Stlr, Load::Ldaxp, Between::Nothing, 3),
    flavour("stlr-ldadda", Store::Stlr, Load::Ldadd(ACQUIRE), Between::Nothing, 3),
    flavour("stlr-casa", Store::Stlr, Load::Cas(ACQUIRE), Between::Nothing, 2),
    flavour("stlr-casal", Store::Stlr, Load::Cas(ACQ_REL), Between::Nothing, 0),
    flavour("stlur-ldar", Store::Stlur, Load::Ldar, Between::Nothing, 3),
    flavour("stllr-ldlar", Store::Stllr, Load::Ldlar, Between::Nothing, 2),
    flavour("stlxr-ldar", Store::Stlxr, Load::Ldar, Between::Nothing, 3),
    flavour("stlxr-ldaxr", Store::Stlxr, Load::Ldaxr, Between::Nothing, 2),
    flavour("stlxp-ldaxp", Store::Stlxp, Load::Ldaxp, Between::Nothing, 3),
    flavour("swpl-ldar", Store::Swp(RELEASE), Load::Ldar, Between::Nothing, 3),
    flavour("swpl-ldadda", Store::Swp(RELEASE), Load::Ldadd(ACQUIRE), Between::Nothing, 2),
    flavour("branch", Store::Stlr, Load::Ldar, Between::Branch, 3),
    flavour("call", Store::Stlr, Load::Ldar, Between::Call, 3),
    flavour("load", Store::Stlr, Load::Ldar, Between::Load, 3),
    flavour("store", Store::Stlr, Load::Ldar, Between::Store, 3),
    flavour("atomic", Store::Stlr, Load::Ldar, Between::Atomic, 3),
    flavour("counter", Store::Stlr, Load::Ldar, Between::Counter, 3),
    flavour("isb", Store::Stlr, Load::Ldar, Between::Isb, 3),
    flavour("svc", Store::Stlr, Load::Ldar, Between::Svc, 3),
    flavour("fault", Store::Stlr, Load::Ldar, Between::Fault, 3),
    flavour("dmb-sy-b", Store::Str, Load::Ldr, Between::Dmb(Barrier::Sy), 0),
    // These may show it: that nothing here is stronger by accident of the test.
    flavour("stlur-ldapur", Store::Stlur, Load::Ldapur, Between::Nothing, 3),
    flavour("stlr-ldapr-b", Store::Stlr, Load::Ldapr, Between::Nothing, 0),
    flavour("swp-ldadd", Store::Swp(RELAXED), Load::Ldadd(RELAXED), Between::Nothing, 3),
];

impl Flavour {
    /// True if an access of kind `a` is ordered before the next of kind `b`, to another address.
    pub fn orders(&self, a: Kind, b: Kind) -> bool {
        let fence = match self.between {
            Between::Dmb(Barrier::Ish | Barrier::Sy) => true,
            Between::Dmb(Barrier::Ishld | Barrier::Ld) => a == R,
            Between::Dmb(Barrier::Ishst | Barrier::St) => a == W && b == W,
            _ => false,
        };
        let acquire = match self.load {
            Load::Ldr => false,
            Load::Ldadd(o) | Load::Cas(o) => o.acquire,
            _ => true,
        };
        // Acquire that is ordered behind an earlier release: not the RCpc kind.
        let acquire_sc = acquire && !matches!(self.load, Load::Ldapr | Load::Ldapur);
        let release = match self.store {
            Store::Str => false,
            Store::Swp(o) => o.release,
            _ => true,
        };
        // An atomic with both acts as a full barrier for what comes behind it.
        let full = self.store == Store::Swp(ACQ_REL);
        fence
            || match (a, b) {
                (R, R) => acquire,
                (R, W) => acquire || release,
                (W, W) => release || full,
                (W, R) => (release && acquire_sc) || full,
            }
    }

    /// Appends a store of `value` at `[at]`; changes x13, x14 and x16.
    pub fn emit_store(&self, a: &mut Asm, value: Reg, at: Reg) {
        match self.store {
            Store::Str => a.store(self.size, value, at),
            Store::Stlr => a.store_release(self.size, value, at),
            Store::Stlur => a.stlur(self.size, value, at),
            Store::Stllr => a.store_lorelease(self.size, value, at),
            Store::Stlxr => {
                let again = a.here();
                a.load_exclusive(self.size, X13, at);
                a.store_release_exclusive(self.size, X14, value, at);
                a.cbnz(W14, again);
            }
            Store::Stlxp => {
                let again = a.here();
                a.ldxp(X13, X14, at);
                a.stlxp(X16, value, XZR, at);
                a.cbnz(W16, again);
            }
            Store::Swp(o) => a.swp(o, self.size, value, X13, at),
        }
    }

    /// Appends a load from `[at]`; changes x13.
    pub fn emit_load(&self, a: &mut Asm, to: Reg, at: Reg) {
        match self.load {
            Load::Ldr => a.load(self.size, to, at),
            Load::Ldar => a.load_acquire(self.size, to, at),
            Load::Ldlar => a.load_loacquire(self.size, to, at),
            Load::Ldapr => a.ldapr(self.size, to, at),
            Load::Ldapur => a.ldapur(self.size, to, at),
            Load::Ldaxr => a.load_acquire_exclusive(self.size, to, at),
            Load::Ldaxp => a.ldaxp(to, X13, at),
            Load::Ldadd(o) => a.ldadd_of(o, self.size, XZR, to, at),
            Load::Cas(o) => {
                a.movz(to, 0, 0);
                a.cas(o, self.size, to, XZR, at);
            }
        }
    }

    /// Appends what comes between; changes x13, x14 and the flags. x15 is the thread's own memory, x17 an address without translation,
    /// and `function` returns.
    pub fn emit_between(&self, g: &mut Guest, function: Label) {
        let a = &mut g.a;
        match self.between {
            Between::Nothing => (),
            Between::Dmb(kind) => a.dmb(kind),
            Between::Branch => {
                let taken = a.label();
                a.subs_imm(X13, X25, 0);
                a.b_cond(Cond::Ne, taken);
                a.nop();
                a.bind(taken);
            }
            Between::Call => a.bl(function),
            Between::Load => a.ldr(X13, Addr::Off(X15, 0)),
            Between::Store => a.str(X13, Addr::Off(X15, 0)),
            Between::Atomic => a.ldadd_of(RELAXED, 3, XZR, X13, X15),
            Between::Counter => a.mrs(X13, SysReg::CNTVCT_EL0),
            Between::Isb => a.isb(),
            Between::Svc => a.svc(0),
            Between::Fault => a.ldr(X13, Addr::Off(X17, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forbidden() {
        let forbidden = |shape: &str| -> Vec<&str> { FLAVOURS.iter().filter(|f| Shape::named(shape).forbidden(f)).map(|f| f.name).collect() };
        assert_eq!(forbidden("SB"), ["dmb-ish", "stlr-ldar", "lse", "lse-ldr"]);
        assert_eq!(forbidden("MP"), ["dmb-ish", "stlr-ldar", "stlr-ldapr", "lse"]);
        assert_eq!(forbidden("LB"), ["dmb-ish", "dmb-ishld", "stlr-ldar", "stlr-ldapr", "stlr-ldr", "lse", "lse-ldr"]);
        assert_eq!(forbidden("2+2W"), ["dmb-ish", "dmb-ishst", "stlr-ldar", "stlr-ldapr", "stlr-ldr", "lse", "lse-ldr"]);
        assert_eq!(forbidden("CoRR").len(), FLAVOURS.len());
        assert_eq!(forbidden("IRIW"), ["dmb-ish", "dmb-ishld", "stlr-ldar", "stlr-ldapr", "lse"]);
        let free: Vec<&str> = RELEASE_ACQUIRE.iter().filter(|f| !Shape::named("SB").forbidden(f)).map(|f| f.name).collect();
        assert_eq!(free, ["stlur-ldapur", "stlr-ldapr-b", "swp-ldadd"]);
    }
}
