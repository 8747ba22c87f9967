//! The raw encoder: bytes of the instruction forms that generated code consists of.
//!
//! One method a form. It knows nothing of guests or values; registers are numbers, jumps go to labels, and calls to thunks are recorded for
//! whoever places the code. Every form is decoded back by an independent disassembler in `tests/encoding.rs`.

/// A general-purpose register by its hardware number.
pub type Gpr = u8;
/// A vector register by its hardware number.
pub type Xmm = u8;

/// Hardware numbers of the general-purpose registers.
#[allow(missing_docs)]
pub mod reg {
    pub const RAX: u8 = 0;
    pub const RCX: u8 = 1;
    pub const RDX: u8 = 2;
    pub const RBX: u8 = 3;
    pub const RSP: u8 = 4;
    pub const RBP: u8 = 5;
    pub const RSI: u8 = 6;
    pub const RDI: u8 = 7;
    pub const R8: u8 = 8;
    pub const R9: u8 = 9;
    pub const R10: u8 = 10;
    pub const R11: u8 = 11;
    pub const R12: u8 = 12;
    pub const R13: u8 = 13;
    pub const R14: u8 = 14;
    pub const R15: u8 = 15;
}

/// A condition code, as the hardware numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cc(pub u8);

#[allow(missing_docs)]
impl Cc {
    pub const O: Cc = Cc(0);
    pub const NO: Cc = Cc(1);
    pub const B: Cc = Cc(2);
    pub const AE: Cc = Cc(3);
    pub const E: Cc = Cc(4);
    pub const NE: Cc = Cc(5);
    pub const BE: Cc = Cc(6);
    pub const A: Cc = Cc(7);
    pub const S: Cc = Cc(8);
    pub const NS: Cc = Cc(9);
    pub const P: Cc = Cc(10);
    pub const NP: Cc = Cc(11);
    pub const L: Cc = Cc(12);
    pub const GE: Cc = Cc(13);
    pub const LE: Cc = Cc(14);
    pub const G: Cc = Cc(15);

    /// The opposite condition.
    #[must_use]
    pub const fn not(self) -> Cc {
        Cc(self.0 ^ 1)
    }
}

/// The eight operations that share encodings, by their hardware number.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    Sbb = 3,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotations, by their hardware number.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Shift {
    Rol = 0,
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// A memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mem {
    /// Base register.
    pub base: Gpr,
    /// Index register and log2 of its scale.
    pub index: Option<(Gpr, u8)>,
    /// Displacement.
    pub disp: i32,
}

impl Mem {
    /// `[base + disp]`.
    pub const fn at(base: Gpr, disp: i32) -> Mem {
        Mem { base, index: None, disp }
    }
    /// `[base + index << scale + disp]`.
    pub const fn indexed(base: Gpr, index: Gpr, scale: u8, disp: i32) -> Mem {
        Mem { base, index: Some((index, scale)), disp }
    }
    /// The operand `more` bytes further on.
    #[must_use]
    pub const fn plus(self, more: i32) -> Mem {
        Mem { disp: self.disp + more, ..self }
    }
}

/// Operand size of an integer instruction.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    B,
    W,
    D,
    Q,
}

impl Size {
    /// The size of so many bits; 64 for any that has none.
    pub const fn bits(bits: u32) -> Size {
        match bits {
            1 | 8 => Size::B,
            16 => Size::W,
            32 => Size::D,
            _ => Size::Q,
        }
    }
}

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(pub u32);

/// A call or jump to code outside of the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outside {
    /// Offset of the 32-bit displacement, which is relative to the byte behind it.
    pub at: u32,
    /// Whose address it is.
    pub target: u32,
}

const UNBOUND: u32 = u32::MAX;

/// A buffer of code.
#[derive(Default)]
pub struct Asm {
    /// The bytes.
    pub code: Vec<u8>,
    labels: Vec<u32>,
    fixups: Vec<(u32, Label)>,
    /// Labels bound so far.
    binds: u32,
    /// Displacements for the placer to fill in.
    pub outside: Vec<Outside>,
    /// Where addresses of helpers are, of eight bytes, and which helpers: they are others in another process.
    pub helpers: Vec<(u32, u32)>,
    /// Where [`Region::origin`](crate::Region::origin) is, in eight bytes.
    pub origins: Vec<u32>,
    /// Where guest addresses are that are as far from those of the region's units wherever its page is mapped, in eight bytes.
    pub addresses: Vec<u32>,
}

/// The bytes of an instruction up to its displacement while they are put together: at most eight, in a register.
#[derive(Clone, Copy, Default)]
struct Head {
    bytes: u64,
    bits: u32,
}

impl Head {
    #[inline]
    fn u8(&mut self, b: u8) {
        self.bytes |= u64::from(b) << self.bits;
        self.bits += 8;
    }
}

enum Rm {
    R(u8),
    M(Mem),
    /// Data at a label, and how many bytes of the instruction follow the displacement.
    L(Label, u8),
}

impl Asm {
    /// Empties the buffer.
    pub fn clear(&mut self) {
        self.code.clear();
        self.labels.clear();
        self.fixups.clear();
        self.outside.clear();
        self.helpers.clear();
        self.origins.clear();
        self.addresses.clear();
        self.binds = 0;
    }
    /// A mark that is another once a label was bound, or something emitted that depends on its place.
    pub fn mark(&self) -> (u32, usize, usize) {
        (self.binds, self.fixups.len(), self.outside.len() + self.helpers.len())
    }
    /// Emits some of what was emitted already once more. Nothing in it depends on its place.
    pub fn again(&mut self, from: u32, to: u32) {
        let by = self.here() - from;
        for i in 0..self.addresses.len() {
            if (from..to).contains(&self.addresses[i]) {
                self.addresses.push(self.addresses[i] + by);
            }
        }
        self.code.extend_from_within(from as usize..to as usize);
    }
    /// Offset of the next byte.
    pub fn here(&self) -> u32 {
        self.code.len() as u32
    }
    /// A label to be bound later.
    pub fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }
    /// A label of an offset.
    pub fn label_at(&mut self, offset: u32) -> Label {
        self.labels.push(offset);
        Label(self.labels.len() as u32 - 1)
    }
    /// Binds a label to the next byte.
    pub fn bind(&mut self, label: Label) {
        self.binds += 1;
        self.labels[label.0 as usize] = self.here();
    }
    /// Where a label is bound, if it is.
    pub fn offset(&self, label: Label) -> Option<u32> {
        Some(self.labels[label.0 as usize]).filter(|o| *o != UNBOUND)
    }
    /// Fills in the displacements of jumps to labels. All labels used must be bound.
    pub fn resolve(&mut self) {
        for (at, label) in self.fixups.drain(..) {
            let target = self.labels[label.0 as usize];
            debug_assert_ne!(target, UNBOUND, "label {} is not bound", label.0);
            let place = &mut self.code[at as usize..at as usize + 4];
            // What is there counts the bytes between the displacement and the end of the instruction.
            let rest = place[0];
            let rel = target.wrapping_sub(at + 4 + u32::from(rest));
            place.copy_from_slice(&rel.to_le_bytes());
        }
    }

    /// The next instruction's memory operand is in the segment that the guest's memory begins at.
    pub fn guest_segment(&mut self) {
        self.u8(0x65);
    }
    #[inline]
    fn u8(&mut self, b: u8) {
        self.code.push(b);
    }
    #[inline]
    fn bytes(&mut self, b: &[u8]) {
        self.code.extend_from_slice(b);
    }
    #[inline]
    fn i32(&mut self, v: i32) {
        self.bytes(&v.to_le_bytes());
    }

    /// Appends the head of an instruction: a store of eight bytes, of which the first stay.
    #[inline]
    fn put(&mut self, head: Head) {
        let end = self.code.len() + head.bits as usize / 8;
        self.code.extend_from_slice(&head.bytes.to_le_bytes());
        self.code.truncate(end);
    }

    /// What there is of an instruction, ModRM, SIB and displacement.
    #[inline]
    fn modrm(&mut self, mut head: Head, reg: u8, rm: &Rm) {
        let reg = (reg & 7) << 3;
        match *rm {
            Rm::R(r) => {
                head.u8(0xc0 | reg | r & 7);
                self.put(head);
            }
            Rm::L(label, rest) => {
                head.u8(reg | 5);
                self.put(head);
                self.fixups.push((self.here(), label));
                self.i32(rest.into());
            }
            Rm::M(m) => {
                let small = i8::try_from(m.disp).is_ok();
                let no_disp = m.disp == 0 && m.base & 7 != 5;
                let mode = if no_disp {
                    0
                } else if small {
                    0x40
                } else {
                    0x80
                };
                match m.index {
                    None if m.base & 7 != 4 => head.u8(mode | reg | m.base & 7),
                    None => {
                        head.u8(mode | reg | 4);
                        head.u8(0x24);
                    }
                    Some((index, scale)) => {
                        debug_assert_ne!(index, reg::RSP);
                        head.u8(mode | reg | 4);
                        head.u8(scale << 6 | (index & 7) << 3 | m.base & 7);
                    }
                }
                self.put(head);
                if !no_disp {
                    if small { self.u8(m.disp as u8) } else { self.i32(m.disp) }
                }
            }
        }
    }
    /// Legacy prefixes, REX, opcode bytes, ModRM.
    #[inline]
    fn form(&mut self, prefix: u8, wide: bool, byte_regs: bool, opcode: &[u8], reg: u8, rm: Rm) {
        let mut head = Head::default();
        if prefix != 0 {
            head.u8(prefix);
        }
        let (x, b) = match &rm {
            Rm::R(r) => (0, r >> 3),
            Rm::L(..) => (0, 0),
            Rm::M(m) => (m.index.map_or(0, |i| i.0 >> 3), m.base >> 3),
        };
        let rex = u8::from(wide) << 3 | (reg >> 3) << 2 | x << 1 | b;
        let low_byte = byte_regs && (reg >= 4 || matches!(rm, Rm::R(r) if r >= 4));
        if rex != 0 || low_byte {
            head.u8(0x40 | rex);
        }
        opcode.iter().for_each(|b| head.u8(*b));
        self.modrm(head, reg, &rm);
    }
    #[inline]
    fn sized(&mut self, size: Size, opcode: u8, reg: u8, rm: Rm) {
        match size {
            Size::B => self.form(0, false, true, &[opcode & !1], reg, rm),
            Size::W => self.form(0x66, false, false, &[opcode], reg, rm),
            Size::D => self.form(0, false, false, &[opcode], reg, rm),
            Size::Q => self.form(0, true, false, &[opcode], reg, rm),
        }
    }

    // -- moves -------------------------------------------------------------------------------------------------------------------------
    /// `mov dst, src`.
    pub fn mov_rr(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.sized(size, 0x8b, dst, Rm::R(src));
    }
    /// `mov dst, [m]` (32 or 64 bits; the narrow ones leave the upper bits).
    pub fn mov_rm(&mut self, size: Size, dst: Gpr, m: Mem) {
        self.sized(size, 0x8b, dst, Rm::M(m));
    }
    /// `mov [m], src`.
    pub fn mov_mr(&mut self, size: Size, m: Mem, src: Gpr) {
        self.sized(size, 0x89, src, Rm::M(m));
    }
    /// `mov dst, imm` in its shortest form; flags stay.
    pub fn mov_ri(&mut self, dst: Gpr, imm: u64) {
        if let Ok(v) = u32::try_from(imm) {
            if dst >= 8 {
                self.u8(0x41);
            }
            self.u8(0xb8 | dst & 7);
            self.bytes(&v.to_le_bytes());
        } else if let Ok(v) = i32::try_from(imm as i64) {
            self.form(0, true, false, &[0xc7], 0, Rm::R(dst));
            self.i32(v);
        } else {
            self.u8(0x48 | dst >> 3);
            self.u8(0xb8 | dst & 7);
            self.bytes(&imm.to_le_bytes());
        }
    }
    /// `mov dst, imm` with the address of a helper, whatever it is in eight bytes, for it is another in another process.
    pub fn mov_helper(&mut self, dst: Gpr, number: u32, address: usize) {
        self.u8(0x48 | dst >> 3);
        self.u8(0xb8 | dst & 7);
        self.helpers.push((self.here(), number));
        self.bytes(&(address as u64).to_le_bytes());
    }
    /// `mov dst, imm` with a guest address, whatever it is in eight bytes, which is noted in `addresses`.
    pub fn mov_address(&mut self, dst: Gpr, va: u64) {
        self.u8(0x48 | dst >> 3);
        self.u8(0xb8 | dst & 7);
        self.addresses.push(self.here());
        self.bytes(&va.to_le_bytes());
    }
    /// `mov [m], imm`, sign-extended to the size.
    pub fn mov_mi(&mut self, size: Size, m: Mem, imm: i32) {
        self.sized(size, 0xc7, 0, Rm::M(m));
        match size {
            Size::B => self.u8(imm as u8),
            Size::W => self.bytes(&(imm as i16).to_le_bytes()),
            _ => self.i32(imm),
        }
    }
    /// Zero extension from 8 or 16 bits to 64, or a 32-bit move.
    pub fn movzx_rr(&mut self, from: Size, dst: Gpr, src: Gpr) {
        match from {
            Size::B => self.form(0, false, true, &[0x0f, 0xb6], dst, Rm::R(src)),
            Size::W => self.form(0, false, false, &[0x0f, 0xb7], dst, Rm::R(src)),
            _ => self.mov_rr(from, dst, src),
        }
    }
    /// Zero-extending load.
    pub fn movzx_rm(&mut self, from: Size, dst: Gpr, m: Mem) {
        match from {
            Size::B => self.form(0, false, false, &[0x0f, 0xb6], dst, Rm::M(m)),
            Size::W => self.form(0, false, false, &[0x0f, 0xb7], dst, Rm::M(m)),
            _ => self.mov_rm(from, dst, m),
        }
    }
    /// Sign extension from 8, 16 or 32 bits to 32 or 64.
    pub fn movsx_rr(&mut self, from: Size, wide: bool, dst: Gpr, src: Gpr) {
        match from {
            Size::B => self.form(0, wide, true, &[0x0f, 0xbe], dst, Rm::R(src)),
            Size::W => self.form(0, wide, false, &[0x0f, 0xbf], dst, Rm::R(src)),
            _ => self.form(0, wide, false, &[0x63], dst, Rm::R(src)),
        }
    }
    /// The same from memory; nothing is extended from 32 bits to 32.
    pub fn movsx_rm(&mut self, from: Size, wide: bool, dst: Gpr, m: Mem) {
        match from {
            Size::B => self.form(0, wide, false, &[0x0f, 0xbe], dst, Rm::M(m)),
            Size::W => self.form(0, wide, false, &[0x0f, 0xbf], dst, Rm::M(m)),
            _ if wide => self.form(0, true, false, &[0x63], dst, Rm::M(m)),
            _ => self.mov_rm(Size::D, dst, m),
        }
    }
    /// `lea dst, [m]`.
    pub fn lea(&mut self, size: Size, dst: Gpr, m: Mem) {
        self.form(0, size == Size::Q, false, &[0x8d], dst, Rm::M(m));
    }
    /// `lea dst, [rip + label]`.
    pub fn lea_label(&mut self, dst: Gpr, label: Label) {
        self.bytes(&[0x48 | (dst >> 3) << 2, 0x8d, 5 | (dst & 7) << 3]);
        self.fixups.push((self.here(), label));
        self.i32(0);
    }
    /// `xchg [m], r`.
    pub fn xchg_mr(&mut self, size: Size, m: Mem, r: Gpr) {
        self.sized(size, 0x87, r, Rm::M(m));
    }
    /// `push r`.
    pub fn push(&mut self, r: Gpr) {
        if r >= 8 {
            self.u8(0x41);
        }
        self.u8(0x50 | r & 7);
    }
    /// `pop r`.
    pub fn pop(&mut self, r: Gpr) {
        if r >= 8 {
            self.u8(0x41);
        }
        self.u8(0x58 | r & 7);
    }

    /// `push qword [m]`.
    pub fn push_m(&mut self, m: Mem) {
        self.form(0, false, false, &[0xff], 6, Rm::M(m));
    }
    /// `push imm`, sign-extended.
    pub fn push_i(&mut self, imm: i32) {
        match i8::try_from(imm) {
            Ok(b) => self.bytes(&[0x6a, b as u8]),
            Err(_) => {
                self.u8(0x68);
                self.i32(imm);
            }
        }
    }
    /// `pushfq`.
    pub fn pushf(&mut self) {
        self.u8(0x9c);
    }
    /// `popfq`.
    pub fn popf(&mut self) {
        self.u8(0x9d);
    }

    // -- arithmetic --------------------------------------------------------------------------------------------------------------------
    /// `op dst, src`.
    pub fn alu_rr(&mut self, op: Alu, size: Size, dst: Gpr, src: Gpr) {
        self.sized(size, (op as u8) << 3 | 3, dst, Rm::R(src));
    }
    /// `op dst, [m]`.
    pub fn alu_rm(&mut self, op: Alu, size: Size, dst: Gpr, m: Mem) {
        self.sized(size, (op as u8) << 3 | 3, dst, Rm::M(m));
    }
    /// `op [m], src`.
    pub fn alu_mr(&mut self, op: Alu, size: Size, m: Mem, src: Gpr) {
        self.sized(size, (op as u8) << 3 | 1, src, Rm::M(m));
    }
    fn alu_imm(&mut self, op: Alu, size: Size, rm: Rm, imm: i32) {
        match (size, i8::try_from(imm)) {
            (Size::B, _) => {
                self.form(0, false, true, &[0x80], op as u8, rm);
                self.u8(imm as u8);
            }
            (_, Ok(small)) => {
                self.sized(size, 0x83, op as u8, rm);
                self.u8(small as u8);
            }
            _ => {
                self.sized(size, 0x81, op as u8, rm);
                if size == Size::W { self.bytes(&(imm as i16).to_le_bytes()) } else { self.i32(imm) }
            }
        }
    }
    /// `op dst, imm`, sign-extended.
    pub fn alu_ri(&mut self, op: Alu, size: Size, dst: Gpr, imm: i32) {
        self.alu_imm(op, size, Rm::R(dst), imm);
    }
    /// `op [m], imm`, sign-extended.
    pub fn alu_mi(&mut self, op: Alu, size: Size, m: Mem, imm: i32) {
        self.alu_imm(op, size, Rm::M(m), imm);
    }
    /// `test a, b`.
    pub fn test_rr(&mut self, size: Size, a: Gpr, b: Gpr) {
        self.sized(size, 0x85, b, Rm::R(a));
    }
    /// `test a, imm`, sign-extended; of what is only its lowest bits the shortest instruction with these flags.
    pub fn test_ri(&mut self, size: Size, a: Gpr, imm: i32) {
        let size = match (size, imm) {
            (_, 0..0x80) => Size::B,
            (Size::Q, 0x80..) => Size::D,
            _ => size,
        };
        self.sized(size, 0xf7, 0, Rm::R(a));
        match size {
            Size::B => self.u8(imm as u8),
            Size::W => self.bytes(&(imm as i16).to_le_bytes()),
            _ => self.i32(imm),
        }
    }
    /// `not r`.
    pub fn not(&mut self, size: Size, r: Gpr) {
        self.sized(size, 0xf7, 2, Rm::R(r));
    }
    /// `neg r`.
    pub fn neg(&mut self, size: Size, r: Gpr) {
        self.sized(size, 0xf7, 3, Rm::R(r));
    }
    /// `mul r`: rdx:rax = rax * r, unsigned.
    pub fn mul(&mut self, size: Size, r: Gpr) {
        self.sized(size, 0xf7, 4, Rm::R(r));
    }
    /// `imul r`: rdx:rax = rax * r, signed.
    pub fn imul1(&mut self, size: Size, r: Gpr) {
        self.sized(size, 0xf7, 5, Rm::R(r));
    }
    /// `div r`: rax = rdx:rax / r, unsigned.
    pub fn div(&mut self, size: Size, r: Gpr) {
        self.sized(size, 0xf7, 6, Rm::R(r));
    }
    /// `idiv r`: rax = rdx:rax / r, signed.
    pub fn idiv(&mut self, size: Size, r: Gpr) {
        self.sized(size, 0xf7, 7, Rm::R(r));
    }
    /// `cdq` or `cqo`.
    pub fn cqo(&mut self, size: Size) {
        if size == Size::Q {
            self.u8(0x48);
        }
        self.u8(0x99);
    }
    /// `imul dst, src`.
    pub fn imul_rr(&mut self, size: Size, dst: Gpr, src: Gpr) {
        self.form(0, size == Size::Q, false, &[0x0f, 0xaf], dst, Rm::R(src));
    }
    /// `imul dst, [m]`.
    pub fn imul_rm(&mut self, size: Size, dst: Gpr, m: Mem) {
        self.form(0, size == Size::Q, false, &[0x0f, 0xaf], dst, Rm::M(m));
    }
    /// Shift or rotation by a constant.
    pub fn shift_ri(&mut self, op: Shift, size: Size, r: Gpr, by: u8) {
        self.sized(size, 0xc1, op as u8, Rm::R(r));
        self.u8(by);
    }
    /// Shift or rotation by cl.
    pub fn shift_cl(&mut self, op: Shift, size: Size, r: Gpr) {
        self.sized(size, 0xd3, op as u8, Rm::R(r));
    }
    /// `shrd dst, src, by`.
    pub fn shrd(&mut self, size: Size, dst: Gpr, src: Gpr, by: u8) {
        self.form(0, size == Size::Q, false, &[0x0f, 0xac], src, Rm::R(dst));
        self.u8(by);
    }
    /// `bswap r`.
    pub fn bswap(&mut self, size: Size, r: Gpr) {
        let rex = u8::from(size == Size::Q) << 3 | r >> 3;
        if rex != 0 {
            self.u8(0x40 | rex);
        }
        self.bytes(&[0x0f, 0xc8 | r & 7]);
    }
    /// `bt r, bit`.
    pub fn bt_ri(&mut self, size: Size, r: Gpr, bit: u8) {
        self.form(0, size == Size::Q, false, &[0x0f, 0xba], 4, Rm::R(r));
        self.u8(bit);
    }
    /// `lzcnt` (prefix F3, 0xbd), `tzcnt` (F3, 0xbc), `popcnt` (F3, 0xb8), `bsr` (0, 0xbd), `bsf` (0, 0xbc).
    pub fn bits_rr(&mut self, prefix: u8, opcode: u8, size: Size, dst: Gpr, src: Gpr) {
        self.form(prefix, size == Size::Q, false, &[0x0f, opcode], dst, Rm::R(src));
    }
    /// SSE4.2's `crc32 dst, src`, of 8 to 64 bits.
    pub fn crc32(&mut self, size: Size, dst: Gpr, src: Gpr) {
        if size == Size::W {
            self.u8(0x66);
        }
        let op = if size == Size::B { 0xf0 } else { 0xf1 };
        self.form(0xf2, size == Size::Q, size == Size::B, &[0x0f, 0x38, op], dst, Rm::R(src));
    }
    /// BMI2's `shlx` (pp 1), `sarx` (pp 2), `shrx` (pp 3).
    pub fn shiftx(&mut self, op: Shift, size: Size, dst: Gpr, src: Gpr, by: Gpr) {
        let pp = match op {
            Shift::Shl => 1,
            Shift::Sar => 2,
            _ => 3,
        };
        self.vex(pp, 2, size == Size::Q, false, 0xf7, dst, by, Rm::R(src));
    }
    /// BMI2's `rorx dst, src, by`.
    pub fn rorx(&mut self, size: Size, dst: Gpr, src: Gpr, by: u8) {
        self.vex(3, 3, size == Size::Q, false, 0xf0, dst, 0, Rm::R(src));
        self.u8(by);
    }
    /// BMI2's `mulx high, low, src`: rdx by `src`, both unsigned; the high half if both are one register. Flags stay.
    pub fn mulx_rr(&mut self, size: Size, high: Gpr, low: Gpr, src: Gpr) {
        self.vex(3, 2, size == Size::Q, false, 0xf6, high, low, Rm::R(src));
    }
    /// `mulx high, low, [m]`.
    pub fn mulx_rm(&mut self, size: Size, high: Gpr, low: Gpr, m: Mem) {
        self.vex(3, 2, size == Size::Q, false, 0xf6, high, low, Rm::M(m));
    }
    /// BMI1's `andn dst, a, b`: !a & b.
    pub fn andn(&mut self, size: Size, dst: Gpr, a: Gpr, b: Gpr) {
        self.vex(0, 2, size == Size::Q, false, 0xf2, dst, a, Rm::R(b));
    }
    /// `cmc`.
    pub fn cmc(&mut self) {
        self.u8(0xf5);
    }
    /// `setcc r8`.
    pub fn setcc(&mut self, cc: Cc, r: Gpr) {
        self.form(0, false, true, &[0x0f, 0x90 | cc.0], 0, Rm::R(r));
    }
    /// `setcc [m]`.
    pub fn setcc_m(&mut self, cc: Cc, m: Mem) {
        self.form(0, false, false, &[0x0f, 0x90 | cc.0], 0, Rm::M(m));
    }
    /// `cmovcc dst, src`.
    pub fn cmov_rr(&mut self, cc: Cc, size: Size, dst: Gpr, src: Gpr) {
        self.form(0, size == Size::Q, false, &[0x0f, 0x40 | cc.0], dst, Rm::R(src));
    }
    /// `cmovcc dst, [m]`.
    pub fn cmov_rm(&mut self, cc: Cc, size: Size, dst: Gpr, m: Mem) {
        self.form(0, size == Size::Q, false, &[0x0f, 0x40 | cc.0], dst, Rm::M(m));
    }

    // -- atomics -----------------------------------------------------------------------------------------------------------------------
    /// The prefix that makes the next instruction atomic and a full fence.
    pub fn lock(&mut self) {
        self.u8(0xf0);
    }
    /// `cmpxchg [m], src`.
    pub fn cmpxchg(&mut self, size: Size, m: Mem, src: Gpr) {
        let op = if size == Size::B { 0xb0 } else { 0xb1 };
        let prefix = if size == Size::W { 0x66 } else { 0 };
        self.form(prefix, size == Size::Q, size == Size::B, &[0x0f, op], src, Rm::M(m));
    }
    /// `xadd [m], src`.
    pub fn xadd(&mut self, size: Size, m: Mem, src: Gpr) {
        let op = if size == Size::B { 0xc0 } else { 0xc1 };
        let prefix = if size == Size::W { 0x66 } else { 0 };
        self.form(prefix, size == Size::Q, size == Size::B, &[0x0f, op], src, Rm::M(m));
    }
    /// `cmpxchg16b [m]`.
    pub fn cmpxchg16b(&mut self, m: Mem) {
        self.form(0, true, false, &[0x0f, 0xc7], 1, Rm::M(m));
    }
    /// `lock or dword [rsp], 0`: a full fence, cheaper than `mfence`.
    pub fn full_fence(&mut self) {
        self.u8(0xf0);
        self.alu_mi(Alu::Or, Size::D, Mem::at(reg::RSP, 0), 0);
    }

    // -- control -----------------------------------------------------------------------------------------------------------------------
    /// `jcc label`.
    pub fn jcc(&mut self, cc: Cc, label: Label) {
        self.bytes(&[0x0f, 0x80 | cc.0]);
        self.fixups.push((self.here(), label));
        self.i32(0);
    }
    /// `jmp label`.
    pub fn jmp(&mut self, label: Label) {
        self.u8(0xe9);
        self.fixups.push((self.here(), label));
        self.i32(0);
    }
    /// `call label`.
    pub fn call(&mut self, label: Label) {
        self.u8(0xe8);
        self.fixups.push((self.here(), label));
        self.i32(0);
    }
    /// `jmp` to code outside.
    pub fn jmp_outside(&mut self, target: u32) {
        self.u8(0xe9);
        self.outside.push(Outside { at: self.here(), target });
        self.i32(0);
    }
    /// `jcc` to code outside.
    pub fn jcc_outside(&mut self, cc: Cc, target: u32) {
        self.bytes(&[0x0f, 0x80 | cc.0]);
        self.outside.push(Outside { at: self.here(), target });
        self.i32(0);
    }
    /// `call` to code outside.
    pub fn call_outside(&mut self, target: u32) {
        self.u8(0xe8);
        self.outside.push(Outside { at: self.here(), target });
        self.i32(0);
    }
    /// `jmp r`.
    pub fn jmp_r(&mut self, r: Gpr) {
        self.form(0, false, false, &[0xff], 4, Rm::R(r));
    }
    /// `jmp [m]`.
    pub fn jmp_m(&mut self, m: Mem) {
        self.form(0, false, false, &[0xff], 4, Rm::M(m));
    }
    /// `jmp label` or `call label` (`0xe9`, `0xe8`) whose displacement is aligned to its size, so that it can be changed while it runs. The
    /// displacement's offset.
    fn patchable(&mut self, opcode: u8, label: Label) -> u32 {
        match 3 - self.here() % 4 {
            0 => {}
            1 => self.u8(0x90),
            2 => self.bytes(&[0x66, 0x90]),
            _ => self.bytes(&[0x0f, 0x1f, 0x00]),
        }
        self.u8(opcode);
        let at = self.here();
        self.fixups.push((at, label));
        self.i32(0);
        at
    }
    /// `jmp label`, to be patched: the offset of its displacement.
    pub fn jmp_patchable(&mut self, label: Label) -> u32 {
        self.patchable(0xe9, label)
    }
    /// `call label`, to be patched: the offset of its displacement.
    pub fn call_patchable(&mut self, label: Label) -> u32 {
        self.patchable(0xe8, label)
    }
    /// `call [m]`.
    pub fn call_m(&mut self, m: Mem) {
        self.form(0, false, false, &[0xff], 2, Rm::M(m));
    }
    /// `call r`.
    pub fn call_r(&mut self, r: Gpr) {
        self.form(0, false, false, &[0xff], 2, Rm::R(r));
    }
    /// `ret`.
    pub fn ret(&mut self) {
        self.u8(0xc3);
    }
    /// `ud2`: must not be reached.
    pub fn ud2(&mut self) {
        self.bytes(&[0x0f, 0x0b]);
    }
    /// Data in the code, aligned to 8 bytes, or to 16 if it is 16 long.
    pub fn data(&mut self, label: Label, bytes: &[u8]) {
        let alignment = if bytes.len() == 16 { 16 } else { 8 };
        while !self.code.len().is_multiple_of(alignment) {
            self.u8(0xcc);
        }
        self.bind(label);
        self.bytes(bytes);
    }

    /// Four words, aligned: the first is the distance from behind it to a label.
    pub fn words(&mut self, label: Label, to: Label, words: [u32; 3]) {
        while !self.code.len().is_multiple_of(4) {
            self.u8(0xcc);
        }
        self.bind(label);
        self.fixups.push((self.here(), to));
        self.i32(0);
        words.iter().for_each(|w| self.bytes(&w.to_le_bytes()));
    }

    // -- vectors -----------------------------------------------------------------------------------------------------------------------
    /// A legacy SSE instruction: mandatory prefix (0, 0x66, 0xf2, 0xf3), map (1: 0F, 2: 0F 38, 3: 0F 3A), REX.W.
    fn sse(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, reg: u8, rm: Rm) {
        match map {
            1 => self.form(prefix, wide, false, &[0x0f, opcode], reg, rm),
            2 => self.form(prefix, wide, false, &[0x0f, 0x38, opcode], reg, rm),
            _ => self.form(prefix, wide, false, &[0x0f, 0x3a, opcode], reg, rm),
        }
    }
    #[allow(clippy::too_many_arguments)]
    fn vex(&mut self, pp: u8, map: u8, wide: bool, long: bool, opcode: u8, reg: u8, v: u8, rm: Rm) {
        let (x, b) = match &rm {
            Rm::R(r) => (0, r >> 3),
            Rm::L(..) => (0, 0),
            Rm::M(m) => (m.index.map_or(0, |i| i.0 >> 3), m.base >> 3),
        };
        let r = reg >> 3;
        let low = (v ^ 15) << 3 | u8::from(long) << 2 | pp;
        let mut head = Head::default();
        if map == 1 && !wide && x == 0 && b == 0 {
            [0xc5, (r ^ 1) << 7 | low].into_iter().for_each(|b| head.u8(b));
        } else {
            [0xc4, (r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | map, u8::from(wide) << 7 | low].into_iter().for_each(|b| head.u8(b));
        }
        head.u8(opcode);
        self.modrm(head, reg, &rm);
    }
    fn pp(prefix: u8) -> u8 {
        match prefix {
            0x66 => 1,
            0xf3 => 2,
            0xf2 => 3,
            _ => 0,
        }
    }
    /// Legacy `op dst, src` on vector registers.
    pub fn sse_rr(&mut self, prefix: u8, map: u8, opcode: u8, dst: Xmm, src: Xmm) {
        self.sse(prefix, map, false, opcode, dst, Rm::R(src));
    }
    /// Legacy `op dst, [m]`.
    pub fn sse_rm(&mut self, prefix: u8, map: u8, opcode: u8, dst: Xmm, m: Mem) {
        self.sse(prefix, map, false, opcode, dst, Rm::M(m));
    }
    /// Legacy `op dst, [m], imm`, or with the operands the other way round.
    #[allow(clippy::too_many_arguments)]
    pub fn sse_rmi(&mut self, prefix: u8, map: u8, opcode: u8, reg: Xmm, m: Mem, imm: u8) {
        self.sse(prefix, map, false, opcode, reg, Rm::M(m));
        self.u8(imm);
    }
    /// Legacy `op dst, src, imm`.
    pub fn sse_rri(&mut self, prefix: u8, map: u8, opcode: u8, dst: Xmm, src: Xmm, imm: u8) {
        self.sse(prefix, map, false, opcode, dst, Rm::R(src));
        self.u8(imm);
    }
    /// Legacy `op dst, [label]`. All but the scalar instructions want the data 16-byte aligned.
    pub fn sse_rl(&mut self, prefix: u8, map: u8, opcode: u8, dst: Xmm, label: Label) {
        self.sse(prefix, map, false, opcode, dst, Rm::L(label, 0));
    }
    /// Legacy `op dst, [label], imm`.
    pub fn sse_rli(&mut self, prefix: u8, map: u8, opcode: u8, dst: Xmm, label: Label, imm: u8) {
        self.sse(prefix, map, false, opcode, dst, Rm::L(label, 1));
        self.u8(imm);
    }
    /// Legacy form between a vector register (`reg`) and a general-purpose one (`rm`), 64 bits if `wide`.
    pub fn sse_gpr(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, reg: u8, rm: u8) {
        self.sse(prefix, map, wide, opcode, reg, Rm::R(rm));
    }
    /// The same with an immediate.
    #[allow(clippy::too_many_arguments)]
    pub fn sse_gpr_i(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, reg: u8, rm: u8, imm: u8) {
        self.sse(prefix, map, wide, opcode, reg, Rm::R(rm));
        self.u8(imm);
    }
    /// VEX.128 `op dst, a, b`.
    pub fn avx_rrr(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, dst: Xmm, a: Xmm, b: Xmm) {
        self.vex(Self::pp(prefix), map, wide, false, opcode, dst, a, Rm::R(b));
    }
    /// VEX.128 `op dst, a, [m]`.
    pub fn avx_rrm(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, dst: Xmm, a: Xmm, m: Mem) {
        self.vex(Self::pp(prefix), map, wide, false, opcode, dst, a, Rm::M(m));
    }
    /// VEX.128 `op dst, a, [label]`.
    #[allow(clippy::too_many_arguments)]
    pub fn avx_rrl(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, dst: Xmm, a: Xmm, label: Label) {
        self.vex(Self::pp(prefix), map, wide, false, opcode, dst, a, Rm::L(label, 0));
    }
    /// VEX.128 `op dst, a, [label], imm`.
    #[allow(clippy::too_many_arguments)]
    pub fn avx_rrli(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, dst: Xmm, a: Xmm, label: Label, imm: u8) {
        self.vex(Self::pp(prefix), map, wide, false, opcode, dst, a, Rm::L(label, 1));
        self.u8(imm);
    }
    /// VEX.128 `op dst, a, b, imm`.
    #[allow(clippy::too_many_arguments)]
    pub fn avx_rrri(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, dst: Xmm, a: Xmm, b: Xmm, imm: u8) {
        self.vex(Self::pp(prefix), map, wide, false, opcode, dst, a, Rm::R(b));
        self.u8(imm);
    }
    fn evex(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, dst: Xmm, a: Xmm, b: Xmm) {
        let second = u8::from(wide) << 7 | (a ^ 15) << 3 | 4 | Self::pp(prefix);
        let mut head = Head::default();
        [0x62, (dst >> 3 ^ 1) << 7 | 0x40 | (b >> 3 ^ 1) << 5 | 0x10 | map, second, 8, opcode].into_iter().for_each(|b| head.u8(b));
        self.modrm(head, dst, &Rm::R(b));
    }
    /// EVEX.128.66 `op dst, a, b, imm` without a mask, on the first sixteen registers.
    pub fn evex_rrri(&mut self, map: u8, wide: bool, opcode: u8, dst: Xmm, a: Xmm, b: Xmm, imm: u8) {
        self.evex(0x66, map, wide, opcode, dst, a, b);
        self.u8(imm);
    }
    /// EVEX.128 `op dst, src`, likewise.
    pub fn evex_rr(&mut self, prefix: u8, map: u8, wide: bool, opcode: u8, dst: Xmm, src: Xmm) {
        self.evex(prefix, map, wide, opcode, dst, 0, src);
    }
    /// `movaps dst, src`.
    pub fn movaps(&mut self, dst: Xmm, src: Xmm) {
        self.sse_rr(0, 1, 0x28, dst, src);
    }
    /// `movups dst, [m]`.
    pub fn movups_rm(&mut self, dst: Xmm, m: Mem) {
        self.sse_rm(0, 1, 0x10, dst, m);
    }
    /// `movups [m], src`.
    pub fn movups_mr(&mut self, m: Mem, src: Xmm) {
        self.sse_rm(0, 1, 0x11, src, m);
    }
    /// `movq dst, [m]`: the upper half becomes zero.
    pub fn movq_rm(&mut self, dst: Xmm, m: Mem) {
        self.sse_rm(0xf3, 1, 0x7e, dst, m);
    }
    /// `movq dst, src` between vector registers: the upper half becomes zero.
    pub fn movq(&mut self, dst: Xmm, src: Xmm) {
        self.sse_rr(0xf3, 1, 0x7e, dst, src);
    }
    /// `movq [m], src`.
    pub fn movq_mr(&mut self, m: Mem, src: Xmm) {
        self.sse_rm(0x66, 1, 0xd6, src, m);
    }
    /// `movd dst, [m]`: the upper bits become zero.
    pub fn movd_rm(&mut self, dst: Xmm, m: Mem) {
        self.sse_rm(0x66, 1, 0x6e, dst, m);
    }
    /// `movd [m], src`.
    pub fn movd_mr(&mut self, m: Mem, src: Xmm) {
        self.sse_rm(0x66, 1, 0x7e, src, m);
    }
    /// `movq` (64 bits) or `movd` (32) from a general-purpose to a vector register; the upper bits become zero.
    pub fn mov_xr(&mut self, size: Size, dst: Xmm, src: Gpr) {
        self.sse_gpr(0x66, 1, size == Size::Q, 0x6e, dst, src);
    }
    /// `movq` (64 bits) or `movd` (32) from a vector to a general-purpose register.
    pub fn mov_rx(&mut self, size: Size, dst: Gpr, src: Xmm) {
        self.sse_gpr(0x66, 1, size == Size::Q, 0x7e, src, dst);
    }
    /// `pextrq dst, src, 1`.
    pub fn high_half(&mut self, dst: Gpr, src: Xmm) {
        self.sse_gpr_i(0x66, 3, true, 0x16, src, dst, 1);
    }
    /// `pinsrq dst, src, 1`.
    pub fn set_high_half(&mut self, dst: Xmm, src: Gpr) {
        self.sse_gpr_i(0x66, 3, true, 0x22, dst, src, 1);
    }
    /// `ldmxcsr [m]`.
    pub fn ldmxcsr(&mut self, m: Mem) {
        self.form(0, false, false, &[0x0f, 0xae], 2, Rm::M(m));
    }
    /// `stmxcsr [m]`.
    pub fn stmxcsr(&mut self, m: Mem) {
        self.form(0, false, false, &[0x0f, 0xae], 3, Rm::M(m));
    }
}
