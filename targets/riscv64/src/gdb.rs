//! The registers that debuggers see: gdb's standard features for RISC-V, CSRs in a feature of their own whose group is `system`
//! (`info registers system`).

use crate::Riscv64;
use crate::csr::{self, Kind, ROWS};
use crate::state::State;
use emu_plugins_api::{DebugFeature, DebugLayout, DebugRegister, Slice, Str, debug_flag};

/// Numbers of the registers, in the order of the features.
mod number {
    pub const PC: u32 = 32;
    pub const F: u32 = 33;
    pub const FCSR: u32 = F + 32;
    pub const CSR: u32 = FCSR + 3;
}

const X: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7",
    "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];
const F: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3",
    "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];
/// CSRs of the floating-point unit, in gdb's order, with their numbers.
const FP_CSRS: [(&str, u16); 3] = [("fflags", 1), ("frm", 2), ("fcsr", 3)];
/// A register as a float of either width.
const FP_TYPES: &str = r#"<union id="riscv_double"><field name="float" type="ieee_single"/><field name="double" type="ieee_double"/></union>
"#;

fn register(name: &'static str, ty: &'static str, group: &'static str, bits: u32) -> DebugRegister {
    DebugRegister { name: Str::new(name), ty: Str::new(ty), group: Str::new(group), bits, reserved: 0 }
}
fn feature(name: &'static str, types: &'static str, registers: Vec<DebugRegister>, flags: u32) -> DebugFeature {
    // Lives as long as the instance, which is never freed.
    DebugFeature { name: Str::new(name), types: Str::new(types), registers: Slice::new(registers.leak()), flags, reserved: 0 }
}

/// The CSRs that a debugger sees, with their numbers; `priv` of gdb's virtual feature is behind them.
fn csrs(arch: &Riscv64) -> impl Iterator<Item = (u16, &'static csr::Row)> + '_ {
    ROWS.iter().filter(|r| !matches!(r.kind, Kind::Missing(_)) && arch.has(r.feature) && r.number > 3).flat_map(|r| {
        let step = if r.name == "pmpcfg" { 2 } else { 1 };
        let count = if r.name.starts_with("pmp") { if step == 2 { 4 } else { 16 } } else { r.count };
        (0..count).step_by(step).map(move |n| (r.number + n, r))
    })
}

/// All registers.
pub fn layout(arch: &Riscv64) -> DebugLayout {
    let core = X.iter().enumerate().map(|(n, name)| register(name, if matches!(n, 1..=4 | 8) { "data_ptr" } else { "int" }, "", 64));
    let core = core.chain([register("pc", "code_ptr", "", 64)]).collect();
    let fpu = F.iter().map(|name| register(name, "riscv_double", "", 64)).chain(FP_CSRS.iter().map(|(n, _)| register(n, "int", "", 32))).collect();
    let system = csrs(arch)
        .map(|(number, row)| {
            let name: &'static str = match row.count {
                1 => row.name,
                _ => format!("{}{}", row.name, number - row.number + if row.number & 0xff == 3 || row.number == 0x323 { 3 } else { 0 }).leak(),
            };
            register(name, "uint64", "system", 64)
        })
        .chain([register("priv", "uint64", "system", 64)])
        .collect();
    let features = vec![
        feature("org.gnu.gdb.riscv.cpu", "", core, debug_flag::EAGER),
        feature("org.gnu.gdb.riscv.fpu", FP_TYPES, fpu, debug_flag::EAGER),
        feature("org.gnu.gdb.riscv.csr", "", system, 0),
    ];
    DebugLayout { architecture: Str::new("riscv:rv64"), features: Slice::new(features.leak()), pc: number::PC, flags: debug_flag::WATCH_BEFORE }
}

/// The CSR of a register number; `None` behind the last.
fn csr_of(cpu: &State, n: u32) -> Option<(u16, &'static csr::Row)> {
    match n {
        number::FCSR..number::CSR => {
            let number = FP_CSRS[(n - number::FCSR) as usize].1;
            csr::find(number).map(|r| (number, r))
        }
        _ => csrs(Riscv64::of(cpu)).nth((n - number::CSR) as usize),
    }
}

/// Reads a register; false if there is none of that number and size.
pub fn read(cpu: &mut State, n: u32, out: &mut [u8]) -> bool {
    let value = match n {
        0..number::PC => cpu.x[n as usize],
        number::PC => cpu.header.pc,
        number::F..number::FCSR => cpu.f[(n - number::F) as usize],
        _ => match csr_of(cpu, n) {
            Some((number, row)) => csr::read(cpu, number, row),
            None if n as usize == number::CSR as usize + csrs(Riscv64::of(cpu)).count() => cpu.privilege.into(),
            None => return false,
        },
    };
    let bytes = value.to_le_bytes();
    let Some(bytes) = bytes.get(..out.len()) else { return false };
    out.copy_from_slice(bytes);
    true
}

/// Writes a register; false if there is none of that number and size, or if it cannot be written.
pub fn write(cpu: &mut State, n: u32, value: &[u8]) -> bool {
    let mut bytes = [0; 8];
    let Some(part) = bytes.get_mut(..value.len()) else { return false };
    part.copy_from_slice(value);
    let value = u64::from_le_bytes(bytes);
    match n {
        0 => return value == 0,
        1..number::PC => cpu.x[n as usize] = value,
        number::PC => {
            if value & 1 != 0 {
                return false;
            }
            cpu.header.pc = value;
            // A half that was fetched belongs to the old place.
            cpu.refresh_mode();
        }
        number::F..number::FCSR => cpu.f[(n - number::F) as usize] = value,
        _ => match csr_of(cpu, n) {
            Some((number, row)) if !csr::is_read_only(number) => csr::write(cpu, number, row, value),
            _ => return false,
        },
    }
    true
}
