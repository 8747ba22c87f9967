//! The builder: bytes, labels, fix-ups, branches and address formation.

use crate::{Cond, Reg};
use std::fmt;

/// A place in the code, bound or still to be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// What was wrong with the program, with the offset of the offending word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsmError {
    /// Offset from the start of the code, in bytes.
    pub offset: usize,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {:#x}: {}", self.offset, self.message)
    }
}

impl std::error::Error for AsmError {}

/// How a reference to a label is written into its word.
#[derive(Clone, Copy, Debug)]
enum Fixup {
    /// Signed word offset in `bits` bits at `shift` (B, BL, B.cond, CBZ, TBZ, LDR literal).
    Pcrel { bits: u32, shift: u32 },
    /// ADR: a byte offset split into immlo and immhi.
    Adr,
    /// ADRP: the same with 4 KiB pages.
    Adrp,
    /// The low twelve bits of the label's address, in ADD (immediate).
    Lo12,
    /// A 64-bit absolute address as data.
    Abs64,
}

/// The assembler. `base` is the address at which the first byte will run; only ADRP, absolute
/// addresses and [`Asm::pc`] depend on it, so code placed elsewhere runs too if it moves by whole
/// pages and holds no absolute address.
#[derive(Debug, Default)]
pub struct Asm {
    base: u64,
    bytes: Vec<u8>,
    labels: Vec<Option<usize>>,
    fixups: Vec<(usize, Label, Fixup)>,
    error: Option<AsmError>,
}

impl Asm {
    /// An empty program that will run at `base`.
    pub fn new(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// Bytes so far.
    pub fn offset(&self) -> usize {
        self.bytes.len()
    }

    /// The address of the next byte.
    pub fn pc(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// A new label, not bound yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// A new label bound here.
    pub fn here(&mut self) -> Label {
        self.labels.push(Some(self.bytes.len()));
        Label(self.labels.len() - 1)
    }

    /// Binds `label` here; binding it twice is an error.
    pub fn bind(&mut self, label: Label) {
        if self.labels[label.0].is_some() {
            self.fail("the label is bound twice".into());
        }
        self.labels[label.0] = Some(self.bytes.len());
    }

    /// The offset at which `label` is bound.
    pub fn offset_of(&self, label: Label) -> Option<usize> {
        self.labels[label.0]
    }

    /// The first error, kept for [`Asm::finish`].
    pub(crate) fn fail(&mut self, message: String) {
        let offset = self.bytes.len();
        self.error.get_or_insert(AsmError { offset, message });
    }

    /// Checks an operand; the message is made only when it is wrong.
    pub(crate) fn check(&mut self, ok: bool, message: impl FnOnce() -> String) {
        if !ok {
            self.fail(message());
        }
    }

    /// A raw instruction or data word.
    pub fn word(&mut self, word: u32) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }

    /// A 64-bit data word.
    pub fn quad(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// The absolute address of `label` as a 64-bit data word.
    pub fn quad_label(&mut self, label: Label) {
        self.fixups.push((self.bytes.len(), label, Fixup::Abs64));
        self.quad(0);
    }

    /// Raw bytes.
    pub fn data(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Text without a terminator.
    pub fn ascii(&mut self, text: &str) {
        self.data(text.as_bytes());
    }

    /// Text with a terminating zero byte.
    pub fn asciz(&mut self, text: &str) {
        self.data(text.as_bytes());
        self.data(&[0]);
    }

    /// `n` zero bytes.
    pub fn zeros(&mut self, n: usize) {
        self.bytes.resize(self.bytes.len() + n, 0);
    }

    /// Zero bytes up to the next multiple of `align` (a power of two) from the start of the code.
    pub fn align(&mut self, align: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
    }

    /// Zero bytes up to `offset`; an error when the code is already longer.
    pub fn org(&mut self, offset: usize) {
        let now = self.bytes.len();
        self.check(now <= offset, || format!("org {offset:#x} is behind the code"));
        self.bytes.resize(now.max(offset), 0);
    }

    fn refer(&mut self, word: u32, label: Label, fixup: Fixup) {
        self.fixups.push((self.bytes.len(), label, fixup));
        self.word(word);
    }

    /// B.
    pub fn b(&mut self, to: Label) {
        self.refer(0x1400_0000, to, Fixup::Pcrel { bits: 26, shift: 0 });
    }

    /// BL.
    pub fn bl(&mut self, to: Label) {
        self.refer(0x9400_0000, to, Fixup::Pcrel { bits: 26, shift: 0 });
    }

    /// B.cond.
    pub fn b_cond(&mut self, cond: Cond, to: Label) {
        self.refer(0x5400_0000 | cond.code(), to, Fixup::Pcrel { bits: 19, shift: 5 });
    }

    /// CBZ.
    pub fn cbz(&mut self, rt: Reg, to: Label) {
        self.refer(0x3400_0000 | rt.sf() | rt.num(), to, Fixup::Pcrel { bits: 19, shift: 5 });
    }

    /// CBNZ.
    pub fn cbnz(&mut self, rt: Reg, to: Label) {
        self.refer(0x3500_0000 | rt.sf() | rt.num(), to, Fixup::Pcrel { bits: 19, shift: 5 });
    }

    fn test_bit(&mut self, op: u32, rt: Reg, bit: u32, to: Label) {
        self.check(bit < rt.bits(), || format!("the register has no bit {bit}"));
        let word = op | (bit >> 5) << 31 | (bit & 31) << 19 | rt.num();
        self.refer(word, to, Fixup::Pcrel { bits: 14, shift: 5 });
    }

    /// TBZ.
    pub fn tbz(&mut self, rt: Reg, bit: u32, to: Label) {
        self.test_bit(0x3600_0000, rt, bit, to);
    }

    /// TBNZ.
    pub fn tbnz(&mut self, rt: Reg, bit: u32, to: Label) {
        self.test_bit(0x3700_0000, rt, bit, to);
    }

    /// BR.
    pub fn br(&mut self, rn: Reg) {
        self.word(0xd61f_0000 | rn.num() << 5);
    }

    /// BLR.
    pub fn blr(&mut self, rn: Reg) {
        self.word(0xd63f_0000 | rn.num() << 5);
    }

    /// RET to X30.
    pub fn ret(&mut self) {
        self.word(0xd65f_03c0);
    }

    /// ADR: a label within 1 MiB.
    pub fn adr(&mut self, rd: Reg, to: Label) {
        self.refer(0x1000_0000 | rd.num(), to, Fixup::Adr);
    }

    /// ADRP: the 4 KiB page of a label.
    pub fn adrp(&mut self, rd: Reg, to: Label) {
        self.refer(0x9000_0000 | rd.num(), to, Fixup::Adrp);
    }

    /// ADD (immediate) of a label's low twelve address bits, the second half of ADRP's pair.
    pub fn add_lo12(&mut self, rd: Reg, rn: Reg, to: Label) {
        self.refer(0x9100_0000 | rn.num() << 5 | rd.num(), to, Fixup::Lo12);
    }

    /// The address of a label by ADRP and ADD.
    pub fn load_address(&mut self, rd: Reg, to: Label) {
        self.adrp(rd, to);
        self.add_lo12(rd, rd, to);
    }

    /// LDR (literal).
    pub fn ldr_lit(&mut self, rt: Reg, to: Label) {
        let word = if rt.is64() { 0x5800_0000 } else { 0x1800_0000 };
        self.refer(word | rt.num(), to, Fixup::Pcrel { bits: 19, shift: 5 });
    }

    /// The finished bytes, or the first mistake.
    pub fn finish(mut self) -> Result<Vec<u8>, AsmError> {
        for (at, label, fixup) in std::mem::take(&mut self.fixups) {
            if let Err(message) = self.resolve(at, label, fixup) {
                self.error.get_or_insert(AsmError { offset: at, message });
            }
        }
        self.error.map_or(Ok(self.bytes), Err)
    }

    fn resolve(&mut self, at: usize, label: Label, fixup: Fixup) -> Result<(), String> {
        let target = self.labels[label.0].ok_or("the label is never bound")?;
        let delta = target as i64 - at as i64;
        let address = self.base + target as u64;
        let bits = match fixup {
            Fixup::Pcrel { bits, shift } => {
                if delta & 3 != 0 {
                    return Err("the label is not at a multiple of four".into());
                }
                (signed(delta >> 2, bits)?) << shift
            }
            Fixup::Adr => split_adr(signed(delta, 21)?),
            Fixup::Adrp => {
                let here = self.base + at as u64;
                split_adr(signed((address >> 12) as i64 - (here >> 12) as i64, 21)?)
            }
            Fixup::Lo12 => (address as u32 & 0xfff) << 10,
            Fixup::Abs64 => {
                self.bytes[at..at + 8].copy_from_slice(&address.to_le_bytes());
                return Ok(());
            }
        };
        for (byte, add) in self.bytes[at..at + 4].iter_mut().zip(bits.to_le_bytes()) {
            *byte |= add;
        }
        Ok(())
    }
}

/// `value` as a two's complement field of `bits` bits.
fn signed(value: i64, bits: u32) -> Result<u32, String> {
    let limit = 1i64 << (bits - 1);
    if (-limit..limit).contains(&value) {
        Ok(value as u32 & ((1u64 << bits) - 1) as u32)
    } else {
        Err(format!("the label is out of range ({value} does not fit {bits} bits)"))
    }
}

/// ADR's immediate: immlo in bits 30:29, immhi in bits 23:5.
fn split_adr(imm: u32) -> u32 {
    (imm & 3) << 29 | (imm >> 2) << 5
}
