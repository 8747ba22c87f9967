//! Which element types and shapes each op has a meaning at.
//!
//! One row an opcode, computed at compile time: for each shape a set of types. It is what the interpreter carries out, no more and no less,
//! and a test over there walks all combinations. Static arguments that name a second type are checked in `verify`.

use crate::{Code, SCALAR, Shape, Ty, VECTOR};

const fn set(types: &[Ty]) -> u16 {
    let (mut bits, mut i) = (0, 0);
    while i < types.len() {
        bits |= 1 << types[i].0;
        i += 1;
    }
    bits
}

const ALL: u16 = (1 << Ty::COUNT) - 1;
const I1: u16 = set(&[Ty::I1]);
const I128: u16 = set(&[Ty::I128]);
const FLOATS: u16 = set(&[Ty::F16, Ty::BF16, Ty::F32, Ty::F64]);
/// Elements of 8 to 64 bits.
const LANES: u16 = ALL & !I1 & !I128;
/// Elements whose half is an element.
const WIDE: u16 = LANES & !set(&[Ty::I8]);
/// Elements of 32 bits.
const WORDS: u16 = set(&[Ty::I32, Ty::F32]);
/// Integers that memory is accessed as.
const INTEGERS: u16 = set(&[Ty::I8, Ty::I16, Ty::I32, Ty::I64, Ty::I128]);

/// Types at a scalar, v64, v128, vl, pl.
type Row = [u16; Shape::COUNT as usize];

const fn scalars(types: u16) -> Row {
    [types, 0, 0, 0, 0]
}
const fn vectors(types: u16) -> Row {
    [0, types, types, types, 0]
}
/// Elements of up to 128 bits, of which 64 bits have none.
const fn vectors_and_i128(types: u16) -> Row {
    [0, types, types | I128, types | I128, 0]
}
const fn both(a: Row, b: Row) -> Row {
    let mut row = a;
    let mut i = 0;
    while i < row.len() {
        row[i] |= b[i];
        i += 1;
    }
    row
}

const fn row(code: Code) -> Row {
    use Code as C;
    let any = [ALL; 5];
    match code {
        // What has neither operand nor result does not look at its type.
        C::InsnStart | C::Label | C::BrIf | C::Br | C::Goto | C::Branch | C::Jump | C::Exit | C::ExitJump => any,
        C::ClrEx | C::Fence | C::Call => any,
        C::Const => scalars(ALL & !I128),
        C::Address => scalars(set(&[Ty::I64])),
        C::Const128 | C::Pair | C::Lo64 | C::Hi64 | C::ClMul => scalars(I128),
        C::Get | C::Set => any,
        C::Load | C::Store => [ALL & !I1, ALL & !I1, ALL & !I1, ALL & !I1, ALL],
        C::Cas | C::Rmw | C::LoadEx | C::StoreEx => scalars(INTEGERS),
        // Bits.
        C::And | C::Or | C::Xor | C::AndNot | C::OrNot | C::Not | C::Select | C::BitSel => any,
        // Scalars of any width, and elements.
        C::Add | C::Sub | C::Mul | C::Neg | C::Abs | C::SMax | C::SMin | C::UMax | C::UMin => both(scalars(ALL), vectors(LANES)),
        C::Clz | C::Cls | C::Ctz | C::Cnt | C::RBit => both(scalars(ALL), vectors(LANES)),
        C::BSwap | C::Shl | C::LShr | C::AShr | C::RotR | C::MulHiU | C::MulHiS | C::UDiv | C::SDiv => scalars(ALL),
        C::Adc | C::CarryOut | C::Overflow | C::SubOverflow => scalars(ALL),
        C::CmpEq | C::CmpNe | C::CmpUlt | C::CmpUle | C::CmpSlt | C::CmpSle => scalars(ALL),
        C::ZExt | C::SExt | C::Trunc | C::Extract | C::SExtract | C::Deposit | C::ConcatShr => scalars(ALL),
        C::Crc32 => scalars(set(&[Ty::I32])),
        // Moves of elements.
        C::Dup | C::GetLane | C::SetLane | C::Zip1 | C::Zip2 | C::Uzp1 | C::Uzp2 | C::Trn1 | C::Trn2 | C::Rev => vectors_and_i128(LANES),
        C::VResize | C::Ext | C::Tbl => vectors(LANES | I128),
        // Elements; those that saturate also as scalars.
        C::VEq | C::VGtS | C::VGeS | C::VGtU | C::VGeU | C::VTst | C::SAbd | C::UAbd => vectors(LANES),
        C::SHAdd | C::UHAdd | C::SHSub | C::UHSub => vectors(LANES),
        C::ShlImm | C::UShrImm | C::SShrImm | C::SliImm | C::SriImm | C::PMul => vectors(LANES),
        C::ReduceAdd | C::ReduceSMax | C::ReduceSMin | C::ReduceUMax | C::ReduceUMin => vectors(LANES),
        C::SQAdd | C::UQAdd | C::SQSub | C::UQSub | C::SUQAdd | C::USQAdd | C::SQAbs | C::SQNeg => both(scalars(LANES), vectors(LANES)),
        C::SQDMulH | C::SQRDMlaH | C::SQShlImm => both(scalars(LANES), vectors(LANES)),
        C::SShlV | C::UShlV | C::SQShlV | C::UQShlV => both(scalars(LANES), vectors(LANES)),
        // Between elements of a width and its half.
        C::Widen | C::MulL | C::PMulL => vectors_and_i128(WIDE),
        C::Narrow | C::AddLP => vectors(WIDE),
        C::SQDMulL => both(scalars(WIDE), vectors(WIDE)),
        C::Dot4 => vectors(WORDS | set(&[Ty::I64, Ty::F64])),
        C::MatMul8 => [0, 0, WORDS, WORDS, 0],
        C::RotRImm => vectors(LANES),
        C::MulFold => scalars(set(&[Ty::I64])),
        C::Sha1Hash | C::Sha256H | C::Sha256H2 | C::Sha256Su0 | C::Sha256Su1 | C::Sm4 => [0, 0, set(&[Ty::I32]), 0, 0],
        C::Sha512H | C::Sha512H2 => [0, 0, set(&[Ty::I64]), 0, 0],
        C::AesEnc | C::AesDec | C::AesMc | C::AesImc => [0, 0, ALL, ALL, 0],
        // Floating point.
        C::FAdd | C::FSub | C::FMul | C::FDiv | C::FSqrt | C::FMulAdd | C::FMulX => both(scalars(FLOATS), vectors(FLOATS)),
        C::FMax | C::FMin | C::FMaxNm | C::FMinNm | C::FAbd | C::FCmEq | C::FCmGe | C::FCmGt => both(scalars(FLOATS), vectors(FLOATS)),
        C::FRoundInt | C::FRoundIntN | C::FRecpE | C::FRsqrtE | C::FRecpS | C::FRsqrtS => both(scalars(FLOATS), vectors(FLOATS)),
        C::IntToF => both(scalars(FLOATS), vectors(FLOATS)),
        C::FToInt => both(scalars(INTEGERS & WIDE), vectors(INTEGERS & WIDE)),
        C::FRelation | C::FConvert | C::FRecpX => scalars(FLOATS),
        C::FWiden | C::FNarrow => vectors(set(&[Ty::F32, Ty::F64])),
        C::URecpE | C::URsqrtE => vectors(WORDS),
        C::FToJs => scalars(set(&[Ty::F64])),
        C::FMulAddH | C::BfDot | C::BfMlal => vectors(set(&[Ty::F32])),
        C::BfMmla => [0, 0, set(&[Ty::F32]), set(&[Ty::F32]), 0],
    }
}

const TABLE: [Row; Code::ALL.len()] = {
    let mut table = [[0; 5]; Code::ALL.len()];
    let mut i = 0;
    while i < table.len() {
        let flags = crate::OPS[i].flags;
        table[i] = row(Code::ALL[i]);
        // What the op table says of the op as a whole holds here too.
        if flags & VECTOR != 0 {
            table[i][Shape::SCALAR.0 as usize] = 0;
        }
        let mut shape = 1;
        while flags & SCALAR != 0 && shape < table[i].len() {
            table[i][shape] = 0;
            shape += 1;
        }
        i += 1;
    }
    table
};

/// True if the op has a meaning at this type and shape, which exist.
#[inline]
pub const fn has_meaning(code: Code, ty: Ty, shape: Shape) -> bool {
    let row = &TABLE[code as usize];
    (shape.0 as usize) < row.len() && row[shape.0 as usize] >> ty.0 & 1 != 0
}
