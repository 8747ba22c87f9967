//! The registers that debuggers see: general and vector registers as gdb's standard features for AArch64, system registers in a feature of
//! our own whose group is `system` (`info registers system`).
//!
//! System registers are the rows of the register table that this model has and that can be read without consequence; they are written as the
//! guest would write them, read-only bits included.

use crate::Aarch64;
use crate::feature::Feature;
use crate::mmu;
use crate::state::{State, spsr};
use crate::sysreg::{self, ROWS, Read, Row};
use emu_plugins_api::{DebugFeature, DebugLayout, DebugRegister, Slice, Str, debug_flag};

/// Numbers of the registers, in the order of the features.
mod number {
    pub const SP: u32 = 31;
    pub const PC: u32 = 32;
    pub const CPSR: u32 = 33;
    pub const V: u32 = 34;
    pub const FPSR: u32 = V + 32;
    pub const FPCR: u32 = FPSR + 1;
    /// Where the features begin that depend on the model.
    pub const MORE: u32 = FPCR + 1;
}

/// Which bits of a pointer hold its authentication code: data and code pointers of the lower half of the address space, then of the upper.
const PAUTH: [&str; 4] = ["pauth_dmask", "pauth_cmask", "pauth_dmask_high", "pauth_cmask_high"];

/// Number of the first system register.
fn first_system(arch: &Aarch64) -> u32 {
    number::MORE + if arch.has(Feature::PAuth) { PAUTH.len() as u32 } else { 0 }
}

/// PSTATE as SPSR_ELx holds it.
const CORE_TYPES: &str = r#"<flags id="cpsr_flags" size="4">
<field name="SP" start="0" end="0"/><field name="EL" start="2" end="3"/><field name="nRW" start="4" end="4"/>
<field name="F" start="6" end="6"/><field name="I" start="7" end="7"/><field name="A" start="8" end="8"/><field name="D" start="9" end="9"/>
<field name="BTYPE" start="10" end="11"/><field name="SSBS" start="12" end="12"/><field name="ALLINT" start="13" end="13"/>
<field name="IL" start="20" end="20"/><field name="SS" start="21" end="21"/><field name="PAN" start="22" end="22"/>
<field name="UAO" start="23" end="23"/><field name="DIT" start="24" end="24"/><field name="TCO" start="25" end="25"/>
<field name="V" start="28" end="28"/><field name="C" start="29" end="29"/><field name="Z" start="30" end="30"/><field name="N" start="31" end="31"/>
</flags>
"#;

/// A vector register by element: d, s, h, b, q; in each u, s and where there is such a type f.
const VECTOR_TYPES: &str = r#"<vector id="v2f" type="ieee_double" count="2"/><vector id="v2u" type="uint64" count="2"/><vector id="v2i" type="int64" count="2"/>
<vector id="v4f" type="ieee_single" count="4"/><vector id="v4u" type="uint32" count="4"/><vector id="v4i" type="int32" count="4"/>
<vector id="v8f" type="ieee_half" count="8"/><vector id="v8u" type="uint16" count="8"/><vector id="v8i" type="int16" count="8"/>
<vector id="v16u" type="uint8" count="16"/><vector id="v16i" type="int8" count="16"/>
<vector id="v1u" type="uint128" count="1"/><vector id="v1i" type="int128" count="1"/>
<union id="vnd"><field name="f" type="v2f"/><field name="u" type="v2u"/><field name="s" type="v2i"/></union>
<union id="vns"><field name="f" type="v4f"/><field name="u" type="v4u"/><field name="s" type="v4i"/></union>
<union id="vnh"><field name="f" type="v8f"/><field name="u" type="v8u"/><field name="s" type="v8i"/></union>
<union id="vnb"><field name="u" type="v16u"/><field name="s" type="v16i"/></union>
<union id="vnq"><field name="u" type="v1u"/><field name="s" type="v1i"/></union>
<union id="aarch64v"><field name="d" type="vnd"/><field name="s" type="vns"/><field name="h" type="vnh"/><field name="b" type="vnb"/><field name="q" type="vnq"/></union>
"#;

/// Registers whose reads change something: acknowledging an interrupt, taking a random number.
const NOT_SHOWN: &[&str] = &["ICC_IAR0_EL1", "ICC_IAR1_EL1", "ICC_NMIAR1_EL1", "RNDR", "RNDRRS", "FPCR", "FPSR"];

/// The rows that a debugger sees, in the order of their numbers.
fn system(arch: &Aarch64) -> impl Iterator<Item = &'static Row> + '_ {
    ROWS.iter().filter(|r| !matches!(r.read, Read::None) && r.el1 & 1 != 0 && r.feature.is_none_or(|f| arch.has(f)) && !NOT_SHOWN.contains(&r.name))
}

fn register(name: &'static str, ty: &'static str, group: &'static str, bits: u32) -> DebugRegister {
    DebugRegister { name: Str::new(name), ty: Str::new(ty), group: Str::new(group), bits, reserved: 0 }
}

fn feature(name: &'static str, types: &'static str, registers: Vec<DebugRegister>, flags: u32) -> DebugFeature {
    // Lives as long as the instance, which is never freed.
    DebugFeature { name: Str::new(name), types: Str::new(types), registers: Slice::new(registers.leak()), flags, reserved: 0 }
}

fn numbered(letter: char, n: u32, ty: &'static str, bits: u32) -> impl Iterator<Item = DebugRegister> {
    (0..n).map(move |i| register(format!("{letter}{i}").leak(), ty, "", bits))
}

/// All registers.
pub fn layout(arch: &Aarch64) -> DebugLayout {
    let own = [register("sp", "data_ptr", "", 64), register("pc", "code_ptr", "", 64), register("cpsr", "cpsr_flags", "", 32)];
    let core = numbered('x', 31, "int", 64).chain(own).collect();
    let control = [register("fpsr", "uint32", "", 32), register("fpcr", "uint32", "", 32)];
    let vector = numbered('v', 32, "aarch64v", 128).chain(control).collect();
    let system = system(arch).map(|r| register(r.name, "uint64", "system", 64)).collect();
    let mut features = vec![
        feature("org.gnu.gdb.aarch64.core", CORE_TYPES, core, debug_flag::EAGER),
        feature("org.gnu.gdb.aarch64.fpu", VECTOR_TYPES, vector, debug_flag::EAGER),
    ];
    if arch.has(Feature::PAuth) {
        // With these gdb takes the codes out of return addresses.
        let masks = PAUTH.iter().map(|name| register(name, "uint64", "", 64)).collect();
        features.push(feature("org.gnu.gdb.aarch64.pauth_v2", "", masks, 0));
    }
    features.push(feature("org.emu.gdb.aarch64.system", "", system, 0));
    DebugLayout {
        architecture: Str::new("aarch64"),
        features: Slice::new(features.leak()),
        pc: number::PC,
        // A watchpoint exception is taken before the access: gdb steps over the instruction before it looks at the value.
        flags: debug_flag::WATCH_BEFORE,
    }
}

fn fpsr_row() -> Option<&'static Row> {
    sysreg::by_name("FPSR")
}
fn fpcr_row() -> Option<&'static Row> {
    sysreg::by_name("FPCR")
}

/// A row of [`PAUTH`].
fn pauth_mask(cpu: &State, n: u32) -> u64 {
    let (is_insn, upper) = (n & 1 != 0, n & 2 != 0);
    let properties = mmu::va_properties(cpu, if upper { u64::MAX } else { 0 }, is_insn);
    let top = if properties.tbi { 56 } else { 64 };
    (properties.bottom_bit..top).fold(0, |mask, bit| mask | 1 << bit)
}

/// Reads a register; false if there is none of that number and size.
pub fn read(cpu: &mut State, n: u32, out: &mut [u8]) -> bool {
    let value: u128 = match n {
        0..=number::SP => cpu.x[n as usize].into(),
        number::PC => cpu.header.pc.into(),
        number::CPSR => cpu.pstate().into(),
        number::V..number::FPSR => {
            let [low, high] = cpu.v[(n - number::V) as usize];
            u128::from(low) | u128::from(high) << 64
        }
        number::FPSR => fpsr_row().and_then(|r| sysreg::read(cpu, r)).unwrap_or(0).into(),
        number::FPCR => fpcr_row().and_then(|r| sysreg::read(cpu, r)).unwrap_or(0).into(),
        _ if n < first_system(Aarch64::of(cpu)) => pauth_mask(cpu, n - number::MORE).into(),
        _ => match system(Aarch64::of(cpu)).nth((n - first_system(Aarch64::of(cpu))) as usize) {
            // A machine without the interrupt controller's registers has nothing to show for them.
            Some(row) => sysreg::read(cpu, row).unwrap_or(0).into(),
            None => return false,
        },
    };
    let bytes = value.to_le_bytes();
    let Some(bytes) = bytes.get(..out.len()) else { return false };
    out.copy_from_slice(bytes);
    true
}

/// Writes a register; false if there is none of that number and size, or if the value or the register cannot be written.
pub fn write(cpu: &mut State, n: u32, value: &[u8]) -> bool {
    let mut bytes = [0; 16];
    let Some(part) = bytes.get_mut(..value.len()) else { return false };
    part.copy_from_slice(value);
    let wide = u128::from_le_bytes(bytes);
    let v = wide as u64;
    match n {
        0..=number::SP => cpu.x[n as usize] = v,
        number::PC => {
            // No branch: what a landing pad is asked for belonged to the instruction that is not executed any more.
            cpu.set_btype(0);
            cpu.header.pc = v;
        }
        number::CPSR => return write_pstate(cpu, v),
        number::V..number::FPSR => cpu.v[(n - number::V) as usize] = [v, (wide >> 64) as u64],
        number::FPSR => return fpsr_row().is_some_and(|r| sysreg::write(cpu, r, v)),
        number::FPCR => return fpcr_row().is_some_and(|r| sysreg::write(cpu, r, v)),
        _ => {
            let first = first_system(Aarch64::of(cpu));
            let row = n.checked_sub(first).and_then(|i| system(Aarch64::of(cpu)).nth(i as usize));
            let Some(row) = row else { return false };
            let written = row.el1 & 2 != 0 && sysreg::write(cpu, row, v);
            cpu.refresh_mode();
            return written;
        }
    }
    true
}

/// Writes PSTATE; false where an exception return with that value would be illegal.
fn write_pstate(cpu: &mut State, v: u64) -> bool {
    let (el, sp) = ((v >> 2) as u8 & 3, v as u8 & 1);
    let arch = Aarch64::of(cpu);
    if v & (spsr::AARCH32 | 2) != 0 || !arch.has_el(el) || el == 0 && sp == 1 {
        return false;
    }
    let bit = |mask: u64, feature: Option<Feature>| u8::from(v & mask != 0 && feature.is_none_or(|f| arch.has(f)));
    cpu.set_el_and_sp(el, sp);
    cpu.set_nzcv((v >> 28) as u32);
    cpu.daif = (v >> spsr::DAIF_LSB) as u8 & 0xf;
    cpu.pan = bit(spsr::PAN, Some(Feature::PAN));
    cpu.uao = bit(spsr::UAO, Some(Feature::UAO));
    cpu.dit = bit(spsr::DIT, Some(Feature::DIT));
    cpu.ssbs = bit(spsr::SSBS, Some(Feature::SSBS));
    cpu.allint = bit(spsr::ALLINT, Some(Feature::NMI));
    (cpu.il, cpu.ss) = (bit(spsr::IL, None), bit(spsr::SS, None));
    cpu.set_btype(if arch.has(Feature::BTI) { (v >> spsr::BTYPE_LSB) as u32 & 3 } else { 0 });
    cpu.refresh_mode();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysreg::word;
    use crate::testing::Machine;

    fn named(l: &DebugLayout, name: &str) -> (u32, usize) {
        let at = l.registers().position(|r| r.name.get() == name).unwrap_or_else(|| panic!("{name}"));
        (at as u32, l.registers().nth(at).unwrap().bits as usize / 8)
    }

    #[test]
    fn numbers_are_places_in_the_list() {
        let m = Machine::new("max", &[]);
        let l = layout(m.arch);
        for (name, n) in [("x0", 0), ("sp", number::SP), ("pc", number::PC), ("cpsr", number::CPSR), ("v0", number::V), ("fpcr", number::FPCR)] {
            assert_eq!(named(&l, name).0, n, "{name}");
        }
        assert_eq!(l.pc, number::PC);
        let mut names: Vec<&str> = l.registers().map(|r| r.name.get()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]), "names are unique");
        assert!(names.contains(&"SCTLR_EL1") && names.contains(&"MIDR_EL1") && !names.contains(&"ICC_IAR1_EL1"));
        assert!(names.len() > 150, "{}", names.len());
    }

    #[test]
    fn every_register_can_be_read_and_reading_changes_nothing() {
        let mut m = Machine::new("max", &[]);
        let l = layout(m.arch);
        let before = (m.header.mode_key, m.pstate(), m.sysreg[word::SCTLR_EL1]);
        for (n, r) in l.registers().enumerate() {
            let mut out = vec![0; r.bits as usize / 8];
            assert!(read(&mut m, n as u32, &mut out), "{}", r.name.get());
        }
        assert_eq!((m.header.mode_key, m.pstate(), m.sysreg[word::SCTLR_EL1]), before);
        let count = l.registers().count() as u32;
        assert!(!read(&mut m, count, &mut [0; 8]) && !write(&mut m, count, &[0; 8]) && !read(&mut m, 0, &mut [0; 17]));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut m = Machine::new("max", &[]);
        let l = layout(m.arch);
        for (name, value) in [
            ("x7", 0x0123_4567_89ab_cdef_u128),
            ("sp", 0x8000),
            ("pc", 0x4000_1000),
            ("v31", 0x0123_4567_89ab_cdef_0011_2233_4455_6677),
            ("fpcr", 1 << 24),
            ("fpsr", 1 << 27 | 1),
            ("TTBR0_EL1", 0x4000_0000),
            ("VBAR_EL1", 0x4000_0800),
            ("cpsr", 0x6000_03c4),
        ] {
            let (n, size) = named(&l, name);
            let bytes = value.to_le_bytes();
            assert!(write(&mut m, n, &bytes[..size]), "{name}");
            let mut out = [0; 16];
            assert!(read(&mut m, n, &mut out[..size]), "{name}");
            assert_eq!(u128::from_le_bytes(out), value, "{name}");
        }
        // EL1t now: the stack pointer is SP_EL0, the old one is kept.
        assert_eq!((m.spsel, m.sp_el[1], m.x[31]), (0, 0x8000, 0));
        let (sctlr, _) = named(&l, "SCTLR_EL1");
        let key = m.header.mode_key;
        assert!(write(&mut m, sctlr, &(0x30d0_0980_u64 | 2).to_le_bytes()));
        assert!(m.header.mode_key != key, "SCTLR_EL1.A is part of the mode key");
        // 48-bit addresses in both halves; the upper half ignores the top byte of data addresses.
        let (tcr, _) = named(&l, "TCR_EL1");
        assert!(write(&mut m, tcr, &(16_u64 | 16 << 16 | 2 << 30 | 1 << 38 | 1 << 52).to_le_bytes()));
        for (name, want) in PAUTH.iter().zip([0xffff_u64 << 48, 0xffff << 48, 0xff << 48, 0xffff << 48]) {
            let (n, size) = named(&l, name);
            let mut out = [0; 8];
            assert!(read(&mut m, n, &mut out[..size]) && !write(&mut m, n, &out), "{name}");
            assert_eq!(u64::from_le_bytes(out), want, "{name}");
        }
        // Read-only, AArch32, an EL that is not there.
        let (midr, _) = named(&l, "MIDR_EL1");
        assert!(!write(&mut m, midr, &[0; 8]));
        for illegal in [0x1d3_u32, 0x3cd, 0x3c1] {
            assert!(!write(&mut m, number::CPSR, &illegal.to_le_bytes()), "{illegal:#x}");
        }
    }
}
