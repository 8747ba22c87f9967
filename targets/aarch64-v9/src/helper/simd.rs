//! Helpers of the SIMD and floating-point instructions: those that work on whole vector registers named in the constant.
//!
//! The constant is Rd | Rn << 5 | Rm << 10 | Ra << 15 | index << 20 ([`operands`]).

use super::crypto;
use crate::state::State;
use emu_plugins_api::{HelperReturn, effect};

const REGISTERS: u32 = effect::READS_STATE | effect::WRITES_STATE;

crate::helper::helpers! { super::base::COUNT;
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
    sm3partw1: o => crypto::sm3partw1(o.d, o.n, o.m);
    sm3partw2: o => crypto::sm3partw2(o.d, o.n, o.m);
    sm3ss1: o => crypto::sm3ss1(o.n, o.m, o.a);
    sm3tt1a: o => crypto::sm3tt1(o.d, o.n, crypto::word(o.m, o.index), false);
    sm3tt1b: o => crypto::sm3tt1(o.d, o.n, crypto::word(o.m, o.index), true);
    sm3tt2a: o => crypto::sm3tt2(o.d, o.n, crypto::word(o.m, o.index), false);
    sm3tt2b: o => crypto::sm3tt2(o.d, o.n, crypto::word(o.m, o.index), true);
}
