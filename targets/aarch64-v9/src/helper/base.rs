//! Helpers of the base instructions.

use crate::Aarch64;
use crate::exception::{self, syndrome::ec};
use crate::feature::Feature;
use crate::helper::mops;
use crate::helper::pauth::{self, PacLayout};
use crate::state::State;
use crate::sysreg::{self, PauthKey};
use emu_plugins_api::{HelperReturn, effect};

crate::helper::helpers! { 0;
    /// AddPAC(pointer, modifier); the constant is the key.
    PAC_ADD: pac_add, effect::READS_STATE;
    /// Auth(pointer, modifier); the constant is the key, bit 8 set for an instruction that also uses the result.
    PAC_AUTH: pac_auth, effect::READS_STATE | effect::WRITES_STATE | effect::MAY_EXIT | effect::NEEDS_PC;
    /// Strip(pointer); the constant is 1 for a data pointer.
    PAC_STRIP: pac_strip, effect::READS_STATE;
    /// AddPACGA(value, modifier).
    PAC_GENERIC: pac_generic, effect::READS_STATE;
    /// CPYFP, CPYFM, CPYFE, CPYP, CPYM, CPYE; the constant is the instruction.
    MOPS_COPY: mops::copy, effect::ANY;
    /// SETP, SETM, SETE; the constant is the instruction.
    MOPS_SET: mops::set, effect::ANY;
}

fn key_of(imm: u64) -> PauthKey {
    pauth::key(imm & 2 != 0, imm & 1 != 0)
}

fn layout(cpu: &State, pointer: u64, upper: bool, data: bool) -> PacLayout {
    let arch = Aarch64::of(cpu);
    let (pauth2, epac) = (arch.has(Feature::PAuth2), arch.has(Feature::EPAC));
    // CalculateBottomPACBit goes by the half that the pointer is in, which bit 55 says.
    let va = if upper { pointer | 1 << 55 } else { pointer & !(1 << 55) };
    let props = crate::mmu::va_properties(cpu, va, !data);
    PacLayout { tbi: props.tbi, bottom: props.bottom_bit, pauth2, epac }
}

fn pac(cpu: &State, key: PauthKey, pointer: u64, modifier: u64) -> u64 {
    let algorithm = Aarch64::of(cpu).pauth_algorithm();
    pauth::compute_pac(algorithm, pointer, modifier, sysreg::pauth_key(cpu, key))
}

/// Argument of [`pac_add`] and [`pac_auth`]: SCTLR_ELx says whether the key is enabled; else it is.
const ASKS: u64 = 1 << 9;

pub(crate) fn pac_add(cpu: &mut State, pointer: u64, modifier: u64, _: u64, imm: u64) -> HelperReturn {
    let key = key_of(imm);
    if imm & ASKS != 0 && cpu.sctlr() & pauth::enable_bit(key) == 0 {
        return HelperReturn::value(pointer);
    }
    let bit55 = pointer >> 55 & 1 == 1;
    // AddPAC: bit 55 selects the half when either half ignores its top byte, else bit 63 does.
    let either_tbi = layout(cpu, pointer, false, pauth::is_data(key)).tbi || layout(cpu, pointer, true, pauth::is_data(key)).tbi;
    let select = if either_tbi || Aarch64::of(cpu).has(Feature::CONSTPACFIELD) { bit55 } else { pointer >> 63 == 1 };
    // EffectiveTBI goes by the pointer's own bit 55, the size of the address by the half selected.
    let tbi = layout(cpu, pointer, bit55, pauth::is_data(key)).tbi;
    let layout = PacLayout { tbi, ..layout(cpu, pointer, select, pauth::is_data(key)) };
    HelperReturn::value(pauth::add_pac(layout, select, pointer, |p| pac(cpu, key, p, modifier)))
}

fn pac_auth(cpu: &mut State, pointer: u64, modifier: u64, _: u64, imm: u64) -> HelperReturn {
    if imm & ASKS != 0 && cpu.sctlr() & pauth::enable_bit(key_of(imm)) == 0 {
        return HelperReturn::value(pointer);
    }
    match authenticate(cpu, key_of(imm), imm & 0x100 != 0, pointer, modifier) {
        Some(result) => HelperReturn::value(result),
        None => HelperReturn::exit(),
    }
}

/// Auth(); `None` if a PAC Fail exception has been taken.
pub fn authenticate(cpu: &mut State, key: PauthKey, combined: bool, pointer: u64, modifier: u64) -> Option<u64> {
    let layout = layout(cpu, pointer, pointer >> 55 & 1 == 1, pauth::is_data(key));
    let (result, failed) = pauth::auth_pac(layout, pointer, pauth::is_b(key), |p| pac(cpu, key, p, modifier));
    let arch = Aarch64::of(cpu);
    let faults = arch.has(Feature::FPACCOMBINE) || arch.has(Feature::FPAC) && !combined;
    if failed && faults && layout.pauth2 {
        exception::take_sync(cpu, ec::PAC_FAIL, u32::from(pauth::is_data(key)) << 1 | u32::from(pauth::is_b(key)), None);
        return None;
    }
    Some(result)
}

pub(crate) fn pac_strip(cpu: &mut State, pointer: u64, _: u64, _: u64, data: u64) -> HelperReturn {
    let layout = layout(cpu, pointer, pointer >> 55 & 1 == 1, data == 1);
    HelperReturn::value(pauth::strip_pac(layout, pointer))
}

pub(crate) fn pac_generic(cpu: &mut State, value: u64, modifier: u64, _: u64, _: u64) -> HelperReturn {
    HelperReturn::value(pac(cpu, PauthKey::GA, value, modifier) & !0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Machine, RAM};

    fn write(m: &mut Machine, name: &str, value: u64) {
        let row = sysreg::by_name(name).expect("a register");
        assert!(sysreg::write(m, row, value), "{name}");
    }

    fn machine() -> Machine {
        let mut m = Machine::new("max", &[]);
        // 48-bit addresses in both halves; the upper half ignores the top byte of data addresses.
        write(&mut m, "TCR_EL1", 16 | 16 << 16 | 2 << 30 | 1 << 38 | 1 << 52);
        for (i, key) in ["APIAKeyLo_EL1", "APIAKeyHi_EL1", "APDBKeyLo_EL1", "APDBKeyHi_EL1", "APGAKeyLo_EL1"].into_iter().enumerate() {
            write(&mut m, key, 0x0123_4567_89ab_cdef << i);
        }
        m.header.pc = RAM + 0x40;
        m
    }

    #[test]
    fn pac_goes_where_the_regime_has_room() {
        let mut m = machine();
        for (key, pointer, field) in [
            (PauthKey::IA, 0x0000_1234_5678_9abc, 0xff7f_0000_0000_0000u64),
            (PauthKey::IA, 0xffff_1234_5678_9abc, 0xff7f_0000_0000_0000),
            (PauthKey::DB, 0x0000_1234_5678_9abc, 0xff7f_0000_0000_0000),
            // Tagged: bits 63 to 56 stay.
            (PauthKey::DB, 0x5aff_1234_5678_9abc, 0x007f_0000_0000_0000),
        ] {
            let signed = pac_add(&mut m, pointer, 7, 0, key as u64).value;
            assert!(signed != pointer && (signed ^ pointer) & !field == 0, "{pointer:#x} {signed:#x}");
            assert_eq!(pac_auth(&mut m, signed, 7, 0, key as u64), HelperReturn::value(pointer));
            assert_eq!(pac_strip(&mut m, signed, 0, 0, u64::from(pauth::is_data(key))).value, pointer);
        }
    }

    #[test]
    fn a_wrong_modifier_is_a_pac_fail_exception() {
        let mut m = machine();
        let signed = pac_add(&mut m, 0x1000, 7, 0, PauthKey::DB as u64).value;
        assert_eq!(pac_auth(&mut m, signed, 8, 0, PauthKey::DB as u64), HelperReturn::exit());
        let esr = m.sysreg[sysreg::word::ESR_EL1];
        assert_eq!((esr >> 26, esr & 0x1ff_ffff), (u64::from(ec::PAC_FAIL), 3));
        assert_eq!(m.sysreg[sysreg::word::ELR_EL1], RAM + 0x40);
    }

    #[test]
    fn generic_code_is_in_the_high_half() {
        let mut m = machine();
        let code = pac_generic(&mut m, 0x1234, 0x5678, 0, 0).value;
        assert!(code >> 32 != 0 && code & 0xffff_ffff == 0, "{code:#x}");
    }
}
