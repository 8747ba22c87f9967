//! Instructions that the small assembler lacks.

use emu_a64_asm::*;

/// log2 of the bytes of an access: 0 to 3.
pub type Size = u32;

/// Order bits of an atomic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// The read is an acquire.
    pub acquire: bool,
    /// The write is a release.
    pub release: bool,
}

/// Neither.
pub const RELAXED: Order = Order { acquire: false, release: false };
/// Both.
pub const ACQ_REL: Order = Order { acquire: true, release: true };
/// Acquire.
pub const ACQUIRE: Order = Order { acquire: true, release: false };
/// Release.
pub const RELEASE: Order = Order { acquire: false, release: true };

/// One method an access of any size at `[rn]`.
macro_rules! sized {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        fn $name(&mut self, size: Size, rt: Reg, rn: Reg) {
            self.emit($op | size << 30 | rn.num() << 5 | rt.num());
        }
    )*};
}

/// One method a store-exclusive of any size.
macro_rules! exclusive {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        fn $name(&mut self, size: Size, rs: Reg, rt: Reg, rn: Reg) {
            self.emit($op | size << 30 | rs.num() << 16 | rn.num() << 5 | rt.num());
        }
    )*};
}

/// One method an instruction of three vectors.
macro_rules! vectors {
    ($($(#[$doc:meta])* $name:ident $op:literal;)*) => {$(
        $(#[$doc])*
        fn $name(&mut self, vd: VReg, vn: VReg, vm: VReg) {
            self.emit($op | vm.num() << 16 | vn.num() << 5 | vd.num());
        }
    )*};
}

/// Those instructions, as methods of the assembler.
pub trait Words {
    /// Appends a word.
    fn emit(&mut self, word: u32);

    sized! {
        /// LDR, zero offset, of a size.
        load 0x3940_0000;
        /// STR.
        store 0x3900_0000;
        /// LDAR.
        load_acquire 0x08df_fc00;
        /// STLR.
        store_release 0x089f_fc00;
        /// LDLAR.
        load_loacquire 0x08df_7c00;
        /// STLLR.
        store_lorelease 0x089f_7c00;
        /// LDAPR.
        ldapr 0x38bf_c000;
        /// LDAPUR, zero offset.
        ldapur 0x1940_0000;
        /// STLUR, zero offset.
        stlur 0x1900_0000;
        /// LDXR.
        load_exclusive 0x085f_7c00;
        /// LDAXR.
        load_acquire_exclusive 0x085f_fc00;
    }
    exclusive! {
        /// STXR.
        store_exclusive 0x0800_7c00;
        /// STLXR.
        store_release_exclusive 0x0800_fc00;
    }
    vectors! {
        /// EOR (vector), 16B.
        eor_16b 0x6e20_1c00;
        /// ORR (vector), 16B.
        orr_v 0x4ea0_1c00;
        /// FADD (scalar), double.
        fadd_d 0x1e60_2800;
        /// FMUL (scalar), double.
        fmul_d 0x1e60_0800;
    }

    /// LDADD with any order.
    fn ldadd_of(&mut self, o: Order, size: Size, rs: Reg, rt: Reg, rn: Reg) {
        self.emit(0x3820_0000 | order_bits(o) | size << 30 | rs.num() << 16 | rn.num() << 5 | rt.num());
    }
    /// SWP with any order.
    fn swp(&mut self, o: Order, size: Size, rs: Reg, rt: Reg, rn: Reg) {
        self.emit(0x3820_8000 | order_bits(o) | size << 30 | rs.num() << 16 | rn.num() << 5 | rt.num());
    }
    /// CAS with any order: `rs` is compared and gets the old value, `rt` is stored.
    fn cas(&mut self, o: Order, size: Size, rs: Reg, rt: Reg, rn: Reg) {
        let bits = u32::from(o.acquire) << 22 | u32::from(o.release) << 15;
        self.emit(0x08a0_7c00 | bits | size << 30 | rs.num() << 16 | rn.num() << 5 | rt.num());
    }
    /// CASP of two X registers with any order; registers are even.
    fn casp(&mut self, o: Order, rs: Reg, rt: Reg, rn: Reg) {
        let bits = u32::from(o.acquire) << 22 | u32::from(o.release) << 15;
        self.emit(0x4820_7c00 | bits | rs.num() << 16 | rn.num() << 5 | rt.num());
    }
    /// LDXP of two X registers.
    fn ldxp(&mut self, t1: Reg, t2: Reg, rn: Reg) {
        self.emit(0xc87f_0000 | t2.num() << 10 | rn.num() << 5 | t1.num());
    }
    /// LDAXP of two X registers.
    fn ldaxp(&mut self, t1: Reg, t2: Reg, rn: Reg) {
        self.emit(0xc87f_8000 | t2.num() << 10 | rn.num() << 5 | t1.num());
    }
    /// STXP of two X registers.
    fn stxp(&mut self, rs: Reg, t1: Reg, t2: Reg, rn: Reg) {
        self.emit(0xc820_0000 | rs.num() << 16 | t2.num() << 10 | rn.num() << 5 | t1.num());
    }
    /// STLXP of two X registers.
    fn stlxp(&mut self, rs: Reg, t1: Reg, t2: Reg, rn: Reg) {
        self.emit(0xc820_8000 | rs.num() << 16 | t2.num() << 10 | rn.num() << 5 | t1.num());
    }
    /// DUP (general), 2D.
    fn dup_2d(&mut self, vd: VReg, rn: Reg) {
        self.emit(0x4e08_0c00 | rn.num() << 5 | vd.num());
    }
    /// INS (general) of the upper doubleword.
    fn ins_d1(&mut self, vd: VReg, rn: Reg) {
        self.emit(0x4e18_1c00 | rn.num() << 5 | vd.num());
    }
    /// UMOV of a doubleword, 0 or 1.
    fn umov_d(&mut self, rd: Reg, vn: VReg, index: u32) {
        self.emit(0x4e08_3c00 | index << 20 | vn.num() << 5 | rd.num());
    }
    /// ADD (extended register), UXTX: SP may be an operand.
    fn add_sp(&mut self, rd: Reg, rn: Reg, rm: Reg) {
        self.emit(0x8b20_6000 | rm.num() << 16 | rn.num() << 5 | rd.num());
    }
}

fn order_bits(o: Order) -> u32 {
    u32::from(o.acquire) << 23 | u32::from(o.release) << 22
}

impl Words for Asm {
    fn emit(&mut self, word: u32) {
        self.word(word);
    }
}
