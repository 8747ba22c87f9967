//! Calls, returns and jumps to computed addresses.

use crate::guest::*;
use emu_a64_asm::*;

const DEPTH: u16 = 22;

/// Fibonacci's numbers by recursion.
pub fn fib(a: &mut Asm, _: Frame, repeats: u64) {
    recursion(a, repeats, false);
}

/// The same with signed return addresses (FEAT_PAuth).
pub fn signed_fib(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X0, 0x0123_4567_89ab_cdef);
    a.msr(SysReg::APIAKeyLo_EL1, X0);
    a.msr(SysReg::APIAKeyHi_EL1, X0);
    a.isb();
    recursion(a, repeats, true);
}

fn recursion(a: &mut Asm, repeats: u64, signed: bool) {
    let (function, small, start) = (a.label(), a.label(), a.label());
    a.b(start);
    a.bind(function);
    if signed {
        a.paciasp();
    }
    a.stp(X29, X30, Addr::Pre(SP, -32));
    a.stp(X19, X20, Addr::Off(SP, 16));
    a.mov_sp(X29, SP);
    a.mov(X19, X0);
    a.cmp_imm(X0, 2);
    a.b_cond(Cond::Lo, small);
    a.sub_imm(X0, X19, 1);
    a.bl(function);
    a.mov(X20, X0);
    a.sub_imm(X0, X19, 2);
    a.bl(function);
    a.add(X0, X0, X20, 0);
    a.bind(small);
    a.ldp(X19, X20, Addr::Off(SP, 16));
    a.ldp(X29, X30, Addr::Post(SP, 32));
    if signed {
        a.autiasp();
    }
    a.ret();
    a.bind(start);
    a.mov(X22, XZR);
    repeat(a, X21, repeats, |a| {
        a.movz(X0, DEPTH, 0);
        a.bl(function);
        a.add(X22, X22, X0, 0);
    });
    a.mov(X0, X22);
}

/// The number, each time.
pub fn fib_model(repeats: u64) -> u64 {
    let (mut this, mut next) = (0u64, 1);
    for _ in 0..DEPTH {
        (this, next) = (next, this + next);
    }
    repeats * this
}

const FUNCTIONS: usize = 16;
type Function = (fn(&mut Asm, u64), fn(u64, u64) -> u64);

/// Four kinds of functions with a constant each.
const KINDS: [Function; 4] = [
    (|a, n| a.add_imm(X0, X0, n as u32), |x, n| x.wrapping_add(n)),
    (|a, n| a.ror(X0, X0, n as u32), |x, n| x.rotate_right(n as u32)),
    (|a, n| a.add(X0, X0, X0, n as u32), |x, n| x.wrapping_add(x << n)),
    (|a, n| a.eor(X0, X1, X0, n as u32), |x, n| 0x5555 ^ x << n),
];

/// The functions on the host.
pub const ICALL_FUNCTIONS: [fn(u64) -> u64; FUNCTIONS] = {
    const fn function<const N: usize>() -> fn(u64) -> u64 {
        |x| KINDS[N % 4].1(x, N as u64 + 1)
    }
    [
        function::<0>(),
        function::<1>(),
        function::<2>(),
        function::<3>(),
        function::<4>(),
        function::<5>(),
        function::<6>(),
        function::<7>(),
        function::<8>(),
        function::<9>(),
        function::<10>(),
        function::<11>(),
        function::<12>(),
        function::<13>(),
        function::<14>(),
        function::<15>(),
    ]
};

/// Calls one of 16 functions, chosen at random, through a table.
pub fn icall(a: &mut Asm, _: Frame, repeats: u64) {
    let (table, start) = (a.label(), a.label());
    a.b(start);
    let functions: Vec<Label> = (0..FUNCTIONS)
        .map(|n| {
            let here = a.here();
            KINDS[n % 4].0(a, n as u64 + 1);
            a.ret();
            here
        })
        .collect();
    a.align(8);
    a.bind(table);
    for function in functions {
        a.quad_label(function);
    }
    a.bind(start);
    a.load_address(X2, table);
    random_constants(a, X3, X4);
    a.movz(X1, 0x5555, 0);
    a.movz(X5, 11, 0);
    a.mov(X0, XZR);
    repeat(a, X21, repeats, |a| {
        a.madd(X5, X5, X3, X4);
        a.lsr(X6, X5, 60);
        a.ldr(X7, Addr::Scaled(X2, X6));
        a.blr(X7);
    });
}

/// The same by a match.
pub fn icall_model(repeats: u64) -> u64 {
    let (mut state, mut x) = (11, 0);
    for _ in 0..repeats {
        state = random(state);
        let n = (state >> 60) as usize;
        x = KINDS[n % 4].1(x, n as u64 + 1);
    }
    x
}

/// Instructions of the interpreted program: operation and operand, a byte each; the last one ends a round.
fn program() -> Vec<(u8, u8)> {
    let mut state = 23;
    let mut list: Vec<(u8, u8)> = (0..63)
        .map(|_| {
            state = random(state);
            ((state >> 40) as u8 % 7, (state >> 56) as u8)
        })
        .collect();
    list.push((7, 0));
    list
}

/// What the eight operations do to the accumulator x0, with operand x2 and variables at x4.
fn operation(a: &mut Asm, op: u8) {
    match op {
        0 => a.add(X0, X0, X2, 0),
        1 => a.sub(X0, X0, X2, 3),
        2 => a.eor(X0, X0, X2, 8),
        3 => a.rorv(X0, X0, X2),
        4 => {
            a.and_imm(X3, X2, 15);
            a.ldr(X3, Addr::Scaled(X4, X3));
            a.add(X0, X0, X3, 0);
        }
        5 => {
            a.and_imm(X3, X2, 15);
            a.str(X0, Addr::Scaled(X4, X3));
        }
        _ => a.madd(X0, X0, X2, X0),
    }
}

fn interpreter(a: &mut Asm, repeats: u64, threaded: bool) {
    let (table, bytes, start, over) = (a.label(), a.label(), a.label(), a.label());
    let (dispatch, handlers): (Label, Vec<Label>) = (a.label(), (0..8).map(|_| a.label()).collect());
    a.b(start);
    a.align(8);
    a.bind(table);
    for &handler in &handlers {
        a.quad_label(handler);
    }
    a.bind(bytes);
    for (op, operand) in program() {
        a.data(&[op, operand]);
    }
    a.align(4);
    let fetch = |a: &mut Asm, check: bool| {
        a.ldrb(W1, Addr::Post(X20, 1));
        a.ldrb(W2, Addr::Post(X20, 1));
        if check {
            a.cmp_imm(W1, 7);
            a.b_cond(Cond::Hi, over);
        }
        a.ldr(X3, Addr::Scaled(X5, X1));
        a.br(X3);
    };
    if !threaded {
        a.bind(dispatch);
        fetch(a, true);
    }
    for (op, &handler) in handlers.iter().enumerate().take(7) {
        a.bind(handler);
        operation(a, op as u8);
        if threaded {
            fetch(a, false);
        } else {
            a.b(dispatch);
        }
    }
    a.bind(handlers[7]);
    a.subs_imm(X21, X21, 1);
    a.b_cond(Cond::Eq, over);
    a.mov(X20, X19);
    fetch(a, false);
    a.bind(start);
    a.load_address(X5, table);
    a.load_address(X19, bytes);
    a.mov(X20, X19);
    a.mov_imm(X4, DATA);
    a.mov_imm(X21, repeats);
    a.movz(X0, 1, 0);
    fetch(a, false);
    a.bind(over);
}

/// A bytecode interpreter with one place that jumps: a loop around a switch.
pub fn switch(a: &mut Asm, _: Frame, repeats: u64) {
    interpreter(a, repeats, false);
}

/// The same interpreter with a jump behind each operation.
pub fn goto(a: &mut Asm, _: Frame, repeats: u64) {
    interpreter(a, repeats, true);
}

/// The same in Rust.
pub fn interpreter_model(repeats: u64) -> u64 {
    let (program, mut variables, mut x) = (program(), [0u64; 16], 1u64);
    for _ in 0..repeats {
        for &(op, operand) in &program {
            let (n, slot) = (u64::from(operand), usize::from(operand & 15));
            match op {
                0 => x = x.wrapping_add(n),
                1 => x = x.wrapping_sub(n << 3),
                2 => x ^= n << 8,
                3 => x = x.rotate_right(n as u32 & 63),
                4 => x = x.wrapping_add(variables[slot]),
                5 => variables[slot] = x,
                6 => x = x.wrapping_mul(n).wrapping_add(x),
                _ => {}
            }
        }
    }
    x
}
