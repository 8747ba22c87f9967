//! Vector ops that move elements.

use crate::asm::{Size, Xmm};
use crate::lower::{Loc, Lowering};
use crate::vector::{I, PAND, POR, PSHUFB, PUNPCKLQDQ, S, splat};
use emu_ir::{Code, Op, Shape, Ty};

/// `punpckl` and `punpckh` by log2 of the element's bytes.
pub(crate) const PUNPCKL: [I; 4] = [I(1, 0x60), I(1, 0x61), I(1, 0x62), I(1, 0x6c)];
pub(crate) const PUNPCKH: [I; 4] = [I(1, 0x68), I(1, 0x69), I(1, 0x6a), I(1, 0x6d)];
pub(crate) const PACKUSWB: I = I(1, 0x67);
pub(crate) const PACKUSDW: I = I(2, 0x2b);
const PBLENDW: I = I(3, 0x0e);
const PALIGNR: I = I(3, 0x0f);

impl Lowering<'_> {
    pub(crate) fn permute(&mut self, op: &Op, c: Code, total: u32) -> bool {
        let bits = op.ty.bits();
        let lanes = total / bits;
        let e = bits.trailing_zeros().saturating_sub(3) as usize;
        match c {
            Code::VResize => return self.resize(op, total),
            Code::Ext => return self.extract_bytes(op, total),
            Code::Tbl => return self.table(op, total),
            Code::Dup => return self.dup(op, bits),
            Code::GetLane => return self.get_lane(op, bits),
            Code::SetLane => return self.set_lane(op, bits, total),
            Code::Rev => return self.reverse(op, bits, total),
            Code::Zip1 | Code::Zip2 | Code::Uzp1 | Code::Uzp2 | Code::Trn1 | Code::Trn2 if lanes >= 2 => {}
            _ => return false,
        }
        if total == 128 && (c == Code::Zip1 || bits == 64 && matches!(c, Code::Uzp1 | Code::Trn1)) {
            return self.one(op, PUNPCKL[e], op.a, op.b);
        }
        if total == 128 && (c == Code::Zip2 || bits == 64 && matches!(c, Code::Uzp2 | Code::Trn2)) {
            return self.one(op, PUNPCKH[e], op.a, op.b);
        }
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let d = self.xtemp();
        match c {
            Code::Zip1 => self.x(PUNPCKL[e], d, a, b),
            Code::Zip2 => {
                // The low halves interleave to 128 bits, of which these are the upper.
                self.x(PUNPCKL[e], d, a, b);
                self.bytes_down(d, d, 8);
            }
            Code::Uzp1 | Code::Uzp2 => {
                let odd = c == Code::Uzp2;
                let (mut from, mut and) = (a, b);
                if total == 64 {
                    self.x(PUNPCKLQDQ, d, a, b);
                    (from, and) = (d, d);
                }
                self.unzip(d, from, and, bits, odd);
            }
            Code::Trn1 => match bits {
                8 => {
                    self.shift_i(0x71, 6, S, b, 8);
                    self.xc(PAND, d, a, splat(0xff, 16));
                    self.x(POR, d, d, S);
                }
                16 => {
                    self.shift_i(0x72, 6, S, b, 16);
                    self.xi(PBLENDW, d, a, S, 0xaa);
                }
                _ => {
                    self.shift_i(0x73, 6, S, b, 32);
                    self.xi(PBLENDW, d, a, S, 0xcc);
                }
            },
            _ => match bits {
                8 => {
                    self.xc(PAND, S, b, splat(0xff00, 16));
                    self.shift_i(0x71, 2, d, a, 8);
                    self.x(POR, d, d, S);
                }
                16 => {
                    self.shift_i(0x72, 2, d, a, 16);
                    self.xi(PBLENDW, d, d, b, 0xaa);
                }
                _ => {
                    self.shift_i(0x73, 2, d, a, 32);
                    self.xi(PBLENDW, d, d, b, 0xcc);
                }
            },
        }
        self.xown(op.dst, d);
        true
    }

    /// `d` = the even or odd elements of a, then of b; `a` and `b` may both be `d`.
    fn unzip(&mut self, d: Xmm, a: Xmm, b: Xmm, bits: u32, odd: bool) {
        match bits {
            8 | 16 => {
                let (shift, pack) = if bits == 8 { (0x71, PACKUSWB) } else { (0x72, PACKUSDW) };
                let (n, mask) = (bits as u8, splat((1 << bits) - 1, bits * 2));
                for (to, from) in [(S, b), (d, a)] {
                    if to == d && a == b {
                        self.copy(d, S);
                    } else if odd {
                        self.shift_i(shift, 2, to, from, n);
                    } else {
                        self.xc(PAND, to, from, mask);
                    }
                }
                self.x(pack, d, d, S);
            }
            32 => {
                // shufps has no prefix.
                let imm = if odd { 0xdd } else { 0x88 };
                if self.f.features.avx {
                    self.asm.avx_rrri(0, 1, false, 0xc6, d, a, b, imm);
                } else {
                    self.copy(d, a);
                    self.asm.sse_rri(0, 1, 0xc6, d, b, imm);
                }
            }
            _ => self.x(if odd { PUNPCKH[3] } else { PUNPCKL[3] }, d, a, b),
        }
    }

    /// Bytes at the bottom, zero above.
    fn resize(&mut self, op: &Op, total: u32) -> bool {
        let (ty, shape) = (Ty(op.aux as u8), Shape((op.aux >> 8) as u8));
        let from = match shape {
            Shape::SCALAR => ty.bits(),
            Shape::V64 => 64,
            Shape::V128 => 128,
            _ => return false,
        };
        let v = op.a;
        if from == 1 {
            return false;
        }
        match self.loc(v) {
            Loc::Const(c) => {
                self.vals[op.dst as usize].loc = Loc::Const(c);
                return true;
            }
            Loc::State(off) if from >= total => {
                self.vals[op.dst as usize].loc = Loc::State(off);
                self.aliases.push(op.dst);
                return true;
            }
            Loc::State(_) | Loc::Slot => {
                let m = if let Loc::State(off) = self.loc(v) { self.state(off) } else { self.slot(v) };
                let d = self.xtemp();
                self.load_xmm(d, m, from.min(total) as u16);
                self.xown(op.dst, d);
                return true;
            }
            _ => {}
        }
        if from < 32 || matches!(self.loc(v), Loc::Gpr(_) | Loc::Pin(_)) {
            let r = self.gpr_clean(v);
            let d = self.xtemp();
            self.asm.mov_xr(if from == 64 { Size::Q } else { Size::D }, d, r);
            self.xown(op.dst, d);
            return true;
        }
        let a = self.vec(v);
        let d = if from >= total { self.over(v, a) } else { self.xtemp() };
        match (from, total) {
            _ if from >= total => self.copy(d, a),
            (64, _) => self.asm.sse_rr(0xf3, 1, 0x7e, d, a),
            // insertps that inserts the lowest into itself and zeroes the rest.
            _ => self.asm.sse_rri(0x66, 3, 0x21, d, a, 0x0e),
        }
        self.xown(op.dst, d);
        true
    }

    fn extract_bytes(&mut self, op: &Op, total: u32) -> bool {
        let n = op.imm as u8;
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let d = self.xtemp();
        match (n, total) {
            (0, _) => self.copy(d, a),
            (8, 64) | (16, 128) => self.copy(d, b),
            (_, 64) => {
                self.x(PUNPCKLQDQ, d, a, b);
                self.bytes_down(d, d, n);
            }
            _ => self.xi(PALIGNR, d, b, a, n),
        }
        self.xown(op.dst, d);
        true
    }

    /// The instruction takes an index modulo 16, and gives 0 for one whose top bit is set: saturating addition sets it.
    fn table(&mut self, op: &Op, total: u32) -> bool {
        let (a, b) = (self.vec(op.a), self.vec(op.b));
        let d = self.xtemp();
        const PADDUSB: I = I(1, 0xdc);
        if total == 128 {
            self.xc(PADDUSB, S, b, splat(0x70, 8));
            self.x(PSHUFB, d, a, S);
        } else {
            // Indices from 8 on then have it; those below count from 8.
            self.xc(PADDUSB, S, b, splat(0x78, 8));
            self.x(PUNPCKLQDQ, d, a, a);
            self.x(PSHUFB, d, d, S);
        }
        self.xown(op.dst, d);
        true
    }

    fn dup(&mut self, op: &Op, bits: u32) -> bool {
        if let Loc::Const(c) = self.loc(op.a) {
            let d = self.xtemp();
            self.load_const(d, splat(c, bits));
            self.xown(op.dst, d);
            return true;
        }
        let a = self.vec(op.a);
        let d = self.xtemp();
        if self.f.features.avx2 {
            let i = [0x78, 0x79, 0x58, 0x59][bits.trailing_zeros() as usize - 3];
            self.asm.avx_rrr(0x66, 2, false, i, d, 0, a);
        } else {
            match bits {
                8 => {
                    self.zero(S);
                    self.x(PSHUFB, d, a, S);
                }
                16 => {
                    self.asm.sse_rri(0xf2, 1, 0x70, d, a, 0);
                    self.pshufd(d, d, 0);
                }
                32 => self.pshufd(d, a, 0),
                _ => self.pshufd(d, a, 0x44),
            }
        }
        self.xown(op.dst, d);
        true
    }

    fn get_lane(&mut self, op: &Op, bits: u32) -> bool {
        let lane = op.imm as u8;
        if let Loc::State(off) = self.loc(op.a) {
            self.vals[op.dst as usize].loc = Loc::State(off + u32::from(lane) * bits / 8);
            self.aliases.push(op.dst);
            return true;
        }
        let a = self.vec(op.a);
        if bits < 32 {
            let r = self.temp();
            if bits == 8 {
                self.asm.sse_gpr_i(0x66, 3, false, 0x14, a, r, lane);
            } else {
                self.asm.sse_gpr_i(0x66, 1, false, 0xc5, r, a, lane);
            }
            self.own(op.dst, r, true);
            return true;
        }
        let d = if lane == 0 { self.over(op.a, a) } else { self.xtemp() };
        match (bits, lane) {
            (_, 0) => self.copy(d, a),
            (32, _) => self.pshufd(d, a, lane),
            _ => self.pshufd(d, a, 0xee),
        }
        self.xown(op.dst, d);
        true
    }

    fn set_lane(&mut self, op: &Op, bits: u32, total: u32) -> bool {
        let lane = op.imm as u8;
        if bits == total {
            let b = self.vec(op.b);
            let d = self.over(op.b, b);
            self.copy(d, b);
            self.xown(op.dst, d);
            return true;
        }
        let a = self.vec(op.a);
        if bits >= 32 && matches!(self.loc(op.b), Loc::Xmm(_)) {
            let b = self.vec(op.b);
            let d = self.xtemp();
            match (bits, lane) {
                (32, _) => self.xi(I(3, 0x21), d, a, b, lane << 4),
                // pblendw of the low half.
                (_, 0) => self.xi(PBLENDW, d, a, b, 0x0f),
                _ => self.x(PUNPCKLQDQ, d, a, b),
            }
            self.xown(op.dst, d);
            return true;
        }
        let r = self.gpr(op.b);
        let d = self.over(op.a, a);
        self.copy(d, a);
        match bits {
            8 => self.asm.sse_gpr_i(0x66, 3, false, 0x20, d, r, lane),
            16 => self.asm.sse_gpr_i(0x66, 1, false, 0xc4, d, r, lane),
            _ => self.asm.sse_gpr_i(0x66, 3, bits == 64, 0x22, d, r, lane),
        }
        self.xown(op.dst, d);
        true
    }

    fn reverse(&mut self, op: &Op, bits: u32, total: u32) -> bool {
        let container = op.aux.min(total);
        let a = self.vec(op.a);
        let d = self.over(op.a, a);
        let (element, mask) = (bits as usize / 8, (container / bits - 1) as usize);
        let control = std::array::from_fn(|i| (((i / element) ^ mask) * element + i % element) as u8);
        match (bits, container) {
            _ if mask == 0 => self.copy(d, a),
            (32, 64) => self.pshufd(d, a, 0xb1),
            (32, _) => self.pshufd(d, a, 0x1b),
            (64, _) => self.pshufd(d, a, 0x4e),
            _ => self.xc(PSHUFB, d, a, u128::from_le_bytes(control)),
        }
        self.xown(op.dst, d);
        true
    }
}
