//! What an op demands at its type and shape: one look-up in place of a walk over its row, for what goes over every op that is translated.
//!
//! The table is computed from the op table, from `meaning` and from the widths that `verify` gives to signature letters, so it says nothing of
//! its own; what it cannot say in a few bytes it leaves to the full check ([`FULL`]).

use crate::meaning::has_meaning;
use crate::verify::{ABSENT, byte_of, fixed_width};
use crate::{Code, ENDS, Op, Shape, Ty, Width};

/// The full check decides: the op has no meaning so, or one that takes more to say.
pub(crate) const FULL: u8 = 1 << 0;
/// Static arguments have to be looked at.
pub(crate) const STATIC: u8 = 1 << 1;
/// `imm` is the offset of a state field.
pub(crate) const FIELD: u8 = 1 << 2;
/// The type and shape of operand a are in `aux`.
pub(crate) const ANY: u8 = 1 << 3;
/// An instruction begins, or control goes somewhere inside of it.
pub(crate) const LOCAL: u8 = 1 << 4;
/// `goto`, `branch`, `jump`.
pub(crate) const WAY: u8 = 1 << 5;
/// What follows is not reached from here.
pub(crate) const LAST: u8 = 1 << 6;

/// In the place of the result's width: there is none.
pub(crate) const NO_RESULT: u8 = 0;

/// What an op demands.
#[derive(Clone, Copy)]
#[repr(align(8))]
pub(crate) struct Demand {
    /// Widths of the operands, in the bytes of `verify`.
    pub operands: [u8; 3],
    /// Width of the result, the same way.
    pub result: u8,
    /// Its bits.
    pub result_bits: u8,
    /// Bits of a value of the op's type and shape, and its size in bytes.
    pub bits: u8,
    /// See `bits`.
    pub bytes: u8,
    /// See the constants.
    pub flags: u8,
}

static NOTHING: Demand = NONE_OF_IT;
const NONE_OF_IT: Demand = Demand { operands: [ABSENT; 3], result: NO_RESULT, result_bits: 0, bits: 0, bytes: 0, flags: FULL };

/// Vectors of run-time length have rows, for the full check; what has a shape or a type beyond these is for that too.
const SHAPES: usize = 4;
const TYPES: usize = 16;

/// What the op demands.
#[inline]
pub(crate) fn demand(op: &Op) -> &'static Demand {
    // Three members, which the compiler reads as the one word that they lie in.
    let word = u32::from(op.code) | u32::from(op.ty.0) << 16 | u32::from(op.shape.0) << 24;
    let kind = word >> 16;
    if kind & !KINDS != 0 {
        return &NOTHING;
    }
    let place = (word & 0xffff) << 6 | (kind | kind >> 4) & 0x3f;
    DEMANDS.get(place as usize).unwrap_or(&NOTHING)
}
/// The bits of a type and, above, a shape that have a place.
const KINDS: u32 = 0x30f;
const _: () = assert!(SHAPES == 4 && TYPES == 16);

static DEMANDS: [Demand; SHAPES * TYPES * Code::ALL.len()] = {
    let mut table = [NONE_OF_IT; SHAPES * TYPES * Code::ALL.len()];
    let mut n = 0;
    while n < Code::ALL.len() {
        let code = Code::ALL[n];
        let flags = flags(code);
        let mut place = 0;
        while place < SHAPES * TYPES {
            let (shape, ty) = (Shape((place / TYPES) as u8), Ty((place % TYPES) as u8));
            let at = n * SHAPES * TYPES + place;
            table[at].flags |= flags;
            if shape.0 < Shape::VL.0 && ty.is_valid() && has_meaning(code, ty, shape) {
                table[at] = row(code, ty, shape, flags);
            }
            place += 1;
        }
        n += 1;
    }
    table
};

const fn flags(code: Code) -> u8 {
    use Code as C;
    #[rustfmt::skip]
    let flags = match code {
        C::InsnStart | C::Label | C::BrIf | C::Br => return LOCAL,
        C::Goto | C::Branch | C::Jump => WAY,
        C::Get | C::Set => FIELD,
        // Any number of operands; operands that are words of the constant.
        C::Call | C::Const128 => FULL,
        C::Const | C::Extract | C::SExtract | C::Deposit | C::ConcatShr | C::GetLane | C::SetLane | C::Ext | C::Rev | C::UShrImm | C::SShrImm
        | C::SriImm | C::ShlImm | C::SliImm | C::SQShlImm | C::Narrow | C::RotRImm | C::Sha1Hash | C::Sm4 | C::Rmw | C::ZExt | C::SExt | C::Trunc
        | C::VResize | C::Crc32 | C::FToInt | C::IntToF | C::FConvert | C::FRoundIntN => STATIC,
        _ => 0,
    };
    flags | if crate::OPS[code as usize].flags & ENDS != 0 { LAST } else { 0 }
}

/// The row of a code that has a meaning at a type and a shape of fixed length.
const fn row(code: Code, ty: Ty, shape: Shape, flags: u8) -> Demand {
    let sig = crate::OPS[code as usize].sig.as_bytes();
    let bytes = match shape {
        Shape::SCALAR => ty.bytes(),
        _ => shape.bytes(0),
    };
    let bits = match shape {
        Shape::SCALAR => ty.bits(),
        _ => bytes * 8,
    };
    let mut row = Demand { bits: bits as u8, bytes: bytes as u8, flags, ..NONE_OF_IT };
    let mut i = 0;
    while sig[i] != b'>' {
        match fixed_width(sig[i], ty, shape) {
            Some(width) => row.operands[i] = byte_of(width),
            None if sig[i] == b'U' && i == 0 => row.flags |= ANY,
            None => row.flags |= FULL,
        }
        i += 1;
    }
    match sig[i + 1] {
        b'-' => {}
        letter => match fixed_width(letter, ty, shape) {
            Some(Width::Bits(bits)) => (row.result, row.result_bits) = (byte_of(Width::Bits(bits)), bits as u8),
            _ => row.flags |= FULL,
        },
    }
    row
}
