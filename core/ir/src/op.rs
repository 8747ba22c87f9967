//! The op table: one row an op. From it come the opcode numbers, the text names, the verifier's signatures and the hash that the plugin
//! boundary compares. Rows are only ever appended: a number, once given, keeps its meaning.
//!
//! Signature letters, operands before `>` and result after it:
//! `T` the op's type and shape; `E` one scalar of the op's element type; `B` i1; `W` i32; `D` i64; `Q` 128 bits; `H` a vector of half as wide
//! elements (for `vl` a whole vector whose upper half is zero); `S` a vector with the op's shape and any element type; `U` any scalar or vector, whose type (low byte) and shape (next byte)
//! are in `aux`; `F` the op's shape and the element type in `imm` bits 16 to 23; `-` none.

use crate::{Shape, Ty};

/// One IR operation: a plain record. Which of the members mean something is the op's row.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// Row number in the op table.
    pub code: u16,
    /// Element type.
    pub ty: Ty,
    /// Number of elements.
    pub shape: Shape,
    /// Slot of the result, or [`NONE`].
    pub dst: u32,
    /// Slots of the operands, or [`NONE`].
    pub a: u32,
    /// Second operand.
    pub b: u32,
    /// Third operand.
    pub c: u32,
    /// A static argument: memory flags, floating-point mode, source type, condition: see the row.
    pub aux: u32,
    /// A static argument: constant, state offset, address offset, program counter: see the row.
    pub imm: u64,
}

/// No value.
pub const NONE: u32 = u32::MAX;

/// The op can be removed when its result is not used, and moved.
pub const PURE: u16 = 0;
/// The op adds to the sticky floating-point or saturation flags in the CPU header.
pub const STICKY: u16 = 1 << 0;
/// The op reads guest memory.
pub const READS: u16 = 1 << 1;
/// The op writes guest memory.
pub const WRITES: u16 = 1 << 2;
/// The op can end the block with a guest fault; the state then is what all `set` ops before it made.
pub const FAULTS: u16 = 1 << 3;
/// The op has an effect other than on memory, state and sticky flags (ordering, exclusive monitor, unknown helper).
pub const EFFECT: u16 = 1 << 4;
/// The op reads or writes guest CPU state.
pub const STATE: u16 = 1 << 5;
/// Control may leave the block here.
pub const EXITS: u16 = 1 << 6;
/// Nothing of the block is executed after this op unless a label follows.
pub const ENDS: u16 = 1 << 7;
/// Works on vector shapes only.
pub const VECTOR: u16 = 1 << 8;
/// Works on scalars only.
pub const SCALAR: u16 = 1 << 9;
/// Operates on floating-point types; `aux` is the floating-point mode (`emu_softfloat::Mode` packed).
pub const FP: u16 = 1 << 10;

/// A row of the op table.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// Name in the text form.
    pub name: &'static str,
    /// Signature; see the head of the file.
    pub sig: &'static str,
    /// `STICKY`, `READS`, ... bits.
    pub flags: u16,
    /// What the op means.
    pub doc: &'static str,
}

macro_rules! op_table {
    ($( $konst:ident $name:literal $sig:literal [$($flag:ident)*] $doc:literal; )*) => {
        /// Opcode numbers.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Code { $( #[doc = $doc] $konst, )* }
        /// The op table.
        pub static OPS: &[OpInfo] = &[ $( OpInfo { name: $name, sig: $sig, flags: 0 $(| $flag)*, doc: $doc }, )* ];
        impl Code {
            /// Every opcode in order of its number.
            pub const ALL: &'static [Code] = &[ $( Code::$konst, )* ];
        }
    };
}

op_table! {
    // -- structure -------------------------------------------------------------------------------------------------------------------
    InsnStart  "insn_start" ">-" [STATE] "A guest instruction begins: `imm` its address, `aux` a word of the target's choice (given back with a fault).";
    Label      "label" ">-" [EFFECT] "Local label number `imm`. Values made between a forward branch to it and here are undefined after it.";
    BrIf       "brif" "B>-" [EFFECT] "If `a`, continue at label `imm`, which lies further down in the same instruction.";
    Br         "br" ">-" [EFFECT ENDS] "Continue at label `imm`, which lies further down in the same instruction.";
    Goto       "goto" ">-" [EXITS ENDS] "The block ends; the next instruction is at the constant address `imm`. `aux`: 0 plain, 1 call.";
    Branch     "branch" "B>-" [EXITS] "If `a`, the block ends and the next instruction is at the constant address `imm`.";
    Jump       "jump" "D>-" [EXITS ENDS] "The block ends; the next instruction is at address `a`. `aux`: 0 plain, 1 call, 2 return.";
    Exit       "exit" ">-" [EXITS ENDS EFFECT] "The block ends, next at `imm`, by way of the dispatcher, which looks at mode key, interrupts and requests anew. `aux`: an `exit::` reason.";
    ExitJump   "exit_jump" "D>-" [EXITS ENDS EFFECT] "`exit` with the next address in `a`.";
    // -- values and state ------------------------------------------------------------------------------------------------------------
    Const      "const" ">T" [SCALAR] "The constant `imm` (up to 64 bits).";
    Const128   "const128" ">Q" [SCALAR] "The constant whose low half is `imm` and whose high half is `a` (low word) and `b` (high word).";
    Get        "get" ">T" [STATE] "The state field at byte offset `imm` of the CPU.";
    Set        "set" "T>-" [STATE] "Writes the state field at byte offset `imm` of the CPU.";
    // -- integer, scalar and per element ---------------------------------------------------------------------------------------------
    Add        "add" "TT>T" [] "a + b.";
    Sub        "sub" "TT>T" [] "a - b.";
    Mul        "mul" "TT>T" [] "a * b, low half.";
    And        "and" "TT>T" [] "a & b.";
    Or         "or" "TT>T" [] "a | b.";
    Xor        "xor" "TT>T" [] "a ^ b.";
    AndNot     "andn" "TT>T" [] "a & !b.";
    OrNot      "orn" "TT>T" [] "a | !b.";
    Not        "not" "T>T" [] "!a.";
    Neg        "neg" "T>T" [] "0 - a.";
    Abs        "abs" "T>T" [] "Absolute value, wrapping at the minimum.";
    SMax       "smax" "TT>T" [] "Signed maximum.";
    SMin       "smin" "TT>T" [] "Signed minimum.";
    UMax       "umax" "TT>T" [] "Unsigned maximum.";
    UMin       "umin" "TT>T" [] "Unsigned minimum.";
    Clz        "clz" "T>T" [] "Leading zeroes.";
    Cls        "cls" "T>T" [] "Leading bits equal to the sign bit, that bit not counted.";
    Ctz        "ctz" "T>T" [] "Trailing zeroes; the width for 0.";
    Cnt        "cnt" "T>T" [] "Number of ones.";
    RBit       "rbit" "T>T" [] "Bits in reverse order.";
    BSwap      "bswap" "T>T" [SCALAR] "Bytes in reverse order.";
    // -- integer, scalar only --------------------------------------------------------------------------------------------------------
    Shl        "shl" "TT>T" [SCALAR] "a << (b modulo the width).";
    LShr       "lshr" "TT>T" [SCALAR] "Logical right shift by b modulo the width.";
    AShr       "ashr" "TT>T" [SCALAR] "Arithmetic right shift by b modulo the width.";
    RotR       "rotr" "TT>T" [SCALAR] "Right rotation by b modulo the width.";
    MulHiU     "mulhu" "TT>T" [SCALAR] "High half of the unsigned product.";
    MulHiS     "mulhs" "TT>T" [SCALAR] "High half of the signed product.";
    UDiv       "udiv" "TT>T" [SCALAR] "Unsigned quotient; 0 for division by 0.";
    SDiv       "sdiv" "TT>T" [SCALAR] "Signed quotient towards 0; 0 for division by 0; the minimum for minimum / -1.";
    Adc        "adc" "TTB>T" [SCALAR] "a + b + c.";
    CarryOut   "carry" "TTB>B" [SCALAR] "Carry out of a + b + c.";
    Overflow   "overflow" "TTB>B" [SCALAR] "Signed overflow of a + b + c.";
    CmpEq      "eq" "TT>B" [SCALAR] "a == b.";
    CmpNe      "ne" "TT>B" [SCALAR] "a != b.";
    CmpUlt     "ult" "TT>B" [SCALAR] "Unsigned a < b.";
    CmpUle     "ule" "TT>B" [SCALAR] "Unsigned a <= b.";
    CmpSlt     "slt" "TT>B" [SCALAR] "Signed a < b.";
    CmpSle     "sle" "TT>B" [SCALAR] "Signed a <= b.";
    SubOverflow "sub_overflow" "TT>B" [SCALAR] "Signed overflow of a - b.";
    Select     "select" "TTB>T" [] "c ? a : b.";
    ZExt       "zext" "U>T" [SCALAR] "Zero extension from the type in `aux`.";
    SExt       "sext" "U>T" [SCALAR] "Sign extension from the type in `aux`.";
    Trunc      "trunc" "U>T" [SCALAR] "Low bits of a value of the type in `aux`.";
    Extract    "extract" "T>T" [SCALAR] "`aux` = lsb | length << 8: that bit field of a, zero-extended.";
    SExtract   "sextract" "T>T" [SCALAR] "`aux` = lsb | length << 8: that bit field of a, sign-extended.";
    Deposit    "deposit" "TT>T" [SCALAR] "`aux` = lsb | length << 8: a with that bit field replaced by the low bits of b.";
    ConcatShr  "concat_shr" "TT>T" [SCALAR] "Low half of (a:b) >> `aux`, a being the high half, `aux` less than the width.";
    Pair       "pair" "DD>Q" [SCALAR] "128 bits, a low, b high.";
    Lo64       "lo64" "Q>D" [SCALAR] "Low 64 bits.";
    Hi64       "hi64" "Q>D" [SCALAR] "High 64 bits.";
    Crc32      "crc32" "WU>W" [SCALAR] "CRC of b (type in `aux`, I8 to I64) added to a, bit-reversed as in IEEE 802.3; `imm`: 0 polynomial 0x04C11DB7, 1 Castagnoli 0x1EDC6F41.";
    ClMul      "clmul" "DD>Q" [SCALAR] "Carry-less 64 x 64 -> 128 product.";
    // -- memory: aux = MemFlags --------------------------------------------------------------------------------------------------------
    Load       "load" "D>T" [READS FAULTS STATE] "Guest memory at a + `imm`; `aux` = memory flags. Scalars to 128 bits and vectors.";
    Store      "store" "DT>-" [WRITES FAULTS STATE] "Guest memory at a + `imm` becomes b; `aux` = memory flags.";
    Cas        "cas" "DTT>T" [READS WRITES FAULTS STATE SCALAR] "Atomic compare (b) and swap (c) at address a; the result is the old value.";
    Rmw        "rmw" "DT>T" [READS WRITES FAULTS STATE SCALAR] "Atomic read-modify-write at address a with b; `imm` = `rmw::` kind; the result is the old value.";
    LoadEx     "load_ex" "D>T" [READS FAULTS STATE EFFECT SCALAR] "Load-exclusive at address a; opens the monitor.";
    StoreEx    "store_ex" "DT>B" [READS WRITES FAULTS STATE EFFECT SCALAR] "Store-exclusive of b at address a; the result is true if it failed; closes the monitor.";
    ClrEx      "clrex" ">-" [EFFECT] "Closes the exclusive monitor.";
    Fence      "fence" ">-" [EFFECT] "Orders memory accesses; `aux` = `fence::` bits.";
    // -- helpers -----------------------------------------------------------------------------------------------------------------------
    Call       "call" "DDD>D" [READS WRITES FAULTS STATE EFFECT EXITS] "Calls helper `aux` of the target with a, b, c (each optional) and `imm`. Its row says which effects it really has.";
    // -- vectors: moves and permutations -----------------------------------------------------------------------------------------------
    Dup        "dup" "E>T" [VECTOR] "Every element is a.";
    GetLane    "get_lane" "T>E" [VECTOR] "Element `imm`.";
    SetLane    "set_lane" "TE>T" [VECTOR] "a with element `imm` replaced by b.";
    VResize    "resize" "U>T" [VECTOR] "The low bytes of a vector or scalar a (`aux` its type and shape), zero-extended or cut to the result's length.";
    Zip1       "zip1" "TT>T" [VECTOR] "Interleaves the low halves: a0 b0 a1 b1 ... Of an odd number of elements (i128 in `vl`) the last result element is 0 and the last operand elements do not take part, here and in the next five rows.";
    Zip2       "zip2" "TT>T" [VECTOR] "Interleaves the high halves.";
    Uzp1       "uzp1" "TT>T" [VECTOR] "Even elements of a, then of b.";
    Uzp2       "uzp2" "TT>T" [VECTOR] "Odd elements of a, then of b.";
    Trn1       "trn1" "TT>T" [VECTOR] "a0 b0 a2 b2 ...";
    Trn2       "trn2" "TT>T" [VECTOR] "a1 b1 a3 b3 ...";
    Ext        "ext" "TT>T" [VECTOR] "Bytes `imm`.. of the concatenation, a being the low part.";
    Rev        "rev" "T>T" [VECTOR] "Elements in reverse order inside each container of `aux` bits.";
    Tbl        "tbl" "TT>T" [VECTOR] "Each byte of b selects the byte of a at that index, 0 when the index is outside of a.";
    // -- vectors: integer ---------------------------------------------------------------------------------------------------------------
    BitSel     "bitsel" "TTT>T" [] "(a & c) | (b & !c).";
    VEq        "veq" "TT>T" [VECTOR] "All ones where a == b, else zero.";
    VGtS       "vgts" "TT>T" [VECTOR] "All ones where signed a > b.";
    VGeS       "vges" "TT>T" [VECTOR] "All ones where signed a >= b.";
    VGtU       "vgtu" "TT>T" [VECTOR] "All ones where unsigned a > b.";
    VGeU       "vgeu" "TT>T" [VECTOR] "All ones where unsigned a >= b.";
    VTst       "vtst" "TT>T" [VECTOR] "All ones where a & b is not zero.";
    SAbd       "sabd" "TT>T" [VECTOR] "Absolute signed difference.";
    UAbd       "uabd" "TT>T" [VECTOR] "Absolute unsigned difference.";
    SHAdd      "shadd" "TT>T" [VECTOR] "Signed (a + b) >> 1 without loss; `imm` = 1 rounds up.";
    UHAdd      "uhadd" "TT>T" [VECTOR] "Unsigned (a + b) >> 1 without loss; `imm` = 1 rounds up.";
    SHSub      "shsub" "TT>T" [VECTOR] "Signed (a - b) >> 1 without loss.";
    UHSub      "uhsub" "TT>T" [VECTOR] "Unsigned (a - b) >> 1 without loss.";
    SQAdd      "sqadd" "TT>T" [STICKY] "Signed saturating a + b.";
    UQAdd      "uqadd" "TT>T" [STICKY] "Unsigned saturating a + b.";
    SQSub      "sqsub" "TT>T" [STICKY] "Signed saturating a - b.";
    UQSub      "uqsub" "TT>T" [STICKY] "Unsigned saturating a - b.";
    SUQAdd     "suqadd" "TT>T" [STICKY] "Signed a + unsigned b, saturated to signed.";
    USQAdd     "usqadd" "TT>T" [STICKY] "Unsigned a + signed b, saturated to unsigned.";
    SQAbs      "sqabs" "T>T" [STICKY] "Signed saturating absolute value.";
    SQNeg      "sqneg" "T>T" [STICKY] "Signed saturating negation.";
    SQDMulH    "sqdmulh" "TT>T" [STICKY] "High half of 2*a*b, saturated; `imm` = 1 rounds.";
    SQRDMlaH   "sqrdmlah" "TTT>T" [STICKY] "c + high half of 2*a*b, rounded and saturated once (`imm` = 0), or c - it (`imm` = 1).";
    ShlImm     "shl_imm" "T>T" [VECTOR] "a << `imm`; 0 when `imm` is the width or more.";
    UShrImm    "ushr_imm" "T>T" [VECTOR] "Logical a >> `imm` (1 to the width); `aux` = 1 rounds.";
    SShrImm    "sshr_imm" "T>T" [VECTOR] "Arithmetic a >> `imm` (1 to the width); `aux` = 1 rounds.";
    SliImm     "sli_imm" "TT>T" [VECTOR] "b << `imm` inserted into a, keeping a's low `imm` bits.";
    SriImm     "sri_imm" "TT>T" [VECTOR] "b >> `imm` (1 to the width) inserted into a, keeping a's high `imm` bits.";
    SQShlImm   "sqshl_imm" "T>T" [STICKY] "Saturating a << `imm`; `aux`: 0 signed, 1 unsigned, 2 signed to unsigned.";
    SShlV      "sshlv" "TT>T" [] "Signed shift left by the signed low byte of b, right if negative; `aux` = 1 rounds.";
    UShlV      "ushlv" "TT>T" [] "Unsigned shift left by the signed low byte of b, right if negative; `aux` = 1 rounds.";
    SQShlV     "sqshlv" "TT>T" [STICKY] "`sshlv` that saturates; `aux` = 1 rounds.";
    UQShlV     "uqshlv" "TT>T" [STICKY] "`ushlv` that saturates; `aux` = 1 rounds.";
    Widen      "widen" "S>T" [VECTOR] "Extends half-width elements of a to T's; `aux` bit 0: signed; bit 1: of the high half of a, else of the low.";
    Narrow     "narrow" "T>H" [VECTOR STICKY] "T's elements shifted right by `imm`, each cut to half width: the 64-bit (for v128 T) vector of them. `aux` bits 0-1: 0 truncate, 1 signed to signed, 2 unsigned to unsigned, 3 signed to unsigned saturation; bit 2: round; bit 3: shift arithmetically (only asked for truncation: the shift of signed elements, 1 and 3, always is, that of 2 never).";
    MulL       "mull" "SS>T" [VECTOR] "Products of half-width elements in full width; `aux` as in `widen`.";
    SQDMulL    "sqdmull" "SS>T" [STICKY] "Saturating 2*a*b of half-width signed elements; `aux` bit 1: high half. Scalar when T is scalar.";
    PMul       "pmul" "TT>T" [VECTOR] "Carry-less product, low half, of bytes.";
    PMulL      "pmull" "SS>T" [VECTOR] "Carry-less products of half-width elements; T's elements are i16 or i128; `aux` bit 1: high half.";
    AddLP      "addlp" "T>T" [VECTOR] "Sums of neighbouring pairs of half-width elements (T is the wide type); `aux` bit 0: signed.";
    ReduceAdd  "reduce_add" "T>E" [VECTOR] "Sum of all elements, wrapping.";
    ReduceSMax "reduce_smax" "T>E" [VECTOR] "Signed maximum of all elements.";
    ReduceSMin "reduce_smin" "T>E" [VECTOR] "Signed minimum of all elements.";
    ReduceUMax "reduce_umax" "T>E" [VECTOR] "Unsigned maximum of all elements.";
    ReduceUMin "reduce_umin" "T>E" [VECTOR] "Unsigned minimum of all elements.";
    Dot4       "dot4" "SST>T" [VECTOR] "c + the sum of products of four neighbouring bytes of a and b for each 32-bit element; `aux` bit 0: a signed; bit 1: b signed. With 64-bit elements, of four neighbouring i16.";
    MatMul8    "matmul8" "SST>T" [VECTOR] "c + the 2x8 by 8x2 byte matrix product; `aux` as in `dot4`. T is i32 x v128.";
    AesEnc     "aes_enc" "TT>T" [VECTOR] "AESE: ShiftRows and SubBytes of a ^ b.";
    AesDec     "aes_dec" "TT>T" [VECTOR] "AESD: inverse ShiftRows and SubBytes of a ^ b.";
    AesMc      "aes_mc" "T>T" [VECTOR] "MixColumns.";
    AesImc     "aes_imc" "T>T" [VECTOR] "Inverse MixColumns.";
    // -- floating point: aux = mode, sticky flags ------------------------------------------------------------------------------------------
    FAdd       "fadd" "TT>T" [STICKY FP] "a + b.";
    FSub       "fsub" "TT>T" [STICKY FP] "a - b.";
    FMul       "fmul" "TT>T" [STICKY FP] "a * b.";
    FDiv       "fdiv" "TT>T" [STICKY FP] "a / b.";
    FSqrt      "fsqrt" "T>T" [STICKY FP] "Square root.";
    FMulAdd    "fmuladd" "TTT>T" [STICKY FP] "c + a * b, rounded once. `imm` bit 0 negates a (FPNeg, before any NaN is chosen: under FPCR.AH a NaN keeps its sign), bit 1 negates c.";
    FMulX      "fmulx" "TT>T" [STICKY FP] "a * b, with 0 * infinity = 2.";
    FMax       "fmax" "TT>T" [STICKY FP] "Maximum; a NaN operand gives a NaN.";
    FMin       "fmin" "TT>T" [STICKY FP] "Minimum; a NaN operand gives a NaN.";
    FMaxNm     "fmaxnm" "TT>T" [STICKY FP] "maxNum of IEEE 754-2008.";
    FMinNm     "fminnm" "TT>T" [STICKY FP] "minNum of IEEE 754-2008.";
    FAbd       "fabd" "TT>T" [STICKY FP] "Absolute value (FPAbs: under FPCR.AH a NaN keeps its sign) of a - b.";
    FRelation  "frelation" "TT>W" [STICKY FP SCALAR] "0 equal, 1 less, 2 greater, 3 unordered; `imm` = 1: a quiet NaN is invalid too.";
    FCmEq      "fcmeq" "TT>T" [STICKY FP] "All ones where a == b (quiet).";
    FCmGe      "fcmge" "TT>T" [STICKY FP] "All ones where a >= b (signalling); `imm` = 1: of the absolute values.";
    FCmGt      "fcmgt" "TT>T" [STICKY FP] "All ones where a > b (signalling); `imm` = 1: of the absolute values.";
    FRoundInt  "fround_int" "T>T" [STICKY FP] "To an integral value by rounding `imm` & 7 (0 even, 1 up, 2 down, 3 zero, 4 away); bit 3: report inexact.";
    FRoundIntN "fround_intn" "T>T" [STICKY FP] "FRINT32/64: `imm` & 7 the rounding, bits 8-15 the integer size; out of range gives the minimum integer.";
    FToInt     "ftoint" "F>T" [STICKY FP] "From the float type in `imm` bits 16-23 to the integer T, per element when T is a vector of equal width: `imm` & 7 the rounding, bit 3: unsigned, bits 8-15 the number of fraction bits.";
    IntToF     "inttof" "F>T" [STICKY FP] "From the integer type in `imm` bits 16-23 to the float T, rounded as the mode says: bit 3: unsigned, bits 8-15 the number of fraction bits.";
    FConvert   "fconvert" "F>T" [STICKY FP SCALAR] "Between float formats, from the type in `imm` bits 16-23, rounded as the mode says (FCVTXN: to odd); f32 to bf16 is BFCVT.";
    FWiden     "fwiden" "S>T" [STICKY FP VECTOR] "Half-width floats of a converted to T's; `imm` bit 0: of the high half.";
    FNarrow    "fnarrow" "T>H" [STICKY FP VECTOR] "T's floats converted to half width: the 64-bit (for v128 T) vector of them; `imm` = 1: to bfloat16 rather than f16.";
    FRecpE     "frecpe" "T>T" [STICKY FP] "FRECPE's estimate.";
    FRsqrtE    "frsqrte" "T>T" [STICKY FP] "FRSQRTE's estimate.";
    FRecpX     "frecpx" "T>T" [STICKY FP SCALAR] "FRECPX.";
    FRecpS     "frecps" "TT>T" [STICKY FP] "2 - a * b, fused.";
    FRsqrtS    "frsqrts" "TT>T" [STICKY FP] "(3 - a * b) / 2, fused.";
    URecpE     "urecpe" "T>T" [VECTOR] "URECPE on 32-bit elements.";
    URsqrtE    "ursqrte" "T>T" [VECTOR] "URSQRTE on 32-bit elements.";
    FToJs      "ftojs" "D>D" [STICKY FP SCALAR] "FJCVTZS of the binary64 a: the 32-bit result, bit 32 set when it is exact (PSTATE.Z).";
    FMulAddH   "fmuladdh" "SST>T" [STICKY FP VECTOR] "FMLAL: c + a * b of f16 elements widened to T = f32; `aux` mode; `imm` bit 0: negate a (FPNeg); bit 1: elements of the high half.";
    BfDot      "bfdot" "SST>T" [FP VECTOR] "BFDOT: two-way bfloat16 dot product added to c, T = f32.";
    BfMmla     "bfmmla" "SST>T" [FP VECTOR] "BFMMLA: 2x4 by 4x2 bfloat16 matrix product added to c, T = f32 x v128.";
    BfMlal     "bfmlal" "SST>T" [STICKY FP VECTOR] "BFMLALB/T: `imm` 0 the even, 1 the odd bfloat16 elements, multiplied and added to c, T = f32.";
    // -- appended ----------------------------------------------------------------------------------------------------------------------
    Address    "address" ">D" [SCALAR] "The guest address `imm`, a constant that moves with the code: where a block is run at a virtual address whole pages away from the one that it was translated for, so is this value. Targets that say `layout_flag::POSITION_INDEPENDENT` make every constant that depends on the program counter this way.";
    RotRImm    "rotr_imm" "T>T" [VECTOR] "Each element rotated right by `imm` (less than the width).";
    MulFold    "mul_fold" "DD>D" [SCALAR] "Low half of the unsigned product of a and b, exclusive or its high half: a step of many hashes.";
    Sha1Hash   "sha1_hash" "TTT>T" [VECTOR] "Four rounds of SHA-1 (FIPS 180-4): a is (a, b, c, d), the first element of b is e, c the message words with the constant added; `imm`: 0 choose, 1 parity, 2 majority. The result is the new (a, b, c, d). T = i32 x v128, here and in the next four.";
    Sha256H    "sha256_h" "TTT>T" [VECTOR] "Four rounds of SHA-256: a is (a, b, c, d), b (e, f, g, h), c the message words with the constants added. The result is the new (a, b, c, d).";
    Sha256H2   "sha256_h2" "TTT>T" [VECTOR] "The other result of `sha256_h` from the same operands: the new (e, f, g, h).";
    Sha256Su0  "sha256_su0" "TT>T" [VECTOR] "First half of SHA-256's schedule: a, plus sigma0 of the words from a[1] to b[0].";
    Sha256Su1  "sha256_su1" "TTT>T" [VECTOR] "Second half of SHA-256's schedule: a, plus the words from b[1] to c[0], plus sigma1 of c[2], c[3] and of the result's first two.";
    Sha512H    "sha512_h" "TTT>T" [VECTOR] "Two rounds of SHA-512, first half: with (f, g) = b and (d, e) = c, t = ch(e, f, g) + Sigma1(e) + a[1] and u = t + d, the result is (ch(u, e, f) + Sigma1(u) + a[0], t). T = i64 x v128, here and in the next.";
    Sha512H2   "sha512_h2" "TTT>T" [VECTOR] "Two rounds of SHA-512, second half: with x = b[0], (y, z) = c and t = maj(x, y, z) + Sigma0(y) + a[1], the result is (maj(t, y, z) + Sigma0(t) + a[0], t).";
    Sm4        "sm4" "TT>T" [VECTOR] "Four rounds of SM4 (GB/T 32907): a is the state, b the round keys; `imm` 0: the cipher, 1: the key schedule, where b has the constants. T = i32 x v128.";
}

/// Reasons of an `exit` op.
pub mod exit {
    /// State that the mode key or the interrupt decision depends on has changed.
    pub const LOOKUP: u32 = 0;
    /// The CPU waits for an interrupt.
    pub const WAIT: u32 = 1;
    /// The CPU waits for an event.
    pub const WAIT_EVENT: u32 = 2;
    /// The CPU lets others go first.
    pub const YIELD: u32 = 3;
    /// The program calls its kernel (in user mode only).
    pub const KERNEL: u32 = 4;
}

/// Kinds of `rmw`.
pub mod rmw {
    /// Addition.
    pub const ADD: u64 = 0;
    /// old & !b.
    pub const CLR: u64 = 1;
    /// Exclusive or.
    pub const XOR: u64 = 2;
    /// Or.
    pub const SET: u64 = 3;
    /// Signed maximum.
    pub const SMAX: u64 = 4;
    /// Signed minimum.
    pub const SMIN: u64 = 5;
    /// Unsigned maximum.
    pub const UMAX: u64 = 6;
    /// Unsigned minimum.
    pub const UMIN: u64 = 7;
    /// Exchange.
    pub const SWAP: u64 = 8;
    /// And.
    pub const AND: u64 = 9;
}

/// Bits of `fence`.
pub mod fence {
    /// Loads before, loads after.
    pub const LD_LD: u32 = 1;
    /// Loads before, stores after.
    pub const LD_ST: u32 = 2;
    /// Stores before, loads after.
    pub const ST_LD: u32 = 4;
    /// Stores before, stores after.
    pub const ST_ST: u32 = 8;
    /// All of them.
    pub const ALL: u32 = 15;
    /// Also waits for this CPU's broadcast TLB and cache maintenance to be complete everywhere.
    pub const COMPLETION: u32 = 16;
}

/// Flags of a memory op (`aux`): how the access behaves apart from its type and address.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemFlags(pub u32);

impl MemFlags {
    /// An ordinary access, privilege view 0, any alignment, little-endian.
    pub const NONE: MemFlags = MemFlags(0);
    /// The access faults when its address is not a multiple of its size.
    pub const ALIGNED: MemFlags = MemFlags(1 << 4);
    /// Load-acquire, RCsc.
    pub const ACQUIRE: MemFlags = MemFlags(1 << 5);
    /// Load-acquire, RCpc.
    pub const ACQUIRE_PC: MemFlags = MemFlags(1 << 6);
    /// Store-release.
    pub const RELEASE: MemFlags = MemFlags(1 << 7);
    /// Bytes in big-endian order (each element, for a vector).
    pub const BIG_ENDIAN: MemFlags = MemFlags(1 << 8);
    /// The whole access is single-copy atomic if it does not cross a 16-byte boundary (else if it is aligned).
    pub const ATOMIC16: MemFlags = MemFlags(1 << 9);
    /// A vector whose elements are each single-copy atomic when aligned (no more is promised); `ALIGNED` then asks for a multiple of the
    /// element's size. Made by [`MemFlags::per_element`].
    pub const PER_ELEMENT: MemFlags = MemFlags(1 << 10);
    /// The allocation tag is checked.
    pub const TAG_CHECK: MemFlags = MemFlags(1 << 11);
    /// The access faults when it crosses a 16-byte boundary (an ordered access under FEAT_LSE2).
    pub const WITHIN16: MemFlags = MemFlags(1 << 12);
    /// An access of 8 or 16 bytes that stands for two of half its size: with `ALIGNED` its address must be a multiple of that only.
    pub const PAIR: MemFlags = MemFlags(1 << 13);

    /// An ordinary access in the given privilege view (0 to 15), a number that the target gives meaning to.
    pub const fn view(view: u32) -> MemFlags {
        MemFlags(view & 15)
    }
    /// `PER_ELEMENT` with the element's size in bytes (1 to 8), which is in bits 14 and 15 as its log2: who sees the flags alone knows it.
    pub const fn per_element(bytes: u32) -> MemFlags {
        MemFlags(Self::PER_ELEMENT.0 | bytes.trailing_zeros() << 14)
    }
    /// The bytes of which the address of an access of `size` bytes is a multiple if it is aligned. A single byte, such as one of an access
    /// that is split, is always.
    pub const fn aligned_unit(self, size: u32) -> u32 {
        if size <= 1 {
            1
        } else if self.has(Self::PAIR) {
            size / 2
        } else if self.has(Self::PER_ELEMENT) {
            1 << (self.0 >> 14 & 3)
        } else {
            size
        }
    }
    /// The privilege view.
    pub const fn view_index(self) -> usize {
        (self.0 & 15) as usize
    }
    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, more: MemFlags) -> MemFlags {
        MemFlags(self.0 | more.0)
    }
    /// True if all of `flags` are set.
    pub const fn has(self, flags: MemFlags) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// Flags of each row, close together.
static FLAGS: [u16; OPS.len()] = {
    let mut flags = [0; OPS.len()];
    let mut i = 0;
    while i < flags.len() {
        flags[i] = OPS[i].flags;
        i += 1;
    }
    flags
};

impl Op {
    /// The flags of the row of this op; none if its number is not one.
    #[inline]
    pub fn flags(&self) -> u16 {
        FLAGS.get(usize::from(self.code)).copied().unwrap_or(0)
    }
    /// The row of this op, if its number is one.
    pub fn info(&self) -> Option<&'static OpInfo> {
        OPS.get(self.code as usize)
    }
    /// The opcode, if its number is one.
    #[inline]
    pub fn opcode(&self) -> Option<Code> {
        Code::ALL.get(self.code as usize).copied()
    }
}

/// Hash of the first `n` rows of a table of (name, signature, flags): equal on both sides of the plugin boundary when they mean the same.
pub fn rows_hash<'a>(rows: impl Iterator<Item = (&'a str, &'a str, u16)>) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |byte: u8| h = (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for (name, sig, flags) in rows {
        name.bytes().chain([0]).chain(sig.bytes()).chain([0]).chain(flags.to_le_bytes()).for_each(&mut add);
    }
    h
}

/// Hash of the first `n` rows of the op table; `None` when there are fewer.
pub fn ops_hash(n: usize) -> Option<u64> {
    OPS.get(..n).map(|rows| rows_hash(rows.iter().map(|r| (r.name, r.sig, r.flags))))
}
