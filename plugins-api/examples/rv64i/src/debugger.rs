//! The registers that debuggers see: gdb's standard feature for this architecture.

use crate::hart::Hart;
use emu_plugins_api::{DebugFeature, DebugLayout, DebugRegister, Slice, Str, debug_flag};

/// Number of the program counter, behind x0 to x31.
const PC: u32 = 32;

const fn register(name: &'static str, ty: &'static str) -> DebugRegister {
    DebugRegister { name: Str::new(name), ty: Str::new(ty), group: Str::new(""), bits: 64, reserved: 0 }
}

/// x0 to x31 by their names in the calling convention, then the program counter.
static REGISTERS: [DebugRegister; 33] = {
    const NAMES: [&str; 32] = [
        "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6",
        "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
    ];
    let mut all = [register("pc", "code_ptr"); 33];
    let mut n = 0;
    while n < NAMES.len() {
        all[n] = register(NAMES[n], if n == 1 || n == 2 { "data_ptr" } else { "int" });
        n += 1;
    }
    all
};

static FEATURES: [DebugFeature; 1] = [DebugFeature {
    name: Str::new("org.gnu.gdb.riscv.cpu"),
    types: Str::new(""),
    registers: Slice::new(&REGISTERS),
    flags: debug_flag::EAGER,
    reserved: 0,
}];

/// All registers.
pub const LAYOUT: DebugLayout =
    DebugLayout { architecture: Str::new("riscv:rv64"), features: Slice::new(&FEATURES), pc: PC, flags: debug_flag::WATCH_BEFORE };

/// Reads a register.
pub fn read(hart: &Hart, number: u32, out: &mut [u8]) -> bool {
    let value = match number {
        PC => hart.header.pc,
        n => match hart.x.get(n as usize) {
            Some(x) => *x,
            None => return false,
        },
    };
    out.copy_from_slice(&value.to_le_bytes());
    true
}

/// Writes a register. x0 stays zero.
pub fn write(hart: &mut Hart, number: u32, value: &[u8]) -> bool {
    let Ok(value) = value.try_into().map(u64::from_le_bytes) else { return false };
    match number {
        PC => hart.header.pc = value & !3,
        0 => return false,
        n => match hart.x.get_mut(n as usize) {
            Some(x) => *x = value,
            None => return false,
        },
    }
    true
}
