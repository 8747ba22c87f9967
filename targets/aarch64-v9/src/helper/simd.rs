//! Helpers of the SIMD and floating-point instructions: those that work on whole vector registers named in the constant.
//!
//! The constant is Rd | Rn << 5 | Rm << 10 | Ra << 15 | index << 20 ([`operands`]).

use super::crypto;
use crate::state::State;
use emu_plugins_api::{HelperReturn, effect};

const REGISTERS: u32 = effect::READS_STATE | effect::WRITES_STATE;

crate::helper::helpers! { super::base::COUNT;
    /// SHA1C.
    SHA1C: sha1c, REGISTERS;
    /// SHA1P.
    SHA1P: sha1p, REGISTERS;
    /// SHA1M.
    SHA1M: sha1m, REGISTERS;
    /// SHA1SU0.
    SHA1SU0: sha1su0, REGISTERS;
    /// SHA1SU1.
    SHA1SU1: sha1su1, REGISTERS;
    /// SHA256H.
    SHA256H: sha256h, REGISTERS;
    /// SHA256H2.
    SHA256H2: sha256h2, REGISTERS;
    /// SHA256SU0.
    SHA256SU0: sha256su0, REGISTERS;
    /// SHA256SU1.
    SHA256SU1: sha256su1, REGISTERS;
    /// SHA512H.
    SHA512H: sha512h, REGISTERS;
    /// SHA512H2.
    SHA512H2: sha512h2, REGISTERS;
    /// SHA512SU0.
    SHA512SU0: sha512su0, REGISTERS;
    /// SHA512SU1.
    SHA512SU1: sha512su1, REGISTERS;
    /// SM3PARTW1.
    SM3PARTW1: sm3partw1, REGISTERS;
    /// SM3PARTW2.
    SM3PARTW2: sm3partw2, REGISTERS;
    /// SM3SS1.
    SM3SS1: sm3ss1, REGISTERS;
    /// SM3TT1A.
    SM3TT1A: sm3tt1a, REGISTERS;
    /// SM3TT1B.
    SM3TT1B: sm3tt1b, REGISTERS;
    /// SM3TT2A.
    SM3TT2A: sm3tt2a, REGISTERS;
    /// SM3TT2B.
    SM3TT2B: sm3tt2b, REGISTERS;
    /// SM4E.
    SM4E: sm4e, REGISTERS;
    /// SM4EKEY.
    SM4EKEY: sm4ekey, REGISTERS;
}

/// The constant of these helpers.
pub fn operands(rd: u32, rn: u32, rm: u32, ra: u32, index: u32) -> u64 {
    u64::from(rd | rn << 5 | rm << 10 | ra << 15 | index << 20)
}

/// The registers that the constant names: their numbers and values, and the index.
struct Operands {
    rd: usize,
    d: u128,
    n: u128,
    m: u128,
    a: u128,
    index: usize,
}

impl Operands {
    fn read(cpu: &State, imm: u64) -> Operands {
        let register = |at: u32| (imm >> at) as usize & 31;
        let value = |at: u32| {
            let [low, high] = cpu.v[register(at)];
            u128::from(high) << 64 | u128::from(low)
        };
        Operands { rd: register(0), d: value(0), n: value(5), m: value(10), a: value(15), index: (imm >> 20) as usize }
    }
}

macro_rules! register_helpers {
    ($($name:ident: $o:ident => $value:expr;)*) => { $(
        fn $name(cpu: &mut State, _: u64, _: u64, _: u64, imm: u64) -> HelperReturn {
            let $o = Operands::read(cpu, imm);
            let value: u128 = $value;
            cpu.v[$o.rd] = [value as u64, (value >> 64) as u64];
            HelperReturn::value(0)
        }
    )* };
}

register_helpers! {
    sha1c: o => crypto::sha1c(o.d, o.n, o.m);
    sha1p: o => crypto::sha1p(o.d, o.n, o.m);
    sha1m: o => crypto::sha1m(o.d, o.n, o.m);
    sha1su0: o => crypto::sha1su0(o.d, o.n, o.m);
    sha1su1: o => crypto::sha1su1(o.d, o.n);
    sha256h: o => crypto::sha256h(o.d, o.n, o.m);
    sha256h2: o => crypto::sha256h2(o.d, o.n, o.m);
    sha256su0: o => crypto::sha256su0(o.d, o.n);
    sha256su1: o => crypto::sha256su1(o.d, o.n, o.m);
    sha512h: o => crypto::sha512h(o.d, o.n, o.m);
    sha512h2: o => crypto::sha512h2(o.d, o.n, o.m);
    sha512su0: o => crypto::sha512su0(o.d, o.n);
    sha512su1: o => crypto::sha512su1(o.d, o.n, o.m);
    sm3partw1: o => crypto::sm3partw1(o.d, o.n, o.m);
    sm3partw2: o => crypto::sm3partw2(o.d, o.n, o.m);
    sm3ss1: o => crypto::sm3ss1(o.n, o.m, o.a);
    sm3tt1a: o => crypto::sm3tt1(o.d, o.n, crypto::word(o.m, o.index), false);
    sm3tt1b: o => crypto::sm3tt1(o.d, o.n, crypto::word(o.m, o.index), true);
    sm3tt2a: o => crypto::sm3tt2(o.d, o.n, crypto::word(o.m, o.index), false);
    sm3tt2b: o => crypto::sm3tt2(o.d, o.n, crypto::word(o.m, o.index), true);
    sm4e: o => crypto::sm4e(o.d, o.n);
    sm4ekey: o => crypto::sm4ekey(o.n, o.m);
}
