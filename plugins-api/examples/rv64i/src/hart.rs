//! The state of a hart: registers, CSRs, traps.
#![allow(unsafe_code)] // helpers have a C ABI and get the CPU as a pointer.

use emu_plugins_api::ir::{Shape, Ty};
use emu_plugins_api::{CpuHeader, CpuState, Field, FieldClass, Helper, HelperReturn, Slice, StateLayout, Str, effect};
use std::mem::{offset_of, size_of};

/// A hart.
#[repr(C)]
pub struct Hart {
    pub header: CpuHeader,
    /// x0 is never written.
    pub x: [u64; 32],
    pub mstatus: u64,
    pub mtvec: u64,
    pub mepc: u64,
    pub mcause: u64,
    pub mtval: u64,
    pub mscratch: u64,
    pub mie: u64,
}

// SAFETY: repr(C), the header first, and numbers besides.
unsafe impl CpuState for Hart {}

/// Byte offset of register x`n`.
pub const fn x_offset(n: u32) -> u32 {
    offset_of!(Hart, x) as u32 + 8 * n
}

const fn field(name: &'static str, offset: usize, count: u32, class: FieldClass) -> Field {
    Field { name: Str::new(name), offset: offset as u32, ty: Ty::I64, shape: Shape::SCALAR, class, reserved: 0, count, stride: 8 }
}

static FIELDS: [Field; 8] = [
    field("x", offset_of!(Hart, x), 32, FieldClass::GPR),
    field("mstatus", offset_of!(Hart, mstatus), 1, FieldClass::SYSTEM),
    field("mtvec", offset_of!(Hart, mtvec), 1, FieldClass::SYSTEM),
    field("mepc", offset_of!(Hart, mepc), 1, FieldClass::SYSTEM),
    field("mcause", offset_of!(Hart, mcause), 1, FieldClass::SYSTEM),
    field("mtval", offset_of!(Hart, mtval), 1, FieldClass::SYSTEM),
    field("mscratch", offset_of!(Hart, mscratch), 1, FieldClass::SYSTEM),
    field("mie", offset_of!(Hart, mie), 1, FieldClass::SYSTEM),
];

/// Numbers of the helpers.
pub const HELPER_TRAP: u32 = 0;
pub const HELPER_CSR: u32 = 1;
pub const HELPER_MRET: u32 = 2;

const TRAPS: u32 = effect::READS_STATE | effect::WRITES_STATE | effect::MAY_EXIT | effect::NEEDS_PC;

static HELPERS: [Helper; 3] = [
    Helper { name: Str::new("trap"), func: helper_trap, effects: TRAPS, reserved: 0 },
    Helper { name: Str::new("csr"), func: helper_csr, effects: TRAPS, reserved: 0 },
    Helper { name: Str::new("mret"), func: helper_mret, effects: TRAPS, reserved: 0 },
];

/// Registers that compiled code uses most: a0 to a5, sp, s0, s1.
const PINS: [u32; 9] = [x_offset(10), x_offset(11), x_offset(2), x_offset(8), x_offset(12), x_offset(13), x_offset(9), x_offset(14), x_offset(15)];

pub const LAYOUT: StateLayout = StateLayout {
    size: size_of::<Hart>() as u32,
    views: 1,
    fields: Slice::new(&FIELDS),
    helpers: Slice::new(&HELPERS),
    inputs: Slice::new(&crate::INPUTS),
    outputs: Slice::new(&[]),
    page_bits: 12,
    insn_bytes: 4,
    pins: Slice::new(&PINS),
    flags: 0,
    reserved: 0,
};

/// Values of mcause (volume II, "Machine Cause Register").
pub mod cause {
    pub const FETCH_MISALIGNED: u64 = 0;
    pub const FETCH_FAULT: u64 = 1;
    pub const ILLEGAL: u64 = 2;
    pub const BREAKPOINT: u64 = 3;
    pub const LOAD_MISALIGNED: u64 = 4;
    pub const LOAD_FAULT: u64 = 5;
    pub const STORE_MISALIGNED: u64 = 6;
    pub const STORE_FAULT: u64 = 7;
    pub const ECALL_M: u64 = 11;
    pub const EXTERNAL_INTERRUPT: u64 = 1 << 63 | 11;
}

/// mstatus.MIE: interrupts are taken.
pub const MSTATUS_MIE: u64 = 1 << 3;
const MSTATUS_MPIE: u64 = 1 << 7;
/// mstatus.MPP; machine mode is the only one, so it always reads 3.
const MSTATUS_MPP: u64 = 3 << 11;
/// mie.MEIE: the external interrupt is enabled.
pub const MIE_EXTERNAL: u64 = 1 << 11;

impl Hart {
    pub fn reset(&mut self) {
        self.x = [0; 32];
        self.mstatus = MSTATUS_MPP;
        (self.mtvec, self.mepc, self.mcause, self.mtval, self.mscratch, self.mie) = (0, 0, 0, 0, 0, 0);
        self.header.pc = crate::MEMORY_BASE;
        self.header.mode_key = 0;
    }

    /// Takes a trap at the current instruction.
    pub fn trap(&mut self, cause: u64, value: u64) {
        self.mepc = self.header.pc;
        self.mcause = cause;
        self.mtval = value;
        let mie = self.mstatus & MSTATUS_MIE;
        self.mstatus = MSTATUS_MPP | mie << 4;
        // Bit 0: vectored, for interrupts only.
        let vector = if self.mtvec & 1 != 0 && cause >> 63 != 0 { 4 * (cause & 0xff) } else { 0 };
        self.header.pc = (self.mtvec & !3).wrapping_add(vector);
    }

    fn mret(&mut self) {
        let mpie = self.mstatus & MSTATUS_MPIE;
        self.mstatus = MSTATUS_MPP | MSTATUS_MPIE | mpie >> 4;
        self.header.pc = self.mepc;
    }

    /// Reads and, with `Some`, writes a CSR. `None`: there is no such register, or it cannot be written.
    fn csr(&mut self, number: u32, write: Option<u64>) -> Option<u64> {
        let external = u64::from(*self.header.lines.get_mut() & 1) << 11;
        // Register and the bits of it that can be written.
        let (register, mask) = match number {
            0x300 => (&mut self.mstatus, MSTATUS_MIE | MSTATUS_MPIE),
            0x304 => (&mut self.mie, MIE_EXTERNAL),
            0x305 => (&mut self.mtvec, !2),
            0x340 => (&mut self.mscratch, u64::MAX),
            0x341 => (&mut self.mepc, !3),
            0x342 => (&mut self.mcause, u64::MAX),
            0x343 => (&mut self.mtval, u64::MAX),
            // misa: 64 bits, I. mip follows the line. Both may be written, without effect.
            0x301 => return Some(2 << 62 | 1 << 8),
            0x344 => return Some(external),
            // mvendorid, marchid, mimpid; mhartid. Read-only by their number.
            0xf11..=0xf13 if write.is_none() => return Some(0),
            0xf14 if write.is_none() => return Some(self.header.number().into()),
            _ => return None,
        };
        let old = *register;
        if let Some(new) = write {
            *register = old & !mask | new & mask;
        }
        Some(old)
    }
}

// SAFETY (all helpers): the host passes a CPU of this target, which only this thread uses.
unsafe fn hart<'a>(cpu: *mut CpuHeader) -> &'a mut Hart {
    // SAFETY: the caller says so; the header is the first member.
    unsafe { &mut *cpu.cast() }
}

unsafe extern "C" fn helper_trap(cpu: *mut CpuHeader, cause: u64, value: u64, _: u64, _: u64) -> HelperReturn {
    // SAFETY: see `hart`.
    unsafe { hart(cpu) }.trap(cause, value);
    HelperReturn::exit()
}

unsafe extern "C" fn helper_mret(cpu: *mut CpuHeader, _: u64, _: u64, _: u64, _: u64) -> HelperReturn {
    // SAFETY: see `hart`.
    unsafe { hart(cpu) }.mret();
    HelperReturn::exit()
}

/// A CSR instruction `insn` with its operand: the old value, or an illegal instruction exception.
unsafe extern "C" fn helper_csr(cpu: *mut CpuHeader, operand: u64, _: u64, _: u64, insn: u64) -> HelperReturn {
    // SAFETY: see `hart`.
    let hart = unsafe { hart(cpu) };
    let (number, funct3, source) = ((insn >> 20) as u32, insn >> 12 & 3, insn >> 15 & 31);
    let old = hart.csr(number, None);
    // CSRRS and CSRRC with x0 or 0 do not write at all (volume I, "Zicsr").
    let new = match (funct3, old) {
        (1, Some(_)) => Some(operand),
        (2, Some(old)) if source != 0 => Some(old | operand),
        (3, Some(old)) if source != 0 => Some(old & !operand),
        _ => None,
    };
    let done = match new {
        Some(_) => hart.csr(number, new),
        None => old,
    };
    match done {
        Some(old) => HelperReturn::value(old),
        None => {
            hart.trap(cause::ILLEGAL, insn);
            HelperReturn::exit()
        }
    }
}
