//! A small A64 assembler: firmware stubs, the demo guest and the tests' bare-metal programs are
//! written with it, so that nothing here needs a cross compiler.
//!
//! The idea: [`Asm`] is a byte buffer with one method an instruction. Registers are values of
//! [`Reg`] (general, 32- or 64-bit view) or [`VReg`] (SIMD&FP); the width of an instruction is that
//! of its first register. Labels are handles; a reference to a label that is not yet bound leaves a
//! fix-up that [`Asm::finish`] resolves. Mistakes (an immediate that does not encode, a branch out of
//! range, an unbound label) do not panic: the first one is kept and `finish` returns it.
//!
//! Wrappers for what a loader expects are in [`image`] (arm64 Linux `Image`) and [`elf`] (ELF64).
//!
//! ```
//! use emu_a64_asm::{Asm, Cond, X0, X1};
//! let mut a = Asm::new(0x4020_0000);
//! let again = a.here();
//! a.subs_imm(X0, X0, 1);
//! a.b_cond(Cond::Ne, again);
//! a.mov_imm(X1, 0x8400_0008); // PSCI SYSTEM_OFF
//! a.mov(X0, X1);
//! a.hvc(0);
//! let code = a.finish().unwrap();
//! assert_eq!(&code[..4], &0xf100_0400_u32.to_le_bytes());
//! ```

mod asm;
mod data;
pub mod elf;
pub mod image;
mod mem;
mod reg;
mod simd;
mod system;

pub use asm::{Asm, AsmError, Label};
pub use data::encode_bitmask;
pub use mem::Addr;
pub use reg::*;
pub use simd::{Arr, Fp};
pub use system::{Barrier, PState, SysReg};
