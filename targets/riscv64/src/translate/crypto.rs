//! Zknd, Zkne, Zknh, Zksed, Zksh.

use super::{D, Translator, W};
use crate::decode::*;
use crate::helper::compute;
use emu_plugins_api::ir::{Ty, Val};

/// A rotation or shift of the SHA-2 and SM3 functions.
#[derive(Clone, Copy)]
enum Part {
    /// Right rotation.
    Ror(u32),
    /// Right shift.
    Shr(u32),
    /// The operand itself.
    Same,
}
use Part::{Ror, Same, Shr};

/// FIPS 180-4, 4.1.2 and 4.1.3; GB/T 32905 (rotations there are to the left): by `op`, width and parts.
const SHA: [(Ty, [Part; 3]); 10] = [
    (W, [Ror(2), Ror(13), Ror(22)]),
    (W, [Ror(6), Ror(11), Ror(25)]),
    (W, [Ror(7), Ror(18), Shr(3)]),
    (W, [Ror(17), Ror(19), Shr(10)]),
    (D, [Ror(28), Ror(34), Ror(39)]),
    (D, [Ror(14), Ror(18), Ror(41)]),
    (D, [Ror(1), Ror(8), Shr(7)]),
    (D, [Ror(19), Ror(61), Shr(6)]),
    (W, [Same, Ror(32 - 9), Ror(32 - 17)]),
    (W, [Same, Ror(32 - 15), Ror(32 - 23)]),
];

impl Translator<'_> {
    fn sha_part(&mut self, ty: Ty, a: Val, part: Part) -> Val {
        match part {
            Ror(n) => {
                let n = self.ir.iconst(ty, n.into());
                self.ir.rotr(ty, a, n)
            }
            Shr(n) => {
                let n = self.ir.iconst(ty, n.into());
                self.ir.lshr(ty, a, n)
            }
            Same => a,
        }
    }
}

impl Rv64zk for Translator<'_> {
    fn aes(&mut self, i: &Aes) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let v = self.call(compute::AES, &[a, b], i.op.into());
        self.set_x(i.rd, v);
    }
    fn aes_im(&mut self, i: &AesIm) {
        let a = self.x(i.rs1);
        let v = self.call(compute::AES_IM, &[a], 0);
        self.set_x(i.rd, v);
    }
    fn aes_ks1i(&mut self, i: &AesKs1i) {
        if i.rnum > 10 {
            return self.illegal();
        }
        let a = self.x(i.rs1);
        let v = self.call(compute::AES_KS1I, &[a], i.rnum.into());
        self.set_x(i.rd, v);
    }
    fn sha(&mut self, i: &Sha) {
        let (ty, [first, second, third]) = SHA[i.op as usize % SHA.len()];
        let a = if ty == W { self.w(i.rs1) } else { self.x(i.rs1) };
        let (p, q, r) = (self.sha_part(ty, a, first), self.sha_part(ty, a, second), self.sha_part(ty, a, third));
        let v = self.ir.xor(ty, p, q);
        let v = self.ir.xor(ty, v, r);
        if ty == W { self.set_w(i.rd, v) } else { self.set_x(i.rd, v) }
    }
    fn sm4(&mut self, i: &Sm4) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let v = self.call(compute::SM4, &[a, b], u64::from(i.bs | i.op << 2));
        self.set_x(i.rd, v);
    }
}
