//! Types of IR values.
//!
//! The idea: a value is a bag of bits of one *width*; the op says how the bits are read. `Ty` names an element type, `Shape` how many
//! elements an op works on. `add i32` and `add i8 x v128` are the same op at two shapes. A 32-bit integer and a binary32 number share a
//! width, so there are no bit casts; `v64` shares its width with `i64` and `v128` with `i128`.
//!
//! Invariant: the bits of a scalar above its width are zero wherever it is stored in a slot.

/// Element type of an op.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ty(pub u8);

/// How many elements of `Ty` an op works on.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape(pub u8);

impl Ty {
    /// One bit: a flag or a condition.
    pub const I1: Ty = Ty(0);
    /// 8-bit integer.
    pub const I8: Ty = Ty(1);
    /// 16-bit integer.
    pub const I16: Ty = Ty(2);
    /// 32-bit integer.
    pub const I32: Ty = Ty(3);
    /// 64-bit integer.
    pub const I64: Ty = Ty(4);
    /// 128-bit integer.
    pub const I128: Ty = Ty(5);
    /// IEEE binary16.
    pub const F16: Ty = Ty(6);
    /// bfloat16.
    pub const BF16: Ty = Ty(7);
    /// IEEE binary32.
    pub const F32: Ty = Ty(8);
    /// IEEE binary64.
    pub const F64: Ty = Ty(9);
    /// Number of element types.
    pub const COUNT: u8 = 10;
    const NAMES: [&'static str; 10] = ["i1", "i8", "i16", "i32", "i64", "i128", "f16", "bf16", "f32", "f64"];
    const BITS: [u32; 10] = [1, 8, 16, 32, 64, 128, 16, 16, 32, 64];

    /// True if the byte names a type.
    pub const fn is_valid(self) -> bool {
        self.0 < Ty::COUNT
    }
    /// Width of one element in bits; 0 for an invalid type.
    pub const fn bits(self) -> u32 {
        if self.is_valid() { Ty::BITS[self.0 as usize] } else { 0 }
    }
    /// Size of one element in bytes as it lies in guest memory (i1 takes one).
    pub const fn bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }
    /// True for the floating-point types.
    pub const fn is_float(self) -> bool {
        self.0 >= Ty::F16.0 && self.is_valid()
    }
    /// The integer type of the given width in bits, if there is one.
    pub const fn int(bits: u32) -> Option<Ty> {
        match bits {
            1 => Some(Ty::I1),
            8 => Some(Ty::I8),
            16 => Some(Ty::I16),
            32 => Some(Ty::I32),
            64 => Some(Ty::I64),
            128 => Some(Ty::I128),
            _ => None,
        }
    }
    /// The integer type as wide as this one.
    pub const fn as_int(self) -> Ty {
        match Ty::int(self.bits()) {
            Some(t) => t,
            None => Ty::I64,
        }
    }
    /// The element type half as wide (integers and f64, f32), if there is one.
    pub const fn half(self) -> Option<Ty> {
        match self {
            Ty::F64 => Some(Ty::F32),
            Ty::F32 => Some(Ty::F16),
            Ty::I16 => Some(Ty::I8),
            Ty::I32 => Some(Ty::I16),
            Ty::I64 => Some(Ty::I32),
            Ty::I128 => Some(Ty::I64),
            _ => None,
        }
    }
    /// The element type twice as wide, if there is one.
    pub const fn double(self) -> Option<Ty> {
        match self {
            Ty::F32 => Some(Ty::F64),
            Ty::F16 | Ty::BF16 => Some(Ty::F32),
            Ty::I8 => Some(Ty::I16),
            Ty::I16 => Some(Ty::I32),
            Ty::I32 => Some(Ty::I64),
            Ty::I64 => Some(Ty::I128),
            _ => None,
        }
    }
    /// Name in the text form.
    pub const fn name(self) -> &'static str {
        if self.is_valid() { Ty::NAMES[self.0 as usize] } else { "i?" }
    }
    /// The type with this name.
    pub fn parse(name: &str) -> Option<Ty> {
        Ty::NAMES.iter().position(|n| *n == name).map(|i| Ty(i as u8))
    }
}

impl std::fmt::Debug for Ty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Shape {
    /// One element.
    pub const SCALAR: Shape = Shape(0);
    /// A 64-bit vector.
    pub const V64: Shape = Shape(1);
    /// A 128-bit vector.
    pub const V128: Shape = Shape(2);
    /// A vector of run-time length; its length in bytes is part of the block key, so it is a constant while a block is translated.
    pub const VL: Shape = Shape(3);
    /// A predicate: one bit for each byte of a `VL` vector.
    pub const PL: Shape = Shape(4);
    /// Number of shapes.
    pub const COUNT: u8 = 5;
    const NAMES: [&'static str; 5] = ["", "v64", "v128", "vl", "pl"];

    /// True if the byte names a shape.
    pub const fn is_valid(self) -> bool {
        self.0 < Shape::COUNT
    }
    /// Name in the text form; empty for a scalar.
    pub const fn name(self) -> &'static str {
        if self.is_valid() { Shape::NAMES[self.0 as usize] } else { "v?" }
    }
    /// The shape with this name.
    pub fn parse(name: &str) -> Option<Shape> {
        Shape::NAMES.iter().position(|n| *n == name).map(|i| Shape(i as u8))
    }
    /// Length in bytes of a vector or predicate of this shape, `vl` being the run-time vector length in bytes; 0 for a scalar.
    pub const fn bytes(self, vl: u32) -> u32 {
        match self {
            Shape::V64 => 8,
            Shape::V128 => 16,
            Shape::VL => vl,
            Shape::PL => vl.div_ceil(8),
            _ => 0,
        }
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Shape::SCALAR { "scalar" } else { self.name() })
    }
}

/// Width of a value: what two uses of it must agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Width {
    /// That many bits: 1, 8, 16, 32, 64 or 128.
    Bits(u32),
    /// A run-time-length vector.
    Vl,
    /// A predicate.
    Pl,
}

impl Width {
    /// Width of a value of this type and shape.
    pub const fn of(ty: Ty, shape: Shape) -> Width {
        match shape {
            Shape::V64 => Width::Bits(64),
            Shape::V128 => Width::Bits(128),
            Shape::VL => Width::Vl,
            Shape::PL => Width::Pl,
            _ => Width::Bits(ty.bits()),
        }
    }
    /// Number of 8-byte slots that a value of this width takes; `vl` is the run-time vector length in bytes.
    pub const fn slots(self, vl: u32) -> u32 {
        match self {
            Width::Bits(128) => 2,
            Width::Bits(_) => 1,
            Width::Vl => vl.div_ceil(8),
            Width::Pl => vl.div_ceil(64),
        }
    }
}
