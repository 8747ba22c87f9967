//! Code that is made once a machine: ways in, ways out, calls of functions with guest state saved around them.
//!
//! Generated code runs with guest state in [`PINS`], the CPU in [`CPU`], and the stack pointer 16-byte aligned; what it has on the stack are
//! returns that it expects. A thunk is called, so it begins 8 bytes off.

use crate::asm::{Alu, Asm, Cc, Gpr, Mem, Shift, Size, reg::*};
use crate::cache::CodeCache;
use crate::frame::{CPU, Exchange, Frame, PINS, RETURNS, Site, TEMPS, TLB_ENTRY, TLB_ENTRY_BITS};
use crate::groups::NOTHING;
use crate::memory::{ADDEND, READ_TAG, WRITE_TAG};
use crate::unsettled;
use std::mem::offset_of;

/// Numbers of the thunks in [`CodeCache`]'s target list.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Thunks {
    /// Address of `extern "C" fn(cpu, code)`: runs generated code.
    pub enter: usize,
    /// Jumped to with `header.pc` set: finds and runs what comes next.
    pub next: u32,
    /// Jumped to with the address of a `Link` in rax: the same for where that goes, and the jump may be patched.
    pub link: u32,
    /// Jumped to with `header.pc` set, for a call that found no room on the stack or a request: forgets returns, leaves or goes on as `next`.
    pub no_call: u32,
    /// Jumped to with `header.pc` set and a reason in eax.
    pub exit: u32,
    /// Jumped to: back to the caller of `enter`.
    pub leave: u32,
    /// Called with [`Exchange::va`] and operands set and a `Site` in rax's place, see `Lowering`: keeps all registers. Flags may be unsettled.
    pub access: u32,
    /// The same when vector registers hold values.
    pub access_vectors: u32,
    /// Called: helper address in rdi, arguments in rsi, rdx, rcx, constant in rax. State is in memory during the call.
    pub call: u32,
    /// The same for a helper that does not look at state.
    pub call_pure: u32,
    /// Jumped to after a helper has left the block: registers are stale, state is in memory.
    pub helper_exit: u32,
    /// Called with an op in rsi and the vector length in edx.
    pub interpret: u32,
    /// Called with an op in rax, whose value is in [`Exchange::saved`]: keeps all registers. Not for vectors of run-time length.
    pub interpret_keep: u32,
    /// Called: adds the exceptions in MXCSR to the guest's sticky ones, and clears them. Keeps everything else.
    pub merge: u32,
    /// Called with fence bits in esi.
    pub fence: u32,
    /// Called where flags are unsettled: writes them. Keeps all registers and the host's flags.
    pub settle: u32,
}

fn state(f: &Frame, i: usize) -> Mem {
    Mem::at(CPU, f.disp(f.pins[i] as i32))
}

fn pins(f: &Frame) -> impl Iterator<Item = (usize, Gpr)> + use<> {
    PINS.into_iter().enumerate().take(f.pins.len())
}

/// Writes the pinned state to memory.
fn spill(a: &mut Asm, f: &Frame, only: fn(Gpr) -> bool) {
    for (i, r) in pins(f).filter(|p| only(p.1)) {
        a.mov_mr(Size::Q, state(f, i), r);
    }
}

fn reload(a: &mut Asm, f: &Frame, only: fn(Gpr) -> bool) {
    for (i, r) in pins(f).filter(|p| only(p.1)) {
        a.mov_rm(Size::Q, r, state(f, i));
    }
}

fn all(_: Gpr) -> bool {
    true
}

/// Registers that a called function may change.
fn volatile(r: Gpr) -> bool {
    (R8..=R11).contains(&r)
}

fn call_runtime(a: &mut Asm, f: &Frame, address: usize) {
    a.lea(Size::Q, RDI, Mem::at(CPU, -f.bias));
    a.mov_ri(RAX, address as u64);
    a.call_r(RAX);
}

/// Stores all temporaries but rax, and the vector registers, at the stack pointer.
fn keep(a: &mut Asm, vectors: bool) {
    for (i, r) in TEMPS.iter().skip(1).enumerate() {
        a.mov_mr(Size::Q, Mem::at(RSP, i as i32 * 8), *r);
    }
    if vectors {
        (0..16).for_each(|x| a.movups_mr(Mem::at(RSP, 32 + 16 * i32::from(x)), x));
    }
}

/// Loads what `keep` has stored.
fn restore(a: &mut Asm, vectors: bool) {
    if vectors {
        (0..16).for_each(|x| a.movups_rm(x, Mem::at(RSP, 32 + 16 * i32::from(x))));
    }
    for (i, r) in TEMPS.iter().skip(1).enumerate() {
        a.mov_rm(Size::Q, *r, Mem::at(RSP, i as i32 * 8));
    }
}

/// MXCSR of generated code when an instruction has raised nothing: everything masked, to nearest even, denormals as they are. It is what
/// other code runs with too, so that only the exceptions raised need care: those of generated code are the guest's, those of other code
/// nobody's.
const MXCSR: i32 = 0x1f80;
/// The exceptions that mean something: all but the use of a denormal, which a guest that flushes none does not hear of.
const EXCEPTIONS: i32 = 0x3d;

/// Places in the exchange area for MXCSR: what generated code begins with, and room to look at it.
fn mxcsr(f: &Frame) -> [Mem; 2] {
    let at = f.disp(f.exchange) + offset_of!(Exchange, mxcsr) as i32;
    [Mem::at(CPU, at), Mem::at(CPU, at + 4)]
}

/// Before other code: the exceptions of generated code go to the header. Changes r10 and r11. `again`: generated code does not know that it
/// was left, and goes on where it has said already that it may raise some.
fn merge(a: &mut Asm, f: &Frame, again: bool) {
    let [_, now] = mxcsr(f);
    let raised = Mem::at(CPU, f.disp(f.exchange) + offset_of!(Exchange, raised) as i32);
    let none = a.label();
    // Looking at MXCSR takes longer than everything else here.
    a.alu_mi(Alu::Cmp, Size::B, raised, 0);
    a.jcc(Cc::E, none);
    if !again {
        a.mov_mi(Size::B, raised, 0);
    }
    a.stmxcsr(now);
    a.mov_rm(Size::D, R11, now);
    a.test_ri(Size::B, R11, EXCEPTIONS);
    a.jcc(Cc::E, none);
    // Invalid is bit 0 in both; the others are one further up in MXCSR, for the use of a denormal is bit 1.
    a.mov_rr(Size::D, R10, R11);
    a.alu_ri(Alu::And, Size::D, R10, 1);
    a.shift_ri(Shift::Shr, Size::D, R11, 1);
    a.alu_ri(Alu::And, Size::D, R11, 0x1e);
    a.alu_rr(Alu::Or, Size::D, R11, R10);
    a.alu_mr(Alu::Or, Size::D, Mem::at(CPU, f.disp(f.header.fp_flags)), R11);
    a.bind(none);
}

/// After other code: what it has raised is forgotten.
fn clean(a: &mut Asm, f: &Frame) {
    a.ldmxcsr(mxcsr(f)[0]);
}

fn call_settle(a: &mut Asm, f: &'static Frame) {
    a.mov_ri(RSI, std::ptr::from_ref(f) as u64);
    call_runtime(a, f, unsettled::settle as *const () as usize);
}

/// Calls with all temporaries but rax, the vector registers and the pinned ones kept.
fn keeping_all(a: &mut Asm, f: &'static Frame, call: impl FnOnce(&mut Asm)) {
    let room = 4 * 8 + 16 * 16 + 8;
    a.alu_ri(Alu::Sub, Size::Q, RSP, room);
    spill(a, f, volatile);
    keep(a, true);
    call(a);
    restore(a, true);
    reload(a, f, volatile);
    a.alu_ri(Alu::Add, Size::Q, RSP, room);
}

/// Before other code that may look at flags: they are settled. Pinned state is in memory; `keeps`: registers that keep their values.
fn settle(a: &mut Asm, f: &'static Frame, keeps: &[Gpr]) {
    if !unsettled::possible(f) {
        return;
    }
    let settled = a.label();
    let room = |i: usize| Mem::at(CPU, f.disp(f.exchange) + (offset_of!(Exchange, saved) + 8 * (i + 1)) as i32);
    unsettled::ask(a, f);
    a.jcc(Cc::E, settled);
    keeps.iter().enumerate().for_each(|(i, r)| a.mov_mr(Size::Q, room(i), *r));
    call_settle(a, f);
    keeps.iter().enumerate().for_each(|(i, r)| a.mov_rm(Size::Q, *r, room(i)));
    a.bind(settled);
}

/// What one of a group can do by itself where the group does not lie in one page: variables of a kernel that are used together and do lie so
/// would have it call the embedder each time. The site is in rax. Goes on behind this for everything else.
fn by_itself(a: &mut Asm, f: &'static Frame) {
    if f.direct.is_some() {
        return;
    }
    let exchange = |o: usize| Mem::at(CPU, f.disp(f.exchange) + o as i32);
    let of_site = |o: usize| Mem::at(RAX, o as i32);
    let [other, missed, alone, store, loaded, done] = [(); 6].map(|()| a.label());
    let (entry, tlb) = (RSI, f.tlb);
    let tag = |tag: i32| Mem::indexed(CPU, entry, 0, f.disp(tlb.offset) + tag);
    let used = [RCX, RDX, RSI, RDI];
    a.alu_mi(Alu::Cmp, Size::B, of_site(offset_of!(Site, bits)), 0);
    a.jcc(Cc::NS, other);
    used.iter().for_each(|r| a.push(*r));
    a.mov_rm(Size::Q, RCX, exchange(offset_of!(Exchange, va)));
    // One that looks up for others has no distance for them, if they are in two pages; else it is another thing that is missing.
    a.movzx_rm(Size::B, RDX, of_site(offset_of!(Site, span)));
    a.test_rr(Size::D, RDX, RDX);
    a.jcc(Cc::E, alone);
    a.movzx_rm(Size::B, RSI, of_site(offset_of!(Site, rmw)));
    a.neg(Size::Q, RSI);
    a.alu_rr(Alu::Add, Size::Q, RSI, RCX);
    a.lea(Size::Q, RDX, Mem::indexed(RSI, RDX, 0, -1));
    a.alu_rr(Alu::Xor, Size::Q, RDX, RSI);
    a.shift_ri(Shift::Shr, Size::Q, RDX, tlb.page_bits);
    a.jcc(Cc::E, missed);
    a.mov_mi(Size::Q, exchange(offset_of!(Exchange, distance)), NOTHING as i32);
    a.bind(alone);
    a.mov_rm(Size::D, entry, of_site(offset_of!(Site, flags)));
    a.alu_ri(Alu::And, Size::D, entry, 15);
    a.shift_ri(Shift::Shl, Size::D, entry, (tlb.entries * TLB_ENTRY).trailing_zeros() as u8);
    a.mov_rr(Size::D, RDI, RCX);
    a.shift_ri(Shift::Shr, Size::D, RDI, tlb.page_bits - TLB_ENTRY_BITS);
    a.alu_ri(Alu::And, Size::D, RDI, ((tlb.entries - 1) << TLB_ENTRY_BITS) as i32);
    a.alu_rr(Alu::Add, Size::D, entry, RDI);
    a.movzx_rm(Size::B, RDI, of_site(offset_of!(Site, size)));
    a.lea(Size::Q, RDX, Mem::indexed(RCX, RDI, 0, -1));
    a.alu_ri(Alu::Or, Size::Q, RDX, (1 << tlb.page_bits) - 1);
    a.alu_mi(Alu::Cmp, Size::B, of_site(offset_of!(Site, kind)), Site::STORE.into());
    a.jcc(Cc::E, store);
    // By size: what moves a piece from here to there, and where the next is.
    let [result, value] = [offset_of!(Exchange, result), offset_of!(Exchange, value)].map(exchange);
    let by_size = |a: &mut Asm, piece: &dyn Fn(&mut Asm, Size, i32)| {
        for (bytes, size) in [(1, Size::B), (2, Size::W), (4, Size::D), (8, Size::Q)] {
            let next = a.label();
            a.alu_ri(Alu::Cmp, Size::B, RDI, bytes);
            a.jcc(Cc::NE, next);
            piece(a, size, 0);
            a.jmp(loaded);
            a.bind(next);
        }
        piece(a, Size::Q, 8);
        piece(a, Size::Q, 0);
        a.jmp(done);
    };
    a.alu_rm(Alu::Cmp, Size::Q, RDX, tag(READ_TAG));
    a.jcc(Cc::NE, missed);
    a.alu_rm(Alu::Add, Size::Q, RCX, tag(ADDEND));
    by_size(a, &|a, size, at| {
        a.movzx_rm(size, RDX, Mem::at(RCX, at));
        a.mov_mr(Size::Q, result.plus(at), RDX);
    });
    a.bind(store);
    a.alu_rm(Alu::Cmp, Size::Q, RDX, tag(WRITE_TAG));
    a.jcc(Cc::NE, missed);
    a.alu_rm(Alu::Add, Size::Q, RCX, tag(ADDEND));
    by_size(a, &|a, size, at| {
        a.mov_rm(Size::Q, RDX, value.plus(at));
        a.mov_mr(size, Mem::at(RCX, at), RDX);
    });
    a.bind(loaded);
    a.mov_mi(Size::Q, result.plus(8), 0);
    a.bind(done);
    used.iter().rev().for_each(|r| a.pop(*r));
    a.mov_rm(Size::Q, RAX, exchange(offset_of!(Exchange, saved)));
    a.ret();
    a.bind(missed);
    used.iter().rev().for_each(|r| a.pop(*r));
    a.bind(other);
}

const SAVED: [Gpr; 6] = [RBX, RBP, R12, R13, R14, R15];

impl Thunks {
    /// Makes them and enters them into the cache's target list.
    pub fn make(f: &'static Frame, cache: &mut CodeCache) -> Option<Thunks> {
        let mut make = |build: &dyn Fn(&mut Asm)| -> Option<(usize, u32)> {
            let mut a = Asm::default();
            build(&mut a);
            a.resolve();
            let address = cache.place(&a)?.address;
            Some((address, cache.add_target(address)))
        };
        let exchange = |o: usize| Mem::at(CPU, f.disp(f.exchange) + o as i32);
        let [stack, limit, forget] =
            [offset_of!(Exchange, stack), offset_of!(Exchange, stack_limit), offset_of!(Exchange, forget_returns)].map(exchange);
        let (_, unspilled) = make(&|a| {
            a.mov_rm(Size::Q, RSP, stack);
            a.alu_ri(Alu::Add, Size::Q, RSP, 8 + 16);
            SAVED.iter().rev().for_each(|r| a.pop(*r));
            a.ret();
        })?;
        let (_, left) = make(&|a| {
            spill(a, f, all);
            merge(a, f, false);
            settle(a, f, &[]);
            a.jmp_outside(unspilled);
        })?;
        // rax and rcx hold nothing where these two are jumped to.
        let note_callers = |a: &mut Asm| {
            let callers = exchange(offset_of!(Exchange, callers));
            let none = a.label();
            a.mov_rm(Size::Q, RAX, Mem::at(RSP, 8));
            a.mov_mr(Size::Q, callers, RAX);
            a.mov_ri(RAX, u64::MAX);
            a.mov_rm(Size::Q, RCX, stack);
            a.alu_rr(Alu::Cmp, Size::Q, RCX, RSP);
            a.jcc(Cc::E, none);
            a.mov_rm(Size::Q, RAX, Mem::at(RCX, -8));
            a.bind(none);
            a.mov_mr(Size::Q, callers.plus(8), RAX);
        };
        let (_, leave) = make(&|a| {
            note_callers(a);
            a.jmp_outside(left);
        })?;
        // rax: code to run, or 0.
        let (_, go) = make(&|a| {
            let (label, stays) = (a.label(), a.label());
            a.test_rr(Size::Q, RAX, RAX);
            a.jcc(Cc::E, label);
            a.alu_mi(Alu::Cmp, Size::B, forget, 0);
            a.jcc(Cc::E, stays);
            a.mov_mi(Size::Q, forget, 0);
            a.mov_rm(Size::Q, RSP, stack);
            a.bind(stays);
            clean(a, f);
            reload(a, f, all);
            a.jmp_r(RAX);
            a.bind(label);
            a.jmp_outside(unspilled);
        })?;
        let (_, next_unspilled) = make(&|a| {
            call_runtime(a, f, f.runtime.next);
            a.jmp_outside(go);
        })?;
        let (_, next) = make(&|a| {
            spill(a, f, all);
            merge(a, f, false);
            settle(a, f, &[]);
            a.jmp_outside(next_unspilled);
        })?;
        let (enter, _) = make(&|a| {
            SAVED.iter().for_each(|r| a.push(*r));
            a.alu_ri(Alu::Sub, Size::Q, RSP, 8);
            a.lea(Size::Q, CPU, Mem::at(RDI, f.bias));
            // Below all expected returns lies one that nobody expects.
            let bottom = a.label();
            a.lea_label(RAX, bottom);
            a.push_i(-1);
            a.push(RAX);
            a.mov_mr(Size::Q, stack, RSP);
            a.lea(Size::Q, RAX, Mem::at(RSP, -RETURNS));
            a.mov_mr(Size::Q, limit, RAX);
            // A request that came before this has been overwritten, one that comes now has not: see `Exchange::stack_limit`.
            a.full_fence();
            a.mov_mi(Size::Q, forget, 0);
            a.alu_mi(Alu::Cmp, Size::D, Mem::at(CPU, f.disp(f.header.exit_request)), 0);
            a.jcc_outside(Cc::NE, unspilled);
            a.mov_mi(Size::D, mxcsr(f)[0], MXCSR);
            clean(a, f);
            reload(a, f, all);
            a.jmp_r(RSI);
            // Somebody returned to the address that is pushed above.
            a.bind(bottom);
            a.mov_mi(Size::Q, Mem::at(CPU, f.disp(f.header.pc)), -1);
            a.mov_rm(Size::Q, RSP, stack);
            a.jmp_outside(next);
        })?;
        let (_, link) = make(&|a| {
            spill(a, f, all);
            merge(a, f, false);
            settle(a, f, &[RAX]);
            a.mov_rr(Size::Q, RSI, RAX);
            call_runtime(a, f, f.runtime.link);
            a.jmp_outside(go);
        })?;
        let (_, no_call) = make(&|a| {
            let request = Mem::at(CPU, f.disp(f.header.exit_request));
            note_callers(a);
            a.mov_rm(Size::Q, RSP, stack);
            a.alu_mi(Alu::Cmp, Size::D, request, 0);
            a.jcc_outside(Cc::E, next);
            a.jmp_outside(left);
        })?;
        let (_, exit) = make(&|a| {
            spill(a, f, all);
            merge(a, f, false);
            settle(a, f, &[RAX]);
            a.mov_rr(Size::D, RSI, RAX);
            call_runtime(a, f, f.runtime.exit);
            a.jmp_outside(go);
        })?;
        let (_, helper_exit) = make(&|a| {
            settle(a, f, &[]);
            call_runtime(a, f, f.runtime.helper_exit);
            a.jmp_outside(go);
        })?;
        let access = |vectors: bool| {
            move |a: &mut Asm| {
                by_itself(a, f);
                // Values may be in any of these. The site is in rax; whoever has a value there has kept it in `saved`.
                let room: i32 = if vectors { 8 + 4 * 8 + 16 * 16 } else { 8 + 4 * 8 };
                let room = (room + 15) / 16 * 16 + 8;
                a.alu_ri(Alu::Sub, Size::Q, RSP, room);
                spill(a, f, all);
                keep(a, vectors);
                merge(a, f, true);
                a.mov_rr(Size::Q, RSI, RAX);
                call_runtime(a, f, f.runtime.access);
                let fault = a.label();
                a.test_rr(Size::Q, RAX, RAX);
                a.jcc(Cc::NE, fault);
                restore(a, vectors);
                clean(a, f);
                reload(a, f, volatile);
                a.mov_rm(Size::Q, RAX, exchange(offset_of!(Exchange, saved)));
                a.alu_ri(Alu::Add, Size::Q, RSP, room);
                a.ret();
                a.bind(fault);
                a.alu_ri(Alu::Add, Size::Q, RSP, room + 8);
                a.jmp_outside(next_unspilled);
            }
        };
        let (_, access_plain) = make(&access(false))?;
        let (_, access_vectors) = make(&access(true))?;
        // What is called and comes back: pinned state that the call sees or changes is in memory meanwhile. `raises`: other code may use the
        // host's floating point, or look at what the guest's has raised.
        let called = |pinned: fn(Gpr) -> bool, raises: bool, looks: bool, body: fn(&mut Asm, &Frame)| {
            move |a: &mut Asm| {
                a.alu_ri(Alu::Sub, Size::Q, RSP, 8);
                spill(a, f, pinned);
                if raises {
                    merge(a, f, false);
                }
                if looks {
                    settle(a, f, &[RAX, RDI, RSI, RDX, RCX]);
                }
                body(a, f);
                if raises {
                    clean(a, f);
                }
                reload(a, f, pinned);
                a.alu_ri(Alu::Add, Size::Q, RSP, 8);
                a.ret();
            }
        };
        let helper: fn(&mut Asm, &Frame) = |a, f| {
            a.mov_rr(Size::Q, R9, RDI);
            a.mov_rr(Size::Q, R8, RAX);
            a.lea(Size::Q, RDI, Mem::at(CPU, -f.bias));
            a.call_r(R9);
        };
        let (_, call) = make(&called(all, true, true, helper))?;
        let (_, call_pure) = make(&called(volatile, true, false, helper))?;
        // The interpreter does no arithmetic in the host's floating point and adds its exceptions to the header's: MXCSR stays as it is.
        let (_, interpret) = make(&called(volatile, false, false, |a, f| call_runtime(a, f, f.runtime.interpret)))?;
        let (_, fence) = make(&called(volatile, true, false, |a, f| call_runtime(a, f, f.runtime.fence)))?;
        let (_, interpret_keep) = make(&|a| {
            keeping_all(a, f, |a| {
                a.mov_rr(Size::Q, RSI, RAX);
                a.mov_ri(RDX, 16);
                call_runtime(a, f, f.runtime.interpret);
            });
            a.mov_rm(Size::Q, RAX, exchange(offset_of!(Exchange, saved)));
            a.ret();
        })?;
        let (_, settle_thunk) = make(&|a| {
            a.pushf();
            a.push(RAX);
            keeping_all(a, f, |a| call_settle(a, f));
            a.pop(RAX);
            a.popf();
            a.ret();
        })?;
        let (_, merge_thunk) = make(&|a| {
            a.pushf();
            a.push(R10);
            a.push(R11);
            merge(a, f, false);
            clean(a, f);
            a.pop(R11);
            a.pop(R10);
            a.popf();
            a.ret();
        })?;
        Some(Thunks {
            enter,
            next,
            link,
            no_call,
            exit,
            leave,
            access: access_plain,
            access_vectors,
            call,
            call_pure,
            helper_exit,
            interpret,
            interpret_keep,
            merge: merge_thunk,
            fence,
            settle: settle_thunk,
        })
    }
}
