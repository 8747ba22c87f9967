//! Cryptographic instructions: AES and the bitwise ones as ops, the hashes and SM4 as helpers on the vector registers.

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
    /// Every 64-bit element rotated right by 0 to 63.
    fn rotate_right(&mut self, v: Val, amount: u32) -> Val {
        if amount == 0 {
            return v;
        }
        let right = self.ir.op(Code::UShrImm, Ty::I64, V, &[v], 0, u64::from(amount));
        let left = self.ir.op(Code::ShlImm, Ty::I64, V, &[v], 0, u64::from(64 - amount));
        self.bitwise(Code::Or, right, left)
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
        let helper = match i.op {
            0 => simd::SHA1C,
            1 => simd::SHA1P,
            _ => simd::SHA1M,
        };
        self.on_registers(helper, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sha1su0(&mut self, i: &Sha1su0) {
        self.on_registers(simd::SHA1SU0, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sha256h(&mut self, i: &Sha256h) {
        let helper = if i.p == 0 { simd::SHA256H } else { simd::SHA256H2 };
        self.on_registers(helper, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sha256su1(&mut self, i: &Sha256su1) {
        self.on_registers(simd::SHA256SU1, [i.rd, i.rn, i.rm, 0], 0);
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
        self.on_registers(simd::SHA1SU1, [i.rd, i.rn, 0, 0], 0);
    }
    fn sha256su0(&mut self, i: &Sha256su0) {
        self.on_registers(simd::SHA256SU0, [i.rd, i.rn, 0, 0], 0);
    }
    fn sha512h(&mut self, i: &Sha512h) {
        let helper = if i.p == 0 { simd::SHA512H } else { simd::SHA512H2 };
        self.on_registers(helper, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sha512su1(&mut self, i: &Sha512su1) {
        self.on_registers(simd::SHA512SU1, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sha512su0(&mut self, i: &Sha512su0) {
        self.on_registers(simd::SHA512SU0, [i.rd, i.rn, 0, 0], 0);
    }
    fn rax1(&mut self, i: &Rax1) {
        if self.fp_access() {
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let rotated = self.rotate_right(m, 63);
            let r = self.bitwise(Code::Xor, n, rotated);
            self.set_v(i.rd, r);
        }
    }
    fn xar(&mut self, i: &Xar) {
        if self.fp_access() {
            let (n, m) = (self.v(i.rn), self.v(i.rm));
            let x = self.bitwise(Code::Xor, n, m);
            let r = self.rotate_right(x, i.imm6);
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
        self.on_registers(simd::SM4EKEY, [i.rd, i.rn, i.rm, 0], 0);
    }
    fn sm4e(&mut self, i: &Sm4e) {
        self.on_registers(simd::SM4E, [i.rd, i.rn, 0, 0], 0);
    }
}
