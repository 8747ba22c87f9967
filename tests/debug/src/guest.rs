//! A guest with known places.

use emu_a64_asm::*;
use emu_test_robustness::guest::{BASE, Handler, RAM, UART, assemble, mmu_on};
use std::collections::BTreeMap;

/// Where it keeps what it finds: 8 bytes each from here on.
pub const DATA: u64 = RAM + (8 << 20);
/// What is watched.
pub const WATCHED: u64 = DATA + 0x80;
/// A page that is cleared by DC ZVA.
pub const ZEROED: u64 = DATA + 0x1000;
/// 64 bytes that are written by the memory set instructions.
pub const SET: u64 = DATA + 0x1800;
/// Its page tables.
const TABLES: u64 = RAM + (9 << 20);
/// RAM appears here too, once the MMU is on.
pub const ALIAS: u64 = 0x1_0000_0000;
/// The guest goes on for ever until this is not zero.
pub const GO_ON: u64 = DATA + 8;
/// What it says then.
pub const WENT_ON: &str = "went on\n";
/// CPU n counts at this place plus 64 n.
pub const COUNTERS: u64 = DATA + 0x200;

/// An image and the addresses of its places.
pub struct Guest {
    /// The kernel.
    pub image: Vec<u8>,
    places: BTreeMap<&'static str, u64>,
}

impl Guest {
    /// The address of a place.
    ///
    /// # Panics
    /// When it has none of that name.
    pub fn at(&self, name: &str) -> u64 {
        *self.places.get(name).unwrap_or_else(|| panic!("the guest has no place {name}"))
    }
    /// "break *ADDRESS" with any word in front.
    pub fn to(&self, command: &str, name: &str) -> String {
        format!("{command} *{:#x}", self.at(name))
    }
}

fn offset(to: u64) -> i32 {
    (to - DATA) as i32
}

fn say(a: &mut Asm, text: &str) {
    a.mov_imm(X0, UART);
    a.movz(W1, 0x301, 0);
    a.str(W1, Addr::Off(X0, 0x30));
    for c in text.bytes() {
        a.movz(W1, c.into(), 0);
        a.str(W1, Addr::Off(X0, 0));
    }
}

/// For `cpus` CPUs.
pub fn guest(cpus: u64) -> Guest {
    let mut places = BTreeMap::new();
    let image = assemble(Handler::Skip, |a, f| {
        let mut here = |a: &mut Asm, name| _ = places.insert(name, a.pc());
        a.mov_imm(X19, DATA);
        a.mov_imm(X0, 3 << 20);
        a.msr(SysReg::CPACR_EL1, X0);
        a.isb();
        let secondary = a.label();
        for n in 1..cpus {
            a.cpu_on(n, secondary);
        }

        // A few instructions to step over, with a branch taken, one not taken, and a call.
        let (over, function) = (a.label(), a.label());
        here(a, "steps");
        a.movz(X1, 5, 0);
        a.b(over);
        a.udf(1);
        a.bind(over);
        here(a, "over");
        a.cbz(X1, over);
        a.bl(function);
        here(a, "returned");
        a.nop();

        // What the debugger has put into registers is stored.
        here(a, "registers");
        a.str(X5, Addr::Off(X19, 0x40));
        a.fmov_to_high(X6, VReg(3));
        a.str(X6, Addr::Off(X19, 0x48));
        a.mrs(X7, SysReg::TPIDR_EL1);
        a.str(X7, Addr::Off(X19, 0x50));
        a.cset(X8, Cond::Eq);
        a.str(X8, Addr::Off(X19, 0x58));
        a.mov_sp(X9, SP);
        a.str(X9, Addr::Off(X19, 0x60));
        here(a, "stored");
        a.nop();

        // Accesses to what is watched and beside it.
        a.movz(X10, 0x55, 0);
        a.str(X10, Addr::Off(X19, offset(WATCHED) + 8));
        a.str(X10, Addr::Off(X19, offset(WATCHED) - 8));
        here(a, "reader");
        a.ldr(X11, Addr::Off(X19, offset(WATCHED)));
        here(a, "after reader");
        a.nop();
        here(a, "writer");
        a.str(X10, Addr::Off(X19, offset(WATCHED)));
        here(a, "after writer");
        a.nop();
        a.add_imm(X12, X19, 0x80);
        here(a, "exclusive");
        let again = a.here();
        a.ldxr(X13, X12);
        a.add_imm(X13, X13, 1);
        a.stxr(W14, X13, X12);
        here(a, "after exclusive");
        a.cbnz(W14, again);
        a.mov_imm(X12, ZEROED);
        here(a, "zva");
        a.sys(3, 7, 4, 1, X12);
        here(a, "after zva");
        a.nop();
        // SETP, SETM, SETE [x12]!, x13!, x10: 64 bytes.
        a.mov_imm(X12, SET);
        a.movz(X13, 64, 0);
        here(a, "set");
        for word in [0x19ca_05ac, 0x19ca_45ac, 0x19ca_85ac] {
            a.word(word);
        }
        here(a, "after set");
        a.nop();
        a.nop();

        here(a, "svc");
        a.svc(7);
        a.nop();
        here(a, "after svc");
        a.nop();

        mmu_on(a, TABLES);
        here(a, "mapped");
        a.nop();
        say(a, "ready\n");

        let spin = a.label();
        a.bind(spin);
        here(a, "spin");
        a.ldr(X1, Addr::Off(X19, 0));
        a.add_imm(X1, X1, 1);
        a.str(X1, Addr::Off(X19, 0));
        a.ldr(X2, Addr::Off(X19, 8));
        a.cbz(X2, spin);
        say(a, WENT_ON);
        a.b(f.end);

        a.bind(function);
        here(a, "function");
        a.ret();

        // The other CPUs, with their number in x0, count.
        a.bind(secondary);
        a.mov_imm(X19, COUNTERS);
        a.lsl(X1, X0, 6);
        a.add(X19, X19, X1, 0);
        let count = a.label();
        a.bind(count);
        here(a, "count");
        a.ldr(X1, Addr::Off(X19, 0));
        a.add_imm(X1, X1, 1);
        a.str(X1, Addr::Off(X19, 0));
        here(a, "counted");
        a.b(count);
        places.insert("vectors", BASE + a.offset_of(f.vectors).expect("the frame has bound it") as u64);
    });
    Guest { image, places }
}
