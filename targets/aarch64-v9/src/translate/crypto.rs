//! Cryptographic instructions: as ops, but SM3, whose are helpers on the vector registers.

use crate::decode::*;
use crate::helper::{HelperId, simd};
use crate::translate::Translator;
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

const V: Shape = Shape::V128;

impl Translator<'_> {
    /// Calls a helper that reads and writes the named vector registers.
    fn on_registers(&mut self, helper: HelperId, [rd, rn, rm, ra]: [u32; 4], index: u32) {
        if self.fp_access() {
            self.call(helper, &[], simd::operands(rd, rn, rm, ra, index));
        }
    }
    fn bitwise(&mut self, code: Code, a: Val, b: Val) -> Val {
        self.ir.bin(code, Ty::I64, V, a, b)
    }
    /// Every element rotated right by 0 to its width less one.
    fn rotate_right(&mut self, ty: Ty, v: Val, amount: u32) -> Val {
        if amount == 0 { v } else { self.ir.op(Code::RotRImm, ty, V, &[v], 0, u64::from(amount)) }
    }
    /// The exclusive or of a vector rotated right by two amounts and shifted right by one: sigma of the SHA-512 schedule.
    fn sigma512(&mut self, v: Val, [first, second, shift]: [u32; 3]) -> Val {
        let (x, y) = (self.rotate_right(Ty::I64, v, first), self.rotate_right(Ty::I64, v, second));
        let z = self.ir.op(Code::UShrImm, Ty::I64, V, &[v], 0, u64::from(shift));
        let xy = self.bitwise(Code::Xor, x, y);
        self.bitwise(Code::Xor, xy, z)
    }
    /// The bytes from `at` on of the concatenation of two vectors, `low` first.
    fn middle(&mut self, low: Val, high: Val, at: u64) -> Val {
        self.ir.op(Code::Ext, Ty::I8, V, &[low, high], 0, at)
    }
    /// An op of three vectors whose result goes to V[rd].
    fn step(&mut self, code: Code, ty: Ty, operands: [u32; 3], rd: u32, imm: u64) {
        if self.fp_access() {
            let operands = operands.map(|n| self.v(n));
            let r = self.ir.op(code, ty, V, &operands, 0, imm);
            self.set_v(rd, r);
        }
    }
}

impl Crypto for Translator<'_> {
    fn aes_round(&mut self, i: &AesRound) {
        if self.fp_access() {
            let (d, n) = (self.v(i.rd), self.v(i.rn));
            let r = self.ir.bin(if i.d == 0 { Code::AesEnc } else { Code::AesDec }, Ty::I8, V, d, n);
            self.set_v(i.rd, r);
        }
    }
    fn aes_mix(&mut self, i: &AesMix) {
        if self.fp_access() {
            let n = self.v(i.rn);
            let r = self.ir.un(if i.d == 0 { Code::AesMc } else { Code::AesImc }, Ty::I8, V, n);
            self.set_v(i.rd, r);
        }
    }
    fn sha1_hash(&mut self, i: &Sha1Hash) {
        self.step(Code::Sha1Hash, Ty::I32, [i.rd, i.rn, i.rm], i.rd, u64::from(i.op.min(2)));
    }
    fn sha1su0(&mut self, i: &Sha1su0) {
        if self.fp_access() {
            let (d, n, m) = (self.v(i.rd), self.v(i.rn), self.v(i.rm));
            let middle = self.middle(d, n, 8);
            let r = self.bitwise(Code::Xor, middle, d);
            let r = self.bitwise(Code::Xor, r, m);
            self.set_v(i.rd, r);
        }
    }
    fn sha256h(&mut self, i: &Sha256h) {
        // Both have the state in the same order, so that who has both results needs the rounds only once.
        if i.p == 0 {
            self.step(Code::Sha256H, Ty::I32, [i.rd, i.rn, i.rm], i.rd, 0);
        } else {
            self.step(Code::Sha256H2, Ty::I32, [i.rn, i.rd, i.rm], i.rd, 0);
        }
    }
    fn sha256su1(&mut self, i: &Sha256su1) {
        self.step(Code::Sha256Su1, Ty::I32, [i.rd, i.rn, i.rm], i.rd, 0);
    }
    fn sha1h(&mut self, i: &Sha1h) {
        if self.fp_access() {
            let n = self.v_low(Ty::I32, i.rn);
            let two = self.ir.iconst(Ty::I32, 2);
            let r = self.ir.rotr(Ty::I32, n, two);
            self.set_v_low(Ty::I32, i.rd, r);
        }
    }
    fn sha1su1(&mut self, i: &Sha1su1) {
        if self.fp_access() {
            let (d, n) = (self.v(i.rd), self.v(i.rn));
            let zero = self.ir.const128(0);
            let next = self.middle(n, zero, 4);
            let t = self.bitwise(Code::Xor, d, next);
            let r = self.rotate_right(Ty::I32, t, 31);
            // The last element also has the first, which is done by then.
            let twice = self.rotate_right(Ty::I32, t, 30);
            let last = self.middle(zero, twice, 4);
            let r = self.bitwise(Code::Xor, r, last);
            self.set_v(i.rd, r);
        }
    }
    fn sha256su0(&mut self, i: &Sha256su0) {
        if self.fp_access() {
            let (d, n) = (self.v(i.rd), self.v(i.rn));
            let r = self.ir.bin(Code::Sha256Su0, Ty::I32, V, d, n);
            self.set_v(i.rd, r);
        }
    }
    fn sha512h(&mut self, i: &Sha512h) {
        self.step(if i.p == 0 { Code::Sha512H } else { Code::Sha512H2 }, Ty::I64, [i.rd, i.rn, i.rm], i.rd, 0);
    }
    fn sha512su1(&mut self, i: &Sha512su1) {
        if self.fp_access() {
            let (d, n, m) = (self.v(i.rd), self.v(i.rn), self.v(i.rm));
            let sigma = self.sigma512(n, [19, 61, 6]);
            let r = self.bitwise(Code::Add, d, sigma);
            let r = self.bitwise(Code::Add, r, m);
            self.set_v(i.rd, r);
        }
    }
    fn sha512su0(&mut self, i: &Sha512su0) {
        if self.fp_access() {
            let (d, n) = (self.v(i.rd), self.v(i.rn));
            let next = self.middle(d, n, 8);
            let sigma = self.sigma512(next, [1, 8, 7]);
            let r = self.bitwise(Code::Add, d, sigma);
            self.set_v(i.rd, r);
        }
    }
    fn rax1(&mut self, i: &Rax1) {
        if self.fp_access() {
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let rotated = self.rotate_right(Ty::I64, m, 63);
            let r = self.bitwise(Code::Xor, n, rotated);
            self.set_v(i.rd, r);
        }
    }
    fn xar(&mut self, i: &Xar) {
        if self.fp_access() {
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let x = self.bitwise(Code::Xor, n, m);
            let r = self.rotate_right(Ty::I64, x, i.imm6);
            self.set_v(i.rd, r);
        }
    }
    fn eor3(&mut self, i: &Eor3) {
        if self.fp_access() {
            let (n, m, a) = (self.v(i.rn), self.v(i.rm), self.v(i.ra));
            let nm = self.bitwise(Code::Xor, n, m);
            let r = self.bitwise(Code::Xor, nm, a);
            self.set_v(i.rd, r);
        }
    }
    fn bcax(&mut self, i: &Bcax) {
        if self.fp_access() {
            let (n, m, a) = (self.v(i.rn), self.v(i.rm), self.v(i.ra));
            let cleared = self.bitwise(Code::AndNot, m, a);
            let r = self.bitwise(Code::Xor, n, cleared);
            self.set_v(i.rd, r);
        }
    }
    fn sm3partw1(&mut self, i: &Sm3partw1) {
        self.on_registers(simd::SM3PARTW1, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sm3partw2(&mut self, i: &Sm3partw2) {
        self.on_registers(simd::SM3PARTW2, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sm3ss1(&mut self, i: &Sm3ss1) {
        self.on_registers(simd::SM3SS1, [i.rd, i.rn, i.rm, i.ra], 0);
    }
    fn sm3tt(&mut self, i: &Sm3tt) {
        let helper = [simd::SM3TT1A, simd::SM3TT1B, simd::SM3TT2A, simd::SM3TT2B][i.op as usize & 3];
        self.on_registers(helper, [i.rd, i.rn, i.rm, 0], i.imm2);
    }
    fn sm4ekey(&mut self, i: &Sm4ekey) {
        if self.fp_access() {
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let r = self.ir.op(Code::Sm4, Ty::I32, V, &[n, m], 0, 1);
            self.set_v(i.rd, r);
        }
    }
    fn sm4e(&mut self, i: &Sm4e) {
        if self.fp_access() {
            let (d, n) = (self.v(i.rd), self.v(i.rn));
            let r = self.ir.op(Code::Sm4, Ty::I32, V, &[d, n], 0, 0);
            self.set_v(i.rd, r);
        }
    }
}
