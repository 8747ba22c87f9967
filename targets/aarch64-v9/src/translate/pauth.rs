//! Pointer authentication in line: AddPAC(), Auth() and Strip() when FEAT_PAuth2 is there and the algorithm is the IMPLEMENTATION DEFINED one,
//! which is made of two multiplications. Where the code lies is in the mode key. Everything else is a helper, which does the same.
//!
//! With `s` all ones where bit 55 of a pointer is set, and `field` the bits that a code can have: what a pointer has other than its sign in
//! `field` is `(p ^ s) & field`; a canonical pointer has nothing, a signed one its code.

use crate::PauthAlgorithm;
use crate::feature::Feature;
use crate::helper::pauth::{self, HASH_FACTOR, HASH_MODIFIER, PacLayout};
use crate::helper::{base, system};
use crate::sysreg::{self, PauthKey, word};
use crate::translate::Translator;
use emu_plugins_api::ir::{Code, Shape, Ty, Val};

const X: Ty = Ty::I64;

impl Translator<'_> {
    /// AddPAC() or Auth() with the key, or the value itself when SCTLR_ELx disables the key.
    pub(crate) fn pointer_auth(&mut self, key: PauthKey, authenticate: bool, combined: bool, pointer: Val, modifier: Val) -> Val {
        let asks = match key {
            PauthKey::IA if self.key.pauth_ia() == 0 => return pointer,
            _ if !self.key.pauth() => return pointer,
            PauthKey::IA => false,
            _ => true,
        };
        let inline = self.arch.pauth_algorithm() == PauthAlgorithm::ImpDef && self.feature(Feature::PAuth2);
        match (authenticate, inline) {
            (true, true) => {
                let off = asks.then(|| self.key_is_off(key));
                self.auth(key, combined, pointer, modifier, off)
            }
            (true, false) => self.call(base::PAC_AUTH, &[pointer, modifier], key as u64 | u64::from(combined) << 8 | u64::from(asks) << 9),
            (false, true) => {
                let signed = self.add_pac(key, pointer, modifier);
                if !asks {
                    return signed;
                }
                let off = self.key_is_off(key);
                self.ir.select(X, off, pointer, signed)
            }
            (false, false) => self.call(base::PAC_ADD, &[pointer, modifier], key as u64 | u64::from(asks) << 9),
        }
    }

    /// SCTLR_ELx disables the key, which the mode key does not say.
    fn key_is_off(&mut self, key: PauthKey) -> Val {
        let sctlr = self.ir.get(X, Shape::SCALAR, crate::state::offset::sysreg(word::SCTLR_EL1 as u32));
        let (enable, zero) = (self.ir.c64(pauth::enable_bit(key)), self.ir.c64(0));
        let enabled = self.ir.and(X, sctlr, enable);
        self.ir.eq(X, enabled, zero)
    }

    /// Strip().
    pub(crate) fn strip(&mut self, data: bool, pointer: Val) -> Val {
        // The key says where the code lies only where one of the keys is enabled.
        if !self.key.pauth() {
            return self.call(base::PAC_STRIP, &[pointer], u64::from(data));
        }
        let sign = self.ir.sextract(X, pointer, 55, 1);
        let field = self.field(data, sign);
        let extra = self.extra(pointer, sign, field);
        self.ir.xor(X, pointer, extra)
    }

    /// AddPACGA().
    pub(crate) fn generic_pac(&mut self, value: Val, modifier: Val) -> Val {
        if self.arch.pauth_algorithm() != PauthAlgorithm::ImpDef {
            return self.call(base::PAC_GENERIC, &[value, modifier], 0);
        }
        let pac = self.pac(PauthKey::GA, value, modifier);
        let mask = self.ir.c64(0xffff_ffff_0000_0000);
        self.ir.and(X, pac, mask)
    }

    /// Where the code of pointers lies in a half of the address space.
    fn layout(&self, data: bool, upper: bool) -> PacLayout {
        let tbi = if data { self.key.tbi_data() } else { self.key.tbi_insn() } >> u32::from(upper) & 1 == 1;
        PacLayout { tbi, bottom: if upper { self.key.pac_upper() } else { self.key.pac_lower() }, pauth2: true, epac: false }
    }
    /// The bits that hold the code of a pointer, by its sign.
    fn field(&mut self, data: bool, sign: Val) -> Val {
        let [lower, upper] = [false, true].map(|half| self.layout(data, half).field());
        let field = self.ir.c64(lower);
        if lower == upper {
            return field;
        }
        let differs = self.ir.c64(lower ^ upper);
        let differs = self.ir.and(X, differs, sign);
        self.ir.xor(X, field, differs)
    }
    /// What a pointer has other than its sign in the field.
    fn extra(&mut self, pointer: Val, sign: Val, field: Val) -> Val {
        let differs = self.ir.xor(X, pointer, sign);
        self.ir.and(X, differs, field)
    }
    /// ComputePAC() of a canonical pointer.
    fn pac(&mut self, key: PauthKey, canonical: Val, modifier: Val) -> Val {
        let (low, high) = sysreg::pauth_key_offsets(key);
        let (low, high) = (self.ir.get(X, Shape::SCALAR, low), self.ir.get(X, Shape::SCALAR, high));
        let (salt, factor) = (self.ir.c64(HASH_MODIFIER), self.ir.c64(HASH_FACTOR));
        let data = self.ir.xor(X, canonical, high);
        let modifier = self.ir.xor(X, modifier, low);
        let modifier = self.ir.xor(X, modifier, salt);
        let first = self.ir.bin(Code::MulFold, X, Shape::SCALAR, data, modifier);
        let first = self.ir.xor(X, first, low);
        self.ir.bin(Code::MulFold, X, Shape::SCALAR, first, factor)
    }

    fn add_pac(&mut self, key: PauthKey, pointer: Val, modifier: Val) -> Val {
        let data = pauth::is_data(key);
        // Bit 55 selects the half when either half ignores its top byte, else bit 63 does.
        let tagged = self.layout(data, false).tbi || self.layout(data, true).tbi;
        let by_55 = tagged || self.feature(Feature::CONSTPACFIELD);
        let sign = self.ir.sextract(X, pointer, if by_55 { 55 } else { 63 }, 1);
        let field = self.field(data, sign);
        let extra = self.extra(pointer, sign, field);
        let mut pointer = pointer;
        if !by_55 {
            // Bit 55 becomes the sign as well.
            let bit = self.ir.c64(1 << 55);
            let other = self.extra(pointer, sign, bit);
            pointer = self.ir.xor(X, pointer, other);
        }
        let canonical = self.ir.xor(X, pointer, extra);
        let pac = self.pac(key, canonical, modifier);
        let pac = self.ir.and(X, pac, field);
        self.ir.xor(X, pointer, pac)
    }

    /// `off`: the key is disabled, which is known at run time.
    fn auth(&mut self, key: PauthKey, combined: bool, pointer: Val, modifier: Val, off: Option<Val>) -> Val {
        let data = pauth::is_data(key);
        let sign = self.ir.sextract(X, pointer, 55, 1);
        let field = self.field(data, sign);
        let extra = self.extra(pointer, sign, field);
        let canonical = self.ir.xor(X, pointer, extra);
        let pac = self.pac(key, canonical, modifier);
        let pac = self.ir.and(X, pac, field);
        if !self.feature(Feature::FPACCOMBINE) && (combined || !self.feature(Feature::FPAC)) {
            let result = self.ir.xor(X, pointer, pac);
            return off.map_or(result, |off| self.ir.select(X, off, pointer, result));
        }
        // A wrong code is an exception: what goes on has the canonical pointer.
        let right = self.ir.eq(X, pac, extra);
        let (right, result) = match off {
            Some(off) => (self.ir.or(Ty::I1, right, off), self.ir.select(X, off, pointer, canonical)),
            None => (right, canonical),
        };
        let label = self.ir.new_label();
        self.ir.brif(right, label);
        self.call(system::PAC_FAIL, &[], u64::from(data) << 1 | u64::from(pauth::is_b(key)));
        self.ir.label(label);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::{ModeKey, sctlr};
    use crate::testing::Machine;
    use emu_plugins_api::HelperReturn;
    use emu_plugins_api::ir::{Op, OwnedIrBuf};

    /// Carries ops out on a machine's state; `None` if the exception is reached.
    fn run(m: &Machine, ops: &[Op], result: Val) -> Option<u64> {
        let mut v = vec![0u64; 64];
        let mut skip = None;
        for op in ops {
            let code = op.opcode().expect("an op");
            if skip.is_some() {
                skip = skip.filter(|label| code != Code::Label || op.imm != *label);
                continue;
            }
            let [a, b, c] = [op.a, op.b, op.c].map(|s| v.get(s as usize).copied().unwrap_or(0));
            let value = match code {
                Code::InsnStart | Code::Label => continue,
                Code::Const => op.imm,
                Code::Get => m.sysreg[(op.imm as u32 - crate::state::offset::sysreg(0)) as usize / 8],
                Code::Xor => a ^ b,
                Code::And => a & b,
                Code::SExtract => (a << (63 - (op.aux & 0xff)) >> 63).wrapping_neg(),
                Code::MulFold => {
                    let p = u128::from(a) * u128::from(b);
                    p as u64 ^ (p >> 64) as u64
                }
                Code::Or => a | b,
                Code::Select => {
                    if c != 0 {
                        a
                    } else {
                        b
                    }
                }
                Code::CmpEq => u64::from(a == b),
                Code::BrIf => {
                    skip = (a != 0).then_some(op.imm);
                    continue;
                }
                _ => return None,
            };
            v[op.dst as usize] = value;
        }
        Some(v[result.0 as usize])
    }

    /// What is made in line is what the helpers do, whatever the regime.
    #[test]
    fn inline_and_helpers_agree() {
        let seed = std::env::var("EMU_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed_u64);
        println!("EMU_SEED={seed}");
        let mut x = seed | 1;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        for features in [&[][..], &[("fpaccombine", "off")], &[("fpac", "off"), ("fpaccombine", "off")], &[("constpacfield", "off")]] {
            let mut m = Machine::new("max", features);
            assert!(m.arch.has(Feature::PAuth2));
            m.sysreg[word::SCTLR_EL1] |= sctlr::EN_IA | sctlr::EN_IB | sctlr::EN_DA | sctlr::EN_DB;
            for round in 0..1500u64 {
                // Sizes, granules, TBI and TBID of both halves; often as Linux has them.
                let tcr = if round % 3 == 0 { 16 | 16 << 16 | 2 << 30 | 1 << 37 } else { next() & 0x0018_0060_c03f_c03f };
                m.sysreg[word::TCR_EL1] = tcr;
                for key in [PauthKey::IA, PauthKey::IB, PauthKey::DA, PauthKey::DB] {
                    let (low, high) = sysreg::pauth_key_offsets(key);
                    for at in [low, high] {
                        m.sysreg[(at - crate::state::offset::sysreg(0)) as usize / 8] = next();
                    }
                }
                let key = [PauthKey::IA, PauthKey::IB, PauthKey::DA, PauthKey::DB][round as usize % 4];
                let (modifier, raw) = (next(), next());
                let mut pointer = match next() % 3 {
                    0 => raw,
                    1 => raw >> 16,
                    _ => raw | 0xffff << 48,
                };
                let combined = next() % 2 == 0;
                let all = sctlr::EN_IA | sctlr::EN_IB | sctlr::EN_DA | sctlr::EN_DB;
                // The key may be disabled, alone or with the others.
                let off = round % 7 == 0;
                m.sysreg[word::SCTLR_EL1] &= !all;
                m.sysreg[word::SCTLR_EL1] |= if !off { all } else { all & !pauth::enable_bit(key) & if round % 2 == 0 { 0 } else { all } };
                for what in 0..3 {
                    let mut buf = OwnedIrBuf::new(32);
                    let mode = ModeKey::compute(&m);
                    let (arch, data) = (m.arch, pauth::is_data(key));
                    if what == 2 && !mode.pauth() {
                        // That is the helper itself.
                        continue;
                    }
                    let mut t = Translator::for_tests(arch, mode, &mut buf);
                    let (p, c) = (t.ir.c64(pointer), t.ir.c64(modifier));
                    let result = match what {
                        0 | 1 => t.pointer_auth(key, what == 1, combined, p, c),
                        _ => t.strip(data, p),
                    };
                    let got = run(&m, buf.ops(), result);
                    let want = match what {
                        0 | 1 if off => Some(pointer),
                        0 => Some(base::pac_add(&mut m, pointer, modifier, 0, key as u64).value),
                        1 => {
                            let elr = m.header.pc;
                            let answer = base::authenticate(&mut m, key, combined, pointer, modifier);
                            if answer.is_none() {
                                m.header.pc = elr;
                            }
                            answer
                        }
                        _ => Some(base::pac_strip(&mut m, pointer, 0, 0, u64::from(data)).value),
                    };
                    assert_eq!(got, want, "{what} {pointer:#x} tcr {tcr:#x} {key:?} {features:?}");
                    if what == 0 && round % 2 == 0 {
                        // What was signed is authenticated; else what was not.
                        pointer = want.unwrap_or(pointer);
                    }
                }
                let generic = base::pac_generic(&mut m, pointer, modifier, 0, 0);
                let mut buf = OwnedIrBuf::new(32);
                let mut t = Translator::for_tests(m.arch, ModeKey::compute(&m), &mut buf);
                let (p, c) = (t.ir.c64(pointer), t.ir.c64(modifier));
                let result = t.generic_pac(p, c);
                assert_eq!(run(&m, buf.ops(), result).map(HelperReturn::value), Some(generic));
            }
        }
    }
}
