//! Guest code whose host instructions are counted: what programs are made of, one instruction or a short idiom a case, and small loops.
//!
//! Every case ends with `ret`, which the test takes off again. A loop is counted as a whole, what leads into it included.

use emu_a64_asm::*;

/// A case: what it is called, and its code.
pub type Case = (&'static str, fn(&mut Asm));

const fn v(n: u8) -> VReg {
    VReg(n)
}

/// Single instructions and idioms.
pub const INSTRUCTIONS: &[Case] = &[
    ("add x0, x1, x2", |a| a.add(X0, X1, X2, 0)),
    ("add x0, x0, #16", |a| a.add_imm(X0, X0, 16)),
    ("add w0, w1, w2", |a| a.add(W0, W1, W2, 0)),
    ("sub x0, x1, x2, lsl #3", |a| a.sub(X0, X1, X2, 3)),
    ("subs x0, x1, x2", |a| a.subs(X0, X1, X2, 0)),
    ("adds w0, w1, #1", |a| a.adds_imm(W0, W1, 1)),
    ("cmp x0, x1; cset x2, lt", |a| {
        a.cmp(X0, X1);
        a.cset(X2, Cond::Lt);
    }),
    ("cmp w0, #5; csel w1, w2, w3, hi", |a| {
        a.cmp_imm(W0, 5);
        a.csel(W1, W2, W3, Cond::Hi);
    }),
    ("adds x0, x0, x2; adc x1, x1, x3", |a| {
        a.adds(X0, X0, X2, 0);
        a.adc(X1, X1, X3);
    }),
    ("and x0, x1, #0xff", |a| a.and_imm(X0, X1, 0xff)),
    ("orr x0, x1, x2", |a| a.orr(X0, X1, X2, 0)),
    ("eor w0, w1, w2", |a| a.eor(W0, W1, W2, 0)),
    ("bic x0, x1, x2", |a| a.bic(X0, X1, X2, 0)),
    ("mov x0, x1", |a| a.mov(X0, X1)),
    ("mov x0, #0x12345678", |a| a.mov_imm(X0, 0x1234_5678)),
    ("movk x0, #0x1234, lsl #16", |a| a.movk(X0, 0x1234, 16)),
    ("lsl x0, x1, #4", |a| a.lsl(X0, X1, 4)),
    ("asr w0, w1, #7", |a| a.asr(W0, W1, 7)),
    ("ubfx x0, x1, #8, #12", |a| a.ubfx(X0, X1, 8, 12)),
    ("bfi x0, x1, #8, #8", |a| a.bfi(X0, X1, 8, 8)),
    ("lslv x0, x1, x2", |a| a.lslv(X0, X1, X2)),
    ("madd x0, x1, x2, x3", |a| a.madd(X0, X1, X2, X3)),
    ("umulh x0, x1, x2", |a| a.umulh(X0, X1, X2)),
    ("udiv x0, x1, x2", |a| a.udiv(X0, X1, X2)),
    ("clz x0, x1", |a| a.clz(X0, X1)),
    ("rev x0, x1", |a| a.rev(X0, X1)),
    ("ldr x0, [x1]", |a| a.ldr(X0, Addr::Off(X1, 0))),
    ("ldr w0, [x1, x2, lsl #2]", |a| a.ldr(W0, Addr::Scaled(X1, X2))),
    ("ldrb w0, [x1], #1", |a| a.ldrb(W0, Addr::Post(X1, 1))),
    ("str x0, [x1, #8]", |a| a.str(X0, Addr::Off(X1, 8))),
    ("ldp x0, x1, [x2]", |a| a.ldp(X0, X1, Addr::Off(X2, 0))),
    ("stp x29, x30, [sp, #-16]!", |a| a.stp(X29, X30, Addr::Pre(SP, -16))),
    ("ldp x29, x30, [sp], #16", |a| a.ldp(X29, X30, Addr::Post(SP, 16))),
    ("ldr q0, [x1]", |a| a.ldr_q(v(0), Addr::Off(X1, 0))),
    ("str q0, [x1]", |a| a.str_q(v(0), Addr::Off(X1, 0))),
    ("ldr d0, [x1]", |a| a.ldr_d(v(0), Addr::Off(X1, 0))),
    ("ldar x0, [x1]", |a| a.ldar(X0, X1)),
    ("stlr x0, [x1]", |a| a.stlr(X0, X1)),
    ("ldaddal x0, x1, [x2]", |a| a.ldaddal(X0, X1, X2)),
    ("casal x0, x1, [x2]", |a| a.casal(X0, X1, X2)),
    ("ldxr x0, [x1]", |a| a.ldxr(X0, X1)),
    ("fadd d0, d1, d2", |a| a.fadd(Fp::D, v(0), v(1), v(2))),
    ("fmul s0, s1, s2", |a| a.fmul(Fp::S, v(0), v(1), v(2))),
    ("fmadd d0, d1, d2, d3", |a| a.fmadd(Fp::D, v(0), v(1), v(2), v(3))),
    ("fcmp d0, d1; b.gt", |a| {
        let out = a.label();
        a.fcmp(Fp::D, v(0), v(1));
        a.b_cond(Cond::Gt, out);
        a.nop();
        a.bind(out);
    }),
    ("scvtf d0, x0", |a| a.scvtf(Fp::D, v(0), X0)),
    ("fcvtzs x0, d0", |a| a.fcvtzs(Fp::D, X0, v(0))),
    ("fmov d0, x0", |a| a.fmov_from(v(0), X0)),
    ("add v0.4s, v1.4s, v2.4s", |a| a.add_v(Arr::S4, v(0), v(1), v(2))),
    ("fmla v0.4s, v1.4s, v2.4s", |a| a.fmla_v(Arr::S4, v(0), v(1), v(2))),
    ("cmeq v0.16b, v1.16b, v2.16b", |a| a.cmeq_v(Arr::B16, v(0), v(1), v(2))),
    ("tbl v0.16b, {v1.16b}, v2.16b", |a| a.tbl_v(Arr::B16, v(0), v(1), v(2))),
    ("aese v0.16b, v1.16b; aesmc v0.16b, v0.16b", |a| {
        a.aese(v(0), v(1));
        a.aesmc(v(0), v(0));
    }),
];

/// Loops.
pub const LOOPS: &[Case] = &[
    ("count down: subs, b.ne", |a| {
        let top = a.here();
        a.subs_imm(X0, X0, 1);
        a.b_cond(Cond::Ne, top);
    }),
    ("count up: add, cmp, b.lo", |a| {
        let top = a.here();
        a.add_imm(X0, X0, 1);
        a.cmp(X0, X1);
        a.b_cond(Cond::Lo, top);
    }),
    ("sum of words: ldr, add, subs, b.ne", |a| {
        let top = a.here();
        a.ldr(W2, Addr::Post(X1, 4));
        a.add(W0, W0, W2, 0);
        a.subs_imm(X3, X3, 1);
        a.b_cond(Cond::Ne, top);
    }),
    ("memcpy by pairs: ldp, stp, subs, b.ne", |a| {
        let top = a.here();
        a.ldp(X3, X4, Addr::Post(X1, 16));
        a.stp(X3, X4, Addr::Post(X0, 16));
        a.subs_imm(X2, X2, 16);
        a.b_cond(Cond::Ne, top);
    }),
    ("memset by vectors: str q, subs, b.hi", |a| {
        let top = a.here();
        a.str_q(v(0), Addr::Post(X0, 16));
        a.subs_imm(X2, X2, 16);
        a.b_cond(Cond::Hi, top);
    }),
    ("strlen: ldrb, cbnz", |a| {
        let top = a.here();
        a.ldrb(W1, Addr::Pre(X0, 1));
        a.cbnz(W1, top);
    }),
    ("list: ldr, cbnz", |a| {
        let top = a.here();
        a.ldr(X0, Addr::Off(X0, 0));
        a.cbnz(X0, top);
    }),
    ("bits: tst, lsr, cinc, cbnz", |a| {
        let top = a.here();
        a.tst_imm(X0, 1);
        a.csinc(X1, X1, X1, Cond::Eq);
        a.lsr(X0, X0, 1);
        a.cbnz(X0, top);
    }),
    ("daxpy: ldr d, ldr d, fmadd, str d, subs, b.ne", |a| {
        let top = a.here();
        a.ldr_d(v(1), Addr::Post(X0, 8));
        a.ldr_d(v(2), Addr::Off(X1, 0));
        a.fmadd(Fp::D, v(2), v(0), v(1), v(2));
        a.str_d(v(2), Addr::Post(X1, 8));
        a.subs_imm(X2, X2, 1);
        a.b_cond(Cond::Ne, top);
    }),
    ("vector add: ldr q, ldr q, add, str q, subs, b.ne", |a| {
        let top = a.here();
        a.ldr_q(v(0), Addr::Post(X0, 16));
        a.ldr_q(v(1), Addr::Off(X1, 0));
        a.add_v(Arr::S4, v(1), v(0), v(1));
        a.str_q(v(1), Addr::Post(X1, 16));
        a.subs_imm(X2, X2, 4);
        a.b_cond(Cond::Ne, top);
    }),
    ("atomic count: ldxr, add, stxr, cbnz", |a| {
        let top = a.here();
        a.ldxr(X0, X1);
        a.add_imm(X0, X0, 1);
        a.stxr(W2, X0, X1);
        a.cbnz(W2, top);
    }),
    ("crc: ldrb, eor, ldr, eor lsr, subs, b.ne", |a| {
        let top = a.here();
        a.ldrb(W3, Addr::Post(X1, 1));
        a.eor(W3, W3, W0, 0);
        a.and_imm(W3, W3, 0xff);
        a.ldr(W3, Addr::Scaled(X4, X3));
        a.lsr(W0, W0, 8);
        a.eor(W0, W0, W3, 0);
        a.subs_imm(X2, X2, 1);
        a.b_cond(Cond::Ne, top);
    }),
];
