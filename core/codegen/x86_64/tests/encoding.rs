//! Every form of the encoder, decoded back by an independent disassembler: all registers, sizes and shapes of memory operand.

use emu_x86_64::asm::{Alu, Asm, Cc, Gpr, Mem, Shift, Size};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// An expected operand.
#[derive(Clone, Copy, Debug, PartialEq)]
enum E {
    R(Register),
    M(Mem),
    I(i64),
    /// A near branch or something at `rip`, to this offset.
    At(u64),
}

const SIZES: [Size; 4] = [Size::B, Size::W, Size::D, Size::Q];
const WIDE: [Size; 2] = [Size::D, Size::Q];

fn gpr(size: Size, r: Gpr) -> Register {
    let base = match size {
        #[rustfmt::skip]
        Size::B => return [
            Register::AL, Register::CL, Register::DL, Register::BL, Register::SPL, Register::BPL, Register::SIL, Register::DIL,
            Register::R8L, Register::R9L, Register::R10L, Register::R11L, Register::R12L, Register::R13L, Register::R14L, Register::R15L,
        ][r as usize],
        Size::W => Register::AX,
        Size::D => Register::EAX,
        Size::Q => Register::RAX,
    };
    base + u32::from(r)
}

fn g(size: Size, r: Gpr) -> E {
    E::R(gpr(size, r))
}

fn x(r: u8) -> E {
    E::R(Register::XMM0 + u32::from(r))
}

fn operand(i: &Instruction, n: u32) -> E {
    match i.op_kind(n) {
        OpKind::Register => E::R(i.op_register(n)),
        OpKind::NearBranch64 => E::At(i.near_branch64()),
        OpKind::Memory if i.is_ip_rel_memory_operand() => E::At(i.ip_rel_memory_address()),
        OpKind::Memory => {
            let number = |r: Register| (r as u32 - Register::RAX as u32) as u8;
            let index = (i.memory_index() != Register::None).then(|| (number(i.memory_index()), i.memory_index_scale().trailing_zeros() as u8));
            E::M(Mem { base: number(i.memory_base()), index, disp: i.memory_displacement64() as i32 })
        }
        OpKind::Immediate8 => E::I(i64::from(i.immediate8() as i8)),
        OpKind::Immediate16 => E::I(i64::from(i.immediate16() as i16)),
        OpKind::Immediate32 => E::I(i64::from(i.immediate32() as i32)),
        OpKind::Immediate64 => E::I(i.immediate64() as i64),
        OpKind::Immediate8to16 => E::I(i.immediate8to16().into()),
        OpKind::Immediate8to32 => E::I(i.immediate8to32().into()),
        OpKind::Immediate8to64 => E::I(i.immediate8to64()),
        OpKind::Immediate32to64 => E::I(i.immediate32to64()),
        other => panic!("operand {other:?}"),
    }
}

/// Decodes one instruction that takes all bytes and compares it.
#[track_caller]
fn check(what: Mnemonic, operands: &[E], emit: impl FnOnce(&mut Asm)) -> Instruction {
    let mut a = Asm::default();
    emit(&mut a);
    let i = Decoder::with_ip(64, &a.code, 0, DecoderOptions::NONE).decode();
    assert_eq!(i.len(), a.code.len(), "{what:?} {operands:?}: {:02x?} decodes as {i}", a.code);
    let got: Vec<E> = (0..i.op_count()).map(|n| operand(&i, n)).collect();
    assert_eq!((i.mnemonic(), got.as_slice()), (what, operands), "{:02x?}", a.code);
    i
}

/// Memory operands: every base, every index, and displacements around the limits of their short form.
fn memories() -> Vec<Mem> {
    let mut all = Vec::new();
    for base in 0..16 {
        for disp in [0, 1, -1, 127, 128, -128, -129, 0x1234_5678, i32::MIN] {
            all.push(Mem::at(base, disp));
        }
        for index in (0..16).filter(|i| *i != 4) {
            for (scale, disp) in [(0, 0), (1, 8), (2, -200), (3, 127)] {
                all.push(Mem::indexed(base, index, scale, disp));
            }
        }
    }
    all
}

/// The size of the memory operand is not among the operands.
#[track_caller]
fn accesses(i: Instruction, size: Size) {
    assert_eq!(i.memory_size().size(), 1 << size as usize, "{i}");
}

fn all_sizes(f: impl Fn(Size)) {
    SIZES.iter().for_each(|s| f(*s));
}

fn pairs(f: impl Fn(u8, u8)) {
    (0..16).for_each(|a| (0..16).for_each(|b| f(a, b)));
}

const ALU: [(Alu, Mnemonic); 8] = [
    (Alu::Add, Mnemonic::Add),
    (Alu::Or, Mnemonic::Or),
    (Alu::Adc, Mnemonic::Adc),
    (Alu::Sbb, Mnemonic::Sbb),
    (Alu::And, Mnemonic::And),
    (Alu::Sub, Mnemonic::Sub),
    (Alu::Xor, Mnemonic::Xor),
    (Alu::Cmp, Mnemonic::Cmp),
];

#[test]
fn moves() {
    all_sizes(|s| {
        pairs(|a, b| {
            check(Mnemonic::Mov, &[g(s, a), g(s, b)], |x| x.mov_rr(s, a, b));
        });
        for m in memories() {
            for r in 0..16 {
                check(Mnemonic::Mov, &[g(s, r), E::M(m)], |x| x.mov_rm(s, r, m));
                check(Mnemonic::Mov, &[E::M(m), g(s, r)], |x| x.mov_mr(s, m, r));
            }
            check(Mnemonic::Xchg, &[E::M(m), g(s, 9)], |x| x.xchg_mr(s, m, 9));
            for v in [0, 1, -1, 100] {
                accesses(check(Mnemonic::Mov, &[E::M(m), E::I(v.into())], |x| x.mov_mi(s, m, v)), s);
            }
        }
    });
    for r in 0..16 {
        for v in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            check(Mnemonic::Mov, &[g(Size::D, r), E::I(i64::from(v as u32 as i32))], |x| x.mov_ri(r, v));
        }
        for v in [1 << 32, u64::MAX, i64::MIN as u64, 0xffff_ffff_8000_0000, 0x1234_5678_9abc_def0] {
            check(Mnemonic::Mov, &[g(Size::Q, r), E::I(v as i64)], |x| x.mov_ri(r, v));
        }
        for v in [0, 0x1234, 0x7f12_3456_789a] {
            check(Mnemonic::Mov, &[g(Size::Q, r), E::I(v as i64)], |x| x.mov_helper(r, 3, v));
        }
        check(Mnemonic::Push, &[g(Size::Q, r)], |x| x.push(r));
        check(Mnemonic::Pop, &[g(Size::Q, r)], |x| x.pop(r));
    }
    for v in [0, 1, -1, 127, 128, -128, -129, 0x1234_5678, i32::MIN] {
        check(Mnemonic::Push, &[E::I(v.into())], |x| x.push_i(v));
    }
    for m in memories() {
        accesses(check(Mnemonic::Push, &[E::M(m)], |x| x.push_m(m)), Size::Q);
    }
    check(Mnemonic::Pushfq, &[], Asm::pushf);
    check(Mnemonic::Popfq, &[], Asm::popf);
    pairs(|a, b| {
        check(Mnemonic::Movzx, &[g(Size::D, a), g(Size::B, b)], |x| x.movzx_rr(Size::B, a, b));
        check(Mnemonic::Movzx, &[g(Size::D, a), g(Size::W, b)], |x| x.movzx_rr(Size::W, a, b));
        check(Mnemonic::Mov, &[g(Size::D, a), g(Size::D, b)], |x| x.movzx_rr(Size::D, a, b));
        for (wide, to) in [(false, Size::D), (true, Size::Q)] {
            check(Mnemonic::Movsx, &[g(to, a), g(Size::B, b)], |x| x.movsx_rr(Size::B, wide, a, b));
            check(Mnemonic::Movsx, &[g(to, a), g(Size::W, b)], |x| x.movsx_rr(Size::W, wide, a, b));
        }
        check(Mnemonic::Movsxd, &[g(Size::Q, a), g(Size::D, b)], |x| x.movsx_rr(Size::D, true, a, b));
    });
    for m in memories() {
        for r in [0, 5, 7, 8, 15] {
            accesses(check(Mnemonic::Movzx, &[g(Size::D, r), E::M(m)], |x| x.movzx_rm(Size::B, r, m)), Size::B);
            accesses(check(Mnemonic::Movzx, &[g(Size::D, r), E::M(m)], |x| x.movzx_rm(Size::W, r, m)), Size::W);
            for (wide, to) in [(false, Size::D), (true, Size::Q)] {
                accesses(check(Mnemonic::Movsx, &[g(to, r), E::M(m)], |x| x.movsx_rm(Size::B, wide, r, m)), Size::B);
                accesses(check(Mnemonic::Movsx, &[g(to, r), E::M(m)], |x| x.movsx_rm(Size::W, wide, r, m)), Size::W);
            }
            accesses(check(Mnemonic::Movsxd, &[g(Size::Q, r), E::M(m)], |x| x.movsx_rm(Size::D, true, r, m)), Size::D);
            check(Mnemonic::Mov, &[g(Size::Q, r), E::M(m)], |x| x.movzx_rm(Size::Q, r, m));
            for s in WIDE {
                check(Mnemonic::Lea, &[g(s, r), E::M(m)], |x| x.lea(s, r, m));
            }
        }
    }
}

/// Guest addresses are eight bytes, whatever they are, and noted, also where code is there once more.
#[test]
fn addresses() {
    let mut asm = Asm::default();
    asm.mov_rr(Size::Q, 1, 2);
    let from = asm.here();
    for (r, va) in [(3, 0x1000), (12, 0xffff_8000_1234_5678)] {
        asm.mov_address(r, va);
    }
    let to = asm.here();
    asm.mov_rr(Size::Q, 1, 2);
    asm.mov_address(0, 7);
    asm.again(from, to);
    let values = asm.addresses.iter().map(|at| u64::from_le_bytes(asm.code[*at as usize..][..8].try_into().unwrap()));
    assert_eq!(values.collect::<Vec<_>>(), [0x1000, 0xffff_8000_1234_5678, 7, 0x1000, 0xffff_8000_1234_5678]);
    let decoded: Vec<Instruction> = Decoder::new(64, &asm.code, DecoderOptions::NONE).into_iter().collect();
    let loads: Vec<_> = decoded.iter().filter(|i| i.op1_kind() == OpKind::Immediate64).map(|i| (i.op0_register(), i.immediate64())).collect();
    let both = [(Register::RBX, 0x1000), (Register::R12, 0xffff_8000_1234_5678)];
    assert_eq!(loads, [both[0], both[1], (Register::RAX, 7), both[0], both[1]]);
}

#[test]
fn arithmetic() {
    all_sizes(|s| {
        for (op, what) in ALU {
            pairs(|a, b| {
                check(what, &[g(s, a), g(s, b)], |x| x.alu_rr(op, s, a, b));
            });
            for m in memories() {
                check(what, &[g(s, 11), E::M(m)], |x| x.alu_rm(op, s, 11, m));
                check(what, &[E::M(m), g(s, 6)], |x| x.alu_mr(op, s, m, 6));
                for v in [1, -1, 127, -128] {
                    accesses(check(what, &[E::M(m), E::I(v.into())], |x| x.alu_mi(op, s, m, v)), s);
                }
            }
            for r in 0..16 {
                for v in [0, 127, -128, 128, -129, 0x7fff, -0x8000, 0x1234_5678, i32::MIN] {
                    let fits = match s {
                        Size::B => i8::try_from(v).is_ok(),
                        Size::W => i16::try_from(v).is_ok(),
                        _ => true,
                    };
                    if fits {
                        check(what, &[g(s, r), E::I(v.into())], |x| x.alu_ri(op, s, r, v));
                    }
                }
            }
        }
        for r in 0..16 {
            check(Mnemonic::Not, &[g(s, r)], |x| x.not(s, r));
            check(Mnemonic::Neg, &[g(s, r)], |x| x.neg(s, r));
            check(Mnemonic::Mul, &[g(s, r)], |x| x.mul(s, r));
            check(Mnemonic::Imul, &[g(s, r)], |x| x.imul1(s, r));
            check(Mnemonic::Div, &[g(s, r)], |x| x.div(s, r));
            check(Mnemonic::Idiv, &[g(s, r)], |x| x.idiv(s, r));
            check(Mnemonic::Test, &[g(Size::B, r), E::I(0x55)], |x| x.test_ri(s, r, 0x55));
            if s != Size::B {
                let positive = if s == Size::Q { Size::D } else { s };
                check(Mnemonic::Test, &[g(positive, r), E::I(0x1234)], |x| x.test_ri(s, r, 0x1234));
            }
            check(Mnemonic::Test, &[g(s, r), E::I(-5)], |x| x.test_ri(s, r, -5));
            for (op, what) in [
                (Shift::Rol, Mnemonic::Rol),
                (Shift::Ror, Mnemonic::Ror),
                (Shift::Shl, Mnemonic::Shl),
                (Shift::Shr, Mnemonic::Shr),
                (Shift::Sar, Mnemonic::Sar),
            ] {
                check(what, &[g(s, r), E::I(7)], |x| x.shift_ri(op, s, r, 7));
                check(what, &[g(s, r), E::R(Register::CL)], |x| x.shift_cl(op, s, r));
            }
        }
        pairs(|a, b| {
            check(Mnemonic::Test, &[g(s, a), g(s, b)], |x| x.test_rr(s, a, b));
        });
    });
    check(Mnemonic::Cdq, &[], |x| x.cqo(Size::D));
    check(Mnemonic::Cqo, &[], |x| x.cqo(Size::Q));
    for s in WIDE {
        pairs(|a, b| {
            check(Mnemonic::Imul, &[g(s, a), g(s, b)], |x| x.imul_rr(s, a, b));
            check(Mnemonic::Shrd, &[g(s, a), g(s, b), E::I(13)], |x| x.shrd(s, a, b, 13));
            for (prefix, opcode, what) in [
                (0xf3, 0xbd, Mnemonic::Lzcnt),
                (0xf3, 0xbc, Mnemonic::Tzcnt),
                (0xf3, 0xb8, Mnemonic::Popcnt),
                (0, 0xbd, Mnemonic::Bsr),
                (0, 0xbc, Mnemonic::Bsf),
            ] {
                check(what, &[g(s, a), g(s, b)], |x| x.bits_rr(prefix, opcode, s, a, b));
            }
            for c in 0..16 {
                for (op, what) in [(Shift::Shl, Mnemonic::Shlx), (Shift::Shr, Mnemonic::Shrx), (Shift::Sar, Mnemonic::Sarx)] {
                    check(what, &[g(s, a), g(s, b), g(s, c)], |x| x.shiftx(op, s, a, b, c));
                }
                check(Mnemonic::Andn, &[g(s, a), g(s, b), g(s, c)], |x| x.andn(s, a, b, c));
                check(Mnemonic::Mulx, &[g(s, a), g(s, b), g(s, c)], |x| x.mulx_rr(s, a, b, c));
            }
            check(Mnemonic::Rorx, &[g(s, a), g(s, b), E::I(21)], |x| x.rorx(s, a, b, 21));
        });
        for r in 0..16 {
            check(Mnemonic::Bswap, &[g(s, r)], |x| x.bswap(s, r));
            check(Mnemonic::Bt, &[g(s, r), E::I(5)], |x| x.bt_ri(s, r, 5));
        }
        for m in memories() {
            check(Mnemonic::Imul, &[g(s, 12), E::M(m)], |x| x.imul_rm(s, 12, m));
            pairs(|a, b| {
                check(Mnemonic::Mulx, &[g(s, a), g(s, b), E::M(m)], |x| x.mulx_rm(s, a, b, m));
            });
        }
    }
    all_sizes(|s| {
        pairs(|a, b| {
            let to = if s == Size::Q { Size::Q } else { Size::D };
            check(Mnemonic::Crc32, &[g(to, a), g(s, b)], |x| x.crc32(s, a, b));
        });
    });
}

#[test]
fn conditions() {
    #[rustfmt::skip]
    const SET: [Mnemonic; 16] = [
        Mnemonic::Seto, Mnemonic::Setno, Mnemonic::Setb, Mnemonic::Setae, Mnemonic::Sete, Mnemonic::Setne, Mnemonic::Setbe, Mnemonic::Seta,
        Mnemonic::Sets, Mnemonic::Setns, Mnemonic::Setp, Mnemonic::Setnp, Mnemonic::Setl, Mnemonic::Setge, Mnemonic::Setle, Mnemonic::Setg,
    ];
    #[rustfmt::skip]
    const MOVE: [Mnemonic; 16] = [
        Mnemonic::Cmovo, Mnemonic::Cmovno, Mnemonic::Cmovb, Mnemonic::Cmovae, Mnemonic::Cmove, Mnemonic::Cmovne, Mnemonic::Cmovbe,
        Mnemonic::Cmova, Mnemonic::Cmovs, Mnemonic::Cmovns, Mnemonic::Cmovp, Mnemonic::Cmovnp, Mnemonic::Cmovl, Mnemonic::Cmovge,
        Mnemonic::Cmovle, Mnemonic::Cmovg,
    ];
    #[rustfmt::skip]
    const JUMP: [Mnemonic; 16] = [
        Mnemonic::Jo, Mnemonic::Jno, Mnemonic::Jb, Mnemonic::Jae, Mnemonic::Je, Mnemonic::Jne, Mnemonic::Jbe, Mnemonic::Ja, Mnemonic::Js,
        Mnemonic::Jns, Mnemonic::Jp, Mnemonic::Jnp, Mnemonic::Jl, Mnemonic::Jge, Mnemonic::Jle, Mnemonic::Jg,
    ];
    #[rustfmt::skip]
    const NAMED: [Cc; 16] = [
        Cc::O, Cc::NO, Cc::B, Cc::AE, Cc::E, Cc::NE, Cc::BE, Cc::A, Cc::S, Cc::NS, Cc::P, Cc::NP, Cc::L, Cc::GE, Cc::LE, Cc::G,
    ];
    for (n, cc) in NAMED.into_iter().enumerate() {
        assert_eq!(SET[n ^ 1], check(SET[n ^ 1], &[g(Size::B, 0)], |x| x.setcc(cc.not(), 0)).mnemonic());
        for r in 0..16 {
            check(SET[n], &[g(Size::B, r)], |x| x.setcc(cc, r));
        }
        for m in memories() {
            check(SET[n], &[E::M(m)], |x| x.setcc_m(cc, m));
            for s in WIDE {
                check(MOVE[n], &[g(s, 10), E::M(m)], |x| x.cmov_rm(cc, s, 10, m));
            }
        }
        pairs(|a, b| {
            for s in WIDE {
                check(MOVE[n], &[g(s, a), g(s, b)], |x| x.cmov_rr(cc, s, a, b));
            }
        });
        check(JUMP[n], &[E::At(6)], |x| {
            let l = x.label();
            x.jcc(cc, l);
            x.bind(l);
            x.resolve();
        });
        // The displacement is the placer's.
        check(JUMP[n], &[E::At(6)], |x| x.jcc_outside(cc, 3));
    }
}

#[test]
fn control() {
    for (what, form) in [(Mnemonic::Jmp, false), (Mnemonic::Call, true)] {
        check(what, &[E::At(5)], |x| {
            let l = x.label();
            if form {
                x.call(l)
            } else {
                x.jmp(l)
            }
            x.bind(l);
            x.resolve();
        });
        check(what, &[E::At(5)], |x| if form { x.call_outside(1) } else { x.jmp_outside(1) });
        for r in 0..16 {
            check(what, &[g(Size::Q, r)], |x| if form { x.call_r(r) } else { x.jmp_r(r) });
        }
    }
    for m in memories() {
        check(Mnemonic::Jmp, &[E::M(m)], |x| x.jmp_m(m));
        check(Mnemonic::Call, &[E::M(m)], |x| x.call_m(m));
    }
    // Behind any number of bytes, the displacement of a jump that can be patched is aligned.
    for before in 0..16 {
        for call in [false, true] {
            let mut a = Asm::default();
            (0..before).for_each(|_| a.ret());
            let l = a.label();
            let at = if call { a.call_patchable(l) } else { a.jmp_patchable(l) };
            a.bind(l);
            a.resolve();
            assert!(at.is_multiple_of(4) && at as usize + 4 == a.code.len());
            let code: Vec<_> = Decoder::with_ip(64, &a.code[before..], 0, DecoderOptions::NONE).into_iter().collect();
            let (last, padding) = code.split_last().expect("an instruction");
            assert_eq!(last.mnemonic(), if call { Mnemonic::Call } else { Mnemonic::Jmp });
            assert_eq!(last.near_branch_target(), last.next_ip());
            assert!(padding.iter().all(|i| i.mnemonic() == Mnemonic::Nop) && padding.len() <= 1);
        }
    }
    check(Mnemonic::Ret, &[], |x| x.ret());
    check(Mnemonic::Cmc, &[], |x| x.cmc());
    check(Mnemonic::Ud2, &[], |x| x.ud2());
    for r in 0..16 {
        check(Mnemonic::Lea, &[g(Size::Q, r), E::At(7)], |x| {
            let l = x.label();
            x.lea_label(r, l);
            x.bind(l);
            x.resolve();
        });
    }
    // A jump back over others, and data where it must be.
    let mut a = Asm::default();
    let (l, d) = (a.label(), a.label());
    a.bind(l);
    (0..100).for_each(|_| a.mov_rr(Size::Q, 1, 2));
    a.jmp(l);
    a.lea_label(3, d);
    a.data(d, &[7; 16]);
    a.resolve();
    let mut code = Decoder::with_ip(64, &a.code[300..], 300, DecoderOptions::NONE);
    assert_eq!(code.decode().near_branch64(), 0);
    let at = code.decode().ip_rel_memory_address();
    assert!(at.is_multiple_of(16) && a.code[at as usize..] == [7; 16]);
    assert_eq!(a.offset(d), Some(at as u32));
    assert_eq!(a.offset(l), Some(0));
    let outside: Vec<(u32, u32)> = {
        let mut a = Asm::default();
        a.call_outside(5);
        a.jcc_outside(Cc::E, 6);
        a.outside.iter().map(|o| (o.at, o.target)).collect()
    };
    assert_eq!(outside, [(1, 5), (7, 6)]);
}

#[test]
fn atomics() {
    let locked = |i: Instruction| assert!(i.has_lock_prefix(), "{i}");
    for m in memories() {
        for r in [0, 5, 6, 8, 15] {
            all_sizes(|s| {
                locked(check(Mnemonic::Cmpxchg, &[E::M(m), g(s, r)], |x| {
                    x.lock();
                    x.cmpxchg(s, m, r);
                }));
                locked(check(Mnemonic::Xadd, &[E::M(m), g(s, r)], |x| {
                    x.lock();
                    x.xadd(s, m, r);
                }));
            });
        }
        locked(check(Mnemonic::Cmpxchg16b, &[E::M(m)], |x| {
            x.lock();
            x.cmpxchg16b(m);
        }));
        check(Mnemonic::Ldmxcsr, &[E::M(m)], |x| x.ldmxcsr(m));
        check(Mnemonic::Stmxcsr, &[E::M(m)], |x| x.stmxcsr(m));
    }
    locked(check(Mnemonic::Or, &[E::M(Mem::at(4, 0)), E::I(0)], |x| x.full_fence()));
}

#[test]
fn vectors() {
    // One instruction of each prefix and map stands for all: prefix, map, opcode, legacy and VEX names.
    let forms = [
        (0x00, 1, 0x58, Mnemonic::Addps, Mnemonic::Vaddps),
        (0x66, 1, 0xfe, Mnemonic::Paddd, Mnemonic::Vpaddd),
        (0xf2, 1, 0x58, Mnemonic::Addsd, Mnemonic::Vaddsd),
        (0xf3, 1, 0x58, Mnemonic::Addss, Mnemonic::Vaddss),
        (0x66, 2, 0x00, Mnemonic::Pshufb, Mnemonic::Vpshufb),
    ];
    let with_imm = [
        (0x00, 1, 0xc6, Mnemonic::Shufps, Mnemonic::Vshufps),
        (0x66, 3, 0x0f, Mnemonic::Palignr, Mnemonic::Vpalignr),
        (0x66, 3, 0x0e, Mnemonic::Pblendw, Mnemonic::Vpblendw),
    ];
    pairs(|a, b| {
        for (p, map, op, legacy, vex) in forms {
            check(legacy, &[x(a), x(b)], |e| e.sse_rr(p, map, op, a, b));
            for c in 0..16 {
                check(vex, &[x(a), x(c), x(b)], |e| e.avx_rrr(p, map, false, op, a, c, b));
            }
        }
        for (p, map, op, legacy, vex) in with_imm {
            check(legacy, &[x(a), x(b), E::I(0x1e)], |e| e.sse_rri(p, map, op, a, b, 0x1e));
            for c in 0..16 {
                check(vex, &[x(a), x(c), x(b), E::I(0x1e)], |e| e.avx_rrri(p, map, false, op, a, c, b, 0x1e));
            }
        }
        for c in 0..16 {
            check(Mnemonic::Vpternlogq, &[x(a), x(c), x(b), E::I(0x1e)], |e| e.evex_rrri(3, true, 0x25, a, c, b, 0x1e));
            check(Mnemonic::Vpternlogd, &[x(a), x(c), x(b), E::I(0x1e)], |e| e.evex_rrri(3, false, 0x25, a, c, b, 0x1e));
        }
        check(Mnemonic::Vcvttpd2qq, &[x(a), x(b)], |e| e.evex_rr(0x66, 1, true, 0x7a, a, b));
        check(Mnemonic::Vcvtpd2qq, &[x(a), x(b)], |e| e.evex_rr(0x66, 1, true, 0x7b, a, b));
        check(Mnemonic::Vcvtqq2pd, &[x(a), x(b)], |e| e.evex_rr(0xf3, 1, true, 0xe6, a, b));
        check(Mnemonic::Vprorq, &[x(a), x(b), E::I(0x1e)], |e| e.evex_rrri(1, true, 0x72, 0, a, b, 0x1e));
        check(Mnemonic::Vprord, &[x(a), x(b), E::I(0x1e)], |e| e.evex_rrri(1, false, 0x72, 0, a, b, 0x1e));
        // REX.W and VEX.W.
        check(Mnemonic::Vpsllvq, &[x(a), x(3), x(b)], |e| e.avx_rrr(0x66, 2, true, 0x47, a, 3, b));
        check(Mnemonic::Vpsllvd, &[x(a), x(3), x(b)], |e| e.avx_rrr(0x66, 2, false, 0x47, a, 3, b));
        check(Mnemonic::Movq, &[x(a), g(Size::Q, b)], |e| e.mov_xr(Size::Q, a, b));
        check(Mnemonic::Movd, &[x(a), g(Size::D, b)], |e| e.mov_xr(Size::D, a, b));
        check(Mnemonic::Movq, &[g(Size::Q, a), x(b)], |e| e.mov_rx(Size::Q, a, b));
        check(Mnemonic::Movd, &[g(Size::D, a), x(b)], |e| e.mov_rx(Size::D, a, b));
        check(Mnemonic::Pextrq, &[g(Size::Q, a), x(b), E::I(1)], |e| e.high_half(a, b));
        check(Mnemonic::Pinsrq, &[x(a), g(Size::Q, b), E::I(1)], |e| e.set_high_half(a, b));
        check(Mnemonic::Pextrb, &[g(Size::D, a), x(b), E::I(9)], |e| e.sse_gpr_i(0x66, 3, false, 0x14, b, a, 9));
        check(Mnemonic::Pextrw, &[g(Size::D, a), x(b), E::I(3)], |e| e.sse_gpr_i(0x66, 1, false, 0xc5, a, b, 3));
        check(Mnemonic::Cvtsi2sd, &[x(a), g(Size::Q, b)], |e| e.sse_gpr(0xf2, 1, true, 0x2a, a, b));
        check(Mnemonic::Movaps, &[x(a), x(b)], |e| e.movaps(a, b));
    });
    for m in memories() {
        for r in [0, 7, 8, 15] {
            for (p, map, op, legacy, vex) in forms {
                check(legacy, &[x(r), E::M(m)], |e| e.sse_rm(p, map, op, r, m));
                check(vex, &[x(r), x(9), E::M(m)], |e| e.avx_rrm(p, map, false, op, r, 9, m));
            }
            check(Mnemonic::Pextrw, &[E::M(m), x(r), E::I(0)], |e| e.sse_rmi(0x66, 3, 0x15, r, m, 0));
            check(Mnemonic::Movups, &[x(r), E::M(m)], |e| e.movups_rm(r, m));
            check(Mnemonic::Movups, &[E::M(m), x(r)], |e| e.movups_mr(m, r));
            check(Mnemonic::Movq, &[x(r), E::M(m)], |e| e.movq_rm(r, m));
            check(Mnemonic::Movq, &[E::M(m), x(r)], |e| e.movq_mr(m, r));
            check(Mnemonic::Movd, &[x(r), E::M(m)], |e| e.movd_rm(r, m));
            check(Mnemonic::Movd, &[E::M(m), x(r)], |e| e.movd_mr(m, r));
        }
    }
    for r in 0..16 {
        for (p, map, op, legacy, vex) in forms {
            let at = |f: &dyn Fn(&mut Asm, emu_x86_64::asm::Label)| {
                let mut a = Asm::default();
                let l = a.label();
                f(&mut a, l);
                a.bind(l);
                a.resolve();
                a.code
            };
            let code = at(&|a, l| a.sse_rl(p, map, op, r, l));
            check(legacy, &[x(r), E::At(code.len() as u64)], |e| e.code.clone_from(&code));
            let code = at(&|a, l| a.avx_rrl(p, map, false, op, r, 9, l));
            check(vex, &[x(r), x(9), E::At(code.len() as u64)], |e| e.code.clone_from(&code));
            // The immediate lies between the displacement and what it counts from.
            let code = at(&|a, l| a.sse_rli(0x66, 1, 0xc6, r, l, 1));
            check(Mnemonic::Shufpd, &[x(r), E::At(code.len() as u64), E::I(1)], |e| e.code.clone_from(&code));
            let code = at(&|a, l| a.avx_rrli(0x66, 1, false, 0xc6, r, 9, l, 1));
            check(Mnemonic::Vshufpd, &[x(r), x(9), E::At(code.len() as u64), E::I(1)], |e| e.code.clone_from(&code));
        }
        check(Mnemonic::Movq, &[x(r), x(15 - r)], |e| e.movq(r, 15 - r));
    }
}
