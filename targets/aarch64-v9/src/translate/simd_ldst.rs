//! Advanced SIMD structure loads and stores.
//!
//! Memory is accessed a register's length at a time, each element in the byte order of the mode; structures of two and four elements are
//! taken apart by `uzp` and put together by `zip`, those of three by table lookups with constant indices. Registers are written after the
//! last load: a fault leaves them as they were.

use crate::decode::*;
use crate::translate::Translator;
use crate::translate::vector::int_ty;
use emu_plugins_api::ir::{Code, MemFlags, Shape, Ty, Val};

/// Number of registers and elements to a structure, by `opcode` of the multiple-structure forms.
fn arrangement(opcode: u32) -> (u32, u32) {
    match opcode {
        0b0000 => (4, 4),
        0b0010 => (4, 1),
        0b0100 => (3, 3),
        0b0110 => (3, 1),
        0b0111 => (1, 1),
        0b1000 => (2, 2),
        _ => (2, 1),
    }
}

/// A byte index that `tbl` answers with zero.
const NOWHERE: u8 = 0xff;

/// Indices into the `chunk`-th vector of memory that put the elements of register `reg` of a structure of three in place.
fn gather3(bytes: usize, element: usize, reg: usize, chunk: usize) -> [u8; 16] {
    let mut table = [NOWHERE; 16];
    for (at, index) in table.iter_mut().enumerate().take(bytes) {
        let offset = (at / element * 3 + reg) * element + at % element;
        if offset / bytes == chunk {
            *index = (offset % bytes) as u8;
        }
    }
    table
}

/// Indices into register `reg` of a structure of three that put its elements in place in the `chunk`-th vector of memory.
fn scatter3(bytes: usize, element: usize, reg: usize, chunk: usize) -> [u8; 16] {
    let mut table = [NOWHERE; 16];
    for (at, index) in table.iter_mut().enumerate().take(bytes) {
        let offset = chunk * bytes + at;
        if offset / element % 3 == reg {
            *index = (offset / element / 3 * element + offset % element) as u8;
        }
    }
    table
}

impl Translator<'_> {
    fn byte_table(&mut self, shape: Shape, bytes: [u8; 16]) -> Val {
        let wide = u128::from_le_bytes(bytes);
        if shape == Shape::V128 { self.ir.const128(wide) } else { self.ir.c64(wide as u64) }
    }
    /// The bytes of three vectors that the index tables pick, together.
    fn lookup3(&mut self, shape: Shape, sources: &[Val], tables: [[u8; 16]; 3]) -> Val {
        let [a, b, c] = [0, 1, 2].map(|k| {
            let table = self.byte_table(shape, tables[k]);
            self.ir.bin(Code::Tbl, Ty::I8, shape, sources[k], table)
        });
        let ab = self.ir.bin(Code::Or, Ty::I8, shape, a, b);
        self.ir.bin(Code::Or, Ty::I8, shape, ab, c)
    }
    /// Registers from consecutive vectors of memory that hold structures.
    fn deinterleave(&mut self, ty: Ty, shape: Shape, memory: &[Val]) -> Vec<Val> {
        let bytes = shape.bytes(0) as usize;
        let mut uzp = |code: Code, a: Val, b: Val| self.ir.bin(code, ty, shape, a, b);
        match *memory {
            [a, b] => vec![uzp(Code::Uzp1, a, b), uzp(Code::Uzp2, a, b)],
            [a, b, c, d] => {
                let (even0, even1) = (uzp(Code::Uzp1, a, b), uzp(Code::Uzp1, c, d));
                let (odd0, odd1) = (uzp(Code::Uzp2, a, b), uzp(Code::Uzp2, c, d));
                vec![uzp(Code::Uzp1, even0, even1), uzp(Code::Uzp1, odd0, odd1), uzp(Code::Uzp2, even0, even1), uzp(Code::Uzp2, odd0, odd1)]
            }
            _ => (0..3).map(|reg| self.lookup3(shape, memory, [0, 1, 2].map(|chunk| gather3(bytes, ty.bytes() as usize, reg, chunk)))).collect(),
        }
    }
    /// The inverse of [`Translator::deinterleave`].
    fn interleave(&mut self, ty: Ty, shape: Shape, regs: &[Val]) -> Vec<Val> {
        let bytes = shape.bytes(0) as usize;
        let mut zip = |code: Code, a: Val, b: Val| self.ir.bin(code, ty, shape, a, b);
        match *regs {
            [a, b] => vec![zip(Code::Zip1, a, b), zip(Code::Zip2, a, b)],
            [a, b, c, d] => {
                let (ac0, ac1) = (zip(Code::Zip1, a, c), zip(Code::Zip2, a, c));
                let (bd0, bd1) = (zip(Code::Zip1, b, d), zip(Code::Zip2, b, d));
                vec![zip(Code::Zip1, ac0, bd0), zip(Code::Zip2, ac0, bd0), zip(Code::Zip1, ac1, bd1), zip(Code::Zip2, ac1, bd1)]
            }
            _ => (0..3).map(|chunk| self.lookup3(shape, regs, [0, 1, 2].map(|reg| scatter3(bytes, ty.bytes() as usize, reg, chunk)))).collect(),
        }
    }
    /// Post-index: adds X[m], or the transfer size for 31.
    fn structure_post_index(&mut self, post: u32, base: Val, rn: u32, rm: u32, bytes: u32) {
        if post == 1 {
            let step = if rm == 31 { self.ir.c64(u64::from(bytes)) } else { self.x(rm) };
            let next = self.ir.add(Ty::I64, base, step);
            self.set_x_sp(rn, next);
        }
    }
}

impl AdvsimdLdst for Translator<'_> {
    fn simd_ldst_multi(&mut self, i: &SimdLdstMulti) {
        let (regs, selem) = arrangement(i.opcode);
        if !self.simd(i.size == 3 && i.q == 0 && selem != 1) {
            return;
        }
        let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
        let bytes = shape.bytes(0);
        let flags = self.mem().with(MemFlags::per_element(1 << i.size)).0;
        let base = self.base_address(i.rn);
        if i.l == 1 {
            let memory: Vec<Val> = (0..regs).map(|k| self.ir.op(Code::Load, ty, shape, &[base], flags, u64::from(k * bytes))).collect();
            let values = if selem == 1 { memory } else { self.deinterleave(ty, shape, &memory) };
            for (k, v) in (0..).zip(values) {
                self.set_vec(ty, shape, i.rt + k, v);
            }
        } else {
            let values: Vec<Val> = (0..regs).map(|k| self.vec(ty, shape, i.rt + k)).collect();
            let memory = if selem == 1 { values } else { self.interleave(ty, shape, &values) };
            for (k, v) in (0..).zip(memory) {
                self.ir.op(Code::Store, ty, shape, &[base, v], flags, u64::from(k * bytes));
            }
        }
        self.structure_post_index(i.post, base, i.rn, i.rm, regs * bytes);
    }
    fn simd_ldst_single(&mut self, i: &SimdLdstSingle) {
        let selem = (i.opcode & 1) << 1 | i.r;
        let lane = i.q << 3 | i.s << 2 | i.size;
        let (size, index, undefined) = match i.opcode >> 1 {
            0 => (0, lane, false),
            1 => (1, lane >> 1, i.size & 1 == 1),
            _ if i.size & 1 == 0 => (2, lane >> 2, i.size & 2 == 2),
            _ => (3, lane >> 3, i.size & 2 == 2 || i.s == 1),
        };
        if !self.simd(undefined) {
            return;
        }
        let (ty, regs) = (int_ty(size), selem + 1);
        let flags = self.mem();
        let base = self.base_address(i.rn);
        if i.l == 1 {
            let loaded: Vec<Val> = (0..regs).map(|k| self.ir.load(ty, base, i64::from(k << size), flags)).collect();
            for (k, e) in (0..).zip(loaded) {
                let old = self.v(i.rt + k);
                let new = self.ir.op(Code::SetLane, ty, Shape::V128, &[old, e], 0, u64::from(index));
                self.set_v(i.rt + k, new);
            }
        } else {
            for k in 0..regs {
                let e = self.lane(ty, i.rt + k, index);
                self.ir.store(ty, base, i64::from(k << size), e, flags);
            }
        }
        self.structure_post_index(i.post, base, i.rn, i.rm, regs << size);
    }
    fn simd_ld_rep(&mut self, i: &SimdLdRep) {
        if !self.simd(false) {
            return;
        }
        let (ty, shape) = (int_ty(i.size), Self::shape(i.q));
        let regs = ((i.opcode & 1) << 1 | i.r) + 1;
        let flags = self.mem();
        let base = self.base_address(i.rn);
        let loaded: Vec<Val> = (0..regs).map(|k| self.ir.load(ty, base, i64::from(k << i.size), flags)).collect();
        for (k, e) in (0..).zip(loaded) {
            let v = if ty == Ty::I64 && i.q == 0 { e } else { self.ir.op(Code::Dup, ty, shape, &[e], 0, 0) };
            self.set_vec(ty, shape, i.rt + k, v);
        }
        self.structure_post_index(i.post, base, i.rn, i.rm, regs << i.size);
    }
    fn stl1_simd(&mut self, i: &Stl1Simd) {
        if self.simd(false) {
            let flags = self.ordered_flags(Ty::I64, MemFlags::RELEASE);
            let base = self.base_address(i.rn);
            let e = self.lane(Ty::I64, i.rt, i.q);
            self.ir.store(Ty::I64, base, 0, e, flags);
        }
    }
    fn ldap1_simd(&mut self, i: &Ldap1Simd) {
        if self.simd(false) {
            let flags = self.ordered_flags(Ty::I64, MemFlags::ACQUIRE_PC);
            let base = self.base_address(i.rn);
            let e = self.ir.load(Ty::I64, base, 0, flags);
            let old = self.v(i.rt);
            let new = self.ir.op(Code::SetLane, Ty::I64, Shape::V128, &[old, e], 0, u64::from(i.q));
            self.set_v(i.rt, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_of_three_go_there_and_back() {
        for bytes in [8usize, 16] {
            for element in [1usize, 2, 4, 8] {
                if element == bytes {
                    continue;
                }
                let memory: Vec<u8> = (0..3 * bytes as u8).collect();
                let tbl = |source: &[u8], index: u8| source.get(index as usize).copied().unwrap_or(0);
                let part = |data: &[u8], k: usize| data[k * bytes..(k + 1) * bytes].to_vec();
                let apply = |data: &[u8], f: &dyn Fn(usize, usize) -> [u8; 16]| -> Vec<u8> {
                    let mut out = Vec::new();
                    for to in 0..3 {
                        for at in 0..bytes {
                            out.push((0..3).fold(0, |v, from| v | tbl(&part(data, from), f(to, from)[at])));
                        }
                    }
                    out
                };
                let regs = apply(&memory, &|reg, chunk| gather3(bytes, element, reg, chunk));
                // Element e of register r is the (3 * e + r)th of memory.
                for r in 0..3 {
                    for e in 0..bytes / element {
                        let want = &memory[(3 * e + r) * element..][..element];
                        assert_eq!(&regs[r * bytes + e * element..][..element], want, "{bytes} {element} {r} {e}");
                    }
                }
                let back = apply(&regs, &|chunk, reg| scatter3(bytes, element, reg, chunk));
                assert_eq!(back, memory, "{bytes} {element}");
            }
        }
    }
}
